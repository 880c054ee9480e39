/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_internal.h: the link protocol's frames as bytes. docs/wire.md has the layout.
 */
#ifndef TRI_FRAME_INTERNAL_H
#define TRI_FRAME_INTERNAL_H

#include "buffer_internal.h"

#include <troupe/actors/ref.h>

enum {
    TRI_FRAME_HEADER = 48, /* bytes */
    TRI_FRAME_VERSION = 1, /* of the header's layout */
    TRI_PROTO_MIN = 1,     /* what we speak behind the handshake */
    TRI_PROTO_MAX = 1,
    TRI_NODE_NAME_MAX = 63,    /* bytes of a node's or cluster's name */
    TRI_ADDRESS_MAX = 127,     /* bytes of an address */
    TRI_REFUSE_TEXT_MAX = 200, /* bytes */
    TRI_FRAME_MIN_MAX = 65536  /* the least max_frame that a node may ask for, bytes */
};

enum tri_frame_type {
    TRI_FRAME_HELLO = 1,   /* I want to link with you */
    TRI_FRAME_WELCOME = 2, /* you may */
    TRI_FRAME_REFUSE = 3,  /* you may not; or: I don't know this link */
    TRI_FRAME_PING = 4,    /* alive, and an acknowledgement */
    TRI_FRAME_BYE = 5,     /* I leave */
    TRI_FRAME_DATA = 6     /* a batch of records */
};

enum tri_frame_flag { TRI_FRAME_ANSWER = 1 /* BYE: in answer to yours */ };

/* Why a node is refused. Append only. */
enum tri_refuse {
    TRI_REFUSE_VERSION = 1,  /* no common protocol version */
    TRI_REFUSE_CLUSTER = 2,  /* another cluster's name */
    TRI_REFUSE_NAME = 3,     /* same name or node id as ours, or not the node that was dialled */
    TRI_REFUSE_STALE = 4,    /* a newer incarnation of the node is known */
    TRI_REFUSE_DOWN = 5,     /* this incarnation was declared down */
    TRI_REFUSE_LINK = 6,     /* frames of a link that isn't known (any more) */
    TRI_REFUSE_BROKEN = 7,   /* the sequence has a gap, a repetition, or nonsense */
    TRI_REFUSE_ADDRESS = 8,  /* the address to answer to is not allowed */
    TRI_REFUSE_UNLISTED = 9, /* this node takes listed peers only, or has too many */
    TRI_REFUSE_LEAVING = 10  /* this node is shutting down */
};

/* A frame as it came in; body and what is read from it point into the input. */
struct tri_frame {
    uint8_t type;       /* enum tri_frame_type */
    uint16_t flags;     /* enum tri_frame_flag */
    uint64_t from_link; /* the sender's number for this association */
    uint64_t to_link;   /* the receiver's; 0 while unknown */
    uint64_t seq;       /* DATA: its own; else of the last DATA sent */
    uint64_t ack;       /* all DATA up to this were taken */
    uint32_t count;     /* DATA: records */
    const uint8_t *body;
    size_t body_size; /* bytes */
};

/* Check everything, records included. 0 or TR_EPROTOCOL. */
int tri_frame_decode(const void *bytes, size_t size, struct tri_frame *ret_frame);
/* Write the 48 bytes; body_size counts, body doesn't. */
void tri_frame_put_header(uint8_t *at, const struct tri_frame *frame);
/* Bring the acknowledgement of a frame that waited up to date. */
void tri_frame_set_ack(uint8_t *bytes, uint64_t ack);
/* Header and body in one, appended to the buffer. 0 or -ENOMEM. */
int tri_frame_encode(tri_buffer *buffer, const struct tri_frame *frame);

/* ---- the bodies of HELLO, WELCOME and REFUSE ------------------------------------------ */

/* An actor's place within a node. */
struct tri_place {
    uint16_t loop;
    uint32_t slot;
    uint32_t generation;
};

struct tri_text {
    const char *data; /* not ended by a zero byte */
    size_t size;
};

struct tri_hello {
    uint16_t proto_min, proto_max; /* the highest that both sides have is spoken */
    uint32_t node;                 /* id of the sender */
    uint64_t incarnation;          /* of the sender */
    uint64_t peer_incarnation;     /* WELCOME: of whom it welcomes; HELLO: 0 */
    uint64_t features;             /* bits; none yet */
    uint32_t max_frame;            /* largest frame that the sender takes, bytes */
    uint32_t beat_ms;              /* the sender wants to hear something this often */
    uint16_t lane, lanes;          /* 0 of 1 */
    struct tri_place agent;        /* the sender's agent actor */
    struct tri_text cluster, name, address;
    const uint8_t *extra; /* what later versions append */
    size_t extra_size;
};

int tri_hello_decode(const struct tri_frame *frame, struct tri_hello *ret_hello);
/* Append the body. 0 or -ENOMEM. */
int tri_hello_encode(tri_buffer *buffer, const struct tri_hello *hello);

struct tri_refusal {
    uint16_t code; /* enum tri_refuse */
    struct tri_text text;
};

int tri_refusal_decode(const struct tri_frame *frame, struct tri_refusal *ret_refusal);
int tri_refusal_encode(tri_buffer *buffer, const struct tri_refusal *refusal);

/* ---- records of DATA --------------------------------------------------------------------- */

enum tri_record_kind {
    TRI_RECORD_MESSAGE = 1, /* to, type, ask (0: a tell), time, payload; may be patient */
    TRI_RECORD_REPLY = 2,   /* ask, type, payload */
    TRI_RECORD_FAIL = 3,    /* ask, err */
    TRI_RECORD_STOP = 4,    /* to */
    TRI_RECORD_KILL = 5,    /* to */
    TRI_RECORD_WATCH = 6,   /* to, other (the watcher), tag */
    TRI_RECORD_DOWN = 7,    /* to (the watcher), other (who ended), tag, err (the reason) */
    TRI_RECORD_REJECT = 8,  /* to, type, err: a tell that couldn't be taken */
    TRI_RECORD_KINDS
};

struct tri_record {
    uint8_t kind;    /* enum tri_record_kind */
    bool is_patient; /* MESSAGE: not to be refused for want of room in the mailbox */
    int32_t err;
    struct tri_place to;    /* of the receiving node */
    struct tri_place other; /* of the sending node */
    uint64_t type;          /* identity of a message type */
    uint64_t ask;           /* number that the asking node chose */
    uint64_t time;          /* nanoseconds that the asker still waits; INT64_MAX: for ever */
    uint64_t tag;
    const uint8_t *payload;
    size_t payload_size; /* bytes */
};

/* Append the record without a payload; *ret_start is for tri_record_end(). 0 or -ENOMEM. */
int tri_record_begin(tri_buffer *buffer, const struct tri_record *record, size_t *ret_start);
/* What was appended since is the payload. */
void tri_record_end(tri_buffer *buffer, size_t start);
/* The next record of a decoded DATA frame; *offset starts at 0. False: that was the last. */
bool tri_record_next(const struct tri_frame *frame, size_t *offset, struct tri_record *ret_record);

#endif
