/*
 * runner.c: jobs one after the other, with a limit on the time for all of them, that SIGINT stops.
 *
 *   runner [TIMEOUT [JOB]]     in ms: for all, and how long each of the three jobs takes
 *
 * Ends with 0 when all jobs are done, with 1 when the time was too short, with 2 when it was interrupted.  Both stop a
 * job where it waits, not only between two jobs: they stand in a context, whose end every call that parks tells them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <skua/skua.h>

/* ---- the runner ---- */

typedef struct runner {
    skua_context *work;    /* the jobs stand in it; ends when the time is over */
    skua_chan *interrupts; /* of int: signals */
    skua_chan *complete;   /* closed when no job runs any more */
    skua_fn *const *jobs;  /* NULL at the end */
    void *arg;             /* of each job */
} runner;

static int run_jobs(void *arg)
{
    const runner *r = arg;
    int error = 0;
    for (skua_fn *const *job = r->jobs; *job && error == 0; job++) error = (*job)(r->arg);
    skua_chan_close(r->complete);
    return error;
}

/* 0: all jobs are done; -ETIMEDOUT; -EINTR; the error of a job, after which no other was begun. */
static int runner_start(runner *r)
{
    skua_task task;
    int result, error = skua_context_spawn(&task, r->work, NULL, run_jobs, r);
    if (error < 0) return error;
    enum { COMPLETE, INTERRUPT };
    skua_case cases[] = {SKUA_CASE_RECV(r->complete, NULL), SKUA_CASE_RECV(r->interrupts, NULL)};
    error = skua_select(cases, 2);
    if (error != COMPLETE) skua_context_cancel(r->work, error == INTERRUPT ? -EINTR : error);
    error = skua_join(task, &result); /* a job that has been stopped may have something to put in order */
    if (error < 0 || result >= 0) return error;
    int cause = skua_context_cause(r->work);
    return cause < 0 ? cause : result;
}

static int runner_create(runner *r, uint64_t timeout, skua_fn *const *jobs, void *arg)
{
    *r = (runner){.jobs = jobs, .arg = arg};
    int error = skua_signals_open(&r->interrupts, (int[]){SIGINT}, 1); /* first: before there are threads */
    if (error == 0) error = skua_context_create_for(&r->work, NULL, timeout);
    if (error == 0) error = skua_chan_create_signal(&r->complete, 0);
    return error;
}

static void runner_free(runner *r)
{
    skua_signals_close(r->interrupts);
    skua_context_release(r->work);
    skua_chan_release(r->complete);
}

/* ---- three jobs ---- */

static int job(const char *name, const void *arg)
{
    printf("%s\n", name);
    fflush(stdout); /* who tests this waits for the line, and then interrupts */
    return skua_sleep(SKUA_MS(*(const unsigned long *)arg));
}

static int prepare(void *arg)
{
    return job("prepare", arg);
}

static int work(void *arg)
{
    return job("work", arg);
}

static int clean_up(void *arg)
{
    return job("clean up", arg);
}

int main(int argc, char **argv)
{
    static skua_fn *const jobs[] = {prepare, work, clean_up, NULL};
    unsigned long timeout = argc > 1 ? strtoul(argv[1], NULL, 10) : 60000;
    unsigned long each = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    runner r;
    int error = runner_create(&r, SKUA_MS(timeout), jobs, &each);
    if (error == 0) error = runner_start(&r);
    runner_free(&r);
    switch (error) {
    case 0:
        printf("all done\n");
        return 0;
    case -ETIMEDOUT:
        printf("out of time\n");
        return 1;
    case -EINTR:
        printf("interrupted\n");
        return 2;
    default:
        fprintf(stderr, "runner: %s\n", skua_strerror(error));
        return 3;
    }
}
