/* conformance/cancellation.c: behaviours 35 to 40. */
#include "support/pools.h"

SK_TEST(conformance, s35_cancelling_in_the_middle)
{
    enum { N = 1000 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 10);
    sk_stay s = {0};
    sk_gate ran = 0;
    for (int i = 0; i < N; i++)
        SK_EXPECT_EQ(skua_pool_submit(pool, i < 100 ? sk_open : sk_stays, i < 100 ? (void *)&ran : &s), 0);
    SK_EXPECT(sk_gate_await(&s.slept, 10));
    SK_EVENTUALLY(sk_pool_stands_at(pool, 10, N - 110));
    SK_EXPECT_EQ(skua_pool_cancel(pool), N - 100);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.running + c.queued, 0);
    SK_EXPECT_EQ(c.done, 100);
    SK_EXPECT_EQ(c.cancelled, N - 100);
    SK_EXPECT_EQ(sk_gate_now(&s.entered), 10);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Has parked before; ends the moment it is told to. */
static int look_out(void *arg)
{
    skua_sleep(1);
    sk_gate_add((sk_gate *)arg);
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !skua_cancelled();)
        if (skua_now() > give_up) return -ETIME;
    return -ECANCELED;
}

/* Though what runs makes way at once. */
SK_TEST(conformance, s35_what_is_queued_does_not_start)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 8192);
    for (int round = 0; round < 20; round++) {
        sk_gate ran = 0, out = 0;
        SK_EXPECT_EQ(skua_pool_submit(pool, look_out, &out), 0);
        for (int i = 0; i < 5000; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        SK_EXPECT(sk_gate_await(&out, 1));
        SK_EXPECT_EQ(skua_pool_cancel(pool), 5001);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Ends by itself, whatever it is told. */
static int go_on(void *arg)
{
    sk_stay *s = arg;
    sk_gate_add(&s->entered);
    return sk_gate_block(&s->leave, 1) ? 0 : -ETIME;
}

/* How long it took to wait for it, from the moment at which the one that runs could leave. */
static uint64_t cancel_one_of_two(skua_runtime *rt)
{
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    sk_gate ran = 0;
    SK_EXPECT_EQ(skua_pool_submit(pool, go_on, &s), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_cancel(pool), 2);
    SK_EXPECT_EQ(skua_pool_cancel(pool), 0); /* asked already */
    uint64_t since = skua_now();
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    uint64_t took = skua_now() - since;
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(c.submitted, 2);
    SK_EXPECT_EQ(c.done, 1);
    SK_EXPECT_EQ(c.cancelled, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return took;
}

SK_TEST(conformance, s36_cancelling_with_queued_tasks_one_done_and_one_cancelled)
{
    skua_runtime *rt = sk_runtime_of(2);
    bool in_time = false;
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    for (int rounds = 0; rounds < 20 || (!in_time && skua_now() < give_up); rounds++)
        in_time |= cancel_one_of_two(rt) < SKUA_MS(250);
    SK_EXPECT(in_time); /* a busy machine cannot promise it each time */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The same, cancelled from the pool above. */
SK_TEST(conformance, s37_one_done_and_one_cancelled_in_a_subpool)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 4), *sub = SK_POOL(.parent = parent, .limit = 1);
    sk_stay s = {0};
    sk_gate ran = 0;
    SK_EXPECT_EQ(skua_pool_submit(sub, go_on, &s), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_cancel(parent), 2);
    sk_gate_add(&s.leave);
    sk_pool_await(parent);
    skua_pool_counts of[2] = {sk_counts_of(sub), sk_counts_of(parent)};
    for (int i = 0; i < 2; i++) {
        SK_EXPECT_EQ(of[i].submitted, 2);
        SK_EXPECT_EQ(of[i].done, 1);
        SK_EXPECT_EQ(of[i].cancelled, 1);
        SK_EXPECT_EQ(of[i].running + of[i].queued, 0);
    }
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s37_cancelling_a_parent_reaches_its_subpools)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 4), *sub = SK_POOL(.parent = parent, .limit = 2),
              *other = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0}, not_asked = {0};
    sk_gate ran = 0;
    sk_occupy(other, &not_asked, 1);
    sk_occupy(parent, &s, 1);
    sk_occupy(sub, &s, 2);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), 0);
    SK_EXPECT(sk_gate_await(&s.slept, 3));
    SK_EXPECT_EQ(skua_pool_cancel(parent), 8);
    sk_pool_await(parent);
    skua_pool_counts p = sk_counts_of(parent), c = sk_counts_of(sub);
    SK_EXPECT_EQ(p.cancelled, 8);
    SK_EXPECT_EQ(p.submitted, 8);
    SK_EXPECT_EQ(c.cancelled, 7);
    SK_EXPECT_EQ(c.submitted, 7);
    SK_EXPECT_EQ(p.running + p.queued + c.running + c.queued, 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(sk_gate_now(&not_asked.left), 0);
    SK_EXPECT(sk_pool_stands_at(other, 1, 0));
    /* And the other way round: the parent's own are left alone. */
    sk_stay again = {0};
    sk_occupy(parent, &again, 1);
    sk_occupy(sub, &again, 2);
    SK_EXPECT_EQ(skua_pool_cancel(sub), 2);
    sk_pool_await(sub);
    SK_EXPECT(sk_pool_stands_at(parent, 1, 0));
    SK_EXPECT_EQ(sk_counts_of(parent).cancelled, 10);
    sk_gate_add(&again.leave);
    sk_gate_add(&not_asked.leave);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_pool_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s38_results_before_during_and_after_cancellation)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_task before, during, queued, after;
    int seven = 7, eight = 8, result = 1;
    sk_stay s = {0};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &before, NULL, sk_gives, &seven), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &during, NULL, sk_stays, &s), 0);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &queued, NULL, sk_gives, &seven), 0);
    SK_EXPECT(sk_gate_await(&s.slept, 1));
    SK_EXPECT_EQ(skua_pool_cancel(pool), 2);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &after, NULL, sk_gives, &eight), 0); /* the pool is open */
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_join(before, &result), 0);
    SK_EXPECT_EQ(result, 7);
    SK_EXPECT_EQ(skua_join(during, &result), 0);
    SK_EXPECT_EQ(result, -ECANCELED);
    SK_EXPECT_EQ(skua_join(queued, &result), 0);
    SK_EXPECT_EQ(result, -ECANCELED);
    SK_EXPECT_EQ(skua_join(after, &result), 0);
    SK_EXPECT_EQ(result, 8);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 2);
    SK_EXPECT_EQ(sk_counts_of(pool).cancelled, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int compute_until_told(void *arg)
{
    sk_gate_add((sk_gate *)arg);
    int why = 0;
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !(why = skua_cancelled());)
        if (skua_now() > give_up) return -ETIME;
    return why;
}

SK_TEST(conformance, s39_a_task_sees_the_cancellation_and_returns_early)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    sk_gate entered = 0;
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_submit(pool, compute_until_told, &entered), 0);
    SK_EXPECT(sk_gate_await(&entered, 2));
    SK_EXPECT_EQ(skua_pool_cancel(pool), 2);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).cancelled, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* As a task that is late while it waits; one that is late before it has begun, on a busy machine, gets more time. */
static void submit_until_late(skua_runtime *rt, sk_submitter *waits)
{
    skua_task_options late = {.runtime = rt, .finish_within = SKUA_MS(20)};
    for (uint64_t expired = sk_stats_of(rt).expired; waits->got == 1; late.finish_within *= 2) {
        skua_task t;
        SK_EXPECT_EQ(skua_spawn_with(&t, &late, sk_submits, waits), 0);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        expired++;
        SK_EVENTUALLY(sk_stats_of(rt).expired == expired); /* a join may say before that it is late */
    }
}

SK_TEST(conformance, s40_a_waiting_submitter_is_cancelled_or_times_out)
{
    static const uint32_t queues[] = {SKUA_POOL_NO_QUEUE, 1};
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 6; kind++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = queues[kind % 2]);
        int expected = kind / 2 == 0 ? -ECANCELED : -ETIMEDOUT;
        skua_task_options late = {.runtime = rt};
        sk_stay s = {0};
        sk_submitter waits = {pool, sk_stays, &s, 1};
        skua_task t;
        sk_occupy(pool, &s, 1);
        if (kind % 2) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
        if (kind / 2 < 2) {
            if (kind / 2 == 0) {
                SK_EXPECT_EQ(skua_spawn_with(&t, &late, sk_submits, &waits), 0);
                SK_EVENTUALLY(sk_counts_of(pool).waiting == 1);
                SK_EXPECT_EQ(skua_cancel(t), 0);
                SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            } else {
                submit_until_late(rt, &waits);
            }
            SK_EXPECT_EQ(waits.got, expected);
        } else {
            skua_submit_options o = {.admit_within = SKUA_MS(3)};
            SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sk_stays, &s), expected);
        }
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 0);
        SK_EXPECT_EQ(sk_counts_of(pool).submitted, 1u + (uint64_t)(kind % 2));
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(sk_gate_now(&s.left), 1u + (uint32_t)(kind % 2));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
