/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.c: tasks, from the first step to the last reference.
 *
 * A task that has started holds one reference to itself until it ends, so that it runs on when
 * its creator lets go.
 */
#include "future_internal.h"

#include <errno.h>
#include <string.h>

static tr_task *of_future(tr_future *future) {
    return TRI_CONTAINER_OF(future, tr_task, future);
}

static const char *task_fiber_name(const tri_fiber *fiber) {
    return TRI_CONTAINER_OF(fiber, tr_task, fiber)->name;
}

static void task_destroy(tr_future *future) {
    tr_task *task = of_future(future);
    if (future->result < 0 && future->state == TRI_DONE && !future->is_seen) {
        tr_log(TR_LOG_WARN, "task '%s' failed and nobody asked: %s (%s)", task->name,
               tr_err_name(future->result), tr_err_text(future->result));
    }
    tri_free(task);
}

static void task_end(tr_loop *loop, tr_task *task, int result) {
    *task->link = task->next;
    if (task->next != NULL) {
        task->next->link = task->link;
    }
    loop->task_count--;
    if (loop->drain != NULL && loop->task_count <= loop->drain_until) {
        tri_waiter *drain = loop->drain;
        loop->drain = NULL;
        tri_wake(drain, 0);
    }
    tr_future_set(&task->future, result, NULL);
    tr_future_unref(&task->future);
}

static void task_run(tr_loop *loop, tri_node *node) {
    tr_task *task = TRI_CONTAINER_OF(node, tr_task, fiber.node);
    if (task->fiber.cancel_pending) {
        task_end(loop, task, TR_ECANCELLED);
        return;
    }
    if (!tri_fiber_enter(loop, &task->fiber)) {
        task_end(loop, task, -ENOMEM);
        return;
    }
    int result = task->fn(task->arg);
    tri_fiber_leave(loop, &task->fiber);
    task_end(loop, task, result);
}

static bool task_cancel(tr_future *future) {
    return tr_task_cancel(of_future(future));
}

int tr_task_new(tr_loop *loop, const char *name, tr_task_fn *fn, void *arg, tr_task **ret_task) {
    TRI_USAGE(loop != NULL && loop == tri_current_loop, "tr_task_new",
              "the loop of this thread only");
    tr_task *task = tri_malloc(sizeof *task);
    if (task == NULL) {
        return -ENOMEM;
    }
    tri_future_init(&task->future, loop, task_destroy);
    task->future.cancel = task_cancel;
    task->fiber = (tri_fiber){.node.run = task_run, .name = task_fiber_name};
    task->fn = fn;
    task->arg = arg;
    if (name == NULL) {
        name = "task";
    }
    size_t size = strnlen(name, sizeof task->name - 1);
    memcpy(task->name, name, size);
    task->name[size] = '\0';

    task->next = loop->tasks;
    task->link = &loop->tasks;
    if (loop->tasks != NULL) {
        loop->tasks->link = &task->next;
    }
    loop->tasks = task;
    loop->task_count++;
    if (ret_task != NULL) {
        task->future.refs++;
        *ret_task = task;
    }
    tri_loop_ready(loop, &task->fiber.node);
    return 0;
}

tr_future *tr_task_future(tr_task *task) {
    return &task->future;
}

tr_task *tr_task_unref(tr_task *task) {
    if (task != NULL) {
        tr_future_unref(&task->future);
    }
    return NULL;
}

int tr_task_join(tr_task *task) {
    int result = tr_await(&task->future);
    tr_task_unref(task);
    return result;
}

tr_task *tr_task_current(void) {
    tr_loop *loop = tri_current_loop;
    if (loop == NULL || loop->current == NULL || loop->current->name != task_fiber_name) {
        return NULL;
    }
    return TRI_CONTAINER_OF(loop->current, tr_task, fiber);
}

const char *tr_task_name(const tr_task *task) {
    return task->name;
}

bool tr_task_cancel(tr_task *task) {
    TRI_USAGE(task->future.loop == tri_current_loop, "tr_task_cancel", "on the task's loop only");
    if (task->future.state != TRI_PENDING) {
        return false;
    }
    tri_fiber_cancel(&task->fiber);
    return true;
}

static const tri_fiber *fiber_of(const tr_task *task, const char *call) {
    if (task != NULL) {
        return &task->fiber;
    }
    tr_loop *loop = tri_loop_here(call);
    TRI_USAGE(loop->current != NULL, call, "NULL means the running task, and none runs");
    return loop->current;
}

int tr_task_cancelling(const tr_task *task) {
    return fiber_of(task, "tr_task_cancelling")->cancels;
}

int tr_task_uncancel(tr_task *task) {
    tri_fiber *fiber = (tri_fiber *)(uintptr_t)fiber_of(task, "tr_task_uncancel");
    if (fiber->cancels > 0) {
        fiber->cancels--;
    }
    if (fiber->cancels == 0 && !fiber->cancel_forever) {
        fiber->cancel_pending = false;
    }
    return fiber->cancels;
}

/* ---- draining, for the end of a loop ------------------------------------------------- */

struct drain {
    tri_waiter waiter;
    tri_timer timer;
    tr_loop *loop;
};

static void drain_timeout(tr_loop *loop, tri_timer *timer) {
    struct drain *drain = TRI_CONTAINER_OF(timer, struct drain, timer);
    loop->drain = NULL;
    tri_wake_once(&drain->waiter, TR_ETIMEOUT);
}

static void drain_cancel(tri_waiter *waiter) {
    struct drain *drain = TRI_CONTAINER_OF(waiter, struct drain, waiter);
    drain->loop->drain = NULL;
    tri_wake(waiter, TR_ECANCELLED);
}

int tri_loop_drain_tasks(tr_loop *loop, size_t left, tr_time deadline) {
    if (loop->task_count <= left) {
        return 0;
    }
    struct drain drain = {.waiter = {.cancel = drain_cancel, .reason = "drain"},
                          .timer.fire = drain_timeout,
                          .loop = loop};
    loop->drain = &drain.waiter;
    loop->drain_until = left;
    tri_timers_add(&loop->timers, &drain.timer, deadline);
    int err = tri_suspend(&drain.waiter);
    tri_timers_cancel(&loop->timers, &drain.timer);
    return err;
}
