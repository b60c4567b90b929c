/* unit/pool_straight.c: tasks that submit to a pool in which nobody waits: the short way past the queue. */
#include "support/tasks.h"

#include "base/base.h"

enum { SOME = 20, MANY = 4000, ROUNDS = 200 };

static skua_pool *pool_on(skua_runtime *rt, uint32_t limit)
{
    skua_pool *pool = NULL;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = limit}), 0);
    return pool;
}

typedef struct setting {
    skua_pool *pool;
    sk_gate ran, gate;
    uint32_t order[SOME]; /* by number: when it ran */
    uint64_t most;        /* that were seen running */
    uint32_t accepted;
} setting;

typedef struct numbered {
    setting *s;
    uint32_t number;
} numbered;

static int run_in_turn(void *arg)
{
    numbered *n = arg;
    n->s->order[n->number] = sk_gate_now(&n->s->ran);
    sk_gate_add(&n->s->ran);
    return 0;
}

static int count(void *arg)
{
    sk_gate_add(&((setting *)arg)->ran);
    return 0;
}

static skua_pool_counts counts_of(skua_pool *pool)
{
    skua_pool_counts c = {0};
    SK_EXPECT_EQ(skua_pool_stats(pool, &c), 0);
    return c;
}

/* On one worker: none has started before the submitter parks, each has its slot, and they run in order. */
static int submit_some(void *arg)
{
    setting *s = arg;
    numbered tasks[SOME];
    for (uint32_t i = 0; i < SOME; i++) {
        tasks[i] = (numbered){s, i};
        SK_EXPECT_EQ(skua_pool_submit(s->pool, run_in_turn, &tasks[i]), 0);
        skua_pool_counts c = counts_of(s->pool);
        SK_EXPECT_EQ(c.submitted, i + 1u);
        SK_EXPECT_EQ(c.running, i + 1u);
        SK_EXPECT_EQ(c.queued, 0u);
    }
    SK_EXPECT(sk_gate_await(&s->ran, SOME));
    for (uint32_t i = 0; i < SOME; i++)
        if (s->order[i] != i) return 0;
    return 1;
}

SK_TEST(pool_straight, counts_and_order)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (uint32_t limit = 0; limit <= SOME; limit += SOME) {
        bool in_order = false;
        /* The monitor puts what stands behind a worker that has stood still for long into another queue. */
        for (int tries = 0; tries < 100 && !in_order; tries++) {
            setting s = {.pool = pool_on(rt, limit)};
            in_order = sk_run_on(rt, submit_some, &s) == 1;
            SK_EXPECT_EQ(skua_pool_wait(s.pool, SKUA_FOREVER), 0);
            SK_EXPECT_EQ(counts_of(s.pool).done, SOME);
            SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
        }
        SK_EXPECT(in_order);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Neither past the limit nor past a pause: what comes then is queued. */
static int submit_to_full(void *arg)
{
    setting *s = arg;
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_submit(s->pool, count, s), 0);
    SK_EXPECT_EQ(counts_of(s->pool).running, 2u);
    SK_EXPECT_EQ(counts_of(s->pool).queued, 3u);
    SK_EXPECT(sk_gate_await(&s->ran, 5));
    SK_EXPECT_EQ(skua_pool_pause(s->pool), 0);
    SK_EXPECT_EQ(skua_pool_submit(s->pool, count, s), 0);
    SK_EXPECT_EQ(counts_of(s->pool).queued, 1u);
    skua_sleep(SKUA_MS(5));
    SK_EXPECT_EQ(sk_gate_now(&s->ran), 5u);
    SK_EXPECT_EQ(skua_pool_resume(s->pool), 0);
    SK_EXPECT(sk_gate_await(&s->ran, 6));
    return 1;
}

SK_TEST(pool_straight, keeps_limit_and_pause)
{
    skua_runtime *rt = sk_runtime_of(1);
    setting s = {.pool = pool_on(rt, 2)};
    SK_EXPECT_EQ(sk_run_on(rt, submit_to_full, &s), 1);
    SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Who submits without end fills the queue of the pool, not that of its worker without bound. */
static int submit_many(void *arg)
{
    setting *s = arg;
    for (int i = 0; i < MANY; i++) {
        SK_EXPECT_EQ(skua_pool_submit(s->pool, count, s), 0);
        uint64_t running = i % 64 ? 0 : counts_of(s->pool).running;
        s->most = sk_max(s->most, running);
    }
    return 1;
}

SK_TEST(pool_straight, is_bounded)
{
    skua_runtime *rt = sk_runtime_of(1);
    bool bounded = false;
    /* As above: what the monitor has put elsewhere is not there. */
    for (int tries = 0; tries < 100 && !bounded; tries++) {
        setting s = {.pool = pool_on(rt, 0)};
        SK_EXPECT_EQ(sk_run_on(rt, submit_many, &s), 1);
        SK_EXPECT_EQ(skua_pool_wait(s.pool, SKUA_FOREVER), 0);
        SK_EXPECT_EQ(sk_gate_now(&s.ran), (uint32_t)MANY);
        bounded = s.most > 0 && s.most < 1000;
        SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    }
    SK_EXPECT(bounded);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* What was accepted beside a release has run when that returns. */
static int submit_until_refused(void *arg)
{
    setting *s = arg;
    int error;
    sk_gate_add(&s->gate);
    while ((error = skua_pool_submit(s->pool, count, s)) == 0) {
        s->accepted++;
        skua_yield();
    }
    SK_EXPECT_EQ(error, -ESHUTDOWN);
    return 1;
}

SK_TEST(pool_straight, beside_release)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < ROUNDS; round++) {
        setting s = {.pool = pool_on(rt, round % 3)};
        int result = 0;
        skua_task task = sk_spawn_on(rt, submit_until_refused, &s);
        SK_EXPECT(sk_gate_block(&s.gate, 1));
        SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
        uint32_t ran = sk_gate_now(&s.ran);
        SK_EXPECT_EQ(skua_join(task, &result), 0);
        SK_EXPECT_EQ(result, 1);
        SK_EXPECT_EQ(ran, s.accepted);
        SK_EXPECT_EQ(sk_gate_now(&s.ran), ran);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
