/*
 * base.h: the few words that every module uses: cache lines, branch hints,
 * bit arithmetic, container_of, assertions and panic.
 */
#ifndef SK_BASE_BASE_H
#define SK_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SK_CACHE_LINE 64
#ifdef __cplusplus
#define SK_ALIGNED(n) alignas(n)
#else
#define SK_ALIGNED(n) _Alignas(n)
#endif
#define SK_LINE_ALIGNED SK_ALIGNED(SK_CACHE_LINE)

#define sk_likely(x) __builtin_expect(!!(x), 1)
#define sk_unlikely(x) __builtin_expect(!!(x), 0)
#define sk_noinline __attribute__((noinline))
#ifdef SK_COVERAGE /* a branch is one branch, not one for each place that it is copied to */
#define sk_always_inline inline
#else
#define sk_always_inline inline __attribute__((always_inline))
#endif
#define sk_unused __attribute__((unused))

#define sk_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
/* Each may evaluate an argument twice: no calls, no loads of what others write. */
#define sk_min(a, b) ((a) < (b) ? (a) : (b))
#define sk_max(a, b) ((a) > (b) ? (a) : (b))
#define sk_array_len(a) (sizeof(a) / sizeof((a)[0]))

/* Rounds n up to a multiple of align, which is a power of two. */
static inline size_t sk_round_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

static inline bool sk_is_pow2(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* The least k with 2^k >= n; n >= 1. */
static inline unsigned sk_log2_ceil(uint64_t n)
{
    return n <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(n - 1);
}

/* Prints one line to stderr and aborts. Only for a broken invariant, never for a user's mistake. */
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void sk_panic(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/* Always checked: the invariants whose breach would lose a task. */
#define sk_check(cond)                                                                                                 \
    do {                                                                                                               \
        if (sk_unlikely(!(cond))) sk_panic("%s:%d: invariant broken: %s", __FILE__, __LINE__, #cond);                  \
    } while (0)

/* Checked in debug builds only. */
#ifdef SK_DEBUG
#define sk_assert(cond) sk_check(cond)
#else
#define sk_assert(cond) ((void)sizeof(!(cond)))
#endif

#endif
