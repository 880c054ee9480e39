/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port.c: from loop to loop, in batches.
 *
 * DESIGN
 *
 * What a loop has for another one gathers in a chain, newest first, and is pushed to the other's
 * inbox with one atomic operation at the end of the turn, or at 64 nodes. The same chain carries
 * envelopes on their way and envelopes on their way back to their owner. An envelope that is not
 * back yet counts against the pair's credit: beyond TRI_PAIR_CREDIT of them tr_send() fails with
 * TR_EFULL and tr_send_wait() suspends. The system lane and answers are not counted; their number
 * is bounded by what asked for them.
 *
 * A foreign thread has no chain: it pushes one node at a time, from malloc; the count of those on
 * their way to a loop is bounded as well.
 */
#include "hot_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { FOREIGN_MAX = 65536 };

/* (A) Messages of foreign threads that the loop of this id has not handled. */
static _Atomic(int) foreign_on_way[TR_LOOPS_MAX];

/* ---- waiting lists of senders ------------------------------------------------------------ */

static void sender_cancel(tri_waiter *waiter) {
    tri_sender *sender = TRI_CONTAINER_OF(waiter, tri_sender, waiter);
    for (tri_sender **link = sender->list; *link != NULL; link = &(*link)->next) {
        if (*link == sender) {
            *link = sender->next;
            break;
        }
    }
    tri_wake(waiter, TR_ECANCELLED);
}

int tri_sender_wait(tri_sender **list, const char *reason) {
    tri_sender sender = {.waiter = {.cancel = sender_cancel, .reason = reason}, .list = list};
    while (*list != NULL) {
        list = &(*list)->next;
    }
    *list = &sender;
    return tri_suspend(&sender.waiter);
}

void tri_senders_wake(tri_sender **list, uint32_t count, int result) {
    while (*list != NULL && count > 0) {
        tri_sender *sender = *list;
        *list = sender->next;
        count--;
        tri_wake(&sender->waiter, result);
    }
}

static void port_push(tri_actors *actors, tri_port *port, tri_node *node);

/* ---- memory on its way back ------------------------------------------------------------------ */

/* Blocks of one size go back as one node: the first block carries the list of the others, which
 * the owner appends to its free list without touching them. Their content is over, so the fields
 * of the first one serve for that. */
static tri_node **returns_next(tri_envelope *first) {
    return (tri_node **)(void *)&first->type;
}
static tri_node **returns_last(tri_envelope *first) {
    return (tri_node **)tri_envelope_payload(first); /* a block has 64 bytes at least */
}
static uint32_t *returns_count(tri_envelope *first) {
    return &first->ask_slot;
}

/* At half, not at once: large steps keep both loops busy. */
static void wake_waiting(tri_port *port) {
    if (TRI_UNLIKELY(port->waiting != NULL) && port->on_way <= TRI_PAIR_CREDIT / 2) {
        tri_senders_wake(&port->waiting, TRI_PAIR_CREDIT - port->on_way, 0);
    }
}

/* On the owner's loop. */
static void returns_arrived(tr_loop *loop, tri_node *node) {
    tri_actors *actors = tri_actors_of(loop);
    tri_envelope *first = tri_envelope_of(node);
    if ((first->flags & TRI_ENVELOPE_CREDIT) != 0) {
        tri_port *port = actors->ports[first->at_loop];
        TRI_ASSERT(port->on_way >= *returns_count(first));
        port->on_way -= *returns_count(first);
        wake_waiting(port);
    }
    node->next = *returns_next(first);
    (*returns_last(first))->next = actors->free[first->slab];
    actors->free[first->slab] = node;
}

/* The list of returns becomes a node of the chain. */
static void flush_returns(tri_actors *actors, tri_port *port) {
    tri_envelope *first = port->returns;
    if (first != NULL) {
        *returns_next(first) = first->node.next;
        *returns_last(first) = port->returns_last;
        *returns_count(first) = port->return_count;
        first->node.run = returns_arrived;
        port->returns = NULL;
        port->return_count = 0;
        port_push(actors, port, &first->node);
    }
}

static bool fits_returns(const tri_port *port, const tri_envelope *envelope) {
    const tri_envelope *first = port->returns;
    return first == NULL ||
           (first->slab == envelope->slab && first->flags == envelope->flags &&
            first->at_loop == envelope->at_loop && port->return_count < TRI_FLUSH_AT);
}

static void add_return(tri_actors *actors, tri_port *port, tri_envelope *envelope) {
    if (!fits_returns(port, envelope)) {
        flush_returns(actors, port);
    }
    envelope->node.next = port->returns != NULL ? &port->returns->node : NULL;
    if (port->returns == NULL) {
        port->returns_last = &envelope->node;
    }
    port->returns = envelope;
    port->return_count++;
    tri_loop_flush_later(actors->loop, &port->flush);
}

/* ---- the chain ------------------------------------------------------------------------------ */

/* The other loop has ended: nothing arrives there any more. */
static void chain_failed(tri_actors *actors, tri_node *node) {
    while (node != NULL) {
        tri_node *next = node->next;
        tri_envelope *envelope = TRI_CONTAINER_OF(node, tri_envelope, node);
        if (envelope->owner_loop == actors->loop->id) {
            tri_envelope_refuse(actors, envelope, TR_ESHUTDOWN);
        } else if (envelope->slab >= TRI_SLABS) {
            tri_free(envelope); /* from malloc; blocks of a slab are freed with the slab */
        }
        node = next;
    }
}

static void port_flush(tr_loop *loop, tri_flush *flush) {
    tri_port *port = TRI_CONTAINER_OF(flush, tri_port, flush);
    flush_returns(tri_actors_of(loop), port);
    tri_node *newest = port->newest;
    tri_node *oldest = port->oldest;
    if (newest == NULL) {
        return;
    }
    port->newest = NULL;
    port->oldest = NULL;
    port->queued = 0;
    if (tri_inbox_push(&port->to->inbox, newest, oldest) < 0) {
        oldest->next = NULL;
        chain_failed(tri_actors_of(loop), newest);
    }
}

static void port_push(tri_actors *actors, tri_port *port, tri_node *node) {
    node->next = port->newest;
    port->newest = node;
    if (port->oldest == NULL) {
        port->oldest = node;
    }
    if (++port->queued >= TRI_FLUSH_AT) {
        port_flush(actors->loop, &port->flush);
    } else {
        tri_loop_flush_later(actors->loop, &port->flush);
    }
}

static tri_port *make_port(tri_actors *actors, unsigned id) {
    tr_loop *to = tri_loop_by_id(id);
    tri_port *port = to != NULL ? tri_calloc(1, sizeof *port) : NULL;
    if (port != NULL) {
        port->flush.run = port_flush;
        port->to = to;
        port->to_id = id;
        actors->ports[id] = port;
    }
    return port;
}

tri_port *tri_port_get(tri_actors *actors, unsigned id) {
    tri_port *port = id < TR_LOOPS_MAX ? actors->ports[id] : NULL;
    return TRI_LIKELY(port != NULL) ? port : make_port(actors, id);
}

int tri_port_error(unsigned id) {
    return tri_loop_by_id(id) == NULL ? TR_ENOACTOR : -ENOMEM;
}

bool tri_port_has_credit(const tri_port *port) {
    return port->on_way < TRI_PAIR_CREDIT;
}

void tri_port_send(tri_actors *actors, tri_port *port, tri_envelope *envelope, bool counts) {
    if (counts) {
        envelope->flags |= TRI_ENVELOPE_CREDIT;
        port->on_way++;
    }
    envelope->at_loop = (uint16_t)port->to_id;
    envelope->node.run = tri_envelope_arrived;
    actors->stats.sent_far++;
    port_push(actors, port, &envelope->node);
}

int tri_port_wait(tri_port *port) {
    while (!tri_port_has_credit(port)) {
        int err = tri_sender_wait(&port->waiting, "send");
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

void tri_port_came_back(tri_actors *actors, tri_envelope *envelope) {
    tri_port *port = actors->ports[envelope->at_loop];
    TRI_ASSERT(port->on_way > 0);
    port->on_way--;
    envelope->flags = 0;
    wake_waiting(port);
}

/* Something to be done with an envelope on its owner's loop. Needs no memory: without a port, and
 * so without a chain that it could overtake, it is pushed alone. */
static void go_home(tr_loop *loop, tri_envelope *envelope,
                    void (*run)(tr_loop *loop, tri_node *node)) {
    tri_actors *actors = tri_actors_of(loop);
    tri_port *port = actors != NULL ? tri_port_get(actors, envelope->owner_loop) : NULL;
    envelope->node.run = run;
    if (port != NULL) {
        port_push(actors, port, &envelope->node);
        return;
    }
    tr_loop *owner = tri_loop_by_id(envelope->owner_loop);
    if (tri_inbox_push(&owner->inbox, &envelope->node, &envelope->node) < 0 &&
        envelope->slab >= TRI_SLABS) {
        tri_free(envelope);
    }
}

void tri_port_answer(tri_actors *actors, tri_envelope *envelope) {
    go_home(actors->loop, envelope, tri_envelope_arrived);
}

/* On the owner's loop. */
static void returned(tr_loop *loop, tri_node *node) {
    tri_envelope_recycle(tri_actors_of(loop), tri_envelope_of(node));
}

void tri_port_return(tri_actors *actors, tri_envelope *envelope) {
    if (envelope->owner_loop == TRI_OWNER_MALLOC) {
        if ((envelope->flags & TRI_ENVELOPE_CREDIT) != 0) {
            /* Pairs with the addition in tri_post_foreign(); only the count matters. */
            atomic_fetch_sub_explicit(&foreign_on_way[envelope->at_loop], 1, memory_order_relaxed);
        }
        tri_free(envelope);
        return;
    }
    tri_port *port = tri_port_get(actors, envelope->owner_loop);
    if (TRI_LIKELY(port != NULL && envelope->slab < TRI_SLABS)) {
        add_return(actors, port, envelope);
    } else {
        go_home(actors->loop, envelope, returned);
    }
}

/* ---- foreign threads ---------------------------------------------------------------------------- */

int tri_post_foreign(tr_loop *to, tri_envelope *envelope) {
    envelope->at_loop = (uint16_t)to->id;
    if (envelope->kind == TRI_MESSAGE) {
        /* Relaxed: the count bounds memory and orders nothing. */
        if (atomic_fetch_add_explicit(&foreign_on_way[to->id], 1, memory_order_relaxed) >=
            FOREIGN_MAX) {
            atomic_fetch_sub_explicit(&foreign_on_way[to->id], 1, memory_order_relaxed);
            return TR_EFULL;
        }
        envelope->flags |= TRI_ENVELOPE_CREDIT;
    }
    envelope->node.run = tri_envelope_arrived;
    int err = tri_inbox_push(&to->inbox, &envelope->node, &envelope->node);
    if (err < 0 && (envelope->flags & TRI_ENVELOPE_CREDIT) != 0) {
        atomic_fetch_sub_explicit(&foreign_on_way[to->id], 1, memory_order_relaxed);
    }
    return err;
}

/* ---- arriving ------------------------------------------------------------------------------------- */

static void outgoing(tri_actors *actors, tri_envelope *envelope) {
    tri_remote *remote = tri_system_remote(actors->system);
    if (remote != NULL) {
        remote->outgoing(actors->loop, remote, envelope);
    } else {
        tri_envelope_refuse(actors, envelope, TR_ENODE);
    }
}

/* On the owner's loop. */
static void bounced(tr_loop *loop, tri_node *node) {
    tri_envelope_refuse(tri_actors_of(loop), tri_envelope_of(node), -ENOMEM);
}

/* No memory for the actors of this loop, so it has none: back to the sender. */
static void bounce(tr_loop *loop, tri_envelope *envelope) {
    if (envelope->owner_loop != TRI_OWNER_MALLOC) {
        go_home(loop, envelope, bounced);
    } else {
        tr_log(TR_LOG_ERROR, "out of memory: a message of a foreign thread is lost");
        tri_port_return(NULL, envelope);
    }
}

void tri_envelope_arrived(tr_loop *loop, tri_node *node) {
    tri_envelope *envelope = tri_envelope_of(node);
    tri_actors *actors = tri_actors_get(loop);
    if (TRI_UNLIKELY(actors == NULL)) {
        bounce(loop, envelope);
        return;
    }
    if (envelope->kind == TRI_ANSWER) {
        tri_answer_arrived(actors, envelope);
    } else if (envelope->kind == TRI_CONTROL) {
        tri_envelope_tail(envelope)->control(loop, envelope);
    } else if (envelope->has_tail && tri_envelope_tail(envelope)->to.node != 0) {
        outgoing(actors, envelope);
    } else {
        int err = tri_envelope_deliver(actors, envelope);
        if (TRI_UNLIKELY(err < 0)) {
            tri_envelope_refuse(actors, envelope, err);
        }
    }
}

/* ---- sending -------------------------------------------------------------------------------------- */

int tri_route(tr_loop *from, const tr_ref *to) {
    if (TRI_LIKELY(to->node == 0)) {
        return TRI_LIKELY(!tr_ref_is_null(*to)) ? to->loop : TR_ENOACTOR;
    }
    tri_system *system = from != NULL ? tri_actors_of(from)->system : NULL;
    tri_remote *remote = system != NULL ? tri_system_remote(system) : NULL;
    return remote != NULL ? remote->route(remote, *to) : TR_ENODE;
}

/* Straight to the link on this very loop, but counted: its queue is bounded by credit. */
static void send_to_link(tri_actors *actors, tri_port *port, tri_envelope *envelope, bool counts) {
    envelope->flags |= counts ? TRI_ENVELOPE_CREDIT : 0;
    port->on_way += counts;
    actors->stats.sent_far++;
    outgoing(actors, envelope);
}

int tri_envelope_send(tr_loop *loop, const tr_ref *to, tri_envelope *envelope) {
    int id = tri_route(loop, to);
    if (TRI_UNLIKELY(id < 0)) {
        return id;
    }
    envelope->to_slot = to->slot;
    envelope->to_generation = to->generation;
    if (envelope->has_tail) {
        tri_envelope_tail(envelope)->to = *to;
    }
    if (loop == NULL) {
        tr_loop *at = tri_loop_by_id((unsigned)id);
        return at != NULL ? tri_post_foreign(at, envelope) : TR_ENOACTOR;
    }
    tri_actors *actors = tri_actors_of(loop);
    bool is_here = (unsigned)id == actors->loop_id;
    if (is_here && to->node == 0) {
        return tri_mailbox_offer(actors, envelope);
    }
    tri_port *port = tri_port_get(actors, (unsigned)id);
    if (TRI_UNLIKELY(port == NULL)) {
        return tri_port_error((unsigned)id);
    }
    bool counts = envelope->kind == TRI_MESSAGE;
    if (counts && !tri_port_has_credit(port)) {
        return TR_EFULL;
    }
    if (is_here) {
        send_to_link(actors, port, envelope, counts);
    } else {
        tri_port_send(actors, port, envelope, counts);
    }
    return 0;
}
