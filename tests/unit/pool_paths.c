/*
 * unit/pool_paths.c: seldom taken ways through pools and what stands on them: the first use of each module without
 * memory, callers of another runtime, options at the edge.
 */
#include "support/child.h"
#include "support/pools.h"

#include "base/fault.h"
#include "pool/pool.h"
#include "runtime/shutdown.h"

#include <string.h>

/* ---- first use ---- */

#ifdef SK_FAULTS

typedef int first_use(skua_pool *pool);

/*
 * The first, second, third, ... allocation fails, until it works: so what the process makes once, on first use, is
 * tried again each time.  Other than in pool_scarce.c it has not been made by a success before.
 */
static void use_first(first_use *use)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    int error = -ENOMEM;
    for (uint64_t n = 1; n < 40 && error; n++) {
        sk_fault_arm_any(UINT32_C(1) << SK_FAULT_MALLOC | UINT32_C(1) << SK_FAULT_MMAP, n, false);
        error = use(pool);
        uint64_t hits = sk_fault_any_hits();
        sk_fault_reset();
        SK_EXPECT(error == 0 || (error == -ENOMEM && hits));
    }
    SK_EXPECT_EQ(error, 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int use_lanes(skua_pool *pool)
{
    skua_lanes *lanes;
    int error = skua_lanes_create(&lanes, &(skua_lanes_options){.pool = pool, .lanes = 4});
    return error ? error : skua_lanes_release(lanes);
}

static int use_group(skua_pool *pool)
{
    skua_group *group;
    int error = skua_group_create(&group, &(skua_group_options){.pool = pool, .errors = 2});
    return error ? error : skua_group_release(group);
}

static int use_stream(skua_pool *pool)
{
    skua_stream *stream;
    int error = skua_stream_create(&stream, &(skua_stream_options){.pool = pool, .window = 2});
    return error ? error : skua_stream_release(stream);
}

static int use_shards(skua_pool *pool)
{
    skua_shards *shards;
    skua_shards_options o = {.pool = {.runtime = pool->owner.runtime, .limit = 1}, .n = 2};
    int error = skua_shards_create(&shards, &o);
    return error ? error : skua_shards_release(shards);
}

static int use_future(skua_pool *pool)
{
    skua_future f;
    int error = skua_pool_submit_future(pool, &f, NULL, sk_give_0, NULL);
    return error ? error : skua_future_release(f);
}

static int use_measured(skua_pool *pool)
{
    skua_pool *sub;
    int error = skua_pool_create(&sub, &(skua_pool_options){.parent = pool, .measure = true, .limit = 1});
    return error ? error : skua_pool_release(sub);
}

SK_TEST(first_use, of_lanes)
{
    use_first(use_lanes);
}

SK_TEST(first_use, of_groups)
{
    use_first(use_group);
}

SK_TEST(first_use, of_streams)
{
    use_first(use_stream);
}

SK_TEST(first_use, of_shards)
{
    use_first(use_shards);
}

SK_TEST(first_use, of_futures)
{
    use_first(use_future);
}

SK_TEST(first_use, of_a_measured_subpool)
{
    use_first(use_measured);
}

SK_TEST(first_use, of_the_default_pool)
{
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT(!skua_pool_default());
    sk_fault_reset();
    skua_pool *pool = skua_pool_default();
    SK_EXPECT(pool && skua_pool_default() == pool);
    SK_EXPECT_EQ(skua_pool_run(pool, sk_give_0, NULL, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

typedef struct strange {
    skua_pool *pool, *full;
    skua_task_storage storage;
} strange;

/* A thread that can have no record. */
static void *submit_without_record(void *arg)
{
    strange *s = arg;
    skua_future f;
    sk_fault_arm(SK_FAULT_KEY, 1, true);
    SK_EXPECT_EQ(skua_pool_submit(s->pool, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_submit_future(s->pool, &f, NULL, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_submit_batch(s->pool, 3, sk_give_0, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_run(s->pool, sk_give_0, NULL, NULL), -ENOMEM);
    SK_EXPECT_EQ(skua_pool_submit_stored(s->full, &s->storage), -ENOMEM); /* its policy is to run it here */
    SK_EXPECT_EQ(skua_stored_is_idle(&s->storage), 1);
    sk_fault_reset();
    SK_EXPECT_EQ(skua_pool_submit_stored(s->full, &s->storage), 0);
    return NULL;
}

SK_TEST(first_use, by_a_thread_without_a_record)
{
    skua_runtime *rt = sk_runtime_of(1);
    strange s = {.pool = SK_POOL(.runtime = rt),
                 .full = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN)};
    sk_stay stay = {0};
    pthread_t thread;
    SK_EXPECT_EQ(skua_task_init(&s.storage, sk_give_0, NULL), 0);
    sk_occupy(s.full, &stay, 1);
    SK_EXPECT_EQ(skua_pool_submit(s.full, sk_stays, &stay), 0);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, submit_without_record, &s), 0);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(sk_counts_of(s.pool).submitted, 0);
    SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    SK_EXPECT_EQ(skua_pool_release(s.full), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#endif

/* ---- one call within another ---- */

typedef struct nest {
    skua_pool *outer, *inner;
    sk_stay stay;
    int outer_wait, inner_wait, other_wait;
} nest;

static int in_the_inner(void *arg)
{
    nest *n = arg;
    n->inner_wait = skua_pool_wait(n->inner, SKUA_FOREVER);
    n->outer_wait = skua_pool_wait(n->outer, SKUA_FOREVER);
    return 0;
}

static int in_the_outer(void *arg)
{
    nest *n = arg;
    return skua_pool_submit(n->inner, in_the_inner, n);
}

static int submit_to_the_outer(void *arg)
{
    nest *n = arg;
    return skua_pool_submit(n->outer, in_the_outer, n);
}

/* Two pools whose submitters run their tasks: who does so for one within the other waits for neither. */
SK_TEST(pool_paths, a_submitter_runs_a_task_within_another)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int as_task = 0; as_task < 2; as_task++) {
        nest n = {.outer = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN),
                  .inner = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN)};
        skua_pool *pools[2] = {n.outer, n.inner};
        for (int i = 0; i < 2; i++) sk_occupy(pools[i], &n.stay, 1);
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_submit(pools[i], sk_stays, &n.stay), 0);
        SK_EXPECT_EQ(as_task ? sk_run_on(rt, submit_to_the_outer, &n) : submit_to_the_outer(&n), 0);
        SK_EXPECT_EQ(n.inner_wait, -EDEADLK);
        SK_EXPECT_EQ(n.outer_wait, -EDEADLK);
        sk_gate_add(&n.stay.leave);
        for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_release(pools[i]), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_below(void *arg)
{
    nest *n = arg;
    SK_EXPECT_EQ(skua_pool_submit(n->inner, sk_give_0, NULL), 0);
    n->inner_wait = skua_pool_wait(n->inner, SKUA_FOREVER);
    return 0;
}

/* The only place of the family is its own. */
SK_TEST(pool_paths, a_task_waits_in_vain_for_a_subpool)
{
    skua_runtime *rt = sk_runtime_of(2);
    nest n = {.outer = SK_POOL(.runtime = rt, .limit = 1)};
    n.inner = SK_POOL(.parent = n.outer);
    SK_EXPECT_EQ(skua_pool_submit(n.outer, wait_below, &n), 0);
    sk_pool_await(n.outer);
    SK_EXPECT_EQ(n.inner_wait, -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(n.inner), 0);
    SK_EXPECT_EQ(skua_pool_release(n.outer), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int submit_two(void *arg)
{
    nest *n = arg;
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_pool_submit(n->inner, sk_give_0, NULL), 0);
    return 0;
}

/* It waits for room beside one that goes on, and looks now and then whether it is alone by now. */
SK_TEST(pool_paths, a_task_of_a_subpool_waits_for_room_in_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    nest n = {.outer = SK_POOL(.runtime = rt)};
    n.inner = SK_POOL(.parent = n.outer, .limit = 2, .queue = 1);
    sk_occupy(n.inner, &n.stay, 1);
    SK_EXPECT_EQ(skua_pool_submit(n.inner, submit_two, &n), 0);
    SK_EVENTUALLY(sk_counts_of(n.inner).waiting == 1);
    skua_sleep(SKUA_MS(250));
    SK_EVENTUALLY(sk_counts_of(n.inner).waiting == 1); /* not so for a moment while it looks */
    sk_gate_add(&n.stay.leave);
    sk_pool_await(n.inner);
    SK_EXPECT_EQ(sk_counts_of(n.inner).done, 4);
    SK_EXPECT_EQ(skua_pool_release(n.inner), 0);
    SK_EXPECT_EQ(skua_pool_release(n.outer), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct own_future {
    skua_pool *pool;
    skua_future f;
    int found;
} own_future;

static int wait_for_itself(void *arg)
{
    own_future *o = arg;
    o->found = skua_future_wait(o->f, SKUA_FOREVER, NULL);
    return 0;
}

static int submit_for_itself(void *arg)
{
    own_future *o = arg;
    SK_EXPECT_EQ(skua_pool_submit_future(o->pool, &o->f, NULL, wait_for_itself, o), 0);
    return skua_future_release(o->f);
}

/* Whoever runs it. */
SK_TEST(pool_paths, a_task_waits_for_its_own_future)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
    sk_stay stay = {0};
    sk_occupy(pool, &stay, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &stay), 0);
    for (int as_task = 0; as_task < 2; as_task++) {
        own_future o = {.pool = pool};
        SK_EXPECT_EQ(as_task ? sk_run_on(rt, submit_for_itself, &o) : submit_for_itself(&o), 0);
        SK_EXPECT_EQ(o.found, -EDEADLK);
    }
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A handle is of a task, so a submitter who wants one does not run it himself. */
SK_TEST(pool_paths, who_wants_a_handle_is_refused)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
    sk_stay stay = {0};
    skua_task task;
    sk_occupy(pool, &stay, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_stays, &stay), 0);
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, NULL, sk_give_0, NULL), -EAGAIN);
    SK_EXPECT_EQ(sk_counts_of(pool).refused, 1);
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- callers that are tasks ---- */

typedef struct visitor {
    skua_pool *pool;
    skua_lanes *lanes;
    skua_stream *stream;
    skua_shards *shards;
    sk_gate begun, gate, calls;
    int found;
} visitor;

static int submit_as_visitor(void *arg)
{
    visitor *v = arg;
    skua_submit_options no_such_level = {.level = 1};
    SK_EXPECT_EQ(skua_pool_submit_with(v->pool, NULL, &no_such_level, sk_give_0, NULL), -EDOM);
    for (int i = 0; i < 200; i++) SK_EXPECT_EQ(skua_pool_submit(v->pool, sk_open, &v->gate), 0);
    return 0;
}

/* Of the pool's runtime, with more than goes straight to its worker; and of another one. */
SK_TEST(pool_paths, tasks_of_two_runtimes_submit)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    visitor v = {.pool = SK_POOL(.runtime = rt)};
    SK_EXPECT_EQ(sk_run_on(rt, submit_as_visitor, &v), 0);
    SK_EXPECT_EQ(sk_run_on(other, submit_as_visitor, &v), 0);
    sk_pool_await(v.pool);
    SK_EXPECT_EQ(sk_gate_now(&v.gate), 400);
    SK_EXPECT_EQ(skua_pool_release(v.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int release_lanes(void *arg)
{
    visitor *v = arg;
    sk_gate_add(&v->begun);
    v->found = skua_lanes_release(v->lanes);
    return 0;
}

/* A release whose caller is cancelled leaves the lanes, which can be released again. */
SK_TEST(pool_paths, a_cancelled_release_of_lanes)
{
    skua_runtime *rt = sk_runtime_of(2);
    visitor v = {.found = 1};
    sk_stay stay = {0};
    SK_EXPECT_EQ(skua_lanes_create(&v.lanes, &(skua_lanes_options){.runtime = rt}), 0);
    SK_EXPECT_EQ(skua_lanes_submit(v.lanes, 1, sk_stays, &stay), 0);
    SK_EXPECT(sk_gate_await(&stay.entered, 1));
    skua_task t = sk_spawn_on(rt, release_lanes, &v);
    SK_EXPECT(sk_gate_await(&v.begun, 1));
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(v.found, -ECANCELED);
    SK_EXPECT_EQ(skua_lanes_submit(v.lanes, 1, sk_give_0, NULL), -ESHUTDOWN); /* they stay stopped */
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_lanes_release(v.lanes), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int release_shards(void *arg)
{
    visitor *v = arg;
    SK_EXPECT_EQ(skua_cancel(skua_self()), 0);
    sk_gate_add(&v->begun);
    v->found = skua_shards_release(v->shards);
    return 0;
}

/* A cancelled caller frees shards that are at rest, though their pump is not off yet: that is played by hand. */
SK_TEST(pool_paths, shards_are_freed_whole_by_one_who_is_cancelled)
{
    skua_runtime *rt = sk_runtime_of(2);
    visitor v = {.found = 1};
    SK_EXPECT_EQ(skua_shards_create(&v.shards, &(skua_shards_options){.pool = {.runtime = rt}, .n = 2}), 0);
    skua_pool *last = skua_shards_pool(v.shards, 1);
    sk_store_rlx(&last->pumping, (uint32_t)SK_PUMP_OUT);
    skua_task t = sk_spawn_on(rt, release_shards, &v);
    SK_EVENTUALLY(!skua_shards_pool(v.shards, 0)); /* it frees them */
    skua_sleep(SKUA_MS(20));                       /* and waits for the last; right without it, too */
    SK_EXPECT_EQ(v.found, 1);
    sk_store_sc(&last->pumping, 0u);
    sk_waitq_wake(&last->rest);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(v.found, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int give_up(void *arg)
{
    (void)arg;
    skua_panic_task("given up");
}

SK_TEST(pool_paths, a_fault_in_one_shard_is_told_when_all_have_been_waited_for)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s;
    skua_shards_options o = {.pool = {.runtime = rt, .on_fault = SKUA_FAULT_WAIT, .limit = 1}, .n = 3};
    sk_gate ran = 0;
    SK_EXPECT_EQ(skua_shards_create(&s, &o), 0);
    SK_EXPECT_EQ(skua_shards_submit(s, give_up, NULL), 0);
    for (int i = 0; i < 30; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_shards_wait(s, SKUA_MS(SK_PATIENCE_MS)), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&ran), 30);
    SK_EXPECT_EQ(skua_shards_wait(s, SKUA_MS(SK_PATIENCE_MS)), 0); /* it has been told */
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_paths, shards_without_queues_and_of_unequal_limits)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s;
    skua_pool_counts c;
    skua_shards_options o = {.pool = {.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE}, .n = 3};
    sk_stay stay = {0};
    SK_EXPECT_EQ(skua_shards_create(&s, &o), 0);
    SK_EXPECT_EQ(skua_shards_submit_batch(s, 3, sk_stays, (void *[]){&stay, &stay, &stay}),
                 3); /* each has room for one */
    SK_EXPECT(sk_gate_await(&stay.entered, 3));
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_shards_wait(s, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_shards_submit_batch(s, 5, sk_give_0, NULL), 5);
    SK_EXPECT_EQ(skua_shards_wait(s, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_pool_tune(skua_shards_pool(s, 0), 0), 0); /* as in the middle of skua_shards_tune */
    SK_EXPECT_EQ(skua_shards_stats(s, &c), 0);
    SK_EXPECT(c.limit == 0 && c.free == UINT64_MAX && c.queue == 0);
    SK_EXPECT_EQ(skua_shards_tune(s, SKUA_POOL_LIMIT_MAX), 0);
    SK_EXPECT_EQ(skua_shards_stats(s, &c), 0);
    SK_EXPECT(c.limit > SKUA_POOL_LIMIT_MAX && c.free == UINT64_C(3) * SKUA_POOL_LIMIT_MAX);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a stream without a conductor ---- */

static int wait_at_gate(void *arg)
{
    visitor *v = arg;
    sk_gate_add(&v->begun);
    return sk_gate_block(&v->gate, 1) ? 0 : -ETIME;
}

static int give_up_in_callback(void *arg, int result)
{
    (void)result;
    sk_gate_add(&((visitor *)arg)->calls);
    skua_panic_task("a callback");
}

static int wait_for_stream(void *arg)
{
    visitor *v = arg;
    sk_gate_add(&v->calls);
    return skua_stream_wait(v->stream, NULL);
}

static void *stop_runtime(void *rt)
{
    (void)skua_runtime_stop(rt, SKUA_MS(1));
    return NULL;
}

/* The runtime of the stream ends: a task of another one that waits makes the calls; one gives up, and with it that
   task, but not the stream. */
SK_TEST(pool_paths, a_visitor_conducts_a_stream_and_gives_up)
{
    skua_runtime *rt = sk_runtime_of(2), *other = sk_runtime_of(1);
    visitor v = {.found = 1};
    pthread_t thread;
    SK_EXPECT_EQ(skua_stream_create(&v.stream, &(skua_stream_options){.runtime = rt, .window = 4}), 0);
    SK_EXPECT_EQ(skua_stream_go(v.stream, wait_at_gate, give_up_in_callback, &v), 0);
    SK_EXPECT(sk_gate_await(&v.begun, 1));
    skua_task t = sk_spawn_on(other, wait_for_stream, &v);
    SK_EXPECT(sk_gate_await(&v.calls, 1));
    SK_EXPECT_EQ(pthread_create(&thread, NULL, stop_runtime, rt), 0);
    SK_EVENTUALLY(sk_load_rlx(&rt->stopping) >= SK_STOP_CANCEL); /* from here on it makes no tasks */
    sk_gate_add(&v.gate);
    int result = 0;
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&v.calls), 2);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    SK_EXPECT(skua_stream_wait(v.stream, NULL) < 0);
    SK_EXPECT_EQ(skua_stream_release(v.stream), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
}

/* ---- options and arguments at the edge ---- */

static bool never_again(int error, void *ctx)
{
    (void)error;
    (void)ctx;
    return false;
}

/* Each without a number of attempts says nothing. */
SK_TEST(pool_paths, retries_that_are_none)
{
    static const skua_retry bad[] = {{.backoff = 1}, {.backoff_most = 1},    {.exponential = true},
                                     {.jitter = 1},  {.again = never_again}, {.keep_place = true}};
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        skua_pool_options o = {.runtime = rt, .retry = bad[i]};
        SK_EXPECT_EQ(skua_pool_create(&pool, &o), -ENOTSUP);
        o.retry.times = SKUA_NO_RETRY;
        SK_EXPECT_EQ(skua_pool_create(&pool, &o), -ENOTSUP);
        SK_EXPECT(pool == NULL);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int fail_once_more(void *tries)
{
    sk_gate_add(tries);
    return -EIO;
}

/* Doubling nothing, and doubling up to the most. */
SK_TEST(pool_paths, exponential_backoffs_at_their_ends)
{
    static const skua_retry retries[] = {{.times = 3, .exponential = true},
                                         {.times = 4, .exponential = true, .backoff = 1000, .backoff_most = 2000}};
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt);
    for (int i = 0; i < 2; i++) {
        sk_gate tries = 0;
        SK_EXPECT_EQ(
            skua_pool_submit_with(pool, NULL, &(skua_submit_options){.retry = retries[i]}, fail_once_more, &tries), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&tries), retries[i].times + 1);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_paths, histograms_by_hand)
{
    skua_histogram h = {0};
    SK_EXPECT_EQ(skua_histogram_quantile(&h, 0.5), 0);
    skua_histogram_add(&h, 1000);
    SK_EXPECT_EQ(skua_histogram_quantile(&h, 1e-300), 1000); /* the first, though it is less than one */
    h.min = h.max = 5000;                                    /* not what its buckets say */
    SK_EXPECT_EQ(skua_histogram_quantile(&h, 0.5), 5000);
}

SK_TEST(pool_paths, times_of_more_workers_than_there_are_stripes)
{
    skua_runtime *rt = sk_runtime_of(200);
    skua_pool *pool = SK_POOL(.runtime = rt, .measure = true);
    skua_pool_counts c;
    skua_histogram waiting = {0}, running = {0};
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_pool_snapshot(pool, &c, &waiting, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_snapshot(pool, &c, NULL, &running), -EINVAL);
    SK_EXPECT_EQ(skua_pool_snapshot(pool, NULL, &waiting, &running), -EINVAL);
    SK_EXPECT_EQ(skua_pool_snapshot(pool, &c, &waiting, &running), 0);
    SK_EXPECT(waiting.count == 100 && running.count == 100 && c.done == 100);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* More is expected than can be done in the time that fits into a number. */
SK_TEST(pool_paths, progress_without_end)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt);
    skua_progress p;
    SK_EXPECT_EQ(skua_pool_expect(pool, UINT64_MAX), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    SK_EVENTUALLY(skua_progress_of(pool, &p) == 0 && p.rate > 0);
    SK_EXPECT(p.left == SKUA_FOREVER && p.total == UINT64_MAX && p.ended == 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void call_in_child(void *pool)
{
    skua_pool_counts c;
    skua_histogram h;
    bool ok = !skua_pool_default() && skua_progress_of(pool, NULL) == -ECHILD &&
              skua_pool_snapshot(pool, &c, NULL, &h) == -ECHILD && skua_pool_times(pool, NULL, NULL) == -ECHILD;
    _exit(ok ? 0 : 1);
}

SK_TEST(pool_paths, calls_without_arguments_in_a_forked_child)
{
    char said[200];
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt);
    SK_EXPECT_EQ(skua_pool_run(pool, sk_give_0, NULL, NULL), 0);
    SK_EXPECT_EQ(sk_child(call_in_child, pool, said, sizeof said), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void count_call(void *calls, void *arg, int result)
{
    (void)arg;
    (void)result;
    sk_gate_add(calls);
}

static void do_nothing(void *ctx)
{
    (void)ctx;
}

/* Calls with the futures of others, with none, and by a thread under a lock. */
SK_TEST(pool_paths, futures_that_are_none_and_a_thread_that_calls_under_a_lock)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt);
    skua_future none = {0}, f;
    skua_fault fault;
    skua_locker locker = {do_nothing, do_nothing, NULL};
    sk_gate calls = 0;
    SK_EXPECT_EQ(skua_future_wait(none, 0, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, NULL, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(skua_future_fault(f, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_future_fault(f, &fault), -ENODATA);
    SK_EXPECT_EQ(skua_future_then(f, count_call, &calls, &locker), 0);
    SK_EXPECT_EQ(sk_gate_now(&calls), 1);
    skua_future stale = f;
    SK_EXPECT_EQ(skua_future_release(f), 0);
    SK_EXPECT_EQ(skua_future_release(stale), -ESRCH);
    SK_EXPECT_EQ(skua_future_cancel(stale), -ESRCH);
    SK_EXPECT_EQ(skua_future_then(stale, count_call, &calls, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_future_fault(stale, &fault), -ESRCH);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int copy_item(void *ctx, const void *in, void *out)
{
    (void)ctx;
    memcpy(out, in, 1);
    return 0;
}

SK_TEST(pool_paths, maps_that_are_none)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_loop_options o = {.runtime = rt};
    char in[8] = "abcdefg", out[8];
    SK_EXPECT_EQ(skua_map(&o, in, 0, out, 1, 8, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, in, 1, out, 0, 8, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, NULL, 1, out, 1, 8, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, in, 1, NULL, 1, 8, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, in, SIZE_MAX / 4, out, 1, 8, copy_item, NULL), -EOVERFLOW);
    SK_EXPECT_EQ(skua_map(&o, in, 1, out, SIZE_MAX / 4, 8, copy_item, NULL), -EOVERFLOW);
    SK_EXPECT_EQ(skua_map(&o, in, 1, in + 1, 1, 4, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, in + 1, 1, in, 1, 4, copy_item, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_map(&o, in, 1, in + 4, 1, 4, copy_item, NULL), 0);
    SK_EXPECT_EQ(skua_map(&o, in + 4, 1, in, 1, 4, copy_item, NULL), 0);
    SK_EXPECT_EQ(memcmp(in, "abcdabcd", 8), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_paths, groups_of_two_families)
{
    skua_runtime *rt = sk_runtime_of(1), *other = sk_runtime_of(1);
    skua_group *parent, *group;
    skua_pool *theirs = SK_POOL(.runtime = other), *stopped = SK_POOL(.runtime = rt);
    SK_EXPECT_EQ(skua_pool_stop(stopped, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_group_create(&parent, &(skua_group_options){.runtime = rt}), 0);
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.parent = parent, .runtime = other}), -ENOTSUP);
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.parent = parent, .pool = theirs}), -ENOTSUP);
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.parent = parent, .pool = stopped}), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.parent = parent, .runtime = rt}), 0);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_group_release(parent), 0);
    SK_EXPECT_EQ(skua_pool_release(theirs), 0);
    SK_EXPECT_EQ(skua_pool_release(stopped), 0);
    SK_EXPECT_EQ(skua_runtime_release(other), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int give_up_at_length(void *format)
{
    skua_panic_task_at(NULL, 0, format, 7);
}

static int give_up_without_words(void *arg)
{
    (void)arg;
    skua_panic_task_at("a file", 1, NULL);
}

SK_TEST(pool_paths, faults_without_words_and_handles_that_are_none)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_fault fault;
    skua_task none = {0}, t = sk_spawn_on(rt, give_up_without_words, NULL);
    SK_EVENTUALLY(skua_fault_of(t, &fault) == 0);
    SK_EXPECT_EQ(fault.message[0], '\0');
    SK_EXPECT_EQ(skua_fault_of(t, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_fault_of(none, &fault), -ESRCH);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    SK_EXPECT_EQ(skua_fault_of(t, &fault), -ESRCH);
    t = sk_spawn_on(rt, give_up_at_length, "%d");
    SK_EXPECT_EQ(skua_join_fault(t, SKUA_FOREVER, NULL, &fault), 0);
    SK_EXPECT(strcmp(fault.file, "?") == 0 && strcmp(fault.message, "7") == 0);
    skua_task_storage two[2];
    SK_EXPECT_EQ(skua_task_init(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_task_init((skua_task_storage *)(void *)((char *)two + 1), sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
