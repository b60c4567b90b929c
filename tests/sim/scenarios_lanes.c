/* scenarios_lanes.c: lanes, and shards. */
#include "sim/scenarios.h"
#include "sim/works.h"

#include <stddef.h>

/* ---- lanes: in order, one at a time, whatever is asked of them and of the pool above ---- */

enum { LANES = 4, KEYS = 7 };

/* Of a work: its lane, and when the call that submitted it began and was over. */
typedef struct place {
    uint32_t lane, begun, over;
} place;

typedef struct lane_family {
    skua_lanes *lanes;
    skua_lane *one; /* instead of `lanes` */
    sim_tier tier;  /* all lanes; its own pool is nobody's business */
    sim_tier above; /* the pool; without one: none */
    sim_tier next;  /* a pool made when the family was released, in the memory of its own */
    uint32_t most;  /* 0: not bounded */
    bool dense;     /* one lane, short tasks: most calls meet in its word */
    uint32_t calls; /* numbers them */
    const sim_work *inside[LANES];
    place place[SIM_WORKS];
} lane_family;

static lane_family family;

static place *place_of(const sim_work *w)
{
    return &family.place[w - sim_works];
}

static int family_wait(uint64_t timeout)
{
    return family.one ? skua_lane_wait(family.one, timeout) : skua_lanes_wait(family.lanes, timeout);
}

static int family_stop(uint64_t timeout)
{
    return family.one ? skua_lane_stop(family.one, timeout) : skua_lanes_stop(family.lanes, timeout);
}

static int family_release(void)
{
    return family.one ? skua_lane_release(family.one) : skua_lanes_release(family.lanes);
}

static bool family_look(skua_pool_counts *c)
{
    int error = family.one ? skua_lane_stats(family.one, c) : skua_lanes_stats(family.lanes, c);
    if (error == -ESHUTDOWN && sim_may_end()) return false;
    sim_expect_eq(error, 0);
    sim_counts_look(c);
    return true;
}

static int submit_to_lane(void);

/* Nothing of the lane that came later has started. */
static void check_order(const sim_work *w)
{
    const place *mine = place_of(w);
    for (unsigned i = 0; i < sim_work_count; i++) {
        const sim_work *v = &sim_works[i];
        if (v->started && v != w && place_of(v)->lane == mine->lane && place_of(v)->begun > mine->over)
            sim_fail("work %d starts after work %u, which came later", (int)(w - sim_works), i);
    }
}

static int in_lane(sim_work *w)
{
    const sim_work **inside = &family.inside[place_of(w)->lane];
    if (*inside) sim_fail("two tasks of a lane at a time");
    *inside = w;
    check_order(w);
    if (sim_choose(0, 3) == 0) submit_to_lane();
    if (sim_choose(0, 5) == 0 && !family.dense) {
        int error = family_wait(SKUA_FOREVER);
        sim_expect(error == -EDEADLK || (error == -ESHUTDOWN && sim_may_end()));
    }
    int error = sim_work_steps(w);
    sim_expect(*inside == w);
    *inside = NULL;
    return error ? error : w->result;
}

static int submit_to_lane(void)
{
    static const int full[] = {-EAGAIN, 0};
    uint64_t key = sim_choose(1, KEYS);
    int lane = family.one ? 0 : skua_lanes_of_key(family.lanes, key);
    if (lane < 0) {
        sim_expect(lane == -ESHUTDOWN && sim_may_end());
        return lane;
    }
    sim_work *w = sim_work_new(&family.tier);
    if (!w) return -ENOMEM;
    w->body = in_lane;
    if (family.dense) w->steps = 0;
    *place_of(w) = (place){(uint32_t)lane, ++family.calls, UINT32_MAX};
    int error = family.one ? skua_lane_submit(family.one, sim_work_run, w)
                           : skua_lanes_submit(family.lanes, key, sim_work_run, w);
    if (sim_work_accepted(w, error, family.most ? full : NULL)) place_of(w)->over = ++family.calls;
    return error;
}

static void feed_lanes(void *works)
{
    for (uint32_t i = sim_choose(0, *(uint32_t *)works); i > 0; i--) {
        if (submit_to_lane() == -ESHUTDOWN && sim_choose(0, 1)) return;
        if (sim_choose(0, 7) == 0 && !family.dense) skua_sleep(SKUA_US(sim_choose(1, 100)));
    }
}

static void stop_family(void)
{
    uint64_t timeout = sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 200));
    sim_allow_end();
    int error = family.one || sim_choose(0, 1) ? family_stop(timeout) : skua_lanes_stop_now(family.lanes, timeout);
    sim_expect(error == 0 || error == -ETIMEDOUT);
    if (error == 0) sim_expect_eq(family.tier.running, 0);
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 100)));
    if (!family.one) sim_expect_eq(skua_lanes_restart(family.lanes), 0);
}

static void cancel_family(void)
{
    uint32_t mark = sim_cancel_begins(&family.tier);
    sim_expect((family.one ? skua_lane_cancel(family.one) : skua_lanes_cancel(family.lanes)) >= 0);
    sim_cancel_over(mark);
}

static void submit_above(void)
{
    static const int may[] = {-EAGAIN, 0};
    sim_work *w = sim_work_new(&family.above);
    if (w) sim_work_accepted(w, skua_pool_try_submit(family.above.pool, sim_work_run, w), may);
}

static void disturb_lanes(void *unused)
{
    (void)unused;
    skua_pool_counts c;
    int error;
    for (uint32_t i = sim_choose(1, 8); i > 0; i--) switch (sim_choose(0, 8)) {
        case 0:
            if (family.one) break;
            sim_expect_eq(skua_lanes_pause(family.lanes), 0);
            if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 200)));
            sim_expect_eq(skua_lanes_resume(family.lanes), 0);
            break;
        case 1:
            cancel_family();
            break;
        case 2:
            if (sim_choose(0, 2) == 0) stop_family();
            break;
        case 3:
            error = family_wait(SKUA_US(sim_choose(0, 200)));
            sim_expect(error == 0 || error == -ETIMEDOUT);
            break;
        case 4:
            if (family.above.pool) sim_tiers_disturb(&family.above, 1);
            break;
        case 5:
        case 6:
            if (family.above.pool) submit_above();
            break;
        case 7:
            family_look(&c);
            break;
        default:
            skua_sleep(SKUA_US(sim_choose(1, 200)));
        }
}

/* False: the machine refused. */
static bool open_family(skua_runtime *rt)
{
    skua_lanes_options o = {.runtime = rt, .pool = family.above.pool, .limit = sim_choose(0, 3)};
    int error;
    family.dense = sim_choose(0, 2) == 0;
    o.lanes = family.dense ? 1 : sim_choose(1, LANES);
    if (sim_choose(0, 3) == 0) family.most = o.queued_most = sim_choose(1, 6);
    sim_allow_blocks(4);
    family.tier = (sim_tier){.above = family.above.pool ? &family.above : NULL};
    if (family.above.pool && sim_choose(0, 3) == 0) {
        family.most = 0;
        family.tier.limit = 1;
        error = skua_lane_create(&family.one, family.above.pool);
    } else {
        family.tier.limit = o.limit ? o.limit : LANES;
        error = skua_lanes_create(&family.lanes, &o);
    }
    sim_expect(error == 0 || (error == -ENOMEM && sim_may_refuse()));
    return error == 0;
}

static void close_family(void *unused)
{
    int error;
    (void)unused;
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 300)));
    sim_allow_end();
    while ((error = family_release()) == -ENOMEM && sim_may_refuse()) {
    }
    sim_expect_eq(error, 0);
    sim_expect_eq(family.tier.running, 0);
}

/* Whoever is inside of a call then finds that the pool is another one. */
static void close_and_reuse(void *runtime)
{
    close_family(NULL);
    skua_pool_options o = {.runtime = (skua_runtime *)runtime, .limit = 1};
    sim_tier_open(&family.next, &o, NULL);
}

/* Released at rest, or while others submit. */
static void use_family(skua_runtime *rt)
{
    uint32_t works = family.dense ? 20 : 8;
    skua_pool_counts c;
    if (sim_choose(0, 4) == 0) {
        sim_beside(rt, feed_lanes, &works, close_and_reuse, rt);
        if (family.next.pool) sim_tier_check(&family.next, 0);
        sim_tier_close(&family.next);
        return;
    }
    sim_beside(rt, feed_lanes, &works, sim_choose(0, 3) ? disturb_lanes : NULL, NULL);
    while (family_wait(sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 300)))) family_look(&c);
    if (family_look(&c)) sim_counts_check(&family.tier, &c, 0);
    close_family(NULL);
}

void sim_lanes(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    if (sim_choose(0, 3)) {
        skua_pool_options o = {.runtime = rt, .limit = sim_choose(1, 3), .queue = sim_queue()};
        sim_tier_open(&family.above, &o, NULL);
    }
    if (open_family(rt)) use_family(rt);
    if (family.above.pool) {
        sim_tier_wait(&family.above);
        sim_tier_check(&family.above, family.tier.accepted);
    }
    sim_tier_close(&family.above);
    sim_works_check();
    sim_end_runtime(rt);
}

/* ---- shards: the sum of pools ---- */

enum { SHARDS = 4 };

typedef struct fleet {
    skua_shards *shards;
    sim_tier tier; /* all of them */
    uint32_t n, levels;
    bool nests; /* works submit further works, and ask for the end of all */
    skua_when_full when_full;
} fleet;

static fleet ships;

static bool fleet_look(skua_pool_counts *c)
{
    int error = skua_shards_stats(ships.shards, c);
    if (error == -ESHUTDOWN && sim_may_end()) return false;
    sim_expect_eq(error, 0);
    sim_counts_look(c);
    return true;
}

static void submit_to_fleet(void);

static int in_fleet(sim_work *w)
{
    if (ships.nests && sim_choose(0, 2) == 0) submit_to_fleet();
    if (sim_choose(0, 7) == 0 && ships.when_full != SKUA_FULL_RUN) {
        int error = skua_shards_wait(ships.shards, SKUA_FOREVER);
        sim_expect(error == -EDEADLK || (error == -ESHUTDOWN && sim_may_end()));
    }
    int error = sim_work_steps(w);
    return error ? error : w->result;
}

static sim_work *new_in_fleet(void)
{
    sim_work *w = sim_work_new(&ships.tier);
    if (w) w->body = in_fleet;
    return w;
}

static const int fleet_may[] = {-EAGAIN, -EDEADLK, 0};

static void submit_some_to_fleet(sim_work *first)
{
    void *args[3] = {first};
    size_t n = 1;
    for (size_t more = sim_choose(0, 2); n <= more && (args[n] = new_in_fleet()); n++) {
    }
    int got = skua_shards_submit_batch(ships.shards, n, sim_work_run, args);
    for (size_t i = 0; i < n; i++) {
        int error = (int)i < got ? 0 : got < 0 ? got : -ECANCELED;
        sim_work_accepted((sim_work *)args[i], error, fleet_may);
    }
}

static void submit_to_fleet(void)
{
    skua_submit_options o;
    sim_work *w = new_in_fleet();
    if (!w) return;
    switch (sim_choose(0, 4)) {
    case 0:
        submit_some_to_fleet(w);
        break;
    case 1:
        sim_work_accepted(w, skua_shards_try_submit(ships.shards, sim_work_run, w), fleet_may);
        break;
    case 2:
        sim_work_options(w, &o, ships.levels);
        sim_work_accepted(w, skua_shards_submit_with(ships.shards, NULL, &o, sim_work_run, w), fleet_may);
        break;
    case 3:
        sim_work_accepted(w, skua_shards_invoke(ships.shards, w), fleet_may);
        break;
    default:
        sim_work_accepted(w, skua_shards_submit(ships.shards, sim_work_run, w), fleet_may);
    }
}

static void feed_fleet(void *works)
{
    for (uint32_t i = sim_choose(0, *(uint32_t *)works); i > 0; i--) {
        submit_to_fleet();
        if (sim_choose(0, 7) == 0) skua_sleep(SKUA_US(sim_choose(1, 100)));
    }
}

static void tune_fleet(uint32_t limit)
{
    sim_tier *t = &ships.tier;
    if (t->limit && limit * ships.n > t->limit) t->limit = limit * ships.n;
    sim_expect_eq(skua_shards_tune(ships.shards, limit), 0);
}

static void stop_fleet(void)
{
    uint64_t timeout = sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 200));
    sim_allow_end();
    int error =
        sim_choose(0, 1) ? skua_shards_stop(ships.shards, timeout) : skua_shards_stop_now(ships.shards, timeout);
    sim_expect(error == 0 || error == -ETIMEDOUT);
    if (error == 0) sim_expect_eq(ships.tier.running, 0);
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 100)));
    sim_expect_eq(skua_shards_restart(ships.shards), 0);
}

static void disturb_fleet(void *unused)
{
    (void)unused;
    skua_pool_counts c;
    uint32_t mark;
    for (uint32_t i = sim_choose(1, 8); i > 0; i--) switch (sim_choose(0, 6)) {
        case 0:
            tune_fleet(sim_choose(1, 3));
            break;
        case 1:
            sim_expect_eq(skua_shards_pause(ships.shards), 0);
            if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 200)));
            sim_expect_eq(skua_shards_resume(ships.shards), 0);
            break;
        case 2:
            mark = sim_cancel_begins(&ships.tier);
            sim_expect(skua_shards_cancel(ships.shards) >= 0);
            sim_cancel_over(mark);
            break;
        case 3:
            if (sim_choose(0, 2) == 0) stop_fleet();
            break;
        case 4:
            fleet_look(&c);
            break;
        default:
            skua_sleep(SKUA_US(sim_choose(1, 200)));
        }
}

/* At rest nothing is left, though works submit works to shards that have been waited for. */
static void wait_for_fleet(void)
{
    skua_pool_counts c;
    int error;
    do {
        error = skua_shards_wait(ships.shards, sim_choose(0, 1) ? SKUA_FOREVER : SKUA_US(sim_choose(0, 300)));
        sim_expect(error == 0 || error == -ETIMEDOUT);
    } while (error);
    if (fleet_look(&c)) sim_counts_check(&ships.tier, &c, 0);
}

/* While they pause, one submitter: of each shard as many as of the others, or one more. */
static void spread_evenly(void)
{
    skua_pool_counts c;
    uint64_t least = UINT64_MAX, most = 0;
    sim_expect_eq(skua_shards_pause(ships.shards), 0);
    for (uint32_t i = sim_choose(1, 12); i > 0; i--) {
        sim_work *w = new_in_fleet();
        sim_work_accepted(w, skua_shards_submit(ships.shards, sim_work_run, w), NULL);
    }
    for (uint32_t i = 0; i < ships.n; i++) {
        sim_expect_eq(skua_pool_stats(skua_shards_pool(ships.shards, i), &c), 0);
        sim_expect_eq(c.queued, c.submitted);
        least = c.queued < least ? c.queued : least;
        most = c.queued > most ? c.queued : most;
    }
    if (!sim_may_refuse()) sim_expect(most - least <= 1);
    sim_expect_eq(skua_shards_resume(ships.shards), 0);
}

static void close_fleet(void *unused)
{
    int error;
    (void)unused;
    if (sim_choose(0, 1)) skua_sleep(SKUA_US(sim_choose(1, 300)));
    sim_allow_end();
    while ((error = skua_shards_release(ships.shards)) == -ENOMEM && sim_may_refuse()) {
    }
    sim_expect_eq(error, 0);
    sim_expect_eq(ships.tier.running, 0);
}

static void use_fleet(skua_runtime *rt, bool roomy)
{
    uint32_t works = 7;
    skua_runtime *in = ships.when_full == SKUA_FULL_RUN ? NULL : rt;
    if (roomy) spread_evenly();
    if (sim_choose(0, 4) == 0) {
        sim_beside(in, feed_fleet, &works, close_fleet, NULL);
        return;
    }
    sim_beside(in, feed_fleet, &works, sim_choose(0, 2) ? disturb_fleet : NULL, NULL);
    wait_for_fleet();
    close_fleet(NULL);
}

static skua_shards_options fleet_options(skua_runtime *rt, bool roomy)
{
    skua_shards_options o = {.n = sim_choose(1, SHARDS), .pick = (skua_shards_pick)sim_choose(0, 1)};
    o.pool = (skua_pool_options){.runtime = rt, .limit = sim_choose(0, 2), .fn = sim_work_run};
    if (roomy) return o;
    o.pool.queue = sim_queue();
    o.pool.when_full = (skua_when_full)sim_choose(0, 3);
    bool queueless = o.pool.queue == SKUA_POOL_NO_QUEUE;
    if (queueless && o.pool.when_full == SKUA_FULL_DROP_OLDEST) o.pool.when_full = SKUA_FULL_WAIT;
    if (!queueless) o.pool.levels = sim_choose(0, 2);
    return o;
}

void sim_shards(void)
{
    skua_runtime *rt = sim_runtime(sim_choose(1, 3));
    if (!rt) return;
    bool roomy = sim_choose(0, 1);
    skua_shards_options o = fleet_options(rt, roomy);
    ships = (fleet){.n = o.n, .levels = o.pool.levels ? o.pool.levels : 1, .when_full = o.pool.when_full};
    ships.tier.limit = o.pool.limit * o.n;
    ships.nests = sim_choose(0, 1) && o.pool.when_full != SKUA_FULL_RUN;
    sim_allow_blocks(o.n * (2 + o.pool.levels) + 1);
    int error = skua_shards_create(&ships.shards, &o);
    sim_expect(error == 0 || (error == -ENOMEM && sim_may_refuse()));
    if (!error) use_fleet(rt, roomy);
    sim_works_check();
    sim_end_runtime(rt);
}
