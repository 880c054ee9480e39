/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_wordcount_reader.c: reading and recounting single files, of examples/wordcount. Every file is
 * counted by both readers, which must agree.
 */
#include "wordcount_tree.h"

#include <errno.h>
#include <zlib.h>

/* One gzip member with all that a header can have; returns its size. */
static size_t gzip_member(const void *data, size_t size, int strategy, unsigned char *to,
                          size_t room) {
    unsigned char name[] = "name";
    unsigned char comment[] = "a comment";
    unsigned char extra[] = {'A', 'B', 2, 0, 1, 2};
    gz_header header = {.name = name, .comment = comment, .extra = extra, .hcrc = 1};
    z_stream z = {0};
    header.extra_len = sizeof extra;
    T_REQUIRE(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, strategy) == Z_OK);
    T_REQUIRE(deflateSetHeader(&z, &header) == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = to;
    z.avail_out = (uInt)room;
    T_REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

/* Count the file by both ways, which must agree on everything. Returns the outcome. */
static int count(struct tree *t, const char *name, struct wc_file_stats *ret_stats) {
    struct wc_totals totals = {0};
    wc_verify *verify = wc_verify_new();
    T_REQUIRE(verify != NULL);
    T_CHECK_INT(wc_count_file(in(t, name), t->reader, t->table, ret_stats), 0);
    T_CHECK_INT(wc_verify_add_file(verify, in(t, name)), 0);
    wc_totals_add(&totals, ret_stats);
    T_CHECK_INT(wc_verify_compare(verify, t->table, &totals, stderr), 0);
    T_CHECK_INT(totals.files[ret_stats->outcome], 1);
    if (ret_stats->outcome != WC_COUNTED) {
        T_CHECK_INT(wc_table_distinct(t->table), 0);
        T_CHECK_INT(ret_stats->words, 0);
    }
    wc_verify_free(verify);
    return ret_stats->outcome;
}

static uint64_t found(const struct tree *t, const char *word) {
    return wc_table_find(t->table, word, (uint32_t)strlen(word));
}

T_TEST(wordcount_reader, plain_files) {
    struct tree t = begin();
    struct wc_file_stats stats;

    put_text(&t, "empty", "");
    T_CHECK_INT(count(&t, "empty", &stats), WC_COUNTED);
    T_CHECK_INT(stats.words, 0);
    put_text(&t, "a", "The cat, THE dog; the_end");
    T_CHECK_INT(count(&t, "a", &stats), WC_COUNTED);
    T_CHECK_INT(stats.words, 6);
    T_CHECK_INT(stats.raw_bytes, 25);
    T_CHECK_INT(stats.text_bytes, 25);
    T_CHECK_INT(found(&t, "the"), 3);
    T_CHECK_INT(found(&t, "end"), 1);
    end(&t);
}

T_TEST(wordcount_reader, works_in_slices) {
    enum { BYTES = 1000 * 1000 };
    struct tree t = begin();
    char *text = malloc(BYTES);
    T_REQUIRE(text != NULL);
    for (int i = 0; i < BYTES; i++) {
        text[i] = "words "[i % 6];
    }
    put_file(&t, "big", text, BYTES);

    int steps = 1;
    T_CHECK_INT(wc_reader_open(t.reader, in(&t, "big"), t.table), 0);
    while (wc_reader_step(t.reader) > 0) {
        steps++;
    }
    T_CHECK(steps >= 5 && steps <= 20);
    T_CHECK_INT(wc_reader_step(t.reader), 0); /* stays done */
    T_CHECK_INT(wc_reader_stats(t.reader)->words, (BYTES + 5) / 6);
    T_CHECK_INT(found(&t, "words"), BYTES / 6);
    T_CHECK_INT(found(&t, "word"), 1); /* where the file was cut */

    /* Given up in the middle: the next file is not affected. */
    T_CHECK_INT(wc_reader_open(t.reader, in(&t, "big"), t.table), 0);
    T_CHECK_INT(wc_reader_step(t.reader), 1);
    wc_reader_close(t.reader);
    wc_reader_close(t.reader);
    struct wc_file_stats stats;
    put_text(&t, "small", "one");
    T_CHECK_INT(count(&t, "small", &stats), WC_COUNTED);
    T_CHECK_INT(wc_table_words(t.table), 1);
    free(text);
    end(&t);
}

T_TEST(wordcount_reader, binary_is_a_nul_in_the_first_8_kib) {
    struct tree t = begin();
    struct wc_file_stats stats;
    char data[8193];
    unsigned char packed[4096];

    for (size_t at = 8190; at <= 8192; at++) {
        memset(data, 'a', sizeof data);
        data[at] = '\0';
        int expected = at < WC_BINARY_BYTES ? WC_BINARY : WC_COUNTED;
        put_file(&t, "f", data, sizeof data);
        T_CHECK_INT(count(&t, "f", &stats), expected);
        size_t size = gzip_member(data, sizeof data, Z_DEFAULT_STRATEGY, packed, sizeof packed);
        put_file(&t, "f.gz", packed, size);
        T_CHECK_INT(count(&t, "f.gz", &stats), expected);
    }
    /* A NUL that belongs to the second member counts its place from the first one's text. */
    size_t size = gzip_member("text ", 5, Z_DEFAULT_STRATEGY, packed, sizeof packed);
    size += gzip_member("\0", 1, Z_DEFAULT_STRATEGY, packed + size, sizeof packed - size);
    put_file(&t, "two.gz", packed, size);
    T_CHECK_INT(count(&t, "two.gz", &stats), WC_BINARY);
    end(&t);
}

T_TEST(wordcount_reader, gzip_by_name_and_magic) {
    struct tree t = begin();
    struct wc_file_stats stats;
    unsigned char packed[1024];
    size_t size = gzip_member("Some words", 10, Z_DEFAULT_STRATEGY, packed, sizeof packed);

    put_file(&t, "a.gz", packed, size);
    T_CHECK_INT(count(&t, "a.gz", &stats), WC_COUNTED);
    T_CHECK_INT(stats.raw_bytes, size);
    T_CHECK_INT(stats.text_bytes, 10);
    T_CHECK_INT(found(&t, "some"), 1);
    put_text(&t, "plain.gz", "not compressed");
    T_CHECK_INT(count(&t, "plain.gz", &stats), WC_COUNTED);
    T_CHECK_INT(stats.words, 2);
    put_text(&t, "empty.gz", "");
    T_CHECK_INT(count(&t, "empty.gz", &stats), WC_COUNTED);
    put_text(&t, "one.gz", "\x1f");
    T_CHECK_INT(count(&t, "one.gz", &stats), WC_COUNTED);
    put_text(&t, "magic.gz", "\x1f\x8b");
    T_CHECK_INT(count(&t, "magic.gz", &stats), WC_CORRUPT);
    T_CHECK_INT(stats.err, -EILSEQ);
    put_file(&t, "named-otherwise", packed, size); /* the header has NULs */
    T_CHECK_INT(count(&t, "named-otherwise", &stats), WC_BINARY);
    end(&t);
}

T_TEST(wordcount_reader, gzip_members_are_one_text) {
    enum { MEMBERS = 2000 };
    struct tree t = begin();
    struct wc_file_stats stats;
    unsigned char *packed = malloc((size_t)MEMBERS * 128);
    size_t size = 0;
    T_REQUIRE(packed != NULL);

    for (int i = 0; i < MEMBERS; i++) {
        /* Words go across members; every seventh member is empty. */
        const char *text = i % 7 == 0 ? "" : "d wor";
        size += gzip_member(text, strlen(text), Z_DEFAULT_STRATEGY, packed + size, 128);
    }
    put_file(&t, "a.gz", packed, size);
    T_CHECK_INT(count(&t, "a.gz", &stats), WC_COUNTED);
    T_CHECK_INT(found(&t, "word"), MEMBERS - (MEMBERS + 6) / 7 - 1);

    put_file(&t, "padded.gz", packed, size);
    FILE *file = fopen(in(&t, "padded.gz"), "ab");
    T_REQUIRE(file != NULL);
    fputc('x', file);
    fclose(file);
    T_CHECK_INT(count(&t, "padded.gz", &stats), WC_CORRUPT); /* followed by something else */
    free(packed);
    end(&t);
}

T_TEST(wordcount_reader, gzip_much_larger_than_the_file) {
    enum { BYTES = 20 * 1000 * 1000 };
    struct tree t = begin();
    struct wc_file_stats stats;
    char *text = malloc(BYTES);
    unsigned char *packed = malloc(BYTES / 10);
    T_REQUIRE(text != NULL && packed != NULL);
    t_timeout(120);
    memset(text, ' ', BYTES);
    memcpy(text, "first", 5);
    memcpy(text + BYTES - 4, "last", 4);
    size_t size = gzip_member(text, BYTES, Z_DEFAULT_STRATEGY, packed, BYTES / 10);
    put_file(&t, "bomb.gz", packed, size);
    T_CHECK_INT(count(&t, "bomb.gz", &stats), WC_COUNTED);
    T_CHECK_INT(stats.text_bytes, BYTES);
    T_CHECK_INT(found(&t, "last"), 1);
    free(packed);
    free(text);
    end(&t);
}

/* Every truncation and every flipped byte: both readers must say the same. */
T_TEST(wordcount_reader, damaged_gzip_is_never_counted_differently) {
    struct tree t = begin();
    struct wc_file_stats stats;
    unsigned char packed[600];
    unsigned char damaged[600];
    const char *text = "it was the best of times, it was the worst of times, it was the age";
    int corrupt = 0;
    t_timeout(120);
    size_t size = gzip_member(text, strlen(text), Z_DEFAULT_STRATEGY, packed, 300);
    size_t first = size;
    size += gzip_member(text, strlen(text), Z_HUFFMAN_ONLY, packed + size, 300);

    for (size_t cut = 2; cut < size; cut++) {
        put_file(&t, "f.gz", packed, cut);
        T_CHECK_INT(count(&t, "f.gz", &stats), cut == first ? WC_COUNTED : WC_CORRUPT);
    }
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(damaged, packed, size);
            damaged[at] = (unsigned char)(damaged[at] ^ 1U << bit);
            put_file(&t, "f.gz", damaged, size);
            corrupt += count(&t, "f.gz", &stats) == WC_CORRUPT;
        }
    }
    T_CHECK(corrupt > (int)size * 6);
    end(&t);
}

T_TEST(wordcount_reader, what_it_does_not_open) {
    struct tree t = begin();
    struct wc_file_stats stats;

    T_CHECK_INT(count(&t, "vanished", &stats), WC_UNREADABLE);
    T_CHECK_INT(stats.err, -ENOENT);
    T_REQUIRE(symlink("/etc/passwd", in(&t, "link")) == 0);
    T_CHECK_INT(count(&t, "link", &stats), WC_UNREADABLE);
    T_CHECK_INT(stats.err, -ELOOP);
    T_REQUIRE(mkfifo(in(&t, "fifo"), 0600) == 0);
    T_CHECK_INT(count(&t, "fifo", &stats), WC_UNREADABLE); /* and doesn't wait for a writer */
    T_CHECK_INT(stats.err, -ENXIO);
    put_dir(&t, "dir");
    T_CHECK_INT(count(&t, "dir", &stats), WC_UNREADABLE);
    T_CHECK_INT(stats.err, -EISDIR);

    /* An error after the first bytes: nothing of the file counts. */
    T_CHECK_INT(wc_count_file("/proc/self/mem", t.reader, t.table, &stats), 0);
    T_CHECK_INT(stats.outcome, WC_UNREADABLE);
    T_CHECK_INT(stats.err, -EIO);
    end(&t);
}
