/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wordcount_tree.h: a directory of files for one test, and what counts them.
 */
#ifndef WORDCOUNT_TREE_H
#define WORDCOUNT_TREE_H

#include "../../examples/wordcount/files.h"
#include "../../examples/wordcount/verify.h"

#include "t.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
    char root[64];
    wc_reader *reader;
    wc_table *table;
};

static inline struct tree begin(void) {
    struct tree t = {.root = "/tmp/troupe-wordcount-XXXXXX"};
    T_REQUIRE(mkdtemp(t.root) != NULL);
    t.reader = wc_reader_new();
    t.table = wc_table_new();
    T_REQUIRE(t.reader != NULL && t.table != NULL);
    return t;
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void end(struct tree *t) {
    wc_reader_free(t->reader);
    wc_table_free(t->table);
    T_CHECK_INT(nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Root + "/" + name; one of four buffers in turn, so not for keeping. */
static inline const char *in(const struct tree *t, const char *name) {
    static char buffers[4][512];
    static unsigned next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, sizeof buffers[0], "%s/%s", t->root, name);
    return buffer;
}

static inline void put_file(const struct tree *t, const char *name, const void *data, size_t size) {
    FILE *file = fopen(in(t, name), "wb");
    T_REQUIRE(file != NULL);
    T_REQUIRE(fwrite(data, 1, size, file) == size);
    T_REQUIRE(fclose(file) == 0);
}

static inline void put_text(const struct tree *t, const char *name, const char *text) {
    put_file(t, name, text, strlen(text));
}

static inline void put_dir(const struct tree *t, const char *name) {
    T_REQUIRE(mkdir(in(t, name), 0700) == 0);
}

#endif
