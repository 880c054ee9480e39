/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel against a model that sorts. Tests use plain numbers as time: nothing sleeps. */
#include "timers_internal.h"

#include "t.h"

#include <inttypes.h>
#include <string.h>

enum { TICK = 1 << TRI_WHEEL_TICK_BITS };

static tr_time pop_when(tri_timers *timers) {
    tri_timer *timer = tri_timers_pop_due(timers);
    return timer != NULL ? timer->when : -1;
}

/* ---- single properties --------------------------------------------------- */

T_TEST(timers, an_empty_set_never_wakes_anybody) {
    tri_timers timers;
    tri_timers_init(&timers, 12345);
    T_CHECK_INT(tri_timers_next(&timers), TR_FOREVER);
    tri_timers_advance(&timers, 12345 + 3600 * TR_SECOND);
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
    T_CHECK_INT(timers.count, 0);
}

T_TEST(timers, fires_at_its_nanosecond_and_not_before) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 0);
    tri_timers_add(&timers, &timer, 5 * TICK + 7);
    T_CHECK(tri_timer_is_pending(&timer));
    tri_timers_advance(&timers, 5 * TICK + 6);
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
    T_CHECK_INT(tri_timers_next(&timers), 5 * TICK + 7);
    tri_timers_advance(&timers, 5 * TICK + 7);
    T_CHECK(tri_timers_pop_due(&timers) == &timer);
    T_CHECK(!tri_timer_is_pending(&timer));
    T_CHECK_INT(timers.count, 0);
}

T_TEST(timers, equal_deadlines_fire_in_the_order_they_were_added) {
    enum { COUNT = 500 };
    static tri_timer timer[COUNT];
    tri_timers timers;
    tri_timers_init(&timers, 1000);
    for (int i = 0; i < COUNT; i++) {
        tri_timers_add(&timers, &timer[i], 1000 + 40 * TR_MS);
    }
    tri_timers_advance(&timers, 1000 + 39 * TR_MS);
    tri_timers_advance(&timers, 1000 + 41 * TR_MS);
    for (int i = 0; i < COUNT; i++) {
        T_CHECK(tri_timers_pop_due(&timers) == &timer[i]);
    }
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
}

T_TEST(timers, a_delay_begins_at_the_next_advance) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 1000);
    tri_timers_add_after(&timers, &timer, 50);
    T_CHECK_INT(tri_timers_next(&timers), 1000);
    tri_timers_advance(&timers, 2000);
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
    T_CHECK_INT(tri_timers_next(&timers), 2050);
    tri_timers_advance(&timers, 2050);
    T_CHECK_INT(pop_when(&timers), 2050);
}

T_TEST(timers, when_is_known_before_and_after_the_stamp) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 1000);
    tri_timers_add_after(&timers, &timer, 50);
    T_CHECK_INT(tri_timer_when(&timers, &timer), 1050);
    tri_timers_advance(&timers, 2000);
    T_CHECK_INT(tri_timer_when(&timers, &timer), 2050);
    tri_timers_cancel(&timers, &timer);
}

T_TEST(timers, a_delay_and_a_deadline_that_meet_fire_in_the_order_they_were_added) {
    tri_timers timers;
    tri_timer by_delay = {0};
    tri_timer by_deadline = {0};
    tri_timers_init(&timers, 1000);
    tri_timers_add_after(&timers, &by_delay, 500);
    tri_timers_add(&timers, &by_deadline, 1500);
    tri_timers_advance(&timers, 1000);
    tri_timers_advance(&timers, 1500);
    T_CHECK(tri_timers_pop_due(&timers) == &by_delay);
    T_CHECK(tri_timers_pop_due(&timers) == &by_deadline);
}

T_TEST(timers, a_negative_delay_is_none) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 1000);
    tri_timers_add_after(&timers, &timer, -5);
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
    tri_timers_advance(&timers, 1000);
    T_CHECK_INT(pop_when(&timers), 1000);
}

T_TEST(timers, a_passed_deadline_fires_at_the_next_advance_and_not_before) {
    tri_timers timers;
    tri_timer first = {0};
    tri_timer second = {0};
    tri_timers_init(&timers, 1000);
    tri_timers_add(&timers, &first, 1000);
    tri_timers_add(&timers, &second, 10);
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
    T_CHECK_INT(tri_timers_next(&timers), 1000);
    tri_timers_advance(&timers, 1000);
    T_CHECK(tri_timers_pop_due(&timers) == &second);
    T_CHECK(tri_timers_pop_due(&timers) == &first);
}

T_TEST(timers, one_that_adds_itself_for_now_fires_once_an_advance) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 1000);
    tri_timers_add(&timers, &timer, 1000);
    for (int turn = 0; turn < 3; turn++) {
        int fired = 0;
        tri_timers_advance(&timers, 1000);
        while (tri_timers_pop_due(&timers) != NULL && fired < 10) {
            fired++;
            tri_timers_add(&timers, &timer, 1000);
        }
        T_CHECK_INT(fired, 1);
    }
}

T_TEST(timers, forever_never_fires_and_can_be_cancelled) {
    tri_timers timers;
    tri_timer timer[3];
    memset(timer, 0, sizeof timer);
    tri_timers_init(&timers, 1000);
    tri_timers_add(&timers, &timer[0], TR_FOREVER);
    tri_timers_add_after(&timers, &timer[1], TR_FOREVER);
    tri_timers_add_after(&timers, &timer[2], TR_FOREVER - 500);
    T_CHECK_INT(timers.count, 3);
    tri_timers_advance(&timers, 2000);
    T_CHECK_INT(tri_timers_next(&timers), TR_FOREVER);
    tri_timers_advance(&timers, TR_FOREVER - 1);
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
    for (int i = 0; i < 3; i++) {
        T_CHECK(tri_timer_is_pending(&timer[i]));
        tri_timers_cancel(&timers, &timer[i]);
        T_CHECK(!tri_timer_is_pending(&timer[i]));
    }
    T_CHECK_INT(timers.count, 0);
}

T_TEST(timers, the_last_nanosecond_before_forever_can_be_reached) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 0);
    tri_timers_add(&timers, &timer, TR_FOREVER - 1);
    tri_timers_advance(&timers, TR_FOREVER - 2);
    T_CHECK(tri_timers_pop_due(&timers) == NULL);
    tri_timers_advance(&timers, TR_FOREVER - 1);
    T_CHECK(tri_timers_pop_due(&timers) == &timer);
}

T_TEST(timers, cancelling_what_is_not_pending_does_nothing) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 0);
    tri_timers_cancel(&timers, &timer);
    tri_timers_add(&timers, &timer, 10);
    tri_timers_cancel(&timers, &timer);
    tri_timers_cancel(&timers, &timer);
    T_CHECK_INT(timers.count, 0);
    T_CHECK_INT(tri_timers_next(&timers), TR_FOREVER);
}

T_TEST(timers, a_clock_that_goes_back_stands_still) {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 1000);
    tri_timers_add(&timers, &timer, 1500);
    tri_timers_advance(&timers, 1400);
    tri_timers_advance(&timers, 900);
    T_CHECK_INT(timers.now, 1400);
    tri_timers_advance(&timers, 1500);
    T_CHECK_INT(pop_when(&timers), 1500);
}

T_DEATH_TEST_MSG(timers, adding_a_pending_one_is_a_bug, SIGABRT, "tri_timer_is_pending") {
    tri_timers timers;
    tri_timer timer = {0};
    tri_timers_init(&timers, 0);
    tri_timers_add(&timers, &timer, 10);
    tri_timers_add(&timers, &timer, 20);
}

/* A loop sleeps until tri_timers_next() and advances; how often until everything has fired? */
static int wakes_until(tri_timers *timers, tr_time deadline, int *ret_fired) {
    int wakes = 0;
    *ret_fired = 0;
    while (timers->count > 0 && wakes < 1000) {
        tri_timers_advance(timers, tri_timers_next(timers));
        wakes++;
        while (tri_timers_pop_due(timers) != NULL) {
            T_CHECK_INT(timers->now, deadline);
            (*ret_fired)++;
        }
    }
    return wakes;
}

T_TEST(timers, a_lone_timer_far_ahead_costs_one_wake) {
    tri_timers timers;
    tri_timer timer = {0};
    int fired;
    tr_time deadline = 987654321 + 3600 * TR_SECOND;
    tri_timers_init(&timers, 987654321);
    tri_timers_add(&timers, &timer, deadline);
    T_CHECK_INT(wakes_until(&timers, deadline, &fired), 1);
    T_CHECK_INT(fired, 1);
}

T_TEST(timers, a_crowd_far_ahead_costs_a_wake_a_level_at_most) {
    enum { COUNT = 1000 };
    static tri_timer timer[COUNT];
    tri_timers timers;
    int fired;
    tr_time deadline = 987654321 + 3600 * TR_SECOND;
    tri_timers_init(&timers, 987654321);
    for (int i = 0; i < COUNT; i++) {
        tri_timers_add(&timers, &timer[i], deadline);
    }
    T_CHECK(wakes_until(&timers, deadline, &fired) <= TRI_WHEEL_LEVELS);
    T_CHECK_INT(fired, COUNT);
}

/* A walk over the 5 * 10^13 ticks of a century would not end within the test's time. */
T_TEST(timers, a_century_passes_at_once) {
    tri_timers timers;
    tri_timer timer = {0};
    tr_time century = INT64_C(100) * 365 * 86400 * TR_SECOND;
    tri_timers_init(&timers, 0);
    tri_timers_add(&timers, &timer, century / 2);
    tri_timers_advance(&timers, century);
    T_CHECK_INT(pop_when(&timers), century / 2);
}

/* ---- against a model ----------------------------------------------------- */

enum { MODEL_TIMERS = 400, MODEL_STEPS = 60000 };

struct model_timer {
    tri_timer timer;
    tr_time when; /* deadline, or the delay while it is not stamped */
    uint64_t seq;
    bool is_pending;
    bool is_delay;    /* `when` is a delay */
    bool is_eligible; /* an advance has seen it: may fire */
};

struct model {
    struct model_timer timers[MODEL_TIMERS];
    tri_timers wheel;
    uint64_t random;
    uint64_t seq;
    size_t fired;
    size_t changes;
    uint64_t seed;
};

static uint64_t draw(struct model *m, uint64_t below) {
    uint64_t z = (m->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

/* Spans of every size, so that every level is used; often equal ones, sometimes none. */
static tr_time draw_span(struct model *m) {
    switch (draw(m, 8)) {
    case 0: return 0;
    case 1: return TR_FOREVER;
    case 2: return (tr_time)draw(m, 4) * TICK;
    case 3: return (tr_time)draw(m, TICK);
    default: return (tr_time)draw(m, UINT64_C(1) << (8 + draw(m, 50)));
    }
}

static tr_time capped_sum(tr_time a, tr_time b) {
    return a > TR_FOREVER - b ? TR_FOREVER : a + b;
}

static void model_add(struct model *m, struct model_timer *t) {
    tr_time span = draw_span(m);
    t->is_pending = true;
    t->is_eligible = false;
    t->seq = ++m->seq;
    t->is_delay = draw(m, 2) == 0;
    if (t->is_delay) {
        t->when = span;
        tri_timers_add_after(&m->wheel, &t->timer, span);
    } else {
        t->when = draw(m, 8) == 0 ? m->wheel.now - (tr_time)draw(m, (uint64_t)m->wheel.now + 1)
                                  : capped_sum(m->wheel.now, span);
        tri_timers_add(&m->wheel, &t->timer, t->when);
    }
}

/* Add what is idle, cancel what is pending, sometimes both. */
static void model_change(struct model *m) {
    struct model_timer *t = &m->timers[draw(m, MODEL_TIMERS)];
    m->changes++;
    if (!t->is_pending) {
        model_add(m, t);
        return;
    }
    tri_timers_cancel(&m->wheel, &t->timer);
    t->is_pending = false;
    if (draw(m, 2) == 0) {
        model_add(m, t);
    }
}

static void model_advance(struct model *m, tr_time now) {
    tri_timers_advance(&m->wheel, now);
    for (int i = 0; i < MODEL_TIMERS; i++) {
        struct model_timer *t = &m->timers[i];
        if (t->is_pending && t->is_delay) {
            t->when = t->when == TR_FOREVER ? TR_FOREVER : capped_sum(now, t->when);
            t->is_delay = false;
        }
        t->is_eligible = t->is_pending && t->when <= now && t->when != TR_FOREVER;
    }
}

static struct model_timer *model_first_eligible(struct model *m) {
    struct model_timer *first = NULL;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        struct model_timer *t = &m->timers[i];
        if (t->is_pending && t->is_eligible &&
            (first == NULL || t->when < first->when ||
             (t->when == first->when && t->seq < first->seq))) {
            first = t;
        }
    }
    return first;
}

/* Fire everything that is due, in the model's order; timers come and go meanwhile. */
static bool model_fire(struct model *m) {
    for (;;) {
        struct model_timer *expected = model_first_eligible(m);
        tri_timer *got = tri_timers_pop_due(&m->wheel);
        if (got != (expected != NULL ? &expected->timer : NULL)) {
            T_FAIL("seed %" PRIu64 ": wrong timer after %zu fired", m->seed, m->fired);
            return false;
        }
        if (expected == NULL) {
            return true;
        }
        T_CHECK_INT(got->when, expected->when);
        expected->is_pending = false;
        m->fired++;
        if (draw(m, 2) == 0) {
            model_add(m, expected);
        }
        if (draw(m, 3) == 0) {
            model_change(m);
        }
    }
}

/* next() is a lower bound, and lies ahead when nothing is due: a loop neither oversleeps nor
 * spins. */
static bool model_check_next(struct model *m) {
    tr_time next = tri_timers_next(&m->wheel);
    tr_time earliest = TR_FOREVER;
    size_t count = 0;
    bool has_arrivals = false;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        const struct model_timer *t = &m->timers[i];
        if (!t->is_pending) {
            continue;
        }
        count++;
        if (t->is_delay ? t->when != TR_FOREVER : t->when <= m->wheel.now) {
            has_arrivals = true;
        } else if (!t->is_delay && t->when < earliest) {
            earliest = t->when;
        }
    }
    bool is_right;
    if (has_arrivals) {
        is_right = next == m->wheel.now;
    } else if (earliest == TR_FOREVER) {
        is_right = next == TR_FOREVER;
    } else {
        is_right = next > m->wheel.now && next <= earliest;
    }
    if (!is_right || count != m->wheel.count) {
        T_FAIL("seed %" PRIu64 ": next %" PRId64 ", now %" PRId64 ", earliest %" PRId64, m->seed,
               next, m->wheel.now, earliest);
        return false;
    }
    return true;
}

static void run_model(uint64_t seed) {
    static struct model m;
    memset(&m, 0, sizeof m);
    m.seed = seed;
    m.random = seed;
    tri_timers_init(&m.wheel, (tr_time)draw(&m, UINT64_C(1) << 40));
    for (int step = 0; step < MODEL_STEPS; step++) {
        uint64_t changes = draw(&m, 6);
        for (uint64_t i = 0; i < changes; i++) {
            model_change(&m);
        }
        /* Half of the time what a loop does: sleep until next(). */
        tr_time next = tri_timers_next(&m.wheel);
        tr_time now = capped_sum(m.wheel.now, (tr_time)draw(&m, UINT64_C(1) << draw(&m, 44)));
        if (draw(&m, 2) == 0 && next != TR_FOREVER && next - m.wheel.now < TR_SECOND * 1000) {
            now = next;
        }
        model_advance(&m, now);
        if (!model_fire(&m) || !model_check_next(&m)) {
            return;
        }
    }
    T_CHECK(m.changes > 100000);
    T_CHECK(m.fired > 10000);
}

T_TEST(timers, agrees_with_a_sorted_list_seed_1) {
    run_model(1);
}

T_TEST(timers, agrees_with_a_sorted_list_seed_2) {
    run_model(0x5eed);
}

T_TEST(timers, agrees_with_a_sorted_list_seed_3) {
    run_model(UINT64_C(0xfeedfacecafebeef));
}
