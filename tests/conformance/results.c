/* conformance/results.c: behaviours 38, 41 and 49: results by future and by callback. */
#include "support/pools.h"

#include <string.h>

static int result_of(skua_future f)
{
    int result = -1;
    SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    return result;
}

static skua_future submitted(skua_pool *pool, skua_fn *fn, void *arg)
{
    skua_future f;
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, NULL, fn, arg), 0);
    return f;
}

SK_TEST(conformance, s38_results_before_during_and_after_a_cancellation)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    int one = 1;
    skua_future before = submitted(pool, sk_gives, &one), kept = submitted(pool, sk_gives, &one);
    SK_EXPECT_EQ(result_of(before), 1);
    skua_future during = submitted(pool, sk_stays, &s), queued = submitted(pool, sk_gives, &one);
    SK_EXPECT(sk_gate_await(&s.slept, 1));
    SK_EXPECT_EQ(skua_pool_cancel(pool), 2);
    SK_EXPECT_EQ(result_of(during), -ECANCELED);
    SK_EXPECT_EQ(result_of(queued), -ECANCELED);
    SK_EXPECT_EQ(result_of(kept), 1); /* what ended before is as it was */
    SK_EXPECT_EQ(result_of(submitted(pool, sk_gives, &one)), 1);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, 3);
    SK_EXPECT_EQ(c.cancelled, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The later a task was submitted, the sooner it ends. */
static int in_reverse(void *arg)
{
    intptr_t i = (intptr_t)arg;
    skua_sleep(SKUA_US(20) * (uint64_t)(100 - i));
    return (int)i;
}

SK_TEST(conformance, s41_results_in_the_order_of_submission)
{
    enum { N = 100 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 50);
    skua_future f[N];
    for (intptr_t i = 0; i < N; i++) f[i] = submitted(pool, in_reverse, (void *)i);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(result_of(f[i]), i);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Tasks that end when they are told to, and callbacks that note in which order they did. */
typedef struct arrival {
    sk_gate go;
    int number;
    sk_gate *noted;
    int *order;
} arrival;

static int when_told(void *arg)
{
    arrival *a = arg;
    return sk_gate_await(&a->go, 1) ? a->number : -ETIME;
}

static void note_arrival(void *ctx, void *given, int result)
{
    (void)given;
    arrival *a = ctx;
    a->order[sk_gate_now(a->noted)] = result; /* one at a time: the next is told when this one has been noted */
    sk_gate_add(a->noted);
}

SK_TEST(conformance, s41_results_as_they_come)
{
    static const int turns[] = {2, 0, 3, 1};
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 4);
    for (int by_future = 0; by_future < 2; by_future++) {
        arrival arrivals[4];
        sk_gate noted = 0;
        int order[4] = {0};
        for (int i = 0; i < 4; i++) {
            arrivals[i] = (arrival){.number = i, .noted = &noted, .order = order};
            skua_submit_options o = {.ended = {by_future ? NULL : note_arrival, &arrivals[i], NULL}};
            skua_future f;
            SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, when_told, &arrivals[i]), 0);
            if (by_future) SK_EXPECT_EQ(skua_future_then(f, note_arrival, &arrivals[i], NULL), 0);
            SK_EXPECT_EQ(skua_future_release(f), 0);
        }
        for (uint32_t i = 0; i < 4; i++) {
            sk_gate_add(&arrivals[turns[i]].go);
            SK_EXPECT(sk_gate_await(&noted, i + 1));
        }
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(order[i], turns[i]);
        sk_pool_await(pool);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

enum { CALLS = 5000 };

static sk_gate calls[CALLS];
static sk_atomic(int) results[CALLS];

static void keep(void *ctx, void *given, int result)
{
    (void)given;
    intptr_t i = (intptr_t)ctx;
    sk_store_rlx(&results[i], result);
    sk_gate_add(&calls[i]);
}

static int every_third_fails(void *arg)
{
    intptr_t i = (intptr_t)arg;
    return i % 3 ? (int)i : -(int)i - 1;
}

SK_TEST(conformance, s49_results_and_errors_by_callback_exactly_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 8);
    for (intptr_t i = 0; i < CALLS; i++) {
        skua_submit_options o = {.ended = {keep, (void *)i, NULL}};
        SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, every_third_fails, (void *)i), 0);
    }
    sk_pool_await(pool); /* all callbacks have returned then */
    for (intptr_t i = 0; i < CALLS; i++) {
        SK_EXPECT_EQ(sk_gate_now(&calls[i]), 1);
        SK_EXPECT_EQ(sk_load_rlx(&results[i]), every_third_fails((void *)i));
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
