/*
 * progress.h: how far the tasks of a pool have come: asked for, or told.
 *
 *   skua_pool_expect(pool, files);
 *   skua_progress_start(&reporter, pool, SKUA_MS(200), draw_bar, NULL, NULL);
 *   for (...) skua_pool_submit(pool, hash, &file[i]);
 *   skua_pool_wait(pool, SKUA_FOREVER);
 *   skua_progress_stop(&reporter);       // the bar is drawn a last time
 *
 * All counts are since the pool was created, those of its subpools included.
 * Errors that every call may return and that are not repeated below: as for pool.h.
 */
#ifndef SKUA_PROGRESS_H
#define SKUA_PROGRESS_H

#include <stdint.h>

#include "skua/api.h"
#include "skua/pool.h"

SKUA_BEGIN

typedef struct skua_progress {
    uint64_t total;  /* tasks: what was announced, or what has been submitted if that is more */
    uint64_t ended;  /* of these, in whatever way; never goes back */
    uint64_t done;   /* of these, without an error */
    uint64_t failed; /* of these, as in skua_pool_counts; the rest was cancelled, expired or dropped */
    double rate;     /* tasks that end per second, lately */
    uint64_t left;   /* ns until all have ended, at this rate; SKUA_FOREVER: unknown (the rate is 0) */
} skua_progress;

/*
 * A look at the pool.  The rate is a mean of all that ended in the first 5 s;
 * from then on an exponentially weighted one, in which what was 5 s ago weighs a
 * third of what is now.  It is brought up to date by each look, those of
 * reporters included, and is right with the first one.  It is counted from the
 * creation of the pool, or from skua_pool_expect or skua_progress_start if the
 * pool was at rest then.
 * Returns 0; -EINVAL; -ESHUTDOWN only when the pool was released.
 * Context: any thread; never parks; reads the clock and the pool's counters.
 */
SKUA_API int skua_progress_of(skua_pool *pool, skua_progress *out);

/*
 * Announces how many tasks there will have been in all since the pool was created;
 * the last word counts, 0 takes it back.  Nothing waits for them.
 * Returns 0; -ESHUTDOWN only when the pool was released. Context: any thread; never parks.
 */
SKUA_API int skua_pool_expect(skua_pool *pool, uint64_t total);

/* Gets the state of the pool. */
typedef void skua_progress_fn(void *ctx, const skua_progress *progress);

/* Something that calls such a function; to be given up by skua_progress_stop. */
typedef struct skua_reporter {
    void *ref;       /* NULL in the null reporter */
    uint64_t serial; /* tells it from others that used the same memory */
    skua_task task;
} skua_reporter;

/*
 * Calls fn(ctx, state) every `every` ns from now on, and a last time when it ends.
 * The calls are made by a task of the pool's runtime, not of the pool: it takes no
 * place, is in no counter of the pool, and may park, wait for the pool or stop it.
 * They do not overlap; one that takes longer misses beats.
 * It ends with skua_progress_stop, or by itself: when the runtime stops (a tenth of
 * a second later at most), or when fn gives up its task.  The pool cannot be
 * released before skua_progress_stop: it is stopped, and -EBUSY, as with a subpool.
 *   locker   NULL, or taken around each call, see skua_ended; a call that waits
 *            for it gets the state that was when it began to
 * Returns 0; -EINVAL also for `every` 0, or a locker without functions; -ESHUTDOWN:
 * the pool is stopped; -ENOMEM.
 * Context: any thread; never parks.
 */
SKUA_API int skua_progress_start(skua_reporter *out, skua_pool *pool, uint64_t every, skua_progress_fn *fn, void *ctx,
                                 const skua_locker *locker);

/*
 * Ends it: returns when the last call is over.  If the runtime was stopped before
 * the first call could be made, the last one is made here, by the caller.
 * Returns 0; the error with which fn gave up its task (then there was no last
 * call); -EDEADLK: called by fn; -ESRCH: stopped already; -EBUSY: another
 * stops it; -ECANCELED, -ETIMEDOUT, -ENOMEM: call again.
 * Context: any thread; may park.
 */
SKUA_API int skua_progress_stop(skua_reporter *reporter);

SKUA_END

#endif
