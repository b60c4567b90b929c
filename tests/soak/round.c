/* round.c: see round.h. */
#include "round.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 120 /* no round takes this long, however busy the machine */ };

static void nap_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static uint64_t ended(const skua_stats *s)
{
    return s->done + s->failed + s->cancelled + s->expired + s->dropped;
}

static skua_stats stats_of(skua_runtime *rt)
{
    skua_stats s = {0};
    skua_runtime_stats(rt, &s, NULL, 0);
    return s;
}

void round_stuck(skua_runtime *rt, const char *where)
{
    skua_stats s = stats_of(rt);
    fprintf(stderr,
            "soak: stuck in %s: created %" PRIu64 " queued %" PRIu64 " running %" PRIu64 " parked %" PRIu64
            " ended %" PRIu64 "; workers %u idle %u blocked %u threads %u\n",
            where, s.created, s.queued, s.running, s.parked, ended(&s), s.workers, s.idle, s.blocked, s.threads);
    printf("0 passed, 1 failed\n");
    fflush(stdout);
    _exit(1);
}

skua_stats round_settle(skua_runtime *rt)
{
    for (uint64_t give_up = skua_now() + SKUA_S(PATIENCE_S);; nap_us(50)) {
        skua_stats s = stats_of(rt);
        if (ended(&s) == s.created) return s;
        if (skua_now() > give_up) round_stuck(rt, "the wait for the end of all tasks");
    }
}

/* ---- the parts ---- */

typedef struct driver {
    load *l;
    skua_fn *drive;
    bool thread, started;
    pthread_t pthread;
    skua_task task;
} driver;

static void *drive_in_thread(void *arg)
{
    driver *d = arg;
    d->drive(d->l);
    return NULL;
}

static void prepare(findings *f, load *l, skua_runtime *rt, const part *p)
{
    uint64_t unit = load_kinds[p->kind].unit;
    memset((void *)l, 0, sizeof *l);
    l->rt = rt;
    l->first = f->next;
    l->n = (p->n + unit - 1) / unit * unit;
    f->next += l->n;
}

static void launch(driver *d, load *l, const part *p)
{
    *d = (driver){.l = l, .drive = load_kinds[p->kind].drive, .thread = p->thread};
    int error = d->thread ? -pthread_create(&d->pthread, NULL, drive_in_thread, d)
                          : skua_spawn_with(&d->task, &(skua_task_options){.runtime = l->rt}, d->drive, l);
    d->started = error == 0;
    if (error) fprintf(stderr, "soak: %s: not started (%d)\n", load_kinds[p->kind].name, error);
}

/* False: its driver has not ended as it should. */
static bool await_driver(driver *d, const char *name)
{
    if (!d->started) return false;
    int result = 0, error;
    if (d->thread) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PATIENCE_S;
        error = -pthread_timedjoin_np(d->pthread, NULL, &until);
    } else {
        error = skua_join_for(d->task, SKUA_S(PATIENCE_S), &result);
    }
    if (error == -ETIMEDOUT) round_stuck(d->l->rt, name);
    return error == 0 && result == 0;
}

/* ---- the checks ---- */

static bool states_agree(const skua_stats *before, const skua_stats *after, const load *sum)
{
    return after->created - before->created == sum->made && after->done - before->done == sum->done &&
           after->failed == before->failed && after->cancelled - before->cancelled == sum->cancelled &&
           after->expired - before->expired == sum->expired && after->dropped == before->dropped &&
           after->queued + after->running + after->parked == 0;
}

static void check_states(findings *f, const skua_stats *before, const skua_stats *after, const load *sum)
{
    if (states_agree(before, after, sum)) return;
    f->states_wrong++;
    fprintf(stderr,
            "soak: states: created %" PRIu64 " (should be %" PRIu64 ") done %" PRIu64 " (%" PRIu64 ") failed %" PRIu64
            " (0) cancelled %" PRIu64 " (%" PRIu64 ") expired %" PRIu64 " (%" PRIu64 ") dropped %" PRIu64 " (0)\n",
            after->created - before->created, sum->made, after->done - before->done, sum->done,
            after->failed - before->failed, after->cancelled - before->cancelled, sum->cancelled,
            after->expired - before->expired, sum->expired, after->dropped - before->dropped);
}

static void check_sums(findings *f, uint64_t first, uint64_t n)
{
    tally more = tally_of_range(first, n), now = tally_read();
    f->due.count += more.count;
    f->due.sum += more.sum;
    f->due.squares += more.squares;
    if (tally_equal(now, f->due)) return;
    f->sums_wrong++;
    fprintf(stderr, "soak: sums: %" PRId64 " runs too many, sums off by %" PRId64 " and %" PRId64 "\n",
            (int64_t)(now.count - f->due.count), (int64_t)(now.sum - f->due.sum),
            (int64_t)(now.squares - f->due.squares));
    f->due = now; /* told once */
}

static uint64_t longer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void round_run(findings *f, skua_runtime *rt, const part *parts, unsigned n)
{
    driver drivers[LOADS];
    uint64_t first = f->next, begin = skua_now();
    skua_stats before = round_settle(rt);
    for (unsigned i = 0; i < n; i++) prepare(f, &loads[i], rt, &parts[i]);
    for (unsigned i = 0; i < n; i++) launch(&drivers[i], &loads[i], &parts[i]);
    load sum = {0};
    for (unsigned i = 0; i < n; i++) {
        const char *name = load_kinds[parts[i].kind].name;
        bool ended_well = await_driver(&drivers[i], name);
        f->loads_wrong += !ended_well || !load_right(&loads[i], name);
        bool is_task = !parts[i].thread && drivers[i].started;
        sum.made += loads[i].made + is_task;
        sum.done += loads[i].done + is_task;
        sum.cancelled += loads[i].cancelled;
        sum.expired += loads[i].expired;
    }
    skua_stats after = round_settle(rt);
    check_states(f, &before, &after, &sum);
    for (unsigned i = 0; i < n; i++) load_close(&loads[i]);
    check_sums(f, first, f->next - first);
    f->longest = longer(f->longest, skua_now() - begin);
    f->tasks += sum.made;
    f->rounds++;
}

/* ---- runtimes that come and go ---- */

static void release(findings *f, skua_runtime *rt)
{
    int error = skua_runtime_release(rt);
    f->runtimes++;
    if (error == 0) return;
    f->runtimes_wrong++;
    fprintf(stderr, "soak: release: %d\n", error);
}

static skua_runtime *create(findings *f, const skua_runtime_options *options)
{
    skua_runtime *rt = NULL;
    int error = skua_runtime_create(&rt, options);
    if (error == 0) return rt;
    f->runtimes_wrong++;
    fprintf(stderr, "soak: create: %d\n", error);
    return NULL;
}

void round_on_new(findings *f, const skua_runtime_options *options, const part *parts, unsigned n)
{
    skua_runtime *rt = create(f, options);
    if (!rt) return;
    round_run(f, rt, parts, n);
    release(f, rt);
}

/* ---- a runtime that is stopped in the middle ---- */

static _Atomic uint64_t stopped_ran;

static int sleep_until_stopped(void *arg)
{
    (void)arg;
    atomic_fetch_add_explicit(&stopped_ran, 1, memory_order_relaxed);
    return skua_sleep(SKUA_S(100));
}

void round_stopped(findings *f, uint64_t n)
{
    skua_runtime *rt = create(f, &(skua_runtime_options){.workers_max = 3});
    if (!rt) return;
    uint64_t accepted = 0, ran_before = atomic_load(&stopped_ran);
    for (uint64_t i = 0; i < n; i++) {
        skua_task_options o = {.runtime = rt, .delay = i % 3 ? 0 : SKUA_S(100)};
        accepted += skua_spawn_with(NULL, &o, sleep_until_stopped, NULL) == 0;
    }
    int error = skua_runtime_stop(rt, SKUA_US(200));
    if (error != 0 && error != -ETIMEDOUT) f->runtimes_wrong++;
    skua_stats s = round_settle(rt);
    uint64_t ran = atomic_load(&stopped_ran) - ran_before;
    if (s.created != accepted || s.cancelled != ran || s.dropped != accepted - ran || s.done + s.failed + s.expired) {
        f->states_wrong++;
        fprintf(stderr,
                "soak: stopped: accepted %" PRIu64 " ran %" PRIu64 "; created %" PRIu64 " cancelled %" PRIu64
                " dropped %" PRIu64 " done %" PRIu64 " failed %" PRIu64 "\n",
                accepted, ran, s.created, s.cancelled, s.dropped, s.done, s.failed);
    }
    f->stopped_tasks += accepted;
    f->dropped += s.dropped;
    f->tasks += accepted;
    release(f, rt);
}
