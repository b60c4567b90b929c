/* unit/progress.c: how far a pool has come: looks, rates, reporters and how they end. */
#include "support/pools.h"

#include "base/fault.h"

#include <string.h>

static skua_progress progress_of(skua_pool *pool)
{
    skua_progress p;
    SK_EXPECT_EQ(skua_progress_of(pool, &p), 0);
    SK_EXPECT(p.ended <= p.total && p.done + p.failed <= p.ended);
    SK_EXPECT(p.rate >= 0);
    SK_EXPECT(p.total > p.ended || p.left == 0);
    SK_EXPECT(p.total == p.ended || p.rate > 0 || p.left == SKUA_FOREVER);
    return p;
}

/* ---- looks ---- */

SK_TEST(progress, bad_input_has_errors_of_its_own)
{
    skua_progress p;
    skua_pool *pool = SK_POOL(.limit = 1);
    SK_EXPECT_EQ(skua_progress_of(NULL, &p), -EINVAL);
    SK_EXPECT_EQ(skua_progress_of(pool, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_expect(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_progress_of(pool, &p), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_expect(pool, 1), -ESHUTDOWN);
}

SK_TEST(progress, total_is_what_was_announced_or_submitted)
{
    skua_pool *pool = SK_POOL(.limit = 2);
    skua_progress p = progress_of(pool);
    SK_EXPECT_EQ(p.total + p.ended + p.left, 0);
    SK_EXPECT_EQ(skua_pool_expect(pool, 3), 0);
    p = progress_of(pool);
    SK_EXPECT_EQ(p.total, 3);
    SK_EXPECT(p.left == SKUA_FOREVER);
    int minus = -1;
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_gives, &minus), 0);
    sk_pool_await(pool);
    p = progress_of(pool);
    SK_EXPECT_EQ(p.total, 3);
    SK_EXPECT_EQ(p.ended, 2);
    SK_EXPECT_EQ(p.done, 1);
    SK_EXPECT_EQ(p.failed, 1);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    p = progress_of(pool);
    SK_EXPECT_EQ(p.total, 5); /* more came than was announced */
    SK_EXPECT_EQ(p.left, 0);
    SK_EXPECT_EQ(skua_pool_expect(pool, 9), 0);
    SK_EXPECT_EQ(progress_of(pool).total, 9);
    SK_EXPECT_EQ(skua_pool_expect(pool, 0), 0);
    SK_EXPECT_EQ(progress_of(pool).total, 5);
    SK_EXPECT_EQ(skua_pool_expect(pool, UINT64_MAX), 0);
    SK_EXPECT(progress_of(pool).left == SKUA_FOREVER);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* The mean since the announcement, within what the test has measured itself. */
SK_TEST(progress, the_first_look_has_a_rate_and_a_time_left)
{
    enum { N = 50 };
    skua_pool *pool = SK_POOL(.limit = 4);
    skua_sleep(SKUA_MS(50)); /* does not count */
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_pool_expect(pool, 2 * N), 0);
    uint64_t announced = skua_now();
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    skua_sleep(SKUA_MS(5));
    uint64_t least = skua_now() - announced;
    skua_progress p = progress_of(pool);
    uint64_t most = skua_now() - before;
    double least_rate = N * 1e9 / (double)most, most_rate = N * 1e9 / (double)least;
    SK_EXPECT(p.rate >= least_rate * 0.999 && p.rate <= most_rate * 1.001);
    SK_EXPECT((double)p.left >= N / most_rate * 0.999e9 && (double)p.left <= N / least_rate * 1.001e9);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* In the first seconds it is the mean of all, however often one looks. */
SK_TEST(progress, looking_often_changes_nothing_about_the_rate)
{
    enum { N = 20 };
    skua_pool *pool = SK_POOL(.limit = 1);
    uint64_t before = skua_now();
    SK_EXPECT_EQ(skua_pool_expect(pool, N), 0);
    uint64_t announced = skua_now();
    skua_progress p = {0};
    uint64_t least = 0;
    for (int i = 0; i < N; i++) {
        SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
        sk_pool_await(pool);
        skua_sleep(SKUA_MS(1));
        least = skua_now() - announced;
        p = progress_of(pool);
    }
    uint64_t most = skua_now() - before;
    if (most >= SKUA_S(5)) return; /* this machine is too slow to tell */
    SK_EXPECT(p.rate >= N * 1e9 / (double)most * 0.999 && p.rate <= N * 1e9 / (double)least * 1.001);
    SK_EXPECT_EQ(p.left, 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

typedef struct crowd {
    skua_pool *pool;
    sk_gate over;
} crowd;

static void *looks(void *arg)
{
    crowd *c = arg;
    uint64_t ended = 0;
    while (!sk_gate_now(&c->over)) {
        skua_progress p = progress_of(c->pool);
        SK_EXPECT(p.ended >= ended); /* never back */
        ended = p.ended;
    }
    return NULL;
}

SK_TEST(progress, many_may_look_while_it_works)
{
    /* More places than tasks: the pump takes some that it gives back, and `done` is behind meanwhile. */
    skua_pool *pool = SK_POOL(.limit = 1000), *sub = SK_POOL(.parent = pool, .limit = 500);
    crowd c = {.pool = pool};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, looks, &c), 0);
    long n = sk_test_scaled(20000);
    for (long i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(i % 2 ? pool : sub, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    sk_gate_add(&c.over);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    skua_progress p = progress_of(pool);
    SK_EXPECT_EQ(p.total, n);
    SK_EXPECT_EQ(p.ended, n);
    SK_EXPECT_EQ(skua_pool_release(sub), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* ---- reporters ---- */

typedef struct diary {
    sk_gate calls;
    sk_atomic(uint32_t) inside;
    skua_progress last;
    skua_reporter reporter;
    skua_pool *pool;
    int got[3];
    uint64_t nap; /* ns */
} diary;

static void note(void *ctx, const skua_progress *p)
{
    diary *d = ctx;
    SK_EXPECT_EQ(sk_add_ar(&d->inside, 1u), 0); /* never beside itself */
    SK_EXPECT(p->ended >= d->last.ended);
    d->last = *p;
    if (d->nap) d->got[0] = skua_sleep(d->nap);
    sk_sub_ar(&d->inside, 1u);
    sk_gate_add(&d->calls);
}

SK_TEST(progress, a_reporter_refuses_bad_input)
{
    diary d = {0};
    skua_pool *pool = SK_POOL(.limit = 1);
    SK_EXPECT_EQ(skua_progress_start(NULL, pool, 1, note, &d, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, NULL, 1, note, &d, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, 0, note, &d, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, 1, NULL, &d, NULL), -EINVAL);
    SK_EXPECT(d.reporter.ref == NULL);
    SK_EXPECT_EQ(skua_progress_stop(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), -EINVAL);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, 1, note, &d, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, 1, note, &d, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 0);
}

/* With a beat that does not come: one call, the last, which sees all. */
SK_TEST(progress, stop_makes_the_last_call_and_wakes_it_at_once)
{
    diary d = {0};
    skua_pool *pool = SK_POOL(.limit = 2);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_FOREVER, note, &d, NULL), 0);
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 0);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 1);
    SK_EXPECT_EQ(d.last.ended, 10);
    SK_EXPECT_EQ(d.last.total, 10);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), -ESRCH);
    skua_reporter old = d.reporter;
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_FOREVER, note, &d, NULL), 0);
    SK_EXPECT_EQ(skua_progress_stop(&old), -ESRCH); /* another has its memory */
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 1);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 2);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* At most one call for each beat that has passed, as the test measures it, and the last. */
SK_TEST(progress, a_reporter_keeps_its_beat)
{
    diary d = {0};
    skua_pool *pool = SK_POOL(.limit = 1);
    uint64_t since = skua_now();
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(2), note, &d, NULL), 0);
    SK_EXPECT(sk_gate_await(&d.calls, 10));
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    uint64_t calls = sk_gate_now(&d.calls), beats = (skua_now() - since) / SKUA_MS(2);
    SK_EXPECT(calls >= 11 && calls <= beats + 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* A call that takes five beats has missed them; note() sees to it that none is beside another. */
SK_TEST(progress, a_slow_callback_misses_beats_and_may_park)
{
    diary d = {.nap = SKUA_MS(10)};
    skua_pool *pool = SK_POOL(.limit = 1);
    uint64_t since = skua_now();
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(2), note, &d, NULL), 0);
    SK_EXPECT(sk_gate_await(&d.calls, 5));
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0); /* most probably while it sleeps, which it goes on to do */
    uint64_t calls = sk_gate_now(&d.calls);
    SK_EXPECT(calls >= 6 && calls <= (skua_now() - since) / SKUA_MS(10));
    SK_EXPECT_EQ(d.got[0], 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

typedef struct sleeper {
    sk_gate calls;
    uint64_t slept; /* ns, in the first call */
} sleeper;

static void sleep_once(void *ctx, const skua_progress *p)
{
    sleeper *s = ctx;
    (void)p;
    uint64_t since = skua_now();
    if (sk_gate_now(&s->calls) == 0) {
        skua_sleep(SKUA_MS(50));
        s->slept = skua_now() - since;
    }
    sk_gate_add(&s->calls);
}

/* They are not made up for. */
SK_TEST(progress, beats_that_were_missed_do_not_come_later)
{
    sleeper s = {0};
    skua_pool *pool = SK_POOL(.limit = 1);
    uint64_t since = skua_now();
    skua_reporter reporter;
    SK_EXPECT_EQ(skua_progress_start(&reporter, pool, SKUA_MS(2), sleep_once, &s, NULL), 0);
    SK_EXPECT(sk_gate_await(&s.calls, 10));
    SK_EXPECT_EQ(skua_progress_stop(&reporter), 0);
    uint64_t calls = sk_gate_now(&s.calls), beats = (skua_now() - since) / SKUA_MS(2);
    uint64_t missed = s.slept / SKUA_MS(2) - 1;
    SK_EXPECT(calls >= 11 && calls + missed <= beats + 2); /* and the last call */
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

static void meddle(void *ctx, const skua_progress *p)
{
    diary *d = ctx;
    (void)p;
    if (sk_gate_now(&d->calls) == 0) {
        d->got[0] = skua_progress_stop(&d->reporter);
        d->got[1] = skua_pool_release(d->pool);
        d->got[2] = skua_pool_submit(d->pool, sk_give_0, NULL);
    }
    sk_gate_add(&d->calls);
}

static int meddle_in_block(void *arg)
{
    return skua_progress_stop(&((diary *)arg)->reporter);
}

static void meddle_blocked(void *ctx, const skua_progress *p)
{
    diary *d = ctx;
    (void)p;
    d->got[0] = skua_block(meddle_in_block, d);
    sk_gate_add(&d->calls);
}

SK_TEST(progress, a_callback_cannot_stop_its_reporter_nor_release_the_pool)
{
    diary d = {.pool = SK_POOL(.limit = 1)};
    skua_pool *pool = d.pool;
    sk_gate gate = 0;
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(1), meddle, &d, NULL), 0);
    SK_EXPECT(sk_gate_await(&d.calls, 2)); /* the refused stop has stopped nothing */
    SK_EXPECT_EQ(d.got[0], -EDEADLK);
    SK_EXPECT_EQ(d.got[1], -EBUSY);
    SK_EXPECT_EQ(d.got[2], -ESHUTDOWN); /* as with subpools: it is stopped */
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(skua_pool_restart(pool), 0);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(1), meddle_blocked, &d, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &gate), 0);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(d.got[0], -EDEADLK);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

SK_TEST(progress, a_pool_with_a_reporter_is_not_released)
{
    diary d = {0};
    skua_pool *pool = SK_POOL(.limit = 1);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(1), note, &d, NULL), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), -EBUSY);
    uint32_t calls = sk_gate_now(&d.calls);
    SK_EXPECT(sk_gate_await(&d.calls, calls + 2)); /* it goes on: the pool is only stopped */
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* The runtime waits for all its tasks, and a reporter with a beat of for ever is one. */
SK_TEST(progress, a_reporter_ends_by_itself_when_the_runtime_stops)
{
    diary d = {0};
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_FOREVER, note, &d, NULL), 0);
    SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
    sk_pool_await(pool);
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_MS(SK_PATIENCE_MS)), 0); /* not cancelled: by itself */
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 1);
    SK_EXPECT_EQ(d.last.ended, 1);
    SK_EXPECT_EQ(skua_progress_start(&(skua_reporter){0}, pool, 1, note, &d, NULL), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 1); /* that was the last call */
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* It had no chance to start: then who stops it makes the last call. */
SK_TEST(progress, a_reporter_that_is_dropped_has_its_last_call_all_the_same)
{
    diary d = {0};
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    sk_holder holder = {0};
    skua_task held = sk_hold_worker(rt, &holder);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(1), note, &d, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_stop(rt, 0), -ETIMEDOUT); /* what is queued ends as dropped */
    sk_let_worker_go(&holder, held);
    SK_EXPECT_EQ(skua_runtime_stop(rt, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 0);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 1);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void panic(void *ctx, const skua_progress *p)
{
    (void)p;
    sk_gate_add(&((diary *)ctx)->calls);
    skua_panic_task("no more");
}

SK_TEST(progress, a_callback_that_gives_up_ends_its_reporter)
{
    diary d = {0};
    skua_pool *pool = SK_POOL(.limit = 1);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(1), panic, &d, NULL), 0);
    SK_EXPECT(sk_gate_await(&d.calls, 1));
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), -EFAULT);
    SK_EXPECT_EQ(sk_gate_now(&d.calls), 1);
    SK_EXPECT_EQ(skua_progress_stop(&d.reporter), -ESRCH);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

typedef struct stopper {
    diary *d;
    int got;
} stopper;

static void *stops(void *arg)
{
    stopper *s = arg;
    s->got = skua_progress_stop(&s->d->reporter);
    return NULL;
}

/* Of several that stop one succeeds, and after it there are no calls. */
SK_TEST(progress, one_of_several_stops_succeeds)
{
    for (long round = sk_test_scaled(200); round > 0; round--) {
        diary d = {0};
        skua_pool *pool = SK_POOL(.limit = 1);
        SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_US(50), note, &d, NULL), 0);
        stopper s[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) s[i] = (stopper){&d, 1};
        for (int i = 0; i < 3; i++) SK_EXPECT_EQ(pthread_create(&threads[i], NULL, stops, &s[i]), 0);
        for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
        int won = 0;
        for (int i = 0; i < 3; i++) {
            SK_EXPECT(s[i].got == 0 || s[i].got == -ESRCH || s[i].got == -EBUSY);
            won += s[i].got == 0;
        }
        SK_EXPECT_EQ(won, 1);
        SK_EXPECT(sk_gate_now(&d.calls) >= 1);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
}

static int stop_cancelled(void *arg)
{
    stopper *s = arg;
    skua_cancel(skua_self());
    s->got = skua_progress_stop(&s->d->reporter); /* there is something to wait for: the call under way */
    return 0;
}

/* A stop that is cancelled has asked it to end; another one waits for that. */
SK_TEST(progress, a_stop_that_was_cancelled_can_be_called_again)
{
    diary d = {.nap = SKUA_MS(50)};
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    SK_EXPECT_EQ(skua_progress_start(&d.reporter, pool, SKUA_MS(1), note, &d, NULL), 0);
    SK_EXPECT(sk_gate_await((sk_gate *)&d.inside, 1));
    stopper s = {&d, 1};
    SK_EXPECT_EQ(sk_run_on(rt, stop_cancelled, &s), 0);
    SK_EXPECT(s.got == -ECANCELED || s.got == 0); /* 0: it came too late, on a busy machine */
    if (s.got) SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#ifdef SK_FAULTS
/* Each allocation that it makes is refused once: an error, and nothing is left behind; or it goes on. */
SK_TEST(progress, a_reporter_without_memory_is_refused)
{
    static const sk_fault_site sites[] = {SK_FAULT_MMAP, SK_FAULT_MALLOC};
    skua_pool *pool = SK_POOL(.limit = 1);
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        for (uint64_t nth = 1; nth < 4; nth++) {
            diary d = {0};
            sk_fault_arm(sites[i], nth, false);
            int error = skua_progress_start(&d.reporter, pool, SKUA_US(100), note, &d, NULL);
            sk_fault_reset();
            SK_EXPECT(error == 0 || error == -ENOMEM);
            if (error) continue;
            SK_EXPECT_EQ(skua_progress_stop(&d.reporter), 0);
            SK_EXPECT(sk_gate_now(&d.calls) >= 1);
        }
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0); /* -EBUSY if a refused one were counted */
}
#endif
