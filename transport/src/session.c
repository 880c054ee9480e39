/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c: the link protocol with one peer. No socket, no clock: frames and times come in, frames
 * and calls of ops go out.
 *
 * DESIGN
 *
 * Each side dials the other. An association is a pair of random numbers, one chosen by each side;
 * every frame but HELLO carries both, so that what is left of an earlier association can't be
 * mistaken. It takes three steps, like TCP's:
 *
 *     a -> b   HELLO    (a, 0)    my number is a
 *     b -> a   WELCOME  (b, a)    mine is b: now a knows that b heard it, and is up
 *     a -> b   anything (a, b)    now b knows the same of a, and is up
 *
 * A lost frame is made up for by the next HELLO, so no step needs to be reliable. When both sides
 * begin at once, each answers the other's HELLO, and both are up after two steps.
 *
 * An incarnation ends once, with one call of ops->down, and never comes back: dead_incarnation
 * remembers it. A newer incarnation's HELLO first ends the older one. A frame of an association that
 * we have given up, or never had, is answered with REFUSE, so that the other side learns it too.
 *
 * DATA is numbered from 1. PING and BYE repeat the last number, so that a lost last batch is noticed
 * as well. Whatever isn't the expected number breaks the link, because nothing is sent twice yet:
 * the retransmission buffer (the link layer keeps unacknowledged batches already) will replace
 * the branch in check_seq(), and resume from the recv_next that WELCOME will then carry.
 *
 * Each side says in its HELLO how often it wants to hear something. If our own tick comes late, we
 * have been asleep (a stopped process, a handler that blocks): then the peer gets that time on top,
 * for its frames are waiting in our sockets.
 *
 * INVARIANTS  (checked by tri_session_check())
 *
 *   state HALF, UP, LEAVING  =>  peer.incarnation > dead_incarnation, peer.link != 0
 *   state not IDLE           =>  link != 0
 *   acked < send_next, ack_sent < recv_next
 */
#include "session_internal.h"

#include "address_internal.h"

#include <troupe/core/error.h>

#define HELLO_FIRST (100 * TR_MS) /* pause before the second HELLO; doubles */
#define HELLO_MAX   (5 * TR_SECOND)
#define ACK_DELAY   (20 * TR_MS)
#define LEAVE_MAX   (2 * TR_SECOND)
#define BEAT_MIN    (10 * TR_MS)
/* So many batches may wait for one acknowledgement: the sender's window is worth about 250. */
enum { ACK_EVERY = 32 };

void tri_session_check(const tri_session *session) {
    if (session->state >= TRI_SESSION_HALF) {
        TRI_ASSERT(session->peer.incarnation > session->dead_incarnation);
        TRI_ASSERT(session->peer.link != 0);
    }
    if (session->state != TRI_SESSION_IDLE) {
        TRI_ASSERT(session->link != 0);
    }
    TRI_ASSERT(session->acked < session->send_next);
    TRI_ASSERT(session->ack_sent < session->recv_next);
}

tr_time tri_session_beat(const struct tri_session_self *self) {
    tr_time beat =
        self->heartbeat / 4 < self->down_after / 8 ? self->heartbeat / 4 : self->down_after / 8;
    return beat > BEAT_MIN ? beat : BEAT_MIN;
}

/* How often the peer must hear from us. */
static tr_time wanted_beat(const tri_session *session) {
    tr_time beat = tri_session_beat(session->self);
    return session->peer.beat >= BEAT_MIN && session->peer.beat < beat ? session->peer.beat : beat;
}

/* ---- sending ------------------------------------------------------------------------- */

/* A frame without DATA. Out of memory it is dropped: it will be sent again. */
void tri_session_send(tri_session *session, tr_time now, int type, uint64_t to_link,
                      const tri_buffer *body) {
    tri_buffer buffer = {0};
    struct tri_frame frame = {.type = (uint8_t)type,
                              .from_link = session->link,
                              .to_link = to_link,
                              .seq = session->send_next - 1,
                              .ack = session->recv_next - 1,
                              .body = body != NULL ? body->data : NULL,
                              .body_size = body != NULL ? body->size : 0};
    if (type == TRI_FRAME_BYE && session->state != TRI_SESSION_LEAVING) {
        frame.flags = TRI_FRAME_ANSWER;
    }
    if (tri_frame_encode(&buffer, &frame) == 0) {
        session->ops->send(session->arg, buffer.data, buffer.size);
    }
    tri_buffer_free(&buffer);
    session->sent_at = now;
    if (to_link != 0) {
        session->ack_sent = session->recv_next - 1;
        session->ack_at = TR_FOREVER;
    }
}

/* ---- the states ------------------------------------------------------------------------ */

void tri_session_enter(tri_session *session, tr_time now, int state) {
    session->state = state;
    session->entered_at = now;
    session->heard_at = now;
    session->tick_due = TR_FOREVER; /* no tick was asked for yet that could come late */
}

/* A new association: nothing of the old one is valid. */
void tri_session_forget(tri_session *session) {
    do {
        session->link = session->ops->random(session->arg);
    } while (session->link == 0);
    session->peer = (struct tri_session_peer){0};
    session->send_next = 1;
    session->recv_next = 1;
    session->acked = 0;
    session->ack_sent = 0;
    session->ack_at = TR_FOREVER;
    session->is_suspect = false;
}

/* Pause until the next HELLO: doubles up to 5 s, plus or minus a half, so that a cluster that was
 * restarted doesn't dial in step. */
tr_time tri_session_pause(tri_session *session) {
    unsigned doublings = session->attempt < 6 ? session->attempt : 6;
    tr_time pause = HELLO_FIRST << doublings < HELLO_MAX ? HELLO_FIRST << doublings : HELLO_MAX;
    tr_time jitter = (tr_time)(session->ops->random(session->arg) % (uint64_t)pause);
    return pause / 2 + jitter;
}

static void say_hello(tri_session *session, tr_time now) {
    tri_session_send_hello(session, now, TRI_FRAME_HELLO);
    session->hello_at = now + tri_session_pause(session);
    session->attempt++;
}

void tri_session_go_up(tri_session *session, tr_time now) {
    tri_session_enter(session, now, TRI_SESSION_UP);
    session->attempt = 0;
    tri_session_check(session);
    session->ops->up(session->arg);
}

/* The peer's incarnation is over. Then dial again with ever longer pauses, or wait to be dialled. */
void tri_session_go_down(tri_session *session, tr_time now, int reason) {
    bool was_up = session->state == TRI_SESSION_UP || session->state == TRI_SESSION_LEAVING;
    bool was_leaving = session->state == TRI_SESSION_LEAVING;
    if (was_up && session->peer.incarnation > session->dead_incarnation) {
        session->dead_incarnation = session->peer.incarnation;
        session->ops->down(session->arg, reason);
    }
    tri_session_forget(session);
    session->attempt = 1;
    tri_session_enter(session, now,
                      session->redials && !was_leaving ? TRI_SESSION_OPENING : TRI_SESSION_IDLE);
    session->hello_at = now + tri_session_pause(session);
    if (was_leaving) {
        session->ops->left(session->arg);
    }
}

/* We can't go on with this association: tell the peer, and end it. */
static void break_link(tri_session *session, tr_time now) {
    tri_session_send_refusal(session, session->peer.link, TRI_REFUSE_BROKEN);
    tri_session_go_down(session, now, TR_EPROTOCOL);
}

/* The earliest time at which tick would do something. */
static tr_time next_due(const tri_session *session) {
    if (session->state == TRI_SESSION_OPENING || session->state == TRI_SESSION_HALF) {
        return session->hello_at;
    }
    if (session->state == TRI_SESSION_LEAVING) {
        return session->entered_at + LEAVE_MAX;
    }
    if (session->state == TRI_SESSION_IDLE) {
        return TR_FOREVER;
    }
    tr_time due = session->sent_at + wanted_beat(session);
    due = session->ack_at < due ? session->ack_at : due;
    tr_time silence = session->heard_at +
                      (session->is_suspect ? session->self->down_after : session->self->heartbeat);
    return silence < due ? silence : due;
}

/* At the end of each input. */
static void settle(tri_session *session) {
    tri_session_check(session);
    session->due_at = next_due(session);
}

/* ---- frames of an association ------------------------------------------------------------------ */

/* Whether a frame comes next. False: the link is broken, and everything has been done. */
static bool check_seq(tri_session *session, tr_time now, const struct tri_frame *frame) {
    uint64_t expected = frame->type == TRI_FRAME_DATA ? session->recv_next : session->recv_next - 1;
    if (frame->seq == expected && frame->ack < session->send_next) {
        return true;
    }
    /* With a retransmission buffer: below it, a repetition, to be dropped; above it, a gap, to be
     * answered with the number that is missing. */
    break_link(session, now);
    return false;
}

static void take_ack(tri_session *session, const struct tri_frame *frame) {
    if (frame->ack > session->acked) {
        session->acked = frame->ack;
        session->ops->acked(session->arg, frame->ack);
    }
}

static void on_data(tri_session *session, tr_time now, const struct tri_frame *frame) {
    session->recv_next++;
    if (session->ack_at == TR_FOREVER) {
        session->ack_at = now + ACK_DELAY;
    }
    if (session->ops->data(session->arg, frame) < 0) {
        break_link(session, now);
        return;
    }
    if (session->recv_next - 1 - session->ack_sent >= ACK_EVERY) {
        tri_session_send(session, now, TRI_FRAME_PING, session->peer.link, NULL);
    }
}

static void on_bye(tri_session *session, tr_time now, const struct tri_frame *frame) {
    /* To one who has said BYE itself, the peer's is the answer. */
    if (session->state == TRI_SESSION_UP && (frame->flags & TRI_FRAME_ANSWER) == 0) {
        tri_session_send(session, now, TRI_FRAME_BYE, session->peer.link, NULL);
    }
    tri_session_go_down(session, now, 0);
}

/* PING, DATA, BYE. */
static void on_linked(tri_session *session, tr_time now, const struct tri_frame *frame) {
    if (session->state < TRI_SESSION_HALF || frame->to_link != session->link ||
        frame->from_link != session->peer.link) {
        session->dropped++;
        /* The sender believes in an association that is over: one word is enough for a while. */
        if (now >= session->verdict_at) {
            session->verdict_at = now + HELLO_FIRST;
            tri_session_send_refusal(session, frame->from_link, TRI_REFUSE_LINK);
        }
        return;
    }
    if (session->state == TRI_SESSION_HALF) {
        tri_session_go_up(session, now);
    }
    session->heard_at = now;
    if (session->is_suspect) {
        session->is_suspect = false;
        session->ops->suspect(session->arg, true);
    }
    if (!check_seq(session, now, frame)) {
        return;
    }
    take_ack(session, frame);
    if (frame->type == TRI_FRAME_DATA) {
        on_data(session, now, frame);
    } else if (frame->type == TRI_FRAME_BYE) {
        on_bye(session, now, frame);
    }
}

void tri_session_receive(tri_session *session, tr_time now, const void *bytes, size_t size) {
    struct tri_frame frame;
    if (tri_frame_decode(bytes, size, &frame) < 0) {
        /* Not to be blamed on the peer: anybody can connect. A batch that was damaged on the way
         * is missed as a gap. */
        session->dropped++;
        return;
    }
    switch (frame.type) {
    case TRI_FRAME_HELLO: tri_session_on_hello(session, now, &frame); break;
    case TRI_FRAME_WELCOME: tri_session_on_welcome(session, now, &frame); break;
    case TRI_FRAME_REFUSE: tri_session_on_refuse(session, now, &frame); break;
    default: on_linked(session, now, &frame); break;
    }
    settle(session);
}

/* ---- from the driver -------------------------------------------------------------------------- */

void tri_session_init(tri_session *session, const struct tri_session_self *self,
                      const struct tri_session_ops *ops, void *arg, const char *name) {
    *session = (tri_session){
        .self = self, .ops = ops, .arg = arg, .node = tri_node_id(name, strlen(name))};
    memcpy(session->name, name, strlen(name) + 1);
    tri_session_forget(session);
}

void tri_session_open(tri_session *session, tr_time now) {
    session->redials = true;
    if (session->state == TRI_SESSION_IDLE) {
        session->attempt = 0;
        tri_session_enter(session, now, TRI_SESSION_OPENING);
        session->ops->redial(session->arg);
        say_hello(session, now);
    }
    settle(session);
}

void tri_session_connected(tri_session *session, tr_time now) {
    if (session->state == TRI_SESSION_OPENING) {
        say_hello(session, now);
    } else if (session->state == TRI_SESSION_HALF) {
        tri_session_send_hello(session, now, TRI_FRAME_WELCOME);
    }
    settle(session);
}

void tri_session_number(tri_session *session, tr_time now, struct tri_frame *frame) {
    TRI_ASSERT(session->state == TRI_SESSION_UP);
    frame->type = TRI_FRAME_DATA;
    frame->flags = 0;
    frame->from_link = session->link;
    frame->to_link = session->peer.link;
    frame->seq = session->send_next++;
    frame->ack = session->recv_next - 1;
    session->sent_at = now;
    session->ack_sent = session->recv_next - 1;
    session->ack_at = TR_FOREVER;
    settle(session);
}

void tri_session_leave(tri_session *session, tr_time now) {
    session->redials = false;
    if (session->state == TRI_SESSION_UP) {
        tri_session_enter(session, now, TRI_SESSION_LEAVING);
        tri_session_send(session, now, TRI_FRAME_BYE, session->peer.link, NULL);
    } else if (session->state != TRI_SESSION_LEAVING) {
        tri_session_forget(session);
        tri_session_enter(session, now, TRI_SESSION_IDLE);
        session->ops->left(session->arg);
    }
    settle(session);
}

void tri_session_fail(tri_session *session, tr_time now, int reason) {
    if (session->state >= TRI_SESSION_UP) {
        tri_session_send_refusal(session, session->peer.link, TRI_REFUSE_BROKEN);
        tri_session_go_down(session, now, reason);
    }
    settle(session);
}

/* ---- time --------------------------------------------------------------------------------------- */

static void tick_opening(tri_session *session, tr_time now) {
    if (session->state == TRI_SESSION_HALF &&
        now - session->entered_at >= session->self->down_after) {
        /* It never heard us; forget what it said. */
        tri_session_forget(session);
        tri_session_enter(session, now, session->redials ? TRI_SESSION_OPENING : TRI_SESSION_IDLE);
    }
    if (session->state != TRI_SESSION_IDLE && now >= session->hello_at) {
        session->ops->redial(session->arg);
        say_hello(session, now);
    }
}

static void tick_up(tri_session *session, tr_time now) {
    tr_time silence = now - session->heard_at;
    if (silence >= session->self->down_after) {
        tri_session_go_down(session, now, TR_ENODEDOWN);
        return;
    }
    if (silence >= session->self->heartbeat && !session->is_suspect) {
        session->is_suspect = true;
        session->ops->suspect(session->arg, false);
    }
    if (now - session->sent_at >= wanted_beat(session) || now >= session->ack_at) {
        tri_session_send(session, now, TRI_FRAME_PING, session->peer.link, NULL);
    }
}

tr_time tri_session_tick(tri_session *session, tr_time now) {
    tr_time late = now - session->tick_due;
    if (session->state == TRI_SESSION_UP && late > tri_session_beat(session->self)) {
        session->heard_at += late; /* we slept */
        session->heard_at = session->heard_at < now ? session->heard_at : now;
    }
    switch (session->state) {
    case TRI_SESSION_OPENING:
    case TRI_SESSION_HALF: tick_opening(session, now); break;
    case TRI_SESSION_UP: tick_up(session, now); break;
    case TRI_SESSION_LEAVING:
        if (now - session->entered_at >= LEAVE_MAX) {
            tri_session_go_down(session, now, TR_ENODEDOWN);
        }
        break;
    default: break;
    }
    settle(session);
    session->tick_due = session->due_at;
    return session->due_at;
}
