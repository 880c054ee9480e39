/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wordcount example's actors in one process, some of which are killed in the middle.
 */
#include "wordcount_tree.h"

#include "../../examples/wordcount/ledger.h"
#include "../../examples/wordcount/pack.h"
#include "../../examples/wordcount/protocol.h"

#include "t_task.h"

#include <stdlib.h>

enum { SHARDS = 3, FILES = 150 };

struct count {
    const char *root;
    int kills; /* shards killed one after the other while the count goes on */
    struct wc_totals totals;
    wc_table *words;
};

static int wait_until_finished(tr_ref boss, boss_status *ret_status) {
    for (;;) {
        int err = tr_ask(boss, 10 * TR_SECOND, ret_status, get_status);
        err = err < 0 ? err : ret_status->err;
        if (err < 0 || ret_status->is_finished) {
            return err;
        }
        err = tr_sleep(TR_MS);
        if (err < 0) {
            return err;
        }
    }
}

static int kill_shards(struct count *c, tr_ref boss) {
    for (uint32_t i = 0; i < (uint32_t)c->kills; i++) {
        shard_found found;
        int err = tr_sleep(TR_MS * (int64_t)(i % 4));
        err = err < 0 ? err : tr_ask(boss, 10 * TR_SECOND, &found, find_shard, .shard = i % SHARDS);
        err = err < 0 ? err : tr_kill(found.shard);
        if (err < 0) {
            return err;
        }
    }
    /* And one when everything is done: it has to be built anew completely. */
    boss_status now;
    shard_found found;
    int err = wait_until_finished(boss, &now);
    err = err < 0 ? err : tr_ask(boss, 10 * TR_SECOND, &found, find_shard, .shard = 0);
    err = err < 0 ? err : tr_kill(found.shard);
    while (err == 0 && found.is_finished) { /* until the boss knows */
        err = tr_ask(boss, 10 * TR_SECOND, &found, find_shard, .shard = 0);
    }
    return err;
}

static int collect(struct count *c, tr_ref boss) {
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < SHARDS; i++) {
        shard_found found;
        some_words some = {0};
        err = tr_ask(boss, 10 * TR_SECOND, &found, find_shard, .shard = i);
        T_CHECK(err < 0 || found.is_finished);
        do {
            err = err < 0
                      ? err
                      : tr_ask(found.shard, 10 * TR_SECOND, &some, get_words, .from = some.next);
            err = err < 0 ? err : wc_unpack(some.words.data, some.words.size, c->words);
        } while (err == 0 && some.next < some.distinct);
    }
    return err;
}

static int count_it(void *arg) {
    struct count *c = arg;
    tr_ref b;
    int err = tr_spawn(&b, boss,
                       .arg = TR_ARG(boss_start, .nodes = 1, .loops = 2, .shards = SHARDS,
                                     .roots = {c->root, strlen(c->root) + 1}));
    if (err == 0 && c->kills > 0) {
        err = kill_shards(c, b);
    }
    boss_status now;
    err = err < 0 ? err : wait_until_finished(b, &now);
    if (err == 0) {
        memcpy(&c->totals, now.totals.data, sizeof c->totals);
        T_CHECK_INT(now.changed, 0);
        T_CHECK_INT(now.nodes, 1);
        err = collect(c, b);
    }
    tr_kill(b);
    return err;
}

/* Many small files and a large one, whose words don't fit one message. */
static void plant(const struct tree *t) {
    char *text = malloc(2 << 20);
    T_REQUIRE(text != NULL);
    for (int file = 0; file < FILES; file++) {
        char name[32];
        size_t size = 0;
        int words = file == FILES / 2 ? 150000 : 20 + file;
        for (int i = 0; i < words; i++) {
            size += (size_t)snprintf(text + size, 16, "%d w%d ", i * file % 7, i);
        }
        snprintf(name, sizeof name, "%d", file);
        put_file(t, name, text, size);
    }
    free(text);
    put_file(t, "binary", "a\0b", 3);
}

static void check(int kills) {
    struct tree t = begin();
    plant(&t);
    struct count c = {.root = t.root, .kills = kills, .words = wc_table_new()};
    wc_verify *verify = wc_verify_new();
    T_REQUIRE(c.words != NULL && verify != NULL);
    T_CHECK_INT(tr_run(count_it, &c, .loops = 2, .no_pinning = true), 0);
    T_CHECK_INT(wc_verify_add_root(verify, t.root), 0);
    int more;
    while ((more = wc_verify_step(verify)) > 0) {
    }
    T_CHECK_INT(more, 0);
    T_CHECK_INT(c.totals.files[WC_COUNTED], FILES);
    T_CHECK_INT(c.totals.files[WC_BINARY], 1);
    T_CHECK_INT(wc_verify_compare(verify, c.words, &c.totals, stderr), 0);
    wc_verify_free(verify);
    wc_table_free(c.words);
    end(&t);
}

T_TEST(wordcount, counts_every_word) {
    check(0);
}

T_TEST(wordcount, counts_nothing_twice_when_shards_are_lost) {
    t_timeout(60);
    for (int round = 0; round < 5; round++) {
        check(1 + 3 * round);
    }
}
