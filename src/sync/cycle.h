/*
 * cycle.h: finding locks that wait for each other, in builds with debug_checks.
 *
 * A lock with one holder calls, on behalf of whoever runs on the calling thread:
 *
 *   sk_cycle_holds(lock)    once it has got the lock
 *   sk_cycle_drops(lock)    before it gives the lock up, or passes it on
 *   sk_cycle_waits(lock)    before it waits for the lock: reports a cycle that this closes
 *   sk_cycle_waits_no_more  when that is over, whether it has got the lock or not
 *
 * In other builds, in models and in the simulator they are nothing.
 */
#ifndef SK_SYNC_CYCLE_H
#define SK_SYNC_CYCLE_H

#include "base/base.h"
#include "skua/cycle.h"

#if defined(SK_DEBUG) && !defined(SK_MODEL) && !defined(SK_SIM)
#define SK_CYCLES 1
void sk_cycle_holds(const void *lock);
void sk_cycle_drops(const void *lock);
void sk_cycle_waits(const void *lock);
void sk_cycle_waits_no_more(void);
#else
static inline void sk_cycle_holds(const void *lock)
{
    (void)lock;
}
static inline void sk_cycle_drops(const void *lock)
{
    (void)lock;
}
static inline void sk_cycle_waits(const void *lock)
{
    (void)lock;
}
static inline void sk_cycle_waits_no_more(void)
{
}
#endif

#endif
