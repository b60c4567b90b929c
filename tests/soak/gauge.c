/* gauge.c: see gauge.h. */
#include "gauge.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* -1 when the file cannot be opened or read. */
static long count_lines(const char *path)
{
    char piece[4096];
    long lines = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t got;
    while ((got = read(file, piece, sizeof piece)) > 0)
        for (ssize_t i = 0; i < got; i++) lines += piece[i] == '\n';
    close(file);
    return got < 0 ? -1 : lines;
}

static long rss_kb(void)
{
    char text[2048];
    long kb = -1;
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    if (got <= 0) return -1;
    text[got] = 0;
    const char *line = strstr(text, "\nRss:");
    if (line) sscanf(line, "\nRss: %ld", &kb);
    return kb;
}

/* The same, from counters that the kernel adds up late: off by some pages a processor. For kernels before 4.14. */
static long rss_kb_about(void)
{
    long pages = -1;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return -1;
    if (fscanf(file, "%*d %ld", &pages) != 1) pages = -1;
    fclose(file);
    return pages < 0 ? -1 : pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long count_entries(const char *path)
{
    long entries = 0;
    DIR *folder = opendir(path);
    if (!folder) return -1;
    for (struct dirent *entry; (entry = readdir(folder));) entries += entry->d_name[0] != '.';
    closedir(folder);
    return entries;
}

/* Without a reading nothing has been shown: -1 before and -1 after must not pass for "the same". */
static void need(long reading, const char *of)
{
    if (reading >= 0) return;
    printf("FAILED %s cannot be read\n0 passed, 1 failed\n", of);
    fflush(stdout);
    _exit(1); /* threads of the runtime are about */
}

gauge gauge_read(void)
{
    gauge now = {.rss_kb = rss_kb(), .mappings = count_lines("/proc/self/maps")};
    if (now.rss_kb < 0) now.rss_kb = rss_kb_about();
    now.threads = count_entries("/proc/self/task");
    now.files = count_entries("/proc/self/fd") - 1;
    need(now.rss_kb, "resident memory (/proc/self/smaps_rollup, /proc/self/statm)");
    need(now.mappings, "/proc/self/maps");
    need(now.threads, "/proc/self/task");
    need(now.files, "/proc/self/fd");
    return now;
}

static double slope_of(const drift_point *points, size_t n)
{
    double x = 0, y = 0, up = 0, across = 0;
    for (size_t i = 0; i < n; i++) {
        x += points[i].x / (double)n;
        y += points[i].kb / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        up += (points[i].x - x) * (points[i].kb - y);
        across += (points[i].x - x) * (points[i].x - x);
    }
    return across > 0 ? up / across : 0;
}

drift drift_of(const drift_point *points, size_t n)
{
    size_t first = 0;
    while (first < n && points[first].x < 0.2 * points[n - 1].x) first++;
    drift d = {.used = n - first};
    if (d.used < 2) return d;
    d.fitted_kb = slope_of(points + first, d.used) * (points[n - 1].x - points[first].x);
    d.least_kb = d.most_kb = points[first].kb;
    for (size_t i = first; i < n; i++) {
        if (points[i].kb < d.least_kb) d.least_kb = points[i].kb;
        if (points[i].kb > d.most_kb) d.most_kb = points[i].kb;
    }
    d.range_kb = d.most_kb - d.least_kb;
    return d;
}
