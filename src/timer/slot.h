/*
 * slot.h: a timer as it lies in a task, and the races over it.
 *
 *    63                              3 2     0
 *   +---------------------------------+-------+
 *   |  tick (LATE only, else zero)    | state |     the word of a slot
 *   +---------------------------------+-------+
 *
 *   FREE       in no wheel, in no list; the runner may arm it or free its memory
 *   ARMED      in the wheel of its home, or taken out by a holder who will now
 *              try to make it FIRING
 *   LATE       wants to be armed at `tick`; in the inbox of its home, or on its
 *              way there in somebody's hands
 *   CANCELLED  must not fire; in that inbox or on its way there, perhaps still
 *              linked in the wheel
 *   ORPHAN     as CANCELLED, and its task has ended: who finds it frees the task
 *   FIRING     in the hands of the one who took it out of the wheel to fire it
 *
 *   who      from       to          by
 *   runner   FREE       ARMED       store, holding its own wheel
 *   runner   FREE       LATE        store, then push; when it cannot have its wheel
 *   runner   ARMED      FREE        store, holding the wheel of the slot
 *   runner   ARMED      CANCELLED   CAS, then push          (the remote cancel)
 *   runner   LATE       CANCELLED   CAS; it is in the inbox already
 *   runner   CANCELLED  LATE        CAS; arm again before the sweep has come by
 *   runner   FIRING     LATE        CAS; the firer will push it
 *   runner   CANCELLED  ORPHAN      CAS; the task ends
 *   runner   FIRING     ORPHAN      CAS; the task ends
 *   holder   ARMED      FIRING      CAS
 *   holder   LATE       ARMED       CAS, once linked in the wheel
 *   holder   CANCELLED  FREE        CAS, once unlinked
 *   holder   ARMED      LATE        CAS, then push elsewhere (a worker retires)
 *   firer    FIRING     FREE        store if it has won the task, else CAS
   firer    CANCELLED  FREE        CAS
   firer    FIRING     LATE        CAS, then push; the park is not there yet
 *
 * Runner: whoever executes the slot's task, or parks it, or has just woken it:
 * one at a time, handed on by the task's own state.  Holder: who may touch the
 * wheel (claim.h).  Firer: a holder that goes on with what it took out after it
 * has left the wheel.  Three rules carry the rest:
 *
 *   1. `node` belongs to the runner while the slot is FREE; to the firer from
 *      FIRING until it has let go; else to the holder of the home.
 *   2. `link` belongs to who pushes the slot, then to who takes the inbox.
 *   3. CANCELLED, LATE and ORPHAN slots are in exactly one pair of hands or one
 *      inbox. Only who has it in hand makes it FREE or ARMED, or frees the task.
 */
#ifndef SK_TIMER_SLOT_H
#define SK_TIMER_SLOT_H

#include "base/atomic.h"
#include "base/base.h"
#include "timer/wheel.h"

struct sk_timers;

enum {
    SK_SLOT_FREE = 0,
    SK_SLOT_ARMED = 1,
    SK_SLOT_LATE = 2,
    SK_SLOT_CANCELLED = 3,
    SK_SLOT_ORPHAN = 4,
    SK_SLOT_FIRING = 5,
    SK_SLOT_STATE = 7,
    SK_SLOT_TICK_SHIFT = 3
};

typedef struct sk_timer_slot {
    sk_timer node;                          /* rule 1 */
    sk_atomic(uint64_t) word;               /* the table above */
    sk_atomic(struct sk_timer_slot *) link; /* rule 2 */
    sk_atomic(struct sk_timers *) home;     /* whose wheel; W: runner while FREE, holder while LATE; runner reads */
    sk_atomic(uint64_t) tag;                /* W: runner writes before it arms, holder reads: which park this is for */
} sk_timer_slot;

/* A stack that many push to and one empties: no node is ever popped alone, so there is no ABA. */
typedef struct sk_slot_inbox {
    sk_atomic(sk_timer_slot *) head; /* newest first */
    sk_atomic(uint64_t) due;         /* ns; at most the earliest LATE slot inside, so that others see it overdue */
} sk_slot_inbox;

static inline unsigned sk_slot_state(uint64_t word)
{
    return (unsigned)(word & SK_SLOT_STATE);
}

static inline uint64_t sk_slot_late(uint64_t tick)
{
    return (tick << SK_SLOT_TICK_SHIFT) | SK_SLOT_LATE;
}

static inline uint64_t sk_slot_tick(uint64_t word)
{
    return word >> SK_SLOT_TICK_SHIFT;
}

/* All zero is a free slot too. */
static inline void sk_slot_init(sk_timer_slot *s)
{
    s->node.next = NULL;
    s->node.pprev = NULL;
    s->node.expires = 0;
    sk_store_rlx(&s->word, (uint64_t)SK_SLOT_FREE);
    sk_store_rlx(&s->link, (sk_timer_slot *)NULL);
    sk_store_rlx(&s->home, (struct sk_timers *)NULL);
    sk_store_rlx(&s->tag, (uint64_t)0);
}

/* ---- runner ---- */

/* Runner: the word, and with it the right to the node if it is FREE. */
static inline uint64_t sk_slot_look(sk_timer_slot *s)
{
    /* [TM-A5] acquire; pairs with [TM-R5] and [TM-R6], the ways to FREE, and with [TM-R4]. Without it the runner could
       write the node before the holder's or firer's last access, or see a home from before LATE. */
    return sk_load_acq(&s->word);
}

/* Runner, without the wheel: it shall not fire. True: it is now CANCELLED, and *word is what it was before. ARMED must
   then be pushed to its home; the others are in good hands. */
static inline bool sk_slot_cancel(sk_timer_slot *s, uint64_t *word)
{
    for (;;) {
        unsigned state = sk_slot_state(*word);
        if (state != SK_SLOT_ARMED && state != SK_SLOT_LATE && state != SK_SLOT_FIRING) return false;
        /* [TM-A6] acquire; pairs with [TM-R4] in sk_slot_armed. Without it the runner could push the slot to a home
           that it had before it was LATE. Nothing to release here: the push does. */
        if (sk_cas_acq(&s->word, word, (uint64_t)SK_SLOT_CANCELLED)) return true;
    }
}

/* Runner, who cannot push it any more: cancels what is not in a wheel. True: nobody will fire it. False: it is ARMED.
 */
static inline bool sk_slot_cancel_in_hand(sk_timer_slot *s)
{
    uint64_t word = sk_slot_look(s);
    while (sk_slot_state(word) == SK_SLOT_LATE || sk_slot_state(word) == SK_SLOT_FIRING) {
        /* [TM-A11] acquire; as [TM-A5]. Nothing to release here: sk_slot_abandon does. */
        if (sk_cas_acq(&s->word, &word, (uint64_t)SK_SLOT_CANCELLED)) return true;
    }
    return sk_slot_state(word) != SK_SLOT_ARMED;
}

/* Runner: arm once more although the slot is still in somebody's hands. False: it is FREE meanwhile, arm it as usual.
 */
static inline bool sk_slot_again(sk_timer_slot *s, uint64_t *word, uint64_t tick)
{
    while (sk_slot_state(*word) == SK_SLOT_CANCELLED) {
        /* [TM-R7] release; pairs with [TM-A7] in sk_slot_armed, [TM-A8] and the acquire of [TM-R6]. Without it the
           firing of this arm could find the tag of the one before. On failure the caller looks again, with [TM-A5]. */
        if (sk_cas_rel(&s->word, word, sk_slot_late(tick))) return true;
    }
    return false;
}

/* Runner, at the end of its task, once the timer has fired or has been cancelled: true: the caller frees the memory;
   false: the one in whose hands the slot is will. */
static inline bool sk_slot_abandon(sk_timer_slot *s)
{
    uint64_t word = sk_slot_look(s);
    while (sk_slot_state(word) != SK_SLOT_FREE) {
        sk_check(sk_slot_state(word) == SK_SLOT_CANCELLED);
        /* [TM-R8] acquire-release; pairs with [TM-A8] and [TM-R6], and on failure as [TM-A5]. Without the release the
           task could be freed while the runner's last writes to it are still under way. */
        if (sk_cas_ar(&s->word, &word, (uint64_t)SK_SLOT_ORPHAN)) return false;
    }
    return true;
}

/* ---- holder ---- */

/* Holder of a wheel that is given up, about what it has taken out of it: true: in our hands, to be pushed elsewhere.
   Relaxed: that push releases it. */
static inline bool sk_slot_moved(sk_timer_slot *s)
{
    uint64_t word = SK_SLOT_ARMED;
    return sk_cas_rlx(&s->word, &word, sk_slot_late(sk_tick_up(s->node.expires)));
}

/* Holder, about what it has taken out of the wheel: true: it is in our hands. Relaxed: what the node needs came with
   the wheel, and nothing of ours is handed over yet. */
static inline bool sk_slot_fire(sk_timer_slot *s)
{
    uint64_t word = SK_SLOT_ARMED;
    return sk_cas_rlx(&s->word, &word, (uint64_t)SK_SLOT_FIRING);
}

/* Holder, about a slot from the inbox: what it is. */
static inline uint64_t sk_slot_taken(sk_timer_slot *s)
{
    /* [TM-A8] acquire; pairs with [TM-R8] in sk_slot_abandon, see there, and with [TM-R7]. */
    return sk_load_acq(&s->word);
}

/* Holder: LATE, and now linked in its wheel. False: *word is news. */
static inline bool sk_slot_armed(sk_timer_slot *s, uint64_t *word)
{
    /* [TM-R4], [TM-A7] acquire-release; the release pairs with [TM-A5] and [TM-A6], which read the home: without it the
       runner could push to an old one. The acquire pairs with [TM-R7], and on failure with [TM-R8]: see there. */
    return sk_cas_ar(&s->word, word, (uint64_t)SK_SLOT_ARMED);
}

/* Holder: CANCELLED, and now unlinked. True: hands off, the runner may have freed it. False: *word is news. */
static inline bool sk_slot_freed(sk_timer_slot *s, uint64_t *word)
{
    /* [TM-R5] acquire-release; pairs with [TM-A5]: see there; on failure with [TM-R7] and [TM-R8]. */
    return sk_cas_ar(&s->word, word, (uint64_t)SK_SLOT_FREE);
}

/* ---- firer ---- */

/* The tag with which the slot was armed. Not s->tag: the runner may be writing that one for the next arm. */
static inline uint64_t sk_slot_fired_tag(const sk_timer_slot *s)
{
    return s->node.expires;
}

/* Firer that has won the task: until it hands the task on there is no runner, so a store will do. */
static inline void sk_slot_settle(sk_timer_slot *s)
{
    sk_assert(sk_load_rlx(&s->word) == SK_SLOT_FIRING);
    sk_store_rlx(&s->word, (uint64_t)SK_SLOT_FREE);
}

/* Firer that has lost the task to another waker: lets go. FREE: done. ORPHAN: the caller frees the task. LATE: the
   caller must push it to its inbox. */
static inline uint64_t sk_slot_let_go(sk_timer_slot *s)
{
    uint64_t word = SK_SLOT_FIRING;
    while (sk_slot_state(word) == SK_SLOT_FIRING || sk_slot_state(word) == SK_SLOT_CANCELLED) {
        /* [TM-R6] acquire-release; pairs with [TM-A5]: see there; on failure with [TM-R7] and [TM-R8]. */
        if (sk_cas_ar(&s->word, &word, (uint64_t)SK_SLOT_FREE)) return SK_SLOT_FREE;
    }
    return word;
}

/* Firer that came before the park: true: it is LATE for this tick, and the caller must push it to its inbox. Relaxed,
   since that push releases it. False: somebody woke the task meanwhile; let go. */
static inline bool sk_slot_retry(sk_timer_slot *s, uint64_t tick)
{
    uint64_t word = SK_SLOT_FIRING;
    return sk_cas_rlx(&s->word, &word, sk_slot_late(tick));
}

/* ---- inbox ---- */

static inline void sk_inbox_init(sk_slot_inbox *in)
{
    sk_store_rlx(&in->head, (sk_timer_slot *)NULL);
    sk_store_rlx(&in->due, UINT64_MAX);
}

/* Anyone; lock-free. Afterwards the slot may be gone at any time. */
static inline void sk_inbox_push(sk_slot_inbox *in, sk_timer_slot *s)
{
    sk_timer_slot *head = sk_load_rlx(&in->head);
    for (;;) {
        sk_store_rlx(&s->link, head);
        /* [TM-R9] release; pairs with [TM-A9] in sk_inbox_take. Without it the taker could follow a link that has not
           been written. */
        if (sk_cas_rel(&in->head, &head, s)) return;
    }
}

/* Anyone, after it has made a slot LATE and pushed it: lowers the time at which the inbox is overdue. Lock-free. */
static inline void sk_inbox_hurry(sk_slot_inbox *in, uint64_t due)
{
    uint64_t old = sk_load_rlx(&in->due);
    for (;;) {
        /* [TM-R10] release; pairs with [TM-A10] in sk_inbox_take. Without it a taker could reset this time and yet
           miss the slot that it stands for, which would then wait unseen. For the same reason it writes even if the
           time is early enough: what the load saw may have been reset since. */
        if (sk_cas_rel(&in->due, &old, sk_min(due, old))) return;
    }
}

/* Holder; wait-free. All slots, newest first. */
static inline sk_timer_slot *sk_inbox_take(sk_slot_inbox *in)
{
    /* [TM-A10] acquire; pairs with [TM-R10] in sk_inbox_hurry: see there. The reset comes before the take: a slot that
       comes between is taken and its time stays, which costs one look for nothing. */
    if (sk_load_rlx(&in->due) != UINT64_MAX) (void)sk_xchg_acq(&in->due, UINT64_MAX);
    if (sk_load_rlx(&in->head) == NULL) return NULL;
    /* [TM-A9] acquire; pairs with [TM-R9] in sk_inbox_push: see there. */
    return sk_xchg_acq(&in->head, (sk_timer_slot *)NULL);
}

#endif
