/* SPDX-License-Identifier: Apache-2.0 */
/* The process form: tr_receive() in a loop. */
#include "actors_test.h"

TR_MESSAGE(tp_start, (1, int32, script), (2, string, text));
TR_MESSAGE(tp_red, (1, uint32, n));
TR_MESSAGE(tp_blue, (1, uint32, n));

enum { LOG = 32 };

/* What the process saw; read when it says that it is done. */
static struct {
    int results[LOG];
    uint32_t numbers[LOG];
    const struct tr_type *types[LOG];
    int count;
    atomic_int done;
    int returned;
} saw;

static int next_message(tr_self *self, tr_time timeout, const struct tr_type *const *types,
                        size_t type_count) {
    tr_received m = {NULL, NULL};
    int err = tr_receive_types(self, timeout, types, type_count, &m);
    if (saw.count < LOG) {
        saw.results[saw.count] = err;
        saw.types[saw.count] = m.type;
        saw.numbers[saw.count] = 0;
        if (err == 0 && m.type != &tri_type_ta_get && m.type != &tri_type_ta_quit) {
            saw.numbers[saw.count] = *(const uint32_t *)m.message;
        }
        saw.count++;
    }
    return err;
}

/* ---- the scripts ------------------------------------------------------------------------- */

static const struct tr_type *const only_blue[] = {&tri_type_tp_blue};
static const struct tr_type *const red_and_blue[] = {&tri_type_tp_red, &tri_type_tp_blue};

static int selective(tr_self *self) {
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0); /* let all of them arrive */
    (void)next_message(self, TR_SECOND, only_blue, 1);
    (void)next_message(self, TR_SECOND, only_blue, 1);
    for (int i = 0; i < 3; i++) {
        (void)next_message(self, 0, red_and_blue, 2);
    }
    (void)next_message(self, 0, NULL, 0);
    (void)next_message(self, 0, NULL, 0);
    return 0;
}

static int waiting(tr_self *self) {
    (void)next_message(self, 0, NULL, 0);
    (void)next_message(self, -1, NULL, 0);
    tr_time before = tr_loop_time(tr_loop_running());
    (void)next_message(self, 5 * TR_MS, NULL, 0);
    T_CHECK(tr_loop_time(tr_loop_running()) - before >= 5 * TR_MS);
    (void)next_message(self, TR_SECOND, only_blue, 1); /* a red one comes first and stays */
    (void)next_message(self, TR_SECOND, NULL, 0);
    return 0;
}

static int until_stopped(tr_self *self) {
    while (next_message(self, TR_FOREVER, NULL, 0) == 0) {
        T_CHECK_INT(tr_sleep(0), 0);
    }
    (void)next_message(self, TR_SECOND, only_blue, 1); /* it stays stopped */
    return 0;
}

static int until_killed(tr_self *self) {
    int err = next_message(self, TR_FOREVER, NULL, 0);
    if (err == 0) {
        (void)tr_sleep(TR_SECOND);
        err = next_message(self, 0, NULL, 0); /* what came meanwhile is not for it any more */
    }
    return err;
}

static int answering(tr_self *self) {
    tr_received m;
    int err;
    while ((err = tr_receive(self, TR_FOREVER, &m)) == 0) {
        if (tr_is(&m, ta_echo)) {
            T_CHECK_INT(tr_sleep(TR_MS), 0);
            err = tr_reply(self, ta_text, .text = tr_as(&m, ta_echo)->text);
        } else if (tr_is(&m, ta_fail)) {
            return tr_as(&m, ta_fail)->err;
        }
        T_CHECK_INT(err, 0);
    }
    return err == TR_ESHUTDOWN ? 0 : err;
}

enum { SELECTIVE, WAITING, UNTIL_STOPPED, UNTIL_KILLED, ANSWERING, AT_ONCE };

static int worker_main(tr_self *self, const tp_start *start) {
    int err;
    saw.count = 0;
    switch (start->script) {
    case SELECTIVE: err = selective(self); break;
    case WAITING: err = waiting(self); break;
    case UNTIL_STOPPED: err = until_stopped(self); break;
    case UNTIL_KILLED: err = until_killed(self); break;
    case ANSWERING: err = answering(self); break;
    default: err = ta_text_is(start->text, "argument") ? TA_EODD : 0; break;
    }
    saw.returned = err;
    atomic_fetch_add(&saw.done, 1);
    return err;
}

TR_PROCESS(worker, tp_start, worker_main);

static int spawn_worker(tr_ref *ret, int script, int loop) {
    atomic_store(&saw.done, 0);
    return tr_spawn(ret, worker, .place = TR_LOOP(loop), .arg = TR_ARG(tp_start, .script = script));
}

/* ---- selective --------------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(receive, selective_keeps_the_order_of_the_others, 2) {
    static const uint32_t expected[] = {2, 4, 1, 3, 5, 6};
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_worker(&ref, SELECTIVE, loop) == 0);
        T_CHECK_INT(tr_send(ref, tp_red, .n = 1), 0);
        T_CHECK_INT(tr_send(ref, tp_blue, .n = 2), 0);
        T_CHECK_INT(tr_send(ref, tp_red, .n = 3), 0);
        T_CHECK_INT(tr_send(ref, tp_blue, .n = 4), 0);
        T_CHECK_INT(tr_send(ref, tp_red, .n = 5), 0);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 6), 0);
        TA_UNTIL(atomic_load(&saw.done) == 1);
        T_CHECK_INT(saw.count, 7);
        for (int i = 0; i < 6; i++) {
            T_CHECK_INT(saw.results[i], 0);
            T_CHECK_INT(saw.numbers[i], expected[i]);
        }
        T_CHECK(saw.types[0] == &tri_type_tp_blue && saw.types[2] == &tri_type_tp_red);
        T_CHECK_INT(saw.results[6], TR_ETIMEOUT);
        T_CHECK(saw.types[6] == NULL);
    }
    return 0;
}

T_TASK_TEST_LOOPS(receive, waits_as_long_as_told, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_worker(&ref, WAITING, loop) == 0);
        T_CHECK_INT(tr_sleep(15 * TR_MS), 0);
        T_CHECK_INT(tr_send(ref, tp_red, .n = 1), 0);
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        T_CHECK_INT(atomic_load(&saw.done), 0);
        T_CHECK_INT(tr_send(ref, tp_blue, .n = 2), 0);
        TA_UNTIL(atomic_load(&saw.done) == 1);
        T_CHECK_INT(saw.count, 5);
        for (int i = 0; i < 3; i++) {
            T_CHECK_INT(saw.results[i], TR_ETIMEOUT);
        }
        T_CHECK_INT(saw.numbers[3], 2);
        T_CHECK_INT(saw.numbers[4], 1);
    }
    struct tr_loop_stats stats;
    tr_loop_get_stats(tr_loop_running(), &stats);
    T_CHECK_INT(stats.timers, 0);
    return 0;
}

/* ---- the end ----------------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(receive, stop_comes_after_what_was_sent_before, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_forget_letters();
        T_TASK_REQUIRE(spawn_worker(&ref, UNTIL_STOPPED, loop) == 0);
        T_CHECK_INT(tr_send(ref, tp_red, .n = 1), 0);
        T_CHECK_INT(tr_send(ref, tp_blue, .n = 2), 0);
        T_CHECK_INT(tr_stop(ref), 0);
        T_CHECK_INT(tr_send(ref, tp_blue, .n = 3), 0);
        TA_UNTIL(atomic_load(&saw.done) == 1 && atomic_load(&letters.count) == 1);
        T_CHECK_INT(saw.count, 4);
        T_CHECK_INT(saw.numbers[0], 1);
        T_CHECK_INT(saw.numbers[1], 2);
        T_CHECK_INT(saw.results[2], TR_ESHUTDOWN);
        T_CHECK_INT(saw.results[3], TR_ESHUTDOWN);
        T_CHECK_INT(atomic_load(&letters.last_reason), TR_ENOACTOR);
        T_CHECK(atomic_load(&letters.last_type) == &tri_type_tp_blue);
    }
    return 0;
}

T_TASK_TEST_LOOPS(receive, killed_while_it_waits, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(spawn_worker(&ref, UNTIL_KILLED, loop) == 0);
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        T_CHECK_INT(tr_kill(ref), 0);
        TA_UNTIL(atomic_load(&saw.done) == 1);
        T_CHECK_INT(saw.count, 1);
        T_CHECK_INT(saw.results[0], TR_ECANCELLED);
    }
    return 0;
}

T_TASK_TEST_LOOPS(receive, a_killed_process_gets_no_more_messages, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_forget_letters();
        T_TASK_REQUIRE(spawn_worker(&ref, UNTIL_KILLED, loop) == 0);
        for (uint32_t i = 0; i < 4; i++) {
            T_CHECK_INT(tr_send(ref, tp_red, .n = i), 0);
        }
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        T_CHECK_INT(tr_kill(ref), 0);
        TA_UNTIL(atomic_load(&saw.done) == 1 && atomic_load(&letters.count) == 3);
        T_CHECK_INT(saw.count, 2);
        T_CHECK_INT(saw.results[0], 0);
        T_CHECK_INT(saw.results[1], TR_ECANCELLED);
        T_CHECK_INT(atomic_load(&letters.last_reason), TR_EKILLED);
    }
    return 0;
}

T_TASK_TEST_LOOPS(receive, what_the_function_returns_is_the_reason, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_value value;
        atomic_store(&saw.done, 0);
        T_TASK_REQUIRE(
            tr_spawn(&ref, worker, .place = TR_LOOP(loop),
                     .arg = TR_ARG(tp_start, .script = AT_ONCE, .text = tr_str("argument"))) == 0);
        TA_UNTIL(atomic_load(&saw.done) == 1);
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), TA_EODD);
    }
    return 0;
}

/* ---- requests ---------------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(receive, a_process_answers_requests, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_text text;
        ta_value value;
        T_TASK_REQUIRE(spawn_worker(&ref, ANSWERING, loop) == 0);
        for (int i = 0; i < 10; i++) {
            T_CHECK_INT(tr_ask(ref, TR_SECOND, &text, ta_echo, .text = tr_str("echoed")), 0);
            T_CHECK(ta_text_is(text.text, "echoed"));
        }
        /* Received and not answered: over with the next tr_receive(). */
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), TR_ENOREPLY);
        T_CHECK_INT(tr_send(ref, ta_fail, .err = TA_EVEN), 0);
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &text, ta_echo, .text = tr_str("late")), TA_EVEN);
    }
    return 0;
}

T_TASK_TEST_LOOPS(receive, expired_requests_are_not_received, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_value value;
        T_TASK_REQUIRE(spawn_worker(&ref, SELECTIVE, loop) == 0);
        T_CHECK_INT(tr_send(ref, tp_blue, .n = 1), 0);
        T_CHECK_INT(tr_ask(ref, TR_MS, &value, ta_get), TR_ETIMEOUT);
        T_CHECK_INT(tr_sleep(10 * TR_MS), 0);
        T_CHECK_INT(tr_send(ref, tp_blue, .n = 2), 0);
        TA_UNTIL(atomic_load(&saw.done) == 1);
        T_CHECK_INT(saw.results[2], TR_ETIMEOUT);
        T_CHECK_INT(saw.results[5], TR_ETIMEOUT);
    }
    return 0;
}

/* ---- back-pressure ----------------------------------------------------------------------- */

T_TASK_TEST(receive, taking_a_message_makes_room) {
    tr_ref ref;
    atomic_store(&saw.done, 0);
    T_TASK_REQUIRE(tr_spawn(&ref, worker, .mailbox_messages = 1,
                            .arg = TR_ARG(tp_start, .script = UNTIL_STOPPED)) == 0);
    for (uint32_t i = 0; i < 20; i++) {
        T_CHECK_INT(tr_send_wait(ref, tp_red, .n = i), 0);
    }
    T_CHECK_INT(tr_stop(ref), 0);
    TA_UNTIL(atomic_load(&saw.done) == 1);
    T_CHECK_INT(saw.count, 22);
    for (int i = 0; i < 20; i++) {
        T_CHECK_INT(saw.numbers[i], i);
    }
    return 0;
}
