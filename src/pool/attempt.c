/*
 * attempt.c: one attempt of a job, in its task or on its submitter's stack: the
 * function, its time, whether there shall be another, the call at the end.
 * job.c has what lies between the attempts and behind them.
 *
 * The limit of an attempt is one of its task (expiry.c): until the task parks
 * beyond it there is no timer, and whoever looks, looks at the clock.
 *
 * `running` tells in the end of an attempt's task whether its body has seen to
 * everything: it is still set when the task gave up, whose frames are gone.
 */
#include "pool/job.h"

#include <errno.h>

#include "base/rng.h"
#include "os/clock.h"
#include "pool/fault.h"
#include "runtime/giveup.h"
#include "sync/locker.h"

/* ---- times ---- */

void sk_job_measure(sk_job *job)
{
    job->started_at = 0;
    job->submitted_at = sk_clock_ns();
}

/* The first attempt starts in a pool that is measured, or another one. */
static sk_noinline void start_measured(sk_job *job)
{
    job->started_at = sk_clock_ns();
    if (job->attempts > 1) return;
    sk_pool_count_waiting(sk_load_rlx(&job->pool), sk_worker_self(), job->started_at - job->submitted_at);
}

sk_noinline void sk_job_end_measured(sk_job *job)
{
    uint64_t ns = sk_clock_ns() - job->started_at;
    job->started_at = 0;
    sk_pool_count_running(sk_load_rlx(&job->pool), sk_worker_self(), ns);
}

/* The call itself. */
static int call_timed(sk_job *job)
{
    if (sk_likely(!job->submitted_at)) return job->fn(job->arg);
    start_measured(job);
    int result = job->fn(job->arg);
    sk_job_end_measured(job);
    return result;
}

/* ---- one attempt ---- */

/* The running task is to be late in run_within, unless it will be sooner. */
static void limit_run(const sk_job *job, sk_worker *w, sk_task *t)
{
    uint64_t by = sk_deadline_after(sk_clock_ns(), job->run_within);
    if (sk_task_is_timed(t)) {
        if (t->finish_by) sk_timers_cancel_slot(w, &t->deadline);
        t->start_by = 0;
        t->finish_by = t->finish_by ? sk_min(by, t->finish_by) : by;
    } else {
        sk_task_set_deadlines(t, 0, by);
        t->stack_class = (uint8_t)w->fiber->stack.cls;
        t->timed = false; /* so far */
    }
    sk_task_limit(w, t);
}

/* The worker of the running task, whose function may have left a blocking call open. */
static sk_worker *back_at_work(void)
{
    sk_worker *w = sk_worker_self();
    if (sk_likely(w != NULL)) return w;
    skua_blocking_end();
    return sk_worker_self();
}

/* There are to be no further attempts in this pool, or were not when somebody looked at all tasks. */
static bool is_hopeless(skua_pool *pool)
{
    if (pool->hook && pool->hook->refuses && pool->hook->refuses(pool->hook)) return true;
    return sk_pool_is_dropping(pool) || sk_load_rlx(&sk_owner_runtime(&pool->owner)->stopping);
}

bool sk_job_was_swept(skua_pool *pool, uint64_t swept)
{
    return swept == SK_SWEEPING || sk_pool_swept(pool) != swept || is_hopeless(pool);
}

bool sk_job_was_asked_to_end(const sk_job *job)
{
    return (sk_load_rlx((sk_atomic(uint64_t) *)&job->word) & SK_JOB_ASKED) ||
           is_hopeless(sk_load_rlx((sk_atomic(skua_pool *) *)&job->pool));
}

/* ns of the next back-off. */
static uint64_t backoff_of(sk_job *job)
{
    const skua_retry *r = &job->retry;
    uint64_t ns = r->backoff, most = r->backoff_most ? r->backoff_most : UINT64_MAX;
    for (uint32_t i = 1; r->exponential && ns && i < job->attempts && ns < most; i++)
        ns = ns > UINT64_MAX / 2 ? UINT64_MAX : ns * 2;
    ns = sk_min(ns, most);
    sk_rng rng;
    sk_rng_seed(&rng, sk_clock_ns() ^ (uintptr_t)job);
    if (r->jitter) ns -= (uint64_t)((__uint128_t)ns * r->jitter / 100 * sk_rng_below(&rng, 1u << 16) >> 16);
    return ns;
}

bool sk_job_wants_another(sk_job *job, int error)
{
    if (error >= 0 || job->attempts > job->retry.times || sk_job_was_asked_to_end(job)) return false;
    uint64_t left = SK_NEVER, now = job->finish_by ? sk_clock_ns() : 0;
    if (job->finish_by) left = job->finish_by > now ? job->finish_by - now : 0;
    if (left == 0 || (job->retry.again && !job->retry.again(error, job->retry.again_ctx))) return false;
    job->delay = sk_min(backoff_of(job), left);
    return true;
}

/* The sweeps are read here, not at its end: an attempt that gives up has ended before anybody could. */
static void begin_attempt(sk_job *job)
{
    job->swept = sk_pool_swept(sk_load_rlx(&job->pool)); /* before the marks are taken: see back_off */
    if (sk_likely(job->attempts++ == 0)) return;
    for (skua_pool *p = sk_load_rlx(&job->pool); p; p = p->parent) sk_add_rlx(&p->retried, UINT64_C(1));
}

typedef struct result_call {
    const skua_ended *to;
    void *arg;
    int result;
} result_call;

static int make_result_call(void *arg)
{
    const result_call *c = (const result_call *)arg;
    c->to->fn(c->to->ctx, c->arg, c->result);
    return 0;
}

void sk_job_tell(const skua_ended *to, void *arg, int result)
{
    result_call c = {to, arg, result};
    if (sk_likely(!to->locker))
        (void)make_result_call(&c);
    else
        sk_call_locked(to->locker, make_result_call, &c);
}

void sk_job_call_ended(sk_job *job, int result)
{
    job->called = true;
    if (job->ended.fn) sk_job_tell(&job->ended, job->arg, result);
}

/* The function has returned: makes the result certain, and the call that is due. True: run it again on this stack. */
static bool settle(sk_job *job, sk_task *t, int *result)
{
    sk_task_end_limit(t);
    unsigned marks = sk_task_is_timed(t) || sk_state_marks(&t->state) ? sk_state_decide(&t->state) : 0;
    if (marks & SK_EXPIRED) *result = -ETIMEDOUT;
    bool another = !(marks & SK_CANCEL) && sk_job_wants_another(job, *result);
    bool is_limited = job->run_within || sk_task_is_timed(t); /* the next attempt is to have a limit of its own */
    if (another && !job->delay && !is_limited && (t->fiber == SK_FIBER_NONE || !t->deferred)) return true;
    job->running = false;
    job->again = another;
    if (!another) sk_job_call_ended(job, *result);
    if (marks) sk_state_mark_again(&t->state, marks);
    return false;
}

static sk_noinline int run_in_full(sk_job *job)
{
    sk_task *t = sk_worker_self()->task;
    for (int result;;) {
        begin_attempt(job);
        result = call_timed(job);
        (void)back_at_work();
        if (!settle(job, t, &result)) return result;
    }
}

int sk_job_body(void *arg)
{
    sk_job *job = (sk_job *)arg;
    if (job->run_within) {
        sk_worker *w = sk_worker_self();
        limit_run(job, w, w->task);
    }
    if (!job->ended.fn && !job->retry.times) return call_timed(job);
    job->running = true;
    return run_in_full(job);
}

/* ---- on the submitter's stack ---- */

/* An attempt starts: the one before is timed only now that this one is in the books. */
static void start_here(sk_job *job, skua_pool *pool)
{
    job->started_at = sk_clock_ns();
    if (job->attempts > 1)
        sk_pool_count_running(pool, sk_worker_self(), job->ran);
    else
        job->waited = job->started_at - job->submitted_at;
}

static void end_here(sk_job *job)
{
    job->ran = sk_clock_ns() - job->started_at;
    job->started_at = 0;
}

void sk_job_count_here(sk_job *job, sk_worker *w)
{
    skua_pool *pool = sk_load_rlx(&job->pool);
    sk_pool_count_waiting(pool, w, job->waited);
    sk_pool_count_running(pool, w, job->ran);
}

static int ask_here(void *arg)
{
    sk_job *job = (sk_job *)arg;
    return sk_job_wants_another(job, sk_load_rlx(&job->result));
}

static int call_here(void *arg)
{
    sk_job *job = (sk_job *)arg;
    sk_job_call_ended(job, sk_load_rlx(&job->result));
    return 0;
}

/* The predicate, or the callback; one that gives up is a fault of the pool, and no further attempt. */
static bool make_call_here(sk_job *job, skua_pool *pool, skua_fn *fn)
{
    sk_catch c;
    int result = sk_call_caught(&c, &job->calls, fn, job);
    if (sk_likely(!c.fault)) return result > 0;
    sk_pool_keep_fault(pool, c.fault);
    sk_drop_fault(c.fault);
    return false;
}

static void attempt_here(sk_job *job, skua_pool *pool)
{
    sk_catch c;
    begin_attempt(job);
    sk_drop_fault(job->fault);
    if (sk_unlikely(job->submitted_at)) start_here(job, pool);
    sk_store_rlx(&job->result, sk_call_caught(&c, &job->calls, job->fn, job->arg));
    if (sk_unlikely(job->submitted_at)) end_here(job);
    job->fault = c.fault;
}

int sk_job_run_here(sk_job *job)
{
    skua_pool *pool = sk_load_rlx(&job->pool);
    do attempt_here(job, pool);
    while (make_call_here(job, pool, ask_here) && (!job->delay || skua_sleep(job->delay) == 0));
    (void)make_call_here(job, pool, call_here);
    return sk_load_rlx(&job->result);
}
