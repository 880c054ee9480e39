/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_table.c: the process's loops, their making and their ends.
 *
 * DESIGN
 *
 * The memory of a loop is never freed: another thread may hold a pointer or an id of it and post
 * to its inbox at any time; after the end it finds the inbox closed. A loop that has ended is used
 * again, the one that ended longest ago first.
 */
#include "loop_internal.h"

#include "seam_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static struct {
    pthread_mutex_t mutex;
    _Atomic(tr_loop *) loops[TR_LOOPS_MAX]; /* (A) written once each, under the mutex */
    int count;                              /* (M) */
    uint64_t released_at[TR_LOOPS_MAX];     /* (M) order of the ends */
    uint64_t release_count;                 /* (M) */
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

tr_loop *tri_loop_by_id(unsigned id) {
    if (id >= TR_LOOPS_MAX) {
        return NULL;
    }
    /* Pairs with the release store in make_loop(): who reads the pointer sees the inbox. */
    return atomic_load_explicit(&table.loops[id], memory_order_acquire);
}

static tr_loop *make_loop(int id, int *ret_err) {
    tr_loop *loop = tri_aligned_alloc(_Alignof(tr_loop), sizeof *loop);
    if (loop == NULL) {
        *ret_err = -ENOMEM;
        return NULL;
    }
    memset(loop, 0, sizeof *loop);
    *ret_err = tri_inbox_init(&loop->inbox);
    if (*ret_err < 0) {
        tri_free(loop);
        return NULL;
    }
    loop->id = id;
    loop->generation = 1;
    atomic_store_explicit(&table.loops[id], loop, memory_order_release);
    return loop;
}

/* A loop that isn't in use: a new one while there is room, else the one that ended first. */
static tr_loop *take_loop(int *ret_err) {
    if (table.count < TR_LOOPS_MAX / 2) {
        tr_loop *fresh = make_loop(table.count, ret_err);
        table.count += fresh != NULL;
        return fresh;
    }
    tr_loop *oldest = NULL;
    for (int id = 0; id < table.count; id++) {
        tr_loop *loop = atomic_load_explicit(&table.loops[id], memory_order_relaxed);
        if (!loop->in_use &&
            (oldest == NULL || table.released_at[id] < table.released_at[oldest->id])) {
            oldest = loop;
        }
    }
    if (oldest == NULL && table.count < TR_LOOPS_MAX) {
        oldest = make_loop(table.count, ret_err);
        table.count += oldest != NULL;
    } else if (oldest == NULL) {
        *ret_err = -EAGAIN;
    }
    return oldest;
}

int tri_loop_acquire(tr_runtime *runtime, int index, const struct tr_seams *seams,
                     size_t stack_bytes, tr_loop **ret_loop) {
    int err = 0;
    pthread_mutex_lock(&table.mutex);
    tr_loop *loop = take_loop(&err);
    if (loop != NULL) {
        loop->in_use = true;
    }
    pthread_mutex_unlock(&table.mutex);
    if (loop == NULL) {
        return err;
    }
    /* Everything after the constant part starts anew with each life. */
    size_t from = offsetof(tr_loop, current);
    memset((char *)loop + from, 0, sizeof *loop - from);
    loop->runtime = runtime;
    loop->index = index;
    loop->seams = *seams;
    loop->ready_tail = &loop->ready;
    loop->clock_credit = 1; /* grows as callbacks prove quick */
    loop->clock_granted = 1;
    tri_stack_pool_init(&loop->stacks, stack_bytes);
    *ret_loop = loop;
    return 0;
}

void tri_loop_release(tr_loop *loop) {
    if (loop->task_count > 0 || loop->stacks.in_use > 0) {
        /* Somebody refused to end, and was reported. A suspended stack is never dropped: what it
         * holds may be referred to from outside. The loop stays in use for good. */
        return;
    }
    tri_stack_pool_fini(&loop->stacks);
    pthread_mutex_lock(&table.mutex);
    loop->in_use = false;
    table.released_at[loop->id] = ++table.release_count;
    pthread_mutex_unlock(&table.mutex);
}

const char *tri_loop_overflow_name(const tri_overflow_scope *scope) {
    const tr_loop *loop = TRI_CONTAINER_OF(scope, tr_loop, overflow);
    return loop->current != NULL ? loop->current->name(loop->current) : "(loop)";
}

/* ---- what any thread may ask -------------------------------------------------- */

tr_loop *tr_loop_running(void) {
    return tri_current_loop;
}

int tr_loop_index(const tr_loop *loop) {
    return loop->index;
}

tr_runtime *tr_loop_runtime(const tr_loop *loop) {
    return loop->runtime;
}

tr_time tr_loop_time(tr_loop *loop) {
    TRI_USAGE(loop == tri_current_loop, "tr_loop_time", "the loop of this thread only");
    return tri_loop_update_now(loop);
}

uint64_t tr_loop_random(tr_loop *loop) {
    TRI_USAGE(loop == tri_current_loop, "tr_loop_random", "the loop of this thread only");
    return loop->seams.random(loop->seams.arg);
}
