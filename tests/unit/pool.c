/* unit/pool.c: the limit, the bounded queue, submitting, and the errors. */
#include "support/tasks.h"

static skua_pool *pool_on(skua_runtime *rt, uint32_t limit, uint32_t queue)
{
    skua_pool *pool = NULL;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = limit, .queue = queue}), 0);
    SK_EXPECT(pool != NULL);
    return pool;
}

/* A snapshot, which must add up and keep to the pool's bounds. */
static skua_pool_counts counts_of(skua_pool *pool)
{
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_pool_stats(pool, &c), 0);
    SK_EXPECT_EQ(c.submitted, c.queued + c.running + c.done + c.failed + c.cancelled + c.expired + c.dropped);
    if (c.limit) SK_EXPECT(c.running <= c.limit);
    return c;
}

/* ---- limit ---- */

typedef struct crowd {
    sk_atomic(uint32_t) inside, most;
    sk_gate came, ran;
    uint32_t meet; /* the first waits, parked, until that many have come */
    bool nap;
} crowd;

static int join_crowd(void *arg)
{
    crowd *c = arg;
    uint32_t now = sk_add_ar(&c->inside, 1u) + 1, most = sk_load_rlx(&c->most);
    while (now > most && !sk_cas_ar(&c->most, &most, now)) {
    }
    sk_gate_add(&c->came);
    if (sk_gate_now(&c->came) < c->meet) SK_EXPECT(sk_gate_await(&c->came, c->meet));
    if (c->nap) skua_sleep(SKUA_US(100));
    sk_sub_ar(&c->inside, 1u);
    sk_gate_add(&c->ran);
    return 0;
}

SK_TEST(pool, never_more_than_the_limit)
{
    static const uint32_t limits[] = {1, 10, 100, 0};
    skua_runtime *rt = sk_runtime_of(3);
    for (int nap = 0; nap < 2; nap++)
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            skua_pool *pool = pool_on(rt, limits[i], 0);
            uint32_t n = (uint32_t)sk_test_scaled(nap && limits[i] == 1 ? 500 : 10000);
            crowd c = {.nap = nap, .meet = nap && limits[i] != 1 && n > 1 ? 2 : 0};
            for (uint32_t k = 0; k < n; k++) {
                SK_EXPECT_EQ(skua_pool_submit(pool, join_crowd, &c), 0);
                if (k % 64 == 0) counts_of(pool);
            }
            SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
            SK_EXPECT_EQ(sk_gate_now(&c.ran), n);
            skua_pool_counts counts = counts_of(pool);
            SK_EXPECT_EQ(counts.done, n);
            SK_EXPECT_EQ(counts.submitted, n);
            SK_EXPECT_EQ(counts.limit, limits[i]);
            SK_EXPECT_EQ(counts.queue, 1024);
            if (limits[i]) SK_EXPECT(c.most <= limits[i]);
            if (c.meet) SK_EXPECT(c.most >= c.meet); /* parked ones count, and do not stand in the way */
            SK_EXPECT_EQ(skua_pool_release(pool), 0);
        }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- queue ---- */

static int await_gate(void *arg)
{
    return sk_gate_await(arg, 1) ? 0 : -ETIME;
}

/* Fills a pool whose tasks wait for the gate; returns how many it took. */
static uint32_t fill(skua_pool *pool, sk_gate *gate, uint32_t limit)
{
    uint32_t n = 0;
    /* The slots first: what is on its way from the queue to a slot would make room there. */
    for (; n < limit; n++) SK_EXPECT_EQ(skua_pool_submit(pool, await_gate, gate), 0);
    SK_EVENTUALLY(counts_of(pool).running == limit && counts_of(pool).queued == 0);
    for (;; n++) {
        int error = skua_pool_try_submit(pool, await_gate, gate);
        if (error == -EAGAIN) return n;
        SK_EXPECT_EQ(error, 0);
        SK_EXPECT(n < 100000);
    }
}

SK_TEST(pool, the_queue_is_bounded)
{
    static const uint32_t queues[] = {1, 2, 3, 100, 1024, 1025};
    skua_runtime *rt = sk_runtime_of(2);
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        sk_gate gate = 0;
        skua_pool *pool = pool_on(rt, 2, queues[i]);
        SK_EXPECT_EQ(fill(pool, &gate, 2), 2 + queues[i]);
        skua_pool_counts c = counts_of(pool);
        SK_EXPECT_EQ(c.running, 2);
        SK_EXPECT_EQ(c.queued, queues[i]);
        SK_EXPECT_EQ(c.submitted, 2 + queues[i]); /* what was refused does not count */
        SK_EXPECT_EQ(c.queue, queues[i]);
        sk_gate_add(&gate);
        SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
        SK_EXPECT_EQ(counts_of(pool).done, 2 + queues[i]);
        SK_EXPECT_EQ(skua_pool_try_submit(pool, await_gate, &gate), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct submitter {
    skua_pool *pool;
    sk_gate gate, ran, submitted;
    uint32_t n;
} submitter;

static int submit_some(void *arg)
{
    submitter *s = arg;
    for (uint32_t i = 0; i < s->n; i++) {
        SK_EXPECT_EQ(skua_pool_submit(s->pool, sk_open, &s->ran), 0);
        sk_gate_add(&s->submitted);
    }
    return 0;
}

static void *submit_some_as_thread(void *arg)
{
    submit_some(arg);
    return NULL;
}

SK_TEST(pool, submit_waits_for_room)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int rounds = 0; rounds < 20; rounds++) {
        submitter s = {.pool = pool_on(rt, 1, 2), .n = 50};
        pthread_t thread;
        SK_EXPECT_EQ(fill(s.pool, &s.gate, 1), 3);
        skua_task t = sk_spawn_on(rt, submit_some, &s), u = sk_spawn_on(rt, submit_some, &s);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, submit_some_as_thread, &s), 0);
        skua_sleep(SKUA_MS(2));
        SK_EXPECT_EQ(sk_gate_now(&s.submitted), 0); /* all three stand before the full queue */
        SK_EXPECT_EQ(counts_of(s.pool).queued, 2);
        sk_gate_add(&s.gate);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT_EQ(skua_join(u, NULL), 0);
        pthread_join(thread, NULL);
        SK_EXPECT_EQ(skua_pool_wait(s.pool, SKUA_FOREVER), 0);
        SK_EXPECT_EQ(sk_gate_now(&s.ran), 150);
        SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct dependence {
    skua_pool *pool;
    sk_gate first, others, submits;
} dependence;

static int submit_and_open(void *arg)
{
    dependence *d = arg;
    sk_gate_add(&d->submits);
    int error = skua_pool_submit(d->pool, await_gate, &d->others);
    sk_gate_add(&d->others); /* what all the other tasks of the pool wait for */
    return error;
}

/* One place gets free, and no more before the submitter goes on. */
SK_TEST(pool, a_submitter_does_not_sleep_beside_room)
{
    enum { QUEUE = 8 };
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 20; round++) {
        dependence d = {.pool = pool_on(rt, 1, QUEUE)};
        int result = 1;
        SK_EXPECT_EQ(skua_pool_submit(d.pool, await_gate, &d.first), 0);
        SK_EVENTUALLY(counts_of(d.pool).running == 1);
        for (int i = 0; i < QUEUE; i++) SK_EXPECT_EQ(skua_pool_submit(d.pool, await_gate, &d.others), 0);
        skua_task t = sk_spawn_on(rt, submit_and_open, &d);
        SK_EXPECT(sk_gate_await(&d.submits, 1));
        skua_sleep(SKUA_MS(1));
        SK_EXPECT_EQ(sk_gate_now(&d.others), 0);
        sk_gate_add(&d.first);
        SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(SK_PATIENCE_MS) / 2, &result), 0);
        SK_EXPECT_EQ(result, 0);
        SK_EXPECT_EQ(skua_pool_release(d.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct late_submitter {
    skua_pool *pool;
    sk_gate gate, ready;
    int found;
} late_submitter;

static int submit_one(void *arg)
{
    late_submitter *s = arg;
    sk_gate_add(&s->ready);
    s->found = skua_pool_submit(s->pool, sk_open, &s->gate);
    return 0;
}

/* On a busy machine the late one may never start: then the next is tried. */
static skua_task start_submitter(late_submitter *s, const skua_task_options *o)
{
    skua_task t;
    for (uint64_t late = sk_stats_of(o->runtime).expired, tries = 0; sk_gate_now(&s->ready) == 0; tries++) {
        SK_EXPECT(tries < 100);
        if (tries) SK_EXPECT_EQ(skua_detach(t), 0);
        SK_EXPECT_EQ(skua_spawn_with(&t, o, submit_one, s), 0);
        SK_EVENTUALLY(sk_gate_now(&s->ready) == 1 || sk_stats_of(o->runtime).expired == late + tries + 1);
    }
    return t;
}

SK_TEST(pool, a_waiting_submitter_can_be_cancelled_or_late)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int late = 0; late < 2; late++) {
        late_submitter s = {.pool = pool_on(rt, 1, 1), .found = 1};
        SK_EXPECT_EQ(fill(s.pool, &s.gate, 1), 2);
        skua_task_options o = {.runtime = rt, .finish_within = late ? SKUA_MS(50) : 0};
        skua_task t = start_submitter(&s, &o);
        if (!late) SK_EXPECT_EQ(skua_cancel(t), 0);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EVENTUALLY(s.found != 1); /* the joiner of a late one is told before it ends */
        SK_EXPECT_EQ(s.found, late ? -ETIMEDOUT : -ECANCELED);
        SK_EXPECT_EQ(counts_of(s.pool).submitted, 2);
        SK_EXPECT_EQ(counts_of(s.pool).queued, 1);
        sk_gate_add(&s.gate);
        SK_EXPECT_EQ(skua_pool_release(s.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- from its own tasks ---- */

typedef struct tree {
    skua_pool *pool;
    sk_gate ran;
    sk_atomic(uint32_t) left;
} tree;

static int grow_tree(void *arg)
{
    tree *t = arg;
    sk_gate_add(&t->ran);
    for (int i = 0; i < 2; i++) {
        uint32_t left = sk_load_rlx(&t->left);
        while (left && !sk_cas_ar(&t->left, &left, left - 1)) {
        }
        if (left) SK_EXPECT_EQ(skua_pool_submit(t->pool, grow_tree, t), 0);
    }
    return 0;
}

SK_TEST(pool, tasks_submit_to_their_own_pool)
{
    skua_runtime *rt = sk_runtime_of(2);
    uint32_t n = (uint32_t)sk_test_scaled(20000);
    tree t = {.pool = pool_on(rt, 4, 1 << 16), .left = n};
    SK_EXPECT_EQ(skua_pool_submit(t.pool, grow_tree, &t), 0);
    SK_EXPECT_EQ(skua_pool_wait(t.pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(sk_gate_now(&t.ran), n + 1);
    SK_EXPECT_EQ(counts_of(t.pool).done, n + 1);
    SK_EXPECT_EQ(skua_pool_release(t.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct insiders {
    skua_pool *pool;
    sk_gate inside, waits, over, ran;
    int first, second;
} insiders;

/* Fills the queue, and then waits for room while it holds a slot. */
static int wait_inside(void *arg)
{
    insiders *in = arg;
    sk_gate_add(&in->inside);
    SK_EXPECT(sk_gate_hold(&in->inside, 2));
    SK_EXPECT_EQ(skua_pool_submit(in->pool, sk_open, &in->ran), 0);
    SK_EXPECT_EQ(skua_pool_try_submit(in->pool, sk_open, &in->ran), -EAGAIN);
    sk_gate_add(&in->waits);
    in->first = skua_pool_submit(in->pool, sk_open, &in->ran);
    sk_gate_add(&in->over);
    return 0;
}

/* The last one that could make room is told so; when it ends instead of waiting, there is room. */
static int come_last(void *arg)
{
    insiders *in = arg;
    sk_gate_add(&in->inside);
    SK_EXPECT(sk_gate_hold(&in->waits, 1));
    SK_EVENTUALLY(sk_stats_of(skua_runtime_current()).parked == 1);
    in->second = skua_pool_submit(in->pool, sk_open, &in->ran);
    SK_EXPECT_EQ(sk_gate_now(&in->over), 0);
    return 0;
}

SK_TEST(pool, the_last_of_its_tasks_that_would_wait_for_room_is_told)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 20; i++) {
        insiders in = {.pool = pool_on(rt, 2, 1), .first = 1, .second = 1};
        SK_EXPECT_EQ(skua_pool_submit(in.pool, wait_inside, &in), 0);
        SK_EXPECT_EQ(skua_pool_submit(in.pool, come_last, &in), 0);
        SK_EXPECT_EQ(skua_pool_wait(in.pool, SKUA_FOREVER), 0);
        SK_EXPECT_EQ(in.first, 0);
        SK_EXPECT_EQ(in.second, -EDEADLK);
        SK_EXPECT_EQ(sk_gate_now(&in.ran), 2);
        SK_EXPECT_EQ(skua_pool_release(in.pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_for_own_pool(void *arg)
{
    SK_EXPECT_EQ(skua_pool_wait(arg, SKUA_FOREVER), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_wait(arg, 0), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(arg), -EDEADLK);
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    SK_EXPECT_EQ(skua_pool_wait(arg, SKUA_MS(20)), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(arg), -EDEADLK);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return 0;
}

SK_TEST(pool, waiting_for_oneself_is_a_deadlock)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = pool_on(rt, 1, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, wait_for_own_pool, pool), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(counts_of(pool).done, 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- errors and numbers ---- */

static int give(void *arg)
{
    return *(int *)arg;
}

static int cancel_self(void *unused)
{
    (void)unused;
    skua_cancel(skua_self());
    return skua_sleep(SKUA_S(3600));
}

SK_TEST(pool, stats_tell_the_ends_apart)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = pool_on(rt, 3, 0);
    int ok = 0, also = 5, bad = -EIO;
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit(pool, give, i % 2 ? &ok : &also), 0);
    for (int i = 0; i < 7; i++) SK_EXPECT_EQ(skua_pool_submit(pool, give, &bad), 0);
    for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_pool_submit(pool, cancel_self, NULL), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    skua_pool_counts c = counts_of(pool);
    SK_EXPECT_EQ(c.done, 10);
    SK_EXPECT_EQ(c.failed, 7);
    SK_EXPECT_EQ(c.cancelled, 4);
    SK_EXPECT_EQ(c.running + c.queued + c.expired + c.dropped, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool, bad_input_is_an_error)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool_counts c;
    skua_pool *pool = (skua_pool *)&pool;
    SK_EXPECT_EQ(skua_pool_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .queue = SKUA_POOL_QUEUE_MAX + 1}),
                 -EOVERFLOW);
    SK_EXPECT(pool == NULL);
    SK_EXPECT_EQ(skua_pool_submit(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_try_submit(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_wait(NULL, 0), -EINVAL);
    SK_EXPECT_EQ(skua_pool_release(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_stats(NULL, &c), -EINVAL);
    pool = pool_on(rt, 1, 1);
    SK_EXPECT_EQ(skua_pool_submit(pool, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_try_submit(pool, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_stats(pool, NULL), -EINVAL);
    SK_EXPECT_EQ(counts_of(pool).submitted, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int create_inside(void *arg)
{
    skua_pool *pool;
    SK_EXPECT_EQ(skua_pool_create(&pool, NULL), 0); /* on the caller's runtime, without a limit */
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, arg), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    return (int)sk_gate_now(arg);
}

SK_TEST(pool, runs_on_the_callers_or_the_default_runtime)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate ran = 0;
    SK_EXPECT_EQ(sk_run_on(rt, create_inside, &ran), 1);
    SK_EVENTUALLY(sk_stats_of(rt).done == 2); /* the pool learns of an end a moment before the runtime */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(create_inside(&ran), 2);
    SK_EVENTUALLY(sk_stats_of(skua_runtime_default()).done == 1);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* ---- a try with options ---- */

/* Whatever the policy is, and with and without a future. */
SK_TEST(pool, no_wait_refuses_at_once)
{
    static const skua_when_full policies[] = {SKUA_FULL_WAIT, SKUA_FULL_REFUSE, SKUA_FULL_DROP_OLDEST, SKUA_FULL_RUN};
    skua_runtime *rt = sk_runtime_of(2);
    const skua_submit_options plain = {.no_wait = true}, full = {.no_wait = true, .retry = {.times = 2}};
    for (size_t i = 0; i < 8; i++) {
        sk_gate open = 0, ran = 0;
        skua_pool *pool = NULL;
        skua_task task;
        skua_future f;
        skua_pool_options o = {.runtime = rt, .limit = 1, .queue = 1, .when_full = policies[i / 2]};
        if (i % 2) o.retry = (skua_retry){.times = 1}; /* defaults have a way of their own */
        SK_EXPECT_EQ(skua_pool_create(&pool, &o), 0);
        SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &plain, await_gate, &open), 0);
        SK_EVENTUALLY(counts_of(pool).running == 1);
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &plain, sk_open, &ran), 0);
        SK_EXPECT_EQ(skua_future_release(f), 0);
        SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &plain, sk_open, &ran), -EAGAIN);
        SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &full, sk_open, &ran), -EAGAIN);
        SK_EXPECT_EQ(skua_pool_submit_with(pool, &task, &plain, sk_open, &ran), i % 2 ? -ENOTSUP : -EAGAIN);
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &plain, sk_open, &ran), -EAGAIN);
        SK_EXPECT(f.ref == NULL);
        SK_EXPECT_EQ(counts_of(pool).refused, i % 2 ? 3 : 4);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        sk_gate_add(&open);
        SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- what state it is in ---- */

static void expect_state(skua_pool *pool, bool stopped, bool paused)
{
    skua_pool_counts c = counts_of(pool);
    SK_EXPECT_EQ(c.stopped, stopped);
    SK_EXPECT_EQ(c.paused, paused);
}

SK_TEST(pool, counts_say_whether_it_is_stopped_or_pauses)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = pool_on(rt, 2, 0), *sub = NULL;
    SK_EXPECT_EQ(skua_pool_create(&sub, &(skua_pool_options){.parent = pool}), 0);
    expect_state(sub, false, false);
    SK_EXPECT_EQ(skua_pool_pause(sub), 0);
    expect_state(sub, false, true);
    expect_state(pool, false, false);
    SK_EXPECT_EQ(skua_pool_resume(sub), 0);
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    expect_state(sub, false, true); /* by the one above it */
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(skua_pool_stop(sub, SKUA_FOREVER), 0);
    expect_state(sub, true, false);
    expect_state(pool, false, false);
    SK_EXPECT_EQ(skua_pool_restart(sub), 0);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    expect_state(sub, true, false);
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    expect_state(sub, false, false);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- the default pool ---- */

static int try_to_end_it(void *pool)
{
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), -EPERM);
    SK_EXPECT_EQ(skua_pool_stop_now(pool, 0), -EPERM);
    SK_EXPECT_EQ(skua_pool_release(pool), -EPERM);
    return 0;
}

SK_TEST(pool, nobody_ends_the_default_one)
{
    skua_pool *pool = skua_pool_default();
    int result = 1;
    SK_EXPECT_EQ(try_to_end_it(pool), 0);
    SK_EXPECT_EQ(skua_pool_run(pool, try_to_end_it, pool, &result), 0); /* from inside, too */
    SK_EXPECT_EQ(result, 0);
    expect_state(pool, false, false);
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    SK_EXPECT(skua_pool_default() == pool);
}
