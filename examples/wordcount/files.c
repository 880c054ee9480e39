/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.c: walking directories, and reading files in steps.
 */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* realpath() */
#endif
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* In struct item only: it has to be listed. */
#define KIND_DIRECTORY WC_OUTCOMES

static const struct {
    const char *text;
    const char *key;
} outcome_names[WC_OUTCOMES] = {
    [WC_COUNTED] = {"counted", "counted"},
    [WC_BINARY] = {"binary", "binary"},
    [WC_CORRUPT] = {"corrupt gzip", "corrupt_gzip"},
    [WC_UNREADABLE] = {"unreadable", "unreadable"},
    [WC_SYMLINK] = {"symbolic link", "symbolic_link"},
    [WC_FIFO] = {"fifo", "fifo"},
    [WC_SOCKET] = {"socket", "socket"},
    [WC_DEVICE] = {"device", "device"},
    [WC_VIRTUAL] = {"virtual file system", "virtual_file_system"},
};

const char *wc_outcome_text(int outcome) {
    return outcome_names[outcome].text;
}

const char *wc_outcome_key(int outcome) {
    return outcome_names[outcome].key;
}

/* ---- the walk ---- */

/* A path still to be reported or, if a directory, to be replaced by what is in it. */
struct item {
    char *path; /* a directory's ends in '/', so that sorting paths sorts the whole tree */
    uint64_t size;
    dev_t device;
    int kind; /* enum wc_outcome or KIND_DIRECTORY */
    int err;
    bool is_mount; /* on another device than the directory it is in */
};

/*
 * No recursion: the depth of a tree is not ours to choose and a task's stack is small. No chain of
 * open directories either, one is open at a time; a path longer than PATH_MAX fails with
 * ENAMETOOLONG when it is opened, and is reported like any other that can't be read.
 */
struct wc_walk {
    struct item *items; /* a stack: the next path in order is the last one */
    size_t count;
    size_t capacity;
    char *reported; /* path of the last wc_file */
};

static int by_path(const void *a, const void *b) {
    const struct item *x = a;
    const struct item *y = b;
    return strcmp(x->path, y->path);
}

static int by_path_descending(const void *a, const void *b) {
    return by_path(b, a);
}

static int push(wc_walk *w, const struct item *item) {
    if (w->count == w->capacity) {
        size_t capacity = w->capacity == 0 ? 64 : w->capacity * 2;
        struct item *items = realloc(w->items, capacity * sizeof *items);
        if (items == NULL) {
            return -ENOMEM;
        }
        w->items = items;
        w->capacity = capacity;
    }
    w->items[w->count++] = *item;
    return 0;
}

static void drop(wc_walk *w, size_t count) {
    while (w->count > count) {
        free(w->items[--w->count].path);
    }
}

static int kind_of(mode_t mode) {
    switch (mode & (mode_t)S_IFMT) {
    case S_IFREG: return WC_COUNTED;
    case S_IFDIR: return KIND_DIRECTORY;
    case S_IFLNK: return WC_SYMLINK;
    case S_IFIFO: return WC_FIFO;
    case S_IFSOCK: return WC_SOCKET;
    default: return WC_DEVICE;
    }
}

/* Directory (its '/' included) + name + '/' or nothing. */
static char *join(const char *directory, const char *name, bool is_directory) {
    size_t head = strlen(directory);
    size_t tail = strlen(name);
    char *path = malloc(head + tail + 2);
    if (path == NULL) {
        return NULL;
    }
    memcpy(path, directory, head);
    memcpy(path + head, name, tail);
    if (is_directory) {
        path[head + tail++] = '/';
    }
    path[head + tail] = '\0';
    return path;
}

/* One entry of an open directory. */
static int push_entry(wc_walk *w, const struct item *directory, int fd, const char *name) {
    struct stat st;
    struct item item = {.kind = WC_UNREADABLE};

    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        item.err = -errno; /* it may just have been deleted */
    } else {
        item.kind = kind_of(st.st_mode);
        item.size = item.kind == WC_COUNTED ? (uint64_t)st.st_size : 0;
        item.device = st.st_dev;
        item.is_mount = st.st_dev != directory->device;
    }
    item.path = join(directory->path, name, item.kind == KIND_DIRECTORY);
    if (item.path == NULL) {
        return -ENOMEM;
    }
    int err = push(w, &item);
    if (err < 0) {
        free(item.path);
    }
    return err;
}

bool wc_is_shortage(int err) {
    return err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}

bool wc_is_virtual(int fd) {
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0) {
        return false;
    }
    switch ((unsigned long)fs.f_type & 0xffffffffUL) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case BPF_FS_MAGIC:
    case EFIVARFS_MAGIC:
    case PSTOREFS_MAGIC:
    case DEVPTS_SUPER_MAGIC: return true;
    default: return false;
    }
}

/* Without the '/' at the end, which would make open() follow a symbolic link. */
static void trim_slash(char *path) {
    size_t size = strlen(path);

    if (size > 1 && path[size - 1] == '/') {
        path[size - 1] = '\0';
    }
}

/* NULL: *ret_err says why, and *ret_outcome what that makes of the directory. */
static DIR *open_directory(const struct item *directory, int *ret_err, int *ret_outcome) {
    char *path = join(directory->path, "", false);
    *ret_outcome = WC_UNREADABLE;
    *ret_err = -ENOMEM;
    if (path == NULL) {
        return NULL;
    }
    trim_slash(path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *ret_err = -errno;
    free(path);
    if (fd < 0) {
        return NULL;
    }
    if (directory->is_mount && wc_is_virtual(fd)) {
        close(fd);
        *ret_outcome = WC_VIRTUAL;
        *ret_err = 0;
        return NULL;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        *ret_err = -errno;
        close(fd);
    }
    return dir;
}

/* Push what is in an open directory, in any order. */
static int push_entries(wc_walk *w, const struct item *directory, DIR *dir) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            return -errno;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            int err = push_entry(w, directory, dirfd(dir), entry->d_name);
            if (err < 0) {
                return err;
            }
        }
    }
}

/* Replace a directory by what is in it. Returns 0; 1 and outcome and error in *directory if it has to
 * be skipped; a shortage. */
static int list_directory(wc_walk *w, struct item *directory) {
    size_t before = w->count;
    int outcome = WC_UNREADABLE;
    int err = 0;
    DIR *dir = open_directory(directory, &err, &outcome);
    bool is_listed = dir != NULL;

    if (dir != NULL) {
        err = push_entries(w, directory, dir);
        is_listed = err == 0;
        closedir(dir);
    }
    if (!is_listed) {
        drop(w, before);
        directory->kind = outcome;
        directory->err = err;
        return wc_is_shortage(err) ? err : 1;
    }
    if (w->count > before) {
        qsort(w->items + before, w->count - before, sizeof *w->items, by_path_descending);
    }
    return 0;
}

/* A root by its resolved path. */
static int push_resolved(wc_walk *w, const char *resolved) {
    struct stat st;

    if (stat(resolved, &st) < 0) {
        return -errno;
    }
    bool is_directory = S_ISDIR(st.st_mode);
    if (!is_directory && !S_ISREG(st.st_mode)) {
        return -ENOTDIR;
    }
    struct item item = {
        .path = join(resolved, "", is_directory && strcmp(resolved, "/") != 0),
        .size = is_directory ? 0 : (uint64_t)st.st_size,
        .device = st.st_dev,
        .kind = is_directory ? KIND_DIRECTORY : WC_COUNTED,
    };
    int err = item.path == NULL ? -ENOMEM : push(w, &item);
    if (err < 0) {
        free(item.path);
    }
    return err;
}

static int push_root(wc_walk *w, const char *root) {
    char *resolved = realpath(root, NULL);
    if (resolved == NULL) {
        return -errno;
    }
    int err = push_resolved(w, resolved);
    free(resolved);
    return err;
}

/* Sorted, a root inside another one comes behind it with nothing but its like in between. */
static void drop_contained_roots(wc_walk *w) {
    size_t kept = 0;

    for (size_t i = 0; i < w->count; i++) {
        if (kept > 0) {
            const char *last = w->items[kept - 1].path;
            size_t size = strlen(last);
            bool is_same = strcmp(last, w->items[i].path) == 0;
            bool is_inside = last[size - 1] == '/' && strncmp(last, w->items[i].path, size) == 0;
            if (is_same || is_inside) {
                free(w->items[i].path);
                continue;
            }
        }
        w->items[kept++] = w->items[i];
    }
    w->count = kept;
}

int wc_walk_new(const char *const *roots, size_t root_count, wc_walk **ret_walk,
                const char **ret_bad_root) {
    wc_walk *w = calloc(1, sizeof *w);
    int err = w == NULL ? -ENOMEM : 0;

    *ret_bad_root = NULL;
    for (size_t i = 0; err == 0 && i < root_count; i++) {
        err = push_root(w, roots[i]);
        if (err < 0 && !wc_is_shortage(err)) {
            *ret_bad_root = roots[i];
        }
    }
    if (err < 0) {
        wc_walk_free(w);
        return err;
    }
    if (w->count > 0) {
        qsort(w->items, w->count, sizeof *w->items, by_path);
        drop_contained_roots(w);
        qsort(w->items, w->count, sizeof *w->items, by_path_descending);
    }
    *ret_walk = w;
    return 0;
}

int wc_walk_next(wc_walk *walk, struct wc_file *ret_file) {
    free(walk->reported);
    walk->reported = NULL;
    while (walk->count > 0) {
        struct item item = walk->items[--walk->count];
        if (item.kind == KIND_DIRECTORY) {
            int rc = list_directory(walk, &item);
            if (rc <= 0) {
                free(item.path);
                if (rc < 0) {
                    return rc;
                }
                continue;
            }
            trim_slash(item.path);
        }
        walk->reported = item.path;
        *ret_file = (struct wc_file){
            .path = item.path,
            .size = item.size,
            .outcome = item.kind,
            .err = item.err,
        };
        return 1;
    }
    return 0;
}

void wc_walk_free(wc_walk *walk) {
    if (walk == NULL) {
        return;
    }
    drop(walk, 0);
    free(walk->items);
    free(walk->reported);
    free(walk);
}

int wc_walk_all(const char *const *roots, size_t root_count, wc_walk_fn *fn, void *arg,
                const char **ret_bad_root) {
    wc_walk *walk = NULL;
    int rc = wc_walk_new(roots, root_count, &walk, ret_bad_root);
    if (rc < 0) {
        return rc;
    }
    struct wc_file file;
    while ((rc = wc_walk_next(walk, &file)) > 0) {
        rc = fn(arg, &file);
        if (rc != 0) {
            break;
        }
    }
    wc_walk_free(walk);
    return rc;
}

/* ---- totals ---- */

void wc_totals_add(struct wc_totals *totals, const struct wc_file_stats *stats) {
    totals->files[stats->outcome]++;
    if (stats->outcome == WC_COUNTED) {
        totals->raw_bytes += stats->raw_bytes;
        totals->text_bytes += stats->text_bytes;
        totals->words += stats->words;
    }
}

void wc_totals_add_skipped(struct wc_totals *totals, int outcome) {
    totals->files[outcome]++;
}
