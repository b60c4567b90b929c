/*
 * load_pools.c: tasks that go through pools, and through what is made of them.
 *
 * Whatever waits does so for a task whose record it names, for a pool
 * (fz_pool_record), or for a moment only.
 */
#include "load.h"

#include <errno.h>

enum {
    POOL_LIMIT = 4,
    POOL_QUEUE = 12,
    SUB_LIMIT = 2,
    SUB_QUEUE = 6,
    GROUP_QUEUE = 4,
    LEVELS = 3,
    LANES = 2,
    SHARDS = 2
};
enum { STORED = 16 };

skua_pool *fz_pool, *fz_pools[FZ_POOLS + 1];
static skua_group *group;     /* on fz_pool */
static skua_pool *sub_pool;   /* of fz_pool */
static skua_pool *below;      /* of sub_pool */
static skua_pool *level_pool; /* of several levels; drops the oldest */
static skua_pool *due_pool;   /* in order of deadlines */
static skua_pool *no_queue;   /* a task is accepted when it can start */
static skua_group *hasty;     /* ends at the first error; on no pool */
static skua_stream *stream;
static skua_lanes *lanes; /* on sub_pool */
static skua_shards *shards;
static skua_mutex mutex;

/* Tasks in memory of ours. */
static struct {
    skua_task_storage task;
    _Atomic(bool) taken; /* somebody submits it, or waits for it */
} stored[STORED];

/* Before it is submitted: it will run, whatever happens. Between two attempts no task may stand for it. */
static void is_sure(fz_record *r)
{
    atomic_fetch_or(&r->flags, FZ_SURE);
}

void fz_submit(fz_record *self, uint32_t *seed, uint32_t n, bool may_wait)
{
    while (n--) {
        static const int kinds[] = {PLAIN, PLAIN, SLEEPS, SUBMITS};
        fz_record *r = fz_new_record(kinds[fz_draw(seed, 4)], seed);
        if (!r) return;
        fz_wait_for(self, may_wait ? &fz_pool_record : NULL);
        int error = may_wait ? skua_pool_submit(fz_pool, fz_body, r) : skua_pool_try_submit(fz_pool, fz_body, r);
        fz_wait_for(self, NULL);
        fz_accepted(r, error);
    }
}

/* Into the subpool, as a future that is waited for. */
void fz_promise(fz_record *self, uint32_t *seed)
{
    fz_record *r = fz_new_record(fz_draw(seed, 2) ? PLAIN : SLEEPS, seed);
    skua_future future;
    if (!r) return;
    fz_wait_for(self, &fz_pool_record);
    int error = skua_pool_submit_future(sub_pool, &future, NULL, fz_body, r);
    fz_wait_for(self, NULL);
    fz_accepted(r, error);
    if (error) fz_die("skua_pool_submit_future", error);
    if (fz_draw(seed, 4)) {
        fz_wait_for(self, r);
        error = skua_future_wait(future, SKUA_FOREVER, NULL);
        fz_wait_for(self, NULL);
        if (error) fz_die("skua_future_wait", error);
    }
    skua_future_release(future);
}

/* Fails the first time, unseen; so it is tried again. */
int fz_fail_first(void *arg)
{
    return atomic_fetch_or(&((fz_record *)arg)->flags, FZ_TRIED) & FZ_TRIED ? fz_body(arg) : -EIO;
}

static void ended(void *record, void *given, int result)
{
    (void)given;
    (void)record;
    if (result) fz_die("a task that was tried again", result);
}

void fz_retry(fz_record *self, uint32_t *seed)
{
    skua_pool *const pools[] = {fz_pool, sub_pool, below, due_pool};
    fz_record *r = fz_new_record(PLAIN, seed);
    if (!r) return;
    is_sure(r);
    skua_submit_options o = {
        .retry = {.times = 1, .backoff = fz_draw(seed, 2) ? 0 : SKUA_US(40), .jitter = fz_draw(seed, 2)},
        .finish_within = fz_draw(seed, 4) ? 0 : SKUA_S(8),
        .ended = {ended, r, NULL}};
    o.retry.exponential = o.retry.keep_place = !fz_draw(seed, 4);
    fz_wait_for(self, &fz_pool_record);
    int error = skua_pool_submit_with(pools[fz_draw(seed, 4)], NULL, &o, fz_fail_first, r);
    fz_wait_for(self, NULL);
    fz_accepted(r, error);
    if (error) fz_die("skua_pool_submit_with", error);
}

static int fail(void *record)
{
    (void)record;
    return -EIO;
}

/* Cancelled between two attempts, or in one. */
static void retry_in_vain(fz_record *self, uint32_t *seed)
{
    skua_future future;
    skua_submit_options o = {.retry = {.times = 3, .backoff = SKUA_US(fz_draw(seed, 100))}};
    fz_wait_for(self, &fz_pool_record);
    int error = skua_pool_submit_future(fz_draw(seed, 2) ? fz_pool : below, &future, &o, fail, NULL);
    fz_wait_for(self, NULL);
    if (error) fz_die("skua_pool_submit_future", error);
    if (fz_draw(seed, 2)) skua_sleep(SKUA_US(fz_draw(seed, 100)));
    (void)skua_future_cancel(future);
    skua_future_release(future);
}

void fz_in_group(fz_record *self, uint32_t *seed)
{
    for (int i = 0; i < GROUP_QUEUE; i++) {
        fz_record *r = fz_new_record(fz_draw(seed, 2) ? PLAIN : SLEEPS, seed);
        if (!r) return;
        fz_wait_for(self, &fz_pool_record);
        int error = skua_group_go(group, fz_body, r);
        fz_wait_for(self, NULL);
        fz_accepted(r, error);
        if (error) fz_die("skua_group_go", error);
    }
}

static int submit_to(fz_record *self, skua_pool *pool, skua_future *future, const skua_submit_options *o, fz_record *r)
{
    fz_wait_for(self, &fz_pool_record);
    int error = future ? skua_pool_submit_future(pool, future, o, fz_body, r)
                       : skua_pool_submit_with(pool, NULL, o, fz_body, r);
    fz_wait_for(self, NULL);
    fz_accepted(r, error);
    return error;
}

/* What is not the last of its level may be dropped. */
static void by_level(fz_record *self, uint32_t *seed)
{
    skua_pool *pool = fz_draw(seed, 3) ? level_pool : sub_pool;
    for (int i = 0; i < 3 * FAMILY; i++) {
        fz_record *r = fz_new_record(fz_draw(seed, 2) ? PLAIN : SLEEPS, seed);
        skua_submit_options o = {.level = fz_draw(seed, LEVELS), .no_wait = !fz_draw(seed, 3)};
        if (r && pool == level_pool) fz_may_be_given_up(r);
        if (r) submit_to(self, pool, NULL, &o, r);
    }
}

/* Many, so that there is an order. */
static void by_deadline(fz_record *self, uint32_t *seed)
{
    for (int i = 0; i < 3 * FAMILY; i++) {
        fz_record *r = fz_new_record(fz_draw(seed, 3) ? PLAIN : SLEEPS, seed);
        skua_submit_options o = {.due_within = fz_draw(seed, 4) ? SKUA_US(1 + fz_draw(seed, 300)) : 0,
                                 .no_wait = fz_draw(seed, 2)};
        if (r) submit_to(self, due_pool, NULL, &o, r);
    }
}

/* Two levels down, and where nothing is queued. */
static void elsewhere(fz_record *self, uint32_t *seed)
{
    for (int i = 0; i < FAMILY; i++) {
        fz_record *r = fz_new_record(fz_draw(seed, 2) ? PLAIN : SLEEPS, seed);
        skua_pool *pool = fz_draw(seed, 2) ? below : no_queue;
        if (r && pool == no_queue) fz_may_be_given_up(r);
        if (r) submit_to(self, pool, NULL, NULL, r);
    }
}

static void ended_then(void *ctx, void *arg, int result)
{
    (void)ctx;
    (void)arg;
    (void)result;
}

/* Futures that are asked for again, cancelled, late or followed. */
static void more_of_futures(fz_record *self, uint32_t *seed)
{
    uint32_t which = fz_draw(seed, 4);
    fz_record *r = fz_new_record(which == 0 ? SLEEPS_LONG : SLEEPS, seed);
    skua_future future;
    if (!r) return;
    fz_may_be_given_up(r);
    if (which == 0) fz_wait_for(r, self);
    skua_submit_options o = {.run_within = which == 1 ? SKUA_US(30) : 0, .finish_within = which == 2 ? SKUA_S(8) : 0};
    int error = submit_to(self, fz_draw(seed, 2) ? below : no_queue, &future, &o, r);
    if (error) fz_die("skua_pool_submit_future", error);
    if (which == 3) (void)skua_future_then(future, ended_then, NULL, NULL);
    if (which == 0 && fz_draw(seed, 2)) skua_sleep(SKUA_US(fz_draw(seed, 60)));
    if (which == 0) (void)skua_future_cancel(future);
    fz_wait_for(r, NULL);
    (void)skua_future_try(future, NULL);
    fz_wait_for(self, r);
    (void)skua_future_wait(future, SKUA_US(50), NULL);
    if (fz_draw(seed, 2)) (void)skua_future_wait(future, SKUA_FOREVER, NULL);
    fz_wait_for(self, NULL);
    if (which == 1) (void)skua_future_then(future, ended_then, NULL, NULL);
    skua_future_release(future);
}

/* Cancelled by its first error, until somebody has waited for it. */
static void in_haste(fz_record *self, uint32_t *seed)
{
    (void)self;
    for (int i = 0; i < FAMILY; i++) {
        fz_record *r = fz_new_record(fz_draw(seed, 4) ? SLEEPS : FAILS, seed);
        skua_submit_options o = {.no_wait = true};
        if (r) fz_may_be_given_up(r);
        if (r)
            fz_accepted(r, fz_draw(seed, 2) ? skua_group_try_go(hasty, fz_body, r)
                                            : skua_group_go_with(hasty, &o, fz_body, r));
    }
    if (fz_draw(seed, 2)) (void)skua_group_wait_for(hasty, SKUA_US(fz_draw(seed, 100)), NULL);
}

static int item(void *arg)
{
    if ((uintptr_t)arg & 1) skua_yield();
    return 0;
}

static int item_done(void *arg, int result)
{
    if (((uintptr_t)arg & 6) == 0) skua_yield();
    return result < 0 ? 0 : result;
}

/* Its tasks have no records: who waits for the stream waits for a moment only. */
static void in_stream(uint32_t *seed)
{
    for (int i = 0; i < 2 * FAMILY; i++) {
        void *arg = (void *)(uintptr_t)fz_draw(seed, 8);
        if (skua_stream_try_go(stream, item, item_done, arg) == -EAGAIN) break;
    }
    if (!fz_draw(seed, 3)) (void)skua_stream_wait_for(stream, SKUA_US(fz_draw(seed, 100)), NULL);
}

static void in_lanes(uint32_t *seed)
{
    for (int i = 0; i < FAMILY; i++) {
        fz_record *r = fz_new_record(fz_draw(seed, 3) ? PLAIN : SLEEPS, seed);
        if (!r) return;
        uint64_t key = fz_draw(seed, 8);
        is_sure(r);
        r->lane = 1 + skua_lanes_of_key(lanes, key);
        int error = skua_lanes_submit(lanes, key, fz_body, r);
        fz_accepted(r, error);
        if (error && error != -EAGAIN) fz_die("skua_lanes_submit", error);
    }
}

static void in_shards(fz_record *self, uint32_t *seed)
{
    for (int i = 0; i < FAMILY; i++) {
        fz_record *r = fz_new_record(fz_draw(seed, 2) ? PLAIN : SLEEPS, seed);
        if (!r) return;
        uint32_t how = fz_draw(seed, 3);
        fz_wait_for(self, how ? &fz_pool_record : NULL);
        int error = how == 0   ? skua_shards_try_submit(shards, fz_body, r)
                    : how == 1 ? skua_shards_submit(shards, fz_body, r)
                               : skua_shards_submit_with(shards, NULL, NULL, fz_body, r);
        fz_wait_for(self, NULL);
        fz_accepted(r, error);
    }
}

/* One that nobody has now, and that has ended. */
static void in_one_storage(fz_record *self, uint32_t *seed)
{
    uint32_t i = fz_draw(seed, STORED);
    if (atomic_exchange(&stored[i].taken, true)) return;
    skua_task_storage *s = &stored[i].task;
    fz_record *r = skua_stored_is_idle(s) == 0 ? NULL : fz_new_record(fz_draw(seed, 2) ? PLAIN : SLEEPS, seed);
    if (r) {
        atomic_fetch_or(&r->flags, FZ_STORED);
        skua_task_init(s, fz_body, r);
        fz_wait_for(self, &fz_pool_record);
        int error = skua_pool_submit_stored(fz_draw(seed, 3) ? below : due_pool, s);
        fz_wait_for(self, NULL);
        fz_accepted(r, error);
        if (!error && !fz_draw(seed, 4)) {
            fz_wait_for(self, r);
            error = skua_stored_wait(s, fz_draw(seed, 3) ? SKUA_FOREVER : SKUA_US(50), NULL);
            fz_wait_for(self, NULL);
        }
    }
    atomic_store(&stored[i].taken, false);
}

static void in_storage(fz_record *self, uint32_t *seed)
{
    for (int i = 0; i < FAMILY; i++) in_one_storage(self, seed);
}

static void batch_to_pool(fz_record *self, uint32_t *seed)
{
    void *r[BATCH];
    int made = 0;
    while (made < BATCH / 2 && (r[made] = fz_new_record(fz_draw(seed, 3) ? PLAIN : SLEEPS, seed))) made++;
    fz_wait_for(self, &fz_pool_record);
    int64_t taken = skua_pool_submit_batch(fz_draw(seed, 2) ? fz_pool : below, (size_t)made, fz_body, r);
    fz_wait_for(self, NULL);
    for (int64_t i = 0; i < taken; i++) fz_accepted(r[i], 0);
}

/* Never for long: whoever holds it may be the one that stands. */
static void locked(uint32_t *seed)
{
    for (int i = 0; i < FAMILY; i++) {
        if (skua_mutex_lock_for(&mutex, SKUA_US(20 + fz_draw(seed, 100)))) continue;
        if (fz_draw(seed, 2)) skua_sleep(SKUA_US(fz_draw(seed, 30)));
        int error = skua_mutex_unlock(&mutex);
        if (error) fz_die("skua_mutex_unlock", error);
    }
}

static void change_limits(uint32_t *seed)
{
    (void)skua_pool_tune(fz_pool, POOL_LIMIT - 1 + fz_draw(seed, 3));
    (void)skua_pool_tune(sub_pool, SUB_LIMIT + fz_draw(seed, 2));
    (void)skua_shards_tune(shards, SUB_LIMIT + fz_draw(seed, 2));
}

/* What pools have beside plain submissions: each seldom. */
void fz_do_pools(fz_record *self, uint32_t *seed)
{
    switch (fz_draw(seed, 20)) {
    case 0:
        by_level(self, seed);
        break;
    case 1:
    case 2:
        by_deadline(self, seed);
        break;
    case 3:
        elsewhere(self, seed);
        break;
    case 4:
    case 5:
        more_of_futures(self, seed);
        break;
    case 6:
        in_haste(self, seed);
        break;
    case 7:
        in_stream(seed);
        break;
    case 8:
        in_lanes(seed);
        break;
    case 9:
        in_shards(self, seed);
        break;
    case 10:
        in_storage(self, seed);
        break;
    case 11:
        batch_to_pool(self, seed);
        break;
    case 12:
        locked(seed);
        break;
    case 13:
        change_limits(seed);
        break;
    case 14:
        retry_in_vain(self, seed);
        break;
    case 15:
        fz_retry(self, seed);
        break;
    default:
        in_storage(self, seed);
        break;
    }
}

static skua_pool *open_pool(skua_pool_options p)
{
    size_t n = 0;
    if (!p.parent) p.runtime = fz_runtime;
    while (fz_pools[n]) n++;
    int error = skua_pool_create(&fz_pools[n], &p);
    if (error) fz_die("skua_pool_create", error);
    return fz_pools[n];
}

static void open_groups(void)
{
    skua_group_options g = {.pool = fz_pool, .limit = SUB_LIMIT, .queue = GROUP_QUEUE};
    int error = skua_group_create(&group, &g);
    if (error) fz_die("skua_group_create", error);
    g = (skua_group_options){.runtime = fz_runtime, .limit = SUB_LIMIT, .queue = GROUP_QUEUE, .fail_fast = 1};
    error = skua_group_create(&hasty, &g);
    if (error) fz_die("skua_group_create", error);
    skua_stream_options s = {.runtime = fz_runtime, .limit = SUB_LIMIT + 1, .window = 2 * FAMILY};
    error = skua_stream_create(&stream, &s);
    if (error) fz_die("skua_stream_create", error);
    skua_lanes_options l = {.pool = sub_pool, .lanes = LANES, .limit = LANES};
    error = skua_lanes_create(&lanes, &l);
    if (error) fz_die("skua_lanes_create", error);
}

void fz_open_pools(void)
{
    fz_pool = open_pool((skua_pool_options){.limit = POOL_LIMIT, .queue = POOL_QUEUE});
    sub_pool =
        open_pool((skua_pool_options){.parent = fz_pool, .limit = SUB_LIMIT, .queue = SUB_QUEUE, .levels = LEVELS});
    below = open_pool((skua_pool_options){.parent = sub_pool, .limit = SUB_LIMIT, .queue = SUB_QUEUE});
    level_pool = open_pool((skua_pool_options){.limit = SUB_LIMIT,
                                               .queue = SUB_QUEUE,
                                               .levels = LEVELS,
                                               .ageing = SKUA_US(100),
                                               .when_full = SKUA_FULL_DROP_OLDEST});
    due_pool = open_pool((skua_pool_options){.limit = SUB_LIMIT, .queue = POOL_QUEUE, .order = SKUA_ORDER_DEADLINE});
    no_queue =
        open_pool((skua_pool_options){.limit = POOL_LIMIT, .queue = SKUA_POOL_NO_QUEUE, .finish_within = SKUA_S(9)});
    skua_shards_options s = {.pool = {.runtime = fz_runtime, .limit = SUB_LIMIT, .queue = SUB_QUEUE},
                             .n = SHARDS,
                             .pick = SKUA_SHARDS_LEAST_LOADED};
    int error = skua_shards_create(&shards, &s);
    if (error) fz_die("skua_shards_create", error);
    for (uint32_t i = 0, n = 6; i < SHARDS; i++) fz_pools[n + i] = skua_shards_pool(shards, i);
    open_groups();
}

void fz_close_pools(void)
{
    for (int i = 0; i < FZ_POOLS; i++) fz_pools[i] = NULL;
    int error = skua_group_release(group);
    if (!error) error = skua_group_release(hasty);
    if (!error) error = skua_stream_release(stream);
    if (!error) error = skua_lanes_release(lanes);
    if (!error) error = skua_shards_release(shards);
    skua_pool *const all[] = {below, sub_pool, fz_pool, level_pool, due_pool, no_queue};
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !error; i++) error = skua_pool_release(all[i]);
    if (error) fz_die("the release of a pool", error);
}
