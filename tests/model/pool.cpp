/*
 * pool.cpp: Relacy models of pools and of those who wait for them: the real
 * src/pool/waitq.c, slots.c, submit.c and life.c over tasks of stub_tasks.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/pool.cpp -o model-pool
 *
 * What is tried: whoever waits until something holds does not sleep on when it
 * does; every task that a pool accepts runs, never more at a time than the limit
 * says; wait and release return, and not before all has ended.  A worker here is
 * a thread that takes what is runnable from one inbox and runs it.
 */
#define STUB_TASKS 7
#define STUB_POOLS 3
#define STUB_JOBS 1

#include "model/relacy.h"

#include "model/stub_pools.h"

static void *sk_heap_zalloc(size_t, size_t)
{
    RL_ASSERT(!"nobody asks");
    return NULL;
}

/* ---- waitq.c: a condition, made true once ---- */

struct condition {
    sk_waitq q;
    sk_atomic(uint32_t) holds;
    VAR_T(int) news;

    void init()
    {
        sk_waitq_init(&q);
        sk_store_rlx(&holds, 0u);
        news($) = 0;
    }
    static bool ready(void *ctx)
    {
        /* [WQ-M1] acquire; pairs with [WQ-M2]: who finds it true sees what made it so. */
        return sk_load_acq(&((condition *)ctx)->holds) != 0;
    }
    void make_true()
    {
        news($) = 1;
        /* [WQ-M2] release; pairs with [WQ-M1]. */
        sk_store_rel(&holds, 1u);
        sk_waitq_wake(&q);
    }
    int wait(uint64_t deadline)
    {
        int error = sk_waitq_wait(&q, ready, this, deadline);
        if (!error) RL_ASSERT(news($) == 1);
        here->waiting--;
        return error;
    }
};

/* All announcements are taken back, or are left to the next waker as abandoned ones. */
static void nothing_announced(condition *c)
{
    sk_waitq_wake(&c->q);
    RL_ASSERT(nodes.slab.free == 3);
    RL_ASSERT(sk_load_rlx(&c->q.threads) == 0);
}

/* Foreign threads wait. */
template <int waiters> struct waitq_threads : rl::test_suite<waitq_threads<waiters>, waiters + 1> {
    pool_world p;
    condition c;

    void before()
    {
        p.begin(waiters + 1);
        p.waiting = waiters;
        c.init();
    }
    void thread(unsigned index)
    {
        if (index == 0)
            c.make_true();
        else
            RL_ASSERT(c.wait(SK_NEVER) == 0);
        world.leave();
    }
    void after()
    {
        nothing_announced(&c);
    }
};

/* A task waits, and with it, if `other`, a foreign thread; or it is cancelled. */
enum { ALONE, WITH_THREAD, CANCELLED };
template <int how> struct waitq_task : rl::test_suite<waitq_task<how>, how == ALONE ? 3 : 4> {
    pool_world p;
    condition c;

    void before()
    {
        p.begin(how == ALONE ? 3 : 4);
        p.waiting = how == WITH_THREAD ? 2 : 1;
        c.init();
        p.s.run(0, false);
    }
    void thread(unsigned index)
    {
        sk_task *t = &p.s.tasks[0];
        if (index == 0) {
            sk_local_self()->worker = p.s.next_worker(t);
            int error = c.wait(SK_NEVER);
            RL_ASSERT(error == 0 || (how == CANCELLED && error == -ECANCELED));
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            c.make_true();
        } else if (how == WITH_THREAD) {
            RL_ASSERT(c.wait(SK_NEVER) == 0);
        } else if (sk_state_hit(&t->state, 1, SK_CANCEL, SK_WHY_CANCEL, 0) == SK_HIT_WOKEN) {
            sk_ready(NULL, t);
        }
        world.leave();
    }
    void after()
    {
        nothing_announced(&c);
    }
};

/* ---- pools ---- */

/* Submitters against the end of the last task: the pump goes, a task comes. */
template <int submitters, uint32_t limit, uint32_t queue, int each>
struct pool_submit : rl::test_suite<pool_submit<submitters, limit, queue, each>, submitters + 1> {
    pool_model p;

    void before()
    {
        p.begin(submitters + 1, limit, queue);
        the_pool = &p;
        world.rest = all_ran;
        p.waiting = submitters;
    }
    void thread(unsigned index)
    {
        if (index < submitters) {
            for (int i = 0; i < each; i++) RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(p.accepted == submitters * each);
        p.end(false);
    }
};

/* Two workers: never more at a time than the limit. */
struct pool_limit : rl::test_suite<pool_limit, 3> {
    pool_model p;

    void before()
    {
        p.begin(3, 1, 2);
        the_pool = &p;
        world.rest = all_ran;
        p.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(p.submit() == 0);
            RL_ASSERT(p.submit() == 0);
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

/* Who waits returns when all that was accepted before has ended, and sees what it did. */
struct pool_waits : rl::test_suite<pool_waits, 3> {
    pool_model p;

    void before()
    {
        p.begin(3, 1, 2);
        the_pool = &p;
        world.rest = all_ran;
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(p.submit() == 0);
            int mine = p.ran;
            RL_ASSERT(skua_pool_wait(p.pool, SKUA_FOREVER) == 0);
            RL_ASSERT(mine || p.ran > 0);
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

/* One submits and waits: afterwards the task has run, and its traces are seen. */
template <uint32_t limit> struct pool_wait_own : rl::test_suite<pool_wait_own<limit>, 2> {
    pool_model p;

    void before()
    {
        p.begin(2, limit, 2);
        the_pool = &p;
        world.rest = all_ran;
        p.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(p.submit() == 0);
            RL_ASSERT(skua_pool_wait(p.pool, SKUA_FOREVER) == 0);
            RL_ASSERT(p.ran == 1);
            int traces = 0;
            for (int i = 0; i < STUB_TASKS; i++) traces += p.output[i]($);
            RL_ASSERT(traces == 1);
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

/* Release against a submitter that may be too late: accepted and run, or refused; and the memory goes once. */
struct pool_release : rl::test_suite<pool_release, 3> {
    pool_model p;
    int error;

    void before()
    {
        p.begin(3, 1, 1);
        the_pool = &p;
        world.rest = all_ran;
        p.waiting = 2;
        error = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_pool_release(p.pool) == 0);
            RL_ASSERT(p.running == 0);
            p.waiting--;
        } else if (index == 1) {
            error = p.submit();
            RL_ASSERT(error == 0 || error == -ESHUTDOWN);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(true);
    }
};

/* A sweep of a pool, or a search for what backs off in it, comes to a task that ends meanwhile, and whose memory serves
   one of another pool: that one is not asked to end. */
template <bool backs_off> struct pool_stranger : rl::test_suite<pool_stranger<backs_off>, 2> {
    pool_model p;
    skua_pool *other;
    sk_task *t;

    void before()
    {
        p.begin(2, 1, 1);
        skua_pool_options options = {};
        options.limit = options.queue = 1;
        other = p.create(options);
        t = sk_task_new_counted(&p.pool->owner, p.body, NULL);
        if (!backs_off) return;
        sk_job *job = sk_job_new(p.pool, &options_of_none(), p.body, NULL, false);
        sk_store_rlx(&t->owner, &job->backoff);
    }
    static const skua_submit_options &options_of_none()
    {
        static const skua_submit_options none = {};
        return none;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            (void)sk_state_end(&t->state);
            sk_state_free(&t->state);
            init_task(t, &other->owner, p.body, NULL, false, SK_ACTIVE);
        } else if (backs_off) {
            sk_job_end_backoffs(p.pool);
        } else {
            for (int i = 0; i < 3; i++) (void)skua_pool_cancel(p.pool);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(sk_state_marks(&t->state) == 0);
        p.end(false);
    }
};

#include "model/pool_limits.h"

typedef pool_submit<1, 1, 2, 2> pool_submit_one;
typedef pool_submit<2, 1, 2, 1> pool_submit_two;
typedef pool_submit<1, 2, 2, 2> pool_submit_many;
typedef pool_submit<1, 1, 1, 3> pool_full;
typedef pool_submit<2, 1, 1, 2> pool_full_two;
typedef pool_below<false, false, 1> pool_below_one;
typedef pool_below<true, false, 1> pool_below_two;
typedef pool_below<true, false, 2> pool_below_many;
typedef pool_below<false, true, 1> pool_below_queueless;
static const sk_model models[] = {
    SK_EXPLORE(waitq_threads<1>, "waitq-thread", 3),
    SK_EXPLORE(waitq_threads<2>, "waitq-threads", 3),
    SK_EXPLORE(waitq_task<ALONE>, "waitq-task", 2),
    SK_EXPLORE(waitq_task<WITH_THREAD>, "waitq-task-thread", 2),
    SK_EXPLORE(waitq_task<CANCELLED>, "waitq-cancel", 2),
    SK_EXPLORE(pool_submit_one, "pool-submit", 2),
    SK_EXPLORE(pool_submit_two, "pool-submit-two", 2),
    SK_EXPLORE(pool_submit_many, "pool-submit-many", 2),
    SK_EXPLORE(pool_full, "pool-full", 1),
    SK_EXPLORE(pool_full_two, "pool-full-two", 0),
    SK_EXPLORE(pool_limit, "pool-limit", 1),
    SK_EXPLORE(pool_waits, "pool-wait", 1),
    SK_EXPLORE(pool_wait_own<1>, "pool-wait-own", 2),
    SK_EXPLORE(pool_wait_own<2>, "pool-wait-own-many", 2),
    SK_EXPLORE(pool_release, "pool-release", 1),
    SK_EXPLORE(pool_pause, "pool-pause", 1),
    SK_EXPLORE(pool_tune, "pool-tune", 0),
    SK_EXPLORE(pool_tune_down, "pool-tune-down", 1),
    SK_EXPLORE(pool_below_one, "pool-below", 1),
    SK_EXPLORE(pool_below_two, "pool-below-two", 1),
    SK_EXPLORE(pool_below_many, "pool-below-many", 0),
    SK_EXPLORE(pool_below_queueless, "pool-below-queueless", 1),
    SK_EXPLORE(pool_below_limit, "pool-below-limit", 0),
    SK_EXPLORE(pool_below_release, "pool-below-release", 1),
    SK_EXPLORE(pool_family_ends, "pool-family-ends", 1),
    SK_EXPLORE(pool_queueless<1>, "pool-queueless", 1),
    SK_EXPLORE(pool_queueless<2>, "pool-queueless-more", 0),
    SK_EXPLORE(pool_waiters, "pool-waiters", 0),
    SK_EXPLORE(pool_drop, "pool-drop", 0),
    SK_EXPLORE(pool_stuck, "pool-stuck", 0),
    SK_EXPLORE(pool_levels, "pool-levels", 1),
    SK_EXPLORE(pool_counts, "pool-counts", 1),
    SK_EXPLORE(pool_counts_grow, "pool-counts-grow", 0),
    SK_EXPLORE(pool_stop_now, "pool-stop-now", 1),
    SK_EXPLORE(pool_stranger<false>, "pool-stranger", 1),
    SK_EXPLORE(pool_stranger<true>, "pool-stranger-backs-off", 3),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
