/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_waits.c: two things that end one wait in the same turn, and waits of those who must not wait.
 */
#include "actors_test.h"

TR_MESSAGE(tw_start);

/* Compute without giving way. */
static void compute(tr_time time) {
    tr_loop *loop = tr_loop_running();
    tr_time until = tr_loop_time(loop) + time;
    while (tr_loop_time(loop) < until) {
    }
}

/* Slow steps, so that the loop looks at its clock between any two of them. */
static int slow_steps(void *arg) {
    int err;
    (void)arg;
    do {
        compute(TR_MS);
        err = tr_yield();
    } while (err == 0);
    return err;
}

static int start_slow_steps(tr_task **ret_task) {
    int err = tr_task_new(tr_loop_running(), "slow", slow_steps, NULL, ret_task);
    return err < 0 ? err : tr_sleep(5 * TR_MS);
}

static void end_slow_steps(tr_task *task) {
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
}

/* ---- a message and the time limit of tr_receive() --------------------------------------------- */

static struct {
    int received;
    int ended_with;
} tw;

static int short_waits(tr_self *self, const tw_start *arg) {
    tr_received m;
    int err;
    (void)arg;
    while ((err = tr_receive(self, 5 * TR_MS, &m)) == 0) {
        tw.received++;
    }
    tw.ended_with = err;
    return 0;
}
TR_PROCESS(tw_short_waits, tw_start, short_waits);

T_TASK_TEST(waits, a_message_and_the_time_limit_in_one_turn) {
    tr_ref ref;
    tr_task *slow;
    memset(&tw, 0, sizeof tw);
    T_TASK_REQUIRE(start_slow_steps(&slow) == 0);
    T_TASK_REQUIRE(tr_spawn(&ref, tw_short_waits) == 0);
    for (uint64_t i = 0; i < 5; i++) {
        T_CHECK_INT(tr_sleep(TR_MS), 0); /* the receiver's limit runs by now */
        (void)tr_send(ref, ta_num, .n = i);
        compute(10 * TR_MS);
        T_CHECK_INT(tr_yield(), 0);
    }
    T_CHECK_INT(tr_sleep(30 * TR_MS), 0);
    end_slow_steps(slow);
    T_CHECK(tw.received > 0);
    T_CHECK_INT(tw.ended_with, TR_ETIMEOUT);
    return 0;
}

/* ---- a time limit around tr_receive() ------------------------------------------------------------ */

static int limited(tr_self *self, const tw_start *arg) {
    tr_received m;
    tr_timeout limit;
    int err;
    (void)arg;
    tr_timeout_begin(&limit, 5 * TR_MS);
    while ((err = tr_receive(self, TR_FOREVER, &m)) == 0) {
        tw.received++;
    }
    tw.ended_with = tr_timeout_end(&limit, err);
    return 0;
}
TR_PROCESS(tw_limited, tw_start, limited);

T_TASK_TEST(waits, a_limit_that_expires_with_a_message_is_not_lost) {
    tr_ref ref;
    tr_task *slow;
    memset(&tw, 0, sizeof tw);
    T_TASK_REQUIRE(start_slow_steps(&slow) == 0);
    T_TASK_REQUIRE(tr_spawn(&ref, tw_limited) == 0);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    (void)tr_send(ref, ta_num, .n = 1);
    compute(10 * TR_MS);
    T_CHECK_INT(tr_sleep(20 * TR_MS), 0);
    end_slow_steps(slow);
    T_CHECK_INT(tw.ended_with, TR_ETIMEOUT);
    return 0;
}

/* ---- a process that always has a message ------------------------------------------------------------ */

static int self_sender(tr_self *self, const tw_start *arg) {
    tr_received m;
    int err;
    (void)arg;
    do {
        (void)tr_send(tr_self_ref(self), ta_num, .n = 1);
    } while ((err = tr_receive(self, TR_FOREVER, &m)) == 0);
    return err == TR_ESHUTDOWN || err == TR_ECANCELLED ? 0 : err;
}
TR_PROCESS(tw_self_sender, tw_start, self_sender);

T_TASK_TEST(waits, a_process_with_endless_messages_lets_others_run) {
    tr_ref ref;
    T_TASK_REQUIRE(tr_spawn(&ref, tw_self_sender) == 0);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_INT(tr_stop(ref), 0);
    return 0;
}

/* ---- what is killed and goes on waiting ----------------------------------------------------------------- */

static int deaf(tr_self *self, const tw_start *arg) {
    (void)self;
    (void)arg;
    while (tw.ended_with == 0) {
        (void)tr_sleep(TR_MS); /* TR_ECANCELLED, again and again */
    }
    return 0;
}
TR_PROCESS(tw_deaf, tw_start, deaf);

T_TASK_TEST(waits, a_killed_one_that_goes_on_waiting_gives_way) {
    tr_ref ref;
    memset(&tw, 0, sizeof tw);
    T_TASK_REQUIRE(tr_spawn(&ref, tw_deaf) == 0);
    T_CHECK_INT(tr_kill(ref), 0);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    tw.ended_with = 1;
    return 0;
}

/* ---- the strings of the last reply ------------------------------------------------------------------------ */

typedef struct {
    int unused;
} tw_parrot;

static int on_echo(tr_self *self, tw_parrot *p, const ta_echo *m) {
    (void)p;
    return tr_reply(self, ta_text, .text = m->text);
}
TR_PROTOCOL(tw_parrot, ta_echo);
TR_BEHAVIOUR(tw_parrot, TR_ON(ta_echo, on_echo));

T_TASK_TEST_LOOPS(waits, a_request_may_borrow_the_last_reply, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_text text;
        T_TASK_REQUIRE(tr_spawn(&ref, tw_parrot, .place = TR_LOOP(loop)) == 0);
        T_TASK_REQUIRE(tr_ask(ref, TR_SECOND, &text, ta_echo, .text = tr_str("once more")) == 0);
        for (int i = 0; i < 3; i++) {
            T_TASK_REQUIRE(tr_ask(ref, TR_SECOND, &text, ta_echo, .text = text.text) == 0);
            T_CHECK_MEM(text.text.data, "once more", 9);
        }
    }
    return 0;
}
