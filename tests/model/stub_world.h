/*
 * stub_world.h: what stands round the code under test in a model: a futex, a
 * clock, threads that stop for good, and a way to tell when all is at rest.
 *
 * Include it after relacy.h.  It stands for os/futex.h and os/clock.h.
 *
 * At rest means: every thread has ended, sleeps on a futex, or has stopped for
 * good, and no deadline is near.  Then `rest` of the world is called, where the
 * model asserts what must hold ("work queued, everybody asleep" is a failure),
 * and after that each wait returns -ETIMEDOUT and `over` is set, so that the
 * threads end.  So a lost wake-up fails as an assertion, and no model has to
 * wake anybody itself to come to its end.
 *
 * Time passes only when nobody can run: then the nearest deadline comes.  Those
 * further away than `far` count as never: who relies on them has lost a wake-up.
 */
#ifndef SK_TEST_MODEL_STUB_WORLD_H
#define SK_TEST_MODEL_STUB_WORLD_H

#define SK_OS_FUTEX_H
#define SK_OS_CLOCK_H

#include "base/base.h"

#define SK_NS_PER_S 1000000000ull
#define SK_NEVER UINT64_MAX

struct sk_model_thread {
    const void *word; /* sleeps on it */
    uint64_t deadline;
    bool parked; /* Relacy must be told to go on with it */
    bool asleep;
    int result;
};

/* Plain data: Relacy runs one thread at a time. */
static struct sk_model_world {
    sk_model_thread thread[SK_MODEL_THREADS];
    int running;
    bool over;
    void (*rest)();
    void (*passing)(); /* NULL, or called when time passes */
    uint64_t clock, far;
    int patience; /* how many deadlines may pass until all counts as at rest */
    int spurious; /* how many waits may return for nothing */
    int early;    /* how many deadlines may pass although others run */

    /* First thing in before(). */
    void begin(int threads, void (*at_rest)())
    {
        memset((void *)this, 0, sizeof *this);
        sk_model_step = NULL; /* an earlier schedule may have failed before it could */
        running = threads;
        rest = at_rest;
        clock = 1000000;
        far = 100000000;
        patience = 20;
    }
    void awake(int i, int result)
    {
        thread[i].asleep = false;
        thread[i].result = result;
        running++;
        if (thread[i].parked) rl::ctx().unpark_thread(i, false, $);
        thread[i].parked = false;
    }
    void nobody_runs()
    {
        int next = -1;
        for (int i = 0; i < SK_MODEL_THREADS; i++) {
            const sk_model_thread &t = thread[i];
            if (t.asleep && t.deadline < clock + far && (next < 0 || t.deadline < thread[next].deadline)) next = i;
        }
        if (next >= 0 && patience-- > 0 && !over) {
            clock = sk_max(clock, thread[next].deadline);
            if (passing) passing();
            awake(next, -ETIMEDOUT);
            return;
        }
        if (!over) rest();
        over = true;
        for (int i = 0; i < SK_MODEL_THREADS; i++)
            if (thread[i].asleep) awake(i, -ETIMEDOUT);
    }
    /* NULL: until all is over. */
    int sleep(const void *word, uint64_t deadline)
    {
        int self = (int)rl::ctx().threadx_->index_;
        thread[self].word = word;
        thread[self].deadline = deadline;
        thread[self].asleep = true;
        running--;
        if (running == 0) nobody_runs();
        while (thread[self].asleep) {
            thread[self].parked = true;
            rl::ctx().park_current_thread(false, false, false, $);
        }
        /* What was there when it last looked is old by now: a value is not seen late for ever. */
        rl::ctx().threadx_->last_yield_ = rl::ctx().threadx_->own_acq_rel_order_;
        return thread[self].result;
    }
    /* The calling thread stops here for good; when all is over it goes on. */
    void stop()
    {
        if (!over) sleep(NULL, SK_NEVER);
    }
    /* Last thing in thread(). */
    void leave()
    {
        if (--running == 0) nobody_runs();
    }
} world;

static inline uint64_t sk_clock_coarse_ns(void)
{
    return world.clock;
}

static inline uint64_t sk_clock_ns(void)
{
    return world.clock;
}

static inline uint64_t sk_deadline_after(uint64_t now, uint64_t delay)
{
    return delay > SK_NEVER - now ? SK_NEVER : now + delay;
}

/* The kernel looks at the word and goes to sleep in one step, and sees the word as it is. */
static inline int sk_futex_wait(sk_atomic(uint32_t) * word, uint32_t expected, uint64_t deadline)
{
    bool different = word->newest() != expected;
    if (world.over) return -ETIMEDOUT;
    if (different) return -EAGAIN;
    if (world.spurious > 0 && rl::rand(2)) {
        world.spurious--;
        return 0;
    }
    if (world.early > 0 && deadline < world.clock + world.far && rl::rand(2)) {
        world.early--;
        world.clock = sk_max(world.clock, deadline);
        return -ETIMEDOUT;
    }
    return world.sleep(word, deadline);
}

static inline int sk_futex_wake(sk_atomic(uint32_t) * word, uint32_t n)
{
    int woken = 0;
    if (sk_model_step) sk_model_step();
    rl::ctx().sched();
    for (int i = 0; i < SK_MODEL_THREADS && n > 0; i++) {
        if (!world.thread[i].asleep || world.thread[i].word != word) continue;
        world.awake(i, 0);
        woken++;
        n--;
    }
    return woken;
}

/*
 * A thread that the kernel stops: it calls sk_model_freeze(steps) first
 * thing, and stops for good before one of its first `steps` accesses, each of
 * them explored, or at none.
 */
static int freezing = -1, freeze_left;

static void sk_model_freeze_step()
{
    if ((int)rl::ctx().threadx_->index_ != freezing || freeze_left < 0 || freeze_left-- > 0) return;
    world.stop();
}

static inline void sk_model_freeze(int steps)
{
    freezing = (int)rl::ctx().threadx_->index_;
    freeze_left = (int)rl::rand((unsigned)steps + 1);
    if (freeze_left == steps) freezing = -1;
    sk_model_step = sk_model_freeze_step;
}

#endif
