/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_signals.c: SIGINT and SIGTERM end a runtime in order; the second one at once.
 */
#include "support/t_task.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a terminal or another process would send it: to the process, not to one thread. */
static void send(int signo) {
    T_CHECK_INT(kill(getpid(), signo), 0);
}

static int interrupt_oneself(void *arg) {
    send(*(int *)arg);
    int err = tr_sleep(10 * TR_SECOND);
    T_CHECK_INT(err, TR_ECANCELLED);
    T_CHECK_INT(tr_sleep(TR_MS), 0); /* time to clean up */
    return err;
}

static void on_signal(int signo) {
    (void)signo;
}

/* asyncio.run(): SIGINT cancels the main task, then KeyboardInterrupt */
T_TEST(signals, cancel_the_main_task_and_leave_no_trace) {
    for (int i = 0; i < 4; i++) {
        int signo = i % 2 == 0 ? SIGINT : SIGTERM;
        struct sigaction before = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, after;
        sigset_t mask_before, mask_after;
        T_CHECK_INT(sigaction(signo, &before, NULL), 0);
        sigemptyset(&mask_before);
        sigaddset(&mask_before, SIGUSR2); /* some mask that isn't empty */
        pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
        T_CHECK_INT(tr_run(interrupt_oneself, &signo, .loops = i < 2 ? 1 : 2), TR_EINTERRUPTED);
        T_CHECK_INT(sigaction(signo, NULL, &after), 0);
        T_CHECK(after.sa_handler == on_signal);
        pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
        for (int s = 1; s < 32; s++) {
            T_CHECK_INT(sigismember(&mask_after, s), s == SIGUSR2);
        }
    }
}

static int end_with_a_result(void *arg) {
    send(*(int *)arg);
    T_CHECK_INT(tr_sleep(10 * TR_SECOND), TR_ECANCELLED);
    return 3;
}

T_TEST(signals, a_result_of_its_own_counts) {
    int signo = SIGINT;
    T_CHECK_INT(tr_run(end_with_a_result, &signo), 3);
}

static int cancel_oneself(void *arg) {
    (void)arg;
    tr_task_cancel(tr_task_current());
    return tr_yield();
}

T_TEST(signals, a_cancellation_without_a_signal_stays_one) {
    T_CHECK_INT(tr_run(cancel_oneself, NULL), TR_ECANCELLED);
}

/* ---- the second signal ---------------------------------------------------------------- */

static int hang_after_the_first(void *arg) {
    send(SIGINT);
    T_CHECK_INT(tr_sleep(10 * TR_SECOND), TR_ECANCELLED);
    send(*(int *)arg);
    (void)tr_sleep(10 * TR_SECOND); /* an orderly end that takes too long */
    return 0;
}

T_DEATH_TEST(signals, second_one_ends_the_process, SIGINT) {
    int signo = SIGINT;
    signal(SIGINT, SIG_DFL);
    t_run_task(hang_after_the_first, &signo, 1);
}

T_DEATH_TEST(signals, second_one_of_the_other_kind_too, SIGTERM) {
    int signo = SIGTERM;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    t_run_task(hang_after_the_first, &signo, 2);
}

/* ---- left alone ----------------------------------------------------------------------- */

static int send_and_sleep(void *arg) {
    send(*(int *)arg);
    return tr_sleep(TR_MS);
}

static volatile sig_atomic_t handled;

static void count_signal(int signo) {
    (void)signo;
    handled = handled + 1;
}

T_TEST(signals, no_signals_leaves_them_alone) {
    int signo = SIGTERM;
    signal(SIGTERM, count_signal);
    T_CHECK_INT(tr_run(send_and_sleep, &signo, .no_signals = true), 0);
    T_CHECK_INT(handled, 1);

    /* Also when the caller has blocked it. */
    sigset_t mask, pending;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    T_CHECK_INT(tr_run(send_and_sleep, &signo, .no_signals = true), 0);
    T_CHECK_INT(handled, 1);
    sigpending(&pending);
    T_CHECK(sigismember(&pending, SIGTERM));
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    T_CHECK_INT(handled, 2);
    signal(SIGTERM, SIG_DFL);
}

T_DEATH_TEST(signals, no_signals_means_the_default_action, SIGTERM) {
    int signo = SIGTERM;
    signal(SIGTERM, SIG_DFL);
    (void)!tr_run(send_and_sleep, &signo, .no_signals = true);
}
