/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c: the state of every file.
 */
#include "ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum state { QUEUED, READING, DONE };

struct file {
    char *path;
    uint64_t committed; /* shards that have its words */
    uint64_t words;     /* these four as first reported, if is_known */
    uint64_t raw_bytes;
    uint64_t text_bytes;
    uint8_t outcome;
    uint8_t state; /* enum state */
    bool is_known;
    bool is_changed;
    uint32_t attempt;
    unsigned reader; /* who has it, while it is READING */
};

struct wc_ledger {
    struct file *files;
    uint32_t file_count;
    uint32_t file_room;
    uint32_t next_new; /* files from here on were never given out */
    uint32_t *again;   /* a stack of files to be given out again; room for all */
    uint32_t again_count;
    uint64_t all_shards;
    uint64_t skipped;
    uint64_t finished; /* including the skipped ones */
    uint64_t changed;
    struct wc_totals totals;
};

wc_ledger *wc_ledger_new(unsigned shards) {
    wc_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger != NULL) {
        ledger->all_shards = UINT64_MAX >> (WC_SHARDS_MAX - shards);
    }
    return ledger;
}

void wc_ledger_free(wc_ledger *ledger) {
    if (ledger == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        free(ledger->files[i].path);
    }
    free(ledger->files);
    free(ledger->again);
    free(ledger);
}

/* ---- adding ---- */

static int grow(wc_ledger *ledger) {
    uint32_t room = ledger->file_room == 0 ? 1024 : ledger->file_room * 2;
    if (ledger->file_room > UINT32_MAX / 2) {
        return -EOVERFLOW;
    }
    struct file *files = realloc(ledger->files, room * sizeof *files);
    if (files == NULL) {
        return -ENOMEM;
    }
    ledger->files = files;
    uint32_t *again = realloc(ledger->again, room * sizeof *again);
    if (again == NULL) {
        return -ENOMEM;
    }
    ledger->again = again;
    ledger->file_room = room;
    return 0;
}

int wc_ledger_add(wc_ledger *ledger, const char *path, size_t size) {
    if (ledger->file_count == ledger->file_room) {
        int err = grow(ledger);
        if (err < 0) {
            return err;
        }
    }
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, path, size); /* which ends where it ends, without a zero byte */
    copy[size] = '\0';
    ledger->files[ledger->file_count++] = (struct file){.path = copy, .state = QUEUED};
    return 0;
}

void wc_ledger_add_skipped(wc_ledger *ledger, int outcome) {
    wc_totals_add_skipped(&ledger->totals, outcome);
    ledger->skipped++;
    ledger->finished++;
}

/* ---- giving out ---- */

/* A file that was given out once is to be given out again. */
static void queue_again(wc_ledger *ledger, uint32_t index) {
    ledger->files[index].state = QUEUED;
    ledger->again[ledger->again_count++] = index; /* a file is in there once at most */
}

bool wc_ledger_next(wc_ledger *ledger, unsigned reader, struct wc_work *ret_work) {
    uint32_t index;
    if (ledger->again_count > 0) {
        index = ledger->again[--ledger->again_count];
    } else if (ledger->next_new < ledger->file_count) {
        index = ledger->next_new++;
    } else {
        return false;
    }
    struct file *file = &ledger->files[index];
    file->state = READING;
    file->reader = reader;
    file->attempt++;
    *ret_work = (struct wc_work){.file = index,
                                 .attempt = file->attempt,
                                 .shards = ledger->all_shards & ~file->committed,
                                 .path = file->path};
    return true;
}

void wc_ledger_take_back(wc_ledger *ledger, uint32_t file) {
    queue_again(ledger, file);
}

/* ---- reports ---- */

static enum wc_verdict compare_stats(wc_ledger *ledger, struct file *file,
                                     const struct wc_file_stats *stats) {
    if (!file->is_known) {
        file->is_known = true;
        file->outcome = (uint8_t)stats->outcome;
        file->words = stats->words;
        file->raw_bytes = stats->raw_bytes;
        file->text_bytes = stats->text_bytes;
        wc_totals_add(&ledger->totals, stats);
        return WC_FIRST;
    }
    if (file->outcome == stats->outcome && file->words == stats->words &&
        file->raw_bytes == stats->raw_bytes && file->text_bytes == stats->text_bytes) {
        return WC_SAME;
    }
    ledger->changed += !file->is_changed;
    file->is_changed = true;
    return WC_CHANGED;
}

enum wc_verdict wc_ledger_report(wc_ledger *ledger, const struct wc_done *done,
                                 unsigned *ret_reader) {
    struct file *file = done->file < ledger->file_count ? &ledger->files[done->file] : NULL;
    if (file == NULL || file->state != READING || file->attempt != done->attempt) {
        return WC_LATE;
    }
    *ret_reader = file->reader;
    enum wc_verdict verdict = compare_stats(ledger, file, &done->stats);
    file->committed |= done->committed;
    /* A file that has no words (any more) has nothing to commit. */
    if (done->stats.outcome != WC_COUNTED || file->committed == ledger->all_shards) {
        file->state = DONE;
        ledger->finished++;
    } else {
        queue_again(ledger, done->file);
    }
    return verdict;
}

/* ---- losses ---- */

uint64_t wc_ledger_lose_reader(wc_ledger *ledger, unsigned reader) {
    uint64_t lost = 0;
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        struct file *file = &ledger->files[i];
        if (file->state == READING && file->reader == reader) {
            queue_again(ledger, i);
            lost++;
        }
    }
    return lost;
}

uint64_t wc_ledger_lose_shard(wc_ledger *ledger, unsigned shard) {
    uint64_t bit = UINT64_C(1) << shard;
    uint64_t lost = 0;
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        struct file *file = &ledger->files[i];
        if ((file->committed & bit) == 0) {
            continue;
        }
        file->committed &= ~bit;
        lost++;
        if (file->state == DONE) {
            ledger->finished--;
            queue_again(ledger, i);
        }
    }
    return lost;
}

/* ---- how far it is ---- */

const char *wc_ledger_path(const wc_ledger *ledger, uint32_t file) {
    return ledger->files[file].path;
}

uint64_t wc_ledger_known(const wc_ledger *ledger) {
    return ledger->skipped + ledger->file_count;
}

uint64_t wc_ledger_finished(const wc_ledger *ledger) {
    return ledger->finished;
}

uint64_t wc_ledger_changed(const wc_ledger *ledger) {
    return ledger->changed;
}

const struct wc_totals *wc_ledger_totals(const wc_ledger *ledger) {
    return &ledger->totals;
}
