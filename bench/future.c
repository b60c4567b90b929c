/* future: a task submits to a pool, waits for the future and gives it up, again and again. */
#include "in_task.h"
#include "measure.h"

#include <skua/skua.h>
#include <stdio.h>

typedef struct asker {
    bench_run *run;
    skua_pool *pool;
} asker;

static int answer(void *arg)
{
    ++*(uint64_t *)arg; /* the wait orders it: only one is under way at a time */
    return 0;
}

static int ask_once(skua_pool *pool, uint64_t *ran)
{
    skua_future future;
    int result = -EIO;
    int error = skua_pool_submit_future(pool, &future, NULL, answer, ran);
    if (error < 0) return error;
    error = skua_future_wait(future, SKUA_FOREVER, &result);
    int released = skua_future_release(future);
    return error < 0 ? error : released < 0 ? released : result;
}

static int ask(void *arg)
{
    asker *a = arg;
    uint64_t ran = 0;
    int error = 0;
    measure_start(a->run);
    for (uint64_t i = 0; i < a->run->n && error == 0; i++) error = ask_once(a->pool, &ran);
    measure_stop(a->run);
    return error < 0 ? error : expect_ran(ran, a->run->n);
}

static int with_pool(bench_run *run, const skua_pool_options *options)
{
    asker a = {run, NULL};
    int error = skua_pool_create(&a.pool, options);
    if (error < 0) return error;
    error = in_task(ask, &a);
    int released = skua_pool_release(a.pool);
    return error < 0 ? error : released;
}

int bench_future(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=0");
    return with_pool(run, NULL);
}

int bench_future_limited(bench_run *run)
{
    snprintf(run->params, sizeof run->params, "limit=100");
    return with_pool(run, &(skua_pool_options){.limit = 100});
}
