/* yield: eight tasks on one worker give way to each other in turn; each yield is one switch. */
#include "in_task.h"
#include "measure.h"

#define TASKS 8

static int give_way(void *arg)
{
    uint64_t turns = *(const uint64_t *)arg;
    for (uint64_t i = 0; i < turns; i++) {
        int error = skua_yield();
        if (error < 0) return error;
    }
    return 0;
}

static int all_give_way(void *arg)
{
    bench_run *run = arg;
    skua_task tasks[TASKS];
    uint64_t turns = run->n / TASKS;
    int error = 0;
    run->n = turns * TASKS;
    measure_start(run);
    int started = 0;
    while (started < TASKS && (error = skua_spawn(&tasks[started], give_way, &turns)) == 0) started++;
    for (int i = 0; i < started; i++) {
        int result = 0;
        int joined = skua_join(tasks[i], &result);
        if (joined < 0 || result < 0) error = joined < 0 ? joined : result;
    }
    measure_stop(run);
    return error;
}

int bench_yield(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "tasks=%d workers=1", TASKS);
    skua_runtime *runtime;
    int error = skua_runtime_create(&runtime, &(skua_runtime_options){.workers_max = 1});
    if (error < 0) return error;
    skua_task task;
    int result = 0;
    error = skua_spawn_with(&task, &(skua_task_options){.runtime = runtime}, all_give_way, run);
    if (error == 0) error = skua_join(task, &result);
    int released = skua_runtime_release(runtime);
    return error < 0 ? error : result < 0 ? result : released;
}
