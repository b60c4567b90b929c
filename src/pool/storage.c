/*
 * storage.c: tasks in memory of the caller's: their submissions, starts and ends,
 * and those who wait for them.
 *
 *   idle --claim--> busy, in the queue --taken out--> a task --its end--> told: idle
 *                                      \--ended without one------------->/
 *
 * Waiting.  What waits, and what wakes, stands in a table of the library's, in
 * the place that the address of the storage gives: whoever tells an end touches the
 * storage for the last time when it clears `busy`, and then only the table.  The
 * second look of a wait (waitq.h) may come when the storage is gone; so it looks
 * at a count of the table, not at the storage.  QUEUE.md, "Storage of the caller".
 */
#include "pool/storage.h"

#include <errno.h>

#include "os/clock.h"
#include "os/fork.h"

_Static_assert(sizeof(sk_stored) <= sizeof(skua_task_storage), "storage of the caller's has room for it");
_Static_assert(_Alignof(sk_stored) <= _Alignof(skua_task_storage), "and is aligned");

/* ---- those who wait ---- */

#ifndef SK_STORED_PLACES_SHIFT
#define SK_STORED_PLACES_SHIFT 8
#endif

enum { PLACES_SHIFT = SK_STORED_PLACES_SHIFT, PLACES = 1 << PLACES_SHIFT };

typedef struct place {
    SK_LINE_ALIGNED sk_waitq q;
    sk_atomic(uint64_t) told; /* ends that somebody waited for; only grows */
} place;

static place places[PLACES];

static uint32_t place_number(const sk_stored *s)
{
    return (uint32_t)(((uint64_t)(uintptr_t)s >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - PLACES_SHIFT));
}

/* What a wait looks at, in a pointer that points to nothing: the count as it was seen, and the number of the place. */
static void *as_seen(uint64_t told, uint32_t number)
{
    return (void *)(uintptr_t)(told << PLACES_SHIFT | number);
}

static bool is_told(void *seen)
{
    uint64_t word = (uint64_t)(uintptr_t)seen;
    /* [SG-A1] acquire; pairs with [SG-C1]. */
    return sk_load_acq(&places[word % PLACES].told) << PLACES_SHIFT != (word & ~(uint64_t)(PLACES - 1));
}

/* The end of the submission, or (`less` is one) its refusal: our last touch of the storage is in here. */
static void become_idle(sk_stored *s, uint64_t less)
{
    place *p = &places[place_number(s)];
    uint64_t word = sk_load_rlx(&s->word);
    /* [SG-R1] release; pairs with [SG-A2] and [SG-A3]: whoever finds it idle sees the result, and what the task wrote,
       and nobody else at it. Sequentially consistent, as [SG-C2]: whoever is to be woken is in the word. */
    while (!sk_cas_sc(&s->word, &word, (word - less) & ~(SK_STORED_BUSY | SK_STORED_WAITED))) {
    }
    if (sk_likely(!(word & SK_STORED_WAITED))) return;
    sk_add_sc(&p->told, UINT64_C(1)); /* [SG-C1] sequentially consistent; pairs with [SG-A1] and [SG-A4]. */
    sk_waitq_wake(&p->q);
}

void sk_stored_tell(sk_stored *s, int result)
{
    sk_store_rlx(&s->result, result);
    sk_store_rlx(&s->caller, (void *)NULL);
    become_idle(s, 0);
}

/* ---- a submission ---- */

int sk_stored_claim(sk_stored *s, skua_pool *pool)
{
    if (s->made != SK_STORED_MADE) return -EINVAL;
    uint64_t word = sk_load_rlx(&s->word);
    do {
        if (word & SK_STORED_BUSY) return -EBUSY;
        /* [SG-A2] acquire; pairs with [SG-R1]: nobody else is at it any more. */
    } while (!sk_cas_acq(&s->word, &word, (word + SK_STORED_SERIAL) | SK_STORED_BUSY));
    s->run = s->fn ? s->fn : pool->fn;
    s->started = false;
    s->swept = sk_pool_swept(pool);
    s->at = pool->times ? sk_clock_ns() : 0;
    if (s->run) return 0;
    sk_stored_disclaim(s);
    return -EINVAL;
}

void sk_stored_disclaim(sk_stored *s)
{
    /* A waiter that has seen this submission is woken, and finds it gone. */
    become_idle(s, SK_STORED_SERIAL);
}

/* ---- times, of a measured pool ---- */

static sk_noinline void count_start(skua_pool *pool, sk_stored *s)
{
    uint64_t now = sk_clock_ns();
    sk_pool_count_waiting(pool, sk_worker_self(), now - s->at);
    s->at = now;
}

static void count_run(skua_pool *pool, sk_stored *s)
{
    if (sk_unlikely(pool->times && s->started)) sk_pool_count_running(pool, sk_worker_self(), sk_clock_ns() - s->at);
}

/* ---- its task ---- */

static skua_pool *pool_of_task(const sk_task *t)
{
    return sk_container_of(sk_task_owner_of(t), skua_pool, owner);
}

int sk_stored_body(void *arg)
{
    sk_stored *s = (sk_stored *)arg;
    s->started = true;
    if (sk_unlikely(s->at != 0)) count_start(pool_of_task(sk_worker_self()->task), s);
    return s->run(s->arg);
}

/* Somebody has asked all tasks of the pool to end since it was submitted. */
static bool was_asked_to_end(skua_pool *pool, const sk_stored *s)
{
    return s->swept == SK_SWEEPING || sk_pool_swept(pool) != s->swept;
}

static void end_asked(skua_pool *pool, sk_worker *w, sk_stored *s)
{
    if (sk_pool_is_dropping(pool))
        sk_stored_end_unstarted(pool, w, s, SK_DROPPED, -ESHUTDOWN);
    else
        sk_stored_end_unstarted(pool, w, s, SK_CANCELLED, -ECANCELED);
}

sk_task *sk_stored_start(skua_pool *pool, sk_worker *w, sk_stored *s)
{
    if (sk_unlikely(was_asked_to_end(pool, s))) {
        end_asked(pool, w, s);
        return NULL;
    }
    sk_task *t = sk_task_new_counted(&pool->owner, sk_stored_body, s);
    if (sk_unlikely(!t)) {
        sk_stored_end_unstarted(pool, w, s, SK_FAILED, -ENOMEM);
        return NULL;
    }
    sk_fence_sc(); /* [SG-F1] full fence; pairs with [PL-F8]: a sweep finds the task, or we find that it has begun. */
    if (sk_unlikely(was_asked_to_end(pool, s)))
        (void)sk_state_hit(&t->state, sk_load_rlx(&t->state.serial), SK_CANCEL, SK_WHY_CANCEL, 0);
    return t;
}

void sk_stored_end_unstarted(skua_pool *pool, sk_worker *w, sk_stored *s, sk_end end, int result)
{
    sk_task shown; /* what a hook looks at */
    shown.fn = sk_stored_body;
    shown.arg = s;
    shown.fiber = SK_FIBER_NONE;
    sk_store_rlx(&shown.owner, &pool->owner);
    sk_birth_end(w, sk_owner_runtime(&pool->owner), end);
    sk_pool_count_end(pool, w, &shown, end, result);
    sk_stored_tell(s, result);
}

void sk_stored_ended(skua_pool *pool, sk_worker *w, sk_task *t, sk_end end, int result)
{
    sk_stored *s = (sk_stored *)t->arg;
    count_run(pool, s);
    sk_pool_count_end(pool, w, t, end, result);
    sk_stored_tell(s, result); /* who finds the pool at rest finds it idle */
}

/* ---- its submitter runs it ---- */

/* Who calls: its task, or its thread's record. */
static void *caller(void)
{
    sk_local *local = sk_local_self();
    if (!local) return NULL;
    sk_task *t = local->worker ? local->worker->task : local->blocked_task;
    return t ? (void *)t : (void *)local;
}

int sk_stored_call(void *arg)
{
    sk_stored_here *here = (sk_stored_here *)arg;
    sk_stored *s = here->stored;
    sk_store_rlx(&s->caller, caller());
    if (here->pool->times) here->began = sk_clock_ns();
    here->result = s->run(s->arg);
    if (here->pool->times) here->ended = sk_clock_ns();
    return here->result;
}

void sk_stored_count_here(const sk_stored_here *here, const sk_worker *w)
{
    uint64_t ended = here->ended ? here->ended : sk_clock_ns(); /* it has given up */
    sk_pool_count_waiting(here->pool, w, here->began - here->stored->at);
    sk_pool_count_running(here->pool, w, ended - here->began);
}

/* ---- the calls ---- */

static bool is_own_task(const sk_stored *s)
{
    sk_local *local = sk_local_self();
    sk_task *t = !local ? NULL : local->worker ? local->worker->task : local->blocked_task;
    if (t && t->fn == sk_stored_body && t->arg == s) return true;
    void *of = sk_load_rlx((sk_atomic(void *) *)&s->caller);
    return of && of == caller();
}

int skua_task_init(skua_task_storage *storage, skua_fn *fn, void *arg)
{
    sk_stored *s = (sk_stored *)(void *)storage;
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!s || (uintptr_t)s % sizeof(uint64_t)) return -EINVAL;
    sk_store_rlx(&s->word, UINT64_C(0));
    sk_store_rlx(&s->caller, (void *)NULL);
    sk_store_rlx(&s->result, 0);
    s->fn = fn;
    s->arg = arg;
    s->made = SK_STORED_MADE;
    return 0;
}

static int check(const sk_stored *s)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    return s && s->made == SK_STORED_MADE ? 0 : -EINVAL;
}

int skua_stored_is_idle(const skua_task_storage *storage)
{
    const sk_stored *s = (const sk_stored *)(const void *)storage;
    int error = check(s);
    if (error) return error;
    return !(sk_load_acq((sk_atomic(uint64_t) *)&s->word) & SK_STORED_BUSY); /* [SG-A3] acquire; pairs with [SG-R1]. */
}

/* Whether the submission with this serial has ended; else its end will be told in the place, since `told` was read. */
static bool has_ended(sk_stored *s, uint64_t serial)
{
    uint64_t word = sk_load_sc(&s->word); /* [SG-A5] sequentially consistent; pairs with [SG-R1], as an acquire. */
    while ((word & SK_STORED_BUSY) && word / SK_STORED_SERIAL == serial) {
        /* [SG-C2] sequentially consistent; pairs with [SG-R1]: it has ended, or its end finds that we wait. */
        if ((word & SK_STORED_WAITED) || sk_cas_sc(&s->word, &word, word | SK_STORED_WAITED)) return false;
    }
    return true;
}

static int wait_for_end(sk_stored *s, uint64_t serial, uint64_t timeout)
{
    uint64_t deadline = timeout == SKUA_FOREVER ? SK_NEVER : sk_deadline_after(sk_clock_ns(), timeout);
    uint32_t number = place_number(s);
    place *p = &places[number];
    for (;;) {
        /* [SG-A4] sequentially consistent; pairs with [SG-C1]: before the look at the storage, so that an end which
           that look does not see is counted later. */
        uint64_t told = sk_load_sc(&p->told);
        if (has_ended(s, serial)) return 0;
        if (timeout == 0) return -ETIMEDOUT;
        int error = sk_waitq_wait(&p->q, is_told, as_seen(told, number), deadline);
        if (!error) continue;
        sk_waitq_wake(&p->q); /* whoever gives up may have left a node under those of others: it goes with them */
        return has_ended(s, serial) ? 0 : error;
    }
}

int skua_stored_wait(skua_task_storage *storage, uint64_t timeout, int *result)
{
    sk_stored *s = (sk_stored *)(void *)storage;
    int error = check(s);
    if (error) return error;
    /* [SG-A6] acquire; pairs with [SG-R1]. */
    uint64_t word = sk_load_acq(&s->word);
    if (word / SK_STORED_SERIAL == 0) return -ESRCH;
    if (word & SK_STORED_BUSY) {
        if (is_own_task(s)) return -EDEADLK;
        error = wait_for_end(s, word / SK_STORED_SERIAL, timeout);
        if (error) return error;
    }
    if (result) *result = sk_load_rlx(&s->result);
    return 0;
}
