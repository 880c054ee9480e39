/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_io_tcp.c: listening, connecting and accepting.
 */
#include "support/t_task.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int nodelay_of(const tr_io *io) {
    int on = 0;
    socklen_t size = sizeof on;
    T_CHECK_INT(getsockopt(tr_io_fd(io), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    return on;
}

/* The kernel completes the connection before anybody accepts it. */
static bool connect_pair(tr_io *listener, tr_io **ret_client, tr_io **ret_server) {
    return tr_tcp_connect("127.0.0.1", (uint16_t)tr_io_port(listener), ret_client) == 0 &&
           tr_io_accept(listener, ret_server) == 0;
}

T_TASK_TEST(io_tcp, there_and_back) {
    tr_io *listener, *client, *server;
    char buffer[16];
    T_TASK_REQUIRE(tr_tcp_listen("127.0.0.1", 0, &listener) == 0);
    T_CHECK(tr_io_port(listener) > 0);
    T_TASK_REQUIRE(connect_pair(listener, &client, &server));
    T_CHECK(nodelay_of(client) != 0);
    T_CHECK(nodelay_of(server) != 0);
    T_CHECK_INT(tr_io_port(server), tr_io_port(listener));
    T_CHECK_INT(tr_io_write(client, "ping", 4), 0);
    T_CHECK_INT(tr_io_read(server, buffer, sizeof buffer), 4);
    T_CHECK_INT(tr_io_write(server, "pong!", 5), 0);
    T_CHECK_INT(tr_io_read(client, buffer, sizeof buffer), 5);
    tr_io_close(client);
    T_CHECK_INT(tr_io_read(server, buffer, sizeof buffer), 0);
    tr_io_close(server);
    tr_io_close(listener);
    return 0;
}

T_TASK_TEST(io_tcp, ipv6) {
    tr_io *listener, *client, *server;
    int err = tr_tcp_listen("::1", 0, &listener);
    if (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL) {
        return 0; /* this machine has no IPv6 */
    }
    T_TASK_REQUIRE(err == 0);
    T_TASK_REQUIRE(tr_tcp_connect("::1", (uint16_t)tr_io_port(listener), &client) == 0);
    T_TASK_REQUIRE(tr_io_accept(listener, &server) == 0);
    tr_io_close(client);
    tr_io_close(server);
    tr_io_close(listener);
    return 0;
}

T_TASK_TEST(io_tcp, errors) {
    tr_io *listener, *other = NULL;
    T_CHECK_INT(tr_tcp_listen("localhost", 0, &other), -EINVAL);
    T_CHECK_INT(tr_tcp_listen("127.0.0.256", 0, &other), -EINVAL);
    T_CHECK_INT(tr_tcp_listen("203.0.113.7", 0, &other), -EADDRNOTAVAIL); /* TEST-NET-3 */
    T_CHECK_INT(tr_tcp_connect("", 1, &other), -EINVAL);
    T_TASK_REQUIRE(tr_tcp_listen("127.0.0.1", 0, &listener) == 0);
    uint16_t port = (uint16_t)tr_io_port(listener);
    T_CHECK_INT(tr_tcp_listen("127.0.0.1", port, &other), -EADDRINUSE);
    tr_io_close(listener);
    T_CHECK_INT(tr_tcp_connect("127.0.0.1", port, &other), -ECONNREFUSED);
    T_CHECK(other == NULL); /* written on success only */
    return 0;
}

T_TASK_TEST(io_tcp, port_of_something_else) {
    int fds[2];
    tr_io *io;
    T_TASK_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && tr_io_open(fds[0], &io) == 0);
    T_CHECK_INT(tr_io_port(io), -EAFNOSUPPORT);
    tr_io_close(io);
    close(fds[1]);
    T_TASK_REQUIRE(pipe(fds) == 0 && tr_io_open(fds[0], &io) == 0);
    T_CHECK_INT(tr_io_port(io), -ENOTSOCK);
    tr_io_close(io);
    close(fds[1]);
    return 0;
}

/* Close with a reset instead of a FIN. */
static void reset_connection(tr_io *io) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    T_CHECK_INT(setsockopt(tr_io_fd(io), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    tr_io_close(io);
}

struct reader {
    tr_io *io;
    char buffer[16];
    int results[3];
};

static int read_three_times(void *arg) {
    struct reader *r = arg;
    for (int i = 0; i < 3; i++) {
        r->results[i] = tr_io_read(r->io, r->buffer, sizeof r->buffer);
    }
    return 0;
}

T_TASK_TEST(io_tcp, reset) {
    tr_io *listener, *client, *server;
    struct reader reader = {0};
    tr_task *task;
    T_TASK_REQUIRE(tr_tcp_listen("127.0.0.1", 0, &listener) == 0);
    T_TASK_REQUIRE(connect_pair(listener, &client, &server));
    reader.io = server;
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "r", read_three_times, &reader, &task) == 0);
    T_CHECK_INT(tr_sleep(TR_MS), 0); /* it waits */
    reset_connection(client);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(reader.results[0], -ECONNRESET);
    T_CHECK_INT(reader.results[1], 0); /* the kernel tells once */
    T_CHECK_INT(tr_io_write(server, "x", 1), -EPIPE);
    tr_io_close(server);
    tr_io_close(listener);
    return 0;
}

/* Data and the reset in one edge: the error needs no further edge to be seen. */
T_TASK_TEST(io_tcp, data_and_reset_in_one_edge) {
    tr_io *listener, *client, *server;
    struct reader reader = {0};
    tr_task *task;
    T_TASK_REQUIRE(tr_tcp_listen("127.0.0.1", 0, &listener) == 0);
    T_TASK_REQUIRE(connect_pair(listener, &client, &server));
    reader.io = server;
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "r", read_three_times, &reader, &task) == 0);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    T_CHECK_INT(tr_io_write(client, "bye", 3), 0);
    reset_connection(client);
    tr_timeout limit;
    tr_timeout_begin(&limit, 5 * TR_SECOND);
    int err = tr_task_join(task);
    T_CHECK_INT(tr_timeout_end(&limit, err), 0);
    bool had_data = reader.results[0] == 3; /* the kernel may drop it for the reset */
    T_CHECK_INT(reader.results[had_data ? 1 : 0], -ECONNRESET);
    tr_io_close(server);
    tr_io_close(listener);
    return 0;
}

/* ---- accepting ------------------------------------------------------------------------ */

struct acceptor {
    tr_io *listener;
    tr_io *io;
    int result;
    bool is_done;
};

static int accept_once(void *arg) {
    struct acceptor *a = arg;
    a->result = tr_io_accept(a->listener, &a->io);
    a->is_done = true;
    return 0;
}

static tr_task *start_accept(struct acceptor *a) {
    tr_task *task = NULL;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "acceptor", accept_once, a, &task), 0);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    T_CHECK(!a->is_done);
    return task;
}

T_TASK_TEST(io_tcp, accept_takes_all_that_wait) {
    enum { CLIENTS = 40 };
    tr_io *listener, *clients[CLIENTS], *servers[CLIENTS];
    T_TASK_REQUIRE(tr_tcp_listen("127.0.0.1", 0, &listener) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        uint16_t port = (uint16_t)tr_io_port(listener);
        T_TASK_REQUIRE(tr_tcp_connect("127.0.0.1", port, &clients[i]) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        T_TASK_REQUIRE(tr_io_accept(listener, &servers[i]) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        tr_io_close(clients[i]);
        tr_io_close(servers[i]);
    }
    tr_io_close(listener);
    return 0;
}

T_TASK_TEST(io_tcp, accept_cancelled_refused_and_closed) {
    struct acceptor a = {0};
    tr_io *client, *server = NULL;
    T_TASK_REQUIRE(tr_tcp_listen("127.0.0.1", 0, &a.listener) == 0);
    tr_task *task = start_accept(&a);
    T_CHECK_INT(tr_io_accept(a.listener, &server), -EBUSY);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(a.result, TR_ECANCELLED);

    T_TASK_REQUIRE(connect_pair(a.listener, &client, &server)); /* none was lost */
    tr_io_close(client);
    tr_io_close(server);

    struct acceptor b = {.listener = a.listener};
    task = start_accept(&b);
    tr_io_close(a.listener);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(b.result, -EBADF);
    T_CHECK(b.io == NULL);
    return 0;
}

T_TASK_TEST(io_tcp, accept_on_something_else) {
    int fds[2];
    tr_io *io, *other = NULL;
    T_TASK_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && tr_io_open(fds[0], &io) == 0);
    T_CHECK_INT(tr_io_accept(io, &other), -EINVAL);
    tr_io_close(io);
    close(fds[1]);
    return 0;
}

/* ---- no descriptor left --------------------------------------------------------------- */

static void count_warning(void *arg, const struct tr_log_line *line) {
    if (line->level == TR_LOG_WARN && strstr(line->text, "accept:") != NULL &&
        strstr(line->text, "EMFILE") != NULL) {
        (*(int *)arg)++;
    }
}

/* The limit is what stands in the way, and not the number of descriptors that are open. */
static void forbid_new_descriptors(struct rlimit *before) {
    int next = dup(0);
    T_CHECK(next >= 0);
    close(next);
    T_CHECK_INT(getrlimit(RLIMIT_NOFILE, before), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before->rlim_max};
    T_CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static int run_out_of_descriptors(void *arg) {
    const int *warnings = arg;
    struct acceptor a = {0};
    struct rlimit before;
    tr_io *client;
    tr_task *task;
    tr_loop *loop = tr_loop_running();
    T_TASK_REQUIRE(tr_tcp_listen("127.0.0.1", 0, &a.listener) == 0);
    T_TASK_REQUIRE(tr_tcp_connect("127.0.0.1", (uint16_t)tr_io_port(a.listener), &client) == 0);
    forbid_new_descriptors(&before);
    tr_time began = tr_loop_time(loop);
    T_TASK_REQUIRE(tr_task_new(loop, "acceptor", accept_once, &a, &task) == 0);
    T_CHECK_INT(tr_sleep(150 * TR_MS), 0);
    T_CHECK(!a.is_done);
    T_CHECK(*warnings >= 1 && *warnings <= 3); /* it waits, it doesn't spin */
    T_CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(a.result, 0); /* the connection was not lost */
    T_CHECK(tr_loop_time(loop) - began < 5 * TR_SECOND);
    tr_io_close(a.io);

    /* Cancelled and closed in the pause. */
    struct acceptor b = {.listener = a.listener};
    tr_io *second;
    T_TASK_REQUIRE(tr_tcp_connect("127.0.0.1", (uint16_t)tr_io_port(a.listener), &second) == 0);
    forbid_new_descriptors(&before);
    task = start_accept(&b);
    tr_task_cancel(task);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(b.result, TR_ECANCELLED);
    struct acceptor c = {.listener = a.listener};
    task = start_accept(&c);
    tr_io_close(a.listener);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, -EBADF);
    T_CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    tr_io_close(client);
    tr_io_close(second);
    return 0;
}

T_TEST(io_tcp, accept_without_descriptors_waits) {
    int warnings = 0;
    tr_log_set_sink(count_warning, &warnings, TR_LOG_WARN);
    t_run_task(run_out_of_descriptors, &warnings, 1);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

/* ---- connecting ----------------------------------------------------------------------- */

struct connector {
    uint16_t port;
    tr_io *io;
    int result;
    bool is_done;
};

static int connect_once(void *arg) {
    struct connector *c = arg;
    c->result = tr_tcp_connect("127.0.0.1", c->port, &c->io);
    c->is_done = true;
    return 0;
}

/* A listener whose queue is full lets connection attempts hang. */
T_TASK_TEST(io_tcp, connect_cancelled) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int full = socket(AF_INET, SOCK_STREAM, 0);
    T_TASK_REQUIRE(full >= 0 && bind(full, (struct sockaddr *)&at, size) == 0);
    T_TASK_REQUIRE(listen(full, 0) == 0 && getsockname(full, (struct sockaddr *)&at, &size) == 0);

    enum { MAX = 8 };
    struct connector c[MAX] = {0};
    tr_task *tasks[MAX];
    int hanging = 0;
    for (int i = 0; i < MAX; i++) {
        c[i].port = ntohs(at.sin_port);
        T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "c", connect_once, &c[i], &tasks[i]) == 0);
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        hanging += !c[i].is_done;
    }
    T_CHECK(hanging > 0);
    for (int i = 0; i < MAX; i++) {
        bool was_done = c[i].is_done;
        tr_task_cancel(tasks[i]);
        T_CHECK_INT(tr_task_join(tasks[i]), 0);
        T_CHECK_INT(c[i].result, was_done ? 0 : TR_ECANCELLED);
        T_CHECK((c[i].io != NULL) == was_done);
        tr_io_close(c[i].io);
    }
    close(full);
    return 0;
}
