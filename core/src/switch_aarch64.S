/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch_aarch64.S: the context switch of AAPCS64.
 *
 * Saved: x19 to x28, the frame pointer x29, the link register x30, d8 to d15 and the stack
 * pointer. Not x18, which belongs to the platform, and not FPCR, which belongs to the loop
 * (docs/stacks.md). x30 is stored as it is: with return-address signing it is signed for this
 * very stack pointer, and `ret` checks it after the reload.
 */
    .text

/* void tri_context_switch(void **save_sp, void *load_sp) */
    .globl tri_context_switch
    .hidden tri_context_switch
    .type tri_context_switch, %function
    .align 4
tri_context_switch:
    .cfi_startproc
    hint #34                 /* bti c */
    sub sp, sp, #160
    .cfi_adjust_cfa_offset 160
    stp x29, x30, [sp, #0]
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x19, x20, [sp, #16]
    .cfi_rel_offset x19, 16
    .cfi_rel_offset x20, 24
    stp x21, x22, [sp, #32]
    .cfi_rel_offset x21, 32
    .cfi_rel_offset x22, 40
    stp x23, x24, [sp, #48]
    .cfi_rel_offset x23, 48
    .cfi_rel_offset x24, 56
    stp x25, x26, [sp, #64]
    .cfi_rel_offset x25, 64
    .cfi_rel_offset x26, 72
    stp x27, x28, [sp, #80]
    .cfi_rel_offset x27, 80
    .cfi_rel_offset x28, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1               /* the new stack has the same layout: the CFI stays true */
    ldp x29, x30, [sp, #0]
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    .cfi_adjust_cfa_offset -160
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    ret
    .cfi_endproc
    .size tri_context_switch, . - tri_context_switch

/* First code of a new stack: x19 = entry, x20 = arg, x29 = 0. Backtraces end here. */
    .globl tri_context_start
    .hidden tri_context_start
    .type tri_context_start, %function
    .align 4
tri_context_start:
    .cfi_startproc
    .cfi_undefined x30
    hint #36                 /* bti j */
    mov x0, x20
    mov x30, #0
    blr x19
    brk #1                   /* the entry function never returns */
    .cfi_endproc
    .size tri_context_start, . - tri_context_start

    .section .note.GNU-stack, "", %progbits
