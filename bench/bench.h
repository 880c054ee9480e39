/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.h: what the workloads share.
 *
 * A workload runs in a process of its own, made for one run: it does its work, checks the result
 * and returns one figure. Whatever is wrong ends the process, and with it the whole program.
 */
#ifndef BENCH_H
#define BENCH_H

#include <troupe/core.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One implementation of one workload. */
struct bench_workload {
    const char *name;
    const char *impl; /* "troupe", or the peer that is measured beside it */
    const char *unit;
    double (*run)(void); /* in the child; returns the figure */
    int cpus;            /* pinned to the first 1 or 2 CPUs; 0: not pinned */
};

/* The tables of the files, each ended by an entry without a name. */
extern const struct bench_workload bench_pingpong[];
extern const struct bench_workload bench_flow[];
extern const struct bench_workload bench_spawn[];
extern const struct bench_workload bench_ask[];
extern const struct bench_workload bench_tasks[];
extern const struct bench_workload bench_callbacks[];
extern const struct bench_workload bench_timers[];
extern const struct bench_workload bench_idle[];

/* ---- bench_run.c: one run in a child process ------------------------------------------------- */

/* Whether a workload can run here: it may need more CPUs than there are. */
bool bench_can_run(const struct bench_workload *workload);
/* Run it once. False: it failed, and has said why. */
bool bench_run_once(const struct bench_workload *workload, double *ret_value);
/* Nanoseconds of a fixed piece of work: how fast this machine is just now. */
double bench_calibrate(void);

/* ---- bench_support.c: for the workloads ------------------------------------------------------ */

extern bool bench_is_quick; /* --quick: a twentieth of the work */

/* `full`, or a twentieth of it. */
int64_t bench_scaled(int64_t full);
/* Nanoseconds of the monotonic clock. */
int64_t bench_now(void);
/* Nanoseconds of CPU time of this process. */
int64_t bench_cpu_time(void);
/* Figures from a count and a duration. */
double bench_ns_each(int64_t count, int64_t ns);
double bench_millions(int64_t count, int64_t ns);
/* End the child when a condition doesn't hold. */
#define bench_check(cond, ...)       \
    do {                             \
        if (!(cond)) {               \
            bench_fail(__VA_ARGS__); \
        }                            \
    } while (0)
_Noreturn void bench_fail(const char *format, ...) TR_PRINTF(1, 2);
/* Pin the calling thread to the first (0) or second (1) CPU of the run. */
void bench_pin(int which);
/* Run an app to its end; any error ends the child. */
void bench_troupe(int loops, tr_task_fn *app);
/* A cheap generator with a fixed start: the same numbers in each run. */
uint64_t bench_random(uint64_t *state);

/* How the app learns that the actors are done: opened once, on any loop. */
struct bench_gate {
    tr_loop *loop;
    tr_future *future;
};
void bench_gate_init(struct bench_gate *gate);
void bench_gate_open(struct bench_gate *gate);
void bench_gate_wait(struct bench_gate *gate);
/* The actors of this loop have lost nothing. */
void bench_check_no_dead_letters(void);

#endif
