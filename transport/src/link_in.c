/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_in.c: what comes from another node.
 *
 * The frame is well formed (frame.c has seen to that), but nothing in it is believed: places are looked
 * up by the actors layer, numbers by our tables, and a message that can't be read is refused by
 * itself, while its neighbours are delivered.
 */
#include "transport_internal.h"

/* Tell the sender of one message that it can't be taken. */
static void refuse(tri_link *link, const struct tri_record *message, int err) {
    struct tri_record record = {.kind = TRI_RECORD_FAIL, .ask = message->ask, .err = err};
    if (message->ask == 0) {
        record = (struct tri_record){
            .kind = TRI_RECORD_REJECT, .to = message->to, .type = message->type, .err = err};
    }
    if (tri_link_put(link, &record, NULL, NULL) == -ENOMEM) {
        tr_log(TR_LOG_ERROR, "out of memory: a refusal for node '%s' is lost", link->session.name);
    }
}

/* The struct of a record's payload, in the transport's scratch memory. */
static int decode(tri_link *link, const struct tri_record *record, const struct tr_type *type,
                  void **ret_message) {
    tri_transport *transport = link->transport;
    void *message = tri_transport_scratch(transport, type->size);
    if (message == NULL) {
        return -ENOMEM;
    }
    int err =
        tri_codec_decode(&transport->codec, type, record->payload, record->payload_size, message);
    *ret_message = message;
    return err;
}

static int deliver(tri_link *link, const struct tri_record *record, const struct tr_type *type,
                   const void *message) {
    tr_loop *loop = link->transport->loop;
    tri_ask_id id = {0};
    tri_proxy *proxy = NULL;
    tr_time deadline = TR_FOREVER;
    if (record->ask != 0) {
        if (record->time < (uint64_t)(TR_FOREVER - loop->now)) {
            deadline = loop->now + (tr_time)record->time;
        }
        proxy = tri_proxy_new(link, record->ask, deadline);
        if (proxy == NULL) {
            return -ENOMEM;
        }
        id = tri_ask_id_of(loop, &proxy->ask);
    }
    int err = tri_remote_deliver(loop, tri_ref_here(record->to), type, message, id, deadline);
    if (err < 0 && proxy != NULL) {
        tri_proxy_free(proxy);
    }
    return err;
}

static void take_message(tri_link *link, const struct tri_record *record) {
    void *message;
    const struct tr_type *type = tri_type_find(link->transport->system, record->type);
    int err = type == NULL ? TR_ENOTYPE : decode(link, record, type, &message);
    if (err == 0) {
        err = deliver(link, record, type, message);
    }
    if (err < 0) {
        refuse(link, record, err);
    }
}

static void take_reply(tri_link *link, const struct tri_record *record) {
    struct tri_pending pending;
    void *message = NULL;
    if (!tri_pending_take(&link->pendings, record->ask, &pending)) {
        return; /* its asker has given up */
    }
    const struct tr_type *type = pending.reply_type;
    int err = TR_EREPLY;
    if (type != NULL && tr_type_id(type) == record->type) {
        err = decode(link, record, type, &message);
    }
    bool ok = err == 0;
    (void)tri_ask_answer(link->transport->loop, pending.id, err, ok ? type : NULL,
                         ok ? message : NULL);
}

static void take_fail(tri_link *link, const struct tri_record *record) {
    struct tri_pending pending;
    if (tri_pending_take(&link->pendings, record->ask, &pending)) {
        (void)tri_ask_answer(link->transport->loop, pending.id, record->err, NULL, NULL);
    }
}

static void take_watch(tri_link *link, const struct tri_record *record) {
    tr_ref watcher = tri_ref_of(link, record->other);
    int err = tri_remote_control(link->transport->loop, TRI_WATCH, tri_ref_here(record->to),
                                 watcher, record->tag, NULL, NULL);
    if (err < 0) {
        struct tri_record down = {.kind = TRI_RECORD_DOWN,
                                  .to = record->other,
                                  .other = record->to,
                                  .tag = record->tag,
                                  .err = err};
        if (tri_link_put(link, &down, NULL, NULL) == -ENOMEM) {
            tr_log(TR_LOG_ERROR, "out of memory: a watcher on node '%s' wasn't told",
                   link->session.name);
        }
    }
}

static void take_down(tri_link *link, const struct tri_record *record) {
    tr_ref watcher = tri_ref_here(record->to);
    tr_ref who = tri_ref_of(link, record->other);
    if (tri_watch_take(&link->watches, watcher, who, record->tag)) {
        tri_tell_down(link->transport->loop, watcher, who, record->tag, record->err);
    }
}

static void take_control(tri_link *link, int kind, const struct tri_record *record) {
    tr_ref nobody = {0};
    (void)tri_remote_control(link->transport->loop, kind, tri_ref_here(record->to), nobody, 0, NULL,
                             NULL); /* already gone is what the caller wanted */
}

int tri_link_take(tri_link *link, const struct tri_frame *frame) {
    struct tri_record record;
    size_t offset = 0;
    link->stats.frames_in++;
    link->stats.bytes_in += TRI_FRAME_HEADER + frame->body_size;
    link->stats.messages_in += frame->count;
    while (tri_record_next(frame, &offset, &record)) {
        switch (record.kind) {
        case TRI_RECORD_MESSAGE: take_message(link, &record); break;
        case TRI_RECORD_REPLY: take_reply(link, &record); break;
        case TRI_RECORD_FAIL: take_fail(link, &record); break;
        case TRI_RECORD_STOP: take_control(link, TRI_STOP, &record); break;
        case TRI_RECORD_KILL: take_control(link, TRI_KILL, &record); break;
        case TRI_RECORD_WATCH: take_watch(link, &record); break;
        case TRI_RECORD_DOWN: take_down(link, &record); break;
        default: /* TRI_RECORD_REJECT */
            tri_dead_letter(link->transport->loop, tri_ref_of(link, record.to),
                            tri_type_find(link->transport->system, record.type), NULL, record.err);
            break;
        }
    }
    return 0;
}
