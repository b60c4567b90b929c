/* conformance/priority.c: behaviours 61, 62 and 64: levels of priority, ageing, deadlines, pause and resume. */
#include "support/pools.h"

typedef struct order {
    sk_atomic(uint32_t) n;
    uint32_t level[64];
} order;

typedef struct ranked {
    order *order;
    uint32_t level;
} ranked;

static int note_level(void *arg)
{
    ranked *r = arg;
    r->order->level[sk_add_ar(&r->order->n, 1u)] = r->level;
    return 0;
}

SK_TEST(conformance, s61_a_higher_priority_starts_first)
{
    skua_runtime *rt = sk_runtime_of(2);
    /* Ageing out of reach: the order is exact. */
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .levels = 4, .ageing = SKUA_S(3600));
    for (int round = 0; round < 10; round++) {
        sk_stay s = {0};
        order o = {0};
        ranked r[4];
        sk_occupy(pool, &s, 1);
        for (uint32_t i = 0; i < 64; i++) {
            skua_submit_options options = {.level = (i * 7 + 3) % 4};
            r[options.level] = (ranked){&o, options.level};
            SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &options, note_level, &r[options.level]), 0);
        }
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(o.n, 64);
        for (uint32_t i = 0; i < 64; i++) SK_EXPECT_EQ(o.level[i], i / 16);
    }
    skua_submit_options too_low = {.level = 4};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &too_low, sk_give_0, NULL), -EDOM);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A high one takes 100 us at least, and they run one after another: so many can begin in a period, a grain of the clock
   included, however slow the machine is. */
enum { LOW = 3, PERIOD_MS = 20, A_PERIOD = (PERIOD_MS + 4) * 10 + 2 };

typedef struct load {
    skua_pool *pool;
    sk_gate low_ran, high_ran, over;
    sk_gate last_low; /* how many high ones had run when the last low one came */
} load;

/* Puts another into the queue before it ends: the high level never runs dry. */
static int stay_high(void *arg)
{
    load *l = arg;
    sk_gate_add(&l->high_ran);
    skua_sleep(SKUA_US(100));
    if (!sk_gate_now(&l->over)) SK_EXPECT_EQ(skua_pool_submit(l->pool, stay_high, l), 0);
    return 0;
}

static int run_low(void *arg)
{
    load *l = arg;
    if (sk_add_ar(&l->low_ran, 1u) + 1 == LOW) sk_store_rel(&l->last_low, sk_gate_now(&l->high_ran));
    return 0;
}

SK_TEST(conformance, s61_a_low_one_starts_within_its_ageing_time_under_constant_load)
{
    skua_runtime *rt = sk_runtime_of(2);
    load l = {.pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 16, .levels = 3, .ageing = SKUA_MS(PERIOD_MS))};
    for (int i = 0; i < 8; i++) SK_EXPECT_EQ(skua_pool_submit(l.pool, stay_high, &l), 0);
    SK_EXPECT(sk_gate_await(&l.high_ran, 20));
    for (uint32_t i = 0; i < LOW; i++) {
        skua_submit_options low = {.level = 1 + i % 2};
        SK_EXPECT_EQ(skua_pool_submit_with(l.pool, NULL, &low, run_low, &l), 0);
    }
    uint32_t before = sk_gate_now(&l.high_ran);
    SK_EXPECT(sk_gate_await(&l.last_low, 1));
    uint32_t last = sk_gate_now(&l.last_low), meanwhile = last > before ? last - before : 0; /* we may come late */
    SK_EXPECT(meanwhile <= LOW * A_PERIOD); /* one a period at least, though high ones are queued all the time */
    SK_EXPECT(sk_counts_of(l.pool).queued >= 7);
    SK_EXPECT(sk_gate_await(&l.high_ran, before + 1)); /* and they went on */
    sk_gate_add(&l.over);
    sk_pool_await(l.pool);
    SK_EXPECT_EQ(skua_pool_release(l.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Which of 64 tasks comes as the i-th: by level, then by deadline, then those without one as they came. */
static uint32_t place_in_order(uint32_t i)
{
    return i % 4 * 16 + (i / 4 % 2 ? 8 + i / 8 : (i / 8 * 5 + 3) % 8);
}

SK_TEST(conformance, s62_the_earliest_deadline_starts_first_within_a_level)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool =
        SK_POOL(.runtime = rt, .limit = 1, .levels = 4, .ageing = SKUA_S(3600), .order = SKUA_ORDER_DEADLINE);
    for (int round = 0; round < 10; round++) {
        sk_stay s = {0};
        order o = {0};
        ranked r[64];
        sk_occupy(pool, &s, 1);
        for (uint32_t i = 0; i < 64; i++) {
            skua_submit_options options = {.level = i % 4};
            uint64_t due = SKUA_S(1000) * (1 + place_in_order(i)); /* far enough apart for the slowest machine */
            if (i / 4 % 2 == 0) *(i / 8 % 2 ? &options.finish_within : &options.due_within) = due;
            r[i] = (ranked){&o, place_in_order(i)};
            SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &options, note_level, &r[i]), 0);
        }
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(o.n, 64);
        for (uint32_t i = 0; i < 64; i++) SK_EXPECT_EQ(o.level[i], i);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s62_without_the_choice_who_comes_first_starts_first)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_stay s = {0};
    order o = {0};
    ranked r[64];
    sk_occupy(pool, &s, 1);
    for (uint32_t i = 0; i < 64; i++) {
        skua_submit_options options = {.due_within = SKUA_S(1000) * (64 - i)};
        r[i] = (ranked){&o, i};
        SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &options, note_level, &r[i]), 0);
    }
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    for (uint32_t i = 0; i < 64; i++) SK_EXPECT_EQ(o.level[i], i);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s64_pause_admits_nothing_and_resume_everything)
{
    static const uint32_t limits[] = {1, 4, 0};
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 30; i++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = limits[i % 3]);
        sk_gate ran = 0;
        for (int k = 0; k < 2; k++) SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        for (int k = 0; k < 200; k++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        skua_sleep(SKUA_US(500));
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        SK_EXPECT(sk_pool_stands_at(pool, 0, 200));
        SK_EXPECT_EQ(sk_counts_of(pool).limit, limits[i % 3]);
        SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_US(100)), -ETIMEDOUT);
        for (int k = 0; k < 2; k++) SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 200);
        SK_EXPECT_EQ(sk_counts_of(pool).done, 200);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct toggler {
    skua_pool *pool;
    sk_gate over, paused; /* paused: so many times */
} toggler;

static void *pause_and_resume(void *arg)
{
    toggler *t = arg;
    while (!sk_gate_now(&t->over)) {
        SK_EXPECT_EQ(skua_pool_pause(t->pool), 0);
        sk_gate_add(&t->paused);
        skua_sleep(SKUA_US(50));
        SK_EXPECT_EQ(skua_pool_resume(t->pool), 0);
        skua_sleep(SKUA_US(50));
    }
    return NULL;
}

SK_TEST(conformance, s64_pausing_in_the_middle_loses_nothing)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 4, .queue = 64);
    sk_crowd c = {.nap = SKUA_US(20)};
    toggler t = {.pool = pool};
    pthread_t thread;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, pause_and_resume, &t), 0);
    uint32_t n = 0, least = (uint32_t)sk_test_scaled(5000);
    for (; n < least || sk_gate_now(&t.paused) < 20; n++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_join_crowd, &c), 0);
    sk_pool_await(pool);
    sk_gate_add(&t.over);
    pthread_join(thread, NULL);
    SK_EXPECT_EQ(sk_gate_now(&c.ran), n);
    SK_EXPECT(c.most <= 4);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s64_a_pause_without_a_queue_keeps_submitters_waiting)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 30; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .queue = SKUA_POOL_NO_QUEUE);
        sk_gate ran = 0;
        sk_submitter waits[2];
        skua_task tasks[2];
        SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_open, &ran), -EAGAIN);
        for (int i = 0; i < 2; i++) {
            waits[i] = (sk_submitter){pool, sk_open, &ran, 1};
            tasks[i] = sk_spawn_on(rt, sk_submits, &waits[i]);
        }
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 2);
        SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        for (int i = 0; i < 2; i++) {
            SK_EXPECT_EQ(skua_join_for(tasks[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            SK_EXPECT_EQ(waits[i].got, 0);
        }
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 2);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
