/* runtime_end.c: shutdown while everybody submits; making and releasing runtimes. */
#include "support/stress.h"

/* ---- shutdown under fire ---- */

typedef struct fire {
    skua_runtime *rt;
    skua_pool *pool;
    sk_atomic(uint64_t) accepted, entered, left, refused, unstarted, pooled;
    sk_atomic(uint32_t) ready;
} fire;

static int burn(void *arg)
{
    fire *f = (fire *)arg;
    uint64_t nth = sk_add_rlx(&f->entered, UINT64_C(1));
    if (nth % 7 == 0) skua_sleep(SKUA_US(100));
    if (nth % 11 == 0) skua_yield();
    sk_add_ar(&f->left, UINT64_C(1));
    return 0;
}

/* 0 when accepted. */
static int shoot(fire *f, unsigned way, skua_task *handle)
{
    skua_task_options o = {.runtime = f->rt};
    handle->ref = NULL;
    switch (way) {
    case 0:
        return skua_spawn_with(handle, &o, burn, f);
    case 1:
        return skua_spawn_with(NULL, &o, burn, f);
    case 2:
        o.delay = SKUA_US(50);
        return skua_spawn_with(handle, &o, burn, f);
    default:
        return f->pool ? skua_pool_submit(f->pool, burn, f) : skua_spawn_with(handle, &o, burn, f);
    }
}

static void *fire_away(void *arg)
{
    fire *f = (fire *)arg;
    sk_add_ar(&f->ready, 1u);
    for (unsigned i = 0;; i++) {
        skua_task handle;
        int error = shoot(f, i % 4, &handle);
        if (error) {
            SK_EXPECT_EQ(error, -ESHUTDOWN);
            return NULL;
        }
        sk_add_rlx(&f->accepted, UINT64_C(1));
        if (!handle.ref) continue;
        int result = -1;
        SK_EXPECT_EQ(skua_join(handle, &result), 0);
        SK_EXPECT(result == 0 || result == -ESHUTDOWN || result == -ECANCELED);
        if (result) sk_add_rlx(&f->unstarted, UINT64_C(1));
    }
}

static bool at_rest(skua_pool *pool)
{
    skua_pool_counts counts;
    SK_EXPECT_EQ(skua_pool_stats(pool, &counts), 0);
    return counts.queued + counts.running == 0;
}

enum { SHOOTERS = 3 };

static void shutdown_round(sk_rng *rng, uint32_t way)
{
    fire f = {.rt = sk_runtime_of(1 + sk_rng_below(rng, 3))};
    if (way != 2)
        SK_EXPECT_EQ(skua_pool_create(&f.pool, &(skua_pool_options){.runtime = f.rt, .limit = 4, .queue = 16}), 0);
    pthread_t shooters[SHOOTERS];
    for (int i = 0; i < SHOOTERS; i++) SK_EXPECT_EQ(pthread_create(&shooters[i], NULL, fire_away, &f), 0);
    while (sk_load_acq(&f.ready) < SHOOTERS) usleep(10);
    usleep(sk_rng_below(rng, 1500));
    if (way == 2) { /* release at once, while they fire */
        SK_EXPECT_EQ(skua_runtime_release(f.rt), 0);
        SK_EXPECT_EQ(skua_runtime_release(f.rt), -ESHUTDOWN);
        for (int i = 0; i < SHOOTERS; i++) pthread_join(shooters[i], NULL);
    } else {
        int error = skua_runtime_stop(f.rt, way ? 0 : SKUA_FOREVER);
        SK_EXPECT(error == 0 || (way && error == -ETIMEDOUT));
        for (int i = 0; i < SHOOTERS; i++) pthread_join(shooters[i], NULL);
        SK_EXPECT_EQ(skua_runtime_stop(f.rt, SKUA_FOREVER), 0);
        skua_stats s = sk_stats_of(f.rt);
        SK_EXPECT_EQ(s.created, sk_load_acq(&f.accepted));
        SK_EXPECT_EQ(sk_ended(&s), s.created);
        SK_EXPECT_EQ(s.done, sk_load_acq(&f.entered));
        SK_EXPECT_EQ(s.failed + s.expired, 0);
        SK_EXPECT_EQ(skua_pool_submit(f.pool, burn, &f), -ESHUTDOWN);
        SK_EVENTUALLY(at_rest(f.pool)); /* a pool is told of an end after the runtime has counted it */
        SK_EXPECT_EQ(skua_pool_release(f.pool), 0);
        SK_EXPECT_EQ(skua_runtime_release(f.rt), 0);
    }
    SK_EXPECT_EQ(sk_load_acq(&f.entered), sk_load_acq(&f.left));
    SK_EXPECT(sk_load_acq(&f.accepted) >= sk_load_acq(&f.entered));
    /* Without a time limit only delayed tasks are dropped, and each of those was joined. */
    if (way != 1) SK_EXPECT_EQ(sk_load_acq(&f.accepted), sk_load_acq(&f.entered) + sk_load_acq(&f.unstarted));
}

SK_TEST(stress_runtime, shutdown_under_fire)
{
    sk_rng rng;
    sk_rng_seed(&rng, 13);
    for (long round = 0, n = sk_test_scaled(900); round < n || round < 6; round++)
        shutdown_round(&rng, (uint32_t)round % 3);
}

/* ---- making and releasing ---- */

static int count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    SK_EXPECT(file != NULL);
    int lines = 0;
    for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
    fclose(file);
    return lines;
}

static int count_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    SK_EXPECT(folder != NULL);
    int n = 0;
    for (struct dirent *d; (d = readdir(folder));) n += d->d_name[0] != '.';
    closedir(folder);
    return n;
}

static int bump(void *arg)
{
    sk_add_ar((sk_atomic(uint32_t) *)arg, 1u);
    return 0;
}

static int nap_and_bump(void *arg)
{
    skua_sleep(SKUA_US(20));
    return bump(arg);
}

static void make_and_release(uint32_t i)
{
    skua_runtime *rt = sk_runtime_of(1 + i % 5);
    skua_pool *pool;
    sk_atomic(uint32_t) ran = 0;
    SK_EXPECT_EQ(skua_pool_create(&pool, &(skua_pool_options){.runtime = rt, .limit = i % 3, .queue = 8}), 0);
    for (int k = 0; k < 20; k++) SK_EXPECT_EQ(skua_pool_submit(pool, bump, &ran), 0);
    sk_atomic(uint32_t) woken = 0;
    for (int k = 0; k < 10; k++)
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, nap_and_bump, &woken), 0);
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(sk_load_acq(&ran), 20);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    SK_EXPECT_EQ(sk_load_acq(&woken), 10);
}

SK_TEST(stress_runtime, create_and_release)
{
    for (uint32_t i = 0; i < 10; i++) make_and_release(i);
    int threads = count_threads(), maps = count_lines("/proc/self/maps");
    for (uint32_t i = 0, n = (uint32_t)sk_test_scaled(500); i < n; i++) make_and_release(i);
    /* The kernel takes a thread off the list a moment after it can be joined. */
    SK_EVENTUALLY(count_threads() <= threads);
    /* The C library keeps some stacks and heaps of threads; nothing may grow with the rounds. */
    SK_EXPECT(count_lines("/proc/self/maps") <= maps + 60);
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_numbers numbers;
        sk_stack_stats(cls, &numbers);
        SK_EXPECT_EQ(numbers.outside, 0);
        SK_EXPECT(sk_stack_check(cls));
    }
    sk_slab_numbers tasks;
    sk_slab_stats(&sk_tasks, &tasks);
    SK_EXPECT(tasks.carved <= 20000);
    SK_EXPECT(sk_slab_check(&sk_tasks));
}
