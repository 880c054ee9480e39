/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_combine.c: gather and wait_for.
 */
#include "support/t_task.h"

#include <errno.h>

static tr_future *new_future(void) {
    tr_future *future = NULL;
    T_CHECK_INT(tr_future_new(tr_loop_running(), &future), 0);
    return future;
}

static tr_task *start(tr_task_fn *fn, void *arg) {
    tr_task *task = NULL;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "t", fn, arg, &task), 0);
    return task;
}

static void yield_times(int times) {
    for (int i = 0; i < times; i++) {
        T_CHECK_INT(tr_yield(), 0);
    }
}

static void unref_all(tr_future **futures, size_t count) {
    for (size_t i = 0; i < count; i++) {
        tr_future_unref(futures[i]);
    }
}

/* ---- gather --------------------------------------------------------------------------- */

struct gathering {
    tr_future *futures[4];
    size_t count;
    unsigned flags;
    int results[4];
    int err;
    bool is_done;
};

static int gather(void *arg) {
    struct gathering *g = arg;
    g->err = tr_gather(g->futures, g->count, g->flags, g->results);
    g->is_done = true;
    return 0;
}

static tr_task *start_gather(struct gathering *g, size_t count) {
    g->count = count;
    for (size_t i = 0; i < count; i++) {
        g->futures[i] = g->futures[i] != NULL ? g->futures[i] : new_future();
    }
    tr_task *task = start(gather, g);
    yield_times(2);
    return task;
}

T_TASK_TEST(gather, of_nothing) {
    T_CHECK_INT(tr_gather(NULL, 0, 0, NULL), 0);
    return 0;
}

T_TASK_TEST(gather, waits_for_all) {
    struct gathering g = {0};
    tr_task *task = start_gather(&g, 3);
    tr_future_set(g.futures[1], 11, NULL);
    yield_times(2);
    tr_future_set(g.futures[0], 10, NULL);
    yield_times(2);
    T_CHECK(!g.is_done);
    tr_future_set(g.futures[2], 12, NULL);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(g.err, 0);
    for (int i = 0; i < 3; i++) {
        T_CHECK_INT(g.results[i], 10 + i); /* in the order of the futures */
    }
    unref_all(g.futures, 3);
    return 0;
}

T_TASK_TEST(gather, of_done_ones_does_not_suspend) {
    tr_future *futures[2] = {new_future(), new_future()};
    int results[2];
    tr_future_set(futures[0], 1, NULL);
    tr_future_set(futures[1], 2, NULL);
    tr_task_cancel(tr_task_current());
    T_CHECK_INT(tr_gather(futures, 2, 0, results), 0);
    T_CHECK_INT(results[0] * 10 + results[1], 12);
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    T_CHECK_INT(tr_gather(futures, 2, 0, NULL), 0);
    unref_all(futures, 2);
    return 0;
}

/* asyncio: "the first raised exception is immediately propagated; other awaitables won't be
 * cancelled and will continue to run" */
T_TASK_TEST(gather, first_error_returns_at_once) {
    struct gathering g = {0};
    tr_task *task = start_gather(&g, 3);
    tr_future_set(g.futures[2], -EIO, NULL);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(g.err, -EIO);
    T_CHECK_INT(g.results[0], TR_EPENDING);
    T_CHECK_INT(g.results[2], -EIO);
    T_CHECK(!tr_future_is_done(g.futures[0]));
    tr_future_set(g.futures[0], 1, NULL); /* nobody listens any more: no crash */
    tr_future_set(g.futures[1], -EPIPE, NULL);
    unref_all(g.futures, 3);
    return 0;
}

T_TASK_TEST(gather, an_error_that_is_there_already) {
    tr_future *futures[2] = {new_future(), new_future()};
    int results[2];
    tr_future_set(futures[1], -ENOENT, NULL);
    T_CHECK_INT(tr_gather(futures, 2, 0, results), -ENOENT);
    T_CHECK_INT(results[0], TR_EPENDING);
    unref_all(futures, 2);
    return 0;
}

/* asyncio: return_exceptions=True */
T_TASK_TEST(gather, keeps_errors) {
    struct gathering g = {.flags = TR_GATHER_KEEP_ERRORS};
    tr_task *task = start_gather(&g, 3);
    tr_future_set(g.futures[0], -EIO, NULL);
    tr_future_cancel(g.futures[1]);
    yield_times(2);
    T_CHECK(!g.is_done);
    tr_future_set(g.futures[2], 3, NULL);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(g.err, 0);
    T_CHECK_INT(g.results[0], -EIO);
    T_CHECK_INT(g.results[1], TR_ECANCELLED);
    T_CHECK_INT(g.results[2], 3);
    unref_all(g.futures, 3);
    return 0;
}

/* asyncio: a cancelled child counts as one that raised CancelledError; gather isn't cancelled */
T_TASK_TEST(gather, a_cancelled_child_is_an_error) {
    struct gathering g = {0};
    tr_task *task = start_gather(&g, 2);
    tr_future_cancel(g.futures[0]);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(g.err, TR_ECANCELLED);
    T_CHECK(!tr_future_is_done(g.futures[1]));
    unref_all(g.futures, 2);
    return 0;
}

/* asyncio: duplicates are awaited once */
T_TASK_TEST(gather, duplicates) {
    tr_future *a = new_future();
    tr_future *b = new_future();
    struct gathering g = {.futures = {a, b, a, a}};
    tr_task *task = start_gather(&g, 4);
    tr_future_set(a, 1, NULL);
    yield_times(2);
    T_CHECK(!g.is_done);
    tr_future_set(b, 2, NULL);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(g.err, 0);
    T_CHECK_INT(g.results[0] * 1000 + g.results[1] * 100 + g.results[2] * 10 + g.results[3], 1211);
    tr_future_unref(a);
    tr_future_unref(b);
    return 0;
}

struct child {
    tr_time clean_up;
    int result;
    bool has_ended;
};

static int run_child(void *arg) {
    struct child *child = arg;
    int err = tr_sleep(TR_FOREVER);
    if (child->clean_up > 0) {
        T_CHECK_INT(tr_sleep(child->clean_up), 0);
    }
    child->has_ended = true;
    return child->result != 0 ? child->result : err;
}

/* asyncio: "if gather() is cancelled, all submitted awaitables are also cancelled"; and here the
 * wait goes on until they have ended, even if one of them ends with a result of its own. */
T_TASK_TEST(gather, cancel_waits_for_the_children) {
    struct child children[3] = {{3 * TR_MS, 0, false}, {0, 0, false}, {6 * TR_MS, 77, false}};
    tr_task *tasks[3];
    struct gathering g = {0};
    for (int i = 0; i < 3; i++) {
        tasks[i] = start(run_child, &children[i]);
        g.futures[i] = tr_task_future(tasks[i]);
    }
    tr_task *task = start_gather(&g, 3);
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(g.err, TR_ECANCELLED);
    for (int i = 0; i < 3; i++) {
        T_CHECK(children[i].has_ended);
        T_CHECK_INT(g.results[i], i == 2 ? 77 : TR_ECANCELLED);
        tr_task_unref(tasks[i]);
    }
    return 0;
}

T_TASK_TEST(gather, cancel_with_plain_futures) {
    struct gathering g = {0};
    tr_task *task = start_gather(&g, 3);
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(g.err, TR_ECANCELLED);
    for (int i = 0; i < 3; i++) {
        T_CHECK(tr_future_is_cancelled(g.futures[i]));
    }
    unref_all(g.futures, 3);
    return 0;
}

T_TASK_TEST(gather, many_children) {
    enum { MANY = 500 };
    tr_future *futures[MANY];
    static struct child children[MANY];
    tr_task *tasks[MANY];
    for (int i = 0; i < MANY; i++) {
        children[i] = (struct child){.result = i + 1};
        tasks[i] = start(run_child, &children[i]);
        futures[i] = tr_task_future(tasks[i]);
    }
    yield_times(2);
    for (int i = 0; i < MANY; i++) {
        tr_task_cancel(tasks[(i * 7) % MANY]);
    }
    int results[MANY];
    T_CHECK_INT(tr_gather(futures, MANY, 0, results), 0);
    for (int i = 0; i < MANY; i++) {
        T_CHECK_INT(results[i], i + 1);
        tr_task_unref(tasks[i]);
    }
    return 0;
}

/* ---- wait_for ------------------------------------------------------------------------- */

static void set_seven(void *arg) {
    tr_future_set(arg, 7, NULL);
}

T_TASK_TEST(wait_for, in_time) {
    tr_future *future = new_future();
    T_CHECK_INT(tr_loop_call_later(tr_loop_running(), TR_MS, set_seven, future, NULL), 0);
    T_CHECK_INT(tr_wait_for(future, TR_SECOND * 10), 7);
    tr_future_unref(future);
    future = new_future();
    T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), set_seven, future, NULL), 0);
    T_CHECK_INT(tr_wait_for(future, TR_FOREVER), 7);
    tr_future_unref(future);
    struct tr_loop_stats stats;
    tr_loop_get_stats(tr_loop_running(), &stats);
    T_CHECK_INT(stats.timers, 0);
    return 0;
}

T_TASK_TEST(wait_for, over_cancels_and_waits_for_the_end) {
    struct child child = {.clean_up = 5 * TR_MS};
    tr_task *task = start(run_child, &child);
    T_CHECK_INT(tr_wait_for(tr_task_future(task), 2 * TR_MS), TR_ETIMEOUT);
    T_CHECK(child.has_ended);
    T_CHECK_INT(tr_task_cancelling(NULL), 0); /* the caller itself was not cancelled */
    T_CHECK_INT(tr_yield(), 0);
    tr_task_unref(task);
    return 0;
}

/* asyncio: a result that comes while the time-out cancels is returned, not lost */
T_TASK_TEST(wait_for, never_loses_a_result) {
    struct child child = {.clean_up = TR_MS, .result = 99};
    tr_task *task = start(run_child, &child);
    T_CHECK_INT(tr_wait_for(tr_task_future(task), TR_MS), 99);
    tr_task_unref(task);
    child = (struct child){.result = -EIO};
    task = start(run_child, &child);
    T_CHECK_INT(tr_wait_for(tr_task_future(task), TR_MS), -EIO);
    tr_task_unref(task);
    return 0;
}

struct both {
    tr_future *future;
    tr_loop *loop;
    tr_time until;
};

static void set_when_over(void *arg) {
    struct both *both = arg;
    while (tr_loop_time(both->loop) < both->until) {
    }
    tr_future_set(both->future, 7, NULL);
}

/* The result and the end of the time come together, the result first. */
T_TASK_TEST(wait_for, completed_just_before_the_time_is_over) {
    tr_loop *loop = tr_loop_running();
    for (int i = 0; i < 20; i++) {
        struct both both = {new_future(), loop, tr_loop_time(loop) + TR_MS};
        T_CHECK_INT(tr_loop_call_soon(loop, set_when_over, &both, NULL), 0);
        T_CHECK_INT(tr_wait_for(both.future, 500 * TR_US), 7);
        tr_future_unref(both.future);
    }
    return 0;
}

/* asyncio: timeout <= 0 gives the result of a future that is done and cancels any other */
T_TASK_TEST(wait_for, no_time_at_all) {
    static const tr_time limits[] = {0, -1, -TR_SECOND};
    for (int i = 0; i < 3; i++) {
        tr_future *future = new_future();
        T_CHECK_INT(tr_wait_for(future, limits[i]), TR_ETIMEOUT);
        T_CHECK(tr_future_is_cancelled(future));
        tr_future_unref(future);
        future = new_future();
        tr_future_set(future, 4, NULL);
        T_CHECK_INT(tr_wait_for(future, limits[i]), 4);
        tr_future_unref(future);
        struct child child = {.clean_up = TR_MS};
        tr_task *task = start(run_child, &child); /* has not begun: never enters */
        T_CHECK_INT(tr_wait_for(tr_task_future(task), limits[i]), TR_ETIMEOUT);
        T_CHECK(!child.has_ended);
        tr_task_unref(task);
    }
    T_CHECK_INT(tr_yield(), 0);
    return 0;
}

struct waiting {
    tr_future *future;
    tr_time limit;
    int result;
};

static int wait_for_it(void *arg) {
    struct waiting *w = arg;
    w->result = tr_wait_for(w->future, w->limit);
    return 0;
}

T_TASK_TEST(wait_for, cancelled) {
    struct child child = {.clean_up = 3 * TR_MS};
    tr_task *inner = start(run_child, &child);
    struct waiting w = {tr_task_future(inner), TR_SECOND * 10, 0};
    tr_task *task = start(wait_for_it, &w);
    yield_times(3);
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(w.result, TR_ECANCELLED);
    T_CHECK(child.has_ended);
    tr_task_unref(inner);
    return 0;
}

/* First cancelled, then the time is over while the future still ends: it stays a cancellation. */
T_TASK_TEST(wait_for, cancelled_and_then_over) {
    struct child child = {.clean_up = 10 * TR_MS};
    tr_task *inner = start(run_child, &child);
    struct waiting w = {tr_task_future(inner), 3 * TR_MS, 0};
    tr_task *task = start(wait_for_it, &w);
    yield_times(3);
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(w.result, TR_ECANCELLED);
    tr_task_unref(inner);
    return 0;
}

/* The same, asked for before the call. */
T_TASK_TEST(wait_for, begun_while_cancelled_and_then_over) {
    struct child child = {.clean_up = 10 * TR_MS};
    tr_task *inner = start(run_child, &child);
    yield_times(2);
    tr_task_cancel(tr_task_current());
    T_CHECK_INT(tr_wait_for(tr_task_future(inner), 2 * TR_MS), TR_ECANCELLED);
    T_CHECK(child.has_ended);
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    tr_task_unref(inner);
    return 0;
}
