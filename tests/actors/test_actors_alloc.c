/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a small life fails once: it goes on or says so, and nothing is left. */
#include "actors_test.h"

#include "alloc_internal.h"
#include "seam_internal.h"

#include <limits.h>

TR_MESSAGE(tal_watch, (1, ref, who));
TR_REPLY(tal_watch, ta_value);

typedef struct {
    int unused;
} alloc_actor;

static int alloc_init(tr_self *self, alloc_actor *a, const ta_text *m) {
    (void)self;
    (void)a;
    (void)m;
    return 0;
}
static int alloc_num(tr_self *self, alloc_actor *a, const ta_num *m) {
    (void)self;
    (void)a;
    (void)m;
    return 0;
}
static int alloc_echo(tr_self *self, alloc_actor *a, const ta_echo *m) {
    (void)a;
    (void)tr_reply(self, ta_text, .text = m->text); /* its error is the asker's too */
    return 0;
}
static int alloc_watch(tr_self *self, alloc_actor *a, const tal_watch *m) {
    (void)a;
    int err = tr_monitor(self, m->who, 1);
    return err < 0 ? tr_reply_error(self, err) : tr_reply(self, ta_value, .n = 1);
}
static int alloc_down(tr_self *self, alloc_actor *a, const tr_down *m) {
    (void)self;
    (void)a;
    (void)m;
    return 0;
}

TR_PROTOCOL(alloc_actor, ta_num, ta_echo, tal_watch, tr_down);
TR_BEHAVIOUR(alloc_actor, TR_INIT(ta_text, alloc_init), TR_ON(ta_num, alloc_num),
             TR_ON(ta_echo, alloc_echo), TR_ON(tal_watch, alloc_watch), TR_ON(tr_down, alloc_down));

static int proc_main(tr_self *self, const ta_text *m) {
    tr_received r;
    (void)m;
    int err;
    while ((err = tr_receive(self, TR_FOREVER, &r)) == 0) {
        if (tr_is(&r, ta_echo)) {
            (void)tr_reply(self, ta_text, .text = tr_as(&r, ta_echo)->text);
        }
    }
    return err == TR_ESHUTDOWN ? 0 : err;
}

TR_PROCESS(alloc_process, ta_text, proc_main);

/* ---- the scenario ------------------------------------------------------------------------ */

/* TR_FOREVER: an answer that got lost for want of memory would hang the test. */
static int use(tr_ref ref, tr_ref other) {
    static char big[6000]; /* more than a block: a malloc for each message */
    ta_text text;
    ta_value value;
    int err = tr_ask(ref, TR_FOREVER, &text, ta_echo, .text = tr_str("small"));
    if (err == 0) {
        T_CHECK(ta_text_is(text.text, "small"));
        err = tr_ask(ref, TR_FOREVER, &text, ta_echo, .text = {big, sizeof big});
    }
    if (err == 0) {
        err = tr_ask(ref, TR_FOREVER, &value, tal_watch, .who = other);
    }
    for (int i = 0; i < 10 && err == 0; i++) {
        err = tr_send_wait(ref, ta_num, .n = 1);
    }
    return err;
}

static int scenario(void *arg) {
    tr_ref refs[2];
    tr_ref process;
    tr_ref found;
    ta_text text;
    int err = 0;
    (void)arg;
    for (int i = 0; i < 2 && err == 0; i++) {
        err = tr_spawn(&refs[i], alloc_actor, .place = TR_LOOP(i), .name = i ? "one" : "zero",
                       .mailbox_messages = 2, .arg = TR_ARG(ta_text, .text = tr_str("init")));
    }
    for (int i = 0; i < 2 && err == 0; i++) {
        err = use(refs[i], refs[1 - i]);
    }
    if (err == 0) {
        err = tr_spawn(&process, alloc_process, .place = TR_LOOP(1));
    }
    if (err == 0) {
        err = tr_ask(process, TR_FOREVER, &text, ta_echo, .text = tr_str("process"));
    }
    if (err == 0) {
        err = tr_whereis("one", &found);
    }
    if (err == 0) {
        T_CHECK(tr_ref_equal(found, refs[1]));
        err = tr_kill(refs[0]);
    }
    return err == 0 ? tr_stop(refs[1]) : err;
}

static int run_scenario(void) {
    struct tr_run_opts opts = {.loops = 2, .shutdown_timeout = TR_SECOND};
    return tr_run_with(scenario, &opts);
}

T_TEST(actors_alloc, each_allocation_may_fail) {
    t_timeout(300);
    tr_log_set_sink(NULL, NULL, TR_LOG_ERROR + 1);
    (void)tri_alloc_fail_after(LONG_MAX);
    T_CHECK_INT(run_scenario(), 0);
    long made = tri_alloc_fail_after(-1);
    T_CHECK(made > 30);
    for (long n = 0; n < made && t_failures() == 0; n++) {
        int64_t before = tri_wall_clock_ms();
        (void)tri_alloc_fail_after(n);
        int err = run_scenario();
        (void)tri_alloc_fail_after(-1);
        if (err != 0 && err != -ENOMEM) {
            T_FAIL("with allocation %ld failing: %s", n, tr_err_name(err));
        }
        int64_t took = tri_wall_clock_ms() - before;
        if (took > 5000) {
            T_FAIL("with allocation %ld failing: it took %d ms", n, (int)took);
        }
    }
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}
