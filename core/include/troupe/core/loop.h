/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file loop.h
 * The event loop of one thread: callbacks, timers, and the one door from other threads.
 *
 * A loop is made by tr_run(), one a thread. It is not a thread pool: a callback that
 * blocks, blocks everything on its loop.
 */
#ifndef TROUPE_CORE_LOOP_H
#define TROUPE_CORE_LOOP_H

#include <troupe/core/base.h>
#include <troupe/core/error.h>

/** A callback. It runs on its loop's thread, to its end: it can't suspend. */
typedef void tr_callback_fn(void *arg);

/** A scheduled callback that can be cancelled. Counted, owner thread only. */
typedef struct tr_handle tr_handle;

TR_BEGIN_DECLS

/** The loop that runs in this thread.
 *
 * @return NULL where none runs
 * @thread any
 * @source Python's asyncio.get_running_loop(), which raises where this returns NULL
 */
TR_API tr_loop *tr_loop_running(void);

/** The place of a loop in its runtime: 0 for the loop of tr_run()'s caller.
 *
 * @thread any
 */
TR_API int tr_loop_index(const tr_loop *loop);

/** The runtime that a loop belongs to.
 *
 * @thread any
 */
TR_API tr_runtime *tr_loop_runtime(const tr_loop *loop);

/** The loop's clock, read now.
 *
 * @return nanoseconds; never goes back; the start is arbitrary
 * @thread loop
 * @source Python's loop.time()
 */
TR_API tr_time tr_loop_time(tr_loop *loop);

/** Draw 64 uniform random bits from the loop's seam; not for keys.
 *
 * @thread loop
 */
TR_API uint64_t tr_loop_random(tr_loop *loop);

/** Run a callback in the next turn of the loop.
 *
 * Callbacks run in the order in which they were added, each once. One that is added while
 * a turn runs waits for the turn after it.
 *
 * @param loop        the running loop of this thread
 * @param fn          called with arg
 * @param arg         borrowed until fn has run or the handle was cancelled
 * @param ret_handle  set on success, give it back with tr_handle_unref(); NULL: not wanted
 * @return 0
 * @retval -ENOMEM  nothing was scheduled
 * @thread loop
 * @source Python's loop.call_soon()
 */
TR_API TR_NODISCARD int tr_loop_call_soon(tr_loop *loop, tr_callback_fn *fn, void *arg,
                                          tr_handle **ret_handle);

/** Run a callback once after a delay.
 *
 * @param loop        the running loop of this thread
 * @param delay       nanoseconds, counted from the loop's next reading of its clock (at most
 *                    64 callbacks from now), so it is never cut short; 0 or less: next turn
 * @param fn          called with arg
 * @param arg         borrowed until fn has run or the handle was cancelled
 * @param ret_handle  set on success, give it back with tr_handle_unref(); NULL: not wanted
 * @return 0
 * @retval -ENOMEM  nothing was scheduled
 * @thread loop
 * @source Python's loop.call_later()
 */
TR_API TR_NODISCARD int tr_loop_call_later(tr_loop *loop, tr_time delay, tr_callback_fn *fn,
                                           void *arg, tr_handle **ret_handle);

/** Run a callback once at a time of the loop's clock.
 *
 * Callbacks with equal times run in the order in which they were added.
 *
 * @param loop        the running loop of this thread
 * @param when        as of tr_loop_time(); a time that has passed: next turn
 * @param fn          called with arg
 * @param arg         borrowed until fn has run or the handle was cancelled
 * @param ret_handle  set on success, give it back with tr_handle_unref(); NULL: not wanted
 * @return 0
 * @retval -ENOMEM  nothing was scheduled
 * @thread loop
 * @source Python's loop.call_at(). Equal times fire in order here; Python leaves it open.
 */
TR_API TR_NODISCARD int tr_loop_call_at(tr_loop *loop, tr_time when, tr_callback_fn *fn, void *arg,
                                        tr_handle **ret_handle);

/** Run a callback on a loop, from any thread. The only door into a loop from outside.
 *
 * Callbacks of one thread run in the order in which it posted them. They can't be cancelled.
 *
 * @param loop  any loop, of any runtime. It may have ended: the late caller gets an error.
 * @param fn    called with arg on the loop's thread
 * @param arg   handed over on success
 * @return 0: fn will run, unless the loop is torn down first, which frees nothing of arg
 * @retval TR_ESHUTDOWN  the loop has ended; fn is never called
 * @retval -ENOMEM       nothing was posted
 * @thread any
 * @source Python's loop.call_soon_threadsafe()
 */
TR_API TR_NODISCARD int tr_loop_call_soon_threadsafe(tr_loop *loop, tr_callback_fn *fn, void *arg);

/** Keep a callback from running; no effect when it has run.
 *
 * @thread loop
 * @source Python's Handle.cancel()
 */
TR_API void tr_handle_cancel(tr_handle *handle);

/** Whether tr_handle_cancel() was called before the callback ran.
 *
 * @thread loop
 */
TR_API bool tr_handle_cancelled(const tr_handle *handle);

/** When a callback of tr_loop_call_at() or tr_loop_call_later() is due.
 *
 * @return a time as of tr_loop_time(); for a call_later whose clock was not read yet, the
 *         earliest time it can be; 0 for a handle of call_soon
 * @thread loop
 * @source Python's TimerHandle.when()
 */
TR_API tr_time tr_handle_when(const tr_handle *handle);

/** Give a handle back. The callback still runs unless it was cancelled.
 *
 * @param handle  NULL is allowed
 * @return NULL
 * @thread loop
 */
TR_API tr_handle *tr_handle_unref(tr_handle *handle);

TR_END_DECLS

#endif /* TROUPE_CORE_LOOP_H */
