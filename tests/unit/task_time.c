/* unit/task_time.c: sleeping, timers, delays and deadlines: nothing comes early, and each deadline has one effect. */
#include "support/tasks.h"

#include <pthread.h>
#include <string.h>

/* ---- sleep ---- */

static int sleep_some(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg * 2654435761u + 1;
    for (int i = 0; i < 20; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t ns = (seed >> 33) % SKUA_MS(3), before = skua_now();
        SK_EXPECT_EQ(skua_sleep(ns), 0);
        SK_EXPECT(skua_now() - before >= ns);
    }
    return 0;
}

SK_TEST(task_time, sleep_is_never_early)
{
    skua_runtime *rt = sk_runtime_of(2);
    enum { SLEEPERS = 300 };
    skua_task t[SLEEPERS];
    for (uintptr_t i = 0; i < SLEEPERS; i++) t[i] = sk_spawn_on(rt, sleep_some, (void *)i);
    sleep_some((void *)(uintptr_t)SLEEPERS); /* a foreign thread */
    for (int i = 0; i < SLEEPERS; i++) SK_EXPECT_EQ(skua_join(t[i], NULL), 0);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.done, SLEEPERS);
    SK_EXPECT_EQ(s.parked, 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int sleep_0(void *arg)
{
    sk_gate *other = arg;
    skua_task t;
    SK_EXPECT_EQ(skua_spawn(&t, sk_open, other), 0);
    /* Once, unless the monitor has put it into the inbox meanwhile, which a worker looks at only now and then. */
    for (int i = 0; i < 1000 && sk_gate_now(other) == 0; i++) SK_EXPECT_EQ(skua_sleep(0), 0);
    uint32_t ran = sk_gate_now(other);
    SK_EXPECT_EQ(skua_join(t, NULL), 0);
    return (int)ran;
}

SK_TEST(task_time, sleep_0_yields)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate other = 0;
    SK_EXPECT_EQ(sk_run_on(rt, sleep_0, &other), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_sleep(0), 0);
}

/* ---- timers ---- */

typedef struct alarm_clock {
    uint64_t due; /* ns */
    sk_gate rung;
} alarm_clock;

static int ring(void *arg)
{
    alarm_clock *a = arg;
    SK_EXPECT(skua_now() >= a->due);
    sk_gate_add(&a->rung);
    return 0;
}

enum { ALARMS = 500 };
static alarm_clock alarms[ALARMS];

static int set_alarms(void *unused)
{
    (void)unused;
    memset((void *)alarms, 0, sizeof alarms);
    for (int i = 0; i < ALARMS; i++) {
        uint64_t in = SKUA_US(7) * (uint64_t)i;
        alarms[i].due = skua_now() + in;
        SK_EXPECT_EQ(skua_after(in, ring, &alarms[i]), 0);
    }
    for (int i = 0; i < ALARMS; i++) SK_EXPECT(sk_gate_await(&alarms[i].rung, 1));
    skua_sleep(SKUA_MS(2));
    for (int i = 0; i < ALARMS; i++) SK_EXPECT_EQ(sk_gate_now(&alarms[i].rung), 1);
    return 0;
}

SK_TEST(task_time, after_is_never_early_and_fires_once)
{
    skua_runtime *rt = sk_runtime_of(2);
    SK_EXPECT_EQ(sk_run_on(rt, set_alarms, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(set_alarms(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* Every second one is stopped, far ones, which are sure to be stopped in time, and near ones; the others ring. */
static int stop_alarms(void *unused)
{
    (void)unused;
    static skua_timer timer[ALARMS];
    memset((void *)alarms, 0, sizeof alarms);
    for (int i = 0; i < ALARMS; i++) {
        uint64_t in = i % 4 == 0 ? SKUA_S(1000) : SKUA_MS(50);
        SK_EXPECT_EQ(skua_timer_start(&timer[i], in + SKUA_US(i), ring, &alarms[i]), 0);
    }
    int stopped[ALARMS] = {0};
    for (int i = 0; i < ALARMS; i += 2) {
        int found = skua_timer_stop(timer[i]); /* on a slow machine it may have rung */
        SK_EXPECT(found == 0 || (found == -ESRCH && i % 4 != 0));
        stopped[i] = found == 0;
        SK_EXPECT_EQ(skua_timer_stop(timer[i]), -ESRCH);
    }
    for (int i = 0; i < ALARMS; i++)
        if (!stopped[i]) SK_EXPECT(sk_gate_await(&alarms[i].rung, 1));
    skua_sleep(SKUA_MS(2));
    int stops = 0;
    for (int i = 0; i < ALARMS; i++) {
        SK_EXPECT_EQ(sk_gate_now(&alarms[i].rung), !stopped[i]);
        SK_EXPECT_EQ(skua_timer_stop(timer[i]), -ESRCH); /* rung: merely stale */
        stops += stopped[i];
    }
    return stops;
}

SK_TEST(task_time, a_stopped_timer_does_not_run)
{
    skua_runtime *rt = sk_runtime_of(2);
    int stops = sk_run_on(rt, stop_alarms, NULL);
    SK_EXPECT(stops > 0);
    SK_EVENTUALLY(sk_stats_of(rt).queued == 0 && sk_stats_of(rt).running == 0);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.cancelled, stops);
    SK_EXPECT_EQ(s.done, 1 + ALARMS - stops);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT(stop_alarms(NULL) > 0); /* from a foreign thread */
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* The worker whose wheel the timer is in computes until the timer has fired: another one must fire it. */
static int compute_until_timer(void *unused)
{
    (void)unused;
    sk_gate gate = 0;
    SK_EXPECT_EQ(skua_after(SKUA_MS(2), sk_open, &gate), 0);
    return sk_gate_hold(&gate, 1) ? 6 : -ETIME;
}

SK_TEST(task_time, the_wheel_of_a_stuck_worker_goes_on)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 5; i++) SK_EXPECT_EQ(sk_run_on(rt, compute_until_timer, NULL), 6);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- options ---- */

static long __attribute__((noinline)) dig(long bytes)
{
    volatile char frame[4096];
    frame[0] = (char)bytes;
    return bytes <= (long)sizeof frame ? frame[0] : dig(bytes - (long)sizeof frame) + frame[0] * 0;
}

static int dig_and_park(void *arg)
{
    long bytes = (long)(intptr_t)arg;
    dig(bytes);
    SK_EXPECT_EQ(skua_sleep(SKUA_US(100)), 0);
    dig(bytes);
    SK_EXPECT_EQ(skua_yield(), 0);
    return 8;
}

SK_TEST(task_time, each_stack_is_as_large_as_asked_for)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (size_t size = 16 << 10; size <= 8 << 20; size *= 2) {
        skua_task_options o = {.runtime = rt, .stack_size = size - size / 4}; /* rounded up */
        if (o.stack_size < 16 << 10) o.stack_size = size;
        long use = (long)size / 2; /* a sanitizer's frames are larger */
        skua_task t[3];
        for (int i = 0; i < 3; i++)
            SK_EXPECT_EQ(skua_spawn_with(&t[i], &o, dig_and_park, (void *)(intptr_t)(size > 64 << 10 ? use : 4096)), 0);
        for (int i = 0; i < 3; i++) {
            int result = 0;
            SK_EXPECT_EQ(skua_join(t[i], &result), 0);
            SK_EXPECT_EQ(result, 8);
        }
    }
    skua_task t;
    skua_task_options o = {.runtime = rt, .stack_size = (8 << 20) + 1};
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sk_give_0, NULL), -EINVAL);
    o.stack_size = SIZE_MAX;
    SK_EXPECT_EQ(skua_spawn_with(&t, &o, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(sk_stats_of(rt).created, 10 * 3); /* 16 KiB to 8 MiB */
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int note_time(void *arg)
{
    uint64_t *at = arg;
    *at = skua_now();
    return 0;
}

SK_TEST(task_time, a_delay_is_never_early)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 20; i++) {
        uint64_t at = 0, before = skua_now(), delay = SKUA_US(300) * (uint64_t)i;
        skua_task t;
        SK_EXPECT_EQ(skua_spawn_with(&t, &(skua_task_options){.runtime = rt, .delay = delay}, note_time, &at), 0);
        SK_EXPECT_EQ(skua_join(t, NULL), 0);
        SK_EXPECT(at >= before + delay);
    }
    skua_task t;
    SK_EXPECT_EQ(skua_spawn_with(&t, &(skua_task_options){.runtime = rt, .delay = SKUA_FOREVER}, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_join_for(t, SKUA_MS(5), NULL), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_cancel(t), 0);
    SK_EXPECT_EQ(skua_detach(t), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- timers that threads set anew, while the workers sweep ---- */

typedef struct resets {
    skua_runtime *rt;
    sk_gate stop;
} resets;

static int nap_often(void *arg)
{
    resets *r = arg;
    while (!sk_gate_now(&r->stop)) SK_EXPECT_EQ(skua_sleep(1000), 0);
    return 0;
}

static int start_timer(void *out)
{
    return skua_timer_start(out, SKUA_S(1000), sk_give_0, NULL);
}

/* The wheel is the worker's: a thread that finds its slot just let go may not touch it. */
static void *reset_often(void *arg)
{
    resets *r = arg;
    skua_timer timer;
    SK_EXPECT_EQ(sk_run_on(r->rt, start_timer, &timer), 0);
    while (!sk_gate_now(&r->stop)) SK_EXPECT_EQ(skua_timer_reset(&timer, SKUA_S(1000)), 0);
    SK_EXPECT_EQ(skua_timer_stop(timer), 0);
    return NULL;
}

SK_TEST(task_time, threads_set_their_timers_anew)
{
    resets r = {.rt = sk_runtime_of(2)};
    skua_task naps[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) naps[i] = sk_spawn_on(r.rt, nap_often, &r);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, reset_often, &r), 0);
    skua_sleep(SKUA_MS(300));
    sk_gate_add(&r.stop);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(skua_join(naps[i], NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(r.rt), 0);
}
