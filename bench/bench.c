/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.c: the benchmark program: options, rounds, medians.
 *
 * Rounds are interleaved: each runs every chosen workload once, so that a slow minute of the
 * machine hits all of them alike. Results are one JSON object a line on stdout, everything else
 * goes to stderr.
 */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKLOADS_MAX = 128, RUNS_MAX = 1000, RUNS_DEFAULT = 5, EXIT_USAGE = 2 };

static const struct bench_workload *const tables[] = {
    bench_pingpong, bench_flow,      bench_spawn,  bench_ask,
    bench_tasks,    bench_callbacks, bench_timers, bench_idle,
};

struct entry {
    const struct bench_workload *workload;
    bool is_chosen;
    double *values; /* one a run */
};

static struct entry entries[WORKLOADS_MAX];
static size_t entry_count;

static const char usage[] =
    "usage: troupe_bench [--only NAME[,NAME]...] [--runs N] [--quick]\n"
    "       troupe_bench --list | --help\n"
    "\n"
    "  --only NAMES  these workloads only, with the peers that are measured beside them\n"
    "  --runs N      rounds, 1 to 1000; default 5, with --quick 1\n"
    "  --quick       a twentieth of the work: to see that everything runs\n"
    "  --list        the workloads: name, implementation, unit, CPUs\n"
    "\n"
    "One JSON object a line on stdout; how noisy the machine is, on stderr.\n";

static void collect(void) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const struct bench_workload *w = tables[t]; w->name != NULL; w++) {
            if (entry_count == WORKLOADS_MAX) {
                (void)fputs("troupe_bench: more workloads than WORKLOADS_MAX\n", stderr);
                exit(1);
            }
            entries[entry_count++] = (struct entry){.workload = w};
        }
    }
}

static void list(void) {
    for (size_t i = 0; i < entry_count; i++) {
        const struct bench_workload *w = entries[i].workload;
        (void)printf("%-22s %-16s %-14s %d\n", w->name, w->impl, w->unit, w->cpus);
    }
}

/* ---- options --------------------------------------------------------------------------- */

static bool choose(const char *name, size_t size) {
    bool is_known = false;
    for (size_t i = 0; i < entry_count; i++) {
        const char *known = entries[i].workload->name;
        if (strlen(known) == size && memcmp(known, name, size) == 0) {
            entries[i].is_chosen = true;
            is_known = true;
        }
    }
    return is_known;
}

static void choose_from(const char *names) {
    for (;;) {
        size_t size = strcspn(names, ",");
        if (!choose(names, size)) {
            (void)fprintf(stderr,
                          "troupe_bench: there is no workload '%.*s': --list shows them all\n",
                          (int)size, names);
            exit(EXIT_USAGE);
        }
        if (names[size] == '\0') {
            return;
        }
        names += size + 1;
    }
}

static int parse_runs(const char *text) {
    char *end;
    errno = 0;
    long runs = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || runs < 1 || runs > RUNS_MAX) {
        (void)fprintf(stderr, "troupe_bench: --runs takes a number from 1 to %d, not '%s'\n",
                      RUNS_MAX, text);
        exit(EXIT_USAGE);
    }
    return (int)runs;
}

/* The number of rounds; what was chosen stands in the entries. */
static int parse_options(int argc, char **argv) {
    static const struct option options[] = {
        {"only", required_argument, NULL, 'o'}, {"runs", required_argument, NULL, 'r'},
        {"quick", no_argument, NULL, 'q'},      {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    int runs = 0;
    bool has_only = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            choose_from(optarg);
            has_only = true;
            break;
        case 'r': runs = parse_runs(optarg); break;
        case 'q': bench_is_quick = true; break;
        case 'l': list(); exit(0);
        case 'h': (void)fputs(usage, stdout); exit(0);
        default: (void)fputs(usage, stderr); exit(EXIT_USAGE);
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "troupe_bench: '%s' is no option\n%s", argv[optind], usage);
        exit(EXIT_USAGE);
    }
    for (size_t i = 0; i < entry_count && !has_only; i++) {
        entries[i].is_chosen = true;
    }
    if (runs == 0) {
        runs = bench_is_quick ? 1 : RUNS_DEFAULT;
    }
    return runs;
}

/* ---- rounds -------------------------------------------------------------------------------- */

static void prepare(int runs) {
    for (size_t i = 0; i < entry_count; i++) {
        struct entry *entry = &entries[i];
        if (entry->is_chosen && !bench_can_run(entry->workload)) {
            (void)fprintf(stderr, "%s is left out: it needs %d CPUs\n", entry->workload->name,
                          entry->workload->cpus);
            entry->is_chosen = false;
        }
        if (entry->is_chosen) {
            entry->values = calloc((size_t)runs, sizeof *entry->values);
            if (entry->values == NULL) {
                (void)fputs("troupe_bench: out of memory\n", stderr);
                exit(1);
            }
        }
    }
}

static bool run_round(int round, int runs) {
    static double best_calibration;
    double calibration = bench_calibrate();
    if (round == 0 || calibration < best_calibration) {
        best_calibration = calibration;
    }
    (void)fprintf(stderr, "round %d of %d: calibration %.3f ns (best so far %.3f)\n", round + 1,
                  runs, calibration, best_calibration);
    for (size_t i = 0; i < entry_count; i++) {
        struct entry *entry = &entries[i];
        if (entry->is_chosen && !bench_run_once(entry->workload, &entry->values[round])) {
            (void)fprintf(stderr, "troupe_bench: %s (%s) failed\n", entry->workload->name,
                          entry->workload->impl);
            return false;
        }
    }
    return true;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_result(struct entry *entry, int runs) {
    double *values = entry->values;
    size_t count = (size_t)runs;
    qsort(values, count, sizeof *values, compare);
    double median = (values[(count - 1) / 2] + values[count / 2]) / 2;
    (void)printf("{\"workload\":\"%s\",\"impl\":\"%s\",\"median\":%.2f,\"min\":%.2f,"
                 "\"max\":%.2f,\"unit\":\"%s\",\"runs\":%d}\n",
                 entry->workload->name, entry->workload->impl, median, values[0], values[count - 1],
                 entry->workload->unit, runs);
}

int main(int argc, char **argv) {
    collect();
    int runs = parse_options(argc, argv);
    prepare(runs);
    for (int round = 0; round < runs; round++) {
        if (!run_round(round, runs)) {
            return 1;
        }
    }
    for (size_t i = 0; i < entry_count; i++) {
        if (entries[i].is_chosen) {
            print_result(&entries[i], runs);
        }
        free(entries[i].values);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
