/* unit/shards.c: several pools as one: who gets a task, what happens when they are full, and the end of all. */
#include "support/pools.h"

#include <string.h>

static skua_shards *shards_with(const skua_shards_options *o)
{
    skua_shards *s = NULL;
    SK_EXPECT_EQ(skua_shards_create(&s, o), 0);
    SK_EXPECT(s != NULL);
    return s;
}

#define SHARDS(...) shards_with(&(skua_shards_options){__VA_ARGS__})

/* A snapshot, which must add up. */
static skua_pool_counts counts_of(skua_shards *s)
{
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_shards_stats(s, &c), 0);
    SK_EXPECT_EQ(c.submitted, c.queued + c.running + c.done + c.failed + c.cancelled + c.expired + c.dropped);
    return c;
}

static void await(skua_shards *s)
{
    SK_EXPECT_EQ(skua_shards_wait(s, SKUA_MS(SK_PATIENCE_MS)), 0);
}

static uint64_t submitted_to(skua_shards *s, uint32_t i)
{
    return sk_counts_of(skua_shards_pool(s, i)).submitted;
}

/* ---- which shard ---- */

static int submit_ten(void *arg)
{
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_shards_submit(arg, sk_give_0, NULL), 0);
    return 0;
}

/* By whomever, in whichever way: each in turn. */
SK_TEST(shards, round_robin_is_exact)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s = SHARDS(.n = 7, .pool = {.runtime = rt, .limit = 2, .fn = sk_give_0});
    skua_task task;
    for (int i = 0; i < 6; i++) SK_EXPECT_EQ(sk_run_on(rt, submit_ten, s), 0);
    SK_EXPECT_EQ(skua_shards_submit_batch(s, 8, sk_give_0, NULL), 8);
    SK_EXPECT_EQ(skua_shards_try_submit(s, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_shards_invoke(s, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit(skua_shards_next(s), sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_shards_submit_with(s, &task, NULL, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_join(task, NULL), 0);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(skua_shards_submit_with(s, NULL, NULL, sk_give_0, NULL), 0);
    await(s);
    for (uint32_t i = 0; i < 7; i++) SK_EXPECT_EQ(submitted_to(s, i), 11);
    SK_EXPECT_EQ(counts_of(s).done, 77);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Shards loaded alike are served in turn; nothing runs meanwhile that could change the load. */
SK_TEST(shards, least_loaded_serves_equals_in_turn)
{
    static const uint32_t sizes[] = {1, 3, 8, 40};
    skua_runtime *rt = sk_runtime_of(2);
    for (int k = 0; k < 4; k++) {
        uint32_t n = sizes[k];
        skua_shards *s = SHARDS(.n = n, .pick = SKUA_SHARDS_LEAST_LOADED, .pool = {.runtime = rt, .limit = 1});
        SK_EXPECT_EQ(skua_shards_pause(s), 0);
        for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), 0);
        if (n <= 8)
            for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(submitted_to(s, i), 1);
        SK_EXPECT_EQ(counts_of(s).queued, n);
        SK_EXPECT_EQ(skua_shards_resume(s), 0);
        await(s);
        SK_EXPECT_EQ(counts_of(s).done, n);
        SK_EXPECT_EQ(skua_shards_release(s), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Of many, two are looked at: one that is far more loaded than any other gets only what it is compared with itself
   for, which does not happen. And a thousand tasks on a hundred shards that stand still are spread well. */
SK_TEST(shards, least_of_two_spreads_well)
{
    enum { N = 100 };
    skua_runtime *rt = sk_runtime_of(1);
    skua_shards *s = SHARDS(.n = N, .pick = SKUA_SHARDS_LEAST_LOADED, .pool = {.runtime = rt, .limit = 1});
    SK_EXPECT_EQ(skua_shards_pause(s), 0);
    for (int i = 0; i < 500; i++) SK_EXPECT_EQ(skua_pool_submit(skua_shards_pool(s, 17), sk_give_0, NULL), 0);
    for (int i = 0; i < 10 * N; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(submitted_to(s, 17), 500);
    for (uint32_t i = 0; i < N; i++)
        if (i != 17) SK_EXPECT(submitted_to(s, i) >= 5 && submitted_to(s, i) <= 13);
    SK_EXPECT_EQ(counts_of(s).queued, 500 + 10 * N);
    SK_EXPECT_EQ(skua_shards_stop_now(s, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(counts_of(s).dropped, 500 + 10 * N);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- full shards ---- */

/* Of three shards with two places in all each, shard 1 is full: what would be its turn goes to the next. */
SK_TEST(shards, a_full_shard_passes_it_on)
{
    static const skua_when_full policies[] = {SKUA_FULL_WAIT, SKUA_FULL_REFUSE, SKUA_FULL_DROP_OLDEST, SKUA_FULL_RUN};
    skua_runtime *rt = sk_runtime_of(2);
    for (int k = 0; k < 4; k++)
        for (int with = 0; with < 2; with++) {
            sk_stay stay = {0};
            skua_shards *s = SHARDS(.n = 3, .pool = {.runtime = rt, .limit = 1, .queue = 1, .when_full = policies[k]});
            skua_pool *second = skua_shards_pool(s, 1);
            sk_occupy(second, &stay, 1);
            SK_EXPECT_EQ(skua_pool_submit(second, sk_stays, &stay), 0);
            SK_EVENTUALLY(sk_pool_stands_at(second, 1, 1));
            SK_EXPECT_EQ(skua_shards_pause(s), 0);
            for (int i = 0; i < 2; i++)
                SK_EXPECT_EQ(with ? skua_shards_submit_with(s, NULL, NULL, sk_stays, &stay)
                                  : skua_shards_submit(s, sk_stays, &stay),
                             0);
            SK_EXPECT_EQ(submitted_to(s, 0), 1);
            SK_EXPECT_EQ(submitted_to(s, 1), 2);
            SK_EXPECT_EQ(submitted_to(s, 2), 1);
            SK_EXPECT_EQ(skua_shards_try_submit(s, sk_give_0, NULL), -EAGAIN); /* all are full */
            SK_EXPECT_EQ(counts_of(s).refused, 1);
            SK_EXPECT_EQ(counts_of(s).dropped, 0);
            sk_gate_add(&stay.leave);
            SK_EXPECT_EQ(skua_shards_resume(s), 0);
            await(s);
            SK_EXPECT_EQ(counts_of(s).done, 4);
            SK_EXPECT_EQ(skua_shards_release(s), 0);
        }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static skua_shards *all_full(skua_runtime *rt, skua_when_full policy, sk_stay *stay, uint64_t wait_at_most)
{
    skua_shards *s =
        SHARDS(.n = 3,
               .pool = {.runtime = rt, .limit = 1, .queue = 1, .when_full = policy, .wait_at_most = wait_at_most});
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_stays, stay), 0);
    SK_EXPECT(sk_gate_await(&stay->entered, 3));
    for (uint32_t i = 0; i < 3; i++) SK_EVENTUALLY(sk_pool_stands_at(skua_shards_pool(s, i), 1, 0));
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_stays, stay), 0);
    SK_EXPECT_EQ(counts_of(s).queued, 3);
    return s;
}

static int tell_thread(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return 0;
}

SK_TEST(shards, all_full_the_policy_decides)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_stay stay[4] = {{.left = 0}};
    skua_shards *s = all_full(rt, SKUA_FULL_REFUSE, &stay[0], 0);
    SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), -EAGAIN);
    SK_EXPECT_EQ(skua_shards_submit_with(s, NULL, NULL, sk_give_0, NULL), -EAGAIN);
    SK_EXPECT_EQ(skua_shards_submit_batch(s, 5, sk_give_0, NULL), -EAGAIN);
    SK_EXPECT_EQ(counts_of(s).refused, 3);
    sk_gate_add(&stay[0].leave);
    SK_EXPECT_EQ(skua_shards_release(s), 0);

    s = all_full(rt, SKUA_FULL_DROP_OLDEST, &stay[1], 0);
    SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(counts_of(s).dropped, 1);
    SK_EXPECT_EQ(submitted_to(s, 0), 3); /* whose turn it was */
    sk_gate_add(&stay[1].leave);
    SK_EXPECT_EQ(skua_shards_release(s), 0);

    pthread_t self;
    memset(&self, 0, sizeof self);
    s = all_full(rt, SKUA_FULL_RUN, &stay[2], 0);
    SK_EXPECT_EQ(skua_shards_submit(s, tell_thread, &self), 0);
    SK_EXPECT(pthread_equal(self, pthread_self()));
    sk_gate_add(&stay[2].leave);
    SK_EXPECT_EQ(skua_shards_release(s), 0);

    s = all_full(rt, SKUA_FULL_WAIT, &stay[3], SKUA_MS(1));
    SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_shards_submit_with(s, NULL, NULL, sk_give_0, NULL), -ETIMEDOUT);
    SK_EXPECT_EQ(counts_of(s).refused, 2);
    sk_gate_add(&stay[3].leave);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct waiting_submitter {
    skua_shards *shards;
    sk_gate *ran;
} waiting_submitter;

static int submit_one(void *arg)
{
    waiting_submitter *w = arg;
    return skua_shards_submit(w->shards, sk_open, w->ran);
}

SK_TEST(shards, who_waits_for_room_gets_in)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_stay stay = {0};
    sk_gate ran = 0;
    skua_shards *s = all_full(rt, SKUA_FULL_WAIT, &stay, 0);
    waiting_submitter w = {s, &ran};
    skua_task tasks[6];
    for (int i = 0; i < 6; i++) tasks[i] = sk_spawn_on(rt, submit_one, &w);
    SK_EVENTUALLY(counts_of(s).waiting == 6);
    sk_gate_add(&stay.leave);
    for (int i = 0, result; i < 6; i++) {
        SK_EXPECT_EQ(skua_join_for(tasks[i], SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, 0);
    }
    await(s);
    SK_EXPECT_EQ(sk_gate_now(&ran), 6);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A task of a shard, and what it got, with options first and last: each kind of call comes when either shard's turn
   is. */
typedef struct insider {
    skua_shards *shards;
    sk_gate entered, go, over, ran;
    skua_submit_options options;
    int got[4];
} insider;

static bool is_with(int i)
{
    return i % 3 == 0;
}

static int submit_from_inside(void *arg)
{
    insider *in = arg;
    sk_gate_add(&in->entered);
    if (!sk_gate_await(&in->go, 1)) return -ETIME;
    for (int i = 0; i < 4; i++)
        in->got[i] = is_with(i) ? skua_shards_submit_with(in->shards, NULL, &in->options, sk_open, &in->ran)
                                : skua_shards_submit(in->shards, sk_open, &in->ran);
    sk_gate_add(&in->over);
    return 0;
}

/* Two shards with a task in each, the first of which is the insider; the queues hold one each. */
static skua_shards *with_insider(skua_runtime *rt, insider *in, sk_stay *stay, uint32_t limit)
{
    skua_shards *s = SHARDS(.n = 2, .pool = {.runtime = rt, .limit = limit, .queue = 1});
    in->shards = s;
    SK_EXPECT_EQ(skua_pool_submit(skua_shards_pool(s, 0), submit_from_inside, in), 0);
    SK_EXPECT(sk_gate_await(&in->entered, 1));
    if (limit > 1) sk_occupy(skua_shards_pool(s, 0), stay, limit - 1);
    sk_occupy(skua_shards_pool(s, 1), stay, limit);
    for (uint32_t i = 0; i < 2; i++) SK_EVENTUALLY(sk_pool_stands_at(skua_shards_pool(s, i), limit, 0));
    return s;
}

static void fill_queue(skua_shards *s, uint32_t i, sk_stay *stay)
{
    SK_EXPECT_EQ(skua_pool_submit(skua_shards_pool(s, i), sk_stays, stay), 0);
    SK_EXPECT(sk_pool_stands_at(skua_shards_pool(s, i), sk_counts_of(skua_shards_pool(s, i)).limit, 1));
}

/* It waits for room in its own shard only, where a standstill is found: here it holds the only place. */
SK_TEST(shards, a_task_of_a_full_shard_does_not_wait_for_another_one)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int no_wait = 0; no_wait < 2; no_wait++) {
        sk_stay stay = {0};
        insider in = {.options = {.no_wait = no_wait, .admit_within = SKUA_MS(SK_PATIENCE_MS)}};
        skua_shards *s = with_insider(rt, &in, &stay, 1);
        for (uint32_t i = 0; i < 2; i++) fill_queue(s, i, &stay);
        sk_gate_add(&in.go);
        SK_EXPECT(sk_gate_await(&in.over, 1)); /* while nobody else leaves */
        SK_EXPECT_EQ(counts_of(s).refused, no_wait ? 2 : 0);
        sk_gate_add(&stay.leave);
        await(s);
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(in.got[i], is_with(i) && no_wait ? -EAGAIN : -EDEADLK);
        SK_EXPECT_EQ(counts_of(s).done, 4);
        SK_EXPECT_EQ(skua_shards_release(s), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* But what has room takes it, whichever shard it is; and its own makes room for it in time. */
SK_TEST(shards, a_task_of_a_full_shard_gets_in_where_there_is_room)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (uint32_t open = 0; open < 2; open++) {
        sk_stay stay = {0};
        insider in = {.options = {.level = 0}};
        skua_shards *s = with_insider(rt, &in, &stay, 2);
        fill_queue(s, 1 - open, &stay);
        uint64_t before = submitted_to(s, open);
        sk_gate_add(&in.go);
        SK_EVENTUALLY(sk_counts_of(skua_shards_pool(s, 0)).waiting == 1); /* with the second, for its own */
        SK_EXPECT_EQ(submitted_to(s, open), before + 1);
        SK_EXPECT_EQ(sk_counts_of(skua_shards_pool(s, 1)).waiting, 0);
        sk_gate_add(&stay.leave);
        await(s);
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(in.got[i], 0);
        SK_EXPECT_EQ(sk_gate_now(&in.ran), 4);
        SK_EXPECT_EQ(counts_of(s).refused, 0);
        SK_EXPECT_EQ(skua_shards_release(s), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- limits ---- */

SK_TEST(shards, tune_pause_and_the_sum_of_places)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s = SHARDS(.n = 4, .pool = {.runtime = rt, .limit = 3, .queue = 50});
    skua_pool_counts c = counts_of(s);
    SK_EXPECT_EQ(c.limit, 12);
    SK_EXPECT_EQ(c.free, 12);
    SK_EXPECT_EQ(c.queue, 200);
    SK_EXPECT_EQ(skua_shards_tune(s, 5), 0);
    SK_EXPECT_EQ(counts_of(s).limit, 20);
    for (uint32_t i = 0; i < 4; i++) SK_EXPECT_EQ(sk_counts_of(skua_shards_pool(s, i)).limit, 5);
    SK_EXPECT_EQ(skua_shards_tune(s, 0), 0);
    SK_EXPECT_EQ(counts_of(s).limit, 0);
    SK_EXPECT(counts_of(s).free == UINT64_MAX);
    SK_EXPECT_EQ(skua_shards_tune(s, SKUA_POOL_LIMIT_MAX), 0);
    SK_EXPECT(counts_of(s).limit == UINT32_MAX); /* the sum is more */
    SK_EXPECT(counts_of(s).free == UINT64_C(4) * SKUA_POOL_LIMIT_MAX);
    SK_EXPECT_EQ(skua_shards_tune(s, UINT32_MAX), -ERANGE);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- waiting, from without and within ---- */

typedef struct relay {
    skua_shards *shards;
    uint32_t left;
    sk_gate *ran;
} relay;

/* Each submits the next, to the shard whose turn it is: the one that a wait has looked at already. */
static int pass_on(void *arg)
{
    relay *r = arg;
    skua_sleep(SKUA_US(50));
    sk_gate_add(r->ran);
    return r->left-- > 0 ? skua_shards_submit(r->shards, pass_on, r) : 0;
}

SK_TEST(shards, wait_waits_for_tasks_that_go_round)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 5; round++) {
        skua_shards *s = SHARDS(.n = 5, .pool = {.runtime = rt, .limit = 2});
        sk_gate ran = 0;
        relay r = {s, 99, &ran};
        SK_EXPECT_EQ(skua_shards_submit(s, pass_on, &r), 0);
        await(s);
        SK_EXPECT_EQ(sk_gate_now(&ran), 100);
        SK_EXPECT_EQ(counts_of(s).done, 100);
        SK_EXPECT_EQ(skua_shards_release(s), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct inside {
    skua_shards *shards;
    int wait, stop, release;
} inside;

static int wait_inside(void *arg)
{
    inside *i = arg;
    i->wait = skua_shards_wait(i->shards, SKUA_FOREVER);
    i->release = skua_shards_release(i->shards);
    i->stop = skua_shards_stop(i->shards, SKUA_FOREVER);
    return skua_shards_submit(i->shards, sk_give_0, NULL);
}

SK_TEST(shards, a_task_of_one_shard_does_not_wait_for_all)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s = SHARDS(.n = 3, .pool = {.runtime = rt, .limit = 2});
    skua_pool *below = SK_POOL(.parent = skua_shards_pool(s, 2));
    inside in = {s, 1, 1, 1};
    int result = 1;
    SK_EXPECT_EQ(skua_pool_run(below, wait_inside, &in, &result), 0);
    SK_EXPECT_EQ(in.wait, -EDEADLK);
    SK_EXPECT_EQ(in.release, -EDEADLK);
    SK_EXPECT_EQ(in.stop, -EDEADLK); /* but they refuse from now on */
    SK_EXPECT_EQ(result, -ESHUTDOWN);
    for (uint32_t i = 0; i < 3; i++)
        SK_EXPECT_EQ(skua_pool_submit(skua_shards_pool(s, i), sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_shards_release(s), -EBUSY);
    SK_EXPECT_EQ(skua_shards_restart(s), 0);
    SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_release(below), 0);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the end ---- */

SK_TEST(shards, the_deadline_of_a_stop_covers_all)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s = SHARDS(.n = 8, .pool = {.runtime = rt, .limit = 1});
    sk_stay stay = {0};
    for (int i = 0; i < 8; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_stays, &stay), 0);
    SK_EXPECT(sk_gate_await(&stay.entered, 8));
    for (int i = 0; i < 8; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_shards_wait(s, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_shards_stop(s, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_shards_stop(s, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_shards_stop_now(s, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(counts_of(s).dropped, 8);
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_shards_stop(s, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(counts_of(s).done, 8);
    SK_EXPECT_EQ(counts_of(s).submitted, 16);
    SK_EXPECT_EQ(skua_shards_restart(s), 0);
    SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), 0);
    await(s);
    SK_EXPECT_EQ(counts_of(s).done, 9);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(shards, cancel_asks_the_tasks_of_all)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_shards *s = SHARDS(.n = 4, .pool = {.runtime = rt, .limit = 1});
    sk_stay stay = {0};
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_stays, &stay), 0);
    SK_EXPECT(sk_gate_await(&stay.slept, 4));
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_shards_submit(s, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_shards_cancel(s), 8);
    await(s);
    SK_EXPECT_EQ(counts_of(s).cancelled, 8);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- what nobody should do ---- */

enum { CALLS = 17 };

static void call_all(skua_shards *s, int answers[CALLS])
{
    skua_pool_counts c;
    int i = 0;
    answers[i++] = skua_shards_submit(s, sk_give_0, NULL);
    answers[i++] = skua_shards_try_submit(s, sk_give_0, NULL);
    answers[i++] = skua_shards_submit_batch(s, 2, sk_give_0, NULL);
    answers[i++] = skua_shards_invoke(s, NULL);
    answers[i++] = skua_shards_submit_with(s, NULL, NULL, sk_give_0, NULL);
    answers[i++] = skua_shards_tune(s, 3) < 0 ? skua_shards_tune(s, 3) : 0;
    answers[i++] = skua_shards_pause(s);
    answers[i++] = skua_shards_resume(s);
    answers[i++] = skua_shards_wait(s, 0);
    answers[i++] = (int)skua_shards_cancel(s);
    answers[i++] = skua_shards_stats(s, &c);
    answers[i++] = skua_shards_count(s) < 0 ? skua_shards_count(s) : 0;
    answers[i++] = skua_shards_stop(s, 0);
    answers[i++] = skua_shards_stop_now(s, 0);
    answers[i++] = skua_shards_restart(s);
    answers[i++] = skua_shards_stop(s, 0);
    answers[i++] = skua_shards_release(s);
}

SK_TEST(shards, every_call_without_shards_or_too_late)
{
    int answers[CALLS];
    skua_runtime *rt = sk_runtime_of(1);
    call_all(NULL, answers);
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], -EINVAL);
    SK_EXPECT(skua_shards_pool(NULL, 0) == NULL && skua_shards_next(NULL) == NULL);

    skua_shards *s = SHARDS(.n = 3, .pool = {.runtime = rt, .fn = sk_give_0});
    SK_EXPECT(skua_shards_pool(s, 3) == NULL);
    SK_EXPECT_EQ(skua_shards_stop(s, SKUA_FOREVER), 0);
    call_all(s, answers); /* releases it */
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], i < 5 ? -ESHUTDOWN : 0);
    call_all(s, answers);
    for (int i = 0; i < CALLS; i++) SK_EXPECT_EQ(answers[i], -ESHUTDOWN);
    SK_EXPECT(skua_shards_pool(s, 0) == NULL && skua_shards_next(s) == NULL);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(shards, options_out_of_range)
{
    skua_runtime *rt = sk_runtime_of(3);
    skua_shards *s = (skua_shards *)rt;
    skua_shards_options o = {.pool = {.runtime = rt}};
    SK_EXPECT_EQ(skua_shards_create(NULL, &o), -EINVAL);
    o.n = SKUA_SHARDS_MAX + 1;
    SK_EXPECT_EQ(skua_shards_create(&s, &o), -ERANGE);
    SK_EXPECT(s == NULL);
    o.n = 3;
    o.pick = (skua_shards_pick)2;
    SK_EXPECT_EQ(skua_shards_create(&s, &o), -EINVAL);
    o.pick = SKUA_SHARDS_ROUND_ROBIN;
    o.pool.limit = UINT32_MAX;
    SK_EXPECT_EQ(skua_shards_create(&s, &o), -ERANGE);
    o.pool.limit = 0;
    o.n = 0;
    SK_EXPECT_EQ(skua_shards_create(&s, &o), 0);
    SK_EXPECT_EQ(skua_shards_count(s), 3); /* as many as the runtime may have workers */
    SK_EXPECT_EQ(skua_shards_submit(s, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_shards_submit_batch(s, 1, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_shards_submit_batch(s, SIZE_MAX, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_shards_invoke(s, NULL), -ENOTSUP);
    SK_EXPECT_EQ(skua_shards_submit_with(s, NULL, &(skua_submit_options){.level = 1}, sk_give_0, NULL), -EDOM);
    SK_EXPECT_EQ(skua_shards_stats(s, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    o.n = SKUA_SHARDS_MAX;
    o.pool.queue = 1;
    s = shards_with(&o);
    SK_EXPECT_EQ(skua_shards_submit_batch(s, SKUA_SHARDS_MAX, sk_give_0, NULL), SKUA_SHARDS_MAX);
    await(s);
    for (uint32_t i = 0; i < SKUA_SHARDS_MAX; i++) SK_EXPECT_EQ(submitted_to(s, i), 1);
    SK_EXPECT_EQ(skua_shards_release(s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- all at once ---- */

typedef struct storm {
    skua_shards *shards;
    sk_gate ran, accepted;
} storm;

static void *submit_until_stopped(void *arg)
{
    storm *s = arg;
    for (int error = 0; error != -ESHUTDOWN;) {
        error = skua_shards_submit(s->shards, sk_open, &s->ran);
        if (!error) sk_gate_add(&s->accepted);
    }
    return NULL;
}

SK_TEST(shards, what_was_accepted_beside_a_stop_has_ended_when_it_returns)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (long round = sk_test_scaled(30); round > 0; round--) {
        storm st = {.shards = SHARDS(.n = 4, .pool = {.runtime = rt, .limit = 2, .queue = 16})};
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, submit_until_stopped, &st), 0);
        SK_EXPECT(sk_gate_await(&st.ran, 50));
        SK_EXPECT_EQ(skua_shards_stop(st.shards, SKUA_MS(SK_PATIENCE_MS)), 0);
        uint32_t ran = sk_gate_now(&st.ran);
        for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
        SK_EXPECT_EQ(sk_gate_now(&st.accepted), ran);
        SK_EXPECT_EQ(sk_gate_now(&st.ran), ran);
        SK_EXPECT_EQ(counts_of(st.shards).done, ran);
        SK_EXPECT_EQ(skua_shards_release(st.shards), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
