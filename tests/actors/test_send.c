/* SPDX-License-Identifier: Apache-2.0 */
/* tr_send(): order, references that are stale, and foreign threads. */
#include "actors_test.h"

#include <pthread.h>

/* ---- a receiver that checks the order of each sender ------------------------------------- */

enum { SENDERS_MAX = 16 };

static struct {
    atomic_ullong received;
    atomic_ullong disorder;
} seen;

typedef struct {
    uint64_t next[SENDERS_MAX];
} order_sink;

static int on_order(tr_self *self, order_sink *s, const ta_num *m) {
    (void)self;
    if (m->n != s->next[m->from]) {
        atomic_fetch_add(&seen.disorder, 1);
    }
    s->next[m->from] = m->n + 1;
    atomic_fetch_add_explicit(&seen.received, 1, memory_order_relaxed);
    return 0;
}

TR_PROTOCOL(order_sink, ta_num);
TR_BEHAVIOUR(order_sink, TR_ON(ta_num, on_order));

/* ---- a sender: as told, it sends to one or two sinks ------------------------------------- */

TR_MESSAGE(tse_go, (1, ref, a), (2, ref, b), (3, uint64, count), (4, uint32, from));

typedef struct {
    int unused;
} order_source;

static atomic_int sources_done;

static int on_go(tr_self *self, order_source *s, const tse_go *m) {
    (void)self;
    (void)s;
    for (uint64_t i = 0; i < m->count; i++) {
        T_CHECK_INT(tr_send_wait(m->a, ta_num, .n = i, .from = m->from), 0);
        T_CHECK_INT(tr_send_wait(m->b, ta_num, .n = i, .from = m->from), 0);
    }
    atomic_fetch_add(&sources_done, 1);
    return 0;
}

TR_PROTOCOL(order_source, tse_go);
TR_BEHAVIOUR(order_source, TR_ON(tse_go, on_go));

/* Each source sends to a sink on either loop: pairs on one loop and across. */
static int run_order(int sources, uint64_t count, uint32_t bound) {
    tr_ref sinks[2];
    ta_count_letters();
    atomic_store(&seen.received, 0);
    atomic_store(&seen.disorder, 0);
    atomic_store(&sources_done, 0);
    for (int i = 0; i < 2; i++) {
        T_TASK_REQUIRE(
            tr_spawn(&sinks[i], order_sink, .place = TR_LOOP(i), .mailbox_messages = bound) == 0);
    }
    for (int i = 0; i < sources; i++) {
        tr_ref source;
        T_TASK_REQUIRE(tr_spawn(&source, order_source, .place = TR_LOOP(i % 2)) == 0);
        T_CHECK_INT(tr_send(source, tse_go, .a = sinks[0], .b = sinks[1], .count = count,
                            .from = (uint32_t)i),
                    0);
    }
    uint64_t total = 2 * count * (uint64_t)sources;
    TA_UNTIL(atomic_load(&seen.received) >= total);
    T_CHECK_INT(atomic_load(&sources_done), sources);
    T_CHECK_INT(tr_sleep(5 * TR_MS), 0); /* one that comes twice would come now */
    T_CHECK_INT(atomic_load(&seen.received), total);
    T_CHECK_INT(atomic_load(&seen.disorder), 0);
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

T_TASK_TEST_LOOPS(send, order_is_kept_per_pair, 2) {
    t_timeout(60);
    return run_order(4, 100000, 0);
}

T_TASK_TEST_LOOPS(send, nothing_is_lost_with_mailboxes_of_16, 2) {
    t_timeout(60);
    return run_order(SENDERS_MAX, 3000, 16);
}

T_TASK_TEST_LOOPS(send, nothing_is_lost_with_mailboxes_of_1, 2) {
    t_timeout(60);
    return run_order(SENDERS_MAX, 2000, 1);
}

/* ---- stale and wrong references ---------------------------------------------------------- */

typedef struct {
    uint64_t sum;
} adder;

static int adder_num(tr_self *self, adder *a, const ta_num *m) {
    (void)self;
    a->sum += m->n;
    return 0;
}
static int adder_get(tr_self *self, adder *a, const ta_get *m) {
    (void)m;
    return tr_reply(self, ta_value, .n = a->sum);
}
static int adder_fail(tr_self *self, adder *a, const ta_fail *m) {
    (void)self;
    (void)a;
    return m->err;
}

TR_PROTOCOL(adder, ta_num, ta_get, ta_fail);
TR_BEHAVIOUR(adder, TR_ON(ta_num, adder_num), TR_ON(ta_get, adder_get), TR_ON(ta_fail, adder_fail));

T_TASK_TEST(send, a_used_place_does_not_answer_to_the_old_reference) {
    tr_ref old;
    tr_ref fresh;
    ta_value value;
    T_TASK_REQUIRE(tr_spawn(&old, adder) == 0);
    T_CHECK_INT(tr_send(old, ta_fail, .err = TA_EODD), 0);
    TA_UNTIL(ta_alive() == 0);
    T_CHECK_INT(tr_send(old, ta_num, .n = 1), TA_EODD); /* why it ended */
    T_TASK_REQUIRE(tr_spawn(&fresh, adder) == 0);
    T_CHECK_INT(fresh.slot, old.slot);
    T_CHECK(!tr_ref_equal(old, fresh));
    T_CHECK_INT(tr_send(old, ta_num, .n = 1), TA_EODD);
    T_CHECK_INT(tr_ask(old, TR_SECOND, &value, ta_get), TA_EODD);
    T_CHECK_INT(tr_kill(old), 0);
    T_CHECK_INT(tr_stop(old), 0);
    T_CHECK_INT(tr_ask(fresh, TR_SECOND, &value, ta_get), 0);
    T_CHECK_INT(value.n, 0);
    T_CHECK_INT(tr_stop(fresh), 0);
    TA_UNTIL(ta_alive() == 0);
    T_CHECK_INT(tr_send(fresh, ta_num, .n = 1), TR_ENOACTOR); /* an ordinary end has no reason */
    return 0;
}

static int check_bad_ref(tr_ref ref) {
    ta_value value = {.n = 5};
    T_CHECK_INT(tr_send(ref, ta_num, .n = 1), TR_ENOACTOR);
    T_CHECK_INT(tr_send_wait(ref, ta_num, .n = 1), TR_ENOACTOR);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), TR_ENOACTOR);
    T_CHECK_INT(tr_stop(ref), 0);
    T_CHECK_INT(tr_kill(ref), 0);
    T_CHECK_INT(value.n, 5);
    return 0;
}

T_TASK_TEST(send, wrong_references_are_errors) {
    tr_ref good;
    ta_value value;
    uint16_t loop;
    (void)check_bad_ref((tr_ref){0}); /* before any actor was on this loop */
    T_TASK_REQUIRE(tr_spawn(&good, adder) == 0);
    loop = good.loop;
    for (int i = 0; i < 2; i++) {
        (void)check_bad_ref((tr_ref){0});
        (void)check_bad_ref((tr_ref){.loop = loop});
        (void)check_bad_ref((tr_ref){.loop = loop, .slot = UINT32_MAX, .generation = UINT32_MAX});
        (void)check_bad_ref((tr_ref){.loop = loop, .slot = 5, .generation = 1});
        (void)check_bad_ref((tr_ref){.loop = loop, .slot = good.slot, .generation = UINT32_MAX});
        (void)check_bad_ref((tr_ref){.loop = UINT16_MAX, .slot = 0, .generation = 1});
        (void)check_bad_ref((tr_ref){.loop = TR_LOOPS_MAX - 1, .slot = 0, .generation = 1});
        /* Once more, when reasons of ends are being kept. */
        tr_ref failing;
        T_TASK_REQUIRE(tr_spawn(&failing, adder) == 0);
        T_CHECK_INT(tr_send(failing, ta_fail, .err = TA_EVEN), 0);
        TA_UNTIL(ta_alive() == 1);
    }
    T_CHECK_INT(tr_ask(good, TR_SECOND, &value, ta_get), 0);
    T_CHECK_INT(value.n, 0);
    tr_ref far = {.node = 9, .generation = 1};
    T_CHECK_INT(tr_send(far, ta_num, .n = 1), TR_ENODE);
    T_CHECK_INT(tr_ask(far, TR_SECOND, &value, ta_get), TR_ENODE);
    return 0;
}

T_TASK_TEST_LOOPS(send, a_wrong_reference_on_another_loop_is_one_dead_letter, 2) {
    tr_ref good;
    ta_count_letters();
    T_TASK_REQUIRE(tr_spawn(&good, adder, .place = TR_LOOP(1)) == 0);
    tr_ref bad[] = {{.loop = good.loop, .slot = UINT32_MAX, .generation = 7},
                    {.loop = good.loop, .slot = good.slot, .generation = good.generation + 1}};
    for (int i = 0; i < 2; i++) {
        ta_value value;
        T_CHECK_INT(tr_send(bad[i], ta_num, .n = 100 + (uint64_t)i), 0);
        TA_UNTIL(atomic_load(&letters.count) == i + 1);
        T_CHECK_INT(atomic_load(&letters.last_reason), TR_ENOACTOR);
        T_CHECK_INT(atomic_load(&letters.last_n), 100 + i);
        T_CHECK(tr_ref_equal(letters.last_to, bad[i]));
        T_CHECK_INT(tr_ask(bad[i], TR_SECOND, &value, ta_get), TR_ENOACTOR);
    }
    (void)check_bad_ref((tr_ref){0}); /* nobody is known to be nobody */
    (void)check_bad_ref((tr_ref){.loop = good.loop});
    T_CHECK_INT(atomic_load(&letters.count), 2);
    return 0;
}

/* ---- references of a runtime that has ended ---------------------------------------------- */

static tr_ref kept[2];

static int spawn_kept(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        T_TASK_REQUIRE(tr_spawn(&kept[i], adder, .place = TR_LOOP(i)) == 0);
    }
    return 0;
}

/* A loop learns it when the batch is pushed: then it is a dead letter. */
static int use_kept(void *arg) {
    (void)arg;
    ta_count_letters();
    for (int i = 0; i < 2; i++) {
        ta_value value;
        T_CHECK_INT(tr_send(kept[i], ta_num, .n = 1), 0);
        T_CHECK_INT(tr_send_wait(kept[i], ta_num, .n = 1), 0);
        TA_UNTIL(atomic_load(&letters.count) == 2 * (i + 1));
        T_CHECK_INT(atomic_load(&letters.last_reason), TR_ESHUTDOWN);
        T_CHECK_INT(tr_ask(kept[i], TR_SECOND, &value, ta_get), TR_ESHUTDOWN);
        T_CHECK_INT(tr_stop(kept[i]), 0);
        T_CHECK_INT(tr_kill(kept[i]), 0);
    }
    return 0;
}

/* The first runtime's loops are not used again soon: their inboxes say that they have ended. */
T_TEST(send, to_a_runtime_that_has_ended) {
    t_run_task(spawn_kept, NULL, 2);
    for (int i = 0; i < 2; i++) {
        T_CHECK_INT(tr_send(kept[i], ta_num, .n = 1), TR_ESHUTDOWN); /* from a foreign thread */
        T_CHECK_INT(tr_stop(kept[i]), 0);
    }
    t_run_task(use_kept, NULL, 2);
}

/* ---- foreign threads --------------------------------------------------------------------- */

struct foreign {
    tr_ref to;
    uint64_t count;
    uint64_t refused;
    uint32_t from;
};

static void *foreign_main(void *arg) {
    struct foreign *f = arg;
    for (uint64_t i = 0; i < f->count; i++) {
        int err;
        while ((err = tr_send(f->to, ta_num, .n = i, .from = f->from)) == TR_EFULL) {
            f->refused++;
            sched_yield();
        }
        T_CHECK_INT(err, 0);
    }
    return NULL;
}

T_TASK_TEST_LOOPS(send, from_foreign_threads_in_order, 2) {
    enum { THREADS = 3, COUNT = 30000 };
    pthread_t threads[THREADS];
    struct foreign foreign[THREADS] = {0};
    tr_ref sinks[2];
    ta_count_letters();
    t_timeout(60);
    atomic_store(&seen.received, 0);
    atomic_store(&seen.disorder, 0);
    for (int i = 0; i < 2; i++) {
        T_TASK_REQUIRE(tr_spawn(&sinks[i], order_sink, .place = TR_LOOP(i),
                                .mailbox_messages = TR_UNBOUNDED) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        foreign[i] = (struct foreign){.to = sinks[i % 2], .count = COUNT, .from = (uint32_t)i};
        T_CHECK_INT(pthread_create(&threads[i], NULL, foreign_main, &foreign[i]), 0);
    }
    TA_UNTIL(atomic_load(&seen.received) == THREADS * COUNT);
    for (int i = 0; i < THREADS; i++) {
        T_CHECK_INT(pthread_join(threads[i], NULL), 0);
    }
    T_CHECK_INT(atomic_load(&seen.disorder), 0);
    T_CHECK_INT(atomic_load(&letters.count), 0);
    return 0;
}

T_TASK_TEST(send, a_foreign_thread_s_messages_are_bounded) {
    /* This task doesn't give way, so the loop takes nothing while the thread sends. */
    struct foreign f = {.from = 0};
    pthread_t thread;
    ta_count_letters();
    T_TASK_REQUIRE(tr_spawn(&f.to, order_sink, .mailbox_messages = TR_UNBOUNDED) == 0);
    atomic_store(&seen.received, 0);
    atomic_store(&seen.disorder, 0);
    f.count = 100000;
    T_CHECK_INT(pthread_create(&thread, NULL, foreign_main, &f), 0);
    for (volatile int spin = 0; f.refused == 0 && spin < 200000000; spin++) {
        sched_yield();
    }
    TA_UNTIL(atomic_load(&seen.received) == f.count);
    T_CHECK_INT(pthread_join(thread, NULL), 0);
    T_CHECK(f.refused > 0);
    T_CHECK_INT(atomic_load(&seen.disorder), 0);
    return 0;
}

/* ---- results on the same loop are final -------------------------------------------------- */

T_TASK_TEST(send, an_accepted_message_is_handled_at_once_after) {
    tr_ref ref;
    ta_value value;
    T_TASK_REQUIRE(tr_spawn(&ref, adder) == 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        T_CHECK_INT(tr_send(ref, ta_num, .n = i), 0);
    }
    T_CHECK_INT(tr_send(ref, ta_num, .n = 1000000), 0);
    T_CHECK_INT(tr_ask(ref, TR_SECOND, &value, ta_get), 0);
    T_CHECK_INT(value.n, 500500 + 1000000);
    struct tr_actor_stats stats;
    tr_actors_get_stats(&stats);
    T_CHECK_INT(stats.handled, 1002);
    T_CHECK_INT(stats.sent_far, 0);
    T_CHECK_INT(stats.spawned, 1);
    return 0;
}
