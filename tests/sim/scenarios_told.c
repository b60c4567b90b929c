/* scenarios_told.c: what is told of pools: progress, times, faults; and what they say for all of their tasks. */
#include "sim/scenarios.h"
#include "sim/works.h"

#include <stddef.h>

/* Pools that are fed by others. */
typedef struct fed {
    skua_runtime *rt;
    sim_tier tier[2];
    uint32_t tiers, levels;
    int (*body)(sim_work *work);
} fed;

static fed pools;

static const int fed_may[] = {-EAGAIN, -EDEADLK, 0};

static void submit_to(sim_tier *t)
{
    skua_submit_options o;
    sim_work *w = sim_work_new(t);
    if (!w) return;
    w->body = pools.body;
    if (sim_choose(0, 1)) {
        sim_work_options(w, &o, pools.levels);
        sim_work_accepted(w, skua_pool_submit_with(t->pool, NULL, &o, sim_work_run, w), fed_may);
    } else {
        sim_work_accepted(w, skua_pool_submit(t->pool, sim_work_run, w), fed_may);
    }
}

static void feed(void *unused)
{
    (void)unused;
    for (uint32_t i = sim_choose(0, 8); i > 0; i--) {
        submit_to(&pools.tier[sim_choose(0, pools.tiers - 1)]);
        if (sim_choose(0, 7) == 0) skua_sleep(SKUA_US(sim_choose(1, 100)));
    }
}

static void disturb(void *unused)
{
    (void)unused;
    sim_tiers_disturb(pools.tier, pools.tiers);
}

/* A pool, and perhaps a subpool. */
static void open_pools(const skua_pool_options *options, const skua_pool_options *below)
{
    skua_pool_options o = *options;
    pools.levels = 1;
    sim_allow_blocks(4);
    sim_tier_open(&pools.tier[0], &o, NULL);
    if (!pools.tier[0].pool) return;
    pools.tiers = 1;
    if (!below) return;
    o = *below;
    sim_allow_blocks(4);
    sim_tier_open(&pools.tier[1], &o, &pools.tier[0]);
    pools.tiers += pools.tier[1].pool != NULL;
}

static void check_pools(void)
{
    for (uint32_t i = pools.tiers; i-- > 0;) sim_tier_wait(&pools.tier[i]);
    sim_tier_check(&pools.tier[0], pools.tiers == 2 ? pools.tier[1].accepted : 0);
    if (pools.tiers == 2) sim_tier_check(&pools.tier[1], 0);
}

static void close_pools(void)
{
    for (uint32_t i = pools.tiers; i-- > 0;) sim_tier_close(&pools.tier[i]);
    sim_works_check();
    sim_end_runtime(pools.rt);
}

/* ---- progress: reporters, whose pools and runtimes are stopped under their hands ---- */

enum { REPORTERS = 2 };

typedef struct teller {
    skua_reporter handle;
    skua_progress last;
    uint32_t calls;
    bool inside, gives_up, gave_up, over;
} teller;

static teller tellers[REPORTERS];
static uint32_t tellers_made;

static void check_progress(skua_progress *last, const skua_progress *p)
{
    sim_expect(p->ended <= p->total && p->total <= 2 * SIM_WORKS);
    sim_expect(p->done + p->failed <= p->ended);
    sim_expect(p->ended >= last->ended);
    sim_expect(p->rate >= 0);
    if (p->ended == p->total) sim_expect_eq(p->left, 0);
    *last = *p;
}

static void in_report(teller *r)
{
    int error;
    switch (sim_choose(0, 5)) {
    case 0:
        error = skua_sleep(SKUA_US(sim_choose(1, 100)));
        sim_expect(error == 0 || sim_is_excused(error));
        break;
    case 1:
        error = skua_pool_wait(pools.tier[0].pool, SKUA_US(sim_choose(0, 100)));
        sim_expect(error == 0 || sim_is_excused(error));
        break;
    case 2:
        if (sim_choose(0, 7)) break;
        sim_allow_end();
        error = skua_pool_stop(pools.tier[0].pool, SKUA_US(sim_choose(0, 100)));
        sim_expect(error == 0 || sim_is_excused(error));
        sim_expect_eq(skua_pool_restart(pools.tier[0].pool), 0);
        break;
    case 3:
        error = skua_progress_stop(&r->handle);
        sim_expect(skua_runtime_current() ? error == -EDEADLK : error < 0);
        break;
    default:
        break;
    }
}

static void report(void *ctx, const skua_progress *p)
{
    teller *r = (teller *)ctx;
    if (r->inside) sim_fail("two reports at a time");
    if (r->over || r->gave_up) sim_fail("a report after the last one");
    r->inside = true;
    r->calls++;
    check_progress(&r->last, p);
    if (r->calls < 20) in_report(r);
    r->inside = false;
    if (r->gives_up && skua_runtime_current() && sim_choose(0, 3) == 0) {
        r->gave_up = true;
        skua_panic_task("a report gives up");
    }
}

static void start_teller(void)
{
    teller *r = &tellers[tellers_made];
    r->gives_up = sim_choose(0, 3) == 0;
    int error = skua_progress_start(&r->handle, pools.tier[sim_choose(0, pools.tiers - 1)].pool,
                                    SKUA_US(sim_choose(5, 300)), report, r, NULL);
    sim_expect(error == 0 || sim_is_excused(error) || (error == -EAGAIN && sim_may_refuse()));
    tellers_made += error == 0;
}

/* It may be stopped already, or by somebody else at this moment. */
static void stop_teller(teller *r)
{
    skua_reporter handle = r->handle;
    int error;
    do error = skua_progress_stop(&handle);
    while (error == -ENOMEM && sim_may_refuse());
    if (error == -EFAULT) sim_expect(r->gave_up);
    sim_expect(error == 0 || error == -EFAULT || error == -ESRCH || error == -EBUSY);
    if (error != 0 && error != -EFAULT) return;
    sim_expect(r->calls > 0 && !r->inside);
    r->over = true;
}

static void look_on(void *unused)
{
    skua_progress mine = {0}, p;
    for (uint32_t i = sim_choose(1, 5); i > 0; i--) {
        sim_expect_eq(skua_progress_of(pools.tier[0].pool, &p), 0);
        check_progress(&mine, &p);
        if (sim_choose(0, 5) == 0) sim_expect_eq(skua_pool_expect(pools.tier[0].pool, sim_choose(0, SIM_WORKS)), 0);
        if (tellers_made && sim_choose(0, 9) == 0) stop_teller(&tellers[sim_choose(0, tellers_made - 1)]);
    }
    feed(unused);
}

/* A pool cannot go while it has a reporter. */
static void try_release(void *unused)
{
    (void)unused;
    bool any = false;
    if (sim_choose(0, 1)) disturb(NULL);
    if (sim_choose(0, 2)) return;
    sim_allow_end();
    for (uint32_t i = 0; i < tellers_made; i++) any |= tellers[i].over;
    if (any || !tellers_made) return;
    int error = skua_pool_release(pools.tier[0].pool);
    for (uint32_t i = 0; i < tellers_made; i++) any |= tellers[i].over;
    if (error == 0 && !any) sim_fail("released under its reporter");
    if (error == 0) pools.tiers = 0;
    sim_expect(error == 0 || error == -EBUSY);
    if (error) sim_expect_eq(skua_pool_restart(pools.tier[0].pool), 0);
}

void sim_progress(void)
{
    pools.rt = sim_runtime(sim_choose(1, 3));
    if (!pools.rt) return;
    skua_pool_options o = {.runtime = pools.rt, .limit = sim_choose(0, 3), .queue = sim_queue()};
    skua_pool_options below = {.runtime = pools.rt, .limit = sim_choose(1, 2)};
    open_pools(&o, sim_choose(0, 1) ? &below : NULL);
    if (!pools.tiers) {
        sim_end_runtime(pools.rt);
        return;
    }
    for (uint32_t i = sim_choose(1, REPORTERS); i > 0; i--) start_teller();
    bool all_stay = sim_choose(0, 1);
    sim_beside(pools.rt, all_stay ? feed : look_on, NULL, all_stay ? try_release : disturb, NULL);
    if (sim_choose(0, 3) == 0) { /* the runtime first */
        sim_allow_end();
        while (skua_runtime_stop(pools.rt, SKUA_FOREVER)) {
        }
    }
    check_pools();
    for (uint32_t i = 0; i < tellers_made; i++) {
        if (!tellers[i].over) stop_teller(&tellers[i]);
        sim_expect(tellers[i].over);
    }
    skua_progress p, none = {0};
    sim_expect_eq(skua_progress_of(pools.tier[0].pool, &p), 0);
    check_progress(&none, &p);
    sim_expect_eq(p.ended, pools.tier[0].accepted + pools.tier[1].accepted);
    close_pools();
}

/* ---- measured: what a snapshot says at every moment, and at rest ---- */

static bool take_snapshot(sim_tier *t, skua_pool_counts *c, skua_histogram *waiting, skua_histogram *running)
{
    int error = skua_pool_snapshot(t->pool, c, waiting, running);
    if (error == -EAGAIN) return false;
    sim_expect_eq(error, 0);
    sim_counts_look(c);
    sim_expect(c->done + c->failed <= running->count);
    sim_expect(running->count <= waiting->count + c->retried);
    sim_expect(waiting->count <= c->submitted);
    sim_expect(running->min <= running->max && waiting->min <= waiting->max);
    return true;
}

static void measure(void *unused)
{
    skua_pool_counts c;
    skua_histogram waiting, running;
    for (uint32_t i = sim_choose(0, 3); i > 0; i--) {
        take_snapshot(&pools.tier[sim_choose(0, pools.tiers - 1)], &c, &waiting, &running);
        if (sim_choose(0, 2)) submit_to(&pools.tier[0]);
    }
    feed(unused);
}

static void check_times(sim_tier *t, bool all)
{
    skua_pool_counts c;
    skua_histogram waiting, running;
    uint32_t works = 0, attempts = 0;
    for (unsigned i = 0; i < sim_work_count; i++) {
        const sim_work *w = &sim_works[i];
        if (!w->accepted || (w->at != t && !all)) continue;
        works += w->started > 0;
        attempts += w->started;
    }
    if (!take_snapshot(t, &c, &waiting, &running)) sim_fail("no snapshot of a pool at rest");
    sim_expect_eq(waiting.count, works);
    sim_expect_eq(running.count, attempts);
    sim_expect_eq(running.count, waiting.count + c.retried);
}

void sim_measured(void)
{
    pools.rt = sim_runtime(sim_choose(1, 3));
    if (!pools.rt) return;
    skua_pool_options o = {.runtime = pools.rt, .limit = sim_choose(0, 3), .queue = sim_queue(), .measure = true};
    skua_pool_options below = {.runtime = pools.rt, .limit = sim_choose(1, 2), .queue = sim_queue()};
    o.when_full = sim_choose(0, 2) ? SKUA_FULL_WAIT : SKUA_FULL_RUN;
    open_pools(&o, sim_choose(0, 1) ? &below : NULL);
    if (pools.tiers) {
        sim_beside(o.when_full == SKUA_FULL_RUN ? NULL : pools.rt, measure, NULL, sim_choose(0, 2) ? disturb : NULL,
                   NULL);
        check_pools();
        check_times(&pools.tier[0], true);
        if (pools.tiers == 2) check_times(&pools.tier[1], false);
    }
    close_pools();
}

/* ---- given up: who is told, by choice of the pools ---- */

typedef struct told {
    sim_tier *tier;
    bool waits;       /* SKUA_FAULT_WAIT */
    bool has_handler; /* of its own */
    bool chooses;     /* else the pool above does */
    uint32_t handled, waited;
} told;

static told tolds[2];

static void handle(const skua_fault *fault, void *arg)
{
    told *t = (told *)arg;
    sim_expect(fault->line > 0 && fault->file && fault->message[0] == 'w');
    t->handled++;
    if (sim_choose(0, 3) == 0) {
        int error = skua_sleep(SKUA_US(sim_choose(1, 50)));
        sim_expect(error == 0 || sim_is_excused(error));
    }
    if (sim_choose(0, 5) == 0 && skua_runtime_current()) skua_panic_task("the handler, too");
}

/* Or as much of it as there was memory to keep: "(no memory ...". */
static bool is_told(const skua_fault *fault)
{
    return fault->message[0] == '(' || (fault->line > 0 && fault->message[0] == 'w');
}

/* Whoever is told that there was a fault can have it, but while another is being written in its place. */
static int wait_and_ask(told *t, uint64_t timeout)
{
    skua_fault fault;
    int error = skua_pool_wait(t->tier->pool, timeout);
    if (error == -EFAULT) {
        sim_expect(t->waits);
        t->waited++;
        int none = skua_pool_fault(t->tier->pool, &fault);
        sim_expect(none == -ENODATA || (none == 0 && is_told(&fault)));
    }
    return error;
}

static void feed_and_wait(void *unused)
{
    for (uint32_t i = sim_choose(0, 3); i > 0; i--) {
        int error = wait_and_ask(&tolds[sim_choose(0, pools.tiers - 1)], SKUA_US(sim_choose(0, 200)));
        sim_expect(error == 0 || error == -EFAULT || sim_is_excused(error));
        if (sim_choose(0, 2)) submit_to(&pools.tier[sim_choose(0, pools.tiers - 1)]);
    }
    feed(unused);
}

static int may_give_up(sim_work *w)
{
    if (w->started == 1) w->gives_up = sim_choose(0, 1);
    int error = sim_work_steps(w);
    return error ? error : w->result;
}

static void choose_told(told *t, sim_tier *tier, skua_pool_options *o)
{
    *t = (told){.tier = tier, .waits = sim_choose(0, 1), .has_handler = sim_choose(0, 1)};
    t->chooses = t->waits || t->has_handler;
    o->on_fault = t->waits ? SKUA_FAULT_WAIT : SKUA_FAULT_RESULT;
    if (t->has_handler) o->fault_handler = handle;
    o->fault_arg = t;
}

/* What must have been told: each attempt that gave up to the handler of the nearest pool with a choice; and of those
   that were the last ones at least one to a wait of each pool above that is to be told. */
static void check_told(void)
{
    uint32_t handled[2] = {0, 0}, certain[2] = {0, 0}, possible[2] = {0, 0};
    for (unsigned i = 0; i < sim_work_count; i++) {
        const sim_work *w = &sim_works[i];
        uint32_t at = w->at == &pools.tier[1], to = at && !tolds[1].chooses ? 0 : at;
        if (tolds[to].has_handler) handled[to] += w->gave_up;
        if (!w->accepted || !w->started || w->last != -EFAULT) continue;
        bool was_last = w->asks ? w->outcome == -EFAULT : w->most == 1; /* else another one was to be tried */
        for (uint32_t k = 0; k <= at; k++) {
            certain[k] += was_last;
            possible[k]++;
        }
    }
    for (uint32_t i = 0; i < pools.tiers; i++) {
        skua_fault fault;
        int error = skua_pool_fault(pools.tier[i].pool, &fault);
        sim_expect_eq(tolds[i].handled, handled[i]);
        sim_expect(tolds[i].waited <= possible[i]);
        sim_expect(tolds[i].waited > 0 || !certain[i] || !tolds[i].waits);
        sim_expect(error == 0 || (error == -ENODATA && !certain[i]));
        if (!possible[i]) sim_expect_eq(error, -ENODATA);
    }
}

void sim_givenup(void)
{
    pools.rt = sim_runtime(sim_choose(1, 3));
    if (!pools.rt) return;
    skua_pool_options o = {.runtime = pools.rt, .limit = sim_choose(0, 3), .queue = sim_queue()}, below = o;
    choose_told(&tolds[0], &pools.tier[0], &o);
    choose_told(&tolds[1], &pools.tier[1], &below);
    below.limit = sim_choose(1, 2);
    pools.body = may_give_up;
    open_pools(&o, sim_choose(0, 1) ? &below : NULL);
    if (pools.tiers) {
        sim_beside(pools.rt, feed_and_wait, NULL, sim_choose(0, 1) ? disturb : NULL, NULL);
        for (uint32_t i = pools.tiers; i-- > 0;)
            while (wait_and_ask(&tolds[i], SKUA_FOREVER)) {
            }
        check_pools();
        check_told();
    }
    close_pools();
}

/* ---- defaults: what a pool says for all of its tasks, and what they say instead ---- */

static skua_pool_options said;

static void default_ended(void *ctx, void *arg, int result)
{
    sim_expect(ctx == &said);
    sim_work_ended(arg, NULL, result);
}

/* Own times are others, or none; what is not said is the pool's. */
static void submit_by_default(sim_tier *t)
{
    skua_submit_options o = {0};
    sim_work *w = sim_work_new(t);
    if (!w) return;
    w->most = 1 + said.retry.times;
    w->asks = said.ended.fn != NULL;
    w->timed = said.run_within > 0;
    if (said.retry.times && sim_choose(0, 1)) w->good_at = sim_choose(1, 3);
    if (sim_choose(0, 1)) {
        sim_work_accepted(w, skua_pool_submit(t->pool, sim_work_run, w), fed_may);
        return;
    }
    if (sim_choose(0, 2) == 0) o.start_within = SKUA_FOREVER;
    if (sim_choose(0, 2) == 0) o.finish_within = sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(100, 400));
    if (sim_choose(0, 2) == 0) o.run_within = sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(1, 200));
    if (o.run_within) w->timed = o.run_within != SKUA_FOREVER;
    if (sim_choose(0, 2) == 0) o.retry.times = sim_choose(0, 1) ? SKUA_NO_RETRY : sim_choose(1, 2);
    if (o.retry.times) w->most = o.retry.times == SKUA_NO_RETRY ? 1 : 1 + o.retry.times;
    if (sim_choose(0, 2) == 0) {
        w->asks = true;
        o.ended = (skua_ended){sim_work_ended, w, NULL};
    }
    sim_work_accepted(w, skua_pool_submit_with(t->pool, NULL, &o, sim_work_run, w), fed_may);
}

static void feed_by_default(void *unused)
{
    (void)unused;
    for (uint32_t i = sim_choose(0, 7); i > 0; i--) {
        submit_by_default(&pools.tier[0]);
        if (sim_choose(0, 7) == 0) skua_sleep(SKUA_US(sim_choose(1, 100)));
    }
}

void sim_said(void)
{
    pools.rt = sim_runtime(sim_choose(1, 3));
    if (!pools.rt) return;
    said = (skua_pool_options){.runtime = pools.rt, .limit = sim_choose(0, 3), .queue = sim_queue()};
    if (sim_choose(0, 1)) said.start_within = SKUA_US(sim_choose(1, 200));
    if (sim_choose(0, 1)) said.finish_within = SKUA_US(sim_choose(200, 500));
    if (sim_choose(0, 1)) said.run_within = SKUA_US(sim_choose(1, 200));
    if (sim_choose(0, 2)) {
        said.retry.times = sim_choose(1, 3);
        said.retry.keep_place = sim_choose(0, 1);
        if (sim_choose(0, 1)) said.retry.backoff = SKUA_US(sim_choose(1, 150));
    }
    if (sim_choose(0, 1)) said.ended = (skua_ended){default_ended, &said, NULL};
    open_pools(&said, NULL);
    if (pools.tiers) {
        sim_beside(pools.rt, feed_by_default, NULL, sim_choose(0, 3) ? disturb : NULL, NULL);
        check_pools();
    }
    close_pools();
}
