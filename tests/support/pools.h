/*
 * pools.h: what the tests of pools share: snapshots that must add up, tasks
 * that stay until they are let go, and crowds that know how many they are.
 */
#ifndef SK_POOLS_H
#define SK_POOLS_H

#include "support/tasks.h"

#define SK_POOL(...) sk_pool_with(&(skua_pool_options){__VA_ARGS__})

static inline skua_pool *sk_pool_with(const skua_pool_options *options)
{
    skua_pool *pool = NULL;
    SK_EXPECT_EQ(skua_pool_create(&pool, options), 0);
    SK_EXPECT(pool != NULL);
    return pool;
}

/* A snapshot, which must add up. */
static inline skua_pool_counts sk_counts_of(skua_pool *pool)
{
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_pool_stats(pool, &c), 0);
    SK_EXPECT_EQ(c.submitted, c.queued + c.running + c.done + c.failed + c.cancelled + c.expired + c.dropped);
    return c;
}

static inline bool sk_pool_stands_at(skua_pool *pool, uint64_t running, uint64_t queued)
{
    skua_pool_counts c = sk_counts_of(pool);
    return c.running == running && c.queued == queued;
}

/* Waits at most SK_PATIENCE_MS: a lost wake-up fails the test. */
static inline void sk_pool_await(skua_pool *pool)
{
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
}

/* Tasks that stay until `leave` is opened, or that many of them may leave; or that are told to end. `slept`: that have
   parked once; who cancels these can tell them from what is queued behind them, which then does not start. */
typedef struct sk_stay {
    sk_gate entered, leave, left, slept;
    bool in_turn; /* the n-th that came leaves when `leave` stands at n */
} sk_stay;

static inline int sk_stays(void *arg)
{
    sk_stay *s = (sk_stay *)arg;
    uint32_t turn = sk_add_ar(&s->entered, 1u) + 1, n = s->in_turn ? turn : 1;
    int error = 0;
    bool slept = false;
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); !error && sk_gate_now(&s->leave) < n; slept = true) {
        error = skua_now() > give_up ? -ETIME : skua_sleep(SKUA_US(200));
        if (!slept) sk_gate_add(&s->slept);
    }
    sk_gate_add(&s->left);
    return error;
}

/* Puts n such tasks into the slots of a pool, and waits until they are there. */
static inline void sk_occupy(skua_pool *pool, sk_stay *s, uint32_t n)
{
    uint32_t before = sk_gate_now(&s->entered);
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, s), 0);
    SK_EXPECT(sk_gate_await(&s->entered, before + n));
}

typedef struct sk_crowd {
    sk_atomic(uint32_t) inside, most;
    sk_gate ran;
    uint64_t nap; /* ns; 0: none */
} sk_crowd;

static inline int sk_join_crowd(void *arg)
{
    sk_crowd *c = (sk_crowd *)arg;
    uint32_t now = sk_add_ar(&c->inside, 1u) + 1, most = sk_load_rlx(&c->most);
    while (now > most && !sk_cas_ar(&c->most, &most, now)) {
    }
    if (c->nap) skua_sleep(c->nap);
    sk_sub_ar(&c->inside, 1u);
    sk_gate_add(&c->ran);
    return 0;
}

/* One submission by a task or thread of its own: what it got. */
typedef struct sk_submitter {
    skua_pool *pool;
    skua_fn *fn;
    void *arg;
    int got; /* 1: nothing yet */
} sk_submitter;

static inline int sk_submits(void *arg)
{
    sk_submitter *s = (sk_submitter *)arg;
    s->got = skua_pool_submit(s->pool, s->fn, s->arg);
    return 0;
}

static inline int sk_gives(void *arg)
{
    return *(int *)arg;
}

#endif
