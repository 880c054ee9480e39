/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_tasks.c: switching between tasks, starting and joining them.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdlib.h>

static int64_t task_count;
static int64_t rounds;
static int64_t switches; /* by all tasks of the one loop */
static int64_t elapsed;

static int yielder(void *arg) {
    (void)arg;
    for (int64_t i = 0; i < rounds; i++) {
        int err = tr_yield();
        bench_check(err == 0, "tr_yield: %s", tr_err_text(err));
        switches++;
    }
    return 0;
}

static int yielders(void *arg) {
    (void)arg;
    tr_loop *loop = tr_loop_running();
    tr_task **tasks = calloc((size_t)task_count, sizeof(tr_task *));
    bench_check(tasks != NULL, "out of memory");
    for (int64_t i = 0; i < task_count; i++) {
        int err = tr_task_new(loop, NULL, yielder, NULL, &tasks[i]);
        bench_check(err == 0, "tr_task_new: %s", tr_err_text(err));
    }
    /* Their stacks are made in the first turn, which isn't part of it. */
    (void)tr_yield();
    (void)tr_yield();
    int64_t begin = bench_now();
    int64_t before = switches;
    for (int64_t i = 0; i < task_count; i++) {
        int err = tr_task_join(tasks[i]);
        bench_check(err == 0, "tr_task_join: %s", tr_err_text(err));
    }
    elapsed = bench_now() - begin;
    bench_check(switches == task_count * rounds, "%" PRId64 " switches", switches);
    switches -= before;
    free(tasks);
    return 0;
}

static double run_yield_2(void) {
    task_count = 2;
    rounds = bench_scaled(5 * 1000 * 1000);
    bench_troupe(1, yielders);
    return bench_ns_each(switches, elapsed);
}

static double run_yield_10000(void) {
    task_count = 10 * 1000;
    rounds = bench_scaled(1000);
    bench_troupe(1, yielders);
    return bench_ns_each(switches, elapsed);
}

/* ---- spawn_join ----------------------------------------------------------------------------- */

static int64_t ran;

static int empty(void *arg) {
    (void)arg;
    ran++;
    return 0;
}

static int joiner(void *arg) {
    (void)arg;
    tr_loop *loop = tr_loop_running();
    int64_t begin = bench_now();
    for (int64_t i = 0; i < task_count; i++) {
        tr_task *task;
        int err = tr_task_new(loop, NULL, empty, NULL, &task);
        bench_check(err == 0, "tr_task_new: %s", tr_err_text(err));
        err = tr_task_join(task);
        bench_check(err == 0, "tr_task_join: %s", tr_err_text(err));
    }
    elapsed = bench_now() - begin;
    bench_check(ran == task_count, "%" PRId64 " tasks ran", ran);
    return 0;
}

static double run_spawn_join(void) {
    task_count = bench_scaled(5 * 1000 * 1000);
    bench_troupe(1, joiner);
    return bench_ns_each(task_count, elapsed);
}

const struct bench_workload bench_tasks[] = {
    {"yield_2", "troupe", "ns/switch", run_yield_2, 1},
    {"yield_10000", "troupe", "ns/switch", run_yield_10000, 1},
    {"spawn_join", "troupe", "ns/task", run_spawn_join, 1},
    {NULL, NULL, NULL, NULL, 0},
};
