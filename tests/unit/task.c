/* unit/task.c: starting, joining, cancelling and asking about tasks, as include/skua/task.h promises. */
#include "support/tasks.h"

#include <string.h>

/* ---- start ---- */

typedef struct message {
    int text; /* plain: the start must order it */
    sk_gate read;
} message;

static int read_message(void *arg)
{
    message *m = arg;
    m->text = m->text == 41 ? 42 : -1;
    sk_gate_add(&m->read);
    return 0;
}

SK_TEST(task, go_runs_on_the_default_runtime_and_sees_what_was_written)
{
    message m = {.text = 41};
    SK_EXPECT_EQ(skua_go(read_message, &m), 0);
    SK_EXPECT(sk_gate_await(&m.read, 1));
    SK_EXPECT_EQ(m.text, 42);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

static int give(void *arg)
{
    return *(int *)arg;
}

SK_TEST(task, join_gives_the_result)
{
    skua_runtime *rt = sk_runtime_of(2);
    int values[] = {0, 7, 1 << 30, -EIO, -ECANCELED, -ETIMEDOUT, -ESRCH};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        int result = 12345;
        SK_EXPECT_EQ(skua_join(sk_spawn_on(rt, give, &values[i]), &result), 0);
        SK_EXPECT_EQ(result, values[i]);
        SK_EXPECT_EQ(skua_join(sk_spawn_on(rt, give, &values[i]), NULL), 0);
    }
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.done, 6);
    SK_EXPECT_EQ(s.failed, 8);
    SK_EXPECT_EQ(s.cancelled + s.expired + s.dropped, 0); /* nobody cancelled them, whatever they returned */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int fib(void *arg)
{
    int n = (int)(intptr_t)arg, a = 0, b = 0;
    if (n < 2) return n;
    skua_task child;
    SK_EXPECT_EQ(skua_spawn(&child, fib, (void *)(intptr_t)(n - 1)), 0);
    b = fib((void *)(intptr_t)(n - 2));
    SK_EXPECT_EQ(skua_join(child, &a), 0);
    return a + b;
}

SK_TEST(task, children_of_children_are_joined)
{
    skua_runtime *rt = sk_runtime_of(2);
    SK_EXPECT_EQ(sk_run_on(rt, fib, (void *)(intptr_t)16), 987);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.done, s.created);
    SK_EXPECT_EQ(s.created, 1597); /* one for each addition, and the first */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct batch {
    sk_gate ran;
    sk_atomic(uint64_t) sum;
} batch;

static batch the_batch;

static int add_arg(void *arg)
{
    sk_add_rlx(&the_batch.sum, (uint64_t)(uintptr_t)arg);
    sk_gate_add(&the_batch.ran);
    return (int)(intptr_t)arg;
}

enum { BATCH = 5000 };

/* On the caller's runtime, from inside or from outside. */
static int spawn_batches(void *unused)
{
    (void)unused;
    static void *args[BATCH];
    static skua_task tasks[BATCH];
    for (uintptr_t i = 0; i < BATCH; i++) args[i] = (void *)i;
    uint64_t once = (uint64_t)BATCH * (BATCH - 1) / 2;
    sk_store_rlx(&the_batch.ran, 0u);
    sk_store_rlx(&the_batch.sum, UINT64_C(0));
    SK_EXPECT_EQ(skua_spawn_batch(tasks, BATCH, add_arg, args), BATCH);
    for (int i = 0; i < BATCH; i++) {
        int result = -1;
        SK_EXPECT_EQ(skua_join(tasks[i], &result), 0);
        SK_EXPECT_EQ(result, i);
    }
    SK_EXPECT_EQ(sk_load_rlx(&the_batch.sum), once);
    SK_EXPECT_EQ(skua_spawn_batch(NULL, BATCH, add_arg, args), BATCH); /* born detached */
    SK_EXPECT(sk_gate_await(&the_batch.ran, 2 * BATCH));
    SK_EXPECT_EQ(sk_load_rlx(&the_batch.sum), 2 * once);
    SK_EXPECT_EQ(skua_spawn_batch(NULL, 10, add_arg, NULL), 10); /* each gets NULL */
    SK_EXPECT(sk_gate_await(&the_batch.ran, 2 * BATCH + 10));
    SK_EXPECT_EQ(sk_load_rlx(&the_batch.sum), 2 * once);
    SK_EXPECT_EQ(skua_spawn_batch(NULL, 0, add_arg, NULL), 0);
    return 0;
}

SK_TEST(task, batches_from_inside_and_outside)
{
    skua_runtime *rt = sk_runtime_of(2);
    SK_EXPECT_EQ(sk_run_on(rt, spawn_batches, NULL), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).created, 2 * BATCH + 11);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    spawn_batches(NULL);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

SK_TEST(task, no_batch_is_too_large_to_count)
{
    SK_EXPECT_EQ(skua_spawn_batch(NULL, (size_t)INT32_MAX + 1, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_spawn_batch(NULL, SIZE_MAX, sk_give_0, NULL), -EINVAL);
}

SK_TEST(task, null_is_an_error_everywhere)
{
    skua_task t;
    skua_timer timer;
    skua_task null = {0};
    SK_EXPECT_EQ(skua_go(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_spawn(&t, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_spawn(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_spawn_with(&t, NULL, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_spawn_batch(&t, 1, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_after(1, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_timer_start(&timer, 1, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_block(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_join(null, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_join_for(null, 0, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_detach(null), -ESRCH);
    SK_EXPECT_EQ(skua_cancel(null), -ESRCH);
    SK_EXPECT_EQ(skua_timer_stop((skua_timer){null}), -ESRCH);
}

/* ---- join ---- */

SK_TEST(task, a_handle_is_given_up_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_task t = sk_spawn_on(rt, sk_give_0, NULL);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(skua_join(t, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_join_for(t, 0, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_detach(t), -ESRCH);
    SK_EXPECT_EQ(skua_cancel(t), -ESRCH);
    sk_gate gate = 0;
    t = sk_spawn_on(rt, sk_open, &gate);
    SK_EXPECT_EQ(skua_detach(t), 0);
    SK_EXPECT_EQ(skua_detach(t), -ESRCH);
    SK_EXPECT_EQ(skua_join(t, NULL), -ESRCH);
    SK_EXPECT(sk_gate_await(&gate, 1));
    t = sk_spawn_on(rt, sk_open, &gate);
    SK_EVENTUALLY(sk_stats_of(rt).done == 3);
    SK_EXPECT_EQ(skua_detach(t), 0); /* after its end */
    SK_EXPECT_EQ(skua_detach(t), -ESRCH);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_for_gate(void *arg)
{
    return sk_gate_await(arg, 1) ? 5 : -ETIME;
}

typedef struct joining {
    skua_task task;
    int found, result;
} joining;

static int join_it(void *arg)
{
    joining *j = arg;
    j->found = skua_join(j->task, &j->result);
    return 0;
}

static void *join_it_as_thread(void *arg)
{
    join_it(arg);
    return NULL;
}

SK_TEST(task, a_second_joiner_is_told_that_it_is_busy)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int as_thread = 0; as_thread < 2; as_thread++) {
        sk_gate gate = 0;
        joining j = {.task = sk_spawn_on(rt, wait_for_gate, &gate), .found = 1, .result = 1};
        pthread_t thread;
        skua_task joiner;
        if (as_thread)
            SK_EXPECT_EQ(pthread_create(&thread, NULL, join_it_as_thread, &j), 0);
        else
            joiner = sk_spawn_on(rt, join_it, &j);
        SK_EVENTUALLY(skua_join_for(j.task, 0, NULL) == -EBUSY);
        SK_EXPECT_EQ(skua_join(j.task, NULL), -EBUSY);
        SK_EXPECT_EQ(skua_detach(j.task), -EBUSY);
        sk_gate_add(&gate);
        if (as_thread)
            pthread_join(thread, NULL);
        else
            SK_EXPECT_EQ(skua_join(joiner, NULL), 0);
        SK_EXPECT_EQ(j.found, 0);
        SK_EXPECT_EQ(j.result, 5);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int join_self(void *unused)
{
    (void)unused;
    SK_EXPECT_EQ(skua_join(skua_self(), NULL), -EDEADLK);
    SK_EXPECT_EQ(skua_join_for(skua_self(), 0, NULL), -EDEADLK);
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    SK_EXPECT_EQ(skua_join_for(skua_self(), SKUA_MS(50), NULL), -EDEADLK); /* the thread would wait for itself */
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return 3;
}

/* The memory of a task that has ended serves another one, which uses the old handle. */
static int use_the_handle_of_the_life_before(void *unused)
{
    (void)unused;
    skua_task before = skua_self();
    before.serial--;
    SK_EXPECT_EQ(skua_join(before, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_detach(before), -ESRCH);
    SK_EXPECT_EQ(skua_cancel(before), -ESRCH);
    SK_EXPECT_EQ(skua_detach(skua_self()), 0);
    SK_EXPECT_EQ(skua_detach(skua_self()), -ESRCH); /* alive, and nobody's to join */
    SK_EXPECT_EQ(skua_cancelled(), 0);
    return 3;
}

SK_TEST(task, the_handle_of_the_life_before_is_a_strangers)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, sk_give_0, NULL), 0);
    sk_spawn_on(rt, use_the_handle_of_the_life_before, NULL);
    SK_EVENTUALLY(sk_stats_of(rt).done == 2);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(task, joining_itself_is_a_deadlock)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, join_self, NULL), 3);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int join_for_some_time(void *unused)
{
    (void)unused;
    sk_gate gate = 0;
    skua_task t;
    int result = 1;
    SK_EXPECT_EQ(skua_spawn(&t, wait_for_gate, &gate), 0);
    SK_EXPECT_EQ(skua_join_for(t, 0, &result), -ETIMEDOUT);
    for (int i = 0; i < 10; i++) {
        uint64_t before = skua_now();
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(3), &result), -ETIMEDOUT);
        SK_EXPECT(skua_now() - before >= SKUA_MS(3));
    }
    SK_EXPECT_EQ(result, 1);
    sk_gate_add(&gate);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0); /* the handle has stayed valid */
    SK_EXPECT_EQ(result, 5);
    SK_EXPECT_EQ(skua_join_for(t, 0, &result), -ESRCH);
    SK_EXPECT_EQ(skua_spawn(&t, wait_for_gate, &gate), 0);
    SK_EVENTUALLY(skua_join_for(t, 0, &result) == 0); /* polls */
    return 0;
}

SK_TEST(task, join_for_times_out_and_leaves_the_handle)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, join_for_some_time, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(join_for_some_time(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* The memory of tasks is reused at once; an old handle must not reach the new task. */
static int use_stale_handles(void *unused)
{
    (void)unused;
    enum { OLD = 200 };
    skua_task old[OLD], now[OLD];
    int result, shared = 0;
    for (int i = 0; i < OLD; i++) SK_EXPECT_EQ(skua_spawn(&old[i], sk_give_0, NULL), 0);
    for (int i = 0; i < OLD; i++) SK_EXPECT_EQ(skua_join(old[i], NULL), 0);
    sk_gate gate = 0;
    for (int i = 0; i < OLD; i++) SK_EXPECT_EQ(skua_spawn(&now[i], wait_for_gate, &gate), 0);
    for (int i = 0; i < OLD; i++) {
        for (int k = 0; k < OLD; k++) shared += old[i].ref == now[k].ref;
        SK_EXPECT_EQ(skua_cancel(old[i]), -ESRCH);
        SK_EXPECT_EQ(skua_detach(old[i]), -ESRCH);
        SK_EXPECT_EQ(skua_join_for(old[i], SKUA_MS(1), NULL), -ESRCH);
        SK_EXPECT_EQ(skua_timer_stop((skua_timer){old[i]}), -ESRCH);
    }
    SK_EXPECT(shared > 0); /* else this proves nothing */
    sk_gate_add(&gate);
    for (int i = 0; i < OLD; i++) {
        SK_EXPECT_EQ(skua_join(now[i], &result), 0);
        SK_EXPECT_EQ(result, 5);
    }
    return 0;
}

SK_TEST(task, stale_handles_touch_nobody)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(sk_run_on(rt, use_stale_handles, NULL), 0);
    SK_EXPECT_EQ(sk_stats_of(rt).cancelled, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- threads of the program's own ---- */

enum { THREADS = 4 };

static void *spawn_and_join(void *arg)
{
    long n = sk_test_scaled(2000);
    for (long i = 0; i < n; i++) {
        int value = (int)i, result = -1;
        SK_EXPECT_EQ(skua_join(sk_spawn_on(arg, give, &value), &result), 0);
        SK_EXPECT_EQ(result, i);
    }
    return NULL;
}

SK_TEST(task, foreign_threads_spawn_and_join)
{
    skua_runtime *rt = sk_runtime_of(2);
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) SK_EXPECT_EQ(pthread_create(&thread[i], NULL, spawn_and_join, rt), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.done, s.created);
    SK_EXPECT_EQ(s.created, (uint64_t)sk_test_scaled(2000) * THREADS);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- self, yield ---- */

static int compare_self(void *arg)
{
    const skua_task *given = arg;
    SK_EXPECT(memcmp(&(skua_task){0}, given, sizeof *given) != 0);
    for (int i = 0; i < 3; i++) {
        skua_task self = skua_self();
        SK_EXPECT(self.ref == given->ref && self.serial == given->serial);
        SK_EXPECT_EQ(skua_sleep(SKUA_US(100)), 0);
    }
    return skua_runtime_current() != NULL;
}

static int spawn_compare_self(void *unused)
{
    (void)unused;
    skua_task t;
    int result = 0;
    SK_EXPECT_EQ(skua_spawn(&t, compare_self, &t), 0); /* one worker: it does not run before our join */
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    return result;
}

SK_TEST(task, self_is_the_handle)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, spawn_compare_self, NULL), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT(skua_self().ref == NULL);
    SK_EXPECT(skua_runtime_current() == NULL);
    SK_EXPECT_EQ(skua_cancelled(), 0);
    SK_EXPECT_EQ(skua_yield(), -EPERM);
}

enum { YIELDERS = 5, YIELDS = 1000 };

static uint32_t rounds[YIELDERS]; /* plain: one worker runs them in turn */
static uint32_t started, lag;     /* how far one was behind another */

static int yield_in_turn(void *arg)
{
    uint32_t *mine = arg;
    started++;
    while (started < YIELDERS) SK_EXPECT_EQ(skua_yield(), 0);
    for (*mine = 1; *mine < YIELDS; ++*mine) {
        SK_EXPECT_EQ(skua_yield(), 0);
        for (int i = 0; i < YIELDERS; i++)
            if (*mine > rounds[i] + lag) lag = *mine - rounds[i];
    }
    return 0;
}

static int spawn_yielders(void *unused)
{
    (void)unused;
    skua_task t[YIELDERS];
    memset(rounds, 0, sizeof rounds);
    started = lag = 0;
    for (int i = 0; i < YIELDERS; i++) SK_EXPECT_EQ(skua_spawn(&t[i], yield_in_turn, &rounds[i]), 0);
    for (int i = 0; i < YIELDERS; i++) SK_EXPECT_EQ(skua_join(t[i], NULL), 0);
    return (int)lag;
}

/* When the machine stops the worker the monitor puts its tasks into the inbox, and one may lose its turn. */
SK_TEST(task, yield_gives_each_its_turn)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int tries = 1; sk_run_on(rt, spawn_yielders, NULL) > 2; tries++) SK_EXPECT(tries < 20);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
