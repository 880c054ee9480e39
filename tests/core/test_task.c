/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_task.c: starting, cancelling and ending tasks; time limits.
 */
#include "support/t_task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static tr_task *start(const char *name, tr_task_fn *fn, void *arg) {
    tr_task *task = NULL;
    T_CHECK_INT(tr_task_new(tr_loop_running(), name, fn, arg, &task), 0);
    return task;
}

static void yield_times(int times) {
    for (int i = 0; i < times; i++) {
        T_CHECK_INT(tr_yield(), 0);
    }
}

/* ---- starting and ending -------------------------------------------------------------- */

static int set_flag(void *arg) {
    *(bool *)arg = true;
    return 0;
}

T_TASK_TEST(task, first_runs_in_the_next_turn) {
    bool has_run = false;
    tr_task *task = start("t", set_flag, &has_run);
    T_CHECK(!has_run);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK(has_run);
    T_CHECK(!tr_task_cancel(task)); /* it has ended */
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK(tr_task_unref(NULL) == NULL);
    return 0;
}

static int return_it(void *arg) {
    return *(int *)arg;
}

T_TASK_TEST(task, result_is_the_futures) {
    int results[3] = {17, -EIO, TR_ECANCELLED};
    for (int i = 0; i < 3; i++) {
        tr_task *task = start("t", return_it, &results[i]);
        T_CHECK_INT(tr_future_result(tr_task_future(task)), TR_EPENDING);
        T_CHECK_INT(tr_await(tr_task_future(task)), results[i]);
        T_CHECK_INT(tr_future_is_cancelled(tr_task_future(task)), i == 2);
        T_CHECK_INT(tr_task_join(task), results[i]);
    }
    return 0;
}

static int check_own_name(void *arg) {
    T_CHECK_STR(tr_task_name(tr_task_current()), arg);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(tr_task_name(tr_task_current()), arg);
    return 0;
}

T_TASK_TEST(task, names_are_copied_and_cut) {
    char name[64] = "reader";
    char expected[] = "reader";
    tr_task *task = start(name, check_own_name, expected);
    memset(name, 'x', sizeof name - 1);
    T_CHECK_INT(tr_task_join(task), 0);

    char cut[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; /* 31 */
    T_CHECK_INT(tr_task_join(start(name, check_own_name, cut)), 0);
    char standard[] = "task";
    T_CHECK_INT(tr_task_join(start(NULL, check_own_name, standard)), 0);
    T_CHECK_STR(tr_task_name(tr_task_current()), "main");
    return 0;
}

struct turns {
    char *trace;
    char letter;
};

static int three_turns(void *arg) {
    struct turns *turns = arg;
    for (int i = 0; i < 3; i++) {
        size_t size = strlen(turns->trace);
        turns->trace[size] = turns->letter;
        turns->trace[size + 1] = '\0';
        T_CHECK_INT(i == 1 ? tr_sleep(0) : tr_yield(), 0);
    }
    return 0;
}

T_TASK_TEST(task, yields_take_turns_in_order) {
    char trace[16] = "";
    struct turns turns[3] = {{trace, 'a'}, {trace, 'b'}, {trace, 'c'}};
    tr_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        tasks[i] = start("t", three_turns, &turns[i]);
    }
    for (int i = 0; i < 3; i++) {
        T_CHECK_INT(tr_task_join(tasks[i]), 0);
    }
    T_CHECK_STR(trace, "abcabcabc");
    return 0;
}

static int sleep_forever(void *arg) {
    int err = tr_sleep(TR_FOREVER);
    if (arg != NULL) {
        ++*(int *)arg;
    }
    return err;
}

T_TASK_TEST(task, ten_thousand_suspended_at_once) {
    enum { TASKS = 10000 };
    tr_task **tasks = malloc(TASKS * sizeof *tasks);
    int ended = 0;
    t_timeout(60);
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = start("t", sleep_forever, &ended);
    }
    yield_times(2);
    struct tr_loop_stats stats;
    tr_loop_get_stats(tr_loop_running(), &stats);
    T_CHECK(stats.tasks >= TASKS && stats.stacks >= TASKS);
    for (int i = TASKS - 1; i >= 0; i--) {
        T_CHECK(tr_task_cancel(tasks[i]));
    }
    for (int i = 0; i < TASKS; i++) {
        T_CHECK_INT(tr_task_join(tasks[i]), TR_ECANCELLED);
    }
    T_CHECK_INT(ended, TASKS);
    free(tasks);
    return 0;
}

/* ---- errors that nobody asked for ----------------------------------------------------- */

struct log {
    int lines;
    char text[200];
};

static void keep_line(void *arg, const struct tr_log_line *line) {
    struct log *log = arg;
    if (strstr(line->text, "nobody asked") != NULL) {
        log->lines++;
        snprintf(log->text, sizeof log->text, "%s", line->text);
    }
}

static int fail_io(void *arg) {
    (void)arg;
    return -EIO;
}

static int cancelled(void *arg) {
    (void)arg;
    return TR_ECANCELLED;
}

static int start_failing_tasks(void *arg) {
    struct log *log = arg;
    tr_loop *loop = tr_loop_running();
    T_TASK_REQUIRE(tr_task_new(loop, "floats", fail_io, NULL, NULL) == 0);
    yield_times(2);
    T_CHECK_INT(log->lines, 1);
    T_CHECK(strstr(log->text, "floats") != NULL && strstr(log->text, "EIO") != NULL);

    tr_task *task = start("dropped", fail_io, NULL);
    yield_times(2);
    tr_task_unref(task);
    T_CHECK_INT(log->lines, 2);
    T_CHECK(strstr(log->text, "dropped") != NULL);

    /* Asked, in either way; cancelled is no failure. */
    T_CHECK_INT(tr_task_join(start("joined", fail_io, NULL)), -EIO);
    task = start("asked", fail_io, NULL);
    yield_times(2);
    T_CHECK_INT(tr_future_result(tr_task_future(task)), -EIO);
    tr_task_unref(task);
    T_TASK_REQUIRE(tr_task_new(loop, "cancelled", cancelled, NULL, NULL) == 0);
    yield_times(2);
    T_CHECK_INT(log->lines, 2);
    return 0;
}

/* asyncio: "Task exception was never retrieved" */
T_TEST(task, error_that_nobody_asked_for_is_logged) {
    struct log log = {0};
    tr_log_set_sink(keep_line, &log, TR_LOG_WARN);
    t_run_task(start_failing_tasks, &log, 1);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

/* ---- cancelling ----------------------------------------------------------------------- */

/* asyncio: Task.cancel() before the first step */
T_TASK_TEST(task, cancelled_before_the_first_step_never_enters) {
    bool has_run = false;
    tr_task *task = start("t", set_flag, &has_run);
    T_CHECK(tr_task_cancel(task));
    T_CHECK(!tr_future_is_done(tr_task_future(task)));
    T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
    T_CHECK(!has_run);
    return 0;
}

static int in_sleep(void *arg) {
    (void)arg;
    return tr_sleep(TR_SECOND * 3600);
}

static int in_await(void *arg) {
    return tr_await(arg);
}

static int in_gather(void *arg) {
    tr_future *futures[1] = {arg};
    return tr_gather(futures, 1, 0, NULL);
}

static int in_wait_for(void *arg) {
    return tr_wait_for(arg, TR_SECOND * 3600);
}

static int in_join(void *arg) {
    (void)arg;
    return tr_task_join(start("child", in_sleep, NULL));
}

T_TASK_TEST(task, cancelled_at_each_suspension_point) {
    static tr_task_fn *const points[] = {in_sleep,    in_await, in_gather,
                                         in_wait_for, in_join,  sleep_forever};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        tr_future *future;
        T_TASK_REQUIRE(tr_future_new(tr_loop_running(), &future) == 0);
        bool uses_it = points[i] != sleep_forever;
        tr_task *task = start("t", points[i], uses_it ? future : NULL);
        yield_times(3);
        T_CHECK(tr_task_cancel(task));
        T_CHECK_INT(tr_task_cancelling(task), 1);
        T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
        tr_future_unref(future);
    }
    struct tr_loop_stats stats;
    tr_loop_get_stats(tr_loop_running(), &stats);
    T_CHECK_INT(stats.timers, 0); /* nothing is left */
    return 0;
}

static int yield_until_cancelled(void *arg) {
    int err = 0;
    while (err == 0) {
        ++*(int *)arg;
        err = tr_yield();
    }
    return err;
}

T_TASK_TEST(task, cancelled_in_a_yield) {
    int rounds = 0;
    tr_task *task = start("t", yield_until_cancelled, &rounds);
    yield_times(3);
    T_CHECK(rounds > 0);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
    return 0;
}

/* asyncio: cancel() of a task that runs is delivered by its next await */
T_TASK_TEST(task, cancelling_oneself_is_delivered_by_the_next_wait) {
    T_CHECK(tr_task_cancel(tr_task_current()));
    T_CHECK_INT(tr_task_cancelling(NULL), 1);
    T_CHECK_INT(tr_sleep(TR_SECOND), TR_ECANCELLED);
    T_CHECK_INT(tr_sleep(TR_US), 0); /* once is enough */
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    T_CHECK_INT(tr_task_uncancel(NULL), 0); /* never below zero */
    T_CHECK(tr_task_cancel(tr_task_current()));
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    T_CHECK_INT(tr_yield(), 0); /* asyncio since 3.13: taken back before it was delivered */
    return 0;
}

static int swallow_one(void *arg) {
    T_CHECK_INT(tr_sleep(TR_FOREVER), TR_ECANCELLED);
    T_CHECK_INT(tr_task_cancelling(NULL), 1);
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    *(bool *)arg = true;
    T_CHECK_INT(tr_sleep(TR_MS), 0); /* it goes on as if nothing had been */
    T_CHECK_INT(tr_sleep(TR_FOREVER), TR_ECANCELLED);
    T_CHECK_INT(tr_task_cancelling(NULL), 1);
    return 5;
}

/* asyncio: a task may catch CancelledError and go on; the next cancel() counts anew */
T_TASK_TEST(task, swallowed_cancellation) {
    bool has_swallowed = false;
    tr_task *task = start("t", swallow_one, &has_swallowed);
    yield_times(2);
    tr_task_cancel(task);
    yield_times(2);
    T_CHECK(has_swallowed);
    T_CHECK(!tr_future_is_done(tr_task_future(task)));
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), 5);
    return 0;
}

static int count_cancellations(void *arg) {
    (void)arg;
    T_CHECK_INT(tr_sleep(TR_FOREVER), TR_ECANCELLED);
    return tr_task_cancelling(NULL);
}

T_TASK_TEST(task, two_requests_in_one_wait_are_delivered_once) {
    tr_task *task = start("t", count_cancellations, NULL);
    yield_times(2);
    T_CHECK(tr_task_cancel(task));
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 2);
    return 0;
}

static int clean_up_slowly(void *arg) {
    int err = tr_sleep(TR_FOREVER);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0); /* cleaning up may suspend */
    *(bool *)arg = true;
    return err;
}

static int join_it(void *arg) {
    return tr_task_join(arg);
}

T_TASK_TEST(task, cancelled_join_waits_for_the_end) {
    bool is_clean = false;
    tr_task *child = start("child", clean_up_slowly, &is_clean);
    tr_task *parent = start("parent", join_it, child);
    yield_times(3);
    tr_task_cancel(parent);
    T_CHECK_INT(tr_task_join(parent), TR_ECANCELLED);
    T_CHECK(is_clean);
    return 0;
}

/* ---- tasks that wait for each other --------------------------------------------------- */

static int await_self(void *arg) {
    (void)arg;
    return tr_await(tr_task_future(tr_task_current()));
}

/* asyncio: RuntimeError "Task cannot await on itself" */
T_DEATH_TEST_MSG(task, awaiting_oneself_aborts, SIGABRT, "a task can't wait for itself") {
    t_run_task(await_self, NULL, 1);
}

/* ---- sleeping ------------------------------------------------------------------------- */

T_TASK_TEST(task, sleep_is_never_early) {
    tr_loop *loop = tr_loop_running();
    static const tr_time delays[] = {1, 70 * TR_US, TR_MS, 12 * TR_MS};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        tr_time before = tr_loop_time(loop);
        T_CHECK_INT(tr_sleep(delays[i]), 0);
        T_CHECK(tr_loop_time(loop) - before >= delays[i]);
    }
    T_CHECK_INT(tr_sleep(-1), 0);
    return 0;
}

static void yield_in_callback(void *arg) {
    (void)arg;
    (void)tr_yield();
}

static int schedule_a_yield(void *arg) {
    (void)arg;
    T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), yield_in_callback, NULL, NULL), 0);
    return tr_sleep(TR_SECOND);
}

T_DEATH_TEST_MSG(task, suspending_in_a_callback_aborts, SIGABRT, "tr_yield") {
    t_run_task(schedule_a_yield, NULL, 1);
}

T_DEATH_TEST_MSG(task, suspending_without_a_loop_aborts, SIGABRT, "tr_sleep") {
    (void)tr_sleep(TR_MS);
}
