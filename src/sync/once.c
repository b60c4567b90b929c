/*
 * once.c: the once behind skua/once.h.
 *
 * The state goes FRESH -> RUNNING -> DONE, each step under the short lock; waits go by
 * turn.h.  Invariant, when it is free: somebody waits only while it is RUNNING.
 *
 * Why no waiter is stranded: RUNNING ends when fn returns or gives up.  Both are the
 * same call of finish: a deferred call of the running task, or what follows a call
 * that is caught; outside of these giving up ends the process.  It makes the state
 * DONE and serves all who wait in one hold of the lock.  Giving up changes nothing
 * for others.  A caller that would wait for itself is told so.
 */
#include "skua/once.h"

#include "runtime/giveup.h"
#include "runtime/local.h"
#include "skua/fault.h"
#include "sync/turn.h"

enum { FRESH = 0, RUNNING = 1, DONE = 2 };

typedef struct __attribute__((may_alias)) once {
    sk_lock lock;
    sk_atomic(uint32_t) state; /* lock; anyone peeks */
    int32_t result;            /* of fn, when it is DONE: I from then on */
    int32_t unused;
    void *runner; /* lock: the task or thread that is at it */
    sk_waiters waiters;
} once;

#ifndef SK_MODEL
_Static_assert(sizeof(once) == sizeof(skua_once), "what the public header promises");
#endif

/* ---- running ---- */

typedef struct run {
    once *o;
    int result;
} run;

/* Deferred. */
static int finish(void *arg)
{
    const run *r = (const run *)arg;
    once *o = r->o;
    sk_served served = {NULL, NULL};
    sk_lock_take(&o->lock);
    o->result = r->result;
    o->runner = NULL;
    /* [OC-R1] release; pairs with [OC-A1]: the result, and what fn did. */
    sk_store_rel(&o->state, (uint32_t)DONE);
    (void)sk_serve_all(&o->waiters, SK_SERVED, &served);
    sk_lock_drop(&o->lock);
    sk_served_wake_next(&served);
    return 0;
}

/* On a foreign thread, which has no deferred calls, in a call that is caught below: a fault goes on there. */
static int run_caught(run *r, sk_catch *below, skua_fn *fn, void *arg)
{
    sk_catch c;
    r->result = sk_call_caught(&c, below->owner, fn, arg);
    int result = r->result;
    (void)finish(r);
    if (sk_likely(!c.fault)) return result;
    below->fault = c.fault; /* it has been told, and is not told again */
    skua_panic_task_at(c.fault->file, c.fault->line, "%s", c.fault->message);
}

static int run_it(once *o, skua_fn *fn, void *arg)
{
    run r = {o, -EFAULT}; /* what remains when fn gives up */
    skua_deferred d;
    if (sk_likely(skua_defer(&d, finish, &r) == 0)) {
        r.result = fn(arg);
        (void)skua_defer_run(&d);
        return r.result;
    }
    sk_catch *below = sk_catch_first();
    if (below) return run_caught(&r, below, fn, arg);
    r.result = fn(arg); /* who gives up here ends the process */
    (void)finish(&r);
    return r.result;
}

/* ---- coming ---- */

static void *myself(void)
{
    sk_task *t;
    return sk_own_task(&t) == 0 ? (void *)t : (void *)sk_local_get();
}

/* Under the lock: what is to be done: FRESH: call fn; RUNNING: wait; DONE; or an error. */
static int look(once *o, void *me, bool may_wait, sk_turn *turn)
{
    uint32_t state = sk_load_rlx(&o->state);
    if (state == RUNNING) {
        if (o->runner == me) return -EDEADLK;
        if (!may_wait) return -ETIMEDOUT;
        sk_turn_join(&o->waiters, turn);
    } else if (state == FRESH) {
        o->runner = me;
        sk_store_rlx(&o->state, (uint32_t)RUNNING);
    }
    return (int)state;
}

static sk_noinline int come(once *o, skua_fn *fn, void *arg, uint64_t timeout)
{
    sk_turn turn;
    int error = sk_turn_init(&turn, NULL);
    if (error) return error;
    void *me = myself();
    sk_lock_take(&o->lock);
    int found = look(o, me, timeout != 0, &turn);
    sk_lock_drop(&o->lock);
    if (found < 0) return found;
    if (found == FRESH) return run_it(o, fn, arg);
    if (found == RUNNING) error = sk_turn_wait(&turn, &o->lock, &o->waiters, sk_deadline_of(timeout), "once", o);
    return error ? error : o->result;
}

static bool is_done(once *o)
{
    /* [OC-A1] acquire; pairs with [OC-R1]. */
    return sk_load_acq(&o->state) == DONE;
}

int skua_once_do_for(skua_once *public_o, skua_fn *fn, void *arg, uint64_t timeout)
{
    int error = sk_refused(public_o);
    if (sk_unlikely(error || !fn)) return error ? error : -EINVAL;
    once *o = (once *)(void *)public_o;
    return sk_likely(is_done(o)) ? o->result : come(o, fn, arg, timeout);
}

int skua_once_do(skua_once *o, skua_fn *fn, void *arg)
{
    return skua_once_do_for(o, fn, arg, SKUA_FOREVER);
}

int skua_once_is_done(const skua_once *o)
{
    return o && is_done((once *)(uintptr_t)o);
}
