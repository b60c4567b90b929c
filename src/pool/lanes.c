/*
 * lanes.c: lanes: tasks one after another, in order.
 *
 * A family of lanes is a subpool whose queue has room for one task of each lane.
 * The tasks are tasks of that subpool, with the lane as their owner.  Of each lane
 * that has something to do exactly one task, its head, is in the queue, or has a
 * slot, or is on its way there; all others are in the lane.
 *
 * The lane's word says both whether there is a head and what waits behind it:
 *
 *   IDLE     there is none
 *   BUSY     there is one, and nothing has come behind it since the last look
 *   a task   there is one; the youngest of a chain of those that came behind it
 *
 *   IDLE --submit--> BUSY --submit--> task --submit--> task
 *   BUSY --the head has ended--> IDLE
 *   task --the head has ended--> BUSY, and its chain, turned round, is the lane's batch
 *
 * Who submits to an idle lane makes its task the head, and puts it into the queue.
 * Whoever ends the head makes the next one of batch or word the head, before it
 * gives the slot back.  So nothing is left in a lane: a task is put behind a
 * head by the same compare-and-swap that sees that there is one, and the end of a
 * head leaves the lane idle by one that sees that nothing is behind it.
 *
 * The queue never is full (deque/bounded.h says so only when as many tasks are in
 * it as it has room for).  So the head of a lane needs no memory and nobody's leave
 * to get in line.
 *
 * Counting.  To the subpool the tasks of its lanes are like those of a subpool of
 * its own: they are in its `below_submitted` from the submission, and in
 * `below_ended` before the slot of the last one is given back.  So waiting for it,
 * stopping and releasing it are the pool's.
 *
 * Who may touch a lane: its head, through whoever ends it, until the slot is given
 * back; and submitters, who are counted in the subpool.  So it is free when the
 * subpool has been released.  Its memory is type-stable, as owners have to be.
 * I: never changes after init.
 */
#include "pool/pool.h"
#include "skua/lane.h"

#include <errno.h>

#include "base/heap.h"
#include "mem/lazy_slab.h"
#include "os/fork.h"

enum { LANES_FREE = 0, LANES_OPEN = 1, LANES_CLOSING = 2, LANES_DEFAULT = 1024, MOST_DEFAULT = 1 << 20 };

#define IDLE ((sk_inject_link *)NULL)
#define BUSY ((sk_inject_link *)(uintptr_t)1)

typedef struct lane {
    SK_LINE_ALIGNED sk_atomic(sk_inject_link *) word; /* anyone, see above */
    SK_LINE_ALIGNED sk_task_owner owner;              /* I */
    sk_atomic(skua_pool *) pool;                      /* I; atomic because a sweep looks at all tasks */
    sk_inject_link *batch;                            /* who ends the head: what comes next, oldest first */
    bool drops;                                       /* who ends the head: what comes next is being dropped */
    void *link;                                       /* of the slab's free list */
} lane;

struct skua_lanes {
    void *link;                  /* of the slab's free list */
    sk_atomic(uint32_t) state;   /* LANES_* */
    uint32_t mask;               /* I: number of lanes - 1 */
    sk_atomic(skua_pool *) pool; /* I; atomic because a late caller may look */
    uint64_t most;               /* I: queued_most */
    sk_atomic(uint64_t) ended;   /* submitters: how many had ended when they were last counted */
    lane **lanes;                /* I */
    sk_atomic(uint64_t) refused; /* by `most` */
};

/* ---- memory ---- */

static sk_lazy_slab families = SK_LAZY_SLAB(skua_lanes, link), lane_slab = SK_LAZY_SLAB(lane, link);

static void free_lanes(skua_lanes *f, uint32_t n)
{
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &lane_slab.slab);
    for (uint32_t i = 0; i < n; i++) sk_slab_free(&cache, f->lanes[i]);
    sk_slab_cache_flush(&cache);
    sk_heap_free(f->lanes);
    f->lanes = NULL;
}

static int check(skua_lanes *f)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (sk_unlikely(!f)) return -EINVAL;
    /* [LN-A1] acquire; pairs with [LN-R1]: who finds it open finds it whole. */
    return sk_likely(sk_load_acq(&f->state) == LANES_OPEN) ? 0 : -ESHUTDOWN;
}

static skua_pool *pool_of(skua_lanes *f)
{
    return sk_load_rlx(&f->pool);
}

/* ---- the word ---- */

/* True: the lane was idle, and the task is its head; false: it is behind one, and is not ours any more. */
static bool arrive(lane *l, sk_task *t)
{
    sk_inject_link *word = sk_load_rlx(&l->word), *next;
    do {
        t->link.next = word == BUSY ? NULL : word;
        next = word == IDLE ? BUSY : &t->link;
        /* [LN-C1] acquire-release; the release pairs with [LN-C3]: the task before its place in the lane. The acquire
           with [LN-C2]: who makes a lane busy sees what its last task wrote. */
    } while (!sk_cas_ar(&l->word, &word, next));
    return word == IDLE;
}

/* Its head has ended: the next one; NULL: the lane is idle now, and we must not touch it any more. */
static sk_task *next_head(lane *l)
{
    sk_inject_link *next = l->batch, *busy = BUSY;
    if (!next) {
        /* [LN-C2] release; pairs with [LN-C1]. */
        if (sk_cas_rel(&l->word, &busy, IDLE)) return NULL;
        /* [LN-C3] acquire; pairs with [LN-C1]. */
        next = sk_inject_reverse(sk_xchg_acq(&l->word, BUSY));
    }
    l->batch = next->next;
    return sk_task_of_link(next);
}

/* ---- ends ---- */

/* Before its slot is given back. */
static void count_end(skua_pool *pool, sk_end end)
{
    for (skua_pool *p = pool; p; p = p->parent)
        /* [LN-R2] release; pairs with [PL-A14] and [PL-A20], as [PL-R6]: who counts the end counts the submission. */
        sk_add_rel(&p->below_ended[end], UINT64_C(1));
}

/* The head of a lane into the line for a slot. */
static void get_in_line(skua_pool *pool, sk_worker *w, sk_task *t)
{
    if (sk_unlikely(sk_backlog_push(&pool->backlog, 0, t))) sk_panic("more heads than lanes");
    if (sk_pool_needs_pump(pool)) sk_pool_send_pump(pool, w);
}

/* Whether anybody but this pool waits for a slot of the one above. */
static bool others_wait_above(skua_pool *pool)
{
    skua_pool *above = pool->parent;
    if (above->queueless && sk_load_rlx(&above->standing)) return true;
    return !sk_pool_is_alone_hungry(pool) || !sk_backlog_is_empty(&above->backlog);
}

/* A slot that we hold may go to the next in line without a look: none of the pools has more running than it may, and
   nobody else waits for the slot above. */
static bool may_keep_slot(skua_pool *pool)
{
    for (skua_pool *p = pool; p; p = p->parent) {
        if (sk_pool_running(p) > sk_pool_limit(p)) return false;
        if (p->parent && others_wait_above(p)) return false;
    }
    return true;
}

static sk_task *start(sk_worker *w, sk_task *t)
{
    if (sk_likely(w != NULL)) return t;
    sk_ready(w, t);
    return NULL;
}

/* Our slot goes to the next of all lanes, if there is one and it may. `next`: of our lane, or NULL. */
static sk_task *hand_on(skua_pool *pool, sk_worker *w, sk_task *next)
{
    if (next && sk_backlog_is_empty(&pool->backlog)) {
        sk_add_rlx(&pool->direct, UINT64_C(1));
        return start(w, next);
    }
    if (next) get_in_line(pool, w, next);
    next = (sk_task *)sk_backlog_pop(&pool->backlog);
    if (next) return start(w, next);
    return sk_pool_leave(pool, w);
}

/* Nothing starts any more: ends `next` and all behind it as dropped. */
static void drop(lane *l, skua_pool *pool, sk_worker *w, sk_task *next)
{
    for (; next; next = next_head(l)) {
        l->drops = true;
        sk_count_unstarted(w, sk_owner_runtime(&pool->owner));
        (void)sk_task_end(w, next, SK_DROPPED, -ESHUTDOWN);
        l->drops = false;
    }
}

/* The head of a lane has ended; see sk_task_owner. */
static sk_task *lane_task_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)t;
    (void)result;
    lane *l = sk_container_of(owner, lane, owner);
    skua_pool *pool = sk_load_rlx(&l->pool);
    count_end(pool, end);
    if (sk_unlikely(l->drops)) return NULL; /* in drop above */
    sk_task *next = next_head(l);
    if (sk_unlikely(end == SK_DROPPED || sk_pool_is_dropping(pool))) {
        drop(l, pool, w, next);
        sk_pool_give_slots(pool, w, 1);
        return NULL;
    }
    if (may_keep_slot(pool)) return hand_on(pool, w, next);
    if (next) get_in_line(pool, w, next);
    return sk_pool_leave(pool, w);
}

/* A task of a lane gives up: as one of its pool. */
static bool lane_task_faulted(sk_task_owner *owner, const skua_fault *fault)
{
    sk_task_owner *above = &sk_load_rlx(&sk_container_of(owner, lane, owner)->pool)->owner;
    return above->faulted && above->faulted(above, fault);
}

skua_pool *sk_lane_pool_of_owner(const sk_task_owner *owner)
{
    if (sk_owner_ended(owner) != lane_task_ended) return NULL;
    return sk_load_rlx(&((lane *)sk_container_of(owner, lane, owner))->pool);
}

/* ---- create ---- */

static void init_lane(lane *l, skua_pool *pool)
{
    sk_store_rlx(&l->word, IDLE);
    sk_store_rlx(&l->pool, pool);
    l->batch = NULL;
    l->drops = false;
    sk_owner_init(&l->owner, sk_owner_runtime(&pool->owner), lane_task_ended);
    l->owner.faulted = lane_task_faulted;
}

static int make_lanes(skua_lanes *f, skua_pool *pool, uint32_t n)
{
    sk_slab *slab = sk_lazy_slab_get(&lane_slab);
    f->lanes = slab ? (lane **)sk_heap_alloc(n * sizeof *f->lanes) : NULL;
    if (!f->lanes) return -ENOMEM;
    sk_slab_cache cache;
    uint32_t i = 0;
    sk_slab_cache_init(&cache, slab);
    while (i < n && (f->lanes[i] = (lane *)sk_slab_alloc(&cache))) init_lane(f->lanes[i++], pool);
    sk_slab_cache_flush(&cache);
    if (i == n) return 0;
    free_lanes(f, i);
    return -ENOMEM;
}

static int init(skua_lanes *f, const skua_lanes_options *o)
{
    uint32_t n = 1u << sk_log2_ceil(o->lanes ? o->lanes : (uint32_t)LANES_DEFAULT);
    skua_pool *pool = NULL;
    skua_pool_options options = {.runtime = o->runtime, .limit = o->limit, .queue = n, .parent = o->pool};
    int error = skua_pool_create(&pool, &options);
    if (error) return error;
    error = pool->times ? -ENOTSUP : make_lanes(f, pool, n);
    if (error) {
        (void)skua_pool_release(pool);
        return error;
    }
    f->mask = n - 1;
    f->most = o->queued_most ? o->queued_most : (uint32_t)MOST_DEFAULT;
    sk_store_rlx(&f->pool, pool);
    sk_store_rlx(&f->ended, UINT64_C(0));
    sk_store_rlx(&f->refused, UINT64_C(0));
    return 0;
}

int skua_lanes_create(skua_lanes **out, const skua_lanes_options *options)
{
    static const skua_lanes_options none = {0};
    const skua_lanes_options *o = options ? options : &none;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = NULL;
    if (o->lanes > SKUA_LANES_MAX) return -ERANGE;
    if (o->queued_most > SKUA_POOL_QUEUE_MAX) return -EOVERFLOW;
    skua_lanes *f = (skua_lanes *)sk_lazy_slab_alloc(&families);
    if (!f) return -ENOMEM;
    int error = init(f, o);
    if (error) {
        sk_lazy_slab_free(&families, f);
        return error;
    }
    /* [LN-R1] release; pairs with [LN-A1]. */
    sk_store_rel(&f->state, (uint32_t)LANES_OPEN);
    *out = f;
    return 0;
}

/* ---- submitting ---- */

/* Neighbouring keys, and pointers, are to lead to lanes far from each other. */
static uint32_t lane_of(const skua_lanes *f, uint64_t key)
{
    key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ key >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(key ^ key >> 31) & f->mask;
}

static uint64_t all_ended(skua_pool *pool)
{
    uint64_t ended = 0;
    for (int end = 0; end < SK_ENDS; end++) ended += sk_load_rlx(&pool->below_ended[end]);
    return ended;
}

/* Whether so many have come and not ended; `ended` is looked up only when it seems so. */
static bool is_full(skua_lanes *f, skua_pool *pool, uint64_t came)
{
    if (sk_likely(came - sk_load_rlx(&f->ended) < f->most)) return false;
    uint64_t ended = all_ended(pool);
    sk_store_rlx(&f->ended, ended);
    return (int64_t)(came - ended) >= (int64_t)f->most;
}

/* Before it can end. False: queued_most is reached. It is not counted and then taken back: who waits for the rest could
   see that, and would not be woken. */
static bool count_in(skua_lanes *f, skua_pool *pool)
{
    uint64_t came = sk_load_rlx(&pool->below_submitted);
    do
        if (sk_unlikely(is_full(f, pool, came))) {
            sk_add_rlx(&f->refused, UINT64_C(1));
            return false;
        }
    while (!sk_cas_rlx(&pool->below_submitted, &came, came + 1));
    for (skua_pool *p = pool->parent; p; p = p->parent) sk_add_rlx(&p->below_submitted, UINT64_C(1));
    return true;
}

/* Counted as submitting: release waits for us. */
static int accept(skua_lanes *f, skua_pool *pool, uint64_t key, skua_fn *fn, void *arg)
{
    int error = 0;
    lane *l = f->lanes[lane_of(f, key)];
    sk_task *t = sk_task_new(sk_local_self(), &l->owner, fn, arg, false, SK_ACTIVE, &error);
    if (!t) return error;
    if (sk_unlikely(!count_in(f, pool))) {
        sk_task_withdraw(t);
        return -EAGAIN;
    }
    if (arrive(l, t)) get_in_line(pool, sk_worker_self(), t);
    return 0;
}

/* The pool that we are counted in is the family's still, and so the lanes are there. */
static bool is_still_of(skua_lanes *f, skua_pool *pool)
{
    /* [LN-A3] sequentially consistent; pairs with [LN-C4]: release closes the family, then the pool, and waits there
       for us if we were counted before. */
    return sk_likely(sk_load_sc(&f->state) == LANES_OPEN && pool_of(f) == pool);
}

int skua_lanes_submit(skua_lanes *f, uint64_t key, skua_fn *fn, void *arg)
{
    int error = check(f);
    if (error) return error;
    if (!fn) return -EINVAL;
    skua_pool *pool = pool_of(f);
    error = sk_pool_begin_submit(pool);
    if (error) return error;
    error = is_still_of(f, pool) ? accept(f, pool, key, fn, arg) : -ESHUTDOWN;
    sk_pool_end_submit(pool);
    return error;
}

int skua_lanes_of_key(skua_lanes *f, uint64_t key)
{
    int error = check(f);
    return error ? error : (int)lane_of(f, key);
}

/* ---- the pool's calls ---- */

int skua_lanes_wait(skua_lanes *f, uint64_t timeout)
{
    int error = check(f);
    return error ? error : skua_pool_wait(pool_of(f), timeout);
}

int64_t skua_lanes_cancel(skua_lanes *f)
{
    int error = check(f);
    return error ? error : skua_pool_cancel(pool_of(f));
}

int skua_lanes_pause(skua_lanes *f)
{
    int error = check(f);
    return error ? error : skua_pool_pause(pool_of(f));
}

int skua_lanes_resume(skua_lanes *f)
{
    int error = check(f);
    return error ? error : skua_pool_resume(pool_of(f));
}

int skua_lanes_stop(skua_lanes *f, uint64_t timeout)
{
    int error = check(f);
    return error ? error : skua_pool_stop(pool_of(f), timeout);
}

int skua_lanes_stop_now(skua_lanes *f, uint64_t timeout)
{
    int error = check(f);
    return error ? error : skua_pool_stop_now(pool_of(f), timeout);
}

int skua_lanes_restart(skua_lanes *f)
{
    int error = check(f);
    return error ? error : skua_pool_restart(pool_of(f));
}

int skua_lanes_release(skua_lanes *f)
{
    int error = check(f);
    if (error) return error;
    skua_pool *pool = pool_of(f);
    if (sk_pool_is_caller_inside(pool)) return -EDEADLK;
    uint32_t open = LANES_OPEN;
    /* [LN-C4] sequentially consistent; pairs with [LN-A3], and with itself: one of several releases. */
    if (!sk_cas_sc(&f->state, &open, (uint32_t)LANES_CLOSING)) return -ESHUTDOWN;
    error = skua_pool_release(pool);
    if (error) {
        sk_store_rel(&f->state, (uint32_t)LANES_OPEN); /* [LN-R3] release; as [LN-R1]. */
        return error;
    }
    free_lanes(f, f->mask + 1);
    sk_store_rlx(&f->state, (uint32_t)LANES_FREE);
    sk_lazy_slab_free(&families, f);
    return 0;
}

/* ---- counters ---- */

/* Slots, then ends, then what came in: as in counts.c. */
static void look(skua_pool *pool, skua_pool_counts *c)
{
    uint64_t ended[SK_ENDS], all = 0;
    /* [LN-A4] acquire; pairs with [PL-C3] and [PL-C7]: who sees a slot given back sees the end counted. */
    uint64_t slots = sk_slots_of(sk_load_acq(&pool->running));
    for (int end = 0; end < SK_ENDS; end++)
        all += ended[end] = sk_load_acq(&pool->below_ended[end]); /* [LN-A5] acquire; pairs with [LN-R2]. */
    c->submitted = sk_load_rlx(&pool->below_submitted);
    c->running = sk_min(slots, c->submitted - all);
    c->queued = c->submitted - all - c->running;
    c->done = ended[SK_DONE];
    c->failed = ended[SK_FAILED];
    c->cancelled = ended[SK_CANCELLED];
    c->expired = ended[SK_LATE_END];
    c->dropped = ended[SK_DROPPED];
}

int skua_lanes_stats(skua_lanes *f, skua_pool_counts *out)
{
    skua_pool_counts c;
    int error = check(f);
    if (!error && !out) error = -EINVAL;
    if (!error) error = skua_pool_stats(pool_of(f), &c); /* for limit and free */
    if (error) return error;
    look(pool_of(f), &c);
    c.queue = 0;
    c.refused = sk_load_rlx(&f->refused);
    *out = c;
    return 0;
}

/* ---- one lane ---- */

static skua_lanes *family(skua_lane *l)
{
    return (skua_lanes *)(void *)l;
}

int skua_lane_create(skua_lane **out, skua_pool *pool)
{
    skua_lanes *f = NULL;
    skua_lanes_options options = {.pool = pool, .lanes = 1};
    int error = out ? skua_lanes_create(&f, &options) : -EINVAL;
    if (out) *out = (skua_lane *)(void *)f;
    return error;
}

int skua_lane_submit(skua_lane *l, skua_fn *fn, void *arg)
{
    return skua_lanes_submit(family(l), 0, fn, arg);
}

int skua_lane_wait(skua_lane *l, uint64_t timeout)
{
    return skua_lanes_wait(family(l), timeout);
}

int64_t skua_lane_cancel(skua_lane *l)
{
    return skua_lanes_cancel(family(l));
}

int skua_lane_stop(skua_lane *l, uint64_t timeout)
{
    return skua_lanes_stop(family(l), timeout);
}

int skua_lane_stats(skua_lane *l, skua_pool_counts *out)
{
    return skua_lanes_stats(family(l), out);
}

int skua_lane_release(skua_lane *l)
{
    return skua_lanes_release(family(l));
}
