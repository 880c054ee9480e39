/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.c: a message as a MessagePack map from field number to value.
 *
 * DESIGN
 *
 * Fields that are zero are left out, and what is missing is zero: a field can be added or dropped
 * without a new type. What is not in our declaration is skipped. A field of the wrong kind, or a
 * number that its kind can't hold, makes the message invalid; nothing is converted silently.
 *
 * msgpack-c believes the counts of arrays and maps: five bytes that announce 2^32 elements make
 * it ask for 96 GiB. So is_sound() first walks over the input once, without memory, and demands that
 * each announced element has at least one byte left to stand in. Nesting is bounded by
 * msgpack-c itself (32).
 */
#include "codec_internal.h"

#include <troupe/core/error.h>

#include <msgpack.h>

enum { ZONE_CHUNK = 4096, REF_FIELDS = 5 };

/* ---- references ------------------------------------------------------------------- */

tr_ref tri_ref_leaving(const tri_codec *codec, tr_ref ref) {
    if (ref.node == 0 && ref.generation != 0) {
        ref.node = codec->node;
        ref.incarnation = codec->incarnation;
    }
    return ref;
}

tr_ref tri_ref_arriving(const tri_codec *codec, tr_ref ref) {
    if (ref.node == codec->node && ref.incarnation == codec->incarnation) {
        ref.node = 0;
        ref.incarnation = 0;
    }
    return ref;
}

/* ---- writing ------------------------------------------------------------------------ */

static int write_bytes(void *arg, const char *bytes, size_t size) {
    tri_buffer *buffer = arg;
    if (tri_buffer_reserve(buffer, size) < 0) {
        return -1;
    }
    tri_buffer_put(buffer, bytes, size);
    return 0;
}

/* A field of any kind, read from the struct. */
union value {
    bool boolean;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    double real;
    tr_string string;
    tr_bytes bytes;
    tr_ref ref;
};

static const struct {
    uint8_t size;
} kinds[] = {
    [TR_KIND_BOOL] = {sizeof(bool)},        [TR_KIND_INT32] = {sizeof(int32_t)},
    [TR_KIND_UINT32] = {sizeof(uint32_t)},  [TR_KIND_INT64] = {sizeof(int64_t)},
    [TR_KIND_UINT64] = {sizeof(uint64_t)},  [TR_KIND_DOUBLE] = {sizeof(double)},
    [TR_KIND_STRING] = {sizeof(tr_string)}, [TR_KIND_BYTES] = {sizeof(tr_bytes)},
    [TR_KIND_REF] = {sizeof(tr_ref)},
};

static union value load(const struct tr_field *field, const void *message) {
    union value value = {0};
    memcpy(&value, (const char *)message + field->offset, kinds[field->kind].size);
    return value;
}

/* Whether a field may be left out. A double's sign counts: -0.0 is sent. */
static bool is_zero(const struct tr_field *field, const union value *value) {
    static const union value zero;
    switch (field->kind) {
    case TR_KIND_STRING: return value->string.size == 0;
    case TR_KIND_BYTES: return value->bytes.size == 0;
    case TR_KIND_REF: return value->ref.generation == 0;
    default: return memcmp(value, &zero, kinds[field->kind].size) == 0;
    }
}

static int pack_ref(msgpack_packer *packer, tr_ref ref) {
    int rc = msgpack_pack_array(packer, REF_FIELDS);
    rc |= msgpack_pack_uint32(packer, ref.node);
    rc |= msgpack_pack_uint64(packer, ref.incarnation);
    rc |= msgpack_pack_uint16(packer, ref.loop);
    rc |= msgpack_pack_uint32(packer, ref.slot);
    rc |= msgpack_pack_uint32(packer, ref.generation);
    return rc;
}

static int pack_value(msgpack_packer *packer, const tri_codec *codec, uint32_t kind,
                      const union value *value) {
    switch (kind) {
    case TR_KIND_BOOL:
        return value->boolean ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    case TR_KIND_INT32: return msgpack_pack_int32(packer, value->i32);
    case TR_KIND_UINT32: return msgpack_pack_uint32(packer, value->u32);
    case TR_KIND_INT64: return msgpack_pack_int64(packer, value->i64);
    case TR_KIND_UINT64: return msgpack_pack_uint64(packer, value->u64);
    case TR_KIND_DOUBLE: return msgpack_pack_double(packer, value->real);
    case TR_KIND_STRING:
        return msgpack_pack_str(packer, value->string.size) |
               msgpack_pack_str_body(packer, value->string.data, value->string.size);
    case TR_KIND_BYTES:
        return msgpack_pack_bin(packer, value->bytes.size) |
               msgpack_pack_bin_body(packer, value->bytes.data, value->bytes.size);
    case TR_KIND_REF: return pack_ref(packer, tri_ref_leaving(codec, value->ref));
    default: return -1;
    }
}

int tri_codec_encode(const tri_codec *codec, const struct tr_type *type, const void *message,
                     tri_buffer *buffer) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, buffer, write_bytes);
    size_t count = 0;
    for (const struct tr_field *field = type->fields; field->number != 0; field++) {
        union value value = load(field, message);
        count += !is_zero(field, &value);
    }
    int rc = msgpack_pack_map(&packer, count);
    for (const struct tr_field *field = type->fields; field->number != 0 && rc == 0; field++) {
        union value value = load(field, message);
        if (!is_zero(field, &value)) {
            rc = msgpack_pack_uint32(&packer, field->number);
            rc |= pack_value(&packer, codec, field->kind, &value);
        }
    }
    return rc == 0 ? 0 : -ENOMEM;
}

/* ---- checking --------------------------------------------------------------------------- */

/* The first byte of a MessagePack object: how many bytes belong to it besides, and how many
 * objects follow inside it. The count of bytes or objects may stand in the bytes after it. */
static bool measure(const uint8_t *at, size_t left, uint64_t *ret_bytes, uint64_t *ret_objects) {
    /* 0xc4 to 0xdf: bytes of the length field, fixed bytes besides, objects per unit. */
    static const struct {
        uint8_t length, fixed, objects;
    } table[] = {
        {1, 0, 0}, {2, 0, 0}, {4, 0, 0},                        /* bin 8, 16, 32 */
        {1, 1, 0}, {2, 1, 0}, {4, 1, 0},                        /* ext */
        {0, 4, 0}, {0, 8, 0},                                   /* float 32, 64 */
        {0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0},             /* uint 8 to 64 */
        {0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0},             /* int 8 to 64 */
        {0, 2, 0}, {0, 3, 0}, {0, 5, 0}, {0, 9, 0}, {0, 17, 0}, /* fixext 1 to 16 */
        {1, 0, 0}, {2, 0, 0}, {4, 0, 0},                        /* str 8, 16, 32 */
        {2, 0, 1}, {4, 0, 1},                                   /* array 16, 32 */
        {2, 0, 2}, {4, 0, 2},                                   /* map 16, 32 */
    };
    uint8_t first = at[0];
    *ret_bytes = 0;
    *ret_objects = 0;
    if (first < 0x80 || first >= 0xe0 || first == 0xc0 || first == 0xc2 || first == 0xc3) {
        return true; /* a small integer, nil, a boolean */
    }
    if (first < 0x90) {
        *ret_objects = 2u * (first & 0x0fu);
        return true;
    }
    if (first < 0xa0) {
        *ret_objects = first & 0x0fu;
        return true;
    }
    if (first < 0xc0) {
        *ret_bytes = first & 0x1fu;
        return true;
    }
    if (first == 0xc1) {
        return false; /* never used */
    }
    unsigned length = table[first - 0xc4].length;
    if (length >= left) {
        return false;
    }
    uint64_t units = 0;
    for (unsigned i = 1; i <= length; i++) {
        units = units << 8 | at[i]; /* MessagePack is big-endian */
    }
    bool is_container = table[first - 0xc4].objects > 0;
    *ret_objects = is_container ? units * table[first - 0xc4].objects : 0;
    *ret_bytes = length + table[first - 0xc4].fixed + (is_container ? 0 : units);
    return true;
}

/* Whether the input is exactly one object and each announced element can be there. */
static bool is_sound(const uint8_t *at, size_t left) {
    uint64_t expected = 1;
    while (expected > 0) {
        uint64_t bytes, objects;
        if (left == 0 || !measure(at, left, &bytes, &objects) || bytes > left - 1) {
            return false;
        }
        at += 1 + bytes;
        left -= 1 + (size_t)bytes;
        expected += objects - 1;
        if (expected > left) {
            return false;
        }
    }
    return left == 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool read_unsigned(const msgpack_object *object, uint64_t max, uint64_t *ret) {
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > max) {
        return false;
    }
    *ret = object->via.u64;
    return true;
}

static bool read_signed(const msgpack_object *object, int64_t min, int64_t max, int64_t *ret) {
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *ret = object->via.i64;
        return *ret >= min;
    }
    uint64_t value = 0;
    bool ok = read_unsigned(object, (uint64_t)max, &value);
    *ret = (int64_t)value;
    return ok;
}

static bool read_ref(const tri_codec *codec, const msgpack_object *object, tr_ref *ret_ref) {
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size != REF_FIELDS) {
        return false;
    }
    const msgpack_object *parts = object->via.array.ptr;
    uint64_t node, incarnation, loop, slot, generation;
    if (!read_unsigned(&parts[0], UINT32_MAX, &node) ||
        !read_unsigned(&parts[1], UINT64_MAX, &incarnation) ||
        !read_unsigned(&parts[2], UINT16_MAX, &loop) ||
        !read_unsigned(&parts[3], UINT32_MAX, &slot) ||
        !read_unsigned(&parts[4], UINT32_MAX, &generation) || node == 0 || incarnation == 0 ||
        generation == 0) {
        return false; /* without a node it would mean an actor of the reader */
    }
    tr_ref ref = {.incarnation = incarnation,
                  .node = (uint32_t)node,
                  .loop = (uint16_t)loop,
                  .slot = (uint32_t)slot,
                  .generation = (uint32_t)generation};
    *ret_ref = tri_ref_arriving(codec, ref);
    return true;
}

static bool read_value(const tri_codec *codec, uint32_t kind, const msgpack_object *object,
                       union value *value) {
    int64_t i64 = 0;
    uint64_t u64 = 0;
    bool ok = false;
    switch (kind) {
    case TR_KIND_BOOL:
        ok = object->type == MSGPACK_OBJECT_BOOLEAN;
        value->boolean = ok && object->via.boolean;
        return ok;
    case TR_KIND_INT32:
        ok = read_signed(object, INT32_MIN, INT32_MAX, &i64);
        value->i32 = (int32_t)i64;
        return ok;
    case TR_KIND_UINT32:
        ok = read_unsigned(object, UINT32_MAX, &u64);
        value->u32 = (uint32_t)u64;
        return ok;
    case TR_KIND_INT64: return read_signed(object, INT64_MIN, INT64_MAX, &value->i64);
    case TR_KIND_UINT64: return read_unsigned(object, UINT64_MAX, &value->u64);
    case TR_KIND_DOUBLE:
        value->real = object->via.f64;
        return object->type == MSGPACK_OBJECT_FLOAT64 || object->type == MSGPACK_OBJECT_FLOAT32;
    case TR_KIND_STRING:
        value->string = (tr_string){object->via.str.ptr, object->via.str.size};
        return object->type == MSGPACK_OBJECT_STR;
    case TR_KIND_BYTES:
        value->bytes = (tr_bytes){object->via.bin.ptr, object->via.bin.size};
        return object->type == MSGPACK_OBJECT_BIN;
    case TR_KIND_REF: return read_ref(codec, object, &value->ref);
    default: return false;
    }
}

static const struct tr_field *find_field(const struct tr_type *type, uint64_t number) {
    for (const struct tr_field *field = type->fields; field->number != 0; field++) {
        if (field->number == number) {
            return field;
        }
    }
    return NULL;
}

static int read_map(const tri_codec *codec, const struct tr_type *type,
                    const msgpack_object_map *map, void *message) {
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object_kv *pair = &map->ptr[i];
        uint64_t number;
        if (!read_unsigned(&pair->key, UINT64_MAX, &number)) {
            return TR_EPROTOCOL;
        }
        const struct tr_field *field = find_field(type, number);
        if (field == NULL) {
            continue; /* of a newer declaration than ours */
        }
        union value value = {0};
        if (!read_value(codec, field->kind, &pair->val, &value)) {
            return TR_EPROTOCOL;
        }
        memcpy((char *)message + field->offset, &value, kinds[field->kind].size);
    }
    return 0;
}

int tri_codec_decode(tri_codec *codec, const struct tr_type *type, const void *bytes, size_t size,
                     void *ret_message) {
    if (!is_sound(bytes, size)) {
        return TR_EPROTOCOL;
    }
    if (codec->zone == NULL) {
        codec->zone = msgpack_zone_new(ZONE_CHUNK);
        if (codec->zone == NULL) {
            return -ENOMEM;
        }
    }
    msgpack_object object;
    size_t offset = 0;
    int err = TR_EPROTOCOL;
    msgpack_unpack_return rc = msgpack_unpack(bytes, size, &offset, codec->zone, &object);
    if (rc == MSGPACK_UNPACK_NOMEM_ERROR) {
        err = -ENOMEM;
    } else if (rc == MSGPACK_UNPACK_SUCCESS && object.type == MSGPACK_OBJECT_MAP) {
        memset(ret_message, 0, type->size);
        err = read_map(codec, type, &object.via.map, ret_message);
    }
    msgpack_zone_clear(codec->zone); /* strings point into the input, not into the zone */
    return err;
}

void tri_codec_fini(tri_codec *codec) {
    if (codec->zone != NULL) {
        msgpack_zone_free(codec->zone);
        codec->zone = NULL;
    }
}
