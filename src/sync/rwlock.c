/*
 * rwlock.c: the lock behind skua/rwlock.h.
 *
 * Everything happens under the short lock; waits go by turn.h.  Invariants, when it
 * is free:
 *
 *   - writers wait only while the lock is held
 *   - readers wait only while a writer holds it or waits
 *
 * Why no waiter is stranded.  Three events could break an invariant, and each
 * mends it under the same hold of the short lock: the last reader leaves (a writer
 * gets it), the writer leaves (the readers that wait get it, else a writer), and the
 * last writer that waited gives up (the readers behind it get it, if no writer holds
 * it).  So whoever waits, waits for a holder who will unlock, or for a writer ahead
 * that will.  Neither side starves: readers pass only after a writer, all at once,
 * and those that come while a writer waits come after it.
 */
#include "skua/rwlock.h"

#include "sync/cycle.h"
#include "sync/turn.h"

enum { WRITER = -1 };    /* who holds it */
enum { WOULD_WAIT = 1 }; /* a result of trying */

typedef struct __attribute__((may_alias)) rwlock {
    sk_lock lock;
    int32_t held; /* lock: 0: free; readers; or WRITER */
    sk_waiters readers, writers;
} rwlock;

#ifndef SK_MODEL
_Static_assert(sizeof(rwlock) == sizeof(skua_rwlock), "what the public header promises");
#endif

static rwlock *inside(skua_rwlock *lock)
{
    return (rwlock *)(void *)lock;
}

/* ---- under the lock ---- */

/* 0, WOULD_WAIT or -EOVERFLOW. */
static int read_now(rwlock *l)
{
    if (l->held == WRITER || sk_waiters_first(&l->writers)) return WOULD_WAIT;
    if (sk_unlikely(l->held == INT32_MAX)) return -EOVERFLOW;
    l->held++;
    return 0;
}

static int write_now(rwlock *l)
{
    if (l->held) return WOULD_WAIT;
    l->held = WRITER;
    return 0;
}

/* No writer holds it, and none is to go before them. */
static void let_readers_in(rwlock *l, sk_served *served)
{
    l->held += (int32_t)sk_serve_all(&l->readers, SK_SERVED, served);
}

/* It is free. */
static void let_a_writer_in(rwlock *l, sk_served *served)
{
    sk_waiter *writer = sk_waiters_first(&l->writers);
    if (!writer) return;
    sk_serve(&l->writers, writer, SK_SERVED, served);
    l->held = WRITER;
}

/* ---- locking ---- */

static int attempt(rwlock *l, bool writes)
{
    sk_lock_take(&l->lock);
    int done = writes ? write_now(l) : read_now(l);
    sk_lock_drop(&l->lock);
    if (writes && !done) sk_cycle_holds(l);
    return done;
}

/* The wait has failed, unless it has been served after all. */
static int give_up(rwlock *l, bool writes, sk_turn *turn, int error)
{
    sk_served served = {NULL, NULL};
    sk_lock_take(&l->lock);
    bool leaves = sk_turn_leaves(writes ? &l->writers : &l->readers, turn);
    if (leaves && writes && l->held != WRITER && !sk_waiters_first(&l->writers)) let_readers_in(l, &served);
    sk_lock_drop(&l->lock);
    sk_served_wake(&served);
    if (leaves) return error;
    (void)sk_turn_outcome(turn);
    return 0;
}

static int wait_in_turn(rwlock *l, bool writes, uint64_t deadline)
{
    sk_turn turn;
    int error = sk_turn_init(&turn, NULL);
    if (error) return error;
    sk_lock_take(&l->lock);
    int done = writes ? write_now(l) : read_now(l);
    if (done == WOULD_WAIT) sk_turn_join(writes ? &l->writers : &l->readers, &turn);
    sk_lock_drop(&l->lock);
    if (done != WOULD_WAIT) return done;
    error = sk_turn_sleep(&turn, deadline, writes ? "rwlock write" : "rwlock read", l);
    return sk_likely(!error) ? 0 : give_up(l, writes, &turn, error);
}

/* Readers wait for the one who writes, too. */
static sk_noinline int wait_for(rwlock *l, bool writes, uint64_t deadline)
{
    sk_cycle_waits(l);
    int error = wait_in_turn(l, writes, deadline);
    sk_cycle_waits_no_more();
    if (writes && !error) sk_cycle_holds(l);
    return error;
}

static int lock_for(skua_rwlock *lock, bool writes, uint64_t timeout)
{
    int error = sk_refused(lock);
    if (sk_unlikely(error)) return error;
    int done = attempt(inside(lock), writes);
    if (sk_likely(done != WOULD_WAIT)) return done;
    return timeout ? wait_for(inside(lock), writes, sk_deadline_of(timeout)) : -ETIMEDOUT;
}

static int trylock(skua_rwlock *lock, bool writes)
{
    int error = sk_refused(lock);
    if (sk_unlikely(error)) return error;
    int done = attempt(inside(lock), writes);
    return done == WOULD_WAIT ? -EBUSY : done;
}

int skua_rwlock_read_lock(skua_rwlock *lock)
{
    return lock_for(lock, false, SKUA_FOREVER);
}

int skua_rwlock_read_lock_for(skua_rwlock *lock, uint64_t timeout)
{
    return lock_for(lock, false, timeout);
}

int skua_rwlock_read_trylock(skua_rwlock *lock)
{
    return trylock(lock, false);
}

int skua_rwlock_write_lock(skua_rwlock *lock)
{
    return lock_for(lock, true, SKUA_FOREVER);
}

int skua_rwlock_write_lock_for(skua_rwlock *lock, uint64_t timeout)
{
    return lock_for(lock, true, timeout);
}

int skua_rwlock_write_trylock(skua_rwlock *lock)
{
    return trylock(lock, true);
}

/* ---- unlocking ---- */

int skua_rwlock_read_unlock(skua_rwlock *lock)
{
    int error = sk_refused(lock);
    if (sk_unlikely(error)) return error;
    rwlock *l = inside(lock);
    sk_served served = {NULL, NULL};
    sk_lock_take(&l->lock);
    if (l->held <= 0)
        error = -EPERM;
    else if (--l->held == 0)
        let_a_writer_in(l, &served);
    sk_lock_drop(&l->lock);
    sk_served_wake(&served);
    return error;
}

int skua_rwlock_write_unlock(skua_rwlock *lock)
{
    int error = sk_refused(lock);
    if (sk_unlikely(error)) return error;
    rwlock *l = inside(lock);
    sk_served served = {NULL, NULL};
    sk_lock_take(&l->lock);
    if (l->held == WRITER) {
        sk_cycle_drops(l);
        l->held = 0;
        let_readers_in(l, &served);
        if (l->held == 0) let_a_writer_in(l, &served);
    } else {
        error = -EPERM;
    }
    sk_lock_drop(&l->lock);
    sk_served_wake(&served);
    return error;
}
