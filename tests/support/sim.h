/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sim.h
 * A simulated world for one loop: virtual time, seeded randomness, a poller that knows pipes of
 * ours only. A run with it takes no time and is the same each time.
 *
 *     struct sim sim;
 *     struct tr_seams seams;
 *     sim_init(&sim, 42, &seams);
 *     tr_run(app, NULL, .seams = &seams, .no_signals = true);
 *
 * Time stands still while something runs and jumps to the next deadline when nothing does. The
 * only events are timers and sim_ready_at(): a wait that nothing can end aborts with a message.
 * One loop only: two would race for the time.
 */
#ifndef SIM_H
#define SIM_H

#include <troupe/core/seam.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIM_FDS = 64, SIM_EVENTS = 256 };

struct sim_registration {
    int fd; /* -1: free */
    tr_ready_fn *fn;
    void *arg;
};

struct sim_event {
    tr_time when;
    int fd;
    int ready;
};

struct sim {
    tr_time now;
    uint64_t seed;
    struct sim_registration registrations[SIM_FDS];
    struct sim_event events[SIM_EVENTS]; /* by time, then by order of adding */
    int event_count;
    unsigned long polls;
    uint64_t trace; /* a hash of everything the loop asked for, with its times */
};

static inline void sim_note(struct sim *sim, uint64_t what) {
    sim->trace = (sim->trace ^ what ^ (uint64_t)sim->now) * UINT64_C(0x100000001b3);
}

static inline tr_time sim_now(void *arg) {
    struct sim *sim = arg;
    return sim->now;
}

/* splitmix64 */
static inline uint64_t sim_random(void *arg) {
    struct sim *sim = arg;
    uint64_t z = (sim->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    sim_note(sim, z);
    return z;
}

/** Report a descriptor ready at a time. */
static inline void sim_ready_at(struct sim *sim, tr_time when, int fd, int ready) {
    if (sim->event_count == SIM_EVENTS) {
        fprintf(stderr, "sim.h: more than %d events\n", SIM_EVENTS);
        abort();
    }
    int at = sim->event_count++;
    while (at > 0 && sim->events[at - 1].when > when) {
        sim->events[at] = sim->events[at - 1];
        at--;
    }
    sim->events[at] = (struct sim_event){when, fd, ready};
}

/* ---- the poller ------------------------------------------------------------------------- */

static inline int sim_poller_open(void *seam_arg, int wake_fd, void **ret_poller) {
    (void)wake_fd; /* no other thread exists in this world */
    *ret_poller = seam_arg;
    return 0;
}

static inline void sim_poller_close(void *poller) {
    (void)poller;
}

static inline int sim_poller_add(void *poller, int fd, tr_ready_fn *fn, void *arg,
                                 void **ret_registration) {
    struct sim *sim = poller;
    for (int i = 0; i < SIM_FDS; i++) {
        struct sim_registration *r = &sim->registrations[i];
        if (r->fd < 0) {
            *r = (struct sim_registration){fd, fn, arg};
            *ret_registration = r;
            sim_note(sim, (uint64_t)i);
            return 0;
        }
    }
    return -28; /* ENOSPC, as epoll says it */
}

static inline void sim_poller_remove(void *poller, void *registration) {
    (void)poller;
    ((struct sim_registration *)registration)->fd = -1;
}

static inline void sim_fire(struct sim *sim, struct sim_event event) {
    for (int i = 0; i < SIM_FDS; i++) {
        struct sim_registration *r = &sim->registrations[i];
        if (r->fd == event.fd) {
            r->fn(r->arg, event.ready);
            return;
        }
    }
}

static inline int sim_poller_poll(void *poller, tr_time now, tr_time deadline) {
    struct sim *sim = poller;
    (void)now;
    sim->polls++;
    tr_time next = sim->event_count > 0 ? sim->events[0].when : TR_FOREVER;
    tr_time until = deadline < next ? deadline : next;
    if (until == TR_FOREVER) {
        fprintf(stderr, "sim.h: the loop waits for something that never comes\n");
        abort();
    }
    if (until > sim->now) {
        sim->now = until;
    }
    sim_note(sim, (uint64_t)deadline);
    while (sim->event_count > 0 && sim->events[0].when <= sim->now) {
        struct sim_event event = sim->events[0];
        memmove(&sim->events[0], &sim->events[1],
                (size_t)--sim->event_count * sizeof sim->events[0]);
        sim_fire(sim, event);
    }
    return 0;
}

static inline void sim_init(struct sim *sim, uint64_t seed, struct tr_seams *ret_seams) {
    static const struct tr_poller_ops ops = {sim_poller_open, sim_poller_close, sim_poller_add,
                                             sim_poller_remove, sim_poller_poll};
    memset(sim, 0, sizeof *sim);
    sim->now = TR_SECOND; /* the start is arbitrary */
    sim->seed = seed;
    for (int i = 0; i < SIM_FDS; i++) {
        sim->registrations[i].fd = -1;
    }
    *ret_seams = (struct tr_seams){sim_now, sim_random, &ops, sim};
}

#endif /* SIM_H */
