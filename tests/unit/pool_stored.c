/* unit/pool_stored.c: tasks in memory of the caller's. */
#include "support/pools.h"

#include "mem/sanitized.h"
#include "pool/group.h"
#include "pool/storage.h"

#include <string.h>
#include <unistd.h>

static skua_task_storage stored(skua_fn *fn, void *arg)
{
    skua_task_storage s;
    memset(&s, 0xa5, sizeof s); /* whatever the memory held */
    SK_EXPECT_EQ(skua_task_init(&s, fn, arg), 0);
    return s;
}

static int wait_for(skua_task_storage *s)
{
    int result = INT32_MIN;
    SK_EXPECT_EQ(skua_stored_wait(s, SKUA_MS(SK_PATIENCE_MS), &result), 0);
    SK_EXPECT_EQ(skua_stored_is_idle(s), 1);
    return result;
}

static void end_pool(skua_pool *pool, skua_runtime *rt)
{
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- plain use ---- */

static int use(void *arg)
{
    skua_pool *pool = arg;
    int seven = 7, failed = -EIO;
    skua_task_storage a = stored(sk_gives, &seven), b = stored(sk_gives, &failed);
    for (int i = 0; i < 100; i++) {
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &a), 0);
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &b), 0);
        SK_EXPECT_EQ(wait_for(&a), 7);
        SK_EXPECT_EQ(wait_for(&b), -EIO);
    }
    return 0;
}

SK_TEST(pool_stored, results_come_back_to_tasks_and_threads)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pools[] = {SK_POOL(.runtime = rt), SK_POOL(.runtime = rt, .limit = 1, .queue = 1),
                          SK_POOL(.runtime = rt, .limit = 2, .queue = SKUA_POOL_NO_QUEUE),
                          SK_POOL(.runtime = rt, .limit = 2, .order = SKUA_ORDER_DEADLINE),
                          SK_POOL(.runtime = rt, .limit = 2, .levels = 3, .measure = true)};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        SK_EXPECT_EQ(use(pools[i]), 0);
        SK_EXPECT_EQ(sk_run_on(rt, use, pools[i]), 0);
        sk_pool_await(pools[i]);
        skua_pool_counts c = sk_counts_of(pools[i]);
        SK_EXPECT(c.done == 200 && c.failed == 200 && c.submitted == 400);
        SK_EXPECT_EQ(skua_pool_release(pools[i]), 0);
    }
    skua_stats s = sk_stats_of(rt);
    SK_EXPECT_EQ(s.created, 5 * 400 + 5);
    SK_EXPECT_EQ(s.failed, 5 * 200);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_stored, a_pool_for_one_function_lends_it)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_pool *pool = SK_POOL(.runtime = rt, .fn = sk_gives), *other = SK_POOL(.runtime = rt);
    int seven = 7;
    skua_task_storage s = stored(NULL, &seven);
    SK_EXPECT_EQ(skua_pool_submit_stored(other, &s), -EINVAL);
    SK_EXPECT_EQ(skua_stored_wait(&s, 0, NULL), -ESRCH);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), 0);
    SK_EXPECT_EQ(wait_for(&s), 7);
    SK_EXPECT_EQ(skua_pool_release(other), 0);
    end_pool(pool, rt);
}

static int wait_for_itself(void *arg)
{
    return skua_stored_wait(*(skua_task_storage **)arg, SKUA_FOREVER, NULL);
}

SK_TEST(pool_stored, bad_input)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    skua_task_storage s = stored(sk_give_0, NULL), none = {0}, *self = &s;
    sk_stay stay = {0};
    SK_EXPECT_EQ(skua_task_init(NULL, sk_give_0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_stored(NULL, &s), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &none), -EINVAL);
    SK_EXPECT_EQ(skua_stored_wait(NULL, 0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_stored_wait(&none, 0, NULL), -EINVAL);
    SK_EXPECT_EQ(skua_stored_is_idle(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_stored_is_idle(&none), -EINVAL);
    SK_EXPECT_EQ(skua_stored_is_idle(&s), 1);
    SK_EXPECT_EQ(skua_stored_wait(&s, SKUA_FOREVER, NULL), -ESRCH);
    s = stored(sk_stays, &stay);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), -EBUSY);
    SK_EXPECT(sk_gate_await(&stay.entered, 1));
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), -EBUSY);
    SK_EXPECT_EQ(skua_stored_is_idle(&s), 0);
    SK_EXPECT_EQ(skua_stored_wait(&s, 0, NULL), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_stored_wait(&s, SKUA_US(100), NULL), -ETIMEDOUT);
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(wait_for(&s), 0);
    s = stored(wait_for_itself, &self);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), 0);
    SK_EXPECT_EQ(wait_for(&s), -EDEADLK);
    SK_EXPECT_EQ(skua_pool_stop(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), -ESHUTDOWN);
    SK_EXPECT_EQ(wait_for(&s), -EDEADLK); /* of the latest that was accepted */
    end_pool(pool, rt);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), -ESHUTDOWN);
}

/* ---- the memory is the caller's again at once ---- */

typedef struct owner {
    skua_pool *pool;
    uint32_t rounds;
    bool polls;
    int (*frees)(struct owner *o);
} owner;

static int note_and_give(void *arg)
{
    return *(int *)arg;
}

typedef struct box {
    int number;
    skua_task_storage storage;
} box;

static int make_and_free(void *arg)
{
    owner *o = arg;
    for (uint32_t i = 0; i < o->rounds; i++) {
        box *b = malloc(sizeof *b);
        SK_EXPECT(b != NULL);
        b->number = (int)i;
        SK_EXPECT_EQ(skua_task_init(&b->storage, note_and_give, &b->number), 0);
        SK_EXPECT_EQ(skua_pool_submit_stored(o->pool, &b->storage), 0);
        while (o->polls && !skua_stored_is_idle(&b->storage)) (void)(skua_yield() && sched_yield());
        SK_EXPECT_EQ(wait_for(&b->storage), (int)i);
        memset(b, 0xee, sizeof *b);
        free(b);
    }
    return 0;
}

static void *make_and_free_outside(void *arg)
{
    (void)make_and_free(arg);
    return NULL;
}

SK_TEST(pool_stored, whoever_has_seen_the_end_frees_at_once)
{
    enum { TASKS = 6, THREADS = 2 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 3, .queue = 4);
    owner o[2] = {{.pool = pool, .rounds = (uint32_t)sk_test_scaled(10000)}};
    o[1] = o[0];
    o[1].polls = true;
    skua_task tasks[TASKS];
    pthread_t threads[THREADS];
    for (int i = 0; i < TASKS; i++) tasks[i] = sk_spawn_on(rt, make_and_free, &o[i % 2]);
    for (int i = 0; i < THREADS; i++)
        SK_EXPECT_EQ(pthread_create(&threads[i], NULL, make_and_free_outside, &o[i % 2]), 0);
    for (int i = 0; i < TASKS; i++) SK_EXPECT_EQ(skua_join(tasks[i], NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    sk_pool_await(pool);
    SK_EXPECT_EQ(sk_counts_of(pool).done, (TASKS + THREADS) * o[0].rounds);
    end_pool(pool, rt);
}

typedef struct watcher {
    skua_task_storage *storage;
    uint64_t timeout;
    int got;
} watcher;

static int watch(void *arg)
{
    watcher *w = arg;
    w->got = skua_stored_wait(w->storage, w->timeout, NULL);
    return 0;
}

SK_TEST(pool_stored, many_wait_and_some_give_up)
{
    enum { WATCHERS = 20 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
    for (int round = 0; round < 30; round++) {
        sk_stay stay = {0};
        skua_task_storage s = stored(sk_stays, &stay);
        watcher w[WATCHERS];
        skua_task tasks[WATCHERS];
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), 0);
        for (int i = 0; i < WATCHERS; i++) {
            w[i] = (watcher){&s, i % 3 ? SKUA_FOREVER : SKUA_US(50), 1};
            tasks[i] = sk_spawn_on(rt, watch, &w[i]);
        }
        SK_EXPECT_EQ(skua_join(tasks[0], NULL), 0);
        SK_EXPECT_EQ(skua_cancel(tasks[1]), 0);
        SK_EXPECT_EQ(skua_join(tasks[1], NULL), 0);
        SK_EXPECT_EQ(w[0].got, -ETIMEDOUT);
        SK_EXPECT(w[1].got == -ECANCELED || w[1].got == 1); /* perhaps before it began */
        sk_gate_add(&stay.leave);
        for (int i = 2; i < WATCHERS; i++) {
            SK_EXPECT_EQ(skua_join_for(tasks[i], SKUA_MS(SK_PATIENCE_MS), NULL), 0);
            if (i % 3) SK_EXPECT_EQ(w[i].got, 0);
        }
    }
    end_pool(pool, rt);
}

/* ---- a queue of many costs the caller's memory only ---- */

static long resident_pages(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    SK_EXPECT(f && fscanf(f, "%ld %ld", &size, &resident) == 2);
    fclose(f);
    return resident;
}

SK_TEST(pool_stored, a_million_queued_take_no_memory_of_ours)
{
    uint32_t n = (uint32_t)sk_test_scaled(1000000);
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 16, .queue = n);
    skua_task_storage *all = malloc(n * sizeof *all);
    sk_gate ran = 0;
    SK_EXPECT(all != NULL);
    for (uint32_t i = 0; i < n; i++) all[i] = stored(sk_open, &ran);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &all[0]), 0); /* what is made once */
    sk_pool_await(pool);
    long before = resident_pages(), most = (long)n * 8 / sysconf(_SC_PAGESIZE) + 1024; /* the queue itself, and 4 MiB */
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_pool_submit_stored(pool, &all[i]), 0);
    SK_EXPECT(sk_pool_stands_at(pool, 0, n));
    if (!SK_SANITIZED) SK_EXPECT(resident_pages() - before < most);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(4 * SK_PATIENCE_MS)), 0);
    if (!SK_SANITIZED) SK_EXPECT(resident_pages() - before < most);
    SK_EXPECT_EQ(sk_gate_now(&ran), n + 1);
    for (uint32_t i = 0; i < n; i++) SK_EXPECT_EQ(skua_stored_is_idle(&all[i]), 1);
    free(all);
    end_pool(pool, rt);
}

/* ---- ends of those that have not started ---- */

enum { MANY = 200 };

static void submit_many(skua_pool *pool, skua_task_storage *all, skua_fn *fn, void *arg)
{
    for (int i = 0; i < MANY; i++) {
        all[i] = stored(fn, arg);
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &all[i]), 0);
    }
}

static void expect_all(skua_task_storage *all, int result)
{
    for (int i = 0; i < MANY; i++) SK_EXPECT_EQ(wait_for(&all[i]), result);
}

SK_TEST(pool_stored, a_cancel_of_the_pool_finds_them)
{
    static skua_task_storage all[MANY];
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *parent = SK_POOL(.runtime = rt), *pool = SK_POOL(.parent = parent, .limit = 2);
    for (uint64_t round = 1; round <= 30; round++) {
        sk_gate ran = 0;
        sk_stay stay = {0};
        skua_task_storage runs = stored(sk_stays, &stay);
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &runs), 0);
        SK_EXPECT(sk_gate_await(&stay.entered, 1));
        SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        submit_many(pool, all, sk_open, &ran);
        SK_EXPECT_EQ(skua_pool_cancel(round % 2 ? pool : parent), 1); /* who has not started is not counted */
        skua_task_storage later = stored(sk_open, &ran);
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &later), 0);
        SK_EXPECT_EQ(skua_pool_resume(pool), 0);
        SK_EXPECT_EQ(wait_for(&runs), -ECANCELED);
        expect_all(all, -ECANCELED);
        SK_EXPECT_EQ(wait_for(&later), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_gate_now(&ran), 1);
        SK_EXPECT_EQ(sk_counts_of(parent).cancelled, round * (MANY + 1));
        SK_EXPECT_EQ(sk_counts_of(pool).done, round);
    }
    SK_EXPECT_EQ(skua_pool_release(pool), 0);
    end_pool(parent, rt);
}

SK_TEST(pool_stored, a_stop_drops_them)
{
    static skua_task_storage all[MANY];
    skua_runtime *rt = sk_runtime_of(2);
    for (int round = 0; round < 30; round++) {
        skua_pool *pool =
            SK_POOL(.runtime = rt, .limit = 2, .order = round % 2 ? SKUA_ORDER_DEADLINE : SKUA_ORDER_FIFO);
        sk_gate ran = 0;
        SK_EXPECT_EQ(skua_pool_pause(pool), 0);
        submit_many(pool, all, sk_open, &ran);
        SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
        expect_all(all, -ESHUTDOWN);
        SK_EXPECT_EQ(sk_gate_now(&ran), 0);
        SK_EXPECT_EQ(sk_counts_of(pool).dropped, MANY);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(sk_stats_of(rt).dropped, 30 * MANY);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(pool_stored, a_stopping_runtime_waits_for_them)
{
    static skua_task_storage all[MANY];
    for (int round = 0; round < 10; round++) {
        skua_runtime *rt = sk_runtime_of(2);
        skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1);
        sk_stay stay = {0};
        sk_gate ran = 0;
        sk_occupy(pool, &stay, 1);
        submit_many(pool, all, sk_open, &ran);
        if (round % 2) sk_gate_add(&stay.leave);
        int error = skua_runtime_stop(rt, round % 2 ? SKUA_MS(SK_PATIENCE_MS) : 0);
        SK_EXPECT(error == 0 || (error == -ETIMEDOUT && round % 2 == 0)); /* then it goes on */
        expect_all(all, round % 2 ? 0 : -ESHUTDOWN);
        SK_EXPECT_EQ(sk_gate_now(&ran), round % 2 ? MANY : 0);
        end_pool(pool, rt);
    }
}

/* ---- a full queue ---- */

SK_TEST(pool_stored, a_full_queue_refuses_drops_or_lets_the_submitter_wait)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *refuses = SK_POOL(.runtime = rt, .queue = 1, .when_full = SKUA_FULL_REFUSE),
              *drops = SK_POOL(.runtime = rt, .queue = 1, .when_full = SKUA_FULL_DROP_OLDEST),
              *waits = SK_POOL(.runtime = rt, .queue = 1, .wait_at_most = SKUA_US(100));
    skua_pool *pools[] = {refuses, drops, waits};
    int seven = 7;
    for (int i = 0; i < 3; i++) {
        skua_task_storage a = stored(sk_gives, &seven), b = stored(sk_gives, &seven);
        SK_EXPECT_EQ(skua_pool_pause(pools[i]), 0);
        SK_EXPECT_EQ(skua_pool_submit_stored(pools[i], &a), 0);
        int error = skua_pool_submit_stored(pools[i], &b);
        SK_EXPECT_EQ(error, i == 0 ? -EAGAIN : i == 1 ? 0 : -ETIMEDOUT);
        if (error) SK_EXPECT_EQ(skua_stored_wait(&b, 0, NULL), -ESRCH);
        SK_EXPECT_EQ(skua_pool_resume(pools[i]), 0);
        SK_EXPECT_EQ(wait_for(&a), i == 1 ? -ESHUTDOWN : 7);
        if (!error) SK_EXPECT_EQ(wait_for(&b), 7);
        SK_EXPECT_EQ(sk_counts_of(pools[i]).refused, i != 1);
        SK_EXPECT_EQ(skua_pool_release(pools[i]), 0);
    }
    SK_EXPECT_EQ(sk_stats_of(rt).created, 4);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int give_up(void *arg)
{
    (void)arg;
    skua_panic_task("no further");
    return 0;
}

static int run_in_submitter(void *arg)
{
    skua_pool *pool = arg;
    skua_task_storage first = stored(sk_give_0, NULL), s, *self = &s;
    int seven = 7;
    struct {
        skua_fn *fn;
        void *arg;
        int result;
    } cases[] = {{sk_gives, &seven, 7}, {wait_for_itself, &self, -EDEADLK}, {give_up, NULL, -EFAULT}};
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &first), 0);
    for (int i = 0; i < 3; i++) {
        s = stored(cases[i].fn, cases[i].arg);
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), 0);
        SK_EXPECT_EQ(skua_stored_is_idle(&s), 1); /* it is over */
        SK_EXPECT_EQ(wait_for(&s), cases[i].result);
    }
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(wait_for(&first), 0);
    return 0;
}

SK_TEST(pool_stored, its_submitter_may_run_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int measure = 0; measure < 2; measure++) {
        skua_pool *pool = SK_POOL(.runtime = rt, .queue = 1, .when_full = SKUA_FULL_RUN, .measure = measure);
        SK_EXPECT_EQ(sk_run_on(rt, run_in_submitter, pool), 0);
        SK_EXPECT_EQ(run_in_submitter(pool), 0);
        sk_pool_await(pool);
        SK_EXPECT_EQ(sk_counts_of(pool).failed, 4);
        SK_EXPECT_EQ(sk_counts_of(pool).done, 4);
        SK_EXPECT_EQ(skua_pool_release(pool), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- as all tasks of the pool ---- */

SK_TEST(pool_stored, times_count_them)
{
    static skua_histogram waiting, running;
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 2, .measure = true);
    sk_stay stay = {.in_turn = true};
    skua_task_storage a = stored(sk_stays, &stay), b = stored(give_up, NULL), c = stored(sk_give_0, NULL);
    skua_pool_counts counts;
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &a), 0);
    SK_EXPECT(sk_gate_await(&stay.entered, 1));
    skua_sleep(SKUA_MS(2));
    sk_gate_add(&stay.leave);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &b), 0);
    SK_EXPECT_EQ(wait_for(&b), -EFAULT);
    SK_EXPECT_EQ(wait_for(&a), 0);
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &c), 0);
    SK_EXPECT_EQ(skua_pool_stop_now(pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(skua_pool_snapshot(pool, &counts, &waiting, &running), 0);
    SK_EXPECT(counts.done == 1 && counts.failed == 1 && counts.dropped == 1);
    SK_EXPECT(waiting.count == 2 && running.count == 2);
    SK_EXPECT(running.max >= SKUA_MS(2));
    end_pool(pool, rt);
}

SK_TEST(pool_stored, those_in_order_of_deadlines_come_last)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .limit = 1, .order = SKUA_ORDER_DEADLINE);
    sk_gate ran = 0;
    skua_task_storage s = stored(sk_open, &ran);
    skua_task_storage waits = stored(wait_for_itself, &(skua_task_storage *){&s});
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &s), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(pool, &waits), 0); /* after it: or it would wait for ever */
    skua_submit_options o = {.due_within = SKUA_S(1)};
    for (int i = 0; i < 10; i++) SK_EXPECT_EQ(skua_pool_submit_with(pool, NULL, &o, sk_open, &ran), 0);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(wait_for(&waits), 0);
    SK_EXPECT_EQ(sk_gate_now(&ran), 11);
    end_pool(pool, rt);
}

SK_TEST(pool_stored, a_hook_is_told_the_callers_argument)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_group *group = NULL;
    skua_group_error errors[2];
    int failed = -EIO, none = 0;
    SK_EXPECT_EQ(skua_group_create(&group, &(skua_group_options){.runtime = rt, .errors = 2}), 0);
    skua_task_storage runs = stored(sk_gives, &failed), dropped = stored(sk_gives, &none);
    SK_EXPECT_EQ(skua_pool_submit_stored(group->pool, &runs), 0);
    SK_EXPECT_EQ(wait_for(&runs), -EIO);
    SK_EXPECT_EQ(skua_pool_pause(group->pool), 0);
    SK_EXPECT_EQ(skua_pool_submit_stored(group->pool, &dropped), 0);
    SK_EXPECT_EQ(skua_pool_stop_now(group->pool, SKUA_FOREVER), 0);
    SK_EXPECT_EQ(wait_for(&dropped), -ESHUTDOWN);
    SK_EXPECT_EQ(skua_group_errors(group, errors, 2), 2);
    SK_EXPECT(errors[0].arg == &failed && errors[1].arg == &none);
    SK_EXPECT_EQ(skua_group_wait(group, NULL), -EIO);
    SK_EXPECT_EQ(skua_group_release(group), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- cancelled and dropped beside all else ---- */

typedef struct disturber {
    skua_pool *pool;
    sk_gate over;
} disturber;

static void *disturb(void *arg)
{
    disturber *d = arg;
    for (int i = 0; !sk_gate_now(&d->over); i++) {
        if (i % 2) {
            SK_EXPECT(skua_pool_cancel(d->pool) >= 0);
        } else {
            (void)skua_pool_stop_now(d->pool, 0);
            SK_EXPECT_EQ(skua_pool_restart(d->pool), 0);
        }
        skua_sleep(SKUA_US(100));
    }
    return NULL;
}

static void disturb_pool(skua_order order)
{
    enum { BOXES = 16 };
    skua_runtime *rt = sk_runtime_of(2);
    disturber d = {.pool = SK_POOL(.runtime = rt, .limit = 2, .queue = 8, .order = order)};
    pthread_t thread;
    skua_task_storage boxes[BOXES];
    sk_gate ran = 0;
    uint64_t accepted = 0, done = 0;
    for (int i = 0; i < BOXES; i++) boxes[i] = stored(sk_open, &ran);
    SK_EXPECT_EQ(pthread_create(&thread, NULL, disturb, &d), 0);
    for (long i = 0, n = sk_test_scaled(30000); i < n; i++) {
        skua_task_storage *s = &boxes[i % BOXES];
        int result = 1, error = skua_stored_wait(s, SKUA_MS(SK_PATIENCE_MS), &result);
        SK_EXPECT(error == 0 || error == -ESRCH);
        SK_EXPECT(error || result == 0 || result == -ECANCELED || result == -ESHUTDOWN);
        done += !error && result == 0;
        *s = stored(sk_open, &ran);
        error = skua_pool_submit_stored(d.pool, s);
        SK_EXPECT(error == 0 || error == -ESHUTDOWN);
        accepted += !error;
    }
    sk_gate_add(&d.over);
    pthread_join(thread, NULL);
    sk_pool_await(d.pool);
    for (int i = 0; i < BOXES; i++) {
        int result = 1;
        done += skua_stored_wait(&boxes[i], 0, &result) == 0 && result == 0;
    }
    skua_pool_counts c = sk_counts_of(d.pool);
    SK_EXPECT_EQ(c.submitted, accepted);
    SK_EXPECT_EQ(c.done, sk_gate_now(&ran));
    SK_EXPECT_EQ(c.done, done);
    SK_EXPECT_EQ(c.done + c.cancelled + c.dropped, accepted);
    end_pool(d.pool, rt);
}

SK_TEST(pool_stored, beside_cancels_and_stops_each_ends_once)
{
    disturb_pool(SKUA_ORDER_FIFO);
    disturb_pool(SKUA_ORDER_DEADLINE);
}

/* ---- no memory ---- */

#ifdef SK_FAULTS
#include "base/fault.h"

/* Delayed tasks use up what memory there is for tasks. */
SK_TEST(pool_stored, without_memory_for_a_task_it_fails_and_nothing_hangs)
{
    enum { N = 20000 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_pool *pool = SK_POOL(.runtime = rt, .queue = N, .limit = 2);
    skua_task_storage *all = malloc(N * sizeof *all);
    sk_gate ran = 0;
    SK_EXPECT(all != NULL);
    SK_EXPECT_EQ(skua_pool_pause(pool), 0);
    for (int i = 0; i < N; i++) {
        all[i] = stored(sk_open, &ran);
        SK_EXPECT_EQ(skua_pool_submit_stored(pool, &all[i]), 0);
    }
    int error;
    skua_task_options o = {.runtime = rt, .delay = SKUA_S(3600)};
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    do error = skua_spawn_with(NULL, &o, sk_give_0, NULL);
    while (!error);
    SK_EXPECT_EQ(error, -ENOMEM);
    SK_EXPECT_EQ(skua_pool_resume(pool), 0);
    SK_EXPECT_EQ(skua_pool_wait(pool, SKUA_MS(SK_PATIENCE_MS)), 0);
    sk_fault_reset();
    skua_pool_counts c = sk_counts_of(pool);
    uint64_t failed = 0;
    for (int i = 0; i < N; i++) {
        int result = wait_for(&all[i]);
        SK_EXPECT(result == 0 || result == -ENOMEM);
        failed += result != 0;
    }
    SK_EXPECT(failed > 0);
    SK_EXPECT_EQ(c.failed, failed);
    SK_EXPECT_EQ(c.done, sk_gate_now(&ran));
    SK_EXPECT_EQ(c.done + c.failed, N);
    free(all);
    end_pool(pool, rt);
}
#endif
