/* scenarios_mix.c: tasks and threads that do anything at all, in any order, while the runtime comes to its end. */
#include "sim/scenarios.h"

#include <stddef.h>

enum { CHILDREN = 4, LEAST_LEFT = 40 /* jobs kept for those that run */ };

static skua_pool *pool;
static skua_runtime *runtime;

/* What a call may say besides 0 in a world like this one. */
static bool is_excused(int error)
{
    return error == -ECANCELED || error == -ETIMEDOUT || (error == -ESHUTDOWN && sim_may_end()) ||
           (error == -ENOMEM && sim_may_refuse());
}

static int mixed(sim_job *job);

static sim_job *new_child(uint32_t depth)
{
    if (!depth || sim_job_count + LEAST_LEFT > SIM_JOBS) return NULL;
    return sim_job_new(mixed, depth - 1, SKUA_US(sim_choose(1, 300)));
}

static int nap(void *job)
{
    sim_nap(((sim_job *)job)->ns);
    return 0;
}

static void cancel_any(void)
{
    sim_job *any = &sim_jobs[sim_choose(0, sim_job_count - 1)];
    int error = any->accepted && any->handle.ref ? skua_cancel(any->handle) : 0;
    sim_expect(error == 0 || error == -EALREADY || error == -ESRCH);
}

static void submit_to_pool(void)
{
    if (!pool || sim_job_count + LEAST_LEFT > SIM_JOBS) return;
    sim_job *job = sim_job_new(sim_choose(0, 1) ? sim_body_sleep : sim_body_yield, 1, SKUA_US(sim_choose(1, 200)));
    int error =
        sim_choose(0, 1) ? skua_pool_submit(pool, sim_job_run, job) : skua_pool_try_submit(pool, sim_job_run, job);
    job->accepted = error == 0;
    sim_expect(error == 0 || error == -EAGAIN || error == -EDEADLK || is_excused(error));
}

static void set_timer(void)
{
    if (sim_job_count + LEAST_LEFT > SIM_JOBS) return;
    sim_job *job = sim_job_new(sim_body_return, 1, 0);
    skua_task_options o = {.runtime = runtime, .delay = SKUA_US(sim_choose(1, 800))};
    skua_task task;
    int error = skua_spawn_with(&task, &o, sim_job_run, job);
    if (!sim_job_accepted(job, error)) return;
    if (sim_choose(0, 1) && skua_timer_stop((skua_timer){task}) == 0) sim_expect(!job->started);
    sim_expect_eq(skua_detach(task), 0);
}

/* A child that this task has to join or detach. */
static void adopt(sim_job **child, unsigned *children, uint32_t depth)
{
    sim_job *job = *children < CHILDREN ? new_child(depth) : NULL;
    if (job && sim_job_spawn(runtime, job)) child[(*children)++] = job;
}

static void join_one(sim_job **child, unsigned *children, uint64_t timeout)
{
    if (!*children) return;
    int result, error = skua_join_for(child[*children - 1]->handle, timeout, &result);
    sim_expect(error == 0 || is_excused(error));
    if (error == 0) --*children;
}

static void do_something(sim_job *job, sim_job **child, unsigned *children)
{
    int error = 0;
    sim_job *other;
    switch (sim_choose(0, 10)) {
    case 0:
    case 1:
        adopt(child, children, job->n);
        break;
    case 2:
        other = new_child(job->n);
        if (other)
            sim_job_accepted(other,
                             skua_spawn_with(NULL, &(skua_task_options){.runtime = runtime}, sim_job_run, other));
        break;
    case 3:
        error = skua_yield();
        if (error == -EPERM) error = 0;
        break;
    case 4:
        error = skua_sleep(SKUA_US(sim_choose(0, 300)));
        break;
    case 5:
        error = skua_block(nap, job);
        break;
    case 6:
        cancel_any();
        break;
    case 7:
        join_one(child, children, SKUA_US(sim_choose(0, 200)));
        break;
    case 8:
        submit_to_pool();
        break;
    case 9:
        set_timer();
        break;
    default:
        sim_stats(runtime);
        if (pool && sim_choose(0, 3) == 0) error = skua_pool_wait(pool, SKUA_US(sim_choose(0, 100)));
    }
    sim_expect(error == 0 || is_excused(error));
}

static int mixed(sim_job *job)
{
    sim_job *child[CHILDREN];
    unsigned children = 0;
    for (uint32_t i = sim_choose(1, 5); i > 0; i--) do_something(job, child, &children);
    while (children) {
        unsigned before = children;
        join_one(child, &children, SKUA_FOREVER);
        if (children == before) sim_expect_eq(skua_detach(child[--children]->handle), 0); /* cancelled: lets it go */
    }
    return (int)job->n;
}

static void thread(void *job)
{
    mixed((sim_job *)job);
}

static void release_pool(void)
{
    if (pool) sim_expect_eq(skua_pool_release(pool), 0);
    pool = NULL;
}

void sim_mix(void)
{
    runtime = sim_runtime(sim_choose(1, 4));
    if (!runtime) return;
    sim_allow_blocks(1);
    skua_pool_options o = {.runtime = runtime, .limit = sim_choose(0, 2), .queue = sim_choose(1, 4)};
    if (skua_pool_create(&pool, &o)) pool = NULL;
    sim_job *job[3];
    sim_thread t[2];
    for (int i = 0; i < 3; i++) job[i] = sim_job_new(mixed, sim_choose(1, 2), SKUA_US(sim_choose(1, 300)));
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("mix", thread, job[i]);
    if (sim_job_spawn(runtime, job[2])) sim_expect_eq(skua_detach(job[2]->handle), 0);
    if (sim_choose(0, 2) == 0) skua_runtime_resize(runtime, sim_choose(1, 4));
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 500)));
    if (sim_choose(0, 1)) {
        sim_allow_end();
        skua_runtime_stop(runtime, SKUA_US(sim_choose(0, 500)));
    }
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    sim_allow_end();
    if (sim_choose(0, 1)) release_pool();
    while (skua_runtime_stop(runtime, SKUA_US(sim_choose(0, 2000)))) {
    }
    release_pool();
    sim_jobs_check(false);
    sim_release(runtime, true);
}
