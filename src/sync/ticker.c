/*
 * ticker.c: timers that deliver into a channel or call a function; skua/ticker.h.
 *
 * Nouns
 *
 *   alarm     the ticker's entry in the wheel of a worker (sched.h, timer/slot.h):
 *             one for its whole life.  It is really taken out by a stop, so that
 *             none stays behind that would wake a worker, or hide a deadlock
 *   armed     a tick is to come, and the alarm stands for it
 *   round     the number of that tick; never used again in this memory
 *   next      the task that is to make the call, or makes it: only of a ticker
 *             that calls
 *
 *   armed -- fires --> sent            [-> armed, if periodic]
 *                  \-> next, a task --> called [-> armed, if periodic]
 *
 * Everything is done under the ticker's lock, whose holder is what slot.h calls the
 * slot's runner.  The lock favours a worker that sets and stops the ticker again and
 * again (favour.h).
 *
 *   stop, reset   disarm, forget `next`, empty the channel
 *   ring          between tasks, by the worker whose wheel it was (or who helps
 *                 it): is this round still armed?  If so, sends at once, without
 *                 waiting for anybody, or makes the task of the call
 *   the task      is `next` me?
 *
 * So what is received after a stop or a reset was sent after it: nothing is sent but
 * under the lock, for the round that is armed at that time.  No tick is lost: a
 * round that is armed is in a wheel, in an inbox, or in the hands of who rings it;
 * he who finds a lock taken has it fire again (SK_ALARM_LATER), and he who finds it
 * disarmed or another round armed lets go of the slot, which by then says what is to
 * become of it (timer/slot.h).  Nor is one doubled: a round is disarmed, or followed
 * by the next, under the same hold of the lock in which it is sent.
 *
 * Ringing waits for nobody: locks are tried.  It may be the monitor who rings, and
 * others' timers are in the same haul.
 *
 * A ticker's memory is type-stable: a task that comes when it has been released, or
 * serves as another one, finds itself a stranger, since the serial of a task is never
 * used again.  For that reason the lock is never written but by taking and dropping
 * it, and `next` is written under it, or not at all.  Three may have the memory: the
 * user, who has retained the channel, which lies in it, and whoever has the slot in
 * hand.  The channel goes last but for the slot (gone), the slot last of all
 * (sk_slot_abandon).
 *
 * A ticker holds up no runtime.  When that ends, what is still in its workers' wheels
 * rings for the last time (sk_timers_end), and is dropped.  Who stops a ticker
 * meanwhile cannot take it out any more: it rings disarmed, and if it has been
 * released by then, whoever rings it frees it.
 *
 * Considered and left out: to leave the alarm of a stopped ticker where it stands, for
 * the next reset to use or the wheel to find.  The time of a reset is not looked at
 * (sk_wheel_arm_in), so the entry has to be moved to where the next advance finds it
 * in any case; taking it out and putting it in costs 6 ns, about as much as to find
 * out whether one may spare it; and what stays behind must be kept from waking
 * workers, and counted where a deadlock is looked for.
 *
 * The lock is held while an alarm is set: for an inbox's futex, perhaps, but never
 * while anything parks.
 */
#include <errno.h>
#include <string.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/lock.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"
#include "skua/fault.h"
#include "skua/ticker.h"
#include "sync/chan.h"
#include "sync/favour.h"
#include "sync/ticker.h"

/* L: under the lock. I: never changes while it is in use. */
struct skua_ticker {
    SK_LINE_ALIGNED sk_favour hold; /* the lock */
    bool armed;                     /* L */
    bool released;                  /* L: the memory is left to whoever rings; else false */
    bool clean;                     /* its maker and who releases it: the channel is as it was made */
    uint64_t round;                 /* L: of the tick that it was last armed for */
    uint64_t due, period;           /* L: ns; of a periodic one */
    skua_runtime *rt;               /* I */
    skua_fn *fn;                    /* I: NULL: it delivers into the channel */
    void *arg;                      /* I */
    SK_LINE_ALIGNED sk_alarm alarm; /* L: the runner's part */
    uint64_t magic;                 /* I; LIVE */
    void *link;                     /* the slab's */
    skua_task next;                 /* L: none: ref is NULL */
    skua_chan chan;                 /* without fn */
};

#define LIVE UINT64_C(0x746963202d6c6976)

/* ns: after which it is tried again to make a task for a call when there is no memory. */
#define AGAIN_NS UINT64_C(1000000)

static sk_lazy_slab tickers = SK_LAZY_SLAB(skua_ticker, link);

static skua_ticker *ticker_of(sk_alarm *alarm)
{
    return sk_container_of(alarm, skua_ticker, alarm);
}

/* ---- the lock ---- */

static sk_claim *claim_of(sk_worker *w)
{
    return w ? &w->timers.claim : NULL;
}

/* Whether it is a worker's of this runtime, which then stands until we exit from the runtime. */
static bool is_of(skua_runtime *rt, const sk_claim *claim)
{
    bool found = false;
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n && !found; i++)
        found = &((sk_worker *)sk_load_rlx(&rt->workers[i]))->timers.claim == claim;
    return found;
}

/* Under the lock: no worker is favoured but w. False: somebody is inside; only for who does not wait. The worker of a
   runtime that is gone does not come any more. */
static sk_noinline bool end_favour(skua_ticker *t, bool waits)
{
    bool ended = true;
    bool entered = sk_runtime_enter(t->rt);
    if (entered && is_of(t->rt, sk_load_rlx(&t->hold.of)))
        ended = sk_favour_end(&t->hold, waits);
    else
        sk_store_rlx(&t->hold.of, (sk_claim *)NULL);
    if (entered) sk_runtime_exit(t->rt);
    return ended;
}

static void take(skua_ticker *t, sk_worker *w)
{
    sk_lock_take(&t->hold.lock);
    if (sk_unlikely(sk_favour_stands(&t->hold, claim_of(w)))) (void)end_favour(t, true);
}

static bool try_take(skua_ticker *t, sk_worker *w)
{
    if (!sk_lock_try(&t->hold.lock)) return false;
    if (sk_likely(!sk_favour_stands(&t->hold, claim_of(w))) || end_favour(t, false)) return true;
    sk_lock_drop(&t->hold.lock);
    return false;
}

/* By the task of a call, which may be a stranger by now: it touches `next`, and more only when it is that. Nobody is
   favoured whose ticker calls. */
static void take_as_call(skua_ticker *t)
{
    sk_lock_take(&t->hold.lock);
}

static void drop(skua_ticker *t)
{
    sk_lock_drop(&t->hold.lock);
}

/* Dropped by who has set or stopped it. */
static void drop_used(skua_ticker *t, sk_worker *w)
{
    if (w && w->runtime == t->rt && !t->fn) sk_favour_used(&t->hold, &w->timers.claim);
    drop(t);
}

/* ---- the memory ---- */

static void free_ticker(skua_ticker *t, sk_worker *w)
{
    sk_cached_free_by(w, &tickers, SK_CACHED_TICKERS, t);
}

static void alarm_gone(sk_alarm *alarm)
{
    free_ticker(ticker_of(alarm), sk_worker_self());
}

/* A slot that could not be stopped, as the runtime is released. Still armed, it rings once more, and whoever rings it
   frees the ticker. False: so it is. */
static bool stop_released(skua_ticker *t)
{
    take(t, NULL);
    bool in_hand = sk_slot_cancel_in_hand(&t->alarm.slot);
    t->released = !in_hand;
    drop(t);
    return in_hand;
}

/* Of a ticker that was released, with its channel: the slot is the last who has it. */
static void leave_to_slot(skua_ticker *t, sk_worker *w)
{
    unsigned state = sk_slot_state(sk_slot_look(&t->alarm.slot));
    bool in_hand = state == SK_SLOT_FREE || state == SK_SLOT_CANCELLED || stop_released(t);
    if (in_hand && sk_slot_abandon(&t->alarm.slot)) free_ticker(t, w);
}

static void chan_gone(skua_chan *c)
{
    leave_to_slot(sk_container_of(c, skua_ticker, chan), sk_worker_self());
}

/* ---- under the lock ---- */

static int make_call(void *arg);

static bool is_next(const skua_ticker *t, skua_task task)
{
    return t->next.ref && t->next.ref == task.ref && t->next.serial == task.serial;
}

/* The runtime is there: the caller is a part of it, or has entered it. */
static void arm_at(skua_ticker *t, sk_worker *w, uint64_t at)
{
    t->armed = true;
    sk_alarm_set(w, t->rt, &t->alarm, at, ++t->round);
}

/* After a tick, or a call, of a periodic one. */
static void arm_next(skua_ticker *t, sk_worker *w)
{
    t->due = sk_ticker_due_after(t->due, t->period, sk_clock_ns());
    arm_at(t, w, t->due);
}

/* In `first` ns, not SKUA_FOREVER. Nobody looks at the clock for one that fires once: it is armed and stopped much more
   often than it fires. */
static sk_always_inline void arm_first(skua_ticker *t, sk_worker *w, bool inside, uint64_t first, uint64_t period)
{
    t->period = period;
    if (sk_likely(inside && !period)) {
        t->armed = true;
        sk_alarm_set_in(w, &t->alarm, first ? first : 1, ++t->round);
    } else {
        t->due = sk_deadline_after(sk_clock_ns(), first);
        arm_at(t, w, t->due);
    }
}

static sk_noinline int set_outside(skua_ticker *t, sk_worker *w, uint64_t first, uint64_t period)
{
    skua_runtime *rt = t->rt; /* once it is armed its call may release it */
    if (!sk_runtime_enter(rt)) return -ESHUTDOWN;
    bool stopping = sk_load_rlx(&rt->stopping) != 0;
    if (!stopping) arm_first(t, w, false, first, period);
    sk_runtime_exit(rt);
    return stopping ? -ESHUTDOWN : 0;
}

/* It is not armed. */
static sk_always_inline int set(skua_ticker *t, sk_worker *w, uint64_t first, uint64_t period)
{
    if (sk_unlikely(first == SKUA_FOREVER)) return 0;
    if (sk_unlikely(!w || w->runtime != t->rt)) return set_outside(t, w, first, period);
    if (sk_unlikely(sk_load_rlx(&t->rt->stopping) >= SK_STOP_CANCEL)) return -ESHUTDOWN;
    arm_first(t, w, true, first, period);
    return 0;
}

/* Whether there was one. */
static bool drain(skua_ticker *t)
{
    return sk_unlikely(sk_chan_may_recv(&t->chan)) && skua_chan_try_recv(&t->chan, NULL) == 0;
}

static bool forget_call(skua_ticker *t)
{
    bool was = t->next.ref != NULL;
    if (was) t->next.ref = NULL;
    return was;
}

/* True: it was active. */
static sk_always_inline bool disarm(skua_ticker *t, sk_worker *w)
{
    bool active = t->armed;
    if (active) {
        t->armed = false;
        sk_alarm_stop(w, t->rt, &t->alarm);
    }
    return (sk_unlikely(t->fn != NULL) ? forget_call(t) : drain(t)) || active;
}

/* ---- the tick ---- */

/* Under the lock: sends the tick. *who: gets whom to wake when the lock was dropped, or NULL. */
static sk_alarm_end send_tick(skua_ticker *t, sk_worker *w, sk_waiter **who)
{
    if (!sk_lock_try(&t->chan.lock)) return SK_ALARM_LATER;
    uint64_t now = sk_clock_ns();
    (void)sk_chan_send_now(&t->chan, &now, who); /* full, or closed by somebody: dropped */
    sk_lock_drop(&t->chan.lock);
    sk_slot_settle(&t->alarm.slot);
    t->armed = false;
    if (t->period) arm_next(t, w);
    return *who ? SK_ALARM_WOKEN : SK_ALARM_DONE;
}

/* Under the lock: makes the task of a call. */
static sk_alarm_end send_task(skua_ticker *t, sk_worker *w)
{
    /* As from outside, whoever we are: no task that is counted need be there while we ring, so the runtime may be
       stopping at this moment. */
    bool counted = sk_birth_count(NULL, &t->rt->owner);
    sk_task *task = counted ? sk_task_new_counted(&t->rt->owner, make_call, t) : NULL;
    sk_slot_settle(&t->alarm.slot);
    if (counted && !task) {
        arm_at(t, w, sk_deadline_after(sk_clock_ns(), AGAIN_NS));
        sk_birth_take_back(&t->rt->owner);
    }
    if (!task) return SK_ALARM_DONE;
    t->armed = false;
    t->next = (skua_task){task, sk_load_rlx(&task->state.serial)};
    if (w)
        sk_push(w, task);
    else
        sk_inject_push(&t->rt->inbox, &task->link);
    return SK_ALARM_WOKEN;
}

/* Under the lock: its round is due. A runtime that is stopping drops it; it stays armed, as one whose tick nobody has
   received. */
static sk_alarm_end send(skua_ticker *t, sk_worker *w, sk_waiter **who)
{
    if (sk_likely(sk_load_rlx(&t->rt->stopping) == 0)) return t->fn ? send_task(t, w) : send_tick(t, w, who);
    sk_slot_settle(&t->alarm.slot);
    return SK_ALARM_DONE;
}

/* Without the lock: nobody else has it any more. */
static sk_alarm_end ring_for_last(sk_alarm *alarm)
{
    ticker_of(alarm)->released = false;
    sk_slot_settle(&alarm->slot);
    alarm_gone(alarm);
    return SK_ALARM_DONE;
}

static sk_alarm_end ring(sk_alarm *alarm, sk_worker *w, uint64_t round)
{
    skua_ticker *t = ticker_of(alarm);
    sk_waiter *who = NULL;
    if (!try_take(t, w)) return SK_ALARM_LATER;
    sk_alarm_end end = t->armed && t->round == round ? send(t, w, &who) : SK_ALARM_STALE;
    bool last = t->released;
    drop(t);
    if (who) sk_wake_next(who);
    return last ? ring_for_last(alarm) : end;
}

/* ---- the call, in its task ---- */

/* A deferred call: the call has ended, in whichever way. */
static int after_call(void *arg)
{
    skua_ticker *t = (skua_ticker *)arg;
    take_as_call(t);
    if (is_next(t, skua_self())) {
        t->next.ref = NULL;
        if (t->period && sk_load_rlx(&t->rt->stopping) == 0) arm_next(t, sk_worker_self());
    }
    drop(t);
    return 0;
}

static int call(skua_ticker *t, skua_fn *fn, void *arg)
{
    skua_deferred after;
    (void)skua_defer(&after, after_call, t);
    int result = fn(arg);
    (void)skua_defer_run(&after);
    return result;
}

static int make_call(void *arg)
{
    skua_ticker *t = (skua_ticker *)arg;
    skua_fn *fn = NULL;
    void *of_fn = NULL;
    take_as_call(t);
    if (is_next(t, skua_self())) {
        fn = t->fn;
        of_fn = t->arg;
        if (!t->period) t->next.ref = NULL;
    }
    drop(t);
    return fn ? call(t, fn, of_fn) : 0;
}

/* ---- the public calls ---- */

static int check(const skua_ticker *t)
{
    if (sk_unlikely(!t)) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
#ifdef SK_DEBUG
    if (t->magic != LIVE) return -EBADF;
#endif
    return 0;
}

/* Without the lock: nobody knows it yet, and a task of its life before looks at `next` only. Who was favoured in that
   life comes no more, so that nothing has to be waited for; if it makes this one too, it stays so. */
static void init(skua_ticker *t, sk_worker *w, skua_runtime *rt, skua_fn *fn, void *arg)
{
    if (fn || sk_favour_stands(&t->hold, claim_of(w))) sk_store_rlx(&t->hold.of, (sk_claim *)NULL);
    t->rt = rt;
    t->fn = fn;
    t->arg = arg;
    t->armed = false;
    t->alarm.ring = ring;
    t->alarm.gone = alarm_gone;
    t->magic = LIVE;
    if (fn) return;
    if (sk_likely(t->clean))
        t->chan.magic = SK_CHAN_LIVE;
    else
        sk_chan_init(&t->chan, sizeof(uint64_t), 1, chan_gone);
}

static int create(skua_ticker **out, uint64_t first, uint64_t period, skua_fn *fn, void *arg)
{
    if (sk_forked()) return -ECHILD;
    sk_worker *w = sk_worker_self();
    skua_runtime *rt = w ? w->runtime : skua_runtime_current();
    if (!rt) rt = skua_runtime_default();
    skua_ticker *t = rt ? (skua_ticker *)sk_cached_alloc_by(w, &tickers, SK_CACHED_TICKERS) : NULL;
    if (!t) return -ENOMEM;
    init(t, w, rt, fn, arg);
    *out = t;                             /* a call may be under way soon, and look for it there */
    int error = set(t, w, first, period); /* it is not ours alone any more */
    if (!error) return 0;
    *out = NULL;
    (void)skua_ticker_release(t);
    return error;
}

int skua_ticker_create(skua_ticker **out, uint64_t first, uint64_t period)
{
    return out ? create(out, first, period, NULL, NULL) : -EINVAL;
}

int skua_ticker_call(skua_ticker **out, uint64_t first, uint64_t period, skua_fn *fn, void *arg)
{
    return out && fn ? create(out, first, period, fn, arg) : -EINVAL;
}

skua_chan *skua_ticker_chan(const skua_ticker *t)
{
    return t && !t->fn ? (skua_chan *)&t->chan : NULL;
}

/* ---- the ways of a favoured worker: nothing but what is done most often, else the usual way ---- */

enum { NOT_QUICKLY = 1 };

static sk_always_inline bool is_favoured(skua_ticker *t, sk_worker *w)
{
    return w && w->runtime == t->rt && sk_favour_enter(&t->hold, &w->timers.claim);
}

/* What is armed, and stands in our wheel, or is not active. 0; -ESRCH; NOT_QUICKLY. */
static sk_always_inline int stop_quickly(skua_ticker *t, sk_worker *w)
{
    if (!is_favoured(t, w)) return NOT_QUICKLY;
    int done = NOT_QUICKLY;
    if (!t->armed) {
        if (!sk_chan_may_recv(&t->chan)) done = -ESRCH;
    } else if (!sk_chan_may_recv(&t->chan) && sk_timers_cancel_inside(&w->timers, &t->alarm.slot)) {
        t->armed = false;
        done = 0;
    }
    sk_timers_leave(&w->timers);
    if (done == 0) sk_count_rlx(&w->count.timers_cancelled, UINT64_C(1));
    return done;
}

/* What is not armed, to fire once. */
static sk_always_inline bool set_quickly(skua_ticker *t, sk_worker *w, uint64_t first)
{
    if (!is_favoured(t, w)) return false;
    uint64_t tag = sk_timer_tag(t->round + 1, SK_TIMER_ALARM);
    bool done = !t->armed && !sk_chan_may_recv(&t->chan) && sk_load_rlx(&t->rt->stopping) < SK_STOP_CANCEL &&
                sk_timers_arm_in_inside(&w->timers, &t->alarm.slot, first, tag);
    if (sk_likely(done)) {
        t->armed = true;
        t->round++;
        t->period = 0;
    }
    sk_timers_leave(&w->timers);
    if (sk_likely(done)) sk_count_rlx(&w->count.timers_armed, UINT64_C(1));
    return done;
}

/* ---- stop, reset, release ---- */

static sk_noinline int stop(skua_ticker *t, sk_worker *w)
{
    take(t, w);
    bool active = disarm(t, w);
    drop_used(t, w);
    return active ? 0 : -ESRCH;
}

static sk_always_inline int stop_by(skua_ticker *t, sk_worker *w)
{
    int error = stop_quickly(t, w);
    return sk_likely(error != NOT_QUICKLY) ? error : stop(t, w);
}

int skua_ticker_stop(skua_ticker *t)
{
    int error = check(t);
    if (sk_unlikely(error)) return error;
    return stop_by(t, sk_worker_self());
}

static sk_noinline int reset(skua_ticker *t, sk_worker *w, uint64_t first, uint64_t period)
{
    take(t, w);
    bool active = disarm(t, w);
    int error = set(t, w, first, period);
    drop_used(t, w);
    return sk_unlikely(error) ? error : !active;
}

int skua_ticker_reset(skua_ticker *t, uint64_t first, uint64_t period)
{
    int error = check(t);
    if (sk_unlikely(error)) return error;
    sk_worker *w = sk_worker_self();
    if (sk_likely(!period && first && first != SKUA_FOREVER && set_quickly(t, w, first))) return 1;
    return reset(t, w, first, period);
}

int skua_ticker_release(skua_ticker *t)
{
    int error = check(t);
    if (sk_unlikely(error)) return error;
    sk_worker *w = sk_worker_self();
    (void)stop_by(t, w);
    t->magic = 0;
    bool mine = t->fn || sk_chan_is_mine(&t->chan);
    t->clean = !t->fn && mine && !sk_chan_may_recv(&t->chan); /* empty, and not closed */
    if (sk_likely(mine)) {
        t->chan.magic = SK_CHAN_FREED;
        leave_to_slot(t, w);
        return 0;
    }
    error = skua_chan_release(&t->chan);
    if (error) t->magic = LIVE; /* somebody waits there */
    return error;
}
