/*
 * submit.c: the way into a pool.
 *
 * A task goes into the queue, and is accepted; or, in a pool without a queue,
 * takes a slot and is accepted.  When there is no room the pool's policy decides
 * for the submitter: wait (room.c), refuse, drop the oldest, run it himself.
 * What asks for more than a call, and the defaults of pools: submit_with.c.
 */
#include "pool/fault.h"
#include "pool/job.h"
#include "pool/storage.h"
#include "pool/submit.h"

#include <errno.h>

#include "os/clock.h"
#include "runtime/giveup.h"

enum { NOT_STRAIGHT = 1, STRAIGHT_MOST = 64 /* tasks in the worker's queue */ };

static uint64_t patience(const skua_pool *pool, const sk_submission *s)
{
    uint64_t ns = s->options->admit_within ? s->options->admit_within : pool->wait_at_most;
    return ns ? sk_deadline_after(sk_clock_ns(), ns) : SK_NEVER;
}

/* ---- admission ---- */

static sk_noinline int enter_slot(skua_pool *pool, sk_worker *w, void *item)
{
    sk_pool_begin_step(pool);
    bool taken = sk_pool_take_slots(pool, w, 1) != 0;
    if (taken) sk_add_rlx(&pool->direct, UINT64_C(1));
    sk_pool_end_steps(pool, 1);
    if (!taken) return -EAGAIN;
    sk_ready(w, (sk_task *)item);
    return 0;
}

/* 0: the pool has it. -EAGAIN: there is no room. */
static sk_always_inline int enter(skua_pool *pool, sk_worker *w, void *item, uint32_t level)
{
    return sk_likely(!pool->queueless) ? sk_backlog_push(&pool->backlog, level, item) : enter_slot(pool, w, item);
}

/* In the books of the pools above, before it can end. */
static void count_above(skua_pool *pool)
{
    for (skua_pool *p = pool->parent; p; p = p->parent) sk_add_rlx(&p->below_submitted, UINT64_C(1));
}

static void uncount_above(skua_pool *pool)
{
    for (skua_pool *p = pool->parent; p; p = p->parent) {
        sk_sub_rlx(&p->below_submitted, UINT64_C(1));
        sk_waitq_wake(&p->rest);
    }
}

static sk_noinline int enter_below(skua_pool *pool, sk_worker *w, void *item, uint32_t level)
{
    count_above(pool);
    int error = enter(pool, w, item, level);
    if (error) uncount_above(pool);
    return error;
}

static sk_always_inline int enter_counted(skua_pool *pool, sk_worker *w, void *item, uint32_t level)
{
    return sk_likely(!pool->parent) ? enter(pool, w, item, level) : enter_below(pool, w, item, level);
}

/* There was no room. */
static sk_noinline int admit_late(skua_pool *pool, void *item, const sk_submission *s)
{
    uint32_t level = s->options->level;
    uint64_t deadline = 0;
    do {
        if (!s->may_wait || pool->when_full == SKUA_FULL_REFUSE || pool->when_full == SKUA_FULL_RUN) return -EAGAIN;
        if (pool->when_full == SKUA_FULL_DROP_OLDEST) {
            sk_pool_drop(pool, sk_worker_self(), level);
            continue;
        }
        if (!deadline) deadline = patience(pool, s);
        int error = sk_pool_wait_for_room(pool, level, deadline);
        if (error) return error;
    } while (enter_counted(pool, sk_worker_self(), item, level) != 0);
    return 0;
}

/* item: a task, or (in a pool with a queue) storage of the caller's. */
static sk_always_inline int admit(skua_pool *pool, sk_local *local, void *item, const sk_submission *s)
{
    sk_worker *w = local ? local->worker : NULL;
    return sk_likely(enter_counted(pool, w, item, s->options->level) == 0) ? 0 : admit_late(pool, item, s);
}

static void withdraw(sk_task *t)
{
    if (sk_task_is_timed(t)) sk_timers_cancel_slot(sk_worker_self(), &t->deadline);
    sk_task_withdraw(t);
}

static sk_noinline void set_deadlines(sk_task *t, const skua_submit_options *o)
{
    uint64_t now = sk_clock_ns();
    sk_task_set_deadlines(t, o->start_within ? sk_deadline_after(now, o->start_within) : 0,
                          o->finish_within ? sk_deadline_after(now, o->finish_within) : 0);
    if (o->due_within) t->due = sk_deadline_after(now, o->due_within);
    if (t->timed) sk_task_arm_deadline(sk_worker_self(), t);
}

/* A task has been accepted. */
static inline void look_for_slot(skua_pool *pool)
{
    if (sk_pool_needs_pump(pool)) sk_pool_send_pump(pool, sk_worker_self());
}

static sk_always_inline sk_task *new_task(skua_pool *pool, sk_local *local, const sk_submission *s, int *error)
{
    sk_task *t = sk_task_new(local, &pool->owner, s->fn, s->arg, s->handle != NULL, SK_ACTIVE, error);
    if (sk_unlikely(!t)) return NULL;
    if (s->handle) *s->handle = (skua_task){t, sk_load_rlx(&t->state.serial)};
    const skua_submit_options *o = s->options;
    if (sk_unlikely(o->start_within | o->finish_within | o->due_within)) set_deadlines(t, o);
    if (sk_unlikely(s->job != NULL)) {
        if (sk_unlikely(pool->times != NULL)) sk_job_measure(s->job);
        if (sk_unlikely(o->due_within)) sk_job_order(s->job, t->due);
        sk_job_bind_first(s->job, t, o->finish_within ? t->finish_by : 0);
    }
    return t;
}

/* Counted as submitting: release waits for us. */
static sk_always_inline int submit_open(skua_pool *pool, sk_local *local, const sk_submission *s)
{
    int error = 0;
    sk_task *t = new_task(pool, local, s, &error);
    if (!t) return error;
    error = admit(pool, local, t, s);
    if (sk_unlikely(error)) {
        withdraw(t);
        return error;
    }
    look_for_slot(pool);
    return 0;
}

/* Of a task that its submitter has run; a job keeps its own. */
static void keep_fault(skua_pool *pool, const sk_submission *s, skua_fault *fault)
{
    sk_pool_keep_fault(pool, fault);
    if (!s->job) sk_drop_fault(fault);
}

/* Into the books, and into the times; in a step. */
static void count_measured_here(skua_pool *pool, const sk_submission *s)
{
    if (s->job)
        sk_job_count_here(s->job, sk_worker_self());
    else
        sk_stored_count_here((const sk_stored_here *)s->arg, sk_worker_self());
    /* [PT-R5] release; pairs with [PL-F11]: who counts it as done counts its times. */
    sk_add_rel(&pool->direct, UINT64_C(1));
    /* [PT-R3] release; pairs with [PT-A1]: it is in `direct` before. */
    sk_add_rel(&pool->times->here, UINT64_C(1));
}

/* The submitter runs it himself, and then it has been accepted and has ended. When it gives up it ends alone. */
static int run_here(skua_pool *pool, const sk_submission *s)
{
    sk_catch c = {.fault = NULL};
    int result = s->job ? sk_job_run_here(s->job) : sk_call_caught(&c, &pool->owner, s->fn, s->arg);
    skua_fault *fault = s->job ? s->job->fault : c.fault;
    if (sk_unlikely(fault != NULL)) keep_fault(pool, s, fault);
    count_above(pool);
    sk_pool_begin_step(pool);
    if (sk_unlikely(pool->times != NULL))
        count_measured_here(pool, s);
    else
        sk_add_rlx(&pool->direct, UINT64_C(1));
    /* [PL-R20] release; pairs with [PL-A20]: who counts the end counts that it came. */
    if (result < 0) sk_add_rel(&pool->ended[SK_FAILED], UINT64_C(1));
    sk_pool_end_steps(pool, 1);
    for (skua_pool *p = pool->parent; p; p = p->parent) {
        /* [PL-R8] release; pairs with [PL-A14], as [PL-R6]. */
        sk_add_rel(&p->below_ended[result < 0 ? SK_FAILED : SK_DONE], UINT64_C(1));
        sk_waitq_wake(&p->rest); /* who has seen it come, and not end */
    }
    if (s->job) sk_job_complete(s->job, sk_worker_self(), result);
    return 0;
}

static sk_noinline int turn_away(skua_pool *pool, const sk_submission *s, int error)
{
    if (error == -EAGAIN && s->may_wait && pool->when_full == SKUA_FULL_RUN && !s->handle) return run_here(pool, s);
    if (error == -EAGAIN || error == -ETIMEDOUT) sk_add_rlx(&pool->refused, UINT64_C(1));
    return error;
}

static sk_always_inline int submit_counted(skua_pool *pool, sk_local *local, const sk_submission *s)
{
    int error = submit_open(pool, local, s);
    return sk_likely(!error) ? 0 : turn_away(pool, s, error);
}

static inline void leave_one(skua_pool *pool)
{
    /* [PL-R4] sequentially consistent; pairs with [PL-A3], as a release, and with [PL-F3]: either release finds us
       gone, or we find the pool closed and wake it. From here on it may be gone; what follows is type-stable. */
    sk_sub_sc(&pool->submitting, 1u);
    /* [PL-A10] sequentially consistent; pairs with [PL-F3], see [PL-R4]. */
    if (sk_unlikely(sk_load_sc(&pool->state) != SK_POOL_OPEN)) sk_waitq_wake(&pool->rest);
}

/* Leaves the pools from this one up to `last` (NULL: all above). Those above live as long as we are counted there. */
static void leave(skua_pool *pool, skua_pool *last)
{
    for (skua_pool *p = pool, *above; p; p = above) {
        above = p == last ? NULL : p->parent;
        leave_one(p);
    }
}

/* Whether it is open. In any case we are counted. */
static inline bool begin_one(skua_pool *pool)
{
    /* [PL-C4] sequentially consistent; pairs with [PL-F3] in stop: either it waits for us, or we see that it has closed
       the pool. */
    sk_add_sc(&pool->submitting, 1u);
    /* [PL-A7] sequentially consistent; pairs with [PL-F3], see [PL-C4]: a relaxed look could come before the count. */
    return sk_likely(sk_load_sc(&pool->state) == SK_POOL_OPEN);
}

/* 0, and then `leave` has to follow. A subpool is only as open as those above it. */
static int begin(skua_pool *pool)
{
    for (skua_pool *p = pool; p; p = p->parent) {
        if (begin_one(p)) continue;
        leave(pool, p);
        return -ESHUTDOWN;
    }
    return 0;
}

int sk_pool_begin_submit(skua_pool *pool)
{
    return begin(pool);
}

void sk_pool_end_submit(skua_pool *pool)
{
    leave(pool, NULL);
}

/* ---- straight to the worker ---- */

/*
 * A task submits to a pool in which nobody waits and a slot is free.  The slot is
 * taken first, and stands for the count in `submitting`: a pool with a slot taken
 * is not at rest.  So only with the slot is the queue looked at, which goes with
 * the pool; NOT_STRAIGHT: somebody is in it.  QUEUE.md has the argument.
 */
static sk_noinline int submit_straight(skua_pool *pool, sk_local *local, const sk_submission *s)
{
    int error = -ESHUTDOWN;
    sk_worker *w = local->worker;
    /* [PL-A62] sequentially consistent; pairs with [PL-F3] and [PL-C6]: behind [PL-C2], so whoever closes or frees the
       pool sees our slot, or we see that. */
    uint32_t state = sk_load_sc(&pool->state);
    sk_task *t = NULL;
    if (sk_likely(state == SK_POOL_OPEN)) {
        if (sk_likely(sk_pool_is_straight(pool)))
            t = new_task(pool, local, s, &error);
        else
            error = NOT_STRAIGHT;
    }
    if (sk_unlikely(!t)) {
        sk_pool_give_straight(pool, w, state);
        return error;
    }
    /* [PL-R62] release; pairs with [PL-F11]: who counts this sees the slot taken. */
    sk_add_rel(&pool->direct, UINT64_C(1));
    sk_store_rel(&w->straight, NULL); /* [PL-R65] release; pairs with [PL-A45]: after the count. */
    /* What runs next is not announced: a task for which its submitter is about to wait costs no wake-up. Only where
       nothing is in front of it, so that the order stays. */
    if (!sk_load_rlx(&w->runnext) && sk_taskq_size(&w->queue) == 0)
        sk_ready_next(w, t);
    else
        sk_ready(w, t);
    return 0;
}

/* Not when many tasks wait for this worker: who submits without end is to meet the bound of the pool's queue. */
static inline bool may_go_straight(const skua_pool *pool, const sk_worker *w, const sk_submission *s)
{
    return w && w->task && w->runtime == sk_owner_runtime(&pool->owner) && s->options->level < pool->backlog.levels &&
           sk_taskq_size(&w->queue) < STRAIGHT_MOST;
}

sk_noinline int sk_submit(skua_pool *pool, const sk_submission *s)
{
    if (!s->fn) return -EINVAL;
    if (sk_unlikely(pool->has_defaults) && !s->is_filled) return sk_submit_filled(pool, s);
    sk_local *local = sk_local_self();
    int error = NOT_STRAIGHT;
    if (local && may_go_straight(pool, local->worker, s) && sk_pool_take_straight(pool, local->worker))
        error = submit_straight(pool, local, s);
    if (error != NOT_STRAIGHT) return error;
    error = begin(pool);
    if (error) return error;
    error = s->options->level < pool->backlog.levels ? submit_counted(pool, local, s) : -EDOM;
    leave(pool, NULL);
    return error;
}

static sk_noinline int submit_plain_slow(skua_pool *pool, skua_fn *fn, void *arg, bool may_wait)
{
    sk_submission s = {fn, arg, &sk_no_options, NULL, may_wait, NULL, false};
    return sk_submit(pool, &s);
}

static sk_noinline int admit_plain(skua_pool *pool, sk_task *t, bool may_wait)
{
    sk_submission s = {t->fn, t->arg, &sk_no_options, NULL, may_wait, NULL, false};
    int error = admit_late(pool, t, &s);
    if (!error) {
        look_for_slot(pool);
        return 0;
    }
    withdraw(t);
    return turn_away(pool, &s, error);
}

/* The common case, in a line: from a thread outside, or where the short way is closed, to a plain pool. */
static sk_always_inline int submit_plain(skua_pool *pool, skua_fn *fn, void *arg, bool may_wait)
{
    int error = sk_pool_check(pool);
    if (sk_unlikely(error)) return error;
    sk_local *local = sk_local_self();
    if (sk_unlikely(!fn || !pool->plain || !local || local->worker)) return submit_plain_slow(pool, fn, arg, may_wait);
    if (begin_one(pool)) {
        sk_task *t = sk_task_new(local, &pool->owner, fn, arg, false, SK_ACTIVE, &error);
        if (sk_unlikely(!t)) {
        } else if (sk_unlikely(sk_bounded_push(&pool->backlog.first, t) != 0)) {
            error = admit_plain(pool, t, may_wait);
        } else {
            look_for_slot(pool);
        }
    } else {
        error = -ESHUTDOWN;
    }
    leave_one(pool);
    return error;
}

/* ---- the calls ---- */

int skua_pool_submit(skua_pool *pool, skua_fn *fn, void *arg)
{
    return submit_plain(pool, fn, arg, true);
}

int skua_pool_try_submit(skua_pool *pool, skua_fn *fn, void *arg)
{
    return submit_plain(pool, fn, arg, false);
}

/* ---- in storage of the caller's, see storage.h ---- */

/* Without a queue nothing is stored: a task is made that waits for its slot in our hand. */
static int submit_stored_as_task(skua_pool *pool, const sk_submission *s)
{
    int error = 0;
    sk_task *t = sk_task_new(sk_local_self(), &pool->owner, sk_stored_body, s->arg, false, SK_ACTIVE, &error);
    if (!t) return error;
    error = admit(pool, sk_local_self(), t, s);
    if (error) withdraw(t);
    return error;
}

static int submit_stored_open(skua_pool *pool, const sk_submission *s)
{
    if (pool->queueless) return submit_stored_as_task(pool, s);
    if (!sk_birth_count(sk_worker_self(), &pool->owner)) return -ESHUTDOWN;
    int error = admit(pool, sk_local_self(), sk_stored_item((sk_stored *)s->arg), s);
    if (error)
        sk_birth_take_back(&pool->owner);
    else
        look_for_slot(pool);
    return error;
}

static int run_stored_here(skua_pool *pool, sk_stored *stored)
{
    if (!sk_local_get()) return -ENOMEM;
    sk_stored_here here = {pool, stored, -EFAULT, 0, 0};
    sk_submission s = {sk_stored_call, &here, &sk_no_options, NULL, true, NULL, true};
    (void)run_here(pool, &s);
    sk_stored_tell(stored, here.result);
    return 0;
}

static int submit_stored(skua_pool *pool, sk_stored *stored)
{
    sk_submission s = {sk_stored_body, stored, &sk_no_options, NULL, true, NULL, true};
    int error = submit_stored_open(pool, &s);
    if (error == -EAGAIN && pool->when_full == SKUA_FULL_RUN) return run_stored_here(pool, stored);
    if (error == -EAGAIN || error == -ETIMEDOUT) sk_add_rlx(&pool->refused, UINT64_C(1));
    return error;
}

int skua_pool_submit_stored(skua_pool *pool, skua_task_storage *storage)
{
    sk_stored *stored = (sk_stored *)(void *)storage;
    int error = sk_pool_check(pool);
    if (error) return error;
    if (!stored) return -EINVAL;
    error = begin(pool);
    if (error) return error;
    error = sk_stored_claim(stored, pool);
    if (!error && (error = submit_stored(pool, stored))) sk_stored_disclaim(stored);
    leave(pool, NULL);
    return error;
}

/* ---- further attempts ---- */

/* Enters the queue, if there is room, and counts itself out of those that back off: only then may the pool be seen at
   rest, and freed. */
static bool try_again(skua_pool *pool, sk_worker *w, sk_task *t, uint32_t level)
{
    sk_add_rlx(&pool->inside, 1u);
    sk_pool_begin_step(pool);
    bool entered = enter(pool, w, t, level) == 0;
    if (entered) {
        /* [PL-R14] sequentially consistent; pairs with [PL-A22]: the push before this; and as [PL-A5], with the look
           that follows. */
        sk_add_sc(&pool->again, UINT64_C(1));
        /* [PL-A26] sequentially consistent; as [PL-A5]. */
        if (!(sk_load_sc(&pool->pumping) & SK_PUMP_OUT)) sk_pool_look(pool, w);
        sk_waitq_wake(&pool->rest);
    }
    sk_pool_end_steps(pool, 1);
    sk_sub_ar(&pool->inside, 1u); /* [PL-R16] release; pairs with [PL-A1] in release: our last touch of the pool. */
    return entered;
}

int sk_pool_submit_again(skua_pool *pool, sk_task *t, uint32_t level)
{
    int error = 0;
    while (!error && !try_again(pool, sk_worker_self(), t, level)) error = sk_pool_wait_for_room_again(pool, level);
    return error;
}

int skua_pool_invoke(skua_pool *pool, void *arg)
{
    int error = sk_pool_check(pool);
    if (error) return error;
    return pool->fn ? skua_pool_submit(pool, pool->fn, arg) : -ENOTSUP;
}

int skua_pool_submit_batch(skua_pool *pool, size_t n, skua_fn *fn, void *const *args)
{
    int error = sk_pool_check(pool);
    if (error) return error;
    if (!fn || n > INT32_MAX) return -EINVAL;
    size_t i = 0;
    error = begin(pool);
    if (error) return error;
    for (; !error && i < n; i += !error) {
        sk_submission s = {fn, args ? args[i] : NULL, &sk_no_options, NULL, true, NULL, false};
        error =
            sk_unlikely(pool->has_defaults) ? sk_submit_filled(pool, &s) : submit_counted(pool, sk_local_self(), &s);
    }
    leave(pool, NULL);
    return i ? (int)i : error;
}
