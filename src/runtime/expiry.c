/*
 * expiry.c: what happens when a timer of a task falls due, and the runtime's
 * side of arming and stopping timers (timer/timers.h is the mechanism).
 */
#include <errno.h>

#include "os/clock.h"
#include "os/lock.h"
#include "runtime/idle.h"
#include "runtime/monitor.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

/* ---- firing ---- */

static sk_task *task_of(sk_timer_slot *slot, sk_timer_kind kind)
{
    return kind <= SK_TIMER_DELAY ? sk_container_of(slot, sk_task, sleep) : sk_container_of(slot, sk_task, deadline);
}

static sk_alarm *alarm_of(sk_timer_slot *slot)
{
    return sk_container_of(slot, sk_alarm, slot);
}

/* What a slot was armed for, by its tag. */
static sk_timer_kind kind_of(uint64_t tag)
{
    return (sk_timer_kind)(tag & SK_TIMER_KIND);
}

void sk_timers_look_at(sk_worker *w, skua_runtime *rt, sk_timers *timers)
{
    sk_worker *owner = sk_container_of(timers, sk_worker, timers);
    if (owner == w) return; /* we look before we sleep */
    /* [EX-F1] full fence; pairs with [ID-F3] and [MA-R1]: the slot is in the inbox before we look whether its owner
       sleeps or is gone. Without it both could miss: the owner the slot, and we the owner's sleep. */
    sk_fence_sc();
    if ((sk_load_rlx(&owner->carry) & SK_CARRY) == SK_VACANT)
        sk_monitor_ring(rt);
    else
        sk_ring(rt, owner);
}

/* The task ended, or the alarm was given up, while the slot was in our hands, and its memory was left to us. */
static void release_orphan(sk_timer_slot *slot, sk_timer_kind kind)
{
    sk_store_rlx(&slot->word, (uint64_t)SK_SLOT_FREE);
    if (kind == SK_TIMER_ALARM)
        alarm_of(slot)->gone(alarm_of(slot));
    else
        sk_task_release(task_of(slot, kind));
}

static void let_go(sk_worker *w, skua_runtime *rt, sk_timers *timers, sk_timer_slot *slot, sk_timer_kind kind)
{
    switch (sk_timers_let_go(timers, slot)) {
    case SK_LET_GO_DONE:
        break;
    case SK_LET_GO_FREE_TASK:
        release_orphan(slot, kind);
        break;
    case SK_LET_GO_NOTIFY:
        sk_timers_look_at(w, rt, timers);
        break;
    }
}

/* The joiner of a task that has expired is told at once; the task goes on detached. */
static void cut_joiner(sk_worker *w, sk_task *t, uint64_t serial)
{
    uint64_t word = sk_join_look(&t->join);
    unsigned kind = sk_join_kind(word);
    if (word >> SK_JOIN_TAG_SHIFT != (serial & 0xffff) || (kind != SK_JOIN_TASK && kind != SK_JOIN_THREAD)) return;
    if (sk_join_move(&t->join, word, NULL, SK_JOIN_DETACHED)) sk_wake_joiner(w, word);
}

void sk_task_expire(sk_worker *w, sk_task *t, uint64_t serial, unsigned unless)
{
    sk_hit hit = sk_state_hit(&t->state, serial, SK_EXPIRED, SK_WHY_EXPIRED, unless);
    if (hit == SK_HIT_STALE || hit == SK_HIT_ALREADY) return;
    /* The mark comes first: a joiner that writes itself down after our look at the word sees the mark. */
    cut_joiner(w, t, serial);
    if (hit == SK_HIT_WOKEN) sk_ready(w, t);
}

/* A parked stack is cold, and a switch to it waits for one cache miss after the other. A batch of expired tasks is run
   in order right after this, so their misses can overlap. Inlined always: a function that does nothing else has no
   effect in the compiler's eyes, and calls of it are left out. */
static sk_always_inline void prefetch_stack(const sk_task *t)
{
    enum { LINES = 8 }; /* the descriptor, and below it the frames from the loop to the switch */
    if (t->fiber <= SK_FIBER_SPECIAL) return;
    for (int i = 0; i < LINES; i++) __builtin_prefetch((const char *)t->fiber - i * SK_CACHE_LINE, 1);
    __builtin_prefetch(&t->fault, 1); /* looked at when it ends */
    __builtin_prefetch(t->arg, 1);    /* wherever that points: most often to what it goes on with */
    __builtin_prefetch((const void *)((uintptr_t)t->arg + SK_CACHE_LINE), 1);
}

/* An alarm whose owner is busy comes again after so long. */
#define ALARM_AGAIN_NS (4 * SK_TICK_NS)

static sk_alarm_end ring(sk_timer_slot *slot, sk_worker *w, uint64_t tag)
{
    sk_alarm *alarm = alarm_of(slot);
    sk_assert(kind_of(tag) == SK_TIMER_ALARM);
    return alarm->ring(alarm, w, tag >> SK_TIMER_KIND_BITS);
}

/* True: a task became runnable, unannounced. */
static sk_noinline bool ring_alarm(sk_worker *w, skua_runtime *rt, sk_timers *timers, sk_timer_slot *slot, uint64_t tag)
{
    sk_alarm_end end = ring(slot, w && w->runtime == rt ? w : NULL, tag);
    if (end == SK_ALARM_LATER && sk_timers_retry(timers, slot, sk_clock_ns() + ALARM_AGAIN_NS))
        sk_timers_look_at(w, rt, timers);
    else if (end == SK_ALARM_STALE || end == SK_ALARM_LATER)
        let_go(w, rt, timers, slot, SK_TIMER_ALARM);
    return end == SK_ALARM_WOKEN;
}

/* Makes the task of a fired slot runnable, if it is not by now. True: it is in w's queue (or the inbox), unannounced.
 */
static bool fire(sk_worker *w, skua_runtime *rt, sk_timers *timers, sk_timer_slot *slot)
{
    uint64_t tag = sk_slot_fired_tag(slot), number = tag >> SK_TIMER_KIND_BITS;
    sk_timer_kind kind = kind_of(tag);
    if (kind == SK_TIMER_ALARM) return ring_alarm(w, rt, timers, slot, tag);
    sk_task *t = task_of(slot, kind);
    bool won = false;
    if (kind == SK_TIMER_PARK)
        won = sk_state_wake(&t->state, number, SK_WHY_TIMEOUT);
    else if (kind == SK_TIMER_DELAY)
        won = sk_state_due(&t->state, number);
    else
        sk_task_expire(w, t, number, kind == SK_TIMER_START_BY ? SK_STARTED : SK_DECIDED);
    if (!won) {
        /* Fired before its park: it must come again. Only a slot that was armed again in other hands can. */
        if (kind == SK_TIMER_PARK && sk_generation_of(sk_load_rlx(&t->state.word)) < number &&
            sk_timers_retry(timers, slot, sk_clock_ns()))
            sk_timers_look_at(w, rt, timers);
        else
            let_go(w, rt, timers, slot, kind);
        return false;
    }
    sk_slot_settle(slot);
    if (kind == SK_TIMER_DELAY && t->timed) sk_task_arm_deadline(w, t);
    prefetch_stack(t);
    if (w && w->runtime == rt)
        sk_push(w, t);
    else
        sk_inject_push(&rt->inbox, &t->link);
    return true;
}

/* Which slot of its task it was, that does not say; the kind in the tag does. */
static void release_orphans(sk_timer_haul *haul)
{
    sk_timer_slot *slot;
    while ((slot = sk_haul_pop_orphan(haul))) release_orphan(slot, kind_of(sk_load_rlx(&slot->tag)));
}

/* Serves a haul: w, or the monitor (NULL), from the wheel of `other`. */
static bool serve(sk_worker *w, sk_worker *other, sk_timer_haul *haul, uint64_t now)
{
    skua_runtime *rt = other->runtime;
    uint64_t fired = 0, woken = 0;
    sk_timer_slot *slot;
    while ((slot = sk_haul_pop_fired(haul))) {
        fired++;
        woken += fire(w, rt, &other->timers, slot);
    }
    release_orphans(haul);
    if (w) sk_count_rlx(&w->count.timers_fired, fired);
    if (woken && w == other)
        sk_announce_later(w, now);
    else if (woken)
        sk_notify(rt);
    return woken > 0;
}

bool sk_timers_run(sk_worker *w, uint64_t now)
{
    sk_timer_haul haul;
    if (!sk_timers_pending(&w->timers, now) || !sk_timers_advance(&w->timers, now, &haul)) return false;
    return serve(w, w, &haul, now);
}

bool sk_timers_help(sk_worker *w, sk_worker *other, uint64_t now)
{
    sk_timer_haul haul;
    if (!sk_claim_try(&other->timers.claim)) return false;
    now = sk_clock_ns(); /* the owner may have armed timers for a duration since the caller looked at the clock */
    sk_timers_serve(&other->timers, now, &haul);
    if (haul.rearmed) sk_timers_look_at(w, other->runtime, &other->timers);
    return serve(w, other, &haul, now);
}

void sk_timers_hand_over(sk_worker *w, sk_worker *heir)
{
    sk_timer_haul haul;
    /* A claimer is at it for one advance; should it be stopped there, the monitor serves this wheel from now on. */
    if (!sk_timers_move(&w->timers, &heir->timers, sk_clock_ns(), &haul)) return;
    serve(w, w, &haul, sk_clock_ns());
    sk_timers_look_at(w, w->runtime, &heir->timers);
}

/* Tasks have none any more. Their rings find that the runtime is stopping. */
void sk_timers_end(sk_worker *w)
{
    sk_timer_haul haul;
    sk_timer_slot *slot;
    while (!sk_claim_try(&w->timers.claim)) sk_cpu_relax(); /* there is nobody: at the first try */
    sk_timers_disband(&w->timers, sk_clock_ns(), &haul);
    while ((slot = sk_haul_pop_fired(&haul))) {
        uint64_t tag = sk_slot_fired_tag(slot);
        sk_alarm_end end;
        for (unsigned tries = 0; (end = ring(slot, NULL, tag)) == SK_ALARM_LATER; tries++) sk_lock_give_way(tries);
        if (end == SK_ALARM_STALE) let_go(NULL, w->runtime, &w->timers, slot, kind_of(tag));
    }
    release_orphans(&haul);
}

/* ---- arming and stopping ---- */

/* Some worker of the runtime, for a timer that comes from outside: the first never retires. */
static sk_worker *any_worker(skua_runtime *rt)
{
    return sk_load_rlx(&rt->workers[0]);
}

static void arm_inside(sk_worker *w, sk_timer_slot *slot, uint64_t deadline, uint64_t tag)
{
    sk_arming arming = sk_timers_arm_begin(&w->timers, slot, deadline, tag);
    sk_timers *elsewhere = sk_timers_arm_end(&arming, slot);
    sk_count_rlx(&w->count.timers_armed, UINT64_C(1));
    if (sk_unlikely(elsewhere)) sk_timers_look_at(w, w->runtime, elsewhere);
}

static void arm_outside(sk_worker *w, skua_runtime *rt, sk_timer_slot *slot, uint64_t deadline, uint64_t tag)
{
    sk_arming arming = sk_timers_arm_slow(&any_worker(rt)->timers, slot, sk_slot_look(slot), deadline, tag);
    sk_timers_look_at(w, rt, sk_timers_arm_end(&arming, slot));
}

void sk_timers_arm(sk_worker *w, sk_task *t, sk_timer_slot *slot, uint64_t deadline, uint64_t tag)
{
    skua_runtime *rt = sk_task_runtime(t);
    bool inside = w && w->runtime == rt;
    if (!inside) sk_visit(rt); /* the task is ours, so the runtime is there; not so once the slot is armed */
    if (inside)
        arm_inside(w, slot, deadline, tag);
    else
        arm_outside(w, rt, slot, deadline, tag);
    if (!inside) sk_visit_end(rt);
}

void sk_alarm_set(sk_worker *w, skua_runtime *rt, sk_alarm *alarm, uint64_t deadline, uint64_t number)
{
    uint64_t tag = sk_timer_tag(number, SK_TIMER_ALARM);
    if (w && w->runtime == rt)
        arm_inside(w, &alarm->slot, deadline, tag);
    else
        arm_outside(w, rt, &alarm->slot, deadline, tag);
}

void sk_alarm_set_in(sk_worker *w, sk_alarm *alarm, uint64_t ns, uint64_t number)
{
    uint64_t tag = sk_timer_tag(number, SK_TIMER_ALARM);
    if (sk_likely(sk_timers_arm_in(&w->timers, &alarm->slot, ns, tag)))
        sk_count_rlx(&w->count.timers_armed, UINT64_C(1));
    else
        arm_inside(w, &alarm->slot, sk_deadline_after(sk_clock_ns(), ns), tag);
}

enum { SWEEP_TRIES = 300 }; /* some milliseconds */

static bool is_cancelled(const sk_alarm *alarm)
{
    return sk_slot_state(sk_slot_look((sk_timer_slot *)&alarm->slot)) == SK_SLOT_CANCELLED;
}

static bool is_away(skua_runtime *rt, sk_worker *w)
{
    return sk_is_idle(rt, w) || (sk_load_rlx(&w->carry) & SK_CARRY) == SK_VACANT;
}

/* Stopped in another's wheel: if that worker sleeps, it is not to sleep for a timer that is none any more, nor is
   anybody to believe that something is still to come. */
static void sweep_for_sleeper(sk_worker *w, skua_runtime *rt, const sk_alarm *alarm)
{
    sk_worker *owner = sk_container_of(sk_load_rlx((sk_atomic(sk_timers *) *)&alarm->slot.home), sk_worker, timers);
    /* [EX-F2] full fence; pairs with [ID-F3] and [MA-R1]: the slot is in the inbox before we look whether its owner
       sleeps or is gone. Without it the slot could stay there unseen until that time has come. */
    sk_fence_sc();
    /* Somebody else may be at that wheel, and have looked into the inbox already; should he be stopped there, it stays.
     */
    for (unsigned tries = 0; tries < SWEEP_TRIES && is_cancelled(alarm) && is_away(rt, owner); tries++) {
        if (tries) sk_lock_give_way(tries);
        sk_timers_help(w, owner, 0);
    }
}

static sk_noinline void stop_elsewhere(sk_worker *w, skua_runtime *rt, sk_alarm *alarm)
{
    sk_timers_cancel_slot(w, &alarm->slot);
    if (is_cancelled(alarm)) sweep_for_sleeper(w, rt, alarm);
}

static sk_noinline void stop_outside(skua_runtime *rt, sk_alarm *alarm)
{
    if (!sk_runtime_enter(rt))
        return; /* its workers are about to go, with their inboxes: it rings once more, for nothing */
    stop_elsewhere(NULL, rt, alarm);
    sk_runtime_exit(rt);
}

void sk_alarm_stop(sk_worker *w, skua_runtime *rt, sk_alarm *alarm)
{
    if (sk_unlikely(!w || w->runtime != rt))
        stop_outside(rt, alarm);
    else if (sk_likely(sk_load_rlx(&alarm->slot.home) == &w->timers))
        sk_timers_cancel_slot(w, &alarm->slot);
    else
        stop_elsewhere(w, rt, alarm);
}

/* The earlier of its two deadlines; the other one follows at the start. Holder. */
void sk_task_arm_deadline(sk_worker *w, sk_task *t)
{
    uint64_t serial = sk_load_rlx(&t->state.serial);
    bool to_start = t->start_by && (!t->finish_by || t->start_by <= t->finish_by);
    sk_timers_arm(w, t, &t->deadline, to_start ? t->start_by : t->finish_by,
                  sk_timer_tag(serial, to_start ? SK_TIMER_START_BY : SK_TIMER_FINISH_BY));
}

/*
 * ---- limits ----
 *
 * The limit of an attempt (run_within) is seldom reached, and to arm and stop its
 * timer, often from two workers, costs more than many a task.  So it is only
 * written down, and the task's runner looks at the clock where a mark would be
 * seen: when it asks whether it shall go on, and at its end.  A task that parks
 * cannot look: so the timer is armed when it parks beyond its limit, and stands
 * until the end; a sleep that is over before needs none.  A task that somebody
 * may join has its timer from the beginning, since the joiner is told in time.
 * Timer or not, the end looks at the clock: whoever is past his limit is late.
 */

void sk_task_limit(sk_worker *w, sk_task *t)
{
    if (sk_join_is_detached(&t->join))
        t->limit = SK_LIMIT_UNARMED;
    else
        sk_task_arm_limit(w, t);
}

void sk_task_arm_limit(sk_worker *w, sk_task *t)
{
    t->limit = SK_LIMIT_ARMED;
    t->timed = true;
    sk_task_arm_deadline(w, t);
}

void sk_task_look_at_limit(sk_task *t)
{
    if (sk_likely(sk_clock_ns() < t->finish_by)) return;
    t->limit = SK_LIMIT_NONE;
    sk_task_expire(sk_worker_self(), t, sk_load_rlx(&t->state.serial), 0);
}

void sk_task_start_in(sk_worker *w, sk_task *t, uint64_t ns, uint64_t tag)
{
    if (w && w->runtime == sk_task_runtime(t) && sk_likely(sk_timers_arm_in(&w->timers, &t->sleep, ns, tag))) {
        sk_count_rlx(&w->count.timers_armed, UINT64_C(1));
        return;
    }
    sk_timers_arm(w, t, &t->sleep, sk_deadline_after(sk_clock_ns(), ns), tag);
}

void sk_timers_cancel_slot(sk_worker *w, sk_timer_slot *slot)
{
    if (sk_timers_cancel(w ? &w->timers : NULL, slot) && w) sk_count_rlx(&w->count.timers_cancelled, 1u);
}
