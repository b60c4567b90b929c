/*
 * barrier.c: the barrier behind skua/barrier.h.
 *
 * Everything happens under the short lock; waits go by turn.h.  Invariants, when it
 * is free: those who have come in this round stand in the queue, `come` of them,
 * fewer than there are parties; in a broken barrier nobody does.
 *
 * Why no waiter is stranded.  A round ends in one of three ways, each of which serves
 * all who have come, in the same hold of the lock: the last party comes (PASSED), one
 * gives up (BROKEN), or it is reset (BROKEN).  Who wants to give up and finds that it
 * has been served shares the fate of its round: a round is never passed by some and
 * failed by others.
 */
#include "skua/barrier.h"

#include "sync/turn.h"

enum { PASSED = 1, BROKEN = 2 }; /* outcomes */

typedef struct __attribute__((may_alias)) barrier {
    sk_lock lock;
    uint32_t parties;           /* I */
    uint32_t come;              /* lock */
    sk_atomic(uint32_t) broken; /* lock; anyone peeks */
    sk_waiters waiters;
} barrier;

#ifndef SK_MODEL
_Static_assert(sizeof(barrier) == sizeof(skua_barrier), "what the public header promises");
#endif

/* Under the lock. */
static void end_round(barrier *b, uint32_t outcome, sk_served *served)
{
    (void)sk_serve_all(&b->waiters, outcome, served);
    b->come = 0;
}

static int give_up(barrier *b, sk_turn *turn, int error)
{
    sk_served served = {NULL, NULL};
    sk_lock_take(&b->lock);
    bool leaves = sk_turn_leaves(&b->waiters, turn);
    if (leaves) {
        sk_store_rlx(&b->broken, 1u);
        end_round(b, BROKEN, &served);
    }
    sk_lock_drop(&b->lock);
    sk_served_wake(&served);
    return leaves ? error : 0;
}

/* Under the lock. 1: the last has come; 0: it waits; or an error. unable: why it cannot wait, or 0. */
static int come(barrier *b, sk_turn *turn, int unable, sk_served *served)
{
    if (sk_load_rlx(&b->broken)) return -EPIPE;
    if (b->come + 1 == b->parties) {
        end_round(b, PASSED, served);
        return 1;
    }
    if (unable) return unable;
    b->come++;
    sk_turn_join(&b->waiters, turn);
    return 0;
}

static int wait_for(barrier *b, uint64_t timeout)
{
    sk_turn turn;
    sk_served served = {NULL, NULL};
    int error = timeout ? sk_turn_init(&turn, NULL) : -ETIMEDOUT;
    sk_lock_take(&b->lock);
    int done = come(b, &turn, error, &served);
    sk_lock_drop(&b->lock);
    sk_served_wake(&served);
    if (done != 0) return done;
    error = sk_turn_sleep(&turn, sk_deadline_of(timeout), "barrier", b);
    if (sk_unlikely(error)) error = give_up(b, &turn, error);
    if (error) return error;
    return sk_turn_outcome(&turn) == PASSED ? 0 : -EPIPE;
}

int skua_barrier_wait_for(skua_barrier *b, uint64_t timeout)
{
    int error = sk_refused(b);
    if (error) return error;
    return b->parties ? wait_for((barrier *)(void *)b, timeout) : -EINVAL;
}

int skua_barrier_wait(skua_barrier *b)
{
    return skua_barrier_wait_for(b, SKUA_FOREVER);
}

int skua_barrier_reset(skua_barrier *public_b)
{
    int error = sk_refused(public_b);
    if (error) return error;
    barrier *b = (barrier *)(void *)public_b;
    sk_served served = {NULL, NULL};
    sk_lock_take(&b->lock);
    end_round(b, BROKEN, &served);
    sk_store_rlx(&b->broken, 0u);
    sk_lock_drop(&b->lock);
    sk_served_wake(&served);
    return 0;
}

int skua_barrier_init(skua_barrier *b, uint32_t parties)
{
    int error = sk_refused(b);
    if (error) return error;
    if (parties == 0) return -EINVAL;
    skua_barrier fresh = SKUA_BARRIER_INIT(parties);
    *b = fresh;
    return 0;
}

int skua_barrier_is_broken(const skua_barrier *b)
{
    return b && sk_load_rlx(&((barrier *)(uintptr_t)b)->broken);
}
