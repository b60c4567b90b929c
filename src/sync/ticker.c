/*
 * ticker.c: timers that deliver into a channel or call a function; skua/ticker.h.
 *
 * A tick that is to come is a delayed task of the runtime (expiry.c), and the
 * ticker has its handle, `next`.  When it is due the task runs, takes the ticker's
 * lock and asks whether it is still the one that the ticker waits for.  If it is,
 * it delivers under that lock, and makes the task of the next tick.
 *
 *   stop, reset   under the lock: forgets `next` and empties the channel, so that
 *                 whatever the task of before does later, it finds itself a
 *                 stranger and delivers nothing; and keeps it from starting, if it
 *                 has not yet
 *   the task      under the lock: is `next` me?
 *
 * So what is received after a stop or a reset was sent after it: nothing is sent
 * but under the lock, by who is `next` at that time.
 *
 * A ticker's memory is type-stable: a task that comes when it has been released, or
 * serves as another one, finds itself a stranger by the same question, since the
 * serial of a task is never used again.  For that reason the lock is never written
 * but by taking and dropping it.
 *
 * No memory for the task of the next tick: then the one that runs stays `next`,
 * and sleeps until that is due, on its worker's stack if there is none to park with.
 *
 * The lock is held while a task is made and armed: for an inbox's futex, perhaps,
 * or a mapping, but never while anything parks.
 */
#include <errno.h>
#include <string.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "os/lock.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"
#include "skua/fault.h"
#include "skua/ticker.h"
#include "sync/chan.h"
#include "sync/ticker.h"

/* L: under the lock. I: never changes while it is in use. */
struct skua_ticker {
    SK_LINE_ALIGNED sk_lock lock;
    skua_task next;       /* L: whose tick it waits for; none: stopped */
    uint64_t due, period; /* L: ns; of a periodic one */
    skua_chan *chan;      /* I: NULL: it calls */
    skua_runtime *rt;     /* I */
    skua_fn *fn;          /* L */
    void *arg;            /* L */
    uint64_t magic;       /* I; LIVE */
    void *link;           /* the slab's */
};

#define LIVE UINT64_C(0x746963202d6c6976)

/* ns: as long as it sleeps on its stack before it tries again to park. */
#define SLICE_NS UINT64_C(1000000)

static sk_lazy_slab tickers = SK_LAZY_SLAB(skua_ticker, link);

/* ---- under the lock ---- */

static int tick(void *arg);

static bool is_next(const skua_ticker *t, skua_task task)
{
    return t->next.ref && t->next.ref == task.ref && t->next.serial == task.serial;
}

/* A delayed task, not armed yet: `kept`, if there is one. NULL with *error set. */
static sk_task *new_tick(skua_ticker *t, sk_local *local, sk_task *kept, int *error)
{
    if (kept) {
        t->next = (skua_task){kept, sk_task_delay_anew(local ? local->worker : NULL, kept)};
        return kept;
    }
    sk_task *task = sk_task_new(local, &t->rt->owner, tick, t, false, SK_DELAYED, error);
    if (!task) return NULL;
    sk_task_set_deadlines(task, 0, 0);
    t->next = (skua_task){task, sk_load_rlx(&task->state.serial)};
    return task;
}

/* At t->due. */
static int arm_due(skua_ticker *t, sk_local *local, sk_task *kept)
{
    int error;
    sk_task *task = new_tick(t, local, kept, &error);
    if (!task) return error;
    sk_timers_arm(local ? local->worker : NULL, task, &task->sleep, t->due,
                  sk_timer_tag(t->next.serial, SK_TIMER_DELAY));
    return 0;
}

/* A task that we hold, and that was not started. */
static void end_unstarted(sk_local *local, sk_task *task)
{
    sk_worker *w = local ? local->worker : NULL;
    sk_timers_cancel_slot(w, &task->sleep);
    sk_task_end_unstarted(w, task);
}

/* In `first` ns. Nobody looks at the clock for one that fires once: it is armed and stopped much more often than it
   fires. kept: what was to come before, or NULL. */
static int arm_first(skua_ticker *t, sk_local *local, sk_task *kept, uint64_t first, uint64_t period)
{
    int error;
    t->period = period;
    if (sk_unlikely(first == SKUA_FOREVER)) {
        if (kept) end_unstarted(local, kept);
        return 0;
    }
    if (period) {
        t->due = sk_deadline_after(sk_clock_ns(), first);
        return arm_due(t, local, kept);
    }
    sk_task *task = new_tick(t, local, kept, &error);
    if (!task) return error;
    sk_task_start_in(local ? local->worker : NULL, task, sk_max(first, UINT64_C(1)),
                     sk_timer_tag(t->next.serial, SK_TIMER_DELAY));
    return 0;
}

/* Whether there was one. */
static bool drain(const skua_ticker *t)
{
    return t->chan && sk_chan_may_recv(t->chan) && skua_chan_try_recv(t->chan, NULL) == 0;
}

/* True: it was active. *kept: the task that was to come, which is the caller's now; NULL: there is none, or it runs. */
static bool forget_next(skua_ticker *t, sk_task **kept)
{
    sk_task *task = (sk_task *)t->next.ref;
    t->next.ref = NULL;
    *kept = task && sk_state_undelay(&task->state, t->next.serial) ? task : NULL;
    return drain(t) || task;
}

/* ---- the tick, in its task ---- */

/* Under the lock: makes the next tick, if there is to be one. 0; or, since there is no memory for it, when it is due:
   the calling task stays the ticker's next. */
static uint64_t make_next(skua_ticker *t)
{
    if (t->period && sk_load_rlx(&t->rt->stopping) == 0) {
        t->due = sk_ticker_due_after(t->due, t->period, sk_clock_ns());
        int error = arm_due(t, sk_local_self(), NULL);
        if (!error) return 0;
        if (error == -ENOMEM) return t->due;
    }
    t->next.ref = NULL;
    return 0;
}

/* Nor is there a stack to park with: a thread can wait. */
static void sleep_on_the_stack(uint64_t until)
{
    sk_atomic(uint32_t) never = 0;
    int bracketed = skua_blocking_begin();
    sk_futex_wait(&never, 0, until);
    if (bracketed == 0) (void)skua_blocking_end();
}

/* Without the lock: until that time, as what make_next has left. False: the task is to end. */
static bool sleep_until(skua_ticker *t, uint64_t due)
{
    int error;
    uint64_t now = sk_clock_ns();
    for (; (error = skua_sleep(due > now ? due - now : 0)) == -ENOMEM && now < due; now = sk_clock_ns())
        sleep_on_the_stack(sk_min(now + SLICE_NS, due));
    if (error == 0 || error == -ENOMEM) return true;
    sk_lock_take(&t->lock);
    if (is_next(t, skua_self())) t->next.ref = NULL;
    sk_lock_drop(&t->lock);
    return false;
}

static uint64_t deliver_once(skua_ticker *t)
{
    uint64_t again = 0, now = sk_clock_ns();
    sk_lock_take(&t->lock);
    if (is_next(t, skua_self())) {
        (void)skua_chan_try_send(t->chan, &now); /* full, or closed by somebody: dropped */
        again = make_next(t);
    }
    sk_lock_drop(&t->lock);
    return again;
}

static int deliver(skua_ticker *t)
{
    uint64_t again;
    while ((again = deliver_once(t)) && sleep_until(t, again)) {
    }
    return 0;
}

static uint64_t next_after_call(skua_ticker *t)
{
    uint64_t again = 0;
    sk_lock_take(&t->lock);
    if (is_next(t, skua_self())) again = make_next(t);
    sk_lock_drop(&t->lock);
    return again;
}

/* A deferred call: the call has ended, in whichever way. While there is no memory for the next tick it drops ticks. */
static int after_call(void *arg)
{
    skua_ticker *t = (skua_ticker *)arg;
    uint64_t again;
    while ((again = next_after_call(t)) && sleep_until(t, again)) {
    }
    return 0;
}

/* fn: NULL: the tick is not wanted any more. */
static int call(skua_ticker *t, skua_fn *fn, void *arg)
{
    if (!fn) return 0;
    skua_deferred after;
    (void)skua_defer(&after, after_call, t);
    int result = fn(arg);
    (void)skua_defer_run(&after);
    return result;
}

static int tick(void *arg)
{
    skua_ticker *t = (skua_ticker *)arg;
    skua_fn *fn = NULL;
    void *of_fn = NULL;
    sk_lock_take(&t->lock);
    bool wanted = is_next(t, skua_self()), calls = wanted && !t->chan;
    if (calls) {
        fn = t->fn;
        of_fn = t->arg;
        if (!t->period) t->next.ref = NULL;
    }
    sk_lock_drop(&t->lock);
    return !wanted ? 0 : calls ? call(t, fn, of_fn) : deliver(t);
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

static int choose_runtime(skua_runtime **rt)
{
    *rt = skua_runtime_current();
    if (!*rt) *rt = skua_runtime_default();
    return *rt ? 0 : -ENOMEM;
}

/* With or without a channel; not armed. */
static int make(skua_ticker **out, skua_fn *fn, void *arg)
{
    skua_chan *chan = NULL;
    skua_runtime *rt;
    int error = choose_runtime(&rt);
    if (!error && !fn) error = skua_chan_create(&chan, sizeof(uint64_t), 1);
    if (error) return error;
    skua_ticker *t = (skua_ticker *)sk_cached_alloc(&tickers, SK_CACHED_TICKERS);
    if (!t) {
        if (chan) (void)skua_chan_release(chan);
        return -ENOMEM;
    }
    sk_lock_take(&t->lock); /* a task of its life before may be about to look */
    t->next.ref = NULL;
    t->chan = chan;
    t->rt = rt;
    t->fn = fn;
    t->arg = arg;
    t->magic = LIVE;
    sk_lock_drop(&t->lock);
    *out = t;
    return 0;
}

static int create(skua_ticker **out, uint64_t first, uint64_t period, skua_fn *fn, void *arg)
{
    if (sk_forked()) return -ECHILD;
    skua_ticker *t;
    int error = make(&t, fn, arg);
    if (error) return error;
    sk_lock_take(&t->lock);
    *out = t; /* a call may be under way soon, and look for it there */
    error = arm_first(t, sk_local_self(), NULL, first, period);
    sk_lock_drop(&t->lock);
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
    return t ? t->chan : NULL;
}

int skua_ticker_stop(skua_ticker *t)
{
    sk_task *kept;
    int error = check(t);
    if (sk_unlikely(error)) return error;
    sk_lock_take(&t->lock);
    bool active = forget_next(t, &kept);
    sk_lock_drop(&t->lock);
    if (kept) end_unstarted(sk_local_self(), kept);
    return active ? 0 : -ESRCH;
}

int skua_ticker_reset(skua_ticker *t, uint64_t first, uint64_t period)
{
    sk_task *kept;
    int error = check(t);
    if (sk_unlikely(error)) return error;
    sk_lock_take(&t->lock);
    bool active = forget_next(t, &kept);
    error = arm_first(t, sk_local_self(), kept, first, period);
    sk_lock_drop(&t->lock);
    return error ? error : !active;
}

int skua_ticker_release(skua_ticker *t)
{
    int error = skua_ticker_stop(t);
    if (error && error != -ESRCH) return error;
    error = t->chan ? skua_chan_release(t->chan) : 0;
    if (error) return error;
    t->magic = 0;
    sk_cached_free(&tickers, SK_CACHED_TICKERS, t);
    return 0;
}
