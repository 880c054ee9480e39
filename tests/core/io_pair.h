/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file io_pair.h
 * What the tests of descriptors share: a connected pair, and tasks that do one call.
 */
#ifndef IO_PAIR_H
#define IO_PAIR_H

#include "support/t_task.h"

#include <sys/socket.h>

/* A connected pair: our end on the loop, the peer's a bare blocking descriptor. */
static inline bool open_pair(tr_io **ret_io, int *ret_peer) {
    int fds[2];
    *ret_peer = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        return false;
    }
    *ret_peer = fds[1];
    return tr_io_open(fds[0], ret_io) == 0;
}

/* A task that does one call and keeps the result. */
struct caller {
    tr_io *io;
    char buffer[64];
    int result;
    bool is_done;
};

static inline int read_once(void *arg) {
    struct caller *c = arg;
    c->result = tr_io_read(c->io, c->buffer, sizeof c->buffer);
    c->is_done = true;
    return 0;
}

static inline int write_much(void *arg) {
    static const char much[1 << 20];
    struct caller *c = arg;
    c->result = tr_io_write(c->io, much, sizeof much);
    c->is_done = true;
    return 0;
}

static inline int wait_readable(void *arg) {
    struct caller *c = arg;
    c->result = tr_io_wait(c->io, TR_READABLE);
    c->is_done = true;
    return 0;
}

static inline tr_task *start(tr_task_fn *fn, void *arg) {
    tr_task *task = NULL;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "caller", fn, arg, &task), 0);
    return task;
}

/* Start a task and let it come to its first suspension. */
static inline tr_task *start_and_suspend(tr_task_fn *fn, struct caller *c) {
    tr_task *task = start(fn, c);
    for (int i = 0; i < 3; i++) {
        T_CHECK_INT(tr_yield(), 0);
    }
    T_CHECK(!c->is_done);
    return task;
}

#endif /* IO_PAIR_H */
