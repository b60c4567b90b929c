/* scenarios_groups.c: groups, streams, loops and the mutex. */
#include "sim/scenarios.h"
#include "sim/works.h"

#include <stddef.h>

static skua_group *new_group(const skua_group_options *o)
{
    skua_group *group = NULL;
    sim_allow_blocks(1); /* its pool's queue */
    int error = skua_group_create(&group, o);
    sim_expect(error == 0 || (error == -ENOMEM && sim_may_refuse()));
    return group;
}

static void release_group(skua_group *group)
{
    if (group) sim_expect_eq(skua_group_release(group), 0);
}

/* ---- groups: rounds, fail fast, cancel, nested, on a pool ---- */

typedef struct band {
    skua_group *group, *below; /* below: NULL: none */
    bool fail_fast, disturbed; /* disturbed: somebody cancels, or stops a pool; errors need not be those of works */
    uint32_t first, last;      /* works of this round, by number in sim_works */
} band;

static band bands;

static int go(skua_group *group, sim_work *w)
{
    static const int may[] = {-EAGAIN, -EDEADLK, 0};
    skua_submit_options o;
    int error;
    if (sim_choose(0, 3) == 0) {
        sim_work_options(w, &o, 1);
        error = skua_group_go_with(group, &o, sim_work_run, w);
    } else if (sim_choose(0, 4) == 0) {
        error = skua_group_try_go(group, sim_work_run, w);
    } else {
        error = skua_group_go(group, sim_work_run, w);
    }
    sim_work_accepted(w, error, may);
    return error;
}

/* A work of the group that has works of its own in the group below, and waits for them. */
static int nests(sim_work *w)
{
    int cause, error;
    for (uint32_t i = sim_choose(0, 2); i > 0; i--) {
        sim_work *child = sim_work_new(w->at);
        if (child) go(bands.below, child);
    }
    error = skua_group_wait(bands.below, &cause);
    sim_expect(error == 0 || error < 0);
    return cause ? 0 : sim_is_excused(error) && error != -ENOMEM ? error : 0;
}

static void fill_group(void *arg)
{
    sim_tier *tier = (sim_tier *)arg;
    for (uint32_t i = sim_choose(0, 5); i > 0; i--) {
        sim_work *w = sim_work_new(tier);
        if (!w) return;
        if (bands.below && sim_choose(0, 2) == 0) w->body = nests;
        if (go(bands.group, w) && sim_choose(0, 1)) return;
    }
}

static int filling_job(sim_job *job)
{
    fill_group(job->what);
    return 0;
}

static void cancel_band(bool below)
{
    uint32_t mark = below ? 0 : sim_cancel_begins(NULL);
    int error = skua_group_cancel(below ? bands.below : bands.group, sim_choose(0, 1) ? 0 : -EINTR);
    sim_expect(error == 0 || error == -EALREADY);
    if (error == 0) sim_cancel_over(mark);
}

static void disturb(void *pool)
{
    skua_pool_counts c;
    int error;
    for (uint32_t i = sim_choose(1, 3); i > 0; i--) {
        skua_sleep(SKUA_US(sim_choose(0, 200)));
        switch (sim_choose(0, 4)) {
        case 0:
        case 1:
            cancel_band(bands.below && sim_choose(0, 1));
            break;
        case 2:
            if (pool) sim_expect(skua_pool_cancel((skua_pool *)pool) >= 0);
            break;
        case 3:
            error = skua_group_wait_for(bands.group, SKUA_US(sim_choose(0, 200)), NULL);
            sim_expect(error <= 0);
            break;
        default:
            sim_expect_eq(skua_group_stats(bands.group, &c), 0);
            sim_expect(skua_group_cause(bands.group) <= 0);
        }
    }
}

static void one_round(skua_runtime *rt, sim_tier *tier, skua_pool *pool)
{
    sim_thread t[2];
    bands.disturbed = sim_choose(0, 1);
    uint32_t first = sim_work_count;
    int cause = 0, error;
    t[0] = sim_thread_start("fill", fill_group, tier);
    if (bands.disturbed) t[1] = sim_thread_start("disturb", disturb, pool);
    sim_job *job = sim_job_new(filling_job, 0, 0);
    job->what = tier;
    sim_job_spawn(rt, job);
    sim_thread_wait(t[0]);
    if (bands.disturbed) sim_thread_wait(t[1]);
    sim_job_join(job);
    do error = skua_group_wait(bands.group, &cause);
    while (error == -ENOMEM && !cause && sim_may_refuse());
    sim_expect_eq(error, cause);
    skua_pool_counts c;
    sim_expect_eq(skua_group_stats(bands.group, &c), 0);
    sim_expect_eq(c.queued + c.running, 0);
    sim_expect_eq(c.submitted, c.done + c.failed + c.cancelled + c.expired + c.dropped);
    sim_expect(skua_group_cause(bands.group) == cause);
    if (bands.disturbed || bands.below) return;
    bool all_good = true, failed = false;
    for (unsigned i = first; i < sim_work_count; i++) {
        const sim_work *w = &sim_works[i];
        if (!w->accepted) continue;
        sim_expect(!w->inside);
        all_good &= w->started && w->last >= 0;
        failed |= w->started && w->last < 0;
    }
    if (failed) sim_expect(cause < 0);
    if (cause == 0) sim_expect(all_good);
}

void sim_groups(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    sim_tier tier = {0}, above = {0};
    if (!rt) return;
    if (sim_choose(0, 2) == 0) {
        skua_pool_options p = {.runtime = rt, .limit = sim_choose(1, 3), .queue = 2};
        sim_tier_open(&above, &p, NULL);
    }
    skua_group_options o = {
        .runtime = rt, .pool = above.pool, .limit = sim_choose(0, 3), .fail_fast = (int)sim_choose(0, 1)};
    o.queue = sim_choose(0, 3);
    o.errors = sim_choose(0, 3);
    bands.group = new_group(&o);
    bands.fail_fast = o.fail_fast;
    if (bands.group && !above.pool && sim_choose(0, 1)) {
        skua_group_options below = {
            .parent = bands.group, .limit = sim_choose(0, 2), .fail_fast = (int)sim_choose(0, 1)};
        bands.below = new_group(&below);
    }
    for (uint32_t rounds = sim_choose(1, 3); bands.group && rounds > 0; rounds--) one_round(rt, &tier, above.pool);
    release_group(bands.below);
    bands.below = NULL;
    if (bands.group && sim_choose(0, 1)) fill_group(&tier);
    release_group(bands.group);
    sim_works_check();
    sim_tier_close(&above);
    sim_end_runtime(rt);
}

/* ---- streams: callbacks in order, one at a time ---- */

enum { SUBMITTERS = 3 };

typedef struct line {
    skua_stream *stream;
    bool inside;               /* a callback is under way */
    uint32_t next[SUBMITTERS]; /* the number of the next callback of each submitter's items */
    uint32_t last[SUBMITTERS];
    uint32_t called, accepted;
    bool gives_up;
} line;

static line flow;

/* The item's number: its submitter and how many came before. */
static uint32_t number(uint32_t who, uint32_t n)
{
    return who << 16 | n;
}

static int item_back(void *arg, int result)
{
    sim_work *w = (sim_work *)arg;
    uint32_t who = w->number >> 16, n = w->number & 0xffff;
    if (flow.inside) sim_fail("two callbacks at a time");
    if (w->inside) sim_fail("a callback before its task has ended");
    if (w->called++) sim_fail("a second callback for one item");
    if (n < flow.next[who]) sim_fail("item %u of submitter %u after item %u", n, who, flow.next[who] - 1);
    flow.next[who] = n + 1;
    flow.called++;
    w->outcome = result;
    flow.inside = true;
    int error = sim_choose(0, 2) == 0 ? skua_sleep(w->ns) : 0;
    if (error == 0 && sim_choose(0, 4) == 0) skua_yield();
    flow.inside = false;
    sim_expect(error == 0 || sim_is_excused(error));
    if (sim_choose(0, 9) == 0 && flow.gives_up && skua_runtime_current()) skua_panic_task("a callback gives up");
    return sim_choose(0, 9) == 0 ? -EBADF : 0;
}

static void flow_in(uint32_t who)
{
    static const int may[] = {-EAGAIN, -EDEADLK, 0};
    for (uint32_t i = sim_choose(1, 6), n = 0; i > 0; i--) {
        sim_work *w = sim_work_new(NULL);
        if (!w) return;
        w->number = number(who, n);
        int error = sim_choose(0, 3) ? skua_stream_go(flow.stream, sim_work_run, item_back, w)
                                     : skua_stream_try_go(flow.stream, sim_work_run, item_back, w);
        /* Its callback may have been called by now. */
        if (error == 0) {
            w->accepted = 1;
            flow.accepted++;
            n++;
        } else {
            sim_work_accepted(w, error, may);
        }
    }
}

static void flow_thread(void *who)
{
    flow_in((uint32_t)(uintptr_t)who);
}

static int flow_job(sim_job *job)
{
    flow_in(job->n);
    return 0;
}

static void disturb_stream(void *unused)
{
    (void)unused;
    int cause, error;
    for (uint32_t i = sim_choose(1, 3); i > 0; i--) {
        skua_sleep(SKUA_US(sim_choose(0, 300)));
        if (sim_choose(0, 2) == 0) {
            error = skua_stream_cancel(flow.stream, 0);
            sim_expect(error == 0 || error == -EALREADY);
        } else {
            error = skua_stream_wait_for(flow.stream, SKUA_US(sim_choose(0, 400)), &cause);
            sim_expect(error == cause || error == -ETIMEDOUT || sim_is_excused(error));
        }
    }
}

void sim_streams(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    skua_stream_options o = {
        .runtime = rt, .limit = sim_choose(0, 2), .window = sim_choose(1, 5), .fail_fast = (int)sim_choose(0, 1)};
    sim_allow_blocks(1);
    flow.gives_up = sim_choose(0, 1);
    int error = skua_stream_create(&flow.stream, &o), cause = 0;
    sim_expect(error == 0 || (error == -ENOMEM && sim_may_refuse()));
    if (!error) {
        sim_thread t[3];
        bool disturbed = sim_choose(0, 2) == 0;
        for (uint32_t i = 0; i < 2; i++) t[i] = sim_thread_start("flow", flow_thread, (void *)(uintptr_t)i);
        if (disturbed) t[2] = sim_thread_start("disturb", disturb_stream, NULL);
        sim_job *job = sim_job_new(flow_job, 2, 0);
        sim_job_spawn(rt, job);
        for (int i = 0; i < 2 + disturbed; i++) sim_thread_wait(t[i]);
        sim_job_join(job);
        if (sim_choose(0, 1)) {
            do error = skua_stream_wait(flow.stream, &cause);
            while (error == -ENOMEM && !cause && sim_may_refuse());
            sim_expect_eq(error, cause);
            sim_expect_eq(flow.called, flow.accepted);
        }
        sim_expect_eq(skua_stream_release(flow.stream), 0);
        sim_expect_eq(flow.called, flow.accepted);
    }
    sim_works_check();
    sim_end_runtime(rt);
}

/* ---- loops: for_each and map, from tasks that may be cancelled and from a thread ---- */

enum { ITEMS = 24 };

typedef struct lap {
    uint32_t called[ITEMS];
    int gave[ITEMS], results[ITEMS];
    uint32_t running, limit, n;
    bool fails, gives_up, in_task;
} lap;

static int lap_item(void *ctx, size_t i)
{
    lap *l = (lap *)ctx;
    if (l->called[i]++) sim_fail("item %zu is called twice", i);
    if (++l->running > l->limit && l->limit) sim_fail("%u items at a time of %u", l->running, l->limit);
    int error = sim_choose(0, 2) == 0 ? skua_sleep(SKUA_US(sim_choose(1, 100))) : sim_choose(0, 2) ? 0 : skua_yield();
    l->running--;
    sim_expect(error == 0 || sim_is_excused(error));
    l->gave[i] = l->fails && sim_choose(0, 5) == 0 ? -EIO : (int)i;
    if (l->gives_up && sim_choose(0, 5) == 0) {
        l->gave[i] = -EFAULT;
        skua_panic_task("item %zu gives up", i);
    }
    return l->gave[i];
}

static void run_lap(lap *l, skua_runtime *rt, skua_pool *pool)
{
    skua_loop_options o = {
        .runtime = rt, .pool = pool, .limit = l->limit, .fail_fast = (int)sim_choose(0, 1), .results = l->results};
    int error = skua_for_each(&o, l->n, lap_item, l);
    bool failed = false, all = true;
    for (uint32_t i = 0; i < l->n; i++) {
        all &= l->called[i] == 1;
        if (!l->called[i])
            sim_expect_eq(l->results[i], -ECANCELED);
        else
            sim_expect_eq(l->results[i], l->gave[i]);
        failed |= l->called[i] && l->gave[i] < 0;
    }
    sim_expect_eq(l->running, 0);
    if (error == 0) sim_expect(all && !failed);
    if (!error || sim_is_excused(error)) return;
    sim_expect((failed && (error == -EIO || error == -EFAULT)) || error == -EDEADLK);
    if (!o.fail_fast && error != -EDEADLK) sim_expect(all);
}

static lap laps[4];
static uint32_t laps_run;
static skua_runtime *lap_runtime;
static skua_pool *lap_pool;

static lap *new_lap(void)
{
    lap *l = &laps[laps_run++];
    l->n = sim_choose(0, ITEMS);
    l->limit = sim_choose(0, 4);
    l->fails = sim_choose(0, 1);
    l->gives_up = sim_choose(0, 2) == 0;
    return l;
}

static int lap_job(sim_job *job)
{
    run_lap((lap *)job->what, lap_runtime, lap_pool);
    return 0;
}

static void lap_thread(void *l)
{
    run_lap((lap *)l, lap_runtime, lap_pool);
}

void sim_loops(void)
{
    sim_tier tier = {0};
    sim_thread t;
    skua_runtime *rt = lap_runtime = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    if (sim_choose(0, 2) == 0) {
        skua_pool_options o = {.runtime = rt, .limit = sim_choose(1, 3)};
        sim_tier_open(&tier, &o, NULL);
        lap_pool = tier.pool;
    }
    sim_allow_blocks(4);
    t = sim_thread_start("lap", lap_thread, new_lap());
    sim_job *job[2];
    for (int i = 0; i < 2; i++) {
        job[i] = sim_job_new(lap_job, 0, 0);
        job[i]->what = new_lap();
        sim_job_spawn(rt, job[i]);
    }
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 300)));
    if (sim_choose(0, 1) && job[0]->accepted) skua_cancel(job[0]->handle);
    sim_thread_wait(t);
    for (int i = 0; i < 2; i++) sim_job_join(job[i]);
    sim_tier_close(&tier);
    sim_end_runtime(rt);
}

/* ---- mutexes: held across parks, with deadlines and cancellation, unlocked by those who give up ---- */

static skua_mutex mutex = SKUA_MUTEX_INIT;
static uint32_t holders, turns;

static int unlock(void *unused)
{
    (void)unused;
    holders--;
    return skua_mutex_unlock(&mutex);
}

static int lock_somehow(void)
{
    switch (sim_choose(0, 3)) {
    case 0:
        return skua_mutex_trylock(&mutex);
    case 1:
        return skua_mutex_lock_for(&mutex, SKUA_US(sim_choose(0, 300)));
    default:
        return skua_mutex_lock(&mutex);
    }
}

static int in_turn(sim_work *w)
{
    skua_deferred d;
    bool task = skua_runtime_current() != NULL;
    for (uint32_t i = sim_choose(1, 3); i > 0; i--) {
        int error = lock_somehow();
        if (error) {
            sim_expect(error == -EBUSY || sim_is_excused(error));
            continue;
        }
        if (++holders != 1) sim_fail("%u hold the mutex", holders);
        turns++;
        if (task) sim_expect_eq(skua_defer(&d, unlock, NULL), 0);
        error = sim_choose(0, 1) ? skua_sleep(w->ns) : sim_choose(0, 1) && task ? skua_yield() : 0;
        sim_expect(error == 0 || sim_is_excused(error));
        if (holders != 1) sim_fail("%u hold the mutex after a park", holders);
        if (task && w->gives_up && sim_choose(0, 2) == 0) {
            w->gave_up++;
            w->inside = false;
            w->last = -EFAULT;
            skua_panic_task("with the mutex");
        }
        if (task)
            sim_expect_eq(skua_defer_pop(1), 0);
        else
            sim_expect_eq(unlock(NULL), 0);
    }
    return 0;
}

static void in_turn_thread(void *work)
{
    sim_work_run(work);
}

void sim_mutexes(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    sim_thread t[2];
    skua_task task[6];
    uint32_t n = 0;
    if (!rt) return;
    for (int i = 0; i < 2; i++) {
        sim_work *w = sim_work_new(NULL);
        w->body = in_turn;
        w->accepted = 1;
        t[i] = sim_thread_start("turn", in_turn_thread, w);
    }
    for (uint32_t i = sim_choose(1, 6); i > 0; i--) {
        sim_work *w = sim_work_new(NULL);
        skua_task_options o = {.runtime = rt};
        if (sim_choose(0, 2) == 0) o.finish_within = SKUA_US(sim_choose(50, 500));
        w->body = in_turn;
        if (sim_work_accepted(w, skua_spawn_with(&task[n], &o, sim_work_run, w), NULL)) n++;
    }
    for (uint32_t i = sim_choose(0, 4); n && i > 0; i--) {
        if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 200)));
        skua_cancel(task[sim_choose(0, n - 1)]);
    }
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    for (uint32_t i = 0; i < n; i++) sim_expect_eq(skua_join(task[i], NULL), 0);
    sim_end_runtime(rt);
    sim_expect_eq(holders, 0);
    sim_expect_eq(skua_mutex_trylock(&mutex), 0);
    sim_expect_eq(skua_mutex_unlock(&mutex), 0);
    sim_works_check();
}
