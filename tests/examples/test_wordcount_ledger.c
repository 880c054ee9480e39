/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wordcount example's ledger and the packing of its messages.
 */
#include "../../examples/wordcount/ledger.h"
#include "../../examples/wordcount/pack.h"

#include "t.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void add(wc_ledger *ledger, const char *path) {
    T_REQUIRE(wc_ledger_add(ledger, path, strlen(path)) == 0);
}

static struct wc_ledger *make(unsigned shards, const char *a, const char *b) {
    wc_ledger *ledger = wc_ledger_new(shards);
    T_REQUIRE(ledger != NULL);
    add(ledger, a);
    if (b != NULL) {
        add(ledger, b);
    }
    return ledger;
}

static struct wc_work next(wc_ledger *ledger, unsigned reader) {
    struct wc_work work = {0};
    T_REQUIRE(wc_ledger_next(ledger, reader, &work));
    return work;
}

static struct wc_done done(const struct wc_work *work, uint64_t committed, uint64_t words) {
    return (struct wc_done){.file = work->file,
                            .attempt = work->attempt,
                            .committed = committed,
                            .stats = {.outcome = WC_COUNTED, .raw_bytes = 10, .words = words}};
}

static int report(wc_ledger *ledger, struct wc_done d) {
    unsigned reader;
    return (int)wc_ledger_report(ledger, &d, &reader);
}

T_TEST(ledger, gives_each_file_out_once) {
    wc_ledger *ledger = make(2, "/a", "/b");
    struct wc_work work = next(ledger, 0);
    T_CHECK_STR(work.path, "/a");
    T_CHECK_INT(work.shards, 3);
    T_CHECK_STR(next(ledger, 1).path, "/b");
    T_CHECK(!wc_ledger_next(ledger, 0, &work));
    wc_ledger_free(ledger);
}

T_TEST(ledger, a_file_is_finished_when_all_shards_have_it) {
    wc_ledger *ledger = make(2, "/a", NULL);
    struct wc_work work = next(ledger, 7);
    struct wc_done d = done(&work, 3, 5);
    unsigned reader = 0;
    T_CHECK_INT(wc_ledger_report(ledger, &d, &reader), WC_FIRST);
    T_CHECK_INT(reader, 7);
    T_CHECK_INT(wc_ledger_finished(ledger), 1);
    T_CHECK_INT(wc_ledger_totals(ledger)->words, 5);
    T_CHECK_INT(wc_ledger_totals(ledger)->files[WC_COUNTED], 1);
    wc_ledger_free(ledger);
}

T_TEST(ledger, is_right_with_sixty_four_shards) {
    wc_ledger *ledger = make(64, "/a", NULL);
    struct wc_work work = next(ledger, 0);
    T_CHECK(work.shards == UINT64_MAX);
    T_CHECK_INT(report(ledger, done(&work, UINT64_MAX, 1)), WC_FIRST);
    T_CHECK_INT(wc_ledger_finished(ledger), 1);
    T_CHECK_INT(wc_ledger_lose_shard(ledger, 63), 1);
    T_CHECK(next(ledger, 0).shards == UINT64_C(1) << 63);
    wc_ledger_free(ledger);
}

T_TEST(ledger, a_shard_that_did_not_commit_gets_the_file_again) {
    wc_ledger *ledger = make(3, "/a", NULL);
    struct wc_work work = next(ledger, 0);
    T_CHECK_INT(report(ledger, done(&work, 5, 4)), WC_FIRST);
    T_CHECK_INT(wc_ledger_finished(ledger), 0);
    work = next(ledger, 1);
    T_CHECK_INT(work.shards, 2);
    T_CHECK_INT(report(ledger, done(&work, 2, 4)), WC_SAME);
    T_CHECK_INT(wc_ledger_finished(ledger), 1);
    T_CHECK_INT(wc_ledger_totals(ledger)->words, 4); /* counted once */
    wc_ledger_free(ledger);
}

T_TEST(ledger, a_skipped_file_needs_no_shard) {
    wc_ledger *ledger = make(3, "/a", NULL);
    struct wc_work work = next(ledger, 0);
    struct wc_done d = done(&work, 0, 0);
    d.stats.outcome = WC_BINARY;
    T_CHECK_INT(report(ledger, d), WC_FIRST);
    wc_ledger_add_skipped(ledger, WC_SYMLINK);
    T_CHECK_INT(wc_ledger_finished(ledger), 2);
    T_CHECK_INT(wc_ledger_known(ledger), 2);
    T_CHECK_INT(wc_ledger_lose_shard(ledger, 0), 0);
    T_CHECK_INT(wc_ledger_totals(ledger)->files[WC_BINARY], 1);
    T_CHECK_INT(wc_ledger_totals(ledger)->files[WC_SYMLINK], 1);
    wc_ledger_free(ledger);
}

T_TEST(ledger, a_lost_readers_files_are_given_out_again) {
    wc_ledger *ledger = make(1, "/a", "/b");
    struct wc_work a = next(ledger, 0);
    struct wc_work b = next(ledger, 1);
    T_CHECK_INT(wc_ledger_lose_reader(ledger, 0), 1);
    T_CHECK_INT(wc_ledger_lose_reader(ledger, 0), 0);
    T_CHECK_INT(report(ledger, done(&a, 1, 1)), WC_LATE); /* it is queued */
    struct wc_work again = next(ledger, 1);
    T_CHECK_INT(again.file, a.file);
    T_CHECK(again.attempt > a.attempt);
    T_CHECK_INT(report(ledger, done(&a, 1, 1)), WC_LATE); /* of the first attempt */
    T_CHECK_INT(report(ledger, done(&again, 1, 1)), WC_FIRST);
    T_CHECK_INT(report(ledger, done(&again, 1, 1)), WC_LATE); /* it is done */
    T_CHECK_INT(report(ledger, done(&b, 1, 1)), WC_FIRST);
    T_CHECK_INT(wc_ledger_finished(ledger), 2);
    T_CHECK_INT(wc_ledger_totals(ledger)->words, 2);
    wc_ledger_free(ledger);
}

T_TEST(ledger, a_lost_shards_files_are_read_again_for_it_only) {
    wc_ledger *ledger = make(2, "/a", "/b");
    struct wc_work a = next(ledger, 0);
    struct wc_work b = next(ledger, 0);
    T_CHECK_INT(report(ledger, done(&a, 3, 1)), WC_FIRST);
    T_CHECK_INT(wc_ledger_lose_shard(ledger, 1), 1);
    T_CHECK_INT(wc_ledger_finished(ledger), 0);
    struct wc_work again = next(ledger, 0);
    T_CHECK_INT(again.file, a.file);
    T_CHECK_INT(again.shards, 2);
    /* The file that was being read meanwhile: its commit to the lost shard is not reported. */
    T_CHECK_INT(report(ledger, done(&b, 1, 1)), WC_FIRST);
    T_CHECK_INT(wc_ledger_finished(ledger), 0);
    T_CHECK_INT(next(ledger, 0).shards, 2);
    T_CHECK_INT(report(ledger, done(&again, 2, 1)), WC_SAME);
    T_CHECK_INT(wc_ledger_finished(ledger), 1);
    wc_ledger_free(ledger);
}

T_TEST(ledger, a_file_lost_twice_while_it_is_queued_is_queued_once) {
    wc_ledger *ledger = make(2, "/a", NULL);
    struct wc_work work = next(ledger, 0);
    T_CHECK_INT(report(ledger, done(&work, 3, 1)), WC_FIRST);
    T_CHECK_INT(wc_ledger_lose_shard(ledger, 0), 1);
    T_CHECK_INT(wc_ledger_lose_shard(ledger, 1), 1);
    work = next(ledger, 0);
    T_CHECK_INT(work.shards, 3);
    struct wc_work other;
    T_CHECK(!wc_ledger_next(ledger, 0, &other));
    T_CHECK_INT(report(ledger, done(&work, 3, 1)), WC_SAME);
    T_CHECK_INT(wc_ledger_finished(ledger), 1);
    wc_ledger_free(ledger);
}

T_TEST(ledger, says_when_a_file_has_changed) {
    wc_ledger *ledger = make(1, "/a", NULL);
    struct wc_work work = next(ledger, 0);
    T_CHECK_INT(report(ledger, done(&work, 1, 3)), WC_FIRST);
    T_CHECK_INT(wc_ledger_lose_shard(ledger, 0), 1);
    work = next(ledger, 0);
    struct wc_done d = done(&work, 0, 0);
    d.stats.outcome = WC_UNREADABLE; /* it has been removed: nothing more can be had */
    T_CHECK_INT(report(ledger, d), WC_CHANGED);
    T_CHECK_INT(wc_ledger_changed(ledger), 1);
    T_CHECK_INT(wc_ledger_finished(ledger), 1);
    T_CHECK_INT(wc_ledger_totals(ledger)->files[WC_COUNTED], 1);
    T_CHECK_INT(wc_ledger_totals(ledger)->files[WC_UNREADABLE], 0);
    wc_ledger_free(ledger);
}

T_TEST(ledger, takes_back_what_could_not_be_given) {
    wc_ledger *ledger = make(1, "/a", NULL);
    struct wc_work work = next(ledger, 0);
    wc_ledger_take_back(ledger, work.file);
    T_CHECK_INT(wc_ledger_lose_reader(ledger, 0), 0);
    T_CHECK_INT(next(ledger, 1).file, work.file);
    wc_ledger_free(ledger);
}

T_TEST(ledger, has_room_for_many_files) {
    wc_ledger *ledger = wc_ledger_new(1);
    T_REQUIRE(ledger != NULL);
    for (int i = 0; i < 5000; i++) {
        add(ledger, "/some/path");
    }
    for (unsigned i = 0; i < 5000; i++) {
        T_CHECK_INT(next(ledger, i % 10).file, i);
    }
    uint64_t lost = 0;
    for (unsigned reader = 0; reader < 10; reader++) {
        lost += wc_ledger_lose_reader(ledger, reader);
    }
    T_CHECK_INT(lost, 5000);
    for (unsigned i = 0; i < 5000; i++) {
        struct wc_work work = next(ledger, 0);
        T_CHECK_INT(work.attempt, 2);
    }
    wc_ledger_free(ledger);
}

/* ---- packs ---- */

static wc_table *table_of(const char *const *words, size_t count) {
    wc_table *table = wc_table_new();
    T_REQUIRE(table != NULL);
    for (size_t i = 0; i < count; i++) {
        T_REQUIRE(wc_table_add(table, words[i], (uint32_t)strlen(words[i]), i * 1000 + 1) == 0);
    }
    return table;
}

T_TEST(pack, carries_each_word_to_its_shard) {
    static const char *const words[] = {"a", "be", "sea", "d\xc3\xa9", "0", "ffffff"};
    enum { WORDS = sizeof words / sizeof words[0], SHARDS = 3 };
    wc_table *table = table_of(words, WORDS);
    wc_table *all = wc_table_new();
    struct wc_pack pack = {0};
    T_REQUIRE(all != NULL);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        size_t index = 0;
        T_CHECK_INT(wc_pack_shard(&pack, table, shard, SHARDS, &index), 0);
        T_CHECK_INT(index, WORDS);
        T_CHECK_INT(wc_unpack(pack.data, pack.size, all), 0);
    }
    T_CHECK_INT(wc_table_distinct(all), WORDS);
    for (size_t i = 0; i < WORDS; i++) {
        T_CHECK_INT(wc_table_find(all, words[i], (uint32_t)strlen(words[i])), i * 1000 + 1);
    }
    wc_pack_fini(&pack);
    wc_table_free(table);
    wc_table_free(all);
}

T_TEST(pack, splits_what_is_too_large_for_one) {
    wc_table *table = wc_table_new();
    wc_table *all = wc_table_new();
    struct wc_pack pack = {0};
    T_REQUIRE(table != NULL && all != NULL);
    char word[32];
    for (unsigned i = 0; i < 50000; i++) {
        int size = snprintf(word, sizeof word, "word%u", i);
        T_REQUIRE(wc_table_add(table, word, (uint32_t)size, UINT64_MAX / 50001) == 0);
    }
    static char huge[2 * WC_PACK_BYTES];
    memset(huge, 'x', sizeof huge);
    T_REQUIRE(wc_table_add(table, huge, sizeof huge, 1) == 0);
    size_t index = 0;
    unsigned packs = 0;
    while (index < wc_table_distinct(table)) {
        T_REQUIRE(wc_pack_shard(&pack, table, 0, 1, &index) == 0);
        T_CHECK(pack.size <= WC_PACK_BYTES || pack.size > sizeof huge);
        T_REQUIRE(wc_unpack(pack.data, pack.size, all) == 0);
        packs++;
    }
    T_CHECK(packs >= 3);
    T_CHECK_INT(wc_table_distinct(all), 50001);
    T_CHECK(wc_table_words(all) == wc_table_words(table));
    T_CHECK_INT(wc_table_find(all, huge, sizeof huge), 1);
    wc_pack_fini(&pack);
    wc_table_free(table);
    wc_table_free(all);
}

T_TEST(pack, refuses_what_is_not_well_formed) {
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x05", 1},                                           /* no count */
        {"\x05\x01word", 6},                                   /* one byte is missing */
        {"\x00\x01", 2},                                       /* an empty word */
        {"\x01\x00x", 3},                                      /* counted zero times */
        {"\x81", 1},                                           /* a number that is cut off */
        {"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02x", 12}, /* more than 64 bits */
        {"\xff\xff\xff\xff\x7f\x01x", 7},                      /* more than 4 GiB */
    };
    wc_table *table = wc_table_new();
    T_REQUIRE(table != NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        T_CHECK_INT(wc_unpack(bad[i].bytes, bad[i].size, table), -EBADMSG);
    }
    T_CHECK_INT(wc_table_distinct(table), 0);
    T_CHECK_INT(wc_unpack("\x04\x02word", 6, table), 0);
    T_CHECK_INT(wc_table_find(table, "word", 4), 2);
    wc_table_free(table);
}
