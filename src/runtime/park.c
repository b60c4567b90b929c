/*
 * park.c: leaving a stack and coming back to it.
 *
 * Why no wake-up is lost.  The commit below runs on another stack, when the
 * leaver's registers are saved.  It does, in this order:
 *
 *   1. arm the timeout, so that nobody can fire it yet (timer/timers.h: begin)
 *   2. publish the waiter; if the event has happened, do not park
 *   3. state word ACTIVE -> PARKED; if the task carries a mark, do not park
 *   4. let the timeout go (timer/timers.h: end)
 *   5. look for the event again; if it has happened, wake the task ourselves
 *
 * A timeout fires after 4, finds PARKED in its generation, and wakes.  A cancel
 * or expiry before 3 makes 3 fail; after 3 it finds PARKED.  An event before 2
 * is seen by 2.  One after 2 knows the waiter and tries to wake it: after 3 it
 * succeeds; before 3 it fails, but then 5 comes after it: the event is written
 * before the wake reads the state word, PARKED is written before 5 reads the
 * event, all four sequentially consistent, so one side sees the other.  Whoever
 * sees, wakes by compare-and-swap in one generation: at most one succeeds, and
 * at least one tries after 3.
 *
 * A sleeper (sync/sleeper.h) needs neither 2 nor 5: it is known before it leaves,
 * and woken by sk_state_grant, which leaves a permit in the state word when it
 * comes before 3, and makes 3 fail.
 *
 * The waiter is published before the task is PARKED, not after: a cancel that
 * wins right after 3 lets the task run on elsewhere, and what it takes back
 * there must have been made known by then, not appear later.
 *
 * After 3 the task may run anywhere, be ended and reused: the commit touches it
 * no more but through sk_state_wake, whose generation makes that safe, and uses
 * copies of what lies on the task's stack.
 */
#include <errno.h>

#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "runtime/extra.h"
#include "runtime/idle.h"
#include "runtime/sched.h"

typedef struct parking {
    const sk_wait *wait; /* NULL: for time only */
    uint64_t deadline;
    const sk_scope *scope; /* the one that the task stands in; NULL: none */
} parking;

/* Steps 2 and 3. 0, or why the task is still runnable. */
static uint8_t publish_and_park(sk_task *t, const parking *p, uint64_t *generation)
{
    if (p->wait && p->wait->publish && !p->wait->publish(p->wait, t, *generation)) return SK_REFUSED_HAPPENED;
    return sk_state_park(&t->state, generation);
}

static uint8_t park_timed(sk_worker *w, sk_task *t, const parking *p, uint64_t *generation)
{
    uint64_t tag = sk_timer_tag(*generation, SK_TIMER_PARK);
    sk_arming arming = sk_timers_arm_begin(&w->timers, &t->sleep, p->deadline, tag);
    uint8_t refused = publish_and_park(t, p, generation);
    sk_timers *elsewhere = sk_timers_arm_end(&arming, &t->sleep);
    if (sk_unlikely(elsewhere)) sk_timers_look_at(w, w->runtime, elsewhere);
    if (sk_unlikely(refused)) sk_timers_cancel_slot(w, &t->sleep);
    sk_count_rlx(&w->count.timers_armed, 1u);
    return refused;
}

/* Step 5, for one who stands in a context. True: it has ended; *why parks in it end. */
static bool scope_has_ended(const sk_scope *scope, sk_why *why)
{
    /* [PK-A1] sequentially consistent; pairs with [CX-R1]: see extra.h. The task may have left the scope by now, and
       the memory serve another: then the wake that follows fails by its generation. */
    uint32_t ended = sk_load_sc((sk_atomic(uint32_t) *)&scope->ended);
    *why = (sk_why)(ended - 1);
    return ended != 0;
}

/* Counted before it is done, since it may be over at once; one that is refused is counted as resumed. */
static void count_park(sk_worker *w)
{
    /* [PK-R1] release; pairs with [ST-A1] in a snapshot: whoever counts this park's resumption counts the park. */
    sk_store_rel(&w->count.parked, sk_load_rlx(&w->count.parked) + 1);
}

/* Still runnable. Whoever has been told of this park's generation, timer or waker, comes too late for any other. */
static sk_noinline void refuse(sk_worker *w, sk_task *t, uint8_t refused)
{
    t->refused = sk_state_skip(&t->state) ? SK_REFUSED_HAPPENED : refused;
    sk_ready(w, t);
}

static void commit_park(sk_worker *w, sk_task *t, void *arg)
{
    parking p = *(parking *)arg; /* copies: they stand on the stack that may soon be running again */
    sk_wait wait = {NULL, NULL, NULL, 0, NULL, NULL};
    if (p.wait) wait = *p.wait;
    uint64_t generation = sk_generation_of(sk_load_rlx(&t->state.word)) + 1;
    count_park(w);
    uint8_t refused = p.deadline != SK_NEVER ? park_timed(w, t, &p, &generation) : publish_and_park(t, &p, &generation);
    if (sk_unlikely(refused)) {
        refuse(w, t, refused);
        return;
    }
    sk_why why = SK_WHY_WAKE;
    bool over = wait.happened && wait.happened(&wait, t);
    if (!over && sk_unlikely(p.scope)) over = scope_has_ended(p.scope, &why);
    if (sk_unlikely(over) && sk_state_wake(&t->state, generation, why)) sk_ready(w, t);
}

/* The same for most sleepers: no deadline, nothing to publish, no event to look at. */
static void commit_bare(sk_worker *w, sk_task *t, void *scope)
{
    uint64_t generation;
    sk_why why;
    count_park(w);
    uint8_t refused = sk_state_park(&t->state, &generation);
    if (sk_unlikely(refused))
        refuse(w, t, refused);
    else if (sk_unlikely(scope) && scope_has_ended((const sk_scope *)scope, &why) &&
             sk_state_wake(&t->state, generation, why))
        sk_ready(w, t);
}

/* Where to go from a parking task: to a task at hand that has a stack, else to a loop, which starts the task at hand.
 */
static sk_always_inline sk_fiber *next_stack(sk_worker *w)
{
    sk_task *next = sk_take_local(w);
    if (sk_unlikely(next && sk_load_rlx(&w->retire))) { /* it must come round to its loop, and leave */
        sk_push(w, next);
        next = NULL;
    }
    if (sk_likely(next && (uintptr_t)next->fiber > (uintptr_t)SK_FIBER_SPECIAL)) {
        sk_count_rlx(&w->count.dispatches, 1u);
        w->task = next;
        return next->fiber;
    }
    sk_fiber *loop = sk_fiber_get(&w->stacks, w->runtime->stack_class, sk_loop, NULL);
    if (sk_unlikely(!loop)) {
        if (next) sk_push(w, next);
        return NULL;
    }
    w->pending = next;
    w->task = NULL;
    return loop;
}

/* Leaves the running task's stack; back, on the worker it returns,
   when somebody has resumed it. NULL: there is no stack to go to. */
static sk_always_inline sk_worker *leave(sk_worker *w, sk_commit_fn *commit, void *arg)
{
    sk_task *t = w->task;
    sk_fiber *from = w->fiber, *to = next_stack(w);
    if (sk_unlikely(!to)) return NULL;
    t->fiber = from;
    w->commit = commit;
    w->leaver = t;
    w->commit_arg = arg;
    w->fiber = to;
    sk_fiber_switch(from, to);
    return sk_arrive();
}

static int why_marked(const sk_task *t)
{
    return sk_state_marks(&t->state) & SK_EXPIRED ? SK_WHY_EXPIRED : SK_WHY_CANCEL;
}

/* Runner, back on its stack. */
static int why_back(sk_worker *w, sk_task *t, uint64_t deadline)
{
    /* [PK-R2] release; pairs with [ST-A1] in a snapshot. */
    sk_store_rel(&w->count.resumed, sk_load_rlx(&w->count.resumed) + 1);
    if (sk_likely(!t->refused)) {
        int why = sk_state_why(&t->state);
        if (deadline != SK_NEVER && why != SK_WHY_TIMEOUT) sk_timers_cancel_slot(w, &t->sleep);
        return why;
    }
    uint8_t refused = t->refused;
    t->refused = 0;
    return refused == SK_REFUSED_HAPPENED ? (int)SK_WHY_WAKE : why_marked(t);
}

/* For whoever lists parked tasks. */
static void tell_wait(sk_task *t, const sk_wait *wait)
{
#ifndef SK_MODEL
    sk_store_rlx(&t->waits, wait);
#else
    (void)t, (void)wait;
#endif
}

/* Whatever is to be looked at before a park: 0, or why it must not be. *scope: the one the task stands in, or NULL. */
static sk_always_inline int may_park(sk_worker *w, sk_task *t, uint64_t deadline, const sk_scope **scope)
{
    *scope = NULL;
    if (sk_unlikely(sk_state_heeds(sk_load_rlx(&t->state.word)))) return why_marked(t);
    if (sk_unlikely(t->guarded)) {
        int why = sk_extra_may_park(t->extra);
        if (why) return why;
        *scope = t->extra->scope;
    }
    if (sk_unlikely(t->limit == SK_LIMIT_UNARMED) && deadline > t->finish_by) sk_task_arm_limit(w, t);
    return 0;
}

int sk_park(sk_worker *w, const sk_wait *wait, uint64_t deadline)
{
    sk_task *t = w->task;
    parking p = {wait, deadline, NULL};
    int why = may_park(w, t, deadline, &p.scope);
    if (sk_unlikely(why)) return why;
    if (wait) tell_wait(t, wait);
    w = leave(w, commit_park, &p);
    if (wait) tell_wait(t, NULL);
    return w ? why_back(w, t, deadline) : SK_WHY_NOMEM;
}

int sk_park_bare(sk_worker *w, const sk_wait *wait)
{
    sk_task *t = w->task;
    const sk_scope *scope;
    int why = may_park(w, t, SK_NEVER, &scope);
    if (sk_unlikely(why)) return why;
    tell_wait(t, wait);
    w = leave(w, commit_bare, (void *)(uintptr_t)scope);
    tell_wait(t, NULL);
    return sk_likely(w != NULL) ? why_back(w, t, SK_NEVER) : SK_WHY_NOMEM;
}

bool sk_unpark(sk_task *t, uint64_t generation)
{
    if (!sk_state_wake(&t->state, generation, SK_WHY_WAKE)) return false;
    sk_ready(sk_worker_self(), t);
    return true;
}

int sk_why_error(int why)
{
    static const int error[] = {[SK_WHY_WAKE] = 0,
                                [SK_WHY_TIMEOUT] = -ETIMEDOUT,
                                [SK_WHY_CANCEL] = -ECANCELED,
                                [SK_WHY_EXPIRED] = -ETIMEDOUT,
                                [SK_WHY_NOMEM] = -ENOMEM};
    return error[why];
}

/* ---- yield ---- */

static void commit_yield(sk_worker *w, sk_task *t, void *arg)
{
    (void)arg;
    sk_push(w, t); /* unannounced: who yields has just left room for others on this worker */
}

int skua_yield(void)
{
    sk_worker *w = sk_worker_self();
    if (sk_forked()) return -ECHILD;
    if (!w || !w->task) return -EPERM;
    sk_extra_leaves(w->task, "yields");
    if (sk_taskq_size(&w->queue) == 0 && !sk_load_rlx(&w->runnext) && sk_inject_is_empty(&w->runtime->inbox) &&
        !sk_load_rlx(&w->retire)) {
        /* Nobody waits; but timers may be due, and only the loop and this look for them. */
        if (++w->tick % 16 || !sk_timers_run(w, sk_clock_ns())) return 0;
    }
    return leave(w, commit_yield, NULL) ? 0 : -ENOMEM;
}

/* ---- sleep ---- */

/* A thread of the program's own sleeps by itself. */
static int sleep_thread(uint64_t deadline)
{
    sk_atomic(uint32_t) nobody;
    sk_store_rlx(&nobody, 0u); /* no initializer, so that it is C++ too, for the models */
    while (sk_clock_ns() < deadline) sk_futex_wait(&nobody, 0, deadline);
    return 0;
}

int skua_sleep(uint64_t ns)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_worker *w = sk_worker_self();
    if (w && w->task && ns == 0) {
        int error = skua_cancelled();
        return error ? error : skua_yield();
    }
    uint64_t deadline = sk_deadline_after(sk_clock_ns(), ns);
    if (!w || !w->task) return sleep_thread(deadline);
    int why = sk_park(w, NULL, deadline);
    return why == SK_WHY_TIMEOUT ? 0 : sk_why_error(why);
}
