/*
 * scarce.c: what each call says when memory, stacks, keys or threads are out, exactly; tests/unit/faults.c lets them
 * fail at random.  Needs a build with -Dfaults=true; without it nothing is scarce.
 */
#include "support/child.h"
#include "support/tasks.h"

#include "base/fault.h"
#include "fiber/fiber.h"
#include "runtime/task.h"

#ifdef SK_FAULTS

static void *in_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    void *result;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, fn, arg), 0);
    SK_EXPECT_EQ(pthread_join(thread, &result), 0);
    return result;
}

/* ---- a thread that can have no record ---- */

typedef struct visit {
    skua_runtime *rt;
    skua_pool *pool;
    skua_task busy, ended;
    skua_timer timer;
} visit;

static void *call_everything(void *arg)
{
    visit *v = arg;
    skua_task t;
    skua_pool *pool;
    skua_task_options o = {.runtime = v->rt};
    SK_EXPECT_EQ(skua_cancelled(), 0);
    SK_EXPECT(skua_self().ref == NULL && skua_runtime_current() == NULL);
    sk_fault_arm(SK_FAULT_KEY, 1, true);
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_join_for(v->busy, SKUA_MS(1), NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = v->rt}), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_try_submit(v->pool, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_timer_stop(v->timer), 0);
    SK_EXPECT_EQ(skua_timer_stop(v->timer), -ESRCH);
    SK_EXPECT_EQ(skua_join(v->ended, NULL), 0); /* frees a task, and needs nothing for it */
    sk_fault_reset();
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sk_give_0, NULL), 0); /* and then it can */
    SK_EXPECT_EQ(skua_detach(t), 0);
    return NULL;
}

static int start_timer(void *arg)
{
    visit *v = arg;
    return skua_timer_start(&v->timer, SKUA_S(1000), sk_give_0, NULL);
}

SK_TEST(scarce, a_thread_without_a_record)
{
    visit v = {.rt = sk_runtime_of(2)};
    sk_holder h = {0};
    SK_EXPECT_EQ(skua_pool_create(&v.pool, &(skua_pool_options){.runtime = v.rt}), 0);
    SK_EXPECT_EQ(sk_run_on(v.rt, start_timer, &v), 0);
    v.ended = sk_spawn_on(v.rt, sk_give_0, NULL);
    SK_EVENTUALLY(sk_stats_of(v.rt).done == 2);
    v.busy = sk_hold_worker(v.rt, &h);
    in_thread(call_everything, &v);
    sk_let_worker_go(&h, v.busy);
    SK_EXPECT_EQ(skua_pool_release(v.pool), 0);
    SK_EVENTUALLY(sk_stats_of(v.rt).done == 4);
    SK_EXPECT_EQ(sk_stats_of(v.rt).cancelled, 1);
    SK_EXPECT_EQ(sk_stats_of(v.rt).created, 5);
    SK_EXPECT_EQ(skua_runtime_release(v.rt), 0);
    SK_EXPECT(sk_slab_check(&sk_tasks));
}

/* The keys of the process are used up: no runtime, but the next try is good. */
SK_TEST(scarce, no_key)
{
    skua_runtime *rt = NULL;
    sk_fault_arm(SK_FAULT_KEY, 1, true);
    SK_EXPECT_EQ(skua_runtime_create(&rt, NULL), -EAGAIN);
    SK_EXPECT_EQ(skua_go(sk_give_0, NULL), -ENOMEM);
    SK_EXPECT(rt == NULL);
    sk_fault_reset();
    rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- no default runtime ---- */

SK_TEST(scarce, no_threads_no_default_runtime)
{
    skua_task t;
    skua_pool *pool;
    sk_fault_arm(SK_FAULT_THREAD, 1, true);
    SK_EXPECT(skua_runtime_default() == NULL);
    SK_EXPECT_EQ(skua_go(sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_spawn(&t, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_spawn_batch(&t, 1, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_after(1, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_create(&pool, NULL), -ENOMEM);
    sk_fault_reset();
    SK_EXPECT_EQ(skua_spawn(&t, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* Whichever mapping is refused at the first call of a process: the error is told, nothing stays behind, and the next
   call succeeds. One process for each, since what has been made stays. */
static void *first_mapping(void *arg)
{
    skua_runtime *rt = NULL;
    uint64_t *nth = arg;
    sk_fault_arm(SK_FAULT_MMAP, *nth, false);
    int error = skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 1});
    *nth = sk_fault_count(SK_FAULT_MMAP) < *nth; /* all calls have been refused once */
    sk_fault_reset();
    SK_EXPECT(error == -ENOMEM || error == -EAGAIN || (error == 0 && rt)); /* EAGAIN: no record for a first thread */
    if (error) SK_EXPECT_EQ(skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 1}), 0);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return NULL;
}

static void first_mapping_in_child(void *arg)
{
    uint64_t nth = *(uint64_t *)arg;
    first_mapping(&nth);
    _exit(nth ? 43 : 42);
}

SK_TEST(scarce, each_mapping_of_the_first_call)
{
    char said[4096];
    bool over = false;
    for (uint64_t nth = 1; !over; nth++) {
        SK_EXPECT(nth < 100);
        int status = sk_child(first_mapping_in_child, &nth, said, sizeof said);
        over = sk_ended_with(status, 43);
        if (!over && !sk_ended_with(status, 42)) fprintf(stderr, "mapping %d: %s\n", (int)nth, said);
        SK_EXPECT(over || sk_ended_with(status, 42));
    }
}

/* ---- stacks ---- */

SK_TEST(scarce, a_task_whose_stack_cannot_be_had_fails)
{
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    skua_task t;
    int result = 0;
    sk_fault_arm(SK_FAULT_MMAP, 1, true); /* no stack of 4 MiB has been asked for yet */
    SK_EXPECT_EQ(skua_spawn_with(&t, &(skua_task_options){.runtime = rt, .stack_size = 4 << 20}, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_join(t, &result), 0);
    sk_fault_reset();
    SK_EXPECT_EQ(result, -ENOMEM);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT(s.failed == 1 && s.done == 1);
    SK_EXPECT_EQ(skua_spawn_with(&t, &(skua_task_options){.runtime = rt, .stack_size = 4 << 20}, sk_give_0, NULL), 0);
    SK_EXPECT(skua_join(t, &result) == 0 && result == 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct full_house {
    skua_runtime *rt;
    skua_pool *pool;
    sk_gate parked, open, other;
    sk_atomic(uint32_t) refused;
} full_house;

static int park_till_open(void *arg)
{
    full_house *f = arg;
    while (!sk_gate_now(&f->open)) {
        int error = skua_sleep(SKUA_S(1000));
        if (error == -ENOMEM) {
            sk_add_rlx(&f->refused, 1u);
            return error;
        }
        SK_EXPECT_EQ(error, -ECANCELED);
    }
    return 0;
}

/* Runs when no further stack can be had. Each way to wait says so, at once, and the task goes on. */
static int try_each_wait(void *arg)
{
    full_house *f = arg;
    skua_task t;
    SK_EXPECT_EQ(skua_yield(), 0); /* nobody waits */
    SK_EXPECT_EQ(skua_spawn(&t, sk_open, &f->other), 0);
    SK_EXPECT_EQ(skua_yield(), -ENOMEM); /* somebody does, who has not started */
    SK_EXPECT_EQ(skua_sleep(0), -ENOMEM);
    SK_EXPECT_EQ(skua_sleep(SKUA_MS(1)), -ENOMEM);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(1), NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_wait(f->pool, SKUA_MS(1)), -ENOMEM);
    SK_EXPECT_EQ(sk_gate_now(&f->other), 0);
    return skua_detach(t);
}

static int give_0_much_later(void *arg)
{
    full_house *f = arg;
    return sk_gate_hold(&f->open, 1) ? 0 : -ETIME;
}

/* All stacks of the largest size that an arena has are taken by parked tasks; then no mapping succeeds any more. */
SK_TEST(scarce, who_cannot_park_is_told)
{
    enum { MOST = 400 };
    full_house f = {0};
    skua_runtime *helper = sk_runtime_of(1);
    SK_EXPECT_EQ(skua_runtime_create(&f.rt, &(skua_runtime_options){.workers_max = 1, .stack_size = 8 << 20}), 0);
    SK_EXPECT_EQ(skua_pool_create(&f.pool, &(skua_pool_options){.runtime = helper}), 0);
    SK_EXPECT_EQ(skua_pool_submit(f.pool, give_0_much_later, &f), 0);
    skua_task t[MOST];
    int n = 0;
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    for (; n < MOST && !sk_load_rlx(&f.refused); n++) {
        t[n] = sk_spawn_on(f.rt, park_till_open, &f);
        SK_EVENTUALLY(sk_stats_of(f.rt).parked == (uint64_t)n + 1 || sk_load_rlx(&f.refused));
    }
    SK_EXPECT(n < MOST);
    SK_EXPECT_EQ(sk_run_on(f.rt, try_each_wait, &f), 0);
    sk_fault_reset();
    SK_EXPECT(sk_gate_await(&f.other, 1)); /* what could not be waited for was not lost */
    sk_gate_add(&f.open);
    for (int i = 0; i < n; i++) {
        int cancelled = skua_cancel(t[i]);
        SK_EXPECT(cancelled == 0 || cancelled == -EALREADY);
        SK_EXPECT_EQ(skua_join(t[i], NULL), 0);
    }
    SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(f.rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(helper), 0);
}

/* ---- pools ---- */

static int wait_for_pool(void *arg)
{
    skua_pool *pool = arg;
    sk_fault_arm(SK_FAULT_MMAP, 1, true); /* the first task of the process that waits for a pool */
    int error = skua_pool_wait(pool, SKUA_S(20));
    sk_fault_reset();
    return error;
}

SK_TEST(scarce, pools)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = NULL;
    full_house f = {0};
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), -ENOMEM);
    sk_fault_reset();
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), -ENOMEM);
    SK_EXPECT(pool == NULL);
    sk_fault_reset();
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt}), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, give_0_much_later, &f), 0);
    SK_EXPECT_EQ(sk_run_on(rt, wait_for_pool, pool), -ENOMEM);
    sk_gate_add(&f.open);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#else

SK_TEST(scarce, nothing_is)
{
    SK_EXPECT(!sk_fault(SK_FAULT_MMAP));
}

#endif
