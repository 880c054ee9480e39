/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime.c: tr_run(), from making the loops to joining their threads.
 *
 * DESIGN
 *
 * A task of ours on loop 0 runs the whole life: it starts the main task and waits for it, lets the
 * layers above shut down what they run (transport before actors), asks each other loop to finish,
 * finishes its own, and stops loop 0. Finishing a loop is a task on that loop: cancel every task,
 * wait until they have ended or the deadline is over, stop. A loop that doesn't answer by the
 * deadline (a handler that blocks) is named and left behind: its thread is detached and its memory
 * stays, because nothing else can be done to a thread safely.
 */
#include "runtime_internal.h"

#include "cpu_internal.h"
#include "future_internal.h"
#include "log_internal.h"
#include "seam_internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { SHUTDOWN_SECONDS = 5, GRACE_MS = 200 };

/* ---- finishing one loop ---------------------------------------------------------------- */

static void report_task(const tr_task *task, int loop) {
    const tri_waiter *waiter = task->fiber.waiter;
    tr_log(TR_LOG_WARN, "shutdown: task '%s' on loop %d did not end; it waits in %s", task->name,
           loop, waiter != NULL ? waiter->reason : "nothing");
}

/* Cancel every task of the loop but the caller's, and wait for them. */
static void finish_tasks(tr_loop *loop, tr_time deadline) {
    tr_task *self = tr_task_current();
    for (tr_task *task = loop->tasks; task != NULL; task = task->next) {
        if (task != self) {
            tr_task_cancel(task);
        }
    }
    if (tri_loop_drain_tasks(loop, 1, deadline) == 0) {
        return;
    }
    for (tr_task *task = loop->tasks; task != NULL; task = task->next) {
        if (task != self) {
            report_task(task, loop->index);
        }
    }
}

static void worker_finished(tr_loop *loop, tri_node *node) {
    tr_runtime *runtime = loop->runtime;
    (void)node;
    runtime->finished++;
    if (runtime->finish_wait != NULL && runtime->finished == runtime->loop_count - 1) {
        tri_wake(runtime->finish_wait, 0);
        runtime->finish_wait = NULL;
    }
}

/* The worker stops, and says so with the node that asked it. */
static void answer_finish(tr_loop *loop) {
    tr_runtime *runtime = loop->runtime;
    tri_node *node = &runtime->finish_nodes[loop->index];
    tri_loop_stop(loop);
    node->run = worker_finished;
    (void)tri_inbox_push(&runtime->loops[0]->inbox, node, node); /* or loop 0 waits no longer */
}

static int finish_worker(void *arg) {
    tr_runtime *runtime = arg;
    finish_tasks(tri_current_loop, runtime->deadline);
    answer_finish(tri_current_loop);
    return 0;
}

static void start_finish(tr_loop *loop, tri_node *node) {
    tr_runtime *runtime = loop->runtime;
    if (tr_task_new(loop, "shutdown", finish_worker, runtime, NULL) == 0) {
        return;
    }
    if (tri_loop_update_now(loop) < runtime->deadline) {
        tri_loop_ready(loop, node); /* no memory: perhaps in the next turn */
    } else {
        answer_finish(loop);
    }
}

struct finish_wait {
    tri_waiter waiter;
    tri_timer timer;
    tr_runtime *runtime;
};

static void finish_timeout(tr_loop *loop, tri_timer *timer) {
    struct finish_wait *wait = TRI_CONTAINER_OF(timer, struct finish_wait, timer);
    (void)loop;
    wait->runtime->finish_wait = NULL;
    tri_wake_once(&wait->waiter, TR_ETIMEOUT);
}

static void finish_cancel(tri_waiter *waiter) {
    (void)waiter; /* nobody has a reference to the task that waits here */
}

/* Ask the other loops to finish and wait for their answers. */
static void finish_workers(tr_runtime *runtime) {
    /* Nodes of the runtime's: asking must not need memory. */
    for (int i = 1; i < runtime->loop_count; i++) {
        tri_node *node = &runtime->finish_nodes[i];
        node->run = start_finish;
        (void)tri_inbox_push(&runtime->loops[i]->inbox, node, node);
    }
    if (runtime->finished == runtime->loop_count - 1) {
        return;
    }
    struct finish_wait wait = {
        .waiter = {.cancel = finish_cancel, .reason = "shutdown", .keeps_result = true},
        .timer.fire = finish_timeout,
        .runtime = runtime};
    tr_loop *loop = runtime->loops[0];
    runtime->finish_wait = &wait.waiter;
    /* The workers keep the deadline too, and then need a moment to say so. */
    tri_timers_add(&loop->timers, &wait.timer, runtime->deadline + GRACE_MS * TR_MS);
    tri_suspend(&wait.waiter);
    tri_timers_cancel(&loop->timers, &wait.timer);
}

/* ---- the life of a runtime, a task on loop 0 --------------------------------------------- */

static int run_main(tr_runtime *runtime) {
    tr_loop *loop = runtime->loops[0];
    int err = tr_task_new(loop, "main", runtime->fn, runtime->opts.arg, &runtime->main);
    if (err < 0) {
        return err;
    }
    if (runtime->was_interrupted) {
        tr_task_cancel(runtime->main);
    }
    int result = tr_await(tr_task_future(runtime->main));
    runtime->main = tr_task_unref(runtime->main);
    return result == TR_ECANCELLED && runtime->was_interrupted ? TR_EINTERRUPTED : result;
}

static int run_life(void *arg) {
    tr_runtime *runtime = arg;
    tr_loop *loop = runtime->loops[0];
    runtime->result = run_main(runtime);
    runtime->deadline = tri_loop_update_now(loop) + runtime->opts.shutdown_timeout;
    for (int slot = TRI_EXT_COUNT - 1; slot >= 0; slot--) {
        tri_runtime_ext *ext = tri_runtime_ext_peek(runtime, slot);
        if (ext != NULL && ext->shutdown != NULL) {
            ext->shutdown(runtime, ext, runtime->deadline);
        }
    }
    finish_workers(runtime);
    finish_tasks(loop, runtime->deadline);
    tri_loop_stop(loop);
    return 0;
}

/* ---- worker threads ------------------------------------------------------------------------ */

static void *worker_main(void *arg) {
    tr_loop *loop = arg;
    tr_runtime *runtime = loop->runtime;
    int cpu = runtime->cpus[loop->index];
    if (cpu >= 0) {
        (void)tri_cpu_pin(cpu); /* a CPU that went away meanwhile is no reason to fail */
    }
    int err = tri_loop_enter(loop);
    pthread_mutex_lock(&runtime->mutex);
    runtime->start_err = err < 0 ? err : runtime->start_err;
    runtime->started++;
    pthread_cond_broadcast(&runtime->changed);
    while (runtime->go == 0) {
        pthread_cond_wait(&runtime->changed, &runtime->mutex);
    }
    bool runs = runtime->go > 0;
    pthread_mutex_unlock(&runtime->mutex);
    if (runs) {
        tri_loop_run(loop);
    }
    tri_loop_leave(loop);
    return NULL;
}

static void let_go(tr_runtime *runtime, int go) {
    pthread_mutex_lock(&runtime->mutex);
    runtime->go = go;
    pthread_cond_broadcast(&runtime->changed);
    pthread_mutex_unlock(&runtime->mutex);
}

/* Threads for loops 1.. ; returns once each has a working loop, or an error. */
static int start_workers(tr_runtime *runtime) {
    int err = 0;
    sigset_t before;
    tri_signals_block_all(&before);
    for (int i = 1; i < runtime->loop_count && err == 0; i++) {
        err = -pthread_create(&runtime->threads[i], NULL, worker_main, runtime->loops[i]);
        if (err == 0) {
            char name[24];
            snprintf(name, sizeof name, "troupe-%d", i);
            pthread_setname_np(runtime->threads[i], name);
            runtime->thread_count++;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&runtime->mutex);
    while (runtime->started < runtime->thread_count) {
        pthread_cond_wait(&runtime->changed, &runtime->mutex);
    }
    err = err < 0 ? err : runtime->start_err;
    pthread_mutex_unlock(&runtime->mutex);
    return err;
}

/* True: all have ended. A thread that is stuck is named and left behind. */
static bool join_workers(tr_runtime *runtime, bool ran) {
    bool all = true;
    for (int i = 1; i <= runtime->thread_count; i++) {
        int64_t until_ms = tri_wall_clock_ms() + GRACE_MS;
        struct timespec until = {.tv_sec = until_ms / 1000,
                                 .tv_nsec = until_ms % 1000 * (long)TR_MS};
        bool answered = !ran || runtime->finished == runtime->loop_count - 1;
        if (answered) {
            pthread_join(runtime->threads[i], NULL);
        } else if (pthread_timedjoin_np(runtime->threads[i], NULL, &until) != 0) {
            tr_log(TR_LOG_ERROR,
                   "shutdown: loop %d is stuck in a callback or handler that blocks; its thread is "
                   "left behind",
                   i);
            pthread_detach(runtime->threads[i]);
            all = false;
        }
    }
    return all;
}

/* ---- making and unmaking -------------------------------------------------------------------- */

static int log_context(const char **ret_subject) {
    const tr_loop *loop = tri_current_loop;
    if (loop == NULL) {
        *ret_subject = "";
        return -1;
    }
    *ret_subject = loop->current != NULL ? loop->current->name(loop->current) : "";
    return loop->index;
}

static int check_opts(const struct tr_run_opts *opts) {
    if (opts->loops < TR_ALL_CPUS || opts->loops > TR_LOOPS_MAX) {
        tr_log(TR_LOG_ERROR, "tr_run_opts.loops is %d: expected 1 to %d, 0, or TR_ALL_CPUS",
               opts->loops, TR_LOOPS_MAX);
        return -EINVAL;
    }
    if (opts->shutdown_timeout < 0) {
        tr_log(TR_LOG_ERROR, "tr_run_opts.shutdown_timeout is %lld: expected 0 or more nanoseconds",
               (long long)opts->shutdown_timeout);
        return -EINVAL;
    }
    if (opts->stack_bytes != 0 &&
        (opts->stack_bytes < TRI_STACK_MIN || opts->stack_bytes > TRI_STACK_MAX)) {
        tr_log(TR_LOG_ERROR, "tr_run_opts.stack_bytes is %zu: expected 0, or %zu to %zu",
               opts->stack_bytes, (size_t)TRI_STACK_MIN, (size_t)TRI_STACK_MAX);
        return -EINVAL;
    }
    return 0;
}

/* Which CPU each loop is pinned to; -1: none. */
static void place_loops(tr_runtime *runtime) {
    for (int i = 0; i < runtime->loop_count; i++) {
        bool pin = !runtime->opts.no_pinning && runtime->loop_count <= runtime->allowed_cpu_count;
        runtime->cpus[i] = pin ? runtime->allowed_cpus[i] : -1;
    }
}

static void runtime_free(tr_runtime *runtime) {
    for (int slot = TRI_EXT_COUNT - 1; slot >= 0; slot--) {
        if (runtime->ext[slot] != NULL) {
            runtime->ext[slot]->destroy(runtime, runtime->ext[slot]);
        }
    }
    for (int i = 0; i < runtime->loop_count; i++) {
        if (runtime->loops[i] != NULL) {
            tri_loop_release(runtime->loops[i]);
        }
    }
    pthread_mutex_destroy(&runtime->mutex);
    pthread_cond_destroy(&runtime->changed);
    tri_free(runtime->allowed_cpus);
    tri_free(runtime);
}

static void choose_seams(const struct tr_seams *wanted, struct tr_seams *seams) {
    *seams = *tr_seams_system();
    if (wanted != NULL) {
        seams->now = wanted->now != NULL ? wanted->now : seams->now;
        seams->random = wanted->random != NULL ? wanted->random : seams->random;
        seams->poller = wanted->poller != NULL ? wanted->poller : seams->poller;
        seams->arg = wanted->arg;
    }
}

static int make_loops(tr_runtime *runtime) {
    struct tr_seams seams;
    choose_seams(runtime->opts.seams, &seams);
    /* Spinning needs a CPU of one's own, and somebody who may post meanwhile. */
    bool spins = runtime->loop_count > 1 && runtime->loop_count <= runtime->allowed_cpu_count;
    for (int i = 0; i < runtime->loop_count; i++) {
        int err =
            tri_loop_acquire(runtime, i, &seams, runtime->opts.stack_bytes, &runtime->loops[i]);
        if (err < 0) {
            return err;
        }
        runtime->loops[i]->spin = spins ? TRI_SPIN_MAX : 0;
    }
    return 0;
}

static int runtime_new(tr_task_fn *fn, const struct tr_run_opts *opts, tr_runtime **ret_runtime) {
    int *cpus = tri_malloc(TRI_CPUS_MAX * sizeof *cpus);
    tr_runtime *runtime = tri_calloc(1, sizeof *runtime);
    int cpu_count = cpus != NULL ? tri_cpus_allowed(cpus) : -ENOMEM;
    if (runtime == NULL || cpu_count < 0) {
        tri_free(cpus);
        tri_free(runtime);
        return cpu_count < 0 ? cpu_count : -ENOMEM;
    }
    pthread_mutex_init(&runtime->mutex, NULL);
    pthread_cond_init(&runtime->changed, NULL);
    runtime->fn = fn;
    runtime->opts = *opts;
    runtime->allowed_cpus = cpus;
    runtime->allowed_cpu_count = cpu_count;
    if (runtime->opts.shutdown_timeout == 0) {
        runtime->opts.shutdown_timeout = SHUTDOWN_SECONDS * TR_SECOND;
    }
    int loops = opts->loops == TR_ALL_CPUS ? cpu_count : opts->loops == 0 ? 1 : opts->loops;
    runtime->loop_count = loops < TR_LOOPS_MAX ? loops : TR_LOOPS_MAX;
    place_loops(runtime);
    int err = make_loops(runtime);
    if (err < 0) {
        runtime_free(runtime);
        return err;
    }
    *ret_runtime = runtime;
    return 0;
}

static int run_loops(tr_runtime *runtime) {
    tr_loop *loop = runtime->loops[0];
    int err = tri_loop_enter(loop);
    if (err == 0) {
        err = start_workers(runtime);
    }
    if (err == 0) {
        err = tri_signals_begin(runtime);
    }
    if (err == 0) {
        err = tr_task_new(loop, "runtime", run_life, runtime, NULL);
    }
    let_go(runtime, err == 0 ? 1 : -1);
    if (err == 0) {
        tri_loop_run(loop);
        err = runtime->result;
        runtime->has_run = true;
    }
    tri_signals_end(runtime);
    return err;
}

int tr_run_with(tr_task_fn *fn, const struct tr_run_opts *opts) {
    static const struct tr_run_opts defaults;
    opts = opts != NULL ? opts : &defaults;
    if (tri_current_loop != NULL) {
        return TR_ENESTED;
    }
    int err = check_opts(opts);
    if (err < 0) {
        return err;
    }
    tr_runtime *runtime;
    tri_log_set_context(log_context);
    err = runtime_new(fn, opts, &runtime);
    if (err < 0) {
        return err;
    }
    cpu_set_t before;
    bool was_pinned = runtime->cpus[0] >= 0 && sched_getaffinity(0, sizeof before, &before) == 0 &&
                      tri_cpu_pin(runtime->cpus[0]) == 0;
    tri_signals_block(runtime);
    err = run_loops(runtime);
    bool all_ended = join_workers(runtime, runtime->has_run);
    tri_loop_leave(runtime->loops[0]);
    tri_signals_unblock(runtime);
    if (was_pinned) {
        sched_setaffinity(0, sizeof before, &before);
    }
    if (all_ended) {
        runtime_free(runtime);
    }
    return err;
}

/* ---- queries and extensions -------------------------------------------------------------------- */

int tr_runtime_loops(const tr_runtime *runtime) {
    return runtime->loop_count;
}

tr_loop *tr_runtime_loop(const tr_runtime *runtime, int index) {
    return index >= 0 && index < runtime->loop_count ? runtime->loops[index] : NULL;
}

int tri_runtime_cpus(const tr_runtime *runtime, const int **ret_cpus) {
    *ret_cpus = runtime->allowed_cpus;
    return runtime->allowed_cpu_count;
}

tri_runtime_ext *tri_runtime_ext_peek(tr_runtime *runtime, int slot) {
    pthread_mutex_lock(&runtime->mutex);
    tri_runtime_ext *ext = runtime->ext[slot];
    pthread_mutex_unlock(&runtime->mutex);
    return ext;
}

tri_runtime_ext *tri_runtime_ext_get(tr_runtime *runtime, int slot,
                                     tri_runtime_ext *(*make)(tr_runtime *runtime)) {
    pthread_mutex_lock(&runtime->mutex);
    if (runtime->ext[slot] == NULL) {
        runtime->ext[slot] = make(runtime);
    }
    tri_runtime_ext *ext = runtime->ext[slot];
    pthread_mutex_unlock(&runtime->mutex);
    return ext;
}
