/*
 * steal: one task produces all the work, in pieces of about a microsecond; the
 * other workers live by stealing.  `serial` is the same work in a loop, so that
 * serial / skua is the speed-up, and the number of workers its bound.
 */
#include "in_task.h"
#include "measure.h"

#include <stdlib.h>

static int piece(void *arg)
{
    return (int)(busy_work((uint64_t)(uintptr_t)arg) >> 63);
}

static int produce(void *arg)
{
    bench_run *run = arg;
    skua_task *tasks = malloc((run->n + 1) * sizeof *tasks);
    if (!tasks) return -ENOMEM;
    int error = 0;
    uint64_t started = 0, ones = 0, expected = 0;
    measure_start(run);
    while (started < run->n && (error = skua_spawn(&tasks[started], piece, (void *)(uintptr_t)started)) == 0) started++;
    for (uint64_t i = 0; i < started; i++) {
        int result = 0;
        int joined = skua_join(tasks[i], &result);
        if (joined < 0) error = joined;
        ones += (uint64_t)result;
    }
    measure_stop(run);
    for (uint64_t i = 0; i < started; i++) expected += busy_work(i) >> 63;
    free(tasks);
    return error < 0 ? error : ones == expected ? 0 : -EIO;
}

/* Steals are counted by the runtime: how many tasks went to another worker. */
int bench_steal(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "piece_iterations=800");
    int error = in_task(produce, run);
    skua_stats stats;
    if (error < 0) return error;
    error = skua_runtime_stats(skua_runtime_default(), &stats, NULL, 0);
    if (error < 0) return error;
    snprintf(run->note, sizeof run->note, "workers=%u tried=%" PRIu64 " won=%" PRIu64 " stolen=%" PRIu64, stats.workers,
             stats.total.steals_tried, stats.total.steals_won, stats.total.tasks_stolen);
    return 0;
}

int bench_steal_serial(bench_run *run)
{
    skua_fn *volatile fn = piece;
    int ones = 0;
    snprintf(run->params, sizeof run->params, "piece_iterations=800");
    measure_start(run);
    for (uint64_t i = 0; i < run->n; i++) ones += fn((void *)(uintptr_t)i);
    measure_stop(run);
    return ones < 0 ? -EIO : 0;
}
