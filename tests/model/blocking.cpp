/*
 * blocking.cpp: Relacy models of blocking calls, the real src/runtime/blocking.c
 * with monitor.c and idle.c, and of src/os/once.h.
 *
 * A thread lends its worker for a call; the monitor may take it and give it to
 * another thread; the first one comes back, perhaps late.  The worker's plain
 * fields are watched for races, and a worker never has two threads.
 */
#include "model/relacy.h"

#include "model/stub_world.h"
#include "model/stub_runtime.h"
#include "model/stub_monitor.h"

#define SK_OS_FORK_H
static inline bool sk_forked(void)
{
    return false;
}

typedef int skua_fn(void *arg);

void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

#include "runtime/idle.h"
void sk_ready(sk_worker *w, sk_task *t);
bool sk_timers_help(sk_worker *w, sk_worker *other, uint64_t now);

#include "os/once.h"
#include "runtime/blocking.c"
#include "runtime/idle.c"
#include "runtime/monitor.c"

enum { TASKS = 4, NOBODY = -1 };

static struct blocking *here;

struct blocking {
    skua_runtime rt;
    sk_worker workers[2];
    sk_task tasks[TASKS];
    sk_atomic(sk_worker *) assigned[SK_MODEL_THREADS];
    sk_atomic(uint32_t) word[SK_MODEL_THREADS];
    int carrier; /* the thread that carries the first worker */
    int spare;   /* the next thread that has nothing to carry; NOBODY: none is to be had */
    int runs[TASKS];
    int expected;  /* so many of the tasks must have run at the end */
    bool endless0; /* the first task never comes out of its blocking call */
    bool watched;

    void begin(int threads, int n, int first_spare)
    {
        here = this;
        world.begin(threads, at_rest);
        world.patience = 8;
        stub_runtime_init(&rt, workers, (uint32_t)n);
        stub_locals_init();
        for (int i = 0; i < threads; i++) {
            sk_store_rlx(&assigned[i], (sk_worker *)NULL);
            sk_store_rlx(&word[i], 0u);
            stub_locals[i].assigned = &assigned[i];
            stub_locals[i].word = &word[i];
        }
        for (int i = 0; i < TASKS; i++) {
            tasks[i].number = i;
            runs[i] = 0;
        }
        spare = first_spare;
        expected = 2;
        endless0 = false;
        watched = false;
        carrier = 0;
        stub_locals[0].worker = &workers[0];
        workers[0].task = &tasks[0];
        stub_push(&workers[0].queue, &tasks[1]);
    }
    static void at_rest()
    {
        for (int i = 0; i < here->expected; i++) RL_ASSERT(here->runs[i] == 1 || (i == 0 && here->endless0));
        for (int i = here->expected; i < TASKS; i++) RL_ASSERT(here->runs[i] <= 1);
        RL_ASSERT(here->rt.searching.value_ == 0);
    }

    /* -- a thread and its worker -- */

    void carries(int thread)
    {
        RL_ASSERT(carrier == NOBODY); /* never two */
        carrier = thread;
    }
    void run(sk_worker *w, sk_task *t)
    {
        w->task = t;
        RL_ASSERT(runs[t->number]++ == 0);
        sk_count_rlx(&w->count.dispatches, 1u);
        w->task = NULL;
    }
    sk_task *find(sk_worker *w)
    {
        if (sk_task *t = stub_take(&w->queue)) return t;
        for (sk_inject_link *link = sk_inject_take(&rt.inbox), *next; link; link = next) {
            next = link->next;
            stub_push(&w->queue, sk_container_of(link, sk_task, link));
        }
        if (sk_task *t = stub_take(&w->queue)) return t;
        sk_search_begin(w);
        for (uint32_t i = 0; i < rt.workers_here; i++) {
            sk_task *t = &workers[i] == w ? NULL : stub_take(&workers[i].queue);
            if (t) return t;
        }
        return NULL;
    }
    void work(sk_worker *w)
    {
        sk_local_self()->worker = w;
        while (!world.over) {
            if (sk_task *t = find(w)) {
                sk_search_found(w);
                run(w, t);
            } else {
                w->in_idle = true;
                sk_idle(w, SK_NEVER);
                w->in_idle = false;
            }
        }
    }
    /* One blocking call of the task that this thread runs. False: the worker has gone meanwhile. */
    bool call(sk_worker *w)
    {
        int self = (int)rl::thread_index();
        RL_ASSERT(carrier == self);
        sk_task *mine = w->task;
        carrier = NOBODY;
        RL_ASSERT(skua_blocking_begin() == 0);
        RL_ASSERT(skua_blocking_begin() == -EALREADY);
        RL_ASSERT(skua_blocking_end() == 0);
        if (!sk_local_self()->worker) return false;
        carries(self);
        RL_ASSERT(w->task == mine); /* as we left it, and not in another thread's call */
        return true;
    }
    /* The first thread: its task makes some calls and ends; then it is a worker like any other. */
    void caller(int calls)
    {
        sk_worker *w = &workers[0];
        w->task = &tasks[0];
        while (calls-- > 0)
            if (!call(w)) return;
        run(w, &tasks[0]);
        work(w);
    }
    /* A thread with nothing to carry. */
    sk_worker *wait_for_worker()
    {
        sk_local *self = sk_local_self();
        while (!world.over) {
            uint32_t seen = sk_load_acq(self->word);
            sk_worker *w = sk_load_acq(self->assigned);
            if (w) {
                carries((int)rl::thread_index());
                RL_ASSERT(w->task == &tasks[0] || w->task == &tasks[2]);
                w->task = NULL;
                self->worker = w;
                return w;
            }
            sk_futex_wait(self->word, seen, SK_NEVER);
        }
        return NULL;
    }
    void substitute()
    {
        sk_worker *w = wait_for_worker();
        if (w) work(w);
    }
    /* The monitor, some looks, each long after the one before. */
    void looks(int n)
    {
        watch m = {};
        m.rt = &rt;
        for (int i = 0; i < n; i++) {
            world.clock += NAP_LONG_NS;
            look_at_workers(&m, sk_clock_ns());
        }
    }
    void monitor()
    {
        watch m = {};
        m.rt = &rt;
        m.nap = NAP_SHORT_NS;
        m.last_trim = sk_clock_ns();
        while (!world.over) look(&m);
    }
};

void sk_ready(sk_worker *, sk_task *t)
{
    sk_inject_push(&here->rt.inbox, &t->link);
    sk_notify(&here->rt);
}
bool sk_timers_help(sk_worker *, sk_worker *, uint64_t)
{
    return false;
}

/* ---- what machine.c does with threads; retire.cpp has the real one ---- */

void sk_machine_strand(sk_local *, sk_task *t, sk_fiber *)
{
    sk_ready(NULL, t);
}
int sk_recruit_get(skua_runtime *, sk_recruit *recruit)
{
    if (here->spare == NOBODY) return -EAGAIN;
    recruit->local = &stub_locals[here->spare];
    return 0;
}
void sk_recruit_assign(const sk_recruit *recruit, sk_worker *w)
{
    here->spare = NOBODY;
    sk_store_rel(recruit->local->assigned, w);
    sk_add_rel(recruit->local->word, 1u);
    sk_futex_wake(recruit->local->word, 1);
}
void sk_recruit_dismiss(skua_runtime *, const sk_recruit *)
{
}
void sk_trim_spares(skua_runtime *, uint32_t)
{
}
void sk_settle_retired(skua_runtime *)
{
}
void sk_reclaim(skua_runtime *)
{
}

template <typename scenario, int threads> struct blocking_model : rl::test_suite<scenario, threads>, blocking {
    void thread(unsigned index)
    {
        static_cast<scenario *>(this)->act(index);
        world.leave();
    }
};

/* The end of a call against the monitor that takes the worker. */
struct hand_off : blocking_model<hand_off, 3> {
    void before()
    {
        begin(3, 1, 2);
    }
    void act(unsigned index)
    {
        index == 0 ? caller(1) : index == 1 ? looks(1) : substitute();
    }
};

/* Two calls, one after the other: what the monitor has seen of the first is no reason to take it in the second. */
struct hand_off_again : blocking_model<hand_off_again, 3> {
    void before()
    {
        begin(3, 1, 2);
    }
    void act(unsigned index)
    {
        index == 0 ? caller(2) : index == 1 ? looks(2) : substitute();
    }
};

/* The worker is taken, and its new thread is in a call of its own when the first one comes back: late, it gets nothing.
 */
struct late_end : blocking_model<late_end, 3> {
    void before()
    {
        begin(3, 1, 2);
    }
    void act(unsigned index)
    {
        if (index == 0) {
            caller(1);
        } else if (index == 1) {
            looks(1);
        } else if (sk_worker *w = wait_for_worker()) {
            w->task = &tasks[2];
            if (!call(w)) return;
            run(w, &tasks[2]);
            work(w);
        }
    }
};

/* A thief takes the queued task of the lent worker while that one changes hands. */
struct hand_off_thief : blocking_model<hand_off_thief, 4> {
    void before()
    {
        begin(4, 2, 2);
    }
    void act(unsigned index)
    {
        switch (index) {
        case 0:
            return caller(1);
        case 1:
            return looks(1);
        case 2:
            return substitute();
        default:
            return work(&workers[1]);
        }
    }
};

/* The call never ends: the monitor gives the worker, and the task that waits behind it, to another thread. */
struct call_for_ever : blocking_model<call_for_ever, 3> {
    void before()
    {
        begin(3, 1, 2);
        endless0 = true;
    }
    void act(unsigned index)
    {
        if (index == 1) return monitor();
        if (index == 2) return substitute();
        carrier = NOBODY;
        RL_ASSERT(skua_blocking_begin() == 0);
        world.stop();
    }
};

/* The same when no thread is to be had: another worker is woken, and steals the task. */
struct no_thread : blocking_model<no_thread, 3> {
    void before()
    {
        begin(3, 2, NOBODY);
        endless0 = true;
    }
    void act(unsigned index)
    {
        if (index == 1) return monitor();
        if (index == 2) return work(&workers[1]);
        carrier = NOBODY;
        RL_ASSERT(skua_blocking_begin() == 0);
        world.stop();
    }
};

/* The thread that lends its worker is stopped anywhere in begin or end; the other worker gets the queued task. */
struct frozen_call : blocking_model<frozen_call, 3> {
    void before()
    {
        begin(3, 2, NOBODY);
        endless0 = true;
    }
    void act(unsigned index)
    {
        if (index == 1) return monitor();
        if (index == 2) return work(&workers[1]);
        sk_model_freeze(12);
        caller(1);
    }
};

/* ---- os/once.h ---- */

template <int threads, int failures> struct once_model : rl::test_suite<once_model<threads, failures>, threads> {
    sk_once once;
    VAR_T(int) made;
    int left_to_fail, making, makers;

    static void at_rest()
    {
        for (int i = 0; i < SK_MODEL_THREADS; i++) RL_ASSERT(!world.thread[i].asleep);
    }
    void before()
    {
        world.begin(threads, at_rest);
        world.spurious = 1;
        sk_store_rlx(&once.state, 0u);
        made($) = 0;
        left_to_fail = failures;
        making = makers = 0;
    }
    void thread(unsigned)
    {
        while (sk_once_begin(&once)) {
            RL_ASSERT(making++ == 0); /* one at a time */
            made($) = made($) + 1;    /* what a failed try has left is seen, too */
            bool failed = left_to_fail > 0;
            left_to_fail -= failed;
            makers += !failed;
            making--;
            sk_once_end(&once, !failed);
        }
        RL_ASSERT(made($) == failures + 1);
        world.leave();
    }
    void after()
    {
        RL_ASSERT(makers == 1);
    }
};

typedef once_model<3, 0> once_made;
typedef once_model<3, 1> once_failed_first;

/* The bound within which every schedule was explored, how many those are, and the seconds of processor time. */
static const sk_model models[] = {
    SK_EXPLORE(hand_off, "hand-off", 2),             /*  33,292   0.3 */
    SK_EXPLORE(hand_off_again, "hand-off-again", 2), /* 164,637   1.8 */
    SK_EXPLORE(late_end, "late-end", 2),             /*  33,418   0.3 */
    SK_EXPLORE(hand_off_thief, "hand-off-thief", 0),
    SK_EXPLORE(call_for_ever, "call-for-ever", 2), /* 118,621   3 */
    SK_EXPLORE(no_thread, "no-thread", 1),         /*  31,952   1 */
    SK_EXPLORE(frozen_call, "frozen-call", 0),
    SK_EXPLORE(once_made, "once-made", 3),                 /* bound 2: 3,768 */
    SK_EXPLORE(once_failed_first, "once-failed-first", 3), /* bound 2: 18,912 */
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
