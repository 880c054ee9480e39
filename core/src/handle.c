/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.c: callbacks for the next turn, for a time, and from other threads.
 */
#include "loop_internal.h"

#include <errno.h>

struct tr_handle {
    tri_node node;      /* (L) in the ready queue; first member */
    tri_timer timer;    /* (L) */
    tr_loop *loop;      /* (C) */
    tr_callback_fn *fn; /* (L) NULL once it was called or cancelled */
    void *arg;          /* (L) */
    tr_handle *next;    /* (L) free list */
    unsigned refs;      /* (L) one the loop's until it has run, one the caller's */
    bool is_cancelled;  /* (L) */
    bool is_timed;      /* (L) */
};

/* Handles come in chunks, so that those that are still scheduled when the loop ends are freed. */
enum { HANDLES_PER_CHUNK = 64 };

struct tri_handle_chunk {
    struct tri_handle_chunk *next;
    tr_handle handles[HANDLES_PER_CHUNK];
};

static void handle_drop(tr_handle *handle) {
    TRI_ASSERT(handle->refs > 0);
    if (--handle->refs == 0) {
        handle->next = handle->loop->handles;
        handle->loop->handles = handle;
    }
}

static void run_handle(tr_loop *loop, tri_node *node) {
    tr_handle *handle = TRI_CONTAINER_OF(node, tr_handle, node);
    (void)loop;
    tr_callback_fn *fn = handle->fn;
    if (fn != NULL) {
        handle->fn = NULL;
        fn(handle->arg);
    }
    handle_drop(handle);
}

/* As asyncio: a timer that is due becomes an ordinary ready callback. */
static void timer_due(tr_loop *loop, tri_timer *timer) {
    tr_handle *handle = TRI_CONTAINER_OF(timer, tr_handle, timer);
    tri_loop_ready(loop, &handle->node);
}

static int more_handles(tr_loop *loop) {
    struct tri_handle_chunk *chunk = tri_calloc(1, sizeof *chunk);
    if (chunk == NULL) {
        return -ENOMEM;
    }
    chunk->next = loop->handle_chunks;
    loop->handle_chunks = chunk;
    for (int i = HANDLES_PER_CHUNK; i-- > 0;) {
        tr_handle *handle = &chunk->handles[i];
        handle->node.run = run_handle;
        handle->timer.fire = timer_due;
        handle->loop = loop;
        handle->next = loop->handles;
        loop->handles = handle;
    }
    return 0;
}

static int handle_new(tr_loop *loop, const char *call, tr_callback_fn *fn, void *arg,
                      tr_handle **ret_handle, tr_handle **ret_new) {
    TRI_USAGE(loop != NULL && loop == tri_current_loop, call, "the loop of this thread only");
    if (loop->handles == NULL) {
        int err = more_handles(loop);
        if (err < 0) {
            return err;
        }
    }
    tr_handle *handle = loop->handles;
    loop->handles = handle->next;
    handle->fn = fn;
    handle->arg = arg;
    handle->is_cancelled = false;
    handle->is_timed = false;
    handle->refs = ret_handle != NULL ? 2 : 1;
    if (ret_handle != NULL) {
        *ret_handle = handle;
    }
    *ret_new = handle;
    return 0;
}

int tr_loop_call_soon(tr_loop *loop, tr_callback_fn *fn, void *arg, tr_handle **ret_handle) {
    tr_handle *handle;
    int err = handle_new(loop, "tr_loop_call_soon", fn, arg, ret_handle, &handle);
    if (err < 0) {
        return err;
    }
    tri_loop_ready(loop, &handle->node);
    return 0;
}

int tr_loop_call_later(tr_loop *loop, tr_time delay, tr_callback_fn *fn, void *arg,
                       tr_handle **ret_handle) {
    tr_handle *handle;
    int err = handle_new(loop, "tr_loop_call_later", fn, arg, ret_handle, &handle);
    if (err < 0) {
        return err;
    }
    handle->is_timed = true;
    if (delay > 0) {
        tri_timers_add_after(&loop->timers, &handle->timer, delay);
    } else {
        tri_timers_add(&loop->timers, &handle->timer, loop->now);
        tri_loop_fire_due_later(loop);
    }
    return 0;
}

int tr_loop_call_at(tr_loop *loop, tr_time when, tr_callback_fn *fn, void *arg,
                    tr_handle **ret_handle) {
    tr_handle *handle;
    int err = handle_new(loop, "tr_loop_call_at", fn, arg, ret_handle, &handle);
    if (err < 0) {
        return err;
    }
    handle->is_timed = true;
    tri_timers_add(&loop->timers, &handle->timer, when);
    if (when <= loop->now) {
        tri_loop_fire_due_later(loop);
    }
    return 0;
}

void tr_handle_cancel(tr_handle *handle) {
    TRI_USAGE(handle->loop == tri_current_loop, "tr_handle_cancel", "on the handle's loop only");
    if (handle->fn == NULL) {
        return;
    }
    handle->fn = NULL;
    handle->is_cancelled = true;
    if (tri_timer_is_pending(&handle->timer)) {
        tri_timers_cancel(&handle->loop->timers, &handle->timer);
        handle_drop(handle);
    }
}

bool tr_handle_cancelled(const tr_handle *handle) {
    return handle->is_cancelled;
}

tr_time tr_handle_when(const tr_handle *handle) {
    return handle->is_timed ? tri_timer_when(&handle->loop->timers, &handle->timer) : 0;
}

tr_handle *tr_handle_unref(tr_handle *handle) {
    if (handle != NULL) {
        TRI_USAGE(handle->loop == tri_current_loop, "tr_handle_unref", "on the handle's loop only");
        handle_drop(handle);
    }
    return NULL;
}

/* ---- from other threads ----------------------------------------------------------- */

struct post {
    tri_node node;
    tr_callback_fn *fn;
    void *arg;
};

static void run_post(tr_loop *loop, tri_node *node) {
    struct post *post = TRI_CONTAINER_OF(node, struct post, node);
    (void)loop;
    post->fn(post->arg);
    tri_free(post);
}

/* From the inbox it goes behind what is ready already, like any other callback. */
static void post_arrived(tr_loop *loop, tri_node *node) {
    node->run = run_post;
    tri_loop_ready(loop, node);
}

int tr_loop_call_soon_threadsafe(tr_loop *loop, tr_callback_fn *fn, void *arg) {
    struct post *post = tri_malloc(sizeof *post);
    if (post == NULL) {
        return -ENOMEM;
    }
    post->node.run = post_arrived;
    post->fn = fn;
    post->arg = arg;
    int err = tri_inbox_push(&loop->inbox, &post->node, &post->node);
    if (err < 0) {
        tri_free(post);
    }
    return err;
}

/* ---- the end of the loop ------------------------------------------------------------ */

/* Those that came too late to run. */
static void free_posts(tr_loop *loop) {
    tri_node *node = loop->ready;
    while (node != NULL) {
        tri_node *next = node->next;
        if (node->run == run_post) {
            tri_free(TRI_CONTAINER_OF(node, struct post, node));
        }
        node = next;
    }
}

void tri_handles_free(tr_loop *loop) {
    free_posts(loop);
    loop->handles = NULL;
    while (loop->handle_chunks != NULL) {
        struct tri_handle_chunk *chunk = loop->handle_chunks;
        loop->handle_chunks = chunk->next;
        tri_free(chunk);
    }
}
