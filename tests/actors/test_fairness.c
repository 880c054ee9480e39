/* SPDX-License-Identifier: Apache-2.0 */
/* An actor that is never idle doesn't keep the loop from its other work. */
#include "actors_test.h"

static atomic_ullong turns_of_flood;
static atomic_int is_over;

typedef struct {
    uint64_t copies;
} self_flooder;

/* Always has its next messages in its own mailbox. */
static int flood_num(tr_self *self, self_flooder *f, const ta_num *m) {
    atomic_fetch_add_explicit(&turns_of_flood, 1, memory_order_relaxed);
    if (atomic_load(&is_over)) {
        return 0;
    }
    T_CHECK_INT(tr_send(tr_self_ref(self), ta_num, .n = m->n), 0);
    if (f->copies < 100) {
        f->copies++;
        T_CHECK_INT(tr_send(tr_self_ref(self), ta_num, .n = m->n), 0);
    }
    return 0;
}

TR_PROTOCOL(self_flooder, ta_num);
TR_BEHAVIOUR(self_flooder, TR_ON(ta_num, flood_num));

typedef struct {
    int unused;
} bystander;

static int bystander_get(tr_self *self, bystander *b, const ta_get *m) {
    (void)b;
    (void)m;
    return tr_reply(self, ta_value, .n = 1);
}

TR_PROTOCOL(bystander, ta_get);
TR_BEHAVIOUR(bystander, TR_ON(ta_get, bystander_get));

static int start_floods(int loop, int count) {
    atomic_store(&is_over, 0);
    atomic_store(&turns_of_flood, 0);
    for (int i = 0; i < count; i++) {
        tr_ref flooder;
        T_TASK_REQUIRE(tr_spawn(&flooder, self_flooder, .place = TR_LOOP(loop)) == 0);
        T_TASK_REQUIRE(tr_send(flooder, ta_num, .n = 1) == 0);
    }
    return tr_sleep(2 * TR_MS);
}

T_TASK_TEST(fairness, timers_fire_beside_a_flood) {
    T_TASK_REQUIRE(start_floods(0, 3) == 0);
    for (int i = 0; i < 20; i++) {
        tr_time before = tr_loop_time(tr_loop_running());
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        tr_time late = tr_loop_time(tr_loop_running()) - before - 2 * TR_MS;
        T_CHECK(late >= 0 && late < 100 * TR_MS);
    }
    T_CHECK(atomic_load(&turns_of_flood) > 1000);
    atomic_store(&is_over, 1);
    return 0;
}

/* Counted, not timed: between a request and its reply a flood gets a few activations. */
T_TASK_TEST(fairness, other_actors_are_served_beside_a_flood) {
    tr_ref other;
    ta_value value;
    T_TASK_REQUIRE(tr_spawn(&other, bystander) == 0);
    T_TASK_REQUIRE(start_floods(0, 1) == 0);
    for (int i = 0; i < 200; i++) {
        unsigned long long before = atomic_load(&turns_of_flood);
        T_CHECK_INT(tr_ask(other, TR_SECOND, &value, ta_get), 0);
        T_CHECK(atomic_load(&turns_of_flood) - before <= 512);
    }
    T_CHECK(atomic_load(&turns_of_flood) > 1000);
    atomic_store(&is_over, 1);
    return 0;
}

T_TASK_TEST_LOOPS(fairness, messages_of_other_loops_come_in_beside_a_flood, 2) {
    tr_ref other;
    ta_value value;
    T_TASK_REQUIRE(tr_spawn(&other, bystander, .place = TR_LOOP(1)) == 0);
    T_TASK_REQUIRE(start_floods(1, 3) == 0);
    for (int i = 0; i < 100; i++) {
        T_CHECK_INT(tr_ask(other, 5 * TR_SECOND, &value, ta_get), 0);
    }
    T_CHECK(atomic_load(&turns_of_flood) > 1000);
    atomic_store(&is_over, 1);
    return 0;
}

static int count_yields(void *arg) {
    for (int *count = arg; *count < 1000; (*count)++) {
        T_CHECK_INT(tr_yield(), 0);
    }
    return 0;
}

T_TASK_TEST(fairness, tasks_run_beside_a_flood) {
    int count = 0;
    tr_task *task;
    T_TASK_REQUIRE(start_floods(0, 1) == 0);
    unsigned long long before = atomic_load(&turns_of_flood);
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "yields", count_yields, &count, &task) == 0);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(count, 1000);
    T_CHECK(atomic_load(&turns_of_flood) - before <= 1010ull * 128);
    atomic_store(&is_over, 1);
    return 0;
}
