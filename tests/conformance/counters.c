/* conformance/counters.c: behaviours 73 and 74: the counters add up, at every moment. */
#include "support/pools.h"

typedef struct mill {
    skua_pool *pool, *sub;
    sk_gate over, returned; /* returned: of the functions called */
    sk_atomic(uint64_t) accepted;
    uint64_t give_up; /* when patience ends */
} mill;

static int grind(void *arg)
{
    mill *m = arg;
    skua_sleep(SKUA_US(10));
    sk_gate_add(&m->returned);
    return 0;
}

static int fail(void *arg)
{
    sk_gate_add(&((mill *)arg)->returned);
    return -EIO;
}

static int end_cancelled(void *arg)
{
    skua_cancel(skua_self());
    int error = skua_sleep(SKUA_S(1));
    sk_gate_add(&((mill *)arg)->returned);
    return error;
}

/* All ends there are, through the pool and through a subpool. */
static void *work(void *arg)
{
    static skua_fn *const fns[] = {grind, fail, end_cancelled, grind};
    mill *m = arg;
    skua_submit_options soon = {.start_within = SKUA_US(20)};
    for (uint64_t i = 0; !sk_gate_now(&m->over); i++) {
        skua_pool *pool = i % 3 ? m->pool : m->sub;
        int error = skua_pool_submit_with(pool, NULL, i % 5 ? NULL : &soon, fns[i % 4], m);
        if (error == 0) sk_add_rlx(&m->accepted, UINT64_C(1));
        if (i % 500 == 499) skua_pool_cancel(m->sub);
    }
    return NULL;
}

/* What only grows, and no end that has not been. `done` may be a little behind, never ahead. */
static void check_snapshots(mill *m, skua_pool *pool, skua_pool_counts *last)
{
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT(c.failed >= last->failed && c.cancelled >= last->cancelled);
    SK_EXPECT(c.expired >= last->expired && c.dropped >= last->dropped && c.refused >= last->refused);
    if (pool == m->sub) SK_EXPECT(c.submitted >= last->submitted); /* a parent's includes tries of its subpools */
    SK_EXPECT(c.running <= c.limit + 2);                           /* those that end as dropped pass through */
    SK_EXPECT(c.queued <= UINT64_C(1) << 20);
    SK_EXPECT(c.done <= sk_gate_now(&m->returned));
    *last = c;
}

/* Until all ends that there are in such a pool have been: what adds up then is more than zeros. */
static void until_all_ends(mill *m, skua_pool_counts *last, skua_pool_counts *last_of_sub)
{
    skua_pool_counts c;
    do {
        check_snapshots(m, m->pool, last);
        check_snapshots(m, m->sub, last_of_sub);
        c = sk_counts_of(m->pool);
        SK_EXPECT(skua_now() < m->give_up);
    } while (!c.done || !c.failed || !c.cancelled || !c.expired || !c.dropped);
}

SK_TEST(conformance, s73_every_snapshot_adds_up)
{
    skua_runtime *rt = sk_runtime_of(2);
    static const uint32_t queues[] = {16, SKUA_POOL_NO_QUEUE};
    static const skua_when_full policies[] = {SKUA_FULL_DROP_OLDEST, SKUA_FULL_WAIT};
    for (int kind = 0; kind < 2; kind++) {
        mill m = {.pool = SK_POOL(.runtime = rt, .limit = 4, .queue = queues[kind], .when_full = policies[kind]),
                  .give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS)};
        m.sub = SK_POOL(.parent = m.pool, .limit = 2, .queue = queues[1 - kind], .when_full = policies[1 - kind]);
        skua_pool_counts last = {0}, last_of_sub = {0};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, work, &m), 0);
        long n = sk_test_scaled(20000);
        for (uint64_t give_up = skua_now() + SKUA_S(5); n > 0 && skua_now() < give_up; n--) {
            check_snapshots(&m, m.pool, &last);
            check_snapshots(&m, m.sub, &last_of_sub);
        }
        until_all_ends(&m, &last, &last_of_sub);
        sk_gate_add(&m.over);
        for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
        sk_pool_await(m.pool);
        skua_pool_counts c = sk_counts_of(m.pool);
        SK_EXPECT_EQ(c.submitted, sk_load_rlx(&m.accepted));
        SK_EXPECT_EQ(c.queued + c.running, 0);
        SK_EXPECT_EQ(skua_pool_release(m.sub), 0);
        SK_EXPECT_EQ(skua_pool_release(m.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The submitter runs them itself; failed ones among them. */
SK_TEST(conformance, s73_snapshots_add_up_when_submitters_run_tasks)
{
    skua_runtime *rt = sk_runtime_of(2);
    mill m = {.pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN)};
    m.sub = SK_POOL(.parent = m.pool, .limit = 1, .queue = SKUA_POOL_NO_QUEUE, .when_full = SKUA_FULL_RUN);
    skua_pool_counts last = {0}, last_of_sub = {0};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, work, &m), 0);
    long n = sk_test_scaled(20000);
    for (uint64_t give_up = skua_now() + SKUA_S(5); n > 0 && skua_now() < give_up; n--) {
        check_snapshots(&m, m.pool, &last);
        check_snapshots(&m, m.sub, &last_of_sub);
    }
    sk_gate_add(&m.over);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    sk_pool_await(m.pool);
    SK_EXPECT_EQ(sk_counts_of(m.pool).submitted, sk_load_rlx(&m.accepted));
    SK_EXPECT_EQ(skua_pool_release(m.sub), 0);
    SK_EXPECT_EQ(skua_pool_release(m.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s74_running_free_waiting_and_limit)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 3, .queue = 2);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.limit, 3);
    SK_EXPECT_EQ(c.free, 3);
    SK_EXPECT_EQ(c.queue, 2);
    SK_EXPECT_EQ(c.submitted + c.running + c.queued + c.waiting + c.refused, 0);
    sk_stay s = {0};
    for (uint32_t i = 1; i <= 3; i++) {
        sk_occupy(pool, &s, 1);
        SK_EVENTUALLY(sk_counts_of(pool).running == i && sk_counts_of(pool).free == 3 - i);
    }
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    sk_submitter waits[2];
    skua_task tasks[2];
    for (int i = 0; i < 2; i++) {
        waits[i] = (sk_submitter){pool, sk_stays, &s, 1};
        tasks[i] = sk_spawn_on(rt, sk_submits, &waits[i]);
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 1u + (uint64_t)i);
    }
    c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.running, 3);
    SK_EXPECT_EQ(c.queued, 2);
    SK_EXPECT_EQ(c.submitted, 5); /* those who wait have not been accepted */
    sk_gate_add(&s.leave);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_join_for(tasks[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    sk_pool_await(pool);
    c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, 7);
    SK_EXPECT_EQ(c.free, 3);
    SK_EXPECT_EQ(c.waiting, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ants: Free and Cap follow Tune at once; without a limit there is no number of free ones. */
SK_TEST(conformance, s74_free_and_limit_follow_the_limit)
{
    skua_pool *pool = SK_POOL(.limit = 3);
    sk_stay s = {0};
    sk_occupy(pool, &s, 3);
    SK_EXPECT_EQ(sk_counts_of(pool).free, 0);
    SK_EXPECT_EQ(skua_pool_tune(pool, 5), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).limit, 5);
    SK_EXPECT_EQ(sk_counts_of(pool).free, 2);
    SK_EXPECT_EQ(skua_pool_tune(pool, 1), 0); /* what runs goes on, and none is free, not less than none */
    SK_EXPECT_EQ(sk_counts_of(pool).limit, 1);
    SK_EXPECT_EQ(sk_counts_of(pool).free, 0);
    SK_EXPECT_EQ(sk_counts_of(pool).running, 3);
    SK_EXPECT_EQ(skua_pool_tune(pool, 0), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).limit, 0);
    SK_EXPECT(sk_counts_of(pool).free == UINT64_MAX);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).running, 0); /* in ants idle workers count until they are purged */
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* pond: SubmittedTasks, WaitingTasks, SuccessfulTasks, FailedTasks, CompletedTasks, DroppedTasks, RunningWorkers. */
SK_TEST(conformance, s74_the_metrics_of_pond)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 3, .when_full = SKUA_FULL_REFUSE);
    int good = 0, bad = -EIO;
    sk_stay s = {0};
    sk_occupy(pool, &s, 2);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_gives, &good), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_gives, &bad), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_gives, &bad), 0);
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_gives, &good), -EAGAIN);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.submitted, 5); /* accepted: pond counts the refused here, too */
    SK_EXPECT_EQ(c.refused, 4);   /* DroppedTasks */
    SK_EXPECT_EQ(c.dropped, 0);   /* accepted, and put out of the queue: there were none */
    SK_EXPECT_EQ(c.running, 2);   /* RunningWorkers */
    SK_EXPECT_EQ(c.queued, 3);    /* WaitingTasks */
    SK_EXPECT_EQ(c.waiting, 0);   /* submitters, not tasks */
    SK_EXPECT_EQ(c.done + c.failed, 0);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, 3);   /* SuccessfulTasks */
    SK_EXPECT_EQ(c.failed, 2); /* FailedTasks; with the former, CompletedTasks */
    SK_EXPECT_EQ(c.running + c.queued, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Workers, idle or not, as GoPool counts them, are the runtime's. */
SK_TEST(conformance, s74_idle_workers)
{
    skua_runtime *rt = sk_runtime_of(3);
    skua_pool *pool = SK_POOL(.runtime = rt);
    skua_stats s;
    SK_EVENTUALLY(skua_runtime_stats(rt, &s, NULL, 0) >= 0 && s.workers == 3 && s.idle == 3);
    sk_holder h = {0};
    for (uint32_t i = 1; i <= 2; i++) {
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_hold, &h), 0);
        SK_EXPECT(sk_gate_await(&h.entered, i));
        SK_EVENTUALLY(skua_runtime_stats(rt, &s, NULL, 0) >= 0 && s.workers == 3 && s.idle == 3 - i);
        SK_EXPECT_EQ(sk_counts_of(pool).running, i);
    }
    sk_gate_add(&h.release);
    sk_pool_await(pool);
    SK_EVENTUALLY(skua_runtime_stats(rt, &s, NULL, 0) >= 0 && s.idle == 3);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
