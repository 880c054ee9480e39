/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox.c: what arrives at the node's one ROUTER, and last words to those without a link.
 *
 * A frame is passed to the link of the node that its routing id names; whether it belongs to the
 * association of that link, the session finds out by the numbers in it. HELLO names its sender
 * itself, and may come from a node that we hear of for the first time: then a link is made, unless there is
 * a reason to refuse it. A refusal is said over a dialer of its own, which is closed soon after.
 */
#include "transport_internal.h"

#include "address_internal.h"

/* ---- last words ---------------------------------------------------------------------- */

static void on_writable(void *arg) {
    tri_closing *closing = arg;
    if (closing->last.size > 0 &&
        tri_zsocket_send(closing->socket, closing->last.data, closing->last.size) == 0) {
        tri_buffer_free(&closing->last);
    }
}

static const struct tri_zsocket_ops closing_ops = {.writable = on_writable};

static size_t count_closing(const tri_transport *transport) {
    size_t count = 0;
    for (const tri_closing *closing = transport->closing; closing != NULL;
         closing = closing->next) {
        count++;
    }
    return count;
}

void tri_closing_add(tri_transport *transport, tri_zsocket *socket, tri_buffer *last) {
    tri_closing *closing =
        count_closing(transport) < TRI_CLOSING_MAX ? tri_calloc(1, sizeof *closing) : NULL;
    if (closing == NULL) {
        tri_zsocket_close(socket);
        if (last != NULL) {
            tri_buffer_free(last);
        }
        return;
    }
    closing->transport = transport;
    closing->socket = socket;
    closing->until = transport->loop->now + TRI_CLOSING_TIME;
    closing->next = transport->closing;
    transport->closing = closing;
    tri_zsocket_hand_over(socket, &closing_ops, closing);
    if (last != NULL) {
        closing->last = *last;
        *last = (tri_buffer){0};
        tri_zsocket_want(socket);
    }
    tri_transport_watch(transport);
}

void tri_closing_expire(tri_transport *transport, tr_time now) {
    for (tri_closing **link = &transport->closing; *link != NULL;) {
        tri_closing *closing = *link;
        if (closing->until > now) {
            link = &closing->next;
            continue;
        }
        *link = closing->next;
        tri_zsocket_close(closing->socket);
        tri_buffer_free(&closing->last);
        tri_free(closing);
    }
}

void tri_say(tri_transport *transport, const char *address, const void *bytes, size_t size) {
    tri_zsocket *socket;
    tri_buffer last = {0};
    struct tri_zsocket_opts opts = {.address = address, .max_frame = transport->self.max_frame};
    if (count_closing(transport) >= TRI_CLOSING_MAX || tri_buffer_reserve(&last, size) < 0) {
        return; /* whoever it was will ask again */
    }
    tri_buffer_put(&last, bytes, size);
    if (tri_zsocket_dial(transport->zcontext, transport->loop, &opts, &closing_ops, NULL, &socket) <
        0) {
        tri_buffer_free(&last);
        return;
    }
    tri_closing_add(transport, socket, &last);
}

/* ---- HELLO ------------------------------------------------------------------------------ */

static bool text_is(struct tri_text text, const char *other) {
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

/* 0, or why somebody of whom we haven't heard may not link. What the session checks isn't
 * repeated here. */
static int judge_stranger(const tri_transport *transport, const struct tri_hello *hello) {
    if (!text_is(hello->cluster, transport->self.cluster)) {
        return TRI_REFUSE_CLUSTER;
    }
    if (!tri_node_name_is_valid(hello->name.data, hello->name.size) ||
        tri_node_id(hello->name.data, hello->name.size) != hello->node ||
        hello->node == transport->self.node) {
        return TRI_REFUSE_NAME;
    }
    if (transport->is_leaving) {
        return TRI_REFUSE_LEAVING;
    }
    bool has_room = !transport->listed_only && transport->link_count < TRI_LINKS_MAX;
    return has_room ? 0 : TRI_REFUSE_UNLISTED;
}

static void refuse_stranger(tri_transport *transport, const struct tri_frame *frame,
                            const struct tri_hello *hello, const char *address, int code) {
    tri_buffer buffer = {0};
    if (hello->node == transport->self.node) {
        tr_log(TR_LOG_ERROR, "another node at %s has this node's name '%s', or the id made of it",
               address, transport->self.name);
    } else {
        tr_log(TR_LOG_WARN, "node '%.*s' at %s was refused: %s", (int)hello->name.size,
               hello->name.data, address, tri_refuse_text(code));
    }
    if (tri_session_refuse(&buffer, frame->from_link, code) == 0) {
        tri_say(transport, address, buffer.data, buffer.size);
    }
    tri_buffer_free(&buffer);
}

static void on_hello(tri_transport *transport, const void *bytes, size_t size) {
    struct tri_frame frame;
    struct tri_hello hello;
    char address[TRI_ADDRESS_MAX + 1];
    if (tri_frame_decode(bytes, size, &frame) < 0 || tri_hello_decode(&frame, &hello) < 0 ||
        tri_address_problem(hello.address.data, hello.address.size, TRI_ADDRESS_DIAL) != NULL) {
        return; /* there is nobody whom we could or would answer */
    }
    memcpy(address, hello.address.data, hello.address.size);
    address[hello.address.size] = 0;
    tri_link *link = tri_link_by_node(transport, hello.node);
    if (link == NULL || !text_is(hello.name, link->session.name)) {
        int code = link != NULL ? TRI_REFUSE_NAME : judge_stranger(transport, &hello);
        if (code == 0) {
            char name[TRI_NODE_NAME_MAX + 1];
            memcpy(name, hello.name.data, hello.name.size);
            name[hello.name.size] = 0;
            link = tri_link_new(transport, name);
        }
        if (code != 0 || link == NULL) {
            refuse_stranger(transport, &frame, &hello, address,
                            code != 0 ? code : TRI_REFUSE_UNLISTED);
            return;
        }
    }
    memcpy(link->heard, address, sizeof address);
    tri_link_receive(link, bytes, size);
}

/* ---- all frames ---------------------------------------------------------------------------- */

/* The link that a frame is for: by the node in the routing id, or by our number in the frame. */
static tri_link *find_link(const tri_transport *transport, const uint8_t *id, size_t id_size,
                           const uint8_t *bytes) {
    if (id_size == 14 && id[0] == 1) {
        return tri_link_by_node(transport, (uint32_t)tri_load_le(id + 1, 4));
    }
    uint64_t number = tri_load_le(bytes + 16, 8);
    for (size_t i = 0; i < transport->link_count; i++) {
        if (transport->links[i]->session.link == number) {
            return transport->links[i];
        }
    }
    return NULL;
}

static void on_frame(void *arg, const void *id, size_t id_size, const void *bytes, size_t size) {
    tri_transport *transport = arg;
    const uint8_t *frame = bytes;
    if (size < TRI_FRAME_HEADER) {
        return;
    }
    /* The loop may have slept until a moment ago; deadlines are counted from now on. */
    (void)tri_loop_update_now(transport->loop);
    if (frame[5] == TRI_FRAME_HELLO) {
        on_hello(transport, bytes, size);
        return;
    }
    tri_link *link = find_link(transport, id, id_size, frame);
    if (link != NULL) {
        tri_link_receive(link, bytes, size);
    }
}

const struct tri_zsocket_ops tri_inbox_ops = {.frame = on_frame};
