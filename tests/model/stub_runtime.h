/*
 * stub_runtime.h: a runtime small enough to be explored, for models of the real
 * src/runtime/idle.c and monitor.c.  It stands for worker.h and what that
 * includes; the names are those of the real fields.  The inbox is the real one;
 * a queue is a bag whose size is known, since only that counts here.
 *
 * Include it after stub_world.h, then the code under test.
 */
#ifndef SK_TEST_MODEL_STUB_RUNTIME_H
#define SK_TEST_MODEL_STUB_RUNTIME_H

#define SK_RUNTIME_WORKER_H
#define SK_RUNTIME_LOCAL_H
#define SK_RUNTIME_RCU_H
#define SK_RUNTIME_SCHED_H
#define SK_RUNTIME_SHUTDOWN_H
#define SK_RUNTIME_ADJUSTER_H
#define _URCU_MEMB_H

#include "deque/inject.h"
#include "timer/claim.h"

#define SKUA_WORKERS_MAX 4
#define SK_IDLE_WORDS 1

typedef struct skua_runtime skua_runtime;
typedef struct sk_worker sk_worker;
typedef struct sk_task sk_task;
typedef struct sk_fiber sk_fiber;
typedef struct sk_local sk_local;

enum { SK_CARRIED = 0, SK_LENT = 1, SK_VACANT = 2, SK_CARRY = 3 };
enum { SK_QUIET_NS = 50000 };
enum { SK_STOP_OUTSIDE = 1, SK_STOP_CANCEL = 2, SK_STOP_THREADS = 3 };

/* A plain field: an access that nothing orders is a race, which Relacy reports. */
template <typename T> struct stub_field {
    mutable rl::var<T> value;

    operator T() const
    {
        return value($);
    }
    T operator=(T v)
    {
        value($) = v;
        return v;
    }
};

typedef struct sk_chore {
    void (*run)(struct sk_chore *chore, sk_worker *w);
    sk_inject_link link;
} sk_chore;

struct sk_task {
    sk_inject_link link;
    int number;
};

/* ---- a queue of a few places, each of which is used once ---- */

enum { STUB_QUEUE = 4 };

typedef struct sk_taskq {
    sk_atomic(int64_t) bottom; /* the owner pushes here */
    sk_atomic(int64_t) top;    /* anyone takes here */
    sk_task *place[STUB_QUEUE];
} sk_taskq;

static inline int64_t sk_taskq_size(const sk_taskq *q)
{
    return sk_load_rlx(&q->bottom) - sk_load_rlx(&q->top);
}

static inline void stub_push(sk_taskq *q, sk_task *t)
{
    int64_t bottom = sk_load_rlx(&q->bottom);
    RL_ASSERT(bottom < STUB_QUEUE);
    q->place[bottom] = t;
    sk_store_rel(&q->bottom, bottom + 1);
}

/* Owner or thief. */
static inline sk_task *stub_take(sk_taskq *q)
{
    int64_t top = sk_load_rlx(&q->top);
    while (top < sk_load_acq(&q->bottom))
        if (sk_cas_ar(&q->top, &top, top + 1)) return q->place[top];
    return NULL;
}

/* ---- timers: when they want to be looked at ---- */

typedef struct sk_timers {
    struct {
        sk_atomic(uint64_t) due;
        sk_atomic(uint32_t) head; /* 1: somebody has left a slot */
    } inbox;
    struct {
        sk_atomic(uint64_t) due;
    } claim;
} sk_timers;

static inline uint64_t sk_timers_next(sk_timers *t)
{
    uint64_t wheel = sk_load_rlx(&t->claim.due), late = sk_load_rlx(&t->inbox.due);
    return sk_min(wheel, late);
}

static inline bool sk_timers_pending(sk_timers *t, uint64_t now)
{
    return now >= sk_timers_next(t);
}

/* ---- worker and runtime ---- */

struct sk_worker {
    skua_runtime *runtime;
    uint32_t index;
    bool searching;
    stub_field<sk_task *> task;
    stub_field<sk_fiber *> fiber;
    sk_taskq queue;
    sk_claim next_claim;
    sk_atomic(sk_task *) runnext;
    sk_atomic(uint64_t) carry, lent_since, quiet_since;
    sk_atomic(uint32_t) doorbell;
    sk_atomic(bool) poke, retire;
    sk_timers timers;
    struct {
        sk_atomic(uint64_t) sleeps, wakeups, dispatches;
    } count;
    bool in_idle; /* the model's: it is in sk_idle */
};

/* The report of deadlocks, which no model makes: no steps of a schedule. */
#define SK_RUNTIME_DEADLOCK_H
#define SK_RUNTIME_EXTRA_H
struct stub_unwatched {
    uint32_t value;
    uint32_t load(rl::memory_order, rl::debug_info_param) const
    {
        return value;
    }
    void store(uint32_t v, rl::memory_order, rl::debug_info_param)
    {
        value = v;
    }
};
typedef struct sk_deadlock {
    stub_unwatched watches, paying;
} sk_deadlock;
static inline uint64_t sk_deadlock_look(skua_runtime *)
{
    return SK_NEVER;
}
static inline void sk_deadlock_up(skua_runtime *)
{
}
static inline void sk_extra_leaves(const sk_task *, const char *)
{
}

struct skua_runtime {
    sk_atomic(uint32_t) stopping;
    sk_atomic(sk_worker *) workers[SKUA_WORKERS_MAX];
    sk_atomic(uint32_t) workers_made;
    uint32_t workers_here; /* the same: in these models the workers are there from the start */
    sk_inject inbox;
    sk_atomic(uint32_t) searching, last_idler;
    sk_atomic(uint64_t) idle[SK_IDLE_WORDS];
    sk_atomic(uint32_t) monitor_word, monitor_deep, monitor_napping;
    sk_local *monitor;
    sk_atomic(uint64_t) handoffs;
    sk_inject owing;
    sk_deadlock deadlock;
};

static inline uint32_t sk_workers_made(skua_runtime *rt)
{
    return rt->workers_here;
}

static inline void stub_worker_init(skua_runtime *rt, sk_worker *w, uint32_t index)
{
    w->runtime = rt;
    w->index = index;
    w->searching = w->in_idle = false;
    w->task = NULL;
    w->fiber = NULL;
    sk_store_rlx(&w->queue.bottom, (int64_t)0);
    sk_store_rlx(&w->queue.top, (int64_t)0);
    sk_claim_init(&w->next_claim);
    sk_store_rlx(&w->runnext, (sk_task *)NULL);
    sk_store_rlx(&w->carry, (uint64_t)SK_CARRIED);
    sk_store_rlx(&w->lent_since, (uint64_t)0);
    sk_store_rlx(&w->quiet_since, (uint64_t)0);
    sk_store_rlx(&w->doorbell, 0u);
    sk_store_rlx(&w->poke, false);
    sk_store_rlx(&w->retire, false);
    sk_store_rlx(&w->timers.inbox.due, SK_NEVER);
    sk_store_rlx(&w->timers.inbox.head, 0u);
    sk_store_rlx(&w->timers.claim.due, SK_NEVER);
    sk_store_rlx(&w->count.sleeps, (uint64_t)0);
    sk_store_rlx(&w->count.wakeups, (uint64_t)0);
    sk_store_rlx(&w->count.dispatches, (uint64_t)0);
    sk_store_rlx(&rt->workers[index], w);
}

static inline void stub_runtime_init(skua_runtime *rt, sk_worker *workers, uint32_t n)
{
    sk_store_rlx(&rt->stopping, 0u);
    sk_inject_init(&rt->inbox);
    sk_inject_init(&rt->owing);
    sk_store_rlx(&rt->searching, 0u);
    sk_store_rlx(&rt->last_idler, 0u);
    sk_store_rlx(&rt->idle[0], (uint64_t)0);
    sk_store_rlx(&rt->monitor_word, 0u);
    sk_store_rlx(&rt->monitor_deep, 0u);
    sk_store_rlx(&rt->monitor_napping, 0u);
    sk_store_rlx(&rt->handoffs, (uint64_t)0);
    rt->workers_here = n;
    sk_store_rlx(&rt->workers_made, n);
    for (uint32_t i = 0; i < n; i++) stub_worker_init(rt, &workers[i], i);
}

/* ---- threads ---- */

struct sk_local {
    sk_worker *worker, *lent;
    sk_task *blocked_task;
    uint64_t lent_ticket;
    sk_fiber *fiber;
    sk_atomic(sk_worker *) * assigned; /* the worker to carry next; the model's, since a static cannot hold an atomic */
    sk_atomic(uint32_t) * word;
};

static sk_local stub_locals[SK_MODEL_THREADS];

static inline void stub_locals_init()
{
    memset((void *)stub_locals, 0, sizeof stub_locals);
}
static inline sk_local *sk_local_self(void)
{
    return &stub_locals[rl::ctx().threadx_->index_];
}
static inline sk_worker *sk_worker_self(void)
{
    return sk_local_self()->worker;
}

#endif
