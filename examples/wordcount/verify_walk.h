/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_walk.h: which files there are, found once more by other means than wc_walk.
 */
#ifndef WC_VERIFY_WALK_H
#define WC_VERIFY_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct wc_verify_path {
    char *text;
    dev_t device;
    int outcome;   /* WC_COUNTED: a regular file, or a directory still to be listed */
    bool is_mount; /* a directory on another device than the one above it */
};

struct wc_verify_paths {
    struct wc_verify_path *at;
    size_t count;
    size_t capacity;
};

/* All zero is an empty one. */
struct wc_verify_walk {
    struct wc_verify_paths directories; /* listed from the front, growing at the end */
    size_t directories_done;
    struct wc_verify_paths others;
    size_t others_done;
    bool is_sorted;
};

/* 0; -ENOENT and the like, -ENOTDIR; a shortage. */
int wc_verify_walk_add_root(struct wc_verify_walk *walk, const char *root);

/* List a directory (then *ret_path is NULL), or give the next path and its enum wc_outcome. 1, 0 at
 * the end, or a shortage. */
int wc_verify_walk_step(struct wc_verify_walk *walk, const char **ret_path, int *ret_outcome);

void wc_verify_walk_fini(struct wc_verify_walk *walk);

#endif
