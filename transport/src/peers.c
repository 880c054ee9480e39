/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers.c: who waits for a node, and who is told when one comes or goes.
 *
 * Both lists are under the transport's mutex together with the published state of the links: a
 * monitor that is added sees "up" exactly when it was not in the list yet as the link came up. Actors are
 * told in the system lane, which a full mailbox can't refuse, and outside the mutex. The agent
 * watches the actors in the list, and takes them out when they end.
 */
#include "transport_internal.h"

#include "address_internal.h"

#include <stdio.h>

struct tri_node_waiter {
    tri_node_waiter *next;
    tr_loop *loop;     /* (C) the waiter's */
    tr_future *future; /* of that loop */
    bool is_listed;    /* (M) */
    bool is_told;      /* waiter's loop */
    bool is_abandoned; /* waiter's loop */
    int result;        /* (M) set before it is told */
    char name[TR_NODE_NAME_MAX + 1];
};

struct tri_node_monitor {
    tri_node_monitor *next;
    tr_ref who;
    char name[TR_NODE_NAME_MAX + 1]; /* "": all nodes */
};

/* ---- telling actors ------------------------------------------------------------------- */

static void tell_up(tr_loop *loop, tr_ref who, const char *name) {
    tr_ref nobody = {0};
    tr_node_up up = {.name = tr_str(name)};
    (void)tri_remote_control(loop, TRI_DOWN, who, nobody, 0, &tri_type_tr_node_up, &up);
}

static void tell_down(tr_loop *loop, tr_ref who, const char *name, int reason) {
    tr_ref nobody = {0};
    tr_node_down down = {.name = tr_str(name), .reason = reason};
    (void)tri_remote_control(loop, TRI_DOWN, who, nobody, 0, &tri_type_tr_node_down, &down);
}

/* The monitors of a node, as they are now. Under the mutex. */
static tr_ref *collect(const tri_transport *transport, const char *name, size_t *ret_count) {
    size_t count = 0;
    for (const tri_node_monitor *m = transport->monitors; m != NULL; m = m->next) {
        count += m->name[0] == 0 || strcmp(m->name, name) == 0;
    }
    tr_ref *refs = count > 0 ? tri_malloc(count * sizeof *refs) : NULL;
    *ret_count = refs != NULL ? count : 0;
    if (refs == NULL) {
        if (count > 0) {
            tr_log(TR_LOG_ERROR, "out of memory: the monitors of node '%s' are not told", name);
        }
        return NULL;
    }
    count = 0;
    for (const tri_node_monitor *m = transport->monitors; m != NULL; m = m->next) {
        if (m->name[0] == 0 || strcmp(m->name, name) == 0) {
            refs[count++] = m->who;
        }
    }
    return refs;
}

static bool has_monitor(const tri_transport *transport, const tri_node_monitor *monitor) {
    for (const tri_node_monitor *m = transport->monitors; m != NULL; m = m->next) {
        if (tr_ref_equal(m->who, monitor->who) && strcmp(m->name, monitor->name) == 0) {
            return true;
        }
    }
    return false;
}

/* Under the mutex. Telling the running actor of this loop runs nobody's code, so it may be done here;
 * and it must, or the next "down" could come first. */
static void add_monitor(tri_transport *transport, tr_loop *loop, tri_node_monitor *monitor) {
    monitor->next = transport->monitors;
    transport->monitors = monitor;
    for (size_t i = 0; i < transport->link_count; i++) {
        const tri_link *link = transport->links[i];
        if (link->published.is_up &&
            (monitor->name[0] == 0 || strcmp(link->session.name, monitor->name) == 0)) {
            tell_up(loop, monitor->who, link->session.name);
        }
    }
}

int tr_node_monitor(tr_self *self, const char *name) {
    tr_loop *loop = tri_loop_here("tr_node_monitor");
    tri_transport *transport = tri_transport_peek(loop->runtime);
    if (transport == NULL) {
        return TR_ENODE;
    }
    if (name != NULL && !tri_node_name_is_valid(name, strlen(name))) {
        return TR_ENAME;
    }
    tri_node_monitor *monitor = tri_calloc(1, sizeof *monitor);
    if (monitor == NULL) {
        return -ENOMEM;
    }
    monitor->who = tr_self_ref(self);
    snprintf(monitor->name, sizeof monitor->name, "%s", name != NULL ? name : "");
    pthread_mutex_lock(&transport->mutex);
    bool is_running = transport->is_running;
    bool is_new = is_running && !has_monitor(transport, monitor);
    tr_ref agent = transport->agent;
    if (is_new) {
        add_monitor(transport, loop, monitor);
    }
    pthread_mutex_unlock(&transport->mutex);
    if (!is_new) {
        tri_free(monitor);
        return is_running ? 0 : TR_ENODE;
    }
    return tri_remote_control(loop, TRI_WATCH, tr_self_ref(self), agent, 0, NULL, NULL);
}

void tri_monitors_forget(tri_transport *transport, tr_ref who) {
    pthread_mutex_lock(&transport->mutex);
    for (tri_node_monitor **link = &transport->monitors; *link != NULL;) {
        tri_node_monitor *monitor = *link;
        if (tr_ref_equal(monitor->who, who)) {
            *link = monitor->next;
            tri_free(monitor);
        } else {
            link = &monitor->next;
        }
    }
    pthread_mutex_unlock(&transport->mutex);
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* On the waiter's loop. */
static void on_told(void *arg) {
    tri_node_waiter *waiter = arg;
    waiter->is_told = true;
    if (waiter->is_abandoned) {
        tri_free(waiter);
    } else if (!tr_future_is_done(waiter->future)) {
        tr_future_set(waiter->future, waiter->result, NULL);
    }
}

/* Under the mutex. name NULL: everybody. */
static void tell_waiters(tri_transport *transport, const char *name, int result) {
    for (tri_node_waiter **link = &transport->waiters; *link != NULL;) {
        tri_node_waiter *waiter = *link;
        if (name != NULL && strcmp(waiter->name, name) != 0) {
            link = &waiter->next;
            continue;
        }
        waiter->result = result;
        if (tr_loop_call_soon_threadsafe(waiter->loop, on_told, waiter) < 0) {
            link = &waiter->next; /* no memory, or its loop has ended: it has its own time limit */
            continue;
        }
        waiter->is_listed = false;
        *link = waiter->next;
    }
}

/* 0: linked; TR_EPENDING: the waiter is in the list now. */
static int look_or_list(tri_transport *transport, const char *name, tri_node_waiter *waiter) {
    int err = TR_EPENDING;
    pthread_mutex_lock(&transport->mutex);
    const tri_link *link = tri_link_find(transport, name, strlen(name));
    if (!transport->is_running) {
        err = TR_ENODE;
    } else if (strcmp(name, transport->name) == 0) {
        err = TR_ENAME;
    } else if (link != NULL && link->published.is_up) {
        err = 0;
    } else if (waiter != NULL) {
        waiter->is_listed = true;
        waiter->next = transport->waiters;
        transport->waiters = waiter;
    }
    pthread_mutex_unlock(&transport->mutex);
    return err;
}

static void stop_waiting(tri_transport *transport, tri_node_waiter *waiter) {
    pthread_mutex_lock(&transport->mutex);
    bool was_listed = waiter->is_listed;
    for (tri_node_waiter **link = &transport->waiters; was_listed && *link != NULL;
         link = &(*link)->next) {
        if (*link == waiter) {
            *link = waiter->next;
            break;
        }
    }
    pthread_mutex_unlock(&transport->mutex);
    tr_future_unref(waiter->future);
    if (was_listed || waiter->is_told) {
        tri_free(waiter);
    } else {
        waiter->is_abandoned = true; /* on_told() is on its way */
    }
}

int tr_node_wait(const char *name, tr_time timeout) {
    tr_loop *loop = tri_loop_here("tr_node_wait");
    tri_transport *transport = tri_transport_peek(loop->runtime);
    if (transport == NULL) {
        return TR_ENODE;
    }
    if (!tri_node_name_is_valid(name, strlen(name))) {
        return TR_ENAME;
    }
    if (timeout <= 0) {
        int err = look_or_list(transport, name, NULL);
        return err == TR_EPENDING ? TR_ETIMEOUT : err;
    }
    tri_node_waiter *waiter = tri_calloc(1, sizeof *waiter);
    if (waiter == NULL || tr_future_new(loop, &waiter->future) < 0) {
        tri_free(waiter);
        return -ENOMEM;
    }
    waiter->loop = loop;
    memcpy(waiter->name, name, strlen(name));
    int err = look_or_list(transport, name, waiter);
    if (err != TR_EPENDING) {
        tr_future_unref(waiter->future);
        tri_free(waiter);
        return err;
    }
    err = tr_wait_for(waiter->future, timeout);
    stop_waiting(transport, waiter);
    return err;
}

/* ---- a link comes and goes --------------------------------------------------------------------- */

void tri_peers_up(tri_link *link) {
    tri_transport *transport = link->transport;
    size_t count;
    pthread_mutex_lock(&transport->mutex);
    tri_link_publish_locked(link);
    tr_ref *refs = collect(transport, link->session.name, &count);
    tell_waiters(transport, link->session.name, 0);
    pthread_mutex_unlock(&transport->mutex);
    for (size_t i = 0; i < count; i++) {
        tell_up(transport->loop, refs[i], link->session.name);
    }
    tri_free(refs);
}

tr_ref *tri_peers_down_begin(tri_link *link, size_t *ret_count) {
    tri_transport *transport = link->transport;
    pthread_mutex_lock(&transport->mutex);
    tri_link_publish_locked(link);
    tr_ref *refs = collect(transport, link->session.name, ret_count);
    pthread_mutex_unlock(&transport->mutex);
    return refs;
}

void tri_peers_down_end(tri_link *link, int reason, tr_ref *refs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        tell_down(link->transport->loop, refs[i], link->session.name, reason);
    }
    tri_free(refs);
}

void tri_peers_stopped(tri_transport *transport) {
    pthread_mutex_lock(&transport->mutex);
    tell_waiters(transport, NULL, TR_ESHUTDOWN);
    while (transport->monitors != NULL) {
        tri_node_monitor *monitor = transport->monitors;
        transport->monitors = monitor->next;
        tri_free(monitor);
    }
    pthread_mutex_unlock(&transport->mutex);
}
