/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.c: the C library's allocator, with a switch that makes the n-th allocation fail.
 *
 * DESIGN
 *
 * Fault injection is always compiled in, so that what is tested is what ships. Unarmed, an
 * allocation pays one relaxed load and a branch. Armed, a shared counter runs down over all
 * threads of the process; the allocation that takes it below zero fails, those after it succeed.
 */
#include "alloc_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool is_armed;
static atomic_long successes_left;
static atomic_long made;

/* Relaxed throughout: numbers that order nothing. A test arms before it starts what it tests. */
static __attribute__((noinline, cold)) bool armed_must_fail(void) {
    (void)atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
    return atomic_fetch_sub_explicit(&successes_left, 1, memory_order_relaxed) == 0;
}

static inline bool must_fail(void) {
    /* Relaxed: as above. */
    return TRI_UNLIKELY(atomic_load_explicit(&is_armed, memory_order_relaxed)) && armed_must_fail();
}

/* NULL means out of memory and nothing else: an empty object has an address too. */
static size_t at_least_one(size_t size) {
    return size > 0 ? size : 1;
}

void *tri_malloc(size_t size) {
    return must_fail() ? NULL : malloc(at_least_one(size));
}

void *tri_calloc(size_t count, size_t size) {
    size_t bytes;
    /* calloc checks too, but sanitizers make it an abort. */
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    return must_fail() ? NULL : calloc(at_least_one(count), at_least_one(size));
}

void *tri_realloc(void *memory, size_t size) {
    return must_fail() ? NULL : realloc(memory, at_least_one(size));
}

void *tri_aligned_alloc(size_t alignment, size_t size) {
    void *memory = NULL;
    TRI_ASSERT(alignment >= sizeof(void *));
    TRI_ASSERT((alignment & (alignment - 1)) == 0);
    if (must_fail() || posix_memalign(&memory, alignment, at_least_one(size)) != 0) {
        return NULL;
    }
    return memory;
}

char *tri_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = tri_malloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void tri_free(void *memory) {
    free(memory);
}

long tri_alloc_fail_after(long successes) {
    /* Relaxed: as above. Disarm first, so that no allocation sees half of the change. */
    atomic_store_explicit(&is_armed, false, memory_order_relaxed);
    long count = atomic_exchange_explicit(&made, 0, memory_order_relaxed);
    atomic_store_explicit(&successes_left, successes, memory_order_relaxed);
    atomic_store_explicit(&is_armed, successes >= 0, memory_order_relaxed);
    return count;
}
