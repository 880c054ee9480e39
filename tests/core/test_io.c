/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_io.c: opening, reading, writing and waiting, over socket pairs, pipes and eventfds.
 */
#include "core/io_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- opening -------------------------------------------------------------------------- */

T_TASK_TEST(io, open_makes_it_non_blocking) {
    tr_io *io;
    int peer;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    T_CHECK((fcntl(tr_io_fd(io), F_GETFL) & O_NONBLOCK) != 0);
    T_CHECK(tr_io_close(io) == NULL);
    T_CHECK(tr_io_close(NULL) == NULL);
    close(peer);
    return 0;
}

T_TASK_TEST(io, open_refuses_and_leaves_as_it_was) {
    tr_io *io = NULL;
    T_CHECK_INT(tr_io_open(-1, &io), -EBADF);
    T_CHECK_INT(tr_io_open(4000, &io), -EBADF);

    FILE *regular = tmpfile();
    T_TASK_REQUIRE(regular != NULL);
    int before = fcntl(fileno(regular), F_GETFL);
    T_CHECK_INT(tr_io_open(fileno(regular), &io), -EPERM);
    T_CHECK_INT(fcntl(fileno(regular), F_GETFL), before);
    T_CHECK(io == NULL);
    fclose(regular);
    return 0;
}

/* ---- reading and writing -------------------------------------------------------------- */

T_TASK_TEST(io, read_waits_for_the_first_byte) {
    struct caller c = {0};
    int peer;
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_task *task = start_and_suspend(read_once, &c);
    T_CHECK_INT(write(peer, "hello", 5), 5);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, 5);
    T_CHECK_MEM(c.buffer, "hello", 5);
    tr_io_close(c.io);
    close(peer);
    return 0;
}

enum { BYTES = 1000 };

static int write_bytes_one_by_one(void *arg) {
    int peer = *(int *)arg;
    for (int i = 0; i < BYTES; i++) {
        char byte = (char)i;
        T_CHECK_INT(write(peer, &byte, 1), 1);
        T_CHECK_INT(i % 3 == 0 ? tr_sleep(10 * TR_US) : tr_yield(), 0);
    }
    return 0;
}

T_TASK_TEST(io, one_byte_at_a_time) {
    tr_io *io;
    int peer;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    tr_task *writer = start(write_bytes_one_by_one, &peer);
    for (int i = 0; i < BYTES; i++) {
        char byte = 0;
        T_TASK_REQUIRE(tr_io_read(io, &byte, 1) == 1);
        T_TASK_REQUIRE(byte == (char)i);
    }
    T_CHECK_INT(tr_task_join(writer), 0);
    tr_io_close(io);
    close(peer);
    return 0;
}

enum { MUCH = 4 << 20 };

struct bulk {
    tr_io *io;
    char *bytes;
};

static int write_bulk(void *arg) {
    struct bulk *bulk = arg;
    return tr_io_write(bulk->io, bulk->bytes, MUCH);
}

T_TASK_TEST(io, write_takes_more_than_the_kernel_holds) {
    int fds[2];
    struct bulk bulk = {.bytes = malloc(MUCH)};
    char *received = malloc(MUCH);
    tr_io *reader;
    T_TASK_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    T_TASK_REQUIRE(tr_io_open(fds[0], &bulk.io) == 0 && tr_io_open(fds[1], &reader) == 0);
    for (size_t i = 0; i < MUCH; i++) {
        bulk.bytes[i] = (char)(i * 31 + i / 4096);
    }
    tr_task *task = start(write_bulk, &bulk);
    int total = 0;
    while (total < MUCH) {
        int n = tr_io_read(reader, received + total, (size_t)(MUCH - total));
        T_TASK_REQUIRE(n > 0);
        total += n;
    }
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_MEM(received, bulk.bytes, MUCH);
    T_CHECK_INT(tr_io_write(bulk.io, NULL, 0), 0);
    tr_io_close(bulk.io);
    tr_io_close(reader);
    free(bulk.bytes);
    free(received);
    return 0;
}

T_TASK_TEST(io, half_close_leaves_the_other_direction) {
    tr_io *io;
    int peer;
    char buffer[8];
    T_TASK_REQUIRE(open_pair(&io, &peer));
    T_CHECK_INT(write(peer, "last", 4), 4);
    T_CHECK_INT(shutdown(peer, SHUT_WR), 0);
    T_CHECK_INT(tr_io_read(io, buffer, sizeof buffer), 4);
    T_CHECK_INT(tr_io_read(io, buffer, sizeof buffer), 0);
    T_CHECK_INT(tr_io_read(io, buffer, sizeof buffer), 0); /* and stays so */
    T_CHECK_INT(tr_io_write(io, "answer", 6), 0);
    T_CHECK_INT(read(peer, buffer, sizeof buffer), 6);
    tr_io_close(io);
    close(peer);
    return 0;
}

/* Data and the end in one edge: no second edge comes for the end, so that a reader that took a
 * short read for "drained" would wait for ever. */
static int check_data_and_end(tr_io *io, int peer) {
    struct caller c = {.io = io};
    char more[8];
    tr_task *task = start_and_suspend(read_once, &c);
    T_CHECK_INT(write(peer, "bye", 3), 3);
    close(peer);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, 3);
    tr_timeout limit;
    tr_timeout_begin(&limit, 2 * TR_SECOND);
    int n = tr_io_read(io, more, sizeof more);
    T_CHECK_INT(tr_timeout_end(&limit, n), 0);
    tr_io_close(io);
    return 0;
}

T_TASK_TEST(io, data_and_end_in_one_edge_of_a_socket) {
    tr_io *io;
    int peer;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    return check_data_and_end(io, peer);
}

T_TASK_TEST(io, data_and_end_in_one_edge_of_a_pipe) {
    int fds[2];
    tr_io *io;
    T_TASK_REQUIRE(pipe2(fds, O_CLOEXEC) == 0 && tr_io_open(fds[0], &io) == 0);
    return check_data_and_end(io, fds[1]);
}

T_TASK_TEST(io, write_to_a_closed_socket_raises_no_signal) {
    tr_io *io;
    int peer;
    sigset_t pending;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    close(peer);
    T_CHECK_INT(tr_io_write(io, "x", 1), -EPIPE);
    sigpending(&pending);
    T_CHECK(!sigismember(&pending, SIGPIPE));
    tr_io_close(io);
    return 0;
}

static int write_to_broken_pipe(void *arg) {
    int fds[2];
    tr_io *io;
    (void)arg;
    T_TASK_REQUIRE(pipe2(fds, O_CLOEXEC) == 0 && tr_io_open(fds[1], &io) == 0);
    close(fds[0]);
    T_CHECK_INT(tr_io_write(io, "x", 1), -EPIPE);
    tr_io_close(io);
    return 0;
}

T_TEST(io, write_to_a_broken_pipe_with_sigpipe_ignored) {
    signal(SIGPIPE, SIG_IGN);
    t_run_task(write_to_broken_pipe, NULL, 1);
    signal(SIGPIPE, SIG_DFL);
}

static int survive_a_broken_pipe(void *arg) {
    (void)write_to_broken_pipe(arg);
    abort();
}

/* As in any C program: at the write, and not only when tr_run() puts the signal mask back. */
T_DEATH_TEST(io, write_to_a_broken_pipe_kills_at_once, SIGPIPE) {
    signal(SIGPIPE, SIG_DFL);
    t_run_task(survive_a_broken_pipe, NULL, 1);
}

/* ---- readiness ------------------------------------------------------------------------ */

T_TASK_TEST(io, wait_and_drained) {
    struct caller c = {0};
    int peer;
    char buffer[8];
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    T_CHECK_INT(tr_io_wait(c.io, TR_WRITABLE), 0);
    T_CHECK_INT(tr_io_wait(c.io, TR_READABLE), 0); /* nobody has tried yet */
    T_CHECK_INT(read(tr_io_fd(c.io), buffer, sizeof buffer), -1);
    tr_io_drained(c.io, TR_READABLE);
    tr_task *task = start_and_suspend(wait_readable, &c);
    T_CHECK_INT(tr_io_wait(c.io, TR_WRITABLE), 0); /* the other direction is still ready */
    T_CHECK_INT(write(peer, "x", 1), 1);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, 0);
    T_CHECK_INT(read(tr_io_fd(c.io), buffer, sizeof buffer), 1);
    tr_io_close(c.io);
    close(peer);
    return 0;
}

/* ---- fairness ------------------------------------------------------------------------- */

struct hog {
    tr_io *io;
    int calls;
    bool is_stopped;
};

static int read_for_ever(void *arg) {
    struct hog *hog = arg;
    uint64_t count;
    while (!hog->is_stopped && tr_io_read(hog->io, &count, sizeof count) == sizeof count) {
        hog->calls++;
    }
    return 0;
}

static int write_for_ever(void *arg) {
    struct hog *hog = arg;
    uint64_t one = 1;
    while (!hog->is_stopped && tr_io_write(hog->io, &one, sizeof one) == 0) {
        hog->calls++;
    }
    return 0;
}

/* The hog never finds the descriptor not ready; we still get our turn, soon and again and again. */
static int check_hog(tr_task_fn *fn) {
    struct hog hog = {0};
    int fd = eventfd(1u << 30, EFD_SEMAPHORE | EFD_CLOEXEC);
    T_TASK_REQUIRE(fd >= 0 && tr_io_open(fd, &hog.io) == 0);
    tr_task *task = start(fn, &hog);
    T_CHECK_INT(tr_yield(), 0);
    for (int i = 0; i < 10; i++) {
        int before = hog.calls;
        T_CHECK_INT(tr_yield(), 0);
        T_CHECK(hog.calls > before && hog.calls - before <= 20);
    }
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    hog.is_stopped = true;
    T_CHECK_INT(tr_task_join(task), 0);
    tr_io_close(hog.io);
    return 0;
}

T_TASK_TEST(io, reader_that_always_finds_data_gives_way) {
    return check_hog(read_for_ever);
}

T_TASK_TEST(io, writer_that_always_finds_room_gives_way) {
    return check_hog(write_for_ever);
}

/* ---- misuse --------------------------------------------------------------------------- */

static void read_in_callback(void *arg) {
    char byte;
    (void)!tr_io_read(arg, &byte, 1);
}

static int misuse_in_callback(void *arg) {
    tr_io *io;
    int peer;
    (void)arg;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), read_in_callback, io, NULL), 0);
    return tr_yield();
}

T_DEATH_TEST_MSG(io, read_in_a_callback, SIGABRT, "tr_io_read") {
    t_run_task(misuse_in_callback, NULL, 1);
}

static int misuse_of_wait(void *arg) {
    tr_io *io;
    int peer;
    (void)arg;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    return tr_io_wait(io, TR_READABLE | TR_WRITABLE);
}

T_DEATH_TEST_MSG(io, wait_for_both_at_once, SIGABRT, "tr_io_wait") {
    t_run_task(misuse_of_wait, NULL, 1);
}
