/* SPDX-License-Identifier: Apache-2.0 */
/*
 * actor.c: the table of a loop's actors, their beginning and their end.
 *
 * A slot's generation grows with each actor that it holds, and starts above whatever an earlier
 * life of this loop gave out, so that an old reference never finds a new actor. The reasons of the
 * latest abnormal ends are kept by slot; an older one reads TR_ENOACTOR.
 */
#include "hot_internal.h"

#include <errno.h>

static struct tri_slot *slot_at(const tri_actors *actors, uint32_t slot) {
    return &actors->chunks[slot / TRI_SLOT_CHUNK][slot % TRI_SLOT_CHUNK];
}

/* ---- finding ------------------------------------------------------------------------------ */

int tri_actor_end_reason(const tri_actors *actors, uint32_t slot, uint32_t generation) {
    if (actors->ended != NULL) {
        const struct tri_ended *ended = &actors->ended[slot % TRI_ENDED];
        /* Reason 0: an entry that was never written. It would pass for a zeroed reference's. */
        if (ended->slot == slot && ended->generation == generation && ended->reason != 0) {
            return ended->reason;
        }
    }
    return TR_ENOACTOR;
}

tr_ref tri_actor_ref(const tri_actors *actors, const tr_actor *actor) {
    return (tr_ref){
        .loop = (uint16_t)actors->loop->id, .slot = actor->slot, .generation = actor->generation};
}

/* ---- slots ---------------------------------------------------------------------------------- */

/* One more chunk of the table; the pointers to the chunks double. */
static int more_slots(tri_actors *actors) {
    uint32_t chunk = actors->slot_count / TRI_SLOT_CHUNK;
    if ((chunk & (chunk - 1)) == 0) {
        size_t room = chunk == 0 ? 1 : (size_t)chunk * 2;
        struct tri_slot **chunks = tri_realloc(actors->chunks, room * sizeof *chunks);
        if (chunks == NULL) {
            return -ENOMEM;
        }
        actors->chunks = chunks;
    }
    struct tri_slot *slots = tri_malloc(TRI_SLOT_CHUNK * sizeof *slots);
    if (slots == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < TRI_SLOT_CHUNK; i++) {
        slots[i] = (struct tri_slot){.generation = actors->first_generation,
                                     .next_free = actors->slot_count + i + 1};
    }
    slots[TRI_SLOT_CHUNK - 1].next_free = UINT32_MAX;
    actors->chunks[chunk] = slots;
    actors->free_slot = actors->slot_count;
    actors->slot_count += TRI_SLOT_CHUNK;
    return 0;
}

static void slot_free(tri_actors *actors, uint32_t slot) {
    struct tri_slot *entry = slot_at(actors, slot);
    entry->actor = NULL;
    entry->generation = tri_next_generation(entry->generation);
    if (entry->generation > actors->last_generation) {
        actors->last_generation = entry->generation;
    }
    entry->next_free = actors->free_slot;
    actors->free_slot = slot;
}

/* ---- beginning -------------------------------------------------------------------------------- */

tri_extra *tri_actor_extra(tr_actor *actor) {
    if (actor->extra == NULL) {
        actor->extra = tri_calloc(1, sizeof *actor->extra);
    }
    return actor->extra;
}

/* Its messages can come from other nodes from now on: make their types known, once a loop. */
static int know_behaviour(tri_actors *actors, const struct tr_behaviour *behaviour) {
    for (size_t i = actors->seen_count; i-- > 0;) {
        if (actors->seen[i] == behaviour) {
            return 0;
        }
    }
    if (actors->seen_count == actors->seen_room) {
        size_t room = actors->seen_room == 0 ? 16 : actors->seen_room * 2;
        const struct tr_behaviour **seen = tri_realloc((void *)actors->seen, room * sizeof *seen);
        if (seen == NULL) {
            return -ENOMEM;
        }
        actors->seen = seen;
        actors->seen_room = room;
    }
    int err = tri_behaviour_register(actors->system, behaviour);
    if (err == 0) {
        actors->seen[actors->seen_count++] = behaviour;
    }
    return err;
}

static bool has_init(const struct tr_behaviour *behaviour) {
    for (size_t i = 0; i < behaviour->row_count; i++) {
        if (behaviour->rows[i].kind == TRI_ROW_init) {
            return true;
        }
    }
    return behaviour->process != NULL;
}

static int prepare_extra(tr_actor *actor, const struct tr_spawn_opts *opts, tri_envelope *arg) {
    if (opts->name == NULL && arg == NULL && (actor->flags & TRI_ACTOR_NEW) == 0) {
        return 0;
    }
    tri_extra *extra = tri_actor_extra(actor);
    if (extra == NULL) {
        return -ENOMEM;
    }
    if (opts->name != NULL) {
        strncpy(extra->name, opts->name, TRI_NAME_MAX);
    }
    return 0;
}

static uint32_t bound(uint32_t wanted, uint32_t usual) {
    return wanted == 0 ? usual : wanted;
}

static void actor_free(tri_actors *actors, tr_actor *actor) {
    tri_free(actor->extra);
    tri_slab_free(actors, actor, actor->slab);
}

static int enter_table(tri_actors *actors, tr_actor *actor) {
    if (actors->free_slot == UINT32_MAX) {
        int err = more_slots(actors);
        if (err < 0) {
            return err;
        }
    }
    actor->slot = actors->free_slot;
    struct tri_slot *slot = slot_at(actors, actor->slot);
    actor->generation = slot->generation;
    tri_extra *extra = actor->extra;
    if (extra != NULL && extra->name[0] != '\0') {
        int err = tri_name_claim(actors->system, extra->name, tri_actor_ref(actors, actor));
        if (err < 0) {
            return err;
        }
        actor->flags |= TRI_ACTOR_NAMED;
    }
    slot->actor = actor;
    actors->free_slot = slot->next_free;
    return 0;
}

int tri_actor_new(tri_actors *actors, const struct tr_behaviour *behaviour,
                  const struct tr_spawn_opts *opts, tri_envelope *arg, tr_actor **ret_actor) {
    size_t size = sizeof(tr_actor) + behaviour->state_size;
    uint8_t slab;
    int err = know_behaviour(actors, behaviour);
    tr_actor *actor = err == 0 ? tri_slab_alloc(actors, size, &slab) : NULL;
    if (actor == NULL) {
        return err < 0 ? err : -ENOMEM;
    }
    memset(actor, 0, size);
    actor->node.run = tri_actor_run;
    actor->tail = &actor->head;
    actor->row = &tri_no_row;
    actor->behaviour = behaviour;
    actor->slab = slab;
    actor->count_max = bound(opts->mailbox_messages, TR_MAILBOX_MESSAGES);
    actor->bytes_max = bound(opts->mailbox_bytes, TR_MAILBOX_BYTES);
    actor->overflow = (uint8_t)opts->overflow;
    actor->flags = has_init(behaviour) ? TRI_ACTOR_NEW : 0;
    err = prepare_extra(actor, opts, arg);
    if (err == 0) {
        err = enter_table(actors, actor);
    }
    if (err < 0) {
        actor_free(actors, actor);
        return err;
    }
    if (arg != NULL) {
        actor->extra->arg = arg;
    }
    actors->stats.actors++;
    actors->stats.spawned++;
    __atomic_store_n(&actors->system->loads[actors->loop->index], (int)actors->stats.actors,
                     __ATOMIC_RELAXED); /* a hint for TR_LEAST_LOADED */
    if ((actor->flags & TRI_ACTOR_NEW) != 0) {
        actor->state = TRI_READY;
        tri_loop_ready(actors->loop, &actor->node);
    }
    *ret_actor = actor;
    return 0;
}

/* ---- end ---------------------------------------------------------------------------------------- */

static void remember_reason(tri_actors *actors, const tr_actor *actor) {
    if (actor->reason == 0) {
        return;
    }
    if (actors->ended == NULL) {
        actors->ended = tri_calloc(TRI_ENDED, sizeof *actors->ended);
    }
    if (actors->ended != NULL) { /* without memory the reason reads TR_ENOACTOR */
        actors->ended[actor->slot % TRI_ENDED] = (struct tri_ended){
            .slot = actor->slot, .generation = actor->generation, .reason = actor->reason};
    }
}

static void call_terminate(tr_actor *actor) {
    const struct tr_behaviour *behaviour = actor->behaviour;
    for (size_t i = 0; i < behaviour->row_count; i++) {
        if (behaviour->rows[i].kind == TRI_ROW_term) {
            behaviour->rows[i].terminate(actor, tri_actor_state_of(actor), actor->reason);
        }
    }
}

static void end_extra(tri_actors *actors, tr_actor *actor, int reason) {
    tri_extra *extra = actor->extra;
    if (extra == NULL) {
        return;
    }
    if ((actor->flags & TRI_ACTOR_NAMED) != 0) {
        tri_name_release(actors->system, extra->name, tri_actor_ref(actors, actor));
    }
    if (extra->spawner != NULL) {
        tri_spawn_answer(actors, extra->spawner, reason, actor);
    }
    tri_senders_wake(&extra->senders, UINT32_MAX, 0); /* they look again and find it gone */
    tri_watchers_tell(actors, actor, actor->reason);
    if (extra->arg != NULL) {
        tri_envelope_free(actors->loop, extra->arg);
    }
}

/* Called when no frame of the actor is on any stack. */
void tri_actor_end(tri_actors *actors, tr_actor *actor) {
    int reason = actor->reason < 0 ? actor->reason : TR_ENOACTOR;
    if (actor->reason < 0 && actor->reason != TR_EKILLED) {
        char text[TR_REF_TEXT_SIZE];
        tr_log(TR_LOG_WARN, "actor '%s' %s ended: %s (%s)", tr_self_name(actor),
               tr_ref_print(tri_actor_ref(actors, actor), text), tr_err_name(actor->reason),
               tr_err_text(actor->reason));
    }
    call_terminate(actor);
    remember_reason(actors, actor);
    slot_free(actors, actor->slot);
    actors->stats.actors--;
    __atomic_store_n(&actors->system->loads[actors->loop->index], (int)actors->stats.actors,
                     __ATOMIC_RELAXED);
    while (actor->head != NULL) {
        tri_envelope_refuse(actors, tri_mailbox_pop(actor), reason);
    }
    end_extra(actors, actor, reason);
    actor_free(actors, actor);
    if (actors->stats.actors == 0 && actors->drained != NULL) {
        tri_waiter *drained = actors->drained;
        actors->drained = NULL;
        tri_wake(drained, 0);
    }
}

void tri_actor_kill(tri_actors *actors, tr_actor *actor) {
    actor->flags |= TRI_ACTOR_KILLED;
    actor->reason = TR_EKILLED;
    if (actor->fiber != NULL) {
        tri_fiber_kill(actor->fiber); /* it ends when its handler has returned */
    } else {
        tri_actor_wake(actors, actor);
    }
}

/* ---- what an actor asks of itself -------------------------------------------------------------- */

tr_ref tr_self_ref(const tr_self *self) {
    return tri_actor_ref(tri_actors_of(tri_current_loop), self);
}

const char *tr_self_name(const tr_self *self) {
    return self->extra != NULL && self->extra->name[0] != '\0' ? self->extra->name
                                                               : self->behaviour->name;
}

void tr_self_stop(tr_self *self) {
    self->flags |= TRI_ACTOR_STOPPING;
}
