/* SPDX-License-Identifier: Apache-2.0 */
/* Back-end 1: Criterion. Each test runs in a process of its own. */
#include "t.h"

void t_run_in_criterion(const struct t_case *c) {
    char message[512];
    unsigned failed = t_run_case(c, message, sizeof message);
    /* The report isn't escaped: keep markup out of it. */
    for (char *p = message; *p != 0; p++) {
        if (*p == ']' || *p == '<' || *p == '>' || *p == '&' || *p == '\n') {
            *p = ' ';
        }
    }
    cr_assert(failed == 0, "%u failed, first %s", failed, message);
}
