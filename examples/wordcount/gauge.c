/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gauge.c: meters on every loop of every node tell one gauge how many messages their loop handles.
 */
#include "progress.h"
#include "protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PERIOD (500 * TR_MS)

/* ---- meter: one on each loop ---- */

static int meter_main(tr_self *self, const meter_start *start) {
    for (;;) {
        tr_received m;
        int err = tr_receive(self, PERIOD, &m);
        if (err < 0 && err != TR_ETIMEOUT) {
            return err == TR_ESHUTDOWN ? 0 : err;
        }
        struct tr_actor_stats stats;
        tr_actors_get_stats(&stats);
        err = tr_send(start->gauge, load, .node = start->node, .loop = start->loop,
                      .messages = stats.handled);
        if (err < 0) {
            return 0; /* nobody looks on any more */
        }
    }
}

TR_PROCESS(meter, meter_start, meter_main);

/* ---- gauge: knows them all ---- */

struct loop_rate {
    uint64_t messages; /* as last told */
    double rate;       /* messages a second */
    tr_time when;      /* of the last telling; 0: never */
};

typedef struct {
    struct loop_rate *loops; /* WC_NODES_MAX * WC_LOOPS_MAX */
} gauge;

static int on_start(tr_self *self, gauge *g, const tr_nothing *m) {
    (void)self;
    (void)m;
    g->loops = calloc((size_t)WC_NODES_MAX * WC_LOOPS_MAX, sizeof *g->loops);
    return g->loops != NULL ? 0 : -ENOMEM;
}

static int on_load(tr_self *self, gauge *g, const load *m) {
    (void)self;
    if (m->node >= WC_NODES_MAX || m->loop >= WC_LOOPS_MAX) {
        return 0;
    }
    struct loop_rate *l = &g->loops[m->node * WC_LOOPS_MAX + m->loop];
    tr_time now = tr_loop_time(tr_loop_running());
    if (l->when != 0 && now > l->when) {
        l->rate = (double)(m->messages - l->messages) * (double)TR_SECOND / (double)(now - l->when);
    }
    l->messages = m->messages;
    l->when = now;
    return 0;
}

static size_t print_node(const gauge *g, unsigned node, char *text, size_t room) {
    tr_time now = tr_loop_time(tr_loop_running());
    size_t size = 0;
    for (unsigned loop = 0; loop < WC_LOOPS_MAX; loop++) {
        const struct loop_rate *l = &g->loops[node * WC_LOOPS_MAX + loop];
        if (l->when == 0 || now - l->when > 4 * PERIOD || size >= room) {
            continue; /* no such loop, or its node is gone */
        }
        int n = snprintf(text + size, room - size, "%s%s %s", size == 0 ? " " : "",
                         size == 0 ? wc_node_name(node).text : "", wc_short(l->rate).text);
        size += n > 0 ? (size_t)n : 0;
    }
    return size < room ? size : room;
}

static int on_get_rates(tr_self *self, gauge *g, const get_rates *m) {
    (void)m;
    char text[1024] = "";
    size_t size = 0;
    for (unsigned node = 0; node < WC_NODES_MAX && size < sizeof text - 1; node++) {
        size += print_node(g, node, text + size, sizeof text - size);
    }
    return tr_reply(self, rates, .text = tr_str(text));
}

static void on_end(tr_self *self, gauge *g, int reason) {
    (void)self;
    (void)reason;
    free(g->loops);
}

TR_PROTOCOL(gauge, load, get_rates);
TR_BEHAVIOUR(gauge, TR_INIT(tr_nothing, on_start), TR_ON(load, on_load),
             TR_ON(get_rates, on_get_rates), TR_TERMINATE(on_end));
