/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_switch.c: what a context switch must keep, and that backtraces end where a stack begins.
 */
#include "support/t_task.h"

#include <execinfo.h>
#include <stdio.h>
#include <string.h>

/* ---- registers ------------------------------------------------------------------------ */

#if defined(__x86_64__)
/* Fill the callee-saved registers that the compiler may not know of, suspend, compare. */
static __attribute__((noinline)) int registers_survive(uint64_t seed) {
    uint64_t out[5] = {0};
    uint64_t *to = out; /* rdi and rsi don't survive the call */
    uint64_t from = seed;
    int (*suspend)(void) = tr_yield;
    uint64_t result;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* step over this function's red zone */
                     "push %%rbp\n\t"
                     "mov %%rsp, %%rbp\n\t"
                     "and $-16, %%rsp\n\t"
                     "push %[to]\n\t"
                     "push %[from]\n\t"
                     "mov %[from], %%rbx\n\t"
                     "lea 1(%[from]), %%r12\n\t"
                     "lea 2(%[from]), %%r13\n\t"
                     "lea 3(%[from]), %%r14\n\t"
                     "lea 4(%[from]), %%r15\n\t"
                     "call *%[suspend]\n\t"
                     "mov 8(%%rsp), %%rcx\n\t"
                     "mov %%rbx, 0(%%rcx)\n\t"
                     "mov %%r12, 8(%%rcx)\n\t"
                     "mov %%r13, 16(%%rcx)\n\t"
                     "mov %%r14, 24(%%rcx)\n\t"
                     "mov %%r15, 32(%%rcx)\n\t"
                     "mov %%rbp, %%rsp\n\t"
                     "pop %%rbp\n\t"
                     "lea 128(%%rsp), %%rsp\n\t"
                     : "=a"(result), [to] "+D"(to), [from] "+S"(from)
                     : [suspend] "a"(suspend)
                     : "rbx", "r12", "r13", "r14", "r15", "rcx", "rdx", "r8", "r9", "r10", "r11",
                       "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15");
    for (uint64_t i = 0; i < 5; i++) {
        if (out[i] != seed + i) {
            return -1;
        }
    }
    return (int)result;
}
#else
static __attribute__((noinline)) int registers_survive(uint64_t seed) {
    uint64_t a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 11, e = seed * 13;
    double f = (double)seed * 1.5, g = (double)seed * 2.5, h = (double)seed * 3.5;
    int err = tr_yield();
    bool kept = a == seed * 3 && b == seed * 5 && c == seed * 7 && d == seed * 11 &&
                e == seed * 13 && f == (double)seed * 1.5 && g == (double)seed * 2.5 &&
                h == (double)seed * 3.5;
    return kept ? err : -1;
}
#endif

static int keep_registers(void *arg) {
    uint64_t seed = *(uint64_t *)arg;
    for (uint64_t i = 0; i < 100; i++) {
        T_TASK_REQUIRE(registers_survive(seed + i * 16) == 0);
    }
    return 0;
}

T_TASK_TEST(context_switch, keeps_callee_saved_registers) {
    uint64_t seeds[4] = {0x1111111111111100, 0x2222222222222200, 0x3333333333333300, 0x4400};
    tr_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        T_CHECK_INT(tr_task_new(tr_loop_running(), "regs", keep_registers, &seeds[i], &tasks[i]),
                    0);
    }
    for (int i = 0; i < 4; i++) {
        T_CHECK_INT(tr_task_join(tasks[i]), 0);
    }
    return 0;
}

/* ---- alignment ------------------------------------------------------------------------ */

static bool is_aligned(void) {
    _Alignas(16) volatile char buffer[16];
    volatile uintptr_t at = (uintptr_t)buffer;
    return at % 16 == 0;
}

static int check_alignment(void *arg) {
    (void)arg;
    T_CHECK(is_aligned());
    T_CHECK_INT(tr_yield(), 0);
    volatile double value = 3.0;
    char text[64];
    snprintf(text, sizeof text, "%.3f", value); /* the C library uses aligned vector moves */
    T_CHECK_STR(text, "3.000");
    return 0;
}

T_TASK_TEST(context_switch, stack_is_aligned) {
    tr_task *task;
    T_CHECK_INT(check_alignment(NULL), 0);
    T_CHECK_INT(tr_task_new(tr_loop_running(), "t", check_alignment, NULL, &task), 0);
    return tr_task_join(task);
}

/* ---- backtraces ----------------------------------------------------------------------- */

enum { FRAMES_MAX = 64 };

/* The first code of a stack; there is none where ucontext switches. */
extern void tri_context_start(void) __attribute__((weak));

static __attribute__((noinline)) int frame_3(void) {
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX);
    if (tri_context_start != NULL) {
        uintptr_t last = (uintptr_t)frames[count - 1];
        uintptr_t first = (uintptr_t)tri_context_start;
        T_CHECK(last > first && last - first < 64);
    }
    T_CHECK_INT(tr_yield(), 0);
    return count;
}

static __attribute__((noinline)) int frame_2(void) {
    volatile int count = frame_3();
    return count;
}

static __attribute__((noinline)) int frame_1(void) {
    volatile int count = frame_2();
    return count;
}

static int take_backtrace(void *arg) {
    *(int *)arg = frame_1();
    T_CHECK_INT(tr_yield(), 0); /* on a stack of its own: the same */
    T_CHECK_INT(frame_1(), *(int *)arg);
    return 0;
}

/* Three frames, the task's function and the few below it, up to the first of the stack: not the
 * array's end, which a walk that runs off the stack would reach. */
T_TASK_TEST(context_switch, backtraces_end_where_the_stack_begins) {
    int count = 0;
    tr_task *task;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "t", take_backtrace, &count, &task), 0);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK(count >= 4);
    T_CHECK(count <= 16);
    return 0;
}
