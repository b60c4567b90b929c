/*
 * parking.cpp: Relacy models of how workers sleep and are woken, the real
 * src/runtime/idle.c and monitor.c over a small runtime (stub_runtime.h).
 *
 * Each scenario ends at rest (stub_world.h), where whoever sleeps must have
 * nothing to do: a lost wake-up fails as an assertion.  PARKING.md has the
 * argument that is tried here; its names are used.
 */
#include "model/relacy.h"

#include "model/stub_world.h"
#include "model/stub_runtime.h"
#include "model/stub_monitor.h"

void sk_panic(const char *, ...)
{
    RL_ASSERT(!"panic");
    abort();
}

#include "runtime/idle.h"
void sk_ready(sk_worker *w, sk_task *t);
bool sk_timers_help(sk_worker *w, sk_worker *other, uint64_t now);

#include "runtime/idle.c"
#include "runtime/monitor.c"

/* ---- what the monitor asks of others ---- */

int sk_recruit_get(skua_runtime *, sk_recruit *)
{
    return -EAGAIN; /* blocking.cpp has threads to spare */
}
void sk_recruit_assign(const sk_recruit *, sk_worker *)
{
}
void sk_recruit_dismiss(skua_runtime *, const sk_recruit *)
{
}
bool sk_blocking_take(sk_worker *, uint64_t)
{
    return false;
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

/* ---- the small runtime at work ---- */

enum { WORKERS = 2, TASKS = 4, NOBODY = -1 };

static struct parking *here; /* for those who are called without knowing whose */

struct parking {
    skua_runtime rt;
    sk_worker workers[WORKERS];
    sk_task tasks[TASKS];
    int workers_used;
    int from[TASKS]; /* the thread that has published it; NOBODY: not published */
    int runs[TASKS];
    int holder[TASKS];   /* the thread that has it in its hands; NOBODY: in a queue, or run */
    bool endless[TASKS]; /* it never comes to its end, and so keeps its worker */
    bool in_task[WORKERS], left[WORKERS];
    bool watched;      /* there is a monitor */
    int monitor_rests; /* the thread it runs on, to know whether it sleeps */
    uint64_t deadline; /* ns, of each sleep */

    void begin(int threads, int n)
    {
        here = this;
        world.begin(threads, at_rest);
        workers_used = n;
        stub_runtime_init(&rt, workers, (uint32_t)n);
        for (int i = 0; i < TASKS; i++) {
            tasks[i].number = i;
            from[i] = NOBODY;
            runs[i] = 0;
            holder[i] = NOBODY;
            endless[i] = false;
        }
        stub_locals_init();
        for (int i = 0; i < WORKERS; i++) in_task[i] = left[i] = false;
        watched = false;
        monitor_rests = NOBODY;
        deadline = SK_NEVER;
    }
    /* The thread with this number is the monitor. */
    void watch_by(int thread)
    {
        watched = true;
        monitor_rests = thread;
        world.patience = 5;
    }

    /* -- at rest: nobody runs, and nothing will change -- */

    static bool frozen(int thread)
    {
        return thread == freezing && freeze_left < 0;
    }
    static void at_rest()
    {
        bool anyone_asleep = false, anyone_awake = false;
        for (int i = 0; i < here->workers_used; i++) {
            sk_worker *w = &here->workers[i];
            bool stopped = frozen(i);
            anyone_asleep |= w->in_idle && !stopped;
            anyone_awake |= here->in_task[i];
            if (!w->in_idle || stopped) continue;
            RL_ASSERT(freezing >= 0 || here->rt.idle[0].value_ & UINT64_C(1) << i);
            RL_ASSERT(!w->retire.value_);
            for (int thread = 0; thread < SK_MODEL_THREADS; thread++) /* no timer waits, but that of a stopped thread */
                RL_ASSERT(frozen(thread) || w->timers.inbox.due.value_ & UINT64_C(1) << thread);
            RL_ASSERT(here->rt.stopping.value_ < SK_STOP_THREADS);
            RL_ASSERT(!w->timers.inbox.head.newest());
        }
        for (int i = 0; i < TASKS; i++) {
            /* What a stopped thread was publishing, or has in its hands, may wait for it. */
            bool excused = here->from[i] == NOBODY || frozen(here->from[i]) ||
                           (here->holder[i] != NOBODY && frozen(here->holder[i]));
            RL_ASSERT(here->runs[i] <= 1);
            RL_ASSERT(here->runs[i] == 1 || excused || !anyone_asleep); /* work queued, and somebody sleeps */
        }
        if (freezing < 0) RL_ASSERT(here->rt.searching.value_ == 0); /* each token was given back */
        if (here->watched) {
            bool deep = here->rt.monitor_deep.value_ && world.thread[here->monitor_rests].asleep;
            RL_ASSERT(!(deep && anyone_awake)); /* a worker runs, and nobody watches */
            RL_ASSERT(!here->rt.owing.newest.value_);
        }
    }

    /* -- a producer -- */

    void publish(int i)
    {
        from[i] = (int)rl::thread_index();
        sk_inject_push(&rt.inbox, &tasks[i].link);
        sk_notify(&rt);
    }

    /* An overdue timer for the first worker: this thread's bit is missing from `due`. */
    void arm_and_ring()
    {
        sk_and_(&workers[0].timers.inbox.due, UINT64_C(0xff) & ~(UINT64_C(1) << rl::thread_index()), SK_MO(release));
        sk_fence_sc();
        sk_ring(&rt, &workers[0]);
    }

    /* A timer of the first worker is stopped by another: it does not sleep over the slot that is left in its inbox, or
       whoever has left it takes it out, as expiry.c does. */
    void stop_and_sweep()
    {
        sk_store_rel(&workers[0].timers.inbox.head, 1u);
        sk_fence_sc();
        if (sk_is_idle(&rt, &workers[0])) (void)sk_xchg_acq(&workers[0].timers.inbox.head, 0u);
    }

    /* -- a worker: the order of looking is that of sched.c, and little else -- */

    sk_task *taken(sk_task *t)
    {
        if (t) holder[t->number] = (int)rl::thread_index();
        return t;
    }
    uint32_t take_inbox(sk_worker *w)
    {
        uint32_t n = 0;
        sk_inject_link *link = sk_inject_take(&rt.inbox);
        for (sk_inject_link *l = link; l; l = l->next) taken(sk_container_of(l, sk_task, link));
        for (; link; n++) {
            sk_inject_link *next = link->next;
            stub_push(&w->queue, sk_container_of(link, sk_task, link));
            holder[sk_container_of(link, sk_task, link)->number] = NOBODY;
            link = next;
        }
        return n;
    }
    sk_task *find(sk_worker *w)
    {
        if (sk_task *t = taken(stub_take(&w->queue))) return t;
        uint32_t n = take_inbox(w);
        if (n > 1 && !w->searching) sk_notify(&rt); /* a batch that was moved is announced once more */
        if (n > 0) return taken(stub_take(&w->queue));
        sk_search_begin(w);
        for (int i = 0; i < workers_used; i++) {
            sk_task *t = &workers[i] == w ? NULL : taken(stub_take(&workers[i].queue));
            if (t) return t;
        }
        return NULL;
    }
    void run(sk_worker *w, sk_task *t)
    {
        runs[t->number]++;
        holder[t->number] = NOBODY;
        sk_count_rlx(&w->count.dispatches, 1u);
        if (!endless[t->number]) return;
        in_task[w->index] = true;
        world.stop();
        in_task[w->index] = false;
    }
    void work(int index)
    {
        sk_worker *w = &workers[index];
        sk_local_self()->worker = w;
        while (!world.over) {
            if (sk_load_rlx(&rt.stopping) >= SK_STOP_THREADS || sk_load_rlx(&w->retire)) {
                sk_search_found(w);
                left[index] = true;
                break;
            }
            serve_timers(w);
            if (sk_task *t = find(w)) {
                sk_search_found(w);
                run(w, t);
            } else {
                w->in_idle = true;
                sk_idle(w, deadline == SK_NEVER ? SK_NEVER : world.clock + deadline);
                w->in_idle = world.over && w->in_idle;
            }
        }
    }
    void serve_timers(sk_worker *w)
    {
        if (sk_load_rlx(&w->timers.inbox.due) != SK_NEVER) sk_xchg_acq(&w->timers.inbox.due, SK_NEVER);
        if (sk_load_rlx(&w->timers.inbox.head)) (void)sk_xchg_acq(&w->timers.inbox.head, 0u);
    }

    /* -- the monitor, from its last nap before the deep sleep on -- */

    void monitor()
    {
        watch m = {};
        m.rt = &rt;
        m.nap = NAP_LONG_NS;
        m.last_trim = sk_clock_ns();
        while (!world.over && sk_load_rlx(&rt.stopping) < SK_STOP_THREADS) look(&m);
    }
};

void sk_ready(sk_worker *, sk_task *t)
{
    sk_inject_push(&here->rt.inbox, &t->link);
    sk_notify(&here->rt);
}

bool sk_timers_help(sk_worker *, sk_worker *other, uint64_t)
{
    sk_xchg_acq(&other->timers.inbox.due, SK_NEVER);
    return true;
}

template <typename scenario, int threads> struct parking_model : rl::test_suite<scenario, threads>, parking {
    void thread(unsigned index)
    {
        static_cast<scenario *>(this)->act(index);
        world.leave();
    }
};

/* ---- publish against announce ---- */

/* One task, one worker that goes to sleep. */
struct publish : parking_model<publish, 2> {
    void before()
    {
        begin(2, 1);
    }
    void act(unsigned index)
    {
        index == 0 ? work(0) : here->publish(0);
    }
};

/* Two producers: whoever finds the other's token leaves, and relies on it. */
struct publish_two : parking_model<publish_two, 3> {
    void before()
    {
        begin(3, 1);
    }
    void act(unsigned index)
    {
        index == 0 ? work(0) : here->publish((int)index - 1);
    }
};

/* Two sleepers; the first task never ends, so the second needs the other worker. */
struct publish_to_two : parking_model<publish_to_two, 3> {
    void before()
    {
        begin(3, 2);
        endless[0] = endless[1] = true;
    }
    void act(unsigned index)
    {
        if (index < 2) return work((int)index);
        here->publish(0);
        here->publish(1);
    }
};

/* The same with a producer each. */
struct publish_two_to_two : parking_model<publish_two_to_two, 4> {
    void before()
    {
        begin(4, 2);
        endless[0] = endless[1] = true;
    }
    void act(unsigned index)
    {
        index < 2 ? work((int)index) : here->publish((int)index - 2);
    }
};

/* A batch with one notice for both: whoever comes for the first passes the search on. */
struct publish_batch : parking_model<publish_batch, 3> {
    void before()
    {
        begin(3, 2);
        endless[0] = endless[1] = true;
    }
    void act(unsigned index)
    {
        if (index < 2) return work((int)index);
        from[0] = from[1] = 2;
        tasks[1].link.next = &tasks[0].link;
        sk_inject_push_chain(&rt.inbox, &tasks[1].link, &tasks[0].link);
        sk_notify(&rt);
    }
};

/* The futex returns for nothing. */
struct publish_spurious : parking_model<publish_spurious, 2> {
    void before()
    {
        begin(2, 1);
        world.spurious = 2;
    }
    void act(unsigned index)
    {
        index == 0 ? work(0) : here->publish(0);
    }
};

/* The sleeper's deadline comes while it is claimed; the second task needs it awake again. */
struct publish_deadline : parking_model<publish_deadline, 2> {
    void before()
    {
        begin(2, 1);
        world.early = 2;
        world.patience = 2;
        deadline = 1000;
    }
    void act(unsigned index)
    {
        if (index == 0) return work(0);
        here->publish(0);
        here->publish(1);
    }
};

/* ---- bells for other reasons; retire.cpp has the real callers ---- */

/* A timer that comes before the one it sleeps for. */
struct ring_timer : parking_model<ring_timer, 2> {
    void before()
    {
        begin(2, 1);
    }
    void act(unsigned index)
    {
        if (index == 0) return work(0);
        arm_and_ring();
    }
};

/* A stopped timer's slot comes into its inbox while it goes to sleep. */
struct stop_timer : parking_model<stop_timer, 2> {
    void before()
    {
        begin(2, 1);
    }
    void act(unsigned index)
    {
        if (index == 0) return work(0);
        stop_and_sweep();
    }
};

/* The same beside a task: two claim the same worker. */
struct ring_and_publish : parking_model<ring_and_publish, 3> {
    void before()
    {
        begin(3, 1);
    }
    void act(unsigned index)
    {
        if (index == 0) return work(0);
        if (index == 1) return here->publish(0);
        arm_and_ring();
    }
};

/* One worker is to retire while a task comes: it leaves, and the other runs the task. */
struct ring_retire : parking_model<ring_retire, 4> {
    void before()
    {
        begin(4, 2);
    }
    void act(unsigned index)
    {
        if (index < 2) return work((int)index);
        if (index == 2) return here->publish(0);
        sk_store_rlx(&workers[1].retire, true);
        sk_fence_sc();
        sk_ring(&rt, &workers[1]);
    }
    void after()
    {
        RL_ASSERT(left[1]);
    }
};

/* The end comes while the workers go to sleep. */
struct ring_stop : parking_model<ring_stop, 3> {
    void before()
    {
        begin(3, 2);
    }
    void act(unsigned index)
    {
        if (index < 2) return work((int)index);
        sk_store_rlx(&rt.stopping, 3u);
        sk_fence_sc();
        for (int i = 0; i < 2; i++) sk_ring(&rt, &workers[i]);
    }
    void after()
    {
        RL_ASSERT(left[0] && left[1]);
    }
};

/* ---- the monitor ---- */

/* The worker leaves its sleep for a task that never ends while the monitor goes to its deep sleep: it must be up. */
struct deep_against_wake : parking_model<deep_against_wake, 3> {
    void before()
    {
        begin(3, 1);
        watch_by(2);
        endless[0] = true;
    }
    void act(unsigned index)
    {
        if (index == 0)
            work(0);
        else if (index == 1)
            here->publish(0);
        else
            monitor();
    }
};

/* The same when the worker is woken by its own deadline, and finds something to do that nobody has published. */
struct deep_against_deadline : parking_model<deep_against_deadline, 2> {
    void before()
    {
        begin(2, 1);
        watch_by(1);
        endless[0] = true;
        world.early = 1;
    }
    void act(unsigned index)
    {
        if (index == 1) return monitor();
        sk_local_self()->worker = &workers[0];
        workers[0].in_idle = true;
        sk_idle(&workers[0], world.clock + 1000);
        workers[0].in_idle = false;
        if (world.over) return;
        from[0] = 0;
        run(&workers[0], &tasks[0]);
    }
};

/* A chore is left to a monitor on its way to its deep sleep. */
struct owe : parking_model<owe, 2> {
    sk_chore chore;
    int paid;
    static void pay(sk_chore *, sk_worker *)
    {
        static_cast<owe *>(here)->paid++;
    }
    void before()
    {
        begin(2, 0);
        watch_by(1);
        chore.run = pay;
        paid = 0;
    }
    void act(unsigned index)
    {
        index == 0 ? sk_monitor_owe(&rt, &chore) : monitor();
    }
    void after()
    {
        RL_ASSERT(paid == 1);
    }
};

/* Two chores, two threads. */
struct owe_two : parking_model<owe_two, 3> {
    sk_chore chores[2];
    int paid;
    static void pay(sk_chore *, sk_worker *)
    {
        static_cast<owe_two *>(here)->paid++;
    }
    void before()
    {
        begin(3, 0);
        watch_by(2);
        chores[0].run = chores[1].run = pay;
        paid = 0;
    }
    void act(unsigned index)
    {
        index < 2 ? sk_monitor_owe(&rt, &chores[index]) : monitor();
    }
    void after()
    {
        RL_ASSERT(paid == 2);
    }
};

/* The end comes while the monitor goes to its deep sleep. */
struct stop_against_deep : parking_model<stop_against_deep, 2> {
    bool ended;
    void before()
    {
        begin(2, 0);
        watch_by(1);
        ended = false;
    }
    void act(unsigned index)
    {
        if (index == 1) {
            monitor();
            ended = !world.over;
        } else { /* as sk_stop_threads */
            sk_store_rlx(&rt.stopping, 3u);
            sk_fence_sc();
            sk_monitor_ring(&rt);
        }
    }
    void after()
    {
        RL_ASSERT(ended);
    }
};

/* ---- threads that the kernel stops ---- */

/* A producer stops for good anywhere in sk_notify; the task of the other one runs all the same. */
struct frozen_producer : parking_model<frozen_producer, 4> {
    void before()
    {
        begin(4, 1);
        watch_by(3);
    }
    void act(unsigned index)
    {
        switch (index) {
        case 0:
            return work(0);
        case 1:
            sk_model_freeze(16);
            return here->publish(0);
        case 2:
            return here->publish(1);
        default:
            return monitor();
        }
    }
};

/* A worker stops for good anywhere on its way to its sleep or out of it. */
struct frozen_worker : parking_model<frozen_worker, 4> {
    void before()
    {
        begin(4, 2);
        watch_by(3);
    }
    void act(unsigned index)
    {
        switch (index) {
        case 0:
            sk_model_freeze(30);
            return work(0);
        case 1:
            return work(1);
        case 2:
            return here->publish(0);
        default:
            return monitor();
        }
    }
};

/* Who rings for a timer stops for good between taking the bit and ringing; the monitor fires the wheel. */
struct frozen_ringer : parking_model<frozen_ringer, 4> {
    void before()
    {
        begin(4, 1);
        watch_by(3);
    }
    void act(unsigned index)
    {
        switch (index) {
        case 0:
            return work(0);
        case 1:
            sk_model_freeze(6);
            return arm_and_ring();
        case 2:
            return arm_and_ring();
        default:
            return monitor();
        }
    }
};

/* ---- announced late ---- */

/* A worker queues a batch without a word and never comes round: the monitor announces it. */
struct quiet_batch : parking_model<quiet_batch, 3> {
    void before()
    {
        begin(3, 2);
        watch_by(2);
        endless[0] = true;
    }
    void act(unsigned index)
    {
        if (index == 2) return monitor();
        if (index == 1) return work(1);
        sk_local_self()->worker = &workers[0];
        from[0] = from[1] = 0;
        stub_push(&workers[0].queue, &tasks[1]);
        sk_store_rlx(&workers[0].quiet_since, world.clock);
        run(&workers[0], &tasks[0]);
    }
};

/* A task to run next, behind one that never ends: the monitor takes it out, and the other worker runs it. */
struct runnext_freed : parking_model<runnext_freed, 3> {
    void before()
    {
        begin(3, 2);
        watch_by(2);
        endless[0] = true;
    }
    void act(unsigned index)
    {
        if (index == 2) return monitor();
        if (index == 1) return work(1);
        sk_local_self()->worker = &workers[0];
        from[0] = from[1] = 0;
        if (sk_claim_enter(&workers[0].next_claim)) {
            sk_store_rlx(&workers[0].runnext, &tasks[1]);
            sk_claim_leave(&workers[0].next_claim);
        } else {
            sk_ready(&workers[0], &tasks[1]);
        }
        run(&workers[0], &tasks[0]);
    }
};

/* The bound within which every schedule was explored, how many those are, and the seconds of processor time. */
static const sk_model models[] = {
    SK_EXPLORE(publish, "publish", 3),
    SK_EXPLORE(publish_two, "publish-two", 2),               /*   119,626   2 */
    SK_EXPLORE(publish_to_two, "publish-to-two", 1),         /*    18,114   0.3; bound 2: 1,590,139   25 */
    SK_EXPLORE(publish_two_to_two, "publish-two-to-two", 1), /*   305,296   4 */
    SK_EXPLORE(publish_batch, "publish-batch", 1),           /*    21,012   0.3 */
    SK_EXPLORE(publish_spurious, "publish-spurious", 3),     /*   144,501   3 */
    SK_EXPLORE(publish_deadline, "publish-deadline", 2),     /*   138,038   3 */
    SK_EXPLORE(ring_timer, "ring-timer", 3),                 /* bound 2: 2,345 */
    SK_EXPLORE(stop_timer, "stop-timer", 3),
    SK_EXPLORE(ring_and_publish, "ring-and-publish", 2),           /*   120,656   2 */
    SK_EXPLORE(ring_retire, "ring-retire", 1),                     /*   274,217   4 */
    SK_EXPLORE(ring_stop, "ring-stop", 2),                         /*   551,532   6 */
    SK_EXPLORE(deep_against_wake, "deep-against-wake", 1),         /*    65,908   1.5 */
    SK_EXPLORE(deep_against_deadline, "deep-against-deadline", 2), /*    38,062   0.7 */
    SK_EXPLORE(owe, "owe", 3),                                     /* bound 2: 312 */
    SK_EXPLORE(owe_two, "owe-two", 2),                             /*    22,740   0.2 */
    SK_EXPLORE(stop_against_deep, "stop-against-deep", 3),         /* bound 2: 231 */
    SK_EXPLORE(frozen_producer, "frozen-producer", 0),
    SK_EXPLORE(frozen_worker, "frozen-worker", 0),
    SK_EXPLORE(frozen_ringer, "frozen-ringer", 0),
    SK_EXPLORE(quiet_batch, "quiet-batch", 0),
    SK_EXPLORE(runnext_freed, "runnext-freed", 1), /*   234,755   7 */
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
