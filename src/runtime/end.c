/* end.c: the birth and the end of tasks, and joining them. */
#include <errno.h>

#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "runtime/idle.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

/* ---- birth ---- */

/* From outside of the runtime's own workers: counted before the look at `stopping`, see shutdown.c. */
static bool count_foreign(skua_runtime *rt)
{
    /* [EN-C1] sequentially consistent; pairs with [SD-F1] in stop_at_least: either the stopper counts this task and
       waits for it, or we see that it stops. */
    sk_add_sc(&rt->foreign_created, UINT64_C(1));
    /* [EN-A1] sequentially consistent; pairs with [SD-F1]: a relaxed look could come before the count. */
    if (sk_likely(sk_load_sc(&rt->stopping) == 0)) return true;
    /* [EN-R2] release; pairs with [ST-A3] in a snapshot. */
    sk_add_rel(&rt->foreign_refused, UINT64_C(1));
    return false;
}

/* Who counts must not be so late that the memory serves another runtime by then. A pool counts its submitters itself,
   and is released before its runtime. */
static bool admit_foreign(skua_runtime *rt, const sk_task_owner *owner)
{
    if (sk_owner_ended(owner)) return count_foreign(rt);
    if (!sk_runtime_enter(rt)) return false;
    bool admitted = count_foreign(rt); /* then the task keeps the runtime */
    sk_runtime_exit(rt);
    return admitted;
}

/* Counted as created, or refused. w: the caller's worker, or NULL. */
static bool count_birth(sk_worker *w, skua_runtime *rt, const sk_task_owner *owner)
{
    if (!w || w->runtime != rt) return admit_foreign(rt, owner);
    /* Inside, a running task keeps the runtime alive; it may go on making tasks until it is told to give up. */
    if (sk_load_rlx(&rt->stopping) >= SK_STOP_CANCEL) return false;
    sk_count_rlx(&w->count.created, 1u);
    return true;
}

static void init_task(sk_task *t, sk_task_owner *owner, skua_fn *fn, void *arg, bool joinable, unsigned phase)
{
    t->fn = fn;
    t->arg = arg;
    t->fiber = SK_FIBER_NONE;
    sk_store_rlx(&t->owner, owner);
    sk_join_born(&t->join, sk_state_next_serial(&t->state), joinable);
    sk_state_born(&t->state, phase); /* last: from here on a stopping runtime may find it */
}

sk_task *sk_task_new(sk_local *local, sk_task_owner *owner, skua_fn *fn, void *arg, bool joinable, unsigned phase,
                     int *error)
{
    if (sk_unlikely(!local) && !(local = sk_local_get())) {
        *error = -ENOMEM;
        return NULL;
    }
    sk_worker *w = local->worker;
    sk_task *t = (sk_task *)sk_slab_alloc(w ? &w->tasks : &local->tasks);
    if (sk_unlikely(!t)) {
        *error = -ENOMEM;
        return NULL;
    }
    if (sk_unlikely(!count_birth(w, sk_owner_runtime(owner), owner))) {
        sk_slab_free(w ? &w->tasks : &local->tasks, t);
        *error = -ESHUTDOWN;
        return NULL;
    }
    init_task(t, owner, fn, arg, joinable, phase);
    return t;
}

/* ---- those that are counted before there is a task ---- */

bool sk_birth_count(sk_worker *w, sk_task_owner *owner)
{
    return count_birth(w, sk_owner_runtime(owner), owner);
}

void sk_birth_take_back(sk_task_owner *owner)
{
    sk_add_rel(&sk_owner_runtime(owner)->foreign_refused, UINT64_C(1)); /* [EN-R7] release; as [EN-R6]. */
}

sk_task *sk_task_new_counted(sk_task_owner *owner, skua_fn *fn, void *arg)
{
    sk_local *local = sk_local_get();
    if (!local) return NULL;
    sk_task *t = (sk_task *)sk_slab_alloc(local->worker ? &local->worker->tasks : &local->tasks);
    if (t) init_task(t, owner, fn, arg, false, SK_ACTIVE);
    return t;
}

void sk_task_withdraw(sk_task *t)
{
    /* [EN-R6] release; pairs with [ST-A4] and [SD-A1]. Counted as a refusal, wherever it was counted as created: all
       counters only grow. */
    sk_add_rel(&sk_task_runtime(t)->foreign_refused, UINT64_C(1));
    sk_task_release(t);
}

sk_task *sk_chore_new(sk_task_owner *owner, sk_chore *chore)
{
    sk_local *local = sk_local_get();
    if (!local) return NULL;
    sk_task *t = (sk_task *)sk_slab_alloc(local->worker ? &local->worker->tasks : &local->tasks);
    if (t) init_task(t, owner, NULL, chore, false, SK_ACTIVE);
    return t;
}

void sk_chore_free(sk_task *t)
{
    sk_task_free(t);
}

void sk_task_free(sk_task *t)
{
    sk_state_free(&t->state);
    sk_local *local = sk_local_get();
    if (sk_likely(local != NULL)) {
        sk_slab_free(local->worker ? &local->worker->tasks : &local->tasks, t);
        return;
    }
    /* A foreign thread for which no record can be had: straight to the depot, which needs no memory. */
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &sk_tasks);
    sk_slab_free(&cache, t);
    sk_slab_cache_flush(&cache);
}

/* ---- the end ---- */

static void count_end(sk_worker *w, skua_runtime *rt, sk_end end)
{
    /* [EN-R1] release; pairs with [ST-A3] in a snapshot: who counts the end counts the start and the birth. */
    if (w && w->runtime == rt)
        sk_store_rel(&w->count.ended[end], sk_load_rlx(&w->count.ended[end]) + 1);
    else
        /* [EN-R3] release; pairs with [ST-A3]. */
        sk_add_rel(&rt->foreign_ended[end], UINT64_C(1));
}

void sk_task_release(sk_task *t)
{
    /* Slots are used only by tasks that have parked or are special; looking would touch another cache line. A slot
       that is still in a wheel's hands keeps the memory; whoever has it comes back here when it lets go. */
    if (t->fiber != SK_FIBER_NONE) {
        t->fiber = SK_FIBER_SPECIAL;
        sk_assert(t->limit == SK_LIMIT_NONE);
        if (sk_unlikely(t->fault)) sk_forget_fault(t);
        if (!sk_slot_abandon(&t->sleep) || (t->timed && !sk_slot_abandon(&t->deadline))) return;
        t->timed = false;
    }
    sk_task_free(t);
}

/* Before its end is counted: a task that never started. */
void sk_count_unstarted(sk_worker *w, skua_runtime *rt)
{
    if (w && w->runtime == rt)
        sk_count_rlx(&w->count.unstarted, UINT64_C(1));
    else
        sk_add_rlx(&rt->foreign_unstarted, UINT64_C(1));
}

sk_task *sk_task_end(sk_worker *w, sk_task *t, sk_end end, int result)
{
    sk_task_owner *owner = sk_task_owner_of(t);
    skua_runtime *rt = sk_owner_runtime(owner); /* a pool may be gone once it has been told */
    if (sk_unlikely(t->fiber != SK_FIBER_NONE && t->timed)) {
        sk_timers_cancel_slot(w, &t->deadline);
        if (sk_state_end_timed(&t->state) & SK_EXPIRED) end = SK_LATE_END;
    } else {
        sk_state_end(&t->state);
    }
    count_end(w, rt, end); /* first: who has waited for the pool finds it counted */
    if (end == SK_LATE_END) result = -ETIMEDOUT;
    sk_owner_told *ended = sk_owner_ended(owner);
    sk_task *next = ended ? ended(owner, w, t, end, result) : NULL;
    if (sk_join_is_detached(&t->join)) {
        sk_task_release(t);
        return next;
    }
    t->result = result;
    uint64_t before = sk_join_end(&t->join);
    if (sk_join_kind(before) == SK_JOIN_DETACHED)
        sk_task_release(t);
    else if (sk_join_kind(before) != SK_JOIN_OPEN)
        sk_wake_joiner(w, before);
    return next;
}

void sk_birth_end(sk_worker *w, skua_runtime *rt, sk_end end)
{
    sk_count_unstarted(w, rt);
    count_end(w, rt, end);
}

/* A task that must not start any more: why is written in its marks. */
sk_task *sk_task_end_unstarted(sk_worker *w, sk_task *t)
{
    sk_count_unstarted(w, sk_task_runtime(t));
    unsigned marks = sk_state_marks(&t->state);
    if (marks & SK_EXPIRED) return sk_task_end(w, t, SK_LATE_END, -ETIMEDOUT);
    if (sk_load_rlx(&sk_task_runtime(t)->stopping)) return sk_task_end(w, t, SK_DROPPED, -ESHUTDOWN);
    return sk_task_end(w, t, SK_CANCELLED, -ECANCELED);
}
