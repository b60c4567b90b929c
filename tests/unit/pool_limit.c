/* unit/pool_limit.c: a limit that others change while tasks run; pausing. */
#include "base/rng.h"
#include "support/pools.h"

enum { LEAST = 2, MOST = 9, TUNERS = 3 };

typedef struct tuner {
    skua_pool *pool;
    sk_gate *over;
    uint64_t seed;
    bool pauses;
} tuner;

static void *tune_at_random(void *arg)
{
    tuner *t = arg;
    sk_rng rng;
    sk_rng_seed(&rng, t->seed);
    while (!sk_gate_now(t->over)) {
        SK_EXPECT_EQ(skua_pool_tune(t->pool, LEAST + sk_rng_below(&rng, MOST - LEAST + 1)), 0);
        if (t->pauses) {
            SK_EXPECT_EQ(skua_pool_pause(t->pool), 0);
            skua_sleep(SKUA_US(20));
            SK_EXPECT_EQ(skua_pool_resume(t->pool), 0);
        }
        skua_sleep(SKUA_US(30));
    }
    return NULL;
}

/* From many sides: never more run than the largest limit that was ever set, and none is lost. */
static void tune_while_tasks_run(uint32_t queue, bool pauses)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = MOST, .queue = queue);
    sk_crowd c = {.nap = SKUA_US(10)};
    sk_gate over = 0;
    tuner tuners[TUNERS];
    pthread_t threads[TUNERS];
    for (uint64_t i = 0; i < TUNERS; i++) {
        tuners[i] = (tuner){pool, &over, i + 1, pauses};
        SK_EXPECT_EQ(pthread_create(&threads[i], NULL, tune_at_random, &tuners[i]), 0);
    }
    uint32_t n = (uint32_t)sk_test_scaled(10000);
    for (uint32_t i = 0; i < n; i++) {
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_join_crowd, &c), 0);
        if (i % 64 == 0) SK_EXPECT(sk_counts_of(pool).running <= MOST);
    }
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(2 * SK_PATIENCE_MS)), 0);
    sk_gate_add(&over);
    for (int i = 0; i < TUNERS; i++) pthread_join(threads[i], NULL);
    SK_EXPECT_EQ(sk_gate_now(&c.ran), n);
    SK_EXPECT_EQ(sk_counts_of(pool).done, n);
    SK_EXPECT(c.most <= MOST);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_limit, tuned_by_many_while_tasks_run)
{
    tune_while_tasks_run(64, false);
}

SK_TEST(pool_limit, tuned_and_paused_by_many_while_tasks_run)
{
    tune_while_tasks_run(64, true);
}

SK_TEST(pool_limit, tuned_by_many_without_a_queue)
{
    tune_while_tasks_run(SKUA_POOL_NO_QUEUE, false);
}

SK_TEST(pool_limit, tuned_and_paused_by_many_without_a_queue)
{
    tune_while_tasks_run(SKUA_POOL_NO_QUEUE, true);
}

SK_TEST(pool_limit, tuned_to_none_everything_starts)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    for (int i = 0; i < 300; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EXPECT_EQ(skua_pool_tune(pool, 0), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 300));
    SK_EXPECT(sk_counts_of(pool).free == UINT64_MAX);
    SK_EXPECT_EQ(skua_pool_tune(pool, 5), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).free, 0);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(sk_gate_now(&s.left), 300);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A paused pool keeps the limit that it is tuned to meanwhile. */
SK_TEST(pool_limit, tuned_while_paused)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    for (int i = 0; i < 9; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    SK_EXPECT_EQ(skua_pool_tune(pool, 4), 0);
    skua_sleep(SKUA_MS(1));
    SK_EXPECT(sk_pool_stands_at(pool, 1, 9));
    SK_EXPECT_EQ(sk_counts_of(pool).limit, 4);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 4));
    SK_EXPECT(sk_pool_stands_at(pool, 4, 6));
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- submitting to one's own pool while the limit changes ---- */

typedef struct inside {
    skua_pool *pool;
    sk_stay other;
    sk_gate ran;
    int got;
} inside;

static int fill_and_wait(void *arg)
{
    inside *in = arg;
    SK_EXPECT(sk_gate_await(&in->other.entered, 1));
    SK_EXPECT_EQ(skua_pool_submit(in->pool, sk_open, &in->ran), 0);
    in->got = skua_pool_submit(in->pool, sk_open, &in->ran); /* holds a slot, and waits for room */
    return 0;
}

/* The other one that held a slot ends, and nothing takes its place: the one that waits would wait for itself. */
SK_TEST(pool_limit, a_lower_limit_strands_nobody_who_waits_inside)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int paused = 0; paused < 2; paused++) {
        inside in = {.pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 1), .got = 1};
        SK_EXPECT_EQ(skua_pool_submit(in.pool, sk_stays, &in.other), 0);
        SK_EXPECT(sk_gate_await(&in.other.entered, 1));
        SK_EXPECT_EQ(skua_pool_submit(in.pool, fill_and_wait, &in), 0);
        SK_EVENTUALLY(sk_counts_of(in.pool).waiting == 1);
        if (paused) SK_EXPECT_EQ(skua_pool_pause(in.pool), 0);
        SK_EXPECT_EQ(skua_pool_tune(in.pool, 1), 0);
        sk_gate_add(&in.other.leave);
        if (paused) SK_EXPECT_EQ(skua_pool_resume(in.pool), 0);
        sk_pool_await(in.pool);
        SK_EXPECT_EQ(in.got, -EDEADLK);
        SK_EXPECT_EQ(sk_gate_now(&in.ran), 1);
        SK_EXPECT_EQ(skua_pool_release(in.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int fill_own_queue(void *arg)
{
    inside *in = arg;
    SK_EXPECT_EQ(skua_pool_submit(in->pool, sk_open, &in->ran), 0);
    return in->got = skua_pool_submit(in->pool, sk_open, &in->ran);
}

/* It alone runs, but the pump is on its way: no reason to give up. */
SK_TEST(pool_limit, a_free_slot_is_no_deadlock)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 50; i++) {
        inside in = {.pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 1), .got = 1};
        SK_EXPECT_EQ(skua_pool_submit(in.pool, fill_own_queue, &in), 0);
        sk_pool_await(in.pool);
        SK_EXPECT_EQ(in.got, 0);
        SK_EXPECT_EQ(sk_gate_now(&in.ran), 2);
        SK_EXPECT_EQ(skua_pool_release(in.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
