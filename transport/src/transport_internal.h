/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_internal.h: a node and its links, for the files of this layer.
 *
 * Everything marked (L) belongs to the loop that owns the links. What other loops may ask for stands
 * in struct tri_published and under the transport's mutex (M), which is never held across a call
 * into another layer that could suspend.
 */
#ifndef TRI_TRANSPORT_INTERNAL_H
#define TRI_TRANSPORT_INTERNAL_H

#include "actors_internal.h"
#include "codec_internal.h"
#include "session_internal.h"
#include "zsocket_internal.h"

#include <troupe/transport.h>

enum {
    TRI_BATCH_BYTES = 32 * 1024,        /* a batch of this size is sent at once */
    TRI_WINDOW_BYTES = 8 * 1024 * 1024, /* unacknowledged, before senders lose their credit */
    TRI_CONTROL_MAX = 16,               /* control frames that wait for a connection */
    TRI_LINKS_MAX = 1024,
    TRI_SEEN_TYPES = 64 /* cache of types that are registered */
};
#define TRI_BATCH_AGE    (100 * TR_US) /* a batch waits no longer, even in a busy loop */
#define TRI_CHECK_EACH   (200 * TR_MS) /* the tripwire, and expired asks */
#define TRI_PUBLISH_EACH (50 * TR_MS)  /* of counters */
#define TRI_CLOSING_TIME (500 * TR_MS)

typedef struct tri_link tri_link;
typedef struct tri_transport tri_transport;

/* ---- requests to the other node that wait: asks.c ------------------------------------ */

struct tri_pending {
    tri_ask_id id;
    uint32_t generation;
    uint32_t next_free;
    bool in_use;
    const struct tr_type *reply_type;
    tr_time deadline;
};

struct tri_pendings {
    struct tri_pending *slots;
    uint32_t count, used;
    uint32_t free; /* index + 1; 0: none */
};

/* A number for the wire, not 0; 0: out of memory. */
uint64_t tri_pending_add(struct tri_pendings *pendings, const struct tri_pending *pending);
/* Take one out. False: unknown, perhaps because its time was over. */
bool tri_pending_take(struct tri_pendings *pendings, uint64_t number, struct tri_pending *ret);
/* Forget those whose asker has long given up. */
void tri_pendings_expire(struct tri_pendings *pendings, tr_time now);
/* Answer all with an error, and free the table. */
void tri_pendings_fail(struct tri_pendings *pendings, tr_loop *loop, int err);

/* ---- requests of the other node that wait: asks.c ------------------------------------- */

/* Stands for an asker on the other node. */
typedef struct tri_proxy tri_proxy;
struct tri_proxy {
    tri_ask ask;
    tri_link *link;
    uint64_t number; /* the other node's */
    tr_time deadline;
    tri_proxy *prev, *next;
};

/* Make one; NULL: out of memory. */
tri_proxy *tri_proxy_new(tri_link *link, uint64_t number, tr_time deadline);
void tri_proxy_free(tri_proxy *proxy); /* forgets the ask */
void tri_proxies_expire(tri_link *link, tr_time now);
void tri_proxies_free(tri_link *link);

/* ---- actors of the other node that ours watch: watches.c --------------------------------- */

typedef struct tri_watch tri_watch;
struct tri_watch {
    tri_watch *next;
    tr_ref watcher, who;
    uint64_t tag;
};

struct tri_watches {
    tri_watch **buckets;
    size_t room, count; /* room: a power of two, or 0 */
};

int tri_watch_add(struct tri_watches *watches, tr_ref watcher, tr_ref who, uint64_t tag);
/* Take one out. False: there is none. */
bool tri_watch_take(struct tri_watches *watches, tr_ref watcher, tr_ref who, uint64_t tag);
/* Tell all watchers, and free the table. */
void tri_watches_tell(struct tri_watches *watches, tr_loop *loop, int reason);
/* One tr_down for an actor of this process. */
void tri_tell_down(tr_loop *loop, tr_ref watcher, tr_ref who, uint64_t tag, int reason);

/* ---- links: link.c, link_in.c, link_out.c --------------------------------------------------- */

/* A frame on its way out. */
typedef struct tri_out tri_out;
struct tri_out {
    tri_out *next;
    tri_buffer buffer;
    uint64_t seq;      /* 0: a control frame */
    uint64_t position; /* link->encoded once it was complete */
    uint32_t count;    /* records */
};

struct tri_out_queue {
    tri_out *head;
    tri_out **tail;
};

/* What other loops read of a link. */
struct tri_published {
    uint64_t incarnation; /* as last seen; 0: never */
    uint64_t dead;        /* incarnations up to this are down */
    bool is_up;
    tr_ref agent; /* the other node's, while it is up */
    struct tr_link_stats stats;
};

struct tri_link {
    tri_transport *transport;          /* (C) */
    tri_session session;               /* (L); name and node in it are (C) */
    char address[TRI_ADDRESS_MAX + 1]; /* (L) configured; "": we wait to be dialled */
    char heard[TRI_ADDRESS_MAX + 1];   /* (L) of the last HELLO; "": none */
    bool is_up;                        /* (L) messages may be sent and are taken */
    bool is_listed;                    /* (L) by the user */
    bool has_left;                     /* (L) tri_session_leave() is done */
    bool was_writable;                 /* (L) the dialer had a connection */
    int refusal;                       /* (L) last code that was logged */
    tri_zsocket *dialer;               /* (L) */
    char dialed[TRI_ADDRESS_MAX + 1];  /* (L) where it leads */
    tr_time dialed_at;                 /* (L) */
    tri_timer timer;                   /* (L) of the session */
    tri_flush flush;                   /* (L) */
    /* ---- outgoing ---- */
    tri_buffer batch;             /* (L) the open batch; room for the header in front */
    uint32_t batch_count;         /* (L) records in it */
    tr_time batch_at;             /* (L) when it was begun */
    tri_buffer spare;             /* (L) a buffer for the next batch */
    struct tri_out_queue unsent;  /* (L) */
    struct tri_out_queue unacked; /* (L) batches only. A retransmission buffer would resend them */
    uint32_t control_count;       /* (L) control frames in unsent */
    uint64_t encoded, acked;      /* (L) bytes of batches, since the link came up */
    tri_node *parked;       /* (L) envelopes that are encoded and hold their sender's credit */
    tri_node **parked_tail; /* (L) */
    struct tri_pendings pendings; /* (L) */
    struct tri_watches watches;   /* (L) */
    /* ---- incoming ---- */
    tri_proxy *proxies; /* (L) */
    /* ---- */
    struct tr_link_stats stats;     /* (L) */
    tr_time published_at;           /* (L) */
    struct tri_published published; /* (M) */
};

/* Make a link and list it. NULL: out of memory, or too many. Owner loop. */
tri_link *tri_link_new(tri_transport *transport, const char *name);
void tri_link_free(tri_link *link);
/* By name or id; NULL: none. Owner loop, or under the mutex. */
tri_link *tri_link_find(const tri_transport *transport, const char *name, size_t size);
tri_link *tri_link_by_node(const tri_transport *transport, uint32_t node);
/* Begin or go on dialling at the configured address. */
void tri_link_open(tri_link *link);
void tri_link_receive(tri_link *link, const void *bytes, size_t size);
void tri_link_close_dialer(tri_link *link);
/* The session was called: see when it wants to be called again. */
void tri_link_rearm(tri_link *link);
/* Show other loops how the link stands; counters not too often. */
void tri_link_publish(tri_link *link, tr_time now, bool at_once);
void tri_link_publish_locked(tri_link *link);

/* link_out.c */
void tri_link_init_out(tri_link *link);
/* Add a record to the batch, with a message as payload when there is a type. 0, -ENOMEM, or
 * TR_ETOOBIG, with the batch as it was. */
int tri_link_put(tri_link *link, const struct tri_record *record, const struct tr_type *type,
                 const void *message);
void tri_link_outgoing(tri_link *link, tri_envelope *envelope);
void tri_link_flush_batch(tri_link *link);
void tri_link_send_control(tri_link *link, const void *bytes, size_t size);
void tri_link_pump_out(tri_link *link);
void tri_link_acked(tri_link *link, uint64_t seq);
/* The incarnation is down: everything that was for it comes to its end. */
void tri_link_drop_out(tri_link *link);
/* The end of the link itself: give back what is still queued. */
void tri_link_free_out(tri_link *link);
/* An envelope that can't be sent: an error for its ask, a tr_down for its watch, a dead letter. */
void tri_envelope_fail(tr_loop *loop, tri_envelope *envelope, int err);

/* link_in.c */
int tri_link_take(tri_link *link, const struct tri_frame *frame);

static inline tr_ref tri_ref_of(const tri_link *link, struct tri_place place) {
    return (tr_ref){.incarnation = link->session.peer.incarnation,
                    .node = link->session.node,
                    .loop = place.loop,
                    .slot = place.slot,
                    .generation = place.generation};
}
static inline tr_ref tri_ref_here(struct tri_place place) {
    return (tr_ref){.loop = place.loop, .slot = place.slot, .generation = place.generation};
}
static inline struct tri_place tri_place_of(tr_ref ref) {
    return (struct tri_place){ref.loop, ref.slot, ref.generation};
}

/* ---- the node: node.c, peers.c, inbox.c ---------------------------------------------------------- */

/* A dialer that says its last word. */
enum { TRI_CLOSING_MAX = 64 };
typedef struct tri_closing tri_closing;
struct tri_closing {
    tri_closing *next;
    tri_transport *transport;
    tri_zsocket *socket;
    tri_buffer last; /* still to be sent; may be empty */
    tr_time until;
};

typedef struct tri_node_waiter tri_node_waiter;
typedef struct tri_node_monitor tri_node_monitor;

struct tri_seen_type {
    const struct tr_type *type;
    uint64_t id;
};

struct tri_transport {
    tri_runtime_ext ext; /* first member */
    tri_remote remote;   /* (C) */
    tr_runtime *runtime; /* (C) */
    tri_system *system;  /* (C) */
    pthread_mutex_t mutex;
    bool is_running;                     /* (M) */
    bool is_changing;                    /* (M) being started or stopped */
    tr_loop *loop;                       /* (M) written while not running */
    tri_link **links;                    /* (M) written by the owner loop */
    size_t link_count, link_room;        /* (M) */
    tri_link **old_links;                /* (L) of runs before; kept until the end */
    size_t old_count;                    /* (L) */
    tri_node_waiter *waiters;            /* (M) */
    tri_node_monitor *monitors;          /* (M) */
    const struct tr_behaviour **allowed; /* (M) */
    size_t allowed_count, allowed_room;  /* (M) */
    char name[TR_NODE_NAME_MAX + 1];     /* (M) written while not running */
    char cluster[TR_NODE_NAME_MAX + 1];
    char address[TR_ADDRESS_SIZE]; /* (M) */
    struct tri_session_self self;  /* (C) while it runs */
    uint64_t last_incarnation;     /* (L) */
    bool listed_only;              /* (L) */
    bool is_leaving;               /* (L) */
    tri_zcontext *zcontext;        /* (L) for the life of the runtime */
    tri_zsocket *inbox;            /* (L) */
    tri_closing *closing;          /* (L) */
    tri_timer timer;               /* (L) every TRI_CHECK_EACH while something is awaited */
    tri_codec codec;               /* (L) */
    tri_buffer scratch;            /* (L) a message being decoded */
    struct tri_seen_type seen[TRI_SEEN_TYPES]; /* (L) */
    tr_ref agent;                              /* (L) */
    tri_waiter *stopping;                      /* (L) waits for all links to have left */
    tr_time leave_by;                          /* (L) then that wait is over */
};

tri_transport *tri_transport_get(tr_runtime *runtime);
/* NULL: there has never been a node. */
tri_transport *tri_transport_peek(tr_runtime *runtime);
/* Run a function on the loop, as a task there, and wait for its result. */
/* TR_ETIMEOUT: the loop hasn't done it by the deadline, but perhaps will: arg must stay. */
int tri_run_on(tr_loop *loop, const char *name, tr_task_fn *fn, void *arg, tr_time deadline);
/* Identity of a type, which is registered by the way. 0 or -ENOMEM. Owner loop. */
int tri_transport_type_id(tri_transport *transport, const struct tr_type *type, uint64_t *ret_id);
/* Room for a message of this size in transport->scratch. NULL: out of memory. */
void *tri_transport_scratch(tri_transport *transport, size_t size);
/* The slow timer runs while there is a reason. */
void tri_transport_watch(tri_transport *transport);

/* inbox.c: what arrives, and who is refused without a link. */
extern const struct tri_zsocket_ops tri_inbox_ops;
/* Keep a dialer open until what it was given is sent. `last`, may be NULL, is taken over. */
void tri_closing_add(tri_transport *transport, tri_zsocket *socket, tri_buffer *last);
/* Close those whose time is over; TR_FOREVER: all. */
void tri_closing_expire(tri_transport *transport, tr_time now);
/* Dial an address just to say one frame. */
void tri_say(tri_transport *transport, const char *address, const void *bytes, size_t size);

/* peers.c: waiting for nodes and being told of them. */
void tri_monitors_forget(tri_transport *transport, tr_ref who);
void tri_peers_up(tri_link *link);
/* The link is down: from now on others see it so, and those who monitored it until now are in the
 * list, which _end tells and frees. */
tr_ref *tri_peers_down_begin(tri_link *link, size_t *ret_count);
void tri_peers_down_end(tri_link *link, int reason, tr_ref *refs, size_t count);
void tri_peers_stopped(tri_transport *transport);

/* remote.c */
void tri_remote_init(tri_remote *remote);
static inline tri_transport *tri_transport_of(tri_remote *remote) {
    return TRI_CONTAINER_OF(remote, tri_transport, remote);
}

/* agent.c: the actor that other nodes ask to spawn and to look names up. */
int tri_agent_start_here(tri_transport *transport);
int tri_agent_spawn(tri_transport *transport, tr_ref agent, tr_ref *ret_ref,
                    const struct tr_behaviour *behaviour, const struct tr_spawn_opts *opts,
                    bool wait_for_init);
int tri_agent_whereis(tr_ref agent, const char *name, size_t size, tr_ref *ret_ref);
/* NULL: no such behaviour may be spawned by others. Any thread. */
const struct tr_behaviour *tri_allowed_find(tri_transport *transport, const char *name,
                                            size_t size);

#endif
