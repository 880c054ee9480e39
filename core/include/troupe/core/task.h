/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file task.h
 * Tasks: plain C functions that may suspend.
 *
 * A task runs on the loop that started it, on a stack of its own, and never moves. It gives
 * way only inside a call whose thread word is `task`. It is not a thread: two tasks of a loop
 * never run at the same time.
 */
#ifndef TROUPE_CORE_TASK_H
#define TROUPE_CORE_TASK_H

#include <troupe/core/future.h>

/** The body of a task.
 *
 * @return the task's result: 0 or a count, or a negative error. TR_ECANCELLED: it ended as
 *         cancelled.
 */
typedef int tr_task_fn(void *arg);

/** A time limit over the calls between tr_timeout_begin() and tr_timeout_end(). Opaque. */
typedef struct tr_timeout {
    void *tri[12]; /**< private */
} tr_timeout;

TR_BEGIN_DECLS

/** Start a task. It first runs in the loop's next turn.
 *
 * @param loop      the running loop of this thread
 * @param name      for logs and reports; copied, cut at 31 bytes; NULL: "task"
 * @param fn        the body
 * @param arg       given to fn; borrowed until the task has ended
 * @param ret_task  set on success: one reference, the caller's, for tr_task_join() or
 *                  tr_task_unref(). NULL: the task floats, and an error it ends with is logged.
 * @return 0
 * @retval -ENOMEM  nothing was started
 * @thread loop
 * @source Python's loop.create_task(). The name is a parameter because reports need it.
 */
TR_API TR_NODISCARD int tr_task_new(tr_loop *loop, const char *name, tr_task_fn *fn, void *arg,
                                    tr_task **ret_task);

/** A task as the future that it is; borrowed.
 *
 * @thread loop
 */
TR_API tr_future *tr_task_future(tr_task *task);

/** Give a reference back; the task runs on.
 *
 * @param task  NULL is allowed
 * @return NULL
 * @thread loop
 */
TR_API tr_task *tr_task_unref(tr_task *task);

/** Wait for a task and give the reference back: tr_await() and tr_task_unref() in one.
 *
 * @param task  the caller's reference is gone afterwards, whatever the result
 * @return as tr_await()
 * @thread task
 * @cancel the task is cancelled too and the wait goes on until it has ended
 */
TR_API int tr_task_join(tr_task *task);

/** The task that is running, or NULL in a callback or in an actor's handler.
 *
 * @thread loop
 * @source Python's asyncio.current_task()
 */
TR_API tr_task *tr_task_current(void);

/** The task's name; valid as long as the task.
 *
 * @thread loop
 */
TR_API const char *tr_task_name(const tr_task *task);

/** Ask a task to end: its present wait, or the next one, returns TR_ECANCELLED.
 *
 * The task may clean up, also with calls that suspend, and should return TR_ECANCELLED. One that
 * has not run yet never enters its function.
 *
 * @return false: it had ended already
 * @thread loop
 * @source Python's Task.cancel()
 */
TR_API bool tr_task_cancel(tr_task *task);

/** How many cancellations were asked for and not taken back.
 *
 * @param task  NULL: the running one
 * @thread loop
 * @source Python's Task.cancelling()
 */
TR_API int tr_task_cancelling(const tr_task *task);

/** Take one cancellation back: for code that caught TR_ECANCELLED and goes on.
 *
 * @param task  NULL: the running one
 * @return how many remain
 * @thread loop
 * @source Python's Task.uncancel()
 */
TR_API int tr_task_uncancel(tr_task *task);

/** Suspend for a time.
 *
 * @param delay  nanoseconds; 0 or less gives way once, as tr_yield(); TR_FOREVER: until cancelled
 * @return 0
 * @retval TR_ECANCELLED  the caller was cancelled before the time was over
 * @thread task
 * @cancel nothing is left
 * @source Python's asyncio.sleep()
 */
TR_API int tr_sleep(tr_time delay);

/** Let everything else that is ready run first.
 *
 * @return 0
 * @retval TR_ECANCELLED  the caller was cancelled
 * @thread task
 * @cancel nothing is left
 * @source Python's asyncio.sleep(0)
 */
TR_API int tr_yield(void);

/** Set a time limit on what follows in this task or handler.
 *
 * When the time is over, the present wait, or the next one, returns TR_ECANCELLED, and
 * tr_timeout_end() makes TR_ETIMEOUT of it. Scopes nest; each must be ended, in reverse order.
 *
 * @code
 *     tr_timeout limit;
 *     tr_timeout_begin(&limit, 2 * TR_SECOND);
 *     int err = fetch(job);
 *     err = tr_timeout_end(&limit, err);
 * @endcode
 *
 * @param scope  the caller's memory, until tr_timeout_end()
 * @param delay  nanoseconds; 0 or less: the next wait fails; TR_FOREVER: no limit
 * @thread task (doesn't suspend)
 * @source Python's asyncio.timeout()
 */
TR_API void tr_timeout_begin(tr_timeout *scope, tr_time delay);

/** End a time limit.
 *
 * @param scope  of tr_timeout_begin()
 * @param err    the result of what the scope covers
 * @return TR_ETIMEOUT when the time was over, err is TR_ECANCELLED and nobody else cancelled the
 *         task; otherwise err
 * @thread task (doesn't suspend)
 * @source Python's asyncio.timeout()
 */
TR_API TR_NODISCARD int tr_timeout_end(tr_timeout *scope, int err);

TR_END_DECLS

#endif /* TROUPE_CORE_TASK_H */
