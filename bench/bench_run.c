/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_run.c: one run of a workload in a child process, and the calibration loop.
 */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RUN_SECONDS_MAX = 300, /* a lost message must not stop the whole program for ever */
    CALIBRATE_ROUNDS = 20 * 1000 * 1000
};

static int allowed_cpus(cpu_set_t *ret_set) {
    if (sched_getaffinity(0, sizeof *ret_set, ret_set) != 0) {
        CPU_ZERO(ret_set);
    }
    return CPU_COUNT(ret_set);
}

bool bench_can_run(const struct bench_workload *workload) {
    cpu_set_t set;
    return allowed_cpus(&set) >= workload->cpus;
}

/* One: the second CPU where there is one, for the first is the one that serves interrupts. */
static bool pin(int cpus) {
    cpu_set_t allowed;
    int skip = allowed_cpus(&allowed) > 1 && cpus == 1 ? 1 : 0;
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && cpus > 0; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && skip-- <= 0) {
            CPU_SET(cpu, &chosen);
            cpus--;
        }
    }
    return sched_setaffinity(0, sizeof chosen, &chosen) == 0;
}

/* The name of the process and this function's are for profilers: docs/performance.md. */
static __attribute__((noinline, noreturn)) void bench_child(const struct bench_workload *workload,
                                                            int result_fd) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bool is_ours = strcmp(workload->impl, "troupe") == 0;
    (void)prctl(PR_SET_NAME, is_ours ? workload->name : workload->impl);
    (void)alarm(RUN_SECONDS_MAX);
    if (workload->cpus > 0 && !pin(workload->cpus)) {
        bench_fail("can't be pinned: %s", strerror(errno));
    }
    double value = workload->run();
    bool is_sent = write(result_fd, &value, sizeof value) == (ssize_t)sizeof value;
    _exit(is_sent ? 0 : 1);
}

bool bench_run_once(const struct bench_workload *workload, double *ret_value) {
    int fds[2];
    if (pipe(fds) != 0) {
        perror("troupe_bench: pipe");
        return false;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("troupe_bench: fork");
        (void)close(fds[0]);
        (void)close(fds[1]);
        return false;
    }
    if (pid == 0) {
        (void)close(fds[0]);
        bench_child(workload, fds[1]);
    }
    (void)close(fds[1]);
    ssize_t size = read(fds[0], ret_value, sizeof *ret_value);
    (void)close(fds[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        (void)fprintf(stderr, "  %s\n",
                      WTERMSIG(status) == SIGALRM ? "took too long" : strsignal(WTERMSIG(status)));
    }
    return size == (ssize_t)sizeof *ret_value && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

double bench_calibrate(void) {
    uint64_t state = 1;
    uint64_t sum = 0;
    int64_t begin = bench_now();
    for (int i = 0; i < CALIBRATE_ROUNDS; i++) {
        sum += bench_random(&state);
    }
    int64_t end = bench_now();
    /* The sum is known: comparing it keeps the compiler from leaving the loop out. */
    return sum != 0 ? bench_ns_each(CALIBRATE_ROUNDS, end - begin) : 0;
}
