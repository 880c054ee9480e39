/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_timeout.c: time limits as scopes: tr_timeout_begin() and tr_timeout_end().
 */
#include "support/t_task.h"

#include <errno.h>

T_TASK_TEST(timeout, in_time) {
    tr_timeout limit;
    tr_timeout_begin(&limit, TR_SECOND);
    int err = tr_sleep(TR_MS);
    T_CHECK_INT(tr_timeout_end(&limit, err), 0);
    tr_timeout_begin(&limit, TR_FOREVER);
    T_CHECK_INT(tr_timeout_end(&limit, -EIO), -EIO);
    struct tr_loop_stats stats;
    tr_loop_get_stats(tr_loop_running(), &stats);
    T_CHECK_INT(stats.timers, 0);
    return 0;
}

T_TASK_TEST(timeout, over) {
    tr_timeout limit;
    tr_time began = tr_loop_time(tr_loop_running());
    tr_timeout_begin(&limit, 3 * TR_MS);
    int err = tr_sleep(TR_SECOND * 10);
    T_CHECK_INT(err, TR_ECANCELLED);
    T_CHECK_INT(tr_task_cancelling(NULL), 1);
    T_CHECK_INT(tr_timeout_end(&limit, err), TR_ETIMEOUT);
    T_CHECK_INT(tr_task_cancelling(NULL), 0);
    T_CHECK(tr_loop_time(tr_loop_running()) - began >= 3 * TR_MS);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    return 0;
}

/* asyncio: timeout(0) raises at the first await */
T_TASK_TEST(timeout, of_zero_fails_the_next_wait) {
    tr_timeout limit;
    tr_timeout_begin(&limit, 0);
    T_CHECK_INT(tr_timeout_end(&limit, tr_sleep(TR_SECOND)), TR_ETIMEOUT);
    tr_timeout_begin(&limit, -5);
    T_CHECK_INT(tr_timeout_end(&limit, tr_yield()), TR_ETIMEOUT);
    /* Without a wait it is no error, and nothing stays behind. */
    tr_timeout_begin(&limit, 0);
    T_CHECK_INT(tr_timeout_end(&limit, 0), 0);
    T_CHECK_INT(tr_yield(), 0);
    return 0;
}

static void burn(tr_time duration) {
    tr_loop *loop = tr_loop_running();
    tr_time until = tr_loop_time(loop) + duration;
    while (tr_loop_time(loop) < until) {
    }
}

T_TASK_TEST(timeout, over_while_the_task_computes) {
    tr_timeout limit;
    tr_timeout_begin(&limit, TR_MS);
    burn(3 * TR_MS);
    int err = tr_sleep(0); /* the timer has not had a chance to fire yet */
    err = err == 0 ? tr_sleep(TR_SECOND) : err;
    T_CHECK_INT(tr_timeout_end(&limit, err), TR_ETIMEOUT);
    T_CHECK_INT(tr_yield(), 0);
    return 0;
}

/* The body had another error on its way out: that one counts. */
T_TASK_TEST(timeout, keeps_the_bodys_own_error) {
    tr_timeout limit;
    tr_timeout_begin(&limit, TR_MS);
    T_CHECK_INT(tr_sleep(TR_SECOND), TR_ECANCELLED);
    T_CHECK_INT(tr_timeout_end(&limit, -EIO), -EIO);
    tr_timeout_begin(&limit, TR_MS);
    T_CHECK_INT(tr_sleep(TR_SECOND), TR_ECANCELLED);
    T_CHECK_INT(tr_timeout_end(&limit, 12), 12);
    T_CHECK_INT(tr_task_cancelling(NULL), 0);
    return 0;
}

/* ---- nested --------------------------------------------------------------------------- */

T_TASK_TEST(timeout, inner_expires) {
    tr_timeout outer, inner;
    tr_timeout_begin(&outer, TR_SECOND * 10);
    tr_timeout_begin(&inner, TR_MS);
    int err = tr_sleep(TR_SECOND * 10);
    err = tr_timeout_end(&inner, err);
    T_CHECK_INT(err, TR_ETIMEOUT);
    T_CHECK_INT(tr_sleep(TR_MS), 0);                       /* the outer one still has time */
    T_CHECK_INT(tr_timeout_end(&outer, err), TR_ETIMEOUT); /* passed on, not made here */
    T_CHECK_INT(tr_task_cancelling(NULL), 0);
    return 0;
}

T_TASK_TEST(timeout, outer_expires) {
    tr_timeout outer, inner;
    tr_timeout_begin(&outer, TR_MS);
    tr_timeout_begin(&inner, TR_SECOND * 10);
    int err = tr_sleep(TR_SECOND * 10);
    err = tr_timeout_end(&inner, err);
    T_CHECK_INT(err, TR_ECANCELLED); /* not the inner one's */
    T_CHECK_INT(tr_timeout_end(&outer, err), TR_ETIMEOUT);
    T_CHECK_INT(tr_task_cancelling(NULL), 0);
    T_CHECK_INT(tr_yield(), 0);
    return 0;
}

/* asyncio: with both over, the inner one leaves the cancellation to the outer one. */
T_TASK_TEST(timeout, both_expire) {
    tr_timeout outer, inner;
    tr_timeout_begin(&outer, TR_MS);
    tr_timeout_begin(&inner, TR_MS);
    burn(3 * TR_MS);
    T_CHECK_INT(tr_sleep(TR_SECOND * 10), TR_ECANCELLED);
    T_CHECK_INT(tr_timeout_end(&inner, TR_ECANCELLED), TR_ECANCELLED);
    T_CHECK_INT(tr_timeout_end(&outer, TR_ECANCELLED), TR_ETIMEOUT);
    T_CHECK_INT(tr_task_cancelling(NULL), 0);
    T_CHECK_INT(tr_yield(), 0);
    return 0;
}

/* The inner one is over and turned into TR_ETIMEOUT, then the outer one ends the cleaning up. */
T_TASK_TEST(timeout, outer_expires_after_inner) {
    tr_timeout outer, inner;
    tr_timeout_begin(&outer, 8 * TR_MS);
    tr_timeout_begin(&inner, TR_MS);
    T_CHECK_INT(tr_timeout_end(&inner, tr_sleep(TR_SECOND * 10)), TR_ETIMEOUT);
    T_CHECK_INT(tr_timeout_end(&outer, tr_sleep(TR_SECOND * 10)), TR_ETIMEOUT);
    return 0;
}

/* ---- with a cancellation from outside ------------------------------------------------- */

static int limited_sleep(void *arg) {
    tr_timeout limit;
    tr_timeout_begin(&limit, *(tr_time *)arg);
    int err = tr_sleep(TR_SECOND * 10);
    return tr_timeout_end(&limit, err);
}

T_TASK_TEST(timeout, a_cancellation_from_outside_is_not_a_timeout) {
    tr_time limit = TR_SECOND * 10;
    tr_task *task;
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "t", limited_sleep, &limit, &task) == 0);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
    return 0;
}

static int expire_and_be_cancelled(void *arg) {
    tr_timeout limit;
    tr_timeout_begin(&limit, TR_MS);
    int err = tr_sleep(TR_SECOND * 10);
    tr_task_cancel(tr_task_current()); /* as if by another task in the same turn */
    T_CHECK_INT(tr_task_cancelling(NULL), 2);
    err = tr_timeout_end(&limit, err);
    *(int *)arg = tr_task_cancelling(NULL);
    return err;
}

T_TASK_TEST(timeout, both_is_a_cancellation) {
    int left = 0;
    tr_task *task;
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "t", expire_and_be_cancelled, &left, &task) == 0);
    T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
    T_CHECK_INT(left, 1);
    return 0;
}

/* A cancellation that was asked for before the scope began stays one. */
T_TASK_TEST(timeout, begun_while_cancelled) {
    tr_timeout limit;
    tr_task_cancel(tr_task_current());
    tr_timeout_begin(&limit, TR_SECOND);
    int err = tr_sleep(TR_SECOND * 10);
    T_CHECK_INT(tr_timeout_end(&limit, err), TR_ECANCELLED);
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    return 0;
}

/* The same with a limit that is over at once: the scope takes back its own request only, and the
 * one from before is still delivered. */
T_TASK_TEST(timeout, of_zero_begun_while_cancelled) {
    tr_timeout limit;
    tr_task_cancel(tr_task_current());
    tr_timeout_begin(&limit, 0);
    T_CHECK_INT(tr_timeout_end(&limit, 0), 0);
    T_CHECK_INT(tr_task_cancelling(NULL), 1);
    T_CHECK_INT(tr_sleep(TR_SECOND), TR_ECANCELLED);
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    return 0;
}

/* ---- misuse --------------------------------------------------------------------------- */

static int end_in_wrong_order(void *arg) {
    tr_timeout outer, inner;
    (void)arg;
    tr_timeout_begin(&outer, TR_SECOND);
    tr_timeout_begin(&inner, TR_SECOND);
    return tr_timeout_end(&outer, 0);
}

T_DEATH_TEST_MSG(timeout, ended_in_the_wrong_order_aborts, SIGABRT, "tr_timeout_end") {
    t_run_task(end_in_wrong_order, NULL, 1);
}

static int leave_open(void *arg) {
    tr_timeout limit;
    (void)arg;
    tr_timeout_begin(&limit, TR_SECOND);
    return 0;
}

T_DEATH_TEST_MSG(timeout, left_open_aborts, SIGABRT, "tr_timeout_begin") {
    t_run_task(leave_open, NULL, 1);
}
