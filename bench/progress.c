/*
 * progress.c: the bar.  Its thread wakes ten times a second and reads a
 * counter, which costs the bench less than a thousandth of a processor.
 */
#include "progress.h"
#include "measure.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WIDTH 40

static struct {
    pthread_t thread;
    const char *what;
    uint64_t total, start;
    uint64_t (*done)(void);
    _Atomic bool stop;
    bool drawn; /* is there a thread and a bar? */
} bar;

/* A count in at most five characters: 999, 12.3k, 1.00M. */
static void short_number(double n, char *text, size_t size)
{
    if (n >= 1e6)
        snprintf(text, size, "%.2fM", n / 1e6);
    else if (n >= 1e3)
        snprintf(text, size, "%.0fk", n / 1e3);
    else
        snprintf(text, size, "%.0f", n);
}

static void draw(uint64_t done)
{
    double share = bar.total ? (double)done / (double)bar.total : 1;
    if (share > 1) share = 1;
    double seconds = (double)(measure_now() - bar.start) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    char marks[WIDTH + 1], speed[32], left[32] = "";
    int full = (int)(share * WIDTH);
    memset(marks, '#', (size_t)full);
    memset(marks + full, '.', (size_t)(WIDTH - full));
    marks[WIDTH] = 0;
    short_number(rate, speed, sizeof speed);
    if (rate > 0 && share < 1) snprintf(left, sizeof left, "%.1f s left", (double)(bar.total - done) / rate);
    fprintf(stderr, "\r%s [%s] %3.0f%%  %s/s  %.1f s  %s\033[K", bar.what, marks, share * 100, speed, seconds, left);
    fflush(stderr);
}

static void *draw_until_stopped(void *arg)
{
    (void)arg;
    while (!atomic_load_explicit(&bar.stop, memory_order_relaxed)) {
        draw(bar.done());
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return NULL;
}

void progress_start(bool show, const char *what, uint64_t total, uint64_t (*done)(void))
{
    bar.what = what;
    bar.total = total;
    bar.done = done;
    bar.start = measure_now();
    bar.drawn = show && pthread_create(&bar.thread, NULL, draw_until_stopped, NULL) == 0;
}

/* The bar is wiped away: the table that follows tells the rest. */
void progress_stop(void)
{
    if (!bar.drawn) return;
    atomic_store_explicit(&bar.stop, true, memory_order_relaxed);
    pthread_join(bar.thread, NULL);
    draw(bar.done());
    fprintf(stderr, "\r\033[K");
}
