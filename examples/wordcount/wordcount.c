/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wordcount: counts the words of all text files under some directories, with actors on several loops
 * and in several processes. wordcount --help says how to call it, protocol.h how it works.
 */
#include "job.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "team.h"
#include "verify.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHUTDOWN_TIME (600 * TR_MS) /* Ctrl-C ends everything within two seconds */

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* ---- before ---- */

static int check_roots(const struct wc_options *options) {
    wc_walk *walk;
    const char *bad = NULL;
    int err = wc_walk_new(options->roots, options->root_count, &walk, &bad);
    if (err == 0) {
        wc_walk_free(walk);
    } else if (bad != NULL) {
        wc_say("DIRECTORY is '%s': expected a directory or file that can be read: %s", bad,
               tr_err_text(err));
    } else {
        wc_say("can't look at the directories: %s", tr_err_text(err));
    }
    return err;
}

/* From the first process that is started to the last that has ended, Ctrl-C is for tr_run() only: it
 * sees what is blocked, too. What comes before or after ends the program at once. */
static void block_signals(sigset_t *ret_before) {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGHUP);
    sigprocmask(SIG_BLOCK, &stop, ret_before);
}

/* Warnings of the library. */
static void log_line(void *arg, const struct tr_log_line *line) {
    const char *who = arg;
    wc_say("%s: %s", who, line->text);
}

/* ---- after ---- */

static int print_report(const struct wc_job *job, bool is_partial) {
    const struct wc_options *options = job->options;
    struct wc_entry *top = calloc(options->top + 1, sizeof *top);
    if (top == NULL) {
        return -ENOMEM;
    }
    struct wc_report report = {.totals = job->totals,
                               .distinct = job->distinct,
                               .top = top,
                               .top_count = wc_top_of_table(job->words, top, options->top),
                               .seconds = job->seconds,
                               .loops = options->loops,
                               .nodes = options->nodes,
                               .is_partial = is_partial};
    int err = options->json ? wc_report_json(&report, stdout) : wc_report_text(&report, stdout);
    free(top);
    if (err < 0) {
        wc_say("can't write the result: %s", tr_err_text(err));
    }
    return err;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int recount(const struct wc_options *options, wc_verify *verify) {
    int err = 0;
    for (size_t i = 0; err == 0 && i < options->root_count; i++) {
        err = wc_verify_add_root(verify, options->roots[i]);
    }
    wc_say("counting once more, in one thread and by other means");
    while (err == 0 && (err = wc_verify_step(verify)) > 0) {
        err = 0;
    }
    return err;
}

/* Count again and compare; SIGINT simply ends the program by now. */
static int verify_result(const struct wc_job *job) {
    double began = seconds_now();
    wc_verify *verify = wc_verify_new();
    int err = verify != NULL ? recount(job->options, verify) : -ENOMEM;
    if (err < 0) {
        wc_say("can't verify: %s", tr_err_text(err));
        wc_verify_free(verify);
        return EXIT_FAILED;
    }
    unsigned long long differences = wc_verify_compare(verify, job->words, &job->totals, stderr);
    fprintf(job->options->json ? stderr : stdout,
            "%sverified: %llu words, %llu distinct, %llu differences (recounted in %.2f s)\n",
            job->options->json ? "" : "\n", (unsigned long long)wc_verify_totals(verify)->words,
            (unsigned long long)wc_verify_distinct(verify), differences, seconds_now() - began);
    wc_verify_free(verify);
    return differences == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int finish(const struct wc_job *job, int err) {
    if (err == TR_EINTERRUPTED) {
        wc_say("interrupted: the counts are incomplete");
        print_report(job, true);
        return EXIT_INTERRUPTED;
    }
    if (err < 0) {
        return EXIT_FAILED; /* it was said why */
    }
    if (job->changed > 0) {
        wc_say("%llu files have changed while they were counted", (unsigned long long)job->changed);
    }
    if (print_report(job, false) < 0) {
        return EXIT_FAILED;
    }
    return job->options->verify ? verify_result(job) : EXIT_DONE;
}

/* ---- the program ---- */

static int run(const struct wc_options *options) {
    struct wc_team team;
    struct wc_job job = {.options = options, .team = &team, .words = wc_table_new()};
    if (job.words == NULL) {
        wc_say("can't start: %s", tr_err_text(-ENOMEM));
        return EXIT_FAILED;
    }
    sigset_t before;
    block_signals(&before);
    int err = wc_team_start(&team, options);
    if (err == 0) {
        err = tr_run(wc_job_main, &job, .loops = (int)options->loops,
                     .no_pinning = options->nodes > 1, .shutdown_timeout = SHUTDOWN_TIME);
        wc_team_end(&team, err == TR_EINTERRUPTED ? 300 : 3000);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    int status = finish(&job, err);
    wc_table_free(job.words);
    return status;
}

int main(int argc, char **argv) {
    struct wc_options options;
    wc_options_parse(&options, argc, argv);
    struct wc_node_name name = wc_node_name(options.worker);
    tr_log_set_sink(log_line, name.text, TR_LOG_WARN);
    if (options.worker > 0) {
        return wc_worker_main(&options);
    }
    if (check_roots(&options) < 0) {
        return EXIT_USAGE;
    }
    return run(&options);
}
