/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.c: the word table and the tokenizer.
 *
 * The table is an array of entries in order of arrival plus an open-addressing index of 8-byte
 * slots. A lookup reads one slot, whose tag is nearly always right, and then the entry; growing
 * moves slots only; clearing a small table that was large before costs what the small one did.
 */
#include "words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL /* most words are under 8 bytes: the call would cost more than the hash */
#include <xxhash.h>

#define SLOTS_MIN_LOG2  8
#define SLOTS_KEEP      ((size_t)1 << 17) /* wc_table_clear() keeps an index up to this size */
#define ENTRIES_MAX     ((size_t)UINT32_MAX - 1)
#define CHUNK_MIN_BYTES ((size_t)4096)
#define CHUNK_MAX_BYTES ((size_t)1 << 18)

/* Bytes of words: filled from the front, never moved. */
struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    char bytes[];
};

struct wc_table {
    uint64_t *slots; /* 0: empty; else the hash's low half << 32 | index of the entry + 1 */
    unsigned slots_log2;
    struct wc_entry *entries;
    size_t entry_count;
    size_t entry_capacity; /* half as many as there are slots */
    struct chunk *chunk;   /* being filled; behind it in the list the full ones */
    struct chunk *spare;   /* reserved: comes next */
    uint64_t words;
    size_t word_bytes;
};

/* What a byte becomes in a word; 0: it separates words. */
/* clang-format off */
#define R(x) (x), (x) + 1, (x) + 2, (x) + 3, (x) + 4, (x) + 5, (x) + 6, (x) + 7
static const unsigned char word_byte[256] = {
    ['0'] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ['A'] = R('a'), R('i'), R('q'), 'y', 'z',
    ['a'] = R('a'), R('i'), R('q'), 'y', 'z',
    [0x80] = R(0x80), R(0x88), R(0x90), R(0x98), R(0xa0), R(0xa8), R(0xb0), R(0xb8),
             R(0xc0), R(0xc8), R(0xd0), R(0xd8), R(0xe0), R(0xe8), R(0xf0), R(0xf8),
};
#undef R
/* clang-format on */

uint64_t wc_word_hash(const char *word, size_t size) {
    return XXH3_64bits(word, size);
}

/* ---- memory of a table ---- */

static size_t slot_count(const wc_table *t) {
    return (size_t)1 << t->slots_log2;
}

/* The slot is chosen by the hash's high bits: wc_shard() has used up the low ones. */
static size_t home_slot(const wc_table *t, uint64_t hash) {
    return (size_t)(hash >> (64 - t->slots_log2));
}

static void link_entry(wc_table *t, size_t index) {
    uint64_t hash = t->entries[index].hash;
    size_t mask = slot_count(t) - 1;
    size_t at = home_slot(t, hash);

    while (t->slots[at] != 0) {
        at = (at + 1) & mask;
    }
    t->slots[at] = hash << 32 | (uint64_t)(index + 1);
}

/* Make room for `wanted` entries in all. */
static int reserve_entries(wc_table *t, size_t wanted) {
    if (wanted <= t->entry_capacity) {
        return 0;
    }
    if (wanted > ENTRIES_MAX) {
        return -ENOMEM;
    }
    unsigned log2 = t->slots_log2;
    while (((size_t)1 << log2) / 2 < wanted) {
        log2++;
    }
    size_t slots_wanted = (size_t)1 << log2;

    struct wc_entry *entries = realloc(t->entries, slots_wanted / 2 * sizeof *entries);
    if (entries == NULL) {
        return -ENOMEM;
    }
    t->entries = entries; /* larger than entry_capacity says if the next step fails: harmless */
    uint64_t *slots = calloc(slots_wanted, sizeof *slots);
    if (slots == NULL) {
        return -ENOMEM;
    }
    free(t->slots);
    t->slots = slots;
    t->slots_log2 = log2;
    t->entry_capacity = slots_wanted / 2;
    for (size_t i = 0; i < t->entry_count; i++) {
        link_entry(t, i);
    }
    return 0;
}

/* Make sure that words of `size` bytes in all can be stored without another allocation. */
static int reserve_bytes(wc_table *t, size_t size) {
    struct chunk *c = t->chunk;

    if ((c != NULL && c->size - c->used >= size) || (t->spare != NULL && t->spare->size >= size)) {
        return 0;
    }
    size_t room = c == NULL ? CHUNK_MIN_BYTES : c->size * 2;
    if (room > CHUNK_MAX_BYTES) {
        room = CHUNK_MAX_BYTES;
    }
    if (room < size) {
        room = size;
    }
    struct chunk *fresh = malloc(sizeof *fresh + room);
    if (fresh == NULL) {
        return -ENOMEM;
    }
    fresh->size = room;
    fresh->used = 0;
    free(t->spare);
    t->spare = fresh;
    return 0;
}

/* After reserve_bytes(). */
static const char *store_bytes(wc_table *t, const char *bytes, size_t size) {
    struct chunk *c = t->chunk;

    if (c == NULL || c->size - c->used < size) {
        c = t->spare;
        t->spare = NULL;
        c->next = t->chunk;
        t->chunk = c;
    }
    char *at = c->bytes + c->used;
    memcpy(at, bytes, size);
    c->used += size;
    return at;
}

static void free_chunks(struct chunk *c) {
    while (c != NULL) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

/* ---- the table ---- */

wc_table *wc_table_new(void) {
    wc_table *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    t->slots_log2 = SLOTS_MIN_LOG2;
    t->entry_capacity = slot_count(t) / 2;
    t->slots = calloc(slot_count(t), sizeof *t->slots);
    t->entries = malloc(t->entry_capacity * sizeof *t->entries);
    if (t->slots == NULL || t->entries == NULL) {
        wc_table_free(t);
        return NULL;
    }
    return t;
}

void wc_table_free(wc_table *table) {
    if (table == NULL) {
        return;
    }
    free_chunks(table->chunk);
    free(table->spare);
    free(table->entries);
    free(table->slots);
    free(table);
}

/* Where the index is much larger than what is in it, looking up each entry beats a memset. */
static void clear_slots(wc_table *t) {
    size_t mask = slot_count(t) - 1;

    if (t->entry_count > slot_count(t) / 32) {
        memset(t->slots, 0, slot_count(t) * sizeof *t->slots);
        return;
    }
    /* All go, so a run of probes is emptied from its home on until a slot is empty already. */
    for (size_t i = 0; i < t->entry_count; i++) {
        for (size_t at = home_slot(t, t->entries[i].hash); t->slots[at] != 0;
             at = (at + 1) & mask) {
            t->slots[at] = 0;
        }
    }
}

/* One huge file must not make a reader huge for good. */
static void shrink(wc_table *t) {
    size_t count = (size_t)1 << SLOTS_MIN_LOG2;
    uint64_t *slots = calloc(count, sizeof *slots);
    struct wc_entry *entries = malloc(count / 2 * sizeof *entries);

    if (slots == NULL || entries == NULL) {
        free(slots);
        free(entries);
        return; /* then it stays large */
    }
    free(t->slots);
    free(t->entries);
    t->slots = slots;
    t->entries = entries;
    t->slots_log2 = SLOTS_MIN_LOG2;
    t->entry_capacity = count / 2;
}

void wc_table_clear(wc_table *table) {
    clear_slots(table);
    table->entry_count = 0;
    table->words = 0;
    table->word_bytes = 0;
    if (slot_count(table) > SLOTS_KEEP) {
        shrink(table);
    }

    free(table->spare);
    table->spare = NULL;
    struct chunk *kept = table->chunk;
    if (kept != NULL) {
        free_chunks(kept->next);
        kept->next = NULL;
        kept->used = 0;
        if (kept->size > CHUNK_MAX_BYTES) {
            free(kept);
            kept = NULL;
        }
    }
    table->chunk = kept;
}

static struct wc_entry *find(const wc_table *t, const char *word, uint32_t size, uint64_t hash) {
    size_t mask = slot_count(t) - 1;

    for (size_t at = home_slot(t, hash); t->slots[at] != 0; at = (at + 1) & mask) {
        uint64_t slot = t->slots[at];
        if ((uint32_t)(slot >> 32) != (uint32_t)hash) {
            continue;
        }
        struct wc_entry *e = &t->entries[(uint32_t)slot - 1];
        if (e->hash == hash && e->size == size && memcmp(e->word, word, size) == 0) {
            return e;
        }
    }
    return NULL;
}

int wc_table_add_hashed(wc_table *table, const char *word, uint32_t size, uint64_t hash,
                        uint64_t count) {
    if (size == 0) {
        return -EINVAL;
    }
    if (count == 0) {
        return 0;
    }
    struct wc_entry *e = find(table, word, size, hash);
    if (e == NULL) {
        int err = reserve_entries(table, table->entry_count + 1);
        if (err == 0) {
            err = reserve_bytes(table, size);
        }
        if (err < 0) {
            return err;
        }
        e = &table->entries[table->entry_count];
        *e = (struct wc_entry){
            .word = store_bytes(table, word, size),
            .hash = hash,
            .size = size,
        };
        link_entry(table, table->entry_count);
        table->entry_count++;
        table->word_bytes += size;
    }
    e->count += count;
    table->words += count;
    return 0;
}

int wc_table_add(wc_table *table, const char *word, uint32_t size, uint64_t count) {
    return wc_table_add_hashed(table, word, size, wc_word_hash(word, size), count);
}

int wc_table_merge(wc_table *into, const wc_table *from) {
    /* Room for the worst case first: nothing below can fail then. */
    int err = reserve_entries(into, into->entry_count + from->entry_count);
    if (err == 0) {
        err = reserve_bytes(into, from->word_bytes);
    }
    for (size_t i = 0; err == 0 && i < from->entry_count; i++) {
        const struct wc_entry *e = &from->entries[i];
        err = wc_table_add_hashed(into, e->word, e->size, e->hash, e->count);
    }
    return err;
}

uint64_t wc_table_find(const wc_table *table, const char *word, uint32_t size) {
    const struct wc_entry *e = find(table, word, size, wc_word_hash(word, size));
    return e == NULL ? 0 : e->count;
}

size_t wc_table_distinct(const wc_table *table) {
    return table->entry_count;
}

uint64_t wc_table_words(const wc_table *table) {
    return table->words;
}

size_t wc_table_word_bytes(const wc_table *table) {
    return table->word_bytes;
}

const struct wc_entry *wc_table_at(const wc_table *table, size_t index) {
    return &table->entries[index];
}

/* ---- the tokenizer ---- */

static int keep_part(struct wc_tokenizer *t, const char *bytes, size_t size) {
    if (size > UINT32_MAX - t->size) {
        return -EFBIG;
    }
    if (t->size + size > t->capacity) {
        size_t capacity = t->capacity < 128 ? 256 : t->capacity * 2;
        if (capacity < t->size + size) {
            capacity = t->size + size;
        }
        char *part = realloc(t->part, capacity);
        if (part == NULL) {
            return -ENOMEM;
        }
        t->part = part;
        t->capacity = capacity;
    }
    memcpy(t->part + t->size, bytes, size);
    t->size += size;
    return 0;
}

/* Lower-case the word that begins at `at`; returns its end. */
static char *end_of_word(char *at, const char *end) {
    while (at < end) {
        unsigned char byte = word_byte[(unsigned char)*at];
        if (byte == 0) {
            break;
        }
        *at++ = (char)byte;
    }
    return at;
}

int wc_tokenizer_feed(struct wc_tokenizer *tokenizer, wc_table *table, char *data, size_t size) {
    char *at = data;
    const char *end = data + size;
    int err = 0;

    if (tokenizer->size > 0) {
        at = end_of_word(at, end);
        err = keep_part(tokenizer, data, (size_t)(at - data));
        if (err == 0 && at < end) {
            err = wc_tokenizer_end(tokenizer, table);
        }
    }
    while (err == 0) {
        while (at < end && word_byte[(unsigned char)*at] == 0) {
            at++;
        }
        if (at == end) {
            break;
        }
        char *word = at;
        at = end_of_word(at, end);
        size_t word_size = (size_t)(at - word);
        if (at == end) { /* the next chunk may go on with it */
            err = keep_part(tokenizer, word, word_size);
        } else if (word_size > UINT32_MAX) {
            err = -EFBIG;
        } else {
            err = wc_table_add(table, word, (uint32_t)word_size, 1);
        }
    }
    return err;
}

int wc_tokenizer_end(struct wc_tokenizer *tokenizer, wc_table *table) {
    int err = 0;

    if (tokenizer->size > 0) {
        err = wc_table_add(table, tokenizer->part, (uint32_t)tokenizer->size, 1);
    }
    tokenizer->size = 0;
    return err;
}

void wc_tokenizer_reset(struct wc_tokenizer *tokenizer) {
    tokenizer->size = 0;
    if (tokenizer->capacity > CHUNK_MAX_BYTES) {
        wc_tokenizer_fini(tokenizer);
    }
}

void wc_tokenizer_fini(struct wc_tokenizer *tokenizer) {
    free(tokenizer->part);
    *tokenizer = (struct wc_tokenizer){0};
}
