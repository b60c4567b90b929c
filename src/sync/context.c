/*
 * context.c: the tree of contexts, and how they end; context_task.c has the tasks
 * that stand in them.
 *
 * What guards what
 *
 *   Each context has a short lock (os/lock.h).  Nobody takes one while he holds
 *   another: so there is no order of locks.  What a thread wants from several
 *   contexts it does one after the other, and keeps them in between (`users`).
 *
 *   A context keeps its parent; the parent's list of children keeps nobody.  A child
 *   takes itself out of the list before its memory goes, under the parent's lock; so
 *   who finds it in the list, under that lock, may try to keep it, which fails if its
 *   last user has gone (keep_alive).  Then nobody can tell whether it has ended.
 *
 * How a context ends
 *
 *   1. mark   under its lock, `ended` 0 -> why [CX-R1].  Exactly one caller wins, and
 *             goes on with this context
 *   2. below  takes the children out of the list, some at a time, and marks each.
 *             Those it has marked stand in a list of its own, and it goes on with the
 *             next of them: no recursion, however deep the tree
 *   3. let    for each of them: ends the parks of the tasks that stand in it, closes
 *      out    `done`, stops the timer
 *
 * Nothing below slips through.  A new child looks at its parent under the parent's
 * lock: it finds it marked, and is born ended, or it puts itself into the list before
 * the mark, where step 2 finds it.  Two who end overlapping trees share them: whoever
 * has marked a context sees to all below it.
 *
 * No park in an ended context goes on.  A task enters by attaching its stay under the
 * lock, and has its scope in its record before it parks next.
 *
 *   Enter beside end   It attaches after the mark: then it has seen the lock of the
 *                      mark, and its first look before a park finds `ended`
 *                      (sk_extra_may_park).  Before: then step 3 finds the stay.
 *   Park beside end    Step 3 comes after the mark, and looks at the task's state
 *                      word; a park is PARKED first, and then looks at `ended`; all
 *                      sequentially consistent (runtime/extra.h, park.c).  So step 3
 *                      finds it PARKED, and wakes it; or the parker finds `ended`,
 *                      and wakes itself.  At most one succeeds, by the generation.
 *   Later parks        find `ended` before they leave the stack: it stays.
 *   Nested             Only the innermost stay is attached, and only its scope is in
 *                      the record.  When the inner one is left, the scope of the outer
 *                      one is put back, and it is attached again: as an enter.  So a
 *                      task is never woken for a context that does not count for it.
 *   Leave beside end   Detaching takes the lock, or finds that step 3 has taken the
 *                      stay out, under the lock: either way it looks at the task no
 *                      more.  It looks under the lock, where the task cannot leave,
 *                      let alone end; who it has woken is in its hands, and is made
 *                      ready once the lock has been dropped.
 *
 * The commit of a park that has long been woken may look at `ended` of a context that
 * is gone: contexts are type-stable memory, and the wake fails by its generation.
 *
 * The timer is a task of the default runtime that has not started.  It does not keep
 * the context, or one with a far deadline could not be given up: it holds its memory
 * only, until the timer's task has ended, which is told once whatever becomes of it:
 * it ran, was stopped, or was dropped by a runtime that is released (timer_ended).
 */
#include "sync/context.h"

#include <errno.h>
#include <string.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "runtime/sched.h"
#include "runtime/shutdown.h"

enum { BATCH = 32 }; /* done with one hold of a lock */

static sk_lazy_slab contexts = SK_LAZY_SLAB(skua_context, parent);

/* ---- users ---- */

int sk_context_check(const skua_context *c)
{
    if (sk_unlikely(!c)) return -EINVAL;
    if (sk_unlikely(sk_forked())) return -ECHILD;
#ifdef SK_DEBUG
    if (c->magic != SK_CONTEXT_LIVE) return -EBADF;
#endif
    return 0;
}

void sk_context_keep(skua_context *c)
{
    sk_add_rlx(&c->users, 1u);
}

/* One more user, if there still is one. The memory is there: of a child under its parent's lock, or by a hold. */
static bool keep_alive(skua_context *c)
{
    uint32_t users = sk_load_rlx(&c->users);
    while (users)
        if (sk_cas_rlx(&c->users, &users, users + 1)) return true;
    return false;
}

static void unhold(skua_context *c)
{
    /* [CX-R4] acquire-release; pairs with itself: who frees the memory comes after the other. */
    if (sk_sub_ar(&c->holds, 1u) == 1) sk_lazy_slab_free(&contexts, c);
}

/* Under the parent's lock. */
static void unlink_child(skua_context *parent, skua_context *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        parent->children = c->next;
    if (c->next) c->next->prev = c->prev;
    c->linked = false;
}

/* It has no user any more, and so no child and no stay. */
static void bury(skua_context *c)
{
    skua_context *parent = c->parent;
    sk_assert(c->magic == SK_CONTEXT_LIVE);
    if (parent) {
        sk_lock_take(&parent->lock);
        if (c->linked) unlink_child(parent, c);
        sk_lock_drop(&parent->lock);
    }
    c->magic = SK_CONTEXT_FREED;
    if (c->timer.task.ref) (void)skua_timer_stop(c->timer);
    if (c->done) (void)skua_chan_release(c->done);
    if (c->destroy) c->destroy(c->value);
    unhold(c);
}

void sk_context_put(skua_context *c)
{
    skua_context *parent;
    /* [CX-R3] acquire-release; pairs with itself: who buries it comes after all that the others did with it. */
    for (; c && sk_sub_ar(&c->users, 1u) == 1; c = parent) {
        parent = c->parent;
        bury(c);
    }
}

/* ---- ending: mark ---- */

/* False: it has ended before. */
static bool mark(skua_context *c, sk_ending ending)
{
    sk_lock_take(&c->lock);
    bool first = sk_load_rlx(&c->scope.ended) == 0;
    if (first) {
        c->cause = ending.cause;
        /* [CX-R1] sequentially consistent; pairs with [PK-A1]: before the looks at the tasks' state words [PK-A2]; and
           as a release with [CX-A1] and [CX-A2]: what its ender did before. */
        sk_store_sc(&c->scope.ended, 1u + (uint32_t)ending.why);
    }
    sk_lock_drop(&c->lock);
    return first;
}

/* ---- ending: below ---- */

/* Takes some children out of the list and keeps them. True: there may be more. */
static bool take_children(skua_context *c, skua_context **child, size_t *n)
{
    *n = 0;
    sk_lock_take(&c->lock);
    for (size_t i = 0; i < BATCH && c->children; i++) {
        skua_context *first = c->children;
        unlink_child(c, first);
        if (keep_alive(first)) child[(*n)++] = first;
    }
    bool more = c->children != NULL;
    sk_lock_drop(&c->lock);
    return more;
}

/* Marks the children of one, and appends them to the list; returns its new last. */
static skua_context *mark_children(skua_context *c, skua_context *last, sk_ending ending)
{
    skua_context *child[BATCH];
    size_t n;
    bool more;
    do {
        more = take_children(c, child, &n);
        for (size_t i = 0; i < n; i++) {
            if (mark(child[i], ending))
                last = last->following = child[i];
            else
                sk_context_put(child[i]);
        }
    } while (more);
    return last;
}

/* ---- ending: let out ---- */

/* Takes some stays out of the list, and those of their tasks that were parked into its hands. True: there may be more.
 */
static bool take_parked(skua_context *c, sk_why why, sk_task **task, size_t *n)
{
    *n = 0;
    sk_lock_take(&c->lock);
    for (size_t i = 0; i < BATCH && c->stays; i++) {
        sk_stay *stay = c->stays;
        c->stays = stay->next;
        if (stay->next) stay->next->prev = NULL;
        stay->attached = false;
        if (sk_task_interrupt(stay->task, why)) task[(*n)++] = stay->task;
    }
    bool more = c->stays != NULL;
    sk_lock_drop(&c->lock);
    return more;
}

static void let_out(skua_context *c, sk_ending ending)
{
    sk_task *task[BATCH];
    size_t n;
    bool more;
    do {
        more = take_parked(c, ending.why, task, &n);
        for (size_t i = 0; i < n; i++) sk_ready(sk_worker_self(), task[i]);
    } while (more);
    sk_lock_take(&c->lock);
    skua_chan *done = c->done; /* one that comes later is closed by whoever makes it */
    sk_lock_drop(&c->lock);
    if (done) (void)skua_chan_close(done);
    if (c->timer.task.ref) (void)skua_timer_stop(c->timer);
}

bool sk_context_end(skua_context *c, sk_ending ending)
{
    if (!mark(c, ending)) return false;
    sk_context_keep(c); /* each in the list is kept until it has been let out */
    skua_context *last = c, *next;
    for (next = c;; next = next->following) {
        last = mark_children(next, last, ending);
        if (next == last) break;
    }
    last->following = NULL;
    for (; c; c = next) {
        next = c->following;
        let_out(c, ending);
        sk_context_put(c);
    }
    return true;
}

/* ---- the timer ---- */

static int time_is_up(void *arg)
{
    skua_context *c = (skua_context *)arg;
    sk_ending ending = {SK_WHY_EXPIRED, -ETIMEDOUT};
    if (!keep_alive(c)) return 0;
    (void)sk_context_end(c, ending);
    sk_context_put(c);
    return 0;
}

/* Dropped: nobody measures the time any more, and who relies on it must not wait for ever. */
static sk_task *timer_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)w, (void)t, (void)result;
    skua_context *c = sk_container_of(owner, skua_context, timing);
    sk_ending ending = {SK_WHY_CANCEL, -ESHUTDOWN};
    if (end == SK_DROPPED && keep_alive(c)) {
        (void)sk_context_end(c, ending);
        sk_context_put(c);
    }
    unhold(c);
    return NULL;
}

/* Its maker, before anybody else knows it. */
static int start_timer(skua_context *c, uint64_t ns)
{
    int error = -ESHUTDOWN;
    skua_runtime *rt = skua_runtime_default();
    if (!rt) return -ENOMEM;
    if (!sk_runtime_enter(rt)) return error;
    sk_owner_init(&c->timing, rt, timer_ended);
    sk_task *t = sk_task_new(sk_local_self(), &c->timing, time_is_up, c, false, SK_DELAYED, &error);
    if (t) {
        sk_add_rlx(&c->holds, 1u);
        c->timer.task.ref = t;
        c->timer.task.serial = sk_load_rlx(&t->state.serial);
        sk_task_set_deadlines(t, 0, 0);
        sk_task_start_in(sk_worker_self(), t, ns, sk_timer_tag(c->timer.task.serial, SK_TIMER_DELAY));
    }
    sk_runtime_exit(rt);
    return t ? 0 : error;
}

/* ---- making ---- */

static skua_context *allocate(skua_context *parent)
{
    skua_context *c = (skua_context *)sk_lazy_slab_alloc(&contexts);
    if (!c) return NULL;
    sk_store_rlx(&c->scope.ended, 0u); /* on its own: a park of the life before may still look */
    memset((void *)&c->lock, 0, sizeof *c - offsetof(skua_context, lock));
    sk_store_rlx(&c->users, 1u);
    sk_store_rlx(&c->holds, 1u);
    if (parent) sk_context_keep(parent);
    c->parent = parent;
    c->deadline = parent ? parent->deadline : SKUA_FOREVER;
    c->magic = SK_CONTEXT_LIVE;
    return c;
}

/* Whether it will be born ended, whatever its own deadline is. */
static bool is_below_an_end(const skua_context *c)
{
    return c->parent && sk_load_rlx(&c->parent->scope.ended) != 0;
}

/* Its own deadline, when that is earlier. */
static int limit(skua_context *c, uint64_t deadline)
{
    if (deadline >= c->deadline) return 0;
    c->deadline = deadline;
    if (is_below_an_end(c)) return 0; /* as its parent: see link_to_parent */
    uint64_t now = sk_clock_ns();
    if (deadline > now) return start_timer(c, deadline - now);
    sk_ending ending = {SK_WHY_EXPIRED, -ETIMEDOUT};
    (void)mark(c, ending);
    return 0;
}

/* Puts it into the list of its parent's children; or it ends as that did. */
static void link_to_parent(skua_context *c)
{
    skua_context *parent = c->parent;
    if (!parent) return;
    sk_lock_take(&parent->lock);
    uint32_t ended = sk_load_rlx(&parent->scope.ended);
    int cause = parent->cause;
    if (!ended) {
        c->next = parent->children;
        if (c->next) c->next->prev = c;
        parent->children = c;
        c->linked = true;
    }
    sk_lock_drop(&parent->lock);
    sk_ending ending = {(sk_why)(ended - 1), cause};
    if (ended) (void)sk_context_end(c, ending);
}

static int create(skua_context **out, skua_context *parent, uint64_t deadline)
{
    if (!out) return -EINVAL;
    int error = parent ? sk_context_check(parent) : sk_forked() ? -ECHILD : 0;
    if (error) return error;
    skua_context *c = allocate(parent);
    if (!c) return -ENOMEM;
    error = limit(c, deadline);
    if (error) {
        sk_context_put(c);
        return error;
    }
    link_to_parent(c);
    *out = c;
    return 0;
}

int skua_context_create(skua_context **out, skua_context *parent)
{
    return create(out, parent, SKUA_FOREVER);
}

int skua_context_create_until(skua_context **out, skua_context *parent, uint64_t deadline)
{
    return create(out, parent, deadline);
}

int skua_context_create_for(skua_context **out, skua_context *parent, uint64_t timeout)
{
    return create(out, parent, timeout == SKUA_FOREVER ? SKUA_FOREVER : sk_deadline_after(sk_clock_ns(), timeout));
}

int skua_context_create_value(skua_context **out, skua_context *parent, const void *key, void *value,
                              void (*destroy)(void *value))
{
    if (!key) return -EINVAL;
    int error = create(out, parent, SKUA_FOREVER);
    if (error) return error;
    (*out)->key = key;
    (*out)->value = value;
    (*out)->destroy = destroy;
    return 0;
}

int skua_context_retain(skua_context *c)
{
    int error = sk_context_check(c);
    if (!error) sk_context_keep(c);
    return error;
}

int skua_context_release(skua_context *c)
{
    int error = sk_context_check(c);
    if (!error) sk_context_put(c);
    return error;
}

/* ---- ending and looking ---- */

int skua_context_cancel(skua_context *c, int cause)
{
    int error = sk_context_check(c);
    if (error) return error;
    sk_ending ending = {SK_WHY_CANCEL, cause ? cause : -ECANCELED};
    return sk_context_end(c, ending) ? 0 : -EALREADY;
}

int skua_context_error(const skua_context *c)
{
    int error = sk_context_check(c);
    if (error) return error;
    /* [CX-A1] acquire; pairs with [CX-R1]: what its ender did before. */
    uint32_t ended = sk_load_acq((sk_atomic(uint32_t) *)&c->scope.ended);
    return ended ? sk_why_error((int)ended - 1) : 0;
}

int skua_context_cause(const skua_context *c)
{
    int error = sk_context_check(c);
    if (error) return error;
    sk_lock *lock = (sk_lock *)&c->lock;
    sk_lock_take(lock);
    int cause = c->cause;
    sk_lock_drop(lock);
    return cause;
}

uint64_t skua_context_deadline(const skua_context *c)
{
    return sk_context_check(c) ? SKUA_FOREVER : c->deadline;
}

void *skua_context_value(const skua_context *c, const void *key)
{
    if (!key || sk_context_check(c)) return NULL;
    while (c && c->key != key) c = c->parent;
    return c ? c->value : NULL;
}

#ifndef SK_MODEL
uint64_t sk_contexts_out(void)
{
    sk_slab_numbers numbers;
    sk_slab *slab = sk_lazy_slab_get(&contexts);
    if (!slab) return 0;
    sk_slab_stats(slab, &numbers);
    return numbers.carved - numbers.depot;
}
#endif

/* The one that is there; else this one. *ended: nobody but the caller would close it. */
static skua_chan *keep_first(skua_context *c, skua_chan *mine, bool *ended)
{
    sk_lock_take(&c->lock);
    if (!c->done) c->done = mine;
    skua_chan *done = c->done;
    *ended = sk_load_rlx(&c->scope.ended) != 0;
    sk_lock_drop(&c->lock);
    return done;
}

skua_chan *skua_context_done(skua_context *c)
{
    bool ended;
    skua_chan *mine = NULL, *done;
    if (sk_context_check(c)) return NULL;
    done = keep_first(c, NULL, &ended);
    if (done || skua_chan_create_signal(&mine, 0)) return done;
    done = keep_first(c, mine, &ended);
    if (done != mine)
        (void)skua_chan_release(mine);
    else if (ended)
        (void)skua_chan_close(mine);
    return done;
}
