/* SPDX-License-Identifier: Apache-2.0 */
/* tr_monitor(): exactly one tr_down for each. */
#include "actors_test.h"

TR_MESSAGE(tmo_watch, (1, ref, who), (2, uint64, tag));
TR_REPLY(tmo_watch, ta_value);

enum { DOWNS = 64 };

static struct {
    atomic_int count;
    tr_down downs[DOWNS]; /* written before count says so */
    int nums_before[DOWNS];
    atomic_int nums;
} told;

typedef struct {
    int unused;
} watcher;

static int watcher_watch(tr_self *self, watcher *w, const tmo_watch *m) {
    (void)w;
    int err = tr_monitor(self, m->who, m->tag);
    return err < 0 ? err : tr_reply(self, ta_value, .n = m->tag);
}
static int watcher_down(tr_self *self, watcher *w, const tr_down *m) {
    (void)self;
    (void)w;
    int at = atomic_load(&told.count);
    if (at < DOWNS) {
        told.downs[at] = *m;
        told.nums_before[at] = atomic_load(&told.nums);
    }
    atomic_store(&told.count, at + 1);
    return 0;
}
static int watcher_num(tr_self *self, watcher *w, const ta_num *m) {
    (void)self;
    (void)w;
    (void)m;
    atomic_fetch_add(&told.nums, 1);
    return 0;
}

TR_PROTOCOL(watcher, tmo_watch, tr_down, ta_num);
TR_BEHAVIOUR(watcher, TR_ON(tmo_watch, watcher_watch), TR_ON(tr_down, watcher_down),
             TR_ON(ta_num, watcher_num));

/* ---- the watched one --------------------------------------------------------------------- */

typedef struct {
    tr_ref friend_;
} watched;

static int watched_fail(tr_self *self, watched *w, const ta_fail *m) {
    (void)self;
    for (int i = 0; i < 5 && !tr_ref_is_null(w->friend_); i++) {
        T_CHECK_INT(tr_send(w->friend_, ta_num, .n = 1), 0);
    }
    return m->err;
}
static int watched_friend(tr_self *self, watched *w, const tmo_watch *m) {
    w->friend_ = m->who;
    return tr_reply(self, ta_value, .n = 0);
}

TR_PROTOCOL(watched, ta_fail, tmo_watch);
TR_BEHAVIOUR(watched, TR_ON(ta_fail, watched_fail), TR_ON(tmo_watch, watched_friend));

static int setup(tr_ref *watcher_ref, int watcher_loop, tr_ref *watched_ref, int watched_loop) {
    atomic_store(&told.count, 0);
    atomic_store(&told.nums, 0);
    T_TASK_REQUIRE(tr_spawn(watcher_ref, watcher, .place = TR_LOOP(watcher_loop)) == 0);
    T_TASK_REQUIRE(tr_spawn(watched_ref, watched, .place = TR_LOOP(watched_loop)) == 0);
    return 0;
}

static int watch(tr_ref who, tr_ref whom, uint64_t tag) {
    ta_value value;
    return tr_ask(who, TR_SECOND, &value, tmo_watch, .who = whom, .tag = tag);
}

/* One tr_down, and no second. */
static int check_down(tr_ref who, int reason, uint64_t tag) {
    TA_UNTIL(atomic_load(&told.count) == 1);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&told.count), 1);
    T_CHECK(tr_ref_equal(told.downs[0].who, who));
    T_CHECK_INT(told.downs[0].reason, reason);
    T_CHECK_INT(told.downs[0].tag, tag);
    return 0;
}

enum { BY_STOP, BY_KILL, BY_ERROR };

static int check_monitor(int watcher_loop, int watched_loop, int how) {
    tr_ref a;
    tr_ref b;
    static const int reasons[] = {0, TR_EKILLED, TA_EODD};
    T_TASK_REQUIRE(setup(&a, watcher_loop, &b, watched_loop) == 0);
    T_CHECK_INT(watch(a, b, UINT64_MAX - 5), 0);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&told.count), 0);
    T_CHECK_INT(how == BY_STOP   ? tr_stop(b)
                : how == BY_KILL ? tr_kill(b)
                                 : tr_send(b, ta_fail, .err = TA_EODD),
                0);
    return check_down(b, reasons[how], UINT64_MAX - 5);
}

T_TASK_TEST_LOOPS(monitor, tells_why_on_one_loop_and_across, 3) {
    for (int loops = 0; loops < 4; loops++) {
        for (int how = BY_STOP; how <= BY_ERROR; how++) {
            T_TASK_REQUIRE(check_monitor(loops / 2, 1 + loops % 2, how) == 0);
        }
    }
    return 0;
}

T_TASK_TEST_LOOPS(monitor, of_one_that_has_ended_already, 2) {
    for (int loops = 0; loops < 4; loops++) {
        tr_ref a;
        tr_ref b;
        T_TASK_REQUIRE(setup(&a, loops / 2, &b, loops % 2) == 0);
        T_CHECK_INT(tr_send(b, ta_fail, .err = TA_EVEN), 0);
        T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
        T_CHECK_INT(watch(a, b, 9), 0);
        T_TASK_REQUIRE(check_down(b, TA_EVEN, 9) == 0);
    }
    return 0;
}

T_TASK_TEST_LOOPS(monitor, of_nobody, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref a;
        tr_ref b;
        tr_ref none[] = {{0}, {.loop = UINT16_MAX, .generation = 3}, {.node = 5, .generation = 1}};
        int reasons[] = {TR_ENOACTOR, TR_ENOACTOR, TR_ENODE};
        for (int i = 0; i < 3; i++) {
            T_TASK_REQUIRE(setup(&a, loop, &b, 0) == 0);
            T_CHECK_INT(tr_send(b, ta_fail, .err = TA_EVEN), 0); /* so that reasons are kept */
            T_CHECK_INT(watch(a, none[i], 10), 0);
            T_TASK_REQUIRE(check_down(none[i], reasons[i], 10) == 0);
        }
    }
    return 0;
}

T_TASK_TEST_LOOPS(monitor, each_one_counts, 2) {
    for (int loops = 0; loops < 4; loops++) {
        tr_ref a;
        tr_ref b;
        uint64_t tags = 0;
        T_TASK_REQUIRE(setup(&a, loops / 2, &b, loops % 2) == 0);
        for (uint64_t tag = 0; tag < 10; tag++) {
            T_CHECK_INT(watch(a, b, tag), 0);
        }
        T_CHECK_INT(tr_kill(b), 0);
        TA_UNTIL(atomic_load(&told.count) == 10);
        T_CHECK_INT(tr_sleep(TR_MS), 0);
        T_CHECK_INT(atomic_load(&told.count), 10);
        for (int i = 0; i < 10; i++) {
            tags |= UINT64_C(1) << told.downs[i].tag;
        }
        T_CHECK_INT(tags, 1023);
    }
    return 0;
}

T_TASK_TEST_LOOPS(monitor, the_down_comes_after_the_last_messages, 2) {
    for (int loops = 0; loops < 4; loops++) {
        tr_ref a;
        tr_ref b;
        ta_value value;
        T_TASK_REQUIRE(setup(&a, loops / 2, &b, loops % 2) == 0);
        T_CHECK_INT(tr_ask(b, TR_SECOND, &value, tmo_watch, .who = a), 0);
        T_CHECK_INT(watch(a, b, 1), 0);
        T_CHECK_INT(tr_send(b, ta_fail, .err = TA_EODD), 0);
        T_TASK_REQUIRE(check_down(b, TA_EODD, 1) == 0);
        T_CHECK_INT(told.nums_before[0], 5);
    }
    return 0;
}

T_TASK_TEST_LOOPS(monitor, the_watcher_may_die_first, 2) {
    ta_count_letters();
    for (int loops = 0; loops < 4; loops++) {
        tr_ref a;
        tr_ref b;
        ta_forget_letters();
        T_TASK_REQUIRE(setup(&a, loops / 2, &b, loops % 2) == 0);
        for (uint64_t tag = 0; tag < 10; tag++) {
            T_CHECK_INT(watch(a, b, tag), 0);
        }
        T_CHECK_INT(tr_kill(a), 0);
        T_CHECK_INT(tr_sleep(TR_MS), 0);
        T_CHECK_INT(tr_kill(b), 0);
        T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
        T_CHECK_INT(atomic_load(&told.count), 0);
        T_CHECK_INT(atomic_load(&letters.count), 0); /* nobody sent it: it is no dead letter */
    }
    return 0;
}

T_TASK_TEST_LOOPS(monitor, both_ways_and_of_oneself, 2) {
    tr_ref a;
    tr_ref b;
    T_TASK_REQUIRE(setup(&a, 0, &b, 1) == 0);
    T_TASK_REQUIRE(tr_spawn(&b, watcher, .place = TR_LOOP(1)) == 0);
    T_CHECK_INT(watch(a, b, 1), 0);
    T_CHECK_INT(watch(b, a, 2), 0);
    T_CHECK_INT(watch(a, a, 3), 0); /* it will never be told */
    T_CHECK_INT(tr_kill(a), 0);
    T_TASK_REQUIRE(check_down(a, TR_EKILLED, 2) == 0);
    T_CHECK_INT(tr_kill(b), 0);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&told.count), 1);
    return 0;
}

/* A full mailbox refuses messages, never what the system has to say. */
T_TASK_TEST(monitor, a_full_mailbox_takes_the_down) {
    tr_ref a;
    tr_ref b;
    ta_value value;
    atomic_store(&told.count, 0);
    T_TASK_REQUIRE(tr_spawn(&b, watched) == 0);
    T_TASK_REQUIRE(tr_spawn(&a, watcher, .mailbox_messages = 1) == 0);
    T_CHECK_INT(tr_ask(a, TR_SECOND, &value, tmo_watch, .who = b, .tag = 4), 0);
    T_CHECK_INT(tr_send(b, ta_fail, .err = TA_EVEN), 0);
    T_CHECK_INT(tr_send(a, ta_num, .n = 1), 0);
    T_CHECK_INT(tr_send(a, ta_num, .n = 1), TR_EFULL);
    return check_down(b, TA_EVEN, 4);
}
