/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future_internal.h: what a task, as a future, is made of.
 */
#ifndef TRI_FUTURE_INTERNAL_H
#define TRI_FUTURE_INTERNAL_H

#include "loop_internal.h"

enum tri_future_state { TRI_PENDING, TRI_DONE, TRI_CANCELLED };

struct tr_future {
    tr_loop *loop;                      /* (C) */
    void *value;                        /* (L) */
    tri_done *done;                     /* (L) who is told, in the order of adding */
    tri_done **done_tail;               /* (L) */
    void (*destroy)(tr_future *future); /* (C) at the last reference */
    bool (*cancel)(tr_future *future);  /* (C) NULL: a plain future */
    unsigned refs;                      /* (L) */
    int result;                         /* (L) */
    uint8_t state;                      /* (L) enum tri_future_state */
    bool is_seen; /* (L) somebody was given the result: an error needs no log line */
};

struct tr_task {
    tr_future future;      /* first member: a task is a future */
    tri_fiber fiber;       /* (L) */
    tr_task_fn *fn;        /* (C) */
    void *arg;             /* (C) */
    tr_task *next, **link; /* (L) the loop's list of tasks */
    char name[32];         /* (C) */
};

void tri_future_init(tr_future *future, tr_loop *loop, void (*destroy)(tr_future *future));
/* Be told when a pending future is done. */
void tri_future_listen(tr_future *future, tri_done *done);
/* Stop listening; no effect once told. */
void tri_future_unlisten(tr_future *future, tri_done *done);

#endif
