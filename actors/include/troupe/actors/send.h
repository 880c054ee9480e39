/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file send.h
 * Sending, asking, replying, receiving; and what happens to messages that reach nobody.
 *
 * Messages from one sender to one receiver arrive in sending order.
 */
#ifndef TROUPE_ACTORS_SEND_H
#define TROUPE_ACTORS_SEND_H

#include <troupe/actors/actor.h>

TR_BEGIN_DECLS

/** Send a message. tr_send() is the short form. Never suspends.
 *
 * On the same loop the result is final. Across loops, from foreign threads and to other nodes, 0
 * means accepted for delivery: a later refusal is exactly one dead letter.
 *
 * @param to       any reference; sending to one that has ended is safe
 * @param type     &tri_type_...: use tr_send()
 * @param message  the struct; copied, the bytes of its strings included
 * @return 0
 * @retval TR_EFULL       the mailbox, or what may be on its way to that loop or node, is full
 * @retval TR_ENOACTOR    the actor has ended (same loop), or there is no such loop
 * @retval TR_ESHUTDOWN   its loop has ended
 * @retval TR_ENODE, TR_ENOTLINKED, TR_ENODEDOWN  its node can't be reached; TR_ENODE also from a
 *                        foreign thread, which can send to actors of its own process only
 * @retval TR_ETOOBIG     the message is larger than 2 GiB here, or than a link carries
 * @retval -ENOMEM
 * @return on the same loop also: the error that the actor ended with
 * @thread any
 */
TR_API int tr_send_message(tr_ref to, const struct tr_type *type, const void *message);

/** Send a message, waiting while there is no room. tr_send_wait() is the short form.
 *
 * A message that was accepted for an actor of this process is not refused for want of room later.
 * Towards another node the wait is for room on the link: a full mailbox there makes a dead letter.
 *
 * @return 0, or as tr_send_message(), but never TR_EFULL
 * @retval TR_ECANCELLED  the caller was cancelled
 * @thread task
 * @cancel nothing was sent
 */
TR_API TR_NODISCARD int tr_send_wait_message(tr_ref to, const struct tr_type *type,
                                             const void *message);

/** Send a request and wait for its reply. tr_ask() is the short form.
 *
 * Waits for room as well, as tr_send_wait() does, within the same deadline. The deadline travels
 * with the request: a receiver doesn't run one that has expired. Strings in the reply are valid until the same task or handler asks again or ends.
 *
 * @param to          any reference
 * @param timeout     nanoseconds, or TR_FOREVER; 0 or less: TR_ETIMEOUT at once
 * @param type        of the request
 * @param message     the request
 * @param reply_type  what the answer must be
 * @param ret_reply   the struct of the reply; set on success only
 * @return 0
 * @retval TR_ETIMEOUT    the time is over; the request may have been or be handled
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval TR_ENOACTOR    the actor has ended, with reason 0 or too long ago to say
 * @retval TR_EUNHANDLED  the actor doesn't handle this type
 * @retval TR_ENOREPLY    the handler returned without a reply
 * @retval TR_EDEADLK     the receiver is the caller
 * @retval TR_EDROPPED    the receiver's mailbox was full, and its policy dropped the request
 * @retval TR_EFULL       the mailbox of a receiver on another node was full
 * @retval TR_ENODEDOWN   its node was declared down: the outcome is unknown
 * @return another negative value: the error that the receiver ended with, or as tr_send_message()
 * @thread task
 * @cancel a reply that comes later is thrown away
 * @source Erlang's gen_server:call/3
 */
TR_API TR_NODISCARD int tr_ask_message(tr_ref to, tr_time timeout, const struct tr_type *type,
                                       const void *message, const struct tr_type *reply_type,
                                       void *ret_reply);

/** Answer the request that is being handled. tr_reply() is the short form.
 *
 * @param self     the running actor
 * @param type     must be the TR_REPLY() of the request
 * @param message  copied
 * @return 0; also when nobody asked, or the asker is gone
 * @retval TR_EREPLY  the asker expects another type; it gets this error too
 * @retval -ENOMEM    the asker gets this error too
 * @thread loop
 */
TR_API int tr_reply_message(tr_self *self, const struct tr_type *type, const void *message);

/** Answer the request that is being handled with an error; tr_ask() returns it.
 *
 * @param self  the running actor
 * @param err   negative
 * @return 0
 * @thread loop
 */
TR_API int tr_reply_error(tr_self *self, int err);

#ifndef __cplusplus
/** tr_send(to, add, .amount = 3) */
#define tr_send(to, ...) tr_send_message((to), TRI_TYPE_OF(__VA_ARGS__), TRI_LITERAL(__VA_ARGS__))
/** tr_send_wait(to, add, .amount = 3) */
#define tr_send_wait(to, ...) \
    tr_send_wait_message((to), TRI_TYPE_OF(__VA_ARGS__), TRI_LITERAL(__VA_ARGS__))
/** tr_ask(to, 5 * TR_SECOND, &reply, query, .field = value): the type of &reply is checked. */
#define tr_ask(to, timeout, ret, ...)                                                   \
    tr_ask_message((to), (timeout), TRI_TYPE_OF(__VA_ARGS__), TRI_LITERAL(__VA_ARGS__), \
                   TRI_REPLY_TYPE(__VA_ARGS__, ~), TRI_REPLY_CHECK(ret, __VA_ARGS__, ~))
#define TRI_REPLY_TYPE(name, ...)       tri_reply_type_of_##name
#define TRI_REPLY_CHECK(ret, name, ...) _Generic((ret), tri_reply_of_##name * : (ret))
/** tr_reply(self, total, .value = 3) */
#define tr_reply(self, ...) \
    tr_reply_message((self), TRI_TYPE_OF(__VA_ARGS__), TRI_LITERAL(__VA_ARGS__))
#endif

/* ---- process form ---------------------------------------------------------------------------- */

/** A message that tr_receive() took out of the mailbox. */
typedef struct tr_received {
    const struct tr_type *type; /**< its type: compare with tr_is() */
    const void *message;        /**< the struct, borrowed until the next tr_receive() */
} tr_received;

/** Take the first message of certain types, waiting for it. Others stay in the mailbox.
 *
 * The message that the last call gave is over with this call: if it was a request without a
 * reply, its asker gets TR_ENOREPLY.
 *
 * @param self     the running process
 * @param timeout  nanoseconds; 0: only what is there; TR_FOREVER
 * @param types    type_count types, &tri_type_...; NULL: any. TR_TYPES() makes the list.
 * @param type_count  how many
 * @param ret      set on success
 * @return 0
 * @retval TR_ETIMEOUT    the time is over
 * @retval TR_ESHUTDOWN   tr_stop() was called: clean up and return
 * @retval TR_ECANCELLED  the actor is being killed, or a time limit is over
 * @thread task
 * @cancel no message was taken
 * @source Erlang's receive
 */
TR_API TR_NODISCARD int tr_receive_types(tr_self *self, tr_time timeout,
                                         const struct tr_type *const *types, size_t type_count,
                                         tr_received *ret);

/** tr_receive(self, timeout, &m): any message. */
#define tr_receive(self, timeout, ret) tr_receive_types((self), (timeout), NULL, 0, (ret))
/** Whether a received message is of a type: tr_is(&m, add). */
#define tr_is(received, name) ((received)->type == &tri_type_##name)
/** A received message as its struct: const add *a = tr_as(&m, add). */
#define tr_as(received, name) ((const name *)(received)->message)

/* ---- dead letters ------------------------------------------------------------------------------- */

/** A message that reached nobody; valid during the call only. */
struct tr_dead_letter {
    tr_ref to;                  /**< whom it was for */
    const struct tr_type *type; /**< what it was */
    const void *message;        /**< the struct; NULL when it is not known any more */
    int reason; /**< why: TR_ENOACTOR, TR_EFULL, the error the actor ended with, ... */
};

/** Told of dead letters, on the loop where each was found to be one. Must not suspend. */
typedef void tr_dead_letter_fn(void *arg, const struct tr_dead_letter *letter);

/** Be told of every dead letter of this runtime. Without it they are logged.
 *
 * @param runtime  tr_loop_runtime(tr_loop_running())
 * @param fn       NULL: log them
 * @param arg      given to fn
 * @return 0
 * @retval -ENOMEM
 * @thread loop (before other loops have actors)
 */
TR_API int tr_set_dead_letter_handler(tr_runtime *runtime, tr_dead_letter_fn *fn, void *arg);

/** What the actors of a loop have done so far. */
struct tr_actor_stats {
    uint64_t actors;       /**< alive now */
    uint64_t spawned;      /**< since the start */
    uint64_t handled;      /**< messages that reached a handler */
    uint64_t sent_far;     /**< messages sent to other loops and nodes */
    uint64_t dead_letters; /**< messages that reached nobody */
};

/** Read the counters of the running loop.
 *
 * @param ret_stats  filled; zeros where no actor has been
 * @thread loop
 */
TR_API void tr_actors_get_stats(struct tr_actor_stats *ret_stats);

TR_END_DECLS

#ifdef __cplusplus
/** tr_send(to, add{3}) */
template <class M> inline int tr_send(tr_ref to, const M &message) {
    return tr_send_message(to, tri_type_of(&message), &message);
}
/** tr_send_wait(to, add{3}) */
template <class M> inline int tr_send_wait(tr_ref to, const M &message) {
    return tr_send_wait_message(to, tri_type_of(&message), &message);
}
/** tr_ask(to, 5 * TR_SECOND, &reply, query{}): the type of &reply is checked. */
template <class M>
inline int tr_ask(tr_ref to, tr_time timeout,
                  decltype(tri_reply_of(static_cast<const M *>(nullptr))) ret, const M &message) {
    return tr_ask_message(to, timeout, tri_type_of(&message), &message, tri_type_of(ret), ret);
}
/** tr_reply(self, total{3}) */
template <class M> inline int tr_reply(tr_self *self, const M &message) {
    return tr_reply_message(self, tri_type_of(&message), &message);
}
#endif

#endif /* TROUPE_ACTORS_SEND_H */
