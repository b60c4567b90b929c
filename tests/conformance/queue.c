/* conformance/queue.c: behaviours 11 to 16: the queue, and what a submitter meets when it is full. */
#include "support/pools.h"

typedef struct feeder {
    skua_pool *pool;
    sk_gate *ran;
    int n;
} feeder;

static int feed(void *arg)
{
    feeder *f = arg;
    for (int i = 0; i < f->n; i++) SK_EXPECT_EQ(skua_pool_submit(f->pool, sk_open, f->ran), 0);
    return 0;
}

static void *feed_as_thread(void *arg)
{
    feed(arg);
    return NULL;
}

SK_TEST(conformance, s11_fifty_blocking_submits_through_a_queue_of_ten)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 50; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 10);
        sk_stay s = {0};
        sk_gate ran = 0;
        feeder f = {pool, &ran, 25};
        pthread_t thread;
        sk_occupy(pool, &s, 1);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, feed_as_thread, &f), 0);
        skua_task task = sk_spawn_on(rt, feed, &f);
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 2); /* both submitters: 40 are still to come */
        SK_EXPECT_EQ(sk_counts_of(pool).queued, 10);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        pthread_join(thread, NULL);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 50);
        SK_EXPECT_EQ(sk_counts_of(pool).done, 51);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s12_a_full_queue_refuses_and_counts_one)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 2, .when_full = SKUA_FULL_REFUSE);
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), -EAGAIN);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.refused, 1);
    SK_EXPECT_EQ(c.submitted, 3);
    SK_EXPECT_EQ(c.queued, 2);
    SK_EXPECT_EQ(c.dropped, 0);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 3);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s13_without_a_queue_submit_waits_and_try_submit_fails)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 50; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE);
        sk_stay s = {0};
        sk_gate ran = 0;
        sk_submitter waits = {pool, sk_open, &ran, 1};
        sk_occupy(pool, &s, 1);
        skua_task t = sk_spawn_on(rt, sk_submits, &waits);
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 1);
        SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_open, &ran), -EAGAIN);
        SK_EXPECT_EQ(waits.got, 1);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        SK_EXPECT_EQ(sk_counts_of(pool).submitted, 1);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(waits.got, 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(sk_counts_of(pool).queue, 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct record {
    sk_atomic(uint32_t) n;
    int order[8];
} record;

typedef struct entry {
    record *record;
    int number;
} entry;

static int write_down(void *arg)
{
    entry *e = arg;
    e->record->order[sk_add_ar(&e->record->n, 1u)] = e->number;
    return 0;
}

/* One worker: with more, two that are woken together race, and either may be first. So they do when the machine stops
 * it and the monitor puts them elsewhere. */
SK_TEST(conformance, s14_two_waiting_submitters_get_in_in_order)
{
    skua_runtime *rt = sk_runtime_of(1);
    int in_order = 0;
    for (int round = 0; round < 50; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1);
        sk_stay s = {0};
        record r = {0};
        entry entries[3];
        sk_submitter waits[3];
        skua_task tasks[3];
        sk_occupy(pool, &s, 1);
        for (int i = 0; i < 3; i++) {
            entries[i] = (entry){&r, i};
            waits[i] = (sk_submitter){pool, write_down, &entries[i], 1};
            tasks[i] = sk_spawn_on(rt, sk_submits, &waits[i]);
            SK_EVENTUALLY(sk_counts_of(pool).waiting == (uint64_t)i && sk_counts_of(pool).queued == 1);
            SK_EVENTUALLY(sk_stats_of(rt).parked == 1u + (uint64_t)i);
        }
        sk_gate_add(&s.leave);
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_join_for(tasks[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        sk_pool_await(pool);
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(waits[i].got, 0);
        SK_EXPECT_EQ(sk_load_acq(&r.n), 3);
        in_order += r.order[0] == 0 && r.order[1] == 1 && r.order[2] == 2;
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT(in_order >= 40);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s15_try_submit_accepted_queued_refused_and_stopped)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1);
    sk_stay s = {0};
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EVENTUALLY(sk_pool_stands_at(pool, 1, 0));
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), 0);
    SK_EXPECT(sk_pool_stands_at(pool, 1, 1));
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), -EAGAIN);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.submitted, 2);
    SK_EXPECT_EQ(c.refused, 1);
    SK_EXPECT_EQ(c.free, 0);
    SK_EXPECT_EQ(skua_pool_stop(pool, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), -ESHUTDOWN);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), -ESHUTDOWN);
    c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.submitted, 2);
    SK_EXPECT_EQ(c.done, 2);
    SK_EXPECT_EQ(c.refused, 1);
    SK_EXPECT_EQ(c.queued + c.running, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- 16: the policies ---- */

SK_TEST(conformance, s16_policy_block)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1);
    sk_stay s = {0};
    sk_submitter waits = {pool, sk_stays, &s, 1};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    skua_task t = sk_spawn_on(rt, sk_submits, &waits);
    SK_EVENTUALLY(sk_counts_of(pool).waiting == 1);
    skua_sleep(SKUA_MS(5));
    SK_EXPECT_EQ(waits.got, 1);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(waits.got, 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 3);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int submit_in_time(void *arg)
{
    skua_pool *pool = arg;
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(20));
    before = skua_now();
    skua_submit_options sooner = {.admit_within = SKUA_MS(1)}, later = {.admit_within = SKUA_MS(40)};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &sooner, sk_give_0, NULL), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(1));
    before = skua_now();
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &later, sk_give_0, NULL), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(40));
    return 0;
}

SK_TEST(conformance, s16_policy_block_until_a_deadline)
{
    static const uint32_t queues[] = {SKUA_POOL_NO_QUEUE, 1};
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 2; i++) {
        skua_pool *pool =
            SK_POOL(.runtime = rt, .limit = 1, .queue = queues[i], .wait_at_most = SKUA_MS(20), .waiters = 5);
        sk_stay s = {0};
        sk_occupy(pool, &s, 1);
        if (i) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
        submit_in_time(pool);
        SK_EXPECT_EQ(sk_run_on(rt, submit_in_time, pool), 0);
        SK_EXPECT_EQ(sk_counts_of(pool).refused, 6);
        SK_EXPECT_EQ(sk_counts_of(pool).waiting, 0);
        SK_EXPECT_EQ(sk_counts_of(pool).submitted, 1u + (uint64_t)i);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s16_policy_refuse)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 3, .when_full = SKUA_FULL_REFUSE);
    skua_submit_options patient = {.admit_within = SKUA_S(3600)};
    sk_stay s = {0};
    void *args[5] = {&s, &s, &s, &s, &s};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit_batch(pool, 5, sk_stays, args), 3);
    SK_EXPECT_EQ(skua_pool_submit_batch(pool, 5, sk_stays, args), -EAGAIN);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &patient, sk_stays, &s), -EAGAIN);
    SK_EXPECT_EQ(skua_pool_run(pool, sk_stays, &s, NULL), -EAGAIN);
    SK_EXPECT_EQ(sk_counts_of(pool).refused, 4);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 4);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s16_policy_drop_the_oldest)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 3, .when_full = SKUA_FULL_DROP_OLDEST);
    sk_stay s = {0};
    sk_gate ran[6] = {0};
    skua_task tasks[6];
    sk_occupy(pool, &s, 1);
    for (int i = 0; i < 6; i++) SK_EXPECT_EQ(skua_pool_submit_with(pool, &tasks[i], NULL, sk_open, &ran[i]), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).dropped, 3);
    SK_EXPECT(sk_pool_stands_at(pool, 1, 3));
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_give_0, NULL), -EAGAIN); /* does not drop */
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    for (int i = 0; i < 6; i++) {
        int result = 1;
        SK_EXPECT_EQ(skua_join(tasks[i], &result), 0);
        SK_EXPECT_EQ(result, i < 3 ? -ESHUTDOWN : 0);
        SK_EXPECT_EQ(sk_gate_now(&ran[i]), i >= 3);
    }
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.submitted, 7);
    SK_EXPECT_EQ(c.done, 4);
    SK_EXPECT_EQ(c.refused, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int where_am_i(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return 0;
}

SK_TEST(conformance, s16_policy_run_in_the_caller)
{
    static const uint32_t queues[] = {SKUA_POOL_NO_QUEUE, 1};
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 2; i++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = queues[i], .when_full = SKUA_FULL_RUN);
        sk_stay s = {0};
        pthread_t where = 0;
        int bad = -EIO;
        sk_occupy(pool, &s, 1);
        if (i) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
        SK_EXPECT_EQ(skua_pool_submit(pool, where_am_i, &where), 0);
        SK_EXPECT(pthread_equal(where, pthread_self()));
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_gives, &bad), 0);
        skua_pool_counts c = sk_counts_of(pool);
        SK_EXPECT_EQ(c.done, 1);
        SK_EXPECT_EQ(c.failed, 1);
        SK_EXPECT_EQ(c.running, 1);
        SK_EXPECT_EQ(c.refused, 0);
        SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_give_0, NULL), -EAGAIN);
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_counts_of(pool).done, 2u + (uint64_t)i);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
