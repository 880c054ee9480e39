/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c: the recount, and its comparison with the count.
 *
 * Words are put together byte by byte under an FNV-1a hash that is computed on the way; the table
 * chains. That isn't fast, but unlike what it checks.
 */
#include "verify.h"

#include "report.h"
#include "verify_source.h"
#include "verify_walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FNV_START        UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME        UINT64_C(0x100000001b3)
#define DIFFERENCES_TOLD 10

struct node {
    struct node *next;
    struct node *next_touched;
    uint64_t hash;
    uint64_t count;   /* of the files that count */
    uint64_t pending; /* of the file being read, which may yet turn out not to count */
    size_t size;
    unsigned char word[];
};

struct wc_verify {
    struct node **buckets;
    size_t bucket_count; /* a power of two */
    size_t node_count;
    struct node *touched; /* nodes with pending > 0 */
    unsigned char *word;  /* the word being read */
    size_t word_size;
    size_t word_capacity;
    uint64_t word_hash;
    struct wc_verify_walk walk;
    struct wc_totals totals;
    struct wc_source source;
};

/* ---- words ---- */

static int widen(wc_verify *v) {
    size_t count = v->bucket_count == 0 ? 4096 : v->bucket_count * 2;
    struct node **buckets = calloc(count, sizeof *buckets);
    if (buckets == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < v->bucket_count; i++) {
        struct node *n = v->buckets[i];
        while (n != NULL) {
            struct node *next = n->next;
            struct node **to = &buckets[n->hash & (count - 1)];
            n->next = *to;
            *to = n;
            n = next;
        }
    }
    free(v->buckets);
    v->buckets = buckets;
    v->bucket_count = count;
    return 0;
}

static struct node *look_up(const wc_verify *v, const void *word, size_t size, uint64_t hash) {
    struct node *n = v->bucket_count == 0 ? NULL : v->buckets[hash & (v->bucket_count - 1)];
    while (n != NULL && (n->hash != hash || n->size != size || memcmp(n->word, word, size) != 0)) {
        n = n->next;
    }
    return n;
}

static int end_word(wc_verify *v) {
    if (v->word_size == 0) {
        return 0;
    }
    struct node *n = look_up(v, v->word, v->word_size, v->word_hash);
    if (n == NULL) {
        if (v->node_count >= v->bucket_count && widen(v) < 0) {
            return -ENOMEM;
        }
        n = calloc(1, sizeof *n + v->word_size);
        if (n == NULL) {
            return -ENOMEM;
        }
        memcpy(n->word, v->word, v->word_size);
        n->size = v->word_size;
        n->hash = v->word_hash;
        n->next = v->buckets[n->hash & (v->bucket_count - 1)];
        v->buckets[n->hash & (v->bucket_count - 1)] = n;
        v->node_count++;
    }
    if (n->pending++ == 0) {
        n->next_touched = v->touched;
        v->touched = n;
    }
    v->word_size = 0;
    return 0;
}

static int add_to_word(wc_verify *v, unsigned char byte) {
    if (v->word_size == v->word_capacity) {
        size_t capacity = v->word_capacity * 2 + 64;
        unsigned char *word = realloc(v->word, capacity);
        if (word == NULL) {
            return -ENOMEM;
        }
        v->word = word;
        v->word_capacity = capacity;
    }
    if (v->word_size == 0) {
        v->word_hash = FNV_START;
    }
    v->word[v->word_size++] = byte;
    v->word_hash = (v->word_hash ^ byte) * FNV_PRIME;
    return 0;
}

static int take_byte(wc_verify *v, int c) {
    if (c >= 'A' && c <= 'Z') {
        c = c - 'A' + 'a';
    }
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80) {
        return add_to_word(v, (unsigned char)c);
    }
    return end_word(v);
}

/* ---- one file ---- */

/* Makes the pending counts final, or forgets them. Returns how many words they are. */
static uint64_t settle(wc_verify *v, bool does_count) {
    uint64_t words = 0;

    while (v->touched != NULL) {
        struct node *n = v->touched;
        v->touched = n->next_touched;
        if (does_count) {
            words += n->pending;
            n->count += n->pending;
        }
        n->pending = 0;
    }
    v->word_size = 0;
    return words;
}

/* Reads the open source to its end: an outcome, or a negative shortage. */
static int read_text(wc_verify *v, uint64_t *ret_text_bytes) {
    uint64_t at = 0;
    int c = 0;
    int err = 0;

    while (err == 0) {
        c = wc_source_next(&v->source);
        if (c < 0) {
            break;
        }
        if (c == 0 && at < WC_BINARY_BYTES) {
            return WC_BINARY;
        }
        at++;
        err = take_byte(v, c);
    }
    if (err == 0 && c == WC_SOURCE_END) {
        err = end_word(v);
    }
    if (err < 0) {
        return err;
    }
    *ret_text_bytes = at;
    if (c == WC_SOURCE_ERROR) {
        return wc_is_shortage(v->source.err) ? v->source.err : WC_UNREADABLE;
    }
    return c == WC_SOURCE_CORRUPT ? WC_CORRUPT : WC_COUNTED;
}

int wc_verify_add_file(wc_verify *verify, const char *path) {
    uint64_t text_bytes = 0;
    int outcome = wc_source_open(&verify->source, path);

    if (outcome == 0) {
        outcome = read_text(verify, &text_bytes);
        wc_source_close(&verify->source);
    } else if (!wc_is_shortage(outcome)) {
        outcome = WC_UNREADABLE;
    }
    uint64_t words = settle(verify, outcome == WC_COUNTED);
    if (outcome < 0) {
        return outcome;
    }
    verify->totals.files[outcome]++;
    if (outcome == WC_COUNTED) {
        verify->totals.raw_bytes += verify->source.raw_bytes;
        verify->totals.text_bytes += text_bytes;
        verify->totals.words += words;
    }
    return 0;
}

int wc_verify_add_root(wc_verify *verify, const char *root) {
    return wc_verify_walk_add_root(&verify->walk, root);
}

int wc_verify_step(wc_verify *verify) {
    const char *path = NULL;
    int outcome = WC_COUNTED;
    int rc = wc_verify_walk_step(&verify->walk, &path, &outcome);

    if (rc <= 0 || path == NULL) {
        return rc;
    }
    if (outcome != WC_COUNTED) {
        verify->totals.files[outcome]++;
        return 1;
    }
    int err = wc_verify_add_file(verify, path);
    return err < 0 ? err : 1;
}

/* ---- results ---- */

wc_verify *wc_verify_new(void) {
    return calloc(1, sizeof(wc_verify));
}

void wc_verify_free(wc_verify *verify) {
    if (verify == NULL) {
        return;
    }
    for (size_t i = 0; i < verify->bucket_count; i++) {
        while (verify->buckets[i] != NULL) {
            struct node *n = verify->buckets[i];
            verify->buckets[i] = n->next;
            free(n);
        }
    }
    wc_verify_walk_fini(&verify->walk);
    free(verify->buckets);
    free(verify->word);
    free(verify);
}

const struct wc_totals *wc_verify_totals(const wc_verify *verify) {
    return &verify->totals;
}

uint64_t wc_verify_distinct(const wc_verify *verify) {
    uint64_t distinct = 0;
    for (size_t i = 0; i < verify->bucket_count; i++) {
        for (const struct node *n = verify->buckets[i]; n != NULL; n = n->next) {
            distinct += n->count > 0; /* it may be known from files that didn't count */
        }
    }
    return distinct;
}

uint64_t wc_verify_find(const wc_verify *verify, const char *word, size_t size) {
    uint64_t hash = FNV_START;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (unsigned char)word[i]) * FNV_PRIME;
    }
    const struct node *n = look_up(verify, word, size, hash);
    return n == NULL ? 0 : n->count;
}

/* ---- comparison ---- */

struct differences {
    uint64_t count;
    FILE *out;
};

static bool is_told(struct differences *d) {
    return ++d->count <= DIFFERENCES_TOLD && d->out != NULL;
}

static void compare_word(struct differences *d, const char *word, size_t size, uint64_t counted,
                         uint64_t recounted) {
    if (counted == recounted || !is_told(d)) {
        return;
    }
    char *text = wc_word_text(word, size);
    fprintf(d->out, "word %s: counted %" PRIu64 ", recounted %" PRIu64 "\n",
            text == NULL ? "?" : text, counted, recounted);
    free(text);
}

static void compare_total(struct differences *d, const char *what, uint64_t counted,
                          uint64_t recounted) {
    if (counted != recounted && is_told(d)) {
        fprintf(d->out, "%s: counted %" PRIu64 ", recounted %" PRIu64 "\n", what, counted,
                recounted);
    }
}

static void compare_totals(struct differences *d, const struct wc_totals *a,
                           const struct wc_totals *b) {
    for (int i = 0; i < WC_OUTCOMES; i++) {
        char what[64];
        snprintf(what, sizeof what, "files, %s", wc_outcome_text(i));
        compare_total(d, what, a->files[i], b->files[i]);
    }
    compare_total(d, "bytes read", a->raw_bytes, b->raw_bytes);
    compare_total(d, "bytes of text", a->text_bytes, b->text_bytes);
    compare_total(d, "words", a->words, b->words);
}

uint64_t wc_verify_compare(const wc_verify *verify, const wc_table *table,
                           const struct wc_totals *totals, FILE *out) {
    struct differences d = {.out = out};

    compare_totals(&d, totals, &verify->totals);
    compare_total(&d, "sum of all counts", wc_table_words(table), totals->words);
    compare_total(&d, "distinct words", wc_table_distinct(table), wc_verify_distinct(verify));
    for (size_t i = 0; i < wc_table_distinct(table); i++) {
        const struct wc_entry *e = wc_table_at(table, i);
        compare_word(&d, e->word, e->size, e->count, wc_verify_find(verify, e->word, e->size));
    }
    for (size_t i = 0; i < verify->bucket_count; i++) {
        for (const struct node *n = verify->buckets[i]; n != NULL; n = n->next) {
            const char *word = (const char *)n->word;
            /* Words that the table has were compared above. */
            if (n->size > UINT32_MAX || wc_table_find(table, word, (uint32_t)n->size) == 0) {
                compare_word(&d, word, n->size, 0, n->count);
            }
        }
    }
    return d.count;
}
