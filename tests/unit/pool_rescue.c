/* unit/pool_rescue.c: pools whose pump stands still, played by the test, and the monitor that does its work. */
#include "support/pools.h"

#include "mem/slab.h"
#include "pool/pool.h"

/* As one that has sent the pump, and is stopped before it is in any queue. */
static void hold_pump(skua_pool *pool)
{
    for (;;) {
        sk_pool_watch(pool);
        uint32_t watched = SK_PUMP_WATCHED; /* the monitor may have ended it already */
        if (sk_cas_sc(&pool->pumping, &watched, (uint32_t)(SK_PUMP_WATCHED | SK_PUMP_OUT))) return;
    }
}

static void let_pump_go(skua_pool *pool)
{
    sk_and_sc(&pool->pumping, (uint32_t)~SK_PUMP_OUT);
    SK_EVENTUALLY(sk_load_acq(&pool->pumping) == 0); /* nothing is left to do, so the watch ends */
}

SK_TEST(pool_rescue, the_monitor_starts_what_is_queued_beside_free_slots)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 3, .levels = 2);
    for (int round = 0; round < 5; round++) {
        sk_gate ran = 0;
        hold_pump(pool);
        for (int i = 0; i < 200; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        SK_EXPECT(sk_gate_await(&ran, 200));
        SK_EXPECT(sk_pool_is_pumping(pool));
        let_pump_go(pool);
        sk_pool_await(pool);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_rescue, a_limit_and_a_pause_hold)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    sk_holder holder = {0};
    hold_pump(pool);
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_hold, &holder), 0);
    skua_sleep(SKUA_MS(10));
    SK_EXPECT_EQ(sk_gate_now(&holder.entered), 0);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT(sk_gate_await(&holder.entered, 2));
    skua_sleep(SKUA_MS(10));
    SK_EXPECT_EQ(sk_gate_now(&holder.entered), 2);
    sk_gate_add(&holder.release);
    SK_EXPECT(sk_gate_await(&holder.entered, 5));
    let_pump_go(pool);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The parent's pump is the one that would tell the subpool that a slot is free. */
SK_TEST(pool_rescue, subpools_get_their_slots)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 1), *child = SK_POOL(.runtime = rt, .parent = parent);
    sk_holder holder = {0};
    sk_gate ran = 0;
    SK_EXPECT_EQ(skua_pool_submit(parent, sk_hold, &holder), 0);
    SK_EXPECT(sk_gate_await(&holder.entered, 1));
    for (int i = 0; i < 20; i++) SK_EXPECT_EQ(skua_pool_submit(child, sk_open, &ran), 0);
    SK_EVENTUALLY(sk_load_acq(&child->is_hungry) == 1 && !sk_pool_is_pumping(parent));
    hold_pump(parent);
    sk_gate_add(&holder.release);
    SK_EXPECT(sk_gate_await(&ran, 20));
    sk_pool_await(child);
    let_pump_go(parent);
    SK_EXPECT_EQ(skua_pool_release(child), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#ifdef SK_FAULTS
static uint64_t objects_out(void)
{
    return sk_slab_out();
}
#else
static uint64_t objects_out(void)
{
    return 0; /* they are counted in builds with faults only */
}
#endif

/* A watch outlives its pool, and minds no other life of its memory. */
SK_TEST(pool_rescue, pools_come_and_go_beside_their_watches)
{
    uint64_t out = objects_out();
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 2000; i++) {
        sk_gate ran = 0;
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
        for (int k = 0; k < 3; k++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &ran), 0);
        if (i % 3 == 0) sk_pool_watch(pool);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 3);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT(objects_out() <= out + SK_SLAB_MAGAZINE); /* no watch was forgotten; our thread's caches count */
}
