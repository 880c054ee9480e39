/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c: what the actors layer asks of this one.
 */
#include "transport_internal.h"

#include "address_internal.h"

#include <stdio.h>

/* ---- messages ------------------------------------------------------------------------ */

/* Under the mutex. */
static int route_locked(const tri_transport *transport, const tr_ref *to) {
    if (!transport->is_running) {
        return transport->is_changing ? TR_ESHUTDOWN : TR_ENODE;
    }
    if (to->node == transport->self.node) {
        return TR_ENODEDOWN; /* ourselves, before the last start */
    }
    const tri_link *link = tri_link_by_node(transport, to->node);
    if (link == NULL) {
        return TR_ENODE;
    }
    const struct tri_published *published = &link->published;
    if (published->is_up && published->incarnation == to->incarnation) {
        return transport->loop->id;
    }
    bool is_over = to->incarnation <= published->dead || to->incarnation < published->incarnation;
    return is_over ? TR_ENODEDOWN : TR_ENOTLINKED;
}

static int route(tri_remote *remote, tr_ref to) {
    tri_transport *transport = tri_transport_of(remote);
    pthread_mutex_lock(&transport->mutex);
    int id = route_locked(transport, &to);
    pthread_mutex_unlock(&transport->mutex);
    return id;
}

static void outgoing(tr_loop *loop, tri_remote *remote, tri_envelope *envelope) {
    tri_transport *transport = tri_transport_of(remote);
    tri_link *link = NULL;
    if (loop == transport->loop) {
        link = tri_link_by_node(transport, tri_envelope_tail(envelope)->to.node);
    }
    if (link == NULL) {
        tri_envelope_fail(loop, envelope, TR_ENODEDOWN);
    } else {
        tri_link_outgoing(link, envelope);
    }
}

/* ---- names and spawns ------------------------------------------------------------------- */

/* 0: *ret_agent is the agent of the node, or null when the node is this one. */
static int find_agent(tri_transport *transport, const char *node, tr_ref *ret_agent) {
    int err = TR_ENODE;
    tr_ref agent = {0};
    pthread_mutex_lock(&transport->mutex);
    const tri_link *link = tri_link_find(transport, node, strlen(node));
    if (!transport->is_running) {
        err = TR_ENODE;
    } else if (strcmp(node, transport->name) == 0) {
        err = 0;
    } else if (link != NULL && link->published.is_up) {
        agent = link->published.agent;
        err = 0;
    } else if (link != NULL) {
        err = TR_ENOTLINKED;
    }
    pthread_mutex_unlock(&transport->mutex);
    if (err == 0) {
        *ret_agent = agent;
    }
    return err;
}

static int spawn(tri_remote *remote, tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                 const struct tr_spawn_opts *opts, bool wait_for_init) {
    tri_transport *transport = tri_transport_of(remote);
    tr_ref agent;
    int err = find_agent(transport, opts->node, &agent);
    if (err < 0) {
        return err;
    }
    if (tr_ref_is_null(agent)) {
        struct tr_spawn_opts here = *opts;
        here.node = NULL;
        return wait_for_init ? tr_spawn_with(ret_ref, behaviour, &here)
                             : tr_spawn_start_with(ret_ref, behaviour, &here);
    }
    return tri_agent_spawn(transport, agent, ret_ref, behaviour, opts, wait_for_init);
}

static int whereis(tri_remote *remote, const char *name, size_t name_size, const char *node,
                   tr_ref *ret_ref) {
    tr_ref agent;
    if (!tri_node_name_is_valid(node, strlen(node))) {
        return TR_ENAME;
    }
    int err = find_agent(tri_transport_of(remote), node, &agent);
    if (err < 0) {
        return err;
    }
    if (tr_ref_is_null(agent)) {
        char copy[TRI_NAME_MAX + 1];
        snprintf(copy, sizeof copy, "%.*s", (int)name_size, name);
        return tr_whereis(copy, ret_ref);
    }
    return tri_agent_whereis(agent, name, name_size, ret_ref);
}

void tri_remote_init(tri_remote *remote) {
    remote->route = route;
    remote->outgoing = outgoing;
    remote->spawn = spawn;
    remote->whereis = whereis;
}
