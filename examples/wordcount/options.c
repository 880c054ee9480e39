/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c: the command line, its defaults and its mistakes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity() */
#endif
#include "options.h"

#include "progress.h"
#include "protocol.h"

#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
    "usage: wordcount [OPTION]... [DIRECTORY]...\n"
    "\n"
    "Counts the words of all text files below the directories, also of gzip files.\n"
    "\n"
    "  --loops N    event loops, one a thread, in each process; default: all CPUs, shared out\n"
    "  --nodes M    processes in all, linked by ZeroMQ; default: 1, this one\n"
    "  --top K      show the K most frequent words; default: 20\n"
    "  --json       write the result as one line of JSON\n"
    "  --verify     count once more, by other means, and compare every word\n"
    "  --help       show this\n"
    "\n"
    "Without a directory: /usr/include, /usr/share/common-licenses and /usr/share/doc.\n"
    "Progress and messages go to stderr. A worker process that is lost is no error: what it had "
    "is\n"
    "counted again by the others.\n"
    "\n"
    "Exit status: 0 done; 1 failed, or the two counts differ; 2 wrong argument or no such "
    "directory;\n"
    "130 ended by Ctrl-C.\n";

_Noreturn static void wrong(const char *parameter, const char *value, const char *expected) {
    if (value == NULL) {
        fprintf(stderr, "wordcount: %s: expected %s\n", parameter, expected);
    } else {
        fprintf(stderr, "wordcount: %s is '%s': expected %s\n", parameter, value, expected);
    }
    fprintf(stderr, "Try 'wordcount --help'.\n");
    exit(2);
}

static unsigned number(const char *option, const char *value, unsigned low, unsigned high) {
    char *end;
    long n = strtol(value, &end, 10);
    if (end == value || *end != '\0' || n < (long)low || n > (long)high) {
        char expected[64];
        snprintf(expected, sizeof expected, "a number from %u to %u", low, high);
        wrong(option, value, expected);
    }
    return (unsigned)n;
}

/* The CPUs that this process may use, shared by all nodes. */
static unsigned default_loops(unsigned nodes) {
    cpu_set_t cpus;
    int count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    unsigned loops = (unsigned)count / nodes;
    return loops < 1 ? 1 : loops > WC_LOOPS_MAX ? WC_LOOPS_MAX : loops;
}

static void add_root(struct wc_options *options, const char *root) {
    if (options->root_count == WC_ROOTS_MAX) {
        wrong(root, NULL, "at most 256 directories");
    }
    options->roots[options->root_count++] = root;
}

static void add_default_roots(struct wc_options *options) {
    static const char *const roots[] = {"/usr/include", "/usr/share/common-licenses",
                                        "/usr/share/doc"};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        if (access(roots[i], R_OK | X_OK) == 0) {
            add_root(options, roots[i]);
        }
    }
    if (options->root_count == 0) {
        wrong("DIRECTORY", NULL, "at least one, the default ones don't exist here");
    }
}

enum { LOOPS = 256, NODES, TOP, JSON, VERIFY, HELP, WORKER, LINKS, PARENT };

static const struct option long_options[] = {
    {"loops", required_argument, NULL, LOOPS},   {"nodes", required_argument, NULL, NODES},
    {"top", required_argument, NULL, TOP},       {"json", no_argument, NULL, JSON},
    {"verify", no_argument, NULL, VERIFY},       {"help", no_argument, NULL, HELP},
    {"worker", required_argument, NULL, WORKER}, {"links", required_argument, NULL, LINKS},
    {"parent", required_argument, NULL, PARENT}, {NULL, 0, NULL, 0}};

static void take(struct wc_options *options, int option, char **argv) {
    switch (option) {
    case LOOPS: options->loops = number("--loops", optarg, 1, WC_LOOPS_MAX); break;
    case NODES: options->nodes = number("--nodes", optarg, 1, WC_NODES_MAX); break;
    case TOP: options->top = number("--top", optarg, 0, WC_TOP_MAX); break;
    case JSON: options->json = true; break;
    case VERIFY: options->verify = true; break;
    case WORKER: options->worker = number("--worker", optarg, 1, WC_NODES_MAX - 1); break;
    case LINKS: options->directory = optarg; break;
    case PARENT: options->parent = number("--parent", optarg, 1, INT_MAX); break;
    case HELP: fputs(usage, stdout); exit(0);
    case ':': wrong(argv[optind - 1], NULL, "a value after it");
    default: wrong(argv[optind - 1], NULL, "one of the options that --help shows");
    }
}

void wc_options_parse(struct wc_options *options, int argc, char **argv) {
    *options = (struct wc_options){.nodes = 1, .top = 20};
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        take(options, option, argv);
    }
    for (int i = optind; i < argc; i++) {
        if (argv[i][0] == '\0') {
            wrong("DIRECTORY", argv[i], "a path");
        }
        add_root(options, argv[i]);
    }
    if (options->root_count == 0 && options->worker == 0) {
        add_default_roots(options);
    }
    if (options->loops == 0) {
        options->loops = default_loops(options->nodes);
    }
    if (options->worker > 0 && (options->directory == NULL || options->parent == 0)) {
        wrong("--worker", NULL, "to be used by the program itself only");
    }
}
