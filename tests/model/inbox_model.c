/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox_model: every interleaving of two producers and the owner of an inbox, on a machine whose
 * stores arrive late.
 *
 * DESIGN
 *
 * The protocol of core/src/inbox.c is written down once more as small steps on a model of memory.
 * Each thread has a buffer of stores that others don't see yet. With TSO (x86) they leave in order;
 * with PSO stores to different places leave in any order. A read-modify-write acts on memory at
 * once; one with release, or a fence, first waits until the thread's own buffer is empty, a relaxed
 * one does not. (Loads are not reordered: the acquire side is argued in inbox.c.) A search over
 * all states, each visited once, runs every step that is possible in each.
 *
 * Looked for: a consumer that sleeps for ever while work waits (no step is possible), nodes lost,
 * doubled, overtaken or read before they are linked, a refused push whose node arrives, more
 * wake-up writes than parks.
 *
 * Who checks the checker: the same search must find the known mistakes. A parked flag beside the
 * head without a fence loses a wake-up, with one it doesn't; a push without release loses nodes
 * under PSO. If one of those passes, or the real protocol fails, the exit status is 1.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 5, PUSHES = 4, PRODUCERS = 2, CONSUMER = PRODUCERS, THREADS = 3, BUFFER = 3 };
enum { EMPTY, PARKED, CLOSED, NODE };                 /* values of the head; NODE + index */
enum { GARBAGE = 0xee };                              /* a link before it is written */
enum { HEAD, FLAG, NEXT, PLACES = NEXT + NODES };     /* places in memory */
enum { P_LOAD, P_LINK, P_SWAP, P_LOAD_FLAG, P_WAKE }; /* steps of a producer */
enum { C_LOOK, C_TAKE, C_PARK, C_RECHECK, C_SLEEP, C_UNPARK, C_END }; /* of the consumer */

/* What each producer pushes: chains of nodes, numbered in its order. */
static const struct {
    uint8_t producer, oldest, newest;
} pushes[PUSHES] = {{0, 0, 0}, {0, 1, 2}, {1, 3, 3}, {1, 4, 4}};
static const uint8_t first_push[PRODUCERS + 1] = {0, 2, PUSHES};

struct variant {
    const char *name;
    bool has_flag;    /* parked stands in a place of its own */
    bool has_fence;   /* between the flag and the look at the head */
    bool has_release; /* the push's swap */
    bool is_pso;
    const char *expected; /* NULL: no failure */
};

/* Bytes only: states are compared and hashed as memory. */
struct state {
    uint8_t memory[PLACES];
    uint8_t buffer_size[THREADS];
    uint8_t buffer[THREADS][BUFFER][2]; /* place, value; oldest first, zero where unused */
    uint8_t pc[THREADS];
    uint8_t push[PRODUCERS]; /* index into pushes */
    uint8_t seen[PRODUCERS]; /* value of the head that the producer goes by */
    uint8_t wakes;           /* counter of the eventfd */
    uint8_t parks, writes, idle_wakes_left;
    uint8_t received, refused; /* a bit a node */
    uint8_t latest[PRODUCERS]; /* 1 + newest node received of each */
};

static const struct variant *variant;
static const char *failure;
static const char lost_wake[] = "asleep for ever: a wake-up was lost";
static const char early_read[] = "a link was read before it was written";

/* ---- memory -------------------------------------------------------------- */

static uint8_t load(const struct state *s, int thread, int place) {
    for (int i = s->buffer_size[thread] - 1; i >= 0; i--) {
        if (s->buffer[thread][i][0] == place) {
            return s->buffer[thread][i][1];
        }
    }
    return s->memory[place];
}

/* False: the buffer is full. */
static bool store(struct state *s, int thread, int place, uint8_t value) {
    if (s->buffer_size[thread] == BUFFER) {
        return false;
    }
    uint8_t *entry = s->buffer[thread][s->buffer_size[thread]++];
    entry[0] = (uint8_t)place;
    entry[1] = value;
    return true;
}

/* The i-th store of a thread reaches memory. */
static bool flush(struct state *s, int thread, int i) {
    uint8_t(*buffer)[2] = s->buffer[thread];
    if (i >= s->buffer_size[thread] || (i > 0 && !variant->is_pso)) {
        return false;
    }
    for (int before = 0; before < i; before++) {
        if (buffer[before][0] == buffer[i][0]) {
            return false; /* stores to one place keep their order */
        }
    }
    s->memory[buffer[i][0]] = buffer[i][1];
    memmove(buffer[i], buffer[i + 1], (size_t)(BUFFER - 1 - i) * 2);
    memset(buffer[BUFFER - 1], 0, 2);
    s->buffer_size[thread]--;
    return true;
}

/* ---- what must never happen ---------------------------------------------- */

static void must(bool cond, const char *what) {
    if (!cond && failure == NULL) {
        failure = what;
    }
}

/* Newest first, as the list lies; the owner turns it round. */
static void receive(struct state *s, uint8_t head) {
    uint8_t order[NODES];
    int count = 0;
    while (head >= NODE && failure == NULL) {
        must(head < NODE + NODES && count < NODES, early_read);
        if (failure == NULL) {
            order[count++] = (uint8_t)(head - NODE);
            head = load(s, CONSUMER, NEXT + head - NODE);
        }
    }
    while (count-- > 0 && failure == NULL) {
        uint8_t node = order[count];
        uint8_t producer = node >= pushes[first_push[1]].oldest;
        must((s->received & 1U << node) == 0, "a node was received twice");
        must(s->latest[producer] <= node, "a node was overtaken");
        s->received = (uint8_t)(s->received | 1U << node);
        s->latest[producer] = (uint8_t)(node + 1);
    }
}

/* No step is possible. To sleep is right when everything has arrived. */
static void check_end(const struct state *s) {
    bool is_complete = (s->received | s->refused) == (1U << NODES) - 1;
    must((s->received & s->refused) == 0, "a refused node was received");
    must(is_complete || s->pc[CONSUMER] == C_END, lost_wake);
    must(is_complete, "a node was lost");
}

/* ---- threads: one step; false: not possible now -------------------------- */

static bool end_push(struct state *s, int thread) {
    s->push[thread]++;
    s->seen[thread] = 0;
    s->pc[thread] = P_LOAD;
    return true;
}

static bool step_producer(struct state *s, int thread) {
    if (s->push[thread] == first_push[thread + 1]) {
        return false;
    }
    uint8_t oldest = pushes[s->push[thread]].oldest;
    uint8_t newest = pushes[s->push[thread]].newest;
    switch (s->pc[thread]) {
    case P_LOAD:
        s->seen[thread] = load(s, thread, HEAD);
        s->pc[thread] = P_LINK;
        return true;
    case P_LINK:
        if (s->seen[thread] == CLOSED) {
            s->refused = (uint8_t)(s->refused | 1U << oldest | 1U << newest);
            return end_push(s, thread);
        }
        s->pc[thread] = P_SWAP;
        if (newest != oldest && !store(s, thread, NEXT + newest, (uint8_t)(NODE + oldest))) {
            return false;
        }
        return store(s, thread, NEXT + oldest, s->seen[thread] == PARKED ? EMPTY : s->seen[thread]);
    case P_SWAP:
        if (variant->has_release && s->buffer_size[thread] > 0) {
            return false;
        }
        if (s->memory[HEAD] != s->seen[thread]) {
            s->seen[thread] = s->memory[HEAD];
            s->pc[thread] = P_LINK;
            return true;
        }
        s->memory[HEAD] = (uint8_t)(NODE + newest);
        s->pc[thread] = variant->has_flag ? P_LOAD_FLAG : P_WAKE;
        return variant->has_flag || s->seen[thread] == PARKED || end_push(s, thread);
    case P_LOAD_FLAG:
        s->pc[thread] = P_WAKE;
        return load(s, thread, FLAG) != 0 || end_push(s, thread);
    default:
        s->wakes++;
        s->writes++;
        must(variant->has_flag || s->writes <= s->parks, "more wake-up writes than parks");
        return end_push(s, thread);
    }
}

static bool step_consumer(struct state *s) {
    switch (s->pc[CONSUMER]) {
    case C_LOOK: s->pc[CONSUMER] = load(s, CONSUMER, HEAD) >= NODE ? C_TAKE : C_PARK; return true;
    case C_TAKE:
        receive(s, s->memory[HEAD]);
        s->memory[HEAD] = EMPTY;
        s->pc[CONSUMER] = C_LOOK;
        return true;
    case C_PARK:
        s->pc[CONSUMER] = variant->has_flag ? C_RECHECK : C_SLEEP;
        if (variant->has_flag) {
            return store(s, CONSUMER, FLAG, 1);
        }
        if (s->memory[HEAD] == EMPTY) {
            s->memory[HEAD] = PARKED;
            s->parks++;
        } else {
            s->pc[CONSUMER] = C_LOOK;
        }
        return true;
    case C_RECHECK: /* only with a flag */
        if (variant->has_fence && s->buffer_size[CONSUMER] > 0) {
            return false;
        }
        s->pc[CONSUMER] = load(s, CONSUMER, HEAD) >= NODE ? C_UNPARK : C_SLEEP;
        return true;
    case C_SLEEP:
        if (s->wakes == 0) {
            if (s->idle_wakes_left == 0) {
                return false;
            }
            s->idle_wakes_left--; /* a timer or a descriptor */
        }
        s->wakes = 0;
        s->pc[CONSUMER] = C_UNPARK;
        return true;
    case C_UNPARK:
        s->pc[CONSUMER] = C_LOOK;
        if (variant->has_flag) {
            return store(s, CONSUMER, FLAG, 0);
        }
        s->memory[HEAD] = s->memory[HEAD] == PARKED ? EMPTY : s->memory[HEAD];
        return true;
    default: return false;
    }
}

/* Possible whenever the consumer is awake; early: before everything has arrived. */
static bool step_close(struct state *s, bool may_be_early) {
    if (s->pc[CONSUMER] != C_LOOK || (!may_be_early && s->received != (1U << NODES) - 1)) {
        return false;
    }
    receive(s, s->memory[HEAD]);
    s->memory[HEAD] = CLOSED;
    s->pc[CONSUMER] = C_END;
    return true;
}

/* ---- the search ---------------------------------------------------------- */

enum { TABLE_SIZE = 1 << 22, STEPS = PRODUCERS + 2 + THREADS * BUFFER };

static struct state *states; /* visited; those from `done` on wait for their turn */
static uint32_t *table;      /* 1 + index into states */
static uint32_t count;

static void visit(const struct state *s) {
    const unsigned char *bytes = (const unsigned char *)s;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < sizeof *s; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    uint32_t at = (uint32_t)(hash >> 16) % TABLE_SIZE;
    while (table[at] != 0) {
        if (memcmp(&states[table[at] - 1], s, sizeof *s) == 0) {
            return;
        }
        at = (at + 1) % TABLE_SIZE;
    }
    if (count == TABLE_SIZE / 2) {
        printf("inbox_model: too many states\n");
        exit(1);
    }
    states[count] = *s;
    table[at] = ++count;
}

static bool take_step(struct state *s, int step, bool closes_early) {
    if (step < PRODUCERS) {
        return step_producer(s, step);
    }
    if (step < PRODUCERS + 2) {
        return step == PRODUCERS ? step_consumer(s) : step_close(s, closes_early);
    }
    step -= PRODUCERS + 2;
    return flush(s, step / BUFFER, step % BUFFER);
}

/* NULL, or what went wrong. */
static const char *search(const struct variant *v, bool closes_early) {
    struct state s;
    memset(&s, 0, sizeof s);
    memset(&s.memory[NEXT], GARBAGE, NODES);
    s.idle_wakes_left = 1;
    memcpy(s.push, first_push, sizeof s.push);
    variant = v;
    failure = NULL;
    count = 0;
    memset(table, 0, TABLE_SIZE * sizeof *table);
    visit(&s);
    for (uint32_t done = 0; done < count && failure == NULL; done++) {
        bool is_stuck = true;
        for (int step = 0; step < STEPS && failure == NULL; step++) {
            s = states[done];
            if (take_step(&s, step, closes_early)) {
                is_stuck = false;
                visit(&s);
            }
        }
        if (is_stuck && failure == NULL) {
            check_end(&states[done]);
        }
    }
    return failure;
}

int main(void) {
    static const struct variant variants[] = {
        {"state in the head, TSO", false, false, true, false, NULL},
        {"state in the head, PSO", false, false, true, true, NULL},
        {"a flag with a fence", true, true, true, true, NULL},
        {"a flag without a fence", true, false, true, false, lost_wake},
        {"push without release, PSO", false, false, false, true, early_read},
    };
    int exit_status = 0;
    states = malloc((size_t)TABLE_SIZE / 2 * sizeof *states);
    table = malloc((size_t)TABLE_SIZE * sizeof *table);
    if (states == NULL || table == NULL) {
        printf("inbox_model: out of memory\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        const struct variant *v = &variants[i];
        for (int closes_early = 0; closes_early < 2; closes_early++) {
            const char *found = search(v, closes_early);
            bool is_right = (found == NULL) == (v->expected == NULL) &&
                            (found == NULL || strcmp(found, v->expected) == 0);
            printf("%-26s %-13s %8u states  %s%s\n", v->name,
                   closes_early ? "any close" : "close at end", count,
                   found != NULL ? found : "holds", is_right ? "" : "   <-- NOT EXPECTED");
            exit_status = is_right ? exit_status : 1;
        }
    }
    free(states);
    free(table);
    return exit_status;
}
