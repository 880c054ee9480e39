/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.c: the actor that other nodes ask to spawn and to look names up.
 *
 * DESIGN
 *
 * Its reference travels in HELLO and WELCOME; requests to it are messages as all others are, so they
 * have a deadline, fail when the node is down, and need no frames of their own. A spawn may wait for a
 * TR_INIT: that is done by a task for each request, which answers in the agent's place, so that one slow
 * start holds nobody up.
 *
 * The messages are part of the wire format: docs/wire.md.
 */
#include "transport_internal.h"

TR_MESSAGE(tri_agent_spawned, (1, ref, who));
TR_MESSAGE(tri_agent_start, (1, string, behaviour), (2, string, name), (3, uint64, arg_type),
           (4, bytes, arg), (5, int32, place), (6, uint64, key), (7, int32, overflow),
           (8, uint32, mailbox_messages), (9, uint32, mailbox_bytes), (10, bool, wait_for_init));
TR_REPLY(tri_agent_start, tri_agent_spawned);
TR_MESSAGE(tri_agent_found, (1, ref, who));
TR_MESSAGE(tri_agent_find, (1, string, name));
TR_REPLY(tri_agent_find, tri_agent_found);

typedef struct tri_agent {
    tri_transport *transport;
} tri_agent;

/* ---- spawning for others ------------------------------------------------------------- */

/* One request, while its spawn is going on. */
struct job {
    tri_transport *transport;
    tri_ask_id id;
    const struct tr_behaviour *behaviour;
    struct tr_spawn_opts opts;
    bool wait_for_init;
    char name[TRI_NAME_MAX + 1];
    uint64_t arg_type;
    size_t arg_size;
    uint8_t arg[];
};

static int spawn_with_arg(struct job *job, tr_ref *ret_ref) {
    tri_codec codec = {.node = job->transport->self.node,
                       .incarnation = job->transport->self.incarnation};
    void *message = NULL;
    int err = 0;
    if (job->arg_type != 0) {
        const struct tr_type *type = tri_type_find(job->transport->system, job->arg_type);
        message = type != NULL ? tri_malloc(type->size) : NULL;
        err = type == NULL ? TR_ENOTYPE : message == NULL ? -ENOMEM : 0;
        if (err == 0) {
            err = tri_codec_decode(&codec, type, job->arg, job->arg_size, message);
            job->opts.arg = (struct tr_arg){type, message};
        }
    }
    if (err == 0) {
        err = job->wait_for_init ? tr_spawn_with(ret_ref, job->behaviour, &job->opts)
                                 : tr_spawn_start_with(ret_ref, job->behaviour, &job->opts);
    }
    tri_codec_fini(&codec);
    tri_free(message);
    return err;
}

static int run_job(void *arg) {
    struct job *job = arg;
    tri_agent_spawned spawned = {0};
    int err = spawn_with_arg(job, &spawned.who);
    (void)tri_ask_answer(tri_current_loop, job->id, err,
                         err == 0 ? &tri_type_tri_agent_spawned : NULL, err == 0 ? &spawned : NULL);
    tri_free(job);
    return 0;
}

static int make_job(const tri_agent *agent, const tri_agent_start *m, struct job **ret_job) {
    const struct tr_behaviour *behaviour =
        tri_allowed_find(agent->transport, m->behaviour.data, m->behaviour.size);
    if (behaviour == NULL) {
        return TR_ENOTALLOWED;
    }
    if (m->name.size > TRI_NAME_MAX ||
        (m->name.size > 0 && memchr(m->name.data, 0, m->name.size) != NULL)) {
        return TR_ENAME;
    }
    struct job *job = tri_calloc(1, sizeof *job + m->arg.size);
    if (job == NULL) {
        return -ENOMEM;
    }
    job->transport = agent->transport;
    job->behaviour = behaviour;
    job->wait_for_init = m->wait_for_init;
    job->arg_type = m->arg_type;
    job->arg_size = m->arg.size;
    if (m->arg.size > 0) {
        memcpy(job->arg, m->arg.data, m->arg.size);
    }
    if (m->name.size > 0) {
        memcpy(job->name, m->name.data, m->name.size);
        job->opts.name = job->name;
    }
    /* "Here" is for the caller's loop, which is elsewhere: we choose. */
    job->opts.place = m->place == TR_HERE ? TR_LEAST_LOADED : m->place;
    job->opts.overflow = m->overflow;
    job->opts.key = m->key;
    job->opts.mailbox_messages = m->mailbox_messages;
    job->opts.mailbox_bytes = m->mailbox_bytes;
    *ret_job = job;
    return 0;
}

static int on_start(tr_self *self, tri_agent *agent, const tri_agent_start *m) {
    const tri_envelope *request = self->current;
    struct job *job;
    int err = make_job(agent, m, &job);
    if (err < 0) {
        return tr_reply_error(self, err);
    }
    job->id = (tri_ask_id){request->ask_slot, request->ask_generation, request->ask_loop};
    err = tr_task_new(tri_current_loop, "remote-spawn", run_job, job, NULL);
    if (err < 0) {
        tri_free(job);
        return tr_reply_error(self, err);
    }
    self->flags |= TRI_ACTOR_REPLIED; /* the task will */
    return 0;
}

/* ---- names ---------------------------------------------------------------------------- */

static int on_find(tr_self *self, tri_agent *agent, const tri_agent_find *m) {
    char name[TRI_NAME_MAX + 1];
    tr_ref who;
    (void)agent;
    /* An '@' would have us ask a third node, and wait for it. */
    if (m->name.size == 0 || m->name.size > TRI_NAME_MAX ||
        memchr(m->name.data, 0, m->name.size) != NULL ||
        memchr(m->name.data, '@', m->name.size) != NULL) {
        return tr_reply_error(self, TR_ENAME);
    }
    memcpy(name, m->name.data, m->name.size);
    name[m->name.size] = 0;
    int err = tr_whereis(name, &who);
    return err < 0 ? tr_reply_error(self, err) : tr_reply(self, tri_agent_found, .who = who);
}

/* ---- the actor -------------------------------------------------------------------------- */

TR_MESSAGE(tri_agent_init, (1, uint64, transport));

static int on_init(tr_self *self, tri_agent *agent, const tri_agent_init *m) {
    (void)self;
    agent->transport = (tri_transport *)(uintptr_t)m->transport;
    return 0;
}

/* Of the actors in the list of monitors. */
static int on_down(tr_self *self, tri_agent *agent, const tr_down *m) {
    (void)self;
    tri_monitors_forget(agent->transport, m->who);
    return 0;
}

TR_PROTOCOL(tri_agent, tri_agent_start, tri_agent_find, tr_down);
TR_BEHAVIOUR(tri_agent, TR_INIT(tri_agent_init, on_init), TR_ON(tri_agent_start, on_start),
             TR_ON(tri_agent_find, on_find), TR_ON(tr_down, on_down));

int tri_agent_start_here(tri_transport *transport) {
    return tr_spawn(&transport->agent, tri_agent,
                    .arg = TR_ARG(tri_agent_init, .transport = (uint64_t)(uintptr_t)transport),
                    .mailbox_messages = TR_UNBOUNDED, .mailbox_bytes = TR_UNBOUNDED);
}

/* ---- asking the agent of another node ---------------------------------------------------- */

int tri_agent_spawn(tri_transport *transport, tr_ref agent, tr_ref *ret_ref,
                    const struct tr_behaviour *behaviour, const struct tr_spawn_opts *opts,
                    bool wait_for_init) {
    tri_codec codec = {.node = transport->self.node, .incarnation = transport->self.incarnation};
    tri_buffer arg = {0};
    tri_agent_spawned spawned;
    int err = 0;
    if (opts->arg.type != NULL) {
        err = tri_codec_encode(&codec, opts->arg.type, opts->arg.message, &arg);
    }
    if (err == 0) {
        err = tr_ask(agent, TR_FOREVER, &spawned, tri_agent_start,
                     .behaviour = tr_str(behaviour->name),
                     .name = tr_str(opts->name != NULL ? opts->name : ""),
                     .arg_type = opts->arg.type != NULL ? tr_type_id(opts->arg.type) : 0,
                     .arg = {arg.data, arg.size}, .place = opts->place, .key = opts->key,
                     .overflow = opts->overflow, .mailbox_messages = opts->mailbox_messages,
                     .mailbox_bytes = opts->mailbox_bytes, .wait_for_init = wait_for_init);
    }
    tri_buffer_free(&arg);
    if (err == 0) {
        *ret_ref = spawned.who;
    }
    return err;
}

int tri_agent_whereis(tr_ref agent, const char *name, size_t size, tr_ref *ret_ref) {
    tri_agent_found found;
    int err = tr_ask(agent, TR_FOREVER, &found, tri_agent_find, .name = {name, size});
    if (err == 0) {
        *ret_ref = found.who;
    }
    return err;
}
