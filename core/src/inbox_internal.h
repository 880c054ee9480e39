/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox_internal.h: the only door into a loop from another thread.
 */
#ifndef TRI_INBOX_INTERNAL_H
#define TRI_INBOX_INTERNAL_H

#include "assert_internal.h"

#include <stdatomic.h>

/* Something a loop runs once: a link and a function. The ready queue and the inbox carry
 * the same nodes, so that what arrives from outside costs nothing to queue. */
typedef struct tri_node tri_node;
typedef void tri_node_fn(tr_loop *loop, tri_node *node);
struct tri_node {
    tri_node *next;
    tri_node_fn *run;
};

/* Producers' word and wake-up descriptor stand on a line of their own (128 bytes: adjacent
 * lines are fetched in pairs). */
typedef struct tri_inbox {
    _Alignas(128) _Atomic(uintptr_t) head; /* (P) newest node, or a TRI_INBOX_ tag */
    int wake_fd;                           /* (C) eventfd; open for the life of the process */
    char pad[128 - sizeof(uintptr_t) - sizeof(int)];
} tri_inbox;

/* A head up to this is a tag: empty, parked or closed. */
enum { TRI_INBOX_TAG_LAST = 2 };

/* Opens closed: push returns TR_ESHUTDOWN until tri_inbox_open(). 0 or -errno (eventfd). */
int tri_inbox_init(tri_inbox *inbox);
void tri_inbox_open(tri_inbox *inbox);

/* Any thread. Push a chain that is linked newest to oldest (one node: newest == oldest) and
 * wake the owner when it sleeps (one eventfd write per park). 0, or TR_ESHUTDOWN with the
 * chain untouched except for oldest->next. */
TRI_API int tri_inbox_push(tri_inbox *inbox, tri_node *newest, tri_node *oldest);

/* Owner only. */
static inline bool tri_inbox_has_work(tri_inbox *inbox) {
    /* Relaxed: a hint; the acquire exchange of take pairs with the pushes. */
    return atomic_load_explicit(&inbox->head, memory_order_relaxed) > TRI_INBOX_TAG_LAST;
}
tri_node *tri_inbox_take(tri_inbox *inbox);  /* all nodes, oldest first; NULL when empty */
bool tri_inbox_park(tri_inbox *inbox);       /* false: work arrived, don't sleep */
void tri_inbox_unpark(tri_inbox *inbox);     /* after the sleep; work may be there or not */
tri_node *tri_inbox_close(tri_inbox *inbox); /* what was left, oldest first */

#endif
