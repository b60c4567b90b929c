/*
 * relacy.h: lets Relacy explore the real headers: include it first, compile as C++ with -DSK_MODEL.
 *
 * libstdc++ has a std::atomic of its own, so the facade is led to Relacy's by
 * name.  Relacy's memory_order_xxx are macros that stand for two arguments, the
 * order and the place in the source: they must reach its methods without
 * parentheses around them.
 */
#ifndef SK_TEST_MODEL_RELACY_H
#define SK_TEST_MODEL_RELACY_H

#ifndef SK_MODEL
#error "compile with -DSK_MODEL"
#endif

/* Before Relacy, which turns new, free, errno and others into macros. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <relacy/relacy.hpp>

#include "base/atomic.h"

#undef sk_atomic
#undef SK_MO
#undef sk_store_
#undef sk_xchg_
#undef sk_add_
#undef sk_sub_
#undef sk_or_
#undef sk_and_
#undef sk_cas_
#undef sk_fence_
#define sk_atomic(T) rl::atomic<T>
#define SK_MO(order) rl::memory_order_##order
#define sk_store_(p, v, o) ((p)->store((v), o))
#define sk_xchg_(p, v, o) ((p)->exchange((v), o))
#define sk_add_(p, v, o) ((p)->fetch_add((v), o))
#define sk_sub_(p, v, o) ((p)->fetch_sub((v), o))
#define sk_or_(p, v, o) ((p)->fetch_or((v), o))
#define sk_and_(p, v, o) ((p)->fetch_and((v), o))
#define sk_cas_(p, e, v, o, f) ((p)->compare_exchange_strong(*(e), (v), o, f))
#define sk_fence_(o) rl::atomic_thread_fence(o)

/*
 * Explores one model: `random`: n iterations; else every schedule with at most
 * n context switches.  With `history`, a failure is retold step by step.
 */
template <typename model> bool sk_explore(const char *name, bool random, unsigned n, bool history)
{
    std::ostream silence(NULL);
    rl::test_params params;
    params.search_type = random ? rl::sched_random : rl::sched_bound;
    params.iteration_count = n;
    params.context_bound = n;
    params.progress_stream = &silence;
    params.output_stream = history ? &std::cout : &silence;
    bool passed = rl::simulate<model>(params);
    std::cout << (passed ? "ok     " : "FAILED ") << name << ": " << params.stop_iteration << " schedules, "
              << rl::test_result_str(params.test_result) << std::endl;
    return passed;
}

#endif
