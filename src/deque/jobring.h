/*
 * jobring.h: the job ring of a worker: the owner works as on a stack, thieves take the oldest.
 *
 * Chase and Lev's deque (SPAA 2005) on a ring of fixed size, with the memory
 * orders of Le, Pop, Cohen and Zappa Nardelli (PPoPP 2013).  Fork and join
 * build on it: a fork that finds the ring full runs its job at once, so the
 * ring never has to grow, and the faults of that paper's code that have to do
 * with growing cannot occur.  The others are mended: see README.md, "The job
 * ring".
 *
 * Who may run beside whom, and what each promises:
 *
 *   operation        by          beside                    promise
 *   push             the owner   try_steal, size           wait-free
 *   pop              the owner   try_steal, size           wait-free
 *   drain            the owner   try_steal, size           lock-free
 *   try_steal        any thread  everything but init/fini  wait-free
 *   size             any thread  everything but init/fini  wait-free, a hint
 *   init fini check  anybody     nothing                   -
 */
#ifndef SK_DEQUE_JOBRING_H
#define SK_DEQUE_JOBRING_H

#include "base/atomic.h"
#include "base/base.h"
#include "deque/slots.h"

#define SK_JOBRING_LOG2_MAX 24u

typedef struct sk_jobring {
    SK_LINE_ALIGNED sk_atomic(uint64_t) top;    /* anyone moves it forward, by CAS only */
    SK_LINE_ALIGNED sk_atomic(uint64_t) bottom; /* W: owner writes, anyone reads */
    uint64_t top_seen;                          /* O: a value that top had; spares push the shared line */
    SK_LINE_ALIGNED uint64_t mask;              /* I: capacity - 1 */
    sk_item_slot *slots;                        /* I: the ring; each slot: W, read by thieves */
    void *block;                                /* I: what the slots' memory goes back as */
} sk_jobring;

/* As sk_jobring_init, with the first index: tests start just below 2^64. */
static inline int sk_jobring_init_at(sk_jobring *ring, unsigned log2_capacity, uint64_t first)
{
    if (log2_capacity > SK_JOBRING_LOG2_MAX) return -EINVAL;
    ring->mask = (1ull << log2_capacity) - 1;
    ring->slots = sk_slots_new(sk_item_slot, ring->mask + 1, &ring->block);
    if (!ring->slots) return -ENOMEM;
    sk_store_rlx(&ring->top, first);
    sk_store_rlx(&ring->bottom, first);
    ring->top_seen = first;
    return 0;
}

/* 0, -ENOMEM, or -EINVAL above SK_JOBRING_LOG2_MAX. The caller publishes the ring to other threads. */
static inline int sk_jobring_init(sk_jobring *ring, unsigned log2_capacity)
{
    return sk_jobring_init_at(ring, log2_capacity, 0);
}

/* Frees the ring; what is still in it is forgotten. Nobody may be using it. */
static inline void sk_jobring_fini(sk_jobring *ring)
{
    sk_slots_delete(sk_item_slot, ring->block);
    ring->slots = NULL;
}

/* The slot of an index. Indices run through all of uint64_t and wrap; only their signed differences mean anything. */
static inline sk_item_slot *sk_jobring_slot(const sk_jobring *ring, uint64_t index)
{
    return &ring->slots[index & ring->mask];
}

/* Owner: puts a non-NULL item on top of the stack (the bottom end). 0, or -ENOSPC when the ring is full. */
static inline int sk_jobring_push(sk_jobring *ring, void *item)
{
    uint64_t bottom = sk_load_rlx(&ring->bottom);
    if (sk_unlikely(bottom - ring->top_seen > ring->mask)) {
        /* [JR-A1] acquire; pairs with [JR-S2] in sk_jobring_try_steal. Without it the owner could write its next item
           into a slot which the thief that emptied it has not read yet. */
        ring->top_seen = sk_load_acq(&ring->top);
        if (bottom - ring->top_seen > ring->mask) return -ENOSPC;
    }
    sk_store_rlx(sk_jobring_slot(ring, bottom), item);
    /* [JR-R1] release; pairs with [JR-A2] in sk_jobring_try_steal. Without it a thief could read the slot before the
       item, or the item before what it points to, was written. */
    sk_store_rel(&ring->bottom, bottom + 1);
    return 0;
}

/* The last item: owner and thieves race for it on top. */
static inline void *sk_jobring_pop_last(sk_jobring *ring, uint64_t top)
{
    void *item = sk_load_rlx(sk_jobring_slot(ring, top));
    uint64_t next = top + 1;
    /* [JR-S1] seq_cst; pairs with [JR-S2] in sk_jobring_try_steal. Only one of two swaps from the same top succeeds,
       by atomicity alone; the order is that of the other swaps on top, so that they stand in one line with the
       fences. See README.md. */
    bool won = sk_cas_sc(&ring->top, &top, next);
    /* [JR-R3] release; pairs with [JR-A2] in sk_jobring_try_steal. Without it bottom's old value would come back
       without the items that it stood for: as [JR-R2]. */
    sk_store_rel(&ring->bottom, next);
    return won ? item : NULL;
}

/* Owner: takes back the newest item; NULL when there is none, or when a thief got the last one. */
static inline void *sk_jobring_pop(sk_jobring *ring)
{
    uint64_t bottom = sk_load_rlx(&ring->bottom);
    /* Top only grows: if it has caught up, the ring is empty, without a fence, and bottom must not go below it. */
    if (bottom == sk_load_rlx(&ring->top)) return NULL;
    bottom--;
    /* [JR-R2] release; pairs with [JR-A2] in sk_jobring_try_steal. A thief that reads this value must still see the
       items below it; from C++20 on, a relaxed store would no longer carry on the release of the pushes. */
    sk_store_rel(&ring->bottom, bottom);
    /* [JR-F1] full fence; pairs with [JR-F2] in sk_jobring_try_steal. Without it the owner could read an old top
       before its claim on bottom shows, a thief an old bottom, and both would take the same item. */
    sk_fence_sc();
    uint64_t top = sk_load_rlx(&ring->top);
    int64_t below = (int64_t)(bottom - top);
    if (sk_likely(below > 0)) return sk_load_rlx(sk_jobring_slot(ring, bottom));
    if (below == 0) return sk_jobring_pop_last(ring, top);
    /* [JR-R4] release; pairs with [JR-A2] in sk_jobring_try_steal: as [JR-R3]. Thieves took the last one meanwhile. */
    sk_store_rel(&ring->bottom, bottom + 1);
    return NULL;
}

/* Any thread: takes the oldest item. 1 and the item in *out; 0 when it looked empty; -EAGAIN when another was faster:
   there may be more. */
static inline int sk_jobring_try_steal(sk_jobring *ring, void **out)
{
    uint64_t top = sk_load_rlx(&ring->top); /* the fence makes an acquire of it */
    /* [JR-F2] full fence; pairs with [JR-F1] in sk_jobring_pop. Without it we could read bottom before top, and take
       an item which the owner has claimed in between without a swap. It also puts the swap that made this top before
       us, so that the owner cannot miss it if our fence comes before his. */
    sk_fence_sc();
    /* [JR-A2] acquire; pairs with [JR-R1] in sk_jobring_push and the stores to bottom in pop, [JR-R2] to [JR-R4]. */
    int64_t queued = (int64_t)(sk_load_acq(&ring->bottom) - top);
    if (queued <= 0) return 0;
    void *item = sk_load_rlx(sk_jobring_slot(ring, top));
    /* [JR-S2] seq_cst; pairs with [JR-A1] in sk_jobring_push (as release: our read of the slot is over) and with
       [JR-F1] in sk_jobring_pop. Without the place in the one order, the owner could miss this swap although another
       thief has seen it, and think that two items are left where there is one. */
    if (!sk_cas_sc(&ring->top, &top, top + 1)) return -EAGAIN;
    *out = item;
    return 1;
}

/* The same for those who do not care why: the item, or NULL when empty or when the race was lost. */
static inline void *sk_jobring_steal(sk_jobring *ring)
{
    void *item = NULL;
    return sk_jobring_try_steal(ring, &item) == 1 ? item : NULL;
}

/* Owner: takes everything in one swap and calls fn for each item, oldest first. fn must not push into this ring.
   Returns the number of items. */
static inline uint64_t sk_jobring_drain(sk_jobring *ring, void (*fn)(void *ctx, void *item), void *ctx)
{
    uint64_t bottom = sk_load_rlx(&ring->bottom);
    uint64_t top = sk_load_rlx(&ring->top);
    while (top != bottom) {
        /* [JR-S3] seq_cst; pairs with [JR-S2] in sk_jobring_try_steal: as [JR-S1]. Thieves do not write slots, so what
           was swapped out can be read at leisure. */
        if (sk_cas_sc(&ring->top, &top, bottom)) break;
    }
    for (uint64_t i = top; i != bottom; i++) fn(ctx, sk_load_rlx(sk_jobring_slot(ring, i)));
    return bottom - top;
}

/* About how many are in the ring. */
static inline uint64_t sk_jobring_size(const sk_jobring *ring)
{
    uint64_t top = sk_load_rlx(&ring->top);
    int64_t queued = (int64_t)(sk_load_rlx(&ring->bottom) - top);
    return queued > 0 ? (uint64_t)queued : 0;
}

/* At rest: do the indices and the items agree? */
static inline bool sk_jobring_check(const sk_jobring *ring)
{
    uint64_t top = sk_load_rlx(&ring->top), bottom = sk_load_rlx(&ring->bottom);
    if (!ring->slots || !sk_is_pow2(ring->mask + 1)) return false;
    if (bottom - top > ring->mask + 1) return false;       /* top never passes bottom, live items fit */
    if ((int64_t)(top - ring->top_seen) < 0) return false; /* what was seen has been */
    for (uint64_t i = top; i != bottom; i++) {
        if (!sk_load_rlx(sk_jobring_slot(ring, i))) return false;
    }
    return true;
}

#endif
