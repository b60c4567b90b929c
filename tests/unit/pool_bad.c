/* unit/pool_bad.c: what nobody should do to a pool: each has a defined answer. */
#include "support/pools.h"

#include "pool/pool.h"

/* All that takes a pool, in one order. */
enum { CALLS = 17 };

static void call_all(skua_pool *pool, int answers[CALLS])
{
    skua_pool_counts c;
    skua_pool *sub = NULL;
    skua_task task;
    int i = 0;
    answers[i++] = skua_pool_submit(pool, sk_give_0, NULL);
    answers[i++] = skua_pool_try_submit(pool, sk_give_0, NULL);
    answers[i++] = skua_pool_submit_batch(pool, 2, sk_give_0, NULL);
    answers[i++] = skua_pool_invoke(pool, NULL);
    answers[i++] = skua_pool_run(pool, sk_give_0, NULL, NULL);
    answers[i++] = skua_pool_submit_with(pool, &task, NULL, sk_give_0, NULL);
    answers[i++] = skua_pool_create(&sub, &(skua_pool_options){.parent = pool});
    answers[i++] = skua_pool_tune(pool, 3);
    answers[i++] = skua_pool_pause(pool);
    answers[i++] = skua_pool_resume(pool);
    answers[i++] = skua_pool_wait(pool, 0);
    answers[i++] = (int)skua_pool_cancel(pool);
    answers[i++] = skua_pool_stats(pool, &c);
    answers[i++] = skua_pool_stop(pool, 0);
    answers[i++] = skua_pool_stop_now(pool, 0);
    answers[i++] = skua_pool_restart(pool);
    answers[i++] = skua_pool_release(pool);
    if (sub) SK_EXPECT_EQ(skua_pool_release(sub), 0);
}

SK_TEST(pool_bad, every_call_without_a_pool)
{
    int answers[CALLS];
    call_all(NULL, answers);
    for (int i = 0; i < CALLS; i++)
        if (i != 6) SK_EXPECT_EQ(answers[i], -EINVAL); /* a pool without a parent can be made */
    SK_EXPECT_EQ(answers[6], 0);
}

SK_TEST(pool_bad, every_call_on_a_released_pool)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .fn = sk_give_0);
    int answers[CALLS];
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    call_all(pool, answers);
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_bad, every_call_on_a_stopped_pool)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .fn = sk_give_0);
    int answers[CALLS];
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    call_all(pool, answers);
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], i < 7 ? -ESHUTDOWN : 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_bad, null_functions_and_places)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt);
    skua_task task;
    SK_EXPECT_EQ(skua_pool_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit(pool, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_batch(pool, 2, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_batch(pool, 0, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit_batch(pool, SIZE_MAX, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_run(pool, NULL, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, NULL, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_invoke(pool, NULL), -ENOTSUP);
    SK_EXPECT_EQ(skua_pool_stats(pool, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_tune(pool, UINT32_MAX), -ERANGE);
    for (uint32_t level = 1; level; level <<= 1)
        SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, &(skua_submit_options){.level = level}, sk_give_0, NULL),
                     -EDOM);
    SK_EXPECT_EQ(sk_counts_of(pool).submitted, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_bad, timeouts_that_overflow)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .wait_at_most = UINT64_MAX, .ageing = UINT64_MAX, .levels = 2);
    skua_submit_options o = {1, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 2};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, UINT64_MAX - 1), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 1);
    SK_EXPECT_EQ(skua_pool_stop(pool, UINT64_MAX - 1), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a paused pool ---- */

SK_TEST(pool_bad, a_paused_pool_does_not_drain_but_drops)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_gate ran = 0;
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0); /* a stopped one, too */
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 5);
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_cancel(pool), 5);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(1)), -ETIMEDOUT); /* they end when they would start */
    SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).dropped, 5);
    SK_EXPECT_EQ(sk_gate_now(&ran), 5);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct storm {
    skua_pool *pool;
    sk_gate accepted;
} storm;

static void *submit_until_refused(void *arg)
{
    storm *s = arg;
    while (skua_pool_try_submit(s->pool, sk_give_0, NULL) != -ESHUTDOWN) {
    }
    return NULL;
}

/* Who was about to submit when it was stopped leaves nothing behind that would wait for ever. */
SK_TEST(pool_bad, a_paused_pool_is_stopped_at_once_beside_submitters)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int round = 0; round < 200; round++) {
        storm s = {.pool = SK_POOL(.runtime = rt, .limit = 1)};
        pthread_t threads[2];
        SK_EXPECT_EQ(skua_pool_pause(s.pool), 0);
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, submit_until_refused, &s), 0);
        skua_sleep(SKUA_US((uint64_t)round % 50 * 4));
        SK_EXPECT_EQ(skua_pool_stop_now(s.pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
        skua_pool_counts c = sk_counts_of(s.pool);
        SK_EXPECT_EQ(c.dropped, c.submitted);
        SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- from its own tasks ---- */

typedef struct self {
    skua_pool *pool, *parent;
} self;

static int try_all_inside(void *arg)
{
    self *s = arg;
    int result;
    for (int i = 0; i < 2; i++) {
        skua_pool *pool = i ? s->parent : s->pool;
        SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), -EDEADLK);
        SK_EXPECT_EQ(skua_pool_run(pool, sk_give_0, NULL, &result), -EDEADLK); /* the only slot is ours */
        SK_EXPECT(sk_counts_of(pool).running == 1);
        SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        SK_EXPECT_EQ(skua_pool_tune(pool, 1), 0);
        SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), -EDEADLK);
        SK_EXPECT_EQ(skua_pool_submit(s->pool, sk_give_0, NULL), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_FOREVER), -EDEADLK);
        SK_EXPECT_EQ(skua_pool_restart(pool), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), -EDEADLK);
        SK_EXPECT_EQ(skua_pool_submit(s->pool, sk_give_0, NULL), 0); /* it did not even stop it */
    }
    return (int)skua_pool_cancel(s->parent);
}

SK_TEST(pool_bad, from_its_own_tasks_and_those_of_a_subpool)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 10; round++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 1), *pool = SK_POOL(.parent = parent, .limit = 1);
        self s = {pool, parent};
        int result = 0;
        SK_EXPECT_EQ(skua_pool_run(pool, try_all_inside, &s, &result), 0);
        SK_EXPECT_EQ(result, 2); /* itself, and the second that it has submitted; the first was dropped by then */
        sk_pool_await(parent);
        SK_EXPECT_EQ(sk_counts_of(parent).cancelled, 1);
        SK_EXPECT_EQ(sk_counts_of(parent).dropped, 1);
        SK_EXPECT_EQ(sk_counts_of(parent).done, 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int submit_into_own_queueless_pool(void *arg)
{
    SK_EXPECT_EQ(skua_pool_try_submit(arg, sk_give_0, NULL), -EAGAIN);
    return skua_pool_submit(arg, sk_give_0, NULL);
}

/* It would wait for the slot that it holds: of the pool, or of the one above. */
SK_TEST(pool_bad, waiting_for_ones_own_slot_without_a_queue)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (uint32_t limit = 1; limit <= 2; limit++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 1),
                  *pool = SK_POOL(.parent = parent, .limit = limit, .queue = SKUA_POOL_NO_QUEUE);
        int result = 0;
        SK_EXPECT_EQ(skua_pool_run(pool, submit_into_own_queueless_pool, pool, &result), 0);
        SK_EXPECT_EQ(result, -EDEADLK);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void *release_it(void *pool)
{
    return (void *)(intptr_t)skua_pool_release(pool);
}

/* Opened again while somebody releases it: that goes on. */
SK_TEST(pool_bad, restarted_while_it_is_released)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    pthread_t thread;
    void *error = NULL;
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, release_it, pool), 0);
    SK_EVENTUALLY(sk_counts_of(pool).stopped);
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(pthread_join(thread, &error), 0);
    SK_EXPECT_EQ((intptr_t)error, 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void *stop_it_now(void *pool)
{
    return (void *)(intptr_t)skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS));
}

/* Stays, and is counted as a submitter all the time: the pool is full, so its submitter runs it. */
static void *submit_one_that_stays(void *arg)
{
    sk_submitter *s = arg;
    (void)sk_submits(s);
    return NULL;
}

static int stays_for_the_gate(void *arg)
{
    sk_stay *s = arg;
    sk_gate_add(&s->entered);
    return sk_gate_block(&s->leave, 1) ? 0 : -ETIME;
}

static int fails(void *attempts)
{
    sk_gate_add((sk_gate *)attempts);
    return -EIO;
}

/* Opened again while somebody stops it without draining, and waits for a submitter: what comes then is not dropped, and
   is tried again as ever. */
SK_TEST(pool_bad, restarted_while_it_is_stopped_at_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
    skua_submit_options o = {.retry = {.times = 3}};
    sk_stay s = {0};
    sk_gate ran = 0, attempts = 0;
    sk_submitter submitter = {.pool = pool, .fn = stays_for_the_gate, .arg = &s, .got = 1};
    pthread_t thread, stopper;
    void *error = NULL;
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, submit_one_that_stays, &submitter), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EXPECT_EQ(pthread_create(&stopper, NULL, stop_it_now, pool), 0);
    SK_EVENTUALLY(sk_counts_of(pool).dropped == 1);
    SK_EVENTUALLY(sk_load_acq(&pool->swept) == 1); /* he has seen that there was no other, and waits */
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0); /* queued, as the pool pauses */
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    SK_EXPECT_EQ(submitter.got, 0);
    skua_sleep(SKUA_MS(20)); /* to be dropped, if the one who stops it did that */
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(pthread_join(stopper, &error), 0);
    SK_EXPECT_EQ((intptr_t)error, 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, fails, &attempts), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&attempts), 4);
    SK_EXPECT_EQ(sk_counts_of(pool).dropped, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Who waits for its end is no reason to refuse it, when the pool is full and its submitter runs it. */
SK_TEST(pool_bad, run_where_the_submitter_runs_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
    sk_gate ran = 0;
    int result = 1;
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_run(pool, sk_open, &ran, &result), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
