/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_timers.c: a million timers, cancelled or fired; libevent beside it.
 */
#include "bench.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <inttypes.h>
#include <stdlib.h>

static int64_t timers;
static int64_t elapsed;
static int64_t fired;

/* 10 to 60 s ahead. */
static tr_time far_delay(uint64_t *seed) {
    return 10 * TR_SECOND + (tr_time)(bench_random(seed) % (uint64_t)(50 * TR_SECOND));
}

static void count(void *arg) {
    (void)arg;
    fired++;
}

static void add_cancel_once(tr_loop *loop, tr_handle **handles) {
    uint64_t seed = 1;
    for (int64_t i = 0; i < timers; i++) {
        int err = tr_loop_call_later(loop, far_delay(&seed), count, NULL, &handles[i]);
        bench_check(err == 0, "tr_loop_call_later: %s", tr_err_text(err));
    }
    for (int64_t i = 0; i < timers; i++) {
        tr_handle_cancel(handles[i]);
        tr_handle_unref(handles[i]);
    }
}

/* The second round counts: in the first one memory is touched for the first time. */
static int add_cancel(void *arg) {
    (void)arg;
    tr_loop *loop = tr_loop_running();
    tr_handle **handles = calloc((size_t)timers, sizeof(tr_handle *));
    bench_check(handles != NULL, "out of memory");
    add_cancel_once(loop, handles);
    (void)tr_yield();
    int64_t begin = bench_now();
    add_cancel_once(loop, handles);
    elapsed = bench_now() - begin;
    free(handles);
    struct tr_loop_stats stats;
    tr_loop_get_stats(loop, &stats);
    bench_check(stats.timers == 0 && fired == 0, "%" PRIu64 " timers are left", stats.timers);
    return 0;
}

static double run_add_cancel(void) {
    timers = bench_scaled(1000 * 1000);
    bench_troupe(1, add_cancel);
    return bench_ns_each(timers, elapsed);
}

/* ---- libevent ------------------------------------------------------------------------------- */

static void event_count(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
    fired++;
}

static struct timeval to_timeval(tr_time delay) {
    return (struct timeval){.tv_sec = (time_t)(delay / TR_SECOND),
                            .tv_usec = (suseconds_t)(delay % TR_SECOND / TR_US)};
}

static void libevent_once(struct event *events, const struct timeval *common) {
    uint64_t seed = 1;
    for (int64_t i = 0; i < timers; i++) {
        struct timeval delay = to_timeval(far_delay(&seed));
        bench_check(event_add(&events[i], common != NULL ? common : &delay) == 0, "event_add");
    }
    for (int64_t i = 0; i < timers; i++) {
        bench_check(event_del(&events[i]) == 0, "event_del");
    }
}

static double libevent_add_cancel(bool is_common) {
    timers = bench_scaled(1000 * 1000);
    struct event_base *base = event_base_new();
    struct event *events = calloc((size_t)timers, sizeof *events);
    bench_check(base != NULL && events != NULL, "out of memory");
    struct timeval one_delay = to_timeval(30 * TR_SECOND);
    const struct timeval *common = event_base_init_common_timeout(base, &one_delay);
    for (int64_t i = 0; i < timers; i++) {
        bench_check(event_assign(&events[i], base, -1, 0, event_count, NULL) == 0, "event_assign");
    }
    libevent_once(events, is_common ? common : NULL);
    int64_t begin = bench_now();
    libevent_once(events, is_common ? common : NULL);
    int64_t end = bench_now();
    bench_check(fired == 0, "timers have fired");
    event_base_free(base);
    free(events);
    return bench_ns_each(timers, end - begin);
}

static double run_add_cancel_libevent(void) {
    return libevent_add_cancel(false);
}

static double run_add_cancel_common(void) {
    return libevent_add_cancel(true);
}

/* ---- timer_fire_cpu -------------------------------------------------------------------------- */

static struct bench_gate gate;

static void fire(void *arg) {
    (void)arg;
    if (++fired == timers) {
        bench_gate_open(&gate);
    }
}

/* Within 1 s, and as densely with --quick. */
static tr_time within(uint64_t *seed) {
    return (tr_time)(bench_random(seed) % (uint64_t)bench_scaled(TR_SECOND));
}

static int fire_all(void *arg) {
    (void)arg;
    tr_loop *loop = tr_loop_running();
    bench_gate_init(&gate);
    uint64_t seed = 1;
    int64_t begin = bench_cpu_time();
    tr_time base = tr_loop_time(loop);
    tr_time last = base;
    for (int64_t i = 0; i < timers; i++) {
        tr_time when = base + within(&seed);
        last = when > last ? when : last;
        int err = tr_loop_call_at(loop, when, fire, NULL, NULL);
        bench_check(err == 0, "tr_loop_call_at: %s", tr_err_text(err));
    }
    bench_gate_wait(&gate);
    elapsed = bench_cpu_time() - begin;
    bench_check(fired == timers, "%" PRId64 " of %" PRId64 " timers fired", fired, timers);
    bench_check(tr_loop_time(loop) >= last, "the last timer fired too early");
    return 0;
}

static double run_fire(void) {
    timers = bench_scaled(1000 * 1000);
    bench_troupe(1, fire_all);
    return bench_ns_each(timers, elapsed);
}

static double run_fire_libevent(void) {
    timers = bench_scaled(1000 * 1000);
    struct event_base *base = event_base_new();
    struct event *events = calloc((size_t)timers, sizeof *events);
    bench_check(base != NULL && events != NULL, "out of memory");
    uint64_t seed = 1;
    int64_t begin = bench_cpu_time();
    for (int64_t i = 0; i < timers; i++) {
        struct timeval delay = to_timeval(within(&seed));
        (void)event_assign(&events[i], base, -1, 0, event_count, NULL);
        bench_check(event_add(&events[i], &delay) == 0, "event_add failed");
    }
    bench_check(event_base_dispatch(base) >= 0, "event_base_dispatch failed");
    int64_t end = bench_cpu_time();
    bench_check(fired == timers, "%" PRId64 " of %" PRId64 " timers fired", fired, timers);
    event_base_free(base);
    free(events);
    return bench_ns_each(timers, end - begin);
}

const struct bench_workload bench_timers[] = {
    {"timer_add_cancel", "troupe", "ns/timer", run_add_cancel, 1},
    {"timer_add_cancel", "libevent", "ns/timer", run_add_cancel_libevent, 1},
    {"timer_add_cancel", "libevent_common", "ns/timer", run_add_cancel_common, 1},
    {"timer_fire_cpu", "troupe", "ns/timer", run_fire, 1},
    {"timer_fire_cpu", "libevent", "ns/timer", run_fire_libevent, 1},
    {NULL, NULL, NULL, NULL, 0},
};
