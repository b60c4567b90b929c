/*
 * pool.h: pools.
 *
 * A pool limits how many of its tasks run at a time and queues the rest.  It
 * owns no threads: its tasks run on the workers of a runtime.  A task counts
 * as running from its start to its return, parked or not.
 */
#ifndef SKUA_POOL_H
#define SKUA_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/task.h"

SKUA_BEGIN

typedef struct skua_pool skua_pool;

#define SKUA_POOL_QUEUE_MAX (1u << 24)

typedef struct skua_pool_options {
    skua_runtime *runtime; /* NULL: the caller's runtime, or the default one */
    uint32_t limit;        /* tasks running at a time; 0: no limit */
    uint32_t queue;        /* tasks that may wait for their start, 1 to SKUA_POOL_QUEUE_MAX; 0: 1024 */
} skua_pool_options;

/*
 * Makes a pool; options == NULL: no limit, the default runtime.
 * Returns 0; -EINVAL; -ENOMEM; -ESHUTDOWN: the runtime is stopping; -ECHILD.
 * Context: any thread; never parks.
 */
SKUA_API int skua_pool_create(skua_pool **out, const skua_pool_options *options);

/*
 * Submits fn(arg).  While the queue is full the calling task parks (a foreign
 * thread blocks).
 * Returns 0: accepted, it will end in exactly one state; -EINVAL; -ENOMEM;
 * -ESHUTDOWN: the pool was released or its runtime is stopping; -ECANCELED or
 * -ETIMEDOUT: the calling task was cancelled or its deadline passed while it
 * waited; -EDEADLK: the calling task is one of this pool, and all others that
 * run in it wait for room in its queue already; -ECHILD.
 * Context: any thread; may park.
 */
SKUA_API int skua_pool_submit(skua_pool *pool, skua_fn *fn, void *arg);

/* The same, but -EAGAIN instead of waiting when the queue is full. Never parks. */
SKUA_API int skua_pool_try_submit(skua_pool *pool, skua_fn *fn, void *arg);

/*
 * Waits until every accepted task has ended, at most `timeout` ns.
 * Returns 0; -ETIMEDOUT; -EDEADLK: called from a task of this pool;
 * -ECANCELED: the calling task was cancelled; -ENOMEM: no memory to wait with;
 * -ESHUTDOWN: the pool was released.
 * Context: any thread; may park.
 */
SKUA_API int skua_pool_wait(skua_pool *pool, uint64_t timeout);

/*
 * Refuses new tasks, waits until every accepted one has ended, frees the pool.
 * Returns 0; -EDEADLK: called from a task of this pool; -ESHUTDOWN: released
 * already; -ECANCELED, -ENOMEM: the calling task was cancelled, or there is no
 * memory to wait with (the pool stays closed to new tasks; call again).
 * Context: any thread; may park.
 */
SKUA_API int skua_pool_release(skua_pool *pool);

/*
 * At every moment: submitted = queued + running + done + failed + cancelled + expired + dropped.  While the queue is
 * not empty, up to 64 places that are being filled may count as running, and done is smaller by as many; a pool at rest
 * is counted exactly.
 */
typedef struct skua_pool_counts {
    uint64_t submitted; /* tasks accepted */
    uint64_t queued;    /* of these, waiting for their start */
    uint64_t running;   /* started and not ended, parked ones included */
    uint64_t done, failed, cancelled, expired, dropped;
    uint32_t limit, queue; /* as configured */
} skua_pool_counts;

/* A snapshot. Returns 0; -EINVAL; -ESHUTDOWN. Any thread; never parks. */
SKUA_API int skua_pool_stats(skua_pool *pool, skua_pool_counts *out);

SKUA_END

#endif
