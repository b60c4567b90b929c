/*
 * tasks.h: what the tests of the runtime and the pool share: runtimes of a
 * given size, gates, and waiting with a limit, so that a lost wake-up fails a
 * test by name instead of hanging the whole run.
 */
#ifndef SK_TASKS_H
#define SK_TASKS_H

#include "support/test.h"

#include "base/atomic.h"
#include "skua/skua.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { SK_PATIENCE_MS = 30000 /* nothing here takes this long on a busy machine */ };

/* A counter that somebody waits for. */
typedef sk_atomic(uint32_t) sk_gate;

static inline void sk_gate_add(sk_gate *gate)
{
    sk_add_ar(gate, 1u);
}

static inline uint32_t sk_gate_now(sk_gate *gate)
{
    return sk_load_acq(gate);
}

/* Sleeps, as a task or as a thread, until the gate stands at n at least. False after SK_PATIENCE_MS. */
static inline bool sk_gate_await(sk_gate *gate, uint32_t n)
{
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); sk_gate_now(gate) < n;) {
        if (skua_now() > give_up) return false;
        skua_sleep(SKUA_US(200));
    }
    return true;
}

/* The same, but keeps the worker: what a long computation does. */
static inline bool sk_gate_hold(sk_gate *gate, uint32_t n)
{
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); sk_gate_now(gate) < n;)
        if (skua_now() > give_up) return false;
    return true;
}

/* The same, but blocks the thread behind skua's back. */
static inline bool sk_gate_block(sk_gate *gate, uint32_t n)
{
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); sk_gate_now(gate) < n;) {
        if (skua_now() > give_up) return false;
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return true;
}

/* Waits for a condition that is looked at every 200 us. */
#define SK_EVENTUALLY(cond)                                                                                            \
    do {                                                                                                               \
        uint64_t give_up_ = skua_now() + SKUA_MS(SK_PATIENCE_MS);                                                      \
        while (!(cond)) {                                                                                              \
            if (skua_now() > give_up_) {                                                                               \
                fprintf(stderr, "%s:%d: never happened: %s\n", __FILE__, __LINE__, #cond);                             \
                abort();                                                                                               \
            }                                                                                                          \
            skua_sleep(SKUA_US(200));                                                                                  \
        }                                                                                                              \
    } while (0)

static inline skua_runtime *sk_runtime_of(uint32_t workers)
{
    skua_runtime *rt = NULL;
    SK_EXPECT_EQ(skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = workers}), 0);
    SK_EXPECT(rt != NULL);
    return rt;
}

static inline skua_task sk_spawn_on(skua_runtime *rt, skua_fn *fn, void *arg)
{
    skua_task task;
    SK_EXPECT_EQ(skua_spawn_with(&task, &(skua_task_options){.runtime = rt}, fn, arg), 0);
    return task;
}

/* Runs fn(arg) as a task of the runtime and gives its result. */
static inline int sk_run_on(skua_runtime *rt, skua_fn *fn, void *arg)
{
    int result = -1;
    SK_EXPECT_EQ(skua_join_for(sk_spawn_on(rt, fn, arg), SKUA_MS(4 * SK_PATIENCE_MS), &result), 0);
    return result;
}

static inline uint64_t sk_ended(const skua_stats *s)
{
    return s->done + s->failed + s->cancelled + s->expired + s->dropped;
}

/* A snapshot, which must add up. */
static inline skua_stats sk_stats_of(skua_runtime *rt)
{
    skua_stats s;
    SK_EXPECT(skua_runtime_stats(rt, &s, NULL, 0) >= 0);
    SK_EXPECT_EQ(s.created, s.queued + s.running + s.parked + sk_ended(&s));
    return s;
}

/* A single-worker runtime whose worker is kept busy until `release` opens. */
typedef struct sk_holder {
    sk_gate entered, release;
} sk_holder;

static inline int sk_hold(void *arg)
{
    sk_holder *h = (sk_holder *)arg;
    sk_gate_add(&h->entered);
    return sk_gate_hold(&h->release, 1) ? 0 : -ETIME;
}

static inline skua_task sk_hold_worker(skua_runtime *rt, sk_holder *h)
{
    skua_task task = sk_spawn_on(rt, sk_hold, h);
    SK_EXPECT(sk_gate_await(&h->entered, 1));
    return task;
}

static inline void sk_let_worker_go(sk_holder *h, skua_task task)
{
    int result = -1;
    sk_gate_add(&h->release);
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, 0);
}

static inline int sk_give_0(void *arg)
{
    (void)arg;
    return 0;
}

static inline int sk_open(void *arg)
{
    sk_gate_add((sk_gate *)arg);
    return 0;
}

#endif
