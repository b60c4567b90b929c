/* unit/task_deadline.c: deadlines for the start and the end of a task. */
#include "support/tasks.h"

static int count_run(void *arg)
{
    sk_gate_add(arg);
    return 0;
}

SK_TEST(task_deadline, too_late_to_start_and_the_joiner_knows_at_once)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_holder holder = {0};
    sk_gate ran = 0;
    int result = 1;
    skua_task held = sk_hold_worker(rt, &holder), late, later;
    skua_task_options o = {.runtime = rt, .start_within = SKUA_MS(3)};
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_spawn_with(&late, &o, count_run, &ran), 0);
    SK_EXPECT_EQ(skua_spawn_with(&later, &o, count_run, &ran), 0);
    SK_EXPECT_EQ(skua_join_for(late, SKUA_MS(SK_PATIENCE_MS), &result), 0); /* while the only worker is stuck */
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(3));
    SK_EXPECT_EQ(sk_gate_now(&holder.release), 0);
    SK_EXPECT_EQ(skua_join(late, NULL), -ESRCH);
    skua_sleep(SKUA_MS(3));
    sk_let_worker_go(&holder, held);
    SK_EXPECT_EQ(skua_join(later, &result), 0); /* joined after its end */
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    SK_EVENTUALLY(sk_stats_of(rt).expired == 2);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).done, 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sleep_20_ms(void *arg)
{
    int error = skua_sleep(SKUA_MS(20));
    sk_gate_add(arg);
    return error ? error : 5;
}

SK_TEST(task_deadline, a_start_in_time_is_all_that_start_within_asks)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_task t;
    int result = 0;
    sk_gate ran = 0;
    /* Ten seconds for the start would be in time on any machine, but would not pass during the sleep; so try. */
    skua_task_options o = {.runtime = rt, .start_within = SKUA_MS(5)};
    int tries = 0;
    do {
        SK_EXPECT_EQ(skua_spawn_with(&t, &o, sleep_20_ms, &ran), 0);
        SK_EXPECT_EQ(skua_join(t, &result), 0);
    } while (result == -ETIMEDOUT && sk_gate_now(&ran) == 0 && ++tries < 100);
    SK_EXPECT_EQ(result, 5);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct worker {
    sk_gate running, release;
} worker;

static int compute_too_long(void *arg)
{
    worker *w = arg;
    int early = skua_cancelled(); /* a machine may stop us here until it is late */
    SK_EXPECT(early == 0 || early == -ETIMEDOUT);
    sk_gate_add(&w->running);
    if (!sk_gate_hold(&w->release, 1)) return -ETIME;
    SK_EXPECT_EQ(skua_cancelled(), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_sleep(0), -ETIMEDOUT);
    return 0;
}

/* A machine may be busy elsewhere for longer than the task has: then it never starts, and the next one is tried. */
static void start_in_time(skua_task *t, const skua_task_options *o, worker *w)
{
    uint64_t late = 0;
    do {
        SK_EXPECT(late < 100);
        SK_EXPECT_EQ(skua_spawn_with(t, o, compute_too_long, w), 0);
        SK_EVENTUALLY(sk_gate_now(&w->running) == 1 || sk_stats_of(o->runtime).expired == late + 1);
        late++;
    } while (sk_gate_now(&w->running) == 0);
}

SK_TEST(task_deadline, a_running_task_sees_it_and_the_joiner_is_told_at_once)
{
    skua_runtime *rt = sk_runtime_of(1);
    worker w = {0};
    skua_task t;
    int result = 0;
    skua_task_options o = {.runtime = rt, .finish_within = SKUA_MS(100)};
    start_in_time(&t, &o, &w);
    uint64_t late = sk_stats_of(rt).expired;
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.running, 1); /* it is still at it */
    SK_EXPECT_EQ(s.expired, late);
    SK_EXPECT_EQ(skua_cancel(t), 0); /* still a task, though nobody's */
    SK_EXPECT_EQ(skua_join(t, NULL), -ESRCH);
    sk_gate_add(&w.release);
    SK_EVENTUALLY(sk_stats_of(rt).expired == late + 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sleep_too_long(void *arg)
{
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before < SKUA_S(60));
    sk_gate_add(arg);
    return 0;
}

SK_TEST(task_deadline, a_parked_task_is_woken)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { SLEEPERS = 100 };
    sk_gate woken = 0;
    skua_task t[SLEEPERS];
    int result;
    skua_task_options o = {.runtime = rt, .finish_within = SKUA_MS(100)};
    uint64_t before = skua_now();
    for (int i = 0; i < SLEEPERS; i++) SK_EXPECT_EQ(skua_spawn_with(&t[i], &o, sleep_too_long, &woken), 0);
    for (int i = 0; i < SLEEPERS; i++) {
        SK_EXPECT_EQ(skua_join(t[i], &result), 0);
        SK_EXPECT_EQ(result, -ETIMEDOUT);
    }
    SK_EXPECT(skua_now() - before >= SKUA_MS(100));
    SK_EVENTUALLY(sk_stats_of(rt).expired == SLEEPERS);
    SK_EXPECT(sk_gate_now(&woken) <= SLEEPERS);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(task_deadline, not_started_when_its_end_was_due)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_holder holder = {0};
    sk_gate ran = 0;
    skua_task held = sk_hold_worker(rt, &holder), t[2];
    skua_task_options o = {.runtime = rt, .finish_within = SKUA_MS(2)};
    SK_EXPECT_EQ(skua_spawn_with(&t[0], &o, count_run, &ran), 0);
    o.start_within = SKUA_S(3600);
    SK_EXPECT_EQ(skua_spawn_with(&t[1], &o, count_run, &ran), 0);
    for (int i = 0; i < 2; i++) {
        int result = 0;
        SK_EXPECT_EQ(skua_join_for(t[i], SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, -ETIMEDOUT);
    }
    sk_let_worker_go(&holder, held);
    SK_EVENTUALLY(sk_stats_of(rt).expired == 2);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(task_deadline, both_deadlines_count_after_the_delay)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate ran = 0;
    skua_task t;
    int result = 0;
    skua_task_options o = {
        .runtime = rt, .delay = SKUA_MS(20), .start_within = SKUA_S(10), .finish_within = SKUA_S(20)};
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sleep_20_ms, &ran), 0);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    SK_EXPECT_EQ(result, 5);
    o = (skua_task_options){.runtime = rt, .delay = SKUA_MS(20), .finish_within = SKUA_MS(10)};
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sleep_20_ms, &ran), 0);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(30));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* What ends in time knows nothing of its deadline; nor does what uses the memory after it. */
static int nap(void *unused)
{
    (void)unused;
    return skua_sleep(SKUA_US(100));
}

SK_TEST(task_deadline, in_time_means_no_effect)
{
    skua_runtime *rt = sk_runtime_of(2);
    long n = sk_test_scaled(5000);
    skua_task_options o = {.runtime = rt, .start_within = SKUA_S(100), .finish_within = SKUA_S(200)};
    for (long i = 0; i < n; i++) {
        skua_task t;
        int result = 1;
        SK_EXPECT_EQ(skua_spawn_with(&t, &o, i % 2 ? nap : sk_give_0, NULL), 0);
        SK_EXPECT_EQ(skua_join(t, &result), 0);
        SK_EXPECT_EQ(result, 0);
    }
    SK_EXPECT_EQ(sk_stats_of(rt).done, n);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct waiter {
    skua_task child;
    sk_gate free_child;
} waiter;

static int join_too_long(void *arg)
{
    waiter *w = arg;
    int result = 77;
    SK_EXPECT_EQ(skua_join(w->child, &result), -ETIMEDOUT);
    SK_EXPECT_EQ(result, 77);
    SK_EXPECT_EQ(skua_cancelled(), -ETIMEDOUT);
    return 0;
}

static int await_freedom(void *arg)
{
    return sk_gate_await(&((waiter *)arg)->free_child, 1) ? 11 : -ETIME;
}

SK_TEST(task_deadline, a_late_joiner_leaves_the_handle_valid)
{
    skua_runtime *rt = sk_runtime_of(2);
    waiter w = {0};
    skua_task joiner;
    int result = 0;
    w.child = sk_spawn_on(rt, await_freedom, &w);
    skua_task_options o = {.runtime = rt, .finish_within = SKUA_MS(50)};
    SK_EXPECT_EQ(skua_spawn_with(&joiner, &o, join_too_long, &w), 0);
    SK_EXPECT_EQ(skua_detach(joiner), 0);
    SK_EVENTUALLY(sk_stats_of(rt).expired == 1);
    SK_EXPECT_EQ(skua_join_for(w.child, 0, NULL), -ETIMEDOUT);
    sk_gate_add(&w.free_child);
    SK_EXPECT_EQ(skua_join(w.child, &result), 0);
    SK_EXPECT_EQ(result, 11);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
