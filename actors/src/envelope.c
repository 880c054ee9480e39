/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope.c: a message and where it goes, in one block of memory.
 *
 * Layout: struct tri_envelope, the message's struct, the bytes of its strings one after the other,
 * padding to 8, and for some a struct tri_tail. The pointers inside the struct point at the bytes
 * behind it, so that a handler borrows both alike.
 */
#include "hot_internal.h"

#include <errno.h>

_Static_assert(sizeof(tri_envelope) == 56, "a message of 8 bytes fits a cache line");

static size_t align8(size_t size) {
    return (size + 7) & ~(size_t)7;
}

static bool is_blob(const struct tr_field *field) {
    return field->kind == TR_KIND_STRING || field->kind == TR_KIND_BYTES;
}

/* tr_string and tr_bytes have the same members in the same order. */
static tr_bytes *blob_at(const void *message, const struct tr_field *field) {
    return (tr_bytes *)((uintptr_t)message + field->offset);
}

/* Bytes of the message with its blobs, or SIZE_MAX when that is over 2 GiB. */
size_t tri_message_size(const struct tr_type *type, const void *message) {
    size_t size = type->size;
    if (type->blobs > 0) {
        for (const struct tr_field *field = type->fields; field->number != 0; field++) {
            if (is_blob(field)) {
                size_t blob = blob_at(message, field)->size;
                if (blob > INT32_MAX || size + blob > INT32_MAX) {
                    return SIZE_MAX;
                }
                size += blob;
            }
        }
    }
    return align8(size);
}

int tri_message_error(const struct tr_type *type, const void *message) {
    return message != NULL && tri_message_size(type, message) == SIZE_MAX ? TR_ETOOBIG : -ENOMEM;
}

static void copy_message(void *payload, const struct tr_type *type, const void *message) {
    memcpy(payload, message, type->size);
    if (type->blobs > 0) {
        char *bytes = (char *)payload + type->size;
        for (const struct tr_field *field = type->fields; field->number != 0; field++) {
            if (is_blob(field)) {
                tr_bytes *blob = blob_at(payload, field);
                if (blob->size > 0) {
                    memcpy(bytes, blob->data, blob->size);
                }
                blob->data = bytes;
                bytes += blob->size;
            }
        }
    }
}

tri_envelope *tri_envelope_make(tri_actors *actors, int kind, const struct tr_type *type,
                                const void *message, bool with_tail) {
    size_t size = message != NULL ? tri_message_size(type, message) : 0;
    if (TRI_UNLIKELY(size == SIZE_MAX)) {
        return NULL;
    }
    size_t total = sizeof(tri_envelope) + size + (with_tail ? sizeof(tri_tail) : 0);
    uint8_t slab = TRI_SLAB_NONE;
    tri_envelope *envelope =
        actors != NULL ? tri_slab_alloc(actors, total, &slab) : tri_malloc(total);
    if (TRI_UNLIKELY(envelope == NULL)) {
        return NULL;
    }
    tri_envelope_init(actors, envelope, kind, type, size, slab);
    envelope->has_tail = with_tail;
    if (with_tail) {
        *tri_envelope_tail(envelope) = (tri_tail){.deadline = TR_FOREVER};
    }
    if (message != NULL) {
        copy_message(tri_envelope_payload(envelope), type, message);
    }
    return envelope;
}

tri_envelope *tri_envelope_new(int kind, const struct tr_type *type, const void *message,
                               bool with_tail) {
    tr_loop *loop = tri_current_loop;
    tri_actors *actors = NULL;
    if (loop != NULL) {
        actors = tri_actors_get(loop);
        if (actors == NULL) {
            return NULL;
        }
    }
    return tri_envelope_make(actors, kind, type, message, with_tail);
}

void tri_envelope_free(tr_loop *loop, tri_envelope *envelope) {
    tri_envelope_release(tri_actors_of(loop), envelope);
}
