/*
 * waits.h: calls that wait, made by tasks and threads: starting them, knowing that they wait, and how they end.
 */
#ifndef SK_WAITS_H
#define SK_WAITS_H

#include "support/tasks.h"

#include "runtime/sched.h"
#include "sync/sleeper.h"
#include "os/lock.h"

typedef struct sk_call {
    skua_fn *fn;
    void *arg;
    int result;
    skua_runtime *rt; /* NULL: it is a thread */
    skua_task task;
    pthread_t thread;
} sk_call;

static inline void *sk_call_run(void *call)
{
    sk_call *c = (sk_call *)call;
    c->result = c->fn(c->arg);
    return NULL;
}

static inline int sk_call_as_task(void *call)
{
    sk_call_run(call);
    return 0;
}

/* As a task of rt, or (NULL) as a thread. */
static inline void sk_call_start(sk_call *c, skua_runtime *rt, skua_fn *fn, void *arg)
{
    *c = (sk_call){.fn = fn, .arg = arg, .rt = rt};
    if (rt)
        c->task = sk_spawn_on(rt, sk_call_as_task, c);
    else
        SK_EXPECT_EQ(pthread_create(&c->thread, NULL, sk_call_run, c), 0);
}

/* What it returned. */
static inline int sk_call_end(sk_call *c)
{
    if (c->rt)
        SK_EXPECT_EQ(skua_join_for(c->task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    else
        SK_EXPECT_EQ(pthread_join(c->thread, NULL), 0);
    return c->result;
}

/* How many stand in this queue of an object, whose short lock is its first field. */
static inline size_t sk_waiting(void *object, void *queue)
{
    size_t n = 0;
    sk_lock_take((sk_lock *)object);
    for (sk_waiter *waiter = sk_waiters_first((sk_waiters *)queue); waiter; waiter = waiter->next) n++;
    sk_lock_drop((sk_lock *)object);
    return n;
}

/* Starts it, and comes back when one more stands in the queue. */
static inline void sk_call_start_waiting(sk_call *c, skua_runtime *rt, skua_fn *fn, void *arg, void *object,
                                         void *queue)
{
    size_t before = sk_waiting(object, queue);
    sk_call_start(c, rt, fn, arg);
    SK_EVENTUALLY(sk_waiting(object, queue) == before + 1);
}

/* Whether a task, which has not been given up, is parked. */
static inline bool sk_is_parked(skua_task task)
{
    return sk_phase_of(sk_load_acq(&((sk_task *)task.ref)->state.word)) == SK_PARKED;
}

#endif
