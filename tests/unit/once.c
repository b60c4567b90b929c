/* unit/once.c: what is done exactly once, and how it may end. What all waits have in common is in lock_waits.c. */
#include "support/pools.h"
#include "support/waits.h"

#include <string.h>

static sk_gate calls;

static int count_call(void *result)
{
    skua_yield();
    sk_gate_add(&calls);
    return *(int *)result;
}

SK_TEST(once, bad_input)
{
    skua_once o = SKUA_ONCE_INIT;
    SK_EXPECT_EQ(skua_once_do(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_once_do(&o, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_once_do_for(NULL, sk_give_0, NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_once_do_for(&o, NULL, NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_once_is_done(NULL), 0);
    SK_EXPECT_EQ(skua_once_is_done(&o), 0);
    SK_EXPECT_EQ(skua_once_do(&o, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_once_is_done(&o), 1);
    SK_EXPECT_EQ(skua_once_do(&o, NULL, NULL), -EINVAL);
}

SK_TEST(once, the_result_is_kept)
{
    static const int results[] = {0, 42, -ENOENT, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sk_array_len(results); i++) {
        skua_once o = SKUA_ONCE_INIT;
        int first = results[i], other = 7;
        sk_store_rlx(&calls, 0u);
        SK_EXPECT_EQ(skua_once_do_for(&o, count_call, &first, 0), first);
        SK_EXPECT_EQ(skua_once_do(&o, count_call, &other), first);
        SK_EXPECT_EQ(skua_once_do_for(&o, count_call, &other, 0), first);
        SK_EXPECT_EQ(sk_gate_now(&calls), 1);
    }
}

/* ---- many at a time ---- */

typedef struct scene {
    skua_once o;
    skua_fn *fn;
    uint32_t made; /* by the one call */
    sk_gate entered, may_end;
} scene;

static int make(void *arg)
{
    scene *s = arg;
    sk_gate_add(&calls);
    skua_sleep(SKUA_US(50));
    s->made++;
    return 5;
}

static int come(void *arg)
{
    scene *s = arg;
    int result = skua_once_do(&s->o, make, s);
    SK_EXPECT_EQ(s->made, 1); /* and seen */
    return result;
}

SK_TEST(once, many_come)
{
    enum { WHO = 8 };
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 30; i++) {
        scene s = {.o = SKUA_ONCE_INIT};
        sk_call c[WHO];
        sk_store_rlx(&calls, 0u);
        for (int k = 0; k < WHO; k++) sk_call_start(&c[k], (i + k) % 4 ? rt : NULL, come, &s);
        for (int k = 0; k < WHO; k++) SK_EXPECT_EQ(sk_call_end(&c[k]), 5);
        SK_EXPECT_EQ(sk_gate_now(&calls), 1);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int hold(void *arg)
{
    scene *s = arg;
    sk_gate_add(&s->entered);
    SK_EXPECT(sk_gate_await(&s->may_end, 1));
    if (s->fn) return s->fn(s);
    return 9;
}

static int come_and_hold(void *arg)
{
    scene *s = arg;
    return skua_once_do(&s->o, hold, s);
}

/* Somebody is at it: others wait, and may be late. */
SK_TEST(once, others_wait)
{
    enum { WHO = 6 };
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 4; i++) {
        scene s = {.o = SKUA_ONCE_INIT};
        sk_call first, c[WHO];
        sk_call_start(&first, i % 2 ? rt : NULL, come_and_hold, &s);
        SK_EXPECT(sk_gate_await(&s.entered, 1));
        SK_EXPECT_EQ(skua_once_do_for(&s.o, sk_give_0, NULL, 0), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_once_do_for(&s.o, sk_give_0, NULL, SKUA_US(100)), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_once_is_done(&s.o), 0);
        for (int k = 0; k < WHO; k++)
            sk_call_start_waiting(&c[k], k % 2 ? rt : NULL, come_and_hold, &s, &s.o, &s.o.waiters);
        sk_gate_add(&s.may_end);
        SK_EXPECT_EQ(sk_call_end(&first), 9);
        for (int k = 0; k < WHO; k++) SK_EXPECT_EQ(sk_call_end(&c[k]), 9);
        SK_EXPECT_EQ(sk_gate_now(&s.entered), 1);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- by itself ---- */

static int again(void *arg)
{
    skua_once *o = arg;
    skua_yield();
    SK_EXPECT_EQ(skua_once_do_for(o, sk_give_0, NULL, 0), -EDEADLK);
    return skua_once_do(o, sk_give_0, NULL);
}

static int again_in_a_blocking_call(void *arg)
{
    return skua_block(again, arg);
}

static int do_again(void *arg)
{
    skua_once o = SKUA_ONCE_INIT;
    SK_EXPECT_EQ(skua_once_do(&o, (skua_fn *)arg, &o), -EDEADLK);
    return skua_once_is_done(&o);
}

SK_TEST(once, by_the_one_who_is_at_it)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(do_again((void *)again), 1);
    SK_EXPECT_EQ(sk_run_on(rt, do_again, (void *)again), 1);
    SK_EXPECT_EQ(sk_run_on(rt, do_again, (void *)again_in_a_blocking_call), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- giving up ---- */

static int give_up(void *unused)
{
    (void)unused;
    skua_panic_task("no tables");
}

/* It counts as done, and all get -EFAULT. The task itself ends as any that gives up. */
SK_TEST(once, one_that_gives_up)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 5; i++) {
        scene s = {.o = SKUA_ONCE_INIT, .fn = give_up};
        sk_call c[2];
        int result = 0;
        skua_task task = sk_spawn_on(rt, come_and_hold, &s);
        SK_EXPECT(sk_gate_await(&s.entered, 1));
        for (int k = 0; k < 2; k++) sk_call_start_waiting(&c[k], k ? rt : NULL, come_and_hold, &s, &s.o, &s.o.waiters);
        sk_gate_add(&s.may_end);
        for (int k = 0; k < 2; k++) SK_EXPECT_EQ(sk_call_end(&c[k]), -EFAULT);
        SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, -EFAULT);
        SK_EXPECT_EQ(skua_once_do(&s.o, hold, &s), -EFAULT);
        SK_EXPECT_EQ(skua_once_is_done(&s.o), 1);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct borrowed {
    skua_pool *pool;
    skua_once o;
} borrowed;

static int do_and_give_up(void *arg)
{
    (void)skua_once_do(&((borrowed *)arg)->o, give_up, NULL);
    SK_EXPECT(!"it goes on");
    return 0;
}

static int have_it_done(void *arg)
{
    borrowed *b = arg;
    SK_EXPECT_EQ(skua_pool_submit(b->pool, do_and_give_up, b), 0);
    return skua_once_do(&b->o, sk_give_0, NULL);
}

/* In a task that its submitter runs, be that a thread or a task: the call gives up, the submitter goes on. */
SK_TEST(once, one_that_gives_up_on_its_submitter)
{
    for (int in_task = 0; in_task < 2; in_task++) {
        skua_runtime *rt = sk_runtime_of(2);
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
        borrowed b = {.pool = pool, .o = SKUA_ONCE_INIT};
        sk_stay stay = {0};
        skua_fault fault;
        sk_occupy(pool, &stay, 1);
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &stay), 0);
        SK_EXPECT_EQ(in_task ? sk_run_on(rt, have_it_done, &b) : have_it_done(&b), -EFAULT);
        SK_EXPECT(skua_pool_fault(pool, &fault) == 0 && strcmp(fault.message, "no tables") == 0);
        SK_EXPECT_EQ(sk_counts_of(pool).failed, 1);
        sk_gate_add(&stay.leave);
        SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}
