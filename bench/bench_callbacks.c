/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_callbacks.c: callbacks of one loop, and posts from a second thread.
 *
 * Beside Troupe stands libevent's event_active(), which is what it has for a callback in the next
 * turn. Its chain runs inside one turn and never polls.
 */
#include "bench.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum { BATCH = 10 * 1000 };

static struct bench_gate gate;
static int64_t callbacks; /* to be run */
static int64_t called;
static int64_t elapsed;
static tr_loop *loop;

static void check_called(void) {
    bench_check(called == callbacks, "%" PRId64 " of %" PRId64 " callbacks ran", called, callbacks);
}

/* ---- batch and chain ------------------------------------------------------------------------- */

static void count(void *arg) {
    (void)arg;
    called++;
}

static int batches(void *arg) {
    (void)arg;
    loop = tr_loop_running();
    int64_t begin = bench_now();
    for (int64_t done = 0; done < callbacks; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            int err = tr_loop_call_soon(loop, count, NULL, NULL);
            bench_check(err == 0, "tr_loop_call_soon: %s", tr_err_text(err));
        }
        (void)tr_yield(); /* comes back behind them */
    }
    elapsed = bench_now() - begin;
    check_called();
    return 0;
}

static double run_batch(void) {
    callbacks = bench_scaled(1000) * BATCH;
    bench_troupe(1, batches);
    return bench_millions(callbacks, elapsed);
}

static void link_of_chain(void *arg) {
    if (++called == callbacks) {
        bench_gate_open(&gate);
        return;
    }
    int err = tr_loop_call_soon(loop, link_of_chain, arg, NULL);
    bench_check(err == 0, "tr_loop_call_soon: %s", tr_err_text(err));
}

static int chain(void *arg) {
    (void)arg;
    loop = tr_loop_running();
    bench_gate_init(&gate);
    int64_t begin = bench_now();
    int err = tr_loop_call_soon(loop, link_of_chain, NULL, NULL);
    bench_check(err == 0, "tr_loop_call_soon: %s", tr_err_text(err));
    bench_gate_wait(&gate);
    elapsed = bench_now() - begin;
    check_called();
    return 0;
}

static double run_chain(void) {
    callbacks = bench_scaled(10 * 1000 * 1000);
    bench_troupe(1, chain);
    return bench_millions(callbacks, elapsed);
}

/* ---- the same with libevent ------------------------------------------------------------------ */

static void event_count(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
    called++;
}

static double run_batch_libevent(void) {
    callbacks = bench_scaled(1000) * BATCH;
    struct event_base *base = event_base_new();
    struct event *events = calloc(BATCH, sizeof *events);
    bench_check(base != NULL && events != NULL, "out of memory");
    for (int i = 0; i < BATCH; i++) {
        bench_check(event_assign(&events[i], base, -1, 0, event_count, NULL) == 0, "event_assign");
    }
    int64_t begin = bench_now();
    for (int64_t done = 0; done < callbacks; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            event_active(&events[i], EV_TIMEOUT, 0);
        }
        bench_check(event_base_loop(base, EVLOOP_ONCE) >= 0, "event_base_loop failed");
    }
    int64_t end = bench_now();
    check_called();
    free(events);
    event_base_free(base);
    return bench_millions(callbacks, end - begin);
}

static void event_link(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    if (++called < callbacks) {
        event_active(arg, EV_TIMEOUT, 0);
    }
}

static double run_chain_libevent(void) {
    callbacks = bench_scaled(10 * 1000 * 1000);
    struct event_base *base = event_base_new();
    struct event event;
    bench_check(base != NULL, "out of memory");
    bench_check(event_assign(&event, base, -1, 0, event_link, &event) == 0, "event_assign");
    int64_t begin = bench_now();
    event_active(&event, EV_TIMEOUT, 0);
    bench_check(event_base_dispatch(base) >= 0, "event_base_dispatch failed");
    int64_t end = bench_now();
    check_called();
    event_base_free(base);
    return bench_millions(callbacks, end - begin);
}

/* ---- call_soon_threadsafe -------------------------------------------------------------------- */

static void count_post(void *arg) {
    (void)arg;
    if (++called == callbacks) {
        bench_gate_open(&gate);
    }
}

static void *poster(void *arg) {
    (void)arg;
    bench_pin(1);
    for (int64_t i = 0; i < callbacks; i++) {
        int err = tr_loop_call_soon_threadsafe(loop, count_post, NULL);
        bench_check(err == 0, "tr_loop_call_soon_threadsafe: %s", tr_err_text(err));
    }
    return NULL;
}

static int receiver(void *arg) {
    (void)arg;
    loop = tr_loop_running();
    bench_gate_init(&gate);
    pthread_t thread;
    int64_t begin = bench_now();
    bench_check(pthread_create(&thread, NULL, poster, NULL) == 0, "pthread_create failed");
    bench_gate_wait(&gate);
    elapsed = bench_now() - begin;
    (void)pthread_join(thread, NULL);
    check_called();
    return 0;
}

static double run_threadsafe(void) {
    callbacks = bench_scaled(5 * 1000 * 1000);
    bench_troupe(1, receiver);
    return bench_millions(callbacks, elapsed);
}

const struct bench_workload bench_callbacks[] = {
    {"call_soon_batch", "troupe", "M callbacks/s", run_batch, 1},
    {"call_soon_batch", "libevent", "M callbacks/s", run_batch_libevent, 1},
    {"call_soon_chain", "troupe", "M callbacks/s", run_chain, 1},
    {"call_soon_chain", "libevent", "M callbacks/s", run_chain_libevent, 1},
    {"call_soon_threadsafe", "troupe", "M posts/s", run_threadsafe, 2},
    {NULL, NULL, NULL, NULL, 0},
};
