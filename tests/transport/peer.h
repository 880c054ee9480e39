/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h: tests with several processes. The test binary starts itself again as another node.
 */
#ifndef T_PEER_H
#define T_PEER_H

#include "t_task.h"

#include <troupe/transport.h>

#include <sys/types.h>

/* What the other process is told, by its environment. */
struct t_peer_opts {
    const char *role; /* see peer_roles.c */
    const char *name; /* of its node */
    const char *listen;
    const char *peer;    /* "name=address" to dial, or NULL */
    const char *cluster; /* NULL: the default */
    const char *detail;  /* for the role, or NULL */
    int loops;           /* 0: 1 */
    int down_after_ms;   /* 0: 30 s */
};

struct t_peer {
    pid_t pid;
    int out; /* its lines */
    char address[TR_ADDRESS_SIZE];
};

/* Start it and wait until it listens. False: it doesn't, and the check has failed. */
bool t_peer_start(struct t_peer *peer, const struct t_peer_opts *opts);
/* Send a signal and wait for its end; returns the wait status. 0: only wait. */
int t_peer_end(struct t_peer *peer, int signo);
/* The next line that it prints, without the newline; "" at its end. */
const char *t_peer_line(struct t_peer *peer, char *line, size_t size);

/* A fresh directory for sockets; the caller removes it with t_rmdir(). */
const char *t_mkdir(char *path, size_t size);
void t_rmdir(const char *path);

/* ---- what the actors of both processes say --------------------------------------------- */

TR_MESSAGE(px_add, (1, uint64, amount));
TR_MESSAGE(px_query, (1, uint64, expected), (2, ref, from));
TR_MESSAGE(px_total, (1, uint64, sum), (2, uint64, count), (3, bool, in_order), (4, ref, echo));
TR_REPLY(px_query, px_total);
TR_MESSAGE(px_echo, (1, string, text), (2, bytes, blob), (3, ref, who), (4, double, real));
TR_MESSAGE(px_echoed, (1, string, text), (2, bytes, blob), (3, ref, who), (4, double, real));
TR_REPLY(px_echo, px_echoed);
TR_MESSAGE(px_never);
TR_REPLY(px_never, px_total);
TR_MESSAGE(px_fail, (1, int32, err));
TR_MESSAGE(px_start, (1, uint64, value), (2, int32, err));
/* The helper doesn't declare this one in any behaviour. */
TR_MESSAGE(px_unknown, (1, uint64, value));
TR_REPLY(px_unknown, px_total);

typedef struct px_counter {
    uint64_t sum, count, last;
    bool out_of_order;
} px_counter;
TR_DECLARE_BEHAVIOUR(px_counter);

#endif
