/* SPDX-License-Identifier: Apache-2.0 */
/* Names, and the table of message types. */
#include "actors_internal.h"
#include "actors_test.h"

#include <stdio.h>

typedef struct {
    int unused;
} named;

static int named_fail(tr_self *self, named *n, const ta_fail *m) {
    (void)self;
    (void)n;
    return m->err;
}

TR_PROTOCOL(named, ta_fail);
TR_BEHAVIOUR(named, TR_ON(ta_fail, named_fail));

T_TASK_TEST_LOOPS(registry, a_name_finds_its_actor_from_its_spawn_to_its_end, 2) {
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        tr_ref found = {.slot = 99};
        T_CHECK_INT(tr_whereis("somebody", &found), TR_ENOACTOR);
        T_CHECK_INT(found.slot, 99); /* set on success only */
        T_TASK_REQUIRE(tr_spawn(&ref, named, .name = "somebody", .place = TR_LOOP(loop)) == 0);
        T_CHECK_INT(tr_whereis("somebody", &found), 0);
        T_CHECK(tr_ref_equal(found, ref));
        T_CHECK_INT(tr_whereis("some", &found), TR_ENOACTOR);
        T_CHECK_INT(tr_whereis("somebody else", &found), TR_ENOACTOR);
        T_CHECK_INT(loop == 0 ? tr_kill(ref) : tr_send(ref, ta_fail, .err = TA_EODD), 0);
        TA_UNTIL(tr_whereis("somebody", &found) == TR_ENOACTOR);
    }
    return 0;
}

T_TASK_TEST(registry, whereis_checks_the_form) {
    tr_ref ref;
    char name[80];
    T_CHECK_INT(tr_whereis("", &ref), TR_ENAME);
    T_CHECK_INT(tr_whereis("@node", &ref), TR_ENAME);
    T_CHECK_INT(tr_whereis("name@", &ref), TR_ENAME);
    T_CHECK_INT(tr_whereis("name@node", &ref), TR_ENODE);
    for (int size = 1; size < 70; size++) {
        memset(name, 'n', sizeof name);
        name[size] = '\0';
        T_CHECK_INT(tr_whereis(name, &ref), size <= 63 ? TR_ENOACTOR : TR_ENAME);
    }
    name[63] = '\0';
    tr_ref longest;
    T_TASK_REQUIRE(tr_spawn(&longest, named, .name = name) == 0);
    T_CHECK_INT(tr_whereis(name, &ref), 0);
    T_CHECK(tr_ref_equal(ref, longest));
    name[62] = '\0'; /* another name, and free */
    T_CHECK_INT(tr_whereis(name, &ref), TR_ENOACTOR);
    return 0;
}

/* Claims and releases in a random order, against a simple list of what must be there. */
T_TASK_TEST(registry, many_names_come_and_go) {
    enum { NAMES = 500, STEPS = 4000 };
    static tr_ref refs[NAMES];
    static bool is_there[NAMES];
    uint64_t random = 7;
    memset(is_there, 0, sizeof is_there);
    t_timeout(60);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(ta_random(&random) % NAMES);
        char name[32];
        tr_ref ref;
        snprintf(name, sizeof name, "name %d", i);
        if (!is_there[i]) {
            T_TASK_REQUIRE(tr_spawn(&refs[i], named, .name = name) == 0);
            is_there[i] = true;
        } else {
            T_CHECK_INT(tr_spawn(&ref, named, .name = name), TR_ENAME);
            T_CHECK_INT(tr_kill(refs[i]), 0);
            T_CHECK_INT(tr_yield(), 0);
            T_CHECK_INT(tr_yield(), 0);
            is_there[i] = false;
        }
        for (int k = 0; k < 8; k++) {
            int other = (int)(ta_random(&random) % NAMES);
            snprintf(name, sizeof name, "name %d", other);
            int err = tr_whereis(name, &ref);
            if (err != (is_there[other] ? 0 : TR_ENOACTOR) ||
                (err == 0 && !tr_ref_equal(ref, refs[other]))) {
                T_FAIL("step %d: '%s' gives %d", step, name, err);
                return -1;
            }
        }
    }
    return 0;
}

/* The same name is wanted on two loops at once, many times: one of them gets it. */
TR_MESSAGE(tg_claim, (1, int32, from), (2, int32, to));
TR_REPLY(tg_claim, ta_value);

typedef struct {
    int unused;
} claimer;

static int on_claim(tr_self *self, claimer *c, const tg_claim *m) {
    uint64_t won = 0;
    (void)c;
    for (int i = m->from; i < m->to; i++) {
        char name[32];
        tr_ref ref;
        snprintf(name, sizeof name, "wanted %d", i);
        int err = tr_spawn(&ref, named, .name = name);
        T_CHECK(err == 0 || err == TR_ENAME);
        won += err == 0;
    }
    return tr_reply(self, ta_value, .n = won);
}

TR_PROTOCOL(claimer, tg_claim);
TR_BEHAVIOUR(claimer, TR_ON(tg_claim, on_claim));

struct claiming {
    tr_ref to;
    uint64_t won;
};

static int claim_task(void *arg) {
    struct claiming *c = arg;
    ta_value value = {0};
    int err = tr_ask(c->to, 10 * TR_SECOND, &value, tg_claim, .from = 0, .to = 2000);
    c->won = value.n;
    return err;
}

T_TASK_TEST_LOOPS(registry, a_name_has_one_owner_whoever_is_faster, 2) {
    struct claiming claiming[2];
    tr_task *tasks[2];
    for (int i = 0; i < 2; i++) {
        T_TASK_REQUIRE(tr_spawn(&claiming[i].to, claimer, .place = TR_LOOP(i)) == 0);
    }
    for (int i = 0; i < 2; i++) {
        T_TASK_REQUIRE(
            tr_task_new(tr_loop_running(), "claim", claim_task, &claiming[i], &tasks[i]) == 0);
    }
    T_CHECK_INT(tr_task_join(tasks[0]), 0);
    T_CHECK_INT(tr_task_join(tasks[1]), 0);
    T_CHECK_INT(claiming[0].won + claiming[1].won, 2000);
    return 0;
}

/* ---- types ------------------------------------------------------------------------------- */

T_TASK_TEST(registry, types_of_spawned_behaviours_are_known) {
    tr_ref ref;
    tri_system *system = tri_system_get(tr_loop_runtime(tr_loop_running()));
    T_TASK_REQUIRE(system != NULL);
    T_CHECK(tri_type_find(system, tr_type_id(&tri_type_tr_down)) == &tri_type_tr_down);
    T_CHECK(tri_type_find(system, tr_type_id(&tri_type_ta_fail)) == NULL);
    T_TASK_REQUIRE(tr_spawn(&ref, named) == 0);
    T_CHECK(tri_type_find(system, tr_type_id(&tri_type_ta_fail)) == &tri_type_ta_fail);
    return 0;
}

T_TASK_TEST(registry, the_table_of_types_grows) {
    enum { TYPES = 300 };
    static char names[TYPES][16];
    static struct tr_type types[TYPES];
    tri_system *system = tri_system_get(tr_loop_runtime(tr_loop_running()));
    T_TASK_REQUIRE(system != NULL);
    for (int i = 0; i < TYPES; i++) {
        snprintf(names[i], sizeof names[i], "type %d", i);
        types[i] = tri_type_ta_get;
        types[i].name = names[i];
        T_CHECK_INT(tri_type_register(system, &types[i]), 0);
        T_CHECK_INT(tri_type_register(system, &types[i]), 0);
    }
    for (int i = 0; i < TYPES; i++) {
        T_CHECK(tri_type_find(system, tr_type_id(&types[i])) == &types[i]);
    }
    T_CHECK(tri_type_find(system, 12345) == NULL);
    return 0;
}
