/*
 * context.h: the bare switch between stacks.
 *
 * A suspended context is where to go on: stack pointer, frame pointer, program
 * counter and the floating-point controls.  All other registers belong to the
 * compiler: the switch is inline assembly that declares every one of them
 * overwritten, so the caller saves what it needs and nothing else, and the
 * compiler's own unwind tables hold across the switch.  README.md has the
 * measurements (a call and a ret cost five times as much) and the reasons.
 *
 * -DSK_CONTEXT_PORTABLE, or a processor without a file here, uses ucontext.
 * No sanitizer is told here: use sk_fiber_switch.
 */
#ifndef SK_FIBER_CONTEXT_H
#define SK_FIBER_CONTEXT_H

#include "base/base.h"

#include <stddef.h>
#include <stdint.h>

/* tools/skua-gdb.py knows this layout, and so does the assembly. */
typedef struct sk_context {
    void *sp;            /* NULL: nothing to go on with */
    void *frame;         /* the frame pointer, which inline assembly may not declare overwritten */
    void *pc;            /* where the stack pointer above is valid */
    uint32_t control[2]; /* rounding mode and the like: MXCSR and x87 control word; FPCR */
} sk_context;

#if !defined(SK_CONTEXT_PORTABLE) && !defined(__x86_64__) && !defined(__aarch64__)
#define SK_CONTEXT_PORTABLE 1
#endif

/*
 * Where a context without a stack pointer ends up: panics.  It stands in an
 * assembly file so that no compiler sees through it, and the call to it in
 * sk_context_switch has a second purpose.  GCC (seen with 12.2) trusts inline
 * assembly, "memory" clobber or not, to leave file-static variables alone when it
 * looks at a function from outside: with LTO it would keep a user's static in a
 * register across skua_sleep().  A call to a function it cannot see ends that.
 */
void sk_context_missing(void);

/*
 * Saves the caller's context in *from and goes on in *to.  Returns when someone
 * switches to *from.  Each context keeps its rounding mode and floating-point
 * exception masks; the signal mask is the thread's.
 */
static inline void sk_context_switch(sk_context *from, sk_context *to);

/*
 * Prepares the stack that ends at `top` (16-byte aligned) so that a switch to
 * *context calls entry(arg).  entry must not return.  Rounding mode and masks are the caller's.
 */
void sk_context_make(sk_context *context, void *top, void (*entry)(void *), void *arg);

#if defined(SK_CONTEXT_PORTABLE)
void sk_context_switch_portable(sk_context *from, sk_context *to);

static inline void sk_context_switch(sk_context *from, sk_context *to)
{
    sk_context_switch_portable(from, to);
}
#elif defined(__x86_64__)
#include "fiber/context_x86_64.h"
#elif defined(__aarch64__)
#include "fiber/context_aarch64.h"
#endif

#endif
