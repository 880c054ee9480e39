/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file runtime.h
 * tr_run(): loops on their threads, a main task, an orderly end.
 */
#ifndef TROUPE_CORE_RUNTIME_H
#define TROUPE_CORE_RUNTIME_H

#include <troupe/core/seam.h>
#include <troupe/core/task.h>

#define TR_ALL_CPUS  (-1) /**< as many loops as CPUs that this process may use */
#define TR_LOOPS_MAX 256  /**< loops that can live in one process */

/** Options of tr_run(); everything zero is a good default. */
struct tr_run_opts {
    void *arg;       /**< given to the main function; the second argument of tr_run() */
    int loops;       /**< loops, one a thread: 1 to TR_LOOPS_MAX, TR_ALL_CPUS; 0: 1 */
    bool no_pinning; /**< leave the threads to the scheduler. Otherwise each loop is pinned to one
                          of the CPUs this process may use, unless there are more loops than CPUs. */
    bool no_signals; /**< leave SIGINT, SIGTERM and SIGHUP alone */
    size_t stack_bytes;           /**< of each task, bytes; 0: 256 KiB */
    tr_time shutdown_timeout;     /**< for the end of everything, nanoseconds; 0: 5 s */
    const struct tr_seams *seams; /**< NULL: the system's; borrowed until the end */
};

TR_BEGIN_DECLS

/** Run a function as the main task of a new runtime, until it returns.
 *
 * Loop 0 runs on the calling thread, the others on threads of their own. When the main task has
 * ended, what runs on top (nodes, actors) is shut down in order, then all tasks that are left are
 * cancelled, and the call returns when they have ended or opts->shutdown_timeout is over; who held
 * it up is logged.
 *
 * The first SIGINT, SIGTERM or SIGHUP (unless that is ignored, as under nohup) cancels the main task.
 * A second one ends the process at once, as if Troupe weren't there. Other signals keep their meaning:
 * a handler of the program runs on the calling thread.
 *
 * @param fn    the main task's body
 * @param opts  NULL: all defaults; copied
 * @return what fn returned
 * @retval TR_EINTERRUPTED  a signal cancelled the main task, and it returned TR_ECANCELLED
 * @retval TR_ENESTED       a loop is running in this thread
 * @retval -EINVAL          an option is out of range: tr_log() names it
 * @retval -ENOMEM, -EMFILE, -EAGAIN  the loops couldn't be made; fn was not called
 * @thread setup
 * @source Python's asyncio.run()
 */
TR_API TR_NODISCARD int tr_run_with(tr_task_fn *fn, const struct tr_run_opts *opts);

/** How many loops a runtime has.
 *
 * @thread any
 */
TR_API int tr_runtime_loops(const tr_runtime *runtime);

/** The loop with an index.
 *
 * @param index  0 to tr_runtime_loops() - 1
 * @return NULL when there is none; valid for the life of the process, for
 *         tr_loop_call_soon_threadsafe()
 * @thread any
 */
TR_API tr_loop *tr_runtime_loop(const tr_runtime *runtime, int index);

/** What a loop has done so far. */
struct tr_loop_stats {
    uint64_t turns;     /**< turns that ran something */
    uint64_t callbacks; /**< callbacks, task steps and actor activations */
    uint64_t polls;     /**< calls of the poller */
    uint64_t parks;     /**< times the loop went to sleep */
    uint64_t tasks;     /**< tasks alive */
    uint64_t timers;    /**< timers pending */
    uint64_t stacks;    /**< stacks in use */
};

/** Read the running loop's counters.
 *
 * @param loop       the running loop of this thread
 * @param ret_stats  filled
 * @thread loop
 */
TR_API void tr_loop_get_stats(tr_loop *loop, struct tr_loop_stats *ret_stats);

/** tr_run(fn, arg, .option = value, ...): tr_run_with() with the options written out.
 *
 * @code
 *     int main(void) { return tr_run(app, NULL, .loops = TR_ALL_CPUS) < 0; }
 * @endcode
 */
#ifndef __cplusplus
#define tr_run(fn, ...) tr_run_with((fn), &(struct tr_run_opts){.arg = __VA_ARGS__})
#endif

TR_END_DECLS

#endif /* TROUPE_CORE_RUNTIME_H */
