/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file message.h
 * Declaring messages: one line gives the struct, its description and its wire format.
 *
 * @code
 *     TR_MESSAGE(add,   (1, uint64, amount));
 *     TR_MESSAGE(greet, (1, string, name), (2, ref, from));
 *     TR_MESSAGE(query);
 *     TR_MESSAGE(total, (1, uint64, value));
 *     TR_REPLY(query, total);
 * @endcode
 *
 * A field is (number, kind, name). The number, 1 to 65535, is what stands on the wire: never
 * use one again for something else. Kinds and what they are in the struct:
 *
 *     bool      bool          int32     int32_t      uint32    uint32_t
 *     double    double        int64     int64_t      uint64    uint64_t
 *     string    tr_string     bytes     tr_bytes     ref       tr_ref
 *
 * Sending copies the whole message, the bytes of strings included. The receiver's handler
 * borrows them until it returns.
 */
#ifndef TROUPE_ACTORS_MESSAGE_H
#define TROUPE_ACTORS_MESSAGE_H

#include <troupe/actors/pp.h>
#include <troupe/actors/ref.h>

#include <string.h>

/** Text, not ended by a zero byte. */
typedef struct tr_string {
    const char *data; /**< size bytes */
    size_t size;      /**< bytes */
} tr_string;

/** Bytes. */
typedef struct tr_bytes {
    const void *data; /**< size bytes */
    size_t size;      /**< bytes */
} tr_bytes;

/** What a field holds. Append only: the numbers are part of a type's schema. */
enum tr_kind {
    TR_KIND_BOOL = 1,
    TR_KIND_INT32 = 2,
    TR_KIND_UINT32 = 3,
    TR_KIND_INT64 = 4,
    TR_KIND_UINT64 = 5,
    TR_KIND_DOUBLE = 6,
    TR_KIND_STRING = 7,
    TR_KIND_BYTES = 8,
    TR_KIND_REF = 9
};

/** One field of a message type. */
struct tr_field {
    uint32_t number;  /**< on the wire; 0 ends the list */
    uint32_t kind;    /**< enum tr_kind */
    size_t offset;    /**< in the struct, bytes */
    const char *name; /**< for text dumps */
};

/** A message type, made by TR_MESSAGE(). */
struct tr_type {
    const char *package;           /**< TR_PACKAGE where it was declared */
    const char *name;              /**< as declared */
    size_t size;                   /**< of the struct, bytes */
    const struct tr_field *fields; /**< ended by number 0 */
    size_t blobs;                  /**< how many strings and byte fields it has */
};

TR_BEGIN_DECLS

/** The identity of a message type on the wire.
 *
 * @return the 64-bit FNV-1a hash of "package.name", or of "name" without a package
 * @thread any
 */
TR_API uint64_t tr_type_id(const struct tr_type *type);

/** Write a message as text, for logs: "add{amount=5}".
 *
 * @param type     its type
 * @param message  the struct
 * @param text     room for size bytes; always ended by a zero byte when size > 0
 * @param size     bytes
 * @return text
 * @thread any
 */
TR_API char *tr_message_print(const struct tr_type *type, const void *message, char *text,
                              size_t size);

/** A string literal or any text that ends with a zero byte, as a tr_string that borrows it.
 *
 * @thread any
 */
static inline tr_string tr_str(const char *text) {
    tr_string string = {text, strlen(text)};
    return string;
}

TR_END_DECLS

/* clang-format off */
/** Name space of the messages that follow; define it before this header is first included. */
#ifndef TR_PACKAGE
#define TR_PACKAGE ""
#endif

#define TRI_CTYPE_bool   bool
#define TRI_CTYPE__Bool  bool
#define TRI_CTYPE_int32  int32_t
#define TRI_CTYPE_uint32 uint32_t
#define TRI_CTYPE_int64  int64_t
#define TRI_CTYPE_uint64 uint64_t
#define TRI_CTYPE_double double
#define TRI_CTYPE_string tr_string
#define TRI_CTYPE_bytes  tr_bytes
#define TRI_CTYPE_ref    tr_ref

#define TRI_KIND_bool   TR_KIND_BOOL
#define TRI_KIND__Bool  TR_KIND_BOOL
#define TRI_KIND_int32  TR_KIND_INT32
#define TRI_KIND_uint32 TR_KIND_UINT32
#define TRI_KIND_int64  TR_KIND_INT64
#define TRI_KIND_uint64 TR_KIND_UINT64
#define TRI_KIND_double TR_KIND_DOUBLE
#define TRI_KIND_string TR_KIND_STRING
#define TRI_KIND_bytes  TR_KIND_BYTES
#define TRI_KIND_ref    TR_KIND_REF

#define TRI_BLOB_bool   0
#define TRI_BLOB__Bool  0
#define TRI_BLOB_int32  0
#define TRI_BLOB_uint32 0
#define TRI_BLOB_int64  0
#define TRI_BLOB_uint64 0
#define TRI_BLOB_double 0
#define TRI_BLOB_string 1
#define TRI_BLOB_bytes  1
#define TRI_BLOB_ref    0
#define TRI_BLOB_end    0

/* Its arguments for a real field, nothing for the sentinel. */
#define TRI_REAL_bool(...)   __VA_ARGS__
#define TRI_REAL__Bool(...)  __VA_ARGS__
#define TRI_REAL_int32(...)  __VA_ARGS__
#define TRI_REAL_uint32(...) __VA_ARGS__
#define TRI_REAL_int64(...)  __VA_ARGS__
#define TRI_REAL_uint64(...) __VA_ARGS__
#define TRI_REAL_double(...) __VA_ARGS__
#define TRI_REAL_string(...) __VA_ARGS__
#define TRI_REAL_bytes(...)  __VA_ARGS__
#define TRI_REAL_ref(...)    __VA_ARGS__
#define TRI_REAL_end(...)

/* The first field, or what stands in an empty struct, which C doesn't have. */
#define TRI_FIRST_end(...)    uint8_t tri_nothing;
#define TRI_FIRST_bool(...)   __VA_ARGS__
#define TRI_FIRST__Bool(...)  __VA_ARGS__
#define TRI_FIRST_int32(...)  __VA_ARGS__
#define TRI_FIRST_uint32(...) __VA_ARGS__
#define TRI_FIRST_int64(...)  __VA_ARGS__
#define TRI_FIRST_uint64(...) __VA_ARGS__
#define TRI_FIRST_double(...) __VA_ARGS__
#define TRI_FIRST_string(...) __VA_ARGS__
#define TRI_FIRST_bytes(...)  __VA_ARGS__
#define TRI_FIRST_ref(...)    __VA_ARGS__

#define TRI_MEMBER(c, tuple)                    TRI_MEMBER_(TRI_STRIP tuple)
#define TRI_MEMBER_(...)                        TRI_MEMBER__(__VA_ARGS__)
#define TRI_MEMBER__(number, kind, field)       TRI_REAL_##kind(TRI_CTYPE_##kind field;)
#define TRI_FIRST(tuple)                        TRI_FIRST_(TRI_STRIP tuple)
#define TRI_FIRST_(...)                         TRI_FIRST__(__VA_ARGS__)
#define TRI_FIRST__(number, kind, field)        TRI_FIRST_##kind(TRI_CTYPE_##kind field;)
#define TRI_FIELD(c, tuple)                     TRI_FIELD_(c, TRI_STRIP tuple)
#define TRI_FIELD_(...)                         TRI_FIELD__(__VA_ARGS__)
#define TRI_FIELD__(c, number, kind, field)     \
    TRI_REAL_##kind({number, TRI_KIND_##kind, offsetof(c, field), #field},)
/* An enumerator named after each number: the same number twice is declared twice. */
#define TRI_NUMBER(c, tuple)                    TRI_NUMBER_(c, TRI_STRIP tuple)
#define TRI_NUMBER_(...)                        TRI_NUMBER__(__VA_ARGS__)
#define TRI_NUMBER__(c, number, kind, field)    \
    TRI_REAL_##kind(tri_number_##number##_is_used_twice_in_##c = 1 / ((number) >= 1 && (number) <= 65535),)
#define TRI_BLOBS(c, tuple)                     TRI_BLOBS_(TRI_STRIP tuple)
#define TRI_BLOBS_(...)                         TRI_BLOBS__(__VA_ARGS__)
#define TRI_BLOBS__(number, kind, field)        + TRI_BLOB_##kind

/** Declare a message type: TR_MESSAGE(name, (number, kind, field), ...); up to 31 fields. */
#define TR_MESSAGE(...) TRI_MESSAGE(__VA_ARGS__, (0, end, tri_a), (0, end, tri_b))
#define TRI_MESSAGE(name, first, ...)                                                             \
    typedef struct name {                                                                         \
        TRI_FIRST(first)                                                                          \
        TRI_EACH(TRI_MEMBER, name, __VA_ARGS__)                                                   \
    } name;                                                                                       \
    enum {                                                                                        \
        TRI_EACH(TRI_NUMBER, name, first, __VA_ARGS__)                                            \
        tri_numbers_of_##name                                                                     \
    };                                                                                            \
    static const struct tr_field tri_fields_of_##name[] = {                                       \
        TRI_EACH(TRI_FIELD, name, first, __VA_ARGS__){0, 0, 0, ""}};                              \
    TRI_SHARED_CONST struct tr_type tri_type_##name = {                                           \
        TR_PACKAGE, #name, sizeof(name), tri_fields_of_##name,                                    \
        0 TRI_EACH(TRI_BLOBS, name, first, __VA_ARGS__)};                                         \
    TRI_MESSAGE_EXTRA(name)

/** Say which message answers a request: tr_ask() and tr_reply() check it. */
#define TR_REPLY(request, reply)                                                                  \
    typedef reply tri_reply_of_##request;                                                         \
    TRI_REPLY_EXTRA(request, reply)

#ifdef __cplusplus
#define TRI_MESSAGE_EXTRA(name)                                                                   \
    inline const struct tr_type *tri_type_of(const name *) { return &tri_type_##name; }           \
    struct tri_declared_##name
#define TRI_REPLY_EXTRA(request, reply)                                                           \
    inline reply *tri_reply_of(const request *) { return nullptr; }                               \
    struct tri_replied_##request
#else
#define TRI_MESSAGE_EXTRA(name)                                                                   \
    TRI_SHARED_CONST name tri_zero_##name;                                                        \
    struct tri_declared_##name
#define TRI_REPLY_EXTRA(request, reply)                                                           \
    TRI_SHARED_CONST struct tr_type *const tri_reply_type_of_##request = &tri_type_##reply;       \
    struct tri_replied_##request
#endif

/* &(name){fields}, or the zero message when there are none. */
#define TRI_LITERAL(...)           TRI_CAT(TRI_LITERAL_, TRI_ONE_OR_MANY(__VA_ARGS__))(__VA_ARGS__)
#define TRI_LITERAL_ONE(name)      (&tri_zero_##name)
#define TRI_LITERAL_MANY(name, ...) (&(name){__VA_ARGS__})
/* &tri_type_name of the first argument. */
#define TRI_TYPE_OF(...)           TRI_TYPE_OF_(__VA_ARGS__, ~)
#define TRI_TYPE_OF_(name, ...)    (&tri_type_##name)
/* clang-format on */

#endif /* TROUPE_ACTORS_MESSAGE_H */
