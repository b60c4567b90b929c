/*
 * inject.h: the injection inbox: any thread puts items in, one taker empties it in one exchange.
 *
 * A Treiber stack (1986) whose only removal is "all of it", so that no node is
 * looked into while it is shared: there is no ABA and nothing to reclaim.  The
 * algorithm is that of ConcurrencyKit's ck_stack_push_upmc and
 * ck_stack_batch_pop_upmc; README.md says why it is written over our own
 * facade.  Items carry an sk_inject_link; a batch comes back as a chain, oldest
 * first.
 *
 * Who may run beside whom, and what each promises:
 *
 *   operation          by          beside      promise
 *   push, push_chain   any thread  everything  lock-free: a lost race is another one's success
 *   take               any thread  everything  the exchange is wait-free; turning round is O(batch)
 *   is_empty           any thread  everything  wait-free, a hint
 *   init               anybody     nothing     -
 *
 * Frozen threads: a pusher frozen at any instruction holds back only its own
 * item.  A taker frozen after the exchange holds back its whole batch, though
 * nobody is blocked: so it puts the batch where thieves see it at once.
 */
#ifndef SK_DEQUE_INJECT_H
#define SK_DEQUE_INJECT_H

#include "base/atomic.h"
#include "base/base.h"

typedef struct sk_inject_link {
    struct sk_inject_link *next; /* pusher writes before the swap; whoever took the batch owns it after */
} sk_inject_link;

typedef struct sk_inject {
    SK_LINE_ALIGNED sk_atomic(sk_inject_link *) newest; /* anyone swaps it */
} sk_inject;

static inline void sk_inject_init(sk_inject *inbox)
{
    sk_store_rlx(&inbox->newest, (sk_inject_link *)NULL);
}

/*
 * Puts in a ready-made chain in one swap.  `newest` is its head; following
 * next leads through ever older items to `oldest`.  True when the inbox was
 * empty before: then this pusher is the one who must notify.
 */
static inline bool sk_inject_push_chain(sk_inject *inbox, sk_inject_link *newest, sk_inject_link *oldest)
{
    sk_inject_link *before = sk_load_rlx(&inbox->newest);
    do {
        oldest->next = before;
        /* [IN-R1] release; pairs with [IN-A1] in sk_inject_take. Without it the taker could follow a link, or read an
           item, that is not written yet. Swaps chain on: the taker sees the older pushes through the newest. */
    } while (!sk_cas_rel(&inbox->newest, &before, newest));
    return before == NULL; /* not oldest->next: the taker may own it by now */
}

/* Puts in one item. True when the inbox was empty before. */
static inline bool sk_inject_push(sk_inject *inbox, sk_inject_link *item)
{
    return sk_inject_push_chain(inbox, item, item);
}

/* Turns a chain round; returns the new head. */
static inline sk_inject_link *sk_inject_reverse(sk_inject_link *chain)
{
    sk_inject_link *turned = NULL;
    while (chain) {
        sk_inject_link *next = chain->next;
        chain->next = turned;
        turned = chain;
        chain = next;
    }
    return turned;
}

/* Takes all there is: a chain, oldest first, ended by NULL; NULL when empty. */
static inline sk_inject_link *sk_inject_take(sk_inject *inbox)
{
    /* The common case is an empty inbox; looking does not take its line away from the pushers. */
    if (!sk_load_rlx(&inbox->newest)) return NULL;
    /* [IN-A1] acquire; pairs with [IN-R1] in sk_inject_push_chain. */
    return sk_inject_reverse(sk_xchg_acq(&inbox->newest, (sk_inject_link *)NULL));
}

static inline bool sk_inject_is_empty(const sk_inject *inbox)
{
    return !sk_load_rlx(&inbox->newest);
}

#endif
