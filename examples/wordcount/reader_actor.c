/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_actor.c: the actor that counts the words of files, one file at a time.
 *
 * A process: straight-line code that waits where it needs something. Other actors of its loop run
 * between two steps of a large file and while it waits for a shard.
 */
#include "files.h"
#include "ledger.h"
#include "pack.h"
#include "protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct job {
    tr_ref boss;
    uint32_t shards;
    uint32_t version; /* of what follows */
    tr_ref shard_at[WC_SHARDS_MAX];
    wc_reader *reader;
    wc_table *words; /* of the file */
    struct wc_pack pack;
};

/* ---- reading ---- */

static int read_file(struct job *job, const count_file *m) {
    char *path = strndup(m->path.data, m->path.size);
    if (path == NULL) {
        return -ENOMEM;
    }
    int err = wc_reader_open(job->reader, path, job->words);
    if (err == 0) {
        while ((err = wc_reader_step(job->reader)) > 0) {
            err = tr_yield();
            if (err < 0) {
                break;
            }
        }
    }
    wc_reader_close(job->reader);
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
static int send_to_shard(struct job *job, const count_file *m, uint32_t shard) {
    size_t distinct = wc_table_distinct(job->words);
    size_t index = 0;
    for (uint32_t number = 0;; number++) {
        int err = wc_pack_shard(&job->pack, job->words, shard, job->shards, &index);
        if (err < 0 || (number == 0 && job->pack.size == 0)) {
            return err; /* no word of the file belongs to this shard */
        }
        words_added added;
        err = tr_ask(job->shard_at[shard], WC_ASK_TIMEOUT, &added, add_words, .file = m->file,
                     .attempt = m->attempt, .number = number, .is_last = index == distinct,
                     .words = {job->pack.data, job->pack.size});
        if (err < 0 || index == distinct) {
            return err;
        }
    }
}

static int send_words(struct job *job, const count_file *m, uint64_t *ret_committed) {
    uint64_t committed = 0;
    bool is_short = false;
    for (uint32_t shard = 0; shard < job->shards; shard++) {
        uint64_t bit = UINT64_C(1) << shard;
        if ((m->shards & bit) == 0) {
            continue;
        }
        int err = send_to_shard(job, m, shard);
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

static int on_count_file(struct job *job, const count_file *m) {
    int err = read_file(job, m);
    if (err < 0) {
        return err;
    }
    const struct wc_file_stats *stats = wc_reader_stats(job->reader);
    uint64_t committed = 0;
    if (stats->outcome == WC_COUNTED) {
        err = send_words(job, m, &committed);
    }
    if (err < 0) {
        return err;
    }
    return tr_send_wait(job->boss, file_counted, .file = m->file, .attempt = m->attempt,
                        .version = job->version, .committed = committed, .outcome = stats->outcome,
                        .err = stats->err, .raw_bytes = stats->raw_bytes,
                        .text_bytes = stats->text_bytes, .words = stats->words);
}

/* ---- the process ---- */

static void on_shard_at(struct job *job, const shard_at *m) {
    if (m->shard < job->shards) {
        job->shard_at[m->shard] = m->ref;
        job->version = m->version;
    }
}

static int serve(tr_self *self, struct job *job) {
    for (;;) {
        tr_received m;
        int err = tr_receive(self, TR_FOREVER, &m);
        if (err < 0) {
            return err == TR_ESHUTDOWN ? 0 : err;
        }
        if (tr_is(&m, shard_at)) {
            on_shard_at(job, tr_as(&m, shard_at));
        } else if (tr_is(&m, count_file)) {
            err = on_count_file(job, tr_as(&m, count_file));
        }
        if (err < 0) {
            return err;
        }
    }
}

static int reader_main(tr_self *self, const reader_start *start) {
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return -ENOMEM;
    }
    job->boss = start->boss;
    job->shards = start->shards;
    job->reader = wc_reader_new();
    job->words = wc_table_new();
    int err = job->reader != NULL && job->words != NULL ? serve(self, job) : -ENOMEM;
    wc_reader_free(job->reader);
    wc_table_free(job->words);
    wc_pack_fini(&job->pack);
    free(job);
    return err;
}

TR_PROCESS(reader, reader_start, reader_main);
