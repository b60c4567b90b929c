/*
 * monitor.c: one thread that looks after the others.
 *
 *   - takes workers from threads that are stuck in blocking calls, if they have
 *     work, or there is work beside a worker that does not come round, and gives
 *     them to spare threads
 *   - frees a runnext whose worker does not come round
 *   - fires the wheels of stuck and of vacant workers
 *   - grows and shrinks the workers as the adjuster says
 *   - reclaims what thieves can no longer see, and gives memory back
 *
 * How often: after 20 us when something is urgent, then ever more rarely, to
 * once a millisecond; not at all (its deep sleep) while every worker sleeps and
 * nothing else is left for it, but for a deadlock now and then (deadlock.c).  A
 * worker that leaves its sleep wakes it from that; see PARKING.md, "The monitor".
 */
#include "runtime/monitor.h"

#include <urcu/urcu-memb.h>

#include "os/clock.h"
#include "runtime/adjuster.h"
#include "runtime/idle.h"
#include "runtime/machine.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

enum {
    NAP_SHORT_NS = 20000,
    NAP_QUIET_NS = 200000, /* while a worker has tasks that it has not announced */
    NAP_LONG_NS = 1000000,
    LENT_NS = 20000,      /* a blocking call this long loses its worker */
    OVERDUE_NS = 250000,  /* a wheel this late is fired by us */
    TRIM_NS = 1000000000, /* memory is given back this often */
    SPARES_KEPT = 4
};

typedef struct watch {
    skua_runtime *rt;
    uint64_t nap;                    /* ns, the next one */
    uint64_t last_trim;              /* ns */
    bool used;                       /* something has run since then */
    uint64_t runs[SKUA_WORKERS_MAX]; /* dispatches of each worker at the last look */
    bool urgent;                     /* look again soon */
    bool quiet;                      /* somebody has tasks that are not announced */
    bool stay;                       /* no deep sleep */
    bool overlooked;                 /* a batch is to be announced, and somebody has a token */
    bool unheard;                    /* at the last look work was queued and nobody searched */
    sk_worker *held_up;              /* stands beside its own queue: stopped, or in a long computation; NULL: none */
    sk_worker *was_held_up;          /* at the last look */
} watch;

void sk_monitor_ring(skua_runtime *rt)
{
    /* [MO-R2] release; pairs with [MO-A2]: the monitor sees what it was rung for. `monitor_deep` stays as it is: the
       monitor clears it when it is up. If we did, and were stopped before the bump, nobody else would ring. */
    sk_add_rel(&rt->monitor_word, 1u);
    sk_futex_wake(&rt->monitor_word, 1);
}

void sk_monitor_hurry(skua_runtime *rt)
{
    if (sk_load_rlx(&rt->monitor_napping)) sk_monitor_ring(rt);
}

/* ---- chores ---- */

void sk_monitor_owe(skua_runtime *rt, sk_chore *chore)
{
    sk_inject_push(&rt->owing, &chore->link);
    sk_fence_sc(); /* [MO-F3] full fence; pairs with [MO-F1]: the chore is there before we look whether it sleeps. */
    sk_monitor_attend(rt);
}

void sk_monitor_pay(skua_runtime *rt)
{
    if (sk_inject_is_empty(&rt->owing)) return;
    sk_store_rlx(&rt->deadlock.paying, 1u); /* before it takes them, for deadlock.c */
    sk_inject_link *link = sk_inject_take(&rt->owing);
    while (link) {
        sk_chore *chore = sk_container_of(link, sk_chore, link);
        link = link->next; /* it may be left to us again at once */
        chore->run(chore, NULL);
    }
    sk_store_rlx(&rt->deadlock.paying, 0u);
}

/* ---- one worker ---- */

static bool has_work(skua_runtime *rt, sk_worker *w, uint64_t now)
{
    return sk_taskq_size(&w->queue) > 0 || sk_load_rlx(&w->runnext) || !sk_inject_is_empty(&rt->inbox) ||
           sk_timers_next(&w->timers) <= now || sk_load_rlx(&w->retire);
}

/* It has not dispatched anything since our last look, or has no thread: somebody else may run what it was to run next.
 */
static void free_runnext(sk_worker *w)
{
    if (!sk_load_rlx(&w->runnext) || !sk_claim_try(&w->next_claim)) return;
    sk_task *t = sk_load_rlx(&w->runnext);
    sk_store_rlx(&w->runnext, (sk_task *)NULL);
    sk_claim_release(&w->next_claim);
    if (t) sk_ready(NULL, t);
}

/* Its thread is in a blocking call. */
static void look_at_lent(watch *m, sk_worker *w, uint64_t lent, uint64_t now)
{
    m->stay = true;
    /* It may have none of its own, and yet be the only one that could take what is queued beside a stopped worker. */
    if (!has_work(m->rt, w, now) && !(m->was_held_up && sk_taskq_size(&m->was_held_up->queue))) return;
    m->urgent = true;
    if (now < sk_load_rlx(&w->lent_since) + LENT_NS) return;
    sk_recruit recruit;
    if (sk_recruit_get(m->rt, &recruit)) { /* no thread to be had: let others take what it has, and come again */
        free_runnext(w);
        sk_notify(m->rt);
        return;
    }
    if (sk_blocking_take(w, lent)) {
        sk_recruit_assign(&recruit, w);
        sk_count_rlx(&m->rt->handoffs, 1u);
    } else {
        sk_recruit_dismiss(m->rt, &recruit);
    }
}

/* Somebody's batch has waited for long enough. Who holds a token passes it over, should it have been stopped: then it
   takes a further wake-up, see relieve. */
static void announce_for(watch *m)
{
    if (sk_load_rlx(&m->rt->searching))
        m->overlooked = true;
    else
        sk_notify(m->rt);
}

static void look_at_carried(watch *m, sk_worker *w, uint64_t now)
{
    uint64_t runs = sk_load_rlx(&w->count.dispatches);
    uint64_t due = sk_timers_next(&w->timers);
    bool overdue = due < now && now - due > OVERDUE_NS;
    /* A sleeper has neither an overdue timer nor a runnext, unless it was stopped on its way to the sleep or from it.
     */
    bool late = overdue || sk_load_rlx(&w->runnext);
    bool stuck = runs == m->runs[w->index] && (late || !sk_is_idle(m->rt, w));
    m->runs[w->index] = runs;
    m->stay |= late;
    if (overdue) sk_store_rlx(&w->poke, true);
    uint64_t quiet = sk_load_rlx(&w->quiet_since);
    if (quiet) m->quiet = true;
    if (quiet && quiet + SK_QUIET_NS < now && sk_taskq_size(&w->queue)) announce_for(m);
    if (!stuck) return;
    free_runnext(w);
    if (sk_taskq_size(&w->queue)) {
        m->held_up = w;
        sk_notify(m->rt); /* perhaps queued without a word, by a yield */
    }
    if (overdue) sk_timers_help(NULL, w, now);
}

/* Retired: only what others left in its timers' inbox after it had gone, and what it could not hand over. */
static void look_at_vacant(watch *m, sk_worker *w, uint64_t now)
{
    if (sk_timers_pending(&w->timers, now)) sk_timers_help(NULL, w, now);
    m->stay |= sk_timers_next(&w->timers) != SK_NEVER;
}

static void look_at_workers(watch *m, uint64_t now)
{
    for (uint32_t i = 0, n = sk_load_rlx(&m->rt->workers_made); i < n; i++) {
        sk_worker *w = sk_load_rlx(&m->rt->workers[i]);
        /* [MO-A3] acquire; pairs with [BL-R1] and [MA-R1]. */
        uint64_t carry = sk_load_acq(&w->carry);
        switch (carry & SK_CARRY) {
        case SK_LENT:
            look_at_lent(m, w, carry, now);
            break;
        case SK_VACANT:
            look_at_vacant(m, w, now);
            break;
        default:
            look_at_carried(m, w, now);
        }
    }
}

/* ---- the whole ---- */

/* Half of the stacks that lie in the depot, each second: a burst is forgotten soon, a rhythm is not. */
static void give_memory_back(watch *m, uint64_t now)
{
    if (now - m->last_trim < TRIM_NS) return;
    m->last_trim = now;
    sk_trim_spares(m->rt, SPARES_KEPT);
    m->used = false;
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_numbers numbers;
        sk_stack_stats(cls, &numbers);
        if (numbers.depot <= SK_STACK_BATCH) continue;
        sk_stack_trim(cls, numbers.depot / 2);
        m->used |= numbers.depot / 2 > SK_STACK_BATCH;
    }
}

/* Whoever holds a searcher's token may have been stopped: no one else would be woken. Or whoever has published the work
   has been stopped before it told anybody: then it lies there, and nobody searches, at two looks in a row. */
static void relieve(watch *m)
{
    bool searching = sk_load_rlx(&m->rt->searching);
    bool queued = m->overlooked || sk_anything_queued(m->rt);
    if (queued && searching) sk_force_wake(m->rt);
    if (queued && !searching && m->unheard) sk_notify(m->rt);
    m->unheard = queued && !searching;
}

/* When a sleeper should have woken for a timer, and we look whether it has. */
static uint64_t first_overdue(skua_runtime *rt)
{
    uint64_t due = SK_NEVER;
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) {
        uint64_t next = sk_timers_next(&((sk_worker *)sk_load_rlx(&rt->workers[i]))->timers);
        due = sk_min(due, next);
    }
    return sk_deadline_after(due, 2 * OVERDUE_NS);
}

/* Nothing runs and nothing is left: sleep until somebody wakes up. False: there is something after all. */
static bool go_deep(watch *m, uint32_t seen, uint64_t deadline)
{
    skua_runtime *rt = m->rt;
    sk_store_rlx(&rt->monitor_deep, 1u);
    /* [MO-F1] full fence; pairs with [MO-A1]: see there. */
    sk_fence_sc();
    bool deep = sk_all_idle(rt) && !sk_anything_queued(rt) && sk_inject_is_empty(&rt->owing) &&
                sk_load_rlx(&rt->stopping) < SK_STOP_THREADS;
    sk_fence_acq(); /* [MO-F4] acquire; pairs with [ID-R2]: who is seen asleep is seen with its next timer. */
    uint64_t overdue = first_overdue(rt);
    uint64_t again = deep && overdue == SK_NEVER ? sk_deadlock_look(rt) : SK_NEVER;
    if (deep) sk_futex_wait(&rt->monitor_word, seen, sk_min(deadline, sk_min(overdue, again)));
    sk_deadlock_up(rt);
    sk_store_rlx(&rt->monitor_deep, 0u);
    return deep;
}

static void nap(watch *m, uint32_t seen, uint64_t now)
{
    if (!m->urgent && !m->stay && m->nap == NAP_LONG_NS && sk_all_idle(m->rt) && !sk_anything_queued(m->rt)) {
        bool up_again = go_deep(m, seen, m->used ? m->last_trim + TRIM_NS : SK_NEVER) && !sk_all_idle(m->rt);
        if (up_again) m->nap = NAP_SHORT_NS;
        return;
    }
    m->used = true;
    sk_store_rlx(&m->rt->monitor_napping, m->nap > NAP_SHORT_NS);
    int woken = sk_futex_wait(&m->rt->monitor_word, seen, now + m->nap);
    sk_store_rlx(&m->rt->monitor_napping, 0u);
    uint64_t longest = m->quiet ? NAP_QUIET_NS : NAP_LONG_NS;
    m->nap = m->urgent || woken == 0 ? NAP_SHORT_NS : sk_min(2 * m->nap, longest);
}

/* One look at everything, and the nap after it. */
static void look(watch *m)
{
    skua_runtime *rt = m->rt;
    /* [MO-A2] acquire; pairs with [MO-R2]. */
    uint32_t seen = sk_load_acq(&rt->monitor_word);
    uint64_t now = sk_clock_ns();
    m->urgent = m->stay = m->quiet = m->overlooked = false;
    m->was_held_up = m->held_up;
    m->held_up = NULL;
    sk_monitor_pay(rt);
    look_at_workers(m, now);
    m->stay |= sk_adjust_run(rt, now);
    relieve(m);
    sk_settle_retired(rt);
    sk_reclaim(rt);
    give_memory_back(m, now);
    nap(m, seen, now);
}

void sk_monitor_main(void *arg)
{
    skua_runtime *rt = (skua_runtime *)arg;
    watch m = {.rt = rt, .nap = NAP_SHORT_NS, .last_trim = sk_clock_ns()};
    sk_local_bind(rt->monitor);
    urcu_memb_register_thread();
    while (sk_load_rlx(&rt->stopping) < SK_STOP_THREADS) look(&m);
    urcu_memb_unregister_thread();
    sk_local_bind(NULL);
}
