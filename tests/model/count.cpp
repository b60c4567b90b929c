/*
 * count.cpp: Relacy models of counting births and ends, and of stopping by it:
 * the real src/runtime/end.c and shutdown.c over tasks of stub_tasks.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/count.cpp -o model-count
 *
 * What is tried: no sum says zero while a task lives, or a number that is not
 * there; no task slips in beside a stop that has counted; a runtime is not freed
 * under one who still has to do with it.
 */
#include "model/relacy.h"

#include <sched.h>

#define STUB_COUNTER sk_atomic(uint64_t)
#define STUB_WORKERS 2
#define STUB_TASKS 2

#include "model/stub_world.h"

#include "model/stub_tasks.h"

#define sched_yield() rl::yield(1, $)

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

#define SK_RUNTIME_MACHINE_H

/* ---- what shutdown.c asks of others ---- */

static void sk_slab_each(sk_slab *, void (*fn)(void *object, void *ctx), void *ctx)
{
    for (int i = 0; i < STUB_TASKS; i++) fn(&stub->tasks[i], ctx);
}
static void sk_monitor_pay(skua_runtime *)
{
}
static void sk_thread_join(int *)
{
}
void sk_local_free(sk_local *)
{
}
static void sk_trim_spares(skua_runtime *, uint32_t)
{
}
skua_runtime *skua_runtime_current(void)
{
    return NULL;
}
int skua_cancelled(void)
{
    return 0;
}
int skua_sleep(uint64_t)
{
    RL_ASSERT(!"a foreign thread stops the runtime");
    return 0;
}
void sk_wake_joiner(sk_worker *, uint64_t)
{
}

int skua_blocking_begin(void)
{
    return -EPERM;
}
int skua_blocking_end(void)
{
    return -EPERM;
}

int skua_yield()
{
    return -EPERM;
}

/* Those of runtime.c count in memory that outlives the runtime. */
static sk_atomic(uint32_t) * visiting;

bool sk_runtime_enter(skua_runtime *rt)
{
    sk_add_sc(visiting, 1u);
    if (sk_load_sc(&rt->magic) == SK_RUNTIME_LIVE) return true;
    sk_sub_ar(visiting, 1u);
    return false;
}
void sk_runtime_exit(skua_runtime *)
{
    sk_sub_ar(visiting, 1u);
}
bool sk_runtime_is_visited(skua_runtime *)
{
    return sk_load_sc(visiting) > 1;
}

static VAR_T(int) * runtime_memory;
static int released;

static void sk_workers_free(skua_runtime *)
{
    (*runtime_memory)($) = 0;
}

#include "runtime/end.c"

#include "runtime/expiry.c"

#include "runtime/shutdown.c"

void sk_runtime_forget(skua_runtime *)
{
    released++;
}

/* ---- what all models share ---- */

struct count_world {
    stub_state s;
    VAR_T(int) memory;         /* of the runtime */
    sk_atomic(sk_task *) sent; /* a queue of one place */
    sk_atomic(uint32_t) visits;
    bool alive[STUB_TASKS]; /* from the moment its maker has been told so to the beginning of its end */
    int pauses;             /* how often the last of them began to end */
    bool zero;              /* somebody was told that no task lives, and that none will */

    static void rest()
    {
    }
    void begin(int threads)
    {
        world.begin(threads, rest);
        runtime_memory = &memory;
        visiting = &visits;
        sk_store_rlx(&visits, 0u);
        released = 0;
        memory($) = 0;
        s.begin();
        for (int i = 0; i < STUB_WORKERS; i++) s.workers[i].carry.value = SK_VACANT;
        sk_store_rlx(&sent, (sk_task *)NULL);
        for (int i = 0; i < STUB_TASKS; i++) alive[i] = false;
        zero = false;
        pauses = 0;
        s.rt.monitor = s.rt.threads = NULL;
    }
    bool none_lives() const
    {
        for (int i = 0; i < STUB_TASKS; i++)
            if (alive[i]) return false;
        return true;
    }
    sk_task *make()
    {
        int error = 0;
        sk_task *t = sk_task_new(sk_local_self(), &s.rt.owner, NULL, NULL, false, SK_ACTIVE, &error);
        RL_ASSERT(t || error == -ESHUTDOWN);
        if (!t) return NULL;
        RL_ASSERT(!zero);
        alive[t - s.tasks] = true;
        return t;
    }
    void no_longer(sk_task *t)
    {
        alive[t - s.tasks] = false;
        pauses += none_lives();
    }
    void end(sk_task *t)
    {
        no_longer(t);
        sk_task_end(sk_worker_self(), t, SK_DONE, 0);
    }
    void send(sk_task *t)
    {
        /* [EN-M1] release; pairs with [EN-M2]: a queue. */
        sk_store_rel(&sent, t);
    }
    sk_task *receive()
    {
        /* [EN-M2] acquire; pairs with [EN-M1]. */
        return sk_load_acq(&sent);
    }
    void carry(int worker)
    {
        sk_local_self()->worker = &s.workers[worker];
    }
    /* Zero means that there was a moment at which none lived; for who knows of a task that lives, or has stopped the
       runtime. Anyone else may not have heard of a task from outside yet, but never gets less than there are. */
    uint64_t look(bool knows = true)
    {
        bool lived = knows && !none_lives();
        int before = pauses;
        uint64_t live = sk_live_tasks(&s.rt);
        RL_ASSERT(live <= STUB_TASKS);
        RL_ASSERT(live || !lived || pauses != before);
        return live;
    }
    /* The same, when nobody from outside is admitted any more, and no task that runs makes another: then it is so for
       good. */
    void stop_and_look()
    {
        stop_at_least(&s.rt, SK_STOP_OUTSIDE);
        uint64_t live = look();
        RL_ASSERT(live || none_lives());
        zero = live == 0;
    }
};

/* A task is made from outside and ended there; who stops the runtime counts. */
struct count_stop : rl::test_suite<count_stop, 2> {
    count_world c;

    void before()
    {
        c.begin(2);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (sk_task *t = c.make()) c.end(t);
        } else {
            c.stop_and_look();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(sk_live_tasks(&c.s.rt) == 0);
    }
};

/* Who stops the runtime comes to a task that ends meanwhile, and whose memory serves one of another runtime: that one
   is not asked to end. */
struct count_stranger : rl::test_suite<count_stranger, 2> {
    count_world c;
    sk_task_owner other;
    sk_task *t;

    void before()
    {
        c.begin(2);
        sk_owner_init(&other, NULL, NULL);
        t = c.make();
        sk_store_rlx(&c.s.rt.stopping, (uint32_t)SK_STOP_CANCEL);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            (void)sk_state_end(&t->state);
            sk_state_free(&t->state);
            init_task(t, &other, NULL, NULL, false, SK_ACTIVE);
        } else {
            for (int i = 0; i < 3; i++) sk_slab_each(&sk_tasks, mark, &c.s.rt);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(sk_state_marks(&t->state) == 0);
    }
};

/* Made outside, ended by a worker, or outside as well: the sums are taken in between. */
template <bool by_worker> struct count_sent : rl::test_suite<count_sent<by_worker>, 3> {
    count_world c;

    void before()
    {
        c.begin(3);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (sk_task *t = c.make()) c.send(t);
        } else if (index == 1) {
            if (by_worker) c.carry(0);
            if (sk_task *t = c.receive()) c.end(t);
        } else {
            c.look(false);
            c.stop_and_look();
        }
        world.leave();
    }
};

/* A running task makes another, which a second worker ends; the first ends meanwhile. One of them lives at any time. */
struct count_inside : rl::test_suite<count_inside, 3> {
    count_world c;

    void before()
    {
        c.begin(3);
        c.carry(0);
        c.make();
        sk_local_self()->worker = NULL;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            c.carry(0);
            c.send(c.make());
            c.end(&c.s.tasks[0]);
        } else if (index == 1) {
            c.carry(1);
            if (sk_task *t = c.receive()) c.end(t);
        } else {
            c.look();
        }
        world.leave();
    }
};

/* A submission that is taken back was never there. */
struct count_withdraw : rl::test_suite<count_withdraw, 2> {
    count_world c;

    void before()
    {
        c.begin(2);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (sk_task *t = c.make()) {
                c.no_longer(t);
                sk_task_withdraw(t);
            }
        } else {
            c.look();
            c.look();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(sk_live_tasks(&c.s.rt) == 0);
    }
};

/* The runtime is released while a thread from outside makes its last task runnable, and a worker ends that. */
struct release_visit : rl::test_suite<release_visit, 3> {
    count_world c;

    void before()
    {
        c.begin(3);
        RL_ASSERT(c.make() == &c.s.tasks[0]);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            sk_visit(&c.s.rt);
            c.send(&c.s.tasks[0]);
            c.memory($) = 1; /* looks whom to wake */
            sk_visit_end(&c.s.rt);
        } else if (index == 1) {
            c.carry(0);
            sk_task *t = c.receive();
            while (!t) {
                rl::yield(1, $);
                t = c.receive();
            }
            c.end(t);
            sk_stop_progress(&c.s.rt);
        } else {
            RL_ASSERT(skua_runtime_release(&c.s.rt) == 0);
            RL_ASSERT(c.none_lives());
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(released == 1);
    }
};

/* Two release at once: one of them does it. */
struct release_twice : rl::test_suite<release_twice, 2> {
    count_world c;
    int error[2];

    void before()
    {
        c.begin(2);
    }
    void thread(unsigned index)
    {
        error[index] = skua_runtime_release(&c.s.rt);
        RL_ASSERT(error[index] == 0 || error[index] == -ESHUTDOWN);
        world.leave();
    }
    void after()
    {
        RL_ASSERT((error[0] == 0) + (error[1] == 0) == 1 && released == 1);
    }
};

static const sk_model models[] = {
    SK_EXPLORE(count_stop, "count-stop", 3),       SK_EXPLORE(count_stranger, "count-stranger", 3),
    SK_EXPLORE(count_sent<true>, "count-sent", 2), SK_EXPLORE(count_sent<false>, "count-sent-outside", 2),
    SK_EXPLORE(count_inside, "count-inside", 2),   SK_EXPLORE(count_withdraw, "count-withdraw", 3),
    SK_EXPLORE(release_visit, "release-visit", 2), SK_EXPLORE(release_twice, "release-twice", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
