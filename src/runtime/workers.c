/*
 * workers.c: making workers, and the table that thieves scan.
 *
 * Only the controller writes here.  A worker, once made, is never freed while
 * its runtime lives: after it has retired it stays VACANT, and is the first to
 * be carried again.  The table lists those that may have something to steal; it
 * is replaced as a whole, and the old one is freed after a grace period (sk_reclaim).
 *
 *   made -> CARRIED <-> LENT (in a blocking call)
 *              |          |
 *              v          v
 *            VACANT  <----+      then out of the table
 */
#include <errno.h>
#include <string.h>

#include "os/clock.h"
#include "base/heap.h"
#include "runtime/idle.h"
#include "runtime/machine.h"
#include "runtime/rcu.h"

/* ---- reclaiming ---- */

static void retire_buffer(void *ctx, sk_taskq_buffer *old)
{
    skua_runtime *rt = (skua_runtime *)ctx;
    sk_inject_push(&rt->retired, (sk_inject_link *)(void *)old->room);
}

/* A thief that the kernel stops in its section would keep us waiting for the grace period, and nobody would be there
   for those whom only the monitor can help. So we begin to wait when there is none, and come again when there is. */
static bool thieves_about(skua_runtime *rt)
{
    bool found = false;
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n && !found; i++)
        found = sk_load_rlx(&((sk_worker *)sk_load_rlx(&rt->workers[i]))->robbing);
    return found;
}

void sk_reclaim(skua_runtime *rt)
{
    if ((sk_inject_is_empty(&rt->retired) && !rt->replaced) || thieves_about(rt)) return;
    sk_inject_link *link = sk_inject_take(&rt->retired);
    sk_rcu_wait();
    while (rt->replaced) {
        sk_table *table = rt->replaced;
        rt->replaced = table->next;
        sk_heap_free(table);
    }
    while (link) {
        sk_taskq_buffer *old = sk_container_of((void *)link, sk_taskq_buffer, room);
        link = link->next;
        sk_taskq_buffer_free(old);
    }
}

/* ---- workers ---- */

static sk_worker *worker_at(skua_runtime *rt, uint32_t i)
{
    return sk_load_rlx(&rt->workers[i]);
}

static unsigned carry_of(const sk_worker *w)
{
    /* [MA-A1] acquire; pairs with [MA-R1] in vacate and [BL-R1]: see there. */
    return (unsigned)(sk_load_acq((sk_atomic(uint64_t) *)&w->carry) & SK_CARRY);
}

static sk_worker *new_worker(skua_runtime *rt)
{
    uint32_t index = sk_load_rlx(&rt->workers_made);
    if (index == SKUA_WORKERS_MAX) return NULL;
    sk_worker *w = (sk_worker *)sk_heap_alloc_aligned(SK_CACHE_LINE, sizeof *w);
    if (!w) return NULL;
    memset((void *)w, 0, sizeof *w);
    if (sk_taskq_init(&w->queue, 8, retire_buffer, rt)) {
        sk_heap_free(w);
        return NULL;
    }
    w->runtime = rt;
    w->index = index;
    sk_rng_seed(&w->rng, index + 1);
    sk_slab_cache_init(&w->tasks, &sk_tasks);
    sk_timers_init(&w->timers, sk_clock_ns());
    sk_claim_init(&w->next_claim);
    sk_store_rlx(&w->carry, (uint64_t)SK_VACANT);
    sk_store_rlx(&rt->workers[index], w);
    /* [MA-R4] release; pairs with [MA-A4] in sk_workers_made: whoever learns the number finds the worker. */
    sk_store_rel(&rt->workers_made, index + 1);
    return w;
}

static sk_worker *vacant_worker(skua_runtime *rt)
{
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++)
        if (carry_of(worker_at(rt, i)) == SK_VACANT) return worker_at(rt, i);
    return NULL;
}

uint32_t sk_active_workers(skua_runtime *rt)
{
    uint32_t active = 0;
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) {
        sk_worker *w = worker_at(rt, i);
        active += carry_of(w) != SK_VACANT && !sk_load_rlx(&w->retire);
    }
    return active;
}

/* ---- the table ---- */

static int publish_table(skua_runtime *rt)
{
    uint32_t made = sk_load_rlx(&rt->workers_made);
    sk_table *table = (sk_table *)sk_heap_alloc(sizeof *table + made * sizeof(sk_worker *));
    if (!table) return -ENOMEM;
    table->n = 0;
    for (uint32_t i = 0; i < made; i++)
        if (carry_of(worker_at(rt, i)) != SK_VACANT) table->worker[table->n++] = worker_at(rt, i);
    sk_table *old = sk_load_rlx(&rt->table);
    /* [MO-R1] release; pairs with [SC-A3] in rob. Without it a thief could read a table that is not written yet. */
    sk_store_rel(&rt->table, table);
    if (!old) return 0;
    old->next = rt->replaced;
    rt->replaced = old;
    return 0;
}

/* ---- growing and shrinking ---- */

int sk_grow(skua_runtime *rt)
{
    sk_worker *w = vacant_worker(rt);
    if (!w) w = new_worker(rt);
    if (!w) return sk_load_rlx(&rt->workers_made) == SKUA_WORKERS_MAX ? -ENOSPC : -ENOMEM;
    sk_recruit recruit;
    int error = sk_recruit_get(rt, &recruit);
    if (error) return error;
    uint64_t vacant = sk_load_rlx(&w->carry);
    sk_store_rlx(&w->retire, false);
    w->run_before = sk_load_rlx(&w->count.dispatches);
    sk_store_rlx(&w->carry, (vacant & ~(uint64_t)SK_CARRY) | SK_CARRIED);
    error = publish_table(rt);
    if (error) {
        sk_store_rlx(&w->carry, vacant);
        sk_recruit_dismiss(rt, &recruit);
        return error;
    }
    sk_recruit_assign(&recruit, w);
    sk_count_rlx(&rt->grown, 1u);
    return 0;
}

bool sk_shrink(skua_runtime *rt)
{
    for (uint32_t i = sk_load_rlx(&rt->workers_made); i-- > 1;) { /* never the first: timers from outside go to it */
        sk_worker *w = worker_at(rt, i);
        if (carry_of(w) == SK_VACANT || sk_load_rlx(&w->retire)) continue;
        sk_store_rlx(&w->retire, true);
        sk_fence_sc(); /* [MO-F2] full fence; pairs with [ID-F3]: the worker sees it before it sleeps, or we see it
                          sleep. */
        sk_ring(rt, w);
        sk_count_rlx(&rt->shrunk, 1u);
        return true;
    }
    return false;
}

void sk_settle_retired(skua_runtime *rt)
{
    const sk_table *table = sk_load_rlx(&rt->table);
    for (uint32_t i = 0; i < table->n; i++)
        if (carry_of(table->worker[i]) == SK_VACANT) {
            publish_table(rt);
            return;
        }
}

void sk_workers_free(skua_runtime *rt)
{
    sk_reclaim(rt);
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) {
        sk_worker *w = worker_at(rt, i);
        sk_taskq_fini(&w->queue);
        sk_store_rlx(&rt->workers[i], (sk_worker *)NULL);
        sk_heap_free(w);
    }
    sk_store_rlx(&rt->workers_made, 0u);
    sk_heap_free(sk_load_rlx(&rt->table));
    sk_store_rlx(&rt->table, (sk_table *)NULL);
    sk_stack_cache_flush(&rt->control_stacks);
}
