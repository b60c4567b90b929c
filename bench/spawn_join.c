/* spawn-join: one task spawns a child and joins it, again and again. */
#include "in_task.h"
#include "measure.h"

#include <skua/skua.h>
#include <stdio.h>

static int child(void *arg)
{
    ++*(uint64_t *)arg; /* the join orders it: only one child lives at a time */
    return 0;
}

static int parent(void *arg)
{
    bench_run *run = arg;
    uint64_t ran = 0;
    measure_start(run);
    for (uint64_t i = 0; i < run->n; i++) {
        skua_task task;
        int error = skua_spawn(&task, child, &ran);
        if (error == 0) error = skua_join(task, NULL);
        if (error < 0) return error;
    }
    measure_stop(run);
    return expect_ran(ran, run->n);
}

int bench_spawn_join(bench_run *run)
{
    return in_task(parent, run);
}
