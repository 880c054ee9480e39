/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file error.h
 * Result codes: 0 or a count is success, a negative value is an error.
 *
 * -1 to -4000 is `-errno`, as the system reported it. Ours begin at -4001, one
 * range a layer, and are never renumbered. `errno` itself does not survive a
 * suspension and is never part of the interface.
 */
#ifndef TROUPE_CORE_ERROR_H
#define TROUPE_CORE_ERROR_H

#include <troupe/core/base.h>

/* clang-format off */
/** Name, number and sentence of each error. Append only. */
#define TR_ERROR_MAP(X)                                                                   \
    X(TR_ECANCELLED,  -4001, "the waiting task was cancelled")                            \
    X(TR_ETIMEOUT,    -4002, "the deadline set by this program passed")                   \
    X(TR_EPENDING,    -4003, "the future has no result yet")                              \
    X(TR_EFULL,       -4004, "a bounded queue is full")                                   \
    X(TR_ESHUTDOWN,   -4005, "the loop or object has been shut down")                     \
    X(TR_ELIMIT,      -4006, "a configured limit was reached")                            \
    X(TR_EOF,         -4007, "the stream ended before the data did")                      \
    X(TR_ENESTED,     -4008, "a loop is already running in this thread")                  \
    X(TR_EINTERRUPTED,-4009, "the program was asked to stop by a signal")                 \
    X(TR_ENOACTOR,    -4101, "no such actor: it has ended or never was")                  \
    X(TR_EUNHANDLED,  -4102, "the actor does not handle this type of message")            \
    X(TR_EREPLY,      -4103, "the reply is not of the type that the request asks for")    \
    X(TR_ENOREPLY,    -4104, "the actor handled the request without a reply")             \
    X(TR_ENAME,       -4105, "the name is taken, empty, too long or not well formed")     \
    X(TR_EDEADLK,     -4106, "the receiver waits for this very asker")                    \
    X(TR_EKILLED,     -4107, "the actor was killed")                                      \
    X(TR_EDROPPED,    -4108, "the message was dropped by the mailbox's policy")           \
    X(TR_ENOPLACE,    -4109, "there is no such loop to place the actor on")               \
    X(TR_ENODE,       -4201, "no such node is known")                                     \
    X(TR_ENODEDOWN,   -4202, "the node was declared down: the outcome is unknown")        \
    X(TR_ENOTLINKED,  -4203, "the node is known but no link to it is up")                 \
    X(TR_EADDRESS,    -4204, "the address is not well formed or not allowed")             \
    X(TR_EPROTOCOL,   -4205, "the peer does not follow the link protocol")                \
    X(TR_EREFUSED,    -4206, "the peer refused the link")                                 \
    X(TR_ENOTYPE,     -4207, "the peer does not know this type of message")               \
    X(TR_ENOTALLOWED, -4208, "the node does not let others spawn this behaviour")         \
    X(TR_ETOOBIG,     -4209, "the message is larger than a link carries")
/* clang-format on */

/** Troupe's own result codes; tr_err_text() has a sentence for each. */
enum tr_error {
#define TRI_ERROR_ENUM(name, number, text) name = number,
    TR_ERROR_MAP(TRI_ERROR_ENUM)
#undef TRI_ERROR_ENUM
};

TR_BEGIN_DECLS

/** The name of a result code.
 *
 * @param err  a result of any Troupe function, or `-errno`
 * @return "TR_ETIMEOUT", "ECONNREFUSED", "OK" for 0 and more, or "E?" for an unknown number;
 *         static storage
 * @thread any
 */
TR_API const char *tr_err_name(int err);

/** One sentence about a result code, without a full stop.
 *
 * @param err  a result of any Troupe function, or `-errno`
 * @return static storage; "unknown error" for an unknown number
 * @thread any
 */
TR_API const char *tr_err_text(int err);

TR_END_DECLS

#endif /* TROUPE_CORE_ERROR_H */
