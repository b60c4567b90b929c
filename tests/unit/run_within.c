/* unit/run_within.c: the limit of an attempt: whoever looks sees it, whether a timer stands for it or not. */
#include <pthread.h>

#include "support/pools.h"

#define LIMIT SKUA_MS(2)
#define FOREVER SKUA_S(1000)

/* One task, and what it and its callback have seen. */
typedef struct probe {
    sk_gate calls;
    sk_atomic(int) seen, told, slept; /* slept: in the callback */
} probe;

static void tell(void *ctx, void *given, int result)
{
    probe *p = ctx;
    (void)given;
    sk_store_rlx(&p->told, result);
    sk_store_rlx(&p->slept, skua_sleep(SKUA_US(10)));
    sk_gate_add(&p->calls);
}

/* Until the time has passed, without a park. */
static void spin(uint64_t ns)
{
    for (uint64_t end = skua_now() + ns; skua_now() < end;)
        ;
}

static int take_time(void *arg)
{
    spin(*(uint64_t *)arg);
    return 0;
}

static int see(probe *p, int error)
{
    sk_store_rlx(&p->seen, error);
    return 7;
}

static int ask_busily(void *arg)
{
    int error = 0;
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !error && skua_now() < give_up;)
        error = skua_cancelled();
    return see(arg, error);
}

static int ask_in_a_call(void *arg)
{
    int error = skua_blocking_begin();
    spin(2 * LIMIT);
    if (!error) error = skua_cancelled();
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return see(arg, error);
}

static int sleep_for_no_time(void *arg)
{
    spin(2 * LIMIT);
    return see(arg, skua_sleep(0));
}

static int sleep_little_and_often(void *arg)
{
    int error = 0;
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !error && skua_now() < give_up;)
        error = skua_sleep(SKUA_US(100));
    return see(arg, error);
}

static int sleep_long(void *arg)
{
    return see(arg, skua_sleep(FOREVER));
}

static int sleep_long_too_late(void *arg)
{
    spin(2 * LIMIT);
    return see(arg, skua_sleep(FOREVER));
}

static int ask_once(void *arg)
{
    spin(2 * LIMIT);
    return see(arg, skua_cancelled());
}

static int never_ask(void *arg)
{
    spin(2 * LIMIT);
    return see(arg, -ETIMEDOUT);
}

static int give_up_late(void *arg)
{
    spin(2 * LIMIT);
    (void)see(arg, -ETIMEDOUT);
    skua_panic_task("late");
}

static skua_fn *const late[] = {ask_busily, ask_in_a_call,       sleep_for_no_time, sleep_little_and_often,
                                sleep_long, sleep_long_too_late, never_ask,         give_up_late,
                                ask_once};

enum { CALLBACK = 1, RETRY = 2, STARTS_BY = 4, FINISHES_BY = 8, KINDS = 16 };

static void expect_late(skua_runtime *rt, skua_fn *fn, int kind)
{
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    probe p = {.told = -ETIMEDOUT};
    skua_future f;
    int result = 0;
    skua_submit_options o = {.run_within = LIMIT};
    if (kind & CALLBACK) o.ended = (skua_ended){tell, &p, NULL};
    if (kind & RETRY) o.retry.times = 1;
    if (kind & STARTS_BY) o.start_within = FOREVER;
    if (kind & FINISHES_BY) o.finish_within = FOREVER;
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, fn, &p), 0);
    SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    SK_EXPECT_EQ(sk_load_rlx(&p.seen), -ETIMEDOUT);
    SK_EXPECT_EQ(sk_load_rlx(&p.told), -ETIMEDOUT);
    SK_EXPECT_EQ(sk_load_rlx(&p.slept), 0); /* a callback has all its time */
    SK_EXPECT_EQ(sk_gate_now(&p.calls), kind & CALLBACK ? 1 : 0);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.expired, 1);
    SK_EXPECT_EQ(c.retried, kind & RETRY ? 1 : 0);
    SK_EXPECT_EQ(skua_future_release(f), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

SK_TEST(run_within, whoever_looks_sees_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (size_t i = 0; i < sizeof late / sizeof *late; i++)
        for (int kind = 0; kind < KINDS; kind++) expect_late(rt, late[i], kind);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The joiner of one that nobody could look after, as its only worker was busy. */
SK_TEST(run_within, a_joiner_sees_it)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_submit_options o = {.run_within = LIMIT};
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        probe p = {.told = 0};
        skua_task task;
        int result = 0;
        SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, &o, late[i], &p), 0);
        SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, -ETIMEDOUT);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_load_rlx(&p.seen), -ETIMEDOUT);
        SK_EXPECT_EQ(sk_counts_of(pool).expired, i + 1);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A joiner that waits already when its task begins, and whether it was told before the callback was over. */
typedef struct early {
    skua_task task;
    sk_gate joins, leave, over;
    bool in_time;
    int result;
} early;

static void take_half_a_second(void *ctx, void *given, int result)
{
    early *e = ctx;
    (void)given;
    (void)result;
    for (int i = 0; i < 500 && !sk_gate_now(&e->leave); i++) skua_sleep(SKUA_MS(1));
    sk_gate_add(&e->over);
}

static void *join_early(void *arg)
{
    early *e = arg;
    sk_gate_add(&e->joins);
    SK_EXPECT_EQ(skua_join_for(e->task, SKUA_MS(SK_PATIENCE_MS), &e->result), 0);
    e->in_time = !sk_gate_now(&e->over);
    sk_gate_add(&e->leave);
    return NULL;
}

/* The task finds out by itself, before its timer is looked after; its callback then takes its time. */
SK_TEST(run_within, a_joiner_does_not_wait_for_the_callback)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    int in_time = 0;
    for (int i = 0; in_time < 8; i++) { /* on a busy machine it may be told so late that the callback is over */
        SK_EXPECT(i < 60);
        early e = {.result = 0};
        pthread_t thread;
        uint64_t time = LIMIT + SKUA_US(20) * (uint64_t)(i % 10);
        skua_submit_options o = {.run_within = LIMIT, .ended = {take_half_a_second, &e, NULL}};
        SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        SK_EXPECT_EQ(skua_pool_submit_with(pool, &e.task, &o, take_time, &time), 0);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, join_early, &e), 0);
        SK_EXPECT(sk_gate_await(&e.joins, 1));
        skua_sleep(SKUA_MS(30)); /* until it waits, on most machines */
        SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
        SK_EXPECT_EQ(e.result, -ETIMEDOUT);
        in_time += e.in_time;
        sk_pool_await(pool);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int ask_after_the_time(void *arg)
{
    spin(SKUA_MS(40));
    return see(arg, skua_cancelled());
}

/* With the limit of all attempts, which passes a little sooner. */
SK_TEST(run_within, the_earlier_of_two_limits_counts)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_submit_options o = {.run_within = SKUA_MS(20), .finish_within = SKUA_MS(20)};
    int begun = 0;
    for (int i = 0; i < 1000 && begun < 10; i++) { /* one that waits for its start for so long does not begin */
        probe p = {.told = 0};
        skua_future f;
        int result = 0;
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, ask_after_the_time, &p), 0);
        SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, -ETIMEDOUT);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        sk_pool_await(pool);
        if (sk_load_rlx(&p.seen) == 0) SK_EXPECT_EQ(sk_counts_of(pool).expired, (uint64_t)i + 1);
        begun += sk_load_rlx(&p.seen) == -ETIMEDOUT;
    }
    SK_EXPECT_EQ(begun, 10);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct leaver {
    skua_deferred call;
    skua_fn *fn;
    probe seen;
} leaver;

static int defer_it(void *arg)
{
    leaver *l = arg;
    SK_EXPECT_EQ(skua_defer(&l->call, l->fn, &l->seen), 0);
    return 7;
}

static int defer_it_and_give_up(void *arg)
{
    (void)defer_it(arg);
    skua_panic_task("early");
}

/* What a task has deferred belongs to its run. */
SK_TEST(run_within, counts_in_deferred_calls)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    static skua_fn *const calls[] = {ask_busily, sleep_long, sleep_long_too_late, never_ask};
    static skua_fn *const who[] = {defer_it, defer_it_and_give_up};
    skua_submit_options o = {.run_within = LIMIT};
    for (size_t i = 0; i < 8; i++) {
        leaver l = {.fn = calls[i / 2]};
        skua_future f;
        int result = 0;
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, who[i % 2], &l), 0);
        SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, -ETIMEDOUT);
        SK_EXPECT_EQ(sk_load_rlx(&l.seen.seen), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_future_release(f), 0);
    }
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int nap(void *arg)
{
    sk_gate *wrong = arg;
    if (skua_sleep(SKUA_US(100)) || skua_cancelled()) sk_gate_add(wrong);
    return 0;
}

static uint64_t timers_armed(skua_runtime *rt)
{
    skua_stats stats;
    SK_EXPECT(skua_runtime_stats(rt, &stats, NULL, 0) > 0);
    return stats.total.timers_armed;
}

SK_TEST(run_within, costs_no_timer_when_the_task_sleeps_for_less)
{
    enum { TASKS = 500 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 100);
    sk_gate wrong = 0;
    skua_submit_options o = {.run_within = FOREVER};
    uint64_t before = timers_armed(rt);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, nap, &wrong), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&wrong), 0);
    SK_EXPECT_EQ(timers_armed(rt) - before, TASKS); /* each one's sleep */
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sleep_on(void *arg)
{
    sk_gate *wrong = arg;
    if (skua_sleep(2 * LIMIT) || skua_cancelled()) sk_gate_add(wrong);
    return 0;
}

/* The next task in the memory of one that was limited, late or not, has all its time. */
SK_TEST(run_within, is_gone_with_its_task)
{
    enum { ROUNDS = 20, TASKS = 50 };
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = TASKS);
    sk_gate wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        skua_submit_options o = {.run_within = i % 2 ? LIMIT : 1};
        uint64_t time = i % 2 ? 0 : 10;
        for (int k = 0; k < TASKS; k++) SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, take_time, &time), 0);
        sk_pool_await(pool);
        for (int k = 0; k < TASKS; k++) SK_EXPECT_EQ(skua_pool_submit(pool, sleep_on, &wrong), 0);
        sk_pool_await(pool);
    }
    SK_EXPECT_EQ(sk_gate_now(&wrong), 0);
    SK_EXPECT(sk_counts_of(pool).expired >= ROUNDS / 2 * TASKS);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
