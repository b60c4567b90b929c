/*
 * wake-latency: a foreign thread submits a task to a runtime that is asleep;
 * how long until the task runs?  Between two samples the thread sleeps 500 us,
 * so that the workers give up looking for work and sleep too.
 */
#include "measure.h"

#include <errno.h>
#include <skua/skua.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PAUSE_US 500

static _Atomic uint64_t ran_at; /* 0 until the task has run */

static int note_time(void *arg)
{
    (void)arg;
    atomic_store_explicit(&ran_at, measure_now(), memory_order_release);
    return 0;
}

/* The submitter sleeps while it waits: spinning, it would hold a processor that a worker may want. */
static int one_sample(double *latency)
{
    atomic_store_explicit(&ran_at, 0, memory_order_relaxed);
    uint64_t start = measure_now(), end;
    int error = skua_go(note_time, NULL);
    if (error < 0) return error;
    do {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000}, NULL);
        end = atomic_load_explicit(&ran_at, memory_order_acquire);
    } while (end == 0);
    *latency = (double)(end - start);
    return 0;
}

int bench_wake_latency(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "pause_us=%d", PAUSE_US);
    double *samples = malloc((run->n + 1) * sizeof *samples);
    if (!samples) return -ENOMEM;
    int error = one_sample(samples); /* starts the runtime */
    measure_start(run);
    for (uint64_t i = 0; i < run->n && error == 0; i++) error = one_sample(&samples[i]);
    measure_stop(run);
    if (error == 0) run->late = measure_spread(samples, run->n);
    run->ns_per_op = run->late.p50;
    free(samples);
    return error;
}
