/* unit/mutex.c: the parking mutex, its order, its errors, and what it leaves behind. */
#include "support/tasks.h"

#include "sync/mutex.h"

#include <string.h>

static bool at_rest(const skua_mutex *m)
{
    return sk_mutex_is_at_rest((const sk_mutex *)(const void *)m) && sk_mutex_nodes_out() == 0;
}

static uint64_t word_of(skua_mutex *m)
{
    return sk_load_acq((sk_atomic(uint64_t) *)(void *)&m->word);
}

/* The newest node on the stack: it differs when somebody new waits. */
static uint64_t newest(skua_mutex *m)
{
    return word_of(m) & ~UINT64_C(3);
}

/* ---- alone ---- */

static int lock_and_unlock(void *arg)
{
    skua_mutex *m = arg;
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(skua_mutex_unlock(m), -EPERM);
        SK_EXPECT_EQ(skua_mutex_lock(m), 0);
        SK_EXPECT_EQ(skua_mutex_trylock(m), -EBUSY);
        SK_EXPECT_EQ(skua_mutex_lock_for(m, 0), -ETIMEDOUT);
        uint64_t before = skua_now();
        SK_EXPECT_EQ(skua_mutex_lock_for(m, SKUA_MS(3)), -ETIMEDOUT);
        SK_EXPECT(skua_now() - before >= SKUA_MS(3));
        SK_EXPECT_EQ(skua_mutex_unlock(m), 0);
        SK_EXPECT_EQ(skua_mutex_trylock(m), 0);
        SK_EXPECT_EQ(skua_mutex_unlock(m), 0);
        SK_EXPECT_EQ(skua_mutex_lock_for(m, SKUA_FOREVER), 0);
        SK_EXPECT_EQ(skua_mutex_unlock(m), 0);
        SK_EXPECT(at_rest(m));
    }
    return 1;
}

SK_TEST(mutex, alone)
{
    static skua_mutex m = SKUA_MUTEX_INIT;
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(lock_and_unlock(&m), 1);
    SK_EXPECT_EQ(sk_run_on(rt, lock_and_unlock, &m), 1);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(mutex, null_is_refused)
{
    SK_EXPECT_EQ(skua_mutex_lock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_mutex_lock_for(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_mutex_trylock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_mutex_unlock(NULL), -EINVAL);
}

/* ---- waiters ---- */

typedef struct waiter {
    skua_mutex *m;
    uint64_t timeout;
    sk_gate *order; /* counts those that have got it */
    int found;
    uint32_t place; /* in that order */
    sk_gate go;     /* it may begin: of the greedy one */
    skua_task task;
    pthread_t thread;
} waiter;

/* Locks, notes when, unlocks. */
static int want(void *arg)
{
    waiter *w = arg;
    w->found = w->timeout == SKUA_FOREVER ? skua_mutex_lock(w->m) : skua_mutex_lock_for(w->m, w->timeout);
    if (w->found) return 0;
    w->place = sk_add_ar(w->order, 1u);
    SK_EXPECT_EQ(skua_mutex_unlock(w->m), 0);
    return 0;
}

static void *want_as_thread(void *arg)
{
    want(arg);
    return NULL;
}

/* Starts it, on the runtime or (NULL) as a thread, and waits until it stands on the stack of the held mutex. */
static void start(skua_runtime *rt, waiter *w)
{
    uint64_t before = newest(w->m);
    w->found = 1;
    if (rt)
        w->task = sk_spawn_on(rt, want, w);
    else
        SK_EXPECT_EQ(pthread_create(&w->thread, NULL, want_as_thread, w), 0);
    SK_EVENTUALLY(newest(w->m) != before);
}

static void finish(skua_runtime *rt, waiter *w)
{
    if (rt)
        SK_EXPECT_EQ(skua_join_for(w->task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    else
        SK_EXPECT_EQ(pthread_join(w->thread, NULL), 0);
}

/* Tasks and threads in turn: they get it in the order in which they came, when nobody else comes. */
static void in_order(uint32_t workers, uint64_t held)
{
    enum { WAITERS = 12 };
    skua_runtime *rt = sk_runtime_of(workers);
    skua_mutex m = SKUA_MUTEX_INIT;
    sk_gate order = 0;
    waiter w[WAITERS];
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    for (int i = 0; i < WAITERS; i++) {
        w[i] = (waiter){.m = &m, .timeout = i % 3 ? SKUA_FOREVER : SKUA_S(3600), .order = &order};
        start(i % 2 ? rt : NULL, &w[i]);
    }
    skua_sleep(held);
    SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
    for (int i = 0; i < WAITERS; i++) {
        finish(i % 2 ? rt : NULL, &w[i]);
        SK_EXPECT_EQ(w[i].found, 0);
        SK_EXPECT_EQ(w[i].place, i);
    }
    SK_EXPECT(at_rest(&m));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(mutex, first_come_first_served)
{
    for (int i = 0; i < 10; i++) in_order(1 + i % 2, i % 2 ? SKUA_MS(2) : 0);
}

/* Keeps its worker, and takes the mutex again and again until somebody else has got it; parks only if made to wait. */
static int greedy(void *arg)
{
    waiter *w = arg;
    uint64_t began = skua_now();
    SK_EXPECT(sk_gate_hold(&w->go, 1));
    while (sk_gate_now(w->order) == 0) {
        SK_EXPECT(skua_now() - began < SKUA_MS(SK_PATIENCE_MS));
        SK_EXPECT_EQ(skua_mutex_lock(w->m), 0);
        for (uint64_t held = skua_now(); skua_now() - held < SKUA_US(20);) {
        }
        SK_EXPECT_EQ(skua_mutex_unlock(w->m), 0);
    }
    return 0;
}

/* The task is woken first, and cannot run while the greedy one keeps its worker: the thread must get it nevertheless.
 */
SK_TEST(mutex, handed_over_after_a_millisecond)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 10; i++) {
        skua_mutex m = SKUA_MUTEX_INIT;
        sk_gate order = 0;
        waiter w = {.m = &m, .timeout = SKUA_FOREVER, .order = &order}, x = w, g = w;
        SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
        start(rt, &w);
        start(NULL, &x);
        skua_task task = sk_spawn_on(rt, greedy, &g);
        SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
        sk_gate_add(&g.go);
        finish(NULL, &x);
        finish(rt, &w);
        SK_EXPECT_EQ(x.found | w.found, 0);
        SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EVENTUALLY(at_rest(&m));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* After the hand-over nobody can barge in, however long the new holder takes to wake: the mutex stays locked. */
SK_TEST(mutex, a_mutex_on_its_way_stays_locked)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_mutex m = SKUA_MUTEX_INIT;
    sk_gate order = 0;
    sk_holder h = {0};
    waiter w = {.m = &m, .timeout = SKUA_FOREVER, .order = &order};
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    start(rt, &w);
    skua_task hog = sk_hold_worker(rt, &h);
    skua_sleep(SKUA_MS(2));
    SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
    SK_EXPECT_EQ(skua_mutex_trylock(&m), -EBUSY);
    SK_EXPECT_EQ(skua_mutex_lock_for(&m, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(sk_gate_now(&order), 0);
    sk_let_worker_go(&h, hog);
    finish(rt, &w);
    SK_EXPECT_EQ(w.found, 0);
    SK_EVENTUALLY(at_rest(&m));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

#ifdef SK_FAULTS
/* A waiter that is woken, but not handed the mutex, may lose it to one who comes; it is first again then. */
SK_TEST(mutex, who_comes_may_take_it_first)
{
    sk_mutex_fair_ns = SKUA_S(3600); /* however slow the machine: nobody is handed it */
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate order = 0;
    for (int i = 0; i < 3; i++) {
        skua_mutex m = SKUA_MUTEX_INIT;
        sk_holder h = {0};
        waiter w = {.m = &m, .timeout = SKUA_FOREVER, .order = &order}, last = w;
        sk_store_rlx(&order, 0u);
        SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
        start(rt, &w);
        skua_task hog = sk_hold_worker(rt, &h); /* w is parked, and the worker is taken: w cannot decide yet */
        SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
        SK_EXPECT_EQ(skua_mutex_trylock(&m), 0);
        start(NULL, &last);
        uint64_t before = newest(&m);
        sk_let_worker_go(&h, hog);
        SK_EVENTUALLY(newest(&m) != before); /* it came, lost, and stands on the stack again */
        SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
        finish(NULL, &last);
        SK_EXPECT_EQ(last.place, 1);
        finish(rt, &w);
        SK_EXPECT_EQ(w.place, 0);
        SK_EVENTUALLY(at_rest(&m));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
#endif

/* ---- giving up ---- */

SK_TEST(mutex, a_cancelled_waiter_gives_up)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_mutex m = SKUA_MUTEX_INIT;
    sk_gate order = 0;
    for (int i = 0; i < 50; i++) {
        waiter w[3];
        SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
        for (int k = 0; k < 3; k++) {
            w[k] = (waiter){.m = &m, .timeout = i % 2 ? SKUA_FOREVER : SKUA_S(3600), .order = &order};
            start(rt, &w[k]);
        }
        SK_EXPECT_EQ(skua_cancel(w[i % 3].task), 0);
        finish(rt, &w[i % 3]);
        SK_EXPECT_EQ(w[i % 3].found, -ECANCELED);
        SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
        for (int k = 0; k < 3; k++) {
            if (k == i % 3) continue;
            finish(rt, &w[k]);
            SK_EXPECT_EQ(w[k].found, 0);
        }
        SK_EXPECT(at_rest(&m));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* One alone that polls leaves nothing behind, even while the mutex is held. */
SK_TEST(mutex, polling_leaves_no_nodes)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    for (int i = 0; i < 50; i++) {
        SK_EXPECT_EQ(skua_mutex_lock_for(&m, SKUA_US(10)), -ETIMEDOUT);
        SK_EXPECT_EQ(sk_mutex_nodes_out(), 0);
    }
    SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
    SK_EXPECT(at_rest(&m));
}

/* Several give up, the newest last: it takes its node off, the others leave theirs to the unlock. */
SK_TEST(mutex, abandoned_nodes_are_freed_by_the_unlock)
{
    enum { WAITERS = 6 };
    skua_runtime *rt = sk_runtime_of(1);
    skua_mutex m = SKUA_MUTEX_INIT;
    sk_gate order = 0;
    waiter w[WAITERS];
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    for (int i = 0; i < WAITERS; i++) {
        w[i] = (waiter){.m = &m, .timeout = SKUA_FOREVER, .order = &order};
        start(rt, &w[i]);
    }
    for (int i = 0; i < WAITERS; i++) {
        SK_EXPECT_EQ(skua_cancel(w[i].task), 0);
        finish(rt, &w[i]);
        SK_EXPECT_EQ(w[i].found, -ECANCELED);
    }
    SK_EXPECT_EQ(sk_mutex_nodes_out(), WAITERS - 1);
    SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
    SK_EXPECT(at_rest(&m));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A task whose worker is taken is woken, then cancelled before it can decide: it passes the turn on, or takes it. */
SK_TEST(mutex, woken_and_cancelled)
{
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate order = 0;
    for (int i = 0; i < 20; i++) {
        skua_mutex m = SKUA_MUTEX_INIT;
        sk_holder h = {0};
        waiter w = {.m = &m, .timeout = SKUA_FOREVER, .order = &order}, next = w;
        SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
        start(rt, &w);
        skua_task hog = sk_hold_worker(rt, &h);
        start(NULL, &next);
        SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
        SK_EXPECT_EQ(skua_cancel(w.task), 0);
        bool ours = i % 2 && skua_mutex_trylock(&m) == 0;
        sk_let_worker_go(&h, hog);
        finish(rt, &w);
        SK_EXPECT(w.found == 0 || (ours && w.found == -ECANCELED));
        if (ours) SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
        finish(NULL, &next);
        SK_EXPECT_EQ(next.found, 0);
        SK_EVENTUALLY(at_rest(&m));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- where it may be held ---- */

static int hold_over_a_park(void *arg)
{
    waiter *w = arg;
    SK_EXPECT_EQ(skua_mutex_lock(w->m), 0);
    uint32_t before = sk_gate_now(w->order);
    skua_sleep(SKUA_MS(1));
    SK_EXPECT_EQ(sk_gate_now(w->order), before); /* nobody else was here */
    sk_gate_add(w->order);
    return skua_mutex_unlock(w->m);
}

SK_TEST(mutex, held_across_parks)
{
    enum { TASKS = 20 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_mutex m = SKUA_MUTEX_INIT;
    sk_gate order = 0;
    waiter w = {.m = &m, .order = &order};
    skua_task task[TASKS];
    for (int i = 0; i < TASKS; i++) task[i] = sk_spawn_on(rt, hold_over_a_park, &w);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join_for(task[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    SK_EXPECT_EQ(sk_gate_now(&order), TASKS);
    SK_EXPECT(at_rest(&m));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int unlock(void *arg)
{
    return skua_mutex_unlock(arg);
}

/* Locked by a thread, unlocked by a task. */
SK_TEST(mutex, anybody_may_unlock)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_mutex m = SKUA_MUTEX_INIT;
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    SK_EXPECT_EQ(sk_run_on(rt, unlock, &m), 0);
    SK_EXPECT_EQ(sk_run_on(rt, unlock, &m), -EPERM);
    SK_EXPECT(at_rest(&m));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The last of two who lock frees the memory: unlock does not touch it any more. */
static int lock_and_free(void *arg)
{
    waiter *w = arg;
    skua_mutex *m = w->m;
    SK_EXPECT_EQ(skua_mutex_lock(m), 0);
    bool last = sk_add_rlx(w->order, 1u) == 1;
    SK_EXPECT_EQ(skua_mutex_unlock(m), 0);
    if (!last) return 0;
    memset(m, 0xa5, sizeof *m);
    free(m);
    return 1;
}

SK_TEST(mutex, its_memory_may_be_freed_after_the_last_unlock)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 300; i++) {
        sk_gate order = 0;
        waiter w = {.m = calloc(1, sizeof(skua_mutex)), .order = &order};
        int result = 0;
        skua_task a = sk_spawn_on(rt, lock_and_free, &w);
        int sum = i % 2 ? lock_and_free(&w) : sk_run_on(rt, lock_and_free, &w);
        SK_EXPECT_EQ(skua_join_for(a, SKUA_MS(SK_PATIENCE_MS), &result), 0);
        SK_EXPECT_EQ(sum + result, 1);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- fair, also when holdings become long ---- */

typedef struct greed {
    skua_mutex m;
    bool got;
} greed;

static int want_once(void *arg)
{
    greed *g = arg;
    SK_EXPECT_EQ(skua_mutex_lock(&g->m), 0);
    g->got = true;
    SK_EXPECT_EQ(skua_mutex_unlock(&g->m), 0);
    return 0;
}

/* One worker: a short holding, during which somebody comes to wait, then long ones. Returns how many of these. */
static int hold_again_and_again(void *arg)
{
    greed *g = arg;
    int holdings = 0;
    SK_EXPECT_EQ(skua_mutex_lock(&g->m), 0);
    SK_EXPECT_EQ(skua_go(want_once, g), 0);
    SK_EXPECT_EQ(skua_yield(), 0);
    SK_EXPECT_EQ(skua_mutex_unlock(&g->m), 0);
    for (; !g->got && holdings < 100; holdings++) {
        SK_EXPECT_EQ(skua_mutex_lock(&g->m), 0);
        SK_EXPECT_EQ(skua_sleep(SKUA_MS(2)), 0);
        SK_EXPECT_EQ(skua_mutex_unlock(&g->m), 0);
    }
    return holdings;
}

SK_TEST(mutex, long_holdings_after_a_short_one)
{
    skua_runtime *rt = sk_runtime_of(1);
    greed g = {.m = SKUA_MUTEX_INIT};
    SK_EXPECT(sk_run_on(rt, hold_again_and_again, &g) <= 12);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
