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

static inline int expect_ran(uint64_t ran, uint64_t n)
{
    if (ran == n) return 0;
    fprintf(stderr, "%" PRIu64 " tasks ran, expected %" PRIu64 "\n", ran, n);
    return -EIO;
}

#endif
