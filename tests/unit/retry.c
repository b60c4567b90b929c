/* unit/retry.c: further attempts: how many, when, in whose place; and what ends a task between two of them. */
#include "support/pools.h"

#include <string.h>

/* A task that fails until its n-th attempt. */
typedef struct tries {
    sk_gate begun;
    uint32_t succeeds; /* at this attempt; 0: never */
    int error;         /* else */
    uint64_t at[16];   /* when each began */
    sk_gate asked, calls;
    sk_atomic(int) result;
} tries;

static int try_it(void *arg)
{
    tries *t = arg;
    uint32_t n = sk_add_ar(&t->begun, 1u) + 1;
    if (n <= 16) t->at[n - 1] = skua_now();
    return t->succeeds && n >= t->succeeds ? (int)n : t->error ? t->error : -EIO;
}

static int try_and_give_up(void *arg)
{
    int result = try_it(arg);
    if (result < 0) skua_panic_task("attempt failed");
    return result;
}

static void tell(void *ctx, void *given, int result)
{
    (void)given;
    tries *t = ctx;
    sk_store_rlx(&t->result, result);
    sk_gate_add(&t->calls);
}

static bool only_eio(int error, void *ctx)
{
    sk_gate_add(ctx);
    return error == -EIO;
}

/* Submits it with a future and a callback. */
static skua_future begin(skua_pool *pool, tries *t, skua_submit_options o, skua_fn *fn)
{
    skua_future f = {NULL, 0};
    o.ended = (skua_ended){tell, t, NULL};
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, fn, t), 0);
    return f;
}

static void expect_end(skua_future f, tries *t, int result, uint32_t attempts)
{
    int got = 1234567;
    SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &got), 0);
    SK_EXPECT_EQ(got, result);
    SK_EXPECT_EQ(sk_gate_now(&t->begun), attempts);
    SK_EXPECT_EQ(sk_gate_now(&t->calls), 1);
    SK_EXPECT_EQ(sk_load_rlx(&t->result), result);
    SK_EXPECT_EQ(skua_future_release(f), 0);
}

static skua_submit_options retry(uint32_t times, uint64_t backoff)
{
    return (skua_submit_options){.retry = {.times = times, .backoff = backoff}};
}

/* At rest. */
static void expect_counts(skua_pool *pool, uint64_t done, uint64_t failed, uint64_t retried)
{
    sk_pool_await(pool);
    skua_pool_counts c = sk_counts_of(pool);
    SK_EXPECT_EQ(c.submitted, done + failed);
    SK_EXPECT_EQ(c.done, done);
    SK_EXPECT_EQ(c.failed, failed);
    SK_EXPECT_EQ(c.retried, retried);
    SK_EXPECT_EQ(c.queued + c.running, 0);
}

/* ---- how many ---- */

/* In place, with a back-off, with a limit on each run, and by giving up. */
SK_TEST(retry, three_times_more_means_four_attempts)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 8; kind++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
        skua_submit_options o = retry(3, kind & 1 ? SKUA_US(100) : 0);
        if (kind & 2) o.run_within = SKUA_S(100);
        skua_fn *fn = kind & 4 ? try_and_give_up : try_it;
        tries fails = {0}, succeeds = {.succeeds = 3}, at_once = {.succeeds = 1};
        expect_end(begin(pool, &fails, o, fn), &fails, kind & 4 ? -EFAULT : -EIO, 4);
        expect_end(begin(pool, &succeeds, o, fn), &succeeds, 3, 3);
        expect_end(begin(pool, &at_once, o, fn), &at_once, 1, 1);
        expect_counts(pool, 2, 1, 5);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(retry, the_predicate_decides)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt);
    for (int kind = 0; kind < 2; kind++) {
        tries yes = {.error = -EIO}, no = {.error = -EPERM};
        skua_submit_options o = retry(2, kind ? SKUA_US(50) : 0);
        o.retry.again = only_eio;
        o.retry.again_ctx = &yes.asked;
        expect_end(begin(pool, &yes, o, try_it), &yes, -EIO, 3);
        SK_EXPECT_EQ(sk_gate_now(&yes.asked), 2);
        o.retry.again_ctx = &no.asked;
        expect_end(begin(pool, &no, o, try_it), &no, -EPERM, 1);
        SK_EXPECT_EQ(sk_gate_now(&no.asked), 1);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- when ---- */

SK_TEST(retry, back_offs_are_never_shorter_than_asked)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt);
    tries fixed = {0}, growing = {0}, jittery = {0};
    skua_submit_options o = retry(3, SKUA_MS(3));
    skua_future f = begin(pool, &fixed, o, try_it);
    o.retry.exponential = true;
    o.retry.backoff_most = SKUA_MS(10);
    skua_future g = begin(pool, &growing, o, try_it);
    o.retry.jitter = 50;
    skua_future h = begin(pool, &jittery, o, try_it);
    expect_end(f, &fixed, -EIO, 4);
    expect_end(g, &growing, -EIO, 4);
    expect_end(h, &jittery, -EIO, 4);
    const uint64_t grows[] = {SKUA_MS(3), SKUA_MS(6), SKUA_MS(10)};
    for (int i = 0; i < 3; i++) {
        SK_EXPECT(fixed.at[i + 1] - fixed.at[i] >= SKUA_MS(3));
        SK_EXPECT(growing.at[i + 1] - growing.at[i] >= grows[i]);
        SK_EXPECT(jittery.at[i + 1] - jittery.at[i] >= grows[i] / 2);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- in whose place ---- */

/* While a task backs off another one has its place, and it counts as queued. False: the back-off was over too soon. */
static bool gives_its_place_back(skua_runtime *rt, uint64_t backoff)
{
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    tries t = {.succeeds = 2};
    sk_stay s = {0};
    skua_future f = begin(pool, &t, retry(1, backoff), try_it);
    SK_EXPECT(sk_gate_await(&t.begun, 1));
    SK_EVENTUALLY(sk_pool_stands_at(pool, 0, 1) || skua_future_try(f, NULL) == 0);
    sk_occupy(pool, &s, 1); /* has the only place */
    bool in_time = sk_gate_now(&t.begun) == 1;
    SK_EXPECT(sk_pool_stands_at(pool, 1, in_time));
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(1)), -ETIMEDOUT);
    sk_gate_add(&s.leave);
    sk_pool_await(pool); /* for the back-off too */
    expect_end(f, &t, 2, 2);
    expect_counts(pool, 2, 0, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return in_time;
}

SK_TEST(retry, a_back_off_gives_the_place_back)
{
    skua_runtime *rt = sk_runtime_of(1);
    uint64_t backoff = SKUA_MS(100);
    while (!gives_its_place_back(rt, backoff)) backoff *= 2;
    SK_EXPECT(backoff < SKUA_S(20));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The next attempt waits for room, whatever the policy. Should the only place be taken so late that the back-off is
   over, it is made again with a longer one. */
static bool waits_for_room(skua_runtime *rt, uint32_t queue, skua_when_full when_full, uint64_t backoff)
{
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = queue, .when_full = when_full);
    tries t = {.succeeds = 2};
    sk_stay s = {0};
    skua_future f = begin(pool, &t, retry(1, backoff), try_it);
    SK_EVENTUALLY((sk_gate_now(&t.begun) == 1 && sk_pool_stands_at(pool, 0, 1)) || skua_future_try(f, NULL) == 0);
    bool in_time = skua_pool_try_submit(pool, sk_stays, &s) == 0;
    in_time = in_time && sk_gate_await(&s.entered, 1) && sk_gate_now(&t.begun) == 1;
    if (in_time && queue != SKUA_POOL_NO_QUEUE) (void)skua_pool_try_submit(pool, sk_stays, &s); /* full by now */
    if (in_time) skua_sleep(2 * backoff);
    SK_EXPECT(!in_time || sk_gate_now(&t.begun) == 1);
    sk_gate_add(&s.leave);
    expect_end(f, &t, 2, 2);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).dropped, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return in_time;
}

SK_TEST(retry, the_next_attempt_waits_for_room)
{
    static const skua_when_full policies[] = {SKUA_FULL_WAIT, SKUA_FULL_REFUSE, SKUA_FULL_DROP_OLDEST, SKUA_FULL_RUN};
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 5; i++) {
        uint64_t backoff = SKUA_MS(5);
        while (!waits_for_room(rt, i < 4 ? 1 : SKUA_POOL_NO_QUEUE, policies[i % 4], backoff)) backoff *= 2;
        SK_EXPECT(backoff < SKUA_S(20));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- in the same place ---- */

/* Unless asked to: then the place is held all the time, and nobody else gets it. */
SK_TEST(retry, with_keep_place_the_place_is_held)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int kind = 0; kind < 4; kind++) {
        skua_pool *parent = SK_POOL(.runtime = rt, .limit = 2), *pool = SK_POOL(.parent = parent, .limit = 1);
        tries t = {.succeeds = 3};
        sk_gate other = 0;
        skua_submit_options o = retry(2, kind & 1 ? SKUA_MS(10) : 0);
        o.retry.keep_place = true;
        if (kind & 2) o.run_within = SKUA_S(100);
        skua_future f = begin(pool, &t, o, kind & 2 ? try_and_give_up : try_it);
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &other), 0);
        while (skua_future_try(f, NULL) == -EAGAIN) {
            uint32_t ran = sk_gate_now(&other); /* before the look at the job */
            skua_pool_counts c = sk_counts_of(pool);
            SK_EXPECT(c.running <= 1 && c.queued <= 2);
            SK_EXPECT(!ran || sk_gate_now(&t.begun) == 3);
            skua_sleep(SKUA_US(100));
        }
        expect_end(f, &t, 3, 3);
        sk_pool_await(parent);
        SK_EXPECT_EQ(sk_gate_now(&other), 1);
        expect_counts(pool, 2, 0, 2);
        expect_counts(parent, 2, 0, 2);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_pool_release(parent), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* While it backs off in its place: whatever asks it to end. */
SK_TEST(retry, with_keep_place_a_back_off_can_be_ended)
{
    enum { FUTURE, POOL, STOP_NOW, RUNTIME, FINISH_WITHIN, WAYS };
    for (int way = 0; way < WAYS; way++) {
        static const int results[] = {-ECANCELED, -ECANCELED, -ESHUTDOWN, -ESHUTDOWN, -ETIMEDOUT};
        skua_runtime *rt = sk_runtime_of(2);
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
        tries t = {0};
        skua_submit_options o = retry(5, SKUA_S(1000));
        o.retry.keep_place = true;
        if (way == FINISH_WITHIN) o.finish_within = SKUA_MS(20);
        skua_future f = begin(pool, &t, o, try_it);
        SK_EVENTUALLY(sk_gate_now(&t.begun) == 1 || (way == FINISH_WITHIN && skua_future_try(f, NULL) == 0));
        skua_sleep(SKUA_MS(2)); /* mostly it backs off then; if not, the end is the same */
        if (way == FUTURE) SK_EXPECT_EQ(skua_future_cancel(f), 0);
        if (way == POOL) SK_EXPECT(skua_pool_cancel(pool) >= 0);
        if (way == STOP_NOW) SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        if (way == RUNTIME) SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_MS(SK_PATIENCE_MS)), 0);
        int got = 0;
        SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &got), 0);
        /* -EIO: it did not back off any more; who is about to when the runtime stops may be cancelled. */
        SK_EXPECT(got == results[way] || got == -EIO || (got == -ECANCELED && way == RUNTIME));
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&t.calls), 1);
        skua_pool_counts c = sk_counts_of(pool);
        SK_EXPECT_EQ(c.cancelled + c.dropped + c.expired + c.failed, 1);
        SK_EXPECT_EQ(c.running, 0);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

/* ---- what ends a task that backs off ---- */

typedef struct backing {
    skua_runtime *rt;
    skua_pool *pool;
    tries t;
    skua_future f;
} backing;

static void begin_long_backoff(backing *b, uint64_t backoff)
{
    memset(b, 0, sizeof *b);
    b->rt = sk_runtime_of(2);
    b->pool = SK_POOL(.runtime = b->rt, .limit = 1);
    b->f = begin(b->pool, &b->t, retry(5, backoff), try_it);
    SK_EXPECT(sk_gate_await(&b->t.begun, 1));
    SK_EVENTUALLY(sk_pool_stands_at(b->pool, 0, 1));
}

static void end_backing(backing *b)
{
    SK_EXPECT_EQ(skua_pool_release(b->pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(b->rt), 0);
}

SK_TEST(retry, a_future_cancels_a_back_off)
{
    backing b;
    begin_long_backoff(&b, SKUA_S(1000));
    SK_EXPECT_EQ(skua_future_cancel(b.f), 0);
    SK_EXPECT_EQ(skua_future_wait(b.f, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(skua_future_cancel(b.f), -EALREADY);
    expect_end(b.f, &b.t, -ECANCELED, 1);
    skua_pool_counts c = sk_counts_of(b.pool);
    SK_EXPECT_EQ(c.cancelled, 1);
    SK_EXPECT_EQ(c.retried, 0);
    end_backing(&b);
}

SK_TEST(retry, a_pool_cancels_a_back_off)
{
    backing b;
    begin_long_backoff(&b, SKUA_S(1000));
    SK_EXPECT_EQ(skua_pool_cancel(b.pool), 1);
    expect_end(b.f, &b.t, -ECANCELED, 1);
    sk_pool_await(b.pool);
    SK_EXPECT_EQ(sk_counts_of(b.pool).cancelled, 1);
    end_backing(&b);
}

SK_TEST(retry, stop_now_drops_a_back_off)
{
    backing b;
    begin_long_backoff(&b, SKUA_S(1000));
    SK_EXPECT_EQ(skua_pool_stop_now(b.pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    expect_end(b.f, &b.t, -ESHUTDOWN, 1);
    sk_pool_await(b.pool);
    SK_EXPECT_EQ(sk_counts_of(b.pool).dropped, 1);
    SK_EXPECT_EQ(skua_pool_restart(b.pool), 0); /* and then there are retries again */
    tries t = {0};
    expect_end(begin(b.pool, &t, retry(1, SKUA_MS(1)), try_it), &t, -EIO, 2);
    end_backing(&b);
}

/* On a busy machine all its back-offs may be over before we ask: then the next one's are longer. */
SK_TEST(retry, stop_and_release_wait_for_a_back_off)
{
    int error = 0;
    for (uint64_t backoff = SKUA_MS(20); error == 0; backoff *= 2) {
        backing b = {.rt = sk_runtime_of(2)};
        b.pool = SK_POOL(.runtime = b.rt, .limit = 1);
        b.f = begin(b.pool, &b.t, retry(5, backoff), try_it);
        SK_EXPECT(sk_gate_await(&b.t.begun, 1));
        error = skua_pool_stop(b.pool, SKUA_MS(1));
        SK_EXPECT(error == -ETIMEDOUT || (error == 0 && backoff < SKUA_S(20)));
        SK_EXPECT_EQ(skua_pool_release(b.pool), 0);
        expect_end(b.f, &b.t, -EIO, 6);
        SK_EXPECT_EQ(skua_runtime_release(b.rt), 0);
    }
}

SK_TEST(retry, the_end_of_the_runtime_drops_a_back_off)
{
    backing b;
    begin_long_backoff(&b, SKUA_S(1000));
    SK_EXPECT_EQ(skua_runtime_stop(b.rt, SKUA_MS(SK_PATIENCE_MS)), 0); /* not after the thousand seconds */
    expect_end(b.f, &b.t, -ESHUTDOWN, 1);
    end_backing(&b);
}

SK_TEST(retry, finish_within_ends_all_attempts)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    tries t = {0};
    uint64_t late = 0;
    int result = 0;
    skua_submit_options o = retry(1000000, SKUA_S(1000));
    o.finish_within = SKUA_MS(20);
    /* On a busy machine it may be late for its start, or its only attempt so slow that it is past the deadline itself.
     */
    for (uint32_t began = 0, i = 0; i < 100 && !(began && result == -ETIMEDOUT); i++) {
        began = sk_gate_now(&t.begun);
        skua_future f = begin(pool, &t, o, try_it);
        SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        began = sk_gate_now(&t.begun) - began;
        SK_EXPECT(began <= 1 && sk_gate_now(&t.calls) == i + 1 && sk_load_rlx(&t.result) == result);
        SK_EXPECT(result == -ETIMEDOUT || (began && result == -EIO));
        late += result == -ETIMEDOUT;
    }
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).expired, late);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Subpools: the parent counts a task once, and is not at rest while it backs off. */
SK_TEST(retry, a_parent_waits_for_a_back_off_below)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt, .limit = 1), *pool = SK_POOL(.parent = parent, .limit = 1);
    tries t = {.succeeds = 3}, u = {0};
    skua_future f = begin(pool, &t, retry(2, SKUA_MS(10)), try_it);
    SK_EXPECT(sk_gate_await(&t.begun, 1));
    sk_pool_await(parent);
    expect_end(f, &t, 3, 3);
    expect_counts(parent, 1, 0, 2);
    f = begin(pool, &u, retry(2, SKUA_S(1000)), try_it);
    SK_EVENTUALLY(sk_gate_now(&u.begun) == 1 && sk_pool_stands_at(parent, 0, 1));
    SK_EXPECT_EQ(skua_pool_cancel(parent), 1);
    expect_end(f, &u, -ECANCELED, 1);
    sk_pool_await(parent);
    SK_EXPECT_EQ(sk_counts_of(parent).cancelled, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_pool_release(parent), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- limits on a run ---- */

typedef struct sleeper {
    sk_gate begun;
    uint32_t slow; /* attempts that sleep for long */
} sleeper;

static int sleep_at_first(void *arg)
{
    sleeper *s = arg;
    return sk_add_ar(&s->begun, 1u) < s->slow ? skua_sleep(SKUA_S(1000)) : 5;
}

/* On a busy machine an attempt that means to return in time may be late too, and then there is another. */
SK_TEST(retry, each_attempt_has_its_own_run_within)
{
    enum { MOST = 1000 };
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 4; kind++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
        sleeper s = {.slow = 2};
        skua_future f;
        int result = 0;
        skua_submit_options o = retry(MOST, kind & 1 ? SKUA_MS(1) : 0);
        o.run_within = SKUA_MS(20);
        if (kind & 2) o.finish_within = SKUA_S(1000);
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, sleep_at_first, &s), 0);
        SK_EXPECT_EQ(skua_future_wait(f, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(result, 5);
        uint32_t begun = sk_gate_now(&s.begun);
        SK_EXPECT(begun >= 3);
        expect_counts(pool, 1, 0, begun - 1);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(retry, a_handle_sees_run_within_too)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_submit_options o = {.run_within = SKUA_MS(2)};
    sleeper s = {.slow = 1};
    skua_task task;
    int result = 0;
    SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, &o, sleep_at_first, &s), 0);
    SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(result, -ETIMEDOUT);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).expired, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- many ---- */

typedef struct flock {
    sk_crowd crowd;
    sk_gate attempts, calls, wrong;
} flock;

typedef struct bird {
    flock *flock;
    uint32_t n;
    sk_atomic(uint32_t) tried;
} bird;

/* The n-th succeeds at its attempt n % 4 + 1, of three. */
static int fly(void *arg)
{
    bird *b = arg;
    sk_gate_add(&b->flock->attempts);
    sk_join_crowd(&b->flock->crowd);
    uint32_t tried = sk_add_ar(&b->tried, 1u) + 1;
    if (b->n % 5 == 0 && tried <= b->n % 4) skua_panic_task("a fall");
    return tried > b->n % 4 ? (int)b->n : -EIO;
}

static void landed(void *ctx, void *given, int result)
{
    (void)given;
    bird *b = ctx;
    int want = b->n % 4 < 3 ? (int)b->n : b->n % 5 ? -EIO : -EFAULT;
    sk_gate_add(&b->flock->calls);
    if (result != want) sk_gate_add(&b->flock->wrong);
}

/* A look that is disturbed too often may count a task twice that comes back from its back-off. */
enum { TWICE = 8 };

static void *snapshots(void *arg)
{
    skua_pool *pool = arg;
    uint64_t submitted = 0;
    for (int i = 0; i < 2000; i++) {
        skua_pool_counts c = sk_counts_of(pool);
        SK_EXPECT(c.submitted <= 10000 + TWICE);
        SK_EXPECT(c.queued <= 10000 + TWICE && c.running <= 10 && c.done <= 10000);
        SK_EXPECT(c.submitted + TWICE >= submitted);
        submitted = c.submitted;
        skua_sleep(SKUA_US(20));
    }
    return NULL;
}

SK_TEST(retry, ten_thousand_with_a_limit)
{
    enum { N = 10000 };
    static bird birds[N];
    static flock fl;
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 2; kind++) {
        memset(&fl, 0, sizeof fl);
        memset(birds, 0, sizeof birds);
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 10, .queue = 64);
        pthread_t looker;
        SK_EXPECT_EQ(pthread_create(&looker, NULL, snapshots, pool), 0);
        for (uint32_t i = 0; i < N; i++) {
            birds[i].flock = &fl;
            birds[i].n = i;
            skua_submit_options o = retry(2, kind ? SKUA_US(20) : 0);
            o.retry.jitter = 100;
            o.run_within = i % 3 ? SKUA_S(100) : 0;
            o.ended = (skua_ended){landed, &birds[i], NULL};
            SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, fly, &birds[i]), 0);
        }
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&fl.calls), N);
        SK_EXPECT_EQ(sk_gate_now(&fl.wrong), 0);
        SK_EXPECT_EQ(sk_gate_now(&fl.attempts), N / 4 * (1 + 2 + 3 + 3));
        SK_EXPECT(sk_load_rlx(&fl.crowd.most) <= 10);
        pthread_join(looker, NULL);
        expect_counts(pool, N / 4 * 3, N / 4, N / 4 * 5);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Cancels and back-offs that are just being made: each task ends once, and nobody waits for ever. */
SK_TEST(retry, cancels_race_with_back_offs)
{
    enum { N = 300 };
    static tries t[N];
    skua_future f[N];
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 6; round++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 4, .queue = 512);
        memset(t, 0, sizeof t);
        for (int i = 0; i < N; i++) {
            skua_submit_options o = retry(1000000, i % 2 ? SKUA_S(1000) : SKUA_US(1));
            o.retry.keep_place = i % 8 == 0;
            f[i] = begin(pool, &t[i], o, try_it);
        }
        skua_sleep(SKUA_US(300));
        if (round % 3 == 0)
            SK_EXPECT(skua_pool_cancel(pool) >= 0);
        else if (round % 3 == 1)
            for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_future_cancel(f[i]), 0);
        else
            SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        sk_pool_await(pool);
        for (int i = 0; i < N; i++) {
            int result = 0;
            SK_EXPECT_EQ(skua_future_try(f[i], &result), 0);
            SK_EXPECT(result == -ECANCELED || result == -EIO || result == -ESHUTDOWN);
            SK_EXPECT_EQ(sk_gate_now(&t[i].calls), 1);
            SK_EXPECT_EQ(skua_future_release(f[i]), 0);
        }
        skua_pool_counts c = sk_counts_of(pool);
        SK_EXPECT_EQ(c.cancelled + c.failed + c.dropped, N);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
