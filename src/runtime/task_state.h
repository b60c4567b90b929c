/*
 * task_state.h: the state word of a task, and every legal transition.
 *
 *    63          16 15. 11   10       9          8         7      6   5    4        3     2..0
 *   +--------------+------+--------+----------+---------+---------+-----+---------+-------+-----+
 *   |  generation  |(zero)| permit | shielded | decided | started | why | expired |cancel |phase|
 *   +--------------+------+--------+----------+---------+---------+-----+---------+-------+-----+
 *
 *   phase      FREE -> [DELAYED ->] ACTIVE <-> PARKED ... ACTIVE -> ENDED -> FREE
 *   generation one more at each park and at each reuse of the memory, so that a
 *              waker or canceller that comes late fails its compare-and-swap
 *   why        who ended the last park: exactly one of wake, timeout, cancel
 *              and expiry wins, because each is a compare-and-swap away from
 *              PARKED in the generation it knows
 *
 * A permit is a wake that came before its park: a sleeper (sync/sleeper.h) is in a
 * queue before it has left its stack, and whoever takes it out wakes it with one
 * read-modify-write, which finds it PARKED, or leaves the permit.  Its park finds
 * that, as both change one word: so neither needs to look a second time.
 *
 * The mark and the phase share one word, so there is no window between "asked
 * to end" and "parked": a cancel that comes before the park is found by the
 * park's own compare-and-swap; one that comes after it finds PARKED.
 *
 * A start changes nothing here (queued and running are both ACTIVE; the holder
 * of the task knows which), so that a task that never parks costs no
 * read-modify-write on this word.  Only a task with a deadline for its start has
 * STARTED set, by the compare-and-swap that races with that deadline.
 *
 * "Holder" is whoever has the task in hand alone: its creator before it is
 * published, its taker after a dequeue, its runner.  All else may be called by
 * any thread.  Every function is lock-free.
 */
#ifndef SK_RUNTIME_TASK_STATE_H
#define SK_RUNTIME_TASK_STATE_H

#include "base/atomic.h"
#include "base/base.h"

enum {
    SK_FREE = 0,
    SK_DELAYED = 1, /* accepted, waits for its timer */
    SK_ACTIVE = 2,  /* accepted: in a queue or on a processor */
    SK_PARKED = 3,
    SK_ENDED = 4,
    SK_PHASE = 7,
    SK_CANCEL = 1 << 3,  /* somebody asked it to end */
    SK_EXPIRED = 1 << 4, /* a deadline of its own has passed */
    SK_WHY_SHIFT = 5,
    SK_WHY = 3 << SK_WHY_SHIFT,
    SK_STARTED = 1 << 7,  /* it has a deadline, and has started */
    SK_DECIDED = 1 << 8,  /* its result is certain: a deadline counts no more */
    SK_SHIELDED = 1 << 9, /* it parks whatever it is marked with, see shield.h */
    SK_PERMIT = 1 << 10,  /* it has been woken from its next park, which does not happen */
    SK_GENERATION_SHIFT = 16
};
#define SK_GENERATION (UINT64_C(1) << SK_GENERATION_SHIFT)

/* Why a park ended. */
typedef enum sk_why { SK_WHY_WAKE = 0, SK_WHY_TIMEOUT = 1, SK_WHY_CANCEL = 2, SK_WHY_EXPIRED = 3 } sk_why;

/* What a cancel or an expiry did. */
typedef enum sk_hit {
    SK_HIT_STALE,   /* no such task any more */
    SK_HIT_ALREADY, /* it has ended, or carries the mark */
    SK_HIT_MARKED,  /* it will see the mark by itself */
    SK_HIT_WOKEN,   /* it was parked: the caller must put it in a queue */
    SK_HIT_DELAYED  /* it was delayed: the caller must take its timer and end it */
} sk_hit;

typedef struct sk_task_state {
    sk_atomic(uint64_t) word;
    sk_atomic(uint64_t) serial; /* of the life that the memory serves now; handles carry it */
} sk_task_state;

static inline unsigned sk_phase_of(uint64_t s)
{
    return (unsigned)(s & SK_PHASE);
}

static inline uint64_t sk_generation_of(uint64_t s)
{
    return s >> SK_GENERATION_SHIFT;
}

static inline uint64_t sk_with_phase(uint64_t s, unsigned phase)
{
    return (s & ~(uint64_t)SK_PHASE) | phase;
}

static inline uint64_t sk_woken_word(uint64_t s, sk_why why)
{
    return (s & ~(uint64_t)(SK_PHASE | SK_WHY)) | SK_ACTIVE | ((uint64_t)why << SK_WHY_SHIFT);
}

/* Holder of free memory: the serial that its next life will have, which is the generation it begins with. */
static inline uint64_t sk_state_next_serial(const sk_task_state *t)
{
    return sk_generation_of(sk_load_rlx((sk_atomic(uint64_t) *)&t->word)) + 1;
}

/*
 * For whoever looks at all tasks and holds none: he has read a serial, then the
 * word, with acquire.  Whether the word shows a task, and not one of a life before
 * that serial, in whose place another is just being made: its owner is read next,
 * and might still be that of the life before, while the serial already hits the
 * stranger's task.
 */
static inline bool sk_state_is_seen(uint64_t word, uint64_t serial)
{
    unsigned phase = sk_phase_of(word);
    return phase != SK_FREE && phase != SK_ENDED && sk_generation_of(word) >= serial;
}

/* Holder: a new life; returns its serial. */
static inline uint64_t sk_state_born(sk_task_state *t, unsigned phase)
{
    uint64_t generation = sk_state_next_serial(t);
    sk_store_rlx(&t->serial, generation);
    /* [TS-R1] release; pairs with [TS-A1] in sk_state_hit. Without it a stale handle that finds this life's word
       could still read the serial of the life before, which it matches, and cancel a stranger. */
    sk_store_rel(&t->word, (generation << SK_GENERATION_SHIFT) | phase);
    return generation;
}

/* Holder: marked to end? 0, SK_CANCEL, SK_EXPIRED or both. A hint for a running task, the truth for a taker. */
static inline unsigned sk_state_marks(const sk_task_state *t)
{
    return (unsigned)(sk_load_rlx((sk_atomic(uint64_t) *)&t->word) & (SK_CANCEL | SK_EXPIRED));
}

/* Holder: ACTIVE -> ENDED; returns the marks. A plain store: a mark that comes between is lost on a task that has
   ended anyway, and no waker has a generation to wake. */
static inline unsigned sk_state_end(sk_task_state *t)
{
    uint64_t s = sk_load_rlx(&t->word);
    sk_assert(sk_phase_of(s) == SK_ACTIVE);
    sk_store_rlx(&t->word, sk_with_phase(s, SK_ENDED));
    return (unsigned)(s & (SK_CANCEL | SK_EXPIRED));
}

/* The same for a task with a deadline, which may pass at this very moment: either its mark is in what this returns, or
   whoever brings it finds the task ended. A plain store would let both the joiner's timeout and the result stand. */
static inline unsigned sk_state_end_timed(sk_task_state *t)
{
    uint64_t s = sk_load_rlx(&t->word);
    sk_assert(sk_phase_of(s) == SK_ACTIVE);
    while (!sk_cas_rlx(&t->word, &s, sk_with_phase(s, SK_ENDED))) {
    }
    return (unsigned)(s & (SK_CANCEL | SK_EXPIRED));
}

/* Holder of a task with a deadline: it starts now. False: it carries a mark and must not. */
static inline bool sk_state_start(sk_task_state *t)
{
    uint64_t s = sk_load_rlx(&t->word);
    while (!(s & (SK_CANCEL | SK_EXPIRED)))
        if (sk_cas_rlx(&t->word, &s, s | SK_STARTED)) return true;
    return false;
}

/*
 * Runner: from here on no deadline marks the task.  Returns its marks, and takes
 * them from it, so that it may park once more on the way to its end; to be given
 * back with sk_state_mark_again.
 */
static inline unsigned sk_state_decide(sk_task_state *t)
{
    uint64_t s = sk_load_rlx(&t->word);
    while (!sk_cas_rlx(&t->word, &s, (s | SK_DECIDED) & ~(uint64_t)(SK_CANCEL | SK_EXPIRED))) {
    }
    return (unsigned)(s & (SK_CANCEL | SK_EXPIRED));
}

static inline void sk_state_mark_again(sk_task_state *t, unsigned marks)
{
    uint64_t s = sk_load_rlx(&t->word);
    while (!sk_cas_rlx(&t->word, &s, s | marks)) {
    }
}

/* Whether marks keep it from parking, or wake it. */
static inline bool sk_state_heeds(uint64_t s)
{
    return (s & (SK_CANCEL | SK_EXPIRED)) && !(s & SK_SHIELDED);
}

/* Runner: a shield is put up, or taken down. */
static inline void sk_state_shield(sk_task_state *t, bool up)
{
    uint64_t s = sk_load_rlx(&t->word);
    while (!sk_cas_rlx(&t->word, &s, up ? s | SK_SHIELDED : s & ~(uint64_t)SK_SHIELDED)) {
    }
}

/* Runner, whose park did not happen: no timer armed for it, and no waker, may take a later park for it. True: a waker
   has been here, and left a permit. */
static inline bool sk_state_skip(sk_task_state *t)
{
    uint64_t s = sk_load_rlx(&t->word);
    /* [TS-A8] acquire; pairs with [TS-A7]: what the claimer has done before it. */
    while (!sk_cas_acq(&t->word, &s, (s & ~(uint64_t)SK_PERMIT) + SK_GENERATION)) {
    }
    return (s & SK_PERMIT) != 0;
}

/* Holder: the memory may be reused. The generation moves on, so that whoever comes late fails. */
static inline void sk_state_free(sk_task_state *t)
{
    uint64_t generation = sk_generation_of(sk_load_rlx(&t->word)) + 1;
    sk_store_rlx(&t->serial, generation);
    sk_store_rlx(&t->word, generation << SK_GENERATION_SHIFT);
}

/* Why a park did not happen. */
enum { SK_REFUSED_MARKED = 1, SK_REFUSED_HAPPENED = 2 };

/*
 * Runner, once it has left its stack: ACTIVE -> PARKED in a new generation,
 * which *generation gets: 0.  Else it carries a permit (HAPPENED), or a mark, and
 * must not sleep.
 */
static inline uint8_t sk_state_park(sk_task_state *t, uint64_t *generation)
{
    uint64_t s = sk_load_rlx(&t->word);
    for (;;) {
        sk_assert(sk_phase_of(s) == SK_ACTIVE);
        if (sk_unlikely(s & (SK_PERMIT | SK_CANCEL | SK_EXPIRED))) {
            if (s & SK_PERMIT) return SK_REFUSED_HAPPENED;
            if (sk_state_heeds(s)) return SK_REFUSED_MARKED;
        }
        uint64_t next = sk_with_phase(s, SK_PARKED) + SK_GENERATION;
        /* [TS-R2] sequentially consistent. As a release it pairs with [TS-A2] in sk_state_wake and [TS-A3] in
           sk_state_hit: without it the waker could resume a stack whose registers have not been saved yet. Its place
           in the single order before the parker's second look pairs with [TS-A4]: see park.c. */
        if (sk_cas_sc(&t->word, &s, next)) {
            *generation = sk_generation_of(next);
            return 0;
        }
    }
}

/* PARKED in this generation -> ACTIVE. True for exactly one caller, who must then put the task in a queue. */
static inline bool sk_state_wake(sk_task_state *t, uint64_t generation, sk_why why)
{
    /* [TS-A4] sequentially consistent; pairs with [TS-R2]: the event comes before this look, the park before the
       parker's look for the event, so one of the two sees the other. Without it both could miss. */
    uint64_t s = sk_load_sc(&t->word);
    while (sk_generation_of(s) == generation && sk_phase_of(s) == SK_PARKED)
        /* [TS-A2] acquire-release at least; pairs with [TS-R2], see there. */
        if (sk_cas_sc(&t->word, &s, sk_woken_word(s, why))) return true;
    return false;
}

/* What a grant did. */
typedef enum sk_grant {
    SK_GRANT_LATE,   /* that wait is over, or has been granted already */
    SK_GRANT_PERMIT, /* it has not parked yet, and will not */
    SK_GRANT_WOKEN   /* it was parked: the caller must put it in a queue */
} sk_grant;

/*
 * The same for a sleeper, which may not have parked yet, and then gets a permit.
 * Whoever calls it has got the generation from the runner, and so finds a word that
 * is no older than that.
 */
static inline sk_grant sk_state_grant(sk_task_state *t, uint64_t generation)
{
    uint64_t s = sk_load_rlx(&t->word);
    for (;;) {
        bool parked = sk_generation_of(s) == generation && sk_phase_of(s) == SK_PARKED;
        if (!parked && (sk_generation_of(s) + 1 != generation || (s & SK_PERMIT))) return SK_GRANT_LATE;
        /* [TS-A7] acquire-release; pairs with [TS-R2], as [TS-A2] does; and with [TS-A8]: who finds the permit has seen
           what was done before it. */
        if (sk_cas_ar(&t->word, &s, parked ? sk_woken_word(s, SK_WHY_WAKE) : s | SK_PERMIT))
            return parked ? SK_GRANT_WOKEN : SK_GRANT_PERMIT;
    }
}

/* Runner, after a park: why it ended. */
static inline sk_why sk_state_why(const sk_task_state *t)
{
    return (sk_why)((sk_load_rlx((sk_atomic(uint64_t) *)&t->word) & SK_WHY) >> SK_WHY_SHIFT);
}

/*
 * Marks the life that holds `serial` with SK_CANCEL (why = SK_WHY_CANCEL) or
 * SK_EXPIRED (why = SK_WHY_EXPIRED), and wakes it when it is parked without a
 * shield; but does
 * nothing to a task that carries `unless` (0, or SK_STARTED).
 */
static inline sk_hit sk_state_hit(sk_task_state *t, uint64_t serial, unsigned mark, sk_why why, unsigned unless)
{
    for (;;) {
        /* [TS-A1] acquire; pairs with [TS-R1]: the serial read next is that of this word's life or of a later one,
           and if it is of a later one the compare-and-swap below fails. */
        uint64_t s = sk_load_acq(&t->word);
        unsigned phase = sk_phase_of(s);
        if (sk_load_rlx(&t->serial) != serial || phase == SK_FREE) return SK_HIT_STALE;
        if (phase == SK_ENDED || (s & (mark | unless))) return SK_HIT_ALREADY;
        uint64_t next = s | mark;
        bool wakes = phase == SK_PARKED && !(s & SK_SHIELDED);
        if (wakes) next = sk_woken_word(next, why);
        if (phase == SK_DELAYED) next = sk_with_phase(next, SK_ACTIVE);
        /* [TS-A3] acquire-release; pairs with [TS-R2] when it wakes, and with [TS-A5]: of a timer that falls due and
           a cancel the later one sees what the earlier did. */
        if (sk_cas_ar(&t->word, &s, next))
            return wakes ? SK_HIT_WOKEN : phase == SK_DELAYED ? SK_HIT_DELAYED : SK_HIT_MARKED;
    }
}

/* A timer is stopped: DELAYED -> ACTIVE, cancelled, in the life that holds `serial`. False: it is not delayed any more.
   Whoever succeeds holds the task. */
static inline bool sk_state_undelay(sk_task_state *t, uint64_t serial)
{
    uint64_t s = (serial << SK_GENERATION_SHIFT) | SK_DELAYED;
    /* [TS-A6] acquire-release; pairs with [TS-A5] and [TS-A3], and with [TS-R1]: we see the task as it was made. */
    return sk_cas_ar(&t->word, &s, sk_with_phase(s, SK_ACTIVE) | SK_CANCEL);
}

/* The timer's holder: DELAYED -> ACTIVE in the life that holds `serial`. False: a cancel was faster. */
static inline bool sk_state_due(sk_task_state *t, uint64_t serial)
{
    uint64_t s = sk_load_rlx(&t->word);
    while (sk_phase_of(s) == SK_DELAYED && sk_generation_of(s) == serial)
        /* [TS-A5] acquire-release; pairs with [TS-A3], see there. */
        if (sk_cas_ar(&t->word, &s, sk_with_phase(s, SK_ACTIVE))) return true;
    return false;
}

#endif
