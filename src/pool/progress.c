/*
 * progress.c: how far a pool has come.
 *
 * The rate is a mean over the time it covers, until that is WINDOW; from then on
 * each sample weighs its share of WINDOW and itself: rate += (new - rate) * dt /
 * (min(covered, WINDOW) + dt).  Whoever looks takes a sample, unless another is at
 * it: then it takes the rate as it is.  Nobody waits.
 *
 * A reporter is a task that sleeps from beat to beat, on an eventcount that stop
 * rings.  It holds the pool (sk_pool_join), and looks now and then whether its
 * runtime stops, which waits for all tasks and tells none.
 *
 *   FREE --start--> RUNNING --stop--> STOPPED --its task joined--> FREE
 *
 * The memory of reporters is type-stable: a stop that comes too late finds another
 * serial, and a look of the eventcount that comes too late harms nobody.
 */
#include "skua/progress.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "pool/pool.h"
#include "sync/locker.h"

#define WINDOW SKUA_S(5)
#define NAP SKUA_MS(100) /* a reporter looks this often whether its runtime stops */

/* ---- the rate ---- */

static double rate_of(const sk_progress *p)
{
    uint64_t bits = sk_load_rlx((sk_atomic(uint64_t) *)&p->rate);
    double rate;
    memcpy(&rate, &bits, sizeof rate);
    return rate;
}

static void set_rate(sk_progress *p, double rate)
{
    uint64_t bits;
    memcpy(&bits, &rate, sizeof bits);
    sk_store_rlx(&p->rate, bits);
}

/* False: another has the samples. */
static bool take_samples(sk_progress *p)
{
    uint32_t free_now = 0;
    return sk_cas_acq(&p->taken, &free_now, 1u); /* [PG-C1] acquire; pairs with [PG-R1]: the last sample. */
}

static void put_samples(sk_progress *p)
{
    sk_store_rel(&p->taken, 0u); /* [PG-R1] release; pairs with [PG-C1]. */
}

static void sample(sk_progress *p, uint64_t ended, uint64_t now)
{
    uint64_t dt = now - p->since, covered = sk_min(p->covered, WINDOW);
    if (now <= p->since || ended < p->sampled) return;
    double rate = rate_of(p), sampled = (double)(ended - p->sampled) * (double)SKUA_S(1) / (double)dt;
    set_rate(p, rate + (sampled - rate) * (double)dt / ((double)covered + (double)dt));
    p->since = now;
    p->covered = covered + dt;
    p->sampled = ended;
}

/* The rate is counted from now on. By whoever has the samples, or nobody can. */
static void begin_samples(sk_progress *p, uint64_t ended)
{
    p->since = sk_clock_ns();
    p->covered = 0;
    p->sampled = ended;
    set_rate(p, 0);
}

void sk_progress_init(skua_pool *pool)
{
    sk_progress *p = &pool->progress;
    sk_store_rlx(&p->expected, UINT64_C(0));
    sk_store_rlx(&p->ended, UINT64_C(0));
    sk_store_rlx(&p->taken, 0u);
    begin_samples(p, 0);
}

/* ---- a look ---- */

/* ns; at a rate of so many a second. */
static uint64_t time_for(uint64_t tasks, double rate)
{
    if (tasks == 0) return 0;
    double ns = rate > 0 ? (double)tasks / rate * (double)SKUA_S(1) : -1;
    return ns < 0 || ns >= (double)UINT64_MAX ? SKUA_FOREVER : (uint64_t)ns;
}

/* The most that anybody has been told, which is never more than is true. */
static uint64_t never_back(sk_progress *p, uint64_t ended)
{
    uint64_t most = sk_load_rlx(&p->ended);
    while (most < ended && !sk_cas_rlx(&p->ended, &most, ended)) {
    }
    return sk_max(most, ended);
}

static uint64_t all_but_done(const skua_pool_counts *c)
{
    return c->failed + c->cancelled + c->expired + c->dropped;
}

/* The caller holds the pool, or has joined it. */
static void look(skua_pool *pool, skua_progress *out)
{
    sk_progress *p = &pool->progress;
    skua_pool_counts c;
    memset(&c, 0, sizeof c);
    (void)skua_pool_stats(pool, &c);
    uint64_t expected = sk_load_rlx(&p->expected), came = sk_max(c.submitted, expected);
    out->ended = never_back(p, c.done + all_but_done(&c));
    out->total = sk_max(came, out->ended);
    out->done = out->ended - all_but_done(&c);
    out->failed = c.failed;
    if (take_samples(p)) {
        sample(p, out->ended, sk_clock_ns());
        put_samples(p);
    }
    out->rate = rate_of(p);
    out->left = time_for(out->total - out->ended, out->rate);
}

/* The caller holds the pool. When nothing goes on the rate is counted from now. */
static void begin_rate(skua_pool *pool)
{
    sk_progress *p = &pool->progress;
    skua_pool_counts c;
    if (skua_pool_stats(pool, &c) || c.queued || c.running || !take_samples(p)) return;
    begin_samples(p, c.submitted);
    put_samples(p);
}

int skua_progress_of(skua_pool *pool, skua_progress *out)
{
    if (!out) return sk_unlikely(sk_forked()) ? -ECHILD : -EINVAL;
    int error = sk_pool_hold(pool);
    if (error) return error;
    look(pool, out);
    sk_pool_let_go(pool);
    return 0;
}

int skua_pool_expect(skua_pool *pool, uint64_t total)
{
    int error = sk_pool_hold(pool);
    if (error) return error;
    begin_rate(pool);
    sk_store_rlx(&pool->progress.expected, total);
    sk_pool_let_go(pool);
    return 0;
}

/* ---- reporters ---- */

enum { FREE = 0, RUNNING = 1, STOPPED = 2, STATE = 3, SERIAL = 4 };

typedef struct reporter {
    sk_atomic(uint64_t) word; /* anyone: FREE, RUNNING or STOPPED, and above it the serial */
    skua_pool *pool;          /* I, as what follows: while it is not FREE */
    skua_runtime *runtime;
    uint64_t every; /* ns */
    skua_progress_fn *fn;
    void *ctx;
    const skua_locker *locker; /* NULL: none */
    sk_waitq bell;             /* anyone: where its task sleeps */
    void *link;                /* of the slab's free list */
} reporter;

static const skua_reporter no_reporter = {NULL, 0, {NULL, 0}};
static sk_lazy_slab reporters = SK_LAZY_SLAB(reporter, link);

/* Nobody is left but those who come too late. */
static void forget(reporter *r)
{
    uint64_t serial = sk_load_rlx(&r->word) / SERIAL + 1;
    sk_store_rlx(&r->word, serial * SERIAL + FREE);
    sk_lazy_slab_free(&reporters, r);
}

static bool is_to_end(void *ctx)
{
    /* [PG-A1] acquire; pairs with [PG-C2]. */
    return (sk_load_acq(&((reporter *)ctx)->word) & STATE) != RUNNING;
}

typedef struct telling {
    const reporter *from;
    skua_progress now;
} telling;

static int tell(void *arg)
{
    const telling *t = (const telling *)arg;
    t->from->fn(t->from->ctx, &t->now);
    return 0;
}

static void report(reporter *r)
{
    telling t = {.from = r};
    look(r->pool, &t.now);
    if (r->locker)
        sk_call_locked(r->locker, tell, &t);
    else
        (void)tell(&t);
}

/* The beat after `now`, in step with `last`; those that were missed are left out. */
static uint64_t next_beat(uint64_t last, uint64_t every, uint64_t now)
{
    return now < last ? last : sk_deadline_after(last + (now - last) / every * every, every);
}

/* Until `beat`. False: it is to end. */
static bool sleep_until(reporter *r, uint64_t beat)
{
    for (;;) {
        uint64_t now = sk_clock_ns();
        if (is_to_end(r) || sk_load_rlx(&r->runtime->stopping)) return false;
        if (now >= beat) return true;
        int error = sk_waitq_wait(&r->bell, is_to_end, r, sk_min(beat, now + NAP));
        if (error == -ENOMEM) sched_yield(); /* to wait with, and to let others go on; it may come back */
        if (error && error != -ETIMEDOUT && error != -ENOMEM) return false; /* cancelled: the runtime is at its end */
    }
}

/* The body of its task. */
static int run_reporter(void *arg)
{
    reporter *r = (reporter *)arg;
    uint64_t beat = sk_deadline_after(sk_clock_ns(), r->every);
    while (sleep_until(r, beat)) {
        report(r);
        beat = next_beat(beat, r->every, sk_clock_ns());
    }
    report(r);
    return 0;
}

/* It is RUNNING from here on. The handle is whole before the task can start, whose calls may look at it. */
static int spawn(skua_reporter *out, reporter *r)
{
    uint64_t word = sk_load_rlx(&r->word) | RUNNING;
    sk_store_rlx(&r->word, word);
    out->ref = r;
    out->serial = word / SERIAL;
    int error = skua_spawn_with(&out->task, &(skua_task_options){.runtime = r->runtime}, run_reporter, r);
    if (error) *out = no_reporter;
    return error;
}

/* The caller holds the pool. */
static int start(skua_reporter *out, skua_pool *pool, uint64_t every, const skua_locker *locker, skua_progress_fn *fn,
                 void *ctx)
{
    int error = sk_pool_join(pool);
    if (error) return error;
    reporter *r = (reporter *)sk_lazy_slab_alloc(&reporters);
    if (r) {
        r->pool = pool;
        r->runtime = sk_owner_runtime(&pool->owner);
        r->every = every;
        r->locker = locker;
        r->fn = fn;
        r->ctx = ctx;
        sk_waitq_init(&r->bell);
        begin_rate(pool);
        error = spawn(out, r);
        if (error) forget(r);
    }
    if (!r) error = -ENOMEM;
    if (error) sk_pool_quit(pool);
    return error;
}

int skua_progress_start(skua_reporter *out, skua_pool *pool, uint64_t every, skua_progress_fn *fn, void *ctx,
                        const skua_locker *locker)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = no_reporter;
    if (!fn || every == 0 || !sk_locker_is_whole(locker)) return -EINVAL;
    int error = sk_pool_hold(pool);
    if (error) return error;
    error = start(out, pool, every, locker, fn, ctx);
    sk_pool_let_go(pool);
    return error;
}

/* Asks it to end. False: it has been given up. */
static bool ring(reporter *r, uint64_t serial)
{
    uint64_t word = serial * SERIAL + RUNNING;
    /* [PG-C2] acquire-release; pairs with [PG-A1], and with [PG-C2] of another, whose call was interrupted. */
    if (!sk_cas_ar(&r->word, &word, serial * SERIAL + STOPPED) && word != serial * SERIAL + STOPPED) return false;
    sk_waitq_wake(&r->bell);
    return true;
}

/* Whether the calling thread runs this task, or a blocking call of it. */
static bool is_caller(skua_task task)
{
    sk_local *local = sk_local_self();
    const sk_task *self = !local ? NULL : local->worker ? local->worker->task : local->blocked_task;
    return self && self == task.ref && sk_load_rlx((sk_atomic(uint64_t) *)&self->state.serial) == task.serial;
}

int skua_progress_stop(skua_reporter *handle)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!handle || !handle->ref) return -EINVAL;
    if (is_caller(handle->task)) return -EDEADLK;
    reporter *r = (reporter *)handle->ref;
    if (!ring(r, handle->serial)) return -ESRCH;
    int result = 0, error = skua_join(handle->task, &result);
    if (error) return error;
    skua_pool *pool = r->pool;
    if (result == -ESHUTDOWN || result == -ECANCELED) { /* it never started: its body gives 0 */
        report(r);
        result = 0;
    }
    forget(r);
    sk_pool_quit(pool);
    return result;
}
