/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file seam.h
 * The points where a loop touches the world: clock, randomness, readiness.
 *
 * For tests and simulations, yours and ours: give tr_run_opts.seams an own set and a
 * program runs under virtual time with a seeded generator. Nothing else in Troupe reads
 * a clock, draws a random number or waits for a descriptor.
 */
#ifndef TROUPE_CORE_SEAM_H
#define TROUPE_CORE_SEAM_H

#include <troupe/core/base.h>

/** Readiness bits. */
enum tr_ready {
    TR_READABLE = 1, /**< a read, accept or error waits */
    TR_WRITABLE = 2  /**< a write or the end of a connect waits */
};

/** Told by a poller that a descriptor has become ready. Must not suspend. */
typedef void tr_ready_fn(void *arg, int ready);

/** Where readiness comes from: libevent, or a simulation. All calls on the loop's thread. */
struct tr_poller_ops {
    /** Make a poller for one loop; wake_fd is the eventfd that foreign threads write. */
    int (*open)(void *seam_arg, int wake_fd, void **ret_poller);
    /** Free it, with the registrations that are left. */
    void (*close)(void *poller);
    /** Register a descriptor once, edge-triggered for both directions. */
    int (*add)(void *poller, int fd, tr_ready_fn *fn, void *arg, void **ret_registration);
    /** Forget a registration; the caller closes the descriptor afterwards. */
    void (*remove)(void *poller, void *registration);
    /** Report readiness; wait at most until `deadline` (tr_time; 0: don't wait;
     *  TR_FOREVER: until something happens). `now` is the loop's current time. */
    int (*poll)(void *poller, tr_time now, tr_time deadline);
};

/** One set of seams. NULL members mean the real thing. */
struct tr_seams {
    tr_time (*now)(void *arg);          /**< monotonic clock, nanoseconds */
    uint64_t (*random)(void *arg);      /**< 64 uniform bits */
    const struct tr_poller_ops *poller; /**< readiness */
    void *arg;                          /**< given to each of them; owned by the caller */
};

TR_BEGIN_DECLS

/** The system's own clock, generator and libevent poller.
 *
 * @return static storage: copy it and replace what a test wants to control
 * @thread any
 */
TR_API const struct tr_seams *tr_seams_system(void);

TR_END_DECLS

#endif /* TROUPE_CORE_SEAM_H */
