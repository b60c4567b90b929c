/*
 * unit/steady.c: nothing is allocated per task in the steady state, whatever stands
 * between the submitter and the task.  After a first round, ten times as many tasks
 * ask the heap for nothing, and the kernel for no more than what a fuller moment
 * than any before may need: a few chunks, however many tasks there are.
 */
#include "support/pools.h"

#include "base/fault.h"

#ifdef SK_FAULTS

enum { FIRST = 2000, MORE = 10 * FIRST, CHUNKS = 8, LIMIT = 16, QUEUE = 64 };

typedef struct steady {
    skua_runtime *rt;
    skua_pool *pool;
    skua_group *group;
    skua_stream *stream;
    skua_lanes *lanes;
    skua_shards *shards;
    sk_gate ran;
} steady;

typedef void steady_way(steady *s, uint32_t n);

static int run(void *arg)
{
    sk_gate_add(&((steady *)arg)->ran);
    return 0;
}

static int run_and_park(void *arg)
{
    int error = skua_sleep(SKUA_US(1));
    return error ? error : run(arg);
}

/* Of each 16 attempts one, with a retry behind it: the count of attempts is its own. */
static int fail_at_times(void *arg)
{
    steady *s = (steady *)arg;
    return sk_add_ar(&s->ran, 1u) % 16 == 0 ? -EAGAIN : 0;
}

static void ended(void *ctx, void *arg, int result)
{
    (void)arg;
    if (result >= 0) sk_gate_add((sk_gate *)ctx);
}

static int in_order(void *arg, int result)
{
    (void)arg;
    return result;
}

static void plain(steady *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(s->pool, i % 2 ? run_and_park : run, s), 0);
    sk_pool_await(s->pool);
}

/* With limits, a retry and a callback. */
static void with_everything(steady *s, uint32_t n)
{
    sk_gate told = 0;
    skua_submit_options o = {.start_within = SKUA_S(1000),
                             .finish_within = SKUA_S(1000),
                             .run_within = SKUA_S(1000),
                             .retry = {.times = 9},
                             .ended = {.fn = ended, .ctx = &told}};
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit_with(s->pool, NULL, &o, fail_at_times, s), 0);
    sk_pool_await(s->pool);
    SK_EXPECT_EQ(sk_gate_now(&told), n);
}

static void futures(steady *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        skua_future future;
        SK_EXPECT_EQ(skua_pool_submit_future(s->pool, &future, NULL, run, s), 0);
        SK_EXPECT_EQ(skua_future_wait(future, SKUA_FOREVER, NULL), 0);
        SK_EXPECT_EQ(skua_future_release(future), 0);
    }
}

static int give_up(void *arg)
{
    run(arg);
    skua_panic_task("as it must");
}

static void faults(steady *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(s->pool, give_up, s), 0);
    sk_pool_await(s->pool);
}

static void in_a_group(steady *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_group_go(s->group, run, s), 0);
    SK_EXPECT_EQ(skua_group_wait(s->group, NULL), 0);
}

static void in_a_stream(steady *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_stream_go(s->stream, run, in_order, s), 0);
    SK_EXPECT_EQ(skua_stream_wait(s->stream, NULL), 0);
}

static void in_lanes(steady *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_lanes_submit(s->lanes, i, run, s), 0);
    SK_EXPECT_EQ(skua_lanes_wait(s->lanes, SKUA_FOREVER), 0);
}

static void in_shards(steady *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_shards_submit(s->shards, run, s), 0);
    SK_EXPECT_EQ(skua_shards_wait(s->shards, SKUA_FOREVER), 0);
}

static void make(steady *s)
{
    skua_pool_options o = {.limit = LIMIT, .queue = QUEUE};
    *s = (steady){.rt = sk_runtime_of(2)};
    o.runtime = s->rt;
    s->pool = sk_pool_with(&o);
    SK_EXPECT_EQ(skua_group_create(&s->group, &(skua_group_options){.runtime = s->rt, .limit = LIMIT}), 0);
    SK_EXPECT_EQ(skua_stream_create(&s->stream, &(skua_stream_options){.runtime = s->rt, .limit = LIMIT}), 0);
    SK_EXPECT_EQ(skua_lanes_create(&s->lanes, &(skua_lanes_options){.pool = s->pool, .lanes = LIMIT}), 0);
    SK_EXPECT_EQ(skua_shards_create(&s->shards, &(skua_shards_options){.pool = o, .n = 2}), 0);
}

static void end(steady *s)
{
    SK_EXPECT_EQ(skua_shards_release(s->shards), 0);
    SK_EXPECT_EQ(skua_lanes_release(s->lanes), 0);
    SK_EXPECT_EQ(skua_stream_release(s->stream), 0);
    SK_EXPECT_EQ(skua_group_release(s->group), 0);
    SK_EXPECT_EQ(skua_pool_release(s->pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(s->rt), 0);
}

static void expect_nothing(steady_way *way)
{
    steady s;
    make(&s);
    way(&s, FIRST);
    uint64_t heap = sk_fault_granted(SK_FAULT_MALLOC), mappings = sk_fault_granted(SK_FAULT_MMAP);
    way(&s, MORE);
    SK_EXPECT_EQ(sk_fault_granted(SK_FAULT_MALLOC), heap);
    SK_EXPECT(sk_fault_granted(SK_FAULT_MMAP) <= mappings + CHUNKS);
    SK_EXPECT(sk_gate_now(&s.ran) >= FIRST + MORE);
    end(&s);
}

SK_TEST(steady, plain_tasks_and_such_as_park)
{
    expect_nothing(plain);
}

SK_TEST(steady, with_limits_retries_and_callbacks)
{
    expect_nothing(with_everything);
}

SK_TEST(steady, futures)
{
    expect_nothing(futures);
}

SK_TEST(steady, tasks_that_give_up)
{
    expect_nothing(faults);
}

SK_TEST(steady, in_a_group)
{
    expect_nothing(in_a_group);
}

SK_TEST(steady, in_a_stream)
{
    expect_nothing(in_a_stream);
}

SK_TEST(steady, in_lanes)
{
    expect_nothing(in_lanes);
}

SK_TEST(steady, in_shards)
{
    expect_nothing(in_shards);
}

#endif
