/*
 * create.c: pools are made: options, defaults, memory; and the default pool.
 *
 * The memory of a pool is type-stable, as is that of its queue's owner record:
 * a call on a released pool finds `state` changed and says -ESHUTDOWN.
 */
#include "pool/fault.h"
#include "pool/storage.h"

#include <errno.h>

#include "mem/lazy_slab.h"
#include "os/fork.h"
#include "os/once.h"
#include "runtime/shutdown.h"
#include "sync/locker.h"

enum { QUEUE_DEFAULT = 1024, AGEING_DEFAULT_MS = 100 };

static sk_lazy_slab pools = SK_LAZY_SLAB(skua_pool, link);
static sk_atomic(skua_pool *) the_default;

/* ---- options ---- */

static int check_options(const skua_pool_options *o)
{
    bool queueless = o->queue == SKUA_POOL_NO_QUEUE, waits = o->when_full == SKUA_FULL_WAIT;
    if ((unsigned)o->when_full > SKUA_FULL_RUN) return -EINVAL;
    if (o->limit > SKUA_POOL_LIMIT_MAX) return -ERANGE;
    if (!queueless && o->queue > SKUA_POOL_QUEUE_MAX) return -EOVERFLOW;
    if (o->levels > SKUA_POOL_LEVELS_MAX) return -EDOM;
    if ((unsigned)o->order > SKUA_ORDER_DEADLINE) return -EINVAL;
    if (o->order && (queueless || o->when_full == SKUA_FULL_DROP_OLDEST)) return -ENOTSUP;
    if (queueless && (o->levels > 1 || o->when_full == SKUA_FULL_DROP_OLDEST)) return -ENOTSUP;
    if (!waits && (o->waiters || o->wait_at_most)) return -ENOTSUP;
    return 0;
}

static bool has_retry_without_times(const skua_retry *r)
{
    bool some = r->backoff || r->backoff_most || r->exponential || r->jitter || r->again || r->keep_place;
    return some && (r->times == 0 || r->times == SKUA_NO_RETRY);
}

static int check_defaults(const skua_pool_options *o)
{
    if ((unsigned)o->on_fault > SKUA_FAULT_ABORT || o->retry.jitter > 100) return -EINVAL;
    if (!sk_locker_is_whole(o->ended.locker)) return -EINVAL;
    if (o->finish_within && o->start_within != SKUA_FOREVER && o->start_within > o->finish_within) return -ENOTSUP;
    return has_retry_without_times(&o->retry) ? -ENOTSUP : 0;
}

static int choose_runtime(const skua_pool_options *o, skua_runtime **out)
{
    skua_runtime *rt = o->runtime;
    if (o->parent) {
        int error = sk_pool_check(o->parent);
        if (error) return error;
        if (rt && rt != sk_owner_runtime(&o->parent->owner)) return -ENOTSUP;
        rt = sk_owner_runtime(&o->parent->owner);
    }
    if (!rt) rt = skua_runtime_current();
    if (!rt) rt = skua_runtime_default();
    int error = rt ? sk_runtime_check(rt) : -ENOMEM;
    if (!error && sk_load_rlx(&rt->stopping)) error = -ESHUTDOWN;
    *out = rt;
    return error;
}

static void init_counters(skua_pool *pool)
{
    sk_store_rlx(&pool->owes, 0u);
    sk_store_rlx(&pool->pumping, 0u);
    sk_store_rlx(&pool->life, sk_load_rlx(&pool->life) + 1);
    sk_store_rlx(&pool->stuck, UINT64_C(0));
    sk_store_rlx(&pool->standing, UINT64_C(0));
    sk_store_rlx(&pool->refused, UINT64_C(0));
    sk_store_rlx(&pool->direct, UINT64_C(0));
    sk_store_rlx(&pool->is_hungry, 0u);
    sk_store_rlx(&pool->children, 0u);
    sk_store_rlx(&pool->leaving, 0u);
    sk_store_rlx(&pool->below_submitted, UINT64_C(0));
    sk_store_rlx(&pool->backed_off, UINT64_C(0));
    sk_store_rlx(&pool->again, UINT64_C(0));
    sk_store_rlx(&pool->retried, UINT64_C(0));
    sk_store_rlx(&pool->keeping, false);
    /* `running`, `inside`, `submitting` and `waiting` are as the last life left them: 0, but for one who is late and
       will leave by himself. */
    for (int end = 0; end < SK_ENDS; end++) {
        sk_store_rlx(&pool->ended[end], UINT64_C(0));
        sk_store_rlx(&pool->below_ended[end], UINT64_C(0));
    }
}

static uint64_t none_if_for_ever(uint64_t ns)
{
    return ns == SKUA_FOREVER ? 0 : ns;
}

static void init_defaults(skua_pool *pool, const skua_pool_options *o)
{
    bool retries = o->retry.times != SKUA_NO_RETRY;
    pool->defaults = (skua_submit_options){.start_within = none_if_for_ever(o->start_within),
                                           .finish_within = none_if_for_ever(o->finish_within),
                                           .run_within = none_if_for_ever(o->run_within),
                                           .ended = o->ended};
    if (retries) pool->defaults.retry = o->retry;
    pool->has_defaults = pool->defaults.start_within || pool->defaults.finish_within || pool->defaults.run_within ||
                         pool->defaults.retry.times || pool->defaults.ended.fn;
}

static void init_faults(skua_pool *pool, const skua_pool_options *o)
{
    pool->on_fault = o->on_fault;
    pool->fault_handler = o->fault_handler;
    pool->fault_arg = o->fault_arg;
    sk_store_rlx(&pool->fault.word, UINT64_C(0));
}

/* What a pool in order of deadlines goes by. Of a queued task; one in storage of the caller's has none. */
static uint64_t due_of(const void *item)
{
    const sk_task *t = (const sk_task *)item;
    if (sk_is_stored(item) || t->fiber != SK_FIBER_SPECIAL) return SK_NEVER;
    if (t->due) return t->due;
    uint64_t start_by = t->start_by ? t->start_by : SK_NEVER, finish_by = t->finish_by ? t->finish_by : SK_NEVER;
    return sk_min(start_by, finish_by);
}

static int init(skua_pool *pool, skua_runtime *rt, const skua_pool_options *o)
{
    sk_owner_init(&pool->owner, rt, sk_pool_task_ended);
    pool->owner.faulted = sk_pool_faulted;
    pool->owner.fn_of = sk_pool_fn_of;
    pool->hook = NULL;
    pool->parent = o->parent;
    sk_store_rlx(&pool->above, o->parent);
    sk_store_rlx(&pool->group, (struct skua_group *)NULL);
    pool->fn = o->fn;
    pool->when_full = o->when_full;
    pool->wait_at_most = o->wait_at_most;
    pool->waiters = o->waiters;
    pool->queueless = o->queue == SKUA_POOL_NO_QUEUE;
    pool->fed = false;
    sk_store_rlx(&pool->granted, 0u);
    pool->pump_chore.run = sk_pool_pump;
    pool->room_chore.run = sk_pool_pay_submitters;
    sk_store_rlx(&pool->limit, sk_pool_limit_word(o->limit));
    init_counters(pool);
    init_defaults(pool, o);
    init_faults(pool, o);
    sk_waitq_init(&pool->room);
    sk_waitq_init(&pool->rest);
    sk_inject_init(&pool->hungry);
    /* The queue stays with the memory of the pool until now, so that a call that comes too late finds it. */
    sk_backlog_fini(&pool->backlog);
    int error = sk_backlog_init(&pool->backlog,
                                pool->queueless ? 1
                                : o->queue      ? o->queue
                                                : QUEUE_DEFAULT,
                                o->levels ? o->levels : 1, o->ageing ? o->ageing : SKUA_MS(AGEING_DEFAULT_MS),
                                o->order == SKUA_ORDER_DEADLINE ? due_of : NULL);
    if (error) return error;
    pool->pump = sk_chore_new(&rt->owner, &pool->pump_chore);
    return pool->pump ? 0 : -ENOMEM;
}

/* Registers with the parent, which may be stopped or released at this very moment. */
static int join_parent(skua_pool *parent)
{
    if (!parent) return 0;
    /* [PL-C13] sequentially consistent; pairs with [PL-C6]: either release counts us, or we see it released. */
    sk_add_sc(&parent->children, 1u);
    if (sk_load_sc(&parent->state) == SK_POOL_OPEN) return 0; /* [PL-A16] sequentially consistent; see [PL-C13]. */
    sk_sub_rlx(&parent->children, 1u);
    return -ESHUTDOWN;
}

int sk_pool_join(skua_pool *pool)
{
    return join_parent(pool);
}

void sk_pool_quit(skua_pool *pool)
{
    /* [PT-R4] release; pairs with [PL-A19], as [PL-R10]: our last touch of the pool. */
    sk_sub_ar(&pool->children, 1u);
}

/* The pool is whole, but for its times, and nobody knows it. */
static int begin_life(skua_pool *pool, const skua_pool_options *o)
{
    pool->times = NULL;
    sk_progress_init(pool);
    int error = join_parent(o->parent);
    if (error || !(o->measure || (o->parent && o->parent->times))) return error;
    pool->times = sk_times_new(sk_owner_runtime(&pool->owner)->workers_max);
    pool->has_defaults = true; /* the way by which a submission becomes a job */
    if (pool->times) return 0;
    if (o->parent) sk_pool_quit(o->parent);
    return -ENOMEM;
}

int skua_pool_create(skua_pool **out, const skua_pool_options *options)
{
    static const skua_pool_options none = {0};
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = NULL;
    const skua_pool_options *o = options ? options : &none;
    skua_runtime *rt = NULL;
    int error = check_options(o);
    if (!error) error = check_defaults(o);
    if (!error) error = choose_runtime(o, &rt);
    if (error) return error;
    skua_pool *pool = (skua_pool *)sk_lazy_slab_alloc(&pools);
    if (!pool) return -ENOMEM;
    error = init(pool, rt, o);
    if (!error && (error = begin_life(pool, o))) sk_chore_free(pool->pump);
    if (error) {
        sk_lazy_slab_free(&pools, pool);
        return error;
    }
    pool->plain = !pool->parent && !pool->queueless && !pool->has_defaults && pool->backlog.simple;
    /* [PL-R3] release; pairs with [PL-A2]: who finds it open finds it whole. */
    sk_store_rel(&pool->state, (uint32_t)SK_POOL_OPEN);
    *out = pool;
    return 0;
}

void sk_pool_forget(skua_pool *pool)
{
    sk_lazy_slab_free(&pools, pool);
}

void sk_pool_each(void (*fn)(void *pool, void *ctx), void *ctx)
{
    sk_slab_each(&pools.slab, fn, ctx);
}

/* ---- the default pool ---- */

skua_pool *skua_pool_default(void)
{
    static sk_once made;
    if (sk_forked()) return NULL;
    if (sk_once_begin(&made)) {
        skua_pool *pool = NULL;
        skua_pool_options options = {0};
        options.runtime = skua_runtime_default();
        int error = options.runtime ? skua_pool_create(&pool, &options) : -ENOMEM;
        sk_store_rlx(&the_default, pool);
        sk_once_end(&made, error == 0);
    }
    return sk_load_rlx(&the_default);
}

bool sk_pool_is_default(const skua_pool *pool)
{
    return sk_load_rlx(&the_default) == pool;
}
