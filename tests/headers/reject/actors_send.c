/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that must not compile. */
#include <troupe/actors.h>

TR_MESSAGE(rej_add, (1, uint64, amount));
TR_MESSAGE(rej_query);
TR_MESSAGE(rej_total, (1, uint64, value));
TR_MESSAGE(rej_other, (1, uint64, value));
TR_REPLY(rej_query, rej_total);

static int main_of(tr_self *self, const rej_add *m) {
    (void)self;
    return (int)m->amount;
}
TR_PROCESS(rej_process, rej_add, main_of);

extern int rej_use(tr_self *self, tr_ref to);
int rej_use(tr_self *self, tr_ref to) {
    rej_total total;
    rej_other other;
    tr_ref ref;
    int err = tr_send(to, rej_add, .amount = 1);
    err += tr_ask(to, TR_SECOND, &total, rej_query);
    err += tr_spawn(&ref, rej_process, .arg = TR_ARG(rej_add, .amount = 1));
    err += tr_reply(self, rej_total, .value = 1);
#if BAD == 1 /* no such field */
    err += tr_send(to, rej_add, .ammount = 1);
#elif BAD == 2  /* the wrong reply */
    err += tr_ask(to, TR_SECOND, &other, rej_query);
#elif BAD == 3  /* the reply itself, not its address */
    err += tr_ask(to, TR_SECOND, total, rej_query);
#elif BAD == 4  /* a message that has no reply */
    err += tr_ask(to, TR_SECOND, &total, rej_add, .amount = 1);
#elif BAD == 5  /* a value of the wrong type */
    err += tr_send(to, rej_add, .amount = "one");
#elif BAD == 6  /* not a message */
    err += tr_send(to, tr_ref, .slot = 1);
#elif BAD == 7  /* not a behaviour */
    err += tr_spawn(&ref, rej_add);
#elif BAD == 8  /* no such option */
    err += tr_spawn(&ref, rej_process, .places = TR_HERE);
#elif BAD == 9  /* not a reference */
    err += tr_send(1, rej_add, .amount = 1);
#elif BAD == 10 /* no such field in a spawn argument */
    err += tr_spawn(&ref, rej_process, .arg = TR_ARG(rej_add, .sum = 1));
#elif BAD == 11 /* the result of an ask must be looked at */
    tr_ask(to, TR_SECOND, &total, rej_query);
#endif
    (void)other;
    (void)ref;
    return err;
}
