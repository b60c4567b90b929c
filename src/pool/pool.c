/*
 * pool.c: a limit, a bounded queue, and waiting.
 *
 * Nouns
 *   queue     accepted tasks that wait for their start (deque/bounded.h: lock-free, FIFO)
 *   slot      the right to run one task; there are `limit` of them, `running` are taken
 *   pump      a little task of the pool's own that takes slots, fills them from
 *             the queue, and puts the tasks into its worker's queue, where thieves
 *             find them; at most one is about (`pumping`)
 *
 * A task's way: submit puts it in the queue and, if no pump is about and a slot
 * is free, sends the pump.  Whoever ends a task while others wait gives its slot
 * straight to the next one, which runs right after it on the same worker; no
 * counter moves and the limit never runs dry.
 *
 * Why no task stays in the queue while a slot is free.  Two sides publish and
 * then look, with a full fence between (each step below is a read-modify-write):
 *   - submit: task into the queue; then looks for `pumping` and a free slot
 *   - end:    slot given back;     then looks into the queue
 * so one sees the other; whoever sees both sends the pump.  The pump clears
 * `pumping` before it looks: a submitter that saw it set had put its task into
 * the queue before, so the pump finds it.  And the pump looks again after it
 * has given back the slots it could not fill, as everyone who gives slots back.
 *
 * Waiting.  wait sleeps until the queue is empty and no slot is taken.  A slot is
 * taken before a task leaves the queue, so: queue found empty, then no slot found
 * taken means that every task accepted before has ended.  Whoever gives back the
 * last slot wakes the waiters.  A submitter that finds the queue full waits for
 * room; whoever takes tasks out wakes all such when the queue is half empty.
 * Both are eventcounts (pool/waitq.h): announce, fence, look again, sleep.
 *
 * The memory of a pool is type-stable, as is that of its queue's owner record:
 * a call on a released pool finds `state` changed and says -ESHUTDOWN.
 */
#include "skua/pool.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "deque/bounded.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/once.h"
#include "pool/waitq.h"
#include "runtime/idle.h"
#include "runtime/monitor.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

enum { PUMP_BATCH = 64, QUEUE_DEFAULT = 1024 };
enum { POOL_FREE = 0, POOL_OPEN = 1, POOL_CLOSED = 2 };

struct skua_pool {
    sk_task_owner owner;                            /* I: what the tasks point to */
    void *link;                                     /* of the slab's free list */
    sk_atomic(uint32_t) state;                      /* POOL_* */
    uint64_t limit;                                 /* I; UINT64_MAX: none */
    sk_chore pump_chore;                            /* I */
    sk_task *pump;                                  /* I: the object that carries the chore */
    sk_atomic(uint32_t) pumping;                    /* 1: the pump is in a queue */
    sk_chore room_chore;                            /* I but for its link */
    sk_atomic(uint32_t) owes;                       /* 1: it is with the monitor */
    SK_LINE_ALIGNED sk_atomic(uint64_t) running;    /* slots taken */
    sk_atomic(uint64_t) ended[SK_ENDS];             /* all but done, which is what is left */
    sk_atomic(uint32_t) inside;                     /* threads that have given slots back and are not done yet */
    SK_LINE_ALIGNED sk_waitq room;                  /* submitters before a full queue */
    sk_waitq rest;                                  /* those who wait for the end of all */
    SK_LINE_ALIGNED sk_atomic(uint32_t) submitting; /* calls of submit under way */
    sk_atomic(uint32_t) waiting;                    /* calls of wait and release under way */
    sk_atomic(uint64_t) stuck;                      /* of the pool's own tasks: those that wait for room in its queue */
    SK_LINE_ALIGNED sk_bounded queue;
};

static sk_slab pools;
static sk_once once;

static bool slab_is_there(void)
{
    if (!sk_once_begin(&once)) return true;
    bool made = sk_slab_init(&pools, sizeof(skua_pool), offsetof(skua_pool, link)) == 0;
    sk_once_end(&once, made);
    return made;
}

/* ---- slots and the pump ---- */

static void send_pump(skua_pool *pool, sk_worker *w)
{
    uint32_t idle = 0;
    /* [PL-C1] sequentially consistent; pairs with [PL-X1]: at most one pump, and it looks after we have pushed. */
    if (sk_cas_sc(&pool->pumping, &idle, 1u)) sk_ready(w, pool->pump);
}

/* After making a task or a slot available, and a full fence: sends the pump if there are both. */
static void look(skua_pool *pool, sk_worker *w)
{
    if (sk_load_rlx(&pool->pumping)) return;
    if (sk_load_rlx(&pool->running) < pool->limit && !sk_bounded_is_empty(&pool->queue)) send_pump(pool, w);
}

/* Takes up to n slots; returns how many. */
static uint32_t take_slots(skua_pool *pool, uint32_t n)
{
    uint64_t running = sk_load_rlx(&pool->running);
    while (running < pool->limit) {
        uint32_t some = (uint32_t)sk_min((uint64_t)n, pool->limit - running);
        /* [PL-C2] sequentially consistent; pairs with [PL-C3]. */
        if (sk_cas_sc(&pool->running, &running, running + some)) return some;
    }
    return 0;
}

/* Gives n slots back. The last may let a release go on and free the pool: what follows touches only what is
   type-stable, or holds `inside`. */
static void give_slots(skua_pool *pool, sk_worker *w, uint64_t n)
{
    sk_add_rlx(&pool->inside, 1u);
    /* [PL-C3] sequentially consistent; pairs with [PL-C2] and with [PL-A5] in submit: the slot before the look into
       the queue. */
    uint64_t before = sk_sub_sc(&pool->running, n);
    sk_fence_sc(); /* [PL-F2] full fence; pairs with [PL-A5]. */
    if (before >= pool->limit) look(pool, w);
    if (before == n) sk_waitq_wake(&pool->rest);
    /* [PL-R1] release; pairs with [PL-A1] in release: our last touch of the pool. */
    sk_sub_ar(&pool->inside, 1u);
}

/* The common case of giving one back: neither was the limit reached, so that somebody could wait for the slot, nor was
   it the last. Then there is nothing to look for. */
static bool give_one_of_many(skua_pool *pool)
{
    uint64_t running = sk_load_rlx(&pool->running);
    while (running > 1 && running < pool->limit)
        /* [PL-C7] release; pairs with [PL-A4]: who sees no slot taken sees what this task wrote. */
        if (sk_cas_rel(&pool->running, &running, running - 1)) return true;
    return false;
}

/* The monitor's part: submitters that were left asleep beside some room. */
static void pay_submitters(sk_chore *chore, sk_worker *w)
{
    (void)w;
    skua_pool *pool = sk_container_of(chore, skua_pool, room_chore);
    /* [PL-X2] sequentially consistent; pairs with [PL-C8]: cleared before the wake, so that who finds it set is paid;
       and with [PL-A8] in release, as our last touch but for the wake, which is type-stable. */
    sk_xchg_sc(&pool->owes, 0u);
    sk_waitq_wake(&pool->room);
}

/*
 * After taking tasks out.  `dry`: the queue was found empty.  Half empty is enough:
 * a submitter that is woken for each place sleeps again at once.  In between the
 * monitor is asked to wake them soon, in case nothing more is taken for long.
 */
static void wake_submitters(skua_pool *pool, bool dry)
{
    if (!sk_waitq_any(&pool->room)) return;
    if (dry || sk_bounded_size(&pool->queue) <= pool->queue.bound / 2) {
        sk_waitq_wake(&pool->room);
        return;
    }
    uint32_t none = 0;
    /* [PL-C8] sequentially consistent; pairs with [PL-X2]. */
    if (!sk_load_rlx(&pool->owes) && sk_cas_sc(&pool->owes, &none, 1u))
        sk_monitor_owe(pool->owner.runtime, &pool->room_chore);
}

/* Nothing to fill, or nothing to fill it with: the pump goes, then looks again. */
static void end_pump(skua_pool *pool, sk_worker *w, uint32_t slots)
{
    sk_add_rlx(&pool->inside, 1u);
    /* [PL-X1] sequentially consistent: cleared before the look into the queue; pairs with [PL-C1] and [PL-A5]: who saw
       it set has pushed before. */
    sk_xchg_sc(&pool->pumping, 0u);
    sk_fence_sc(); /* [PL-F4] full fence between that and the looks; pairs with [PL-A5] and [PL-F2]. */
    if (slots) give_slots(pool, w, slots);
    look(pool, w);
    sk_waitq_wake(&pool->rest);
    /* [PL-R2] release; pairs with [PL-A1] in release: our last touch of the pool. */
    sk_sub_ar(&pool->inside, 1u);
}

static void pump(sk_chore *chore, sk_worker *w)
{
    skua_pool *pool = sk_container_of(chore, skua_pool, pump_chore);
    void **batch = w->batch;
    bool dry = sk_bounded_is_empty(&pool->queue); /* a pool at rest stays so: no slot is taken for nothing */
    uint32_t slots = dry ? 0 : take_slots(pool, PUMP_BATCH);
    uint32_t n = slots ? sk_bounded_pop_many(&pool->queue, batch, slots) : 0;
    if (n == 0) {
        if (dry || slots) wake_submitters(pool, true);
        end_pump(pool, w, slots);
        return;
    }
    for (uint32_t i = 0; i < n; i++) sk_push(w, (sk_task *)batch[i]);
    wake_submitters(pool, n < slots);
    /* The tasks above may all have been stolen and ended; but while `pumping` is set release waits. */
    if (n < slots) give_slots(pool, w, slots - n);
    sk_push(w, pool->pump); /* again after them, or sooner with a thief */
    sk_announce_later(w, sk_clock_ns());
}

/* The tasks that come after the next one were written by another processor: fetch them while this one runs. */
static void prefetch_ahead(skua_pool *pool)
{
    sk_task *t = (sk_task *)sk_bounded_peek(&pool->queue, 2);
    if (!t) return;
    __builtin_prefetch(t, 1);
    __builtin_prefetch(&t->sleep, 1);
}

/* A task of the pool has ended: its slot goes to the next one, or back. */
static sk_task *task_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)t;
    (void)result;
    skua_pool *pool = sk_container_of(owner, skua_pool, owner);
    if (end != SK_DONE) sk_add_rlx(&pool->ended[end], UINT64_C(1));
    if (sk_load_rlx(&pool->running) >= pool->limit) {
        sk_task *next = (sk_task *)sk_bounded_pop(&pool->queue);
        prefetch_ahead(pool);
        wake_submitters(pool, !next);
        if (next && w) return next;
        if (next) {
            sk_ready(w, next);
            return NULL;
        }
    }
    if (!give_one_of_many(pool)) give_slots(pool, w, 1);
    return NULL;
}

/* ---- create ---- */

static skua_pool *allocate(void)
{
    if (!slab_is_there()) return NULL;
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &pools);
    skua_pool *pool = (skua_pool *)sk_slab_alloc(&cache);
    sk_slab_cache_flush(&cache);
    return pool;
}

static void forget(skua_pool *pool)
{
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &pools);
    sk_slab_free(&cache, pool);
    sk_slab_cache_flush(&cache);
}

/* The slots of a queue stay with the memory of the pool, so that a call that comes too late finds them. */
static int prepare_queue(skua_pool *pool, uint32_t bound)
{
    if (pool->queue.slots) sk_bounded_fini(&pool->queue);
    return sk_bounded_init(&pool->queue, bound);
}

static int init(skua_pool *pool, skua_runtime *rt, const skua_pool_options *o)
{
    pool->owner = (sk_task_owner){.runtime = rt, .ended = task_ended};
    pool->limit = o->limit ? o->limit : UINT64_MAX;
    pool->pump_chore.run = pump;
    pool->room_chore.run = pay_submitters;
    sk_store_rlx(&pool->owes, 0u);
    sk_store_rlx(&pool->pumping, 0u);
    sk_store_rlx(&pool->running, UINT64_C(0));
    sk_store_rlx(&pool->stuck, UINT64_C(0));
    /* `inside`, `submitting` and `waiting` are as the last life left them: 0, but for one who is late and will leave by
       himself. */
    for (int end = 0; end < SK_ENDS; end++) sk_store_rlx(&pool->ended[end], UINT64_C(0));
    sk_waitq_init(&pool->room);
    sk_waitq_init(&pool->rest);
    int error = prepare_queue(pool, o->queue ? o->queue : QUEUE_DEFAULT);
    if (error) return error;
    pool->pump = sk_chore_new(&rt->owner, &pool->pump_chore);
    return pool->pump ? 0 : -ENOMEM;
}

int skua_pool_create(skua_pool **out, const skua_pool_options *options)
{
    static const skua_pool_options none = {0};
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = NULL;
    const skua_pool_options *o = options ? options : &none;
    if (o->queue > SKUA_POOL_QUEUE_MAX) return -EINVAL;
    skua_runtime *rt = o->runtime ? o->runtime : skua_runtime_current();
    if (!rt) rt = skua_runtime_default();
    int error = rt ? sk_runtime_check(rt) : -ENOMEM;
    if (!error && sk_load_rlx(&rt->stopping)) error = -ESHUTDOWN;
    if (error) return error;
    skua_pool *pool = allocate();
    if (!pool) return -ENOMEM;
    error = init(pool, rt, o);
    if (error) {
        forget(pool);
        return error;
    }
    /* [PL-R3] release; pairs with [PL-A2]: who finds it open finds it whole. */
    sk_store_rel(&pool->state, (uint32_t)POOL_OPEN);
    *out = pool;
    return 0;
}

/* ---- submit ---- */

static int check(skua_pool *pool)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (sk_unlikely(!pool)) return -EINVAL;
    /* [PL-A2] acquire; pairs with [PL-R3]. */
    return sk_likely(sk_load_acq(&pool->state) == POOL_OPEN) ? 0 : -ESHUTDOWN;
}

static bool has_room(void *ctx)
{
    skua_pool *pool = (skua_pool *)ctx;
    return sk_load_rlx(&pool->state) != POOL_OPEN || !sk_bounded_is_full_now(&pool->queue);
}

/* Waits for room. A task of the pool itself holds a slot meanwhile; when all that hold slots wait, no one would make
   room: the last of them is told. */
static int wait_for_room(skua_pool *pool, bool own)
{
    int error = -EDEADLK;
    if (!own) {
        error = sk_waitq_wait(&pool->room, has_room, pool, SK_NEVER);
    } else {
        /* [PL-C9] sequentially consistent, both; pairs with itself: of those that come last together, at least one
           counts all. */
        if (sk_add_sc(&pool->stuck, UINT64_C(1)) + 1 < sk_load_sc(&pool->running))
            error = sk_waitq_wait(&pool->room, has_room, pool, SK_NEVER);
        sk_sub_rlx(&pool->stuck, UINT64_C(1));
    }
    return error ? error : sk_load_rlx(&pool->state) == POOL_OPEN ? 0 : -ESHUTDOWN;
}

static bool called_from_own_task(skua_pool *pool)
{
    sk_local *local = sk_local_self();
    if (!local) return false;
    sk_task *t = local->worker ? local->worker->task : local->blocked_task;
    return t && sk_task_owner_of(t) == &pool->owner;
}

static int enqueue(skua_pool *pool, sk_task *t, bool may_wait)
{
    while (sk_unlikely(sk_bounded_push(&pool->queue, t) != 0)) {
        if (!may_wait) return -EAGAIN;
        int error = wait_for_room(pool, called_from_own_task(pool));
        if (error) return error;
    }
    return 0;
}

/* Counted as submitting: release waits for us. */
static int submit_open(skua_pool *pool, skua_fn *fn, void *arg, bool may_wait)
{
    int error = 0;
    sk_local *local = sk_local_self();
    sk_task *t = sk_task_new(local, &pool->owner, fn, arg, false, SK_ACTIVE, &error);
    if (!t) return error;
    error = enqueue(pool, t, may_wait);
    if (sk_unlikely(error)) {
        sk_task_withdraw(t);
        return error;
    }
    /* [PL-A5] sequentially consistent, both; with the push [BQ-R1] before them they pair with [PL-C3] and [PL-X1] and
       the looks into the queue that follow those: the task before the look. */
    if (!sk_load_sc(&pool->pumping) && sk_load_sc(&pool->running) < pool->limit) send_pump(pool, sk_worker_self());
    return 0;
}

static int submit(skua_pool *pool, skua_fn *fn, void *arg, bool may_wait)
{
    int error = check(pool);
    if (error) return error;
    if (!fn) return -EINVAL;
    /* [PL-C4] sequentially consistent; pairs with [PL-F3] in release: either it waits for us, or we see that it has
       closed the pool. */
    sk_add_sc(&pool->submitting, 1u);
    /* [PL-A7] sequentially consistent; pairs with [PL-F3], see [PL-C4]: a relaxed look could come before the count. */
    error = sk_likely(sk_load_sc(&pool->state) == POOL_OPEN) ? submit_open(pool, fn, arg, may_wait) : -ESHUTDOWN;
    /* [PL-R4] sequentially consistent; pairs with [PL-A3], as a release, and with [PL-F3]: either release finds us
       gone, or we find the pool closed and wake it. From here on the pool may be gone; what follows is type-stable. */
    sk_sub_sc(&pool->submitting, 1u);
    /* [PL-A10] sequentially consistent; pairs with [PL-F3], see [PL-R4]. */
    if (sk_unlikely(sk_load_sc(&pool->state) != POOL_OPEN)) sk_waitq_wake(&pool->rest);
    return error;
}

int skua_pool_submit(skua_pool *pool, skua_fn *fn, void *arg)
{
    return submit(pool, fn, arg, true);
}

int skua_pool_try_submit(skua_pool *pool, skua_fn *fn, void *arg)
{
    return submit(pool, fn, arg, false);
}

/* ---- wait and release ---- */

static bool at_rest(void *ctx)
{
    skua_pool *pool = (skua_pool *)ctx;
    /* [PL-A4] acquire; pairs with [PL-C3] and [PL-C7]: who waits sees what the tasks wrote. And in this order: a task
       leaves the queue only with a slot that it keeps to its end. */
    return sk_bounded_is_empty(&pool->queue) && sk_load_acq(&pool->running) == 0;
}

static bool may_be_freed(void *ctx)
{
    skua_pool *pool = (skua_pool *)ctx;
    /* [PL-A3], [PL-A6] acquire; the first pairs with [PL-R4]: what was submitted is in the queue; the second with
       [PL-X1]: who finds the pump gone finds it inside. */
    return sk_load_acq(&pool->submitting) == 0 && at_rest(ctx) && sk_load_acq(&pool->pumping) == 0;
}

/* Around what stands in the pool's queue of waiters: release does not give the memory to another pool meanwhile. */
static void begin_wait(skua_pool *pool)
{
    /* [PL-C10] sequentially consistent; pairs with [PL-A12]: either release counts us, or we see the pool freed. */
    sk_add_sc(&pool->waiting, 1u);
}

static void end_wait(skua_pool *pool)
{
    /* [PL-R5] release; pairs with [PL-A12]: our last touch of the pool. */
    sk_sub_ar(&pool->waiting, 1u);
}

int skua_pool_wait(skua_pool *pool, uint64_t timeout)
{
    int error = check(pool);
    if (error) return error;
    if (called_from_own_task(pool)) return -EDEADLK;
    uint64_t deadline = timeout == SKUA_FOREVER ? SK_NEVER : sk_deadline_after(sk_clock_ns(), timeout);
    begin_wait(pool);
    /* [PL-A11] sequentially consistent; pairs with [PL-C6], see [PL-C10]. */
    error = sk_load_sc(&pool->state) == POOL_FREE ? -ESHUTDOWN : sk_waitq_wait(&pool->rest, at_rest, pool, deadline);
    end_wait(pool);
    return error;
}

/* Nobody else waits, or is about to: all find the pool at rest, once they have been woken. */
static bool is_last(skua_pool *pool)
{
    /* [PL-A12] sequentially consistent; pairs with [PL-C10], and as an acquire with [PL-R5]. One of them is we. */
    if (sk_load_sc(&pool->waiting) == 1) return true;
    sk_waitq_wake(&pool->rest);
    return false;
}

/* The pool is closed: waits for its end, and frees it. Counted as waiting. */
static int release(skua_pool *pool)
{
    sk_waitq_wake(&pool->room);
    int error = sk_waitq_wait(&pool->rest, may_be_freed, pool, SK_NEVER);
    if (error) return error;
    uint32_t closed = POOL_CLOSED;
    /* [PL-C6] sequentially consistent; pairs with itself: of several that release, one frees. */
    if (!sk_cas_sc(&pool->state, &closed, (uint32_t)POOL_FREE)) return -ESHUTDOWN;
    /* [PL-A1] acquire; pairs with [PL-R1] and [PL-R2]: the last ones are on their way out, a few instructions. */
    while (sk_load_acq(&pool->inside) || sk_load_acq(&pool->owes) || /* [PL-A8] acquire; pairs with [PL-X2]. */
           !is_last(pool)) {
        if (skua_yield()) sched_yield();
    }
    sk_chore_free(pool->pump);
    return 0;
}

int skua_pool_release(skua_pool *pool)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!pool) return -EINVAL;
    uint32_t open = POOL_OPEN;
    if (called_from_own_task(pool)) return -EDEADLK;
    begin_wait(pool);
    /* [PL-C5] sequentially consistent; before [PL-F3]. A release that was cancelled while it waited left CLOSED. */
    bool closed = sk_cas_sc(&pool->state, &open, (uint32_t)POOL_CLOSED) || open == POOL_CLOSED;
    sk_fence_sc(); /* [PL-F3] full fence; pairs with [PL-C4]: closed before the count. */
    int error = closed ? release(pool) : -ESHUTDOWN;
    end_wait(pool);
    if (!error) forget(pool);
    return error;
}

int skua_pool_stats(skua_pool *pool, skua_pool_counts *out)
{
    int error = check(pool);
    if (error) return error;
    if (!out) return -EINVAL;
    skua_pool_counts c = {.limit = pool->limit == UINT64_MAX ? 0 : (uint32_t)pool->limit, .queue = pool->queue.bound};
    c.failed = sk_load_rlx(&pool->ended[SK_FAILED]);
    c.cancelled = sk_load_rlx(&pool->ended[SK_CANCELLED]);
    c.expired = sk_load_rlx(&pool->ended[SK_LATE_END]);
    c.dropped = sk_load_rlx(&pool->ended[SK_DROPPED]);
    /* Running before popped: the later number includes what the earlier one counted. */
    uint64_t running = sk_load_rlx(&pool->running);
    uint64_t popped = sk_bounded_popped(&pool->queue);
    c.submitted = sk_bounded_pushed(&pool->queue);
    c.queued = c.submitted - popped;
    uint64_t others = c.failed + c.cancelled + c.expired + c.dropped;
    c.running = sk_min(running, popped - sk_min(others, popped));
    c.done = popped - c.running - others;
    *out = c;
    return 0;
}
