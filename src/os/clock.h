/*
 * clock.h: the time.  One clock for the whole library: CLOCK_MONOTONIC, in
 * nanoseconds, which is also the clock of every futex deadline.
 */
#ifndef SK_OS_CLOCK_H
#define SK_OS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SK_NS_PER_S 1000000000ull
#define SK_NEVER UINT64_MAX /* a deadline that does not come */

/* Nanoseconds since some fixed moment; never goes back. Answered by the vdso (about 20 ns), not by the kernel. */
static inline uint64_t sk_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SK_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The same clock as the kernel last stored it: 1 to 4 ms old, for a third of the price. */
static inline uint64_t sk_clock_coarse_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * SK_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* now + delay, where the sum sticks at SK_NEVER instead of wrapping round into the past. */
static inline uint64_t sk_deadline_after(uint64_t now, uint64_t delay)
{
    return delay > SK_NEVER - now ? SK_NEVER : now + delay;
}

#endif
