/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_idle.c: what a program costs that does nothing: 16 loops, a million actors, and 10,000
 * descriptors as far as the system lets a process have them.
 */
#include "bench.h"

#include <troupe/actors.h>

#include <sys/resource.h>
#include <sys/socket.h>

enum { LOOPS = 16, DESCRIPTORS = 10 * 1000, DESCRIPTORS_SPARE = 200 };

TR_MESSAGE(bench_never, (1, int64, value));

typedef struct {
    int64_t value;
    int64_t count;
} bench_sleeper;

static int on_never(tr_self *self, bench_sleeper *s, const bench_never *m) {
    (void)self;
    s->value = m->value;
    return 0;
}

TR_PROTOCOL(bench_sleeper, bench_never);
TR_BEHAVIOUR(bench_sleeper, TR_ON(bench_never, on_never));

static tr_io *ios[DESCRIPTORS];
static int io_count;

/* Pairs of connected sockets, over which nothing is ever sent. */
static void open_descriptors(void) {
    struct rlimit limit;
    bench_check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit failed");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    bench_check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit failed");
    while (io_count + 2 <= DESCRIPTORS && (rlim_t)(io_count + DESCRIPTORS_SPARE) < limit.rlim_cur) {
        int fds[2];
        bench_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0,
                    "socketpair failed");
        for (int i = 0; i < 2; i++) {
            int err = tr_io_open(fds[i], &ios[io_count++]);
            bench_check(err == 0, "tr_io_open: %s", tr_err_text(err));
        }
    }
}

static int64_t switches;
static int64_t cpu_time;

static long switches_now(void) {
    struct rusage usage;
    bench_check(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage failed");
    return usage.ru_nvcsw + usage.ru_nivcsw;
}

static int do_nothing(void *arg) {
    (void)arg;
    open_descriptors();
    int64_t actors = bench_scaled(1000 * 1000);
    for (int64_t i = 0; i < actors; i++) {
        tr_ref ref;
        int err = tr_spawn_start(&ref, bench_sleeper);
        bench_check(err == 0, "tr_spawn_start: %s", tr_err_text(err));
    }
    (void)tr_sleep(300 * TR_MS); /* whatever the start has set off is over then */
    long before = switches_now();
    int64_t cpu_before = bench_cpu_time();
    (void)tr_sleep(TR_SECOND);
    cpu_time = bench_cpu_time() - cpu_before;
    /* One of them is this sleep's own. */
    switches = switches_now() - before - 1;
    for (int i = 0; i < io_count; i++) {
        ios[i] = tr_io_close(ios[i]);
    }
    return 0;
}

static double run_idle(void) {
    bench_troupe(LOOPS, do_nothing);
    return switches > 0 ? (double)switches : 0;
}

static double run_idle_cpu(void) {
    bench_troupe(LOOPS, do_nothing);
    return (double)cpu_time / TR_US;
}

const struct bench_workload bench_idle[] = {
    {"idle", "troupe", "switches/s", run_idle, 0},
    {"idle_cpu", "troupe", "us/s", run_idle_cpu, 0},
    {NULL, NULL, NULL, NULL, 0},
};
