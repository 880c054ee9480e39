/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boss.c: the actor that gives files to readers, and again when something was lost.
 *
 * What became of each file is in the ledger, who works on it in the crew. This is what connects
 * them: every handler changes one or the other and then gives out what can be given out.
 */
#include "crew.h"
#include "ledger.h"
#include "progress.h"
#include "protocol.h"

#include <errno.h>
#include <string.h>

enum { NAMED_FILES = 20 }; /* that many unreadable files are named; all are counted */

typedef struct {
    struct wc_crew crew;
    wc_ledger *ledger;
    unsigned named;
    bool is_walked; /* all files are known */
    bool is_over;   /* the count is not wanted any more */
    int err;        /* the count can't be finished */
} boss;

/* ---- the start ---- */

static int on_start(tr_self *self, boss *b, const boss_start *m) {
    b->ledger = wc_ledger_new(m->shards);
    if (b->ledger == NULL) {
        return -ENOMEM;
    }
    b->crew.nodes = m->nodes;
    b->crew.loops = m->loops;
    b->crew.shard_count = m->shards;
    int err = wc_crew_start(self, &b->crew);
    if (err < 0) {
        return err;
    }
    tr_ref walking;
    err = tr_spawn(&walking, walker,
                   .arg = TR_ARG(walker_start, .boss = tr_self_ref(self), .roots = m->roots));
    return err < 0 ? err : tr_monitor(self, walking, WC_TAG_WALKER);
}

static void on_end(tr_self *self, boss *b, int reason) {
    (void)self;
    (void)reason;
    wc_crew_kill_readers(&b->crew);
    wc_crew_fini(&b->crew);
    wc_ledger_free(b->ledger);
}

/* ---- giving out ---- */

static void give_out(boss *b) {
    struct wc_crew_reader *r;
    struct wc_work work;
    while (!b->is_over && (r = wc_crew_free_reader(&b->crew)) != NULL &&
           wc_ledger_next(b->ledger, (unsigned)(r - b->crew.readers), &work)) {
        int err = tr_send(r->ref, count_file, .file = work.file, .attempt = work.attempt,
                          .shards = work.shards, .path = {work.path, strlen(work.path)});
        if (err == 0) {
            r->files++;
        } else {
            r->is_usable = false;
            wc_ledger_take_back(b->ledger, work.file);
        }
    }
}

/* ---- files ---- */

static void name_file(boss *b, const char *path, size_t size, const char *why) {
    if (b->named++ < NAMED_FILES) {
        wc_say("%.*s: %s", (int)size, path, why);
    } else if (b->named == NAMED_FILES + 1) {
        wc_say("more files can't be read; they are counted only");
    }
}

static int on_file_found(tr_self *self, boss *b, const file_found *m) {
    (void)self;
    if (m->outcome != WC_COUNTED) {
        wc_ledger_add_skipped(b->ledger, m->outcome);
        if (m->outcome == WC_UNREADABLE) {
            name_file(b, m->path.data, m->path.size, tr_err_text(m->err));
        }
        return 0;
    }
    int err = wc_ledger_add(b->ledger, m->path.data, m->path.size);
    if (err == 0) {
        give_out(b);
    }
    return err;
}

static int on_walk_ended(tr_self *self, boss *b, const walk_ended *m) {
    (void)self;
    (void)m;
    b->is_walked = true;
    return 0;
}

/* What a reader says about a shard counts only if it knew the shard that is there now. */
static uint64_t still_valid(const boss *b, uint64_t committed, uint32_t version) {
    for (unsigned shard = 0; shard < b->crew.shard_count; shard++) {
        if (b->crew.shards[shard].since > version) {
            committed &= ~(UINT64_C(1) << shard);
        }
    }
    return committed;
}

static int on_file_counted(tr_self *self, boss *b, const file_counted *m) {
    (void)self;
    struct wc_done done = {.file = m->file,
                           .attempt = m->attempt,
                           .committed = still_valid(b, m->committed, m->version),
                           .stats = {.outcome = m->outcome,
                                     .err = m->err,
                                     .raw_bytes = m->raw_bytes,
                                     .text_bytes = m->text_bytes,
                                     .words = m->words}};
    unsigned reader;
    enum wc_verdict verdict = wc_ledger_report(b->ledger, &done, &reader);
    if (verdict == WC_LATE) {
        return 0;
    }
    b->crew.readers[reader].files--;
    const char *path = wc_ledger_path(b->ledger, m->file);
    if (verdict == WC_CHANGED) {
        wc_say("%s: has changed since it was counted; its counts are uncertain", path);
    } else if (verdict == WC_FIRST && m->outcome == WC_UNREADABLE) {
        name_file(b, path, strlen(path), tr_err_text(m->err));
    } else if (verdict == WC_FIRST && m->outcome == WC_CORRUPT) {
        name_file(b, path, strlen(path), "damaged or cut off");
    }
    give_out(b);
    return 0;
}

/* ---- losses ---- */

static int lose_shard(tr_self *self, boss *b, unsigned shard, const tr_down *m) {
    struct wc_crew_shard *s = &b->crew.shards[shard];
    if (!tr_ref_equal(s->ref, m->who)) {
        return 0; /* it has been replaced already */
    }
    wc_crew_note_loss(&b->crew, s->node, m->reason);
    int err = wc_crew_replace_shard(self, &b->crew, shard);
    uint64_t files = wc_ledger_lose_shard(b->ledger, shard);
    if (err == 0 && files > 0) {
        wc_say("shard %u is built anew on %s: %llu files are read again for it", shard,
               wc_node_name(s->node).text, (unsigned long long)files);
    }
    return err;
}

static void lose_reader(boss *b, unsigned reader, int reason) {
    struct wc_crew_reader *r = &b->crew.readers[reader];
    wc_crew_note_loss(&b->crew, r->node, reason);
    r->is_usable = false;
    r->files = 0;
    wc_ledger_lose_reader(b->ledger, reader);
}

/* An actor of ours has ended. A loss is made good; an actor that failed would fail again. */
static int on_down(tr_self *self, boss *b, const tr_down *m) {
    static const char *const what[] = {"finding the files", "adding up words", "reading files"};
    unsigned kind = m->tag >= WC_TAG_READER ? 2 : m->tag >= WC_TAG_SHARD ? 1 : 0;
    if (b->is_over) {
        return 0;
    }
    int err = wc_is_loss(m->reason) ? 0 : m->reason;
    if (kind == 0 && err == 0 && !b->is_walked) {
        err = TR_ENOACTOR; /* the walker has ended before its work was done */
    } else if (kind == 1 && err == 0) {
        err = lose_shard(self, b, (unsigned)(m->tag - WC_TAG_SHARD), m);
    } else if (kind == 2 && err == 0) {
        lose_reader(b, (unsigned)(m->tag - WC_TAG_READER), m->reason);
    }
    if (err < 0 && b->err == 0) {
        wc_say("%s has failed: %s (%s)", what[kind], tr_err_text(err), tr_err_name(err));
        b->err = err;
    }
    give_out(b);
    return 0;
}

/* What is being read doesn't matter any more: that can be ended in the middle. */
static int on_give_up(tr_self *self, boss *b, const give_up *m) {
    (void)self;
    (void)m;
    b->is_over = true;
    wc_crew_kill_readers(&b->crew);
    return 0;
}

/* ---- answers ---- */

static bool is_finished(const boss *b) {
    return b->is_walked && wc_ledger_finished(b->ledger) == wc_ledger_known(b->ledger);
}

static int on_get_status(tr_self *self, boss *b, const get_status *m) {
    (void)m;
    return tr_reply(self, boss_status, .known = wc_ledger_known(b->ledger),
                    .finished = wc_ledger_finished(b->ledger), .is_walked = b->is_walked,
                    .is_finished = is_finished(b), .err = b->err,
                    .changed = wc_ledger_changed(b->ledger),
                    .nodes = wc_crew_living_nodes(&b->crew),
                    .totals = {wc_ledger_totals(b->ledger), sizeof(struct wc_totals)});
}

static int on_find_shard(tr_self *self, boss *b, const find_shard *m) {
    if (m->shard >= b->crew.shard_count) {
        return tr_reply_error(self, -EINVAL);
    }
    return tr_reply(self, shard_found, .shard = b->crew.shards[m->shard].ref,
                    .is_finished = is_finished(b));
}

TR_PROTOCOL(boss, file_found, walk_ended, file_counted, tr_down, get_status, find_shard, give_up);
TR_BEHAVIOUR(boss, TR_INIT(boss_start, on_start), TR_ON(file_found, on_file_found),
             TR_ON(walk_ended, on_walk_ended), TR_ON(file_counted, on_file_counted),
             TR_ON(tr_down, on_down), TR_ON(get_status, on_get_status),
             TR_ON(find_shard, on_find_shard), TR_ON(give_up, on_give_up), TR_TERMINATE(on_end));
