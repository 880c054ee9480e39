/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_loop.c: callbacks: their turns, their order, their cancellation.
 */
#include "support/t_task.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What ran, as letters. */
struct trace {
    char text[64];
    size_t size;
};

struct letter {
    struct trace *trace;
    char letter;
};

static void add_letter(void *arg) {
    struct letter *l = arg;
    if (l->trace->size < sizeof l->trace->text - 1) {
        l->trace->text[l->trace->size++] = l->letter;
    }
}

static void soon(struct letter *l) {
    T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), add_letter, l, NULL), 0);
}

/* ---- call_soon ------------------------------------------------------------------------ */

T_TASK_TEST(loop, call_soon_is_first_in_first_out) {
    struct trace trace = {0};
    struct letter letters[26];
    for (int i = 0; i < 26; i++) {
        letters[i] = (struct letter){&trace, (char)('a' + i)};
        soon(&letters[i]);
    }
    T_CHECK_STR(trace.text, ""); /* never inside the call */
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(trace.text, "abcdefghijklmnopqrstuvwxyz");
    return 0;
}

struct adder {
    struct letter self;
    struct letter *then;
};

static void add_and_schedule(void *arg) {
    struct adder *adder = arg;
    add_letter(&adder->self);
    soon(adder->then);
}

/* asyncio: "any callbacks scheduled by callbacks run in the next iteration" */
T_TASK_TEST(loop, callback_added_in_a_turn_runs_in_the_next_one) {
    struct trace trace = {0};
    struct letter late[2] = {{&trace, 'x'}, {&trace, 'y'}};
    struct adder early[2] = {{{&trace, 'a'}, &late[0]}, {{&trace, 'b'}, &late[1]}};
    struct letter last = {&trace, 'c'};
    for (int i = 0; i < 2; i++) {
        T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), add_and_schedule, &early[i], NULL), 0);
    }
    soon(&last);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(trace.text, "abc");
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(trace.text, "abcxy");
    return 0;
}

static void note_current(void *arg) {
    *(tr_task **)arg = tr_task_current();
}

/* Once the main task has suspended, a fresh stack runs the callbacks: not in that task's name. */
T_TASK_TEST(loop, no_task_is_current_in_a_callback) {
    for (int i = 0; i < 3; i++) {
        tr_task *seen = tr_task_current();
        T_CHECK(seen != NULL);
        T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), note_current, &seen, NULL), 0);
        T_CHECK_INT(tr_yield(), 0);
        T_CHECK(seen == NULL);
    }
    return 0;
}

/* ---- timers --------------------------------------------------------------------------- */

T_TASK_TEST(loop, timers_fire_in_order_of_their_times) {
    struct trace trace = {0};
    struct letter letters[5];
    static const int ms[5] = {9, 3, 7, 1, 5};
    tr_loop *loop = tr_loop_running();
    tr_time now = tr_loop_time(loop);
    for (int i = 0; i < 5; i++) {
        letters[i] = (struct letter){&trace, (char)('0' + ms[i])};
        T_CHECK_INT(tr_loop_call_at(loop, now + ms[i] * TR_MS, add_letter, &letters[i], NULL), 0);
    }
    T_CHECK_INT(tr_sleep(12 * TR_MS), 0);
    T_CHECK_STR(trace.text, "13579");
    return 0;
}

T_TASK_TEST(loop, equal_times_fire_in_the_order_of_adding) {
    struct trace trace = {0};
    struct letter letters[26];
    tr_loop *loop = tr_loop_running();
    tr_time when = tr_loop_time(loop) + 2 * TR_MS;
    for (int i = 0; i < 26; i++) {
        letters[i] = (struct letter){&trace, (char)('a' + i)};
        T_CHECK_INT(tr_loop_call_at(loop, when, add_letter, &letters[i], NULL), 0);
    }
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0);
    T_CHECK_STR(trace.text, "abcdefghijklmnopqrstuvwxyz");
    return 0;
}

static void note_time(void *arg) {
    *(tr_time *)arg = tr_loop_time(tr_loop_running());
}

T_TASK_TEST(loop, call_later_is_never_early) {
    tr_loop *loop = tr_loop_running();
    for (int i = 0; i < 20; i++) {
        tr_time fired = 0;
        tr_time delay = (i + 1) * 150 * TR_US;
        tr_time before = tr_loop_time(loop);
        T_CHECK_INT(tr_loop_call_later(loop, delay, note_time, &fired, NULL), 0);
        T_CHECK_INT(tr_sleep(delay + TR_MS), 0);
        T_CHECK(fired - before >= delay);
    }
    return 0;
}

static void spin_for_ever(void *arg) {
    if (!*(bool *)arg) {
        T_CHECK_INT(tr_loop_call_soon(tr_loop_running(), spin_for_ever, arg, NULL), 0);
    }
}

/* The callback must see it before the variable is gone. */
static void stop_spinning(bool *is_stopped) {
    *is_stopped = true;
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_INT(tr_yield(), 0);
}

/* Also when the loop always has something to run. */
T_TASK_TEST(loop, a_time_that_has_passed_means_the_next_turn) {
    struct trace trace = {0};
    struct letter letters[4] = {{&trace, 'a'}, {&trace, 'b'}, {&trace, 'c'}, {&trace, 'd'}};
    tr_loop *loop = tr_loop_running();
    bool is_stopped = false;
    spin_for_ever(&is_stopped);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_INT(tr_loop_call_later(loop, 0, add_letter, &letters[0], NULL), 0);
    T_CHECK_INT(tr_loop_call_later(loop, -TR_SECOND, add_letter, &letters[1], NULL), 0);
    T_CHECK_STR(trace.text, "");
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_INT(tr_yield(), 0); /* we may have been before them in that turn */
    T_CHECK_STR(trace.text, "ab");
    T_CHECK_INT(tr_loop_call_at(loop, tr_loop_time(loop), add_letter, &letters[2], NULL), 0);
    T_CHECK_INT(tr_loop_call_at(loop, 0, add_letter, &letters[3], NULL), 0);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(trace.text, "abdc"); /* by time */
    stop_spinning(&is_stopped);
    return 0;
}

T_TASK_TEST(loop, for_ever_never_fires) {
    struct trace trace = {0};
    struct letter never = {&trace, '!'};
    tr_handle *handle;
    T_CHECK_INT(tr_loop_call_later(tr_loop_running(), TR_FOREVER, add_letter, &never, &handle), 0);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK_STR(trace.text, "");
    tr_handle_cancel(handle);
    tr_handle_unref(handle);
    return 0;
}

/* ---- handles -------------------------------------------------------------------------- */

T_TASK_TEST(loop, cancelled_callbacks_do_not_run) {
    struct trace trace = {0};
    struct letter l = {&trace, 'x'};
    tr_loop *loop = tr_loop_running();
    tr_handle *handles[3];
    T_CHECK_INT(tr_loop_call_soon(loop, add_letter, &l, &handles[0]), 0);
    T_CHECK_INT(tr_loop_call_later(loop, TR_MS, add_letter, &l, &handles[1]), 0);
    T_CHECK_INT(tr_loop_call_at(loop, tr_loop_time(loop) + TR_MS, add_letter, &l, &handles[2]), 0);
    for (int i = 0; i < 3; i++) {
        T_CHECK(!tr_handle_cancelled(handles[i]));
        tr_handle_cancel(handles[i]);
        tr_handle_cancel(handles[i]); /* twice is once */
        T_CHECK(tr_handle_cancelled(handles[i]));
    }
    T_CHECK_INT(tr_sleep(4 * TR_MS), 0);
    T_CHECK_STR(trace.text, "");
    for (int i = 0; i < 3; i++) {
        T_CHECK(tr_handle_unref(handles[i]) == NULL);
    }
    T_CHECK(tr_handle_unref(NULL) == NULL);
    return 0;
}

T_TASK_TEST(loop, a_timer_that_is_due_but_has_not_run_can_be_cancelled) {
    struct trace trace = {0};
    struct letter l = {&trace, 'x'};
    tr_loop *loop = tr_loop_running();
    tr_handle *handle;
    tr_time when = tr_loop_time(loop) + TR_MS;
    /* Equal times fire in order: this sleep ends just before the callback in the same turn. */
    T_CHECK_INT(tr_sleep(0), 0);
    while (tr_loop_time(loop) < when + TR_MS) {
    }
    T_CHECK_INT(tr_loop_call_at(loop, when, add_letter, &l, &handle), 0);
    tr_handle_cancel(handle);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(trace.text, "");
    tr_handle_unref(handle);
    return 0;
}

T_TASK_TEST(loop, a_handle_outlives_its_callback) {
    struct trace trace = {0};
    struct letter l = {&trace, 'x'};
    tr_loop *loop = tr_loop_running();
    tr_handle *soon_handle, *timer, *others[8];
    tr_time when = tr_loop_time(loop) + TR_MS;
    T_CHECK_INT(tr_loop_call_soon(loop, add_letter, &l, &soon_handle), 0);
    T_CHECK_INT(tr_loop_call_at(loop, when, add_letter, &l, &timer), 0);
    T_CHECK_INT(tr_handle_when(soon_handle), 0);
    T_CHECK_INT(tr_handle_when(timer), when);
    T_CHECK_INT(tr_sleep(3 * TR_MS), 0);
    T_CHECK_STR(trace.text, "xx");
    tr_handle_cancel(soon_handle); /* no effect: it has run */
    T_CHECK(!tr_handle_cancelled(soon_handle));
    T_CHECK_INT(tr_handle_when(timer), when);
    for (int i = 0; i < 8; i++) { /* its memory is not used again while we hold it */
        T_CHECK_INT(tr_loop_call_soon(loop, add_letter, &l, &others[i]), 0);
        T_CHECK(others[i] != soon_handle && others[i] != timer);
    }
    tr_handle_unref(soon_handle);
    tr_handle_unref(timer);
    for (int i = 0; i < 8; i++) {
        tr_handle_unref(others[i]); /* it still runs */
    }
    T_CHECK_INT(tr_yield(), 0);
    T_CHECK_STR(trace.text, "xxxxxxxxxx");
    return 0;
}

static int leave_timers_behind(void *arg) {
    tr_handle *kept;
    tr_loop *loop = tr_loop_running();
    for (int i = 0; i < 10; i++) {
        T_CHECK_INT(tr_loop_call_later(loop, TR_SECOND * 3600, add_letter, arg, NULL), 0);
        T_CHECK_INT(tr_loop_call_later(loop, TR_FOREVER, add_letter, arg, NULL), 0);
    }
    return tr_loop_call_later(loop, TR_SECOND, add_letter, arg, &kept);
}

/* Callbacks that are pending at the end never run and leak nothing (LeakSanitizer watches; the
 * second life of the same loop's memory is what makes it visible). */
T_TEST(loop, pending_callbacks_end_with_the_loop) {
    struct trace trace = {0};
    struct letter l = {&trace, 'x'};
    t_timeout(60);
    for (int i = 0; i < 130; i++) {
        T_REQUIRE(tr_run(leave_timers_behind, &l) == 0);
    }
    T_CHECK_STR(trace.text, "");
}

/* ---- fairness ------------------------------------------------------------------------- */

T_TASK_TEST(loop, a_busy_loop_still_fires_timers_and_sees_descriptors) {
    bool is_stopped = false;
    int fds[2];
    tr_io *io;
    char byte;
    tr_loop *loop = tr_loop_running();
    T_TASK_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && tr_io_open(fds[0], &io) == 0);
    spin_for_ever(&is_stopped);
    tr_time before = tr_loop_time(loop);
    T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
    T_CHECK(tr_loop_time(loop) - before < TR_SECOND);
    T_CHECK_INT(write(fds[1], "x", 1), 1);
    T_CHECK_INT(tr_io_read(io, &byte, 1), 1);
    tr_io_drained(io, TR_READABLE);
    T_CHECK_INT(tr_loop_call_later(loop, TR_MS, note_time, &before, NULL), 0);
    tr_timeout limit;
    tr_timeout_begin(&limit, 2 * TR_MS);
    T_CHECK_INT(tr_timeout_end(&limit, tr_io_read(io, &byte, 1)), TR_ETIMEOUT);
    stop_spinning(&is_stopped);
    tr_io_close(io);
    close(fds[1]);
    return 0;
}

static int leave_a_spinner_behind(void *arg) {
    spin_for_ever(arg);
    return tr_yield();
}

T_TEST(loop, a_callback_without_end_does_not_keep_the_loop) {
    bool is_stopped = false;
    t_run_task(leave_a_spinner_behind, &is_stopped, 1);
    t_run_task(leave_a_spinner_behind, &is_stopped, 2);
}

/* ---- misuse, queries ------------------------------------------------------------------ */

static int count_turns(void *arg) {
    (void)arg;
    struct tr_loop_stats before, after;
    tr_loop *loop = tr_loop_running();
    tr_loop_get_stats(loop, &before);
    for (int i = 0; i < 10; i++) {
        T_CHECK_INT(tr_sleep(20 * TR_US), 0);
        (void)tr_loop_time(loop);
    }
    tr_loop_get_stats(loop, &after);
    T_CHECK(after.turns - before.turns >= 10);
    T_CHECK(after.callbacks - before.callbacks >= 10);
    T_CHECK(after.callbacks - before.callbacks <= 30);
    T_CHECK_INT(after.tasks, before.tasks);
    return 0;
}

T_TEST(loop, stats_count_what_ran) {
    t_run_task(count_turns, NULL, 1);
}

T_TEST(loop, none_runs_here) {
    T_CHECK(tr_loop_running() == NULL);
    T_CHECK(tr_task_current() == NULL);
}

T_TASK_TEST_LOOPS(loop, runtime_and_index, 2) {
    tr_runtime *runtime = tr_loop_runtime(tr_loop_running());
    T_CHECK_INT(tr_runtime_loops(runtime), 2);
    T_CHECK_INT(tr_loop_index(tr_loop_running()), 0);
    T_CHECK(tr_runtime_loop(runtime, 0) == tr_loop_running());
    T_CHECK_INT(tr_loop_index(tr_runtime_loop(runtime, 1)), 1);
    T_CHECK(tr_runtime_loop(runtime, 2) == NULL);
    T_CHECK(tr_runtime_loop(runtime, -1) == NULL);
    T_CHECK(tr_loop_random(tr_loop_running()) != tr_loop_random(tr_loop_running()));
    return 0;
}

static void do_nothing(void *arg) {
    (void)arg;
}

static int use_the_other_loop(void *arg) {
    (void)arg;
    tr_loop *other = tr_runtime_loop(tr_loop_runtime(tr_loop_running()), 1);
    return tr_loop_call_soon(other, do_nothing, NULL, NULL);
}

T_DEATH_TEST_MSG(loop, call_soon_on_another_loop, SIGABRT, "tr_loop_call_soon") {
    t_run_task(use_the_other_loop, NULL, 2);
}

/* ---- slow callbacks ----------------------------------------------------------------------- */

static int compute_slowly(void *arg) {
    bool *stop = arg;
    while (!*stop) {
        tr_time until = tr_loop_time(tr_loop_running()) + TR_MS;
        while (tr_loop_time(tr_loop_running()) < until) {
        }
        int err = tr_yield();
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

/* asyncio: a task that gives way after each piece of work lets timers and sockets in between. */
T_TASK_TEST(loop, slow_tasks_that_give_way_do_not_delay_timers_for_long) {
    bool stop = false;
    tr_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        T_TASK_REQUIRE(tr_task_new(tr_loop_running(), "slow", compute_slowly, &stop, &tasks[i]) ==
                       0);
    }
    T_CHECK_INT(tr_sleep(50 * TR_MS), 0); /* the loop learns that its callbacks are slow */
    tr_time begun = tr_loop_time(tr_loop_running());
    for (int i = 0; i < 5; i++) {
        T_CHECK_INT(tr_sleep(TR_MS), 0);
    }
    tr_time took = tr_loop_time(tr_loop_running()) - begun;
    T_CHECK(took <
            150 * TR_MS); /* 25 ms where nothing else runs; 320 ms if 64 callbacks pass each */
    stop = true;
    for (int i = 0; i < 4; i++) {
        T_CHECK_INT(tr_task_join(tasks[i]), 0);
    }
    return 0;
}
