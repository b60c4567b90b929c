/*
 * deadlock.h: being told when all tasks wait and nothing can wake one.
 *
 * When every task of a runtime is parked, no timer is armed, nobody is in a
 * blocking call, and every other thread of the process waits in this library
 * without a time limit, nothing will ever happen again.  Then the runtime says so,
 * once: by default on stderr, a line for each task and what it waits for:
 *
 *   skua: deadlock: 2 tasks wait, and nothing can wake them
 *   skua:   task 0x7f0c5a2f4000 left (0x55e5c1b7a1d0) waits for chan receive 0x7f0c59bff040
 *   skua:   task 0x7f0c5a2f4100 right (0x55e5c1b7a230) waits for chan receive 0x7f0c59bff140
 *   skua:   a thread waits for join 0x7f0c5a2f4008
 *
 * It is noticed some 10 to 20 ms after the last task or thread went to sleep, by
 * the runtime's background thread.  No false alarm is meant to happen, so it keeps
 * silent when in doubt: as long as any thread of the process computes, sleeps,
 * waits in a call of another library or waits here with a time limit, and while a
 * channel of signals is open (skua/signals.h).
 *
 * A thread that ends without having used this library tells nobody.  If such an end
 * makes the deadlock, it is noticed later, by at most 10 s: while tasks are parked,
 * and some threads wait here and others do not, the background thread looks again
 * after 0.01, 0.1 and 1 s, and every 10 s from then on.  Else it does not wake up
 * for this while nothing happens; and once in 10 ms at most while threads come and
 * go.  A runtime without parked tasks wakes nobody.
 */
#ifndef SKUA_DEADLOCK_H
#define SKUA_DEADLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/runtime.h"
#include "skua/task.h"

SKUA_BEGIN

#define SKUA_DEADLOCK_LISTED 50

/* One who waits. */
typedef struct skua_deadlock_waiter {
    skua_task task;     /* null: a thread of the program */
    skua_fn *fn;        /* the task's function; NULL: a thread */
    const char *name;   /* of fn, when it is an exported symbol; NULL */
    const char *waits;  /* for what, as "chan receive"; never NULL, and there for good */
    const void *object; /* where that is: the channel, the lock, the joined task's; NULL: not told */
} skua_deadlock_waiter;

typedef struct skua_deadlock_report {
    skua_runtime *runtime;
    size_t tasks;   /* that are parked; all there are but those that wait to be started */
    size_t threads; /* of the program, all of which wait */
    size_t listed;  /* entries of `waiter`: tasks first, then threads, as many as there is room for */
    const skua_deadlock_waiter *waiter; /* there during the call */
} skua_deadlock_report;

/*
 * Is told of each deadlock, once, in the runtime's background thread.  It may
 * call whatever never parks: skua_cancel and sends that do not wait, for one, may
 * resolve the deadlock.  It must neither wait nor stop the runtime.
 */
typedef void skua_deadlock_handler(const skua_deadlock_report *report, void *arg);

/* A handler: the report on stderr, as above. */
SKUA_API void skua_deadlock_print(const skua_deadlock_report *report, void *unused);

/*
 * Chooses who is told.
 *   runtime   NULL: that of the calling task; outside of a task the default one
 *   handler   NULL: the default again, which prints the first deadlock of the runtime
 * Returns 0; -ENOMEM: there is no default runtime; -ESHUTDOWN: released; -ECHILD.
 * Context: any thread; never parks.
 */
SKUA_API int skua_runtime_on_deadlock(skua_runtime *runtime, skua_deadlock_handler *handler, void *arg);

SKUA_END

#endif
