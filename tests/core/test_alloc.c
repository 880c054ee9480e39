/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator's fault injection. */
#include "alloc_internal.h"

#include "t.h"

#include <limits.h>
#include <string.h>

T_TEST(alloc, an_empty_object_has_an_address) {
    void *objects[4] = {tri_malloc(0), tri_calloc(0, 8), tri_realloc(NULL, 0),
                        tri_aligned_alloc(64, 0)};
    for (int i = 0; i < 4; i++) {
        T_CHECK(objects[i] != NULL);
        tri_free(objects[i]);
    }
    tri_free(NULL);
}

T_TEST(alloc, calloc_gives_zeros_and_refuses_an_overflow) {
    static const char zeros[64];
    volatile size_t huge = SIZE_MAX / 2;
    char *memory = tri_calloc(8, 8);
    T_REQUIRE(memory != NULL);
    T_CHECK_MEM(memory, zeros, 64);
    tri_free(memory);
    T_CHECK(tri_calloc(huge, 4) == NULL);
}

T_TEST(alloc, aligned_means_aligned) {
    for (size_t alignment = 16; alignment <= 4096; alignment *= 2) {
        void *memory = tri_aligned_alloc(alignment, 100);
        T_CHECK(memory != NULL);
        T_CHECK_INT((uintptr_t)memory % alignment, 0);
        tri_free(memory);
    }
}

T_TEST(alloc, strdup_copies) {
    char text[] = "text";
    char *copy = tri_strdup(text);
    T_REQUIRE(copy != NULL);
    text[0] = 'n';
    T_CHECK_STR(copy, "text");
    tri_free(copy);
}

T_TEST(alloc, exactly_the_chosen_one_fails) {
    for (long n = 0; n < 5; n++) {
        (void)tri_alloc_fail_after(n);
        for (long i = 0; i < 8; i++) {
            void *memory = i % 2 == 0 ? tri_malloc(10) : (void *)tri_strdup("x");
            T_CHECK((memory == NULL) == (i == n));
            tri_free(memory);
        }
        T_CHECK_INT(tri_alloc_fail_after(-1), 8);
    }
}

T_TEST(alloc, a_failing_realloc_leaves_the_object) {
    char *memory = tri_malloc(4);
    T_REQUIRE(memory != NULL);
    memcpy(memory, "abc", 4);
    (void)tri_alloc_fail_after(0);
    T_CHECK(tri_realloc(memory, 1000) == NULL);
    (void)tri_alloc_fail_after(-1);
    T_CHECK_STR(memory, "abc");
    memory = tri_realloc(memory, 1000);
    T_CHECK_STR(memory, "abc");
    tri_free(memory);
}

T_TEST(alloc, counts_only_while_armed) {
    (void)tri_alloc_fail_after(-1);
    tri_free(tri_malloc(1));
    T_CHECK_INT(tri_alloc_fail_after(LONG_MAX), 0);
    tri_free(tri_malloc(1));
    tri_free(tri_malloc(1));
    T_CHECK_INT(tri_alloc_fail_after(-1), 2);
}
