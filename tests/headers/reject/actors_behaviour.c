/* SPDX-License-Identifier: Apache-2.0 */
/* Behaviours that must not compile. */
#include <troupe/actors.h>

TR_MESSAGE(rej_add, (1, uint64, amount));
TR_MESSAGE(rej_get);
TR_MESSAGE(rej_start, (1, uint64, first));
TR_MESSAGE(rej_stray);

typedef struct {
    uint64_t sum;
} rej_counter;

typedef struct {
    int unused;
} rej_state;

static int on_add(tr_self *self, rej_counter *c, const rej_add *m) {
    (void)self;
    c->sum += m->amount;
    return 0;
}
static int on_get(tr_self *self, rej_counter *c, const rej_get *m) {
    (void)self;
    (void)m;
    return (int)c->sum;
}
static int on_start(tr_self *self, rej_counter *c, const rej_start *m) {
    (void)self;
    c->sum = m->first;
    return 0;
}
static void on_end(tr_self *self, rej_counter *c, int reason) {
    (void)self;
    c->sum = (uint64_t)reason;
}

TR_PROTOCOL(rej_counter, rej_add, rej_get);

#if BAD == 1 /* a missing row */
TR_BEHAVIOUR(rej_counter, TR_INIT(rej_start, on_start), TR_ON(rej_add, on_add),
             TR_TERMINATE(on_end));
#elif BAD == 2  /* a row twice */
TR_BEHAVIOUR(rej_counter, TR_ON(rej_add, on_add), TR_ON(rej_add, on_add));
#elif BAD == 3  /* a row for a message outside of the protocol */
static int on_stray(tr_self *self, rej_counter *c, const rej_stray *m) {
    (void)self;
    (void)m;
    return (int)c->sum;
}
TR_BEHAVIOUR(rej_counter, TR_ON(rej_add, on_add), TR_ON(rej_stray, on_stray));
#elif BAD == 4  /* the handler of another message */
TR_BEHAVIOUR(rej_counter, TR_ON(rej_add, on_get), TR_ON(rej_get, on_get));
#elif BAD == 5  /* a handler for another state */
static int on_wrong_state(tr_self *self, rej_state *s, const rej_get *m) {
    (void)self;
    (void)m;
    return s->unused;
}
TR_BEHAVIOUR(rej_counter, TR_ON(rej_add, on_add), TR_ON(rej_get, on_wrong_state));
#elif BAD == 6  /* a handler with too few parameters */
static int on_short(tr_self *self, rej_counter *c) {
    (void)self;
    return (int)c->sum;
}
TR_BEHAVIOUR(rej_counter, TR_ON(rej_add, on_add), TR_ON(rej_get, on_short));
#elif BAD == 7  /* a handler that changes the message */
static int on_changing(tr_self *self, rej_counter *c, rej_get *m) {
    (void)self;
    (void)m;
    return (int)c->sum;
}
TR_BEHAVIOUR(rej_counter, TR_ON(rej_add, on_add), TR_ON(rej_get, on_changing));
#elif BAD == 8  /* two inits */
TR_BEHAVIOUR(rej_counter, TR_INIT(rej_start, on_start), TR_INIT(rej_start, on_start),
             TR_ON(rej_add, on_add), TR_ON(rej_get, on_get));
#elif BAD == 9  /* two ends */
TR_BEHAVIOUR(rej_counter, TR_TERMINATE(on_end), TR_TERMINATE(on_end), TR_ON(rej_add, on_add),
             TR_ON(rej_get, on_get));
#elif BAD == 10 /* a message twice in the protocol */
TR_PROTOCOL(rej_state, rej_add, rej_add);
#elif BAD == 11 /* the wrong init */
TR_BEHAVIOUR(rej_counter, TR_INIT(rej_start, on_add), TR_ON(rej_add, on_add),
             TR_ON(rej_get, on_get));
#else
TR_BEHAVIOUR(rej_counter, TR_INIT(rej_start, on_start), TR_ON(rej_add, on_add),
             TR_ON(rej_get, on_get), TR_TERMINATE(on_end));
#endif

/* So that no variant fails for what it leaves unused. */
extern int rej_use(void);
int rej_use(void) {
    (void)on_add;
    (void)on_get;
    (void)on_start;
    (void)on_end;
    return (int)sizeof(rej_state);
}
