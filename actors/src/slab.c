/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.c: blocks of few sizes for one loop: actors and messages.
 *
 * Blocks are cut from chunks of 64 KiB and go back to a list of their size; the chunks are freed
 * with the runtime, when no other loop can hold a block any more. Larger blocks, and all blocks in
 * AddressSanitizer builds, come from malloc.
 */
#include "actors_internal.h"

#include "sanitizer_internal.h"

static const uint16_t block_sizes[TRI_SLABS] = {64, 128, 192, 256, 512, 1024, 2048, 4096};

enum { CHUNK = 64 * 1024, FROM_MALLOC = 255 };

struct block {
    struct block *next;
};

static int class_of(size_t size) {
    if (TRI_ASAN || size > block_sizes[TRI_SLABS - 1]) {
        return FROM_MALLOC;
    }
    if (size <= 256) {
        return (int)((size - 1) >> 6); /* the first four sizes are multiples of 64 */
    }
    int slab = 4;
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
    struct block **link = (struct block **)&actors->free[slab];
    for (size_t at = 64; at + size <= CHUNK; at += size) {
        struct block *block = (void *)(chunk + at);
        *link = block;
        link = &block->next;
    }
    *link = NULL;
    return true;
}

void *tri_slab_alloc(tri_actors *actors, size_t size, uint8_t *ret_slab) {
    int slab = class_of(size);
    *ret_slab = (uint8_t)slab;
    if (TRI_UNLIKELY(slab == FROM_MALLOC)) {
        return tri_malloc(size);
    }
    struct block *block = actors->free[slab];
    if (TRI_UNLIKELY(block == NULL)) {
        if (!refill(actors, slab)) {
            return NULL;
        }
        block = actors->free[slab];
    }
    actors->free[slab] = block->next;
    return block;
}

void tri_slab_free(tri_actors *actors, void *memory, uint8_t slab) {
    if (TRI_UNLIKELY(slab == FROM_MALLOC)) {
        tri_free(memory);
        return;
    }
    struct block *block = memory;
    block->next = actors->free[slab];
    actors->free[slab] = block;
}

void tri_slabs_fini(tri_actors *actors) {
    while (actors->slabs != NULL) {
        void *chunk = actors->slabs;
        actors->slabs = *(void **)chunk;
        tri_free(chunk);
    }
}
