/* times.c: see times.h; and the histograms that users have, which nobody else writes. */
#include "pool/times.h"

#include <string.h>

#include "base/heap.h"

/* ---- histograms ---- */

uint64_t skua_histogram_bound(uint32_t bucket)
{
    const uint32_t steps = 1u << SK_TIMES_STEPS_SHIFT;
    if (bucket >= SKUA_HISTOGRAM_BUCKETS) return UINT64_MAX;
    if (bucket < steps) return bucket;
    return (uint64_t)(steps + bucket % steps) << (bucket / steps - 1);
}

/* `n` durations, all counted in their buckets. */
static void widen(skua_histogram *h, uint64_t n, uint64_t sum, uint64_t min, uint64_t max)
{
    if (n == 0) return;
    h->min = h->count ? sk_min(h->min, min) : min;
    h->max = h->count ? sk_max(h->max, max) : max;
    h->count += n;
    h->sum += sum;
}

void skua_histogram_add(skua_histogram *h, uint64_t ns)
{
    if (!h) return;
    h->buckets[sk_times_bucket(ns)]++;
    widen(h, 1, ns, ns, ns);
}

void skua_histogram_merge(skua_histogram *into, const skua_histogram *from)
{
    if (!into || !from) return;
    uint64_t n = from->count;
    for (int i = 0; i < SKUA_HISTOGRAM_BUCKETS; i++) into->buckets[i] += from->buckets[i];
    widen(into, n, from->sum, from->min, from->max);
}

/* How many of `count` a share is, at least 1. */
static uint64_t rank_of(uint64_t count, double q)
{
    if (!(q > 0)) return 1; /* not a number, too */
    if (q >= 1) return count;
    double exact = q * (double)count;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact;
    return rank < 1 ? 1 : sk_min(rank, count);
}

uint64_t skua_histogram_quantile(const skua_histogram *h, double q)
{
    if (!h || h->count == 0) return 0;
    uint64_t rank = rank_of(h->count, q), seen = 0;
    uint32_t i = 0;
    while (i < SKUA_HISTOGRAM_BUCKETS - 1 && (seen += h->buckets[i]) < rank) i++;
    if (i == SKUA_HISTOGRAM_BUCKETS - 1) return h->max;
    uint64_t longest = skua_histogram_bound(i + 1) - 1;
    return longest < h->min ? h->min : sk_min(longest, h->max);
}

double skua_histogram_mean(const skua_histogram *h)
{
    return h && h->count ? (double)h->sum / (double)h->count : 0;
}

/* ---- those of a pool ---- */

static uint32_t stripes_for(uint32_t workers)
{
    uint32_t n = 1;
    while (n < workers && n < SK_TIMES_STRIPES) n *= 2;
    return n;
}

sk_times *sk_times_new(uint32_t workers)
{
    uint32_t n = stripes_for(workers);
    size_t size = sizeof(sk_times) + n * sizeof(sk_times_pair);
    sk_times *times = (sk_times *)sk_heap_alloc_aligned(SK_CACHE_LINE, size);
    if (!times) return NULL;
    memset((void *)times, 0, size);
    times->stripes = n;
    for (uint32_t i = 0; i < n; i++) {
        sk_store_rlx(&times->pair[i].waiting.least, UINT64_MAX);
        sk_store_rlx(&times->pair[i].running.least, UINT64_MAX);
    }
    return times;
}

void sk_times_free(sk_times *times)
{
    sk_heap_free(times);
}

static void read_stripe(const sk_times_stripe *stripe, skua_histogram *out)
{
    sk_times_stripe *s = (sk_times_stripe *)stripe;
    uint64_t n = 0;
    for (int i = 0; i < SKUA_HISTOGRAM_BUCKETS; i++) {
        uint64_t some = sk_load_rlx(&s->buckets[i]);
        out->buckets[i] += some;
        n += some;
    }
    sk_fence_acq(); /* [PT-F1] acquire; pairs with [PT-R1]. */
    widen(out, n, sk_load_rlx(&s->sum), sk_load_rlx(&s->least), sk_load_rlx(&s->most));
}

void sk_times_read_waiting(const sk_times *times, skua_histogram *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < times->stripes; i++) read_stripe(&times->pair[i].waiting, out);
}

void sk_times_read_running(const sk_times *times, skua_histogram *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < times->stripes; i++) read_stripe(&times->pair[i].running, out);
}
