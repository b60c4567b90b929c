/* conformance/retry.c: behaviours 51 to 55: retries and timeouts. */
#include "support/pools.h"

typedef struct tries {
    sk_gate begun;
    uint32_t succeeds; /* at this attempt; 0: never */
} tries;

static int try_it(void *arg)
{
    tries *t = arg;
    uint32_t n = sk_add_ar(&t->begun, 1u) + 1;
    return n == t->succeeds ? 0 : -EIO;
}

static int run(skua_pool *pool, const skua_submit_options *o, skua_fn *fn, void *arg)
{
    skua_future f;
    int result = 1;
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, o, fn, arg), 0);
    SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    return result;
}

SK_TEST(conformance, s51_retry_three_means_four_attempts)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    for (int backoff = 0; backoff < 2; backoff++) {
        skua_submit_options o = {.retry = {.times = 3, .backoff = backoff ? SKUA_US(50) : 0}};
        tries never = {0}, second = {.succeeds = 2}, last = {.succeeds = 4};
        SK_EXPECT_EQ(run(pool, &o, try_it, &never), -EIO);
        SK_EXPECT_EQ(sk_gate_now(&never.begun), 4);
        SK_EXPECT_EQ(run(pool, &o, try_it, &second), 0);
        SK_EXPECT_EQ(sk_gate_now(&second.begun), 2);
        SK_EXPECT_EQ(run(pool, &o, try_it, &last), 0);
        SK_EXPECT_EQ(sk_gate_now(&last.begun), 4);
    }
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).retried, 14);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A hundred tasks back off for long in a pool with one place: that place and the only worker serve others. */
SK_TEST(conformance, s52_a_back_off_takes_no_worker_and_no_slot)
{
    enum { N = 100 };
    static tries t[N];
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_submit_options o = {.retry = {.times = 1, .backoff = SKUA_S(1000)}};
    sk_gate ran = 0;
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, try_it, &t[i]), 0);
    /* Those that have not started are queued, too: so first all have begun, and then all back off. */
    for (int i = 0; i < N; i++) SK_EXPECT(sk_gate_await(&t[i].begun, 1));
    skua_pool_counts c;
    SK_EVENTUALLY((c = sk_counts_of(pool), c.queued == N));
    SK_EXPECT_EQ(c.running, 0);
    SK_EXPECT_EQ(c.free, 1);
    for (int i = 0; i < 1000; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT(sk_gate_await(&ran, 1000));
    SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.dropped, N);
    SK_EXPECT_EQ(c.done, 1000);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(sk_gate_now(&t[i].begun), 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The only place: nobody else has it between two attempts. */
SK_TEST(conformance, s52_unless_asked_to)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    tries t = {0};
    sk_gate ran = 0;
    skua_submit_options o = {.retry = {.times = 1, .backoff = SKUA_S(1000), .keep_place = true}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, try_it, &t), 0);
    SK_EXPECT(sk_gate_await(&t.begun, 1));
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EVENTUALLY(sk_stats_of(rt).created == 3); /* both, and what backs off */
    skua_sleep(SKUA_MS(10));
    SK_EXPECT(sk_pool_stands_at(pool, 1, 1));
    SK_EXPECT_EQ(sk_counts_of(pool).free, 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).dropped, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct told {
    sk_gate calls;
    sk_atomic(int) result;
} told;

static void tell(void *ctx, void *given, int result)
{
    (void)given;
    told *t = ctx;
    sk_store_rlx(&t->result, result);
    sk_gate_add(&t->calls);
}

static int sleep_for(void *arg)
{
    return skua_sleep(*(uint64_t *)arg);
}

SK_TEST(conformance, s53_a_timeout_is_told_once_and_who_is_in_time_is_done)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    told late = {0}, in_time = {0};
    uint64_t for_ever = SKUA_S(1000), shortly = SKUA_MS(1);
    skua_submit_options o = {.run_within = SKUA_MS(10), .ended = {tell, &late, NULL}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sleep_for, &for_ever), 0);
    o = (skua_submit_options){.run_within = SKUA_S(1000), .ended = {tell, &in_time, NULL}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sleep_for, &shortly), 0);
    sk_pool_await(pool);
    skua_sleep(SKUA_MS(20)); /* nothing comes after it */
    SK_EXPECT_EQ(sk_gate_now(&late.calls), 1);
    SK_EXPECT_EQ(sk_load_rlx(&late.result), -ETIMEDOUT);
    SK_EXPECT_EQ(sk_gate_now(&in_time.calls), 1);
    SK_EXPECT_EQ(sk_load_rlx(&in_time.result), 0);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, 1);
    SK_EXPECT_EQ(c.expired, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s54_separate_deadlines_to_be_admitted_to_start_and_to_finish)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1);
    sk_stay s = {0};
    uint64_t for_ever = SKUA_S(1000), since;
    skua_future start;
    int result = 0;
    sk_gate ran = 0;
    sk_occupy(pool, &s, 1);
    skua_submit_options o = {.start_within = SKUA_MS(5)};
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &start, &o, sk_open, &ran), 0);
    o = (skua_submit_options){.admit_within = SKUA_MS(1), .start_within = SKUA_S(1000), .finish_within = SKUA_S(1000)};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sk_open, &ran), -ETIMEDOUT);
    skua_sleep(SKUA_MS(10));
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_future_wait(start, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(skua_future_release(start), 0);
    since = skua_now();
    o = (skua_submit_options){.start_within = SKUA_S(1000), .finish_within = SKUA_MS(5)};
    SK_EXPECT_EQ(run(pool, &o, sleep_for, &for_ever), -ETIMEDOUT);
    SK_EXPECT(skua_now() - since >= SKUA_MS(5));
    since = skua_now();
    o = (skua_submit_options){.finish_within = SKUA_S(1000), .run_within = SKUA_MS(5)};
    SK_EXPECT_EQ(run(pool, &o, sleep_for, &for_ever), -ETIMEDOUT);
    SK_EXPECT(skua_now() - since >= SKUA_MS(5));
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.expired, 3);
    SK_EXPECT_EQ(c.refused, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Is late, goes on for some time, and says that all is well. */
static int stubborn(void *arg)
{
    sk_crowd *c = arg;
    uint32_t now = sk_add_ar(&c->inside, 1u) + 1, most = sk_load_rlx(&c->most);
    while (now > most && !sk_cas_ar(&c->most, &most, now)) {
    }
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    while (!skua_cancelled()) SK_EXPECT(skua_now() < give_up);
    for (uint64_t until = skua_now() + SKUA_MS(1); skua_now() < until;) sk_cpu_relax();
    sk_sub_ar(&c->inside, 1u);
    sk_gate_add(&c->ran);
    return 0;
}

SK_TEST(conformance, s55_a_late_task_keeps_its_slot_until_it_returns)
{
    enum { N = 20 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    sk_crowd crowd = {0};
    skua_submit_options o = {.run_within = SKUA_US(100), .retry = {.times = 2}};
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, stubborn, &crowd), 0);
    sk_pool_await(pool);
    SK_EXPECT(sk_load_rlx(&crowd.most) <= 2);
    SK_EXPECT_EQ(sk_gate_now(&crowd.ran), 3 * N);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.expired, N);
    SK_EXPECT_EQ(c.retried, 2 * N);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Every third attempt, whosever it is, fails. */
static int joins_and_ends_badly(void *arg)
{
    sk_crowd *c = arg;
    return sk_join_crowd(c) == 0 && sk_gate_now(&c->ran) % 3 == 0 ? -EIO : 0;
}

SK_TEST(conformance, s21_the_limit_is_never_exceeded_with_retries)
{
    static const uint32_t limits[] = {1, 10, 100};
    skua_runtime *rt = sk_runtime_of(3);
    for (int i = 0; i < 3; i++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = limits[i]);
        sk_crowd c = {.nap = limits[i] > 1 ? SKUA_US(100) : 0};
        skua_submit_options o[4] = {{.retry = {.times = 2}},
                                    {.retry = {.times = 2, .backoff = SKUA_US(20), .jitter = 50}},
                                    {.retry = {.times = 2, .backoff = SKUA_US(20), .keep_place = true}},
                                    {.retry = {.times = 2}, .run_within = SKUA_US(150)}};
        uint32_t n = (uint32_t)sk_test_scaled(10000);
        for (uint32_t k = 0; k < n; k++) {
            SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o[k % 4], joins_and_ends_badly, &c), 0);
            if (k % 64 == 0) SK_EXPECT(sk_counts_of(pool).running <= limits[i]);
        }
        sk_pool_await(pool);
        skua_pool_counts counts = sk_counts_of(pool);
        SK_EXPECT_EQ(counts.submitted, n);
        SK_EXPECT_EQ(counts.done + counts.failed + counts.expired, n);
        SK_EXPECT(counts.retried > n / 10);
        SK_EXPECT(sk_load_rlx(&c.most) <= limits[i]);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
