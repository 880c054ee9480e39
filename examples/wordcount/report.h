/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h: the final table, for people and as JSON.
 */
#ifndef WC_REPORT_H
#define WC_REPORT_H

#include "files.h"
#include "words.h"

#include <stdio.h>

/* ---- the most frequent words ---- */

/* Order of the table: more frequent first, then by the words' bytes. */
int wc_entry_order(const struct wc_entry *a, const struct wc_entry *b);

/* Keep the `room` best of all entries offered, in any order; *count begins with 0. The
 * words are borrowed, not copied. */
void wc_top_offer(struct wc_entry *top, size_t *count, size_t room, const struct wc_entry *entry);

/* Put what was kept into order. Nothing can be offered afterwards. */
void wc_top_sort(struct wc_entry *top, size_t count);

/* Both for one table: returns how many there are, at most `room`. */
size_t wc_top_of_table(const wc_table *table, struct wc_entry *ret_top, size_t room);

/* ---- the report ---- */

struct wc_report {
    struct wc_totals totals;
    uint64_t distinct;          /* different words */
    const struct wc_entry *top; /* sorted */
    size_t top_count;
    double seconds; /* these three: 0 leaves the line out */
    unsigned loops;
    unsigned nodes;
    bool is_partial; /* interrupted: not all files were counted */
};

/* A table for people. 0, -ENOMEM, or what the system said about writing. */
int wc_report_text(const struct wc_report *report, FILE *out);

/* One JSON object on one line; results as above. A word that isn't UTF-8 is given with \xNN for each
 * byte that doesn't fit and a second time, exactly, in "hex". */
int wc_report_json(const struct wc_report *report, FILE *out);

/* ---- words as text ---- */

/* The whole word is well-formed UTF-8. */
bool wc_is_utf8(const char *word, size_t size);

/* A word as it can be shown: bytes that aren't UTF-8, and control characters, become \xNN (a word
 * contains no backslash itself). Terminated, to be freed; NULL: out of memory. */
char *wc_word_text(const char *word, size_t size);

#endif
