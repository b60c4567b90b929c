/*
 * group.h: groups of tasks, and loops.
 *
 * A group is a set of tasks that are waited for together: it cannot be released
 * before its tasks have ended, and it knows the first error among them.
 *
 *   skua_group *group;
 *   skua_group_create(&group, &(skua_group_options){.limit = 8, .fail_fast = 1});
 *   for (size_t i = 0; i < n; i++)
 *       if (skua_group_go(group, fetch, &pages[i]) < 0) break;
 *   int error = skua_group_wait(group, NULL);
 *   skua_group_release(group);
 *
 * Rounds.  What stands between two waits is a round.  Error and cancellation
 * are of a round: they can be read after the wait until something is submitted,
 * with which the next round begins.  So a group is used again and again.
 *
 * Errors that every call may return and that are not repeated below:
 *   -EINVAL     no group, no function, an option out of range
 *   -ESHUTDOWN  the group or its parent was released, the pool stopped, or
 *               the runtime is stopping
 *   -ECHILD     the process is a fork(2)ed child
 * and every call that may park:
 *   -ECANCELED, -ETIMEDOUT  the calling task was cancelled, or a deadline of
 *               its own passed
 *   -ENOMEM     there is no memory to wait with
 */
#ifndef SKUA_GROUP_H
#define SKUA_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/future.h"
#include "skua/pool.h"

SKUA_BEGIN

typedef struct skua_group skua_group;

#define SKUA_GROUP_ERRORS_MAX (1u << 20)

typedef struct skua_group_options {
    skua_runtime *runtime; /* NULL: the pool's, the parent's, the caller's, or the default one */
    skua_pool *pool;    /* NULL: none; else each running task takes a place of its limit as well, see pool.h. A task of
                           that pool that waits for the group keeps its own place meanwhile: when all who hold the
                           pool's places may do so, leave it out */
    skua_group *parent; /* NULL: none; else what cancels the parent cancels this group, too. It takes no places of the
                           parent's limit: a task of the parent may wait for it */
    uint32_t limit;     /* tasks running at a time; 0: no limit */
    uint32_t queue;     /* tasks that may wait for their start. 0: with a limit none, as SKUA_POOL_NO_QUEUE: go waits
                           until the task can start; without a limit 1024. In a pool 0 is always 1024: a pool takes
                           orders; who fills a group makes the tasks himself, and is the one to be slowed down, as by
                           the Go of errgroup */
    uint32_t errors;    /* how many errors of a round are kept, at most SKUA_GROUP_ERRORS_MAX; 0: only the first */
    int fail_fast;      /* not 0: the first error cancels the group */
    skua_fault_policy on_fault; /* of its tasks; SKUA_FAULT_WAIT: a fault goes before all other errors, see wait */
    skua_fault_handler *fault_handler; /* as in skua_pool_options */
    void *fault_arg;
} skua_group_options;

/*
 * Makes a group; options == NULL: no limit, the default runtime.
 * Returns 0; -ERANGE: limit; -EOVERFLOW: queue or errors; -ENOTSUP: pool, parent and runtime are not of one runtime;
 * -ENOMEM.
 * Context: any thread; never parks.
 */
SKUA_API int skua_group_create(skua_group **out, const skua_group_options *options);

/* ---- submitting ---- */

/*
 * Runs fn(arg) as a task of the group; while the limit is reached (and the queue,
 * if it has one, full) the caller waits.
 * Returns 0: accepted; -ECANCELED: the group, or one above it, is cancelled (or
 * the calling task is); -EDEADLK: the calling task is one of the group, and all
 * others that run in it wait here already.
 * Context: any thread; may park.
 */
SKUA_API int skua_group_go(skua_group *group, skua_fn *fn, void *arg);

/* The same, but -EAGAIN instead of waiting. Never parks. */
SKUA_API int skua_group_try_go(skua_group *group, skua_fn *fn, void *arg);

/* skua_group_go with the options of a submission to a pool (NULL: none). */
SKUA_API int skua_group_go_with(skua_group *group, const skua_submit_options *options, skua_fn *fn, void *arg);

/*
 * The same with a future, as skua_pool_submit_future: *out gets one that someone
 * must release, or the null future on an error.  When the group has been waited
 * for it is done.  skua_future_cancel is a cancellation by somebody else: the task's
 * -ECANCELED is an error of the group.
 */
SKUA_API int skua_group_go_future(skua_group *group, skua_future *out, const skua_submit_options *options, skua_fn *fn,
                                  void *arg);

/* ---- waiting ---- */

/*
 * Waits until every accepted task has ended; a group without tasks is not waited for.
 *   cause   gets the error of the round, see skua_group_cause; NULL: not wanted
 * Returns the error of the round, 0 when there was none; or -EDEADLK (called from
 * a task of the group, or of one below it) and the other errors of a wait, with
 * *cause = 0.  Several may wait at once: all get the error, unless the next round
 * has begun before they look.  With SKUA_FAULT_WAIT: -EFAULT, to one of them,
 * when a task gave up, whatever the first error was, which *cause tells.
 * Context: any thread; may park.
 * Ordering: what the tasks wrote is visible afterwards.
 */
SKUA_API int skua_group_wait(skua_group *group, int *cause);

/* The same for at most `timeout` ns: then -ETIMEDOUT, with *cause = 0. */
SKUA_API int skua_group_wait_for(skua_group *group, uint64_t timeout, int *cause);

/* ---- errors ---- */

/*
 * The error of this round: the first error that a task ended with, or what
 * skua_group_cancel gave when that came first; 0: none so far.  A task that was
 * cancelled by somebody else counts as -ECANCELED, one that came too late as
 * -ETIMEDOUT, a dropped one as -ESHUTDOWN, one that gave up as -EFAULT.  Once the
 * group is cancelled the cancellations that follow from it are no errors.
 * Context: any thread; never parks.
 */
SKUA_API int skua_group_cause(skua_group *group);

/* Why the first task that gave up did so, as skua_pool_fault. */
SKUA_API int skua_group_fault(skua_group *group, skua_fault *out);

typedef struct skua_group_error {
    int error;
    void *arg; /* of the task */
} skua_group_error;

/*
 * The errors of this round in the order in which the tasks ended, into out[0] to
 * out[room - 1], as many as the group was made to keep.
 * Returns how many there have been (stops counting at 2^24 - 1), which may be
 * more than there was room for.  Exact when nothing runs.
 * Context: any thread; never parks.
 */
SKUA_API int skua_group_errors(skua_group *group, skua_group_error *out, size_t room);

/*
 * Cancels the group and those below it: nothing that has not started will, what
 * runs is asked to end as by skua_cancel (the caller too, if it is one of the
 * tasks), and go refuses until the next round.
 *   cause   becomes the error of the round if there is none; 0: -ECANCELED
 * Returns 0; -EALREADY: it is cancelled; -EINVAL: cause is positive.
 * Context: any thread; never parks; looks at all tasks of the process.
 */
SKUA_API int skua_group_cancel(skua_group *group, int cause);

/* ---- counters and the end ---- */

/* As skua_pool_stats: of all rounds. */
SKUA_API int skua_group_stats(skua_group *group, skua_pool_counts *out);

/*
 * Waits until every accepted task has ended, and frees the group.  It does not
 * come back before: when the calling task is cancelled or its deadline passes,
 * the group is cancelled and waited for all the same (which blocks a thread).
 * Returns 0; -EDEADLK as for wait; -EBUSY: there are groups below it; -ESHUTDOWN:
 * it was released already.
 * Context: any thread; may park.
 */
SKUA_API int skua_group_release(skua_group *group);

/* ---- loops ---- */

typedef struct skua_loop_options {
    skua_runtime *runtime; /* as in skua_group_options */
    skua_pool *pool;
    skua_group *parent;
    uint32_t limit; /* items at a time; 0: as many as the runtime has workers */
    int fail_fast;  /* not 0: after an error no item begins, and those that run are asked to end */
    int *results;   /* NULL, or room for n: what the call for each item returned; -EFAULT: it gave up; -ECANCELED: it
                       has not been made */
} skua_loop_options;

/* The body of a loop. i: 0 to n - 1. Returns 0 or more, or an error. */
typedef int skua_each_fn(void *ctx, size_t i);

/*
 * Calls fn(ctx, i) for i = 0 to n - 1 (begun about in this order), some at a
 * time, in as many tasks as the limit says, which take one item after another.
 * Comes back when all calls have.  options == NULL: all 0.
 * Returns 0, or the first error, by time, of a call, or -ECANCELED, -ETIMEDOUT
 * (the calling task was cancelled, or late: what runs was asked to end, and
 * waited for), -EDEADLK (the calling task is one of the pool, or holds the only place
 * of one above it), and the errors of skua_group_create.
 * Context: any thread; may park.
 */
SKUA_API int skua_for_each(const skua_loop_options *options, size_t n, skua_each_fn *fn, void *ctx);

/* From *in to *out, which are the same when the map is in place. */
typedef int skua_map_fn(void *ctx, const void *in, void *out);

/*
 * Calls fn(ctx, in + i * in_size, out + i * out_size) for i = 0 to n - 1, as skua_for_each.
 *   in_size, out_size   bytes of an item
 *   out   may be in itself when the sizes are equal
 * Returns as skua_for_each; -EINVAL also when in and out overlap otherwise, or are NULL with n > 0; -EOVERFLOW: n items
 * cannot lie in memory.
 */
SKUA_API int skua_map(const skua_loop_options *options, const void *in, size_t in_size, void *out, size_t out_size,
                      size_t n, skua_map_fn *fn, void *ctx);

SKUA_END

#endif
