/*
 * claim.h: who may touch a wheel.  A lock that favours its owner and that
 * nobody waits for: the owner enters and leaves with plain stores, anybody else
 * may try to claim, and backs off when the owner is inside.
 *
 * Contract: enter and leave by the owner only (one thread at a time); try and
 * release by any other thread.  All are wait-free; enter may say no.
 * README.md has the proof and what happens when a claimer is frozen.
 *
 * C11 that also compiles as C++11, so that Relacy explores this very code.
 */
#ifndef SK_TIMER_CLAIM_H
#define SK_TIMER_CLAIM_H

#include "base/atomic.h"
#include "base/base.h"

/* How often an owner who meets a claimer looks again: about 2 us, the length of a short advance. */
#ifdef SK_MODEL
#define SK_CLAIM_SPINS 1
#else
#define SK_CLAIM_SPINS 64
#endif

typedef struct sk_claim {
    SK_LINE_ALIGNED sk_atomic(uint32_t) claimed; /* claimers: 0 -> 1 by compare-and-swap, back by who set it */
    sk_atomic(uint64_t) due;                     /* W: holder writes, anyone reads; ns, a lower bound */
    SK_LINE_ALIGNED sk_atomic(uint32_t) inside;  /* W: owner writes, claimers read; what follows is the owner's line */
} sk_claim;

static inline void sk_claim_init(sk_claim *c)
{
    sk_store_rlx(&c->claimed, 0u);
    sk_store_rlx(&c->due, UINT64_MAX);
    sk_store_rlx(&c->inside, 0u);
}

/* Owner: gives way. */
static inline void sk_claim_leave(sk_claim *c)
{
    /* [TM-R1] release; pairs with [TM-A3] in sk_claim_try. Without it a claimer that finds the owner gone could see the
       wheel half changed. */
    sk_store_rel(&c->inside, 0u);
}

/* Owner, who has met a claim with `inside` set. A claimer that is only trying sees that and backs off; one that holds
   is gone after one advance, unless the kernel took its processor away. No further fence: the one in sk_claim_enter
   stands between our store and every later look. */
static inline bool sk_claim_enter_slow(sk_claim *c)
{
    for (int i = 0; i < SK_CLAIM_SPINS; i++) {
        sk_cpu_relax();
        /* [TM-A2] acquire; pairs with [TM-R2] and [TM-R3]: as [TM-A1]. */
        if (sk_load_acq(&c->claimed) == 0) return true;
    }
    sk_claim_leave(c);
    return false;
}

/* Owner: may it touch the wheel? False: somebody else does, and is not done yet. */
static sk_always_inline bool sk_claim_enter(sk_claim *c)
{
    sk_store_rlx(&c->inside, 1u);
    /* [TM-F1] light fence; pairs with [TM-F2] in sk_claim_try: whichever comes second sees the other's store. Without
       it owner and claimer could both find the way free. */
    sk_fence_light();
    /* [TM-A1] acquire; pairs with [TM-R2] and [TM-R3]. Without it the owner could see the wheel as it was before the
       claimer's advance. */
    if (sk_likely(sk_load_acq(&c->claimed) == 0)) return true;
    return sk_claim_enter_slow(c);
}

/* A claimer that is done. */
static inline void sk_claim_release(sk_claim *c)
{
    /* [TM-R2] release; pairs with [TM-A1], [TM-A2] and [TM-A4]. Without it the next holder could see the wheel half
       changed. */
    sk_store_rel(&c->claimed, 0u);
}

/* Anyone but the owner: may it touch the wheel? Costs a system call (sk_fence_heavy) unless the first look says no. */
static inline bool sk_claim_try(sk_claim *c)
{
    uint32_t unclaimed = 0;
    if (sk_load_rlx(&c->claimed) != 0 || sk_load_rlx(&c->inside) != 0) return false;
    /* [TM-A4] acquire; pairs with [TM-R2] of the claimer before us. Without it we could see the wheel as it was before
       that one's advance. */
    if (!sk_cas_acq(&c->claimed, &unclaimed, 1u)) return false;
    /* [TM-F2] heavy fence; pairs with [TM-F1] in sk_claim_enter: see there. */
    sk_fence_heavy();
    /* [TM-A3] acquire; pairs with [TM-R1] in sk_claim_leave: see there. */
    if (sk_load_acq(&c->inside) == 0) return true;
    /* [TM-R3] release; pairs with [TM-A1] and [TM-A2]. We changed nothing, but the owner may read this store instead
       of the one of the claimer before us, so it must hand on what [TM-A4] brought. */
    sk_store_rel(&c->claimed, 0u);
    return false;
}

/* Holder: tells the others when the wheel wants attention. No store when nothing changed: many read this line. */
static inline void sk_claim_publish(sk_claim *c, uint64_t due)
{
    if (sk_load_rlx(&c->due) != due) sk_store_rlx(&c->due, due);
}

/* Anyone: whether the wheel should have been advanced. A hint: relaxed, and true also for a cancelled timer. */
static inline bool sk_claim_overdue(sk_claim *c, uint64_t now)
{
    return now >= sk_load_rlx(&c->due);
}

#endif
