/*
 * giveup.c: deferred calls, and giving up a task from any depth.
 *
 * How a task gives up.  A task runs on a stack at whose bottom stands a loop, and
 * loops are all alike: none has anything of its own in its frames (sched.c).  So
 * the stack needs not be unwound and not be exchanged.  It begins anew: a fresh
 * context is made at its top, whose sk_loop finds in `commit` what is left to do
 * on arrival, here the end of the task.  That takes no memory, and cannot fail.
 *
 *   1. the fault is written down and told, at the depth at which it happened
 *   2. the deferred calls are made, on top of the frames that gave up: what
 *      they point to lies in these frames.  They may park, as any call
 *   3. sk_fiber_restart: the frames are gone
 *   4. the new loop arrives and ends the task
 *
 * Why nothing is lost.  Up to 3 the task is an ordinary running task, whatever
 * its deferred calls do.  From 3 to 4 nobody can see it but its worker, whose
 * thread stands here and does nothing else.  What the frames held for the
 * scheduler: the loop's, a worker that it asks for anew; those of dispatch, how
 * many tasks it has chained, and the next one, which does not exist yet.  When
 * the end names one (a pool hands its slot on) it goes to the queue, not to
 * `pending`: tasks that all give up would keep the loop from its timers.  A stack
 * of a special class is left by the new loop before it takes other tasks.
 *
 * A fault in a deferred call goes on with step 2 where it stands, on top of the
 * frames of that call: it may have deferred calls in its own frames.  Whoever
 * comes to the end of the list first goes on to step 3; the loops over the list
 * below are never returned to.
 *
 * The record of a fault lives from 1 until the task is released, or moves to the
 * job whose task it was.  Without memory for it the handler still gets all of it,
 * and later readers a constant.
 *
 * A call that is caught (giveup.h) ends before 3: its mark is a deferred call below
 * all that it has deferred, which does not return, but jumps back to below the call.
 * So the task that made it goes on, with the fault that it had itself, if any.
 */
#include "runtime/giveup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem/lazy_slab.h"
#include "os/fork.h"
#include "runtime/extra.h"
#include "runtime/sched.h"

/* ---- deferred calls ---- */

/* The task that runs on this thread, in a blocking call too: its runner is who calls. 0 or an error. */
int sk_own_task(sk_task **t)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_local *local = sk_local_self();
    *t = !local ? NULL : local->worker ? local->worker->task : local->blocked_task;
    return *t ? 0 : -EPERM;
}

/* Deferred: the mark of a call that is caught. Does not return. */
static int come_back(void *catch);

static skua_deferred **place_of(sk_task *t, const skua_deferred *d)
{
    skua_deferred **place = &t->deferred;
    while (*place && *place != d) place = &(*place)->next;
    return place;
}

/* The deferred call of what only some tasks have: not the task's own. */
static const skua_deferred *last_of(const sk_task *t)
{
    return t->fiber != SK_FIBER_NONE && t->extra ? &t->extra->last : NULL;
}

void sk_defer_last(sk_task *t, skua_deferred *d, skua_fn *fn)
{
    skua_deferred **place = place_of(t, NULL);
    *d = (skua_deferred){NULL, fn, d};
    *place = d;
}

int skua_defer(skua_deferred *d, skua_fn *fn, void *arg)
{
    sk_task *t;
    if (!d || !fn) return -EINVAL;
    int error = sk_own_task(&t);
    if (error) return error;
    if (*place_of(t, d)) return -EALREADY;
    *d = (skua_deferred){t->deferred, fn, arg};
    t->deferred = d;
    if (t->fiber == SK_FIBER_NONE) t->fiber = SK_FIBER_SPECIAL; /* so that the end looks */
    return 0;
}

/* Out of the list first: the call may defer, take back, and give up. */
static void take_and_call(skua_deferred **place)
{
    skua_deferred *d = *place;
    *place = d->next;
    (void)d->fn(d->arg); /* which may free d */
}

/* Takes the call back and makes it, or does not. */
static int take_back(const skua_deferred *d, bool latest, bool run)
{
    sk_task *t;
    int error = sk_own_task(&t);
    if (error) return error;
    skua_deferred **place = latest ? &t->deferred : place_of(t, d);
    if (!*place || (*place)->fn == come_back || *place == last_of(t)) return -ENOENT;
    if (run)
        take_and_call(place);
    else
        *place = (*place)->next;
    return 0;
}

int skua_defer_run(skua_deferred *d)
{
    return d ? take_back(d, false, true) : -EINVAL;
}

int skua_undefer(skua_deferred *d)
{
    return d ? take_back(d, false, false) : -EINVAL;
}

int skua_defer_pop(int run)
{
    return take_back(NULL, true, run != 0);
}

/* A call that has left its blocking call open: ends it. The worker, and so the thread, may be another one then. */
static sk_worker *back_at_work(void)
{
    sk_worker *w = sk_worker_self();
    if (sk_likely(w != NULL)) return w;
    skua_blocking_end();
    return sk_worker_self();
}

/* On this stack, but not among the frames that still stand, which are above `standing`. */
static bool lies_in_a_left_frame(const skua_deferred *d, const void *standing)
{
    const char *base = sk_stack_base(&sk_worker_self()->fiber->stack);
    return (uintptr_t)d >= (uintptr_t)base && (uintptr_t)d < (uintptr_t)standing;
}

sk_noinline sk_worker *sk_run_deferred(sk_task *t)
{
    while (t->deferred) {
        if (sk_unlikely(lies_in_a_left_frame(t->deferred, __builtin_dwarf_cfa())))
            sk_panic("a deferred call lies in a frame that was left: take it back before, see skua_defer");
        take_and_call(&t->deferred);
        (void)back_at_work();
    }
    return sk_worker_self();
}

/* ---- the record of a fault ---- */

typedef struct record {
    skua_fault fault; /* first */
    void *link;       /* of the slab's free list */
} record;

static sk_lazy_slab records = SK_LAZY_SLAB(record, link);
static skua_fault not_kept = {.file = "?", .message = "(no memory to keep the message)"};

skua_fault *sk_keep_fault(const skua_fault *fault)
{
    record *r = (record *)sk_lazy_slab_alloc(&records);
    if (!r) return &not_kept;
    r->fault = *fault;
    return &r->fault;
}

void sk_drop_fault(skua_fault *fault)
{
    if (fault && fault != &not_kept) sk_lazy_slab_free(&records, sk_container_of(fault, record, fault));
}

void sk_forget_fault(sk_task *t)
{
    sk_drop_fault(t->fault);
    t->fault = NULL;
}

void sk_copy_fault(const sk_task *t, skua_fault *out)
{
    *out = sk_has_fault(t) ? *t->fault : (skua_fault){.file = NULL};
}

static bool same_life(const sk_task *t, skua_task handle)
{
    return sk_load_rlx((sk_atomic(uint64_t) *)&t->state.serial) == handle.serial;
}

/* By the join word: may the holder of the handle look at what the end has left? */
static int has_ended(sk_task *t, skua_task handle)
{
    uint64_t word = sk_join_look(&t->join);
    unsigned kind = sk_join_kind(word);
    bool gone =
        kind == SK_JOIN_DETACHED || kind == SK_JOIN_GIVEN || word >> SK_JOIN_TAG_SHIFT != (handle.serial & 0xffff);
    if (gone || !same_life(t, handle)) return -ESRCH;
    return kind == SK_JOIN_ENDED ? 0 : -EAGAIN;
}

int skua_fault_of(skua_task task, skua_fault *out)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    sk_task *t = (sk_task *)task.ref, *self = NULL;
    if (!t) return -ESRCH;
    (void)sk_own_task(&self);
    int error = t == self && same_life(t, task) ? 0 : has_ended(t, task);
    if (error) return error;
    if (!t->fault) return -ENODATA;
    *out = *t->fault;
    out->task = task;
    return 0;
}

/* ---- who is told ---- */

static sk_atomic(const skua_fault_choice *) chosen;

int skua_on_fault(const skua_fault_choice *choice)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (choice && !choice->handler) return -EINVAL;
    /* [GU-R1] release; pairs with [GU-A1] in tell. Without it a fault could find the choice before what it says. */
    sk_store_rel(&chosen, choice);
    return 0;
}

static sk_noinline _Noreturn void die(const char *before, const skua_fault *fault)
{
    char line[sizeof fault->message + 512];
    int n = snprintf(line, sizeof line, "skua: %s: %s (%.200s:%d)\n", before, fault->message, fault->file, fault->line);
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    (void)written;
    abort();
}

void skua_fault_abort(const skua_fault *fault, void *unused)
{
    (void)unused;
    die("a task gave up", fault);
}

/* owner: NULL: nobody is told. */
static void tell(sk_task_owner *owner, const skua_fault *fault)
{
    if (!owner || (owner->faulted && owner->faulted(owner, fault))) return;
    /* [GU-A1] acquire; pairs with [GU-R1]. */
    const skua_fault_choice *choice = sk_load_acq(&chosen);
    if (choice) choice->handler(fault, choice->arg);
}

/* ---- giving up ---- */

/* On the stack that has begun anew: the task has left it for good. */
static void commit_end(sk_worker *w, sk_task *t, void *unused)
{
    (void)unused;
    sk_task *next = sk_task_end(w, t, sk_end_of(-EFAULT, sk_state_marks(&t->state)), -EFAULT);
    if (next) sk_push(w, next);
}

static _Noreturn void leave_for_good(sk_task *t)
{
    sk_worker *w = sk_worker_self();
    sk_task_end_limit(t);
    w->task = NULL;
    w->commit = commit_end;
    w->leaver = t;
    w->commit_arg = NULL;
    sk_fiber_restart(w->fiber, sk_loop, NULL);
}

/* The first fault of a task or of a call: written down and told. Its frame, which holds the message, is left before the
   deferred calls, so that many that give up in turn need little stack. */
static sk_noinline void raise_first(sk_task *t, sk_catch *c, const char *file, int line, const char *format,
                                    va_list args)
{
    skua_fault fault = {.task = {t, 0}, .file = file, .line = line};
    if (format) (void)vsnprintf(fault.message, sizeof fault.message, format, args);
    if (!t && !c) die("panic outside of a task", &fault);
    if (t) {
        fault.task.serial = sk_load_rlx(&t->state.serial);
        if (t->fiber == SK_FIBER_NONE) t->fiber = SK_FIBER_SPECIAL; /* so that the release looks */
    }
    *(t ? &t->fault : &c->fault) = sk_keep_fault(&fault);
    tell(c ? c->owner : sk_task_owner_of(t), &fault);
}

void skua_panic_task_at(const char *file, int line, const char *format, ...)
{
    sk_task *t = NULL;
    va_list args;
    va_start(args, format);
    int error = sk_own_task(&t);
    if (error) t = NULL; /* a forked child: the task is the parent's */
    sk_catch *c = error == -ECHILD ? NULL : sk_catch_first();
    if (t) (void)back_at_work();
    const skua_fault *raised = t ? t->fault : c ? c->fault : NULL;
    if (!raised) raise_first(t, c, file ? file : "?", line, format, args);
    va_end(args);
    if (!t) come_back(c);
    (void)back_at_work();
    sk_run_deferred(t);
    leave_for_good(t);
}

void skua_fault_rethrow(const skua_fault *fault)
{
    if (!fault) skua_panic_task_at("?", 0, "a fault that is not there");
    skua_panic_task_at(fault->file, fault->line, "%s", fault->message);
}

/* ---- calls that are caught ---- */

static sk_catch *catch_in(skua_deferred *d)
{
    while (d && d->fn != come_back) d = d->next;
    return d ? sk_container_of(d, sk_catch, deferred) : NULL;
}

sk_catch *sk_catch_first(void)
{
    sk_task *t;
    if (sk_own_task(&t) == 0) return t->fiber == SK_FIBER_NONE ? NULL : catch_in(t->deferred);
    sk_local *local = sk_local_self();
    return local ? (sk_catch *)local->catching : NULL;
}

sk_catch *sk_catch_around(const sk_catch *c)
{
    return c->deferred.fn ? catch_in(c->deferred.next) : c->outer;
}

static int come_back(void *catch)
{
    sk_task *t;
    sk_catch *c = (sk_catch *)catch;
    if (sk_own_task(&t) == 0) c->fault = t->fault;
    longjmp(c->back, 1);
}

static void begin_catch(sk_catch *c, sk_task *t, sk_task_owner *owner)
{
    *c = (sk_catch){.owner = owner, .bracketed = t && !sk_worker_self()};
    if (t) {
        if (t->fiber == SK_FIBER_NONE) t->fiber = SK_FIBER_SPECIAL;
        c->before = t->fault;
        c->sections = sk_extra_sections();
        t->fault = NULL;
        c->deferred = (skua_deferred){t->deferred, come_back, c};
        t->deferred = &c->deferred;
    } else {
        sk_local *local = sk_local_self();
        c->outer = (sk_catch *)local->catching;
        local->catching = c;
    }
}

/* The call has returned, or has given up. */
static void end_catch(sk_catch *c, sk_task *t)
{
    if (!t) {
        sk_local_self()->catching = c->outer;
        return;
    }
    t->deferred = c->deferred.next;
    t->fault = c->before;
    sk_extra_end_sections(c->sections);
    if (c->bracketed && sk_worker_self()) (void)skua_blocking_begin();
    if (!c->bracketed) (void)back_at_work();
}

/* Those that the call has deferred and not taken back. */
static void run_own_deferred(sk_catch *c, sk_task *t)
{
    while (t->deferred != &c->deferred) {
        (void)back_at_work();
        take_and_call(&t->deferred);
    }
}

static sk_task *own_or_none(void)
{
    sk_task *t;
    return sk_own_task(&t) ? NULL : t;
}

static sk_noinline int after_fault(sk_catch *c)
{
    end_catch(c, own_or_none());
    return -EFAULT;
}

static sk_noinline void after_return(sk_catch *c)
{
    sk_task *t = own_or_none();
    if (t) run_own_deferred(c, t);
    end_catch(c, t);
}

/* Nothing in this frame changes after setjmp. */
int sk_call_caught(sk_catch *c, sk_task_owner *owner, skua_fn *fn, void *arg)
{
    begin_catch(c, own_or_none(), owner);
    if (sk_unlikely(setjmp(c->back))) return after_fault(c);
    int result = fn(arg);
    after_return(c);
    return result;
}
