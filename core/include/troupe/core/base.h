/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file base.h
 * What every Troupe header needs: attributes, time units, forward declarations.
 * It declares no function that does anything.
 */
#ifndef TROUPE_CORE_BASE_H
#define TROUPE_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TR_BEGIN_DECLS extern "C" {
#define TR_END_DECLS   }
#else
#define TR_BEGIN_DECLS
#define TR_END_DECLS
#endif

#define TR_API                __attribute__((visibility("default")))
#define TR_NODISCARD          __attribute__((warn_unused_result))
#define TR_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* Clang's thread-safety analysis: on for our own sources, off for users. */
#if defined(__clang__) && defined(TR_THREAD_ANALYSIS)
#define TRI_TSA(x) __attribute__((x))
#else
#define TRI_TSA(x)
#endif
#define TR_LOOP_ROLE          TRI_TSA(capability("role"))
#define TR_ON_LOOP(loop)      TRI_TSA(requires_capability(loop))
#define TR_ASSERTS_LOOP(loop) TRI_TSA(assert_capability(loop))

/** A time or a duration: nanoseconds of the loop's clock, which is monotonic. */
typedef int64_t tr_time;

#define TR_US      INT64_C(1000)       /**< one microsecond */
#define TR_MS      INT64_C(1000000)    /**< one millisecond */
#define TR_SECOND  INT64_C(1000000000) /**< one second */
#define TR_FOREVER INT64_MAX           /**< a duration that never ends */

/** One event loop: it belongs to one thread for life. */
typedef struct TR_LOOP_ROLE tr_loop tr_loop;
/** Everything of one tr_run(): its loops, actors, nodes. */
typedef struct tr_runtime tr_runtime;
/** A result that arrives later. Belongs to one loop; counted, not atomically. */
typedef struct tr_future tr_future;
/** A coroutine with a stack of its own. Every task is a future: tr_task_future(). */
typedef struct tr_task tr_task;

#endif /* TROUPE_CORE_BASE_H */
