/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime_internal.h: what runtime.c and signals.c share.
 */
#ifndef TRI_RUNTIME_INTERNAL_H
#define TRI_RUNTIME_INTERNAL_H

#include "loop_internal.h"

#include <pthread.h>
#include <signal.h>

#define TRI_STACK_MIN ((size_t)16 << 10)
#define TRI_STACK_MAX ((size_t)1 << 30)

struct tr_runtime {
    struct tr_run_opts opts;         /* (C) with defaults filled in */
    tr_task_fn *fn;                  /* (C) */
    int loop_count;                  /* (C) */
    tr_loop *loops[TR_LOOPS_MAX];    /* (C) */
    int cpus[TR_LOOPS_MAX];          /* (C) pinned to, or -1 */
    int *allowed_cpus;               /* (C) all that the process may use */
    int allowed_cpu_count;           /* (C) */
    pthread_t threads[TR_LOOPS_MAX]; /* starting thread */
    int thread_count;                /* starting thread */
    /* ---- loop 0 ---- */
    tr_task *main;                       /* (L) */
    tri_waiter *finish_wait;             /* (L) */
    tri_node finish_nodes[TR_LOOPS_MAX]; /* there and back: owned by whose inbox it is in */
    int finished;                        /* (L) other loops that have answered */
    int result;                          /* (L) of the main task */
    bool was_interrupted;                /* (L) */
    bool has_run;                        /* (L) */
    tr_time deadline;          /* (L) of the shutdown; set before the other loops are told */
    void *signal_registration; /* (L) */
    int signal_fd;             /* (L) 0: none */
    sigset_t mask_before;      /* starting thread */
    bool is_masked;            /* starting thread */
    /* ---- shared ---- */
    pthread_mutex_t mutex; /* start-up, ext */
    pthread_cond_t changed;
    int started, start_err, go;          /* (M) */
    tri_runtime_ext *ext[TRI_EXT_COUNT]; /* (M) written once each */
};

/* signals.c */
void tri_signals_block(tr_runtime *runtime);  /* on loop 0's thread, before any other starts */
void tri_signals_block_all(sigset_t *before); /* what the other threads inherit */
int tri_signals_begin(tr_runtime *runtime);   /* on loop 0 */
void tri_signals_end(tr_runtime *runtime);    /* on loop 0's thread */
void tri_signals_unblock(tr_runtime *runtime);

#endif
