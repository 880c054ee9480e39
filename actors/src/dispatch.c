/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c: an activation: a bounded number of messages of one actor, one after the other.
 *
 * The activation is a fiber in this frame. It runs on the dispatcher's stack, so a handler that
 * doesn't suspend costs an indirect call; one that does keeps the stack, and the activation goes on
 * there when it is resumed.
 *
 * INVARIANTS
 *
 *   state == TRI_READY    <=>  the actor's node is in the ready queue
 *   state >= TRI_RUNNING  <=>  fiber != NULL; messages that come are only appended
 */
#include "hot_internal.h"

#include <errno.h>

struct activation {
    tri_fiber fiber;
    tr_actor *actor;
};

static const char *activation_name(const tri_fiber *fiber) {
    return tr_self_name(TRI_CONTAINER_OF(fiber, struct activation, fiber)->actor);
}

void tri_actor_wake(tri_actors *actors, tr_actor *actor) {
    if (actor->state == TRI_IDLE) {
        actor->state = TRI_READY;
        tri_loop_ready(actors->loop, &actor->node);
    }
}

const struct tri_row tri_no_row = {NULL, NULL, NULL, TRI_ROW_on};

static const struct tri_row *find_row(tr_actor *actor, const struct tr_type *type) {
    const struct tr_behaviour *behaviour = actor->behaviour;
    for (size_t i = 0; i < behaviour->row_count; i++) {
        if (behaviour->rows[i].type == type && behaviour->rows[i].kind == TRI_ROW_on) {
            actor->row = &behaviour->rows[i];
            return actor->row;
        }
    }
    return NULL;
}

/* Most messages are of the same type as the last one. */
static inline const struct tri_row *row_of(tr_actor *actor, const struct tr_type *type) {
    const struct tri_row *row = actor->row;
    return TRI_LIKELY(row->type == type) ? row : find_row(actor, type);
}

/* Nobody is helped by running a request whose asker has given up. */
static bool has_expired(tri_actors *actors, tri_envelope *envelope) {
    if (envelope->ask_loop == actors->loop->id) {
        return !tri_ask_is_pending(actors, envelope->ask_slot, envelope->ask_generation);
    }
    return envelope->has_tail && tri_envelope_tail(envelope)->deadline <= actors->loop->now;
}

/* Why a request has no reply: its handler failed, the reply itself did, or there was none. */
static int no_reply(tri_envelope *request, int err) {
    if (err == 0 && request->has_tail) {
        err = tri_envelope_tail(request)->err;
    }
    return err < 0 ? err : TR_ENOREPLY;
}

/* The message is over: a request without an answer gets one, and the memory goes back. */
static inline void current_done(tri_actors *actors, tr_actor *actor, int err) {
    tri_envelope *envelope = actor->current;
    if (TRI_UNLIKELY(envelope == NULL)) {
        return;
    }
    actor->current = NULL;
    if (TRI_UNLIKELY(envelope->ask_generation != 0) && (actor->flags & TRI_ACTOR_REPLIED) == 0) {
        tri_envelope_answer(actors, envelope, no_reply(envelope, err));
    } else {
        tri_envelope_release(actors, envelope);
    }
}

void tri_current_done(tri_actors *actors, tr_actor *actor, int err) {
    current_done(actors, actor, err);
}

static void fail(tr_actor *actor, int err) {
    actor->flags |= TRI_ACTOR_STOPPING;
    if ((actor->flags & TRI_ACTOR_KILLED) == 0) {
        actor->reason = err;
    }
}

static void handle_message(tri_actors *actors, tr_actor *actor, tri_envelope *envelope) {
    const struct tri_row *row = row_of(actor, envelope->type);
    bool is_ask = envelope->ask_generation != 0;
    if (TRI_UNLIKELY(row == NULL)) {
        if (envelope->kind == TRI_DOWN) { /* an actor that doesn't care for it any more */
            tri_envelope_free(actors->loop, envelope);
        } else {
            tri_envelope_refuse(actors, envelope, TR_EUNHANDLED);
        }
        return;
    }
    actor->current = envelope;
    if (TRI_UNLIKELY(is_ask)) {
        actor->flags &= (uint8_t)~TRI_ACTOR_REPLIED;
        if (has_expired(actors, envelope)) {
            current_done(actors, actor, TR_ETIMEOUT);
            return;
        }
    }
    actors->stats.handled++;
    int err = row->handler(actor, tri_actor_state_of(actor), tri_envelope_payload(envelope));
    if (TRI_LIKELY(err >= 0 && !is_ask && (actor->flags & TRI_ACTOR_KILLED) == 0)) {
        actor->current = NULL;
        tri_envelope_release(actors, envelope);
        return;
    }
    if ((actor->flags & TRI_ACTOR_KILLED) != 0) {
        err = TR_EKILLED;
    }
    current_done(actors, actor, err);
    if (err < 0) {
        fail(actor, err);
    }
}

static void handle(tri_actors *actors, tr_actor *actor, tri_envelope *envelope) {
    if (TRI_UNLIKELY(actor->extra != NULL)) {
        tri_senders_look_again(actor); /* there is room now, however long the handler takes */
    }
    if (TRI_UNLIKELY(envelope->kind == TRI_STOP)) {
        actor->flags |= TRI_ACTOR_STOPPING;
        tri_envelope_free(actors->loop, envelope);
    } else {
        handle_message(actors, actor, envelope);
    }
}

/* ---- the first activation -------------------------------------------------------------------- */

static int call_init(tr_actor *actor) {
    const struct tr_behaviour *behaviour = actor->behaviour;
    for (size_t i = 0; i < behaviour->row_count; i++) {
        const struct tri_row *row = &behaviour->rows[i];
        if (row->kind == TRI_ROW_init) {
            return row->handler(actor, tri_actor_state_of(actor),
                                tri_envelope_payload(actor->extra->arg));
        }
    }
    return 0;
}

static void init_done(tri_actors *actors, tr_actor *actor, int err) {
    tri_envelope *spawner = actor->extra->spawner;
    if (spawner != NULL) {
        actor->extra->spawner = NULL;
        tri_spawn_answer(actors, spawner, err, actor);
    }
}

static void start(tri_actors *actors, tr_actor *actor) {
    actor->flags &= (uint8_t)~TRI_ACTOR_NEW;
    int err;
    if (actor->behaviour->process != NULL) {
        init_done(actors, actor, 0); /* a process has begun: that is all there is to wait for */
        err = actor->behaviour->process(actor, tri_envelope_payload(actor->extra->arg));
        tri_current_done(actors, actor, err < 0 ? err : 0);
        actor->flags |= TRI_ACTOR_STOPPING;
    } else {
        err = call_init(actor);
        init_done(actors, actor, err);
    }
    if (err < 0) {
        fail(actor, err);
    }
}

/* ---- activations ------------------------------------------------------------------------------- */

static bool is_ending(const tr_actor *actor) {
    return (actor->flags & (TRI_ACTOR_STOPPING | TRI_ACTOR_KILLED)) != 0;
}

void tri_actor_run(tr_loop *loop, tri_node *node) {
    tr_actor *actor = TRI_CONTAINER_OF(node, tr_actor, node);
    tri_actors *actors = tri_actors_of(loop);
    struct activation activation = {.fiber = {.name = activation_name}, .actor = actor};
    if (TRI_UNLIKELY(!tri_fiber_enter(loop, &activation.fiber))) {
        tr_log(TR_LOG_ERROR, "out of memory for a stack: actor '%s' waits", tr_self_name(actor));
        tri_loop_ready(loop, node);
        return;
    }
    actor->state = TRI_RUNNING;
    actor->fiber = &activation.fiber;
    if (TRI_UNLIKELY((actor->flags & TRI_ACTOR_NEW) != 0) && !is_ending(actor)) {
        start(actors, actor);
    }
    /* No further than to the next look at the clock, so that slow handlers aren't run in long rows. */
    int granted =
        loop->clock_credit < TRI_MESSAGES_PER_TURN ? loop->clock_credit + 1 : TRI_MESSAGES_PER_TURN;
    int budget = granted;
    while (actor->head != NULL && budget > 0 && !is_ending(actor)) {
        budget--;
        handle(actors, actor, tri_mailbox_pop(actor));
    }
    loop->clock_credit -= granted - budget;
    tri_fiber_leave(loop, &activation.fiber);
    actor->fiber = NULL;
    if (TRI_UNLIKELY(is_ending(actor))) {
        tri_actor_end(actors, actor);
    } else if (actor->head != NULL) {
        actor->state = TRI_READY;
        tri_loop_ready(loop, node);
    } else {
        actor->state = TRI_IDLE;
    }
}
