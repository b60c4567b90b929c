/* conformance/progress.c: behaviours 75 and 76: progress, and histograms of waiting and running time. */
#include "support/pools.h"

static int works(void *arg)
{
    skua_sleep(SKUA_US(200));
    return *(int *)arg;
}

/* The rate is a mean, over a time between these two (ns), and what is left follows from it. */
static void expect_right(const skua_progress *p, uint64_t at_least, uint64_t at_most)
{
    double ended = (double)p->ended, second = (double)SKUA_S(1), whole = (double)(p->total - p->ended);
    if (at_most > SKUA_S(5)) return; /* from then on it is a weighted one */
    SK_EXPECT(p->rate >= ended / (double)at_most * second * 0.999);
    SK_EXPECT(at_least == 0 || p->rate <= ended / (double)at_least * second * 1.001);
    if (p->rate > 0) SK_EXPECT((double)p->left >= whole / p->rate * second * 0.999 - 1);
    if (p->rate > 0) SK_EXPECT((double)p->left <= whole / p->rate * second * 1.001 + 1);
}

SK_TEST(conformance, s75_progress_by_query)
{
    enum { N = 40 };
    int good = 0, bad = -EIO;
    skua_pool *pool = SK_POOL(.limit = 4);
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_pool_expect(pool, 2 * N), 0);
    uint64_t begun = skua_now(), since;
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit(pool, works, i % 4 ? &good : &bad), 0);
    skua_progress p;
    for (uint64_t ended = 0; ended < N; ended = p.ended) {
        since = skua_now();
        SK_EXPECT_EQ(skua_progress_of(pool, &p), 0);
        SK_EXPECT(p.ended >= ended && p.ended <= N);
        expect_right(&p, since - begun, skua_now() - before);
        SK_EXPECT_EQ(p.total, 2 * N);
        SK_EXPECT((p.rate > 0) == (p.left != SKUA_FOREVER));
        SK_EXPECT(p.ended == 0 || p.rate > 0);
        skua_sleep(SKUA_US(100));
    }
    SK_EXPECT_EQ(p.failed, N / 4);
    SK_EXPECT_EQ(p.done, N - N / 4);
    SK_EXPECT(p.rate > 0 && p.left > 0);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit(pool, works, &good), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_progress_of(pool, &p), 0);
    SK_EXPECT_EQ(p.ended, p.total);
    SK_EXPECT_EQ(p.left, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

typedef struct bar {
    sk_gate drawn;
    uint64_t ended, total, left;
} bar;

static void draw(void *ctx, const skua_progress *p)
{
    bar *b = ctx;
    SK_EXPECT(p->ended >= b->ended && p->total >= b->total);
    b->ended = p->ended;
    b->total = p->total;
    b->left = p->left;
    sk_gate_add(&b->drawn);
}

SK_TEST(conformance, s75_progress_by_callback)
{
    enum { N = 100 };
    int good = 0;
    bar b = {0};
    skua_reporter reporter;
    skua_pool *pool = SK_POOL(.limit = 2);
    SK_EXPECT_EQ(skua_progress_start(&reporter, pool, SKUA_MS(1), draw, &b, NULL), 0);
    SK_EXPECT_EQ(skua_pool_expect(pool, N), 0);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit(pool, works, &good), 0);
    sk_pool_await(pool);
    SK_EXPECT(sk_gate_await(&b.drawn, 3));
    SK_EXPECT_EQ(skua_progress_stop(&reporter), 0);
    uint32_t drawn = sk_gate_now(&b.drawn);
    SK_EXPECT_EQ(b.ended, N); /* the last call has seen the end */
    SK_EXPECT_EQ(b.total, N);
    SK_EXPECT_EQ(b.left, 0);
    skua_sleep(SKUA_MS(5));
    SK_EXPECT_EQ(sk_gate_now(&b.drawn), drawn);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* Half of the tasks wait behind a gate that the test keeps shut for a time that it measures. */
SK_TEST(conformance, s76_histograms_of_waiting_and_running_time)
{
    enum { N = 10 };
    uint64_t begun = skua_now();
    skua_pool *pool = SK_POOL(.limit = N, .measure = true);
    sk_stay s = {0};
    sk_occupy(pool, &s, N);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    uint64_t since = skua_now();
    skua_sleep(SKUA_MS(20));
    uint64_t shut = skua_now() - since;
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    skua_pool_counts c;
    skua_histogram waiting, running;
    SK_EXPECT_EQ(skua_pool_snapshot(pool, &c, &waiting, &running), 0);
    SK_EXPECT_EQ(waiting.count, c.submitted);
    SK_EXPECT_EQ(running.count, c.done);
    SK_EXPECT_EQ(c.done, 2 * N);
    SK_EXPECT(skua_histogram_quantile(&waiting, 0.55) >= shut); /* the slower half waited so long at least */
    SK_EXPECT(skua_histogram_quantile(&running, 0.55) >= shut); /* and those before them ran so long */
    SK_EXPECT(waiting.max >= shut && running.max >= shut);
    uint64_t all = skua_now() - begun;
    SK_EXPECT(waiting.max <= all && running.max <= all);
    SK_EXPECT(waiting.sum >= N * shut && running.sum >= N * shut);
    SK_EXPECT(waiting.sum + running.sum <= 2 * N * all); /* none waits and runs at the same time */
    SK_EXPECT(skua_histogram_mean(&running) * 2 >= (double)shut);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}
