/* spawn.c: starting, cancelling and asking about tasks: the public side of task.h. */
#include <errno.h>

#include "os/clock.h"
#include "os/fork.h"
#include "runtime/extra.h"
#include "runtime/idle.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

uint64_t skua_now(void)
{
    return sk_clock_ns();
}

/* Who calls, and for which runtime. */
typedef struct caller {
    sk_local *local; /* NULL: a thread that has no record yet */
    sk_worker *w;    /* NULL: not a worker's thread */
    skua_runtime *rt;
} caller;

static int choose_runtime(caller *c)
{
    if (c->rt) return sk_runtime_check(c->rt);
    c->rt = skua_runtime_current();
    if (!c->rt) c->rt = skua_runtime_default();
    return c->rt ? 0 : -ENOMEM;
}

static int look_at_caller(caller *c, skua_runtime *named)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    c->local = sk_local_self();
    c->w = c->local ? c->local->worker : NULL;
    c->rt = named;
    if (sk_unlikely(named || !c->w)) return choose_runtime(c);
    c->rt = c->w->runtime;
    return 0;
}

static skua_task handle_of(const sk_task *t)
{
    return (skua_task){(void *)(uintptr_t)t, sk_load_rlx((sk_atomic(uint64_t) *)&t->state.serial)};
}

/* ---- plain ---- */

int skua_go(skua_fn *fn, void *arg)
{
    if (!fn) return -EINVAL;
    caller c;
    int error = look_at_caller(&c, NULL);
    if (error) return error;
    sk_task *t = sk_task_new(c.local, &c.rt->owner, fn, arg, false, SK_ACTIVE, &error);
    if (!t) return error;
    sk_ready(c.w, t);
    return 0;
}

int skua_spawn(skua_task *out, skua_fn *fn, void *arg)
{
    if (!fn || !out) return -EINVAL;
    caller c;
    int error = look_at_caller(&c, NULL);
    if (error) return error;
    sk_task *t = sk_task_new(c.local, &c.rt->owner, fn, arg, true, SK_ACTIVE, &error);
    if (!t) return error;
    *out = handle_of(t);
    sk_ready_next(c.w, t);
    return 0;
}

int skua_spawn_batch(skua_task *out, size_t n, skua_fn *fn, void *const *args)
{
    if (!fn || n > INT32_MAX) return -EINVAL;
    caller c;
    int error = look_at_caller(&c, NULL);
    if (error) return error;
    bool inside = c.w != NULL; /* then the runtime is its own */
    size_t made = 0;
    for (; made < n; made++) {
        sk_task *t = sk_task_new(c.local, &c.rt->owner, fn, args ? args[made] : NULL, out != NULL, SK_ACTIVE, &error);
        if (!t) break;
        if (!inside && made == 0) sk_visit(c.rt); /* this task, which is in no queue yet, keeps the runtime */
        if (out) out[made] = handle_of(t);
        if (inside)
            sk_push(c.w, t);
        else
            sk_inject_push(&c.rt->inbox, &t->link);
    }
    if (made) sk_notify(c.rt);
    if (!inside && made) sk_visit_end(c.rt);
    return made || !n ? (int)made : error;
}

/* ---- with options ---- */

static bool is_special(const skua_task_options *o, skua_runtime *rt, unsigned cls)
{
    return cls != rt->stack_class || o->delay || o->start_within || o->finish_within;
}

void sk_task_set_deadlines(sk_task *t, uint64_t start_by, uint64_t finish_by)
{
    t->fiber = SK_FIBER_SPECIAL;
    t->stack_class = (uint8_t)sk_task_runtime(t)->stack_class;
    t->start_by = start_by;
    t->finish_by = finish_by;
    t->due = 0;
    t->timed = start_by || finish_by;
}

/* Second and third line of a task that is more than a call. Its creator holds it. */
static void make_special(sk_task *t, const skua_task_options *o, unsigned cls)
{
    uint64_t due = o->start_within || o->finish_within ? sk_deadline_after(sk_clock_ns(), o->delay) : 0;
    sk_task_set_deadlines(t, o->start_within ? sk_deadline_after(due, o->start_within) : 0,
                          o->finish_within ? sk_deadline_after(due, o->finish_within) : 0);
    t->stack_class = (uint8_t)cls;
}

static void launch_special(sk_worker *w, sk_task *t, uint64_t delay)
{
    if (delay) { /* its deadlines are armed when it is over, see expiry.c: none ever meets a delayed task */
        sk_task_start_in(w, t, delay, sk_timer_tag(sk_load_rlx(&t->state.serial), SK_TIMER_DELAY));
    } else {
        if (t->timed) sk_task_arm_deadline(w, t);
        sk_ready(w, t);
    }
}

static int spawn_with(skua_task *out, const skua_task_options *o, skua_fn *fn, void *arg, bool joinable)
{
    caller c;
    int error = look_at_caller(&c, o->runtime);
    if (error) return error;
    unsigned cls = o->stack_size ? sk_stack_class_of(o->stack_size) : c.rt->stack_class;
    if (cls >= SK_STACK_CLASSES) return -EINVAL;
    sk_task *t = sk_task_new(c.local, &c.rt->owner, fn, arg, joinable, o->delay ? SK_DELAYED : SK_ACTIVE, &error);
    if (!t) return error;
    if (out) *out = handle_of(t);
    if (is_special(o, c.rt, cls)) {
        make_special(t, o, cls);
        launch_special(c.w, t, o->delay);
    } else {
        sk_ready(c.w, t);
    }
    return 0;
}

int skua_spawn_with(skua_task *out, const skua_task_options *options, skua_fn *fn, void *arg)
{
    static const skua_task_options none;
    if (!fn) return -EINVAL;
    return spawn_with(out, options ? options : &none, fn, arg, out != NULL);
}

/* ---- timers ---- */

int skua_timer_start(skua_timer *out, uint64_t ns, skua_fn *fn, void *arg)
{
    if (!fn) return -EINVAL;
    skua_task_options options = {.delay = ns ? ns : 1};
    return spawn_with(out ? &out->task : NULL, &options, fn, arg, false);
}

int skua_after(uint64_t ns, skua_fn *fn, void *arg)
{
    return skua_timer_start(NULL, ns, fn, arg);
}

/* A delayed task that we have just kept from starting: nobody else has it now. */
static void end_delayed(sk_task *t)
{
    sk_worker *w = sk_worker_self();
    sk_timers_cancel_slot(w, &t->sleep);
    sk_task_end_unstarted(w, t);
}

int skua_timer_stop(skua_timer timer)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_task *t = (sk_task *)timer.task.ref;
    if (!t || !sk_state_undelay(&t->state, timer.task.serial)) return -ESRCH;
    end_delayed(t);
    return 0;
}

uint64_t sk_task_delay_anew(sk_worker *w, sk_task *t)
{
    sk_timers_cancel_slot(w, &t->sleep); /* should it be firing just now, then for the life before */
    sk_join_born(&t->join, sk_state_next_serial(&t->state), false);
    return sk_state_born(&t->state, SK_DELAYED);
}

int skua_timer_reset(skua_timer *timer, uint64_t ns)
{
    if (!timer) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_task *t = (sk_task *)timer->task.ref;
    if (!t || !sk_state_undelay(&t->state, timer->task.serial)) return -ESRCH;
    sk_worker *w = sk_worker_self();
    uint64_t serial = timer->task.serial = sk_task_delay_anew(w, t);
    sk_task_start_in(w, t, ns ? ns : 1, sk_timer_tag(serial, SK_TIMER_DELAY)); /* the task is not ours any more */
    return 0;
}

/* ---- cancel ---- */

int skua_cancel(skua_task task)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_task *t = (sk_task *)task.ref;
    if (!t) return -ESRCH;
    switch (sk_state_hit(&t->state, task.serial, SK_CANCEL, SK_WHY_CANCEL, 0)) {
    case SK_HIT_STALE:
        return -ESRCH;
    case SK_HIT_ALREADY:
        return -EALREADY;
    case SK_HIT_MARKED:
        return 0;
    case SK_HIT_WOKEN:
        sk_ready(sk_worker_self(), t);
        return 0;
    case SK_HIT_DELAYED:
        end_delayed(t);
        return 0;
    }
    return 0;
}

/* The task on whose behalf this thread runs, in a blocking call too. */
static sk_task *running_task(void)
{
    sk_local *local = sk_local_self();
    if (!local) return NULL;
    return local->worker ? local->worker->task : local->blocked_task;
}

int skua_cancelled(void)
{
    sk_task *t = running_task();
    if (t && sk_task_limit_of(t) != SK_LIMIT_NONE) sk_task_look_at_limit(t);
    unsigned marks = t ? sk_state_marks(&t->state) : 0;
    if (sk_unlikely(marks)) return marks & SK_EXPIRED ? -ETIMEDOUT : -ECANCELED;
    return t && sk_unlikely(t->guarded) ? sk_why_error(sk_extra_ended(t->extra)) : 0;
}

skua_task skua_self(void)
{
    sk_task *t = running_task();
    return t ? handle_of(t) : (skua_task){NULL, 0};
}
