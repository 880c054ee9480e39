/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crew.c: spawning readers and shards, also on other nodes.
 */
#include "crew.h"

#include "progress.h"

#include <errno.h>
#include <stdlib.h>

/* ---- nodes ---- */

void wc_crew_note_loss(struct wc_crew *crew, unsigned node, int reason) {
    if (node > 0 && (reason == 0 || wc_is_loss(reason)) && !crew->is_gone[node]) {
        crew->is_gone[node] = true;
        wc_say("%s is lost (%s); its work is done again elsewhere", wc_node_name(node).text,
               tr_err_text(reason));
    }
}

unsigned wc_crew_living_nodes(const struct wc_crew *crew) {
    unsigned living = 0;
    for (unsigned node = 0; node < crew->nodes; node++) {
        living += !crew->is_gone[node];
    }
    return living;
}

/* Spawn an actor on a loop of a node, and be told when it ends. */
static int spawn_on(tr_self *boss, const struct tr_behaviour *behaviour, struct tr_arg arg,
                    unsigned node, unsigned loop, uint64_t tag, tr_ref *ret_ref) {
    struct wc_node_name name = wc_node_name(node);
    struct tr_spawn_opts opts = {
        .node = node > 0 ? name.text : NULL,
        .place = TR_LOOP((int)loop),
        .arg = arg,
        /* No reader gets more than WC_FILES_PER_READER files, no shard more than one request of each
         * reader: that is their bound. */
        .mailbox_messages = TR_UNBOUNDED,
        .mailbox_bytes = TR_UNBOUNDED};
    int err = tr_spawn_with(ret_ref, behaviour, &opts);
    return err < 0 ? err : tr_monitor(boss, *ret_ref, tag);
}

/* ---- shards ---- */

/* On the given node or, if that can't be used, on the next one; the first one always can. */
static int spawn_shard(tr_self *boss, struct wc_crew *crew, unsigned shard, unsigned node,
                       unsigned loop) {
    for (;; node = (node + 1) % crew->nodes) {
        if (crew->is_gone[node]) {
            continue;
        }
        tr_ref ref;
        int err = spawn_on(boss, TR_BEHAVIOUR_OF(shard), (struct tr_arg){0}, node, loop,
                           WC_TAG_SHARD + shard, &ref);
        if (err == 0) {
            crew->shards[shard] =
                (struct wc_crew_shard){.ref = ref, .node = node, .since = crew->version};
            return 0;
        }
        if (node == 0 || !wc_is_loss(err)) {
            return err;
        }
        wc_crew_note_loss(crew, node, err);
    }
}

static void tell_reader(struct wc_crew *crew, struct wc_crew_reader *r, unsigned shard) {
    int err = tr_send(r->ref, shard_at, .shard = shard, .ref = crew->shards[shard].ref,
                      .version = crew->version);
    if (err < 0) {
        r->is_usable = false; /* what it has will be reported, or its end will */
    }
}

int wc_crew_replace_shard(tr_self *boss, struct wc_crew *crew, unsigned shard) {
    crew->version++;
    unsigned node = (crew->shards[shard].node + 1) % crew->nodes;
    int err = spawn_shard(boss, crew, shard, node, shard % crew->loops);
    for (unsigned i = 0; err == 0 && i < crew->reader_count; i++) {
        if (crew->readers[i].is_usable) {
            tell_reader(crew, &crew->readers[i], shard);
        }
    }
    return err;
}

/* ---- readers ---- */

static int spawn_reader(tr_self *boss, struct wc_crew *crew, unsigned node, unsigned loop) {
    struct wc_crew_reader *r = &crew->readers[crew->reader_count];
    struct tr_arg arg =
        TR_ARG(reader_start, .boss = tr_self_ref(boss), .shards = crew->shard_count);
    int err = spawn_on(boss, TR_BEHAVIOUR_OF(reader), arg, node, loop,
                       WC_TAG_READER + crew->reader_count, &r->ref);
    if (err < 0) {
        return err;
    }
    r->node = node;
    r->is_usable = true;
    crew->reader_count++;
    for (unsigned shard = 0; shard < crew->shard_count; shard++) {
        tell_reader(crew, r, shard);
    }
    return 0;
}

static int spawn_readers(tr_self *boss, struct wc_crew *crew, unsigned node) {
    for (unsigned i = 0; i < crew->loops * WC_READERS_PER_LOOP; i++) {
        int err = spawn_reader(boss, crew, node, i % crew->loops);
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

struct wc_crew_reader *wc_crew_free_reader(struct wc_crew *crew) {
    struct wc_crew_reader *best = NULL;
    for (unsigned i = 0; i < crew->reader_count; i++) {
        unsigned at = (crew->next_reader + i) % crew->reader_count;
        struct wc_crew_reader *r = &crew->readers[at];
        if (r->is_usable && r->files < (best != NULL ? best->files : WC_FILES_PER_READER)) {
            best = r;
        }
    }
    crew->next_reader++;
    return best;
}

/* ---- all of them ---- */

int wc_crew_start(tr_self *boss, struct wc_crew *crew) {
    unsigned places = crew->nodes * crew->loops;
    crew->readers = calloc((size_t)places * WC_READERS_PER_LOOP, sizeof *crew->readers);
    if (crew->readers == NULL) {
        return -ENOMEM;
    }
    for (unsigned shard = 0; shard < crew->shard_count; shard++) {
        unsigned place = shard * places / crew->shard_count;
        int err = spawn_shard(boss, crew, shard, place / crew->loops, place % crew->loops);
        if (err < 0) {
            return err;
        }
    }
    for (unsigned node = 0; node < crew->nodes; node++) {
        int err = crew->is_gone[node] ? 0 : spawn_readers(boss, crew, node);
        if (err < 0 && (node == 0 || !wc_is_loss(err))) {
            return err;
        }
        if (err < 0) {
            wc_crew_note_loss(crew, node, err);
        }
    }
    return 0;
}

void wc_crew_kill_readers(struct wc_crew *crew) {
    for (unsigned i = 0; i < crew->reader_count; i++) {
        tr_kill(crew->readers[i].ref);
    }
}

void wc_crew_fini(struct wc_crew *crew) {
    free(crew->readers);
}
