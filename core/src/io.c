/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c: descriptors on a loop, and the socket calls that suspend.
 *
 * DESIGN
 *
 * A descriptor is registered once, edge-triggered, for both directions. Each direction keeps a
 * sticky bit `is_ready`, set from the start: a call tries the system call first, and only EAGAIN
 * clears the bit and makes it wait for the next edge. Edges are reported by the poller only, on
 * this thread, so none can slip in between the EAGAIN and the wait.
 *
 * A short read does not clear the bit. When data and the peer's FIN (or reset) arrive between two
 * polls they are one edge: the read after it is short, and there is no further edge for the end
 * of the stream. epoll would tell with EPOLLRDHUP and EPOLLERR, but libevent reports an error as
 * "readable and writable", which is also what any idle connection with fresh data looks like. So
 * the price is one read that gives EAGAIN before a wait, as in Go's and asyncio's runtimes.
 *
 * INVARIANTS
 *
 *   side->call != NULL   from the begin to the end of a call: a second one gets -EBUSY. Cancelling
 *                        a wait gives the side free at once.
 *   side->is_waiting     =>  side->call is suspended in wait_for_edge(), its waiter not woken
 *   refs                 one of the owner until tr_io_close(), one of each call that is inside:
 *                        the memory outlives the close for callers that still have to return
 *   fd < 0               <=>  closed
 */
#include "loop_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Calls in a row that found the descriptor ready, before everybody else gets a turn. */
enum { STREAK_MAX = 16 };
/* How long accept waits for a descriptor or memory to become free. */
#define SHORTAGE_PAUSE (100 * TR_MS)

struct io_side {
    struct io_call *call;
    int streak;
    bool is_ready;
    bool is_waiting;
};

struct tr_io {
    tr_loop *loop;           /* (C) */
    void *registration;      /* (L) the poller's */
    int fd;                  /* (L) */
    unsigned refs;           /* (L) */
    bool is_socket;          /* (C) */
    struct io_side sides[2]; /* (L) reading, writing */
};

/* One call of a task; lives in its frame. */
struct io_call {
    tri_waiter waiter;
    tr_io *io;
    struct io_side *side;
    const char *reason;
};

static struct io_side *side_of(tr_io *io, int ready) {
    return &io->sides[ready == TR_READABLE ? 0 : 1];
}

static void assert_here(const tr_io *io, const char *call) {
    TRI_USAGE(io->loop == tri_current_loop, call,
              "a descriptor belongs to the loop it was opened on");
}

/* ---- opening and closing ----------------------------------------------------------- */

static void wake_side(struct io_side *side, int result) {
    if (side->is_waiting) {
        side->is_waiting = false;
        tri_wake(&side->call->waiter, result);
    }
}

static void on_ready(void *arg, int ready) {
    tr_io *io = arg;
    for (int i = 0; i < 2; i++) {
        if ((ready & (i == 0 ? TR_READABLE : TR_WRITABLE)) != 0) {
            io->sides[i].is_ready = true;
            wake_side(&io->sides[i], 0);
        }
    }
}

static void io_unref(tr_io *io) {
    if (--io->refs == 0) {
        tri_free(io);
    }
}

static bool is_socket(int fd) {
    int type;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

int tr_io_open(int fd, tr_io **ret_io) {
    tr_loop *loop = tri_loop_here("tr_io_open");
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) {
        return -errno;
    }
    tr_io *io = tri_calloc(1, sizeof *io);
    if (io == NULL) {
        return -ENOMEM;
    }
    int err = loop->seams.poller->add(loop->poller, fd, on_ready, io, &io->registration);
    if (err < 0) {
        tri_free(io);
        return err;
    }
    /* Last, so that a descriptor that stays the caller's is as it was. */
    if ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        err = -errno;
        loop->seams.poller->remove(loop->poller, io->registration);
        tri_free(io);
        return err;
    }
    io->loop = loop;
    io->fd = fd;
    io->refs = 1;
    io->is_socket = is_socket(fd);
    io->sides[0].is_ready = true;
    io->sides[1].is_ready = true;
    *ret_io = io;
    return 0;
}

tr_io *tr_io_close(tr_io *io) {
    if (io == NULL) {
        return NULL;
    }
    assert_here(io, "tr_io_close");
    TRI_USAGE(io->fd >= 0, "tr_io_close", "a descriptor is closed once");
    /* First the registration: the number may be used again as soon as it is closed. */
    io->loop->seams.poller->remove(io->loop->poller, io->registration);
    close(io->fd);
    io->fd = -1;
    wake_side(&io->sides[0], -EBADF);
    wake_side(&io->sides[1], -EBADF);
    io_unref(io);
    return NULL;
}

int tr_io_fd(const tr_io *io) {
    return io->fd;
}

/* ---- one call ------------------------------------------------------------------------ */

static int begin_call(struct io_call *call, tr_io *io, int ready, const char *name,
                      const char *reason) {
    assert_here(io, name);
    TRI_USAGE(io->loop->current != NULL, name,
              "suspends: it may be called by a task or a handler, not by a callback");
    if (io->fd < 0) {
        return -EBADF;
    }
    *call = (struct io_call){.io = io, .side = side_of(io, ready), .reason = reason};
    if (call->side->call != NULL) {
        return -EBUSY;
    }
    call->side->call = call;
    io->refs++;
    return 0;
}

static int end_call(struct io_call *call, int result) {
    if (call->side->call == call) { /* a cancelled call has lost it already, maybe to another */
        call->side->call = NULL;
    }
    io_unref(call->io);
    return result;
}

static void cancel_wait(tri_waiter *waiter) {
    struct io_call *call = TRI_CONTAINER_OF(waiter, struct io_call, waiter);
    call->side->is_waiting = false;
    call->side->call = NULL;
    tri_wake(waiter, TR_ECANCELLED);
}

static int wait_for_edge(struct io_call *call) {
    call->waiter = (tri_waiter){.cancel = cancel_wait, .reason = call->reason};
    call->side->is_waiting = true;
    call->side->streak = 0;
    return tri_suspend(&call->waiter);
}

/* Before each system call: 0 when it is worth trying. */
static int await_ready(struct io_call *call) {
    int err = 0;
    if (call->io->fd < 0) {
        return -EBADF;
    }
    if (!call->side->is_ready) {
        err = wait_for_edge(call);
    } else if (++call->side->streak > STREAK_MAX) {
        call->side->streak = 0;
        err = tri_fiber_yield(call->io->loop);
    }
    if (err == 0 && call->io->fd < 0) {
        return -EBADF; /* closed between the wake-up and now */
    }
    return err;
}

/* After a system call failed: 0 means try again. */
static int after_failure(struct io_call *call, int err) {
    if (err == EAGAIN || err == EWOULDBLOCK) {
        call->side->is_ready = false;
        return 0;
    }
    return err == EINTR ? 0 : -err;
}

/* ---- readiness ------------------------------------------------------------------------ */

int tr_io_wait(tr_io *io, int ready) {
    TRI_USAGE(ready == TR_READABLE || ready == TR_WRITABLE, "tr_io_wait",
              "waits for TR_READABLE or for TR_WRITABLE, one at a time");
    struct io_call call;
    int err = begin_call(&call, io, ready, "tr_io_wait", "io_wait");
    if (err < 0) {
        return err;
    }
    return end_call(&call, await_ready(&call));
}

void tr_io_drained(tr_io *io, int ready) {
    assert_here(io, "tr_io_drained");
    if ((ready & TR_READABLE) != 0) {
        io->sides[0].is_ready = false;
    }
    if ((ready & TR_WRITABLE) != 0) {
        io->sides[1].is_ready = false;
    }
}

/* ---- reading and writing ---------------------------------------------------------------- */

int tr_io_read(tr_io *io, void *buffer, size_t size) {
    TRI_USAGE(size > 0 && size <= INT_MAX, "tr_io_read", "size is 1 to INT_MAX");
    struct io_call call;
    int err = begin_call(&call, io, TR_READABLE, "tr_io_read", "read");
    if (err < 0) {
        return err;
    }
    ssize_t n = -1;
    while (err == 0 && n < 0) {
        err = await_ready(&call);
        if (err == 0) {
            n = read(io->fd, buffer, size);
            err = n < 0 ? after_failure(&call, errno) : 0;
        }
    }
    return end_call(&call, err < 0 ? err : (int)n);
}

static ssize_t write_some(const tr_io *io, const char *bytes, size_t size) {
    /* SIGPIPE is for programs that don't look at results; only sockets can turn it off. */
    return io->is_socket ? send(io->fd, bytes, size, MSG_NOSIGNAL) : write(io->fd, bytes, size);
}

int tr_io_write(tr_io *io, const void *bytes, size_t size) {
    TRI_USAGE(size <= INT_MAX, "tr_io_write", "size is 0 to INT_MAX");
    struct io_call call;
    int err = begin_call(&call, io, TR_WRITABLE, "tr_io_write", "write");
    if (err < 0) {
        return err;
    }
    size_t done = 0;
    while (err == 0 && done < size) {
        err = await_ready(&call);
        if (err == 0) {
            ssize_t n = write_some(io, (const char *)bytes + done, size - done);
            if (n >= 0) {
                done += (size_t)n;
            } else {
                err = after_failure(&call, errno);
            }
        }
    }
    return end_call(&call, err);
}

/* ---- TCP ------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The address's size, or 0: not a numeric address. */
static socklen_t parse_address(const char *host, uint16_t port, union address *address) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return sizeof address->v4;
    }
    if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        return sizeof address->v6;
    }
    return 0;
}

static int tcp_socket(const union address *address) {
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static void set_option(int fd, int level, int option) {
    int on = 1;
    (void)setsockopt(fd, level, option, &on, sizeof on); /* matters for some kinds of socket only */
}

/* The descriptor is the loop's on success and closed otherwise. */
static int open_or_close(int fd, tr_io **ret_io) {
    int err = tr_io_open(fd, ret_io);
    if (err < 0) {
        close(fd);
    }
    return err;
}

int tr_tcp_listen(const char *host, uint16_t port, tr_io **ret_io) {
    union address address;
    (void)tri_loop_here("tr_tcp_listen");
    socklen_t size = parse_address(host, port, &address);
    if (size == 0) {
        return -EINVAL;
    }
    int fd = tcp_socket(&address);
    if (fd < 0) {
        return fd;
    }
    /* As asyncio: restart while old connections linger, and "::" means IPv6 only. */
    set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, &address.any, size) < 0 || listen(fd, SOMAXCONN) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return open_or_close(fd, ret_io);
}

/* The connect has begun: wait for its end. */
static int finish_connect(tr_io *io) {
    tr_io_drained(io, TR_WRITABLE);
    int err = tr_io_wait(io, TR_WRITABLE);
    if (err < 0) {
        return err;
    }
    int so_error = 0;
    socklen_t size = sizeof so_error;
    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &so_error, &size) < 0) {
        return -errno;
    }
    return -so_error;
}

int tr_tcp_connect(const char *host, uint16_t port, tr_io **ret_io) {
    union address address;
    tr_io *io = NULL;
    TRI_USAGE(tri_loop_here("tr_tcp_connect")->current != NULL, "tr_tcp_connect",
              "suspends: it may be called by a task or a handler, not by a callback");
    socklen_t size = parse_address(host, port, &address);
    if (size == 0) {
        return -EINVAL;
    }
    int fd = tcp_socket(&address);
    if (fd < 0) {
        return fd;
    }
    set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    /* Begun before it is registered: a fresh socket would be reported as hung up. */
    bool is_done = connect(fd, &address.any, size) == 0;
    if (!is_done && errno != EINPROGRESS && errno != EINTR) {
        int err = -errno;
        close(fd);
        return err;
    }
    int err = open_or_close(fd, &io);
    if (err == 0 && !is_done) {
        TRI_ASSERT(io != NULL);
        err = finish_connect(io);
        if (err < 0) {
            tr_io_close(io);
        }
    }
    if (err == 0) {
        *ret_io = io;
    }
    return err;
}

/* After accept failed: 0 means try again. */
static int after_accept_failure(struct io_call *call, int err) {
    switch (err) {
    /* Faults of the one connection that was to be taken. */
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET: return 0;
    /* The connection stays in the queue, so that trying again at once would spin. */
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        tr_log(TR_LOG_WARN, "accept: %s (%s); trying again in 100 ms", tr_err_text(-err),
               tr_err_name(-err));
        return tr_sleep(SHORTAGE_PAUSE);
    default: return after_failure(call, err);
    }
}

int tr_io_accept(tr_io *listener, tr_io **ret_io) {
    struct io_call call;
    int err = begin_call(&call, listener, TR_READABLE, "tr_io_accept", "accept");
    if (err < 0) {
        return err;
    }
    int fd = -1;
    while (err == 0 && fd < 0) {
        err = await_ready(&call);
        if (err == 0) {
            fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            err = fd < 0 ? after_accept_failure(&call, errno) : 0;
        }
    }
    if (err == 0) {
        set_option(fd, IPPROTO_TCP, TCP_NODELAY);
        err = open_or_close(fd, ret_io);
    }
    return end_call(&call, err);
}

int tr_io_port(const tr_io *io) {
    union address address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    if (getsockname(io->fd, &address.any, &size) < 0) {
        return -errno;
    }
    switch (address.any.sa_family) {
    case AF_INET: return ntohs(address.v4.sin_port);
    case AF_INET6: return ntohs(address.v6.sin6_port);
    default: return -EAFNOSUPPORT;
    }
}
