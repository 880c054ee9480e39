/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_out.c: what goes to another node.
 *
 * DESIGN
 *
 * A message is encoded into the open batch as soon as it comes, so that one queue, of frames, keeps the
 * order of everything. The batch is closed at 32 KiB, at the end of a turn that leaves the loop idle, or
 * when it is 100 us old; then it gets its number and goes to `unsent`, from there to libzmq and to
 * `unacked`, and is freed when the peer has acknowledged it.
 *
 * Bytes that are encoded and not acknowledged are bounded by credit: beyond the window an envelope is
 * parked instead of given back, and its sender, after at most TRI_PAIR_CREDIT of them, is told TR_EFULL.
 * Replies and signals carry no credit and are never held back; their number is bounded by requests
 * that were acknowledged before.
 *
 * When the peer is down, the batches are read again: each tell in them is a dead letter. A request
 * stands in `pendings` and fails there.
 *
 * INVARIANTS
 *
 *   batch_count > 0  =>  flush is queued, and the session was up when the batch was begun
 *   unacked holds batches only, in the order of their numbers
 *   acked <= encoded
 */
#include "transport_internal.h"

/* ---- queues ------------------------------------------------------------------------ */

static void queue_init(struct tri_out_queue *queue) {
    queue->head = NULL;
    queue->tail = &queue->head;
}

static void queue_put(struct tri_out_queue *queue, tri_out *out) {
    out->next = NULL;
    *queue->tail = out;
    queue->tail = &out->next;
}

static tri_out *queue_take(struct tri_out_queue *queue) {
    tri_out *out = queue->head;
    queue->head = out->next;
    if (queue->head == NULL) {
        queue->tail = &queue->head;
    }
    return out;
}

static void on_flush(tr_loop *loop, tri_flush *flush);

void tri_link_init_out(tri_link *link) {
    queue_init(&link->unsent);
    queue_init(&link->unacked);
    link->parked_tail = &link->parked;
    link->flush.run = on_flush;
}

/* The next batch takes the buffer, unless it has become unusually large. */
static void out_free(tri_link *link, tri_out *out) {
    if (link->spare.capacity == 0 && out->buffer.capacity <= 4 * TRI_BATCH_BYTES) {
        link->spare = out->buffer;
        link->spare.size = 0;
    } else {
        tri_buffer_free(&out->buffer);
    }
    tri_free(out);
}

/* ---- credit --------------------------------------------------------------------------- */

/* A parked envelope is not an ask's any more: its ask fields say when it may go. */
static void park(tri_link *link, tri_envelope *envelope) {
    envelope->ask_slot = (uint32_t)link->encoded;
    envelope->ask_generation = (uint32_t)(link->encoded >> 32);
    envelope->node.next = NULL;
    *link->parked_tail = &envelope->node;
    link->parked_tail = &envelope->node.next;
}

static void unpark(tri_link *link, uint64_t up_to) {
    while (link->parked != NULL) {
        tri_envelope *envelope = TRI_CONTAINER_OF(link->parked, tri_envelope, node);
        uint64_t position = (uint64_t)envelope->ask_generation << 32 | envelope->ask_slot;
        if (position > up_to) {
            return;
        }
        link->parked = envelope->node.next;
        if (link->parked == NULL) {
            link->parked_tail = &link->parked;
        }
        tri_envelope_free(link->transport->loop, envelope);
    }
}

static void finish_envelope(tri_link *link, tri_envelope *envelope) {
    if (envelope->kind == TRI_MESSAGE && link->encoded - link->acked > TRI_WINDOW_BYTES) {
        park(link, envelope);
    } else {
        tri_envelope_free(link->transport->loop, envelope);
    }
}

void tri_link_acked(tri_link *link, uint64_t seq) {
    while (link->unacked.head != NULL && link->unacked.head->seq <= seq) {
        tri_out *out = queue_take(&link->unacked);
        link->acked = out->position;
        out_free(link, out);
    }
    unpark(link, link->acked + TRI_WINDOW_BYTES);
}

/* ---- sending frames ---------------------------------------------------------------------- */

void tri_link_pump_out(tri_link *link) {
    while (link->unsent.head != NULL && link->dialer != NULL) {
        tri_out *out = link->unsent.head;
        if (out->seq > 0) {
            tri_frame_set_ack(out->buffer.data, link->session.recv_next - 1);
        }
        int err = tri_zsocket_send(link->dialer, out->buffer.data, out->buffer.size);
        if (err < 0) {
            tri_zsocket_want(link->dialer);
            return;
        }
        (void)queue_take(&link->unsent);
        if (out->seq > 0) {
            link->stats.frames_out++;
            link->stats.bytes_out += out->buffer.size;
            queue_put(&link->unacked, out);
        } else {
            link->control_count--;
            out_free(link, out);
        }
    }
}

/* Of a link that never came up, or was retired with something unsaid. */
void tri_link_free_out(tri_link *link) {
    while (link->unsent.head != NULL) {
        out_free(link, queue_take(&link->unsent));
    }
    while (link->unacked.head != NULL) {
        out_free(link, queue_take(&link->unacked));
    }
}

void tri_link_send_control(tri_link *link, const void *bytes, size_t size) {
    bool is_refusal = ((const uint8_t *)bytes)[5] == TRI_FRAME_REFUSE;
    bool is_elsewhere = link->heard[0] != 0 && strcmp(link->heard, link->dialed) != 0;
    if (link->dialer == NULL || (is_refusal && is_elsewhere)) {
        /* To whom we have no link, or not with this one of that name. */
        if (is_refusal && link->heard[0] != 0) {
            tri_say(link->transport, link->heard, bytes, size);
        }
        return;
    }
    tri_out *out = link->control_count < TRI_CONTROL_MAX ? tri_calloc(1, sizeof *out) : NULL;
    if (out == NULL || tri_buffer_reserve(&out->buffer, size) < 0) {
        tri_free(out);
        return; /* it will be said again, or the peer will miss us */
    }
    tri_buffer_put(&out->buffer, bytes, size);
    queue_put(&link->unsent, out);
    link->control_count++;
    tri_link_pump_out(link);
}

/* ---- batches ------------------------------------------------------------------------------- */

void tri_link_flush_batch(tri_link *link) {
    if (link->batch_count == 0) {
        return;
    }
    tri_out *out = tri_calloc(1, sizeof *out);
    if (out == NULL) {
        tri_loop_flush_later(link->transport->loop, &link->flush); /* once more next turn */
        return;
    }
    struct tri_frame frame = {.count = link->batch_count,
                              .body_size = link->batch.size - TRI_FRAME_HEADER};
    tri_session_number(&link->session, link->transport->loop->now, &frame);
    tri_frame_put_header(link->batch.data, &frame);
    out->buffer = link->batch;
    out->seq = frame.seq;
    out->count = frame.count;
    out->position = link->encoded;
    link->batch = link->spare;
    link->spare = (tri_buffer){0};
    link->batch_count = 0;
    queue_put(&link->unsent, out);
    tri_link_pump_out(link);
    tri_link_rearm(link);
    tri_transport_watch(link->transport);
}

static void on_flush(tr_loop *loop, tri_flush *flush) {
    tri_link *link = TRI_CONTAINER_OF(flush, tri_link, flush);
    if (link->batch_count == 0) {
        return;
    }
    if (loop->ready != NULL && loop->now - link->batch_at < TRI_BATCH_AGE) {
        tri_loop_flush_later(loop, flush); /* there is more to come */
        return;
    }
    tri_link_flush_batch(link);
    tri_link_publish(link, loop->now, false);
}

static int begin_batch(tri_link *link) {
    int err = tri_buffer_reserve(&link->batch, TRI_FRAME_HEADER);
    if (err == 0) {
        link->batch.size = TRI_FRAME_HEADER;
        link->batch_at = link->transport->loop->now;
    }
    return err;
}

/* The record that begins at `start` made the batch too large: give it a batch of its own. */
static int split_batch(tri_link *link, size_t start) {
    tri_buffer tail = {0};
    size_t size = link->batch.size - start;
    int err = tri_buffer_reserve(&tail, TRI_FRAME_HEADER + size);
    if (err < 0) {
        return err;
    }
    tail.size = TRI_FRAME_HEADER;
    tri_buffer_put(&tail, link->batch.data + start, size);
    link->batch.size = start;
    tri_link_flush_batch(link);
    if (link->batch_count != 0) { /* no memory to send it */
        tri_buffer_free(&tail);
        return -ENOMEM;
    }
    tri_buffer_free(&link->batch);
    link->batch = tail;
    link->batch_at = link->transport->loop->now;
    return 0;
}

int tri_link_put(tri_link *link, const struct tri_record *record, const struct tr_type *type,
                 const void *message) {
    size_t start = 0;
    size_t limit = link->session.peer.max_frame;
    if (!link->is_up) {
        return TR_ENODEDOWN;
    }
    int err = link->batch_count == 0 ? begin_batch(link) : 0;
    size_t before = link->batch.size;
    if (err == 0) {
        err = tri_record_begin(&link->batch, record, &start);
    }
    if (err == 0 && type != NULL) {
        err = tri_codec_encode(&link->transport->codec, type, message, &link->batch);
    }
    if (err == 0) {
        tri_record_end(&link->batch, start);
        if (TRI_FRAME_HEADER + (link->batch.size - start) > limit) {
            err = TR_ETOOBIG;
        } else if (link->batch.size > limit) {
            size_t size = link->batch.size - start;
            err = split_batch(link, start);
            before = err == 0 ? link->batch.size - size : before;
        }
    }
    if (err < 0) {
        link->batch.size = before;
        return err;
    }
    link->encoded += link->batch.size - before;
    link->batch_count++;
    link->stats.messages_out++;
    tri_loop_flush_later(link->transport->loop, &link->flush);
    return 0;
}

/* ---- envelopes ----------------------------------------------------------------------------- */

void tri_envelope_fail(tr_loop *loop, tri_envelope *envelope, int err) {
    tri_tail *tail = tri_envelope_tail(envelope);
    void *payload = envelope->type != NULL ? tri_envelope_payload(envelope) : NULL;
    if (envelope->kind == TRI_WATCH) {
        tri_tell_down(loop, tail->watcher, tail->to, tail->tag, err);
    } else if (envelope->kind == TRI_MESSAGE && envelope->ask_generation != 0) {
        tri_ask_id id = {envelope->ask_slot, envelope->ask_generation, envelope->ask_loop};
        (void)tri_ask_answer(loop, id, err, NULL, NULL);
    } else if (envelope->kind == TRI_MESSAGE) {
        tri_dead_letter(loop, tail->to, envelope->type, payload, err);
    }
    tri_envelope_free(loop, envelope);
}

static int put_message(tri_link *link, tri_envelope *envelope) {
    tr_loop *loop = link->transport->loop;
    tri_tail *tail = tri_envelope_tail(envelope);
    struct tri_record record = {
        .kind = TRI_RECORD_MESSAGE, .to = tri_place_of(tail->to), .time = INT64_MAX};
    record.is_patient = (envelope->flags & TRI_ENVELOPE_PATIENT) != 0;
    int err = tri_transport_type_id(link->transport, envelope->type, &record.type);
    if (err == 0 && envelope->ask_generation != 0) {
        struct tri_pending pending = {
            .id = {envelope->ask_slot, envelope->ask_generation, envelope->ask_loop},
            .reply_type = tail->reply_type,
            .deadline = tail->deadline};
        if (tail->deadline != TR_FOREVER) {
            tr_time left = tail->deadline - loop->now;
            record.time = left > 0 ? (uint64_t)left : 0;
        }
        record.ask = tri_pending_add(&link->pendings, &pending);
        err = record.ask == 0 ? -ENOMEM : 0;
    }
    if (err == 0) {
        err = tri_link_put(link, &record, envelope->type, tri_envelope_payload(envelope));
    }
    if (err < 0 && record.ask != 0) {
        struct tri_pending unused;
        (void)tri_pending_take(&link->pendings, record.ask, &unused);
    }
    return err;
}

static int put_watch(tri_link *link, tri_envelope *envelope) {
    tri_tail *tail = tri_envelope_tail(envelope);
    struct tri_record record = {.kind = TRI_RECORD_WATCH,
                                .to = tri_place_of(tail->to),
                                .other = tri_place_of(tail->watcher),
                                .tag = tail->tag};
    int err = tri_watch_add(&link->watches, tail->watcher, tail->to, tail->tag);
    if (err == 0) {
        err = tri_link_put(link, &record, NULL, NULL);
        if (err < 0) {
            (void)tri_watch_take(&link->watches, tail->watcher, tail->to, tail->tag);
        }
    }
    return err;
}

static int put_envelope(tri_link *link, tri_envelope *envelope) {
    tri_tail *tail = tri_envelope_tail(envelope);
    struct tri_record record = {.to = tri_place_of(tail->to)};
    switch (envelope->kind) {
    case TRI_MESSAGE: return put_message(link, envelope);
    case TRI_WATCH: return put_watch(link, envelope);
    case TRI_STOP: record.kind = TRI_RECORD_STOP; break;
    case TRI_KILL: record.kind = TRI_RECORD_KILL; break;
    case TRI_DOWN: {
        const tr_down *down = tri_envelope_payload(envelope);
        record.kind = TRI_RECORD_DOWN;
        record.other = tri_place_of(down->who);
        record.tag = down->tag;
        record.err = down->reason;
        break;
    }
    default: TRI_ASSERT(envelope->kind == TRI_MESSAGE); /* others don't leave their process */
    }
    return tri_link_put(link, &record, NULL, NULL);
}

void tri_link_outgoing(tri_link *link, tri_envelope *envelope) {
    tr_loop *loop = link->transport->loop;
    const tr_ref *to = &tri_envelope_tail(envelope)->to;
    bool is_linked = link->is_up && to->incarnation == link->session.peer.incarnation;
    int err = is_linked ? put_envelope(link, envelope) : TR_ENODEDOWN;
    if (err < 0) {
        tri_envelope_fail(loop, envelope, err);
        return;
    }
    finish_envelope(link, envelope);
    if (link->batch.size >= TRI_BATCH_BYTES) {
        tri_link_flush_batch(link);
    }
}

/* ---- the end ------------------------------------------------------------------------------------ */

/* A tell that is in a batch and perhaps never arrived. */
static void bury(tri_link *link, const struct tri_record *record) {
    tri_transport *transport = link->transport;
    const struct tr_type *type = tri_type_find(transport->system, record->type);
    void *message = type != NULL ? tri_transport_scratch(transport, type->size) : NULL;
    if (message != NULL && tri_codec_decode(&transport->codec, type, record->payload,
                                            record->payload_size, message) < 0) {
        message = NULL;
    }
    tri_dead_letter(transport->loop, tri_ref_of(link, record->to), type, message, TR_ENODEDOWN);
}

static void bury_batch(tri_link *link, tri_buffer *buffer) {
    struct tri_frame frame = {.body = buffer->data + TRI_FRAME_HEADER,
                              .body_size = buffer->size - TRI_FRAME_HEADER};
    struct tri_record record;
    size_t offset = 0;
    while (tri_record_next(&frame, &offset, &record)) {
        if (record.kind == TRI_RECORD_MESSAGE && record.ask == 0) {
            bury(link, &record);
        }
    }
}

/* What is in unsent: batches are dropped, control frames (a refusal, a goodbye) are still said. */
static void drop_unsent(tri_link *link) {
    struct tri_out_queue old = link->unsent;
    if (old.head == NULL) {
        return;
    }
    queue_init(&link->unsent);
    for (tri_out *out = old.head; out != NULL;) {
        tri_out *next = out->next;
        if (out->seq > 0) {
            bury_batch(link, &out->buffer);
            out_free(link, out);
        } else {
            queue_put(&link->unsent, out);
        }
        out = next;
    }
}

void tri_link_drop_out(tri_link *link) {
    tr_loop *loop = link->transport->loop;
    while (link->unacked.head != NULL) {
        tri_out *out = queue_take(&link->unacked);
        bury_batch(link, &out->buffer);
        out_free(link, out);
    }
    drop_unsent(link);
    if (link->batch_count > 0) {
        tri_buffer batch = link->batch;
        link->batch = (tri_buffer){0};
        link->batch_count = 0;
        bury_batch(link, &batch);
        tri_buffer_free(&batch);
    }
    tri_pendings_fail(&link->pendings, loop, TR_ENODEDOWN);
    unpark(link, UINT64_MAX);
    tri_watches_tell(&link->watches, loop, TR_ENODEDOWN);
    tri_proxies_free(link);
    tri_link_pump_out(link);
    while (link->unsent.head != NULL) { /* the dialer is closed next */
        tri_out *out = queue_take(&link->unsent);
        link->control_count--;
        out_free(link, out);
    }
    link->encoded = 0;
    link->acked = 0;
}
