/*
 * runtime.h: runtimes.
 *
 * A runtime is a set of workers, each carried by a thread, that share tasks by
 * stealing.  Most programs use only the default one, which starts on first use.
 */
#ifndef SKUA_RUNTIME_H
#define SKUA_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/task.h"

SKUA_BEGIN

/* Who decides how many workers there are, between workers_min and workers_max. A worker that is to go finishes the task
   that it has; until then there may be more. EAGER, BALANCED and LAZY retire as BACKLOG does. */
typedef enum skua_adjust {
    SKUA_ADJUST_FIXED = 0, /* workers_max of them, until skua_runtime_resize */
    SKUA_ADJUST_BACKLOG,   /* doubled when the backlog passes 75% of the workers, halved when idle */
    SKUA_ADJUST_BLOCKING,  /* as many running workers as processors while others are in blocking calls */
    SKUA_ADJUST_EAGER,     /* one more for each task that waits in a worker's queue while no worker is idle */
    SKUA_ADJUST_BALANCED,  /* the same, but one for every two such tasks */
    SKUA_ADJUST_LAZY,      /* one at a time, while more than four tasks wait for each worker, or none of the workers
                              comes to the end of what it computes and others wait */
} skua_adjust;

#define SKUA_WORKERS_MAX 1024

typedef struct skua_runtime_options {
    uint32_t workers_min; /* 1 to workers_max; 0: 1, or workers_max when fixed */
    uint32_t workers_max; /* 1 to SKUA_WORKERS_MAX; 0: the processors this process may use (affinity, cgroup
                             quota, the environment variable SKUA_WORKERS) */
    size_t stack_size;    /* bytes of a task's stack, 16 KiB to 8 MiB, rounded up to a power of two; 0: 64 KiB */
    skua_adjust adjust;
    uint64_t adjust_interval; /* ns between two decisions of the adjuster; 0: 10 ms */
    uint64_t idle_timeout;    /* ns for which some worker is idle and nothing waits before half of the workers retire,
                                 and again before the next half does, down to workers_min; SKUA_FOREVER: none retires;
                                 0: 100 ms. Looked at every adjust_interval. BLOCKING: for which fewer would do */
} skua_runtime_options;

/*
 * Makes a runtime and starts its workers; options == NULL: all defaults.  When
 * some threads cannot be started it goes on with fewer.
 * Returns 0; -EINVAL; -ENOMEM; -EAGAIN: not one thread could be started;
 * -ECHILD in a forked child.
 * Context: any thread; may block.
 */
SKUA_API int skua_runtime_create(skua_runtime **out, const skua_runtime_options *options);

/* The default runtime, made on first use; NULL when that failed, and in a forked child. Any thread. */
SKUA_API skua_runtime *skua_runtime_default(void);

/* The runtime of the calling task; NULL outside of a task. */
SKUA_API skua_runtime *skua_runtime_current(void);

/*
 * Sets the number of workers of a fixed runtime (1 to SKUA_WORKERS_MAX) while
 * tasks run; the change is carried out in the background.
 * Returns 0; -EINVAL; -EPERM: another policy decides; -ESHUTDOWN.
 */
SKUA_API int skua_runtime_resize(skua_runtime *runtime, uint32_t workers);

/*
 * Stops a runtime: refuses new tasks from outside, drops timers that have not
 * fired, and waits at most `timeout` ns for the rest to end.  When time is up
 * it cancels what is left: queued tasks end as dropped, parked ones are woken
 * with -ECANCELED.
 * Returns 0: every task has ended; -ETIMEDOUT: the rest has been cancelled and
 * has still to end (call again, or release); -EDEADLK: called from one of its
 * own tasks; -ESHUTDOWN: released already.
 * Context: any thread, or a task of another runtime; may park.
 */
SKUA_API int skua_runtime_stop(skua_runtime *runtime, uint64_t timeout);

/*
 * Stops the runtime without a time limit, ends its threads and frees it.
 * Returns 0; -EDEADLK; -ESHUTDOWN: released already. Context as for stop.
 */
SKUA_API int skua_runtime_release(skua_runtime *runtime);

/* Counters of one worker, or of all together. */
typedef struct skua_worker_stats {
    uint64_t tasks_run;        /* dispatches: starts and resumptions */
    uint64_t steals_tried;     /* victims looked at */
    uint64_t steals_won;       /* of these, with at least one task taken */
    uint64_t tasks_stolen;     /* tasks taken in them */
    uint64_t parks;            /* tasks parked */
    uint64_t sleeps;           /* times the worker's thread went to sleep for want of work */
    uint64_t wakeups;          /* other workers woken by this one */
    uint64_t timers_armed;     /* since the start */
    uint64_t timers_fired;     /* since the start */
    uint64_t timers_cancelled; /* since the start */
    uint64_t queued;           /* tasks in the worker's queue now, a hint */
} skua_worker_stats;

/*
 * One consistent snapshot: at every moment
 * created = queued + running + parked + done + failed + cancelled + expired + dropped.
 */
typedef struct skua_stats {
    uint32_t workers; /* slots that carry out tasks now */
    uint32_t idle;    /* of these, asleep */
    uint32_t blocked; /* of these, in a blocking call */
    uint32_t threads; /* threads of this runtime, spares and the monitor included */
    uint64_t created; /* tasks accepted since the start */
    uint64_t queued;  /* not started yet, delayed ones included */
    uint64_t running; /* started, not parked: running or ready to */
    uint64_t parked;  /* started, parked */
    uint64_t done, failed, cancelled, expired, dropped;
    uint64_t grown, shrunk;  /* workers added and retired by the adjuster or a resize */
    uint64_t handoffs;       /* workers taken from threads stuck in blocking calls */
    uint64_t stacks;         /* stacks in use and cached, of the whole process */
    uint64_t stack_bytes;    /* address space of these, in bytes; only touched pages are resident */
    skua_worker_stats total; /* all workers together, retired ones included */
} skua_stats;

/*
 * Takes a snapshot.  each (may be NULL) gets the counters of up to `room`
 * workers; returns how many workers there are; -EINVAL; -ESHUTDOWN.
 * Context: any thread; never parks.
 */
SKUA_API int skua_runtime_stats(skua_runtime *runtime, skua_stats *out, skua_worker_stats *each, size_t room);

SKUA_END

#endif
