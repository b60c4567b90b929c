/*
 * life.c: the life of a pool: limit, wait, stop, restart, release.
 *
 *   FREE --create--> OPEN --stop-->     STOPPED --release--> FREE
 *                    OPEN --stop_now--> DROPPING, as STOPPED; but what was accepted ends as dropped
 *                    OPEN <--restart--  either
 *
 * Waiting.  wait sleeps until the queue is empty and no slot is taken.  A slot is
 * taken before a task leaves the queue, so: queue found empty, then no slot found
 * taken means that every task accepted before has ended.  Whoever gives back the
 * last slot wakes the waiters.
 */
#include "pool/fault.h"
#include "pool/job.h"

#include <errno.h>
#include <sched.h>

#include "os/clock.h"
#include "os/fork.h"

int sk_pool_check(skua_pool *pool)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (sk_unlikely(!pool)) return -EINVAL;
    /* [PL-A2] acquire; pairs with [PL-R3]. */
    return sk_likely(sk_load_acq(&pool->state) == SK_POOL_OPEN) ? 0 : -ESHUTDOWN;
}

int sk_pool_check_exists(skua_pool *pool)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (sk_unlikely(!pool)) return -EINVAL;
    /* [PL-A15] acquire; pairs with [PL-R3]. */
    return sk_load_acq(&pool->state) != SK_POOL_FREE ? 0 : -ESHUTDOWN;
}

/* ---- the limit ---- */

/* Something may start that could not: here, and in a subpool that waits for a slot of ours. */
static void look_again(skua_pool *pool)
{
    sk_fence_sc(); /* [PL-F7] full fence; pairs with [PL-A5] and [PL-F5]: the limit before the look into the queue. */
    if (sk_pool_begin_look(pool)) sk_pool_look(pool, sk_worker_self());
    if (pool->queueless || sk_load_rlx(&pool->stuck)) sk_waitq_wake(&pool->room);
    sk_pool_end_look(pool);
}

/* Changes the limit word: keep & old | set. */
static int change_limit(skua_pool *pool, uint64_t keep, uint64_t set)
{
    int error = sk_pool_check_exists(pool);
    if (error) return error;
    uint64_t word = sk_load_rlx(&pool->limit);
    while (!sk_cas_rlx(&pool->limit, &word, (word & keep) | set)) {
    }
    look_again(pool);
    return 0;
}

int skua_pool_tune(skua_pool *pool, uint32_t limit)
{
    return limit <= SKUA_POOL_LIMIT_MAX ? change_limit(pool, SK_POOL_PAUSED, sk_pool_limit_word(limit)) : -ERANGE;
}

int skua_pool_pause(skua_pool *pool)
{
    return change_limit(pool, UINT64_MAX, SK_POOL_PAUSED);
}

int skua_pool_resume(skua_pool *pool)
{
    return change_limit(pool, ~SK_POOL_PAUSED, 0);
}

/* ---- waiting ---- */

static bool below_is_at_rest(skua_pool *pool)
{
    uint64_t ended = 0;
    for (int end = 0; end < SK_ENDS; end++)
        ended += sk_load_acq(&pool->below_ended[end]); /* [PL-A14] acquire; pairs with [PL-R6] and [PL-R8]. */
    return ended == sk_load_rlx(&pool->below_submitted);
}

static bool is_at_rest(skua_pool *pool)
{
    /* [PL-A22] acquire; pairs with [PL-R11]. */
    uint64_t backed_off = sk_load_acq(&pool->backed_off);
    /* [PL-A29] acquire; pairs with [PL-R12] and [PL-R14]: no job backs off now, and none has begun to by the end of the
       looks between ([PL-A24]), during which jobs are as other tasks. */
    if (sk_load_acq(&pool->again) != backed_off) return false;
    /* [PL-A4] acquire; pairs with [PL-C3] and [PL-C7]: who waits sees what the tasks wrote. And in this order: a task
       leaves the queue only with a slot that it keeps to its end. */
    return sk_backlog_is_empty(&pool->backlog) && sk_load_acq(&pool->running) == 0 && below_is_at_rest(pool) &&
           sk_load_acq(&pool->backed_off) == backed_off; /* [PL-A24] acquire; pairs with [PL-R11]. */
}

static bool at_rest(void *ctx)
{
    skua_pool *pool = (skua_pool *)ctx;
    bool rests = !sk_pool_begin_look(pool) || is_at_rest(pool);
    sk_pool_end_look(pool);
    return rests;
}

/* Stopped, and nobody is about to submit: for good, or until it is opened again. */
static bool is_over(void *ctx)
{
    skua_pool *pool = (skua_pool *)ctx;
    /* [PL-A17] acquire; pairs with [PL-R4], as [PL-A3]. */
    return sk_load_acq(&pool->submitting) == 0 && at_rest(ctx);
}

static bool may_be_freed(void *ctx)
{
    skua_pool *pool = (skua_pool *)ctx;
    /* [PL-A3], [PL-A6] acquire; the first pairs with [PL-R4]: what was submitted is in the queue; the second with
       [PL-X1]: who finds the pump gone finds it inside. */
    return sk_load_acq(&pool->submitting) == 0 && at_rest(ctx) && !(sk_load_acq(&pool->pumping) & SK_PUMP_OUT);
}

/* Around what stands in the pool's queue of waiters: release does not give the memory to another pool meanwhile. */
static void begin_wait(skua_pool *pool)
{
    /* [PL-C10] sequentially consistent; pairs with [PL-A12]: either release counts us, or we see the pool freed. */
    sk_add_sc(&pool->waiting, 1u);
}

static void end_wait(skua_pool *pool)
{
    /* [PL-R5] release; pairs with [PL-A12]: our last touch of the pool. */
    sk_sub_ar(&pool->waiting, 1u);
}

int sk_pool_hold(skua_pool *pool)
{
    int error = sk_pool_check_exists(pool);
    if (error) return error;
    begin_wait(pool);
    /* [PT-A2] sequentially consistent; pairs with [PL-C6], see [PL-C10]: while we are counted it is not freed. */
    if (sk_likely(sk_load_sc(&pool->state) != SK_POOL_FREE)) return 0;
    end_wait(pool);
    return -ESHUTDOWN;
}

void sk_pool_let_go(skua_pool *pool)
{
    end_wait(pool);
}

/* The calling task has the only slot of a pool above, so nothing that is queued here can start before it ends. The
   caller is counted as waiting. */
static bool waits_in_vain(skua_pool *pool)
{
    for (skua_pool *p = pool->parent; sk_unlikely(p != NULL); p = p->parent)
        if (sk_pool_running(p) == 1 && sk_pool_limit_unpaused(p) == 1 && sk_pool_is_caller_inside(p))
            return !at_rest(pool);
    return false;
}

static int wait_for_rest(skua_pool *pool, uint64_t deadline)
{
    /* [PL-A11] sequentially consistent; pairs with [PL-C6], see [PL-C10]. */
    if (sk_load_sc(&pool->state) == SK_POOL_FREE) return -ESHUTDOWN;
    if (waits_in_vain(pool)) return -EDEADLK;
    return sk_waitq_wait(&pool->rest, at_rest, pool, deadline);
}

int skua_pool_wait(skua_pool *pool, uint64_t timeout)
{
    int error = sk_pool_check_exists(pool);
    if (error) return error;
    if (sk_pool_waits_for_itself(pool)) return -EDEADLK;
    uint64_t deadline = sk_deadline_of(timeout);
    begin_wait(pool);
    error = wait_for_rest(pool, deadline);
    if (!error) error = sk_pool_give_fault(pool);
    end_wait(pool);
    return error;
}

/* ---- the end ---- */

/* Counted as waiting. -ESHUTDOWN: it is released. */
static int close_pool(skua_pool *pool, bool drop)
{
    uint32_t to = drop ? SK_POOL_DROPPING : SK_POOL_STOPPED, state = SK_POOL_OPEN;
    /* [PL-C5] sequentially consistent; before [PL-F3]. Who drops goes before who lets it end. */
    while (!sk_cas_sc(&pool->state, &state, to) && state != SK_POOL_FREE && state < to) {
    }
    sk_fence_sc(); /* [PL-F3] full fence; pairs with [PL-C4]: closed before the count. */
    if (state == SK_POOL_FREE) return -ESHUTDOWN;
    sk_waitq_wake(&pool->room);
    return 0;
}

static void drop_queued(skua_pool *pool)
{
    if (sk_unlikely(pool->backlog.ordered != NULL)) {
        sk_pool_drop_in_order(pool, sk_worker_self());
        return;
    }
    for (uint32_t i = 0; i < pool->backlog.levels; i++)
        while (sk_pool_drop(pool, sk_worker_self(), i)) {
        }
}

/* What is queued, and what backs off. */
static void drop_all(skua_pool *pool)
{
    sk_pool_begin_sweep(pool);
    drop_queued(pool);
    if (sk_load_rlx(&pool->backed_off) != sk_load_rlx(&pool->again) || sk_load_rlx(&pool->keeping))
        sk_job_end_backoffs(pool);
    sk_pool_end_sweep(pool);
}

typedef struct below {
    skua_pool *top;
    bool drop;
} below;

/* A subpool of one that stops: wakes its submitters, which are refused from now on, and drops what is queued. */
static void stop_below(void *object, void *ctx)
{
    skua_pool *pool = (skua_pool *)object;
    const below *b = (const below *)ctx;
    begin_wait(pool);
    /* [PL-A40] sequentially consistent; pairs with [PL-C6], see [PL-C10]: while we are counted it is not freed. */
    if (sk_load_sc(&pool->state) != SK_POOL_FREE && pool != b->top && sk_pool_is_this_or_below(pool, b->top)) {
        sk_waitq_wake(&pool->room);
        if (b->drop) drop_all(pool);
    }
    end_wait(pool);
}

static void close_below(skua_pool *pool, bool drop)
{
    below b = {pool, drop};
    if (sk_load_rlx(&pool->children)) sk_pool_each(stop_below, &b);
    if (drop) drop_all(pool);
}

/* Nobody is about to submit to the pool, or to one below it. */
static bool is_quiet(void *ctx)
{
    return sk_load_acq(&((skua_pool *)ctx)->submitting) == 0; /* [PL-A41] acquire; pairs with [PL-R4], as [PL-A3]. */
}

/* Until all that was accepted has ended. Those who were about to submit when it was closed come first: what they have
   put into the queue is dropped, too. */
static int wait_for_end(skua_pool *pool, bool drop, uint64_t deadline)
{
    if (sk_pool_waits_for_itself(pool)) return -EDEADLK;
    int error = drop ? sk_waitq_wait(&pool->rest, is_quiet, pool, deadline) : 0;
    /* Unless it was opened again meanwhile: then what comes is not for us to drop. */
    if (drop && sk_load_rlx(&pool->state) == SK_POOL_DROPPING) close_below(pool, true);
    if (!error && waits_in_vain(pool)) error = -EDEADLK;
    return error ? error : sk_waitq_wait(&pool->rest, is_over, pool, deadline);
}

static int stop(skua_pool *pool, uint64_t timeout, bool drop)
{
    int error = sk_pool_check_exists(pool);
    if (error) return error;
    if (sk_pool_is_default(pool)) return -EPERM;
    uint64_t deadline = sk_deadline_of(timeout);
    begin_wait(pool);
    error = close_pool(pool, drop);
    if (!error) {
        close_below(pool, drop);
        error = wait_for_end(pool, drop, deadline);
    }
    end_wait(pool);
    return error;
}

int skua_pool_stop(skua_pool *pool, uint64_t timeout)
{
    return stop(pool, timeout, false);
}

int skua_pool_stop_now(skua_pool *pool, uint64_t timeout)
{
    return stop(pool, timeout, true);
}

int skua_pool_restart(skua_pool *pool)
{
    int error = sk_pool_check_exists(pool);
    if (error) return error;
    uint32_t state = SK_POOL_STOPPED;
    /* [PL-C14] sequentially consistent; pairs with [PL-C6]: not one that is being freed. */
    while (!sk_cas_sc(&pool->state, &state, (uint32_t)SK_POOL_OPEN) && state >= SK_POOL_STOPPED) {
    }
    return state != SK_POOL_FREE ? 0 : -ESHUTDOWN;
}

/* Nobody else waits, or is about to: all find the pool at rest, once they have been woken. */
static bool is_last(skua_pool *pool)
{
    /* [PL-A12] sequentially consistent; pairs with [PL-C10], and as an acquire with [PL-R5]. One of them is we. */
    if (sk_load_sc(&pool->waiting) == 1) return true;
    sk_waitq_wake(&pool->rest);
    return false;
}

/* In the parent's list of the hungry for a slot that it no longer needs: the parent's pump takes it out. */
static bool is_listed(skua_pool *pool)
{
    /* [PL-A13] acquire; pairs with [PL-X3], after which we are in `inside` while it lasts. */
    return sk_load_acq(&pool->is_hungry) != 0;
}

/* A slot was taken by one who had not seen it closed, see sk_pool_take_straight. */
static bool is_taken_late(skua_pool *pool)
{
    /* [PL-A60] sequentially consistent; pairs with [PL-C2] there: either we see the slot, or he sees the pool freed. He
       comes inside before he gives it back. */
    return sk_load_sc(&pool->running) != 0;
}

/* By its only owner, who has just marked it as free: it was opened again, used and stopped, since it was found at rest.
 */
static bool was_used_meanwhile(skua_pool *pool)
{
    /* [PL-A64] acquire, both; as [PL-A3] and [PL-A6]. */
    if (sk_load_acq(&pool->submitting) || (sk_load_acq(&pool->pumping) & SK_PUMP_OUT)) return true;
    return sk_load_rlx(&pool->children) || !is_at_rest(pool);
}

/* The pool is closed: waits for its end, and frees it. Counted as waiting. -EAGAIN: somebody has opened it again. */
static int release(skua_pool *pool)
{
    int error = sk_waitq_wait(&pool->rest, may_be_freed, pool, SK_NEVER);
    if (error) return error;
    if (sk_load_sc(&pool->children)) return -EBUSY; /* [PL-A19] sequentially consistent; see [PL-C13]. */
    uint32_t closed = SK_POOL_STOPPED;
    /* [PL-C6] sequentially consistent; pairs with itself: of several that release, one frees. */
    while (!sk_cas_sc(&pool->state, &closed, (uint32_t)SK_POOL_FREE))
        if (closed < SK_POOL_STOPPED) return closed == SK_POOL_OPEN ? -EAGAIN : -ESHUTDOWN;
    if (sk_unlikely(was_used_meanwhile(pool))) {
        /* [PL-R64] sequentially consistent; pairs with [PL-C5] and [PL-C14]: it is there again, stopped. */
        sk_store_sc(&pool->state, closed);
        return -EAGAIN;
    }
    if (pool->parent) sk_add_rlx(&pool->parent->leaving, 1u);
    /* [PL-A1] sequentially consistent. As an acquire it pairs with [PL-R1] and [PL-R2]: the last ones are on their way
       out, a few instructions; and it pairs with [PL-C40]: who comes late is counted, or sees the pool freed. */
    while (is_listed(pool) || is_taken_late(pool) || sk_load_sc(&pool->inside) ||
           sk_load_acq(&pool->owes) || /* [PL-A8] acquire; pairs with [PL-X2]. */
           !is_last(pool)) {
        if (is_listed(pool)) sk_pool_send_pump(pool->parent, sk_worker_self());
        if (skua_yield()) sched_yield();
    }
    if (pool->parent) sk_sub_rlx(&pool->parent->leaving, 1u);
    sk_times_free(pool->times);
    sk_chore_free(pool->pump);
    return 0;
}

static int close_and_release(skua_pool *pool, bool for_good)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!pool) return -EINVAL;
    if (sk_pool_is_default(pool)) return -EPERM;
    if (sk_pool_waits_for_itself(pool)) return -EDEADLK;
    begin_wait(pool);
    int error = !for_good && waits_in_vain(pool) ? -EDEADLK : -EAGAIN;
    while (error == -EAGAIN) {
        error = close_pool(pool, false);
        if (!error) error = release(pool);
    }
    skua_pool *parent = pool->parent;
    end_wait(pool);
    if (error) return error;
    sk_pool_forget(pool);
    /* [PL-R10] release; pairs with [PL-A19]: our last touch of the parent. */
    if (parent) sk_sub_ar(&parent->children, 1u);
    return 0;
}

int skua_pool_release(skua_pool *pool)
{
    return close_and_release(pool, false);
}

int sk_pool_release_for_good(skua_pool *pool)
{
    return close_and_release(pool, true);
}
