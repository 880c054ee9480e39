/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_loop_threads.c: tr_loop_call_soon_threadsafe(), the door for other threads.
 */
#include "support/t_task.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { POSTS = 20000, POSTERS = 3 };

struct poster {
    tr_loop *loop;
    pthread_t thread;
    int next; /* loop's thread: the number that must come next */
};

struct post {
    struct poster *poster;
    int number;
};

static void post_arrived(void *arg) {
    struct post *post = arg;
    if (post->poster->next == post->number) { /* otherwise it stays behind, and that is checked */
        post->poster->next++;
    }
    free(post);
}

static void *post_numbers(void *arg) {
    struct poster *poster = arg;
    for (int i = 0; i < POSTS; i++) {
        struct post *post = malloc(sizeof *post);
        *post = (struct post){poster, i};
        T_CHECK_INT(tr_loop_call_soon_threadsafe(poster->loop, post_arrived, post), 0);
        if (i % 1000 == 0) {
            sched_yield(); /* let the loop go to sleep now and then */
        }
    }
    return NULL;
}

T_TASK_TEST(loop_threads, threadsafe_keeps_each_threads_order) {
    struct poster posters[POSTERS];
    t_timeout(60);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = tr_loop_running()};
        T_TASK_REQUIRE(pthread_create(&posters[i].thread, NULL, post_numbers, &posters[i]) == 0);
    }
    for (int i = 0; i < POSTERS; i++) {
        while (posters[i].next < POSTS) {
            T_TASK_REQUIRE(tr_sleep(TR_MS) == 0);
        }
        pthread_join(posters[i].thread, NULL);
        T_CHECK_INT(posters[i].next, POSTS);
    }
    return 0;
}

static void set_future(void *arg) {
    tr_future_set(arg, 7, NULL);
}

static void *wake_once(void *arg) {
    tr_future *future = ((void **)arg)[0];
    usleep(10000); /* the loop sleeps by now, without a timer */
    T_CHECK_INT(tr_loop_call_soon_threadsafe(((void **)arg)[1], set_future, future), 0);
    return NULL;
}

T_TASK_TEST(loop_threads, threadsafe_wakes_a_sleeping_loop) {
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        tr_future *future;
        T_TASK_REQUIRE(tr_future_new(tr_loop_running(), &future) == 0);
        void *args[2] = {future, tr_loop_running()};
        T_TASK_REQUIRE(pthread_create(&thread, NULL, wake_once, args) == 0);
        T_CHECK_INT(tr_await(future), 7);
        pthread_join(thread, NULL);
        tr_future_unref(future);
    }
    return 0;
}

static int give_loop(void *arg) {
    *(tr_loop **)arg = tr_loop_running();
    return 0;
}

static void must_not_run(void *arg) {
    (void)arg;
    T_FAIL("ran after the end of its loop");
}

T_TEST(loop_threads, late_caller_gets_an_error) {
    tr_loop *loop = NULL;
    t_run_task(give_loop, &loop, 1);
    T_REQUIRE(loop != NULL);
    T_CHECK_INT(tr_loop_call_soon_threadsafe(loop, must_not_run, NULL), TR_ESHUTDOWN);
    t_run_task(give_loop, &loop, 1);
}

/* Threads that post while loops end: each post runs, or is refused, or is torn down with the
 * loop; nothing is leaked and nothing crashes. */
struct hammer {
    _Atomic(tr_loop *) loop;
    atomic_bool is_stopped;
};

static void do_nothing(void *arg) {
    (void)arg;
}

static void *post_for_ever(void *arg) {
    struct hammer *hammer = arg;
    for (int i = 0; !atomic_load(&hammer->is_stopped); i++) {
        if (i % 64 == 0) {
            usleep(50); /* the loop must keep up: nothing bounds the inbox */
        }
        tr_loop *loop = atomic_load(&hammer->loop);
        if (loop != NULL) {
            int err = tr_loop_call_soon_threadsafe(loop, do_nothing, NULL);
            T_CHECK(err == 0 || err == TR_ESHUTDOWN);
        }
    }
    return NULL;
}

static int expose_loop(void *arg) {
    struct hammer *hammer = arg;
    atomic_store(&hammer->loop, tr_loop_running());
    return tr_sleep(200 * TR_US);
}

T_TEST(loop_threads, posts_race_with_the_end) {
    struct hammer hammer = {.is_stopped = false};
    pthread_t thread;
    t_timeout(120);
    T_REQUIRE(pthread_create(&thread, NULL, post_for_ever, &hammer) == 0);
    for (int i = 0; i < 300; i++) {
        T_CHECK_INT(tr_run(expose_loop, &hammer), 0);
    }
    atomic_store(&hammer.is_stopped, true);
    pthread_join(thread, NULL);
}
