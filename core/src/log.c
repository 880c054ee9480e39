/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c: one sink for what the library can't return to anybody.
 *
 * DESIGN
 *
 * A line below the level costs one load. One that passes is counted against its format string in
 * a small table of this thread, formatted on the stack, cleaned of control bytes (a peer's text
 * must not steer a terminal or forge lines) and given to the sink. No lock, no allocation.
 *
 * The table has one row per hash of a format's address. Two formats that share a row push each
 * other out, and with it the count of suppressed lines: rarely too many lines pass, never too few.
 *
 * The level is the only thing that is published: set_sink writes it last.
 */
#include <troupe/core/log.h>

#include "log_internal.h"
#include "seam_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TEXT_MAX = 1024, LINES_PER_SECOND = 10, LIMIT_ROWS = 32 };

static void write_to_stderr(void *arg, const struct tr_log_line *line);

static tr_log_fn *sink_fn = write_to_stderr;  /* (C) once a loop runs: tr_log_set_sink is setup */
static void *sink_arg;                        /* (C) */
static atomic_int lowest_level = TR_LOG_WARN; /* (A) */
static _Atomic(tri_log_context_fn *) context_fn; /* (A) */

/* How often one format passed in this second, on this thread. */
struct limit_row {
    const char *fmt;
    tr_time since;
    unsigned passed;
    unsigned suppressed;
};

/* ---- who is running ------------------------------------------------------ */

void tri_log_set_context(tri_log_context_fn *context) {
    /* Release: whatever the provider reads was set up before; pairs with the acquire below. */
    atomic_store_explicit(&context_fn, context, memory_order_release);
}

int tri_log_context(const char **ret_subject) {
    /* Acquire: pairs with the release in tri_log_set_context. */
    tri_log_context_fn *context = atomic_load_explicit(&context_fn, memory_order_acquire);
    const char *subject = NULL;
    int loop = context != NULL ? context(&subject) : -1;
    *ret_subject = subject != NULL ? subject : "";
    return loop;
}

static void clean(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
}

void tri_log_format_context(char *buf, size_t size, int loop, const char *subject) {
    buf[0] = '\0';
    if (loop >= 0) {
        (void)snprintf(buf, size, "[loop %d%s%.128s]", loop, subject[0] ? " " : "", subject);
    } else if (subject[0] != '\0') {
        (void)snprintf(buf, size, "[%.128s]", subject);
    }
    clean(buf);
}

/* ---- the default sink ---------------------------------------------------- */

static const char *level_name(int level) {
    switch (level) {
    case TR_LOG_TRACE: return "trace";
    case TR_LOG_DEBUG: return "debug";
    case TR_LOG_INFO: return "info";
    case TR_LOG_WARN: return "warn";
    default: return "error";
    }
}

/* One system call a line, so that lines of several threads don't mix. */
static void write_to_stderr(void *arg, const struct tr_log_line *line) {
    char head[TRI_LOG_CONTEXT_SIZE + 32];
    char who[TRI_LOG_CONTEXT_SIZE];
    char newline = '\n';
    (void)arg;
    tri_log_format_context(who, sizeof who, line->loop, line->subject);
    int size = snprintf(head, sizeof head, "troupe: %s: %s%s", level_name(line->level), who,
                        who[0] ? " " : "");
    /* writev only reads them, but the struct has no const. */
    struct iovec parts[3] = {
        {.iov_base = head, .iov_len = (size_t)size},
        {.iov_base = (void *)(uintptr_t)line->text, .iov_len = strlen(line->text)},
        {.iov_base = &newline, .iov_len = 1},
    };
    if (writev(STDERR_FILENO, parts, 3) < 0) {
        /* A log that can't be written is nobody's error. */
    }
}

/* ---- the rate limit ------------------------------------------------------ */

/* False: this line is one too many. Otherwise sets how many were kept back before it. */
static bool may_pass(const char *fmt, unsigned *ret_suppressed) {
    static _Thread_local struct limit_row rows[LIMIT_ROWS];
    uint64_t hash = (uint64_t)(uintptr_t)fmt * UINT64_C(0x9e3779b97f4a7c15);
    struct limit_row *row = &rows[(hash >> 32) % LIMIT_ROWS];
    tr_time now = tr_seams_system()->now(NULL);

    if (row->fmt != fmt) {
        *row = (struct limit_row){.fmt = fmt, .since = now};
    } else if (now - row->since >= TR_SECOND) {
        row->since = now;
        row->passed = 0;
    }
    if (row->passed >= LINES_PER_SECOND) {
        row->suppressed++;
        return false;
    }
    row->passed++;
    *ret_suppressed = row->suppressed;
    row->suppressed = 0;
    return true;
}

/* ---- operations ---------------------------------------------------------- */

void tr_log_set_sink(tr_log_fn *fn, void *arg, int level) {
    sink_fn = fn != NULL ? fn : write_to_stderr;
    sink_arg = arg;
    /* Release: pairs with the acquire load in tr_log, so that a thread that goes by the new
     * level also sees the new sink. */
    atomic_store_explicit(&lowest_level, level, memory_order_release);
}

static TR_PRINTF(2, 0) void log_line(int level, const char *fmt, va_list args) {
    static _Thread_local bool is_logging;
    char text[TEXT_MAX + 1];
    char note[64] = "";
    unsigned suppressed = 0;
    /* A sink that logs would come back here for ever. */
    if (is_logging || !may_pass(fmt, &suppressed)) {
        return;
    }
    is_logging = true;
    if (suppressed > 0) {
        (void)snprintf(note, sizeof note, " (%u lines like this were suppressed)", suppressed);
    }
    size_t room = sizeof text - strlen(note);
    int n = vsnprintf(text, room, fmt, args);
    size_t size = n < 0 ? 0 : (size_t)n;
    if (size >= room) {
        size = room - 1;
        memcpy(text + size - 3, "...", 3);
    }
    memcpy(text + size, note, strlen(note) + 1);
    clean(text);

    struct tr_log_line line = {.level = level, .text = text};
    line.loop = tri_log_context(&line.subject);
    sink_fn(sink_arg, &line);
    is_logging = false;
}

void tr_log(int level, const char *fmt, ...) {
    int saved_errno = errno; /* callers log in the middle of handling an error */
    va_list args;
    /* Acquire: pairs with the release in tr_log_set_sink. */
    if (level < atomic_load_explicit(&lowest_level, memory_order_acquire)) {
        return;
    }
    va_start(args, fmt);
    log_line(level, fmt, args);
    va_end(args);
    errno = saved_errno;
}
