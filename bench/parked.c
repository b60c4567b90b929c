/* parked: what a task that waits in a channel costs in resident memory. */
#include "in_task.h"
#include "measure.h"

#include <stdlib.h>

#define WARM_UP 100

static int receive(void *arg)
{
    uint64_t nothing;
    int error = skua_chan_recv(arg, &nothing);
    return error == -EPIPE ? 0 : error;
}

/* Until so many tasks are parked, besides the one that asks. */
static int wait_until_parked(uint64_t n)
{
    skua_stats stats = {0};
    int error = 0;
    while (error >= 0 && stats.parked < n) {
        skua_sleep(SKUA_MS(1));
        error = skua_runtime_stats(skua_runtime_current(), &stats, NULL, 0);
    }
    return error < 0 ? error : 0;
}

/* KiB that n receivers add while they wait. */
static int park_and_release(skua_task *tasks, int n, long *kb)
{
    skua_chan *chan;
    int error = skua_chan_create(&chan, sizeof(uint64_t), 0);
    if (error < 0) return error;
    long before = measure_resident_kb();
    error = start_all(tasks, n, receive, chan);
    if (error == 0) error = wait_until_parked((uint64_t)n);
    *kb = measure_resident_kb() - before;
    if (error < 0) return error;
    skua_chan_close(chan);
    error = join_all(tasks, n);
    skua_chan_release(chan);
    return error;
}

static int park_all(void *arg)
{
    bench_run *run = arg;
    long kb;
    skua_task *tasks = malloc(run->n * sizeof *tasks);
    if (!tasks) return -ENOMEM;
    for (uint64_t i = 0; i < run->n; i++) tasks[i] = (skua_task){0}; /* resident before the first look */
    int error = park_and_release(tasks, run->n < WARM_UP ? (int)run->n : WARM_UP, &kb);
    measure_start(run);
    if (error == 0) error = park_and_release(tasks, (int)run->n, &kb);
    measure_stop(run);
    free(tasks);
    snprintf(run->note, sizeof run->note, "resident +%ld KiB", kb);
    run->ns_per_op = (double)kb * 1024 / (double)run->n;
    return error;
}

int bench_parked(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "unit=bytes");
    return in_task(park_all, run);
}
