/* sanitized.h: which of the tools that must be told about stacks this build is made for. */
#ifndef SK_MEM_SANITIZED_H
#define SK_MEM_SANITIZED_H

#include "base/atomic.h" /* SK_TSAN */

#if defined(__SANITIZE_ADDRESS__)
#define SK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SK_ASAN 1
#endif
#endif

#if defined(SK_ASAN) || defined(SK_TSAN) || defined(SK_VALGRIND)
#define SK_SANITIZED 1
#else
#define SK_SANITIZED 0
#endif

/* For functions in which no instrumented access may stand: between telling ThreadSanitizer of a switch and doing it. */
#if defined(__has_attribute)
#if __has_attribute(disable_sanitizer_instrumentation)
#define SK_UNINSTRUMENTED __attribute__((disable_sanitizer_instrumentation, noinline))
#endif
#endif
#ifndef SK_UNINSTRUMENTED
#define SK_UNINSTRUMENTED __attribute__((no_sanitize_address, no_sanitize_thread, noinline))
#endif

#endif
