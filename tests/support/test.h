/*
 * test.h: one way to write a test, two ways to run it.
 *
 *   SK_TEST(suite, name) { SK_EXPECT(1 + 1 == 2); SK_EXPECT_EQ(f(), 0); }
 *
 * By default the tests are Criterion's, each in a process of its own.  With
 * -DSK_PLAIN_RUNNER they are registered with tests/support/plain_main.c, which
 * forks for each test: Criterion cannot run under ThreadSanitizer, and starts a
 * program anew for each test, which is slow with AddressSanitizer and Valgrind.  A failed expectation prints where and
 * aborts, from whichever thread or fiber it stands on; both runners count that as a failure.
 */
#ifndef SK_TEST_H
#define SK_TEST_H

#include <stdio.h>
#include <stdlib.h>

#define SK_TEST_TIMEOUT_S 240

#ifdef SK_PLAIN_RUNNER
typedef struct sk_test_case {
    const char *file, *suite, *name;
    void (*run)(void);
    struct sk_test_case *next;
} sk_test_case;
void sk_test_register(sk_test_case *test);
#define SK_TEST(suite_, name_)                                                                                         \
    static void sk_test_##suite_##_##name_(void);                                                                      \
    static sk_test_case sk_case_##suite_##_##name_ = {__FILE__, #suite_, #name_, sk_test_##suite_##_##name_, NULL};    \
    __attribute__((constructor)) static void sk_reg_##suite_##_##name_(void)                                           \
    {                                                                                                                  \
        sk_test_register(&sk_case_##suite_##_##name_);                                                                 \
    }                                                                                                                  \
    static void sk_test_##suite_##_##name_(void)
#else
#include <criterion/criterion.h>
#define SK_TEST(suite_, name_) Test(suite_, name_, .timeout = SK_TEST_TIMEOUT_S)
#endif

/* Out of line: thousands of expectations are a good part of what there is to compile. */
__attribute__((noreturn, noinline, cold, unused)) static void sk_test_unmet(const char *file, int line,
                                                                            const char *what)
{
    fprintf(stderr, "%s:%d: expected: %s\n", file, line, what);
    abort();
}

__attribute__((noreturn, noinline, cold, unused)) static void
sk_test_unequal(const char *file, int line, const char *what, long long got, const char *expected, long long want)
{
    fprintf(stderr, "%s:%d: %s is %lld, expected %s = %lld\n", file, line, what, got, expected, want);
    abort();
}

#define SK_EXPECT(cond)                                                                                                \
    do {                                                                                                               \
        if (!(cond)) sk_test_unmet(__FILE__, __LINE__, #cond);                                                         \
    } while (0)

#define SK_EXPECT_EQ(got, want)                                                                                        \
    do {                                                                                                               \
        long long got_ = (long long)(got), want_ = (long long)(want);                                                  \
        if (got_ != want_) sk_test_unequal(__FILE__, __LINE__, #got, got_, #want, want_);                              \
    } while (0)

/* How much a stress test should do: its full count, or a share of it in quick, sanitizer and Valgrind runs
   (the environment variable SKUA_TEST_SCALE, a divisor; default 1). */
static inline long sk_test_scaled(long full)
{
    const char *scale = getenv("SKUA_TEST_SCALE");
    long divisor = scale ? atol(scale) : 1;
    if (divisor < 1) divisor = 1;
    return full / divisor > 0 ? full / divisor : 1;
}

#endif
