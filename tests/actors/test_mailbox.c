/* SPDX-License-Identifier: Apache-2.0 */
/* Full mailboxes: bounds in messages and bytes, the policies, and waiting for room. */
#include "actors_test.h"

/* ---- an actor that is held up in its first message until it is let go -------------------- */

enum { KEEP = 64 };

static struct {
    atomic_int handled;
    uint64_t order[KEEP]; /* read when handled says so */
    atomic_ullong bytes;
    atomic_bool is_held; /* the actor is in its first message */
    atomic_bool may_go_on;
} got;

typedef struct {
    int unused;
} slow_sink;

static void note(uint64_t n) {
    int at = atomic_load(&got.handled);
    if (at < KEEP) {
        got.order[at] = n;
    }
    atomic_store(&got.handled, at + 1);
}

static int slow_nap(tr_self *self, slow_sink *s, const ta_nap *m) {
    (void)self;
    (void)s;
    if (m->ns > 0) {
        return tr_sleep(m->ns);
    }
    atomic_store(&got.is_held, true);
    int err = 0;
    while (err == 0 && !atomic_load(&got.may_go_on)) {
        err = tr_sleep(TR_MS);
    }
    return err;
}
static int slow_num(tr_self *self, slow_sink *s, const ta_num *m) {
    (void)self;
    (void)s;
    note(m->n);
    return 0;
}
static int slow_text(tr_self *self, slow_sink *s, const ta_text *m) {
    (void)self;
    (void)s;
    atomic_fetch_add(&got.bytes, m->text.size);
    note(m->text.size);
    return 0;
}
static int slow_get(tr_self *self, slow_sink *s, const ta_get *m) {
    (void)s;
    (void)m;
    return tr_reply(self, ta_value, .n = 1);
}
static int slow_quit(tr_self *self, slow_sink *s, const ta_quit *m) {
    (void)s;
    (void)m;
    tr_self_stop(self);
    return 0;
}

TR_PROTOCOL(slow_sink, ta_nap, ta_num, ta_text, ta_get, ta_quit);
TR_BEHAVIOUR(slow_sink, TR_ON(ta_nap, slow_nap), TR_ON(ta_num, slow_num), TR_ON(ta_text, slow_text),
             TR_ON(ta_get, slow_get), TR_ON(ta_quit, slow_quit));

/* Spawn it and hold it up in its first message, with an empty mailbox. */
static int spawn_held(tr_ref *ret, const struct tr_spawn_opts *opts) {
    atomic_store(&got.handled, 0);
    atomic_store(&got.bytes, 0);
    atomic_store(&got.is_held, false);
    atomic_store(&got.may_go_on, false);
    T_TASK_REQUIRE(tr_spawn_with(ret, TR_BEHAVIOUR_OF(slow_sink), opts) == 0);
    T_TASK_REQUIRE(tr_send(*ret, ta_nap, .ns = 0) == 0);
    TA_UNTIL(atomic_load(&got.is_held));
    return 0;
}

static void let_go(void) {
    atomic_store(&got.may_go_on, true);
}

static void let_go_later(void *arg) {
    (void)arg;
    let_go();
}

/* ---- the policies ------------------------------------------------------------------------ */

T_TASK_TEST(mailbox, fail_refuses_on_the_same_loop) {
    tr_ref ref;
    ta_value value;
    ta_count_letters();
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_messages = 3}) == 0);
    for (uint64_t i = 0; i < 6; i++) {
        T_CHECK_INT(tr_send(ref, ta_num, .n = i), i < 3 ? 0 : TR_EFULL);
    }
    T_CHECK_INT(tr_ask(ref, 20 * TR_MS, &value, ta_get), TR_ETIMEOUT); /* it waits for room */
    let_go();
    TA_UNTIL(atomic_load(&got.handled) == 3);
    for (uint64_t i = 0; i < 3; i++) {
        T_CHECK_INT(got.order[i], i);
    }
    T_CHECK_INT(atomic_load(&letters.count), 0); /* the sender knows already */
    T_CHECK_INT(tr_send(ref, ta_num, .n = 9), 0);
    TA_UNTIL(atomic_load(&got.handled) == 4);
    return 0;
}

/* Its requests find no room for as long as the actor is held up, and then are answered. */
static int ask_when_full(int loop) {
    tr_ref ref;
    ta_value value;
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_messages = 3,
                                                            .place = TR_LOOP(loop)}) == 0);
    for (uint64_t i = 0; i < 3; i++) {
        T_CHECK_INT(tr_send_wait(ref, ta_num, .n = i), 0);
    }
    tr_handle *handle;
    T_TASK_REQUIRE(tr_loop_call_later(tr_loop_running(), 20 * TR_MS, let_go_later, NULL, &handle) ==
                   0);
    T_CHECK_INT(tr_ask(ref, 10 * TR_SECOND, &value, ta_get), 0);
    tr_handle_unref(handle);
    return 0;
}

T_TASK_TEST_LOOPS(mailbox, an_ask_waits_for_room, 2) {
    int err = ask_when_full(0);
    return err < 0 ? err : ask_when_full(1);
}

T_TASK_TEST_LOOPS(mailbox, fail_is_a_dead_letter_across_loops, 2) {
    tr_ref ref;
    ta_value value;
    ta_count_letters();
    T_TASK_REQUIRE(
        spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_messages = 3, .place = TR_LOOP(1)}) == 0);
    for (uint64_t i = 0; i < 8; i++) {
        T_CHECK_INT(tr_send(ref, ta_num, .n = i), 0);
    }
    T_CHECK_INT(tr_ask(ref, 20 * TR_MS, &value, ta_get), TR_ETIMEOUT); /* one error, no letter */
    let_go();
    TA_UNTIL(atomic_load(&got.handled) == 3);
    T_CHECK_INT(atomic_load(&letters.count), 5);
    T_CHECK_INT(atomic_load(&letters.last_reason), TR_EFULL);
    T_CHECK_INT(atomic_load(&letters.last_n), 7);
    return 0;
}

static int check_policy(int loop, int policy) {
    tr_ref ref;
    ta_forget_letters();
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_messages = 3,
                                                            .overflow = policy,
                                                            .place = TR_LOOP(loop)}) == 0);
    for (uint64_t i = 0; i < 10; i++) {
        T_CHECK_INT(tr_send(ref, ta_num, .n = i), 0);
    }
    TA_UNTIL(atomic_load(&letters.count) == 7);
    let_go();
    TA_UNTIL(atomic_load(&got.handled) == 3);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&got.handled), 3);
    T_CHECK_INT(atomic_load(&letters.count), 7);
    T_CHECK_INT(atomic_load(&letters.last_reason), TR_EDROPPED);
    T_CHECK(tr_ref_equal(letters.last_to, ref));
    for (uint64_t i = 0; i < 3; i++) {
        T_CHECK_INT(got.order[i], policy == TR_DROP_OLD ? 7 + i : i);
    }
    T_CHECK_INT(atomic_load(&letters.last_n), policy == TR_DROP_OLD ? 6 : 9);
    return 0;
}

T_TASK_TEST_LOOPS(mailbox, drop_new_keeps_the_oldest, 2) {
    ta_count_letters();
    return check_policy(0, TR_DROP_NEW) < 0 ? -1 : check_policy(1, TR_DROP_NEW);
}

T_TASK_TEST_LOOPS(mailbox, drop_old_keeps_the_newest, 2) {
    ta_count_letters();
    return check_policy(0, TR_DROP_OLD) < 0 ? -1 : check_policy(1, TR_DROP_OLD);
}

struct asking {
    tr_ref to;
    int err;
};

static int ask_once(void *arg) {
    struct asking *asking = arg;
    ta_value value;
    asking->err = tr_ask(asking->to, 10 * TR_SECOND, &value, ta_get);
    return 0;
}

/* A dropped request is an error for its asker, at once, and no dead letter. */
static int check_dropped_ask(int loop, int policy) {
    struct asking asking[2] = {{.err = 1}, {.err = 1}};
    tr_task *tasks[2];
    int dropped = policy == TR_DROP_OLD ? 0 : 1;
    ta_forget_letters();
    T_TASK_REQUIRE(spawn_held(&asking[0].to, &(struct tr_spawn_opts){.mailbox_messages = 1,
                                                                     .overflow = policy,
                                                                     .place = TR_LOOP(loop)}) == 0);
    asking[1].to = asking[0].to;
    for (int i = 0; i < 2; i++) {
        T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "asker", ask_once, &asking[i], &tasks[i]) ==
                       0);
    }
    T_CHECK_INT(tr_task_join(tasks[dropped]), 0);
    T_CHECK_INT(asking[dropped].err, TR_EDROPPED);
    T_CHECK_INT(asking[1 - dropped].err, 1);
    let_go();
    T_CHECK_INT(tr_task_join(tasks[1 - dropped]), 0);
    T_CHECK_INT(asking[1 - dropped].err, 0);
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

T_TASK_TEST_LOOPS(mailbox, a_dropped_ask_fails_its_asker, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        T_TASK_REQUIRE(check_dropped_ask(loop, TR_DROP_NEW) == 0);
        T_TASK_REQUIRE(check_dropped_ask(loop, TR_DROP_OLD) == 0);
    }
    /* Nothing of the dropped asks is left behind, such as their timers. */
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    struct tr_loop_stats stats;
    tr_loop_get_stats(tr_loop_running(), &stats);
    T_CHECK_INT(stats.timers, 0);
    return 0;
}

/* ---- bytes ------------------------------------------------------------------------------- */

static char big[4000];

T_TASK_TEST(mailbox, the_bound_in_bytes) {
    tr_ref ref;
    tr_string text = {big, 400};
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_bytes = 1000}) == 0);
    T_CHECK_INT(tr_send(ref, ta_text, .text = text), 0);
    T_CHECK_INT(tr_send(ref, ta_text, .text = text), 0);
    T_CHECK_INT(tr_send(ref, ta_text, .text = text), TR_EFULL);
    T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0); /* a small one still fits */
    let_go();
    TA_UNTIL(atomic_load(&got.handled) == 3);
    T_CHECK_INT(tr_send(ref, ta_text, .text = text), 0);
    TA_UNTIL(atomic_load(&got.handled) == 4);
    return 0;
}

T_TASK_TEST(mailbox, an_empty_one_takes_a_message_over_its_bound_and_then_no_more) {
    tr_ref ref;
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_bytes = 1000}) == 0);
    T_CHECK_INT(tr_send(ref, ta_text, .text = {big, sizeof big}), 0);
    for (int i = 0; i < 5; i++) {
        T_CHECK_INT(tr_send(ref, ta_text, .text = {big, 10}), TR_EFULL);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 1), TR_EFULL);
    }
    let_go();
    TA_UNTIL(atomic_load(&got.handled) == 1);
    T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0);
    TA_UNTIL(atomic_load(&got.handled) == 2);
    return 0;
}

T_TASK_TEST(mailbox, drop_old_makes_room_in_bytes) {
    tr_ref ref;
    ta_count_letters();
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_bytes = 1000,
                                                            .overflow = TR_DROP_OLD}) == 0);
    for (int i = 0; i < 4; i++) {
        T_CHECK_INT(tr_send(ref, ta_text, .text = {big, 200}), 0);
    }
    T_CHECK_INT(atomic_load(&letters.count), 0);
    T_CHECK_INT(tr_send(ref, ta_text, .text = {big, 600}), 0); /* three must go */
    T_CHECK_INT(atomic_load(&letters.count), 3);
    T_CHECK_INT(tr_send(ref, ta_text, .text = {big, 3000}), 0); /* all must go */
    T_CHECK_INT(atomic_load(&letters.count), 5);
    let_go();
    TA_UNTIL(atomic_load(&got.handled) == 1);
    T_CHECK_INT(atomic_load(&got.bytes), 3000);
    return 0;
}

/* ---- tr_send_wait(): what it waits for --------------------------------------------------- */

struct waiting {
    tr_ref to;
    size_t size;
    atomic_int done;
    int err;
};

static int send_waiting(void *arg) {
    struct waiting *w = arg;
    w->err = tr_send_wait(w->to, ta_text, .text = {big, w->size});
    atomic_store(&w->done, 1);
    return w->err;
}

T_TASK_TEST(mailbox, send_wait_waits_for_bytes_too) {
    struct waiting w = {.size = 800};
    tr_task *task;
    T_TASK_REQUIRE(spawn_held(&w.to, &(struct tr_spawn_opts){.mailbox_bytes = 1000}) == 0);
    T_CHECK_INT(tr_send(w.to, ta_text, .text = {big, 300}), 0);
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "sender", send_waiting, &w, &task) == 0);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&w.done), 0);
    let_go();
    T_CHECK_INT(tr_task_join(task), 0);
    TA_UNTIL(atomic_load(&got.handled) == 2);
    T_CHECK_INT(got.order[0], 300);
    T_CHECK_INT(got.order[1], 800);
    return 0;
}

T_TASK_TEST(mailbox, send_wait_goes_on_when_the_message_is_taken_not_when_it_is_done) {
    struct waiting w = {.size = 1};
    tr_task *task;
    T_TASK_REQUIRE(spawn_held(&w.to, &(struct tr_spawn_opts){.mailbox_messages = 1}) == 0);
    T_CHECK_INT(tr_send(w.to, ta_nap, .ns = 1000 * TR_SECOND), 0);
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "sender", send_waiting, &w, &task) == 0);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&w.done), 0);
    let_go();
    TA_UNTIL(atomic_load(&w.done) == 1); /* the mailbox is empty: the actor is in its long nap */
    T_CHECK_INT(atomic_load(&got.handled), 0);
    T_CHECK_INT(tr_kill(w.to), 0);
    T_CHECK_INT(tr_task_join(task), 0);
    return 0;
}

static int check_patient(int policy) {
    struct waiting w = {.size = 7};
    tr_task *task;
    ta_forget_letters();
    T_TASK_REQUIRE(
        spawn_held(&w.to, &(struct tr_spawn_opts){.mailbox_messages = 1, .overflow = policy}) == 0);
    T_CHECK_INT(tr_send(w.to, ta_num, .n = 5), 0);
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "sender", send_waiting, &w, &task) == 0);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    let_go();
    T_CHECK_INT(tr_task_join(task), 0);
    TA_UNTIL(atomic_load(&got.handled) == 2);
    T_CHECK_INT(got.order[0], 5);
    T_CHECK_INT(got.order[1], 7);
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

/* Who waits for room drops nothing, whatever the policy does to those who don't. */
T_TASK_TEST(mailbox, send_wait_waits_whatever_the_policy) {
    ta_count_letters();
    T_TASK_REQUIRE(check_patient(TR_FAIL) == 0);
    T_TASK_REQUIRE(check_patient(TR_DROP_NEW) == 0);
    T_TASK_REQUIRE(check_patient(TR_DROP_OLD) == 0);
    return 0;
}

T_TASK_TEST(mailbox, a_cancelled_send_wait_sent_nothing) {
    struct waiting w[3] = {{.size = 1}, {.size = 2}, {.size = 3}};
    tr_task *tasks[3];
    T_TASK_REQUIRE(spawn_held(&w[0].to, &(struct tr_spawn_opts){.mailbox_messages = 1}) == 0);
    T_CHECK_INT(tr_send(w[0].to, ta_num, .n = 100), 0);
    for (int i = 0; i < 3; i++) {
        w[i].to = w[0].to;
        T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "sender", send_waiting, &w[i], &tasks[i]) ==
                       0);
    }
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK(tr_task_cancel(tasks[1]));
    let_go();
    T_CHECK_INT(tr_task_join(tasks[0]), 0);
    T_CHECK_INT(tr_task_join(tasks[1]), TR_ECANCELLED);
    T_CHECK_INT(tr_task_join(tasks[2]), 0);
    TA_UNTIL(atomic_load(&got.handled) == 3);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&got.handled), 3);
    T_CHECK_INT(got.order[0], 100);
    T_CHECK_INT(got.order[1], 1);
    T_CHECK_INT(got.order[2], 3);
    return 0;
}

T_TASK_TEST(mailbox, who_waits_for_an_actor_that_ends_learns_why) {
    struct waiting w[2] = {{.size = 1}, {.size = 2}};
    tr_task *tasks[2];
    for (int killed = 0; killed < 2; killed++) {
        T_TASK_REQUIRE(spawn_held(&w[0].to, &(struct tr_spawn_opts){.mailbox_messages = 1}) == 0);
        T_CHECK_INT(tr_send(w[0].to, ta_quit), 0);
        for (int i = 0; i < 2; i++) {
            w[i].to = w[0].to;
            T_TASK_REQUIRE(
                tr_task_new(tr_loop_running(), "sender", send_waiting, &w[i], &tasks[i]) == 0);
        }
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        if (killed) {
            T_CHECK_INT(tr_kill(w[0].to), 0);
        } else {
            let_go();
        }
        for (int i = 0; i < 2; i++) {
            int err = tr_task_join(tasks[i]);
            T_CHECK(killed ? err == TR_EKILLED : err == TR_ENOACTOR || err == 0);
        }
        TA_UNTIL(ta_alive() == 0);
    }
    return 0;
}

/* ---- across loops: the pair's credit ----------------------------------------------------- */

static int flood_far(void *arg) {
    tr_ref to = *(tr_ref *)arg;
    uint64_t sent = 0;
    int err;
    while ((err = tr_send(to, ta_num, .n = sent)) == 0 && sent < 100000) {
        sent++;
    }
    T_CHECK_INT(err, TR_EFULL);
    T_CHECK(sent >= 1000 && sent < 100000);
    let_go();
    for (int i = 0; i < 100; i++, sent++) {
        err = tr_send_wait(to, ta_num, .n = sent);
        if (err < 0) {
            break;
        }
    }
    return err < 0 ? err : (int)sent;
}

/* What may be on its way to another loop is bounded, and nothing of it is lost. */
T_TASK_TEST_LOOPS(mailbox, a_pair_of_loops_has_bounded_credit, 2) {
    tr_ref ref;
    tr_task *task;
    ta_count_letters();
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_messages = TR_UNBOUNDED,
                                                            .place = TR_LOOP(1)}) == 0);
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "flood", flood_far, &ref, &task) == 0);
    int sent = tr_task_join(task);
    T_CHECK(sent > 0);
    TA_UNTIL(atomic_load(&got.handled) == sent);
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

T_TASK_TEST_LOOPS(mailbox, a_cancelled_send_wait_across_loops_sent_nothing, 2) {
    tr_ref ref;
    struct waiting w = {.size = 1};
    tr_task *task;
    uint64_t sent = 0;
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_messages = TR_UNBOUNDED,
                                                            .place = TR_LOOP(1)}) == 0);
    while (tr_send(ref, ta_num, .n = sent) == 0) {
        sent++;
    }
    w.to = ref;
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "sender", send_waiting, &w, &task) == 0);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&w.done), 0);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
    let_go();
    TA_UNTIL(atomic_load(&got.handled) == (int)sent);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&got.handled), (int)sent);
    T_CHECK_INT(atomic_load(&got.bytes), 0);
    return 0;
}

/* The actor dies while the credit is used up: what was sent becomes dead letters, and the room
 * comes back. */
T_TASK_TEST_LOOPS(mailbox, credit_comes_back_when_the_receiver_dies, 2) {
    tr_ref ref;
    long sent = 0;
    ta_count_letters();
    T_TASK_REQUIRE(spawn_held(&ref, &(struct tr_spawn_opts){.mailbox_messages = TR_UNBOUNDED,
                                                            .place = TR_LOOP(1)}) == 0);
    while (tr_send(ref, ta_num, .n = 1) == 0) {
        sent++;
    }
    T_CHECK_INT(tr_kill(ref), 0);
    T_CHECK_INT(tr_send_wait(ref, ta_num, .n = 1), 0); /* accepted: a dead letter follows */
    TA_UNTIL(atomic_load(&letters.count) == sent + 1);
    T_CHECK_INT(atomic_load(&letters.last_reason), TR_EKILLED);
    T_CHECK_INT(atomic_load(&got.handled), 0);
    return 0;
}
