/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers_internal.h: a million pending timers, O(1) add and cancel, exact order.
 */
#ifndef TRI_TIMERS_INTERNAL_H
#define TRI_TIMERS_INTERNAL_H

#include "assert_internal.h"

typedef struct tri_timer tri_timer;
typedef void tri_timer_fn(tr_loop *loop, tri_timer *timer);

/* Embedded by its owner; zero it before first use. fire is set by the owner. */
struct tri_timer {
    tri_timer *next, *prev, *child; /* where it stands: private to timers.c */
    tr_time when;                   /* deadline; the delay while it is unstamped */
    uint64_t seq;                   /* equal deadlines fire in this order */
    tri_timer_fn *fire;
    uint32_t place; /* 0: not pending; else private to timers.c */
};

typedef struct tri_timers tri_timers;

/* Wheel levels: tick 2^16 ns (65.5 us), 64 slots a level, 8 levels reach 2^64 ns. */
enum { TRI_WHEEL_TICK_BITS = 16, TRI_WHEEL_SLOT_BITS = 6, TRI_WHEEL_LEVELS = 8 };

/* Newest first. `recent` is where the timers stand that were added before the head, for
 * prefetching only: they may be gone. */
enum { TRI_WHEEL_RECENT = 3 };
struct tri_wheel_slot {
    tri_timer *head;
    tri_timer *recent[TRI_WHEEL_RECENT];
};

struct tri_timers {
    tr_time now; /* time of the last advance */
    uint64_t seq;
    size_t count;        /* pending timers */
    tri_timer unstamped; /* list head: added by delay since the last clock read */
    uint64_t occupied[TRI_WHEEL_LEVELS];
    struct tri_wheel_slot slots[TRI_WHEEL_LEVELS][1 << TRI_WHEEL_SLOT_BITS];
    tri_timer *due; /* pairing heap on (when, seq): the current tick and before */
};

TRI_API void tri_timers_init(tri_timers *timers, tr_time now);
/* Fire at an absolute time. when <= now is due at the next advance. */
TRI_API void tri_timers_add(tri_timers *timers, tri_timer *timer, tr_time when);
/* Fire `delay` after the *next* advance (so at least delay from now, and without reading the
 * clock). A delay of TR_FOREVER, or one that overflows, never fires. */
TRI_API void tri_timers_add_after(tri_timers *timers, tri_timer *timer, tr_time delay);
/* No effect on a timer that isn't pending. */
TRI_API void tri_timers_cancel(tri_timers *timers, tri_timer *timer);
/* Its deadline; the earliest that it can be while it is unstamped. */
TRI_API tr_time tri_timer_when(const tri_timers *timers, const tri_timer *timer);
static inline bool tri_timer_is_pending(const tri_timer *timer) {
    return timer->place != 0;
}
/* The clock was read: stamp what was added by delay, move what is due to the heap. */
TRI_API void tri_timers_advance(tri_timers *timers, tr_time now);
/* Take the next timer whose deadline has passed, by (when, seq); NULL when none is left. */
TRI_API tri_timer *tri_timers_pop_due(tri_timers *timers);
/* When advance() may next have something: exact for the heap, a lower bound for the wheel;
 * `now` while unstamped timers exist; TR_FOREVER when nothing is pending. */
TRI_API tr_time tri_timers_next(const tri_timers *timers);

#endif
