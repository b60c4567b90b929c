/*
 * pool.h: pools.
 *
 * A pool limits how many of its tasks run at a time and queues the rest.  It
 * owns no threads: its tasks run on the workers of a runtime.  A task counts
 * as running from its start to its return, parked or not.
 *
 * A subpool has a limit and a queue of its own, and each of its running tasks
 * takes a place of its parent's limit as well.  The parent's counters include
 * those of its subpools, and it is at rest when they are.
 *
 * Errors that every call may return and that are not repeated below:
 *   -EINVAL     no pool, no function, an option out of range
 *   -ESHUTDOWN  the pool was released; or, of what submits, or makes something
 *               over it, it was stopped, or its runtime is stopping
 *   -ECHILD     the process is a fork(2)ed child
 * and every call that may park:
 *   -ECANCELED, -ETIMEDOUT  the calling task was cancelled, or a deadline of
 *               its own passed
 *   -ENOMEM     there is no memory to wait with
 */
#ifndef SKUA_POOL_H
#define SKUA_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/fault.h"
#include "skua/histogram.h"
#include "skua/locker.h"
#include "skua/task.h"

SKUA_BEGIN

typedef struct skua_pool skua_pool;

#define SKUA_POOL_LIMIT_MAX INT32_MAX
#define SKUA_POOL_QUEUE_MAX (1u << 24)
#define SKUA_POOL_NO_QUEUE UINT32_MAX
#define SKUA_POOL_LEVELS_MAX 8

/* What a submitter meets when the queue is full. */
typedef enum skua_when_full {
    SKUA_FULL_WAIT = 0,    /* it waits for room */
    SKUA_FULL_REFUSE,      /* -EAGAIN */
    SKUA_FULL_DROP_OLDEST, /* the oldest queued task of its level ends as dropped */
    SKUA_FULL_RUN          /* it runs the task itself, outside of the limit, and goes on when the task gives up */
} skua_when_full;

/* Which of the tasks that are queued at a level is started first. */
typedef enum skua_order {
    SKUA_ORDER_FIFO = 0, /* the one that came first */
    SKUA_ORDER_DEADLINE  /* the one that is due first, see skua_submit_options; of those due at the same time, and of
                            those that are never due, which come last, the one that came first */
} skua_order;

/* What comes of a task that gives up, beside its result -EFAULT. */
typedef enum skua_fault_policy {
    SKUA_FAULT_RESULT = 0, /* nothing; unless there is a handler, the pool above decides, and then skua_on_fault */
    SKUA_FAULT_WAIT,       /* who waits for the pool is told: skua_pool_wait returns -EFAULT */
    SKUA_FAULT_ABORT       /* the process ends, with the message and the place on stderr */
} skua_fault_policy;

/*
 * Further attempts of a task that fails, is late by run_within, or gives up.
 * Between two attempts it holds neither a worker nor a place of the limit, and
 * counts as queued; for the next one it queues again (only a retry without
 * back-off and run_within goes on in the place that it has); with keep_place it
 * keeps its place of the limit all the time, and counts as running.  No attempt
 * follows one that was asked to end, was never started, or is past finish_within,
 * nor after skua_pool_stop_now.  The result is that of the last attempt, which is
 * -ETIMEDOUT if finish_within passed while it ran; -ETIMEDOUT too if it passed
 * between two.  An attempt that had failed just before it passed is the last one,
 * and its error stands.
 */
typedef struct skua_retry {
    uint32_t times;                            /* attempts after the first; 0: none */
    uint64_t backoff;                          /* ns between an attempt and the next; 0: none */
    uint64_t backoff_most;                     /* ns; a back-off grows no further; 0: no bound */
    bool exponential;                          /* each back-off is twice the one before, else all are alike */
    uint32_t jitter;                           /* per cent by which a back-off may be shorter, at random: 0 to 100 */
    bool (*again)(int error, void *again_ctx); /* asked after each attempt, in its task; may park; NULL: always */
    void *again_ctx;
    bool keep_place; /* between two attempts too */
} skua_retry;

/* As `times`: no further attempt, whatever the pool says. */
#define SKUA_NO_RETRY UINT32_MAX

/* Gets a task's result, as of skua_join; arg: what the task was submitted with. */
typedef void skua_result_fn(void *ctx, void *arg, int result);

/*
 * Called exactly once, when the result is certain and before the task counts as
 * ended: its place of the limit is held meanwhile.  It runs in the task itself, or
 * in one of its own if the task never started or gave up; it may park, though what
 * has been asked to end again meanwhile is refused.  Waiting for the end of
 * this pool there is -EDEADLK.  Only while the runtime ends, or without memory
 * for a task, it is called by whoever ends the task, and had better not park.  A
 * join of the task that begins during the call waits until it has returned.
 *   locker   taken around the call, so that calls with the same one do not
 *            overlap; let go when the function returns, or gives up.  It must be
 *            there until then.  Over a spinlock the function must not park; over a
 *            mutex it may, but not while the runtime ends: whoever calls without a
 *            task then waits as a thread does, and keeps the worker that the holder
 *            may need.  So stop such a pool before its runtime
 */
typedef struct skua_ended {
    skua_result_fn *fn; /* NULL: none */
    void *ctx;
    const skua_locker *locker; /* NULL: none, several calls may be made at a time */
} skua_ended;

typedef struct skua_pool_options {
    skua_runtime *runtime; /* NULL: the parent's, else the caller's, else the default one */
    uint32_t limit;        /* tasks running at a time, at most SKUA_POOL_LIMIT_MAX; 0: no limit */
    uint32_t queue;        /* tasks of each level that may wait for their start, 1 to SKUA_POOL_QUEUE_MAX; 0: 1024;
                              SKUA_POOL_NO_QUEUE: none, a task is accepted when it can start */
    skua_pool *parent;     /* NULL: none */
    skua_fn *fn;           /* of a pool for one function, see skua_pool_invoke; NULL: none */
    skua_when_full when_full;
    uint32_t waiters;      /* submitters that may wait for room at a time, one more gets -EAGAIN; 0: any number */
    uint64_t wait_at_most; /* ns that a submitter waits for room, then -ETIMEDOUT; 0: without limit */
    uint32_t levels;       /* of priority, 1 to SKUA_POOL_LEVELS_MAX; 0: 1 */
    uint64_t ageing;       /* ns after which a level is served although one above it has tasks (the clock has a grain
                              of up to 4 ms); 0: 100 ms */
    skua_order order;      /* within a level */
    bool measure;          /* keep the times of its tasks, see skua_pool_times; true in a subpool of such a pool */
    /* --- faults --- */
    skua_fault_policy on_fault;
    skua_fault_handler *fault_handler; /* told of each fault, before what on_fault says; NULL: nobody */
    void *fault_arg;
    /* --- for each submission to this pool itself, not to its subpools and groups, that does not say otherwise;
       SKUA_FOREVER there: none --- */
    uint64_t start_within, finish_within, run_within; /* ns, see skua_submit_options; 0: none */
    skua_retry retry;                                 /* unless the submission has `times` of its own */
    skua_ended ended;                                 /* unless the submission has one of its own */
} skua_pool_options;

/*
 * Makes a pool; options == NULL: no limit, the default runtime.
 * Returns 0; -ERANGE: limit; -EOVERFLOW: queue; -EDOM: levels; -ENOTSUP:
 * options that contradict each other (a parent of another runtime; no queue, but
 * levels, an order or the dropping of queued tasks; dropping the oldest, but in
 * order of deadlines; waiters or wait_at_most where nobody
 * waits; a start_within later than finish_within; a retry without `times`);
 * -EINVAL: also no such order or on_fault, more jitter than 100, a locker without
 * functions; -ENOMEM.
 * Context: any thread; never parks.
 */
SKUA_API int skua_pool_create(skua_pool **out, const skua_pool_options *options);

/* A pool without a limit on the default runtime, made on first use; NULL: no memory. It is everybody's: it cannot be
   stopped or released. Any thread. */
SKUA_API skua_pool *skua_pool_default(void);

/* ---- submitting ---- */

/*
 * Submits fn(arg) at level 0.  When the queue is full the pool's policy decides;
 * by default the calling task parks (a foreign thread blocks) until there is room.
 * Returns 0: accepted, it will end in exactly one state; -EAGAIN: the queue is
 * full, and the policy is to refuse, or enough submitters wait; -ETIMEDOUT: no
 * room within wait_at_most; -ENOMEM: also for the task; -EDEADLK: the calling task holds a place of this pool,
 * or of one above it, none is free there, and all others who hold one wait for room
 * in its queue, or in that of a subpool of it, already.
 * Context: any thread; may park.
 */
SKUA_API int skua_pool_submit(skua_pool *pool, skua_fn *fn, void *arg);

/* The same, but -EAGAIN instead of waiting, dropping or running when the queue is full. Never parks. */
SKUA_API int skua_pool_try_submit(skua_pool *pool, skua_fn *fn, void *arg);

/*
 * Submits n tasks fn(args[i]) (args == NULL: each gets NULL), in this order.
 * Returns how many were accepted, from the front, less than n only because of the
 * error that the next one would have met; that error when it was none; -EINVAL also
 * for more than INT32_MAX.
 * Context: any thread; may park.
 */
SKUA_API int skua_pool_submit_batch(skua_pool *pool, size_t n, skua_fn *fn, void *const *args);

/* Submits a call of the function that the pool was made for, as skua_pool_submit. -ENOTSUP: it was made for none. */
SKUA_API int skua_pool_invoke(skua_pool *pool, void *arg);

/*
 * Submits fn(arg) and waits for its end; *result (may be NULL) gets what skua_join
 * would give.  Errors as for skua_pool_submit and skua_join: the task was
 * accepted, and goes on, if the error came while we waited for its end.
 * -EDEADLK: also when the calling task holds the only place of the pool, or of one above it.
 * Context: any thread; may park.  In a task of the pool itself it holds two places.
 */
SKUA_API int skua_pool_run(skua_pool *pool, skua_fn *fn, void *arg, int *result);

/* Of times, 0: as the pool says (admit_within: its wait_at_most); SKUA_FOREVER: no limit, whatever the pool says. */
typedef struct skua_submit_options {
    uint32_t level;         /* of priority; 0 goes first */
    uint64_t admit_within;  /* ns that the submitter waits for room */
    uint64_t start_within;  /* ns from the submission; not started by then: it never starts and ends as expired */
    uint64_t finish_within; /* ns from the submission, all attempts; see skua_task_options */
    uint64_t run_within;    /* ns from its start, of each attempt: past it the task sees -ETIMEDOUT as for
                               finish_within, keeps its place until it returns, and its result is -ETIMEDOUT; not
                               watched in a task that its submitter runs */
    uint64_t due_within;    /* ns from the submission: only the order of a pool with SKUA_ORDER_DEADLINE goes by it, and
                               nothing happens when it passes; 0: that order goes by the earlier of start_within and
                               finish_within; SKUA_FOREVER: never due */
    skua_retry retry;       /* times 0: as the pool says; SKUA_NO_RETRY: none */
    skua_ended ended;       /* without a function: as the pool says */
    bool no_wait;           /* -EAGAIN instead of waiting, dropping or running when the queue is full */
} skua_submit_options;

/*
 * As skua_pool_submit, with options (NULL: none). task (may be NULL) gets a handle
 * to be joined or detached, and means nothing on an error. -EDOM: no such level;
 * -EINVAL: more jitter than 100, a locker without functions; -ENOTSUP: a handle of a
 * task that may be retried (see future.h); -EAGAIN: also with a handle, when the
 * queue is full and the submitter would run it; -ENOMEM.
 */
SKUA_API int skua_pool_submit_with(skua_pool *pool, skua_task *task, const skua_submit_options *options, skua_fn *fn,
                                   void *arg);

/* ---- the limit ---- */

/*
 * Sets the limit (0: none).  When it grows, queued tasks start at once; when it
 * shrinks, what runs goes on, and nothing starts until fewer run.
 * Returns 0; -ERANGE. Context: any thread; never parks.
 */
SKUA_API int skua_pool_tune(skua_pool *pool, uint32_t limit);

/* Until resume nothing is started; submitting goes on while there is room. Both are idempotent, and return 0 on a
   stopped pool, too. Any thread; never park. */
SKUA_API int skua_pool_pause(skua_pool *pool);
SKUA_API int skua_pool_resume(skua_pool *pool);

/* ---- the end ---- */

/*
 * Waits until every accepted task has ended, at most `timeout` ns.
 * Returns 0; -ETIMEDOUT; -EDEADLK: called from a task of this pool or of a
 * subpool of it, or from one that holds the only place of a pool above it while
 * something is queued here; -ESHUTDOWN only when it was released; -EFAULT: all have ended,
 * and one has given up in a pool made with SKUA_FAULT_WAIT, which is told to one
 * wait, once for all faults since the last one that was.
 * Context: any thread; may park.
 */
SKUA_API int skua_pool_wait(skua_pool *pool, uint64_t timeout);

/*
 * The first fault, by time, since the last wait that came back, of a task of the
 * pool or of a subpool; it stays until another comes after such a wait.  A task
 * that is retried counts when its last attempt gave up.  As conc does:
 *
 *   if (skua_pool_wait(pool, SKUA_FOREVER) == -EFAULT && skua_pool_fault(pool, &fault) == 0)
 *       skua_fault_rethrow(&fault);
 *
 * Returns 0; -ENODATA: none so far, or the next one is being written at this very
 * moment; -ESHUTDOWN only when it was released.
 * Context: any thread; never parks.
 */
SKUA_API int skua_pool_fault(skua_pool *pool, skua_fault *out);

/*
 * Asks every accepted task of the pool and of its subpools to end, as skua_cancel
 * does: what has not started ends as cancelled.  The pool stays open.
 * Returns how many were asked, without those in storage of the caller's that have
 * not started.
 * Context: any thread; never parks; looks at all tasks of the process.
 */
SKUA_API int64_t skua_pool_cancel(skua_pool *pool);

/*
 * Refuses new tasks, those of its own tasks and subpools too, and waits until
 * every accepted one has ended, at most `timeout` ns (0: does not wait; -ETIMEDOUT
 * says that some have not ended yet).  It can be called again, and by several at
 * once.
 * Returns 0; -ETIMEDOUT; -EDEADLK as for wait, though it refuses from now on;
 * -EPERM: the default pool, which goes on.
 * Context: any thread; may park.
 */
SKUA_API int skua_pool_stop(skua_pool *pool, uint64_t timeout);

/* The same, but what is queued ends as dropped at once instead of being run. */
SKUA_API int skua_pool_stop_now(skua_pool *pool, uint64_t timeout);

/*
 * Opens a stopped pool again, also while its last tasks still run; changes nothing
 * about an open one.  While a skua_pool_stop_now is under way elsewhere, what is
 * accepted right after may yet be dropped by it.
 * Returns 0; -ESHUTDOWN only when it was released. Any thread; never parks.
 */
SKUA_API int skua_pool_restart(skua_pool *pool);

/*
 * Stops the pool without a time limit and frees it.
 * Returns 0; -EPERM: the default pool, which goes on; -EDEADLK as for wait; -EBUSY:
 * it has subpools, or a reporter (progress.h); -ESHUTDOWN: released already; -ECANCELED, -ETIMEDOUT, -ENOMEM: it stays
 * stopped; call again. Context: any thread; may park.
 */
SKUA_API int skua_pool_release(skua_pool *pool);

/* ---- counters ---- */

/*
 * At every moment: submitted = queued + running + done + failed + cancelled +
 * expired + dropped.  While the queue is not empty, up to 64 places that are
 * being filled may count as running, and done is smaller by as many; a pool at
 * rest is counted exactly.  Subpools are included where nothing else is said.
 */
typedef struct skua_pool_counts {
    uint64_t submitted; /* tasks accepted */
    uint64_t queued;    /* of these, waiting for their start */
    uint64_t running;   /* started and not ended, parked ones included */
    uint64_t done, failed, cancelled, expired, dropped;
    uint64_t retried;      /* attempts after the first of tasks; not among the submitted */
    uint64_t refused;      /* submissions that found no room, in vain; not among the submitted; not of subpools */
    uint64_t waiting;      /* submitters that wait for room now; not those of subpools */
    uint64_t free;         /* limit less running; UINT64_MAX: no limit */
    uint32_t limit, queue; /* as configured; limit 0: none; queue 0: none */
    bool stopped;          /* it refuses: it was stopped, or one above it was */
    bool paused;           /* it starts nothing: it pauses, or one above it does */
} skua_pool_counts;

/*
 * A snapshot. -ESHUTDOWN only when it was released. Any thread; never parks, but
 * may look again for some milliseconds while tasks change hands; if none of 240
 * looks was true (a thread was stopped just then), the last one is given, in which
 * a task that comes back may be counted twice, and fewer be done than were before.
 */
SKUA_API int skua_pool_stats(skua_pool *pool, skua_pool_counts *out);

/*
 * How long the tasks of a pool made with `measure` have waited (from the call that
 * submitted them to the start of their first attempt, waiting for room included)
 * and run (from the start to the end of each attempt, parked or not), since it was
 * created.  Those of subpools are included.  Each may be NULL, not both.
 * Measuring costs a task three looks at the clock and an object of its own.
 * Returns 0; -ENOTSUP: it is not measured; -ESHUTDOWN only when it was released.
 * Context: any thread; never parks; reads some ten thousand counters.
 */
SKUA_API int skua_pool_times(skua_pool *pool, skua_histogram *waiting, skua_histogram *running);

/*
 * Counters and times in one snapshot.  waiting->count is how many tasks have
 * started, running->count how many attempts have ended.  Beside what holds for
 * counts alone, at every moment
 *
 *   done + failed <= running->count <= waiting->count + retried
 *   waiting->count <= submitted
 *
 * and in a pool at rest running->count is waiting->count + retried, and all but
 * waiting->count of the submitted have ended without having started.
 * Returns 0; -ENOTSUP, -ESHUTDOWN as above; -EAGAIN: so many attempts came back
 * into the queue, or were run by their submitters, that in a thousand looks none
 * was true for all; the last one is given, in which some tasks may be counted twice.
 * Context: any thread; never parks.
 */
SKUA_API int skua_pool_snapshot(skua_pool *pool, skua_pool_counts *counts, skua_histogram *waiting,
                                skua_histogram *running);

SKUA_END

#endif
