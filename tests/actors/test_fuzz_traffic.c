/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random program of some two hundred actors on two loops, that spawn, send, ask, stop, kill and
 * monitor each other. What must hold whatever they do:
 *
 *   accepted messages = handled + dead letters      each ask returns once, with a known result
 *   a handler is alone in its actor                 each end is told to each watcher, once
 *   spawned = ended + alive                         the runtime ends in time
 */
#include "actors_test.h"

#include "seam_internal.h"

#include <pthread.h>
#include <stdio.h>

TR_MESSAGE(tf_step, (1, uint64, seed), (2, string, padding));
TR_MESSAGE(tf_ask, (1, uint64, seed), (2, string, padding));
TR_MESSAGE(tf_watch_all);
TR_REPLY(tf_watch_all, ta_value);
TR_MESSAGE(tf_answer, (1, uint64, seed), (2, string, padding));
TR_REPLY(tf_ask, tf_answer);

enum { REFS = 200 };

static struct {
    pthread_mutex_t mutex;
    tr_ref refs[REFS]; /* under mutex */
    atomic_long steps_left;
    atomic_long sent, handled;
    atomic_long asks, answers;
    atomic_long spawned, ended;
    atomic_long overlaps;
} sea = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static tr_ref pick(uint64_t random) {
    pthread_mutex_lock(&sea.mutex);
    tr_ref ref = sea.refs[random % REFS];
    pthread_mutex_unlock(&sea.mutex);
    return ref;
}

static void put(uint64_t random, tr_ref ref) {
    pthread_mutex_lock(&sea.mutex);
    sea.refs[random % REFS] = ref;
    pthread_mutex_unlock(&sea.mutex);
}

typedef struct {
    uint64_t random;
    long watches, downs;
    int inside;
} fish;

TR_DECLARE_BEHAVIOUR(fish);

static bool is_known(int err) {
    switch (err) {
    case 0:
    case TR_EFULL:
    case TR_ENOACTOR:
    case TR_EKILLED:
    case TR_ECANCELLED:
    case TR_ESHUTDOWN:
    case TR_ETIMEOUT:
    case TR_EDEADLK:
    case TR_EDROPPED:
    case TR_ENOREPLY:
    case TA_EODD: return true;
    default: return false;
    }
}

static void count_sent(int err) {
    T_CHECK(is_known(err));
    if (err == 0) {
        atomic_fetch_add(&sea.sent, 1);
    }
}

static char padding[5000];

static tr_string some_padding(uint64_t random) {
    static const size_t sizes[] = {0, 0, 0, 5, 50, 300, 5000};
    return (tr_string){padding, sizes[random % 7]};
}

static void spawn_one(fish *f) {
    tr_ref ref;
    uint64_t random = ta_random(&f->random);
    int err =
        tr_spawn(&ref, fish, .place = TR_LOOP((int)(random % 2)), .overflow = (int)(random / 2 % 3),
                 .mailbox_messages = 1 + (uint32_t)(random / 8 % 30),
                 .arg = TR_ARG(tf_step, .seed = ta_random(&f->random)));
    T_CHECK(is_known(err));
    if (err == 0) {
        put(ta_random(&f->random), ref);
    }
}

static void ask_one(fish *f, tr_ref to) {
    tf_answer answer;
    uint64_t seed = ta_random(&f->random);
    tr_string text = some_padding(seed / 3);
    atomic_fetch_add(&sea.asks, 1);
    int err = tr_ask(to, (tr_time)(seed % (uint64_t)(3 * TR_MS)), &answer, tf_ask, .seed = seed,
                     .padding = text);
    T_CHECK(is_known(err));
    if (err == 0) {
        T_CHECK(answer.seed == seed + 1 && answer.padding.size == text.size);
        T_CHECK(memcmp(answer.padding.data, padding, text.size) == 0);
    }
    atomic_fetch_add(&sea.answers, 1);
}

/* One random deed; the result is the handler's. */
static int one_step(tr_self *self, fish *f) {
    uint64_t random = ta_random(&f->random);
    tr_ref to = pick(ta_random(&f->random));
    uint64_t seed = ta_random(&f->random);
    tr_timeout limit;
    switch (random % 40) {
    case 0:
    case 1:
    case 2: spawn_one(f); break;
    case 3: T_CHECK_INT(tr_stop(to), 0); break;
    case 4: T_CHECK_INT(tr_kill(to), 0); break;
    case 5:
    case 6:
    case 7:
        if (tr_monitor(self, to, random) == 0) {
            f->watches++;
        }
        break;
    case 8: return random / 64 % 4 == 0 ? TA_EODD : 0;
    case 9: (void)tr_sleep((tr_time)(seed % (300 * TR_US))); break;
    case 10:
    case 11:
    case 12:
    case 13: ask_one(f, to); break;
    case 14:
    case 15:
        /* Actors that wait for room in each other's mailboxes would wait for ever. */
        tr_timeout_begin(&limit, (tr_time)(seed % (uint64_t)TR_MS));
        count_sent(tr_timeout_end(
            &limit, tr_send_wait(to, tf_step, .seed = seed, .padding = some_padding(random / 64))));
        break;
    default:
        count_sent(tr_send(to, tf_step, .seed = seed, .padding = some_padding(random / 64)));
        break;
    }
    return 0;
}

/* The messages die out unless each leads to more than one. */
static int steps(tr_self *self, fish *f) {
    int err = 0;
    if (f->inside++ != 0) {
        atomic_fetch_add(&sea.overlaps, 1);
    }
    for (int i = 0; i < 3 && err == 0 && atomic_fetch_sub(&sea.steps_left, 1) > 0; i++) {
        err = one_step(self, f);
    }
    f->inside--;
    return err;
}

static int fish_init(tr_self *self, fish *f, const tf_step *m) {
    (void)self;
    f->random = m->seed;
    atomic_fetch_add(&sea.spawned, 1);
    return m->seed % 16 == 0 ? tr_sleep(TR_MS / 10) : m->seed % 32 == 1 ? TA_EODD : 0;
}
static int fish_step(tr_self *self, fish *f, const tf_step *m) {
    atomic_fetch_add(&sea.handled, 1);
    f->random ^= m->seed;
    T_CHECK(memcmp(m->padding.data, padding, m->padding.size) == 0);
    int err = steps(self, f);
    T_CHECK(memcmp(m->padding.data, padding, m->padding.size) == 0);
    return err;
}
static int fish_ask(tr_self *self, fish *f, const tf_ask *m) {
    if (m->seed % 8 == 0) {
        int err = steps(self, f);
        if (err < 0) {
            return err;
        }
    }
    return m->seed % 16 == 1
               ? 0
               : tr_reply(self, tf_answer, .seed = m->seed + 1, .padding = m->padding);
}
static int fish_down(tr_self *self, fish *f, const tr_down *m) {
    (void)self;
    (void)m;
    f->downs++;
    T_CHECK(f->downs <= f->watches);
    return 0;
}
/* At the end of all traffic: watch whoever is known, dead or alive. */
static int fish_watch_all(tr_self *self, fish *f, const tf_watch_all *m) {
    (void)m;
    f->watches = 0;
    f->downs = 0;
    for (uint64_t i = 0; i < REFS; i++) {
        T_CHECK_INT(tr_monitor(self, pick(i), i), 0);
        f->watches++;
    }
    return tr_reply(self, ta_value, .n = 0);
}
static int fish_get(tr_self *self, fish *f, const ta_get *m) {
    (void)m;
    return tr_reply(self, ta_value, .n = (uint64_t)f->downs);
}
static void fish_end(tr_self *self, fish *f, int reason) {
    (void)self;
    (void)f;
    T_CHECK(reason == 0 || is_known(reason));
    atomic_fetch_add(&sea.ended, 1);
}

TR_PROTOCOL(fish, tf_step, tf_ask, tr_down, ta_get, tf_watch_all);
TR_BEHAVIOUR(fish, TR_INIT(tf_step, fish_init), TR_ON(tf_step, fish_step), TR_ON(tf_ask, fish_ask),
             TR_ON(tr_down, fish_down), TR_ON(ta_get, fish_get),
             TR_ON(tf_watch_all, fish_watch_all), TR_TERMINATE(fish_end));

/* ---- the program ------------------------------------------------------------------------- */

static int pour(fish *source) {
    for (int i = 0; i < REFS; i++) {
        tr_ref ref;
        int err;
        do {
            err = tr_spawn(&ref, fish, .place = TR_LOOP(i % 2), .mailbox_messages = 20,
                           .overflow = i % 3,
                           .arg = TR_ARG(tf_step, .seed = ta_random(&source->random)));
        } while (err == TA_EODD); /* some inits fail */
        T_TASK_REQUIRE(err == 0);
        put((uint64_t)i, ref);
    }
    while (atomic_load(&sea.steps_left) > 0) {
        count_sent(tr_send_wait(pick(ta_random(&source->random)), tf_step,
                                .seed = ta_random(&source->random)));
        T_CHECK_INT(tr_yield(), 0);
    }
    return 0;
}

/* One watcher on each loop watches all; all are killed: each end is told to both, once. */
static int check_downs(void) {
    tr_ref watchers[2];
    ta_value value = {0};
    for (int i = 0; i < 2; i++) {
        T_TASK_REQUIRE(tr_spawn(&watchers[i], fish, .place = TR_LOOP(i)) == 0);
        T_CHECK_INT(tr_ask(watchers[i], TR_SECOND, &value, tf_watch_all), 0);
    }
    for (uint64_t i = 0; i < REFS; i++) {
        T_CHECK_INT(tr_kill(pick(i)), 0);
    }
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 1000 && value.n != REFS; k++) {
            T_CHECK_INT(tr_sleep(TR_MS), 0);
            T_CHECK_INT(tr_ask(watchers[i], TR_SECOND, &value, ta_get), 0);
        }
        T_CHECK_INT(value.n, REFS);
        T_CHECK_INT(tr_sleep(2 * TR_MS), 0);
        T_CHECK_INT(tr_ask(watchers[i], TR_SECOND, &value, ta_get), 0);
        T_CHECK_INT(value.n, REFS);
        value.n = 0;
    }
    return 0;
}

static int fuzz_task(void *arg) {
    fish source = {.random = *(uint64_t *)arg};
    ta_count_letters();
    T_TASK_REQUIRE(pour(&source) == 0);
    TA_UNTIL(atomic_load(&sea.handled) + atomic_load(&letters.count) >= atomic_load(&sea.sent) &&
             atomic_load(&sea.asks) == atomic_load(&sea.answers));
    T_CHECK_INT(tr_sleep(10 * TR_MS), 0);
    T_CHECK_INT(atomic_load(&sea.handled) + atomic_load(&letters.count), atomic_load(&sea.sent));
    T_CHECK_INT(atomic_load(&sea.asks), atomic_load(&sea.answers));
    T_CHECK_INT(atomic_load(&sea.overlaps), 0);
    return check_downs();
}

static void run_seed(uint64_t seed) {
    struct tr_run_opts opts = {.arg = &seed, .loops = 2};
    atomic_store(&sea.steps_left, 20000);
    atomic_long *counters[] = {&sea.sent,    &sea.handled, &sea.asks,    &sea.answers,
                               &sea.spawned, &sea.ended,   &sea.overlaps};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        atomic_store(counters[i], 0);
    }
    int64_t before = tri_wall_clock_ms();
    T_CHECK_INT(tr_run_with(fuzz_task, &opts), 0);
    T_CHECK(tri_wall_clock_ms() - before < 15000);
    /* One whose TR_INIT never ran ends too, killed by a cancelled spawner. */
    T_CHECK(atomic_load(&sea.ended) >= atomic_load(&sea.spawned));
    T_CHECK(atomic_load(&sea.spawned) >= REFS);
    if (t_failures() > 0) {
        T_FAIL("seed %llu: sent %ld, handled %ld, dead %ld, asks %ld, answers %ld",
               (unsigned long long)seed, atomic_load(&sea.sent), atomic_load(&sea.handled),
               atomic_load(&letters.count), atomic_load(&sea.asks), atomic_load(&sea.answers));
    }
}

T_TEST(fuzz_traffic, a_random_program_keeps_the_promises) {
    tr_log_set_sink(NULL, NULL, TR_LOG_ERROR);
    t_timeout(120);
    for (size_t i = 0; i < sizeof padding; i++) {
        padding[i] = (char)(i * 31 + 7);
    }
    for (uint64_t seed = 1; seed <= 8 && t_failures() == 0; seed++) {
        run_seed(seed);
    }
    tr_log_set_sink(NULL, NULL, TR_LOG_WARN);
}
