/*
 * Stress of the pool: many small pools at once, several submitters each; the
 * limit holds at every moment; wait and release race with the last tasks.
 */
#include "support/tasks.h"

#include "base/rng.h"
#include "runtime/task.h"

#include <unistd.h>

enum { PATIENCE_S = 60 };

/* ---- the limit ---- */

typedef struct lot {
    skua_pool *pool;
    uint32_t limit;
    long each; /* submissions of one submitter */
    sk_atomic(uint32_t) inside, most;
    sk_atomic(uint64_t) ran, accepted, turned_away;
} lot;

static int work(void *arg)
{
    lot *l = (lot *)arg;
    uint32_t now = sk_add_ar(&l->inside, 1u) + 1, most = sk_load_rlx(&l->most);
    SK_EXPECT(!l->limit || now <= l->limit);
    while (now > most && !sk_cas_rlx(&l->most, &most, now)) {
    }
    uint64_t nth = sk_add_rlx(&l->ran, UINT64_C(1));
    if (nth % 5 == 0) skua_sleep(SKUA_US(nth % 70));
    if (nth % 3 == 0) skua_yield();
    sk_sub_ar(&l->inside, 1u);
    return nth % 13 ? 0 : -EIO;
}

/* As a thread or as a task. */
static int submit_all(void *arg)
{
    lot *l = (lot *)arg;
    for (long i = 0; i < l->each; i++) {
        int error = i % 4 ? skua_pool_submit(l->pool, work, l) : skua_pool_try_submit(l->pool, work, l);
        if (error) {
            SK_EXPECT(i % 4 == 0);
            SK_EXPECT_EQ(error, -EAGAIN);
            sk_add_rlx(&l->turned_away, UINT64_C(1));
            continue;
        }
        sk_add_rlx(&l->accepted, UINT64_C(1));
        if (i % 256 == 0) {
            error = skua_pool_wait(l->pool, i % 512 ? SKUA_US(50) : SKUA_S(PATIENCE_S));
            SK_EXPECT(error == 0 || (i % 512 && error == -ETIMEDOUT));
        }
    }
    return 0;
}

static void *submit_all_from_outside(void *arg)
{
    submit_all(arg);
    return NULL;
}

static void check_counts(lot *l)
{
    skua_pool_counts c;
    SK_EXPECT_EQ(skua_pool_stats(l->pool, &c), 0);
    SK_EXPECT_EQ(c.submitted, sk_load_acq(&l->accepted));
    SK_EXPECT_EQ(c.queued + c.running + c.cancelled + c.expired + c.dropped, 0);
    SK_EXPECT_EQ(c.failed, (sk_load_acq(&l->ran) + 12) / 13);
    SK_EXPECT_EQ(c.done + c.failed, sk_load_acq(&l->ran));
    SK_EXPECT_EQ(sk_load_acq(&l->ran), sk_load_acq(&l->accepted));
}

/* While tasks come and go, a snapshot must add up. */
static void *watch_counts(void *arg)
{
    lot *l = (lot *)arg;
    skua_pool_counts c;
    while (skua_pool_stats(l->pool, &c) == 0) {
        SK_EXPECT_EQ(c.submitted, c.queued + c.running + c.done + c.failed + c.cancelled + c.expired + c.dropped);
        SK_EXPECT(!l->limit || c.running <= l->limit);
        usleep(100);
    }
    return NULL;
}

static void many_pools(uint32_t workers)
{
    enum { POOLS = 12, THREADS = 2, TASKS = 2 };
    skua_runtime *rt = sk_runtime_of(workers);
    lot lots[POOLS] = {0};
    pthread_t threads[POOLS][THREADS], watchers[POOLS];
    skua_task tasks[POOLS][TASKS];
    for (int p = 0; p < POOLS; p++) {
        lots[p].limit = (uint32_t[]){1, 2, 3, 8, 100, 0}[p % 6];
        lots[p].each = sk_test_scaled(6000);
        skua_pool_options o = {.runtime = rt, .limit = lots[p].limit, .queue = (uint32_t[]){1, 2, 16, 1000}[p % 4]};
        SK_EXPECT_EQ(skua_pool_create(&lots[p].pool, &o), 0);
    }
    for (int p = 0; p < POOLS; p++) {
        for (int i = 0; i < THREADS; i++)
            SK_EXPECT_EQ(pthread_create(&threads[p][i], NULL, submit_all_from_outside, &lots[p]), 0);
        for (int i = 0; i < TASKS; i++) tasks[p][i] = sk_spawn_on(rt, submit_all, &lots[p]);
        SK_EXPECT_EQ(pthread_create(&watchers[p], NULL, watch_counts, &lots[p]), 0);
    }
    for (int p = 0; p < POOLS; p++) {
        for (int i = 0; i < THREADS; i++) pthread_join(threads[p][i], NULL);
        for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join_for(tasks[p][i], SKUA_S(PATIENCE_S), NULL), 0);
        SK_EXPECT_EQ(skua_pool_wait(lots[p].pool, SKUA_S(PATIENCE_S)), 0);
        check_counts(&lots[p]);
        SK_EXPECT_EQ(skua_pool_release(lots[p].pool), 0);
        pthread_join(watchers[p], NULL);
        SK_EXPECT_EQ(skua_pool_release(lots[p].pool), -ESHUTDOWN);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT(sk_slab_check(&sk_tasks));
}

SK_TEST(stress_pool, many_pools)
{
    for (uint32_t workers = 1; workers <= 3; workers++) many_pools(workers);
}

/* ---- the last task against wait and release ---- */

typedef struct ending {
    skua_runtime *rt;
    sk_atomic(skua_pool *) pool;
    sk_atomic(uint64_t) ran, accepted;
    sk_atomic(uint32_t) submitters;
    uint32_t naps;
} ending;

static int run_short(void *arg)
{
    ending *e = (ending *)arg;
    if (e->naps) skua_sleep(e->naps);
    sk_add_ar(&e->ran, UINT64_C(1));
    return 0;
}

static int submit_few(void *arg)
{
    ending *e = (ending *)arg;
    for (int i = 0; i < 20; i++) {
        int error = skua_pool_submit(sk_load_acq(&e->pool), run_short, e);
        if (error) {
            SK_EXPECT_EQ(error, -ESHUTDOWN);
            break;
        }
        sk_add_ar(&e->accepted, UINT64_C(1));
    }
    sk_add_ar(&e->submitters, 1u);
    return 0;
}

static void *submit_few_from_outside(void *arg)
{
    submit_few(arg);
    return NULL;
}

/* A pool is released while others still submit: what was accepted has run when release returns. */
static void release_round(skua_runtime *rt, sk_rng *rng)
{
    ending e = {.rt = rt, .naps = sk_rng_below(rng, 2) ? 0 : sk_rng_below(rng, 60000)};
    skua_pool *pool;
    skua_pool_options o = {.runtime = rt, .limit = sk_rng_below(rng, 4), .queue = 1 + sk_rng_below(rng, 8)};
    SK_EXPECT_EQ(skua_pool_create(&pool, &o), 0);
    sk_store_rel(&e.pool, pool);
    pthread_t outside;
    SK_EXPECT_EQ(pthread_create(&outside, NULL, submit_few_from_outside, &e), 0);
    skua_task inside = sk_spawn_on(rt, submit_few, &e);
    if (sk_rng_below(rng, 2)) usleep(sk_rng_below(rng, 300));
    if (sk_rng_below(rng, 2)) {
        int error = skua_pool_wait(pool, SKUA_US(20));
        SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    uint64_t ran = sk_load_acq(&e.ran);
    pthread_join(outside, NULL);
    SK_EXPECT_EQ(skua_join_for(inside, SKUA_S(PATIENCE_S), NULL), 0);
    SK_EXPECT_EQ(sk_load_acq(&e.accepted), ran);
    SK_EXPECT_EQ(sk_load_acq(&e.ran), ran);
}

SK_TEST(stress_pool, release_while_submitting)
{
    sk_rng rng;
    sk_rng_seed(&rng, 17);
    for (uint32_t workers = 1; workers <= 3; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (long i = sk_test_scaled(2000); i > 0; i--) release_round(rt, &rng);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
    SK_EXPECT(sk_slab_check(&sk_tasks));
}

/* Several wait for one pool, again and again, while one feeds it: nobody sleeps on, and what was submitted before has
 * run. */
typedef struct feed {
    skua_pool *pool;
    sk_atomic(uint64_t) ran;
    sk_atomic(bool) over;
    long rounds;
} feed;

static int tick(void *arg)
{
    sk_add_ar(&((feed *)arg)->ran, UINT64_C(1));
    return 0;
}

static int feed_and_wait(void *arg)
{
    feed *f = (feed *)arg;
    for (long i = 0; i < f->rounds; i++) {
        uint64_t before = sk_load_acq(&f->ran);
        for (int k = 0; k < 3; k++) SK_EXPECT_EQ(skua_pool_submit(f->pool, tick, f), 0);
        SK_EXPECT_EQ(skua_pool_wait(f->pool, SKUA_S(PATIENCE_S)), 0);
        SK_EXPECT(sk_load_acq(&f->ran) >= before + 3);
    }
    return 0;
}

static void *feed_and_wait_outside(void *arg)
{
    feed_and_wait(arg);
    return NULL;
}

SK_TEST(stress_pool, wait_again_and_again)
{
    skua_runtime *rt = sk_runtime_of(2);
    feed f = {.rounds = sk_test_scaled(10000)};
    SK_EXPECT_EQ(skua_pool_create(&f.pool, &(skua_pool_options){.runtime = rt, .limit = 2, .queue = 4}), 0);
    pthread_t outside[2];
    skua_task inside[2];
    for (int i = 0; i < 2; i++) {
        SK_EXPECT_EQ(pthread_create(&outside[i], NULL, feed_and_wait_outside, &f), 0);
        inside[i] = sk_spawn_on(rt, feed_and_wait, &f);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(outside[i], NULL);
        SK_EXPECT_EQ(skua_join_for(inside[i], SKUA_S(PATIENCE_S), NULL), 0);
    }
    SK_EXPECT_EQ(sk_load_acq(&f.ran), 12 * f.rounds);
    SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- submitters and waiters that are cancelled ---- */

static int submit_until_told(void *arg)
{
    feed *f = (feed *)arg;
    for (int accepted = 0;;) {
        int error = skua_pool_submit(f->pool, tick, f);
        if (!error && ++accepted % 8 == 0) error = skua_pool_wait(f->pool, SKUA_FOREVER);
        if (!error) error = skua_cancelled(); /* a submit that finds room does not look */
        if (!error) continue;
        SK_EXPECT_EQ(error, -ECANCELED);
        return accepted;
    }
}

SK_TEST(stress_pool, cancelled_while_waiting)
{
    skua_runtime *rt = sk_runtime_of(2);
    feed f = {0};
    uint64_t accepted = 0;
    SK_EXPECT_EQ(skua_pool_create(&f.pool, &(skua_pool_options){.runtime = rt, .limit = 1, .queue = 2}), 0);
    for (long i = sk_test_scaled(2000); i > 0; i--) {
        skua_task tasks[4];
        for (int k = 0; k < 4; k++) tasks[k] = sk_spawn_on(rt, submit_until_told, &f);
        usleep(100);
        for (int k = 0; k < 4; k++) {
            int error = skua_cancel(tasks[k]);
            SK_EXPECT_EQ(error, 0);
        }
        for (int k = 0; k < 4; k++) {
            int result = 0;
            SK_EXPECT_EQ(skua_join_for(tasks[k], SKUA_S(PATIENCE_S), &result), 0);
            SK_EXPECT(result >= 0 || result == -ECANCELED);
            if (result > 0) accepted += (uint64_t)result;
        }
    }
    SK_EXPECT_EQ(skua_pool_wait(f.pool, SKUA_S(PATIENCE_S)), 0);
    SK_EXPECT_EQ(sk_load_acq(&f.ran), accepted);
    SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- sweeps ---- */

typedef struct maker {
    skua_runtime *rt;
    long rounds;
} maker;

static int pass_on(void *arg, int result)
{
    (void)arg;
    return result;
}

/* A pool with something to do, and by turns what stands on one; to their end. */
static void make_one(const maker *m, long turn)
{
    feed f = {.pool = NULL};
    skua_group *group, *below;
    skua_lanes *lanes;
    skua_stream *stream;
    skua_submit_options again = {.retry = {.times = 1, .backoff = SKUA_US(1)}};
    SK_EXPECT_EQ(skua_pool_create(&f.pool, &(skua_pool_options){.runtime = m->rt, .limit = 2, .queue = 4}), 0);
    SK_EXPECT_EQ(skua_pool_submit_with(f.pool, NULL, &again, tick, &f), 0);
    if (turn % 4 == 1) {
        SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.pool = f.pool}), 0);
        SK_EXPECT_EQ(skua_group_create(&below, &(skua_group_options){.parent = group, .limit = 1}), 0);
        SK_EXPECT_EQ(skua_group_go(below, tick, &f), 0);
        SK_EXPECT_EQ(skua_group_release(below), 0);
        SK_EXPECT_EQ(skua_group_release(group), 0);
    } else if (turn % 4 == 2) {
        SK_EXPECT_EQ(skua_lanes_create(&lanes, &(skua_lanes_options){.pool = f.pool, .lanes = 2}), 0);
        SK_EXPECT_EQ(skua_lanes_submit(lanes, 1, tick, &f), 0);
        SK_EXPECT_EQ(skua_lanes_release(lanes), 0);
    } else if (turn % 4 == 3) {
        SK_EXPECT_EQ(skua_stream_create(&stream, &(skua_stream_options){.pool = f.pool, .limit = 1}), 0);
        SK_EXPECT_EQ(skua_stream_go(stream, tick, pass_on, &f), 0);
        SK_EXPECT_EQ(skua_stream_release(stream), 0);
    }
    SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
    SK_EXPECT_EQ(sk_load_acq(&f.ran), turn % 4 ? 2 : 1); /* nobody has asked these to end */
}

static void *make_many(void *arg)
{
    maker *m = (maker *)arg;
    for (long i = 0; i < m->rounds; i++) make_one(m, i);
    return NULL;
}

static void *cancel_many(void *arg)
{
    maker *m = (maker *)arg;
    for (long i = 0; i < m->rounds; i++) {
        feed f = {.pool = NULL};
        skua_group *group;
        SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.runtime = m->rt}), 0);
        SK_EXPECT_EQ(skua_group_go(group, tick, &f), 0);
        SK_EXPECT_EQ(skua_group_cancel(group, 0), 0);
        SK_EXPECT_EQ(skua_group_wait(group, NULL), -ECANCELED);
        SK_EXPECT_EQ(skua_group_release(group), 0);
    }
    return NULL;
}

/* A runtime that stops looks at all tasks, too. */
static void *stop_many(void *arg)
{
    const maker *m = (maker *)arg;
    for (long i = 0; i < m->rounds / 50 + 2; i++) {
        maker own = {.rt = sk_runtime_of(1)};
        make_one(&own, i);
        SK_EXPECT_EQ(skua_runtime_release(own.rt), 0);
    }
    return NULL;
}

/* A sweep looks at all tasks, and so at pools that are being made in memory that it knows from an earlier life: for
   ThreadSanitizer; and for whoever asks strangers to end. */
SK_TEST(stress_pool, sweeps_beside_pools_being_made)
{
    static void *(*const what[4])(void *) = {make_many, make_many, cancel_many, stop_many};
    skua_runtime *rt[2] = {sk_runtime_of(1), sk_runtime_of(1)};
    maker m[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        m[i] = (maker){rt[i % 2], sk_test_scaled(10000)};
        SK_EXPECT_EQ(pthread_create(&threads[i], NULL, what[i], &m[i]), 0);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_runtime_release(rt[i]), 0);
}

/* ---- snapshots ---- */

/* A pool with all that makes counters move: tasks that come from outside and from each other, that fail, and that are
   tried again. */
typedef struct mill {
    skua_pool *pool;
    long rounds;
    sk_gate *over;
    bool retries;
} mill;

static int fail_at_times(void *arg)
{
    return (uintptr_t)arg % 5 ? 0 : -EIO;
}

static int feed_from_inside(void *arg)
{
    const mill *m = (const mill *)arg;
    for (uintptr_t i = 0; i < 20; i++) {
        int error = skua_pool_try_submit(m->pool, fail_at_times, (void *)i);
        SK_EXPECT(error == 0 || error == -EAGAIN);
    }
    return 0;
}

/* Bursts, so that the pump comes and goes. */
static void *feed_mill(void *arg)
{
    mill *m = (mill *)arg;
    skua_submit_options again = {.retry = {.times = 1, .backoff = SKUA_US(1)}};
    for (long i = 0; i < m->rounds; i++) {
        for (uintptr_t k = 0; k < 3; k++) SK_EXPECT_EQ(skua_pool_submit(m->pool, fail_at_times, (void *)k), 0);
        if (i % 4 == 0) SK_EXPECT_EQ(skua_pool_submit(m->pool, feed_from_inside, m), 0);
        if (m->retries) SK_EXPECT_EQ(skua_pool_submit_with(m->pool, NULL, &again, fail_at_times, NULL), 0);
        if (i % 3 == 0) SK_EXPECT_EQ(skua_pool_wait(m->pool, SKUA_S(PATIENCE_S)), 0);
    }
    sk_gate_add(m->over);
    return NULL;
}

/* A snapshot that found somebody in the midst of something at each look, napping in between, may tell fewer that
   are done (src/pool/QUEUE.md): all that is known of it here is that it took long. */
#define LONG_LOOK SKUA_US(500)

static void check_snapshot(const skua_pool_counts *c, const skua_pool_counts *before, uint32_t limit, uint64_t took)
{
    SK_EXPECT_EQ(c->submitted, c->queued + c->running + c->done + c->failed + c->cancelled + c->expired + c->dropped);
    SK_EXPECT(c->running <= limit);
    SK_EXPECT_EQ(c->free, limit - c->running);
    SK_EXPECT(c->submitted >= before->submitted);
    SK_EXPECT(c->done >= before->done || took >= LONG_LOOK);
    SK_EXPECT(c->failed >= before->failed);
    SK_EXPECT(c->retried >= before->retried);
}

static void snapshots_agree(uint32_t limit, uint32_t queue, bool retries)
{
    skua_runtime *rt = sk_runtime_of(2);
    sk_gate over;
    sk_store_rlx(&over, 0u);
    skua_pool_options o = {.runtime = rt, .limit = limit, .queue = queue};
    mill m = {NULL, sk_test_scaled(3000), &over, retries};
    SK_EXPECT_EQ(skua_pool_create(&m.pool, &o), 0);
    pthread_t feeder;
    SK_EXPECT_EQ(pthread_create(&feeder, NULL, feed_mill, &m), 0);
    skua_pool_counts before = {0}, c = {0};
    while (sk_gate_now(&over) == 0) {
        uint64_t start = skua_now();
        SK_EXPECT_EQ(skua_pool_stats(m.pool, &c), 0);
        check_snapshot(&c, &before, limit, skua_now() - start);
        if (c.done < before.done) c.done = before.done;
        before = c;
    }
    pthread_join(feeder, NULL);
    SK_EXPECT_EQ(skua_pool_wait(m.pool, SKUA_S(PATIENCE_S)), 0);
    SK_EXPECT_EQ(skua_pool_stats(m.pool, &c), 0);
    check_snapshot(&c, &before, limit, 0);
    SK_EXPECT(c.running == 0 && c.queued == 0);
    SK_EXPECT_EQ(skua_pool_release(m.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* What a snapshot says is so at one moment, and nothing that has ended comes back in the next one. */
SK_TEST(stress_pool, snapshots_agree_with_themselves)
{
    snapshots_agree(1, 16, false);
    snapshots_agree(3, 64, false);
    snapshots_agree(100, 0, false);
    snapshots_agree(3, 0, true);
    snapshots_agree(40, SKUA_POOL_NO_QUEUE, false);
}
