/* jobs.c: jobs and their fate, runtimes and their counters: what the scenarios share. See scenario.h. */
#include "sim/scenario.h"

#include "sim/sim.h"

sim_job sim_jobs[SIM_JOBS];
unsigned sim_job_count;

uint32_t sim_choose(uint32_t from, uint32_t to)
{
    return from + sim_below(to - from + 1);
}

static bool may_end;

void sim_allow_end(void)
{
    may_end = true;
}

bool sim_may_end(void)
{
    return may_end;
}

sim_job *sim_job_new(int (*body)(sim_job *job), uint32_t n, uint64_t ns)
{
    sim_expect(sim_job_count < SIM_JOBS);
    sim_job *job = &sim_jobs[sim_job_count++];
    *job = (sim_job){.body = body, .n = n, .ns = ns, .result = INT32_MIN};
    return job;
}

int sim_job_run(void *arg)
{
    sim_job *job = (sim_job *)arg;
    if (job->started++) sim_fail("job %d has started twice", (int)(job - sim_jobs));
    int result = job->body(job);
    if (job->returned++) sim_fail("job %d has returned twice", (int)(job - sim_jobs));
    job->result = result;
    return result;
}

bool sim_job_accepted(sim_job *job, int error)
{
    if (error == 0) {
        job->accepted = 1;
        return true;
    }
    bool refused =
        (sim_may_refuse() && (error == -ENOMEM || error == -EAGAIN)) || (sim_may_end() && error == -ESHUTDOWN);
    if (!refused) sim_fail("job %d was refused: %s", (int)(job - sim_jobs), skua_strerror(error));
    if (job->started) sim_fail("job %d was refused and runs", (int)(job - sim_jobs));
    return false;
}

bool sim_job_spawn(skua_runtime *rt, sim_job *job)
{
    if (!rt) return sim_job_accepted(job, skua_spawn(&job->handle, sim_job_run, job));
    return sim_job_accepted(job, skua_spawn_with(&job->handle, &(skua_task_options){.runtime = rt}, sim_job_run, job));
}

bool sim_job_go(sim_job *job)
{
    return sim_job_accepted(job, skua_go(sim_job_run, job));
}

void sim_job_join(sim_job *job)
{
    int result = INT32_MAX, error;
    if (!job->accepted) return;
    while ((error = skua_join(job->handle, &result)) == -ENOMEM && sim_may_refuse()) {
    }
    sim_expect_eq(error, 0);
    if (job->started) {
        sim_expect(job->returned);
        sim_expect_eq(result, job->result);
    } else {
        sim_expect(result == -ECANCELED || result == -ETIMEDOUT || (result == -ESHUTDOWN && sim_may_end()) ||
                   (result == -ENOMEM && sim_may_refuse()));
    }
}

int sim_body_return(sim_job *job)
{
    return (int)job->n;
}

int sim_body_yield(sim_job *job)
{
    for (uint32_t i = 0; i < job->n; i++) {
        int error = skua_yield();
        sim_expect(error == 0 || (error == -ENOMEM && sim_may_refuse()));
    }
    return (int)job->n;
}

int sim_body_sleep(sim_job *job)
{
    uint64_t begin = skua_now();
    int error = skua_sleep(job->ns);
    if (error == 0) sim_expect(skua_now() - begin >= job->ns);
    sim_expect(error == 0 || error == -ECANCELED || error == -ETIMEDOUT || (error == -ENOMEM && sim_may_refuse()));
    return error ? error : (int)job->n;
}

static int nap(void *job)
{
    sim_nap(((sim_job *)job)->ns);
    return (int)((sim_job *)job)->n;
}

int sim_body_block(sim_job *job)
{
    sim_expect_eq(skua_block(nap, job), job->n);
    return (int)job->n;
}

void sim_jobs_check(bool all)
{
    for (unsigned i = 0; i < sim_job_count; i++) {
        const sim_job *job = &sim_jobs[i];
        if (!job->accepted) continue;
        if (job->started != job->returned)
            sim_fail("job %u started %d times, returned %d", i, job->started, job->returned);
        if (all && !job->started) sim_fail("job %u was accepted and never ran", i);
    }
}

/* ---- runtimes ---- */

skua_runtime *sim_runtime_with(const skua_runtime_options *options)
{
    skua_runtime *rt = NULL;
    int error = skua_runtime_create(&rt, options);
    if (error && !(sim_may_refuse() && (error == -ENOMEM || error == -EAGAIN)))
        sim_fail("no runtime: %s", skua_strerror(error));
    if (rt) sim_watch(rt);
    return rt;
}

skua_runtime *sim_runtime(uint32_t workers)
{
    return sim_runtime_with(&(skua_runtime_options){.workers_max = workers});
}

static uint64_t ended_of(const skua_stats *s)
{
    return s->done + s->failed + s->cancelled + s->expired + s->dropped;
}

skua_stats sim_stats(skua_runtime *rt)
{
    skua_stats s;
    int error = skua_runtime_stats(rt, &s, NULL, 0);
    if (error == -ESHUTDOWN && sim_may_end()) return (skua_stats){0};
    sim_expect(error >= 0);
    sim_expect_eq(s.created, s.queued + s.running + s.parked + ended_of(&s));
    sim_expect(s.created <= 4 * SIM_JOBS && s.queued <= s.created && s.running <= s.created && s.parked <= s.created);
    return s;
}

static void compare_with_jobs(const skua_stats *s)
{
    unsigned accepted = 0, started = 0;
    for (unsigned i = 0; i < sim_job_count; i++) {
        accepted += (unsigned)sim_jobs[i].accepted;
        started += (unsigned)sim_jobs[i].started;
    }
    sim_expect_eq(s->created, accepted);
    sim_expect_eq(ended_of(s), accepted);
    sim_expect_eq(s->queued + s->running + s->parked, 0);
    sim_expect(s->done + s->failed <= started + (sim_may_refuse() ? accepted : 0));
    sim_expect(started <= s->done + s->failed + s->cancelled + s->expired);
}

void sim_release(skua_runtime *rt, bool own)
{
    if (!rt) return;
    int error;
    while ((error = skua_runtime_stop(rt, SKUA_FOREVER)) == -ETIMEDOUT) {
    }
    sim_expect_eq(error, 0);
    if (own) {
        skua_stats s = sim_stats(rt);
        compare_with_jobs(&s);
    }
    sim_expect_eq(skua_runtime_release(rt), 0);
}
