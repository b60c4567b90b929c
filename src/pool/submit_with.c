/*
 * submit_with.c: submissions by which more is asked than a call: options, the
 * defaults of the pool, results by future.  What asks for further attempts, a
 * callback, a limit of the run or a future becomes a job (job.h).
 */
#include "pool/job.h"
#include "pool/submit.h"

#include <errno.h>

#include "os/fork.h"
#include "sync/locker.h"

static const skua_future no_future = {0};

/* ---- the pool's defaults ---- */

static uint64_t or_default(uint64_t own, uint64_t of_pool)
{
    return own == SKUA_FOREVER ? 0 : own ? own : of_pool;
}

static skua_submit_options fill(const skua_pool *pool, const skua_submit_options *own)
{
    const skua_submit_options *d = &pool->defaults;
    skua_submit_options o = *own;
    o.start_within = or_default(own->start_within, d->start_within);
    o.finish_within = or_default(own->finish_within, d->finish_within);
    o.run_within = or_default(own->run_within, d->run_within);
    if (own->retry.times == 0) o.retry = d->retry;
    if (!own->ended.fn) o.ended = d->ended;
    return o;
}

/* ---- a job, or a task ---- */

/* More than a call is asked for. The pool's defaults are in s->options. */
static int submit_job(skua_pool *pool, const sk_submission *s, skua_future *future)
{
    const skua_submit_options *o = s->options;
    if (!s->fn || o->retry.jitter > 100 || !sk_locker_is_whole(o->ended.locker)) return -EINVAL;
    if (s->handle && o->retry.times + 1 > 1) return -ENOTSUP;
    sk_job *job = sk_job_new(pool, o, s->fn, s->arg, future != NULL);
    if (!job) return -ENOMEM;
    if (future) *future = sk_job_future(job);
    sk_submission of_job = {sk_job_body, job, o, s->handle, s->may_wait, job, true};
    int error = sk_submit(pool, &of_job);
    if (!error) return 0;
    if (future) *future = no_future;
    sk_job_withdraw(job);
    return error;
}

int sk_submit_filled(skua_pool *pool, const sk_submission *s)
{
    skua_submit_options o = fill(pool, s->options);
    sk_submission filled = *s;
    filled.options = &o;
    filled.is_filled = true;
    return pool->times || sk_job_is_asked_for(&o) ? submit_job(pool, &filled, NULL) : sk_submit(pool, &filled);
}

/* ---- the calls ---- */

int skua_pool_submit_with(skua_pool *pool, skua_task *task, const skua_submit_options *options, skua_fn *fn, void *arg)
{
    const skua_submit_options *o = options ? options : &sk_no_options;
    sk_submission s = {fn, arg, o, task, !o->no_wait, NULL, false};
    int error = sk_pool_check(pool);
    if (error) return error;
    if (sk_likely(!sk_job_is_asked_for(s.options))) return sk_submit(pool, &s);
    return sk_unlikely(pool->has_defaults) ? sk_submit_filled(pool, &s) : submit_job(pool, &s, NULL);
}

int skua_pool_submit_future(skua_pool *pool, skua_future *out, const skua_submit_options *options, skua_fn *fn,
                            void *arg)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = no_future;
    const skua_submit_options *o = options ? options : &sk_no_options;
    sk_submission s = {fn, arg, o, NULL, !o->no_wait, NULL, true};
    int error = sk_pool_check(pool);
    if (error) return error;
    if (sk_likely(!pool->has_defaults)) return submit_job(pool, &s, out);
    skua_submit_options filled = fill(pool, s.options);
    s.options = &filled;
    return submit_job(pool, &s, out);
}

/* By a future, because tasks that are retried, or that the submitter runs, have no handles. */
static int run_filled(skua_pool *pool, skua_fn *fn, void *arg, int *result)
{
    skua_future future;
    int error = skua_pool_submit_future(pool, &future, NULL, fn, arg);
    if (error) return error;
    error = skua_future_wait(future, SKUA_FOREVER, result);
    (void)skua_future_release(future);
    return error;
}

int skua_pool_run(skua_pool *pool, skua_fn *fn, void *arg, int *result)
{
    skua_task task;
    int error = sk_pool_check(pool);
    if (error) return error;
    if (sk_pool_is_held_by_caller(pool)) return -EDEADLK;
    if (sk_unlikely(pool->has_defaults || pool->when_full == SKUA_FULL_RUN)) return run_filled(pool, fn, arg, result);
    error = skua_pool_submit_with(pool, &task, NULL, fn, arg);
    if (error) return error;
    error = skua_join(task, result);
    if (error) skua_detach(task);
    return error;
}
