/*
 * soak: everything skua can do, mixed, for a long time; and at the end nothing lost, nothing kept.
 *
 *   soak [--tasks N | --minutes M] [--cycles C]
 *
 * Rounds, until N tasks have ended (default 10^9) or M minutes are over, and C cycles of growing and shrinking have
 * been seen (default N / 10^4, or M x 10^4).  In each round a mixture of loads (load.c) runs on the default runtime,
 * driven by tasks and by threads at once, while its workers are changed between 1 and 64; then on runtimes that come
 * and go, with each of the adjuster's policies; then a runtime is stopped in the middle.
 *
 * Before the first round that counts there is one to warm up: it makes what the process keeps for good (slabs, address
 * space for stacks, the C library's arenas).  Then all is released, and what the process holds there, without any
 * runtime, is what it must hold again at the end.
 *
 * A sample of resident memory is taken at rest: no task lives, the default runtime is back at one worker, its spare
 * threads have been sent home, and stacks that nobody uses have been given back, as the monitor does once a second.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gauge.h"
#include "mem/stack.h"
#include "resize.h"
#include "round.h"
#include "runtime/task.h"

enum {
    REST_S = 30,    /* at most, until spare threads have gone */
    TELL_S = 5,     /* between two lines */
    SAMPLES = 4096, /* at most */
    SAMPLE_EVERY_MS = 1500,
    CYCLES_A_MINUTE = 10000, /* of growing and shrinking, to be reached: 10^5 in ten minutes, and with 10^9 tasks */
    DRIFT_KB = 1024,         /* the drift must be less */
    SPARES_KEPT = 4          /* threads without a worker that a runtime keeps, see monitor.c */
};

typedef struct soak {
    uint64_t tasks_wanted, cycles_wanted, ns_wanted; /* the goals; 0: none */
    uint64_t begin, told, tasks_told, sampled;       /* ns; tasks at the last line */
    skua_runtime *rt;
    resizer resize;
    findings f;
    drift_point sample[SAMPLES];
    size_t samples;
    uint64_t sample_every, longest_rest; /* ns */
    gauge last, before, after;
    uint64_t workers_first, grown, shrunk; /* of the default runtime */
    unsigned passed, failed;
} soak;

static soak s;

/* ---- the mixtures ---- */

static const part on_default[] = {
    {KIND_GO, 1000000, false},    {KIND_GO, 1000000, false},  {KIND_GO, 100000, true},    {KIND_GO, 100000, true},
    {KIND_BATCH, 400000, false},  {KIND_BATCH, 50000, true},  {KIND_TREE, 100000, false}, {KIND_TREE, 10000, true},
    {KIND_SLEEP, 4096, false},    {KIND_TIMER, 4096, false},  {KIND_TIMER, 1024, true},   {KIND_START_BY, 500, false},
    {KIND_FINISH_BY, 500, false}, {KIND_CANCEL, 500, false},  {KIND_CANCEL, 500, true},   {KIND_BLOCK, 200, false},
    {KIND_YIELD, 10000, false},   {KIND_POOL, 200000, false}, {KIND_POOL, 20000, true},
};
static const part on_new[] = {
    {KIND_GO, 20000, false},  {KIND_BATCH, 10000, false},  {KIND_TREE, 4000, false},     {KIND_SLEEP, 512, false},
    {KIND_TIMER, 512, false}, {KIND_START_BY, 100, false}, {KIND_FINISH_BY, 100, false}, {KIND_CANCEL, 100, false},
    {KIND_BLOCK, 64, false},  {KIND_YIELD, 1000, false},   {KIND_POOL, 10000, false},
};

#define PARTS(list) (list), sizeof(list) / sizeof *(list)

static void one_round(uint64_t number)
{
    skua_runtime_options fixed = {.workers_max = 1 + (uint32_t)(number % 8)};
    skua_runtime_options backlog = {.workers_max = 16, .adjust = SKUA_ADJUST_BACKLOG, .adjust_interval = SKUA_US(500)};
    skua_runtime_options blocking = {
        .workers_max = 16, .adjust = SKUA_ADJUST_BLOCKING, .adjust_interval = SKUA_US(500)};
    if (resizer_start(&s.resize, s.rt)) atomic_store(&s.resize.error, -1);
    round_run(&s.f, s.rt, PARTS(on_default));
    round_on_new(&s.f, &fixed, PARTS(on_new));
    round_on_new(&s.f, &backlog, PARTS(on_new));
    round_on_new(&s.f, &blocking, PARTS(on_new));
    round_stopped(&s.f, 600);
    resizer_stop(&s.resize);
}

/* ---- at rest ---- */

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Spare threads and stacks of bursts are given back once a second; a moment before or after would make a difference. */
static void come_to_rest(void)
{
    uint64_t begin = skua_now();
    for (; s.rt && skua_now() - begin < SKUA_S(REST_S); nap_ms(10)) {
        skua_stats now = round_settle(s.rt);
        if (now.workers == 1 && now.threads <= 2 + SPARES_KEPT) break;
    }
    if (skua_now() - begin > s.longest_rest) s.longest_rest = skua_now() - begin;
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) sk_stack_trim(cls, 0);
    malloc_trim(0);
}

/* Full: every second sample is let go, and half as many are taken from now on. */
static void thin_out(void)
{
    for (size_t i = 0; i < SAMPLES / 2; i++) s.sample[i] = s.sample[2 * i];
    s.samples = SAMPLES / 2;
    s.sample_every *= 2;
}

static void sample(void)
{
    come_to_rest();
    s.last = gauge_read();
    s.sampled = skua_now();
    if (s.samples == SAMPLES) thin_out();
    s.sample[s.samples++] = (drift_point){(double)s.f.tasks, (double)s.last.rss_kb};
}

/* Of the tasks' memory, what is in use: after the end of all runtimes nothing. */
static void count_in_use(void *object, void *ctx)
{
    const sk_task *task = object;
    *(uint64_t *)ctx += sk_phase_of(sk_load_rlx((sk_atomic(uint64_t) *)&task->state.word)) != SK_FREE;
}

static uint64_t tasks_in_use(void)
{
    uint64_t in_use = 0;
    sk_slab_each(&sk_tasks, count_in_use, &in_use);
    return in_use;
}

static uint64_t stacks_in_use(void)
{
    uint64_t in_use = 0;
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_numbers numbers;
        sk_stack_stats(cls, &numbers);
        in_use += numbers.outside;
    }
    return in_use;
}

/* ---- telling ---- */

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void tell(uint64_t now)
{
    uint64_t tasks = s.f.tasks;
    printf("%6.0f s  %11" PRIu64 " tasks  %6.2f million/s  rss %6ld KiB  %5ld mappings  %3ld threads  %3ld files  "
           "%7" PRIu64 " cycles  %5" PRIu64 " runtimes\n",
           seconds(now - s.begin), tasks, (double)(tasks - s.tasks_told) / seconds(now - s.told) / 1e6, s.last.rss_kb,
           s.last.mappings, s.last.threads, s.last.files, atomic_load(&s.resize.cycles), s.f.runtimes);
    fflush(stdout);
    s.told = now;
    s.tasks_told = tasks;
}

static void check(bool good, const char *what)
{
    printf("%s %s\n", good ? "ok    " : "FAILED", what);
    s.passed += good;
    s.failed += !good;
}

__attribute__((format(printf, 2, 3))) static void check_that(bool good, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    check(good, text);
}

static void check_work(void)
{
    const findings *f = &s.f;
    check_that(f->sums_wrong == 0,
               "%" PRIu64 " tasks in %" PRIu64
               " mixtures (the longest %.1f s): runs, sums and sums of squares are exact",
               f->tasks, f->rounds, seconds(f->longest));
    check_that(f->states_wrong == 0, "the snapshots' states are exact after each mixture and each stop");
    check_that(f->loads_wrong == 0, "every result, count of a pool, timer, deadline and cancel is as it should be");
    check_that(f->runtimes_wrong == 0,
               "%" PRIu64 " runtimes made and released; %" PRIu64 " tasks in runtimes stopped in the middle, %" PRIu64
               " of them dropped",
               f->runtimes, f->stopped_tasks, f->dropped);
    if (s.tasks_wanted)
        check_that(f->tasks >= s.tasks_wanted, "%" PRIu64 " tasks were wanted", s.tasks_wanted);
    else
        check_that(skua_now() - s.begin >= s.ns_wanted, "%.1f minutes were wanted", seconds(s.ns_wanted) / 60);
    uint64_t cycles = atomic_load(&s.resize.cycles);
    int error = atomic_load(&s.resize.error);
    check_that(cycles >= s.cycles_wanted && error == 0,
               "%" PRIu64 " cycles of growing and shrinking, at least %" PRIu64 " wanted, up to %" PRIu64
               " workers; the slowest step %.2f s, error %d",
               cycles, s.cycles_wanted, atomic_load(&s.resize.most), seconds(atomic_load(&s.resize.longest)), error);
    check_that(s.grown + s.workers_first == s.shrunk + 1,
               "workers: %" PRIu64 " at first, %" PRIu64 " added, %" PRIu64 " retired, 1 left", s.workers_first,
               s.grown, s.shrunk);
}

static void check_memory(void)
{
    drift d = drift_of(s.sample, s.samples);
    check_that(d.used >= 10,
               "%zu samples of resident memory in the last 80%% of the tasks, %.0f to %.0f KiB; the longest wait for "
               "rest %.2f s",
               d.used, d.least_kb, d.most_kb, seconds(s.longest_rest));
    check_that(d.fitted_kb < DRIFT_KB,
               "resident memory drifts by %+.0f KiB over the last 80%% (slope of the least-squares "
               "line times the span; limit %d; largest minus smallest %.0f)",
               d.fitted_kb, DRIFT_KB, d.range_kb);
    check_that(s.after.threads == s.before.threads, "threads: %ld before, %ld after", s.before.threads,
               s.after.threads);
    check_that(s.after.mappings == s.before.mappings, "mappings: %ld before, %ld after", s.before.mappings,
               s.after.mappings);
    check_that(s.after.files == s.before.files, "descriptors: %ld before, %ld after", s.before.files, s.after.files);
    uint64_t tasks = tasks_in_use(), stacks = stacks_in_use();
    check_that(tasks == 0 && stacks == 0 && sk_slab_check(&sk_tasks),
               "%" PRIu64 " task objects and %" PRIu64 " stacks in use after the last release", tasks, stacks);
}

/* ---- the whole ---- */

static void wait_for_workers(uint32_t n)
{
    skua_stats now = {0};
    int error = skua_runtime_resize(s.rt, n);
    for (int ms = 0; error == 0 && ms < 10000 && now.workers != n; ms++, nap_ms(1)) now = round_settle(s.rt);
}

/* With all that it will keep for as long as it lives: workers and their queues stay with a runtime. */
static bool open_default(void)
{
    s.rt = skua_runtime_default();
    skua_stats now = {0};
    if (!s.rt || skua_runtime_stats(s.rt, &now, NULL, 0) < 0) return false;
    s.workers_first = now.workers;
    wait_for_workers(WORKERS_MOST);
    return load_fill_queues(s.rt, WORKERS_MOST);
}

static void close_default(void)
{
    skua_stats now = round_settle(s.rt);
    s.grown = now.grown;
    s.shrunk = now.shrunk;
    s.f.runtimes_wrong += skua_runtime_release(s.rt) != 0;
    s.f.runtimes++;
    s.rt = NULL;
}

/* Everything once, with as many workers as there ever will be. What it finds wrong counts, what it has run does not. */
static bool warm_up(void)
{
    if (!open_default()) return false;
    round_settle(s.rt);
    if (!load_fill_memory(s.rt)) return false;
    round_run(&s.f, s.rt, PARTS(on_default)); /* with all of them */
    one_round(0);
    close_default();
    come_to_rest();
    s.before = gauge_read();
    s.f.tasks = s.f.rounds = s.f.longest = s.f.runtimes = s.f.stopped_tasks = s.f.dropped = 0;
    atomic_store(&s.resize.cycles, 0);
    atomic_store(&s.resize.longest, 0);
    s.longest_rest = 0;
    return true;
}

static bool goals_reached(uint64_t now)
{
    if (s.tasks_wanted && s.f.tasks < s.tasks_wanted) return false;
    if (now - s.begin < s.ns_wanted) return false;
    bool late = s.ns_wanted && now - s.begin >= 2 * s.ns_wanted; /* cycles that are missing then fail their check */
    return late || atomic_load(&s.resize.cycles) >= s.cycles_wanted || atomic_load(&s.resize.error);
}

static void run(void)
{
    wait_for_workers(1);
    s.sample_every = SKUA_MS(SAMPLE_EVERY_MS);
    s.begin = s.told = skua_now();
    sample();
    for (uint64_t number = 1, now; !goals_reached(now = skua_now()); number++) {
        one_round(number);
        now = skua_now();
        if (now - s.sampled >= s.sample_every) sample();
        if (now - s.told >= SKUA_S(TELL_S)) tell(now);
    }
    sample();
    tell(skua_now());
}

static int usage(void)
{
    fprintf(stderr, "usage: soak [--tasks N | --minutes M] [--cycles C]\n");
    return 2;
}

/* Goals from the arguments; false when they make no sense. */
static bool take_arguments(int argc, char **argv)
{
    bool cycles_given = false;
    for (int i = 1; i < argc; i += 2) {
        char *end = NULL;
        double number = i + 1 < argc ? strtod(argv[i + 1], &end) : -1;
        if (number <= 0 || *end) return false;
        if (!strcmp(argv[i], "--tasks")) {
            s.tasks_wanted = (uint64_t)number;
        } else if (!strcmp(argv[i], "--minutes")) {
            s.ns_wanted = (uint64_t)(number * 60e9);
        } else if (!strcmp(argv[i], "--cycles")) {
            s.cycles_wanted = (uint64_t)number;
            cycles_given = true;
        } else {
            return false;
        }
    }
    if (!s.tasks_wanted && !s.ns_wanted) s.tasks_wanted = 1000000000;
    if (!cycles_given)
        s.cycles_wanted = s.ns_wanted ? s.ns_wanted / (60000000000 / CYCLES_A_MINUTE) : s.tasks_wanted / 10000;
    return !(s.tasks_wanted && s.ns_wanted);
}

int main(int argc, char **argv)
{
    if (!take_arguments(argc, argv)) return usage();
    memset((void *)s.sample, 0xff, sizeof s.sample); /* resident before the first look */
    if (!warm_up() || !open_default()) {
        fprintf(stderr, "soak: no runtime, or tasks of the warm-up are missing after two minutes\n");
        printf("0 passed, 1 failed\n");
        return 1;
    }
    run();
    wait_for_workers(1);
    close_default();
    come_to_rest();
    s.after = gauge_read();
    check_work();
    check_memory();
    printf("in %.0f s:\n%u passed, %u failed\n", seconds(skua_now() - s.begin), s.passed, s.failed);
    return s.failed != 0;
}
