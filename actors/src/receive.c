/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive.c: tr_receive(), the process form's way to its mailbox.
 */
#include "hot_internal.h"

struct tri_receive {
    tri_waiter waiter;
    tri_timer timer;
    tr_loop *loop;
    tr_actor *actor;
    const struct tr_type *const *types;
    size_t type_count;
};

static bool matches(const tri_envelope *envelope, const struct tr_type *const *types,
                    size_t type_count) {
    if (envelope->kind == TRI_STOP || types == NULL) {
        return true; /* a stop ends every wait */
    }
    for (size_t i = 0; i < type_count; i++) {
        if (envelope->type == types[i]) {
            return true;
        }
    }
    return false;
}

/* Nobody waits for it any more. */
static bool drop_expired(tri_actors *actors, tri_envelope *envelope) {
    if (envelope->ask_generation == 0) {
        return false;
    }
    bool is_over =
        envelope->ask_loop == actors->loop->id
            ? !tri_ask_is_pending(actors, envelope->ask_slot, envelope->ask_generation)
            : envelope->has_tail && tri_envelope_tail(envelope)->deadline <= actors->loop->now;
    if (is_over) {
        tri_envelope_refuse(actors, envelope, TR_ETIMEOUT);
    }
    return is_over;
}

/* Take the first match out of the mailbox. A TRI_STOP that comes first stays, for the next call. */
static tri_envelope *take(tri_actors *actors, tr_actor *actor, const struct tr_type *const *types,
                          size_t type_count) {
    tri_node **link = &actor->head;
    while (*link != NULL) {
        tri_envelope *envelope = tri_envelope_of(*link);
        if (!matches(envelope, types, type_count)) {
            link = &(*link)->next;
        } else if (envelope->kind == TRI_STOP) {
            return envelope;
        } else {
            tri_mailbox_unlink(actor, link, envelope);
            tri_senders_look_again(actor);
            if (!drop_expired(actors, envelope)) {
                return envelope;
            }
        }
    }
    return NULL;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

void tri_receive_arrived(tr_actor *actor, tri_envelope *envelope) {
    tri_receive *receive = actor->extra->receive;
    if (matches(envelope, receive->types, receive->type_count)) {
        actor->state = TRI_RUNNING;
        tri_wake(&receive->waiter, 0);
    }
}

static void receive_cancel(tri_waiter *waiter) {
    tri_receive *receive = TRI_CONTAINER_OF(waiter, tri_receive, waiter);
    receive->actor->state = TRI_RUNNING;
    tri_wake(waiter, TR_ECANCELLED);
}

static void receive_timeout(tr_loop *loop, tri_timer *timer) {
    tri_receive *receive = TRI_CONTAINER_OF(timer, tri_receive, timer);
    (void)loop;
    receive->actor->state = TRI_RUNNING;
    tri_wake_once(&receive->waiter, TR_ETIMEOUT);
}

static int wait_for_message(tri_receive *receive) {
    tr_actor *actor = receive->actor;
    actor->extra->receive = receive;
    actor->state = TRI_RECEIVING;
    receive->waiter =
        (tri_waiter){.cancel = receive_cancel, .reason = "receive", .keeps_result = true};
    if (actor->extra->senders != NULL && !tri_mailbox_is_full(actor, 0)) {
        tri_senders_wake(&actor->extra->senders, actor->count_max,
                         0); /* one may have what we want */
    }
    int err = tri_suspend(&receive->waiter);
    actor->extra->receive = NULL;
    actor->state = TRI_RUNNING;
    return err;
}

int tr_receive_types(tr_self *self, tr_time timeout, const struct tr_type *const *types,
                     size_t type_count, tr_received *ret) {
    tr_loop *loop = tri_loop_here("tr_receive");
    tri_actors *actors = tri_actors_of(loop);
    TRI_USAGE(self->behaviour->process != NULL && self->fiber == loop->current, "tr_receive",
              "for the process that runs: behaviours are called with their messages");
    tri_current_done(actors, self, 0);
    if ((self->flags & TRI_ACTOR_STOPPING) != 0) {
        return TR_ESHUTDOWN; /* tr_self_stop() */
    }
    if ((self->flags & TRI_ACTOR_KILLED) != 0) {
        return TR_ECANCELLED; /* what is left in the mailbox becomes dead letters */
    }
    if (TRI_UNLIKELY(--loop->clock_credit <= 0)) { /* others get their turn */
        int err = tri_fiber_yield(loop);
        if (err < 0) {
            return err;
        }
    }
    tri_receive receive = {.timer.fire = receive_timeout,
                           .loop = loop,
                           .actor = self,
                           .types = types,
                           .type_count = type_count};
    tri_envelope *envelope = NULL;
    bool is_timed = false;
    int err = 0;
    /* A cancellation comes first: who gives up takes nothing. */
    while (err != TR_ECANCELLED && (envelope = take(actors, self, types, type_count)) == NULL &&
           err == 0) {
        if (timeout <= 0) {
            err = TR_ETIMEOUT;
            break;
        }
        if (!is_timed) {
            tri_timers_add_after(&loop->timers, &receive.timer, timeout);
            is_timed = true;
        }
        err = wait_for_message(&receive);
    }
    tri_timers_cancel(&loop->timers, &receive.timer);
    if (envelope == NULL) {
        return err;
    }
    if (envelope->kind == TRI_STOP) {
        return TR_ESHUTDOWN;
    }
    self->current = envelope;
    self->flags &= (uint8_t)~TRI_ACTOR_REPLIED;
    actors->stats.handled++;
    *ret = (tr_received){.type = envelope->type, .message = tri_envelope_payload(envelope)};
    return 0;
}
