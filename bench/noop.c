/* noop: the million with empty bodies, submitted by the main thread to a pool: what a task costs all in all. */
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <skua/skua.h>
#include <stdio.h>

#define LIMIT 10000

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Counting in the body would cost as much as the task, so the pool's own books have to do. */
static int books_say(skua_pool *pool, uint64_t n)
{
    skua_pool_counts counts;
    int error = skua_pool_stats(pool, &counts);
    if (error < 0) return error;
    if (counts.done == n && counts.submitted == n) return 0;
    fprintf(stderr, "%" PRIu64 " tasks done, expected %" PRIu64 "\n", counts.done, n);
    return -EIO;
}

int bench_noop(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d", LIMIT);
    skua_pool *pool;
    measure_start(run);
    int error = skua_pool_create(&pool, &(skua_pool_options){.limit = LIMIT});
    if (error < 0) return error;
    for (uint64_t i = 0; i < run->n && error == 0; i++) error = skua_pool_submit(pool, nothing, NULL);
    int waited = skua_pool_wait(pool, SKUA_FOREVER);
    measure_stop(run);
    if (error == 0) error = waited < 0 ? waited : books_say(pool, run->n);
    int released = skua_pool_release(pool);
    return error < 0 ? error : released;
}

/* Called through a pointer that the compiler cannot see through, as a runtime would. */
int bench_calls_serial(bench_run *run)
{
    skua_fn *volatile fn = nothing;
    snprintf(run->params, sizeof run->params, "plain calls");
    measure_start(run);
    for (uint64_t i = 0; i < run->n; i++) fn(NULL);
    measure_stop(run);
    return 0;
}
