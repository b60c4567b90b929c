/*
 * favour.h: a short lock that favours one worker.
 *
 * An object that one worker uses again and again is locked for it by the claim of its
 * wheel (timer/claim.h): two plain stores instead of a locked instruction.  All others
 * take the lock (os/lock.h), and take the favour away before they do anything.
 *
 *   the favoured        others, and the favoured by its second way
 *     inside = 1          lock
 *     light fence         favoured another?  of = NULL            [FV-F1]
 *     of == me ? in       heavy fence
 *                         until inside == 0                       [FV-A1]
 *
 * At most one is in: the fences are those of the claim, totally ordered.  If the
 * favoured one's comes first, the other sees it inside, and waits until it has left;
 * else it sees that it is favoured no more.  Of those who have the lock, it is the lock
 * that decides; the favoured one, which does only one thing at a time, may take it with
 * the favour standing.  `of` is written under the lock, and points to a worker only if
 * that has put it there itself: so what others have done before, it has seen.
 *
 * Losing the favour costs another about a microsecond (membarrier).  So it is given
 * after many uses in a row by one worker only, and after twice as many each time that
 * it was lost, which makes it a few nanoseconds a use, however things go.
 *
 * L: under the lock.
 */
#ifndef SK_SYNC_FAVOUR_H
#define SK_SYNC_FAVOUR_H

#include "os/lock.h"
#include "timer/claim.h"

#ifdef SK_MODEL
enum { SK_FAVOUR_AFTER = 1, SK_FAVOUR_LOST_MOST = 1 };
#else
enum { SK_FAVOUR_AFTER = 128, SK_FAVOUR_LOST_MOST = 12 };
#endif

/* All zero: free, and nobody is favoured. */
typedef struct sk_favour {
    sk_lock lock;
    uint16_t lost;            /* L: how often, so far */
    sk_atomic(sk_claim *) of; /* L; anyone peeks: who is favoured, by the claim of its wheel; NULL: nobody */
    const sk_claim *last;     /* L: who used it last */
    uint32_t in_a_row;        /* L: and so often */
} sk_favour;

/* Owner of `mine`: true: it has the object, without the lock, until it leaves its claim. */
static inline bool sk_favour_enter(sk_favour *f, sk_claim *mine)
{
    if (sk_load_rlx(&f->of) != mine || sk_unlikely(!sk_claim_enter(mine))) return false;
    if (sk_likely(sk_load_rlx(&f->of) == mine)) return true;
    sk_claim_leave(mine);
    return false;
}

/* Under the lock: whether somebody else than `mine` (NULL: a thread without a wheel) is favoured. Then nothing may be
   touched before sk_favour_end. */
static inline bool sk_favour_stands(sk_favour *f, const sk_claim *mine)
{
    const sk_claim *of = sk_load_rlx(&f->of);
    return of && of != mine;
}

/* Under the lock: whoever is favoured is so no more. True: and it is not inside. False: it is, or is still about to
   notice; only for who does not wait: nothing has changed. */
static inline bool sk_favour_end(sk_favour *f, bool waits)
{
    sk_claim *of = sk_load_rlx(&f->of);
    sk_store_rlx(&f->of, (sk_claim *)NULL);
    /* [FV-F1] heavy fence; pairs with [TM-F1] in sk_claim_enter: see the head of this file. */
    sk_fence_heavy();
    /* [FV-A1] acquire; pairs with [TM-R1] in sk_claim_leave: what it did inside. */
    for (unsigned tries = 0; sk_load_acq(&of->inside) != 0; tries++) {
        if (!waits) {
            sk_store_rlx(&f->of, of);
            return false;
        }
        sk_lock_give_way(tries);
    }
    if (f->lost < SK_FAVOUR_LOST_MOST) f->lost++;
    f->in_a_row = 0;
    return true;
}

/* Under the lock, when the worker of `mine` has used the object: is it to be favoured? */
static inline void sk_favour_used(sk_favour *f, sk_claim *mine)
{
    if (f->last != mine) {
        f->last = mine;
        f->in_a_row = 0;
    } else if (++f->in_a_row >= (uint32_t)SK_FAVOUR_AFTER << f->lost) {
        sk_store_rlx(&f->of, mine);
    }
}

#endif
