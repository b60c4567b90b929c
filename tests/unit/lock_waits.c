/*
 * unit/lock_waits.c: what all waits of all locks have in common, for each of them: polls, timeouts, cancels, deadlines;
 * that nothing stays behind; and that who has been served has succeeded, however late it is.
 */
#include "support/waits.h"

#include "base/fault.h"

#include <string.h>

typedef union object {
    skua_rwlock rwlock;
    skua_cond cond;
    skua_semaphore semaphore;
    skua_waitgroup group;
    skua_latch latch;
    skua_barrier barrier;
    skua_once once;
    _Alignas(4) uint32_t word;
} object;

static object o;
static skua_mutex mutex;
static sk_gate begun;

typedef struct kind {
    const char *what;
    void (*prepare)(void); /* so that one will wait */
    int (*wait)(uint64_t timeout);
    void (*serve)(void);
    void (*end)(bool served); /* after the wait, to have it at rest */
} kind;

static const kind *k;

/* ---- rwlock ---- */

static void hold_rwlock(void)
{
    SK_EXPECT_EQ(skua_rwlock_write_lock(&o.rwlock), 0);
}

static void let_go_rwlock(void)
{
    SK_EXPECT_EQ(skua_rwlock_write_unlock(&o.rwlock), 0);
}

static int wait_read(uint64_t timeout)
{
    return skua_rwlock_read_lock_for(&o.rwlock, timeout);
}

static int wait_write(uint64_t timeout)
{
    return skua_rwlock_write_lock_for(&o.rwlock, timeout);
}

static void end_read(bool served)
{
    SK_EXPECT_EQ(served ? skua_rwlock_read_unlock(&o.rwlock) : skua_rwlock_write_unlock(&o.rwlock), 0);
}

static void end_write(bool served)
{
    (void)served;
    SK_EXPECT_EQ(skua_rwlock_write_unlock(&o.rwlock), 0);
}

/* ---- condition ---- */

static void nothing(void)
{
}

static int wait_cond(uint64_t timeout)
{
    while (skua_mutex_trylock(&mutex)) { /* nobody holds it for long */
    }
    int error = skua_cond_wait_for(&o.cond, &mutex, timeout);
    SK_EXPECT_EQ(skua_mutex_trylock(&mutex), -EBUSY);
    SK_EXPECT_EQ(skua_mutex_unlock(&mutex), 0);
    return error;
}

static void serve_cond(void)
{
    SK_EXPECT_EQ(skua_cond_signal(&o.cond), 0);
}

static void end_nothing(bool served)
{
    (void)served;
}

/* ---- semaphore ---- */

static void make_semaphore(void)
{
    SK_EXPECT_EQ(skua_semaphore_init(&o.semaphore, 1, 3), 0);
}

static int wait_semaphore(uint64_t timeout)
{
    return skua_semaphore_acquire_for(&o.semaphore, 2, timeout);
}

static void serve_semaphore(void)
{
    SK_EXPECT_EQ(skua_semaphore_release(&o.semaphore, 1), 0);
}

static void end_semaphore(bool served)
{
    SK_EXPECT_EQ(skua_semaphore_available(&o.semaphore), served ? 0 : 1);
    memset(&o, 0, sizeof o);
}

/* ---- wait group and latch ---- */

static void add_one(void)
{
    SK_EXPECT_EQ(skua_waitgroup_add(&o.group, 1), 0);
}

static int wait_group(uint64_t timeout)
{
    return skua_waitgroup_wait_for(&o.group, timeout);
}

static void serve_group(void)
{
    SK_EXPECT_EQ(skua_waitgroup_done(&o.group), 0);
}

static void end_group(bool served)
{
    if (!served) serve_group();
}

static void make_latch(void)
{
    SK_EXPECT_EQ(skua_latch_init(&o.latch, 2), 0);
}

static int wait_latch(uint64_t timeout)
{
    return skua_latch_wait_for(&o.latch, timeout);
}

static void serve_latch(void)
{
    SK_EXPECT_EQ(skua_latch_count_down(&o.latch, 2), 0);
}

static void end_latch(bool served)
{
    if (!served) serve_latch();
}

/* ---- barrier ---- */

static void make_barrier(void)
{
    SK_EXPECT_EQ(skua_barrier_init(&o.barrier, 2), 0);
}

static int wait_barrier(uint64_t timeout)
{
    return skua_barrier_wait_for(&o.barrier, timeout);
}

static void serve_barrier(void)
{
    SK_EXPECT_EQ(skua_barrier_wait_for(&o.barrier, 0), 1);
}

static void end_barrier(bool served)
{
    SK_EXPECT_EQ(skua_barrier_is_broken(&o.barrier), !served && sk_gate_now(&begun));
    memset(&o, 0, sizeof o);
}

/* ---- once ---- */

static sk_gate may_end;
static sk_call runner;

static int run_once(void *unused)
{
    (void)unused;
    SK_EXPECT(sk_gate_await(&may_end, 1));
    return 0;
}

static int do_once(void *unused)
{
    (void)unused;
    return skua_once_do(&o.once, run_once, NULL);
}

static void begin_once(void)
{
    sk_store_rlx(&may_end, 0u);
    sk_call_start(&runner, NULL, do_once, NULL);
    SK_EVENTUALLY(sk_load_acq((sk_atomic(uint32_t) *)(void *)&o.once.state) == 1);
}

static int wait_once(uint64_t timeout)
{
    return skua_once_do_for(&o.once, sk_give_0, NULL, timeout);
}

static void serve_once(void)
{
    sk_gate_add(&may_end);
    SK_EXPECT_EQ(sk_call_end(&runner), 0);
}

static void end_once(bool served)
{
    if (!served) serve_once();
    memset(&o, 0, sizeof o);
}

/* ---- parking map ---- */

static int wait_word(uint64_t timeout)
{
    return skua_park_on(&o.word, 0, timeout);
}

static void serve_word(void)
{
    SK_EXPECT_EQ(skua_unpark_on(&o.word, 7), 1);
}

static const kind kinds[] = {
    {"rwlock read", hold_rwlock, wait_read, let_go_rwlock, end_read},
    {"rwlock write", hold_rwlock, wait_write, let_go_rwlock, end_write},
    {"condition", nothing, wait_cond, serve_cond, end_nothing},
    {"semaphore", make_semaphore, wait_semaphore, serve_semaphore, end_semaphore},
    {"wait group", add_one, wait_group, serve_group, end_group},
    {"latch", make_latch, wait_latch, serve_latch, end_latch},
    {"barrier", make_barrier, wait_barrier, serve_barrier, end_barrier},
    {"once", begin_once, wait_once, serve_once, end_once},
    {"parking", nothing, wait_word, serve_word, end_nothing},
};

static void begin(const kind *which)
{
    k = which;
    memset(&o, 0, sizeof o);
    sk_store_rlx(&begun, 0u);
    k->prepare();
}

static void end(bool served)
{
    static const object nothing_left;
    k->end(served);
    SK_EXPECT_EQ(memcmp(&o, &nothing_left, sizeof o), 0);
    SK_EXPECT_EQ(skua_mutex_trylock(&mutex), 0);
    SK_EXPECT_EQ(skua_mutex_unlock(&mutex), 0);
}

#define FOR_ALL(which) for (const kind *which = kinds; which < kinds + sk_array_len(kinds); which++)

/* ---- nobody serves it ---- */

static int poll_and_be_late(void *unused)
{
    (void)unused;
    SK_EXPECT_EQ(k->wait(0), -ETIMEDOUT);
    uint64_t before = skua_now();
    sk_gate_add(&begun);
    SK_EXPECT_EQ(k->wait(SKUA_MS(2)), -ETIMEDOUT);
    SK_EXPECT(skua_now() - before >= SKUA_MS(2));
    return 0;
}

SK_TEST(lock_waits, late)
{
    skua_runtime *rt = sk_runtime_of(1);
    FOR_ALL(which)
    {
        begin(which);
        SK_EXPECT_EQ(poll_and_be_late(NULL), 0);
        end(false);
        begin(which);
        SK_EXPECT_EQ(sk_run_on(rt, poll_and_be_late, NULL), 0);
        end(false);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_for_ever(void *unused)
{
    (void)unused;
    sk_gate_add(&begun);
    return k->wait(SKUA_FOREVER);
}

static int wait_for_long(void *unused)
{
    (void)unused;
    sk_gate_add(&begun);
    return k->wait(SKUA_S(3600));
}

/* The task, which waits, says what for. */
static void says_what(skua_task task)
{
    SK_EVENTUALLY(sk_is_parked(task));
    const sk_wait *waits = sk_load_rlx(&((sk_task *)task.ref)->waits);
    SK_EXPECT_EQ(strcmp(waits->what, k->what), 0);
}

SK_TEST(lock_waits, cancelled)
{
    skua_runtime *rt = sk_runtime_of(1);
    FOR_ALL(which)
    {
        for (int i = 0; i < 2; i++) {
            sk_call c;
            begin(which);
            sk_call_start(&c, rt, i ? wait_for_ever : wait_for_long, NULL);
            says_what(c.task);
            SK_EXPECT_EQ(skua_cancel(c.task), 0);
            SK_EXPECT_EQ(sk_call_end(&c), -ECANCELED);
            end(false);
        }
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int cancel_and_wait(void *unused)
{
    (void)unused;
    sk_gate_add(&begun);
    SK_EXPECT_EQ(skua_cancel(skua_self()), 0);
    SK_EXPECT_EQ(k->wait(SKUA_FOREVER), -ECANCELED);
    return 0;
}

SK_TEST(lock_waits, cancelled_before)
{
    skua_runtime *rt = sk_runtime_of(1);
    FOR_ALL(which)
    {
        begin(which);
        SK_EXPECT_EQ(sk_run_on(rt, cancel_and_wait, NULL), 0);
        end(false);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static sk_gate timed_out;

static int wait_until_the_deadline(void *unused)
{
    (void)unused;
    sk_gate_add(&begun);
    SK_EXPECT_EQ(k->wait(SKUA_FOREVER), -ETIMEDOUT);
    sk_gate_add(&timed_out);
    return 0;
}

SK_TEST(lock_waits, deadline_of_the_task)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_task_options options = {.runtime = rt, .finish_within = SKUA_MS(1)};
    uint32_t n = 0;
    FOR_ALL(which)
    {
        skua_task task;
        begin(which);
        SK_EXPECT_EQ(skua_spawn_with(&task, &options, wait_until_the_deadline, NULL), 0);
        SK_EXPECT_EQ(skua_join(task, NULL), 0);
        /* It may have been too late to start. A joiner is told at once: the task may be at it yet. */
        if (sk_gate_now(&begun)) SK_EXPECT(sk_gate_await(&timed_out, ++n));
        SK_EVENTUALLY(sk_stats_of(rt).running + sk_stats_of(rt).parked == 0);
        end(false);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- somebody serves it ---- */

SK_TEST(lock_waits, served)
{
    skua_runtime *rt = sk_runtime_of(1);
    FOR_ALL(which)
    {
        for (int i = 0; i < 2; i++) {
            sk_call c;
            begin(which);
            sk_call_start(&c, rt, i ? wait_for_ever : wait_for_long, NULL);
            SK_EVENTUALLY(sk_is_parked(c.task));
            k->serve();
            SK_EXPECT_EQ(sk_call_end(&c), 0);
            end(true);
        }
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Its worker is taken, so it cannot run between being served and cancelled. */
SK_TEST(lock_waits, served_and_then_cancelled)
{
    skua_runtime *rt = sk_runtime_of(1);
    FOR_ALL(which)
    {
        sk_call c;
        sk_holder h = {0};
        begin(which);
        sk_call_start(&c, rt, wait_for_ever, NULL);
        SK_EVENTUALLY(sk_is_parked(c.task));
        skua_task hog = sk_hold_worker(rt, &h);
        k->serve();
        SK_EXPECT_EQ(skua_cancel(c.task), 0);
        sk_let_worker_go(&h, hog);
        SK_EXPECT_EQ(sk_call_end(&c), 0);
        end(true);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* It is cancelled, so it runs again, but not before it has been served: the wait has succeeded after all. */
SK_TEST(lock_waits, cancelled_and_then_served)
{
    skua_runtime *rt = sk_runtime_of(1);
    FOR_ALL(which)
    {
        sk_call c;
        sk_holder h = {0};
        begin(which);
        sk_call_start(&c, rt, wait_for_ever, NULL);
        SK_EVENTUALLY(sk_is_parked(c.task));
        skua_task hog = sk_hold_worker(rt, &h);
        SK_EXPECT_EQ(skua_cancel(c.task), 0);
        k->serve();
        sk_let_worker_go(&h, hog);
        SK_EXPECT_EQ(sk_call_end(&c), 0);
        end(true);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Threads: they cannot all be seen to wait, so serving may come first, which most take for an answer. */
SK_TEST(lock_waits, threads)
{
    FOR_ALL(which)
    {
        for (int i = 0; i < 10; i++) {
            sk_call c;
            begin(which);
            sk_call_start(&c, NULL, i % 2 ? wait_for_ever : wait_for_long, NULL);
            SK_EXPECT(sk_gate_await(&begun, 1));
            if (which->wait == wait_cond) SK_EVENTUALLY(sk_waiting(&o.cond, &o.cond.waiters) == 1);
            if (which->wait == wait_barrier) SK_EVENTUALLY(sk_waiting(&o.barrier, &o.barrier.waiters) == 1);
            if (which->wait == wait_word)
                SK_EVENTUALLY(skua_unpark_on(&o.word, 1) == 1);
            else
                k->serve();
            SK_EXPECT_EQ(sk_call_end(&c), 0);
            end(true);
        }
    }
}

static int wait_for_1_ms(void *unused)
{
    (void)unused;
    return k->wait(SKUA_MS(1));
}

static int serve(void *unused)
{
    (void)unused;
    k->serve();
    return 0;
}

/* It is late, and wants the short lock to give up; another wants it to serve. Whoever gets it first: what the wait says
   is what has happened. */
SK_TEST(lock_waits, late_and_served_at_once)
{
    FOR_ALL(which)
    {
        if (which->wait == wait_barrier || which->wait == wait_word) continue; /* serving fails; it lies elsewhere */
        for (int i = 0; i < 6; i++) {
            sk_call waiter, server;
            void *lock = &o;
            begin(which);
            sk_call_start(&waiter, NULL, wait_for_1_ms, NULL);
            skua_sleep(SKUA_US(500)); /* it waits by now, as a rule; then it cannot leave */
            sk_lock_take((sk_lock *)lock);
            sk_call_start(&server, NULL, serve, NULL);
            skua_sleep(SKUA_MS(2));
            sk_lock_drop((sk_lock *)lock);
            int error = sk_call_end(&waiter);
            SK_EXPECT_EQ(sk_call_end(&server), 0);
            SK_EXPECT(error == 0 || error == -ETIMEDOUT);
            if (error) {
                SK_EXPECT(which->wait != wait_read || skua_rwlock_write_trylock(&o.rwlock) == 0);
                SK_EXPECT(which->wait != wait_write || skua_rwlock_write_trylock(&o.rwlock) == 0);
                SK_EXPECT(which->wait != wait_semaphore || skua_semaphore_available(&o.semaphore) == 2);
                memset(&o, 0, sizeof o);
            } else {
                end(true);
            }
        }
    }
}

/* ---- a thread that can have no record ---- */

#ifdef SK_FAULTS

static void *wait_without_memory(void *unused)
{
    sk_fault_arm(SK_FAULT_KEY, 1, true);
    SK_EXPECT_EQ(k->wait(SKUA_S(3600)), -ENOMEM);
    sk_fault_reset();
    return unused;
}

SK_TEST(lock_waits, without_memory)
{
    FOR_ALL(which)
    {
        pthread_t thread;
        begin(which);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, wait_without_memory, NULL), 0);
        SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
        end(false);
    }
}

static void *ask_without_memory(void *unused)
{
    skua_waitgroup none = SKUA_WAITGROUP_INIT;
    skua_barrier one = SKUA_BARRIER_INIT(1);
    skua_semaphore semaphore = SKUA_SEMAPHORE_INIT(1, 1);
    skua_rwlock rwlock = SKUA_RWLOCK_INIT;
    uint32_t word = 1;
    sk_fault_arm(SK_FAULT_KEY, 1, true);
    SK_EXPECT_EQ(skua_waitgroup_wait(&none), 0);
    SK_EXPECT_EQ(skua_barrier_wait(&one), 1);
    SK_EXPECT_EQ(skua_semaphore_acquire(&semaphore, 1), 0);
    SK_EXPECT_EQ(skua_rwlock_write_lock(&rwlock), 0);
    SK_EXPECT_EQ(skua_park_on(&word, 0, SKUA_FOREVER), -EAGAIN);
    SK_EXPECT_EQ(skua_park_on(&word, 1, 0), -ETIMEDOUT);
    sk_fault_reset();
    return unused;
}

/* What needs no waiting needs no memory. */
SK_TEST(lock_waits, without_memory_and_without_waiting)
{
    pthread_t thread;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, ask_without_memory, NULL), 0);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
}

#endif
