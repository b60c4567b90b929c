/*
 * mutex.h: a mutex that parks the task, not the thread.
 *
 * For tasks and for foreign threads (which block) alike, in any mixture.  It may be held across calls that park, and a
 * task may unlock it on another thread than it locked it on.  Those who come first get it first, but whoever comes
 * while it is free takes it at once; who has waited for 1 ms is handed it in turn.
 *
 * It is not recursive: who locks twice waits for itself.  It has no owner: any task or thread may unlock it.  A mutex
 * that nobody holds or waits for needs no destruction, and whoever has locked it may free its memory after unlocking,
 * when nobody else will come.
 *
 *   static skua_mutex m = SKUA_MUTEX_INIT;
 *   if (skua_mutex_lock(&m) == 0) { count++; skua_mutex_unlock(&m); }
 */
#ifndef SKUA_MUTEX_H
#define SKUA_MUTEX_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"

SKUA_BEGIN

/* All zeroes: unlocked. Its fields are the library's. */
typedef struct skua_mutex {
    uint64_t word;
    void *first, *last;
} skua_mutex;

/* clang-format off */
#define SKUA_MUTEX_INIT {0, NULL, NULL}
/* clang-format on */

/*
 * Locks it, waiting for as long as it takes.
 * Returns 0; -ECANCELED or -ETIMEDOUT: it was held, and the calling task was cancelled or its deadline passed
 * before it got it; -EINVAL: NULL; -ENOMEM; -ECHILD.  Unless it returns 0 the mutex is not the caller's.
 * Context: any thread; may park.
 * Ordering: what was written before an unlock is visible after the lock that follows it.
 */
SKUA_API int skua_mutex_lock(skua_mutex *mutex);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0 does not wait. */
SKUA_API int skua_mutex_lock_for(skua_mutex *mutex, uint64_t timeout);

/* Locks it if it is free. Returns 0; -EBUSY: it is held; -EINVAL; -ECHILD. Any thread; never parks. */
SKUA_API int skua_mutex_trylock(skua_mutex *mutex);

/*
 * Unlocks it, and wakes the one whose turn it is.
 * Returns 0; -EPERM: nobody holds it; -EINVAL; -ECHILD.
 * Context: any thread, not necessarily the one that locked it; never parks.
 */
SKUA_API int skua_mutex_unlock(skua_mutex *mutex);

SKUA_END

#endif
