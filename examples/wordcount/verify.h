/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.h: the same counts once more, by other means.
 *
 * It exists to disagree: single-threaded, byte by byte, with a hash table, a walk, a tokenizer and a
 * gzip reader of its own. What it shares with the rest is the names of the outcomes, the list of
 * virtual file systems, and zlib's inflate.
 */
#ifndef WC_VERIFY_H
#define WC_VERIFY_H

#include "files.h"
#include "words.h"

#include <stdio.h>

typedef struct wc_verify wc_verify;

wc_verify *wc_verify_new(void);         /* NULL: out of memory */
void wc_verify_free(wc_verify *verify); /* NULL is fine */

/* Add a root, once for each before the first step. -ENOENT and the like, -ENOTDIR, -ENOMEM. */
int wc_verify_add_root(wc_verify *verify, const char *root);

/* List one directory or count one file. 1: there is more, 0: done, -ENOMEM and other shortages of
 * the machine: the recount failed. */
int wc_verify_step(wc_verify *verify);

/* Count one file that the caller knows, beside any roots. 0, or an error as wc_verify_step() has. */
int wc_verify_add_file(wc_verify *verify, const char *path);

/* Results so far. */
const struct wc_totals *wc_verify_totals(const wc_verify *verify);
uint64_t wc_verify_distinct(const wc_verify *verify);
uint64_t wc_verify_find(const wc_verify *verify, const char *word, size_t size);

/* Compare every word's count and all totals. Writes the first 10 differences, a line each, to `out`
 * (NULL: nowhere) and returns how many there are. */
uint64_t wc_verify_compare(const wc_verify *verify, const wc_table *table,
                           const struct wc_totals *totals, FILE *out);

#endif
