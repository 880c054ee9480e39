/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file io.h
 * Descriptors on a loop: readiness, and the socket calls of asyncio's loop as calls that suspend.
 *
 * A descriptor is registered once, edge-triggered, and closed through tr_io_close(). This is
 * not buffered I/O.
 */
#ifndef TROUPE_CORE_IO_H
#define TROUPE_CORE_IO_H

#include <troupe/core/seam.h>
#include <troupe/core/task.h>

/** A descriptor that a loop owns. */
typedef struct tr_io tr_io;

TR_BEGIN_DECLS

/** Hand a descriptor to the running loop.
 *
 * @param fd      a socket, pipe, eventfd, timerfd or terminal; made non-blocking. Owned by the
 *                object on success, still the caller's on failure.
 * @param ret_io  set on success; end it with tr_io_close()
 * @return 0
 * @retval -EPERM   the kernel can't poll it (a regular file)
 * @retval -EBADF   not a descriptor
 * @retval -ENOMEM
 * @thread loop
 */
TR_API TR_NODISCARD int tr_io_open(int fd, tr_io **ret_io);

/** Close the descriptor. Who waits on it gets -EBADF.
 *
 * @param io  NULL is allowed
 * @return NULL
 * @thread loop
 */
TR_API tr_io *tr_io_close(tr_io *io);

/** The descriptor, for calls that don't block: borrowed.
 *
 * @thread loop
 */
TR_API int tr_io_fd(const tr_io *io);

/** Wait until the descriptor is ready, as of its last edge.
 *
 * After a system call on tr_io_fd() gave EAGAIN, tell it with tr_io_drained() first.
 *
 * @param io     one reader and one writer may wait at a time
 * @param ready  TR_READABLE or TR_WRITABLE
 * @return 0: try the system call; an error of the descriptor also counts as ready
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval -EBADF         it was closed meanwhile
 * @retval -EBUSY         another task waits for the same
 * @thread task
 * @cancel nothing is left
 * @source Python's loop.add_reader() and loop.add_writer(), as a call that suspends
 */
TR_API TR_NODISCARD int tr_io_wait(tr_io *io, int ready);

/** Say that a system call on the descriptor gave EAGAIN: the next wait waits for a new edge.
 *
 * @param ready  TR_READABLE, TR_WRITABLE or both
 * @thread loop
 */
TR_API void tr_io_drained(tr_io *io, int ready);

/** Read what is there, waiting for the first byte.
 *
 * @param buffer  room for size bytes
 * @param size    1 to INT_MAX
 * @return bytes read; 0: the peer has closed its side
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval -EBUSY         another task reads
 * @return -errno of read(2): -ECONNRESET, ...
 * @thread task
 * @cancel nothing was read
 * @source Python's loop.sock_recv()
 */
TR_API TR_NODISCARD int tr_io_read(tr_io *io, void *buffer, size_t size);

/** Write all bytes.
 *
 * @param bytes  borrowed until the call returns
 * @param size   0 to INT_MAX
 * @return 0: the kernel has taken all of them
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval -EBUSY         another task writes
 * @return -errno of write(2): -EPIPE (no signal is raised for sockets), ...
 * @thread task
 * @cancel some of the bytes may be written: close the connection
 * @source Python's loop.sock_sendall()
 */
TR_API TR_NODISCARD int tr_io_write(tr_io *io, const void *bytes, size_t size);

/** Listen on a TCP address.
 *
 * @param host    a numeric address, "127.0.0.1" or "::1"
 * @param port    0: the kernel picks one, see tr_io_port()
 * @param ret_io  set on success
 * @return 0
 * @retval -EINVAL  not a numeric address
 * @return -errno of socket(2), bind(2), listen(2): -EADDRINUSE, ...
 * @thread loop
 */
TR_API TR_NODISCARD int tr_tcp_listen(const char *host, uint16_t port, tr_io **ret_io);

/** Connect to a TCP address.
 *
 * @param host    a numeric address
 * @param port    1 to 65535
 * @param ret_io  set on success
 * @return 0
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval -EINVAL        not a numeric address
 * @return -errno of socket(2), connect(2): -ECONNREFUSED, ...
 * @thread task
 * @cancel the attempt is closed
 * @source Python's loop.sock_connect()
 */
TR_API TR_NODISCARD int tr_tcp_connect(const char *host, uint16_t port, tr_io **ret_io);

/** Take the next connection of a listening socket.
 *
 * When the process has no descriptor left, waits a tenth of a second and tries again.
 *
 * @param listener  of tr_tcp_listen() or any listening socket
 * @param ret_io    set on success
 * @return 0
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval -EBADF         the listener was closed meanwhile
 * @retval -EBUSY         another task accepts
 * @retval -ENOMEM
 * @return another -errno of accept(2) that is not a fault of one connection
 * @thread task
 * @cancel no connection was taken
 * @source Python's loop.sock_accept()
 */
TR_API TR_NODISCARD int tr_io_accept(tr_io *listener, tr_io **ret_io);

/** The local port of a TCP socket.
 *
 * @return 1 to 65535, or -errno of getsockname(2)
 * @thread loop
 */
TR_API int tr_io_port(const tr_io *io);

TR_END_DECLS

#endif /* TROUPE_CORE_IO_H */
