/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_internal.h: the link protocol with one peer, as a state machine.
 */
#ifndef TRI_SESSION_INTERNAL_H
#define TRI_SESSION_INTERNAL_H

#include "frame_internal.h"

typedef struct tri_session tri_session;

/* Ourselves; shared by all sessions of a node, constant while they live. */
struct tri_session_self {
    const char *cluster, *name;
    const char *address; /* where peers reach us */
    uint32_t node;
    uint64_t incarnation;
    struct tri_place agent;
    uint32_t max_frame; /* bytes */
    tr_time heartbeat;  /* T: a peer is suspect after this silence */
    tr_time down_after; /* and down after this one */
};

enum tri_session_state {
    TRI_SESSION_IDLE,    /* not dialling: waits for the peer's HELLO */
    TRI_SESSION_OPENING, /* sends HELLO again and again */
    TRI_SESSION_HALF,    /* has welcomed the peer, doesn't know yet whether it was heard */
    TRI_SESSION_UP,
    TRI_SESSION_LEAVING /* BYE is sent, waits for the peer's */
};

/* What is known of the peer since its HELLO or WELCOME. */
struct tri_session_peer {
    uint64_t incarnation; /* 0: nothing is known */
    uint64_t link;        /* its number for this association */
    uint32_t max_frame;
    tr_time beat; /* it wants to hear from us this often */
    struct tri_place agent;
    char address[TRI_ADDRESS_MAX + 1];
};

/* What the session does to the world; none of these may call the session. */
struct tri_session_ops {
    /* Take a frame of `size` bytes; it may be dropped when it can't be sent soon. */
    void (*send)(void *arg, const void *bytes, size_t size);
    uint64_t (*random)(void *arg);
    /* The path to the peer should be made anew: nothing was heard for too long. */
    void (*redial)(void *arg);
    void (*up)(void *arg);
    /* Nothing was heard for T; `again`: now something was. */
    void (*suspect)(void *arg, bool again);
    /* The incarnation session->peer is over, for ever: reason 0 (it left), or an error. */
    void (*down)(void *arg, int reason);
    /* Records for us, in order. TR_EPROTOCOL: they make no sense. */
    int (*data)(void *arg, const struct tri_frame *frame);
    /* All DATA up to this was taken by the peer. */
    void (*acked)(void *arg, uint64_t seq);
    /* A HELLO was refused: the peer's (by us), or ours (by the peer). */
    void (*refused)(void *arg, bool by_us, int code, struct tri_text text);
    /* The peer has answered our BYE, or took too long to. */
    void (*left)(void *arg);
};

struct tri_session {
    const struct tri_session_self *self; /* (C) */
    const struct tri_session_ops *ops;   /* (C) */
    void *arg;                           /* (C) for ops */
    char name[TRI_NODE_NAME_MAX + 1];    /* (C) of the peer */
    uint32_t node;                       /* (C) id of the peer */
    bool redials;                        /* after an end, dial again instead of waiting */
    bool is_suspect;
    int state;                 /* enum tri_session_state */
    uint64_t link;             /* our number for this association */
    uint64_t dead_incarnation; /* this one and all before it are over */
    struct tri_session_peer peer;
    uint64_t send_next; /* seq of the next DATA */
    uint64_t acked;     /* the peer has taken all up to this */
    uint64_t recv_next; /* seq that must come */
    uint64_t ack_sent;  /* last ack that we told */
    unsigned attempt;   /* HELLOs since the last success */
    tr_time heard_at, sent_at;
    tr_time hello_at;   /* OPENING, HALF: when the next HELLO is due */
    tr_time entered_at; /* when the state began */
    tr_time ack_at;     /* an acknowledgement is due; TR_FOREVER: none */
    tr_time verdict_at; /* last REFUSE for a link that we don't know */
    tr_time due_at;     /* when tri_session_tick() is due, as of the last input */
    tr_time tick_due;   /* as of the last tick, to notice that we slept */
    uint64_t dropped;   /* frames of other associations, and nonsense */
};

void tri_session_init(tri_session *session, const struct tri_session_self *self,
                      const struct tri_session_ops *ops, void *arg, const char *name);
/* Begin to dial. No effect unless idle. */
void tri_session_open(tri_session *session, tr_time now);
/* A frame that the peer's connection brought, or what should be one. */
void tri_session_receive(tri_session *session, tr_time now, const void *bytes, size_t size);
/* The path to the peer has just become usable: don't wait with the HELLO. */
void tri_session_connected(tri_session *session, tr_time now);
/* Finish a batch: number it and fill the header in. `frame` has count and body_size. Only UP. */
void tri_session_number(tri_session *session, tr_time now, struct tri_frame *frame);
/* Leave in order; everything for the peer has been sent. */
void tri_session_leave(tri_session *session, tr_time now);
/* Something that only the driver sees broke the link. */
void tri_session_fail(tri_session *session, tr_time now, int reason);
/* Time has passed. Returns when to be called next. */
tr_time tri_session_tick(tri_session *session, tr_time now);
/* How often something should be heard, given T and down_after. */
tr_time tri_session_beat(const struct tri_session_self *self);

/* Answer a HELLO from somebody for whom there is no session: append the REFUSE. 0 or -ENOMEM. */
int tri_session_refuse(tri_buffer *buffer, uint64_t to_link, int code);
const char *tri_refuse_text(int code);

/* ---- shared by session.c and handshake.c ---------------------------------------------- */

/* session.c */
void tri_session_check(const tri_session *session);
void tri_session_send(tri_session *session, tr_time now, int type, uint64_t to_link,
                      const tri_buffer *body);
void tri_session_enter(tri_session *session, tr_time now, int state);
void tri_session_forget(tri_session *session);
tr_time tri_session_pause(tri_session *session);
void tri_session_go_up(tri_session *session, tr_time now);
void tri_session_go_down(tri_session *session, tr_time now, int reason);

/* handshake.c */
void tri_session_send_hello(tri_session *session, tr_time now, int type);
void tri_session_send_refusal(tri_session *session, uint64_t to_link, int code);
void tri_session_on_hello(tri_session *session, tr_time now, const struct tri_frame *frame);
void tri_session_on_welcome(tri_session *session, tr_time now, const struct tri_frame *frame);
void tri_session_on_refuse(tri_session *session, tr_time now, const struct tri_frame *frame);

#endif
