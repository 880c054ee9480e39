/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_walk.c: directories listed breadth first by their paths; what overlapping roots found twice
 * is removed by sorting at the end.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* realpath() */
#endif
#include "verify_walk.h"

#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Takes the text over, also where it fails; NULL is -ENOMEM. */
static int add_path(struct wc_verify_paths *paths, char *text, dev_t device, int outcome) {
    if (text == NULL) {
        return -ENOMEM;
    }
    if (paths->count == paths->capacity) {
        size_t capacity = paths->capacity * 2 + 16;
        struct wc_verify_path *at = realloc(paths->at, capacity * sizeof *at);
        if (at == NULL) {
            free(text);
            return -ENOMEM;
        }
        paths->at = at;
        paths->capacity = capacity;
    }
    paths->at[paths->count++] =
        (struct wc_verify_path){.text = text, .device = device, .outcome = outcome};
    return 0;
}

static char *copy(const char *text) {
    size_t size = strlen(text) + 1;
    char *to = malloc(size);
    return to == NULL ? NULL : memcpy(to, text, size);
}

static char *below(const char *directory, const char *name) {
    size_t size = strlen(directory) + strlen(name) + 2;
    char *text = malloc(size);
    if (text != NULL) {
        const char *slash = strcmp(directory, "/") == 0 ? "" : "/";
        snprintf(text, size, "%s%s%s", directory, slash, name);
    }
    return text;
}

static int add_by_mode(struct wc_verify_walk *v, char *text, const struct stat *st) {
    if (S_ISDIR(st->st_mode)) {
        return add_path(&v->directories, text, st->st_dev, WC_COUNTED);
    }
    int outcome = WC_DEVICE;
    if (S_ISREG(st->st_mode)) {
        outcome = WC_COUNTED;
    } else if (S_ISLNK(st->st_mode)) {
        outcome = WC_SYMLINK;
    } else if (S_ISFIFO(st->st_mode)) {
        outcome = WC_FIFO;
    } else if (S_ISSOCK(st->st_mode)) {
        outcome = WC_SOCKET;
    }
    return add_path(&v->others, text, st->st_dev, outcome);
}

int wc_verify_walk_add_root(struct wc_verify_walk *walk, const char *root) {
    struct stat st;
    char *resolved = realpath(root, NULL);

    if (resolved == NULL || lstat(resolved, &st) < 0) {
        int err = -errno;
        free(resolved);
        return err;
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        free(resolved);
        return -ENOTDIR;
    }
    return add_by_mode(walk, resolved, &st);
}

static int add_below(struct wc_verify_walk *v, const struct wc_verify_path *directory,
                     const char *name) {
    struct stat st;
    char *text = below(directory->text, name);

    if (text == NULL) {
        return -ENOMEM;
    }
    if (lstat(text, &st) < 0) {
        return add_path(&v->others, text, 0, WC_UNREADABLE);
    }
    int err = add_by_mode(v, text, &st);
    if (err == 0 && S_ISDIR(st.st_mode)) {
        v->directories.at[v->directories.count - 1].is_mount = st.st_dev != directory->device;
    }
    return err;
}

/* NULL: *ret_err says why, -errno or WC_VIRTUAL. */
static DIR *open_checked(const struct wc_verify_path *directory, int *ret_err) {
    int fd = open(directory->text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        *ret_err = -errno;
        return NULL;
    }
    if (directory->is_mount && wc_is_virtual(fd)) {
        close(fd);
        *ret_err = WC_VIRTUAL;
        return NULL;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        *ret_err = -errno;
        close(fd);
    }
    return dir;
}

static int add_all_below(struct wc_verify_walk *v, const struct wc_verify_path *directory,
                         DIR *dir) {
    const struct dirent *entry;
    int err = 0;

    while (errno = 0, err == 0 && (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            err = add_below(v, directory, name);
        }
    }
    return err < 0 ? err : -errno;
}

static void cut(struct wc_verify_paths *paths, size_t count) {
    while (paths->count > count) {
        free(paths->at[--paths->count].text);
    }
}

static int list_one(struct wc_verify_walk *v) {
    struct wc_verify_path directory = v->directories.at[v->directories_done++];
    size_t directories_before = v->directories.count;
    size_t others_before = v->others.count;
    int err = 0;
    DIR *dir = open_checked(&directory, &err);
    int outcome = err == WC_VIRTUAL ? WC_VIRTUAL : WC_UNREADABLE;

    if (dir != NULL) {
        err = add_all_below(v, &directory, dir);
        closedir(dir);
    }
    if (err == 0 || wc_is_shortage(err)) {
        return err;
    }
    cut(&v->directories, directories_before);
    cut(&v->others, others_before);
    return add_path(&v->others, copy(directory.text), 0, outcome);
}

static int by_text(const void *a, const void *b) {
    const struct wc_verify_path *x = a;
    const struct wc_verify_path *y = b;
    return strcmp(x->text, y->text);
}

/* Overlapping roots found everything inside them several times. */
static void sort_others(struct wc_verify_walk *v) {
    struct wc_verify_paths *p = &v->others;
    size_t kept = 0;

    if (p->count > 0) {
        qsort(p->at, p->count, sizeof *p->at, by_text);
    }
    for (size_t i = 0; i < p->count; i++) {
        if (kept > 0 && strcmp(p->at[kept - 1].text, p->at[i].text) == 0) {
            free(p->at[i].text);
        } else {
            p->at[kept++] = p->at[i];
        }
    }
    p->count = kept;
    v->is_sorted = true;
}

int wc_verify_walk_step(struct wc_verify_walk *walk, const char **ret_path, int *ret_outcome) {
    if (walk->directories_done < walk->directories.count) {
        int err = list_one(walk);
        *ret_path = NULL;
        return err < 0 ? err : 1;
    }
    if (!walk->is_sorted) {
        sort_others(walk);
    }
    if (walk->others_done == walk->others.count) {
        return 0;
    }
    const struct wc_verify_path *path = &walk->others.at[walk->others_done++];
    *ret_path = path->text;
    *ret_outcome = path->outcome;
    return 1;
}

void wc_verify_walk_fini(struct wc_verify_walk *walk) {
    cut(&walk->directories, 0);
    cut(&walk->others, 0);
    free(walk->directories.at);
    free(walk->others.at);
}
