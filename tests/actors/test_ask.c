/* SPDX-License-Identifier: Apache-2.0 */
/* tr_ask(): replies, errors, deadlines, and receivers that go away. */
#include "actors_test.h"

/* What a server does with a request. */
enum { REPLY, NOTHING, WRONG_TYPE, ERROR, FAIL, SLOW, TWICE, LATER_STOP };

TR_MESSAGE(tk_do, (1, int32, what), (2, int64, ns), (3, ref, self));
TR_REPLY(tk_do, ta_value);

static atomic_int runs;
static atomic_int stray_result; /* of what a handler did on the side */

typedef struct {
    tr_ref me;
} server;

static int server_do(tr_self *self, server *s, const tk_do *m) {
    int err;
    (void)s;
    atomic_fetch_add(&runs, 1);
    switch (m->what) {
    case REPLY: return tr_reply(self, ta_value, .n = 42);
    case NOTHING: return 0;
    case WRONG_TYPE:
        atomic_store(&stray_result, tr_reply(self, ta_text, .text = tr_str("no number")));
        return 0;
    case ERROR: return tr_reply_error(self, TA_EODD);
    case FAIL: return TA_EVEN;
    case SLOW: err = tr_sleep(m->ns); return err < 0 ? err : tr_reply(self, ta_value, .n = 43);
    case TWICE:
        err = tr_reply(self, ta_value, .n = 1);
        atomic_store(&stray_result, tr_reply(self, ta_value, .n = 2));
        return err;
    default: tr_self_stop(self); return 0;
    }
}

static int server_echo(tr_self *self, server *s, const ta_echo *m) {
    char text[64];
    (void)s;
    size_t size = m->text.size < sizeof text ? m->text.size : sizeof text;
    memcpy(text, m->text.data, size);
    int err = tr_reply(self, ta_text, .text = {text, size});
    memset(text, 'X', sizeof text); /* the reply has its own copy */
    return err;
}

static int server_nap(tr_self *self, server *s, const ta_nap *m) {
    (void)self;
    (void)s;
    return tr_sleep(m->ns);
}

/* Asks itself: it could never answer. */
static int server_get(tr_self *self, server *s, const ta_get *m) {
    ta_value value;
    (void)s;
    (void)m;
    atomic_store(&stray_result, tr_ask(tr_self_ref(self), TR_SECOND, &value, tk_do, .what = REPLY));
    return tr_reply(self, ta_value, .n = 44);
}

TR_PROTOCOL(server, tk_do, ta_echo, ta_nap, ta_get);
TR_BEHAVIOUR(server, TR_ON(tk_do, server_do), TR_ON(ta_echo, server_echo),
             TR_ON(ta_nap, server_nap), TR_ON(ta_get, server_get));

static int spawn_server(tr_ref *ret, int loop) {
    ta_forget_letters();
    atomic_store(&runs, 0);
    atomic_store(&stray_result, 0);
    return tr_spawn(ret, server, .place = TR_LOOP(loop), .mailbox_messages = TR_UNBOUNDED);
}

/* ---- what comes back --------------------------------------------------------------------- */

static int check_answers(int loop) {
    tr_ref ref;
    ta_value value = {0};
    T_TASK_REQUIRE(spawn_server(&ref, loop) == 0);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = REPLY), 0);
    T_CHECK_INT(value.n, 42);
    value.n = 7;
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = NOTHING), TR_ENOREPLY);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = WRONG_TYPE), TR_EREPLY);
    T_CHECK_INT(atomic_load(&stray_result), TR_EREPLY);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = ERROR), TA_EODD);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_stranger), TR_EUNHANDLED);
    T_CHECK_INT(value.n, 7); /* set on success only */
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = TWICE), 0);
    T_CHECK_INT(value.n, 1);
    T_CHECK_INT(tr_ask(ref, TR_FOREVER, &value, tk_do, .what = SLOW, .ns = TR_MS), 0);
    T_CHECK_INT(value.n, 43);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), 0);
    T_CHECK_INT(value.n, 44);
    T_CHECK_INT(atomic_load(&stray_result), TR_EDEADLK);
    T_CHECK_INT(tr_ask(ref, 0, &value, tk_do, .what = REPLY), TR_ETIMEOUT);
    T_CHECK_INT(tr_ask(ref, -5, &value, tk_do, .what = REPLY), TR_ETIMEOUT);
    T_CHECK_INT(tr_send(ref, tk_do, .what = REPLY), 0); /* a tell: the reply goes nowhere */
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = FAIL), TA_EVEN);
    T_CHECK_INT(atomic_load(&runs), 8);
    int after = tr_ask(ref, TR_SECOND, &value, tk_do, .what = REPLY);
    T_CHECK_INT(after, TA_EVEN); /* ended, and why */
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

T_TASK_TEST_LOOPS(ask, answers_and_errors, 2) {
    ta_count_letters();
    return check_answers(0) < 0 ? -1 : check_answers(1);
}

T_TASK_TEST_LOOPS(ask, strings_in_replies_are_valid_until_the_next_ask, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        tr_ref other;
        ta_text text;
        T_TASK_REQUIRE(spawn_server(&ref, loop) == 0);
        for (int i = 0; i < 50; i++) {
            char expected[16] = "reply number ?";
            expected[13] = (char)('0' + i);
            T_CHECK_INT(tr_ask(ref, TR_SECOND, &text, ta_echo, .text = tr_str(expected)), 0);
            T_CHECK_INT(tr_send(ref, tk_do, .what = NOTHING), 0);
            T_CHECK_INT(tr_sleep(i % 8 == 0 ? TR_MS : 0), 0);
            T_CHECK(ta_text_is(text.text, expected));
        }
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &text, ta_echo, .text = tr_str("last")), 0);
        T_CHECK_INT(tr_spawn(&other, server, .place = TR_LOOP(1 - loop)), 0);
        T_CHECK_INT(tr_kill(ref), 0);
        T_CHECK_INT(tr_kill(other), 0);
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        T_CHECK(ta_text_is(text.text, "last"));
    }
    return 0;
}

/* ---- deadlines --------------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(ask, the_deadline_ends_the_wait_and_a_late_reply_is_ignored, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_value value = {.n = 5};
        T_TASK_REQUIRE(spawn_server(&ref, loop) == 0);
        tr_time before = tr_loop_time(tr_loop_running());
        T_CHECK_INT(tr_ask(ref, 10 * TR_MS, &value, tk_do, .what = SLOW, .ns = 30 * TR_MS),
                    TR_ETIMEOUT);
        tr_time waited = tr_loop_time(tr_loop_running()) - before;
        T_CHECK(waited >= 10 * TR_MS && waited < 25 * TR_MS);
        /* The next ask may stand in the same place, and must not get the late reply. */
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = TWICE), 0);
        T_CHECK_INT(value.n, 1);
        T_CHECK_INT(atomic_load(&letters.count), 0);
    }
    return 0;
}

T_TASK_TEST_LOOPS(ask, a_request_that_has_expired_is_not_run, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_value value;
        T_TASK_REQUIRE(spawn_server(&ref, loop) == 0);
        T_CHECK_INT(tr_send(ref, ta_nap, .ns = 30 * TR_MS), 0);
        for (int i = 0; i < 3; i++) {
            T_CHECK_INT(tr_ask(ref, 5 * TR_MS, &value, tk_do, .what = REPLY), TR_ETIMEOUT);
        }
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, tk_do, .what = REPLY), 0);
        T_CHECK_INT(atomic_load(&runs), 1);
        T_CHECK_INT(atomic_load(&letters.count), 0);
    }
    return 0;
}

/* ---- the receiver goes away -------------------------------------------------------------- */

struct asking {
    tr_ref to;
    int what;
    int err;
    tr_time ns;
    tr_time timeout;
    ta_value value;
};

static int ask_once(void *arg) {
    struct asking *a = arg;
    a->err = tr_ask(a->to, a->timeout, &a->value, tk_do, .what = a->what, .ns = a->ns);
    return a->err == TR_ECANCELLED ? TR_ECANCELLED : 0;
}

static int check_death(int loop, int how, int expected) {
    struct asking a = {.what = SLOW, .ns = 10 * TR_SECOND, .timeout = TR_FOREVER};
    struct asking b = {.what = REPLY, .timeout = TR_FOREVER};
    tr_task *first;
    tr_task *second;
    T_TASK_REQUIRE(spawn_server(&a.to, loop) == 0);
    b.to = a.to;
    if (how == FAIL || how == LATER_STOP) { /* it ends by itself, with a request in its mailbox */
        a.what = how;
        T_CHECK_INT(tr_send(a.to, ta_nap, .ns = 5 * TR_MS), 0);
    }
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "first", ask_once, &a, &first) == 0);
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "second", ask_once, &b, &second) == 0);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    if (how == REPLY) {
        T_CHECK_INT(tr_kill(a.to), 0);
    }
    T_CHECK_INT(tr_task_join(first), 0);
    T_CHECK_INT(tr_task_join(second), 0);
    T_CHECK_INT(a.err, how == LATER_STOP ? TR_ENOREPLY : expected);
    T_CHECK_INT(b.err, expected);
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

T_TASK_TEST_LOOPS(ask, who_asks_an_actor_that_ends_learns_why, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        T_TASK_REQUIRE(check_death(loop, REPLY, TR_EKILLED) == 0);
        T_TASK_REQUIRE(check_death(loop, FAIL, TA_EVEN) == 0);
        T_TASK_REQUIRE(check_death(loop, LATER_STOP, TR_ENOACTOR) == 0);
    }
    return 0;
}

/* ---- the asker goes away ----------------------------------------------------------------- */

T_TASK_TEST_LOOPS(ask, a_cancelled_asker_and_its_late_reply, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        struct asking a = {.what = SLOW, .ns = 10 * TR_MS, .timeout = TR_FOREVER};
        tr_task *task;
        ta_value value;
        T_TASK_REQUIRE(spawn_server(&a.to, loop) == 0);
        T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "asker", ask_once, &a, &task) == 0);
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        T_CHECK(tr_task_cancel(task));
        T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
        T_CHECK_INT(a.err, TR_ECANCELLED);
        T_CHECK_INT(tr_ask(a.to, TR_SECOND, &value, tk_do, .what = TWICE), 0);
        T_CHECK_INT(value.n, 1);
        T_CHECK_INT(a.value.n, 0);
        T_CHECK_INT(atomic_load(&letters.count), 0);
    }
    return 0;
}

T_TASK_TEST_LOOPS(ask, a_time_limit_around_it, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_value value;
        tr_timeout limit;
        T_TASK_REQUIRE(spawn_server(&ref, loop) == 0);
        tr_timeout_begin(&limit, 5 * TR_MS);
        int err = tr_ask(ref, TR_FOREVER, &value, tk_do, .what = SLOW, .ns = 10 * TR_MS);
        T_CHECK_INT(err, TR_ECANCELLED);
        T_CHECK_INT(tr_timeout_end(&limit, err), TR_ETIMEOUT);
    }
    return 0;
}

/* ---- many at once ------------------------------------------------------------------------ */

enum { MANY = 10000 };

/* All of them wait at the same time: the actor begins when the last has asked. */
static int ask_from_many_tasks(int loop, int count) {
    static struct asking askings[MANY];
    static tr_task *tasks[MANY];
    tr_ref ref;
    T_TASK_REQUIRE(spawn_server(&ref, loop) == 0);
    T_CHECK_INT(tr_send(ref, ta_nap, .ns = 30 * TR_MS), 0);
    for (int i = 0; i < count; i++) {
        askings[i] = (struct asking){.to = ref, .what = REPLY, .timeout = 100 * TR_SECOND};
        T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "asker", ask_once, &askings[i], &tasks[i]) ==
                       0);
    }
    int right = 0;
    for (int i = 0; i < count; i++) {
        T_CHECK_INT(tr_task_join(tasks[i]), 0);
        right += askings[i].err == 0 && askings[i].value.n == 42;
    }
    T_CHECK_INT(right, count);
    T_CHECK_INT(atomic_load(&runs), count);
    struct tr_loop_stats stats;
    tr_loop_get_stats(tr_loop_running(), &stats);
    T_CHECK_INT(stats.timers, 0);
    return 0;
}

static int many_here(void *arg) {
    (void)arg;
    return ask_from_many_tasks(0, MANY);
}

static int many_across(void *arg) {
    (void)arg;
    return ask_from_many_tasks(1, 4000); /* below a pair's credit */
}

static void run_with_small_stacks(tr_task_fn *fn) {
    struct tr_run_opts opts = {.loops = 2, .stack_bytes = 64 * 1024};
    t_timeout(120);
    T_CHECK_INT(tr_run_with(fn, &opts), 0);
}

T_TEST(ask, ten_thousand_at_once) {
    run_with_small_stacks(many_here);
}

T_TEST(ask, thousands_at_once_across_loops) {
    run_with_small_stacks(many_across);
}

/* ---- a chain of asks --------------------------------------------------------------------- */

TR_MESSAGE(tk_forward, (1, ref, next), (2, uint32, hops), (3, int64, nap));
TR_REPLY(tk_forward, ta_value);

typedef struct {
    tr_ref next;
} chain_link;

static int on_forward(tr_self *self, chain_link *l, const tk_forward *m) {
    ta_value value = {0};
    if (!tr_ref_is_null(m->next)) {
        l->next = m->next;
        return tr_reply(self, ta_value, .n = 0);
    }
    if (m->hops > 0) {
        int err = tr_ask(l->next, TR_SECOND, &value, tk_forward, .hops = m->hops - 1);
        if (err < 0) {
            return tr_reply_error(self, err);
        }
    }
    return tr_reply(self, ta_value, .n = value.n + 1);
}

TR_PROTOCOL(chain_link, tk_forward);
TR_BEHAVIOUR(chain_link, TR_ON(tk_forward, on_forward));

T_TASK_TEST_LOOPS(ask, handlers_ask_along_a_chain_over_loops, 3) {
    ta_count_letters();
    enum { LINKS = 60 };
    tr_ref links[LINKS];
    ta_value value;
    for (int i = 0; i < LINKS; i++) {
        T_TASK_REQUIRE(tr_spawn(&links[i], chain_link, .place = TR_LOOP(i % 3)) == 0);
        if (i > 0) {
            T_CHECK_INT(tr_ask(links[i - 1], TR_SECOND, &value, tk_forward, .next = links[i]), 0);
        }
    }
    T_CHECK_INT(tr_ask(links[0], TR_SECOND, &value, tk_forward, .hops = LINKS - 1), 0);
    T_CHECK_INT(value.n, LINKS);
    return 0;
}

T_DEATH_TEST_MSG(ask, needs_a_loop, SIGABRT, "tr_ask") {
    tr_ref nobody = {0};
    ta_value value;
    T_CHECK_INT(tr_ask(nobody, TR_SECOND, &value, ta_get), 0);
}
