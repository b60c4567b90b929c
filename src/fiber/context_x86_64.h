/* context_x86_64.h: the switch for x86-64, System V ABI; included by context.h only. */

#ifdef __AVX512F__ /* the upper sixteen vector registers and the masks exist for the compiler only then */
#define SK_CONTEXT_AVX512                                                                                              \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",      \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define SK_CONTEXT_AVX512
#endif

/*
 * Nothing is written to the stack, so neither the red zone nor the unwinder's
 * idea of the frame is disturbed, and a signal may come between any two of these
 * instructions.  The status bits of MXCSR (the low six) are nobody's to keep;
 * only when the control bits differ are they loaded, which is slow.
 * endbr64: the label is the target of an indirect jump.
 */
static inline __attribute__((always_inline)) void sk_context_switch(sk_context *from, sk_context *to)
{
    if (sk_unlikely(!to->sp)) sk_context_missing();
    __asm__ volatile("lea 1f(%%rip), %%rax\n\t"
                     "stmxcsr 24(%0)\n\t"
                     "fnstcw 28(%0)\n\t"
                     "mov %%rsp, (%0)\n\t"
                     "mov %%rbp, 8(%0)\n\t"
                     "mov %%rax, 16(%0)\n\t"
                     "mov 24(%0), %%eax\n\t"
                     "movzwl 28(%0), %%ecx\n\t"
                     "xor 24(%1), %%eax\n\t"
                     "xor 28(%1), %%cx\n\t"
                     "and $0xffc0, %%eax\n\t"
                     "or %%ecx, %%eax\n\t"
                     "mov (%1), %%rsp\n\t"
                     "mov 8(%1), %%rbp\n\t"
                     "jnz 2f\n\t"
                     "jmp *16(%1)\n"
                     "2:\n\t"
                     "ldmxcsr 24(%1)\n\t"
                     "fldcw 28(%1)\n\t"
                     "jmp *16(%1)\n"
                     "1:\n\t"
                     "endbr64"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)",
                       "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory", "cc" SK_CONTEXT_AVX512);
}
