/* SPDX-License-Identifier: Apache-2.0 */
/* Back-end 2: our own runner. A process per test, or with --no-fork all in this one (valgrind,
 * ThreadSanitizer, a debugger). */
#include "t.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define T_MAX_CASES     8192
#define T_KILL_AFTER_MS (10 * 60 * 1000) /* where even the watchdog in the test doesn't work */

static struct t_case *cases[T_MAX_CASES];
static size_t case_count;

void t_register(struct t_case *c) {
    if (case_count == T_MAX_CASES) {
        fprintf(stderr, "t_plain.c: more than %d tests: raise T_MAX_CASES\n", T_MAX_CASES);
        abort();
    }
    cases[case_count++] = c;
}

static int by_name(const void *a, const void *b) {
    const struct t_case *const *x = a;
    const struct t_case *const *y = b;
    int order = strcmp((*x)->suite, (*y)->suite);
    return order != 0 ? order : strcmp((*x)->name, (*y)->name);
}

static bool selected(const struct t_case *c, const char *const *filters, size_t count) {
    char full[512];
    snprintf(full, sizeof full, "%s/%s", c->suite, c->name);
    for (size_t i = 0; i < count; i++) {
        if (strstr(full, filters[i]) != NULL) {
            return true;
        }
    }
    return count == 0;
}

/* Waits for the child, and kills it when it takes far too long. */
static int wait_child(pid_t pid) {
    int status = 0;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0) {
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        if (poll(&p, 1, T_KILL_AFTER_MS) == 0) {
            kill(pid, SIGKILL);
        }
        close(pidfd);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static bool run_forked(const struct t_case *c) {
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(96);
        }
        unsigned failed = t_run_case(c, NULL, 0);
        fflush(NULL);
        _exit(failed == 0 ? 0 : 1);
    }
    if (pid < 0) {
        fprintf(stderr, "%s/%s: fork: %s\n", c->suite, c->name, strerror(errno));
        return false;
    }
    int status = wait_child(pid);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "%s/%s: died by signal %d (%s)\n", c->suite, c->name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) > 1) {
        fprintf(stderr, "%s/%s: exited with %d\n", c->suite, c->name, WEXITSTATUS(status));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int usage(const char *program, int status) {
    fprintf(
        status == 0 ? stdout : stderr,
        "usage: %s [--list] [--filter SUBSTR]... [--exclude SUBSTR]... [--no-fork] [--repeat N] "
        "[--verbose]\n",
        program);
    return status;
}

int main(int argc, char **argv) {
    static const char *filters[64];
    size_t filter_count = 0;
    static const char *excludes[64];
    size_t exclude_count = 0;
    bool list = false;
    bool no_fork = false;
    bool verbose = false;
    long repeat = 1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--list")) {
            list = true;
        } else if (!strcmp(argv[i], "--no-fork")) {
            no_fork = true;
        } else if (!strcmp(argv[i], "--verbose")) {
            verbose = true;
        } else if (!strcmp(argv[i], "--filter") && i + 1 < argc && filter_count < 64) {
            filters[filter_count++] = argv[++i];
        } else if (!strcmp(argv[i], "--exclude") && i + 1 < argc && exclude_count < 64) {
            excludes[exclude_count++] = argv[++i];
        } else if (!strcmp(argv[i], "--repeat") && i + 1 < argc) {
            repeat = strtol(argv[++i], NULL, 10);
        } else {
            return usage(argv[0], !strcmp(argv[i], "--help") ? 0 : 2);
        }
    }

    unsigned passed = 0;
    unsigned failed = 0;
    qsort(cases, case_count, sizeof cases[0], by_name);
    for (long round = 0; round < repeat; round++) {
        for (size_t i = 0; i < case_count; i++) {
            const struct t_case *c = cases[i];
            if (!selected(c, filters, filter_count) ||
                (exclude_count > 0 && selected(c, excludes, exclude_count))) {
                continue;
            }
            if (list) {
                printf("%s/%s\n", c->suite, c->name);
                continue;
            }
            if (no_fork || verbose) {
                fprintf(stderr, "RUN  %s/%s\n", c->suite, c->name);
            }
            double start = now();
            bool ok = no_fork ? t_run_case(c, NULL, 0) == 0 : run_forked(c);
            ok ? passed++ : failed++;
            if (verbose || !ok) {
                printf("%s %s/%s (%.3f s)\n", ok ? "PASS" : "FAIL", c->suite, c->name,
                       now() - start);
                fflush(stdout);
            }
        }
    }
    if (list) {
        return 0;
    }
    if (passed + failed == 0) {
        fprintf(stderr, "no test was run\n");
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
