/* group: a group of empty tasks, submitted by the main thread or by a task, and waited for. */
#include "in_task.h"
#include "measure.h"

#include <skua/skua.h>
#include <stdio.h>

#define WARM_UP 20000

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int fill(skua_group *group, uint64_t n)
{
    int error = 0;
    for (uint64_t i = 0; i < n && error == 0; i++) error = skua_group_go(group, nothing, NULL);
    int waited = skua_group_wait(group, NULL);
    return error < 0 ? error : waited;
}

static int books_say(skua_group *group, uint64_t n)
{
    skua_pool_counts counts;
    int error = skua_group_stats(group, &counts);
    return error < 0 ? error : expect_ran(counts.done, n);
}

/* A first round brings the memory to what the second, a million, must not exceed by much. */
static int rounds(void *arg)
{
    bench_run *run = arg;
    skua_group *group;
    int error = skua_group_create(&group, NULL);
    if (error < 0) return error;
    error = fill(group, WARM_UP);
    long before = measure_resident_kb();
    measure_start(run);
    if (error == 0) error = fill(group, run->n);
    measure_stop(run);
    snprintf(run->note, sizeof run->note, "memory +%ld KiB", run->peak_rss_kb - before);
    if (error == 0) error = books_say(group, run->n + WARM_UP);
    int released = skua_group_release(group);
    return error < 0 ? error : released;
}

int bench_group(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=0 by=thread");
    return rounds(run);
}

int bench_group_in_task(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=0 by=task");
    return in_task(rounds, run);
}
