/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.c: blocks of few sizes for one loop: actors and messages.
 *
 * Blocks are cut from chunks of 64 KiB and go back to a list of their size; the chunks are freed
 * with the runtime, when no other loop can hold a block any more. Larger blocks, and all blocks in
 * AddressSanitizer builds, come from malloc.
 */
#include "hot_internal.h"

static const uint16_t block_sizes[TRI_SLABS] = {64, 128, 192, 256, 512, 1024, 2048, 4096};

enum { CHUNK = 64 * 1024 };

static int class_of(size_t size) {
    if (TRI_ASAN || size > block_sizes[TRI_SLABS - 1]) {
        return TRI_SLAB_NONE;
    }
    int slab = 0;
    while (block_sizes[slab] < size) {
        slab++;
    }
    return slab;
}

/* Cut a chunk into blocks. The first 64 bytes link the chunks; blocks start on cache lines. */
static bool refill(tri_actors *actors, int slab) {
    char *chunk = tri_aligned_alloc(64, CHUNK);
    if (chunk == NULL) {
        return false;
    }
    *(void **)(void *)chunk = actors->slabs;
    actors->slabs = chunk;
    size_t size = block_sizes[slab];
    struct tri_block *first = NULL;
    for (size_t at = 64 + (CHUNK - 64) / size * size; at > 64; at -= size) {
        struct tri_block *block = (void *)(chunk + at - size);
        block->next = first;
        first = block;
    }
    actors->free[slab] = first;
    return true;
}

void *tri_slab_alloc_slow(tri_actors *actors, size_t size, uint8_t *ret_slab) {
    int slab = class_of(size);
    *ret_slab = (uint8_t)slab;
    if (slab == TRI_SLAB_NONE) {
        return tri_malloc(size);
    }
    if (actors->free[slab] == NULL && !refill(actors, slab)) {
        return NULL;
    }
    struct tri_block *block = actors->free[slab];
    TRI_ASSERT(block != NULL);
    actors->free[slab] = block->next;
    return block;
}

void tri_slabs_fini(tri_actors *actors) {
    while (actors->slabs != NULL) {
        void *chunk = actors->slabs;
        actors->slabs = *(void **)chunk;
        tri_free(chunk);
    }
}
