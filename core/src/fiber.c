/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber.c: suspending and waking, cancelling.
 *
 * DESIGN
 *
 * A fiber waits in exactly one tri_waiter at a time. Three things can happen to it, in any
 * order: the wait is completed (tri_wake), it is cancelled (the waiter's cancel hook wakes it or
 * passes the request on), and the fiber is resumed by its node in the ready queue. The first
 * wake-up decides; a cancellation that comes between the wake-up and the resumption replaces the
 * result of a plain wait and is kept for the next wait where the result carries something
 * (keeps_result).
 *
 * INVARIANTS
 *
 *   fiber->stack != NULL   <=>  the fiber is switched out
 *   fiber->waiter != NULL  while it is inside tri_suspend() or tri_fiber_yield()
 *   node queued            =>   fiber->stack != NULL and the waiter is woken
 */
#include "fiber_internal.h"

static inline __attribute__((always_inline)) void switch_out(tr_loop *loop, tri_fiber *fiber) {
    fiber->stack = loop->running;
    tri_loop_switch_away(loop);
    TRI_ASSERT(loop->current == fiber);
}

static void deliver(tri_fiber *fiber, tri_waiter *waiter) {
    fiber->cancel_pending = false;
    waiter->is_cancelling = true;
    waiter->cancel(waiter);
    waiter->is_cancelling = false;
}

int tri_suspend(tri_waiter *waiter) {
    tr_loop *loop = tri_loop_here(waiter->reason);
    tri_fiber *fiber = loop->current;
    TRI_USAGE(fiber != NULL, waiter->reason,
              "suspends: it may be called by a task or a handler, not by a callback");
    TRI_ASSERT(fiber->waiter == NULL);
    waiter->fiber = fiber;
    fiber->waiter = waiter;
    if (TRI_UNLIKELY(fiber->cancel_pending || fiber->cancel_forever) && !waiter->is_woken) {
        deliver(fiber, waiter);
        if (waiter->is_woken && fiber->cancel_forever) {
            /* Code that waits again and again must not keep the loop to itself now. */
            tri_loop_ready(loop, &fiber->node);
            switch_out(loop, fiber);
        }
    }
    if (!waiter->is_woken) {
        switch_out(loop, fiber);
    }
    fiber->waiter = NULL;
    return waiter->result;
}

void tri_wake(tri_waiter *waiter, int result) {
    TRI_ASSERT(!waiter->is_woken);
    waiter->is_woken = true;
    waiter->result = result;
    tri_fiber *fiber = waiter->fiber;
    if (fiber != NULL && fiber->stack != NULL) {
        tri_loop_ready(tri_current_loop, &fiber->node);
    }
}

static void yield_cancel(tri_waiter *waiter) {
    (void)waiter; /* never called: the waiter is woken from the start */
}

int tri_fiber_yield(tr_loop *loop) {
    tri_fiber *fiber = loop->current;
    TRI_USAGE(fiber != NULL, "tr_yield", "may be called by a task or a handler only");
    tri_waiter waiter = {
        .fiber = fiber, .cancel = yield_cancel, .reason = "yield", .is_woken = true};
    if (TRI_UNLIKELY(fiber->cancel_pending || fiber->cancel_forever)) {
        fiber->cancel_pending = false;
        waiter.result = TR_ECANCELLED;
    }
    fiber->waiter = &waiter;
    tri_loop_ready(loop, &fiber->node);
    switch_out(loop, fiber);
    fiber->waiter = NULL;
    return waiter.result;
}

static void request_cancel(tri_fiber *fiber) {
    tri_waiter *waiter = fiber->waiter;
    if (waiter == NULL || (waiter->is_woken && waiter->keeps_result)) {
        fiber->cancel_pending = true;
    } else if (waiter->is_woken) {
        waiter->result = TR_ECANCELLED;
    } else if (!waiter->is_cancelling) {
        deliver(fiber, waiter);
    }
}

void tri_fiber_cancel(tri_fiber *fiber) {
    fiber->cancels++;
    request_cancel(fiber);
}

void tri_fiber_kill(tri_fiber *fiber) {
    fiber->cancels++;
    fiber->cancel_forever = true;
    request_cancel(fiber);
}
