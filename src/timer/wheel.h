/*
 * wheel.h: a hierarchical timing wheel.  Pure: no clock, no threads, no
 * allocation; the time is passed in.  README.md says why it has this shape.
 *
 * Contract: one user at a time (timers.h arranges that between threads).
 * Times are nanoseconds of one monotonic clock over the full uint64 range.
 * A timer never fires early, and at most one tick late when sk_wheel_advance
 * is called at the time that sk_wheel_next names.
 */
#ifndef SK_TIMER_WHEEL_H
#define SK_TIMER_WHEEL_H

#include "base/base.h"

#define SK_TICK_SHIFT 14 /* a tick is 2^14 ns = 16.384 us */
#define SK_TICK_NS (UINT64_C(1) << SK_TICK_SHIFT)
#define SK_TICK_NEVER UINT64_MAX

/* The near level has a slot for each of the next 1024 ticks (16.8 ms). Each far level has 64 slots, each as long as
   the whole level below. A rounded-up tick needs 51 bits, and the levels cover all of them. */
#ifndef SK_WHEEL_NEAR_BITS
#define SK_WHEEL_NEAR_BITS 10
#endif
#define SK_WHEEL_FAR_BITS 6
#define SK_WHEEL_NEAR_SLOTS (1u << SK_WHEEL_NEAR_BITS)
#define SK_WHEEL_FAR_SLOTS (1u << SK_WHEEL_FAR_BITS)
#define SK_WHEEL_FAR_LEVELS ((51 - SK_WHEEL_NEAR_BITS + SK_WHEEL_FAR_BITS - 1) / SK_WHEEL_FAR_BITS)
#define SK_WHEEL_SLOTS (SK_WHEEL_NEAR_SLOTS + SK_WHEEL_FAR_LEVELS * SK_WHEEL_FAR_SLOTS)
#define SK_WHEEL_NEAR_WORDS (SK_WHEEL_NEAR_SLOTS / 64)
#define SK_WHEEL_WORDS (SK_WHEEL_SLOTS / 64)

/* All fields belong to whoever may use the wheel, while the timer is armed. */
typedef struct sk_timer {
    struct sk_timer *next;   /* in its slot, or in the chain that advance and drain return */
    struct sk_timer **pprev; /* what points to us; NULL: not armed */
    uint64_t expires;        /* nanoseconds, as given to arm */
} sk_timer;

typedef struct sk_wheel {
    uint64_t tick;                   /* every timer of an earlier tick has fired */
    uint64_t due;                    /* a tick; nothing is to be done before it. A lower bound, see README */
    size_t count;                    /* armed timers */
    uint64_t busy;                   /* bit i: words[i] != 0 */
    uint64_t words[SK_WHEEL_WORDS];  /* bit j of word i: heads[64 i + j] != NULL */
    sk_timer *fresh;                 /* armed for a duration; placed at the next advance. Not empty: due is 0 */
    sk_timer *heads[SK_WHEEL_SLOTS]; /* near slots, then the far levels; newest timer first */
} sk_wheel;

/* The first tick at which the time is surely past: rounds up. At most 2^50, so a tick leaves 13 bits of a word. */
static inline uint64_t sk_tick_up(uint64_t ns)
{
    return (ns >> SK_TICK_SHIFT) + ((ns & (SK_TICK_NS - 1)) != 0);
}

/* The time at which a tick begins; UINT64_MAX for ticks past the end of time. */
static inline uint64_t sk_tick_ns(uint64_t tick)
{
    return tick >> (64 - SK_TICK_SHIFT) ? UINT64_MAX : tick << SK_TICK_SHIFT;
}

void sk_wheel_init(sk_wheel *w, uint64_t now);

/* Puts a timer in a slot whose time to be looked at is `when`. */
static inline void sk_wheel_put(sk_wheel *w, sk_timer *t, unsigned slot, uint64_t when)
{
    sk_timer **head = &w->heads[slot], *next = *head;
    t->next = next;
    t->pprev = head;
    if (next) next->pprev = &t->next;
    *head = t;
    w->words[slot >> 6] |= UINT64_C(1) << (slot & 63);
    w->busy |= UINT64_C(1) << (slot >> 6);
    if (when < w->due) w->due = when;
}

/* For ticks that have begun or lie beyond the near level. */
void sk_wheel_place_far(sk_wheel *w, sk_timer *t, uint64_t tick);

/* Puts a timer where its tick belongs, seen from the current tick. */
static inline void sk_wheel_place(sk_wheel *w, sk_timer *t)
{
    uint64_t tick = sk_tick_up(t->expires);
    if (sk_likely(tick - w->tick < SK_WHEEL_NEAR_SLOTS)) {
        sk_wheel_put(w, t, (unsigned)tick & (SK_WHEEL_NEAR_SLOTS - 1), tick);
    } else {
        sk_wheel_place_far(w, t, tick);
    }
}

/* O(1). The timer must not be armed. A time that has passed already fires at the next advance, whatever its `now`. */
static inline void sk_wheel_arm(sk_wheel *w, sk_timer *t, uint64_t expires)
{
    sk_assert(t->pprev == NULL);
    t->expires = expires;
    w->count++;
    sk_wheel_place(w, t);
}

/*
 * O(1), for who does not want to read the clock: arms for `ns` from the next
 * advance, whose `now` is later than this call.  So it does not fire early, and
 * is late by the time to that advance; due says that it is wanted at once.
 */
static inline void sk_wheel_arm_in(sk_wheel *w, sk_timer *t, uint64_t ns)
{
    sk_assert(t->pprev == NULL);
    t->expires = ns;
    t->next = w->fresh;
    t->pprev = &w->fresh;
    if (t->next) t->next->pprev = &t->next;
    w->fresh = t;
    w->count++;
    w->due = 0;
}

/* Forgets a slot that has just become empty. */
static inline void sk_wheel_mark_empty(sk_wheel *w, size_t slot)
{
    uint64_t word = w->words[slot >> 6] & ~(UINT64_C(1) << (slot & 63));
    w->words[slot >> 6] = word;
    if (word == 0) w->busy &= ~(UINT64_C(1) << (slot >> 6));
}

/* O(1). False, and no change, if the timer is not armed. Leaves `due` alone: at worst one advance finds nothing. */
static inline bool sk_wheel_cancel(sk_wheel *w, sk_timer *t)
{
    sk_timer **pprev = t->pprev, *next = t->next;
    if (!pprev) return false; /* not armed */
    *pprev = next;
    t->pprev = NULL;
    if (next) {
        next->pprev = pprev;
    } else if ((uintptr_t)pprev - (uintptr_t)w->heads < sizeof w->heads) {
        sk_wheel_mark_empty(w, (size_t)(pprev - w->heads));
    }
    if (--w->count == 0) w->due = SK_TICK_NEVER;
    return true;
}

/* Whether advance has anything to do at `now`: one compare. It may say yes for a timer that has been cancelled. */
static inline bool sk_wheel_is_due(const sk_wheel *w, uint64_t now)
{
    return now >> SK_TICK_SHIFT >= w->due;
}

/* When advance should be called next: the start of the tick of the next timer in the near level, or of the next
   cascade if that is earlier. UINT64_MAX when there is none. Exact, O(levels). */
uint64_t sk_wheel_next(const sk_wheel *w);

/* Makes `due` exact again after cancels, for an owner who is about to sleep until then. */
void sk_wheel_refresh(sk_wheel *w);

/* Takes every timer with expires <= now, rounded up to ticks, out of the wheel. The chain is in order of ticks (those
   that were late when armed count as of the tick at which they were armed), linked by next. O(timers fired or cascaded
   + slots they stood in), whatever time has passed. A `now` before the last one is taken as the last one. */
sk_timer *sk_wheel_advance(sk_wheel *w, uint64_t now);

/* Takes all timers out, in no particular order. */
sk_timer *sk_wheel_drain(sk_wheel *w, uint64_t now);

static inline size_t sk_wheel_count(const sk_wheel *w)
{
    return w->count;
}

/* Whether all invariants of README.md hold; touches every timer. For tests. */
bool sk_wheel_check(const sk_wheel *w);

#endif
