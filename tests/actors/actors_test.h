/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file actors_test.h
 * What the tests of the actors share: some messages, a count of the dead letters, a bounded wait.
 *
 * All files of this directory are one program: a message of one file needs a name of its own.
 */
#ifndef ACTORS_TEST_H
#define ACTORS_TEST_H

#include "t_task.h"

#include <troupe/actors.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

TR_MESSAGE(ta_num, (1, uint64, n), (2, uint32, from));
TR_MESSAGE(ta_text, (1, string, text));
TR_MESSAGE(ta_get);
TR_MESSAGE(ta_value, (1, uint64, n));
TR_REPLY(ta_get, ta_value);
TR_MESSAGE(ta_echo, (1, string, text));
TR_REPLY(ta_echo, ta_text);
TR_MESSAGE(ta_nap, (1, int64, ns));
TR_MESSAGE(ta_fail, (1, int32, err));
TR_MESSAGE(ta_quit);
/** No behaviour of these tests has a row for it. */
TR_MESSAGE(ta_stranger);
TR_REPLY(ta_stranger, ta_value);

/** Errors of the tests' own, which Troupe never makes up itself. */
enum { TA_EODD = -3001, TA_EVEN = -3002 };

/** The dead letters of the running test, from any loop. */
static __attribute__((unused)) struct {
    atomic_long count;
    atomic_int last_reason;
    _Atomic(const struct tr_type *) last_type;
    atomic_ullong last_n; /**< of a ta_num */
    pthread_mutex_t mutex;
    tr_ref last_to; /**< under the mutex; read it when no letter can come */
} letters = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static inline void ta_count_letter(void *arg, const struct tr_dead_letter *letter) {
    (void)arg;
    pthread_mutex_lock(&letters.mutex);
    atomic_store(&letters.last_reason, letter->reason);
    atomic_store(&letters.last_type, letter->type);
    if (letter->type == &tri_type_ta_num && letter->message != NULL) {
        atomic_store(&letters.last_n, ((const ta_num *)letter->message)->n);
    }
    letters.last_to = letter->to;
    atomic_fetch_add(&letters.count, 1);
    pthread_mutex_unlock(&letters.mutex);
}

/** Begin to count anew. */
static inline void ta_forget_letters(void) {
    atomic_store(&letters.count, 0);
    atomic_store(&letters.last_reason, 0);
}

/** Count the dead letters of the running runtime; before it has actors. */
static inline void ta_count_letters(void) {
    tr_runtime *runtime = tr_loop_runtime(tr_loop_running());
    ta_forget_letters();
    T_CHECK_INT(tr_set_dead_letter_handler(runtime, ta_count_letter, NULL), 0);
}

/** Wait in a task until the condition holds; the test fails when it doesn't for long. */
#define TA_UNTIL(cond)                                        \
    do {                                                      \
        for (int ta_i = 0; ta_i < 10000 && !(cond); ta_i++) { \
            if (tr_sleep(TR_MS) < 0) {                        \
                break;                                        \
            }                                                 \
        }                                                     \
        T_CHECK(cond);                                        \
    } while (0)

/** The next of a sequence of pseudo-random numbers: a failure can be repeated from its seed. */
static inline uint64_t ta_random(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/** Actors alive on the running loop. */
static inline uint64_t ta_alive(void) {
    struct tr_actor_stats stats;
    tr_actors_get_stats(&stats);
    return stats.actors;
}

static inline bool ta_text_is(tr_string string, const char *text) {
    return string.size == strlen(text) && memcmp(string.data, text, string.size) == 0;
}

#endif /* ACTORS_TEST_H */
