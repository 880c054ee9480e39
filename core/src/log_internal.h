/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_internal.h: where the log learns who is running.
 */
#ifndef TRI_LOG_INTERNAL_H
#define TRI_LOG_INTERNAL_H

#include "assert_internal.h"

#include <troupe/core/log.h>

/* Returns the index of the loop of this thread, or -1; sets *ret_subject to the name of the
 * running task or actor, or "". Called while a line is formatted, on any thread. */
typedef int tri_log_context_fn(const char **ret_subject);

/* NULL: nobody runs anywhere. */
TRI_API void tri_log_set_context(tri_log_context_fn *context);
/* Ask the provider. Never NULL in *ret_subject. */
TRI_API int tri_log_context(const char **ret_subject);
/* "[loop 1 task-name]", "[loop 1]", "[task-name]" or "": a part of a line, without control bytes.
 * TRI_LOG_CONTEXT_SIZE is always enough room. */
TRI_API void tri_log_format_context(char *buf, size_t size, int loop, const char *subject);

enum { TRI_LOG_CONTEXT_SIZE = 160 };

#endif
