/*
 * locker.h: a lock by choice.
 *
 * Callbacks that must not overlap take a locker: two functions and a context.  Make your own, over any lock you like,
 * or take a ready one: over skua's parking mutex, or over one of ConcurrencyKit's spinlocks.  Those that take one are
 * the result callbacks of pools (skua_ended), skua_future_then, and skua_progress_start.  All calls that share a lock
 * are made one at a time; the lock is let go when the callback returns, and when it gives up its task.
 *
 * lock must return only when the lock is held, and unlock may be called on another thread than lock when the
 * callback in between parks: so a pthread_mutex will do only under callbacks that do not park.
 *
 * Under a spinlock nothing may park or block at all: a waiter keeps its worker, so that the holder may never get one
 * to go on with.  Spinlocks are for sections of nanoseconds on machines with a processor for each worker; if in doubt
 * take the mutex.
 *
 *   static skua_mutex mutex = SKUA_MUTEX_INIT;
 *   static skua_locker locker;
 *   skua_locker_mutex(&locker, &mutex);
 *   skua_submit_options o = {.ended = {.fn = add_up, .ctx = &sum, .locker = &locker}};
 *
 * Everybody else locks it by skua_locker_lock.
 */
#ifndef SKUA_LOCKER_H
#define SKUA_LOCKER_H

#include <stdint.h>

#include "skua/api.h"
#include "skua/mutex.h"

SKUA_BEGIN

/* Copy it freely; what ctx points to is shared. */
typedef struct skua_locker {
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    void *ctx;
} skua_locker;

/* Storage of a spinlock, FAS or ticket. Its fields are the library's. */
typedef struct skua_spinlock {
    uint64_t space[2];
} skua_spinlock;

#define SKUA_MCS_PLACES 16

/* Storage of an MCS lock: a place of one cache line for each who waits; more than these take turns. */
typedef struct skua_mcs {
    uint64_t space[8 * (1 + SKUA_MCS_PLACES)];
} skua_mcs;

/*
 * A locker over the mutex, which others may lock beside it.  Its lock does not fail: a task that has been cancelled
 * waits as well, and keeps a thread meanwhile, as in a blocking call.
 * Returns 0; -EINVAL: NULL; -ECHILD.  Any thread; never parks; its lock may park.
 */
SKUA_API int skua_locker_mutex(skua_locker *out, skua_mutex *mutex);

/*
 * Lockers over ConcurrencyKit's spinlocks, made in `storage`, which must outlive them:
 *   fas     fetch and store: the fastest without contention, in no order
 *   ticket  first come first served
 *   mcs     first come first served, each waiter spins on a cache line of its own
 * Return 0; -EINVAL: NULL; -ECHILD.  Any thread; never park, nor do their locks: these spin.
 */
SKUA_API int skua_locker_fas(skua_locker *out, skua_spinlock *storage);
SKUA_API int skua_locker_ticket(skua_locker *out, skua_spinlock *storage);
SKUA_API int skua_locker_mcs(skua_locker *out, skua_mcs *storage);

/*
 * Locks and unlocks.  Return 0; -EINVAL: NULL, or a function of it is; -ECHILD.
 * Context: that of the locker's own functions.
 */
SKUA_API int skua_locker_lock(const skua_locker *locker);
SKUA_API int skua_locker_unlock(const skua_locker *locker);

SKUA_END

#endif
