/* context_aarch64.h: the switch for AArch64, AAPCS64; included by context.h only. */

/*
 * As on x86-64, nothing is written to the stack.  Of vector registers a callee keeps d8 to d15 only; declared
 * overwritten like the rest.  `bti j` (hint 36): the label is the target of an
 * indirect jump.  FPCR is written, which is slow, only when it differs.
 */
static inline __attribute__((always_inline)) void sk_context_switch(sk_context *from, sk_context *to)
{
    if (sk_unlikely(!to->sp)) sk_context_missing();
    register sk_context *x0 __asm__("x0") = from;
    register sk_context *x1 __asm__("x1") = to;
    __asm__ volatile("adr x2, 1f\n\t"
                     "mov x3, sp\n\t"
                     "mrs x4, fpcr\n\t"
                     "stp x3, x29, [x0]\n\t"
                     "stp x2, x4, [x0, #16]\n\t"
                     "ldp x3, x29, [x1]\n\t"
                     "ldp x2, x5, [x1, #16]\n\t"
                     "cmp x4, x5\n\t"
                     "mov sp, x3\n\t"
                     "b.ne 2f\n\t"
                     "br x2\n"
                     "2:\n\t"
                     "msr fpcr, x5\n\t"
                     "br x2\n"
                     "1:\n\t"
                     "hint #36"
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                       "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0",
                       "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
                       "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31", "memory", "cc");
}
