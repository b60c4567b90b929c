/*
 * backlog.h: the tasks that a pool has accepted and not started: a bounded first-in first-out queue for each level of
 * priority (deque/bounded.h), of which level 0 goes first.
 *
 * Ageing.  A level that holds tasks while one above it is served is passed over;
 * `passed_since` says since when.  Once that is `ageing` ago the next pop serves
 * the lowest such level, whatever is queued above: so under any load a level
 * gets one task a period at least.  The clock is the kernel's coarse one (1 to
 * 4 ms), and is read only when there is more than one level.
 *
 *   operation      by          promise
 *   push, pop      any thread  lock-free
 *   is_empty ...   any thread  lock-free
 *   init, fini     alone       -
 *
 * `passed_since` is a hint that anyone may write: a lost write serves a level
 * once too often, or a period later.
 *
 * Order.  A level gives out first what came first, or, by choice, what is due
 * first (earliest.h).  Then only the holder of the baton may pop, and only the
 * ring is pushed into: QUEUE.md, "Order by deadline".
 */
#ifndef SK_POOL_BACKLOG_H
#define SK_POOL_BACKLOG_H

#include "base/heap.h"
#include "deque/bounded.h"
#include "os/clock.h"
#include "pool/earliest.h"

enum { SK_LEVELS_MAX = 8, SK_GATHER = 16 /* items that go from a ring to its heap at a time */ };

/* When a queued item is due: ns on the monotonic clock, or SK_NEVER. */
typedef uint64_t sk_due_of(const void *item);

typedef struct sk_backlog {
    sk_bounded first;                                /* level 0 */
    sk_bounded *others;                              /* I: levels 1 and up, or NULL */
    uint32_t levels;                                 /* I: 1 to SK_LEVELS_MAX */
    bool simple;                                     /* I: one level, first come first served */
    sk_earliest *ordered;                            /* I: one for each level, what is due first; NULL: first come */
    sk_due_of *due_of;                               /* I: with `ordered` */
    uint64_t ageing;                                 /* I: ns */
    sk_atomic(uint64_t) passed_since[SK_LEVELS_MAX]; /* anyone: on the coarse clock; 0: not passed over */
} sk_backlog;

static inline sk_bounded *sk_backlog_level(sk_backlog *b, uint32_t level)
{
    return level ? &b->others[level - 1] : &b->first;
}

static inline void sk_backlog_fini(sk_backlog *b)
{
    for (uint32_t i = 0; i < b->levels; i++)
        if (sk_backlog_level(b, i)->slots) sk_bounded_fini(sk_backlog_level(b, i));
    if (b->others) sk_heap_free(b->others);
    for (uint32_t i = 0; i < b->levels && b->ordered; i++) sk_earliest_fini(&b->ordered[i]);
    if (b->levels && b->ordered) sk_heap_free(b->ordered);
    b->others = NULL;
    b->ordered = NULL;
    b->levels = 0;
}

static inline int sk_backlog_init_order(sk_backlog *b, uint32_t bound, sk_due_of *due_of)
{
    uint32_t n = 0;
    b->ordered = (sk_earliest *)sk_heap_alloc_aligned(SK_CACHE_LINE, b->levels * sizeof(sk_earliest));
    if (!b->ordered) return -ENOMEM;
    b->due_of = due_of;
    while (n < b->levels && sk_earliest_init(&b->ordered[n], bound) == 0) n++;
    if (n == b->levels) return 0;
    while (n-- > 0) sk_earliest_fini(&b->ordered[n]);
    sk_heap_free(b->ordered);
    b->ordered = NULL;
    return -ENOMEM;
}

/* Each level holds `bound` tasks. due_of: NULL, or the order is by that. 0 or -ENOMEM. */
static inline int sk_backlog_init(sk_backlog *b, uint32_t bound, uint32_t levels, uint64_t ageing, sk_due_of *due_of)
{
    b->levels = 1;
    b->simple = levels == 1 && !due_of;
    b->ordered = NULL;
    b->ageing = ageing;
    b->others = NULL;
    int error = sk_bounded_init(&b->first, bound);
    if (!error && levels > 1) {
        b->others = (sk_bounded *)sk_heap_alloc_aligned(SK_CACHE_LINE, (levels - 1) * sizeof(sk_bounded));
        if (!b->others) error = -ENOMEM;
    }
    for (; !error && b->levels < levels; b->levels += !error) error = sk_bounded_init(&b->others[b->levels - 1], bound);
    for (uint32_t i = 0; i < levels; i++) sk_store_rlx(&b->passed_since[i], UINT64_C(0));
    if (!error && due_of) error = sk_backlog_init_order(b, bound, due_of);
    if (error) sk_backlog_fini(b);
    return error;
}

/* 0, or -EAGAIN: that level is full. */
static sk_unused sk_noinline int sk_backlog_push_by_level(sk_backlog *b, uint32_t level, void *task)
{
    if (b->ordered && !sk_earliest_reserve(&b->ordered[level])) return -EAGAIN;
    int error = sk_bounded_push(sk_backlog_level(b, level), task);
    sk_assert(!error || !b->ordered); /* a place in the heap is a place in the ring */
    return error;
}

static inline int sk_backlog_push(sk_backlog *b, uint32_t level, void *task)
{
    return sk_likely(b->simple) ? sk_bounded_push(&b->first, task) : sk_backlog_push_by_level(b, level, task);
}

/* ---- in order of deadlines: what only the holder of the baton may call ---- */

/* Whether what sk_backlog_doom asked for is still to be carried out. Anyone. */
static inline bool sk_backlog_is_doomed(sk_backlog *b)
{
    for (uint32_t i = 0; i < b->levels && b->ordered; i++)
        if (sk_earliest_is_doomed(&b->ordered[i])) return true;
    return false;
}

/* Whatever has come goes from the rings into the heaps. */
static inline void sk_backlog_gather(sk_backlog *b)
{
    void *some[SK_GATHER];
    for (uint32_t i = 0; i < b->levels; i++)
        for (uint32_t n; (n = sk_bounded_pop_many(sk_backlog_level(b, i), some, SK_GATHER)) > 0;)
            for (uint32_t k = 0; k < n; k++) sk_earliest_add(&b->ordered[i], b->due_of(some[k]), some[k]);
}

/* All that has come is in order. False: first some are to be dropped. Whoever has been given a slot that was free only
   after somebody asked for that sees that he has asked. */
static inline bool sk_backlog_is_ready(sk_backlog *b)
{
    if (sk_unlikely(sk_backlog_is_doomed(b))) return false;
    sk_backlog_gather(b);
    return true;
}

/* Carries out what sk_backlog_doom asked for; returns how many are to be taken by sk_backlog_pop_doomed. */
static inline uint64_t sk_backlog_sort_out(sk_backlog *b)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->levels; i++) {
        sk_earliest *e = &b->ordered[i];
        uint64_t doom = sk_load_rlx(&e->doom);
        if (doom != sk_load_rlx(&e->gone)) {
            sk_backlog_gather(b);
            sk_earliest_sort_out(e, doom);
            sk_store_rlx(&e->gone, doom);
            if (e->n == 0) sk_store_rlx(&b->passed_since[i], UINT64_C(0)); /* whoever comes next has not waited yet */
        }
        n += e->doomed;
    }
    return n;
}

static inline void *sk_backlog_pop_doomed(sk_backlog *b)
{
    void *item = NULL;
    for (uint32_t i = 0; i < b->levels && !item; i++) item = sk_earliest_take_doomed(&b->ordered[i]);
    return item;
}

/* ---- taking out ---- */

static inline bool sk_backlog_has(sk_backlog *b, uint32_t level)
{
    return b->ordered ? b->ordered[level].n != 0 : !sk_bounded_is_empty(sk_backlog_level(b, level));
}

/* The level to serve next, by what is queued now; SK_LEVELS_MAX when nothing is. *is_aged: with one task only. */
static inline uint32_t sk_backlog_choose(sk_backlog *b, bool *is_aged)
{
    uint32_t highest = SK_LEVELS_MAX, aged = SK_LEVELS_MAX;
    uint64_t now = 0;
    for (uint32_t i = 0; i < b->levels; i++) {
        if (!sk_backlog_has(b, i)) continue;
        if (highest == SK_LEVELS_MAX) {
            highest = i;
            continue;
        }
        uint64_t since = sk_load_rlx(&b->passed_since[i]);
        if (!now) now = sk_clock_coarse_ns();
        if (!since)
            sk_store_rlx(&b->passed_since[i], now);
        else if (now - since >= b->ageing)
            aged = i;
    }
    *is_aged = aged < SK_LEVELS_MAX;
    return *is_aged ? aged : highest;
}

static inline uint32_t sk_backlog_pop_level(sk_backlog *b, uint32_t level, void **out, uint32_t max)
{
    if (!b->ordered) return sk_bounded_pop_many(sk_backlog_level(b, level), out, max);
    uint32_t n = 0;
    while (n < max && (out[n] = sk_earliest_take(&b->ordered[level]))) n++;
    return n;
}

/* As many as there are of the level that is to be served are taken together: what comes above it meanwhile goes after
   them, as if it had come a moment later. Fewer than max only if all was empty at some moment of the call. */
static sk_unused sk_noinline uint32_t sk_backlog_pop_by_level(sk_backlog *b, void **out, uint32_t max)
{
    uint32_t n = 0;
    while (n < max) {
        bool is_aged;
        uint32_t level = sk_backlog_choose(b, &is_aged);
        if (level == SK_LEVELS_MAX) break;
        n += sk_backlog_pop_level(b, level, out + n, is_aged ? 1 : max - n);
        if (sk_load_rlx(&b->passed_since[level])) sk_store_rlx(&b->passed_since[level], UINT64_C(0));
    }
    return n;
}

/* The next task to start; NULL only if all was empty at some moment of the call, or is to be dropped. */
static inline void *sk_backlog_pop(sk_backlog *b)
{
    if (sk_likely(b->simple)) return sk_bounded_pop(&b->first);
    if (b->ordered && !sk_backlog_is_ready(b)) return NULL;
    void *item = NULL;
    (void)sk_backlog_pop_by_level(b, &item, 1);
    return item;
}

/* Up to max of them, in order; fewer only if all was empty at some moment of the call, or is to be dropped. */
static inline uint32_t sk_backlog_pop_many(sk_backlog *b, void **out, uint32_t max)
{
    if (sk_likely(b->simple)) return sk_bounded_pop_many(&b->first, out, max);
    if (b->ordered && !sk_backlog_is_ready(b)) return 0;
    return sk_backlog_pop_by_level(b, out, max);
}

/* ---- looks of anyone ---- */

/* How many of a level have been taken out, and put in, since init: every call that is over is counted. Read them in
   this order. */
static inline uint64_t sk_backlog_popped_of(sk_backlog *b, uint32_t level)
{
    return sk_unlikely(b->ordered != NULL) ? sk_earliest_taken(&b->ordered[level])
                                           : sk_bounded_popped(sk_backlog_level(b, level));
}

static inline uint64_t sk_backlog_pushed_of(sk_backlog *b, uint32_t level)
{
    return sk_bounded_pushed(sk_backlog_level(b, level));
}

static inline bool sk_backlog_is_empty_at(sk_backlog *b, uint32_t level)
{
    if (sk_likely(!b->ordered)) return sk_bounded_is_empty(sk_backlog_level(b, level));
    uint64_t popped = sk_backlog_popped_of(b, level);
    return popped == sk_backlog_pushed_of(b, level);
}

/* Whether each level was empty at some moment of the call. */
static inline bool sk_backlog_is_empty(sk_backlog *b)
{
    for (uint32_t i = 0; i < b->levels; i++)
        if (!sk_backlog_is_empty_at(b, i)) return false;
    return true;
}

static inline bool sk_backlog_is_full(sk_backlog *b, uint32_t level)
{
    return b->ordered ? sk_earliest_is_full(&b->ordered[level]) : sk_bounded_is_full_now(sk_backlog_level(b, level));
}

static inline uint64_t sk_backlog_size_of(sk_backlog *b, uint32_t level)
{
    if (!b->ordered) return sk_bounded_size(sk_backlog_level(b, level));
    uint64_t popped = sk_backlog_popped_of(b, level);
    return sk_backlog_pushed_of(b, level) - popped;
}

/* Half of the places of every level are free. A hint. */
static inline bool sk_backlog_is_half_empty(sk_backlog *b)
{
    for (uint32_t i = 0; i < b->levels; i++)
        if (sk_backlog_size_of(b, i) > sk_backlog_level(b, i)->bound / 2) return false;
    return true;
}

/* All levels together; in this order. */
static inline uint64_t sk_backlog_popped(sk_backlog *b)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->levels; i++) n += sk_backlog_popped_of(b, i);
    return n;
}

static inline uint64_t sk_backlog_pushed(sk_backlog *b)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->levels; i++) n += sk_backlog_pushed_of(b, i);
    return n;
}

/* In order of deadlines: what is queued now is to be dropped. A full fence has to follow, before the look for a holder
   of the baton. */
static inline void sk_backlog_doom(sk_backlog *b)
{
    for (uint32_t i = 0; i < b->levels; i++) sk_earliest_doom(&b->ordered[i], sk_backlog_pushed_of(b, i));
}

#endif
