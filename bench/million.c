/*
 * million: 1,000,000 tasks that each sleep 10 ms, 10,000 at a time, submitted
 * by the main thread: README's program.  The least possible is
 * 1,000,000 / 10,000 * 10 ms = 1.000 s.  The time includes the start of the
 * runtime and the release of the pool.
 */
#include "measure.h"
#include "progress.h"

#include <errno.h>
#include <skua/skua.h>
#include <stdio.h>

#define LIMIT 10000

/* Counted after the sleep, and only when it was one. */
static int nap(void *arg)
{
    (void)arg;
    int error = skua_sleep(SKUA_MS(10));
    if (error == 0) count_one();
    return error;
}

static int submit_all(uint64_t n)
{
    skua_pool *pool;
    int error = skua_pool_create(&pool, &(skua_pool_options){.limit = LIMIT});
    if (error < 0) return error;
    for (uint64_t i = 0; i < n && error == 0; i++) error = skua_pool_submit(pool, nap, NULL);
    int waited = skua_pool_wait(pool, SKUA_FOREVER);
    int released = skua_pool_release(pool);
    return error < 0 ? error : waited < 0 ? waited : released;
}

int bench_million(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d sleep_ms=10", LIMIT);
    progress_start(run->show, "million", run->n, count_all);
    measure_start(run);
    int error = submit_all(run->n);
    measure_stop(run);
    progress_stop();
    return error < 0 ? error : count_expect(run->n);
}
