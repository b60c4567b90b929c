/* measure.c: see measure.h. */
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

uint64_t measure_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

uint64_t measure_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

/* A number of /proc/self/status, in KiB; 0: it is not there. */
static long status_kb(const char *format)
{
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, format, &kb) == 1) break;
    }
    fclose(file);
    return kb;
}

/* VmHWM and not ru_maxrss: the latter is inherited from the process that started us. */
static long peak_rss_kb(void)
{
    return status_kb("VmHWM: %ld");
}

long measure_resident_kb(void)
{
    return status_kb("VmRSS: %ld");
}

void measure_start(bench_run *run)
{
    run->cpu_start = measure_cpu();
    run->wall_start = measure_now();
}

void measure_stop(bench_run *run)
{
    run->wall_s = (double)(measure_now() - run->wall_start) / 1e9;
    run->cpu_s = (double)(measure_cpu() - run->cpu_start) / 1e9;
    run->peak_rss_kb = peak_rss_kb();
    if (run->n) run->ns_per_op = run->wall_s * 1e9 / (double)run->n;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The smallest sample that is not below a share q of them all. */
static double quantile(const double *sorted, size_t n, double q)
{
    size_t rank = (size_t)(q * (double)n);
    if ((double)rank < q * (double)n) rank++;
    return sorted[rank > 0 ? rank - 1 : 0];
}

bench_spread measure_spread(double *samples, size_t n)
{
    bench_spread spread = {0};
    if (n == 0) return spread;
    qsort(samples, n, sizeof *samples, by_size);
    spread.p50 = quantile(samples, n, 0.50);
    spread.p99 = quantile(samples, n, 0.99);
    spread.p999 = quantile(samples, n, 0.999);
    spread.max = samples[n - 1];
    return spread;
}

#define CELLS 64

static struct {
    _Alignas(64) _Atomic uint64_t ran;
} cells[CELLS];

void count_one(void)
{
    unsigned cell = (unsigned)sched_getcpu() % CELLS; /* a hint only: the add is atomic wherever the thread goes */
    atomic_fetch_add_explicit(&cells[cell].ran, 1, memory_order_relaxed);
}

uint64_t count_all(void)
{
    uint64_t all = 0;
    for (int i = 0; i < CELLS; i++) all += atomic_load_explicit(&cells[i].ran, memory_order_relaxed);
    return all;
}

int count_expect(uint64_t n)
{
    uint64_t ran = count_all();
    if (ran == n) return 0;
    fprintf(stderr, "%" PRIu64 " tasks ran, expected %" PRIu64 "\n", ran, n);
    return -EIO;
}

uint64_t busy_work(uint64_t seed)
{
    for (int i = 0; i < 800; i++) seed = seed * 6364136223846793005u + 1442695040888963407u;
    __asm__ volatile("" : "+r"(seed));
    return seed;
}
