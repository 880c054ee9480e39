/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c: what another process of the program does: be a node, and wait for the end. Its actors
 * are spawned by the first process.
 */
#include "links.h"
#include "progress.h"
#include "protocol.h"
#include "team.h"

#include <troupe/transport.h>

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static int allow_actors(void) {
    static const struct tr_behaviour *const allowed[] = {
        TR_BEHAVIOUR_OF(reader), TR_BEHAVIOUR_OF(shard), TR_BEHAVIOUR_OF(meter)};
    int err = 0;
    for (size_t i = 0; err == 0 && i < sizeof allowed / sizeof allowed[0]; i++) {
        err = tr_node_allow(allowed[i]);
    }
    return err;
}

/* Standard input is a pipe that nobody writes to: it ends when the first process lets go of it,
 * or is gone. */
static int wait_for_end(void) {
    tr_io *lifeline;
    char byte;
    int err = tr_io_open(STDIN_FILENO, &lifeline);
    if (err < 0) {
        return err;
    }
    err = tr_io_read(lifeline, &byte, sizeof byte);
    tr_io_close(lifeline);
    return err;
}

static int worker(void *arg) {
    const struct wc_options *options = arg;
    int err = wc_watch_dead_letters();
    if (err == 0) {
        err = allow_actors();
    }
    if (err == 0) {
        err = wc_links_start(options->worker, options, options->directory);
    }
    return err < 0 ? err : wait_for_end();
}

int wc_worker_main(const struct wc_options *options) {
    /* Ctrl-C reaches all processes of the terminal; the first one decides what comes of it. If that
     * one is killed, so are we, even if our loops are stuck. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != (pid_t)options->parent) {
        return 1; /* it is gone already */
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    struct wc_options mine = *options;
    /* Every process would pin its loops to the same CPUs: the scheduler knows better. */
    int err = tr_run(worker, &mine, .loops = (int)options->loops, .no_signals = true,
                     .no_pinning = true, .shutdown_timeout = 600 * TR_MS);
    if (err < 0) {
        wc_say("%s: %s (%s)", wc_node_name(options->worker).text, tr_err_text(err),
               tr_err_name(err));
    }
    return err < 0;
}
