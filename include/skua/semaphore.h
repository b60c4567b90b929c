/*
 * semaphore.h: permits, of which a caller may take several at once.
 *
 * For tasks and foreign threads alike.  Who waits is served first come, first
 * served: nobody passes one who waits for many, so a large acquire gets its turn.
 * Permits have no owner: whoever may release them.  A semaphore knows its maximum,
 * so that an acquire that could never succeed and a release too many are errors.
 *
 *   static skua_semaphore doors = SKUA_SEMAPHORE_INIT(3, 3);    (3 permits, of 3)
 *   if (skua_semaphore_acquire(&doors, 1) == 0) { enter(); skua_semaphore_release(&doors, 1); }
 *
 * Errors that every call may return and that are not repeated below: -EINVAL: NULL;
 * -ECHILD: in a fork(2)ed child.
 * Ordering: what was written before a release is visible after an acquire that gets
 * its permits.
 */
#ifndef SKUA_SEMAPHORE_H
#define SKUA_SEMAPHORE_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/time.h"

SKUA_BEGIN

/* All zeroes: none of 0 permits, so that every use of it for more than nothing is an error. Its fields are the
   library's. When nobody waits it needs no destruction. */
typedef struct skua_semaphore {
    uint32_t lock, unused;
    uint64_t permits, maximum;
    void *waiters[2];
} skua_semaphore;

/* clang-format off */
#define SKUA_SEMAPHORE_INIT(permits, maximum) {0, 0, (permits), (maximum), {NULL, NULL}}
/* clang-format on */

/* The same for one that is not static. Returns 0; -EINVAL: maximum 0, or more permits than that. Nobody uses it yet. */
SKUA_API int skua_semaphore_init(skua_semaphore *semaphore, uint64_t permits, uint64_t maximum);

/*
 * Takes n permits, all at once; waits until it is its turn and there are so many.
 * Returns 0; -EINVAL: n exceeds the maximum; -ECANCELED, -ETIMEDOUT: the calling task
 * was cancelled, or its deadline passed, before it got them; -ENOMEM: no memory to
 * wait with.  With an error it has taken none.  n = 0 always succeeds.
 * Context: any thread; may park.
 */
SKUA_API int skua_semaphore_acquire(skua_semaphore *semaphore, uint64_t n);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_semaphore_acquire_for(skua_semaphore *semaphore, uint64_t n, uint64_t timeout);

/* Takes n permits if that needs no waiting. Returns 0; -EAGAIN: there are too few, or others wait; -EINVAL. Never
   parks. */
SKUA_API int skua_semaphore_try_acquire(skua_semaphore *semaphore, uint64_t n);

/* Gives n permits back, or makes them. Returns 0; -EOVERFLOW: there would be more than the maximum; nothing has
   changed. Any thread; never parks. */
SKUA_API int skua_semaphore_release(skua_semaphore *semaphore, uint64_t n);

/* How many permits there are at this moment; 0 for NULL. Never parks. */
SKUA_API uint64_t skua_semaphore_available(const skua_semaphore *semaphore);

SKUA_END

#endif
