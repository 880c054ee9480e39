/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seam.c: the system's clock and randomness. The only file that asks for either.
 *
 * DESIGN
 *
 * Random numbers serve jitter, choice of a victim, identifiers: not secrets. Each thread has a
 * xoshiro256** (Blackman and Vigna, public domain) seeded by the kernel at first use, so that a
 * draw is a few instructions and no lock.
 */
#include "seam_internal.h"

#include <sys/random.h>
#include <time.h>

/* ---- clock -------------------------------------------------------------- */

static tr_time nanoseconds_of(clockid_t clock) {
    struct timespec at;
    TRI_ASSERT(clock_gettime(clock, &at) == 0);
    return (tr_time)at.tv_sec * TR_SECOND + (tr_time)at.tv_nsec;
}

static tr_time system_now(void *arg) {
    (void)arg;
    return nanoseconds_of(CLOCK_MONOTONIC);
}

int64_t tri_wall_clock_ms(void) {
    return nanoseconds_of(CLOCK_REALTIME) / TR_MS;
}

/* ---- randomness --------------------------------------------------------- */

struct generator {
    uint64_t state[4]; /* all zero: not seeded yet */
};

static uint64_t splitmix(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static __attribute__((noinline, cold)) void seed(struct generator *generator) {
    uint64_t *state = generator->state;
    /* Up to 256 bytes come whole or not at all: early at boot, or forbidden by a filter. Then
     * the clock and the address of this thread's generator must do. */
    if (getrandom(state, sizeof generator->state, GRND_NONBLOCK) !=
        (ssize_t)sizeof generator->state) {
        uint64_t mix = (uint64_t)nanoseconds_of(CLOCK_MONOTONIC) ^
                       (uint64_t)nanoseconds_of(CLOCK_REALTIME) << 20 ^
                       (uint64_t)(uintptr_t)generator;
        for (int i = 0; i < 4; i++) {
            state[i] = splitmix(&mix);
        }
    }
    state[0] |= 1; /* zero is the one state that xoshiro never leaves */
}

static uint64_t rotated(uint64_t x, int bits) {
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t system_random(void *arg) {
    static _Thread_local struct generator generator;
    uint64_t *s = generator.state;
    (void)arg;
    if (TRI_UNLIKELY((s[0] | s[1] | s[2] | s[3]) == 0)) {
        seed(&generator);
    }
    uint64_t result = rotated(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotated(s[3], 45);
    return result;
}

/* ---- the set ------------------------------------------------------------ */

const struct tr_seams *tr_seams_system(void) {
    static const struct tr_seams seams = {
        .now = system_now,
        .random = system_random,
        .poller = &tri_poller_libevent,
        .arg = NULL,
    };
    return &seams;
}
