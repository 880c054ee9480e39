/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep.c: waiting for time: sleep, yield, and time limits as scopes.
 */
#include "loop_internal.h"

/* ---- sleep ---------------------------------------------------------------------- */

struct nap {
    tri_waiter waiter;
    tri_timer timer;
    tr_loop *loop;
};

static void nap_over(tr_loop *loop, tri_timer *timer) {
    (void)loop;
    tri_wake(&TRI_CONTAINER_OF(timer, struct nap, timer)->waiter, 0);
}

static void nap_cancel(tri_waiter *waiter) {
    struct nap *nap = TRI_CONTAINER_OF(waiter, struct nap, waiter);
    tri_timers_cancel(&nap->loop->timers, &nap->timer);
    tri_wake(waiter, TR_ECANCELLED);
}

int tr_sleep(tr_time delay) {
    tr_loop *loop = tri_loop_here("tr_sleep");
    if (delay <= 0) {
        return tri_fiber_yield(loop);
    }
    struct nap nap = {
        .waiter = {.cancel = nap_cancel, .reason = "sleep"}, .timer.fire = nap_over, .loop = loop};
    tri_timers_add_after(&loop->timers, &nap.timer, delay);
    return tri_suspend(&nap.waiter);
}

int tr_yield(void) {
    return tri_fiber_yield(tri_loop_here("tr_yield"));
}

/* ---- time limits ------------------------------------------------------------------ */

/* What a tr_timeout is inside. */
typedef struct tri_scope {
    tri_timer timer;
    struct tri_scope *outer;
    tri_fiber *fiber;
    int cancels; /* of the fiber when the scope began */
    bool has_expired;
    bool is_pending; /* its request is what made the fiber's cancel_pending */
} __attribute__((may_alias)) scope;

_Static_assert(sizeof(scope) <= sizeof(tr_timeout), "tr_timeout has room for its inside");

static void expire(scope *self) {
    bool was_pending = self->fiber->cancel_pending;
    self->has_expired = true;
    tri_fiber_cancel(self->fiber);
    self->is_pending = !was_pending && self->fiber->cancel_pending;
}

static void scope_expired(tr_loop *loop, tri_timer *timer) {
    (void)loop;
    expire(TRI_CONTAINER_OF(timer, scope, timer));
}

void tr_timeout_begin(tr_timeout *timeout, tr_time delay) {
    tr_loop *loop = tri_loop_here("tr_timeout_begin");
    tri_fiber *fiber = loop->current;
    TRI_USAGE(fiber != NULL, "tr_timeout_begin", "may be called by a task or a handler only");
    scope *self = (scope *)timeout;
    *self = (scope){.timer.fire = scope_expired,
                    .outer = fiber->scopes,
                    .fiber = fiber,
                    .cancels = fiber->cancels};
    fiber->scopes = self;
    if (delay <= 0) {
        expire(self);
    } else {
        tri_timers_add_after(&loop->timers, &self->timer, delay);
    }
}

int tr_timeout_end(tr_timeout *timeout, int err) {
    tr_loop *loop = tri_loop_here("tr_timeout_end");
    scope *self = (scope *)timeout;
    tri_fiber *fiber = self->fiber;
    TRI_USAGE(fiber != NULL && fiber == loop->current && fiber->scopes == self, "tr_timeout_end",
              "scopes end in reverse order, in the task that began them");
    tri_timers_cancel(&loop->timers, &self->timer);
    fiber->scopes = self->outer;
    self->fiber = NULL;
    if (!self->has_expired) {
        return err;
    }
    /* asyncio: the time-out takes its own cancellation back, and only then is it a time-out. */
    if (fiber->cancels > 0) {
        fiber->cancels--;
    }
    bool only_ours = fiber->cancels <= self->cancels;
    if (only_ours && self->is_pending) {
        fiber->cancel_pending = false; /* the body ended without another wait */
    }
    return only_ours && err == TR_ECANCELLED ? TR_ETIMEOUT : err;
}
