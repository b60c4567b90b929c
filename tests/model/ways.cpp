/*
 * ways.cpp: Relacy models of the less common ways through a pool: in the order of
 * deadlines (src/pool/earliest.h), straight to the worker, in storage of the
 * caller's (src/pool/storage.c), in pools of stub_pools.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/ways.cpp -o model-ways
 *
 * What is tried: the heap belongs to one at a time, and nothing stays in it beside
 * a free slot, whoever puts the baton down; who submits straight is waited for by
 * stop and release, or refused, and the slot that he took in vain is missed by
 * nobody; who waits for a storage is woken, and then it is his.
 */
#define STUB_TASKS 5
#define STUB_POOLS 1
#define STUB_JOBS 1
#define SK_STORED_PLACES_SHIFT 1

#include "model/relacy.h"

#include "model/stub_pools.h"

static void *sk_heap_zalloc(size_t, size_t)
{
    RL_ASSERT(!"nobody asks");
    return NULL;
}

/* At rest every accepted task has run, or ended without that. */
static void all_ended()
{
    nobody_waits();
    uint64_t ended = 0;
    for (int end = SK_DONE + 1; end < SK_ENDS; end++) ended += the_pool->pool->ended[end].newest();
    RL_ASSERT(the_pool->ran + (int)ended == the_pool->accepted);
}

/* ---- in the order of deadlines ---- */

struct order_model : pool_model {
    void begin(int threads, uint32_t queue)
    {
        begin_empty(threads);
        skua_pool_options options = {};
        options.limit = 1;
        options.queue = queue;
        options.order = SKUA_ORDER_DEADLINE;
        pool = create(options);
        world.rest = all_ended;
    }
    int submit_due(uint64_t due_within)
    {
        skua_submit_options options = {};
        options.due_within = due_within;
        int error = skua_pool_submit_with(pool, NULL, &options, body, NULL);
        accepted += error == 0;
        return error;
    }
    void end(bool released)
    {
        accepted = ran;
        sk_earliest *e = pool->backlog.ordered;
        RL_ASSERT((uint64_t)e->n == 0 && e->doomed == 0 && e->moved == sk_load_rlx(&e->out));
        pool_model::end(released);
    }
};

/* One task runs and ends while others come: its end and the pump are after the same heap. */
template <int submitters> struct order_submit : rl::test_suite<order_submit<submitters>, submitters + 2> {
    order_model p;
    sk_task *held;

    void before()
    {
        p.begin(submitters + 2, 2);
        p.yields = false;
        RL_ASSERT(p.submit() == 0);
        p.hold(&held, 1);
        p.waiting = submitters;
    }
    void thread(unsigned index)
    {
        if (index < submitters) {
            RL_ASSERT(p.submit_due(10 - index) == 0);
            p.waiting--;
        } else {
            p.work(index == submitters ? held : NULL);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(p.most == 1 && p.ran == submitters + 1);
        p.end(false);
    }
};

/* The same with a queue of one: who finds it full waits for room. */
struct order_full : rl::test_suite<order_full, 2> {
    order_model p;

    void before()
    {
        p.begin(2, 1);
        p.yields = false;
        p.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < 3; i++) RL_ASSERT(p.submit() == 0);
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(p.ran == 3);
        p.end(false);
    }
};

/* All that is queued is dropped while the task that runs ends, and perhaps another one comes. */
template <bool another> struct order_drop : rl::test_suite<order_drop<another>, another ? 3 : 2> {
    order_model p;
    sk_task *held;

    void before()
    {
        p.begin(another ? 3 : 2, 2);
        p.yields = false;
        RL_ASSERT(p.submit() == 0);
        RL_ASSERT(p.submit_due(5) == 0);
        p.hold(&held, 1);
        p.waiting = another ? 2 : 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_pool_stop_now(p.pool, SKUA_FOREVER) == 0);
            RL_ASSERT(sk_load_rlx(&p.pool->running) == 0 && p.running == 0);
            RL_ASSERT(sk_backlog_is_empty(&p.pool->backlog));
            p.waiting--;
        } else if (index == 1) {
            p.work(held);
        } else {
            int error = p.submit_due(3);
            RL_ASSERT(error == 0 || error == -ESHUTDOWN);
            p.waiting--;
        }
        world.leave();
    }
    void after()
    {
        p.end(false);
    }
};

/* ---- straight to the worker ---- */

/* The submitter is a task of the runtime, on a worker of its own. */
struct straight_model : pool_model {
    bool over; /* no task of the pool may begin any more */

    void begin(int threads)
    {
        pool_model::begin(threads, 1, 3); /* never full: no submitter parks */
        world.rest = all_ran;
        yields = false;
        over = false;
        s.run(STUB_TASKS - 1, false);
    }
    static int early(void *self)
    {
        RL_ASSERT(!((straight_model *)self)->over);
        return body(NULL);
    }
    int submit_early()
    {
        int error = skua_pool_submit(pool, early, this);
        accepted += error == 0;
        return error;
    }
    void submit_as_task(int n)
    {
        sk_local_self()->worker = s.next_worker(&s.tasks[STUB_TASKS - 1]);
        for (int i = 0; i < n; i++) {
            int error = submit_early();
            RL_ASSERT(error == 0 || error == -ESHUTDOWN);
        }
    }
};

/* Beside one who goes by the queue: nobody misses the slot, no two have it. */
template <int each> struct straight_beside : rl::test_suite<straight_beside<each>, 3> {
    straight_model p;

    void before()
    {
        p.begin(3);
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.submit_as_task(each);
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
        RL_ASSERT(p.most == 1 && p.ran == 1 + each);
        p.end(false);
    }
};

/* Beside one who takes snapshots: a slot whose task has not been counted is not taken for one that runs. */
struct straight_counts : rl::test_suite<straight_counts, 3> {
    straight_model p;

    void before()
    {
        p.begin(3);
        p.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.submit_as_task(2);
            p.waiting--;
        } else if (index == 1) {
            skua_pool_counts c[3];
            for (int i = 0; i < 3; i++) RL_ASSERT(skua_pool_stats(p.pool, &c[i]) == 0);
            for (int i = 1; i < 3; i++) RL_ASSERT(c[i].done >= c[i - 1].done);
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

/* The pool stops, or is released; with `again` its memory serves the next pool at once, whose task nobody forgets. */
enum { STOPS, RELEASES, LIVES_AGAIN };
template <int how> struct straight_end : rl::test_suite<straight_end<how>, 3> {
    straight_model p;

    void before()
    {
        p.begin(3);
        p.waiting = 2;
    }
    void live_again()
    {
        p.over = false;
        skua_pool_options options = {};
        options.limit = 1;
        options.queue = 2;
        RL_ASSERT(p.create(options) == p.pool);
        RL_ASSERT(p.submit() == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.submit_as_task(1);
            p.waiting--;
        } else if (index == 1) {
            RL_ASSERT((how == STOPS ? skua_pool_stop(p.pool, SKUA_FOREVER) : skua_pool_release(p.pool)) == 0);
            RL_ASSERT(p.running == 0);
            p.over = true;
            if (how == LIVES_AGAIN) live_again();
            p.waiting--;
        } else {
            p.work();
        }
        world.leave();
    }
    void after()
    {
        p.end(how == RELEASES);
    }
};

/* ---- in storage of the caller's ---- */

enum { RESULT = 7 };

struct stored_model : pool_model {
    place table[PLACES];
    sk_stored *stored;
    sk_atomic(uint32_t) asked; /* somebody has asked it to end */
    VAR_T(int) news;

    static int stored_fn(void *self)
    {
        stored_model *m = (stored_model *)self;
        m->ran++;
        m->news($) = 1;
        /* [SG-M1] acquire; pairs with [SG-M2]. */
        if (sk_load_acq(&m->asked)) RL_ASSERT(skua_cancelled() != 0);
        return RESULT;
    }
    void begin(int threads)
    {
        pool_model::begin(threads, 1, 2);
        world.rest = all_ended;
        stub_places = &table;
        for (int i = 0; i < PLACES; i++) {
            sk_waitq_init(&table[i].q);
            sk_store_rlx(&table[i].told, UINT64_C(0));
        }
        sk_store_rlx(&asked, 0u);
        news($) = 0;
        stored = stub_new<sk_stored>(1);
        RL_ASSERT(skua_task_init(storage(), stored_fn, this) == 0);
    }
    skua_task_storage *storage()
    {
        return (skua_task_storage *)(void *)stored;
    }
    void submit_stored()
    {
        RL_ASSERT(skua_pool_submit_stored(pool, storage()) == 0);
        accepted++;
    }
    int wait()
    {
        int result = 0, error = skua_stored_wait(storage(), SKUA_FOREVER, &result);
        if (!error) RL_ASSERT(result == RESULT && news($) == 1);
        return error;
    }
    /* Who touches it from now on is found by Relacy. */
    void destroy()
    {
        sk_heap_free(stored);
        stored = NULL;
    }
    void end(bool released)
    {
        if (stored) destroy();
        for (int i = 0; i < PLACES; i++) RL_ASSERT(sk_load_rlx(&table[i].q.threads) == 0);
        accepted = ran;
        pool_model::end(released);
    }
};

/* One submits, waits, and submits again, or takes the memory back. */
template <bool again> struct stored_own : rl::test_suite<stored_own<again>, 2> {
    stored_model m;

    void before()
    {
        m.begin(2);
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i <= again; i++) {
                m.submit_stored();
                RL_ASSERT(m.wait() == 0);
                m.news($) = 0;
            }
            m.destroy();
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.ran == 1 + again);
        m.end(false);
    }
};

/* Two wait; or a task does, and takes the memory back. */
struct stored_two : rl::test_suite<stored_two, 3> {
    stored_model m;

    void before()
    {
        m.begin(3);
        m.submit_stored();
        m.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            RL_ASSERT(m.wait() == 0);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end(false);
    }
};

struct stored_task : rl::test_suite<stored_task, 3> {
    stored_model m;

    void before()
    {
        m.begin(3);
        m.submit_stored();
        m.waiting = 1;
        m.s.run(STUB_TASKS - 1, false);
    }
    void thread(unsigned index)
    {
        sk_task *t = &m.s.tasks[STUB_TASKS - 1];
        if (index == 0) {
            sk_local_self()->worker = m.s.next_worker(t);
            RL_ASSERT(m.wait() == 0);
            m.destroy();
            m.waiting--;
            stub_done(STUB_TASKS - 1);
        } else if (index == 1) {
            stub_loop(STUB_TASKS - 1);
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.ran == 1);
        m.end(false);
    }
};

/* A cancel of the pool finds it, wherever it is; who stops the pool without draining may take the memory back. */
template <bool stop> struct stored_cancel : rl::test_suite<stored_cancel<stop>, 2> {
    stored_model m;

    void before()
    {
        m.begin(2);
        m.submit_stored();
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 1) {
            m.work();
        } else if (stop) {
            RL_ASSERT(skua_pool_stop_now(m.pool, SKUA_FOREVER) == 0);
            RL_ASSERT(skua_stored_is_idle(m.storage()) == 1);
            m.destroy();
            m.waiting--;
        } else {
            RL_ASSERT(skua_pool_cancel(m.pool) >= 0);
            /* [SG-M2] release; pairs with [SG-M1]: who sees this has been asked before. */
            sk_store_rel(&m.asked, 1u);
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        m.end(false);
    }
};

static const sk_model models[] = {
    SK_EXPLORE(order_submit<1>, "order-submit", 1),
    SK_EXPLORE(order_submit<2>, "order-submit-two", 0),
    SK_EXPLORE(order_full, "order-full", 1),
    SK_EXPLORE(order_drop<false>, "order-drop-alone", 1),
    SK_EXPLORE(order_drop<true>, "order-drop-submit", 0),
    SK_EXPLORE(straight_beside<1>, "straight-beside", 1),
    SK_EXPLORE(straight_beside<2>, "straight-twice", 1),
    SK_EXPLORE(straight_counts, "straight-counts", 0),
    SK_EXPLORE(straight_end<STOPS>, "straight-stop", 1),
    SK_EXPLORE(straight_end<RELEASES>, "straight-release", 1),
    SK_EXPLORE(straight_end<LIVES_AGAIN>, "straight-again", 1),
    SK_EXPLORE(stored_own<false>, "stored-own", 2),
    SK_EXPLORE(stored_own<true>, "stored-again", 1),
    SK_EXPLORE(stored_two, "stored-two", 1),
    SK_EXPLORE(stored_task, "stored-task", 1),
    SK_EXPLORE(stored_cancel<false>, "stored-cancel", 2),
    SK_EXPLORE(stored_cancel<true>, "stored-stop", 1),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
