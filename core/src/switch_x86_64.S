/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch_x86_64.S: the first code of a new stack. The switch itself is inline: fiber_internal.h.
 *
 * Backtraces end here: rbp is 0 and the return address undefined.
 */
#if defined(__CET__)
#include <cet.h>
#else
#define _CET_ENDBR
#endif

    .text
    .globl tri_context_start
    .hidden tri_context_start
    .type tri_context_start, @function
    .align 16
tri_context_start:
    .cfi_startproc
    .cfi_undefined rip
    _CET_ENDBR
    popq %rdi                /* arg */
    popq %rax                /* entry */
    xorl %ebp, %ebp
    call *%rax
    ud2                      /* the entry function never returns */
    .cfi_endproc
    .size tri_context_start, . - tri_context_start

    .section .note.GNU-stack, "", @progbits
