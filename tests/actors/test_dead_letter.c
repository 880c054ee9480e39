/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters: each reason, and that no message is lost, doubled, or told about twice. */
#include "actors_test.h"

static atomic_long handled;

typedef struct {
    int unused;
} dl_target;

static int target_num(tr_self *self, dl_target *t, const ta_num *m) {
    (void)self;
    (void)t;
    (void)m;
    atomic_fetch_add(&handled, 1);
    return 0;
}
static int target_nap(tr_self *self, dl_target *t, const ta_nap *m) {
    (void)self;
    (void)t;
    atomic_fetch_add(&handled, 1);
    (void)tr_sleep(m->ns);
    return 0;
}
static int target_fail(tr_self *self, dl_target *t, const ta_fail *m) {
    (void)self;
    (void)t;
    atomic_fetch_add(&handled, 1);
    return m->err;
}
static int target_get(tr_self *self, dl_target *t, const ta_get *m) {
    (void)t;
    (void)m;
    return tr_reply(self, ta_value, .n = 1);
}

TR_PROTOCOL(dl_target, ta_num, ta_nap, ta_fail, ta_get);
TR_BEHAVIOUR(dl_target, TR_ON(ta_num, target_num), TR_ON(ta_nap, target_nap),
             TR_ON(ta_fail, target_fail), TR_ON(ta_get, target_get));

/* ---- each reason ------------------------------------------------------------------------- */

static int expect_letter(tr_ref to, const struct tr_type *type, int reason) {
    TA_UNTIL(atomic_load(&letters.count) == 1);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    T_CHECK_INT(atomic_load(&letters.count), 1);
    T_CHECK_INT(atomic_load(&letters.last_reason), reason);
    T_CHECK(atomic_load(&letters.last_type) == type);
    T_CHECK(tr_ref_equal(letters.last_to, to));
    atomic_store(&letters.count, 0);
    return 0;
}

T_TASK_TEST_LOOPS(dead_letter, unhandled, 2) {
    ta_count_letters();
    for (int loop = 0; loop < 2; loop++) {
        tr_ref ref;
        ta_forget_letters();
        T_TASK_REQUIRE(tr_spawn(&ref, dl_target, .place = TR_LOOP(loop)) == 0);
        T_CHECK_INT(tr_send(ref, ta_stranger), 0);
        T_TASK_REQUIRE(expect_letter(ref, &tri_type_ta_stranger, TR_EUNHANDLED) == 0);
        atomic_store(&handled, 0);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0); /* it lives on */
        TA_UNTIL(atomic_load(&handled) == 1);
    }
    return 0;
}

T_TASK_TEST_LOOPS(dead_letter, ended_with_and_without_a_reason, 2) {
    ta_count_letters();
    static const int errors[] = {0, TA_EODD, -EIO};
    for (int i = 0; i < 3; i++) {
        tr_ref ref;
        ta_forget_letters();
        T_TASK_REQUIRE(tr_spawn(&ref, dl_target, .place = TR_LOOP(1)) == 0);
        T_CHECK_INT(errors[i] == 0 ? tr_stop(ref) : tr_send(ref, ta_fail, .err = errors[i]), 0);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0); /* in its mailbox when it ends */
        int reason = errors[i] == 0 ? TR_ENOACTOR : errors[i];
        T_TASK_REQUIRE(expect_letter(ref, &tri_type_ta_num, reason) == 0);
        T_CHECK_INT(tr_send(ref, ta_num, .n = 1), 0); /* on its way after the end */
        T_TASK_REQUIRE(expect_letter(ref, &tri_type_ta_num, reason) == 0);
    }
    return 0;
}

T_TASK_TEST_LOOPS(dead_letter, reasons_are_kept_for_the_latest_thousands, 2) {
    static tr_ref refs[2000];
    ta_count_letters();
    for (int i = 0; i < 2000; i++) { /* alive at once: each has its own place */
        T_TASK_REQUIRE(tr_spawn(&refs[i], dl_target) == 0);
    }
    for (int i = 0; i < 2000; i++) {
        T_CHECK_INT(tr_send(refs[i], ta_fail, .err = -(i + 1)), 0);
    }
    TA_UNTIL(ta_alive() == 0);
    for (int i = 0; i < 2000; i++) {
        T_CHECK_INT(tr_send(refs[i], ta_num, .n = 1), -(i + 1));
    }
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

/* ---- conservation ------------------------------------------------------------------------ */

enum { TARGETS = 24, DRIVERS = 4 };

static struct {
    tr_ref targets[TARGETS];
    atomic_long sent;    /* results of 0 */
    atomic_long refused; /* other results */
    atomic_long drivers;
} traffic;

TR_MESSAGE(td_drive, (1, uint64, seed), (2, uint32, steps));

typedef struct {
    uint64_t random;
} dl_driver;

static void count_result(int err) {
    atomic_fetch_add(err == 0 ? &traffic.sent : &traffic.refused, 1);
}

static void drive_one(dl_driver *d) {
    tr_ref to = traffic.targets[ta_random(&d->random) % TARGETS];
    ta_value value;
    uint64_t what = ta_random(&d->random) % 1024;
    /* Few of them kill, or soon all would be dead. */
    switch (what < 4 ? what : 4 + what % 60) {
    case 0: count_result(tr_send(to, ta_fail, .err = TA_EODD)); break;
    case 1: (void)tr_stop(to); break;
    case 2: (void)tr_kill(to); break;
    case 3:
    case 4:
    case 11:
        count_result(tr_send(to, ta_nap, .ns = (int64_t)(ta_random(&d->random) % (200 * TR_US))));
        break;
    case 5:
    case 6: T_CHECK(tr_ask(to, 50 * TR_MS, &value, ta_get) <= 0); break;
    case 7:
    case 8: count_result(tr_send_wait(to, ta_num, .n = 1)); break;
    case 9: count_result(tr_send(to, ta_stranger)); break;
    case 10: (void)tr_yield(); break;
    default: count_result(tr_send(to, ta_num, .n = 1)); break;
    }
}

static int driver_drive(tr_self *self, dl_driver *d, const td_drive *m) {
    (void)self;
    d->random = m->seed;
    for (uint32_t i = 0; i < m->steps; i++) {
        drive_one(d);
    }
    atomic_fetch_add(&traffic.drivers, 1);
    return 0;
}

TR_PROTOCOL(dl_driver, td_drive);
TR_BEHAVIOUR(dl_driver, TR_ON(td_drive, driver_drive));

static int run_traffic(uint64_t seed) {
    uint64_t random = seed;
    memset(&traffic, 0, sizeof traffic);
    atomic_store(&handled, 0);
    ta_count_letters();
    for (int i = 0; i < TARGETS; i++) {
        T_TASK_REQUIRE(tr_spawn(&traffic.targets[i], dl_target, .place = TR_LOOP(i % 2),
                                .overflow = (int)(ta_random(&random) % 3),
                                .mailbox_messages = 1 + (uint32_t)(ta_random(&random) % 20)) == 0);
    }
    for (int i = 0; i < DRIVERS; i++) {
        tr_ref driver;
        T_TASK_REQUIRE(tr_spawn(&driver, dl_driver, .place = TR_LOOP(i % 2)) == 0);
        T_CHECK_INT(tr_send(driver, td_drive, .seed = ta_random(&random), .steps = 3000), 0);
    }
    TA_UNTIL(atomic_load(&traffic.drivers) == DRIVERS);
    TA_UNTIL(atomic_load(&handled) + atomic_load(&letters.count) >= atomic_load(&traffic.sent));
    T_CHECK_INT(tr_sleep(3 * TR_MS), 0); /* a second account of a message would come now */
    T_CHECK_INT(atomic_load(&handled) + atomic_load(&letters.count), atomic_load(&traffic.sent));
    T_CHECK(atomic_load(&letters.count) > 0 && atomic_load(&traffic.refused) > 0);
    if (t_failures() > 0) {
        T_FAIL("seed %llu", (unsigned long long)seed);
    }
    return t_failures() > 0 ? -1 : 0;
}

static int traffic_task(void *arg) {
    return run_traffic(*(uint64_t *)arg);
}

/* Accepted = handled + dead letters, to the last message, whatever happens to the receivers. */
T_TEST(dead_letter, conservation) {
    tr_log_set_sink(NULL, NULL, TR_LOG_ERROR);
    t_timeout(120);
    for (uint64_t seed = 1; seed <= 12 && t_failures() == 0; seed++) {
        t_run_task(traffic_task, &seed, 2);
    }
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}
