/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c: totals, the most frequent words, and how a word that isn't text is shown.
 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES_MAX 120 /* of a word, in the table for people */

/* ---- the most frequent words ---- */

int wc_entry_order(const struct wc_entry *a, const struct wc_entry *b) {
    if (a->count != b->count) {
        return a->count > b->count ? -1 : 1;
    }
    int order = memcmp(a->word, b->word, a->size < b->size ? a->size : b->size);
    if (order != 0) {
        return order;
    }
    return a->size < b->size ? -1 : a->size > b->size;
}

static void swap(struct wc_entry *a, struct wc_entry *b) {
    struct wc_entry kept = *a;
    *a = *b;
    *b = kept;
}

/* `top` is a heap with the worst entry at its root, which is the next to be pushed out. */
static void sift_up(struct wc_entry *top, size_t at) {
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (wc_entry_order(&top[parent], &top[at]) >= 0) {
            return;
        }
        swap(&top[parent], &top[at]);
        at = parent;
    }
}

static void sift_down(struct wc_entry *top, size_t count) {
    size_t at = 0;
    for (;;) {
        size_t worst = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++) {
            if (wc_entry_order(&top[child], &top[worst]) > 0) {
                worst = child;
            }
        }
        if (worst == at) {
            return;
        }
        swap(&top[worst], &top[at]);
        at = worst;
    }
}

void wc_top_offer(struct wc_entry *top, size_t *count, size_t room, const struct wc_entry *entry) {
    if (*count < room) {
        top[*count] = *entry;
        sift_up(top, (*count)++);
    } else if (room > 0 && wc_entry_order(entry, &top[0]) < 0) {
        top[0] = *entry;
        sift_down(top, *count);
    }
}

static int by_order(const void *a, const void *b) {
    return wc_entry_order(a, b);
}

void wc_top_sort(struct wc_entry *top, size_t count) {
    if (count > 0) {
        qsort(top, count, sizeof *top, by_order);
    }
}

size_t wc_top_of_table(const wc_table *table, struct wc_entry *ret_top, size_t room) {
    size_t count = 0;
    for (size_t i = 0; i < wc_table_distinct(table); i++) {
        wc_top_offer(ret_top, &count, room, wc_table_at(table, i));
    }
    wc_top_sort(ret_top, count);
    return count;
}

/* ---- words as text ---- */

/* Bytes of the well-formed UTF-8 character at the front; 0: there is none. */
static size_t utf8_size(const unsigned char *s, size_t size) {
    unsigned char low = 0x80;  /* range of the second byte, which rules out */
    unsigned char high = 0xbf; /* overlong forms, surrogates, and what is past U+10FFFF */
    size_t wanted;

    if (s[0] < 0x80) {
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        wanted = 2;
    } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
        wanted = 3;
        low = s[0] == 0xe0 ? 0xa0 : low;
        high = s[0] == 0xed ? 0x9f : high;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        wanted = 4;
        low = s[0] == 0xf0 ? 0x90 : low;
        high = s[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (size < wanted || s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < wanted; i++) {
        if (s[i] < 0x80 || s[i] > 0xbf) {
            return 0;
        }
    }
    return wanted;
}

bool wc_is_utf8(const char *word, size_t size) {
    const unsigned char *at = (const unsigned char *)word;

    while (size > 0) {
        size_t n = utf8_size(at, size);
        if (n == 0) {
            return false;
        }
        at += n;
        size -= n;
    }
    return true;
}

/* U+0080 to U+009F are valid in UTF-8, and commands to some terminals. */
static bool is_control(const unsigned char *s, size_t size) {
    return (size == 1 && (s[0] < 0x20 || s[0] == 0x7f)) ||
           (size == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

char *wc_word_text(const char *word, size_t size) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)word;
    char *text = malloc(size * 4 + 1);
    char *to = text;

    if (text == NULL) {
        return NULL;
    }
    while (size > 0) {
        size_t n = utf8_size(at, size);
        if (n > 0 && !is_control(at, n)) {
            memcpy(to, at, n);
            to += n;
        } else {
            n = 1;
            *to++ = '\\';
            *to++ = 'x';
            *to++ = hex[at[0] >> 4];
            *to++ = hex[at[0] & 15];
        }
        at += n;
        size -= n;
    }
    *to = '\0';
    return text;
}

/* ---- for people ---- */

#define NUMBER_BYTES 28 /* 2^64 with a comma before each third digit, terminated */

static const char *with_commas(uint64_t number, char *buf) {
    char *at = buf + NUMBER_BYTES - 1;
    unsigned digits = 0;

    *at = '\0';
    do {
        if (digits > 0 && digits % 3 == 0) {
            *--at = ',';
        }
        *--at = (char)('0' + number % 10);
        number /= 10;
        digits++;
    } while (number > 0);
    return at;
}

static void print_number(FILE *out, const char *label, uint64_t number) {
    char buf[NUMBER_BYTES];
    fprintf(out, "%-16s%16s\n", label, with_commas(number, buf));
}

static uint64_t skipped(const struct wc_totals *totals) {
    uint64_t sum = 0;
    for (int i = 0; i < WC_OUTCOMES; i++) {
        sum += i == WC_COUNTED ? 0 : totals->files[i];
    }
    return sum;
}

static void print_totals(FILE *out, const struct wc_report *report) {
    const struct wc_totals *totals = &report->totals;
    char buf[NUMBER_BYTES];

    print_number(out, "files counted", totals->files[WC_COUNTED]);
    print_number(out, "files skipped", skipped(totals));
    for (int i = 0; i < WC_OUTCOMES; i++) {
        if (i != WC_COUNTED && totals->files[i] > 0) {
            fprintf(out, "%32s  %s\n", with_commas(totals->files[i], buf), wc_outcome_text(i));
        }
    }
    print_number(out, "bytes read", totals->raw_bytes);
    print_number(out, "bytes of text", totals->text_bytes);
    print_number(out, "words", totals->words);
    print_number(out, "distinct words", report->distinct);
    if (report->loops > 0) {
        print_number(out, "loops", report->loops);
    }
    if (report->nodes > 0) {
        print_number(out, "nodes", report->nodes);
    }
    if (report->seconds > 0) {
        fprintf(out, "%-16s%16.2f  (%.1f MB/s)\n", "seconds", report->seconds,
                (double)totals->raw_bytes / 1e6 / report->seconds);
    }
}

static int written(FILE *out) {
    errno = 0;
    if (fflush(out) != 0) {
        return errno != 0 ? -errno : -EIO;
    }
    return ferror(out) ? -EIO : 0;
}

int wc_report_text(const struct wc_report *report, FILE *out) {
    char buf[NUMBER_BYTES];

    print_totals(out, report);
    if (report->top_count > 0) {
        fprintf(out, "\n%16s  %s\n", "count", "word");
    }
    for (size_t i = 0; i < report->top_count; i++) {
        const struct wc_entry *e = &report->top[i];
        bool is_cut = e->size > SHOWN_BYTES_MAX;
        char *text = wc_word_text(e->word, is_cut ? SHOWN_BYTES_MAX : e->size);
        if (text == NULL) {
            return -ENOMEM;
        }
        fprintf(out, "%16s  %s", with_commas(e->count, buf), text);
        if (is_cut) {
            fprintf(out, "... (%" PRIu32 " bytes)", e->size);
        }
        fputc('\n', out);
        free(text);
    }
    return written(out);
}

/* ---- as JSON ---- */

/* Takes the value over, also where it fails. */
static int put(struct json_object *object, const char *key, struct json_object *value) {
    if (value == NULL) {
        return -ENOMEM;
    }
    if (json_object_object_add(object, key, value) != 0) {
        json_object_put(value);
        return -ENOMEM;
    }
    return 0;
}

static int put_number(struct json_object *object, const char *key, uint64_t number) {
    return put(object, key, json_object_new_uint64(number));
}

static int put_hex(struct json_object *object, const struct wc_entry *e) {
    static const char hex[] = "0123456789abcdef";
    char *text = malloc((size_t)e->size * 2 + 1);
    if (text == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < e->size; i++) {
        unsigned char byte = (unsigned char)e->word[i];
        text[2 * i] = hex[byte >> 4];
        text[2 * i + 1] = hex[byte & 15];
    }
    text[(size_t)e->size * 2] = '\0';
    int err = put(object, "hex", json_object_new_string(text));
    free(text);
    return err;
}

static int put_word(struct json_object *words, const struct wc_entry *e) {
    struct json_object *object = json_object_new_object();
    if (object == NULL || json_object_array_add(words, object) != 0) {
        json_object_put(object);
        return -ENOMEM;
    }
    int err = 0;
    if (wc_is_utf8(e->word, e->size)) {
        err = e->size > INT32_MAX
                  ? -EOVERFLOW
                  : put(object, "word", json_object_new_string_len(e->word, (int)e->size));
    } else {
        char *text = wc_word_text(e->word, e->size);
        err = text == NULL ? -ENOMEM : put(object, "word", json_object_new_string(text));
        free(text);
        if (err == 0) {
            err = put_hex(object, e);
        }
    }
    return err < 0 ? err : put_number(object, "count", e->count);
}

static int put_files(struct json_object *root, const struct wc_totals *totals) {
    struct json_object *files = json_object_new_object();
    int err = put(root, "files", files);

    for (int i = 0; err == 0 && i < WC_OUTCOMES; i++) {
        err = put_number(files, wc_outcome_key(i), totals->files[i]);
    }
    return err;
}

static int put_totals(struct json_object *root, const struct wc_report *report) {
    const struct wc_totals *totals = &report->totals;
    int err = put_files(root, totals);

    err = err < 0 ? err : put(root, "complete", json_object_new_boolean(!report->is_partial));
    err = err < 0 ? err : put_number(root, "bytes", totals->raw_bytes);
    err = err < 0 ? err : put_number(root, "text_bytes", totals->text_bytes);
    err = err < 0 ? err : put_number(root, "words", totals->words);
    err = err < 0 ? err : put_number(root, "distinct_words", report->distinct);
    if (err == 0 && report->loops > 0) {
        err = put_number(root, "loops", report->loops);
    }
    if (err == 0 && report->nodes > 0) {
        err = put_number(root, "nodes", report->nodes);
    }
    if (err == 0 && report->seconds > 0) {
        err = put(root, "seconds", json_object_new_double(report->seconds));
    }
    return err;
}

int wc_report_json(const struct wc_report *report, FILE *out) {
    struct json_object *root = json_object_new_object();
    if (root == NULL) {
        return -ENOMEM;
    }
    struct json_object *top = NULL;
    int err = put_totals(root, report);
    if (err == 0) {
        top = json_object_new_array();
        err = put(root, "top", top);
    }
    for (size_t i = 0; err == 0 && i < report->top_count; i++) {
        err = put_word(top, &report->top[i]);
    }
    if (err == 0) {
        const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN |
                                                                    JSON_C_TO_STRING_NOSLASHESCAPE);
        err = text == NULL ? -ENOMEM : 0;
        if (err == 0) {
            fprintf(out, "%s\n", text);
        }
    }
    json_object_put(root);
    return err < 0 ? err : written(out);
}
