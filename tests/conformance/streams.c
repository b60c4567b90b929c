/* conformance/streams.c: behaviours 70 to 72: streams, loops, and pools for one function. */
#include "support/tasks.h"

#include "base/base.h"

#include <string.h>

typedef struct song {
    sk_atomic(uint32_t) inside, most, singing;
    uint32_t next; /* callbacks only: they run one at a time */
    uint64_t nap;
    bool parks;
} song;

typedef struct verse {
    song *song;
    uint32_t i;
} verse;

static int write_verse(void *arg)
{
    verse *v = arg;
    song *s = v->song;
    uint32_t now = sk_add_ar(&s->inside, 1u) + 1, most = sk_load_rlx(&s->most);
    while (now > most && !sk_cas_rlx(&s->most, &most, now)) {
    }
    if (s->nap) skua_sleep((v->i * 7919 % 13) * s->nap); /* not in the order in which they began */
    sk_sub_ar(&s->inside, 1u);
    return (int)v->i;
}

static int sing_verse(void *arg, int result)
{
    verse *v = arg;
    SK_EXPECT_EQ(sk_add_ar(&v->song->singing, 1u), 0);
    SK_EXPECT_EQ(v->song->next, v->i);
    SK_EXPECT_EQ(result, v->i);
    if (v->song->parks && v->i % 16 == 0) skua_sleep(SKUA_US(100));
    v->song->next++;
    sk_sub_ar(&v->song->singing, 1u);
    return 0;
}

SK_TEST(conformance, s70_callbacks_in_the_order_of_submission_one_at_a_time)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { N = 2000 };
    static verse verses[N];
    static const uint32_t limits[] = {1, 2, 10, 0};
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++)
        for (int nap = 0; nap < 2; nap++) {
            song s = {.nap = nap ? SKUA_US(20) : 0, .parks = nap};
            skua_stream *stream;
            SK_EXPECT_EQ(skua_stream_create(&stream, &(skua_stream_options){.runtime = rt, .limit = limits[k]}), 0);
            uint32_t n = nap ? 300 : N;
            for (uint32_t i = 0; i < n; i++) {
                verses[i] = (verse){&s, i};
                SK_EXPECT_EQ(skua_stream_go(stream, write_verse, sing_verse, &verses[i]), 0);
            }
            SK_EXPECT_EQ(skua_stream_wait(stream, NULL), 0);
            SK_EXPECT_EQ(s.next, n);
            if (limits[k]) SK_EXPECT(s.most <= limits[k]);
            SK_EXPECT_EQ(skua_stream_release(stream), 0);
        }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- loops ---- */

typedef struct visits {
    sk_atomic(uint32_t) called, inside;
    sk_gate all;
    uint32_t want;
} visits;

static int visit(void *ctx, size_t i)
{
    visits *v = ctx;
    (void)i;
    sk_add_rlx(&v->called, 1u);
    return 0;
}

static int meet(void *ctx, size_t i)
{
    visits *v = ctx;
    (void)i;
    sk_gate_add(&v->all);
    return sk_gate_await(&v->all, v->want) ? 0 : -ETIME;
}

static int square(void *ctx, const void *in, void *out)
{
    (void)ctx;
    int x;
    memcpy(&x, in, sizeof x);
    long long y = (long long)x * x;
    memcpy(out, &y, sizeof y);
    return 0;
}

static int negate(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(int *)out = -*(const int *)in;
    return 0;
}

static int fail_at(void *ctx, size_t i)
{
    (void)ctx;
    if (i == 5) skua_panic_task("item %zu", i);
    return i % 100 == 7 ? -(int)i : 0;
}

static int nest(void *ctx, size_t i)
{
    (void)i;
    return skua_for_each(&(skua_loop_options){.limit = 3}, 30, visit, ctx);
}

SK_TEST(conformance, s71_for_each_and_map)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { N = 10000 };
    static int in[N], results[N];
    static long long out[N];
    visits v = {.want = 100};
    skua_loop_options o = {.runtime = rt, .results = results}, wide = {.runtime = rt, .limit = 100};

    SK_EXPECT_EQ(skua_for_each(&o, 0, visit, &v), 0); /* empty */
    SK_EXPECT_EQ(skua_map(&o, NULL, 4, NULL, 8, 0, square, NULL), 0);
    SK_EXPECT_EQ(v.called, 0);
    SK_EXPECT_EQ(skua_for_each(&o, N, visit, &v), 0);
    SK_EXPECT_EQ(v.called, N);

    for (int i = 0; i < N; i++) in[i] = i;
    SK_EXPECT_EQ(skua_map(&o, in, sizeof *in, out, sizeof *out, N, square, NULL), 0);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(out[i], (long long)i * i);
    SK_EXPECT_EQ(skua_map(&o, in, sizeof *in, in, sizeof *in, N, negate, NULL), 0); /* in place */
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(in[i], -i);

    SK_EXPECT(skua_for_each(&o, N, fail_at, NULL) < 0); /* errors joined, faults reported */
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(results[i], i == 5 ? -EFAULT : i % 100 == 7 ? -i : 0);

    skua_loop_options one = {.runtime = rt, .limit = 1, .results = results};
    SK_EXPECT_EQ(skua_for_each(&one, N, fail_at, NULL), -EFAULT); /* one after another: item 5 is the first */
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(results[i], i == 5 ? -EFAULT : i % 100 == 7 ? -i : 0);
    one.fail_fast = 1;
    SK_EXPECT_EQ(skua_for_each(&one, N, fail_at, NULL), -EFAULT);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(results[i], i < 5 ? 0 : i == 5 ? -EFAULT : -ECANCELED);

    SK_EXPECT_EQ(skua_for_each(&wide, 100, meet, &v), 0); /* more running than cores */

    v.called = 0;
    SK_EXPECT_EQ(skua_for_each(&o, 100, nest, &v), 0);
    SK_EXPECT_EQ(v.called, 3000);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static sk_atomic(uint64_t) total;

static int add_to_total(void *arg)
{
    sk_add_rlx(&total, (uint64_t)(uintptr_t)arg);
    return 0;
}

/* The famous sum: each invocation is an argument, and each argument arrives once. */
SK_TEST(conformance, s72_a_pool_for_one_function_takes_arguments_only)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = NULL, *plain = NULL;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 10, .fn = add_to_total}), 0);
    SK_EXPECT_EQ(skua_pool_create(&plain, &(skua_pool_options){.runtime = rt}), 0);
    sk_store_rlx(&total, 0u);
    for (uintptr_t i = 0; i < 1000; i++) SK_EXPECT_EQ(skua_pool_invoke(pool, (void *)i), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_load_rlx(&total), 499500);

    skua_pool_counts c;
    SK_EXPECT_EQ(skua_pool_stats(pool, &c), 0);
    SK_EXPECT_EQ(c.done, 1000);
    SK_EXPECT_EQ(skua_pool_invoke(plain, NULL), -ENOTSUP);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_pool_invoke(pool, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(plain), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
