/*
 * ants.c: what ants shows first: the common pool, and a pool with a function, whose tasks are only arguments.
 *
 * There is no wait group to be kept: a pool knows its tasks, and skua_pool_wait waits for them.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include <skua/skua.h>

enum { RUNS = 1000 };

static atomic_int sum, ran;

static int demo(void *arg)
{
    (void)arg;
    int error = skua_sleep(SKUA_MS(10)); /* parks the task: all of them sleep at a time, on a few threads */
    atomic_fetch_add(&ran, 1);
    return error;
}

/* An argument is a pointer; a small number fits into one. */
static int add(void *arg)
{
    atomic_fetch_add(&sum, (int)(intptr_t)arg);
    return 0;
}

static int use_the_common_pool(void)
{
    skua_pool *pool = skua_pool_default(); /* made on first use, never released */
    int error = 0;
    for (int i = 0; i < RUNS && error == 0; i++) error = skua_pool_submit(pool, demo, NULL);
    if (error == 0) error = skua_pool_wait(pool, SKUA_FOREVER);

    skua_pool_counts c;
    if (error == 0) error = skua_pool_stats(pool, &c);
    if (error == 0) printf("common pool: %d tasks ran, %d run now\n", atomic_load(&ran), (int)c.running);
    return error;
}

static int add_all(skua_pool *pool)
{
    int error = 0;
    for (intptr_t i = 0; i < RUNS && error == 0; i++) {
        if (i == RUNS / 2) error = skua_pool_tune(pool, 20); /* the limit can be changed while tasks run */
        if (error == 0) error = skua_pool_invoke(pool, (void *)i);
    }
    return error;
}

static int use_a_pool_with_a_function(void)
{
    skua_pool *pool;
    int error = skua_pool_create(&pool, &(skua_pool_options){.limit = 10, .fn = add});
    if (error < 0) return error;
    error = add_all(pool);
    /* ReleaseTimeout, and Reboot: what was stopped starts again. */
    if (error == 0) error = skua_pool_stop(pool, SKUA_FOREVER);
    printf("pool with a function: the sum is %d\n", atomic_load(&sum));
    if (error == 0) error = skua_pool_restart(pool);
    if (error == 0) error = skua_pool_invoke(pool, (void *)(intptr_t)500);
    if (error == 0) error = skua_pool_wait(pool, SKUA_FOREVER);
    printf("after a restart: %d\n", atomic_load(&sum));
    skua_pool_release(pool); /* waits for what still runs, in any case */
    return error;
}

int main(void)
{
    int error = use_the_common_pool();
    if (error == 0) error = use_a_pool_with_a_function();
    if (error < 0) fprintf(stderr, "ants: %s\n", skua_strerror(error));
    return error < 0;
}
