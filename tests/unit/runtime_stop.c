/* unit/runtime_stop.c: the end of a runtime: each task in exactly one state, and errors instead of crashes after it. */
#include "support/tasks.h"

static int sleep_long(void *arg)
{
    int error = skua_sleep(SKUA_S(3600));
    if (error == -ECANCELED) sk_gate_add(arg);
    return error;
}

SK_TEST(runtime_stop, waits_for_all_that_has_been_accepted)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_gate ran = 0;
    for (int i = 0; i < 1000; i++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sk_open, &ran)), 0);
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1000);
    SK_EXPECT_EQ(sk_stats_of(rt).done, 1000);
    SK_EXPECT_EQ(skua_runtime_stop(rt, 0), 0); /* again: nothing is left */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int spawn_more(void *arg)
{
    for (int i = 0; i < 100; i++) {
        SK_EXPECT_EQ(skua_go(sk_open, arg), 0); /* running tasks may still spawn */
        skua_sleep(SKUA_US(100));
    }
    return 0;
}

SK_TEST(runtime_stop, running_tasks_may_still_spawn)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate ran = 0;
    skua_task t = sk_spawn_on(rt, spawn_more, &ran);
    SK_EXPECT(sk_gate_await(&ran, 1));
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 100);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(runtime_stop, cancels_what_is_left_when_time_is_up)
{
    enum { PARKED = 50, QUEUED = 30, DELAYED = 20 };
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate cancelled = 0, ran = 0;
    sk_holder holder = {0};
    skua_task parked[PARKED], queued[QUEUED], delayed[DELAYED];
    skua_task_options later = {.runtime = rt, .delay = SKUA_S(3600)};
    for (int i = 0; i < PARKED; i++) parked[i] = sk_spawn_on(rt, sleep_long, &cancelled);
    SK_EVENTUALLY(sk_stats_of(rt).parked == PARKED);
    skua_task held = sk_hold_worker(rt, &holder);
    for (int i = 0; i < QUEUED; i++) queued[i] = sk_spawn_on(rt, sk_open, &ran);
    for (int i = 0; i < DELAYED; i++) SK_EXPECT_EQ(skua_spawn_with(&delayed[i], &later, sk_open, &ran), 0);
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_MS(10)), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(10));
    sk_let_worker_go(&holder, held);
    SK_EVENTUALLY(skua_runtime_stop(rt, SKUA_MS(10)) == 0);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.created, PARKED + QUEUED + DELAYED + 1);
    SK_EXPECT_EQ(s.dropped, QUEUED + DELAYED);
    SK_EXPECT_EQ(s.cancelled, PARKED);
    SK_EXPECT_EQ(s.done, 1);
    SK_EXPECT_EQ(s.queued + s.running + s.parked, 0);
    SK_EXPECT_EQ(sk_gate_now(&cancelled), PARKED);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    int result = 0;
    for (int i = 0; i < PARKED; i++) SK_EXPECT(skua_join(parked[i], &result) == 0 && result == -ECANCELED);
    for (int i = 0; i < QUEUED; i++) SK_EXPECT(skua_join(queued[i], &result) == 0 && result == -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    /* Handles outlive the runtime. */
    for (int i = 0; i < DELAYED; i++) SK_EXPECT(skua_join(delayed[i], &result) == 0 && result == -ESHUTDOWN);
    SK_EXPECT_EQ(skua_join(delayed[0], &result), -ESRCH);
}

SK_TEST(runtime_stop, drops_timers_at_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_gate ran = 0;
    enum { TIMERS = 1000 };
    for (int i = 0; i < TIMERS; i++) {
        skua_task_options o = {.runtime = rt, .delay = SKUA_S(60) + SKUA_US(i), .finish_within = i % 2 ? SKUA_S(9) : 0};
        SK_EXPECT_EQ(skua_spawn_with(NULL, &o, sk_open, &ran), 0);
    }
    SK_EXPECT_EQ(sk_stats_of(rt).queued, TIMERS);
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_FOREVER), 0);
    SK_EXPECT(skua_now() - before < SKUA_S(30));
    SK_EXPECT_EQ(sk_stats_of(rt).dropped, TIMERS);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int stop_myself(void *unused)
{
    (void)unused;
    SK_EXPECT_EQ(skua_runtime_stop(skua_runtime_current(), 0), -EDEADLK);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_current()), -EDEADLK);
    return 3;
}

SK_TEST(runtime_stop, not_by_its_own_task)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, stop_myself, NULL), 3);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0); /* and it goes on */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct stopping {
    skua_runtime *other;
    int found;
} stopping;

static int stop_the_other(void *arg)
{
    stopping *s = arg;
    s->found = skua_runtime_stop(s->other, SKUA_MS(5));
    return 0;
}

SK_TEST(runtime_stop, by_a_task_of_another)
{
    skua_runtime *rt = sk_runtime_of(1);
    stopping s = {.other = sk_runtime_of(1)};
    sk_gate cancelled = 0;
    SK_EXPECT_EQ(skua_detach(sk_spawn_on(s.other, sleep_long, &cancelled)), 0);
    SK_EVENTUALLY(sk_stats_of(s.other).parked == 1);
    SK_EXPECT_EQ(sk_run_on(rt, stop_the_other, &s), 0);
    SK_EXPECT(s.found == -ETIMEDOUT || s.found == 0);
    SK_EVENTUALLY(sk_stats_of(s.other).cancelled == 1);
    SK_EXPECT_EQ(skua_runtime_release(s.other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(runtime_stop, a_stopped_runtime_refuses)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_task t = {(void *)&t, 1};
    skua_pool *pool;
    SK_EXPECT_EQ(skua_runtime_stop(rt, 0), 0);
    skua_task_options o = {.runtime = rt};
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_spawn_with(NULL, &o, sk_give_0, NULL), -ESHUTDOWN);
    o.delay = SKUA_MS(1);
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_resize(rt, 2), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), -ESHUTDOWN);
    SK_EXPECT(pool == NULL);
    SK_EXPECT_EQ(sk_stats_of(rt).created, 0); /* what was refused was not accepted */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Who may not park any more waits all the same, and not by spinning. */
static int stop_after_a_cancel(void *other)
{
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_cancel(skua_self()), 0);
    SK_EXPECT_EQ(skua_runtime_stop(other, SKUA_MS(10)), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(10));
    return skua_cancelled();
}

SK_TEST(runtime_stop, by_a_cancelled_task_of_another)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    sk_holder h = {0};
    skua_task busy = sk_hold_worker(other, &h);
    SK_EXPECT_EQ(sk_run_on(rt, stop_after_a_cancel, other), -ECANCELED);
    sk_let_worker_go(&h, busy);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- who spawns while all is being cancelled ---- */

typedef struct latecomer {
    skua_runtime *to;
    sk_gate in, go, ran;
} latecomer;

static int spawn_too_late(void *arg)
{
    latecomer *l = arg;
    skua_task t[3];
    sk_gate_add(&l->in);
    if (!sk_gate_hold(&l->go, 1)) return -ETIME;
    if (skua_runtime_current() == l->to) {
        SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
        SK_EXPECT_EQ(skua_go(sk_open, &l->ran), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_spawn(t, sk_open, &l->ran), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_spawn_batch(t, 3, sk_open, NULL), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_spawn_batch(NULL, 0, sk_open, NULL), 0);
    }
    SK_EXPECT_EQ(skua_spawn_with(t, &(skua_task_options){.runtime = l->to}, sk_open, &l->ran), -ESHUTDOWN);
    return 0;
}

SK_TEST(runtime_stop, a_cancelled_task_may_not_spawn)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    latecomer inside = {.to = rt}, outside = {.to = rt};
    skua_task in = sk_spawn_on(rt, spawn_too_late, &inside), out = sk_spawn_on(other, spawn_too_late, &outside);
    SK_EXPECT(sk_gate_await(&inside.in, 1) && sk_gate_await(&outside.in, 1));
    SK_EXPECT_EQ(skua_runtime_stop(rt, 0), -ETIMEDOUT);
    sk_gate_add(&inside.go);
    sk_gate_add(&outside.go);
    int result[2] = {1, 1};
    SK_EXPECT(skua_join(in, &result[0]) == 0 && skua_join(out, &result[1]) == 0);
    SK_EXPECT(result[0] == 0 && result[1] == 0);
    SK_EXPECT_EQ(sk_gate_now(&inside.ran) + sk_gate_now(&outside.ran), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).created, 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
}

SK_TEST(runtime_stop, a_released_runtime_refuses_all)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_gate ran = 0;
    skua_stats s;
    skua_pool *pool;
    skua_task t = sk_spawn_on(rt, sk_open, &ran);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1);
    for (int i = 0; i < 2; i++) {
        SK_EXPECT_EQ(skua_runtime_release(rt), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_runtime_stop(rt, 0), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_runtime_resize(rt, 1), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_runtime_stats(rt, &s, NULL, 0), -ESHUTDOWN);
        SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), -ESHUTDOWN);
        skua_task other;
        SK_EXPECT_EQ(skua_spawn_with(&other, &(skua_task_options){.runtime = rt}, sk_give_0, NULL), -ESHUTDOWN);
    }
    SK_EXPECT_EQ(skua_cancel(t), -EALREADY);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(skua_join(t, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_cancel(t), -ESRCH);
}

SK_TEST(runtime_stop, many_lives)
{
    for (long i = 0, n = sk_test_scaled(100); i < n; i++) {
        skua_runtime *rt = sk_runtime_of(1 + (uint32_t)i % 4);
        sk_gate ran = 0;
        for (int k = 0; k < 20; k++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sk_open, &ran)), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 20);
    }
}
