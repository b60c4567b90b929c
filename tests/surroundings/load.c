/* load.c: all kinds of tasks at once, each of them counted. */
#include "surroundings.h"

#include <string.h>
#include <unistd.h>

struct load {
    skua_runtime *rt;
    bool own;
    skua_pool *pool;
    pthread_t thread;
    sk_atomic(bool) over;
    sk_atomic(uint64_t) accepted, entered, left;
};

typedef struct job {
    load *l;
    unsigned kind;
} job;

static int work(void *arg);

static void give(load *l, unsigned kind)
{
    job *j = (job *)malloc(sizeof *j);
    SK_EXPECT(j != NULL);
    *j = (job){l, kind};
    sk_add_rlx(&l->accepted, UINT64_C(1));
    if (kind % 3 == 0)
        SK_EXPECT_EQ(skua_pool_submit(l->pool, work, j), 0);
    else
        SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = l->rt}, work, j), 0);
}

static int child(void *arg)
{
    return *(int *)arg + 1;
}

static void do_work(load *l, unsigned kind)
{
    int number = 41, result = 0;
    skua_task task;
    switch (kind % 6) {
    case 0:
        SK_EXPECT_EQ(skua_sleep(SKUA_US(200)), 0);
        break;
    case 1:
        SK_EXPECT_EQ(skua_yield(), 0);
        break;
    case 2:
        SK_EXPECT_EQ(skua_spawn(&task, child, &number), 0);
        SK_EXPECT_EQ(skua_join(task, &result), 0);
        SK_EXPECT_EQ(result, 42);
        break;
    case 4:
        SK_EXPECT_EQ(skua_blocking_begin(), 0);
        usleep(100);
        SK_EXPECT_EQ(skua_blocking_end(), 0);
        break;
    case 5:
        if (kind > 6) give(l, kind - 5);
        break;
    default:
        break;
    }
}

static int work(void *arg)
{
    job j = *(job *)arg;
    free(arg);
    sk_add_ar(&j.l->entered, UINT64_C(1));
    do_work(j.l, j.kind);
    sk_add_ar(&j.l->left, UINT64_C(1));
    return 0;
}

static void *keep_busy(void *arg)
{
    load *l = (load *)arg;
    for (unsigned kind = 0; !sk_load_acq(&l->over); kind++) {
        give(l, kind % 24);
        if (kind % 32 == 31) usleep(200);
        while (sk_load_acq(&l->accepted) > sk_load_acq(&l->left) + 500 && !sk_load_acq(&l->over)) usleep(100);
    }
    return NULL;
}

load *load_on(skua_runtime *rt)
{
    load *l = (load *)calloc(1, sizeof *l);
    SK_EXPECT(l != NULL);
    l->rt = rt;
    SK_EXPECT_EQ(skua_pool_create(&l->pool, &(skua_pool_options){.runtime = rt, .limit = 8, .queue = 64}), 0);
    SK_EXPECT_EQ(pthread_create(&l->thread, NULL, keep_busy, l), 0);
    return l;
}

load *load_begin(uint32_t workers)
{
    load *l = load_on(sk_runtime_of(workers));
    l->own = true;
    return l;
}

skua_runtime *load_runtime(load *l)
{
    return l->rt;
}

uint64_t load_done(load *l)
{
    return sk_load_acq(&l->left);
}

void load_end(load *l)
{
    sk_store_rel(&l->over, true);
    SK_EXPECT_EQ(pthread_join(l->thread, NULL), 0);
    for (uint64_t give_up = skua_now() + SKUA_S(60); sk_load_acq(&l->left) < sk_load_acq(&l->accepted); usleep(500))
        SK_EXPECT(skua_now() < give_up);
    SK_EXPECT_EQ(skua_pool_release(l->pool), 0);
    SK_EXPECT_EQ(sk_load_acq(&l->entered), sk_load_acq(&l->accepted));
    if (l->own) {
        skua_stats s;
        SK_EVENTUALLY((s = sk_stats_of(l->rt), sk_ended(&s) == s.created));
        SK_EXPECT_EQ(s.done, s.created);
        SK_EXPECT_EQ(skua_runtime_release(l->rt), 0);
    }
    free(l);
}
