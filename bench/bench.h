/*
 * bench.h: what a bench is, and what it hands back.
 *
 * A bench is a function that gets a fresh process, calls measure_start and
 * measure_stop around what it measures, and fills in the rest.  It uses skua's
 * public headers only.  It returns 0, -EIO when its own check fails (the
 * wrong number of tasks ran), or the negative errno value of the call that failed.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

/* A distribution of times in nanoseconds; p50 == 0: this bench has none. */
typedef struct bench_spread {
    double p50, p99, p999, max;
} bench_spread;

typedef struct bench_run {
    uint64_t n;        /* in: how many operations */
    bool show;         /* in: draw a progress bar on stderr */
    char params[160];  /* out: what one should know about the run, "limit=10000" */
    char note[160];    /* out: what it found besides times, "wakeups=0"; may stay empty */
    double wall_s;     /* out: by measure_stop */
    double cpu_s;      /* out: by measure_stop */
    double ns_per_op;  /* out: wall time by n, unless the bench sets it (a latency bench: its p50) */
    long peak_rss_kb;  /* out: of the whole process */
    bench_spread late; /* out: latencies, where the bench is about them */

    uint64_t wall_start, cpu_start; /* between measure_start and measure_stop */
} bench_run;

typedef int bench_fn(bench_run *run);

/* impl "skua" */
bench_fn bench_million, bench_noop, bench_spawn_join, bench_spawn_batch, bench_yield, bench_sleep_1m, bench_timer,
    bench_wake_latency, bench_steal, bench_grow_shrink, bench_sleep_accuracy, bench_idle;
bench_fn bench_chan_pingpong, bench_chan_buffered, bench_chan_mpmc, bench_select, bench_mutex, bench_timer_chan,
    bench_timer_chan_reset, bench_skynet, bench_sieve, bench_parked;
bench_fn bench_million_full, bench_noop_bounded, bench_noop_4, bench_future, bench_priority, bench_group;

/* impl "limited": futures of a pool with a limit; "task": the group's tasks are submitted by a task; "none": a pool
   without levels, for scale */
bench_fn bench_future_limited, bench_group_in_task, bench_priority_none;

/* impl "serial": the same work as plain function calls, for scale */
bench_fn bench_calls_serial, bench_steal_serial, bench_sleep_accuracy_serial;

/* impl "fixed": grow-shrink's load, left in peace */
bench_fn bench_grow_shrink_fixed;

#endif
