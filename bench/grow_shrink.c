/*
 * grow-shrink: tasks of a microsecond flow through a pool while another thread
 * sets the number of workers to 1, 64, 2, 63, ... every two milliseconds.  `fixed` is
 * the same load with the number left alone: the difference is the price.
 */
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <skua/skua.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define LIMIT 10000
#define MOST 64

typedef struct resizer {
    skua_runtime *runtime;
    _Atomic bool stop;
    int error;
    uint64_t resizes;
} resizer;

static int piece(void *arg)
{
    (void)arg;
    busy_work(1);
    count_one();
    return 0;
}

static void *resize_often(void *arg)
{
    resizer *r = arg;
    for (uint32_t i = 0; !atomic_load_explicit(&r->stop, memory_order_relaxed) && r->error == 0; i++) {
        uint32_t half = i / 2 % MOST;
        r->error = skua_runtime_resize(r->runtime, i % 2 ? MOST - half : 1 + half);
        r->resizes += r->error == 0;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return NULL;
}

static int flow(skua_runtime *runtime, uint64_t n)
{
    skua_pool *pool;
    int error = skua_pool_create(&pool, &(skua_pool_options){.runtime = runtime, .limit = LIMIT});
    if (error < 0) return error;
    for (uint64_t i = 0; i < n && error == 0; i++) error = skua_pool_submit(pool, piece, NULL);
    int waited = skua_pool_wait(pool, SKUA_FOREVER);
    int released = skua_pool_release(pool);
    return error < 0 ? error : waited < 0 ? waited : released;
}

static int flow_while_resized(bench_run *run, resizer *r)
{
    pthread_t thread;
    measure_start(run);
    int rc = -pthread_create(&thread, NULL, resize_often, r);
    if (rc < 0) return rc;
    int error = flow(r->runtime, run->n);
    atomic_store_explicit(&r->stop, true, memory_order_relaxed);
    pthread_join(thread, NULL);
    measure_stop(run);
    return error < 0 ? error : r->error;
}

int bench_grow_shrink(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d workers=1..%d every_ms=2", LIMIT, MOST);
    resizer r = {0};
    int error = skua_runtime_create(&r.runtime, NULL);
    if (error < 0) return error;
    error = flow_while_resized(run, &r);
    skua_stats stats;
    int known = skua_runtime_stats(r.runtime, &stats, NULL, 0);
    if (known >= 0) {
        snprintf(run->note, sizeof run->note, "resizes=%" PRIu64 " grown=%" PRIu64 " shrunk=%" PRIu64, r.resizes,
                 stats.grown, stats.shrunk);
    }
    int released = skua_runtime_release(r.runtime);
    if (error == 0) error = known < 0 ? known : released;
    return error < 0 ? error : count_expect(run->n);
}

int bench_grow_shrink_fixed(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=%d", LIMIT);
    measure_start(run);
    int error = flow(NULL, run->n);
    measure_stop(run);
    return error < 0 ? error : count_expect(run->n);
}
