/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot_internal.h: the few steps that every message takes, inline.
 *
 * A message to an actor of the same loop: find the actor, see that it has room, take a block, copy
 * the struct, append, and put the actor in the ready queue. No atomics, no system call, no malloc.
 */
#ifndef TRI_HOT_INTERNAL_H
#define TRI_HOT_INTERNAL_H

#include "actors_internal.h"

#include "sanitizer_internal.h"

#include <string.h>

/* ---- blocks ---------------------------------------------------------------------------------- */

enum { TRI_SLAB_STEP = 64, TRI_SLAB_SMALL = 4, TRI_SLAB_NONE = 255 };

struct tri_block {
    struct tri_block *next;
};

static inline void *tri_slab_alloc(tri_actors *actors, size_t size, uint8_t *ret_slab) {
    /* The first classes are multiples of 64. */
    if (TRI_LIKELY(size <= TRI_SLAB_SMALL * TRI_SLAB_STEP) && !TRI_ASAN) {
        size_t slab = (size - 1) / TRI_SLAB_STEP;
        struct tri_block *block = actors->free[slab];
        if (TRI_LIKELY(block != NULL)) {
            actors->free[slab] = block->next;
            __builtin_prefetch(block->next, 1); /* it may come from another core */
            *ret_slab = (uint8_t)slab;
            return block;
        }
    }
    return tri_slab_alloc_slow(actors, size, ret_slab);
}

static inline void tri_slab_free(tri_actors *actors, void *memory, uint8_t slab) {
    if (TRI_UNLIKELY(slab == TRI_SLAB_NONE)) {
        tri_free(memory);
        return;
    }
    struct tri_block *block = memory;
    block->next = actors->free[slab];
    actors->free[slab] = block;
}

/* ---- envelopes --------------------------------------------------------------------------------- */

static inline void tri_envelope_init(tri_actors *actors, tri_envelope *envelope, int kind,
                                     const struct tr_type *type, size_t size, uint8_t slab) {
    uint16_t owner = actors != NULL ? (uint16_t)actors->loop_id : TRI_OWNER_MALLOC;
    envelope->type = type;
    envelope->ask_slot = 0;
    envelope->ask_generation = 0;
    envelope->size = (uint32_t)size;
    envelope->owner_loop = owner;
    envelope->at_loop = owner;
    envelope->ask_loop = 0;
    envelope->kind = (uint8_t)kind;
    envelope->slab = slab;
    envelope->flags = 0;
    envelope->has_tail = false;
    envelope->unused = 0;
}

/* A message without blobs and tail: most of them. */
static inline tri_envelope *tri_envelope_make_plain(tri_actors *actors, const struct tr_type *type,
                                                    const void *message) {
    size_t size = (type->size + 7) & ~(size_t)7;
    uint8_t slab;
    tri_envelope *envelope = tri_slab_alloc(actors, sizeof *envelope + size, &slab);
    if (TRI_LIKELY(envelope != NULL)) {
        tri_envelope_init(actors, envelope, TRI_MESSAGE, type, size, slab);
        if (TRI_LIKELY(type->size == sizeof(uint64_t))) {
            memcpy(tri_envelope_payload(envelope), message, sizeof(uint64_t));
        } else {
            memcpy(tri_envelope_payload(envelope), message, type->size);
        }
    }
    return envelope;
}

static inline void tri_envelope_recycle(tri_actors *actors, tri_envelope *envelope) {
    if (TRI_UNLIKELY((envelope->flags & TRI_ENVELOPE_CREDIT) != 0)) {
        tri_port_came_back(actors, envelope);
    }
    tri_slab_free(actors, envelope, envelope->slab);
}

static inline void tri_envelope_release(tri_actors *actors, tri_envelope *envelope) {
    if (TRI_LIKELY(envelope->owner_loop == actors->loop_id)) {
        tri_envelope_recycle(actors, envelope);
    } else {
        tri_port_return(actors, envelope);
    }
}

/* ---- actors and their mailboxes ------------------------------------------------------------------ */

static inline tr_actor *tri_actor_find(const tri_actors *actors, uint32_t slot,
                                       uint32_t generation) {
    if (TRI_UNLIKELY(slot >= actors->slot_count)) {
        return NULL;
    }
    const struct tri_slot *entry = &actors->chunks[slot / TRI_SLOT_CHUNK][slot % TRI_SLOT_CHUNK];
    return TRI_LIKELY(entry->generation == generation) ? entry->actor : NULL;
}

/* An empty mailbox takes a message of any size: otherwise nobody could ever send it. */
static inline bool tri_mailbox_is_full(const tr_actor *actor, size_t size) {
    return actor->count >= actor->count_max ||
           (actor->count > 0 && size + actor->bytes > actor->bytes_max);
}

static inline void tri_mailbox_append(tri_actors *actors, tr_actor *actor, tri_envelope *envelope) {
    envelope->node.next = NULL;
    *actor->tail = &envelope->node;
    actor->tail = &envelope->node.next;
    if (TRI_LIKELY(envelope->kind == TRI_MESSAGE)) {
        actor->count++;
        actor->bytes += envelope->size;
    }
    if (actor->state == TRI_IDLE) {
        actor->state = TRI_READY;
        tri_loop_ready(actors->loop, &actor->node);
    } else if (TRI_UNLIKELY(actor->state == TRI_RECEIVING)) {
        tri_receive_arrived(actor, envelope);
    }
}

/* An envelope that has its address: as tri_mailbox_offer(), which takes the rare cases. */
static inline int tri_envelope_deliver(tri_actors *actors, tri_envelope *envelope) {
    tr_actor *actor = tri_actor_find(actors, envelope->to_slot, envelope->to_generation);
    if (TRI_LIKELY(actor != NULL && envelope->kind == TRI_MESSAGE &&
                   !tri_mailbox_is_full(actor, envelope->size))) {
        tri_mailbox_append(actors, actor, envelope);
        return 0;
    }
    return tri_mailbox_offer(actors, envelope);
}

/* A message for an actor of this loop, not sent yet. */
static inline tri_envelope *tri_message_make(tri_actors *actors, const struct tr_type *type,
                                             const void *message) {
    return TRI_LIKELY(type->blobs == 0)
               ? tri_envelope_make_plain(actors, type, message)
               : tri_envelope_make(actors, TRI_MESSAGE, type, message, false);
}

static inline tri_envelope *tri_envelope_of(tri_node *node) {
    return (tri_envelope *)(void *)node; /* its first member */
}

/* Take the oldest out of a mailbox that isn't empty. */
static inline tri_envelope *tri_mailbox_pop(tr_actor *actor) {
    tri_envelope *envelope = tri_envelope_of(actor->head);
    actor->head = envelope->node.next;
    if (actor->head == NULL) {
        actor->tail = &actor->head;
    }
    if (TRI_LIKELY(envelope->kind == TRI_MESSAGE)) {
        actor->count--;
        actor->bytes -= envelope->size;
    }
    return envelope;
}

#endif
