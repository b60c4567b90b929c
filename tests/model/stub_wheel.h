/*
 * stub_wheel.h: a wheel with room for whatever the models arm: a list without
 * order, but with marks.  It stands for timer/wheel.h.
 *
 * The wheel and each node carry a mark that every access writes: two accesses
 * that nothing orders are a race, which Relacy reports.
 */
#ifndef SK_TEST_MODEL_STUB_WHEEL_H
#define SK_TEST_MODEL_STUB_WHEEL_H

#define SK_TIMER_WHEEL_H
#define SK_TICK_SHIFT 0
#define SK_TICK_NS UINT64_C(1)
#define SK_TICK_NEVER UINT64_MAX
#ifndef STUB_WHEEL_NOW
#define STUB_WHEEL_NOW 0 /* time stands still in most models: from the next advance on is from now on */
#endif

struct sk_timer {
    sk_timer *next;
    sk_timer **pprev; /* here only: whether it is armed */
    uint64_t expires;
    VAR_T(int) mark;
};

struct sk_wheel {
    sk_timer *first;
    uint64_t due;
    VAR_T(int) mark;
};

static uint64_t sk_tick_up(uint64_t ns)
{
    return ns;
}
static uint64_t sk_tick_ns(uint64_t tick)
{
    return tick;
}
static void sk_wheel_init(sk_wheel *w, uint64_t)
{
    w->first = NULL;
    w->due = SK_TICK_NEVER;
    w->mark($) = 0;
}
static void sk_wheel_refresh(sk_wheel *w)
{
    w->mark($) = 1;
    w->due = SK_TICK_NEVER;
    for (sk_timer *t = w->first; t; t = t->next) w->due = sk_min(w->due, t->expires);
}
static void sk_wheel_arm(sk_wheel *w, sk_timer *t, uint64_t expires)
{
    t->mark($) = 1;
    RL_ASSERT(t->pprev == NULL);
    t->expires = expires;
    t->next = w->first;
    t->pprev = &t->next;
    w->first = t;
    sk_wheel_refresh(w);
}
static void sk_wheel_arm_in(sk_wheel *w, sk_timer *t, uint64_t ns)
{
    sk_wheel_arm(w, t, STUB_WHEEL_NOW + ns);
}
static bool sk_wheel_cancel(sk_wheel *w, sk_timer *t)
{
    w->mark($) = 1;
    t->mark($) = 1;
    if (!t->pprev) return false;
    sk_timer **at = &w->first;
    while (*at != t) at = &(*at)->next;
    *at = t->next;
    t->pprev = NULL;
    return true;
}
static sk_timer *sk_wheel_advance(sk_wheel *w, uint64_t now)
{
    sk_timer *chain = NULL;
    w->mark($) = 1;
    for (sk_timer **at = &w->first, *t; (t = *at);) {
        if (t->expires > now) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        t->mark($) = 1;
        t->pprev = NULL;
        t->next = chain;
        chain = t;
    }
    return chain;
}
static sk_timer *sk_wheel_drain(sk_wheel *w, uint64_t)
{
    return sk_wheel_advance(w, UINT64_MAX);
}
static bool sk_wheel_check(const sk_wheel *w)
{
    return w->first == NULL || w->first->pprev != NULL;
}

/* Of os/lock.c, for expiry.c. */
void sk_lock_give_way(unsigned)
{
    rl::yield(1, $);
}

#endif
