/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.c: who is told when an actor ends.
 *
 * The envelope of a TRI_WATCH carries the tr_down that will answer it: it stays with the watched
 * actor and becomes the message in the end, so that telling needs no memory.
 */
#include "hot_internal.h"

#include <errno.h>

/* Turn the watch into its answer and send it off. */
void tri_watch_tell(tri_actors *actors, tri_envelope *envelope, int reason) {
    tr_loop *loop = actors->loop;
    tri_tail *tail = tri_envelope_tail(envelope);
    tr_down *down = tri_envelope_payload(envelope);
    down->reason = reason;
    envelope->kind = TRI_DOWN;
    if (tri_envelope_send(loop, &tail->watcher, envelope) < 0) {
        tri_envelope_free(loop, envelope); /* the watcher is gone itself */
    }
}

void tri_watch_arrived(tri_actors *actors, tri_envelope *envelope) {
    tr_actor *actor = tri_actor_find(actors, envelope->to_slot, envelope->to_generation);
    tri_extra *extra = actor != NULL ? tri_actor_extra(actor) : NULL;
    if (actor == NULL) {
        tri_watch_tell(actors, envelope,
                       tri_actor_end_reason(actors, envelope->to_slot, envelope->to_generation));
    } else if (extra == NULL) {
        tri_watch_tell(actors, envelope, -ENOMEM); /* better a false alarm than none ever */
    } else {
        envelope->node.next = extra->watchers != NULL ? &extra->watchers->node : NULL;
        extra->watchers = envelope;
    }
}

void tri_watchers_tell(tri_actors *actors, tr_actor *actor, int reason) {
    tri_envelope *envelope = actor->extra->watchers;
    actor->extra->watchers = NULL;
    while (envelope != NULL) {
        tri_node *node = envelope->node.next;
        tri_watch_tell(actors, envelope, reason);
        envelope = node != NULL ? TRI_CONTAINER_OF(node, tri_envelope, node) : NULL;
    }
}

int tr_monitor(tr_self *self, tr_ref ref, uint64_t tag) {
    tr_loop *loop = tri_loop_here("tr_monitor");
    tri_actors *actors = tri_actors_of(loop);
    tr_down down = {.who = ref, .tag = tag};
    tri_envelope *envelope = tri_envelope_make(actors, TRI_WATCH, &tri_type_tr_down, &down, true);
    if (envelope == NULL) {
        return -ENOMEM;
    }
    tri_envelope_tail(envelope)->watcher = tri_actor_ref(actors, self);
    tri_envelope_tail(envelope)->tag = tag;
    int err = tri_envelope_send(loop, &ref, envelope);
    if (err < 0) {
        tri_watch_tell(actors, envelope,
                       err); /* its loop or node can't be reached: that is the answer */
    }
    return 0;
}
