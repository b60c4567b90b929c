/* unit/blocking.c: calls that block the thread, and the hand-off of the worker that makes them harmless. */
#include "support/tasks.h"

SK_TEST(blocking, errors_outside_and_nested)
{
    SK_EXPECT_EQ(skua_blocking_begin(), -EPERM);
    SK_EXPECT_EQ(skua_blocking_end(), -EPERM);
}

static int misuse(void *unused)
{
    (void)unused;
    SK_EXPECT_EQ(skua_blocking_end(), -EPERM);
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    SK_EXPECT_EQ(skua_blocking_begin(), -EALREADY);
    SK_EXPECT_EQ(skua_yield(), -EPERM); /* the thread counts as foreign */
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    SK_EXPECT_EQ(skua_blocking_end(), -EPERM);
    SK_EXPECT_EQ(skua_yield(), 0);
    return 1;
}

SK_TEST(blocking, errors_inside)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, misuse, NULL), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Blocks the thread until another task of the same, only worker has run. */
static int block_until_other_ran(void *arg)
{
    skua_task other;
    SK_EXPECT_EQ(skua_spawn(&other, sk_open, arg), 0); /* in runnext or in the queue: only a hand-off frees it */
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    bool ran = sk_gate_block(arg, 1);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    SK_EXPECT_EQ(skua_join(other, NULL), 0);
    return ran ? 2 : -ETIME;
}

SK_TEST(blocking, other_tasks_of_the_only_worker_go_on)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 20; i++) {
        sk_gate gate = 0;
        SK_EXPECT_EQ(sk_run_on(rt, block_until_other_ran, &gate), 2);
    }
    SK_EVENTUALLY(sk_stats_of(rt).handoffs >= 20); /* counted a moment after the worker has been handed on */
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.workers, 1);
    SK_EXPECT_EQ(s.done, 40);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sleep_then_open(void *arg)
{
    skua_sleep(SKUA_MS(3));
    sk_gate_add(arg);
    return 0;
}

static int block_until_sleeper_woke(void *arg)
{
    skua_task sleeper;
    SK_EXPECT_EQ(skua_spawn(&sleeper, sleep_then_open, arg), 0);
    SK_EXPECT_EQ(skua_yield(), 0); /* it sleeps in our worker's wheel */
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    bool woke = sk_gate_block(arg, 1);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    SK_EXPECT_EQ(skua_join(sleeper, NULL), 0);
    return woke ? 2 : -ETIME;
}

static int block_until_open(void *arg)
{
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    bool opened = sk_gate_block(arg, 1);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return opened ? 2 : -ETIME;
}

SK_TEST(blocking, timers_and_foreign_tasks_are_served_meanwhile)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 10; i++) {
        sk_gate gate = 0;
        SK_EXPECT_EQ(sk_run_on(rt, block_until_sleeper_woke, &gate), 2);
        gate = 0;
        skua_task blocked = sk_spawn_on(rt, block_until_open, &gate);
        SK_EVENTUALLY(sk_stats_of(rt).blocked == 1);
        SK_EXPECT_EQ(sk_run_on(rt, sk_open, &gate), 0);
        int result = 0;
        SK_EXPECT_EQ(skua_join(blocked, &result), 0);
        SK_EXPECT_EQ(result, 2);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct blocking_pair {
    sk_gate begun, leave;
} blocking_pair;

static int say_and_block_until_open(void *arg)
{
    blocking_pair *pair = (blocking_pair *)arg;
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    sk_gate_add(&pair->begun);
    bool opened = sk_gate_block(&pair->leave, 1);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return opened ? 2 : -ETIME;
}

/* Computes, beside tasks in its own queue, until they have run. */
static int compute_until_others_ran(void *arg)
{
    enum { OTHERS = 8 };
    void *args[OTHERS];
    for (int i = 0; i < OTHERS; i++) args[i] = arg;
    SK_EXPECT_EQ(skua_spawn_batch(NULL, OTHERS, sk_open, args), OTHERS);
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    while (sk_gate_now((sk_gate *)arg) < OTHERS)
        if (skua_now() > give_up) return -ETIME;
    return 3;
}

/* The other worker's thread is in a blocking call, and has nothing in its queue: it is carried all the same, and
   steals. */
SK_TEST(blocking, a_lent_worker_takes_what_lies_beside_a_busy_one)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 10; i++) {
        sk_gate ran = 0;
        blocking_pair pair = {0};
        skua_task blocked = sk_spawn_on(rt, say_and_block_until_open, &pair);
        SK_EXPECT(sk_gate_await(&pair.begun, 1));
        SK_EXPECT_EQ(sk_run_on(rt, compute_until_others_ran, &ran), 3);
        sk_gate_add(&pair.leave);
        int result = 0;
        SK_EXPECT_EQ(skua_join(blocked, &result), 0);
        SK_EXPECT_EQ(result, 2);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Who we are does not change in a blocking call, nor when the worker has been taken. */
static int ask_inside(void *arg)
{
    skua_task self = skua_self();
    skua_runtime *rt = skua_runtime_current();
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    for (int taken = 0; taken < 2; taken++) {
        SK_EXPECT(skua_self().ref == self.ref && skua_self().serial == self.serial);
        SK_EXPECT(skua_runtime_current() == rt && rt == *(skua_runtime **)arg);
        SK_EXPECT_EQ(skua_cancelled(), 0);
        sk_gate gate = 0;
        SK_EXPECT_EQ(skua_go(sk_open, &gate), 0); /* as a foreign thread, into the task's runtime */
        SK_EXPECT(sk_gate_await(&gate, 1));       /* one worker: it runs only when that is taken */
    }
    SK_EXPECT_EQ(skua_runtime_stop(rt, 0), -EDEADLK);
    SK_EXPECT_EQ(skua_runtime_release(rt), -EDEADLK);
    skua_task child;
    int result = 1;
    SK_EXPECT_EQ(skua_spawn(&child, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_join(child, &result), 0); /* blocks the thread */
    SK_EXPECT_EQ(skua_cancel(self), 0);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
    SK_EXPECT(skua_self().ref == self.ref && skua_self().serial == self.serial);
    return 4;
}

SK_TEST(blocking, the_task_stays_itself_inside)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, ask_inside, &rt), 4);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int give_17(void *arg)
{
    sk_gate_add(arg);
    SK_EXPECT_EQ(skua_blocking_begin(), skua_self().ref ? -EALREADY : -EPERM);
    return 17;
}

static int block_17(void *arg)
{
    return skua_block(give_17, arg);
}

SK_TEST(blocking, block_gives_the_result)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate gate = 0;
    SK_EXPECT_EQ(sk_run_on(rt, block_17, &gate), 17);
    SK_EXPECT_EQ(skua_block(give_17, &gate), 17);
    SK_EXPECT_EQ(sk_gate_now(&gate), 2);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int many_short_ones(void *unused)
{
    (void)unused;
    for (long i = 0, n = sk_test_scaled(100000); i < n; i++) {
        SK_EXPECT_EQ(skua_blocking_begin(), 0);
        SK_EXPECT_EQ(skua_blocking_end(), 0);
        if (i % 64 == 0) SK_EXPECT_EQ(skua_yield(), 0);
    }
    return 1;
}

/* With others that want the worker all the time, so that ends and hand-offs race. */
SK_TEST(blocking, short_ones_race_with_the_hand_off)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { TASKS = 8 };
    skua_task t[TASKS];
    for (int i = 0; i < TASKS; i++) t[i] = sk_spawn_on(rt, many_short_ones, NULL);
    for (int i = 0; i < TASKS; i++) {
        int result = 0;
        SK_EXPECT_EQ(skua_join(t[i], &result), 0);
        SK_EXPECT_EQ(result, 1);
    }
    SK_EXPECT_EQ(sk_stats_of(rt).done, TASKS);
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 2);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
