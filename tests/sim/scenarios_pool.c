/* scenarios_pool.c: pools: limits, full queues, waiting, and their end. */
#include "sim/scenarios.h"

#include <stddef.h>

static skua_pool *new_pool(skua_runtime *rt, uint32_t limit, uint32_t queue)
{
    skua_pool *pool = NULL;
    sim_allow_blocks(1); /* the slots stay with the memory of the pool, also when its creation fails after them */
    int error = skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = limit, .queue = queue});
    sim_expect(error == 0 || (error == -ENOMEM && sim_may_refuse()));
    return pool;
}

/* How many jobs of the pool run now, and may. */
static uint32_t running, limit;

static int limited(sim_job *job)
{
    if (++running > limit && limit) sim_fail("%u jobs run in a pool with a limit of %u", running, limit);
    if (job->ns) skua_sleep(job->ns);
    if (job->n) skua_yield();
    running--;
    return (int)job->n;
}

/* ---- pool: submit and wait, from two threads and a task ---- */

typedef struct feeder {
    skua_pool *pool;
    uint32_t jobs;
    bool try_only;
} feeder;

static void feed(void *arg)
{
    feeder *f = (feeder *)arg;
    for (uint32_t i = 0; i < f->jobs; i++) {
        sim_job *job = sim_job_new(limited, sim_choose(0, 1), sim_choose(0, 2) ? 0 : SKUA_US(sim_choose(1, 200)));
        int error =
            f->try_only ? skua_pool_try_submit(f->pool, sim_job_run, job) : skua_pool_submit(f->pool, sim_job_run, job);
        if (error == -EAGAIN && f->try_only) continue;
        sim_job_accepted(job, error);
    }
}

static int feeding_task(sim_job *job)
{
    feed(job->what);
    return 0;
}

static void check_counts(skua_pool *pool)
{
    skua_pool_counts c;
    if (skua_pool_stats(pool, &c)) return;
    sim_expect_eq(c.submitted, c.queued + c.running + c.done + c.failed + c.cancelled + c.expired + c.dropped);
    sim_expect(!c.limit || c.running <= c.limit);
}

static void wait_for_all(skua_pool *pool)
{
    for (;;) {
        int error = skua_pool_wait(pool, sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 300)));
        check_counts(pool);
        if (error == 0) return;
        sim_expect_eq(error, -ETIMEDOUT);
    }
}

static void pool_with_queue(uint32_t queue)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    limit = sim_choose(0, 3);
    skua_pool *pool = new_pool(rt, limit, queue);
    if (pool) {
        feeder f[3];
        sim_thread t[2];
        for (int i = 0; i < 3; i++) f[i] = (feeder){pool, sim_choose(1, 6), sim_choose(0, 3) == 0};
        for (int i = 0; i < 2; i++) t[i] = sim_thread_start("feed", feed, &f[i]);
        sim_job *task = sim_job_new(feeding_task, 0, 0);
        task->what = &f[2];
        sim_job_spawn(rt, task);
        if (sim_choose(0, 1)) check_counts(pool);
        for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
        sim_job_join(task);
        wait_for_all(pool);
        sim_expect_eq(running, 0);
        sim_jobs_check(!sim_may_refuse());
        sim_expect_eq(skua_pool_release(pool), 0);
    }
    sim_release(rt, true);
}

void sim_pool(void)
{
    pool_with_queue(0);
}

/* ---- full: a queue so short that submitters wait ---- */

void sim_full(void)
{
    pool_with_queue(sim_choose(1, 3));
}

/* ---- poolend: a pool is released while threads and tasks submit and wait ---- */

static void release_pool(void *pool)
{
    int error;
    do error = skua_pool_release((skua_pool *)pool);
    while (error == -ENOMEM && sim_may_refuse());
    sim_expect(error == 0 || error == -ESHUTDOWN);
}

/* The next pool gets the same memory at once, while others may still stand in the queues of the first. */
typedef struct reuse {
    skua_runtime *rt;
    skua_pool *pool, *next;
} reuse;

static void release_and_reuse(void *arg)
{
    reuse *r = arg;
    release_pool(r->pool);
    r->next = new_pool(r->rt, 1, 2);
}

static void wait_for_pool(void *pool)
{
    bool patient = sim_choose(0, 1);
    int error = skua_pool_wait((skua_pool *)pool, patient ? SKUA_FOREVER : SKUA_US(sim_choose(0, 500)));
    sim_expect(error == 0 || error == -ETIMEDOUT || (error == -ESHUTDOWN && sim_may_end()));
}

/* Opens it, uses it and stops it again, while others release it. */
static void reopen_pool(void *arg)
{
    feeder f = {(skua_pool *)arg, 1, true};
    for (uint32_t i = sim_choose(0, 4); i > 0; i--) {
        int error = skua_pool_restart(f.pool);
        sim_expect(error == 0 || error == -ESHUTDOWN);
        feed(&f);
        error = skua_pool_stop(f.pool, sim_choose(0, 1) ? 0 : SKUA_US(sim_choose(1, 100)));
        sim_expect(error == 0 || error == -ETIMEDOUT || error == -ESHUTDOWN);
    }
}

static int releasing_task(sim_job *job)
{
    release_pool(job->what);
    return 0;
}

void sim_poolend(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    limit = sim_choose(0, 2);
    skua_pool *pool = new_pool(rt, limit, sim_choose(1, 4));
    if (pool) {
        feeder f[2];
        sim_thread t[5];
        for (int i = 0; i < 2; i++) f[i] = (feeder){pool, sim_choose(1, 6), false};
        for (int i = 0; i < 2; i++) t[i] = sim_thread_start("feed", feed, &f[i]);
        t[2] = sim_thread_start("wait", wait_for_pool, pool);
        if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 200)));
        reuse r = {rt, pool, NULL};
        sim_allow_end();
        t[3] = sim_thread_start("release", release_and_reuse, &r);
        t[4] = sim_thread_start("reopen", reopen_pool, pool);
        sim_job *task = sim_job_new(releasing_task, 0, 0);
        task->what = pool;
        sim_job_spawn(rt, task);
        sim_job_join(task);
        for (int i = 0; i < 5; i++) sim_thread_wait(t[i]);
        if (r.next) release_pool(r.next);
        sim_expect_eq(skua_pool_try_submit(pool, sim_job_run, task), -ESHUTDOWN);
    }
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    sim_jobs_check(!sim_may_refuse());
    sim_release(rt, true);
}
