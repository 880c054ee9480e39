/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.c: SIGINT and SIGTERM on loop 0 lead to an orderly stop.
 *
 * All signals that can wait are blocked in every thread of the runtime, and a signalfd on loop 0
 * takes the two. After the first one the former mask comes back, so that a second one meets its
 * ordinary disposition: the way out when the orderly stop takes too long.
 */
#include "runtime_internal.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What a thread does to itself must reach it there and then: a SIGPIPE that is kept until the mask
 * comes back would end the program long after the write that nobody read. */
static const int never_blocked[] = {SIGSEGV, SIGBUS, SIGILL,  SIGFPE, SIGTRAP,
                                    SIGABRT, SIGSYS, SIGPROF, SIGPIPE};

void tri_signals_block(tr_runtime *runtime) {
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof never_blocked / sizeof never_blocked[0]; i++) {
        sigdelset(&mask, never_blocked[i]);
    }
    if (runtime->opts.no_signals) {
        sigdelset(&mask, SIGINT);
        sigdelset(&mask, SIGTERM);
    }
    sigdelset(&mask, SIGALRM); /* whoever sets an alarm wants it */
    pthread_sigmask(SIG_BLOCK, &mask, &runtime->mask_before);
    runtime->is_masked = true;
}

void tri_signals_unblock(tr_runtime *runtime) {
    /* Once more at the end, even after a signal did it: ucontext keeps a mask with each stack, and
     * brings the one of the beginning back. */
    if (runtime->is_masked) {
        pthread_sigmask(SIG_SETMASK, &runtime->mask_before, NULL);
    }
}

static void signal_arrived(void *arg, int ready) {
    tr_runtime *runtime = arg;
    struct signalfd_siginfo info;
    (void)ready;
    if (read(runtime->signal_fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return;
    }
    tr_log(TR_LOG_INFO, "%s: stopping; once more ends the program at once",
           info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    runtime->was_interrupted = true;
    tri_signals_unblock(runtime);
    if (runtime->main != NULL) {
        tr_task_cancel(runtime->main);
    }
}

int tri_signals_begin(tr_runtime *runtime) {
    if (runtime->opts.no_signals) {
        return 0;
    }
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGTERM);
    int fd = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    tr_loop *loop = runtime->loops[0];
    int err = loop->seams.poller->add(loop->poller, fd, signal_arrived, runtime,
                                      &runtime->signal_registration);
    if (err < 0) {
        close(fd);
        return err;
    }
    runtime->signal_fd = fd;
    return 0;
}

void tri_signals_end(tr_runtime *runtime) {
    if (runtime->signal_fd > 0) {
        tr_loop *loop = runtime->loops[0];
        loop->seams.poller->remove(loop->poller, runtime->signal_registration);
        close(runtime->signal_fd);
        runtime->signal_fd = 0;
    }
}
