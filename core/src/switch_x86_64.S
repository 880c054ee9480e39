/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch_x86_64.S: the context switch of the System V ABI.
 *
 * Saved: rbx, rbp, r12 to r15, the stack pointer and the return address. The x87 and SSE control
 * words are not: they belong to the loop, and a task that changes them must restore them before
 * it suspends (docs/stacks.md).
 */
#if defined(__CET__)
#include <cet.h>
#else
#define _CET_ENDBR
#endif

    .text

/* void tri_context_switch(void **save_sp, void *load_sp) */
    .globl tri_context_switch
    .hidden tri_context_switch
    .type tri_context_switch, @function
    .align 16
tri_context_switch:
    .cfi_startproc
    _CET_ENDBR
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp          /* the new stack has the same layout: the CFI stays true */
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    ret
    .cfi_endproc
    .size tri_context_switch, . - tri_context_switch

/* First code of a new stack: r12 = entry, r13 = arg, rbp = 0. Backtraces end here. */
    .globl tri_context_start
    .hidden tri_context_start
    .type tri_context_start, @function
    .align 16
tri_context_start:
    .cfi_startproc
    .cfi_undefined rip
    _CET_ENDBR
    movq %r13, %rdi
    call *%r12
    ud2                      /* the entry function never returns */
    .cfi_endproc
    .size tri_context_start, . - tri_context_start

    .section .note.GNU-stack, "", @progbits
