/* unit/pool_standstill.c: waits that only the caller's own end would end: each is refused, none hangs. */
#include "support/pools.h"

/* ---- a task that holds the only place of the pool above ---- */

typedef struct held {
    skua_pool *sub;
    int found[5];
} held;

static int wait_for_what_is_below(void *arg)
{
    held *h = arg;
    int i = 0, result;
    h->found[i++] = skua_pool_wait(h->sub, SKUA_FOREVER); /* nothing is there */
    h->found[i++] = skua_pool_run(h->sub, sk_give_0, NULL, &result);
    SK_EXPECT_EQ(skua_pool_try_submit(h->sub, sk_give_0, NULL), 0);
    h->found[i++] = skua_pool_wait(h->sub, SKUA_FOREVER);
    h->found[i++] = skua_pool_release(h->sub);
    h->found[i++] = skua_pool_stop(h->sub, SKUA_FOREVER);
    return skua_pool_restart(h->sub);
}

SK_TEST(pool_standstill, the_only_place_above_is_the_callers)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    held h = {.sub = SK_POOL(.parent = pool, .limit = 4)};
    SK_EXPECT_EQ(skua_pool_submit(pool, wait_for_what_is_below, &h), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(h.found[0], 0);
    for (int i = 1; i < 5; i++) SK_EXPECT_EQ(h.found[i], -EDEADLK);
    SK_EXPECT_EQ(sk_counts_of(h.sub).done, 1);
    SK_EXPECT_EQ(skua_pool_release(h.sub), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int loop_item(void *ctx, size_t i)
{
    (void)i;
    sk_gate_add(ctx);
    return 0;
}

static int loop_below(void *arg)
{
    sk_gate ran = 0;
    int error = skua_for_each(&(skua_loop_options){.pool = arg}, 3, loop_item, &ran);
    return sk_gate_now(&ran) ? -EIO : error;
}

SK_TEST(pool_standstill, a_loop_below_the_only_place)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1), *sub = SK_POOL(.parent = pool);
    int result = 0;
    SK_EXPECT_EQ(skua_pool_run(pool, loop_below, sub, &result), 0);
    SK_EXPECT_EQ(result, -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- before full queues ---- */

typedef struct filler {
    skua_pool *pool, *other;
    int accepted, found;
    skua_fn *first;
    struct filler *next;
} filler;

/* Submits until it is refused. */
static int fill(void *arg)
{
    filler *f = arg;
    if (f->next) SK_EXPECT_EQ(skua_go(f->first, f->next), 0); /* comes before the pump that the next line sends */
    do f->found = skua_pool_submit(f->pool, sk_give_0, NULL);
    while (f->found == 0 && ++f->accepted < 100);
    return 0;
}

static int submit_filler(void *arg)
{
    filler *f = arg;
    return skua_pool_submit(f->pool, fill, f);
}

SK_TEST(pool_standstill, a_full_queue_below_the_only_place)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    filler f = {.pool = SK_POOL(.parent = pool, .queue = 4)};
    SK_EXPECT_EQ(skua_pool_submit(pool, fill, &f), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(f.found, -EDEADLK);
    SK_EXPECT_EQ(f.accepted, 4);
    SK_EXPECT_EQ(sk_counts_of(pool).done, 5);
    SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A task of the subpool waits in its queue while a place above is free; a task of the pool above takes that before the
   pump comes, and then waits in its own: each alone is not all that runs in its pool. False: the worker stood still,
   and the monitor has put the task that was to come next elsewhere: then they went through one after the other. */
static bool each_before_its_own_queue(skua_runtime *rt)
{
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 2);
    filler above = {.pool = pool};
    filler below = {.pool = SK_POOL(.parent = pool, .limit = 2, .queue = 2), .first = submit_filler, .next = &above};
    SK_EXPECT_EQ(skua_pool_submit(below.pool, fill, &below), 0);
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.done, 2 + above.accepted + below.accepted);
    SK_EXPECT_EQ(skua_pool_release(below.pool), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return above.found == -EDEADLK || below.found == -EDEADLK;
}

SK_TEST(pool_standstill, two_of_a_family_each_before_its_own_queue)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int tries = 0; !each_before_its_own_queue(rt); tries++) SK_EXPECT(tries < 50);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The pool above is full of others, which will end: that is no standstill. */
SK_TEST(pool_standstill, who_waits_for_others_is_not_refused)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    filler f = {.pool = SK_POOL(.parent = pool, .limit = 2, .queue = 1), .accepted = 97};
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(f.pool, fill, &f), 0);
    SK_EVENTUALLY(sk_counts_of(f.pool).waiting == 1);
    SK_EXPECT_EQ(f.found, 0);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(f.found, 0);
    SK_EXPECT_EQ(f.accepted, 100);
    SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The limit of the pool above falls, and what is left there waits before a queue below. */
SK_TEST(pool_standstill, a_limit_that_falls_above_strands_nobody)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2);
    filler f = {.pool = SK_POOL(.parent = pool, .limit = 2, .queue = 1)};
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(f.pool, fill, &f), 0);
    SK_EVENTUALLY(sk_counts_of(f.pool).waiting == 1);
    SK_EXPECT_EQ(skua_pool_tune(pool, 1), 0);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(f.found, -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- one's own future ---- */

typedef struct own {
    skua_future future;
    int asked, found;
} own;

static void wait_for_own(own *o)
{
    o->asked++;
    o->found = skua_future_wait(o->future, SKUA_MS(SK_PATIENCE_MS), NULL);
}

static void on_end(void *ctx, void *arg, int result)
{
    (void)arg;
    (void)result;
    wait_for_own(ctx);
}

static bool ask_again(int error, void *ctx)
{
    (void)error;
    wait_for_own(ctx);
    return false;
}

static int wait_inside(void *arg)
{
    wait_for_own(arg);
    return 0;
}

static int give_up(void *arg)
{
    (void)arg;
    skua_panic_task("on purpose");
}

/* The future is there before the submission, so that all that is done for it may look at it. */
static void expect_refused(skua_pool *pool, own *o, const skua_submit_options *options, skua_fn *fn)
{
    *o = (own){0};
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &o->future, options, fn, o), 0);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(skua_future_wait(o->future, SKUA_FOREVER, NULL), 0);
    SK_EXPECT_EQ(o->asked, 1);
    SK_EXPECT_EQ(o->found, -EDEADLK);
    SK_EXPECT_EQ(skua_future_release(o->future), 0);
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
}

/* In the task, or in a helper that makes the call for one that never started, or gave up. */
SK_TEST(pool_standstill, the_future_that_ones_own_call_would_end)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    static own o;
    skua_submit_options tell = {.ended = {.fn = on_end, .ctx = &o}}, late = tell,
                        again = {.retry = {.times = 1, .again = ask_again, .again_ctx = &o}};
    late.start_within = 1;
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    expect_refused(pool, &o, NULL, wait_inside);
    expect_refused(pool, &o, &tell, sk_give_0);
    expect_refused(pool, &o, &tell, give_up);
    expect_refused(pool, &o, &late, sk_give_0);
    expect_refused(pool, &o, &again, give_up);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int submit_and_run(void *arg)
{
    skua_pool *pool = arg;
    static own o;
    skua_submit_options tell = {.ended = {.fn = on_end, .ctx = &o}},
                        again = {.retry = {.times = 1, .again = ask_again, .again_ctx = &o}};
    const skua_submit_options *options[] = {NULL, &tell, &tell, &again};
    skua_fn *fns[] = {wait_inside, sk_give_0, give_up, give_up};
    for (int i = 0; i < 4; i++) {
        o = (own){0};
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &o.future, options[i], fns[i], &o), 0);
        SK_EXPECT_EQ(o.asked, 1);
        SK_EXPECT_EQ(o.found, -EDEADLK);
        SK_EXPECT_EQ(skua_future_wait(o.future, 0, NULL), 0); /* it has ended, and is not ours any more */
        SK_EXPECT_EQ(skua_future_release(o.future), 0);
    }
    return 0;
}

/* By a thread, and by a task. */
SK_TEST(pool_standstill, the_future_of_what_its_submitter_runs)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = 1, .when_full = SKUA_FULL_RUN);
    sk_stay s = {0};
    sk_occupy(pool, &s, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(submit_and_run(pool), 0);
    SK_EXPECT_EQ(sk_run_on(rt, submit_and_run, pool), 0);
    sk_gate_add(&s.leave);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).failed, 4);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
