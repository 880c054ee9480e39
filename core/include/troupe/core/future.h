/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file future.h
 * A result that arrives later, and waiting for it.
 *
 * A future belongs to the loop it was made on. It is not a way to pass data between
 * threads: for that post a callback that completes it, or send a message to an actor.
 */
#ifndef TROUPE_CORE_FUTURE_H
#define TROUPE_CORE_FUTURE_H

#include <troupe/core/loop.h>

/** Told that a future is done; runs as a callback of the loop, never inside the completing call. */
typedef void tr_done_fn(tr_future *future, void *arg);

TR_BEGIN_DECLS

/** Make a pending future.
 *
 * @param loop        the running loop of this thread
 * @param ret_future  set on success; one reference, the caller's
 * @return 0
 * @retval -ENOMEM
 * @thread loop
 * @source Python's loop.create_future()
 */
TR_API TR_NODISCARD int tr_future_new(tr_loop *loop, tr_future **ret_future);

/** Take another reference.
 *
 * @return future
 * @thread loop
 */
TR_API tr_future *tr_future_ref(tr_future *future);

/** Give a reference back. A pending future may be dropped: its waiters hold their own.
 *
 * @param future  NULL is allowed
 * @return NULL
 * @thread loop
 */
TR_API tr_future *tr_future_unref(tr_future *future);

/** Complete a future.
 *
 * @param future  pending; completing it twice is a bug and aborts
 * @param result  0 or a count: success; negative: an error. TR_ECANCELLED marks it cancelled.
 * @param value   what tr_future_value() returns; not owned by the future
 * @thread loop
 * @source Python's Future.set_result() and Future.set_exception()
 */
TR_API void tr_future_set(tr_future *future, int result, void *value);

/** Ask a future to end as cancelled. For a task this is tr_task_cancel().
 *
 * @return false: it was done already
 * @thread loop
 * @source Python's Future.cancel()
 */
TR_API bool tr_future_cancel(tr_future *future);

/** Whether the future has a result, an error, or was cancelled.
 *
 * @thread loop
 */
TR_API bool tr_future_is_done(const tr_future *future);

/** Whether the future ended as cancelled.
 *
 * @thread loop
 */
TR_API bool tr_future_is_cancelled(const tr_future *future);

/** The result without waiting.
 *
 * @return what tr_future_set() was given
 * @retval TR_EPENDING    it has no result yet
 * @retval TR_ECANCELLED  it was cancelled
 * @thread loop
 * @source Python's Future.result()
 */
TR_API int tr_future_result(const tr_future *future);

/** The pointer that tr_future_set() was given; NULL while pending.
 *
 * @thread loop
 */
TR_API void *tr_future_value(const tr_future *future);

/** Call a function once the future is done, in the loop's next turn at the earliest.
 *
 * @param future  may be done already
 * @param fn      called with the future and arg, in the order of adding
 * @param arg     borrowed until fn has run
 * @return 0
 * @retval -ENOMEM  nothing was added
 * @thread loop
 * @source Python's Future.add_done_callback()
 */
TR_API TR_NODISCARD int tr_future_add_done_callback(tr_future *future, tr_done_fn *fn, void *arg);

/** Wait until a future is done and return its result.
 *
 * A future that is done already doesn't suspend the caller, and then a pending cancellation
 * stays pending. Cancelling the caller cancels the future as well and the wait goes on until
 * that has ended; tr_shield() keeps it alive.
 *
 * @param future  borrowed; kept alive during the wait. Not the caller's own task (aborts).
 * @return the future's result: 0 or a count
 * @retval TR_ECANCELLED  the caller or the future was cancelled; tr_task_cancelling() tells which
 * @return another negative value: the error that the future ended with
 * @thread task
 * @cancel the future is cancelled too
 * @source Python's `await future`
 */
TR_API int tr_await(tr_future *future);

/** Make a future that follows another one but doesn't pass a cancellation on to it.
 *
 * @param inner       keeps running when the shield is cancelled; a reference is held
 * @param ret_future  set on success; one reference, the caller's
 * @return 0
 * @retval -ENOMEM
 * @thread loop
 * @source Python's asyncio.shield()
 */
TR_API TR_NODISCARD int tr_shield(tr_future *inner, tr_future **ret_future);

TR_END_DECLS

#endif /* TROUPE_CORE_FUTURE_H */
