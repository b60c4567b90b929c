/* scenarios_runtime.c: runtimes that grow, shrink, stop and end while work goes on; threads that block. */
#include "sim/scenarios.h"

/* ---- blocking: workers are taken from their threads and handed on ---- */

static int block_and_spawn(sim_job *job)
{
    sim_job *child = sim_job_new(sim_body_return, 1, 0);
    sim_job_spawn(NULL, child);
    sim_body_block(job);
    sim_job_join(child);
    return (int)job->n;
}

void sim_blocking(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    sim_job *mine[7];
    uint32_t n = sim_choose(2, 7);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t kind = sim_choose(0, 3);
        uint64_t ns = SKUA_US(kind == 0 ? sim_choose(0, 3) : sim_choose(1, 400));
        mine[i] = sim_job_new(kind == 3 ? sim_body_sleep : kind == 2 ? block_and_spawn : sim_body_block, i, ns);
        sim_job_spawn(rt, mine[i]);
    }
    for (uint32_t i = 0; i < n; i++) sim_job_join(mine[i]);
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- stall: threads that are gone without a word, while what they have announced waits in their queues ---- */

static int stall(sim_job *job)
{
    sim_nap(job->ns);
    return (int)job->n;
}

/* Naps of a few microseconds end just when the other workers are about to sleep. */
static int announce_and_stall(sim_job *job)
{
    for (uint32_t i = 0; i < job->n; i++) {
        sim_job_go(sim_job_new(sim_choose(0, 2) ? sim_body_return : stall, 0, sim_choose(1, 20000)));
        for (uint32_t looks = sim_choose(0, 24); looks > 0; looks--) skua_now();
        if (sim_choose(0, 2)) sim_nap(sim_choose(0, 7) ? sim_choose(1, 6000) : job->ns);
    }
    return (int)job->n;
}

void sim_stall(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(2, 4));
    if (!rt) return;
    sim_expect_announced(true);
    for (uint32_t rounds = sim_choose(1, 4); rounds > 0; rounds--) {
        sim_job *mine[2];
        uint32_t n = sim_choose(1, 2);
        for (uint32_t i = 0; i < n; i++) {
            mine[i] = sim_job_new(announce_and_stall, sim_choose(1, 12), SKUA_US(sim_choose(1, 5000)));
            sim_job_spawn(rt, mine[i]);
        }
        for (uint32_t i = sim_choose(0, 3); i > 0; i--) {
            sim_job *job = sim_job_new(stall, 0, sim_choose(1, 5000));
            sim_job_accepted(job, skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, sim_job_run, job));
        }
        for (uint32_t i = 0; i < n; i++) sim_job_join(mine[i]);
        if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 60)));
    }
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- runnext: a worker takes what is to run next just when the monitor would take it away ---- */

static int spawn_and_stall(sim_job *job)
{
    for (uint32_t i = 0; i < job->n; i++) {
        sim_job *child = sim_job_new(sim_body_return, i, 0);
        if (!sim_job_spawn(NULL, child)) continue;
        sim_nap_beside(sim_choose(0, 3000));
        sim_job_join(child);
    }
    return (int)job->n;
}

void sim_runnext(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 2));
    if (!rt) return;
    sim_job *job = sim_job_new(spawn_and_stall, sim_choose(3, 20), 0);
    sim_job_spawn(rt, job);
    sim_job_join(job);
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- deep: work comes just when the monitor is about to sleep without a deadline, some 2.27 ms after the last ---- */

void sim_deep(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 2));
    if (!rt) return;
    for (uint32_t rounds = sim_choose(2, 8); rounds > 0; rounds--) {
        sim_job *job = sim_job_new(sim_choose(0, 1) ? stall : sim_body_block, 0, SKUA_US(sim_choose(1, 20)));
        skua_sleep(sim_choose(0, 3) ? SKUA_US(2200) + sim_choose(0, 130000) : SKUA_US(sim_choose(0, 4000)));
        sim_job_spawn(rt, job);
        sim_job_join(job);
    }
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- resize: 1 to 4 workers, up and down, under load ---- */

static void resize(void *rt)
{
    for (uint32_t i = sim_choose(1, 5); i > 0; i--) {
        int error = skua_runtime_resize((skua_runtime *)rt, sim_choose(1, 4));
        sim_expect_eq(error, 0);
        if (sim_choose(0, 2)) skua_sleep(SKUA_US(sim_choose(1, 400)));
    }
}

static int busy(sim_job *job)
{
    uint32_t n = sim_choose(1, 3);
    for (uint32_t i = 0; i < n; i++)
        sim_job_go(sim_job_new(sim_choose(0, 1) ? sim_body_sleep : sim_body_yield, 2, SKUA_US(sim_choose(1, 300))));
    skua_sleep(job->ns);
    return (int)n;
}

void sim_resize(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 4));
    if (!rt) return;
    uint32_t n = sim_choose(2, 5);
    sim_thread t = sim_thread_start("resize", resize, rt);
    for (uint32_t i = 0; i < n; i++) {
        sim_job_spawn(rt, sim_job_new(busy, i, SKUA_US(sim_choose(1, 300))));
        if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 300)));
    }
    sim_thread_wait(t);
    for (unsigned i = 0; i < sim_job_count; i++)
        if (sim_jobs[i].handle.ref) sim_job_join(&sim_jobs[i]);
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- race: submits and timers against stop and release ---- */

static void submit_until_refused(void *rt)
{
    for (uint32_t i = sim_choose(1, 8); i > 0; i--) {
        uint32_t kind = sim_choose(0, 3);
        bool sleeps = kind == 0 || kind == 2, delayed = kind == 1 || kind == 2;
        sim_job *job = sim_job_new(sleeps ? sim_body_sleep : sim_body_return, i, SKUA_US(sim_choose(1, 3000)));
        skua_task_options o = {.runtime = (skua_runtime *)rt, .delay = delayed ? SKUA_US(sim_choose(1, 3000)) : 0};
        if (!sim_job_accepted(job, skua_spawn_with(NULL, &o, sim_job_run, job)) && !sim_may_refuse()) return;
        if (sim_choose(0, 2) == 0) skua_sleep(SKUA_US(sim_choose(1, 100)));
    }
}

static void stop_it(void *rt)
{
    int error = skua_runtime_stop((skua_runtime *)rt, SKUA_US(sim_choose(0, 2000)));
    sim_expect(error == 0 || error == -ETIMEDOUT);
}

void sim_race(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    sim_thread t[3];
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("submit", submit_until_refused, rt);
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 300)));
    sim_allow_end();
    t[2] = sim_thread_start("stop", stop_it, rt);
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 300)));
    if (sim_choose(0, 1)) stop_it(rt);
    for (int i = 0; i < 3; i++) sim_thread_wait(t[i]);
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    sim_jobs_check(false);
    sim_release(rt, true);
}

/* ---- end: the release itself against late submitters and several releasers ---- */

static void release_it(void *rt)
{
    int error = skua_runtime_release((skua_runtime *)rt);
    sim_expect(error == 0 || error == -ESHUTDOWN);
}

void sim_end(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    sim_thread t[3];
    uint32_t n = sim_choose(0, 4);
    for (uint32_t i = 0; i < n; i++) {
        sim_job *job = sim_job_new(sim_choose(0, 1) ? sim_body_sleep : sim_body_yield, i, SKUA_US(sim_choose(1, 300)));
        sim_job_accepted(job, skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, sim_job_run, job));
    }
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("submit", submit_until_refused, rt);
    sim_allow_end();
    t[2] = sim_thread_start("release", release_it, rt);
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 200)));
    release_it(rt);
    for (int i = 0; i < 3; i++) sim_thread_wait(t[i]);
    sim_jobs_check(false);
    /* The memory of a runtime is type-stable: a call that comes too late finds it gone. */
    sim_expect_eq(skua_runtime_stop(rt, 0), -ESHUTDOWN);
    sim_expect_eq(skua_runtime_resize(rt, 1), -ESHUTDOWN);
}

/* ---- two: tasks of two runtimes spawn on, join and wake each other ---- */

static int spawn_there(sim_job *job)
{
    sim_job *child = sim_job_new(sim_choose(0, 1) ? sim_body_sleep : sim_body_return, job->n, job->ns);
    sim_job_spawn((skua_runtime *)job->what, child);
    if (sim_choose(0, 2) == 0) skua_yield();
    sim_job_join(child);
    return (int)job->n;
}

void sim_two(void)
{
    skua_runtime *a = sim_runtime(sim_choose(1, 2)), *b = a ? sim_runtime(sim_choose(1, 2)) : NULL;
    if (b) {
        sim_job *mine[5];
        uint32_t n = sim_choose(2, 5);
        for (uint32_t i = 0; i < n; i++) {
            mine[i] = sim_job_new(spawn_there, i, SKUA_US(sim_choose(1, 300)));
            mine[i]->what = i % 2 ? a : b;
            sim_job_spawn(i % 2 ? b : a, mine[i]);
        }
        for (uint32_t i = 0; i < n; i++) sim_job_join(mine[i]);
        sim_jobs_check(true);
    }
    sim_release(a, false);
    sim_release(b, false);
}

/* ---- adjust: the policies that grow and shrink by themselves ---- */

void sim_adjust(void)
{
    skua_runtime_options o = {.workers_min = 1,
                              .workers_max = sim_choose(2, 4),
                              .adjust = sim_choose(0, 1) ? SKUA_ADJUST_BACKLOG : SKUA_ADJUST_BLOCKING,
                              .adjust_interval = SKUA_US(sim_choose(20, 400))};
    skua_runtime *rt = sim_runtime_with(&o);
    if (!rt) return;
    uint32_t n = sim_choose(3, 9);
    for (uint32_t i = 0; i < n; i++) {
        sim_job_spawn(rt, sim_job_new(sim_choose(0, 1) ? sim_body_block : busy, i, SKUA_US(sim_choose(1, 400))));
        if (sim_choose(0, 3) == 0) skua_sleep(SKUA_US(sim_choose(1, 2000)));
    }
    for (unsigned i = 0; i < sim_job_count; i++)
        if (sim_jobs[i].handle.ref) sim_job_join(&sim_jobs[i]);
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- default: two threads use the default runtime first, at once ---- */

static void use_default(void *arg)
{
    (void)arg;
    sim_job *job = sim_job_new(sim_body_return, 1, 0);
    if (sim_job_spawn(NULL, job)) sim_job_join(job);
}

void sim_default(void)
{
    sim_thread t[2];
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("first", use_default, NULL);
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    sim_jobs_check(true);
    skua_runtime *rt = skua_runtime_default();
    if (!rt) sim_expect(sim_may_refuse());
    if (rt) sim_watch(rt);
    if (rt) sim_release(rt, true);
}
