/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_support.c: clocks, checks and the gate, for the workloads.
 */
#include "bench.h"

#include <troupe/actors.h>

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { QUICK_DIVISOR = 20 };

bool bench_is_quick;

int64_t bench_scaled(int64_t full) {
    return bench_is_quick ? full / QUICK_DIVISOR : full;
}

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * TR_SECOND + t.tv_nsec;
}

int64_t bench_now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t bench_cpu_time(void) {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

double bench_ns_each(int64_t count, int64_t ns) {
    return (double)ns / (double)count;
}

double bench_millions(int64_t count, int64_t ns) {
    return (double)count * 1e3 / (double)ns;
}

void bench_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fputs("  ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    /* Other loops are running: nothing is torn down. */
    _exit(1);
}

/* The first call, on the main thread, finds the set that bench_run.c has made. */
static cpu_set_t run_cpus;
static pthread_once_t run_cpus_once = PTHREAD_ONCE_INIT;

static void read_run_cpus(void) {
    bench_check(sched_getaffinity(0, sizeof run_cpus, &run_cpus) == 0, "sched_getaffinity failed");
}

void bench_pin(int which) {
    (void)pthread_once(&run_cpus_once, read_run_cpus);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &run_cpus) && which-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            bench_check(pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0,
                        "can't pin to CPU %zu", cpu);
            return;
        }
    }
    bench_fail("there is no CPU to pin to");
}

void bench_troupe(int loops, tr_task_fn *app) {
    /* Loops narrow the set of this thread: remember it first, for bench_pin(). */
    (void)pthread_once(&run_cpus_once, read_run_cpus);
    int err = tr_run(app, NULL, .loops = loops);
    bench_check(err == 0, "tr_run: %s (%s)", tr_err_text(err), tr_err_name(err));
}

uint64_t bench_random(uint64_t *state) {
    /* splitmix64 */
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- the gate ---------------------------------------------------------------------------- */

void bench_gate_init(struct bench_gate *gate) {
    gate->loop = tr_loop_running();
    int err = tr_future_new(gate->loop, &gate->future);
    bench_check(err == 0, "tr_future_new: %s", tr_err_text(err));
}

static void set_future(void *arg) {
    tr_future_set(arg, 0, NULL);
}

void bench_gate_open(struct bench_gate *gate) {
    /* From another loop only this door leads to the future's. */
    int err = tr_loop_call_soon_threadsafe(gate->loop, set_future, gate->future);
    bench_check(err == 0, "tr_loop_call_soon_threadsafe: %s", tr_err_text(err));
}

void bench_gate_wait(struct bench_gate *gate) {
    int err = tr_await(gate->future);
    bench_check(err == 0, "tr_await: %s", tr_err_text(err));
    gate->future = tr_future_unref(gate->future);
}

void bench_check_no_dead_letters(void) {
    struct tr_actor_stats stats;
    tr_actors_get_stats(&stats);
    bench_check(stats.dead_letters == 0, "%llu dead letters",
                (unsigned long long)stats.dead_letters);
}
