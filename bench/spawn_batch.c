/* spawn-batch: one task spawns a thousand children with one call and joins them, again and again. */
#include "in_task.h"
#include "measure.h"

#define BATCH 1000

static int child(void *arg)
{
    (void)arg;
    return 1;
}

/* A child's result of 1 is its proof of having run. */
static int one_batch(uint64_t size, uint64_t *ran)
{
    static skua_task tasks[BATCH];
    int started = skua_spawn_batch(tasks, size, child, NULL);
    for (int i = 0; i < started; i++) {
        int result = 0;
        int error = skua_join(tasks[i], &result);
        if (error < 0) return error;
        *ran += result == 1;
    }
    return started < 0 ? started : 0;
}

static int parent(void *arg)
{
    bench_run *run = arg;
    uint64_t ran = 0;
    measure_start(run);
    for (uint64_t left = run->n; left > 0;) {
        uint64_t size = left < BATCH ? left : BATCH;
        int error = one_batch(size, &ran);
        if (error < 0) return error;
        left -= size;
    }
    measure_stop(run);
    return expect_ran(ran, run->n);
}

int bench_spawn_batch(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "batch=%d", BATCH);
    return in_task(parent, run);
}
