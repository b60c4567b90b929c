/* unit/ticker.c: timers into channels and calls: Go's guarantees, what is dropped, the schedule, bad input. */
#include "support/tasks.h"

#include "base/fault.h"
#include "sync/ticker.h"

#include <unistd.h>

static skua_runtime *rt;

/* Runs it as a task of a runtime with two workers, and as a thread beside the default one. */
static void everywhere(skua_fn *fn)
{
    rt = sk_runtime_of(2);
    SK_EXPECT_EQ(sk_run_on(rt, fn, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(fn(NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* ---- into a channel ---- */

static int one_shot(void *arg)
{
    (void)arg;
    skua_ticker *t;
    uint64_t when = 0, before = skua_now();
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_MS(2), 0), 0);
    SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &when), 0);
    SK_EXPECT(when >= before + SKUA_MS(2) && when <= skua_now());
    SK_EXPECT_EQ(skua_ticker_stop(t), -ESRCH);
    SK_EXPECT_EQ(skua_chan_recv_for(skua_ticker_chan(t), &when, SKUA_MS(3)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_ticker_reset(t, 0, 0), 1);
    SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &when), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

SK_TEST(ticker, fires_once)
{
    everywhere(one_shot);
}

static int stopped(void *arg)
{
    (void)arg;
    skua_ticker *t;
    uint64_t when;
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_FOREVER, 0), 0);
    SK_EXPECT_EQ(skua_ticker_stop(t), -ESRCH);
    for (int i = 0; i < 20; i++) {
        SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_S(100), i % 2 ? SKUA_S(1) : 0), 1);
        SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_S(200), i % 3 ? SKUA_S(1) : 0), 0);
        SK_EXPECT_EQ(skua_ticker_stop(t), 0);
        SK_EXPECT_EQ(skua_ticker_stop(t), -ESRCH);
    }
    SK_EXPECT_EQ(skua_chan_try_recv(skua_ticker_chan(t), &when), -EAGAIN);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

SK_TEST(ticker, stops_what_is_to_come)
{
    everywhere(stopped);
}

/* Go 1.23: what has been sent and not received is taken back, and counts as active. */
static int taken_back(void *arg)
{
    (void)arg;
    skua_ticker *t;
    uint64_t when;
    SK_EXPECT_EQ(skua_ticker_create(&t, 0, 0), 0);
    for (int i = 0; i < 10; i++) {
        SK_EVENTUALLY(skua_chan_len(skua_ticker_chan(t)) == 1);
        SK_EXPECT_EQ(skua_ticker_stop(t), 0);
        SK_EXPECT_EQ(skua_chan_try_recv(skua_ticker_chan(t), &when), -EAGAIN);
        SK_EXPECT_EQ(skua_ticker_stop(t), -ESRCH);
        SK_EXPECT_EQ(skua_ticker_reset(t, 1, 0), 1);
    }
    SK_EVENTUALLY(skua_chan_len(skua_ticker_chan(t)) == 1);
    SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_S(100), 0), 0);
    SK_EXPECT_EQ(skua_chan_try_recv(skua_ticker_chan(t), &when), -EAGAIN);
    SK_EXPECT_EQ(skua_ticker_stop(t), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

SK_TEST(ticker, takes_back_what_nobody_has_received)
{
    everywhere(taken_back);
}

/* Whatever the tick of before is doing: nothing that was sent before a reset comes after it. */
static int never_stale(void *arg)
{
    (void)arg;
    skua_ticker *t;
    uint64_t when;
    SK_EXPECT_EQ(skua_ticker_create(&t, 1, 0), 0);
    for (long i = 0, n = sk_test_scaled(2000); i < n; i++) {
        if (i % 3 == 0) skua_yield();
        for (uint64_t until = skua_now() + (uint64_t)(i % 16) * 1000; i % 16 && skua_now() < until;) {
        }
        SK_EXPECT(skua_ticker_reset(t, SKUA_S(100), 0) >= 0);
        SK_EXPECT_EQ(skua_chan_try_recv(skua_ticker_chan(t), &when), -EAGAIN);
        uint64_t reset = skua_now();
        SK_EXPECT_EQ(skua_ticker_reset(t, 1, i % 2 ? 1000 : 0), 0);
        if (i % 5 == 0) {
            SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &when), 0);
            SK_EXPECT(when >= reset);
        }
    }
    SK_EXPECT(skua_ticker_stop(t) <= 0);
    SK_EXPECT_EQ(skua_chan_recv_for(skua_ticker_chan(t), &when, SKUA_US(300)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

SK_TEST(ticker, leaves_nothing_stale)
{
    everywhere(never_stale);
}

/* No tick comes early: the n-th is due n periods after the beginning, however late those before it came. */
static int schedule(void *arg)
{
    (void)arg;
    enum { PERIOD = 1000000, TICKS = 10 };
    skua_ticker *t;
    uint64_t when, begin = skua_now(), last = 0;
    SK_EXPECT_EQ(skua_ticker_create(&t, PERIOD, PERIOD), 0);
    for (uint64_t i = 1; i <= TICKS; i++) {
        SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &when), 0);
        SK_EXPECT(when >= begin + i * PERIOD && when > last && when <= skua_now());
        last = when;
    }
    SK_EXPECT_EQ(skua_ticker_stop(t), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

SK_TEST(ticker, does_not_drift)
{
    SK_EXPECT_EQ(sk_ticker_due_after(1000, 100, 1000), 1100);
    SK_EXPECT_EQ(sk_ticker_due_after(1000, 100, 1001), 1100);
    SK_EXPECT_EQ(sk_ticker_due_after(1000, 100, 1099), 1100);
    SK_EXPECT_EQ(sk_ticker_due_after(1000, 100, 1100), 1200);
    SK_EXPECT_EQ(sk_ticker_due_after(1000, 100, 1777), 1800);
    SK_EXPECT_EQ(sk_ticker_due_after(1000, 100, 990), 1100); /* served a tick early, by a coarse wheel */
    SK_EXPECT_EQ(sk_ticker_due_after(1000, 1, 5000), 5001);
    SK_EXPECT(sk_ticker_due_after(1000, SKUA_FOREVER, 5000) == SK_NEVER);
}

SK_TEST(ticker, keeps_its_schedule)
{
    everywhere(schedule);
}

static int slow_receiver(void *arg)
{
    (void)arg;
    skua_ticker *t;
    uint64_t first, second, received;
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_US(100), SKUA_US(100)), 0);
    skua_sleep(SKUA_MS(5));
    SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &first), 0);
    received = skua_now();
    SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &second), 0);
    SK_EXPECT(first < received);
    SK_EXPECT(second > first); /* and some fifty have been dropped */
    SK_EXPECT_EQ(skua_ticker_stop(t), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

SK_TEST(ticker, drops_ticks_for_slow_receivers)
{
    everywhere(slow_receiver);
}

/* ---- a function ---- */

typedef struct calls {
    skua_ticker *t;
    sk_gate n, inside, most;
    sk_gate hold; /* 1: calls may end */
    int what;     /* 1: gives up; 2: stops its ticker; 3: releases it */
} calls;

static int called(void *arg)
{
    calls *c = arg;
    int what = c->what;
    sk_gate_add(&c->inside);
    SK_EXPECT_EQ(sk_gate_now(&c->inside), 1);
    sk_gate_add(&c->n);
    if (what == 2) SK_EXPECT_EQ(skua_ticker_stop(c->t), 0);
    if (what == 3) SK_EXPECT_EQ(skua_ticker_release(c->t), 0);
    SK_EXPECT(sk_gate_await(&c->hold, 1));
    sk_store_rel(&c->inside, 0u);
    if (what == 1) skua_panic_task("on purpose");
    return 0;
}

static int calling(void *arg)
{
    (void)arg;
    static calls c;
    c = (calls){.what = 0};
    sk_gate_add(&c.hold);
    SK_EXPECT_EQ(skua_ticker_call(&c.t, SKUA_US(200), SKUA_US(200), called, &c), 0);
    SK_EXPECT(skua_ticker_chan(c.t) == NULL);
    SK_EXPECT(sk_gate_await(&c.n, 3));
    SK_EXPECT_EQ(skua_ticker_stop(c.t), 0);
    SK_EVENTUALLY(sk_gate_now(&c.inside) == 0);
    uint32_t n = sk_gate_now(&c.n);
    skua_sleep(SKUA_MS(1));
    SK_EXPECT(sk_gate_now(&c.n) <= n + 1); /* it may have been about to begin */
    SK_EXPECT_EQ(skua_ticker_stop(c.t), -ESRCH);
    SK_EXPECT_EQ(skua_ticker_reset(c.t, 0, 0), 1);
    SK_EXPECT(sk_gate_await(&c.n, n + 1));
    SK_EVENTUALLY(skua_ticker_stop(c.t) == -ESRCH);
    SK_EXPECT_EQ(skua_ticker_release(c.t), 0);
    SK_EVENTUALLY(sk_gate_now(&c.inside) == 0);
    return 0;
}

SK_TEST(ticker, calls)
{
    everywhere(calling);
}

/* One call at a time, and those that would come during it are dropped; it goes on after one that gave up. */
static int dropped_calls(void *arg)
{
    (void)arg;
    static calls c;
    c = (calls){.what = 1};
    SK_EXPECT_EQ(skua_ticker_call(&c.t, 0, SKUA_US(100), called, &c), 0);
    SK_EXPECT(sk_gate_await(&c.n, 1));
    skua_sleep(SKUA_MS(2));
    SK_EXPECT_EQ(sk_gate_now(&c.n), 1);
    sk_gate_add(&c.hold);
    SK_EXPECT(sk_gate_await(&c.n, 4));
    SK_EXPECT_EQ(skua_ticker_release(c.t), 0);
    SK_EVENTUALLY(sk_gate_now(&c.inside) == 0);
    skua_sleep(SKUA_MS(1)); /* one may have been about to begin */
    SK_EVENTUALLY(sk_gate_now(&c.inside) == 0);
    return 0;
}

SK_TEST(ticker, calls_one_at_a_time)
{
    everywhere(dropped_calls);
}

static int ended_from_inside(void *arg)
{
    (void)arg;
    static calls c;
    for (int what = 2; what <= 3; what++) {
        c = (calls){.what = what};
        sk_gate_add(&c.hold);
        SK_EXPECT_EQ(skua_ticker_call(&c.t, 0, SKUA_US(50), called, &c), 0);
        SK_EXPECT(sk_gate_await(&c.n, 1));
        skua_sleep(SKUA_MS(1));
        SK_EXPECT_EQ(sk_gate_now(&c.n), 1);
        if (what == 2) SK_EXPECT_EQ(skua_ticker_release(c.t), 0);
        SK_EVENTUALLY(sk_gate_now(&c.inside) == 0);
    }
    return 0;
}

SK_TEST(ticker, may_be_stopped_and_released_by_its_call)
{
    everywhere(ended_from_inside);
}

/* ---- the end, and what is refused ---- */

static int wait_for_tick(void *arg)
{
    uint64_t when;
    return skua_chan_recv(arg, &when);
}

static uint64_t parked_tasks(skua_runtime *of)
{
    skua_stats stats;
    SK_EXPECT(skua_runtime_stats(of, &stats, NULL, 0) >= 0);
    return stats.parked;
}

SK_TEST(ticker, is_not_freed_under_a_receiver)
{
    skua_ticker *t;
    skua_task task;
    int result = -1;
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_S(1000), 0), 0);
    SK_EXPECT_EQ(skua_spawn(&task, wait_for_tick, skua_ticker_chan(t)), 0);
    SK_EVENTUALLY(parked_tasks(skua_runtime_default()) == 1);
    SK_EXPECT_EQ(skua_ticker_release(t), -EBUSY);
    SK_EXPECT_EQ(skua_ticker_reset(t, 1, 0), 1); /* busy, it was stopped; it serves on */
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
}

static int make_three(void *arg)
{
    skua_ticker **t = arg;
    SK_EXPECT_EQ(skua_ticker_create(&t[0], SKUA_S(1000), 0), 0);
    SK_EXPECT_EQ(skua_ticker_create(&t[1], SKUA_US(50), SKUA_US(50)), 0);
    SK_EXPECT_EQ(skua_ticker_create(&t[2], SKUA_S(1000), SKUA_S(1)), 0);
    return 0;
}

SK_TEST(ticker, does_not_hold_up_the_end_of_its_runtime)
{
    skua_ticker *t[3];
    rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, make_three, t), 0);
    SK_EXPECT_EQ(skua_ticker_stop(t[2]), 0);
    skua_sleep(SKUA_MS(1));
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_ticker_reset(t[2], 1, 1), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_ticker_stop(t[2]), -ESRCH);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_ticker_release(t[i]), 0);
}

/* ---- a plain timer ---- */

static sk_gate ran;

static int run(void *arg)
{
    (void)arg;
    sk_gate_add(&ran);
    return 0;
}

static int set_anew(void *arg)
{
    (void)arg;
    skua_timer timer, before;
    sk_store_rel(&ran, 0u);
    SK_EXPECT_EQ(skua_timer_start(&timer, SKUA_S(1000), run, NULL), 0);
    for (int i = 0; i < 10; i++) {
        before = timer;
        SK_EXPECT_EQ(skua_timer_reset(&timer, i % 2 ? SKUA_S(1000) : SKUA_S(200)), 0);
        SK_EXPECT_EQ(skua_timer_stop(before), -ESRCH);
        SK_EXPECT_EQ(skua_timer_reset(&before, 1), -ESRCH);
    }
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    SK_EXPECT_EQ(skua_timer_reset(&timer, 0), 0);
    SK_EXPECT(sk_gate_await(&ran, 1));
    SK_EXPECT_EQ(skua_timer_reset(&timer, 1), -ESRCH);
    SK_EXPECT_EQ(skua_timer_start(&timer, SKUA_S(1000), run, NULL), 0);
    SK_EXPECT_EQ(skua_timer_reset(&timer, SKUA_S(2000)), 0);
    SK_EXPECT_EQ(skua_timer_stop(timer), 0);
    SK_EXPECT_EQ(skua_timer_reset(&timer, 1), -ESRCH);
    SK_EXPECT_EQ(skua_timer_reset(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(sk_gate_now(&ran), 1);
    return 0;
}

SK_TEST(ticker, timers_are_set_anew)
{
    everywhere(set_anew);
}

/* It may fire at any moment, here and on the other worker, whose wheel may hold it: each timer runs exactly once. */
static int race_with_firing(void *arg)
{
    (void)arg;
    uint32_t due = 0;
    sk_store_rel(&ran, 0u);
    for (long i = 0, n = sk_test_scaled(1000); i < n; i++) {
        skua_timer timer;
        SK_EXPECT_EQ(skua_timer_start(&timer, (uint64_t)(i % 20) * 1000, run, NULL), 0);
        if (i % 2) skua_yield();
        for (uint64_t until = skua_now() + (uint64_t)(i % 16) * 1000; skua_now() < until;) {
        }
        (void)skua_timer_reset(&timer, SKUA_US(10));
        if (i % 3 == 0 && skua_timer_stop(timer) == 0) continue;
        due++;
    }
    SK_EVENTUALLY(sk_gate_now(&ran) == due);
    skua_sleep(SKUA_MS(1));
    SK_EXPECT_EQ(sk_gate_now(&ran), due);
    return 0;
}

SK_TEST(ticker, timers_are_set_anew_while_they_fire)
{
    everywhere(race_with_firing);
}

/* ---- bad input ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

SK_TEST(ticker, bad_input)
{
    skua_ticker *t;
    SK_EXPECT_EQ(skua_ticker_create(NULL, 1, 1), -EINVAL);
    SK_EXPECT_EQ(skua_ticker_call(NULL, 1, 1, nothing, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_ticker_call(&t, 1, 1, NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_ticker_stop(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_ticker_reset(NULL, 1, 1), -EINVAL);
    SK_EXPECT_EQ(skua_ticker_release(NULL), -EINVAL);
    SK_EXPECT(skua_ticker_chan(NULL) == NULL);
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_FOREVER - 1, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_FOREVER - 1, 0), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
#ifdef SK_DEBUG
    SK_EXPECT_EQ(skua_ticker_stop(t), -EBADF);
#endif
}

#ifdef SK_FAULTS
/* Not one task is to be had: a ticker that delivers needs none. */
static int without_memory(void *arg)
{
    (void)arg;
    enum { MANY = 20000 };
    static skua_timer timers[MANY];
    skua_ticker *t;
    uint64_t when;
    int n = 0, error = 0;
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_MS(1), SKUA_US(100)), 0);
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    while (n < MANY && (error = skua_timer_start(&timers[n], SKUA_S(1000), nothing, NULL)) == 0) n++;
    SK_EXPECT_EQ(error, -ENOMEM);
    for (int i = 0; i < 5; i++)
        SK_EXPECT_EQ(skua_chan_recv_for(skua_ticker_chan(t), &when, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_ticker_stop(t), 0);
    SK_EXPECT_EQ(skua_ticker_reset(t, 1, 0), 1);
    SK_EXPECT_EQ(skua_chan_recv_for(skua_ticker_chan(t), &when, SKUA_S(30)), 0);
    sk_fault_reset();
    while (n > 0) SK_EXPECT_EQ(skua_timer_stop(timers[--n]), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

/* Nor is a task for a call; that one comes late. */
static int call_without_memory(void *arg)
{
    (void)arg;
    enum { MANY = 20000 };
    static skua_timer timers[MANY];
    skua_ticker *once, *often;
    int n = 0;
    sk_store_rel(&ran, 0u);
    SK_EXPECT_EQ(skua_ticker_call(&once, SKUA_FOREVER, 0, run, NULL), 0);
    SK_EXPECT_EQ(skua_ticker_call(&often, SKUA_FOREVER, 0, run, NULL), 0);
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    while (n < MANY && skua_timer_start(&timers[n], SKUA_S(1000), nothing, NULL) == 0) n++;
    SK_EXPECT_EQ(skua_ticker_reset(once, SKUA_US(100), 0), 1);
    SK_EXPECT_EQ(skua_ticker_reset(often, 0, SKUA_S(1000)), 1);
    SK_EXPECT_EQ(skua_sleep(SKUA_MS(4)), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 0);
    while (n > 0) SK_EXPECT_EQ(skua_timer_stop(timers[--n]), 0);
    SK_EXPECT(sk_gate_await(&ran, 2));
    sk_fault_reset();
    SK_EXPECT_EQ(skua_ticker_stop(often), 0);
    SK_EXPECT_EQ(skua_ticker_stop(once), -ESRCH);
    SK_EXPECT_EQ(skua_ticker_release(often), 0);
    SK_EXPECT_EQ(skua_ticker_release(once), 0);
    return 0;
}

SK_TEST(ticker, calls_when_there_is_memory_again)
{
    rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, call_without_memory, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct scarce {
    skua_ticker *t;
    skua_chan *never;
    sk_gate begun, refused, done;
} scarce;

static int park_if_possible(void *arg)
{
    scarce *s = arg;
    uint64_t none;
    sk_gate_add(&s->begun);
    if (skua_chan_recv(s->never, &none) == -ENOMEM) sk_gate_add(&s->refused);
    return 0;
}

enum { EATEN = 20000 };

static skua_timer eaten[EATEN];
static sk_gate n_eaten;

/* On the ticker's worker: what task objects it keeps at hand are used up, too. */
static int eat_tasks(void *arg)
{
    scarce *s = arg;
    uint32_t n = 0;
    while (n < EATEN && skua_timer_start(&eaten[n], SKUA_S(1000), nothing, NULL) == 0) n++;
    SK_EXPECT(n < EATEN);
    sk_store_rel(&n_eaten, n);
    sk_gate_add(&s->done);
    return 0;
}

static int make_ticker(void *arg)
{
    return skua_ticker_create(&((scarce *)arg)->t, SKUA_MS(1), SKUA_MS(1));
}

/* Neither a task nor a stack is to be had for a while. */
SK_TEST(ticker, outlives_a_shortage_of_stacks)
{
    static scarce s;
    skua_task eater;
    uint64_t when;
    rt = sk_runtime_of(1);
    const skua_task_options here = {.runtime = rt};
    SK_EXPECT_EQ(skua_chan_create(&s.never, sizeof(uint64_t), 0), 0);
    SK_EXPECT_EQ(sk_run_on(rt, make_ticker, &s), 0);
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    for (uint32_t i = 1; sk_gate_now(&s.refused) == 0; i++) {
        SK_EXPECT_EQ(skua_spawn_with(NULL, &here, park_if_possible, &s), 0);
        SK_EXPECT(sk_gate_block(&s.begun, i));
    }
    SK_EXPECT_EQ(skua_spawn_with(&eater, &here, eat_tasks, &s), 0); /* its object stays until it is joined */
    SK_EXPECT(sk_gate_block(&s.done, 1));
    usleep(20000); /* a tick runs, and finds nothing */
    sk_fault_reset();
    for (uint32_t n = sk_load_acq(&n_eaten); n > 0;) SK_EXPECT_EQ(skua_timer_stop(eaten[--n]), 0);
    SK_EXPECT_EQ(skua_join(eater, NULL), 0);
    SK_EXPECT_EQ(skua_chan_close(s.never), 0);
    (void)skua_chan_try_recv(skua_ticker_chan(s.t), &when);
    for (int i = 0; i < 5; i++)
        SK_EXPECT_EQ(skua_chan_recv_for(skua_ticker_chan(s.t), &when, SKUA_MS(SK_PATIENCE_MS)), 0);
    SK_EXPECT_EQ(skua_ticker_release(s.t), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_chan_release(s.never), 0);
}

SK_TEST(ticker, needs_no_memory_to_go_on)
{
    rt = sk_runtime_of(1);
    SK_EXPECT_EQ(sk_run_on(rt, without_memory, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
#endif
