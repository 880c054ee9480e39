/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file t.h
 * The test macros. Tests include this and never Criterion itself.
 *
 *     T_TEST(queue, get_returns_items_in_order) {
 *         T_CHECK_INT(queue_get(q), 1);
 *     }
 *
 * Two back-ends run the same bodies: Criterion (default), and with T_PLAIN a small runner of our own
 * (t_plain.c) for what Criterion can't do: ThreadSanitizer, valgrind, a debugger.
 *
 * Around each body, in both: a watchdog, a check that no file descriptor was left open, and under
 * AddressSanitizer a leak check.
 */
#ifndef T_H
#define T_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** A test body. */
typedef void t_body(void);

struct t_case {
    const char *suite;
    const char *name;
    t_body *body;
    int signo;           /* for a death test the signal it dies by, otherwise 0 */
    const char *message; /* for a death test: what its stderr must contain; may be NULL */
};

/* ---- checks: from any thread and any stack; the test goes on ---- */

/** The condition holds. */
#define T_CHECK(cond) t_check((cond), __FILE__, __LINE__, #cond)
/** Two integers (signed, at most 64 bits) are equal. */
#define T_CHECK_INT(actual, expected) \
    t_check_int((int64_t)(actual), (int64_t)(expected), __FILE__, __LINE__, #actual)
/** Two strings are equal; NULL is equal to NULL only. */
#define T_CHECK_STR(actual, expected) t_check_str((actual), (expected), __FILE__, __LINE__, #actual)
/** Two byte ranges of the same size are equal. */
#define T_CHECK_MEM(actual, expected, size) \
    t_check_mem((actual), (expected), (size), __FILE__, __LINE__, #actual)
/** The test fails here, with a printf-style explanation. */
#define T_FAIL(...) t_fail(__FILE__, __LINE__, __VA_ARGS__)

/** The condition holds, or the test ends here. Only on the test's own stack: in a task use
 *  T_TASK_REQUIRE (t_task.h), in a callback or a thread T_CHECK. */
#define T_REQUIRE(cond) t_require((cond), __FILE__, __LINE__, #cond)

bool t_check(bool ok, const char *file, int line, const char *text);
bool t_check_int(int64_t actual, int64_t expected, const char *file, int line, const char *text);
bool t_check_str(const char *actual, const char *expected, const char *file, int line,
                 const char *text);
bool t_check_mem(const void *actual, const void *expected, size_t size, const char *file, int line,
                 const char *text);
void t_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void t_require(bool ok, const char *file, int line, const char *text);

/** Failed checks of the running test so far. */
unsigned t_failures(void);

/** Leave the file descriptor out of the check at the test's end (one that a library keeps). */
void t_ignore_fd(int fd);

/** The test may run for this long; 20 s unless told. Scaled by the environment's T_TIMEOUT_SCALE. */
void t_timeout(unsigned seconds);

/* ---- back-ends ---- */

/** Runs one test with everything around it; returns the number of failed checks and puts the first
 *  failure's text into message. */
unsigned t_run_case(const struct t_case *c, char *message, size_t size);

#ifdef T_PLAIN

void t_register(struct t_case *c);

#define T_BACKEND_CASE(suite_, name_)                                              \
    __attribute__((constructor)) static void t_register_##suite_##_##name_(void) { \
        t_register(&t_case_##suite_##_##name_);                                    \
    }                                                                              \
    _Static_assert(1, "")

#else

#include <criterion/criterion.h>

void t_run_in_criterion(const struct t_case *c);

#define T_BACKEND_CASE(suite_, name_)                   \
    Test(suite_, name_) {                               \
        t_run_in_criterion(&t_case_##suite_##_##name_); \
    }                                                   \
    _Static_assert(1, "")

#endif

#define T_CASE(suite_, name_, signo_, message_)                                                   \
    static void t_body_##suite_##_##name_(void);                                                  \
    static struct t_case t_case_##suite_##_##name_ = {#suite_, #name_, t_body_##suite_##_##name_, \
                                                      signo_, message_};                          \
    T_BACKEND_CASE(suite_, name_);                                                                \
    static void t_body_##suite_##_##name_(void)

/** Defines a test; the body follows. */
#define T_TEST(suite, name) T_CASE(suite, name, 0, NULL)
/** Defines a test whose body must end the process by the signal. It runs in a child process. */
#define T_DEATH_TEST(suite, name, signo) T_CASE(suite, name, signo, NULL)
/** The same, and what the process wrote to stderr must contain the message. */
#define T_DEATH_TEST_MSG(suite, name, signo, message) T_CASE(suite, name, signo, message)

#endif /* T_H */
