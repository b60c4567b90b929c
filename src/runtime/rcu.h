/*
 * rcu.h: read-copy-update for what thieves read without locks and the monitor
 * replaces: the worker table and outgrown deque buffers.
 *
 * A thin layer over liburcu's memb flavour (a worker that is busy in user code
 * for a second must not hold up a grace period).  Every thread of ours is
 * registered; a section never spans a fiber switch; only the monitor waits for
 * grace periods.  liburcu is opaque to ThreadSanitizer, so its edges are told
 * here: the end of a section happens before the end of a grace period.
 */
#ifndef SK_RUNTIME_RCU_H
#define SK_RUNTIME_RCU_H

#include "base/atomic.h"

#include <urcu/urcu-memb.h>

#ifdef SK_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
__attribute__((weak)) char sk_rcu_edge; /* weak: one in the program, without a file of its own */
#define SK_RCU_LEFT() __tsan_release(&sk_rcu_edge)
#define SK_RCU_WAITED() __tsan_acquire(&sk_rcu_edge)
#else
#define SK_RCU_LEFT() ((void)0)
#define SK_RCU_WAITED() ((void)0)
#endif

/* Any registered thread. Nothing in between may park, switch or block. */
static inline void sk_rcu_enter(void)
{
    urcu_memb_read_lock();
}

static inline void sk_rcu_leave(void)
{
    SK_RCU_LEFT();
    urcu_memb_read_unlock();
}

/* The monitor, and whoever releases a runtime: returns when every section that was open has been left. */
static inline void sk_rcu_wait(void)
{
    urcu_memb_synchronize_rcu();
    SK_RCU_WAITED();
}

#endif
