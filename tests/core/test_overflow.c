/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_overflow.c: a task that recurses over its stack dies with a report that names it.
 */
#include "support/t_task.h"

static volatile bool is_bottomless = true;

static __attribute__((noinline)) int recurse(volatile char *above) {
    volatile char frame[512];
    frame[0] = above[0];
    int depth = is_bottomless ? recurse(frame) : 0;
    return depth + frame[0]; /* something to do after the call: no tail call */
}

static int run_over(void *arg) {
    volatile char start = 1;
    (void)arg;
    return recurse(&start);
}

static int suspend_and_run_over(void *arg) {
    int err = tr_yield();
    return err < 0 ? err : run_over(arg);
}

static int start_one(void *arg) {
    tr_task *task;
    tr_task_fn *fn = *(tr_task_fn **)arg;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "bottomless", fn, NULL, &task), 0);
    return tr_task_join(task);
}

/* On the dispatcher's stack, which the task never left. */
T_DEATH_TEST_MSG(overflow, names_a_task_on_the_loops_stack, SIGSEGV,
                 "troupe: stack overflow in task 'bottomless'") {
    tr_task_fn *fn = run_over;
    t_run_task(start_one, &fn, 1);
}

/* On a stack of its own, after a suspension. */
T_DEATH_TEST_MSG(overflow, names_a_task_on_its_own_stack, SIGSEGV,
                 "troupe: stack overflow in task 'bottomless'") {
    tr_task_fn *fn = suspend_and_run_over;
    t_run_task(start_one, &fn, 1);
}

T_DEATH_TEST_MSG(overflow, names_the_main_task, SIGSEGV, "troupe: stack overflow in task 'main'") {
    t_run_task(run_over, NULL, 2);
}

static void start_on_loop_1(void *arg) {
    (void)arg;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "elsewhere", suspend_and_run_over, NULL, NULL), 0);
}

static int start_elsewhere(void *arg) {
    tr_loop *other = tr_runtime_loop(tr_loop_runtime(tr_loop_running()), 1);
    (void)arg;
    T_CHECK_INT(tr_loop_call_soon_threadsafe(other, start_on_loop_1, NULL), 0);
    return tr_sleep(10 * TR_SECOND);
}

T_DEATH_TEST_MSG(overflow, names_a_task_on_another_thread, SIGSEGV,
                 "troupe: stack overflow in task 'elsewhere'") {
    t_run_task(start_elsewhere, NULL, 2);
}

static void run_over_in_callback(void *arg) {
    (void)run_over(arg);
}

static int schedule_the_end(void *arg) {
    T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), run_over_in_callback, arg, NULL), 0);
    return tr_sleep(10 * TR_SECOND);
}

T_DEATH_TEST_MSG(overflow, names_the_loop_in_a_callback, SIGSEGV,
                 "troupe: stack overflow in task '(loop)'") {
    t_run_task(schedule_the_end, NULL, 1);
}

/* ---- and what fits, fits -------------------------------------------------------------- */

static __attribute__((noinline)) int use_stack(int kib) {
    volatile char block[1024];
    block[0] = (char)kib;
    return kib > 0 ? use_stack(kib - 1) + block[0] - block[0] : 0;
}

static int use_most_of_the_stack(void *arg) {
    T_CHECK_INT(tr_yield(), 0);
    return use_stack(*(int *)arg);
}

T_TEST(overflow, stack_bytes_is_what_a_task_gets) {
    int kib = 150;
    T_CHECK_INT(tr_run(use_most_of_the_stack, &kib), 0);
    kib = 3000;
    T_CHECK_INT(tr_run(use_most_of_the_stack, &kib, .stack_bytes = 8 << 20), 0);
}
