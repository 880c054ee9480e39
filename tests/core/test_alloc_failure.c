/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_alloc_failure.c: a whole program with its n-th allocation failing, for every n.
 *
 * Each run must end, with success or -ENOMEM, and leave nothing behind: no memory (LeakSanitizer
 * looks after the test), no descriptor, no thread; and the program must work again afterwards.
 */
#include "alloc_internal.h"
#include "support/t_task.h"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int add_one(void *arg) {
    ++*(int *)arg;
    return tr_yield();
}

static void set_future(void *arg) {
    tr_future_set(arg, 0, NULL);
}

static int use_tasks(void) {
    int count = 0;
    tr_task *tasks[3] = {NULL};
    tr_future *futures[3];
    int err = 0;
    size_t made = 0;
    for (; made < 3 && err == 0; made++) {
        err = tr_task_new(tr_loop_running(), "t", add_one, &count, &tasks[made]);
        if (err < 0) {
            break;
        }
        futures[made] = tr_task_future(tasks[made]);
    }
    if (err == 0) {
        err = tr_gather(futures, made, 0, NULL);
    }
    for (size_t i = 0; i < made; i++) {
        int result = tr_task_join(tasks[i]); /* count is ours: they must end before we return */
        err = err == 0 ? result : err;
    }
    return err;
}

static int use_futures(void) {
    tr_loop *loop = tr_loop_running();
    tr_future *future, *shield;
    int err = tr_future_new(loop, &future);
    if (err < 0) {
        return err;
    }
    err = tr_shield(future, &shield);
    if (err == 0) {
        err = tr_loop_call_later(loop, 10 * TR_US, set_future, future, NULL);
        err = err == 0 ? tr_await(shield) : err;
        tr_future_unref(shield);
    }
    tr_future_unref(future);
    return err;
}

static int use_a_descriptor(void) {
    int fds[2];
    tr_io *io;
    char byte;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        return -errno;
    }
    int err = tr_io_open(fds[0], &io);
    if (err < 0) {
        close(fds[0]);
    } else {
        err = tr_io_write(io, "x", 1);
        T_CHECK(err < 0 || read(fds[1], &byte, 1) == 1);
        tr_io_close(io);
    }
    close(fds[1]);
    return err;
}

static int use_tcp(void) {
    tr_io *listener, *client, *server;
    int err = tr_tcp_listen("127.0.0.1", 0, &listener);
    if (err < 0) {
        return err;
    }
    err = tr_tcp_connect("127.0.0.1", (uint16_t)tr_io_port(listener), &client);
    if (err == 0) {
        err = tr_io_accept(listener, &server);
        if (err == 0) {
            tr_io_close(server);
        }
        tr_io_close(client);
    }
    tr_io_close(listener);
    return err;
}

static int use_another_loop(void) {
    tr_loop *here = tr_loop_running();
    tr_future *future;
    int err = tr_future_new(here, &future);
    if (err == 0) {
        err = tr_loop_call_soon_threadsafe(here, set_future, future);
        err = err == 0 ? tr_wait_for(future, TR_SECOND) : err;
        tr_future_unref(future);
    }
    return err;
}

static int scenario(void *arg) {
    static int (*const parts[])(void) = {use_tasks, use_futures, use_a_descriptor, use_tcp,
                                         use_another_loop};
    int err = 0;
    (void)arg;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && err == 0; i++) {
        err = parts[i]();
    }
    return err;
}

static size_t count_entries(const char *path) {
    size_t count = 0;
    DIR *dir = opendir(path);
    while (dir != NULL && readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static int64_t now_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static void drop_line(void *arg, const struct tr_log_line *line) {
    (void)line;
    (void)arg;
}

/* The table of loops grows up to a limit and is then used again: reach it first, and then let
 * nothing grow. */
static void fill_the_table(void) {
    for (int i = 0; i < 70; i++) {
        T_REQUIRE(tr_run(scenario, NULL, .loops = 2) == 0);
    }
}

static void fail_each_in_turn(void) {
    for (long n = 0; n < 2000; n++) {
        int64_t began = now_ms();
        (void)tri_alloc_fail_after(n);
        int err = tr_run(scenario, NULL, .loops = 2);
        long made = tri_alloc_fail_after(-1);
        if (err != 0 && err != -ENOMEM) {
            T_FAIL("with allocation %ld failing tr_run gave %s", n, tr_err_name(err));
        }
        if (now_ms() - began > 2000) {
            T_FAIL("with allocation %ld failing tr_run took %d ms", n, (int)(now_ms() - began));
        }
        if (made <= n) {
            T_CHECK_INT(err, 0);
            T_CHECK(n > 20); /* it did try */
            return;
        }
    }
    T_FAIL("the scenario makes more allocations than it should");
}

T_TEST(alloc_failure, each_allocation_in_turn) {
    t_timeout(120);
    tr_log_set_sink(drop_line, NULL, TR_LOG_ERROR); /* errors that nobody asked for are expected */
    fill_the_table();
    size_t fds = count_entries("/proc/self/fd");
    size_t threads = count_entries("/proc/self/task");
    fail_each_in_turn();
    T_CHECK_INT(count_entries("/proc/self/fd"), fds);
    T_CHECK_INT(count_entries("/proc/self/task"), threads);
    T_CHECK_INT(tr_run(scenario, NULL, .loops = 2), 0);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

/* In a fresh process the first allocations make the loops themselves. */
T_TEST(alloc_failure, each_allocation_in_turn_from_the_beginning) {
    t_timeout(120);
    tr_log_set_sink(drop_line, NULL, TR_LOG_ERROR);
    fail_each_in_turn();
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}
