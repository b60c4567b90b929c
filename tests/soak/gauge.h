/*
 * gauge.h: what the process holds: resident memory, mappings, threads, descriptors.
 */
#ifndef SOAK_GAUGE_H
#define SOAK_GAUGE_H

#include <stddef.h>
#include <stdint.h>

typedef struct gauge {
    long rss_kb;   /* Rss of /proc/self/smaps_rollup: exact, as the kernel walks the page tables for it */
    long mappings; /* lines of /proc/self/maps */
    long threads;  /* entries of /proc/self/task */
    long files;    /* entries of /proc/self/fd, without the one that is open for looking */
} gauge;

/* Now. From a thread, not from a task. */
gauge gauge_read(void);

/* One sample at rest. */
typedef struct drift_point {
    double x; /* tasks run so far */
    double kb;
} drift_point;

typedef struct drift {
    size_t used;      /* samples in the last 80% */
    double fitted_kb; /* slope of the least-squares line, times the span from the first of these to the last */
    double range_kb;  /* the largest minus the smallest */
    double least_kb, most_kb;
} drift;

/* Over the points whose x lies in the last 80% of 0 ... the last x. */
drift drift_of(const drift_point *points, size_t n);

#endif
