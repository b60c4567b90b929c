/*
 * sleeper.h: how a task or a thread waits for what others will do; the ground on
 * which channels, select and the locks of src/sync stand.
 *
 *   sleeper   one wait of one task or thread, in its frame.  Its word, which lies in
 *             the task's or thread's record, says what it was claimed with.  The
 *             record is type-stable
 *   waiter    a sleeper's place in the queue of one object, under that object's
 *             lock.  A select has one for each of its cases, all others just one.
 *   waiters   the queue: first come, first served
 *
 * The protocol of a wait
 *
 *   sleeper   1. under the object's lock: looks, and puts its waiter into the queue
 *             2. without it: leaves its stack; PARKED, unless it has a permit
 *   claimer   1. under the lock: takes the waiter out, and claims its sleeper; moves
 *                what is to be moved
 *             2. without it: settles the word, 0 -> outcome [SL-R2], and makes the
 *                task runnable if it was parked
 *
 * A claim of a task is its wake: one change of the task's state word, in the
 * generation of that park (sk_state_grant), from PARKED, or leaving a permit when it
 * has not parked yet.  So claim, timeout and cancel, two claims in two queues, and the
 * park itself all change one word, and exactly one of them ends the wait: whoever is
 * late finds that out.  No wake-up is lost: the claim finds PARKED, or the park finds
 * the permit.
 *
 * A claim of a thread moves its word, 0 -> UNSETTLED; a thread whose time is over
 * moves it to GAVE_UP; exactly one wins.
 *
 * An error from sk_sleeper_sleep is therefore final: the caller takes its waiters out
 * of the queues, each under its lock, and returns it.
 *
 * A sleeper that was claimed before it had parked waits until the word is settled: by
 * then the element has been moved and the lock dropped, so that it may free either.
 * That is a wait for the holder of a lock, and is done in the same way (os/lock.h).
 * Until it has settled the word, waiter and sleeper stand, and may be chained to
 * others that are to be woken; after that the claimer uses copies.
 */
#ifndef SK_SYNC_SLEEPER_H
#define SK_SYNC_SLEEPER_H

#include "base/atomic.h"
#include "base/base.h"
#include "runtime/sched.h"

/* A sleeper's word; all between: an outcome. */
#define SK_ASLEEP 0u
#define SK_UNSETTLED (1u << 31) /* a thread's: claimed */
#define SK_GAVE_UP (1u << 30)   /* a thread's */

/* All I but the word. */
typedef struct sk_sleeper {
    sk_atomic(uint32_t) * word; /* the task's or the thread's */
    sk_task *task;              /* NULL: a thread */
    uint64_t generation;        /* of the park to come */
    sk_worker *worker;          /* of a task: where it runs until it parks */
    sk_local *thread;           /* of a thread */
} sk_sleeper;

typedef struct sk_waiter sk_waiter;
struct sk_waiter {
    sk_waiter *next, *prev; /* lock */
    sk_sleeper *sleeper;    /* I */
    void *place;            /* I: where the element is, or is to go; or whatever the object keeps with it */
    uint32_t outcome;       /* I: what the word is settled with: 1 to SK_GAVE_UP - 1 */
    bool queued;            /* lock: it stands in the queue */
    bool woken;             /* its claimer: the task was parked, and must be made runnable */
};

/* Under the object's lock. All zero: empty. */
typedef struct sk_waiters {
    sk_atomic(sk_waiter *) first; /* lock; anyone peeks */
    sk_waiter *last;
} sk_waiters;

/* ---- the sleeper ---- */

/* For one wait of the caller. 0; -ENOMEM: a thread without a record. */
static inline int sk_sleeper_init(sk_sleeper *s)
{
    sk_worker *w = sk_worker_self();
    s->task = w ? w->task : NULL;
    s->worker = w;
    s->thread = NULL;
    if (sk_likely(s->task != NULL)) {
        s->generation = sk_generation_of(sk_load_rlx(&s->task->state.word)) + 1;
        s->word = &s->task->claim;
    } else {
        s->thread = sk_local_get();
        if (sk_unlikely(!s->thread)) return -ENOMEM;
        s->generation = 0;
        s->word = &s->thread->claim;
    }
    sk_store_rlx(s->word, (uint32_t)SK_ASLEEP);
    return 0;
}

/* It was claimed, but is not settled yet: waits for that. */
uint32_t sk_sleeper_outcome_slow(const sk_sleeper *s);

/* Whether a word is the outcome, settled. */
static inline bool sk_sleeper_is_settled(uint32_t word)
{
    return word != SK_ASLEEP && !(word & (SK_UNSETTLED | SK_GAVE_UP));
}

/* What it was claimed with, for one that was: settled. */
static inline uint32_t sk_sleeper_outcome(const sk_sleeper *s)
{
    /* [SL-A2] acquire; pairs with [SL-R2]: what the claimer has moved, and that it has left the lock. */
    uint32_t word = sk_load_acq(s->word);
    return sk_likely(sk_sleeper_is_settled(word)) ? word : sk_sleeper_outcome_slow(s);
}

int sk_sleeper_sleep_as_thread(sk_sleeper *s, uint64_t deadline, const char *what, void *object);

static inline int sk_sleeper_sleep_as_task(sk_sleeper *s, uint64_t deadline, const char *what, void *object)
{
    sk_wait wait = {NULL, NULL, object, 0, what, NULL};
    sk_task *t = s->task;
    int why = deadline == SK_NEVER ? sk_park_bare(s->worker, &wait) : sk_park(s->worker, &wait, deadline);
    /* It has not parked in that generation, for whatever reason; unless it has been claimed, no claim may succeed from
       here on. */
    if (sk_unlikely(sk_generation_of(sk_load_rlx(&t->state.word)) < s->generation) && sk_state_skip(&t->state))
        why = SK_WHY_WAKE;
    return sk_likely(why == SK_WHY_WAKE) ? 0 : sk_why_error(why);
}

/*
 * Sleeps until it is claimed, in no lock.  0: it was, and that is settled.
 * -ECANCELED, -ETIMEDOUT, -ENOMEM: it was not, and no claim will succeed; the caller
 * takes its waiters out.
 */
static inline int sk_sleeper_sleep(sk_sleeper *s, uint64_t deadline, const char *what, void *object)
{
    int error = sk_likely(s->task != NULL) ? sk_sleeper_sleep_as_task(s, deadline, what, object)
                                           : sk_sleeper_sleep_as_thread(s, deadline, what, object);
    if (sk_likely(!error)) (void)sk_sleeper_outcome(s); /* until then this frame is wanted */
    return error;
}

/* ---- the others ---- */

/* From here on waiter and sleeper may be gone. */
static inline void sk_waiter_settle(const sk_waiter *waiter)
{
    /* [SL-R2] release; pairs with [SL-A2]. */
    sk_store_rel(waiter->sleeper->word, waiter->outcome);
}

void sk_sleeper_wake_thread(sk_local *thread);

/* Settles and makes runnable the sleeper of a waiter that was claimed, once the lock has been dropped; exactly once. A
   task is to run next on this worker. */
static inline void sk_wake_next(const sk_waiter *waiter)
{
    sk_task *t = waiter->sleeper->task;
    sk_local *thread = waiter->sleeper->thread;
    bool woken = waiter->woken;
    sk_waiter_settle(waiter);
    if (sk_unlikely(!t))
        sk_sleeper_wake_thread(thread);
    else if (sk_likely(woken))
        sk_ready_next(sk_worker_self(), t);
}

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
    sk_sleeper *s = waiter->sleeper;
    uint32_t word = SK_ASLEEP;
    sk_waiters_remove(q, waiter);
    /* Relaxed: claimer or thread wins, see gives_up in sleeper.c; what is moved is handed over by [SL-R2]. */
    if (sk_unlikely(!s->task)) return sk_cas_rlx(s->word, &word, SK_UNSETTLED);
    sk_grant grant = sk_state_grant(&s->task->state, s->generation);
    waiter->woken = grant == SK_GRANT_WOKEN;
    return grant != SK_GRANT_LATE;
}

/* Takes out and claims the first that still waits; NULL: nobody does. Adds to *late those that were taken out in vain:
   they come to the object once more, and find that they do not stand in the queue. */
static inline sk_waiter *sk_waiters_claim(sk_waiters *q, uint32_t *late)
{
    sk_waiter *waiter;
    while ((waiter = sk_waiters_first(q)) && sk_unlikely(!sk_waiter_claim(q, waiter))) ++*late;
    return waiter;
}

#endif
