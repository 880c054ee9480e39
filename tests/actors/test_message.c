/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: what the declaration makes, text, and who owns strings when. */
#include "actors_test.h"

#include <stdio.h>

TR_MESSAGE(tm_all, (1, bool, yes), (20, int32, i32), (3, uint32, u32), (65535, int64, i64),
           (5, uint64, u64), (6, double, real), (7, string, text), (8, bytes, blob), (9, ref, who));
TR_MESSAGE(tm_empty);
TR_MESSAGE(tm_31, (1, uint32, f1), (2, uint32, f2), (3, uint32, f3), (4, uint32, f4),
           (5, uint32, f5), (6, uint32, f6), (7, uint32, f7), (8, uint32, f8), (9, uint32, f9),
           (10, uint32, f10), (11, uint32, f11), (12, uint32, f12), (13, uint32, f13),
           (14, uint32, f14), (15, uint32, f15), (16, uint32, f16), (17, uint32, f17),
           (18, uint32, f18), (19, uint32, f19), (20, uint32, f20), (21, uint32, f21),
           (22, uint32, f22), (23, uint32, f23), (24, uint32, f24), (25, uint32, f25),
           (26, uint32, f26), (27, uint32, f27), (28, uint32, f28), (29, uint32, f29),
           (30, uint32, f30), (31, uint32, f31));
TR_MESSAGE(tm_two, (1, string, name), (2, bytes, data), (3, uint32, nap_ms));

/* ---- declaration ------------------------------------------------------------------------- */

T_TEST(message, fields_stand_in_the_description_as_declared) {
    static const struct tr_field expected[] = {
        {1, TR_KIND_BOOL, offsetof(tm_all, yes), "yes"},
        {20, TR_KIND_INT32, offsetof(tm_all, i32), "i32"},
        {3, TR_KIND_UINT32, offsetof(tm_all, u32), "u32"},
        {65535, TR_KIND_INT64, offsetof(tm_all, i64), "i64"},
        {5, TR_KIND_UINT64, offsetof(tm_all, u64), "u64"},
        {6, TR_KIND_DOUBLE, offsetof(tm_all, real), "real"},
        {7, TR_KIND_STRING, offsetof(tm_all, text), "text"},
        {8, TR_KIND_BYTES, offsetof(tm_all, blob), "blob"},
        {9, TR_KIND_REF, offsetof(tm_all, who), "who"},
    };
    const struct tr_type *type = &tri_type_tm_all;
    T_CHECK_STR(type->name, "tm_all");
    T_CHECK_STR(type->package, "");
    T_CHECK_INT(type->size, sizeof(tm_all));
    T_CHECK_INT(type->blobs, 2);
    for (size_t i = 0; i < 9; i++) {
        T_CHECK_INT(type->fields[i].number, expected[i].number);
        T_CHECK_INT(type->fields[i].kind, expected[i].kind);
        T_CHECK_INT(type->fields[i].offset, expected[i].offset);
        T_CHECK_STR(type->fields[i].name, expected[i].name);
    }
    T_CHECK_INT(type->fields[9].number, 0);
}

T_TEST(message, none_and_31_fields) {
    T_CHECK_INT(tri_type_tm_empty.fields[0].number, 0);
    T_CHECK_INT(tri_type_tm_empty.blobs, 0);
    T_CHECK_INT(sizeof(tm_empty), 1);
    for (uint32_t i = 0; i < 31; i++) {
        T_CHECK_INT(tri_type_tm_31.fields[i].number, i + 1);
        T_CHECK_INT(tri_type_tm_31.fields[i].offset, i * 4);
    }
    T_CHECK_INT(tri_type_tm_31.fields[31].number, 0);
}

T_TEST(message, sizes_of_the_documented_types) {
    T_CHECK(sizeof(tr_ref) <= 24);
}

/* ---- identity ---------------------------------------------------------------------------- */

static uint64_t fnv1a(const char *text) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    }
    return hash;
}

T_TEST(message, the_type_id_is_the_hash_of_package_and_name) {
    struct tr_type packaged = tri_type_tm_all;
    T_CHECK(tr_type_id(&tri_type_tm_all) == fnv1a("tm_all"));
    packaged.package = "org.example";
    T_CHECK(tr_type_id(&packaged) == fnv1a("org.example.tm_all"));
    T_CHECK(fnv1a("") == UINT64_C(14695981039346656037)); /* the published offset basis */
    T_CHECK(fnv1a("a") == UINT64_C(0xaf63dc4c8601ec8c));  /* a published test vector */
}

T_DEATH_TEST_MSG(message, an_endless_name_is_refused, SIGABRT, "254 bytes") {
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct tr_type type = tri_type_tm_empty;
    type.name = name;
    T_CHECK(tr_type_id(&type) != 0);
}

/* ---- text -------------------------------------------------------------------------------- */

T_TEST(message, print_shows_every_kind) {
    char text[512];
    tm_all all = {.yes = true,
                  .i32 = -5,
                  .u32 = 4000000000u,
                  .i64 = INT64_MIN,
                  .u64 = UINT64_MAX,
                  .real = 0.5,
                  .text = tr_str("a\"b\n"),
                  .blob = {"\x01\xff", 2},
                  .who = {.loop = 1, .slot = 2, .generation = 3}};
    T_CHECK_STR(tr_message_print(&tri_type_tm_all, &all, text, sizeof text),
                "tm_all{yes=true, i32=-5, u32=4000000000, i64=-9223372036854775808, "
                "u64=18446744073709551615, real=0.5, text=\"a\\x22b\\x0a\", blob=<01ff>, "
                "who=<1.2.3>}");
    tm_empty empty = {0};
    T_CHECK_STR(tr_message_print(&tri_type_tm_empty, &empty, text, sizeof text), "tm_empty{}");
}

T_TEST(message, print_is_cut_where_the_room_ends) {
    char whole[64];
    char part[64];
    ta_num num = {.n = 123456, .from = 7};
    (void)tr_message_print(&tri_type_ta_num, &num, whole, sizeof whole);
    T_CHECK_STR(whole, "ta_num{n=123456, from=7}");
    for (size_t size = 1; size < sizeof part; size++) {
        memset(part, 'x', sizeof part);
        (void)tr_message_print(&tri_type_ta_num, &num, part, size);
        size_t kept = strlen(whole) < size ? strlen(whole) : size - 1;
        T_CHECK_INT(strlen(part), kept);
        T_CHECK_MEM(part, whole, kept);
        T_CHECK_INT(part[size], 'x');
    }
    part[0] = 'x';
    (void)tr_message_print(&tri_type_ta_num, &num, part, 0);
    T_CHECK_INT(part[0], 'x');
}

T_TEST(message, print_shortens_long_strings) {
    char text[256];
    char bytes[100];
    memset(bytes, 'b', sizeof bytes);
    ta_text message = {.text = {bytes, sizeof bytes}};
    T_CHECK_STR(tr_message_print(&tri_type_ta_text, &message, text, sizeof text),
                "ta_text{text=\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb...\"}");
}

T_TEST(message, a_reference_prints_into_its_buffer) {
    char text[TR_REF_TEXT_SIZE];
    tr_ref near = {.loop = UINT16_MAX, .slot = UINT32_MAX, .generation = UINT32_MAX};
    tr_ref far = near;
    far.node = UINT32_MAX;
    far.incarnation = UINT64_MAX;
    T_CHECK_STR(tr_ref_print(near, text), "<65535.4294967295.4294967295>");
    T_CHECK_STR(tr_ref_print(far, text), "<65535.4294967295.4294967295@ffffffff.ffffffffffffffff>");
    T_CHECK(!tr_ref_equal(near, far));
    T_CHECK(tr_ref_equal(far, far));
    T_CHECK(tr_ref_is_null((tr_ref){0}));
    T_CHECK(!tr_ref_is_null(near));
}

/* ---- who owns strings -------------------------------------------------------------------- */

static atomic_int two_seen;

typedef struct {
    int unused;
} two_reader;

static int on_two(tr_self *self, two_reader *state, const tm_two *m) {
    (void)self;
    (void)state;
    const char *name = m->name.data;
    T_CHECK(ta_text_is(m->name, "name"));
    T_CHECK_INT(m->data.size, 3);
    if (m->nap_ms > 0) {
        T_CHECK_INT(tr_sleep(m->nap_ms * TR_MS), 0);
    }
    T_CHECK(m->name.data == name); /* borrowed until the handler returns, waits included */
    T_CHECK(ta_text_is(m->name, "name"));
    T_CHECK_MEM(m->data.data, "\0\1\2", 3);
    atomic_fetch_add(&two_seen, 1);
    return 0;
}

TR_PROTOCOL(two_reader, tm_two);
TR_BEHAVIOUR(two_reader, TR_ON(tm_two, on_two));

static int send_two(int place) {
    tr_ref reader;
    char name[] = "name";
    char data[] = {0, 1, 2};
    atomic_store(&two_seen, 0);
    T_TASK_REQUIRE(tr_spawn(&reader, two_reader, .place = place) == 0);
    for (uint32_t nap = 0; nap < 4; nap++) {
        memcpy(name, "name", 4);
        memcpy(data, "\0\1\2", 3);
        T_CHECK_INT(tr_send(reader, tm_two, .name = tr_str(name), .data = {data, 3}, .nap_ms = nap),
                    0);
        memset(name, 'X', 4); /* the message has its own copy */
        memset(data, 'X', 3);
    }
    TA_UNTIL(atomic_load(&two_seen) == 4);
    return 0;
}

T_TASK_TEST(message, strings_are_copied_and_borrowed_on_one_loop) {
    return send_two(TR_HERE);
}

T_TASK_TEST_LOOPS(message, strings_are_copied_and_borrowed_across_loops, 2) {
    return send_two(TR_LOOP(1));
}

static atomic_ullong sizes_seen;
static atomic_int sizes_count;

typedef struct {
    int unused;
} size_reader;

static int on_size(tr_self *self, size_reader *state, const ta_text *m) {
    (void)self;
    (void)state;
    for (size_t i = 0; i < m->text.size; i++) {
        if (m->text.data[i] != (char)(i * 7)) {
            T_FAIL("byte %zu of %zu is wrong", i, m->text.size);
            break;
        }
    }
    atomic_fetch_add(&sizes_seen, m->text.size);
    atomic_fetch_add(&sizes_count, 1);
    return 0;
}

TR_PROTOCOL(size_reader, ta_text);
TR_BEHAVIOUR(size_reader, TR_ON(ta_text, on_size));

/* Sizes around those of the blocks that messages are kept in. */
T_TASK_TEST_LOOPS(message, strings_of_many_sizes_arrive_whole, 2) {
    static char bytes[200000];
    static const size_t sizes[] = {0,    1,    7,    8,    9,    100,  120,  200,  440,   900,
                                   1000, 1900, 2000, 4000, 4020, 4024, 4025, 4096, 65536, 200000};
    uint64_t total = 0;
    atomic_store(&sizes_seen, 0);
    atomic_store(&sizes_count, 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 7);
    }
    for (int place = 0; place < 2; place++) {
        tr_ref reader;
        T_TASK_REQUIRE(tr_spawn(&reader, size_reader, .place = TR_LOOP(place)) == 0);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            T_CHECK_INT(tr_send(reader, ta_text, .text = {bytes, sizes[i]}), 0);
            total += sizes[i];
        }
    }
    TA_UNTIL(atomic_load(&sizes_count) == 40);
    T_CHECK_INT(atomic_load(&sizes_seen), total);
    return 0;
}

T_TASK_TEST(message, over_2_gib_is_refused) {
    tr_ref reader;
    ta_text huge = {.text = {"", (size_t)INT32_MAX + 1}};
    T_TASK_REQUIRE(tr_spawn(&reader, size_reader) == 0);
    T_CHECK_INT(tr_send_message(reader, &tri_type_ta_text, &huge), TR_ETOOBIG);
    huge.text.size = SIZE_MAX;
    T_CHECK_INT(tr_send_message(reader, &tri_type_ta_text, &huge), TR_ETOOBIG);
    T_CHECK_INT(tr_send_wait_message(reader, &tri_type_ta_text, &huge), TR_ETOOBIG);
    return 0;
}
