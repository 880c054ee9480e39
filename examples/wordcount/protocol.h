/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h: who says what to whom.
 *
 *     walker ---file_found---> boss ---count_file---> reader ---add_words---> shard
 *                               ^  <--file_counted---   |   <--words_added---
 *                               |                       |
 *     meter ---load--> gauge    +------- tr_down -------+   (when a reader or a shard is lost)
 *
 * The boss has the list of files and gives them to readers. A reader counts one file at a time and
 * asks each shard to add its part of the words; a shard adds a file's part at once, when it has all of
 * it, or not at all. There are readers and one shard on every loop of every node; boss, walker and
 * gauge live on the first loop of the first node. The main task looks on: it asks the boss how far
 * it is, and in the end the shards for their words.
 *
 * Every step that can get lost with a node is an ask: it is answered, or fails.
 */
#ifndef WC_PROTOCOL_H
#define WC_PROTOCOL_H

#include <troupe/actors.h>

#undef TR_PACKAGE
#define TR_PACKAGE "wordcount"

enum {
    WC_READERS_PER_LOOP = 4, /* while one waits for a shard, the others read */
    WC_FILES_PER_READER = 2, /* one that it reads, one that waits in its mailbox */
    WC_NODES_MAX = 16,
    WC_LOOPS_MAX = 64
};
#define WC_ASK_TIMEOUT (30 * TR_SECOND)

/* ---- walker: finds the files ---- */

TR_MESSAGE(walker_start, (1, ref, boss), (2, bytes, roots)); /* roots: each ends in a zero byte */
TR_DECLARE_BEHAVIOUR(walker);

/* ---- boss: knows the state of every file ---- */

TR_MESSAGE(boss_start, (1, uint32, nodes), (2, uint32, loops), (3, uint32, shards),
           (4, bytes, roots));
/* From the walker. Paths are bytes, not text. `outcome` and `err` as in struct wc_file. */
TR_MESSAGE(file_found, (1, bytes, path), (2, int32, outcome), (3, int32, err));
TR_MESSAGE(walk_ended);
/* From a reader: struct wc_done, and what it knew about the shards' places at that time. */
TR_MESSAGE(file_counted, (1, uint32, file), (2, uint32, attempt), (3, uint32, version),
           (4, uint64, committed), (5, int32, outcome), (6, int32, err), (7, uint64, raw_bytes),
           (8, uint64, text_bytes), (9, uint64, words));
/* From the main task. */
TR_MESSAGE(get_status);
TR_MESSAGE(boss_status, (1, uint64, known), (2, uint64, finished), (3, bool, is_walked),
           (4, bool, is_finished), (5, int32, err), (6, uint64, changed), (7, uint32, nodes),
           (8, bytes, totals)); /* totals: struct wc_totals, the asker is in the same process */
TR_REPLY(get_status, boss_status);
TR_MESSAGE(find_shard, (1, uint32, shard));
TR_MESSAGE(shard_found, (1, ref, shard),
           (2, bool, is_finished)); /* it has all words of all files */
TR_REPLY(find_shard, shard_found);
TR_MESSAGE(give_up); /* the count is not wanted any more */
TR_DECLARE_BEHAVIOUR(boss);

/* ---- reader: counts the words of files ---- */

TR_MESSAGE(reader_start, (1, ref, boss), (2, uint32, shards));
/* From the boss: where a shard is. The version grows with each shard that is built anew. */
TR_MESSAGE(shard_at, (1, uint32, shard), (2, ref, ref), (3, uint32, version));
/* From the boss: struct wc_work. */
TR_MESSAGE(count_file, (1, uint32, file), (2, uint32, attempt), (3, uint64, shards),
           (4, bytes, path));
TR_DECLARE_BEHAVIOUR(reader);

/* ---- shard: has the counts of some words ---- */

/* From a reader: part `number` (from 0 on) of a file's words, as in pack.h. With the last part
 * the file is committed. */
TR_MESSAGE(add_words, (1, uint32, file), (2, uint32, attempt), (3, uint32, number),
           (4, bool, is_last), (5, bytes, words));
TR_MESSAGE(words_added);
TR_REPLY(add_words, words_added);
/* From the main task: the most frequent words; or all of them, a part at a time. */
TR_MESSAGE(get_top, (1, uint32, count));
TR_MESSAGE(get_words, (1, uint64, from));
TR_MESSAGE(some_words, (1, bytes, words), (2, uint64, next), (3, uint64, distinct));
TR_REPLY(get_top, some_words);
TR_REPLY(get_words, some_words);
TR_DECLARE_BEHAVIOUR(shard);

/* ---- meter and gauge: what the loops and links are doing ---- */

TR_MESSAGE(meter_start, (1, ref, gauge), (2, uint32, node), (3, uint32, loop));
TR_DECLARE_BEHAVIOUR(meter);
/* From a meter: counters since the start. */
TR_MESSAGE(load, (1, uint32, node), (2, uint32, loop), (3, uint64, messages));
/* From the main task. */
TR_MESSAGE(get_rates);
TR_MESSAGE(rates, (1, string, text));
TR_REPLY(get_rates, rates);
TR_DECLARE_BEHAVIOUR(gauge);

/* ---- nodes ---- */

/* "node0" is the first process, "node1" and so on are the workers. */
struct wc_node_name {
    char text[16];
};
struct wc_node_name wc_node_name(unsigned node);

/* An actor or its node is gone or out of reach: nothing is wrong with what it was asked to do. */
bool wc_is_loss(int err);

/* Report messages that reached nobody, unless they were lost with their receiver: that, the boss
 * repairs. At the start of each process's main task. 0 or -ENOMEM. */
int wc_watch_dead_letters(void);

#endif
