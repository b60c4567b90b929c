/* locker.c: lockers over the mutex and over ConcurrencyKit's spinlocks; see README.md. */
#include "sync/locker.h"

#include <ck_spinlock.h>
#include <errno.h>

#include "os/fork.h"
#include "runtime/giveup.h"
#include "runtime/local.h"
#include "sync/mutex.h"

/* ConcurrencyKit's assembly is nothing that ThreadSanitizer sees. */
#ifdef SK_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define LOCKED(lock) __tsan_acquire(lock)
#define UNLOCKING(lock) __tsan_release(lock)
#else
#define LOCKED(lock) ((void)(lock))
#define UNLOCKING(lock) ((void)(lock))
#endif

static int make(skua_locker *out, void (*lock)(void *), void (*unlock)(void *), void *ctx)
{
    *out = (skua_locker){lock, unlock, ctx};
    return 0;
}

static int refused(const skua_locker *out, const void *storage)
{
    if (!out || !storage) return -EINVAL;
    return sk_forked() ? -ECHILD : 0;
}

/* ---- the parking mutex ---- */

/* In a forked child the one thread that is left is alone, and the mutex as the fork found it. */
static void lock_mutex(void *ctx)
{
    if (!sk_forked()) sk_mutex_force((sk_mutex *)ctx);
}

static void unlock_mutex(void *ctx)
{
    if (!sk_forked()) sk_mutex_unlock((sk_mutex *)ctx);
}

int skua_locker_mutex(skua_locker *out, skua_mutex *mutex)
{
    int error = refused(out, mutex);
    return error ? error : make(out, lock_mutex, unlock_mutex, mutex);
}

/* ---- fetch and store ---- */

_Static_assert(sizeof(ck_spinlock_fas_t) <= sizeof(skua_spinlock), "room in the public storage");

static void lock_fas(void *ctx)
{
    ck_spinlock_fas_lock((ck_spinlock_fas_t *)ctx);
    LOCKED(ctx);
}

static void unlock_fas(void *ctx)
{
    UNLOCKING(ctx);
    ck_spinlock_fas_unlock((ck_spinlock_fas_t *)ctx);
}

int skua_locker_fas(skua_locker *out, skua_spinlock *storage)
{
    int error = refused(out, storage);
    if (error) return error;
    ck_spinlock_fas_init((ck_spinlock_fas_t *)(void *)storage);
    return make(out, lock_fas, unlock_fas, storage);
}

/* ---- ticket ---- */

_Static_assert(sizeof(ck_spinlock_ticket_t) <= sizeof(skua_spinlock), "room in the public storage");

static void lock_ticket(void *ctx)
{
    ck_spinlock_ticket_lock((ck_spinlock_ticket_t *)ctx);
    LOCKED(ctx);
}

static void unlock_ticket(void *ctx)
{
    UNLOCKING(ctx);
    ck_spinlock_ticket_unlock((ck_spinlock_ticket_t *)ctx);
}

int skua_locker_ticket(skua_locker *out, skua_spinlock *storage)
{
    int error = refused(out, storage);
    if (error) return error;
    ck_spinlock_ticket_init((ck_spinlock_ticket_t *)(void *)storage);
    return make(out, lock_ticket, unlock_ticket, storage);
}

/* ---- MCS ---- */

typedef struct mcs_place {
    ck_spinlock_mcs_context_t node; /* taker */
    sk_atomic(uint32_t) taken;
    char unused[SK_CACHE_LINE - sizeof(ck_spinlock_mcs_context_t) - sizeof(uint32_t)]; /* a line each */
} mcs_place;

typedef struct mcs {
    mcs_place place[SKUA_MCS_PLACES];
    ck_spinlock_mcs_t queue;
    mcs_place *holder; /* holder: its own */
} mcs;

_Static_assert(sizeof(mcs) <= sizeof(skua_mcs), "room in the public storage");

/* A number that each thread finds again as a rule, so that it comes back to the place that is in its cache. */
static unsigned whose(void)
{
    uintptr_t local = (uintptr_t)sk_local_self();
    return (unsigned)(local >> 6 ^ local >> 12);
}

static mcs_place *take_place(mcs *lock)
{
    for (unsigned i = whose();; i++) {
        mcs_place *p = &lock->place[i % SKUA_MCS_PLACES];
        /* [LK-A1] acquire; pairs with [LK-R1]: who had the node before is done with it. */
        if (!sk_load_rlx(&p->taken) && !sk_xchg_acq(&p->taken, 1u)) return p;
        sk_cpu_relax();
    }
}

static void lock_mcs(void *ctx)
{
    mcs *lock = (mcs *)ctx;
    mcs_place *mine = take_place(lock);
    ck_spinlock_mcs_lock(&lock->queue, &mine->node);
    LOCKED(lock);
    lock->holder = mine;
}

static void unlock_mcs(void *ctx)
{
    mcs *lock = (mcs *)ctx;
    mcs_place *mine = lock->holder;
    UNLOCKING(lock);
    ck_spinlock_mcs_unlock(&lock->queue, &mine->node);
    /* [LK-R1] release; pairs with [LK-A1]. */
    sk_store_rel(&mine->taken, 0u);
}

int skua_locker_mcs(skua_locker *out, skua_mcs *storage)
{
    int error = refused(out, storage);
    if (error) return error;
    mcs *lock = (mcs *)(void *)storage;
    ck_spinlock_mcs_init(&lock->queue);
    lock->holder = NULL;
    for (int i = 0; i < SKUA_MCS_PLACES; i++) sk_store_rlx(&lock->place[i].taken, 0u);
    return make(out, lock_mcs, unlock_mcs, lock);
}

/* ---- any locker ---- */

static int wrong(const skua_locker *locker)
{
    if (!locker || !locker->lock || !locker->unlock) return -EINVAL;
    return sk_forked() ? -ECHILD : 0;
}

int skua_locker_lock(const skua_locker *locker)
{
    int error = wrong(locker);
    if (!error) locker->lock(locker->ctx);
    return error;
}

int skua_locker_unlock(const skua_locker *locker)
{
    int error = wrong(locker);
    if (!error) locker->unlock(locker->ctx);
    return error;
}

/* ---- calls under a locker ---- */

static int unlock(void *locker)
{
    const skua_locker *l = (const skua_locker *)locker;
    l->unlock(l->ctx);
    return 0;
}

/* On a foreign thread, which has no deferred calls, in a call that is caught below: a fault goes on there. */
static void call_caught(const skua_locker *locker, sk_catch *below, skua_fn *fn, void *arg)
{
    sk_catch c;
    (void)sk_call_caught(&c, below->owner, fn, arg);
    locker->unlock(locker->ctx);
    if (sk_likely(!c.fault)) return;
    below->fault = c.fault; /* it has been told, and is not told again */
    skua_panic_task_at(c.fault->file, c.fault->line, "%s", c.fault->message);
}

void sk_call_locked(const skua_locker *locker, skua_fn *fn, void *arg)
{
    skua_deferred d;
    locker->lock(locker->ctx);
    if (sk_likely(skua_defer(&d, unlock, (void *)(uintptr_t)locker) == 0)) {
        (void)fn(arg);
        (void)skua_defer_run(&d);
        return;
    }
    sk_catch *below = sk_catch_first();
    if (below) {
        call_caught(locker, below, fn, arg);
        return;
    }
    (void)fn(arg); /* who gives up here ends the process */
    locker->unlock(locker->ctx);
}
