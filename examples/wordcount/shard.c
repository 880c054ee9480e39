/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard.c: the actor that has the counts of one part of all words.
 *
 * A file's words come in one or more parts. They count when the last one is there, all at once, and
 * a file that has been committed is never added a second time: so a file may be read again after any
 * loss, by anybody.
 */
#include "pack.h"
#include "protocol.h"
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A part that waits for the rest of its file. */
struct part {
    struct part *next;
    size_t size;
    unsigned char words[];
};

/* A file of which some parts have come. */
struct draft {
    struct draft *next;
    struct part *first;
    struct part **last;
    uint32_t file;
    uint32_t attempt;
    uint32_t parts;
};

typedef struct {
    wc_table *words;
    uint8_t *committed; /* one bit a file */
    size_t committed_size;
    struct draft *drafts; /* of very large files only: a short list */
    struct wc_pack pack;  /* for answers */
} shard;

static int on_start(tr_self *self, shard *s, const tr_nothing *start) {
    (void)self;
    (void)start;
    s->words = wc_table_new();
    return s->words != NULL ? 0 : -ENOMEM;
}

/* ---- which files are in ---- */

static bool is_committed(const shard *s, uint32_t file) {
    return file / 8 < s->committed_size && (s->committed[file / 8] >> (file % 8) & 1) != 0;
}

/* Have room for the bit before the words are added: then nothing can go wrong in between. */
static int prepare_commit(shard *s, uint32_t file) {
    if (file / 8 < s->committed_size) {
        return 0;
    }
    size_t size = (size_t)(file / 8 + 1) * 2;
    uint8_t *bits = realloc(s->committed, size);
    if (bits == NULL) {
        return -ENOMEM;
    }
    memset(bits + s->committed_size, 0, size - s->committed_size);
    s->committed = bits;
    s->committed_size = size;
    return 0;
}

static void commit(shard *s, uint32_t file) {
    s->committed[file / 8] |= (uint8_t)(1u << (file % 8));
}

/* ---- drafts ---- */

static struct draft **find_draft(shard *s, uint32_t file) {
    struct draft **at = &s->drafts;
    while (*at != NULL && (*at)->file != file) {
        at = &(*at)->next;
    }
    return at;
}

static void drop_draft(struct draft **at) {
    struct draft *draft = *at;
    *at = draft->next;
    while (draft->first != NULL) {
        struct part *part = draft->first;
        draft->first = part->next;
        free(part);
    }
    free(draft);
}

/* Keep a part until the last one is there. */
static int keep_part(shard *s, const add_words *m) {
    struct draft **at = find_draft(s, m->file);
    if (*at != NULL && (*at)->attempt > m->attempt) {
        return -ESTALE; /* somebody else reads the file by now */
    }
    if (m->number == 0) {
        if (*at != NULL) {
            drop_draft(at);
        }
        struct draft *draft = calloc(1, sizeof *draft);
        if (draft == NULL) {
            return -ENOMEM;
        }
        draft->file = m->file;
        draft->attempt = m->attempt;
        draft->last = &draft->first;
        draft->next = s->drafts;
        s->drafts = draft;
    }
    struct draft *draft = *find_draft(s, m->file);
    if (draft == NULL || draft->attempt != m->attempt || draft->parts != m->number) {
        return -ESTALE; /* the beginning went to the shard that was here before */
    }
    struct part *part = malloc(sizeof *part + m->words.size);
    if (part == NULL) {
        return -ENOMEM;
    }
    part->next = NULL;
    part->size = m->words.size;
    memcpy(part->words, m->words.data, m->words.size);
    *draft->last = part;
    draft->last = &part->next;
    draft->parts++;
    return 0;
}

/* ---- adding ---- */

/* All parts before the last one. Gives way in between: this shard's other messages wait, the
 * loop's other actors run. */
static int add_draft(shard *s, const add_words *m) {
    struct draft **at = find_draft(s, m->file);
    if (*at == NULL || (*at)->attempt != m->attempt || (*at)->parts != m->number) {
        return -ESTALE;
    }
    int err = 0;
    for (struct part *part = (*at)->first; err == 0 && part != NULL; part = part->next) {
        err = wc_unpack(part->words, part->size, s->words);
        if (err == 0) {
            err = tr_yield();
        }
    }
    drop_draft(find_draft(s, m->file));
    return err;
}

/* An error that is this actor's own is returned: it ends with it, and what it has half done ends
 * too. What is the sender's fault is the sender's answer. */
static int on_add_words(tr_self *self, shard *s, const add_words *m) {
    if (is_committed(s, m->file)) {
        return tr_reply(self, words_added);
    }
    int err = m->is_last ? prepare_commit(s, m->file) : keep_part(s, m);
    if (err == 0 && m->is_last && m->number > 0) {
        err = add_draft(s, m);
    }
    if (err == -ESTALE) {
        return tr_reply_error(self, err);
    }
    if (err == 0 && m->is_last) {
        err = wc_unpack(m->words.data, m->words.size, s->words);
        if (err == 0) {
            commit(s, m->file);
        }
    }
    return err < 0 ? err : tr_reply(self, words_added);
}

/* ---- answers ---- */

static int reply_pack(tr_self *self, const shard *s, size_t next) {
    return tr_reply(self, some_words, .words = {s->pack.data, s->pack.size}, .next = next,
                    .distinct = wc_table_distinct(s->words));
}

static int on_get_top(tr_self *self, shard *s, const get_top *m) {
    size_t distinct = wc_table_distinct(s->words);
    size_t room = m->count < distinct ? m->count : distinct;
    struct wc_entry *top = calloc(room + 1, sizeof *top);
    if (top == NULL) {
        return tr_reply_error(self, -ENOMEM);
    }
    size_t count = wc_top_of_table(s->words, top, room);
    int err = 0;
    wc_pack_clear(&s->pack);
    for (size_t i = 0; err == 0 && i < count; i++) {
        err = wc_pack_add(&s->pack, &top[i]);
    }
    free(top);
    return err < 0 ? tr_reply_error(self, err) : reply_pack(self, s, distinct);
}

static int on_get_words(tr_self *self, shard *s, const get_words *m) {
    size_t index = m->from;
    int err = wc_pack_shard(&s->pack, s->words, 0, 1, &index); /* of one: all words are its own */
    return err < 0 ? tr_reply_error(self, err) : reply_pack(self, s, index);
}

static void on_end(tr_self *self, shard *s, int reason) {
    (void)self;
    (void)reason;
    while (s->drafts != NULL) {
        drop_draft(&s->drafts);
    }
    wc_pack_fini(&s->pack);
    free(s->committed);
    wc_table_free(s->words);
}

TR_PROTOCOL(shard, add_words, get_top, get_words);
TR_BEHAVIOUR(shard, TR_INIT(tr_nothing, on_start), TR_ON(add_words, on_add_words),
             TR_ON(get_top, on_get_top), TR_ON(get_words, on_get_words), TR_TERMINATE(on_end));
