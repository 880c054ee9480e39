/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.c: requests and their answers.
 *
 * DESIGN
 *
 * Who waits stands in a table of its loop, under a slot and a generation; the request carries that
 * address. An answer finds its asker there, or finds that nobody waits any more: an ask that timed
 * out or was cancelled leaves the table at once, so a late answer can't be taken for another one.
 *
 * An ask ends once: it is taken out of the table by its answer, its deadline, or its cancellation,
 * whatever comes first.
 */
#include "hot_internal.h"

#include <errno.h>
#include <string.h>

/* ---- the table --------------------------------------------------------------------------------- */

static int more_ask_slots(tri_actors *actors) {
    uint32_t count = actors->ask_count == 0 ? 64 : actors->ask_count * 2;
    struct tri_ask_slot *asks = tri_realloc(actors->asks, count * sizeof *asks);
    if (asks == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = actors->ask_count; i < count; i++) {
        asks[i] = (struct tri_ask_slot){.generation = actors->first_generation,
                                        .next_free = i + 1 < count ? i + 1 : UINT32_MAX};
    }
    actors->free_ask = actors->ask_count;
    actors->asks = asks;
    actors->ask_count = count;
    return 0;
}

static int register_ask(tri_actors *actors, tri_ask *ask) {
    if (actors->free_ask == UINT32_MAX) {
        int err = more_ask_slots(actors);
        if (err < 0) {
            return err;
        }
    }
    ask->slot = actors->free_ask;
    struct tri_ask_slot *entry = &actors->asks[ask->slot];
    actors->free_ask = entry->next_free;
    entry->ask = ask;
    ask->generation = entry->generation;
    return 0;
}

int tri_ask_register(tr_loop *loop, tri_ask *ask) {
    tri_actors *actors = tri_actors_get(loop);
    return actors != NULL ? register_ask(actors, ask) : -ENOMEM;
}

tri_ask *tri_ask_take(tri_actors *actors, uint32_t slot, uint32_t generation) {
    if (slot >= actors->ask_count) {
        return NULL;
    }
    struct tri_ask_slot *entry = &actors->asks[slot];
    if (entry->generation != generation || entry->ask == NULL) {
        return NULL;
    }
    tri_ask *ask = entry->ask;
    entry->ask = NULL;
    entry->generation = tri_next_generation(entry->generation);
    if (entry->generation > actors->last_generation) {
        actors->last_generation = entry->generation;
    }
    entry->next_free = actors->free_ask;
    actors->free_ask = slot;
    return ask;
}

void tri_ask_forget(tr_loop *loop, tri_ask *ask) {
    (void)tri_ask_take(tri_actors_of(loop), ask->slot, ask->generation);
}

tri_ask_id tri_ask_id_of(tr_loop *loop, const tri_ask *ask) {
    return (tri_ask_id){ask->slot, ask->generation, (uint32_t)loop->id};
}

/* ---- answering ------------------------------------------------------------------------------------ */

/* A spawn whose spawner has given up: nobody would ever know the actor. */
static void nobody_waits(tri_actors *actors, const struct tr_type *type, const void *message) {
    (void)actors;
    if (message != NULL && type == &tri_type_tri_spawned) {
        (void)tr_kill(((const tri_spawned *)message)->who);
    }
}

static int answer_here(tri_actors *actors, tri_ask_id id, int err, const struct tr_type *type,
                       const void *message, tri_envelope *envelope) {
    bool keep = false;
    tri_ask *ask = tri_ask_take(actors, id.slot, id.generation);
    if (ask == NULL) {
        nobody_waits(actors, type, message);
    } else {
        ask->complete(actors->loop, ask, err, type, message, envelope, &keep);
    }
    return keep;
}

/* 0, or why nobody was answered. */
static int answer(tri_actors *actors, tri_ask_id id, int err, const struct tr_type *type,
                  const void *message) {
    if (id.loop == actors->loop_id) {
        (void)answer_here(actors, id, err, type, message, NULL);
        return 0;
    }
    tri_envelope *envelope = tri_envelope_make(actors, TRI_ANSWER, type, message, true);
    if (envelope == NULL) {
        return tri_message_error(type, message);
    }
    tri_port *port = tri_port_get(actors, id.loop);
    if (port == NULL) {
        tri_envelope_recycle(actors, envelope);
        return -ENOMEM;
    }
    tri_envelope_tail(envelope)->err = err;
    envelope->ask_slot = id.slot;
    envelope->ask_generation = id.generation;
    tri_port_send(actors, port, envelope, false);
    return 0;
}

int tri_ask_answer(tr_loop *loop, tri_ask_id id, int err, const struct tr_type *type,
                   const void *message) {
    tri_actors *actors = tri_actors_of(loop);
    int failed = answer(actors, id, err, type, message);
    if (failed < 0 && answer(actors, id, err < 0 ? err : failed, NULL, NULL) < 0) {
        tr_log(TR_LOG_ERROR, "out of memory: an answer is lost, its asker waits for the deadline");
    }
    return failed;
}

void tri_envelope_answer(tri_actors *actors, tri_envelope *envelope, int err) {
    if (err < 0) {
        envelope->type = NULL;
    }
    if (envelope->ask_loop == actors->loop_id) {
        tri_ask_id id = {envelope->ask_slot, envelope->ask_generation, envelope->ask_loop};
        const void *message = err < 0 ? NULL : tri_envelope_payload(envelope);
        (void)answer_here(actors, id, err, envelope->type, message, NULL);
        tri_envelope_release(actors, envelope);
        return;
    }
    TRI_ASSERT(envelope->owner_loop == envelope->ask_loop && envelope->has_tail);
    envelope->kind = TRI_ANSWER;
    tri_envelope_tail(envelope)->err = err;
    tri_port_answer(actors, envelope);
}

void tri_answer_arrived(tri_actors *actors, tri_envelope *envelope) {
    tri_ask_id id = {envelope->ask_slot, envelope->ask_generation, (uint32_t)actors->loop->id};
    int err = tri_envelope_tail(envelope)->err;
    const void *message = err < 0 ? NULL : tri_envelope_payload(envelope);
    if (!answer_here(actors, id, err, envelope->type, message, envelope)) {
        tri_envelope_free(actors->loop, envelope);
    }
}

static int reply(tr_self *self, int err, const struct tr_type *type, const void *message) {
    tri_actors *actors = tri_actors_of(tri_loop_here("tr_reply"));
    tri_envelope *request = self->current;
    if (request == NULL || request->ask_generation == 0 || (self->flags & TRI_ACTOR_REPLIED) != 0 ||
        (request->has_tail && tri_envelope_tail(request)->err < 0)) {
        return 0;
    }
    tri_ask_id id = {request->ask_slot, request->ask_generation, request->ask_loop};
    const struct tr_type *expected = NULL;
    if (request->has_tail) {
        expected = tri_envelope_tail(request)->reply_type;
    } else if (tri_ask_is_pending(actors, id.slot, id.generation)) {
        expected = actors->asks[id.slot].ask->reply_type;
    }
    bool is_wrong = err == 0 && expected != NULL && expected != type;
    int failed = is_wrong ? answer(actors, id, TR_EREPLY, NULL, NULL)
                          : answer(actors, id, err, type, message);
    if (TRI_LIKELY(failed == 0)) {
        self->flags |= TRI_ACTOR_REPLIED;
    } else {
        /* The request itself will be the answer, as soon as the handler doesn't need it. */
        tri_envelope_tail(request)->err = is_wrong ? TR_EREPLY : err < 0 ? err : failed;
    }
    return is_wrong ? TR_EREPLY : err < 0 ? 0 : failed;
}

int tr_reply_message(tr_self *self, const struct tr_type *type, const void *message) {
    return reply(self, 0, type, message);
}

int tr_reply_error(tr_self *self, int err) {
    TRI_USAGE(err < 0, "tr_reply_error", "an error is negative");
    return reply(self, err, NULL, NULL);
}

/* ---- asking ------------------------------------------------------------------------------------------ */

struct asker {
    tri_ask ask;
    tri_waiter waiter;
    tri_timer timer;
    tri_actors *actors;
    tri_fiber *fiber;
    void *ret_reply;
};

/* Strings in the reply must outlive this call: keep the envelope, or make one. */
static int hold_reply(struct asker *asker, const struct tr_type *type, const void *message,
                      tri_envelope *envelope, bool *keep) {
    if (envelope == NULL) {
        envelope = tri_envelope_make(asker->actors, TRI_MESSAGE, type, message, false);
        if (envelope == NULL) {
            return -ENOMEM;
        }
    } else {
        *keep = true;
    }
    asker->fiber->held = envelope;
    memcpy(asker->ret_reply, tri_envelope_payload(envelope), type->size);
    return 0;
}

static void asker_complete(tr_loop *loop, tri_ask *ask, int err, const struct tr_type *type,
                           const void *message, tri_envelope *envelope, bool *keep) {
    struct asker *asker = TRI_CONTAINER_OF(ask, struct asker, ask);
    tri_timers_cancel(&loop->timers, &asker->timer);
    if (err == 0 && type != ask->reply_type) {
        err = TR_EREPLY;
    }
    if (err == 0 && type->blobs > 0) {
        err = hold_reply(asker, type, message, envelope, keep);
    } else if (err == 0) {
        memcpy(asker->ret_reply, message, type->size);
    }
    tri_wake(&asker->waiter, err);
}

static void asker_give_up(struct asker *asker, int err) {
    tr_loop *loop = asker->actors->loop;
    tri_ask_forget(loop, &asker->ask);
    tri_timers_cancel(&loop->timers, &asker->timer);
    tri_wake(&asker->waiter, err);
}

static void asker_cancel(tri_waiter *waiter) {
    asker_give_up(TRI_CONTAINER_OF(waiter, struct asker, waiter), TR_ECANCELLED);
}

static void asker_timeout(tr_loop *loop, tri_timer *timer) {
    (void)loop;
    asker_give_up(TRI_CONTAINER_OF(timer, struct asker, timer), TR_ETIMEOUT);
}

/* Whether the running handler belongs to the actor that is asked: it could never answer. */
static bool asks_itself(const tri_actors *actors, const tr_ref *to) {
    const tr_actor *actor = tri_actor_find(actors, to->slot, to->generation);
    return actor != NULL && actor->fiber != NULL && actor->fiber == actors->loop->current;
}

/* The strings of the last reply were valid until now. */
static void release_reply(tr_loop *loop, tri_fiber *fiber) {
    tri_envelope_free(loop, fiber->held);
    fiber->held = NULL;
}

static int asker_begin(struct asker *asker, tri_actors *actors, const struct tr_type *reply_type,
                       void *ret_reply) {
    tri_fiber *fiber = actors->loop->current;
    asker->ask.complete = asker_complete;
    asker->ask.reply_type = reply_type;
    asker->waiter = (tri_waiter){.cancel = asker_cancel, .reason = "ask"};
    asker->timer.fire = asker_timeout;
    asker->timer.place = 0;
    asker->actors = actors;
    asker->fiber = fiber;
    asker->ret_reply = ret_reply;
    fiber->release = release_reply;
    return register_ask(actors, &asker->ask);
}

static void set_asker(tri_envelope *envelope, const struct asker *asker) {
    envelope->ask_slot = asker->ask.slot;
    envelope->ask_generation = asker->ask.generation;
    envelope->ask_loop = (uint16_t)asker->actors->loop_id;
}

/* Needs no tail: its deadline is whether the asker still waits. */
static int request_here(struct asker *asker, const tr_ref *to, const struct tr_type *type,
                        const void *message) {
    tri_actors *actors = asker->actors;
    if (TRI_UNLIKELY(asks_itself(actors, to))) {
        return TR_EDEADLK;
    }
    tri_envelope *envelope = tri_message_make(actors, type, message);
    if (TRI_UNLIKELY(envelope == NULL)) {
        return tri_message_error(type, message);
    }
    set_asker(envelope, asker);
    envelope->to_slot = to->slot;
    envelope->to_generation = to->generation;
    int err = tri_envelope_deliver(actors, envelope);
    if (TRI_UNLIKELY(err < 0)) {
        tri_envelope_recycle(actors, envelope);
    }
    return err;
}

static int request_far(struct asker *asker, const tr_ref *to, tr_time timeout,
                       const struct tr_type *type, const void *message) {
    tri_actors *actors = asker->actors;
    tr_loop *loop = actors->loop;
    tri_envelope *envelope = tri_envelope_make(actors, TRI_MESSAGE, type, message, true);
    if (envelope == NULL) {
        return tri_message_error(type, message);
    }
    set_asker(envelope, asker);
    tri_tail *tail = tri_envelope_tail(envelope);
    tr_time now = tri_loop_update_now(loop);
    tail->deadline = timeout > TR_FOREVER - now ? TR_FOREVER : now + timeout;
    tail->reply_type = asker->ask.reply_type;
    envelope->flags |= TRI_ENVELOPE_PATIENT;
    int err = tri_envelope_send(loop, to, envelope);
    if (err < 0) {
        tri_envelope_recycle(actors, envelope);
    }
    return err;
}

/* *ret_was_sent false: the request found no room (TR_EFULL), or can't be sent at all. */
static int ask_once(tri_actors *actors, const tr_ref *to, tr_time timeout,
                    const struct tr_type *type, const void *message,
                    const struct tr_type *reply_type, void *ret_reply, bool *ret_was_sent) {
    tr_loop *loop = actors->loop;
    struct asker asker;
    *ret_was_sent = false;
    int err = asker_begin(&asker, actors, reply_type, ret_reply);
    if (TRI_UNLIKELY(err < 0)) {
        return err;
    }
    /* Before sending: the answer can come inside of it, from a mailbox that drops the request. */
    tri_timers_add_after(&loop->timers, &asker.timer, timeout);
    err = to->node == 0 && to->loop == actors->loop_id
              ? request_here(&asker, to, type, message)
              : request_far(&asker, to, timeout, type, message);
    if (TRI_UNLIKELY(err < 0)) {
        tri_timers_cancel(&loop->timers, &asker.timer);
        tri_ask_forget(loop, &asker.ask);
        return err;
    }
    *ret_was_sent = true;
    return tri_suspend(&asker.waiter);
}

/* Wait for room, and take the time that it took off the deadline. */
static int wait_for_room(tri_actors *actors, const tr_ref *to, size_t size, tr_time *timeout) {
    tr_timeout limit;
    tr_time begun = tri_loop_update_now(actors->loop);
    tr_timeout_begin(&limit, *timeout);
    int err = tri_room_wait(actors, to, size);
    err = tr_timeout_end(&limit, err);
    if (err == 0 && *timeout != TR_FOREVER) {
        *timeout -= tri_loop_update_now(actors->loop) - begun;
        err = *timeout > 0 ? 0 : TR_ETIMEOUT;
    }
    return err;
}

int tr_ask_message(tr_ref to, tr_time timeout, const struct tr_type *type, const void *message,
                   const struct tr_type *reply_type, void *ret_reply) {
    tr_loop *loop = tri_loop_here("tr_ask");
    TRI_USAGE(loop->current != NULL, "tr_ask", "may be called by a task or a handler only");
    if (TRI_UNLIKELY(timeout <= 0)) {
        return TR_ETIMEOUT;
    }
    tri_actors *actors = tri_actors_get(loop);
    if (TRI_UNLIKELY(actors == NULL)) {
        return -ENOMEM;
    }
    /* The message may borrow the strings of the last reply: that lives until this ask has ended. */
    tri_envelope *last = loop->current->held;
    loop->current->held = NULL;
    bool was_sent;
    int err;
    do {
        err = ask_once(actors, &to, timeout, type, message, reply_type, ret_reply, &was_sent);
        if (TRI_LIKELY(was_sent || err != TR_EFULL)) {
            break;
        }
        err = wait_for_room(actors, &to, tri_message_size(type, message), &timeout);
    } while (err == 0);
    if (TRI_UNLIKELY(last != NULL)) {
        tri_envelope_free(loop, last);
    }
    return err;
}

int tri_ask_spawned(tri_actors *actors, int (*begin)(tri_actors *actors, tri_ask_id id, void *arg),
                    void *arg, tr_ref *ret_ref) {
    struct asker asker;
    tri_spawned spawned;
    int err = asker_begin(&asker, actors, &tri_type_tri_spawned, &spawned);
    if (err < 0) {
        return err;
    }
    asker.waiter.keeps_result = true; /* an actor that is there must not be lost */
    err = begin(actors, tri_ask_id_of(actors->loop, &asker.ask), arg);
    if (err < 0) {
        tri_ask_forget(actors->loop, &asker.ask);
        return err;
    }
    err = tri_suspend(&asker.waiter);
    if (err == 0) {
        *ret_ref = spawned.who;
    }
    return err;
}
