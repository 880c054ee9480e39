/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node.h
 * Nodes: processes that know each other by name, and whose actors talk as if they were one.
 *
 * @code
 *     static const struct tr_peer peers[] = {{"stage", "tcp://127.0.0.1:7001"}};
 *     int err = tr_node_start(&(struct tr_node_opts){.name = "house", .listen = "tcp://127.0.0.1:7002",
 *                                                    .peers = peers, .peer_count = 1});
 *     if (err == 0) {
 *         err = tr_node_wait("stage", 5 * TR_SECOND);
 *     }
 *     tr_ref c;
 *     if (err == 0) {
 *         err = tr_whereis("counter@stage", &c);   // then tr_send(), tr_ask(), tr_monitor() as ever
 *     }
 * @endcode
 *
 * A runtime has at most one node. Between two living nodes messages arrive in order, without loss
 * or repetition, until one declares the other down; that is said exactly once to everybody who
 * waits for it: asks fail with TR_ENODEDOWN, watchers get their tr_down, messages of which it is
 * unknown whether they arrived are dead letters. A process that starts again is a new incarnation of
 * its node: references to actors of the old one stay dead.
 *
 * Links are not encrypted yet: only addresses that don't leave the machine are taken.
 */
#ifndef TROUPE_TRANSPORT_NODE_H
#define TROUPE_TRANSPORT_NODE_H

#include <troupe/actors/actor.h>

/** Room for an address, with the zero byte. */
#define TR_ADDRESS_SIZE 160
/** Longest name of a node or cluster, bytes. */
#define TR_NODE_NAME_MAX 63
/** Default size of the largest frame of a link, bytes: a message must fit in one. */
#define TR_MAX_FRAME (1024 * 1024)

/** Another node, and where it listens. */
struct tr_peer {
    const char *name;    /**< 1 to 63 bytes of A-Z a-z 0-9 _ . - */
    const char *address; /**< "tcp://127.0.0.1:PORT", "tcp://[::1]:PORT" or "ipc:///PATH" */
};

/** Options of tr_node_start(); those without a default must be set. */
struct tr_node_opts {
    const char *name;            /**< of this node; no default; unique in the cluster */
    const char *cluster;         /**< nodes of other clusters are refused; NULL: "troupe" */
    const char *listen;          /**< as tr_peer.address; PORT may be 0 or "*": any. No default */
    const struct tr_peer *peers; /**< to link with from the start; copied; may be NULL */
    size_t peer_count;           /**< of peers */
    bool listed_only;     /**< refuse nodes that neither peers nor tr_node_add_peer() named */
    int loop;             /**< index of the loop that owns the links */
    uint64_t incarnation; /**< the least number that this run may have: the last one plus 1,
                                      where the program keeps it. The wall clock's milliseconds are
                                      taken when they are more. */
    tr_time heartbeat;  /**< T, nanoseconds: something is sent every T/4, and a peer that was silent
                             for T is suspect, which is logged; 0: 2 s, at most half of down_after */
    tr_time down_after; /**< a peer that was silent for this long is down, for ever; 0: 30 s */
    size_t max_frame;   /**< bytes, 64 KiB to 64 MiB; 0: TR_MAX_FRAME */
};

/** What has gone over the link to a node, since this node knows it. */
struct tr_link_stats {
    bool is_up;             /**< linked now */
    uint64_t incarnation;   /**< of the other node, as last seen; 0: never */
    uint64_t links;         /**< times it came up */
    uint64_t messages_out;  /**< messages, replies and signals to it */
    uint64_t messages_in;   /**< from it */
    uint64_t frames_out;    /**< batches to it */
    uint64_t frames_in;     /**< from it */
    uint64_t bytes_out;     /**< of those batches */
    uint64_t bytes_in;      /**< of those batches */
    uint64_t resends;       /**< batches that were sent again; always 0 for now */
    uint64_t unacked_bytes; /**< sent or to be sent, not acknowledged */
    uint64_t asks;          /**< requests to it that wait for their reply */
};

/** A link to a node has come up: list it in your TR_PROTOCOL() to use tr_node_monitor(). */
TR_MESSAGE(tr_node_up, (1, string, name));
/** A node is down: exactly one for each time it was up. `reason` is 0 when it left in order,
 *  TR_ENODEDOWN after a silence or when it started again, TR_EREFUSED when it had declared us down,
 *  TR_EPROTOCOL when messages were lost on the way. */
TR_MESSAGE(tr_node_down, (1, string, name), (2, int32, reason));

TR_BEGIN_DECLS

/** Make this runtime a node: listen, and begin to link with the peers in the background.
 *
 * The node is stopped by tr_node_stop(), or at the end of tr_run() before the actors are.
 *
 * @param opts  copied
 * @return 0: others can reach this node
 * @retval TR_ENAME       a name is not well formed, is used twice, or two names have the same 32-bit
 *                        id; the log says which
 * @retval TR_EADDRESS    an address is not well formed or would leave this machine; the log says
 *                        which and what is expected
 * @retval -EADDRINUSE    somebody listens there
 * @retval -EALREADY      this runtime is a node
 * @retval -EINVAL        another option is out of range; the log says which
 * @retval TR_ESHUTDOWN   the runtime is ending
 * @retval -ENOMEM
 * @return another -errno of bind(2): -EACCES, -ENOENT, ...
 * @thread task (suspends only when opts->loop is another loop)
 * @cancel the node is started all the same
 * @source Erlang's net_kernel:start/2
 */
TR_API TR_NODISCARD int tr_node_start(const struct tr_node_opts *opts);

/** Say goodbye to all linked nodes, wait up to two seconds for their answers, and close.
 *
 * @return 0; also when this runtime is no node
 * @thread task
 * @cancel the wait goes on
 * @source Erlang's net_kernel:stop/0
 */
TR_API int tr_node_stop(void);

/** The name of this runtime's node.
 *
 * @return NULL when it is none; valid until the end of the runtime
 * @thread loop
 * @source Erlang's node/0
 */
TR_API const char *tr_node_name(void);

/** Where this node can be reached: the address with the real port.
 *
 * @param address  room for size bytes; ended by a zero byte
 * @param size     bytes, TR_ADDRESS_SIZE is always enough
 * @return 0
 * @retval TR_ENODE  this runtime is no node
 * @retval TR_ELIMIT no room
 * @thread loop
 */
TR_API int tr_node_address(char *address, size_t size);

/** Tell where a node listens, and begin to link with it: for peers that become known later, or whose
 * address has changed.
 *
 * @param name     of the other node
 * @param address  as tr_peer.address
 * @return 0: the link comes up in the background; see tr_node_wait()
 * @retval TR_ENODE     this runtime is no node
 * @retval TR_ENAME     the name is not well formed, or has the same id as another one
 * @retval TR_EADDRESS  the address is not well formed or would leave this machine
 * @retval -ENOMEM
 * @thread task (suspends only on another loop than the one that owns the links)
 * @cancel it may be done or not
 */
TR_API TR_NODISCARD int tr_node_add_peer(const char *name, const char *address);

/** Wait until a node is linked.
 *
 * @param name     of the other node; it need not be known yet
 * @param timeout  nanoseconds, or TR_FOREVER; 0 or less: only look
 * @return 0: it was linked a moment ago
 * @retval TR_ETIMEOUT    the time is over
 * @retval TR_ENODE       this runtime is no node
 * @retval TR_ENAME       not a name, or this node's own
 * @retval TR_ESHUTDOWN   this node was stopped meanwhile
 * @retval TR_ECANCELLED  the caller was cancelled
 * @retval -ENOMEM
 * @thread task
 * @cancel nothing is left
 */
TR_API TR_NODISCARD int tr_node_wait(const char *name, tr_time timeout);

/** Let other nodes spawn a behaviour here, by tr_spawn_opts.node.
 *
 * Its messages, and those that others of this process spawn or send, are known here; other types that
 * come in are refused one by one with TR_ENOTYPE.
 *
 * @param behaviour  TR_BEHAVIOUR_OF(name); borrowed for ever: it is static
 * @return 0
 * @retval TR_ENAME  another behaviour of that name is allowed already
 * @retval -ENOMEM
 * @thread loop (before or after tr_node_start())
 */
TR_API TR_NODISCARD int tr_node_allow(const struct tr_behaviour *behaviour);

/** Be sent a tr_node_up when a node is linked (at once when it is now) and a tr_node_down when that
 * ends: always in turns.
 *
 * @param self  the running actor, whose TR_PROTOCOL() lists tr_node_up and tr_node_down. When it ends
 *              the messages stop.
 * @param name  of the other node, known or not; NULL: of every node
 * @return 0
 * @retval TR_ENODE  this runtime is no node
 * @retval TR_ENAME  not a name
 * @retval -ENOMEM
 * @thread loop
 * @source Erlang's net_kernel:monitor_nodes/1 and monitor_node/2
 */
TR_API TR_NODISCARD int tr_node_monitor(tr_self *self, const char *name);

/** Read what has gone over the link to a node. On other loops than the one that owns the links, the
 * figures may be up to 100 ms old.
 *
 * @param name       of the other node
 * @param ret_stats  filled
 * @return 0
 * @retval TR_ENODE  this runtime is no node, or that one is not known
 * @thread loop
 */
TR_API int tr_link_get_stats(const char *name, struct tr_link_stats *ret_stats);

/** How many nodes are linked now.
 *
 * @return 0 or more
 * @thread loop
 */
TR_API size_t tr_node_links(void);

TR_END_DECLS

#endif /* TROUPE_TRANSPORT_NODE_H */
