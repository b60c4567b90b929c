/*
 * cond.h: waiting, under a mutex, until somebody says that something has changed.
 *
 * For tasks and foreign threads alike.  The rule is the usual one: change what is
 * waited for under the mutex, then signal, still under it or just after; wait in a
 * loop that looks again, since somebody else may have been faster.  A wait never
 * ends without a signal, a timeout or a cancel, and no signal is lost: one that
 * comes after the mutex was let go finds the waiter.
 *
 *   skua_mutex_lock(&m);
 *   while (empty(queue) && !error) error = skua_cond_wait(&filled, &m);   (cancelled?)
 *   if (!error) take(queue);
 *   skua_mutex_unlock(&m);
 */
#ifndef SKUA_COND_H
#define SKUA_COND_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/mutex.h"
#include "skua/time.h"

SKUA_BEGIN

/* All zeroes: nobody waits. Its fields are the library's. When nobody waits it needs no destruction. */
typedef struct skua_cond {
    uint32_t lock, unused;
    void *waiters[2];
} skua_cond;

/* clang-format off */
#define SKUA_COND_INIT {0, 0, {NULL, NULL}}
/* clang-format on */

/*
 * Unlocks the mutex, waits to be woken by signal or broadcast, and locks it again.
 * Returns 0; -ECANCELED, -ETIMEDOUT: the calling task was cancelled, or its deadline
 * passed: then it has taken no signal; -EPERM: nobody holds the mutex; -EINVAL:
 * NULL; -ENOMEM: no memory to wait with; -ECHILD.  With any result the mutex is as
 * it was: locked, however long that takes, unless -EPERM, -EINVAL or -ECHILD.
 * Context: any thread; may park.
 */
SKUA_API int skua_cond_wait(skua_cond *cond, skua_mutex *mutex);

/* The same, but waits for at most `timeout` ns to be woken: then -ETIMEDOUT. 0 only lets the mutex go for a moment;
   SKUA_FOREVER. */
SKUA_API int skua_cond_wait_for(skua_cond *cond, skua_mutex *mutex, uint64_t timeout);

/* Wakes the one who has waited longest, if anybody waits. Returns 0; -EINVAL; -ECHILD. Any thread; never parks. */
SKUA_API int skua_cond_signal(skua_cond *cond);

/* Wakes all who wait. Returns 0; -EINVAL; -ECHILD. Any thread; never parks. */
SKUA_API int skua_cond_broadcast(skua_cond *cond);

SKUA_END

#endif
