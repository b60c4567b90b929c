/*
 * cancel.c: all tasks of a pool, or of many, are asked to end.
 *
 * No list holds them: a sweep looks at all tasks there are, and finds those of the
 * pool by their owners.  What is in nobody's hand just then, a job between two
 * attempts, finds out by the count of sweeps (JOBS.md, "Jobs and futures").
 *
 * Nothing holds what is looked at.  The task may end meanwhile, its memory and that
 * of its pool may be given to others, and these may just be being made: a sweep
 * reads atomics only, and what it concludes may be wrong.  It counts only when the
 * swap on the task's word succeeds in the life whose serial was read first.  Then
 * that life has not ended by then, so its pool has not been released; and what was
 * read of the pool was as it was made, before that task was.
 */
#include "pool/job.h"

#include "mem/slab.h"

void sk_pool_begin_sweep(skua_pool *pool)
{
    sk_add_sc(&pool->sweeps, UINT64_C(1)); /* [PL-C16] sequentially consistent; pairs with [PL-A28]. */
    sk_fence_sc();                         /* [PL-F8] full fence; pairs with [JB-F1]: that before the look. */
}

void sk_pool_end_sweep(skua_pool *pool)
{
    /* [PL-C17] sequentially consistent; pairs with [PL-A23]: who finds it over has been found, or comes later. */
    sk_add_sc(&pool->swept, UINT64_C(1));
}

typedef struct pool_sweep {
    sk_pool_match *matches;
    const void *ctx;
    bool begun; /* the second look: those that have begun, too */
    int64_t asked;
} pool_sweep;

static void ask_to_end(void *object, void *ctx)
{
    sk_task *t = (sk_task *)object;
    pool_sweep *s = (pool_sweep *)ctx;
    uint64_t serial = sk_load_rlx(&t->state.serial);
    /* [PL-A18] acquire; pairs with [TS-R1]: the owner of the life that the word shows. */
    uint64_t word = sk_load_acq(&t->state.word);
    unsigned phase = sk_phase_of(word);
    bool has_parked = phase == SK_PARKED || (phase == SK_ACTIVE && sk_generation_of(word) != serial);
    if (!sk_state_is_seen(word, serial) || (!s->begun && has_parked)) return;
    sk_task_owner *owner = sk_task_owner_of(t);
    skua_pool *pool = sk_pool_of_owner(owner);
    if (!pool || !s->matches(pool, s->ctx) || sk_job_makes_calls(owner)) return;
    if (phase == SK_DELAYED) { /* a job that backs off; when its maker is faster, it is because he has seen us */
        (void)sk_job_cancel_task(t, serial);
        s->asked += !s->begun; /* at the second look it has been counted, there or in its last attempt */
        return;
    }
    sk_hit hit = sk_state_hit(&t->state, serial, SK_CANCEL, SK_WHY_CANCEL, 0);
    if (hit == SK_HIT_WOKEN) sk_ready(sk_worker_self(), t);
    s->asked += hit == SK_HIT_WOKEN || hit == SK_HIT_MARKED;
}

/* What is queued first, and then what has begun, whose end would let the former start. Of what has begun only those
   that have ever parked can be told from what is queued. */
int64_t sk_pool_cancel_matching(sk_pool_match *matches, const void *ctx)
{
    pool_sweep s = {matches, ctx, false, 0};
    sk_slab_each(&sk_tasks, ask_to_end, &s);
    s.begun = true;
    sk_slab_each(&sk_tasks, ask_to_end, &s);
    return s.asked;
}

bool sk_pool_is_this_or_below(skua_pool *pool, const void *ctx)
{
    while (pool && pool != ctx) pool = sk_load_rlx(&pool->above);
    return pool != NULL;
}

int64_t skua_pool_cancel(skua_pool *pool)
{
    int error = sk_pool_check_exists(pool);
    if (error) return error;
    sk_pool_begin_sweep(pool);
    int64_t asked = sk_pool_cancel_matching(sk_pool_is_this_or_below, pool);
    sk_pool_end_sweep(pool);
    return asked;
}
