/*
 * task_join.h: the join word of a task: who waits for its end, and who frees it.
 *
 *    63       48 47                3 2..0
 *   +-----------+-------------------+----+
 *   |    tag    | joiner (or 0)     |kind|
 *   +-----------+-------------------+----+
 *
 *   OPEN      nobody waits; the handle has not been given up
 *   TASK      the joiner is a parked task
 *   THREAD    the joiner is a blocked foreign thread
 *   ENDED     the task has ended; the handle's owner will free it
 *   DETACHED  the handle has been given up; the end frees the task
 *   GIVEN     the task has ended; result and memory belong to the joiner that
 *             was written down, who needs no further step to take them
 *
 *   OPEN -> TASK/THREAD   a joiner writes itself down     (compare-and-swap)
 *   TASK/THREAD -> OPEN   it gives up                     (compare-and-swap)
 *   TASK/THREAD -> DETACHED  the task's deadline passes: the joiner is cut loose
 *   OPEN -> DETACHED      detach
 *   OPEN -> ENDED, TASK/THREAD -> GIVEN  the end, once    (compare-and-swap)
 *
 * Whoever moves the word to GIVEN finds the joiner and wakes it; the joiner
 * frees the task.  The tag is the low bits of the life's serial, so
 * that a stale handle cannot write itself into another task.
 *
 * The joiner is woken by the generation that it noted in itself; should it have
 * gone on to another join meanwhile, that join is woken for nothing and looks
 * again.  So a join always loops.
 */
#ifndef SK_RUNTIME_TASK_JOIN_H
#define SK_RUNTIME_TASK_JOIN_H

#include "base/atomic.h"
#include "base/base.h"

enum {
    SK_JOIN_OPEN = 0,
    SK_JOIN_TASK = 1,
    SK_JOIN_THREAD = 2,
    SK_JOIN_ENDED = 3,
    SK_JOIN_DETACHED = 4,
    SK_JOIN_GIVEN = 5,
    SK_JOIN_KIND = 7
};
#define SK_JOIN_TAG_SHIFT 48

typedef struct sk_join {
    sk_atomic(uint64_t) word;
} sk_join;

static inline unsigned sk_join_kind(uint64_t j)
{
    return (unsigned)(j & SK_JOIN_KIND);
}

static inline void *sk_join_who(uint64_t j)
{
    return (void *)(uintptr_t)(j & ((UINT64_C(1) << SK_JOIN_TAG_SHIFT) - 1) & ~(uint64_t)SK_JOIN_KIND);
}

static inline uint64_t sk_join_word(uint64_t serial, const void *who, unsigned kind)
{
    return (serial << SK_JOIN_TAG_SHIFT) | (uint64_t)(uintptr_t)who | kind;
}

/* Holder: a new life with the given serial, joinable or not. */
static inline void sk_join_born(sk_join *j, uint64_t serial, bool joinable)
{
    sk_store_rlx(&j->word, sk_join_word(serial, NULL, joinable ? SK_JOIN_OPEN : SK_JOIN_DETACHED));
}

/* Holder: is it detached for good? Then its end needs no exchange. */
static inline bool sk_join_is_detached(const sk_join *j)
{
    return sk_join_kind(sk_load_rlx((sk_atomic(uint64_t) *)&j->word)) == SK_JOIN_DETACHED;
}

/* The life's word now; a word of another life has another tag. */
static inline uint64_t sk_join_look(const sk_join *j)
{
    /* [TJ-A1] sequentially consistent. As an acquire it pairs with [TJ-R1]: who sees ENDED may read the result. As the
       parker's second look it pairs with [TJ-R1] followed by [TS-A4], see park.c. */
    return sk_load_sc((sk_atomic(uint64_t) *)&j->word);
}

/* One step from the word `from` of the life to another kind. False: it has changed; look again. */
static inline bool sk_join_move(sk_join *j, uint64_t from, const void *who, unsigned kind)
{
    uint64_t to = (from >> SK_JOIN_TAG_SHIFT << SK_JOIN_TAG_SHIFT) | (uint64_t)(uintptr_t)who | kind;
    /* [TJ-A2] acquire-release at least; pairs with [TJ-R1] both ways: the end sees the generation that the joiner noted
       in itself; and who detaches a task that has just ended sees all that the end wrote before freeing it.
       Sequentially consistent because a deadline that cuts a joiner loose is an event too, as [TJ-R1]: either its look
       at the joiner's state, [TS-A4], finds it parked, or the joiner's second look, [TJ-A1], finds the word moved. */
    return sk_cas_sc(&j->word, &from, to);
}

/* Holder: the end. Returns the word before it: DETACHED: the caller frees the task; TASK, THREAD: wake the joiner. */
static inline uint64_t sk_join_end(sk_join *j)
{
    uint64_t from = sk_load_rlx(&j->word);
    for (;;) {
        if (sk_join_kind(from) == SK_JOIN_DETACHED) return from;
        unsigned kind = sk_join_kind(from) == SK_JOIN_OPEN ? SK_JOIN_ENDED : SK_JOIN_GIVEN;
        uint64_t to = (from >> SK_JOIN_TAG_SHIFT << SK_JOIN_TAG_SHIFT) | kind;
        /* [TJ-R1] sequentially consistent; pairs with [TJ-A1] and [TJ-A2]. Without the release a joiner could read
           the result before it was written; without the acquire the end could miss the joiner's generation; without
           its place in the single order the end and a parking joiner could miss each other. */
        if (sk_cas_sc(&j->word, &from, to)) return from;
    }
}

#endif
