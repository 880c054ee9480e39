/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send.c: tr_send(), tr_send_wait(), tr_stop(), tr_kill().
 */
#include "hot_internal.h"

#include <errno.h>

/* Across loops, to other nodes, from foreign threads. */
static int send_far(tr_loop *loop, const tr_ref *to, int kind, const struct tr_type *type,
                    const void *message, uint8_t flags) {
    tri_actors *actors = loop != NULL ? tri_actors_of(loop) : NULL;
    bool is_plain = actors != NULL && kind == TRI_MESSAGE && type->blobs == 0 && to->node == 0;
    tri_envelope *envelope = TRI_LIKELY(is_plain)
                                 ? tri_envelope_make_plain(actors, type, message)
                                 : tri_envelope_new(kind, type, message, to->node != 0);
    if (TRI_UNLIKELY(envelope == NULL)) {
        return tri_message_error(type, message);
    }
    envelope->flags = flags;
    int err = tri_envelope_send(loop, to, envelope);
    if (TRI_UNLIKELY(err < 0)) {
        if (loop != NULL) {
            tri_envelope_free(loop, envelope);
        } else {
            tri_free(envelope);
        }
    }
    return err;
}

static inline bool is_here(const tr_loop *loop, const tr_ref *to) {
    return loop != NULL && to->loop == loop->id && to->node == 0;
}

/* To an actor of this loop: 0, or why it can't be. */
static inline int send_here(tri_actors *actors, uint32_t slot, uint32_t generation,
                            const struct tr_type *type, const void *message) {
    tri_envelope *envelope = tri_message_make(actors, type, message);
    if (TRI_UNLIKELY(envelope == NULL)) {
        return tri_message_error(type, message);
    }
    envelope->to_slot = slot;
    envelope->to_generation = generation;
    int err = tri_envelope_deliver(actors, envelope);
    if (TRI_UNLIKELY(err < 0)) {
        tri_envelope_recycle(actors, envelope);
    }
    return err;
}

int tr_send_message(tr_ref to, const struct tr_type *type, const void *message) {
    tr_loop *loop = tri_current_loop;
    if (TRI_LIKELY(is_here(loop, &to) && tri_actors_of(loop) != NULL)) {
        return send_here(tri_actors_of(loop), to.slot, to.generation, type, message);
    }
    return send_far(loop, &to, TRI_MESSAGE, type, message, 0);
}

/* ---- waiting for room -------------------------------------------------------------------------- */

/* Until the actor has room, or is gone. */
static int wait_here(tri_actors *actors, const tr_ref *to, size_t size) {
    for (;;) {
        tr_actor *actor = tri_actor_find(actors, to->slot, to->generation);
        if (TRI_LIKELY(actor == NULL || !tri_mailbox_is_full(actor, size))) {
            return 0;
        }
        tri_extra *extra = tri_actor_extra(actor);
        if (extra == NULL) {
            return -ENOMEM;
        }
        int err = tri_sender_wait(&extra->senders, "send");
        if (err < 0) {
            return err;
        }
    }
}

/* Until the pair of loops has credit. */
static int wait_far(tri_actors *actors, const tr_ref *to) {
    int id = tri_route(actors->loop, to);
    if (id < 0) {
        return id;
    }
    tri_port *port = tri_port_get(actors, (unsigned)id);
    if (port == NULL) {
        return tri_port_error((unsigned)id);
    }
    return tri_port_wait(port);
}

int tri_room_wait(tri_actors *actors, const tr_ref *to, size_t size) {
    return is_here(actors->loop, to) ? wait_here(actors, to, size) : wait_far(actors, to);
}

/* The mailbox has no say: the message is offered when there is room. */
static int send_wait_here(tri_actors *actors, const tr_ref *to, const struct tr_type *type,
                          const void *message) {
    tri_envelope *envelope = tri_message_make(actors, type, message);
    if (TRI_UNLIKELY(envelope == NULL)) {
        return tri_message_error(type, message);
    }
    envelope->to_slot = to->slot;
    envelope->to_generation = to->generation;
    tr_actor *actor = tri_actor_find(actors, to->slot, to->generation);
    if (TRI_LIKELY(actor != NULL && !tri_mailbox_is_full(actor, envelope->size))) {
        tri_mailbox_append(actors, actor, envelope);
        return 0;
    }
    int err = wait_here(actors, to, envelope->size);
    if (err == 0) {
        err = tri_envelope_deliver(actors, envelope);
    }
    if (TRI_UNLIKELY(err < 0)) {
        tri_envelope_recycle(actors, envelope);
    }
    return err;
}

static int send_wait_far(tr_loop *loop, const tr_ref *to, const struct tr_type *type,
                         const void *message) {
    for (;;) {
        int err = send_far(loop, to, TRI_MESSAGE, type, message, TRI_ENVELOPE_PATIENT);
        if (TRI_LIKELY(err != TR_EFULL)) {
            return err;
        }
        err = wait_far(tri_actors_of(loop), to);
        if (err < 0) {
            return err;
        }
    }
}

int tr_send_wait_message(tr_ref to, const struct tr_type *type, const void *message) {
    tr_loop *loop = tri_loop_here("tr_send_wait");
    TRI_USAGE(loop->current != NULL, "tr_send_wait", "may be called by a task or a handler only");
    return is_here(loop, &to) && tri_actors_of(loop) != NULL
               ? send_wait_here(tri_actors_of(loop), &to, type, message)
               : send_wait_far(loop, &to, type, message);
}

/* ---- the system lane ----------------------------------------------------------------------------- */

static int send_system(tr_ref to, int kind) {
    if (tr_ref_is_null(to)) {
        return 0;
    }
    int err = send_far(tri_current_loop, &to, kind, NULL, NULL, 0);
    /* Already gone is what the caller wanted. */
    return err == -ENOMEM || err == TR_ENOTLINKED ? err : 0;
}

int tr_stop(tr_ref ref) {
    return send_system(ref, TRI_STOP);
}

int tr_kill(tr_ref ref) {
    return send_system(ref, TRI_KILL);
}
