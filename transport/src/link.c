/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c: a session, its dialer, its timer.
 *
 * DESIGN
 *
 * The session decides, this file does. Frames from the peer come through the node's one inbox
 * (inbox.c); frames to it go through this link's own dialer, which is made and replaced here whenever
 * the session asks for it. When the peer's incarnation is down, the dialer goes to the node's
 * "closing" list for a moment, so that a last word can still leave.
 *
 * The order of an end, in on_down(): nobody can send any more (route() and is_up), then
 * asks, tells and watches for that incarnation end, then the monitors of the node are told. All of it
 * happens on the owner loop, after the last batch that was taken, so what a local actor is told
 * about the end comes after the last message from there.
 */
#include "transport_internal.h"

#include <stdio.h>

/* A dialer that didn't lead to a connection for this long is replaced. */
#define DIAL_TIME (1 * TR_SECOND)

static const struct tri_zsocket_ops dialer_ops;

/* ---- the dialer --------------------------------------------------------------------- */

/* 0x01, node id, incarnation, lane: never the same for two runs of a node. */
enum { ROUTING_ID_SIZE = 1 + 4 + 8 + 1 };

static void dial(tri_link *link, const char *address) {
    tri_transport *transport = link->transport;
    uint8_t id[ROUTING_ID_SIZE] = {1};
    tri_store_le(id + 1, transport->self.node, 4);
    tri_store_le(id + 5, transport->self.incarnation, 8);
    struct tri_zsocket_opts opts = {.address = address,
                                    .id = id,
                                    .id_size = sizeof id,
                                    .max_frame = transport->self.max_frame,
                                    .patience = transport->self.down_after};
    int err = tri_zsocket_dial(transport->zcontext, transport->loop, &opts, &dialer_ops, link,
                               &link->dialer);
    if (err < 0) {
        tr_log(TR_LOG_WARN, "node '%s': can't dial %s: %s", link->session.name, address,
               tr_err_text(err));
        link->dialer = NULL;
        return;
    }
    snprintf(link->dialed, sizeof link->dialed, "%s", address);
    link->dialed_at = transport->loop->now;
    link->was_writable = false;
    tri_zsocket_want(link->dialer);
}

void tri_link_close_dialer(tri_link *link) {
    if (link->dialer != NULL) {
        tri_closing_add(link->transport, link->dialer, NULL);
        link->dialer = NULL;
    }
}

static void on_writable(void *arg) {
    tri_link *link = arg;
    if (!link->was_writable) {
        link->was_writable = true;
        tri_session_connected(&link->session, link->transport->loop->now);
        tri_link_rearm(link);
    }
    tri_link_pump_out(link);
}

static const struct tri_zsocket_ops dialer_ops = {.writable = on_writable};

/* ---- what the session asks for ------------------------------------------------------- */

static void on_send(void *arg, const void *bytes, size_t size) {
    tri_link_send_control(arg, bytes, size);
}

static uint64_t on_random(void *arg) {
    const tri_link *link = arg;
    return tr_loop_random(link->transport->loop);
}

/* Where the peer said that it listens comes before what we were told. */
static void on_redial(void *arg) {
    tri_link *link = arg;
    bool was_heard = link->session.state == TRI_SESSION_HALF;
    const char *address = was_heard               ? link->session.peer.address
                          : link->address[0] != 0 ? link->address
                                                  : link->heard;
    if (address[0] == 0) {
        return;
    }
    if (link->dialer != NULL) {
        bool is_same = strcmp(link->dialed, address) == 0;
        bool is_young = link->transport->loop->now - link->dialed_at < DIAL_TIME;
        if (is_same && is_young) {
            return; /* give it time */
        }
        tri_link_close_dialer(link);
    }
    dial(link, address);
}

static void on_up(void *arg) {
    tri_link *link = arg;
    const struct tri_session_peer *peer = &link->session.peer;
    link->is_up = true;
    link->refusal = 0;
    link->stats.links++;
    link->stats.is_up = true;
    link->stats.incarnation = peer->incarnation;
    tr_log(TR_LOG_INFO, "linked with node '%s' at %s (incarnation %llu)", link->session.name,
           peer->address, (unsigned long long)peer->incarnation);
    tri_peers_up(link);
}

static void on_suspect(void *arg, bool again) {
    const tri_link *link = arg;
    if (again) {
        tr_log(TR_LOG_INFO, "node '%s' is heard again", link->session.name);
    } else {
        tr_log(TR_LOG_WARN, "node '%s' is suspect: nothing was heard for %.1f s",
               link->session.name, (double)link->transport->self.heartbeat / (double)TR_SECOND);
    }
}

static void on_down(void *arg, int reason) {
    tri_link *link = arg;
    size_t count;
    link->is_up = false;
    link->stats.is_up = false;
    tr_ref *monitors = tri_peers_down_begin(link, &count); /* nobody sends any more */
    if (reason == 0) {
        tr_log(TR_LOG_INFO, "node '%s' has left", link->session.name);
    } else {
        tr_log(TR_LOG_WARN, "node '%s' is down: %s (%s)", link->session.name, tr_err_text(reason),
               tr_err_name(reason));
    }
    tri_link_drop_out(link);
    tri_link_close_dialer(link);
    tri_peers_down_end(link, reason, monitors, count);
}

static int on_data(void *arg, const struct tri_frame *frame) {
    return tri_link_take(arg, frame);
}

static void on_acked(void *arg, uint64_t seq) {
    tri_link_acked(arg, seq);
}

/* Refusals repeat with each HELLO: one line for each reason. */
static void on_refused(void *arg, bool by_us, int code, struct tri_text text) {
    tri_link *link = arg;
    if (link->refusal == code) {
        return;
    }
    link->refusal = code;
    if (by_us) {
        tr_log(TR_LOG_WARN, "node '%s' was refused: %s", link->session.name, tri_refuse_text(code));
    } else {
        tr_log(TR_LOG_WARN, "node '%s' refuses this node '%s': %.*s", link->session.name,
               link->transport->self.name, (int)text.size, text.data);
    }
}

static void on_left(void *arg) {
    tri_link *link = arg;
    tri_transport *transport = link->transport;
    link->has_left = true;
    tri_link_close_dialer(link);
    if (transport->stopping != NULL) {
        for (size_t i = 0; i < transport->link_count; i++) {
            if (!transport->links[i]->has_left) {
                return;
            }
        }
        tri_waiter *stopping = transport->stopping;
        transport->stopping = NULL;
        tri_wake(stopping, 0);
    }
}

static const struct tri_session_ops session_ops = {
    .send = on_send,
    .random = on_random,
    .redial = on_redial,
    .up = on_up,
    .suspect = on_suspect,
    .down = on_down,
    .data = on_data,
    .acked = on_acked,
    .refused = on_refused,
    .left = on_left,
};

/* ---- time ----------------------------------------------------------------------------- */

static void on_timer(tr_loop *loop, tri_timer *timer) {
    tri_link *link = TRI_CONTAINER_OF(timer, tri_link, timer);
    (void)tri_session_tick(&link->session, loop->now);
    tri_link_rearm(link);
    tri_link_publish(link, loop->now, false);
}

/* A timer that fires too early does no harm: the tick only looks. So it is moved only forward. */
void tri_link_rearm(tri_link *link) {
    tri_timers *timers = &link->transport->loop->timers;
    tr_time due = link->session.due_at;
    if (tri_timer_is_pending(&link->timer)) {
        if (tri_timer_when(timers, &link->timer) <= due) {
            return;
        }
        tri_timers_cancel(timers, &link->timer);
    }
    if (due != TR_FOREVER) {
        tri_timers_add(timers, &link->timer, due);
    }
    tri_transport_watch(link->transport);
}

void tri_link_publish_locked(tri_link *link) {
    const tri_session *session = &link->session;
    struct tri_published *published = &link->published;
    link->published_at = link->transport->loop->now;
    link->stats.asks = link->pendings.used;
    link->stats.unacked_bytes = link->encoded - link->acked;
    published->stats = link->stats;
    published->is_up = link->is_up;
    if (link->is_up) {
        published->incarnation = session->peer.incarnation;
        published->agent = tri_ref_of(link, session->peer.agent);
    }
    published->dead = session->dead_incarnation;
}

void tri_link_publish(tri_link *link, tr_time now, bool at_once) {
    if (at_once || now - link->published_at >= TRI_PUBLISH_EACH) {
        pthread_mutex_lock(&link->transport->mutex);
        tri_link_publish_locked(link);
        pthread_mutex_unlock(&link->transport->mutex);
    }
}

/* ---- making and finding ------------------------------------------------------------------ */

tri_link *tri_link_find(const tri_transport *transport, const char *name, size_t size) {
    for (size_t i = 0; i < transport->link_count; i++) {
        tri_link *link = transport->links[i];
        if (strlen(link->session.name) == size && memcmp(link->session.name, name, size) == 0) {
            return link;
        }
    }
    return NULL;
}

tri_link *tri_link_by_node(const tri_transport *transport, uint32_t node) {
    for (size_t i = 0; i < transport->link_count; i++) {
        if (transport->links[i]->session.node == node) {
            return transport->links[i];
        }
    }
    return NULL;
}

static int make_room(tri_transport *transport) {
    if (transport->link_count < transport->link_room) {
        return 0;
    }
    if (transport->link_count >= TRI_LINKS_MAX) {
        return TR_ELIMIT;
    }
    size_t room = transport->link_room == 0 ? 8 : transport->link_room * 2;
    tri_link **links = tri_realloc(transport->links, room * sizeof(tri_link *));
    if (links == NULL) {
        return -ENOMEM;
    }
    transport->links = links;
    transport->link_room = room;
    return 0;
}

tri_link *tri_link_new(tri_transport *transport, const char *name) {
    tri_link *link = tri_calloc(1, sizeof *link);
    if (link == NULL) {
        return NULL;
    }
    link->transport = transport;
    link->timer.fire = on_timer;
    tri_link_init_out(link);
    tri_session_init(&link->session, &transport->self, &session_ops, link, name);
    pthread_mutex_lock(&transport->mutex);
    int err = make_room(transport);
    if (err == 0) {
        transport->links[transport->link_count++] = link;
    }
    pthread_mutex_unlock(&transport->mutex);
    if (err < 0) {
        tri_free(link);
        return NULL;
    }
    return link;
}

void tri_link_free(tri_link *link) {
    TRI_ASSERT(link->dialer == NULL);
    tri_link_free_out(link);
    tri_buffer_free(&link->batch);
    tri_buffer_free(&link->spare);
    tri_free(link->pendings.slots);
    tri_free(link->watches.buckets);
    tri_free(link);
}

void tri_link_open(tri_link *link) {
    tri_session_open(&link->session, link->transport->loop->now);
    tri_link_rearm(link);
}

void tri_link_receive(tri_link *link, const void *bytes, size_t size) {
    tri_session_receive(&link->session, link->transport->loop->now, bytes, size);
    tri_link_publish(link, link->transport->loop->now, false);
    tri_link_rearm(link);
}
