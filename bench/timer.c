/* timer: a task arms a timer of a minute and stops it again, the fate of nearly every time-out. */
#include "in_task.h"
#include "measure.h"

static int never(void *arg)
{
    (void)arg;
    fprintf(stderr, "a stopped timer fired\n");
    return -EIO;
}

static int arm_and_stop(void *arg)
{
    bench_run *run = arg;
    measure_start(run);
    for (uint64_t i = 0; i < run->n; i++) {
        skua_timer timer;
        int error = skua_timer_start(&timer, SKUA_S(60), never, NULL);
        if (error == 0) error = skua_timer_stop(timer);
        if (error < 0) return error;
    }
    measure_stop(run);
    return 0;
}

int bench_timer(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "after_s=60");
    return in_task(arm_and_stop, run);
}
