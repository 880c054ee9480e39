/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch_ucontext.c: the portable switch; each one costs two system calls.
 */
#include "fiber_internal.h"

#include <stdint.h>
#include <ucontext.h>

/* Lies at the low address that tri_context_make() is given back as the "stack pointer". */
struct context {
    ucontext_t ucontext;
    tri_entry_fn *entry;
    void *arg;
};

static void start(unsigned high, unsigned low) {
    uintptr_t bits = ((uintptr_t)high << 16 << 16) | low;
    struct context *context = (void *)bits; /* makecontext() hands over ints only */
    context->entry(context->arg);
}

void tri_context_switch(void **save_sp, void *load_sp) {
    struct context here;
    struct context *there = load_sp;
    *save_sp = &here;
    swapcontext(&here.ucontext, &there->ucontext);
}

void *tri_context_make(char *low, size_t size, tri_entry_fn *entry, void *arg) {
    /* The context of the start stands at the top; `here` above replaces it at the first switch. */
    size_t offset = (size - 64 - sizeof(struct context)) & ~(size_t)63;
    struct context *context = (void *)(low + offset);
    uintptr_t bits = (uintptr_t)context;
    getcontext(&context->ucontext);
    context->entry = entry;
    context->arg = arg;
    context->ucontext.uc_stack.ss_sp = low;
    context->ucontext.uc_stack.ss_size = offset;
    context->ucontext.uc_link = NULL;
    makecontext(&context->ucontext, (void (*)(void))start, 2, (unsigned)(bits >> 16 >> 16),
                (unsigned)bits);
    return context;
}
