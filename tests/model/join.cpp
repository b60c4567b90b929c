/*
 * join.cpp: Relacy models of parking, joining, ending and deadlines: the real
 * src/runtime/park.c, join.c, end.c and expiry.c over tasks of stub_tasks.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/join.cpp -o model-join
 *
 * What is tried: a task that parks for an event is woken exactly once, whatever
 * comes at the same time; a joiner gets the result of the task it waited for,
 * and what that task wrote; its memory goes exactly once.  A lost wake-up leaves
 * somebody asleep when all is at rest, which is an assertion (stub_world.h).
 */
#include "model/relacy.h"

#include "model/stub_world.h"

#include "model/stub_tasks.h"

[[noreturn]] void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

int skua_cancelled(void)
{
    return 0;
}

/* The runtime outlives every model here. */
bool sk_runtime_enter(skua_runtime *)
{
    return true;
}
void sk_runtime_exit(skua_runtime *)
{
}

#include "runtime/park.c"

#include "runtime/join.c"

#include "runtime/end.c"

#include "runtime/expiry.c"

/* What all models share: thread 0 is the task that parks, thread 1 its loop. */
struct parked_task {
    stub_state s;
    bool finished;

    void begin(int threads);
    void start()
    {
        sk_local_self()->worker = s.next_worker(&s.tasks[0]);
    }
    void finish()
    {
        finished = true;
        stub_done(0);
    }
};

static parked_task *parked;

static void nobody_sleeps()
{
    RL_ASSERT(parked->finished);
}

inline void parked_task::begin(int threads)
{
    world.begin(threads, nobody_sleeps);
    world.patience = 3;
    parked = this;
    finished = false;
    s.begin();
    s.run(0, false);
}

/* ---- park.c: an event with one waiter ---- */

struct event {
    sk_atomic(uint64_t) waiter; /* its generation, from when it has made itself known */
    sk_atomic(uint32_t) has_happened;
    VAR_T(int) news; /* what the event brings */

    void init()
    {
        sk_store_rlx(&waiter, UINT64_C(0));
        sk_store_rlx(&has_happened, 0u);
        news($) = 0;
    }
    static bool publish(const sk_wait *wait, sk_task *, uint64_t generation)
    {
        event *e = (event *)wait->object;
        if (sk_load_acq(&e->has_happened)) return false;
        sk_store_sc(&e->waiter, generation);
        return true;
    }
    static bool happened(const sk_wait *wait, const sk_task *)
    {
        return sk_load_sc(&((event *)wait->object)->has_happened);
    }
    int wait(uint64_t deadline)
    {
        sk_wait w = {publish, happened, this, 0};
        int why = sk_park(sk_worker_self(), &w, deadline);
        if (why == SK_WHY_WAKE) {
            RL_ASSERT(sk_load_acq(&has_happened));
            RL_ASSERT(news($) == 1);
        }
        return why;
    }
    /* True: woke it. */
    bool happen(sk_task *t)
    {
        news($) = 1;
        sk_store_sc(&has_happened, 1u);
        uint64_t generation = sk_load_sc(&waiter);
        return generation && sk_unpark(t, generation);
    }
};

/* It parks, the event comes. */
struct park_event : rl::test_suite<park_event, 3> {
    parked_task p;
    event e;

    void before()
    {
        p.begin(3);
        e.init();
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.start();
            RL_ASSERT(e.wait(SK_NEVER) == SK_WHY_WAKE);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else {
            e.happen(&p.s.tasks[0]);
        }
        world.leave();
    }
};

/* Two events one after the other, each waited for: no wake-up of the first park ends the second. */
struct park_twice : rl::test_suite<park_twice, 4> {
    parked_task p;
    event e[2];

    void before()
    {
        p.begin(4);
        e[0].init();
        e[1].init();
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.start();
            RL_ASSERT(e[0].wait(SK_NEVER) == SK_WHY_WAKE);
            RL_ASSERT(e[1].wait(SK_NEVER) == SK_WHY_WAKE);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else {
            e[index - 2].happen(&p.s.tasks[0]);
        }
        world.leave();
    }
};

/* The event against a cancel: one of the two has ended the park, and a cancelled one does not park again. */
struct park_cancel : rl::test_suite<park_cancel, 4> {
    parked_task p;
    event e;

    void before()
    {
        p.begin(4);
        e.init();
    }
    void thread(unsigned index)
    {
        sk_task *t = &p.s.tasks[0];
        if (index == 0) {
            p.start();
            int why = e.wait(SK_NEVER);
            RL_ASSERT(why == SK_WHY_WAKE || why == SK_WHY_CANCEL);
            if (why == SK_WHY_CANCEL) RL_ASSERT(sk_park(sk_worker_self(), NULL, SK_NEVER) == SK_WHY_CANCEL);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            e.happen(t);
        } else if (sk_state_hit(&t->state, 1, SK_CANCEL, SK_WHY_CANCEL, 0) == SK_HIT_WOKEN) {
            sk_ready(NULL, t);
        }
        world.leave();
    }
};

/* Nobody but the cancel. */
struct park_cancel_only : rl::test_suite<park_cancel_only, 3> {
    parked_task p;

    void before()
    {
        p.begin(3);
    }
    void thread(unsigned index)
    {
        sk_task *t = &p.s.tasks[0];
        if (index == 0) {
            p.start();
            RL_ASSERT(sk_park(sk_worker_self(), NULL, SK_NEVER) == SK_WHY_CANCEL);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else if (sk_state_hit(&t->state, 1, SK_CANCEL, SK_WHY_CANCEL, 0) == SK_HIT_WOKEN) {
            sk_ready(NULL, t);
        }
        world.leave();
    }
};

/* A sleep: only its timeout ends it, served by another thread. */
struct park_timeout : rl::test_suite<park_timeout, 3> {
    parked_task p;

    void before()
    {
        p.begin(3);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.start();
            uint64_t due = sk_clock_ns() + 5;
            RL_ASSERT(sk_park(sk_worker_self(), NULL, due) == SK_WHY_TIMEOUT);
            RL_ASSERT(sk_clock_ns() >= due);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else {
            stub_serve(&p.s.workers[0], 2);
        }
        world.leave();
    }
};

/* The event against the timeout, and then a second event without a deadline, which the first timer must leave alone. */
template <bool again> struct park_either : rl::test_suite<park_either<again>, 4> {
    parked_task p;
    event e[2];

    void before()
    {
        p.begin(4);
        e[0].init();
        e[1].init();
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.start();
            int why = e[0].wait(sk_clock_ns() + 5);
            RL_ASSERT(why == SK_WHY_WAKE || why == SK_WHY_TIMEOUT);
            if (again) RL_ASSERT(e[1].wait(SK_NEVER) == SK_WHY_WAKE);
            RL_ASSERT(sk_slot_state(sk_load_rlx(&p.s.tasks[0].sleep.word)) != SK_SLOT_ARMED);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            e[0].happen(&p.s.tasks[0]);
            if (again) e[1].happen(&p.s.tasks[0]);
        } else {
            stub_serve(&p.s.workers[0], 2);
        }
        world.leave();
    }
};

/* A park with a deadline that is refused, since the event has happened, though its timer was armed and may be firing:
   that timer does not end the next park, which has none. */
struct park_refused : rl::test_suite<park_refused, 3> {
    parked_task p;
    event e[2];

    void before()
    {
        p.begin(3);
        e[0].init();
        e[1].init();
        e[0].news($) = 1;
        sk_store_rlx(&e[0].has_happened, 1u);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.start();
            RL_ASSERT(e[0].wait(sk_clock_ns() + 5) == SK_WHY_WAKE);
            RL_ASSERT(e[1].wait(SK_NEVER) == SK_WHY_WAKE);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else {
            stub_serve(&p.s.workers[0], 1);
            e[1].happen(&p.s.tasks[0]);
        }
        world.leave();
    }
};

/* ---- join.c and end.c ---- */

/* A task that does nothing but end, and whoever wants to know. */
struct child {
    stub_state *s;
    skua_task handle;
    VAR_T(int) output;

    void begin(stub_state *state)
    {
        s = state;
        sk_task *t = s->run(1, true);
        handle.ref = t;
        handle.serial = sk_load_rlx(&t->state.serial);
        output($) = 0;
    }
    void run()
    {
        sk_local_self()->worker = s->next_worker(&s->tasks[1]);
        output($) = 42;
        s->more[1].memory($) = 1;
        RL_ASSERT(sk_task_end(sk_worker_self(), &s->tasks[1], SK_DONE, 42) == NULL);
        sk_local_self()->worker->task = NULL;
    }
    int freed() const
    {
        return s->more[1].freed;
    }
    /* What who has joined it finds. */
    void joined(int error, int result)
    {
        if (error) return;
        RL_ASSERT(result == 42);
        RL_ASSERT(output($) == 42);
        RL_ASSERT(freed() == 1);
    }
};

/* A foreign thread joins. */
struct join_thread : rl::test_suite<join_thread, 2> {
    parked_task p;
    child c;

    void before()
    {
        p.begin(2);
        c.begin(&p.s);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int result = 0;
            RL_ASSERT(skua_join(c.handle, &result) == 0);
            c.joined(0, result);
            p.finished = true;
        } else {
            c.run();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(c.freed() == 1);
    }
};

/* A task joins. */
struct join_task : rl::test_suite<join_task, 3> {
    parked_task p;
    child c;

    void before()
    {
        p.begin(3);
        c.begin(&p.s);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.start();
            int result = 0;
            RL_ASSERT(skua_join(c.handle, &result) == 0);
            c.joined(0, result);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else {
            c.run();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(c.freed() == 1);
    }
};

/* The handle is given up while the task ends: one of the two frees it. */
struct detach_end : rl::test_suite<detach_end, 2> {
    parked_task p;
    child c;

    void before()
    {
        p.begin(2);
        c.begin(&p.s);
        p.finished = true;
    }
    void thread(unsigned index)
    {
        if (index == 0)
            RL_ASSERT(skua_detach(c.handle) == 0);
        else
            c.run();
        world.leave();
    }
    void after()
    {
        RL_ASSERT(c.freed() == 1);
        RL_ASSERT(skua_detach(c.handle) == -ESRCH);
        RL_ASSERT(skua_join(c.handle, NULL) == -ESRCH);
    }
};

/* Two foreign threads join the same task: one gets it, the other is told so. */
struct join_both : rl::test_suite<join_both, 3> {
    parked_task p;
    child c;
    int error[2];

    void before()
    {
        p.begin(3);
        c.begin(&p.s);
        p.finished = true;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            int result = 0;
            error[index] = skua_join(c.handle, &result);
            c.joined(error[index], result);
        } else {
            c.run();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT((error[0] == 0) + (error[1] == 0) == 1);
        for (int i = 0; i < 2; i++) RL_ASSERT(error[i] == 0 || error[i] == -EBUSY || error[i] == -ESRCH);
        RL_ASSERT(c.freed() == 1);
    }
};

/* A join against a detach of the same handle, which is a mistake of the user's, but costs nobody the memory. */
struct join_detach : rl::test_suite<join_detach, 3> {
    parked_task p;
    child c;
    int error[2];

    void before()
    {
        p.begin(3);
        c.begin(&p.s);
        p.finished = true;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int result = 0;
            error[0] = skua_join(c.handle, &result);
            c.joined(error[0], result);
        } else if (index == 1) {
            error[1] = skua_detach(c.handle);
        } else {
            c.run();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT((error[0] == 0) + (error[1] == 0) == 1);
        RL_ASSERT(error[0] == 0 || error[0] == -ESRCH);
        RL_ASSERT(error[1] == 0 || error[1] == -ESRCH || error[1] == -EBUSY);
        RL_ASSERT(c.freed() == 1);
    }
};

/* A foreign thread gives up: taken back, or given after all; what is left is joined again. */
struct join_thread_timeout : rl::test_suite<join_thread_timeout, 2> {
    parked_task p;
    child c;

    void before()
    {
        p.begin(2);
        c.begin(&p.s);
        world.early = 1;
        world.spurious = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int result = 0, error = skua_join_for(c.handle, 5, &result);
            RL_ASSERT(error == 0 || error == -ETIMEDOUT);
            if (error) error = skua_join(c.handle, &result);
            RL_ASSERT(error == 0);
            c.joined(error, result);
            p.finished = true;
        } else {
            c.run();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(c.freed() == 1);
    }
};

/* A task that joins is cancelled: it has the result, or has taken itself back and gives the handle up. */
struct join_cancel : rl::test_suite<join_cancel, 4> {
    parked_task p;
    child c;

    void before()
    {
        p.begin(4);
        c.begin(&p.s);
    }
    void thread(unsigned index)
    {
        sk_task *t = &p.s.tasks[0];
        if (index == 0) {
            p.start();
            int result = 0, error = skua_join(c.handle, &result);
            RL_ASSERT(error == 0 || error == -ECANCELED);
            c.joined(error, result);
            if (error) RL_ASSERT(skua_detach(c.handle) == 0);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            c.run();
        } else if (sk_state_hit(&t->state, 1, SK_CANCEL, SK_WHY_CANCEL, 0) == SK_HIT_WOKEN) {
            sk_ready(NULL, t);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(c.freed() == 1);
    }
};

/* A task that joins with a deadline of its own. */
struct join_timeout : rl::test_suite<join_timeout, 4> {
    parked_task p;
    child c;

    void before()
    {
        p.begin(4);
        c.begin(&p.s);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            p.start();
            int result = 0, error = skua_join_for(c.handle, 5, &result);
            RL_ASSERT(error == 0 || error == -ETIMEDOUT);
            c.joined(error, result);
            if (error) RL_ASSERT(skua_detach(c.handle) == 0);
            p.finish();
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            c.run();
        } else {
            stub_serve(&p.s.workers[0], 2);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(c.freed() == 1);
    }
};

/* The joined task's own deadline passes: its joiner is told so at once, or gets the result; never both, never none. */
template <bool by_task> struct join_expire : rl::test_suite<join_expire<by_task>, by_task ? 4 : 3> {
    parked_task p;
    child c;
    int found;

    void before()
    {
        p.begin(by_task ? 4 : 3);
        c.begin(&p.s);
        sk_task *t = &p.s.tasks[1];
        t->fiber = SK_FIBER_SPECIAL;
        t->timed = true;
    }
    void join()
    {
        found = 0;
        RL_ASSERT(skua_join(c.handle, &found) == 0);
        RL_ASSERT(found == 42 || found == -ETIMEDOUT);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (by_task) p.start();
            join();
            by_task ? p.finish() : (void)(p.finished = true);
        } else if (index == 1) {
            c.run();
        } else if (index == 2) {
            sk_task_expire(NULL, &p.s.tasks[1], c.handle.serial, 0);
        } else {
            stub_loop(0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(c.freed() == 1);
    }
};

/* The joined task is gone and its memory serves another life: who still has the old handle finds nothing, and leaves
   the new one alone. */
struct join_stale : rl::test_suite<join_stale, 3> {
    parked_task p;
    child c;
    int late;
    bool reborn;

    void before()
    {
        p.begin(3);
        c.begin(&p.s);
        p.finished = true;
        reborn = false;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int result = 0;
            if (skua_join_for(c.handle, 0, &result) == 0) {
                sk_local *local = sk_local_self();
                int error = 0;
                sk_task *t = sk_task_new(local, &p.s.rt.owner, NULL, NULL, true, SK_ACTIVE, &error);
                RL_ASSERT(t == &p.s.tasks[1]);
                reborn = true;
            }
        } else if (index == 1) {
            late = skua_detach(c.handle);
        } else {
            c.run();
        }
        world.leave();
    }
    void after()
    {
        sk_task *t = &p.s.tasks[1];
        if (!reborn) return;
        RL_ASSERT(late == -ESRCH);
        RL_ASSERT(sk_phase_of(sk_load_rlx(&t->state.word)) == SK_ACTIVE);
        RL_ASSERT(sk_join_kind(sk_load_rlx(&t->join.word)) == SK_JOIN_OPEN);
    }
};

static const sk_model models[] = {
    SK_EXPLORE(park_event, "park-event", 3),
    SK_EXPLORE(park_twice, "park-twice", 2),
    SK_EXPLORE(park_cancel, "park-cancel", 2),
    SK_EXPLORE(park_cancel_only, "park-only-cancel", 3),
    SK_EXPLORE(park_timeout, "park-timeout", 2),
    SK_EXPLORE(park_either<false>, "park-either", 1),
    SK_EXPLORE(park_either<true>, "park-either-again", 1),
    SK_EXPLORE(park_refused, "park-refused", 2),
    SK_EXPLORE(join_thread, "join-thread", 3),
    SK_EXPLORE(join_task, "join-task", 3),
    SK_EXPLORE(detach_end, "detach-end", 3),
    SK_EXPLORE(join_both, "join-both", 3),
    SK_EXPLORE(join_detach, "join-detach", 3),
    SK_EXPLORE(join_thread_timeout, "join-thread-timeout", 3),
    SK_EXPLORE(join_cancel, "join-cancel", 2),
    SK_EXPLORE(join_timeout, "join-timeout", 1),
    SK_EXPLORE(join_expire<false>, "join-expire", 3),
    SK_EXPLORE(join_expire<true>, "join-expire-task", 2),
    SK_EXPLORE(join_stale, "join-stale", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
