/* SPDX-License-Identifier: Apache-2.0 */
/* The system's clock and randomness. */
#include "seam_internal.h"

#include "t.h"

#include <pthread.h>
#include <string.h>

enum { DRAWS = 4096 };

T_TEST(seam, the_system_set_is_complete) {
    const struct tr_seams *seams = tr_seams_system();
    T_CHECK(seams->now != NULL);
    T_CHECK(seams->random != NULL);
    T_CHECK(seams->poller != NULL);
    T_CHECK(seams->arg == NULL);
}

T_TEST(seam, the_clock_never_goes_back) {
    const struct tr_seams *seams = tr_seams_system();
    tr_time last = seams->now(NULL);
    T_CHECK(last > 0);
    for (int i = 0; i < 10000; i++) {
        tr_time now = seams->now(NULL);
        T_CHECK(now >= last);
        last = now;
    }
}

T_TEST(seam, the_wall_clock_is_past_2024_and_before_2200) {
    T_CHECK(tri_wall_clock_ms() > INT64_C(1704067200) * 1000);
    T_CHECK(tri_wall_clock_ms() < INT64_C(7258118400) * 1000);
}

/* 4,096 draws of 64 bits: each bit is set 2,048 +- 32 times; ten deviations are allowed. */
T_TEST(seam, every_random_bit_is_set_about_half_of_the_time) {
    const struct tr_seams *seams = tr_seams_system();
    int set[64] = {0};
    for (int i = 0; i < DRAWS; i++) {
        uint64_t value = seams->random(NULL);
        for (int bit = 0; bit < 64; bit++) {
            set[bit] += (int)(value >> bit & 1);
        }
    }
    for (int bit = 0; bit < 64; bit++) {
        T_CHECK(set[bit] > DRAWS / 2 - 320);
        T_CHECK(set[bit] < DRAWS / 2 + 320);
    }
}

static void *draw_four(void *arg) {
    uint64_t *values = arg;
    for (int i = 0; i < 4; i++) {
        values[i] = tr_seams_system()->random(NULL);
    }
    return NULL;
}

T_TEST(seam, threads_draw_different_numbers) {
    uint64_t values[2][4];
    pthread_t thread;
    (void)draw_four(values[0]);
    T_REQUIRE(pthread_create(&thread, NULL, draw_four, values[1]) == 0);
    (void)pthread_join(thread, NULL);
    T_CHECK(memcmp(values[0], values[1], sizeof values[0]) != 0);
}
