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
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <new>
#include <queue>
#include <set>
#include <sstream>
#include <stack>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

template <typename T> void sk_model_construct(void *place)
{
    new (place) T;
}

#define private public /* of Relacy's atomics: model_atomic.h looks at their histories */
#include <relacy/relacy.hpp>
#undef private

#include "base/atomic.h"
#include "model/model_atomic.h"

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
#define sk_atomic(T) sk_model_atomic<T>
#define SK_MO(order) rl::memory_order_##order
#define sk_store_(p, v, o) ((p)->store((v), o))
#define sk_xchg_(p, v, o) ((p)->exchange((v), o))
#define sk_add_(p, v, o) ((p)->fetch_add((v), o))
#define sk_sub_(p, v, o) ((p)->fetch_sub((v), o))
#define sk_or_(p, v, o) ((p)->fetch_or((v), o))
#define sk_and_(p, v, o) ((p)->fetch_and((v), o))
#define sk_cas_(p, e, v, o, f) ((p)->compare_exchange_strong(*(e), (v), o, f))
#define sk_fence_(o) sk_model_fence(o)

/* A field that changes hands: reports two accesses that nothing orders. */
template <typename T> struct sk_watched {
    rl::var<T> value;

    operator T() const
    {
        return const_cast<sk_watched *>(this)->value($);
    }
    T operator->() const
    {
        return *this;
    }
    T operator=(T v)
    {
        value($) = v;
        return v;
    }
    T operator=(const sk_watched &other)
    {
        return *this = (T)other;
    }
    T operator++(int)
    {
        T was = *this;
        *this = was + 1;
        return was;
    }
    T operator--(int)
    {
        T was = *this;
        *this = was - 1;
        return was;
    }
    T operator--()
    {
        T was = *this;
        return *this = was - 1;
    }
};

/*
 * Relacy is a template over the test, and takes seconds to compile for each.  So
 * it gets one test for each number of threads, which does what the model at hand
 * does.  And it can be compiled apart: this file alone with -DSK_MODEL_ENGINE,
 * the programs with -DSK_MODEL_APART.
 */
struct sk_any_model {
    virtual void construct() = 0;
    virtual void destroy() = 0;
    virtual void before() = 0;
    virtual void thread(unsigned index) = 0;
    virtual void after() = 0;
    virtual void invariant() = 0;
};

extern sk_any_model *sk_model_at_hand;

template <typename model> struct sk_model_of : sk_any_model {
    alignas(64) char room[sizeof(model)]; /* as what stands in it is aligned by its type */

    model *here()
    {
        return reinterpret_cast<model *>(room);
    }
    void construct()
    {
        sk_model_construct<model>(room);
    }
    void destroy()
    {
        here()->~model();
    }
    void before()
    {
        here()->before();
    }
    void thread(unsigned index)
    {
        here()->thread(index);
    }
    void after()
    {
        here()->after();
    }
    void invariant()
    {
        here()->invariant();
    }
};

#ifdef SK_MODEL_APART

bool sk_simulate_with(unsigned threads, rl::test_params &params);

#else

sk_any_model *sk_model_at_hand;

template <rl::thread_id_t threads> struct sk_any_test : rl::test_suite<sk_any_test<threads>, threads> {
    sk_any_test()
    {
        sk_model_at_hand->construct();
    }
    ~sk_any_test()
    {
        sk_model_at_hand->destroy();
    }
    void before()
    {
        sk_model_at_hand->before();
    }
    void thread(unsigned index)
    {
        sk_model_at_hand->thread(index);
    }
    void after()
    {
        sk_model_at_hand->after();
    }
    void invariant()
    {
        sk_model_at_hand->invariant();
    }
};

template <typename test> rl::test_result_e sk_run_test(rl::test_params &params, std::ostream &end_state, bool again)
{
    enum { threads = test::params::thread_count };
    if (params.search_type == rl::sched_random)
        return rl::run_test<test, rl::random_scheduler<threads>>(params, end_state, again);
    return rl::run_test<test, rl::context_bound_scheduler<threads>>(params, end_state, again);
}

/* What rl::simulate does, without the search that we have no use for. A failure is found first, then told. */
template <typename test> bool sk_simulate(rl::test_params &params)
{
    rl::ostringstream found, told;
    if (sk_run_test<test>(params, found, false) == rl::test_result_success) return true;
    params.initial_state = params.final_state = found.str();
    params.collect_history = true;
    sk_run_test<test>(params, told, true);
    return false;
}

#ifdef SK_MODEL_ENGINE
bool sk_simulate_with(unsigned threads, rl::test_params &params)
{
    return threads == 1   ? sk_simulate<sk_any_test<1>>(params)
           : threads == 2 ? sk_simulate<sk_any_test<2>>(params)
           : threads == 3 ? sk_simulate<sk_any_test<3>>(params)
           : threads == 4 ? sk_simulate<sk_any_test<4>>(params)
                          : sk_simulate<sk_any_test<5>>(params);
}
#endif
#endif

/*
 * Explores one model: `random`: n iterations; else every schedule with at most
 * n context switches.  With `history`, a failure is retold step by step.
 */
template <typename model> bool sk_explore(const char *name, bool random, unsigned n, bool history)
{
    static sk_model_of<model> it;
    sk_model_at_hand = &it;
    std::ostream silence(NULL);
    rl::test_params params;
    params.search_type = random ? rl::sched_random : rl::sched_bound;
    params.iteration_count = n;
    params.context_bound = n;
    params.execution_depth_limit = 10000; /* steps after which a schedule counts as a livelock */
    params.progress_stream = &silence;
    params.output_stream = history ? &std::cout : &silence;
    clock_t begin = clock();
    static_assert(model::params::thread_count <= 5, "the numbers of threads that are compiled");
#ifdef SK_MODEL_APART
    bool passed = sk_simulate_with(model::params::thread_count, params);
#else
    bool passed = sk_simulate<sk_any_test<model::params::thread_count>>(params);
#endif
    std::cout << (passed ? "ok     " : "FAILED ") << name << ": " << params.stop_iteration << " schedules, "
              << rl::test_result_str(params.test_result) << ", " << (random ? "random" : "bound ");
    if (!random) std::cout << n;
    std::cout << ", " << (clock() - begin) / (CLOCKS_PER_SEC / 1000) << " ms" << std::endl;
    return passed;
}

/*
 * The models of a program, and its main:
 *
 *   static const sk_model models[] = {SK_EXPLORE(some_model, "name", 2), ...};
 *   int main(int argc, char **argv) { sk_model_main(argc, argv, models, sk_array_len(models)); }
 *
 * The number is the largest bound of context switches that every schedule was explored for within the time that a
 * test run has; 0: none was, it is explored at random only.
 *
 *   program random N [NAME] [-v]       so many random schedules of every model
 *   program bound N [NAME] [-v]        all schedules with at most N context switches that are not forced
 *   program exhaustive [NAME] [-v]     the same, each model with its own bound; those with 0 are left out
 *
 * NAME is a part of the models' names; -v retells a failure step by step.
 */
typedef struct sk_model {
    const char *name;
    unsigned bound;
    bool (*explore)(const char *name, bool random, unsigned n, bool history);
} sk_model;

#define SK_EXPLORE(model, name, bound)                                                                                 \
    {                                                                                                                  \
        name, bound, sk_explore<model>                                                                                 \
    }

[[noreturn]] inline void sk_model_main(int argc, char **argv, const sk_model *models, size_t count)
{
    bool history = argc > 1 && strcmp(argv[argc - 1], "-v") == 0, passed = true;
    argc -= history;
    const char *how = argc > 1 ? argv[1] : "random";
    bool random = strcmp(how, "random") == 0, exhaustive = strcmp(how, "exhaustive") == 0;
    int at = 2;
    unsigned n = exhaustive ? 0 : argc > at ? (unsigned)atoi(argv[at++]) : 10000;
    const char *only = argc > at ? argv[at] : "";
    for (size_t i = 0; i < count; i++) {
        if (!strstr(models[i].name, only) || (exhaustive && models[i].bound == 0)) continue;
        passed &= models[i].explore(models[i].name, random, exhaustive ? models[i].bound : n, history);
    }
    _exit(passed ? 0 : 1); /* Relacy has replaced new and delete: no destructors */
}

#endif
