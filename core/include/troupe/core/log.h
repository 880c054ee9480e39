/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log.h
 * One sink for what the library can't return to anybody.
 *
 * A function of Troupe either returns an error or logs it, never both.
 */
#ifndef TROUPE_CORE_LOG_H
#define TROUPE_CORE_LOG_H

#include <troupe/core/base.h>

/** How much a line matters. */
enum tr_log_level {
    TR_LOG_TRACE = 0, /**< every message */
    TR_LOG_DEBUG = 1, /**< decisions */
    TR_LOG_INFO = 2,  /**< life cycle of long-lived things */
    TR_LOG_WARN = 3,  /**< will hurt if it goes on */
    TR_LOG_ERROR = 4  /**< somebody must act */
};

/** One line of the log; valid during the call only. */
struct tr_log_line {
    int level;           /**< enum tr_log_level */
    int loop;            /**< index of the loop, or -1 on a foreign thread */
    const char *subject; /**< name of the running task or actor, or "" */
    const char *text;    /**< one line, without a newline, at most 1,024 bytes */
};

/** Receives the lines that pass the level. May be called by several threads at once. */
typedef void tr_log_fn(void *arg, const struct tr_log_line *line);

TR_BEGIN_DECLS

/** Replace the sink; the default one writes warnings and errors to stderr.
 *
 * @param fn     the new sink; NULL: the default one
 * @param arg    given to fn
 * @param level  lines below it are dropped before they are formatted
 * @thread setup
 */
TR_API void tr_log_set_sink(tr_log_fn *fn, void *arg, int level);

/** Write a line to the log.
 *
 * At most 10 lines a second per format string and thread pass; the first line after a
 * flood says how many were suppressed.
 *
 * @param level  enum tr_log_level
 * @param fmt    printf format; control bytes in the result are replaced by '?'
 * @thread any
 */
TR_API TR_PRINTF(2, 3) void tr_log(int level, const char *fmt, ...);

TR_END_DECLS

#endif /* TROUPE_CORE_LOG_H */
