/*
 * job.h: jobs: submissions of which more is asked than one call: a future, a
 * callback, further attempts, a limit on the time of each run.
 *
 * A job is an object of its own beside the task, type-stable, which goes from
 * hand to hand: from its submitter into the task of its first attempt (fn ==
 * sk_job_body, arg == the job), from there, when it is to be tried again, into a
 * helper task that waits for the back-off and submits the next attempt, and so
 * on; a helper too makes the calls of a job that cannot make them itself.  Plain
 * fields belong to whoever has it in hand.  JOBS.md says who frees it, and when.
 *
 * The word, which says whether the job lives and who may look at it:
 *
 *    63      32 31      8    6          5        4       3       2       1       0
 *   +----------+---------+--------+-----------+------+--------+------+--------+------+
 *   |  serial  | holders |  then  | then taken| ...  | asked  | done | handle | live |
 *   +----------+---------+--------+-----------+------+--------+------+--------+------+
 *
 *   live     the pool's side has it in hand
 *   handle   its future has not been released
 *   done     the result stands
 *   asked    a cancel has been asked for: no further attempt
 *   holders  waits and other calls under way that need the memory
 *
 * Whoever takes the last of live, handle and holders away frees it.
 */
#ifndef SK_POOL_JOB_H
#define SK_POOL_JOB_H

#include "pool/pool.h"
#include "skua/future.h"

#define SK_JOB_LIVE UINT64_C(1)
#define SK_JOB_HANDLE UINT64_C(2)
#define SK_JOB_DONE UINT64_C(4)
#define SK_JOB_ASKED UINT64_C(8)
#define SK_JOB_THEN_TAKEN UINT64_C(32)
#define SK_JOB_THEN UINT64_C(64)
#define SK_JOB_HOLDER UINT64_C(256)
#define SK_JOB_HOLDERS (UINT64_C(0xffffff) << 8)
#define SK_JOB_SERIAL_SHIFT 32
#define SK_JOB_KEPT (SK_JOB_LIVE | SK_JOB_HANDLE | SK_JOB_HOLDERS)

/* The first three lines are all that a job without a future touches, unless it is tried again. */
typedef struct sk_job {
    /* --- first line --- */
    SK_LINE_ALIGNED sk_atomic(uint64_t) word; /* anyone, see above */
    sk_atomic(uint64_t) at;                   /* anyone reads: the task that has it, as a join word names one */
    sk_atomic(sk_task *) first;               /* a task that waits; others stand in `others` */
    sk_atomic(skua_pool *) pool; /* atomic because a sweep looks at all tasks; NULL: it has left its pool */
    union {
        skua_fn *fn; /* I */
        void *link;  /* of the slab's free list */
    };
    void *arg;             /* I */
    uint64_t run_within;   /* I: ns; 0: none */
    sk_atomic(int) result; /* of the last attempt; atomic because a stale future may look */
    uint32_t attempts;     /* begun */
    /* --- second line --- */
    skua_ended ended;      /* I */
    uint64_t swept;        /* sk_pool_swept when the last attempt began */
    uint64_t finish_by;    /* I: for all attempts; 0: none */
    uint64_t submitted_at; /* ns, of the clock; 0: its pool is not measured */
    skua_fault *fault;     /* why the last attempt gave up, if a future or further attempts need it */
    uint8_t end;           /* an sk_end: as what it ends, once its last attempt has ended */
    uint8_t level;         /* I */
    bool running;          /* an attempt has begun, and its result is not certain */
    bool again;            /* another attempt is to come */
    bool called;           /* `ended` has been called, or is being called */
    bool finishing;        /* a helper makes the call of skua_future_then */
    bool has_due;          /* I: `due` is written */
    bool had_future;       /* I: so there may be nodes in `others` */
    /* --- third line --- */
    skua_retry retry;      /* I */
    sk_task_owner backoff; /* I: of the helpers between two attempts */
    /* --- the rest --- */
    sk_task_owner calls;  /* I: of the helpers that make calls, and of calls that the submitter makes */
    skua_ended then;      /* whoever has taken SK_JOB_THEN_TAKEN writes */
    uint64_t due;         /* I: what its pool orders them by, if has_due; else the earlier of their deadlines counts */
    uint64_t delay;       /* ns before the next attempt */
    uint64_t started_at;  /* of a measured pool only: the attempt that runs; 0: none */
    uint64_t waited, ran; /* ns: to its start, and in its last attempt, when its submitter runs it */
    sk_waitq others;      /* anyone */
} sk_job;

/* Fetches the lines that each job touches. A hint; any thread. */
static sk_always_inline void sk_job_prefetch(const void *job)
{
    for (size_t i = 0; i < 3; i++) __builtin_prefetch((const void *)((uintptr_t)job + i * SK_CACHE_LINE), 1);
}

/* ---- job.c ---- */

/* Whether these options ask for a job. */
static inline bool sk_job_is_asked_for(const skua_submit_options *o)
{
    return o->run_within || o->retry.times + 1 > 1 || o->ended.fn; /* the second: neither 0 nor SKUA_NO_RETRY */
}

/* A job in the caller's hand, LIVE; NULL: no memory. Any thread. */
sk_job *sk_job_new(skua_pool *pool, const skua_submit_options *o, skua_fn *fn, void *arg, bool with_future);

static inline skua_future sk_job_future(sk_job *job)
{
    skua_future future = {job, sk_load_rlx(&job->word) >> SK_JOB_SERIAL_SHIFT};
    return future;
}

/* Takes back a job that was made but never submitted, and its future. */
void sk_job_withdraw(sk_job *job);

/* Before the task of an attempt is published: this is where the job is found. */
void sk_job_bind(sk_job *job, sk_task *t, uint64_t finish_by);

/* What the pool of a job that is being submitted orders it by. */
static inline void sk_job_order(sk_job *job, uint64_t due)
{
    job->due = due;
    job->has_due = true;
}

/* The same for the first attempt: whoever has the future has it from us, after this. */
static inline void sk_job_bind_first(sk_job *job, sk_task *t, uint64_t finish_by)
{
    job->finish_by = finish_by;
    sk_store_rlx(&job->at, sk_join_word(sk_load_rlx(&t->state.serial), t, 0));
}

/* A task with sk_job_body has ended; as sk_pool_task_ended. */
sk_task *sk_job_attempt_ended(sk_worker *w, sk_task *t, sk_end end, int result);

/* Asks the back-offs of a pool's jobs to end. Any thread. */
void sk_job_end_backoffs(skua_pool *pool);

/* Whether a sweep must leave the tasks of this owner alone: they make a call that was promised. */
bool sk_job_makes_calls(const sk_task_owner *owner);

/* Asks a task to end, whatever it is doing now; one that is delayed and still in its maker's hand is left to him. */
bool sk_job_cancel_task(sk_task *t, uint64_t serial);

/* Has skua_future_then's function called; then the job leaves our hand. Any thread. */
void sk_job_call_then(sk_job *job);

/* ---- attempt.c ---- */

/* The body of a job's tasks. */
int sk_job_body(void *arg);

/* All attempts in place, for a pool whose submitters run tasks themselves; returns the result. What gives up ends
   alone. May park. To be followed by sk_job_complete. */
int sk_job_run_here(sk_job *job);

/* After an attempt that ended so: shall there be another? Sets `delay`. May park. */
bool sk_job_wants_another(sk_job *job, int error);

/* Makes the call that was asked for at the end of all attempts. Context: as sk_call_locked. */
void sk_job_call_ended(sk_job *job, int result);

/* Calls a function that was promised the result, with its locker. Context: as sk_call_locked. */
void sk_job_tell(const skua_ended *to, void *arg, int result);

/* Whether somebody has asked the job, or its pool all jobs, to end. */
bool sk_job_was_asked_to_end(const sk_job *job);

/* Whether all tasks of the pool were asked to end since `swept` was read, or no attempt is to follow in it anyway. */
bool sk_job_was_swept(skua_pool *pool, uint64_t swept);

/* A job that is being submitted to a measured pool. */
void sk_job_measure(sk_job *job);

/* An attempt that is measured has ended: its time. */
void sk_job_end_measured(sk_job *job);

/* After sk_job_run_here in a measured pool, in whose books the task is not yet: its times. */
void sk_job_count_here(sk_job *job, sk_worker *w);

/* ---- future.c ---- */

/* The job has ended, and holds its slot for the last moment: the result stands, waiters are woken, and it leaves our
 * hand. Any thread. */
void sk_job_complete(sk_job *job, sk_worker *w, int result);

/* Takes bits out of the word, or a holder; the last frees the job. */
void sk_job_let_go(sk_job *job, uint64_t what);

/* Gives the memory back. Nobody is left. */
void sk_job_free(sk_job *job, uint64_t word);

#endif
