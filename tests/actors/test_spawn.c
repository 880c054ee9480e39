/* SPDX-License-Identifier: Apache-2.0 */
/* Spawning: places, options, TR_INIT, arguments. */
#include "actors_test.h"

#include <stdio.h>

TR_MESSAGE(ts_start, (1, int32, result), (2, int64, nap), (3, string, text));
TR_MESSAGE(ts_where);
TR_MESSAGE(ts_place, (1, int32, loop), (2, string, arg));
TR_REPLY(ts_where, ts_place);

/* ---- an actor that knows where it is ----------------------------------------------------- */

typedef struct {
    int inits;
    char text[32];
} place_keeper;

static atomic_int terminated;
static atomic_int last_reason;

static int keeper_init(tr_self *self, place_keeper *k, const ts_start *arg) {
    (void)self;
    k->inits++;
    if (arg->nap > 0) {
        int err = tr_sleep(arg->nap);
        if (err < 0) {
            return err;
        }
    }
    snprintf(k->text, sizeof k->text, "%.*s", (int)arg->text.size, arg->text.data);
    return arg->result;
}

static int keeper_where(tr_self *self, place_keeper *k, const ts_where *m) {
    (void)m;
    T_CHECK_INT(k->inits, 1);
    return tr_reply(self, ts_place, .loop = tr_loop_index(tr_loop_running()),
                    .arg = tr_str(k->text));
}

static void keeper_end(tr_self *self, place_keeper *k, int reason) {
    (void)self;
    (void)k;
    atomic_store(&last_reason, reason);
    atomic_fetch_add(&terminated, 1);
}

TR_PROTOCOL(place_keeper, ts_where);
TR_BEHAVIOUR(place_keeper, TR_INIT(ts_start, keeper_init), TR_ON(ts_where, keeper_where),
             TR_TERMINATE(keeper_end));

static int loop_of(tr_ref ref) {
    ts_place place = {.loop = -1};
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &place, ts_where), 0);
    return place.loop;
}

typedef struct {
    int value;
} plain_keeper;

static int plain_get(tr_self *self, plain_keeper *p, const ta_get *m) {
    (void)m;
    return tr_reply(self, ta_value, .n = (uint64_t)p->value++);
}

TR_PROTOCOL(plain_keeper, ta_get);
TR_BEHAVIOUR(plain_keeper, TR_ON(ta_get, plain_get));

/* ---- places ------------------------------------------------------------------------------ */

T_TASK_TEST_LOOPS(spawn, a_given_loop_is_where_it_runs, 3) {
    for (int i = 0; i < 3; i++) {
        tr_ref ref;
        T_TASK_REQUIRE(tr_spawn(&ref, place_keeper, .place = TR_LOOP(i)) == 0);
        T_CHECK_INT(loop_of(ref), i);
    }
    tr_ref here;
    T_TASK_REQUIRE(tr_spawn(&here, place_keeper, .place = TR_HERE) == 0);
    T_CHECK_INT(loop_of(here), 0);
    return 0;
}

T_TASK_TEST_LOOPS(spawn, round_robin_goes_round, 3) {
    int count[3] = {0};
    for (int i = 0; i < 9; i++) {
        tr_ref ref;
        T_TASK_REQUIRE(tr_spawn(&ref, place_keeper, .place = TR_ROUND_ROBIN) == 0);
        int loop = loop_of(ref);
        T_TASK_REQUIRE(loop >= 0 && loop < 3);
        count[loop]++;
    }
    for (int i = 0; i < 3; i++) {
        T_CHECK_INT(count[i], 3);
    }
    return 0;
}

T_TASK_TEST_LOOPS(spawn, least_loaded_fills_the_emptier_loop, 2) {
    tr_ref ref;
    for (int i = 0; i < 5; i++) {
        T_TASK_REQUIRE(tr_spawn(&ref, plain_keeper, .place = TR_LOOP(0)) == 0);
    }
    for (int i = 0; i < 5; i++) {
        T_TASK_REQUIRE(tr_spawn(&ref, place_keeper, .place = TR_LEAST_LOADED) == 0);
        T_CHECK_INT(loop_of(ref), 1);
    }
    T_CHECK_INT(ta_alive(), 5);
    return 0;
}

T_TASK_TEST_LOOPS(spawn, the_key_chooses_the_loop, 3) {
    for (uint64_t key = 0; key < 9; key++) {
        tr_ref ref;
        uint64_t large = UINT64_MAX - key;
        T_TASK_REQUIRE(tr_spawn(&ref, place_keeper, .place = TR_BY_KEY, .key = large) == 0);
        T_CHECK_INT(loop_of(ref), (int)(large % 3));
    }
    return 0;
}

static char logged[512];

static void keep_line(void *arg, const struct tr_log_line *line) {
    (void)arg;
    snprintf(logged, sizeof logged, "%s", line->text);
}

static int spawn_wrongly(void *arg) {
    tr_ref ref = {.slot = 77};
    (void)arg;
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .place = TR_LOOP(2)), TR_ENOPLACE);
    T_CHECK(strstr(logged, "TR_LOOP(2)") != NULL && strstr(logged, "plain_keeper") != NULL);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .place = -1), -EINVAL);
    T_CHECK(strstr(logged, ".place is -1") != NULL);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .place = TR_BY_KEY + 1), -EINVAL);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .overflow = 3), -EINVAL);
    T_CHECK(strstr(logged, ".overflow is 3") != NULL);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .overflow = -1), -EINVAL);
    T_CHECK_INT(tr_spawn(&ref, place_keeper, .arg = TR_ARG(ta_num, .n = 1)), TR_EUNHANDLED);
    T_CHECK(strstr(logged, "ta_num") != NULL && strstr(logged, "ts_start") != NULL);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .arg = TR_ARG(ta_num, .n = 1)), TR_EUNHANDLED);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .name = ""), TR_ENAME);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .name = "a@b"), TR_ENAME);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper,
                         .name = "0123456789012345678901234567890123456789"
                                 "012345678901234567890123"),
                TR_ENAME);
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .node = "elsewhere"), TR_ENODE);
    T_CHECK_INT(ref.slot, 77); /* set on success only */
    T_CHECK_INT(ta_alive(), 0);
    return 0;
}

T_TEST(spawn, wrong_values_are_named_and_refused) {
    tr_log_set_sink(keep_line, NULL, TR_LOG_WARN);
    t_run_task(spawn_wrongly, NULL, 2);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

/* ---- TR_INIT ----------------------------------------------------------------------------- */

static int check_arg(int place) {
    tr_ref ref;
    char text[] = "text";
    T_TASK_REQUIRE(tr_spawn(&ref, place_keeper, .place = place,
                            .arg = TR_ARG(ts_start, .text = tr_str(text))) == 0);
    memset(text, 'X', 4);
    ts_place reply;
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &reply, ts_where), 0);
    T_CHECK(ta_text_is(reply.arg, "text"));
    return 0;
}

T_TASK_TEST_LOOPS(spawn, the_argument_is_copied, 2) {
    return check_arg(TR_LOOP(0)) < 0 || check_arg(TR_LOOP(1)) < 0 ? -1 : 0;
}

static int check_failing_init(int place, tr_time nap) {
    tr_ref ref;
    atomic_store(&terminated, 0);
    T_CHECK_INT(tr_spawn(&ref, place_keeper, .place = place, .name = "failing",
                         .arg = TR_ARG(ts_start, .result = TA_EODD, .nap = nap)),
                TA_EODD);
    TA_UNTIL(atomic_load(&terminated) == 1);
    T_CHECK_INT(atomic_load(&last_reason), TA_EODD);
    TA_UNTIL(tr_whereis("failing", &ref) == TR_ENOACTOR);
    return 0;
}

T_TASK_TEST_LOOPS(spawn, a_failing_init_fails_the_spawn, 2) {
    for (int loop = 0; loop < 2; loop++) {
        T_TASK_REQUIRE(check_failing_init(TR_LOOP(loop), 0) == 0);
        T_TASK_REQUIRE(check_failing_init(TR_LOOP(loop), TR_MS) == 0);
    }
    return 0;
}

T_TASK_TEST_LOOPS(spawn, waits_for_an_init_that_suspends, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        tr_time before = tr_loop_time(tr_loop_running());
        T_TASK_REQUIRE(tr_spawn(&ref, place_keeper, .place = TR_LOOP(loop),
                                .arg = TR_ARG(ts_start, .nap = 20 * TR_MS)) == 0);
        T_CHECK(tr_loop_time(tr_loop_running()) - before >= 20 * TR_MS);
        T_CHECK_INT(loop_of(ref), loop);
    }
    return 0;
}

T_TASK_TEST_LOOPS(spawn, start_does_not_wait_and_the_error_ends_the_actor, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        atomic_store(&terminated, 0);
        T_TASK_REQUIRE(
            tr_spawn_start(&ref, place_keeper, .place = TR_LOOP(loop),
                           .arg = TR_ARG(ts_start, .result = TA_EVEN, .nap = 5 * TR_MS)) == 0);
        T_CHECK_INT(atomic_load(&terminated), 0);
        ts_place reply; /* sent before it ends: it waits in the mailbox and learns the reason */
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &reply, ts_where), TA_EVEN);
        T_CHECK_INT(atomic_load(&terminated), 1);
        T_CHECK_INT(atomic_load(&last_reason), TA_EVEN);
    }
    return 0;
}

T_TASK_TEST_LOOPS(spawn, messages_wait_until_init_has_returned, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        T_TASK_REQUIRE(tr_spawn_start(&ref, place_keeper, .place = TR_LOOP(loop),
                                      .arg = TR_ARG(ts_start, .nap = 10 * TR_MS,
                                                    .text = tr_str("in time"))) == 0);
        ts_place reply;
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &reply, ts_where), 0);
        T_CHECK(ta_text_is(reply.arg, "in time"));
    }
    return 0;
}

T_TASK_TEST(spawn, state_starts_zeroed_in_a_used_place) {
    for (int i = 0; i < 3; i++) {
        tr_ref ref;
        ta_value value;
        T_TASK_REQUIRE(tr_spawn(&ref, plain_keeper, .place = TR_HERE) == 0);
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), 0);
        T_CHECK_INT(value.n, 0);
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), 0);
        T_CHECK_INT(value.n, 1);
        T_CHECK_INT(tr_kill(ref), 0);
        TA_UNTIL(ta_alive() == 0);
    }
    return 0;
}

/* ---- names ------------------------------------------------------------------------------- */

T_TASK_TEST_LOOPS(spawn, a_taken_name_is_refused_on_every_loop, 2) {
    tr_ref first;
    tr_ref second;
    T_TASK_REQUIRE(tr_spawn(&first, place_keeper, .name = "only", .place = TR_LOOP(1)) == 0);
    for (int loop = 0; loop < 2; loop++) {
        T_CHECK_INT(tr_spawn(&second, place_keeper, .name = "only", .place = TR_LOOP(loop)),
                    TR_ENAME);
        T_CHECK_INT(tr_spawn_start(&second, plain_keeper, .name = "only", .place = TR_LOOP(loop)),
                    TR_ENAME);
    }
    T_CHECK_INT(loop_of(first), 1);
    return 0;
}

/* ---- cancelled --------------------------------------------------------------------------- */

static int spawn_slowly(void *arg) {
    tr_ref ref;
    int err = tr_spawn(&ref, place_keeper, .place = *(int *)arg,
                       .arg = TR_ARG(ts_start, .nap = 30 * TR_MS));
    T_CHECK_INT(err, TR_ECANCELLED);
    return err;
}

T_TASK_TEST_LOOPS(spawn, a_cancelled_spawner_leaves_no_actor, 2) {
    for (int loop = 0; loop < 2; loop++) {
        int place = TR_LOOP(loop);
        tr_task *task;
        atomic_store(&terminated, 0);
        T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "spawner", spawn_slowly, &place, &task) == 0);
        T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
        T_CHECK(tr_task_cancel(task));
        T_CHECK_INT(tr_task_join(task), TR_ECANCELLED);
        TA_UNTIL(atomic_load(&terminated) == 1);
        T_CHECK_INT(atomic_load(&last_reason), TR_EKILLED);
    }
    return 0;
}

/* ---- from handlers, of other loops ------------------------------------------------------- */

TR_MESSAGE(ts_make, (1, int32, place), (2, string, keep));
TR_MESSAGE(ts_made, (1, ref, who), (2, string, kept));
TR_REPLY(ts_make, ts_made);

typedef struct {
    tr_ref keeper;
} spawner;

/* The strings of a reply are valid until the handler asks again; spawning is no asking. */
static int on_make(tr_self *self, spawner *s, const ts_make *m) {
    tr_ref ref;
    ts_place reply;
    int err = 0;
    if (tr_ref_is_null(s->keeper)) {
        err = tr_spawn(&s->keeper, place_keeper, .place = m->place,
                       .arg = TR_ARG(ts_start, .text = m->keep));
    }
    if (err == 0) {
        err = tr_ask(s->keeper, TR_SECOND, &reply, ts_where);
    }
    if (err == 0) {
        err = tr_spawn(&ref, place_keeper, .place = m->place,
                       .arg = TR_ARG(ts_start, .text = tr_str("other"), .nap = TR_MS));
    }
    return err < 0 ? err : tr_reply(self, ts_made, .who = ref, .kept = reply.arg);
}

TR_PROTOCOL(spawner, ts_make);
TR_BEHAVIOUR(spawner, TR_ON(ts_make, on_make));

T_TASK_TEST_LOOPS(spawn, a_handler_spawns_on_any_loop, 2) {
    for (int from = 0; from < 2; from++) {
        tr_ref maker;
        T_TASK_REQUIRE(tr_spawn(&maker, spawner, .place = TR_LOOP(from)) == 0);
        for (int to = 0; to < 2; to++) {
            ts_made made;
            T_CHECK_INT(tr_ask(maker, TR_SECOND, &made, ts_make, .place = TR_LOOP(to),
                               .keep = tr_str("kept over the spawn")),
                        0);
            T_CHECK(ta_text_is(made.kept, "kept over the spawn"));
            T_CHECK_INT(loop_of(made.who), to);
        }
    }
    return 0;
}

T_TASK_TEST(spawn, without_options_all_are_defaults) {
    tr_ref ref;
    ta_value value;
    T_TASK_REQUIRE(tr_spawn_with(&ref, TR_BEHAVIOUR_OF(plain_keeper), NULL) == 0);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), 0);
    return 0;
}

static void spawn_in_callback(void *arg) {
    tr_ref ref;
    T_CHECK_INT(tr_spawn(&ref, plain_keeper, .place = TR_HERE), 0);
    *(tr_ref *)arg = ref;
}

/* On the caller's own loop and without TR_INIT it doesn't suspend: a callback may do it. */
T_TASK_TEST(spawn, a_callback_may_spawn_what_needs_no_waiting) {
    tr_ref ref = {0};
    T_TASK_REQUIRE(tr_loop_call_soon(tr_loop_running(), spawn_in_callback, &ref, NULL) == 0);
    TA_UNTIL(!tr_ref_is_null(ref));
    ta_value value;
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), 0);
    return 0;
}
