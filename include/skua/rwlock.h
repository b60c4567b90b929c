/*
 * rwlock.h: a lock that many readers share, or one writer has.
 *
 * For tasks and foreign threads alike; it may be held across calls that park, and
 * be unlocked on another thread than it was locked on.  Neither side starves: while
 * a writer waits, new readers wait behind it; when a writer unlocks, all readers
 * that wait by then go first, together.  Writers go in the order in which they came.
 *
 * It is not recursive, and has no owner.  In particular, a reader that locks for
 * reading once more waits for itself as soon as a writer waits in between.  A
 * reader cannot become a writer without unlocking.  A lock that nobody holds or
 * waits for needs no destruction.
 *
 *   static skua_rwlock l = SKUA_RWLOCK_INIT;
 *   if (skua_rwlock_read_lock(&l) == 0) { look(); skua_rwlock_read_unlock(&l); }
 *
 * Errors that every call may return and that are not repeated below: -EINVAL: NULL;
 * -ECHILD: in a fork(2)ed child; and those that wait: -ECANCELED, -ETIMEDOUT: the
 * calling task was cancelled, or its deadline passed, before it got the lock;
 * -ENOMEM: no memory to wait with.  Unless a call returns 0 the lock is not the
 * caller's.
 * Ordering: what was written before an unlock is visible after a lock that follows
 * it, unless both are for reading.
 */
#ifndef SKUA_RWLOCK_H
#define SKUA_RWLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/time.h"

SKUA_BEGIN

/* All zeroes: free. Its fields are the library's. */
typedef struct skua_rwlock {
    uint32_t lock;
    int32_t held;
    void *readers[2], *writers[2];
} skua_rwlock;

/* clang-format off */
#define SKUA_RWLOCK_INIT {0, 0, {NULL, NULL}, {NULL, NULL}}
/* clang-format on */

/* Locks it for reading; waits while a writer has it or waits for it. Returns 0; -EOVERFLOW: it has 2^31 - 1 readers.
   Any thread; may park. */
SKUA_API int skua_rwlock_read_lock(skua_rwlock *lock);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_rwlock_read_lock_for(skua_rwlock *lock, uint64_t timeout);

/* Locks it for reading if that needs no waiting. Returns 0; -EBUSY: it does; -EOVERFLOW. Any thread; never parks. */
SKUA_API int skua_rwlock_read_trylock(skua_rwlock *lock);

/* Gives up one reader's hold; the last lets a writer in. Returns 0; -EPERM: no reader holds it. Never parks. */
SKUA_API int skua_rwlock_read_unlock(skua_rwlock *lock);

/* Locks it for writing; waits while anybody holds it. Returns 0. Any thread; may park. */
SKUA_API int skua_rwlock_write_lock(skua_rwlock *lock);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_rwlock_write_lock_for(skua_rwlock *lock, uint64_t timeout);

/* Locks it for writing if it is free. Returns 0; -EBUSY: it is not. Any thread; never parks. */
SKUA_API int skua_rwlock_write_trylock(skua_rwlock *lock);

/* Ends the writer's hold; lets the readers in that wait, or the next writer. Returns 0; -EPERM: no writer holds it.
   Never parks. */
SKUA_API int skua_rwlock_write_unlock(skua_rwlock *lock);

SKUA_END

#endif
