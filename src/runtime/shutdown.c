/*
 * shutdown.c: how a runtime ends, with every task in exactly one state.
 *
 *   1. OUTSIDE  new tasks from outside are refused, timers that have not fired
 *               are dropped; running tasks may still spawn.  Wait.
 *   2. CANCEL   when time is up: nobody may spawn; every live task is marked,
 *               the parked ones are woken, the queued ones end as dropped when
 *               their turn comes (nothing starts any more).  Wait.
 *   3. THREADS  no task lives: the workers give up their threads.
 *
 * No task slips in.  Whoever makes a task from outside counts it first and then
 * looks at `stopping` ([EN-C1]); the stopper writes `stopping` first and then
 * counts ([SD-F1]).  So either the stopper counts the task, and waits until it
 * has ended, or its maker is refused.  A task made from inside is made by a
 * running one, which is counted.
 *
 * No live task is overlooked.  All counters only grow.  `ended` is read before
 * `created`; if the sums are equal, no task lived at the moment between.
 *
 * Nobody is late.  Another thread that makes a task runnable here counts itself
 * in `visitors` while the task is still in its hands (sched.h, sk_visit), and is
 * gone before the workers are freed.
 *
 * Several may stop and release a runtime at once.  Each is between
 * sk_runtime_enter and _exit; one of those that release wins `magic`, which ends
 * the waits of the others, and frees when they have left.
 */
#include "runtime/shutdown.h"

#include <errno.h>
#include <sched.h>

#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "runtime/idle.h"
#include "runtime/machine.h"
#include "runtime/monitor.h"
#include "runtime/sched.h"

enum {
    LOOK_NS = 2000000, /* between two looks for tasks that were made while we marked the others */
    LEAVE_NS = 50000   /* between two looks whether other callers have left */
};

static uint64_t sum_ended(skua_runtime *rt)
{
    /* [SD-A1] acquire, here and below; pairs with [EN-R1], [EN-R2] and [EN-R3]: who counts an end counts its birth. */
    uint64_t sum = sk_load_acq(&rt->foreign_refused);
    for (int end = 0; end < SK_ENDS; end++) sum += sk_load_acq(&rt->foreign_ended[end]); /* [SD-A2] as [SD-A1] */
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        for (int end = 0; end < SK_ENDS; end++) sum += sk_load_acq(&w->count.ended[end]); /* [SD-A3] as [SD-A1] */
    }
    return sum;
}

static uint64_t sum_created(skua_runtime *rt)
{
    uint64_t sum = sk_load_rlx(&rt->foreign_created);
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++)
        sum += sk_load_rlx(&((sk_worker *)sk_load_rlx(&rt->workers[i]))->count.created);
    return sum;
}

uint64_t sk_live_tasks(skua_runtime *rt)
{
    uint64_t ended = sum_ended(rt);
    return sum_created(rt) - ended;
}

void sk_stop_progress_slow(skua_runtime *rt)
{
    /* [SD-R1] release; pairs with [SD-A4]: the stopper sees the counters of what has ended here. */
    sk_add_rel(&rt->stop_word, 1u);
    sk_futex_wake(&rt->stop_word, UINT32_MAX);
}

/* ---- marking ---- */

/* Whether whoever made this delayed task is done with it but for what the slot's word allows. */
static bool timer_is_set(sk_timer_slot *slot)
{
    unsigned state = sk_slot_state(sk_slot_look(slot));
    return state == SK_SLOT_ARMED || state == SK_SLOT_LATE || state == SK_SLOT_FIRING;
}

static void drop_delayed(sk_task *t, uint64_t serial)
{
    /* Only from DELAYED: its timer may have fired since we looked, and a task that has parked by now would be woken by
       a mark, and put in no queue by us. */
    if (!sk_state_undelay(&t->state, serial)) return;
    sk_worker *w = sk_worker_self();
    sk_timers_cancel_slot(w, &t->sleep);
    sk_task_end_unstarted(w, t); /* as dropped, since the runtime is stopping */
}

static void mark(void *object, void *ctx)
{
    sk_task *t = (sk_task *)object;
    skua_runtime *rt = (skua_runtime *)ctx;
    uint64_t serial = sk_load_rlx(&t->state.serial);
    /* [SD-A5] acquire; pairs with [TS-R1]: the owner of the life that the word shows. */
    uint64_t word = sk_load_acq(&t->state.word);
    unsigned phase = sk_phase_of(word);
    if (!sk_state_is_seen(word, serial) || sk_task_runtime(t) != rt) return;
    if (phase == SK_DELAYED && !timer_is_set(&t->sleep)) return; /* still in its maker's hands: at the next look */
    if (phase == SK_DELAYED)
        drop_delayed(t, serial);
    else if (sk_load_rlx(&rt->stopping) >= SK_STOP_CANCEL &&
             sk_state_hit(&t->state, serial, SK_CANCEL, SK_WHY_CANCEL, 0) == SK_HIT_WOKEN)
        sk_ready(sk_worker_self(), t);
}

/* ---- waiting ---- */

/* Goes through all tasks of the process; returns when to do so again: for tasks that were made meanwhile, and so that
   a long list does not keep a processor busy. */
static uint64_t mark_all(skua_runtime *rt)
{
    uint64_t begin = sk_clock_ns();
    sk_slab_each(&sk_tasks, mark, rt);
    uint64_t end = sk_clock_ns();
    return end + sk_max((uint64_t)LOOK_NS, 10 * (end - begin));
}

/* Waits until `look`, or for the progress that changes `seen`. A task parks; when it may not (it is cancelled, or no
   stack is left) it blocks its thread as any other caller does, and its worker is taken over if there is work. */
static void rest(skua_runtime *rt, uint32_t seen, uint64_t now, uint64_t look)
{
    sk_worker *w = sk_worker_self();
    if (w && w->task && skua_sleep(look - now) == 0) return;
    (void)skua_yield(); /* first the others on this worker, should no thread be had to take it over */
    bool bracketed = skua_blocking_begin() == 0;
    sk_futex_wait(&rt->stop_word, seen, look);
    if (bracketed) skua_blocking_end();
}

/* True when no task lives, also because another has released the runtime; false at the deadline. */
static bool wait_until(skua_runtime *rt, uint64_t deadline)
{
    for (uint64_t next_mark = 0; sk_load_rlx(&rt->magic) == SK_RUNTIME_LIVE;) {
        /* [SD-A4] acquire; pairs with [SD-R1]. */
        uint32_t seen = sk_load_acq(&rt->stop_word);
        if (sk_clock_ns() >= next_mark) next_mark = mark_all(rt);
        if (sk_live_tasks(rt) == 0) return true;
        uint64_t now = sk_clock_ns();
        if (now >= deadline) return false;
        uint64_t look = sk_min(now + LOOK_NS, deadline);
        /* We look, and sleep again: that wakes nobody, but once, when a timer is dropped. */
        if (deadline == SK_NEVER) sk_thread_sleeps(&rt->stop_word, seen, "the end of a runtime", rt);
        rest(rt, seen, now, look);
    }
    return true;
}

static bool wait_for_tasks(skua_runtime *rt, uint64_t deadline)
{
    bool ended = wait_until(rt, deadline);
    if (deadline == SK_NEVER) sk_thread_sleeps_end();
    return ended;
}

static void stop_at_least(skua_runtime *rt, uint32_t step)
{
    uint32_t now = sk_load_rlx(&rt->stopping);
    /* [SD-C1] sequentially consistent; before [SD-F1]. */
    while (now < step && !sk_cas_sc(&rt->stopping, &now, step)) {
    }
    /* [SD-F1] full fence; pairs with [EN-C1]: see the head of this file. */
    sk_fence_sc();
}

int sk_runtime_check(skua_runtime *rt)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!rt) return -EINVAL;
    return sk_load_rlx(&rt->magic) == SK_RUNTIME_LIVE ? 0 : -ESHUTDOWN;
}

static int check_stoppable(skua_runtime *rt)
{
    int error = sk_runtime_check(rt);
    if (error) return error;
    return skua_runtime_current() == rt ? -EDEADLK : 0;
}

int skua_runtime_stop(skua_runtime *rt, uint64_t timeout)
{
    int error = check_stoppable(rt);
    if (error) return error;
    uint64_t deadline = sk_deadline_after(sk_clock_ns(), timeout);
    if (!sk_runtime_enter(rt)) return -ESHUTDOWN;
    stop_at_least(rt, SK_STOP_OUTSIDE);
    bool ended = wait_for_tasks(rt, deadline);
    if (!ended) {
        stop_at_least(rt, SK_STOP_CANCEL);
        ended = wait_for_tasks(rt, 0);
    }
    sk_runtime_exit(rt);
    return ended ? 0 : -ETIMEDOUT;
}

/* ---- the threads ---- */

static bool all_vacant(skua_runtime *rt)
{
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) /* [SD-A6] acquire; pairs with [MA-R1]. */
        if ((sk_load_acq(&((sk_worker *)sk_load_rlx(&rt->workers[i]))->carry) & SK_CARRY) != SK_VACANT) return false;
    return true;
}

void sk_stop_threads(skua_runtime *rt)
{
    stop_at_least(rt, SK_STOP_THREADS);
    sk_monitor_ring(rt);
    if (rt->monitor) {
        sk_thread_join(&rt->monitor->thread);
        sk_local_free(rt->monitor);
        rt->monitor = NULL;
    }
    /* From here on we are the controller. */
    sk_monitor_pay(rt);
    for (;;) {
        uint32_t seen = sk_load_rlx(&rt->monitor_word);
        for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) sk_ring(rt, sk_load_rlx(&rt->workers[i]));
        if (all_vacant(rt)) break;
        sk_futex_wait(&rt->monitor_word, seen, sk_clock_ns() + LOOK_NS);
    }
    while (rt->threads) sk_trim_spares(rt, 0);
    sk_monitor_pay(rt);
    /* Timers that were cancelled from outside lie in the workers' inboxes, some with the memory of their tasks; and
       tickers may still be set. */
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) sk_timers_end(sk_load_rlx(&rt->workers[i]));
}

/* The others who have entered see that it is released, and leave. */
static void wait_for_visitors(skua_runtime *rt)
{
    while (sk_runtime_is_visited(rt)) {
        sk_stop_progress_slow(rt);
        uint64_t now = sk_clock_ns();
        rest(rt, sk_load_rlx(&rt->stop_word), now, now + LEAVE_NS); /* they may be tasks of our own worker */
    }
}

int skua_runtime_release(skua_runtime *rt)
{
    int error = check_stoppable(rt);
    if (error) return error;
    if (!sk_runtime_enter(rt)) return -ESHUTDOWN;
    stop_at_least(rt, SK_STOP_OUTSIDE);
    while (!wait_for_tasks(rt, SK_NEVER)) {
    }
    uint64_t live = SK_RUNTIME_LIVE;
    /* [SD-C2] sequentially consistent; pairs with itself: of several that release at once, one frees; and with
       [RT-C1]: who enters later sees it. */
    if (!sk_cas_sc(&rt->magic, &live, SK_RUNTIME_RELEASED)) {
        sk_runtime_exit(rt);
        return -ESHUTDOWN;
    }
    wait_for_visitors(rt);
    /* [SD-A7] acquire; pairs with [SC-R4]: those who made our last tasks runnable are on their way out. */
    while (sk_load_acq(&rt->visitors)) sched_yield();
    sk_stop_threads(rt);
    sk_workers_free(rt);
    sk_runtime_exit(rt);
    sk_runtime_forget(rt);
    return 0;
}
