/*
 * Faults: memory, mappings, threads and futexes that fail, at creation and under
 * load.  Each call gives an error or goes on with less; no task that was
 * accepted is lost, and when the machine is well again, so is the runtime.
 *
 * Needs a build with -Dfaults=true; without it only the small test at the end is left.
 */
#include "support/tasks.h"

#include "base/rng.h"
#include "base/fault.h"
#include "runtime/task.h"

#include <sys/wait.h>
#include <unistd.h>

#ifdef SK_FAULTS

SK_TEST(faults, refused_and_granted_calls_are_told_apart)
{
    uint64_t before = sk_fault_granted(SK_FAULT_MALLOC);
    sk_fault_arm(SK_FAULT_MALLOC, 2, false);
    SK_EXPECT(!sk_fault(SK_FAULT_MALLOC));
    SK_EXPECT(sk_fault(SK_FAULT_MALLOC)); /* the second */
    SK_EXPECT(!sk_fault(SK_FAULT_MALLOC));
    SK_EXPECT_EQ(sk_fault_count(SK_FAULT_MALLOC), 3);
    SK_EXPECT_EQ(sk_fault_granted(SK_FAULT_MALLOC), before + 2);
    sk_fault_reset();
}

/* ---- a load that copes with every error ---- */

typedef struct load {
    skua_runtime *rt;
    skua_pool *pool;
    sk_atomic(uint64_t) accepted, entered, left, turned_away;
    sk_atomic(uint64_t) special; /* accepted with a stack of its own: it may end as failed, for want of that */
} load;

/* What a call may say when memory or threads are out. */
static bool scarce(int error)
{
    return error == -ENOMEM || error == -EAGAIN;
}

static int toil(void *arg)
{
    load *l = (load *)arg;
    uint64_t nth = sk_add_rlx(&l->entered, UINT64_C(1));
    int error = nth % 3 ? 0 : skua_yield();
    SK_EXPECT(error == 0 || scarce(error));
    if (nth % 2) {
        uint64_t before = skua_now();
        error = skua_sleep(SKUA_US(nth % 200));
        SK_EXPECT(scarce(error) || (error == 0 && skua_now() - before >= SKUA_US(nth % 200)));
    }
    if (nth % 16 == 0) {
        SK_EXPECT_EQ(skua_blocking_begin(), 0);
        usleep(30);
        SK_EXPECT_EQ(skua_blocking_end(), 0);
    }
    sk_add_ar(&l->left, UINT64_C(1));
    return 0;
}

/* Joins for good: a join may fail for want of memory, and then the handle stays. */
static void join_in_the_end(skua_task task)
{
    int result = -1, error;
    for (uint64_t give_up = skua_now() + SKUA_MS(SK_PATIENCE_MS); (error = skua_join(task, &result)) != 0;) {
        SK_EXPECT(scarce(error));
        SK_EXPECT(skua_now() < give_up);
    }
    SK_EXPECT(result == 0 || result == -ENOMEM);
}

static int spawn_one(load *l, int i)
{
    skua_task_options o = {.runtime = l->rt};
    if (i % 7 == 3) o.delay = SKUA_US(100);
    if (i % 7 == 4) o.stack_size = 256 << 10;
    skua_task task;
    int error = skua_spawn_with(&task, &o, toil, l);
    if (error) return error;
    sk_add_rlx(&l->accepted, UINT64_C(1));
    if (o.stack_size) sk_add_rlx(&l->special, UINT64_C(1));
    if (i % 4 == 0)
        join_in_the_end(task);
    else
        SK_EXPECT_EQ(skua_detach(task), 0);
    return 0;
}

static int submit_one(load *l)
{
    int error = l->pool ? skua_pool_submit(l->pool, toil, l) : -ENOMEM;
    if (error == 0) sk_add_rlx(&l->accepted, UINT64_C(1));
    return error;
}

/* As a task or as a thread. */
static int give_work(void *arg)
{
    load *l = (load *)arg;
    for (int i = 0; i < 60; i++) {
        int error = i % 2 ? spawn_one(l, i / 2) : submit_one(l);
        SK_EXPECT(error == 0 || scarce(error));
        if (error) sk_add_rlx(&l->turned_away, UINT64_C(1));
    }
    return 0;
}

static void *give_work_from_outside(void *arg)
{
    give_work(arg);
    return NULL;
}

static void check_load(load *l, uint64_t others)
{
    skua_stats s;
    SK_EVENTUALLY((s = sk_stats_of(l->rt), sk_ended(&s) == s.created));
    SK_EXPECT_EQ(s.created, sk_load_acq(&l->accepted) + others);
    SK_EXPECT_EQ(sk_load_acq(&l->entered), sk_load_acq(&l->left));
    SK_EXPECT_EQ(s.done, sk_load_acq(&l->entered) + others);
    SK_EXPECT(s.failed <= sk_load_acq(&l->special));
    SK_EXPECT_EQ(s.done + s.failed, s.created);
}

/* Work from two sides. The machine may fail meanwhile. */
static void run_load(load *l)
{
    if (!l->pool) skua_pool_create(&l->pool, &(skua_pool_options){.runtime = l->rt, .limit = 3, .queue = 8});
    skua_task inside;
    bool in = skua_spawn_with(&inside, &(skua_task_options){.runtime = l->rt}, give_work, l) == 0;
    pthread_t outside;
    SK_EXPECT_EQ(pthread_create(&outside, NULL, give_work_from_outside, l), 0);
    pthread_join(outside, NULL);
    if (in) join_in_the_end(inside);
    sk_fault_reset();
    check_load(l, in);
    if (l->pool) SK_EXPECT_EQ(skua_pool_release(l->pool), 0);
}

/* ---- at creation: every call that may fail does, once and for good ---- */

static int create_and_work(void)
{
    load l = {0};
    int error = skua_runtime_create(&l.rt, &(skua_runtime_options){.workers_max = 3});
    SK_EXPECT(error == 0 || scarce(error));
    SK_EXPECT((error == 0) == (l.rt != NULL));
    if (error == 0) {
        run_load(&l);
        SK_EXPECT_EQ(skua_runtime_release(l.rt), 0);
    }
    sk_fault_reset();
    return error;
}

static const sk_fault_site sites[] = {SK_FAULT_MMAP,   SK_FAULT_MADVISE, SK_FAULT_MPROTECT,
                                      SK_FAULT_MALLOC, SK_FAULT_THREAD,  SK_FAULT_FUTEX};

SK_TEST(faults, at_creation)
{
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        sk_fault_reset();
        for (uint64_t n = 1; n <= (uint64_t)sk_test_scaled(40) + 5; n++) {
            sk_fault_arm(sites[i], n, false);
            create_and_work();
            if (sites[i] == SK_FAULT_FUTEX) continue; /* for good: nobody could ever sleep, nor wake at a deadline */
            sk_fault_arm(sites[i], n, true);
            create_and_work();
        }
        SK_EXPECT_EQ(create_and_work(), 0); /* nothing of it lasts */
    }
}

/* The same at the very first call of a process, in which everything is yet to be made; and the next try is good. */
static void first_call(sk_fault_site site, uint64_t n)
{
    pid_t pid = fork();
    SK_EXPECT(pid >= 0);
    if (pid == 0) {
        alarm(100);
        sk_fault_arm(site, n, n % 2);
        create_and_work();
        load l = {0};
        if (skua_runtime_create(&l.rt, NULL) != 0) _exit(2);
        run_load(&l);
        _exit(skua_runtime_release(l.rt) == 0 && sk_load_acq(&l.turned_away) == 0 ? 0 : 3);
    }
    int status = 0;
    SK_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (status) fprintf(stderr, "site %d, call %d\n", (int)site, (int)n);
    SK_EXPECT_EQ(status, 0);
}

SK_TEST(faults, at_the_first_call)
{
    for (uint64_t n = 1; n <= 12; n++) {
        first_call(SK_FAULT_MMAP, n);
        first_call(SK_FAULT_MALLOC, n);
        first_call(SK_FAULT_THREAD, n);
    }
}

/* ---- under load ---- */

typedef struct saboteur {
    sk_fault_site site;
    uint64_t seed;
    sk_atomic(bool) over;
    skua_runtime *resize; /* NULL, or resized all the while */
} saboteur;

static void *sabotage(void *arg)
{
    saboteur *s = (saboteur *)arg;
    sk_rng rng;
    sk_rng_seed(&rng, s->seed);
    while (!sk_load_rlx(&s->over)) {
        sk_fault_arm(s->site, 1 + sk_rng_below(&rng, 20), sk_rng_below(&rng, 2));
        usleep(sk_rng_below(&rng, 600));
        sk_fault_arm(s->site, 0, false);
        if (s->resize) SK_EXPECT_EQ(skua_runtime_resize(s->resize, 1 + sk_rng_below(&rng, 8)), 0);
        usleep(sk_rng_below(&rng, 200));
    }
    return NULL;
}

static void under_load(sk_fault_site site, bool resize)
{
    load l = {.rt = sk_runtime_of(2)};
    SK_EXPECT_EQ(skua_pool_create(&l.pool, &(skua_pool_options){.runtime = l.rt, .limit = 3, .queue = 8}), 0);
    saboteur s = {.site = site, .seed = site, .resize = resize ? l.rt : NULL};
    pthread_t thread;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, sabotage, &s), 0);
    for (long i = sk_test_scaled(200); i > 0; i--) give_work(&l);
    sk_store_rlx(&s.over, true);
    pthread_join(thread, NULL);
    sk_fault_reset();
    check_load(&l, 0);
    SK_EXPECT_EQ(skua_runtime_resize(l.rt, 5), 0); /* what failed comes to pass in the end */
    SK_EVENTUALLY(sk_stats_of(l.rt).workers == 5);
    SK_EXPECT_EQ(skua_pool_release(l.pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(l.rt), 0);
    SK_EXPECT(sk_slab_check(&sk_tasks));
}

SK_TEST(faults, under_load)
{
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        under_load(sites[i], false);
        under_load(sites[i], true);
    }
}

/* A queue that cannot grow: what does not fit goes through the inbox, and all of it runs. */
static int burst(void *arg)
{
    load *l = (load *)arg;
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    for (int i = 0; i < 3000; i++) {
        SK_EXPECT_EQ(skua_go(toil, l), 0);
        sk_add_rlx(&l->accepted, UINT64_C(1));
    }
    return (int)sk_fault_count(SK_FAULT_MALLOC);
}

SK_TEST(faults, queue_cannot_grow)
{
    load l = {.rt = sk_runtime_of(1)};
    SK_EXPECT(sk_run_on(l.rt, burst, &l) > 0); /* it did try to grow */
    sk_fault_reset();
    check_load(&l, 1);
    SK_EXPECT_EQ(skua_runtime_release(l.rt), 0);
}

/* Stacks are out: a park says so, and the task goes on. */
static int park_without_stacks(void *arg)
{
    load *l = (load *)arg;
    uint64_t give_up = skua_now() + SKUA_S(20);
    skua_task children[64];
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    int n = 0, error = 0;
    while (n < 64 && skua_spawn(&children[n], toil, l) == 0) n++;
    sk_add_rlx(&l->accepted, (uint64_t)n);
    while (skua_now() < give_up && (error = skua_sleep(SKUA_US(10))) == 0 && n--) join_in_the_end(children[n]);
    sk_fault_reset();
    SK_EXPECT(error == 0 || error == -ENOMEM);
    while (n-- > 0) join_in_the_end(children[n]);
    return 0;
}

SK_TEST(faults, no_stacks)
{
    load l = {.rt = sk_runtime_of(1)};
    SK_EXPECT_EQ(sk_run_on(l.rt, park_without_stacks, &l), 0);
    check_load(&l, 1);
    SK_EXPECT_EQ(skua_runtime_release(l.rt), 0);
}

#else

SK_TEST(faults, none_in_this_build)
{
    SK_EXPECT(!sk_fault(SK_FAULT_MALLOC));
}

#endif
