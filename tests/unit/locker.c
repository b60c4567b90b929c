/* unit/locker.c: lockers: the ready ones, one's own, and bad arguments. */
#include "support/tasks.h"

#include "skua/locker.h"
#include "sync/mutex.h"

#include <sched.h>
#include <string.h>

typedef struct shared {
    skua_locker locker;
    long rounds;
    long count; /* guarded by the lock */
    int inside; /* the same */
} shared;

static int count_up(void *arg)
{
    shared *s = arg;
    for (long i = 0; i < s->rounds; i++) {
        SK_EXPECT_EQ(skua_locker_lock(&s->locker), 0);
        SK_EXPECT_EQ(s->inside++, 0);
        s->count++;
        s->inside--;
        SK_EXPECT_EQ(skua_locker_unlock(&s->locker), 0);
    }
    return 0;
}

static void *count_up_as_thread(void *arg)
{
    count_up(arg);
    return NULL;
}

/* Two tasks and a thread. Few rounds: where threads outnumber processors a spinlock waits for time slices. */
static void guards_a_counter(skua_locker locker, long rounds)
{
    enum { TASKS = 2 };
    skua_runtime *rt = sk_runtime_of(2);
    shared s = {.locker = locker, .rounds = rounds};
    skua_task task[TASKS];
    pthread_t thread;
    for (int i = 0; i < TASKS; i++) task[i] = sk_spawn_on(rt, count_up, &s);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, count_up_as_thread, &s), 0);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
    pthread_join(thread, NULL);
    SK_EXPECT_EQ(s.count, (TASKS + 1) * rounds);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(locker, mutex)
{
    static skua_mutex m = SKUA_MUTEX_INIT;
    skua_locker locker;
    SK_EXPECT_EQ(skua_locker_mutex(&locker, &m), 0);
    guards_a_counter(locker, sk_test_scaled(20000));
    SK_EXPECT(sk_mutex_is_at_rest((sk_mutex *)(void *)&m));
    SK_EXPECT_EQ(sk_mutex_nodes_out(), 0);
}

SK_TEST(locker, fas)
{
    skua_spinlock storage;
    skua_locker locker;
    memset(&storage, 0xa5, sizeof storage);
    SK_EXPECT_EQ(skua_locker_fas(&locker, &storage), 0);
    guards_a_counter(locker, 300);
}

SK_TEST(locker, ticket)
{
    skua_spinlock storage;
    skua_locker locker;
    memset(&storage, 0xa5, sizeof storage);
    SK_EXPECT_EQ(skua_locker_ticket(&locker, &storage), 0);
    guards_a_counter(locker, 300);
}

SK_TEST(locker, mcs)
{
    skua_mcs storage;
    skua_locker locker;
    memset(&storage, 0xa5, sizeof storage);
    SK_EXPECT_EQ(skua_locker_mcs(&locker, &storage), 0);
    guards_a_counter(locker, 300);
}

/* More waiters than places, and unlocked by another thread than the one that locked. */
static void *unlock_for_another(void *arg)
{
    shared *s = arg;
    s->inside--;
    skua_locker_unlock(&s->locker);
    return NULL;
}

static bool one_processor(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

SK_TEST(locker, mcs_with_more_waiters_than_places)
{
    enum { THREADS = SKUA_MCS_PLACES + 4 };
    if (one_processor()) return; /* each hand-over would wait for a time slice of each thread */
    skua_mcs storage;
    shared s = {.rounds = 1};
    pthread_t thread[THREADS], other;
    SK_EXPECT_EQ(skua_locker_mcs(&s.locker, &storage), 0);
    SK_EXPECT_EQ(skua_locker_lock(&s.locker), 0);
    s.inside++;
    for (int i = 0; i < THREADS; i++) SK_EXPECT_EQ(pthread_create(&thread[i], NULL, count_up_as_thread, &s), 0);
    skua_sleep(SKUA_MS(20)); /* so that most of them wait by now; right without it, too */
    SK_EXPECT_EQ(pthread_create(&other, NULL, unlock_for_another, &s), 0);
    pthread_join(other, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    SK_EXPECT_EQ(s.count, THREADS);
    SK_EXPECT_EQ(skua_locker_lock(&s.locker), 0); /* all places are back, or this one would spin for one */
    SK_EXPECT_EQ(skua_locker_unlock(&s.locker), 0);
}

/* ---- over the mutex: lock does not fail ---- */

static int count_cancelled(void *arg)
{
    SK_EXPECT_EQ(skua_cancel(skua_self()), 0);
    SK_EXPECT_EQ(skua_cancelled(), -ECANCELED);
    return count_up(arg);
}

/* One worker: the cancelled task must not keep it, or the holder, which has parked, could not go on. */
static int hold_and_sleep(void *arg)
{
    shared *s = arg;
    SK_EXPECT_EQ(skua_locker_lock(&s->locker), 0);
    s->inside++;
    skua_sleep(SKUA_MS(5));
    s->inside--;
    SK_EXPECT_EQ(skua_locker_unlock(&s->locker), 0);
    return 0;
}

SK_TEST(locker, a_cancelled_task_still_waits_for_a_mutex)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_mutex m = SKUA_MUTEX_INIT;
    for (int i = 0; i < 10; i++) {
        shared s = {.rounds = 1};
        SK_EXPECT_EQ(skua_locker_mutex(&s.locker, &m), 0);
        skua_task holder = sk_spawn_on(rt, hold_and_sleep, &s), late = sk_spawn_on(rt, count_cancelled, &s);
        SK_EXPECT_EQ(skua_join_for(late, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(skua_join_for(holder, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
        SK_EXPECT_EQ(s.count, 1);
    }
    SK_EXPECT(sk_mutex_is_at_rest((sk_mutex *)(void *)&m));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- one's own ---- */

static void lock_pthread(void *ctx)
{
    pthread_mutex_lock(ctx);
}

static void unlock_pthread(void *ctx)
{
    pthread_mutex_unlock(ctx);
}

SK_TEST(locker, of_ones_own)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    guards_a_counter((skua_locker){lock_pthread, unlock_pthread, &m}, sk_test_scaled(20000));
}

SK_TEST(locker, bad_arguments)
{
    skua_locker locker;
    skua_mutex m = SKUA_MUTEX_INIT;
    skua_spinlock spin;
    skua_mcs mcs;
    SK_EXPECT_EQ(skua_locker_mutex(NULL, &m), -EINVAL);
    SK_EXPECT_EQ(skua_locker_mutex(&locker, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_locker_fas(NULL, &spin), -EINVAL);
    SK_EXPECT_EQ(skua_locker_fas(&locker, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_locker_ticket(NULL, &spin), -EINVAL);
    SK_EXPECT_EQ(skua_locker_ticket(&locker, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_locker_mcs(NULL, &mcs), -EINVAL);
    SK_EXPECT_EQ(skua_locker_mcs(&locker, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_locker_lock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_locker_unlock(NULL), -EINVAL);
    locker = (skua_locker){.lock = lock_pthread};
    SK_EXPECT_EQ(skua_locker_lock(&locker), -EINVAL);
    SK_EXPECT_EQ(skua_locker_unlock(&locker), -EINVAL);
    locker = (skua_locker){.unlock = unlock_pthread};
    SK_EXPECT_EQ(skua_locker_lock(&locker), -EINVAL);
    SK_EXPECT_EQ(skua_locker_unlock(&locker), -EINVAL);
}
