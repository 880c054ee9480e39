/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file ref.h
 * References to actors: small values that stay safe when the actor is gone.
 */
#ifndef TROUPE_ACTORS_REF_H
#define TROUPE_ACTORS_REF_H

#include <troupe/core.h>

/** A reference to one actor, here or on another node. Copy it freely; compare with tr_ref_equal().
 *
 * Its fields never change and are no business of yours. A zeroed one refers to nobody. */
typedef struct tr_ref {
    uint64_t incarnation; /**< of the node; 0: this process */
    uint32_t node;        /**< id of the node; 0: this process */
    uint16_t loop;        /**< id of the loop, in its process */
    uint16_t reserved;    /**< 0 */
    uint32_t slot;        /**< place in the loop's table */
    uint32_t generation;  /**< which actor of that place; 0: nobody */
} tr_ref;

/** Room for tr_ref_print(). */
#define TR_REF_TEXT_SIZE 64

TR_BEGIN_DECLS

/** Whether two references name the same actor.
 *
 * @thread any
 */
static inline bool tr_ref_equal(tr_ref a, tr_ref b) {
    return a.incarnation == b.incarnation && a.node == b.node && a.loop == b.loop &&
           a.slot == b.slot && a.generation == b.generation;
}

/** Whether a reference names nobody, as a zeroed one does.
 *
 * @thread any
 */
static inline bool tr_ref_is_null(tr_ref ref) {
    return ref.generation == 0;
}

/** Write a reference as text, for logs: "<loop.slot.generation>", with "@node" when it is far.
 *
 * @param ref   any
 * @param text  room for TR_REF_TEXT_SIZE bytes
 * @return text
 * @thread any
 */
TR_API char *tr_ref_print(tr_ref ref, char *text);

TR_END_DECLS

#endif /* TROUPE_ACTORS_REF_H */
