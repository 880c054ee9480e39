/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers.c: a million pending timers, O(1) add and cancel, exact order.
 *
 * DESIGN
 *
 * A timer stands in one of four places.
 *
 *   arrivals   added by delay, or with a deadline that has passed: waits for the next advance(),
 *              which turns delays into deadlines. Most time limits are cancelled here, within
 *              the turn that made them.
 *   wheel      its tick (2^16 ns) lies in the future. Eight levels of 64 slots, one level for
 *              each six bits of the tick's number. A timer stands on the level of the highest
 *              digit in which its tick differs from the current one, in the slot of that digit.
 *   heap       its tick is the current one or has passed. A pairing heap on (when, seq), so that
 *              timers fire in exact order and at the exact nanosecond, not at the tick's.
 *   nowhere    its deadline is TR_FOREVER.
 *
 * advance() never walks ticks. Let H be the highest digit that changes. All slots of levels
 * below H and the slots of level H between the old and the new digit have passed as a whole, and
 * their timers go to the heap; the slot of the new digit on level H is dealt out again, to lower
 * levels or to the heap; higher levels don't change. A bitmap a level finds the occupied slots,
 * so that a gap of an hour costs what is in it. A timer is moved eight times at most.
 *
 * INVARIANTS
 *
 *   a bit of occupied[] is set  <=>  its slot's list is not empty
 *   wheel, level l, slot s: digits above l are those of the current tick, and s > digit l of it
 *     (hence the lowest occupied slot of the lowest occupied level holds the earliest)
 *   heap: tick <= current tick; every timer in the wheel is later than every one in the heap
 *   place != 0  <=>  pending; `count` timers are
 */
#include "timers_internal.h"

#include "assert_internal.h"

#include <string.h>

enum {
    PLACE_NONE = 0,
    PLACE_DELAY, /* arrivals; `when` is a delay */
    PLACE_LATE,  /* arrivals; `when` is a deadline */
    PLACE_HEAP,
    PLACE_NEVER,
    PLACE_WHEEL /* + level * SLOTS + slot */
};
enum { SLOTS = 1 << TRI_WHEEL_SLOT_BITS, SLOT_MASK = SLOTS - 1, EXACT_SEARCH_MAX = 8 };

_Static_assert(SLOTS == 64, "one bit of occupied[] a slot");
_Static_assert(TRI_WHEEL_TICK_BITS + TRI_WHEEL_SLOT_BITS * TRI_WHEEL_LEVELS >= 63,
               "the wheel reaches every tr_time");

/* ---- helpers ------------------------------------------------------------ */

static uint64_t tick_of(tr_time when) {
    return (uint64_t)when >> TRI_WHEEL_TICK_BITS;
}

static unsigned digit_of(uint64_t tick, unsigned level) {
    return (unsigned)(tick >> (level * TRI_WHEEL_SLOT_BITS)) & SLOT_MASK;
}

/* Level of the highest digit in which two different ticks differ. */
static unsigned level_between(uint64_t a, uint64_t b) {
    return (63U - (unsigned)__builtin_clzll(a ^ b)) / TRI_WHEEL_SLOT_BITS;
}

static tr_time saturating_add(tr_time a, tr_time b) {
    return a > TR_FOREVER - b ? TR_FOREVER : a + b;
}

/* ---- the heap ----------------------------------------------------------- */

/* prev of a first child is its parent, of any other its left sibling; NULL at the root. */

static bool is_before(const tri_timer *a, const tri_timer *b) {
    return a->when != b->when ? a->when < b->when : a->seq < b->seq;
}

/* Two roots without siblings, not NULL. */
static tri_timer *meld(tri_timer *a, tri_timer *b) {
    tri_timer *top = is_before(a, b) ? a : b;
    tri_timer *below = top == a ? b : a;
    below->prev = top;
    below->next = top->child;
    if (top->child != NULL) {
        top->child->prev = below;
    }
    top->child = below;
    return top;
}

/* The usual two passes: meld neighbours in pairs, then the pairs from last to first. Children
 * may be many: no recursion. */
static tri_timer *meld_siblings(tri_timer *first) {
    tri_timer *pairs = NULL;
    while (first != NULL) {
        tri_timer *second = first->next;
        tri_timer *rest = second != NULL ? second->next : NULL;
        tri_timer *pair = first;
        pair->next = NULL;
        if (second != NULL) {
            second->next = NULL;
            pair = meld(first, second);
        }
        pair->next = pairs;
        pairs = pair;
        first = rest;
    }
    tri_timer *root = pairs;
    if (root == NULL) {
        return NULL;
    }
    pairs = root->next;
    while (pairs != NULL) {
        tri_timer *rest = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = rest;
    }
    root->next = NULL;
    root->prev = NULL;
    return root;
}

static void heap_insert(tri_timers *timers, tri_timer *timer) {
    timer->next = NULL;
    timer->prev = NULL;
    timer->child = NULL;
    timer->place = PLACE_HEAP;
    timers->due = timers->due != NULL ? meld(timers->due, timer) : timer;
}

static void heap_remove(tri_timers *timers, tri_timer *timer) {
    tri_timer *children = meld_siblings(timer->child);
    if (timer == timers->due) {
        timers->due = children;
        return;
    }
    if (timer->prev->child == timer) {
        timer->prev->child = timer->next;
    } else {
        timer->prev->next = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->prev = timer->prev;
    }
    if (children != NULL) {
        timers->due = meld(timers->due, children);
    }
}

/* ---- the wheel ---------------------------------------------------------- */

static void wheel_insert(tri_timers *timers, tri_timer *timer, uint64_t tick) {
    unsigned level = level_between(tick, tick_of(timers->now));
    unsigned index = digit_of(tick, level);
    struct tri_wheel_slot *slot = &timers->slots[level][index];
    tri_timer *head = slot->head;
    timer->prev = NULL;
    timer->next = head;
    if (head != NULL) {
        head->prev = timer;
    }
    slot->head = timer;
    /* A walk over a long list waits for memory at each step; child says what comes some steps
     * later. It may be gone by then: it is never followed, only prefetched. */
    timer->child = slot->recent[TRI_WHEEL_RECENT - 1];
    for (int i = TRI_WHEEL_RECENT - 1; i > 0; i--) {
        slot->recent[i] = slot->recent[i - 1];
    }
    slot->recent[0] = head;
    timers->occupied[level] |= UINT64_C(1) << index;
    timer->place = PLACE_WHEEL + level * SLOTS + index;
}

static void wheel_remove(tri_timers *timers, tri_timer *timer) {
    unsigned level = (timer->place - PLACE_WHEEL) / SLOTS;
    unsigned slot = (timer->place - PLACE_WHEEL) & SLOT_MASK;
    if (timer->next != NULL) {
        timer->next->prev = timer->prev;
    }
    if (timer->prev != NULL) {
        timer->prev->next = timer->next;
        return;
    }
    TRI_ASSERT(timers->slots[level][slot].head == timer);
    timers->slots[level][slot].head = timer->next;
    if (timer->next == NULL) {
        timers->occupied[level] &= ~(UINT64_C(1) << slot);
    }
}

static void place(tri_timers *timers, tri_timer *timer) {
    if (timer->when == TR_FOREVER) {
        timer->place = PLACE_NEVER;
    } else if (timer->when <= timers->now || tick_of(timer->when) == tick_of(timers->now)) {
        heap_insert(timers, timer);
    } else {
        wheel_insert(timers, timer, tick_of(timer->when));
    }
}

/* Deal out the slots of a level again; place() knows the new time already. */
static void replace_slots(tri_timers *timers, unsigned level, uint64_t slots) {
    slots &= timers->occupied[level];
    timers->occupied[level] &= ~slots;
    while (slots != 0) {
        unsigned slot = (unsigned)__builtin_ctzll(slots);
        tri_timer *timer = timers->slots[level][slot].head;
        timers->slots[level][slot].head = NULL;
        slots &= slots - 1;
        while (timer != NULL) {
            tri_timer *next = timer->next;
            __builtin_prefetch(timer->child, /* for writing */ 1);
            place(timers, timer);
            timer = next;
        }
    }
}

static void turn_wheel(tri_timers *timers, uint64_t old_tick) {
    uint64_t tick = tick_of(timers->now);
    unsigned highest = level_between(tick, old_tick);
    /* The lower levels first: the slot of the new digit is dealt out to them below, and what
     * lands there is later than now. */
    for (unsigned level = 0; level < highest; level++) {
        replace_slots(timers, level, UINT64_MAX);
    }
    /* Slots of the highest level up to and with the new digit; those up to the old are empty. */
    replace_slots(timers, highest, UINT64_MAX >> (SLOT_MASK - digit_of(tick, highest)));
}

/* ---- arrivals ----------------------------------------------------------- */

static void arrive(tri_timers *timers, tri_timer *timer, uint32_t as) {
    tri_timer *head = &timers->unstamped;
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
    timer->place = as;
}

static void place_arrivals(tri_timers *timers) {
    tri_timer *head = &timers->unstamped;
    tri_timer *timer = head->next;
    while (timer != head) {
        tri_timer *next = timer->next;
        if (timer->place == PLACE_DELAY) {
            timer->when = saturating_add(timers->now, timer->when);
        }
        place(timers, timer);
        timer = next;
    }
    head->next = head;
    head->prev = head;
}

/* ---- operations --------------------------------------------------------- */

void tri_timers_init(tri_timers *timers, tr_time now) {
    TRI_ASSERT(now >= 0);
    memset(timers, 0, sizeof *timers);
    timers->now = now;
    timers->unstamped.next = &timers->unstamped;
    timers->unstamped.prev = &timers->unstamped;
}

static void begin_pending(tri_timers *timers, tri_timer *timer, tr_time when) {
    TRI_ASSERT(!tri_timer_is_pending(timer));
    timer->when = when;
    timer->seq = ++timers->seq;
    timers->count++;
}

void tri_timers_add(tri_timers *timers, tri_timer *timer, tr_time when) {
    begin_pending(timers, timer, when);
    if (when <= timers->now) {
        /* Not into the heap: a timer that adds itself for now must not fire twice a turn. */
        arrive(timers, timer, PLACE_LATE);
    } else {
        place(timers, timer);
    }
}

void tri_timers_add_after(tri_timers *timers, tri_timer *timer, tr_time delay) {
    begin_pending(timers, timer, delay > 0 ? delay : 0);
    if (delay == TR_FOREVER) {
        timer->place = PLACE_NEVER;
    } else {
        arrive(timers, timer, PLACE_DELAY);
    }
}

void tri_timers_cancel(tri_timers *timers, tri_timer *timer) {
    switch (timer->place) {
    case PLACE_NONE: return;
    case PLACE_NEVER: break;
    case PLACE_DELAY:
    case PLACE_LATE:
        timer->prev->next = timer->next;
        timer->next->prev = timer->prev;
        break;
    case PLACE_HEAP: heap_remove(timers, timer); break;
    default: wheel_remove(timers, timer); break;
    }
    timer->place = PLACE_NONE;
    timers->count--;
}

void tri_timers_advance(tri_timers *timers, tr_time now) {
    if (now > timers->now) { /* a clock that goes back stands still */
        uint64_t old_tick = tick_of(timers->now);
        timers->now = now;
        if (tick_of(now) != old_tick) {
            turn_wheel(timers, old_tick);
        }
    }
    if (timers->unstamped.next != &timers->unstamped) {
        place_arrivals(timers);
    }
}

tri_timer *tri_timers_pop_due(tri_timers *timers) {
    tri_timer *timer = timers->due;
    if (timer == NULL || timer->when > timers->now) {
        return NULL;
    }
    heap_remove(timers, timer);
    timer->place = PLACE_NONE;
    timers->count--;
    return timer;
}

tr_time tri_timers_next(const tri_timers *timers) {
    if (timers->unstamped.next != &timers->unstamped) {
        return timers->now;
    }
    if (timers->due != NULL) {
        return timers->due->when;
    }
    unsigned level = 0;
    while (level < TRI_WHEEL_LEVELS && timers->occupied[level] == 0) {
        level++;
    }
    if (level == TRI_WHEEL_LEVELS) {
        return TR_FOREVER;
    }
    unsigned slot = (unsigned)__builtin_ctzll(timers->occupied[level]);
    /* The earliest is in this slot. A short list is searched, so that a loop with few timers
     * sleeps until the exact time; behind a long one it wakes at the slot's begin. */
    tr_time earliest = TR_FOREVER;
    const tri_timer *timer = timers->slots[level][slot].head;
    for (int i = 0; i < EXACT_SEARCH_MAX && timer != NULL; i++) {
        earliest = timer->when < earliest ? timer->when : earliest;
        timer = timer->next;
    }
    if (timer == NULL) {
        return earliest;
    }
    unsigned shift = level * TRI_WHEEL_SLOT_BITS;
    uint64_t above = tick_of(timers->now) >> shift & ~(uint64_t)SLOT_MASK;
    return (tr_time)((above | slot) << shift << TRI_WHEEL_TICK_BITS);
}

tr_time tri_timer_when(const tri_timers *timers, const tri_timer *timer) {
    return timer->place == PLACE_DELAY ? saturating_add(timers->now, timer->when) : timer->when;
}
