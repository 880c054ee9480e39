/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber_internal.h: switching between stacks, with what sanitizers must be told.
 */
#ifndef TRI_FIBER_INTERNAL_H
#define TRI_FIBER_INTERNAL_H

#include "stack_internal.h"

typedef void tri_entry_fn(void *arg);

/* Save the callee-saved registers on this stack, its pointer in *save_sp, and go on where
 * load_sp was saved. switch_<arch>.S or switch_ucontext.c. */
void tri_context_switch(void **save_sp, void *load_sp);
/* Prepare a stack so that the first switch to the result calls entry(arg) on it. */
void *tri_context_make(char *low, size_t size, tri_entry_fn *entry, void *arg);

#endif
