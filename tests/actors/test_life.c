/* SPDX-License-Identifier: Apache-2.0 */
/* How actors end: in order, at once, with an error; and one message at a time until then. */
#include "actors_test.h"

TR_MESSAGE(tl_ask_far, (1, ref, who));
TR_MESSAGE(tl_send_wait, (1, ref, who));
TR_MESSAGE(tl_init, (1, int32, err));

static struct {
    atomic_int handled;
    atomic_int terminated;
    atomic_int reason;
    atomic_int wait_result; /* of what the last handler suspended in */
    atomic_int inside;      /* handlers of the actor that are running */
    atomic_int overlaps;
    atomic_int waits; /* a handler is about to wait */
    atomic_int sends; /* messages that tr_send_wait() took */
} life;

static void reset(void) {
    atomic_store(&life.handled, 0);
    atomic_store(&life.terminated, 0);
    atomic_store(&life.reason, 1);
    atomic_store(&life.wait_result, 1);
    atomic_store(&life.inside, 0);
    atomic_store(&life.overlaps, 0);
    atomic_store(&life.waits, 0);
    atomic_store(&life.sends, 0);
}

typedef struct {
    uint64_t canary;
} mortal;

static int mortal_init(tr_self *self, mortal *s, const tl_init *m) {
    (void)self;
    s->canary = UINT64_C(0x0123456789abcdef);
    return m->err;
}
static int mortal_num(tr_self *self, mortal *s, const ta_num *m) {
    (void)self;
    (void)m;
    T_CHECK(s->canary == UINT64_C(0x0123456789abcdef));
    atomic_fetch_add(&life.handled, 1);
    return 0;
}
static int mortal_nap(tr_self *self, mortal *s, const ta_nap *m) {
    (void)self;
    (void)s;
    if (atomic_fetch_add(&life.inside, 1) != 0) {
        atomic_fetch_add(&life.overlaps, 1);
    }
    atomic_store(&life.waits, 1);
    int err = tr_sleep(m->ns);
    atomic_fetch_sub(&life.inside, 1);
    atomic_fetch_add(&life.handled, 1);
    atomic_store(&life.wait_result, err);
    return 0; /* a killed actor can't swallow it */
}
static int mortal_ask(tr_self *self, mortal *s, const tl_ask_far *m) {
    ta_value value;
    (void)self;
    (void)s;
    atomic_store(&life.waits, 1);
    atomic_store(&life.wait_result, tr_ask(m->who, TR_FOREVER, &value, ta_get));
    return 0;
}
static int mortal_send_wait(tr_self *self, mortal *s, const tl_send_wait *m) {
    int err;
    (void)self;
    (void)s;
    while ((err = tr_send_wait(m->who, ta_num, .n = 1)) == 0) {
        atomic_fetch_add(&life.sends, 1);
    }
    atomic_store(&life.wait_result, err);
    return 0;
}
static int mortal_fail(tr_self *self, mortal *s, const ta_fail *m) {
    (void)self;
    (void)s;
    return m->err;
}
static int mortal_quit(tr_self *self, mortal *s, const ta_quit *m) {
    (void)s;
    (void)m;
    tr_self_stop(self);
    T_CHECK_INT(tr_sleep(TR_MS), 0); /* it ends after this message, not in the middle of it */
    return 0;
}
static void mortal_end(tr_self *self, mortal *s, int reason) {
    (void)self;
    T_CHECK(s->canary == UINT64_C(0x0123456789abcdef) || s->canary == 0);
    atomic_store(&life.reason, reason);
    atomic_fetch_add(&life.terminated, 1);
}

TR_PROTOCOL(mortal, ta_num, ta_nap, tl_ask_far, tl_send_wait, ta_fail, ta_quit);
TR_BEHAVIOUR(mortal, TR_INIT(tl_init, mortal_init), TR_ON(ta_num, mortal_num),
             TR_ON(ta_nap, mortal_nap), TR_ON(tl_ask_far, mortal_ask),
             TR_ON(tl_send_wait, mortal_send_wait), TR_ON(ta_fail, mortal_fail),
             TR_ON(ta_quit, mortal_quit), TR_TERMINATE(mortal_end));

static int spawn_mortal(tr_ref *ret, int loop) {
    reset();
    ta_forget_letters();
    return tr_spawn(ret, mortal, .place = TR_LOOP(loop));
}

static int check_end(int reason) {
    TA_UNTIL(atomic_load(&life.terminated) == 1);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    T_CHECK_INT(atomic_load(&life.terminated), 1);
    T_CHECK_INT(atomic_load(&life.reason), reason);
    return 0;
}

/* ---- in order ---------------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(life, stop_handles_what_was_sent_before, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
        T_CHECK_INT(tr_send(ref, ta_nap, .ns = 3 * TR_MS), 0);
        for (uint64_t i = 0; i < 200; i++) {
            T_CHECK_INT(tr_send(ref, ta_num, .n = i), 0);
        }
        T_CHECK_INT(tr_stop(ref), 0);
        T_CHECK_INT(tr_stop(ref), 0);
        for (uint64_t i = 0; i < 50; i++) {
            T_CHECK_INT(tr_send(ref, ta_num, .n = 1000 + i), 0);
        }
        T_CHECK_INT(check_end(0), 0);
        T_CHECK_INT(atomic_load(&life.handled), 201);
        TA_UNTIL(atomic_load(&letters.count) == 50);
        T_CHECK_INT(atomic_load(&letters.last_reason), TR_ENOACTOR);
        T_CHECK_INT(atomic_load(&letters.last_n), 1049);
    }
    return 0;
}

T_TASK_TEST_LOOPS(life, self_stop_ends_after_this_message, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0);
        T_CHECK_INT(tr_send(ref, ta_quit), 0);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 2), 0);
        T_CHECK_INT(check_end(0), 0);
        T_CHECK_INT(atomic_load(&life.handled), 1);
        TA_UNTIL(atomic_load(&letters.count) == 1);
        T_CHECK_INT(atomic_load(&letters.last_n), 2);
    }
    return 0;
}

/* ---- with an error ----------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(life, a_handler_s_error_is_the_reason, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
        T_CHECK_INT(tr_send(ref, ta_fail, .err = TA_EODD), 0);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 3), 0);
        T_CHECK_INT(check_end(TA_EODD), 0);
        TA_UNTIL(atomic_load(&letters.count) == 1);
        T_CHECK_INT(atomic_load(&letters.last_reason), TA_EODD);
        if (loop == 0) {
            T_CHECK_INT(tr_send(ref, ta_num, .n = 4), TA_EODD);
            T_CHECK_INT(atomic_load(&letters.count), 1);
        } else {
            T_CHECK_INT(tr_send(ref, ta_num, .n = 4), 0);
            TA_UNTIL(atomic_load(&letters.count) == 2);
            T_CHECK_INT(atomic_load(&letters.last_reason), TA_EODD);
            T_CHECK_INT(atomic_load(&letters.last_n), 4);
        }
        T_CHECK_INT(atomic_load(&life.handled), 0);
    }
    return 0;
}

T_TASK_TEST_LOOPS(life, a_failed_init_terminates_once, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        reset();
        T_CHECK_INT(
            tr_spawn(&ref, mortal, .place = TR_LOOP(loop), .arg = TR_ARG(tl_init, .err = TA_EVEN)),
            TA_EVEN);
        T_CHECK_INT(check_end(TA_EVEN), 0);
    }
    return 0;
}

/* ---- at once ----------------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(life, kill_of_an_idle_actor, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
        T_CHECK_INT(tr_sleep(TR_MS), 0);
        T_CHECK_INT(tr_kill(ref), 0);
        T_CHECK_INT(tr_kill(ref), 0);
        T_CHECK_INT(check_end(TR_EKILLED), 0);
        T_CHECK_INT(atomic_load(&letters.count), 0);
    }
    return 0;
}

T_TASK_TEST_LOOPS(life, kill_overtakes_messages, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
        for (int i = 0; i < 10; i++) {
            T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0);
        }
        T_CHECK_INT(tr_stop(ref), 0);
        T_CHECK_INT(tr_kill(ref), 0);
        T_CHECK_INT(check_end(TR_EKILLED), 0);
        T_CHECK_INT(atomic_load(&life.handled), 0);
        TA_UNTIL(atomic_load(&letters.count) == 10);
        T_CHECK_INT(atomic_load(&letters.last_reason), TR_EKILLED);
    }
    return 0;
}

/* Kill it in the wait that its last message led to. */
static int kill_waiting(tr_ref ref) {
    int sends;
    T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0); /* stays in the mailbox */
    do {
        sends = atomic_load(&life.sends);
        T_CHECK_INT(tr_sleep(10 * TR_MS), 0);
    } while (atomic_load(&life.sends) != sends || (sends == 0 && atomic_load(&life.waits) == 0));
    T_CHECK_INT(atomic_load(&life.wait_result), 1);
    T_CHECK_INT(tr_kill(ref), 0);
    T_CHECK_INT(check_end(TR_EKILLED), 0);
    T_CHECK_INT(atomic_load(&life.wait_result), TR_ECANCELLED);
    TA_UNTIL(atomic_load(&letters.count) >= 1);
    T_CHECK_INT(atomic_load(&letters.count), 1);
    T_CHECK_INT(atomic_load(&letters.last_reason), TR_EKILLED);
    return 0;
}

static int kill_in_each_wait(int loop, int other_loop) {
    tr_ref ref;
    tr_ref busy;
    T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
    T_CHECK_INT(tr_send(ref, ta_nap, .ns = 10 * TR_SECOND), 0);
    T_TASK_REQUIRE(kill_waiting(ref) == 0);

    T_TASK_REQUIRE(tr_spawn(&busy, mortal, .place = TR_LOOP(other_loop)) == 0);
    T_CHECK_INT(tr_send(busy, ta_nap, .ns = 10 * TR_SECOND), 0);
    T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
    T_CHECK_INT(tr_send(ref, tl_ask_far, .who = busy), 0);
    T_TASK_REQUIRE(kill_waiting(ref) == 0);

    T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
    T_CHECK_INT(tr_send(ref, tl_send_wait, .who = busy), 0);
    T_TASK_REQUIRE(kill_waiting(ref) == 0);
    T_CHECK_INT(tr_kill(busy), 0);
    TA_UNTIL(atomic_load(&life.terminated) == 2);
    T_CHECK_INT(atomic_load(&life.reason), TR_EKILLED);
    /* One from above, and all that tr_send_wait() got into the mailbox of the busy one. */
    int sends = atomic_load(&life.sends);
    TA_UNTIL(atomic_load(&letters.count) == 1 + sends);
    T_CHECK(sends > 100);
    return 0;
}

T_TASK_TEST_LOOPS(life, kill_in_a_sleep_an_ask_a_send_wait, 2) {
    ta_count_letters();
    for (int i = 0; i < 4; i++) {
        T_TASK_REQUIRE(kill_in_each_wait(i / 2, i % 2) == 0);
    }
    return 0;
}

typedef struct {
    int unused;
} suicide;

static int suicide_quit(tr_self *self, suicide *s, const ta_quit *m) {
    (void)s;
    (void)m;
    T_CHECK_INT(tr_kill(tr_self_ref(self)), 0);
    atomic_store(&life.wait_result, tr_sleep(TR_SECOND));
    T_CHECK_INT(tr_sleep(0), TR_ECANCELLED); /* and every further wait */
    T_CHECK_INT(tr_yield(), TR_ECANCELLED);
    return 0;
}
static void suicide_end(tr_self *self, suicide *s, int reason) {
    (void)s;
    T_CHECK_INT(tr_send(tr_self_ref(self), ta_quit), 0); /* accepted, then a dead letter */
    atomic_store(&life.reason, reason);
    atomic_fetch_add(&life.terminated, 1);
}

TR_PROTOCOL(suicide, ta_quit);
TR_BEHAVIOUR(suicide, TR_ON(ta_quit, suicide_quit), TR_TERMINATE(suicide_end));

T_TASK_TEST(life, kill_of_oneself) {
    tr_ref ref;
    reset();
    ta_count_letters();
    T_TASK_REQUIRE(tr_spawn(&ref, suicide) == 0);
    T_CHECK_INT(tr_send(ref, ta_quit), 0);
    T_CHECK_INT(check_end(TR_EKILLED), 0);
    T_CHECK_INT(atomic_load(&life.wait_result), TR_ECANCELLED);
    T_CHECK_INT(atomic_load(&letters.count), 1);
    T_CHECK_INT(atomic_load(&letters.last_reason), TR_EKILLED);
    return 0;
}

/* ---- one at a time ----------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(life, other_messages_wait_while_a_handler_is_suspended, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_mortal(&ref, loop) == 0);
        for (int i = 0; i < 20; i++) {
            T_CHECK_INT(tr_send(ref, ta_nap, .ns = i % 3 * (TR_MS / 4)), 0);
            T_CHECK_INT(tr_sleep(i % 5 == 0 ? TR_MS / 3 : 0), 0);
        }
        TA_UNTIL(atomic_load(&life.handled) == 20);
        T_CHECK_INT(atomic_load(&life.overlaps), 0);
    }
    return 0;
}

/* Two hundred actors of one loop sleep at the same time: that takes as long as one. */
T_TASK_TEST(life, suspended_actors_do_not_wait_for_each_other) {
    tr_ref ref;
    reset();
    tr_time before = tr_loop_time(tr_loop_running());
    for (int i = 0; i < 200; i++) {
        T_TASK_REQUIRE(tr_spawn(&ref, mortal) == 0);
        T_CHECK_INT(tr_send(ref, ta_nap, .ns = 20 * TR_MS), 0);
    }
    TA_UNTIL(atomic_load(&life.handled) == 200);
    T_CHECK(tr_loop_time(tr_loop_running()) - before < 2 * TR_SECOND);
    return 0;
}

/* ---- names of oneself -------------------------------------------------------------------- */

typedef struct {
    int unused;
} self_knower;

TR_MESSAGE(tl_who);
TR_MESSAGE(tl_me, (1, ref, me), (2, string, name));
TR_REPLY(tl_who, tl_me);

static int on_who(tr_self *self, self_knower *s, const tl_who *m) {
    (void)s;
    (void)m;
    return tr_reply(self, tl_me, .me = tr_self_ref(self), .name = tr_str(tr_self_name(self)));
}

TR_PROTOCOL(self_knower, tl_who);
TR_BEHAVIOUR(self_knower, TR_ON(tl_who, on_who));

T_TASK_TEST_LOOPS(life, an_actor_knows_its_reference_and_name, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref named;
        tr_ref bare;
        tl_me me;
        T_TASK_REQUIRE(
            tr_spawn(&named, self_knower, .name = loop ? "b" : "a", .place = TR_LOOP(loop)) == 0);
        T_TASK_REQUIRE(tr_spawn(&bare, self_knower, .place = TR_LOOP(loop)) == 0);
        T_CHECK_INT(tr_ask(named, TR_SECOND, &me, tl_who), 0);
        T_CHECK(tr_ref_equal(me.me, named));
        T_CHECK(ta_text_is(me.name, loop ? "b" : "a"));
        T_CHECK_INT(tr_ask(bare, TR_SECOND, &me, tl_who), 0);
        T_CHECK(tr_ref_equal(me.me, bare));
        T_CHECK(ta_text_is(me.name, "self_knower"));
    }
    return 0;
}
