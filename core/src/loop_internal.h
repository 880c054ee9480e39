/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_internal.h: the loop's insides, for the files of core and for the layers above.
 *
 * Letters on fields: (C) constant after construction, (L) the owner loop's thread only,
 * (A) atomic, (P) producers on any thread through the inbox, (M) under the named mutex.
 */
#ifndef TRI_LOOP_INTERNAL_H
#define TRI_LOOP_INTERNAL_H

#include "alloc_internal.h"
#include "assert_internal.h"
#include "inbox_internal.h"
#include "stack_internal.h"
#include "timers_internal.h"

#include <troupe/core.h>

/* The clock is read at least this often, counted in callbacks. */
enum { TRI_CLOCK_EVERY = 64 };
/* Descriptors are looked at this often while there is always something to run. */
#define TRI_POLL_QUANTUM (50 * TR_US)
/* Longest busy wait for the inbox before the loop goes to sleep. */
#define TRI_SPIN_MAX (50 * TR_US)

/* ---- fibers: what can be suspended --------------------------------------- */

typedef struct tri_fiber tri_fiber;
typedef struct tri_waiter tri_waiter;

/* A fiber is the running part of a task or of an actor's activation. It has no stack of its
 * own while it runs on the dispatcher's; it gets that one when it suspends. */
struct tri_fiber {
    tri_node node;            /* (L) in the ready queue once woken; first member */
    tri_stack *stack;         /* (L) set while suspended */
    tri_waiter *waiter;       /* (L) what it is suspended in, else NULL */
    struct tri_scope *scopes; /* (L) open time limits, innermost first */
    int cancels;              /* (L) asked for and not taken back: asyncio's cancelling() */
    bool cancel_pending;      /* (L) to be delivered by the next wait */
    bool cancel_forever;      /* (L) killed: every wait returns TR_ECANCELLED */
    const char *(*name)(const tri_fiber *fiber); /* (C) for reports; async-signal-safe */
    void *held; /* (L) what a layer above keeps for the fiber, or NULL */
    void (*release)(tr_loop *loop, tri_fiber *fiber); /* (L) gives `held` back at the end */
};

/* One wait of a suspended fiber; lives in the frame of the suspending call.
 *
 * Whoever completes the wait calls tri_wake() exactly once. `cancel` is called when the fiber
 * is cancelled while it waits; it must either wake the waiter (after unlinking it) or pass the
 * request on and leave the wake-up to the normal course. */
struct tri_waiter {
    tri_fiber *fiber; /* set by tri_suspend() */
    void (*cancel)(tri_waiter *waiter);
    const char *reason; /* "sleep", "await", ...: for reports */
    int result;
    bool is_woken;
    bool keeps_result;  /* a cancellation after the wake-up is left for the next wait */
    bool is_cancelling; /* inside cancel(): tasks that await each other end here */
};

/* Suspend the running fiber until its waiter is woken; returns waiter->result. Returns at once
 * when it has been woken already. */
TRI_API int tri_suspend(tri_waiter *waiter);
/* Complete a wait: the fiber runs again in the next turn. Owner thread. */
TRI_API void tri_wake(tri_waiter *waiter, int result);
/* Give way once: the fiber runs again in the next turn. 0 or TR_ECANCELLED. */
TRI_API int tri_fiber_yield(tr_loop *loop);
/* For timers: the wait may have been completed already, in the same turn. */
static inline void tri_wake_once(tri_waiter *waiter, int result) {
    if (!waiter->is_woken) {
        tri_wake(waiter, result);
    }
}
/* Cancel as tr_task_cancel() does. */
TRI_API void tri_fiber_cancel(tri_fiber *fiber);
/* Cancel and keep cancelling: each further wait returns TR_ECANCELLED. */
TRI_API void tri_fiber_kill(tri_fiber *fiber);
/* ---- the loop -------------------------------------------------------------- */

/* Something to be done at the end of the turn, once however often it was asked for. */
typedef struct tri_flush tri_flush;
struct tri_flush {
    tri_flush *next;
    void (*run)(tr_loop *loop, tri_flush *flush);
    bool is_queued;
};

/* What a layer above attaches to a loop or runtime. */
enum { TRI_EXT_ACTORS, TRI_EXT_TRANSPORT, TRI_EXT_COUNT };

typedef struct tri_loop_ext {
    /* The loop has run its last task and its inbox is closed; on its thread. */
    void (*close)(tr_loop *loop, struct tri_loop_ext *ext);
} tri_loop_ext;

struct tr_loop {
    /* ---- other threads ---- */
    tri_inbox inbox; /* (P) */
    /* ---- constant ---- */
    tr_runtime *runtime; /* (C) of the current life */
    int id;              /* (C) place in the process's table of loops */
    int index;           /* (C) place in the runtime */
    uint32_t generation; /* (L) lives on: first generation of the next life's actors */
    bool in_use;         /* (M) table mutex */
    /* ---- owner thread: every turn ---- */
    tri_fiber *current;    /* (L) running fiber, NULL in a callback */
    tri_stack *running;    /* (L) the stack we are on */
    tri_stack *dispatcher; /* (L) the stack whose frame runs the turns */
    tri_stack *spare;      /* (L) for the next dispatcher: a suspension can't fail */
    tri_stack *retired;    /* (L) left for good, to be reused by who runs next */
    tri_node *batch;       /* (L) what is left of this turn */
    tri_node *ready;       /* (L) next turn, FIFO */
    tri_node **ready_tail; /* (L) */
    tri_flush *flushes;    /* (L) for the end of this turn */
    int clock_credit;      /* (L) callbacks until the clock is read */
    int clock_granted;     /* (L) how many that were at the last look */
    bool is_stopping;      /* (L) */
    int turns_left;        /* (L) once it is stopping */
    tri_flush due_flush;   /* (L) fires timers that are due already before the next turn */
    tr_time now;           /* (L) the clock as last read */
    tr_time granted_at;    /* (L) the time of that look */
    tr_time polled_at;     /* (L) */
    tr_time spin;          /* (L) how long to spin: adapts to whether it pays */
    tri_timers timers;     /* (L) */
    /* ---- owner thread: the rest ---- */
    struct tr_seams seams;       /* (C) */
    void *poller;                /* (L) */
    tri_stack_pool stacks;       /* (L) */
    tri_stack native;            /* (L) the thread's own stack, while the dispatcher runs */
    tri_overflow_scope overflow; /* (L) */
    struct tr_handle *handles;   /* (L) free list */
    struct tri_handle_chunk *handle_chunks; /* (L) all of them */
    tr_task *tasks;                         /* (L) all that live, newest first */
    size_t task_count;                      /* (L) */
    tri_waiter *drain;                      /* (L) who waits for task_count == drain_until */
    size_t drain_until;                     /* (L) */
    tri_loop_ext *ext[TRI_EXT_COUNT];       /* (L) */
    struct tr_loop_stats stats;             /* (L) */
};

/* The loop of this thread, NULL if none. */
extern TRI_API _Thread_local tr_loop *tri_current_loop __attribute__((tls_model("initial-exec")));

static inline tr_loop *tri_loop_here(const char *call) {
    tr_loop *loop = tri_current_loop;
    TRI_USAGE(loop != NULL, call, "needs a running loop in this thread");
    return loop;
}

/* Append to the next turn. Owner thread. */
static inline void tri_loop_ready(tr_loop *loop, tri_node *node) {
    node->next = NULL;
    *loop->ready_tail = node;
    loop->ready_tail = &node->next;
}

static inline void tri_loop_flush_later(tr_loop *loop, tri_flush *flush) {
    if (!flush->is_queued) {
        flush->is_queued = true;
        flush->next = loop->flushes;
        loop->flushes = flush;
    }
}

/* Make sure that a suspension finds a stack. False: out of memory. */
TRI_API bool tri_loop_make_spare(tr_loop *loop);
/* The node of a suspended fiber. */
TRI_API void tri_fiber_resume(tr_loop *loop, tri_node *node);

/* Run as `fiber` until the matching leave. False: no memory for a stack, try again later. Called
 * by the node of a task or actor, on the dispatcher's stack. */
static inline bool tri_fiber_enter(tr_loop *loop, tri_fiber *fiber) {
    if (TRI_UNLIKELY(loop->spare == NULL) && !tri_loop_make_spare(loop)) {
        return false;
    }
    fiber->node.run = tri_fiber_resume;
    loop->current = fiber;
    return true;
}

static inline void tri_fiber_leave(tr_loop *loop, tri_fiber *fiber) {
    TRI_ASSERT(loop->current == fiber);
    TRI_USAGE(fiber->scopes == NULL, "tr_timeout_begin", "each scope must be ended by its task");
    if (TRI_UNLIKELY(fiber->held != NULL)) {
        fiber->release(loop, fiber);
    }
    loop->current = NULL;
}

/* The loop of a process-wide id, NULL if there never was one; its memory is never freed. */
TRI_API tr_loop *tri_loop_by_id(unsigned id);
/* Read the clock now. */
TRI_API tr_time tri_loop_update_now(tr_loop *loop);

/* loop.c, for runtime.c */
int tri_loop_acquire(tr_runtime *runtime, int index, const struct tr_seams *seams,
                     size_t stack_bytes, tr_loop **ret_loop);
int tri_loop_enter(tr_loop *loop);  /* on its thread: poller, overflow scope, inbox opens */
void tri_loop_run(tr_loop *loop);   /* until tri_loop_stop() */
void tri_loop_stop(tr_loop *loop);  /* owner thread: ends when nothing is left to run, soon */
void tri_loop_leave(tr_loop *loop); /* on its thread; closes the inbox */
void tri_loop_release(tr_loop *loop);
/* loop.c, for fiber_internal.h: leave the dispatcher's stack to its fiber, go on with a fresh one. */
void tri_loop_hand_over(tr_loop *loop);
/* loop_table.c: the name of what runs, for the overflow report and the log. */
const char *tri_loop_overflow_name(const tri_overflow_scope *scope);
/* loop.c, for handle.c: a timer was added that is due already, and belongs to the next turn. */
void tri_loop_fire_due_later(tr_loop *loop);
/* handle.c: all handles, and the posts that never ran, at the end of the loop. */
void tri_handles_free(tr_loop *loop);

/* ---- tasks and futures, for the layers above --------------------------------- */

/* Told by a future that it is done, inside the completing call: must only queue something. */
typedef struct tri_done tri_done;
struct tri_done {
    tri_done *next;
    void (*fire)(tri_done *done, tr_future *future);
};

/* ---- runtime ------------------------------------------------------------------- */

/* What a layer attaches to a runtime. */
typedef struct tri_runtime_ext {
    /* Task on loop 0: end what the layer runs, by the deadline. NULL: nothing to do. */
    void (*shutdown)(tr_runtime *runtime, struct tri_runtime_ext *ext, tr_time deadline);
    /* After all loops have ended and their threads are joined. */
    void (*destroy)(tr_runtime *runtime, struct tri_runtime_ext *ext);
} tri_runtime_ext;

/* Make the extension of a slot on first use; any loop of the runtime. NULL: out of memory. */
TRI_API tri_runtime_ext *tri_runtime_ext_get(tr_runtime *runtime, int slot,
                                             tri_runtime_ext *(*make)(tr_runtime *runtime));
/* The CPUs that the process may use, as they were before loop 0 was pinned. Returns how many. */
TRI_API int tri_runtime_cpus(const tr_runtime *runtime, const int **ret_cpus);
/* The extension if it has been made. */
TRI_API tri_runtime_ext *tri_runtime_ext_peek(tr_runtime *runtime, int slot);
/* Wait until no more than `left` tasks live on this loop, or the deadline: TR_ETIMEOUT. */
TRI_API int tri_loop_drain_tasks(tr_loop *loop, size_t left, tr_time deadline);

#endif
