/*
 * worker.h: a worker (P): the deque, timers and caches that one thread at a
 * time carries, and the runtime it belongs to.
 *
 * W: the carrying thread writes, anyone reads.  O: the carrying thread only.
 * I: never changes after init.  Workers are never freed while their runtime
 * lives, so whoever holds a pointer to one may look at it at any time.
 */
#ifndef SK_RUNTIME_WORKER_H
#define SK_RUNTIME_WORKER_H

#include "adjust/adjust.h"
#include "base/atomic.h"
#include "base/base.h"
#include "base/rng.h"
#include "deque/inject.h"
#include "deque/taskq.h"
#include "mem/slab.h"
#include "mem/stack.h"
#include "runtime/deadlock.h"
#include "runtime/local.h"
#include "runtime/task.h"
#include "skua/runtime.h"

/* Called on the stack that is gone to, once the leaver's registers are saved; publishes the leaver. */
typedef void sk_commit_fn(sk_worker *w, sk_task *leaver, void *arg);

/* Counters; the carrying thread adds, anyone reads. The order in which a snapshot reads them is in stats.c. */
typedef struct sk_counters {
    sk_atomic(uint64_t) created, started, parked, resumed, ended[SK_ENDS];
    sk_atomic(uint64_t) unstarted; /* of the ended: without a start */
    sk_atomic(uint64_t) dispatches, steals_tried, steals_won, tasks_stolen, sleeps, wakeups;
    sk_atomic(uint64_t) timers_armed, timers_fired, timers_cancelled;
} sk_counters;

/* Whether the worker's thread is at its post, see blocking.c. */
enum { SK_CARRIED = 0, SK_LENT = 1, SK_VACANT = 2, SK_CARRY = 3 /* the mask; above it a ticket */ };

enum { SK_LOOT = SK_TASKQ_LOOT, SK_QUIET_NS = 50000 /* see sched.c */ };

struct sk_worker {
    /* --- the carrying thread's own --- */
    skua_runtime *runtime; /* I */
    uint32_t index;        /* I: place among the runtime's workers */
    uint32_t tick;         /* O: dispatches, for what is done every so often */
    uint32_t in_a_row;     /* O: tasks taken from runnext without a look at the queue */
    uint32_t newborn;      /* O: so many of the newest in the queue have not been started */
    uint32_t young;        /* O: looks at a queue whose newest tasks could go first */
    uint64_t old_size;     /* O: how long that queue was when its oldest was taken; 0: it was not long */
    uint64_t old_waits;    /* O: ns, since when the next is kept waiting, see sched.c; 0: it is not */
    uint32_t handed;       /* O: tasks put into runnext, and so on: see sk_ready_next */
    uint32_t spread;       /* O: so many of the next go to the queue instead */
    uint64_t handed_at;    /* O: ns, of the one in runnext; 0: not looked at */
    sk_local *local;       /* O: the thread */
    sk_task *task;         /* O: running now; NULL in the loop */
    sk_fiber *fiber;       /* O: the stack that the thread stands on */
    sk_task *pending;      /* O: the loop that is gone to runs this first */
    sk_commit_fn *commit;  /* O: to be done on arrival, with the two below */
    sk_task *leaver;       /* O */
    void *commit_arg;      /* O */
    sk_fiber *left_loop;   /* O: a loop's stack that was left, to be cached on arrival */
    uint64_t last_wake;    /* O: when it last woke from its sleep */
    bool rung;             /* O: somebody rang it out of its last sleep, soon after it had begun */
    bool searching;        /* O: counted in runtime->searching */
    sk_rng rng;            /* O */
    void *batch[SK_LOOT];  /* O: tasks on their way from a pool's queue to this one; here, not on a one-page stack */
    sk_slab_cache tasks;   /* O */
    sk_stack_cache stacks; /* O */
    sk_slab_cache jobs;    /* O: of src/pool/job.c, which sets it up; all zero before */
    sk_slab_cache cached[SK_CACHED]; /* O: see sk_cached_alloc */
    /* --- shared --- */
    SK_LINE_ALIGNED sk_taskq queue;
    sk_claim next_claim;                          /* who may touch runnext: the owner for free, the monitor late */
    SK_LINE_ALIGNED sk_atomic(sk_task *) runnext; /* its holder; anyone peeks */
    sk_atomic(uint64_t) carry;                    /* SK_CARRIED, _LENT, _VACANT and a ticket, see blocking.c */
    sk_atomic(uint64_t) lent_since;               /* W: when the blocking call began, for the monitor */
    sk_atomic(uint32_t) doorbell;                 /* futex: bumped by whoever takes the worker's idle bit */
    sk_atomic(uint64_t) quiet_since;              /* W: ns; when tasks were queued unannounced; 0: none */
    sk_atomic(bool) poke;                         /* monitor: look at your timers before the next task */
    sk_atomic(bool) retire;                       /* monitor: leave the table at the next look */
    uint64_t run_before;                          /* controller: dispatches when it was last made or revived */
    sk_atomic(void *) straight;                   /* W: the pool in which it holds a slot for a task not counted yet */
    sk_atomic(bool) robbing;                      /* W: in a read section; a hint, see sk_reclaim */
    SK_LINE_ALIGNED sk_timers timers;             /* its holder, see timer/timers.h */
    SK_LINE_ALIGNED sk_counters count;            /* W */
};

/* sk_cached_alloc and sk_cached_free by who knows already which worker it carries, or NULL. */
static inline void *sk_cached_alloc_by(sk_worker *w, sk_lazy_slab *lazy, unsigned kind)
{
    return sk_likely(w && w->cached[kind].slab) ? sk_slab_alloc(&w->cached[kind]) : sk_cached_alloc(lazy, kind);
}

static inline void sk_cached_free_by(sk_worker *w, sk_lazy_slab *lazy, unsigned kind, void *object)
{
    if (sk_likely(w && w->cached[kind].slab))
        sk_slab_free(&w->cached[kind], object);
    else
        sk_cached_free(lazy, kind, object);
}

/* The RCU-published table of workers. Replaced as a whole; the old one is freed after a grace period. */
typedef struct sk_table {
    struct sk_table *next; /* monitor: in the list of tables to free */
    uint32_t n;
    sk_worker *worker[];
} sk_table;

#define SK_IDLE_WORDS (SKUA_WORKERS_MAX / 64)

struct skua_runtime {
    /* --- I: never changes after init --- */
    sk_task_owner owner;       /* of the tasks that belong to no pool */
    sk_atomic(uint64_t) magic; /* changed at release */
    uint32_t workers_min, workers_max, processors;
    unsigned stack_class;
    skua_adjust adjust;
    uint64_t adjust_interval;
    /* --- read by all, seldom written --- */
    SK_LINE_ALIGNED sk_atomic(uint32_t) stopping;     /* 0, or SK_STOP_*: see shutdown.c */
    sk_atomic(sk_table *) table;                      /* controller writes */
    sk_atomic(sk_worker *) workers[SKUA_WORKERS_MAX]; /* controller writes: all there ever were */
    sk_atomic(uint32_t) workers_made;
    sk_atomic(uint32_t) wanted;   /* anyone: the number of workers of a fixed runtime */
    sk_adjust_policy policy;      /* I */
    sk_adjust_state adjust_state; /* monitor */
    uint64_t next_decision;       /* monitor */
    uint64_t idle_since;          /* monitor: since when a worker has been idle; 0: none is */
    uint64_t dispatched;          /* monitor: dispatches of all workers at the last sample */
    /* --- work from outside --- */
    SK_LINE_ALIGNED sk_inject inbox;
    /* --- idle workers, see idle.c --- */
    SK_LINE_ALIGNED sk_atomic(uint32_t) searching; /* workers that look for work */
    sk_atomic(uint32_t) idlers;                    /* unused */
    sk_atomic(uint32_t) last_idler;                /* hint: the worker that went to sleep last */
    sk_atomic(uint64_t) idle[SK_IDLE_WORDS];       /* bit i: worker i sleeps or is about to */
    /* --- the monitor, see monitor.c --- */
    SK_LINE_ALIGNED sk_atomic(uint32_t) monitor_word; /* futex */
    sk_atomic(uint32_t) monitor_deep;                 /* 1: it sleeps until somebody wakes it */
    sk_atomic(uint32_t) monitor_napping;              /* 1: it naps for long */
    sk_local *monitor;                                /* I */
    sk_deadlock deadlock;                             /* see deadlock.h */
    sk_local *threads;                                /* monitor: all threads but itself */
    sk_atomic(uint32_t) thread_count;
    sk_inject spares;              /* threads with nothing to carry; the monitor takes */
    sk_inject_link *spare_batch;   /* monitor: taken and not used yet */
    sk_stack_cache control_stacks; /* controller */
    sk_inject retired;             /* outgrown deque buffers, for the controller to free */
    sk_table *replaced;            /* controller: tables to free */
    /* --- the end, see shutdown.c --- */
    SK_LINE_ALIGNED sk_inject owing; /* chores for the monitor */
    sk_atomic(uint32_t) visitors;    /* other threads that are making something runnable here */
    sk_atomic(uint32_t) stop_word;   /* futex of the stopping thread */
    /* --- counters that no worker owns --- */
    SK_LINE_ALIGNED sk_atomic(uint64_t) foreign_created;
    sk_atomic(uint64_t) foreign_refused; /* of the created: turned away at once */
    sk_atomic(uint64_t) foreign_ended[SK_ENDS], foreign_unstarted;
    sk_atomic(uint64_t) grown, shrunk, handoffs;
};

/* How many workers there are to look at; from any thread. */
static inline uint32_t sk_workers_made(skua_runtime *rt)
{
    /* [MA-A4] acquire; pairs with [MA-R4] in new_worker: without it a worker could be seen before it is initialized. */
    return sk_load_acq(&rt->workers_made);
}

enum { SK_STOP_OUTSIDE = 1, SK_STOP_CANCEL = 2, SK_STOP_THREADS = 3 };

#define SK_RUNTIME_LIVE UINT64_C(0x736b7561206c6976)
#define SK_RUNTIME_RELEASED UINT64_C(0x736b756120676f6e)

#endif
