/* unit/pool_scarce.c: pools and what stands on them without memory, place by place; and futures in strange hands. */
#include "support/pools.h"

#include "base/fault.h"

#ifdef SK_FAULTS

/* Made and freed on a runtime; returns what the making said. */
typedef int sk_maker(skua_runtime *rt);

static int make_pool(skua_runtime *rt)
{
    skua_pool *pool;
    int error = skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .levels = 3});
    return error ? error : skua_pool_release(pool);
}

static int make_ordered_pool(skua_runtime *rt)
{
    skua_pool *pool;
    skua_pool_options o = {.runtime = rt, .levels = 3, .order = SKUA_ORDER_DEADLINE, .queue = 8};
    int error = skua_pool_create(&pool, &o);
    return error ? error : skua_pool_release(pool);
}

static int make_group(skua_runtime *rt)
{
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.runtime = rt, .errors = 3, .limit = 2});
    return error ? error : skua_group_release(group);
}

static int make_stream(skua_runtime *rt)
{
    skua_stream *stream;
    int error = skua_stream_create(&stream, &(skua_stream_options){.runtime = rt, .window = 3});
    return error ? error : skua_stream_release(stream);
}

static int make_lanes(skua_runtime *rt)
{
    skua_pool *pool;
    skua_lanes *lanes;
    int error = skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 2});
    if (error) return error;
    error = skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool, .lanes = 4});
    if (!error) error = skua_lanes_release(lanes);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return error;
}

static int make_shards(skua_runtime *rt)
{
    skua_shards *shards;
    int error = skua_shards_create(&shards, &(skua_shards_options){.pool = {.runtime = rt, .limit = 1}, .n = 3});
    return error ? error : skua_shards_release(shards);
}

static int do_nothing(void *ctx, size_t i)
{
    (void)ctx;
    (void)i;
    return 0;
}

static int make_loop(skua_runtime *rt)
{
    return skua_for_each(&(skua_loop_options){.runtime = rt, .limit = 2}, 4, do_nothing, NULL);
}

/* The first, second, third, ... allocation of a making fails: it says so, leaves nothing, and works the next time. */
SK_TEST(pool_scarce, each_allocation_of_each_maker_fails_once)
{
    static sk_maker *const makers[] = {make_pool,  make_ordered_pool, make_group, make_stream,
                                       make_lanes, make_shards,       make_loop};
    static const sk_fault_site sites[] = {SK_FAULT_MALLOC, SK_FAULT_MMAP};
    skua_runtime *rt = sk_runtime_of(1);
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        for (int site = 0; site < 2; site++) {
            uint64_t hits = 1;
            for (uint64_t n = 1; n < 40 && hits; n++) {
                sk_fault_arm_any(UINT32_C(1) << sites[site], n, false);
                int error = makers[i](rt);
                hits = sk_fault_any_hits();
                sk_fault_reset();
                SK_EXPECT(error == 0 || (error == -ENOMEM && hits));
                SK_EXPECT_EQ(makers[i](rt), 0);
            }
            SK_EXPECT_EQ(hits, 0);
        }
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#endif

static void *let_go(void *future)
{
    SK_EXPECT_EQ(skua_future_release(*(skua_future *)future), 0);
    return NULL;
}

/* The last hand is that of a thread that skua has never seen. */
SK_TEST(pool_scarce, a_strange_thread_frees_a_future)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt);
    for (int i = 0; i < 3; i++) {
        skua_future future;
        pthread_t thread;
        int result = -1;
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &future, NULL, sk_give_0, NULL), 0);
        SK_EXPECT_EQ(skua_future_wait(future, SKUA_FOREVER, &result), 0);
        SK_EXPECT_EQ(result, 0);
        SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, let_go, &future), 0);
        SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
        SK_EXPECT_EQ(skua_future_release(future), -ESRCH);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int leaves_the_bracket_open(void *runs)
{
    sk_gate_add((sk_gate *)runs);
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    return sk_gate_now((sk_gate *)runs) < 3 ? -EIO : 0;
}

SK_TEST(pool_scarce, an_attempt_may_leave_its_blocking_call_open)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_gate runs = 0;
    skua_future future;
    int result = -1;
    skua_submit_options o = {.retry = {.times = 5}};
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &future, &o, leaves_the_bracket_open, &runs), 0);
    SK_EXPECT_EQ(skua_future_wait(future, SKUA_FOREVER, &result), 0);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(sk_gate_now(&runs), 3);
    SK_EXPECT_EQ(skua_future_release(future), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
