/*
 * lane.cpp: Relacy models of lanes: the real src/pool/lanes.c over pools of
 * stub_pools.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/lane.cpp -o model-lane
 *
 * What is tried: the tasks of a lane run in order, never two at a time, and each
 * sees what the one before it wrote; none is left in a lane, when it ends and comes
 * again, beside other lanes and other tasks that want the slot; wait, stop and
 * release come back, and not before all has ended.
 */
#define STUB_TASKS 8
#define STUB_POOLS 2
#define STUB_JOBS 1
#define STUB_LANES

#include "model/relacy.h"

#include "model/stub_pools.h"

static void *sk_heap_zalloc(size_t, size_t)
{
    RL_ASSERT(!"nobody asks");
    return NULL;
}

static void *sk_heap_alloc(size_t size)
{
    return stub_new<void *>(size / sizeof(void *));
}

#define count_end count_lane_end
#include "pool/lanes.c"
#undef count_end

enum { LANES = 2, EACH = 4 };

struct lane_model : pool_model {
    struct item {
        lane_model *m;
        int lane, number;
    };
    skua_lanes *lanes, family;
    lane places[LANES];
    uint64_t key[LANES];
    item items[LANES][EACH];
    bool busy[LANES], ordered; /* each lane has one submitter, who counts up */
    VAR_T(int) log[LANES];     /* how many of each lane have run */

    void begin(int threads, int n, uint32_t limit, uint32_t limit_above = 0)
    {
        begin_empty(threads);
        families.slab.free = lane_slab.slab.free = 0;
        sk_store_rlx(&family.state, (uint32_t)LANES_FREE);
        families.slab.place[families.slab.free++] = &family;
        for (int i = 0; i < LANES; i++) {
            sk_owner_init(&places[i].owner, NULL, NULL);
            lane_slab.slab.place[lane_slab.slab.free++] = &places[i];
            busy[i] = false;
            log[i]($) = 0;
            for (int k = 0; k < EACH; k++) items[i][k] = {this, i, k};
        }
        create_lanes(n, limit, limit_above);
        ordered = steals = true;
        yields = false;
        world.rest = all_ran;
    }
    void create_lanes(int n, uint32_t limit, uint32_t limit_above)
    {
        skua_lanes_options options = {};
        options.lanes = n;
        options.limit = limit;
        if (limit_above) {
            skua_pool_options above = {};
            above.limit = limit_above;
            above.queue = 2;
            options.pool = pool = create(above);
        }
        RL_ASSERT(skua_lanes_create(&lanes, &options) == 0);
        for (int i = 0; i < n; i++)
            for (key[i] = 0; skua_lanes_of_key(lanes, key[i]) != i;) key[i]++;
    }
    static int run(void *arg)
    {
        item *i = (item *)arg;
        lane_model *m = i->m;
        RL_ASSERT(!m->busy[i->lane]);
        m->busy[i->lane] = true;
        int before = m->log[i->lane]($);
        RL_ASSERT(!m->ordered || before == i->number);
        (void)body(NULL);
        m->log[i->lane]($) = before + 1;
        m->busy[i->lane] = false;
        return 0;
    }
    int submit_to_lane(int to, int number)
    {
        int error = skua_lanes_submit(lanes, key[to], run, &items[to][number]);
        accepted += error == 0;
        return error;
    }
    void fill(int to, int n)
    {
        for (int i = 0; i < n; i++) RL_ASSERT(submit_to_lane(to, i) == 0);
    }
    int wait()
    {
        return skua_lanes_wait(lanes, SKUA_FOREVER);
    }
    /* In after(). */
    void end()
    {
        bool released = sk_load_rlx(&family.state) == LANES_FREE;
        RL_ASSERT(ran == accepted && running == 0);
        RL_ASSERT(lane_slab.slab.free == (released ? LANES : LANES - 1 - (int)family.mask));
        for (int i = 0; i < LANES && !released; i++)
            RL_ASSERT(i > (int)family.mask ||
                      (family.lanes[i]->batch == NULL && sk_load_rlx(&family.lanes[i]->word) == IDLE));
        for (int i = 0; i < STUB_POOLS; i++) {
            if (memory[i].backlog.levels == 0) continue;
            is_empty(&memory[i]);
            sk_backlog_fini(&memory[i].backlog);
        }
        if (!released) sk_heap_free(family.lanes);
    }
};

/* One lane: one submits, `workers` run. There are slots for two, and one at a time has one. */
template <int workers, int each> struct lane_order : rl::test_suite<lane_order<workers, each>, workers + 1> {
    lane_model m;

    void before()
    {
        m.begin(workers + 1, 1, 2);
        m.yields = workers > 1;
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.fill(0, each);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.ran == each && m.most == 1);
        m.end();
    }
};

/* Two submit to one lane. */
struct lane_submitters : rl::test_suite<lane_submitters, 3> {
    lane_model m;

    void before()
    {
        m.begin(3, 1, 1);
        m.ordered = false;
        m.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            m.fill(0, 2);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* A lane that ends comes again; who has waited sees what its tasks wrote. */
struct lane_again : rl::test_suite<lane_again, 2> {
    lane_model m;

    void before()
    {
        m.begin(2, 1, 1);
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 2; i++) {
                RL_ASSERT(m.submit_to_lane(0, i) == 0);
                RL_ASSERT(m.wait() == 0);
                RL_ASSERT(m.log[0]($) == i + 1);
            }
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* Two lanes want one slot; or there is a slot and a worker for each. */
template <int slots> struct lane_two : rl::test_suite<lane_two<slots>, 2 + slots> {
    lane_model m;

    void before()
    {
        m.begin(2 + slots, 2, slots);
        m.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            m.fill((int)index, 2);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.ran == 4 && m.most <= slots);
        m.end();
    }
};

/* The only slot is that of a pool above, which has a task of its own. */
struct lane_above : rl::test_suite<lane_above, 3> {
    lane_model m;

    void before()
    {
        m.begin(3, 1, 1, 1);
        m.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            m.fill(0, 2);
            m.waiting--;
        } else if (index == 1) {
            RL_ASSERT(m.submit_to(m.pool) == 0);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.ran == 3 && m.most == 1);
        m.end();
    }
};

/* Some run, and a sweep, or a stop, ends the rest: whoever waits comes back when all have ended. */
enum { CANCEL, STOP_NOW };
template <int how> struct lane_ends : rl::test_suite<lane_ends<how>, 2> {
    lane_model m;

    void before()
    {
        m.begin(2, 1, 1);
        m.ordered = false;
        m.waiting = 1;
        m.fill(0, 3);
        world.rest = nobody_waits;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (how == CANCEL) {
                RL_ASSERT(skua_lanes_cancel(m.lanes) >= 0);
                RL_ASSERT(m.wait() == 0);
            } else {
                RL_ASSERT(skua_lanes_stop_now(m.lanes, SKUA_FOREVER) == 0);
            }
            RL_ASSERT(m.log[0]($) == m.ran && all_ended(pool_of(m.lanes)) == 3);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.accepted = m.ran;
        m.end();
    }
};

/* Release against one who may be too late. */
struct lane_release : rl::test_suite<lane_release, 3> {
    lane_model m;

    void before()
    {
        m.begin(3, 1, 1);
        m.ordered = false;
        m.waiting = 2;
        m.fill(0, 1);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_lanes_release(m.lanes) == 0);
            RL_ASSERT(m.log[0]($) == m.ran && !m.busy[0]);
            m.waiting--;
        } else if (index == 1) {
            int error = m.submit_to_lane(0, 1);
            RL_ASSERT(error == 0 || error == -ESHUTDOWN);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

typedef lane_order<1, 3> lane_alone;
typedef lane_order<2, 2> lane_workers;
static const sk_model models[] = {
    SK_EXPLORE(lane_alone, "lane-order", 1),
    SK_EXPLORE(lane_workers, "lane-workers", 0),
    SK_EXPLORE(lane_submitters, "lane-submitters", 0),
    SK_EXPLORE(lane_again, "lane-again", 1),
    SK_EXPLORE(lane_two<1>, "lane-two", 0),
    SK_EXPLORE(lane_two<2>, "lane-two-slots", 0),
    SK_EXPLORE(lane_above, "lane-above", 0),
    SK_EXPLORE(lane_ends<CANCEL>, "lane-cancel", 0),
    SK_EXPLORE(lane_ends<STOP_NOW>, "lane-stop-now", 1),
    SK_EXPLORE(lane_release, "lane-release", 0),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
