/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h: words and their counts as the bytes of a message.
 *
 * Each entry is the word's size, its count (both as base-128 numbers, low bits first) and its bytes.
 */
#ifndef WC_PACK_H
#define WC_PACK_H

#include "words.h"

enum { WC_PACK_BYTES = 256 * 1024 }; /* a message carries about that much */

/* All zero is an empty one. */
struct wc_pack {
    unsigned char *data;
    size_t size;
    size_t room;
};

/* Fill the pack with the entries of a table that belong to one shard, from *index on. It is full
 * with WC_PACK_BYTES, or with a single word that is larger. Sets *index to where the next pack goes
 * on: wc_table_distinct() at the end. 0 or -ENOMEM. */
int wc_pack_shard(struct wc_pack *pack, const wc_table *table, uint32_t shard, uint32_t shards,
                  size_t *index);

/* Start over, and add one entry whatever its size. 0 or -ENOMEM. */
void wc_pack_clear(struct wc_pack *pack);
int wc_pack_add(struct wc_pack *pack, const struct wc_entry *entry);

void wc_pack_fini(struct wc_pack *pack);

/* Count everything that a pack holds. 0, -EBADMSG when it is not well formed, -ENOMEM: some of it
 * may have been added. */
int wc_unpack(const void *data, size_t size, wc_table *into);

#endif
