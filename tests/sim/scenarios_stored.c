/* scenarios_stored.c: tasks in storage of the caller's, queues in order of deadlines, tasks that submit straight. */
#include "sim/scenarios.h"
#include "sim/works.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static skua_runtime *runtime;

/* ---- stored: free, or submitted again, as soon as the end is told ---- */

enum { SHARED = 3 };

/* Storage that several submit and wait for. */
typedef struct shared {
    skua_task_storage storage;
    sim_work *work;
    uint32_t accepted, started;
} shared;

typedef struct shelf {
    sim_tier tier;
    skua_when_full when_full;
    shared shared[SHARED];
} shelf;

static shelf shelves;

static const int stored_may[] = {-EAGAIN, -EDEADLK, 0};

/* Of storage that one has for himself: waits for itself in vain, then as others. */
static int in_storage(sim_work *w)
{
    skua_task_storage *own = (skua_task_storage *)w->what;
    sim_expect_eq(skua_stored_wait(own, sim_choose(0, 1) ? 0 : SKUA_FOREVER, NULL), -EDEADLK);
    sim_expect_eq(skua_stored_is_idle(own), 0);
    int error = sim_work_steps(w);
    return error ? error : w->result;
}

static void wait_for_storage(skua_task_storage *own, int *result)
{
    int error;
    if (sim_choose(0, 2) == 0)
        while (!(error = skua_stored_is_idle(own))) skua_sleep(SKUA_US(sim_choose(1, 50)));
    do error = skua_stored_wait(own, sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 200)), result);
    while (error && sim_is_excused(error));
    sim_expect_eq(error, 0);
}

static void check_result(const sim_work *w, int result)
{
    sim_expect(!w->inside);
    if (w->started) {
        sim_expect_eq(w->started, w->returned + w->gave_up);
        sim_expect_eq(result, w->last);
    } else {
        sim_expect(result == -ECANCELED || (result == -ESHUTDOWN && (sim_may_end() || shelves.when_full)) ||
                   (result == -ENOMEM && sim_may_refuse()));
    }
}

/* True: it was accepted, and has ended. */
static bool store_once(skua_task_storage *own)
{
    int result = INT32_MAX;
    sim_work *w = sim_work_new(&shelves.tier);
    if (!w) return false;
    w->what = own;
    if (shelves.when_full != SKUA_FULL_RUN) w->body = in_storage;
    sim_expect_eq(skua_task_init(own, sim_work_run, w), 0);
    sim_expect_eq(skua_stored_is_idle(own), 1);
    sim_expect_eq(skua_stored_wait(own, 0, NULL), -ESRCH);
    if (!sim_work_accepted(w, skua_pool_submit_stored(shelves.tier.pool, own), stored_may)) {
        sim_expect_eq(skua_stored_is_idle(own), 1);
        return false;
    }
    wait_for_storage(own, &result);
    check_result(w, result);
    return true;
}

/* Heap memory, whose last touch the simulator knows. */
static void store_own(uint32_t times)
{
    for (; times > 0; times--) {
        skua_task_storage *own = (skua_task_storage *)malloc(sizeof *own);
        if (!own) continue;
        do store_once(own);
        while (sim_choose(0, 2) == 0);
        memset(own, 0xee, sizeof *own);
        free(own);
    }
}

static int shared_body(void *arg)
{
    shared *s = (shared *)arg;
    s->started++;
    s->work->most++;
    return sim_work_run(s->work);
}

static void use_shared(shared *s)
{
    int result = INT32_MAX, error;
    if (sim_choose(0, 1)) {
        error = skua_pool_submit_stored(shelves.tier.pool, &s->storage);
        s->accepted += error == 0;
        shelves.tier.accepted += error == 0;
        sim_expect(error == 0 || error == -EBUSY || error == -EAGAIN || error == -EDEADLK || sim_is_excused(error));
        return;
    }
    error = skua_stored_wait(&s->storage, sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 200)), &result);
    sim_expect(error == 0 || error == -ESRCH || sim_is_excused(error));
    if (error == 0) sim_expect(result != INT32_MAX);
}

static void use_shelf(void *unused)
{
    (void)unused;
    for (uint32_t i = sim_choose(0, 6); i > 0; i--) {
        if (sim_choose(0, 1))
            store_own(1);
        else
            use_shared(&shelves.shared[sim_choose(0, SHARED - 1)]);
        if (sim_choose(0, 3) == 0) {
            sim_work *w = sim_work_new(&shelves.tier);
            if (w) sim_work_accepted(w, skua_pool_submit(shelves.tier.pool, sim_work_run, w), stored_may);
        }
    }
}

static void disturb_shelf(void *unused)
{
    (void)unused;
    sim_tiers_disturb(&shelves.tier, 1);
}

/* All submissions of shared storage have started, or ended without; at rest all is idle. */
static void check_shelf(void)
{
    skua_pool_counts c;
    uint32_t unstarted = 0;
    for (int i = 0; i < SHARED; i++) {
        shared *s = &shelves.shared[i];
        sim_expect_eq(skua_stored_is_idle(&s->storage), 1);
        sim_expect(s->started <= s->accepted);
        unstarted += s->accepted - s->started;
    }
    for (unsigned i = 0; i < sim_work_count; i++) unstarted += sim_works[i].accepted && !sim_works[i].started;
    if (!sim_tier_look(&shelves.tier, &c)) return;
    sim_expect_eq(c.submitted, shelves.tier.accepted);
    sim_expect_eq(c.queued + c.running, 0);
    sim_expect(unstarted <= c.failed + c.cancelled + c.dropped);
    sim_expect(c.cancelled + c.dropped <= c.submitted);
}

static skua_pool_options shelf_options(void)
{
    skua_pool_options o = {.runtime = runtime, .limit = sim_choose(0, 3), .queue = sim_queue()};
    bool queueless = o.queue == SKUA_POOL_NO_QUEUE;
    o.when_full = (skua_when_full)sim_choose(0, 3);
    if (!queueless && sim_choose(0, 2) == 0) o.order = SKUA_ORDER_DEADLINE;
    if (o.when_full == SKUA_FULL_DROP_OLDEST && (queueless || o.order)) o.when_full = SKUA_FULL_WAIT;
    o.measure = sim_choose(0, 3) == 0;
    return o;
}

void sim_stored(void)
{
    runtime = sim_runtime(sim_choose(1, 3));
    if (!runtime) return;
    skua_pool_options o = shelf_options();
    shelves.when_full = o.when_full;
    sim_allow_blocks(6);
    sim_tier_open(&shelves.tier, &o, NULL);
    if (shelves.tier.pool) {
        for (int i = 0; i < SHARED; i++) {
            shared *s = &shelves.shared[i];
            s->work = sim_work_new(&shelves.tier);
            s->work->most = 0;
            sim_expect_eq(skua_task_init(&s->storage, shared_body, s), 0);
        }
        sim_beside(o.when_full == SKUA_FULL_RUN ? NULL : runtime, use_shelf, NULL,
                   sim_choose(0, 2) ? disturb_shelf : NULL, NULL);
        sim_tier_wait(&shelves.tier);
        check_shelf();
        for (int i = 0; i < SHARED; i++) shelves.shared[i].work->accepted = shelves.shared[i].started > 0;
        sim_tier_close(&shelves.tier);
    }
    sim_works_check();
    sim_end_runtime(runtime);
}

/* ---- earliest: queues in order of deadlines ---- */

enum { STORAGES = 6 };

typedef struct line {
    sim_tier tier[3];
    uint32_t tiers, levels;
    skua_task_storage storage[STORAGES];
    uint32_t stored;
    /* The part in which one pool of limit 1 is filled while it pauses: when each work is due, from and to. */
    uint64_t from[SIM_WORKS], to[SIM_WORKS];
    uint32_t level[SIM_WORKS];
    unsigned exact;
} line;

static line lines;

/* No work of its level that is due later has started. */
static int in_its_turn(sim_work *w)
{
    size_t me = (size_t)(w - sim_works);
    for (unsigned i = 0; i < lines.exact; i++)
        if (sim_works[i].started && i != me && lines.level[i] == lines.level[me] && lines.from[i] > lines.to[me])
            sim_fail("work %zu starts after work %u, which is due later", me, i);
    return sim_work_steps(w);
}

static void submit_due(sim_tier *t)
{
    static const uint64_t within[] = {0, SKUA_US(10), SKUA_US(200), SKUA_MS(1), SKUA_MS(50), SKUA_FOREVER};
    sim_work *w = sim_work_new(t);
    size_t me = (size_t)(w - sim_works);
    skua_submit_options o = {.level = sim_choose(0, lines.levels - 1), .due_within = within[sim_choose(0, 5)]};
    bool never = o.due_within == 0 || o.due_within == SKUA_FOREVER;
    w->body = in_its_turn;
    lines.level[me] = o.level;
    lines.from[me] = never ? UINT64_MAX : skua_now() + o.due_within;
    int error = skua_pool_submit_with(t->pool, NULL, &o, sim_work_run, w);
    lines.to[me] = never ? UINT64_MAX : skua_now() + o.due_within;
    sim_work_accepted(w, error, NULL);
}

static void fill_exactly(sim_tier *t)
{
    sim_expect_eq(skua_pool_pause(t->pool), 0);
    for (uint32_t i = sim_choose(1, 12); i > 0; i--) submit_due(t);
    lines.exact = sim_work_count;
    sim_expect_eq(skua_pool_resume(t->pool), 0);
    sim_tier_wait(t);
    sim_tier_check(t, 0);
    lines.exact = 0;
}

static void submit_with_due(sim_tier *t)
{
    static const int may[] = {-EAGAIN, -EDEADLK, 0};
    skua_submit_options o;
    sim_work *w = sim_work_new(t);
    if (!w) return;
    if (sim_choose(0, 3) == 0 && lines.stored < STORAGES) {
        skua_task_storage *s = &lines.storage[lines.stored++];
        sim_expect_eq(skua_task_init(s, sim_work_run, w), 0);
        sim_work_accepted(w, skua_pool_submit_stored(t->pool, s), may);
        return;
    }
    sim_work_options(w, &o, t == &lines.tier[0] ? lines.levels : 1);
    if (sim_choose(0, 1)) o.due_within = SKUA_US(sim_choose(1, 400));
    sim_work_accepted(w, skua_pool_submit_with(t->pool, NULL, &o, sim_work_run, w), may);
}

static void feed_line(void *unused)
{
    (void)unused;
    for (uint32_t i = sim_choose(0, 8); i > 0; i--) {
        submit_with_due(&lines.tier[sim_choose(0, lines.tiers - 1)]);
        if (sim_choose(0, 7) == 0) skua_sleep(SKUA_US(sim_choose(1, 100)));
    }
}

static void disturb_line(void *unused)
{
    (void)unused;
    sim_tiers_disturb(lines.tier, lines.tiers);
}

static void open_lines(void)
{
    bool exact = sim_choose(0, 2) == 0;
    skua_pool_options o = {.runtime = runtime, .limit = exact ? 1 : sim_choose(0, 3), .order = SKUA_ORDER_DEADLINE};
    o.queue = exact ? 0 : sim_choose(1, 5);
    o.levels = lines.levels = sim_choose(1, 2);
    if (!exact) o.when_full = sim_choose(0, 1) ? SKUA_FULL_WAIT : SKUA_FULL_REFUSE;
    sim_allow_blocks(6);
    sim_tier_open(&lines.tier[0], &o, NULL);
    if (!lines.tier[0].pool) return;
    if (exact) fill_exactly(&lines.tier[0]);
    for (lines.tiers = 1; lines.tiers <= sim_choose(0, 2); lines.tiers++) {
        o = (skua_pool_options){.runtime = runtime, .limit = sim_choose(1, 2), .queue = sim_choose(1, 3)};
        o.order = sim_choose(0, 1) ? SKUA_ORDER_DEADLINE : SKUA_ORDER_FIFO;
        sim_allow_blocks(6);
        sim_tier_open(&lines.tier[lines.tiers], &o, &lines.tier[0]);
        if (!lines.tier[lines.tiers].pool) break;
    }
}

void sim_earliest(void)
{
    runtime = sim_runtime(sim_choose(1, 3));
    if (!runtime) return;
    open_lines();
    if (lines.tiers) {
        uint32_t below = 0;
        sim_beside(runtime, feed_line, NULL, sim_choose(0, 3) ? disturb_line : NULL, NULL);
        for (uint32_t i = 0; i < lines.tiers; i++) sim_tier_wait(&lines.tier[i]);
        for (uint32_t i = 1; i < lines.tiers; i++) below += lines.tier[i].accepted;
        sim_tier_check(&lines.tier[0], below);
        for (uint32_t i = 1; i < lines.tiers; i++) sim_tier_check(&lines.tier[i], 0);
        for (uint32_t i = 0; i < lines.stored; i++) sim_expect_eq(skua_stored_is_idle(&lines.storage[i]), 1);
        for (uint32_t i = lines.tiers; i-- > 0;) sim_tier_close(&lines.tier[i]);
    }
    sim_works_check();
    sim_end_runtime(runtime);
}

/* ---- straight: tasks submit to a pool, beside threads, until it is released under their hands ---- */

typedef struct target {
    sim_tier tier, next; /* next: a pool made when the first was released, in its memory */
    bool released;       /* no call may begin */
    bool uncertain;      /* nobody knows how many were accepted */
} target;

static target targets;

static int submit_straight(sim_tier *t, bool inside);

static int straight_body(sim_work *w)
{
    if (sim_choose(0, 1) && !targets.released && w->at == &targets.tier) submit_straight(w->at, true);
    int error = sim_work_steps(w);
    return error ? error : w->result;
}

/* Whoever holds a place of a limit does not wait for another one: all might. */
static int submit_straight(sim_tier *t, bool inside)
{
    static const int may[] = {-EAGAIN, -EDEADLK, 0};
    skua_submit_options o;
    sim_work *w = sim_work_new(t);
    int error, result;
    if (!w) return -ENOMEM;
    w->body = straight_body;
    switch (sim_choose(inside && t->limit ? 1 : 0, 5)) {
    case 0:
        result = INT32_MAX;
        error = skua_pool_run(t->pool, sim_work_run, w, &result);
        if (error == 0 && w->started) sim_expect_eq(result, w->last);
        if (error && w->started) error = 0;               /* accepted; we are asked to end */
        if (error == -ECANCELED || error == -ETIMEDOUT) { /* whether it was accepted cannot be known */
            w->accepted = 1;
            targets.uncertain = true;
            return error;
        }
        break;
    case 2:
        sim_work_options(w, &o, 1);
        error = skua_pool_submit_with(t->pool, NULL, &o, sim_work_run, w);
        break;
    case 1:
        error = skua_pool_try_submit(t->pool, sim_work_run, w);
        break;
    default:
        error = skua_pool_submit(t->pool, sim_work_run, w);
    }
    sim_work_accepted(w, error, may);
    return error;
}

static void feed_straight(void *unused)
{
    (void)unused;
    for (uint32_t i = sim_choose(0, 8); i > 0 && !targets.released; i--) {
        submit_straight(&targets.tier, false);
        if (sim_choose(0, 3) == 0) skua_sleep(SKUA_US(sim_choose(1, 60)));
    }
}

static void disturb_straight(void *unused)
{
    (void)unused;
    sim_tiers_disturb(&targets.tier, 1);
}

/* Whoever is inside of a call then may find the next pool in its place. */
static void release_straight(void *options)
{
    if (sim_choose(0, 2)) skua_sleep(SKUA_US(sim_choose(1, 150)));
    sim_allow_end();
    targets.released = true;
    sim_tier_close(&targets.tier);
    sim_expect_eq(targets.tier.running, 0);
    sim_tier_open(&targets.next, (skua_pool_options *)options, NULL);
    if (targets.next.pool)
        for (uint32_t i = sim_choose(0, 4); i > 0; i--) submit_straight(&targets.next, false);
}

void sim_straight(void)
{
    runtime = sim_runtime(sim_choose(1, 3));
    if (!runtime) return;
    skua_pool_options o = {.runtime = runtime, .limit = sim_choose(0, 1) * sim_choose(1, 4), .queue = sim_choose(1, 5)};
    sim_tier_open(&targets.tier, &o, NULL);
    if (targets.tier.pool) {
        bool beside = sim_choose(0, 1);
        sim_beside(runtime, feed_straight, NULL,
                   beside             ? release_straight
                   : sim_choose(0, 1) ? disturb_straight
                                      : NULL,
                   &o);
        sim_tier *t = beside ? &targets.next : &targets.tier;
        if (t->pool) {
            sim_tier_wait(t);
            if (!beside && !targets.uncertain) sim_tier_check(t, 0);
            sim_tier_close(t);
        }
    }
    sim_works_check();
    sim_end_runtime(runtime);
}
