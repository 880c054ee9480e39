/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zsocket_internal.h: the two kinds of ZeroMQ sockets that nodes use, on a loop.
 */
#ifndef TRI_ZSOCKET_INTERNAL_H
#define TRI_ZSOCKET_INTERNAL_H

#include "loop_internal.h"

typedef struct tri_zcontext tri_zcontext;
typedef struct tri_zsocket tri_zsocket;

/* One a process is best: made after the last fork, used by any loop. 0, -ENOMEM or -errno. */
int tri_zcontext_new(const tr_runtime *runtime, tri_zcontext **ret_context);
/* After all its sockets are closed; waits a moment for libzmq's threads. NULL is allowed. */
void tri_zcontext_free(tri_zcontext *context);

/* Told on the loop's thread, from the loop's own stack. */
struct tri_zsocket_ops {
    /* Inbox: a frame and the routing id it came with, valid during the call. May close dialers, not
     * the inbox. */
    void (*frame)(void *arg, const void *id, size_t id_size, const void *bytes, size_t size);
    /* Dialer: after tri_zsocket_want(), once: there is a connection with room. May send. */
    void (*writable)(void *arg);
};

struct tri_zsocket_opts {
    const char *address;
    const void *id;   /* dialer: routing id, copied; NULL: libzmq's choice */
    size_t id_size;   /* bytes, 1 to 255 */
    size_t max_frame; /* larger ones that come in end the connection, bytes */
    tr_time patience; /* how long a silent connection is kept by libzmq's own heartbeat */
};

/* A bound ROUTER that only receives. 0, -EADDRINUSE or another -errno, -ENOMEM. */
int tri_zsocket_listen(tri_zcontext *context, tr_loop *loop, const struct tri_zsocket_opts *opts,
                       const struct tri_zsocket_ops *ops, void *arg, tri_zsocket **ret_socket);
/* A DEALER that only sends, to one address; connects in the background. */
int tri_zsocket_dial(tri_zcontext *context, tr_loop *loop, const struct tri_zsocket_opts *opts,
                     const struct tri_zsocket_ops *ops, void *arg, tri_zsocket **ret_socket);
/* From now on somebody else is told. */
void tri_zsocket_hand_over(tri_zsocket *socket, const struct tri_zsocket_ops *ops, void *arg);
/* Drops what libzmq has not sent. NULL is allowed; returns NULL. */
tri_zsocket *tri_zsocket_close(tri_zsocket *socket);

/* The address that was really bound, with the port. Valid as long as the socket. */
const char *tri_zsocket_address(const tri_zsocket *socket);
/* Copy a frame to libzmq. 0; -EAGAIN: no connection, or no room: ask with tri_zsocket_want();
 * -ENOMEM. */
int tri_zsocket_send(tri_zsocket *socket, const void *bytes, size_t size);
void tri_zsocket_want(tri_zsocket *socket);

/* Look whether something was missed; for a slow timer that runs while something is awaited.
 * Counts what it finds in tri_zcontext_missed(), which should stay 0. */
void tri_zsocket_check(tri_zsocket *socket);
uint64_t tri_zcontext_missed(const tri_zcontext *context);

#endif
