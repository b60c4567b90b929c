/*
 * lock.h: a lock for a few dozen instructions.
 *
 * It guards the queues of channels and of the locks of src/sync.  Whoever holds it
 * computes, copies an element, and lets it go; it waits for nothing, neither parks
 * nor calls anything of the program's.  So a thread that finds it taken spins.  If
 * that lasts, the holder has lost its processor: then the thread gives up its own,
 * and after that it naps, so a holder of any priority comes round.
 *
 * Not lock-free: a holder that the kernel stops holds up those who want the same
 * channel or lock, and nobody else.
 *
 *   operation      by             progress
 *   sk_lock_take   any thread     waits for the holder
 *   sk_lock_drop   its holder     wait-free
 */
#ifndef SK_OS_LOCK_H
#define SK_OS_LOCK_H

#include "base/atomic.h"
#include "base/base.h"

/* All zero: free. */
typedef struct sk_lock {
    sk_atomic(uint32_t) word; /* 0: free, 1: held */
} sk_lock;

/* The lock is held: waits for it. */
void sk_lock_take_slow(sk_lock *lock);

/* In a loop that waits for the holder of such a lock to come round: spins, yields or naps, as `tries` grows. */
void sk_lock_give_way(unsigned tries);

static inline bool sk_lock_try(sk_lock *lock)
{
    uint32_t none = 0;
    /* [LO-A1] acquire; pairs with [LO-R1]: we see what the holder before us did. */
    return sk_load_rlx(&lock->word) == 0 && sk_cas_acq(&lock->word, &none, 1u);
}

static inline void sk_lock_take(sk_lock *lock)
{
    if (sk_unlikely(!sk_lock_try(lock))) sk_lock_take_slow(lock);
}

static inline void sk_lock_drop(sk_lock *lock)
{
    /* [LO-R1] release; pairs with [LO-A1]. The lock's memory is not touched after it. */
    sk_store_rel(&lock->word, 0u);
}

#endif
