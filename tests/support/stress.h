/*
 * stress.h: what the stress tests of the runtime share: waiting for the end with a
 * dump of the scheduler when nothing moves, and the checks at rest.
 */
#ifndef SK_STRESS_H
#define SK_STRESS_H

#include "support/tasks.h"

#include "base/rng.h"
#include "runtime/sched.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

enum { STUCK_S = 40 };

/* ---- waiting for the end, and what is seen at rest ---- */

static sk_unused void dump(skua_runtime *rt, const skua_stats *s)
{
    fprintf(stderr,
            "stuck: created %lu queued %lu running %lu parked %lu done %lu failed %lu cancelled %lu expired %lu\n",
            s->created, s->queued, s->running, s->parked, s->done, s->failed, s->cancelled, s->expired);
    fprintf(stderr, "  searching %u idlers %u inbox %s monitor deep %u napping %u stopping %u threads %u\n",
            sk_load_rlx(&rt->searching), sk_load_rlx(&rt->idlers), sk_inject_is_empty(&rt->inbox) ? "empty" : "FULL",
            sk_load_rlx(&rt->monitor_deep), sk_load_rlx(&rt->monitor_napping), sk_load_rlx(&rt->stopping), s->threads);
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        fprintf(stderr,
                "  worker %u: carry %lx queue %lu runnext %p idle %d retire %d bell %u due %ld us late %ld us\n", i,
                (unsigned long)sk_load_rlx(&w->carry), (unsigned long)sk_taskq_size(&w->queue),
                (void *)sk_load_rlx(&w->runnext), (int)(sk_load_rlx(&rt->idle[i / 64]) >> (i & 63) & 1),
                sk_load_rlx(&w->retire), sk_load_rlx(&w->doorbell),
                (long)(sk_load_rlx(&w->timers.claim.due) - skua_now()) / 1000,
                (long)(sk_load_rlx(&w->timers.inbox.due) - skua_now()) / 1000);
    }
}

/* Waits, from a thread, until `moved` reaches n; aborts with a dump when it stands still. */
static sk_unused void await(skua_runtime *rt, sk_atomic(uint64_t) * moved, uint64_t n)
{
    uint64_t last = 0, since = skua_now();
    for (uint64_t now; (now = sk_load_acq(moved)) < n; usleep(500)) {
        if (now != last) since = skua_now();
        last = now;
        if (skua_now() - since < SKUA_S(STUCK_S)) continue;
        skua_stats s = sk_stats_of(rt);
        fprintf(stderr, "at %lu of %lu\n", (unsigned long)now, (unsigned long)n);
        dump(rt, &s);
        abort();
    }
}

/* Waits until all tasks have ended. */
static sk_unused skua_stats settle(skua_runtime *rt)
{
    uint64_t last = 0, since = skua_now();
    for (;; usleep(500)) {
        skua_stats s = sk_stats_of(rt);
        if (sk_ended(&s) == s.created) return s;
        if (sk_ended(&s) != last) since = skua_now();
        last = sk_ended(&s);
        if (skua_now() - since < SKUA_S(STUCK_S)) continue;
        dump(rt, &s);
        abort();
    }
}

/* The worker sleeps, or is nobody's. The acquires pair with [ID-R2] and [MA-R1]: its own fields are ours to read. */
static sk_unused bool is_resting(skua_runtime *rt, sk_worker *w)
{
    return (sk_load_acq(&rt->idle[w->index / 64]) >> (w->index & 63) & 1) ||
           (sk_load_acq(&w->carry) & SK_CARRY) == SK_VACANT;
}

/* All have ended and none runs: every queue is empty, and everything the runtime is made of is whole. */
static sk_unused void check_rest(skua_runtime *rt)
{
    skua_stats s = settle(rt);
    SK_EXPECT_EQ(s.queued + s.running + s.parked, 0);
    SK_EXPECT(sk_inject_is_empty(&rt->inbox));
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        SK_EVENTUALLY(is_resting(rt, w));
        SK_EXPECT_EQ(sk_taskq_size(&w->queue), 0);
        SK_EXPECT(!sk_load_rlx(&w->runnext));
        SK_EXPECT(sk_taskq_check(&w->queue));
    }
}

static sk_unused void release(skua_runtime *rt)
{
    check_rest(rt);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT(sk_slab_check(&sk_tasks));
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) SK_EXPECT(sk_stack_check(cls));
}

#endif
