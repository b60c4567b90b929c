/* scenarios_tasks.c: tasks that spawn, join, sleep, yield and are cancelled. */
#include "sim/scenarios.h"

/* Joins all jobs there are, from outside, and lets the runtime go. */
static void join_all_and_release(skua_runtime *rt, bool all_ran)
{
    for (unsigned i = 0; i < sim_job_count; i++) sim_job_join(&sim_jobs[i]);
    sim_jobs_check(all_ran);
    sim_release(rt, true);
}

/* ---- tree: each task spawns some and joins them ---- */

static int tree(sim_job *job)
{
    sim_job *child[3];
    uint32_t n = job->n ? sim_choose(1, 3) : 0;
    for (uint32_t i = 0; i < n; i++) {
        child[i] = sim_job_new(tree, job->n - 1, 0);
        sim_job_spawn(NULL, child[i]);
    }
    if (sim_choose(0, 3) == 0) skua_yield();
    for (uint32_t i = n; i-- > 0;) sim_job_join(child[i]);
    return (int)job->n;
}

static void watch_numbers(void *rt)
{
    for (uint32_t i = sim_choose(1, 6); i > 0; i--) {
        sim_stats((skua_runtime *)rt);
        skua_sleep(SKUA_US(sim_choose(0, 40)));
    }
}

void sim_tree(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 4));
    if (!rt) return;
    sim_thread observer = sim_thread_start("observe", watch_numbers, rt);
    sim_job *root = sim_job_new(tree, sim_choose(1, 3), 0);
    sim_job_spawn(rt, root);
    sim_job_join(root);
    sim_thread_wait(observer);
    sim_stats(rt);
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- storm: two foreign threads submit ---- */

typedef struct submitter {
    skua_runtime *rt;
    uint32_t jobs;
    uint64_t pause;
} submitter;

static void submit(void *arg)
{
    submitter *s = (submitter *)arg;
    for (uint32_t i = 0; i < s->jobs; i++) {
        sim_job_spawn(s->rt, sim_job_new(sim_choose(0, 3) ? sim_body_return : sim_body_yield, i % 3, 0));
        if (s->pause) skua_sleep(s->pause);
    }
}

void sim_storm(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 4));
    if (!rt) return;
    submitter s[2];
    sim_thread t[2];
    for (int i = 0; i < 2; i++) {
        s[i] = (submitter){rt, sim_choose(1, 6), sim_choose(0, 2) ? 0 : SKUA_US(sim_choose(1, 200))};
        t[i] = sim_thread_start("submit", submit, &s[i]);
    }
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    join_all_and_release(rt, true);
}

/* ---- sparse: one task at a time, with pauses in which all fall asleep ---- */

void sim_sparse(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    for (uint32_t i = sim_choose(3, 8); i > 0; i--) {
        uint32_t some = sim_choose(1, 3);
        for (uint32_t k = 0; k < some; k++) sim_job_spawn(rt, sim_job_new(sim_body_return, k, 0));
        uint32_t pause = sim_choose(0, 3);
        if (pause) skua_sleep(pause == 1 ? SKUA_US(sim_choose(1, 30)) : SKUA_US(sim_choose(100, 3000)));
    }
    join_all_and_release(rt, true);
}

/* ---- sleeps: timers from tasks and from outside ---- */

void sim_sleeps(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    uint32_t n = sim_choose(2, 8);
    for (uint32_t i = 0; i < n; i++) sim_job_spawn(rt, sim_job_new(sim_body_sleep, i, SKUA_US(sim_choose(1, 2000))));
    skua_sleep(SKUA_US(sim_choose(1, 500)));
    join_all_and_release(rt, true);
}

/* ---- yields: workers that hand themselves round ---- */

void sim_yields(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    uint32_t n = sim_choose(2, 6);
    for (uint32_t i = 0; i < n; i++) sim_job_spawn(rt, sim_job_new(sim_body_yield, sim_choose(1, 12), 0));
    join_all_and_release(rt, true);
}

/* ---- cancel: against the start, the wake, the timeout, the end and another cancel ---- */

static int nested(sim_job *job)
{
    sim_job *child = sim_job_new(sim_body_sleep, 1, job->ns);
    int result, error = 0;
    if (!sim_job_spawn(NULL, child)) return 0;
    do error = skua_join_for(child->handle, sim_choose(0, 1) ? job->ns : SKUA_FOREVER, &result);
    while (error == -ENOMEM && sim_may_refuse());
    sim_expect(error == 0 || error == -ECANCELED || error == -ETIMEDOUT);
    if (error == 0) child->accepted = 2; /* joined: its handle is gone */
    return error;
}

static void cancel_some(void *arg)
{
    (void)arg;
    for (uint32_t i = sim_choose(1, 10); i > 0; i--) {
        unsigned n = sim_job_count;
        sim_job *job = &sim_jobs[sim_choose(0, n - 1)];
        if (!job->accepted) continue;
        int error = skua_cancel(job->handle);
        sim_expect(error == 0 || error == -EALREADY || error == -ESRCH);
        if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(0, 300)));
    }
}

/* Of the jobs whose handle nobody has used: gives it up one way or the other. */
static void give_up_handles(void)
{
    for (unsigned i = 0; i < sim_job_count; i++) {
        sim_job *job = &sim_jobs[i];
        if (job->accepted == 2) {
            job->accepted = 1;
            continue;
        }
        if (!job->accepted) continue;
        if (sim_choose(0, 1))
            sim_job_join(job);
        else
            sim_expect_eq(skua_detach(job->handle), 0);
    }
}

void sim_cancel(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    uint32_t n = sim_choose(2, 7);
    for (uint32_t i = 0; i < n; i++)
        sim_job_spawn(rt, sim_job_new(sim_choose(0, 2) ? sim_body_sleep : nested, i, SKUA_US(sim_choose(1, 500))));
    sim_thread t[2];
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("cancel", cancel_some, NULL);
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    if (sim_choose(0, 1)) skua_sleep(SKUA_MS(1));
    while (sim_stats(rt).parked && sim_choose(0, 3)) skua_sleep(SKUA_US(200)); /* the nested ones have joined theirs */
    sim_stats(rt);
    sim_allow_end(); /* not all of them may have begun */
    int error;
    while ((error = skua_runtime_stop(rt, SKUA_FOREVER)) == -ETIMEDOUT) {
    }
    give_up_handles();
    sim_jobs_check(false);
    sim_release(rt, true);
}

/* ---- deadlines: to start, to finish, after a delay ---- */

static int long_work(sim_job *job)
{
    int error = 0;
    for (uint32_t i = 0; i < job->n && !error; i++) {
        error = sim_choose(0, 1) ? skua_sleep(job->ns) : skua_cancelled();
        if (error == -ENOMEM && sim_may_refuse()) error = 0;
        if (!error && sim_choose(0, 2) == 0) skua_yield();
    }
    sim_expect(error == 0 || error == -ETIMEDOUT);
    return error;
}

void sim_deadlines(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    uint32_t n = sim_choose(2, 8);
    for (uint32_t i = 0; i < n; i++) {
        sim_job *job = sim_job_new(long_work, sim_choose(0, 4), SKUA_US(sim_choose(1, 150)));
        skua_task_options o = {.runtime = rt};
        if (sim_choose(0, 1)) o.start_within = SKUA_US(sim_choose(1, 200));
        if (sim_choose(0, 1)) o.finish_within = SKUA_US(sim_choose(1, 400));
        if (sim_choose(0, 2) == 0) o.delay = SKUA_US(sim_choose(1, 400));
        sim_job_accepted(job, skua_spawn_with(&job->handle, &o, sim_job_run, job));
    }
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 800)));
    for (unsigned i = 0; i < sim_job_count; i++) {
        int result;
        if (sim_jobs[i].accepted) sim_expect_eq(skua_join(sim_jobs[i].handle, &result), 0);
    }
    /* Who has joined a task that was late may be back before the task is: the stop waits for it. */
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    sim_jobs_check(false);
    sim_release(rt, true);
}

/* ---- handles: several join and detach the same task ---- */

static void fight_for_handles(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < sim_job_count; i++) {
        sim_job *job = &sim_jobs[i];
        int result, error;
        if (!job->accepted) continue;
        if (sim_choose(0, 3))
            error = skua_join_for(job->handle, sim_choose(0, 2) ? SKUA_US(sim_choose(0, 300)) : SKUA_FOREVER, &result);
        else
            error = skua_detach(job->handle);
        sim_expect(error == 0 || error == -ESRCH || error == -EBUSY || error == -ETIMEDOUT ||
                   (error == -ENOMEM && sim_may_refuse()));
    }
}

static int fighter(sim_job *job)
{
    fight_for_handles(NULL);
    return (int)job->n;
}

void sim_handles(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    uint32_t n = sim_choose(1, 4);
    for (uint32_t i = 0; i < n; i++)
        sim_job_spawn(rt,
                      sim_job_new(sim_choose(0, 1) ? sim_body_return : sim_body_sleep, i, SKUA_US(sim_choose(1, 400))));
    sim_thread t[2];
    sim_job *task = sim_job_new(fighter, 0, 0);
    sim_job_accepted(task, skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, sim_job_run, task));
    if (task->accepted) task->accepted = 0; /* not to be fought for: it has no handle */
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("fight", fight_for_handles, NULL);
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    task->accepted = task->started;
    for (unsigned i = 0; i < sim_job_count; i++) {
        int error = sim_jobs[i].accepted && sim_jobs[i].handle.ref ? skua_detach(sim_jobs[i].handle) : 0;
        sim_expect(error == 0 || error == -ESRCH);
    }
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- timers: started and stopped from outside ---- */

static void set_timers(void *rt)
{
    skua_timer timer[4];
    sim_job *job[4];
    uint32_t n = sim_choose(1, 4);
    for (uint32_t i = 0; i < n; i++) {
        skua_task_options o = {.runtime = (skua_runtime *)rt, .delay = SKUA_US(sim_choose(1, 600))};
        job[i] = sim_job_new(sim_body_return, i, 0);
        int error = skua_spawn_with(&timer[i].task, &o, sim_job_run, job[i]);
        if (!sim_job_accepted(job[i], error)) timer[i] = (skua_timer){{NULL, 0}};
    }
    if (sim_choose(0, 2)) skua_sleep(SKUA_US(sim_choose(1, 700)));
    for (uint32_t i = 0; i < n; i++) {
        if (!job[i]->accepted) continue;
        int error = sim_choose(0, 1) ? skua_timer_stop(timer[i]) : -ESRCH;
        if (error == 0) sim_expect(!job[i]->started);
        job[i]->handle = timer[i].task;
    }
}

void sim_timers(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    sim_thread t[2];
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("timers", set_timers, rt);
    if (sim_choose(0, 1)) sim_job_spawn(rt, sim_job_new(sim_body_sleep, 0, SKUA_US(sim_choose(1, 500))));
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    if (sim_choose(0, 1)) {
        for (unsigned i = 0; i < sim_job_count; i++) sim_job_join(&sim_jobs[i]);
    } else {
        while (skua_runtime_stop(rt, SKUA_FOREVER)) {
        }
        for (unsigned i = 0; i < sim_job_count; i++)
            if (sim_jobs[i].accepted) sim_expect_eq(skua_detach(sim_jobs[i].handle), 0);
    }
    sim_jobs_check(false);
    sim_release(rt, true);
}

/* ---- growth: more tasks on one worker than its queue holds ---- */

static int flood(sim_job *job)
{
    static void *args[SIM_JOBS];
    uint32_t n = 0;
    for (; n < job->n; n++) args[n] = sim_job_new(sim_body_return, n, 0);
    int made = skua_spawn_batch(NULL, n, sim_job_run, args);
    if (made < (int)n) sim_expect(sim_may_refuse());
    for (int i = 0; i < made; i++) ((sim_job *)args[i])->accepted = 1;
    if (sim_choose(0, 1)) skua_yield();
    return made;
}

void sim_growth(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    sim_job *job = sim_job_new(flood, sim_choose(240, 380), 0);
    sim_job_spawn(rt, job);
    sim_job_join(job);
    while (skua_runtime_stop(rt, SKUA_FOREVER)) {
    }
    sim_jobs_check(true);
    sim_release(rt, true);
}

/* ---- stacks: tasks with stacks of other sizes, which park ---- */

void sim_stacks(void)
{
    static const size_t sizes[] = {16 << 10, 64 << 10, 128 << 10};
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    uint32_t n = sim_choose(2, 7);
    for (uint32_t i = 0; i < n; i++) {
        sim_job *job = sim_job_new(sim_choose(0, 1) ? sim_body_yield : sim_body_sleep, 2, SKUA_US(sim_choose(1, 200)));
        skua_task_options o = {.runtime = rt, .stack_size = sizes[sim_choose(0, 2)]};
        sim_job_accepted(job, skua_spawn_with(&job->handle, &o, sim_job_run, job));
    }
    join_all_and_release(rt, !sim_may_refuse());
}
