/*
 * cond.c: the condition behind skua/cond.h.
 *
 * A queue under the short lock; waits go by turn.h.  Why no signal is lost:
 *
 *   - A waiter stands in the queue before it lets the mutex go.  Who changes what it
 *     waits for does so under the mutex, so it comes later, and finds the waiter.
 *     Its look at `first` without the short lock (in signal) sees it as well: the
 *     mutex orders the two.
 *   - A waiter that is late or cancelled leaves the queue under the short lock: it has
 *     been signalled, and returns 0, or no signal can choose it any more.
 *
 * Whether signalled or not, it takes the mutex again by force: sk_mutex_force.
 */
#include "skua/cond.h"

#include "sync/mutex.h"
#include "sync/turn.h"

typedef struct __attribute__((may_alias)) cond {
    sk_lock lock;
    uint32_t unused;
    sk_waiters waiters;
} cond;

#ifndef SK_MODEL
_Static_assert(sizeof(cond) == sizeof(skua_cond), "what the public header promises");
#endif

static cond *inside(skua_cond *c)
{
    return (cond *)(void *)c;
}

static void serve(cond *c, bool all)
{
    sk_served served = {NULL, NULL};
    if (!sk_waiters_first(&c->waiters)) return;
    sk_lock_take(&c->lock);
    if (all)
        (void)sk_serve_all(&c->waiters, SK_SERVED, &served);
    else if (sk_waiters_first(&c->waiters))
        sk_serve(&c->waiters, sk_waiters_first(&c->waiters), SK_SERVED, &served);
    sk_lock_drop(&c->lock);
    sk_served_wake_next(&served);
}

/* The mutex was not held. A signal that was meant for somebody who waits goes to the next. */
static int not_held(cond *c, sk_turn *turn)
{
    /* A deadline that has passed: no wait, but whoever has claimed it meanwhile is taken note of. */
    if (sk_turn_wait(turn, &c->lock, &c->waiters, 1, "condition", c) == 0) serve(c, false);
    return -EPERM;
}

static int wait_for(cond *c, sk_mutex *m, uint64_t deadline)
{
    sk_turn turn;
    int error = sk_turn_init(&turn, m);
    if (error) return error;
    sk_lock_take(&c->lock);
    sk_turn_join(&c->waiters, &turn);
    sk_lock_drop(&c->lock);
    if (sk_unlikely(sk_mutex_unlock(m))) return not_held(c, &turn);
    error = sk_turn_wait(&turn, &c->lock, &c->waiters, deadline, "condition", c);
    sk_mutex_force(m);
    return error;
}

int skua_cond_wait_for(skua_cond *c, skua_mutex *mutex, uint64_t timeout)
{
    int error = sk_refused(c);
    if (!error) error = sk_refused(mutex);
    if (error) return error;
    return wait_for(inside(c), (sk_mutex *)(void *)mutex, sk_deadline_of(timeout));
}

int skua_cond_wait(skua_cond *c, skua_mutex *mutex)
{
    return skua_cond_wait_for(c, mutex, SKUA_FOREVER);
}

int skua_cond_signal(skua_cond *c)
{
    int error = sk_refused(c);
    if (!error) serve(inside(c), false);
    return error;
}

int skua_cond_broadcast(skua_cond *c)
{
    int error = sk_refused(c);
    if (!error) serve(inside(c), true);
    return error;
}
