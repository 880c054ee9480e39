/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.c: choosing a loop and making an actor there.
 */
#include "hot_internal.h"

#include <errno.h>
#include <string.h>

/* ---- checking the options ------------------------------------------------------------------------ */

static const struct tr_type *arg_type_of(const struct tr_behaviour *behaviour) {
    if (behaviour->process != NULL) {
        return behaviour->arg_type;
    }
    for (size_t i = 0; i < behaviour->row_count; i++) {
        if (behaviour->rows[i].kind == TRI_ROW_init) {
            return behaviour->rows[i].type;
        }
    }
    return NULL;
}

static int check_opts(const struct tr_behaviour *behaviour, const struct tr_spawn_opts *opts) {
    if (opts->overflow < TR_FAIL || opts->overflow > TR_DROP_OLD) {
        tr_log(TR_LOG_ERROR,
               "tr_spawn(%s): .overflow is %d: expected TR_FAIL, TR_DROP_NEW or TR_DROP_OLD",
               behaviour->name, opts->overflow);
        return -EINVAL;
    }
    if (opts->place < TR_HERE || (opts->place > TR_BY_KEY && opts->place < TR_LOOP(0))) {
        tr_log(TR_LOG_ERROR,
               "tr_spawn(%s): .place is %d: expected an enum tr_place or TR_LOOP(index)",
               behaviour->name, opts->place);
        return -EINVAL;
    }
    if (opts->arg.type != NULL && opts->arg.type != arg_type_of(behaviour)) {
        tr_log(TR_LOG_ERROR, "tr_spawn(%s): .arg is a '%s': expected %s", behaviour->name,
               opts->arg.type->name,
               arg_type_of(behaviour) != NULL ? arg_type_of(behaviour)->name : "none");
        return TR_EUNHANDLED;
    }
    return opts->name != NULL ? tri_name_check(opts->name) : 0;
}

/* ---- placing ------------------------------------------------------------------------------------------ */

static int least_loaded(tri_system *system, int loops) {
    int best = 0;
    int least = __atomic_load_n(&system->loads[0], __ATOMIC_RELAXED); /* hints: any value will do */
    for (int i = 1; i < loops; i++) {
        int load = __atomic_load_n(&system->loads[i], __ATOMIC_RELAXED);
        if (load < least) {
            least = load;
            best = i;
        }
    }
    return best;
}

static tr_loop *place(tri_actors *actors, const struct tr_spawn_opts *opts) {
    tri_system *system = actors->system;
    int loops = tr_runtime_loops(system->runtime);
    int index;
    switch (opts->place) {
    case TR_HERE: return actors->loop;
    case TR_ROUND_ROBIN:
        index =
            (int)(__atomic_fetch_add(&system->next_place, 1, __ATOMIC_RELAXED) % (unsigned)loops);
        break;
    case TR_LEAST_LOADED: index = least_loaded(system, loops); break;
    case TR_BY_KEY: index = (int)(opts->key % (uint64_t)loops); break;
    default: index = opts->place - TR_LOOP(0); break;
    }
    return tr_runtime_loop(system->runtime, index);
}

/* ---- making ---------------------------------------------------------------------------------------------- */

/* The argument as the actor keeps it: the caller's, or a zeroed one. NULL and 0: it takes none. */
static int copy_arg(tri_actors *actors, const struct tr_behaviour *behaviour,
                    const struct tr_arg *arg, tri_envelope **ret_envelope) {
    const struct tr_type *type = arg_type_of(behaviour);
    *ret_envelope = NULL;
    if (type == NULL) {
        return 0;
    }
    void *zero = arg->type == NULL ? tri_calloc(1, type->size) : NULL;
    if (arg->type == NULL && zero == NULL) {
        return -ENOMEM;
    }
    const void *message = zero != NULL ? zero : arg->message;
    *ret_envelope = tri_envelope_make(actors, TRI_MESSAGE, type, message, false);
    int err = *ret_envelope != NULL ? 0 : tri_message_error(type, message);
    tri_free(zero);
    return err;
}

static bool is_closing(tri_system *system) {
    return __atomic_load_n(&system->is_closing, __ATOMIC_RELAXED);
}

/* `spawner`, or NULL, is answered when TR_INIT has returned; it is the actor's with 0. */
static int make(tri_actors *actors, const struct tr_behaviour *behaviour,
                const struct tr_spawn_opts *opts, tri_envelope *arg, tri_envelope *spawner,
                tr_actor **ret_actor) {
    if (is_closing(actors->system)) {
        return TR_ESHUTDOWN;
    }
    int err = tri_actor_new(actors, behaviour, opts, arg, ret_actor);
    if (err == 0 && spawner != NULL) {
        (*ret_actor)->extra->spawner = spawner;
    }
    return err;
}

/* Who waits: an ask whose envelope has room for the answer, so that answering needs no memory. */
static tri_envelope *spawner_new(tri_actors *actors, int kind, tri_ask_id id) {
    static const tri_spawned nobody;
    tri_envelope *spawner =
        tri_envelope_make(actors, kind, &tri_type_tri_spawned, &nobody, kind == TRI_CONTROL);
    if (spawner != NULL) {
        spawner->ask_slot = id.slot;
        spawner->ask_generation = id.generation;
        spawner->ask_loop = (uint16_t)id.loop;
    }
    return spawner;
}

void tri_spawn_answer(tri_actors *actors, tri_envelope *spawner, int err, const tr_actor *actor) {
    if (err == 0) {
        ((tri_spawned *)tri_envelope_payload(spawner))->who = tri_actor_ref(actors, actor);
    }
    tri_envelope_answer(actors, spawner, err);
}

/* ---- on this loop ------------------------------------------------------------------------------------------ */

struct local_spawn {
    const struct tr_behaviour *behaviour;
    const struct tr_spawn_opts *opts;
    tri_envelope *arg; /* NULL once it is the actor's */
};

static int begin_local(tri_actors *actors, tri_ask_id id, void *arg) {
    struct local_spawn *spawn = arg;
    tr_actor *actor;
    tri_envelope *spawner = spawner_new(actors, TRI_MESSAGE, id);
    if (spawner == NULL) {
        return -ENOMEM;
    }
    int err = make(actors, spawn->behaviour, spawn->opts, spawn->arg, spawner, &actor);
    if (err == 0) {
        spawn->arg = NULL;
    } else {
        tri_envelope_recycle(actors, spawner);
    }
    return err;
}

static int spawn_here(tri_actors *actors, tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                      const struct tr_spawn_opts *opts, bool wait) {
    struct local_spawn spawn = {behaviour, opts, NULL};
    int err = copy_arg(actors, behaviour, &opts->arg, &spawn.arg);
    if (err < 0) {
        return err;
    }
    bool has_init = spawn.arg != NULL;
    if (wait && has_init) {
        TRI_USAGE(actors->loop->current != NULL, "tr_spawn",
                  "waits for TR_INIT: may be called by a task or a handler only");
        err = tri_ask_spawned(actors, begin_local, &spawn, ret_ref);
    } else {
        tr_actor *actor;
        err = make(actors, behaviour, opts, spawn.arg, NULL, &actor);
        if (err == 0) {
            spawn.arg = NULL;
            *ret_ref = tri_actor_ref(actors, actor);
        }
    }
    if (spawn.arg != NULL) {
        tri_envelope_recycle(actors, spawn.arg);
    }
    return err;
}

/* ---- on another loop ------------------------------------------------------------------------------------------ */

struct far_spawn {
    const struct tr_behaviour *behaviour;
    struct tr_spawn_opts opts;
    tri_envelope *arg; /* of the spawner's loop */
    bool wait;
    char name[TRI_NAME_MAX + 1];
};

/* On the chosen loop; or on the spawner's when that loop has ended (tail->err). */
static void far_spawn_arrived(tr_loop *loop, tri_envelope *envelope) {
    tri_actors *actors = tri_actors_of(loop);
    tri_tail *tail = tri_envelope_tail(envelope);
    struct far_spawn *spawn = (struct far_spawn *)(uintptr_t)tail->tag;
    bool waits = spawn->wait && spawn->arg != NULL;
    tr_actor *actor = NULL;
    int err = tail->err;
    if (err == 0) {
        err = make(actors, spawn->behaviour, &spawn->opts, spawn->arg, waits ? envelope : NULL,
                   &actor);
    }
    if (err < 0 && spawn->arg != NULL) {
        tri_envelope_free(loop, spawn->arg);
    }
    tri_free(spawn);
    if (err < 0 || !waits) {
        tri_spawn_answer(actors, envelope, err, actor);
    }
}

struct far_begin {
    struct far_spawn *spawn; /* NULL once it is handed over */
    tr_loop *to;
};

static int begin_far(tri_actors *actors, tri_ask_id id, void *arg) {
    struct far_begin *begin = arg;
    tri_envelope *envelope = spawner_new(actors, TRI_CONTROL, id);
    tri_port *port = tri_port_get(actors, (unsigned)begin->to->id);
    if (envelope == NULL || port == NULL) {
        if (envelope != NULL) {
            tri_envelope_recycle(actors, envelope);
        }
        return -ENOMEM;
    }
    tri_tail *tail = tri_envelope_tail(envelope);
    tail->control = far_spawn_arrived;
    tail->tag = (uint64_t)(uintptr_t)begin->spawn;
    begin->spawn = NULL;
    tri_port_send(actors, port, envelope, false);
    return 0;
}

static int spawn_far(tri_actors *actors, tr_ref *ret_ref, tr_loop *to,
                     const struct tr_behaviour *behaviour, const struct tr_spawn_opts *opts,
                     bool wait) {
    TRI_USAGE(actors->loop->current != NULL, "tr_spawn",
              "placing on another loop suspends: may be called by a task or a handler only");
    struct far_spawn *spawn = tri_calloc(1, sizeof *spawn);
    if (spawn == NULL) {
        return -ENOMEM;
    }
    spawn->behaviour = behaviour;
    spawn->opts = *opts;
    spawn->wait = wait;
    if (opts->name != NULL) {
        strncpy(spawn->name, opts->name, TRI_NAME_MAX);
        spawn->opts.name = spawn->name;
    }
    int err = copy_arg(actors, behaviour, &opts->arg, &spawn->arg);
    struct far_begin begin = {spawn, to};
    if (err == 0) {
        err = tri_ask_spawned(actors, begin_far, &begin, ret_ref);
    }
    if (begin.spawn != NULL) {
        if (spawn->arg != NULL) {
            tri_envelope_recycle(actors, spawn->arg);
        }
        tri_free(spawn);
    }
    return err;
}

/* ---- the two calls -------------------------------------------------------------------------------------------- */

static int spawn(tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                 const struct tr_spawn_opts *opts, bool wait) {
    static const struct tr_spawn_opts defaults;
    tr_loop *loop = tri_loop_here("tr_spawn");
    opts = opts != NULL ? opts : &defaults;
    tri_actors *actors = tri_actors_get(loop);
    if (actors == NULL) {
        return -ENOMEM;
    }
    int err = check_opts(behaviour, opts);
    if (err < 0) {
        return err;
    }
    if (opts->node != NULL) {
        tri_remote *remote = tri_system_remote(actors->system);
        return remote == NULL ? TR_ENODE : remote->spawn(remote, ret_ref, behaviour, opts, wait);
    }
    tr_loop *to = place(actors, opts);
    if (to == NULL) {
        tr_log(TR_LOG_ERROR, "tr_spawn(%s): .place is TR_LOOP(%d): there are %d loops",
               behaviour->name, opts->place - TR_LOOP(0),
               tr_runtime_loops(actors->system->runtime));
        return TR_ENOPLACE;
    }
    return to == loop ? spawn_here(actors, ret_ref, behaviour, opts, wait)
                      : spawn_far(actors, ret_ref, to, behaviour, opts, wait);
}

int tr_spawn_with(tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                  const struct tr_spawn_opts *opts) {
    return spawn(ret_ref, behaviour, opts, true);
}

int tr_spawn_start_with(tr_ref *ret_ref, const struct tr_behaviour *behaviour,
                        const struct tr_spawn_opts *opts) {
    return spawn(ret_ref, behaviour, opts, false);
}
