/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c: checking the options of a node, and making it.
 */
#include "transport_internal.h"

#include "address_internal.h"
#include "seam_internal.h"

#include <stdio.h>

#define HEARTBEAT_DEFAULT  (2 * TR_SECOND)
#define DOWN_AFTER_DEFAULT (30 * TR_SECOND)
#define DOWN_AFTER_MIN     (100 * TR_MS)
#define MAX_FRAME_LIMIT    ((size_t)64 << 20)

/* ---- options ------------------------------------------------------------------------- */

static int check_name(const char *what, const char *name) {
    if (name == NULL || !tri_node_name_is_valid(name, strlen(name))) {
        tr_log(TR_LOG_ERROR, "%s '%s': expected 1 to %d of A-Z a-z 0-9 _ . -", what,
               name != NULL ? name : "(NULL)", TR_NODE_NAME_MAX);
        return TR_ENAME;
    }
    return 0;
}

static int check_address(const char *whose, const char *address, enum tri_address_use use) {
    const char *problem =
        address != NULL ? tri_address_problem(address, strlen(address), use) : "it is missing";
    if (problem != NULL) {
        tr_log(TR_LOG_ERROR, "address '%s' of node '%s': %s", address != NULL ? address : "(NULL)",
               whose, problem);
        return TR_EADDRESS;
    }
    return 0;
}

/* Names are hashed to 32 bits on the wire: two of a cluster may not meet. */
static int check_collision(const char *name, const char *other) {
    if (strcmp(name, other) == 0) {
        tr_log(TR_LOG_ERROR, "node name '%s' is used twice", name);
        return TR_ENAME;
    }
    if (tri_node_id(name, strlen(name)) == tri_node_id(other, strlen(other))) {
        tr_log(TR_LOG_ERROR, "nodes '%s' and '%s' have the same 32-bit id: rename one", name,
               other);
        return TR_ENAME;
    }
    return 0;
}

static int check_peers(const struct tr_node_opts *opts) {
    for (size_t i = 0; i < opts->peer_count; i++) {
        const struct tr_peer *peer = &opts->peers[i];
        int err = check_name("peer", peer->name);
        if (err == 0) {
            err = check_address(peer->name, peer->address, TRI_ADDRESS_DIAL);
        }
        if (err == 0) {
            err = check_collision(peer->name, opts->name);
        }
        for (size_t j = 0; j < i && err == 0; j++) {
            err = check_collision(peer->name, opts->peers[j].name);
        }
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

static int check_opts(const tr_runtime *runtime, const struct tr_node_opts *opts) {
    int err = check_name("node", opts->name);
    if (err == 0 && opts->cluster != NULL) {
        err = check_name("cluster", opts->cluster);
    }
    if (err == 0) {
        err = check_address(opts->name, opts->listen, TRI_ADDRESS_LISTEN);
    }
    if (err == 0) {
        err = check_peers(opts);
    }
    if (err < 0) {
        return err;
    }
    const char *bad = NULL;
    if (tr_runtime_loop(runtime, opts->loop) == NULL) {
        bad = "loop is no index of a loop";
    } else if (opts->heartbeat < 0 || opts->down_after < 0 ||
               (opts->down_after > 0 && opts->down_after < DOWN_AFTER_MIN)) {
        bad = "heartbeat and down_after are nanoseconds, the latter at least 100 ms";
    } else if (opts->max_frame != 0 &&
               (opts->max_frame < TRI_FRAME_MIN_MAX || opts->max_frame > MAX_FRAME_LIMIT)) {
        bad = "max_frame is 64 KiB to 64 MiB";
    } else if (opts->peer_count > TRI_LINKS_MAX || (opts->peers == NULL && opts->peer_count > 0)) {
        bad = "peers are peer_count, at most 1024";
    }
    if (bad != NULL) {
        tr_log(TR_LOG_ERROR, "tr_node_opts of node '%s': %s", opts->name, bad);
        return -EINVAL;
    }
    return 0;
}

/* ---- making ------------------------------------------------------------------------------ */

struct start {
    tri_transport *transport;
    const struct tr_node_opts *opts;
};

static void set_identity(tri_transport *transport, const struct tr_node_opts *opts) {
    struct tri_session_self *self = &transport->self;
    const char *cluster = opts->cluster != NULL ? opts->cluster : "troupe";
    uint64_t incarnation = (uint64_t)tri_wall_clock_ms();
    if (incarnation <= transport->last_incarnation) {
        incarnation = transport->last_incarnation + 1;
    }
    if (incarnation < opts->incarnation) {
        incarnation = opts->incarnation;
    }
    transport->last_incarnation = incarnation;
    snprintf(transport->name, sizeof transport->name, "%s", opts->name);
    snprintf(transport->cluster, sizeof transport->cluster, "%s", cluster);
    *self = (struct tri_session_self){
        .cluster = transport->cluster,
        .name = transport->name,
        .address = transport->address,
        .node = tri_node_id(opts->name, strlen(opts->name)),
        .incarnation = incarnation,
        .max_frame = (uint32_t)(opts->max_frame != 0 ? opts->max_frame : TR_MAX_FRAME),
        .heartbeat = opts->heartbeat != 0 ? opts->heartbeat : HEARTBEAT_DEFAULT,
        .down_after = opts->down_after != 0 ? opts->down_after : DOWN_AFTER_DEFAULT};
    if (self->heartbeat > self->down_after / 2) {
        self->heartbeat = self->down_after / 2;
    }
    transport->codec.node = self->node;
    transport->codec.incarnation = incarnation;
    transport->listed_only = opts->listed_only;
    transport->is_leaving = false;
}

static int listen_here(tri_transport *transport, const char *address) {
    struct tri_zsocket_opts opts = {.address = address,
                                    .max_frame = transport->self.max_frame,
                                    .patience = transport->self.down_after};
    int err = transport->zcontext == NULL
                  ? tri_zcontext_new(transport->loop->runtime, &transport->zcontext)
                  : 0;
    if (err == 0) {
        err = tri_zsocket_listen(transport->zcontext, transport->loop, &opts, &tri_inbox_ops,
                                 transport, &transport->inbox);
    }
    if (err < 0) {
        tr_log(TR_LOG_ERROR, "node '%s' can't listen on %s: %s", transport->name, address,
               tr_err_text(err));
        return err;
    }
    snprintf(transport->address, sizeof transport->address, "%s",
             tri_zsocket_address(transport->inbox));
    return 0;
}

/* Owner loop. */
static int add_peer(tri_transport *transport, const char *name, const char *address) {
    tri_link *link = tri_link_by_node(transport, tri_node_id(name, strlen(name)));
    if (link != NULL && check_collision(name, link->session.name) < 0 &&
        strcmp(name, link->session.name) != 0) {
        return TR_ENAME;
    }
    if (link == NULL) {
        link = tri_link_new(transport, name);
    }
    if (link == NULL) {
        return -ENOMEM;
    }
    snprintf(link->address, sizeof link->address, "%s", address);
    link->is_listed = true;
    tri_link_open(link);
    return 0;
}

static void set_running(tri_transport *transport, bool is_running) {
    pthread_mutex_lock(&transport->mutex);
    transport->is_running = is_running;
    transport->is_changing = false;
    pthread_mutex_unlock(&transport->mutex);
}

static int start_here(void *arg) {
    const struct start *start = arg;
    tri_transport *transport = start->transport;
    set_identity(transport, start->opts);
    int err = listen_here(transport, start->opts->listen);
    if (err < 0) {
        return err;
    }
    err = tri_agent_start_here(transport);
    if (err < 0) {
        transport->inbox = tri_zsocket_close(transport->inbox);
        return err;
    }
    transport->self.agent = tri_place_of(transport->agent);
    tri_system_set_remote(transport->system, &transport->remote);
    set_running(transport, true);
    tr_log(TR_LOG_INFO, "node '%s' of cluster '%s' listens on %s (incarnation %llu)",
           transport->name, transport->cluster, transport->address,
           (unsigned long long)transport->self.incarnation);
    for (size_t i = 0; i < start->opts->peer_count; i++) {
        const struct tr_peer *peer = &start->opts->peers[i];
        if (add_peer(transport, peer->name, peer->address) < 0) {
            tr_log(TR_LOG_ERROR, "out of memory: peer '%s' is not dialled", peer->name);
        }
    }
    return 0;
}

int tr_node_start(const struct tr_node_opts *opts) {
    tr_loop *loop = tri_loop_here("tr_node_start");
    TRI_USAGE(loop->current != NULL, "tr_node_start",
              "suspends: it may be called by a task or a handler, not by a callback");
    int err = check_opts(loop->runtime, opts);
    if (err < 0) {
        return err;
    }
    tri_transport *transport = tri_transport_get(loop->runtime);
    if (transport == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_lock(&transport->mutex);
    bool is_busy = transport->is_running || transport->is_changing;
    if (!is_busy) {
        transport->is_changing = true;
        transport->loop = tr_runtime_loop(loop->runtime, opts->loop);
    }
    pthread_mutex_unlock(&transport->mutex);
    if (is_busy) {
        return -EALREADY;
    }
    struct start start = {transport, opts};
    err = tri_run_on(transport->loop, "node-start", start_here, &start, TR_FOREVER);
    if (err < 0) {
        set_running(transport, false);
    }
    return err;
}

/* ---- peers that become known later --------------------------------------------------------- */

struct peer_errand {
    tri_transport *transport;
    const char *name, *address;
};

static int add_peer_here(void *arg) {
    const struct peer_errand *errand = arg;
    return add_peer(errand->transport, errand->name, errand->address);
}

/* 0: this runtime is a node. */
static int running(tr_loop *loop, tri_transport **ret_transport) {
    tri_transport *transport = tri_transport_peek(loop->runtime);
    if (transport == NULL) {
        return TR_ENODE;
    }
    pthread_mutex_lock(&transport->mutex);
    bool is_running = transport->is_running;
    pthread_mutex_unlock(&transport->mutex);
    *ret_transport = transport;
    return is_running ? 0 : TR_ENODE;
}

int tr_node_add_peer(const char *name, const char *address) {
    struct peer_errand errand = {.name = name, .address = address};
    int err = running(tri_loop_here("tr_node_add_peer"), &errand.transport);
    if (err == 0) {
        err = check_name("peer", name);
    }
    if (err == 0) {
        err = check_collision(name, errand.transport->name);
    }
    if (err == 0) {
        err = check_address(name, address, TRI_ADDRESS_DIAL);
    }
    return err < 0
               ? err
               : tri_run_on(errand.transport->loop, "add-peer", add_peer_here, &errand, TR_FOREVER);
}

/* ---- what others may spawn ------------------------------------------------------------------ */

static const struct tr_behaviour **allowed_entry(const tri_transport *transport, const char *name,
                                                 size_t size) {
    for (size_t i = 0; i < transport->allowed_count; i++) {
        const char *known = transport->allowed[i]->name;
        if (strlen(known) == size && memcmp(known, name, size) == 0) {
            return &transport->allowed[i];
        }
    }
    return NULL;
}

const struct tr_behaviour *tri_allowed_find(tri_transport *transport, const char *name,
                                            size_t size) {
    pthread_mutex_lock(&transport->mutex);
    const struct tr_behaviour **entry = allowed_entry(transport, name, size);
    const struct tr_behaviour *behaviour = entry != NULL ? *entry : NULL;
    pthread_mutex_unlock(&transport->mutex);
    return behaviour;
}

/* Under the mutex. */
static int allow(tri_transport *transport, const struct tr_behaviour *behaviour) {
    const struct tr_behaviour **entry =
        allowed_entry(transport, behaviour->name, strlen(behaviour->name));
    if (entry != NULL) {
        return *entry == behaviour ? 0 : TR_ENAME;
    }
    if (transport->allowed_count == transport->allowed_room) {
        size_t room = transport->allowed_room == 0 ? 16 : transport->allowed_room * 2;
        const struct tr_behaviour **allowed =
            tri_realloc(transport->allowed, room * sizeof(const struct tr_behaviour *));
        if (allowed == NULL) {
            return -ENOMEM;
        }
        transport->allowed = allowed;
        transport->allowed_room = room;
    }
    transport->allowed[transport->allowed_count++] = behaviour;
    return 0;
}

int tr_node_allow(const struct tr_behaviour *behaviour) {
    tri_transport *transport = tri_transport_get(tri_loop_here("tr_node_allow")->runtime);
    if (transport == NULL) {
        return -ENOMEM;
    }
    int err = tri_behaviour_register(transport->system, behaviour);
    if (err < 0) {
        return err;
    }
    pthread_mutex_lock(&transport->mutex);
    err = allow(transport, behaviour);
    pthread_mutex_unlock(&transport->mutex);
    return err;
}

/* ---- queries ----------------------------------------------------------------------------------- */

const char *tr_node_name(void) {
    tri_transport *transport;
    return running(tri_loop_here("tr_node_name"), &transport) == 0 ? transport->name : NULL;
}

int tr_node_address(char *address, size_t size) {
    tri_transport *transport;
    int err = running(tri_loop_here("tr_node_address"), &transport);
    if (err < 0) {
        return err;
    }
    if (strlen(transport->address) >= size) {
        return TR_ELIMIT;
    }
    memcpy(address, transport->address, strlen(transport->address) + 1);
    return 0;
}

int tr_link_get_stats(const char *name, struct tr_link_stats *ret_stats) {
    tri_transport *transport;
    tr_loop *loop = tri_loop_here("tr_link_get_stats");
    int err = running(loop, &transport);
    if (err < 0) {
        return err;
    }
    pthread_mutex_lock(&transport->mutex);
    tri_link *link = tri_link_find(transport, name, strlen(name));
    if (link != NULL && loop == transport->loop) {
        tri_link_publish_locked(link);
    }
    if (link != NULL) {
        *ret_stats = link->published.stats;
    }
    pthread_mutex_unlock(&transport->mutex);
    return link != NULL ? 0 : TR_ENODE;
}

size_t tr_node_links(void) {
    tri_transport *transport;
    size_t count = 0;
    if (running(tri_loop_here("tr_node_links"), &transport) == 0) {
        pthread_mutex_lock(&transport->mutex);
        for (size_t i = 0; i < transport->link_count; i++) {
            count += transport->links[i]->published.is_up;
        }
        pthread_mutex_unlock(&transport->mutex);
    }
    return count;
}
