/*
 * million: 1,000,000 tasks that each sleep 10 ms, 10,000 at a time, submitted
 * by the main thread: README's program.  The least possible is
 * 1,000,000 / 10,000 * 10 ms = 1.000 s.  The time includes the start of the
 * runtime and the release of the pool.
 *
 * million-full: the same, each task with a timeout of a second, a retry, and a
 * callback that gets its result.
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

/* Not counted: its callback is. */
static int nap_only(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_MS(10));
}

static void count_result(void *ctx, void *given, int result)
{
    (void)given;
    (void)ctx;
    if (result == 0) count_one();
}

static int submit_plain(skua_pool *pool)
{
    return skua_pool_submit(pool, nap, NULL);
}

static int submit_full(skua_pool *pool)
{
    static const skua_submit_options full = {
        .run_within = SKUA_S(1), .retry = {.times = 1}, .ended = {count_result, NULL, NULL}};
    return skua_pool_submit_with(pool, NULL, &full, nap_only, NULL);
}

static int submit_all(uint64_t n, int (*submit)(skua_pool *pool))
{
    skua_pool *pool;
    int error = skua_pool_create(&pool, &(skua_pool_options){.limit = LIMIT});
    if (error < 0) return error;
    for (uint64_t i = 0; i < n && error == 0; i++) error = submit(pool);
    int waited = skua_pool_wait(pool, SKUA_FOREVER);
    int released = skua_pool_release(pool);
    return error < 0 ? error : waited < 0 ? waited : released;
}

static int measure(bench_run *run, const char *what, int (*submit)(skua_pool *pool))
{
    progress_start(run->show, what, run->n, count_all);
    measure_start(run);
    int error = submit_all(run->n, submit);
    measure_stop(run);
    progress_stop();
    return error < 0 ? error : count_expect(run->n);
}

int bench_million(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d sleep_ms=10", LIMIT);
    return measure(run, "million", submit_plain);
}

int bench_million_full(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d sleep_ms=10 timeout_s=1 retry=1 callback=1", LIMIT);
    return measure(run, "million-full", submit_full);
}
