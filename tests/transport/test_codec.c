/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "codec_internal.h"

#include <troupe/actors.h>

TR_MESSAGE(codec_all, (1, bool, flag), (2, int32, i32), (3, uint32, u32), (4, int64, i64),
           (5, uint64, u64), (6, double, real), (7, string, text), (8, bytes, blob),
           (65535, ref, who));
TR_MESSAGE(codec_more, (5, uint64, u64), (99, string, new_text), (100, ref, new_ref));
TR_MESSAGE(codec_none);
TR_MESSAGE(codec_small, (1, int32, value));

static tri_codec here = {.node = 7, .incarnation = 1000};

static int decode_bytes(const struct tr_type *type, const void *bytes, size_t size, void *ret) {
    uint8_t *copy = malloc(size > 0 ? size : 1); /* of the exact size, for the sanitizer */
    T_REQUIRE(copy != NULL);
    memcpy(copy, bytes, size);
    int err = tri_codec_decode(&here, type, copy, size, ret);
    free(copy);
    tri_codec_fini(&here);
    return err;
}

#define DECODE(type, literal, ret) decode_bytes(&tri_type_##type, literal, sizeof(literal) - 1, ret)

T_TEST(codec, all_kinds_come_out_as_they_went_in) {
    codec_all in = {.flag = true,
                    .i32 = INT32_MIN,
                    .u32 = UINT32_MAX,
                    .i64 = INT64_MIN,
                    .u64 = UINT64_MAX,
                    .real = -0.0,
                    .text = tr_str("text"),
                    .blob = {"\0\1\2", 3},
                    .who = {.node = 9, .incarnation = 8, .loop = 1, .slot = 2, .generation = 3}};
    codec_all out;
    tri_buffer buffer = {0};
    T_REQUIRE(tri_codec_encode(&here, &tri_type_codec_all, &in, &buffer) == 0);
    T_REQUIRE(tri_codec_decode(&here, &tri_type_codec_all, buffer.data, buffer.size, &out) == 0);
    T_CHECK(out.flag);
    T_CHECK_INT(out.i32, INT32_MIN);
    T_CHECK_INT(out.u32, UINT32_MAX);
    T_CHECK_INT(out.i64, INT64_MIN);
    T_CHECK(out.u64 == UINT64_MAX);
    T_CHECK_MEM(&out.real, &in.real, sizeof out.real);
    T_CHECK_INT(out.text.size, 4);
    T_CHECK_MEM(out.text.data, "text", 4);
    T_CHECK_INT(out.blob.size, 3);
    T_CHECK_MEM(out.blob.data, "\0\1\2", 3);
    T_CHECK(tr_ref_equal(out.who, in.who));
    /* Borrowed, not copied. */
    T_CHECK((const uint8_t *)out.text.data > buffer.data &&
            (const uint8_t *)out.text.data < buffer.data + buffer.size);
    tri_buffer_free(&buffer);
    tri_codec_fini(&here);
}

T_TEST(codec, zero_fields_are_left_out) {
    codec_all in = {0};
    codec_all out;
    tri_buffer buffer = {0};
    memset(&out, 0xff, sizeof out);
    T_REQUIRE(tri_codec_encode(&here, &tri_type_codec_all, &in, &buffer) == 0);
    T_CHECK_INT(buffer.size, 1);
    T_REQUIRE(tri_codec_decode(&here, &tri_type_codec_all, buffer.data, buffer.size, &out) == 0);
    T_CHECK(!out.flag && out.u64 == 0 && out.text.size == 0 && tr_ref_is_null(out.who));
    tri_buffer_free(&buffer);
    tri_codec_fini(&here);
}

T_TEST(codec, an_empty_message_is_an_empty_map) {
    codec_none in = {0};
    codec_none out;
    tri_buffer buffer = {0};
    T_REQUIRE(tri_codec_encode(&here, &tri_type_codec_none, &in, &buffer) == 0);
    T_CHECK_INT(buffer.size, 1);
    T_CHECK_INT(buffer.data[0], 0x80);
    T_CHECK_INT(DECODE(codec_none, "\x80", &out), 0);
    tri_buffer_free(&buffer);
}

T_TEST(codec, unknown_fields_are_skipped_and_missing_ones_are_zero) {
    codec_more in = {.u64 = 77,
                     .new_text = tr_str("later"),
                     .new_ref = {.node = 1, .incarnation = 1, .generation = 1}};
    codec_all out;
    tri_buffer buffer = {0};
    T_REQUIRE(tri_codec_encode(&here, &tri_type_codec_more, &in, &buffer) == 0);
    T_REQUIRE(tri_codec_decode(&here, &tri_type_codec_all, buffer.data, buffer.size, &out) == 0);
    T_CHECK_INT(out.u64, 77);
    T_CHECK(!out.flag && out.text.size == 0);
    tri_buffer_free(&buffer);
    tri_codec_fini(&here);
}

T_TEST(codec, own_references_leave_with_a_node_and_come_home_without) {
    codec_all in = {.who = {.loop = 1, .slot = 2, .generation = 3}};
    codec_all out;
    tri_codec there = {.node = 8, .incarnation = 5};
    tri_codec later = {.node = 7, .incarnation = 1001};
    tri_buffer buffer = {0};
    T_REQUIRE(tri_codec_encode(&here, &tri_type_codec_all, &in, &buffer) == 0);
    T_REQUIRE(tri_codec_decode(&there, &tri_type_codec_all, buffer.data, buffer.size, &out) == 0);
    T_CHECK_INT(out.who.node, 7);
    T_CHECK_INT(out.who.incarnation, 1000);
    T_REQUIRE(tri_codec_decode(&here, &tri_type_codec_all, buffer.data, buffer.size, &out) == 0);
    T_CHECK(tr_ref_equal(out.who, in.who));
    /* After a restart the old reference is somebody else's: it stays far, and dead. */
    T_REQUIRE(tri_codec_decode(&later, &tri_type_codec_all, buffer.data, buffer.size, &out) == 0);
    T_CHECK_INT(out.who.node, 7);
    T_CHECK_INT(out.who.incarnation, 1000);
    tri_buffer_free(&buffer);
    tri_codec_fini(&here);
    tri_codec_fini(&there);
    tri_codec_fini(&later);
}

T_TEST(codec, wrong_kinds_are_refused) {
    codec_all out;
    T_CHECK_INT(DECODE(codec_all, "\x81\x01\x01", &out), TR_EPROTOCOL);      /* bool <- 1 */
    T_CHECK_INT(DECODE(codec_all, "\x81\x02\xc3", &out), TR_EPROTOCOL);      /* int32 <- true */
    T_CHECK_INT(DECODE(codec_all, "\x81\x02\xc0", &out), TR_EPROTOCOL);      /* int32 <- nil */
    T_CHECK_INT(DECODE(codec_all, "\x81\x03\xff", &out), TR_EPROTOCOL);      /* uint32 <- -1 */
    T_CHECK_INT(DECODE(codec_all, "\x81\x05\xff", &out), TR_EPROTOCOL);      /* uint64 <- -1 */
    T_CHECK_INT(DECODE(codec_all, "\x81\x06\x01", &out), TR_EPROTOCOL);      /* double <- 1 */
    T_CHECK_INT(DECODE(codec_all, "\x81\x07\xc4\x01z", &out), TR_EPROTOCOL); /* string <- bin */
    T_CHECK_INT(DECODE(codec_all, "\x81\x08\xa1z", &out), TR_EPROTOCOL);     /* bytes <- str */
    T_CHECK_INT(DECODE(codec_all, "\x81\xcd\xff\xff\x94\x01\x01\x01\x01", &out),
                TR_EPROTOCOL); /* ref <- 4 parts */
    T_CHECK_INT(DECODE(codec_all, "\x81\xcd\xff\xff\x95\x00\x01\x01\x01\x01", &out),
                TR_EPROTOCOL); /* ref without a node */
    T_CHECK_INT(DECODE(codec_all, "\x81\xa1x\x01", &out),
                TR_EPROTOCOL);                                      /* a key that isn't a number */
    T_CHECK_INT(DECODE(codec_all, "\x91\x01", &out), TR_EPROTOCOL); /* not a map */
}

T_TEST(codec, numbers_that_do_not_fit_are_refused) {
    codec_small out = {0};
    T_CHECK_INT(DECODE(codec_small, "\x81\x01\xce\x7f\xff\xff\xff", &out), 0);
    T_CHECK_INT(out.value, INT32_MAX);
    T_CHECK_INT(DECODE(codec_small, "\x81\x01\xce\x80\x00\x00\x00", &out), TR_EPROTOCOL);
    T_CHECK_INT(DECODE(codec_small, "\x81\x01\xd2\x80\x00\x00\x00", &out), 0);
    T_CHECK_INT(out.value, INT32_MIN);
    T_CHECK_INT(DECODE(codec_small, "\x81\x01\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", &out),
                TR_EPROTOCOL);
}

T_TEST(codec, what_is_cut_off_or_too_long_is_refused) {
    codec_all in = {.flag = true,
                    .i32 = 70000,
                    .text = tr_str("some text"),
                    .blob = {"xyz", 3},
                    .who = {.node = 9, .incarnation = 8, .loop = 1, .slot = 2, .generation = 3}};
    codec_all out;
    tri_buffer buffer = {0};
    T_REQUIRE(tri_codec_encode(&here, &tri_type_codec_all, &in, &buffer) == 0);
    for (size_t size = 0; size < buffer.size; size++) {
        T_CHECK_INT(decode_bytes(&tri_type_codec_all, buffer.data, size, &out), TR_EPROTOCOL);
    }
    T_REQUIRE(tri_buffer_reserve(&buffer, 1) == 0);
    tri_buffer_put_le(&buffer, 0xc0, 1);
    T_CHECK_INT(decode_bytes(&tri_type_codec_all, buffer.data, buffer.size, &out), TR_EPROTOCOL);
    tri_buffer_free(&buffer);
}

/* Five bytes that announce four billion elements must not cost memory. */
T_TEST(codec, announced_sizes_are_not_believed) {
    codec_all out;
    T_CHECK_INT(DECODE(codec_all, "\xdd\xff\xff\xff\xff", &out), TR_EPROTOCOL);
    T_CHECK_INT(DECODE(codec_all, "\xdf\xff\xff\xff\xff", &out), TR_EPROTOCOL);
    T_CHECK_INT(DECODE(codec_all, "\x81\x01\xdd\x7f\xff\xff\xff", &out), TR_EPROTOCOL);
    T_CHECK_INT(DECODE(codec_all, "\x81\x08\xc6\xff\xff\xff\xff", &out), TR_EPROTOCOL);
    T_CHECK_INT(DECODE(codec_all, "\x81\x07\xdb\xff\xff\xff\xff", &out), TR_EPROTOCOL);
    T_CHECK_INT(DECODE(codec_all, "\xc1", &out), TR_EPROTOCOL);
    T_CHECK_INT(DECODE(codec_all, "", &out), TR_EPROTOCOL);
}

T_TEST(codec, deep_nesting_is_an_error) {
    codec_all out;
    char bytes[100];
    memset(bytes, 0x91, sizeof bytes);
    memcpy(bytes, "\x81\x62", 2); /* field 98, which is unknown */
    bytes[sizeof bytes - 1] = 0;
    T_CHECK(decode_bytes(&tri_type_codec_all, bytes, sizeof bytes, &out) < 0);
}

/* Every object of MessagePack in a field that is skipped. */
T_TEST(codec, any_object_can_be_skipped) {
    codec_small out = {0};
    T_CHECK_INT(DECODE(codec_small, "\x82\x09\x93\x01\xa2xy\x81\x01\xc2\x01\x05", &out), 0);
    T_CHECK_INT(out.value, 5);
    T_CHECK_INT(DECODE(codec_small, "\x82\x09\xd4\x01\x02\x01\x06", &out), 0); /* fixext 1 */
    T_CHECK_INT(out.value, 6);
    T_CHECK_INT(DECODE(codec_small,
                       "\x82\x09\xc7\x03\x01"
                       "abc"
                       "\x01\x07",
                       &out),
                0); /* ext 8 */
    T_CHECK_INT(out.value, 7);
    T_CHECK_INT(DECODE(codec_small, "\x82\x09\xca\x00\x00\x00\x00\x01\x08", &out), 0);
    T_CHECK_INT(out.value, 8);
    T_CHECK_INT(DECODE(codec_small, "\x82\x09\xdc\x00\x02\xe0\xc0\x01\x09", &out), 0);
    T_CHECK_INT(out.value, 9);
}
