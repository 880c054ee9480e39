/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asks.c: requests that wait for an answer across a link, in both directions.
 *
 * A request of ours gets a number made of a slot and its generation: an answer that comes too late, or
 * twice, or was made up, finds another generation. A request of the other node is represented by a
 * proxy, an asker of this process that passes the answer on. Both go when the deadline has passed,
 * because then the asker has given up by itself and nobody would miss the answer.
 */
#include "transport_internal.h"

/* An asker's own timer comes first. */
#define GRACE (1 * TR_SECOND)

/* ---- ours ----------------------------------------------------------------------- */

static int more_slots(struct tri_pendings *pendings) {
    uint32_t count = pendings->count == 0 ? 64 : pendings->count * 2;
    struct tri_pending *slots = tri_realloc(pendings->slots, count * sizeof *slots);
    if (slots == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = pendings->count; i < count; i++) {
        slots[i] = (struct tri_pending){.generation = 1, .next_free = i + 1 < count ? i + 2 : 0};
    }
    pendings->free = pendings->count + 1;
    pendings->slots = slots;
    pendings->count = count;
    return 0;
}

static void free_slot(struct tri_pendings *pendings, uint32_t index) {
    struct tri_pending *slot = &pendings->slots[index];
    slot->in_use = false;
    slot->generation++;
    slot->next_free = pendings->free;
    pendings->free = index + 1;
    pendings->used--;
}

uint64_t tri_pending_add(struct tri_pendings *pendings, const struct tri_pending *pending) {
    if (pendings->free == 0 && more_slots(pendings) < 0) {
        return 0;
    }
    uint32_t index = pendings->free - 1;
    struct tri_pending *slot = &pendings->slots[index];
    uint32_t generation = slot->generation;
    pendings->free = slot->next_free;
    *slot = *pending;
    slot->generation = generation;
    slot->in_use = true;
    pendings->used++;
    return (uint64_t)generation << 32 | (index + 1);
}

bool tri_pending_take(struct tri_pendings *pendings, uint64_t number, struct tri_pending *ret) {
    uint32_t index = (uint32_t)number - 1;
    if (index >= pendings->count || !pendings->slots[index].in_use ||
        pendings->slots[index].generation != number >> 32) {
        return false;
    }
    *ret = pendings->slots[index];
    free_slot(pendings, index);
    return true;
}

static bool is_over(tr_time deadline, tr_time now) {
    return deadline != TR_FOREVER && deadline < now - GRACE;
}

void tri_pendings_expire(struct tri_pendings *pendings, tr_time now) {
    for (uint32_t i = 0; i < pendings->count && pendings->used > 0; i++) {
        if (pendings->slots[i].in_use && is_over(pendings->slots[i].deadline, now)) {
            free_slot(pendings, i);
        }
    }
}

void tri_pendings_fail(struct tri_pendings *pendings, tr_loop *loop, int err) {
    struct tri_pendings gone = *pendings;
    *pendings = (struct tri_pendings){0}; /* an answer may lead to a new ask */
    for (uint32_t i = 0; i < gone.count; i++) {
        if (gone.slots[i].in_use) {
            (void)tri_ask_answer(loop, gone.slots[i].id, err, NULL, NULL);
        }
    }
    tri_free(gone.slots);
}

/* ---- the other node's ---------------------------------------------------------------- */

/* Pass the answer on. The message is encoded at once, so the envelope isn't kept. */
static void proxy_complete(tr_loop *loop, tri_ask *ask, int err, const struct tr_type *type,
                           const void *message, tri_envelope *envelope, bool *keep) {
    tri_proxy *proxy = TRI_CONTAINER_OF(ask, tri_proxy, ask);
    tri_link *link = proxy->link;
    struct tri_record record = {.kind = TRI_RECORD_REPLY, .ask = proxy->number};
    (void)loop;
    (void)envelope;
    (void)keep;
    if (err == 0) {
        err = tri_transport_type_id(link->transport, type, &record.type);
    }
    if (err == 0) {
        err = tri_link_put(link, &record, type, message);
    }
    if (err < 0) {
        record.kind = TRI_RECORD_FAIL;
        record.err = err;
        if (tri_link_put(link, &record, NULL, NULL) == -ENOMEM) {
            tr_log(TR_LOG_ERROR, "out of memory: an answer for node '%s' is lost",
                   link->session.name);
        }
    }
    proxy->ask.generation = 0; /* it is out of the table */
    tri_proxy_free(proxy);
}

tri_proxy *tri_proxy_new(tri_link *link, uint64_t number, tr_time deadline) {
    tri_proxy *proxy = tri_calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return NULL;
    }
    proxy->ask.complete = proxy_complete;
    proxy->link = link;
    proxy->number = number;
    proxy->deadline = deadline;
    if (tri_ask_register(link->transport->loop, &proxy->ask) < 0) {
        tri_free(proxy);
        return NULL;
    }
    proxy->next = link->proxies;
    if (proxy->next != NULL) {
        proxy->next->prev = proxy;
    }
    link->proxies = proxy;
    return proxy;
}

void tri_proxy_free(tri_proxy *proxy) {
    tri_link *link = proxy->link;
    if (proxy->ask.generation != 0) {
        tri_ask_forget(link->transport->loop, &proxy->ask);
    }
    if (proxy->prev != NULL) {
        proxy->prev->next = proxy->next;
    } else {
        link->proxies = proxy->next;
    }
    if (proxy->next != NULL) {
        proxy->next->prev = proxy->prev;
    }
    tri_free(proxy);
}

void tri_proxies_expire(tri_link *link, tr_time now) {
    for (tri_proxy *proxy = link->proxies; proxy != NULL;) {
        tri_proxy *next = proxy->next;
        if (is_over(proxy->deadline, now)) {
            tri_proxy_free(proxy);
        }
        proxy = next;
    }
}

void tri_proxies_free(tri_link *link) {
    while (link->proxies != NULL) {
        tri_proxy_free(link->proxies);
    }
}
