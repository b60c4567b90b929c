/* unit/locked_calls.c: callbacks under a locker: they do not overlap, and a callback that gives up lets the lock go. */
#include "support/pools.h"

#include "sync/mutex.h"

#include <string.h>

enum { MUTEX, FAS, TICKET, MCS, OWN, KINDS };

static void lock_own(void *flag)
{
    while (sk_xchg_acq((sk_atomic(uint32_t) *)flag, 1u)) sk_cpu_relax();
}

static void unlock_own(void *flag)
{
    sk_store_rel((sk_atomic(uint32_t) *)flag, 0u);
}

/* One lock, and what it guards: plain, so that the sanitizer sees a call that is made without it. */
typedef struct ledger {
    skua_locker locker;
    skua_mutex mutex;
    skua_spinlock spin;
    skua_mcs mcs;
    sk_atomic(uint32_t) flag;
    long calls, sum, inside;
    int gives_up; /* every so many calls; 0: none */
    uint64_t nap; /* ns */
} ledger;

static void open_ledger(ledger *l, int kind)
{
    *l = (ledger){.mutex = SKUA_MUTEX_INIT};
    if (kind == MUTEX) SK_EXPECT_EQ(skua_locker_mutex(&l->locker, &l->mutex), 0);
    if (kind == FAS) SK_EXPECT_EQ(skua_locker_fas(&l->locker, &l->spin), 0);
    if (kind == TICKET) SK_EXPECT_EQ(skua_locker_ticket(&l->locker, &l->spin), 0);
    if (kind == MCS) SK_EXPECT_EQ(skua_locker_mcs(&l->locker, &l->mcs), 0);
    if (kind == OWN) l->locker = (skua_locker){lock_own, unlock_own, (void *)&l->flag};
}

/* Everybody else's way to what is guarded. */
static void expect_calls(ledger *l, long calls)
{
    SK_EXPECT_EQ(skua_locker_lock(&l->locker), 0);
    SK_EXPECT_EQ(l->calls, calls);
    SK_EXPECT_EQ(skua_locker_unlock(&l->locker), 0);
}

static void begin_entry(ledger *l)
{
    SK_EXPECT_EQ(l->inside++, 0);
    l->calls++;
    if (l->nap) skua_sleep(l->nap);
    l->inside--;
    if (l->gives_up && l->calls % l->gives_up == 0) skua_panic_task("call %ld", l->calls);
}

static void enter(void *ctx, void *arg, int result)
{
    ledger *l = ctx;
    l->sum += arg ? *(int *)arg : result;
    begin_entry(l);
}

static void enter_progress(void *ctx, const skua_progress *p)
{
    (void)p;
    begin_entry(ctx);
}

static skua_pool *pool_over(skua_runtime *rt, ledger *l, uint32_t limit)
{
    return SK_POOL(.runtime = rt, .limit = limit, .ended = {enter, l, &l->locker});
}

static void enter_times(skua_runtime *rt, int kind, long n, int gives_up)
{
    ledger l;
    int one = 1;
    open_ledger(&l, kind);
    l.gives_up = gives_up;
    skua_pool *pool = pool_over(rt, &l, 0);
    for (long i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, &one), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(4 * SK_PATIENCE_MS)), 0);
    expect_calls(&l, n);
    SK_EXPECT_EQ(l.sum, n);
    SK_EXPECT_EQ(sk_counts_of(pool).failed, gives_up ? n / gives_up : 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

/* Few over ticket and MCS: where threads outnumber processors, a spinlock that is handed on in order waits for the time
   slice of the next in line, again and again. */
SK_TEST(locked_calls, do_not_overlap)
{
    static const long times[KINDS] = {[MUTEX] = 100000, [FAS] = 100000, [TICKET] = 300, [MCS] = 300, [OWN] = 100000};
    for (int kind = 0; kind < KINDS; kind++) {
        skua_runtime *rt = sk_runtime_of(8);
        enter_times(rt, kind, sk_test_scaled(times[kind]), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

SK_TEST(locked_calls, that_give_up_let_the_lock_go)
{
    for (int kind = 0; kind < KINDS; kind++) {
        skua_runtime *rt = sk_runtime_of(4);
        enter_times(rt, kind, kind == TICKET || kind == MCS ? 90 : 300, 3);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

/* Over the mutex they may park; the others, and the only worker, wait. */
SK_TEST(locked_calls, that_park_keep_the_others_out)
{
    for (uint32_t workers = 1; workers <= 4; workers += 3) {
        skua_runtime *rt = sk_runtime_of(workers);
        ledger l;
        open_ledger(&l, MUTEX);
        l.nap = SKUA_US(50);
        l.gives_up = 5;
        skua_pool *pool = pool_over(rt, &l, 8);
        for (int i = 0; i < 200; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
        sk_pool_await(pool);
        expect_calls(&l, 200);
        SK_EXPECT(sk_mutex_is_at_rest((sk_mutex *)(void *)&l.mutex));
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

/* ---- those that are not made by the task itself ---- */

static int give_up(void *arg)
{
    skua_panic_task("number %d", *(int *)arg);
}

/* In a helper: for a task that has given up, was late before it started, or is dropped. */
SK_TEST(locked_calls, of_tasks_that_cannot_call)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < KINDS; kind++) {
        ledger l;
        sk_stay s = {0};
        int one = 1;
        open_ledger(&l, kind);
        l.gives_up = 2;
        skua_pool *pool = pool_over(rt, &l, 2);
        for (int i = 0; i < 50; i++) SK_EXPECT_EQ(skua_pool_submit(pool, give_up, &one), 0);
        sk_pool_await(pool);
        expect_calls(&l, 50);
        sk_occupy(pool, &s, 2);
        const skua_submit_options late = {.start_within = SKUA_US(100)};
        for (int i = 0; i < 50; i++)
            SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, i % 2 ? &late : NULL, sk_give_0, &one), 0);
        skua_sleep(SKUA_MS(1));
        SK_EXPECT_EQ(skua_pool_stop_now(pool, 0), -ETIMEDOUT);
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        expect_calls(&l, 102);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static void count_fault(const skua_fault *fault, void *arg)
{
    (void)fault;
    sk_gate_add(arg);
}

/* On the submitter's stack, be it a task or a thread: what gives up ends alone, and is told once. */
typedef struct here {
    ledger *l;
    skua_pool *pool;
} here;

static int run_here(void *arg)
{
    here *h = arg;
    for (int i = 0; i < 20; i++) SK_EXPECT_EQ(skua_pool_submit(h->pool, sk_give_0, NULL), 0);
    expect_calls(h->l, 20);
    return 7;
}

SK_TEST(locked_calls, of_tasks_that_their_submitter_runs)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int kind = 0; kind < 2 * KINDS; kind++) {
        ledger l;
        sk_stay s = {0};
        sk_gate told = 0;
        open_ledger(&l, kind / 2);
        l.gives_up = 2;
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE, .when_full = SKUA_FULL_RUN,
                                  .ended = {enter, &l, &l.locker}, .fault_handler = count_fault, .fault_arg = &told);
        sk_occupy(pool, &s, 1);
        here h = {&l, pool};
        SK_EXPECT_EQ(kind % 2 ? sk_run_on(rt, run_here, &h) : run_here(&h), 7);
        SK_EXPECT_EQ(sk_gate_now(&told), 10);
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        expect_calls(&l, 21);
        skua_fault fault;
        SK_EXPECT_EQ(skua_pool_fault(pool, &fault), 0);
        SK_EXPECT(strcmp(fault.message, "call 2") == 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- then ---- */

typedef struct late_call {
    ledger *l;
    skua_future f;
} late_call;

static int call_then(void *arg)
{
    late_call *c = arg;
    return skua_future_then(c->f, enter, c->l, &c->l->locker);
}

SK_TEST(locked_calls, then)
{
    skua_runtime *rt = sk_runtime_of(4);
    for (int kind = 0; kind < KINDS; kind++) {
        enum { N = 40 };
        ledger l;
        sk_stay s = {0};
        int one = 1, result = 0;
        open_ledger(&l, kind);
        l.gives_up = 4;
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1),
                  *full = SK_POOL(.runtime = rt, .limit = 1, .queue = SKUA_POOL_NO_QUEUE, .when_full = SKUA_FULL_RUN);
        sk_occupy(pool, &s, 1);
        skua_future f[N];
        for (int i = 0; i < N; i++) {
            SK_EXPECT_EQ(skua_pool_submit_future(pool, &f[i], NULL, sk_give_0, &one), 0);
            SK_EXPECT_EQ(skua_future_then(f[i], enter, &l, &l.locker), 0);
        }
        sk_gate_add(&s.leave);
        sk_pool_await(pool);
        SK_EVENTUALLY((skua_locker_lock(&l.locker), result = l.calls == N, skua_locker_unlock(&l.locker), result));
        /* Done already: by the caller, a task, or a thread in a call that is caught. */
        late_call c = {&l, f[0]};
        sk_stay there = {0};
        sk_occupy(full, &there, 1);
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(sk_run_on(rt, call_then, &c), i == 3 ? -EFAULT : 0);
        for (int i = 0; i < 4; i++) SK_EXPECT_EQ(skua_pool_submit(full, call_then, &c), 0);
        expect_calls(&l, N + 8);
        SK_EXPECT_EQ(l.sum, N + 8);
        SK_EXPECT_EQ(sk_counts_of(full).failed, 1);
        sk_gate_add(&there.leave);
        for (int i = 0; i < N; i++) SK_EXPECT_EQ(skua_future_release(f[i]), 0);
        SK_EXPECT_EQ(skua_pool_release(full), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- progress ---- */

/* A reporter, and the results of its pool, under one lock. */
SK_TEST(locked_calls, progress)
{
    for (int kind = 0; kind < KINDS; kind++) {
        skua_runtime *rt = sk_runtime_of(2);
        ledger l;
        skua_reporter reporter;
        open_ledger(&l, kind);
        skua_pool *pool = pool_over(rt, &l, 2);
        SK_EXPECT_EQ(skua_progress_start(&reporter, pool, SKUA_US(100), enter_progress, &l, &l.locker), 0);
        for (int i = 0; i < 500; i++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_give_0, NULL), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(skua_progress_stop(&reporter), 0);
        SK_EXPECT_EQ(skua_locker_lock(&l.locker), 0);
        SK_EXPECT(l.calls > 500);
        l.gives_up = 1;
        SK_EXPECT_EQ(skua_locker_unlock(&l.locker), 0);
        SK_EXPECT_EQ(skua_progress_start(&reporter, pool, SKUA_US(100), enter_progress, &l, &l.locker), 0);
        SK_EXPECT_EQ(skua_progress_stop(&reporter), -EFAULT);
        SK_EXPECT_EQ(skua_locker_lock(&l.locker), 0); /* nobody has kept it */
        SK_EXPECT_EQ(skua_locker_unlock(&l.locker), 0);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
}

/* ---- bad input ---- */

SK_TEST(locked_calls, a_locker_has_two_functions)
{
    skua_runtime *rt = sk_runtime_of(1);
    const skua_locker none = {0}, half = {.lock = lock_own};
    const skua_locker *bad[] = {&none, &half};
    skua_pool *pool = SK_POOL(.runtime = rt), *other;
    skua_future f, done;
    skua_reporter reporter;
    SK_EXPECT_EQ(skua_pool_submit_future(pool, &done, NULL, sk_give_0, NULL), 0);
    for (int i = 0; i < 2; i++) {
        const skua_submit_options o = {.ended = {enter, NULL, bad[i]}};
        SK_EXPECT_EQ(skua_pool_create(&other, &(skua_pool_options){.runtime = rt, .ended = o.ended}), -EINVAL);
        SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sk_give_0, NULL), -EINVAL);
        SK_EXPECT_EQ(skua_pool_submit_future(pool, &f, &o, sk_give_0, NULL), -EINVAL);
        SK_EXPECT_EQ(skua_future_then(done, enter, NULL, bad[i]), -EINVAL);
        SK_EXPECT_EQ(skua_progress_start(&reporter, pool, 1, enter_progress, NULL, bad[i]), -EINVAL);
    }
    SK_EXPECT_EQ(skua_future_release(done), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
