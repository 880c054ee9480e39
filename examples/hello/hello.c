/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c: one actor that counts, and a task that talks to it.
 */
#include <troupe/actors.h>

#include <inttypes.h>
#include <stdio.h>

/* Messages: a struct each, with numbered fields. A request names its reply. */
TR_MESSAGE(add, (1, uint64, amount));
TR_MESSAGE(query);
TR_MESSAGE(total, (1, uint64, value));
TR_REPLY(query, total);

/* The actor's state: nobody else ever touches it. */
typedef struct {
    uint64_t sum;
} counter;

static int on_add(tr_self *self, counter *c, const add *m) {
    (void)self;
    c->sum += m->amount;
    return 0;
}

static int on_query(tr_self *self, counter *c, const query *m) {
    (void)m;
    return tr_reply(self, total, .value = c->sum);
}

TR_PROTOCOL(counter, add, query);                                  /* what a counter understands */
TR_BEHAVIOUR(counter, TR_ON(add, on_add), TR_ON(query, on_query)); /* a missing row won't compile */

static int app(void *arg) {
    (void)arg;
    tr_ref c;
    int err = tr_spawn(&c, counter, .name = "counter", .place = TR_LEAST_LOADED);
    for (uint64_t i = 0; i < 1000 && err == 0; i++) {
        err = tr_send_wait(c, add, .amount = i);
    }
    if (err < 0) {
        return err;
    }
    total t;
    err = tr_ask(c, 5 * TR_SECOND, &t, query);
    if (err < 0) {
        return err;
    }
    printf("%" PRIu64 "\n", t.value);
    return 0;
}

int main(void) {
    int err = tr_run(app, NULL, .loops = TR_ALL_CPUS);
    if (err < 0) {
        fprintf(stderr, "hello: %s (%s)\n", tr_err_text(err), tr_err_name(err));
        return 1;
    }
    return 0;
}
