/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links.h: this process as a node among others.
 */
#ifndef WC_LINKS_H
#define WC_LINKS_H

#include "options.h"
#include "team.h"

/* Become a node, with links to all others: node0 is the first process. 0 or an error that was
 * reported. From the main task. */
int wc_links_start(unsigned node, const struct wc_options *options, const char *directory);

/* In the first process: wait for the others. A node that doesn't come is reported and left out. 0 or
 * TR_ECANCELLED. From the main task. */
int wc_links_wait(struct wc_team *team);

/* What the links of this process had carried when they were last looked at. */
struct wc_links {
    tr_time when;
    uint64_t out[WC_NODES_MAX];
    uint64_t in[WC_NODES_MAX];
};

/* Messages a second since the last call, as text; "" without links. */
void wc_links_print(struct wc_links *links, unsigned nodes, char *text, size_t size);

#endif
