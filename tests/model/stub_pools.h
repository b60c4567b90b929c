/*
 * stub_pools.h: pools in a model: the real src/pool/waitq.c, slots.c, submit.c,
 * submit_with.c, room.c, create.c, life.c, cancel.c, counts.c, job.c, attempt.c and
 * future.c over tasks of stub_tasks.h; for pool.cpp,
 * job.cpp and group.cpp.
 *
 * A worker here is a thread that takes what is runnable from one inbox and runs
 * it, and what its timers want.  A task that it runs may park: then the thread
 * does what is left to do on the task's old stack, and sleeps until the task is
 * runnable again, so a model needs a thread for each task that may be parked at a
 * time, and one more.
 *
 * Include it after relacy.h; it includes the other stubs.  STUB_TASKS,
 * STUB_WORKERS, STUB_POOLS and STUB_JOBS say how many there are.
 */
#ifndef SK_TEST_MODEL_STUB_POOLS_H
#define SK_TEST_MODEL_STUB_POOLS_H

#define SK_BOUNDED_MIN_SLOTS 2u
#define SK_BOUNDED_LAG 2
#define STUB_OWN_READY
#ifndef STUB_TASKS
#define STUB_TASKS 6
#endif
#ifndef STUB_WORKERS
#define STUB_WORKERS 3
#endif
#ifndef STUB_POOLS
#define STUB_POOLS 2
#endif
#ifndef STUB_JOBS
#define STUB_JOBS 2
#endif

#include <sched.h>

#include "model/stub_world.h"

#define STUB_WHEEL_NOW sk_clock_ns()

#include "base/rng.h"
#include "model/stub_tasks.h"

#define sched_yield() rl::yield(1, $)

namespace rl
{
/* Relacy retells a pointer as a void *, which a function's is not. */
template <> struct atomic_add_type<bool (*)(void *)> {
    typedef bool (*type)(void *);
    typedef bool (*output_type)(void *);
};
} // namespace rl

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

/* The runtime outlives every model here. */
bool sk_runtime_enter(skua_runtime *)
{
    return true;
}
void sk_runtime_exit(skua_runtime *)
{
}

/* ---- a run queue for all ---- */

static struct queue_model {
    sk_atomic(uint32_t) * bell;
    sk_chore *owed;
} runnable;

static void ring()
{
    sk_add_rel(runnable.bell, 1u);
    sk_futex_wake(runnable.bell, INT32_MAX);
}
void sk_push(sk_worker *, sk_task *t)
{
    sk_inject_push(&stub->rt.inbox, &t->link);
}
void sk_ready(sk_worker *w, sk_task *t)
{
    if (stub->more[t - stub->tasks].times_left) return stub_resume(t);
    sk_push(w, t);
    ring();
}
void sk_ready_next(sk_worker *w, sk_task *t)
{
    sk_ready(w, t);
}
void sk_announce_later(sk_worker *, uint64_t)
{
    ring();
}
static void sk_notify(skua_runtime *)
{
    ring();
}
static void sk_monitor_owe(skua_runtime *, sk_chore *chore)
{
    RL_ASSERT(!runnable.owed);
    runnable.owed = chore;
    ring();
}

/* ---- what the files ask of others ---- */

int sk_runtime_check(skua_runtime *)
{
    return 0;
}
skua_runtime *skua_runtime_current(void)
{
    return &stub->rt;
}
skua_runtime *skua_runtime_default(void)
{
    return &stub->rt;
}
int skua_cancelled(void)
{
    sk_worker *w = sk_worker_self();
    unsigned marks = w && w->task ? sk_state_marks(&w->task->state) : 0;
    return marks & SK_EXPIRED ? -ETIMEDOUT : marks ? -ECANCELED : 0;
}
/* As in spawn.c. */
int skua_cancel(skua_task task)
{
    sk_task *t = (sk_task *)task.ref;
    sk_hit hit = sk_state_hit(&t->state, task.serial, SK_CANCEL, SK_WHY_CANCEL, 0);
    if (hit == SK_HIT_WOKEN) sk_ready(sk_worker_self(), t);
    if (hit == SK_HIT_DELAYED) {
        sk_timers_cancel_slot(sk_worker_self(), &t->sleep);
        sk_task_end_unstarted(sk_worker_self(), t);
    }
    return hit == SK_HIT_STALE ? -ESRCH : hit == SK_HIT_ALREADY ? -EALREADY : 0;
}
void sk_task_set_deadlines(sk_task *t, uint64_t start_by, uint64_t finish_by)
{
    t->fiber = SK_FIBER_SPECIAL;
    t->stack_class = 0;
    t->start_by = start_by;
    t->finish_by = finish_by;
    t->due = 0;
    t->timed = start_by || finish_by;
}
int skua_blocking_begin(void)
{
    return -EPERM;
}
int skua_blocking_end(void)
{
    return -EPERM;
}
int skua_defer(skua_deferred *, skua_fn *, void *)
{
    return -EPERM;
}
int skua_undefer(skua_deferred *)
{
    return -EPERM;
}
static void sk_slab_each(sk_slab *slab, void (*fn)(void *, void *), void *ctx);

/* ---- giving up: no task of a model does ---- */

#include "runtime/giveup.h"
#include "skua/locker.h"

void sk_call_locked(const skua_locker *, skua_fn *, void *)
{
    RL_ASSERT(!"nobody asks");
}
int sk_call_caught(sk_catch *c, sk_task_owner *, skua_fn *fn, void *arg)
{
    c->fault = NULL;
    return fn(arg);
}
sk_catch *sk_catch_first(void)
{
    return NULL;
}
sk_catch *sk_catch_around(const sk_catch *)
{
    return NULL;
}
skua_fault *sk_keep_fault(const skua_fault *)
{
    return NULL;
}
void sk_drop_fault(skua_fault *)
{
}
void skua_fault_abort(const skua_fault *, void *)
{
    abort();
}

/* ---- times: no pool of a model is measured ---- */

#include "pool/times.h"

sk_times *sk_times_new(uint32_t)
{
    return NULL;
}
void sk_times_free(sk_times *)
{
}
void sk_times_read_waiting(const sk_times *, skua_histogram *)
{
}
void sk_times_read_running(const sk_times *, skua_histogram *)
{
}

/* ---- base/heap.h: arrays of things that have constructors here; the program that asks for others makes them ---- */

#define SK_BASE_HEAP_H
#include "deque/bounded.h"

enum { STUB_ARRAYS = 4 };
static struct stub_array {
    void *begin;
    void (*destroy)(void *begin);
} arrays[STUB_ARRAYS];

template <typename T> static void stub_delete(void *begin)
{
    delete[] static_cast<T *>(begin);
}
template <typename T> static T *stub_new(size_t n)
{
    stub_array *a = arrays;
    while (a->begin) a++;
    RL_ASSERT(a < arrays + STUB_ARRAYS);
    T *made = new T[n];
    *a = {made, stub_delete<T>};
    return made;
}
static void *sk_heap_zalloc(size_t n, size_t size);
static void *sk_heap_alloc_aligned(size_t, size_t size);
static void sk_heap_free(void *begin)
{
    if (!begin) return;
    stub_array *a = arrays;
    while (a->begin != begin) a++;
    a->begin = NULL;
    a->destroy(begin);
}

#define SK_EARLIEST_FIELD(T) sk_watched<T>
#include "pool/earliest.h"

/* The levels of a pool, what makes one of them go by deadlines, and the heap of that. */
static void *sk_heap_alloc_aligned(size_t, size_t size)
{
    if (size == sizeof(sk_earliest)) return stub_new<sk_earliest>(1);
    if (size % sizeof(sk_bounded) == 0) return stub_new<sk_bounded>(size / sizeof(sk_bounded));
    RL_ASSERT(size % sizeof(sk_due_entry) == 0);
    return stub_new<sk_due_entry>(size / sizeof(sk_due_entry));
}

#include "runtime/park.c"

#include "runtime/join.c"

#include "runtime/end.c"

#include "runtime/expiry.c"

/* Names that the files have in common, and that overloading does not keep apart. */
#define publish waitq_publish
#define happened waitq_happened
#include "pool/waitq.c"
#undef publish
#undef happened

#include "pool/slots.c"

/* The monitor does not look at pumps here. */
void sk_pool_watch(skua_pool *)
{
}

#include "pool/room.c"

#define leave submit_leave
#include "pool/submit.c"
#undef leave

#include "pool/submit_with.c"

#define the_default (*stub_default) /* a static cannot hold an atomic here */
#include "pool/create.c"
#undef the_default

#include "pool/cancel.c"

#define is_over pool_is_over
#include "pool/life.c"
#undef is_over

/* Of progress.c and lanes.c. */
void sk_progress_init(skua_pool *)
{
}
#ifndef STUB_LANES
skua_pool *sk_lane_pool_of_owner(const sk_task_owner *)
{
    return NULL;
}
#endif

#include "pool/counts.c"

/* A static cannot hold an atomic here: who waits for storage has a table. */
#define _Static_assert(...) /* atomics are larger here */
#define places (*stub_places)
#include "pool/storage.c"
#undef places

#define copy copy_fault
#define get get_fault
#include "pool/fault.c"
#undef copy
#undef get

#define allocate allocate_job
#include "pool/job.c"
#undef allocate

#include "pool/attempt.c"

#define publish future_publish
#define happened future_happened
#define is_over future_is_over
#define look look_at_job
#include "pool/future.c"
#undef publish
#undef happened
#undef is_over
#undef look

/* ---- what all models share ---- */

struct pool_world {
    stub_state s;
    sk_atomic(uint32_t) bell;
    sk_atomic(skua_pool *) default_pool;
    sk_waitq_node node[3];
    skua_pool memory[STUB_POOLS];
    sk_job job[STUB_JOBS];
    int waiting; /* how many have not got what they wait for yet */

    void begin(int threads);
};

static pool_world *here;

static void sk_slab_each(sk_slab *slab, void (*fn)(void *, void *), void *ctx)
{
    for (int i = 0; slab == &sk_tasks && i < STUB_TASKS; i++) fn(&stub->tasks[i], ctx);
    for (int i = 0; slab == &pools.slab && i < STUB_POOLS; i++) fn(&here->memory[i], ctx);
}

static void nobody_waits()
{
    RL_ASSERT(here->waiting == 0);
}

static void stub_pool_memory(skua_pool *pool)
{
    pool->backlog.levels = 0;
    pool->backlog.others = NULL;
    sk_store_rlx(&pool->state, (uint32_t)SK_POOL_FREE);
    sk_store_rlx(&pool->running, UINT64_C(0));
    sk_store_rlx(&pool->life, UINT64_C(0));
    sk_store_rlx(&pool->inside, 0u);
    sk_store_rlx(&pool->submitting, 0u);
    sk_store_rlx(&pool->waiting, 0u);
    sk_store_rlx(&pool->steps, UINT64_C(0));
    sk_store_rlx(&pool->sweeps, UINT64_C(0));
    sk_store_rlx(&pool->swept, UINT64_C(0));
    pools.slab.place[pools.slab.free++] = pool;
}

static void stub_job_memory(sk_job *job)
{
    sk_store_rlx(&job->word, UINT64_C(0));
    sk_store_rlx(&job->at, UINT64_C(0));
    sk_store_rlx(&job->first, (sk_task *)NULL);
    sk_store_rlx(&job->result, 0);
    sk_store_rlx(&job->pool, (skua_pool *)NULL);
    sk_waitq_init(&job->others);
    sk_owner_init(&job->backoff, NULL, NULL);
    jobs.slab.place[jobs.slab.free++] = job;
}

inline void pool_world::begin(int threads)
{
    world.begin(threads, nobody_waits);
    here = this;
    waiting = 0;
    s.begin();
    sk_store_rlx(&bell, 0u);
    runnable.bell = &bell;
    sk_store_rlx(&default_pool, (skua_pool *)NULL);
    stub_default = &default_pool;
    runnable.owed = NULL;
    memset(arrays, 0, sizeof arrays);
    nodes.slab.free = pools.slab.free = jobs.slab.free = 0;
    for (int i = 0; i < 3; i++) nodes.slab.place[nodes.slab.free++] = &node[i];
    for (int i = 0; i < STUB_POOLS; i++) stub_pool_memory(&memory[i]);
    for (int i = 0; i < STUB_JOBS; i++) stub_job_memory(&job[i]);
}

/* ---- pools ---- */

static struct pool_model *the_pool;

struct pool_model : pool_world {
    skua_pool *pool; /* the first */
    int accepted, ran, running, most;
    bool yields;                   /* a task that runs lets others go on */
    bool steals;                   /* what one worker has taken but not begun another may begin */
    VAR_T(int) output[STUB_TASKS]; /* of the task in that place */

    void begin_empty(int threads)
    {
        pool_world::begin(threads);
        the_pool = this;
        pool = NULL;
        accepted = ran = running = most = 0;
        yields = true;
        steals = false;
        for (int i = 0; i < STUB_TASKS; i++) output[i]($) = 0;
    }
    skua_pool *create(const skua_pool_options &options)
    {
        skua_pool *made;
        RL_ASSERT(skua_pool_create(&made, &options) == 0);
        return made;
    }
    void begin(int threads, uint32_t limit, uint32_t queue)
    {
        begin_empty(threads);
        skua_pool_options options = {};
        options.limit = limit;
        options.queue = queue;
        pool = create(options);
    }
    /* What the tasks do; the argument is what they return. */
    static int body(void *result)
    {
        pool_model *p = the_pool;
        sk_worker *w = sk_worker_self();
        if (w) p->output[w->task - p->s.tasks]($) = 1;
        p->running++;
        p->most = sk_max(p->most, p->running);
        if (p->yields) rl::yield(1, $);
        p->running--;
        p->ran++;
        return (int)(intptr_t)result;
    }
    /* Foreign thread. */
    int submit_to(skua_pool *to)
    {
        int error = skua_pool_submit(to, body, NULL);
        accepted += error == 0;
        return error;
    }
    int submit()
    {
        return submit_to(pool);
    }
    /* As dispatch in sched.c. */
    void run(sk_worker *w, sk_task *t)
    {
        while (t) {
            if (!t->fn) {
                sk_chore *chore = (sk_chore *)t->arg;
                chore->run(chore, w);
                return;
            }
            if (sk_state_marks(&t->state)) {
                t = sk_task_end_unstarted(w, t);
                continue;
            }
            s.more[t - s.tasks].here = true;
            w->task = t;
            int result = t->fn(t->arg);
            w->task = NULL;
            t = sk_task_end(w, t, sk_end_of(result, sk_state_marks(&t->state)), result);
        }
    }
    /* One round of a worker. */
    void serve(sk_worker *w)
    {
        uint32_t seen = sk_load_acq(&bell);
        sk_inject_link *link = sk_inject_take(&s.rt.inbox);
        if (runnable.owed) {
            sk_chore *chore = runnable.owed;
            runnable.owed = NULL;
            chore->run(chore, NULL);
        }
        if (w->timers.wheel.first) (void)sk_timers_run(w, sk_clock_ns());
        if (!link) sk_futex_wait(&bell, seen, w->timers.wheel.first ? w->timers.wheel.due : SK_NEVER);
        for (sk_inject_link *next; link; link = next) {
            next = link->next;
            if (next && steals) next = leave_to_others(next);
            run(w, sk_task_of_link(link));
        }
    }
    sk_inject_link *leave_to_others(sk_inject_link *link)
    {
        for (sk_inject_link *next; link; link = next) {
            next = link->next;
            sk_inject_push(&s.rt.inbox, link);
        }
        ring();
        return NULL;
    }
    /* The body of a worker's thread: until all is at rest. It has `first` in hand. */
    void work(sk_task *first = NULL)
    {
        sk_worker *w = s.next_worker(NULL);
        sk_local_self()->worker = w;
        if (first) run(w, first);
        while (!world.over) serve(w);
    }
    /* In before(): lets the pump run until it is gone; `n` tasks have left the queue then, and nobody has them. */
    void hold(sk_task **tasks, int n)
    {
        sk_worker *w = &s.workers[0];
        while (sk_inject_link *link = sk_inject_take(&s.rt.inbox))
            for (sk_inject_link *next; link; link = next) {
                next = link->next;
                sk_task *t = sk_task_of_link(link);
                if (t->fn)
                    *tasks++ = t, n--;
                else
                    run(w, t);
            }
        RL_ASSERT(n == 0);
    }
    /* Nothing is left in a pool. */
    void is_empty(skua_pool *of)
    {
        RL_ASSERT(sk_load_rlx(&of->running) == 0);
        RL_ASSERT(sk_load_rlx(&of->inside) == 0);
        RL_ASSERT(sk_backlog_is_empty(&of->backlog));
    }
    void end(bool released)
    {
        RL_ASSERT(ran == accepted && running == 0);
        RL_ASSERT(released == (pools.slab.free == STUB_POOLS));
        RL_ASSERT(sk_inject_is_empty(&s.rt.inbox));
        for (int i = 0; i < STUB_POOLS; i++) {
            if (memory[i].backlog.levels == 0) continue;
            is_empty(&memory[i]);
            sk_backlog_fini(&memory[i].backlog);
        }
    }
};

/* At rest every accepted task has run, so none was left in the queue beside a free slot. */
static void all_ran()
{
    nobody_waits();
    RL_ASSERT(the_pool->ran == the_pool->accepted);
}

#endif
