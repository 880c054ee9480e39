/* SPDX-License-Identifier: Apache-2.0 */
/* The stack pool and the overflow report. Stacks are entered with ucontext: no loop is needed. */
#include "stack_internal.h"

#include "alloc_internal.h"
#include "sanitizer_internal.h"

#include "t.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* A volatile detour, so that no compiler knows what is written where. */
static void write_byte(char *address, char value) {
    char *volatile at = address;
    *at = value;
}

/* ---- the pool ------------------------------------------------------------- */

T_TEST(stack, an_unused_pool_costs_nothing) {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    T_CHECK(pool.stack_bytes >= 256 * 1024);
    T_CHECK_INT(pool.total, 0);
    T_CHECK(pool.slabs == NULL);
    tri_stack_pool_fini(&pool);
}

T_TEST(stack, sizes_are_rounded_up_to_pages_and_a_minimum) {
    tri_stack_pool pool;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    tri_stack_pool_init(&pool, 1);
    T_CHECK(pool.stack_bytes >= 16 * 1024);
    tri_stack_pool_init(&pool, 100 * page + 1);
    T_CHECK_INT(pool.stack_bytes, 101 * page);
    tri_stack_pool_fini(&pool);
}

T_TEST(stack, all_of_it_can_be_written_and_its_top_is_aligned) {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 64 * 1024);
    for (int i = 0; i < 100; i++) {
        tri_stack *stack = tri_stack_get(&pool);
        T_REQUIRE(stack != NULL);
        T_CHECK_INT((uintptr_t)(stack->low + stack->size) % 64, 0);
        T_CHECK(stack->size >= 60 * 1024);
        T_CHECK(stack->is_guarded);
        memset(stack->low, 0x5a, stack->size);
        /* The descriptor lies beyond what was written. */
        T_CHECK(stack->is_in_use);
        T_CHECK((char *)stack == stack->low + stack->size);
        tri_stack_put(&pool, stack);
    }
    T_CHECK_INT(pool.total, 1);
    T_CHECK_INT(pool.in_use_max, 1);
    tri_stack_pool_fini(&pool);
}

T_TEST(stack, the_one_given_back_last_is_used_first) {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    tri_stack *first = tri_stack_get(&pool);
    tri_stack *second = tri_stack_get(&pool);
    T_CHECK(first != second);
    tri_stack_put(&pool, first);
    tri_stack_put(&pool, second);
    T_CHECK(tri_stack_get(&pool) == second);
    T_CHECK(tri_stack_get(&pool) == first);
    T_CHECK_INT(pool.in_use, 2);
    tri_stack_put(&pool, first);
    tri_stack_put(&pool, second);
    tri_stack_pool_fini(&pool);
}

/* Many stacks: more than a slab, more than stay warm. TSan can't have as many fibers. */
enum { MANY = TRI_TSAN ? 300 : 2000 };

T_TEST(stack, many_are_disjoint_and_used_again) {
    static tri_stack *stacks[MANY];
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 32 * 1024);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            stacks[i] = tri_stack_get(&pool);
            T_REQUIRE(stacks[i] != NULL);
            memcpy(stacks[i]->low, &i, sizeof i);
            memcpy(stacks[i]->low + stacks[i]->size - sizeof i, &i, sizeof i);
        }
        T_CHECK_INT(pool.in_use, MANY);
        T_CHECK_INT(pool.total, MANY);
        for (int i = 0; i < MANY; i++) {
            bool in_guard = true;
            T_CHECK(memcmp(stacks[i]->low, &i, sizeof i) == 0);
            T_CHECK(memcmp(stacks[i]->low + stacks[i]->size - sizeof i, &i, sizeof i) == 0);
            T_CHECK(tri_stack_find(&pool, stacks[i]->low + 100, &in_guard) == stacks[i]);
            T_CHECK(!in_guard);
        }
        for (int i = 0; i < MANY; i++) {
            tri_stack_put(&pool, stacks[i]);
        }
        T_CHECK_INT(pool.in_use, 0);
        T_CHECK_INT(pool.in_use_max, MANY);
    }
    tri_stack_pool_fini(&pool);
}

T_TEST(stack, beyond_a_bound_free_ones_give_their_memory_back) {
    static tri_stack *stacks[MANY];
    unsigned char resident = 0;
    size_t given_back = 0;
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 32 * 1024);
    for (int i = 0; i < MANY; i++) {
        stacks[i] = tri_stack_get(&pool);
        T_REQUIRE(stacks[i] != NULL);
        memset(stacks[i]->low, 1, stacks[i]->size);
    }
    for (int i = 0; i < MANY; i++) {
        tri_stack_put(&pool, stacks[i]);
    }
    for (int i = 0; i < MANY; i++) {
        T_CHECK(mincore(stacks[i]->low, pool.page, &resident) == 0);
        given_back += (resident & 1) == 0;
    }
    T_CHECK(given_back >= MANY - 128);
    T_CHECK(pool.free_count < 128);
    tri_stack_pool_fini(&pool);
}

T_TEST(stack, find_tells_guard_from_stack_and_from_neither) {
    tri_stack_pool pool;
    bool in_guard = false;
    char local;
    tri_stack_pool_init(&pool, 0);
    tri_stack *first = tri_stack_get(&pool);
    tri_stack *second = tri_stack_get(&pool);
    T_CHECK(tri_stack_find(&pool, first->low, &in_guard) == first);
    T_CHECK(!in_guard);
    T_CHECK(tri_stack_find(&pool, first->low - 1, &in_guard) == first);
    T_CHECK(in_guard);
    T_CHECK(tri_stack_find(&pool, second->low - pool.guard_bytes, &in_guard) == second);
    T_CHECK(in_guard);
    T_CHECK(tri_stack_find(&pool, first->low - pool.guard_bytes - 1, &in_guard) == NULL);
    T_CHECK(tri_stack_find(&pool, second->low + pool.stack_bytes, &in_guard) == NULL);
    T_CHECK(tri_stack_find(&pool, &local, &in_guard) == NULL);
    tri_stack_put(&pool, first);
    tri_stack_put(&pool, second);
    tri_stack_pool_fini(&pool);
}

T_TEST(stack, out_of_address_space_is_an_error_and_can_be_survived) {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, (size_t)1 << 46);
    T_CHECK(tri_stack_get(&pool) == NULL);
    T_CHECK_INT(pool.in_use, 0);
    tri_stack_pool_fini(&pool);
}

T_TEST(stack, out_of_memory_for_the_slab_is_an_error) {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    (void)tri_alloc_fail_after(0);
    T_CHECK(tri_stack_get(&pool) == NULL);
    (void)tri_alloc_fail_after(-1);
    tri_stack *stack = tri_stack_get(&pool);
    T_CHECK(stack != NULL);
    tri_stack_put(&pool, stack);
    tri_stack_pool_fini(&pool);
}

static void get_guarded_and_overwrite(int guard) {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    pool.guard = guard;
    tri_stack *stack = tri_stack_get(&pool);
    T_CHECK(stack->is_guarded);
    write_byte(stack->low, 1);
    write_byte(stack->low - 1, 1);
}

T_DEATH_TEST(stack, the_best_guard_there_is_stops_a_write, SIGSEGV) {
    get_guarded_and_overwrite(TRI_STACK_GUARD_PROBE);
}

T_DEATH_TEST(stack, a_guard_by_mprotect_stops_a_write, SIGSEGV) {
    get_guarded_and_overwrite(TRI_STACK_GUARD_MPROTECT);
}

/* Its memory was given back meanwhile; the guard is still there. */
T_DEATH_TEST(stack, a_guard_survives_being_idle, SIGSEGV) {
    tri_stack_pool pool;
    tri_stack *stacks[200];
    tri_stack_pool_init(&pool, 0);
    for (int i = 0; i < 200; i++) {
        stacks[i] = tri_stack_get(&pool);
        write_byte(stacks[i]->low, 1);
    }
    for (int i = 0; i < 200; i++) {
        tri_stack_put(&pool, stacks[i]);
    }
    while (tri_stack_get(&pool) != stacks[0]) {
    }
    write_byte(stacks[0]->low - 1, 1);
}

T_TEST(stack, the_pool_gives_mappings_back_to_the_others) {
    for (int round = 0; round < 3; round++) {
        tri_stack_pool pool;
        tri_stack *stacks[100];
        tri_stack_pool_init(&pool, 0);
        pool.guard = TRI_STACK_GUARD_MPROTECT;
        for (int i = 0; i < 100; i++) {
            stacks[i] = tri_stack_get(&pool);
            T_CHECK(stacks[i]->is_guarded);
        }
        T_CHECK_INT(pool.guard_mappings, 100);
        T_CHECK_INT(pool.unguarded, 0);
        for (int i = 0; i < 100; i++) {
            tri_stack_put(&pool, stacks[i]);
        }
        tri_stack_pool_fini(&pool);
    }
}

T_TEST(stack, without_guards_it_works_and_counts_them) {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    pool.guard = TRI_STACK_GUARD_NONE;
    for (int i = 0; i < 3; i++) {
        tri_stack *stack = tri_stack_get(&pool);
        T_CHECK(!stack->is_guarded);
        memset(stack->low + 64, 1, stack->size - 64);
        tri_stack_put(&pool, stack);
    }
    T_CHECK_INT(pool.unguarded, 1);
    tri_stack_pool_fini(&pool);
}

T_DEATH_TEST_MSG(stack, without_a_guard_the_canary_tells, SIGABRT, "overflowed its stack") {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    pool.guard = TRI_STACK_GUARD_NONE;
    tri_stack *stack = tri_stack_get(&pool);
    memset(stack->low, 0, 16);
    tri_stack_put(&pool, stack);
}

T_DEATH_TEST_MSG(stack, giving_one_back_twice_is_a_bug, SIGABRT, "is_in_use") {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    tri_stack *stack = tri_stack_get(&pool);
    tri_stack_put(&pool, stack);
    tri_stack_put(&pool, stack);
}

T_DEATH_TEST_MSG(stack, ending_a_pool_in_use_is_a_bug, SIGABRT, "in_use == 0") {
    tri_stack_pool pool;
    tri_stack_pool_init(&pool, 0);
    (void)tri_stack_get(&pool);
    tri_stack_pool_fini(&pool);
}

/* ---- the overflow report -------------------------------------------------- */

static tri_stack_pool pools[2];
static tri_overflow_scope scopes[2];
static ucontext_t outside;

static const char *running_name(const tri_overflow_scope *scope) {
    return scope == &scopes[0] ? "deep" : "other";
}

static volatile unsigned depth_max = UINT32_MAX;

static __attribute__((noinline)) unsigned recurse(unsigned depth) {
    volatile char frame[256];
    frame[depth % sizeof frame] = (char)depth;
    if (depth >= depth_max) {
        return 0;
    }
    unsigned below = recurse(depth + 1);
    return below + (unsigned)frame[depth % sizeof frame];
}

static void run_deep(void) {
    (void)recurse(0);
    (void)swapcontext(&(ucontext_t){0}, &outside);
}

static void overflow_in(tri_stack_pool *pool) {
    static ucontext_t inside;
    tri_stack *stack = tri_stack_get(pool);
    T_CHECK(stack != NULL);
    T_CHECK(getcontext(&inside) == 0);
    inside.uc_stack.ss_sp = stack->low;
    inside.uc_stack.ss_size = stack->size;
    makecontext(&inside, run_deep, 0);
    (void)swapcontext(&outside, &inside);
}

T_DEATH_TEST_MSG(stack_overflow, names_the_task_and_dies_by_the_fault, SIGSEGV,
                 "troupe: stack overflow in task 'deep': address 0x") {
    tri_stack_pool_init(&pools[0], 64 * 1024);
    T_CHECK_INT(tri_overflow_enter(&scopes[0], &pools[0], running_name), 0);
    overflow_in(&pools[0]);
}

T_DEATH_TEST_MSG(stack_overflow, says_how_large_the_stack_was, SIGSEGV,
                 "(65536 bytes); run it with a larger tr_run_opts.stack_bytes\n") {
    tri_stack_pool_init(&pools[0], 64 * 1024);
    pools[0].guard = TRI_STACK_GUARD_MPROTECT;
    T_CHECK_INT(tri_overflow_enter(&scopes[0], &pools[0], running_name), 0);
    overflow_in(&pools[0]);
}

T_DEATH_TEST_MSG(stack_overflow, finds_the_right_one_of_two_loops_on_a_thread, SIGSEGV,
                 "in task 'deep'") {
    for (int i = 0; i < 2; i++) {
        tri_stack_pool_init(&pools[i], 64 * 1024);
        T_CHECK_INT(tri_overflow_enter(&scopes[i], &pools[i], running_name), 0);
    }
    overflow_in(&pools[0]);
}

static void *overflow_on_thread(void *arg) {
    (void)arg;
    T_CHECK_INT(tri_overflow_enter(&scopes[0], &pools[0], running_name), 0);
    overflow_in(&pools[0]);
    return NULL;
}

T_DEATH_TEST_MSG(stack_overflow, is_reported_on_each_thread, SIGSEGV, "in task 'deep'") {
    pthread_t thread;
    tri_stack_pool_init(&pools[0], 64 * 1024);
    tri_stack_pool_init(&pools[1], 64 * 1024);
    T_CHECK_INT(tri_overflow_enter(&scopes[1], &pools[1], running_name), 0);
    T_CHECK(pthread_create(&thread, NULL, overflow_on_thread, NULL) == 0);
    (void)pthread_join(thread, NULL);
}

static void say_before(int signo) {
    static const char text[] = "the handler before\n";
    (void)signo;
    if (write(STDERR_FILENO, text, sizeof text - 1) > 0) {
        _exit(0);
    }
}

static void fault_elsewhere(void) {
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    write_byte(page, 1);
}

T_DEATH_TEST(stack_overflow, a_fault_elsewhere_has_its_default_action, SIGSEGV) {
    tri_stack_pool_init(&pools[0], 0);
    T_CHECK_INT(tri_overflow_enter(&scopes[0], &pools[0], running_name), 0);
    fault_elsewhere();
}

static void abort_before(int signo, siginfo_t *info, void *context) {
    (void)info;
    (void)context;
    T_CHECK_INT(signo, SIGSEGV);
    abort();
}

T_DEATH_TEST(stack_overflow, a_fault_elsewhere_goes_to_the_handler_before, SIGABRT) {
    struct sigaction action = {.sa_sigaction = abort_before, .sa_flags = SA_SIGINFO};
    tri_stack_pool_init(&pools[0], 0);
    T_CHECK_INT(sigaction(SIGSEGV, &action, NULL), 0);
    T_CHECK_INT(tri_overflow_enter(&scopes[0], &pools[0], running_name), 0);
    fault_elsewhere();
}

/* Sent by another process: no address, no second fault. */
T_DEATH_TEST(stack_overflow, a_signal_that_was_sent_has_its_default_action, SIGSEGV) {
    tri_stack_pool_init(&pools[0], 0);
    T_CHECK_INT(tri_overflow_enter(&scopes[0], &pools[0], running_name), 0);
    (void)raise(SIGSEGV);
}

T_TEST(stack_overflow, leaving_puts_back_what_was_there) {
    struct sigaction ours = {.sa_handler = say_before};
    struct sigaction saved;
    struct sigaction now;
    stack_t stack_before;
    stack_t stack_now;
    T_REQUIRE(sigaction(SIGSEGV, &ours, &saved) == 0);
    T_REQUIRE(sigaltstack(NULL, &stack_before) == 0);
    for (int i = 0; i < 2; i++) {
        tri_stack_pool_init(&pools[i], 0);
        T_CHECK_INT(tri_overflow_enter(&scopes[i], &pools[i], running_name), 0);
    }
    T_CHECK(sigaltstack(NULL, &stack_now) == 0);
    T_CHECK((stack_now.ss_flags & SS_DISABLE) == 0);
    T_CHECK(stack_now.ss_size >= 64 * 1024);
    tri_overflow_leave(&scopes[0]); /* not in the order in which they were entered */
    T_CHECK(sigaction(SIGSEGV, NULL, &now) == 0);
    T_CHECK(now.sa_handler != say_before);
    tri_overflow_leave(&scopes[1]);
    T_CHECK(sigaction(SIGSEGV, NULL, &now) == 0);
    T_CHECK(now.sa_handler == say_before);
    T_CHECK(sigaltstack(NULL, &stack_now) == 0);
    T_CHECK_INT(stack_now.ss_flags, stack_before.ss_flags);
    T_CHECK(stack_now.ss_sp == stack_before.ss_sp);
    (void)sigaction(SIGSEGV, &saved, NULL);
}

T_DEATH_TEST_MSG(stack_overflow, leaving_a_scope_that_was_never_entered_is_a_bug, SIGABRT, "BUG") {
    tri_overflow_leave(&scopes[0]);
}
