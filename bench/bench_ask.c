/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ask.c: request and reply on one loop, with a deadline.
 */
#include "bench.h"

#include <troupe/actors.h>

#include <inttypes.h>

TR_MESSAGE(bench_question, (1, int64, value));
TR_MESSAGE(bench_answer, (1, int64, value));
TR_REPLY(bench_question, bench_answer);

typedef struct {
    int64_t asked;
} bench_oracle;

static int64_t asks;
static int64_t elapsed;

static int on_question(tr_self *self, bench_oracle *o, const bench_question *m) {
    o->asked++;
    return tr_reply(self, bench_answer, .value = m->value + o->asked);
}

TR_PROTOCOL(bench_oracle, bench_question);
TR_BEHAVIOUR(bench_oracle, TR_ON(bench_question, on_question));

static int asker(void *arg) {
    (void)arg;
    tr_ref oracle;
    int err = tr_spawn(&oracle, bench_oracle);
    bench_check(err == 0, "tr_spawn: %s", tr_err_text(err));
    int64_t begin = bench_now();
    for (int64_t i = 0; i < asks; i++) {
        bench_answer answer;
        err = tr_ask(oracle, 5 * TR_SECOND, &answer, bench_question, .value = i);
        bench_check(err == 0, "tr_ask: %s", tr_err_text(err));
        bench_check(answer.value == 2 * i + 1, "question %" PRId64 ": wrong answer %" PRId64, i,
                    answer.value);
    }
    elapsed = bench_now() - begin;
    bench_check_no_dead_letters();
    return 0;
}

static double run_ask_1(void) {
    asks = bench_scaled(5 * 1000 * 1000);
    bench_troupe(1, asker);
    return bench_ns_each(asks, elapsed);
}

const struct bench_workload bench_ask[] = {
    {"ask_1", "troupe", "ns/ask", run_ask_1, 1},
    {NULL, NULL, NULL, NULL, 0},
};
