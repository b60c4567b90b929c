/* conformance/groups.c: behaviours 37, 42 to 48 and 50: groups, and their errors. */
#include "support/tasks.h"

#include <sys/resource.h>

#include "base/base.h"

#define GROUP(...) group_of((skua_group_options){__VA_ARGS__})

static skua_group *group_of(skua_group_options o)
{
    skua_group *group = NULL;
    SK_EXPECT_EQ(skua_group_create(&group, &o), 0);
    return group;
}

static skua_pool_counts counts_of(skua_group *group)
{
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_group_stats(group, &c), 0);
    SK_EXPECT_EQ(c.submitted, c.queued + c.running + c.done + c.failed + c.cancelled + c.expired + c.dropped);
    return c;
}

/* A task that says that it runs, waits for a gate, and ends with a result; or with the error that it is woken with. */
typedef struct job {
    sk_gate *ran, *gate;
    int result;
} job;

static int do_job(void *arg)
{
    job *j = arg;
    int parked = j->gate ? skua_sleep(1) : 0; /* who cancels can tell it from what is queued */
    if (parked) return parked;
    if (j->ran) sk_gate_add(j->ran);
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    while (j->gate && !sk_gate_now(j->gate)) {
        int error = skua_sleep(SKUA_US(200));
        if (error) return error;
        if (skua_now() > give_up) return -ETIME;
    }
    return j->result;
}

SK_TEST(conformance, s37_cancelling_a_group_and_the_pool_above_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int of_parent = 0; of_parent < 2; of_parent++) {
        sk_gate ran = 0, never = 0;
        job j = {&ran, &never, 0};
        skua_pool *pool;
        SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 10}), 0);
        skua_group *group = GROUP(.pool = pool, .limit = 1, .queue = 8);
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_group_go(group, do_job, &j), 0);
        SK_EXPECT(sk_gate_await(&ran, 1));
        if (of_parent)
            SK_EXPECT_EQ(skua_pool_cancel(pool), 2);
        else
            SK_EXPECT_EQ(skua_group_cancel(group, 0), 0);
        SK_EXPECT_EQ(skua_group_wait(group, NULL), -ECANCELED);
        skua_pool_counts c = counts_of(group), above;
        SK_EXPECT_EQ(skua_pool_stats(pool, &above), 0);
        SK_EXPECT_EQ(c.submitted, 2);
        SK_EXPECT_EQ(c.cancelled, 2);
        SK_EXPECT_EQ(c.running, 0);
        SK_EXPECT_EQ(above.submitted, 2);
        SK_EXPECT_EQ(above.cancelled, 2);
        SK_EXPECT_EQ(above.running, 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(skua_group_release(group), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Goes on whatever it is told, and is done. */
static int go_on(void *arg)
{
    const job *j = arg;
    sk_gate_add(j->ran);
    return sk_gate_block(j->gate, 1) ? j->result : -ETIME;
}

/* As in 36: what runs and does not care is done, what is queued is cancelled; at both levels. */
SK_TEST(conformance, s37_one_done_and_one_cancelled_in_a_group)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int of_parent = 0; of_parent < 2; of_parent++) {
        sk_gate ran = 0, gate = 0;
        job j = {&ran, &gate, 0};
        skua_pool *pool;
        skua_pool_counts of[2];
        SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 10}), 0);
        skua_group *group = GROUP(.pool = pool, .limit = 1, .queue = 8);
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_group_go(group, go_on, &j), 0);
        SK_EXPECT(sk_gate_await(&ran, 1));
        if (of_parent)
            SK_EXPECT_EQ(skua_pool_cancel(pool), 2);
        else
            SK_EXPECT_EQ(skua_group_cancel(group, 0), 0);
        sk_gate_add(&gate);
        SK_EXPECT_EQ(skua_group_wait_for(group, SKUA_MS(SK_PATIENCE_MS), NULL), -ECANCELED);
        of[0] = counts_of(group);
        SK_EXPECT_EQ(skua_pool_stats(pool, &of[1]), 0);
        for (int i = 0; i < 2; i++) {
            SK_EXPECT_EQ(of[i].submitted, 2);
            SK_EXPECT_EQ(of[i].done, 1);
            SK_EXPECT_EQ(of[i].cancelled, 1);
            SK_EXPECT_EQ(of[i].running + of[i].queued, 0);
        }
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(skua_group_release(group), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct submitter {
    skua_group *group;
    job *job;
    int accepted, error;
} submitter;

static int go_until_refused(void *arg)
{
    submitter *s = arg;
    while (s->accepted < 50 && !(s->error = skua_group_go(s->group, do_job, s->job))) s->accepted++;
    return 0;
}

SK_TEST(conformance, s42_the_first_error_is_returned_and_later_tasks_are_skipped)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int queued = 0; queued < 2; queued++) {
        skua_group *group = GROUP(.runtime = rt, .limit = 1, .queue = queued ? 50 : 0, .fail_fast = 1);
        sk_gate ran = 0, gate = 0;
        job good[3], fails = {&ran, &gate, -EIO}, later = {&ran, NULL, -EPIPE};
        skua_future kept[3];
        submitter s = {group, &later, 0, 0};
        for (int i = 0; i < 3; i++) {
            good[i] = (job){&ran, NULL, 10 + i};
            SK_EXPECT_EQ(skua_group_go_future(group, &kept[i], NULL, do_job, &good[i]), 0);
            SK_EVENTUALLY(counts_of(group).done == (uint64_t)i + 1);
        }
        SK_EXPECT_EQ(skua_group_go(group, do_job, &fails), 0);
        SK_EXPECT(sk_gate_await(&ran, 4));
        skua_task t = sk_spawn_on(rt, go_until_refused, &s);
        SK_EVENTUALLY(queued ? counts_of(group).queued == 50 : counts_of(group).waiting == 1);
        sk_gate_add(&gate);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(s.accepted, queued ? 50 : 0);
        SK_EXPECT_EQ(s.error, queued ? 0 : -ECANCELED); /* it waited at the limit */
        SK_EXPECT_EQ(skua_group_wait(group, NULL), -EIO);
        SK_EXPECT_EQ(sk_gate_now(&ran), 4);
        skua_pool_counts c = counts_of(group);
        SK_EXPECT_EQ(c.done, 3);
        SK_EXPECT_EQ(c.failed, 1);
        SK_EXPECT_EQ(c.cancelled, s.accepted);
        SK_EXPECT_EQ(skua_group_release(group), 0);
        for (int i = 0; i < 3; i++) { /* what was there before is kept */
            int result = 0;
            SK_EXPECT_EQ(skua_future_try(kept[i], &result), 0);
            SK_EXPECT_EQ(result, 10 + i);
            SK_EXPECT_EQ(skua_future_release(kept[i]), 0);
        }
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s43_an_error_in_the_last_task_is_reported)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 100; round++) {
        skua_group *group = GROUP(.runtime = rt, .limit = (uint32_t)round % 3);
        job good = {NULL, NULL, 0}, bad = {NULL, NULL, -EIO};
        for (int i = 0; i < 9; i++) SK_EXPECT_EQ(skua_group_go(group, do_job, &good), 0);
        SK_EXPECT_EQ(skua_group_go(group, do_job, &bad), 0);
        int cause = 0;
        SK_EXPECT_EQ(skua_group_wait(group, &cause), -EIO);
        SK_EXPECT_EQ(cause, -EIO);
        SK_EXPECT_EQ(skua_group_release(group), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s44_all_errors_together_and_the_first_is_the_cause)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *group = GROUP(.runtime = rt, .errors = 10);
    sk_gate gate = 0;
    job first = {NULL, NULL, -EIO}, good = {NULL, &gate, 0}, others[3];
    skua_group_error errors[10];
    SK_EXPECT_EQ(skua_group_go(group, do_job, &first), 0);
    SK_EVENTUALLY(skua_group_cause(group) == -EIO);
    for (int i = 0; i < 3; i++) {
        others[i] = (job){NULL, &gate, -(100 + i)};
        SK_EXPECT_EQ(skua_group_go(group, do_job, &others[i]), 0);
        SK_EXPECT_EQ(skua_group_go(group, do_job, &good), 0);
    }
    sk_gate_add(&gate);
    SK_EXPECT_EQ(skua_group_wait(group, NULL), -EIO);
    SK_EXPECT_EQ(skua_group_cause(group), -EIO);
    SK_EXPECT_EQ(skua_group_errors(group, errors, 10), 4);
    SK_EXPECT_EQ(errors[0].error, -EIO);
    SK_EXPECT(errors[0].arg == &first);
    int seen = 0;
    for (int i = 1; i < 4; i++) {
        job *j = errors[i].arg;
        SK_EXPECT(j >= others && j < others + 3);
        SK_EXPECT_EQ(errors[i].error, j->result);
        seen |= 1 << (j - others);
    }
    SK_EXPECT_EQ(seen, 7);
    SK_EXPECT_EQ(counts_of(group).done, 3);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s45_cancel_on_error_stops_the_siblings)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int fail_fast = 0; fail_fast < 2; fail_fast++) {
        skua_group *group = GROUP(.runtime = rt, .errors = 20, .fail_fast = fail_fast);
        sk_gate ran = 0, gate = 0, fail = 0;
        job sibling = {&ran, &gate, 0}, bad = {&ran, &fail, -EIO};
        skua_group_error error;
        for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_group_go(group, do_job, i == 5 ? &bad : &sibling), 0);
        SK_EXPECT(sk_gate_await(&ran, 10));
        sk_gate_add(&fail);
        SK_EVENTUALLY(skua_group_cause(group) == -EIO);
        if (!fail_fast) sk_gate_add(&gate); /* nobody else would end them */
        SK_EXPECT_EQ(skua_group_wait(group, NULL), -EIO);
        SK_EXPECT_EQ(skua_group_errors(group, &error, 1), 1); /* the cancellations that follow are none */
        SK_EXPECT_EQ(error.error, -EIO);
        SK_EXPECT_EQ(counts_of(group).failed, 1);
        SK_EXPECT_EQ(counts_of(group).done, fail_fast ? 0 : 9);
        SK_EXPECT_EQ(counts_of(group).cancelled, fail_fast ? 9 : 0);
        SK_EXPECT_EQ(skua_group_release(group), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s46_an_empty_group_and_a_stopped_pool)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_group *group = GROUP(.runtime = rt), *late;
    SK_EXPECT_EQ(skua_group_wait(group, NULL), 0);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    skua_pool *pool;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), 0);
    group = GROUP(.pool = pool);
    SK_EXPECT_EQ(skua_group_go(group, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_group_go(group, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_try_go(group, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_create(&late, &(skua_group_options){.pool = pool}), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_wait(group, NULL), 0);
    SK_EXPECT_EQ(counts_of(group).done, 1);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s47_reusable_after_wait_without_stale_errors)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int fail_fast = 0; fail_fast < 2; fail_fast++) {
        skua_group *group = GROUP(.runtime = rt, .limit = 2, .errors = 4, .fail_fast = fail_fast);
        job good = {NULL, NULL, 0}, bad = {NULL, NULL, 0};
        skua_group_error errors[4];
        for (int round = 0; round < 200; round++) {
            bad.result = -1 - round;
            SK_EXPECT_EQ(skua_group_go(group, do_job, &good), 0);
            if (round % 2) {
                SK_EXPECT_EQ(skua_group_go(group, do_job, &bad), 0);
                SK_EXPECT_EQ(skua_group_wait(group, NULL), -1 - round);
                SK_EXPECT_EQ(skua_group_wait(group, NULL), -1 - round); /* until the next round begins */
                SK_EXPECT_EQ(skua_group_errors(group, errors, 4), 1);
                SK_EXPECT_EQ(errors[0].error, -1 - round);
            } else {
                SK_EXPECT_EQ(skua_group_wait(group, NULL), 0);
                SK_EXPECT_EQ(skua_group_cause(group), 0);
                SK_EXPECT_EQ(skua_group_errors(group, errors, 4), 0);
            }
        }
        skua_pool_counts c = counts_of(group);
        SK_EXPECT_EQ(c.failed, 100);
        SK_EXPECT_EQ(c.done + c.cancelled, 200);
        SK_EXPECT(fail_fast || c.done == 200); /* the bad one may have cancelled the good one beside it */
        SK_EXPECT_EQ(skua_group_release(group), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static long peak_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static int fail_often(void *arg)
{
    return arg ? -EIO : 0;
}

SK_TEST(conformance, s48_a_group_of_a_million_tasks_keeps_flat_memory)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *group = GROUP(.runtime = rt);
    long n = sk_test_scaled(1000000), before = 0;
    for (long i = 0; i < n; i++) {
        if (i == n / 10) before = peak_kb();
        SK_EXPECT_EQ(skua_group_go(group, fail_often, i % 2 ? group : NULL), 0);
    }
    SK_EXPECT_EQ(skua_group_wait(group, NULL), -EIO);
    SK_EXPECT_EQ(counts_of(group).done, (n + 1) / 2);
    SK_EXPECT_EQ(counts_of(group).failed, n / 2);
    /* Eight bytes for each task would be 7 MB more. */
    if (n == 1000000) SK_EXPECT(peak_kb() - before < 5000);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s50_group_metrics)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *group = GROUP(.runtime = rt, .limit = 5, .queue = 10);
    job good = {NULL, NULL, 0}, bad = {NULL, NULL, -EIO};
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_group_go(group, do_job, i == 4 ? &bad : &good), 0);
    SK_EXPECT_EQ(skua_group_wait(group, NULL), -EIO);
    SK_EXPECT_EQ(counts_of(group).done, 9);
    SK_EXPECT_EQ(counts_of(group).failed, 1);
    SK_EXPECT_EQ(skua_group_release(group), 0);

    group = GROUP(.runtime = rt, .limit = 5, .queue = 10);
    sk_gate ran = 0, never = 0;
    job waits = {&ran, &never, 0};
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_group_go(group, do_job, &good), 0);
    SK_EVENTUALLY(counts_of(group).done == 5);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_group_go(group, do_job, &waits), 0);
    SK_EXPECT_EQ(skua_group_cancel(group, -EPIPE), 0);
    SK_EXPECT_EQ(skua_group_wait(group, NULL), -EPIPE);
    SK_EXPECT_EQ(counts_of(group).submitted, 10);
    SK_EXPECT_EQ(counts_of(group).done, 5);
    SK_EXPECT_EQ(counts_of(group).cancelled, 5);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
