/* unit/cond.c: the condition: whom signals wake, what becomes of the mutex, and misuse. What all waits have in common
   is in lock_waits.c. */
#include "support/waits.h"

#include "base/rng.h"

#include <string.h>

typedef struct scene {
    skua_cond c;
    skua_mutex m;
    sk_gate order;
    uint32_t tickets; /* the mutex */
} scene;

static int wait_once(void *arg)
{
    scene *s = arg;
    while (skua_mutex_trylock(&s->m)) skua_yield();
    int error = skua_cond_wait(&s->c, &s->m);
    int place = (int)s->tickets;
    if (!error) s->tickets++;
    SK_EXPECT_EQ(skua_mutex_unlock(&s->m), 0);
    return error ? error : place;
}

static void start(sk_call *c, skua_runtime *rt, scene *s)
{
    sk_call_start_waiting(c, rt, wait_once, s, &s->c, &s->c.waiters);
}

static uint32_t tickets(scene *s)
{
    SK_EXPECT_EQ(skua_mutex_lock(&s->m), 0);
    uint32_t n = s->tickets;
    SK_EXPECT_EQ(skua_mutex_unlock(&s->m), 0);
    return n;
}

SK_TEST(cond, bad_input)
{
    skua_cond c = SKUA_COND_INIT, nobody = c;
    skua_mutex m = SKUA_MUTEX_INIT;
    SK_EXPECT_EQ(skua_cond_wait(NULL, &m), -EINVAL);
    SK_EXPECT_EQ(skua_cond_wait(&c, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_cond_wait_for(NULL, &m, 1), -EINVAL);
    SK_EXPECT_EQ(skua_cond_wait_for(&c, NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_cond_signal(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_cond_broadcast(NULL), -EINVAL);
    /* The mutex is not held. */
    SK_EXPECT_EQ(skua_cond_wait(&c, &m), -EPERM);
    SK_EXPECT_EQ(skua_cond_wait_for(&c, &m, 0), -EPERM);
    SK_EXPECT_EQ(skua_cond_wait_for(&c, &m, SKUA_MS(1)), -EPERM);
    SK_EXPECT_EQ(skua_mutex_unlock(&m), -EPERM);
    SK_EXPECT_EQ(memcmp(&c, &nobody, sizeof c), 0);
}

/* Nobody waits: a signal is not kept. */
SK_TEST(cond, signals_are_not_kept)
{
    skua_cond c = SKUA_COND_INIT;
    skua_mutex m = SKUA_MUTEX_INIT;
    SK_EXPECT_EQ(skua_cond_signal(&c), 0);
    SK_EXPECT_EQ(skua_cond_broadcast(&c), 0);
    SK_EXPECT_EQ(skua_mutex_lock(&m), 0);
    SK_EXPECT_EQ(skua_cond_wait_for(&c, &m, SKUA_MS(1)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_mutex_unlock(&m), 0);
}

SK_TEST(cond, a_signal_wakes_one_in_order)
{
    enum { WAITERS = 8 };
    skua_runtime *rt = sk_runtime_of(2);
    scene s = {.tickets = 0};
    sk_call c[WAITERS];
    for (int i = 0; i < WAITERS; i++) start(&c[i], i % 2 ? rt : NULL, &s);
    for (int i = 0; i < WAITERS; i++) {
        SK_EXPECT_EQ(skua_cond_signal(&s.c), 0);
        SK_EXPECT_EQ(sk_call_end(&c[i]), i);
        SK_EXPECT_EQ(tickets(&s), i + 1);
        SK_EXPECT_EQ(sk_waiting(&s.c, &s.c.waiters), WAITERS - 1 - i);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(cond, a_broadcast_wakes_all)
{
    enum { WAITERS = 40 };
    skua_runtime *rt = sk_runtime_of(2);
    scene s = {.tickets = 0};
    sk_call c[WAITERS];
    for (int i = 0; i < WAITERS; i++) start(&c[i], i % 8 ? rt : NULL, &s);
    SK_EXPECT_EQ(skua_cond_broadcast(&s.c), 0);
    for (int i = 0; i < WAITERS; i++) SK_EXPECT(sk_call_end(&c[i]) >= 0);
    SK_EXPECT_EQ(tickets(&s), WAITERS);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The first is cancelled; the signal that follows goes to the next. */
SK_TEST(cond, a_waiter_that_gave_up_takes_no_signal)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 10; i++) {
        scene s = {.tickets = 0};
        sk_call first, second;
        start(&first, rt, &s);
        start(&second, i % 2 ? rt : NULL, &s);
        SK_EXPECT_EQ(skua_cancel(first.task), 0);
        SK_EXPECT_EQ(sk_call_end(&first), -ECANCELED);
        SK_EXPECT_EQ(skua_cond_signal(&s.c), 0);
        SK_EXPECT_EQ(sk_call_end(&second), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static sk_gate late_ended;

static int wait_20_ms(void *arg)
{
    scene *s = arg;
    SK_EXPECT_EQ(skua_mutex_lock(&s->m), 0);
    int error = skua_cond_wait_for(&s->c, &s->m, SKUA_MS(20));
    SK_EXPECT_EQ(skua_mutex_unlock(&s->m), 0);
    sk_gate_add(&late_ended);
    return error;
}

static int signal_one(void *arg)
{
    return skua_cond_signal(&((scene *)arg)->c);
}

/* The first is late just when a signal comes: either it takes the signal and says so, or the second gets it. */
SK_TEST(cond, late_and_signalled_at_once)
{
    skua_runtime *rt = sk_runtime_of(1);
    for (uint32_t i = 0; i < 4; i++) {
        scene s = {.tickets = 0};
        sk_call late, second, signaller;
        sk_call_start(&late, NULL, wait_20_ms, &s);
        SK_EVENTUALLY(sk_waiting(&s.c, &s.c.waiters) == 1 || sk_gate_now(&late_ended) > i);
        sk_call_start(&second, rt, wait_once, &s);
        SK_EVENTUALLY(sk_is_parked(second.task));
        sk_lock_take((sk_lock *)(void *)&s.c.lock);
        sk_call_start(&signaller, NULL, signal_one, &s);
        skua_sleep(SKUA_MS(22));
        sk_lock_drop((sk_lock *)(void *)&s.c.lock);
        int error = sk_call_end(&late);
        SK_EXPECT(error == 0 || error == -ETIMEDOUT);
        SK_EXPECT_EQ(sk_call_end(&signaller), 0);
        if (error == 0) SK_EXPECT_EQ(skua_cond_signal(&s.c), 0);
        SK_EXPECT_EQ(sk_call_end(&second), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* A cancelled waiter comes back with the mutex, though somebody holds it, and for long. */
SK_TEST(cond, a_cancelled_waiter_gets_the_mutex_back)
{
    skua_runtime *rt = sk_runtime_of(1);
    scene s = {.tickets = 0};
    sk_call c;
    start(&c, rt, &s);
    SK_EXPECT_EQ(skua_mutex_lock(&s.m), 0);
    SK_EXPECT_EQ(skua_cancel(c.task), 0);
    skua_sleep(SKUA_MS(3));
    s.tickets = 7; /* would be a race if it came too early */
    SK_EXPECT_EQ(skua_mutex_unlock(&s.m), 0);
    SK_EXPECT_EQ(sk_call_end(&c), -ECANCELED);
    SK_EXPECT_EQ(skua_mutex_trylock(&s.m), 0);
    SK_EXPECT_EQ(skua_mutex_unlock(&s.m), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a queue of numbers: nothing is lost ---- */

enum { NUMBERS = 3000, ROOM = 4, EACH = 3 };

typedef struct queue {
    skua_mutex m;
    skua_cond filled, emptied;
    uint32_t in, taken, made; /* the mutex */
    uint64_t sum;
} queue;

/* Waits in one of the ways; 0 or -ETIMEDOUT. */
static void wait_somehow(queue *q, skua_cond *c, sk_rng *rng)
{
    int error =
        sk_rng_below(rng, 3) ? skua_cond_wait(c, &q->m) : skua_cond_wait_for(c, &q->m, sk_rng_below(rng, SKUA_MS(1)));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
}

static int produce(void *arg)
{
    queue *q = arg;
    sk_rng rng;
    sk_rng_seed(&rng, skua_now());
    SK_EXPECT_EQ(skua_mutex_lock(&q->m), 0);
    while (q->made < NUMBERS) {
        if (q->in == ROOM) {
            wait_somehow(q, &q->emptied, &rng);
            continue;
        }
        q->in++;
        q->made++;
        SK_EXPECT_EQ(skua_cond_signal(&q->filled), 0);
    }
    SK_EXPECT_EQ(skua_mutex_unlock(&q->m), 0);
    return skua_cond_broadcast(&q->filled) | skua_cond_broadcast(&q->emptied);
}

static int consume(void *arg)
{
    queue *q = arg;
    sk_rng rng;
    sk_rng_seed(&rng, skua_now());
    SK_EXPECT_EQ(skua_mutex_lock(&q->m), 0);
    while (q->taken < NUMBERS) {
        if (q->in == 0) {
            wait_somehow(q, &q->filled, &rng);
            continue;
        }
        q->in--;
        q->taken++;
        SK_EXPECT_EQ(skua_mutex_unlock(&q->m), 0);
        SK_EXPECT_EQ(skua_cond_signal(&q->emptied), 0); /* outside of the mutex */
        SK_EXPECT_EQ(skua_mutex_lock(&q->m), 0);
    }
    SK_EXPECT_EQ(skua_mutex_unlock(&q->m), 0);
    return skua_cond_broadcast(&q->filled) | skua_cond_broadcast(&q->emptied);
}

SK_TEST(cond, producers_and_consumers)
{
    skua_runtime *rt = sk_runtime_of(2);
    queue q = {.m = SKUA_MUTEX_INIT};
    sk_call c[2 * EACH];
    for (int i = 0; i < 2 * EACH; i++) sk_call_start(&c[i], i % 3 ? rt : NULL, i % 2 ? produce : consume, &q);
    for (int i = 0; i < 2 * EACH; i++) SK_EXPECT_EQ(sk_call_end(&c[i]), 0);
    SK_EXPECT_EQ(q.made, NUMBERS);
    SK_EXPECT_EQ(q.taken, NUMBERS);
    SK_EXPECT_EQ(q.in, 0);
    SK_EXPECT_EQ(sk_waiting(&q.filled, &q.filled.waiters) + sk_waiting(&q.emptied, &q.emptied.waiters), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- who must have the mutex back, whatever was asked of it ---- */

enum { CROWD = 40 };

typedef struct crowd {
    scene scene;
    skua_context *context;
    sk_gate done;
} crowd;

static int wait_in_crowd(void *arg)
{
    crowd *k = arg;
    SK_EXPECT_EQ(skua_context_enter(k->context), 0);
    SK_EXPECT_EQ(skua_mutex_lock(&k->scene.m), 0);
    sk_gate_add(&k->scene.order);
    int error = skua_cond_wait(&k->scene.c, &k->scene.m);
    k->scene.tickets++;
    SK_EXPECT_EQ(skua_mutex_unlock(&k->scene.m), 0);
    SK_EXPECT_EQ(skua_cancelled(), error); /* what was asked of it still is */
    sk_gate_add(&k->done);
    return error;
}

/* Threads of the runtime while nobody can have the mutex back: they park, and lend no worker. */
static void end_crowd(crowd *k, skua_runtime *rt, skua_task *tasks, bool by_context)
{
    SK_EXPECT(sk_gate_await(&k->scene.order, CROWD));
    SK_EXPECT_EQ(skua_mutex_lock(&k->scene.m), 0);
    if (by_context) SK_EXPECT_EQ(skua_context_cancel(k->context, 0), 0);
    for (int i = 0; i < CROWD && !by_context; i++) SK_EXPECT_EQ(skua_cancel(tasks[i]), 0);
    skua_sleep(SKUA_MS(20));
    SK_EXPECT(sk_stats_of(rt).threads < 10);
    SK_EXPECT_EQ(sk_gate_now(&k->done), 0);
    SK_EXPECT_EQ(skua_mutex_unlock(&k->scene.m), 0);
    SK_EXPECT(sk_gate_await(&k->done, CROWD));
}

static void with_crowd(bool by_context)
{
    skua_runtime *rt = sk_runtime_of(2);
    crowd k = {.scene = {.c = SKUA_COND_INIT, .m = SKUA_MUTEX_INIT}};
    skua_task tasks[CROWD];
    SK_EXPECT_EQ(skua_context_create(&k.context, NULL), 0);
    for (int i = 0; i < CROWD; i++) tasks[i] = sk_spawn_on(rt, wait_in_crowd, &k);
    end_crowd(&k, rt, tasks, by_context);
    for (int i = 0; i < CROWD; i++) {
        int result = 0;
        SK_EXPECT_EQ(skua_join(tasks[i], &result), 0);
        SK_EXPECT_EQ(result, -ECANCELED);
    }
    SK_EXPECT_EQ(k.scene.tickets, CROWD);
    SK_EXPECT_EQ(skua_context_release(k.context), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(cond, the_cancelled_park_for_the_mutex)
{
    with_crowd(false);
}

SK_TEST(cond, those_of_an_ended_context_park_for_the_mutex)
{
    with_crowd(true);
}
