/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox.c: one FIFO an actor, bounded for messages, open for the system lane.
 *
 * The two lanes differ in accounting only: both stand in one queue, in the order of arrival, and
 * only messages count against the bounds. TRI_KILL and TRI_WATCH are acted on when they arrive.
 */
#include "hot_internal.h"

void tri_mailbox_unlink(tr_actor *actor, tri_node **link, tri_envelope *envelope) {
    *link = envelope->node.next;
    if (*link == NULL) {
        actor->tail = link;
    }
    if (envelope->kind == TRI_MESSAGE) {
        actor->count--;
        actor->bytes -= envelope->size;
    }
}

void tri_senders_look_again(tr_actor *actor) {
    tri_extra *extra = actor->extra;
    if (extra != NULL && extra->senders != NULL && actor->count < actor->count_max) {
        tri_senders_wake(&extra->senders, actor->count_max - actor->count, 0);
    }
}

static void drop_oldest(tri_actors *actors, tr_actor *actor) {
    tri_node **link = &actor->head;
    while (*link != NULL && tri_envelope_of(*link)->kind != TRI_MESSAGE) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        tri_envelope *envelope = tri_envelope_of(*link);
        tri_mailbox_unlink(actor, link, envelope);
        tri_envelope_refuse(actors, envelope, TR_EDROPPED);
    }
}

/* The mailbox is full. 0: the envelope may be appended, 1: it is gone, negative: it is refused. */
static int overflow(tri_actors *actors, tr_actor *actor, tri_envelope *envelope) {
    switch (actor->overflow) {
    case TR_DROP_NEW: tri_envelope_refuse(actors, envelope, TR_EDROPPED); return 1;
    case TR_DROP_OLD:
        while (actor->count > 0 && tri_mailbox_is_full(actor, envelope->size)) {
            drop_oldest(actors, actor);
        }
        return 0;
    default: return TR_EFULL;
    }
}

/* Past the bound: what tr_send_wait() sent, whose number the pair's credit bounds, and requests of
 * other loops, whose number their askers bound; but a mailbox that drops, drops requests too. */
static bool is_admitted(const tr_actor *actor, const tri_envelope *envelope) {
    return (envelope->flags & TRI_ENVELOPE_PATIENT) != 0 &&
           (envelope->ask_generation == 0 || actor->overflow == TR_FAIL);
}

int tri_mailbox_offer(tri_actors *actors, tri_envelope *envelope) {
    tr_actor *actor = tri_actor_find(actors, envelope->to_slot, envelope->to_generation);
    if (TRI_UNLIKELY(actor == NULL)) {
        if (envelope->kind == TRI_WATCH) {
            tri_watch_arrived(actors, envelope);
            return 0;
        }
        return tri_actor_end_reason(actors, envelope->to_slot, envelope->to_generation);
    }
    if (TRI_LIKELY(envelope->kind == TRI_MESSAGE)) {
        if (TRI_UNLIKELY(tri_mailbox_is_full(actor, envelope->size)) &&
            !is_admitted(actor, envelope)) {
            int result = overflow(actors, actor, envelope);
            if (result != 0) {
                return result < 0 ? result : 0;
            }
        }
    } else if (envelope->kind == TRI_KILL) {
        tri_envelope_free(actors->loop, envelope);
        tri_actor_kill(actors, actor);
        return 0;
    } else if (envelope->kind == TRI_WATCH) {
        tri_watch_arrived(actors, envelope);
        return 0;
    }
    tri_mailbox_append(actors, actor, envelope);
    return 0;
}

void tri_envelope_refuse(tri_actors *actors, tri_envelope *envelope, int reason) {
    tr_loop *loop = actors->loop;
    if (envelope->kind == TRI_MESSAGE && envelope->ask_generation != 0) {
        tri_envelope_answer(actors, envelope, reason);
        return;
    } else if (envelope->kind == TRI_MESSAGE) {
        tr_ref to = {.loop = envelope->at_loop,
                     .slot = envelope->to_slot,
                     .generation = envelope->to_generation};
        if (envelope->has_tail && tri_envelope_tail(envelope)->to.node != 0) {
            to = tri_envelope_tail(envelope)->to;
        }
        tri_dead_letter(loop, to, envelope->type, tri_envelope_payload(envelope), reason);
    } else if (envelope->kind == TRI_WATCH) {
        tri_watch_tell(actors, envelope, reason);
        return;
    } else if (envelope->kind == TRI_CONTROL) {
        tri_envelope_tail(envelope)->err = reason;
        tri_envelope_tail(envelope)->control(loop, envelope);
        return;
    }
    tri_envelope_free(loop, envelope);
}
