/* context.c: a context to begin with, and the two ways to misuse one. */
#include "fiber/context.h"

#include "base/base.h"

/* Called from the assembly only. */
void sk_context_returned(void);
void sk_context_absent(void);

void sk_context_returned(void)
{
    sk_panic("the entry function of a fiber returned");
}

void sk_context_absent(void)
{
    sk_panic("switch to a fiber that was never suspended");
}

#ifndef SK_CONTEXT_PORTABLE
void sk_context_entry(void); /* context_*.S */

static void controls_of_caller(uint32_t control[2])
{
    control[0] = control[1] = 0;
#ifdef __x86_64__
    __asm__("stmxcsr %0\n\tfnstcw %1" : "=m"(control[0]), "=m"(control[1]));
#else
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    control[0] = (uint32_t)fpcr;
    control[1] = (uint32_t)(fpcr >> 32);
#endif
}

void sk_context_make(sk_context *context, void *top, void (*entry)(void *), void *arg)
{
    /* sk_context_entry takes these two off, and is aligned then as the ABI wants it before a call. */
    void **sp = (void **)top - 2;
    sp[0] = arg;
    *(void (**)(void *)) & sp[1] = entry;
    context->sp = sp;
    context->frame = NULL; /* ends the chain of frame pointers */
    *(void (**)(void)) & context->pc = sk_context_entry;
    controls_of_caller(context->control);
}
#endif
