/* unit/local.c: values of tasks under keys: lookup, destructors, keys that are deleted. */
#include "support/tasks.h"

#include "base/fault.h"
#include "skua/local.h"

static skua_local_key counted; /* with a destructor */
static sk_gate destroyed;      /* how often that was called */
static sk_atomic(uintptr_t) destroyed_sum;

static void count(void *value)
{
    sk_add_rlx(&destroyed_sum, (uintptr_t)value);
    sk_gate_add(&destroyed);
}

static void *number(uintptr_t n)
{
    return (void *)n;
}

static void expect_destroyed(uint32_t n, uintptr_t sum)
{
    SK_EXPECT_EQ(sk_gate_now(&destroyed), n);
    SK_EXPECT(sk_load_rlx(&destroyed_sum) == sum);
    sk_store_rlx(&destroyed, 0u);
    sk_store_rlx(&destroyed_sum, (uintptr_t)0);
}

static skua_runtime *begin(void (*destroy)(void *value))
{
    SK_EXPECT_EQ(skua_local_create(&counted, destroy), 0);
    return sk_runtime_of(1);
}

static void end(skua_runtime *rt)
{
    SK_EXPECT_EQ(skua_local_delete(counted), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(local, bad_input_is_refused)
{
    skua_local_key none = {0, 0}, wild = {SKUA_LOCAL_KEYS, 1}, key, again;
    SK_EXPECT_EQ(skua_local_create(NULL, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_local_delete(none), -EINVAL);
    SK_EXPECT_EQ(skua_local_delete(wild), -EINVAL);
    SK_EXPECT_EQ(skua_local_set(none, &key), -EINVAL);
    SK_EXPECT_EQ(skua_local_set(wild, &key), -EINVAL);
    SK_EXPECT(skua_local_get(none) == NULL);
    SK_EXPECT(skua_local_get(wild) == NULL);
    SK_EXPECT_EQ(skua_local_create(&key, NULL), 0);
    SK_EXPECT_EQ(skua_local_set(key, &key), -EPERM); /* a foreign thread */
    SK_EXPECT(skua_local_get(key) == NULL);
    SK_EXPECT_EQ(skua_local_delete(key), 0);
    SK_EXPECT_EQ(skua_local_delete(key), -EINVAL);
    SK_EXPECT_EQ(skua_local_create(&again, NULL), 0); /* the same place, another life */
    SK_EXPECT_EQ(again.place, key.place);
    SK_EXPECT_EQ(skua_local_delete(key), -EINVAL);
    SK_EXPECT_EQ(skua_local_set(key, &key), -EINVAL);
    SK_EXPECT_EQ(skua_local_delete(again), 0);
}

SK_TEST(local, there_are_128_keys)
{
    skua_local_key key[SKUA_LOCAL_KEYS], more;
    for (int i = 0; i < SKUA_LOCAL_KEYS; i++) SK_EXPECT_EQ(skua_local_create(&key[i], NULL), 0);
    SK_EXPECT_EQ(skua_local_create(&more, NULL), -ENOSPC);
    SK_EXPECT_EQ(skua_local_delete(key[77]), 0);
    SK_EXPECT_EQ(skua_local_create(&key[77], NULL), 0);
    for (int i = 0; i < SKUA_LOCAL_KEYS; i++) SK_EXPECT_EQ(skua_local_delete(key[i]), 0);
}

/* ---- values ---- */

static int have_one(void *arg)
{
    SK_EXPECT(skua_local_get(counted) == NULL); /* each task has its own */
    SK_EXPECT_EQ(skua_local_set(counted, arg), 0);
    SK_EXPECT_EQ(skua_sleep(SKUA_US(100)), 0);
    SK_EXPECT(skua_local_get(counted) == arg);
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    SK_EXPECT(skua_local_get(counted) == arg);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return 0;
}

SK_TEST(local, each_task_has_its_own)
{
    enum { TASKS = 20 };
    skua_runtime *rt = begin(count);
    skua_task task[TASKS];
    for (uintptr_t i = 0; i < TASKS; i++) task[i] = sk_spawn_on(rt, have_one, number(i + 1));
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join_for(task[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    expect_destroyed(TASKS, TASKS * (TASKS + 1) / 2);
    end(rt);
}

/* The table grows; what stood in it stays. */
static int have_many(void *arg)
{
    skua_local_key *key = arg;
    for (uintptr_t i = 0; i < 100; i++) {
        SK_EXPECT_EQ(skua_local_set(key[i], number(i + 1)), 0);
        SK_EXPECT(skua_local_get(key[i + 1]) == NULL);
    }
    for (uintptr_t i = 0; i < 100; i++) SK_EXPECT(skua_local_get(key[i]) == number(i + 1));
    SK_EXPECT_EQ(skua_local_set(key[5], NULL), 0); /* nothing to destroy */
    return 0;
}

SK_TEST(local, many_values)
{
    skua_runtime *rt = begin(count);
    skua_local_key key[101];
    for (int i = 0; i <= 100; i++) SK_EXPECT_EQ(skua_local_create(&key[i], count), 0);
    SK_EXPECT_EQ(sk_run_on(rt, have_many, key), 0);
    expect_destroyed(99, 5050 - 6);
    for (int i = 0; i <= 100; i++) SK_EXPECT_EQ(skua_local_delete(key[i]), 0);
    end(rt);
}

#ifdef SK_FAULTS
static int set_without_memory(void *arg)
{
    skua_local_key *key = arg;
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT_EQ(skua_local_set(key[0], arg), -ENOMEM);
    sk_fault_reset();
    SK_EXPECT_EQ(skua_local_set(key[0], arg), 0);
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT_EQ(skua_local_set(key[99], arg), -ENOMEM);
    sk_fault_reset();
    SK_EXPECT(skua_local_get(key[0]) == arg && skua_local_get(key[99]) == NULL);
    return 0;
}

SK_TEST(local, without_memory_all_is_as_before)
{
    skua_local_key key[100];
    skua_runtime *rt = sk_runtime_of(1);
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_local_create(&key[i], NULL), 0);
    SK_EXPECT_EQ(sk_run_on(rt, set_without_memory, key), 0);
    for (int i = 0; i < 100; i++) SK_EXPECT_EQ(skua_local_delete(key[i]), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
#endif

/* ---- the end ---- */

static int set_and_give_up(void *arg)
{
    SK_EXPECT_EQ(skua_local_set(counted, arg), 0);
    skua_panic_task("for a test");
}

static int set_and_sleep(void *arg)
{
    SK_EXPECT_EQ(skua_local_set(counted, arg), 0);
    return skua_sleep(SKUA_S(3600));
}

SK_TEST(local, destructors_run_however_a_task_ends)
{
    skua_runtime *rt = begin(count);
    SK_EXPECT_EQ(sk_run_on(rt, set_and_give_up, number(3)), -EFAULT);
    expect_destroyed(1, 3);
    skua_task task = sk_spawn_on(rt, set_and_sleep, number(4));
    SK_EVENTUALLY(sk_stats_of(rt).parked == 1);
    SK_EXPECT_EQ(skua_cancel(task), 0);
    SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    expect_destroyed(1, 4);
    end(rt);
}

static void set_again(void *value)
{
    count(value);
    SK_EXPECT(skua_local_get(counted) == NULL);
    SK_EXPECT_EQ(skua_sleep(SKUA_US(10)), 0);
    SK_EXPECT_EQ(skua_local_set(counted, value), 0);
}

static int set(void *arg)
{
    SK_EXPECT_EQ(skua_local_set(counted, arg), 0);
    return 5;
}

SK_TEST(local, a_destructor_may_park_and_set_again)
{
    skua_runtime *rt = begin(set_again);
    SK_EXPECT_EQ(sk_run_on(rt, set, number(1)), 5);
    expect_destroyed(SKUA_LOCAL_ROUNDS, SKUA_LOCAL_ROUNDS);
    end(rt);
}

static skua_local_key other;

static void give_up(void *value)
{
    count(value);
    skua_panic_task("in a destructor");
}

static int set_two(void *arg)
{
    SK_EXPECT_EQ(skua_local_set(other, arg), 0);
    return set(arg);
}

/* The others are called all the same, and the memory is given back. */
SK_TEST(local, a_destructor_may_give_up)
{
    skua_runtime *rt = begin(give_up);
    SK_EXPECT_EQ(skua_local_create(&other, count), 0);
    SK_EXPECT_EQ(sk_run_on(rt, set_two, number(10)), -EFAULT);
    expect_destroyed(2, 20);
    SK_EXPECT_EQ(sk_run_on(rt, set_two, number(1)), -EFAULT); /* the same memory */
    expect_destroyed(2, 2);
    SK_EXPECT_EQ(skua_local_delete(other), 0);
    end(rt);
}

static skua_deferred of_destructor; /* one task at a time */

static int deferred_by_destructor(void *arg)
{
    count(arg);
    SK_EXPECT_EQ(skua_local_set(other, arg), 0);
    return 0;
}

static void defer_in_destructor(void *value)
{
    SK_EXPECT_EQ(skua_defer(&of_destructor, deferred_by_destructor, value), 0);
}

SK_TEST(local, a_destructor_may_defer)
{
    skua_runtime *rt = begin(defer_in_destructor);
    SK_EXPECT_EQ(skua_local_create(&other, count), 0);
    SK_EXPECT_EQ(sk_run_on(rt, set, number(7)), 5);
    expect_destroyed(2, 14);
    SK_EXPECT_EQ(skua_local_delete(other), 0);
    end(rt);
}

/* ---- deleted keys ---- */

static int set_and_delete(void *arg)
{
    skua_local_key key, later;
    SK_EXPECT_EQ(skua_local_create(&key, count), 0);
    SK_EXPECT_EQ(skua_local_set(key, arg), 0);
    SK_EXPECT_EQ(skua_local_delete(key), 0);
    SK_EXPECT(skua_local_get(key) == NULL);
    SK_EXPECT_EQ(skua_local_create(&later, count), 0); /* the same place: nothing of the one before shows */
    SK_EXPECT_EQ(later.place, key.place);
    SK_EXPECT(skua_local_get(later) == NULL);
    SK_EXPECT_EQ(skua_local_set(key, arg), -EINVAL);
    *(skua_local_key *)arg = later;
    return 0;
}

SK_TEST(local, values_of_a_deleted_key_are_forgotten)
{
    skua_runtime *rt = begin(NULL);
    skua_local_key later;
    SK_EXPECT_EQ(sk_run_on(rt, set_and_delete, &later), 0);
    expect_destroyed(0, 0);
    SK_EXPECT_EQ(skua_local_delete(later), 0);
    end(rt);
}

/* Keys are made and deleted while tasks that have values end: a destructor is that of the value's key, or none. */
static sk_gate stop_deleting;

static void only_own(void *value)
{
    SK_EXPECT(value == (void *)only_own);
}

static void only_other(void *value)
{
    SK_EXPECT(value == (void *)only_other);
}

static sk_atomic(uint64_t) current_key; /* place and life, and which destructor */

static void *make_and_delete(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; !sk_gate_now(&stop_deleting); i++) {
        skua_local_key key;
        SK_EXPECT_EQ(skua_local_create(&key, i % 2 ? only_own : only_other), 0);
        sk_store_rel(&current_key, (uint64_t)key.place << 33 | (uint64_t)key.life << 1 | i % 2);
        for (volatile int spin = 0; spin < 200; spin++) {
        }
        SK_EXPECT_EQ(skua_local_delete(key), 0);
    }
    return NULL;
}

static int set_current(void *unused)
{
    (void)unused;
    uint64_t now = sk_load_acq(&current_key);
    skua_local_key key = {(uint32_t)(now >> 33), (uint32_t)(now >> 1)};
    (void)skua_local_set(key, now & 1 ? (void *)only_own : (void *)only_other);
    return 0;
}

SK_TEST(local, keys_that_are_deleted_beside_the_end_of_tasks)
{
    skua_runtime *rt = sk_runtime_of(1);
    pthread_t thread;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, make_and_delete, NULL), 0);
    for (long i = 0; i < sk_test_scaled(2000); i++) SK_EXPECT_EQ(sk_run_on(rt, set_current, NULL), 0);
    sk_gate_add(&stop_deleting);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
