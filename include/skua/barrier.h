/*
 * barrier.h: a place where a number of parties wait for each other, again and again.
 *
 * For tasks and foreign threads alike.  When the last of the parties comes all go on,
 * and the next round begins.  A party that has come and goes away without the
 * others, because it was cancelled or is late, breaks the barrier: the others would
 * wait for ever.  They get -EPIPE then, and so does everybody who comes, until the
 * barrier is reset (as Java's CyclicBarrier has it).  Its memory may be freed by one
 * who has waited, once all parties have come and none will come again, if none of
 * their waits may end by a timeout or a cancel.
 *
 *   static skua_barrier b = SKUA_BARRIER_INIT(4);
 *   for (;;) { work_on(part); if (skua_barrier_wait(&b) < 0) break; }
 *
 * Errors that every call may return and that are not repeated below: -EINVAL: NULL;
 * -ECHILD: in a fork(2)ed child.
 * Ordering: what any party wrote before it came is visible to all after the wait.
 */
#ifndef SKUA_BARRIER_H
#define SKUA_BARRIER_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/time.h"

SKUA_BEGIN

/* Its fields are the library's. All zeroes: for no parties, so that every wait is an error. When nobody waits it needs
   no destruction. */
typedef struct skua_barrier {
    uint32_t lock, parties, come, broken;
    void *waiters[2];
} skua_barrier;

/* clang-format off */
#define SKUA_BARRIER_INIT(parties) {0, (parties), 0, 0, {NULL, NULL}}
/* clang-format on */

/* The same for one that is not static. Returns 0; -EINVAL: no parties. Nobody uses it yet. */
SKUA_API int skua_barrier_init(skua_barrier *barrier, uint32_t parties);

/*
 * Comes, and waits for the others.
 * Returns 1 to the party that came last, 0 to the others; -EPIPE: the barrier is
 * broken, or was reset meanwhile; -ECANCELED, -ETIMEDOUT: the calling task was
 * cancelled, or its deadline passed: it has broken the barrier; -ENOMEM: no memory to
 * wait with: if the party had come already, it has broken the barrier; -EINVAL: a
 * barrier for no parties.
 * Context: any thread; may park.
 */
SKUA_API int skua_barrier_wait(skua_barrier *barrier);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT, and the barrier is broken. 0: comes only if it is the
   last, else -ETIMEDOUT, and nothing has happened; SKUA_FOREVER. */
SKUA_API int skua_barrier_wait_for(skua_barrier *barrier, uint64_t timeout);

/* Makes it whole again; those who wait in it get -EPIPE. Returns 0. Any thread; never parks. */
SKUA_API int skua_barrier_reset(skua_barrier *barrier);

/* Whether it is broken: 1 or 0; 0 for NULL. Never parks. */
SKUA_API int skua_barrier_is_broken(const skua_barrier *barrier);

SKUA_END

#endif
