/* conformance/shutdown.c: behaviours 26 to 34: stop, restart, wait, release. */
#include "support/pools.h"

SK_TEST(conformance, s26_stop_drains_a_thousand_of_a_thousand)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 10);
    sk_crowd c = {.nap = SKUA_US(100)};
    for (int i = 0; i < 1000; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_join_crowd, &c), 0);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(sk_gate_now(&c.ran), 1000);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 1000);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s27_a_timed_stop_says_when_there_was_no_time_and_goes_on)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(10)), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(10));
    SK_EXPECT_EQ(skua_pool_stop(pool, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT(sk_pool_stands_at(pool, 1, 5));
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_gate_now(&s.left), 6);
    SK_EXPECT_EQ(skua_pool_stop(pool, 0), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s28_stop_without_draining_drops_what_is_queued)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 20; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .levels = 1 + (uint32_t)round % 3);
        sk_stay s = {0};
        sk_gate ran = 0;
        skua_task queued[9];
        sk_occupy(pool, &s, 2);
        for (uint32_t i = 0; i < 9; i++) {
            skua_submit_options o = {.level = i % (1 + (uint32_t)round % 3)};
            SK_EXPECT_EQ(skua_pool_submit_with(pool, &queued[i], &o, sk_open, &ran), 0);
        }
        SK_EXPECT_EQ(skua_pool_stop_now(pool, 0), -ETIMEDOUT);
        for (int i = 0; i < 9; i++) {
            int result = 1;
            SK_EXPECT_EQ(skua_join_for(queued[i], SKUA_MS(SK_PATIENCE_MS), &result), 0); /* though two still run */
            SK_EXPECT_EQ(result, -ESHUTDOWN);
        }
        SK_EXPECT(sk_pool_stands_at(pool, 2, 0));
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        sk_pool_await(pool);
        skua_pool_counts c = sk_counts_of(pool);
        SK_EXPECT_EQ(c.done, 2);
        SK_EXPECT_EQ(c.dropped, 9);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        SK_EXPECT_EQ(sk_gate_now(&s.left), 2);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct stopper {
    skua_pool *pool;
    sk_crowd *crowd;
    sk_gate *ready;
    uint32_t n;
} stopper;

static int stop_it(void *arg)
{
    stopper *s = arg;
    sk_gate_add(s->ready);
    SK_EXPECT_EQ(skua_pool_stop(s->pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_gate_now(&s->crowd->ran), s->n);
    return 0;
}

static void *stop_as_thread(void *arg)
{
    stop_it(arg);
    return NULL;
}

SK_TEST(conformance, s29_ten_stops_at_once_all_return_after_the_drain)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 20; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 3);
        sk_crowd c = {.nap = SKUA_US(50)};
        sk_gate ready = 0;
        sk_stay stay = {0};
        stopper s = {pool, &c, &ready, 100};
        pthread_t threads[5];
        skua_task tasks[5];
        sk_occupy(pool, &stay, 3); /* so that nothing ends before all of them have come */
        for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_join_crowd, &c), 0);
        for (int i = 0; i < 5; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, stop_as_thread, &s), 0);
        for (int i = 0; i < 5; i++) tasks[i] = sk_spawn_on(rt, stop_it, &s);
        SK_EXPECT(sk_gate_await(&ready, 10));
        SK_EVENTUALLY(sk_counts_of(pool).stopped);
        SK_EXPECT_EQ(sk_counts_of(pool).queued, 100);
        sk_gate_add(&stay.leave);
        for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_join(tasks[i], NULL), 0);
        SK_EXPECT_EQ(sk_counts_of(pool).done, 103);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void say_nothing(void *ctx, const skua_progress *progress)
{
    (void)ctx;
    (void)progress;
}

static int visit_nothing(void *ctx, size_t i)
{
    (void)ctx;
    (void)i;
    return 0;
}

/* What is made over a pool. */
static void makers_refuse(skua_pool *pool)
{
    skua_group *group;
    skua_stream *stream;
    skua_lanes *lanes;
    skua_lane *lane;
    skua_reporter reporter;
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.pool = pool}), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_stream_create(&stream, &(skua_stream_options){.pool = pool}), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool}), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_lane_create(&lane, pool), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_for_each(&(skua_loop_options){.pool = pool}, 3, visit_nothing, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_progress_start(&reporter, pool, 1, say_nothing, NULL, NULL), -ESHUTDOWN);
}

static void all_refuse(skua_pool *pool)
{
    skua_task task;
    int result;
    skua_pool *sub;
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_submit_batch(pool, 3, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, NULL, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_run(pool, sk_give_0, NULL, &result), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_invoke(pool, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_create(&sub, &(skua_pool_options){.parent = pool}), -ESHUTDOWN);
    skua_submit_options at_once = {.no_wait = true}, retried = {.retry = {.times = 1}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &at_once, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &retried, sk_give_0, NULL), -ESHUTDOWN);
    skua_future future;
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &future, NULL, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT(future.ref == NULL);
    skua_task_storage storage;
    SK_EXPECT_EQ(skua_task_init(&storage, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &storage), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_stored_is_idle(&storage), 1);
    makers_refuse(pool);
}

typedef struct storm {
    skua_pool *pool;
    sk_gate accepted, ran;
} storm;

static void *submit_until_refused(void *arg)
{
    storm *s = arg;
    int error;
    while ((error = skua_pool_submit(s->pool, sk_open, &s->ran)) == 0) sk_gate_add(&s->accepted);
    SK_EXPECT_EQ(error, -ESHUTDOWN);
    return NULL;
}

SK_TEST(conformance, s30_every_entry_refuses_after_stop_and_no_task_starts)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 30; round++) {
        storm s = {.pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 8, .fn = sk_give_0)};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, submit_until_refused, &s), 0);
        SK_EXPECT(sk_gate_await(&s.ran, 50));
        SK_EXPECT_EQ((round % 2 ? skua_pool_stop_now : skua_pool_stop)(s.pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        uint32_t ran = sk_gate_now(&s.ran);
        all_refuse(s.pool);
        for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
        SK_EXPECT_EQ(sk_gate_now(&s.ran), ran);
        skua_pool_counts c = sk_counts_of(s.pool);
        SK_EXPECT_EQ(c.submitted, sk_gate_now(&s.accepted));
        SK_EXPECT_EQ(c.done, ran);
        SK_EXPECT_EQ(c.dropped, c.submitted - ran);
        SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct tail {
    skua_pool *pool;
    sk_stay *stay;
    sk_gate entered;
    int got;
} tail;

static int submit_after(void *arg)
{
    tail *t = arg;
    sk_gate_add(&t->entered);
    SK_EXPECT(sk_gate_await(&t->stay->leave, 1));
    t->got = skua_pool_submit(t->pool, sk_give_0, NULL);
    return 0;
}

SK_TEST(conformance, s31_a_task_that_submits_while_stopping_is_refused)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_stay s = {0};
    tail t = {SK_POOL(.runtime = rt, .limit = 1), &s, 0, 1};
    SK_EXPECT_EQ(skua_pool_submit(t.pool, submit_after, &t), 0);
    SK_EXPECT(sk_gate_await(&t.entered, 1));
    SK_EXPECT_EQ(skua_pool_stop(t.pool, SKUA_MS(1)), -ETIMEDOUT);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_stop(t.pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(t.got, -ESHUTDOWN);
    SK_EXPECT_EQ(sk_counts_of(t.pool).done, 1);
    SK_EXPECT_EQ(skua_pool_release(t.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* One that waits for room, too. */
SK_TEST(conformance, s31_a_submitter_that_waits_is_refused_when_the_pool_stops)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int queueless = 0; queueless < 2; queueless++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = queueless ? SKUA_POOL_NO_QUEUE : 1);
        sk_stay s = {0};
        sk_submitter waits = {pool, sk_stays, &s, 1};
        sk_occupy(pool, &s, 1);
        if (!queueless) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
        skua_task t = sk_spawn_on(rt, sk_submits, &waits);
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 1);
        SK_EXPECT_EQ(skua_pool_stop(pool, 0), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0); /* though the other still runs */
        SK_EXPECT_EQ(waits.got, -ESHUTDOWN);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s32_a_stopped_pool_starts_again_and_an_open_one_is_not_changed)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    sk_gate ran = 0;
    for (uint32_t round = 1; round <= 20; round++) {
        SK_EXPECT_EQ(skua_pool_restart(pool), 0);
        for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        SK_EXPECT_EQ(skua_pool_restart(pool), 0);
        SK_EXPECT_EQ((round % 2 ? skua_pool_stop : skua_pool_stop_now)(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), -ESHUTDOWN);
        skua_pool_counts c = sk_counts_of(pool);
        SK_EXPECT_EQ(c.submitted, UINT64_C(10) * round); /* the counters go on */
        SK_EXPECT_EQ(c.done + c.dropped, c.submitted);
        SK_EXPECT_EQ(c.done, sk_gate_now(&ran));
        SK_EXPECT_EQ(c.limit, 2);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_pool_restart(pool), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Reopened while its tasks still run: what waits for the end of all goes on waiting. */
SK_TEST(conformance, s32_restart_while_the_last_tasks_run)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    sk_gate ran = 0;
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_stop(pool, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT(sk_pool_stands_at(pool, 1, 1));
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct tally {
    uint32_t value[16]; /* plain: wait must order them */
} tally;

static int write_value(void *arg)
{
    ++*(uint32_t *)arg;
    return 0;
}

SK_TEST(conformance, s33_wait_returns_only_when_every_accepted_task_has_ended)
{
    skua_runtime *rt = sk_runtime_of(2);
    static const uint32_t limits[] = {1, 3, 0}, queues[] = {1, 4, SKUA_POOL_NO_QUEUE};
    for (int kind = 0; kind < 9; kind++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = limits[kind % 3], .queue = queues[kind / 3]);
        tally t = {{0}};
        uint32_t rounds = (uint32_t)sk_test_scaled(1000);
        for (uint32_t round = 1; round <= rounds; round++) {
            uint32_t n = round % 16 + 1;
            for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(pool, write_value, &t.value[i]), 0);
            sk_pool_await(pool);
            SK_EXPECT(sk_pool_stands_at(pool, 0, 0));
            uint64_t sum = 0;
            for (int i = 0; i < 16; i++) sum += t.value[i];
            SK_EXPECT_EQ(sk_counts_of(pool).done, sum);
            SK_EXPECT_EQ(sk_counts_of(pool).submitted, sum);
        }
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s34_release_is_harmless_twice_after_growing_and_after_a_timeout)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 3; kind++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
        sk_stay s = {0};
        sk_occupy(pool, &s, 1);
        if (kind == 1) SK_EXPECT_EQ(skua_pool_tune(pool, 100), 0);
        for (int i = 0; i < 20; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
        if (kind == 2) SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(1)), -ETIMEDOUT);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(sk_gate_now(&s.left), 21);
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_release(pool), -ESHUTDOWN);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
