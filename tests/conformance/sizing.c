/* conformance/sizing.c: behaviours 17 to 25: the limit, which changes live, and how many workers there are. */
#include "support/pools.h"

#include <string.h>

SK_TEST(conformance, s17_a_higher_limit_releases_waiting_submitters_at_once)
{
    enum { WAITING = 6 };
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 30; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .queue = SKUA_POOL_NO_QUEUE);
        sk_stay s = {0};
        sk_submitter waits[WAITING];
        skua_task tasks[WAITING];
        sk_occupy(pool, &s, 2);
        for (int i = 0; i < WAITING; i++) {
            waits[i] = (sk_submitter){pool, sk_stays, &s, 1};
            tasks[i] = sk_spawn_on(rt, sk_submits, &waits[i]);
        }
        SK_EVENTUALLY(sk_counts_of(pool).waiting == WAITING);
        SK_EXPECT_EQ(skua_pool_tune(pool, 3), 0);
        SK_EVENTUALLY(sk_counts_of(pool).waiting == WAITING - 1);
        SK_EXPECT(sk_gate_await(&s.entered, 3));
        SK_EXPECT(sk_pool_stands_at(pool, 3, 0));
        SK_EXPECT_EQ(skua_pool_tune(pool, 8), 0);
        SK_EXPECT(sk_gate_await(&s.entered, 8));
        SK_EVENTUALLY(sk_counts_of(pool).waiting == 0);
        SK_EXPECT(sk_pool_stands_at(pool, 8, 0));
        for (int i = 0; i < WAITING; i++) SK_EXPECT_EQ(skua_join_for(tasks[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        for (int i = 0; i < WAITING; i++) SK_EXPECT_EQ(waits[i].got, 0);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

enum { ABOVE = 10 };

/* The pool, and the one above it (NULL: none), whose limit and places are as they were. */
static void stands_at_and_stays(skua_pool *pool, skua_pool *parent, uint64_t running, uint64_t queued)
{
    SK_EVENTUALLY(sk_pool_stands_at(pool, running, queued));
    skua_sleep(SKUA_MS(2));
    SK_EXPECT(sk_pool_stands_at(pool, running, queued));
    if (!parent) return;
    SK_EVENTUALLY(sk_pool_stands_at(parent, running, queued)); /* a slot is given back below first */
    SK_EXPECT_EQ(sk_counts_of(parent).limit, ABOVE);
    SK_EXPECT_EQ(sk_counts_of(parent).free, ABOVE - running);
}

/* Ten tasks that leave one by one; the limit goes 1, 3, 2, none. */
static void resize_by_steps(skua_pool *pool, skua_pool *parent)
{
    sk_stay s = {.in_turn = true};
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &s), 0);
    stands_at_and_stays(pool, parent, 1, 9);
    SK_EXPECT_EQ(skua_pool_tune(pool, 3), 0);
    stands_at_and_stays(pool, parent, 3, 7);
    SK_EXPECT_EQ(sk_counts_of(pool).limit, 3);
    SK_EXPECT_EQ(skua_pool_tune(pool, 2), 0);
    stands_at_and_stays(pool, parent, 3, 7); /* what runs goes on */
    SK_EXPECT_EQ(sk_counts_of(pool).free, 0);
    sk_gate_add(&s.leave);
    stands_at_and_stays(pool, parent, 2, 7); /* and is not replaced */
    sk_gate_add(&s.leave);
    stands_at_and_stays(pool, parent, 2, 6);
    SK_EXPECT_EQ(skua_pool_tune(pool, 2), 0);
    stands_at_and_stays(pool, parent, 2, 6);
    SK_EXPECT_EQ(skua_pool_tune(pool, 0), 0);
    stands_at_and_stays(pool, parent, 8, 0);
    for (int i = 0; i < 8; i++) sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 10);
}

SK_TEST(conformance, s18_limit_1_3_2_with_exact_counts)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    resize_by_steps(pool, NULL);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s19_the_same_through_a_subpool_the_parents_limit_untouched)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = ABOVE), *pool = SK_POOL(.parent = parent, .limit = 1);
    resize_by_steps(pool, parent);
    SK_EXPECT_EQ(sk_counts_of(parent).limit, 10);
    SK_EXPECT_EQ(sk_counts_of(parent).free, 10);
    SK_EXPECT_EQ(sk_counts_of(parent).done, 10);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s20_limit_0_means_none_and_a_negative_one_is_refused)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = NULL;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = (uint32_t)-1}), -ERANGE);
    SK_EXPECT(pool == NULL);
    pool = SK_POOL(.runtime = rt);
    SK_EXPECT_EQ(sk_counts_of(pool).limit, 0);
    SK_EXPECT(sk_counts_of(pool).free == UINT64_MAX);
    sk_stay s = {0};
    sk_occupy(pool, &s, 500);
    SK_EXPECT(sk_pool_stands_at(pool, 500, 0));
    SK_EXPECT_EQ(skua_pool_tune(pool, (uint32_t)-5), -ERANGE);
    SK_EXPECT_EQ(skua_pool_tune(pool, (uint32_t)SKUA_POOL_LIMIT_MAX + 1), -ERANGE);
    SK_EXPECT_EQ(sk_counts_of(pool).limit, 0);
    SK_EXPECT_EQ(skua_pool_tune(pool, SKUA_POOL_LIMIT_MAX), 0);
    SK_EXPECT_EQ(sk_counts_of(pool).free, SKUA_POOL_LIMIT_MAX - 500);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A third of them may start too late, and a third end too late. */
SK_TEST(conformance, s21_the_limit_is_never_exceeded_with_timeouts)
{
    static const uint32_t limits[] = {1, 10, 100};
    skua_runtime *rt = sk_runtime_of(3);
    for (int i = 0; i < 3; i++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = limits[i]);
        sk_crowd c = {.nap = limits[i] > 1 ? SKUA_US(100) : 0};
        skua_submit_options options[3] = {
            {0}, {.start_within = SKUA_US(300)}, {.finish_within = limits[i] > 1 ? SKUA_US(150) : SKUA_MS(1)}};
        uint32_t n = (uint32_t)sk_test_scaled(10000);
        for (uint32_t k = 0; k < n; k++) {
            SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &options[k % 3], sk_join_crowd, &c), 0);
            if (k % 64 == 0) SK_EXPECT(sk_counts_of(pool).running <= limits[i]);
        }
        SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
        skua_pool_counts counts = sk_counts_of(pool);
        SK_EXPECT_EQ(counts.submitted, n);
        SK_EXPECT_EQ(counts.done + counts.expired, n);
        SK_EXPECT(counts.done >= (n + 2) / 3);           /* those without a deadline */
        SK_EXPECT(limits[i] == 1 || counts.expired > 0); /* they wait behind naps, or the machine is slow */
        SK_EXPECT(sk_gate_now(&c.ran) >= counts.done);
        SK_EXPECT(c.most <= limits[i]);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s22_forty_two_accepted_the_next_refused_and_again_after_draining)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 42, .queue = SKUA_POOL_NO_QUEUE);
    for (int round = 0; round < 20; round++) {
        sk_stay s = {0};
        for (int i = 0; i < 42; i++) SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), 0);
        SK_EXPECT_EQ(skua_pool_try_submit(pool, sk_stays, &s), -EAGAIN);
        SK_EXPECT(sk_pool_stands_at(pool, 42, 0));
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&s.left), 42);
    }
    SK_EXPECT_EQ(sk_counts_of(pool).done, 840);
    SK_EXPECT_EQ(sk_counts_of(pool).refused, 20);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- workers ---- */

static skua_runtime *adjusted(uint32_t least, uint32_t most, skua_adjust adjust)
{
    skua_runtime *rt = NULL;
    skua_runtime_options o = {
        .workers_min = least, .workers_max = most, .adjust = adjust, .adjust_interval = SKUA_MS(1)};
    SK_EXPECT_EQ(skua_runtime_create(&rt, &o), 0);
    return rt;
}

SK_TEST(conformance, s23_the_adjuster_doubles_on_backlog_and_halves_when_idle)
{
    skua_runtime *rt = adjusted(2, 8, SKUA_ADJUST_BACKLOG);
    skua_pool *pool = SK_POOL(.runtime = rt);
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 2); /* ahead of any task */
    sk_holder holder = {0};
    SK_EXPECT_EQ(skua_pool_pause(pool), 0); /* they come all at once: a few, and then a rest, would make it halve */
    for (int i = 0; i < 30; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_hold, &holder), 0);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT(sk_gate_await(&holder.entered, 8)); /* each keeps a worker; more than six are queued beside any eight */
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 8);
    SK_EVENTUALLY(sk_stats_of(rt).grown == 6); /* counted when the last may run already */
    sk_gate_add(&holder.release);
    sk_pool_await(pool);
    SK_EVENTUALLY(sk_stats_of(rt).workers == 2);
    skua_sleep(SKUA_MS(20));
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s24_idle_workers_are_retired_down_to_the_least_or_never)
{
    static const skua_adjust policies[] = {SKUA_ADJUST_BACKLOG, SKUA_ADJUST_FIXED};
    for (int i = 0; i < 2; i++) {
        bool fixed = policies[i] == SKUA_ADJUST_FIXED;
        skua_runtime *rt = adjusted(1, 4, policies[i]);
        skua_pool *pool = SK_POOL(.runtime = rt);
        sk_holder holder = {0};
        for (int k = 0; k < 30; k++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_hold, &holder), 0);
        SK_EXPECT(sk_gate_await(&holder.entered, 4)); /* each keeps a worker */
        SK_EXPECT(sk_stats_of(rt).workers >= 4);
        sk_gate_add(&holder.release);
        sk_pool_await(pool);
        if (!fixed) SK_EVENTUALLY(sk_stats_of(rt).workers == 1);
        skua_sleep(SKUA_MS(50));
        SK_EXPECT_EQ(sk_stats_of(rt).workers, fixed ? 4 : 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

/* Some are spawned by one task, so that they lie in its worker's queue, and are held there. */
typedef struct crew {
    sk_holder holder;
    uint32_t n;
} crew;

static int spawn_crew(void *arg)
{
    crew *c = arg;
    for (uint32_t i = 0; i < c->n; i++) SK_EXPECT_EQ(skua_go(sk_hold, &c->holder), 0);
    return 0;
}

/* How many workers there are for so many tasks that keep one each, of up to 8. */
static uint32_t workers_for(skua_adjust adjust, uint32_t tasks, uint32_t wanted)
{
    skua_runtime *rt = adjusted(1, 8, adjust);
    crew c = {.n = tasks};
    SK_EXPECT_EQ(sk_stats_of(rt).workers, 1);
    SK_EXPECT_EQ(sk_run_on(rt, spawn_crew, &c), 0);
    SK_EVENTUALLY(sk_stats_of(rt).workers >= wanted);
    SK_EXPECT(sk_gate_await(&c.holder.entered, wanted));
    skua_sleep(SKUA_MS(20));
    uint32_t entered = sk_gate_now(&c.holder.entered), workers = sk_stats_of(rt).workers;
    SK_EXPECT(entered <= workers);
    sk_gate_add(&c.holder.release);
    SK_EVENTUALLY(sk_stats_of(rt).done == tasks + 1);
    SK_EVENTUALLY(sk_stats_of(rt).workers == 1); /* they retire alike */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return workers;
}

/* Whether they come to stand at no more than `most`. A sample whose taker loses his processor in the middle of it
   counts tasks twice that are stolen meanwhile, so once in a while there are more. */
static bool comes_to_stand(skua_adjust adjust, uint32_t tasks, uint32_t wanted, uint32_t most)
{
    for (int tries = 0; tries < 20; tries++)
        if (workers_for(adjust, tasks, wanted) <= most) return true;
    return false;
}

/* In which steps they grow is in tests/unit/adjust.c; here is where they come to stand. */
SK_TEST(conformance, s23_eager_balanced_and_lazy_grow_as_they_say)
{
    static const skua_adjust willing[] = {SKUA_ADJUST_EAGER, SKUA_ADJUST_BALANCED};
    for (int i = 0; i < 2; i++) { /* until nothing waits; one more if they were counted before the first had begun */
        SK_EXPECT(comes_to_stand(willing[i], 4, 4, 5));
        SK_EXPECT_EQ(workers_for(willing[i], 30, 8), 8);
    }
    SK_EXPECT(comes_to_stand(SKUA_ADJUST_LAZY, 4, 1, 1));  /* three wait: no more than four for the one */
    SK_EXPECT(comes_to_stand(SKUA_ADJUST_LAZY, 16, 4, 5)); /* until no more than four wait for each */
    SK_EXPECT_EQ(workers_for(SKUA_ADJUST_LAZY, 60, 8), 8);
}

/* Work from outside that waits behind long computations: the lazy come for it, too, one by one. */
SK_TEST(conformance, s23_lazy_serves_work_that_stands)
{
    skua_runtime *rt = adjusted(1, 3, SKUA_ADJUST_LAZY);
    sk_holder holder = {0};
    for (uint32_t i = 1; i <= 3; i++) {
        SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sk_hold, &holder)), 0);
        SK_EXPECT(sk_gate_await(&holder.entered, i));
    }
    sk_gate_add(&holder.release);
    SK_EVENTUALLY(sk_stats_of(rt).done == 3);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Grown to four; then nothing is left to do for `idle` ns. How many there are then. */
static uint32_t workers_after(skua_adjust adjust, uint64_t timeout, uint32_t wanted)
{
    skua_runtime *rt = NULL;
    skua_runtime_options o = {
        .workers_min = 1, .workers_max = 4, .adjust = adjust, .adjust_interval = SKUA_MS(1), .idle_timeout = timeout};
    SK_EXPECT_EQ(skua_runtime_create(&rt, &o), 0);
    sk_holder holder = {0};
    for (int i = 0; i < 30; i++) SK_EXPECT_EQ(skua_detach(sk_spawn_on(rt, sk_hold, &holder)), 0);
    SK_EXPECT(sk_gate_await(&holder.entered, 4));
    sk_gate_add(&holder.release);
    SK_EVENTUALLY(sk_stats_of(rt).done == 30);
    if (wanted < 4) SK_EVENTUALLY(sk_stats_of(rt).workers == wanted);
    skua_sleep(SKUA_MS(250)); /* more than twice the usual timeout */
    uint32_t workers = sk_stats_of(rt).workers;
    SK_EXPECT_EQ(sk_run_on(rt, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return workers;
}

SK_TEST(conformance, s24_an_idle_timeout_of_its_own)
{
    static const skua_adjust policies[] = {SKUA_ADJUST_BACKLOG, SKUA_ADJUST_EAGER, SKUA_ADJUST_BALANCED,
                                           SKUA_ADJUST_LAZY};
    for (int i = 0; i < 4; i++) {
        SK_EXPECT_EQ(workers_after(policies[i], SKUA_MS(5), 1), 1);
        SK_EXPECT_EQ(workers_after(policies[i], SKUA_FOREVER, 4), 4);
    }
    SK_EXPECT_EQ(workers_after(SKUA_ADJUST_BACKLOG, SKUA_S(1000), 4), 4);
}

/* Computes for a moment: what comes meanwhile is seen as a backlog. */
static int compute(void *arg)
{
    for (uint64_t until = skua_now() + SKUA_US(50); skua_now() < until;) sk_cpu_relax();
    return sk_open(arg);
}

/* Bursts, and rests in which workers retire, often enough for some to have met. */
SK_TEST(conformance, s25_retiring_beside_submitting_strands_no_task)
{
    enum { RETIRED = 20 };
    skua_runtime *rt = NULL;
    skua_runtime_options o = {.workers_min = 1,
                              .workers_max = 4,
                              .adjust = SKUA_ADJUST_BACKLOG,
                              .adjust_interval = SKUA_MS(1),
                              .idle_timeout = SKUA_MS(1)};
    SK_EXPECT_EQ(skua_runtime_create(&rt, &o), 0);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 8);
    sk_gate ran = 0;
    uint32_t n = 0, rounds = (uint32_t)sk_test_scaled(300);
    uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS);
    for (uint32_t round = 1; round <= rounds || sk_stats_of(rt).shrunk < RETIRED; round++) {
        uint32_t burst = round * 7 % 40 + 1;
        for (uint32_t i = 0; i < burst; i++) SK_EXPECT_EQ(skua_pool_submit(pool, compute, &ran), 0);
        n += burst;
        skua_sleep(SKUA_US(round * 13 % 4000)); /* some of them long enough to retire */
        if (round % 16 == 0) sk_pool_await(pool);
        if (round > rounds) SK_EXPECT(skua_now() < give_up);
    }
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&ran), n);
    SK_EXPECT_EQ(sk_counts_of(pool).done, n);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
