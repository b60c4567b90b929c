/*
 * pool.cpp: Relacy models of pools and of those who wait for them: the real
 * src/pool/waitq.c and pool.c over tasks of stub_tasks.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/pool.cpp -o model-pool
 *
 * What is tried: whoever waits until something holds does not sleep on when it
 * does; every task that a pool accepts runs, never more at a time than the limit
 * says; wait and release return, and not before all has ended.  A worker here is
 * a thread that takes what is runnable from one inbox and runs it.
 */
#define SK_BOUNDED_MIN_SLOTS 2u
#define SK_BOUNDED_LAG 2
#define STUB_TASKS 5
#define STUB_WORKERS 3
#define STUB_OWN_READY

#include "model/relacy.h"

#include <sched.h>

#include "model/stub_world.h"

#include "model/stub_tasks.h"

#define sched_yield() rl::yield(1, $)

namespace rl
{
/* Relacy retells a pointer as a void *, which a function's is not. */
template <> struct atomic_add_type<bool (*)(void *)> {
    typedef bool (*type)(void *);
    typedef bool (*output_type)(void *);
};
} // namespace rl

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

/* The runtime outlives every model here. */
bool sk_runtime_enter(skua_runtime *)
{
    return true;
}
void sk_runtime_exit(skua_runtime *)
{
}

/* ---- a run queue for all ---- */

static struct queue_model {
    sk_atomic(uint32_t) * bell;
    sk_chore *owed;
} runnable;

static void ring()
{
    sk_add_rel(runnable.bell, 1u);
    sk_futex_wake(runnable.bell, INT32_MAX);
}
void sk_push(sk_worker *, sk_task *t)
{
    sk_inject_push(&stub->rt.inbox, &t->link);
}
void sk_ready(sk_worker *w, sk_task *t)
{
    if (stub->more[t - stub->tasks].times_left) return stub_resume(t);
    sk_push(w, t);
    ring();
}
void sk_ready_next(sk_worker *w, sk_task *t)
{
    sk_ready(w, t);
}
void sk_announce_later(sk_worker *, uint64_t)
{
    ring();
}
static void sk_notify(skua_runtime *)
{
    ring();
}
static void sk_monitor_owe(skua_runtime *, sk_chore *chore)
{
    RL_ASSERT(!runnable.owed);
    runnable.owed = chore;
    ring();
}
int skua_cancelled(void)
{
    return 0;
}
int sk_runtime_check(skua_runtime *)
{
    return 0;
}
skua_runtime *skua_runtime_current(void)
{
    return &stub->rt;
}
skua_runtime *skua_runtime_default(void)
{
    return &stub->rt;
}
void sk_wake_joiner(sk_worker *, uint64_t)
{
}

#include "runtime/park.c"

#include "runtime/end.c"

#include "runtime/expiry.c"

/* Names that the two files have in common. */
#define once waitq_once
#define slab_is_there waitq_slab_is_there
#include "pool/waitq.c"
#undef once
#undef slab_is_there

#include "pool/pool.c"

/* ---- what all models share ---- */

struct pool_world {
    stub_state s;
    sk_atomic(uint32_t) bell;
    sk_waitq_node node[3];
    int nodes_freed;
    int waiting; /* how many have not got what they wait for yet */

    void begin(int threads);
};

static pool_world *here;

static void nobody_waits()
{
    RL_ASSERT(here->waiting == 0);
}

inline void pool_world::begin(int threads)
{
    world.begin(threads, nobody_waits);
    here = this;
    waiting = 0;
    s.begin();
    sk_store_rlx(&bell, 0u);
    runnable.bell = &bell;
    runnable.owed = NULL;
    nodes.free = 0;
    for (int i = 0; i < 3; i++) nodes.place[nodes.free++] = &node[i];
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
    RL_ASSERT(nodes.free == 3);
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

/* ---- pool.c ---- */

struct pool_model : pool_world {
    skua_pool memory, *pool;
    int accepted, ran, running, most, workers_begun;
    VAR_T(int) output[STUB_TASKS]; /* of the task in that place */

    void begin(int threads, uint32_t limit, uint32_t queue)
    {
        pool_world::begin(threads);
        pools.free = 0;
        pools.place[pools.free++] = &memory;
        memory.queue.slots = NULL;
        sk_store_rlx(&memory.inside, 0u);
        sk_store_rlx(&memory.submitting, 0u);
        sk_store_rlx(&memory.waiting, 0u);
        accepted = ran = running = most = workers_begun = 0;
        for (int i = 0; i < STUB_TASKS; i++) output[i]($) = 0;
        skua_pool_options options = {};
        options.limit = limit;
        options.queue = queue;
        RL_ASSERT(skua_pool_create(&pool, &options) == 0);
    }
    static int body(void *)
    {
        return 0;
    }
    /* Foreign thread. */
    int submit()
    {
        int error = skua_pool_submit(pool, body, NULL);
        accepted += error == 0;
        return error;
    }
    void run(sk_worker *w, sk_task *t)
    {
        while (t) {
            if (!t->fn) {
                sk_chore *chore = (sk_chore *)t->arg;
                chore->run(chore, w);
                return;
            }
            output[t - s.tasks]($) = 1;
            running++;
            most = sk_max(most, running);
            rl::yield(1, $);
            running--;
            ran++;
            w->task = t;
            t = sk_task_end(w, t, SK_DONE, 0);
            w->task = NULL;
        }
    }
    /* The body of a worker's thread: until all is at rest. */
    void work()
    {
        sk_worker *w = s.next_worker(NULL);
        sk_local_self()->worker = w;
        while (!world.over) {
            uint32_t seen = sk_load_acq(&bell);
            sk_inject_link *link = sk_inject_take(&s.rt.inbox);
            if (runnable.owed) {
                sk_chore *chore = runnable.owed;
                runnable.owed = NULL;
                chore->run(chore, NULL);
            }
            if (!link) sk_futex_wait(&bell, seen, SK_NEVER);
            for (sk_inject_link *next; link; link = next) {
                next = link->next;
                run(w, sk_task_of_link(link));
            }
        }
    }
    void end(bool released)
    {
        RL_ASSERT(ran == accepted && running == 0);
        RL_ASSERT(released == (pools.free == 1));
        RL_ASSERT(sk_load_rlx(&memory.running) == 0);
        RL_ASSERT(sk_bounded_is_empty(&memory.queue));
        RL_ASSERT(sk_inject_is_empty(&s.rt.inbox));
        sk_bounded_fini(&memory.queue);
    }
};

static pool_model *the_pool;

/* At rest every accepted task has run, so none was left in the queue beside a free slot. */
static void all_ran()
{
    nobody_waits();
    RL_ASSERT(the_pool->ran == the_pool->accepted);
}

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

typedef pool_submit<1, 1, 2, 2> pool_submit_one;
typedef pool_submit<2, 1, 2, 1> pool_submit_two;
typedef pool_submit<1, 2, 2, 2> pool_submit_many;
typedef pool_submit<1, 1, 1, 3> pool_full;
typedef pool_submit<2, 1, 1, 2> pool_full_two;
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
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
