/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h: which files there are, and the words of one file.
 *
 * Both are done in steps (a directory entry, a chunk of a file), so that an event loop can do
 * something else in between.
 */
#ifndef WC_FILES_H
#define WC_FILES_H

#include "words.h"

#include <stdbool.h>
#include <stdint.h>

/* What became of a path. Everything but WC_COUNTED is skipped: nothing of it counts. */
enum wc_outcome {
    WC_COUNTED = 0,
    WC_BINARY,     /* a NUL byte in the first WC_BINARY_BYTES of the text */
    WC_CORRUPT,    /* a gzip file that is damaged, cut off, or followed by something else */
    WC_UNREADABLE, /* the system reported an error */
    WC_SYMLINK,    /* not followed */
    WC_FIFO,
    WC_SOCKET,
    WC_DEVICE,
    WC_VIRTUAL, /* a file system that the kernel makes up (/proc, /sys), met below a root */
    WC_OUTCOMES
};

#define WC_BINARY_BYTES 8192

/* "binary", "symbolic link", ...; as a key for JSON with underscores: "symbolic_link". */
const char *wc_outcome_text(int outcome);
const char *wc_outcome_key(int outcome);

/* ---- which files ---- */

/* One path that a walk found. */
struct wc_file {
    const char *path; /* absolute, any bytes but NUL; good until the next step */
    uint64_t size;    /* at the time of the walk; of regular files */
    int outcome;      /* WC_COUNTED: a regular file, to be read; else why it is skipped */
    int err;          /* -errno with WC_UNREADABLE, else 0 */
};

/*
 * A walk over everything below some directories (a root may also be a regular file).
 *
 * Paths come in the order of their bytes, each once even if the roots overlap: roots are resolved
 * (symbolic links in them are followed, as with find -H) and those inside another one are left out.
 * Below a root no symbolic link is followed, so there are no loops. Two hard links are two files,
 * and a directory mounted at two places is two directories. A directory that can't be listed
 * completely is reported as WC_UNREADABLE and none of its files are.
 */
typedef struct wc_walk wc_walk;

/* Check the roots. -ENOENT and the like, or -ENOTDIR for something that is neither a directory
 * nor a regular file: then *ret_bad_root is the root it is about. A shortage: NULL. */
int wc_walk_new(const char *const *roots, size_t root_count, wc_walk **ret_walk,
                const char **ret_bad_root);

/* The next path: 1, 0: there are no more, a shortage (then the walk can't go on). */
int wc_walk_next(wc_walk *walk, struct wc_file *ret_file);

void wc_walk_free(wc_walk *walk); /* NULL is fine */

/* Told of each path; anything but 0 ends the walk. */
typedef int wc_walk_fn(void *arg, const struct wc_file *file);

/* All steps at once: 0, what fn returned, or an error as wc_walk_new() and wc_walk_next() do. */
int wc_walk_all(const char *const *roots, size_t root_count, wc_walk_fn *fn, void *arg,
                const char **ret_bad_root);

/* Is this -errno a shortage of the machine's (memory, descriptors) rather than a fault of the file?
 * Such errors are returned, never reported as an outcome: the same file could count a moment later. */
bool wc_is_shortage(int err);

/* Is this open directory on a file system like /proc or /sys? Their "files" may never end. */
bool wc_is_virtual(int fd);

/* ---- the words of one file ---- */

/* What wc_reader learned about a file. */
struct wc_file_stats {
    int outcome;         /* never a kind that only a walk reports */
    int err;             /* -errno with WC_UNREADABLE, -EILSEQ with WC_CORRUPT, else 0 */
    uint64_t raw_bytes;  /* read from the file */
    uint64_t text_bytes; /* after decompression */
    uint64_t words;
};

/* Sums over files. */
struct wc_totals {
    uint64_t files[WC_OUTCOMES]; /* paths by outcome */
    uint64_t raw_bytes;          /* these three of counted files only */
    uint64_t text_bytes;
    uint64_t words;
};

/* Add one file to the totals. */
void wc_totals_add(struct wc_totals *totals, const struct wc_file_stats *stats);

/* Add a path that the walk itself has skipped. */
void wc_totals_add_skipped(struct wc_totals *totals, int outcome);

/* Reads one file at a time; its buffers are used again for the next. */
typedef struct wc_reader wc_reader;

wc_reader *wc_reader_new(void);         /* NULL: out of memory */
void wc_reader_free(wc_reader *reader); /* NULL is fine */

/* Begin with a file. The table is cleared, and at the end holds the words of this file if
 * it was counted and nothing otherwise. A file that can't be opened is not an error here: the first
 * step is the last then, and the stats say why. Only a shortage is an error. */
int wc_reader_open(wc_reader *reader, const char *path, wc_table *table);

/* Read, decompress and count about 128 KiB of text. 1: there is more, 0: done, see the stats,
 * a shortage: done, the file was not counted and may be tried again. */
int wc_reader_step(wc_reader *reader);

/* The stats so far; final once a step has returned 0. */
const struct wc_file_stats *wc_reader_stats(const wc_reader *reader);

/* Let go of the file; may be called in the middle (then clear the table) and twice. */
void wc_reader_close(wc_reader *reader);

/* All steps at once. 0 with the outcome in the stats, or a shortage. */
int wc_count_file(const char *path, wc_reader *reader, wc_table *table,
                  struct wc_file_stats *ret_stats);

#endif
