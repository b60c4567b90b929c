/* sleep-1m: a million sleepers of 10 ms without a limit, started one by one from the main thread. */
#include "measure.h"

#include <skua/skua.h>
#include <stdio.h>

static int nap(void *arg)
{
    (void)arg;
    int error = skua_sleep(SKUA_MS(10));
    if (error == 0) count_one();
    return error;
}

/* A pool without a limit is a way to wait for all of them; each task starts at once. */
int bench_sleep_1m(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "sleep_ms=10");
    skua_pool *pool;
    measure_start(run);
    int error = skua_pool_create(&pool, NULL);
    if (error < 0) return error;
    for (uint64_t i = 0; i < run->n && error == 0; i++) error = skua_pool_submit(pool, nap, NULL);
    int waited = skua_pool_wait(pool, SKUA_FOREVER);
    int released = skua_pool_release(pool);
    measure_stop(run);
    if (error == 0) error = waited < 0 ? waited : released;
    return error < 0 ? error : count_expect(run->n);
}
