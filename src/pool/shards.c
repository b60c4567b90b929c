/*
 * shards.c: several pools that are used as one.
 *
 * There is nothing here but a table of pools and a ticket, the number of the
 * next submission: its remainder names the shard whose turn it is.  The ticket is
 * one fetch-add on a line of its own.  A counter for each thread or worker would
 * spare that, and be no round robin: two threads could give their first five
 * tasks to the same shard each.
 *
 * Least loaded looks at queue and slots of the pools, two to four cache lines
 * each: at all of them up to LOOK_AT_ALL; beyond at two, which is known to be
 * nearly as good (the longest queue falls from log n to log log n), costs the same
 * however many there are, and does not send all who look at the same moment to the
 * same shard.  Of equals the one goes first whose turn it is: so shards that are
 * loaded alike are served in turn.
 *
 * Whoever submits is not counted here but in the pool, which release waits for.
 * The memory of the object is type-stable, and its table stays with it until its
 * next life: a call that comes too late finds stopped pools.  I: never changes
 * after init.
 */
#include "pool/pool.h"
#include "skua/shard.h"

#include <errno.h>
#include <sched.h>

#include "mem/lazy_slab.h"
#include "os/fork.h"
#include "runtime/shield.h"

enum { SHARDS_FREE = 0, SHARDS_OPEN = 1, SHARDS_CLOSING = 2, LOOK_AT_ALL = 8 };

struct skua_shards {
    void *link;                                 /* of the slab's free list */
    sk_atomic(uint32_t) state;                  /* SHARDS_* */
    uint32_t n;                                 /* I */
    skua_shards_pick pick;                      /* I */
    skua_when_full when_full;                   /* I */
    skua_fn *fn;                                /* I: of skua_shards_invoke */
    skua_pool **pools;                          /* I: n of them */
    SK_LINE_ALIGNED sk_atomic(uint64_t) ticket; /* submitters */
    SK_LINE_ALIGNED sk_atomic(uint64_t) refused;
};

static sk_lazy_slab families = SK_LAZY_SLAB(skua_shards, link);

static int check(skua_shards *s)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (sk_unlikely(!s)) return -EINVAL;
    /* [SH-A1] acquire; pairs with [SH-R1]: who finds it open finds it whole. */
    return sk_likely(sk_load_acq(&s->state) == SHARDS_OPEN) ? 0 : -ESHUTDOWN;
}

/* ---- create ---- */

static void release_first(skua_shards *s, uint32_t n)
{
    while (n-- > 0) (void)skua_pool_release(s->pools[n]);
}

/* Room for n pools; what a late caller of the life before may look at goes only now. */
static int make_table(skua_shards *s, uint32_t n)
{
    sk_heap_free(s->pools);
    s->pools = (skua_pool **)sk_heap_zalloc(n, sizeof(skua_pool *));
    s->n = s->pools ? n : 0;
    return s->pools ? 0 : -ENOMEM;
}

/* `first` has been made, and says which runtime it is. */
static int make_pools(skua_shards *s, const skua_shards_options *o, skua_pool *first)
{
    skua_pool_options options = o->pool;
    options.runtime = sk_owner_runtime(&first->owner);
    int error = make_table(s, o->n ? o->n : options.runtime->workers_max);
    if (error) {
        (void)skua_pool_release(first);
        return error;
    }
    s->pools[0] = first;
    for (uint32_t i = 1; i < s->n; i++)
        if ((error = skua_pool_create(&s->pools[i], &options))) {
            release_first(s, i);
            return error;
        }
    return 0;
}

static int init(skua_shards *s, const skua_shards_options *o)
{
    skua_pool *first = NULL;
    int error = skua_pool_create(&first, &o->pool);
    if (!error) error = make_pools(s, o, first);
    if (error) return error;
    s->pick = o->pick;
    s->when_full = o->pool.when_full;
    s->fn = o->pool.fn;
    sk_store_rlx(&s->ticket, UINT64_C(0));
    sk_store_rlx(&s->refused, UINT64_C(0));
    return 0;
}

int skua_shards_create(skua_shards **out, const skua_shards_options *options)
{
    static const skua_shards_options none = {0};
    const skua_shards_options *o = options ? options : &none;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = NULL;
    if ((unsigned)o->pick > SKUA_SHARDS_LEAST_LOADED) return -EINVAL;
    if (o->n > SKUA_SHARDS_MAX) return -ERANGE;
    skua_shards *s = (skua_shards *)sk_lazy_slab_alloc(&families);
    if (!s) return -ENOMEM;
    int error = init(s, o);
    if (error) {
        sk_lazy_slab_free(&families, s);
        return error;
    }
    /* [SH-R1] release; pairs with [SH-A1]. */
    sk_store_rel(&s->state, (uint32_t)SHARDS_OPEN);
    *out = s;
    return 0;
}

skua_pool *skua_shards_pool(skua_shards *s, uint32_t index)
{
    return !check(s) && index < s->n ? s->pools[index] : NULL;
}

int skua_shards_count(skua_shards *s)
{
    int error = check(s);
    return error ? error : (int)s->n;
}

/* ---- choosing ---- */

/* Queued and running. A hint. */
static uint64_t load_of(skua_pool *pool)
{
    uint64_t left = sk_backlog_popped(&pool->backlog), came = sk_backlog_pushed(&pool->backlog);
    return came - left + sk_pool_running(pool);
}

/* Numbers in a row become unlike. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint32_t less_loaded(skua_shards *s, uint32_t turn, uint64_t ticket)
{
    uint32_t other = (turn + 1 + (uint32_t)(mixed(ticket) % (s->n - 1))) % s->n;
    return load_of(s->pools[other]) < load_of(s->pools[turn]) ? other : turn;
}

static uint32_t least_loaded(skua_shards *s, uint32_t turn)
{
    uint64_t least = UINT64_MAX;
    uint32_t best = turn;
    for (uint32_t i = 0; i < s->n && least; i++) {
        uint32_t at = (turn + i) % s->n;
        uint64_t load = load_of(s->pools[at]);
        if (load < least) best = at;
        least = sk_min(least, load);
    }
    return best;
}

/* The shard that gets the next task. */
static uint32_t choose(skua_shards *s)
{
    uint64_t ticket = sk_add_rlx(&s->ticket, UINT64_C(1));
    uint32_t turn = (uint32_t)(ticket % s->n);
    if (sk_likely(s->pick == SKUA_SHARDS_ROUND_ROBIN) || s->n == 1) return turn;
    return s->n <= LOOK_AT_ALL ? least_loaded(s, turn) : less_loaded(s, turn, ticket);
}

skua_pool *skua_shards_next(skua_shards *s)
{
    return check(s) ? NULL : s->pools[choose(s)];
}

/* ---- submitting ---- */

static skua_pool *pool_after(skua_shards *s, uint32_t first, uint32_t i)
{
    return s->pools[(first + i) % s->n];
}

static int counted(skua_shards *s, int error)
{
    if (sk_unlikely(error == -EAGAIN || error == -ETIMEDOUT)) sk_add_rlx(&s->refused, UINT64_C(1));
    return error;
}

static bool has_pool(const skua_shards *s, const skua_pool *pool)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->pools[i] == pool) return true;
    return false;
}

/* The first with room, from `first` on. */
static int offer(skua_shards *s, uint32_t first, skua_fn *fn, void *arg)
{
    int error = -EAGAIN;
    for (uint32_t i = 0; error == -EAGAIN && i < s->n; i++)
        error = skua_pool_try_submit(pool_after(s, first, i), fn, arg);
    return error;
}

/*
 * The shard, if any, of whose tasks the caller is one.  It waits for room there
 * only: else tasks of two shards could wait for each other, and no pool would find
 * that all its own tasks wait (-EDEADLK).
 */
static skua_pool *pool_of_caller(const skua_shards *s)
{
    skua_pool *p = sk_pool_of_caller();
    while (p && !has_pool(s, p)) p = p->parent;
    return p;
}

/* No shard had room: the policy of one of them decides. */
static sk_noinline int submit_late(skua_shards *s, uint32_t first, skua_fn *fn, void *arg)
{
    skua_pool *own = s->when_full == SKUA_FULL_WAIT ? pool_of_caller(s) : NULL;
    return skua_pool_submit(own ? own : s->pools[first], fn, arg);
}

static int submit(skua_shards *s, skua_fn *fn, void *arg)
{
    uint32_t first = choose(s);
    int error = offer(s, first, fn, arg);
    if (sk_unlikely(error == -EAGAIN) && s->when_full != SKUA_FULL_REFUSE) error = submit_late(s, first, fn, arg);
    return counted(s, error);
}

int skua_shards_submit(skua_shards *s, skua_fn *fn, void *arg)
{
    int error = check(s);
    return error ? error : submit(s, fn, arg);
}

int skua_shards_try_submit(skua_shards *s, skua_fn *fn, void *arg)
{
    int error = check(s);
    return error ? error : counted(s, offer(s, choose(s), fn, arg));
}

int skua_shards_submit_batch(skua_shards *s, size_t n, skua_fn *fn, void *const *args)
{
    int error = check(s);
    if (error) return error;
    if (!fn || n > INT32_MAX) return -EINVAL;
    size_t i = 0;
    for (; !error && i < n; i += !error) error = submit(s, fn, args ? args[i] : NULL);
    return i ? (int)i : error;
}

int skua_shards_invoke(skua_shards *s, void *arg)
{
    int error = check(s);
    if (error) return error;
    return s->fn ? submit(s, s->fn, arg) : -ENOTSUP;
}

/* A hint. */
static bool has_room(skua_pool *pool, uint32_t level)
{
    if (level >= pool->backlog.levels) return true; /* it will say so */
    return pool->queueless ? sk_pool_running(pool) < sk_pool_limit(pool) : !sk_backlog_is_full(&pool->backlog, level);
}

/* The first that seems to have room; when none does, or it is full by then, its policy decides. */
static skua_pool *one_with_room(skua_shards *s, uint32_t first, uint32_t level)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (sk_likely(has_room(pool_after(s, first, i), level))) return pool_after(s, first, i);
    return s->pools[first];
}

/* The first that has room, for certain. */
static int offer_with(skua_shards *s, uint32_t first, skua_task *task, const skua_submit_options *o, skua_fn *fn,
                      void *arg)
{
    int error = -EAGAIN;
    for (uint32_t i = 0; error == -EAGAIN && i < s->n; i++)
        error = skua_pool_submit_with(pool_after(s, first, i), task, o, fn, arg);
    return error;
}

/* A task of the shard `own`. */
static int submit_inside(skua_shards *s, skua_pool *own, uint32_t first, skua_task *task, const skua_submit_options *o,
                         skua_fn *fn, void *arg)
{
    skua_submit_options now = *o;
    now.no_wait = true;
    int error = offer_with(s, first, task, &now, fn, arg);
    return error == -EAGAIN && !o->no_wait ? skua_pool_submit_with(own, task, o, fn, arg) : error;
}

int skua_shards_submit_with(skua_shards *s, skua_task *task, const skua_submit_options *options, skua_fn *fn, void *arg)
{
    static const skua_submit_options none = {0};
    const skua_submit_options *o = options ? options : &none;
    int error = check(s);
    if (error) return error;
    uint32_t first = choose(s);
    if (s->when_full == SKUA_FULL_REFUSE) return counted(s, offer_with(s, first, task, o, fn, arg));
    skua_pool *own = s->when_full == SKUA_FULL_WAIT ? pool_of_caller(s) : NULL;
    if (own) return counted(s, submit_inside(s, own, first, task, o, fn, arg));
    return counted(s, skua_pool_submit_with(one_with_room(s, first, o->level), task, o, fn, arg));
}

/* ---- limits ---- */

int skua_shards_tune(skua_shards *s, uint32_t limit)
{
    int error = check(s);
    for (uint32_t i = 0; !error && i < s->n; i++) error = skua_pool_tune(s->pools[i], limit);
    return error;
}

int skua_shards_pause(skua_shards *s)
{
    int error = check(s);
    for (uint32_t i = 0; !error && i < s->n; i++) error = skua_pool_pause(s->pools[i]);
    return error;
}

int skua_shards_resume(skua_shards *s)
{
    int error = check(s);
    for (uint32_t i = 0; !error && i < s->n; i++) error = skua_pool_resume(s->pools[i]);
    return error;
}

/* ---- waiting ---- */

static bool is_caller_inside(const skua_shards *s)
{
    return pool_of_caller(s) != NULL;
}

static uint64_t until(uint64_t deadline)
{
    uint64_t now = deadline == SK_NEVER ? 0 : sk_clock_ns();
    return deadline == SK_NEVER ? SKUA_FOREVER : deadline - sk_min(now, deadline);
}

static uint64_t all_submitted(skua_shards *s)
{
    uint64_t n = 0;
    skua_pool_counts c;
    for (uint32_t i = 0; i < s->n; i++)
        if (skua_pool_stats(s->pools[i], &c) == 0) n += c.submitted;
    return n;
}

/* A fault in one shard (-EFAULT) does not keep us from waiting for the others. */
static int wait_once(skua_shards *s, uint64_t deadline, int *fault)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < s->n; i++) {
        error = skua_pool_wait(s->pools[i], until(deadline));
        if (error != -EFAULT) continue;
        *fault = error;
        error = 0;
    }
    return error;
}

/*
 * A task of one shard may submit to another one that has been found at rest.  So
 * the round is made again until nothing has come in meanwhile: then each was at
 * rest at some moment of it, and nothing came later.
 */
int skua_shards_wait(skua_shards *s, uint64_t timeout)
{
    int error = check(s), fault = 0;
    if (error) return error;
    if (is_caller_inside(s)) return -EDEADLK;
    uint64_t deadline = sk_deadline_of(timeout), before;
    do {
        before = all_submitted(s);
        error = wait_once(s, deadline, &fault);
    } while (!error && all_submitted(s) != before);
    return error ? error : fault;
}

int64_t skua_shards_cancel(skua_shards *s)
{
    int64_t asked = 0;
    int error = check(s);
    for (uint32_t i = 0; !error && i < s->n; i++) {
        int64_t n = skua_pool_cancel(s->pools[i]);
        if (n > 0) asked += n;
    }
    return error ? error : asked;
}

/* ---- the end ---- */

typedef int stop_fn(skua_pool *pool, uint64_t timeout);

/* All refuse before any of them is waited for: from then on nothing comes in, and one round is enough. */
static int stop(skua_shards *s, stop_fn *stops, uint64_t timeout)
{
    uint64_t deadline = sk_deadline_of(timeout);
    int error = 0;
    for (uint32_t i = 0; i < s->n; i++) (void)stops(s->pools[i], 0);
    if (is_caller_inside(s)) return -EDEADLK;
    for (uint32_t i = 0; !error && i < s->n; i++) error = stops(s->pools[i], until(deadline));
    return error;
}

int skua_shards_stop(skua_shards *s, uint64_t timeout)
{
    int error = check(s);
    return error ? error : stop(s, skua_pool_stop, timeout);
}

int skua_shards_stop_now(skua_shards *s, uint64_t timeout)
{
    int error = check(s);
    return error ? error : stop(s, skua_pool_stop_now, timeout);
}

int skua_shards_restart(skua_shards *s)
{
    int error = check(s);
    for (uint32_t i = 0; !error && i < s->n; i++) error = skua_pool_restart(s->pools[i]);
    return error;
}

static bool has_subpools(skua_shards *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (sk_load_sc(&s->pools[i]->children)) return true; /* [SH-A2] sequentially consistent; as [PL-A19]. */
    return false;
}

/* They are stopped and at rest: that is soon over, and is not left half done because the caller is cancelled. */
static void release_all(skua_shards *s)
{
    sk_shield shield;
    sk_shield_raise(&shield);
    for (uint32_t i = 0; i < s->n; i++)
        while (skua_pool_release(s->pools[i])) {
            int bracketed = skua_blocking_begin();
            int error = skua_pool_release(s->pools[i]);
            if (!bracketed) skua_blocking_end();
            if (!error) break;
            if (skua_yield()) sched_yield();
        }
    sk_shield_lower(&shield);
}

int skua_shards_release(skua_shards *s)
{
    int error = check(s);
    if (error) return error;
    if (is_caller_inside(s)) return -EDEADLK;
    error = stop(s, skua_pool_stop, SKUA_FOREVER);
    if (!error && has_subpools(s)) error = -EBUSY;
    if (error) return error;
    uint32_t open = SHARDS_OPEN;
    /* [SH-C1] acquire-release; pairs with itself: of several that release, one frees. */
    if (!sk_cas_ar(&s->state, &open, (uint32_t)SHARDS_CLOSING)) return -ESHUTDOWN;
    release_all(s);
    sk_store_rlx(&s->state, (uint32_t)SHARDS_FREE);
    sk_lazy_slab_free(&families, s);
    return 0;
}

/* ---- counters ---- */

static void add(skua_pool_counts *sum, const skua_pool_counts *c)
{
    sum->submitted += c->submitted;
    sum->queued += c->queued;
    sum->running += c->running;
    sum->done += c->done;
    sum->failed += c->failed;
    sum->cancelled += c->cancelled;
    sum->expired += c->expired;
    sum->dropped += c->dropped;
    sum->retried += c->retried;
    sum->waiting += c->waiting;
    sum->stopped |= c->stopped;
    sum->paused |= c->paused;
}

static uint32_t in_all(const skua_shards *s, uint32_t each)
{
    return (uint32_t)sk_min((uint64_t)each * s->n, (uint64_t)UINT32_MAX);
}

/* Their limits may differ while skua_shards_tune is at it. */
static void add_places(skua_pool_counts *sum, const skua_pool_counts *c)
{
    bool none = c->free == UINT64_MAX || sum->free == UINT64_MAX;
    sum->free = none ? UINT64_MAX : sum->free + c->free;
    sum->limit = none ? 0 : (uint32_t)sk_min((uint64_t)sum->limit + c->limit, (uint64_t)UINT32_MAX);
}

int skua_shards_stats(skua_shards *s, skua_pool_counts *out)
{
    skua_pool_counts sum = {0}, c = {0};
    int error = check(s);
    if (!error && !out) error = -EINVAL;
    for (uint32_t i = 0; !error && i < s->n; i++) {
        error = skua_pool_stats(s->pools[i], &c);
        add(&sum, &c);
        add_places(&sum, &c);
    }
    if (error) return error;
    sum.queue = in_all(s, c.queue);
    sum.refused = sk_load_rlx(&s->refused);
    *out = sum;
    return 0;
}
