/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo: a TCP server that sends back what it gets. One task a connection, on one loop.
 *
 *     echo [--port P] [--max-connections N] [--idle-seconds S]
 *
 * Shows: tasks that read like blocking code, a time limit as a scope, back-pressure (at the limit
 * the server stops accepting, and new connections wait in the kernel's queue), and an orderly end
 * with Ctrl-C.
 */
#include <troupe/core.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lives in main(): connections may still end after the main task has returned. */
struct server {
    long port;
    long max_connections;
    long idle_seconds;
    long connections;
    tr_future *room; /* set while the main task waits for a connection to end */
};

struct connection {
    struct server *server;
    tr_io *io;
    char buffer[16 * 1024]; /* not on the task's stack: the smaller that stays, the better */
};

/* ---- one connection ------------------------------------------------------------------ */

/* 1: go on; 0: the peer has closed its side; negative: an error. */
static int echo_once(struct connection *c) {
    int n = tr_io_read(c->io, c->buffer, sizeof c->buffer);
    if (n <= 0) {
        return n;
    }
    int err = tr_io_write(c->io, c->buffer, (size_t)n);
    return err < 0 ? err : 1;
}

/* The body of a connection's task. When the server stops, the call that it waits in returns
 * TR_ECANCELLED, and the loop below ends like after any other error. */
static int serve(void *arg) {
    struct connection *connection = arg;
    int err;
    do {
        /* A peer that sends nothing, or doesn't read what we send, is given up after a while. */
        tr_timeout limit;
        tr_timeout_begin(&limit, connection->server->idle_seconds * TR_SECOND);
        err = echo_once(connection);
        err = tr_timeout_end(&limit, err);
    } while (err > 0);
    return err;
}

static void end_connection(struct connection *connection) {
    struct server *server = connection->server;
    tr_io_close(connection->io);
    free(connection);
    server->connections--;
    if (server->room != NULL && !tr_future_is_done(server->room)) {
        tr_future_set(server->room, 0, NULL);
    }
}

/* Cleaning up is the done callback's job and not the task's: a task that is cancelled before its
 * first step never enters its function. */
static void connection_done(tr_future *task, void *arg) {
    int result = tr_future_result(task);
    if (result < 0 && result != TR_ECANCELLED) {
        fprintf(stderr, "echo: a connection ended early: %s\n", tr_err_text(result));
    }
    end_connection(arg);
}

static int start_connection(struct server *server, tr_io *io) {
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) {
        tr_io_close(io);
        return 0; /* this connection is refused; the next one may find memory */
    }
    connection->server = server;
    connection->io = io;
    server->connections++;

    tr_task *task;
    if (tr_task_new(tr_loop_running(), "connection", serve, connection, &task) < 0) {
        end_connection(connection);
        return 0;
    }
    int err = tr_future_add_done_callback(tr_task_future(task), connection_done, connection);
    if (err < 0) {
        tr_task_cancel(task); /* it has not run yet, and never will */
        end_connection(connection);
    }
    tr_task_unref(task); /* it runs on without us */
    return 0;
}

/* ---- the server ----------------------------------------------------------------------- */

/* Wait until one more connection is allowed. */
static int wait_for_room(struct server *server) {
    int err = 0;
    while (err == 0 && server->connections >= server->max_connections) {
        err = tr_future_new(tr_loop_running(), &server->room);
        if (err == 0) {
            err = tr_await(server->room); /* end_connection() completes it */
            server->room = tr_future_unref(server->room);
        }
    }
    return err;
}

/* The main task. Ctrl-C cancels it: the call that it waits in returns TR_ECANCELLED. */
static int app(void *arg) {
    struct server *server = arg;
    tr_io *listener;
    int err = tr_tcp_listen("127.0.0.1", (uint16_t)server->port, &listener);
    if (err < 0) {
        fprintf(stderr, "echo: can't listen on port %ld: %s\n", server->port, tr_err_text(err));
        return err;
    }
    printf("listening on 127.0.0.1:%d\n", tr_io_port(listener));
    fflush(stdout);
    while (err == 0) {
        tr_io *io;
        err = wait_for_room(server);
        if (err == 0) {
            err = tr_io_accept(listener, &io);
        }
        if (err == 0) {
            err = start_connection(server, io);
        }
    }
    tr_io_close(listener);
    return err; /* now tr_run() cancels the connections and waits for them */
}

/* ---- arguments ------------------------------------------------------------------------- */

/* A number from low to high, or exit with a message that says what is wrong. */
static long parse_number(const char *option, const char *value, long low, long high) {
    char *end;
    long number = strtol(value, &end, 10);
    if (end == value || *end != '\0' || number < low || number > high) {
        fprintf(stderr, "echo: %s is '%s': expected %ld to %ld\n", option, value, low, high);
        exit(2);
    }
    return number;
}

static void bad_usage(const char *what, const char *problem) {
    fprintf(stderr, "echo: %s %s: expected [--port P] [--max-connections N] [--idle-seconds S]\n",
            what, problem);
    exit(2);
}

static void parse_arguments(int argc, char **argv, struct server *server) {
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"max-connections", required_argument, NULL, 'n'},
                                            {"idle-seconds", required_argument, NULL, 'i'},
                                            {0}};
    int option;
    opterr = 0; /* the messages are ours */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) >= 0) {
        if (option == 'p') {
            server->port = parse_number("--port", optarg, 0, 65535);
        } else if (option == 'n') {
            server->max_connections = parse_number("--max-connections", optarg, 1, 1000000);
        } else if (option == 'i') {
            server->idle_seconds = parse_number("--idle-seconds", optarg, 1, 86400);
        } else {
            bad_usage(argv[optind - 1], option == ':' ? "has no value" : "is not an option");
        }
    }
    if (optind < argc) {
        bad_usage(argv[optind], "is one argument too many");
    }
}

int main(int argc, char **argv) {
    struct server server = {.port = 7777, .max_connections = 1000, .idle_seconds = 60};
    parse_arguments(argc, argv, &server);
    int err = tr_run(app, &server);
    return err == TR_EINTERRUPTED ? 0 : 1; /* Ctrl-C is the ordinary end of a server */
}
