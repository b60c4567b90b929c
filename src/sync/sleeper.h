/*
 * sleeper.h: how a task or a thread waits for what others will do; the ground on
 * which channels, select and the locks of src/sync stand.
 *
 *   sleeper   one wait of one task or thread, in its frame.  Its word, which lies in
 *             the task's or thread's record, says who has ended it:  0 -> outcome,
 *             by compare-and-swap, exactly once: by whoever brings what it waits for
 *             (claim), or by the sleeper itself, which was cancelled or is late
 *             (give up).  The record is type-stable, the frame may be gone when the
 *             commit of the park looks
 *   waiter    a sleeper's place in the queue of one object, under that object's
 *             lock.  A select has one for each of its cases, all others just one.
 *   waiters   the queue: first come, first served
 *
 * The protocol of a wait
 *
 *   sleeper   1. under the object's lock: looks, and puts its waiter into the queue
 *             2. without it: leaves its stack; PARKED; looks at its word once more
 *   claimer   1. under the lock: takes the waiter out, word 0 -> outcome, not settled
 *                yet [SL-C1]; moves what is to be moved
 *             2. without it: settles the word [SL-R2], wakes the task in the
 *                generation of that park
 *
 * No wake-up is lost: a claim before PARKED is found by the look after it ([SL-A1]),
 * one after it wakes (park.c's argument, with the word as the event).  Who gives up
 * moves the word itself ([SL-C2]), and has nothing more to do with it but to take
 * its waiters out of the queues, each under its lock.  If a claimer was faster, the
 * wait has succeeded after all.
 *
 * A sleeper that finds itself claimed without having been woken (it looked before it
 * parked, or was cancelled meanwhile) waits until the word is settled: by then the
 * element has been moved and the lock dropped, so that it may free either.  That is
 * a wait for the holder of a lock, and is done in the same way (os/lock.h).
 *
 * A claimer that was slow wakes nobody else: a sleeper that went on without having
 * parked in that generation lets it pass by (sk_state_skip).  Until it has settled
 * the word, waiter and sleeper stand, and may be chained to others that are to be
 * woken; after that it uses copies.
 */
#ifndef SK_SYNC_SLEEPER_H
#define SK_SYNC_SLEEPER_H

#include "base/atomic.h"
#include "base/base.h"
#include "runtime/sched.h"

/* A sleeper's word; all between: an outcome. */
#define SK_ASLEEP 0u
#define SK_UNSETTLED (1u << 31) /* beside the outcome */
#define SK_GAVE_UP (1u << 30)

/* All I but the word. */
typedef struct sk_sleeper {
    sk_atomic(uint32_t) * word; /* the task's or the thread's */
    sk_task *task;              /* NULL: a thread */
    uint64_t generation;        /* of the park to come */
    sk_local *thread;           /* of a thread */
} sk_sleeper;

typedef struct sk_waiter sk_waiter;
struct sk_waiter {
    sk_waiter *next, *prev; /* lock */
    sk_sleeper *sleeper;    /* I */
    void *place;            /* I: where the element is, or is to go; or whatever the object keeps with it */
    uint32_t outcome;       /* I: what a claim makes of the word: 1 to SK_GAVE_UP - 1 */
    bool queued;            /* lock: it stands in the queue */
};

/* Under the object's lock. All zero: empty. */
typedef struct sk_waiters {
    sk_atomic(sk_waiter *) first; /* lock; anyone peeks */
    sk_waiter *last;
} sk_waiters;

/* ---- the sleeper ---- */

/* For one wait of the caller. 0; -ENOMEM: a thread without a record. */
int sk_sleeper_init(sk_sleeper *s);

/*
 * Sleeps until it is claimed, in no lock.  0: it was.  -ECANCELED, -ETIMEDOUT,
 * -ENOMEM: it was not, or only just now; the caller takes its waiters out, and asks
 * sk_sleeper_gives_up before or afterwards.
 */
int sk_sleeper_sleep(sk_sleeper *s, uint64_t deadline, const char *what, void *object);

/* What it was claimed with, settled; 0: it was not. */
uint32_t sk_sleeper_outcome(const sk_sleeper *s);

/* True: nobody will claim it any more. False: somebody has. */
bool sk_sleeper_gives_up(sk_sleeper *s);

/* ---- the others ---- */

/* Settles and wakes the sleeper of a waiter that was claimed, once the lock has been dropped; exactly once. A task
   is to run next on this worker. */
void sk_wake_next(const sk_waiter *waiter);

/* The same, but puts it into a queue, where others see it: for one of many. */
void sk_wake(const sk_waiter *waiter);

/* ---- the queue; all under the lock ---- */

static inline sk_waiter *sk_waiters_first(const sk_waiters *q)
{
    return sk_load_rlx((sk_atomic(sk_waiter *) *)&q->first);
}

static inline void sk_waiters_add(sk_waiters *q, sk_waiter *waiter)
{
    waiter->next = NULL;
    waiter->queued = true;
    if (sk_waiters_first(q)) {
        waiter->prev = q->last;
        q->last->next = waiter;
    } else {
        waiter->prev = NULL;
        sk_store_rlx(&q->first, waiter);
    }
    q->last = waiter;
}

static inline void sk_waiters_remove(sk_waiters *q, sk_waiter *waiter)
{
    if (!waiter->queued) return;
    waiter->queued = false;
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        sk_store_rlx(&q->first, waiter->next);
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        q->last = waiter->prev;
}

/* Claims this waiter, which leaves the queue either way. False: it has given up, or another queue was faster. */
static inline bool sk_waiter_claim(sk_waiters *q, sk_waiter *waiter)
{
    uint32_t word = SK_ASLEEP;
    sk_waiters_remove(q, waiter);
    /* [SL-C1] sequentially consistent; pairs with [SL-A1], as park.c asks of an event, and with [SL-C2]. */
    return sk_cas_sc(waiter->sleeper->word, &word, waiter->outcome | SK_UNSETTLED);
}

/* Takes out and claims the first that still waits; NULL: nobody does. */
static inline sk_waiter *sk_waiters_claim(sk_waiters *q)
{
    sk_waiter *waiter;
    do waiter = sk_waiters_first(q);
    while (waiter && !sk_waiter_claim(q, waiter));
    return waiter;
}

#endif
