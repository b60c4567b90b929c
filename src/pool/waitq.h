/*
 * waitq.h: tasks and foreign threads that wait until some condition holds.
 *
 * An eventcount: whoever makes the condition true calls wake, which costs a
 * fence and a load while nobody waits, and else wakes all; each looks again.
 *
 *   waiter   announce (node on the stack, or thread count); full fence; look;
 *            sleep
 *   waker    make it true; full fence; look for the announced; wake all
 *
 * so that one of the two sees the other.  A task's announcement is a node of
 * type-stable memory on a Treiber stack that wakers empty in one exchange:
 *
 *   WAITING -> WOKEN      a waker took it and will unpark the task; the task frees it
 *   WAITING -> ABANDONED  the task gave up (timeout, cancel); who takes it frees it
 *
 *   operation   by                      progress
 *   wait        task (parks), thread (blocks)
 *   wake        any thread              lock-free
 */
#ifndef SK_POOL_WAITQ_H
#define SK_POOL_WAITQ_H

#include "base/atomic.h"
#include "base/base.h"

typedef struct sk_waitq_node sk_waitq_node;

/* Whether the wait is over. */
typedef bool sk_waitq_ready(void *ctx);

typedef struct sk_waitq {
    sk_atomic(uint32_t) sequence;     /* wakers bump it when threads wait: their futex */
    sk_atomic(uint32_t) threads;      /* threads announced */
    sk_atomic(sk_waitq_node *) tasks; /* tasks announced, newest first */
} sk_waitq;

void sk_waitq_init(sk_waitq *q);

/*
 * Waits until ready(ctx) is true, at most until `deadline` (SK_NEVER: no limit).
 * 0; -ETIMEDOUT; in a task also -ECANCELED, -ETIMEDOUT (its own deadline) and
 * -ENOMEM.  ready is called on any stack, also while the task is parked.
 */
int sk_waitq_wait(sk_waitq *q, sk_waitq_ready *ready, void *ctx, uint64_t deadline);

void sk_waitq_wake_slow(sk_waitq *q);

/* After making something true: whether anybody waits. Full fence included. */
static inline bool sk_waitq_any(sk_waitq *q)
{
    sk_fence_sc(); /* [WQ-F4] full fence; pairs with [WQ-F2] and [WQ-F3], as [WQ-F1]. */
    return sk_load_rlx(&q->threads) || sk_load_rlx(&q->tasks);
}

/* The same after making something true by a sequentially consistent operation: then it needs no fence. */
static inline void sk_waitq_wake_behind(sk_waitq *q)
{
    /* [WQ-A4] sequentially consistent, both; pair with [WQ-F2] and [WQ-F3]: in the single order they come after what
       was made true, and that, when a waiter has not seen it, after the waiter's fence. */
    if (sk_unlikely(sk_load_sc(&q->threads) || sk_load_sc(&q->tasks))) sk_waitq_wake_slow(q);
}

/* After making something true: wakes all who wait. Any thread. */
static inline void sk_waitq_wake(sk_waitq *q)
{
    /* [WQ-F1] full fence; pairs with [WQ-F2]: the condition before the look for waiters. Without it a waiter that has
       just found the condition false could be missed, and sleep for ever. */
    sk_fence_sc();
    if (sk_unlikely(sk_load_rlx(&q->threads) || sk_load_rlx(&q->tasks))) sk_waitq_wake_slow(q);
}

#endif
