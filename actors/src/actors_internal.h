/* SPDX-License-Identifier: Apache-2.0 */
/*
 * actors_internal.h: what the files of this layer share, and what the transport plugs into.
 */
#ifndef TRI_ACTORS_INTERNAL_H
#define TRI_ACTORS_INTERNAL_H

#include "loop_internal.h"

#include <troupe/actors.h>

#include <pthread.h>

typedef struct tr_actor tr_actor;         /* tr_self, from outside */
typedef struct tri_actors tri_actors;     /* the actors of one loop */
typedef struct tri_system tri_system;     /* the actors of a runtime */
typedef struct tri_envelope tri_envelope; /* a message on its way */
typedef struct tri_port tri_port;         /* what one loop has sent another */
typedef struct tri_ask tri_ask;           /* somebody waiting for a reply */

/* ---- envelopes -------------------------------------------------------------------------- */

/* What an envelope asks for. All but TRI_MESSAGE go in the system lane: never refused. */
enum tri_envelope_kind {
    TRI_MESSAGE, /* a message for a handler; with an ask id: a request */
    TRI_STOP,    /* tr_stop() */
    TRI_KILL,    /* tr_kill(); overtakes */
    TRI_WATCH,   /* tr_monitor(): tell `tail->watcher` with `tail->tag` */
    TRI_DOWN,    /* a tr_down for a watcher */
    TRI_ANSWER,  /* a reply or an error for a pending ask */
    TRI_CONTROL  /* a function to run on the destination loop (spawns) */
};

enum {
    TRI_OWNER_MALLOC = 0xffff, /* owner_loop of an envelope that goes back with tri_free() */
    TRI_ENVELOPE_PATIENT = 1,  /* flags: sent by tr_send_wait(), not refused for want of room */
    TRI_ENVELOPE_CREDIT = 2    /* flags: counted in the sender's port until it comes back */
};

/* Which ask a request belongs to: a slot in the table of a loop of this process. */
typedef struct tri_ask_id {
    uint32_t slot;
    uint32_t generation; /* 0: nobody waits */
    uint32_t loop;       /* id of the loop */
} tri_ask_id;

/* 56 bytes, so that a message of 8 bytes fits one cache line. */
struct tri_envelope {
    tri_node node;              /* in a mailbox, an inbox, or a free list; first member */
    const struct tr_type *type; /* of the payload; NULL without one */
    uint32_t to_slot, to_generation;
    uint32_t ask_slot, ask_generation;
    uint32_t size;       /* of the payload with its blobs, bytes; a multiple of 8 */
    uint16_t owner_loop; /* id of the loop whose slab it came from, or TRI_OWNER_MALLOC */
    uint16_t at_loop;    /* id of the loop it was sent to */
    uint16_t ask_loop;
    uint8_t kind;  /* enum tri_envelope_kind */
    uint8_t slab;  /* size class */
    uint8_t flags; /* TRI_ENVELOPE_* */
    bool has_tail;
    uint16_t unused;
};

/* Behind the payload of envelopes that need more: asks, watches, what goes to other nodes. */
typedef struct tri_tail {
    tr_time deadline;                 /* of an ask; TR_FOREVER */
    const struct tr_type *reply_type; /* of an ask */
    tr_ref to;                        /* the whole reference */
    tr_ref watcher;                   /* TRI_WATCH */
    uint64_t tag;                     /* TRI_WATCH */
    int err;                          /* TRI_ANSWER: the error, or 0; of an ask: what its reply
                                         failed with, to be answered when the handler is done */
    void (*control)(tr_loop *loop, tri_envelope *envelope); /* TRI_CONTROL */
} tri_tail;

static inline void *tri_envelope_payload(tri_envelope *envelope) {
    return envelope + 1;
}
static inline tri_tail *tri_envelope_tail(tri_envelope *envelope) {
    return (tri_tail *)(void *)((char *)(envelope + 1) + envelope->size);
}

/* Make an envelope for this thread (slab of its loop, or malloc on a foreign thread) and copy the
 * message into it, blobs included. message NULL: no payload. NULL: out of memory or over 2 GiB. */
TRI_API tri_envelope *tri_envelope_new(int kind, const struct tr_type *type, const void *message,
                                       bool with_tail);
/* Why there was no envelope for a message: -ENOMEM or TR_ETOOBIG. */
int tri_message_error(const struct tr_type *type, const void *message);
/* Give it back to its owner: on another loop's thread that happens at the end of the turn. Any
 * thread with a running loop. */
TRI_API void tri_envelope_free(tr_loop *loop, tri_envelope *envelope);

/* ---- asks ---------------------------------------------------------------------------------- */

/* Somebody on this loop who waits for an answer: tr_ask(), or a link on behalf of another node. */
struct tri_ask {
    uint32_t slot, generation;
    const struct tr_type *reply_type; /* what the answer must be; NULL: not known here */
    /* Called once, after the ask was taken out of the table. err < 0: failed; else the reply, which
     * the callee must copy. `envelope` holds the message when it came in one: the callee may keep it
     * by setting *keep. */
    void (*complete)(tr_loop *loop, tri_ask *ask, int err, const struct tr_type *type,
                     const void *message, tri_envelope *envelope, bool *keep);
};

/* Enter into the loop's table. 0 or -ENOMEM. Owner thread. */
TRI_API int tri_ask_register(tr_loop *loop, tri_ask *ask);
/* Nobody waits any more; a late answer is dropped. */
TRI_API void tri_ask_forget(tr_loop *loop, tri_ask *ask);
TRI_API tri_ask_id tri_ask_id_of(tr_loop *loop, const tri_ask *ask);
/* Answer an ask of any loop of this process. From the loop's thread `loop`; no effect when nobody
 * waits any more. err < 0: type and message are NULL. Returns 0 or -ENOMEM (the asker is then told
 * -ENOMEM if that is possible). */
TRI_API int tri_ask_answer(tr_loop *loop, tri_ask_id id, int err, const struct tr_type *type,
                           const void *message);

/* ---- what the transport calls ----------------------------------------------------------------- */

/* Deliver to an actor of this process, from a loop's thread. `to` has no node. id.generation 0: a
 * tell. Never waits, never refuses for want of room between loops: the link's own credit bounds
 * what is on its way. A refusal later is a dead letter or the ask's error. 0, TR_ESHUTDOWN (no such
 * loop) or -ENOMEM. */
TRI_API int tri_remote_deliver(tr_loop *loop, tr_ref to, const struct tr_type *type,
                               const void *message, tri_ask_id id, tr_time deadline);
/* The same for TRI_STOP, TRI_KILL, TRI_WATCH (watcher, tag), TRI_DOWN (type and message of tr_down). */
TRI_API int tri_remote_control(tr_loop *loop, int kind, tr_ref to, tr_ref watcher, uint64_t tag,
                               const struct tr_type *type, const void *message);
/* Count, and tell the handler or the log. */
TRI_API void tri_dead_letter(tr_loop *loop, tr_ref to, const struct tr_type *type,
                             const void *message, int reason);
/* Types by their identity on the wire: those of every behaviour that was spawned or allowed here,
 * and of every request sent. Any thread. */
TRI_API int tri_type_register(tri_system *system, const struct tr_type *type);
TRI_API const struct tr_type *tri_type_find(tri_system *system, uint64_t id);
TRI_API int tri_behaviour_register(tri_system *system, const struct tr_behaviour *behaviour);

/* What the transport layer plugs into a system. */
typedef struct tri_remote tri_remote;
struct tri_remote {
    /* Any thread: the id of the loop that owns the link to a node, or TR_ENODE, TR_ENODEDOWN,
     * TR_ENOTLINKED. */
    int (*route)(tri_remote *remote, tr_ref to);
    /* On that loop: TRI_MESSAGE, STOP, KILL, WATCH or DOWN with a tail whose `to` is far. The callee
     * owns the envelope and gives it back with tri_envelope_free() once it is encoded: that is the
     * senders' credit. An ask that can't be sent is answered with its error, a tell becomes a dead
     * letter. */
    void (*outgoing)(tr_loop *loop, tri_remote *remote, tri_envelope *envelope);
    /* From a task: spawn on another node, ask it for a name. */
    int (*spawn)(tri_remote *remote, tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                 const struct tr_spawn_opts *opts, bool wait_for_init);
    int (*whereis)(tri_remote *remote, const char *name, size_t name_size, const char *node,
                   tr_ref *ret_ref);
};

/* The runtime's system, made on first use. NULL: out of memory. */
TRI_API tri_system *tri_system_get(tr_runtime *runtime);
/* NULL unplugs. Any loop; before other nodes are spoken to. */
TRI_API void tri_system_set_remote(tri_system *system, tri_remote *remote);

/* ---- actors of one loop ------------------------------------------------------------------------- */

enum {
    TRI_SLOT_CHUNK = 4096,
    TRI_SLABS = 8,
    TRI_ENDED = 4096,
    TRI_PAIR_CREDIT = 4096,
    TRI_FLUSH_AT = 64,
    TRI_MESSAGES_PER_TURN = 64,
    TRI_NAME_MAX = 63
};

enum tri_actor_state {
    TRI_IDLE,     /* mailbox empty, nothing to do */
    TRI_READY,    /* its node is in the ready queue */
    TRI_RUNNING,  /* an activation is in progress, perhaps suspended */
    TRI_RECEIVING /* a process waits in tr_receive() for a message that has not come */
};

enum tri_actor_flag {
    TRI_ACTOR_NEW = 1,      /* init or the process function has not been called */
    TRI_ACTOR_STOPPING = 2, /* TRI_STOP was reached, or tr_self_stop() called */
    TRI_ACTOR_KILLED = 4,
    TRI_ACTOR_REPLIED = 8, /* the current request has its answer */
    TRI_ACTOR_NAMED = 16
};

/* What few actors have. */
typedef struct tri_extra tri_extra;

struct tr_actor {
    tri_node node;                        /* (L) ready queue; first member */
    tri_node *head;                       /* (L) mailbox: envelopes, oldest first */
    tri_node **tail;                      /* (L) where the next one is linked */
    tri_envelope *current;                /* (L) being handled */
    const struct tr_behaviour *behaviour; /* (C) */
    tri_fiber *fiber;                     /* (L) of the activation in progress */
    tri_extra *extra;                     /* (L) or NULL */
    uint32_t slot, generation;            /* (C) */
    uint32_t count, bytes;                /* (L) user messages in the mailbox */
    uint32_t count_max, bytes_max;        /* (C) */
    uint8_t state;                        /* (L) enum tri_actor_state */
    uint8_t flags;                        /* (L) enum tri_actor_flag */
    uint8_t overflow;                     /* (C) enum tr_overflow */
    uint8_t slab;                         /* (C) size class of this struct with its state */
    int32_t reason;                       /* (L) why it ends */
    const struct tri_row *row;            /* (L) of the last message: never NULL */
};

/* The state struct stands behind the actor. */
static inline void *tri_actor_state_of(tr_actor *actor) {
    return actor + 1;
}

typedef struct tri_sender tri_sender;   /* somebody in tr_send_wait() */
typedef struct tri_receive tri_receive; /* a process in tr_receive() */

struct tri_extra {
    tri_sender *senders;    /* (L) who waits for room, oldest first */
    tri_envelope *watchers; /* (L) one prepared tr_down each */
    tri_receive *receive;   /* (L) */
    tri_envelope *arg;      /* (L) the spawn argument, kept for the actor's life */
    tri_envelope *spawner;  /* (L) the request of who waits for init */
    char name[TRI_NAME_MAX + 1];
};

struct tri_sender {
    tri_sender *next;
    tri_waiter waiter;
    tri_sender **list; /* where it stands, for cancelling */
};

struct tri_slot {
    tr_actor *actor;     /* NULL: free */
    uint32_t generation; /* of the actor, or the next one */
    uint32_t next_free;
};

struct tri_ended {
    uint32_t slot, generation;
    int reason;
};

struct tri_ask_slot {
    tri_ask *ask; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct tri_port {
    tri_flush flush;        /* first member */
    tr_loop *to;            /* (C) the loop it leads to; its fields are not ours to read */
    unsigned to_id;         /* (C) */
    tri_node *newest;       /* (L) the chain for the next push */
    tri_node *oldest;       /* (L) */
    uint32_t queued;        /* (L) in the chain */
    uint32_t on_way;        /* (L) envelopes of ours over there */
    tri_envelope *returns;  /* (L) blocks of that loop to give back, newest first */
    tri_node *returns_last; /* (L) */
    uint32_t return_count;  /* (L) */
    tri_sender *waiting;    /* (L) who waits for credit, oldest first */
};

struct tri_actors {
    tri_loop_ext ext;                 /* first member */
    tr_loop *loop;                    /* (C) */
    uint32_t loop_id;                 /* (C) loop->id */
    tri_system *system;               /* (C) */
    struct tri_slot **chunks;         /* (L) the table, TRI_SLOT_CHUNK slots each */
    uint32_t slot_count;              /* (L) slots made */
    uint32_t free_slot;               /* (L) UINT32_MAX: none */
    uint32_t first_generation;        /* (C) of this life of the loop */
    uint32_t last_generation;         /* (L) highest given */
    void *free[TRI_SLABS];            /* (L) free blocks of each size */
    void *slabs;                      /* (L) all memory the blocks were cut from */
    tri_port *ports[TR_LOOPS_MAX];    /* (L) by loop id, made on first use */
    struct tri_ask_slot *asks;        /* (L) */
    uint32_t ask_count;               /* (L) */
    uint32_t free_ask;                /* (L) UINT32_MAX: none */
    struct tri_ended *ended;          /* (L) TRI_ENDED of the latest abnormal ends, by slot */
    const struct tr_behaviour **seen; /* (L) behaviours whose types are registered */
    size_t seen_count, seen_room;     /* (L) */
    tri_waiter *drained;              /* (L) told when no actor is left */
    tri_node end_node;                /* asks this loop to end its actors, and answers loop 0 */
    struct tr_actor_stats stats;      /* (L) */
    tri_actors *next;                 /* (M) the system's list */
};

struct tri_name {
    uint64_t hash;
    tr_ref ref;
    char text[TRI_NAME_MAX + 1];
};

struct tri_known_type {
    uint64_t id;
    const struct tr_type *type;
};

struct tri_system {
    tri_runtime_ext ext; /* first member */
    tr_runtime *runtime; /* (C) */
    pthread_mutex_t mutex;
    tri_actors *loops;              /* (M) */
    struct tri_name *names;         /* (M) open addressing */
    size_t name_count, name_room;   /* (M) */
    struct tri_known_type *types;   /* (M) open addressing */
    size_t type_count, type_room;   /* (M) */
    tri_remote *remote;             /* (A) NULL: no other nodes */
    tr_dead_letter_fn *dead_letter; /* (M) set once before other loops have actors */
    void *dead_letter_arg;
    unsigned next_place;     /* (A) round robin */
    bool is_closing;         /* (A) no more spawns */
    int loads[TR_LOOPS_MAX]; /* (A) actors by index of the loop; written by its loop */
    tri_waiter *shutdown;    /* loop 0: waits for the loops' answers */
    int shutdown_left;       /* loop 0 */
    tr_time deadline;        /* (C) once is_closing: of the actors' end */
};

/* 0 is nobody. */
static inline uint32_t tri_next_generation(uint32_t generation) {
    return generation == UINT32_MAX ? 1 : generation + 1;
}

/* ---- system.c ---- */
static inline tri_remote *tri_system_remote(tri_system *system) {
    /* Pairs with the release in tri_system_set_remote(). */
    return __atomic_load_n(&system->remote, __ATOMIC_ACQUIRE);
}
TRI_API tri_actors *tri_actors_make(tr_loop *loop);
static inline tri_actors *tri_actors_of(const tr_loop *loop) {
    return (tri_actors *)(void *)loop->ext[TRI_EXT_ACTORS];
}
/* Made on first use; NULL: out of memory. */
static inline tri_actors *tri_actors_get(tr_loop *loop) {
    tri_actors *actors = tri_actors_of(loop);
    return TRI_LIKELY(actors != NULL) ? actors : tri_actors_make(loop);
}

/* ---- slab.c ---- */
void *tri_slab_alloc_slow(tri_actors *actors, size_t size, uint8_t *ret_slab);
void tri_slabs_fini(tri_actors *actors);

/* ---- envelope.c ---- */
tri_envelope *tri_envelope_make(tri_actors *actors, int kind, const struct tr_type *type,
                                const void *message, bool with_tail);

/* Of a message with its blobs, as it counts in a mailbox; SIZE_MAX: over 2 GiB. */
size_t tri_message_size(const struct tr_type *type, const void *message);

/* ---- port.c ---- */
/* By loop id. NULL: no such loop, or out of memory; tri_port_error() tells. */
tri_port *tri_port_get(tri_actors *actors, unsigned id);
int tri_port_error(unsigned id);
/* Id of the loop to post to: the actor's, or the one that owns the link to its node. Or an error. */
int tri_route(tr_loop *from, const tr_ref *to);
bool tri_port_has_credit(const tri_port *port);
void tri_port_send(tri_actors *actors, tri_port *port, tri_envelope *envelope, bool counts);
void tri_port_return(tri_actors *actors, tri_envelope *envelope);
/* A request that has become its answer, home to its asker; needs no memory. */
void tri_port_answer(tri_actors *actors, tri_envelope *envelope);
void tri_port_came_back(tri_actors *actors, tri_envelope *envelope);
int tri_port_wait(tri_port *port);
int tri_post_foreign(tr_loop *to, tri_envelope *envelope);
void tri_envelope_arrived(tr_loop *loop, tri_node *node);
/* Give an envelope to the loop or node that its `to` leads to, from the thread of a loop or a
 * foreign one. It is owned by the callee on 0. */
int tri_envelope_send(tr_loop *loop, const tr_ref *to, tri_envelope *envelope);

/* ---- waiting lists of senders: port.c ---- */
int tri_sender_wait(tri_sender **list, const char *reason);
/* The first `count` of them; they look again whether there is room. */
void tri_senders_wake(tri_sender **list, uint32_t count, int result);

/* ---- send.c ---- */
/* Suspend until a message of that size has room at the actor, or on the way to it. */
int tri_room_wait(tri_actors *actors, const tr_ref *to, size_t size);

/* ---- mailbox.c ---- */
int tri_mailbox_offer(tri_actors *actors, tri_envelope *envelope);
void tri_mailbox_unlink(tr_actor *actor, tri_node **link, tri_envelope *envelope);
void tri_envelope_refuse(tri_actors *actors, tri_envelope *envelope, int reason);
void tri_senders_look_again(tr_actor *actor);

/* ---- actor.c ---- */
int tri_actor_end_reason(const tri_actors *actors, uint32_t slot, uint32_t generation);
int tri_actor_new(tri_actors *actors, const struct tr_behaviour *behaviour,
                  const struct tr_spawn_opts *opts, tri_envelope *arg, tr_actor **ret_actor);
void tri_actor_end(tri_actors *actors, tr_actor *actor);
tri_extra *tri_actor_extra(tr_actor *actor);
tr_ref tri_actor_ref(const tri_actors *actors, const tr_actor *actor);
void tri_actor_kill(tri_actors *actors, tr_actor *actor);

/* ---- dispatch.c ---- */
extern const struct tri_row tri_no_row; /* of no type: where an actor begins */
void tri_actor_run(tr_loop *loop, tri_node *node);
void tri_actor_wake(tri_actors *actors, tr_actor *actor);
void tri_current_done(tri_actors *actors, tr_actor *actor, int err);

/* ---- receive.c ---- */
void tri_receive_arrived(tr_actor *actor, tri_envelope *envelope);

/* ---- ask.c ---- */
static inline bool tri_ask_is_pending(const tri_actors *actors, uint32_t slot,
                                      uint32_t generation) {
    return slot < actors->ask_count && actors->asks[slot].generation == generation &&
           actors->asks[slot].ask != NULL;
}
tri_ask *tri_ask_take(tri_actors *actors, uint32_t slot, uint32_t generation);
void tri_answer_arrived(tri_actors *actors, tri_envelope *envelope);
/* Turn a request into its answer: err, or with 0 its own type and payload. Needs no memory. */
void tri_envelope_answer(tri_actors *actors, tri_envelope *envelope, int err);
/* Wait for an answer, registered by the caller: 0 and *ret_ref for spawns. */
int tri_ask_spawned(tri_actors *actors, int (*begin)(tri_actors *actors, tri_ask_id id, void *arg),
                    void *arg, tr_ref *ret_ref);

/* ---- spawn.c ---- */
void tri_spawn_answer(tri_actors *actors, tri_envelope *spawner, int err, const tr_actor *actor);

/* ---- monitor.c ---- */
void tri_watch_arrived(tri_actors *actors, tri_envelope *envelope);
void tri_watch_tell(tri_actors *actors, tri_envelope *envelope, int reason);
void tri_watchers_tell(tri_actors *actors, tr_actor *actor, int reason);

/* ---- registry.c ---- */
int tri_name_check(const char *name);
int tri_name_claim(tri_system *system, const char *name, tr_ref ref);
void tri_name_release(tri_system *system, const char *name, tr_ref ref);
int tri_name_find(tri_system *system, const char *name, size_t size, tr_ref *ret_ref);
uint64_t tri_hash(const void *bytes, size_t size);

/* The answer to a spawn. */
TR_MESSAGE(tri_spawned, (1, ref, who));

#endif
