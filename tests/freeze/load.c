/*
 * load.c: tasks that go every way through the library.
 *
 * In a burst the foreign threads begin tasks, and these begin others, until each
 * has done its share or is told to hurry.  Every task has a record; what it
 * waits for is written there, so that verdict.c can tell a task that needs the
 * frozen thread from one that nobody runs.
 */
#include "load.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

fz_record fz_records[FZ_RECORDS];
_Atomic(uint32_t) fz_records_used;
fz_record fz_foreign[FZ_FOREIGN_THREADS], fz_pool_record;
skua_runtime *fz_runtime;
uint64_t fz_runtimes;
static bool is_default;         /* fz_runtime is the default one: foreign threads need not name it */
static _Atomic(uint32_t) burst; /* futex: bumped at each beginning */
static _Atomic(bool) hurry;
static uint32_t burst_seed;
static unsigned burst_how;

uint64_t fz_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint32_t fz_draw(uint32_t *seed, uint32_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

_Noreturn void fz_die(const char *call, int error)
{
    fprintf(stderr, "freeze: %s: %s\n", call, skua_strerror(error));
    fz_dump(false);
    _exit(1);
}

/* ---- records ---- */

fz_record *fz_new_record(int kind, uint32_t *seed)
{
    uint32_t i = atomic_load(&hurry) ? FZ_RECORDS : atomic_fetch_add(&fz_records_used, 1);
    if (i >= FZ_RECORDS) return NULL;
    fz_record *r = &fz_records[i];
    r->kind = kind;
    r->lane = 0;
    r->seed = fz_draw(seed, UINT32_MAX) | 1;
    atomic_store(&r->runs, 0);
    atomic_store(&r->waits_on, NULL);
    atomic_store(&r->flags, FZ_OFFERED);
    return r;
}

void fz_may_be_given_up(fz_record *r)
{
    atomic_fetch_or(&r->flags, FZ_LOOSE);
}

void fz_accepted(fz_record *r, int error)
{
    if (error >= 0) atomic_fetch_or(&r->flags, FZ_ACCEPTED);
}

void fz_wait_for(fz_record *who, fz_record *whom)
{
    if (who) atomic_store(&who->waits_on, whom);
}

/* ---- what tasks do ---- */

static int nap(void *ns)
{
    struct timespec t = {0, (long)(uintptr_t)ns};
    nanosleep(&t, NULL);
    return 0;
}

static void compute(uint64_t ns)
{
    for (uint64_t end = fz_clock() + ns; fz_clock() < end;) {
    }
}

static void join(fz_record *self, fz_record *child, skua_task task)
{
    fz_wait_for(self, child);
    int error = skua_join(task, NULL);
    fz_wait_for(self, NULL);
    if (error) fz_die("skua_join", error);
}

static int begin(fz_record *r, skua_task *task, const skua_task_options *options)
{
    skua_task_options o = options ? *options : (skua_task_options){0};
    o.runtime = fz_runtime;
    int error = skua_spawn_with(task, &o, fz_body, r);
    fz_accepted(r, error);
    if (error) fz_die("skua_spawn_with", error);
    return error;
}

static void go(bool inside, uint32_t *seed)
{
    static const int kinds[] = {PLAIN, PLAIN, YIELDS, SLEEPS, COMPUTES, BLOCKS};
    fz_record *r = fz_new_record(kinds[fz_draw(seed, 6)], seed);
    if (!r) return;
    if (inside || is_default)
        fz_accepted(r, skua_go(fz_body, r));
    else
        begin(r, NULL, NULL);
}

static void spawn_and_join(fz_record *self, bool inside, uint32_t *seed, uint32_t n)
{
    static const int kinds[] = {PLAIN, YIELDS, SLEEPS, COMPUTES};
    fz_record *r[FAMILY];
    skua_task task[FAMILY];
    uint32_t made = 0;
    for (; made < n && (r[made] = fz_new_record(kinds[fz_draw(seed, 4)], seed)); made++) {
        if (inside || is_default)
            fz_accepted(r[made], skua_spawn(&task[made], fz_body, r[made]));
        else
            begin(r[made], &task[made], NULL);
    }
    for (uint32_t i = 0; i < made; i++) join(self, r[i], task[i]);
}

static void join_with_timeout(fz_record *self, uint32_t *seed)
{
    fz_record *r = fz_new_record(SLEEPS, seed);
    skua_task task;
    if (!r) return;
    begin(r, &task, NULL);
    if (skua_join_for(task, 0, NULL) == 0) return;
    fz_wait_for(self, r);
    int error = skua_join_for(task, SKUA_US(20 + fz_draw(seed, 200)), NULL);
    fz_wait_for(self, NULL);
    if (error) join(self, r, task);
}

/* A task that sleeps until we cancel it: until then it needs us. */
static void cancel(fz_record *self, uint32_t *seed)
{
    fz_record *r = fz_new_record(SLEEPS_LONG, seed);
    skua_task task;
    if (!r) return;
    fz_may_be_given_up(r);
    fz_wait_for(r, self);
    skua_task_options delayed = {.delay = SKUA_S(10)};
    begin(r, &task, fz_draw(seed, 4) ? NULL : &delayed);
    if (fz_draw(seed, 3)) skua_sleep(SKUA_US(fz_draw(seed, 60)));
    int error = skua_cancel(task);
    if (error) fz_die("skua_cancel", error);
    fz_wait_for(r, NULL);
    skua_cancel(task); /* once more: it has been, or has ended */
    join(self, r, task);
    skua_cancel(task);
}

static void with_options(fz_record *self, uint32_t *seed)
{
    static const skua_task_options choice[] = {
        {.delay = SKUA_US(60)},
        {.start_within = SKUA_US(1)},
        {.start_within = SKUA_S(8), .finish_within = SKUA_S(9)},
        {.finish_within = SKUA_US(80)},
        {.finish_within = SKUA_S(9)},
        {.delay = SKUA_US(30), .start_within = SKUA_S(8), .finish_within = SKUA_S(9)},
        {.stack_size = 128 << 10},
    };
    uint32_t which = fz_draw(seed, 7);
    /* Only a task that its own deadline will wake may sleep for long. */
    fz_record *r = fz_new_record(which == 3 ? SLEEPS_LONG : SLEEPS, seed);
    skua_task task;
    if (!r) return;
    if (choice[which].start_within || choice[which].finish_within) fz_may_be_given_up(r);
    begin(r, &task, &choice[which]);
    if (fz_draw(seed, 4))
        join(self, r, task);
    else
        skua_detach(task);
}

static void timers(bool inside, uint32_t *seed)
{
    fz_record *r = fz_new_record(PLAIN, seed);
    skua_timer timer;
    if (!r) return;
    fz_may_be_given_up(r);
    skua_task_options o = {.runtime = fz_runtime, .delay = SKUA_US(50 + fz_draw(seed, 200))};
    bool plain = inside || is_default;
    int error = plain ? skua_timer_start(&timer, o.delay, fz_body, r) : skua_spawn_with(&timer.task, &o, fz_body, r);
    fz_accepted(r, error);
    if (error) fz_die("skua_timer_start", error);
    if (fz_draw(seed, 2)) skua_timer_stop(timer);
    if (!plain) skua_detach(timer.task);
}

static void after(bool inside, uint32_t *seed)
{
    fz_record *r = inside || is_default ? fz_new_record(PLAIN, seed) : NULL;
    if (r) fz_accepted(r, skua_after(SKUA_US(50 + fz_draw(seed, 200)), fz_body, r));
}

static void batch(bool inside, uint32_t *seed, int n)
{
    void *r[BIG_BATCH];
    int made = 0;
    while (made < n && (r[made] = fz_new_record(n > BATCH ? PLAIN : fz_draw(seed, 3) ? PLAIN : SLEEPS, seed))) made++;
    if (!inside && !is_default) { /* a batch from outside goes to the default runtime only */
        for (int i = 0; i < made; i++) begin(r[i], NULL, NULL);
        return;
    }
    int began = skua_spawn_batch(NULL, (size_t)made, fz_body, r);
    for (int i = 0; i < began; i++) fz_accepted(r[i], 0);
}

static void one_thing(fz_record *self, bool inside, uint32_t *seed)
{
    switch (fz_draw(seed, 44)) {
    case 0:
    case 1:
        for (int i = 0; i < FAMILY; i++) go(inside, seed);
        break;
    case 2:
        spawn_and_join(self, inside, seed, 1);
        break;
    case 3:
        spawn_and_join(self, inside, seed, FAMILY);
        break;
    case 4:
        join_with_timeout(self, seed);
        break;
    case 5:
    case 6:
        cancel(self, seed);
        break;
    case 7:
    case 8:
        with_options(self, seed);
        break;
    case 9:
        timers(inside, seed);
        break;
    case 10:
        after(inside, seed);
        break;
    case 11:
        batch(inside, seed, BATCH);
        break;
    case 12:
    case 13:
        fz_submit(self, seed, 12, true);
        break;
    case 14:
        fz_submit(self, seed, 3, false);
        break;
    case 15:
        skua_sleep(SKUA_US(fz_draw(seed, 200)));
        break;
    case 16:
    case 17:
        fz_promise(self, seed);
        break;
    case 18:
    case 19:
        fz_retry(self, seed);
        break;
    case 20:
        fz_in_group(self, seed);
        break;
    default:
        fz_do_pools(self, seed);
        break;
    }
}

int fz_body(void *arg)
{
    fz_record *r = arg;
    uint32_t seed = r->seed;
    atomic_fetch_or(&r->flags, FZ_STARTED);
    atomic_fetch_add(&r->runs, 1);
    switch (r->kind) {
    case YIELDS:
        for (int i = 0; i < 3; i++) skua_yield();
        break;
    case SLEEPS:
        skua_sleep(SKUA_US(20 + fz_draw(&seed, 200)));
        break;
    case SLEEPS_LONG:
        skua_sleep(SKUA_S(10));
        break;
    case BLOCKS:
        if (fz_draw(&seed, 2)) {
            skua_block(nap, (void *)(uintptr_t)SKUA_US(80));
        } else {
            skua_blocking_begin();
            nap((void *)(uintptr_t)SKUA_US(40));
            skua_blocking_end();
        }
        break;
    case COMPUTES:
        compute(SKUA_US(fz_draw(&seed, 60)));
        break;
    case MIXED:
        for (int i = 0; i < OPS_OF_TASK && !atomic_load(&hurry); i++) one_thing(r, true, &seed);
        break;
    case SUBMITS: /* into the pool that it runs in; refused when all of its tasks wait for room */
        fz_submit(r, &seed, 2, true);
        break;
    case GROWS:
        batch(true, &seed, BIG_BATCH);
        break;
    default:
        break;
    }
    atomic_store(&r->ended_ns, fz_clock());
    int result = r->kind == FAILS ? -EIO : 0;
    fz_note_ended(r);
    atomic_fetch_or(&r->flags, FZ_ENDED);
    return result;
}

/* ---- foreign threads ---- */

static _Atomic(long) foreign_tid[FZ_FOREIGN_THREADS];

bool fz_foreign_sleeps(const fz_record *foreign)
{
    return fz_look_at_thread(foreign_tid[foreign - fz_foreign]).state == 'S';
}

static void foreign_burst(fz_record *self, uint32_t seed)
{
    for (int i = 0; i < 2; i++) {
        fz_record *root = fz_new_record(burst_how & FZ_GROWTH ? GROWS : MIXED, &seed);
        if (root) begin(root, NULL, NULL);
    }
    for (int i = 0; i < OPS_OF_FOREIGN && !atomic_load(&hurry); i++) {
        one_thing(self, false, &seed);
        if (fz_draw(&seed, 3)) continue;
        fz_record *root = fz_new_record(MIXED, &seed);
        if (root) begin(root, NULL, NULL);
        if (!fz_draw(&seed, 3)) nap((void *)(uintptr_t)SKUA_US(fz_draw(&seed, 150)));
    }
}

static void *foreign_main(void *arg)
{
    fz_record *self = arg;
    fz_i_am(FZ_FOREIGN, self);
    foreign_tid[self - fz_foreign] = syscall(SYS_gettid);
    for (uint32_t seen = 0;;) {
        while (atomic_load(&burst) == seen) syscall(SYS_futex, &burst, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        seen = atomic_load(&burst);
        foreign_burst(self, burst_seed + (uint32_t)(self - fz_foreign) * 7919 + 1);
        atomic_store(&self->flags, 0);
    }
    return NULL;
}

void fz_load_init(void)
{
    for (int i = 0; i < FZ_FOREIGN_THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, foreign_main, &fz_foreign[i])) abort();
    }
}

void fz_burst_begin(uint32_t seed, unsigned how)
{
    atomic_store(&fz_records_used, 0);
    atomic_store(&hurry, false);
    burst_seed = seed * 2654435761u;
    burst_how = how;
    for (int i = 0; i < FZ_FOREIGN_THREADS; i++) atomic_store(&fz_foreign[i].flags, FZ_OFFERED);
    atomic_fetch_add(&burst, 1);
    syscall(SYS_futex, &burst, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

void fz_burst_hurry(void)
{
    atomic_store(&hurry, true);
}

bool fz_burst_over(void)
{
    bool over = true;
    for (int i = 0; i < FZ_FOREIGN_THREADS; i++) over &= !atomic_load(&fz_foreign[i].flags);
    return over;
}

void fz_fresh_task(void)
{
    uint32_t seed = 1;
    atomic_store(&hurry, false);
    fz_record *r = fz_new_record(PLAIN, &seed);
    if (r) begin(r, NULL, NULL);
}

void fz_fresh_batch(void)
{
    static const int kinds[] = {PLAIN, PLAIN, YIELDS, SLEEPS, PLAIN, COMPUTES, SLEEPS, PLAIN};
    uint32_t seed = 1;
    atomic_store(&hurry, false);
    for (int i = 0; i < 16; i++) {
        fz_record *r = fz_new_record(kinds[i & 7], &seed);
        skua_task_options delayed = {.delay = SKUA_US(100)};
        if (r) begin(r, NULL, i % 8 == 4 ? &delayed : NULL);
    }
    fz_submit(NULL, &seed, 6, false);
    fz_record *root = fz_new_record(MIXED, &seed); /* and one that does this and that, from inside */
    if (root) begin(root, NULL, NULL);
}

/* ---- the runtime ---- */

void fz_open(uint32_t workers, bool as_default, skua_adjust adjust)
{
    skua_runtime_options o = {.workers_max = workers, .adjust = adjust, .adjust_interval = SKUA_US(500)};
    if (adjust != SKUA_ADJUST_FIXED) o.workers_max *= 2;
    char number[16];
    int error = 0;
    snprintf(number, sizeof number, "%u", workers);
    setenv("SKUA_WORKERS", number, 1);
    is_default = as_default;
    if (as_default)
        fz_runtime = skua_runtime_default();
    else
        error = skua_runtime_create(&fz_runtime, &o);
    if (error || !fz_runtime) fz_die("skua_runtime_create", error);
    fz_open_pools();
    fz_runtimes++;
}

void fz_close(void)
{
    int error;
    fz_close_pools();
    skua_stats s;
    uint64_t limit = fz_clock() + SKUA_S(5);
    do { /* a task says that it has ended before the library counts it */
        error = skua_runtime_stats(fz_runtime, &s, NULL, 0);
        if (error < 0) fz_die("skua_runtime_stats", error);
        if (fz_clock() > limit) fz_die("the counters do not add up", 0);
    } while (s.created != s.done + s.failed + s.cancelled + s.expired + s.dropped || s.queued || s.running || s.parked);
    error = skua_runtime_release(fz_runtime);
    if (error) fz_die("skua_runtime_release", error);
    fz_runtime = NULL;
}
