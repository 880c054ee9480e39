/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h: from bytes to words to counts.
 *
 * A word is a maximal run of ASCII letters, ASCII digits and bytes >= 0x80, ASCII lower-cased.
 * Nothing here knows about files, actors or threads; a table belongs to one thread at a time.
 */
#ifndef WC_WORDS_H
#define WC_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One distinct word. */
struct wc_entry {
    const char *word; /* `size` bytes, not terminated; the table's, until it is cleared or freed */
    uint64_t hash;    /* wc_word_hash() */
    uint64_t count;   /* never 0 */
    uint32_t size;
};

/* Words and how often they occurred. */
typedef struct wc_table wc_table;

wc_table *wc_table_new(void);        /* NULL: out of memory */
void wc_table_free(wc_table *table); /* NULL is fine */

/* Forget all words but keep memory for the next file, unless it has become very much. */
void wc_table_clear(wc_table *table);

/* Count a word `count` times more; 0 times does nothing. The word must be lower-cased already: the
 * table compares bytes. 0, -EINVAL for an empty word, -ENOMEM (then nothing has changed). */
int wc_table_add(wc_table *table, const char *word, uint32_t size, uint64_t count);

/* The same for a caller that has wc_word_hash() of the word. */
int wc_table_add_hashed(wc_table *table, const char *word, uint32_t size, uint64_t hash,
                        uint64_t count);

/* Add every word of `from` to `into`. All or nothing: -ENOMEM leaves `into` as it was. */
int wc_table_merge(wc_table *into, const wc_table *from);

/* How often a word occurred; 0: never. */
uint64_t wc_table_find(const wc_table *table, const char *word, uint32_t size);

size_t wc_table_distinct(const wc_table *table);   /* different words */
uint64_t wc_table_words(const wc_table *table);    /* sum of all counts */
size_t wc_table_word_bytes(const wc_table *table); /* sum of all entries' sizes */

/* The distinct words, in the order of their first occurrence; `index` from 0 to
 * wc_table_distinct() - 1. The pointer is good until the next change of the table. */
const struct wc_entry *wc_table_at(const wc_table *table, size_t index);

/* The same on all machines and in all processes. */
uint64_t wc_word_hash(const char *word, size_t size);

/* Which of `shards` counters a word belongs to. */
static inline uint32_t wc_shard(uint64_t hash, uint32_t shards) {
    return (uint32_t)(hash % shards);
}

/* Cuts a stream of bytes into words. All zero is a fresh one. */
struct wc_tokenizer {
    char *part; /* start of a word that the last chunk ended in, lower-cased */
    size_t size;
    size_t capacity;
};

/* Count the words of the next bytes of a stream; words may span any number of calls. The bytes are
 * lower-cased in place. 0, -ENOMEM, or -EFBIG for a word of 4 GiB. */
int wc_tokenizer_feed(struct wc_tokenizer *tokenizer, wc_table *table, char *data, size_t size);

/* The stream ends here: count the word that it ended in. */
int wc_tokenizer_end(struct wc_tokenizer *tokenizer, wc_table *table);

/* Begin another stream, dropping the unfinished word. */
void wc_tokenizer_reset(struct wc_tokenizer *tokenizer);

/* Give its memory back. */
void wc_tokenizer_fini(struct wc_tokenizer *tokenizer);

#endif
