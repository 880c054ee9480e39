/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system.c: the actors of a runtime: beginning, dead letters, and an end in order.
 *
 * DESIGN
 *
 * The end has three steps on each loop: every actor is asked to stop, newest place first, and
 * handles what it has in its mailbox; who has not ended when most of the time is over is reported
 * with what it waits for and its queue, and killed; the rest of the time is for those to return.
 * No actor is spawned once the end has begun.
 */
#include "hot_internal.h"

#include <errno.h>
#include <string.h>

/* ---- one loop's part ----------------------------------------------------------------------------- */

static void actors_close(tr_loop *loop, tri_loop_ext *ext) {
    tri_actors *actors = (tri_actors *)(void *)ext;
    loop->generation = tri_next_generation(
        actors->last_generation); /* the next life begins above all of this one */
}

static void actors_free(tri_actors *actors) {
    for (uint32_t chunk = 0; chunk < actors->slot_count / TRI_SLOT_CHUNK; chunk++) {
        tri_free(actors->chunks[chunk]);
    }
    tri_free(actors->chunks);
    for (int id = 0; id < TR_LOOPS_MAX; id++) {
        tri_free(actors->ports[id]);
    }
    tri_free(actors->asks);
    tri_free(actors->ended);
    tri_free((void *)actors->seen);
    tri_slabs_fini(actors);
    tri_free(actors);
}

tri_actors *tri_actors_make(tr_loop *loop) {
    tri_system *system = tri_system_get(loop->runtime);
    tri_actors *actors = system != NULL ? tri_calloc(1, sizeof *actors) : NULL;
    if (actors == NULL) {
        return NULL;
    }
    actors->ext.close = actors_close;
    actors->loop = loop;
    actors->loop_id = (uint32_t)loop->id;
    actors->system = system;
    actors->free_slot = UINT32_MAX;
    actors->free_ask = UINT32_MAX;
    actors->first_generation = loop->generation;
    actors->last_generation = loop->generation;
    loop->ext[TRI_EXT_ACTORS] = &actors->ext;
    pthread_mutex_lock(&system->mutex);
    actors->next = system->loops;
    system->loops = actors;
    pthread_mutex_unlock(&system->mutex);
    return actors;
}

void tr_actors_get_stats(struct tr_actor_stats *ret_stats) {
    tri_actors *actors = tri_actors_of(tri_loop_here("tr_actors_get_stats"));
    *ret_stats = actors != NULL ? actors->stats : (struct tr_actor_stats){0};
}

/* ---- dead letters ------------------------------------------------------------------------------------- */

void tri_dead_letter(tr_loop *loop, tr_ref to, const struct tr_type *type, const void *message,
                     int reason) {
    tri_actors *actors = tri_actors_of(loop);
    tri_system *system = actors->system;
    actors->stats.dead_letters++;
    if (system->dead_letter != NULL) {
        struct tr_dead_letter letter = {to, type, message, reason};
        system->dead_letter(system->dead_letter_arg, &letter);
        return;
    }
    bool is_closing = __atomic_load_n(&system->is_closing, __ATOMIC_RELAXED);
    char text[TR_REF_TEXT_SIZE];
    tr_log(is_closing ? TR_LOG_DEBUG : TR_LOG_WARN, "dead letter: '%s' for %s: %s (%s)", type->name,
           tr_ref_print(to, text), tr_err_name(reason), tr_err_text(reason));
}

int tr_set_dead_letter_handler(tr_runtime *runtime, tr_dead_letter_fn *fn, void *arg) {
    tri_system *system = tri_system_get(runtime);
    if (system == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_lock(&system->mutex);
    system->dead_letter_arg = arg;
    system->dead_letter = fn;
    pthread_mutex_unlock(&system->mutex);
    return 0;
}

/* ---- the end of one loop's actors -------------------------------------------------------------------- */

struct drain {
    tri_waiter waiter;
    tri_timer timer;
    tri_actors *actors;
};

static void drain_timeout(tr_loop *loop, tri_timer *timer) {
    struct drain *drain = TRI_CONTAINER_OF(timer, struct drain, timer);
    (void)loop;
    drain->actors->drained = NULL;
    tri_wake_once(&drain->waiter, TR_ETIMEOUT);
}

static void drain_cancel(tri_waiter *waiter) {
    (void)waiter; /* the task that waits here is not cancelled by anybody */
}

static int wait_drained(tri_actors *actors, tr_time deadline) {
    if (actors->stats.actors == 0) {
        return 0;
    }
    struct drain drain = {
        .waiter = {.cancel = drain_cancel, .reason = "shutdown", .keeps_result = true},
        .timer.fire = drain_timeout,
        .actors = actors};
    actors->drained = &drain.waiter;
    tri_timers_add(&actors->loop->timers, &drain.timer, deadline);
    int err = tri_suspend(&drain.waiter);
    tri_timers_cancel(&actors->loop->timers, &drain.timer);
    return err;
}

static void each_actor(tri_actors *actors, void (*fn)(tri_actors *actors, tr_actor *actor)) {
    for (uint32_t slot = actors->slot_count; slot-- > 0;) {
        tr_actor *actor = actors->chunks[slot / TRI_SLOT_CHUNK][slot % TRI_SLOT_CHUNK].actor;
        if (actor != NULL) {
            fn(actors, actor);
        }
    }
}

static void stop_actor(tri_actors *actors, tr_actor *actor) {
    (void)tr_stop(tri_actor_ref(actors, actor)); /* without memory it is killed at the deadline */
}

static void report_and_kill(tri_actors *actors, tr_actor *actor) {
    char text[TR_REF_TEXT_SIZE];
    const tri_waiter *waiter = actor->fiber != NULL ? actor->fiber->waiter : NULL;
    tr_log(TR_LOG_WARN,
           "shutdown: actor '%s' %s on loop %d has not ended: waits in %s, %u messages queued; "
           "killing it",
           tr_self_name(actor), tr_ref_print(tri_actor_ref(actors, actor), text),
           actors->loop->index, waiter != NULL ? waiter->reason : "nothing", actor->count);
    tri_actor_kill(actors, actor);
}

static void end_actors(tri_actors *actors, tr_time deadline) {
    tr_time now = tri_loop_update_now(actors->loop);
    each_actor(actors, stop_actor);
    if (wait_drained(actors, now + (deadline - now) / 4 * 3) == 0) {
        return;
    }
    each_actor(actors, report_and_kill);
    (void)wait_drained(actors, deadline);
}

/* ---- the end of all of them, from loop 0 --------------------------------------------------------------- */

/* The node of each loop's actors goes there as the question and comes back as the answer, so that
 * the end needs no memory. */
static void loop_answered(tr_loop *loop, tri_node *node) {
    tri_actors *actors = TRI_CONTAINER_OF(node, tri_actors, end_node);
    tri_system *system = actors->system;
    (void)loop;
    if (--system->shutdown_left == 0 && system->shutdown != NULL) {
        tri_waiter *waiter = system->shutdown;
        system->shutdown = NULL;
        tri_wake(waiter, 0);
    }
}

static int answer_end(tri_actors *actors) {
    tr_loop *first = tr_runtime_loop(actors->system->runtime, 0);
    actors->end_node.run = loop_answered;
    return tri_inbox_push(&first->inbox, &actors->end_node, &actors->end_node);
}

static int end_loop(void *arg) {
    tri_actors *actors = arg;
    end_actors(actors, actors->system->deadline);
    return answer_end(actors);
}

static void start_end(tr_loop *loop, tri_node *node) {
    tri_actors *actors = TRI_CONTAINER_OF(node, tri_actors, end_node);
    if (tr_task_new(loop, "actors-shutdown", end_loop, actors, NULL) < 0) {
        each_actor(actors, tri_actor_kill); /* no memory to wait for an end in order */
        (void)answer_end(actors);
    }
}

static void ask_loops_to_end(tri_system *system) {
    pthread_mutex_lock(&system->mutex);
    for (tri_actors *actors = system->loops; actors != NULL; actors = actors->next) {
        actors->end_node.run = start_end;
        system->shutdown_left +=
            tri_inbox_push(&actors->loop->inbox, &actors->end_node, &actors->end_node) == 0;
    }
    pthread_mutex_unlock(&system->mutex);
}

struct all_wait {
    tri_waiter waiter;
    tri_timer timer;
    tri_system *system;
};

static void all_timeout(tr_loop *loop, tri_timer *timer) {
    struct all_wait *wait = TRI_CONTAINER_OF(timer, struct all_wait, timer);
    (void)loop;
    wait->system->shutdown = NULL;
    tri_wake_once(&wait->waiter, TR_ETIMEOUT);
}

static void system_shutdown(tr_runtime *runtime, tri_runtime_ext *ext, tr_time deadline) {
    tri_system *system = (tri_system *)(void *)ext;
    tr_loop *loop = tri_current_loop;
    __atomic_store_n(&system->is_closing, true, __ATOMIC_RELAXED);
    system->deadline = loop->now + (deadline - loop->now) / 5 * 4; /* tasks need time as well */
    (void)runtime;
    ask_loops_to_end(system);
    if (system->shutdown_left > 0) {
        struct all_wait wait = {
            .waiter = {.cancel = drain_cancel, .reason = "shutdown", .keeps_result = true},
            .timer.fire = all_timeout,
            .system = system};
        system->shutdown = &wait.waiter;
        tri_timers_add(&loop->timers, &wait.timer, deadline);
        (void)tri_suspend(&wait.waiter);
        tri_timers_cancel(&loop->timers, &wait.timer);
    }
}

/* ---- making and unmaking --------------------------------------------------------------------------------- */

static void system_destroy(tr_runtime *runtime, tri_runtime_ext *ext) {
    tri_system *system = (tri_system *)(void *)ext;
    (void)runtime;
    while (system->loops != NULL) {
        tri_actors *actors = system->loops;
        system->loops = actors->next;
        actors_free(actors);
    }
    tri_free(system->names);
    tri_free(system->types);
    pthread_mutex_destroy(&system->mutex);
    tri_free(system);
}

static tri_runtime_ext *system_make(tr_runtime *runtime) {
    tri_system *system = tri_calloc(1, sizeof *system);
    if (system == NULL) {
        return NULL;
    }
    system->ext.shutdown = system_shutdown;
    system->ext.destroy = system_destroy;
    system->runtime = runtime;
    pthread_mutex_init(&system->mutex, NULL);
    if (tri_type_register(system, &tri_type_tr_down) < 0) {
        system_destroy(runtime, &system->ext);
        return NULL;
    }
    return &system->ext;
}

tri_system *tri_system_get(tr_runtime *runtime) {
    return (tri_system *)(void *)tri_runtime_ext_get(runtime, TRI_EXT_ACTORS, system_make);
}

void tri_system_set_remote(tri_system *system, tri_remote *remote) {
    /* Pairs with the acquire in tri_system_remote(): who finds it, finds it whole. */
    __atomic_store_n(&system->remote, remote, __ATOMIC_RELEASE);
}
