/*
 * lane.h: tasks one after another, in order.
 *
 * A lane runs its tasks one at a time, in the order in which they were submitted;
 * other lanes go on beside it.  What one task of a lane has written the next one
 * sees, without a lock.  A lane that has nothing to do costs nothing, and one that
 * has holds one place of its pool, only while it runs something.
 *
 *   skua_lanes *lanes;
 *   skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool});
 *   skua_lanes_submit(lanes, account->number, book, entry);
 *
 * Keys.  skua_lanes has a fixed number of lanes, and a key always leads to the same
 * one.  Two keys may lead to the same lane: then their tasks wait for each other
 * more than they need to, and nothing else happens.  With n lanes and k keys that
 * have something to do, the odds that a given one shares its lane are about k / n:
 * of 100 busy keys on 1024 lanes some 9 do.
 *
 * Turns.  While other lanes, or others who submit to the pool, wait for a place, a
 * lane gives its place up after each task and gets in line again.  So no lane
 * starves, however much another one has to do.
 *
 * A task of a lane is a task of the pool: it counts as one there from its
 * submission on, is cancelled with it, and may park (the lane waits), give up (the
 * lane goes on with the next), and submit to its own lane (which never blocks).
 * To wait for its own lanes is -EDEADLK.  It has no place in the pool's queue
 * but in its lane: neither the bound of that queue nor what happens when it is
 * full concerns it.  How much may wait in the lanes is bounded by `queued_most`.
 *
 * Errors that every call may return and that are not repeated below:
 *   -EINVAL     no lanes, no function, an option out of range
 *   -ESHUTDOWN  the lanes or their pool were stopped or released, or the
 *               runtime is stopping
 *   -ECHILD     the process is a fork(2)ed child
 * and every call that may park those of pool.h.
 */
#ifndef SKUA_LANE_H
#define SKUA_LANE_H

#include <stdint.h>

#include "skua/api.h"
#include "skua/pool.h"

SKUA_BEGIN

typedef struct skua_lanes skua_lanes;

#define SKUA_LANES_MAX 65536

typedef struct skua_lanes_options {
    skua_pool *pool;       /* whose places the lanes take; NULL: none, any number of lanes run */
    skua_runtime *runtime; /* without a pool; NULL: the caller's, else the default one */
    uint32_t lanes;        /* 1 to SKUA_LANES_MAX, rounded up to a power of two; 0: 1024 (128 bytes each) */
    uint32_t limit;        /* lanes that run something at a time; 0: as many as the pool has places for */
    uint32_t queued_most;  /* tasks accepted and not ended, in all lanes, at most SKUA_POOL_QUEUE_MAX; one more gets
                              -EAGAIN; 0: 2^20 */
} skua_lanes_options;

/*
 * Makes lanes; options == NULL: all 0.
 * Returns 0; -ERANGE: lanes or limit; -EOVERFLOW: queued_most; -ENOTSUP: the pool is of another runtime, or it is
 * measured; -ENOMEM. Context: any thread; never parks.
 */
SKUA_API int skua_lanes_create(skua_lanes **out, const skua_lanes_options *options);

/*
 * Submits fn(arg) to the lane of a key (any number: a pointer, a hash).
 * Returns 0: accepted, it will end in exactly one state; -EAGAIN: queued_most is
 * reached; -ENOMEM.
 * Context: any thread; never parks.
 * Ordering: what the caller wrote before is visible to the task, and what earlier
 * tasks of the lane wrote.
 */
SKUA_API int skua_lanes_submit(skua_lanes *lanes, uint64_t key, skua_fn *fn, void *arg);

/* Which lane a key leads to: 0 and up; or an error. Any thread; never parks. */
SKUA_API int skua_lanes_of_key(skua_lanes *lanes, uint64_t key);

/* Waits until every accepted task has ended, at most `timeout` ns; as skua_pool_wait. */
SKUA_API int skua_lanes_wait(skua_lanes *lanes, uint64_t timeout);

/* Asks every accepted task to end: what has not started ends as cancelled when its turn comes. As skua_pool_cancel. */
SKUA_API int64_t skua_lanes_cancel(skua_lanes *lanes);

/* No lane starts another task until resume. As skua_pool_pause. */
SKUA_API int skua_lanes_pause(skua_lanes *lanes);
SKUA_API int skua_lanes_resume(skua_lanes *lanes);

/* Refuses new tasks and waits until all accepted ones have ended; now: what is queued ends as dropped. As
   skua_pool_stop, skua_pool_stop_now, skua_pool_restart. */
SKUA_API int skua_lanes_stop(skua_lanes *lanes, uint64_t timeout);
SKUA_API int skua_lanes_stop_now(skua_lanes *lanes, uint64_t timeout);
SKUA_API int skua_lanes_restart(skua_lanes *lanes);

/* Stops the lanes without a time limit and frees them. As skua_pool_release. */
SKUA_API int skua_lanes_release(skua_lanes *lanes);

/*
 * Of all lanes together, as skua_pool_stats: it adds up at every moment.  queued:
 * waiting in the lanes; limit and free: of the option `limit`; refused: by
 * queued_most; queue, waiting and retried: 0.
 */
SKUA_API int skua_lanes_stats(skua_lanes *lanes, skua_pool_counts *out);

/* ---- one lane ---- */

/* skua_lanes with one lane, for those who have no keys. For many of them use skua_lanes. */
typedef struct skua_lane skua_lane;

/* Over a pool; NULL: over none, on the caller's runtime, else the default one. Returns as skua_lanes_create. */
SKUA_API int skua_lane_create(skua_lane **out, skua_pool *pool);

/* As the calls for skua_lanes. */
SKUA_API int skua_lane_submit(skua_lane *lane, skua_fn *fn, void *arg);
SKUA_API int skua_lane_wait(skua_lane *lane, uint64_t timeout);
SKUA_API int64_t skua_lane_cancel(skua_lane *lane);
SKUA_API int skua_lane_stop(skua_lane *lane, uint64_t timeout);
SKUA_API int skua_lane_stats(skua_lane *lane, skua_pool_counts *out);
SKUA_API int skua_lane_release(skua_lane *lane);

SKUA_END

#endif
