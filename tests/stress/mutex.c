/*
 * Stress of the mutex: a counter under the lock, from tasks and threads that lock
 * in all ways, give up, are cancelled, and hold it across parks.
 */
#include "support/stress.h"

#include "sync/mutex.h"

typedef struct contest {
    skua_mutex *m;
    uint64_t count; /* guarded by the mutex, all of these */
    uint32_t inside;
    /* what should come of it */
    sk_atomic(uint64_t) locked, ended, late, cancelled, busy;
} contest;

typedef struct contender {
    contest *c;
    uint64_t seed;
    long rounds;
    bool is_task;
} contender;

static int lock_somehow(contender *me, sk_rng *rng)
{
    contest *c = me->c;
    switch (sk_rng_below(rng, 4)) {
    case 0:
        return skua_mutex_trylock(c->m);
    case 1:
        return skua_mutex_lock_for(c->m, sk_rng_below(rng, 50000));
    case 2:
        return skua_mutex_lock_for(c->m, sk_rng_below(rng, 3000000));
    default:
        return skua_mutex_lock(c->m);
    }
}

static void hold_it(contender *me, sk_rng *rng)
{
    contest *c = me->c;
    SK_EXPECT_EQ(c->inside++, 0);
    c->count++;
    uint32_t dice = sk_rng_below(rng, 64);
    if (dice == 0) skua_sleep(sk_rng_below(rng, 100000));
    if (dice < 8 && me->is_task) skua_yield();
    SK_EXPECT_EQ(--c->inside, 0);
    sk_add_rlx(&c->locked, UINT64_C(1));
    SK_EXPECT_EQ(skua_mutex_unlock(c->m), 0);
}

static int contend(void *arg)
{
    contender *me = arg;
    contest *c = me->c;
    sk_rng rng;
    sk_rng_seed(&rng, me->seed);
    for (long i = 0; i < me->rounds; i++) {
        int error = lock_somehow(me, &rng);
        if (error == 0)
            hold_it(me, &rng);
        else if (error == -EBUSY)
            sk_add_rlx(&c->busy, UINT64_C(1));
        else if (error == -ETIMEDOUT)
            sk_add_rlx(&c->late, UINT64_C(1));
        else if (error == -ECANCELED)
            sk_add_rlx(&c->cancelled, UINT64_C(1));
        else
            SK_EXPECT_EQ(error, 0);
        if (me->is_task && skua_cancelled()) break;
        if (i % 16 == 0) skua_sleep(sk_rng_below(&rng, 20000));
    }
    sk_add_ar(&c->ended, UINT64_C(1));
    return 0;
}

static void *contend_as_thread(void *arg)
{
    contend(arg);
    return NULL;
}

enum { TASKS = 12, THREADS = 4 };

/* Some of the tasks have a deadline, and some are cancelled on the way. */
static void round_of(skua_runtime *rt, skua_mutex *m, sk_rng *rng, long rounds)
{
    contest c = {.m = m};
    contender who[TASKS + THREADS];
    pthread_t thread[THREADS];
    skua_task task[TASKS];
    for (int i = 0; i < TASKS + THREADS; i++)
        who[i] = (contender){&c, sk_rng_below(rng, UINT32_MAX), rounds, i < TASKS};
    for (int i = 0; i < THREADS; i++)
        SK_EXPECT_EQ(pthread_create(&thread[i], NULL, contend_as_thread, &who[TASKS + i]), 0);
    for (int i = 0; i < TASKS; i++) {
        skua_task_options o = {.runtime = rt, .finish_within = i % 4 == 1 ? SKUA_MS(5) : 0};
        SK_EXPECT_EQ(skua_spawn_with(&task[i], &o, contend, &who[i]), 0);
    }
    for (int i = 0; i < TASKS; i += 3) {
        usleep(sk_rng_below(rng, 1000));
        int error = skua_cancel(task[i]);
        SK_EXPECT(error == 0 || error == -EALREADY);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    settle(rt);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
    SK_EXPECT_EQ(c.count, sk_load_acq(&c.locked));
    SK_EXPECT_EQ(c.inside, 0);
    SK_EXPECT(sk_mutex_is_at_rest((sk_mutex *)(void *)m));
    SK_EXPECT_EQ(sk_mutex_nodes_out(), 0);
}

SK_TEST(stress_mutex, everybody_in_all_ways)
{
    sk_rng rng;
    sk_rng_seed(&rng, 23);
    skua_mutex m = SKUA_MUTEX_INIT;
    for (uint32_t workers = 1; workers <= 3; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (long i = sk_test_scaled(60); i > 0; i--) round_of(rt, &m, &rng, 300);
        release(rt);
    }
}

/* Short holdings only: the word and the spin. */
typedef struct plain {
    skua_mutex m;
    uint64_t count;
    long rounds;
} plain;

static int count_up(void *arg)
{
    plain *p = arg;
    for (long i = 0; i < p->rounds; i++) {
        SK_EXPECT_EQ(skua_mutex_lock(&p->m), 0);
        p->count++;
        SK_EXPECT_EQ(skua_mutex_unlock(&p->m), 0);
    }
    return 0;
}

static void *count_up_as_thread(void *arg)
{
    count_up(arg);
    return NULL;
}

SK_TEST(stress_mutex, counter)
{
    enum { EACH = 4 };
    skua_runtime *rt = sk_runtime_of(2);
    plain p = {.m = SKUA_MUTEX_INIT, .rounds = sk_test_scaled(200000)};
    skua_task task[EACH];
    pthread_t thread[EACH];
    for (int i = 0; i < EACH; i++) {
        task[i] = sk_spawn_on(rt, count_up, &p);
        SK_EXPECT_EQ(pthread_create(&thread[i], NULL, count_up_as_thread, &p), 0);
    }
    for (int i = 0; i < EACH; i++) {
        pthread_join(thread[i], NULL);
        SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
    }
    SK_EXPECT_EQ(p.count, 2 * EACH * p.rounds);
    SK_EXPECT(sk_mutex_is_at_rest((sk_mutex *)(void *)&p.m));
    SK_EXPECT_EQ(sk_mutex_nodes_out(), 0);
    release(rt);
}
