/*
 * parking.c: the parking map behind skua/parking.h.
 *
 * A fixed number of buckets, each a short lock and a queue, in which waiters of
 * different addresses may stand: `place` is a waiter's address.  Waits go by turn.h.
 *
 * Why no wake-up is lost.  A waiter compares the word and joins the queue in one hold
 * of its bucket's lock; who wakes has changed the word before it takes the same lock.
 * If the waker holds it first, its drop comes before our take, and we compare what it
 * has written: -EAGAIN.  If we do, it finds us in the queue.  So no fence is needed,
 * and who wakes must take the lock even if it peeks that nobody waits.
 *
 * Giving up changes nothing for others: a waiter that was claimed returns 0.
 */
#include "skua/parking.h"

#include <limits.h>

#include "sync/turn.h"

enum { BUCKETS_LOG2 = 8 };

typedef struct bucket {
    SK_LINE_ALIGNED sk_lock lock;
    sk_waiters waiters;
} bucket;

static bucket buckets[1 << BUCKETS_LOG2];

static bucket *bucket_of(const void *address)
{
    /* The golden ratio: neighbouring words go far apart. */
    return &buckets[((uint64_t)(uintptr_t)address >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - BUCKETS_LOG2)];
}

static int refused(const void *address)
{
    int error = sk_refused(address);
    return !error && (uintptr_t)address % sizeof(uint32_t) ? -EINVAL : error;
}

/* Under the lock. unable: why it cannot wait, or 0. */
static int join(bucket *b, const void *address, uint32_t expected, int unable, sk_turn *turn)
{
    if (sk_load_rlx((sk_atomic(uint32_t) *)(uintptr_t)address) != expected) return -EAGAIN;
    if (unable) return unable;
    sk_turn_join(&b->waiters, turn);
    return 0;
}

int skua_park_on(const void *address, uint32_t expected, uint64_t timeout)
{
    int error = refused(address);
    if (error) return error;
    void *place = (void *)(uintptr_t)address;
    sk_turn turn;
    int unable = timeout ? sk_turn_init(&turn, place) : -ETIMEDOUT;
    bucket *b = bucket_of(address);
    sk_lock_take(&b->lock);
    error = join(b, address, expected, unable, &turn);
    sk_lock_drop(&b->lock);
    if (error) return error;
    return sk_turn_wait(&turn, &b->lock, &b->waiters, sk_deadline_of(timeout), "parking", place);
}

int skua_unpark_on(const void *address, uint32_t n)
{
    int error = refused(address), woken = 0;
    if (error) return error;
    bucket *b = bucket_of(address);
    uint32_t limit = sk_min(n, (uint32_t)INT_MAX);
    sk_served served = {NULL, NULL};
    sk_lock_take(&b->lock);
    for (sk_waiter *waiter = sk_waiters_first(&b->waiters), *next; waiter && (uint32_t)woken < limit; waiter = next) {
        next = waiter->next;
        if (waiter->place != address) continue;
        sk_serve(&b->waiters, waiter, SK_SERVED, &served);
        woken++;
    }
    sk_lock_drop(&b->lock);
    sk_served_wake_next(&served);
    return woken;
}
