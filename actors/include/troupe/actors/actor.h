/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file actor.h
 * Defining, spawning, stopping and watching actors.
 *
 * An actor is a struct, a mailbox, and a function for each type of message it understands. It
 * runs on one loop and handles one message at a time, so its functions need no lock. While one
 * of them suspends (tr_ask(), tr_sleep(), ...) the actor's other messages wait; the loop doesn't.
 */
#ifndef TROUPE_ACTORS_ACTOR_H
#define TROUPE_ACTORS_ACTOR_H

#include <troupe/actors/message.h>

/** The running actor, as its own functions see it. */
typedef struct tr_actor tr_self;

/* ---- places, policies ----------------------------------------------------------- */

/** Where an actor is spawned. */
enum tr_place {
    TR_HERE = 0,         /**< on the caller's loop */
    TR_ROUND_ROBIN = 1,  /**< on one loop after the other */
    TR_LEAST_LOADED = 2, /**< on the loop with the fewest actors */
    TR_BY_KEY = 3        /**< on loop tr_spawn_opts.key % loops */
};
/** A given loop: its index, 0 to tr_runtime_loops() - 1. */
#define TR_LOOP(index) (16 + (index))

/** What happens to a message that finds the mailbox full. */
enum tr_overflow {
    TR_FAIL = 0, /**< it is refused: TR_EFULL to a sender on the same loop, else a dead letter */
    TR_DROP_NEW = 1, /**< it becomes a dead letter, the sender is told 0 */
    TR_DROP_OLD = 2  /**< the oldest message of the mailbox becomes a dead letter instead */
};

enum {
    TR_MAILBOX_MESSAGES = 1024,         /**< default bound of a mailbox, messages */
    TR_MAILBOX_BYTES = 16 * 1024 * 1024 /**< default bound of a mailbox, bytes */
};
/** For tr_spawn_opts.mailbox_messages and .mailbox_bytes: no bound. */
#define TR_UNBOUNDED UINT32_MAX

/* ---- behaviours --------------------------------------------------------------------- */

/* What the macros make; opaque to users. */
typedef int tri_handler_fn(tr_self *self, void *state, const void *message);
typedef void tri_terminate_fn(tr_self *self, void *state, int reason);
typedef int tri_process_fn(tr_self *self, const void *arg);

enum tri_row_kind { TRI_ROW_on, TRI_ROW_init, TRI_ROW_term };

struct tri_row {
    const struct tr_type *type;
    tri_handler_fn *handler;
    tri_terminate_fn *terminate;
    int kind;
};

/** A behaviour, made by TR_BEHAVIOUR() or TR_PROCESS(). */
struct tr_behaviour {
    const char *name;               /**< as declared; what other nodes spawn it by */
    size_t state_size;              /**< of the actor's struct, bytes; starts zeroed */
    const struct tri_row *rows;     /**< private */
    size_t row_count;               /**< private */
    tri_process_fn *process;        /**< private */
    const struct tr_type *arg_type; /**< of a process */
};

/** The spawn argument: TR_ARG(type, .field = value, ...). */
struct tr_arg {
    const struct tr_type *type; /**< its type */
    const void *message;        /**< copied by the spawn */
};

/* clang-format off */
/** Name the messages that a behaviour understands, at most 30: TR_PROTOCOL(counter, add, query); */
#define TR_PROTOCOL(name, ...)                                                                     \
    struct tri_protocol_##name { TRI_EACH(TRI_PROTOCOL_ROW, name, __VA_ARGS__) };                  \
    enum { tri_protocol_size_##name = TRI_COUNT(__VA_ARGS__) }
#define TRI_PROTOCOL_ROW(c, message) const message *tri_has_##message;

/** A row: messages of a type go to `int handler(tr_self *, state *, const type *)`. */
#define TR_ON(type, handler)    (on, type, handler)
/** A row: spawning calls `int handler(tr_self *, state *, const type *)` first, with the argument
 *  of the spawn (a zeroed message when none was given). A negative result fails the spawn. */
#define TR_INIT(type, handler)  (init, type, handler)
/** A row: when the actor ends, `void handler(tr_self *, state *, int reason)` is called last, also
 *  when TR_INIT failed or was never reached. It must not suspend. */
#define TR_TERMINATE(handler)   (term, tr_nothing, handler)

/** Define a behaviour: TR_BEHAVIOUR(counter, TR_ON(add, on_add), ...); `counter` also names the
 *  state struct and the TR_PROTOCOL(). Every message of the protocol needs its row, once.
 *
 *  A handler returns 0, or a negative error: then the actor ends with that reason. It may suspend. */
#define TR_BEHAVIOUR(name, ...)                                                                    \
    TRI_EACH(TRI_ROW_THUNK, name, __VA_ARGS__)                                                     \
    TRI_STATIC_ASSERT((0 TRI_EACH(TRI_ROW_COUNT, name, __VA_ARGS__)) == tri_protocol_size_##name,  \
                      "TR_BEHAVIOUR(" #name "): a message of its TR_PROTOCOL has no row");         \
    static const struct tri_row tri_rows_##name[] = {                                              \
        TRI_EACH(TRI_ROW_ENTRY, name, __VA_ARGS__)};                                               \
    TR_DECLARE_BEHAVIOUR(name);                                                                    \
    const struct tr_behaviour tri_behaviour_##name = {                                             \
        #name, sizeof(name), tri_rows_##name, sizeof tri_rows_##name / sizeof tri_rows_##name[0],  \
        NULL, NULL}

/** Define a process: one function that runs as long as the actor, with tr_receive() in a loop.
 *  TR_PROCESS(worker, start, worker_main); with `int worker_main(tr_self *, const start *)`. The
 *  actor ends when the function returns; the result is the reason. */
#define TR_PROCESS(name, type, function)                                                           \
    static int tri_process_##name(tr_self *self, const void *arg) {                                \
        TRI_CHECK_TYPE(&function, int (*)(tr_self *, const type *));                               \
        return function(self, (const type *)arg);                                                  \
    }                                                                                              \
    TR_DECLARE_BEHAVIOUR(name);                                                                    \
    const struct tr_behaviour tri_behaviour_##name = {                                             \
        #name, 0, NULL, 0, tri_process_##name, &tri_type_##type}

/** Make a behaviour of another file known, usually in a header. */
#ifdef __cplusplus
#define TR_DECLARE_BEHAVIOUR(name) extern "C" const struct tr_behaviour tri_behaviour_##name
#else
#define TR_DECLARE_BEHAVIOUR(name) extern const struct tr_behaviour tri_behaviour_##name
#endif

/** A behaviour as a value, for tr_node_allow() and the like. */
#define TR_BEHAVIOUR_OF(name) (&tri_behaviour_##name)

#define TRI_ROW_THUNK(c, tuple)      TRI_ROW_THUNK_(c, TRI_STRIP tuple)
#define TRI_ROW_THUNK_(...)          TRI_ROW_THUNK__(__VA_ARGS__)
#define TRI_ROW_THUNK__(c, kind, type, handler) TRI_THUNK_##kind(c, type, handler)
/* A handler of another type is an error, not a warning. In C++ it is one anyway. */
#ifdef __cplusplus
#define TRI_CHECK_TYPE(value, ...)
#else
#define TRI_CHECK_TYPE(value, ...)                                                                 \
    _Static_assert(_Generic((value), __VA_ARGS__: 1, default: 0), #value " is not a " #__VA_ARGS__)
#endif
#define TRI_THUNK_on(c, type, function)                                                            \
    static int tri_on_##c##_##type(tr_self *self, void *state, const void *message) {              \
        (void)offsetof(struct tri_protocol_##c, tri_has_##type);                                   \
        TRI_CHECK_TYPE(&function, int (*)(tr_self *, c *, const type *));                          \
        return function(self, (c *)state, (const type *)message);                                  \
    }
#define TRI_THUNK_init(c, type, function)                                                          \
    static int tri_init_##c(tr_self *self, void *state, const void *message) {                     \
        TRI_CHECK_TYPE(&function, int (*)(tr_self *, c *, const type *));                          \
        return function(self, (c *)state, (const type *)message);                                  \
    }
#define TRI_THUNK_term(c, type, function)                                                          \
    static void tri_term_##c(tr_self *self, void *state, int reason) {                             \
        TRI_CHECK_TYPE(&function, void (*)(tr_self *, c *, int));                                  \
        function(self, (c *)state, reason);                                                        \
    }
#define TRI_ROW_COUNT(c, tuple)      TRI_ROW_COUNT_(TRI_STRIP tuple)
#define TRI_ROW_COUNT_(...)          TRI_ROW_COUNT__(__VA_ARGS__)
#define TRI_ROW_COUNT__(kind, type, handler) + TRI_COUNTS_##kind
#define TRI_COUNTS_on   1
#define TRI_COUNTS_init 0
#define TRI_COUNTS_term 0
#define TRI_ROW_ENTRY(c, tuple)      TRI_ROW_ENTRY_(c, TRI_STRIP tuple)
#define TRI_ROW_ENTRY_(...)          TRI_ROW_ENTRY__(__VA_ARGS__)
#define TRI_ROW_ENTRY__(c, kind, type, handler) TRI_ENTRY_##kind(c, type)
#define TRI_ENTRY_on(c, type)        {&tri_type_##type, tri_on_##c##_##type, NULL, TRI_ROW_on},
#define TRI_ENTRY_init(c, type)      {&tri_type_##type, tri_init_##c, NULL, TRI_ROW_init},
#define TRI_ENTRY_term(c, type)      {NULL, NULL, tri_term_##c, TRI_ROW_term},
/* clang-format on */

/* ---- built-in messages ---------------------------------------------------------------- */

TR_MESSAGE(tr_nothing);
/** A watched actor has ended: list it in your TR_PROTOCOL() to use tr_monitor(). `reason` is 0 for
 *  an ordinary end, or the error it ended with; TR_ENOACTOR: it had ended before, with 0 or too long
 *  ago to say; TR_ENODEDOWN: its node is out of reach and the actor may still be alive;
 *  TR_ESHUTDOWN: its loop has ended; -ENOMEM: it could not be watched. `tag` is what tr_monitor()
 *  was given. */
TR_MESSAGE(tr_down, (1, ref, who), (2, int32, reason), (3, uint64, tag));

/* ---- spawning ------------------------------------------------------------------------------ */

/** Options of a spawn; everything zero is a good default. */
struct tr_spawn_opts {
    const char *name;          /**< registered, 1 to 63 bytes without '@'; copied; NULL: none */
    const char *node;          /**< the name of another node, which must allow the behaviour */
    struct tr_arg arg;         /**< TR_ARG(): for TR_INIT or the process; copied */
    int place;                 /**< enum tr_place or TR_LOOP(index); of the other node's loops with
                                    .node (TR_HERE: it chooses) */
    int overflow;              /**< enum tr_overflow */
    uint64_t key;              /**< for TR_BY_KEY */
    uint32_t mailbox_messages; /**< bound; 0: TR_MAILBOX_MESSAGES; TR_UNBOUNDED */
    uint32_t mailbox_bytes;    /**< bound; 0: TR_MAILBOX_BYTES; TR_UNBOUNDED */
    int tri_end;               /**< private */
};

TR_BEGIN_DECLS

/** Spawn an actor and wait until its TR_INIT has returned. tr_spawn() is the short form.
 *
 * @param ret_ref    set on success
 * @param behaviour  TR_BEHAVIOUR_OF(name)
 * @param opts       NULL: all defaults; copied
 * @return 0
 * @retval TR_ENAME       the name is taken or not allowed
 * @retval TR_ENOPLACE    opts->place names no loop
 * @retval TR_EUNHANDLED  opts->arg is not of the type that the behaviour takes
 * @retval TR_ESHUTDOWN   the runtime or that loop is ending
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval -EINVAL        opts->overflow or opts->place has no such value
 * @retval -ENOMEM
 * @retval TR_ENODE, TR_ENOTLINKED, TR_ENODEDOWN, TR_ENOTALLOWED  with opts->node: why that failed
 * @return another negative value: the result of TR_INIT
 * @thread task (doesn't suspend on the caller's own loop when there is no TR_INIT)
 * @cancel the actor may have been spawned; when its TR_INIT has not returned by then it is stopped
 */
TR_API TR_NODISCARD int tr_spawn_with(tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                                      const struct tr_spawn_opts *opts);

/** Spawn an actor without waiting for its TR_INIT. If that fails, the actor ends with its error.
 *
 * @param ret_ref    as tr_spawn_with()
 * @param behaviour  as tr_spawn_with()
 * @param opts       as tr_spawn_with()
 * @return as tr_spawn_with(), without the result of TR_INIT
 * @thread task (suspends only to place the actor on another loop or node)
 * @cancel the actor may have been spawned
 */
TR_API TR_NODISCARD int tr_spawn_start_with(tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                                            const struct tr_spawn_opts *opts);

#ifndef __cplusplus
/** tr_spawn(&ref, counter, .name = "counter", ...): tr_spawn_with() with the options written out. */
#define tr_spawn(ret, ...) TRI_SPAWN(tr_spawn_with, ret, __VA_ARGS__, .tri_end = 0)
/** tr_spawn_start(&ref, counter, ...): tr_spawn_start_with() with the options written out. */
#define tr_spawn_start(ret, ...) TRI_SPAWN(tr_spawn_start_with, ret, __VA_ARGS__, .tri_end = 0)
#define TRI_SPAWN(fn, ret, name, ...) \
    fn((ret), &tri_behaviour_##name, &(struct tr_spawn_opts){__VA_ARGS__})
/** The argument of a spawn: .arg = TR_ARG(start, .count = 3). */
#define TR_ARG(...) \
    { TRI_TYPE_OF(__VA_ARGS__), TRI_LITERAL(__VA_ARGS__) }
#endif

/* ---- the life of an actor ----------------------------------------------------------------- */

/** Ask an actor to end, in order: it handles what it was sent before. What comes later becomes
 * dead letters. A process sees TR_ESHUTDOWN from tr_receive().
 *
 * @param ref  any; one that has ended already is no error
 * @return 0
 * @retval -ENOMEM        nothing was asked
 * @retval TR_ENOTLINKED  it is on a node that no link leads to
 * @thread any
 */
TR_API int tr_stop(tr_ref ref);

/** End an actor as soon as possible: every wait of the handler that runs returns TR_ECANCELLED, and
 * its messages become dead letters. The reason is TR_EKILLED.
 *
 * @param ref  any; one that has ended already is no error
 * @return 0, or as tr_stop()
 * @thread any
 * @source Erlang's exit(Pid, kill)
 */
TR_API int tr_kill(tr_ref ref);

/** Be sent a tr_down when an actor ends: at once when it has ended already.
 *
 * @param self  the running actor, whose TR_PROTOCOL() lists tr_down
 * @param ref   any actor, also of another node
 * @param tag   comes back in the tr_down
 * @return 0: exactly one tr_down will come
 * @retval -ENOMEM
 * @thread loop
 * @source Erlang's monitor(process, Pid)
 */
TR_API TR_NODISCARD int tr_monitor(tr_self *self, tr_ref ref, uint64_t tag);

/** The running actor's own reference.
 *
 * @thread loop
 */
TR_API tr_ref tr_self_ref(const tr_self *self);

/** The registered name, or the behaviour's.
 *
 * @return valid as long as the actor
 * @thread loop
 */
TR_API const char *tr_self_name(const tr_self *self);

/** End the running actor after this message, in order, with reason 0.
 *
 * @thread loop
 */
TR_API void tr_self_stop(tr_self *self);

/** Look up an actor by its name.
 *
 * @param name     "name", or "name@node": asks that node
 * @param ret_ref  set on success
 * @return 0
 * @retval TR_ENOACTOR   nobody has that name
 * @retval TR_ENAME      not a name
 * @retval TR_ENODE, TR_ENOTLINKED, TR_ENODEDOWN, TR_ETIMEOUT  the node can't be asked
 * @retval TR_ECANCELLED the caller was cancelled
 * @thread task (suspends only for another node)
 * @cancel nothing is left
 * @source Erlang's whereis/1
 */
TR_API TR_NODISCARD int tr_whereis(const char *name, tr_ref *ret_ref);

TR_END_DECLS

#endif /* TROUPE_ACTORS_ACTOR_H */
