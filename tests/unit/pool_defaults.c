/* unit/pool_defaults.c: times and retries that a pool gives to each submission that does not say otherwise. */
#include "support/pools.h"

typedef struct tries {
    sk_gate begun;
    int result;
} tries;

static int try_it(void *arg)
{
    tries *t = arg;
    sk_gate_add(&t->begun);
    return -EIO;
}

static int sleep_long(void *arg)
{
    if (arg) sk_gate_add((sk_gate *)arg);
    return skua_sleep(SKUA_S(1000));
}

enum { SUBMIT, TRY, BATCH, INVOKE, WITH, WITH_CALLBACK, FUTURE, RUN, WAYS };

static void ignore(void *ctx, void *given, int result)
{
    (void)given;
    (void)ctx, (void)result;
}

static int submit_somehow(skua_pool *pool, int way, skua_fn *fn, void *arg)
{
    skua_submit_options none = {0}, callback = {.ended = {ignore, NULL, NULL}};
    skua_future f;
    int result;
    switch (way) {
    case SUBMIT:
        return skua_pool_submit(pool, fn, arg);
    case TRY:
        return skua_pool_try_submit(pool, fn, arg);
    case BATCH:
        return skua_pool_submit_batch(pool, 1, fn, &arg) - 1;
    case INVOKE:
        return skua_pool_invoke(pool, arg);
    case WITH:
        return skua_pool_submit_with(pool, NULL, &none, fn, arg);
    case WITH_CALLBACK:
        return skua_pool_submit_with(pool, NULL, &callback, fn, arg);
    case FUTURE:
        result = skua_pool_submit_future(pool, &f, NULL, fn, arg);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        return result;
    default:
        return skua_pool_run(pool, fn, arg, &result);
    }
}

SK_TEST(pool_defaults, every_way_in_gets_the_retries)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int way = 0; way < WAYS; way++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .fn = try_it, .retry = {.times = 2});
        tries t = {0};
        SK_EXPECT_EQ(submit_somehow(pool, way, try_it, &t), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&t.begun), 3);
        SK_EXPECT_EQ(sk_counts_of(pool).retried, 2);
        SK_EXPECT_EQ(sk_counts_of(pool).failed, 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_defaults, every_way_in_gets_the_times)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int way = 0; way < WAYS; way++)
        for (int kind = 0; kind < 2; kind++) {
            skua_pool_options o = {.runtime = rt, .limit = 2, .fn = sleep_long};
            *(kind ? &o.run_within : &o.finish_within) = SKUA_MS(5);
            skua_pool *pool = sk_pool_with(&o);
            SK_EXPECT_EQ(submit_somehow(pool, way, sleep_long, NULL), 0);
            sk_pool_await(pool);
            SK_EXPECT_EQ(sk_counts_of(pool).expired, 1);
            SK_EXPECT_EQ(skua_pool_release(pool), 0);
        }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_defaults, to_start_in_time)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .start_within = SKUA_MS(5));
    sk_stay s = {0};
    sk_gate ran = 0;
    skua_submit_options none = {.start_within = SKUA_FOREVER};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &none, sk_stays, &s), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &none, sk_open, &ran), 0);
    skua_sleep(SKUA_MS(15));
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1);
    SK_EXPECT_EQ(sk_counts_of(pool).expired, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* More, less, or none. */
SK_TEST(pool_defaults, a_submission_may_say_otherwise)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool =
        SK_POOL(.runtime = rt, .run_within = SKUA_MS(1), .finish_within = SKUA_MS(2), .retry = {.times = 2});
    tries more = {0}, none = {0}, task_of = {0};
    skua_submit_options o = {.retry = {.times = 4}, .finish_within = SKUA_FOREVER, .run_within = SKUA_S(1000)};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, try_it, &more), 0);
    o.retry.times = SKUA_NO_RETRY;
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, try_it, &none), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&more.begun), 5);
    SK_EXPECT_EQ(sk_gate_now(&none.begun), 1);
    skua_task task;
    o = (skua_submit_options){.finish_within = SKUA_FOREVER, .run_within = SKUA_FOREVER};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, &o, try_it, &task_of), -ENOTSUP); /* it would be retried */
    o.retry.times = SKUA_NO_RETRY;
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, &o, try_it, &task_of), 0);
    int result = 0;
    SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -EIO);
    SK_EXPECT_EQ(sk_gate_now(&task_of.begun), 1);
    sk_gate slept = 0;
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sleep_long, &slept), 0); /* and is not late */
    SK_EXPECT(sk_gate_await(&slept, 1));
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(10)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_cancel(pool), 1);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).cancelled, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* "None" means that in a pool without defaults, too. */
SK_TEST(pool_defaults, none_is_none)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .start_within = SKUA_FOREVER, .finish_within = SKUA_FOREVER,
                              .run_within = SKUA_FOREVER, .retry = {.times = SKUA_NO_RETRY});
    for (int job = 0; job < 2; job++) {
        tries t = {0};
        skua_future f;
        int result = 0;
        skua_submit_options o = {.admit_within = SKUA_FOREVER,
                                 .start_within = SKUA_FOREVER,
                                 .finish_within = SKUA_FOREVER,
                                 .run_within = SKUA_FOREVER,
                                 .retry = {.times = SKUA_NO_RETRY}};
        if (job) o.ended.fn = ignore;
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, try_it, &t), 0);
        SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, -EIO);
        SK_EXPECT_EQ(sk_gate_now(&t.begun), 1);
        SK_EXPECT_EQ(skua_future_release(f), 0);
    }
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).retried, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A subpool has its own, or none. */
SK_TEST(pool_defaults, are_not_inherited)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .retry = {.times = 2}), *child = SK_POOL(.parent = parent);
    tries t = {0};
    SK_EXPECT_EQ(skua_pool_submit(child, try_it, &t), 0);
    sk_pool_await(parent);
    SK_EXPECT_EQ(sk_gate_now(&t.begun), 1);
    SK_EXPECT_EQ(skua_pool_release(child), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Policies hold for those, too: a try does not wait, nor run. */
SK_TEST(pool_defaults, a_try_stays_a_try)
{
    skua_runtime *rt = sk_runtime_of(2);
    const skua_when_full policies[] = {SKUA_FULL_WAIT, SKUA_FULL_REFUSE, SKUA_FULL_DROP_OLDEST, SKUA_FULL_RUN};
    for (int i = 0; i < 4; i++) {
        skua_pool *pool =
            SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = policies[i], .retry = {.times = 1});
        sk_stay s = {0};
        sk_occupy(pool, &s, 1);
        SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), 0);
        SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), -EAGAIN);
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_counts_of(pool).refused, 1);
        SK_EXPECT_EQ(sk_gate_now(&s.left), 2);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_defaults, contradictions_have_their_error)
{
    skua_pool *pool;
    const skua_pool_options bad[] = {
        {.start_within = 2, .finish_within = 1},
        {.retry = {.backoff = 1}},
        {.retry = {.times = SKUA_NO_RETRY, .jitter = 10}},
        {.retry = {.keep_place = true}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) SK_EXPECT_EQ(skua_pool_create(&pool, &bad[i]), -ENOTSUP);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.retry = {.times = 1, .jitter = 101}}), -EINVAL);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.start_within = SKUA_FOREVER, .finish_within = 1}), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &(skua_submit_options){.level = 1}, sk_give_0, NULL), -EDOM);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    for (int way = 0; way < WAYS; way++)
        if (way != BATCH && way != FUTURE) SK_EXPECT_EQ(submit_somehow(pool, way, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* ---- the callback ---- */

typedef struct heard {
    sk_gate calls, wrong;
    int *arg;
} heard;

static void hear(void *ctx, void *arg, int result)
{
    heard *h = ctx;
    if (arg != h->arg || result != *h->arg) sk_gate_add(&h->wrong);
    sk_gate_add(&h->calls);
}

SK_TEST(pool_defaults, the_callback_of_the_pool_gets_each_argument_and_result)
{
    skua_runtime *rt = sk_runtime_of(2);
    int seven = 7, failure = -EIO;
    for (int i = 0; i < 4; i++) {
        heard h = {.arg = i % 2 ? &failure : &seven};
        skua_pool *pool =
            SK_POOL(.runtime = rt, .limit = 2, .fn = sk_gives, .measure = i > 1, .ended = {hear, &h, NULL});
        for (int way = 0; way < WAYS; way++) SK_EXPECT_EQ(submit_somehow(pool, way, sk_gives, h.arg), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&h.calls), WAYS - 1);
        SK_EXPECT_EQ(sk_gate_now(&h.wrong), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Joined, the task has been heard of; `then` gets the argument, too, whether the future is done or not. */
SK_TEST(pool_defaults, the_callback_beside_a_handle_and_a_future)
{
    skua_runtime *rt = sk_runtime_of(2);
    int seven = 7, result = 0;
    heard h = {.arg = &seven}, then = {.arg = &seven};
    skua_pool *pool = SK_POOL(.runtime = rt, .ended = {hear, &h, NULL});
    skua_task task;
    skua_future f;
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, NULL, sk_gives, &seven), 0);
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, 7);
    SK_EXPECT_EQ(sk_gate_now(&h.calls), 1);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, NULL, sk_gives, &seven), 0);
    SK_EXPECT_EQ(skua_future_then(f, hear, &then, NULL), 0);
    SK_EXPECT_EQ(skua_future_wait(f, SKUA_FOREVER, NULL), 0);
    SK_EXPECT(sk_gate_await(&then.calls, 1));
    SK_EXPECT_EQ(skua_future_then(f, hear, &then, NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&then.calls), 2);
    SK_EXPECT_EQ(sk_gate_now(&then.wrong), 0);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&h.calls), 2);
    SK_EXPECT_EQ(sk_gate_now(&h.wrong), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
