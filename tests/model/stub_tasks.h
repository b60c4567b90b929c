/*
 * stub_tasks.h: tasks that run, park and end in a model, over the real task.h,
 * sched.h, timers.c and whichever of park.c, join.c, end.c and expiry.c the
 * model includes after it.  It stands for worker.h, local.h, idle.h, monitor.h,
 * fiber.h, slab.h, lazy_slab.h, fork.h, rcu.h and once.h.
 *
 * A task that may park has a Relacy thread for its stack, and another one, its
 * *loop*, which does what is left to do once the task has left that stack.  So a
 * task that is woken at once runs on while its commit is still under way, as in
 * the runtime; and it goes on on another worker than it left.  Who makes it
 * runnable wakes its thread.
 *
 * Include it after relacy.h and stub_world.h.
 */
#ifndef SK_TEST_MODEL_STUB_TASKS_H
#define SK_TEST_MODEL_STUB_TASKS_H

#include "base/rng.h"

#include "model/stub_wheel.h"

#define SK_RUNTIME_WORKER_H
#define SK_RUNTIME_LOCAL_H
#define SK_RUNTIME_RCU_H
#define SK_RUNTIME_IDLE_H
#define SK_RUNTIME_MONITOR_H
#define SK_FIBER_FIBER_H
#define SK_MEM_SLAB_H
#define SK_MEM_LAZY_SLAB_H
#define SK_OS_FORK_H
#define SK_OS_ONCE_H

#ifndef STUB_TASKS
#define STUB_TASKS 2
#endif
#ifndef STUB_WORKERS
#define STUB_WORKERS 4
#endif
enum { STUB_THREADS = 5, STUB_PLACES = 8 };

/* What a model does when an object of a slab is freed. */
#ifndef STUB_FREED
#define STUB_FREED(slab, object)
#endif

/* What a model does not look into: loads and stores of it are no steps of a schedule. */
template <typename T> struct stub_plain {
    T value;
    T load(rl::memory_order, rl::debug_info_param) const
    {
        return value;
    }
    void store(T v, rl::memory_order, rl::debug_info_param)
    {
        value = v;
    }
    T fetch_add(T v, rl::memory_order, rl::debug_info_param)
    {
        value += v;
        return value - v;
    }
};

/* Counters are such; the model that is about them says otherwise. */
#ifndef STUB_COUNTER
#define STUB_COUNTER stub_plain<uint64_t>
#endif

/* ---- what task.h is made of ---- */

typedef struct sk_fiber {
    struct {
        unsigned cls;
    } stack;
} sk_fiber;

typedef struct sk_stack_cache {
    int unused;
} sk_stack_cache;

/* Memory of one kind: places of the model. The one that was freed last is used again last: the list itself orders
   nothing between who frees and who gets, as the real one does. */
typedef struct sk_slab {
    void *place[STUB_PLACES];
    int free;
} sk_slab;

typedef struct sk_slab_cache {
    sk_slab *slab;
} sk_slab_cache;

static void stub_freed(sk_slab *slab, void *object);

static inline void sk_slab_cache_init(sk_slab_cache *cache, sk_slab *slab)
{
    cache->slab = slab;
}
static inline void sk_slab_cache_flush(sk_slab_cache *)
{
}
static inline void *sk_slab_alloc(sk_slab_cache *cache)
{
    sk_slab *slab = cache->slab;
    RL_ASSERT(slab->free > 0);
    void *oldest = slab->place[0];
    memmove(slab->place, slab->place + 1, (size_t)--slab->free * sizeof(void *));
    return oldest;
}
static inline void sk_slab_free(sk_slab_cache *cache, void *object)
{
    for (int i = 0; i < cache->slab->free; i++) RL_ASSERT(cache->slab->place[i] != object); /* freed twice */
    stub_freed(cache->slab, object);
    cache->slab->place[cache->slab->free++] = object;
}

/* They are there from the beginning. */
typedef struct sk_worker sk_worker;
typedef struct sk_lazy_slab {
    sk_slab slab;
} sk_lazy_slab;

#define SK_LAZY_SLAB(type, word) sk_lazy_slab()

static inline sk_slab *sk_lazy_slab_get(sk_lazy_slab *lazy)
{
    return &lazy->slab;
}
static inline void *sk_lazy_slab_alloc(sk_lazy_slab *lazy)
{
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &lazy->slab);
    return sk_slab_alloc(&cache);
}
static inline void sk_lazy_slab_free(sk_lazy_slab *lazy, void *object)
{
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &lazy->slab);
    sk_slab_free(&cache, object);
}

enum { SK_CACHED_CHANS, SK_CACHED_TICKERS, SK_CACHED };

static inline void *sk_cached_alloc(sk_lazy_slab *lazy, unsigned)
{
    return sk_lazy_slab_alloc(lazy);
}
static inline void sk_cached_free(sk_lazy_slab *lazy, unsigned, void *object)
{
    sk_lazy_slab_free(lazy, object);
}

static inline void *sk_cached_alloc_by(sk_worker *, sk_lazy_slab *lazy, unsigned)
{
    return sk_lazy_slab_alloc(lazy);
}
static inline void sk_cached_free_by(sk_worker *, sk_lazy_slab *lazy, unsigned, void *object)
{
    sk_lazy_slab_free(lazy, object);
}

typedef struct sk_once {
    int unused;
} sk_once;
static inline bool sk_once_begin(sk_once *)
{
    return false;
}
static inline void sk_once_end(sk_once *, bool)
{
}
static inline bool sk_forked(void)
{
    return false;
}

#include "runtime/deadlock.h"
#include "runtime/task.h"
#include "skua/runtime.h"

/* ---- worker.h and local.h ---- */

typedef struct sk_local sk_local;
typedef void sk_commit_fn(sk_worker *w, sk_task *leaver, void *arg);

enum { SK_CARRIED = 0, SK_LENT = 1, SK_VACANT = 2, SK_CARRY = 3, SK_LOOT = 64 };
enum { SK_STOP_OUTSIDE = 1, SK_STOP_CANCEL = 2, SK_STOP_THREADS = 3 };
#define SK_RUNTIME_LIVE UINT64_C(0x736b7561206c6976)
#define SK_RUNTIME_RELEASED UINT64_C(0x736b756120676f6e)

struct sk_local {
    sk_worker *worker;
    sk_task *blocked_task;
    sk_slab_cache tasks, jobs;
    sk_atomic(uint32_t) word, claim;
    int thread;
};

typedef struct sk_taskq {
    int unused;
} sk_taskq;

struct sk_worker {
    skua_runtime *runtime;
    uint32_t index;
    uint32_t tick;
    sk_task *task;
    sk_fiber *fiber;
    sk_task *pending;
    sk_commit_fn *commit;
    sk_task *leaver;
    void *commit_arg;
    void *batch[SK_LOOT];
    sk_slab_cache tasks, jobs;
    sk_stack_cache stacks;
    sk_taskq queue;
    stub_plain<uint64_t> carry;
    stub_plain<bool> retire;
    sk_atomic(void *) straight;
    stub_plain<sk_task *> runnext;
    sk_rng rng;
    sk_timers timers;
    struct {
        STUB_COUNTER created, ended[SK_ENDS];
        stub_plain<uint64_t> parked, resumed, unstarted, dispatches, timers_armed, timers_fired, timers_cancelled;
    } count;
};

struct skua_runtime {
    sk_task_owner owner;
    sk_atomic(uint64_t) magic;
    unsigned stack_class;
    sk_atomic(uint32_t) stopping;
    stub_plain<sk_worker *> workers[STUB_WORKERS];
    stub_plain<uint32_t> workers_made;
    uint32_t workers_max;
    sk_inject inbox;
    sk_atomic(uint32_t) visitors, stop_word, monitor_word;
    sk_local *monitor, *threads;
    STUB_COUNTER foreign_created, foreign_refused, foreign_ended[SK_ENDS];
    stub_plain<uint64_t> foreign_unstarted;
};

static inline uint32_t sk_workers_made(skua_runtime *rt)
{
    return rt->workers_made.value;
}

/* ---- the tasks of a model ---- */

struct stub_task {
    sk_atomic(uint32_t) resumed; /* how often it has been made runnable */
    sk_atomic(uint32_t) left;    /* how often it has left its stack; once more when it is done */
    uint32_t times_resumed, times_left;
    bool sleeps;         /* it has left its stack and has not been made runnable since */
    bool done;           /* it parks no more */
    bool here;           /* it runs on the thread of a worker, which is its loop too */
    VAR_T(int) memory;   /* of the task: whoever frees it writes this */
    VAR_T(int) on_stack; /* stands for its stack: whoever runs it writes this */
    int freed;
};

static struct stub_state *stub; /* of the schedule that is being explored */

struct stub_state {
    skua_runtime rt;
    sk_worker workers[STUB_WORKERS];
    sk_local locals[STUB_THREADS];
    sk_task tasks[STUB_TASKS];
    stub_task more[STUB_TASKS];
    int workers_used;

    /* First thing in before(), after world.begin. */
    void begin();
    /* A task that is running, on a thread of its own. */
    sk_task *run(int task, bool joinable);
    sk_worker *next_worker(sk_task *t)
    {
        RL_ASSERT(workers_used < STUB_WORKERS);
        sk_worker *w = &workers[workers_used++];
        w->task = t;
        return w;
    }
};

static int stub_thread()
{
    return (int)rl::ctx().threadx_->index_;
}

sk_slab sk_tasks;

sk_local *sk_local_self(void);
static inline sk_local *sk_local_get(void)
{
    return sk_local_self();
}
sk_local *sk_local_self(void)
{
    return &stub->locals[stub_thread()];
}
static inline sk_worker *sk_worker_self(void)
{
    return sk_local_self()->worker;
}

#include "runtime/sched.h"

/* ---- making runnable ---- */

static void stub_resume(sk_task *t)
{
    stub_task *more = &stub->more[t - stub->tasks];
    RL_ASSERT(more->sleeps); /* in one hand or one queue: nobody else has made it runnable */
    RL_ASSERT(sk_phase_of(sk_load_rlx(&t->state.word)) == SK_ACTIVE);
    more->sleeps = false;
    sk_store_rel(&more->resumed, ++more->times_resumed);
    sk_futex_wake(&more->resumed, 1);
}

#ifndef STUB_OWN_READY
void sk_ready(sk_worker *, sk_task *t)
{
    stub_resume(t);
}
void sk_push(sk_worker *, sk_task *t)
{
    stub_resume(t);
}
void sk_ready_next(sk_worker *, sk_task *t)
{
    stub_resume(t);
}
void sk_announce_later(sk_worker *, uint64_t)
{
}
static void sk_notify(skua_runtime *rt)
{
    for (sk_inject_link *link = sk_inject_take(&rt->inbox), *next; link; link = next) {
        next = link->next;
        stub_resume(sk_task_of_link(link));
    }
}
#endif

/* No task of a model gives up. */
void sk_forget_fault(sk_task *)
{
}
void sk_copy_fault(const sk_task *, skua_fault *)
{
}

/* No task has a context, but in the model that is about them. */
#ifndef STUB_OWN_EXTRA
int sk_extra_may_park(const sk_extra *)
{
    RL_ASSERT(!"guarded");
    return 0;
}
#endif

/* For the report of deadlocks, which no model makes. */
void sk_thread_sleeps(sk_atomic(uint32_t) *, uint32_t, const char *, const void *)
{
}
void sk_thread_sleeps_end(void)
{
}

/* In these models who serves timers looks again and again. */
static inline void sk_ring(skua_runtime *, sk_worker *)
{
}
static inline void sk_monitor_ring(skua_runtime *)
{
}
static inline bool sk_is_idle(skua_runtime *, const sk_worker *)
{
    return false;
}

/* ---- leaving a stack ---- */

static sk_fiber stub_fiber;

static sk_fiber *sk_fiber_get(sk_stack_cache *, unsigned, void (*)(void *), void *)
{
    return &stub_fiber;
}
void sk_loop(void *)
{
}
sk_task *sk_take_local(sk_worker *)
{
    return NULL;
}
static inline uint64_t sk_taskq_size(const sk_taskq *)
{
    return 0;
}

static void stub_wait(sk_atomic(uint32_t) * word, uint32_t seen)
{
    while (sk_load_acq(word) == seen && !world.over) sk_futex_wait(word, seen, SK_NEVER);
}

/* What is left to do on the stack of a worker whose thread sleeps until the task is back. */
static void stub_commit_here(sk_worker *w, sk_task *t)
{
    stub->more[t - stub->tasks].times_left++;
    w->leaver = NULL;
    w->task = NULL;
    w->commit(w, t, w->commit_arg);
}

static void sk_fiber_switch(sk_fiber *, sk_fiber *)
{
    sk_local *local = sk_local_self();
    sk_worker *w = local->worker;
    sk_task *t = w->leaver;
    stub_task *more = &stub->more[t - stub->tasks];
    more->on_stack($) = 1;
    more->sleeps = true;
    uint32_t seen = more->times_resumed;
    if (more->here) {
        stub_commit_here(w, t);
        stub_wait(&more->resumed, seen);
        w->task = t;
        return;
    }
    sk_store_rel(&more->left, ++more->times_left);
    sk_futex_wake(&more->left, 1);
    stub_wait(&more->resumed, seen);
    more->on_stack($) = 2;
    local->worker = stub->next_worker(t);
}

sk_worker *sk_arrive(void)
{
    return sk_worker_self();
}

/* The body of the thread that is the loop of a task. */
static void stub_loop(int task)
{
    sk_local *local = sk_local_self();
    stub_task *more = &stub->more[task];
    for (uint32_t served = 0;; served++) {
        stub_wait(&more->left, served);
        if (more->done || world.over) break;
        sk_worker *w = stub->workers[0].runtime ? local->worker : NULL;
        /* The worker that the task left: no other carries this commit. */
        for (int i = 0; i < STUB_WORKERS; i++)
            if (stub->workers[i].leaver == &stub->tasks[task]) w = &stub->workers[i];
        local->worker = w;
        sk_task *leaver = w->leaver;
        w->leaver = NULL;
        w->task = NULL;
        w->commit(w, leaver, w->commit_arg);
    }
    local->worker = NULL;
}

/* The task will not park any more: its loop may go. */
static void stub_done(int task)
{
    stub_task *more = &stub->more[task];
    more->done = true;
    sk_store_rel(&more->left, ++more->times_left);
    sk_futex_wake(&more->left, 1);
}

/* ---- timers ---- */

#include "timer/timers.c"

/* The body of a thread that serves the timers of a worker which does not. The last time it sees what is there, as
   whoever comes again and again does in the end. */
static void stub_serve(sk_worker *w, int times)
{
    sk_atomic(uint32_t) nobody;
    sk_store_rlx(&nobody, 0u);
    while (times-- > 0 && !world.over) {
        sk_futex_wait(&nobody, 0, sk_clock_ns() + 10);
        if (times == 0) {
            w->timers.claim.claimed.newest();
            w->timers.claim.inside.newest();
            w->timers.claim.due.newest();
            w->timers.inbox.due.newest();
            w->timers.inbox.head.newest();
        }
        sk_timers_help(NULL, w, sk_clock_ns());
    }
}

/* ---- setting up ---- */

static void stub_freed(sk_slab *slab, void *object)
{
    STUB_FREED(slab, object);
    if (slab != &sk_tasks) return;
    sk_task *t = (sk_task *)object;
    stub_task *more = &stub->more[t - stub->tasks];
    more->memory($) = 0;
    more->freed++;
    if (more->here) more->times_left = 0;
    more->here = false;
    t->result = -12345;
    t->join_generation.store(0, rl::mo_relaxed, $);
}

inline void stub_state::begin()
{
    stub = this;
    workers_used = 0;
    sk_store_rlx(&rt.magic, SK_RUNTIME_LIVE);
    sk_owner_init(&rt.owner, &rt, NULL);
    rt.stack_class = 0;
    sk_store_rlx(&rt.stopping, 0u);
    sk_store_rlx(&rt.visitors, 0u);
    sk_store_rlx(&rt.stop_word, 0u);
    sk_store_rlx(&rt.monitor_word, 0u);
    sk_inject_init(&rt.inbox);
    sk_store_rlx(&rt.foreign_created, UINT64_C(0));
    sk_store_rlx(&rt.foreign_refused, UINT64_C(0));
    for (int i = 0; i < SK_ENDS; i++) sk_store_rlx(&rt.foreign_ended[i], UINT64_C(0));
    rt.foreign_unstarted.value = 0;
    rt.workers_made.value = STUB_WORKERS;
    for (int i = 0; i < STUB_WORKERS; i++) {
        sk_worker *w = &workers[i];
        rt.workers[i].value = w;
        w->runtime = &rt;
        w->index = (uint32_t)i;
        w->tick = 0;
        w->task = w->pending = w->leaver = NULL;
        w->fiber = &stub_fiber;
        w->tasks.slab = &sk_tasks;
        w->carry.value = SK_CARRIED;
        w->retire.value = false;
        sk_store_rlx(&w->straight, (void *)NULL);
        w->runnext.value = NULL;
        sk_timers_init(&w->timers, 0);
        sk_store_rlx(&w->count.created, UINT64_C(0));
        for (int k = 0; k < SK_ENDS; k++) sk_store_rlx(&w->count.ended[k], UINT64_C(0));
    }
    for (int i = 0; i < STUB_THREADS; i++) {
        locals[i].worker = NULL;
        locals[i].blocked_task = NULL;
        locals[i].tasks.slab = &sk_tasks;
        sk_store_rlx(&locals[i].word, 0u);
        sk_store_rlx(&locals[i].claim, 0u);
    }
    sk_tasks.free = 0;
    for (int i = 0; i < STUB_TASKS; i++) {
        sk_task *t = &tasks[i];
        sk_store_rlx(&t->state.word, UINT64_C(0));
        sk_store_rlx(&t->state.serial, UINT64_C(0));
        sk_store_rlx(&t->join.word, UINT64_C(0));
        sk_store_rlx(&t->owner, &rt.owner);
        sk_store_rlx(&t->join_generation, UINT64_C(0));
        sk_slot_init(&t->sleep);
        sk_slot_init(&t->deadline);
        t->sleep.node.mark($) = t->deadline.node.mark($) = 0;
        t->result = t->refused = t->written = t->timed = 0;
        t->start_by = t->finish_by = 0;
        t->fn = NULL;
        t->arg = NULL;
        t->fiber = SK_FIBER_NONE;
        t->limit = SK_LIMIT_NONE;
        t->guarded = false;
        t->extra = NULL;
        sk_store_rlx(&t->claim, 0u);
        sk_store_rlx(&more[i].resumed, 0u);
        sk_store_rlx(&more[i].left, 0u);
        more[i].times_resumed = more[i].times_left = 0;
        more[i].sleeps = more[i].done = more[i].here = false;
        more[i].memory($) = 0;
        more[i].on_stack($) = 0;
        more[i].freed = 0;
        sk_tasks.place[sk_tasks.free++] = t;
    }
}

inline sk_task *stub_state::run(int task, bool joinable)
{
    sk_task *t = &tasks[task];
    for (int i = 0; i < sk_tasks.free; i++)
        if (sk_tasks.place[i] == t) sk_tasks.place[i] = sk_tasks.place[--sk_tasks.free];
    sk_join_born(&t->join, sk_state_next_serial(&t->state), joinable);
    sk_state_born(&t->state, SK_ACTIVE);
    return t;
}

#endif
