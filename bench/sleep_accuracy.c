/*
 * sleep-accuracy: one task sleeps 10 ms on an idle machine, again and again.
 * The latencies are how much later than 10 ms each sleep ended.  `serial` is
 * clock_nanosleep on a thread with a timer slack of 1 ns: what the machine can.
 */
#include "in_task.h"
#include "measure.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define NAP_MS 10

static int thread_nap(uint64_t ns)
{
    return -clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static int lateness(bench_run *run, int (*nap)(uint64_t ns))
{
    double *samples = malloc((run->n + 1) * sizeof *samples);
    if (!samples) return -ENOMEM;
    int error = nap(SKUA_MS(NAP_MS)); /* warms up */
    measure_start(run);
    for (uint64_t i = 0; i < run->n && error == 0; i++) {
        uint64_t start = measure_now();
        error = nap(SKUA_MS(NAP_MS));
        samples[i] = (double)(int64_t)(measure_now() - start - SKUA_MS(NAP_MS));
        if (error == 0 && samples[i] < 0) {
            fprintf(stderr, "a sleep ended %.0f ns early\n", -samples[i]);
            error = -EIO;
        }
    }
    measure_stop(run);
    if (error == 0) run->late = measure_spread(samples, run->n);
    run->ns_per_op = run->late.p50;
    free(samples);
    return error;
}

static int sleeper(void *arg)
{
    return lateness(arg, skua_sleep);
}

int bench_sleep_accuracy(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "sleep_ms=%d", NAP_MS);
    return in_task(sleeper, run);
}

int bench_sleep_accuracy_serial(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "sleep_ms=%d clock_nanosleep", NAP_MS);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    return lateness(run, thread_nap);
}
