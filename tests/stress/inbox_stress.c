/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox_stress: producers on threads of their own against one consumer that sleeps whenever the
 * inbox is empty.
 *
 *     inbox_stress [--messages N] [--producers P] [--seed S]
 *
 * Checks that no message is lost, doubled or overtaken by a later one of its producer, that
 * there are no more wake-up writes than parks, that the consumer never sleeps while work waits
 * (nothing moves for 5 s: failed), and, in many short rounds, that a close in mid-stream refuses
 * exactly what it doesn't hand out. The acceptance run is --messages 100000000.
 */
#include "inbox_internal.h"

#include <troupe/core/error.h>

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PRODUCERS_MAX = 64, RING = 4096, CHAIN_MAX = 16, STALL_SECONDS = 5, CLOSE_ROUNDS = 300 };

struct message {
    tri_node node; /* first: a node is its message */
    unsigned producer;
    uint64_t sequence;
};

struct producer {
    pthread_t thread;
    struct stress *stress;
    uint64_t random;
    uint64_t to_send;
    unsigned index;
    uint64_t accepted; /* read after the join */
    /* (A) By the consumer: so many ring entries are free again. */
    _Alignas(128) atomic_uint_fast64_t received;
    struct message ring[RING];
};

struct stress {
    tri_inbox inbox;
    struct producer *producers;
    unsigned producer_count;
    uint64_t random;
    uint64_t total;
    uint64_t close_after; /* received messages; UINT64_MAX: close when all are there */
    uint64_t parks;
    uint64_t wakes; /* eventfd writes seen */
    uint64_t batches;
    atomic_uint_fast64_t received; /* (A) for the watchdog */
    atomic_bool is_done;           /* (A) by the consumer */
};

static _Noreturn void fail(const char *what, unsigned producer, uint64_t number) {
    printf("inbox_stress: FAILED: %s (producer %u, %" PRIu64 ")\n", what, producer, number);
    fflush(stdout);
    abort();
}

static uint64_t draw(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- producers ----------------------------------------------------------- */

static void *produce(void *arg) {
    struct producer *p = arg;
    uint64_t sent = 0;
    while (sent < p->to_send) {
        uint64_t size = 1 + draw(&p->random) % CHAIN_MAX;
        size = size < p->to_send - sent ? size : p->to_send - sent;
        /* Acquire: pairs with the consumer's release, after which it no longer reads the node. */
        while (sent + size - atomic_load_explicit(&p->received, memory_order_acquire) > RING) {
            sched_yield();
            if (atomic_load_explicit(&p->stress->is_done, memory_order_acquire)) {
                break; /* closed: nothing will be freed, and the push below is refused */
            }
        }
        tri_node *newest = NULL;
        tri_node *oldest = NULL;
        for (uint64_t i = 0; i < size; i++) {
            struct message *message = &p->ring[(sent + i) % RING];
            message->producer = p->index;
            message->sequence = sent + i;
            message->node.next = newest;
            newest = &message->node;
            oldest = oldest == NULL ? newest : oldest;
        }
        int err = tri_inbox_push(&p->stress->inbox, newest, oldest);
        if (err == TR_ESHUTDOWN) {
            break;
        }
        if (err != 0) {
            fail("push returned an unknown error", p->index, sent);
        }
        sent += size;
        if (draw(&p->random) % 64 == 0) {
            sched_yield();
        }
    }
    p->accepted = sent;
    return NULL;
}

/* ---- the consumer -------------------------------------------------------- */

static uint64_t consume_list(struct stress *s, tri_node *node) {
    uint64_t count = 0;
    while (node != NULL) {
        struct message *message = (struct message *)(void *)node;
        node = node->next; /* before the release: the producer may use it again */
        struct producer *p = &s->producers[message->producer];
        /* Relaxed: only this thread writes it. */
        uint64_t expected = atomic_load_explicit(&p->received, memory_order_relaxed);
        if (message->sequence != expected) {
            fail(message->sequence < expected ? "doubled" : "lost or overtaken", p->index,
                 message->sequence);
        }
        /* Release: pairs with the producer's acquire. */
        atomic_store_explicit(&p->received, expected + 1, memory_order_release);
        count++;
    }
    return count;
}

static void read_wakes(struct stress *s) {
    uint64_t count = 0;
    if (read(s->inbox.wake_fd, &count, sizeof count) == (ssize_t)sizeof count) {
        s->wakes += count;
    }
}

static void *consume(void *arg) {
    struct stress *s = arg;
    uint64_t received = 0;
    while (received < s->total && received < s->close_after) {
        tri_node *list = tri_inbox_take(&s->inbox);
        if (list != NULL) {
            received += consume_list(s, list);
            s->batches++;
            atomic_store_explicit(&s->received, received, memory_order_relaxed);
            continue;
        }
        if (!tri_inbox_park(&s->inbox)) {
            continue;
        }
        s->parks++;
        if (draw(&s->random) % 16 != 0) { /* now and then what a time-out looks like */
            struct pollfd pollfd = {.fd = s->inbox.wake_fd, .events = POLLIN};
            if (poll(&pollfd, 1, STALL_SECONDS * 1000) == 0) {
                fail("asleep, and nobody woke the consumer", 0, received);
            }
            read_wakes(s);
        }
        tri_inbox_unpark(&s->inbox);
    }
    received += consume_list(s, tri_inbox_close(&s->inbox));
    atomic_store_explicit(&s->received, received, memory_order_relaxed);
    /* Release: pairs with the acquire of producers that wait for room, and of the watchdog. */
    atomic_store_explicit(&s->is_done, true, memory_order_release);
    return NULL;
}

/* ---- rounds -------------------------------------------------------------- */

static void watch(struct stress *s) {
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    uint64_t last = UINT64_MAX;
    for (int idle_ms = 0; idle_ms < 2 * STALL_SECONDS * 1000; idle_ms++) {
        if (atomic_load_explicit(&s->is_done, memory_order_acquire)) {
            return;
        }
        uint64_t received = atomic_load_explicit(&s->received, memory_order_relaxed);
        idle_ms = received != last ? 0 : idle_ms;
        last = received;
        (void)nanosleep(&pause, NULL);
    }
    fail("nothing moves", 0, last);
}

static void run_round(struct stress *s, uint64_t messages, uint64_t close_after) {
    pthread_t consumer;
    uint64_t accepted = 0;
    s->total = messages / s->producer_count * s->producer_count;
    s->close_after = close_after;
    atomic_store(&s->received, 0);
    atomic_store(&s->is_done, false);
    tri_inbox_open(&s->inbox);
    for (unsigned i = 0; i < s->producer_count; i++) {
        struct producer *p = &s->producers[i];
        p->stress = s;
        p->index = i;
        p->random = draw(&s->random);
        p->to_send = messages / s->producer_count;
        atomic_store(&p->received, 0);
        if (pthread_create(&p->thread, NULL, produce, p) != 0) {
            fail("no thread", i, 0);
        }
    }
    if (pthread_create(&consumer, NULL, consume, s) != 0) {
        fail("no thread", 0, 0);
    }
    watch(s);
    (void)pthread_join(consumer, NULL);
    for (unsigned i = 0; i < s->producer_count; i++) {
        (void)pthread_join(s->producers[i].thread, NULL);
        accepted += s->producers[i].accepted;
        if (s->producers[i].accepted != atomic_load(&s->producers[i].received)) {
            fail("accepted but never received", i, s->producers[i].accepted);
        }
    }
    read_wakes(s);
    if (accepted != atomic_load(&s->received)) {
        fail("received what was refused", 0, accepted);
    }
    if (s->wakes > s->parks) {
        fail("more wake-up writes than parks", 0, s->wakes);
    }
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

int main(int argc, char **argv) {
    static struct stress s;
    uint64_t messages = 10 * 1000 * 1000;
    uint64_t seed = 1;
    s.producer_count = 4;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--messages") == 0) {
            messages = value;
        } else if (strcmp(argv[i], "--producers") == 0 && value > 0 && value <= PRODUCERS_MAX) {
            s.producer_count = (unsigned)value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = value;
        } else {
            fprintf(stderr, "usage: inbox_stress [--messages N] [--producers P] [--seed S]\n");
            return 2;
        }
    }
    s.random = seed;
    void *memory = NULL;
    if (posix_memalign(&memory, 128, s.producer_count * sizeof *s.producers) != 0 ||
        tri_inbox_init(&s.inbox) < 0) {
        fail("set-up", 0, 0);
    }
    s.producers = memory;
    memset(s.producers, 0, s.producer_count * sizeof *s.producers);

    struct timespec start;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    run_round(&s, messages, UINT64_MAX);
    double seconds = seconds_since(&start);
    uint64_t total = s.total;
    uint64_t parks = s.parks;
    uint64_t wakes = s.wakes;
    uint64_t batches = s.batches;
    for (int round = 0; round < CLOSE_ROUNDS; round++) {
        run_round(&s, 40000, draw(&s.random) % 20000);
    }
    printf("inbox_stress: ok: %" PRIu64 " messages, %u producers, %.2f s (%.1f M/s), %" PRIu64
           " batches, %" PRIu64 " parks, %" PRIu64 " wake-up writes; %d rounds with a close\n",
           total, s.producer_count, seconds, (double)total / seconds / 1e6, batches, parks, wakes,
           CLOSE_ROUNDS);
    free(s.producers);
    (void)close(s.inbox.wake_fd);
    return 0;
}
