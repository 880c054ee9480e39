/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_actor.c: the actor that counts the words of files, one file at a time.
 *
 * Its handler is straight-line code that waits where it needs something: other actors of the loop run
 * between two steps of a large file, and while it waits for a shard. What is sent to it meanwhile
 * stays in its mailbox.
 */
#include "files.h"
#include "ledger.h"
#include "pack.h"
#include "protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    tr_ref boss;
    uint32_t shards;
    uint32_t version; /* of what follows */
    tr_ref shard_at[WC_SHARDS_MAX];
    wc_reader *files;
    wc_table *words; /* of the file */
    struct wc_pack pack;
} reader;

static int on_start(tr_self *self, reader *r, const reader_start *m) {
    (void)self;
    r->boss = m->boss;
    r->shards = m->shards <= WC_SHARDS_MAX ? m->shards : 0;
    r->files = wc_reader_new();
    r->words = wc_table_new();
    return r->files != NULL && r->words != NULL ? 0 : -ENOMEM;
}

static void on_end(tr_self *self, reader *r, int reason) {
    (void)self;
    (void)reason;
    wc_reader_free(r->files);
    wc_table_free(r->words);
    wc_pack_fini(&r->pack);
}

static int on_shard_at(tr_self *self, reader *r, const shard_at *m) {
    (void)self;
    if (m->shard < r->shards) {
        r->shard_at[m->shard] = m->ref;
        r->version = m->version;
    }
    return 0;
}

/* ---- reading ---- */

static int read_file(reader *r, const count_file *m) {
    char *path = malloc(m->path.size + 1);
    if (path == NULL) {
        return -ENOMEM;
    }
    memcpy(path, m->path.data, m->path.size); /* bytes, not ended by a zero */
    path[m->path.size] = '\0';
    int err = wc_reader_open(r->files, path, r->words);
    if (err == 0) {
        while ((err = wc_reader_step(r->files)) > 0) {
            err = tr_yield();
            if (err < 0) {
                break;
            }
        }
    }
    wc_reader_close(r->files);
    free(path);
    return err;
}

/* ---- sending ---- */

/* The shard, or its node, is gone or out of reach for now. That is for the boss to repair: this
 * file will come back, to this reader or another one. */
static bool is_passing(int err) {
    return wc_is_loss(err) || err == TR_ETIMEOUT || err == TR_EFULL || err == -ESTALE;
}

/* Have one shard add its words of this file, a part after the other. */
static int send_to_shard(reader *r, const count_file *m, uint32_t shard) {
    size_t distinct = wc_table_distinct(r->words);
    size_t index = 0;
    for (uint32_t number = 0;; number++) {
        int err = wc_pack_shard(&r->pack, r->words, shard, r->shards, &index);
        if (err < 0 || (number == 0 && r->pack.size == 0)) {
            return err; /* no word of the file belongs to this shard */
        }
        words_added added;
        err = tr_ask(r->shard_at[shard], WC_ASK_TIMEOUT, &added, add_words, .file = m->file,
                     .attempt = m->attempt, .number = number, .is_last = index == distinct,
                     .words = {r->pack.data, r->pack.size});
        if (err < 0 || index == distinct) {
            return err;
        }
    }
}

static int send_words(reader *r, const count_file *m, uint64_t *ret_committed) {
    uint64_t committed = 0;
    bool is_short = false;
    for (uint32_t shard = 0; shard < r->shards; shard++) {
        uint64_t bit = UINT64_C(1) << shard;
        if ((m->shards & bit) == 0) {
            continue;
        }
        int err = send_to_shard(r, m, shard);
        if (err == 0) {
            committed |= bit;
        } else if (is_passing(err)) {
            is_short = true;
        } else {
            return err;
        }
    }
    *ret_committed = committed;
    /* The boss will give the file out again at once. Until it has learned about the loss itself, that
     * would only go in circles. */
    return is_short ? tr_sleep(100 * TR_MS) : 0;
}

static int report(tr_self *self, reader *r, const count_file *m, uint64_t committed) {
    const struct wc_file_stats *stats = wc_reader_stats(r->files);
    int err = tr_send_wait(r->boss, file_counted, .file = m->file, .attempt = m->attempt,
                           .version = r->version, .committed = committed, .outcome = stats->outcome,
                           .err = stats->err, .raw_bytes = stats->raw_bytes,
                           .text_bytes = stats->text_bytes, .words = stats->words);
    if (wc_is_loss(err)) {
        tr_self_stop(self); /* nobody wants to know any more */
        return 0;
    }
    return err;
}

static int on_count_file(tr_self *self, reader *r, const count_file *m) {
    uint64_t committed = 0;
    int err = read_file(r, m);
    if (err == 0 && wc_reader_stats(r->files)->outcome == WC_COUNTED) {
        err = send_words(r, m, &committed);
    }
    return err < 0 ? err : report(self, r, m, committed);
}

TR_PROTOCOL(reader, shard_at, count_file);
TR_BEHAVIOUR(reader, TR_INIT(reader_start, on_start), TR_ON(shard_at, on_shard_at),
             TR_ON(count_file, on_count_file), TR_TERMINATE(on_end));
