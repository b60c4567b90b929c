/*
 * sched.c: the scheduler.
 *
 * Nouns
 *
 *   task (G)     a function, an argument, a state word; no stack until it runs
 *   fiber        a stack with a suspended context
 *   worker (P)   a queue, a runnext slot, a timer wheel, caches
 *   machine (M)  a thread; it carries one worker at a time
 *   loop         sk_loop below; any fiber that runs no task stands in it
 *
 * A task's life
 *
 *   submit   sk_task_new, then sk_ready (queue of the submitting worker, or the
 *            runtime's inbox when the submitter is a foreign thread), announce
 *   dispatch a loop takes it and calls fn(arg) ON ITS OWN STACK: a function call
 *   park     (two steps) 1. choose who runs next, leave the stack: to a task that
 *            was woken, straight to its stack; else to a cached loop; 2. on that
 *            stack, sk_arrive calls the commit, which publishes the waiter.  Only
 *            then can anyone wake the task, and its registers are saved by then.
 *   wake     exactly one of wake, timeout, cancel and expiry wins the state word,
 *            and puts the task into a queue
 *   resume   a loop switches to the task's stack; the loop's stack is cached as
 *            it stands, suspended in resume(), and serves the next park
 *   end      fn returns into the loop that called it, perhaps on another thread:
 *            so the loop asks anew which worker it is on; or the task gives up,
 *            and its stack begins anew with a loop at its top (giveup.c)
 *
 * So the stack belongs to whoever parks on it.  A loop that called a task which
 * parked is simply frozen with it, below it on the same stack, and goes on as a
 * loop when the task has returned.  Loops are all alike; none is special.
 *
 * Where a worker looks, in this order
 *
 *   1. every 61st dispatch, and when the monitor says that they are overdue, the
 *      inbox and its timers first: neither outside work nor time can starve
 *   2. (the same whenever it runs dry)
 *   3. runnext, at most 3 times in a row, then the queue; then runnext again
 *   4. the inbox, in one exchange; the batch goes to the queue, where thieves see it
 *   5. other workers' queues: half of the first that is not empty
 *   6. other workers' overdue wheels
 *   7. sleep (idle.c), until its next timer
 *
 * The queue is first in, first out, which is fair, but walks a tree of tasks level
 * by level: each inner one parked, with a stack, before the first leaf has run.  So
 * when it is long, seven in eight looks take the newest task instead, if it has
 * no stack yet and belongs to no pool: the tree is walked in depth, and each eighth
 * look keeps the oldest from starving.  Of a tree the oldest are the largest, and
 * one in eight would be enough to begin them all.  So the eighth look, too, leaves
 * the oldest where it is while the queue is longer than before the last one was
 * taken: what that one has brought comes first.  But not for longer than OLD_NS
 * each, since a queue may grow for ever: then its oldest go one every OLD_NS.
 *
 * Batches that the loop itself makes (timers that expire together, a pool's
 * pump) are announced late: most are gone before another thread could be awake,
 * and waking one for each would cost more than running them.  When a batch lasts
 * for SK_QUIET_NS the worker announces what is left, and when it does not come
 * round to that, the monitor does.
 *
 * runnext is not announced: a task that is spawned or woken to run next runs
 * next when its waker parks, usually within a microsecond, on a warm cache, and
 * waking another thread for it would cost more than it.  When that takes longer,
 * as between the stages of a pipeline that compute, both could run at once: so
 * every 64th is timed, and when one had to wait for 20 us the next 64 go to the
 * queue, announced.  When the worker does not come round at all, the monitor
 * takes it out.
 *
 * Rejected
 *
 *   - a scheduler stack per thread: two switches where a park needs one, and no
 *     function-call start
 *   - waking a thread for every task: at 4 us a wake, a million timer expiries
 *     would cost 4 s; one searcher at a time passes the search on
 *   - taking from the bottom (LIFO) in the task queue: starves servers, and needs
 *     a fence in every take
 */
#include "runtime/sched.h"

#include <errno.h>

#include "os/clock.h"
#include "runtime/idle.h"
#include "runtime/machine.h"
#include "runtime/rcu.h"
#include "runtime/shutdown.h"

enum {
    LOOK_EVERY = 61, /* dispatches between two looks at inbox and timers */
    QUIET_EVERY = 8, /* dispatches between two looks whether an unannounced batch takes too long */
    CHAIN_MAX = 16,  /* tasks that a pool may hand out one after another */
    NEXT_IN_A_ROW = 3,
    COALESCE_NS = 64000, /* a busy worker's sleeps are at least this far apart */
    SPIN_NS = 10000,     /* at most as long as a sleep and a wake-up cost */
    OVERDUE_NS = 250000, /* a wheel this late may be fired by others */
    LONG_QUEUE = 256,    /* from so many on the newest tasks go first */
    OLD_EVERY = 8,       /* but for one in so many looks at the queue, */
    OLD_NS = 100000,     /* which waits so long at most for what the one before it has brought */
    TIME_EVERY = 64,     /* of the tasks put into runnext, that many for one whose wait is timed */
    SPREAD_NS = 20000,   /* one that waited so long would have been better off elsewhere */
    SPREAD = 64          /* so that many of the next go to the queue */
};

/* ---- making tasks runnable ---- */

/* It has no stack yet, and belongs to no pool, which has an order of its own. Its holder. */
static bool is_newborn(const sk_worker *w, const sk_task *t)
{
    return (uintptr_t)t->fiber <= (uintptr_t)SK_FIBER_SPECIAL && sk_task_owner_of(t) == &w->runtime->owner;
}

void sk_push(sk_worker *w, sk_task *t)
{
    uint32_t newborn = is_newborn(w, t) ? w->newborn + 1 : 0; /* before it is where a thief may take it */
    if (sk_likely(sk_taskq_push(&w->queue, t) == 0))
        w->newborn = newborn;
    else /* out of memory for a larger queue: the inbox needs none */
        sk_inject_push(&w->runtime->inbox, &t->link);
}

void sk_ready(sk_worker *w, sk_task *t)
{
    skua_runtime *rt = sk_task_runtime(t);
    if (sk_likely(w && w->runtime == rt)) {
        sk_push(w, t);
        sk_store_rlx(&w->quiet_since, UINT64_C(0)); /* what is in the queue is announced now */
        sk_notify(rt);
    } else {
        sk_visit(rt);
        sk_inject_push(&rt->inbox, &t->link);
        sk_notify(rt);
        sk_visit_end(rt);
    }
}

/* The one in runnext that is timed has waited until now. */
static sk_noinline void look_at_handed(sk_worker *w)
{
    if (sk_clock_ns() - w->handed_at > SPREAD_NS) {
        w->spread = SPREAD;
        w->handed = TIME_EVERY - 1; /* the first after that is timed */
    }
    w->handed_at = 0;
}

/* The one just put into runnext is timed, if there is anybody who could run it instead. */
static sk_noinline void time_handed(sk_worker *w)
{
    if (w->handed_at) look_at_handed(w); /* the monitor has taken it out, or it is to be displaced */
    if (sk_anyone_idle(w->runtime)) w->handed_at = sk_clock_ns();
}

/* Two that wake each other in turn, and a third, would wake another thread each time: one that was woken is announced
   late. One that has not been started may be the first of many, with a lot to do. */
static sk_noinline void push_displaced(sk_worker *w, sk_task *t)
{
    if ((uintptr_t)t->fiber <= (uintptr_t)SK_FIBER_SPECIAL) {
        sk_ready(w, t);
        return;
    }
    sk_push(w, t);
    if (!sk_load_rlx(&w->quiet_since)) sk_announce_later(w, sk_clock_ns());
}

/* Into a queue, announced, though it was to run next. */
static sk_noinline void spread(sk_worker *w, sk_task *t)
{
    if (w && w->runtime == sk_task_runtime(t) && w->spread) w->spread--;
    sk_ready(w, t);
}

void sk_ready_next(sk_worker *w, sk_task *t)
{
    if (sk_unlikely(!w || w->runtime != sk_task_runtime(t) || w->spread)) {
        spread(w, t);
        return;
    }
    if (sk_unlikely(!sk_claim_enter(&w->next_claim))) {
        sk_ready(w, t); /* the monitor is taking out what stood there */
        return;
    }
    sk_task *displaced = sk_load_rlx(&w->runnext);
    sk_store_rlx(&w->runnext, t);
    sk_claim_leave(&w->next_claim);
    if (sk_unlikely(++w->handed % TIME_EVERY == 0)) time_handed(w);
    if (displaced) push_displaced(w, displaced);
}

/* ---- announcing late ---- */

void sk_announce_later(sk_worker *w, uint64_t now)
{
    if (sk_load_rlx(&w->quiet_since) == 0) sk_store_rlx(&w->quiet_since, now);
}

/* Now and then while there is an unannounced batch: has it waited long enough for somebody else to be woken? While
   nobody sleeps the clock, which costs as much as a switch, is not asked: who searches takes an old batch anyway. */
static void announce_overdue(sk_worker *w)
{
    if (sk_taskq_size(&w->queue) == 0) {
        sk_store_rlx(&w->quiet_since, UINT64_C(0));
    } else if (sk_anyone_idle(w->runtime) && sk_clock_ns() - sk_load_rlx(&w->quiet_since) > SK_QUIET_NS) {
        sk_store_rlx(&w->quiet_since, UINT64_C(0));
        sk_notify(w->runtime);
    }
}

/* ---- taking tasks ---- */

static sk_always_inline sk_task *take_next(sk_worker *w)
{
    if (!sk_load_rlx(&w->runnext) || sk_unlikely(!sk_claim_enter(&w->next_claim))) return NULL;
    sk_task *t = sk_load_rlx(&w->runnext);
    sk_store_rlx(&w->runnext, (sk_task *)NULL);
    sk_claim_leave(&w->next_claim);
    if (sk_unlikely(w->handed_at)) look_at_handed(w);
    return t;
}

sk_task *sk_take_next(sk_worker *w)
{
    return take_next(w);
}

/* Whether the oldest of a long queue had better wait: what the last one has brought is not done yet. */
static bool is_old_to_wait(sk_worker *w)
{
    uint64_t size = sk_taskq_size(&w->queue);
    if (w->old_size && size > w->old_size) {
        uint64_t now = sk_clock_ns();
        if (!w->old_waits) w->old_waits = now;
        if (now - w->old_waits < OLD_NS) return true;
    }
    w->old_size = size;
    w->old_waits = 0;
    return false;
}

/* Of a long queue whose newest tasks have not been started: the newest. NULL: it is the oldest one's turn. */
static sk_noinline sk_task *take_newborn(sk_worker *w)
{
    if (++w->young % OLD_EVERY == 0 && !is_old_to_wait(w)) return NULL;
    sk_task *t = (sk_task *)sk_taskq_take_newest(&w->queue);
    if (t) w->newborn--;
    return t;
}

/* Moves the inbox to the queue, where thieves see it; returns how many there were. */
static uint32_t take_inbox(sk_worker *w)
{
    uint32_t n = 0;
    sk_inject_link *link = sk_inject_take(&w->runtime->inbox);
    for (; link; n++) {
        sk_inject_link *next = link->next;
        sk_push(w, sk_task_of_link(link));
        link = next;
    }
    return n;
}

/* Inbox and timers, before the next task. */
static sk_noinline void look_around(sk_worker *w)
{
    uint64_t now = sk_clock_ns();
    sk_store_rlx(&w->poke, false);
    /* Announced once more, here and below: while they were in our hands, in no queue, whoever was woken for them may
       have looked everywhere and gone to sleep. One who is counted as searching passes the search on anyway. */
    if (take_inbox(w)) sk_announce_later(w, now);
    sk_timers_run(w, now);
}

/* From the queue; then runnext again. */
static sk_noinline sk_task *take_queued(sk_worker *w)
{
    sk_task *t;
    w->in_a_row = 0;
    if (w->newborn && sk_taskq_size(&w->queue) >= LONG_QUEUE && (t = take_newborn(w))) return t;
    t = (sk_task *)sk_taskq_take(&w->queue);
    return t ? t : take_next(w);
}

static sk_noinline sk_task *take_after_looks(sk_worker *w)
{
    if (w->tick % LOOK_EVERY == 0 || sk_load_rlx(&w->poke)) look_around(w);
    if (w->tick % QUIET_EVERY == 0 && sk_load_rlx(&w->quiet_since)) announce_overdue(w);
    sk_task *t = w->in_a_row++ < NEXT_IN_A_ROW ? take_next(w) : NULL;
    return t ? t : take_queued(w);
}

/* The common way makes no call, and so saves no register. */
sk_task *sk_take_local(sk_worker *w)
{
    uint32_t tick = ++w->tick;
    if (sk_unlikely(tick % LOOK_EVERY == 0 || tick % QUIET_EVERY == 0 || sk_load_rlx(&w->poke)))
        return take_after_looks(w);
    if (sk_likely(w->in_a_row++ < NEXT_IN_A_ROW && sk_load_rlx(&w->runnext))) {
        sk_task *t = take_next(w);
        if (sk_likely(t != NULL)) return t;
    }
    return take_queued(w);
}

static bool steal_from(sk_worker *w, sk_worker *victim)
{
    sk_count_rlx(&w->count.steals_tried, 1u);
    int n = sk_taskq_try_move(&victim->queue, &w->queue, SK_LOOT);
    if (n <= 0) return false;
    w->newborn = 0; /* perhaps, but it would have to be looked at each */
    /* [SC-R5] release; pairs with [ST-A6] in a snapshot. */
    sk_store_rel(&w->count.steals_won, sk_load_rlx(&w->count.steals_won) + 1);
    sk_count_rlx(&w->count.tasks_stolen, (uint32_t)n);
    return true;
}

static bool is_late(sk_worker *victim, uint64_t now)
{
    return now >= OVERDUE_NS && sk_timers_next(&victim->timers) < now - OVERDUE_NS;
}

/* Robs the first victim that has something, beginning anywhere; else fires somebody's overdue timers, for which the
   section is left first: that can take long, and workers are never freed. */
static bool rob(sk_worker *w, uint64_t now)
{
    bool won = false;
    sk_worker *late = NULL;
    sk_store_rlx(&w->robbing, true);
    sk_rcu_enter();
    /* [SC-A3] acquire; pairs with [MO-R1] in the monitor, which published the table. */
    const sk_table *table = sk_load_acq(&w->runtime->table);
    uint32_t n = table->n, first = n ? sk_rng_below(&w->rng, n) : 0;
    for (uint32_t i = 0; i < n && !won; i++) {
        sk_worker *victim = table->worker[(first + i) % n];
        uint64_t quiet = sk_load_rlx(&victim->quiet_since);
        if (victim == w || (quiet && now < quiet + SK_QUIET_NS)) continue;
        won = steal_from(w, victim);
        if (!won && !late && is_late(victim, now)) late = victim;
    }
    sk_rcu_leave();
    sk_store_rlx(&w->robbing, false);
    return won || (late && sk_timers_help(w, late, now));
}

/* Something to run, wherever it is; NULL when there is nothing now. */
static sk_task *search(sk_worker *w, uint64_t now)
{
    if (sk_timers_run(w, now)) return sk_take_local(w);
    uint32_t n = take_inbox(w);
    bool counted = n ? w->searching : sk_search_begin(w);
    if (!n && !rob(w, now)) return NULL;
    if (n != 1 && !counted) sk_announce_later(w, now);
    return sk_take_local(w);
}

/* At the end of the runtime only when nothing is left: no task lives, but a pool's chore may. */
static bool must_leave(sk_worker *w)
{
    if (sk_load_rlx(&w->runtime->stopping) >= SK_STOP_THREADS)
        return !sk_anything_queued(w->runtime) && sk_taskq_size(&w->queue) == 0;
    return sk_load_rlx(&w->retire);
}

/* When to wake by ourselves: at the next timer; but who has just slept a little, sleeps on for a few ticks, so that
   a stream of expiries is served in batches instead of one futex call each. */
static uint64_t sleep_until(sk_worker *w, uint64_t now)
{
    uint64_t due = sk_timers_next(&w->timers);
    uint64_t earliest = w->last_wake + COALESCE_NS;
    return due < earliest && due > now ? earliest : due;
}

/* Looks at the inbox for a while: only after a sleep that was so short that spinning would have been cheaper. */
static bool spin(sk_worker *w, uint64_t now)
{
    uint64_t until = sk_min(now + SPIN_NS, sk_timers_next(&w->timers));
    do {
        for (int i = 0; i < 16; i++) {
            if (!sk_inject_is_empty(&w->runtime->inbox)) return true;
            sk_cpu_relax();
        }
    } while (sk_clock_ns() < until && !must_leave(w));
    w->rung = false;
    return false;
}

/* The next task to run; sleeps while there is none. NULL: this thread must give up the worker. */
static sk_task *next_task(sk_worker *w)
{
    for (;;) {
        if (sk_unlikely(must_leave(w))) return NULL;
        sk_task *t = sk_take_local(w);
        uint64_t now;
        if (!t) t = search(w, now = sk_clock_ns());
        if (t) {
            sk_search_found(w);
            return t;
        }
        sk_store_rlx(&w->quiet_since, UINT64_C(0));
        sk_stop_progress(w->runtime);
        if (w->rung && spin(w, now)) continue;
        bool rung = sk_idle(w, sleep_until(w, now));
        w->last_wake = sk_clock_ns();
        w->rung = rung && w->last_wake - now < SPIN_NS;
    }
}

/* ---- running tasks ---- */

sk_worker *sk_arrive(void)
{
    sk_worker *w = sk_worker_self();
    if (w->left_loop) {
        sk_fiber_put(&w->stacks, w->left_loop);
        w->left_loop = NULL;
    }
    if (w->commit) {
        sk_commit_fn *commit = w->commit;
        w->commit = NULL;
        commit(w, w->leaver, w->commit_arg);
    }
    return w;
}

/* From a loop to the stack of a parked task. This loop stands here until a parking task goes on on it, maybe on another
   worker, which it returns. */
static sk_worker *resume(sk_worker *w, sk_task *t)
{
    sk_fiber *loop = w->fiber, *to = t->fiber;
    w->left_loop = loop;
    w->task = t;
    w->fiber = to;
    sk_fiber_switch(loop, to);
    return sk_arrive();
}

/* From a loop to one on a stack of another class, which begins with this task (or NULL). Returns as resume; NULL: there
   is no such stack. */
static sk_worker *change_stack(sk_worker *w, unsigned cls, sk_task *t)
{
    sk_fiber *to = sk_fiber_get(&w->stacks, cls, sk_loop, NULL);
    if (!to) return NULL;
    sk_fiber *loop = w->fiber;
    w->pending = t;
    w->left_loop = loop;
    w->fiber = to;
    sk_fiber_switch(loop, to);
    return sk_arrive();
}

/* Calls the task on this stack. Returns a task to run after it, or NULL; *at is the worker, maybe another one by now.
 */
static sk_task *start(sk_worker **at, sk_task *t)
{
    sk_worker *w = *at;
    w->task = t;
    sk_count_rlx(&w->count.started, 1u);
    int result = t->fn(t->arg);
    w = sk_worker_self();
    if (sk_unlikely(!w)) { /* it has returned in a blocking call */
        skua_blocking_end();
        w = sk_worker_self();
    }
    if (sk_unlikely(t->fiber != SK_FIBER_NONE)) {
        if (sk_unlikely(t->deferred != NULL)) w = sk_run_deferred(t);
        sk_task_end_limit(t);
    }
    *at = w;
    w->task = NULL;
    return sk_task_end(w, t, sk_end_of(result, sk_state_marks(&t->state)), result);
}

/* A task with deadlines or a stack of its own. False: it has been taken care of, *next is to run after it. */
static bool may_start_special(sk_worker **at, sk_task *t, sk_task **next)
{
    sk_worker *w = *at;
    if (t->stack_class != w->fiber->stack.cls) {
        sk_worker *back = change_stack(w, t->stack_class, t);
        if (back) {
            *at = back;
            *next = NULL;
        } else {
            sk_count_unstarted(w, w->runtime);
            *next = sk_task_end(w, t, SK_FAILED, -ENOMEM);
        }
        return false;
    }
    if (!t->timed) return true;
    if (t->start_by && sk_clock_ns() >= t->start_by) sk_task_expire(w, t, sk_load_rlx(&t->state.serial), SK_STARTED);
    if (!sk_state_start(&t->state)) {
        *next = sk_task_end_unstarted(w, t);
        return false;
    }
    if (t->start_by) sk_timers_cancel_slot(w, &t->deadline);
    if (t->start_by && t->finish_by)
        sk_timers_arm(w, t, &t->deadline, t->finish_by,
                      sk_timer_tag(sk_load_rlx(&t->state.serial), SK_TIMER_FINISH_BY));
    return true;
}

/* Returns the worker that this loop is on afterwards. */
static sk_worker *dispatch(sk_worker *w, sk_task *t)
{
    for (uint32_t in_a_row = 0; t; in_a_row++) {
        if (sk_unlikely(in_a_row == CHAIN_MAX)) { /* a pool hands out one task after another: let others in */
            sk_push(w, t);
            return w;
        }
        if (sk_unlikely(!t->fn)) { /* no task, but a chore of a pool */
            ((sk_chore *)t->arg)->run((sk_chore *)t->arg, w);
            return w;
        }
        sk_count_rlx(&w->count.dispatches, 1u);
        if ((uintptr_t)t->fiber > (uintptr_t)SK_FIBER_SPECIAL) {
            return resume(w, t);
        }
        if (sk_unlikely(sk_state_marks(&t->state) || sk_load_rlx(&w->runtime->stopping) >= SK_STOP_CANCEL))
            t = sk_task_end_unstarted(w, t);
        else if (sk_likely(t->fiber == SK_FIBER_NONE) || may_start_special(&w, t, &t))
            t = start(&w, t);
    }
    return w;
}

void sk_loop(void *unused)
{
    (void)unused;
    sk_worker *w = sk_arrive();
    for (;;) {
        sk_task *t = w->pending;
        w->pending = NULL;
        /* A task with a stack of its own has left us on it: other tasks shall have what they were promised. Only when
           nothing is pending: who comes to a loop of this class later brings such a task. */
        if (!t && sk_unlikely(w->fiber->stack.cls != w->runtime->stack_class)) {
            sk_worker *back = change_stack(w, w->runtime->stack_class, NULL);
            if (back) {
                w = back;
                continue;
            }
        }
        if (!t) t = next_task(w);
        w = t ? dispatch(w, t) : sk_machine_leave(w);
    }
}
