/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_runtime.c: tr_run(): options, loops and threads, the end of everything.
 */
#include "support/t_task.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int return_it(void *arg) {
    return *(int *)arg;
}

static int64_t now_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static size_t count_entries(const char *path) {
    size_t count = 0;
    DIR *dir = opendir(path);
    T_CHECK(dir != NULL);
    while (dir != NULL && readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

/* Keeps the lines of the log in one text. */
struct log {
    pthread_mutex_t mutex;
    char text[8192];
};

static void keep_line(void *arg, const struct tr_log_line *line) {
    struct log *log = arg;
    pthread_mutex_lock(&log->mutex);
    size_t size = strlen(log->text);
    snprintf(log->text + size, sizeof log->text - size, "%s\n", line->text);
    pthread_mutex_unlock(&log->mutex);
}

static struct log *begin_log(void) {
    static struct log log;
    log = (struct log){.mutex = PTHREAD_MUTEX_INITIALIZER};
    tr_log_set_sink(keep_line, &log, TR_LOG_WARN);
    return &log;
}

/* ---- options and results -------------------------------------------------------------- */

T_TEST(runtime, result_is_the_main_functions) {
    static const int results[] = {0, 1, 12345, -EIO, TR_ECANCELLED, TR_ETIMEOUT, -9999};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        int result = results[i];
        T_CHECK_INT(tr_run(return_it, &result), result);
        T_CHECK_INT(tr_run(return_it, &result, .loops = 2), result);
    }
    T_CHECK(tr_loop_running() == NULL);
}

static int must_not_run(void *arg) {
    (void)arg;
    T_FAIL("ran with an option out of range");
    return 0;
}

T_TEST(runtime, options_are_checked) {
    struct log *log = begin_log();
    T_CHECK_INT(tr_run(must_not_run, NULL, .loops = -2), -EINVAL);
    T_CHECK(strstr(log->text, "loops is -2") != NULL);
    T_CHECK_INT(tr_run(must_not_run, NULL, .loops = TR_LOOPS_MAX + 1), -EINVAL);
    T_CHECK(strstr(log->text, "loops is 257: expected 1 to 256") != NULL);
    T_CHECK_INT(tr_run(must_not_run, NULL, .shutdown_timeout = -1), -EINVAL);
    T_CHECK(strstr(log->text, "shutdown_timeout is -1") != NULL);
    T_CHECK_INT(tr_run(must_not_run, NULL, .stack_bytes = 100), -EINVAL);
    T_CHECK(strstr(log->text, "stack_bytes is 100") != NULL);
    T_CHECK_INT(tr_run(must_not_run, NULL, .stack_bytes = SIZE_MAX), -EINVAL);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

static int nest(void *arg) {
    T_CHECK_INT(tr_run(return_it, arg), TR_ENESTED);
    T_CHECK(tr_loop_running() != NULL);
    return tr_sleep(TR_MS);
}

/* asyncio: "asyncio.run() cannot be called from a running event loop" */
T_TEST(runtime, does_not_nest) {
    int result = 5;
    t_run_task(nest, &result, 1);
    T_CHECK_INT(tr_run(return_it, &result), 5);
}

static void *run_in_thread(void *arg) {
    int result = tr_run(return_it, arg, .no_signals = true);
    T_CHECK_INT(result, *(int *)arg);
    return NULL;
}

static int run_in_another_thread(void *arg) {
    pthread_t thread;
    T_TASK_REQUIRE(pthread_create(&thread, NULL, run_in_thread, arg) == 0);
    pthread_join(thread, NULL);
    return 0;
}

T_TEST(runtime, two_in_two_threads) {
    int result = 8;
    t_run_task(run_in_another_thread, &result, 1);
}

/* ---- loops, threads, CPUs ------------------------------------------------------------- */

struct seen {
    atomic_int count;
    pthread_t threads[8];
    int indexes[8];
    cpu_set_t cpus[8];
};

static void note_thread(void *arg) {
    struct seen *seen = arg;
    int index = tr_loop_index(tr_loop_running());
    seen->threads[index] = pthread_self();
    seen->indexes[index]++;
    sched_getaffinity(0, sizeof seen->cpus[index], &seen->cpus[index]);
    atomic_fetch_add(&seen->count, 1);
}

static int ask_each_loop(void *arg) {
    struct seen *seen = arg;
    tr_runtime *runtime = tr_loop_runtime(tr_loop_running());
    int loops = tr_runtime_loops(runtime);
    for (int i = 0; i < loops; i++) {
        tr_loop *loop = tr_runtime_loop(runtime, i);
        T_CHECK_INT(tr_loop_call_soon_threadsafe(loop, note_thread, seen), 0);
    }
    while (atomic_load(&seen->count) < loops) {
        T_TASK_REQUIRE(tr_sleep(TR_MS) == 0);
    }
    return loops;
}

static void check_distinct(const struct seen *seen, int loops) {
    T_CHECK(pthread_equal(seen->threads[0], pthread_self()));
    for (int i = 0; i < loops; i++) {
        T_CHECK_INT(seen->indexes[i], 1);
        for (int k = 0; k < i; k++) {
            T_CHECK(!pthread_equal(seen->threads[i], seen->threads[k]));
        }
    }
}

T_TEST(runtime, each_loop_has_its_own_thread) {
    for (int loops = 1; loops <= 5; loops++) {
        struct seen seen = {0};
        T_CHECK_INT(tr_run(ask_each_loop, &seen, .loops = loops), loops);
        check_distinct(&seen, loops);
    }
}

T_TEST(runtime, loops_are_pinned_within_the_affinity) {
    cpu_set_t allowed, after;
    struct seen seen = {0};
    T_REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    int loops = tr_run(ask_each_loop, &seen, .loops = TR_ALL_CPUS);
    T_REQUIRE(loops >= 1 && loops <= CPU_COUNT(&allowed));
    check_distinct(&seen, loops < 8 ? loops : 8);
    for (int i = 0; i < loops && i < 8; i++) {
        cpu_set_t both;
        T_CHECK_INT(CPU_COUNT(&seen.cpus[i]), 1);
        CPU_AND(&both, &seen.cpus[i], &allowed);
        T_CHECK_INT(CPU_COUNT(&both), 1);
        for (int k = 0; k < i; k++) {
            T_CHECK(!CPU_EQUAL(&seen.cpus[i], &seen.cpus[k]));
        }
    }
    sched_getaffinity(0, sizeof after, &after); /* our own thread is as free as before */
    T_CHECK(CPU_EQUAL(&after, &allowed));
}

T_TEST(runtime, more_loops_than_cpus_or_no_pinning) {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    struct seen free_ones = {0};
    T_CHECK_INT(tr_run(ask_each_loop, &free_ones, .loops = 2, .no_pinning = true), 2);
    T_CHECK(CPU_EQUAL(&free_ones.cpus[0], &allowed) && CPU_EQUAL(&free_ones.cpus[1], &allowed));
    if (CPU_COUNT(&allowed) < 7) {
        struct seen many = {0};
        T_CHECK_INT(tr_run(ask_each_loop, &many, .loops = 7), 7);
        T_CHECK(CPU_EQUAL(&many.cpus[0], &allowed) && CPU_EQUAL(&many.cpus[6], &allowed));
    }
}

/* ---- again and again ------------------------------------------------------------------ */

static int do_some_work(void *arg) {
    tr_task *task;
    int result = 3;
    (void)arg;
    T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "t", return_it, &result, &task) == 0);
    T_CHECK_INT(tr_task_join(task), 3);
    return tr_sleep(10 * TR_US);
}

/* Each loop keeps one descriptor and its memory for the life of the process (late callers need
 * them), up to a limit that is reached before we count. */
T_TEST(runtime, two_hundred_runs_leak_nothing) {
    t_timeout(120);
    for (int i = 0; i < 100; i++) {
        T_REQUIRE(tr_run(do_some_work, NULL, .loops = 2) == 0);
    }
    size_t fds = count_entries("/proc/self/fd");
    size_t threads = count_entries("/proc/self/task");
    for (int i = 0; i < 200; i++) {
        T_REQUIRE(tr_run(do_some_work, NULL, .loops = 1 + i % 3) == 0);
    }
    T_CHECK_INT(count_entries("/proc/self/fd"), fds);
    T_CHECK_INT(count_entries("/proc/self/task"), threads);
}

/* ---- the end of everything ------------------------------------------------------------ */

static atomic_int ended; /* tasks that saw their cancellation */

static int sleep_until_cancelled(void *arg) {
    (void)arg;
    int err = tr_sleep(TR_FOREVER);
    T_CHECK_INT(err, TR_ECANCELLED);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    atomic_fetch_add(&ended, 1);
    return err;
}

static void start_sleepers(void *arg) {
    for (int i = 0; i < 5; i++) {
        T_CHECK_INT(tr_task_new(tr_loop_running(), "sleeper", sleep_until_cancelled, NULL, NULL),
                    0);
    }
    atomic_fetch_add((atomic_int *)arg, 1);
}

static int leave_tasks_behind(void *arg) {
    tr_runtime *runtime = tr_loop_runtime(tr_loop_running());
    atomic_int started = 0;
    (void)arg;
    for (int i = 0; i < tr_runtime_loops(runtime); i++) {
        tr_loop *loop = tr_runtime_loop(runtime, i);
        T_CHECK_INT(tr_loop_call_soon_threadsafe(loop, start_sleepers, &started), 0);
    }
    while (atomic_load(&started) < tr_runtime_loops(runtime)) {
        T_TASK_REQUIRE(tr_sleep(TR_MS) == 0);
    }
    return tr_sleep(5 * TR_MS) < 0 ? -1 : 4;
}

/* asyncio.run(): remaining tasks are cancelled and awaited */
T_TEST(runtime, tasks_left_over_are_cancelled) {
    struct log *log = begin_log();
    for (int loops = 1; loops <= 3; loops++) {
        atomic_store(&ended, 0);
        T_CHECK_INT(tr_run(leave_tasks_behind, NULL, .loops = loops), 4);
        T_CHECK_INT(atomic_load(&ended), 5 * loops);
    }
    T_CHECK_STR(log->text, "");
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

static int refuse_to_end(void *arg) {
    (void)arg;
    while (tr_sleep(TR_FOREVER) <= 0) {
    }
    return 0;
}

static int refuse_and_yield(void *arg) {
    (void)arg;
    while (tr_yield() <= 0) {
    }
    return 0;
}

static int await_the_other(void *arg) {
    return tr_await(tr_task_future(*(tr_task **)arg));
}

static int start_stubborn(void *arg) {
    tr_task_fn *fn = *(tr_task_fn **)arg;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "stubborn", fn, NULL, NULL), 0);
    return tr_yield() < 0 ? -1 : 6;
}

static void check_stubborn(tr_task_fn *fn, const char *waits_in) {
    struct log *log = begin_log();
    int64_t began = now_ms();
    T_CHECK_INT(tr_run(start_stubborn, &fn, .shutdown_timeout = 50 * TR_MS), 6);
    T_CHECK(now_ms() - began >= 50 && now_ms() - began < 2000);
    T_CHECK(strstr(log->text, "'stubborn'") != NULL);
    T_CHECK(strstr(log->text, waits_in) != NULL);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
    int result = 1;
    T_CHECK_INT(tr_run(return_it, &result), 1); /* and the next runtime is none the wiser */
}

T_TEST(runtime, a_task_that_refuses_to_end_is_reported) {
    check_stubborn(refuse_to_end, "waits in sleep");
}

T_TEST(runtime, a_task_that_refuses_to_end_and_yields_is_reported) {
    check_stubborn(refuse_and_yield, "waits in yield");
}

static int await_in_a_circle(void *arg) {
    static tr_task *tasks[2];
    tr_loop *loop = tr_loop_running();
    (void)arg;
    T_CHECK_INT(tr_task_new(loop, "circle-a", await_the_other, &tasks[1], &tasks[0]), 0);
    T_CHECK_INT(tr_task_new(loop, "circle-b", await_the_other, &tasks[0], &tasks[1]), 0);
    T_CHECK_INT(tr_sleep(TR_MS), 0);
    T_CHECK(tr_task_cancel(tasks[0])); /* goes round the circle once, and doesn't recurse */
    T_CHECK(tr_task_cancel(tasks[1]));
    return 0;
}

T_TEST(runtime, tasks_that_await_each_other_are_reported) {
    struct log *log = begin_log();
    T_CHECK_INT(tr_run(await_in_a_circle, NULL, .shutdown_timeout = 30 * TR_MS), 0);
    T_CHECK(strstr(log->text, "'circle-a' on loop 0 did not end; it waits in await") != NULL);
    T_CHECK(strstr(log->text, "'circle-b'") != NULL);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

static void start_stubborn_callback(void *arg) {
    T_CHECK_INT(tr_task_new(tr_loop_running(), "stubborn", refuse_to_end, NULL, NULL), 0);
    atomic_store((atomic_bool *)arg, true);
}

static int start_stubborn_elsewhere(void *arg) {
    tr_loop *other = tr_runtime_loop(tr_loop_runtime(tr_loop_running()), 1);
    atomic_bool is_started = false;
    (void)arg;
    T_CHECK_INT(tr_loop_call_soon_threadsafe(other, start_stubborn_callback, &is_started), 0);
    while (!atomic_load(&is_started)) {
        T_TASK_REQUIRE(tr_sleep(TR_MS) == 0);
    }
    return 0;
}

T_TEST(runtime, a_task_that_refuses_to_end_on_another_loop) {
    struct log *log = begin_log();
    T_CHECK_INT(tr_run(start_stubborn_elsewhere, NULL, .loops = 2, .shutdown_timeout = 30 * TR_MS),
                0);
    T_CHECK(strstr(log->text, "'stubborn' on loop 1 did not end") != NULL);
    T_CHECK(strstr(log->text, "stuck") == NULL);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

static atomic_bool may_go_on;
static atomic_bool has_gone_on;

static void block(void *arg) {
    atomic_store((atomic_bool *)arg, true);
    while (!atomic_load(&may_go_on)) {
        usleep(1000);
    }
    atomic_store(&has_gone_on, true);
}

static int block_the_other_loop(void *arg) {
    tr_loop *other = tr_runtime_loop(tr_loop_runtime(tr_loop_running()), 1);
    static atomic_bool is_blocked;
    (void)arg;
    T_CHECK_INT(tr_loop_call_soon_threadsafe(other, block, &is_blocked), 0);
    while (!atomic_load(&is_blocked)) {
        T_TASK_REQUIRE(tr_sleep(TR_MS) == 0);
    }
    return 2;
}

T_TEST(runtime, a_stuck_loop_is_left_behind) {
    struct log *log = begin_log();
    int64_t began = now_ms();
    T_CHECK_INT(tr_run(block_the_other_loop, NULL, .loops = 3, .shutdown_timeout = 30 * TR_MS), 2);
    T_CHECK(now_ms() - began < 3000);
    T_CHECK(strstr(log->text, "loop 1 is stuck") != NULL);
    T_CHECK(strstr(log->text, "loop 2 is stuck") == NULL);
    int result = 1;
    T_CHECK_INT(tr_run(return_it, &result, .loops = 2), 1);
    /* When it goes on at last it meets nothing that is gone. */
    size_t threads = count_entries("/proc/self/task");
    atomic_store(&may_go_on, true);
    for (int i = 0; i < 2000 && count_entries("/proc/self/task") == threads; i++) {
        usleep(1000);
    }
    T_CHECK(atomic_load(&has_gone_on));
    T_CHECK_INT(count_entries("/proc/self/task"), threads - 1);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
    for (int fd = 3; fd < 64; fd++) {
        t_ignore_fd(fd); /* the poller of the loop that was left behind */
    }
}
