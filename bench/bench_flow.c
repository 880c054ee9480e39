/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_flow.c: many messages in flight: flood, fan-in, broadcast.
 *
 * Mailboxes have their default bound, so producers wait for room.
 */
#include "bench.h"

#include <troupe/actors.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { FANIN_PRODUCERS = 100, LISTENERS = 1000 };

TR_MESSAGE(bench_item, (1, int64, value));
TR_MESSAGE(bench_go, (1, ref, sink), (2, int64, count));
TR_MESSAGE(bench_expect, (1, int64, count), (2, int64, sum));

static struct bench_gate gate;
static int64_t elapsed;

/* ---- the sink: counts and adds up ------------------------------------------------------- */

typedef struct {
    int64_t count, sum;
    int64_t expected_count, expected_sum;
} bench_sink;

static atomic_int sinks_left;

static int on_expect(tr_self *self, bench_sink *s, const bench_expect *m) {
    (void)self;
    s->expected_count = m->count;
    s->expected_sum = m->sum;
    return 0;
}

static int on_item(tr_self *self, bench_sink *s, const bench_item *m) {
    (void)self;
    s->sum += m->value;
    if (++s->count == s->expected_count) {
        bench_check(s->sum == s->expected_sum, "sum %" PRId64 " instead of %" PRId64, s->sum,
                    s->expected_sum);
        bench_check_no_dead_letters();
        if (atomic_fetch_sub(&sinks_left, 1) == 1) {
            bench_gate_open(&gate);
        }
    }
    bench_check(s->count <= s->expected_count, "more messages than were sent");
    return 0;
}

TR_PROTOCOL(bench_sink, bench_item, bench_expect);
TR_BEHAVIOUR(bench_sink, TR_ON(bench_item, on_item), TR_ON(bench_expect, on_expect));

/* It is sent 0 to count - 1 by each of its producers. */
static tr_ref spawn_sink(int place, int64_t count, int64_t producers) {
    tr_ref sink;
    int err = tr_spawn(&sink, bench_sink, .place = place);
    bench_check(err == 0, "tr_spawn: %s", tr_err_text(err));
    err = tr_send(sink, bench_expect, .count = count * producers,
                  .sum = count * (count - 1) / 2 * producers);
    bench_check(err == 0, "tr_send: %s", tr_err_text(err));
    return sink;
}

/* ---- the producer ------------------------------------------------------------------------- */

typedef struct {
    int64_t unused;
} bench_producer;

static int on_go(tr_self *self, bench_producer *p, const bench_go *m) {
    (void)self;
    (void)p;
    for (int64_t i = 0; i < m->count; i++) {
        int err = tr_send_wait(m->sink, bench_item, .value = i);
        bench_check(err == 0, "tr_send_wait: %s", tr_err_text(err));
    }
    return 0;
}

TR_PROTOCOL(bench_producer, bench_go);
TR_BEHAVIOUR(bench_producer, TR_ON(bench_go, on_go));

/* One sink on loop 0, producers on the last loop: with two, each message crosses. */
static void flood(int producers, int64_t count) {
    int loops = tr_runtime_loops(tr_loop_runtime(tr_loop_running()));
    bench_gate_init(&gate);
    atomic_store(&sinks_left, 1);
    tr_ref sink = spawn_sink(TR_LOOP(0), count, producers);
    tr_ref refs[FANIN_PRODUCERS];
    for (int i = 0; i < producers; i++) {
        int err = tr_spawn(&refs[i], bench_producer, .place = TR_LOOP(loops - 1));
        bench_check(err == 0, "tr_spawn: %s", tr_err_text(err));
    }
    int64_t begin = bench_now();
    for (int i = 0; i < producers; i++) {
        int err = tr_send(refs[i], bench_go, .sink = sink, .count = count);
        bench_check(err == 0, "tr_send: %s", tr_err_text(err));
    }
    bench_gate_wait(&gate);
    elapsed = bench_now() - begin;
}

static int64_t per_producer;

static int one_to_one(void *arg) {
    (void)arg;
    flood(1, per_producer);
    return 0;
}

static int many_to_one(void *arg) {
    (void)arg;
    flood(FANIN_PRODUCERS, per_producer);
    return 0;
}

static double run_flood(int loops) {
    per_producer = bench_scaled(10 * 1000 * 1000);
    bench_troupe(loops, one_to_one);
    return bench_millions(per_producer, elapsed);
}

static double run_flood_1(void) {
    return run_flood(1);
}

static double run_flood_2(void) {
    return run_flood(2);
}

static double run_fanin_2(void) {
    per_producer = bench_scaled(100 * 1000);
    bench_troupe(2, many_to_one);
    return bench_millions(per_producer * FANIN_PRODUCERS, elapsed);
}

/* ---- broadcast ------------------------------------------------------------------------------ */

/* Plain sends; after a round everything else gets its turn. Listeners are dealt out over the
 * loops, as a program would. */
static int one_to_many(void *arg) {
    (void)arg;
    static tr_ref refs[LISTENERS];
    bench_gate_init(&gate);
    atomic_store(&sinks_left, LISTENERS);
    for (int i = 0; i < LISTENERS; i++) {
        refs[i] = spawn_sink(TR_ROUND_ROBIN, per_producer, 1);
    }
    int64_t begin = bench_now();
    for (int64_t round = 0; round < per_producer; round++) {
        for (int i = 0; i < LISTENERS; i++) {
            int err = tr_send_wait(refs[i], bench_item, .value = round);
            bench_check(err == 0, "tr_send_wait: %s", tr_err_text(err));
        }
        (void)tr_yield();
    }
    bench_gate_wait(&gate);
    elapsed = bench_now() - begin;
    return 0;
}

static double run_broadcast(int loops) {
    per_producer = bench_scaled(10 * 1000);
    bench_troupe(loops, one_to_many);
    return bench_ns_each(per_producer * LISTENERS, elapsed);
}

static double run_broadcast_1(void) {
    return run_broadcast(1);
}

static double run_broadcast_2(void) {
    return run_broadcast(2);
}

const struct bench_workload bench_flow[] = {
    {"flood_1", "troupe", "M messages/s", run_flood_1, 1},
    {"flood_2", "troupe", "M messages/s", run_flood_2, 2},
    {"fanin_2", "troupe", "M messages/s", run_fanin_2, 2},
    {"broadcast_1", "troupe", "ns/delivery", run_broadcast_1, 1},
    {"broadcast_2", "troupe", "ns/delivery", run_broadcast_2, 2},
    {NULL, NULL, NULL, NULL, 0},
};
