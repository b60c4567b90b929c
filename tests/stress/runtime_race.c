/* runtime_race.c: deadlines, joins, timers and cancels that race: exactly one winner each. */
#include "support/stress.h"

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
