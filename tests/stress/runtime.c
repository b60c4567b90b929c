/*
 * Stress of the runtime: storms of parking, joining and cancelling, growing and
 * shrinking, deadlines that race, blocking calls, shutdown under fire.
 *
 * Every test accounts for every task: each has a place of its own, in which its
 * entry and its return are counted, and at the end the runtime's own counters
 * must say the same.  A test that makes no progress for a while prints the state
 * of the scheduler and aborts, so that a lost wake-up is not just a timeout.
 */
#include "support/stress.h"

/* ---- storms ---- */

/* One task of a storm. */
typedef struct life {
    struct storm *storm;
    uint32_t id, depth;
    sk_atomic(uint32_t) entered, left;
} life;

enum { KNOWN = 64 };

typedef struct storm {
    skua_runtime *rt;
    life *lives;
    uint32_t room;
    sk_atomic(uint32_t) made;
    sk_atomic(uint64_t) accepted, unstarted, cancels;
    struct {
        sk_atomic(uint64_t) serial;
        sk_atomic(void *) ref;
    } known[KNOWN]; /* handles for others to cancel; may be torn, then nobody or somebody else is hit, as well */
} storm;

static int live(void *arg);

static life *next_life(storm *s, uint32_t depth)
{
    uint32_t id = sk_add_rlx(&s->made, 1u);
    if (id >= s->room) return NULL;
    s->lives[id] = (life){.storm = s, .id = id, .depth = depth};
    return &s->lives[id];
}

static life *bear(storm *s, uint32_t depth, skua_task *out, sk_rng *rng)
{
    life *child = next_life(s, depth);
    if (!child) return NULL;
    int error = skua_spawn(out, live, child);
    SK_EXPECT_EQ(error, 0);
    sk_add_rlx(&s->accepted, UINT64_C(1));
    if (sk_rng_below(rng, 4) == 0) {
        uint32_t place = sk_rng_below(rng, KNOWN);
        sk_store_rlx(&s->known[place].ref, out->ref);
        sk_store_rlx(&s->known[place].serial, out->serial);
    }
    return child;
}

/* The result says whether it ran, and its own place must agree. */
static void check_child(storm *s, const life *child, int result)
{
    if (result == -ECANCELED) {
        SK_EXPECT_EQ(sk_load_acq((sk_atomic(uint32_t) *)&child->entered), 0);
        sk_add_rlx(&s->unstarted, UINT64_C(1));
        return;
    }
    SK_EXPECT_EQ(result, child->id);
    SK_EXPECT_EQ(sk_load_acq((sk_atomic(uint32_t) *)&child->left), 1);
}

/* Joins in one of several ways; a parent that has been cancelled can only let go. */
static void reap(storm *s, const life *child, skua_task handle, sk_rng *rng)
{
    uint32_t way = sk_rng_below(rng, 4);
    for (;;) {
        int result = -1;
        int error = way == 0 ? skua_join_for(handle, sk_rng_below(rng, 300000), &result) : skua_join(handle, &result);
        if (error == 0) {
            check_child(s, child, result);
            SK_EXPECT_EQ(skua_join(handle, NULL), -ESRCH);
            return;
        }
        if (error == -ECANCELED) {
            SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
            SK_EXPECT_EQ(skua_detach(handle), 0);
            return;
        }
        SK_EXPECT(way == 0 && error == -ETIMEDOUT);
    }
}

static void annoy(storm *s, sk_rng *rng)
{
    uint32_t place = sk_rng_below(rng, KNOWN);
    skua_task victim = {sk_load_rlx(&s->known[place].ref), sk_load_rlx(&s->known[place].serial)};
    int error = skua_cancel(victim);
    SK_EXPECT(error == 0 || error == -ESRCH || error == -EALREADY);
    if (error == 0) sk_add_rlx(&s->cancels, UINT64_C(1));
}

static void pass_time(sk_rng *rng)
{
    int error = 0;
    if (sk_rng_below(rng, 2)) error = skua_yield();
    SK_EXPECT_EQ(error, 0);
    uint32_t ns = sk_rng_below(rng, 4) ? sk_rng_below(rng, 150000) : 0;
    uint64_t before = skua_now();
    error = skua_sleep(ns);
    SK_EXPECT(error == 0 ? skua_now() - before >= ns : error == -ECANCELED && skua_cancelled() == -ECANCELED);
}

static int live(void *arg)
{
    life *me = (life *)arg;
    storm *s = me->storm;
    SK_EXPECT_EQ(sk_add_ar(&me->entered, 1u), 0);
    sk_rng rng;
    sk_rng_seed(&rng, me->id + 1);
    skua_task handles[3];
    life *children[3];
    uint32_t n = 0, want = me->depth ? sk_rng_below(&rng, 4) : 0;
    while (n < want && (children[n] = bear(s, me->depth - 1, &handles[n], &rng))) n++;
    pass_time(&rng);
    if (sk_rng_below(&rng, 8) == 0) annoy(s, &rng);
    for (uint32_t i = 0; i < n; i++) {
        if (sk_rng_below(&rng, 5) == 0)
            SK_EXPECT_EQ(skua_detach(handles[i]), 0);
        else
            reap(s, children[i], handles[i], &rng);
        if (sk_rng_below(&rng, 4) == 0) pass_time(&rng);
    }
    SK_EXPECT_EQ(sk_add_ar(&me->left, 1u), 0);
    return (int)me->id;
}

/* Roots from outside, as many at a time as keeps a few thousand tasks about. */
static void sow(storm *s)
{
    while (sk_load_rlx(&s->made) < s->room) {
        life *root = next_life(s, 5);
        if (!root) break;
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = s->rt}, live, root), 0);
        uint64_t accepted = sk_add_rlx(&s->accepted, UINT64_C(1)) + 1;
        if (accepted % 64) continue;
        for (skua_stats now = sk_stats_of(s->rt); now.created - sk_ended(&now) > 4000; now = sk_stats_of(s->rt))
            usleep(200);
    }
}

static void check_lives(storm *s)
{
    skua_stats stats = settle(s->rt);
    uint64_t entered = 0, without = 0, accepted = sk_load_acq(&s->accepted);
    for (uint32_t i = 0; i < s->room; i++) {
        uint32_t in = sk_load_acq(&s->lives[i].entered), out = sk_load_acq(&s->lives[i].left);
        SK_EXPECT_EQ(in, out);
        entered += in;
        without += !in;
    }
    SK_EXPECT_EQ(accepted, s->room);
    SK_EXPECT_EQ(stats.created, accepted);
    SK_EXPECT_EQ(stats.done, entered);
    SK_EXPECT_EQ(stats.cancelled, without);
    SK_EXPECT_EQ(stats.failed + stats.expired + stats.dropped, 0);
    SK_EXPECT(sk_load_rlx(&s->unstarted) <= without);
    SK_EXPECT(sk_load_rlx(&s->cancels) >= without);
}

static void storm_on(uint32_t workers, uint32_t tasks)
{
    storm *s = (storm *)calloc(1, sizeof *s);
    s->rt = sk_runtime_of(workers);
    s->room = tasks;
    s->lives = (life *)calloc(tasks, sizeof *s->lives);
    sow(s);
    check_lives(s);
    release(s->rt);
    free(s->lives);
    free(s);
}

SK_TEST(stress_runtime, storm_1)
{
    storm_on(1, (uint32_t)sk_test_scaled(200000));
}

SK_TEST(stress_runtime, storm_2)
{
    storm_on(2, (uint32_t)sk_test_scaled(400000));
}

SK_TEST(stress_runtime, storm_8)
{
    storm_on(8, (uint32_t)sk_test_scaled(400000));
}

/* ---- growing and shrinking ---- */

typedef struct crowd {
    skua_runtime *rt;
    sk_atomic(uint64_t) begun, ended, sum;
    uint64_t each, last_resize; /* tasks of a producer; tasks begun when the resizing ends */
} crowd;

enum { BATCH = 64, PRODUCERS = 4, AT_ONCE = 20000 };

static int count_one(void *arg)
{
    crowd *c = (crowd *)arg;
    uint64_t nth = sk_add_rlx(&c->begun, UINT64_C(1));
    if (nth % 512 == 0) SK_EXPECT_EQ(skua_sleep(SKUA_US(200)), 0);
    sk_add_rlx(&c->sum, nth);
    sk_add_ar(&c->ended, UINT64_C(1));
    return 0;
}

static int produce(void *arg)
{
    crowd *c = (crowd *)arg;
    void *args[BATCH];
    for (int i = 0; i < BATCH; i++) args[i] = c;
    for (uint64_t made = 0; made < c->each; made += BATCH) {
        SK_EXPECT_EQ(skua_spawn_batch(NULL, BATCH, count_one, args), BATCH);
        skua_stats s;
        if (made / BATCH % 16 == 0)
            while (skua_runtime_stats(c->rt, &s, NULL, 0) >= 0 && s.created - sk_ended(&s) > AT_ONCE)
                skua_sleep(SKUA_US(100));
        skua_yield();
    }
    return 0;
}

static void *resize_often(void *arg)
{
    crowd *c = (crowd *)arg;
    sk_rng rng;
    sk_rng_seed(&rng, 7);
    SK_EXPECT_EQ(skua_runtime_resize(c->rt, 64), 0);
    SK_EVENTUALLY(sk_stats_of(c->rt).grown > 0); /* a monitor that comes late finds only the last of several wishes */
    for (uint32_t i = 1; sk_load_rlx(&c->begun) < c->last_resize; i++) {
        SK_EXPECT_EQ(skua_runtime_resize(c->rt, 1 + sk_rng_below(&rng, 64)), 0);
        if (i % 16 == 0) usleep(sk_rng_below(&rng, 3000)); /* so that some are carried out to the end */
    }
    /* The last word: what retired workers had is not brought back to life by growing again. */
    SK_EXPECT_EQ(skua_runtime_resize(c->rt, 1), 0);
    return NULL;
}

SK_TEST(stress_runtime, grow_and_shrink)
{
    crowd c = {.rt = sk_runtime_of(2), .each = (uint64_t)sk_test_scaled(10000000) / PRODUCERS / BATCH * BATCH};
    uint64_t n = c.each * PRODUCERS;
    c.last_resize = n - sk_min(n / 4, (uint64_t)AT_ONCE / 2);
    pthread_t resizer;
    SK_EXPECT_EQ(pthread_create(&resizer, NULL, resize_often, &c), 0);
    for (int i = 0; i < PRODUCERS; i++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = c.rt}, produce, &c), 0);
    await(c.rt, &c.ended, n);
    pthread_join(resizer, NULL);
    skua_stats s = settle(c.rt);
    SK_EXPECT_EQ(sk_load_acq(&c.sum), n * (n - 1) / 2);
    SK_EXPECT_EQ(s.created, n + PRODUCERS);
    SK_EXPECT_EQ(s.done, n + PRODUCERS);
    SK_EVENTUALLY((s = sk_stats_of(c.rt)).workers == 1);
    SK_EXPECT_EQ(skua_runtime_resize(c.rt, 3), 0);
    SK_EVENTUALLY((s = sk_stats_of(c.rt)).workers == 3);
    SK_EXPECT(s.grown > 0 && s.shrunk > 0); /* however short the run: from 2 to 1 to 3 at the least */
    release(c.rt);
}

/* ---- blocking calls ---- */

typedef struct blocker {
    sk_atomic(uint64_t) ended, inside;
    uint32_t rounds;
} blocker;

static int spend(void *arg)
{
    usleep(*(uint32_t *)arg);
    return 5;
}

static int block_often(void *arg)
{
    blocker *b = (blocker *)arg;
    sk_rng rng;
    sk_rng_seed(&rng, (uint64_t)(uintptr_t)skua_self().ref);
    for (uint32_t i = 0; i < b->rounds; i++) {
        uint32_t us = sk_rng_below(&rng, 4) ? 0 : sk_rng_below(&rng, 150);
        if (sk_rng_below(&rng, 2)) {
            SK_EXPECT_EQ(skua_block(spend, &us), 5);
        } else {
            SK_EXPECT_EQ(skua_blocking_begin(), 0);
            SK_EXPECT_EQ(skua_blocking_begin(), -EALREADY);
            if (us) usleep(us);
            if (sk_rng_below(&rng, 8) == 0) SK_EXPECT_EQ(skua_sleep(SKUA_US(30)), 0); /* as a thread */
            SK_EXPECT_EQ(skua_blocking_end(), 0);
        }
        SK_EXPECT_EQ(skua_blocking_end(), -EPERM);
        if (sk_rng_below(&rng, 2)) SK_EXPECT_EQ(skua_yield(), 0);
        if (sk_rng_below(&rng, 4) == 0) SK_EXPECT_EQ(skua_sleep(sk_rng_below(&rng, 100000)), 0);
        skua_task child;
        if (sk_rng_below(&rng, 4) == 0 && skua_spawn(&child, sk_give_0, NULL) == 0) {
            SK_EXPECT_EQ(skua_blocking_begin(), 0);
            SK_EXPECT_EQ(skua_join(child, NULL), 0); /* blocks the thread: only a hand-off lets the child run */
            SK_EXPECT_EQ(skua_blocking_end(), 0);
        }
    }
    sk_add_ar(&b->ended, UINT64_C(1));
    return 0;
}

static void block_on(uint32_t workers)
{
    skua_runtime *rt = sk_runtime_of(workers);
    blocker b = {.rounds = (uint32_t)sk_test_scaled(400)};
    enum { TASKS = 24 };
    for (int i = 0; i < TASKS; i++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, block_often, &b), 0);
    await(rt, &b.ended, TASKS);
    skua_stats s = settle(rt);
    SK_EXPECT_EQ(s.done, s.created);
    SK_EXPECT_EQ(s.workers, workers);
    SK_EXPECT_EQ(s.blocked, 0);
    if (workers == 1 && b.rounds > 10) SK_EXPECT(s.handoffs > 0); /* several may do without, in a short run */
    release(rt);
}

SK_TEST(stress_runtime, blocking_calls)
{
    for (uint32_t workers = 1; workers <= 4; workers++) block_on(workers);
}
