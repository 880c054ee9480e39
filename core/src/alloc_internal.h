/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc_internal.h: every allocation of Troupe goes through here, so that tests can make the
 * n-th one fail.
 */
#ifndef TRI_ALLOC_INTERNAL_H
#define TRI_ALLOC_INTERNAL_H

#include "assert_internal.h"

TRI_API void *tri_malloc(size_t size); /* NULL: out of memory */
TRI_API void *tri_calloc(size_t count, size_t size);
TRI_API void *tri_realloc(void *memory, size_t size);
TRI_API void *tri_aligned_alloc(size_t alignment, size_t size); /* freed with tri_free */
TRI_API char *tri_strdup(const char *text);
TRI_API void tri_free(void *memory);

/* Tests: let `successes` more allocations of this process succeed and fail the one after, once;
 * negative: never fail, and don't count. Returns how many allocations were made since the last
 * call, while it was armed. */
TRI_API long tri_alloc_fail_after(long successes);

#endif
