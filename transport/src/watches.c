/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watches.c: which actors of this process watch which actors of another node.
 *
 * The other node knows them too, and tells when one ends. This table is for the time when it can't any
 * more: then each watcher is told once, from here. A watch is in the table from the moment it is
 * sent until its answer comes, and an answer without an entry is dropped, so nobody is told twice.
 */
#include "transport_internal.h"

static size_t hash_of(tr_ref watcher, tr_ref who, uint64_t tag) {
    uint64_t hash = UINT64_C(14695981039346656037);
    const uint64_t parts[] = {watcher.loop,   watcher.slot, watcher.generation, who.loop, who.slot,
                              who.generation, tag};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        hash = (hash ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return (size_t)hash;
}

static void insert(struct tri_watches *watches, tri_watch *watch) {
    size_t at = hash_of(watch->watcher, watch->who, watch->tag) & (watches->room - 1);
    watch->next = watches->buckets[at];
    watches->buckets[at] = watch;
}

static int grow(struct tri_watches *watches) {
    struct tri_watches old = *watches;
    size_t room = old.room == 0 ? 64 : old.room * 2;
    tri_watch **buckets = tri_calloc(room, sizeof(tri_watch *));
    if (buckets == NULL) {
        return -ENOMEM;
    }
    watches->buckets = buckets;
    watches->room = room;
    for (size_t i = 0; i < old.room; i++) {
        for (tri_watch *watch = old.buckets[i]; watch != NULL;) {
            tri_watch *next = watch->next;
            insert(watches, watch);
            watch = next;
        }
    }
    tri_free(old.buckets);
    return 0;
}

int tri_watch_add(struct tri_watches *watches, tr_ref watcher, tr_ref who, uint64_t tag) {
    if (watches->count >= watches->room && grow(watches) < 0) {
        return -ENOMEM;
    }
    tri_watch *watch = tri_malloc(sizeof *watch);
    if (watch == NULL) {
        return -ENOMEM;
    }
    *watch = (tri_watch){.watcher = watcher, .who = who, .tag = tag};
    insert(watches, watch);
    watches->count++;
    return 0;
}

bool tri_watch_take(struct tri_watches *watches, tr_ref watcher, tr_ref who, uint64_t tag) {
    if (watches->room == 0) {
        return false;
    }
    tri_watch **link = &watches->buckets[hash_of(watcher, who, tag) & (watches->room - 1)];
    for (; *link != NULL; link = &(*link)->next) {
        tri_watch *watch = *link;
        if (watch->tag == tag && tr_ref_equal(watch->watcher, watcher) &&
            tr_ref_equal(watch->who, who)) {
            *link = watch->next;
            tri_free(watch);
            watches->count--;
            return true;
        }
    }
    return false;
}

void tri_tell_down(tr_loop *loop, tr_ref watcher, tr_ref who, uint64_t tag, int reason) {
    tr_down down = {.who = who, .reason = reason, .tag = tag};
    tr_ref nobody = {0};
    int err = tri_remote_control(loop, TRI_DOWN, watcher, nobody, tag, &tri_type_tr_down, &down);
    if (err == -ENOMEM) {
        tr_log(TR_LOG_ERROR, "out of memory: a watcher wasn't told of an end");
    }
}

void tri_watches_tell(struct tri_watches *watches, tr_loop *loop, int reason) {
    struct tri_watches gone = *watches;
    *watches = (struct tri_watches){0};
    for (size_t i = 0; i < gone.room; i++) {
        while (gone.buckets[i] != NULL) {
            tri_watch *watch = gone.buckets[i];
            gone.buckets[i] = watch->next;
            tri_tell_down(loop, watch->watcher, watch->who, watch->tag, reason);
            tri_free(watch);
        }
    }
    tri_free(gone.buckets);
}
