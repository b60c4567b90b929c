/*
 * workloads_pools.c: pools with all that is built on them: jobs, futures, levels, subpools, groups, loops, streams, the
 * mutex, and tasks that give up. See workloads.h.
 *
 * Each workload runs from a thread and from inside a task, where waiting needs a stack.
 */
#include "workloads.h"

#include "support/tasks.h"

#include "base/base.h"
#include "base/fault.h"
#include "mem/slab.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static skua_runtime *runtime;
static bool well; /* nothing is refused any more */

static bool excused(int error)
{
    return error == -ENOMEM && !well;
}

/* From inside a task too, where there may be no memory to wait with for now. */
static void release_pool(skua_pool *pool)
{
    uint64_t begin = skua_now();
    int error = 0;
    while (pool && (error = skua_pool_release(pool)) == -ENOMEM) {
        if (skua_now() - begin > SKUA_S(2)) sk_fault_reset(); /* all workers may stand here, see makes_a_pool */
        SK_EXPECT(skua_now() - begin < SKUA_S(10));
        skua_blocking_begin();
        usleep(100);
        skua_blocking_end();
    }
    SK_EXPECT_EQ(error, 0);
}

static skua_pool *new_pool(const skua_pool_options *o)
{
    skua_pool *pool = NULL;
    int error = skua_pool_create(&pool, o);
    SK_EXPECT(error == 0 || excused(error));
    SK_EXPECT_EQ(error == 0, pool != NULL);
    return pool;
}

/* ---- jobs ---- */

enum { ORDERS = 18 };

typedef struct order {
    sk_atomic(uint32_t) runs, told, then;
    uint32_t fails, times; /* attempts that fail; further attempts */
    bool accepted, asks, has_future, has_then;
    skua_future future;
} order;

static int run_order(void *arg)
{
    order *o = (order *)arg;
    uint32_t runs = sk_add_ar(&o->runs, 1u);
    int error = skua_sleep(SKUA_US(50));
    SK_EXPECT(error == 0 || excused(error));
    if (runs < o->fails && runs % 2) skua_panic_task("attempt %u", runs);
    return runs < o->fails ? -EIO : 0;
}

static void told(void *arg, void *given, int result)
{
    (void)given;
    (void)result;
    sk_add_ar(&((order *)arg)->told, 1u);
}

static void then(void *arg, void *given, int result)
{
    (void)given;
    (void)result;
    sk_add_ar(&((order *)arg)->then, 1u);
}

static void place(order *o, skua_pool *pool, uint32_t i)
{
    skua_submit_options options = {.retry = {.times = i % 3, .backoff = i % 2 ? SKUA_US(50) : 0}};
    *o = (order){.fails = i % 4, .times = i % 3, .asks = i % 2, .has_future = i % 3 == 0};
    if (o->asks) options.ended = (skua_ended){told, o, NULL};
    if (i % 5 == 4) options.run_within = SKUA_S(5);
    int error = o->has_future ? skua_pool_submit_future(pool, &o->future, &options, run_order, o)
                              : skua_pool_submit_with(pool, NULL, &options, run_order, o);
    SK_EXPECT(error == 0 || excused(error));
    o->accepted = error == 0;
    if (!o->accepted || !o->has_future) return;
    o->has_then = i % 2;
    if (o->has_then) SK_EXPECT_EQ(skua_future_then(o->future, then, o, NULL), 0);
}

static void collect(order *o)
{
    int result = 1, error;
    if (!o->accepted || !o->has_future) return;
    error = skua_future_wait(o->future, SKUA_FOREVER, &result);
    SK_EXPECT(error == 0 || excused(error));
    if (error == 0 && well) SK_EXPECT_EQ(result<0, o->fails> o->times);
    SK_EXPECT_EQ(skua_future_release(o->future), 0);
}

static void check_order(const order *o)
{
    uint32_t runs = sk_load_acq((sk_atomic(uint32_t) *)&o->runs), most = sk_min(o->fails, o->times) + 1;
    SK_EXPECT(runs <= (o->accepted ? most : 0));
    if (well) SK_EXPECT_EQ(runs, most);
    SK_EXPECT_EQ(sk_load_acq((sk_atomic(uint32_t) *)&o->told), o->accepted && o->asks);
    if (!o->has_then) SK_EXPECT_EQ(sk_load_acq((sk_atomic(uint32_t) *)&o->then), 0);
}

static int jobs(void *unused)
{
    (void)unused;
    static order all[2][ORDERS]; /* of a thread, and of a task */
    order *orders = all[skua_runtime_current() != NULL];
    skua_pool *top = new_pool(&(skua_pool_options){.runtime = runtime, .limit = 2, .queue = 4, .levels = 2}),
              *below = NULL;
    if (top) below = new_pool(&(skua_pool_options){.parent = top, .limit = 1, .queue = SKUA_POOL_NO_QUEUE});
    memset(orders, 0, sizeof all[0]);
    for (uint32_t i = 0; below && i < ORDERS; i++) place(&orders[i], i % 4 == 3 ? below : top, i);
    for (uint32_t i = 0; below && i < ORDERS; i++) collect(&orders[i]);
    release_pool(below);
    release_pool(top);
    for (uint32_t i = 0; below && i < ORDERS; i++) check_order(&orders[i]);
    return 0;
}

/* ---- groups and loops ---- */

static int fails_at_5(void *arg)
{
    uint32_t i = sk_add_ar((sk_gate *)arg, 1u);
    int error = skua_sleep(SKUA_US(30));
    SK_EXPECT(error == 0 || error == -ECANCELED || excused(error)); /* cancelled by a release that could not park */
    return i == 5 ? -EIO : 0;
}

static uint32_t fill(skua_group *group, sk_gate *runs)
{
    uint32_t accepted = 0;
    for (int i = 0; i < 8; i++) {
        int error = skua_group_go(group, fails_at_5, runs);
        SK_EXPECT(error == 0 || excused(error));
        accepted += error == 0;
    }
    return accepted;
}

static int each(void *ctx, size_t i)
{
    sk_gate_add(&((sk_gate *)ctx)[i]);
    return 0;
}

static void loop(void)
{
    enum { ITEMS = 12 };
    sk_gate calls[ITEMS] = {0};
    int results[ITEMS];
    int error =
        skua_for_each(&(skua_loop_options){.runtime = runtime, .limit = 3, .results = results}, ITEMS, each, calls);
    SK_EXPECT(error == 0 || excused(error));
    for (int i = 0; i < ITEMS; i++) SK_EXPECT_EQ(sk_gate_now(&calls[i]), error == 0 || results[i] == 0);
}

static int groups(void *unused)
{
    (void)unused;
    skua_group *group = NULL, *below = NULL;
    sk_gate runs = 0, runs_below = 0;
    int error =
        skua_group_create(&group, &(skua_group_options){.runtime = runtime, .limit = 2, .queue = 2, .errors = 4});
    SK_EXPECT(error == 0 || excused(error));
    if (group) {
        error = skua_group_create(&below, &(skua_group_options){.parent = group, .limit = 1});
        SK_EXPECT(error == 0 || excused(error));
        uint32_t accepted = fill(group, &runs), accepted_below = below ? fill(below, &runs_below) : 0;
        int cause = 0;
        error = skua_group_wait(group, &cause);
        SK_EXPECT(error == cause || excused(error));
        if (well) SK_EXPECT_EQ(cause, -EIO);
        if (below) SK_EXPECT_EQ(skua_group_release(below), 0);
        SK_EXPECT_EQ(skua_group_release(group), 0);
        /* A caller without memory to wait with cancels; what was accepted may not start then. */
        SK_EXPECT(sk_gate_now(&runs) <= accepted && sk_gate_now(&runs_below) <= accepted_below);
        if (well) SK_EXPECT_EQ(sk_gate_now(&runs) + sk_gate_now(&runs_below), 16);
    }
    loop();
    return 0;
}

/* ---- streams ---- */

typedef struct flow {
    sk_gate runs, calls;
    uint32_t next; /* callbacks come one at a time */
    uint32_t number[16];
} flow;

static flow flows[2];

static int item(void *arg)
{
    (void)arg;
    int error = skua_sleep(SKUA_US(30));
    SK_EXPECT(error == 0 || error == -ECANCELED || excused(error));
    return 0;
}

static int back(void *arg, int result)
{
    (void)result;
    uint32_t *number = (uint32_t *)arg;
    flow *f = &flows[*number / 100];
    SK_EXPECT(*number % 100 >= f->next); /* those between were refused */
    f->next = *number % 100 + 1;
    sk_gate_add(&f->calls);
    return 0;
}

static int streams(void *unused)
{
    (void)unused;
    uint32_t who = skua_runtime_current() != NULL, accepted = 0;
    flow *f = &flows[who];
    skua_stream *stream = NULL;
    memset(f, 0, sizeof *f);
    int error = skua_stream_create(&stream, &(skua_stream_options){.runtime = runtime, .limit = 2, .window = 3});
    SK_EXPECT(error == 0 || excused(error));
    if (!stream) return 0;
    for (uint32_t i = 0; i < 12; i++) {
        f->number[i] = 100 * who + i;
        error = skua_stream_go(stream, item, back, &f->number[i]);
        SK_EXPECT(error == 0 || excused(error));
        accepted += error == 0;
    }
    SK_EXPECT_EQ(skua_stream_release(stream), 0);
    SK_EXPECT_EQ(sk_gate_now(&f->calls), accepted);
    if (well) SK_EXPECT_EQ(accepted, 12);
    return 0;
}

/* ---- the mutex, and giving up with it ---- */

static skua_mutex mutex = SKUA_MUTEX_INIT;
static uint32_t guarded;

static int unlock(void *unused)
{
    (void)unused;
    return skua_mutex_unlock(&mutex);
}

static int locks(void *gives_up)
{
    skua_deferred d;
    int error = skua_mutex_lock(&mutex);
    SK_EXPECT(error == 0 || excused(error));
    if (error) return error;
    SK_EXPECT_EQ(skua_defer(&d, unlock, NULL), 0);
    guarded++;
    error = skua_sleep(SKUA_US(20));
    SK_EXPECT(error == 0 || excused(error));
    if (gives_up) skua_panic_task("with the mutex");
    SK_EXPECT_EQ(skua_defer_pop(1), 0);
    return 0;
}

static int mutexes(void *unused)
{
    (void)unused;
    skua_task task[8];
    bool there[8];
    for (int i = 0; i < 8; i++) {
        int error = skua_spawn_with(&task[i], &(skua_task_options){.runtime = runtime}, locks, i % 3 ? NULL : &task);
        SK_EXPECT(error == 0 || excused(error));
        there[i] = error == 0;
    }
    for (int i = 0; i < 8; i++) {
        if (!there[i]) continue;
        int error = -ENOMEM;
        for (int tries = 0; tries < 3 && error == -ENOMEM; tries++) error = skua_join(task[i], NULL);
        SK_EXPECT(error == 0 || excused(error));
        if (error) SK_EXPECT_EQ(skua_detach(task[i]), 0);
    }
    return 0;
}

/* ---- tickers and signals ---- */

static int call_nobody(void *arg)
{
    return arg != NULL;
}

static void a_ticker(skua_fn *fn)
{
    skua_ticker *t = NULL;
    uint64_t when;
    int error = fn ? skua_ticker_call(&t, SKUA_US(50), SKUA_US(50), fn, NULL)
                   : skua_ticker_create(&t, SKUA_US(50), SKUA_US(50));
    SK_EXPECT(error == 0 || excused(error));
    if (error) return;
    if (!fn) error = skua_chan_recv_for(skua_ticker_chan(t), &when, SKUA_MS(20));
    SK_EXPECT(error == 0 || error == -ETIMEDOUT || excused(error));
    error = skua_ticker_reset(t, SKUA_S(100), 0);
    SK_EXPECT(error == 0 || excused(error) || (error == 1 && !well));
    error = skua_ticker_stop(t);
    SK_EXPECT(error == 0 || (error == -ESRCH && !well));
    SK_EXPECT_EQ(skua_ticker_release(t), 0);
}

static int signals(void *unused)
{
    (void)unused;
    skua_chan *c = NULL;
    if (skua_runtime_current()) { /* outside of a task it would be of the default runtime, which stays */
        a_ticker(NULL);
        a_ticker(call_nobody);
    }
    int error = skua_signals_open(&c, (int[]){SIGUSR1, SIGRTMIN}, 2);
    SK_EXPECT(error == 0 || excused(error) || (!well && (error == -EMFILE || error == -EAGAIN)));
    uint64_t give_up = skua_now() + SKUA_S(2);
    while (!error && c &&
           (error = skua_signals_close(c)) == -ENOMEM) { /* the other side is at it, and no memory to wait */
        SK_EXPECT(!well && skua_now() < give_up + SKUA_S(8));
        if (skua_now() > give_up) sk_fault_reset();
        error = 0;
        usleep(100);
    }
    SK_EXPECT(error == 0 || !c);
    return 0;
}

/* ---- all of them ---- */

static void end_runtime(void)
{
    uint64_t give_up = skua_now() + SKUA_S(12);
    skua_stats s;
    while (s = sk_stats_of(runtime), sk_ended(&s) != s.created) {
        SK_EXPECT(skua_now() < give_up);
        usleep(100);
    }
    if (heals && !well) {
        hits_before += sk_fault_any_hits();
        sk_fault_reset();
        nobody_can_sleep = heals = false;
    }
    SK_EXPECT_EQ(skua_runtime_release(runtime), 0);
}

/* From this thread, beside a task that does the same. */
static void from_both_sides(skua_fn *fn)
{
    skua_task task;
    runtime = NULL;
    int error = skua_runtime_create(&runtime, &(skua_runtime_options){.workers_max = 2});
    SK_EXPECT(error == 0 || (!well && (error == -ENOMEM || error == -EAGAIN)));
    if (!runtime) return;
    bool inside = skua_spawn_with(&task, &(skua_task_options){.runtime = runtime}, fn, NULL) == 0;
    fn(NULL);
    if (inside && skua_join(task, NULL)) SK_EXPECT_EQ(skua_detach(task), 0);
    end_runtime();
}

void work_jobs(void)
{
    from_both_sides(jobs);
}

void work_groups(void)
{
    from_both_sides(groups);
}

void work_streams(void)
{
    from_both_sides(streams);
}

void work_mutexes(void)
{
    from_both_sides(mutexes);
}

void work_signals(void)
{
    from_both_sides(signals);
}

/* The memory of a pool keeps the slots of its last queue. So that it does not depend on chance how much that is: all
   have been pools with a queue of one, more of them at a time than ever. Two who create a pool at the same moment have
   a magazine each (SK_SLAB_MAGAZINE), and what was a pool may lie below one of which nothing was used: so all of two.
 */
static void even_out(void)
{
    enum { MOST = 2 * SK_SLAB_MAGAZINE + 12 };
    skua_pool *pool[MOST];
    SK_EXPECT_EQ(skua_runtime_create(&runtime, &(skua_runtime_options){.workers_max = 1}), 0);
    for (int i = 0; i < MOST; i++) pool[i] = new_pool(&(skua_pool_options){.runtime = runtime, .queue = 1});
    for (int i = 0; i < MOST; i++) release_pool(pool[i]);
    SK_EXPECT_EQ(skua_runtime_release(runtime), 0);
}

void work_pools_in_health(void)
{
    well = true;
    from_both_sides(jobs);
    from_both_sides(groups);
    from_both_sides(streams);
    from_both_sides(mutexes);
    from_both_sides(signals);
    even_out();
    well = false;
}
