/*
 * fault.h: giving up a task from any depth of calls, and deferred calls.
 *
 * A task that finds that it cannot go on calls skua_panic_task.  It does not
 * return: its deferred calls run, the frames of its stack are forgotten, and it
 * ends as failed with the result -EFAULT.  The process and all other tasks live
 * on, unless the task's pool (skua_pool_options.on_fault) or skua_on_fault chooses
 * otherwise.  Message and place are kept: whoever joins the task, waits for its
 * future, or waits for its pool or group can have them.
 *
 * What the task holds in the frames that are forgotten (memory, locks, files)
 * stays held: give it back in a deferred call.
 *
 *   SKUA_SCOPED skua_deferred unlock;
 *   lock(&door);
 *   skua_defer(&unlock, unlock_door, &door);
 *   if (broken()) skua_panic_task("door %d is broken", n);
 *   return 0;   (SKUA_SCOPED: here the door is unlocked, too)
 */
#ifndef SKUA_FAULT_H
#define SKUA_FAULT_H

#include "skua/api.h"
#include "skua/task.h"

SKUA_BEGIN

/* ---- deferred calls ---- */

/* One deferred call. The caller's memory; its fields belong to skua from skua_defer on until the call. */
typedef struct skua_deferred {
    struct skua_deferred *next;
    skua_fn *fn;
    void *arg;
} skua_deferred;

/*
 * Has fn(arg) called when the running task ends: by returning, or by giving
 * up.  What was deferred last is called first, in the task's own context, where
 * it may park (as far as a task may that has been cancelled), defer, and give up
 * itself.  What fn returns is ignored.
 *   d   the caller's memory, which must be there until the call.  When it lies
 *       in a frame, it goes with the frame: whoever returns from there, be it
 *       from the task's own function, takes it back before, by SKUA_SCOPED,
 *       skua_defer_run, skua_defer_pop or skua_undefer.  A task that ends with a
 *       deferred call in a frame that it has left aborts the process.
 * Returns 0; -EALREADY: the task has deferred d already; -EPERM outside of a
 * task.
 * Context: task; never parks.
 */
SKUA_API int skua_defer(skua_deferred *d, skua_fn *fn, void *arg);

/*
 * Takes a deferred call back, wherever it stands, and makes it now.
 * Returns 0; -ENOENT: the running task has not deferred it, or it has been
 * made or taken back; -EPERM outside of a task.
 * Context: task; parks if the call does.
 */
SKUA_API int skua_defer_run(skua_deferred *d);

/* Before a skua_deferred in a block: the call is made when the block is left, in whichever way, unless it was taken
   back before. */
#define SKUA_SCOPED __attribute__((cleanup(skua_defer_run)))

/* Takes back what was deferred last, and makes the call now unless run is 0. Returns and context as skua_defer_run. */
SKUA_API int skua_defer_pop(int run);

/* Takes a deferred call back, wherever it stands; it is not made. Returns as skua_defer_run; never parks. */
SKUA_API int skua_undefer(skua_deferred *d);

/* ---- giving up ---- */

#define SKUA_FAULT_MESSAGE_MAX 199

/* Where and why a task gave up. */
typedef struct skua_fault {
    skua_task task;   /* of a call that a submitter has made for its pool: the submitter, null if it is no task */
    const char *file; /* of the call of skua_panic_task */
    int line;
    char message[SKUA_FAULT_MESSAGE_MAX + 1]; /* cut there if it was longer */
} skua_fault;

/*
 * skua_panic_task(format, ...), as printf: gives up the running task.  Never
 * returns.  In this order:
 *   1. who is told of faults is told: by the choice of the pool, of the nearest
 *      one above it that has made one, else by skua_on_fault
 *   2. the deferred calls are made, the latest first.  One that gives up ends
 *      there, and the rest are made (on top of its frames: some 300 bytes of
 *      stack for each); the first fault stays the task's, others are not told
 *   3. the task ends as failed with -EFAULT.  When it was cancelled that is
 *      so, too; when a deadline of its own has passed it ends as expired
 * In a blocking call the bracket is ended first.  A task that its submitter runs
 * (SKUA_FULL_RUN) ends alone: its own deferred calls are made, and the submitter
 * goes on, be it a task or a thread.  Outside of all that, and in a forked
 * child, there is nothing to give up: the process writes the message to stderr and
 * aborts.
 * Context: any thread; may park.
 */
#define skua_panic_task(...) skua_panic_task_at(__FILE__, __LINE__, __VA_ARGS__)

/* The same for a given place; file must be there for good. */
SKUA_API void skua_panic_task_at(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, cold, format(printf, 3, 4)));

/*
 * The fault of a task that gave up: of one that has ended and has been neither
 * joined nor detached, by the holder of the handle; or of the calling task
 * itself, in its deferred calls, where it tells whether they run because of a
 * fault.
 * Returns 0; -ENODATA: the task has not given up; -EAGAIN: it has not ended;
 * -ESRCH: joined or detached already, or no such task.
 * Context: any thread; never parks.
 */
SKUA_API int skua_fault_of(skua_task task, skua_fault *out);

/*
 * skua_join_for that also tells why the task gave up: *fault gets that, or all
 * zero (file == NULL) when it has not.
 * Returns, and context, as skua_join_for; -EINVAL: no fault.
 */
SKUA_API int skua_join_fault(skua_task task, uint64_t timeout, int *result, skua_fault *fault);

/*
 * Gives up the running task because another one has: with the same message and
 * place, as skua_panic_task does.  For who has waited for tasks and is to share
 * their fate.  Outside of a task the process aborts with the message.
 * Context: any thread; may park.  Never returns.
 */
SKUA_API void skua_fault_rethrow(const skua_fault *fault) __attribute__((noreturn, cold));

/* ---- what happens then ---- */

/*
 * Called once for each task that gives up, by the task, at the depth at which
 * it gave up: its frames still stand, it holds its place in its pool, and its
 * group counts it as running.  It may park; it may itself give up, which ends only
 * the handler.  A task that is retried is a fault each time.
 */
typedef void skua_fault_handler(const skua_fault *fault, void *arg);

typedef struct skua_fault_choice {
    skua_fault_handler *handler;
    void *arg;
} skua_fault_choice;

/*
 * Chooses, for the whole process, who is told of faults of tasks whose pools have
 * made no choice of their own; NULL, as in the beginning: nobody, a fault is just
 * the task's error.
 *   choice   must be there until another choice is made and the handler's
 *            calls have returned: best a constant.
 * Returns 0; -EINVAL: no handler; -ECHILD in a forked child.
 * Context: any thread; never parks.
 */
SKUA_API int skua_on_fault(const skua_fault_choice *choice);

/* A handler: writes the message, the place and the task's function to stderr and aborts, so that a core shows the
   frames of the fault. */
SKUA_API void skua_fault_abort(const skua_fault *fault, void *unused);

SKUA_END

#endif
