/* SPDX-License-Identifier: Apache-2.0 */
/* The inbox on one thread, and shortly on several; tests/stress/inbox_stress.c does the rest. */
#include "inbox_internal.h"

#include <troupe/core/error.h>

#include "t.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static void begin(tri_inbox *inbox) {
    T_REQUIRE(tri_inbox_init(inbox) == 0);
    tri_inbox_open(inbox);
}

static void end(tri_inbox *inbox) {
    (void)tri_inbox_close(inbox);
    close(inbox->wake_fd); /* the library never does */
}

/* What has been written to the eventfd since the last call. */
static uint64_t wakes(tri_inbox *inbox) {
    uint64_t count = 0;
    return read(inbox->wake_fd, &count, sizeof count) == (ssize_t)sizeof count ? count : 0;
}

static int push_one(tri_inbox *inbox, tri_node *node) {
    return tri_inbox_push(inbox, node, node);
}

T_TEST(inbox, is_closed_until_it_is_opened) {
    tri_inbox inbox;
    tri_node node = {0};
    T_REQUIRE(tri_inbox_init(&inbox) == 0);
    T_CHECK_INT(push_one(&inbox, &node), TR_ESHUTDOWN);
    T_CHECK(!tri_inbox_has_work(&inbox));
    T_CHECK(tri_inbox_take(&inbox) == NULL);
    tri_inbox_open(&inbox);
    T_CHECK_INT(push_one(&inbox, &node), 0);
    end(&inbox);
}

T_TEST(inbox, take_returns_nodes_oldest_first) {
    tri_inbox inbox;
    tri_node node[3];
    begin(&inbox);
    for (int i = 0; i < 3; i++) {
        T_CHECK_INT(push_one(&inbox, &node[i]), 0);
    }
    T_CHECK(tri_inbox_has_work(&inbox));
    T_CHECK(tri_inbox_take(&inbox) == &node[0]);
    T_CHECK(node[0].next == &node[1]);
    T_CHECK(node[1].next == &node[2]);
    T_CHECK(node[2].next == NULL);
    T_CHECK(!tri_inbox_has_work(&inbox));
    T_CHECK(tri_inbox_take(&inbox) == NULL);
    end(&inbox);
}

T_TEST(inbox, a_chain_keeps_its_place_between_others) {
    tri_inbox inbox;
    tri_node node[5];
    begin(&inbox);
    T_CHECK_INT(push_one(&inbox, &node[0]), 0);
    node[3].next = &node[2];
    node[2].next = &node[1];
    T_CHECK_INT(tri_inbox_push(&inbox, &node[3], &node[1]), 0);
    T_CHECK_INT(push_one(&inbox, &node[4]), 0);
    tri_node *at = tri_inbox_take(&inbox);
    for (int i = 0; i < 5; i++) {
        T_CHECK(at == &node[i]);
        at = node[i].next;
    }
    T_CHECK(at == NULL);
    end(&inbox);
}

T_TEST(inbox, park_refuses_when_work_is_there) {
    tri_inbox inbox;
    tri_node node;
    begin(&inbox);
    T_CHECK_INT(push_one(&inbox, &node), 0);
    T_CHECK(!tri_inbox_park(&inbox));
    T_CHECK(tri_inbox_take(&inbox) == &node);
    T_CHECK(tri_inbox_park(&inbox));
    end(&inbox);
}

T_TEST(inbox, a_push_to_an_owner_that_is_awake_writes_nothing) {
    tri_inbox inbox;
    tri_node node;
    begin(&inbox);
    T_CHECK_INT(push_one(&inbox, &node), 0);
    T_CHECK_INT(wakes(&inbox), 0);
    end(&inbox);
}

T_TEST(inbox, only_the_first_push_after_a_park_writes_the_eventfd) {
    tri_inbox inbox;
    tri_node node[3];
    begin(&inbox);
    for (int round = 0; round < 2; round++) {
        T_CHECK(tri_inbox_park(&inbox));
        for (int i = 0; i < 3; i++) {
            T_CHECK_INT(push_one(&inbox, &node[i]), 0);
        }
        T_CHECK_INT(wakes(&inbox), 1);
        tri_inbox_unpark(&inbox);
        T_CHECK(tri_inbox_take(&inbox) == &node[0]);
    }
    end(&inbox);
}

T_TEST(inbox, after_an_unpark_pushes_write_nothing) {
    tri_inbox inbox;
    tri_node node;
    begin(&inbox);
    T_CHECK(tri_inbox_park(&inbox));
    tri_inbox_unpark(&inbox);
    T_CHECK(tri_inbox_take(&inbox) == NULL);
    T_CHECK_INT(push_one(&inbox, &node), 0);
    T_CHECK_INT(wakes(&inbox), 0);
    T_CHECK(tri_inbox_take(&inbox) == &node);
    end(&inbox);
}

/* take() must not wipe the tag out, or the next push would wake nobody. */
T_TEST(inbox, a_take_while_parked_leaves_it_parked) {
    tri_inbox inbox;
    tri_node node;
    begin(&inbox);
    T_CHECK(tri_inbox_park(&inbox));
    T_CHECK(!tri_inbox_has_work(&inbox));
    T_CHECK(tri_inbox_take(&inbox) == NULL);
    T_CHECK_INT(push_one(&inbox, &node), 0);
    T_CHECK_INT(wakes(&inbox), 1);
    end(&inbox);
}

T_TEST(inbox, close_hands_out_what_was_left_and_refuses_the_rest) {
    tri_inbox inbox;
    tri_node node[3];
    tri_node late[2] = {{0}, {0}};
    begin(&inbox);
    for (int i = 0; i < 3; i++) {
        T_CHECK_INT(push_one(&inbox, &node[i]), 0);
    }
    T_CHECK(tri_inbox_close(&inbox) == &node[0]);
    T_CHECK(node[2].next == NULL);
    late[1].next = &late[0];
    T_CHECK_INT(tri_inbox_push(&inbox, &late[1], &late[0]), TR_ESHUTDOWN);
    T_CHECK(late[1].next == &late[0]);
    T_CHECK(!tri_inbox_has_work(&inbox));
    T_CHECK(!tri_inbox_park(&inbox));
    T_CHECK_INT(wakes(&inbox), 0);
    end(&inbox);
}

T_TEST(inbox, a_closed_parked_inbox_has_nothing_left) {
    tri_inbox inbox;
    begin(&inbox);
    T_CHECK(tri_inbox_park(&inbox));
    T_CHECK(tri_inbox_close(&inbox) == NULL);
    tri_inbox_unpark(&inbox);
    tri_node node;
    T_CHECK_INT(push_one(&inbox, &node), TR_ESHUTDOWN);
    end(&inbox);
}

T_TEST(inbox, can_be_opened_again) {
    tri_inbox inbox;
    tri_node node;
    begin(&inbox);
    T_CHECK(tri_inbox_close(&inbox) == NULL);
    tri_inbox_open(&inbox);
    T_CHECK_INT(push_one(&inbox, &node), 0);
    T_CHECK(tri_inbox_take(&inbox) == &node);
    end(&inbox);
}

T_DEATH_TEST_MSG(inbox, opening_an_open_one_is_a_bug, SIGABRT, "TAG_CLOSED") {
    tri_inbox inbox;
    begin(&inbox);
    tri_inbox_open(&inbox);
}

/* An edge-triggered poller never reads the counter; push must neither block nor spin. */
T_TEST(inbox, a_full_wake_counter_still_wakes) {
    tri_inbox inbox;
    tri_node node;
    uint64_t most = UINT64_MAX - 1;
    begin(&inbox);
    T_REQUIRE(write(inbox.wake_fd, &most, sizeof most) == (ssize_t)sizeof most);
    T_CHECK(tri_inbox_park(&inbox));
    T_CHECK_INT(push_one(&inbox, &node), 0);
    struct pollfd pollfd = {.fd = inbox.wake_fd, .events = POLLIN};
    T_CHECK_INT(poll(&pollfd, 1, 0), 1);
    T_CHECK_INT(wakes(&inbox), 1);
    end(&inbox);
}

T_TEST(inbox, push_leaves_errno_alone) {
    tri_inbox inbox;
    tri_node node;
    uint64_t most = UINT64_MAX - 1;
    begin(&inbox);
    T_REQUIRE(write(inbox.wake_fd, &most, sizeof most) == (ssize_t)sizeof most);
    T_CHECK(tri_inbox_park(&inbox));
    errno = ENOTTY;
    T_CHECK_INT(push_one(&inbox, &node), 0);
    T_CHECK_INT(errno, ENOTTY);
    end(&inbox);
}

/* ---- threads -------------------------------------------------------------- */

enum { THREADS = 3, EACH = 20000 };

struct numbered {
    tri_node node;
    int thread;
    int number;
};

static tri_inbox shared;
static struct numbered numbered[THREADS][EACH];

static void *push_all(void *arg) {
    struct numbered *mine = arg;
    for (int i = 0; i < EACH; i++) {
        T_CHECK_INT(push_one(&shared, &mine[i].node), 0);
    }
    return NULL;
}

T_TEST(inbox, several_threads_lose_nothing_and_keep_their_order) {
    pthread_t threads[THREADS];
    int next[THREADS] = {0};
    int received = 0;
    begin(&shared);
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < EACH; i++) {
            numbered[t][i] = (struct numbered){.thread = t, .number = i};
        }
        T_REQUIRE(pthread_create(&threads[t], NULL, push_all, numbered[t]) == 0);
    }
    while (received < THREADS * EACH) {
        for (tri_node *node = tri_inbox_take(&shared); node != NULL; node = node->next) {
            struct numbered *at = (struct numbered *)(void *)node;
            T_CHECK_INT(at->number, next[at->thread]);
            next[at->thread] = at->number + 1;
            received++;
        }
        if (tri_inbox_park(&shared)) {
            struct pollfd pollfd = {.fd = shared.wake_fd, .events = POLLIN};
            if (received < THREADS * EACH) {
                T_CHECK_INT(poll(&pollfd, 1, 10000), 1);
            }
            (void)wakes(&shared);
            tri_inbox_unpark(&shared);
        }
    }
    for (int t = 0; t < THREADS; t++) {
        (void)pthread_join(threads[t], NULL);
    }
    T_CHECK(tri_inbox_close(&shared) == NULL);
    end(&shared);
}
