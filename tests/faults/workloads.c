/*
 * workloads.c: see workloads.h.
 *
 * Every task that is tried stands in a list with what the call said, and counts
 * its own starts and returns.  At the end, whatever failed meanwhile: who was
 * accepted has run exactly once, but for those that ended in another documented
 * way; who was refused has not; and the runtime's own counters say the same.
 */
#include "workloads.h"

#include "support/tasks.h"

#include "base/fault.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool nobody_can_sleep, heals;
uint64_t hits_before;

/* ---- tasks that are accounted for ---- */

typedef struct crew crew;

typedef struct item {
    crew *of;
    skua_fn *does;               /* NULL: nothing */
    sk_atomic(uint32_t) entered; /* starts */
    sk_atomic(uint32_t) left;    /* returns */
    skua_task task;
    bool accepted, joinable;
    bool may_not_start; /* it may end as failed, cancelled, expired or dropped without a start */
} item;

enum { ITEMS = 6400 };

struct crew {
    skua_runtime *rt;
    skua_pool *pool;
    sk_atomic(uint32_t) tried;
    item items[ITEMS];
};

/* What a call may say when memory or threads are out. */
static bool scarce(int error)
{
    return error == -ENOMEM || error == -EAGAIN;
}

static int enter(void *arg)
{
    item *it = (item *)arg;
    sk_add_ar(&it->entered, 1u);
    int result = it->does ? it->does(it) : 0;
    sk_add_ar(&it->left, 1u);
    return result;
}

static item *new_item(crew *c, skua_fn *does)
{
    uint32_t n = sk_add_rlx(&c->tried, 1u);
    SK_EXPECT(n < ITEMS);
    c->items[n].of = c;
    c->items[n].does = does;
    return &c->items[n];
}

/* Spawns; NULL when it was refused for want of memory. */
static item *spawn(crew *c, skua_fn *does, const skua_task_options *options, bool joinable)
{
    skua_task_options o = options ? *options : (skua_task_options){0};
    if (!o.runtime) o.runtime = c->rt;
    item *it = new_item(c, does);
    it->joinable = joinable;
    it->may_not_start = o.stack_size || o.start_within || o.finish_within;
    int error = skua_spawn_with(joinable ? &it->task : NULL, &o, enter, it);
    SK_EXPECT(error == 0 || error == -ENOMEM);
    it->accepted = error == 0;
    return it->accepted ? it : NULL;
}

/* Joins; when there is no memory to wait with the handle is still good, and giving it up needs none. */
static void join(item *it)
{
    int result = 1, error = -1;
    if (!it) return;
    for (int tries = 0; tries < 3 && (error = skua_join(it->task, &result)) == -ENOMEM; tries++) usleep(50);
    if (error == -ENOMEM) {
        SK_EXPECT_EQ(skua_detach(it->task), 0);
        return;
    }
    SK_EXPECT_EQ(error, 0);
    SK_EXPECT_EQ(sk_load_acq(&it->entered), sk_load_acq(&it->left)); /* it has ended */
    if (!it->may_not_start) SK_EXPECT_EQ(sk_load_acq(&it->left), 1);
    if (sk_load_acq(&it->left) == 0) SK_EXPECT(result < 0);
}

/* ---- what tasks do ---- */

static int sleeps(void *arg)
{
    (void)arg;
    uint64_t before = skua_now();
    int error = skua_sleep(SKUA_US(100));
    SK_EXPECT(error == -ENOMEM || (error == 0 && skua_now() - before >= SKUA_US(100)));
    return 0;
}

static int yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        int error = skua_yield();
        SK_EXPECT(error == 0 || error == -ENOMEM);
    }
    return 0;
}

static int blocks(void *arg)
{
    (void)arg;
    SK_EXPECT_EQ(skua_blocking_begin(), 0);
    usleep(150);
    SK_EXPECT_EQ(skua_blocking_end(), 0);
    return 0;
}

/* ---- the end of a crew ---- */

/* Waits until every task has ended; from a thread. Nothing is lost, and nobody has run twice. */
static void settle(crew *c, uint64_t others)
{
    uint64_t give_up = skua_now() + SKUA_S(12), accepted = others, entered = others, may_not = 0;
    skua_stats s;
    while (s = sk_stats_of(c->rt), sk_ended(&s) != s.created) {
        if (skua_now() > give_up) {
            fprintf(stderr, "stuck: created %lu, queued %lu, running %lu, parked %lu, workers %u, threads %u\n",
                    s.created, s.queued, s.running, s.parked, s.workers, s.threads);
            abort();
        }
        usleep(100);
    }
    uint32_t tried = sk_load_acq(&c->tried);
    for (uint32_t i = 0; i < tried; i++) {
        item *it = &c->items[i];
        SK_EXPECT_EQ(sk_load_acq(&it->entered), sk_load_acq(&it->left));
        if (!it->may_not_start) SK_EXPECT_EQ(sk_load_acq(&it->entered), it->accepted);
        SK_EXPECT(sk_load_acq(&it->entered) <= it->accepted);
        accepted += it->accepted;
        entered += sk_load_acq(&it->entered);
        may_not += it->accepted && it->may_not_start;
    }
    SK_EXPECT_EQ(s.created, accepted);
    SK_EXPECT(s.done + s.failed + s.cancelled + s.expired >= entered); /* a started one is never dropped */
    SK_EXPECT(s.dropped <= may_not);
}

/* The machine is well again, and so is a runtime that has seen it otherwise. */
static void heal(crew *c)
{
    hits_before += sk_fault_any_hits();
    sk_fault_reset();
    nobody_can_sleep = heals = false;
    for (int i = 0; i < 10; i++) {
        item *it = spawn(c, i % 3 == 0 ? sleeps : i % 3 == 1 ? yields : blocks, NULL, true);
        int result;
        SK_EXPECT(it != NULL);
        SK_EXPECT(skua_join(it->task, &result) == 0 && result == 0);
    }
    int error = skua_runtime_resize(c->rt, 3);
    SK_EXPECT(error == 0 || error == -EPERM);
    for (uint64_t give_up = skua_now() + SKUA_S(12); !error && sk_stats_of(c->rt).workers != 3; usleep(100))
        SK_EXPECT(skua_now() < give_up);
}

static void release(crew *c, uint64_t others)
{
    if (c->pool) SK_EXPECT_EQ(skua_pool_release(c->pool), 0);
    settle(c, others);
    if (heals) heal(c);
    SK_EXPECT_EQ(skua_runtime_release(c->rt), 0);
    free(c);
}

static skua_runtime *runtime_with(const skua_runtime_options *o)
{
    skua_runtime *rt = NULL;
    int error = skua_runtime_create(&rt, o);
    SK_EXPECT(error == 0 || scarce(error));
    SK_EXPECT_EQ(error == 0, rt != NULL);
    return rt;
}

/* NULL when the runtime cannot be made. */
static crew *crew_with(const skua_runtime_options *o)
{
    skua_runtime *rt = runtime_with(o);
    if (!rt) return NULL;
    crew *c = (crew *)calloc(1, sizeof *c);
    SK_EXPECT(c != NULL);
    c->rt = rt;
    return c;
}

static crew *crew_of(uint32_t workers)
{
    return crew_with(&(skua_runtime_options){.workers_max = workers});
}

/* A thread of the program's own, which skua has not seen. */
static void on_a_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    SK_EXPECT_EQ(pthread_create(&thread, NULL, fn, arg), 0);
    SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
}

static void on_two_threads(void *(*fn)(void *), void *arg)
{
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_create(&thread[i], NULL, fn, arg), 0);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(pthread_join(thread[i], NULL), 0);
}

/* ---- more of what tasks do ---- */

/* For ever, until it is cancelled; without a stack to go on with it cannot sleep at all. */
static int sleeps_long(void *arg)
{
    (void)arg;
    int error = skua_sleep(SKUA_S(100));
    SK_EXPECT(error == -ECANCELED || error == -ETIMEDOUT || error == -ENOMEM);
    return error;
}

static int has_children(void *arg)
{
    crew *c = ((item *)arg)->of;
    item *child[3];
    child[0] = spawn(c, NULL, NULL, true);
    child[1] = spawn(c, sleeps, NULL, true);
    child[2] = spawn(c, yields, NULL, true);
    sleeps(NULL);
    for (int i = 0; i < 3; i++) join(child[i]);
    return 0;
}

/* ---- create ---- */

static void work_create(void)
{
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        skua_runtime *rt = runtime_with(&(skua_runtime_options){.workers_max = workers});
        if (rt && workers == 3) SK_EXPECT_EQ(skua_runtime_stop(rt, 0), 0);
        if (rt) SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    }
    crew *c = crew_with(NULL);
    if (c) release(c, 0);
}

/* ---- tasks ---- */

static void work_tasks(void)
{
    crew *c = crew_of(2);
    if (!c) return;
    item *all[10], *to_cancel[3];
    for (int i = 0; i < 3; i++) {
        to_cancel[i] = spawn(c, sleeps_long, NULL, true);
        if (to_cancel[i]) to_cancel[i]->may_not_start = true;
    }
    for (int i = 0; i < 10; i++)
        all[i] = spawn(c, i % 3 == 0 ? has_children : i % 3 == 1 ? sleeps : yields, NULL, true);
    for (int i = 0; i < 9; i++) join(all[i]);
    if (all[9]) SK_EXPECT_EQ(skua_detach(all[9]->task), 0);
    for (int i = 0; i < 3; i++) {
        if (!to_cancel[i]) continue;
        int error = skua_cancel(to_cancel[i]->task);
        SK_EXPECT(error == 0 || error == -EALREADY); /* the latter: it could not sleep, and has ended */
        join(to_cancel[i]);
    }
    release(c, 0);
}

/* ---- growth of queues and slabs, from outside and from inside ---- */

static void *submit_many(void *arg)
{
    crew *c = (crew *)arg;
    for (int i = 0; i < 2200; i++) spawn(c, i % 500 == 99 ? sleeps : NULL, NULL, false);
    return NULL;
}

static int spawns_many(void *arg)
{
    crew *c = ((item *)arg)->of;
    for (int i = 0; i < 700; i++) {
        item *it = new_item(c, NULL);
        int error = skua_go(enter, it);
        SK_EXPECT(error == 0 || error == -ENOMEM);
        it->accepted = error == 0;
    }
    void *args[64];
    skua_task handles[64];
    for (int i = 0; i < 64; i++) args[i] = new_item(c, NULL);
    int started = skua_spawn_batch(handles, 64, enter, args);
    SK_EXPECT(started > 0 || started == -ENOMEM);
    for (int i = 0; i < started; i++) {
        ((item *)args[i])->accepted = true;
        ((item *)args[i])->task = handles[i];
        join((item *)args[i]);
    }
    return 0;
}

static sk_gate held;

static int is_held(void *arg)
{
    (void)arg;
    while (sk_gate_now(&held)) usleep(20);
    return 0;
}

static void work_growth(void)
{
    crew *c = crew_of(1);
    if (!c) return;
    /* The only worker is held meanwhile: more tasks live at a time than a chunk of the slab holds. */
    sk_gate_add(&held);
    spawn(c, is_held, NULL, false);
    item *grower = spawn(c, spawns_many, NULL, true);
    on_two_threads(submit_many, c);
    sk_store_rel(&held, 0u);
    join(grower);
    release(c, 0);
}

/* ---- pools ---- */

static void submit(crew *c, skua_fn *does, bool may_wait)
{
    item *it = new_item(c, does);
    int error = may_wait ? skua_pool_submit(c->pool, enter, it) : skua_pool_try_submit(c->pool, enter, it);
    SK_EXPECT(error == 0 || error == -ENOMEM || (error == -EAGAIN && !may_wait));
    it->accepted = error == 0;
}

static void *submit_to_pool(void *arg)
{
    crew *c = (crew *)arg;
    for (int i = 0; i < 40; i++) submit(c, i % 4 ? NULL : sleeps, i % 8 != 7);
    int error = skua_pool_wait(c->pool, SKUA_S(10));
    SK_EXPECT(error == 0 || error == -ENOMEM);
    return NULL;
}

static int submits_to_pool(void *arg)
{
    submit_to_pool(((item *)arg)->of);
    return 0;
}

static int submits_to_its_own_pool(void *arg)
{
    crew *c = ((item *)arg)->of;
    for (int i = 0; i < 4; i++) submit(c, NULL, false);
    SK_EXPECT_EQ(skua_pool_wait(c->pool, 0), -EDEADLK);
    return 0;
}

static void work_pool(void)
{
    crew *c = crew_of(2);
    if (!c) return;
    int error = skua_pool_create(&c->pool, &(skua_pool_options){.runtime = c->rt, .limit = 2, .queue = 4});
    SK_EXPECT(error == 0 || error == -ENOMEM);
    SK_EXPECT_EQ(error == 0, c->pool != NULL);
    if (c->pool) {
        item *inside = spawn(c, submits_to_pool, NULL, true);
        submit(c, submits_to_its_own_pool, true);
        on_a_thread(submit_to_pool, c);
        join(inside);
        skua_pool_counts p;
        SK_EXPECT_EQ(skua_pool_stats(c->pool, &p), 0);
        SK_EXPECT_EQ(p.submitted, p.queued + p.running + p.done + p.failed + p.cancelled + p.expired + p.dropped);
    }
    release(c, 0);
}

/* A task waits for its pool and frees it. */
static int makes_a_pool(void *arg)
{
    crew *c = ((item *)arg)->of;
    skua_pool *pool = NULL;
    int error = skua_pool_create(&pool, NULL);
    SK_EXPECT(error == 0 || error == -ENOMEM);
    if (!pool) return 0;
    for (int i = 0; i < 20; i++) {
        item *it = new_item(c, i % 5 ? NULL : sleeps);
        error = skua_pool_submit(pool, enter, it);
        SK_EXPECT(error == 0 || error == -ENOMEM);
        it->accepted = error == 0;
    }
    uint64_t begin = skua_now();
    while ((error = skua_pool_release(pool)) == -ENOMEM) { /* no stack to wait with; the others still use ours */
        /* When all workers stand here and there is no memory for a stack, the pools' tasks cannot run: not before the
           machine is well again. */
        if (skua_now() - begin > SKUA_S(2)) sk_fault_reset();
        SK_EXPECT(skua_now() - begin < SKUA_S(10));
        skua_blocking_begin();
        usleep(100);
        skua_blocking_end();
    }
    SK_EXPECT_EQ(error, 0);
    return 0;
}

static void work_pools_of_tasks(void)
{
    crew *c = crew_of(2);
    if (!c) return;
    for (int i = 0; i < 3; i++) spawn(c, makes_a_pool, NULL, false);
    release(c, 0);
}

/* ---- workers come and go ---- */

static void work_resize(void)
{
    static const uint32_t sizes[] = {4, 1, 3, 2};
    crew *c = crew_of(1);
    if (!c) return;
    for (int i = 0; i < 4; i++) {
        SK_EXPECT_EQ(skua_runtime_resize(c->rt, sizes[i]), 0);
        for (int k = 0; k < 12; k++) spawn(c, k % 3 == 0 ? sleeps : k % 3 == 1 ? yields : NULL, NULL, false);
        usleep(700);
    }
    release(c, 0);
}

static void work_blocking(void)
{
    crew *c = crew_of(2);
    if (!c) return;
    item *all[16];
    for (int i = 0; i < 16; i++) all[i] = spawn(c, i % 4 ? blocks : has_children, NULL, true);
    for (int i = 0; i < 16; i++) join(all[i]);
    release(c, 0);
}

static void work_adjusters(void)
{
    static const skua_adjust policies[] = {SKUA_ADJUST_BACKLOG, SKUA_ADJUST_BLOCKING};
    for (int i = 0; i < 2; i++) {
        crew *c = crew_with(
            &(skua_runtime_options){.workers_max = 3, .adjust = policies[i], .adjust_interval = SKUA_US(100)});
        if (!c) continue;
        for (int k = 0; k < 24; k++) spawn(c, k % 3 ? blocks : sleeps, NULL, false);
        release(c, 0);
    }
}

/* ---- the default runtime ---- */

static void work_default(void)
{
    crew *c = (crew *)calloc(1, sizeof *c);
    SK_EXPECT(c != NULL);
    for (int i = 0; i < 12; i++) {
        item *it = new_item(c, i % 2 ? NULL : sleeps);
        int error = i % 4 == 3 ? skua_after(SKUA_US(50), enter, it) : skua_go(enter, it);
        SK_EXPECT(error == 0 || error == -ENOMEM);
        it->accepted = error == 0;
    }
    skua_pool *pool = NULL;
    int error = skua_pool_create(&pool, NULL);
    SK_EXPECT(error == 0 || error == -ENOMEM);
    if (pool) SK_EXPECT_EQ(skua_pool_release(pool), 0);
    c->rt = skua_runtime_default();
    if (c->rt) {
        release(c, 0);
        return;
    }
    for (uint32_t i = 0; i < sk_load_acq(&c->tried); i++) SK_EXPECT(!c->items[i].accepted);
    free(c);
}

/* ---- timers and deadlines ---- */

static void start_timer(crew *c, uint64_t ns, bool stop)
{
    item *it = spawn(c, NULL, &(skua_task_options){.delay = ns}, true);
    if (!it || !stop) {
        if (it) SK_EXPECT_EQ(skua_detach(it->task), 0);
        return;
    }
    it->may_not_start = true;
    int error = skua_timer_stop((skua_timer){it->task});
    SK_EXPECT(error == 0 || error == -ESRCH);
    join(it);
}

static int sets_timers(void *arg)
{
    crew *c = ((item *)arg)->of;
    for (uint64_t i = 0; i < 12; i++) start_timer(c, SKUA_US(50 + 40 * i), i % 3 == 2);
    return 0;
}

static void *set_timers(void *arg)
{
    item it = {.of = (crew *)arg};
    sets_timers(&it);
    return NULL;
}

static void work_timers(void)
{
    crew *c = crew_of(2);
    if (!c) return;
    spawn(c, sets_timers, NULL, false);
    on_a_thread(set_timers, c);
    item *late[4];
    for (int i = 0; i < 4; i++) {
        skua_task_options o = {.finish_within = SKUA_US(300), .start_within = i % 2 ? SKUA_US(100) : 0};
        late[i] = spawn(c, sleeps_long, &o, true);
    }
    for (int i = 0; i < 4; i++) { /* a joiner is told at the deadline, before the task has ended */
        int error, result;
        if (!late[i]) continue;
        while ((error = skua_join_for(late[i]->task, SKUA_US(200), &result)) == -ETIMEDOUT) {
        }
        if (error == -ENOMEM)
            SK_EXPECT_EQ(skua_detach(late[i]->task), 0);
        else
            SK_EXPECT_EQ(error, 0);
    }
    release(c, 0);
}

/* ---- rest: an idle runtime of which something failed sleeps as any other ---- */

static uint64_t cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void work_rest(void)
{
    enum { REST_US = 20000 };
    crew *c = crew_of(2);
    if (!c) return;
    for (int i = 0; i < 40; i++) spawn(c, i % 2 ? sleeps : blocks, NULL, false);
    SK_EXPECT_EQ(skua_runtime_resize(c->rt, 3), 0);
    settle(c, 0);
    uint64_t before = cpu_us();
    usleep(REST_US);
    uint64_t used = cpu_us() - before;
    if (!nobody_can_sleep && used > REST_US / 2) {
        fprintf(stderr, "an idle runtime has used %lu us of %d us\n", (unsigned long)used, REST_US);
        abort();
    }
    release(c, 0);
}

/* ---- threads without a record end what others have begun ---- */

typedef struct leftovers {
    crew *c;
    item *timer[4], *done[4];
} leftovers;

static void *tidy_up(void *arg)
{
    leftovers *l = (leftovers *)arg;
    for (int i = 0; i < 4; i++) {
        if (!l->timer[i]) continue;
        if (i % 2)
            SK_EXPECT_EQ(skua_timer_stop((skua_timer){l->timer[i]->task}), 0);
        else
            SK_EXPECT_EQ(skua_cancel(l->timer[i]->task), 0);
    }
    for (int i = 0; i < 4; i++) {
        int result = -1;
        if (!l->done[i]) continue;
        if (i % 2)
            SK_EXPECT_EQ(skua_detach(l->done[i]->task), 0);
        else
            SK_EXPECT_EQ(skua_join_for(l->done[i]->task, 0, &result), 0);
    }
    return NULL;
}

static void work_bystanders(void)
{
    crew *c = crew_of(1);
    if (!c) return;
    leftovers l = {.c = c};
    for (int i = 0; i < 4; i++) {
        l.timer[i] = spawn(c, NULL, &(skua_task_options){.delay = SKUA_S(1000)}, true);
        if (l.timer[i]) l.timer[i]->may_not_start = true;
        l.done[i] = spawn(c, NULL, NULL, true);
    }
    for (int i = 0; i < 4; i++)
        while (l.done[i] && sk_load_acq(&l.done[i]->left) == 0) usleep(50);
    usleep(300); /* their ends come right after their returns */
    on_a_thread(tidy_up, &l);
    for (int i = 0; i < 4; i++)
        if (l.timer[i]) SK_EXPECT_EQ(skua_detach(l.timer[i]->task), 0);
    release(c, 0);
}

/* ---- stacks of all sizes ---- */

static void work_stacks(void)
{
    static const size_t sizes[] = {16 << 10, 0, 256 << 10, 1 << 20, 8 << 20};
    crew *c = crew_of(2);
    if (!c) return;
    item *all[20];
    for (int i = 0; i < 20; i++)
        all[i] = spawn(c, i % 2 ? sleeps : has_children, &(skua_task_options){.stack_size = sizes[i % 5]}, true);
    for (int i = 0; i < 20; i++) join(all[i]);
    release(c, 0);
}

/* More fibers at a time than the first reservation holds: when there is no second one, some cannot park. */
static int sleeps_with_others(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int error = skua_sleep(SKUA_MS(1));
        SK_EXPECT(error == 0 || error == -ENOMEM);
        error = skua_yield();
        SK_EXPECT(error == 0 || error == -ENOMEM);
    }
    return 0;
}

static void work_many_fibers(void)
{
    enum { FIBERS = 330 }; /* the first reservation of this class has 256 */
    crew *c = crew_with(&(skua_runtime_options){.workers_max = 2, .stack_size = 1 << 20});
    if (!c) return;
    for (int i = 0; i < FIBERS; i++) spawn(c, sleeps_with_others, NULL, false);
    item *family[4];
    for (int i = 0; i < 4; i++) family[i] = spawn(c, has_children, NULL, true);
    for (int i = 0; i < 4; i++) join(family[i]);
    release(c, 0);
}

/* ---- one runtime ends another ---- */

static skua_runtime *victim;
static sk_gate ender_runs;

static int ends_another(void *arg)
{
    (void)arg;
    sk_gate_add(&ender_runs);
    while (!skua_cancelled()) usleep(20); /* a cancelled task may not park any more */
    uint64_t before = cpu_us(), begin = skua_now();
    int error = skua_runtime_stop(victim, SKUA_MS(2));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT);
    SK_EXPECT_EQ(skua_runtime_release(victim), 0);
    victim = NULL;
    /* It waits some 18 ms for the sleeper (longer on a busy machine), without spinning. */
    if (!nobody_can_sleep) SK_EXPECT(cpu_us() - before < 6000 + (skua_now() - begin) / 4000);
    return 0;
}

static int naps_on(void *arg)
{
    (void)arg;
    usleep(20000);
    return 0;
}

static void work_release_from_a_task(void)
{
    crew *c = crew_of(1);
    if (!c) return;
    victim = runtime_with(&(skua_runtime_options){.workers_max = 1});
    if (victim) {
        (void)skua_spawn_with(NULL, &(skua_task_options){.runtime = victim}, naps_on, NULL);
        item *ender = spawn(c, ends_another, NULL, true);
        while (ender && sk_gate_now(&ender_runs) == 0) usleep(50);
        if (ender) SK_EXPECT_EQ(skua_cancel(ender->task), 0);
        join(ender);
        if (!ender) SK_EXPECT_EQ(skua_runtime_release(victim), 0);
    }
    release(c, 0);
}

/* ---- all of them ---- */

const workload workloads[] = {
    {"create", work_create, true},
    {"tasks", work_tasks, false},
    {"growth", work_growth, false},
    {"pool", work_pool, false},
    {"pools of tasks", work_pools_of_tasks, false},
    {"resize", work_resize, false},
    {"blocking", work_blocking, false},
    {"adjusters", work_adjusters, false},
    {"default runtime", work_default, true},
    {"timers", work_timers, false},
    {"rest", work_rest, false},
    {"bystanders", work_bystanders, false},
    {"stacks", work_stacks, false},
    {"many fibers", work_many_fibers, false},
    {"release from a task", work_release_from_a_task, false},
    {"jobs", work_jobs, false},
    {"groups", work_groups, false},
    {"streams", work_streams, false},
    {"mutexes", work_mutexes, false},
    {"signals", work_signals, false},
};
const int workload_count = (int)(sizeof workloads / sizeof *workloads);

/* ---- in health ---- */

void work_in_health(void)
{
    crew *c = crew_of(2);
    SK_EXPECT(c != NULL);
    SK_EXPECT_EQ(skua_pool_create(&c->pool, &(skua_pool_options){.runtime = c->rt, .limit = 3, .queue = 8}), 0);
    for (int i = 0; i < 20; i++) {
        item *it = spawn(c, i % 4 ? sleeps : has_children, NULL, true);
        SK_EXPECT(it != NULL);
        int result;
        SK_EXPECT_EQ(skua_join(it->task, &result), 0);
        submit(c, yields, true);
    }
    SK_EXPECT_EQ(skua_pool_wait(c->pool, SKUA_S(10)), 0);
    uint32_t tried = sk_load_acq(&c->tried);
    for (uint32_t i = 0; i < tried; i++) SK_EXPECT(c->items[i].accepted);
    release(c, 0);
    work_pools_in_health();
}
