/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.c: words and their counts as bytes.
 */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 10 }; /* the longest base-128 number */

static size_t put_number(unsigned char *at, uint64_t number) {
    size_t size = 0;
    while (number >= 0x80) {
        at[size++] = (unsigned char)(number | 0x80);
        number >>= 7;
    }
    at[size++] = (unsigned char)number;
    return size;
}

/* How many bytes the number took; 0: it is cut off or too large. */
static size_t get_number(const unsigned char *at, size_t size, uint64_t *ret_number) {
    uint64_t number = 0;
    for (size_t i = 0; i < size && i < NUMBER_BYTES; i++) {
        uint64_t bits = at[i] & 0x7f;
        if (i == NUMBER_BYTES - 1 && bits > 1) {
            return 0;
        }
        number |= bits << (7 * i);
        if (at[i] < 0x80) {
            *ret_number = number;
            return i + 1;
        }
    }
    return 0;
}

static int make_room(struct wc_pack *pack, size_t size) {
    if (pack->room - pack->size >= size) {
        return 0;
    }
    size_t room = pack->size + size < WC_PACK_BYTES ? WC_PACK_BYTES : pack->size + size;
    unsigned char *data = realloc(pack->data, room);
    if (data == NULL) {
        return -ENOMEM;
    }
    pack->data = data;
    pack->room = room;
    return 0;
}

void wc_pack_clear(struct wc_pack *pack) {
    pack->size = 0;
    if (pack->room > 4 * WC_PACK_BYTES) { /* there was one huge word */
        wc_pack_fini(pack);
    }
}

int wc_pack_add(struct wc_pack *pack, const struct wc_entry *entry) {
    int err = make_room(pack, entry->size + 2 * (size_t)NUMBER_BYTES);
    if (err < 0) {
        return err;
    }
    pack->size += put_number(pack->data + pack->size, entry->size);
    pack->size += put_number(pack->data + pack->size, entry->count);
    memcpy(pack->data + pack->size, entry->word, entry->size);
    pack->size += entry->size;
    return 0;
}

int wc_pack_shard(struct wc_pack *pack, const wc_table *table, uint32_t shard, uint32_t shards,
                  size_t *index) {
    size_t distinct = wc_table_distinct(table);
    wc_pack_clear(pack);
    for (; *index < distinct; ++*index) {
        const struct wc_entry *entry = wc_table_at(table, *index);
        if (wc_shard(entry->hash, shards) != shard) {
            continue;
        }
        size_t after = pack->size + entry->size + 2 * (size_t)NUMBER_BYTES;
        if (pack->size > 0 && after > WC_PACK_BYTES) {
            return 0;
        }
        int err = wc_pack_add(pack, entry);
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

void wc_pack_fini(struct wc_pack *pack) {
    free(pack->data);
    *pack = (struct wc_pack){0};
}

int wc_unpack(const void *data, size_t size, wc_table *into) {
    const unsigned char *at = data;
    while (size > 0) {
        uint64_t word_size;
        uint64_t count;
        size_t head = get_number(at, size, &word_size);
        size_t tail = head > 0 ? get_number(at + head, size - head, &count) : 0;
        if (tail == 0 || word_size == 0 || word_size > UINT32_MAX || count == 0 ||
            word_size > size - head - tail) {
            return -EBADMSG;
        }
        at += head + tail;
        int err = wc_table_add(into, (const char *)at, (uint32_t)word_size, count);
        if (err < 0) {
            return err;
        }
        at += word_size;
        size -= head + tail + word_size;
    }
    return 0;
}
