/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future.c: results that arrive later, and tr_await().
 *
 * INVARIANTS
 *
 *   state != TRI_PENDING  =>  done == NULL: everybody was told, in the order of adding
 *   a listener is told inside tr_future_set(), and only queues something for a later turn
 */
#include "future_internal.h"

#include <errno.h>

static void assert_here(const tr_future *future, const char *call) {
    TRI_USAGE(future->loop == tri_current_loop, call,
              "a future belongs to the loop it was made on");
}

/* ---- construction and destruction --------------------------------------------- */

void tri_future_init(tr_future *future, tr_loop *loop, void (*destroy)(tr_future *future)) {
    *future = (tr_future){.loop = loop, .destroy = destroy, .refs = 1};
    future->done_tail = &future->done;
}

static void drop_listeners(tr_future *future);

static void destroy_plain(tr_future *future) {
    drop_listeners(future);
    tri_free(future);
}

int tr_future_new(tr_loop *loop, tr_future **ret_future) {
    TRI_USAGE(loop != NULL && loop == tri_current_loop, "tr_future_new",
              "the loop of this thread only");
    tr_future *future = tri_malloc(sizeof *future);
    if (future == NULL) {
        return -ENOMEM;
    }
    tri_future_init(future, loop, destroy_plain);
    *ret_future = future;
    return 0;
}

tr_future *tr_future_ref(tr_future *future) {
    assert_here(future, "tr_future_ref");
    future->refs++;
    return future;
}

tr_future *tr_future_unref(tr_future *future) {
    if (future != NULL) {
        assert_here(future, "tr_future_unref");
        TRI_ASSERT(future->refs > 0);
        if (--future->refs == 0) {
            future->destroy(future);
        }
    }
    return NULL;
}

/* ---- completing -------------------------------------------------------------------- */

void tri_future_listen(tr_future *future, tri_done *done) {
    TRI_ASSERT(future->state == TRI_PENDING);
    done->next = NULL;
    *future->done_tail = done;
    future->done_tail = &done->next;
}

void tri_future_unlisten(tr_future *future, tri_done *done) {
    for (tri_done **link = &future->done; *link != NULL; link = &(*link)->next) {
        if (*link == done) {
            *link = done->next;
            if (future->done_tail == &done->next) {
                future->done_tail = link;
            }
            return;
        }
    }
}

void tr_future_set(tr_future *future, int result, void *value) {
    assert_here(future, "tr_future_set");
    TRI_USAGE(future->state == TRI_PENDING, "tr_future_set", "a future is completed once");
    future->result = result;
    future->value = value;
    future->state = result == TR_ECANCELLED ? TRI_CANCELLED : TRI_DONE;
    tri_done *done = future->done;
    future->done = NULL;
    future->done_tail = &future->done;
    while (done != NULL) {
        tri_done *next = done->next;
        done->fire(done, future);
        done = next;
    }
}

bool tr_future_cancel(tr_future *future) {
    assert_here(future, "tr_future_cancel");
    if (future->state != TRI_PENDING) {
        return false;
    }
    if (future->cancel != NULL) {
        return future->cancel(future);
    }
    tr_future_set(future, TR_ECANCELLED, NULL);
    return true;
}

/* ---- queries ------------------------------------------------------------------------ */

bool tr_future_is_done(const tr_future *future) {
    return future->state != TRI_PENDING;
}

bool tr_future_is_cancelled(const tr_future *future) {
    return future->state == TRI_CANCELLED;
}

int tr_future_result(const tr_future *future) {
    assert_here(future, "tr_future_result");
    if (future->state == TRI_PENDING) {
        return TR_EPENDING;
    }
    ((tr_future *)(uintptr_t)future)->is_seen = true;
    return future->result;
}

void *tr_future_value(const tr_future *future) {
    return future->value;
}

/* ---- callbacks ------------------------------------------------------------------------ */

struct callback {
    tri_done done;
    tri_node node;
    tr_done_fn *fn;
    void *arg;
    tr_future *future; /* a reference */
};

static void run_callback(tr_loop *loop, tri_node *node) {
    struct callback *callback = TRI_CONTAINER_OF(node, struct callback, node);
    (void)loop;
    callback->fn(callback->future, callback->arg);
    tr_future_unref(callback->future);
    tri_free(callback);
}

static void queue_callback(tri_done *done, tr_future *future) {
    struct callback *callback = TRI_CONTAINER_OF(done, struct callback, done);
    callback->future = tr_future_ref(future);
    future->is_seen = true;
    tri_loop_ready(future->loop, &callback->node);
}

int tr_future_add_done_callback(tr_future *future, tr_done_fn *fn, void *arg) {
    assert_here(future, "tr_future_add_done_callback");
    struct callback *callback = tri_malloc(sizeof *callback);
    if (callback == NULL) {
        return -ENOMEM;
    }
    *callback = (struct callback){
        .done.fire = queue_callback, .node.run = run_callback, .fn = fn, .arg = arg};
    if (future->state == TRI_PENDING) {
        tri_future_listen(future, &callback->done);
    } else {
        queue_callback(&callback->done, future);
    }
    return 0;
}

/* ---- waiting ----------------------------------------------------------------------------- */

struct await {
    tri_waiter waiter;
    tri_done done;
    tr_future *future;
};

static void await_done(tri_done *done, tr_future *future) {
    struct await *await = TRI_CONTAINER_OF(done, struct await, done);
    tri_wake(&await->waiter, future->result);
}

static void await_cancel(tri_waiter *waiter) {
    struct await *await = TRI_CONTAINER_OF(waiter, struct await, waiter);
    tr_future_cancel(await->future);
}

int tr_await(tr_future *future) {
    assert_here(future, "tr_await");
    if (future->state == TRI_PENDING) {
        tr_task *current = tr_task_current();
        TRI_USAGE(current == NULL || &current->future != future, "tr_await",
                  "a task can't wait for itself");
        struct await await = {.waiter = {.cancel = await_cancel, .reason = "await"},
                              .done.fire = await_done,
                              .future = tr_future_ref(future)};
        tri_future_listen(future, &await.done);
        future->is_seen = true;
        int result = tri_suspend(&await.waiter);
        tr_future_unref(future);
        return result;
    }
    future->is_seen = true;
    return future->result;
}

/* ---- shield -------------------------------------------------------------------------------- */

struct shield {
    tri_done done;
    tr_future *outer; /* a reference */
};

static void shield_done(tri_done *done, tr_future *inner) {
    struct shield *shield = TRI_CONTAINER_OF(done, struct shield, done);
    if (shield->outer->state == TRI_PENDING) {
        inner->is_seen = true;
        tr_future_set(shield->outer, inner->result, inner->value);
    }
    tr_future_unref(shield->outer);
    tri_free(shield);
}

int tr_shield(tr_future *inner, tr_future **ret_future) {
    assert_here(inner, "tr_shield");
    tr_future *outer;
    int err = tr_future_new(inner->loop, &outer);
    if (err < 0) {
        return err;
    }
    if (inner->state != TRI_PENDING) {
        inner->is_seen = true;
        tr_future_set(outer, inner->result, inner->value);
    } else {
        struct shield *shield = tri_malloc(sizeof *shield);
        if (shield == NULL) {
            tr_future_unref(outer);
            return -ENOMEM;
        }
        *shield = (struct shield){.done.fire = shield_done, .outer = tr_future_ref(outer)};
        tri_future_listen(inner, &shield->done);
    }
    *ret_future = outer;
    return 0;
}

/* ---- dropped while pending ------------------------------------------------------------- */

/* Who waits holds a reference; what is left are callbacks and shields, which are never told. */
static void drop_listeners(tr_future *future) {
    tri_done *done = future->done;
    future->done = NULL;
    while (done != NULL) {
        tri_done *next = done->next;
        if (done->fire == queue_callback) {
            tri_free(TRI_CONTAINER_OF(done, struct callback, done));
        } else if (done->fire == shield_done) {
            struct shield *shield = TRI_CONTAINER_OF(done, struct shield, done);
            tr_future_unref(shield->outer);
            tri_free(shield);
        }
        done = next;
    }
}
