/*
 * fiber.h: a stack with a suspended context, and the switch between two of them.
 *
 * The descriptor lives at the top of its own stack.  A fiber is in one of three
 * states: running on some thread, suspended, or cached (a suspended fiber that
 * nobody needs).  A cached fiber keeps its context: whoever gets it and switches
 * to it goes on where it stood.  Only a fresh one is entered from the top.
 *
 * All calls: any thread.  A fiber has one holder at a time; handing it over needs a
 * release and an acquire by whoever hands it over (the scheduler's state words).
 */
#ifndef SK_FIBER_FIBER_H
#define SK_FIBER_FIBER_H

#include "base/base.h"
#include "fiber/context.h"
#include "fiber/sanitizer.h"
#include "mem/stack.h"

typedef struct sk_fiber {
    sk_stack stack;        /* first; see mem/stack.h */
    sk_context context;    /* the holder's: where to go on; written by the switch away from it */
    void (*entry)(void *); /* the holder's: what a fresh fiber was entered by */
    void *owner;           /* the runner's: the task now on this stack, for the overflow report */
#if SK_SANITIZED
    sk_fiber_san san;
#endif
} sk_fiber; /* one cache line in a release build */

_Static_assert(sizeof(sk_fiber) <= SK_STACK_HEAD, "the descriptor must fit the head that mem/stack.h keeps for it");

void sk_fiber_setup(sk_fiber *fiber, void (*entry)(void *), void *arg);

/* Dies with a report when one of the topmost `bytes` of the page that stands for a guard has been written. */
void sk_fiber_canary_check(const sk_fiber *fiber, size_t bytes);

/* What a switch looks at; a put looks at the whole page. */
#define SK_FIBER_CANARY_GLANCE ((size_t)128)

/* A descriptor for the stack that the calling thread stands on, so that it can be switched away from. */
void sk_fiber_adopt(sk_fiber *fiber);

/*
 * A fiber to switch to.  A fresh one, and a cached one that was entered by
 * another function, will call entry(arg); any other goes on where it stood.
 * NULL: no memory.
 */
static inline sk_fiber *sk_fiber_get(sk_stack_cache *cache, unsigned cls, void (*entry)(void *), void *arg)
{
    sk_stack *stack = sk_stack_get(cache, cls);
    if (sk_unlikely(!stack)) return NULL;
    sk_fiber *fiber = sk_container_of(stack, sk_fiber, stack);
    if (sk_unlikely(stack->fresh || fiber->entry != entry)) sk_fiber_setup(fiber, entry, arg);
    return fiber;
}

/* Caches a suspended fiber as it stands.  Set stack.fresh before, and its next getter enters it from the top. */
static inline void sk_fiber_put(sk_stack_cache *cache, sk_fiber *fiber)
{
    if (sk_unlikely(fiber->stack.guard == SK_VM_GUARD_CANARY)) sk_fiber_canary_check(fiber, SK_VM_PAGE);
    sk_stack_put(cache, &fiber->stack);
}

/*
 * Leaves `from`, on which the caller stands, and goes on in `to`.  Returns when
 * someone switches to `from`, maybe on another thread: read no thread-local
 * address across it.
 */
static sk_always_inline void sk_fiber_switch(sk_fiber *from, sk_fiber *to)
{
    if (sk_unlikely(from->stack.guard == SK_VM_GUARD_CANARY)) sk_fiber_canary_check(from, SK_FIBER_CANARY_GLANCE);
#if SK_SANITIZED
    sk_fiber_switch_sanitized(from, to);
#else
    sk_context_switch(&from->context, &to->context);
#endif
}

/*
 * Forgets all frames on the stack of `fiber`, on which the caller stands, and
 * calls entry(arg) at its top, as in a fresh one.  What lies in these frames is
 * gone.  Needs no memory.
 */
_Noreturn void sk_fiber_restart(sk_fiber *fiber, void (*entry)(void *), void *arg);

#endif
