/* SPDX-License-Identifier: Apache-2.0 */
/* Two sessions feed each other; the test is the network and the clock. */
#include "t.h"

#include "session_internal.h"

#include <troupe/core/error.h>

enum { WIRE = 64 };

struct side {
    tri_session session;
    struct tri_session_self self;
    struct side *other;
    tri_buffer wire[WIRE]; /* on the way to the other side */
    unsigned sent, delivered;
    uint64_t random;
    unsigned ups, downs, redials, suspects, resumes, refused_by_us, refused_by_peer, left, batches;
    unsigned downs_at_up; /* downs when it last came up */
    int reason, code;
    uint64_t acked;
    bool rejects_data;
};

static void on_send(void *arg, const void *bytes, size_t size) {
    struct side *side = arg;
    T_REQUIRE(side->sent - side->delivered < WIRE);
    tri_buffer *slot = &side->wire[side->sent++ % WIRE];
    *slot = (tri_buffer){0};
    T_REQUIRE(tri_buffer_reserve(slot, size) == 0);
    tri_buffer_put(slot, bytes, size);
}

static uint64_t on_random(void *arg) {
    struct side *side = arg;
    return side->random += UINT64_C(0x9e3779b97f4a7c15);
}

static void on_redial(void *arg) {
    ((struct side *)arg)->redials++;
}

static void on_up(void *arg) {
    struct side *side = arg;
    side->ups++;
    side->downs_at_up = side->downs;
}

static void on_suspect(void *arg, bool again) {
    struct side *side = arg;
    again ? side->resumes++ : side->suspects++;
}

static void on_down(void *arg, int reason) {
    struct side *side = arg;
    side->downs++;
    side->reason = reason;
}

static int on_data(void *arg, const struct tri_frame *frame) {
    struct side *side = arg;
    side->batches++;
    T_CHECK(frame->count > 0);
    return side->rejects_data ? TR_EPROTOCOL : 0;
}

static void on_acked(void *arg, uint64_t seq) {
    ((struct side *)arg)->acked = seq;
}

static void on_refused(void *arg, bool by_us, int code, struct tri_text text) {
    struct side *side = arg;
    by_us ? side->refused_by_us++ : side->refused_by_peer++;
    side->code = code;
    T_CHECK(text.size > 0);
}

static void on_left(void *arg) {
    ((struct side *)arg)->left++;
}

static const struct tri_session_ops ops = {.send = on_send,
                                           .random = on_random,
                                           .redial = on_redial,
                                           .up = on_up,
                                           .suspect = on_suspect,
                                           .down = on_down,
                                           .data = on_data,
                                           .acked = on_acked,
                                           .refused = on_refused,
                                           .left = on_left};

static tr_time now;

static void lose(struct side *side) {
    while (side->delivered < side->sent) {
        tri_buffer_free(&side->wire[side->delivered++ % WIRE]);
    }
}

/* One frame to the other side. */
static void deliver_one(struct side *side) {
    tri_buffer frame = side->wire[side->delivered++ % WIRE];
    tri_session_receive(&side->other->session, now, frame.data, frame.size);
    tri_buffer_free(&frame);
}

static void settle_wires(struct side *a) {
    while (a->delivered < a->sent || a->other->delivered < a->other->sent) {
        if (a->delivered < a->sent) {
            deliver_one(a);
        }
        if (a->other->delivered < a->other->sent) {
            deliver_one(a->other);
        }
    }
}

static void make_side(struct side *side, const char *name, const char *peer, uint64_t incarnation) {
    lose(side);
    struct side *other = side->other;
    *side = (struct side){.other = other,
                          .random = incarnation * 77 + (uint64_t)name[0],
                          .self = {.cluster = "troupe",
                                   .name = name,
                                   .address = "tcp://127.0.0.1:700",
                                   .incarnation = incarnation,
                                   .agent = {0, 1, 1},
                                   .max_frame = 1 << 20,
                                   .heartbeat = 2 * TR_SECOND,
                                   .down_after = 30 * TR_SECOND}};
    struct tri_session named;
    tri_session_init(&named, &side->self, &ops, side, name);
    side->self.node = named.node;
    tri_session_init(&side->session, &side->self, &ops, side, peer);
}

static struct side *pair(void) {
    static struct side sides[2];
    memset(sides, 0, sizeof sides);
    sides[0].other = &sides[1];
    sides[1].other = &sides[0];
    now = 1000 * TR_SECOND;
    make_side(&sides[0], "a", "b", 100);
    make_side(&sides[1], "b", "a", 200);
    return sides;
}

/* Both up, wires empty. */
static struct side *linked_pair(void) {
    struct side *a = pair();
    tri_session_open(&a->session, now);
    tri_session_open(&a->other->session, now);
    settle_wires(a);
    T_REQUIRE(a->session.state == TRI_SESSION_UP);
    T_REQUIRE(a->other->session.state == TRI_SESSION_UP);
    return a;
}

/* A batch of one record; damage: added to its number. */
static void send_data(struct side *side, uint64_t damage) {
    tri_buffer body = {0};
    tri_buffer buffer = {0};
    size_t start;
    struct tri_record record = {.kind = TRI_RECORD_STOP, .to = {0, 1, 1}};
    T_REQUIRE(tri_record_begin(&body, &record, &start) == 0);
    tri_record_end(&body, start);
    struct tri_frame frame = {.count = 1, .body = body.data, .body_size = body.size};
    tri_session_number(&side->session, now, &frame);
    frame.seq += damage;
    T_REQUIRE(tri_frame_encode(&buffer, &frame) == 0);
    on_send(side, buffer.data, buffer.size);
    tri_buffer_free(&buffer);
    tri_buffer_free(&body);
}

/* Time passes in steps of what the sessions ask for; `with` delivers frames. */
static void pass(struct side *a, tr_time time, bool with_a, bool with_b) {
    tr_time end = now + time;
    struct side *b = a->other;
    while (now < end) {
        tr_time due = a->session.due_at < b->session.due_at ? a->session.due_at : b->session.due_at;
        now = due > now && due < end ? due : end;
        tri_session_tick(&a->session, now);
        tri_session_tick(&b->session, now);
        with_a ? (void)0 : lose(a);
        with_b ? (void)0 : lose(b);
        settle_wires(a);
    }
}

/* ---- linking ------------------------------------------------------------------------------ */

T_TEST(session, both_begin_at_once) {
    struct side *a = linked_pair();
    T_CHECK_INT(a->ups, 1);
    T_CHECK_INT(a->other->ups, 1);
    T_CHECK_INT(a->session.peer.incarnation, 200);
    T_CHECK_INT(a->session.peer.agent.slot, 1);
    T_CHECK(a->session.peer.link == a->other->session.link);
}

T_TEST(session, one_side_begins) {
    struct side *a = pair();
    struct side *b = a->other;
    tri_session_open(&a->session, now);
    T_CHECK_INT(a->session.state, TRI_SESSION_OPENING);
    deliver_one(a);
    T_CHECK_INT(b->session.state, TRI_SESSION_HALF);
    T_CHECK_INT(b->redials, 1); /* it must dial back */
    deliver_one(b);
    T_CHECK_INT(a->session.state, TRI_SESSION_UP);
    T_CHECK_INT(b->ups, 0); /* it can't know yet whether its WELCOME arrived */
    settle_wires(a);
    T_CHECK_INT(b->session.state, TRI_SESSION_UP);
}

T_TEST(session, lost_frames_of_the_handshake_are_sent_again) {
    for (unsigned lost = 1; lost <= 3; lost++) {
        struct side *a = pair();
        tri_session_open(&a->session, now);
        for (unsigned i = 0; i < lost; i++) { /* HELLO, then WELCOME, then PING */
            struct side *from = i % 2 == 0 ? a : a->other;
            T_REQUIRE(from->sent > from->delivered);
            i + 1 == lost ? lose(from) : deliver_one(from);
        }
        pass(a, 20 * TR_SECOND, true, true);
        T_CHECK_INT(a->session.state, TRI_SESSION_UP);
        T_CHECK_INT(a->other->session.state, TRI_SESSION_UP);
        T_CHECK_INT(a->ups, 1);
        T_CHECK_INT(a->other->ups, 1);
        T_CHECK_INT(a->downs, 0);
        lose(a);
        lose(a->other);
    }
}

T_TEST(session, data_stands_for_a_lost_first_ping) {
    struct side *a = pair();
    tri_session_open(&a->session, now);
    deliver_one(a);
    deliver_one(a->other);
    lose(a);
    send_data(a, 0);
    settle_wires(a);
    T_CHECK_INT(a->other->ups, 1);
    T_CHECK_INT(a->other->batches, 1);
}

T_TEST(session, pauses_between_hellos_grow_and_vary) {
    struct side *a = pair();
    tr_time last = now;
    tr_time longest = 0;
    tri_session_open(&a->session, now);
    for (int i = 0; i < 20; i++) {
        lose(a);
        now = a->session.due_at;
        tr_time pause = now - last;
        T_CHECK(pause >= 50 * TR_MS && pause <= 7500 * TR_MS);
        longest = pause > longest ? pause : longest;
        last = now;
        tri_session_tick(&a->session, now);
        T_CHECK_INT(a->sent - a->delivered, 1);
        T_CHECK_INT(a->redials, i + 2);
    }
    T_CHECK(longest > 2500 * TR_MS);
    lose(a);
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static void check_refused(struct side *a, int code) {
    tri_session_open(&a->session, now);
    settle_wires(a);
    T_CHECK_INT(a->refused_by_peer, 1);
    T_CHECK_INT(a->other->refused_by_us, 1);
    T_CHECK_INT(a->code, code);
    T_CHECK_INT(a->other->code, code);
    T_CHECK_INT(a->ups + a->other->ups, 0);
    T_CHECK(a->session.due_at - now >= 2500 * TR_MS); /* no hurry to be refused again */
}

T_TEST(session, another_cluster_is_refused) {
    struct side *a = pair();
    a->self.cluster = "circus";
    check_refused(a, TRI_REFUSE_CLUSTER);
}

T_TEST(session, a_wrong_name_is_refused) {
    struct side *a = pair();
    a->self.name = "c";
    check_refused(a, TRI_REFUSE_NAME);
}

T_TEST(session, an_address_off_the_machine_is_refused) {
    struct side *a = pair();
    a->self.address = "tcp://10.1.2.3:700";
    check_refused(a, TRI_REFUSE_ADDRESS);
}

T_TEST(session, versions_without_overlap_are_refused) {
    struct side *a = pair();
    tri_session_open(&a->session, now);
    tri_buffer *frame = &a->wire[0];
    tri_store_le(frame->data + TRI_FRAME_HEADER, TRI_PROTO_MAX + 1, 2);
    tri_store_le(frame->data + TRI_FRAME_HEADER + 2, TRI_PROTO_MAX + 5, 2);
    settle_wires(a);
    T_CHECK_INT(a->code, TRI_REFUSE_VERSION);
    T_CHECK_INT(a->refused_by_peer, 1);
}

T_TEST(session, a_newer_version_that_still_speaks_ours_is_welcome) {
    struct side *a = pair();
    tri_session_open(&a->session, now);
    tri_store_le(a->wire[0].data + TRI_FRAME_HEADER + 2, TRI_PROTO_MAX + 5, 2);
    settle_wires(a);
    T_CHECK_INT(a->session.state, TRI_SESSION_UP);
}

/* ---- incarnations --------------------------------------------------------------------------------- */

T_TEST(session, a_restarted_peer_is_first_down_then_up) {
    struct side *a = linked_pair();
    struct side *b = a->other;
    make_side(b, "b", "a", 300);
    tri_session_open(&b->session, now);
    settle_wires(a);
    T_CHECK_INT(a->downs, 1);
    T_CHECK_INT(a->reason, TR_ENODEDOWN);
    T_CHECK_INT(a->ups, 2);
    T_CHECK_INT(a->downs_at_up, 1);
    T_CHECK_INT(a->session.peer.incarnation, 300);
    T_CHECK_INT(b->session.state, TRI_SESSION_UP);
}

T_TEST(session, a_restarted_peer_tells_that_it_knows_nothing) {
    struct side *a = linked_pair();
    make_side(a->other, "b", "a", 300); /* doesn't dial */
    send_data(a, 0);
    settle_wires(a);
    T_CHECK_INT(a->downs, 1);
    T_CHECK_INT(a->reason, TR_EREFUSED);
    pass(a, 20 * TR_SECOND, true, true);
    T_CHECK_INT(a->session.state, TRI_SESSION_UP);
    T_CHECK_INT(a->session.peer.incarnation, 300);
    T_CHECK_INT(a->downs, 1);
}

T_TEST(session, an_older_incarnation_is_refused) {
    struct side *a = linked_pair();
    make_side(a->other, "b", "a", 150);
    tri_session_open(&a->other->session, now);
    settle_wires(a);
    T_CHECK_INT(a->other->code, TRI_REFUSE_STALE);
    T_CHECK_INT(a->downs, 0); /* somebody else's doing */
    T_CHECK_INT(a->session.state, TRI_SESSION_UP);
}

T_TEST(session, once_down_never_revived) {
    struct side *a = linked_pair();
    struct side *b = a->other;
    pass(a, 31 * TR_SECOND, true, false); /* a hears nothing */
    T_CHECK_INT(a->downs, 1);
    T_CHECK_INT(a->reason, TR_ENODEDOWN);
    T_CHECK_INT(b->downs, 1); /* and b learns it */
    pass(a, 60 * TR_SECOND, true, true);
    T_CHECK_INT(a->ups, 1);
    T_CHECK_INT(b->ups, 1);
    T_CHECK_INT(b->code, TRI_REFUSE_DOWN);
    make_side(b, "b", "a", 201);
    tri_session_open(&b->session, now);
    pass(a, TR_SECOND, true, true);
    T_CHECK_INT(a->ups, 2);
    T_CHECK_INT(a->downs, 1);
}

T_TEST(session, a_new_association_of_a_linked_incarnation_is_refused) {
    struct side *a = linked_pair();
    make_side(a->other, "b", "a", 200);
    a->other->random = 12345;
    tri_session_init(&a->other->session, &a->other->self, &ops, a->other, "a");
    tri_session_open(&a->other->session, now);
    settle_wires(a);
    T_CHECK_INT(a->downs, 1);
    T_CHECK_INT(a->reason, TR_EREFUSED); /* it must have declared us down */
    T_CHECK_INT(a->other->ups, 0);
}

/* ---- heartbeats ----------------------------------------------------------------------------------- */

T_TEST(session, an_idle_link_stays_up) {
    struct side *a = linked_pair();
    unsigned before = a->sent;
    pass(a, 60 * TR_SECOND, true, true);
    T_CHECK_INT(a->ups, 1);
    T_CHECK_INT(a->downs + a->suspects, 0);
    T_CHECK(a->sent - before >= 110 && a->sent - before <= 130); /* every T/4 */
}

T_TEST(session, a_silent_peer_is_suspect_then_down) {
    struct side *a = linked_pair();
    pass(a, 1900 * TR_MS, false, false);
    T_CHECK_INT(a->suspects, 0);
    pass(a, 200 * TR_MS, false, false);
    T_CHECK_INT(a->suspects, 1);
    pass(a, 27800 * TR_MS, false, false);
    T_CHECK_INT(a->downs, 0);
    pass(a, 200 * TR_MS, false, false);
    T_CHECK_INT(a->downs, 1);
    T_CHECK_INT(a->suspects, 1);
    T_CHECK_INT(a->reason, TR_ENODEDOWN);
}

T_TEST(session, a_suspect_that_is_heard_is_fine_again) {
    struct side *a = linked_pair();
    pass(a, 5 * TR_SECOND, false, false);
    T_CHECK_INT(a->suspects, 1);
    pass(a, 5 * TR_SECOND, true, true);
    T_CHECK_INT(a->resumes, 1);
    T_CHECK_INT(a->downs, 0);
    T_CHECK_INT(a->session.state, TRI_SESSION_UP);
}

T_TEST(session, who_was_stopped_does_not_blame_the_others) {
    struct side *a = linked_pair();
    pass(a, TR_SECOND, true, true);
    now += 300 * TR_SECOND; /* neither ran: no tick, no frame */
    tri_session_tick(&a->session, now);
    T_CHECK_INT(a->downs, 0);
    lose(a);
}

T_TEST(session, beats_follow_the_shorter_wish) {
    struct side *a = pair();
    a->self.heartbeat = 200 * TR_MS;
    a->self.down_after = TR_SECOND;
    tri_session_open(&a->session, now);
    settle_wires(a);
    pass(a, 60 * TR_SECOND, true, true);
    T_CHECK_INT(a->suspects + a->downs, 0);
    T_CHECK_INT(a->other->ups, 1);
}

/* ---- sequence ------------------------------------------------------------------------------------- */

T_TEST(session, batches_are_acknowledged) {
    struct side *a = linked_pair();
    for (int i = 0; i < 10; i++) {
        send_data(a, 0);
    }
    settle_wires(a);
    T_CHECK_INT(a->other->batches, 10);
    T_CHECK_INT(a->acked, 0); /* one acknowledgement for many */
    pass(a, 25 * TR_MS, true, true);
    T_CHECK_INT(a->acked, 10);
    for (int i = 0; i < 32; i++) {
        send_data(a, 0);
    }
    settle_wires(a);
    T_CHECK_INT(a->acked, 42); /* without waiting */
    send_data(a, 0);
    settle_wires(a);
    send_data(a->other, 0); /* data carries it too */
    settle_wires(a);
    T_CHECK_INT(a->acked, 43);
}

static void check_broken(struct side *a) {
    settle_wires(a);
    T_CHECK_INT(a->downs, 1);
    T_CHECK_INT(a->other->downs, 1);
    T_CHECK_INT(a->reason, TR_EPROTOCOL);
    T_CHECK_INT(a->other->reason, TR_EPROTOCOL);
}

T_TEST(session, a_gap_breaks_the_link) {
    struct side *a = linked_pair();
    send_data(a, 0);
    lose(a);
    send_data(a, 0);
    check_broken(a);
    T_CHECK_INT(a->other->batches, 0);
}

T_TEST(session, a_repetition_breaks_the_link) {
    struct side *a = linked_pair();
    send_data(a, 0);
    send_data(a, UINT64_MAX);
    check_broken(a);
    T_CHECK_INT(a->other->batches, 1);
}

T_TEST(session, a_lost_last_batch_is_noticed_by_the_next_beat) {
    struct side *a = linked_pair();
    send_data(a, 0);
    lose(a);
    pass(a, TR_SECOND, true, true);
    check_broken(a);
}

T_TEST(session, an_acknowledgement_of_the_future_breaks_the_link) {
    struct side *a = linked_pair();
    send_data(a, 0);
    tri_frame_set_ack(a->wire[a->delivered % WIRE].data, 1);
    check_broken(a);
}

T_TEST(session, records_without_sense_break_the_link) {
    struct side *a = linked_pair();
    a->other->rejects_data = true;
    send_data(a, 0);
    check_broken(a);
}

T_TEST(session, the_driver_can_break_the_link) {
    struct side *a = linked_pair();
    tri_session_fail(&a->session, now, TR_EPROTOCOL);
    check_broken(a);
}

/* ---- leaving -------------------------------------------------------------------------------------- */

T_TEST(session, bye_is_an_orderly_end) {
    struct side *a = linked_pair();
    send_data(a, 0);
    tri_session_leave(&a->session, now);
    T_CHECK_INT(a->session.state, TRI_SESSION_LEAVING);
    settle_wires(a);
    T_CHECK_INT(a->left, 1);
    T_CHECK_INT(a->session.state, TRI_SESSION_IDLE);
    T_CHECK_INT(a->other->downs, 1);
    T_CHECK_INT(a->other->reason, 0);
    T_CHECK_INT(a->other->batches, 1); /* first what was sent before */
    T_CHECK_INT(a->other->left, 0);
    lose(a->other);
}

T_TEST(session, both_leave_at_once) {
    struct side *a = linked_pair();
    tri_session_leave(&a->session, now);
    tri_session_leave(&a->other->session, now);
    settle_wires(a);
    T_CHECK_INT(a->left, 1);
    T_CHECK_INT(a->other->left, 1);
    T_CHECK_INT(a->session.state, TRI_SESSION_IDLE);
    T_CHECK_INT(a->other->session.state, TRI_SESSION_IDLE);
}

T_TEST(session, leaving_does_not_wait_for_ever) {
    struct side *a = linked_pair();
    tri_session_leave(&a->session, now);
    lose(a);
    pass(a, 2100 * TR_MS, false, false);
    T_CHECK_INT(a->left, 1);
}

T_TEST(session, leaving_without_a_link_is_at_once) {
    struct side *a = pair();
    tri_session_open(&a->session, now);
    tri_session_leave(&a->session, now);
    T_CHECK_INT(a->left, 1);
    T_CHECK_INT(a->downs, 0);
    lose(a);
}

/* ---- garbage --------------------------------------------------------------------------------------- */

/* Valid frames with numbers of nobody, and bytes that are no frame. */
static void feed_garbage(struct side *a) {
    static const uint8_t noise[200] = {'T', 'R', 'P', '1', 1, 6};
    tri_buffer buffer = {0};
    for (size_t size = 0; size <= sizeof noise; size += 40) {
        tri_session_receive(&a->session, now, noise, size);
    }
    for (uint8_t type = TRI_FRAME_PING; type <= TRI_FRAME_BYE; type++) {
        for (int which = 0; which < 4; which++) {
            struct tri_frame frame = {.type = type,
                                      .from_link = which & 1 ? 4711 : a->session.peer.link + 1,
                                      .to_link = which & 2 ? 4711 : a->session.link,
                                      .seq = 99,
                                      .ack = 99};
            buffer.size = 0;
            T_REQUIRE(tri_frame_encode(&buffer, &frame) == 0);
            tri_session_receive(&a->session, now, buffer.data, buffer.size);
        }
    }
    buffer.size = 0;
    T_REQUIRE(tri_session_refuse(&buffer, 4711, TRI_REFUSE_DOWN) == 0);
    tri_session_receive(&a->session, now, buffer.data, buffer.size);
    tri_buffer_free(&buffer);
}

T_TEST(session, garbage_changes_no_state) {
    struct side *a = pair();
    feed_garbage(a);
    T_CHECK_INT(a->session.state, TRI_SESSION_IDLE);
    tri_session_open(&a->session, now);
    feed_garbage(a);
    T_CHECK_INT(a->session.state, TRI_SESSION_OPENING);
    lose(a);
    a = pair();
    tri_session_open(&a->other->session, now);
    deliver_one(a->other);
    feed_garbage(a);
    T_CHECK_INT(a->session.state, TRI_SESSION_HALF);
    lose(a);
    lose(a->other);
    a = linked_pair();
    feed_garbage(a);
    T_CHECK_INT(a->session.state, TRI_SESSION_UP);
    settle_wires(a);
    tri_session_leave(&a->session, now);
    feed_garbage(a);
    T_CHECK_INT(a->session.state, TRI_SESSION_LEAVING);
    T_CHECK(a->session.dropped > 0);
    T_CHECK_INT(a->downs, 0);
    lose(a);
}

T_TEST(session, frames_of_an_old_association_are_answered_once) {
    struct side *a = linked_pair();
    unsigned before = a->sent;
    for (int i = 0; i < 5; i++) {
        feed_garbage(a);
    }
    T_CHECK_INT(a->sent - before, 1);
    lose(a);
}
