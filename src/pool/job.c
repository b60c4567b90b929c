/*
 * job.c: the way of a job from hand to hand: made, tried again after a back-off,
 * ended.  attempt.c has the attempts themselves, JOBS.md the argument.
 *
 *   submitted --> attempt's task --> ended for good: call, count, complete
 *                   ^      |
 *                   |      v  failed, to be tried again: slot given back
 *                submits <-- helper: delayed for the back-off, owner job->backoff
 */
#include "pool/job.h"

#include <errno.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "pool/fault.h"
#include "pool/storage.h"
#include "runtime/giveup.h"

/* ---- memory ---- */

static sk_lazy_slab jobs = SK_LAZY_SLAB(sk_job, link);

/* The cache of the calling thread, whose record this is, set up on first use. */
static sk_slab_cache *cache_of(sk_local *local)
{
    sk_slab_cache *cache = local->worker ? &local->worker->jobs : &local->jobs;
    if (sk_unlikely(!cache->slab)) sk_slab_cache_init(cache, &jobs.slab);
    return cache;
}

/* The job that will be made next was often last written by another processor. */
static void prefetch_next(const sk_slab_cache *cache)
{
#ifdef SK_MODEL /* has caches of its own */
    (void)cache;
#else
    sk_job_prefetch(cache->loaded);
#endif
}

static sk_job *allocate(void)
{
    sk_local *local = sk_lazy_slab_get(&jobs) ? sk_local_get() : NULL;
    if (!local) return NULL;
    sk_slab_cache *cache = cache_of(local);
    sk_job *job = (sk_job *)sk_slab_alloc(cache);
    prefetch_next(cache);
    return job;
}

void sk_job_free(sk_job *job, uint64_t word)
{
    /* Nodes of those who gave up waiting may be left; nobody else is. */
    if (job->had_future && sk_unlikely(sk_load_rlx(&job->others.tasks) != NULL)) sk_waitq_wake_slow(&job->others);
    if (sk_unlikely(job->fault != NULL)) sk_drop_fault(job->fault);
    sk_store_rlx(&job->word, ((word >> SK_JOB_SERIAL_SHIFT) + 1) << SK_JOB_SERIAL_SHIFT);
    sk_local *local = sk_local_self();
    if (sk_likely(local != NULL))
        sk_slab_free(cache_of(local), job);
    else
        sk_lazy_slab_free(&jobs, job);
}

static sk_task *backoff_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result);
static sk_task *calls_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result);
static bool calls_faulted(sk_task_owner *owner, const skua_fault *fault);

/* Seldom anything changes. */
static void set_owners(sk_job *job, skua_runtime *rt)
{
    if (sk_owner_runtime(&job->backoff) == rt) return;
    sk_owner_init(&job->backoff, rt, backoff_ended);
    sk_owner_init(&job->calls, rt, calls_ended);
    job->calls.faulted = calls_faulted;
}

sk_job *sk_job_new(skua_pool *pool, const skua_submit_options *o, skua_fn *fn, void *arg, bool with_future)
{
    sk_job *job = allocate();
    if (!job) return NULL;
    job->fn = fn;
    job->arg = arg;
    sk_store_rlx(&job->pool, pool);
    job->attempts = 0;
    job->running = job->again = job->called = job->finishing = false;
    job->level = (uint8_t)o->level;
    job->run_within = o->run_within;
    job->finish_by = 0;
    job->has_due = false;
    job->had_future = with_future;
    job->retry = o->retry;
    if (sk_unlikely(o->retry.times == SKUA_NO_RETRY)) job->retry.times = 0;
    job->fault = NULL;
    job->submitted_at = 0;
    job->ended = o->ended;
    set_owners(job, sk_owner_runtime(&pool->owner));
    /* [JB-R1] release; pairs with [JB-A1]: a stale future that finds this life's word finds no result of the one
       before; and the holder of a new one finds it whole. */
    sk_store_rel(&job->word, sk_load_rlx(&job->word) | SK_JOB_LIVE | (with_future ? SK_JOB_HANDLE : 0));
    return job;
}

void sk_job_withdraw(sk_job *job)
{
    sk_job_let_go(job, sk_load_rlx(&job->word) & (SK_JOB_LIVE | SK_JOB_HANDLE));
}

/* ---- where the job is ---- */

void sk_job_bind(sk_job *job, sk_task *t, uint64_t finish_by)
{
    job->finish_by = finish_by;
    /* [JB-R2] sequentially consistent; pairs with [JB-A2] and [JB-C3]: a cancel finds the new task, or we find that it
       was asked for ([JB-A3]). */
    sk_store_sc(&job->at, sk_join_word(sk_load_rlx(&t->state.serial), t, 0));
}

/* Whether whoever made this delayed task is done with it, see shutdown.c. */
static bool timer_is_set(sk_timer_slot *slot)
{
    unsigned state = sk_slot_state(sk_slot_look(slot));
    return state == SK_SLOT_ARMED || state == SK_SLOT_LATE || state == SK_SLOT_FIRING;
}

bool sk_job_cancel_task(sk_task *t, uint64_t serial)
{
    /* [JB-A4] acquire; pairs with [TS-R1]. */
    if (sk_phase_of(sk_load_acq(&t->state.word)) == SK_DELAYED && !timer_is_set(&t->sleep)) return true;
    return skua_cancel((skua_task){t, serial}) == 0;
}

skua_pool *sk_job_pool_of_owner(const sk_task_owner *owner)
{
    if (sk_owner_ended(owner) == backoff_ended) return sk_load_rlx(&sk_container_of(owner, sk_job, backoff)->pool);
    if (sk_owner_ended(owner) == calls_ended) return sk_load_rlx(&sk_container_of(owner, sk_job, calls)->pool);
    return NULL;
}

void *sk_pool_arg_of(const sk_task *t)
{
    if (t->fn == sk_stored_body) return ((sk_stored *)t->arg)->arg;
    bool of_job = t->fn == sk_job_body || sk_job_pool_of_owner(sk_task_owner_of(t));
    return of_job ? ((sk_job *)t->arg)->arg : t->arg;
}

skua_fn *sk_pool_fn_of(const sk_task *t)
{
    if (t->fn == sk_stored_body) return ((sk_stored *)t->arg)->run;
    return t->fn == sk_job_body ? ((sk_job *)t->arg)->fn : t->fn;
}

bool sk_job_of_retries(const sk_task *t)
{
    return t && t->fn == sk_job_body && ((const sk_job *)t->arg)->retry.times > 0;
}

bool sk_job_makes_calls(const sk_task_owner *owner)
{
    return sk_owner_ended(owner) == calls_ended;
}

static void end_backoff(void *object, void *ctx)
{
    sk_task *t = (sk_task *)object;
    uint64_t serial = sk_load_rlx(&t->state.serial);
    /* [JB-A5] acquire; pairs with [TS-R1]: the owner of the life that the word shows. */
    if (!sk_state_is_seen(sk_load_acq(&t->state.word), serial)) return;
    sk_task_owner *owner = sk_task_owner_of(t);
    if (sk_owner_ended(owner) != backoff_ended || sk_job_pool_of_owner(owner) != ctx) return;
    (void)sk_job_cancel_task(t, serial);
}

void sk_job_end_backoffs(skua_pool *pool)
{
    sk_slab_each(&sk_tasks, end_backoff, pool);
}

/* ---- between two attempts ---- */

/* A helper's body: the next attempt, which may have to wait for room. */
static int submit_again(void *arg)
{
    sk_job *job = (sk_job *)arg;
    skua_pool *pool = sk_load_rlx(&job->pool);
    int error = skua_cancelled();
    if (error) return error;
    if (job->finish_by && sk_clock_ns() >= job->finish_by) return -ETIMEDOUT;
    sk_task *t = sk_task_new(sk_local_self(), &pool->owner, sk_job_body, job, false, SK_ACTIVE, &error);
    if (!t) return error;
    if (job->finish_by || job->has_due) {
        sk_task_set_deadlines(t, 0, job->finish_by);
        t->due = job->has_due ? job->due : 0;
        if (t->timed) sk_task_arm_deadline(sk_worker_self(), t);
    }
    sk_job_bind(job, t, job->finish_by);
    sk_fence_sc(); /* [JB-F1] full fence; pairs with [JB-C3], [PL-C16] and [PL-C17]: who asks from now on finds the new
                      task, and who has asked before is found. */
    error = sk_job_was_asked_to_end(job) || sk_job_was_swept(pool, job->swept) ? -ECANCELED : 0;
    if (!error && job->retry.keep_place)
        sk_ready(sk_worker_self(), t);
    else if (!error)
        error = sk_pool_submit_again(pool, t, job->level);
    if (!error) return 0; /* it is not ours any more */
    if (sk_task_is_timed(t)) sk_timers_cancel_slot(sk_worker_self(), &t->deadline);
    sk_task_withdraw(t);
    return error;
}

/* The job goes into a helper's hand. False: there is none. The pool lives as long as we hold its slot. */
static bool back_off(sk_job *job, sk_worker *w)
{
    int error;
    uint64_t delay = job->delay, swept = job->swept, life = sk_load_rlx(&job->word) >> SK_JOB_SERIAL_SHIFT;
    skua_pool *pool = sk_load_rlx(&job->pool);
    sk_task *t =
        sk_task_new(sk_local_self(), &job->backoff, submit_again, job, false, delay ? SK_DELAYED : SK_ACTIVE, &error);
    if (!t) return false;
    uint64_t serial = sk_load_rlx(&t->state.serial);
    job->again = false;
    sk_job_bind(job, t, job->finish_by);
    if (job->retry.keep_place) {
        sk_store_rlx(&pool->keeping, true); /* before [JB-F3] */
    } else {
        sk_pool_begin_step(pool);
        /* [PL-R11] release; pairs with [PL-A22] and [PL-A24]: who sees the slot that we give back next sees this. */
        sk_add_rel(&pool->backed_off, UINT64_C(1));
    }
    if (delay) {
        sk_task_set_deadlines(t, 0, 0);
        sk_task_start_in(w, t, delay, sk_timer_tag(serial, SK_TIMER_DELAY));
    } else {
        sk_ready(w, t);
    }
    sk_fence_sc(); /* [JB-F3] full fence; pairs with [PL-F8]: the helper before the looks. */
    /* [JB-A3] sequentially consistent; pairs with [JB-C3]; and so does what follows with [PL-C16] and [PL-C17]: who
       asked while we made the helper has not found it, or left it to us. Another job may be there by now. */
    uint64_t word = sk_load_sc(&job->word);
    if ((word >> SK_JOB_SERIAL_SHIFT == life && (word & SK_JOB_ASKED)) || sk_job_was_swept(pool, swept))
        (void)sk_job_cancel_task(t, serial);
    return true;
}

/* ---- the end ---- */

/* Into a helper's hand, which makes calls. False: there is none. */
static bool have_called(sk_job *job, sk_worker *w, skua_fn *calls)
{
    int error;
    sk_task *t = sk_task_new(sk_local_self(), &job->calls, calls, job, false, SK_ACTIVE, &error);
    if (t) sk_ready(w, t);
    return t != NULL;
}

/* It has ended for good, and holds a slot of its pool still. */
static sk_task *finish(sk_job *job, sk_worker *w, sk_task *t)
{
    int result = sk_load_rlx(&job->result);
    skua_pool *pool = sk_load_rlx(&job->pool);
    sk_end end = (sk_end)job->end;
    if (sk_unlikely(job->fault != NULL) && job->retry.times) sk_pool_keep_fault(pool, job->fault);
    sk_pool_count_end(pool, w, t, end, result);
    sk_job_complete(job, w, result); /* who finds the pool at rest finds the future done */
    return end == SK_DONE ? sk_pool_leave(pool, w) : sk_pool_leave_failed(pool, w);
}

/* A helper's body, for a job whose task never started or gave up. */
static int make_calls(void *arg)
{
    sk_job *job = (sk_job *)arg;
    int result = sk_load_rlx(&job->result);
    bool gave_up = job->running;
    job->running = false;
    job->again = gave_up && sk_job_wants_another(job, result);
    if (!job->again) sk_job_call_ended(job, result);
    return 0;
}

/* The last task of the job has ended, or its last attempt in any case. */
static sk_task *end_attempt(sk_job *job, sk_worker *w, sk_task *t)
{
    skua_pool *pool = sk_load_rlx(&job->pool); /* before the job is in other hands */
    bool keeps = job->retry.keep_place;
    if (job->again && back_off(job, w)) return keeps ? NULL : sk_pool_leave_failed(pool, w);
    job->again = false;
    if (sk_unlikely(job->running || (job->ended.fn && !job->called))) {
        if (have_called(job, w, make_calls)) return NULL;
        job->running = false;
        sk_job_call_ended(job, sk_load_rlx(&job->result));
    }
    return finish(job, w, t);
}

/* The fault of an attempt goes to the job, if somebody will ask there; that of the attempt before is forgotten. */
static void take_fault(sk_job *job, sk_task *t)
{
    sk_drop_fault(job->fault);
    job->fault = NULL;
    if (!sk_has_fault(t) || !(job->retry.times || (sk_load_rlx(&job->word) & SK_JOB_HANDLE))) return;
    job->fault = t->fault;
    t->fault = NULL;
}

sk_task *sk_job_attempt_ended(sk_worker *w, sk_task *t, sk_end end, int result)
{
    sk_job *job = (sk_job *)t->arg;
    if (sk_unlikely(job->submitted_at) && job->started_at) sk_job_end_measured(job); /* it gave up */
    if (sk_unlikely(job->fault != NULL) || sk_has_fault(t)) take_fault(job, t);
    job->end = (uint8_t)end;
    sk_store_rlx(&job->result, result);
    /* It gave up; after a cancel there is no further attempt. */
    if (sk_unlikely(job->running) && (sk_state_marks(&t->state) & SK_CANCEL)) job->attempts = UINT32_MAX;
    return end_attempt(job, w, t);
}

/* Tasks that an owner of ours names are run by nobody who asks for the next one. */
static sk_task *run_later(sk_worker *w, sk_task *next)
{
    if (next) sk_ready(w, next);
    return NULL;
}

/* A helper between two attempts has ended. DONE: it has handed the job on; else it is still in our hand. */
static sk_task *backoff_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    if (end == SK_DONE) return NULL;
    sk_job *job = sk_container_of(owner, sk_job, backoff);
    skua_pool *pool = sk_load_rlx(&job->pool);
    bool dropped = result == -ESHUTDOWN || sk_pool_is_dropping(pool);
    job->end = (uint8_t)(dropped                ? SK_DROPPED
                         : result == -ECANCELED ? SK_CANCELLED
                         : result == -ETIMEDOUT ? SK_LATE_END
                                                : end);
    sk_store_rlx(&job->result, dropped ? -ESHUTDOWN : result);
    sk_drop_fault(job->fault);
    job->fault = NULL;
    if (!job->retry.keep_place) sk_pool_take_back(pool, w);
    return run_later(w, end_attempt(job, w, t));
}

static bool calls_faulted(sk_task_owner *owner, const skua_fault *fault)
{
    skua_pool *pool = sk_load_rlx(&sk_container_of(owner, sk_job, calls)->pool);
    /* On the submitter's stack it is the submitter who keeps it. */
    return pool && sk_pool_tell_fault(pool, fault, !sk_catch_first());
}

static int make_then(void *arg)
{
    sk_job *job = (sk_job *)arg;
    job->finishing = false;
    sk_job_tell(&job->then, job->arg, sk_load_rlx(&job->result));
    return 0;
}

static sk_task *calls_ended(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result)
{
    (void)end;
    (void)result;
    sk_job *job = sk_container_of(owner, sk_job, calls);
    if (sk_load_rlx(&job->pool)) return run_later(w, end_attempt(job, w, t));
    if (job->finishing) make_then(job); /* the runtime ends */
    sk_job_let_go(job, SK_JOB_LIVE);
    return NULL;
}

void sk_job_call_then(sk_job *job)
{
    job->finishing = true;
    if (have_called(job, sk_worker_self(), make_then)) return;
    make_then(job);
    sk_job_let_go(job, SK_JOB_LIVE);
}
