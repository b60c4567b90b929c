/*
 * work.c: a fixed number of workers, and an unbuffered channel of jobs.
 *
 * Who gives them a job waits until a worker takes it: when workers_run returns, somebody is at it, and nothing lies in
 * a queue.  So at most that many jobs run at a time.  (skua_pool has this ready made, with much more; here it is by
 * hand.)
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include <skua/skua.h>

/* ---- the workers ---- */

typedef struct job {
    skua_fn *fn;
    void *arg;
} job;

typedef struct workers {
    skua_chan *jobs;
    skua_waitgroup present; /* workers that have not gone home */
} workers;

static int worker(void *arg)
{
    workers *w = arg;
    job j;
    while (skua_chan_recv(w->jobs, &j) == 0) j.fn(j.arg);
    skua_chan_close(w->jobs); /* it is, but after an error: nobody is to wait for workers that have gone */
    return skua_waitgroup_done(&w->present); /* from here on *w is not ours: who waits may free it */
}

/* No more jobs: each worker ends when it has done the one it has. Afterwards workers_run says -EPIPE. */
static int workers_stop(workers *w)
{
    skua_chan_close(w->jobs);
    return skua_waitgroup_wait(&w->present);
}

static int workers_start(workers *w, int n)
{
    *w = (workers){NULL, SKUA_WAITGROUP_INIT};
    int error = skua_chan_create(&w->jobs, sizeof(job), 0);
    for (int i = 0; i < n && error == 0; i++) {
        skua_waitgroup_add(&w->present, 1); /* before it starts, or the wait might be over before it came */
        error = skua_go(worker, w);
        if (error < 0) skua_waitgroup_done(&w->present);
    }
    return error;
}

/* Hands fn(arg) to a worker; waits until there is one. */
static int workers_run(workers *w, skua_fn *fn, void *arg)
{
    return skua_chan_send(w->jobs, &(job){fn, arg});
}

/* ---- a program that has work ---- */

enum { WORKERS = 3, NAMES = 4, TIMES = 10 };

typedef struct greeting {
    const char *name;
    atomic_int greeted;
    workers *by;
} greeting;

static atomic_int busy, too_many;

static int greet(void *arg)
{
    greeting *g = arg;
    if (atomic_fetch_add(&busy, 1) >= WORKERS) atomic_store(&too_many, 1);
    int error = skua_yield();
    atomic_fetch_add(&g->greeted, 1);
    atomic_fetch_sub(&busy, 1);
    return error;
}

/* One of those who give work: all at the same time, to the same workers. */
static int submit(void *arg)
{
    greeting *g = arg;
    int error = 0;
    for (int i = 0; i < TIMES && error == 0; i++) error = workers_run(g->by, greet, g);
    return error;
}

static int submit_all(workers *w)
{
    static greeting all[NAMES] = {{.name = "steve"}, {.name = "bob"}, {.name = "mary"}, {.name = "therese"}};
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.fail_fast = 1});
    if (error < 0) return error;
    for (int i = 0; i < NAMES && error == 0; i++) {
        all[i].by = w;
        error = skua_group_go(group, submit, &all[i]);
    }
    if (error < 0) skua_group_cancel(group, error);
    error = skua_group_wait(group, NULL);
    skua_group_release(group);
    int stopped = workers_stop(w); /* only now all jobs are done: the last ones were just handed over */
    for (int i = 0; i < NAMES; i++) printf("%s: %d times\n", all[i].name, atomic_load(&all[i].greeted));
    printf("at a time: %s\n", atomic_load(&too_many) ? "too many" : "no more than there are workers");
    return error < 0 ? error : stopped;
}

int main(void)
{
    workers w;
    int error = workers_start(&w, WORKERS);
    if (error == 0) error = submit_all(&w);
    if (error == 0) printf("a job after the stop: %s\n", workers_run(&w, greet, NULL) == -EPIPE ? "refused" : "?");
    if (error < 0) workers_stop(&w);
    skua_chan_release(w.jobs);
    if (error < 0) fprintf(stderr, "work: %s\n", skua_strerror(error));
    return error < 0;
}
