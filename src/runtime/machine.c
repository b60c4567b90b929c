/*
 * machine.c: a thread's life: wait for a worker, carry it, give it up.
 *
 * A thread waits on its own stack (`base`).  To carry a worker it switches to a
 * loop; from there it comes back to its base only to give the worker up: because
 * the worker retires, because the runtime ends, or because the worker was taken
 * from it in a blocking call.
 */
#include "runtime/machine.h"

#include <errno.h>

#include "fiber/overflow.h"
#include "os/clock.h"
#include "os/futex.h"
#include "runtime/idle.h"
#include "runtime/monitor.h"
#include "runtime/rcu.h"
#include "runtime/sched.h"

/* ---- giving up ---- */

sk_worker *sk_machine_leave(sk_worker *w)
{
    sk_local *local = w->local;
    sk_fiber *loop = w->fiber;
    w->left_loop = loop;
    sk_fiber_switch(loop, &local->base);
    return sk_arrive();
}

void sk_machine_strand(sk_local *local, sk_task *t, sk_fiber *fiber)
{
    t->fiber = fiber;
    local->stranded = t;
    sk_fiber_switch(fiber, &local->base);
    sk_arrive();
}

/* Everything that others could be waiting for goes where they find it. */
static void hand_over(sk_worker *w)
{
    skua_runtime *rt = w->runtime;
    sk_worker *heir = sk_load_rlx(&rt->workers[0]);
    sk_task *t;
    bool any = false;
    /* Again while runnext is full: the monitor may keep us from it for a moment. */
    while ((t = (sk_task *)sk_taskq_take(&w->queue)) || (t = sk_take_next(w)) || sk_load_rlx(&w->runnext)) {
        if (!t) continue;
        sk_inject_push(&rt->inbox, &t->link);
        any = true;
    }
    if (heir != w) sk_timers_hand_over(w, heir);
    if (any) sk_notify(rt);
}

/* On the base stack, after the loop has been left: the worker is nobody's from the release on. */
static void vacate(sk_local *local, sk_worker *w)
{
    if (w->left_loop) sk_fiber_put(&w->stacks, w->left_loop);
    w->left_loop = NULL;
    if (sk_load_rlx(&w->runtime->stopping) < SK_STOP_THREADS) hand_over(w);
    sk_stack_cache_flush(&w->stacks);
    sk_slab_cache_flush(&w->tasks);
    sk_slab_cache_flush(&w->jobs);
    for (unsigned i = 0; i < SK_CACHED; i++) sk_slab_cache_flush(&w->cached[i]);
    sk_search_found(w);
    local->worker = NULL;
    w->local = NULL;
    /* [MA-R1] sequentially consistent; pairs with [MA-A1]: the controller may give the worker to another thread, which
       must see it whole; and with [EX-F1]: a timer put into its inbox later goes to the monitor. */
    sk_store_sc(&w->carry, (sk_load_rlx(&w->carry) & ~(uint64_t)SK_CARRY) | SK_VACANT);
    sk_monitor_ring(w->runtime);
}

/* ---- the thread ---- */

static void carry(sk_local *local, sk_worker *w)
{
    w->local = local;
    w->task = NULL;
    w->pending = NULL;
    w->commit = NULL;
    w->left_loop = NULL;
    w->searching = false;
    w->fiber = local->assigned_loop;
    local->worker = w;
    sk_fiber_switch(&local->base, w->fiber);
    if (local->stranded) {
        sk_task *t = local->stranded;
        local->stranded = NULL;
        sk_ready(NULL, t);
    } else {
        vacate(local, local->worker);
    }
}

/* The worker to carry next; NULL: the thread must end. */
static sk_worker *wait_for_worker(sk_local *local)
{
    for (;;) {
        /* [MA-A5] acquire; pairs with [MA-R3]: who sees the bump sees what it was for. Without it we could read the
           bumped word, but `assigned` as it was before, and sleep on that word with a worker waiting for us. */
        uint32_t seen = sk_load_acq(&local->word);
        /* [MA-A2] acquire; pairs with [MA-R2] in sk_recruit_assign: the worker and the loop that come with it. */
        sk_worker *w = sk_load_acq(&local->assigned);
        if (w) {
            sk_store_rlx(&local->assigned, (sk_worker *)NULL);
            return w;
        }
        if (sk_load_rlx(&local->leave)) return NULL;
        sk_futex_wait(&local->word, seen, SK_NEVER);
    }
}

void sk_machine_main(void *arg)
{
    sk_local *local = (sk_local *)arg;
    sk_local_bind(local);
    sk_overflow_thread_init(&local->overflow);
    urcu_memb_register_thread();
    sk_fiber_adopt(&local->base);
    sk_worker *w;
    while ((w = wait_for_worker(local))) {
        carry(local, w);
        sk_inject_push(&local->runtime->spares, &local->spare_link);
    }
    urcu_memb_unregister_thread();
    sk_overflow_thread_fini(&local->overflow);
    sk_local_bind(NULL);
}

/* ---- the controller ---- */

static void ring_thread(sk_local *local)
{
    /* [MA-R3] release; pairs with [MA-A5] in wait_for_worker: `assigned` and `leave`. */
    sk_add_rel(&local->word, 1u);
    sk_futex_wake(&local->word, 1);
}

static sk_local *new_thread(skua_runtime *rt)
{
    sk_local *local = sk_local_new();
    if (!local) return NULL;
    local->runtime = rt;
    if (sk_thread_start(&local->thread, 0, "skua-worker", sk_machine_main, local) < 0) {
        sk_local_free(local);
        return NULL;
    }
    local->next = rt->threads;
    rt->threads = local;
    sk_count_rlx(&rt->thread_count, 1u);
    return local;
}

static sk_local *spare_thread(skua_runtime *rt)
{
    if (!rt->spare_batch) rt->spare_batch = sk_inject_take(&rt->spares);
    sk_inject_link *link = rt->spare_batch;
    if (!link) return NULL;
    rt->spare_batch = link->next;
    return sk_container_of(link, sk_local, spare_link);
}

int sk_recruit_get(skua_runtime *rt, sk_recruit *recruit)
{
    recruit->loop = sk_fiber_get(&rt->control_stacks, rt->stack_class, sk_loop, NULL);
    if (!recruit->loop) return -ENOMEM;
    recruit->local = spare_thread(rt);
    if (!recruit->local) recruit->local = new_thread(rt);
    if (recruit->local) return 0;
    sk_fiber_put(&rt->control_stacks, recruit->loop);
    return -EAGAIN;
}

void sk_recruit_assign(const sk_recruit *recruit, sk_worker *w)
{
    recruit->local->assigned_loop = recruit->loop;
    /* [MA-R2] release; pairs with [MA-A2] in wait_for_worker. */
    sk_store_rel(&recruit->local->assigned, w);
    ring_thread(recruit->local);
}

void sk_recruit_dismiss(skua_runtime *rt, const sk_recruit *recruit)
{
    sk_fiber_put(&rt->control_stacks, recruit->loop);
    recruit->local->spare_link.next = rt->spare_batch;
    rt->spare_batch = &recruit->local->spare_link;
}

void sk_trim_spares(skua_runtime *rt, uint32_t keep)
{
    sk_inject_link *kept = NULL;
    sk_local *local;
    for (uint32_t n = 0; (local = spare_thread(rt)); n++) {
        if (n < keep) {
            local->spare_link.next = kept;
            kept = &local->spare_link;
            continue;
        }
        sk_local **place = &rt->threads;
        while (*place != local) place = &(*place)->next;
        *place = local->next;
        sk_store_rlx(&local->leave, true);
        ring_thread(local);
        sk_thread_join(&local->thread);
        sk_local_free(local);
        sk_count_rlx(&rt->thread_count, (uint32_t)-1);
    }
    rt->spare_batch = kept;
}
