/* unit/context_calls.c: calls that tasks make in contexts: who leaves what, and what a spawn promises. */
#include "support/contexts.h"

#include "base/fault.h"
#include "runtime/shield.h"

/* ---- waits that must not fail ---- */

typedef struct shielded {
    skua_context *c;
    skua_chan *chan;
    sk_gate at;
} shielded;

/* A wait that must not fail goes on when the context ends; the next one does not. */
static int wait_behind_a_shield(void *arg)
{
    shielded *w = arg;
    sk_shield shield;
    SK_EXPECT_EQ(skua_context_enter(w->c), 0);
    sk_shield_raise(&shield);
    sk_gate_add(&w->at);
    SK_EXPECT_EQ(skua_chan_recv(w->chan, NULL), 0);
    SK_EXPECT_EQ(skua_context_error(w->c), -ECANCELED);
    SK_EXPECT_EQ(skua_sleep(1), 0); /* a whole park, begun after the end */
    sk_shield_lower(&shield);
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ECANCELED);
    return skua_context_leave(w->c);
}

SK_TEST(context, an_end_does_not_reach_behind_a_shield)
{
    skua_runtime *rt = sk_runtime_of(1);
    shielded w = {.c = sk_context_below(NULL)};
    SK_EXPECT_EQ(skua_chan_create_signal(&w.chan, 0), 0);
    skua_task task = sk_spawn_on(rt, wait_behind_a_shield, &w);
    SK_EXPECT(sk_gate_await(&w.at, 1));
    SK_EVENTUALLY(sk_stats_of(rt).parked == 1);
    SK_EXPECT_EQ(skua_context_cancel(w.c, 0), 0);
    SK_EXPECT_EQ(skua_sleep(SKUA_MS(5)), 0); /* if it has been woken it finds nothing */
    SK_EXPECT_EQ(skua_chan_send(w.chan, NULL), 0);
    sk_join_with(task, 0);
    sk_release_context(w.c);
    SK_EXPECT_EQ(skua_chan_release(w.chan), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- who leaves what ---- */

/* What was entered before a run, and by the run itself, its function cannot leave. */
static int leave_too_much(void *arg)
{
    skua_context **c = arg;
    SK_EXPECT_EQ(skua_context_leave(c[2]), -EPERM);
    SK_EXPECT_EQ(skua_context_leave(c[1]), -EPERM);
    SK_EXPECT_EQ(skua_context_enter(c[1]), 0);
    SK_EXPECT_EQ(skua_context_leave(c[1]), 0);
    SK_EXPECT_EQ(skua_context_enter(c[2]), 0); /* the run leaves it */
    return 3;
}

static int run_it_in_the_innermost(void *unused)
{
    (void)unused;
    skua_context *c[3];
    for (int i = 0; i < 3; i++) c[i] = sk_context_below(i ? c[i - 1] : NULL);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_context_enter(c[i]), 0);
    SK_EXPECT_EQ(skua_context_run(c[2], leave_too_much, c), 3);
    SK_EXPECT(skua_context_current() == c[1]);
    for (int i = 1; i >= 0; i--) SK_EXPECT_EQ(skua_context_leave(c[i]), 0);
    for (int i = 0; i < 3; i++) sk_release_context(c[i]);
    return 0;
}

SK_TEST(context, a_run_leaves_no_more_than_it_entered)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, run_it_in_the_innermost, NULL), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A job that the submitter runs stands where that stands, and cannot leave that. */
static int leave_the_submitters(void *arg)
{
    skua_context *inner = sk_context_below(arg);
    SK_EXPECT(skua_context_current() == arg);
    SK_EXPECT_EQ(skua_context_leave(arg), -EPERM);
    SK_EXPECT_EQ(skua_context_enter(inner), 0);
    SK_EXPECT_EQ(skua_context_enter(arg), 0); /* its own stay */
    SK_EXPECT_EQ(skua_context_leave(arg), 0);
    SK_EXPECT_EQ(skua_context_leave(inner), 0);
    SK_EXPECT_EQ(skua_context_leave(arg), -EPERM);
    SK_EXPECT_EQ(skua_context_enter(inner), 0); /* left at its end */
    sk_release_context(inner);
    return 0;
}

static int wait_for_gate(void *gate)
{
    return sk_gate_await(gate, 1) ? 0 : -ETIMEDOUT;
}

static int have_one_run_here(void *pool)
{
    skua_context *c = sk_context_below(NULL);
    SK_EXPECT_EQ(skua_context_enter(c), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, leave_the_submitters, c), 0);
    SK_EXPECT(skua_context_current() == c);
    SK_EXPECT_EQ(skua_context_cancel(c, 0), 0);
    SK_EXPECT_EQ(skua_sleep(SKUA_S(3600)), -ECANCELED);
    SK_EXPECT_EQ(skua_context_leave(c), 0);
    sk_release_context(c);
    return 0;
}

SK_TEST(context, a_job_does_not_leave_its_submitters)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool;
    sk_gate go = 0;
    SK_EXPECT_EQ(
        skua_pool_create(
            &pool,
            &(skua_pool_options){.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE, .when_full = SKUA_FULL_RUN}),
        0);
    SK_EXPECT_EQ(skua_pool_submit(pool, wait_for_gate, &go), 0);
    SK_EXPECT_EQ(sk_run_on(rt, have_one_run_here, pool), 0);
    sk_gate_add(&go);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- tasks that begin inside ---- */

/* Reports of a task name the function that it was spawned for. */
static int look_at_own_function(void *arg)
{
    const sk_task *t = skua_self().ref;
    SK_EXPECT(t->fn == look_at_own_function);
    return *(int *)arg;
}

SK_TEST(context, a_task_is_told_by_its_function)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_context *c = sk_context_below(NULL);
    int nine = 9;
    sk_join_with(sk_spawn_in(rt, c, look_at_own_function, &nine), 9);
    sk_release_context(c);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    sk_nothing_left();
}

#ifdef SK_FAULTS

/* Whatever memory is refused from the spawn on: it says so, or the function runs. */
static int count_in(void *arg)
{
    skua_context *c = arg;
    SK_EXPECT(skua_context_current() == c);
    return 7;
}

SK_TEST(context, an_accepted_task_runs_its_function)
{
    enum { SITES = 1 << SK_FAULT_MMAP | 1 << SK_FAULT_MALLOC | 1 << SK_FAULT_MPROTECT };
    skua_runtime *rt = sk_runtime_of(1);
    skua_context *c = sk_context_below(NULL);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    int refused = 0;
    for (uint64_t nth = 1; nth < 8; nth++) {
        skua_task task;
        sk_fault_arm_any(SITES, nth, true);
        int error = skua_context_spawn(&task, c, &(skua_task_options){.runtime = rt}, count_in, c);
        if (error) SK_EXPECT_EQ(error, -ENOMEM);
        if (!error) sk_join_with(task, 7);
        sk_fault_reset();
        refused += error != 0;
    }
    SK_EXPECT(refused >= 1 && refused < 7);
    sk_release_context(c);
    sk_nothing_left();
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#endif
