/* SPDX-License-Identifier: Apache-2.0 */
/* Last words. */
#include "assert_internal.h"

#include "log_internal.h"

#include "t.h"

#include <string.h>

static int on_loop_1(const char **ret_subject) {
    *ret_subject = "buyer";
    return 1;
}

T_TEST(assert, a_condition_that_holds_is_evaluated_once) {
    int evaluated = 0;
    TRI_ASSERT(++evaluated == 1);
    TRI_USAGE(++evaluated == 2, "call", "rule");
    T_CHECK_INT(evaluated, 2);
}

T_DEATH_TEST_MSG(assert, a_bug_names_condition_and_place, SIGABRT, "troupe: BUG: one == 2 at ") {
    volatile int one = 1;
    TRI_ASSERT(one == 2);
}

T_DEATH_TEST_MSG(assert, a_misuse_names_call_and_rule, SIGABRT,
                 "troupe: misuse: tr_sleep: only in a task\n") {
    TRI_USAGE(false, "tr_sleep", "only in a task");
}

T_DEATH_TEST_MSG(assert, a_misuse_names_loop_and_task, SIGABRT,
                 "troupe: misuse: tr_sleep: only in a task [loop 1 buyer]\n") {
    tri_log_set_context(on_loop_1);
    TRI_USAGE(false, "tr_sleep", "only in a task");
}

T_DEATH_TEST_MSG(assert, a_very_long_rule_does_not_push_the_task_out, SIGABRT,
                 " [loop 1 buyer]\n") {
    static char rule[4096];
    memset(rule, 'x', sizeof rule - 1);
    tri_log_set_context(on_loop_1);
    TRI_USAGE(false, "tr_sleep", rule);
}
