/*
 * semaphore.c: the semaphore behind skua/semaphore.h.
 *
 * Everything happens under the short lock; waits go by turn.h.  Invariant, when it is
 * free: the first in the queue wants more permits than there are.
 *
 * Why no waiter is stranded.  Permits grow only by a release, and the first changes
 * only when it is served or gives up: each of them goes on to serve the queue, from
 * its head, as far as the permits go, under the same hold of the lock.  Nobody who
 * comes takes permits while somebody waits.  So the first is served as soon as so
 * many have been released as it wants, and then the next is the first.
 */
#include "skua/semaphore.h"

#include "sync/turn.h"

typedef struct __attribute__((may_alias)) semaphore {
    sk_lock lock;
    uint32_t unused;
    sk_atomic(uint64_t) permits; /* lock; anyone peeks */
    uint64_t maximum;            /* I */
    sk_waiters waiters;          /* their place: how many each wants */
} semaphore;

#ifndef SK_MODEL
_Static_assert(sizeof(semaphore) == sizeof(skua_semaphore), "what the public header promises");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "a number of permits in a pointer");
#endif

static semaphore *inside(skua_semaphore *s)
{
    return (semaphore *)(void *)s;
}

/* ---- under the lock ---- */

/* It is its turn, and there are enough. */
static bool take(semaphore *s, uint64_t n)
{
    uint64_t permits = sk_load_rlx(&s->permits);
    if (permits < n || sk_waiters_first(&s->waiters)) return false;
    sk_store_rlx(&s->permits, permits - n);
    return true;
}

static void serve(semaphore *s, sk_served *served)
{
    uint64_t permits = sk_load_rlx(&s->permits);
    for (sk_waiter *first; (first = sk_waiters_first(&s->waiters)) != NULL;) {
        uint64_t wanted = (uint64_t)(uintptr_t)first->place;
        if (wanted > permits) break;
        permits -= wanted;
        sk_serve(&s->waiters, first, SK_SERVED, served);
    }
    sk_store_rlx(&s->permits, permits);
}

/* ---- acquire ---- */

static bool attempt(semaphore *s, uint64_t n)
{
    sk_lock_take(&s->lock);
    bool taken = take(s, n);
    sk_lock_drop(&s->lock);
    return taken;
}

/* The wait has failed, unless it has been served after all: the next may want less than this one. */
static int give_up(semaphore *s, sk_turn *turn, int error)
{
    sk_served served = {NULL, NULL};
    sk_lock_take(&s->lock);
    bool leaves = sk_turn_leaves(&s->waiters, turn);
    if (leaves) serve(s, &served);
    sk_lock_drop(&s->lock);
    sk_served_wake_next(&served);
    if (leaves) return error;
    (void)sk_turn_outcome(turn);
    return 0;
}

static sk_noinline int wait_for(semaphore *s, uint64_t n, uint64_t deadline)
{
    sk_turn turn;
    int error = sk_turn_init(&turn, (void *)(uintptr_t)n);
    if (error) return error;
    sk_lock_take(&s->lock);
    bool taken = take(s, n);
    if (!taken) sk_turn_join(&s->waiters, &turn);
    sk_lock_drop(&s->lock);
    if (taken) return 0;
    error = sk_turn_sleep(&turn, deadline, "semaphore", s);
    return sk_likely(!error) ? 0 : give_up(s, &turn, error);
}

/* 0; -EAGAIN: it would wait; or what is wrong. */
static int acquire_now(skua_semaphore *s, uint64_t n)
{
    int error = sk_refused(s);
    if (sk_unlikely(error)) return error;
    if (sk_unlikely(n > s->maximum)) return -EINVAL;
    if (sk_unlikely(n == 0)) return 0;
    return sk_likely(attempt(inside(s), n)) ? 0 : -EAGAIN;
}

int skua_semaphore_try_acquire(skua_semaphore *s, uint64_t n)
{
    return acquire_now(s, n);
}

int skua_semaphore_acquire_for(skua_semaphore *s, uint64_t n, uint64_t timeout)
{
    int done = acquire_now(s, n);
    if (sk_likely(done != -EAGAIN)) return done;
    return timeout ? wait_for(inside(s), n, sk_deadline_of(timeout)) : -ETIMEDOUT;
}

int skua_semaphore_acquire(skua_semaphore *s, uint64_t n)
{
    return skua_semaphore_acquire_for(s, n, SKUA_FOREVER);
}

/* ---- release ---- */

int skua_semaphore_release(skua_semaphore *public_s, uint64_t n)
{
    int error = sk_refused(public_s);
    if (sk_unlikely(error)) return error;
    semaphore *s = inside(public_s);
    sk_served served = {NULL, NULL};
    sk_lock_take(&s->lock);
    uint64_t permits = sk_load_rlx(&s->permits);
    if (sk_unlikely(n > s->maximum - permits)) {
        error = -EOVERFLOW;
    } else {
        sk_store_rlx(&s->permits, permits + n);
        if (sk_waiters_first(&s->waiters)) serve(s, &served);
    }
    sk_lock_drop(&s->lock);
    sk_served_wake_next(&served);
    return error;
}

/* ---- making and looking ---- */

int skua_semaphore_init(skua_semaphore *s, uint64_t permits, uint64_t maximum)
{
    int error = sk_refused(s);
    if (error) return error;
    if (maximum == 0 || permits > maximum) return -EINVAL;
    skua_semaphore fresh = SKUA_SEMAPHORE_INIT(permits, maximum);
    *s = fresh;
    return 0;
}

uint64_t skua_semaphore_available(const skua_semaphore *s)
{
    return s ? sk_load_rlx(&inside((skua_semaphore *)(uintptr_t)s)->permits) : 0;
}
