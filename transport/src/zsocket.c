/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zsocket.c: ZeroMQ sockets on a loop. The only file that includes <zmq.h>.
 *
 * DESIGN
 *
 * ZMQ_FD is the eventfd of a socket's command mailbox, not of its messages, and any call on the
 * socket may drain it: an edge of the descriptor only says "look at ZMQ_EVENTS", and its absence says
 * nothing. So everything goes through pump():
 *
 *   - it asks ZMQ_EVENTS, receives up to a budget, tells a waiting sender, and asks again, until
 *     there was nothing to do;
 *   - when the budget ends first, the socket goes to the loop's ready queue, because no further edge
 *     may come for what is there already;
 *   - each call made outside pump() marks the socket dirty: the loop's flush list pumps it at the end of
 *     the turn, so always before the loop sleeps;
 *   - EAGAIN of a send is not believed: for some milliseconds after commands were processed, libzmq
 *     says it without looking at its mailbox. ZMQ_EVENTS looks.
 *
 * tri_zsocket_check() is the tripwire behind all this: what it finds was missed.
 *
 * An inbox is a ROUTER that never sends, a dialer a DEALER that never receives; what comes in on a
 * dialer all the same is thrown away. A dialer can't be trusted to reconnect: after a protocol error
 * libzmq gives an endpoint up without a word. Its owner closes it after a silence and makes
 * another.
 *
 * INVARIANTS
 *
 *   handle == NULL  =>  closed; the memory waits for the loop to let go of flush and node
 *   is_ready        <=>  node is in the loop's ready queue
 */
#include "zsocket_internal.h"

#include "frame_internal.h"

#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <zmq.h>

enum {
    BUDGET_FRAMES = 128,
    BUDGET_BYTES = 256 * 1024,
    QUEUE_FRAMES = 128,      /* SNDHWM, RCVHWM: frames are batches */
    KERNEL_BUFFER = 1 << 18, /* SNDBUF, RCVBUF, bytes */
    SOCKETS_MAX = 4096,
    ZMTP_BEAT_MS = 2000,
    ZMTP_PATIENCE_MS = 6000,
    ZMTP_TTL_MAX_MS = 6000 * 1000,
    HANDSHAKE_MS = 5000,
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 5000
};

struct tri_zcontext {
    void *handle;
    uint64_t missed; /* (L) of the loop that owns the sockets */
};

struct tri_zsocket {
    tri_node node;                      /* (L) first member: ready queue */
    tri_flush flush;                    /* (L) */
    void *handle;                       /* (L) NULL: closed */
    void *registration;                 /* (L) the poller's */
    int fd;                             /* (C) ZMQ_FD */
    tri_zcontext *context;              /* (C) */
    tr_loop *loop;                      /* (C) */
    const struct tri_zsocket_ops *ops;  /* (L) */
    void *arg;                          /* (L) */
    bool is_inbox;                      /* (C) */
    bool is_ready, is_pumping, wants;   /* (L) */
    char address[TRI_ADDRESS_MAX + 33]; /* (C) */
};

/* ---- context ---------------------------------------------------------------------- */

/* libzmq's threads inherit the affinity of the thread that makes the first socket, which is a loop
 * pinned to one CPU: give them all that the process may use. */
static void widen_affinity(void *context, const tr_runtime *runtime) {
    const int *cpus;
    int count = tri_runtime_cpus(runtime, &cpus);
    for (int i = 0; i < count; i++) {
        (void)zmq_ctx_set(context, ZMQ_THREAD_AFFINITY_CPU_ADD, cpus[i]);
    }
}

int tri_zcontext_new(const tr_runtime *runtime, tri_zcontext **ret_context) {
    tri_zcontext *context = tri_calloc(1, sizeof *context);
    if (context == NULL) {
        return -ENOMEM;
    }
    context->handle = zmq_ctx_new();
    if (context->handle == NULL) {
        int err = errno > 0 ? -errno : -ENOMEM;
        tri_free(context);
        return err;
    }
    (void)zmq_ctx_set(context->handle, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
    (void)zmq_ctx_set(context->handle, ZMQ_BLOCKY, 0); /* LINGER 0 unless told */
    widen_affinity(context->handle, runtime);
    *ret_context = context;
    return 0;
}

void tri_zcontext_free(tri_zcontext *context) {
    if (context == NULL) {
        return;
    }
    (void)zmq_ctx_shutdown(context->handle);
    while (zmq_ctx_term(context->handle) < 0 && zmq_errno() == EINTR) {
    }
    tri_free(context);
}

uint64_t tri_zcontext_missed(const tri_zcontext *context) {
    return context->missed;
}

/* ---- pumping ------------------------------------------------------------------------- */

/* ZMQ_POLLIN, ZMQ_POLLOUT; processes what waits in the command mailbox. */
static int events_of(tri_zsocket *socket) {
    int events = 0;
    size_t size = sizeof events;
    while (zmq_getsockopt(socket->handle, ZMQ_EVENTS, &events, &size) < 0) {
        if (zmq_errno() != EINTR) {
            return 0;
        }
    }
    return events;
}

static bool receive_part(tri_zsocket *socket, zmq_msg_t *part) {
    while (zmq_msg_recv(part, socket->handle, ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() != EINTR) {
            return false;
        }
    }
    return true;
}

/* One message; of an inbox: routing id and frame. Returns its size in bytes, or -1: there is none.
 * The parts of a message arrive together. Ours have one behind the id; what has more is dropped. */
static int64_t receive_one(tri_zsocket *socket) {
    zmq_msg_t id, part;
    zmq_msg_init(&id);
    zmq_msg_init(&part);
    bool received = receive_part(socket, &id);
    int64_t size = received ? 0 : -1;
    bool more = received && zmq_msg_more(&id);
    for (int index = 1; more && receive_part(socket, &part); index++) {
        size += (int64_t)zmq_msg_size(&part);
        more = zmq_msg_more(&part);
        if (socket->is_inbox && index == 1 && !more) {
            socket->ops->frame(socket->arg, zmq_msg_data(&id), zmq_msg_size(&id),
                               zmq_msg_data(&part), zmq_msg_size(&part));
        }
    }
    zmq_msg_close(&part);
    zmq_msg_close(&id);
    return size;
}

/* True: there may be more. */
static bool receive_budget(tri_zsocket *socket) {
    int64_t bytes = 0;
    for (int frames = 0; frames < BUDGET_FRAMES && bytes < BUDGET_BYTES; frames++) {
        int64_t size = receive_one(socket);
        if (size < 0) {
            return false;
        }
        bytes += size;
    }
    return true;
}

static void release(tri_zsocket *socket) {
    if (socket->handle == NULL && !socket->flush.is_queued && !socket->is_ready &&
        !socket->is_pumping) {
        tri_free(socket);
    }
}

/* Returns whether there was anything to do. */
static bool pump(tri_zsocket *socket) {
    bool worked = false;
    if (socket->handle == NULL || socket->is_pumping) {
        return false;
    }
    socket->is_pumping = true;
    for (;;) {
        int events = events_of(socket);
        bool can_receive = (events & ZMQ_POLLIN) != 0;
        bool can_send = (events & ZMQ_POLLOUT) != 0 && socket->wants;
        if (!can_receive && !can_send) {
            break;
        }
        worked = true;
        if (can_send) {
            socket->wants = false;
            socket->ops->writable(socket->arg);
        }
        if (socket->handle == NULL) {
            break; /* closed by what was told */
        }
        if (can_receive && receive_budget(socket) && !socket->is_ready) {
            socket->is_ready = true;
            tri_loop_ready(socket->loop, &socket->node);
            break;
        }
    }
    socket->is_pumping = false;
    return worked;
}

static void on_turn(tr_loop *loop, tri_node *node) {
    tri_zsocket *socket = TRI_CONTAINER_OF(node, tri_zsocket, node);
    (void)loop;
    socket->is_ready = false;
    (void)pump(socket);
    release(socket);
}

static void on_flush(tr_loop *loop, tri_flush *flush) {
    tri_zsocket *socket = TRI_CONTAINER_OF(flush, tri_zsocket, flush);
    (void)loop;
    (void)pump(socket);
    release(socket);
}

/* The descriptor is an eventfd, which is always writable; only its being readable says something. */
static void on_edge(void *arg, int ready) {
    tri_zsocket *socket = arg;
    if ((ready & TR_READABLE) != 0) {
        (void)pump(socket);
        release(socket);
    }
}

static void mark_dirty(tri_zsocket *socket) {
    if (!socket->is_pumping) {
        tri_loop_flush_later(socket->loop, &socket->flush);
    }
}

void tri_zsocket_check(tri_zsocket *socket) {
    if (socket == NULL || socket->flush.is_queued || socket->is_ready) {
        return; /* it will be looked at anyway */
    }
    /* A readable descriptor only means that the edge is still to be reported. */
    struct pollfd edge = {.fd = socket->fd, .events = POLLIN};
    bool is_coming = poll(&edge, 1, 0) > 0;
    tri_zcontext *context = socket->context;
    bool worked = pump(socket);
    context->missed += worked && !is_coming;
    release(socket);
}

/* ---- making and closing ------------------------------------------------------------------ */

static int set_int(void *handle, int option, int value) {
    return zmq_setsockopt(handle, option, &value, sizeof value) < 0 ? -zmq_errno() : 0;
}

struct int_option {
    int option, value;
};

static int set_ints(void *handle, const struct int_option *options, size_t count) {
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++) {
        err = set_int(handle, options[i].option, options[i].value);
    }
    return err;
}

/* Everything that must be said before bind or connect. */
static int set_options(tri_zsocket *socket, const struct tri_zsocket_opts *opts) {
    int64_t patience = opts->patience / TR_MS;
    patience = patience < ZMTP_PATIENCE_MS ? ZMTP_PATIENCE_MS : patience;
    patience = patience > ZMTP_TTL_MAX_MS ? ZMTP_TTL_MAX_MS : patience;
    int64_t max_frame = (int64_t)opts->max_frame;
    const struct int_option both[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_SNDHWM, QUEUE_FRAMES},
        {ZMQ_RCVHWM, QUEUE_FRAMES},
        {ZMQ_SNDBUF, KERNEL_BUFFER},
        {ZMQ_RCVBUF, KERNEL_BUFFER},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_HEARTBEAT_IVL, ZMTP_BEAT_MS},
        {ZMQ_HEARTBEAT_TIMEOUT, (int)patience},
        {ZMQ_HEARTBEAT_TTL, (int)patience},
        /* Only where it is needed: an IPv4 address would come out as [::ffff:127.0.0.1]. */
        {ZMQ_IPV6, strchr(opts->address, '[') != NULL},
    };
    static const struct int_option inbox[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_ROUTER_HANDOVER, 1},
    };
    static const struct int_option dialer[] = {
        {ZMQ_IMMEDIATE, 1}, /* nothing is queued for a peer that may be gone */
        {ZMQ_RECONNECT_IVL, RECONNECT_MS},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
    };
    int err = set_ints(socket->handle, both, sizeof both / sizeof both[0]);
    if (err == 0 &&
        zmq_setsockopt(socket->handle, ZMQ_MAXMSGSIZE, &max_frame, sizeof max_frame) < 0) {
        err = -zmq_errno();
    }
    if (err == 0 && socket->is_inbox) {
        err = set_ints(socket->handle, inbox, sizeof inbox / sizeof inbox[0]);
    } else if (err == 0) {
        err = set_ints(socket->handle, dialer, sizeof dialer / sizeof dialer[0]);
        if (err == 0 && opts->id != NULL &&
            zmq_setsockopt(socket->handle, ZMQ_ROUTING_ID, opts->id, opts->id_size) < 0) {
            err = -zmq_errno();
        }
    }
    return err;
}

/* libzmq would silently take the path over from a process that still listens there. */
static bool somebody_listens(const char *address) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strncmp(address, "ipc://", 6) != 0 || strlen(address + 6) >= sizeof un.sun_path) {
        return false;
    }
    memcpy(un.sun_path, address + 6, strlen(address + 6) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool listens = connect(fd, (const struct sockaddr *)&un, sizeof un) == 0 || errno == EAGAIN;
    close(fd);
    return listens;
}

/* libzmq has error numbers of its own, from ZMQ_HAUSNUMERO up. */
static int system_error(int number) {
    return number > 0 && number < 4000 ? -number : number == EMTHREAD ? -EMFILE : -EIO;
}

static int attach(tri_zsocket *socket, const struct tri_zsocket_opts *opts) {
    size_t size = sizeof socket->address;
    if (socket->is_inbox && somebody_listens(opts->address)) {
        return -EADDRINUSE;
    }
    int rc = socket->is_inbox ? zmq_bind(socket->handle, opts->address)
                              : zmq_connect(socket->handle, opts->address);
    if (rc < 0 || zmq_getsockopt(socket->handle, ZMQ_LAST_ENDPOINT, socket->address, &size) < 0) {
        return system_error(zmq_errno());
    }
    size = sizeof socket->fd;
    if (zmq_getsockopt(socket->handle, ZMQ_FD, &socket->fd, &size) < 0) {
        return system_error(zmq_errno());
    }
    return socket->loop->seams.poller->add(socket->loop->poller, socket->fd, on_edge, socket,
                                           &socket->registration);
}

static int make(tri_zsocket *socket, const struct tri_zsocket_opts *opts,
                tri_zsocket **ret_socket) {
    if (socket == NULL) {
        return -ENOMEM;
    }
    socket->handle =
        zmq_socket(socket->context->handle, socket->is_inbox ? ZMQ_ROUTER : ZMQ_DEALER);
    if (socket->handle == NULL) {
        int err = system_error(zmq_errno());
        tri_free(socket);
        return err;
    }
    int err = set_options(socket, opts);
    if (err == 0) {
        err = attach(socket, opts);
    }
    if (err < 0) {
        (void)zmq_close(socket->handle);
        tri_free(socket);
        return err;
    }
    mark_dirty(socket);
    *ret_socket = socket;
    return 0;
}

static tri_zsocket *prepare(tri_zcontext *context, tr_loop *loop, bool is_inbox,
                            const struct tri_zsocket_ops *ops, void *arg) {
    tri_zsocket *socket = tri_calloc(1, sizeof *socket);
    if (socket != NULL) {
        socket->node.run = on_turn;
        socket->flush.run = on_flush;
        socket->context = context;
        socket->loop = loop;
        socket->is_inbox = is_inbox;
        socket->ops = ops;
        socket->arg = arg;
    }
    return socket;
}

int tri_zsocket_listen(tri_zcontext *context, tr_loop *loop, const struct tri_zsocket_opts *opts,
                       const struct tri_zsocket_ops *ops, void *arg, tri_zsocket **ret_socket) {
    return make(prepare(context, loop, true, ops, arg), opts, ret_socket);
}

int tri_zsocket_dial(tri_zcontext *context, tr_loop *loop, const struct tri_zsocket_opts *opts,
                     const struct tri_zsocket_ops *ops, void *arg, tri_zsocket **ret_socket) {
    return make(prepare(context, loop, false, ops, arg), opts, ret_socket);
}

void tri_zsocket_hand_over(tri_zsocket *socket, const struct tri_zsocket_ops *ops, void *arg) {
    socket->ops = ops;
    socket->arg = arg;
}

tri_zsocket *tri_zsocket_close(tri_zsocket *socket) {
    if (socket == NULL) {
        return NULL;
    }
    TRI_ASSERT(socket->loop == tri_current_loop);
    /* First the registration: the descriptor's number may be used again at once. */
    socket->loop->seams.poller->remove(socket->loop->poller, socket->registration);
    (void)zmq_close(socket->handle);
    socket->handle = NULL;
    release(socket);
    return NULL;
}

/* ---- using ------------------------------------------------------------------------------------ */

const char *tri_zsocket_address(const tri_zsocket *socket) {
    return socket->address;
}

int tri_zsocket_send(tri_zsocket *socket, const void *bytes, size_t size) {
    bool looked = false;
    mark_dirty(socket);
    for (;;) {
        if (zmq_send(socket->handle, bytes, size, ZMQ_DONTWAIT) >= 0) {
            return 0;
        }
        int number = zmq_errno();
        if (number == EAGAIN && !looked) {
            looked = true;
            if ((events_of(socket) & ZMQ_POLLOUT) == 0) {
                return -EAGAIN;
            }
        } else if (number != EINTR) {
            return system_error(number);
        }
    }
}

void tri_zsocket_want(tri_zsocket *socket) {
    socket->wants = true;
    mark_dirty(socket);
}
