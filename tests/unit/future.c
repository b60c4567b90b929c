/* unit/future.c: futures and callbacks: results, waiters, then, cancel, release, and each kind of end. */
#include "support/pools.h"

#include <limits.h>
#include <string.h>

/* What a callback was told. */
typedef struct told {
    sk_gate calls;
    sk_atomic(int) result;
} told;

static void tell(void *ctx, void *given, int result)
{
    (void)given;
    told *t = ctx;
    sk_store_rlx(&t->result, result);
    sk_gate_add(&t->calls);
}

/* A callback that parks. */
static void tell_late(void *ctx, void *given, int result)
{
    SK_EXPECT_EQ(skua_sleep(SKUA_MS(1)), 0);
    tell(ctx, given, result);
}

static void expect_told(told *t, int result)
{
    SK_EXPECT(sk_gate_await(&t->calls, 1));
    SK_EXPECT_EQ(sk_load_rlx(&t->result), result);
    SK_EXPECT_EQ(sk_gate_now(&t->calls), 1);
}

static skua_future submit_future(skua_pool *pool, const skua_submit_options *o, skua_fn *fn, void *arg)
{
    skua_future f = {NULL, 0};
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, o, fn, arg), 0);
    SK_EXPECT(f.ref != NULL);
    return f;
}

static int result_of(skua_future f)
{
    int result = INT_MIN;
    SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    return result;
}

static int take(skua_future f)
{
    int result = result_of(f);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    return result;
}

/* ---- results ---- */

SK_TEST(future, it_gives_the_exact_result_as_often_as_it_is_asked)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    int values[] = {0, 1, 42, INT_MAX, -1, -EIO, INT_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        skua_future f = submit_future(pool, NULL, sk_gives, &values[i]);
        for (int n = 0; n < 3; n++) SK_EXPECT_EQ(result_of(f), values[i]);
        int result = 7;
        SK_EXPECT_EQ(skua_future_try(f, &result), 0);
        SK_EXPECT_EQ(result, values[i]);
        SK_EXPECT_EQ(skua_future_wait(f, 0, NULL), 0);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        SK_EXPECT_EQ(skua_future_release(f), -ESRCH);
        SK_EXPECT_EQ(skua_future_try(f, &result), -ESRCH);
    }
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, 4);
    SK_EXPECT_EQ(c.failed, 3);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Who has waited for the pool finds the futures done; who has the result finds a failure counted. */
static int count_both_ways(void *arg)
{
    skua_pool *pool = arg;
    for (int i = 1; i <= 1000; i++) {
        int want = -i;
        SK_EXPECT_EQ(take(submit_future(pool, NULL, sk_gives, &want)), want);
        SK_EXPECT_EQ(sk_counts_of(pool).failed, 2 * i - 1);
        skua_future f = submit_future(pool, NULL, sk_gives, &want);
        sk_pool_await(pool);
        SK_EXPECT_EQ(skua_future_try(f, NULL), 0);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        SK_EXPECT_EQ(sk_counts_of(pool).failed, 2 * i);
    }
    return 0;
}

SK_TEST(future, when_the_pool_is_at_rest_all_are_done)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2), *other = SK_POOL(.runtime = rt, .limit = 1);
    SK_EXPECT_EQ(sk_run_on(rt, count_both_ways, pool), 0);
    SK_EXPECT_EQ(count_both_ways(other), 0); /* a foreign thread */
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_pool_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(future, it_outlives_its_pool_and_its_runtime)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt);
    int want = 5;
    skua_future f = submit_future(pool, NULL, sk_gives, &want);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(result_of(f), 5);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(take(f), 5);
}

/* ---- waiting ---- */

typedef struct waiter {
    skua_future f;
    uint64_t timeout;
    int got, result;
} waiter;

static int wait_as_task(void *arg)
{
    waiter *w = arg;
    w->got = skua_future_wait(w->f, w->timeout, &w->result);
    return 0;
}

static void *wait_as_thread(void *arg)
{
    wait_as_task(arg);
    return NULL;
}

enum { THREADS = 8, TASKS = 200 };

typedef struct crowd {
    waiter w[THREADS + TASKS];
    pthread_t thread[THREADS];
    skua_task task[TASKS];
} crowd;

static void crowd_waits(crowd *c, skua_runtime *rt, skua_future f)
{
    for (int i = 0; i < THREADS + TASKS; i++) {
        c->w[i] = (waiter){f, SKUA_MS(SK_PATIENCE_MS), 1, 0};
        if (i < THREADS)
            SK_EXPECT_EQ(pthread_create(&c->thread[i], NULL, wait_as_thread, &c->w[i]), 0);
        else
            c->task[i - THREADS] = sk_spawn_on(rt, wait_as_task, &c->w[i]);
    }
    skua_sleep(SKUA_MS(5));
}

static void expect_crowd_got(crowd *c, int got, int result)
{
    for (int i = 0; i < THREADS; i++) pthread_join(c->thread[i], NULL);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join_for(c->task[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    for (int i = 0; i < THREADS + TASKS; i++) {
        SK_EXPECT_EQ(c->w[i].got, got);
        SK_EXPECT_EQ(c->w[i].result, result);
    }
}

static crowd the_crowd;

SK_TEST(future, any_number_of_tasks_and_threads_may_wait)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    for (int round = 0; round < 5; round++) {
        sk_stay s = {0};
        skua_future f = submit_future(pool, NULL, sk_stays, &s);
        crowd_waits(&the_crowd, rt, f);
        SK_EXPECT_EQ(skua_future_try(f, NULL), -EAGAIN);
        sk_gate_add(&s.leave);
        expect_crowd_got(&the_crowd, 0, 0);
        SK_EXPECT_EQ(take(f), 0);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(future, a_release_ends_the_waits_that_are_under_way)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    skua_future f = submit_future(pool, NULL, sk_stays, &s);
    crowd_waits(&the_crowd, rt, f);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    expect_crowd_got(&the_crowd, -ESRCH, 0);
    SK_EXPECT_EQ(skua_future_cancel(f), -ESRCH);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_a_little(void *arg)
{
    waiter *w = arg;
    for (int i = 0; i < 20; i++) {
        SK_EXPECT_EQ(skua_future_wait(w->f, SKUA_US(300), &w->result), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_future_wait(w->f, 0, &w->result), -ETIMEDOUT);
    }
    return 0;
}

SK_TEST(future, a_wait_may_run_out_of_time_and_come_again)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    skua_future f = submit_future(pool, NULL, sk_stays, &s);
    waiter w = {f, 0, 1, 77};
    skua_task tasks[4];
    waiter others[4];
    for (int i = 0; i < 4; i++) {
        others[i] = w;
        tasks[i] = sk_spawn_on(rt, wait_a_little, &others[i]);
    }
    SK_EXPECT_EQ(wait_a_little(&w), 0);
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_join(tasks[i], NULL), 0);
    SK_EXPECT_EQ(w.result, 77);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(take(f), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(future, a_waiting_task_can_be_cancelled)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    waiter w[3];
    skua_task task[3];
    w[0].f = submit_future(pool, NULL, sk_stays, &s);
    for (int i = 0; i < 3; i++) {
        w[i] = (waiter){w[0].f, SKUA_FOREVER, 1, 0};
        task[i] = sk_spawn_on(rt, wait_as_task, &w[i]);
    }
    skua_sleep(SKUA_MS(2));
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(skua_cancel(task[i]), 0);
        SK_EXPECT_EQ(skua_join_for(task[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT(w[i].got == -ECANCELED || w[i].got == 1); /* 1: before its start */
    }
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(take(w[0].f), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- then ---- */

SK_TEST(future, then_is_called_once_when_it_ends_or_at_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    told later = {0}, never = {0}, at_once = {0}, again = {0};
    skua_future f = submit_future(pool, NULL, sk_stays, &s);
    SK_EXPECT_EQ(skua_future_then(f, tell_late, &later, NULL), 0);
    SK_EXPECT_EQ(skua_future_then(f, tell, &never, NULL), -EALREADY);
    SK_EXPECT_EQ(skua_future_then(f, NULL, &never, NULL), -EINVAL);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(result_of(f), 0);
    expect_told(&later, 0);
    SK_EXPECT_EQ(skua_future_then(f, tell, &at_once, NULL), 0);
    SK_EXPECT_EQ(skua_future_then(f, tell, &again, NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&at_once.calls), 1);
    SK_EXPECT_EQ(sk_gate_now(&again.calls), 1);
    SK_EXPECT_EQ(sk_gate_now(&never.calls), 0);
    SK_EXPECT_EQ(take(f), 0);
    SK_EXPECT_EQ(skua_future_then(f, tell, &never, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Against the end, at any moment of it; and released at once. */
SK_TEST(future, then_survives_the_release_and_races_with_the_end)
{
    enum { N = 3000 };
    static told t[N];
    static int values[N];
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 4);
    memset(t, 0, sizeof t);
    for (int i = 0; i < N; i++) {
        values[i] = i % 2 ? i : -i - 1;
        skua_future f = submit_future(pool, NULL, sk_gives, &values[i]);
        for (int spin = i % 100; spin; spin--) sk_cpu_relax();
        SK_EXPECT_EQ(skua_future_then(f, tell, &t[i], NULL), 0);
        SK_EXPECT_EQ(skua_future_release(f), 0);
    }
    for (int i = 0; i < N; i++) expect_told(&t[i], values[i]);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- each kind of end ---- */

static int gives_up(void *arg)
{
    (void)arg;
    skua_panic_task("as it shall");
}

/* Submits fn with a future, a callback and a then. */
typedef struct probe {
    told ended, then;
    skua_future f;
} probe;

static void submit_probe(skua_pool *pool, probe *p, skua_submit_options o, skua_fn *fn, void *arg)
{
    memset(p, 0, sizeof *p);
    o.ended = (skua_ended){o.ended.fn ? o.ended.fn : tell_late, &p->ended, NULL};
    p->f = submit_future(pool, &o, fn, arg);
    SK_EXPECT_EQ(skua_future_then(p->f, tell, &p->then, NULL), 0);
}

static void expect_probe(probe *p, int result)
{
    SK_EXPECT_EQ(result_of(p->f), result);
    SK_EXPECT_EQ(sk_gate_now(&p->ended.calls), 1); /* before the future is done */
    expect_told(&p->ended, result);
    expect_told(&p->then, result);
    SK_EXPECT_EQ(skua_future_release(p->f), 0);
}

SK_TEST(future, callbacks_are_called_once_in_every_kind_of_end)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    const skua_submit_options none = {0};
    probe p[8];
    sk_stay s = {0};
    int eio = -EIO, three = 3;
    submit_probe(pool, &p[0], none, sk_gives, &three);
    submit_probe(pool, &p[1], none, sk_gives, &eio);
    submit_probe(pool, &p[2], none, gives_up, NULL);
    submit_probe(pool, &p[3], (skua_submit_options){.run_within = SKUA_MS(1)}, sk_stays, &s);
    expect_probe(&p[0], 3);
    expect_probe(&p[1], -EIO);
    expect_probe(&p[2], -EFAULT);
    expect_probe(&p[3], -ETIMEDOUT);
    submit_probe(pool, &p[4], none, sk_stays, &s); /* running, then cancelled */
    SK_EXPECT(sk_gate_await(&s.entered, 2));
    submit_probe(pool, &p[5], none, sk_gives, &three); /* cancelled in the queue */
    submit_probe(pool, &p[6], (skua_submit_options){.start_within = SKUA_MS(1)}, sk_gives, &three);
    submit_probe(pool, &p[7], none, sk_gives, &three); /* dropped */
    skua_sleep(SKUA_MS(5));
    SK_EXPECT_EQ(skua_future_cancel(p[5].f), 0);
    SK_EXPECT_EQ(skua_future_cancel(p[5].f), -EALREADY);
    SK_EXPECT_EQ(skua_future_cancel(p[4].f), 0);
    expect_probe(&p[4], -ECANCELED);
    expect_probe(&p[5], -ECANCELED);
    expect_probe(&p[6], -ETIMEDOUT);
    expect_probe(&p[7], 3);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, 2);
    SK_EXPECT_EQ(c.failed, 2);
    SK_EXPECT_EQ(c.cancelled, 2);
    SK_EXPECT_EQ(c.expired, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(future, what_is_dropped_is_told_so)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 16);
    static probe p[11];
    sk_stay s = {0};
    for (int i = 0; i < 11; i++) submit_probe(pool, &p[i], (skua_submit_options){0}, sk_stays, &s);
    SK_EXPECT(sk_gate_await(&s.entered, 1));
    SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(20)), -ETIMEDOUT);
    for (int i = 1; i < 11; i++) expect_probe(&p[i], -ESHUTDOWN);
    sk_gate_add(&s.leave);
    expect_probe(&p[0], 0);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.dropped, 10);
    SK_EXPECT_EQ(c.done, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A runtime that stops drops what is queued: futures and callbacks hear of it. */
SK_TEST(future, the_end_of_the_runtime_strands_nobody)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 64);
    static probe p[40];
    sk_stay s = {0};
    const skua_submit_options o = {.ended = {.fn = tell}}; /* which does not park */
    for (int i = 0; i < 40; i++) submit_probe(pool, &p[i], o, sk_stays, &s);
    SK_EVENTUALLY(skua_runtime_stop(rt, SKUA_MS(1)) == 0);
    for (int i = 0; i < 40; i++) {
        int result = result_of(p[i].f);
        SK_EXPECT(result == -ECANCELED || result == -ESHUTDOWN);
        expect_told(&p[i].ended, result);
        expect_told(&p[i].then, result);
        SK_EXPECT_EQ(skua_future_release(p[i].f), 0);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the ended callback ---- */

typedef struct inspector {
    skua_pool *pool;
    sk_gate calls;
} inspector;

static void inspect(void *ctx, void *given, int result)
{
    (void)given;
    inspector *i = ctx;
    (void)result;
    skua_pool_counts c = sk_counts_of(i->pool);
    SK_EXPECT_EQ(c.running, 1);
    SK_EXPECT_EQ(c.done + c.failed + c.cancelled + c.dropped + c.expired, 0);
    SK_EXPECT_EQ(skua_pool_wait(i->pool, SKUA_FOREVER), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(i->pool), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_restart(i->pool), 0);
    SK_EXPECT_EQ(skua_sleep(SKUA_MS(1)), 0);
    sk_gate_add(&i->calls);
}

/* Of a task that ends by itself, of one that is late, and of one that never started. */
SK_TEST(future, the_callback_comes_before_the_task_counts_as_ended)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 3; kind++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
        inspector i = {pool, 0};
        sk_stay s = {0};
        skua_submit_options o = {.ended = {inspect, &i, NULL}, .run_within = kind == 1 ? SKUA_MS(1) : 0};
        if (kind == 2) SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        skua_future f = submit_future(pool, &o, kind == 0 ? sk_give_0 : sk_stays, &s);
        if (kind == 2) SK_EXPECT_EQ(skua_pool_cancel(pool), 1);
        if (kind == 2) SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        SK_EXPECT_EQ(take(f), kind == 0 ? 0 : kind == 1 ? -ETIMEDOUT : -ECANCELED);
        SK_EXPECT_EQ(sk_gate_now(&i.calls), 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void give_up_in_callback(void *ctx, void *given, int result)
{
    (void)given;
    (void)result;
    sk_gate_add(ctx);
    skua_panic_task("in the callback");
}

SK_TEST(future, a_callback_that_gives_up_ends_its_task_as_failed)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_gate calls = 0;
    skua_submit_options o = {.ended = {give_up_in_callback, &calls, NULL}};
    SK_EXPECT_EQ(take(submit_future(pool, &o, sk_give_0, NULL)), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&calls), 1);
    SK_EXPECT_EQ(sk_counts_of(pool).failed, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- bad input ---- */

static int wait_for_oneself(void *arg)
{
    skua_future *f = arg;
    while (!f->ref) skua_sleep(SKUA_US(100));
    return skua_future_wait(*f, SKUA_FOREVER, NULL);
}

SK_TEST(future, bad_input_is_refused)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_future f = {pool, 1}, null = {NULL, 0};
    skua_task task;
    int result = 0;
    SK_EXPECT_EQ(skua_pool_submit_future(NULL, &f, NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT(f.ref == NULL);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, NULL, NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, NULL, NULL, NULL), -EINVAL);
    skua_submit_options o = {.retry = {.times = 1, .jitter = 101}};
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, sk_give_0, NULL), -EINVAL);
    o = (skua_submit_options){.retry = {.times = 1}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, &o, sk_give_0, NULL), -ENOTSUP);
    o = (skua_submit_options){.level = 1};
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, sk_give_0, NULL), -EDOM);
    SK_EXPECT(f.ref == NULL);
    SK_EXPECT_EQ(skua_future_wait(null, 0, &result), -ESRCH);
    SK_EXPECT_EQ(skua_future_try(null, &result), -ESRCH);
    SK_EXPECT_EQ(skua_future_cancel(null), -ESRCH);
    SK_EXPECT_EQ(skua_future_release(null), -ESRCH);
    SK_EXPECT_EQ(skua_future_then(null, tell, NULL, NULL), -ESRCH);
    /* Numbers that were negative once. */
    o = (skua_submit_options){.run_within = (uint64_t)-1, .finish_within = (uint64_t)-2, .start_within = (uint64_t)-3};
    f = submit_future(pool, &o, sk_give_0, NULL);
    SK_EXPECT_EQ(skua_future_wait(f, (uint64_t)-5, &result), 0);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    /* A handle of the life before. */
    skua_future stale = f;
    f = submit_future(pool, NULL, sk_give_0, NULL);
    SK_EXPECT_EQ(skua_future_release(stale), -ESRCH);
    SK_EXPECT_EQ(take(f), 0);
    static skua_future own;
    own = null;
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &own, NULL, wait_for_oneself, &own), 0);
    SK_EXPECT_EQ(take(own), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, NULL, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* What a submitter runs himself has a future and a callback as well. */
SK_TEST(future, a_task_that_its_submitter_runs_has_them_too)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
    sk_stay s = {0};
    told t = {0};
    int nine = -9;
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    skua_submit_options o = {.ended = {tell, &t, NULL}, .retry = {.times = 2, .backoff = SKUA_US(10)}};
    skua_future f = submit_future(pool, &o, sk_gives, &nine);
    int result = 0;
    SK_EXPECT_EQ(skua_future_try(f, &result), 0);
    SK_EXPECT_EQ(result, -9);
    SK_EXPECT_EQ(sk_gate_now(&t.calls), 1);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.failed, 1);
    SK_EXPECT_EQ(c.retried, 2);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- many ---- */

static sk_gate called_back;

static void count_call(void *ctx, void *given, int result)
{
    (void)given;
    (void)result;
    sk_gate_add(ctx);
}

static int odd_fails(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    if (i % 3 == 0) skua_sleep(SKUA_US(50));
    return i % 2 ? -(int)i : (int)i;
}

SK_TEST(future, ten_thousand_with_a_limit)
{
    enum { N = 10000 };
    static skua_future f[N];
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 20, .queue = 64);
    skua_submit_options o = {.run_within = SKUA_S(100), .ended = {count_call, &called_back, NULL}};
    for (uintptr_t i = 0; i < N; i++) f[i] = submit_future(pool, i % 4 ? &o : NULL, odd_fails, (void *)i);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(take(f[i]), i % 2 ? -i : i);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, N / 2);
    SK_EXPECT_EQ(c.failed, N / 2);
    SK_EXPECT_EQ(sk_gate_now(&called_back), N - N / 4);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
