/* idle.c: see PARKING.md. The words "announce", "re-check", "token" are explained there. */
#include "runtime/idle.h"

#include <errno.h>

#include "os/futex.h"
#include "runtime/monitor.h"
#include "runtime/rcu.h"

static uint64_t bit_of(const sk_worker *w)
{
    return UINT64_C(1) << (w->index & 63);
}

static sk_atomic(uint64_t) * word_of(skua_runtime *rt, const sk_worker *w)
{
    return &rt->idle[w->index / 64];
}

static unsigned words_used(skua_runtime *rt)
{
    return (sk_workers_made(rt) + 63) / 64;
}

static bool anyone_idle(skua_runtime *rt)
{
    for (unsigned i = 0, n = words_used(rt); i < n; i++)
        if (sk_load_rlx(&rt->idle[i])) return true;
    return false;
}

bool sk_anyone_idle(skua_runtime *rt)
{
    return anyone_idle(rt);
}

/* Takes a worker's idle bit: true for exactly one caller, who must ring its bell. By number: before the bit is taken,
   we may not look into the worker, which may be newer than what we see of it. */
static bool claim(skua_runtime *rt, uint32_t index)
{
    sk_atomic(uint64_t) *word = &rt->idle[index / 64];
    uint64_t bit = UINT64_C(1) << (index & 63);
    if (!(sk_load_rlx(word) & bit)) return false;
    /* [ID-R1] sequentially consistent; pairs with [ID-R2], the announcement: between two announcements the bit is
       taken once. It also stands before the claimed worker's look [MO-A1], see PARKING.md, "The monitor". */
    return sk_and_sc(word, ~bit) & bit;
}

static void ring(sk_worker *w)
{
    /* [ID-R3] release; pairs with [ID-A3] in sk_idle: the sleeper sees what was done before it was rung. */
    sk_add_rel(&w->doorbell, 1u);
    sk_futex_wake(&w->doorbell, 1);
}

/* The worker that slept last, else any. It holds the searcher's token from now on. */
static sk_worker *claim_any(skua_runtime *rt)
{
    uint32_t last = sk_load_rlx(&rt->last_idler);
    if (claim(rt, last)) return sk_load_rlx(&rt->workers[last]);
    for (unsigned i = 0, n = words_used(rt); i < n; i++) {
        uint64_t word;
        while ((word = sk_load_rlx(&rt->idle[i])) != 0) {
            uint32_t index = i * 64 + (uint32_t)__builtin_ctzll(word);
            if (claim(rt, index)) return sk_load_rlx(&rt->workers[index]);
        }
    }
    return NULL;
}

static void wake_one(skua_runtime *rt);

/* Somebody has counted itself as a searcher for nothing, or has found work. The last one to give its token back looks
   for those who published while it was taken, and woke nobody. */
static void give_back(skua_runtime *rt)
{
    /* [ID-C3] sequentially consistent; pairs with [ID-C1] and with the look in sk_notify: who saw the token taken has
       published before it is given back. */
    if (sk_sub_sc(&rt->searching, 1u) != 1) return;
    /* [ID-F4] full fence between giving the token back and looking for work; pairs with [ID-F1]. */
    sk_fence_sc();
    if (anyone_idle(rt) && sk_anything_queued(rt)) wake_one(rt);
}

static sk_noinline void wake_one(skua_runtime *rt)
{
    do {
        uint32_t none = 0;
        /* [ID-C1] sequentially consistent; pairs with [ID-C2], [ID-C3] and [ID-C5], the ways to give the token back, on
           which whoever finds it taken relies. */
        if (!sk_cas_sc(&rt->searching, &none, 1u)) return;
        sk_worker *w = claim_any(rt);
        if (w) {
            sk_worker *self = sk_worker_self();
            if (self) sk_count_rlx(&self->count.wakeups, 1u);
            ring(w);
            sk_monitor_attend(rt); /* it may have been stopped in its sleep: see that it is watched from now on */
            return;
        }
        /* [ID-C2] sequentially consistent; pairs with [ID-C1]: gives the token back. Others may have seen it taken and
           gone away, and a worker may have announced itself after our look: so look again. */
        sk_sub_sc(&rt->searching, 1u);
        /* [ID-F2] full fence between giving the token back and looking for sleepers; pairs with [ID-F1] and [ID-F3]. */
        sk_fence_sc();
    } while (anyone_idle(rt) && sk_anything_queued(rt));
}

void sk_notify(skua_runtime *rt)
{
    /* [ID-F1] full fence; pairs with [ID-F3] in sk_idle. Publish, fence, look for sleepers; announce, fence, look for
       work: one of the two sees the other. Without it the work could lie there while everybody sleeps. */
    sk_fence_sc();
    if (sk_load_rlx(&rt->searching) == 0) {
        if (anyone_idle(rt)) wake_one(rt);
    } else {
        sk_monitor_attend(rt); /* who leaves work to the holder of a token sees that somebody watches the holder */
    }
}

void sk_ring(skua_runtime *rt, sk_worker *w)
{
    /* A woken worker takes itself for a searcher, so it must be counted as one. */
    sk_add_rlx(&rt->searching, 1u);
    if (claim(rt, w->index))
        ring(w);
    else
        give_back(rt);
    /* Whether it was awake, or is now, or somebody else has yet to ring it: see that it is watched. */
    sk_monitor_attend(rt);
}

bool sk_anything_queued(skua_runtime *rt)
{
    if (!sk_inject_is_empty(&rt->inbox)) return true;
    bool found = false;
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n && !found; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        /* A batch that is not announced yet is its worker's and the monitor's to announce, see sched.c. */
        found = w && sk_taskq_size(&w->queue) > 0 && !sk_load_rlx(&w->quiet_since);
    }
    return found;
}

bool sk_is_idle(skua_runtime *rt, const sk_worker *w)
{
    return sk_load_rlx(word_of(rt, w)) & bit_of(w);
}

bool sk_search_begin(sk_worker *w)
{
    skua_runtime *rt = w->runtime;
    if (w->searching) return true;
    uint32_t busy = 0;
    for (unsigned i = 0, n = words_used(rt); i < n; i++)
        busy += (uint32_t)__builtin_popcountll(sk_load_rlx(&rt->idle[i]));
    uint32_t workers = sk_workers_made(rt);
    busy = workers > busy ? workers - busy : 1;
    if (2 * sk_load_rlx(&rt->searching) >= busy + 1) return false;
    sk_add_rlx(&rt->searching, 1u);
    w->searching = true;
    return true;
}

void sk_search_found(sk_worker *w)
{
    if (!w->searching) return;
    w->searching = false;
    give_back(w->runtime);
}

/* The re-check: anything that somebody may have published for us while we were not announced. */
static bool stay_up(sk_worker *w, uint64_t deadline)
{
    skua_runtime *rt = w->runtime;
    /* runnext too: the monitor may have kept us from it for a moment. */
    return sk_anything_queued(rt) || sk_load_rlx(&w->runnext) || sk_load_rlx(&w->timers.inbox.due) < deadline ||
           sk_load_rlx(&w->timers.inbox.head) || sk_load_rlx(&w->retire) ||
           sk_load_rlx(&rt->stopping) >= SK_STOP_THREADS;
}

bool sk_idle(sk_worker *w, uint64_t deadline)
{
    skua_runtime *rt = w->runtime;
    bool searched = w->searching, slept = false;
    if (searched) {
        /* [ID-C5] sequentially consistent; pairs with [ID-C1]: gives the token back, before the announcement and its
           re-check. */
        sk_sub_sc(&rt->searching, 1u);
    }
    sk_store_rlx(&rt->last_idler, w->index);
    /* [ID-R2] sequentially consistent: the announcement; pairs with [ID-R1]. */
    sk_or_sc(word_of(rt, w), bit_of(w));
    /* [ID-F3] full fence; pairs with [ID-F1] in sk_notify: see there. */
    sk_fence_sc();
    if (!stay_up(w, deadline)) {
        slept = true;
        sk_count_rlx(&w->count.sleeps, 1u);
        for (;;) {
            /* [ID-A3] acquire; pairs with [ID-R3]. Read before the bit: who takes the bit after our look bumps the
               bell after our read, and the futex does not sleep. */
            uint32_t seen = sk_load_acq(&w->doorbell);
            if (!sk_is_idle(rt, w) || sk_futex_wait(&w->doorbell, seen, deadline) == -ETIMEDOUT) break;
        }
    }
    /* [ID-R4] sequentially consistent; pairs with [ID-R1], and with [MO-F1], since it stands before [MO-A1] even if the
       bit is gone. If it is, somebody woke us and made us a searcher. */
    w->searching = !(sk_and_sc(word_of(rt, w), ~bit_of(w)) & bit_of(w));
    bool rung = slept && w->searching;
    if (searched && !slept && !w->searching) { /* those who saw our token still count on us to pass the search on */
        sk_add_rlx(&rt->searching, 1u);
        w->searching = true;
    }
    sk_monitor_attend(rt);
    return rung;
}

bool sk_all_idle(skua_runtime *rt)
{
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        if (w && !sk_is_idle(rt, w) && (sk_load_rlx(&w->carry) & SK_CARRY) != SK_VACANT) return false;
    }
    return true;
}

/* Somebody may have been stopped between taking a worker's bit and ringing its bell: rings it once more. */
static void ring_claimed(skua_runtime *rt)
{
    for (uint32_t i = 0, n = sk_workers_made(rt); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        if (!sk_is_idle(rt, w)) ring(w);
    }
}

void sk_force_wake(skua_runtime *rt)
{
    sk_add_rlx(&rt->searching, 1u);
    sk_worker *w = claim_any(rt);
    if (w) {
        ring(w);
    } else {
        ring_claimed(rt);
        give_back(rt);
    }
}
