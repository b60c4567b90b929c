/* unit/ticker_hands.c: tickers that several have: workers in turn, threads, whoever rings, and the end of the runtime.
 */
#include "support/tasks.h"

#include "runtime/worker.h"
#include "sync/chan.h"

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

/* So often that the lock comes to favour whoever does it. */
enum { OFTEN = 400 };

static void use_often(skua_ticker *t)
{
    for (int i = 0; i < OFTEN; i++) {
        SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_S(1000), 0), 1);
        SK_EXPECT_EQ(skua_ticker_stop(t), 0);
        SK_EXPECT_EQ(skua_ticker_stop(t), -ESRCH);
    }
}

/* Nothing is left of a tick that is not to come: not in a wheel, nor in an inbox. */
static bool nothing_is_armed(skua_runtime *of)
{
    bool none = true;
    for (uint32_t i = 0; i < sk_workers_made(of); i++)
        none &= sk_timers_next(&sk_load_rlx(&of->workers[i])->timers) == SK_NEVER;
    return none;
}

static int use_it(void *arg)
{
    use_often(arg);
    return 0;
}

static int set_it(void *arg)
{
    return skua_ticker_reset(arg, SKUA_S(1000), 0);
}

static int stop_it(void *arg)
{
    return skua_ticker_stop(arg);
}

static int tick_at_once(void *arg)
{
    uint64_t when;
    SK_EXPECT_EQ(skua_ticker_reset(arg, 1, 0), 1);
    return skua_chan_recv_for(skua_ticker_chan(arg), &when, SKUA_S(30));
}

/* A favoured worker and a thread, each of which finds what the other has left. */
SK_TEST(ticker_hands, passes_from_hand_to_hand)
{
    skua_ticker *t;
    rt = sk_runtime_of(1);
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_FOREVER, 0), 0); /* of the default runtime */
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(sk_run_on(skua_runtime_default(), use_it, t), 0);
        SK_EXPECT_EQ(sk_run_on(skua_runtime_default(), set_it, t), 1);
        SK_EXPECT_EQ(skua_ticker_stop(t), 0);
        SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_S(1000), SKUA_S(1000)), 1);
        SK_EXPECT_EQ(sk_run_on(skua_runtime_default(), stop_it, t), 0);
        SK_EXPECT_EQ(sk_run_on(rt, use_it, t), 0); /* a worker of another runtime is a thread as any */
        SK_EXPECT_EQ(sk_run_on(rt, set_it, t), 1);
        SK_EXPECT_EQ(sk_run_on(skua_runtime_default(), stop_it, t), 0);
        SK_EXPECT_EQ(sk_run_on(skua_runtime_default(), use_it, t), 0);
        SK_EXPECT_EQ(sk_run_on(skua_runtime_default(), tick_at_once, t), 0);
        SK_EXPECT_EQ(sk_run_on(rt, tick_at_once, t), 0);
    }
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* A favoured worker's own ways, beside a tick that has come. */
static int favoured(void *arg)
{
    skua_ticker *t;
    uint64_t when;
    (void)arg;
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_S(1000), 0), 0);
    SK_EXPECT_EQ(skua_ticker_stop(t), 0);
    use_often(t);
    for (int i = 0; i < 20; i++) {
        SK_EXPECT_EQ(skua_ticker_reset(t, 1, i / 4 % 2 ? SKUA_S(1) : 0), 1);
        if (i % 3) SK_EXPECT_EQ(skua_ticker_reset(t, 1, 0), 0);
        SK_EVENTUALLY(skua_chan_len(skua_ticker_chan(t)) == 1);
        if (i % 4 == 0)
            SK_EXPECT_EQ(skua_ticker_stop(t), 0);
        else if (i % 4 == 1)
            SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_S(1000), 0), 0);
        else
            SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &when), 0);
        SK_EXPECT_EQ(skua_chan_try_recv(skua_ticker_chan(t), &when), -EAGAIN);
        (void)skua_ticker_stop(t);
    }
    SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_FOREVER, 0), 1);
    SK_EXPECT_EQ(skua_ticker_reset(t, 0, 0), 1);
    SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(t), &when), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    return 0;
}

SK_TEST(ticker_hands, favours_who_uses_it_often)
{
    everywhere(favoured);
}

static int make_often(void *arg)
{
    skua_ticker *t[3];
    (void)arg;
    for (int i = 0; i < OFTEN; i++) {
        for (int k = 0; k < 3; k++) SK_EXPECT_EQ(skua_ticker_create(&t[k], SKUA_S(1000), 0), 0);
        SK_EXPECT_EQ(skua_ticker_stop(t[1]), 0);
        for (int k = 0; k < 3; k++) SK_EXPECT_EQ(skua_ticker_release(t[k]), 0);
    }
    return 0;
}

/* Stopped and released where they were armed, or elsewhere: no wheel wants to be looked at for them. */
SK_TEST(ticker_hands, leaves_nothing_armed)
{
    skua_ticker *t[OFTEN];
    rt = sk_runtime_of(2);
    SK_EXPECT_EQ(sk_run_on(rt, make_often, NULL), 0);
    SK_EVENTUALLY(nothing_is_armed(rt));
    for (int i = 0; i < OFTEN; i++) SK_EXPECT_EQ(skua_ticker_create(&t[i], SKUA_S(1000), 0), 0);
    for (int i = 0; i < OFTEN; i++) SK_EXPECT_EQ(skua_ticker_stop(t[i]), 0);
    SK_EVENTUALLY(nothing_is_armed(skua_runtime_default()));
    for (int i = 0; i < OFTEN; i++) SK_EXPECT_EQ(sk_run_on(skua_runtime_default(), set_it, t[i]), 1);
    for (int i = 0; i < OFTEN; i++) SK_EXPECT_EQ(skua_ticker_release(t[i]), 0);
    SK_EVENTUALLY(nothing_is_armed(skua_runtime_default()));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

typedef struct shared {
    skua_ticker *t;
    sk_gate ended;
    long rounds;
} shared;

/* Whatever each gets, it is one of the two, and nothing breaks. */
static int meddle(void *arg)
{
    shared *s = arg;
    uint64_t when;
    for (long i = 0; i < s->rounds; i++) {
        int error = skua_ticker_reset(s->t, i % 3 ? (uint64_t)(i % 50) * 1000 : SKUA_S(100), i % 7 ? 0 : SKUA_US(20));
        SK_EXPECT(error == 0 || error == 1);
        if (i % 2) {
            error = skua_ticker_stop(s->t);
            SK_EXPECT(error == 0 || error == -ESRCH);
        }
        (void)skua_chan_try_recv(skua_ticker_chan(s->t), &when);
        if (i % 16 == 0) skua_yield();
    }
    sk_gate_add(&s->ended);
    return 0;
}

static void *meddle_as_thread(void *arg)
{
    meddle(arg);
    return NULL;
}

/* Tasks on two workers and two threads set and stop one ticker; then it works as ever. */
SK_TEST(ticker_hands, may_be_used_by_all_at_once)
{
    shared s = {.rounds = sk_test_scaled(1000)};
    pthread_t threads[2];
    rt = sk_runtime_of(2);
    SK_EXPECT_EQ(skua_ticker_create(&s.t, SKUA_FOREVER, 0), 0);
    const skua_task_options there = {.runtime = skua_runtime_default()}, here = {.runtime = rt};
    for (int i = 0; i < 2; i++) {
        SK_EXPECT_EQ(skua_spawn_with(NULL, &there, meddle, &s), 0);
        SK_EXPECT_EQ(skua_spawn_with(NULL, &here, meddle, &s), 0);
        SK_EXPECT_EQ(pthread_create(&threads[i], NULL, meddle_as_thread, &s), 0);
    }
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    SK_EXPECT(sk_gate_await(&s.ended, 6));
    (void)skua_ticker_stop(s.t);
    SK_EXPECT_EQ(skua_ticker_stop(s.t), -ESRCH);
    SK_EXPECT_EQ(tick_at_once(s.t), 0);
    SK_EXPECT_EQ(skua_ticker_release(s.t), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

/* The channel lies in the ticker, and may be kept longer than that. */
static int retained(void *arg)
{
    skua_ticker *t;
    uint64_t when;
    (void)arg;
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(skua_ticker_create(&t, i == 1 ? SKUA_S(1000) : 0, 0), 0);
        skua_chan *c = skua_ticker_chan(t);
        SK_EXPECT_EQ(skua_chan_retain(c), 0);
        if (i == 0) SK_EVENTUALLY(skua_chan_len(c) == 1);
        if (i == 2) SK_EXPECT_EQ(skua_chan_close(c), 0);
        SK_EXPECT_EQ(skua_ticker_release(t), 0);
        SK_EXPECT_EQ(skua_chan_try_recv(c, &when), i == 2 ? -EPIPE : -EAGAIN); /* a tick was taken back */
        if (i < 2) SK_EXPECT_EQ(skua_chan_try_send(c, &when), 0);
        SK_EXPECT_EQ(skua_chan_release(c), 0);
    }
    return 0;
}

SK_TEST(ticker_hands, is_outlived_by_its_channel)
{
    everywhere(retained);
}

/* Somebody stands in the channel for a while: who rings does not wait for him, and the tick comes afterwards. */
SK_TEST(ticker_hands, comes_again_when_its_channel_is_busy)
{
    skua_ticker *t, *other;
    uint64_t when, busy = SKUA_MS(20), begin = skua_now();
    SK_EXPECT_EQ(skua_ticker_create(&t, SKUA_FOREVER, 0), 0);
    skua_chan *c = skua_ticker_chan(t);
    sk_lock_take(&c->lock);
    SK_EXPECT_EQ(skua_ticker_create(&other, SKUA_MS(1), 0), 0);
    SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_US(100), 0), 1);
    SK_EXPECT_EQ(skua_chan_recv(skua_ticker_chan(other), &when), 0); /* others are not held up */
    while (skua_now() < begin + busy) usleep(1000);
    SK_EXPECT_EQ(skua_chan_len(c), 0);
    sk_lock_drop(&c->lock);
    SK_EXPECT_EQ(skua_chan_recv(c, &when), 0);
    SK_EXPECT(when >= begin + busy);
    sk_lock_take(&c->lock);
    SK_EXPECT_EQ(skua_ticker_reset(t, SKUA_US(100), 0), 1);
    usleep(2000);
    SK_EXPECT(skua_chan_len(c) == 0);
    SK_EXPECT_EQ(skua_ticker_stop(t), 0); /* while it is to come again */
    sk_lock_drop(&c->lock);
    SK_EXPECT_EQ(skua_chan_recv_for(c, &when, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_ticker_release(other), 0);
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
    SK_EXPECT_EQ(skua_runtime_release(skua_runtime_default()), 0);
}

static int make_one(void *arg)
{
    return skua_ticker_create(arg, SKUA_MS(30), SKUA_MS(10));
}

/* The worker in whose wheel it stands goes away. */
SK_TEST(ticker_hands, moves_when_its_worker_retires)
{
    enum { MANY = 16 };
    skua_ticker *t[MANY];
    uint64_t when;
    rt = sk_runtime_of(4);
    SK_EXPECT_EQ(sk_run_on(rt, make_often, NULL), 0);
    for (int i = 0; i < MANY; i++) SK_EXPECT_EQ(sk_run_on(rt, make_one, &t[i]), 0);
    SK_EXPECT_EQ(skua_runtime_resize(rt, 1), 0);
    for (int i = 0; i < MANY; i++) {
        SK_EXPECT_EQ(skua_chan_recv_for(skua_ticker_chan(t[i]), &when, SKUA_S(30)), 0);
        SK_EXPECT_EQ(skua_ticker_release(t[i]), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct ending {
    skua_ticker *t[8];
    sk_gate up, go;
} ending;

/* Beside the end of the runtime. */
static void *end_tickers(void *arg)
{
    ending *e = arg;
    sk_gate_add(&e->up);
    SK_EXPECT(sk_gate_hold(&e->go, 1));
    for (int i = 0; i < 8; i++) {
        if (i % 2) SK_EXPECT(skua_ticker_stop(e->t[i]) <= 0);
        int error = skua_ticker_reset(e->t[i], SKUA_S(1000), i % 3 ? 0 : 1);
        SK_EXPECT(error >= 0 || error == -ESHUTDOWN);
        SK_EXPECT_EQ(skua_ticker_release(e->t[i]), 0);
    }
    return NULL;
}

static int make_eight(void *arg)
{
    ending *e = arg;
    for (int i = 0; i < 8; i++) SK_EXPECT_EQ(skua_ticker_create(&e->t[i], i % 4 ? SKUA_S(1000) : SKUA_US(10), 0), 0);
    SK_EXPECT_EQ(skua_ticker_stop(e->t[7]), 0);
    use_often(e->t[7]);
    return 0;
}

SK_TEST(ticker_hands, may_be_used_while_its_runtime_ends)
{
    for (long i = 0, n = sk_test_scaled(30); i < n; i++) {
        ending e = {.up = 0};
        pthread_t thread;
        rt = sk_runtime_of(1 + (uint32_t)i % 2);
        SK_EXPECT_EQ(sk_run_on(rt, make_eight, &e), 0);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, end_tickers, &e), 0);
        SK_EXPECT(sk_gate_block(&e.up, 1));
        if (i % 3 == 0) sk_gate_add(&e.go);
        if (i % 3 == 1) SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_S(30)), 0);
        if (i % 3 == 1) sk_gate_add(&e.go);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
        if (i % 3 == 2) sk_gate_add(&e.go);
        SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    }
}
