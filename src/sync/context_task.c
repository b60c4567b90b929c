/*
 * context_task.c: tasks that stand in contexts; why they cannot sleep on there is
 * at the head of context.c.
 *
 * A stay is a deferred call of its task, too.  So it ends in its turn whether the
 * task leaves, returns, or gives up; and when only a call ends that its submitter
 * makes for a pool (runtime/giveup.h), whatever that has entered ends with it.
 *
 * A task that begins inside is promised to run its function: so the memory to stand
 * there is had when it is spawned, in one piece with its owner.
 */
#include <errno.h>

#include "mem/lazy_slab.h"
#include "mem/stack.h"
#include "os/clock.h"
#include "os/fork.h"
#include "runtime/giveup.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"
#include "sync/context.h"

static sk_lazy_slab stays = SK_LAZY_SLAB(sk_stay, outer);

/* ---- attached ---- */

void sk_context_attach(sk_stay *stay)
{
    skua_context *c = stay->context;
    sk_lock_take(&c->lock);
    stay->attached = sk_load_rlx(&c->scope.ended) == 0;
    if (stay->attached) {
        stay->prev = NULL;
        stay->next = c->stays;
        if (stay->next) stay->next->prev = stay;
        c->stays = stay;
    }
    sk_lock_drop(&c->lock);
}

void sk_context_detach(sk_stay *stay)
{
    skua_context *c = stay->context;
    sk_lock_take(&c->lock);
    if (stay->attached) {
        if (stay->prev)
            stay->prev->next = stay->next;
        else
            c->stays = stay->next;
        if (stay->next) stay->next->prev = stay->prev;
        stay->attached = false;
    }
    sk_lock_drop(&c->lock);
}

/* ---- entering and leaving ---- */

static sk_stay *innermost(const sk_extra *extra)
{
    return (sk_stay *)extra->context;
}

/* From one stay, which is detached, to another one. */
static void stand_in(sk_extra *extra, sk_stay *stay)
{
    extra->context = stay;
    extra->scope = stay ? &stay->context->scope : NULL;
    if (stay) sk_context_attach(stay);
    sk_extra_guard();
}

static void end_innermost(sk_extra *extra)
{
    sk_stay *stay = innermost(extra);
    (void)skua_undefer(&stay->deferred);
    sk_context_detach(stay);
    stand_in(extra, stay->outer);
    sk_context_put(stay->context);
    if (!stay->lent) sk_lazy_slab_free(&stays, stay);
}

static void end_those_in(sk_extra *extra, const sk_stay *outer)
{
    while (extra->context && innermost(extra) != outer) end_innermost(extra);
}

/* Deferred. Those within it have ended before, but for one whose deferred call the task has popped. */
static int end_stay(void *arg)
{
    end_those_in(sk_extra_look(), ((sk_stay *)arg)->outer);
    return 0;
}

/* At the task's end: the same. */
static void end_all(sk_extra *extra)
{
    end_those_in(extra, NULL);
}

/* stay: memory. */
static void enter(sk_extra *extra, sk_stay *stay, sk_task *t, skua_context *c)
{
    sk_context_keep(c);
    extra->leave_contexts = end_all;
    stay->runs = false;
    stay->task = t;
    stay->context = c;
    stay->outer = innermost(extra);
    if (stay->outer) sk_context_detach(stay->outer);
    stand_in(extra, stay);
    (void)skua_defer(&stay->deferred, end_stay, stay);
}

int skua_context_enter(skua_context *c)
{
    sk_extra *extra;
    sk_task *t;
    int error = sk_context_check(c);
    if (!error) error = sk_own_task(&t);
    if (!error) error = sk_extra_get(&extra);
    if (error) return error;
    sk_stay *stay = (sk_stay *)sk_lazy_slab_alloc(&stays);
    if (!stay) return -ENOMEM;
    stay->lent = false;
    enter(extra, stay, t, c);
    return 0;
}

/* False: it is of a skua_context_run that goes on; or the task has entered before it made the call that it is in, which
   is caught: a job that it runs for a pool. */
static bool may_be_left(const sk_stay *stay)
{
    if (stay->runs) return false;
    const sk_catch *call = sk_catch_first();
    const skua_deferred *d = stay->task->deferred;
    while (call && d && d != &stay->deferred && d != &call->deferred) d = d->next;
    return !call || d == &stay->deferred;
}

int skua_context_leave(skua_context *c)
{
    int error = sk_context_check(c);
    if (error) return error;
    sk_extra *extra = sk_extra_look();
    if (!extra || !extra->context || innermost(extra)->context != c) return -EPERM;
    if (!may_be_left(innermost(extra))) return -EPERM;
    end_innermost(extra);
    return 0;
}

int skua_context_run(skua_context *c, skua_fn *fn, void *arg)
{
    int error = fn ? skua_context_enter(c) : -EINVAL;
    if (error) return error;
    sk_extra *extra = sk_extra_look();
    const sk_stay *outer = innermost(extra)->outer;
    innermost(extra)->runs = true;
    int result = fn(arg);
    end_those_in(extra, outer); /* also what fn has entered and not left */
    return result;
}

skua_context *skua_context_current(void)
{
    sk_extra *extra = sk_extra_look();
    return extra && extra->context ? innermost(extra)->context : NULL;
}

/* ---- tasks that begin inside ---- */

/* Such a task's owner, from its birth to its end, whether it ever starts or not; and all that it needs to stand in the
   context. */
typedef struct sk_inside {
    sk_task_owner owner;   /* I */
    skua_context *context; /* I, kept; and link of the slab's free list */
    skua_fn *fn;           /* I */
    void *arg;             /* I */
    sk_extra extra;        /* runner, as what is lent to it */
    sk_stay stay;          /* the same; runner and lock of the context */
} sk_inside;

static sk_lazy_slab insides = SK_LAZY_SLAB(sk_inside, context);

static int run_inside(void *arg)
{
    sk_inside *inside = (sk_inside *)arg;
    sk_task *t = NULL;
    (void)sk_own_task(&t);
    t->fn = inside->fn; /* as reports name it */
    sk_extra_lend(&inside->extra);
    inside->stay.lent = true;
    enter(&inside->extra, &inside->stay, t, inside->context);
    int result = inside->fn(inside->arg);
    end_all(&inside->extra);
    return result;
}

static void free_inside(sk_inside *inside)
{
    sk_context_put(inside->context);
    sk_lazy_slab_free(&insides, inside);
}

static sk_task *inside_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)w, (void)t, (void)end, (void)result;
    free_inside(sk_container_of(owner, sk_inside, owner));
    return NULL;
}

static sk_inside *new_inside(skua_context *c, skua_runtime *rt, skua_fn *fn, void *arg)
{
    sk_inside *inside = (sk_inside *)sk_lazy_slab_alloc(&insides);
    if (!inside) return NULL;
    sk_owner_init(&inside->owner, rt, inside_ended);
    sk_context_keep(c);
    inside->context = c;
    inside->fn = fn;
    inside->arg = arg;
    return inside;
}

/* The caller holds it. */
static void launch(sk_task *t, const skua_task_options *o, unsigned cls)
{
    sk_worker *w = sk_worker_self();
    if (cls != sk_task_runtime(t)->stack_class || o->delay || o->start_within || o->finish_within) {
        uint64_t due = sk_deadline_after(sk_clock_ns(), o->delay);
        sk_task_set_deadlines(t, o->start_within ? sk_deadline_after(due, o->start_within) : 0,
                              o->finish_within ? sk_deadline_after(due, o->finish_within) : 0);
        t->stack_class = (uint8_t)cls;
    }
    if (o->delay) {
        sk_task_start_in(w, t, o->delay, sk_timer_tag(sk_load_rlx(&t->state.serial), SK_TIMER_DELAY));
        return;
    }
    if (sk_task_is_timed(t)) sk_task_arm_deadline(w, t);
    sk_ready(w, t);
}

static int spawn_on(skua_runtime *rt, sk_inside *inside, skua_task *out, const skua_task_options *o)
{
    int error;
    unsigned cls = o->stack_size ? sk_stack_class_of(o->stack_size) : rt->stack_class;
    if (cls >= SK_STACK_CLASSES) return -EINVAL;
    sk_task *t = sk_task_new(sk_local_self(), &inside->owner, run_inside, inside, out != NULL,
                             o->delay ? SK_DELAYED : SK_ACTIVE, &error);
    if (!t) return error;
    if (out) {
        out->ref = t;
        out->serial = sk_load_rlx(&t->state.serial);
    }
    launch(t, o, cls);
    return 0;
}

/* A running task keeps its own runtime; any other one may be being released. */
static int spawn_visiting(skua_runtime *rt, sk_inside *inside, skua_task *out, const skua_task_options *o)
{
    if (rt == skua_runtime_current()) return spawn_on(rt, inside, out, o);
    if (!sk_runtime_enter(rt)) return -ESHUTDOWN;
    int error = spawn_on(rt, inside, out, o);
    sk_runtime_exit(rt);
    return error;
}

int skua_context_spawn(skua_task *out, skua_context *c, const skua_task_options *options, skua_fn *fn, void *arg)
{
    static const skua_task_options none = {0};
    const skua_task_options *o = options ? options : &none;
    int error = fn ? sk_context_check(c) : -EINVAL;
    if (error) return error;
    skua_runtime *rt = o->runtime ? o->runtime : skua_runtime_current();
    if (!rt && !(rt = skua_runtime_default())) return -ENOMEM;
    error = sk_runtime_check(rt);
    if (error) return error;
    sk_inside *inside = new_inside(c, rt, fn, arg);
    if (!inside) return -ENOMEM;
    error = spawn_visiting(rt, inside, out, o);
    if (error) free_inside(inside);
    return error;
}

int skua_context_go(skua_context *c, skua_fn *fn, void *arg)
{
    return skua_context_spawn(NULL, c, NULL, fn, arg);
}

#ifndef SK_MODEL
static uint64_t out_of(sk_lazy_slab *lazy)
{
    sk_slab_numbers numbers;
    sk_slab *slab = sk_lazy_slab_get(lazy);
    if (!slab) return 0;
    sk_slab_stats(slab, &numbers);
    return numbers.carved - numbers.depot;
}

uint64_t sk_stays_out(void)
{
    return out_of(&stays) + out_of(&insides);
}
#endif
