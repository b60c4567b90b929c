/* context_x86_64.S: where a fresh fiber begins, and the call that no compiler sees through. */
#if defined(__x86_64__) && !defined(SK_CONTEXT_PORTABLE)

    .text

/* sk_context_make left the argument and the function on the stack.  The undefined
   return address tells every unwinder that this frame is the last. */
    .globl sk_context_entry
    .hidden sk_context_entry
    .type sk_context_entry, @function
    .p2align 4
sk_context_entry:
    .cfi_startproc
    .cfi_undefined %rip
    endbr64
    pop %rdi
    .cfi_adjust_cfa_offset -8
    pop %rax
    .cfi_adjust_cfa_offset -8
    call *%rax
    call sk_context_returned
    ud2
    .cfi_endproc
    .size sk_context_entry, . - sk_context_entry

    .globl sk_context_missing
    .hidden sk_context_missing
    .type sk_context_missing, @function
    .p2align 4
sk_context_missing:
    .cfi_startproc
    endbr64
    jmp sk_context_absent
    .cfi_endproc
    .size sk_context_missing, . - sk_context_missing

/* Says that this file is fit for indirect branch tracking.  Not for shadow stacks: a
   switch would have to switch those too, so the linker must leave them off. */
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0
#endif

    .section .note.GNU-stack, "", %progbits
