/* unit/pool_sub.c: subpools: slots of several levels, hunger, the end of a family. */
#include "support/pools.h"

enum { DEPTH = 3 };

typedef struct family {
    skua_runtime *rt;
    skua_pool *level[DEPTH];
} family;

static family make_family(const uint32_t *limits, uint32_t queue)
{
    family f = {.rt = sk_runtime_of(2)};
    for (int i = 0; i < DEPTH; i++)
        f.level[i] = SK_POOL(.runtime = f.rt, .limit = limits[i], .queue = queue, .parent = i ? f.level[i - 1] : NULL);
    return f;
}

static void release_family(family *f)
{
    for (int i = DEPTH; i-- > 0;) SK_EXPECT_EQ(skua_pool_release(f->level[i]), 0);
    SK_EXPECT_EQ(skua_runtime_release(f->rt), 0);
}

typedef struct feeder {
    skua_pool *pool;
    sk_crowd *crowd;
    uint32_t n;
} feeder;

static void *feed(void *arg)
{
    feeder *f = arg;
    for (uint32_t i = 0; i < f->n; i++) SK_EXPECT_EQ(skua_pool_submit(f->pool, sk_join_crowd, f->crowd), 0);
    return NULL;
}

/* All levels are given more than they can do, from a thread each; the limits hold, and all of it ends. */
static void saturate(const uint32_t *limits, uint32_t queue)
{
    family f = make_family(limits, queue);
    sk_crowd crowds[DEPTH] = {{.nap = SKUA_US(10)}, {.nap = SKUA_US(10)}, {.nap = SKUA_US(10)}};
    feeder feeders[DEPTH];
    pthread_t threads[DEPTH];
    uint32_t n = (uint32_t)sk_test_scaled(1500);
    for (int i = 0; i < DEPTH; i++) {
        feeders[i] = (feeder){f.level[i], &crowds[i], n};
        SK_EXPECT_EQ(pthread_create(&threads[i], NULL, feed, &feeders[i]), 0);
    }
    for (int i = 0; i < DEPTH; i++) pthread_join(threads[i], NULL);
    sk_pool_await(f.level[0]);
    for (int i = 0; i < DEPTH; i++) {
        SK_EXPECT_EQ(sk_gate_now(&crowds[i].ran), n);
        SK_EXPECT(crowds[i].most <= limits[i]);
        skua_pool_counts c = sk_counts_of(f.level[i]);
        SK_EXPECT_EQ(c.done, (uint64_t)n * (uint64_t)(DEPTH - i)); /* exact at each level once the top is at rest */
        SK_EXPECT_EQ(c.submitted, c.done);
        SK_EXPECT(sk_pool_stands_at(f.level[i], 0, 0));
    }
    release_family(&f);
}

SK_TEST(pool_sub, three_levels_each_saturated)
{
    saturate((const uint32_t[]){4, 3, 2}, 16);
}

SK_TEST(pool_sub, a_parent_that_is_the_narrowest)
{
    saturate((const uint32_t[]){1, 5, 9}, 16);
}

SK_TEST(pool_sub, a_middle_that_is_the_narrowest)
{
    saturate((const uint32_t[]){5, 1, 9}, 1);
}

SK_TEST(pool_sub, three_levels_without_queues)
{
    saturate((const uint32_t[]){4, 3, 2}, SKUA_POOL_NO_QUEUE);
}

SK_TEST(pool_sub, three_levels_of_one_without_queues)
{
    saturate((const uint32_t[]){1, 1, 1}, SKUA_POOL_NO_QUEUE);
}

/* ---- nobody starves ---- */

typedef struct load {
    skua_pool *pool;
    sk_gate ran, over;
} load;

static int keep_busy(void *arg)
{
    load *l = arg;
    sk_gate_add(&l->ran);
    skua_sleep(SKUA_US(20));
    int error = sk_gate_now(&l->over) ? 0 : skua_pool_submit(l->pool, keep_busy, l);
    SK_EXPECT(error == 0 || error == -EDEADLK);
    return 0;
}

/* The parent and two children always have tasks queued; each goes on all the time. */
SK_TEST(pool_sub, parent_and_children_saturated_none_starves)
{
    static const uint32_t limits[] = {1, 2, 4};
    skua_runtime *rt = sk_runtime_of(2);
    for (int k = 0; k < 3; k++) {
        load loads[3] = {0};
        loads[0].pool = SK_POOL(.runtime = rt, .limit = limits[k]);
        for (int i = 1; i < 3; i++) loads[i].pool = SK_POOL(.parent = loads[0].pool, .limit = 4);
        for (int i = 0; i < 3; i++)
            for (int n = 0; n < 20; n++) SK_EXPECT_EQ(skua_pool_submit(loads[i].pool, keep_busy, &loads[i]), 0);
        for (uint32_t round = 0; round < 5; round++)
            for (int i = 0; i < 3; i++) SK_EXPECT(sk_gate_await(&loads[i].ran, sk_gate_now(&loads[i].ran) + 20));
        for (int i = 0; i < 3; i++) sk_gate_add(&loads[i].over);
        sk_pool_await(loads[0].pool);
        for (int i = 2; i >= 0; i--) SK_EXPECT_EQ(skua_pool_release(loads[i].pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A child's slot is free, and the parent has none: whoever waits there is told when the parent has one again. */
SK_TEST(pool_sub, who_waits_in_a_child_hears_of_the_parents_slot)
{
    static const uint32_t queues[] = {SKUA_POOL_NO_QUEUE, 1};
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 60; round++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 1),
                  *child = SK_POOL(.parent = parent, .limit = 1, .queue = queues[round % 2]);
        sk_stay in_child = {0}, in_parent = {0};
        sk_gate ran = 0;
        sk_submitter waits = {child, sk_open, &ran, 1};
        sk_occupy(child, &in_child, 1);
        if (round % 2) SK_EXPECT_EQ(skua_pool_submit(child, sk_open, &ran), 0);
        SK_EXPECT_EQ(skua_pool_submit(parent, sk_stays, &in_parent), 0);
        skua_task t = sk_spawn_on(rt, sk_submits, &waits);
        SK_EVENTUALLY(sk_counts_of(child).waiting == 1);
        sk_gate_add(&in_child.leave); /* the parent's own task may be the next to get the slot */
        if (round % 4 < 2) SK_EXPECT(sk_gate_await(&in_child.left, 1));
        sk_gate_add(&in_parent.leave);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(waits.got, 0);
        sk_pool_await(parent);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1u + (uint32_t)(round % 2));
        SK_EXPECT_EQ(skua_pool_release(child), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Tuning, pausing and resuming the top is heard at the bottom. */
SK_TEST(pool_sub, the_bottom_hears_of_the_tops_limit)
{
    for (int queueless = 0; queueless < 2; queueless++) {
        family f = make_family((const uint32_t[]){1, 9, 9}, queueless ? SKUA_POOL_NO_QUEUE : 16);
        sk_stay top = {0}, bottom = {0};
        sk_submitter waits[4];
        skua_task tasks[4];
        sk_occupy(f.level[0], &top, 1);
        for (int i = 0; i < 4; i++) {
            waits[i] = (sk_submitter){f.level[2], sk_stays, &bottom, 1};
            tasks[i] = sk_spawn_on(f.rt, sk_submits, &waits[i]);
        }
        SK_EVENTUALLY(queueless ? sk_counts_of(f.level[2]).waiting == 4 : sk_counts_of(f.level[2]).queued == 4);
        SK_EXPECT_EQ(skua_pool_tune(f.level[0], 3), 0);
        SK_EXPECT(sk_gate_await(&bottom.entered, 2));
        SK_EVENTUALLY(sk_counts_of(f.level[0]).running == 3);
        SK_EXPECT_EQ(skua_pool_pause(f.level[0]), 0);
        SK_EXPECT_EQ(skua_pool_tune(f.level[0], 0), 0);
        skua_sleep(SKUA_MS(1));
        SK_EXPECT_EQ(sk_gate_now(&bottom.entered), 2);
        SK_EXPECT_EQ(skua_pool_resume(f.level[0]), 0);
        SK_EXPECT(sk_gate_await(&bottom.entered, 4));
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_join_for(tasks[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        sk_gate_add(&top.leave);
        sk_gate_add(&bottom.leave);
        release_family(&f);
    }
}

/* ---- the end ---- */

SK_TEST(pool_sub, a_parent_is_not_released_before_its_children)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 2), *child = SK_POOL(.parent = parent), *another = NULL;
    SK_EXPECT_EQ(skua_pool_release(parent), -EBUSY);
    SK_EXPECT_EQ(skua_pool_release(parent), -EBUSY);
    SK_EXPECT_EQ(skua_pool_submit(parent, sk_give_0, NULL), -ESHUTDOWN); /* it stays stopped */
    SK_EXPECT_EQ(skua_pool_create(&another, &(skua_pool_options){.parent = parent}), -ESHUTDOWN);
    SK_EXPECT(another == NULL);
    SK_EXPECT_EQ(skua_pool_release(child), 0);
    SK_EXPECT_EQ(skua_pool_release(child), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* It was refused a slot above, stands in the list there, and the parent stays full, or paused. */
SK_TEST(pool_sub, a_hungry_child_is_released_under_a_full_parent)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int paused = 0; paused < 2; paused++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 1),
                  *child = SK_POOL(.parent = parent, .queue = SKUA_POOL_NO_QUEUE);
        sk_stay s = {0};
        if (!paused) sk_occupy(parent, &s, 1);
        if (paused) SK_EXPECT_EQ(skua_pool_pause(parent), 0);
        SK_EXPECT_EQ(skua_pool_try_submit(child, sk_give_0, NULL), -EAGAIN);
        SK_EXPECT_EQ(skua_pool_release(child), 0);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_resume(parent), 0);
        SK_EXPECT_EQ(skua_pool_run(parent, sk_give_0, NULL, NULL), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_sub, cancelling_the_top_reaches_three_levels)
{
    family f = make_family((const uint32_t[]){6, 4, 2}, 64);
    sk_stay s = {0};
    for (int i = 0; i < DEPTH; i++) sk_occupy(f.level[i], &s, 2);
    for (int i = 0; i < DEPTH; i++)
        for (int k = 0; k < 10; k++) SK_EXPECT_EQ(skua_pool_submit(f.level[i], sk_stays, &s), 0);
    SK_EVENTUALLY(sk_pool_stands_at(f.level[0], 6, 30));
    SK_EXPECT(sk_gate_await(&s.slept, 6));
    SK_EXPECT_EQ(skua_pool_cancel(f.level[0]), 36);
    sk_pool_await(f.level[0]);
    for (int i = 0; i < DEPTH; i++) {
        SK_EXPECT_EQ(sk_counts_of(f.level[i]).cancelled, 12u * (uint32_t)(DEPTH - i));
        SK_EXPECT_EQ(sk_counts_of(f.level[i]).done, 0);
    }
    SK_EXPECT_EQ(sk_gate_now(&s.entered), 6);
    release_family(&f);
}

/* Stopped at the top: what is queued at the bottom is dropped, who waits there is refused. */
SK_TEST(pool_sub, stopping_the_top_at_once_drops_at_three_levels)
{
    for (int paused = 0; paused < 2; paused++) {
        family f = make_family((const uint32_t[]){3, 2, 1}, 4);
        sk_stay s = {0};
        sk_gate ran = 0;
        sk_submitter waits = {f.level[2], sk_open, &ran, 1};
        for (int i = 0; i < DEPTH; i++) sk_occupy(f.level[i], &s, 1);
        if (paused)
            for (int i = 0; i < DEPTH; i++) SK_EXPECT_EQ(skua_pool_pause(f.level[i]), 0);
        for (int i = 0; i < DEPTH; i++)
            for (int k = 0; k < 4; k++) SK_EXPECT_EQ(skua_pool_submit(f.level[i], sk_open, &ran), 0);
        skua_task t = sk_spawn_on(f.rt, sk_submits, &waits);
        SK_EVENTUALLY(sk_counts_of(f.level[2]).waiting == 1);
        SK_EXPECT_EQ(skua_pool_stop_now(f.level[0], SKUA_MS(1)), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(waits.got, -ESHUTDOWN);
        SK_EXPECT_EQ(sk_counts_of(f.level[0]).dropped, 12);
        SK_EXPECT_EQ(sk_counts_of(f.level[2]).dropped, 4);
        sk_gate_add(&s.leave);
        SK_EXPECT_EQ(skua_pool_stop_now(f.level[0], SKUA_MS(SK_PATIENCE_MS)), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        release_family(&f);
    }
}

static void *submit_until_refused(void *arg)
{
    load *l = arg;
    int error;
    while ((error = skua_pool_submit(l->pool, sk_open, &l->ran)) == 0) sk_gate_add(&l->over);
    SK_EXPECT_EQ(error, -ESHUTDOWN);
    return NULL;
}

/* A parent stops while its children are fed from other threads: nothing is lost, and nothing starts afterwards. */
SK_TEST(pool_sub, stopping_the_parent_beside_submitters_of_a_child)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 40; round++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 2);
        load l = {.pool = SK_POOL(.parent = parent, .limit = 1, .queue = round % 2 ? 4 : SKUA_POOL_NO_QUEUE)};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, submit_until_refused, &l), 0);
        SK_EXPECT(sk_gate_await(&l.ran, 20));
        SK_EXPECT_EQ((round / 2 % 2 ? skua_pool_stop : skua_pool_stop_now)(parent, SKUA_MS(SK_PATIENCE_MS)), 0);
        uint32_t ran = sk_gate_now(&l.ran);
        for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
        SK_EXPECT_EQ(sk_gate_now(&l.ran), ran);
        skua_pool_counts c = sk_counts_of(parent);
        SK_EXPECT_EQ(c.submitted, sk_gate_now(&l.over));
        SK_EXPECT_EQ(c.done, ran);
        SK_EXPECT_EQ(c.dropped, c.submitted - ran);
        SK_EXPECT_EQ(skua_pool_release(l.pool), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
