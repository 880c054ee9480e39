/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.c: SIGINT, SIGTERM and SIGHUP on loop 0 lead to an orderly stop.
 *
 * The three are blocked on the thread of loop 0, where a signalfd takes them; other signals keep
 * their meaning there. The other threads of the runtime block all that can wait, so that a handler
 * of the program runs on loop 0's thread. After the first signal the former mask comes back, so that
 * a second one meets its ordinary disposition: the way out when the orderly stop takes too long.
 */
#include "runtime_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What a thread does to itself must reach it there and then. */
static const int never_blocked[] = {SIGSEGV, SIGBUS, SIGILL,  SIGFPE, SIGTRAP,
                                    SIGABRT, SIGSYS, SIGPROF, SIGPIPE};

/* SIGHUP only where it means something: under nohup it is ignored, and stays so. */
static void stop_signals(sigset_t *set) {
    struct sigaction hangup;
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
        sigaddset(set, SIGHUP);
    }
}

void tri_signals_block(tr_runtime *runtime) {
    sigset_t mask;
    if (runtime->opts.no_signals) {
        sigemptyset(&mask);
    } else {
        stop_signals(&mask);
    }
    pthread_sigmask(SIG_BLOCK, &mask, &runtime->mask_before);
    runtime->is_masked = true;
}

void tri_signals_block_all(sigset_t *before) {
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof never_blocked / sizeof never_blocked[0]; i++) {
        sigdelset(&mask, never_blocked[i]);
    }
    pthread_sigmask(SIG_BLOCK, &mask, before);
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
    tr_log(TR_LOG_INFO, "SIG%s: stopping; once more ends the program at once",
           sigabbrev_np((int)info.ssi_signo));
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
    stop_signals(&wanted);
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
