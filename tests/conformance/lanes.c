/* conformance/lanes.c: behaviour 63: lanes. */
#include "support/pools.h"

enum { KEYS = 8, EACH = 200 };

/* One key: what came last, and whether somebody is at it. */
typedef struct account {
    sk_atomic(uint32_t) inside;
    int booked; /* plain: the lane is its lock */
    sk_gate done;
} account;

typedef struct entry {
    account *account;
    int number;
} entry;

static int book(void *arg)
{
    entry *e = arg;
    SK_EXPECT_EQ(sk_add_ar(&e->account->inside, 1u), 0);
    SK_EXPECT_EQ(e->account->booked, e->number);
    if (e->number % 10 == 0) skua_sleep(SKUA_US(20)); /* on another worker afterwards, perhaps */
    e->account->booked = e->number + 1;
    SK_EXPECT_EQ(sk_sub_ar(&e->account->inside, 1u), 1);
    sk_gate_add(&e->account->done);
    return 0;
}

SK_TEST(conformance, s63_a_lane_runs_its_tasks_one_at_a_time_in_order)
{
    skua_runtime *rt = sk_runtime_of(3);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 4);
    skua_lanes *lanes = NULL;
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool}), 0);
    static account accounts[KEYS];
    static entry entries[KEYS][EACH];
    for (int i = 0; i < EACH; i++)
        for (int k = 0; k < KEYS; k++) {
            entries[k][i] = (entry){&accounts[k], i};
            SK_EXPECT_EQ(skua_lanes_submit(lanes, (uint64_t)(uintptr_t)&accounts[k], book, &entries[k][i]), 0);
        }
    SK_EXPECT_EQ(skua_lanes_wait(lanes, SKUA_MS(SK_PATIENCE_MS)), 0);
    for (int k = 0; k < KEYS; k++) SK_EXPECT_EQ(accounts[k].booked, EACH);
    SK_EXPECT_EQ(sk_counts_of(pool).done, KEYS * EACH); /* each is a task of the pool */
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* One lane stands still, with tasks behind; the others go on. It holds one place of the pool. */
SK_TEST(conformance, s63_other_lanes_go_on_beside_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    skua_lanes *lanes = NULL;
    SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool}), 0);
    sk_stay stay = {0};
    sk_gate ran = 0, behind = 0;
    uint64_t other = 1;
    while (skua_lanes_of_key(lanes, other) == skua_lanes_of_key(lanes, 0)) other++;
    SK_EXPECT_EQ(skua_lanes_submit(lanes, 0, sk_stays, &stay), 0);
    SK_EXPECT(sk_gate_await(&stay.entered, 1));
    SK_EXPECT_EQ(skua_lanes_submit(lanes, 0, sk_open, &behind), 0);
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_lanes_submit(lanes, other, sk_open, &ran), 0);
    SK_EXPECT(sk_gate_await(&ran, 100));
    SK_EXPECT_EQ(sk_gate_now(&behind), 0);
    SK_EVENTUALLY(sk_pool_stands_at(pool, 1, 1));
    SK_EXPECT_EQ(sk_counts_of(pool).free, 1);
    sk_gate_add(&stay.leave);
    SK_EXPECT(sk_gate_await(&behind, 1));
    SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
