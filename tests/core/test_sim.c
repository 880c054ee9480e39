/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sim.c: a loop in a simulated world: virtual time, seeded randomness, its own poller.
 */
#include "support/sim.h"
#include "support/t_task.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

static int64_t real_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static int run(struct sim *sim, uint64_t seed, tr_task_fn *fn, void *arg) {
    struct tr_seams seams;
    sim_init(sim, seed, &seams);
    return tr_run_with(fn, &(struct tr_run_opts){.arg = arg, .seams = &seams, .no_signals = true});
}

/* ---- time ----------------------------------------------------------------------------- */

static int sleep_an_hour(void *arg) {
    tr_loop *loop = tr_loop_running();
    tr_time before = tr_loop_time(loop);
    int err = tr_sleep(3600 * TR_SECOND);
    *(tr_time *)arg = tr_loop_time(loop) - before;
    return err;
}

T_TEST(sim, an_hour_passes_at_once) {
    struct sim sim;
    tr_time slept = 0;
    int64_t began = real_ms();
    T_CHECK_INT(run(&sim, 1, sleep_an_hour, &slept), 0);
    T_CHECK_INT(slept, 3600 * TR_SECOND); /* to the nanosecond */
    T_CHECK(real_ms() - began < 2000);
    T_CHECK(sim.polls < 100);
}

static int sleep_some(void *arg) {
    tr_time *left = arg;
    for (int i = 0; i < 100 && *left > 0; i++) {
        tr_time pause = (tr_time)(tr_loop_random(tr_loop_running()) % (uint64_t)(10 * TR_SECOND));
        T_CHECK_INT(tr_sleep(pause), 0);
        *left -= pause;
    }
    return 0;
}

static int race(void *arg) {
    tr_time lefts[20];
    tr_task *tasks[20];
    (void)arg;
    for (int i = 0; i < 20; i++) {
        lefts[i] = 50 * TR_SECOND;
        T_CHECK_INT(tr_task_new(tr_loop_running(), "t", sleep_some, &lefts[i], &tasks[i]), 0);
    }
    tr_timeout limit;
    tr_timeout_begin(&limit, 30 * TR_SECOND);
    int err = tr_sleep(TR_FOREVER);
    T_CHECK_INT(tr_timeout_end(&limit, err), TR_ETIMEOUT);
    for (int i = 0; i < 20; i++) {
        T_CHECK_INT(tr_task_join(tasks[i]), 0);
    }
    return 0;
}

/* ---- the same again ------------------------------------------------------------------- */

T_TEST(sim, same_seed_same_trace) {
    uint64_t traces[3];
    tr_time ends[3];
    static const uint64_t seeds[3] = {7, 7, 8};
    for (int i = 0; i < 3; i++) {
        struct sim sim;
        T_CHECK_INT(run(&sim, seeds[i], race, NULL), 0);
        traces[i] = sim.trace;
        ends[i] = sim.now;
    }
    T_CHECK(traces[0] == traces[1]);
    T_CHECK_INT(ends[0], ends[1]);
    T_CHECK(traces[0] != traces[2]);
}

static int draw(void *arg) {
    uint64_t *numbers = arg;
    for (int i = 0; i < 8; i++) {
        numbers[i] = tr_loop_random(tr_loop_running());
    }
    return 0;
}

T_TEST(sim, seeded_randomness_repeats) {
    struct sim sim;
    uint64_t a[8], b[8], c[8];
    T_CHECK_INT(run(&sim, 99, draw, a), 0);
    T_CHECK_INT(run(&sim, 99, draw, b), 0);
    T_CHECK_INT(run(&sim, 100, draw, c), 0);
    T_CHECK_MEM(a, b, sizeof a);
    T_CHECK(a[0] != c[0]);
}

/* ---- readiness ------------------------------------------------------------------------ */

struct readiness {
    struct sim *sim;
    int fds[2];
};

/* The kernel has the byte at once; the simulated world says so ten minutes later. */
static int read_what_comes_later(void *arg) {
    struct readiness *r = arg;
    tr_loop *loop = tr_loop_running();
    tr_io *io;
    char byte;
    T_TASK_REQUIRE(tr_io_open(r->fds[0], &io) == 0);
    tr_io_drained(io, TR_READABLE);
    T_CHECK_INT(write(r->fds[1], "x", 1), 1);
    tr_time before = tr_loop_time(loop);
    sim_ready_at(r->sim, before + 600 * TR_SECOND, r->fds[0], TR_READABLE);
    T_CHECK_INT(tr_io_read(io, &byte, 1), 1);
    T_CHECK_INT(tr_loop_time(loop) - before, 600 * TR_SECOND);

    /* A time limit that is over first. */
    before = tr_loop_time(loop);
    sim_ready_at(r->sim, before + 60 * TR_SECOND, r->fds[0], TR_READABLE);
    tr_timeout limit;
    tr_timeout_begin(&limit, 59 * TR_SECOND);
    int n = tr_io_read(io, &byte, 1);
    T_CHECK_INT(tr_timeout_end(&limit, n), TR_ETIMEOUT);
    T_CHECK_INT(tr_loop_time(loop) - before, 59 * TR_SECOND);
    tr_io_close(io); /* the event finds nobody */
    return tr_sleep(2 * TR_SECOND);
}

T_TEST(sim, poller_is_simulated_too) {
    struct sim sim;
    struct readiness r = {.sim = &sim};
    T_REQUIRE(pipe2(r.fds, O_CLOEXEC) == 0);
    T_CHECK_INT(run(&sim, 1, read_what_comes_later, &r), 0);
    close(r.fds[1]);
}

static int await_nothing(void *arg) {
    (void)arg;
    return tr_sleep(TR_FOREVER);
}

T_DEATH_TEST_MSG(sim, a_wait_that_nothing_ends_is_found, SIGABRT, "never comes") {
    struct sim sim;
    (void)run(&sim, 1, await_nothing, NULL);
}
