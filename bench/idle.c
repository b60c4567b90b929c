/*
 * idle: a runtime that has run a task and has nothing to do; how often do its
 * threads wake up, and what do they cost, in n milliseconds?  A thread that
 * wakes must sleep again, so voluntary context switches count the wake-ups.
 */
#include "in_task.h"
#include "measure.h"

#include <sys/resource.h>
#include <time.h>

#define SETTLE_MS 200

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void sleep_ms(uint64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)}, NULL);
}

/* Of all threads but this one. */
static long others_switches(void)
{
    struct rusage all, self;
    getrusage(RUSAGE_SELF, &all);
    getrusage(RUSAGE_THREAD, &self);
    return all.ru_nvcsw - self.ru_nvcsw;
}

int bench_idle(bench_run *run)
{
    int error = in_task(nothing, NULL);
    if (error < 0) return error;
    sleep_ms(SETTLE_MS);
    long before = others_switches();
    measure_start(run);
    sleep_ms(run->n);
    long woken = others_switches() - before;
    measure_stop(run);
    run->ns_per_op = run->cpu_s * 1e9; /* CPU time of the whole span */
    snprintf(run->params, sizeof run->params, "ms=%" PRIu64 " settle_ms=%d", run->n, SETTLE_MS);
    snprintf(run->note, sizeof run->note, "wakeups=%ld wakeups_per_s=%.2f", woken, (double)woken / run->wall_s);
    return 0;
}
