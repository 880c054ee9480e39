/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox.c: the only door into a loop from another thread.
 *
 * DESIGN
 *
 * A stack of nodes that producers push with a compare-and-swap and that the owner takes whole
 * with one exchange, then turns round once. There is no pop of a single node, hence no ABA, and
 * no state in which a half-done push hides later ones. The state of the owner stands in the
 * same word as the newest node:
 *
 *     EMPTY  --push-->  nodes      nodes  --push-->  nodes    (owner awake: no wake-up)
 *     EMPTY  --park-->  PARKED     PARKED --push-->  nodes    (this push writes the eventfd)
 *     nodes  --take-->  EMPTY      PARKED --unpark-> EMPTY
 *     any    --close->  CLOSED     CLOSED --open-->  EMPTY    (CLOSED: push is refused)
 *
 * Why no wake-up is lost. All transitions are read-modify-writes of one word, so they have one
 * total order, and each acts on the value left by the one before. A push comes either before a
 * park, then park finds nodes, fails, and the owner doesn't sleep; or after it, then it finds
 * PARKED and writes the eventfd, whose counter keeps the write until the owner polls. There is
 * no second location whose store could still sit in a store buffer, which is what makes a
 * separate "parked" flag need a full fence on both sides. tests/model/inbox_model.c tries every
 * interleaving, and shows that the variant with the flag fails.
 *
 * Why at most one write per park. PARKED is only made by park, and the push that sees it
 * replaces it in the same operation.
 *
 * Why what the owner reads is complete. A push publishes with release; later pushes are
 * read-modify-writes and so continue its release sequence. The acquire of take or close reads
 * the last of them and thereby synchronises with every push since the last take. A producer
 * never dereferences what it reads from the head, so that it needs no acquire.
 *
 * INVARIANTS
 *
 *   only the owner writes a tag, only producers write a node
 *   wake_fd is written before the inbox is shared (threads that push got the inbox through
 *   something that synchronises: thread creation, a registry) and is never closed, so a late
 *   producer can't write into a descriptor that has been used again
 */
#include "inbox_internal.h"

#include "assert_internal.h"

#include <troupe/core/error.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Nodes are aligned to 8 at least: small odd numbers and 2 are no addresses of nodes. */
enum { TAG_EMPTY = 0, TAG_PARKED = 1, TAG_CLOSED = 2, TAG_LAST = TAG_CLOSED };

_Static_assert(_Alignof(tri_node) > TAG_LAST, "tags must not be addresses of nodes");
_Static_assert(sizeof(tri_inbox) == 128, "the head has a line pair of its own");

/* ---- helpers ------------------------------------------------------------ */

static tri_node *reversed(uintptr_t head) {
    tri_node *newest = (tri_node *)head;
    tri_node *oldest_first = NULL;
    while (newest != NULL) {
        tri_node *older = newest->next;
        newest->next = oldest_first;
        oldest_first = newest;
        newest = older;
    }
    return oldest_first;
}

/* Callable in a signal handler, like the whole of push: leaves errno alone. */
static void wake_owner(int wake_fd) {
    int saved_errno = errno;
    uint64_t one = 1;
    while (write(wake_fd, &one, sizeof one) < 0) {
        if (errno == EAGAIN) {
            /* 2^64 - 2 wakes were never read (an edge-triggered poller needs no read). Reading
             * takes no wake-up away: the write that follows makes the descriptor ready. */
            uint64_t count;
            if (read(wake_fd, &count, sizeof count) < 0) {
                continue; /* the owner was faster */
            }
        } else {
            TRI_ASSERT(errno == EINTR);
        }
    }
    errno = saved_errno;
}

/* ---- construction ------------------------------------------------------- */

int tri_inbox_init(tri_inbox *inbox) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    inbox->wake_fd = fd;
    atomic_init(&inbox->head, TAG_CLOSED);
    return 0;
}

void tri_inbox_open(tri_inbox *inbox) {
    /* Relaxed: the owner's own word; pushes write nothing while it says CLOSED. */
    TRI_ASSERT(atomic_load_explicit(&inbox->head, memory_order_relaxed) == TAG_CLOSED);
    /* Relaxed: it passes no data. A push reads nothing of the owner's but wake_fd, see above. */
    atomic_store_explicit(&inbox->head, TAG_EMPTY, memory_order_relaxed);
}

/* ---- any thread --------------------------------------------------------- */

int tri_inbox_push(tri_inbox *inbox, tri_node *newest, tri_node *oldest) {
    /* Relaxed: only compared, never dereferenced; the compare-and-swap below decides. */
    uintptr_t old = atomic_load_explicit(&inbox->head, memory_order_relaxed);
    do {
        if (TRI_UNLIKELY(old == TAG_CLOSED)) {
            return TR_ESHUTDOWN;
        }
        oldest->next = old == TAG_PARKED ? NULL : (tri_node *)old;
        /* Release on success: publishes the chain; pairs with the acquire exchange of take and
         * close. Relaxed on failure: `old` is only compared again. Weak: the loop retries. */
    } while (TRI_UNLIKELY(!atomic_compare_exchange_weak_explicit(
        &inbox->head, &old, (uintptr_t)newest, memory_order_release, memory_order_relaxed)));
    if (old == TAG_PARKED) {
        wake_owner(inbox->wake_fd);
    }
    return 0;
}

/* ---- owner -------------------------------------------------------------- */

tri_node *tri_inbox_take(tri_inbox *inbox) {
    /* Saves the read-modify-write when nothing is there, and keeps the tags. */
    if (!tri_inbox_has_work(inbox)) {
        return NULL;
    }
    /* Acquire: pairs with the release of each push since the last take, see above. No tag can
     * have appeared since the check: only this thread writes tags. */
    return reversed(atomic_exchange_explicit(&inbox->head, TAG_EMPTY, memory_order_acquire));
}

bool tri_inbox_park(tri_inbox *inbox) {
    uintptr_t expected = TAG_EMPTY;
    /* Relaxed twice: it passes no data. A push that sees PARKED needs nothing from the owner,
     * and one that came before makes this fail; the total order of the word is enough. */
    return atomic_compare_exchange_strong_explicit(&inbox->head, &expected, TAG_PARKED,
                                                   memory_order_relaxed, memory_order_relaxed);
}

void tri_inbox_unpark(tri_inbox *inbox) {
    uintptr_t expected = TAG_PARKED;
    /* Relaxed twice: as in park. When it fails a push has come in between and its nodes stay
     * for take; that push's eventfd write may still be under way: one idle wake-up later. */
    (void)atomic_compare_exchange_strong_explicit(&inbox->head, &expected, TAG_EMPTY,
                                                  memory_order_relaxed, memory_order_relaxed);
}

tri_node *tri_inbox_close(tri_inbox *inbox) {
    /* Acquire: pairs with the pushes, as in take. Nothing is released: a push that is refused
     * reads nothing of the owner's. */
    uintptr_t old = atomic_exchange_explicit(&inbox->head, TAG_CLOSED, memory_order_acquire);
    return old > TAG_LAST ? reversed(old) : NULL;
}
