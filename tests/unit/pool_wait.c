/* unit/pool_wait.c: waiting for a pool, releasing it, and what a stopping runtime does to it. */
#include "support/tasks.h"

#include "base/base.h"

static skua_pool *pool_on(skua_runtime *rt, uint32_t limit, uint32_t queue)
{
    skua_pool *pool = NULL;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = limit, .queue = queue}), 0);
    return pool;
}

static int await_gate(void *arg)
{
    return sk_gate_await(arg, 1) ? 0 : -ETIME;
}

typedef struct waiting {
    skua_pool *pool;
    sk_gate gate, waits;
    uint64_t timeout;
    int found;
} waiting;

static int wait_for_pool(void *arg)
{
    waiting *w = arg;
    sk_gate_add(&w->waits);
    w->found = skua_pool_wait(w->pool, w->timeout);
    return 0;
}

static void *wait_for_pool_as_thread(void *arg)
{
    wait_for_pool(arg);
    return NULL;
}

/* From a task and from a thread. */
static int wait_some_time(void *arg)
{
    waiting *w = arg;
    SK_EXPECT_EQ(skua_pool_wait(w->pool, SKUA_FOREVER), 0); /* nothing was submitted */
    SK_EXPECT_EQ(skua_pool_wait(w->pool, 0), 0);
    SK_EXPECT_EQ(skua_pool_submit(w->pool, await_gate, &w->gate), 0);
    SK_EXPECT_EQ(skua_pool_wait(w->pool, 0), -ETIMEDOUT);
    for (int i = 0; i < 5; i++) {
        uint64_t before = skua_now();
        SK_EXPECT_EQ(skua_pool_wait(w->pool, SKUA_MS(3)), -ETIMEDOUT);
        SK_EXPECT(skua_now() - before >= SKUA_MS(3));
    }
    sk_gate_add(&w->gate);
    SK_EXPECT_EQ(skua_pool_wait(w->pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_pool_wait(w->pool, 0), 0);
    return 1;
}

SK_TEST(pool_wait, times_out)
{
    skua_runtime *rt = sk_runtime_of(1);
    waiting inside = {.pool = pool_on(rt, 1, 1)}, outside = {.pool = pool_on(rt, 0, 0)};
    SK_EXPECT_EQ(sk_run_on(rt, wait_some_time, &inside), 1);
    SK_EXPECT_EQ(wait_some_time(&outside), 1);
    SK_EXPECT_EQ(skua_pool_release(inside.pool), 0);
    SK_EXPECT_EQ(skua_pool_release(outside.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_wait, all_who_wait_are_woken)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { EACH = 4 };
    for (int round = 0; round < 50; round++) {
        skua_pool *pool = pool_on(rt, 2, 8);
        waiting w[2 * EACH];
        pthread_t thread[EACH];
        skua_task task[EACH];
        sk_gate gate = 0;
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_pool_submit(pool, await_gate, &gate), 0);
        for (int i = 0; i < 2 * EACH; i++) w[i] = (waiting){.pool = pool, .timeout = SKUA_FOREVER, .found = 1};
        for (int i = 0; i < EACH; i++) {
            SK_EXPECT_EQ(pthread_create(&thread[i], NULL, wait_for_pool_as_thread, &w[i]), 0);
            task[i] = sk_spawn_on(rt, wait_for_pool, &w[EACH + i]);
        }
        for (int i = 0; i < 2 * EACH && round % 2; i++) SK_EXPECT(sk_gate_await(&w[i].waits, 1));
        sk_gate_add(&gate);
        for (int i = 0; i < EACH; i++) {
            pthread_join(thread[i], NULL);
            SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
        }
        for (int i = 0; i < 2 * EACH; i++) SK_EXPECT_EQ(w[i].found, 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_wait, a_waiter_can_be_cancelled)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 50; i++) {
        waiting w = {.pool = pool_on(rt, 1, 1), .timeout = i % 2 ? SKUA_FOREVER : SKUA_S(3600), .found = 1};
        SK_EXPECT_EQ(skua_pool_submit(w.pool, await_gate, &w.gate), 0);
        skua_task t = sk_spawn_on(rt, wait_for_pool, &w);
        SK_EXPECT(sk_gate_await(&w.waits, 1));
        SK_EXPECT_EQ(skua_cancel(t), 0);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(w.found, -ECANCELED);
        sk_gate_add(&w.gate);
        SK_EXPECT_EQ(skua_pool_release(w.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- release ---- */

SK_TEST(pool_wait, release_waits_and_then_all_is_refused)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool_counts c;
    sk_gate ran = 0;
    skua_pool *pool = pool_on(rt, 2, 1000);
    for (int i = 0; i < 1000; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1000);
    SK_EXPECT_EQ(skua_pool_release(pool), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_open, &ran), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_wait(pool, 0), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_stats(pool, &c), -ESHUTDOWN);
    SK_EXPECT_EQ(sk_stats_of(rt).created, 1000);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int release_pool(void *arg)
{
    waiting *w = arg;
    sk_gate_add(&w->waits);
    w->found = skua_pool_release(w->pool);
    return 0;
}

static void *release_as_thread(void *arg)
{
    release_pool(arg);
    return NULL;
}

/* A waiter that was woken, but has no worker to run on, is still in the pool: release does not free it meanwhile. */
SK_TEST(pool_wait, release_waits_for_a_waiter_that_is_slow_to_leave)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    waiting w = {.pool = pool_on(rt, 1, 1), .timeout = SKUA_FOREVER, .found = 1};
    waiting release = {.pool = w.pool, .found = 1};
    sk_holder busy = {0};
    pthread_t thread;
    SK_EXPECT_EQ(skua_pool_submit(w.pool, await_gate, &w.gate), 0);
    skua_task waiter = sk_spawn_on(other, wait_for_pool, &w);
    SK_EXPECT(sk_gate_await(&w.waits, 1));
    skua_task holder = sk_hold_worker(other, &busy); /* runs when the waiter has parked */
    SK_EXPECT_EQ(pthread_create(&thread, NULL, release_as_thread, &release), 0);
    SK_EXPECT(sk_gate_await(&release.waits, 1));
    sk_gate_add(&w.gate);
    skua_sleep(SKUA_MS(20));
    SK_EXPECT_EQ(w.found, 1);
    sk_let_worker_go(&busy, holder);
    pthread_join(thread, NULL);
    SK_EXPECT_EQ(skua_join(waiter, NULL), 0);
    SK_EXPECT(w.found == 0 && release.found == 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int submit_one(void *arg)
{
    waiting *w = arg;
    sk_gate_add(&w->waits);
    w->found = skua_pool_submit(w->pool, sk_give_0, NULL);
    return 0;
}

SK_TEST(pool_wait, a_closing_pool_refuses_whoever_stands_in_line)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 30; i++) {
        skua_pool *pool = pool_on(rt, 1, 1);
        sk_gate gate = 0;
        for (int k = 0; k < 2; k++) SK_EXPECT_EQ(skua_pool_submit(pool, await_gate, &gate), 0);
        waiting line = {.pool = pool, .found = 1}, closer = {.pool = pool, .found = 1};
        skua_pool_counts c;
        SK_EVENTUALLY(skua_pool_stats(pool, &c) == 0 && c.running == 1 && c.queued == 1);
        skua_task in_line = sk_spawn_on(rt, submit_one, &line);
        SK_EXPECT(sk_gate_await(&line.waits, 1));
        skua_task closing = sk_spawn_on(rt, release_pool, &closer);
        SK_EVENTUALLY(skua_pool_try_submit(pool, sk_give_0, NULL) == -ESHUTDOWN);
        SK_EXPECT_EQ(skua_join_for(in_line, SKUA_MS(SK_PATIENCE_MS), NULL), 0); /* while the pool is still full */
        SK_EXPECT_EQ(line.found, -ESHUTDOWN);
        SK_EXPECT_EQ(closer.found, 1);
        sk_gate_add(&gate);
        SK_EXPECT_EQ(skua_join(closing, NULL), 0);
        SK_EXPECT_EQ(closer.found, 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_wait, a_cancelled_release_can_be_repeated)
{
    skua_runtime *rt = sk_runtime_of(2);
    waiting w = {.pool = pool_on(rt, 1, 1), .found = 1};
    SK_EXPECT_EQ(skua_pool_submit(w.pool, await_gate, &w.gate), 0);
    skua_task t = sk_spawn_on(rt, release_pool, &w);
    SK_EVENTUALLY(skua_pool_try_submit(w.pool, sk_give_0, NULL) == -ESHUTDOWN);
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(w.found, -ECANCELED);
    sk_gate_add(&w.gate);
    SK_EXPECT_EQ(skua_pool_release(w.pool), 0);
    SK_EXPECT_EQ(skua_pool_release(w.pool), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a runtime that ends first ---- */

static int sleep_long(void *unused)
{
    (void)unused;
    return skua_sleep(SKUA_S(3600));
}

SK_TEST(pool_wait, a_stopped_runtime_drops_what_is_queued)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { LIMIT = 5, QUEUED = 100 };
    skua_pool_counts c;
    skua_pool *pool = pool_on(rt, LIMIT, QUEUED);
    for (int i = 0; i < LIMIT + QUEUED; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sleep_long, NULL), 0);
    SK_EVENTUALLY(skua_pool_stats(pool, &c) == 0 && c.running == LIMIT && sk_stats_of(rt).parked == LIMIT);
    int stopped = skua_runtime_stop(rt, SKUA_MS(5));
    SK_EXPECT(stopped == 0 || stopped == -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_stats(pool, &c), 0);
    SK_EXPECT_EQ(c.submitted, LIMIT + QUEUED);
    SK_EXPECT_EQ(c.cancelled, LIMIT);
    SK_EXPECT_EQ(c.dropped, QUEUED);
    /* The pool learns of an end a moment before the runtime. */
    SK_EVENTUALLY(sk_stats_of(rt).cancelled == LIMIT && sk_stats_of(rt).dropped == QUEUED);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The pump must not be left behind in a queue that nobody looks at any more: the pool could not be released. */
SK_TEST(pool_wait, a_pool_may_outlive_its_runtime)
{
    for (long i = 0, n = sk_test_scaled(300); i < n; i++) {
        skua_runtime *rt = sk_runtime_of(1 + (uint32_t)i % 3);
        sk_gate ran = 0;
        skua_pool *pool = pool_on(rt, (uint32_t)i % 4, 0);
        for (int k = 0; k < 40; k++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 40);
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
}

/* ---- who gives up while others wait behind it ---- */

typedef struct queuer {
    skua_pool *pool;
    sk_gate *next;
} queuer;

static int wait_in_line(void *arg)
{
    queuer *q = arg;
    sk_gate_add(q->next);
    return skua_pool_wait(q->pool, SKUA_FOREVER);
}

static int hold_open(void *arg)
{
    return sk_gate_hold(arg, 1) ? 0 : -ETIME;
}

/* It cannot take itself out of the middle of those who wait: whoever wakes them passes it over. */
SK_TEST(pool_wait, who_gave_up_in_the_middle_is_passed_over)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 10; round++) {
        sk_gate open = 0, next = 0;
        skua_pool *pool = NULL;
        SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), 0);
        SK_EXPECT_EQ(skua_pool_submit(pool, hold_open, &open), 0);
        queuer q[3];
        skua_task t[3];
        for (uint32_t i = 0; i < 3; i++) {
            q[i] = (queuer){pool, &next};
            t[i] = sk_spawn_on(rt, wait_in_line, &q[i]);
            SK_EXPECT(sk_gate_await(&next, i + 1));
            SK_EVENTUALLY(sk_stats_of(rt).parked == i + 1);
        }
        int result = 1;
        SK_EXPECT_EQ(skua_cancel(t[1]), 0);
        SK_EXPECT(skua_join(t[1], &result) == 0 && result == -ECANCELED);
        sk_gate_add(&open);
        for (int i = 0; i < 3; i += 2) SK_EXPECT(skua_join(t[i], &result) == 0 && result == 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
