/* adjust.c: the policies. All grow at once and shrink late: a worker too many costs little, one too few stalls. */
#include "adjust/adjust.h"

#include "base/base.h"

#include <errno.h>

sk_adjust_policy sk_adjust_default(sk_adjust_kind kind, uint32_t count)
{
    sk_adjust_policy policy = {
        .kind = kind,
        .count = count,
        .backlog_percent = kind == SK_ADJUST_LAZY ? 400 : 75,
        .idle_ns = UINT64_C(100) * 1000 * 1000,
        .calm_ns = UINT64_C(100) * 1000 * 1000,
    };
    return policy;
}

int sk_adjust_validate(const sk_adjust_policy *policy, uint32_t least, uint32_t most, uint32_t limit)
{
    if (least < 1 || least > most || most > limit) return -EINVAL;
    switch (policy->kind) {
    case SK_ADJUST_FIXED:
        return policy->count ? 0 : -EINVAL;
    case SK_ADJUST_BACKLOG:
    case SK_ADJUST_LAZY:
        return policy->backlog_percent ? 0 : -EINVAL;
    case SK_ADJUST_BLOCKING:
    case SK_ADJUST_EAGER:
    case SK_ADJUST_BALANCED:
        return 0;
    }
    return -EINVAL;
}

static uint32_t clamp(uint64_t target, const sk_adjust_sample *s)
{
    return (uint32_t)sk_max(sk_min(target, s->most), s->least);
}

/* Whether more tasks wait than the policy's share of the workers. */
static bool is_deep(const sk_adjust_policy *policy, const sk_adjust_sample *s)
{
    return s->backlog > (uint64_t)s->workers * policy->backlog_percent / 100;
}

/* How many workers the backlog asks for: as many as there are, or more. */
static uint64_t grown(const sk_adjust_policy *policy, const sk_adjust_sample *s)
{
    uint64_t workers = s->workers, waiting = sk_min(s->backlog, (uint64_t)s->most);
    /* Somebody will take it soon. */
    bool idle = (uint64_t)s->running + s->blocked < workers || s->fresh;
    switch (policy->kind) {
    case SK_ADJUST_EAGER:
        return idle ? workers : workers + waiting;
    case SK_ADJUST_BALANCED:
        return idle ? workers : workers + (waiting + 1) / 2;
    case SK_ADJUST_LAZY:
        return workers + ((s->stands && !s->fresh) || is_deep(policy, s));
    default:
        return is_deep(policy, s) ? workers * 2 : workers;
    }
}

/* Idleness lasts while workers are halved, so it alone would halve at every sample: each halving waits anew. */
static uint64_t decide_backlog(const sk_adjust_policy *policy, sk_adjust_state *state, const sk_adjust_sample *s)
{
    uint64_t workers = s->workers, wanted = grown(policy, s);
    if (wanted > workers) return wanted;
    if (s->backlog != 0 || s->idle_for_ns == 0) return workers;
    bool soon = state->waiting && s->now_ns - state->since_ns < policy->idle_ns;
    if (s->idle_for_ns < policy->idle_ns || soon) return workers;
    state->waiting = true;
    state->since_ns = s->now_ns;
    return workers / 2;
}

/* A blocking call ends and the next begins: following each of them down would stop and start threads all the time. So
   the target falls only to the most that was wanted during the whole calm. */
static uint64_t decide_blocking(const sk_adjust_policy *policy, sk_adjust_state *state, const sk_adjust_sample *s)
{
    uint32_t wanted = clamp((uint64_t)s->cores + s->blocked, s);
    if (wanted >= s->workers) {
        state->waiting = false;
        return wanted;
    }
    if (!state->waiting) {
        state->waiting = true;
        state->since_ns = s->now_ns;
        state->peak = 0;
    }
    state->peak = sk_max(state->peak, wanted);
    if (s->now_ns - state->since_ns < policy->calm_ns) return s->workers;
    state->waiting = false;
    return state->peak;
}

uint32_t sk_adjust_decide(const sk_adjust_policy *policy, sk_adjust_state *state, const sk_adjust_sample *s)
{
    switch (policy->kind) {
    case SK_ADJUST_FIXED:
        return clamp(policy->count, s);
    case SK_ADJUST_BACKLOG:
    case SK_ADJUST_EAGER:
    case SK_ADJUST_BALANCED:
    case SK_ADJUST_LAZY:
        return clamp(decide_backlog(policy, state, s), s);
    case SK_ADJUST_BLOCKING:
        return clamp(decide_blocking(policy, state, s), s);
    }
    return clamp(s->workers, s);
}
