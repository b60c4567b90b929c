/*
 * once.h: something that the process makes once, and that may fail: then the
 * next caller tries again (pthread_once would remember the failure for good).
 *
 *   if (sk_once_begin(&once)) sk_once_end(&once, make() == 0);
 *
 * Any thread; the others wait, on a futex, while one is at it.
 */
#ifndef SK_OS_ONCE_H
#define SK_OS_ONCE_H

#include "base/atomic.h"
#include "base/base.h"
#include "os/clock.h"
#include "os/futex.h"

#include <stdint.h>

typedef struct sk_once {
    sk_atomic(uint32_t) state; /* 0: to be made; 1: somebody is at it; 2: made */
} sk_once;

/* True: the caller must make it, and say by sk_once_end how it went. False: it is there. */
static inline bool sk_once_begin(sk_once *once)
{
    for (;;) {
        uint32_t state = 0;
        /* [ON-A1] acquire; pairs with [ON-R1]: what was made is seen whole; and so is what a failed try left. */
        if (sk_likely(sk_load_acq(&once->state) == 2)) return false;
        /* [ON-A2] acquire; pairs with [ON-R1], as [ON-A1]. */
        if (sk_cas_acq(&once->state, &state, 1u)) return true;
        if (state == 1) sk_futex_wait(&once->state, 1, SK_NEVER);
    }
}

static inline void sk_once_end(sk_once *once, bool made)
{
    /* [ON-R1] release; pairs with [ON-A1] and [ON-A2]. */
    sk_store_rel(&once->state, made ? 2u : 0u);
    sk_futex_wake(&once->state, UINT32_MAX);
}

#endif
