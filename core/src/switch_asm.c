/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch_asm.c: the first frame of a new stack, for the assembly switches.
 */
#include "fiber_internal.h"

#include <stdint.h>
#include <string.h>

void tri_context_start(void);

#if defined(__x86_64__)

/* tri_context_switch() pops and jumps to `start`, which pops the rest. */
struct frame {
    uintptr_t start, arg, entry;
};

void *tri_context_make(char *low, size_t size, tri_entry_fn *entry, void *arg) {
    /* Once the frame is popped the stack pointer is a multiple of 16, as the ABI wants it before a
     * call. */
    struct frame *frame = (void *)(low + size - 64 - sizeof *frame);
    frame->start = (uintptr_t)tri_context_start;
    frame->arg = (uintptr_t)arg;
    frame->entry = (uintptr_t)entry;
    return frame;
}

#elif defined(__aarch64__)

struct frame {
    uintptr_t x29, x30, x19, x20, x21_to_x28[8];
    double d8_to_d15[8];
};

void *tri_context_make(char *low, size_t size, tri_entry_fn *entry, void *arg) {
    struct frame *frame = (void *)(low + size - 64 - sizeof *frame);
    memset(frame, 0, sizeof *frame);
    frame->x19 = (uintptr_t)entry;
    frame->x20 = (uintptr_t)arg;
    frame->x30 = (uintptr_t)tri_context_start;
    return frame;
}

#else
#error "no assembly switch for this architecture: configure with -DTROUPE_SWITCH=ucontext"
#endif
