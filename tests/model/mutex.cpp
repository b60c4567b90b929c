/*
 * mutex.cpp: Relacy models of the parking mutex: the real src/sync/mutex.c over
 * the real park.c and tasks of stub_tasks.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/mutex.cpp -o model-mutex
 *
 * What is tried: one holder at a time, who sees what the holders before did; all
 * who want the mutex get it or give up with an error; when all is over the word
 * is zero and every node is free.  A waiter that is left behind sleeps when all is
 * at rest, which is an assertion (stub_world.h).  In half of all unlocks the first
 * in the queue has waited long enough to be handed the mutex: both are explored.
 */
#define STUB_WORKERS 8

#include "model/relacy.h"

#include "model/stub_world.h"

#define SK_MUTEX_FIELD(T) sk_watched<T>

static bool both_ways; /* explore hand-over as well as a wake-up; else wake-ups only */

/* Time stands still in these models. */
static uint64_t fair_ns()
{
    return both_ways && rl::rand(2) ? 0 : 1000000;
}
#define SK_MUTEX_FAIR_NS fair_ns()

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
int skua_blocking_begin(void)
{
    return -EPERM;
}
int skua_blocking_end(void)
{
    return -EPERM;
}
bool sk_runtime_enter(skua_runtime *)
{
    return true;
}
void sk_runtime_exit(skua_runtime *)
{
}

#include "runtime/park.c"

/* What park.c needs of expiry.c. */
#include "runtime/end.c"

#include "runtime/expiry.c"

void sk_wake_joiner(sk_worker *, uint64_t)
{
}

#include "sync/mutex.c"

enum { NODES = 4 };

struct mutex_world {
    stub_state s;
    sk_mutex m;
    sk_mutex_node node[NODES];
    int waiting; /* how many have not got what they wait for yet */
    int inside;
    VAR_T(int) guarded;

    void begin(int threads, bool hand_over);
    /* Whoever has got the mutex. */
    void hold()
    {
        RL_ASSERT(inside++ == 0);
        guarded($) = (int)rl::ctx().threadx_->index_;
        inside--;
    }
    int use(uint64_t deadline)
    {
        int error = sk_mutex_lock(&m, deadline);
        if (!error) {
            hold();
            RL_ASSERT(sk_mutex_unlock(&m) == 0);
        }
        waiting--;
        return error;
    }
    /* As the task in this place, whose loop is another thread. */
    int use_as_task(int task, uint64_t deadline)
    {
        sk_local_self()->worker = s.next_worker(&s.tasks[task]);
        int error = use(deadline);
        stub_done(task);
        return error;
    }
    void end()
    {
        RL_ASSERT(sk_mutex_is_at_rest(&m));
        RL_ASSERT(nodes.slab.free == NODES);
    }
};

static mutex_world *here;

static void nobody_waits()
{
    RL_ASSERT(here->waiting == 0);
}

inline void mutex_world::begin(int threads, bool hand_over)
{
    world.begin(threads, nobody_waits);
    here = this;
    both_ways = hand_over;
    waiting = threads;
    inside = 0;
    guarded($) = 0;
    s.begin();
    sk_store_rlx(&m.word, UINT64_C(0));
    m.first = NULL;
    m.last = NULL;
    nodes.slab.free = 0;
    for (int i = 0; i < NODES; i++) {
        sk_store_rlx(&node[i].word, 0u);
        nodes.slab.place[nodes.slab.free++] = &node[i];
    }
}

/* Threads that lock and unlock. */
template <int lockers, bool hand_over, int times = 1>
struct threads_only : rl::test_suite<threads_only<lockers, hand_over, times>, lockers> {
    mutex_world w;

    void before()
    {
        w.begin(lockers, hand_over);
        w.waiting = lockers * times;
    }
    void thread(unsigned)
    {
        for (int i = 0; i < times; i++) RL_ASSERT(w.use(SK_NEVER) == 0);
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* One unlocks while others announce themselves: the mutex is held at the start. */
template <int lockers, bool hand_over>
struct unlock_announce : rl::test_suite<unlock_announce<lockers, hand_over>, lockers + 1> {
    mutex_world w;

    void before()
    {
        w.begin(lockers + 1, hand_over);
        RL_ASSERT(sk_mutex_lock(&w.m, SK_NEVER) == 0);
        w.waiting = lockers;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.hold();
            RL_ASSERT(sk_mutex_unlock(&w.m) == 0);
        } else {
            RL_ASSERT(w.use(SK_NEVER) == 0);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* A waiter whose time may be over at any moment, beside one that waits for as long as it takes. */
template <bool hand_over, bool beside> struct late : rl::test_suite<late<hand_over, beside>, beside ? 3 : 2> {
    mutex_world w;

    void before()
    {
        w.begin(beside ? 3 : 2, hand_over);
        RL_ASSERT(sk_mutex_lock(&w.m, SK_NEVER) == 0);
        w.waiting = beside ? 2 : 1;
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.hold();
            RL_ASSERT(sk_mutex_unlock(&w.m) == 0);
        } else if (index == 1) {
            int error = w.use(sk_clock_ns() + 100);
            RL_ASSERT(error == 0 || error == -ETIMEDOUT);
        } else {
            RL_ASSERT(w.use(SK_NEVER) == 0);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* One that may be late beside one, and the holder comes again and may take it from whoever is coming. */
struct late_barged : rl::test_suite<late_barged, 3> {
    mutex_world w;

    void before()
    {
        w.begin(3, true);
        RL_ASSERT(sk_mutex_lock(&w.m, SK_NEVER) == 0);
        w.waiting = 3;
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.hold();
            RL_ASSERT(sk_mutex_unlock(&w.m) == 0);
        }
        int error = w.use(index == 1 ? sk_clock_ns() + 100 : SK_NEVER);
        RL_ASSERT(error == 0 || (index == 1 && error == -ETIMEDOUT));
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* Two that may be late, while the mutex stays held for a while: nodes below the top are abandoned. */
struct both_late : rl::test_suite<both_late, 3> {
    mutex_world w;

    void before()
    {
        w.begin(3, true);
        RL_ASSERT(sk_mutex_lock(&w.m, SK_NEVER) == 0);
        w.waiting = 2;
        world.early = 2;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.hold();
            RL_ASSERT(sk_mutex_unlock(&w.m) == 0);
        } else {
            int error = w.use(sk_clock_ns() + 100);
            RL_ASSERT(error == 0 || error == -ETIMEDOUT);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* A task waits for a mutex that a thread gives back. */
enum { ALONE, WITH_THREAD, CANCELLED, BARGED /* cancelled, and the holder comes again */ };

template <int how, bool hand_over> struct with_task : rl::test_suite<with_task<how, hand_over>, how == ALONE ? 3 : 4> {
    mutex_world w;

    void before()
    {
        w.begin(how == ALONE ? 3 : 4, hand_over);
        w.s.run(0, false);
        RL_ASSERT(sk_mutex_lock(&w.m, SK_NEVER) == 0);
        w.waiting = how == WITH_THREAD || how == BARGED ? 2 : 1;
    }
    void thread(unsigned index)
    {
        sk_task *t = &w.s.tasks[0];
        if (index == 0) {
            int error = w.use_as_task(0, SK_NEVER);
            RL_ASSERT(error == 0 || (how >= CANCELLED && error == -ECANCELED));
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            w.hold();
            RL_ASSERT(sk_mutex_unlock(&w.m) == 0);
            if (how == BARGED) RL_ASSERT(w.use(SK_NEVER) == 0);
        } else if (how == WITH_THREAD) {
            RL_ASSERT(w.use(SK_NEVER) == 0);
        } else if (sk_state_hit(&t->state, 1, SK_CANCEL, SK_WHY_CANCEL, 0) == SK_HIT_WOKEN) {
            sk_ready(NULL, t);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

typedef threads_only<2, true> two;
typedef threads_only<2, true, 2> two_twice;
typedef threads_only<3, true> three;
typedef unlock_announce<1, true> unlock_one;
typedef unlock_announce<2, false> unlock_wakes;
typedef unlock_announce<2, true> unlock_hands;
typedef late<true, false> late_alone;
typedef late<false, true> late_wakes;
typedef late<true, true> late_hands;
typedef with_task<ALONE, true> task_alone;
typedef with_task<WITH_THREAD, true> task_thread;
typedef with_task<CANCELLED, true> task_cancelled;
typedef with_task<BARGED, true> task_barged;
static const sk_model models[] = {
    SK_EXPLORE(two, "mutex-two", 4),
    SK_EXPLORE(two_twice, "mutex-two-twice", 4),
    SK_EXPLORE(three, "mutex-three", 2),
    SK_EXPLORE(unlock_one, "mutex-unlock", 4),
    SK_EXPLORE(unlock_wakes, "mutex-unlock-two", 2),
    SK_EXPLORE(unlock_hands, "mutex-hand-over", 2),
    SK_EXPLORE(late_alone, "mutex-late", 4),
    SK_EXPLORE(late_wakes, "mutex-late-beside", 2),
    SK_EXPLORE(late_hands, "mutex-late-hand-over", 2),
    SK_EXPLORE(late_barged, "mutex-late-barged", 1),
    SK_EXPLORE(both_late, "mutex-both-late", 2),
    SK_EXPLORE(task_alone, "mutex-task", 3),
    SK_EXPLORE(task_thread, "mutex-task-thread", 1),
    SK_EXPLORE(task_cancelled, "mutex-cancel", 2),
    SK_EXPLORE(task_barged, "mutex-cancel-barged", 1),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
