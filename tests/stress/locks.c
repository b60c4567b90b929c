/*
 * Stress of the locks that stand on sleepers: tasks and threads use all of them at random, with timeouts, cancels and
 * deadlines at random; what each lock promises holds all the time, and at the end nobody waits and the counts add up.
 */
#include "support/stress.h"
#include "support/waits.h"

#include "sync/mutex.h"

enum { TASKS = 10, THREADS = 4, PERMITS = 8, PARTIES = 3, ONCES = 4 };
enum { FREE, TAKEN, WANTED }; /* a mutex built on the parking map */

typedef struct world {
    skua_rwlock rwlock;
    long one, other; /* equal, but while a writer is at it */
    skua_semaphore semaphore;
    sk_atomic(uint32_t) out; /* permits that are */
    skua_mutex mutex;
    skua_cond filled;
    long tokens, put, taken; /* the mutex */
    skua_waitgroup group;
    skua_barrier barrier;
    sk_atomic(uint32_t) passed, serials;
    skua_once once[ONCES];
    uint32_t made[ONCES]; /* by the one who makes it */
    sk_atomic(uint32_t) word;
    long counted, count; /* the word */
    sk_atomic(uint64_t) steps;
    sk_atomic(uint32_t) threads_ended;
} world;

typedef struct user {
    world *w;
    uint64_t seed;
    long rounds;
    sk_rng rng;
    bool is_task;
} user;

/* None, a short one, a longer one, or for ever. */
static uint64_t some_timeout(user *u)
{
    static const uint64_t most[] = {1, 20000, 1000000};
    uint32_t kind = sk_rng_below(&u->rng, 4);
    return kind == 3 ? SKUA_FOREVER : sk_rng_below(&u->rng, (uint32_t)most[kind]);
}

static void linger(user *u)
{
    uint32_t dice = sk_rng_below(&u->rng, 32);
    if (dice == 0) skua_sleep(sk_rng_below(&u->rng, 100000));
    if (dice < 8 && u->is_task) skua_yield();
}

/* True: it has what it wanted; else it was cancelled or late. */
static bool got(int error)
{
    if (error != -ETIMEDOUT && error != -ECANCELED) SK_EXPECT_EQ(error, 0);
    return error == 0;
}

static void read_it(user *u)
{
    world *w = u->w;
    if (!got(skua_rwlock_read_lock_for(&w->rwlock, some_timeout(u)))) return;
    SK_EXPECT_EQ(w->one, w->other);
    linger(u);
    SK_EXPECT_EQ(w->one, w->other);
    SK_EXPECT_EQ(skua_rwlock_read_unlock(&w->rwlock), 0);
}

static void write_it(user *u)
{
    world *w = u->w;
    if (!got(skua_rwlock_write_lock_for(&w->rwlock, some_timeout(u)))) return;
    SK_EXPECT_EQ(w->one++, w->other);
    linger(u);
    SK_EXPECT_EQ(w->one, ++w->other);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(&w->rwlock), 0);
}

static void use_permits(user *u)
{
    world *w = u->w;
    uint32_t n = 1 + sk_rng_below(&u->rng, PERMITS);
    if (!got(skua_semaphore_acquire_for(&w->semaphore, n, some_timeout(u)))) return;
    SK_EXPECT(sk_add_ar(&w->out, n) + n <= PERMITS);
    linger(u);
    sk_sub_ar(&w->out, n);
    SK_EXPECT_EQ(skua_semaphore_release(&w->semaphore, n), 0);
}

static void put_token(world *w)
{
    sk_mutex_force((sk_mutex *)(void *)&w->mutex);
    w->tokens++;
    w->put++;
    SK_EXPECT_EQ(skua_mutex_unlock(&w->mutex), 0);
    SK_EXPECT_EQ(skua_cond_signal(&w->filled), 0);
}

static void take_token(user *u)
{
    world *w = u->w;
    int error = 0;
    if (!got(skua_mutex_lock(&w->mutex))) return;
    while (w->tokens == 0 && !error) error = skua_cond_wait_for(&w->filled, &w->mutex, some_timeout(u));
    if (got(error)) {
        w->tokens--;
        w->taken++;
    }
    SK_EXPECT_EQ(skua_mutex_unlock(&w->mutex), 0);
}

static void be_counted(user *u)
{
    world *w = u->w;
    SK_EXPECT_EQ(skua_waitgroup_add(&w->group, 2), 0);
    SK_EXPECT_EQ(skua_waitgroup_done(&w->group), 0);
    linger(u);
    SK_EXPECT_EQ(skua_waitgroup_done(&w->group), 0);
    if (sk_rng_below(&u->rng, 4) == 0) (void)got(skua_waitgroup_wait_for(&w->group, some_timeout(u)));
}

/* Never for ever: the others may have ended. */
static void meet(user *u)
{
    world *w = u->w;
    int result = skua_barrier_wait_for(&w->barrier, sk_rng_below(&u->rng, 1000000));
    if (result >= 0) sk_add_rlx(&w->passed, 1u);
    if (result == 1) sk_add_rlx(&w->serials, 1u);
    if (result >= 0 || result == -EPIPE || got(result)) result = 0;
    if (skua_barrier_is_broken(&w->barrier)) SK_EXPECT_EQ(skua_barrier_reset(&w->barrier), 0);
}

static int make(void *arg)
{
    skua_sleep(SKUA_US(10));
    return (int)++*(uint32_t *)arg;
}

static void make_once(user *u)
{
    world *w = u->w;
    uint32_t i = sk_rng_below(&u->rng, ONCES);
    int result = skua_once_do_for(&w->once[i], make, &w->made[i], some_timeout(u));
    if (result != 1) (void)got(result);
    if (result == 1) SK_EXPECT_EQ(w->made[i], 1);
}

static bool lock_word(user *u)
{
    world *w = u->w;
    uint32_t seen = FREE;
    if (sk_cas_acq(&w->word, &seen, (uint32_t)TAKEN)) return true;
    while (sk_xchg_acq(&w->word, (uint32_t)WANTED) != FREE) {
        int error = skua_park_on(&w->word, WANTED, some_timeout(u));
        if (error != -EAGAIN && !got(error)) return false;
    }
    return true;
}

static void lock_by_word(user *u)
{
    world *w = u->w;
    if (!lock_word(u)) return;
    w->count++;
    linger(u);
    w->counted++;
    if (sk_xchg_rel(&w->word, (uint32_t)FREE) == WANTED) SK_EXPECT(skua_unpark_on(&w->word, 1) >= 0);
}

static int use_all(void *arg)
{
    user *u = arg;
    sk_rng_seed(&u->rng, u->seed);
    for (long i = 0; i < u->rounds && !(u->is_task && skua_cancelled()); i++) {
        sk_add_rlx(&u->w->steps, UINT64_C(1));
        switch (sk_rng_below(&u->rng, 9)) {
        case 0:
            put_token(u->w);
            break;
        case 1:
            take_token(u);
            break;
        case 2:
            be_counted(u);
            break;
        case 3:
            meet(u);
            break;
        case 4:
            make_once(u);
            break;
        case 5:
            lock_by_word(u);
            break;
        case 6:
            use_permits(u);
            break;
        case 7:
            write_it(u);
            break;
        default:
            read_it(u);
        }
    }
    if (!u->is_task) sk_add_ar(&u->w->threads_ended, 1u);
    return 0;
}

static void *use_all_as_thread(void *arg)
{
    use_all(arg);
    return NULL;
}

/* Nobody waits, and what was begun has been finished. */
static void check_world(world *w)
{
    static const skua_rwlock free_rwlock = SKUA_RWLOCK_INIT;
    static const skua_waitgroup zero = SKUA_WAITGROUP_INIT;
    SK_EXPECT_EQ(memcmp(&w->rwlock, &free_rwlock, sizeof free_rwlock), 0);
    SK_EXPECT_EQ(memcmp(&w->group, &zero, sizeof zero), 0);
    SK_EXPECT_EQ(w->one, w->other);
    SK_EXPECT_EQ(skua_semaphore_available(&w->semaphore), PERMITS);
    SK_EXPECT_EQ(sk_waiting(&w->semaphore, &w->semaphore.waiters), 0);
    SK_EXPECT_EQ(sk_load_rlx(&w->out), 0);
    SK_EXPECT_EQ(sk_waiting(&w->filled, &w->filled.waiters), 0);
    SK_EXPECT_EQ(w->put, w->taken + w->tokens);
    SK_EXPECT(sk_mutex_is_at_rest((sk_mutex *)(void *)&w->mutex));
    SK_EXPECT_EQ(sk_waiting(&w->barrier, &w->barrier.waiters), 0);
    SK_EXPECT_EQ(sk_load_rlx(&w->passed), PARTIES * sk_load_rlx(&w->serials));
    SK_EXPECT_EQ(skua_unpark_on(&w->word, 1), 0);
    SK_EXPECT_EQ(w->count, w->counted);
    for (int i = 0; i < ONCES; i++) {
        SK_EXPECT_EQ(sk_waiting(&w->once[i], &w->once[i].waiters), 0);
        SK_EXPECT_EQ(w->made[i], skua_once_is_done(&w->once[i]));
    }
}

static bool all_have_ended(skua_runtime *rt)
{
    skua_stats s = sk_stats_of(rt);
    return sk_ended(&s) == s.created;
}

/* One token at a time, each with one signal, until nobody can be waiting for one any more. */
static void feed(skua_runtime *rt, world *w)
{
    uint64_t last = 0, since = skua_now();
    while (sk_load_acq(&w->threads_ended) < THREADS || !all_have_ended(rt)) {
        uint64_t now = sk_load_rlx(&w->steps);
        if (now != last) since = skua_now();
        last = now;
        SK_EXPECT(skua_now() - since < SKUA_S(STUCK_S));
        put_token(w);
        usleep(200);
    }
}

static void round_of(skua_runtime *rt, sk_rng *rng, long rounds)
{
    world *w = calloc(1, sizeof *w);
    user who[TASKS + THREADS];
    pthread_t thread[THREADS];
    skua_task task[TASKS];
    SK_EXPECT_EQ(skua_semaphore_init(&w->semaphore, PERMITS, PERMITS), 0);
    SK_EXPECT_EQ(skua_barrier_init(&w->barrier, PARTIES), 0);
    for (int i = 0; i < TASKS + THREADS; i++)
        who[i] = (user){.w = w, .seed = sk_rng_below(rng, UINT32_MAX), .rounds = rounds, .is_task = i < TASKS};
    for (int i = 0; i < THREADS; i++)
        SK_EXPECT_EQ(pthread_create(&thread[i], NULL, use_all_as_thread, &who[TASKS + i]), 0);
    for (int i = 0; i < TASKS; i++) {
        skua_task_options o = {.runtime = rt, .finish_within = i % 4 == 1 ? SKUA_MS(2 + i) : 0};
        SK_EXPECT_EQ(skua_spawn_with(&task[i], &o, use_all, &who[i]), 0);
    }
    for (int i = 0; i < TASKS; i += 3) {
        usleep(sk_rng_below(rng, 1000));
        int error = skua_cancel(task[i]);
        SK_EXPECT(error == 0 || error == -EALREADY);
    }
    feed(rt, w);
    for (int i = 0; i < THREADS; i++) SK_EXPECT_EQ(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join(task[i], NULL), 0);
    check_world(w);
    free(w);
}

SK_TEST(stress_locks, everybody_in_all_ways)
{
    sk_rng rng;
    sk_rng_seed(&rng, 29);
    for (uint32_t workers = 1; workers <= 3; workers++) {
        skua_runtime *rt = sk_runtime_of(workers);
        for (long i = sk_test_scaled(6); i > 0; i--) round_of(rt, &rng, 150);
        release(rt);
    }
}
