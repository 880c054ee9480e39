/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h: the command line.
 */
#ifndef WC_OPTIONS_H
#define WC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { WC_TOP_MAX = 10000, WC_ROOTS_MAX = 256 };

struct wc_options {
    unsigned loops; /* of each process */
    unsigned nodes; /* processes, this one included */
    unsigned top;
    bool json;
    bool verify;
    const char *roots[WC_ROOTS_MAX];
    size_t root_count;
    /* How the program calls itself for another process; not for people. */
    unsigned worker;       /* which node this is; 0: not a worker */
    const char *directory; /* of the links' sockets */
    long parent;           /* process id */
};

/* Exits: 0 after --help, 2 with a message when something is wrong. */
void wc_options_parse(struct wc_options *options, int argc, char **argv);

#endif
