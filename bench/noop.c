/* noop: the million with empty bodies, submitted by the main thread to a pool: what a task costs all in all. And the
   same through a longer queue, by four threads, and at three levels of priority. */
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <skua/skua.h>
#include <stdio.h>

#define LIMIT 10000
#define QUEUE 10000
#define LEVELS 3
#define SUBMITTERS 4

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

typedef int submit_fn(skua_pool *pool, uint64_t n);

static int submit_plain(skua_pool *pool, uint64_t n)
{
    int error = 0;
    for (uint64_t i = 0; i < n && error == 0; i++) error = skua_pool_submit(pool, nothing, NULL);
    return error;
}

static int submit_by_level(skua_pool *pool, uint64_t n)
{
    int error = 0;
    skua_submit_options options = {0};
    for (uint64_t i = 0; i < n && error == 0; i++) {
        options.level = (uint32_t)(i % LEVELS);
        error = skua_pool_submit_with(pool, NULL, &options, nothing, NULL);
    }
    return error;
}

/* The same calls, all at level 0. */
static int submit_with_options(skua_pool *pool, uint64_t n)
{
    int error = 0;
    const skua_submit_options options = {0};
    for (uint64_t i = 0; i < n && error == 0; i++) error = skua_pool_submit_with(pool, NULL, &options, nothing, NULL);
    return error;
}

typedef struct share {
    pthread_t thread;
    skua_pool *pool;
    uint64_t n;
    int error;
} share;

static void *submit_share(void *arg)
{
    share *s = arg;
    s->error = submit_plain(s->pool, s->n);
    return NULL;
}

static int submit_by_threads(skua_pool *pool, uint64_t n)
{
    share shares[SUBMITTERS];
    int error = 0, made = 0;
    for (; made < SUBMITTERS && error == 0; made += error == 0) {
        shares[made] = (share){.pool = pool, .n = n / SUBMITTERS + ((uint64_t)made < n % SUBMITTERS)};
        error = -pthread_create(&shares[made].thread, NULL, submit_share, &shares[made]);
    }
    for (int i = 0; i < made; i++) {
        pthread_join(shares[i].thread, NULL);
        if (error == 0) error = shares[i].error;
    }
    return error;
}

static int through_pool(bench_run *run, const skua_pool_options *options, submit_fn *submit)
{
    skua_pool *pool;
    measure_start(run);
    int error = skua_pool_create(&pool, options);
    if (error < 0) return error;
    error = submit(pool, run->n);
    int waited = skua_pool_wait(pool, SKUA_FOREVER);
    measure_stop(run);
    if (error == 0) error = waited < 0 ? waited : books_say(pool, run->n);
    int released = skua_pool_release(pool);
    return error < 0 ? error : released;
}

int bench_noop(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d", LIMIT);
    return through_pool(run, &(skua_pool_options){.limit = LIMIT}, submit_plain);
}

int bench_noop_bounded(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d queue=%d", LIMIT, QUEUE);
    return through_pool(run, &(skua_pool_options){.limit = LIMIT, .queue = QUEUE}, submit_plain);
}

int bench_noop_4(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d queue=%d submitters=%d", LIMIT, QUEUE, SUBMITTERS);
    return through_pool(run, &(skua_pool_options){.limit = LIMIT, .queue = QUEUE}, submit_by_threads);
}

int bench_priority(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d levels=%d", LIMIT, LEVELS);
    return through_pool(run, &(skua_pool_options){.limit = LIMIT, .levels = LEVELS}, submit_by_level);
}

int bench_priority_none(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d levels=1", LIMIT);
    return through_pool(run, &(skua_pool_options){.limit = LIMIT}, submit_with_options);
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
