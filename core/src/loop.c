/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c: the turn, and who runs on which stack.
 *
 * DESIGN
 *
 * A turn: do what was put off to its end (outgoing batches), take the inbox, and run a snapshot
 * of the ready queue. With nothing to run: read the clock, fire timers, spin a little for the
 * inbox, then sleep in the poller. While there is always something to run, the clock is read every
 * 64 callbacks, and descriptors are polled, without blocking, once a quantum.
 *
 * The dispatcher is the frame that runs the turns. It calls tasks and handlers directly, on its
 * own stack. When one of them suspends, that stack stays with it, and a fresh stack with a fresh
 * frame takes the dispatcher's role over in the middle of the batch (all of its state is in the
 * loop). A suspended fiber is resumed by switching to its stack; when it suspends again, it switches
 * to the next fiber of the batch, or back to the dispatcher. When it ends, control returns into the old dispatcher frame below it, which sees that the role has moved, gives its
 * stack up, and switches to the dispatcher.
 *
 * INVARIANTS
 *
 *   running == dispatcher  <=>  the dispatcher, or what it called directly, is executing
 *   spare != NULL          while a fiber runs on the dispatcher's stack: suspending can't fail
 *   batch and ready hold each node at most once
 */
#include "loop_internal.h"

#include "fiber_internal.h"

#include <errno.h>

/* What a stopped loop still runs: the ends of its tasks and what they set off. */
enum { TURNS_AFTER_STOP = 64 };

_Thread_local tr_loop *tri_current_loop __attribute__((tls_model("initial-exec")));

/* ---- switching -------------------------------------------------------------- */

static void dispatch(tr_loop *loop);

/* First frame of a stack that takes the dispatcher's role over. */
static void dispatcher_entry(void *arg) {
    tr_loop *loop = arg;
#if TRI_ASAN
    const void *from_low;
    size_t from_size;
    __sanitizer_finish_switch_fiber(NULL, &from_low, &from_size);
    if (loop->native.low == NULL) { /* the first switch of all leaves the thread's own stack */
        loop->native.low = (char *)(uintptr_t)from_low;
        loop->native.size = from_size;
    }
#endif
    dispatch(loop);
    loop->retired = loop->running;
    tri_switch_stacks(loop, loop->running, &loop->native, true);
    TRI_ASSERT(!"a stack that was given up runs again");
}

bool tri_loop_make_spare(tr_loop *loop) {
    loop->spare = tri_stack_get(&loop->stacks);
    return loop->spare != NULL;
}

static void start_dispatcher(tr_loop *loop, tri_stack *from, tri_stack *fresh) {
    loop->dispatcher = fresh;
    fresh->sp = tri_context_make(fresh->low, fresh->size, dispatcher_entry, loop);
    tri_switch_stacks(loop, from, fresh, false);
}

void tri_loop_hand_over(tr_loop *loop) {
    tri_stack *fresh = loop->spare;
    TRI_ASSERT(fresh != NULL);
    loop->spare = NULL;
    start_dispatcher(loop, loop->running, fresh);
}

/* The stack that was just left for good is the warmest one for the next suspension. */
static void reuse_retired(tr_loop *loop) {
    tri_stack *stack = loop->retired;
    if (stack == NULL) {
        return;
    }
    loop->retired = NULL;
    if (loop->spare == NULL && !TRI_ASAN && !TRI_TSAN && stack->is_guarded) {
        loop->spare = stack;
    } else {
        tri_stack_put(&loop->stacks, stack);
    }
}

static inline __attribute__((always_inline)) void resume(tr_loop *loop, tri_fiber *fiber) {
    tri_stack *stack = fiber->stack;
    TRI_ASSERT(stack != NULL);
    fiber->stack = NULL;
    loop->current = fiber;
    tri_switch_stacks(loop, loop->dispatcher, stack, false);
    loop->current = NULL;
    reuse_retired(loop);
}

void tri_fiber_resume(tr_loop *loop, tri_node *node) {
    resume(loop, TRI_CONTAINER_OF(node, tri_fiber, node));
}

/* ---- one turn ------------------------------------------------------------------- */

tr_time tri_loop_update_now(tr_loop *loop) {
    loop->now = loop->seams.now(loop->seams.arg);
    return loop->now;
}

/* So many callbacks until the next look at the clock. */
static void grant_credit(tr_loop *loop, int credit) {
    loop->stats.callbacks += (uint64_t)(loop->clock_granted - loop->clock_credit);
    loop->clock_credit = credit;
    loop->clock_granted = credit;
    loop->granted_at = loop->now;
}

/* As many as took no longer than a quantum the last time: callbacks that compute for a millisecond
 * each must not keep timers and descriptors waiting for 64 of them. One quick callback among slow
 * ones proves little, so the number only doubles. */
static int fair_credit(const tr_loop *loop) {
    tr_time used = loop->clock_granted - loop->clock_credit;
    tr_time took = loop->now - loop->granted_at;
    tr_time fair = took <= TRI_POLL_QUANTUM ? 2 * (tr_time)loop->clock_granted
                                            : used * TRI_POLL_QUANTUM / took;
    return fair < 1 ? 1 : fair > TRI_CLOCK_EVERY ? TRI_CLOCK_EVERY : (int)fair;
}

static void run_flushes(tr_loop *loop) {
    tri_flush *flush = loop->flushes;
    loop->flushes = NULL;
    while (flush != NULL) {
        tri_flush *next = flush->next;
        flush->is_queued = false;
        flush->run(loop, flush);
        flush = next;
    }
}

static void take_inbox(tr_loop *loop) {
    tri_node *node = tri_inbox_take(&loop->inbox);
    while (node != NULL) {
        tri_node *next = node->next;
        node->run(loop, node);
        node = next;
    }
}

static void fire_timers(tr_loop *loop) {
    tri_timer *timer;
    tri_timers_advance(&loop->timers, loop->now);
    while ((timer = tri_timers_pop_due(&loop->timers)) != NULL) {
        timer->fire(loop, timer);
    }
}

static void fire_due(tr_loop *loop, tri_flush *flush) {
    (void)flush;
    tri_loop_update_now(loop);
    fire_timers(loop);
}

static void poll_until(tr_loop *loop, tr_time deadline) {
    loop->stats.polls++;
    int err = loop->seams.poller->poll(loop->poller, loop->now, deadline);
    if (TRI_UNLIKELY(err < 0)) {
        tr_log(TR_LOG_ERROR, "the poller failed: %s", tr_err_text(err));
    }
    loop->polled_at = tri_loop_update_now(loop);
}

/* Every 64 callbacks at the latest, in the middle of a batch: time passes and the world may have
 * news. What it wakes goes to the next turn. */
static void tick(tr_loop *loop) {
    tri_loop_update_now(loop);
    grant_credit(loop, fair_credit(loop));
    fire_timers(loop);
    if (loop->now - loop->polled_at >= TRI_POLL_QUANTUM) {
        if (loop->flushes != NULL) {
            run_flushes(loop);
        }
        if (tri_inbox_has_work(&loop->inbox)) {
            take_inbox(loop);
        }
        poll_until(loop, 0);
    }
}

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Busy wait for the inbox where that pays: a wake-up costs the other side a system call and this
 * side a sleep. A spin that finds nothing halves the next one, one that finds work doubles it. */
static bool spin(tr_loop *loop, tr_time deadline) {
    tr_time end = loop->now + loop->spin;
    if (deadline < end) {
        end = deadline;
    }
    while (loop->now < end) {
        for (int i = 0; i < 64; i++) {
            if (tri_inbox_has_work(&loop->inbox)) {
                loop->spin = loop->spin * 2 < TRI_SPIN_MAX ? loop->spin * 2 : TRI_SPIN_MAX;
                return true;
            }
            relax();
        }
        tri_loop_update_now(loop);
    }
    return false;
}

/* Nothing to run: fire timers, or wait for what comes first. */
static void wait_for_work(tr_loop *loop) {
    tri_loop_update_now(loop);
    fire_timers(loop);
    if (loop->ready != NULL || loop->flushes != NULL) {
        if (loop->now - loop->polled_at >= TRI_POLL_QUANTUM) {
            poll_until(loop, 0); /* timers that are always due don't shut out descriptors */
        }
        return;
    }
    tr_time deadline = tri_timers_next(&loop->timers);
    if (loop->spin > 0 && spin(loop, deadline)) {
        return;
    }
    if (!tri_inbox_park(&loop->inbox)) {
        return;
    }
    tr_time slept_at = loop->now;
    loop->stats.parks++;
    poll_until(loop, deadline);
    tri_inbox_unpark(&loop->inbox);
    grant_credit(loop, loop->clock_granted); /* the time asleep is no callback's */
    if (loop->spin > 0) {
        /* Short sleeps mean that a spin would have paid. */
        bool was_short = loop->now - slept_at < 4 * TRI_SPIN_MAX;
        tr_time next = was_short ? loop->spin * 2 : loop->spin / 2;
        loop->spin = next < TR_US ? TR_US : next > TRI_SPIN_MAX ? TRI_SPIN_MAX : next;
    }
    fire_timers(loop);
}

void tri_loop_fire_due_later(tr_loop *loop) {
    loop->due_flush.run = fire_due;
    tri_loop_flush_later(loop, &loop->due_flush);
}

/* Prepare the next batch. False: the loop was stopped and has nothing left to run, or somebody
 * posts or schedules without end. */
static bool turn(tr_loop *loop) {
    for (;;) {
        if (loop->flushes != NULL) {
            run_flushes(loop);
        }
        if (tri_inbox_has_work(&loop->inbox)) {
            take_inbox(loop);
        }
        if (loop->is_stopping && (loop->ready == NULL || loop->turns_left-- == 0)) {
            return false;
        }
        if (loop->ready != NULL) {
            break;
        }
        wait_for_work(loop);
    }
    loop->batch = loop->ready;
    loop->ready = NULL;
    loop->ready_tail = &loop->ready;
    loop->stats.turns++;
    return true;
}

static void dispatch(tr_loop *loop) {
    do {
        tri_node *node;
        while ((node = loop->batch) != NULL) {
            loop->batch = node->next;
            if (TRI_UNLIKELY(--loop->clock_credit <= 0)) {
                tick(loop);
            }
            if (node->run == tri_fiber_resume) { /* inline: a switch */
                resume(loop, TRI_CONTAINER_OF(node, tri_fiber, node));
                continue;
            }
            node->run(loop, node);
            if (loop->running != loop->dispatcher) {
                /* The fiber that was called here suspended, and has ended now: the role has
                 * moved to another stack, and this one is done. */
                loop->retired = loop->running;
                tri_switch_stacks(loop, loop->running, loop->dispatcher, true);
            }
        }
    } while (turn(loop));
}

/* ---- running --------------------------------------------------------------------- */

void tri_loop_run(tr_loop *loop) {
    tri_stack *first = loop->spare;
    TRI_ASSERT(first != NULL);
    loop->spare = NULL;
    loop->running = &loop->native;
#if TRI_TSAN
    loop->native.tsan_fiber = __tsan_get_current_fiber();
#endif
    start_dispatcher(loop, &loop->native, first);
    tri_stack_put(&loop->stacks, loop->retired);
    loop->retired = NULL;
    loop->dispatcher = NULL;
}

void tri_loop_stop(tr_loop *loop) {
    loop->is_stopping = true;
    loop->turns_left = TURNS_AFTER_STOP;
}

int tri_loop_enter(tr_loop *loop) {
    tri_current_loop = loop;
    if (!tri_loop_make_spare(loop)) {
        return -ENOMEM;
    }
    int err = loop->seams.poller->open(loop->seams.arg, loop->inbox.wake_fd, &loop->poller);
    if (err < 0) {
        return err;
    }
    err = tri_overflow_enter(&loop->overflow, &loop->stacks, tri_loop_overflow_name);
    if (err < 0) {
        loop->seams.poller->close(loop->poller);
        loop->poller = NULL;
        return err;
    }
    tri_inbox_open(&loop->inbox);
    tri_timers_init(&loop->timers, tri_loop_update_now(loop));
    loop->polled_at = loop->now;
    return 0;
}

void tri_loop_leave(tr_loop *loop) {
    tri_node *node = tri_inbox_close(&loop->inbox);
    while (node != NULL) {
        tri_node *next = node->next;
        node->run(loop, node);
        node = next;
    }
    run_flushes(loop); /* memory of other loops goes home */
    for (int slot = TRI_EXT_COUNT - 1; slot >= 0; slot--) {
        if (loop->ext[slot] != NULL) {
            loop->ext[slot]->close(loop, loop->ext[slot]);
        }
    }
    if (loop->poller != NULL) {
        tri_overflow_leave(&loop->overflow);
        loop->seams.poller->close(loop->poller);
        loop->poller = NULL;
    }
    tri_handles_free(loop);
    if (loop->spare != NULL) {
        tri_stack_put(&loop->stacks, loop->spare);
        loop->spare = NULL;
    }
    tri_current_loop = NULL;
}

void tr_loop_get_stats(tr_loop *loop, struct tr_loop_stats *ret_stats) {
    TRI_USAGE(loop == tri_current_loop, "tr_loop_get_stats", "the loop of this thread only");
    *ret_stats = loop->stats;
    ret_stats->callbacks += (uint64_t)(loop->clock_granted - loop->clock_credit);
    ret_stats->tasks = loop->task_count;
    ret_stats->timers = loop->timers.count;
    ret_stats->stacks = loop->stacks.in_use;
}
