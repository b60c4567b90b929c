/* unit/pool_times.c: histograms, and those of measured pools. */
#include "support/pools.h"

#include "base/fault.h"
#include "pool/pool.h"
#include "pool/times.h"

#include <string.h>

/* ---- histograms ---- */

SK_TEST(pool_times, each_duration_has_the_bucket_that_its_bounds_say)
{
    SK_EXPECT_EQ(skua_histogram_bound(0), 0);
    for (uint32_t i = 0; i + 1 < SKUA_HISTOGRAM_BUCKETS; i++) {
        uint64_t first = skua_histogram_bound(i), next = skua_histogram_bound(i + 1);
        SK_EXPECT(first < next);
        SK_EXPECT(next - first == 1 || (next - first) * 8 <= first); /* the error that the header promises */
        SK_EXPECT_EQ(sk_times_bucket(first), i);
        SK_EXPECT_EQ(sk_times_bucket(next - 1), i);
    }
    SK_EXPECT(skua_histogram_bound(SKUA_HISTOGRAM_BUCKETS - 1) < UINT64_C(1) << 42);
    SK_EXPECT_EQ(sk_times_bucket((UINT64_C(1) << 42) - 1), SKUA_HISTOGRAM_BUCKETS - 1);
    SK_EXPECT_EQ(sk_times_bucket(UINT64_C(1) << 42), SKUA_HISTOGRAM_BUCKETS - 1);
    SK_EXPECT_EQ(sk_times_bucket(UINT64_MAX), SKUA_HISTOGRAM_BUCKETS - 1);
    SK_EXPECT(skua_histogram_bound(SKUA_HISTOGRAM_BUCKETS) == UINT64_MAX);
}

SK_TEST(pool_times, an_empty_histogram_says_nothing)
{
    skua_histogram h = {0};
    SK_EXPECT_EQ(skua_histogram_quantile(&h, 0.5), 0);
    SK_EXPECT(skua_histogram_mean(&h) == 0);
    SK_EXPECT_EQ(skua_histogram_quantile(NULL, 0.5), 0);
    SK_EXPECT(skua_histogram_mean(NULL) == 0);
    skua_histogram_add(NULL, 1);
    skua_histogram_merge(NULL, &h);
    skua_histogram_merge(&h, NULL);
    skua_histogram_merge(&h, &(skua_histogram){0});
    SK_EXPECT_EQ(h.count + h.sum + h.min + h.max, 0);
}

/* Never less than the true one, at most an eighth more, whatever the durations. */
SK_TEST(pool_times, quantiles_are_at_most_an_eighth_too_much)
{
    enum { N = 1000 };
    static const double shares[] = {0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    for (uint32_t shift = 0; shift <= 30; shift += 5) {
        skua_histogram h = {0};
        for (uint64_t i = 1; i <= N; i++) skua_histogram_add(&h, i << shift);
        SK_EXPECT_EQ(h.count, N);
        SK_EXPECT_EQ(h.min, UINT64_C(1) << shift);
        SK_EXPECT_EQ(h.max, (uint64_t)N << shift);
        SK_EXPECT(skua_histogram_mean(&h) == 500.5 * (double)(UINT64_C(1) << shift));
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
            uint64_t rank = (uint64_t)(shares[i] * N + 0.5);
            uint64_t exact = (rank ? rank : 1) << shift, got = skua_histogram_quantile(&h, shares[i]);
            SK_EXPECT(got >= exact && got <= exact + exact / 8);
        }
    }
}

SK_TEST(pool_times, quantiles_of_odd_shares_and_of_what_is_beyond_the_last_bucket)
{
    skua_histogram h = {0};
    skua_histogram_add(&h, 7);
    skua_histogram_add(&h, UINT64_C(1) << 50);
    SK_EXPECT_EQ(skua_histogram_quantile(&h, 0.5), 7);
    SK_EXPECT_EQ(skua_histogram_quantile(&h, -3), 7);
    SK_EXPECT_EQ(skua_histogram_quantile(&h, strtod("nan", NULL)), 7);
    SK_EXPECT_EQ(skua_histogram_quantile(&h, 0.51), UINT64_C(1) << 50);
    SK_EXPECT_EQ(skua_histogram_quantile(&h, 17), UINT64_C(1) << 50);
    skua_histogram one = {0};
    skua_histogram_add(&one, 1000003); /* alone in a wide bucket: exact, by min and max */
    SK_EXPECT_EQ(skua_histogram_quantile(&one, 0.5), 1000003);
}

SK_TEST(pool_times, merged_histograms_are_as_one)
{
    skua_histogram all = {0}, odd = {0}, even = {0};
    for (uint64_t i = 3; i < 5000; i++) {
        skua_histogram_add(&all, i * i);
        skua_histogram_add(i % 2 ? &odd : &even, i * i);
    }
    skua_histogram merged = {0};
    skua_histogram_merge(&merged, &odd);
    skua_histogram_merge(&merged, &even);
    SK_EXPECT_EQ(memcmp(&merged, &all, sizeof all), 0);
    skua_histogram_merge(&merged, &merged);
    SK_EXPECT_EQ(merged.count, 2 * all.count);
    SK_EXPECT_EQ(merged.min, all.min);
}

/* ---- those of a pool ---- */

typedef struct times {
    skua_histogram waiting, running;
    skua_pool_counts counts;
} times;

/* What is in the buckets is in the rest, though that may be ahead. */
static void check_histogram(const skua_histogram *h)
{
    uint64_t n = 0, least = 0;
    for (uint32_t i = 0; i < SKUA_HISTOGRAM_BUCKETS; i++) {
        n += h->buckets[i];
        least += h->buckets[i] * skua_histogram_bound(i);
        if (h->buckets[i]) SK_EXPECT(skua_histogram_bound(i) <= h->max && h->min < skua_histogram_bound(i + 1));
    }
    SK_EXPECT_EQ(n, h->count);
    SK_EXPECT(h->sum >= least);
    SK_EXPECT(h->count || h->sum + h->min + h->max == 0);
}

/* A snapshot, with all that must hold in each; *agrees: whether it was one. */
static times snapshot(skua_pool *pool, bool *agrees)
{
    times t;
    int error = skua_pool_snapshot(pool, &t.counts, &t.waiting, &t.running);
    SK_EXPECT(error == 0 || error == -EAGAIN);
    if (agrees) *agrees = error == 0;
    const skua_pool_counts *c = &t.counts;
    SK_EXPECT_EQ(c->submitted, c->queued + c->running + c->done + c->failed + c->cancelled + c->expired + c->dropped);
    check_histogram(&t.waiting);
    check_histogram(&t.running);
    SK_EXPECT(t.running.count <= t.waiting.count + c->retried);
    if (error) return t;
    SK_EXPECT(c->done + c->failed <= t.running.count);
    SK_EXPECT(t.waiting.count <= c->submitted);
    return t;
}

/* At rest all of it is exact. */
static times at_rest(skua_pool *pool, uint64_t started)
{
    bool agrees;
    times t = snapshot(pool, &agrees);
    SK_EXPECT(agrees);
    SK_EXPECT_EQ(t.waiting.count, started);
    SK_EXPECT_EQ(t.running.count, started + t.counts.retried);
    SK_EXPECT(t.waiting.sum <= t.waiting.max * t.waiting.count && t.waiting.sum >= t.waiting.min * t.waiting.count);
    SK_EXPECT(t.running.sum <= t.running.max * t.running.count && t.running.sum >= t.running.min * t.running.count);
    return t;
}

SK_TEST(pool_times, what_is_not_measured_says_so_and_bad_input_too)
{
    skua_histogram h;
    skua_pool_counts c;
    skua_pool *pool = SK_POOL(.limit = 1), *measured = SK_POOL(.limit = 1, .measure = true);
    SK_EXPECT_EQ(skua_pool_times(pool, &h, &h), -ENOTSUP);
    SK_EXPECT_EQ(skua_pool_snapshot(pool, &c, &h, &h), -ENOTSUP);
    SK_EXPECT_EQ(skua_pool_times(NULL, &h, &h), -EINVAL);
    SK_EXPECT_EQ(skua_pool_times(measured, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_times(measured, &h, NULL), 0);
    SK_EXPECT_EQ(h.count + h.sum + h.min + h.max, 0);
    SK_EXPECT_EQ(skua_pool_times(measured, NULL, &h), 0);
    SK_EXPECT_EQ(skua_pool_snapshot(NULL, &c, &h, &h), -EINVAL);
    SK_EXPECT_EQ(skua_pool_snapshot(measured, NULL, &h, &h), -EINVAL);
    SK_EXPECT_EQ(skua_pool_snapshot(measured, &c, NULL, &h), -EINVAL);
    SK_EXPECT_EQ(skua_pool_snapshot(measured, &c, &h, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_stop(measured, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_times(measured, &h, &h), 0); /* stopped: still there */
    SK_EXPECT_EQ(skua_pool_release(measured), 0);
    SK_EXPECT_EQ(skua_pool_times(measured, &h, &h), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_snapshot(measured, &c, &h, &h), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* A gate of known time before the tasks may start, and one before they may end. */
SK_TEST(pool_times, waiting_and_running_are_at_least_what_the_gates_took)
{
    enum { N = 5 };
    skua_pool *pool = SK_POOL(.limit = N, .measure = true);
    sk_stay s = {0};
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    uint64_t before = skua_now();
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    uint64_t submitted = skua_now();
    skua_sleep(SKUA_MS(20));
    times t = snapshot(pool, NULL);
    SK_EXPECT_EQ(t.waiting.count + t.running.count, 0);
    uint64_t shut = skua_now() - submitted;
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT(sk_gate_await(&s.entered, N));
    uint64_t entered = skua_now();
    t = snapshot(pool, NULL);
    SK_EXPECT_EQ(t.waiting.count, N);
    SK_EXPECT_EQ(t.running.count, 0);
    SK_EXPECT(t.waiting.min >= shut);
    skua_sleep(SKUA_MS(20));
    uint64_t held = skua_now() - entered;
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    uint64_t all = skua_now() - submitted;
    t = at_rest(pool, N);
    SK_EXPECT(t.running.min >= held);
    SK_EXPECT(t.running.max <= all - shut && t.waiting.max <= all - held + (submitted - before));
    SK_EXPECT(skua_histogram_quantile(&t.running, 0.5) >= held);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

static int nap_1ms(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_MS(1));
}

/* Waiting for room counts as waiting. */
SK_TEST(pool_times, a_submitter_that_waits_for_room_is_waiting_time)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE, .measure = true);
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    sk_submitter second = {pool, nap_1ms, NULL, 1};
    skua_task task = sk_spawn_on(rt, sk_submits, &second);
    SK_EVENTUALLY(sk_counts_of(pool).waiting == 1);
    uint64_t since = skua_now();
    skua_sleep(SKUA_MS(10));
    uint64_t stood = skua_now() - since;
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_join(task, NULL), 0);
    sk_pool_await(pool);
    times t = at_rest(pool, 2);
    SK_EXPECT(t.waiting.max >= stood);
    SK_EXPECT(t.running.min >= SKUA_MS(1));
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int fails_twice(void *arg)
{
    sk_gate_add((sk_gate *)arg);
    return sk_gate_now((sk_gate *)arg) < 3 ? -EIO : 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    skua_panic_task("measured");
}

/* Every way to submit, and every end of a task that has started. */
SK_TEST(pool_times, every_way_in_is_measured_once)
{
    skua_pool *pool = SK_POOL(.limit = 4, .measure = true, .fn = sk_give_0);
    skua_task task;
    skua_future future;
    int result, five = -5;
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_invoke(pool, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit_batch(pool, 3, sk_give_0, NULL), 3);
    SK_EXPECT_EQ(skua_pool_run(pool, sk_gives, &five, &result), 0);
    SK_EXPECT_EQ(result, -5);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, NULL, sk_gives, &five), 0);
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, -5);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &future, NULL, sk_gives, &five), 0);
    SK_EXPECT_EQ(skua_future_wait(future, SKUA_FOREVER, &result), 0);
    SK_EXPECT_EQ(result, -5);
    SK_EXPECT_EQ(skua_future_release(future), 0);
    sk_pool_await(pool);
    times t = at_rest(pool, 9);
    SK_EXPECT_EQ(t.counts.done, 6);
    SK_EXPECT_EQ(t.counts.failed, 3);
    SK_EXPECT_EQ(skua_pool_submit(pool, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

SK_TEST(pool_times, each_attempt_has_run_and_one_that_gave_up_too)
{
    skua_pool *pool = SK_POOL(.limit = 4, .measure = true);
    sk_gate runs = 0, later_runs = 0;
    skua_submit_options at_once = {.retry = {.times = 5}}, later = {.retry = {.times = 5, .backoff = SKUA_MS(2)}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &at_once, fails_twice, &runs), 0);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &later, fails_twice, &later_runs), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, gives_up, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &(skua_submit_options){.retry = {.times = 1}}, gives_up, NULL), 0);
    sk_pool_await(pool);
    times t = at_rest(pool, 4);
    SK_EXPECT_EQ(t.counts.retried, 5);
    SK_EXPECT_EQ(t.running.count, 9);
    SK_EXPECT_EQ(t.counts.failed, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* What never started is in no histogram. */
SK_TEST(pool_times, what_never_starts_is_not_measured)
{
    skua_pool *pool = SK_POOL(.limit = 1, .queue = 4, .measure = true);
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    skua_task cancelled;
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &cancelled, NULL, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_cancel(cancelled), 0);
    SK_EXPECT_EQ(skua_detach(cancelled), 0);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &(skua_submit_options){.start_within = SKUA_US(1)}, sk_give_0, NULL),
                 0);
    skua_sleep(SKUA_MS(1));
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    times t = at_rest(pool, 1);
    SK_EXPECT_EQ(t.counts.cancelled, 1);
    SK_EXPECT_EQ(t.counts.expired, 1);
    sk_stay last = {0};
    sk_occupy(pool, &last, 1);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_stop_now(pool, 0), -ETIMEDOUT);
    sk_gate_add(&last.leave);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    t = at_rest(pool, 2);
    SK_EXPECT_EQ(t.counts.dropped, 3);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

SK_TEST(pool_times, a_subpool_of_a_measured_pool_is_in_its_times)
{
    skua_pool *pool = SK_POOL(.limit = 4, .measure = true), *sub = SK_POOL(.parent = pool, .limit = 2);
    skua_pool *plain = SK_POOL(.limit = 4), *measured = SK_POOL(.parent = plain, .measure = true);
    skua_histogram h;
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit(sub, sk_give_0, NULL), 0);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(measured, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    sk_pool_await(plain);
    at_rest(sub, 10);
    at_rest(pool, 15);
    at_rest(measured, 3);
    SK_EXPECT_EQ(skua_pool_times(plain, &h, NULL), -ENOTSUP);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    at_rest(pool, 15);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_pool_release(measured), 0);
    SK_EXPECT_EQ(skua_pool_release(plain), 0);
}

/* Groups of a measured pool are subpools of it. */
SK_TEST(pool_times, groups_of_a_measured_pool_are_in_its_times)
{
    skua_pool *pool = SK_POOL(.limit = 4, .measure = true);
    skua_group *group;
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.pool = pool}), 0);
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_group_go(group, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_group_wait(group, NULL), 0);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    at_rest(pool, 10);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* The submitter's own runs: attempts, subpools, failures. */
SK_TEST(pool_times, what_the_submitter_runs_is_measured)
{
    skua_pool *pool = SK_POOL(.limit = 8, .measure = true);
    skua_pool *sub = SK_POOL(.parent = pool, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
    sk_stay s = {0};
    sk_gate runs = 0;
    sk_occupy(sub, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(sub, sk_stays, &s), 0); /* fills the queue */
    SK_EXPECT_EQ(skua_pool_submit(sub, nap_1ms, NULL), 0);
    skua_submit_options again = {.retry = {.times = 5}};
    SK_EXPECT_EQ(skua_pool_submit_with(sub, NULL, &again, fails_twice, &runs), 0);
    SK_EXPECT_EQ(sk_gate_now(&runs), 3);
    times t = snapshot(sub, NULL);
    SK_EXPECT_EQ(t.waiting.count, 3);
    SK_EXPECT_EQ(t.running.count, 4);
    SK_EXPECT(t.running.max >= SKUA_MS(1));
    sk_gate_add(&s.leave);
    sk_pool_await(sub);
    at_rest(sub, 4);
    at_rest(pool, 4);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

#ifdef SK_FAULTS
SK_TEST(pool_times, a_measured_pool_needs_memory)
{
    skua_pool *parent = SK_POOL(.measure = true), *none;
    int error = -ENOMEM;
    for (uint64_t nth = 1; error == -ENOMEM; nth++) {
        sk_fault_arm(SK_FAULT_MALLOC, nth, false);
        error = skua_pool_create(&none, &(skua_pool_options){.limit = 1, .parent = parent});
        SK_EXPECT((error == 0) == (none != NULL));
        SK_EXPECT(error != 0 || nth > 1); /* it asks the heap at least for the histograms */
        sk_fault_reset();
    }
    SK_EXPECT_EQ(error, 0);
    SK_EXPECT_EQ(skua_pool_release(none), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0); /* -EBUSY if a refused one were counted */
}
#endif

/* ---- under load ---- */

typedef struct mill {
    skua_pool *pool, *sub;
    sk_gate over;
    sk_atomic(uint64_t) accepted, entered, left;
} mill;

static int grind(void *arg)
{
    mill *m = arg;
    uint64_t turn = sk_add_rlx(&m->entered, UINT64_C(1));
    if (turn % 8 == 0) skua_sleep(SKUA_US(10));
    sk_add_ar(&m->left, UINT64_C(1));
    return turn % 3 ? 0 : -EIO;
}

/* Plain ones, by futures, with attempts at once and later, some that expire, through the pool and its subpool. */
static void *work(void *arg)
{
    mill *m = arg;
    skua_submit_options options[] = {
        {.start_within = SKUA_US(20)}, {.retry = {.times = 2}}, {.retry = {.times = 2, .backoff = SKUA_US(50)}}, {0}};
    for (uint64_t i = 0; !sk_gate_now(&m->over); i++) {
        skua_pool *pool = i % 2 ? m->pool : m->sub;
        int error =
            i % 4 ? skua_pool_submit(pool, grind, m) : skua_pool_submit_with(pool, NULL, &options[i / 4 % 4], grind, m);
        if (error == 0) sk_add_rlx(&m->accepted, UINT64_C(1));
        if (i % 500 == 499) skua_pool_cancel(m->sub);
    }
    return NULL;
}

static void check_growth(const times *now, const times *last)
{
    SK_EXPECT(now->waiting.count >= last->waiting.count && now->running.count >= last->running.count);
    for (int i = 0; i < SKUA_HISTOGRAM_BUCKETS; i++) {
        SK_EXPECT(now->waiting.buckets[i] >= last->waiting.buckets[i]);
        SK_EXPECT(now->running.buckets[i] >= last->running.buckets[i]);
    }
}

static void run_mill(skua_when_full when_full, skua_when_full when_sub_full)
{
    static times last, last_of_sub;
    skua_runtime *rt = sk_runtime_of(2);
    mill m = {.pool = SK_POOL(.runtime = rt, .limit = 4, .queue = 16, .when_full = when_full, .measure = true)};
    m.sub = SK_POOL(.parent = m.pool, .limit = 2, .queue = 16, .when_full = when_sub_full);
    memset(&last, 0, sizeof last);
    memset(&last_of_sub, 0, sizeof last_of_sub);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, work, &m), 0);
    long n = sk_test_scaled(5000), agreed = 0;
    uint64_t begun = skua_now();
    for (; (n > 0 && skua_now() - begun < SKUA_S(5)) || (!agreed && skua_now() - begun < SKUA_MS(SK_PATIENCE_MS));
         n--) {
        bool agrees;
        times t = snapshot(m.pool, &agrees);
        check_growth(&t, &last);
        last = t;
        agreed += agrees;
        t = snapshot(m.sub, &agrees);
        check_growth(&t, &last_of_sub);
        last_of_sub = t;
    }
    sk_gate_add(&m.over);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    SK_EXPECT(agreed > 0);
    sk_pool_await(m.pool);
    bool agrees;
    times t = snapshot(m.pool, &agrees);
    SK_EXPECT(agrees);
    SK_EXPECT_EQ(t.counts.submitted, sk_load_rlx(&m.accepted));
    SK_EXPECT_EQ(t.running.count, sk_load_rlx(&m.left));
    SK_EXPECT_EQ(t.waiting.count + t.counts.retried, sk_load_rlx(&m.entered));
    at_rest(m.pool, t.waiting.count);
    SK_EXPECT_EQ(skua_pool_release(m.sub), 0);
    SK_EXPECT_EQ(skua_pool_release(m.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_times, snapshots_under_load_agree)
{
    run_mill(SKUA_FULL_WAIT, SKUA_FULL_DROP_OLDEST);
}

SK_TEST(pool_times, snapshots_under_load_agree_when_submitters_run_tasks)
{
    run_mill(SKUA_FULL_RUN, SKUA_FULL_RUN);
}

/* As if somebody had lost his processor for good on his way back into the queue: nobody waits for him without end. */
SK_TEST(pool_times, a_snapshot_beside_one_who_never_comes_is_given_up)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .measure = true);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    sk_pool_begin_step(pool);
    static times t;
    SK_EXPECT_EQ(skua_pool_snapshot(pool, &t.counts, &t.waiting, &t.running), -EAGAIN);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 3); /* without the times: what was seen last */
    sk_pool_end_steps(pool, 1);
    at_rest(pool, 3);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
