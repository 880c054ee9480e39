/* SPDX-License-Identifier: Apache-2.0 */
/* The log: levels, sinks, cleaning, limits, and what a line says about who is running. */
#include "log_internal.h"

#include "t.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- a sink that keeps what it gets ---------------------------------------- */

struct kept {
    int count;
    int level;
    int loop;
    char subject[64];
    char text[1100];
    bool logs_too;
};

static void keep(void *arg, const struct tr_log_line *line) {
    struct kept *kept = arg;
    kept->count++;
    kept->level = line->level;
    kept->loop = line->loop;
    (void)snprintf(kept->subject, sizeof kept->subject, "%s", line->subject);
    (void)snprintf(kept->text, sizeof kept->text, "%s", line->text);
    if (kept->logs_too) {
        tr_log(TR_LOG_ERROR, "from inside of the sink");
    }
}

static int on_loop_3(const char **ret_subject) {
    *ret_subject = "worker";
    return 3;
}

T_TEST(log, a_sink_gets_level_and_text) {
    struct kept kept = {0};
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    tr_log(TR_LOG_INFO, "%s is %d", "six", 6);
    T_CHECK_INT(kept.count, 1);
    T_CHECK_INT(kept.level, TR_LOG_INFO);
    T_CHECK_INT(kept.loop, -1);
    T_CHECK_STR(kept.subject, "");
    T_CHECK_STR(kept.text, "six is 6");
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, lines_below_the_level_are_dropped) {
    struct kept kept = {0};
    tr_log_set_sink(keep, &kept, TR_LOG_WARN);
    tr_log(TR_LOG_INFO, "quiet");
    T_CHECK_INT(kept.count, 0);
    tr_log(TR_LOG_WARN, "loud");
    tr_log(TR_LOG_ERROR, "louder");
    T_CHECK_INT(kept.count, 2);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, a_line_says_who_is_running) {
    struct kept kept = {0};
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    tri_log_set_context(on_loop_3);
    tr_log(TR_LOG_DEBUG, "hello");
    T_CHECK_INT(kept.loop, 3);
    T_CHECK_STR(kept.subject, "worker");
    tri_log_set_context(NULL);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, control_bytes_are_replaced_and_other_bytes_kept) {
    struct kept kept = {0};
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    tr_log(TR_LOG_INFO, "%s", "a\nb\tc\x1b[31md\x7f\xc3\xa9");
    T_CHECK_STR(kept.text, "a?b?c?[31md?\xc3\xa9");
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, a_long_line_is_cut_and_says_so) {
    static char text[5000];
    struct kept kept = {0};
    memset(text, 'x', sizeof text - 1);
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    tr_log(TR_LOG_INFO, "%s", text);
    T_CHECK_INT(strlen(kept.text), 1024);
    T_CHECK_STR(kept.text + 1020, "x...");
    text[1024] = '\0';
    tr_log(TR_LOG_INFO, "exactly: %s", text + 9);
    T_CHECK_INT(strlen(kept.text), 1024);
    T_CHECK_STR(kept.text + 1020, "xxxx");
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, ten_lines_a_second_of_one_format_pass) {
    struct kept kept = {0};
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    for (int i = 0; i < 100; i++) {
        tr_log(TR_LOG_WARN, "flood %d", i);
    }
    T_CHECK_INT(kept.count, 10);
    T_CHECK_STR(kept.text, "flood 9");
    tr_log(TR_LOG_WARN, "another format");
    T_CHECK_INT(kept.count, 11);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

static void flood(int number) {
    tr_log(TR_LOG_WARN, "line %d", number);
}

/* The only test here that waits: the limit goes by the system's clock. */
T_TEST(log, the_first_line_after_a_flood_says_how_many_were_suppressed) {
    const struct timespec second = {.tv_sec = 1, .tv_nsec = 50 * 1000 * 1000};
    struct kept kept = {0};
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    for (int i = 0; i < 25; i++) {
        flood(i);
    }
    T_CHECK_INT(kept.count, 10);
    (void)nanosleep(&second, NULL);
    flood(25);
    T_CHECK_STR(kept.text, "line 25 (15 lines like this were suppressed)");
    flood(26);
    T_CHECK_STR(kept.text, "line 26");
    T_CHECK_INT(kept.count, 12);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

static void *flood_again(void *arg) {
    (void)arg;
    flood(1000);
    return NULL;
}

T_TEST(log, each_thread_has_a_limit_of_its_own) {
    struct kept kept = {0};
    pthread_t thread;
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    for (int i = 0; i < 25; i++) {
        flood(i);
    }
    T_CHECK_INT(kept.count, 10);
    T_REQUIRE(pthread_create(&thread, NULL, flood_again, NULL) == 0);
    (void)pthread_join(thread, NULL);
    T_CHECK_INT(kept.count, 11);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, a_sink_that_logs_is_not_called_again) {
    struct kept kept = {.logs_too = true};
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    tr_log(TR_LOG_ERROR, "outside");
    T_CHECK_INT(kept.count, 1);
    T_CHECK_STR(kept.text, "outside");
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, errno_is_left_alone) {
    struct kept kept = {0};
    tr_log_set_sink(keep, &kept, TR_LOG_TRACE);
    errno = EDOM;
    tr_log(TR_LOG_ERROR, "something failed");
    T_CHECK_INT(errno, EDOM);
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

/* ---- the default sink ------------------------------------------------------- */

/* What is written to stderr while `write_lines` runs. */
static const char *capture_stderr(void (*write_lines)(void)) {
    static char text[4096];
    int saved = dup(STDERR_FILENO);
    int file = memfd_create("log", MFD_CLOEXEC);
    T_REQUIRE(saved >= 0 && file >= 0);
    T_REQUIRE(dup2(file, STDERR_FILENO) >= 0);
    write_lines();
    T_REQUIRE(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t size = pread(file, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    close(saved);
    close(file);
    return text;
}

static const char *subject_now;
static int loop_now;

static int context_now(const char **ret_subject) {
    *ret_subject = subject_now;
    return loop_now;
}

static void write_with_contexts(void) {
    tr_log(TR_LOG_INFO, "not shown");
    tr_log(TR_LOG_WARN, "plain");
    tri_log_set_context(context_now);
    subject_now = "task-1";
    loop_now = 2;
    tr_log(TR_LOG_ERROR, "with both");
    subject_now = "";
    tr_log(TR_LOG_WARN, "with a loop");
    subject_now = "evil\nname";
    loop_now = -1;
    tr_log(TR_LOG_WARN, "with a name");
    tri_log_set_context(NULL);
}

T_TEST(log, the_default_sink_writes_warnings_and_errors_to_stderr) {
    T_CHECK_STR(capture_stderr(write_with_contexts), "troupe: warn: plain\n"
                                                     "troupe: error: [loop 2 task-1] with both\n"
                                                     "troupe: warn: [loop 2] with a loop\n"
                                                     "troupe: warn: [evil?name] with a name\n");
}

static void write_all_levels(void) {
    tr_log_set_sink(NULL, NULL, TR_LOG_TRACE);
    for (int level = TR_LOG_TRACE; level <= TR_LOG_ERROR; level++) {
        tr_log(level, "x");
    }
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}

T_TEST(log, the_default_sink_names_every_level) {
    T_CHECK_STR(capture_stderr(write_all_levels), "troupe: trace: x\ntroupe: debug: x\n"
                                                  "troupe: info: x\ntroupe: warn: x\n"
                                                  "troupe: error: x\n");
}
