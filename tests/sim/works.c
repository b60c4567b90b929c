/* works.c: see works.h. */
#include "sim/works.h"

#include <stddef.h>

sim_work sim_works[SIM_WORKS];
unsigned sim_work_count;

bool sim_is_excused(int error)
{
    return error == -ECANCELED || error == -ETIMEDOUT || (error == -ESHUTDOWN && sim_may_end()) ||
           (error == -ENOMEM && sim_may_refuse());
}

static int number_of(const sim_work *w)
{
    return (int)(w - sim_works);
}

sim_work *sim_work_new(sim_tier *at)
{
    static const int results[] = {0, 0, 0, 7, -EIO, -ENOENT};
    if (sim_work_count == SIM_WORKS) return NULL;
    sim_work *w = &sim_works[sim_work_count++];
    *w = (sim_work){
        .at = at, .steps = sim_choose(0, 3), .ns = SKUA_US(sim_choose(1, 150)), .most = 1, .cap = UINT32_MAX};
    w->result = results[sim_choose(0, 5)];
    w->gives_up = sim_choose(0, 9) == 0;
    return w;
}

/* ---- running ---- */

/* Whether the calling thread runs a task: else the submitter runs the work himself, outside of any limit. */
static bool is_task(void)
{
    return skua_runtime_current() != NULL;
}

static void enter(const sim_work *w)
{
    for (sim_tier *t = w->at; t; t = t->above)
        if (++t->running > t->limit && t->limit)
            sim_fail("%u works run in a pool with a limit of %u", t->running, t->limit);
}

static void leave(const sim_work *w)
{
    for (sim_tier *t = w->at; t; t = t->above) t->running--;
}

static int nap(void *work)
{
    sim_nap(((sim_work *)work)->ns);
    return 0;
}

static int one_step(sim_work *w)
{
    switch (sim_choose(0, 4)) {
    case 0:
        return skua_yield();
    case 1:
    case 2:
        return skua_sleep(w->ns);
    case 3:
        return is_task() ? skua_block(nap, w) : 0;
    default:
        return skua_cancelled();
    }
}

int sim_work_steps(sim_work *w)
{
    int error = 0;
    for (uint32_t i = 0; i < w->steps && !error; i++) {
        error = one_step(w);
        if (error == -EPERM && !is_task()) error = 0;
        if (error && !sim_is_excused(error)) sim_fail("work %d: a step said %d", number_of(w), error);
        if (error == -ENOMEM) error = 0;
    }
    return error;
}

int sim_work_run(void *arg)
{
    sim_work *w = (sim_work *)arg;
    bool task = is_task();
    if (w->inside) sim_fail("work %d runs twice at a time", number_of(w));
    if (++w->started > w->most) sim_fail("work %d has started %u times", number_of(w), w->started);
    if (w->started > w->cap) sim_fail("work %d: an attempt after it was cancelled", number_of(w));
    if (w->called) sim_fail("work %d starts after its callback", number_of(w));
    w->inside = true;
    if (task) enter(w);
    int error = w->body ? w->body(w) : sim_work_steps(w);
    if (task) leave(w);
    w->inside = false;
    if (w->good_at && w->started >= w->good_at)
        error = 0;
    else if (w->gives_up && task) {
        w->gave_up++;
        w->last = -EFAULT;
        skua_panic_task("work %d gives up", number_of(w));
    } else if (!error && !w->body)
        error = w->result;
    w->returned++;
    return w->last = error;
}

void sim_work_ended(void *arg, void *given, int result)
{
    (void)given;
    sim_work *w = (sim_work *)arg;
    if (w->inside) sim_fail("work %d: a callback while it runs", number_of(w));
    if (w->called++) sim_fail("work %d: a second callback", number_of(w));
    w->outcome = result;
    if (sim_choose(0, 3) == 0) {
        int error = skua_sleep(SKUA_US(sim_choose(1, 50)));
        sim_expect(error == 0 || sim_is_excused(error));
    }
    if (w->outcome != result) sim_fail("work %d: told twice", number_of(w));
}

/* ---- cancelling ---- */

static bool is_asked(const sim_work *w, const sim_tier *at)
{
    const sim_tier *t = w->at;
    while (t && t != at) t = t->above;
    return w->accepted && (!at || t == at);
}

uint32_t sim_cancel_begins(const sim_tier *at)
{
    static unsigned cancellations;
    uint32_t mark = cancellations < 32 ? UINT32_C(1) << cancellations++ : 0;
    for (unsigned i = 0; i < sim_work_count; i++)
        if (is_asked(&sim_works[i], at)) sim_works[i].cancelled_by |= mark;
    return mark;
}

void sim_cancel_over(uint32_t mark)
{
    for (unsigned i = 0; i < sim_work_count; i++) {
        sim_work *w = &sim_works[i];
        if (!(w->cancelled_by & mark)) continue;
        w->cap = w->started + 1 < w->cap ? w->started + 1 : w->cap;
    }
}

/* ---- submitting ---- */

static bool again_sometimes(int error, void *ctx)
{
    sim_work *w = (sim_work *)ctx;
    if (error >= 0) sim_fail("work %d: asked whether to try a success again", number_of(w));
    if (sim_choose(0, 3) == 0) skua_yield();
    return sim_choose(0, 4) != 0;
}

void sim_work_options(sim_work *w, skua_submit_options *o, uint32_t levels)
{
    *o = (skua_submit_options){.level = sim_choose(0, levels - 1)};
    if (sim_choose(0, 3) == 0) o->admit_within = SKUA_US(sim_choose(1, 200));
    if (sim_choose(0, 3) == 0) o->start_within = SKUA_US(sim_choose(1, 200));
    if (sim_choose(0, 3) == 0) o->finish_within = SKUA_US(sim_choose(1, 500));
    if (sim_choose(0, 3) == 0) o->run_within = SKUA_US(sim_choose(1, 200));
    if (sim_choose(0, 1)) {
        o->retry = (skua_retry){.times = sim_choose(1, 3), .jitter = sim_choose(0, 1) * 50};
        if (sim_choose(0, 1)) o->retry.backoff = SKUA_US(sim_choose(1, 200));
        o->retry.exponential = sim_choose(0, 1);
        if (sim_choose(0, 1)) o->retry.backoff_most = SKUA_US(250);
        if (sim_choose(0, 2) == 0) {
            o->retry.again = again_sometimes;
            o->retry.again_ctx = w;
        }
        if (sim_choose(0, 1)) w->good_at = sim_choose(1, 4);
        w->most = 1 + o->retry.times;
    }
    w->timed = o->run_within > 0;
    if ((w->asks = sim_choose(0, 1))) o->ended = (skua_ended){sim_work_ended, w, NULL};
}

bool sim_work_accepted(sim_work *w, int error, const int *may)
{
    if (error == 0) {
        w->accepted = 1;
        if (w->at) w->at->accepted++;
        return true;
    }
    bool known = sim_is_excused(error);
    for (; may && *may; may++) known |= *may == error;
    if (!known) sim_fail("work %d was refused: %s", number_of(w), skua_strerror(error));
    if (w->started || w->called) sim_fail("work %d was refused and runs", number_of(w));
    return false;
}

/* ---- tiers ---- */

void sim_tier_open(sim_tier *t, skua_pool_options *o, sim_tier *above)
{
    if (above) o->parent = above->pool;
    *t = (sim_tier){.above = above, .limit = o->limit};
    sim_allow_blocks(2 + o->levels); /* the slots of its queues stay with its memory */
    int error = skua_pool_create(&t->pool, o);
    sim_expect(error == 0 || (error == -ENOMEM && sim_may_refuse()));
}

void sim_tier_tune(sim_tier *t, uint32_t limit)
{
    if (t->limit && (!limit || limit > t->limit)) t->limit = limit;
    int error = skua_pool_tune(t->pool, limit);
    sim_expect(error == 0 || (error == -ESHUTDOWN && sim_may_end()));
}

uint32_t sim_queue(void)
{
    uint32_t queue = sim_choose(0, 4);
    return queue == 0 ? SKUA_POOL_NO_QUEUE : queue;
}

static uint64_t ended_of(const skua_pool_counts *c)
{
    return c->done + c->failed + c->cancelled + c->expired + c->dropped;
}

void sim_counts_look(const skua_pool_counts *c)
{
    sim_expect_eq(c->submitted, c->queued + c->running + ended_of(c));
    sim_expect(c->submitted <= 2 * SIM_WORKS && c->queued <= c->submitted && c->running <= c->submitted &&
               ended_of(c) <= c->submitted);
}

bool sim_tier_look(const sim_tier *t, skua_pool_counts *c)
{
    int error = skua_pool_stats(t->pool, c);
    if (error == -ESHUTDOWN && sim_may_end()) return false;
    sim_expect_eq(error, 0);
    sim_counts_look(c);
    return true;
}

void sim_counts_check(const sim_tier *t, const skua_pool_counts *c, uint32_t below)
{
    uint32_t unstarted = 0, failed = 0, good = 0, certain = 0;
    for (unsigned i = 0; i < sim_work_count; i++) {
        const sim_work *w = &sim_works[i];
        if (w->at != t || !w->accepted) continue;
        unstarted += w->started == 0;
        failed += w->started && w->last < 0;
        good += w->started && w->last >= 0;
        certain += w->started && w->last >= 0 && !w->timed; /* else it may have been late, and was to be tried again */
    }
    sim_expect_eq(t->running, 0);
    sim_expect_eq(c->submitted, t->accepted + below);
    sim_expect_eq(c->queued + c->running, 0);
    if (below) return;
    sim_expect_eq(unstarted + failed + good, t->accepted);
    sim_expect(c->done <= good); /* what was late is expired, whatever it gave */
    sim_expect(c->done + c->expired >= certain);
    sim_expect(unstarted <= c->failed + c->cancelled + c->expired + c->dropped);
}

void sim_tier_check(const sim_tier *t, uint32_t below)
{
    skua_pool_counts c;
    if (sim_tier_look(t, &c)) sim_counts_check(t, &c, below);
}

void sim_tier_close(sim_tier *t)
{
    int error;
    if (!t->pool) return;
    while ((error = skua_pool_release(t->pool)) == -ENOMEM && sim_may_refuse()) {
    }
    sim_expect_eq(error, 0);
}

void sim_tier_wait(sim_tier *t)
{
    for (;;) {
        skua_pool_counts c;
        int error = skua_pool_wait(t->pool, sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 300)));
        sim_tier_look(t, &c);
        if (error == 0) return;
        sim_expect_eq(error, -ETIMEDOUT);
    }
}

/* ---- what is done to tiers meanwhile ---- */

static void stop_and_restart(sim_tier *t)
{
    bool now = sim_choose(0, 1);
    uint64_t timeout = sim_choose(0, 1) ? 0 : SKUA_US(sim_choose(1, 200));
    sim_allow_end();
    int error = now ? skua_pool_stop_now(t->pool, timeout) : skua_pool_stop(t->pool, timeout);
    sim_expect(error == 0 || error == -ETIMEDOUT);
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 100)));
    sim_expect_eq(skua_pool_restart(t->pool), 0);
}

void sim_tier_cancel(sim_tier *t)
{
    uint32_t mark = sim_cancel_begins(t);
    sim_expect(skua_pool_cancel(t->pool) >= 0);
    sim_cancel_over(mark);
}

void sim_tiers_disturb(sim_tier *tier, uint32_t tiers)
{
    for (uint32_t i = sim_choose(1, 8); i > 0; i--) {
        sim_tier *t = &tier[sim_choose(0, tiers - 1)];
        skua_pool_counts c;
        switch (sim_choose(0, 5)) {
        case 0:
            if (t->limit) sim_tier_tune(t, sim_choose(1, 3));
            break;
        case 1:
            sim_expect_eq(skua_pool_pause(t->pool), 0);
            if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 200)));
            sim_expect_eq(skua_pool_resume(t->pool), 0);
            break;
        case 2:
            sim_tier_look(t, &c);
            break;
        case 3:
            sim_tier_cancel(t);
            break;
        case 4:
            if (sim_choose(0, 2) == 0) stop_and_restart(t);
            break;
        default:
            skua_sleep(SKUA_US(sim_choose(1, 300)));
        }
    }
}

/* ---- others beside ---- */

typedef struct beside {
    void (*fn)(void *);
    void *arg;
} beside;

static int beside_job(sim_job *job)
{
    const beside *b = (const beside *)job->what;
    b->fn(b->arg);
    return 0;
}

void sim_beside(skua_runtime *rt, void (*fn)(void *), void *arg, void (*meanwhile)(void *), void *what)
{
    sim_thread t[2];
    beside b = {fn, arg};
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("beside", fn, arg);
    sim_job *job = rt ? sim_job_new(beside_job, 0, 0) : NULL;
    if (job) {
        job->what = &b;
        sim_job_spawn(rt, job);
    }
    if (meanwhile) meanwhile(what);
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    if (job) sim_job_join(job);
}

/* ---- the end ---- */

static void check_outcome(const sim_work *w)
{
    if (!w->asks) return;
    if ((int)w->called != w->accepted)
        sim_fail("work %d: accepted %d, started %u, last %d, called %u", number_of(w), w->accepted, w->started, w->last,
                 w->called);
    if (!w->accepted) return;
    if (!w->started) {
        sim_expect(w->outcome == -ECANCELED || w->outcome == -ETIMEDOUT || w->outcome == -ESHUTDOWN ||
                   (w->outcome == -ENOMEM && sim_may_refuse()));
    } else if (w->outcome != w->last) { /* late, or what came between two attempts */
        sim_expect(w->outcome == -ETIMEDOUT || w->outcome == -ECANCELED || w->outcome == -ESHUTDOWN ||
                   (w->outcome == -ENOMEM && sim_may_refuse()));
    }
}

void sim_works_check(void)
{
    for (unsigned i = 0; i < sim_work_count; i++) {
        const sim_work *w = &sim_works[i];
        if (w->inside) sim_fail("work %u has never come back", i);
        if (w->started != w->returned + w->gave_up)
            sim_fail("work %u started %u times, returned %u, gave up %u", i, w->started, w->returned, w->gave_up);
        if (!w->accepted && (w->started || w->called)) sim_fail("work %u was refused and ran", i);
        check_outcome(w);
    }
}

void sim_end_runtime(skua_runtime *rt)
{
    int error;
    sim_allow_end();
    while ((error = skua_runtime_stop(rt, SKUA_FOREVER)) == -ETIMEDOUT) {
    }
    sim_expect_eq(error, 0);
    sim_stats(rt);
    while ((error = skua_runtime_release(rt)) == -ENOMEM && sim_may_refuse()) {
    }
    sim_expect_eq(error, 0);
}
