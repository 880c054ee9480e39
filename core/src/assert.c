/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.c: the last words before an abort.
 *
 * One write(2) of one line, without stdio and without the log: a broken invariant may well be in
 * one of those.
 */
#include "assert_internal.h"

#include "log_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn TR_PRINTF(1, 2) void die(const char *fmt, ...) {
    char line[512];
    char who[TRI_LOG_CONTEXT_SIZE];
    const char *subject;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line - sizeof who - 2, fmt, args);
    va_end(args);

    int loop = tri_log_context(&subject);
    tri_log_format_context(who, sizeof who, loop, subject);
    size_t size = strlen(line);
    size += (size_t)snprintf(line + size, sizeof line - size, "%s%s\n", who[0] ? " " : "", who);
    if (write(STDERR_FILENO, line, size) < 0) {
        /* Nobody is left to be told. */
    }
    abort();
}

void tri_assert_failed(const char *cond, const char *file, int line) {
    die("troupe: BUG: %s at %s:%d", cond, file, line);
}

void tri_usage_failed(const char *call, const char *rule) {
    die("troupe: misuse: %s: %s", call, rule);
}
