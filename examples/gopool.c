/*
 * gopool.c: the quick start of GoPool: a pool whose workers are adjusted, retries, a timeout, callbacks for results and
 * errors, and a lock of one's own choice.  `gopool spin` takes the spinlock below, `gopool` skua's mutex.
 *
 * GoPool's workers are both: how many tasks run, and what they run on.  Here these are two things: the pool's limit,
 * and the workers of the runtime, of which a few are enough for any number of tasks that sleep.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <skua/skua.h>

enum { TASKS = 1000 };

/* A lock of one's own: any two functions and a context. Under a spinlock nothing may park. */
static void spin_lock(void *flag)
{
    while (atomic_flag_test_and_set_explicit((atomic_flag *)flag, memory_order_acquire)) {
    }
}

static void spin_unlock(void *flag)
{
    atomic_flag_clear_explicit((atomic_flag *)flag, memory_order_release);
}

/* What the callbacks write to. They would run on several workers at once, so the pool takes the locker around each. */
typedef struct tally {
    int results, late, errors;
    long sum;
} tally;

/* GoPool has one callback for results and one for errors: an error is a negative result here. */
static void on_end(void *ctx, void *arg, int result)
{
    tally *t = ctx;
    (void)arg; /* the job: here its result says enough */
    if (result >= 0) {
        t->results++;
        t->sum += result;
    } else if (result == -ETIMEDOUT) {
        t->late++;
    } else {
        t->errors++;
    }
}

typedef struct job {
    int number, attempts;
} job;

/* Sleeps, and returns its number; every hundredth fails at its first attempt, number 13 always. */
static int work(void *arg)
{
    job *j = arg;
    j->attempts++;
    int error = skua_sleep(SKUA_MS(1));
    if (error < 0) return error;
    if (j->number == 13 || (j->number % 100 == 0 && j->attempts == 1)) return -EIO;
    return j->number;
}

/* Would sleep for an hour. When its time is up the sleep ends with -ETIMEDOUT: nothing is killed halfway. */
static int oversleep(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_S(3600));
}

int main(int argc, char **argv)
{
    static tally t;
    static job jobs[TASKS];
    static atomic_flag flag = ATOMIC_FLAG_INIT;
    static skua_mutex mutex = SKUA_MUTEX_INIT;

    /* WithLock. */
    skua_locker locker;
    skua_locker_mutex(&locker, &mutex);
    if (argc > 1 && strcmp(argv[1], "spin") == 0) locker = (skua_locker){spin_lock, spin_unlock, &flag};

    /* WithMinWorkers: doubled when tasks queue up, halved when there are none. */
    skua_runtime *runtime;
    skua_runtime_options workers = {.workers_min = 1, .workers_max = 4, .adjust = SKUA_ADJUST_BACKLOG};
    skua_pool *pool;
    if (skua_runtime_create(&runtime, &workers) < 0) return 1;
    /* NewGoPool(100, WithTimeout, WithRetryCount, WithResultCallback, WithErrorCallback). */
    skua_pool_options options = {.runtime = runtime,
                                 .limit = 100,
                                 .run_within = SKUA_S(60),
                                 .retry = {.times = 3},
                                 .ended = {.fn = on_end, .ctx = &t, .locker = &locker}};
    if (skua_pool_create(&pool, &options) < 0) return 1;

    /* A task may have a timeout of its own. */
    skua_submit_options hasty = {.run_within = SKUA_MS(20)};
    int error = skua_pool_submit_with(pool, NULL, &hasty, oversleep, NULL);
    for (int i = 0; i < TASKS && error == 0; i++) {
        jobs[i].number = i;
        error = skua_pool_submit(pool, work, &jobs[i]);
    }
    if (error == 0) error = skua_pool_wait(pool, SKUA_FOREVER);

    skua_pool_counts c;
    skua_pool_stats(pool, &c);
    printf("results: %d, their sum %ld\n", t.results, t.sum);
    printf("errors: %d failed, %d late\n", t.errors, t.late);
    printf("counters: %d submitted, %d done, %d failed, %d expired, %d retried\n", (int)c.submitted, (int)c.done,
           (int)c.failed, (int)c.expired, (int)c.retried);
    skua_pool_release(pool);
    skua_runtime_release(runtime);
    return error < 0;
}
