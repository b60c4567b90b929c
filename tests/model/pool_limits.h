/*
 * pool_limits.h: models of pool.cpp: a limit that changes, subpools, full queues,
 * levels of priority, counters, stop.
 */
#ifndef SK_TEST_MODEL_POOL_LIMITS_H
#define SK_TEST_MODEL_POOL_LIMITS_H

/* ---- the limit ---- */

/* A pause that ends, or a limit that rises, against a submission: what has come in starts. */
struct pool_pause : rl::test_suite<pool_pause, 3> {
    pool_model p;

    void before()
    {
        p.begin(3, 1, 2);
        world.rest = all_ran;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_pool_pause(p.pool) == 0);
            RL_ASSERT(skua_pool_resume(p.pool) == 0);
            p.waiting--;
        } else if (index == 1) {
            RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(false);
    }
};

/* Two tasks that wait for each other need two slots: `late`, the limit is raised while they come. */
struct pool_tune : rl::test_suite<pool_tune, 4> {
    pool_model p;
    sk_atomic(uint32_t) begun;

    static int meet(void *arg)
    {
        pool_tune *self = (pool_tune *)arg;
        sk_add_ar(&self->begun, 1u);
        sk_futex_wake(&self->begun, INT32_MAX);
        while (sk_load_acq(&self->begun) < 2 && !world.over) sk_futex_wait(&self->begun, 1, SK_NEVER);
        return pool_model::body(NULL);
    }
    void before()
    {
        p.begin(4, 1, 2);
        p.steals = true;
        sk_store_rlx(&begun, 0u);
        world.rest = all_ran;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 2; i++) RL_ASSERT(skua_pool_submit(p.pool, meet, this) == 0);
            p.accepted = 2;
            p.waiting--;
        } else if (index == 1) {
            RL_ASSERT(skua_pool_tune(p.pool, 2) == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(false);
    }
};

/* The limit falls to what is taken while a task ends, and another comes: the slot is free, and the task must get it. */
struct pool_tune_down : rl::test_suite<pool_tune_down, 3> {
    pool_model p;
    sk_task *held[2];

    void before()
    {
        p.begin(3, 3, 4);
        p.yields = false;
        world.rest = all_ran;
        p.waiting = 1;
        for (int i = 0; i < 2; i++) RL_ASSERT(p.submit() == 0);
        p.hold(held, 2);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_pool_tune(p.pool, 2) == 0);
            RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else {
            p.work(held[index - 1]);
        }
        world.leave();
    }
    void after()
    {
        p.end(false);
    }
};

/* ---- subpools ---- */

/* A pool with one slot, and pools below it that want it: each `each` times, while `own` tasks of its own do. */
struct family : pool_model {
    skua_pool *child[2];

    void begin(int threads, int children, bool queueless)
    {
        pool_model::begin(threads, 1, 2);
        skua_pool_options options = {};
        options.limit = 1;
        options.parent = pool;
        options.queue = queueless ? SKUA_POOL_NO_QUEUE : 2;
        for (int i = 0; i < children; i++) child[i] = create(options);
        world.rest = all_ran;
        yields = false;
    }
    /* Nobody is left in the list. */
    void end(int released)
    {
        RL_ASSERT(sk_inject_is_empty(&pool->hungry));
        RL_ASSERT(pools.slab.free == released + (STUB_POOLS - 3));
        RL_ASSERT(sk_slots_of(sk_load_rlx(&pool->running)) == 0);
        pool_model::end(pools.slab.free == STUB_POOLS);
    }
};

/* Who finds no slot above gets one when it is free: two below, or one below and tasks of the pool itself. */
template <bool two, bool queueless, int each> struct pool_below : rl::test_suite<pool_below<two, queueless, each>, 3> {
    family p;

    void before()
    {
        p.begin(3, 2, queueless);
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            for (int i = 0; i < each; i++) RL_ASSERT(p.submit_to(index == 0 || two ? p.child[index] : p.pool) == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(0);
    }
};

/* The same with two workers: never more at a time than the slots above. */
struct pool_below_limit : rl::test_suite<pool_below_limit, 4> {
    family p;

    void before()
    {
        p.begin(4, 2, false);
        p.yields = true;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            RL_ASSERT(p.submit_to(index == 0 ? p.child[0] : p.pool) == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(p.most == 1);
        p.end(0);
    }
};

/* A pool below is released, perhaps while it is in the list of the hungry. */
struct pool_below_release : rl::test_suite<pool_below_release, 3> {
    family p;

    void before()
    {
        p.begin(3, 1, false);
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(p.submit_to(p.child[0]) == 0);
            RL_ASSERT(skua_pool_release(p.child[0]) == 0);
            p.waiting--;
        } else if (index == 1) {
            RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(2);
    }
};

/* A pool with a pool below: released in turn by two threads. The parent's release is refused, or comes after. */
struct pool_family_ends : rl::test_suite<pool_family_ends, 3> {
    family p;
    int error;

    void before()
    {
        p.begin(3, 1, false);
        p.waiting = 2;
        error = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_pool_release(p.child[0]) == 0);
            p.waiting--;
        } else if (index == 1) {
            error = skua_pool_release(p.pool);
            RL_ASSERT(error == 0 || error == -EBUSY);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(pools.slab.free == (error ? 2 : 3));
        sk_backlog_fini(&p.memory[0].backlog);
        sk_backlog_fini(&p.memory[1].backlog);
    }
};

/* ---- full queues ---- */

/* No queue: who is accepted has a slot; who waits for one gets it. */
template <int each> struct pool_queueless : rl::test_suite<pool_queueless<each>, 3> {
    pool_model p;

    void before()
    {
        p.begin(3, 1, SKUA_POOL_NO_QUEUE);
        world.rest = all_ran;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            for (int i = 0; i < each; i++) RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(p.most == 1);
        p.end(false);
    }
};

/* One may stand before a full queue; others are refused. */
struct pool_waiters : rl::test_suite<pool_waiters, 4> {
    pool_model p;

    void before()
    {
        p.begin_empty(4);
        skua_pool_options options = {};
        options.limit = options.queue = options.waiters = 1;
        p.pool = p.create(options);
        p.yields = false;
        world.rest = all_ran;
        p.waiting = 3;
    }
    void thread(unsigned index)
    {
        if (index < 3) {
            int error = p.submit();
            RL_ASSERT(error == 0 || error == -EAGAIN);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(p.accepted >= 2);
        RL_ASSERT(sk_load_rlx(&p.pool->standing) == 0);
        p.end(false);
    }
};

/* Who finds no room ends the oldest task that is queued, while the pump takes it out. */
struct pool_drop : rl::test_suite<pool_drop, 3> {
    pool_model p;

    static void all_ended()
    {
        nobody_waits();
        uint64_t dropped = the_pool->pool->ended[SK_DROPPED].newest();
        RL_ASSERT(the_pool->ran + (int)dropped == the_pool->accepted);
    }
    void before()
    {
        p.begin_empty(3);
        skua_pool_options options = {};
        options.limit = options.queue = 1;
        options.when_full = SKUA_FULL_DROP_OLDEST;
        p.pool = p.create(options);
        p.yields = false;
        world.rest = all_ended;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            for (int i = 0; i < 2; i++) RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.accepted = p.ran;
        p.end(false);
    }
};

/* Tasks that submit to their own full pool: the last of those who would all wait is told. */
struct pool_stuck : rl::test_suite<pool_stuck, 3> {
    pool_model p;
    int told;

    static int submits(void *arg)
    {
        pool_stuck *self = (pool_stuck *)arg;
        for (int i = 0; i < 2; i++) {
            int error = self->p.submit();
            RL_ASSERT(error == 0 || error == -EDEADLK);
            self->told += error != 0;
        }
        return pool_model::body(NULL);
    }
    void before()
    {
        p.begin(3, 2, 1);
        p.yields = false;
        p.steals = true;
        world.rest = all_ran;
        p.waiting = 1;
        p.accepted = 2;
        told = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 2; i++) RL_ASSERT(skua_pool_submit(p.pool, submits, this) == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(sk_load_rlx(&p.pool->stuck) == 0);
        p.end(false);
    }
};

/* Two levels of priority, and a queue for each. */
struct pool_levels : rl::test_suite<pool_levels, 3> {
    pool_model p;

    void before()
    {
        p.begin_empty(3);
        skua_pool_options options = {};
        options.limit = options.queue = 1;
        options.levels = 2;
        p.pool = p.create(options);
        p.yields = false;
        world.rest = all_ran;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            skua_submit_options options = {};
            options.level = index;
            RL_ASSERT(skua_pool_submit_with(p.pool, NULL, &options, pool_model::body, NULL) == 0);
            p.accepted++;
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(false);
    }
};

/* ---- counters ---- */

/* One who reads them at any moment: the sum holds, and no part is negative. */
struct pool_counts : rl::test_suite<pool_counts, 3> {
    pool_model p;

    void before()
    {
        p.begin(3, 1, 2);
        p.yields = false;
        world.rest = all_ran;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 2; i++) RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else if (index == 1) {
            skua_pool_counts c;
            RL_ASSERT(skua_pool_stats(p.pool, &c) == 0);
            RL_ASSERT(c.submitted <= 2 && c.queued <= 2 && c.running <= 1 && c.done <= 2);
            RL_ASSERT(c.submitted == c.queued + c.running + c.done);
            RL_ASSERT((int)c.done <= p.ran);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        skua_pool_counts c;
        RL_ASSERT(skua_pool_stats(p.pool, &c) == 0);
        RL_ASSERT(c.submitted == 2 && c.done == 2);
        p.end(false);
    }
};

/* What has ended stays so from snapshot to snapshot: a slot that is nobody's is not taken for a task that runs. */
struct pool_counts_grow : rl::test_suite<pool_counts_grow, 3> {
    pool_model p;

    void before()
    {
        p.begin(3, 2, 2);
        p.yields = false;
        p.waiting = 2;
    }
    static int fails(void *)
    {
        the_pool->ran++;
        return -EIO;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(p.submit() == 0);
            RL_ASSERT(skua_pool_submit(p.pool, fails, NULL) == 0);
            p.accepted++;
            p.waiting--;
        } else if (index == 1) {
            skua_pool_counts c[3];
            for (int i = 0; i < 3; i++) RL_ASSERT(skua_pool_stats(p.pool, &c[i]) == 0);
            for (int i = 1; i < 3; i++) RL_ASSERT(c[i].done >= c[i - 1].done && c[i].failed >= c[i - 1].failed);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(false);
    }
};

/* ---- stop ---- */

/* Stop without draining, against a submitter: what was accepted runs or is dropped, and stop comes back after that. */
struct pool_stop_now : rl::test_suite<pool_stop_now, 3> {
    pool_model p;

    void before()
    {
        p.begin(3, 1, 1);
        p.yields = false;
        world.rest = pool_drop::all_ended;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_pool_stop_now(p.pool, SKUA_FOREVER) == 0);
            RL_ASSERT(sk_load_rlx(&p.pool->running) == 0 && p.running == 0);
            p.waiting--;
        } else if (index == 1) {
            int error = p.submit();
            RL_ASSERT(error == 0 || error == -ESHUTDOWN);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.accepted = p.ran;
        p.end(false);
    }
};

#endif
