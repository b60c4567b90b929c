/* conformance/faults.c: behaviours 56 to 60: tasks that give up. */
#include "support/child.h"
#include "support/pools.h"

#include "mem/stack.h"

#include <signal.h>
#include <string.h>

static int give_up_at(void *where)
{
    skua_panic_task("no way on from %s", (const char *)where);
}

typedef struct witness {
    sk_gate calls;
    skua_group *group;
    uint64_t running, failed; /* as the group counts them at that time */
} witness;

static void look_on(const skua_fault *fault, void *arg)
{
    witness *w = arg;
    skua_pool_counts c = {0};
    SK_EXPECT(strcmp(fault->message, "no way on from here") == 0);
    SK_EXPECT_EQ(skua_group_stats(w->group, &c), 0);
    w->running = c.running;
    w->failed = c.failed;
    sk_gate_add(&w->calls);
}

SK_TEST(conformance, s56_the_handler_is_called_once_before_the_group_counts_the_end)
{
    skua_runtime *rt = sk_runtime_of(2);
    witness w = {0};
    skua_group_options o = {.runtime = rt, .limit = 2, .fault_handler = look_on, .fault_arg = &w};
    SK_EXPECT_EQ(skua_group_create(&w.group, &o), 0);
    SK_EXPECT_EQ(skua_group_go(w.group, give_up_at, "here"), 0);
    SK_EXPECT_EQ(skua_group_wait_for(w.group, SKUA_MS(SK_PATIENCE_MS), NULL), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&w.calls), 1);
    SK_EXPECT_EQ(w.running, 1);
    SK_EXPECT_EQ(w.failed, 0);
    skua_pool_counts c = {0};
    SK_EXPECT_EQ(skua_group_stats(w.group, &c), 0);
    SK_EXPECT_EQ(c.running, 0);
    SK_EXPECT_EQ(c.failed, 1);
    SK_EXPECT_EQ(skua_group_release(w.group), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void expect_fault(const skua_fault *fault, const char *message)
{
    SK_EXPECT(strcmp(fault->message, message) == 0);
    SK_EXPECT(strstr(fault->file, "conformance/faults.c"));
    SK_EXPECT(fault->line > 8 && fault->line < 15);
}

SK_TEST(conformance, s57_without_a_handler_the_fault_is_the_tasks_error)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    skua_task task;
    skua_future future;
    skua_fault fault;
    int result = 0;
    sk_gate ran = 0;
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, NULL, give_up_at, "there"), 0);
    SK_EXPECT_EQ(skua_join_fault(task, SKUA_MS(SK_PATIENCE_MS), &result, &fault), 0);
    SK_EXPECT_EQ(result, -EFAULT);
    expect_fault(&fault, "no way on from there");
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &future, NULL, give_up_at, "now"), 0);
    SK_EXPECT_EQ(skua_future_wait(future, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -EFAULT);
    SK_EXPECT_EQ(skua_future_fault(future, &fault), 0);
    expect_fault(&fault, "no way on from now");
    SK_EXPECT_EQ(skua_future_release(future), 0);
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0); /* the process lives */
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), 100);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.failed, 2);
    SK_EXPECT_EQ(c.done, 100);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void run_with_abort(void *unused)
{
    skua_pool *pool;
    (void)unused;
    if (skua_pool_create(&pool, &(skua_pool_options){.limit = 1, .on_fault = SKUA_FAULT_ABORT})) _exit(98);
    if (skua_pool_submit(pool, give_up_at, "the end")) _exit(97);
    skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS));
}

SK_TEST(conformance, s58_by_choice_a_fault_ends_the_process_with_the_message)
{
    char said[4096];
    int status = sk_child(run_with_abort, NULL, said, sizeof said);
    SK_EXPECT(sk_died_of(status, SIGABRT));
    SK_EXPECT(strstr(said, "no way on from the end"));
    SK_EXPECT(strstr(said, "conformance/faults.c:"));
}

static long resident_pages(void)
{
    long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    SK_EXPECT(f != NULL && fscanf(f, "%ld %ld", &size, &resident) == 2);
    fclose(f);
    return resident;
}

static int nap_and_give_up(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    if (i % 10 == 0) SK_EXPECT_EQ(skua_sleep(SKUA_US(1)), 0);
    return give_up_at("a nap");
}

static void give_up_often(skua_pool *pool, uintptr_t n)
{
    for (uintptr_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(pool, nap_and_give_up, (void *)i), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), -EFAULT); /* one for all */
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
}

SK_TEST(conformance, s59_ten_thousand_faults_exhaust_nothing)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 50, .on_fault = SKUA_FAULT_WAIT);
    give_up_often(pool, 2000);
    long pages = resident_pages();
    skua_stats before = sk_stats_of(rt);
    give_up_often(pool, 10000);
    skua_stats after = sk_stats_of(rt);
    SK_EXPECT_EQ(sk_counts_of(pool).failed, 12000);
    SK_EXPECT(after.stacks <= before.stacks + 60);
    if (!SK_SANITIZED) SK_EXPECT(resident_pages() < pages + 1000);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s60_a_fault_cancels_siblings_and_wait_reports_it)
{
    enum { N = 5 };
    skua_runtime *rt = sk_runtime_of(2);
    sk_stay s = {0};
    skua_group *group;
    skua_fault fault;
    int cause = 0;
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.runtime = rt, .fail_fast = 1}), 0);
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_group_go(group, sk_stays, &s), 0);
    SK_EXPECT(sk_gate_await(&s.entered, N));
    SK_EXPECT_EQ(skua_group_go(group, give_up_at, "the middle"), 0);
    SK_EXPECT_EQ(skua_group_wait_for(group, SKUA_MS(SK_PATIENCE_MS), &cause), -EFAULT);
    SK_EXPECT_EQ(cause, -EFAULT);
    SK_EXPECT_EQ(skua_group_fault(group, &fault), 0);
    expect_fault(&fault, "no way on from the middle");
    skua_pool_counts c = {0};
    SK_EXPECT_EQ(skua_group_stats(group, &c), 0);
    SK_EXPECT_EQ(c.cancelled, N);
    SK_EXPECT_EQ(c.failed, 1);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
