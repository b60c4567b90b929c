/* mutex: eight tasks count under one mutex. */
#include "in_task.h"
#include "measure.h"

#define TASKS 8

typedef struct counter {
    skua_mutex mutex;
    uint64_t count; /* under the mutex */
    uint64_t turns; /* of each task */
} counter;

static int count_up(void *arg)
{
    counter *c = arg;
    for (uint64_t i = 0; i < c->turns; i++) {
        int error = skua_mutex_lock(&c->mutex);
        if (error < 0) return error;
        c->count++;
        skua_mutex_unlock(&c->mutex);
    }
    return 0;
}

static int contend(void *arg)
{
    bench_run *run = arg;
    counter c = {.mutex = SKUA_MUTEX_INIT, .turns = run->n / TASKS};
    skua_task tasks[TASKS];
    run->n = c.turns * TASKS;
    measure_start(run);
    int error = start_all(tasks, TASKS, count_up, &c);
    if (error == 0) error = join_all(tasks, TASKS);
    measure_stop(run);
    return error < 0 ? error : expect_ran(c.count, run->n);
}

int bench_mutex(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "tasks=%d", TASKS);
    return in_task(contend, run);
}
