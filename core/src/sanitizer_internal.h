/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sanitizer_internal.h: which checker this build or run stands under, and what it wants to be
 * told about stacks. No hooks: those of the switch are in fiber.c, those of memory in stack.c.
 */
#ifndef TRI_SANITIZER_INTERNAL_H
#define TRI_SANITIZER_INTERNAL_H

/* clang says it with __has_feature, gcc with macros of its own. */
#ifdef __has_feature
#define TRI_HAS_FEATURE(x) __has_feature(x)
#else
#define TRI_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TRI_HAS_FEATURE(address_sanitizer)
#define TRI_ASAN 1
#else
#define TRI_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || TRI_HAS_FEATURE(thread_sanitizer)
#define TRI_TSAN 1
#else
#define TRI_TSAN 0
#endif

#if TRI_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h> /* __sanitizer_start_switch_fiber and finish */
#include <sanitizer/lsan_interface.h>
#endif

/* Not every version of <sanitizer/tsan_interface.h> has these; the run-time library does. */
#if TRI_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_set_fiber_name(void *fiber, const char *name);
#endif

/* Client requests cost a few instructions when no valgrind is there. */
#if !defined(NVALGRIND) && defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#define TRI_VALGRIND 1
#endif
#endif
#ifndef TRI_VALGRIND
#define TRI_VALGRIND 0
#endif

/* Where instrumented code must not run: between the two halves of a switch. */
#if TRI_ASAN
#define TRI_NO_ASAN __attribute__((no_sanitize("address")))
#else
#define TRI_NO_ASAN
#endif

#endif
