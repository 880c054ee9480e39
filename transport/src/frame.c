/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c: frames of the link protocol to bytes and back.
 *
 * DESIGN
 *
 * Pure functions over bytes. A frame is checked completely, down to the last record, before
 * anybody acts on a part of it: a batch is taken as a whole or not at all. No size in the input is
 * believed: each is compared with the bytes that are there, by subtraction from what is left and
 * never by adding to an offset. Everything reserved must be zero, so that it can mean something
 * later; only HELLO and WELCOME may be longer than we know, because they carry the versions by
 * which two nodes find out what they have in common.
 *
 * What fields a kind of record has is one row of a table, used for both directions; so the fuzz
 * target's "decode, encode, compare" finds every asymmetry.
 */
#include "frame_internal.h"

#include <troupe/core/error.h>

static const uint8_t magic[4] = {'T', 'R', 'P', '1'};

/* ---- reading with a limit --------------------------------------------------------------- */

struct reader {
    const uint8_t *at;
    size_t left;
    bool failed; /* sticky: one check at the end is enough */
};

static uint64_t take_le(struct reader *in, unsigned bytes) {
    if (in->left < bytes) {
        in->failed = true;
        return 0;
    }
    uint64_t value = tri_load_le(in->at, bytes);
    in->at += bytes;
    in->left -= bytes;
    return value;
}

static void take_zero(struct reader *in, unsigned bytes) {
    if (take_le(in, bytes) != 0) {
        in->failed = true;
    }
}

static struct tri_text take_text(struct reader *in, size_t size, size_t max) {
    struct tri_text text = {(const char *)in->at, size};
    if (size > in->left || size > max) {
        in->failed = true;
        return (struct tri_text){"", 0};
    }
    in->at += size;
    in->left -= size;
    return text;
}

static struct tri_place take_place(struct reader *in) {
    struct tri_place place;
    place.loop = (uint16_t)take_le(in, 2);
    take_zero(in, 2);
    place.slot = (uint32_t)take_le(in, 4);
    place.generation = (uint32_t)take_le(in, 4);
    return place;
}

static void put_place(tri_buffer *buffer, const struct tri_place *place) {
    tri_buffer_put_le(buffer, place->loop, 2);
    tri_buffer_put_le(buffer, 0, 2);
    tri_buffer_put_le(buffer, place->slot, 4);
    tri_buffer_put_le(buffer, place->generation, 4);
}

/* ---- records ------------------------------------------------------------------------------- */

enum {
    HAS_TO = 1,
    HAS_OTHER = 2,
    HAS_TYPE = 4,
    HAS_ASK = 8,
    HAS_TIME = 16,
    HAS_TAG = 32,
    HAS_ERR = 64,
    HAS_PAYLOAD = 128,
    NEEDS_ASK = 256, /* not 0 */
    NEEDS_ERR = 512  /* negative */
};

/* What each kind consists of, in the order of the constants. */
static const uint16_t record_fields[TRI_RECORD_KINDS] = {
    [TRI_RECORD_MESSAGE] = HAS_TO | HAS_TYPE | HAS_ASK | HAS_TIME | HAS_PAYLOAD,
    [TRI_RECORD_REPLY] = HAS_TYPE | HAS_ASK | HAS_PAYLOAD | NEEDS_ASK,
    [TRI_RECORD_FAIL] = HAS_ASK | HAS_ERR | NEEDS_ASK | NEEDS_ERR,
    [TRI_RECORD_STOP] = HAS_TO,
    [TRI_RECORD_KILL] = HAS_TO,
    [TRI_RECORD_WATCH] = HAS_TO | HAS_OTHER | HAS_TAG,
    [TRI_RECORD_DOWN] = HAS_TO | HAS_OTHER | HAS_TAG | HAS_ERR,
    [TRI_RECORD_REJECT] = HAS_TO | HAS_TYPE | HAS_ERR | NEEDS_ERR,
};

enum { RECORD_PATIENT = 1 }; /* flag */
enum { RECORD_HEADER = 8, RECORD_FIXED_MAX = RECORD_HEADER + 2 * 12 + 4 * 8 + 4 };

int tri_record_begin(tri_buffer *buffer, const struct tri_record *record, size_t *ret_start) {
    unsigned fields = record_fields[record->kind];
    int err = tri_buffer_reserve(buffer, RECORD_FIXED_MAX);
    if (err < 0) {
        return err;
    }
    *ret_start = buffer->size;
    tri_buffer_put_le(buffer, 0, 4);
    tri_buffer_put_le(buffer, record->kind, 1);
    tri_buffer_put_le(buffer, record->is_patient ? RECORD_PATIENT : 0, 3);
    if ((fields & HAS_TO) != 0) {
        put_place(buffer, &record->to);
    }
    if ((fields & HAS_OTHER) != 0) {
        put_place(buffer, &record->other);
    }
    if ((fields & HAS_TYPE) != 0) {
        tri_buffer_put_le(buffer, record->type, 8);
    }
    if ((fields & HAS_ASK) != 0) {
        tri_buffer_put_le(buffer, record->ask, 8);
    }
    if ((fields & HAS_TIME) != 0) {
        tri_buffer_put_le(buffer, record->time, 8);
    }
    if ((fields & HAS_TAG) != 0) {
        tri_buffer_put_le(buffer, record->tag, 8);
    }
    if ((fields & HAS_ERR) != 0) {
        tri_buffer_put_le(buffer, (uint32_t)record->err, 4);
    }
    return 0;
}

void tri_record_end(tri_buffer *buffer, size_t start) {
    tri_store_le(buffer->data + start, buffer->size - start, 4);
}

/* The fields between a record's header and its payload. */
static void take_fields(struct reader *in, unsigned fields, struct tri_record *record) {
    if ((fields & HAS_TO) != 0) {
        record->to = take_place(in);
    }
    if ((fields & HAS_OTHER) != 0) {
        record->other = take_place(in);
    }
    if ((fields & HAS_TYPE) != 0) {
        record->type = take_le(in, 8);
    }
    if ((fields & HAS_ASK) != 0) {
        record->ask = take_le(in, 8);
    }
    if ((fields & HAS_TIME) != 0) {
        record->time = take_le(in, 8);
    }
    if ((fields & HAS_TAG) != 0) {
        record->tag = take_le(in, 8);
    }
    if ((fields & HAS_ERR) != 0) {
        record->err = (int32_t)(uint32_t)take_le(in, 4);
    }
}

/* One record from the front of what is left. */
static int take_record(struct reader *in, struct tri_record *record) {
    *record = (struct tri_record){0};
    if (in->left < RECORD_HEADER) {
        return TR_EPROTOCOL;
    }
    size_t size = (size_t)take_le(in, 4);
    record->kind = (uint8_t)take_le(in, 1);
    unsigned flags = (unsigned)take_le(in, 1);
    take_zero(in, 2);
    record->is_patient = flags == RECORD_PATIENT;
    if (in->failed || flags > (record->kind == TRI_RECORD_MESSAGE ? RECORD_PATIENT : 0) ||
        size < RECORD_HEADER || size - RECORD_HEADER > in->left || record->kind == 0 ||
        record->kind >= TRI_RECORD_KINDS) {
        return TR_EPROTOCOL;
    }
    unsigned fields = record_fields[record->kind];
    struct reader body = {in->at, size - RECORD_HEADER, false};
    in->at += body.left;
    in->left -= body.left;
    take_fields(&body, fields, record);
    if (body.failed || ((fields & HAS_PAYLOAD) == 0 && body.left != 0) ||
        ((fields & NEEDS_ASK) != 0 && record->ask == 0) ||
        ((fields & NEEDS_ERR) != 0 && record->err >= 0) || record->time > INT64_MAX) {
        return TR_EPROTOCOL;
    }
    record->payload = body.at;
    record->payload_size = body.left;
    return 0;
}

bool tri_record_next(const struct tri_frame *frame, size_t *offset, struct tri_record *ret_record) {
    struct reader in = {frame->body + *offset, frame->body_size - *offset, false};
    if (in.left == 0) {
        return false;
    }
    int err = take_record(&in, ret_record);
    TRI_ASSERT(err == 0); /* checked by tri_frame_decode() */
    *offset = frame->body_size - in.left;
    return true;
}

static int check_records(const struct tri_frame *frame) {
    struct reader in = {frame->body, frame->body_size, false};
    struct tri_record record;
    uint32_t count = 0;
    while (in.left > 0) {
        if (take_record(&in, &record) < 0) {
            return TR_EPROTOCOL;
        }
        count++;
    }
    return count == frame->count && count > 0 ? 0 : TR_EPROTOCOL;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* What a type demands of the header. */
static int check_header(const struct tri_frame *frame) {
    unsigned flags = frame->type == TRI_FRAME_BYE ? TRI_FRAME_ANSWER : 0;
    if ((frame->flags & ~flags) != 0) {
        return TR_EPROTOCOL;
    }
    if (frame->from_link == 0 && frame->type != TRI_FRAME_REFUSE) {
        return TR_EPROTOCOL;
    }
    if ((frame->to_link == 0) != (frame->type == TRI_FRAME_HELLO)) {
        return TR_EPROTOCOL;
    }
    if (frame->type != TRI_FRAME_DATA && frame->count != 0) {
        return TR_EPROTOCOL;
    }
    return 0;
}

static int check_body(const struct tri_frame *frame) {
    struct tri_hello hello;
    struct tri_refusal refusal;
    switch (frame->type) {
    case TRI_FRAME_HELLO:
    case TRI_FRAME_WELCOME: return tri_hello_decode(frame, &hello);
    case TRI_FRAME_REFUSE: return tri_refusal_decode(frame, &refusal);
    case TRI_FRAME_PING:
    case TRI_FRAME_BYE: return frame->body_size == 0 ? 0 : TR_EPROTOCOL;
    case TRI_FRAME_DATA: return frame->seq > 0 ? check_records(frame) : TR_EPROTOCOL;
    default: return TR_EPROTOCOL;
    }
}

int tri_frame_decode(const void *bytes, size_t size, struct tri_frame *ret_frame) {
    const uint8_t *at = bytes;
    if (size < TRI_FRAME_HEADER || memcmp(at, magic, sizeof magic) != 0 ||
        at[4] != TRI_FRAME_VERSION) {
        return TR_EPROTOCOL;
    }
    struct reader in = {at + 5, TRI_FRAME_HEADER - 5, false};
    struct tri_frame frame;
    frame.type = (uint8_t)take_le(&in, 1);
    frame.flags = (uint16_t)take_le(&in, 2);
    frame.from_link = take_le(&in, 8);
    frame.to_link = take_le(&in, 8);
    frame.seq = take_le(&in, 8);
    frame.ack = take_le(&in, 8);
    frame.body_size = (size_t)take_le(&in, 4);
    frame.count = (uint32_t)take_le(&in, 4);
    frame.body = at + TRI_FRAME_HEADER;
    if (frame.body_size != size - TRI_FRAME_HEADER || check_header(&frame) < 0 ||
        check_body(&frame) < 0) {
        return TR_EPROTOCOL;
    }
    *ret_frame = frame;
    return 0;
}

void tri_frame_put_header(uint8_t *at, const struct tri_frame *frame) {
    memcpy(at, magic, sizeof magic);
    at[4] = TRI_FRAME_VERSION;
    at[5] = frame->type;
    tri_store_le(at + 6, frame->flags, 2);
    tri_store_le(at + 8, frame->from_link, 8);
    tri_store_le(at + 16, frame->to_link, 8);
    tri_store_le(at + 24, frame->seq, 8);
    tri_store_le(at + 32, frame->ack, 8);
    tri_store_le(at + 40, frame->body_size, 4);
    tri_store_le(at + 44, frame->count, 4);
}

void tri_frame_set_ack(uint8_t *bytes, uint64_t ack) {
    tri_store_le(bytes + 32, ack, 8);
}

int tri_frame_encode(tri_buffer *buffer, const struct tri_frame *frame) {
    int err = tri_buffer_reserve(buffer, TRI_FRAME_HEADER + frame->body_size);
    if (err < 0) {
        return err;
    }
    tri_frame_put_header(buffer->data + buffer->size, frame);
    buffer->size += TRI_FRAME_HEADER;
    tri_buffer_put(buffer, frame->body, frame->body_size);
    return 0;
}

/* ---- HELLO, WELCOME, REFUSE -------------------------------------------------------------------- */

enum { HELLO_FIXED = 2 + 2 + 4 + 8 + 8 + 8 + 4 + 4 + 2 + 2 + 12 };

int tri_hello_decode(const struct tri_frame *frame, struct tri_hello *ret_hello) {
    struct reader in = {frame->body, frame->body_size, false};
    struct tri_hello hello;
    hello.proto_min = (uint16_t)take_le(&in, 2);
    hello.proto_max = (uint16_t)take_le(&in, 2);
    hello.node = (uint32_t)take_le(&in, 4);
    hello.incarnation = take_le(&in, 8);
    hello.peer_incarnation = take_le(&in, 8);
    hello.features = take_le(&in, 8);
    hello.max_frame = (uint32_t)take_le(&in, 4);
    hello.beat_ms = (uint32_t)take_le(&in, 4);
    hello.lane = (uint16_t)take_le(&in, 2);
    hello.lanes = (uint16_t)take_le(&in, 2);
    hello.agent = take_place(&in);
    hello.cluster = take_text(&in, (size_t)take_le(&in, 1), TRI_NODE_NAME_MAX);
    hello.name = take_text(&in, (size_t)take_le(&in, 1), TRI_NODE_NAME_MAX);
    hello.address = take_text(&in, (size_t)take_le(&in, 1), TRI_ADDRESS_MAX);
    hello.extra = in.at;
    hello.extra_size = in.left;
    if (in.failed || hello.proto_min == 0 || hello.proto_min > hello.proto_max || hello.node == 0 ||
        hello.incarnation == 0 || hello.name.size == 0 || hello.max_frame < TRI_FRAME_MIN_MAX ||
        hello.beat_ms == 0 || hello.lane >= hello.lanes) {
        return TR_EPROTOCOL;
    }
    *ret_hello = hello;
    return 0;
}

static void put_text(tri_buffer *buffer, const struct tri_text *text) {
    tri_buffer_put_le(buffer, text->size, 1);
    tri_buffer_put(buffer, text->data, text->size);
}

int tri_hello_encode(tri_buffer *buffer, const struct tri_hello *hello) {
    size_t size = HELLO_FIXED + 3 + hello->cluster.size + hello->name.size + hello->address.size +
                  hello->extra_size;
    int err = tri_buffer_reserve(buffer, size);
    if (err < 0) {
        return err;
    }
    tri_buffer_put_le(buffer, hello->proto_min, 2);
    tri_buffer_put_le(buffer, hello->proto_max, 2);
    tri_buffer_put_le(buffer, hello->node, 4);
    tri_buffer_put_le(buffer, hello->incarnation, 8);
    tri_buffer_put_le(buffer, hello->peer_incarnation, 8);
    tri_buffer_put_le(buffer, hello->features, 8);
    tri_buffer_put_le(buffer, hello->max_frame, 4);
    tri_buffer_put_le(buffer, hello->beat_ms, 4);
    tri_buffer_put_le(buffer, hello->lane, 2);
    tri_buffer_put_le(buffer, hello->lanes, 2);
    put_place(buffer, &hello->agent);
    put_text(buffer, &hello->cluster);
    put_text(buffer, &hello->name);
    put_text(buffer, &hello->address);
    tri_buffer_put(buffer, hello->extra, hello->extra_size);
    return 0;
}

int tri_refusal_decode(const struct tri_frame *frame, struct tri_refusal *ret_refusal) {
    struct reader in = {frame->body, frame->body_size, false};
    struct tri_refusal refusal;
    refusal.code = (uint16_t)take_le(&in, 2);
    refusal.text = take_text(&in, (size_t)take_le(&in, 1), TRI_REFUSE_TEXT_MAX);
    if (in.failed || in.left != 0 || refusal.code == 0) {
        return TR_EPROTOCOL;
    }
    *ret_refusal = refusal;
    return 0;
}

int tri_refusal_encode(tri_buffer *buffer, const struct tri_refusal *refusal) {
    int err = tri_buffer_reserve(buffer, 3 + refusal->text.size);
    if (err < 0) {
        return err;
    }
    tri_buffer_put_le(buffer, refusal->code, 2);
    put_text(buffer, &refusal->text);
    return 0;
}
