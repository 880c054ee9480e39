/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_wordcount_walk.c: which files are found, of examples/wordcount, by both walks.
 *
 * The tests run as root, who can read everything: what can't be read is simulated by paths that
 * vanish or change after the walk.
 */
#include "wordcount_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

struct listing {
    char text[4096]; /* a line each: outcome, path without the tree's root */
    size_t root_size;
    int stop_after;
    bool is_sorted;
    char last[512];
};

static int add_line(void *arg, const struct wc_file *file) {
    struct listing *l = arg;
    size_t used = strlen(l->text);
    snprintf(l->text + used, sizeof l->text - used, "%d %s\n", file->outcome,
             file->path + l->root_size);
    l->is_sorted = l->is_sorted && strcmp(l->last, file->path) < 0;
    snprintf(l->last, sizeof l->last, "%s", file->path);
    return --l->stop_after == 0 ? -77 : 0;
}

static struct listing list(const struct tree *t, const char *const *roots, size_t count) {
    struct listing l = {.root_size = strlen(t->root) + 1, .is_sorted = true};
    const char *bad = NULL;
    T_CHECK_INT(wc_walk_all(roots, count, add_line, &l, &bad), 0);
    T_CHECK(l.is_sorted);
    return l;
}

/* Totals of both walks and both readers. */
static void check_both(struct tree *t, const char *const *roots, size_t root_count) {
    struct wc_totals totals = {0};
    wc_table *sum = wc_table_new();
    wc_verify *verify = wc_verify_new();
    wc_walk *walk = NULL;
    const char *bad = NULL;
    struct wc_file file;
    T_REQUIRE(sum != NULL && verify != NULL);

    T_REQUIRE(wc_walk_new(roots, root_count, &walk, &bad) == 0);
    while (wc_walk_next(walk, &file) > 0) {
        if (file.outcome != WC_COUNTED) {
            wc_totals_add_skipped(&totals, file.outcome);
            continue;
        }
        struct wc_file_stats stats;
        T_CHECK_INT(wc_count_file(file.path, t->reader, t->table, &stats), 0);
        wc_totals_add(&totals, &stats);
        T_CHECK_INT(wc_table_merge(sum, t->table), 0);
    }
    wc_walk_free(walk);

    for (size_t i = 0; i < root_count; i++) {
        T_CHECK_INT(wc_verify_add_root(verify, roots[i]), 0);
    }
    int rc;
    while ((rc = wc_verify_step(verify)) > 0) {
    }
    T_CHECK_INT(rc, 0);
    T_CHECK_INT(wc_verify_compare(verify, sum, &totals, stderr), 0);

    /* And it does notice a difference. */
    T_CHECK_INT(wc_table_add(sum, "neverinafile", 12, 1), 0);
    T_CHECK_INT(wc_verify_compare(verify, sum, &totals, NULL), 3);
    wc_verify_free(verify);
    wc_table_free(sum);
}

static void make_tree(const struct tree *t) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    put_dir(t, "a");
    put_dir(t, "a/sub");
    put_dir(t, "a-b");
    put_dir(t, "empty");
    put_text(t, "a/x", "in a x");
    put_text(t, "a/sub/deep", "in a sub");
    put_text(t, "a-b/x", "in a-b");
    put_text(t, "a.txt", "beside a");
    put_file(t, "a/bin", "\0", 1);
    T_REQUIRE(link(in(t, "a/x"), in(t, "hard")) == 0);
    T_REQUIRE(symlink(".", in(t, "a/loop")) == 0);
    T_REQUIRE(symlink("nowhere", in(t, "dangling")) == 0);
    T_REQUIRE(mkfifo(in(t, "fifo"), 0600) == 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", in(t, "socket"));
    T_REQUIRE(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
}

T_TEST(wordcount_walk, lists_each_kind_in_order) {
    struct tree t = begin();
    make_tree(&t);
    const char *roots[] = {t.root};
    struct listing l = list(&t, roots, 1);
    T_CHECK_STR(l.text, "0 a-b/x\n0 a.txt\n0 a/bin\n4 a/loop\n0 a/sub/deep\n0 a/x\n"
                        "4 dangling\n5 fifo\n0 hard\n6 socket\n");
    check_both(&t, roots, 1);
    end(&t);
}

T_TEST(wordcount_walk, overlapping_roots_count_once) {
    struct tree t = begin();
    make_tree(&t);
    char sub[128];
    char dotted[128];
    char file[128];
    char linked[128];
    snprintf(sub, sizeof sub, "%s/a/sub", t.root);
    snprintf(dotted, sizeof dotted, "%s/a/../a//", t.root);
    snprintf(file, sizeof file, "%s/a/x", t.root);
    snprintf(linked, sizeof linked, "%s/a/loop", t.root);
    const char *all[] = {sub, t.root, dotted, file, linked, t.root};
    const char *some[] = {file, sub, file};

    struct listing l = list(&t, all, 6);
    struct listing whole = list(&t, &all[1], 1);
    T_CHECK_STR(l.text, whole.text);
    check_both(&t, all, 6);
    l = list(&t, some, 3);
    T_CHECK_STR(l.text, "0 a/sub/deep\n0 a/x\n");
    check_both(&t, some, 3);
    l = list(&t, &all[4], 1); /* a root may be a symbolic link itself */
    T_CHECK_STR(l.text, "0 a/bin\n4 a/loop\n0 a/sub/deep\n0 a/x\n");
    end(&t);
}

T_TEST(wordcount_walk, strange_names) {
    struct tree t = begin();
    static const char *const names[] = {"new\nline", "\xff\xfe", " ", "-rf", "\x01", "%s", "*"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put_text(&t, names[i], names[i]);
    }
    const char *roots[] = {t.root};
    struct listing l = list(&t, roots, 1);
    T_CHECK_STR(l.text, "0 \x01\n0  \n0 %s\n0 *\n0 -rf\n0 new\nline\n0 \xff\xfe\n");
    check_both(&t, roots, 1);
    end(&t);
}

T_TEST(wordcount_walk, very_deep_trees) {
    enum { DEPTH = 3000 };
    struct tree t = begin();
    int fd = open(t.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    T_REQUIRE(fd >= 0);
    for (int i = 0; i < DEPTH; i++) {
        T_REQUIRE(mkdirat(fd, "d", 0700) == 0);
        int below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        T_REQUIRE(below >= 0);
        close(fd);
        fd = below;
    }
    close(fd);

    const char *roots[] = {t.root};
    wc_walk *walk = NULL;
    const char *bad = NULL;
    struct wc_file file;
    T_REQUIRE(wc_walk_new(roots, 1, &walk, &bad) == 0);
    T_CHECK_INT(wc_walk_next(walk, &file), 1); /* where paths become too long to be opened */
    T_CHECK_INT(file.outcome, WC_UNREADABLE);
    T_CHECK_INT(file.err, -ENAMETOOLONG);
    T_CHECK_INT(wc_walk_next(walk, &file), 0);
    wc_walk_free(walk);
    check_both(&t, roots, 1);

    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/d", t.root); /* too deep for nftw() */
    T_CHECK_INT(system(command), 0);
    end(&t);
}

T_TEST(wordcount_walk, bad_roots_are_named) {
    struct tree t = begin();
    wc_walk *walk = NULL;
    const char *bad = NULL;
    put_text(&t, "file", "x");
    T_REQUIRE(mkfifo(in(&t, "fifo"), 0600) == 0);

    const char *missing[] = {t.root, in(&t, "missing")};
    T_CHECK_INT(wc_walk_new(missing, 2, &walk, &bad), -ENOENT);
    T_CHECK(bad == missing[1]);
    const char *below_file[] = {in(&t, "file/x")};
    T_CHECK_INT(wc_walk_new(below_file, 1, &walk, &bad), -ENOTDIR);
    T_CHECK(bad == below_file[0]);
    const char *fifo[] = {in(&t, "fifo")};
    T_CHECK_INT(wc_walk_new(fifo, 1, &walk, &bad), -ENOTDIR);
    const char *empty[] = {""};
    T_CHECK_INT(wc_walk_new(empty, 1, &walk, &bad), -ENOENT);
    T_CHECK_INT(wc_walk_new(NULL, 0, &walk, &bad), 0);
    struct wc_file file;
    T_CHECK_INT(wc_walk_next(walk, &file), 0);
    wc_walk_free(walk);
    end(&t);
}

T_TEST(wordcount_walk, changes_under_way) {
    struct tree t = begin();
    make_tree(&t);
    char a[128];
    char empty[128];
    snprintf(a, sizeof a, "%s/a", t.root);
    snprintf(empty, sizeof empty, "%s/empty", t.root);
    const char *roots[] = {a, empty};
    wc_walk *walk = NULL;
    const char *bad = NULL;
    struct wc_file file;

    /* A directory that vanishes, and one that becomes a symbolic link, are not followed. */
    T_REQUIRE(wc_walk_new(roots, 2, &walk, &bad) == 0);
    T_CHECK_INT(wc_walk_next(walk, &file), 1);
    T_REQUIRE(rmdir(in(&t, "empty")) == 0);
    T_REQUIRE(rename(in(&t, "a/sub"), in(&t, "moved")) == 0);
    T_REQUIRE(symlink("/", in(&t, "a/sub")) == 0);
    T_CHECK_INT(wc_walk_next(walk, &file), 1); /* a/loop */
    T_CHECK_INT(wc_walk_next(walk, &file), 1);
    T_CHECK_STR(file.path, in(&t, "a/sub"));
    T_CHECK_INT(file.outcome, WC_UNREADABLE);
    T_CHECK(file.err == -ENOTDIR || file.err == -ELOOP);
    T_CHECK_INT(wc_walk_next(walk, &file), 1); /* a/x */
    T_CHECK_INT(wc_walk_next(walk, &file), 1);
    T_CHECK_STR(file.path, in(&t, "empty"));
    T_CHECK_INT(file.err, -ENOENT);
    T_CHECK_INT(wc_walk_next(walk, &file), 0);
    wc_walk_free(walk);

    struct listing l = {.root_size = 1, .stop_after = 2, .is_sorted = true};
    T_CHECK_INT(wc_walk_all(roots, 1, add_line, &l, &bad), -77);
    end(&t);
}
