/*
 * future.h: futures: the results of tasks in pools.
 *
 * A future stands for one task that a pool has accepted, with all its attempts.
 * It is done when the task has ended: when skua_pool_wait says that all have,
 * all their futures are done.  It keeps the result until it is released, even when
 * the pool is gone.  The result is what
 * the task returned; -ETIMEDOUT when it was late; -ECANCELED when it was
 * cancelled before its start, or between two attempts; -ESHUTDOWN when it was
 * dropped; -EFAULT when it gave up.
 *
 * A handle may be copied freely.  After the release each use says -ESRCH.
 *
 *   skua_future f;
 *   int result;
 *   if (skua_pool_submit_future(pool, &f, NULL, work, job) == 0) {
 *       skua_future_wait(f, SKUA_FOREVER, &result);
 *       skua_future_release(f);
 *   }
 *
 * Errors that every call may return and that are not repeated below:
 *   -ESRCH   no such future, or it has been released
 *   -ECHILD  the process is a fork(2)ed child
 */
#ifndef SKUA_FUTURE_H
#define SKUA_FUTURE_H

#include "skua/api.h"
#include "skua/pool.h"

SKUA_BEGIN

typedef struct skua_future {
    void *ref;       /* NULL in the null future */
    uint64_t serial; /* tells it from others that used the same memory */
} skua_future;

/*
 * Submits fn(arg) with options (NULL: none), as skua_pool_submit_with.  *out gets
 * a future, which someone must release; the null future on an error.
 * Errors as there; -EINVAL also without out. Context: any thread; may park.
 */
SKUA_API int skua_pool_submit_future(skua_pool *pool, skua_future *out, const skua_submit_options *options, skua_fn *fn,
                                     void *arg);

/*
 * Waits until the future is done, at most `timeout` ns; *result (may be NULL)
 * gets the result.  Any number of tasks and threads may wait, any number of times.
 * A wait that is under way when the future is released ends with -ESRCH.
 * Returns 0; -ETIMEDOUT: not in time, or a deadline of the calling task passed;
 * -ECANCELED: the calling task was cancelled; -EDEADLK: it is the calling task's
 * own; -ENOMEM; -EAGAIN: 16 million wait for it already.
 * Context: any thread; may park.  In a task of the same pool it keeps its place.
 * Ordering: what the task wrote is visible after a return of 0.
 */
SKUA_API int skua_future_wait(skua_future future, uint64_t timeout, int *result);

/* The same without waiting: -EAGAIN when it is not done. Any thread; never parks. */
SKUA_API int skua_future_try(skua_future future, int *result);

/*
 * Has fn(ctx, arg, result) called once when the future is done, in a task of its own
 * on the pool's runtime, in no pool; or, if it is done already, at once by the
 * caller.  A release does not take it back.  While the runtime ends it is called by
 * whoever ends the task, and had better not park.
 *   locker   NULL, or taken around the call, see skua_ended
 * Returns 0; -EINVAL: no function, or a locker without functions; -EALREADY: it is
 * not done and has one already; -EAGAIN: 16 million use it.
 * Context: any thread; parks only if fn or the locker does.
 */
SKUA_API int skua_future_then(skua_future future, skua_result_fn *fn, void *ctx, const skua_locker *locker);

/*
 * Asks the task to end, as skua_cancel does; there is no further attempt.
 * Returns 0; -EALREADY: it has ended, or was asked before.
 * Context: any thread; never parks.
 */
SKUA_API int skua_future_cancel(skua_future future);

/*
 * Why the task gave up, in its last attempt.
 * Returns 0; -ENODATA: it has not given up; -EAGAIN: it is not done, or 16
 * million use it; -EINVAL: no out. Context: any thread; never parks.
 */
SKUA_API int skua_future_fault(skua_future future, skua_fault *out);

/* Gives up the future, done or not; the task goes on by itself. Any thread; never parks. */
SKUA_API int skua_future_release(skua_future future);

SKUA_END

#endif
