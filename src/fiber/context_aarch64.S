/* context_aarch64.S: where a fresh fiber begins, and the call that no compiler sees through. */
#if defined(__aarch64__) && !defined(SK_CONTEXT_PORTABLE)

    .text

/* sk_context_make left the argument and the function on the stack.  The undefined
   return address tells every unwinder that this frame is the last. */
    .globl sk_context_entry
    .hidden sk_context_entry
    .type sk_context_entry, %function
    .p2align 4
sk_context_entry:
    .cfi_startproc
    .cfi_undefined x30
    hint #38 /* bti jc */
    ldp x0, x1, [sp], #16
    .cfi_adjust_cfa_offset -16
    mov x30, #0
    blr x1
    bl sk_context_returned
    brk #1
    .cfi_endproc
    .size sk_context_entry, . - sk_context_entry

    .globl sk_context_missing
    .hidden sk_context_missing
    .type sk_context_missing, %function
    .p2align 4
sk_context_missing:
    .cfi_startproc
    hint #34 /* bti c */
    b sk_context_absent
    .cfi_endproc
    .size sk_context_missing, . - sk_context_missing

/* Fit for branch target identification. */
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000000, 4, 1, 0
#endif

    .section .note.GNU-stack, "", %progbits
