/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert_internal.h: bugs abort with a message, in release builds too.
 */
#ifndef TRI_ASSERT_INTERNAL_H
#define TRI_ASSERT_INTERNAL_H

#include <troupe/core/base.h>

/* What one layer gives to the layer above: visible in the shared library, in no public header. */
#define TRI_API __attribute__((visibility("default")))

#define TRI_LIKELY(x)   __builtin_expect(!!(x), 1)
#define TRI_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define TRI_CONTAINER_OF(pointer, type, member) \
    ((type *)(uintptr_t)((const char *)(pointer)-offsetof(type, member)))

/* An invariant of ours. */
#define TRI_ASSERT(cond)                                  \
    do {                                                  \
        if (TRI_UNLIKELY(!(cond))) {                      \
            tri_assert_failed(#cond, __FILE__, __LINE__); \
        }                                                 \
    } while (0)

/* A rule that the caller of a public function broke: names call, object and rule. */
#define TRI_USAGE(cond, call, rule)       \
    do {                                  \
        if (TRI_UNLIKELY(!(cond))) {      \
            tri_usage_failed(call, rule); \
        }                                 \
    } while (0)

TRI_API __attribute__((noreturn, cold)) void tri_assert_failed(const char *cond, const char *file,
                                                               int line);
TRI_API __attribute__((noreturn, cold)) void tri_usage_failed(const char *call, const char *rule);

#endif
