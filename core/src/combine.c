/* SPDX-License-Identifier: Apache-2.0 */
/*
 * combine.c: gather and wait_for.
 */
#include "future_internal.h"

#include <errno.h>

/* ---- gather ------------------------------------------------------------------------- */

struct gather {
    tri_waiter waiter;
    tr_future *const *futures;
    struct gather_item *items;
    size_t count;
    size_t pending;
    bool keep_errors;
    bool is_cancelled;
};

struct gather_item {
    tri_done done;
    struct gather *gather;
};

static void item_done(tri_done *done, tr_future *future) {
    struct gather *gather = TRI_CONTAINER_OF(done, struct gather_item, done)->gather;
    gather->pending--;
    if (gather->waiter.is_woken) {
        return;
    }
    if (gather->is_cancelled) {
        if (gather->pending == 0) {
            tri_wake(&gather->waiter, TR_ECANCELLED);
        }
    } else if (future->result < 0 && !gather->keep_errors) {
        tri_wake(&gather->waiter, future->result);
    } else if (gather->pending == 0) {
        tri_wake(&gather->waiter, 0);
    }
}

static void gather_cancel(tri_waiter *waiter) {
    struct gather *gather = TRI_CONTAINER_OF(waiter, struct gather, waiter);
    gather->is_cancelled = true;
    for (size_t i = 0; i < gather->count; i++) {
        tr_future_cancel(gather->futures[i]);
    }
}

/* The first error of those that are done, or 0. */
static int first_error(const struct gather *gather) {
    for (size_t i = 0; i < gather->count && !gather->keep_errors; i++) {
        if (tr_future_is_done(gather->futures[i]) && gather->futures[i]->result < 0) {
            return gather->futures[i]->result;
        }
    }
    return 0;
}

static int gather_wait(struct gather *gather) {
    for (size_t i = 0; i < gather->count; i++) {
        gather->items[i] = (struct gather_item){.done.fire = item_done, .gather = gather};
        if (!tr_future_is_done(gather->futures[i])) {
            tri_future_listen(gather->futures[i], &gather->items[i].done);
            gather->pending++;
        }
    }
    int err = first_error(gather);
    if (err == 0 && gather->pending > 0) {
        err = tri_suspend(&gather->waiter);
    }
    for (size_t i = 0; i < gather->count; i++) {
        tri_future_unlisten(gather->futures[i], &gather->items[i].done);
    }
    return err;
}

int tr_gather(tr_future *const *futures, size_t count, unsigned flags, int *results) {
    struct gather gather = {.waiter = {.cancel = gather_cancel, .reason = "gather"},
                            .futures = futures,
                            .count = count,
                            .keep_errors = (flags & TR_GATHER_KEEP_ERRORS) != 0};
    if (count > 0) {
        gather.items = tri_calloc(count, sizeof *gather.items);
        if (gather.items == NULL) {
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < count; i++) {
        tr_future_ref(futures[i]);
        futures[i]->is_seen = true;
    }
    int err = gather_wait(&gather);
    for (size_t i = 0; i < count; i++) {
        if (results != NULL) {
            results[i] = tr_future_result(futures[i]);
        }
        tr_future_unref(futures[i]);
    }
    tri_free(gather.items);
    return err;
}

/* ---- wait_for ------------------------------------------------------------------------ */

struct wait_for {
    tri_waiter waiter;
    tri_done done;
    tri_timer timer;
    tr_future *future;
    bool has_expired;
    bool was_cancelled;
};

static void wait_for_done(tri_done *done, tr_future *future) {
    tri_wake(&TRI_CONTAINER_OF(done, struct wait_for, done)->waiter, future->result);
}

static void wait_for_expired(tr_loop *loop, tri_timer *timer) {
    struct wait_for *self = TRI_CONTAINER_OF(timer, struct wait_for, timer);
    (void)loop;
    if (!self->waiter.is_woken && !self->was_cancelled) {
        self->has_expired = true;
        tr_future_cancel(self->future);
    }
}

static void wait_for_cancel(tri_waiter *waiter) {
    struct wait_for *self = TRI_CONTAINER_OF(waiter, struct wait_for, waiter);
    self->was_cancelled = true;
    tr_future_cancel(self->future);
}

int tr_wait_for(tr_future *future, tr_time timeout) {
    tr_loop *loop = tri_loop_here("tr_wait_for");
    if (tr_future_is_done(future)) {
        return tr_await(future);
    }
    struct wait_for self = {.waiter = {.cancel = wait_for_cancel, .reason = "wait_for"},
                            .done.fire = wait_for_done,
                            .timer.fire = wait_for_expired,
                            .future = tr_future_ref(future)};
    future->is_seen = true;
    tri_future_listen(future, &self.done);
    if (timeout <= 0) {
        self.has_expired = true;
        tr_future_cancel(future);
    } else {
        tri_timers_add_after(&loop->timers, &self.timer, timeout);
    }
    int cancels = tr_task_cancelling(NULL);
    int err = tri_suspend(&self.waiter);
    tri_timers_cancel(&loop->timers, &self.timer);
    /* The count alone misses a request from before the call that was delivered in it, the hook
     * alone one that came between the wake-up and now. */
    bool was_cancelled = self.was_cancelled || tr_task_cancelling(NULL) > cancels;
    tr_future_unref(future);
    return err == TR_ECANCELLED && self.has_expired && !was_cancelled ? TR_ETIMEOUT : err;
}
