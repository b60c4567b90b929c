/* adjuster.c: samples, decisions, and their execution. The policies are pure and stand in src/adjust. */
#include "runtime/adjuster.h"

#include "runtime/idle.h"
#include "runtime/machine.h"

static void look_at_worker(sk_adjust_sample *s, skua_runtime *rt, sk_worker *w)
{
    unsigned carry = (unsigned)(sk_load_rlx(&w->carry) & SK_CARRY);
    if (carry == SK_VACANT || sk_load_rlx(&w->retire)) return;
    s->workers++;
    s->backlog += sk_taskq_size(&w->queue) + (sk_load_rlx(&w->runnext) != NULL);
    if (carry == SK_LENT)
        s->blocked++;
    else if (!sk_is_idle(rt, w))
        s->running++;
    if (sk_load_rlx(&w->count.dispatches) == w->run_before) s->fresh++;
}

/* How much of a backlog the inbox is: nobody counts what is in it. When no worker is idle, and not one has come round
   since the last sample, nobody will take it soon, and it is work for as many again. */
static uint64_t look_at_inbox(skua_runtime *rt, sk_adjust_sample *s)
{
    uint64_t dispatched = 0;
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++)
        dispatched += sk_load_rlx(&((sk_worker *)sk_load_rlx(&rt->workers[i]))->count.dispatches);
    bool stands = dispatched == rt->dispatched;
    rt->dispatched = dispatched;
    if (sk_inject_is_empty(&rt->inbox)) return 0;
    s->stands = stands && s->running + s->blocked >= s->workers;
    return s->stands ? s->workers : 1;
}

static sk_adjust_sample take_sample(skua_runtime *rt, uint64_t now)
{
    sk_adjust_sample s = {.cores = rt->processors, .least = rt->workers_min, .most = rt->workers_max, .now_ns = now};
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++)
        look_at_worker(&s, rt, sk_load_rlx(&rt->workers[i]));
    s.backlog += look_at_inbox(rt, &s);
    bool idle = s.running + s.blocked < s.workers && s.backlog == 0;
    if (!idle) rt->idle_since = 0;
    if (idle && !rt->idle_since) rt->idle_since = now;
    s.idle_for_ns = rt->idle_since ? sk_max(now - rt->idle_since, UINT64_C(1)) : 0;
    return s;
}

/* Some steps towards the target; what fails now is tried again at the next decision. */
static void carry_out(skua_runtime *rt, uint32_t target)
{
    uint32_t active = sk_active_workers(rt);
    while (active < target && sk_grow(rt) == 0) active++;
    while (active > target && sk_shrink(rt)) active--;
}

/* What the policy falls to while all is idle: with that many the monitor may sleep. */
static uint32_t least_at_rest(const skua_runtime *rt)
{
    if (rt->policy.idle_ns == SKUA_FOREVER) return rt->workers_max;
    if (rt->adjust != SKUA_ADJUST_BLOCKING) return rt->workers_min;
    return sk_max(rt->workers_min, sk_min(rt->processors, rt->workers_max));
}

bool sk_adjust_run(skua_runtime *rt, uint64_t now)
{
    uint32_t wanted = sk_load_rlx(&rt->wanted);
    if (rt->adjust == SKUA_ADJUST_FIXED) {
        if (wanted != sk_active_workers(rt)) carry_out(rt, wanted);
        return wanted != sk_active_workers(rt);
    }
    if (now >= rt->next_decision) {
        rt->next_decision = now + rt->adjust_interval;
        sk_adjust_sample sample = take_sample(rt, now);
        carry_out(rt, sk_adjust_decide(&rt->policy, &rt->adjust_state, &sample));
    }
    return sk_active_workers(rt) > least_at_rest(rt);
}

int sk_adjust_start(skua_runtime *rt, uint32_t n)
{
    int error = 0;
    for (uint32_t i = 0; i < n && !error; i++) error = sk_grow(rt);
    return sk_active_workers(rt) ? 0 : error;
}
