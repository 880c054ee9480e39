/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_poller.c: the libevent poller against real descriptors, threads and the real clock.
 */
#include "seam_internal.h"

#include "support/t.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct watch {
    int calls;
    int ready; /* all bits so far */
};

struct fixture {
    const struct tr_poller_ops *ops;
    void *poller;
    int wake_fd;
};

static tr_time clock_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (tr_time)ts.tv_sec * TR_SECOND + ts.tv_nsec;
}

static void note(void *arg, int ready) {
    struct watch *w = arg;
    w->calls++;
    w->ready |= ready;
}

static struct fixture begin(void) {
    struct fixture f = {.ops = &tri_poller_libevent};
    f.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    T_REQUIRE(f.wake_fd >= 0);
    T_REQUIRE(f.ops->open(NULL, f.wake_fd, &f.poller) == 0);
    return f;
}

static void end(struct fixture *f) {
    f->ops->close(f->poller);
    close(f->wake_fd);
}

static int poll_once(struct fixture *f) {
    return f->ops->poll(f->poller, clock_now(), 0);
}

static void wake(int fd) {
    const uint64_t one = 1;
    T_CHECK(write(fd, &one, sizeof one) == (ssize_t)sizeof one);
}

T_TEST(poller, pipe_reports_edges) {
    struct fixture f = begin();
    struct watch reader = {0};
    struct watch writer = {0};
    void *reader_reg = NULL;
    void *writer_reg = NULL;
    int fds[2];
    T_REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);

    T_CHECK_INT(f.ops->add(f.poller, fds[0], note, &reader, &reader_reg), 0);
    T_CHECK_INT(f.ops->add(f.poller, fds[1], note, &writer, &writer_reg), 0);
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(reader.calls, 0);
    T_CHECK_INT(writer.calls, 1); /* ready before it was added: reported */
    T_CHECK_INT(writer.ready, TR_WRITABLE);

    T_CHECK(write(fds[1], "a", 1) == 1);
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(reader.calls, 1);
    T_CHECK_INT(reader.ready, TR_READABLE);
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(reader.calls, 1); /* still unread, but no new edge */
    T_CHECK(write(fds[1], "b", 1) == 1);
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(reader.calls, 2);

    /* The end of the stream wakes both kinds of waiter. */
    close(fds[1]);
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(reader.calls, 3);
    T_CHECK_INT(reader.ready, TR_READABLE | TR_WRITABLE);

    f.ops->remove(f.poller, reader_reg);
    f.ops->remove(f.poller, writer_reg);
    close(fds[0]);
    end(&f);
}

T_TEST(poller, one_registration_covers_both_directions) {
    struct fixture f = begin();
    struct watch w = {0};
    void *reg = NULL;
    int fds[2];
    T_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    T_CHECK(write(fds[1], "a", 1) == 1);

    T_CHECK_INT(f.ops->add(f.poller, fds[0], note, &w, &reg), 0);
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(w.calls, 1);
    T_CHECK_INT(w.ready, TR_READABLE | TR_WRITABLE);

    f.ops->remove(f.poller, reg);
    close(fds[0]);
    close(fds[1]);
    end(&f);
}

static void *wake_later(void *arg) {
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
    wake(*(int *)arg);
    return NULL;
}

T_TEST(poller, wakes_from_another_thread) {
    struct fixture f = begin();

    /* The eventfd is never read: every round must be a fresh edge. */
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        tr_time start = clock_now();
        T_REQUIRE(pthread_create(&thread, NULL, wake_later, &f.wake_fd) == 0);
        T_CHECK_INT(f.ops->poll(f.poller, start, TR_FOREVER), 0);
        T_CHECK(clock_now() - start >= 20 * TR_MS);
        pthread_join(thread, NULL);
    }
    end(&f);
}

T_TEST(poller, keeps_a_wake_that_came_first) {
    struct fixture f = begin();

    wake(f.wake_fd);
    wake(f.wake_fd);
    T_CHECK_INT(f.ops->poll(f.poller, clock_now(), TR_FOREVER), 0);

    /* Both writes were that one edge, so this waits for its deadline. */
    tr_time start = clock_now();
    T_CHECK_INT(f.ops->poll(f.poller, start, start + 10 * TR_MS), 0);
    T_CHECK(clock_now() - start >= 10 * TR_MS);
    end(&f);
}

T_TEST(poller, deadline_is_never_early) {
    struct fixture f = begin();
    static const tr_time waits[] = {50 * TR_US, 300 * TR_US, 2 * TR_MS, 15 * TR_MS, TR_MS};

    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        tr_time start = clock_now();
        T_CHECK_INT(f.ops->poll(f.poller, start, start + waits[i]), 0);
        tr_time waited = clock_now() - start;
        T_CHECK(waited >= waits[i]);
        T_CHECK(waited < waits[i] + TR_SECOND);
    }
    end(&f);
}

T_TEST(poller, deadline_may_have_passed) {
    struct fixture f = begin();
    tr_time now = clock_now();

    T_CHECK_INT(f.ops->poll(f.poller, now, now), 0);
    T_CHECK_INT(f.ops->poll(f.poller, now, now - TR_SECOND), 0);
    /* The caller's clock is behind the real one: the timer fires at once. */
    T_CHECK_INT(f.ops->poll(f.poller, now - 3 * TR_SECOND, now - 2 * TR_SECOND), 0);
    /* The same deadline again after it fired must not wait forever. */
    T_CHECK_INT(f.ops->poll(f.poller, now - 3 * TR_SECOND, now - 2 * TR_SECOND), 0);
    T_CHECK(clock_now() - now < TR_SECOND);
    end(&f);
}

T_TEST(poller, expired_timer_does_not_wake_twice) {
    struct fixture f = begin();
    pthread_t thread;
    tr_time start = clock_now();

    T_CHECK_INT(f.ops->poll(f.poller, start, start + TR_MS), 0);
    start = clock_now();
    T_REQUIRE(pthread_create(&thread, NULL, wake_later, &f.wake_fd) == 0);
    T_CHECK_INT(f.ops->poll(f.poller, start, TR_FOREVER), 0);
    T_CHECK(clock_now() - start >= 20 * TR_MS);
    pthread_join(thread, NULL);
    end(&f);
}

T_TEST(poller, deadline_moves_both_ways) {
    struct fixture f = begin();
    tr_time start = clock_now();

    wake(f.wake_fd);
    T_CHECK_INT(f.ops->poll(f.poller, start, start + TR_SECOND * 60), 0);
    T_CHECK_INT(f.ops->poll(f.poller, start, start + 5 * TR_MS), 0);
    T_CHECK(clock_now() - start >= 5 * TR_MS);
    T_CHECK(clock_now() - start < TR_SECOND * 30);

    start = clock_now();
    wake(f.wake_fd);
    T_CHECK_INT(f.ops->poll(f.poller, start, start + 5 * TR_MS), 0);
    T_CHECK_INT(f.ops->poll(f.poller, start, start + 25 * TR_MS), 0);
    T_CHECK(clock_now() - start >= 25 * TR_MS);
    end(&f);
}

struct remover {
    struct fixture *f;
    void *regs[2]; /* removed by whichever is reported first */
    int calls;
};

static void remove_both(void *arg, int ready) {
    struct remover *r = arg;
    (void)ready;
    r->calls++;
    for (size_t i = 0; i < 2; i++) {
        r->f->ops->remove(r->f->poller, r->regs[i]);
    }
}

T_TEST(poller, remove_inside_a_callback) {
    struct fixture f = begin();
    struct remover r = {.f = &f};
    int fds[2][2];

    for (size_t i = 0; i < 2; i++) {
        T_REQUIRE(pipe2(fds[i], O_NONBLOCK | O_CLOEXEC) == 0);
        T_CHECK(write(fds[i][1], "a", 1) == 1);
        T_CHECK_INT(f.ops->add(f.poller, fds[i][0], remove_both, &r, &r.regs[i]), 0);
    }
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(r.calls, 1); /* the other was ready in the same pass, and is not reported */
    for (size_t i = 0; i < 2; i++) {
        T_CHECK(write(fds[i][1], "b", 1) == 1);
    }
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(r.calls, 1);

    for (size_t i = 0; i < 2; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
    end(&f);
}

T_TEST(poller, add_reports_the_systems_error) {
    struct fixture f = begin();
    struct watch w = {0};
    void *reg = &w;

    T_CHECK_INT(f.ops->add(f.poller, -1, note, &w, &reg), -EBADF);

    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    T_REQUIRE(fd >= 0);
    close(fd);
    T_CHECK_INT(f.ops->add(f.poller, fd, note, &w, &reg), -EBADF);

    FILE *regular = tmpfile();
    T_REQUIRE(regular != NULL);
    T_CHECK_INT(f.ops->add(f.poller, fileno(regular), note, &w, &reg), -EPERM);
    fclose(regular);

    T_CHECK(reg == &w); /* written on success only */
    T_CHECK_INT(poll_once(&f), 0);
    T_CHECK_INT(w.calls, 0);
    end(&f);
}

T_TEST(poller, a_number_can_be_used_again) {
    struct fixture f = begin();
    struct watch old = {0};
    void *reg = NULL;
    int fds[2];
    T_REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    int number = fds[0];
    T_CHECK_INT(f.ops->add(f.poller, number, note, &old, &reg), 0);

    for (int round = 0; round < 3; round++) {
        struct watch fresh = {0};
        f.ops->remove(f.poller, reg);
        close(fds[0]);
        close(fds[1]);
        T_REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
        T_CHECK_INT(fds[0], number);
        T_CHECK_INT(f.ops->add(f.poller, number, note, &fresh, &reg), 0);
        T_CHECK(write(fds[1], "a", 1) == 1);
        T_CHECK_INT(poll_once(&f), 0);
        T_CHECK_INT(fresh.calls, 1);
    }
    T_CHECK_INT(old.calls, 0);

    f.ops->remove(f.poller, reg);
    close(fds[0]);
    close(fds[1]);
    end(&f);
}

T_TEST(poller, close_frees_what_is_left) {
    struct fixture f = begin();
    struct watch w = {0};
    void *regs[3];
    int fds[3][2];

    for (size_t i = 0; i < 3; i++) {
        T_REQUIRE(pipe2(fds[i], O_NONBLOCK | O_CLOEXEC) == 0);
        T_CHECK_INT(f.ops->add(f.poller, fds[i][0], note, &w, &regs[i]), 0);
    }
    f.ops->remove(f.poller, regs[1]); /* the middle of the list */
    end(&f);                          /* LeakSanitizer looks for the other two */
    for (size_t i = 0; i < 3; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

T_TEST(poller, works_without_a_wake_descriptor) {
    void *poller = NULL;
    T_REQUIRE(tri_poller_libevent.open(NULL, -1, &poller) == 0);
    tr_time start = clock_now();
    T_CHECK_INT(tri_poller_libevent.poll(poller, start, start + TR_MS), 0);
    T_CHECK(clock_now() - start >= TR_MS);
    tri_poller_libevent.close(poller);
}

T_TEST(poller, many_ready_at_once) {
    enum { PIPES = 200 };
    struct fixture f = begin();
    static struct watch watches[PIPES];
    static void *regs[PIPES];
    static int fds[PIPES][2];

    memset(watches, 0, sizeof watches);
    for (size_t i = 0; i < PIPES; i++) {
        T_REQUIRE(pipe2(fds[i], O_NONBLOCK | O_CLOEXEC) == 0);
        T_CHECK_INT(f.ops->add(f.poller, fds[i][0], note, &watches[i], &regs[i]), 0);
        T_CHECK(write(fds[i][1], "a", 1) == 1);
    }
    /* libevent starts with room for 32 events a pass. */
    for (int pass = 0; pass < 16; pass++) {
        T_CHECK_INT(poll_once(&f), 0);
    }
    for (size_t i = 0; i < PIPES; i++) {
        T_CHECK_INT(watches[i].calls, 1);
        f.ops->remove(f.poller, regs[i]);
        close(fds[i][0]);
        close(fds[i][1]);
    }
    end(&f);
}
