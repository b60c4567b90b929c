/* load.c: see load.h. */
#include "load.h"

#include "tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

load loads[LOADS];

enum {
    INDEX_BITS = 56,
    BATCH = 256,         /* handles that a driver holds at a time */
    IN_FLIGHT = 2048,    /* tasks of `go` that may wait in queues */
    PASS_EVERY = 64,     /* of them one in so many reports */
    TREE_NODES = 1023,   /* in each tree */
    TREES = 4,           /* at a time */
    QUEUED_MOST = 32768, /* more than the loads have in all queues together */
    LIVE_MOST = 100000,  /* more tasks than live at a time */
    PARKED_MOST = 8192,  /* more than park at a time */
    RESULT = 0x3fffffff  /* results are 0 or more */
};

/* ---- a task's argument ---- */

static void *pack(const load *l, uint64_t index)
{
    return (void *)(uintptr_t)((uint64_t)(l - loads) << INDEX_BITS | index);
}

static load *load_of(void *arg)
{
    return &loads[(uint64_t)(uintptr_t)arg >> INDEX_BITS];
}

static uint64_t index_of(void *arg)
{
    return (uint64_t)(uintptr_t)arg & ((UINT64_C(1) << INDEX_BITS) - 1);
}

static int result_of(uint64_t index)
{
    return (int)(index * 2654435761u & RESULT);
}

/* Some number that looks random, the same for the same index. */
static uint64_t mix(uint64_t index)
{
    index = (index ^ index >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return index ^ index >> 29;
}

/* ---- a driver's book ---- */

static void wrong(load *l, const char *why, int value)
{
    if (l->wrong++) return;
    l->wrong_why = why;
    l->wrong_value = value;
}

static bool expect(load *l, bool right, const char *why, int value)
{
    if (!right) wrong(l, why, value);
    return right;
}

/* One more task, or an error. */
static bool made(load *l, int error)
{
    l->made += error == 0;
    return expect(l, error == 0, "a task was refused", error);
}

static uint64_t end_of(const load *l)
{
    return l->first + l->n;
}

void load_close(load *l)
{
    for (uint64_t i = 0; i < l->may_not_run; i++)
        if (!atomic_load_explicit(&l->started[i], memory_order_relaxed)) tally_add(end_of(l) - l->may_not_run + i);
}

bool load_right(const load *l, const char *name)
{
    if (l->wrong == 0 && l->made == l->n && atomic_load(&l->early_sleeps) == 0) return true;
    fprintf(stderr,
            "soak: %s: %" PRIu64 " of %" PRIu64 " tasks made, %" PRIu64 " slept too short, %" PRIu64
            " wrong%s%s (%d)\n",
            name, l->made, l->n, atomic_load(&l->early_sleeps), l->wrong, l->wrong ? ", first: " : "",
            l->wrong ? l->wrong_why : "", l->wrong_value);
    return false;
}

/* ---- leaves ---- */

static int leaf(void *arg)
{
    uint64_t index = index_of(arg);
    tally_add(index);
    return result_of(index);
}

/* Joins n tasks with indices from `from` on that give what a leaf gives. */
static void join_leaves(load *l, const skua_task *task, uint64_t from, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        int result = -1, error = skua_join(task[i], &result);
        expect(l, error == 0, "join", error);
        expect(l, result == result_of(from + i), "a result is not the task's own", result);
        l->done++;
    }
}

/* ---- go: tasks that nobody joins ---- */

static int passing_leaf(void *arg)
{
    uint64_t index = index_of(arg);
    tally_add(index);
    if (index % PASS_EVERY == 0) atomic_fetch_add_explicit(&load_of(arg)->passed, PASS_EVERY, memory_order_relaxed);
    return 0;
}

static int drive_go(void *arg)
{
    load *l = arg;
    for (uint64_t i = 0; i < l->n; i++) {
        while (i > atomic_load_explicit(&l->passed, memory_order_relaxed) + IN_FLIGHT) skua_sleep(SKUA_US(20));
        if (!made(l, skua_go(passing_leaf, pack(l, l->first + i)))) break;
    }
    l->done = l->made;
    return 0;
}

/* ---- batch: many at once, joined or detached in turn ---- */

static int drive_batch(void *arg)
{
    load *l = arg;
    skua_task task[BATCH];
    void *args[BATCH];
    for (uint64_t from = l->first; from < end_of(l); from += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) args[i] = pack(l, from + i);
        int n = skua_spawn_batch(task, BATCH, leaf, args);
        if (!expect(l, n == BATCH, "a batch was refused", n)) break;
        l->made += BATCH;
        if (from / BATCH % 4) {
            join_leaves(l, task, from, BATCH);
            continue;
        }
        for (unsigned i = 0; i < BATCH; i++) {
            int error = skua_detach(task[i]);
            expect(l, error == 0, "detach", error);
            l->done++;
        }
    }
    return 0;
}

/* ---- tree: each node spawns two, joins them, and gives the sum of its branch ---- */

static int node(void *arg)
{
    load *l = load_of(arg);
    uint64_t index = index_of(arg), root = index - (index - l->first) % TREE_NODES, k = index - root;
    skua_task child[2];
    int result = (int)(index & RESULT), spawned = 0;
    for (; spawned < 2 && 2 * k + 1 + (unsigned)spawned < TREE_NODES; spawned++) {
        int error = skua_spawn(&child[spawned], node, pack(l, root + 2 * k + 1 + (unsigned)spawned));
        if (error) return error;
    }
    tally_add(index);
    for (int i = 0; i < spawned; i++) {
        int below = -1, error = skua_join(child[i], &below);
        if (error || below < 0) return error ? error : below;
        result = (int)(((unsigned)result + (unsigned)below) & RESULT);
    }
    return result;
}

static int drive_tree(void *arg)
{
    load *l = arg;
    skua_task root[TREES];
    for (uint64_t from = l->first; from < end_of(l); from += TREES * TREE_NODES) {
        for (unsigned i = 0; i < TREES; i++) {
            int error = skua_spawn(&root[i], node, pack(l, from + i * TREE_NODES));
            if (!expect(l, error == 0, "a task was refused", error)) return 0;
            l->made += TREE_NODES;
        }
        for (unsigned i = 0; i < TREES; i++) {
            int result = -1, error = skua_join(root[i], &result);
            expect(l, error == 0, "join", error);
            uint64_t sum = tally_of_range(from + i * TREE_NODES, TREE_NODES).sum;
            expect(l, result == (int)(sum & RESULT), "the sum of a tree", result);
            l->done += TREE_NODES;
        }
    }
    return 0;
}

/* ---- sleep, yield, block: leaves that park ---- */

static int sleeper(void *arg)
{
    load *l = load_of(arg);
    uint64_t ns = 1 + mix(index_of(arg)) % SKUA_US(500), before = skua_now();
    int error = skua_sleep(ns);
    if (error) return error;
    if (skua_now() - before < ns) atomic_fetch_add(&l->early_sleeps, 1);
    return leaf(arg);
}

static int yielder(void *arg)
{
    for (uint64_t i = mix(index_of(arg)) % 8; i > 0; i--) {
        int error = skua_yield();
        if (error) return error;
    }
    return leaf(arg);
}

static int block_thread(void *arg)
{
    long ns = (long)(mix(index_of(arg)) % SKUA_US(100));
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    return (int)(ns & RESULT);
}

static int blocker(void *arg)
{
    int expected = (int)(mix(index_of(arg)) % SKUA_US(100)), got = skua_block(block_thread, arg);
    return got == expected ? leaf(arg) : -EIO;
}

static int drive_joined(load *l, skua_fn *fn)
{
    skua_task task[BATCH];
    for (uint64_t from = l->first; from < end_of(l);) {
        uint64_t n = 0;
        for (; n < BATCH && from + n < end_of(l); n++)
            if (!made(l, skua_spawn(&task[n], fn, pack(l, from + n)))) break;
        join_leaves(l, task, from, n);
        if (n == 0) break;
        from += n;
    }
    return 0;
}

static int drive_sleep(void *arg)
{
    return drive_joined(arg, sleeper);
}

static int drive_yield(void *arg)
{
    return drive_joined(arg, yielder);
}

static int drive_block(void *arg)
{
    return drive_joined(arg, blocker);
}

/* ---- timer: each either fires or is stopped, never both, never neither ---- */

static int drive_timer(void *arg)
{
    load *l = arg;
    skua_timer timer[BATCH];
    for (uint64_t from = l->first; from < end_of(l); from += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            uint64_t ns = 1 + mix(from + i) % SKUA_US(400);
            made(l, skua_timer_start(&timer[i], ns, leaf, pack(l, from + i)));
        }
        skua_sleep(mix(from) % SKUA_US(300)); /* some fire meanwhile */
        for (unsigned i = 0; i < BATCH; i++) {
            int error = mix(from + i) >> 60 & 1 ? skua_timer_stop(timer[i]) : -ESRCH;
            expect(l, error == 0 || error == -ESRCH, "timer_stop", error);
            if (error == 0) {
                l->cancelled++;
                tally_add(from + i);
            } else {
                l->done++;
            }
        }
        skua_sleep(SKUA_US(200));
    }
    return 0;
}

/* ---- deadlines and cancels: tasks that may never start ---- */

static void note_start(void *arg)
{
    load *l = load_of(arg);
    uint64_t index = index_of(arg);
    atomic_store_explicit(&l->started[index - (end_of(l) - l->may_not_run)], true, memory_order_relaxed);
    tally_add(index);
}

/* Started in time, or never. */
static int prompt(void *arg)
{
    note_start(arg);
    return result_of(index_of(arg));
}

static int drive_start_by(void *arg)
{
    load *l = arg;
    skua_task task[MAY_NOT_RUN];
    l->may_not_run = l->n;
    for (uint64_t i = 0; i < l->n; i++) {
        uint64_t r = mix(l->first + i);
        skua_task_options o = {.start_within = 1 + r % SKUA_US(60), .delay = r >> 40 & 1 ? r % SKUA_US(50) : 0};
        made(l, skua_spawn_with(&task[i], &o, prompt, pack(l, l->first + i)));
    }
    for (uint64_t i = 0; i < l->made; i++) {
        int result = -1, error = skua_join(task[i], &result);
        expect(l, error == 0, "join", error);
        expect(l, result == -ETIMEDOUT || result == result_of(l->first + i), "start_within: result", result);
        l->expired += result == -ETIMEDOUT;
        l->done += result != -ETIMEDOUT;
    }
    return 0;
}

/* Would sleep far too long: its deadline wakes it, or a cancel. */
static int oversleeper(void *arg)
{
    note_start(arg);
    int error = skua_sleep(SKUA_S(100));
    return error ? error : result_of(index_of(arg));
}

static int drive_finish_by(void *arg)
{
    load *l = arg;
    skua_task task[MAY_NOT_RUN];
    l->may_not_run = l->n;
    for (uint64_t i = 0; i < l->n; i++) {
        skua_task_options o = {.finish_within = 1 + mix(l->first + i) % SKUA_US(300)};
        made(l, skua_spawn_with(&task[i], &o, oversleeper, pack(l, l->first + i)));
    }
    for (uint64_t i = 0; i < l->made; i++) {
        int result = -1, error = skua_join(task[i], &result);
        expect(l, error == 0, "join", error);
        expect(l, result == -ETIMEDOUT, "finish_within: result", result);
        l->expired++;
    }
    return 0;
}

static int drive_cancel(void *arg)
{
    load *l = arg;
    skua_task task[MAY_NOT_RUN];
    l->may_not_run = l->n;
    for (uint64_t i = 0; i < l->n; i++) {
        made(l, skua_spawn(&task[i], oversleeper, pack(l, l->first + i)));
        if (mix(l->first + i) >> 50 & 1) continue; /* the others are cancelled below, most of them asleep by then */
        int error = skua_cancel(task[i]);
        expect(l, error == 0, "cancel", error);
    }
    skua_yield();
    for (uint64_t i = 0; i < l->made; i++) {
        int result = -1, error = skua_cancel(task[i]);
        expect(l, error == 0 || error == -EALREADY, "cancel", error);
        error = skua_join(task[i], &result);
        expect(l, error == 0, "join", error);
        expect(l, result == -ECANCELED, "cancel: result", result);
        l->cancelled++;
    }
    return 0;
}

/* ---- pool: a bounded queue before a limit ---- */

static int drive_pool(void *arg)
{
    load *l = arg;
    skua_pool *pool = NULL;
    int error = skua_pool_create(&pool, &(skua_pool_options){.runtime = l->rt, .limit = 64, .queue = 256});
    if (!expect(l, error == 0, "pool_create", error)) return 0;
    for (uint64_t i = 0; i < l->n; i++) {
        void *task = pack(l, l->first + i);
        error = i % 8 ? -EAGAIN : skua_pool_try_submit(pool, leaf, task);
        if (error == -EAGAIN) error = skua_pool_submit(pool, leaf, task);
        if (!made(l, error)) break;
    }
    error = skua_pool_wait(pool, SKUA_FOREVER);
    expect(l, error == 0, "pool_wait", error);
    skua_pool_counts counts = {0};
    error = skua_pool_stats(pool, &counts);
    expect(l, error == 0, "pool_stats", error);
    expect(l, counts.submitted == l->made && counts.done == l->made, "the pool's counts", (int)counts.done);
    expect(l, counts.queued + counts.running == 0, "a pool at rest", (int)counts.queued);
    error = skua_pool_release(pool);
    expect(l, error == 0, "pool_release", error);
    l->done = l->made;
    return 0;
}

/* ---- what the process keeps for good ---- */

typedef struct filling {
    _Atomic unsigned entered, turn, wrong; /* turn: of the entered, whose it is; counted from 1 */
    _Atomic uint64_t slept, ran;
    uint64_t give_up; /* ns: there are fewer workers than there should be */
} filling;

static int nothing(void *arg)
{
    filling *f = arg;
    atomic_fetch_add_explicit(&f->ran, 1, memory_order_relaxed);
    return 0;
}

static int sleep_for_all(void *arg)
{
    filling *f = arg;
    int error = skua_sleep(SKUA_MS(300));
    atomic_fetch_add(&f->slept, 1);
    return error;
}

static void nap_1ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* One on each worker, which it keeps until its turn comes; then it fills the worker's queue. */
static int fill_queue(void *arg)
{
    static void *same[QUEUED_MOST];
    filling *f = arg;
    unsigned number = 1 + atomic_fetch_add(&f->entered, 1);
    while (atomic_load(&f->turn) != number && skua_now() < f->give_up) nap_1ms();
    for (unsigned i = 0; i < QUEUED_MOST; i++) same[i] = f;
    bool all = atomic_load(&f->turn) == number && skua_spawn_batch(NULL, QUEUED_MOST, nothing, same) == QUEUED_MOST;
    if (!all) atomic_fetch_add(&f->wrong, 1);
    return 0;
}

static void await_count(const filling *f, _Atomic uint64_t *count, uint64_t n)
{
    while (atomic_load(count) < n && skua_now() < f->give_up) nap_1ms();
}

/* One turn after the other has ended, so that no more than one queue is full at a time. */
bool load_fill_queues(skua_runtime *rt, unsigned workers)
{
    filling f = {.give_up = skua_now() + SKUA_S(120)};
    uint64_t accepted = 0;
    for (unsigned i = 0; i < workers; i++)
        accepted += skua_spawn_with(NULL, &(skua_task_options){.runtime = rt}, fill_queue, &f) == 0;
    while (atomic_load(&f.entered) < accepted && skua_now() < f.give_up) nap_1ms();
    for (unsigned i = 1; i <= accepted; i++) {
        atomic_store(&f.turn, i);
        await_count(&f, &f.ran, (uint64_t)i * QUEUED_MOST);
    }
    for (skua_stats s = {.created = 1}; s.created != s.done && skua_now() < f.give_up; nap_1ms())
        skua_runtime_stats(rt, &s, NULL, 0); /* the fillers have `f` in hand */
    return accepted == workers && atomic_load(&f.wrong) == 0;
}

bool load_fill_memory(skua_runtime *rt)
{
    filling f = {.give_up = skua_now() + SKUA_S(120)};
    for (uint64_t i = 0; i < LIVE_MOST; i++) {
        bool parks = i < PARKED_MOST;
        skua_task_options o = {.runtime = rt, .delay = parks ? 0 : SKUA_MS(300)};
        if (skua_spawn_with(NULL, &o, parks ? sleep_for_all : nothing, &f)) atomic_fetch_add(&f.wrong, 1);
    }
    await_count(&f, &f.slept, PARKED_MOST);
    await_count(&f, &f.ran, LIVE_MOST - PARKED_MOST);
    return atomic_load(&f.wrong) == 0 && atomic_load(&f.slept) == PARKED_MOST;
}

const load_kind load_kinds[KINDS] = {
    [KIND_GO] = {"go", drive_go, PASS_EVERY, true},
    [KIND_BATCH] = {"batch", drive_batch, BATCH, true},
    [KIND_TREE] = {"tree", drive_tree, TREES *TREE_NODES, true},
    [KIND_SLEEP] = {"sleep", drive_sleep, BATCH, true},
    [KIND_TIMER] = {"timer", drive_timer, BATCH, true},
    [KIND_START_BY] = {"start by", drive_start_by, 1, true},
    [KIND_FINISH_BY] = {"finish by", drive_finish_by, 1, true},
    [KIND_CANCEL] = {"cancel", drive_cancel, 1, true},
    [KIND_BLOCK] = {"block", drive_block, 1, true},
    [KIND_YIELD] = {"yield", drive_yield, 1, true},
    [KIND_POOL] = {"pool", drive_pool, 1, true},
};
