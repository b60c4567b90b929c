/*
 * skua: a lock-free, work-stealing task runtime for Linux.
 *
 * This is the whole library on one screen; each header says what its calls do,
 * what they return, from where they may be called and whether they may park.
 *
 *   error.h     skua_strerror: every call returns 0 or a negative errno value
 *   time.h      durations in nanoseconds: SKUA_US, SKUA_MS, SKUA_S, SKUA_FOREVER
 *   task.h      go, spawn, join, cancel, yield, sleep, timers, blocking calls
 *   fault.h     giving up a task from any depth, deferred calls
 *   runtime.h   runtimes: workers, adjusters, statistics, shutdown
 *   deadlock.h  being told when all tasks wait and nothing can wake one
 *   chan.h      channels, as Go has them: send, receive, close
 *   select.h    waiting for the first of several sends and receives
 *   signals.h   signals of the system in a channel, for an orderly end
 *   ticker.h    timers that repeat, are stopped and set again; into a channel or a call
 *   context.h   one end for many tasks: cancel, deadline, values, down a tree
 *   local.h     values that each task has for itself
 *   mutex.h     a mutex that parks the task, not the thread
 *   rwlock.h    the same, shared by readers
 *   cond.h      waiting under a mutex for a change
 *   semaphore.h permits, one or several at once, first come, first served
 *   waitgroup.h waiting until a number of things are done; latch.h: once
 *   barrier.h   a number of parties that wait for each other
 *   once.h      what is done exactly once
 *   parking.h   waiting at an address, as futex(2), for locks of your own
 *   nopark.h    sections in which a task must not park; cycle.h: locks that wait for each other
 *   locker.h    locks by choice: over that mutex, or ConcurrencyKit's spinlocks
 *   pool.h      pools: a limit on running tasks, a bounded queue, wait
 *   storage.h   tasks of pools in memory of the caller's
 *   histogram.h how durations spread: the times of a pool's tasks, quantiles
 *   progress.h  how far a pool has come: by query, and by a call every so often
 *   group.h     groups: wait together, first error, cancel on error; for_each, map
 *   stream.h    tasks beside each other, their callbacks one at a time and in order
 *   lane.h      tasks one at a time and in order, lane by lane, by key
 *   shard.h     several pools that are used as one
 *   future.h    results of pools' tasks: wait, try, then, cancel
 *
 * A newcomer needs three calls:
 *
 *   skua_go(fn, arg)            run fn(arg) as a task
 *   skua_sleep(SKUA_MS(10))     park the task, not the thread
 *   skua_pool_submit(pool, fn, arg)
 */
#ifndef SKUA_SKUA_H
#define SKUA_SKUA_H

#include "skua/barrier.h"
#include "skua/chan.h"
#include "skua/cond.h"
#include "skua/context.h"
#include "skua/cycle.h"
#include "skua/deadlock.h"
#include "skua/error.h"
#include "skua/fault.h"
#include "skua/group.h"
#include "skua/future.h"
#include "skua/histogram.h"
#include "skua/lane.h"
#include "skua/latch.h"
#include "skua/local.h"
#include "skua/locker.h"
#include "skua/mutex.h"
#include "skua/nopark.h"
#include "skua/once.h"
#include "skua/parking.h"
#include "skua/pool.h"
#include "skua/progress.h"
#include "skua/runtime.h"
#include "skua/rwlock.h"
#include "skua/select.h"
#include "skua/semaphore.h"
#include "skua/shard.h"
#include "skua/signals.h"
#include "skua/storage.h"
#include "skua/stream.h"
#include "skua/task.h"
#include "skua/ticker.h"
#include "skua/time.h"
#include "skua/waitgroup.h"

#endif
