/*
 * eintr.c: signals at 10 kHz, on every thread of the program that waits in skua.
 *
 * Each of the program's threads has a timer of its own that signals it every
 * 100 us, and the process has one more; their handler is installed without
 * SA_RESTART, so that every wait is interrupted all the time.  Nobody may come
 * back early, nothing may be lost, and no thread of the library may see the signal.
 */
#include "support/tasks.h"

#include "runtime/local.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { PERIOD_US = 100, SECONDS = 4, ENOUGH = 10000 * SECONDS, MOST_SECONDS = 60 };

static sk_atomic(uint64_t) signals, on_ours, early, rounds;
static sk_atomic(uint64_t) accepted, entered, left;
static sk_atomic(bool) over;
static skua_runtime *rt;

static void on_alarm(int number)
{
    (void)number;
    sk_add_rlx(&signals, UINT64_C(1));
    sk_local *local = sk_local_self();
    if (local && local->runtime) sk_add_rlx(&on_ours, UINT64_C(1));
}

static timer_t pester_me(void)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    SK_EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    struct itimerspec every = {{0, PERIOD_US * 1000}, {0, PERIOD_US * 1000}};
    SK_EXPECT_EQ(timer_settime(timer, 0, &every, NULL), 0);
    return timer;
}

static int toil(void *arg)
{
    uint64_t us = (uint64_t)(uintptr_t)arg;
    sk_add_ar(&entered, UINT64_C(1));
    if (us) SK_EXPECT_EQ(skua_sleep(SKUA_US(us)), 0);
    if (us % 7 == 3) {
        SK_EXPECT_EQ(skua_blocking_begin(), 0);
        usleep(50);
        SK_EXPECT_EQ(skua_blocking_end(), 0);
    }
    sk_add_ar(&left, UINT64_C(1));
    return 7;
}

static skua_task start(uint64_t us)
{
    skua_task task;
    SK_EXPECT_EQ(skua_spawn_with(&task, &(skua_task_options){.runtime = rt}, toil, (void *)(uintptr_t)us), 0);
    sk_add_rlx(&accepted, UINT64_C(1));
    return task;
}

static void took_at_least(uint64_t since, uint64_t ns)
{
    if (skua_now() - since < ns) sk_add_rlx(&early, UINT64_C(1));
}

/* ---- what the threads do ---- */

static void joins(void)
{
    int result = 0;
    uint64_t begin = skua_now();
    skua_task task = start(700);
    SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, 7);
    took_at_least(begin, SKUA_US(700));
}

static void joins_for(void)
{
    int result = 0;
    uint64_t before = skua_now();
    skua_task task = start(2000);
    uint64_t begin = skua_now();
    int error = skua_join_for(task, SKUA_US(500), &result);
    SK_EXPECT(error == -ETIMEDOUT || error == 0);
    took_at_least(error ? begin : before, error ? SKUA_US(500) : SKUA_US(2000));
    if (error) SK_EXPECT_EQ(skua_join(task, &result), 0);
    SK_EXPECT_EQ(result, 7);
}

static void sleeps(void)
{
    uint64_t begin = skua_now();
    SK_EXPECT_EQ(skua_sleep(SKUA_US(1500)), 0);
    took_at_least(begin, SKUA_US(1500));
}

static void submits(void)
{
    skua_pool *pool;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 2, .queue = 4}), 0);
    for (uint64_t i = 0; i < 40; i++) { /* mostly before a full queue */
        SK_EXPECT_EQ(skua_pool_submit(pool, toil, (void *)(uintptr_t)(i % 3 * 100)), 0);
        sk_add_rlx(&accepted, UINT64_C(1));
    }
    uint64_t begin = skua_now();
    int error = skua_pool_wait(pool, SKUA_US(200));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    if (error) took_at_least(begin, SKUA_US(200));
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_FOREVER), 0);
    skua_pool_counts counts;
    SK_EXPECT_EQ(skua_pool_stats(pool, &counts), 0);
    SK_EXPECT_EQ(counts.done, 40);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
}

static int naps(void *arg)
{
    sk_add_ar((sk_atomic(uint32_t) *)arg, 1u);
    return skua_sleep(SKUA_MS(3));
}

/* Stops and releases runtimes of its own while their tasks sleep. */
static void releases(void)
{
    skua_runtime *own;
    sk_gate begun = 0;
    SK_EXPECT_EQ(skua_runtime_create(&own, &(skua_runtime_options){.workers_max = 2}), 0);
    for (int i = 0; i < 3; i++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = own}, naps, &begun), 0);
    while (sk_gate_now(&begun) < 3) skua_sleep(SKUA_US(50));
    uint64_t begin = skua_now();
    int error = skua_runtime_stop(own, SKUA_US(400)); /* too short: they are cancelled */
    if (error == -ETIMEDOUT) took_at_least(begin, SKUA_US(400));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_release(own), 0);
    SK_EXPECT_EQ(sk_gate_now(&begun), 3);
}

static void blocks(void)
{
    SK_EXPECT_EQ(skua_block(naps, &(sk_gate){0}), 0); /* outside of a task: just the call */
}

static void (*const kinds[])(void) = {joins, joins_for, sleeps, submits, releases, blocks, joins};
enum { THREADS = sizeof kinds / sizeof *kinds };

static void *pestered(void *arg)
{
    timer_t timer = pester_me();
    while (!sk_load_rlx(&over)) {
        kinds[(uintptr_t)arg]();
        sk_add_rlx(&rounds, UINT64_C(1));
    }
    timer_delete(timer);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    SK_EXPECT_EQ(sigaction(SIGALRM, &action, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_create(&rt, &(skua_runtime_options){.workers_max = 2}), 0);
    struct itimerval every = {{0, PERIOD_US}, {0, PERIOD_US}};
    SK_EXPECT_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) SK_EXPECT_EQ(pthread_create(&thread[i], NULL, pestered, (void *)i), 0);
    uint64_t begin = skua_now(), now = begin;
    /* The signals of the process come here. Longer where the machine is too busy for so many. */
    for (; now - begin < SKUA_S(SECONDS) || (sk_load_acq(&signals) <= ENOUGH && now - begin < SKUA_S(MOST_SECONDS));
         now = skua_now())
        sleeps();
    sk_store_rlx(&over, true);
    for (int i = 0; i < THREADS; i++) SK_EXPECT_EQ(pthread_join(thread[i], NULL), 0);
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    memset(&every, 0, sizeof every);
    setitimer(ITIMER_REAL, &every, NULL);
    printf("%lu signals in %.1f s on %d threads, %lu rounds, %lu tasks\n", (unsigned long)sk_load_acq(&signals),
           (double)(now - begin) / 1e9, THREADS + 1, (unsigned long)sk_load_acq(&rounds), (unsigned long)s.created);
    SK_EXPECT_EQ(sk_load_acq(&early), 0);
    SK_EXPECT_EQ(sk_load_acq(&on_ours), 0);
    SK_EXPECT_EQ(sk_load_acq(&entered), sk_load_acq(&accepted));
    SK_EXPECT_EQ(sk_load_acq(&left), sk_load_acq(&accepted));
    SK_EXPECT_EQ(s.created, sk_load_acq(&accepted));
    SK_EXPECT_EQ(s.done, sk_load_acq(&accepted));
    SK_EXPECT(sk_load_acq(&signals) > ENOUGH); /* else nobody was pestered, and this has shown nothing */
    printf("1 passed, 0 failed\n");
    return 0;
}
