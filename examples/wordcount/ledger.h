/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h: which files there are and how far each has come. Plain data: no actors, no clock.
 *
 * A file is done when every shard has committed its words. It goes back to the queue when its reader
 * is lost, and when a shard that had committed it is lost: then for that shard only. Each time a file
 * is given out it gets a new attempt number, so that what comes late from an earlier attempt can be
 * told apart.
 */
#ifndef WC_LEDGER_H
#define WC_LEDGER_H

#include "files.h"

enum { WC_SHARDS_MAX = 64 }; /* a set of shards is a uint64_t */

typedef struct wc_ledger wc_ledger;

/* A file that a reader is to count, for some shards. */
struct wc_work {
    uint32_t file;
    uint32_t attempt;
    uint64_t shards; /* bit n: shard n needs it */
    const char *path;
};

/* What a reader reports. */
struct wc_done {
    uint32_t file;
    uint32_t attempt;
    uint64_t committed; /* shards that have the file's words now */
    struct wc_file_stats stats;
};

/* What a report meant. */
enum wc_verdict {
    WC_LATE,   /* of an earlier attempt: ignored */
    WC_FIRST,  /* the file's outcome is known now, and is in the totals */
    WC_SAME,   /* the file was read again, with the same result */
    WC_CHANGED /* ... with another result: somebody has written to it in the meantime */
};

wc_ledger *wc_ledger_new(unsigned shards); /* 1 to WC_SHARDS_MAX; NULL: out of memory */
void wc_ledger_free(wc_ledger *ledger);    /* NULL is fine */

/* A file to be read. 0, -ENOMEM, or -EOVERFLOW after 2^32 - 1 files. */
int wc_ledger_add(wc_ledger *ledger, const char *path, size_t size);

/* A path that the walk has skipped: counted as done. */
void wc_ledger_add_skipped(wc_ledger *ledger, int outcome);

/* Give the next file to a reader; false: nothing is queued. The path is the ledger's. */
bool wc_ledger_next(wc_ledger *ledger, unsigned reader, struct wc_work *ret_work);

/* The opposite: the reader couldn't be told after all. */
void wc_ledger_take_back(wc_ledger *ledger, uint32_t file);

/* A reader's report; *ret_reader is the reader that had the file (not set with WC_LATE). */
enum wc_verdict wc_ledger_report(wc_ledger *ledger, const struct wc_done *done,
                                 unsigned *ret_reader);

/* Queue again what a reader had. Returns how many files that were. */
uint64_t wc_ledger_lose_reader(wc_ledger *ledger, unsigned reader);

/* Queue again what a shard had committed. Returns how many files that were. */
uint64_t wc_ledger_lose_shard(wc_ledger *ledger, unsigned shard);

/* ---- how far it is ---- */

const char *wc_ledger_path(const wc_ledger *ledger, uint32_t file);
uint64_t wc_ledger_known(const wc_ledger *ledger);    /* paths added */
uint64_t wc_ledger_finished(const wc_ledger *ledger); /* of those: nothing is left to be done */
uint64_t
wc_ledger_changed(const wc_ledger *ledger); /* files that changed while they were counted */
const struct wc_totals *wc_ledger_totals(const wc_ledger *ledger);

#endif
