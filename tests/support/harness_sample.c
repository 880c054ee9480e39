/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that pass or fail on purpose; harness_check looks at what the runner says about them. */
#include "t.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

T_TEST(good, checks_pass) {
    T_CHECK(1 + 1 == 2);
    T_CHECK_INT(3, 3);
    T_CHECK_STR("a", "a");
    T_CHECK_MEM("ab", "ab", 2);
    T_REQUIRE(true);
}

T_DEATH_TEST(good, abort_is_seen, SIGABRT) {
    abort();
}

T_DEATH_TEST_MSG(good, message_is_seen, SIGABRT, "the reason") {
    fprintf(stderr, "this is the reason\n");
    abort();
}

T_DEATH_TEST(good, segv_is_seen, SIGSEGV) {
    raise(SIGSEGV);
}

T_TEST(bad, check_fails) {
    T_CHECK_INT(1, 2);
}

T_TEST(bad, string_differs) {
    T_CHECK_STR("a", NULL);
}

T_TEST(bad, require_ends_the_test) {
    T_REQUIRE(false);
    printf("NOT REACHED\n");
}

T_TEST(bad, descriptor_is_left_open) {
    T_CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

T_TEST(bad, crashes) {
    raise(SIGSEGV);
}

T_TEST(bad, hangs) {
    t_timeout(1);
    for (;;) {
        pause();
    }
}

T_DEATH_TEST(bad, does_not_die, SIGABRT) {}

T_DEATH_TEST_MSG(bad, dies_without_the_message, SIGABRT, "the reason") {
    abort();
}
