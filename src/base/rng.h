/*
 * rng.h: a small generator for victim choice and tests; not for secrets.
 * Algorithm: wyrand, after Wang Yi (public domain).
 */
#ifndef SK_BASE_RNG_H
#define SK_BASE_RNG_H

#include <stdint.h>

typedef struct sk_rng {
    uint64_t state;
} sk_rng;

static inline void sk_rng_seed(sk_rng *r, uint64_t seed)
{
    r->state = seed;
}

static inline uint64_t sk_rng_next(sk_rng *r)
{
    r->state += 0xa0761d6478bd642full;
    __uint128_t t = (__uint128_t)r->state * (r->state ^ 0xe7037ed1a0b428dbull);
    return (uint64_t)(t >> 64) ^ (uint64_t)t;
}

/* A number in [0, n); n >= 1. The bias is below n / 2^32. */
static inline uint32_t sk_rng_below(sk_rng *r, uint32_t n)
{
    return (uint32_t)(((sk_rng_next(r) & 0xffffffffu) * n) >> 32);
}

#endif
