/*
 * rescue.c: what the monitor does for a pool whose pump has been stopped.
 *
 * The pump is in the hands of one thread at a time.  Should the kernel stop that
 * one, tasks would lie in the queue beside free slots until it goes on: only the
 * ends of tasks take others out, and only of a full pool.  So who sends the pump
 * of a pool that has no watch leaves one to the monitor first.  The monitor looks
 * at it again and again while the pump is about; when for a millisecond nothing
 * has left the queue although a slot is free, it starts tasks itself.
 *
 * `pumping` says both: whether the pump is about, and whether a watch is.  A
 * watch ends by one compare-and-swap of that word, from "watched, no pump".
 * QUEUE.md, "A pump that stands still".
 *
 * A watch outlives its pool: it holds it by `inside` while it looks, and knows
 * its own life of the pool by number.
 */
#include "pool/pool.h"

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "runtime/monitor.h"

enum { STALL_NS = 1000000 };

typedef struct watch {
    sk_chore chore; /* the monitor has it */
    skua_runtime *runtime;
    skua_pool *pool;
    uint64_t life;   /* of the pool, when it began */
    uint64_t popped; /* at the last look that found the pool moving */
    uint64_t since;  /* ns, that look */
    void *link;      /* of the slab's free list */
} watch;

static sk_lazy_slab watches = SK_LAZY_SLAB(watch, link);

/* Nothing has left the queue since, though something could. */
static bool stands_still(watch *o, uint64_t now)
{
    uint64_t popped = sk_backlog_popped(&o->pool->backlog);
    bool moves = popped != o->popped || !sk_pool_could_start(o->pool);
    if (moves) {
        o->popped = popped;
        o->since = now;
    }
    return now - o->since >= STALL_NS;
}

/* Whether the monitor is to look again. Counted inside. */
static bool look_at(watch *o)
{
    skua_pool *pool = o->pool;
    if (sk_load_rlx(&o->runtime->stopping) >= SK_STOP_THREADS) return false;
    /* [PW-A1] sequentially consistent; pairs with [PL-C6] in release: either it waits for us, or we see the pool freed;
       and as an acquire with [PL-R3]: who sees another life open sees its number. */
    if (sk_load_sc(&pool->state) == SK_POOL_FREE || sk_load_rlx(&pool->life) != o->life) return false;
    uint32_t watched = SK_PUMP_WATCHED;
    /* [PW-C1] sequentially consistent; pairs with [PL-C1]: of the end of the watch and the next pump one is first. */
    if (!(sk_load_rlx(&pool->pumping) & SK_PUMP_OUT) && sk_cas_sc(&pool->pumping, &watched, 0u)) return false;
    if (stands_still(o, sk_clock_ns())) sk_pool_start_some(pool);
    return true;
}

static void look(sk_chore *chore, sk_worker *w)
{
    (void)w;
    watch *o = sk_container_of(chore, watch, chore);
    skua_pool *pool = o->pool;
    sk_add_sc(&pool->inside, 1u); /* [PW-C2] sequentially consistent; see [PW-A1]. */
    bool again = look_at(o);
    /* [PW-R1] release; pairs with [PL-A1] in release: our last touch of the pool. */
    sk_sub_ar(&pool->inside, 1u);
    if (again)
        sk_monitor_owe(o->runtime, &o->chore);
    else
        sk_lazy_slab_free(&watches, o);
}

void sk_pool_watch(skua_pool *pool)
{
    skua_runtime *rt = sk_owner_runtime(&pool->owner);
    if (pool->backlog.ordered || sk_load_rlx(&rt->stopping)) return;
    watch *o = (watch *)sk_lazy_slab_alloc(&watches);
    if (!o) return;
    *o = (watch){
        .chore = {.run = look}, .runtime = rt, .pool = pool, .life = sk_load_rlx(&pool->life), .popped = UINT64_MAX};
    uint32_t none = 0;
    /* [PW-C3] sequentially consistent; pairs with [PW-C1]: one watch at a time. */
    if (sk_cas_sc(&pool->pumping, &none, (uint32_t)SK_PUMP_WATCHED))
        sk_monitor_owe(rt, &o->chore);
    else
        sk_lazy_slab_free(&watches, o);
}
