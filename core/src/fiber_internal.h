/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber_internal.h: switching between stacks, with what sanitizers must be told.
 */
#ifndef TRI_FIBER_INTERNAL_H
#define TRI_FIBER_INTERNAL_H

#include "loop_internal.h"
#include "sanitizer_internal.h"

typedef void tri_entry_fn(void *arg);

/* Prepare a stack so that the first switch to the result calls entry(arg) on it. switch_*.c */
void *tri_context_make(char *low, size_t size, tri_entry_fn *entry, void *arg);

#if defined(__x86_64__) && !defined(TRI_SWITCH_UCONTEXT)

#ifdef __AVX512F__
#define TRI_AVX512_CLOBBERS                                                                       \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",   \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", \
        "k7"
#else
#define TRI_AVX512_CLOBBERS
#endif

/* Save what the caller needs on this stack, its pointer in *save_sp, and go on where load_sp was
 * saved.
 *
 * Inline, and with a jump where a function would return: a processor predicts returns from the
 * calls that it saw, and none of those was made on the stack that we go to. The compiler saves the
 * registers that are live, by the clobbers; rbx and rbp it may not give away. The x87 and SSE control
 * words belong to the loop (docs/stacks.md). With a frame pointer, which all our files have, the
 * unwinder needs no notes about the pushes. */
static inline __attribute__((always_inline)) void tri_context_switch(void **save_sp,
                                                                     void *load_sp) {
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t" /* over the red zone */
                     "pushq %%rbp\n\t"
                     "pushq %%rbx\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "movq %%rsp, (%[save])\n\t"
                     "movq %[load], %%rsp\n\t"
                     "popq %%rcx\n\t"
#ifdef __CET__
                     "notrack "
#endif
                     "jmp *%%rcx\n"
                     "1:\tpopq %%rbx\n\t"
                     "popq %%rbp\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : [save] "+D"(save_sp), [load] "+S"(load_sp)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15" TRI_AVX512_CLOBBERS);
}

#else

/* switch_aarch64.S or switch_ucontext.c: the same as a function. */
void tri_context_switch(void **save_sp, void *load_sp);

#endif

/* With TSan its call and the switch must stand in one frame: its shadow call stack is per fiber. */
static inline __attribute__((always_inline)) void tri_switch_stacks(tr_loop *loop, tri_stack *from,
                                                                    tri_stack *to, bool from_ends) {
    loop->running = to;
#if TRI_ASAN
    __sanitizer_start_switch_fiber(from_ends ? NULL : &from->asan_fake, to->low, to->size);
#else
    (void)from_ends;
#endif
#if TRI_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    tri_context_switch(&from->sp, to->sp);
#if TRI_ASAN
    __sanitizer_finish_switch_fiber(from->asan_fake, NULL, NULL);
#endif
}

/* Begin the next turn where nothing but its batch is to be done. */
static inline bool tri_loop_roll_over(tr_loop *loop) {
    if (loop->ready == NULL || loop->flushes != NULL || loop->is_stopping ||
        tri_inbox_has_work(&loop->inbox)) {
        return false;
    }
    loop->batch = loop->ready;
    loop->ready = NULL;
    loop->ready_tail = &loop->ready;
    loop->stats.turns++;
    return true;
}

/* The stack of the fiber that is next in the batch, taken out of it, or the dispatcher's. */
static inline tri_stack *tri_loop_next_stack(tr_loop *loop) {
    bool has_next = loop->clock_credit > 1 && (loop->batch != NULL || tri_loop_roll_over(loop));
    if (!has_next || loop->batch->run != tri_fiber_resume) {
        return loop->dispatcher;
    }
    tri_fiber *next = TRI_CONTAINER_OF(loop->batch, tri_fiber, node);
    tri_stack *stack = next->stack;
    loop->batch = loop->batch->next;
    loop->clock_credit--;
    next->stack = NULL;
    loop->current = next;
    return stack;
}

/* Leave the running stack until its fiber is resumed: straight to the next fiber where that is all
 * that is to be done, else to the dispatcher. */
static inline __attribute__((always_inline)) void tri_loop_switch_away(tr_loop *loop) {
    tri_stack *from = loop->running;
    loop->current = NULL; /* callbacks run next, in no fiber */
    if (TRI_UNLIKELY(from == loop->dispatcher)) {
        tri_loop_hand_over(loop);
        return;
    }
    tri_stack *to = tri_loop_next_stack(loop);
    if (TRI_LIKELY(to != from)) { /* a fiber that gave way may be the next itself */
        tri_switch_stacks(loop, from, to, false);
    }
}

#endif
