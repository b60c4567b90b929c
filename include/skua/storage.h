/*
 * storage.h: tasks of pools in memory of the caller's.
 *
 * A pool makes an object for each task that it accepts.  Of a task in storage of
 * the caller's it makes none before it starts: so a queue of millions costs what
 * the caller has laid out for it and eight bytes a place, and submitting never
 * fails for memory.  The storage may lie in an object that the caller has anyway.
 *
 *   skua_task_init(&order->task, handle, order);
 *   skua_pool_submit_stored(pool, &order->task);
 *   ...
 *   skua_stored_wait(&order->task, SKUA_FOREVER, &result);
 *   free(order);
 *
 * While it is submitted nobody else may write to it, move it or free it.  When
 * its end has been told (a wait returned 0, skua_stored_is_idle 1) it may be
 * freed, or submitted again, at once; whoever does sees to it that no other call
 * with this storage is under way.
 *
 * Such a task is one of the pool's like any other: limit, queue, policies, pause,
 * cancel, stop, counters and times count it.  It has level 0, no deadlines and no
 * retries, also where the pool has some for all.
 *
 * Errors that are not repeated below: -EINVAL: no storage, one that
 * skua_task_init has not seen; -ECHILD: the process is a fork(2)ed child.
 */
#ifndef SKUA_STORAGE_H
#define SKUA_STORAGE_H

#include <stdint.h>

#include "skua/pool.h"

SKUA_BEGIN

/* 64 bytes. Its fields are the library's. */
typedef struct skua_task_storage {
    uint64_t word;
    skua_fn *fn;
    void *arg;
    uint64_t own[5];
} skua_task_storage;

/*
 * Makes it a task fn(arg) that has never been submitted; fn == NULL: the function
 * of the pool that it will be submitted to (see skua_pool_invoke).
 * Returns 0. Context: any thread, while it is not submitted; never parks.
 */
SKUA_API int skua_task_init(skua_task_storage *storage, skua_fn *fn, void *arg);

/*
 * Submits it, as skua_pool_submit does.
 * Returns 0: accepted, it will end in exactly one state; -EBUSY: it is submitted
 * already; errors as of skua_pool_submit, and then it is idle, as before; but -ENOMEM
 * only in a pool without a queue, or for a foreign thread that is to run it itself.
 * Context: any thread; may park. Ordering: what the caller wrote before is visible to the task.
 */
SKUA_API int skua_pool_submit_stored(skua_pool *pool, skua_task_storage *storage);

/*
 * Waits until the submission that is under way has ended, at most `timeout` ns (0
 * polls).  *result (may be NULL) gets what the function returned in the latest
 * submission that has ended; -ECANCELED when it was cancelled before it started;
 * -ESHUTDOWN when it was dropped; -ENOMEM when there was no memory to start it;
 * -EFAULT when it gave up.  Any number may wait.
 * Returns 0; -ESRCH: it was never submitted; -EDEADLK: called from the task
 * itself; -ETIMEDOUT; in a task -ECANCELED, -ETIMEDOUT, -ENOMEM.
 * Context: any thread; may park. Ordering: what the task wrote is visible after a return of 0.
 */
SKUA_API int skua_stored_wait(skua_task_storage *storage, uint64_t timeout, int *result);

/* 1: it is not submitted, or has ended; then the same holds as after a wait. 0: it is. Any thread; never parks. */
SKUA_API int skua_stored_is_idle(const skua_task_storage *storage);

SKUA_END

#endif
