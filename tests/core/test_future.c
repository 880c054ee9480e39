/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_future.c: completing, waiting, callbacks, shields.
 */
#include "support/t_task.h"

#include <errno.h>
#include <string.h>

static tr_future *new_future(void) {
    tr_future *future = NULL;
    T_CHECK_INT(tr_future_new(tr_loop_running(), &future), 0);
    return future;
}

struct waiter {
    tr_future *future;
    int result;
    bool is_done;
};

static int await_it(void *arg) {
    struct waiter *w = arg;
    w->result = tr_await(w->future);
    w->is_done = true;
    return 0;
}

static tr_task *start_waiter(struct waiter *w) {
    tr_task *task = NULL;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "waiter", await_it, w, &task), 0);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_INT(tr_yield(), 0);
    return task;
}

/* ---- completing ----------------------------------------------------------------------- */

T_TASK_TEST(future, pending_then_done) {
    int value;
    tr_future *future = new_future();
    T_CHECK(!tr_future_is_done(future));
    T_CHECK(!tr_future_is_cancelled(future));
    T_CHECK_INT(tr_future_result(future), TR_EPENDING);
    T_CHECK(tr_future_value(future) == NULL);
    tr_future_set(future, 42, &value);
    T_CHECK(tr_future_is_done(future));
    T_CHECK(!tr_future_is_cancelled(future));
    T_CHECK_INT(tr_future_result(future), 42);
    T_CHECK(tr_future_value(future) == &value);
    T_CHECK_INT(tr_await(future), 42);
    T_CHECK(!tr_future_cancel(future)); /* too late */
    T_CHECK_INT(tr_future_result(future), 42);
    T_CHECK(tr_future_unref(future) == NULL);
    T_CHECK(tr_future_unref(NULL) == NULL);
    return 0;
}

T_TASK_TEST(future, an_error_is_a_result) {
    tr_future *future = new_future();
    tr_future_set(future, -EIO, NULL);
    T_CHECK(tr_future_is_done(future) && !tr_future_is_cancelled(future));
    T_CHECK_INT(tr_await(future), -EIO);
    tr_future_unref(future);
    return 0;
}

T_TASK_TEST(future, cancel) {
    tr_future *future = new_future();
    T_CHECK(tr_future_cancel(future));
    T_CHECK(tr_future_is_done(future) && tr_future_is_cancelled(future));
    T_CHECK_INT(tr_future_result(future), TR_ECANCELLED);
    T_CHECK(!tr_future_cancel(future));
    T_CHECK_INT(tr_await(future), TR_ECANCELLED);
    T_CHECK_INT(tr_task_cancelling(NULL), 0); /* which tells that it wasn't us */
    tr_future_unref(future);
    return 0;
}

static int set_twice(void *arg) {
    (void)arg;
    tr_future *future = new_future();
    tr_future_set(future, 0, NULL);
    tr_future_set(future, 0, NULL);
    return 0;
}

/* asyncio: InvalidStateError */
T_DEATH_TEST_MSG(future, completing_twice_aborts, SIGABRT, "tr_future_set") {
    t_run_task(set_twice, NULL, 1);
}

/* ---- waiting -------------------------------------------------------------------------- */

T_TASK_TEST(future, all_waiters_are_told_in_a_later_turn) {
    struct waiter w[3] = {{.future = new_future()}};
    tr_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        w[i].future = w[0].future;
        tasks[i] = start_waiter(&w[i]);
    }
    tr_future_set(w[0].future, 5, NULL);
    T_CHECK(!w[0].is_done);
    T_CHECK_INT(tr_yield(), 0);
    for (int i = 0; i < 3; i++) {
        T_CHECK(w[i].is_done);
        T_CHECK_INT(w[i].result, 5);
        T_CHECK_INT(tr_task_join(tasks[i]), 0);
    }
    tr_future_unref(w[0].future);
    return 0;
}

T_TASK_TEST(future, waiters_keep_it_alive) {
    struct waiter w = {.future = new_future()};
    tr_future *ours = tr_future_ref(w.future);
    tr_task *task = start_waiter(&w);
    tr_future_unref(ours);
    tr_future_set(w.future, 1, NULL);
    tr_future_unref(w.future); /* the last of ours: the waiter has not run yet */
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(w.result, 1);
    return 0;
}

/* asyncio: Task.cancel() cancels the future that the task awaits */
T_TASK_TEST(future, cancelling_a_waiter_cancels_the_future) {
    struct waiter w[2] = {{.future = new_future()}};
    w[1].future = w[0].future;
    tr_task *tasks[2] = {start_waiter(&w[0]), start_waiter(&w[1])};
    T_CHECK(tr_task_cancel(tasks[0]));
    T_CHECK(tr_future_is_cancelled(w[0].future));
    T_CHECK_INT(tr_task_join(tasks[0]), 0);
    T_CHECK_INT(tr_task_join(tasks[1]), 0);
    T_CHECK_INT(w[0].result, TR_ECANCELLED);
    T_CHECK_INT(w[1].result, TR_ECANCELLED);
    tr_future_unref(w[0].future);
    return 0;
}

/* asyncio: a cancellation between the completion and the resumption wins; the result stays in
 * the future. */
T_TASK_TEST(future, cancelled_between_completion_and_resumption) {
    struct waiter w = {.future = new_future()};
    tr_task *task = start_waiter(&w);
    tr_future_set(w.future, 9, NULL);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(w.result, TR_ECANCELLED);
    T_CHECK_INT(tr_future_result(w.future), 9);
    tr_future_unref(w.future);
    return 0;
}

T_TASK_TEST(future, awaiting_a_done_one_does_not_suspend) {
    tr_future *future = new_future();
    struct tr_loop_stats before, after;
    tr_future_set(future, 3, NULL);
    tr_task_cancel(tr_task_current());
    tr_loop_get_stats(tr_loop_running(), &before);
    T_CHECK_INT(tr_await(future), 3); /* and the cancellation stays pending */
    tr_loop_get_stats(tr_loop_running(), &after);
    T_CHECK_INT(after.turns, before.turns);
    T_CHECK_INT(tr_yield(), TR_ECANCELLED);
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    tr_future_unref(future);
    return 0;
}

/* ---- callbacks ------------------------------------------------------------------------ */

struct note {
    char *trace;
    char letter;
};

static void note_done(tr_future *future, void *arg) {
    struct note *note = arg;
    size_t size = strlen(note->trace);
    T_CHECK(tr_future_is_done(future));
    note->trace[size] = note->letter;
    note->trace[size + 1] = '\0';
}

T_TASK_TEST(future, callbacks_run_in_order_in_the_next_turn) {
    char trace[8] = "";
    struct note notes[4] = {{trace, 'a'}, {trace, 'b'}, {trace, 'c'}, {trace, 'd'}};
    tr_future *future = new_future();
    for (int i = 0; i < 3; i++) {
        T_CHECK_INT(tr_future_add_done_callback(future, note_done, &notes[i]), 0);
    }
    tr_future_set(future, 0, NULL);
    T_CHECK_STR(trace, ""); /* never inside the completing call */
    T_CHECK_INT(tr_future_add_done_callback(future, note_done, &notes[3]), 0);
    T_CHECK_STR(trace, "");  /* nor inside the adding one */
    tr_future_unref(future); /* the callbacks hold their own references */
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(trace, "abcd");
    return 0;
}

/* ---- shield --------------------------------------------------------------------------- */

T_TASK_TEST(future, shield_passes_the_result_on) {
    int value;
    tr_future *inner = new_future();
    tr_future *outer, *late;
    T_CHECK_INT(tr_shield(inner, &outer), 0);
    T_CHECK(!tr_future_is_done(outer));
    tr_future_set(inner, 11, &value);
    T_CHECK_INT(tr_await(outer), 11);
    T_CHECK(tr_future_value(outer) == &value);
    T_CHECK_INT(tr_shield(inner, &late), 0);
    T_CHECK_INT(tr_future_result(late), 11);
    tr_future_unref(outer);
    tr_future_unref(late);
    tr_future_unref(inner);
    return 0;
}

T_TASK_TEST(future, shield_keeps_a_cancellation_off) {
    tr_future *inner = new_future();
    struct waiter w = {0};
    T_CHECK_INT(tr_shield(inner, &w.future), 0);
    tr_task *task = start_waiter(&w);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(w.result, TR_ECANCELLED);
    T_CHECK(!tr_future_is_done(inner));
    tr_future_unref(w.future);
    tr_future_set(inner, 1, NULL); /* nobody waits any more: no crash */
    tr_future_unref(inner);
    return 0;
}

T_TASK_TEST(future, shield_follows_a_cancelled_inner) {
    tr_future *inner = new_future();
    tr_future *outer;
    T_CHECK_INT(tr_shield(inner, &outer), 0);
    T_CHECK(tr_future_cancel(inner));
    T_CHECK(tr_future_is_cancelled(outer));
    tr_future_unref(outer);
    tr_future_unref(inner);
    return 0;
}

static void must_not_run(tr_future *future, void *arg) {
    (void)future;
    (void)arg;
    T_FAIL("told about a future that was dropped");
}

/* Nobody can complete it any more: its callbacks and shields go with it. */
T_TASK_TEST(future, dropped_while_pending) {
    tr_future *inner = new_future();
    tr_future *outer;
    T_CHECK_INT(tr_shield(inner, &outer), 0);
    T_CHECK_INT(tr_future_add_done_callback(inner, must_not_run, NULL), 0);
    T_CHECK_INT(tr_future_add_done_callback(outer, must_not_run, NULL), 0);
    tr_future_unref(inner);
    T_CHECK(!tr_future_is_done(outer));
    tr_future_unref(outer);
    return tr_yield();
}

/* ---- one loop's only ------------------------------------------------------------------ */

struct foreign {
    tr_future *future;
    tr_loop *home;
};

static void cancel_elsewhere(void *arg) {
    tr_future_cancel(((struct foreign *)arg)->future);
}

static int use_elsewhere(void *arg) {
    (void)arg;
    struct foreign foreign = {.future = new_future(), .home = tr_loop_running()};
    tr_loop *other = tr_runtime_loop(tr_loop_runtime(foreign.home), 1);
    T_CHECK_INT(tr_loop_call_soon_threadsafe(other, cancel_elsewhere, &foreign), 0);
    return tr_sleep(10 * TR_SECOND);
}

T_DEATH_TEST_MSG(future, belongs_to_its_loop, SIGABRT, "tr_future_cancel") {
    t_run_task(use_elsewhere, NULL, 2);
}
