/*
 * tagstack.h: a lock-free stack of ids (Treiber 1986) with a tag against ABA.
 *
 * The members are things that have a 32-bit id and a link word somewhere that
 * stays readable for ever; id 0 means none.  Head and tag share one 64-bit word:
 * a thread that was frozen between reading the head and its CAS succeeds wrongly
 * only if exactly a multiple of 2^32 pushes and pops passed meanwhile.
 *
 * push and pop: any thread, any time; lock-free (a CAS fails only because another one succeeded).
 */
#ifndef SK_MEM_TAGSTACK_H
#define SK_MEM_TAGSTACK_H

#include "base/atomic.h"
#include "base/base.h"

typedef sk_atomic(uint32_t) sk_tagstack_link;

typedef struct sk_tagstack {
    sk_atomic(uint64_t) head; /* tag << 32 | id; any thread, by CAS */
} sk_tagstack;

/* The word that comes after `old` when `id` becomes the head. */
static inline uint64_t sk_tagstack_step(uint64_t old, uint32_t id)
{
    return (((old >> 32) + 1) << 32) | id;
}

static inline void sk_tagstack_push(sk_tagstack *stack, uint32_t id, sk_tagstack_link *link)
{
    uint64_t old = sk_load_rlx(&stack->head);
    do {
        sk_store_rlx(link, (uint32_t)old);
        /* [ME-R1] release; pairs with [ME-A1] and [ME-A2]. Without it the taker could see the id before the link
           and before what the pusher wrote into the member. */
    } while (!sk_cas_rel(&stack->head, &old, sk_tagstack_step(old, id)));
}

/* The id pushed last, or 0.  link_of(ctx, id) says where a member's link stands. */
static inline uint32_t sk_tagstack_pop(sk_tagstack *stack, sk_tagstack_link *(*link_of)(void *ctx, uint32_t id),
                                       void *ctx)
{
    /* [ME-A1] acquire; pairs with [ME-R1]. Without it the link read below could be older than the push of its id.
       Every change of the head is a read-modify-write, so a head that a pop left behind still carries that release. */
    uint64_t old = sk_load_acq(&stack->head);
    while ((uint32_t)old) {
        /* May be stale when another thread took the member already; then the tag has moved and the CAS fails. */
        uint32_t next = sk_load_rlx(link_of(ctx, (uint32_t)old));
        /* [ME-A2] acquire; pairs with [ME-R1]. A failed try reads a new head, whose link is read next. */
        if (sk_cas_acq(&stack->head, &old, sk_tagstack_step(old, next))) return (uint32_t)old;
    }
    return 0;
}

#endif
