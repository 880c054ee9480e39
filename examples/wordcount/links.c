/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links.c: every process is a node and linked to every other one, by Unix sockets in a directory of
 * this run's own.
 */
#include "links.h"

#include "progress.h"

#include <troupe/transport.h>

#include <stdio.h>

#define START_TIMEOUT (10 * TR_SECOND)
#define DOWN_AFTER    (3 * TR_SECOND)     /* silence for this long: the process is lost */
#define MAX_FRAME     (64u * 1024 * 1024) /* somewhere there is a file with a word of some MB */

struct address {
    char text[TR_ADDRESS_SIZE];
};

static struct address address_of(unsigned node, const char *directory) {
    struct address address;
    snprintf(address.text, sizeof address.text, "ipc://%s/%s", directory, wc_node_name(node).text);
    return address;
}

int wc_links_start(unsigned node, const struct wc_options *options, const char *directory) {
    struct wc_node_name names[WC_NODES_MAX];
    struct address addresses[WC_NODES_MAX];
    struct tr_peer peers[WC_NODES_MAX];
    size_t count = 0;
    if (options->nodes == 1) {
        return 0;
    }
    for (unsigned i = 0; i < options->nodes; i++) {
        names[i] = wc_node_name(i);
        addresses[i] = address_of(i, directory);
        if (i != node) {
            peers[count++] = (struct tr_peer){names[i].text, addresses[i].text};
        }
    }
    struct tr_node_opts opts = {.name = names[node].text,
                                .cluster = "wordcount",
                                .listen = addresses[node].text,
                                .peers = peers,
                                .peer_count = count,
                                .listed_only = true,
                                .down_after = DOWN_AFTER,
                                .max_frame = MAX_FRAME};
    int err = tr_node_start(&opts);
    if (err < 0) {
        wc_say("%s can't listen on %s: %s (%s)", opts.name, opts.listen, tr_err_text(err),
               tr_err_name(err));
    }
    return err;
}

static int wait_for(struct wc_team *team, unsigned node, tr_time deadline) {
    struct wc_node_name name = wc_node_name(node);
    int err;
    while ((err = tr_node_wait(name.text, 50 * TR_MS)) == TR_ETIMEOUT) {
        if (wc_team_has_ended(team, node) || tr_loop_time(tr_loop_running()) >= deadline) {
            break;
        }
    }
    return err;
}

int wc_links_wait(struct wc_team *team) {
    tr_time deadline = tr_loop_time(tr_loop_running()) + START_TIMEOUT;
    for (unsigned node = 1; node < team->nodes; node++) {
        int err = wait_for(team, node, deadline);
        if (err == TR_ECANCELLED) {
            return err;
        }
        if (err < 0) {
            wc_say("%s has not started: %s", wc_node_name(node).text, tr_err_text(err));
        }
    }
    return 0;
}

void wc_links_print(struct wc_links *links, unsigned nodes, char *text, size_t size) {
    tr_time now = tr_loop_time(tr_loop_running());
    double seconds = (double)(now - links->when) / (double)TR_SECOND;
    bool is_first = links->when == 0;
    size_t used = 0;
    text[0] = '\0';
    links->when = now;
    for (unsigned node = 1; node < nodes && used < size; node++) {
        struct wc_node_name name = wc_node_name(node);
        struct tr_link_stats stats;
        if (tr_link_get_stats(name.text, &stats) < 0 || !stats.is_up) {
            continue;
        }
        double out = (double)(stats.messages_out - links->out[node]) / seconds;
        double in = (double)(stats.messages_in - links->in[node]) / seconds;
        links->out[node] = stats.messages_out;
        links->in[node] = stats.messages_in;
        if (!is_first && seconds > 0) {
            int n = snprintf(text + used, size - used, " link %s %s out %s in", name.text,
                             wc_short(out).text, wc_short(in).text);
            used += n > 0 ? (size_t)n : 0;
        }
    }
}
