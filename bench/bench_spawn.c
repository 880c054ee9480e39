/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_spawn.c: the life of an actor, a million times; and what an idle one costs.
 */
#include "bench.h"

#include <troupe/actors.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TR_MESSAGE(bench_poke, (1, int64, value));

/* 16 bytes of state. */
typedef struct {
    int64_t value;
    int64_t count;
} bench_cell;

static int64_t actors;
static int64_t elapsed;
static int64_t poked, poked_sum;

static int on_poke(tr_self *self, bench_cell *c, const bench_poke *m) {
    c->value = m->value;
    c->count++;
    poked++;
    poked_sum += m->value;
    tr_self_stop(self);
    return 0;
}

TR_PROTOCOL(bench_cell, bench_poke);
TR_BEHAVIOUR(bench_cell, TR_ON(bench_poke, on_poke));

static tr_ref spawn_cell(void) {
    tr_ref ref;
    int err = tr_spawn_start(&ref, bench_cell);
    bench_check(err == 0, "tr_spawn_start: %s", tr_err_text(err));
    return ref;
}

static void poke(tr_ref ref, int64_t value) {
    int err = tr_send(ref, bench_poke, .value = value);
    bench_check(err == 0, "tr_send: %s", tr_err_text(err));
}

static void check_all_gone(void) {
    struct tr_actor_stats stats;
    tr_actors_get_stats(&stats);
    bench_check(poked == actors && poked_sum == actors * (actors - 1) / 2,
                "%" PRId64 " of %" PRId64 " actors got their message", poked, actors);
    bench_check(stats.actors == 0, "%" PRIu64 " actors are left", stats.actors);
    bench_check_no_dead_letters();
}

/* ---- spawn_each ---------------------------------------------------------------------------- */

static int each(void *arg) {
    (void)arg;
    int64_t begin = bench_now();
    for (int64_t i = 0; i < actors; i++) {
        poke(spawn_cell(), i);
        while (poked <= i) { /* it has stopped before the next one starts */
            (void)tr_yield();
        }
    }
    elapsed = bench_now() - begin;
    check_all_gone();
    return 0;
}

static double run_spawn_each(void) {
    actors = bench_scaled(1000 * 1000);
    bench_troupe(1, each);
    return bench_millions(actors, elapsed);
}

/* ---- spawn_all ------------------------------------------------------------------------------ */

static int all(void *arg) {
    (void)arg;
    int64_t begin = bench_now();
    tr_ref *refs = malloc((size_t)actors * sizeof *refs);
    bench_check(refs != NULL, "out of memory");
    for (int64_t i = 0; i < actors; i++) {
        refs[i] = spawn_cell();
    }
    for (int64_t i = 0; i < actors; i++) {
        poke(refs[i], i);
    }
    while (poked < actors) {
        (void)tr_yield();
    }
    free(refs);
    elapsed = bench_now() - begin;
    check_all_gone();
    return 0;
}

static double run_spawn_all(void) {
    actors = bench_scaled(1000 * 1000);
    bench_troupe(1, all);
    return bench_millions(actors, elapsed);
}

/* ---- idle_bytes ------------------------------------------------------------------------------ */

static int64_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    bench_check(file != NULL, "can't read /proc/self/statm");
    int64_t pages = 0;
    bench_check(fscanf(file, "%*d %" SCNd64, &pages) == 1, "can't read /proc/self/statm");
    (void)fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static int64_t grown;

static int idle(void *arg) {
    (void)arg;
    /* The first one brings what a loop needs once. */
    poke(spawn_cell(), 0);
    while (poked == 0) {
        (void)tr_yield();
    }
    int64_t before = resident_bytes();
    for (int64_t i = 0; i < actors; i++) {
        (void)spawn_cell();
    }
    (void)tr_yield();
    grown = resident_bytes() - before;
    struct tr_actor_stats stats;
    tr_actors_get_stats(&stats);
    bench_check(stats.actors == (uint64_t)actors, "%" PRIu64 " actors are alive", stats.actors);
    return 0;
}

static double run_idle_bytes(void) {
    actors = bench_scaled(1000 * 1000);
    bench_troupe(1, idle);
    return (double)grown / (double)actors;
}

const struct bench_workload bench_spawn[] = {
    {"spawn_each", "troupe", "M actors/s", run_spawn_each, 1},
    {"spawn_all", "troupe", "M actors/s", run_spawn_all, 1},
    {"idle_bytes", "troupe", "B/actor", run_idle_bytes, 1},
    {NULL, NULL, NULL, NULL, 0},
};
