/* fibers.h: how the tests of src/fiber start a fiber and go to it. */
#ifndef SK_FIBERS_H
#define SK_FIBERS_H

#include "support/test.h"

#include "fiber/fiber.h"
#include "mem/arena.h" /* before the name `base` below */

#define CLS SK_STACK_CLASS_DEFAULT

static sk_stack_cache cache sk_unused;
static sk_fiber base;

/* What a test's fiber is given: itself, and a place to count. */
typedef struct job {
    sk_fiber *self;
    long count;
    int reason;
} job;

/* TSan is told that a switch orders nothing, so that it finds races between tasks of one worker; a scheduler's state
   words order what must be, and here this. */
static sk_atomic(uint32_t) baton;

static inline void arrive(void)
{
    sk_add_ar(&baton, 1u);
}

/* Inline, so that the compiler has reasons to keep its values in registers across the switch. */
static inline __attribute__((always_inline)) void go(sk_fiber *from, sk_fiber *to)
{
    sk_add_ar(&baton, 1u);
    sk_fiber_switch(from, to);
    arrive();
}

static inline sk_fiber *start(void (*entry)(void *), job *j, unsigned cls)
{
    sk_fiber *f = sk_fiber_get(&cache, cls, entry, j);
    SK_EXPECT(f != NULL);
    j->self = f;
    return f;
}

#endif
