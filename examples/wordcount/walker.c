/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walker.c: the actor that finds the files and tells the boss about each.
 */
#include "files.h"
#include "protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each root ends in a zero byte. */
static int open_walk(tr_bytes roots, wc_walk **ret_walk) {
    const char *at = roots.data;
    const char *end = at + roots.size;
    const char **list = calloc(roots.size + 1, sizeof *list);
    size_t count = 0;
    if (list == NULL) {
        return -ENOMEM;
    }
    for (; at < end; at += strlen(at) + 1) {
        list[count++] = at;
    }
    const char *bad;
    int err = wc_walk_new(list, count, ret_walk, &bad);
    free(list);
    return err;
}

static int tell(tr_ref boss, const struct wc_file *file) {
    return tr_send_wait(boss, file_found, .path = {file->path, strlen(file->path)},
                        .outcome = file->outcome, .err = file->err);
}

static int walk(tr_ref boss, wc_walk *walk) {
    struct wc_file file;
    int err;
    while ((err = wc_walk_next(walk, &file)) > 0) {
        err = tell(boss, &file); /* waits while the boss has enough to do */
        if (err == 0) {
            err = tr_yield();
        }
        if (err < 0) {
            return err;
        }
    }
    return err < 0 ? err : tr_send_wait(boss, walk_ended);
}

static int walker_main(tr_self *self, const walker_start *start) {
    (void)self;
    wc_walk *files;
    int err = open_walk(start->roots, &files);
    if (err == 0) {
        err = walk(start->boss, files);
        wc_walk_free(files);
    }
    return wc_is_loss(err) ? 0 : err; /* without a boss nobody wants to know */
}

TR_PROCESS(walker, walker_start, walker_main);
