/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c: what comes in from other nodes, handed to the actors of this one.
 */
#include "hot_internal.h"

#include <errno.h>

/* Towards any loop of this process, outside the pair's credit: the link has its own. */
static int deliver(tri_actors *actors, tr_ref to, tri_envelope *envelope) {
    tr_loop *loop = actors->loop;
    envelope->to_slot = to.slot;
    envelope->to_generation = to.generation;
    if (envelope->has_tail) {
        tri_envelope_tail(envelope)->to = to;
    }
    if (to.loop == loop->id) {
        int err = tri_mailbox_offer(actors, envelope);
        if (err < 0) {
            tri_envelope_refuse(actors, envelope, err);
        }
        return 0;
    }
    tri_port *port = tri_port_get(actors, to.loop);
    if (port == NULL) {
        tri_envelope_refuse(actors, envelope, tri_port_error(to.loop));
        return 0;
    }
    tri_port_send(actors, port, envelope, false);
    return 0;
}

int tri_remote_deliver(tr_loop *loop, tr_ref to, const struct tr_type *type, const void *message,
                       tri_ask_id id, tr_time deadline) {
    tri_actors *actors = tri_actors_get(loop);
    bool is_ask = id.generation != 0;
    tri_envelope *envelope =
        actors != NULL ? tri_envelope_make(actors, TRI_MESSAGE, type, message, is_ask) : NULL;
    if (envelope == NULL) {
        return -ENOMEM;
    }
    if (is_ask) {
        envelope->ask_slot = id.slot;
        envelope->ask_generation = id.generation;
        envelope->ask_loop = (uint16_t)id.loop;
        tri_envelope_tail(envelope)->deadline = deadline;
    }
    return deliver(actors, to, envelope);
}

int tri_remote_control(tr_loop *loop, int kind, tr_ref to, tr_ref watcher, uint64_t tag,
                       const struct tr_type *type, const void *message) {
    tri_actors *actors = tri_actors_get(loop);
    tr_down down = {.who = to, .tag = tag};
    if (kind == TRI_WATCH) {
        type = &tri_type_tr_down;
        message = &down;
    }
    bool with_tail = kind == TRI_WATCH;
    tri_envelope *envelope =
        actors != NULL ? tri_envelope_make(actors, kind, type, message, with_tail) : NULL;
    if (envelope == NULL) {
        return -ENOMEM;
    }
    if (with_tail) {
        tri_envelope_tail(envelope)->watcher = watcher;
        tri_envelope_tail(envelope)->tag = tag;
    }
    return deliver(actors, to, envelope);
}
