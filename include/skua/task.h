/*
 * task.h: tasks.
 *
 * A task is one call fn(arg) that some worker thread runs.  It costs no stack
 * until it parks, may park anywhere, and may go on on another thread
 * afterwards: hold no pthread lock, and no address of a thread-local or of
 * errno, across a call that may park.
 *
 * "Any thread" below means: from a task, or from a thread of your own (a
 * foreign thread).  Where a task would park, a foreign thread blocks.
 *
 * Errors that every call may return and that are not repeated below:
 *   -EINVAL   a NULL function, an option out of range
 *   -ECHILD   the process is a fork(2)ed child; runtimes do not survive a fork
 * and every call that may park:
 *   -ENOMEM   there is no memory to wait with (a stack for the others to go on
 *             on, a foreign thread's record); nothing has been lost, call again
 */
#ifndef SKUA_TASK_H
#define SKUA_TASK_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/time.h"

SKUA_BEGIN

typedef struct skua_runtime skua_runtime;

/* The body of a task. Returns its result: 0 or more means done, a negative errno value means failed. */
typedef int skua_fn(void *arg);

/*
 * A handle to a task.  It stays safe to use after the task has ended and its
 * memory serves another: such a use returns -ESRCH.  Copy it freely.
 */
typedef struct skua_task {
    void *ref;       /* NULL in the null handle */
    uint64_t serial; /* tells this task from others that used the same memory */
} skua_task;

typedef struct skua_task_options {
    skua_runtime *runtime;  /* NULL: the caller's runtime, or the default one */
    size_t stack_size;      /* bytes, 16 KiB to 8 MiB, rounded up to a power of two; 0: the runtime's */
    uint64_t delay;         /* ns before it may start; 0: at once */
    uint64_t start_within;  /* ns, counted after the delay; not started by then: it never starts and ends
                               as expired; 0: no limit */
    uint64_t finish_within; /* ns, counted after the delay; when it passes, joiners see -ETIMEDOUT at once,
                               a parked task is woken with -ETIMEDOUT, a running one sees it at its next
                               park or skua_cancelled(); 0: no limit */
} skua_task_options;

/*
 * Starts a task that nobody will join.
 * Returns 0; -ENOMEM; -ESHUTDOWN when the runtime is stopping.
 * Context: any thread; never parks. The default runtime starts on first use.
 * Ordering: what the caller wrote before is visible to the task.
 */
SKUA_API int skua_go(skua_fn *fn, void *arg);

/*
 * Starts a task and stores a handle in *out, which must be given up by
 * exactly one of skua_join and skua_detach.
 * Errors as for skua_go. Context: any thread; never parks.
 *
 *   skua_task child;
 *   if (skua_spawn(&child, work, job) == 0) skua_join(child, &result);
 */
SKUA_API int skua_spawn(skua_task *out, skua_fn *fn, void *arg);

/*
 * The same with options (NULL: none).  out == NULL: the task is born detached.
 * Errors as for skua_go; -EINVAL also for a stack size over 8 MiB.
 */
SKUA_API int skua_spawn_with(skua_task *out, const skua_task_options *options, skua_fn *fn, void *arg);

/*
 * Starts n tasks fn(args[i]) with one announcement, which is cheaper than n
 * calls.  args == NULL: each gets NULL.  out == NULL: detached, else n handles.
 * Returns how many were started, from the front (less than n only when memory
 * ran out); -ENOMEM when it was none; -ESHUTDOWN.
 */
SKUA_API int skua_spawn_batch(skua_task *out, size_t n, skua_fn *fn, void *const *args);

/*
 * Waits for the task's end and gives up the handle.  *result (may be NULL)
 * gets what fn returned; -ECANCELED when it was cancelled before it started;
 * -ETIMEDOUT when a deadline of its own passed; -ESHUTDOWN when it was dropped.
 * Returns 0; -ESRCH: joined or detached already, or no such task; -EBUSY:
 * another joiner waits; -EDEADLK: a task joins itself; -ECANCELED, -ETIMEDOUT:
 * the calling task was cancelled, or a deadline passed (the handle stays
 * valid).
 * Context: any thread; may park.
 * Ordering: what the task wrote is visible after a return of 0.
 */
SKUA_API int skua_join(skua_task task, int *result);

/* skua_join, but at most `timeout` ns: then -ETIMEDOUT, and the handle stays valid. 0 polls. */
SKUA_API int skua_join_for(skua_task task, uint64_t timeout, int *result);

/* Gives up the handle; the task goes on by itself. Returns 0; -ESRCH; -EBUSY: a joiner waits. Never parks. */
SKUA_API int skua_detach(skua_task task);

/*
 * Asks the task to end.  Not started: it never starts and ends as cancelled.
 * Parked: it is woken, and the call it parked in returns -ECANCELED.  Running:
 * it sees -ECANCELED from skua_cancelled() and from its next park.  A task is
 * never killed halfway.
 * Returns 0; -EALREADY: it has ended, or was cancelled before; -ESRCH.
 * Context: any thread; never parks.
 */
SKUA_API int skua_cancel(skua_task task);

/*
 * Whether the calling task should give up: 0; -ECANCELED; -ETIMEDOUT when its
 * deadline has passed.  Outside of a task: 0.  Never parks; a few ns.
 */
SKUA_API int skua_cancelled(void);

/* The calling task, or the null handle outside of a task. Never parks. */
SKUA_API skua_task skua_self(void);

/* Lets other tasks of this worker run. Returns 0; -EPERM outside of a task. Context: task; may park. */
SKUA_API int skua_yield(void);

/*
 * Sleeps for at least ns nanoseconds, never less.  0 yields.
 * Returns 0; -ECANCELED or -ETIMEDOUT when the task is cancelled or its
 * deadline passes first; -ENOMEM when no stack can be had to go on with.
 * Context: any thread; parks (a foreign thread sleeps).
 */
SKUA_API int skua_sleep(uint64_t ns);

/* Runs fn(arg) as a detached task in ns nanoseconds. Errors as for skua_go. Context: any thread; never parks. */
SKUA_API int skua_after(uint64_t ns, skua_fn *fn, void *arg);

/* A timer: a task that has not been started yet. */
typedef struct skua_timer {
    skua_task task;
} skua_timer;

/* skua_after with a handle, which needs not be given up: once the timer has fired it is merely stale. */
SKUA_API int skua_timer_start(skua_timer *out, uint64_t ns, skua_fn *fn, void *arg);

/*
 * Stops a timer.  Returns 0: fn will not run; -ESRCH: it has fired, or was
 * stopped before.  Does not wait for a running fn.
 * Context: any thread; never parks.
 */
SKUA_API int skua_timer_stop(skua_timer timer);

/*
 * Sets a timer that has not fired yet anew, to `ns` from now; *timer is its handle
 * from then on, and any copy is stale.
 * Returns 0; -ESRCH: it has fired, or was stopped before: start another one;
 * -EINVAL: NULL.
 * Context: any thread, one at a time; never parks.
 */
SKUA_API int skua_timer_reset(skua_timer *timer, uint64_t ns);

/*
 * Brackets a call that blocks the thread (a file read, a library that knows
 * nothing of skua).  When it lasts, the other tasks of the worker go on on
 * another thread.  Between the two calls the thread counts as foreign.  They
 * do not nest.
 * Return 0; -EPERM: not in a task, or not bracketed; -EALREADY: bracketed twice.
 * Context: task; begin never parks, end may park.
 */
SKUA_API int skua_blocking_begin(void);
SKUA_API int skua_blocking_end(void);

/* fn(arg) between skua_blocking_begin and skua_blocking_end; returns what fn returned. Outside of a task: just fn(arg).
 */
SKUA_API int skua_block(skua_fn *fn, void *arg);

SKUA_END

#endif
