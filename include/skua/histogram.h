/*
 * histogram.h: how durations spread.
 *
 * A histogram counts durations (ns) in buckets: up to 15 ns one for each ns, from
 * there on 8 of equal width in each power of two, up to 2^42 ns (73 minutes); the
 * last bucket has all that is longer.  A bucket is never wider than 1/8 of what
 * is in it, so what is read out of it is at most 12.5% too much, never too little.
 *
 * It is a plain struct of 2.6 KB: copy it, add to it, keep one per thread.  An
 * empty one is all zero.  Nothing here parks, or is safe against another thread
 * that writes the same histogram.
 */
#ifndef SKUA_HISTOGRAM_H
#define SKUA_HISTOGRAM_H

#include <stdint.h>

#include "skua/api.h"

SKUA_BEGIN

#define SKUA_HISTOGRAM_BUCKETS 320

typedef struct skua_histogram {
    uint64_t count;    /* durations in it: the sum of the buckets */
    uint64_t sum;      /* ns, all together; wraps after 584 years */
    uint64_t min, max; /* ns, exact; 0 while it is empty */
    uint64_t buckets[SKUA_HISTOGRAM_BUCKETS];
} skua_histogram;

/* Counts one duration of ns. NULL: nothing. */
SKUA_API void skua_histogram_add(skua_histogram *h, uint64_t ns);

/* Counts all that is in `from`, too. NULL: nothing. */
SKUA_API void skua_histogram_merge(skua_histogram *into, const skua_histogram *from);

/*
 * The duration (ns) that the share q of all, 0 to 1, does not exceed: 0.5 is the
 * median, 0.99 the 99th percentile.  Never less than that, at most 12.5% more
 * (beyond 2^42 ns: max), between min and max; 0 for an empty histogram.
 */
SKUA_API uint64_t skua_histogram_quantile(const skua_histogram *h, double q);

/* The mean in ns, exact but for rounding; 0 for an empty histogram. */
SKUA_API double skua_histogram_mean(const skua_histogram *h);

/* The least duration (ns) of a bucket, for printing; UINT64_MAX from SKUA_HISTOGRAM_BUCKETS on. */
SKUA_API uint64_t skua_histogram_bound(uint32_t bucket);

SKUA_END

#endif
