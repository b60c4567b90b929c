/* unit/pool_order.c: pools in order of deadlines: the heap by itself, the order, the bound, and the end of what is
 * queued. */
#include "support/pools.h"

#include "os/clock.h"
#include "pool/pool.h"

#include <string.h>

/* ---- the heap ---- */

enum { ITEMS = 200 };

typedef struct rival {
    uint64_t due, order;
    bool there;
} rival;

static uint64_t dice(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* The earliest of those that came at or after `from`. */
static rival *earliest_of(rival *all, uint64_t n)
{
    rival *best = NULL;
    for (uint64_t i = 0; i < n; i++) {
        bool better = all[i].there && (!best || all[i].due < best->due);
        if (better) best = &all[i]; /* equal ones: the first stays */
    }
    return best;
}

static void doom(sk_earliest *e, rival *all, uint64_t n, uint64_t before)
{
    sk_earliest_doom(e, before);
    uint64_t doomed = 0;
    for (uint64_t i = 0; i < n && i < before; i++) {
        doomed += all[i].there;
        all[i].there = false;
    }
    SK_EXPECT_EQ(sk_earliest_sort_out(e, before), doomed);
}

static void expect_doomed(sk_earliest *e, rival *all, uint64_t before, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        rival *r = sk_earliest_take_doomed(e);
        SK_EXPECT(r && r->order < before && !r->there);
    }
    SK_EXPECT(!sk_earliest_take_doomed(e));
    (void)all;
}

SK_TEST(pool_order, a_heap_gives_the_earliest_and_of_equals_the_first)
{
    static rival all[ITEMS];
    for (uint64_t seed = 1; seed < 200; seed++) {
        sk_earliest e;
        uint64_t dice_of = seed, n = 0, left = 0;
        SK_EXPECT_EQ(sk_earliest_init(&e, ITEMS), 0);
        while (n < ITEMS || left > 0) {
            if (n < ITEMS && (left == 0 || dice(&dice_of) % 3)) {
                SK_EXPECT(sk_earliest_reserve(&e));
                all[n] = (rival){dice(&dice_of) % 8 ? dice(&dice_of) % 20 : SK_NEVER, n, true};
                sk_earliest_add(&e, all[n].due, &all[n]);
                n++, left++;
            } else {
                rival *want = earliest_of(all, n);
                SK_EXPECT(sk_earliest_take(&e) == want);
                want->there = false;
                left--;
            }
        }
        SK_EXPECT(!sk_earliest_take(&e));
        SK_EXPECT_EQ(sk_earliest_taken(&e), ITEMS);
        sk_earliest_fini(&e);
    }
}

SK_TEST(pool_order, what_is_doomed_goes_and_the_rest_keeps_its_order)
{
    static rival all[ITEMS];
    for (uint64_t seed = 1; seed < 200; seed++) {
        sk_earliest e;
        uint64_t dice_of = seed, n = 0, before = 50 + dice(&dice_of) % 60, gone = 20;
        SK_EXPECT_EQ(sk_earliest_init(&e, ITEMS), 0);
        for (; n < 120; n++) {
            all[n] = (rival){dice(&dice_of) % 30, n, true};
            sk_earliest_add(&e, all[n].due, &all[n]);
        }
        for (uint64_t i = 0; i < gone; i++) ((rival *)sk_earliest_take(&e))->there = false;
        doom(&e, all, n, before);
        uint64_t doomed = e.doomed;
        /* Others come and go while the doomed stand behind them. */
        for (; n < ITEMS - 30; n++) {
            all[n] = (rival){dice(&dice_of) % 30, n, true};
            sk_earliest_add(&e, all[n].due, &all[n]);
            rival *want = earliest_of(all, n + 1);
            SK_EXPECT(sk_earliest_take(&e) == want);
            want->there = false;
        }
        expect_doomed(&e, all, before, doomed);
        for (rival *want; (want = earliest_of(all, n)); want->there = false) SK_EXPECT(sk_earliest_take(&e) == want);
        SK_EXPECT(!sk_earliest_take(&e));
        sk_earliest_fini(&e);
    }
}

/* ---- pools ---- */

enum { FAR = 1000 /* s between two deadlines: no machine is so slow that their order changes */ };

typedef struct finish {
    sk_atomic(uint32_t) n;
    uint32_t rank[2000];
} finish;

typedef struct runner {
    finish *finish;
    uint32_t rank;
} runner;

static int cross(void *arg)
{
    runner *r = arg;
    r->finish->rank[sk_add_ar(&r->finish->n, 1u)] = r->rank;
    return 0;
}

#define ORDERED(...) SK_POOL(.order = SKUA_ORDER_DEADLINE, __VA_ARGS__)

static void submit_due(skua_pool *pool, uint32_t level, uint64_t due_s, skua_fn *fn, void *arg)
{
    skua_submit_options o = {.level = level, .due_within = due_s ? SKUA_S(due_s) : 0};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, fn, arg), 0);
}

static void end_pool(skua_pool *pool, skua_runtime *rt)
{
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_order, a_paused_pool_starts_in_the_exact_order_of_deadlines)
{
    enum { N = 1000, DUE = 900 };
    static runner runners[N];
    static finish f;
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 1);
    for (int round = 0; round < 3; round++) {
        sk_store_rlx(&f.n, 0u);
        SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        for (uint32_t i = 0; i < N; i++) { /* 7 * 900 / 10 ...: a permutation of those that are due; then the others */
            uint32_t rank = i % 10 == 9 ? DUE + i / 10 : (i - i / 10) * 7 % DUE;
            runners[i] = (runner){&f, rank};
            submit_due(pool, 0, rank < DUE ? (rank + 1) * FAR : 0, cross, &runners[i]);
        }
        SK_EXPECT(sk_pool_stands_at(pool, 0, N));
        SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_load_rlx(&f.n), N);
        for (uint32_t i = 0; i < N; i++) SK_EXPECT_EQ(f.rank[i], i);
    }
    end_pool(pool, rt);
}

SK_TEST(pool_order, one_that_comes_later_and_is_due_earlier_overtakes)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 1);
    for (int round = 0; round < 50; round++) {
        sk_stay s = {.in_turn = true};
        finish f = {0};
        runner r[] = {{&f, 0}, {&f, 1}, {&f, 2}, {&f, 3}};
        sk_occupy(pool, &s, 1);
        submit_due(pool, 0, 3 * FAR, cross, &r[3]);
        submit_due(pool, 0, FAR / 2, sk_stays, &s); /* so that what stands in the heap is overtaken */
        sk_gate_add(&s.leave);
        SK_EXPECT(sk_gate_await(&s.entered, 2));
        submit_due(pool, 0, 2 * FAR, cross, &r[2]);
        submit_due(pool, 0, FAR, cross, &r[1]);
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(f.n, 3);
        for (uint32_t i = 0; i < 3; i++) SK_EXPECT_EQ(f.rank[i], i + 1);
    }
    end_pool(pool, rt);
}

SK_TEST(pool_order, deadlines_of_the_task_order_it_and_still_end_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 1, .levels = 2, .ageing = SKUA_S(3600));
    sk_stay s = {0};
    finish f = {0};
    runner r[] = {{&f, 0}, {&f, 1}, {&f, 2}, {&f, 3}, {&f, 4}};
    skua_submit_options o[] = {
        {.start_within = SKUA_S(FAR), .finish_within = SKUA_S(9 * FAR)},
        {.start_within = SKUA_S(9 * FAR), .finish_within = SKUA_S(2 * FAR), .level = 0},
        {.due_within = SKUA_S(3 * FAR), .finish_within = SKUA_S(FAR / 2)}, /* the order goes by the former */
        {.finish_within = SKUA_S(4 * FAR)},
        {.due_within = SKUA_FOREVER, .finish_within = SKUA_S(FAR / 2)},
    };
    sk_occupy(pool, &s, 1);
    for (int i = 4; i >= 0; i--) SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o[i], cross, &r[i]), 0);
    skua_submit_options late = {.start_within = 1};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &late, cross, &r[0]), 0);
    skua_submit_options past = {.due_within = 1}; /* which is no reason not to run */
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &past, sk_give_0, NULL), 0);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(f.n, 5);
    for (uint32_t i = 0; i < 5; i++) SK_EXPECT_EQ(f.rank[i], i);
    SK_EXPECT_EQ(sk_counts_of(pool).expired, 1);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 7);
    end_pool(pool, rt);
}

typedef struct twice {
    skua_pool *pool;
    runner first;
    uint32_t tries;
} twice;

static int fail_once(void *arg)
{
    twice *t = arg;
    if (t->tries++) return cross(&t->first);
    return skua_pool_pause(t->pool) ? -EINVAL : -EIO;
}

SK_TEST(pool_order, a_further_attempt_is_due_when_the_first_was)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 1);
    finish f = {0};
    twice t = {pool, {&f, 0}, 0};
    runner r[] = {{&f, 1}, {&f, 2}};
    skua_submit_options o = {.due_within = SKUA_S(FAR), .retry = {.times = 1, .backoff = 1}};
    SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, fail_once, &t), 0);
    SK_EVENTUALLY(sk_load_acq(&pool->again) == 1); /* it has been queued once more */
    submit_due(pool, 0, 0, cross, &r[1]);
    submit_due(pool, 0, 2 * FAR, cross, &r[0]);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(f.n, 3);
    SK_EXPECT_EQ(f.rank[1], 1);
    SK_EXPECT_EQ(f.rank[2], 2);
    end_pool(pool, rt);
}

SK_TEST(pool_order, the_bound_is_over_what_has_come_and_what_is_in_order)
{
    enum { BOUND = 5 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 1, .queue = BOUND, .when_full = SKUA_FULL_REFUSE);
    for (int round = 0; round < 50; round++) {
        sk_stay s = {.in_turn = true};
        sk_occupy(pool, &s, 1);
        for (int i = 0; i < BOUND; i++) submit_due(pool, 0, FAR, sk_stays, &s);
        if (round % 2) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), -EAGAIN);
        sk_gate_add(&s.leave); /* the rest goes into the heap, one starts */
        SK_EXPECT(sk_gate_await(&s.entered, 2));
        SK_EXPECT(sk_pool_stands_at(pool, 1, BOUND - 1));
        submit_due(pool, 0, FAR, sk_stays, &s);
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), -EAGAIN);
        SK_EXPECT(sk_pool_stands_at(pool, 1, BOUND));
        for (int i = 0; i < BOUND + 2; i++) sk_gate_add(&s.leave);
        sk_pool_await(pool);
    }
    SK_EXPECT_EQ(sk_counts_of(pool).refused, 75);
    end_pool(pool, rt);
}

/* ---- many at once ---- */

typedef struct herd {
    skua_pool *pool;
    sk_crowd crowd;
    sk_gate accepted;
    uint32_t each;
} herd;

static void *drive(void *arg)
{
    herd *h = arg;
    for (uint32_t i = 0; i < h->each; i++) {
        submit_due(h->pool, i % 2, i % 7 * FAR, sk_join_crowd, &h->crowd);
        sk_gate_add(&h->accepted);
    }
    return NULL;
}

static void drive_through(uint32_t limit, uint32_t queue, uint64_t nap)
{
    enum { DRIVERS = 3 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = limit + 1);
    skua_pool *pool = ORDERED(.parent = parent, .limit = limit, .queue = queue, .levels = 2);
    herd h = {.pool = pool, .crowd = {.nap = nap}, .each = (uint32_t)sk_test_scaled(20000)};
    pthread_t threads[DRIVERS];
    for (int i = 0; i < DRIVERS; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, drive, &h), 0);
    for (int i = 0; i < 100; i++) { /* not by the counters, which are read one after the other */
        uint32_t accepted = sk_gate_now(&h.accepted);
        SK_EXPECT((int32_t)(accepted - sk_gate_now(&h.crowd.ran)) <= (int32_t)(2 * queue + limit));
        (void)sk_counts_of(pool);
    }
    for (int i = 0; i < DRIVERS; i++) pthread_join(threads[i], NULL);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&h.crowd.ran), DRIVERS * h.each);
    SK_EXPECT(h.crowd.most <= limit);
    SK_EXPECT_EQ(sk_counts_of(pool).done, DRIVERS * h.each);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    end_pool(parent, rt);
}

SK_TEST(pool_order, nothing_is_lost_and_the_limit_holds)
{
    drive_through(1, 3, 0);
    drive_through(4, 64, 0);
    drive_through(3, 16, SKUA_US(1));
}

/* ---- the end of what is queued ---- */

SK_TEST(pool_order, what_is_queued_is_dropped_and_what_comes_after_a_restart_is_not)
{
    enum { N = 300 };
    skua_runtime *rt = sk_runtime_of(2);
    /* Ageing out of reach, here and elsewhere: only level and deadline say who is next. */
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 1, .levels = 2, .ageing = SKUA_S(3600));
    for (uint64_t round = 1; round <= 30; round++) {
        sk_stay s = {.in_turn = true};
        sk_gate ran = 0, later = 0;
        sk_occupy(pool, &s, 1);
        for (uint32_t i = 0; i < N; i++) submit_due(pool, i % 2, i % 5 * FAR, sk_open, &ran);
        submit_due(pool, 0, 1, sk_stays, &s);
        if (round % 2) { /* in the heap, or still in the ring */
            sk_gate_add(&s.leave);
            SK_EXPECT(sk_gate_await(&s.entered, 2));
        }
        SK_EXPECT_EQ(skua_pool_stop_now(pool, 0), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_pool_restart(pool), 0);
        submit_due(pool, 0, FAR, sk_open, &later);
        for (int i = 0; i < 3; i++) sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        SK_EXPECT_EQ(sk_gate_now(&later), 1);
        SK_EXPECT_EQ(sk_counts_of(pool).dropped, round * N + round / 2);
    }
    end_pool(pool, rt);
}

SK_TEST(pool_order, a_paused_pool_drops_and_a_parent_drops_those_below)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 30; round++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 2);
        skua_pool *pool = ORDERED(.parent = parent, .limit = 2);
        sk_gate ran = 0;
        SK_EXPECT_EQ(skua_pool_pause(round % 2 ? pool : parent), 0);
        for (uint32_t i = 0; i < 200; i++) submit_due(pool, 0, i % 3 * FAR, sk_open, &ran);
        SK_EXPECT_EQ(skua_pool_stop_now(round % 3 ? pool : parent, SKUA_MS(SK_PATIENCE_MS)), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        SK_EXPECT_EQ(sk_counts_of(pool).dropped, 200);
        SK_EXPECT_EQ(sk_counts_of(parent).dropped, 200);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A holder of the baton that is slow, played by the test. */
SK_TEST(pool_order, whoever_has_the_baton_starts_nothing_that_is_dropped_and_sees_to_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 2, .levels = 2);
    for (uint64_t round = 1; round <= 20; round++) {
        sk_gate ran = 0;
        uint32_t idle = 0;
        SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        for (uint32_t i = 0; i < 100; i++) submit_due(pool, i % 2, FAR, sk_open, &ran);
        SK_EVENTUALLY(sk_load_acq(&pool->pumping) == 0);
        SK_EXPECT(sk_cas_sc(&pool->pumping, &idle, 1u));
        SK_EXPECT_EQ(skua_pool_stop_now(pool, 0), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_pool_restart(pool), 0);
        SK_EXPECT(sk_pool_stands_at(pool, 0, 100)); /* it is for the holder to do */
        SK_EXPECT(!sk_backlog_pop(&pool->backlog)); /* who takes nothing out now */
        submit_due(pool, 0, 1, sk_open, &ran);
        sk_xchg_sc(&pool->pumping, 0u);
        sk_pool_look(pool, NULL);
        SK_EVENTUALLY(sk_pool_stands_at(pool, 0, 1)); /* though the pool pauses */
        SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(sk_counts_of(pool).dropped, round * 100);
    }
    end_pool(pool, rt);
}

typedef struct stopper {
    skua_pool *pool;
    sk_gate over;
} stopper;

static void *stop_and_restart(void *arg)
{
    stopper *s = arg;
    while (!sk_gate_now(&s->over)) {
        (void)skua_pool_stop_now(s->pool, SKUA_MS(SK_PATIENCE_MS));
        SK_EXPECT_EQ(skua_pool_restart(s->pool), 0);
        skua_sleep(SKUA_US(200));
    }
    return NULL;
}

SK_TEST(pool_order, stopping_beside_submitters_loses_nothing)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 2, .queue = 64);
    stopper s = {.pool = pool};
    sk_gate ran = 0;
    uint32_t n = (uint32_t)sk_test_scaled(50000), accepted = 0;
    pthread_t thread;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, stop_and_restart, &s), 0);
    for (uint32_t i = 0; i < n; i++) {
        skua_submit_options o = {.due_within = SKUA_S(1 + i % 5)};
        accepted += skua_pool_submit_with(pool, NULL, &o, sk_open, &ran) == 0;
    }
    sk_gate_add(&s.over);
    pthread_join(thread, NULL);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.submitted, accepted);
    SK_EXPECT_EQ(c.done, sk_gate_now(&ran));
    SK_EXPECT_EQ(c.done + c.dropped, accepted);
    end_pool(pool, rt);
}

SK_TEST(pool_order, cancelled_ones_end_and_are_counted)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = ORDERED(.runtime = rt, .limit = 2);
    sk_gate ran = 0;
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    for (uint32_t i = 0; i < 200; i++) submit_due(pool, 0, i % 3 * FAR, sk_open, &ran);
    SK_EXPECT_EQ(skua_pool_cancel(pool), 200);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).cancelled, 200);
    end_pool(pool, rt);
}

SK_TEST(pool_order, options_that_contradict_each_other)
{
    skua_pool *pool;
    skua_pool_options o = {.order = (skua_order)2};
    SK_EXPECT_EQ(skua_pool_create(&pool, &o), -EINVAL);
    o = (skua_pool_options){.order = SKUA_ORDER_DEADLINE, .queue = SKUA_POOL_NO_QUEUE};
    SK_EXPECT_EQ(skua_pool_create(&pool, &o), -ENOTSUP);
    o = (skua_pool_options){.order = SKUA_ORDER_DEADLINE, .when_full = SKUA_FULL_DROP_OLDEST};
    SK_EXPECT_EQ(skua_pool_create(&pool, &o), -ENOTSUP);
}
