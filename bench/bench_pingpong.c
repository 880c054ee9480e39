/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_pingpong.c: one message in flight: between two actors, and round a ring.
 *
 * Beside the two-core workloads stand the machine's own limits: a cache line that two threads
 * pass to each other, and a thread that sleeps on an eventfd.
 */
#include "bench.h"

#include <troupe/actors.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Longer than a loop spins: by then the other side has gone to sleep. */
#define UNTIL_ASLEEP (200 * TR_US)

enum { RING_ACTORS = 1000 };

TR_MESSAGE(bench_partner, (1, ref, who));
TR_MESSAGE(bench_ball, (1, int64, left));
TR_MESSAGE(bench_nudge, (1, int64, left), (2, int64, sent_at));

typedef struct {
    tr_ref next;
} bench_player;

static struct bench_gate gate;
static int64_t wake_total; /* touched by whoever has the nudge */

static void stay_busy(int64_t duration) {
    int64_t end = bench_now() + duration;
    while (bench_now() < end) {
    }
}

static int on_partner(tr_self *self, bench_player *p, const bench_partner *m) {
    (void)self;
    p->next = m->who;
    return 0;
}

static int on_ball(tr_self *self, bench_player *p, const bench_ball *m) {
    (void)self;
    if (m->left == 0) {
        bench_gate_open(&gate);
        return 0;
    }
    int err = tr_send(p->next, bench_ball, .left = m->left - 1);
    bench_check(err == 0, "tr_send: %s", tr_err_text(err));
    return 0;
}

static int on_nudge(tr_self *self, bench_player *p, const bench_nudge *m) {
    (void)self;
    wake_total += bench_now() - m->sent_at;
    if (m->left == 0) {
        bench_gate_open(&gate);
        return 0;
    }
    stay_busy(UNTIL_ASLEEP);
    int err = tr_send(p->next, bench_nudge, .left = m->left - 1, .sent_at = bench_now());
    bench_check(err == 0, "tr_send: %s", tr_err_text(err));
    return 0;
}

TR_PROTOCOL(bench_player, bench_ball, bench_partner, bench_nudge);
TR_BEHAVIOUR(bench_player, TR_ON(bench_ball, on_ball), TR_ON(bench_partner, on_partner),
             TR_ON(bench_nudge, on_nudge));

static tr_ref spawn_player(int place) {
    tr_ref ref;
    int err = tr_spawn(&ref, bench_player, .place = place);
    bench_check(err == 0, "tr_spawn: %s", tr_err_text(err));
    return ref;
}

static void meet(tr_ref player, tr_ref next) {
    int err = tr_send(player, bench_partner, .who = next);
    bench_check(err == 0, "tr_send: %s", tr_err_text(err));
}

/* ---- pingpong_1, pingpong_2 -------------------------------------------------------------- */

static int64_t hops;
static int64_t elapsed;

/* The ball says how many hops are left: when it comes to 0, exactly that many were made. */
static void play(tr_ref first) {
    bench_gate_init(&gate);
    int64_t begin = bench_now();
    int err = tr_send(first, bench_ball, .left = hops - 1);
    bench_check(err == 0, "tr_send: %s", tr_err_text(err));
    bench_gate_wait(&gate);
    elapsed = bench_now() - begin;
    bench_check_no_dead_letters();
}

static int two_players(void *arg) {
    (void)arg;
    int loops = tr_runtime_loops(tr_loop_runtime(tr_loop_running()));
    tr_ref a = spawn_player(TR_LOOP(0));
    tr_ref b = spawn_player(TR_LOOP(loops - 1));
    meet(a, b);
    meet(b, a);
    play(a);
    return 0;
}

static double run_pingpong_1(void) {
    hops = bench_scaled(10 * 1000 * 1000);
    bench_troupe(1, two_players);
    return bench_ns_each(hops, elapsed);
}

static double run_pingpong_2(void) {
    hops = bench_scaled(500 * 1000);
    bench_troupe(2, two_players);
    return bench_ns_each(hops, elapsed);
}

/* ---- pingpong_2_asleep: the receiver sleeps when the message comes ------------------------- */

static int two_sleepers(void *arg) {
    (void)arg;
    tr_ref a = spawn_player(TR_LOOP(0));
    tr_ref b = spawn_player(TR_LOOP(1));
    meet(a, b);
    meet(b, a);
    bench_gate_init(&gate);
    int err = tr_send(b, bench_nudge, .left = hops - 1, .sent_at = bench_now());
    bench_check(err == 0, "tr_send: %s", tr_err_text(err));
    bench_gate_wait(&gate);
    bench_check_no_dead_letters();
    return 0;
}

static double run_asleep(void) {
    hops = bench_scaled(4000);
    bench_troupe(2, two_sleepers);
    return bench_ns_each(hops, wake_total);
}

/* ---- the machine's limits -------------------------------------------------------------------- */

static _Alignas(128) _Atomic(int64_t) line;

static void *line_partner(void *arg) {
    (void)arg;
    bench_pin(1);
    for (int64_t i = 1; i < hops; i += 2) {
        while (atomic_load_explicit(&line, memory_order_acquire) != i) {
        }
        atomic_store_explicit(&line, i + 1, memory_order_release);
    }
    return NULL;
}

static double run_cacheline(void) {
    hops = bench_scaled(2 * 1000 * 1000);
    bench_pin(0);
    pthread_t thread;
    bench_check(pthread_create(&thread, NULL, line_partner, NULL) == 0, "pthread_create failed");
    int64_t begin = bench_now();
    for (int64_t i = 0; i < hops; i += 2) {
        while (atomic_load_explicit(&line, memory_order_acquire) != i) {
        }
        atomic_store_explicit(&line, i + 1, memory_order_release);
    }
    (void)pthread_join(thread, NULL);
    int64_t end = bench_now();
    bench_check(atomic_load(&line) == hops, "the line was passed %lld times",
                (long long)atomic_load(&line));
    return bench_ns_each(hops, end - begin);
}

struct sleeper {
    int index;
    int event_fd[2];
};

static int64_t sent_at; /* written before the eventfd, read after it */

/* Sleep in epoll_wait(), measure, stay busy until the other one sleeps, wake it. */
static void *sleeper_main(void *arg) {
    struct sleeper *sleeper = arg;
    int mine = sleeper->event_fd[sleeper->index];
    int other = sleeper->event_fd[1 - sleeper->index];
    bench_pin(sleeper->index);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    bench_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, mine, &event) == 0, "epoll_ctl failed");
    uint64_t one = 1;
    int64_t mine_left = hops / 2;
    while (mine_left-- > 0) {
        bench_check(epoll_wait(epoll_fd, &event, 1, -1) == 1, "epoll_wait failed");
        bench_check(read(mine, &one, sizeof one) == (ssize_t)sizeof one && one == 1,
                    "the eventfd has counted wrong");
        wake_total += bench_now() - sent_at;
        stay_busy(UNTIL_ASLEEP);
        sent_at = bench_now();
        bench_check(write(other, &one, sizeof one) == (ssize_t)sizeof one, "write failed");
    }
    (void)close(epoll_fd);
    return NULL;
}

static double run_eventfd(void) {
    hops = bench_scaled(4000);
    int a = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int b = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bench_check(a >= 0 && b >= 0, "eventfd failed");
    struct sleeper first = {0, {a, b}};
    struct sleeper second = {1, {a, b}};
    bench_pin(0);
    sent_at = bench_now();
    uint64_t one = 1;
    bench_check(write(a, &one, sizeof one) == (ssize_t)sizeof one, "write failed");
    pthread_t thread;
    bench_check(pthread_create(&thread, NULL, sleeper_main, &second) == 0, "pthread_create failed");
    (void)sleeper_main(&first);
    (void)pthread_join(thread, NULL);
    return bench_ns_each(hops, wake_total);
}

/* ---- ring_1 ---------------------------------------------------------------------------------- */

static int ring(void *arg) {
    (void)arg;
    tr_ref first = spawn_player(TR_HERE);
    tr_ref next = first;
    for (int i = 1; i < RING_ACTORS; i++) {
        tr_ref player = spawn_player(TR_HERE);
        meet(player, next);
        next = player;
    }
    meet(first, next);
    play(first);
    return 0;
}

static double run_ring_1(void) {
    hops = bench_scaled(10 * 1000 * 1000);
    bench_troupe(1, ring);
    return bench_ns_each(hops, elapsed);
}

const struct bench_workload bench_pingpong[] = {
    {"pingpong_1", "troupe", "ns/message", run_pingpong_1, 1},
    {"pingpong_2", "troupe", "ns/message", run_pingpong_2, 2},
    {"pingpong_2", "cacheline", "ns/message", run_cacheline, 2},
    {"pingpong_2_asleep", "troupe", "ns/message", run_asleep, 2},
    {"pingpong_2_asleep", "eventfd", "ns/message", run_eventfd, 2},
    {"ring_1", "troupe", "ns/hop", run_ring_1, 1},
    {NULL, NULL, NULL, NULL, 0},
};
