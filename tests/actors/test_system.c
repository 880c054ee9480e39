/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a runtime, and runtimes one after the other. */
#include "actors_test.h"

#include "seam_internal.h"

#include <stdio.h>

static struct {
    atomic_long handled;
    atomic_long terminated;
    atomic_int last_reason;
    atomic_int spawn_result;
    tr_ref peer;
} world;

typedef struct {
    int unused;
} citizen;

static int citizen_num(tr_self *self, citizen *c, const ta_num *m) {
    (void)self;
    (void)c;
    atomic_fetch_add(&world.handled, 1);
    if (m->n > 0 && !tr_ref_is_null(world.peer)) {
        (void)tr_send(world.peer, ta_num, .n = m->n - 1);
    }
    return 0;
}
static int citizen_nap(tr_self *self, citizen *c, const ta_nap *m) {
    (void)self;
    (void)c;
    return tr_sleep(m->ns);
}
static int citizen_get(tr_self *self, citizen *c, const ta_get *m) {
    (void)c;
    (void)m;
    return tr_reply(self, ta_value, .n = 1);
}
static void citizen_end(tr_self *self, citizen *c, int reason) {
    (void)self;
    (void)c;
    atomic_store(&world.last_reason, reason);
    atomic_fetch_add(&world.terminated, 1);
}

TR_PROTOCOL(citizen, ta_num, ta_nap, ta_get);
TR_BEHAVIOUR(citizen, TR_ON(ta_num, citizen_num), TR_ON(ta_nap, citizen_nap),
             TR_ON(ta_get, citizen_get), TR_TERMINATE(citizen_end));

static int run(tr_task_fn *fn, void *arg, int loops, tr_time shutdown_timeout) {
    struct tr_run_opts opts = {.arg = arg, .loops = loops, .shutdown_timeout = shutdown_timeout};
    memset(&world, 0, sizeof world);
    return tr_run_with(fn, &opts);
}

/* ---- in order ---------------------------------------------------------------------------- */

static int leave_actors(void *arg) {
    (void)arg;
    for (int i = 0; i < 200; i++) {
        tr_ref ref;
        T_TASK_REQUIRE(tr_spawn(&ref, citizen, .place = TR_LOOP(i % 2)) == 0);
        for (int k = 0; k < 10; k++) {
            T_CHECK_INT(tr_send(ref, ta_num, .n = 0), 0);
        }
    }
    return 7;
}

T_TEST(system, actors_handle_what_they_have_and_end) {
    T_CHECK_INT(run(leave_actors, NULL, 2, 0), 7);
    T_CHECK_INT(atomic_load(&world.terminated), 200);
    T_CHECK_INT(atomic_load(&world.handled), 2000);
    T_CHECK_INT(atomic_load(&world.last_reason), 0);
}

static int leave_ping_pong(void *arg) {
    tr_ref ref;
    (void)arg;
    ta_count_letters();
    T_TASK_REQUIRE(
        tr_spawn(&world.peer, citizen, .place = TR_LOOP(1), .mailbox_messages = TR_UNBOUNDED) == 0);
    T_TASK_REQUIRE(tr_spawn(&ref, citizen, .mailbox_messages = TR_UNBOUNDED) == 0);
    for (int i = 0; i < 500; i++) {
        T_CHECK_INT(tr_send(ref, ta_num, .n = 1000000), 0);
    }
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    return 0;
}

/* Messages that are on their way without end don't hold it up. */
T_TEST(system, messages_in_flight) {
    tr_log_set_sink(NULL, NULL, TR_LOG_ERROR);
    for (int i = 0; i < 20; i++) {
        T_CHECK_INT(run(leave_ping_pong, NULL, 2, 2 * TR_SECOND), 0);
        T_CHECK_INT(atomic_load(&world.terminated), 2);
        T_CHECK(atomic_load(&world.handled) > 0);
    }
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

/* ---- those that hang --------------------------------------------------------------------- */

static atomic_int reports;
static char report[512]; /* of the last one */

static void keep_report(void *arg, const struct tr_log_line *line) {
    (void)arg;
    if (strstr(line->text, "has not ended") != NULL) {
        snprintf(report, sizeof report, "%s", line->text);
        atomic_fetch_add(&reports, 1);
    }
}

static int leave_hanging(void *arg) {
    int loop = *(int *)arg;
    tr_ref ref;
    T_TASK_REQUIRE(tr_spawn(&ref, citizen, .place = TR_LOOP(loop), .name = "sleeper") == 0);
    T_CHECK_INT(tr_send(ref, ta_nap, .ns = 1000 * TR_SECOND), 0);
    T_CHECK_INT(tr_send(ref, ta_num, .n = 0), 0);
    T_CHECK_INT(tr_send(ref, ta_num, .n = 0), 0);
    return tr_sleep(2 * TR_MS);
}

T_TEST(system, who_hangs_is_reported_and_killed_by_the_deadline) {
    tr_log_set_sink(keep_report, NULL, TR_LOG_WARN);
    for (int loop = 0; loop < 2; loop++) {
        atomic_store(&reports, 0);
        int64_t before = tri_wall_clock_ms();
        T_CHECK_INT(run(leave_hanging, &loop, 2, 400 * TR_MS), 0);
        int64_t took = tri_wall_clock_ms() - before;
        T_CHECK(took >= 100 && took < 600);
        T_CHECK_INT(atomic_load(&world.terminated), 1);
        T_CHECK_INT(atomic_load(&world.last_reason), TR_EKILLED);
        T_CHECK_INT(atomic_load(&world.handled), 0);
        T_CHECK_INT(atomic_load(&reports), 1);
        T_CHECK(strstr(report, "'sleeper'") != NULL && strstr(report, "sleep,") != NULL);
        T_CHECK(strstr(report, "2 messages queued") != NULL || strstr(report, "3 mess") != NULL);
    }
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

static int ask_forever(void *arg) {
    ta_value value;
    atomic_store((atomic_int *)arg, tr_ask(world.peer, TR_FOREVER, &value, ta_get));
    return 0;
}

static int leave_an_asker(void *arg) {
    T_TASK_REQUIRE(tr_spawn(&world.peer, citizen, .place = TR_LOOP(1)) == 0);
    T_CHECK_INT(tr_send(world.peer, ta_nap, .ns = 1000 * TR_SECOND), 0);
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "asker", ask_forever, arg, NULL) == 0);
    return tr_sleep(2 * TR_MS);
}

T_TEST(system, who_asks_a_killed_one_learns_it_before_the_end) {
    atomic_int result = 1;
    tr_log_set_sink(keep_report, NULL, TR_LOG_WARN);
    T_CHECK_INT(run(leave_an_asker, &result, 2, 300 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&result), TR_EKILLED);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

/* ---- no more actors ---------------------------------------------------------------------- */

typedef struct {
    int unused;
} late_spawner;

static int late_num(tr_self *self, late_spawner *s, const ta_num *m) {
    (void)self;
    (void)s;
    (void)m;
    return 0;
}
static void late_end(tr_self *self, late_spawner *s, int reason) {
    tr_ref ref;
    (void)self;
    (void)s;
    (void)reason;
    atomic_store(&world.spawn_result, tr_spawn_start(&ref, citizen));
}

TR_PROTOCOL(late_spawner, ta_num);
TR_BEHAVIOUR(late_spawner, TR_ON(ta_num, late_num), TR_TERMINATE(late_end));

/* A task that outlives the main task, until the actors are gone. */
static int spawn_until_refused(void *arg) {
    tr_ref ref;
    int err;
    (void)arg;
    do {
        err = tr_spawn(&ref, citizen, .place = TR_ROUND_ROBIN);
        if (err == 0 && tr_sleep(TR_MS) < 0) {
            break;
        }
    } while (err == 0);
    atomic_store(&world.spawn_result, err);
    return 0;
}

static int leave_spawner_task(void *arg) {
    (void)arg;
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "spawner", spawn_until_refused, NULL, NULL) == 0);
    return tr_sleep(5 * TR_MS);
}

static int leave_spawner_actor(void *arg) {
    tr_ref ref;
    return tr_spawn(&ref, late_spawner, .place = TR_LOOP(*(int *)arg));
}

T_TEST(system, no_actor_is_spawned_once_the_end_has_begun) {
    for (int loop = 0; loop < 2; loop++) {
        T_CHECK_INT(run(leave_spawner_actor, &loop, 2, 0), 0);
        T_CHECK_INT(atomic_load(&world.spawn_result), TR_ESHUTDOWN);
    }
    for (int i = 0; i < 10; i++) {
        T_CHECK_INT(run(leave_spawner_task, NULL, 2, 0), 0);
        int result = atomic_load(&world.spawn_result);
        /* Refused, or cancelled in the sleep or the spawn before it tried once more. */
        T_CHECK(result == TR_ESHUTDOWN || result == TR_ECANCELLED || result == 0);
    }
}

/* ---- again and again --------------------------------------------------------------------- */

static int count_maps(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    int lines = 0;
    for (int c; file != NULL && (c = fgetc(file)) != EOF;) {
        lines += c == '\n';
    }
    if (file != NULL) {
        fclose(file);
    }
    return lines;
}

static int small_life(void *arg) {
    ta_value value;
    (void)arg;
    for (int i = 0; i < 8; i++) {
        tr_ref ref;
        T_TASK_REQUIRE(
            tr_spawn(&ref, citizen, .place = TR_LOOP(i % 2), .name = i == 0 ? "first" : NULL) == 0);
        T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), 0);
        T_CHECK_INT(tr_send(ref, ta_nap, .ns = TR_US), 0);
    }
    return 0;
}

T_TEST(system, a_hundred_runs_leave_nothing) {
    int maps = 0;
    t_timeout(60);
    for (int i = 0; i < 100 && t_failures() == 0; i++) {
        T_CHECK_INT(run(small_life, NULL, 2, 0), 0);
        T_CHECK_INT(atomic_load(&world.terminated), 8);
        if (i == 20) {
            maps = count_maps();
        }
    }
    T_CHECK(count_maps() < maps + 20);
}

/* ---- references of earlier runtimes ------------------------------------------------------ */

enum { LIVES = 300, KEPT = 3 };
static tr_ref kept[LIVES][KEPT];
static int lives;

static int another_life(void *arg) {
    (void)arg;
    ta_count_letters();
    for (int i = 0; i < KEPT; i++) {
        T_TASK_REQUIRE(tr_spawn(&kept[lives][i], citizen) == 0);
    }
    if (lives % 2 == 0) { /* two generations in one life */
        T_CHECK_INT(tr_kill(kept[lives][KEPT - 1]), 0);
        TA_UNTIL(ta_alive() == KEPT - 1);
        T_TASK_REQUIRE(tr_spawn(&kept[lives][KEPT - 1], citizen) == 0);
    }
    for (int life = 0; life < lives; life++) {
        for (int i = 0; i < KEPT; i++) {
            (void)tr_send(kept[life][i], ta_num, .n = 0);
            T_CHECK_INT(tr_kill(kept[life][i]), 0);
        }
    }
    T_CHECK_INT(tr_sleep(0), 0);
    T_CHECK_INT(tr_sleep(0), 0);
    T_CHECK_INT(ta_alive(), KEPT);
    return 0;
}

/* More lives than there are loops: each is used again, and no old reference reaches a new actor. */
T_TEST(system, generations_of_different_runtimes_never_meet) {
    tr_log_set_sink(NULL, NULL, TR_LOG_ERROR);
    t_timeout(60);
    for (lives = 0; lives < LIVES && t_failures() == 0; lives++) {
        T_CHECK_INT(run(another_life, NULL, 1, 0), 0);
        T_CHECK_INT(atomic_load(&world.handled), 0);
    }
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}
