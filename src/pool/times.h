/*
 * times.h: the times of a measured pool's tasks: histograms that many write
 * beside each other, and that are read without stopping anybody.
 *
 * Waiting is from the submission to the start of the first attempt, running from
 * the start to the end of each attempt.  A task of a subpool is in the times of
 * all pools above, too: a subpool of a measured pool is measured.
 *
 * A histogram is written in stripes, one for each worker up to SK_TIMES_STRIPES:
 * its writers do not take lines from each other.
 *
 * The bucket of a duration comes last, and releases: who counts it sees all that
 * came before, which is why in every snapshot (counts.c)
 *
 *   done + failed <= running.count <= waiting.count + retried,
 *   waiting.count <= submitted
 *
 *   operation        by           progress
 *   add              any thread   lock-free (wait-free but for a new least or most)
 *   read             any thread   wait-free
 *   new, free        alone        -
 *
 * I: never changes after init.
 */
#ifndef SK_POOL_TIMES_H
#define SK_POOL_TIMES_H

#include "base/atomic.h"
#include "base/base.h"
#include "skua/histogram.h"

enum { SK_TIMES_STRIPES = 8, SK_TIMES_STEPS_SHIFT = 3, SK_TIMES_BITS = 42 };

/* A duration of `bits` significant bits, 4 or more, has 8 buckets to choose from; shorter ones have one each. */
static inline uint32_t sk_times_bucket(uint64_t ns)
{
    if (ns >> SK_TIMES_BITS) return SKUA_HISTOGRAM_BUCKETS - 1;
    if (!(ns >> SK_TIMES_STEPS_SHIFT)) return (uint32_t)ns;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - SK_TIMES_STEPS_SHIFT;
    return (shift << SK_TIMES_STEPS_SHIFT) + (uint32_t)(ns >> shift);
}

typedef struct sk_times_stripe {
    SK_LINE_ALIGNED sk_atomic(uint64_t) sum; /* anyone adds, as to what follows */
    sk_atomic(uint64_t) least;               /* UINT64_MAX: none yet */
    sk_atomic(uint64_t) most;
    sk_atomic(uint64_t) buckets[SKUA_HISTOGRAM_BUCKETS];
} sk_times_stripe;

/* Of one stripe. */
typedef struct sk_times_pair {
    sk_times_stripe waiting, running;
} sk_times_pair;

typedef struct sk_times {
    SK_LINE_ALIGNED uint32_t stripes; /* I: a power of two */
    sk_atomic(uint64_t) here;         /* anyone adds: tasks that their submitters have run */
    sk_times_pair pair[];
} sk_times;

/* For a runtime of so many workers. NULL: no memory. */
sk_times *sk_times_new(uint32_t workers);

/* Nobody is left. NULL is allowed. */
void sk_times_free(sk_times *times);

/* Where the n-th worker writes. */
static inline sk_times_pair *sk_times_of(sk_times *times, uint32_t n)
{
    return &times->pair[n & (times->stripes - 1)];
}

static inline void sk_times_add(sk_times_stripe *s, uint64_t ns)
{
    sk_add_rlx(&s->sum, ns);
    for (uint64_t least = sk_load_rlx(&s->least); sk_unlikely(ns < least) && !sk_cas_rlx(&s->least, &least, ns);) {
    }
    for (uint64_t most = sk_load_rlx(&s->most); sk_unlikely(ns > most) && !sk_cas_rlx(&s->most, &most, ns);) {
    }
    /* [PT-R1] release; pairs with [PT-F1]: who counts this sees the sum, the least and the most of it, the submission
       and the start of the task, and that the attempt was counted. */
    sk_add_rel(&s->buckets[sk_times_bucket(ns)], UINT64_C(1));
}

/* What has been counted so far. The sum may be ahead of the count, by durations that are being added. */
void sk_times_read_waiting(const sk_times *times, skua_histogram *out);
void sk_times_read_running(const sk_times *times, skua_histogram *out);

#endif
