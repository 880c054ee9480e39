/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a frame of the link protocol. What is accepted must come out the same when it is
 * written again, and its payloads must be safe to decode. */
#include "codec_internal.h"
#include "frame_internal.h"

#include <troupe/actors.h>

TR_MESSAGE(fuzzed, (1, bool, flag), (2, int32, i32), (3, uint64, u64), (4, double, real),
           (5, string, text), (6, bytes, blob), (7, ref, who));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rewrite_payload(const struct tri_record *record) {
    tri_codec codec = {.node = 1, .incarnation = 1};
    tri_buffer again = {0};
    fuzzed message;
    fuzzed second;
    if (tri_codec_decode(&codec, &tri_type_fuzzed, record->payload, record->payload_size,
                         &message) == 0) {
        TRI_ASSERT(tri_codec_encode(&codec, &tri_type_fuzzed, &message, &again) == 0);
        TRI_ASSERT(tri_codec_decode(&codec, &tri_type_fuzzed, again.data, again.size, &second) ==
                   0);
        TRI_ASSERT(message.u64 == second.u64);
        TRI_ASSERT(message.text.size == second.text.size);
        TRI_ASSERT(tr_ref_equal(message.who, second.who));
    }
    tri_buffer_free(&again);
    tri_codec_fini(&codec);
}

static void rewrite_records(const struct tri_frame *frame, tri_buffer *body) {
    struct tri_record record;
    size_t offset = 0;
    while (tri_record_next(frame, &offset, &record)) {
        size_t start;
        TRI_ASSERT(tri_record_begin(body, &record, &start) == 0);
        TRI_ASSERT(tri_buffer_reserve(body, record.payload_size) == 0);
        tri_buffer_put(body, record.payload, record.payload_size);
        tri_record_end(body, start);
        rewrite_payload(&record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tri_frame frame;
    struct tri_hello hello;
    struct tri_refusal refusal;
    tri_buffer body = {0};
    tri_buffer again = {0};
    if (tri_frame_decode(data, size, &frame) < 0) {
        return 0;
    }
    if (frame.type == TRI_FRAME_DATA) {
        rewrite_records(&frame, &body);
    } else if (frame.type == TRI_FRAME_HELLO || frame.type == TRI_FRAME_WELCOME) {
        TRI_ASSERT(tri_hello_decode(&frame, &hello) == 0);
        TRI_ASSERT(tri_hello_encode(&body, &hello) == 0);
    } else if (frame.type == TRI_FRAME_REFUSE) {
        TRI_ASSERT(tri_refusal_decode(&frame, &refusal) == 0);
        TRI_ASSERT(tri_refusal_encode(&body, &refusal) == 0);
    }
    frame.body = body.data;
    TRI_ASSERT(frame.body_size == body.size);
    TRI_ASSERT(tri_frame_encode(&again, &frame) == 0);
    TRI_ASSERT(again.size == size);
    TRI_ASSERT(memcmp(again.data, data, size) == 0);
    tri_buffer_free(&again);
    tri_buffer_free(&body);
    return 0;
}
