/* SPDX-License-Identifier: Apache-2.0 */
/*
 * team.h: the other processes. They are started before this one has any thread, and none of them
 * outlives it, whatever happens to it.
 */
#ifndef WC_TEAM_H
#define WC_TEAM_H

#include "options.h"
#include "protocol.h"

#include <sys/types.h>

struct wc_team {
    unsigned nodes;           /* this process included */
    char directory[80];       /* where the links' sockets are; "" with one node */
    int lifeline;             /* a pipe: workers end when it is closed; -1 */
    pid_t pids[WC_NODES_MAX]; /* by node; 0: not running */
};

/* Start the workers. A worker that can't be started is reported and missed later. 0, or an error
 * that was reported. SIGINT should be blocked: the workers begin with that. */
int wc_team_start(struct wc_team *team, const struct wc_options *options);

/* Whether the process of a node has ended. Reports it if it wasn't told to. */
bool wc_team_has_ended(struct wc_team *team, unsigned node);

/* Tell the workers to end. May be called twice. */
void wc_team_dismiss(struct wc_team *team);

/* wc_team_dismiss(), wait for them, kill those that are not ended after a time (ms), clean up. */
void wc_team_end(struct wc_team *team, int patience);

/* What a worker process does: exit status. */
int wc_worker_main(const struct wc_options *options);

#endif
