/* unit/task_cancel.c: what a cancel does to a task that is delayed, queued, parked, running or ended. */
#include "support/tasks.h"

static int count_run(void *arg)
{
    sk_gate_add(arg);
    return 0;
}

SK_TEST(task_cancel, a_queued_task_never_starts)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_holder holder = {0};
    sk_gate ran = 0;
    int result = 1;
    skua_task held = sk_hold_worker(rt, &holder);
    skua_task queued = sk_spawn_on(rt, count_run, &ran), other = sk_spawn_on(rt, count_run, &ran);
    SK_EXPECT_EQ(skua_cancel(queued), 0);
    SK_EXPECT_EQ(skua_cancel(queued), -EALREADY);
    sk_let_worker_go(&holder, held);
    SK_EXPECT_EQ(skua_join(queued, &result), 0);
    SK_EXPECT_EQ(result, -ECANCELED);
    SK_EXPECT_EQ(skua_cancel(queued), -ESRCH);
    SK_EXPECT_EQ(skua_join(other, &result), 0);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.cancelled, 1);
    SK_EXPECT_EQ(s.done, 2);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(task_cancel, a_delayed_task_ends_at_once)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate ran = 0;
    skua_task t;
    int result = 1;
    SK_EXPECT_EQ(skua_spawn_with(&t, &(skua_task_options){.runtime = rt, .delay = SKUA_S(3600)}, count_run, &ran), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).queued, 1);
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EXPECT_EQ(skua_cancel(t), -EALREADY);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    SK_EXPECT_EQ(result, -ECANCELED);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).cancelled, 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sleep_until_cancelled(void *arg)
{
    sk_gate_add(arg);
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ECANCELED);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ECANCELED); /* and so does each park after it */
    SK_EXPECT_EQ(skua_sleep(0), -ECANCELED);
    SK_EXPECT(skua_now() - before < SKUA_S(60));
    SK_EXPECT_EQ(skua_yield(), 0); /* a yield is no wait */
    return -ECANCELED;
}

SK_TEST(task_cancel, a_parked_task_is_woken)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { SLEEPERS = 100 };
    sk_gate asleep = 0;
    skua_task t[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) t[i] = sk_spawn_on(rt, sleep_until_cancelled, &asleep);
    SK_EVENTUALLY(sk_stats_of(rt).parked == SLEEPERS);
    for (int i = 0; i < SLEEPERS; i++) {
        SK_EXPECT_EQ(skua_cancel(t[i]), 0);
        SK_EXPECT_EQ(skua_cancel(t[i]), -EALREADY);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        int result = 1;
        SK_EXPECT_EQ(skua_join(t[i], &result), 0);
        SK_EXPECT_EQ(result, -ECANCELED);
    }
    SK_EXPECT_EQ(sk_stats_of(rt).cancelled, SLEEPERS);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int work_until_cancelled(void *arg)
{
    SK_EXPECT_EQ(skua_cancelled(), 0);
    sk_gate_add(arg);
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    while (!skua_cancelled()) SK_EXPECT(skua_now() < give_up);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ECANCELED);
    return 9; /* it may finish what it does */
}

SK_TEST(task_cancel, a_running_task_sees_it)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate running = 0;
    int result = 1;
    skua_task t = sk_spawn_on(rt, work_until_cancelled, &running);
    SK_EXPECT(sk_gate_await(&running, 1));
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    SK_EXPECT_EQ(result, 9);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.done, 1);
    SK_EXPECT_EQ(s.cancelled, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(task_cancel, an_ended_task_is_ended)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_task t = sk_spawn_on(rt, sk_give_0, NULL);
    SK_EVENTUALLY(sk_stats_of(rt).done == 1);
    SK_EXPECT_EQ(skua_cancel(t), -EALREADY);
    int result = 1;
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(skua_cancel(t), -ESRCH);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct family {
    skua_task child;
    sk_gate joining, free_child;
} family;

static int join_until_cancelled(void *arg)
{
    family *f = arg;
    int result = 77;
    sk_gate_add(&f->joining);
    SK_EXPECT_EQ(skua_join(f->child, &result), -ECANCELED);
    SK_EXPECT_EQ(result, 77);
    return -ECANCELED;
}

static int await_freedom(void *arg)
{
    return sk_gate_await(&((family *)arg)->free_child, 1) ? 11 : -ETIME;
}

SK_TEST(task_cancel, a_cancelled_joiner_leaves_the_handle_valid)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 50; i++) {
        family f = {0};
        int result = 0;
        f.child = sk_spawn_on(rt, await_freedom, &f);
        skua_task joiner = sk_spawn_on(rt, join_until_cancelled, &f);
        if (i % 2)
            SK_EVENTUALLY(skua_join_for(f.child, 0, NULL) == -EBUSY);
        else
            SK_EXPECT(sk_gate_await(&f.joining, 1));
        SK_EXPECT_EQ(skua_cancel(joiner), 0);
        SK_EXPECT_EQ(skua_join(joiner, &result), 0);
        SK_EXPECT_EQ(result, -ECANCELED);
        SK_EXPECT_EQ(skua_join_for(f.child, 0, NULL), -ETIMEDOUT);
        sk_gate_add(&f.free_child);
        SK_EXPECT_EQ(skua_join(f.child, &result), 0);
        SK_EXPECT_EQ(result, 11);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int cancel_self(void *unused)
{
    (void)unused;
    SK_EXPECT_EQ(skua_cancel(skua_self()), 0);
    SK_EXPECT_EQ(skua_cancel(skua_self()), -EALREADY);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ECANCELED);
    return 4;
}

SK_TEST(task_cancel, a_task_may_cancel_itself)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, cancel_self, NULL), 4);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
