/*
 * Stress of the runtime: storms of parking, joining and cancelling, growing and
 * shrinking, deadlines that race, blocking calls, shutdown under fire.
 *
 * Every test accounts for every task: each has a place of its own, in which its
 * entry and its return are counted, and at the end the runtime's own counters
 * must say the same.  A test that makes no progress for a while prints the state
 * of the scheduler and aborts, so that a lost wake-up is not just a timeout.
 */
#include "support/tasks.h"

#include "base/rng.h"
#include "runtime/sched.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

enum { STUCK_S = 40 };

/* ---- waiting for the end, and what is seen at rest ---- */

static void dump(skua_runtime *rt, const skua_stats *s)
{
    fprintf(stderr,
            "stuck: created %lu queued %lu running %lu parked %lu done %lu failed %lu cancelled %lu expired %lu\n",
            s->created, s->queued, s->running, s->parked, s->done, s->failed, s->cancelled, s->expired);
    fprintf(stderr, "  searching %u idlers %u inbox %s monitor deep %u napping %u stopping %u threads %u\n",
            sk_load_rlx(&rt->searching), sk_load_rlx(&rt->idlers), sk_inject_is_empty(&rt->inbox) ? "empty" : "FULL",
            sk_load_rlx(&rt->monitor_deep), sk_load_rlx(&rt->monitor_napping), sk_load_rlx(&rt->stopping), s->threads);
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        fprintf(stderr,
                "  worker %u: carry %lx queue %lu runnext %p idle %d retire %d bell %u due %ld us late %ld us\n", i,
                (unsigned long)sk_load_rlx(&w->carry), (unsigned long)sk_taskq_size(&w->queue),
                (void *)sk_load_rlx(&w->runnext), (int)(sk_load_rlx(&rt->idle[i / 64]) >> (i & 63) & 1),
                sk_load_rlx(&w->retire), sk_load_rlx(&w->doorbell),
                (long)(sk_load_rlx(&w->timers.claim.due) - skua_now()) / 1000,
                (long)(sk_load_rlx(&w->timers.inbox.due) - skua_now()) / 1000);
    }
}

/* Waits, from a thread, until `moved` reaches n; aborts with a dump when it stands still. */
static void await(skua_runtime *rt, sk_atomic(uint64_t) * moved, uint64_t n)
{
    uint64_t last = 0, since = skua_now();
    for (uint64_t now; (now = sk_load_acq(moved)) < n; usleep(500)) {
        if (now != last) since = skua_now();
        last = now;
        if (skua_now() - since < SKUA_S(STUCK_S)) continue;
        skua_stats s = sk_stats_of(rt);
        fprintf(stderr, "at %lu of %lu\n", (unsigned long)now, (unsigned long)n);
        dump(rt, &s);
        abort();
    }
}

/* Waits until all tasks have ended. */
static skua_stats settle(skua_runtime *rt)
{
    uint64_t last = 0, since = skua_now();
    for (;; usleep(500)) {
        skua_stats s = sk_stats_of(rt);
        if (sk_ended(&s) == s.created) return s;
        if (sk_ended(&s) != last) since = skua_now();
        last = sk_ended(&s);
        if (skua_now() - since < SKUA_S(STUCK_S)) continue;
        dump(rt, &s);
        abort();
    }
}

/* All have ended and none runs: every queue is empty, and everything the runtime is made of is whole. */
static void check_rest(skua_runtime *rt)
{
    skua_stats s = settle(rt);
    SK_EXPECT_EQ(s.queued + s.running + s.parked, 0);
    SK_EXPECT(sk_inject_is_empty(&rt->inbox));
    for (uint32_t i = 0, n = sk_load_rlx(&rt->workers_made); i < n; i++) {
        sk_worker *w = sk_load_rlx(&rt->workers[i]);
        SK_EXPECT_EQ(sk_taskq_size(&w->queue), 0);
        SK_EXPECT(!sk_load_rlx(&w->runnext));
        SK_EXPECT(sk_taskq_check(&w->queue));
    }
}

static void release(skua_runtime *rt)
{
    check_rest(rt);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT(sk_slab_check(&sk_tasks));
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) SK_EXPECT(sk_stack_check(cls));
}

/* ---- storms ---- */

/* One task of a storm. */
typedef struct life {
    struct storm *storm;
    uint32_t id, depth;
    sk_atomic(uint32_t) entered, left;
} life;

enum { KNOWN = 64 };

typedef struct storm {
    skua_runtime *rt;
    life *lives;
    uint32_t room;
    sk_atomic(uint32_t) made;
    sk_atomic(uint64_t) accepted, unstarted, cancels;
    struct {
        sk_atomic(uint64_t) serial;
        sk_atomic(void *) ref;
    } known[KNOWN]; /* handles for others to cancel; may be torn, then nobody or somebody else is hit, as well */
} storm;

static int live(void *arg);

static life *next_life(storm *s, uint32_t depth)
{
    uint32_t id = sk_add_rlx(&s->made, 1u);
    if (id >= s->room) return NULL;
    s->lives[id] = (life){.storm = s, .id = id, .depth = depth};
    return &s->lives[id];
}

static life *bear(storm *s, uint32_t depth, skua_task *out, sk_rng *rng)
{
    life *child = next_life(s, depth);
    if (!child) return NULL;
    int error = skua_spawn(out, live, child);
    SK_EXPECT_EQ(error, 0);
    sk_add_rlx(&s->accepted, UINT64_C(1));
    if (sk_rng_below(rng, 4) == 0) {
        uint32_t place = sk_rng_below(rng, KNOWN);
        sk_store_rlx(&s->known[place].ref, out->ref);
        sk_store_rlx(&s->known[place].serial, out->serial);
    }
    return child;
}

/* The result says whether it ran, and its own place must agree. */
static void check_child(storm *s, const life *child, int result)
{
    if (result == -ECANCELED) {
        SK_EXPECT_EQ(sk_load_acq((sk_atomic(uint32_t) *)&child->entered), 0);
        sk_add_rlx(&s->unstarted, UINT64_C(1));
        return;
    }
    SK_EXPECT_EQ(result, child->id);
    SK_EXPECT_EQ(sk_load_acq((sk_atomic(uint32_t) *)&child->left), 1);
}

/* Joins in one of several ways; a parent that has been cancelled can only let go. */
static void reap(storm *s, const life *child, skua_task handle, sk_rng *rng)
{
    uint32_t way = sk_rng_below(rng, 4);
    for (;;) {
        int result = -1;
        int error = way == 0 ? skua_join_for(handle, sk_rng_below(rng, 300000), &result) : skua_join(handle, &result);
        if (error == 0) {
            check_child(s, child, result);
            SK_EXPECT_EQ(skua_join(handle, NULL), -ESRCH);
            return;
        }
        if (error == -ECANCELED) {
            SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
            SK_EXPECT_EQ(skua_detach(handle), 0);
            return;
        }
        SK_EXPECT(way == 0 && error == -ETIMEDOUT);
    }
}

static void annoy(storm *s, sk_rng *rng)
{
    uint32_t place = sk_rng_below(rng, KNOWN);
    skua_task victim = {sk_load_rlx(&s->known[place].ref), sk_load_rlx(&s->known[place].serial)};
    int error = skua_cancel(victim);
    SK_EXPECT(error == 0 || error == -ESRCH || error == -EALREADY);
    if (error == 0) sk_add_rlx(&s->cancels, UINT64_C(1));
}

static void pass_time(sk_rng *rng)
{
    int error = 0;
    if (sk_rng_below(rng, 2)) error = skua_yield();
    SK_EXPECT_EQ(error, 0);
    uint32_t ns = sk_rng_below(rng, 4) ? sk_rng_below(rng, 150000) : 0;
    uint64_t before = skua_now();
    error = skua_sleep(ns);
    SK_EXPECT(error == 0 ? skua_now() - before >= ns : error == -ECANCELED && skua_cancelled() == -ECANCELED);
}

static int live(void *arg)
{
    life *me = (life *)arg;
    storm *s = me->storm;
    SK_EXPECT_EQ(sk_add_ar(&me->entered, 1u), 0);
    sk_rng rng;
    sk_rng_seed(&rng, me->id + 1);
    skua_task handles[3];
    life *children[3];
    uint32_t n = 0, want = me->depth ? sk_rng_below(&rng, 4) : 0;
    while (n < want && (children[n] = bear(s, me->depth - 1, &handles[n], &rng))) n++;
    pass_time(&rng);
    if (sk_rng_below(&rng, 8) == 0) annoy(s, &rng);
    for (uint32_t i = 0; i < n; i++) {
        if (sk_rng_below(&rng, 5) == 0)
            SK_EXPECT_EQ(skua_detach(handles[i]), 0);
        else
            reap(s, children[i], handles[i], &rng);
        if (sk_rng_below(&rng, 4) == 0) pass_time(&rng);
    }
    SK_EXPECT_EQ(sk_add_ar(&me->left, 1u), 0);
    return (int)me->id;
}

/* Roots from outside, as many at a time as keeps a few thousand tasks about. */
static void sow(storm *s)
{
    while (sk_load_rlx(&s->made) < s->room) {
        life *root = next_life(s, 5);
        if (!root) break;
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = s->rt}, live, root), 0);
        uint64_t accepted = sk_add_rlx(&s->accepted, UINT64_C(1)) + 1;
        if (accepted % 64) continue;
        for (skua_stats now = sk_stats_of(s->rt); now.created - sk_ended(&now) > 4000; now = sk_stats_of(s->rt))
            usleep(200);
    }
}

static void check_lives(storm *s)
{
    skua_stats stats = settle(s->rt);
    uint64_t entered = 0, without = 0, accepted = sk_load_acq(&s->accepted);
    for (uint32_t i = 0; i < s->room; i++) {
        uint32_t in = sk_load_acq(&s->lives[i].entered), out = sk_load_acq(&s->lives[i].left);
        SK_EXPECT_EQ(in, out);
        entered += in;
        without += !in;
    }
    SK_EXPECT_EQ(accepted, s->room);
    SK_EXPECT_EQ(stats.created, accepted);
    SK_EXPECT_EQ(stats.done, entered);
    SK_EXPECT_EQ(stats.cancelled, without);
    SK_EXPECT_EQ(stats.failed + stats.expired + stats.dropped, 0);
    SK_EXPECT(sk_load_rlx(&s->unstarted) <= without);
    SK_EXPECT(sk_load_rlx(&s->cancels) >= without);
}

static void storm_on(uint32_t workers, uint32_t tasks)
{
    storm *s = (storm *)calloc(1, sizeof *s);
    s->rt = sk_runtime_of(workers);
    s->room = tasks;
    s->lives = (life *)calloc(tasks, sizeof *s->lives);
    sow(s);
    check_lives(s);
    release(s->rt);
    free(s->lives);
    free(s);
}

SK_TEST(stress_runtime, storm_1)
{
    storm_on(1, (uint32_t)sk_test_scaled(200000));
}

SK_TEST(stress_runtime, storm_2)
{
    storm_on(2, (uint32_t)sk_test_scaled(400000));
}

SK_TEST(stress_runtime, storm_8)
{
    storm_on(8, (uint32_t)sk_test_scaled(400000));
}

/* ---- growing and shrinking ---- */

typedef struct crowd {
    skua_runtime *rt;
    sk_atomic(uint64_t) begun, ended, sum;
    uint64_t each, last_resize; /* tasks of a producer; tasks begun when the resizing ends */
    uint64_t resizes;
} crowd;

enum { BATCH = 64, PRODUCERS = 4, AT_ONCE = 20000 };

static int count_one(void *arg)
{
    crowd *c = (crowd *)arg;
    uint64_t nth = sk_add_rlx(&c->begun, UINT64_C(1));
    if (nth % 512 == 0) SK_EXPECT_EQ(skua_sleep(SKUA_US(200)), 0);
    sk_add_rlx(&c->sum, nth);
    sk_add_ar(&c->ended, UINT64_C(1));
    return 0;
}

static int produce(void *arg)
{
    crowd *c = (crowd *)arg;
    void *args[BATCH];
    for (int i = 0; i < BATCH; i++) args[i] = c;
    for (uint64_t made = 0; made < c->each; made += BATCH) {
        SK_EXPECT_EQ(skua_spawn_batch(NULL, BATCH, count_one, args), BATCH);
        skua_stats s;
        if (made / BATCH % 16 == 0)
            while (skua_runtime_stats(c->rt, &s, NULL, 0) >= 0 && s.created - sk_ended(&s) > AT_ONCE)
                skua_sleep(SKUA_US(100));
        skua_yield();
    }
    return 0;
}

static void *resize_often(void *arg)
{
    crowd *c = (crowd *)arg;
    sk_rng rng;
    sk_rng_seed(&rng, 7);
    while (sk_load_rlx(&c->begun) < c->last_resize) {
        SK_EXPECT_EQ(skua_runtime_resize(c->rt, 1 + sk_rng_below(&rng, 64)), 0);
        if (++c->resizes % 16 == 0) usleep(sk_rng_below(&rng, 3000)); /* so that some are carried out to the end */
    }
    /* The last word: what retired workers had is not brought back to life by growing again. */
    SK_EXPECT_EQ(skua_runtime_resize(c->rt, 1), 0);
    return NULL;
}

SK_TEST(stress_runtime, grow_and_shrink)
{
    crowd c = {.rt = sk_runtime_of(2), .each = (uint64_t)sk_test_scaled(10000000) / PRODUCERS / BATCH * BATCH};
    uint64_t n = c.each * PRODUCERS;
    c.last_resize = n - sk_min(n / 4, (uint64_t)AT_ONCE / 2);
    pthread_t resizer;
    SK_EXPECT_EQ(pthread_create(&resizer, NULL, resize_often, &c), 0);
    for (int i = 0; i < PRODUCERS; i++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = c.rt}, produce, &c), 0);
    await(c.rt, &c.ended, n);
    pthread_join(resizer, NULL);
    skua_stats s = settle(c.rt);
    SK_EXPECT_EQ(sk_load_acq(&c.sum), n * (n - 1) / 2);
    SK_EXPECT_EQ(s.created, n + PRODUCERS);
    SK_EXPECT_EQ(s.done, n + PRODUCERS);
    SK_EXPECT(s.grown > 0 && s.shrunk > 0);
    SK_EXPECT_EQ(skua_runtime_resize(c.rt, 3), 0);
    SK_EVENTUALLY(sk_stats_of(c.rt).workers == 3);
    release(c.rt);
}

/* ---- deadlines that race ---- */

typedef struct race {
    skua_task task;
    uint64_t naps; /* ns */
    sk_atomic(uint32_t) entered, left;
    int slept;
} race;

static int nap(void *arg)
{
    race *r = (race *)arg;
    sk_add_ar(&r->entered, 1u);
    r->slept = skua_sleep(r->naps);
    sk_add_ar(&r->left, 1u);
    return 7;
}

static int nap_awake(void *arg)
{
    race *r = (race *)arg;
    sk_add_ar(&r->entered, 1u);
    for (uint64_t end = skua_now() + r->naps; skua_now() < end;)
        if (r->naps > 50000) skua_yield();
    sk_add_ar(&r->left, 1u);
    return 7;
}

/* Deadline and end at about the same time: the joiner's answer and the runtime's counters must say the same. */
static void race_finish(skua_runtime *rt, long n, skua_fn *fn, uint64_t around)
{
    sk_rng rng;
    sk_rng_seed(&rng, (uint64_t)n);
    skua_stats before = settle(rt);
    uint64_t late = 0, done = 0;
    race *races = (race *)calloc((size_t)n, sizeof *races);
    for (long first = 0; first < n; first += 32) {
        long end = sk_min(first + 32, n);
        for (long i = first; i < end; i++) {
            races[i].naps = sk_rng_below(&rng, (uint32_t)around);
            skua_task_options o = {.runtime = rt, .finish_within = 1 + sk_rng_below(&rng, (uint32_t)around)};
            SK_EXPECT_EQ(skua_spawn_with(&races[i].task, &o, fn, &races[i]), 0);
        }
        for (long i = first; i < end; i++) {
            int result = -1;
            SK_EXPECT_EQ(skua_join(races[i].task, &result), 0);
            SK_EXPECT(result == 7 || result == -ETIMEDOUT);
            if (result == 7) SK_EXPECT_EQ(sk_load_acq(&races[i].left), 1);
            *(result == 7 ? &done : &late) += 1;
            SK_EXPECT_EQ(skua_join(races[i].task, &result), -ESRCH);
        }
    }
    skua_stats after = settle(rt);
    SK_EXPECT_EQ(after.done - before.done, done);
    SK_EXPECT_EQ(after.expired - before.expired, late);
    for (long i = 0; i < n; i++) SK_EXPECT_EQ(sk_load_acq(&races[i].entered), sk_load_acq(&races[i].left));
    fprintf(stderr, "finish_within: %lu in time, %lu late\n", (unsigned long)done, (unsigned long)late);
    free(races);
}

SK_TEST(stress_runtime, finish_within_and_end)
{
    skua_runtime *rt = sk_runtime_of(3);
    race_finish(rt, sk_test_scaled(40000), nap, 600000);
    race_finish(rt, sk_test_scaled(20000), nap_awake, 200000);
    release(rt);
}

/* Not started in time: it never starts. */
SK_TEST(stress_runtime, start_within_and_start)
{
    skua_runtime *rt = sk_runtime_of(2);
    long n = sk_test_scaled(40000);
    race *races = (race *)calloc((size_t)n, sizeof *races);
    sk_rng rng;
    sk_rng_seed(&rng, 3);
    uint64_t late = 0;
    for (long first = 0; first < n; first += 64) {
        long end = sk_min(first + 64, n);
        for (long i = first; i < end; i++) {
            races[i].naps = 5000;
            skua_task_options o = {.runtime = rt, .start_within = 1 + sk_rng_below(&rng, 500000)};
            if (sk_rng_below(&rng, 2)) o.delay = 1 + sk_rng_below(&rng, 200000);
            if (sk_rng_below(&rng, 2)) o.finish_within = 1 + sk_rng_below(&rng, 2000000);
            SK_EXPECT_EQ(skua_spawn_with(&races[i].task, &o, nap_awake, &races[i]), 0);
        }
        for (long i = first; i < end; i++) {
            int result = -1;
            SK_EXPECT_EQ(skua_join(races[i].task, &result), 0);
            late += result == -ETIMEDOUT;
            if (result == 7) SK_EXPECT_EQ(sk_load_acq(&races[i].left), 1);
            SK_EXPECT(result == 7 || result == -ETIMEDOUT);
        }
    }
    skua_stats s = settle(rt);
    SK_EXPECT_EQ(s.expired, late);
    SK_EXPECT_EQ(s.done, (uint64_t)n - late);
    fprintf(stderr, "start_within: %lu of %ld late\n", (unsigned long)late, n);
    free(races);
    release(rt);
}

/* Many joiners of one task: one gets the result, the others are told why not; a joiner that times out comes again. */
typedef struct joined {
    skua_task task;
    sk_atomic(uint32_t) winners, ready;
} joined;

static void *join_with_patience(void *arg)
{
    joined *j = (joined *)arg;
    sk_add_ar(&j->ready, 1u);
    for (;;) {
        int result = -1, error = skua_join_for(j->task, SKUA_US(40), &result);
        if (error == 0) {
            SK_EXPECT_EQ(result, 7);
            sk_add_ar(&j->winners, 1u);
            return NULL;
        }
        if (error == -ESRCH) return NULL;
        SK_EXPECT(error == -EBUSY || error == -ETIMEDOUT);
        if (error == -EBUSY) skua_sleep(SKUA_US(5));
    }
}

static int join_as_task(void *arg)
{
    join_with_patience(arg);
    return 0;
}

SK_TEST(stress_runtime, one_joiner_wins)
{
    skua_runtime *rt = sk_runtime_of(3);
    for (long n = sk_test_scaled(3000); n > 0; n--) {
        race r = {.naps = 1000 * (uint64_t)(n % 200)};
        joined j = {0};
        skua_task helpers[3];
        SK_EXPECT_EQ(skua_spawn_with(&j.task, &(skua_task_options){.runtime = rt}, nap, &r), 0);
        for (int i = 0; i < 3; i++) helpers[i] = sk_spawn_on(rt, join_as_task, &j);
        join_with_patience(&j);
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_join(helpers[i], NULL), 0);
        SK_EXPECT_EQ(sk_load_acq(&j.winners), 1);
    }
    release(rt);
}

static int bump(void *arg)
{
    sk_add_ar((sk_atomic(uint32_t) *)arg, 1u);
    return 0;
}

typedef struct stops {
    skua_timer *timers;
    long n;
    sk_atomic(uint64_t) stopped;
    uint64_t seed;
} stops;

static int stop_all(void *arg)
{
    stops *s = (stops *)arg;
    for (long i = 0; i < s->n; i++) {
        int error = skua_timer_stop(s->timers[i]);
        SK_EXPECT(error == 0 || error == -ESRCH);
        if (error == 0) sk_add_rlx(&s->stopped, UINT64_C(1));
        if (i % 16 == 0) skua_sleep(SKUA_US(20));
    }
    return 0;
}

static void *stop_all_from_outside(void *arg)
{
    stop_all(arg);
    return NULL;
}

/* Each timer is stopped by exactly one, or fires. Armed from outside or inside, stopped by two tasks and a thread. */
SK_TEST(stress_runtime, timers_fire_or_are_stopped)
{
    skua_runtime *rt = sk_runtime_of(3);
    enum { TIMERS = 512 };
    skua_timer timers[TIMERS];
    uint64_t fired_in_all = 0;
    sk_rng rng;
    sk_rng_seed(&rng, 5);
    for (long round = sk_test_scaled(400); round > 0; round--) {
        sk_atomic(uint32_t) fired = 0;
        stops s = {timers, TIMERS, 0, (uint64_t)round};
        for (int i = 0; i < TIMERS; i++) {
            skua_task_options o = {.runtime = rt, .delay = 1 + sk_rng_below(&rng, 1500000)};
            SK_EXPECT_EQ(skua_spawn_with(NULL, &o, sk_give_0, NULL), 0);
            o.delay = 1 + sk_rng_below(&rng, 1500000);
            /* skua_timer_start names no runtime; a joinable delayed task is the same thing but for its handle */
            SK_EXPECT_EQ(skua_spawn_with(&timers[i].task, &o, bump, &fired), 0);
        }
        pthread_t outside;
        SK_EXPECT_EQ(pthread_create(&outside, NULL, stop_all_from_outside, &s), 0);
        skua_task inside = sk_spawn_on(rt, stop_all, &s), inside2 = sk_spawn_on(rt, stop_all, &s);
        SK_EXPECT_EQ(skua_join(inside, NULL), 0);
        SK_EXPECT_EQ(skua_join(inside2, NULL), 0);
        pthread_join(outside, NULL);
        uint64_t cancelled = 0;
        for (int i = 0; i < TIMERS; i++) {
            int result = 1;
            SK_EXPECT_EQ(skua_join(timers[i].task, &result), 0);
            cancelled += result == -ECANCELED;
            SK_EXPECT(result == 0 || result == -ECANCELED);
        }
        SK_EXPECT_EQ(cancelled, sk_load_acq(&s.stopped));
        SK_EXPECT_EQ(cancelled + sk_load_acq(&fired), TIMERS);
        fired_in_all += sk_load_acq(&fired);
    }
    fprintf(stderr, "timers: %lu fired\n", (unsigned long)fired_in_all);
    release(rt);
}

/* Cancel against the end of a sleep: what the sleeper saw and what the canceller was told must fit. */
SK_TEST(stress_runtime, cancel_and_wake)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { SLEEPERS = 64 };
    sk_rng rng;
    sk_rng_seed(&rng, 11);
    uint64_t hit = 0, missed = 0;
    for (long round = sk_test_scaled(600); round > 0; round--) {
        race races[SLEEPERS] = {0};
        for (int i = 0; i < SLEEPERS; i++) {
            races[i].naps = sk_rng_below(&rng, 400000);
            races[i].task = sk_spawn_on(rt, nap, &races[i]);
        }
        int told[SLEEPERS];
        for (int i = 0; i < SLEEPERS; i++) {
            if (i % 8 == 0) usleep(sk_rng_below(&rng, 100));
            told[i] = skua_cancel(races[i].task);
            SK_EXPECT(told[i] == 0 || told[i] == -EALREADY);
        }
        for (int i = 0; i < SLEEPERS; i++) {
            int result = 0;
            SK_EXPECT_EQ(skua_join(races[i].task, &result), 0);
            bool entered = sk_load_acq(&races[i].entered);
            SK_EXPECT_EQ(result, entered ? 7 : -ECANCELED);
            bool seen = !entered || races[i].slept == -ECANCELED;
            if (entered) SK_EXPECT(races[i].slept == 0 || races[i].slept == -ECANCELED);
            if (seen) SK_EXPECT_EQ(told[i], 0);
            *(seen ? &hit : &missed) += 1;
        }
    }
    fprintf(stderr, "cancel: %lu hit, %lu missed\n", (unsigned long)hit, (unsigned long)missed);
    release(rt);
}

/* ---- blocking calls ---- */

typedef struct blocker {
    sk_atomic(uint64_t) ended, inside;
    uint32_t rounds;
} blocker;

static int spend(void *arg)
{
    usleep(*(uint32_t *)arg);
    return 5;
}

static int block_often(void *arg)
{
    blocker *b = (blocker *)arg;
    sk_rng rng;
    sk_rng_seed(&rng, (uint64_t)(uintptr_t)skua_self().ref);
    for (uint32_t i = 0; i < b->rounds; i++) {
        uint32_t us = sk_rng_below(&rng, 4) ? 0 : sk_rng_below(&rng, 150);
        if (sk_rng_below(&rng, 2)) {
            SK_EXPECT_EQ(skua_block(spend, &us), 5);
        } else {
            SK_EXPECT_EQ(skua_blocking_begin(), 0);
            SK_EXPECT_EQ(skua_blocking_begin(), -EALREADY);
            if (us) usleep(us);
            if (sk_rng_below(&rng, 8) == 0) SK_EXPECT_EQ(skua_sleep(SKUA_US(30)), 0); /* as a thread */
            SK_EXPECT_EQ(skua_blocking_end(), 0);
        }
        SK_EXPECT_EQ(skua_blocking_end(), -EPERM);
        if (sk_rng_below(&rng, 2)) SK_EXPECT_EQ(skua_yield(), 0);
        if (sk_rng_below(&rng, 4) == 0) SK_EXPECT_EQ(skua_sleep(sk_rng_below(&rng, 100000)), 0);
        skua_task child;
        if (sk_rng_below(&rng, 4) == 0 && skua_spawn(&child, sk_give_0, NULL) == 0) {
            SK_EXPECT_EQ(skua_blocking_begin(), 0);
            SK_EXPECT_EQ(skua_join(child, NULL), 0); /* blocks the thread: only a hand-off lets the child run */
            SK_EXPECT_EQ(skua_blocking_end(), 0);
        }
    }
    sk_add_ar(&b->ended, UINT64_C(1));
    return 0;
}

static void block_on(uint32_t workers)
{
    skua_runtime *rt = sk_runtime_of(workers);
    blocker b = {.rounds = (uint32_t)sk_test_scaled(400)};
    enum { TASKS = 24 };
    for (int i = 0; i < TASKS; i++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, block_often, &b), 0);
    await(rt, &b.ended, TASKS);
    skua_stats s = settle(rt);
    SK_EXPECT_EQ(s.done, s.created);
    SK_EXPECT_EQ(s.workers, workers);
    SK_EXPECT_EQ(s.blocked, 0);
    if (b.rounds > 10) SK_EXPECT(s.handoffs > 0);
    release(rt);
}

SK_TEST(stress_runtime, blocking_calls)
{
    for (uint32_t workers = 1; workers <= 4; workers++) block_on(workers);
}

/* ---- shutdown under fire ---- */

typedef struct fire {
    skua_runtime *rt;
    skua_pool *pool;
    sk_atomic(uint64_t) accepted, entered, left, refused, unstarted, pooled;
    sk_atomic(uint32_t) ready;
} fire;

static int burn(void *arg)
{
    fire *f = (fire *)arg;
    uint64_t nth = sk_add_rlx(&f->entered, UINT64_C(1));
    if (nth % 7 == 0) skua_sleep(SKUA_US(100));
    if (nth % 11 == 0) skua_yield();
    sk_add_ar(&f->left, UINT64_C(1));
    return 0;
}

/* 0 when accepted. */
static int shoot(fire *f, unsigned way, skua_task *handle)
{
    skua_task_options o = {.runtime = f->rt};
    handle->ref = NULL;
    switch (way) {
    case 0:
        return skua_spawn_with(handle, &o, burn, f);
    case 1:
        return skua_spawn_with(NULL, &o, burn, f);
    case 2:
        o.delay = SKUA_US(50);
        return skua_spawn_with(handle, &o, burn, f);
    default:
        return f->pool ? skua_pool_submit(f->pool, burn, f) : skua_spawn_with(handle, &o, burn, f);
    }
}

static void *fire_away(void *arg)
{
    fire *f = (fire *)arg;
    sk_add_ar(&f->ready, 1u);
    for (unsigned i = 0;; i++) {
        skua_task handle;
        int error = shoot(f, i % 4, &handle);
        if (error) {
            SK_EXPECT_EQ(error, -ESHUTDOWN);
            return NULL;
        }
        sk_add_rlx(&f->accepted, UINT64_C(1));
        if (!handle.ref) continue;
        int result = -1;
        SK_EXPECT_EQ(skua_join(handle, &result), 0);
        SK_EXPECT(result == 0 || result == -ESHUTDOWN || result == -ECANCELED);
        if (result) sk_add_rlx(&f->unstarted, UINT64_C(1));
    }
}

enum { SHOOTERS = 3 };

static void shutdown_round(sk_rng *rng, uint32_t way)
{
    fire f = {.rt = sk_runtime_of(1 + sk_rng_below(rng, 3))};
    if (way != 2) SK_EXPECT_EQ(skua_pool_create(&f.pool, &(skua_pool_options){f.rt, 4, 16}), 0);
    pthread_t shooters[SHOOTERS];
    for (int i = 0; i < SHOOTERS; i++) SK_EXPECT_EQ(pthread_create(&shooters[i], NULL, fire_away, &f), 0);
    while (sk_load_acq(&f.ready) < SHOOTERS) usleep(10);
    usleep(sk_rng_below(rng, 1500));
    if (way == 2) { /* release at once, while they fire */
        SK_EXPECT_EQ(skua_runtime_release(f.rt), 0);
        SK_EXPECT_EQ(skua_runtime_release(f.rt), -ESHUTDOWN);
        for (int i = 0; i < SHOOTERS; i++) pthread_join(shooters[i], NULL);
    } else {
        int error = skua_runtime_stop(f.rt, way ? 0 : SKUA_FOREVER);
        SK_EXPECT(error == 0 || (way && error == -ETIMEDOUT));
        for (int i = 0; i < SHOOTERS; i++) pthread_join(shooters[i], NULL);
        SK_EXPECT_EQ(skua_runtime_stop(f.rt, SKUA_FOREVER), 0);
        skua_stats s = sk_stats_of(f.rt);
        SK_EXPECT_EQ(s.created, sk_load_acq(&f.accepted));
        SK_EXPECT_EQ(sk_ended(&s), s.created);
        SK_EXPECT_EQ(s.done, sk_load_acq(&f.entered));
        SK_EXPECT_EQ(s.failed + s.expired, 0);
        SK_EXPECT_EQ(skua_pool_submit(f.pool, burn, &f), -ESHUTDOWN);
        skua_pool_counts counts;
        SK_EXPECT_EQ(skua_pool_stats(f.pool, &counts), 0);
        SK_EXPECT_EQ(counts.queued + counts.running, 0);
        SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(f.rt), 0);
    }
    SK_EXPECT_EQ(sk_load_acq(&f.entered), sk_load_acq(&f.left));
    SK_EXPECT(sk_load_acq(&f.accepted) >= sk_load_acq(&f.entered));
    /* Without a time limit only delayed tasks are dropped, and each of those was joined. */
    if (way != 1) SK_EXPECT_EQ(sk_load_acq(&f.accepted), sk_load_acq(&f.entered) + sk_load_acq(&f.unstarted));
}

SK_TEST(stress_runtime, shutdown_under_fire)
{
    sk_rng rng;
    sk_rng_seed(&rng, 13);
    for (long round = 0, n = sk_test_scaled(900); round < n || round < 6; round++)
        shutdown_round(&rng, (uint32_t)round % 3);
}

/* ---- making and releasing ---- */

static int count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    SK_EXPECT(file != NULL);
    int lines = 0;
    for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
    fclose(file);
    return lines;
}

static int count_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    SK_EXPECT(folder != NULL);
    int n = 0;
    for (struct dirent *d; (d = readdir(folder));) n += d->d_name[0] != '.';
    closedir(folder);
    return n;
}

static void make_and_release(uint32_t i)
{
    skua_runtime *rt = sk_runtime_of(1 + i % 5);
    skua_pool *pool;
    sk_atomic(uint32_t) ran = 0;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){rt, i % 3, 8}), 0);
    for (int k = 0; k < 20; k++) SK_EXPECT_EQ(skua_pool_submit(pool, bump, &ran), 0);
    race naps[10] = {0};
    for (int k = 0; k < 10; k++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, nap, &naps[k]), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(sk_load_acq(&ran), 20);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    for (int k = 0; k < 10; k++) SK_EXPECT_EQ(sk_load_acq(&naps[k].left), 1);
}

SK_TEST(stress_runtime, create_and_release)
{
    for (uint32_t i = 0; i < 10; i++) make_and_release(i);
    int threads = count_threads(), maps = count_lines("/proc/self/maps");
    for (uint32_t i = 0, n = (uint32_t)sk_test_scaled(500); i < n; i++) make_and_release(i);
    /* The kernel takes a thread off the list a moment after it can be joined. */
    SK_EVENTUALLY(count_threads() == threads);
    /* The C library keeps some stacks and heaps of threads; nothing may grow with the rounds. */
    SK_EXPECT(count_lines("/proc/self/maps") <= maps + 60);
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_numbers numbers;
        sk_stack_stats(cls, &numbers);
        SK_EXPECT_EQ(numbers.outside, 0);
        SK_EXPECT(sk_stack_check(cls));
    }
    sk_slab_numbers tasks;
    sk_slab_stats(&sk_tasks, &tasks);
    SK_EXPECT(tasks.carved <= 20000);
    SK_EXPECT(sk_slab_check(&sk_tasks));
}
