/*
 * measure.h: wall time, CPU time, peak memory, percentiles, counts.
 *
 * Wall time is CLOCK_MONOTONIC; CPU time is user and system time of all threads
 * (getrusage); peak memory is VmHWM, the most that was ever resident.  Every run
 * has a process of its own, so that the last two belong to that run alone.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "bench.h"

#include <stddef.h>

uint64_t measure_now(void); /* ns */
uint64_t measure_cpu(void); /* ns of all threads so far */

void measure_start(bench_run *run);
void measure_stop(bench_run *run);

/* KiB of the process that are resident now. */
long measure_resident_kb(void);

/* The percentiles of n samples; sorts them. */
bench_spread measure_spread(double *samples, size_t n);

/*
 * Counts tasks that ran, one cell a processor: a single counter, pulled to and
 * fro between the cores, would cost more than what is measured.
 */
void count_one(void);
uint64_t count_all(void);

/* 0 when count_all() is n, else a complaint on stderr and -EIO. */
int count_expect(uint64_t n);

/* About a microsecond of arithmetic that no compiler removes; depends on seed, returns something. */
uint64_t busy_work(uint64_t seed);

#endif
