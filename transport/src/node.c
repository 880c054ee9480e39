/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.c: starting and stopping a node, and what is known of it.
 *
 * DESIGN
 *
 * A tri_transport is attached to the runtime when a node is started for the first time, and lives as long
 * as the runtime: other loops may hold its address at any time. What belongs to one run of a node
 * (sockets, links, agent) is made and unmade on the loop that owns it. Links of an earlier run are kept
 * until the end of the runtime, because a flush of theirs may still be queued.
 *
 * The end: no new sends (is_running), the rest of the batches and a BYE to each linked node, at most two
 * seconds for the answers, then the sockets are closed on their loop. The ZeroMQ context ends
 * with the runtime, after all loops have.
 */
#include "transport_internal.h"

/* ---- the slow timer --------------------------------------------------------------- */

static bool link_awaits(const tri_link *link) {
    return link->unsent.head != NULL || link->unacked.head != NULL || link->proxies != NULL ||
           link->pendings.used > 0 || link->session.state == TRI_SESSION_OPENING ||
           link->session.state == TRI_SESSION_HALF || link->session.state == TRI_SESSION_LEAVING;
}

void tri_transport_watch(tri_transport *transport) {
    if (!tri_timer_is_pending(&transport->timer)) {
        tri_timers_add(&transport->loop->timers, &transport->timer,
                       transport->loop->now + TRI_CHECK_EACH);
    }
}

static void on_timer(tr_loop *loop, tri_timer *timer) {
    tri_transport *transport = TRI_CONTAINER_OF(timer, tri_transport, timer);
    bool awaits = false;
    tri_zsocket_check(transport->inbox);
    for (size_t i = 0; i < transport->link_count; i++) {
        tri_link *link = transport->links[i];
        tri_zsocket_check(link->dialer);
        tri_pendings_expire(&link->pendings, loop->now);
        tri_proxies_expire(link, loop->now);
        awaits = awaits || link_awaits(link);
    }
    tri_closing_expire(transport, loop->now);
    if (awaits || transport->closing != NULL) {
        tri_transport_watch(transport);
    }
}

/* ---- the transport of a runtime --------------------------------------------------------- */

static int stop(tri_transport *transport, tr_time deadline);

static void on_shutdown(tr_runtime *runtime, tri_runtime_ext *ext, tr_time deadline) {
    (void)runtime;
    (void)stop((tri_transport *)(void *)ext, deadline);
}

static void on_destroy(tr_runtime *runtime, tri_runtime_ext *ext) {
    tri_transport *transport = (tri_transport *)(void *)ext;
    (void)runtime;
    tri_system_set_remote(transport->system, NULL);
    if (transport->inbox != NULL) {
        return; /* its loop was left behind, and with it the sockets: libzmq would wait for them */
    }
    tri_zcontext_free(transport->zcontext);
    for (size_t i = 0; i < transport->old_count; i++) {
        tri_link_free(transport->old_links[i]);
    }
    tri_free(transport->old_links);
    tri_free(transport->links);
    tri_free(transport->allowed);
    tri_buffer_free(&transport->scratch);
    tri_codec_fini(&transport->codec);
    pthread_mutex_destroy(&transport->mutex);
    tri_free(transport);
}

static tri_runtime_ext *make_transport(tr_runtime *runtime) {
    tri_transport *transport = tri_calloc(1, sizeof *transport);
    if (transport == NULL) {
        return NULL;
    }
    transport->ext.shutdown = on_shutdown;
    transport->ext.destroy = on_destroy;
    transport->runtime = runtime;
    transport->timer.fire = on_timer;
    pthread_mutex_init(&transport->mutex, NULL);
    tri_remote_init(&transport->remote);
    return &transport->ext;
}

tri_transport *tri_transport_peek(tr_runtime *runtime) {
    return (tri_transport *)(void *)tri_runtime_ext_peek(runtime, TRI_EXT_TRANSPORT);
}

tri_transport *tri_transport_get(tr_runtime *runtime) {
    /* The system first: the runtime's mutex is held while an extension is made. */
    tri_system *system = tri_system_get(runtime);
    tri_transport *transport = system != NULL ? (tri_transport *)(void *)tri_runtime_ext_get(
                                                    runtime, TRI_EXT_TRANSPORT, make_transport)
                                              : NULL;
    if (transport != NULL) {
        pthread_mutex_lock(&transport->mutex);
        transport->system = system;
        pthread_mutex_unlock(&transport->mutex);
    }
    return transport;
}

int tri_transport_type_id(tri_transport *transport, const struct tr_type *type, uint64_t *ret_id) {
    struct tri_seen_type *seen =
        &transport->seen[((uintptr_t)type / sizeof *type) % TRI_SEEN_TYPES];
    if (seen->type != type) {
        int err = tri_type_register(transport->system, type);
        if (err < 0) {
            return err;
        }
        seen->type = type;
        seen->id = tr_type_id(type);
    }
    *ret_id = seen->id;
    return 0;
}

void *tri_transport_scratch(tri_transport *transport, size_t size) {
    transport->scratch.size = 0;
    return tri_buffer_reserve(&transport->scratch, size) == 0 ? transport->scratch.data : NULL;
}

/* ---- working on another loop ------------------------------------------------------------------ */

struct errand {
    tri_waiter waiter;
    tri_timer timer;
    tr_loop *from;
    const char *name;
    tr_task_fn *fn;
    void *arg;
    int result;
    bool is_abandoned; /* caller's loop */
};

static void errand_back(void *arg) {
    struct errand *errand = arg;
    if (errand->is_abandoned) {
        tri_free(errand);
    } else {
        tri_wake(&errand->waiter, errand->result);
    }
}

static int errand_run(void *arg) {
    struct errand *errand = arg;
    errand->result = errand->fn(errand->arg);
    return tr_loop_call_soon_threadsafe(errand->from, errand_back, errand);
}

static void errand_begin(void *arg) {
    struct errand *errand = arg;
    int err = tr_task_new(tri_current_loop, errand->name, errand_run, errand, NULL);
    if (err < 0) {
        errand->result = err;
        err = tr_loop_call_soon_threadsafe(errand->from, errand_back, errand);
    }
    if (err < 0) {
        tr_log(TR_LOG_ERROR, "%s: %s", errand->name, tr_err_text(err));
    }
}

static void errand_timeout(tr_loop *loop, tri_timer *timer) {
    struct errand *errand = TRI_CONTAINER_OF(timer, struct errand, timer);
    (void)loop;
    if (!errand->waiter.is_woken) { /* it came back in this very turn */
        errand->is_abandoned = true;
        tri_wake(&errand->waiter, TR_ETIMEOUT);
    }
}

static void errand_cancel(tri_waiter *waiter) {
    (void)waiter; /* what was begun is finished */
}

int tri_run_on(tr_loop *loop, const char *name, tr_task_fn *fn, void *arg, tr_time deadline) {
    tr_loop *here = tri_current_loop;
    if (loop == here) {
        return fn(arg);
    }
    struct errand *errand = tri_calloc(1, sizeof *errand);
    if (errand == NULL) {
        return -ENOMEM;
    }
    errand->waiter = (tri_waiter){.cancel = errand_cancel, .reason = name, .keeps_result = true};
    errand->timer.fire = errand_timeout;
    errand->from = here;
    errand->name = name;
    errand->fn = fn;
    errand->arg = arg;
    int err = tr_loop_call_soon_threadsafe(loop, errand_begin, errand);
    if (err < 0) {
        tri_free(errand);
        return err;
    }
    if (deadline != TR_FOREVER) {
        tri_timers_add(&here->timers, &errand->timer, deadline);
    }
    err = tri_suspend(&errand->waiter);
    if (!errand->is_abandoned) {
        tri_timers_cancel(&here->timers, &errand->timer);
        tri_free(errand);
    }
    return err;
}

/* ---- stopping ----------------------------------------------------------------------------------- */

struct goodbye {
    tri_timer timer;
    tri_transport *transport;
};

static void stop_cancel(tri_waiter *waiter) {
    (void)waiter; /* each session has its own limit */
}

/* The shutdown's deadline comes before the sessions' own limit. */
static void goodbye_timeout(tr_loop *loop, tri_timer *timer) {
    tri_transport *transport = TRI_CONTAINER_OF(timer, struct goodbye, timer)->transport;
    tri_waiter *stopping = transport->stopping;
    (void)loop;
    if (stopping != NULL) {
        transport->stopping = NULL;
        tri_wake(stopping, 0);
    }
}

static void wait_for_goodbyes(tri_transport *transport) {
    tri_waiter waiter = {.cancel = stop_cancel, .reason = "node stop", .keeps_result = true};
    struct goodbye goodbye = {.timer.fire = goodbye_timeout, .transport = transport};
    transport->stopping = &waiter;
    if (transport->leave_by != TR_FOREVER) {
        tri_timers_add(&transport->loop->timers, &goodbye.timer, transport->leave_by);
    }
    (void)tri_suspend(&waiter);
    tri_timers_cancel(&transport->loop->timers, &goodbye.timer);
    for (size_t i = 0; i < transport->link_count; i++) {
        if (!transport->links[i]->has_left) {
            tri_session_go_down(&transport->links[i]->session, transport->loop->now, TR_ENODEDOWN);
        }
    }
}

static bool all_have_left(const tri_transport *transport) {
    for (size_t i = 0; i < transport->link_count; i++) {
        if (!transport->links[i]->has_left) {
            return false;
        }
    }
    return true;
}

static void say_goodbye(tri_transport *transport) {
    for (size_t i = 0; i < transport->link_count; i++) {
        tri_link *link = transport->links[i];
        tri_link_flush_batch(link);
        link->is_up = false;
        tri_session_leave(&link->session, transport->loop->now);
        tri_link_rearm(link);
    }
    if (!all_have_left(transport)) {
        wait_for_goodbyes(transport);
    }
}

static void retire_links(tri_transport *transport) {
    size_t count = transport->old_count + transport->link_count;
    tri_link **old = tri_realloc(transport->old_links, (count + 1) * sizeof(tri_link *));
    pthread_mutex_lock(&transport->mutex);
    for (size_t i = 0; i < transport->link_count; i++) {
        tri_timers_cancel(&transport->loop->timers, &transport->links[i]->timer);
        if (old != NULL) {
            old[transport->old_count++] = transport->links[i];
        }
    }
    transport->old_links = old != NULL ? old : transport->old_links;
    transport->link_count = 0;
    pthread_mutex_unlock(&transport->mutex);
}

static int stop_here(void *arg) {
    tri_transport *transport = arg;
    transport->is_leaving = true;
    say_goodbye(transport);
    tri_peers_stopped(transport);
    retire_links(transport);
    tri_closing_expire(transport, TR_FOREVER);
    tri_timers_cancel(&transport->loop->timers, &transport->timer);
    transport->inbox = tri_zsocket_close(transport->inbox);
    (void)tr_kill(transport->agent);
    pthread_mutex_lock(&transport->mutex);
    transport->agent = (tr_ref){0};
    pthread_mutex_unlock(&transport->mutex);
    return 0;
}

static int stop(tri_transport *transport, tr_time deadline) {
    pthread_mutex_lock(&transport->mutex);
    bool was_running = transport->is_running;
    transport->is_running = false;
    transport->is_changing = transport->is_changing || was_running;
    pthread_mutex_unlock(&transport->mutex);
    if (!was_running) {
        return 0;
    }
    /* Half of the time that is left is for the goodbyes, the rest for the actors. */
    tr_time now = tri_current_loop->now;
    transport->leave_by = deadline == TR_FOREVER ? TR_FOREVER : now + (deadline - now) / 2;
    int err = tri_run_on(transport->loop, "node-stop", stop_here, transport, deadline);
    if (err == TR_ETIMEOUT) {
        tr_log(TR_LOG_WARN, "node '%s' could not be stopped in time: loop %d doesn't answer",
               transport->name, transport->loop->index);
        return err;
    }
    pthread_mutex_lock(&transport->mutex);
    transport->is_changing = false;
    pthread_mutex_unlock(&transport->mutex);
    return err;
}

int tr_node_stop(void) {
    tri_transport *transport = tri_transport_peek(tri_loop_here("tr_node_stop")->runtime);
    return transport != NULL ? stop(transport, TR_FOREVER) : 0;
}
