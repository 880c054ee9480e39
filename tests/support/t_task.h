/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file t_task.h
 * Tests whose body is a task: it runs as the main function of a fresh runtime and may suspend.
 *
 *     T_TASK_TEST(task, sleep_returns_zero) {
 *         T_TASK_REQUIRE(tr_sleep(TR_MS) == 0);
 *         return 0;
 *     }
 */
#ifndef T_TASK_H
#define T_TASK_H

#include "t.h"

#include <troupe/core.h>

/** The condition holds, or the task ends here with -1. */
#define T_TASK_REQUIRE(cond)                               \
    do {                                                   \
        if (!t_check((cond), __FILE__, __LINE__, #cond)) { \
            return -1;                                     \
        }                                                  \
    } while (0)

/** Runs the function as main task of a runtime with that many loops; its result must be 0. */
static inline void t_run_task(tr_task_fn *fn, void *arg, int loops) {
    struct tr_run_opts opts = {.arg = arg, .loops = loops};
    int result = tr_run_with(fn, &opts);
    if (result != 0 && t_failures() == 0) {
        T_FAIL("the task returned %d", result);
    }
}

#define T_TASK_TEST_LOOPS(suite, name, loops)             \
    static int t_task_##suite##_##name(void *t_arg);      \
    T_TEST(suite, name) {                                 \
        t_run_task(t_task_##suite##_##name, NULL, loops); \
    }                                                     \
    static int t_task_##suite##_##name(void *t_arg __attribute__((unused)))

/** A test whose body runs as the main task of a runtime with one loop, and returns 0. */
#define T_TASK_TEST(suite, name) T_TASK_TEST_LOOPS(suite, name, 1)

#endif /* T_TASK_H */
