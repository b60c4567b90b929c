/* scenarios_pools.c: what pools do besides limit and queue: subpools, policies, tuning, stopping, retries, futures. */
#include "sim/scenarios.h"
#include "sim/works.h"

#include <stddef.h>

enum { FEEDERS = 3 };

typedef struct feeder {
    sim_tier *tier;
    uint32_t tiers, works, levels;
    bool with_options;
    skua_when_full when_full;
} feeder;

static int feed_one(const feeder *f)
{
    static const int may[] = {-EAGAIN, -EDEADLK, 0};
    sim_tier *t = &f->tier[sim_choose(0, f->tiers - 1)];
    sim_work *w = sim_work_new(t);
    skua_submit_options o;
    int error;
    if (!w) return -ENOMEM;
    if (f->with_options && sim_choose(0, 2)) {
        sim_work_options(w, &o, f->levels);
        error = skua_pool_submit_with(t->pool, NULL, &o, sim_work_run, w);
    } else if (sim_choose(0, 3) == 0) {
        error = skua_pool_try_submit(t->pool, sim_work_run, w);
    } else {
        error = skua_pool_submit(t->pool, sim_work_run, w);
    }
    sim_work_accepted(w, error, may);
    return error;
}

static void feed(void *arg)
{
    const feeder *f = (const feeder *)arg;
    for (uint32_t i = 0; i < f->works; i++) {
        feed_one(f);
        if (sim_choose(0, 7) == 0) skua_sleep(SKUA_US(sim_choose(1, 100)));
    }
}

static int feeding_job(sim_job *job)
{
    feed(job->what);
    return 0;
}

/* Two threads and a task feed the tiers, while the calling thread does something else. */
static void feed_while(skua_runtime *rt, feeder *f, void (*meanwhile)(sim_tier *tier, uint32_t tiers))
{
    sim_thread t[2];
    feeder own[FEEDERS];
    for (int i = 0; i < FEEDERS; i++) {
        own[i] = *f;
        own[i].works = sim_choose(0, f->works);
    }
    for (int i = 0; i < 2; i++) t[i] = sim_thread_start("feed", feed, &own[i]);
    sim_job *job = sim_job_new(feeding_job, 0, 0);
    job->what = &own[2];
    bool spawned = f->when_full != SKUA_FULL_RUN && sim_job_spawn(rt, job);
    if (meanwhile) meanwhile(f->tier, f->tiers);
    for (int i = 0; i < 2; i++) sim_thread_wait(t[i]);
    if (spawned) sim_job_join(job);
}

/* ---- subpools: limits of 1, 2 and 3 on a parent of 2 to 7 ---- */

void sim_subpools(void)
{
    sim_tier tier[4];
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    skua_pool_options o = {.runtime = rt, .limit = sim_choose(1, 4), .queue = sim_queue()};
    sim_tier_open(&tier[0], &o, NULL);
    uint32_t made = tier[0].pool ? 1 : 0;
    while (made && made < 4) {
        o = (skua_pool_options){.runtime = rt, .limit = made, .queue = sim_queue()};
        sim_tier_open(&tier[made], &o, &tier[made > 1 && sim_choose(0, 4) == 0 ? made - 1 : 0]);
        if (!tier[made].pool) break;
        made++;
    }
    if (made) {
        feeder f = {.tier = tier, .tiers = made, .works = 5, .levels = 1, .with_options = sim_choose(0, 2) == 0};
        feed_while(rt, &f, sim_choose(0, 1) ? sim_tiers_disturb : NULL);
        sim_tier_wait(&tier[0]);
        for (uint32_t i = 1; i < made; i++) sim_tier_wait(&tier[i]);
    }
    uint32_t all = 0;
    for (uint32_t i = 1; i < made; i++) all += tier[i].accepted;
    if (made) sim_tier_check(&tier[0], all);
    for (uint32_t i = made; i-- > 0;) sim_tier_close(&tier[i]);
    sim_works_check();
    sim_end_runtime(rt);
}

/* ---- policies: one pool with any options ---- */

static skua_pool_options any_options(skua_runtime *rt)
{
    skua_pool_options o = {.runtime = rt, .limit = sim_choose(0, 3), .queue = sim_queue()};
    o.when_full = (skua_when_full)sim_choose(0, 3);
    bool queueless = o.queue == SKUA_POOL_NO_QUEUE;
    if (queueless && o.when_full == SKUA_FULL_DROP_OLDEST) o.when_full = SKUA_FULL_WAIT;
    if (!queueless) o.levels = sim_choose(0, 3);
    if (sim_choose(0, 1)) o.ageing = SKUA_US(sim_choose(1, 300));
    if (o.when_full == SKUA_FULL_WAIT) {
        o.waiters = sim_choose(0, 2);
        if (sim_choose(0, 1)) o.wait_at_most = SKUA_US(sim_choose(1, 300));
    }
    return o;
}

void sim_policies(void)
{
    sim_tier tier;
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    skua_pool_options o = any_options(rt);
    sim_tier_open(&tier, &o, NULL);
    if (tier.pool) {
        feeder f = {&tier, 1, 7, o.levels ? o.levels : 1, sim_choose(0, 1), o.when_full};
        feed_while(rt, &f, sim_choose(0, 2) ? sim_tiers_disturb : NULL);
        sim_tier_wait(&tier);
        sim_tier_check(&tier, 0);
        sim_tier_close(&tier);
    }
    sim_works_check();
    sim_end_runtime(rt);
}

/* ---- retries: attempts, back-offs, callbacks, against cancel and stop ---- */

void sim_retries(void)
{
    sim_tier tier[2];
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    skua_pool_options o = {.runtime = rt, .limit = sim_choose(1, 3), .queue = sim_queue()};
    uint32_t made = 0;
    sim_tier_open(&tier[0], &o, NULL);
    if (tier[0].pool) made = 1;
    if (made && sim_choose(0, 2) == 0) {
        o.limit = sim_choose(1, 2);
        sim_tier_open(&tier[1], &o, &tier[0]);
        made += tier[1].pool != NULL;
    }
    if (made) {
        feeder f = {.tier = tier, .tiers = made, .works = 4, .levels = 1, .with_options = true};
        feed_while(rt, &f, sim_choose(0, 3) ? sim_tiers_disturb : NULL);
        if (sim_choose(0, 3) == 0) {
            sim_allow_end();
            while (skua_pool_stop_now(tier[0].pool, SKUA_US(sim_choose(0, 500)))) {
            }
        }
        sim_tier_wait(&tier[0]);
        sim_tier_check(&tier[0], made == 2 ? tier[1].accepted : 0);
    }
    for (uint32_t i = made; i-- > 0;) sim_tier_close(&tier[i]);
    sim_works_check();
    sim_end_runtime(rt);
}

/* ---- futures: many look at each, until somebody lets it go ---- */

enum { FUTURES = 6 };

typedef struct promise {
    skua_future future;
    sim_work *work;
    uint32_t then_set, then_called;
    int seen; /* the result that somebody was given; INT32_MIN: none yet */
} promise;

static promise promises[FUTURES];
static uint32_t promises_made;

static void same_result(promise *p, int result)
{
    if (p->seen == INT32_MIN) p->seen = result;
    sim_expect_eq(result, p->seen);
    sim_expect(!p->work->inside);
}

static void then(void *arg, void *given, int result)
{
    (void)given;
    promise *p = (promise *)arg;
    p->then_called++;
    same_result(p, result);
}

static void use_future(promise *p)
{
    int error, result = INT32_MAX;
    switch (sim_choose(0, 8)) {
    case 0:
        error = skua_future_try(p->future, &result);
        sim_expect(error == 0 || error == -EAGAIN || error == -ESRCH);
        break;
    case 1:
        error = skua_future_cancel(p->future);
        sim_expect(error == 0 || error == -EALREADY || error == -ESRCH);
        if (error == 0 && p->work->started + 1 < p->work->cap) p->work->cap = p->work->started + 1;
        return;
    case 2:
        p->then_set++; /* before: it may be called at once */
        error = skua_future_then(p->future, then, p, NULL);
        p->then_set -= error != 0;
        sim_expect(error == 0 || error == -EALREADY || error == -ESRCH);
        return;
    case 3:
        if (sim_choose(0, 2)) return;
        error = skua_future_release(p->future);
        sim_expect(error == 0 || error == -ESRCH);
        return;
    default:
        error = skua_future_wait(p->future, sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 300)), &result);
        sim_expect(error == 0 || error == -ESRCH || error == -EDEADLK || sim_is_excused(error));
    }
    if (error == 0) same_result(p, result);
}

static void use_futures(void *unused)
{
    (void)unused;
    for (uint32_t i = sim_choose(1, 8); i > 0; i--) use_future(&promises[sim_choose(0, promises_made - 1)]);
}

static int using_job(sim_job *job)
{
    use_futures(NULL);
    return (int)job->n;
}

static void make_promises(sim_tier *t)
{
    static const int may[] = {-EAGAIN, 0};
    for (uint32_t i = sim_choose(1, FUTURES); i > 0; i--) {
        promise *p = &promises[promises_made];
        skua_submit_options o = {0};
        *p = (promise){.work = sim_work_new(t), .seen = INT32_MIN};
        if (sim_choose(0, 1)) sim_work_options(p->work, &o, 1);
        int error = skua_pool_submit_future(t->pool, &p->future, &o, sim_work_run, p->work);
        if (sim_work_accepted(p->work, error, may)) promises_made++;
    }
}

static void share_promises(skua_runtime *rt, sim_tier *t)
{
    sim_thread thread[2];
    sim_job *job[2];
    for (int i = 0; i < 2; i++) thread[i] = sim_thread_start("use", use_futures, NULL);
    for (int i = 0; i < 2; i++) sim_job_spawn(rt, job[i] = sim_job_new(using_job, 0, 0));
    if (sim_choose(0, 3) == 0) sim_tier_cancel(t);
    for (int i = 0; i < 2; i++) sim_thread_wait(thread[i]);
    for (int i = 0; i < 2; i++) sim_job_join(job[i]);
}

void sim_futures(void)
{
    sim_tier tier;
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    skua_pool_options o = {.runtime = rt, .limit = sim_choose(0, 3), .queue = sim_queue()};
    sim_tier_open(&tier, &o, NULL);
    if (tier.pool) make_promises(&tier);
    if (promises_made) share_promises(rt, &tier);
    if (tier.pool) {
        sim_tier_wait(&tier);
        sim_tier_check(&tier, 0);
        for (uint32_t i = 0; i < promises_made; i++) { /* at rest all are done */
            int result, error = skua_future_try(promises[i].future, &result);
            sim_expect(error == 0 || error == -ESRCH);
            if (error == 0) same_result(&promises[i], result);
        }
        sim_tier_close(&tier);
    }
    for (uint32_t i = 0; i < promises_made; i++) {
        int error = skua_future_release(promises[i].future);
        sim_expect(error == 0 || error == -ESRCH);
        sim_expect_eq(skua_future_try(promises[i].future, NULL), -ESRCH);
    }
    sim_works_check();
    sim_end_runtime(rt);
    for (uint32_t i = 0; i < promises_made; i++) sim_expect_eq(promises[i].then_called, promises[i].then_set);
}
