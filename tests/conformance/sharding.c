/* conformance/sharding.c: behaviour 69: several pools that are used as one. */
#include "support/pools.h"

enum { SHARDS = 10, EACH = 5 };

static skua_shards *shards_of(skua_runtime *rt, skua_shards_pick pick)
{
    skua_shards *s = NULL;
    skua_shards_options o = {.n = SHARDS, .pick = pick, .pool = {.runtime = rt, .limit = EACH}};
    SK_EXPECT_EQ(skua_shards_create(&s, &o), 0);
    SK_EXPECT_EQ(skua_shards_count(s), SHARDS);
    return s;
}

typedef struct submitter {
    skua_shards *shards;
    sk_stay *stay;
    int n;
} submitter;

static void *submit_some(void *arg)
{
    const submitter *s = arg;
    for (int i = 0; i < s->n; i++) SK_EXPECT_EQ(skua_shards_submit(s->shards, sk_stays, s->stay), 0);
    return NULL;
}

static void expect_five_each(skua_shards *s)
{
    skua_pool_counts all;
    for (uint32_t i = 0; i < SHARDS; i++) {
        skua_pool_counts c = sk_counts_of(skua_shards_pool(s, i));
        SK_EXPECT_EQ(c.running, EACH);
        SK_EXPECT_EQ(c.free, 0);
        SK_EXPECT_EQ(c.submitted, EACH);
    }
    SK_EXPECT_EQ(skua_shards_stats(s, &all), 0);
    SK_EXPECT_EQ(all.running, SHARDS * EACH);
    SK_EXPECT_EQ(all.queued, 0);
    SK_EXPECT_EQ(all.limit, SHARDS * EACH);
    SK_EXPECT_EQ(all.free, 0);
}

static bool nothing_in_motion(skua_shards *s)
{
    bool still = true;
    for (uint32_t i = 0; i < SHARDS; i++) still &= sk_pool_stands_at(skua_shards_pool(s, i), EACH, 0);
    return still;
}

/* From one thread, and from five at once. */
SK_TEST(conformance, s69_ten_shards_of_five_get_five_of_fifty_tasks_each)
{
    static const int threads[] = {1, 5};
    skua_runtime *rt = sk_runtime_of(2);
    for (int k = 0; k < 2; k++) {
        skua_shards *s = shards_of(rt, SKUA_SHARDS_ROUND_ROBIN);
        sk_stay stay = {0};
        pthread_t thread[5];
        submitter some = {s, &stay, SHARDS * EACH / threads[k]};
        for (int i = 0; i < threads[k]; i++) SK_EXPECT_EQ(pthread_create(&thread[i], NULL, submit_some, &some), 0);
        for (int i = 0; i < threads[k]; i++) pthread_join(thread[i], NULL);
        SK_EXPECT(sk_gate_await(&stay.entered, SHARDS * EACH)); /* all run at once */
        SK_EVENTUALLY(nothing_in_motion(s));
        expect_five_each(s);
        sk_gate_add(&stay.leave);
        SK_EXPECT_EQ(skua_shards_wait(s, SKUA_MS(SK_PATIENCE_MS)), 0);
        skua_pool_counts all;
        SK_EXPECT_EQ(skua_shards_stats(s, &all), 0);
        SK_EXPECT_EQ(all.done, SHARDS * EACH);
        SK_EXPECT_EQ(all.submitted, SHARDS * EACH);
        SK_EXPECT_EQ(skua_shards_release(s), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Shards that are busy get nothing while others are not; with few of them all are looked at. */
SK_TEST(conformance, s69_least_loaded_looks_at_the_load)
{
    enum { N = 4 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s = NULL;
    skua_shards_options o = {.n = N, .pick = SKUA_SHARDS_LEAST_LOADED, .pool = {.runtime = rt, .limit = 2}};
    SK_EXPECT_EQ(skua_shards_create(&s, &o), 0);
    sk_stay stay = {0};
    for (uint32_t i = 0; i < N; i++) /* 0, 3, 6 and 9 tasks */
        for (uint32_t k = 0; k < 3 * i; k++) SK_EXPECT_EQ(skua_pool_submit(skua_shards_pool(s, i), sk_stays, &stay), 0);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t n = 3 * i, running = n < 2 ? n : 2;
        SK_EVENTUALLY(sk_pool_stands_at(skua_shards_pool(s, i), running, n - running));
    }
    for (uint32_t k = 0; k < 18; k++) SK_EXPECT_EQ(skua_shards_submit(s, sk_stays, &stay), 0); /* now nine each */
    for (uint32_t i = 0; i < N; i++) SK_EXPECT_EQ(sk_counts_of(skua_shards_pool(s, i)).submitted, 9);
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
