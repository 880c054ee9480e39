/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crew.h: the boss's readers and shards: on which node and loop each is, and what replaces it.
 */
#ifndef WC_CREW_H
#define WC_CREW_H

#include "ledger.h"
#include "protocol.h"

struct wc_crew_reader {
    tr_ref ref;
    unsigned node;
    unsigned files; /* given to it and not reported yet */
    bool is_usable; /* false: gone, or out of reach */
};

struct wc_crew_shard {
    tr_ref ref;
    unsigned node;
    uint32_t since; /* the version with which it came */
};

struct wc_crew {
    unsigned nodes;
    unsigned loops; /* of each node */
    unsigned shard_count;
    unsigned reader_count;
    unsigned next_reader;
    uint32_t version; /* grows with each shard that is built anew */
    bool is_gone[WC_NODES_MAX];
    struct wc_crew_shard shards[WC_SHARDS_MAX];
    struct wc_crew_reader *readers;
};

/* What the boss's monitors are tagged with. */
enum { WC_TAG_WALKER = 0, WC_TAG_SHARD = 1, WC_TAG_READER = 1 + WC_SHARDS_MAX };

/* Spawn all of them; nodes, loops and shard_count are set. A node that can't be used is reported
 * and left out. 0, or why it can't be done in this process. Suspends. */
int wc_crew_start(tr_self *boss, struct wc_crew *crew);
void wc_crew_fini(struct wc_crew *crew);

/* End all readers, in the middle of what they do. */
void wc_crew_kill_readers(struct wc_crew *crew);

/* Build a shard anew, on a living node, and tell the readers. 0 or an error. Suspends. */
int wc_crew_replace_shard(tr_self *boss, struct wc_crew *crew, unsigned shard);

/* A reader that can take another file; NULL: all are busy. */
struct wc_crew_reader *wc_crew_free_reader(struct wc_crew *crew);

/* Something on the node ended with this reason: if that says that the node itself is gone, report it
 * once and use it no more. */
void wc_crew_note_loss(struct wc_crew *crew, unsigned node, int reason);

unsigned wc_crew_living_nodes(const struct wc_crew *crew);

#endif
