/*
 * parking.h: waiting at an address, as futex(2) does for threads; for those who build
 * locks of their own.
 *
 * For tasks and foreign threads alike.  A word of 32 bits, anywhere in memory, is all
 * that such a lock needs: waiters are kept elsewhere, by address.  Whoever changes
 * the word and wakes afterwards misses nobody who saw the old value: the comparison
 * and the beginning of the wait are one step.  The address is only a key to skua_
 * unpark_on: the memory may be gone by then.  Those at one address are woken in the
 * order in which they came.  A return of 0 says only "look again".
 *
 *   while ((seen = atomic_load(&word)) == TAKEN) skua_park_on(&word, TAKEN, SKUA_FOREVER);
 *   atomic_store(&word, FREE); skua_unpark_on(&word, 1);
 *
 * Errors of both: -EINVAL: NULL, or an address that is no multiple of 4; -ECHILD: in a
 * fork(2)ed child.
 * Ordering: what was written before a wake-up is visible after the wait that it ends.
 */
#ifndef SKUA_PARKING_H
#define SKUA_PARKING_H

#include <stdint.h>

#include "skua/api.h"
#include "skua/time.h"

SKUA_BEGIN

/*
 * Waits at the address of a word of 32 bits, if it holds `expected`, for at most
 * `timeout` ns (0: not at all; SKUA_FOREVER).
 * Returns 0: woken; -EAGAIN: the word holds something else; -ETIMEDOUT; in a task
 * also -ECANCELED, and -ETIMEDOUT when its deadline passed; -ENOMEM: no memory to wait
 * with.  With an error it has taken no wake-up.
 * Context: any thread; may park.
 */
SKUA_API int skua_park_on(const void *address, uint32_t expected, uint64_t timeout);

/* Wakes up to n of those who wait at the address. Returns how many. Any thread; never parks. */
SKUA_API int skua_unpark_on(const void *address, uint32_t n);

SKUA_END

#endif
