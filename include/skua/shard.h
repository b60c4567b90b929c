/*
 * shard.h: several pools that are used as one.
 *
 * One pool has one queue, and many who submit to it at once get in each other's
 * way there.  Shards are pools alike, each with a limit and a queue of its own,
 * over which the submissions are spread.  What is submitted from one thread may so
 * start in another order, also on one worker: each shard keeps its order.
 *
 *   skua_shards *shards;
 *   skua_shards_create(&shards, &(skua_shards_options){.n = 10, .pool = {.limit = 5}});
 *   for (size_t i = 0; i < n; i++) skua_shards_submit(shards, work, &items[i]);
 *   skua_shards_wait(shards, SKUA_FOREVER);
 *   skua_shards_release(shards);
 *
 * A full shard.  No task waits, is refused, or takes another one's place while
 * some shard has room: when the one whose turn it is is full, the others are asked
 * in turn, and only when all are does the policy of the pools decide, in that one.
 *
 * Errors are those of the calls of pool.h that have these names; where they say
 * "the pool", it is all shards together.
 */
#ifndef SKUA_SHARD_H
#define SKUA_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/pool.h"

SKUA_BEGIN

typedef struct skua_shards skua_shards;

#define SKUA_SHARDS_MAX 1024

/* Which shard gets a task. */
typedef enum skua_shards_pick {
    SKUA_SHARDS_ROUND_ROBIN = 0, /* one after another: of n submissions in a row, by whomever, each shard gets one */
    SKUA_SHARDS_LEAST_LOADED     /* one with the fewest tasks queued and running: of all when there are up to 8, else
                                    of two, one in turn and one at random; of equals the one whose turn it is */
} skua_shards_pick;

typedef struct skua_shards_options {
    skua_pool_options pool; /* of each shard: limit and queue are its own */
    uint32_t n;             /* 1 to SKUA_SHARDS_MAX; 0: as many as the runtime may have workers */
    skua_shards_pick pick;
} skua_shards_options;

/*
 * Makes the shards; options == NULL: all 0.
 * Returns 0; -EINVAL: no such pick; -ERANGE: n, or the limit; and as skua_pool_create.
 * Context: any thread; never parks.
 */
SKUA_API int skua_shards_create(skua_shards **out, const skua_shards_options *options);

/* One of the pools, for its counters, its limit, or a submission to it; NULL: no such, or released. It is not to be
   stopped, restarted or released alone. Any thread; never parks. */
SKUA_API skua_pool *skua_shards_pool(skua_shards *shards, uint32_t index);

/* How many there are; or an error. Any thread; never parks. */
SKUA_API int skua_shards_count(skua_shards *shards);

/* The shard whose turn it is, for what has no call of its own here (a future, a run); NULL: released. It counts as a
   submission. Any thread; never parks. */
SKUA_API skua_pool *skua_shards_next(skua_shards *shards);

/* ---- submitting ---- */

SKUA_API int skua_shards_submit(skua_shards *shards, skua_fn *fn, void *arg);
SKUA_API int skua_shards_try_submit(skua_shards *shards, skua_fn *fn, void *arg);
SKUA_API int skua_shards_submit_with(skua_shards *shards, skua_task *task, const skua_submit_options *options,
                                     skua_fn *fn, void *arg);

/* Spreads the tasks as if each had been submitted alone. Returns as skua_pool_submit_batch. */
SKUA_API int skua_shards_submit_batch(skua_shards *shards, size_t n, skua_fn *fn, void *const *args);

/* Of the function that the pools were made for. */
SKUA_API int skua_shards_invoke(skua_shards *shards, void *arg);

/* ---- limits ---- */

/* Sets the limit of each shard. */
SKUA_API int skua_shards_tune(skua_shards *shards, uint32_t limit);

SKUA_API int skua_shards_pause(skua_shards *shards);
SKUA_API int skua_shards_resume(skua_shards *shards);

/* ---- the end ---- */

/*
 * Waits until every accepted task of all shards has ended, those too that such tasks
 * have submitted meanwhile; at most `timeout` ns for all together.
 * -EDEADLK: called from a task of any of the shards, or of a subpool of one.
 */
SKUA_API int skua_shards_wait(skua_shards *shards, uint64_t timeout);

/* Returns how many tasks were asked. Looks at all tasks of the process once for each shard. */
SKUA_API int64_t skua_shards_cancel(skua_shards *shards);

/* All shards refuse, and then they are waited for, at most `timeout` ns for all together. */
SKUA_API int skua_shards_stop(skua_shards *shards, uint64_t timeout);
SKUA_API int skua_shards_stop_now(skua_shards *shards, uint64_t timeout);

SKUA_API int skua_shards_restart(skua_shards *shards);

/* -EBUSY: one of them has subpools. When it fails all stay stopped, and it can be called again. */
SKUA_API int skua_shards_release(skua_shards *shards);

/* ---- counters ---- */

/*
 * The sum of the shards' counters, which adds up at every moment, and is exact at
 * rest.  limit, queue and free are sums, too; limit 0 and free UINT64_MAX: no limit.
 * refused: submissions that found no room in any shard (a shard's own counter has
 * those too that another took).
 */
SKUA_API int skua_shards_stats(skua_shards *shards, skua_pool_counts *out);

SKUA_END

#endif
