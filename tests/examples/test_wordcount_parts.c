/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_wordcount_parts.c: words, tables and reports of examples/wordcount.
 */
#include "../../examples/wordcount/report.h"
#include "../../examples/wordcount/words.h"

#include "t.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static uint64_t seed_next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* ---- a model that is obviously right: an array, searched from the front ---- */

struct model {
    struct wc_entry entries[4096];
    size_t count;
    uint64_t words;
};

static void model_add(struct model *m, const char *word, size_t size, uint64_t count) {
    m->words += count;
    for (size_t i = 0; i < m->count; i++) {
        if (m->entries[i].size == size && memcmp(m->entries[i].word, word, size) == 0) {
            m->entries[i].count += count;
            return;
        }
    }
    T_REQUIRE(m->count < sizeof m->entries / sizeof m->entries[0]);
    char *own = malloc(size);
    T_REQUIRE(own != NULL);
    memcpy(own, word, size);
    m->entries[m->count++] = (struct wc_entry){.word = own, .size = (uint32_t)size, .count = count};
}

static void model_text(struct model *m, const char *text, size_t size) {
    char *word = malloc(size + 1);
    size_t word_size = 0;
    T_REQUIRE(word != NULL);
    for (size_t i = 0; i <= size; i++) {
        int c = i < size ? (unsigned char)text[i] : ' ';
        bool is_word =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 128;
        if (is_word) {
            word[word_size++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        } else if (word_size > 0) {
            model_add(m, word, word_size, 1);
            word_size = 0;
        }
    }
    free(word);
}

static void model_free(struct model *m) {
    for (size_t i = 0; i < m->count; i++) {
        free((void *)(uintptr_t)m->entries[i].word);
    }
    free(m);
}

static void check_equal(const struct model *m, const wc_table *table) {
    T_CHECK_INT(wc_table_distinct(table), m->count);
    T_CHECK_INT(wc_table_words(table), m->words);
    size_t bytes = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct wc_entry *e = &m->entries[i];
        bytes += e->size;
        T_CHECK_INT(wc_table_find(table, e->word, e->size), e->count);
    }
    T_CHECK_INT(wc_table_word_bytes(table), bytes);
}

static struct model *new_model(void) {
    struct model *m = calloc(1, sizeof *m);
    T_REQUIRE(m != NULL);
    return m;
}

static wc_table *new_table(void) {
    wc_table *t = wc_table_new();
    T_REQUIRE(t != NULL);
    return t;
}

/* Feeds a copy in chunks of 1 to `chunk_max` bytes. */
static void feed(wc_table *table, const char *text, size_t size, size_t chunk_max, uint64_t *seed) {
    struct wc_tokenizer tokenizer = {0};
    char *copy = malloc(size + 1);
    T_REQUIRE(copy != NULL);
    memcpy(copy, text, size);
    for (size_t at = 0; at < size;) {
        size_t n = 1 + (size_t)(seed_next(seed) % chunk_max);
        n = n > size - at ? size - at : n;
        T_CHECK_INT(wc_tokenizer_feed(&tokenizer, table, copy + at, n), 0);
        at += n;
    }
    T_CHECK_INT(wc_tokenizer_end(&tokenizer, table), 0);
    wc_tokenizer_fini(&tokenizer);
    free(copy);
}

T_TEST(wordcount_words, every_byte_is_classified) {
    struct model *m = new_model();
    wc_table *table = new_table();
    uint64_t seed = 1;
    char text[256 * 3];

    for (int i = 0; i < 256; i++) {
        text[3 * i] = 'q';
        text[3 * i + 1] = (char)i;
        text[3 * i + 2] = ' ';
    }
    model_text(m, text, sizeof text);
    feed(table, text, sizeof text, 1000, &seed);
    check_equal(m, table);
    T_CHECK_INT(wc_table_find(table, "qz", 2), 2); /* qZ and qz */
    T_CHECK_INT(wc_table_find(table, "q\xff", 2), 1);
    wc_table_free(table);
    model_free(m);
}

T_TEST(wordcount_words, chunk_boundaries_do_not_matter) {
    static const char alphabet[] = "aAbB9zZ0 \n\t.-_@[`{/:\x7f\x80\xff\xc3\xa9\0";
    t_timeout(120);

    for (uint64_t round = 1; round <= 300; round++) {
        uint64_t seed = round * 0x9e3779b97f4a7c15U;
        size_t size = (size_t)(seed_next(&seed) % 700);
        char text[700];
        for (size_t i = 0; i < size; i++) {
            text[i] = alphabet[seed_next(&seed) % (sizeof alphabet - 1)];
        }
        struct model *m = new_model();
        wc_table *table = new_table();
        model_text(m, text, size);
        feed(table, text, size, 1 + (size_t)(round % 40), &seed);
        check_equal(m, table);
        wc_table_free(table);
        model_free(m);
    }
}

T_TEST(wordcount_words, long_words_are_whole) {
    const size_t size = 3 * 1024 * 1024 + 17;
    char *text = malloc(size + 2);
    char *lower = malloc(size);
    wc_table *table = new_table();
    uint64_t seed = 7;
    T_REQUIRE(text != NULL && lower != NULL);

    memset(text, 'X', size);
    memset(lower, 'x', size);
    text[size] = ' ';
    text[size + 1] = 'y';
    feed(table, text, size + 2, 100000, &seed);
    feed(table, text, size + 2, size * 2, &seed);
    T_CHECK_INT(wc_table_find(table, lower, (uint32_t)size), 2);
    T_CHECK_INT(wc_table_find(table, lower, (uint32_t)size - 1), 0);
    T_CHECK_INT(wc_table_find(table, "y", 1), 2);
    T_CHECK_INT(wc_table_distinct(table), 2);
    wc_table_free(table);
    free(lower);
    free(text);
}

static void random_words(struct model *m, wc_table *table, uint64_t seed, int count) {
    for (int i = 0; i < count; i++) {
        char word[32];
        size_t size = 1 + (size_t)(seed_next(&seed) % 30);
        uint64_t number = seed_next(&seed) % 1500;
        memset(word, 'a', sizeof word);
        memcpy(word, &number, size < sizeof number ? size : sizeof number);
        uint64_t times = seed_next(&seed) % 3;
        if (times > 0) {
            model_add(m, word, size, times);
        }
        T_CHECK_INT(wc_table_add(table, word, (uint32_t)size, times), 0);
    }
}

T_TEST(wordcount_words, table_is_like_the_model) {
    wc_table *table = new_table();

    /* The same table again and again: what wc_table_clear() leaves behind must not show. */
    for (uint64_t round = 1; round <= 20; round++) {
        struct model *m = new_model();
        random_words(m, table, round, round % 3 == 0 ? 4000 : 40);
        check_equal(m, table);
        wc_table_clear(table);
        T_CHECK_INT(wc_table_distinct(table), 0);
        T_CHECK_INT(wc_table_words(table), 0);
        for (size_t i = 0; i < m->count; i++) {
            T_CHECK_INT(wc_table_find(table, m->entries[i].word, m->entries[i].size), 0);
        }
        model_free(m);
    }
    T_CHECK_INT(wc_table_add(table, "", 0, 1), -EINVAL);
    T_CHECK_INT(wc_table_distinct(table), 0);
    wc_table_free(table);
}

T_TEST(wordcount_words, a_huge_table_can_be_cleared) {
    wc_table *table = new_table();

    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 200000; i++) {
            char word[16];
            int size = snprintf(word, sizeof word, "w%llu", (unsigned long long)(i + round));
            T_CHECK_INT(wc_table_add(table, word, (uint32_t)size, 1), 0);
        }
        T_CHECK_INT(wc_table_distinct(table), 200000);
        T_CHECK_INT(wc_table_find(table, "w199999", 7), 1);
        wc_table_clear(table);
        T_CHECK_INT(wc_table_find(table, "w199999", 7), 0);
    }
    wc_table_free(table);
}

T_TEST(wordcount_words, merge_adds_shards_divide) {
    enum { SHARDS = 8 };
    struct model *m = new_model();
    wc_table *sum = new_table();
    wc_table *part = new_table();
    wc_table *shards[SHARDS];

    for (uint64_t round = 1; round <= 5; round++) {
        wc_table_clear(part);
        struct model *round_model = new_model();
        random_words(round_model, part, round, 900);
        for (size_t i = 0; i < round_model->count; i++) {
            const struct wc_entry *e = &round_model->entries[i];
            model_add(m, e->word, e->size, e->count);
        }
        T_CHECK_INT(wc_table_merge(sum, part), 0);
        model_free(round_model);
    }
    check_equal(m, sum);

    size_t distinct = 0;
    for (uint32_t s = 0; s < SHARDS; s++) {
        shards[s] = new_table();
        for (size_t i = 0; i < wc_table_distinct(sum); i++) {
            const struct wc_entry *e = wc_table_at(sum, i);
            T_CHECK(e->hash == wc_word_hash(e->word, e->size));
            if (wc_shard(e->hash, SHARDS) == s) {
                T_CHECK_INT(wc_table_add_hashed(shards[s], e->word, e->size, e->hash, e->count), 0);
            }
        }
        distinct += wc_table_distinct(shards[s]);
    }
    T_CHECK_INT(distinct, wc_table_distinct(sum));
    wc_table_clear(part);
    for (uint32_t s = 0; s < SHARDS; s++) {
        T_CHECK_INT(wc_table_merge(part, shards[s]), 0);
        wc_table_free(shards[s]);
    }
    check_equal(m, part);
    wc_table_free(part);
    wc_table_free(sum);
    model_free(m);
}

/* The hash decides which shard a word is in: all nodes must agree on it for ever. */
T_TEST(wordcount_words, hash_is_xxh3) {
    T_CHECK(wc_word_hash("", 0) == UINT64_C(0x2d06800538d394c2));
    T_CHECK(wc_word_hash("a", 1) == UINT64_C(0xe6c632b61e964e1f));
}

T_TEST(wordcount_report, top_is_sorted) {
    static const struct {
        const char *word;
        uint64_t count;
    } words[] = {{"b", 3}, {"aa", 3}, {"a", 3}, {"z", 9}, {"c", 1}, {"\xff", 3}, {"d", 2}};
    const size_t count = sizeof words / sizeof words[0];
    static const char *const expected[] = {"z", "a", "aa", "b", "\xff", "d", "c"};
    wc_table *table = new_table();
    struct wc_entry top[10];

    for (size_t i = 0; i < count; i++) {
        uint32_t size = (uint32_t)strlen(words[i].word);
        T_CHECK_INT(wc_table_add(table, words[i].word, size, words[i].count), 0);
    }
    for (size_t room = 0; room <= 10; room++) {
        size_t found = wc_top_of_table(table, top, room);
        T_CHECK_INT(found, room < count ? room : count);
        for (size_t i = 0; i < found; i++) {
            T_CHECK_INT(top[i].size, strlen(expected[i]));
            T_CHECK(memcmp(top[i].word, expected[i], top[i].size) == 0);
        }
    }
    wc_table_free(table);
}

static void check_text(const char *word, bool is_utf8, const char *expected) {
    char *text = wc_word_text(word, strlen(word));
    T_CHECK_STR(text, expected);
    T_CHECK_INT(wc_is_utf8(word, strlen(word)), is_utf8);
    free(text);
}

T_TEST(wordcount_report, words_are_shown_safely) {
    check_text("plain9", true, "plain9");
    check_text("caf\xc3\xa9", true, "caf\xc3\xa9");
    check_text("caf\xe9", false, "caf\\xe9");
    check_text("\xe2\x82\xac", true, "\xe2\x82\xac");
    check_text("\xf0\x9f\x98\x80", true, "\xf0\x9f\x98\x80");
    check_text("\xc0\xaf", false, "\\xc0\\xaf");                   /* overlong */
    check_text("\xe0\x80\xaf", false, "\\xe0\\x80\\xaf");          /* overlong */
    check_text("\xed\xa0\x80", false, "\\xed\\xa0\\x80");          /* surrogate */
    check_text("\xf4\x90\x80\x80", false, "\\xf4\\x90\\x80\\x80"); /* past the end */
    check_text("\xe2\x82", false, "\\xe2\\x82");                   /* cut off */
    check_text("\xe2\x82z", false, "\\xe2\\x82z");
    check_text("\xc2\x9b", true, "\\xc2\\x9b"); /* valid, but a terminal's CSI */
    check_text("\xc2\xa0", true, "\xc2\xa0");
}

static char *report_to_memory(const struct wc_report *report, bool as_json) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    T_REQUIRE(out != NULL);
    T_CHECK_INT(as_json ? wc_report_json(report, out) : wc_report_text(report, out), 0);
    fclose(out);
    return text;
}

static struct wc_report sample_report(const struct wc_entry *top, size_t count) {
    struct wc_report report = {.distinct = 1234567, .top = top, .top_count = count};
    report.totals.files[WC_COUNTED] = 1000;
    report.totals.files[WC_BINARY] = 7;
    report.totals.files[WC_SYMLINK] = 2;
    report.totals.raw_bytes = 50000000;
    report.totals.text_bytes = 60000000;
    report.totals.words = UINT64_MAX;
    report.seconds = 0.5;
    return report;
}

T_TEST(wordcount_report, text_has_everything) {
    char *longest = malloc(500);
    T_REQUIRE(longest != NULL);
    memset(longest, 'l', 500);
    const struct wc_entry top[] = {{.word = "the", .size = 3, .count = 1000000},
                                   {.word = "caf\xe9", .size = 4, .count = 999},
                                   {.word = longest, .size = 500, .count = 1}};
    struct wc_report report = sample_report(top, 3);
    char *text = report_to_memory(&report, false);

    T_CHECK(strstr(text, "files counted              1,000\n") != NULL);
    T_CHECK(strstr(text, "files skipped                  9\n") != NULL);
    T_CHECK(strstr(text, " 7  binary\n") != NULL);
    T_CHECK(strstr(text, " 2  symbolic link\n") != NULL);
    T_CHECK(strstr(text, "fifo") == NULL);
    T_CHECK(strstr(text, "18,446,744,073,709,551,615\n") != NULL);
    T_CHECK(strstr(text, "(100.0 MB/s)\n") != NULL);
    T_CHECK(strstr(text, "       1,000,000  the\n") != NULL);
    T_CHECK(strstr(text, "             999  caf\\xe9\n") != NULL);
    T_CHECK(strstr(text, "l... (500 bytes)\n") != NULL);
    free(text);
    free(longest);
}

static uint64_t number_at(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    T_CHECK(json_object_object_get_ex(object, key, &value));
    return json_object_get_uint64(value);
}

static const char *string_at(struct json_object *object, const char *key) {
    struct json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return json_object_get_string(value);
}

T_TEST(wordcount_report, json_can_be_read_back) {
    const struct wc_entry top[] = {{.word = "caf\xc3\xa9", .size = 5, .count = UINT64_MAX},
                                   {.word = "caf\xe9", .size = 4, .count = 999}};
    struct wc_report report = sample_report(top, 2);
    char *text = report_to_memory(&report, true);
    struct json_object *root = json_tokener_parse(text);
    struct json_object *files = NULL;
    struct json_object *words = NULL;

    T_REQUIRE(root != NULL);
    T_CHECK(strchr(text, '\n') == text + strlen(text) - 1);
    T_CHECK(json_object_object_get_ex(root, "files", &files));
    T_CHECK_INT(number_at(files, "counted"), 1000);
    T_CHECK_INT(number_at(files, "binary"), 7);
    T_CHECK_INT(number_at(files, "symbolic_link"), 2);
    T_CHECK_INT(number_at(files, "fifo"), 0);
    T_CHECK(number_at(root, "words") == UINT64_MAX);
    T_CHECK_INT(number_at(root, "bytes"), 50000000);
    T_CHECK_INT(number_at(root, "distinct_words"), 1234567);
    T_CHECK(json_object_object_get_ex(root, "top", &words));
    T_CHECK_INT(json_object_array_length(words), 2);
    struct json_object *first = json_object_array_get_idx(words, 0);
    struct json_object *second = json_object_array_get_idx(words, 1);
    T_CHECK_STR(string_at(first, "word"), "caf\xc3\xa9");
    T_CHECK(string_at(first, "hex") == NULL);
    T_CHECK(number_at(first, "count") == UINT64_MAX);
    T_CHECK_STR(string_at(second, "word"), "caf\\xe9");
    T_CHECK_STR(string_at(second, "hex"), "636166e9");
    json_object_put(root);
    free(text);
}

T_TEST(wordcount_report, a_full_disk_is_an_error) {
    struct wc_report report = sample_report(NULL, 0);
    FILE *full = fopen("/dev/full", "w");
    T_REQUIRE(full != NULL);
    T_CHECK_INT(wc_report_text(&report, full), -ENOSPC);
    T_CHECK(wc_report_json(&report, full) < 0);
    fclose(full);
}
