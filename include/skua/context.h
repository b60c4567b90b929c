/*
 * context.h: one end for many tasks: a tree of contexts, as Go has them.
 *
 * A context stands for a piece of work that may be called off: a request, a job and
 * all that it started.  Cancelling it, or its deadline, ends it and every context
 * below it, for good.  Unlike in Go a task needs not ask: it *enters* a context,
 * and from then on every call that would park it (sleep, channel, select, locks,
 * join, waits of groups and pools) returns -ECANCELED or -ETIMEDOUT as soon as the
 * context has ended, also when the task is parked already.  A call that needs not
 * wait succeeds as ever.  When the task leaves the context, nothing sticks to it.
 *
 *   skua_context *request;
 *   skua_context_create_for(&request, NULL, SKUA_MS(100));
 *   skua_context_go(request, fetch, &a);          two tasks inside of it
 *   skua_context_go(request, fetch, &b);
 *   ...
 *   skua_context_cancel(request, 0);              both give up, wherever they stand
 *   skua_context_release(request);
 *
 * A foreign thread does not enter; it waits for skua_context_done in a select.
 *
 * Contexts are counted: whoever has made or retained one releases it.  A context
 * keeps those above it, and a task that stands in one keeps it.  Children are not
 * kept; a release does not cancel.
 *
 * Errors that every call may return and that are not repeated below:
 *   -EINVAL   NULL for a context, where it is not said to be allowed, or for `out`
 *   -ECHILD   in a fork(2)ed child
 *   -EBADF    a context that has been freed; noticed in builds with debug_checks only
 */
#ifndef SKUA_CONTEXT_H
#define SKUA_CONTEXT_H

#include "skua/api.h"
#include "skua/chan.h"
#include "skua/task.h"

SKUA_BEGIN

typedef struct skua_context skua_context;

/* ---- making contexts ---- */

/*
 * Makes a context below `parent`, or (NULL) one that stands alone.  Below a context
 * that has ended it has ended as well, with the same error and cause.
 * Returns 0; -ENOMEM.  Context: any thread; never parks.
 */
SKUA_API int skua_context_create(skua_context **out, skua_context *parent);

/*
 * The same, and it ends with -ETIMEDOUT `timeout` ns from now (at once: 0; no
 * deadline of its own: SKUA_FOREVER), or when the deadline of its parent passes.
 * The default runtime measures the time.  If that is stopped or released before, the
 * context ends then, with -ECANCELED and the cause -ESHUTDOWN.
 * Returns 0; -ENOMEM; -ESHUTDOWN: the default runtime is stopping.
 */
SKUA_API int skua_context_create_for(skua_context **out, skua_context *parent, uint64_t timeout);

/* The same with a moment on the clock of skua_now. */
SKUA_API int skua_context_create_until(skua_context **out, skua_context *parent, uint64_t deadline);

/*
 * Makes a context that carries a value, for itself and all below it.
 *   key      an address that says which value it is; best that of a static variable; not NULL
 *   destroy  NULL, or called with the value when the context is freed, by whoever
 *            releases it last: any thread; it must not park.  Not when this call fails
 */
SKUA_API int skua_context_create_value(skua_context **out, skua_context *parent, const void *key, void *value,
                                       void (*destroy)(void *value));

/* One more user, who will release it. Returns 0. Any thread; never parks. */
SKUA_API int skua_context_retain(skua_context *context);

/* Gives it up; the last user frees it, and then those above it that nobody else keeps. Returns 0. Never parks. */
SKUA_API int skua_context_release(skua_context *context);

/* ---- ending them ---- */

/*
 * Ends the context and all below it with -ECANCELED.
 *   cause   why, a value of the caller's choice, as an error; 0: -ECANCELED
 * Returns 0; -EALREADY: it has ended before, whose error and cause stand.  When it
 * returns 0 all below have ended (unless somebody else is just ending a part), and
 * every task in them has been woken.
 * Context: any thread; never parks.
 * Ordering: what was written before is visible to whoever finds the context ended.
 */
SKUA_API int skua_context_cancel(skua_context *context, int cause);

/* ---- looking ---- */

/* 0: it has not ended; -ECANCELED; -ETIMEDOUT: by a deadline. Never parks; a few ns. */
SKUA_API int skua_context_error(const skua_context *context);

/* 0: it has not ended; the cause of skua_context_cancel, here or above; -ETIMEDOUT: a deadline. Never parks. */
SKUA_API int skua_context_cause(const skua_context *context);

/* The moment on the clock of skua_now at which it ends at the latest; SKUA_FOREVER: none, or NULL. Never parks. */
SKUA_API uint64_t skua_context_deadline(const skua_context *context);

/* The value under the key, of this context or the nearest above that carries it; NULL: none does. Never parks. */
SKUA_API void *skua_context_value(const skua_context *context, const void *key);

/*
 * A channel without elements that is closed when the context ends, made at the first
 * call; NULL: no memory, or an error.  For select, in tasks and threads:
 *   skua_case cases[] = {SKUA_CASE_RECV(jobs, &job), SKUA_CASE_RECV(skua_context_done(ctx), NULL)};
 * It is the context's: to be used while the caller keeps that (or retains the
 * channel), and to be closed by nobody else.  Any thread; never parks.
 */
SKUA_API skua_chan *skua_context_done(skua_context *context);

/* ---- tasks inside ---- */

/*
 * From here on the calling task stands in the context, and skua_cancelled and all
 * calls that park heed it, until the task leaves it.  It may stand in several; then
 * the one entered last counts, which should be below the others.  Tasks that it
 * starts stand in none; but a job of a pool that its submitter runs itself
 * (SKUA_FULL_RUN) is a call of that task, and stands where it stands.  A blocking
 * call is not interrupted.
 *
 * A context that is still entered is left by itself when the task ends: after the
 * calls that it deferred inside, and before those that it deferred outside.  For
 * skua_defer_pop it counts as a deferred call, so take turns: last in, first out.
 *
 * Returns 0, also when the context has ended; -EPERM outside of a task; -ENOMEM.
 * Context: task; never parks.
 */
SKUA_API int skua_context_enter(skua_context *context);

/* Leaves it. Returns 0; -EPERM: it is not the one that the calling task entered last; or that was by skua_context_run,
   or outside of the job that the task now runs for a pool. Never parks. */
SKUA_API int skua_context_leave(skua_context *context);

/* fn(arg) inside of it: enters it, and leaves it, and what fn has not left, when fn returns, and not before. What fn
   returned; an error of skua_context_enter; -EINVAL: no fn. */
SKUA_API int skua_context_run(skua_context *context, skua_fn *fn, void *arg);

/* The context that the calling task has entered last, for as long as it stands in it; NULL: none. Never parks. */
SKUA_API skua_context *skua_context_current(void);

/* skua_go and skua_spawn_with for a task that stands in the context while it runs fn. Errors and context as for those;
   all memory is had at once. fn runs also when the context has ended by then. */
SKUA_API int skua_context_go(skua_context *context, skua_fn *fn, void *arg);
SKUA_API int skua_context_spawn(skua_task *out, skua_context *context, const skua_task_options *options, skua_fn *fn,
                                void *arg);

SKUA_END

#endif
