/* conformance/submission.c: behaviours 1 to 10: submitting. */
#include "support/pools.h"

SK_TEST(conformance, s01_a_hundred_thousand_through_a_limit_of_a_thousand)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1000);
    sk_crowd c = {.nap = SKUA_US(100)};
    uint32_t n = (uint32_t)sk_test_scaled(100000);
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_join_crowd, &c), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(sk_gate_now(&c.ran), n);
    SK_EXPECT(c.most <= 1000);
    SK_EXPECT_EQ(sk_counts_of(pool).done, n);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static uint32_t workers_of(skua_runtime *rt)
{
    return sk_stats_of(rt).workers;
}

SK_TEST(conformance, s02_submitting_after_idle_workers_were_retired)
{
    skua_runtime *rt;
    skua_runtime_options o = {1, 4, 0, SKUA_ADJUST_BACKLOG, SKUA_MS(1)};
    SK_EXPECT_EQ(skua_runtime_create(&rt, &o), 0);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 100);
    for (int round = 0; round < 3; round++) {
        sk_holder holder = {0};
        sk_gate ran = 0;
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_hold, &holder), 0);
        for (int i = 0; i < 50; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        SK_EVENTUALLY(workers_of(rt) > 1);
        sk_gate_add(&holder.release);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 50);
        SK_EVENTUALLY(workers_of(rt) == 1);
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 51);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct addend {
    sk_atomic(uint64_t) * sum;
    uint64_t n;
} addend;

static int add(void *arg)
{
    addend *a = arg;
    sk_add_rlx(a->sum, a->n);
    return 0;
}

SK_TEST(conformance, s03_a_thousand_tasks_sum_to_499500)
{
    static addend addends[1000];
    sk_atomic(uint64_t) sum = 0;
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 10);
    for (uint64_t i = 0; i < 1000; i++) {
        addends[i] = (addend){&sum, i};
        SK_EXPECT_EQ(skua_pool_submit(pool, add, &addends[i]), 0);
    }
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_load_rlx(&sum), 499500);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s04_nonblocking_refuses_and_accepts_when_a_slot_frees)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int policy = 0; policy < 2; policy++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE,
                                  .when_full = policy ? SKUA_FULL_REFUSE : SKUA_FULL_WAIT);
        int (*submit)(skua_pool *, skua_fn *, void *) = policy ? skua_pool_submit : skua_pool_try_submit;
        sk_stay s = {0};
        sk_gate ran = 0;
        sk_occupy(pool, &s, 1);
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(submit(pool, sk_open, &ran), -EAGAIN);
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(submit(pool, sk_open, &ran), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(sk_counts_of(pool).refused, 3);
        SK_EXPECT_EQ(sk_counts_of(pool).submitted, 2);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s05_one_may_wait_the_second_is_refused_at_once)
{
    static const uint32_t queues[] = {SKUA_POOL_NO_QUEUE, 1};
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 2; i++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = queues[i], .waiters = 1);
        sk_stay s = {0};
        sk_gate ran = 0;
        sk_occupy(pool, &s, 1);
        if (i) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        sk_submitter first = {pool, sk_open, &ran, 1};
        skua_task t = sk_spawn_on(rt, sk_submits, &first);
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 1);
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), -EAGAIN);
        SK_EXPECT_EQ(first.got, 1);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(first.got, 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1u + (uint32_t)i);
        SK_EXPECT_EQ(sk_counts_of(pool).waiting, 0);
        SK_EXPECT_EQ(sk_counts_of(pool).refused, 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct inner {
    skua_pool *pool;
    sk_gate ran;
    uint32_t n, depth;
} inner;

static int submit_and_wait_below(void *arg)
{
    inner *in = arg;
    int result = -1;
    sk_gate_add(&in->ran);
    if (in->depth == 0) return 0;
    inner below = {.pool = in->pool, .depth = in->depth - 1};
    SK_EXPECT_EQ(skua_pool_run(in->pool, submit_and_wait_below, &below, &result), 0);
    SK_EXPECT_EQ(result, (int)below.depth);
    SK_EXPECT_EQ(sk_gate_now(&below.ran), 1);
    return (int)in->depth;
}

static int submit_many(void *arg)
{
    inner *in = arg;
    for (uint32_t i = 0; i < in->n; i++) SK_EXPECT_EQ(skua_pool_submit(in->pool, sk_open, &in->ran), 0);
    return 0;
}

SK_TEST(conformance, s06_without_a_limit_a_task_submits_to_its_own_pool_and_waits)
{
    for (uint32_t workers = 1; workers <= 2; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        skua_pool *pool = SK_POOL(.runtime = rt);
        inner in = {.pool = pool, .depth = 20};
        int result = -1;
        SK_EXPECT_EQ(skua_pool_run(pool, submit_and_wait_below, &in, &result), 0);
        SK_EXPECT_EQ(result, 20);
        /* More than its queue holds: there are slots for all of them. */
        inner many = {.pool = pool, .n = 5000};
        SK_EXPECT_EQ(skua_pool_submit(pool, submit_many, &many), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&many.ran), 5000);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

static int create(skua_pool_options o)
{
    skua_pool *pool = (skua_pool *)&o;
    int error = skua_pool_create(&pool, &o);
    SK_EXPECT((error == 0) == (pool != NULL));
    if (pool) SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return error;
}

static void hear_nothing(void *ctx, void *arg, int result)
{
    (void)ctx;
    (void)arg;
    (void)result;
}

static const skua_locker no_locker; /* no functions */

#define CREATE(...) create((skua_pool_options){.runtime = rt, __VA_ARGS__})

SK_TEST(conformance, s07_each_bad_option_has_its_own_error)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    skua_pool *parent = SK_POOL(.runtime = other);
    SK_EXPECT_EQ(CREATE(.limit = (uint32_t)SKUA_POOL_LIMIT_MAX + 1), -ERANGE);
    SK_EXPECT_EQ(CREATE(.limit = (uint32_t)-1), -ERANGE);
    SK_EXPECT_EQ(CREATE(.queue = SKUA_POOL_QUEUE_MAX + 1), -EOVERFLOW);
    SK_EXPECT_EQ(CREATE(.queue = UINT32_MAX - 1), -EOVERFLOW);
    SK_EXPECT_EQ(CREATE(.levels = SKUA_POOL_LEVELS_MAX + 1), -EDOM);
    SK_EXPECT_EQ(CREATE(.when_full = (skua_when_full)4), -EINVAL);
    SK_EXPECT_EQ(CREATE(.when_full = (skua_when_full)-1), -EINVAL);
    SK_EXPECT_EQ(CREATE(.queue = SKUA_POOL_NO_QUEUE, .levels = 2), -ENOTSUP);
    SK_EXPECT_EQ(CREATE(.queue = SKUA_POOL_NO_QUEUE, .when_full = SKUA_FULL_DROP_OLDEST), -ENOTSUP);
    for (int policy = SKUA_FULL_REFUSE; policy <= SKUA_FULL_RUN; policy++) {
        SK_EXPECT_EQ(CREATE(.when_full = (skua_when_full)policy, .waiters = 1), -ENOTSUP);
        SK_EXPECT_EQ(CREATE(.when_full = (skua_when_full)policy, .wait_at_most = 1), -ENOTSUP);
        SK_EXPECT_EQ(CREATE(.when_full = (skua_when_full)policy), 0);
    }
    SK_EXPECT_EQ(CREATE(.parent = parent), -ENOTSUP);
    SK_EXPECT_EQ(CREATE(.order = (skua_order)2), -EINVAL);
    SK_EXPECT_EQ(CREATE(.queue = SKUA_POOL_NO_QUEUE, .order = SKUA_ORDER_DEADLINE), -ENOTSUP);
    SK_EXPECT_EQ(CREATE(.when_full = SKUA_FULL_DROP_OLDEST, .order = SKUA_ORDER_DEADLINE), -ENOTSUP);
    SK_EXPECT_EQ(CREATE(.on_fault = (skua_fault_policy)3), -EINVAL);
    SK_EXPECT_EQ(CREATE(.start_within = 2, .finish_within = 1), -ENOTSUP);
    SK_EXPECT_EQ(CREATE(.start_within = 1, .finish_within = 1), 0);
    SK_EXPECT_EQ(CREATE(.retry = {.backoff = 1}), -ENOTSUP);
    SK_EXPECT_EQ(CREATE(.retry = {.times = 1, .jitter = 101}), -EINVAL);
    SK_EXPECT_EQ(CREATE(.retry = {.times = 1, .jitter = 100}), 0);
    SK_EXPECT_EQ(CREATE(.ended = {.fn = hear_nothing, .locker = &no_locker}), -EINVAL);
    SK_EXPECT_EQ(skua_pool_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(CREATE(.limit = SKUA_POOL_LIMIT_MAX, .levels = SKUA_POOL_LEVELS_MAX, .waiters = 1), 0);
    SK_EXPECT_EQ(CREATE(.queue = SKUA_POOL_NO_QUEUE, .levels = 1), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct slow {
    bool over;
    int result;
} slow;

static int take_time(void *arg)
{
    slow *s = arg;
    skua_sleep(SKUA_MS(2));
    s->over = true;
    return s->result;
}

SK_TEST(conformance, s08_submit_and_wait_returns_after_the_task_has_run)
{
    static const int results[] = {0, 7, -EIO};
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    for (int i = 0; i < 30; i++) {
        slow s = {.result = results[i % 3]};
        int result = 1;
        SK_EXPECT_EQ(skua_pool_run(pool, take_time, &s, &result), 0);
        SK_EXPECT(s.over);
        SK_EXPECT_EQ(result, s.result);
    }
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 20);
    SK_EXPECT_EQ(sk_counts_of(pool).failed, 10);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s09_a_task_with_a_start_deadline_is_skipped_when_late)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_submit_options soon = {.start_within = SKUA_MS(5)}, some_day = {.start_within = SKUA_S(3600)};
    sk_stay s = {0};
    sk_gate late = 0, in_time = 0;
    skua_task a, b;
    int result = 1;
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &a, &soon, sk_open, &late), 0);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &b, &some_day, sk_open, &in_time), 0);
    skua_sleep(SKUA_MS(10));
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_join(a, &result), 0);
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    SK_EXPECT_EQ(skua_join(b, &result), 0);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(sk_gate_now(&late), 0);
    SK_EXPECT_EQ(sk_gate_now(&in_time), 1);
    SK_EXPECT_EQ(sk_counts_of(pool).expired, 1);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s10_a_default_pool_without_any_set_up)
{
    sk_gate ran = 0;
    int bad = -EIO, result = 1;
    skua_pool *pool = skua_pool_default();
    SK_EXPECT(pool != NULL);
    SK_EXPECT(pool == skua_pool_default());
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_run(pool, sk_gives, &bad, &result), 0);
    SK_EXPECT_EQ(result, -EIO);
    skua_pool *sub = SK_POOL(.parent = pool, .limit = 2);
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), 200);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 200);
    SK_EXPECT_EQ(sk_counts_of(pool).failed, 1);
    SK_EXPECT_EQ(sk_counts_of(sub).done, 100);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    skua_group *group = NULL;
    for (int of_pool = 0; of_pool < 2; of_pool++) {
        SK_EXPECT_EQ(skua_group_create(&group, of_pool ? &(skua_group_options){.pool = pool} : NULL), 0);
        for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_group_go(group, sk_open, &ran), 0);
        SK_EXPECT_EQ(skua_group_wait(group, NULL), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), of_pool ? 400 : 300);
        SK_EXPECT_EQ(skua_group_go(group, sk_gives, &bad), 0);
        SK_EXPECT_EQ(skua_group_wait(group, NULL), -EIO);
        SK_EXPECT_EQ(skua_group_release(group), 0);
    }
    SK_EXPECT_EQ(sk_counts_of(pool).done, 300);
    SK_EXPECT_EQ(sk_counts_of(pool).failed, 2);
    SK_EXPECT_EQ(skua_pool_stop(pool, 0), -EPERM); /* it is everybody's */
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    sk_pool_await(pool);
}
