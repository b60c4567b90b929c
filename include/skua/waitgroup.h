/*
 * waitgroup.h: waiting until a number of things are done.
 *
 * For tasks and foreign threads alike.  The count says how many are not done yet;
 * who waits goes on when it is 0.  Then it may be used again.  Add before starting
 * what is to be waited for, or it could be waited for in vain.  The memory may lie
 * on the stack of the one who waits: it is not touched any more once a wait has
 * returned 0, when nobody else will come, and no other wait is under way that may
 * end by a timeout or a cancel.
 *
 *   skua_waitgroup w = SKUA_WAITGROUP_INIT;
 *   skua_waitgroup_add(&w, 2);
 *   skua_go(work, &w); skua_go(work, &w);       ... skua_waitgroup_done(w); return 0;
 *   skua_waitgroup_wait(&w);
 *
 * Errors that every call may return and that are not repeated below: -EINVAL: NULL;
 * -ECHILD: in a fork(2)ed child.
 * Ordering: what was written before a call that has counted down is visible after
 * the wait that it ends.
 */
#ifndef SKUA_WAITGROUP_H
#define SKUA_WAITGROUP_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/time.h"

SKUA_BEGIN

/* All zeroes: nothing to wait for. Its fields are the library's. When nobody waits it needs no destruction. */
typedef struct skua_waitgroup {
    uint32_t lock, unused;
    uint64_t count;
    void *waiters[2];
} skua_waitgroup;

/* clang-format off */
#define SKUA_WAITGROUP_INIT {0, 0, 0, {NULL, NULL}}
/* clang-format on */

/*
 * Adds delta, which may be negative, to the count; at 0 all who wait go on.
 * Returns 0; -ERANGE: the count would be negative; -EOVERFLOW: it would exceed
 * INT64_MAX; it is unchanged then.
 * Context: any thread; never parks.
 */
SKUA_API int skua_waitgroup_add(skua_waitgroup *group, int64_t delta);

/* Counts down by one. Returns as skua_waitgroup_add(group, -1). */
SKUA_API int skua_waitgroup_done(skua_waitgroup *group);

/*
 * Waits until the count is 0.
 * Returns 0; -ECANCELED, -ETIMEDOUT: the calling task was cancelled, or its deadline
 * passed; -ENOMEM: no memory to wait with.
 * Context: any thread; may park.
 */
SKUA_API int skua_waitgroup_wait(skua_waitgroup *group);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_waitgroup_wait_for(skua_waitgroup *group, uint64_t timeout);

SKUA_END

#endif
