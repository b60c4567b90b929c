/* conformance/subpools.c: behaviours 65 to 68. */
#include "support/pools.h"

SK_TEST(conformance, s65_three_subpools_with_limits_1_2_3_on_a_parent_of_7)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 7), *subs[3];
    sk_stay s[3] = {0};
    for (uint32_t i = 0; i < 3; i++) {
        subs[i] = SK_POOL(.parent = parent, .limit = i + 1);
        for (int k = 0; k < 5; k++) SK_EXPECT_EQ(skua_pool_submit(subs[i], sk_stays, &s[i]), 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        SK_EVENTUALLY(sk_pool_stands_at(subs[i], i + 1, 4 - i));
        SK_EXPECT(sk_gate_await(&s[i].entered, i + 1));
    }
    SK_EXPECT(sk_pool_stands_at(parent, 6, 9));
    SK_EXPECT_EQ(sk_counts_of(parent).free, 1);
    skua_sleep(SKUA_MS(2));
    for (uint32_t i = 0; i < 3; i++) SK_EXPECT_EQ(sk_gate_now(&s[i].entered), i + 1);
    for (int i = 0; i < 3; i++) sk_gate_add(&s[i].leave);
    sk_pool_await(parent);
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(sk_counts_of(subs[i]).done, 5);
        SK_EXPECT_EQ(skua_pool_release(subs[i]), 0);
    }
    SK_EXPECT_EQ(sk_counts_of(parent).done, 15);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Many tasks, naps, a parent that is the narrower one. */
SK_TEST(conformance, s65_no_limit_is_exceeded_at_either_level)
{
    skua_runtime *rt = sk_runtime_of(3);
    static const uint32_t widths[] = {7, 4, 1};
    for (int w = 0; w < 3; w++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = widths[w]), *subs[3];
        sk_crowd crowds[3] = {{.nap = SKUA_US(30)}, {.nap = SKUA_US(30)}, {.nap = SKUA_US(30)}};
        for (uint32_t i = 0; i < 3; i++) subs[i] = SK_POOL(.parent = parent, .limit = i + 1, .queue = 50);
        uint32_t n = (uint32_t)sk_test_scaled(1000);
        for (uint32_t k = 0; k < n; k++)
            for (int i = 0; i < 3; i++) {
                SK_EXPECT_EQ(skua_pool_submit(subs[i], sk_join_crowd, &crowds[i]), 0);
                if (k % 64 == 0) SK_EXPECT(sk_counts_of(parent).running <= widths[w]);
            }
        sk_pool_await(parent);
        for (uint32_t i = 0; i < 3; i++) {
            SK_EXPECT(crowds[i].most <= i + 1);
            SK_EXPECT_EQ(sk_gate_now(&crowds[i].ran), n);
            SK_EXPECT_EQ(skua_pool_release(subs[i]), 0);
        }
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int see_cancel(void *unused)
{
    (void)unused;
    skua_cancel(skua_self());
    return skua_sleep(SKUA_S(3600));
}

SK_TEST(conformance, s66_a_childs_counters_roll_up_exactly)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 3), *sub = SK_POOL(.parent = parent, .limit = 1, .queue = 20);
    skua_submit_options soon = {.start_within = SKUA_MS(1)};
    int bad = -EIO;
    sk_stay s = {0};
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_pool_submit(sub, sk_give_0, NULL), 0);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(sub, sk_gives, &bad), 0);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_submit(sub, see_cancel, NULL), 0);
    skua_submit_options twice = {.retry = {.times = 2}};
    SK_EXPECT_EQ(skua_pool_submit_with(sub, NULL, &twice, sk_gives, &bad), 0);
    sk_pool_await(sub);
    sk_occupy(sub, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit_with(sub, NULL, &soon, sk_give_0, NULL), 0);
    for (int i = 0; i < 6; i++) SK_EXPECT_EQ(skua_pool_submit(parent, sk_give_0, NULL), 0);
    SK_EVENTUALLY(sk_pool_stands_at(parent, 1, 1));
    skua_pool_counts p = sk_counts_of(parent), c = sk_counts_of(sub);
    SK_EXPECT_EQ(c.submitted, 12);
    SK_EXPECT_EQ(p.submitted, 18);
    skua_sleep(SKUA_MS(5));
    sk_gate_add(&s.leave);
    sk_pool_await(parent);
    p = sk_counts_of(parent), c = sk_counts_of(sub);
    SK_EXPECT_EQ(c.done, 5);
    SK_EXPECT_EQ(p.done, 11);
    SK_EXPECT_EQ(c.failed, 4);
    SK_EXPECT_EQ(p.failed, 4);
    SK_EXPECT_EQ(c.retried, 2);
    SK_EXPECT_EQ(p.retried, 2);
    SK_EXPECT_EQ(c.cancelled, 2);
    SK_EXPECT_EQ(p.cancelled, 2);
    SK_EXPECT_EQ(c.expired, 1);
    SK_EXPECT_EQ(p.expired, 1);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(sk_counts_of(parent).submitted, 18); /* and stay */
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s66_what_a_child_drops_is_counted_above_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 3), *sub = SK_POOL(.parent = parent, .limit = 1);
    sk_stay s = {0};
    sk_occupy(sub, &s, 1);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(sub, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_stop_now(sub, 0), -ETIMEDOUT);
    SK_EXPECT(sk_pool_stands_at(parent, 1, 0));
    sk_gate_add(&s.leave);
    sk_pool_await(parent);
    skua_pool_counts of[2] = {sk_counts_of(sub), sk_counts_of(parent)};
    for (int i = 0; i < 2; i++) {
        SK_EXPECT_EQ(of[i].submitted, 4);
        SK_EXPECT_EQ(of[i].done, 1);
        SK_EXPECT_EQ(of[i].dropped, 3);
    }
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(sk_counts_of(parent).dropped, 3);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s67_a_childs_queue_and_policy_override_the_parents)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 1, .queue = 2, .when_full = SKUA_FULL_REFUSE);
    skua_pool *keeps = SK_POOL(.parent = parent, .limit = 5, .queue = 4, .when_full = SKUA_FULL_DROP_OLDEST);
    skua_pool *none = SK_POOL(.parent = parent, .limit = 5, .queue = SKUA_POOL_NO_QUEUE);
    sk_stay s = {0};
    sk_gate ran = 0;
    sk_occupy(parent, &s, 1);
    for (int i = 0; i < 6; i++) SK_EXPECT_EQ(skua_pool_submit(keeps, sk_open, &ran), 0);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_submit(parent, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_submit(parent, sk_open, &ran), -EAGAIN);
    SK_EXPECT_EQ(skua_pool_try_submit(none, sk_open, &ran), -EAGAIN);
    SK_EXPECT_EQ(sk_counts_of(keeps).queued, 4);
    SK_EXPECT_EQ(sk_counts_of(keeps).dropped, 2);
    SK_EXPECT_EQ(sk_counts_of(keeps).queue, 4);
    SK_EXPECT_EQ(sk_counts_of(none).queue, 0);
    SK_EXPECT_EQ(sk_counts_of(none).refused, 1);
    SK_EXPECT_EQ(sk_counts_of(parent).queue, 2);
    SK_EXPECT_EQ(sk_counts_of(parent).queued, 6);
    SK_EXPECT_EQ(sk_counts_of(parent).dropped, 2);
    SK_EXPECT_EQ(sk_counts_of(parent).submitted, 9);
    sk_gate_add(&s.leave);
    sk_pool_await(parent);
    SK_EXPECT_EQ(sk_gate_now(&ran), 6);
    SK_EXPECT_EQ(skua_pool_release(keeps), 0);
    SK_EXPECT_EQ(skua_pool_release(none), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(conformance, s68_stopping_a_child_leaves_the_parent_usable)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int now = 0; now < 2; now++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 2), *sub = SK_POOL(.parent = parent, .limit = 1),
                  *sister = SK_POOL(.parent = parent, .limit = 1);
        sk_gate ran = 0;
        for (int i = 0; i < 50; i++) SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), 0);
        SK_EXPECT_EQ((now ? skua_pool_stop_now : skua_pool_stop)(sub, SKUA_MS(SK_PATIENCE_MS)), 0);
        SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), -ESHUTDOWN);
        uint32_t before = sk_gate_now(&ran);
        SK_EXPECT_EQ(sk_counts_of(sub).done, before);
        for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit(parent, sk_open, &ran), 0);
        for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit(sister, sk_open, &ran), 0);
        sk_pool_await(parent);
        SK_EXPECT_EQ(sk_gate_now(&ran), before + 20);
        SK_EXPECT_EQ(skua_pool_release(sub), 0);
        SK_EXPECT_EQ(skua_pool_submit(parent, sk_open, &ran), 0);
        SK_EXPECT_EQ(skua_pool_release(sister), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), before + 21);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The other direction: a stopped parent refuses what its subpools are given, too. */
SK_TEST(conformance, s68_stopping_a_parent_stops_its_subpools)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 2), *sub = SK_POOL(.parent = parent, .limit = 1);
    sk_stay s = {0};
    sk_gate ran = 0;
    sk_occupy(sub, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_stop(parent, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_try_submit(sub, sk_open, &ran), -ESHUTDOWN);
    sk_gate_add(&s.leave);
    SK_EXPECT_EQ(skua_pool_stop(parent, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1); /* what had been accepted has run */
    SK_EXPECT_EQ(skua_pool_restart(parent), 0);
    SK_EXPECT_EQ(skua_pool_submit(sub, sk_open, &ran), 0);
    sk_pool_await(parent);
    SK_EXPECT_EQ(sk_gate_now(&ran), 2);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
