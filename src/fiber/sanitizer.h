/*
 * sanitizer.h: what AddressSanitizer, ThreadSanitizer and Valgrind must be told
 * about fibers.  In a release build nothing of it exists.
 */
#ifndef SK_FIBER_SANITIZER_H
#define SK_FIBER_SANITIZER_H

#include "mem/sanitized.h"

#include <stddef.h>

#if SK_SANITIZED
struct sk_fiber;

typedef struct sk_fiber_san {
    void *tsan;              /* TSan's fiber */
    void *fake_stack;        /* ASan's, while suspended */
    const void *bottom;      /* lowest address that frames may use */
    size_t size;             /* from there to the descriptor */
    void *arg;               /* for the first entry */
    unsigned valgrind_stack; /* Valgrind's number of this stack */
    unsigned registered;     /* 1: the number is valid */
} sk_fiber_san;

/* sk_fiber_switch with the hooks around it. */
void sk_fiber_switch_sanitized(struct sk_fiber *from, struct sk_fiber *to);

/* A fiber about to be entered from the top. */
void sk_fiber_san_setup(struct sk_fiber *fiber, void *arg);

/* What such a fiber enters instead of its entry; the argument is the fiber. */
void sk_fiber_san_begin(void *fiber);

/* sk_fiber_restart, once the fiber has been set up anew. */
void sk_fiber_restart_sanitized(struct sk_fiber *fiber);

/* A thread's own stack. */
void sk_fiber_san_adopt(struct sk_fiber *fiber);
#endif

#endif
