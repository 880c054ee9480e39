/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "frame_internal.h"

#include <troupe/core/error.h>

static const struct tri_record samples[] = {
    {.kind = TRI_RECORD_MESSAGE,
     .is_patient = true,
     .to = {3, 4, 5},
     .type = 6,
     .ask = 7,
     .time = INT64_MAX,
     .payload = (const uint8_t *)"payload",
     .payload_size = 7},
    {.kind = TRI_RECORD_REPLY,
     .type = UINT64_MAX,
     .ask = 1,
     .payload = (const uint8_t *)"\x80",
     .payload_size = 1},
    {.kind = TRI_RECORD_FAIL, .ask = 9, .err = TR_ENOTYPE},
    {.kind = TRI_RECORD_STOP, .to = {1, 2, 3}},
    {.kind = TRI_RECORD_KILL, .to = {UINT16_MAX, UINT32_MAX, UINT32_MAX}},
    {.kind = TRI_RECORD_WATCH, .to = {1, 2, 3}, .other = {4, 5, 6}, .tag = UINT64_MAX},
    {.kind = TRI_RECORD_DOWN, .to = {1, 2, 3}, .other = {4, 5, 6}, .tag = 7, .err = INT32_MIN},
    {.kind = TRI_RECORD_REJECT, .to = {1, 2, 3}, .type = 8, .err = -1},
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

static void put_samples(tri_buffer *body) {
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t start;
        T_REQUIRE(tri_record_begin(body, &samples[i], &start) == 0);
        T_REQUIRE(tri_buffer_reserve(body, samples[i].payload_size) == 0);
        tri_buffer_put(body, samples[i].payload, samples[i].payload_size);
        tri_record_end(body, start);
    }
}

static tri_buffer make(struct tri_frame frame, const tri_buffer *body) {
    tri_buffer buffer = {0};
    frame.body = body != NULL ? body->data : NULL;
    frame.body_size = body != NULL ? body->size : 0;
    T_REQUIRE(tri_frame_encode(&buffer, &frame) == 0);
    return buffer;
}

static int decode(const tri_buffer *buffer) {
    struct tri_frame frame;
    return tri_frame_decode(buffer->data, buffer->size, &frame);
}

static tri_buffer make_data(void) {
    tri_buffer body = {0};
    put_samples(&body);
    struct tri_frame frame = {
        .type = TRI_FRAME_DATA, .from_link = 1, .to_link = 2, .seq = 3, .ack = 4, .count = SAMPLES};
    tri_buffer buffer = make(frame, &body);
    tri_buffer_free(&body);
    return buffer;
}

static struct tri_hello sample_hello(void) {
    return (struct tri_hello){.proto_min = 1,
                              .proto_max = 2,
                              .node = 3,
                              .incarnation = 4,
                              .peer_incarnation = 5,
                              .features = 6,
                              .max_frame = 1 << 20,
                              .beat_ms = 500,
                              .lane = 0,
                              .lanes = 1,
                              .agent = {1, 2, 3},
                              .cluster = {"c", 1},
                              .name = {"name", 4},
                              .address = {"ipc:///x", 8}};
}

static tri_buffer make_hello(const struct tri_hello *hello) {
    tri_buffer body = {0};
    T_REQUIRE(tri_hello_encode(&body, hello) == 0);
    tri_buffer buffer = make((struct tri_frame){.type = TRI_FRAME_HELLO, .from_link = 1}, &body);
    tri_buffer_free(&body);
    return buffer;
}

T_TEST(frame, records_come_out_as_they_went_in) {
    tri_buffer buffer = make_data();
    struct tri_frame frame;
    T_REQUIRE(tri_frame_decode(buffer.data, buffer.size, &frame) == 0);
    T_CHECK_INT(frame.seq, 3);
    T_CHECK_INT(frame.ack, 4);
    T_CHECK_INT(frame.count, SAMPLES);
    size_t offset = 0;
    struct tri_record record;
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct tri_record *sample = &samples[i];
        T_REQUIRE(tri_record_next(&frame, &offset, &record));
        T_CHECK_INT(record.kind, sample->kind);
        T_CHECK_INT(record.is_patient, sample->is_patient);
        T_CHECK_INT(record.to.loop, sample->to.loop);
        T_CHECK_INT(record.to.slot, sample->to.slot);
        T_CHECK_INT(record.to.generation, sample->to.generation);
        T_CHECK_INT(record.other.slot, sample->other.slot);
        T_CHECK(record.type == sample->type);
        T_CHECK(record.ask == sample->ask);
        T_CHECK(record.time == sample->time);
        T_CHECK(record.tag == sample->tag);
        T_CHECK_INT(record.err, sample->err);
        T_CHECK_INT(record.payload_size, sample->payload_size);
        T_CHECK_MEM(record.payload, sample->payload, sample->payload_size);
    }
    T_CHECK(!tri_record_next(&frame, &offset, &record));
    tri_buffer_free(&buffer);
}

T_TEST(frame, hello_comes_out_as_it_went_in) {
    struct tri_hello hello = sample_hello();
    struct tri_hello got;
    struct tri_frame frame;
    hello.extra = (const uint8_t *)"later";
    hello.extra_size = 5;
    tri_buffer buffer = make_hello(&hello);
    T_REQUIRE(tri_frame_decode(buffer.data, buffer.size, &frame) == 0);
    T_REQUIRE(tri_hello_decode(&frame, &got) == 0);
    T_CHECK_INT(got.proto_max, 2);
    T_CHECK_INT(got.incarnation, 4);
    T_CHECK_INT(got.agent.generation, 3);
    T_CHECK_INT(got.name.size, 4);
    T_CHECK_MEM(got.name.data, "name", 4);
    T_CHECK_MEM(got.address.data, "ipc:///x", 8);
    T_CHECK_INT(got.extra_size, 5);
    tri_buffer_free(&buffer);
}

T_TEST(frame, refusal_comes_out_as_it_went_in) {
    struct tri_refusal refusal = {TRI_REFUSE_STALE, {"why", 3}};
    struct tri_frame frame;
    tri_buffer body = {0};
    T_REQUIRE(tri_refusal_encode(&body, &refusal) == 0);
    tri_buffer buffer = make((struct tri_frame){.type = TRI_FRAME_REFUSE, .to_link = 9}, &body);
    T_REQUIRE(tri_frame_decode(buffer.data, buffer.size, &frame) == 0);
    T_REQUIRE(tri_refusal_decode(&frame, &refusal) == 0);
    T_CHECK_INT(refusal.code, TRI_REFUSE_STALE);
    T_CHECK_MEM(refusal.text.data, "why", 3);
    tri_buffer_free(&body);
    tri_buffer_free(&buffer);
}

/* Every prefix ends in the middle of something. */
static void check_prefixes(const tri_buffer *buffer, bool body_may_end) {
    for (size_t size = 0; size < buffer->size; size++) {
        uint8_t *copy = malloc(size + 1); /* of the exact size, for the sanitizer */
        T_REQUIRE(copy != NULL);
        memcpy(copy, buffer->data, size);
        struct tri_frame frame;
        T_CHECK_INT(tri_frame_decode(copy, size, &frame), TR_EPROTOCOL);
        if (size >= TRI_FRAME_HEADER && !body_may_end) {
            tri_store_le(copy + 40, size - TRI_FRAME_HEADER, 4); /* the header agrees */
            T_CHECK_INT(tri_frame_decode(copy, size, &frame), TR_EPROTOCOL);
        }
        free(copy);
    }
}

T_TEST(frame, what_was_cut_off_is_refused) {
    tri_buffer data = make_data();
    check_prefixes(&data, false);
    tri_buffer_free(&data);
    struct tri_hello hello = sample_hello();
    tri_buffer buffer = make_hello(&hello);
    check_prefixes(&buffer, false);
    tri_buffer_free(&buffer);
}

T_TEST(frame, each_part_of_the_header_is_checked) {
    static const struct {
        unsigned at;
        uint8_t value;
    } damage[] = {{0, 'X'}, {3, '2'}, {4, 2},  {5, 0},  {5, 7},  {6, 1},
                  {7, 1},   {8, 0},   {16, 0}, {24, 0}, {40, 1}, {44, 1}};
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        tri_buffer buffer = make_data();
        buffer.data[damage[i].at] = damage[i].value;
        if (decode(&buffer) != TR_EPROTOCOL) {
            T_FAIL("byte %u was not checked", damage[i].at);
        }
        tri_buffer_free(&buffer);
    }
}

/* One record of a kind with a bad byte. */
static int decode_damaged(const struct tri_record *record, size_t at, uint8_t value) {
    tri_buffer body = {0};
    size_t start;
    T_REQUIRE(tri_record_begin(&body, record, &start) == 0);
    tri_record_end(&body, start);
    if (at < body.size) {
        body.data[at] = value;
    }
    struct tri_frame frame = {
        .type = TRI_FRAME_DATA, .from_link = 1, .to_link = 2, .seq = 1, .count = 1};
    tri_buffer buffer = make(frame, &body);
    int err = decode(&buffer);
    tri_buffer_free(&body);
    tri_buffer_free(&buffer);
    return err;
}

T_TEST(frame, each_part_of_a_record_is_checked) {
    const struct tri_record *stop = &samples[3];
    T_CHECK_INT(decode_damaged(stop, SIZE_MAX, 0), 0);
    T_CHECK_INT(decode_damaged(stop, 0, 0), TR_EPROTOCOL);  /* size below its own header */
    T_CHECK_INT(decode_damaged(stop, 0, 19), TR_EPROTOCOL); /* too small for its fields */
    T_CHECK_INT(decode_damaged(stop, 0, 21), TR_EPROTOCOL); /* beyond the frame */
    T_CHECK_INT(decode_damaged(stop, 3, 0xff), TR_EPROTOCOL);
    T_CHECK_INT(decode_damaged(stop, 4, 0), TR_EPROTOCOL); /* no such kind */
    T_CHECK_INT(decode_damaged(stop, 4, 99), TR_EPROTOCOL);
    T_CHECK_INT(decode_damaged(stop, 5, 1), TR_EPROTOCOL);            /* reserved */
    T_CHECK_INT(decode_damaged(stop, 10, 1), TR_EPROTOCOL);           /* reserved, in the place */
    T_CHECK_INT(decode_damaged(&samples[0], 43, 0xff), TR_EPROTOCOL); /* a negative time */
    struct tri_record record = samples[2];
    record.err = 0;
    T_CHECK_INT(decode_damaged(&record, SIZE_MAX, 0),
                TR_EPROTOCOL); /* a failure without an error */
    record.err = -1;
    record.ask = 0;
    T_CHECK_INT(decode_damaged(&record, SIZE_MAX, 0), TR_EPROTOCOL); /* of no ask */
}

T_TEST(frame, nonsense_in_a_hello_is_refused) {
    struct tri_hello good = sample_hello();
    for (int i = 0; i < 8; i++) {
        struct tri_hello hello = good;
        switch (i) {
        case 0: hello.proto_min = 0; break;
        case 1: hello.proto_min = 3; break;
        case 2: hello.node = 0; break;
        case 3: hello.incarnation = 0; break;
        case 4: hello.name.size = 0; break;
        case 5: hello.max_frame = 100; break;
        case 6: hello.beat_ms = 0; break;
        default: hello.lane = 1; break;
        }
        tri_buffer buffer = make_hello(&hello);
        if (decode(&buffer) != TR_EPROTOCOL) {
            T_FAIL("case %d was accepted", i);
        }
        tri_buffer_free(&buffer);
    }
}

T_TEST(frame, control_frames_have_no_body) {
    tri_buffer body = {0};
    T_REQUIRE(tri_buffer_reserve(&body, 1) == 0);
    tri_buffer_put_le(&body, 0, 1);
    for (int type = TRI_FRAME_PING; type <= TRI_FRAME_BYE; type++) {
        struct tri_frame frame = {.type = (uint8_t)type, .from_link = 1, .to_link = 2};
        tri_buffer buffer = make(frame, NULL);
        T_CHECK_INT(decode(&buffer), 0);
        tri_buffer_free(&buffer);
        buffer = make(frame, &body);
        T_CHECK_INT(decode(&buffer), TR_EPROTOCOL);
        tri_buffer_free(&buffer);
    }
    tri_buffer_free(&body);
}

T_TEST(frame, acknowledgement_can_be_changed_in_place) {
    struct tri_frame frame = {.type = TRI_FRAME_PING, .from_link = 1, .to_link = 2, .ack = 5};
    tri_buffer buffer = make(frame, NULL);
    tri_frame_set_ack(buffer.data, UINT64_C(0x0102030405060708));
    T_REQUIRE(tri_frame_decode(buffer.data, buffer.size, &frame) == 0);
    T_CHECK(frame.ack == UINT64_C(0x0102030405060708));
    T_CHECK_INT(buffer.data[32], 8); /* little-endian, whatever the machine is */
    tri_buffer_free(&buffer);
}
