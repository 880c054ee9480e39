/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake.c: HELLO, WELCOME and REFUSE: the frames by which an association begins, or doesn't.
 *
 * session.c explains the three steps. Whoever is refused is told why, and tries again at leisure: the
 * reason may go away, for instance when the other node is started again.
 */
#include "session_internal.h"

#include "address_internal.h"

#include <troupe/core/error.h>

/* ---- texts ------------------------------------------------------------------------- */

const char *tri_refuse_text(int code) {
    static const char *const texts[] = {
        [TRI_REFUSE_VERSION] = "no common protocol version",
        [TRI_REFUSE_CLUSTER] = "it belongs to another cluster",
        [TRI_REFUSE_NAME] = "its name, or the id made of it, is another node's",
        [TRI_REFUSE_STALE] = "a newer node has that name",
        [TRI_REFUSE_DOWN] = "it was declared down; it must start again",
        [TRI_REFUSE_LINK] = "the link isn't known any more",
        [TRI_REFUSE_BROKEN] = "messages were lost, repeated or damaged on the way",
        [TRI_REFUSE_ADDRESS] = "the address to answer to isn't allowed",
        [TRI_REFUSE_UNLISTED] = "only listed nodes may link",
        [TRI_REFUSE_LEAVING] = "the node is shutting down",
    };
    bool known = code > 0 && (size_t)code < sizeof texts / sizeof texts[0];
    return known ? texts[code] : "for a reason that isn't known here";
}

/* ---- sending ------------------------------------------------------------------------- */

static struct tri_text text_of(const char *text) {
    return (struct tri_text){text, strlen(text)};
}

void tri_session_send_hello(tri_session *session, tr_time now, int type) {
    const struct tri_session_self *self = session->self;
    bool is_welcome = type == TRI_FRAME_WELCOME;
    struct tri_hello hello = {.proto_min = TRI_PROTO_MIN,
                              .proto_max = TRI_PROTO_MAX,
                              .node = self->node,
                              .incarnation = self->incarnation,
                              .peer_incarnation = is_welcome ? session->peer.incarnation : 0,
                              .max_frame = self->max_frame,
                              .beat_ms = (uint32_t)(tri_session_beat(self) / TR_MS),
                              .lanes = 1,
                              .agent = self->agent,
                              .cluster = text_of(self->cluster),
                              .name = text_of(self->name),
                              .address = text_of(self->address)};
    tri_buffer body = {0};
    if (tri_hello_encode(&body, &hello) == 0) {
        tri_session_send(session, now, type, is_welcome ? session->peer.link : 0, &body);
    }
    tri_buffer_free(&body);
}

int tri_session_refuse(tri_buffer *buffer, uint64_t to_link, int code) {
    tri_buffer body = {0};
    struct tri_refusal refusal = {(uint16_t)code, text_of(tri_refuse_text(code))};
    int err = tri_refusal_encode(&body, &refusal);
    if (err == 0) {
        struct tri_frame frame = {.type = TRI_FRAME_REFUSE,
                                  .to_link = to_link,
                                  .body = body.data,
                                  .body_size = body.size};
        err = tri_frame_encode(buffer, &frame);
    }
    tri_buffer_free(&body);
    return err;
}

void tri_session_send_refusal(tri_session *session, uint64_t to_link, int code) {
    tri_buffer buffer = {0};
    if (tri_session_refuse(&buffer, to_link, code) == 0) {
        session->ops->send(session->arg, buffer.data, buffer.size);
    }
    tri_buffer_free(&buffer);
}

/* ---- receiving --------------------------------------------------------------------------------- */

static bool text_is(struct tri_text text, const char *other) {
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

/* 0, or why this HELLO or WELCOME isn't acceptable: an enum tri_refuse. */
static int judge(const tri_session *session, const struct tri_hello *hello) {
    if (hello->proto_min > TRI_PROTO_MAX || hello->proto_max < TRI_PROTO_MIN) {
        return TRI_REFUSE_VERSION;
    }
    if (!text_is(hello->cluster, session->self->cluster)) {
        return TRI_REFUSE_CLUSTER;
    }
    if (!text_is(hello->name, session->name) || hello->node != session->node ||
        session->node == session->self->node) {
        return TRI_REFUSE_NAME;
    }
    if (tri_address_problem(hello->address.data, hello->address.size, TRI_ADDRESS_DIAL) != NULL) {
        return TRI_REFUSE_ADDRESS;
    }
    if (hello->incarnation < session->peer.incarnation ||
        hello->incarnation < session->dead_incarnation) {
        return TRI_REFUSE_STALE;
    }
    return hello->incarnation == session->dead_incarnation ? TRI_REFUSE_DOWN : 0;
}

static void store_peer(tri_session *session, const struct tri_frame *frame,
                       const struct tri_hello *hello) {
    struct tri_session_peer *peer = &session->peer;
    *peer = (struct tri_session_peer){.incarnation = hello->incarnation,
                                      .link = frame->from_link,
                                      .max_frame = hello->max_frame,
                                      .beat = hello->beat_ms * TR_MS,
                                      .agent = hello->agent};
    memcpy(peer->address, hello->address.data, hello->address.size);
    peer->address[hello->address.size] = 0;
}

/* A peer that begins anew while we think that we are linked has lost what it had of us. */
void tri_session_on_hello(tri_session *session, tr_time now, const struct tri_frame *frame) {
    struct tri_hello hello;
    int err = tri_hello_decode(frame, &hello);
    TRI_ASSERT(err == 0); /* was decoded before */
    int code = judge(session, &hello);
    if (code == 0 && session->state == TRI_SESSION_LEAVING) {
        code = TRI_REFUSE_LEAVING;
    }
    bool is_new =
        hello.incarnation != session->peer.incarnation || frame->from_link != session->peer.link;
    if (code == 0 && session->state == TRI_SESSION_UP && is_new) {
        bool restarted = hello.incarnation > session->peer.incarnation;
        tri_session_go_down(session, now, restarted ? TR_ENODEDOWN : TR_EREFUSED);
        code = restarted ? 0 : TRI_REFUSE_DOWN;
    }
    if (code != 0) {
        tri_session_send_refusal(session, frame->from_link, code);
        session->ops->refused(session->arg, true, code, text_of(tri_refuse_text(code)));
        return;
    }
    if (is_new) {
        bool was_idle = session->state == TRI_SESSION_IDLE;
        /* Our own number stays: were both sides to change theirs for each HELLO, they could chase
         * each other. Nothing was sent under it yet. */
        store_peer(session, frame, &hello);
        tri_session_enter(session, now, TRI_SESSION_HALF);
        session->ops->redial(session->arg); /* it listens, and perhaps at another address */
        session->hello_at = was_idle ? now + tri_session_pause(session) : session->hello_at;
    }
    tri_session_send_hello(session, now, TRI_FRAME_WELCOME);
    tri_session_check(session);
}

void tri_session_on_welcome(tri_session *session, tr_time now, const struct tri_frame *frame) {
    struct tri_hello hello;
    int err = tri_hello_decode(frame, &hello);
    TRI_ASSERT(err == 0); /* was decoded before */
    bool expected = session->state == TRI_SESSION_OPENING || session->state == TRI_SESSION_HALF;
    if (!expected || frame->to_link != session->link ||
        hello.peer_incarnation != session->self->incarnation) {
        session->dropped++;
        return;
    }
    int code = judge(session, &hello);
    if (code != 0) {
        tri_session_send_refusal(session, frame->from_link, code);
        session->ops->refused(session->arg, true, code, text_of(tri_refuse_text(code)));
        return;
    }
    if (session->state == TRI_SESSION_HALF && frame->from_link != session->peer.link) {
        session->dropped++; /* it has begun anew since, and its HELLO came first */
        return;
    }
    store_peer(session, frame, &hello);
    tri_session_go_up(session, now);
    tri_session_send(session, now, TRI_FRAME_PING, session->peer.link,
                     NULL); /* now the peer is up too */
}

/* Both a verdict on our HELLO and the news that an association is over. */
void tri_session_on_refuse(tri_session *session, tr_time now, const struct tri_frame *frame) {
    struct tri_refusal refusal;
    int err = tri_refusal_decode(frame, &refusal);
    TRI_ASSERT(err == 0); /* was decoded before */
    if (session->state == TRI_SESSION_IDLE || frame->to_link != session->link) {
        session->dropped++;
        return;
    }
    session->ops->refused(session->arg, false, refusal.code, refusal.text);
    if (session->state >= TRI_SESSION_UP) {
        tri_session_go_down(session, now,
                            refusal.code == TRI_REFUSE_BROKEN ? TR_EPROTOCOL : TR_EREFUSED);
    }
    session->attempt = 6; /* try again, but at leisure */
    session->hello_at = now + tri_session_pause(session);
}
