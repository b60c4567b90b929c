/* in_task.h: benches whose subject is what a task does. */
#ifndef BENCH_IN_TASK_H
#define BENCH_IN_TASK_H

#include <errno.h>
#include <inttypes.h>
#include <skua/skua.h>
#include <stdio.h>

/* Runs fn(arg) as a task of the default runtime and waits for it; returns its result. */
static inline int in_task(skua_fn *fn, void *arg)
{
    skua_task task;
    int result = 0;
    int error = skua_spawn(&task, fn, arg);
    if (error == 0) error = skua_join(task, &result);
    return error < 0 ? error : result;
}

/* Starts n tasks fn(arg) whose handles go to tasks. */
static inline int start_all(skua_task *tasks, int n, skua_fn *fn, void *arg)
{
    int error = 0;
    for (int i = 0; i < n && error == 0; i++) error = skua_spawn(&tasks[i], fn, arg);
    return error;
}

/* Waits for all of them; returns the last error that one of them ended with, or 0. */
static inline int join_all(const skua_task *tasks, int n)
{
    int error = 0;
    for (int i = 0; i < n; i++) {
        int result = 0, joined = skua_join(tasks[i], &result);
        if (joined < 0 || result < 0) error = joined < 0 ? joined : result;
    }
    return error;
}

static inline int expect_ran(uint64_t ran, uint64_t n)
{
    if (ran == n) return 0;
    fprintf(stderr, "%" PRIu64 " tasks ran, expected %" PRIu64 "\n", ran, n);
    return -EIO;
}

/* Of the numbers 0 to n - 1, once each. */
static inline int expect_sum(uint64_t sum, uint64_t n)
{
    if (sum == n * (n - 1) / 2) return 0;
    fprintf(stderr, "the sum of what came is %" PRIu64 ", expected %" PRIu64 "\n", sum, n * (n - 1) / 2);
    return -EIO;
}

#endif
