/*
 * waitgroup.c: the wait group behind skua/waitgroup.h.
 *
 * The count changes by compare-and-swap; from 0 and to 0 only by one who holds the
 * short lock, so that all others cost one instruction.  Waits go by turn.h.
 * Invariant, when the lock is free: nobody waits while the count is 0.
 *
 * Why no waiter is stranded: it looks at the count and joins the queue in one hold
 * of the lock, during which nobody takes the count to 0.  Whoever does so later
 * serves all who wait, in the same hold.  Giving up changes nothing for others.
 *
 * Its memory: a call that does not reach 0 touches nothing after its compare-and-swap,
 * and before it the count is not 0.  The one that reaches 0 touches nothing after it
 * has dropped the lock; and a wait looks only under the lock, so it returns later.
 */
#include "sync/waitgroup.h"

#ifndef SK_MODEL
_Static_assert(sizeof(sk_waitgroup) == sizeof(skua_waitgroup), "what the public header promises");
#endif

/* What count + delta is; -ERANGE, -EOVERFLOW. */
static int sum(uint64_t count, int64_t delta, uint64_t *out)
{
    *out = count + (uint64_t)delta;
    if (delta < 0) return *out > count ? -ERANGE : 0;
    return *out > (uint64_t)INT64_MAX ? -EOVERFLOW : 0;
}

/* Holder of the lock. */
static int change(sk_waitgroup *g, int64_t delta, uint64_t *to)
{
    uint64_t count = sk_load_rlx(&g->count);
    for (;;) {
        int error = sum(count, delta, to);
        if (error) return error;
        /* [WG-C2] acquire-release; pairs with [WG-C1]: who waits sees what all did who have counted down. */
        if (sk_cas_ar(&g->count, &count, *to)) return 0;
    }
}

static sk_noinline int add_under_lock(sk_waitgroup *g, int64_t delta)
{
    sk_served served = {NULL, NULL};
    uint64_t to;
    sk_lock_take(&g->lock);
    int error = change(g, delta, &to);
    if (!error && to == 0) (void)sk_serve_all(&g->waiters, SK_SERVED, &served);
    sk_lock_drop(&g->lock);
    sk_served_wake_next(&served);
    return error;
}

int sk_waitgroup_add(sk_waitgroup *g, int64_t delta)
{
    uint64_t count = sk_load_rlx(&g->count), to;
    while (count && !sum(count, delta, &to) && to) {
        /* [WG-C1] release; pairs with [WG-C2], through the compare-and-swaps in between: what we did before. */
        if (sk_cas_rel(&g->count, &count, to)) return 0;
    }
    return add_under_lock(g, delta);
}

int sk_waitgroup_wait(sk_waitgroup *g, uint64_t timeout, const char *what)
{
    sk_turn turn;
    int unable = timeout ? sk_turn_init(&turn, NULL) : -ETIMEDOUT;
    sk_lock_take(&g->lock);
    bool done = sk_load_rlx(&g->count) == 0;
    if (!done && !unable) sk_turn_join(&g->waiters, &turn);
    sk_lock_drop(&g->lock);
    if (done || unable) return done ? 0 : unable;
    return sk_turn_wait(&turn, &g->lock, &g->waiters, sk_deadline_of(timeout), what, g);
}

int skua_waitgroup_add(skua_waitgroup *group, int64_t delta)
{
    int error = sk_refused(group);
    return sk_unlikely(error) ? error : sk_waitgroup_add((sk_waitgroup *)(void *)group, delta);
}

int skua_waitgroup_done(skua_waitgroup *group)
{
    return skua_waitgroup_add(group, -1);
}

int skua_waitgroup_wait_for(skua_waitgroup *group, uint64_t timeout)
{
    int error = sk_refused(group);
    return error ? error : sk_waitgroup_wait((sk_waitgroup *)(void *)group, timeout, "wait group");
}

int skua_waitgroup_wait(skua_waitgroup *group)
{
    return skua_waitgroup_wait_for(group, SKUA_FOREVER);
}
