/*
 * future.c: the shared side of a job: who looks at it, who waits for it, and who
 * frees it.  The word is in job.h; JOBS.md says why nobody is stranded.
 *
 * One task that waits stands in `first`, and costs neither memory nor a holder;
 * all others, and threads, stand in the waitq `others`.
 */
#include <errno.h>

#include "os/clock.h"
#include "os/fork.h"
#include "pool/job.h"
#include "runtime/giveup.h"
#include "sync/locker.h"

/* ---- the word ---- */

static uint64_t look(const sk_job *job)
{
    /* [JB-A1] sequentially consistent. As an acquire it pairs with [JB-R1] and [JB-C1]: who sees DONE may read the
       result. As a waiter's look after it has announced itself it pairs with [JB-C1] followed by [JB-A7]. */
    return sk_load_sc((sk_atomic(uint64_t) *)&job->word);
}

/* The future's: it has not been released. */
static bool is_of(uint64_t word, skua_future f)
{
    return (word & SK_JOB_HANDLE) && word >> SK_JOB_SERIAL_SHIFT == f.serial;
}

/* The job of a future that is not released; *word as it was. */
static sk_job *find(skua_future f, uint64_t *word, int *error)
{
    *error = sk_unlikely(sk_forked()) ? -ECHILD : -ESRCH;
    sk_job *job = (sk_job *)f.ref;
    if (!job || *error != -ESRCH) return NULL;
    *word = look(job);
    return is_of(*word, f) ? job : NULL;
}

/* One step from `*word`, as long as the future is not released; false with *word as it is now. */
static bool step(sk_job *job, uint64_t *word, uint64_t next)
{
    /* [JB-C3] sequentially consistent; pairs with [JB-C1]: a holder is seen by the end, or sees it; and with [JB-R2]: a
       cancel is found by who binds the job to a new task, or finds that task. */
    return sk_cas_sc(&job->word, word, next);
}

/* Becomes a holder, and sets `mark`, unless the word carries one of `unless`. False: it does (*word), or it is released
   or has too many holders (*error). */
static bool hold(sk_job *job, skua_future f, uint64_t *word, uint64_t mark, uint64_t unless, int *error)
{
    do {
        *error = !is_of(*word, f) ? -ESRCH : (*word & SK_JOB_HOLDERS) == SK_JOB_HOLDERS ? -EAGAIN : 0;
        if (*error || (*word & unless)) return false;
    } while (!step(job, word, (*word | mark) + SK_JOB_HOLDER));
    return true;
}

void sk_job_let_go(sk_job *job, uint64_t what)
{
    /* [JB-C2] acquire-release; pairs with itself: who frees the job has seen all that the others did with it. */
    uint64_t word = sk_sub_ar(&job->word, what) - what;
    if (!(word & SK_JOB_KEPT)) sk_job_free(job, word);
}

/* ---- the end ---- */

/* After the end or the release, whose word this was. The job may serve another by now: what is touched is type-stable,
   and whoever is woken for nothing looks again. */
static void wake_all(sk_job *job, sk_worker *w, uint64_t word)
{
    /* [JB-A7] sequentially consistent; pairs with [JB-C5]: after DONE, so that a task that comes too late for this sees
       DONE; and as an acquire, for the generation that the task has noted. The task takes itself out. */
    sk_task *first = sk_load_sc(&job->first);
    if (first) sk_wake_joiner(w, sk_join_word(0, first, SK_JOIN_TASK));
    if (word & SK_JOB_HOLDERS) sk_waitq_wake(&job->others);
}

void sk_job_complete(sk_job *job, sk_worker *w, int result)
{
    uint64_t word = sk_load_rlx(&job->word);
    if (!(word & (SK_JOB_HANDLE | SK_JOB_HOLDERS | SK_JOB_THEN))) { /* and nobody can come any more */
        sk_job_let_go(job, SK_JOB_LIVE);
        return;
    }
    sk_store_rlx(&job->result, result);
    sk_store_rlx(&job->pool, (skua_pool *)NULL);
    uint64_t next;
    do next = (word | SK_JOB_DONE) & ~(word & SK_JOB_THEN ? 0 : SK_JOB_LIVE);
    /* [JB-C1] sequentially consistent. As a release it pairs with [JB-A1]: the result. In the single order it comes
       before [JB-A7], and before or after each [JB-C3]: nobody waits whom we do not see here, but those who see DONE.
     */
    while (!sk_cas_sc(&job->word, &word, next));
    if (!(next & SK_JOB_KEPT)) {
        sk_job_free(job, next);
        return;
    }
    wake_all(job, w, word); /* unless LIVE is left it may be freed meanwhile */
    if (word & SK_JOB_THEN) sk_job_call_then(job);
}

/* ---- waiting ---- */

/* By one who holds it: nothing to wait for any more. */
static bool is_over(void *ctx)
{
    return (look((sk_job *)ctx) & (SK_JOB_DONE | SK_JOB_HANDLE)) != SK_JOB_HANDLE;
}

static bool publish(const sk_wait *wait, sk_task *t, uint64_t generation)
{
    sk_task *nobody = NULL;
    sk_store_rlx(&t->join_generation, generation);
    /* [JB-C5] sequentially consistent; pairs with [JB-A7]: as a release, for the generation; and either we are found
       there, or our second look finds DONE. */
    return sk_cas_sc(&((sk_job *)wait->object)->first, &nobody, t);
}

/* The job may serve another by now: then this life of it is over. */
static bool happened(const sk_wait *wait, const sk_task *t)
{
    (void)t;
    uint64_t word = look((sk_job *)wait->object);
    return (word & SK_JOB_DONE) || !is_of(word, (skua_future){NULL, wait->word});
}

/* Parks as the first one, without a hold on the job. 0: look again. */
static int wait_as_first(sk_job *job, skua_future f, sk_worker *w, uint64_t deadline)
{
    sk_wait wait = {publish, happened, job, f.serial, "future", NULL};
    sk_task *self = w->task;
    int why = sk_park(w, &wait, deadline);
    /* [JB-R3] release; pairs with [JB-C5] of the next: who stands here is the only one who takes himself out. */
    if (sk_load_rlx(&job->first) == self) sk_store_rel(&job->first, (sk_task *)NULL);
    return why == SK_WHY_WAKE ? 0 : sk_why_error(why);
}

/* What a future that is done by this word gives; it may be released and reused while we look. */
static int give(const sk_job *job, uint64_t word, int *result)
{
    int value = sk_load_rlx((sk_atomic(int) *)&job->result);
    sk_fence_acq(); /* [JB-F2] acquire; pairs with [JB-R1] and [JB-C2]: a value of a later life shows a later word. */
    uint64_t now = sk_load_rlx((sk_atomic(uint64_t) *)&job->word);
    if (!(now & SK_JOB_HANDLE) || (now ^ word) >> SK_JOB_SERIAL_SHIFT) return -ESRCH;
    if (result) *result = value;
    return 0;
}

/* Whether the calling thread makes a call of the job that its submitter runs. */
static bool is_call_here(const sk_job *job)
{
    for (const sk_catch *c = sk_catch_first(); c; c = sk_catch_around(c))
        if (c->owner == &job->calls) return true;
    return false;
}

/* Whether the calling task, or call, is the one that would have to end: the task of an attempt, a helper that makes
   calls, or what the job's submitter runs. */
static bool is_caller(const sk_job *job)
{
    sk_local *local = sk_local_self();
    sk_task *self = !local ? NULL : local->worker ? local->worker->task : local->blocked_task;
    if (!self) return is_call_here(job);
    uint64_t at = sk_load_rlx((sk_atomic(uint64_t) *)&job->at);
    if (at == sk_join_word(sk_load_rlx(&self->state.serial), self, 0)) return true;
    if (sk_task_owner_of(self) == &job->calls) return true;
    return sk_unlikely(self->fiber != SK_FIBER_NONE) && is_call_here(job);
}

/* As one of several, or a thread. */
static int wait_as_other(sk_job *job, skua_future f, uint64_t word, uint64_t deadline, int *result)
{
    int error;
    if (!hold(job, f, &word, 0, SK_JOB_DONE, &error)) return error ? error : give(job, word, result);
    error = sk_waitq_wait(&job->others, is_over, job, deadline);
    if (!error) error = give(job, word, result);
    sk_job_let_go(job, SK_JOB_HOLDER);
    return error;
}

static int wait_pending(sk_job *job, skua_future f, uint64_t word, uint64_t deadline, int *result)
{
    for (int error = 0;;) {
        if (!is_of(word, f)) return -ESRCH;
        if (word & SK_JOB_DONE) return give(job, word, result);
        if (error) return error;
        sk_worker *w = sk_worker_self();
        if (!w || !w->task || sk_load_rlx(&job->first)) return wait_as_other(job, f, word, deadline, result);
        error = wait_as_first(job, f, w, deadline);
        word = look(job);
    }
}

int skua_future_wait(skua_future future, uint64_t timeout, int *result)
{
    int error;
    uint64_t word;
    sk_job *job = find(future, &word, &error);
    if (!job) return error;
    if (word & SK_JOB_DONE) return give(job, word, result);
    if (is_caller(job)) return -EDEADLK;
    if (timeout == 0) return -ETIMEDOUT;
    uint64_t deadline = timeout == SKUA_FOREVER ? SK_NEVER : sk_deadline_after(sk_clock_ns(), timeout);
    return wait_pending(job, future, word, deadline, result);
}

int skua_future_try(skua_future future, int *result)
{
    int error;
    uint64_t word;
    sk_job *job = find(future, &word, &error);
    if (!job) return error;
    return word & SK_JOB_DONE ? give(job, word, result) : -EAGAIN;
}

/* ---- the rest ---- */

/* A holder, and the only one who may set the function. False: it is done, so the caller makes the call. */
static bool set_then(sk_job *job, const skua_ended *then)
{
    job->then = *then;
    uint64_t word = sk_load_rlx(&job->word);
    while (!(word & SK_JOB_DONE)) /* [JB-C7] acquire-release; pairs with [JB-C1]: the function, or the result. */
        if (sk_cas_ar(&job->word, &word, word | SK_JOB_THEN)) return true;
    return false;
}

/* A holder: makes the call of a future that is done, or leaves it to the end. */
static void call_or_set(sk_job *job, const skua_ended *then, bool is_first)
{
    bool set = is_first && set_then(job, then);
    void *arg = job->arg;
    int result = sk_load_rlx(&job->result);
    sk_job_let_go(job, SK_JOB_HOLDER);
    if (!set) sk_job_tell(then, arg, result);
}

int skua_future_then(skua_future future, skua_result_fn *fn, void *ctx, const skua_locker *locker)
{
    int error;
    uint64_t word;
    const skua_ended then = {fn, ctx, locker};
    sk_job *job = find(future, &word, &error);
    if (!job) return error;
    if (!fn || !sk_locker_is_whole(locker)) return -EINVAL;
    bool first = hold(job, future, &word, SK_JOB_THEN_TAKEN, SK_JOB_DONE | SK_JOB_THEN_TAKEN, &error);
    if (error) return error;
    if (!first && !(word & SK_JOB_DONE)) return -EALREADY;
    if (!first && !hold(job, future, &word, 0, 0, &error)) return error;
    call_or_set(job, &then, first);
    return 0;
}

/* The task that has the job now. */
static void cancel_holder(sk_job *job)
{
    uint64_t at = sk_load_sc(&job->at); /* [JB-A2] sequentially consistent; pairs with [JB-R2]. */
    sk_task *t = (sk_task *)sk_join_who(at);
    if (!t) return;
    /* [JB-A6] acquire; pairs with [TS-R1]: the serial of the life that is named, or of a later one. */
    (void)sk_load_acq(&t->state.word);
    uint64_t serial = sk_load_rlx(&t->state.serial);
    if (serial << SK_JOIN_TAG_SHIFT == at >> SK_JOIN_TAG_SHIFT << SK_JOIN_TAG_SHIFT)
        (void)sk_job_cancel_task(t, serial);
}

int skua_future_cancel(skua_future future)
{
    int error;
    uint64_t word;
    sk_job *job = find(future, &word, &error);
    if (!job) return error;
    if (!hold(job, future, &word, SK_JOB_ASKED, SK_JOB_DONE | SK_JOB_ASKED, &error)) return error ? error : -EALREADY;
    cancel_holder(job);
    sk_job_let_go(job, SK_JOB_HOLDER);
    return 0;
}

int skua_future_fault(skua_future future, skua_fault *out)
{
    int error;
    uint64_t word;
    sk_job *job = find(future, &word, &error);
    if (!job) return error;
    if (!out) return -EINVAL;
    if (!(word & SK_JOB_DONE)) return -EAGAIN;
    if (!hold(job, future, &word, 0, 0, &error)) return error;
    if (job->fault)
        *out = *job->fault;
    else
        error = -ENODATA;
    sk_job_let_go(job, SK_JOB_HOLDER);
    return error;
}

int skua_future_release(skua_future future)
{
    int error;
    uint64_t word;
    sk_job *job = find(future, &word, &error);
    if (!job) return error;
    uint64_t next;
    do {
        if (!is_of(word, future)) return -ESRCH;
        next = word & ~SK_JOB_HANDLE;
        if (word & SK_JOB_HOLDERS) next += SK_JOB_HOLDER; /* us: we have to wake them */
    } while (!step(job, &word, next));
    if (!(next & SK_JOB_KEPT)) {
        sk_job_free(job, next); /* a task that waits has been woken by the end */
        return 0;
    }
    wake_all(job, sk_worker_self(), next);
    if (next & SK_JOB_HOLDERS) sk_job_let_go(job, SK_JOB_HOLDER);
    return 0;
}
