/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer_internal.h: bytes that grow, and little-endian integers in them.
 */
#ifndef TRI_BUFFER_INTERNAL_H
#define TRI_BUFFER_INTERNAL_H

#include "alloc_internal.h"

#include <errno.h>
#include <string.h>

typedef struct tri_buffer {
    uint8_t *data;   /* tri_malloc; NULL while capacity is 0 */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes */
} tri_buffer;

/* Room for `more` further bytes. 0 or -ENOMEM, with the contents untouched. */
static inline int tri_buffer_reserve(tri_buffer *buffer, size_t more) {
    if (buffer->capacity - buffer->size >= more) {
        return 0;
    }
    size_t capacity = buffer->capacity < 512 ? 512 : buffer->capacity;
    while (capacity - buffer->size < more) {
        if (capacity > SIZE_MAX / 2) {
            return -ENOMEM;
        }
        capacity *= 2;
    }
    uint8_t *data = tri_realloc(buffer->data, capacity);
    if (data == NULL) {
        return -ENOMEM;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

/* After a tri_buffer_reserve() that covers it. */
static inline void tri_buffer_put(tri_buffer *buffer, const void *bytes, size_t size) {
    if (size > 0) {
        TRI_ASSERT(buffer->data != NULL && buffer->capacity - buffer->size >= size);
        memcpy(buffer->data + buffer->size, bytes, size);
        buffer->size += size;
    }
}

static inline void tri_buffer_free(tri_buffer *buffer) {
    tri_free(buffer->data);
    *buffer = (tri_buffer){0};
}

/* ---- integers at any address -------------------------------------------------- */

static inline void tri_store_le(uint8_t *at, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint64_t tri_load_le(const uint8_t *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

static inline void tri_buffer_put_le(tri_buffer *buffer, uint64_t value, unsigned bytes) {
    tri_store_le(buffer->data + buffer->size, value, bytes);
    buffer->size += bytes;
}

#endif
