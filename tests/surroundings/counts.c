/* counts.c: very many fibers, runtimes, threads; and what is left of them. */
#include "surroundings.h"

#include "base/fault.h"
#include "mem/stack.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- very many parked fibers ---- */

static sk_atomic(uint64_t) woken, refused;

static int park(void *unused)
{
    (void)unused;
    int error = skua_sleep(SKUA_S(100000));
    SK_EXPECT(error == -ECANCELED || error == -ENOMEM);
    sk_add_ar(error == -ENOMEM ? &refused : &woken, UINT64_C(1));
    return error;
}

static long max_map_count(void)
{
    long count = 65530;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
    if (f && fscanf(f, "%ld", &count) != 1) count = 65530;
    if (f) fclose(f);
    return count;
}

static long available_kib(void)
{
    char line[200];
    long kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %ld", &kib) == 1) break;
    fclose(f);
    return kib;
}

/* Parks n fibers at a time (or all that there are stacks for), looks, cancels them all. */
static void park_many(long n)
{
    skua_runtime *rt = sk_runtime_of(2);
    long rss = status_of("VmRSS");
    for (long i = 0; i < n; i++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, park, NULL), 0);
    skua_stats s;
    SK_EVENTUALLY((s = sk_stats_of(rt), s.parked + s.failed == (uint64_t)n));
    long mappings = count_lines("/proc/self/maps"), grown = status_of("VmRSS") - rss;
    printf("        %lu parked, %lu refused a stack, %ld mappings of %ld, %.1f KiB each\n", (unsigned long)s.parked,
           (unsigned long)s.failed, mappings, max_map_count(), (double)grown / (double)n);
    SK_EXPECT(mappings < max_map_count() * 3 / 4);
    SK_EXPECT(grown / n < 6);               /* KiB: a page of stack, a task, page tables */
    int stopped = skua_runtime_stop(rt, 0); /* 0: all whom it cancelled had ended before it looked again */
    SK_EXPECT(stopped == 0 || stopped == -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(sk_load_acq(&woken) + sk_load_acq(&refused), (uint64_t)n);
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) SK_EXPECT(sk_stack_check(cls));
}

static int fibers(void)
{
    if (available_kib() < 3 << 20) {
        printf("        less than 3 GiB of memory are free\n");
        return SKIP;
    }
    park_many(200000);
    SK_EXPECT_EQ(sk_load_acq(&refused), 0);
    return 0;
}

/* A kernel without guards of its own: mprotect as far as the mappings go, then canaries. */
static int fibers_without_kernel_guards(void)
{
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    park_many(60000);
    SK_EXPECT_EQ(sk_load_acq(&refused), 0);
    return 0;
}

static int fibers_with_canaries_only(void)
{
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    sk_fault_arm(SK_FAULT_MPROTECT, 1, true);
    park_many(40000);
    SK_EXPECT_EQ(sk_load_acq(&refused), 0);
    return 0;
}

/* Where stacks run out the park says so, and the task goes on; there is no other answer. */
static int fibers_beyond_the_address_space(void)
{
    struct rlimit limit;
    SK_EXPECT_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = UINT64_C(2) << 30;
    SK_EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    park_many(60000); /* 3.7 GiB */
    SK_EXPECT(sk_load_acq(&refused) > 1000 && sk_load_acq(&woken) > 10000);
    return 0;
}

/* ---- runtimes and threads without number leave nothing ---- */

typedef struct footprint {
    int threads, mappings, files;
    long size; /* KiB of address space */
} footprint;

static footprint take_footprint(void)
{
    int threads = 0; /* joined ones may still be on the kernel's list */
    for (int tries = 0; tries < 10000 && (threads = count_entries("/proc/self/task")) > 1; tries++) usleep(1000);
    return (footprint){threads, count_lines("/proc/self/maps"), count_entries("/proc/self/fd"), status_of("VmSize")};
}

static void expect_no_more(footprint before, footprint after)
{
    printf("        threads %d, mappings %d, then %d, descriptors %d, then %d, address space %ld, then %ld KiB\n",
           after.threads, before.mappings, after.mappings, before.files, after.files, before.size, after.size);
    SK_EXPECT_EQ(after.threads, 1);
    SK_EXPECT_EQ(after.files, before.files);
    /* The C library keeps a few stacks of threads that have ended, now more, now fewer. */
    SK_EXPECT(after.mappings <= before.mappings + 8);
    SK_EXPECT(after.size <= before.size + (64 << 10));
}

static void one_runtime(int i)
{
    skua_runtime *rt = sk_runtime_of(1 + (uint32_t)i % 4);
    skua_pool *pool;
    sk_gate gate = 0;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = 2, .queue = 8}), 0);
    for (int k = 0; k < 20; k++) SK_EXPECT_EQ(skua_pool_submit(pool, sk_open, &gate), 0);
    if (i % 2) SK_EXPECT_EQ(skua_runtime_resize(rt, 1 + (uint32_t)(i / 2) % 5), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(sk_gate_now(&gate), 20);
}

static int runtimes(void)
{
    footprint before = {0};
    mallopt(M_ARENA_MAX, 1); /* else the C library's heaps show how many threads were about at once */
    for (int i = 0; i < 1050; i++) {
        if (i == 50) before = take_footprint();
        one_runtime(i);
    }
    expect_no_more(before, take_footprint());
    return 0;
}

static skua_runtime *shared;

static void *brief_user(void *arg)
{
    int result = -1;
    skua_task task = sk_spawn_on(shared, sk_give_0, NULL);
    if ((uintptr_t)arg % 3)
        SK_EXPECT(skua_join(task, &result) == 0 && result == 0);
    else
        SK_EXPECT_EQ(skua_detach(task), 0);
    if ((uintptr_t)arg % 16 == 0) pthread_exit(NULL);
    return NULL;
}

static int threads(void)
{
    enum { AT_A_TIME = 4 };
    footprint before = {0};
    pthread_t thread[AT_A_TIME];
    mallopt(M_ARENA_MAX, 1); /* as above */
    for (uintptr_t i = 0; i < 11000; i += AT_A_TIME) {
        if (i == 1000) before = take_footprint();
        if (i % 1000 == 0) shared = sk_runtime_of(2);
        for (uintptr_t k = 0; k < AT_A_TIME; k++)
            SK_EXPECT_EQ(pthread_create(&thread[k], NULL, brief_user, (void *)(i + k)), 0);
        for (uintptr_t k = 0; k < AT_A_TIME; k++) SK_EXPECT_EQ(pthread_join(thread[k], NULL), 0);
        if (i % 1000 == 1000 - AT_A_TIME) SK_EXPECT_EQ(skua_runtime_release(shared), 0);
    }
    expect_no_more(before, take_footprint());
    return 0;
}

const surrounding of_counts[] = {
    {"200,000 parked fibers", fibers},
    {"60,000 parked fibers, no guards of the kernel's: mprotect, then canaries", fibers_without_kernel_guards},
    {"40,000 parked fibers with canaries only", fibers_with_canaries_only},
    {"60,000 parked fibers in an address space for 30,000", fibers_beyond_the_address_space},
    {"1,000 runtimes leave nothing", runtimes},
    {"10,000 threads that have used skua leave nothing", threads},
    {NULL, NULL},
};
