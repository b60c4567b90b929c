/*
 * counts.c: the counters of a pool, which are read without stopping anybody.
 *
 * What has left the queue and neither runs nor ended otherwise is done: so the
 * sum holds by itself, and the order of reading sees to it that no part is
 * negative, and done never ahead: what has left the queue, then slots, then
 * ends, then what came in.  The times of a measured pool are read before the last
 * of these: so what has ended has been timed, and what has been timed has come.
 *
 * Nor is done behind: less than somebody knew before he asked.  Two things would
 * make it so, since a slot counts as a task that runs.  A slot may be nobody's: in
 * the hand of a pump that finds nothing, or of a task that is counted as failed.
 * Then a step is under way (sk_pool_begin_step), or its worker says so (straight).
 * And tasks may start while we read, so that there are more slots than belong to
 * what had left the queue when we looked there.  So ends and slots are read once
 * more in front (`known`), at a moment at which no slot was nobody's: done was at
 * most left - ends - slots then, with a `left` that was read later.  If ends and
 * slots together are no more when they are read behind, what comes out is not
 * less.  Else the look is taken anew.
 */
#include "pool/pool.h"

#include <errno.h>
#include <sched.h>

#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "runtime/shutdown.h"
#include "runtime/worker.h"

#ifdef SK_MODEL /* so that each try lets others go on */
enum { TRIES = 1000, TRIES_LAX = 1000, SPINS = 0, YIELDS = 2000 };
#else
/* Looks: of a call that says when none was true, and of one that may be asked by many who wait for nothing. */
enum { TRIES = 1000, TRIES_LAX = 240, SPINS = 20, YIELDS = 200 };
#endif
#define NAP_NS UINT64_C(20000)

typedef struct ends {
    uint64_t n[SK_ENDS];
    uint64_t all; /* but done */
} ends;

static ends ends_of(const sk_atomic(uint64_t) * counters)
{
    ends e = {.all = 0};
    for (int end = 0; end < SK_ENDS; end++) {
        /* [PL-A20] acquire; pairs with [PL-R6] and [PL-R8]: who counts an end counts its submission. */
        e.n[end] = sk_load_acq((sk_atomic(uint64_t) *)&counters[end]);
        if (end != SK_DONE) e.all += e.n[end];
    }
    return e;
}

static void add_ends(skua_pool_counts *c, const ends *e)
{
    c->failed += e->n[SK_FAILED];
    c->cancelled += e->n[SK_CANCELLED];
    c->expired += e->n[SK_LATE_END];
    c->dropped += e->n[SK_DROPPED];
}

static void describe_state(const skua_pool *pool, skua_pool_counts *c)
{
    for (const skua_pool *p = pool; p; p = p->parent) {
        c->stopped |= sk_load_rlx((sk_atomic(uint32_t) *)&p->state) != SK_POOL_OPEN;
        c->paused |= (sk_load_rlx((sk_atomic(uint64_t) *)&p->limit) & SK_POOL_PAUSED) != 0;
    }
}

static void describe(skua_pool *pool, skua_pool_counts *c)
{
    describe_state(pool, c);
    uint64_t limit = sk_load_rlx(&pool->limit) & ~SK_POOL_PAUSED;
    c->limit = limit == SK_POOL_NO_LIMIT ? 0 : (uint32_t)limit;
    c->queue = pool->queueless ? 0 : pool->backlog.first.bound;
    c->refused = sk_load_rlx(&pool->refused);
    c->waiting = sk_load_rlx(&pool->standing);
}

/* Attempts that have ended before attempts that have begun. Returns how many tasks their submitters had run then. */
static uint64_t read_times(sk_times *times, skua_histogram *waiting, skua_histogram *running)
{
    if (running) sk_times_read_running(times, running);
    if (waiting) sk_times_read_waiting(times, waiting);
    /* [PT-A1] acquire; pairs with [PT-R3]: who counts it here counts it in `direct`. */
    return sk_load_acq(&times->here);
}

/* ---- slots that are nobody's ---- */

static bool says_so(const sk_worker *w, const skua_pool *pool)
{
    /* [PL-A45] acquire; pairs with [PL-R65] and [PL-R66]: whose slot we have seen, and who says nothing any more, is
       counted in `direct`, or has left a step behind. */
    return sk_load_acq((sk_atomic(void *) *)&w->straight) == (const void *)pool;
}

/* Whether a task takes a slot for another, which it has not counted yet. Behind the slots: the runtime has tasks. */
static bool any_straight(const skua_pool *pool)
{
    bool some = false;
    skua_runtime *rt = sk_owner_runtime(&pool->owner);
    if (!sk_runtime_enter(rt)) return false;
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n && !some; i++)
        some = says_so((const sk_worker *)sk_load_rlx(&rt->workers[i]), pool);
    sk_runtime_exit(rt);
    return some;
}

static uint64_t own_slots(uint64_t word)
{
    return word & (SK_SLOT_BELOW - 1);
}

/* What had ended or backed off, and the slots taken a moment later. False: some of them may have been nobody's. */
static bool look_ahead(skua_pool *pool, uint64_t *known)
{
    /* [PL-A44] acquire; pairs with [PL-R18]: what is over then is seen by all that follows. */
    uint64_t steps = sk_load_acq(&pool->steps);
    *known = ends_of(pool->ended).all + sk_load_acq(&pool->backed_off); /* [PL-A46] acquire; pairs with [PL-R11]. */
    /* [PL-A43] acquire; pairs with [PL-C2]: who took a slot in a step, or said so, is seen in it by the two looks that
       follow. */
    uint64_t slots = own_slots(sk_load_acq(&pool->running));
    *known += slots;
    if (slots && any_straight(pool)) return false;
    return !(steps & SK_STEPS_UNDER_WAY) && sk_load_rlx(&pool->steps) == steps;
}

/* False: what somebody does just now was seen in part, see above; or the attempt of a job was on its way back into the
   queue, and the job may be counted twice; or a task that its submitter has run was half in the times. waiting,
   running: NULL, or they get the times. */
static bool look(skua_pool *pool, skua_pool_counts *c, skua_histogram *waiting, skua_histogram *running)
{
    *c = (skua_pool_counts){0};
    describe(pool, c);
    uint64_t known;
    bool agree = look_ahead(pool, &known);
    uint64_t left = sk_backlog_popped(&pool->backlog) + sk_load_rlx(&pool->direct);
    /* [PL-F11] acquire; pairs with [PL-C2]: out of the queue before the slots, which were taken before that; so what
       runs is not done. */
    sk_fence_acq();
    /* [PL-A42] acquire; pairs with [PL-C3] and [PL-C7]: who sees a slot given back sees the end counted. */
    uint64_t word = sk_load_acq(&pool->running);
    /* [PL-A27] acquire, both; pairs with [PL-R14] and [PL-R11]: a return counts its back-off, which counts its way out
       of the queue. */
    uint64_t again = sk_load_acq(&pool->again), backed_off = sk_load_acq(&pool->backed_off);
    ends own = ends_of(pool->ended), below = ends_of(pool->below_ended);
    /* What has ended or backed off meanwhile had left the queue, and what leaves it later counts as queued. */
    left = sk_max(left, own.all + backed_off);
    uint64_t here = sk_likely(!running) ? 0 : read_times(pool->times, waiting, running);
    uint64_t came = sk_backlog_pushed(&pool->backlog) + sk_load_rlx(&pool->direct);
    uint64_t below_came = sk_load_rlx(&pool->below_submitted), below_open = below_came - below.all - below.n[SK_DONE];
    uint64_t own_open = left - own.all - backed_off; /* left the queue, and done if it does not run */
    uint64_t own_running = sk_min(own_slots(word), own_open);
    uint64_t below_running = sk_min(word >> 32, below_open);
    add_ends(c, &own);
    add_ends(c, &below);
    c->submitted = came - again + below_came;
    c->queued = came - left + backed_off - again + below_open - below_running;
    c->running = own_running + below_running;
    c->free = c->limit ? c->limit - sk_min(c->limit, c->running) : UINT64_MAX;
    c->done = below.n[SK_DONE] + own_open - own_running;
    c->retried = sk_load_rlx(&pool->retried);
    sk_fence_acq(); /* [PL-F10] acquire; pairs with [PL-R17]: who counted the push sees it under way. */
    /* [PL-A25] acquire; pairs with [PL-R17] and [PL-R18]. */
    return agree && own_slots(word) + own.all + backed_off <= known &&
           !(sk_load_acq(&pool->steps) & SK_STEPS_UNDER_WAY) && sk_load_rlx(&pool->again) == again &&
           sk_load_rlx(&pool->backed_off) == backed_off && (!running || sk_load_rlx(&pool->times->here) == here);
}

/* Between two looks: whoever is in the middle of something may have lost his processor there, perhaps to us. */
static void give_way(int tries)
{
    if (tries < SPINS) return;
    if (tries < YIELDS) {
        sched_yield();
        return;
    }
    sk_atomic(uint32_t) nobody;
    sk_store_rlx(&nobody, 0u);
    sk_futex_wait(&nobody, 0, sk_clock_ns() + NAP_NS);
}

int skua_pool_stats(skua_pool *pool, skua_pool_counts *out)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!pool || !out) return -EINVAL;
    skua_pool_counts c;
    int error = sk_pool_hold(pool); /* its queue, too */
    if (error) return error;
    for (int tries = 0; !look(pool, &c, NULL, NULL) && tries < TRIES_LAX; tries++) give_way(tries);
    sk_pool_let_go(pool);
    *out = c;
    return 0;
}

int skua_pool_times(skua_pool *pool, skua_histogram *waiting, skua_histogram *running)
{
    if (!waiting && !running) return sk_unlikely(sk_forked()) ? -ECHILD : -EINVAL;
    int error = sk_pool_hold(pool);
    if (error) return error;
    if (pool->times)
        (void)read_times(pool->times, waiting, running);
    else
        error = -ENOTSUP;
    sk_pool_let_go(pool);
    return error;
}

static int look_at_all(skua_pool *pool, skua_pool_counts *c, skua_histogram *waiting, skua_histogram *running)
{
    if (!pool->times) return -ENOTSUP;
    bool agree = false;
    for (int tries = 0; !(agree = look(pool, c, waiting, running)) && tries < TRIES; tries++) give_way(tries);
    return agree ? 0 : -EAGAIN;
}

int skua_pool_snapshot(skua_pool *pool, skua_pool_counts *counts, skua_histogram *waiting, skua_histogram *running)
{
    if (!counts || !waiting || !running) return sk_unlikely(sk_forked()) ? -ECHILD : -EINVAL;
    int error = sk_pool_hold(pool);
    if (error) return error;
    error = look_at_all(pool, counts, waiting, running);
    sk_pool_let_go(pool);
    return error;
}
