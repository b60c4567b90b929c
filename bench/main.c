/*
 * main.c: the table of benches, and the driver that runs one of them R times,
 * each time in a forked process, and prints the medians.
 */
#include "bench.h"
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <skua/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MOST 101

typedef struct bench {
    const char *name, *impl;
    uint64_t n;
    bench_fn *run;
    const char *sentence; /* NULL: another implementation of the bench above */
} bench;

static const bench benches[] = {
    {"million", "skua", 1000000, bench_million, "a million tasks that sleep 10 ms, 10,000 at a time, through a pool"},
    {"noop", "skua", 1000000, bench_noop, "the same with empty bodies: what a task costs all in all"},
    {"noop", "serial", 1000000, bench_calls_serial, NULL},
    {"million-full", "skua", 1000000, bench_million_full,
     "the million, each task with a timeout, a retry and a callback for its result"},
    {"noop-bounded", "skua", 1000000, bench_noop_bounded, "noop through a pool with a queue of 10,000"},
    {"noop-4", "skua", 1000000, bench_noop_4, "the same, submitted by four threads"},
    {"future", "skua", 1000000, bench_future, "a task submits to a pool and waits for the future"},
    {"future", "limited", 1000000, bench_future_limited, NULL},
    {"priority", "skua", 1000000, bench_priority, "noop with three levels of priority, and with none"},
    {"priority", "none", 1000000, bench_priority_none, NULL},
    {"group", "skua", 1000000, bench_group, "a group of empty tasks, and what memory it takes"},
    {"group", "task", 1000000, bench_group_in_task, NULL},
    {"spawn-join", "skua", 1000000, bench_spawn_join, "a task spawns a child and joins it"},
    {"spawn-join", "serial", 1000000, bench_calls_serial, NULL},
    {"spawn-batch", "skua", 1000000, bench_spawn_batch, "a task spawns children by the thousand and joins them"},
    {"spawn-batch", "serial", 1000000, bench_calls_serial, NULL},
    {"yield", "skua", 8000000, bench_yield, "eight tasks on one worker yield to each other"},
    {"sleep-1m", "skua", 1000000, bench_sleep_1m, "a million tasks that sleep 10 ms, without a limit"},
    {"timer", "skua", 2000000, bench_timer, "a task arms a timer of a minute and stops it"},
    {"timer-chan", "skua", 2000000, bench_timer_chan, "the same with a timer into a channel: a new one each time"},
    {"timer-chan", "reset", 2000000, bench_timer_chan_reset, NULL},
    {"chan-pingpong", "skua", 2000000, bench_chan_pingpong, "a number goes to another task and back, unbuffered"},
    {"chan-buffered", "skua", 5000000, bench_chan_buffered, "numbers from one task to another, through 128 slots"},
    {"chan-mpmc", "skua", 4000000, bench_chan_mpmc, "the same from four tasks to four"},
    {"select", "skua", 2000000, bench_select, "a task receives from either of two channels, unbuffered"},
    {"mutex", "skua", 8000000, bench_mutex, "eight tasks count under one mutex"},
    {"skynet", "skua", 1000000, bench_skynet, "a tree of tasks with n leaves adds up their numbers, through channels"},
    {"sieve", "skua", 2000, bench_sieve, "the first n primes, by a chain of filters"},
    {"parked", "skua", 100000, bench_parked, "the memory of a task that waits in a channel"},
    {"wake-latency", "skua", 3000, bench_wake_latency,
     "from a submit by a foreign thread to the task on a sleeping runtime"},
    {"steal", "skua", 300000, bench_steal, "one task makes all the work, in pieces of a microsecond; the others steal"},
    {"steal", "serial", 300000, bench_steal_serial, NULL},
    {"grow-shrink", "skua", 500000, bench_grow_shrink, "tasks flow while the workers go from 1 to 64 and back"},
    {"grow-shrink", "fixed", 500000, bench_grow_shrink_fixed, NULL},
    {"sleep-accuracy", "skua", 300, bench_sleep_accuracy, "how late a sleep of 10 ms ends on an idle machine"},
    {"sleep-accuracy", "serial", 300, bench_sleep_accuracy_serial, NULL},
    {"idle", "skua", 3000, bench_idle, "how often an idle runtime wakes up in n milliseconds"},
};
#define BENCHES (sizeof benches / sizeof benches[0])

typedef struct options {
    const char *name, *impl;
    uint64_t n; /* 0: the bench's own */
    int runs;
    bool json, list, impls;
} options;

static void usage(FILE *to)
{
    fprintf(to, "usage: skua-bench NAME [--n N] [--runs R] [--impl IMPL] [--json]\n"
                "       skua-bench --list | --impls\n");
}

/* The text of a value that follows an option; ends the program when it is missing. */
static const char *value_of(char ***arg)
{
    if ((*arg)[1]) return *++*arg;
    usage(stderr);
    exit(2);
}

static uint64_t number_of(char ***arg, uint64_t most)
{
    const char *text = value_of(arg);
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == 0 && n > 0 && n <= most) return n;
    fprintf(stderr, "skua-bench: not a number from 1 to %" PRIu64 ": %s\n", most, text);
    exit(2);
}

static options parse(char **arg)
{
    options o = {.impl = "skua", .runs = 1};
    for (arg++; *arg; arg++) {
        if (strcmp(*arg, "--n") == 0)
            o.n = number_of(&arg, 1u << 30);
        else if (strcmp(*arg, "--runs") == 0)
            o.runs = (int)number_of(&arg, RUNS_MOST);
        else if (strcmp(*arg, "--impl") == 0)
            o.impl = value_of(&arg);
        else if (strcmp(*arg, "--json") == 0)
            o.json = true;
        else if (strcmp(*arg, "--list") == 0)
            o.list = true;
        else if (strcmp(*arg, "--impls") == 0)
            o.impls = true;
        else if (**arg != '-' && !o.name)
            o.name = *arg;
        else {
            usage(stderr);
            exit(2);
        }
    }
    return o;
}

/* A pipe's worth is written at once (the struct is far below PIPE_BUF), so a reader gets all of it or nothing. */
static int child_run(const bench *b, bench_run *run, int to)
{
    int error = b->run(run);
    if (error < 0)
        fprintf(stderr, "skua-bench: %s (%s): %s\n", b->name, b->impl,
                error == -EIO ? "its check failed" : skua_strerror(error));
    bool sent = error >= 0 && write(to, run, sizeof *run) == (ssize_t)sizeof *run;
    return sent ? 0 : 1;
}

/* One run in a process of its own, so that memory and CPU time are this run's and no thread is left over. */
static bool run_once(const bench *b, bench_run *run)
{
    int ends[2];
    if (pipe(ends) != 0) return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(child_run(b, run, ends[1]));
    close(ends[1]);
    bool read_all = child > 0 && read(ends[0], run, sizeof *run) == (ssize_t)sizeof *run;
    close(ends[0]);
    int status = 0;
    if (child > 0) waitpid(child, &status, 0);
    if (child > 0 && WIFSIGNALED(status)) {
        fprintf(stderr, "skua-bench: %s (%s): killed by %s\n", b->name, b->impl, strsignal(WTERMSIG(status)));
    }
    return read_all && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static double median(double *values, int n)
{
    return measure_spread(values, (size_t)n).p50;
}

/* Each figure is the median of that figure over the runs; texts are the last run's. */
#define MEDIAN_OF(field)                                                                                               \
    do {                                                                                                               \
        double values[RUNS_MOST];                                                                                      \
        for (int i = 0; i < n; i++) values[i] = (double)runs[i].field;                                                 \
        all.field = median(values, n);                                                                                 \
    } while (0)

static bench_run median_run(const bench_run *runs, int n)
{
    bench_run all = runs[n - 1];
    MEDIAN_OF(wall_s);
    MEDIAN_OF(cpu_s);
    MEDIAN_OF(ns_per_op);
    MEDIAN_OF(late.p50);
    MEDIAN_OF(late.p99);
    MEDIAN_OF(late.p999);
    MEDIAN_OF(late.max);
    double peaks[RUNS_MOST];
    for (int i = 0; i < n; i++) peaks[i] = (double)runs[i].peak_rss_kb;
    all.peak_rss_kb = (long)median(peaks, n);
    return all;
}

static void print_json(const bench *b, const bench_run *r, int runs)
{
    printf("{\"bench\":\"%s\",\"impl\":\"%s\",\"params\":\"n=%" PRIu64 "%s%s\",\"wall_s\":%.6f,\"cpu_s\":%.6f,"
           "\"peak_rss_kb\":%ld,\"ns_per_op\":%.2f,\"runs\":%d",
           b->name, b->impl, r->n, r->params[0] ? " " : "", r->params, r->wall_s, r->cpu_s, r->peak_rss_kb,
           r->ns_per_op, runs);
    if (r->late.p50 > 0) {
        printf(",\"p50_ns\":%.0f,\"p99_ns\":%.0f,\"p999_ns\":%.0f,\"max_ns\":%.0f", r->late.p50, r->late.p99,
               r->late.p999, r->late.max);
    }
    if (r->note[0]) printf(",\"note\":\"%s\"", r->note);
    printf("}\n");
}

static void print_words(const bench *b, const bench_run *r, int runs)
{
    printf("%s (%s), n=%" PRIu64 " %s, median of %d\n", b->name, b->impl, r->n, r->params, runs);
    printf("  wall %.3f s   CPU %.3f s   peak %.1f MB   %.1f ns\n", r->wall_s, r->cpu_s, (double)r->peak_rss_kb / 1024,
           r->ns_per_op);
    if (r->late.p50 > 0) {
        printf("  p50 %.1f us   p99 %.1f us   p99.9 %.1f us   max %.1f us\n", r->late.p50 / 1e3, r->late.p99 / 1e3,
               r->late.p999 / 1e3, r->late.max / 1e3);
    }
    if (r->note[0]) printf("  %s\n", r->note);
}

static const bench *find(const char *name, const char *impl)
{
    for (size_t i = 0; i < BENCHES; i++) {
        if (strcmp(benches[i].name, name) == 0 && strcmp(benches[i].impl, impl) == 0) return &benches[i];
    }
    return NULL;
}

static int list(bool impls)
{
    for (size_t i = 0; i < BENCHES; i++) {
        if (impls)
            printf("%s %s\n", benches[i].name, benches[i].impl);
        else if (benches[i].sentence)
            printf("%-15s %s\n", benches[i].name, benches[i].sentence);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static bench_run runs[RUNS_MOST];
    options o = parse(argc > 0 ? argv : (char *[]){"skua-bench", NULL});
    if (o.list || o.impls) return list(o.impls);
    const bench *b = o.name ? find(o.name, o.impl) : NULL;
    if (!b) {
        if (o.name) fprintf(stderr, "skua-bench: no bench %s (%s); --list names them\n", o.name, o.impl);
        usage(stderr);
        return 2;
    }
    for (int i = 0; i < o.runs; i++) {
        runs[i] = (bench_run){.n = o.n ? o.n : b->n, .show = isatty(STDERR_FILENO) != 0};
        if (!run_once(b, &runs[i])) return 1;
    }
    bench_run all = median_run(runs, o.runs);
    (o.json ? print_json : print_words)(b, &all, o.runs);
    return 0;
}
