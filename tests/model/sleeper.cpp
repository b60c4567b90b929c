/*
 * sleeper.cpp: Relacy models of waiting: the real src/sync/sleeper.c and
 * os/lock.h over the real park.c and tasks of stub_tasks.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/sleeper.cpp -o model-sleeper
 *
 * The object is a box of tokens, as simple as can be.  What is tried: each wait
 * has exactly one outcome, and who was claimed sees what its claimer has moved;
 * no token is lost or doubled, nobody sleeps beside one; a sleeper that knows that
 * the box is its own frees it at once, and its own frame as well; a claim, a
 * deadline and a cancel that come late end no other wait.
 */
#include "model/stub_new.h"

#include "model/relacy.h"

#include "model/stub_sync.h"

struct box {
    sk_lock lock;
    sk_waiters waiters;
    sk_watched<int> tokens;  /* lock */
    sk_watched<bool> orphan; /* lock: who would have freed it has gone */
};

/* A wait, and where its token goes. The bytes are overwritten when it is over. */
struct frame {
    sk_sleeper sleeper;
    sk_waiter waiter[2];
};

struct sleep_world {
    stub_state s;
    stub_object<box> boxes[2];
    frame frames[2];
    VAR_T(int) token[2]; /* of a thread's wait: what the claimer has moved */
    bool frees;          /* the box belongs to whoever gets its only token */
    int waiting;

    void begin(int threads, int waits);
    void end()
    {
        boxes[0].clear();
        boxes[1].clear();
    }

    /* Puts a token into a box. `next`: how the sleeper is woken. */
    void give(int b, bool next)
    {
        box *o = boxes[b].operator->();
        sk_lock_take(&o->lock);
        bool orphan = o->orphan;
        uint32_t late = 0;
        sk_waiter *waiter = sk_waiters_claim(&o->waiters, &late);
        if (waiter)
            (*(VAR_T(int) *)waiter->place)($) = 1;
        else
            o->tokens++;
        sk_lock_drop(&o->lock);
        if (orphan) boxes[b].free_it();
        if (waiter && next) sk_wake_next(waiter);
        if (waiter && !next) sk_wake(waiter);
    }

    /* Under the lock: takes a token, or leaves a waiter. */
    bool look(int b, frame *f, int i, int at)
    {
        box *o = boxes[b].operator->();
        if (o->tokens > 0) {
            --o->tokens;
            return true;
        }
        sk_waiter *w = &f->waiter[i];
        w->sleeper = &f->sleeper;
        w->place = &token[at];
        w->outcome = (uint32_t)i + 1;
        sk_waiters_add(&o->waiters, w);
        return false;
    }
    /* True: the box was left to its last user, and is the caller's. */
    bool withdraw(int b, frame *f, int i)
    {
        box *o = boxes[b].operator->();
        sk_lock_take(&o->lock);
        sk_waiters_remove(&o->waiters, &f->waiter[i]);
        bool mine = o->tokens > 0;
        if (!mine && frees) o->orphan = true;
        sk_lock_drop(&o->lock);
        return mine;
    }
    /* Takes a token out of a box: 0, or why not. */
    int take(int b, int at, uint64_t deadline)
    {
        box *o = boxes[b].operator->();
        frame *f = &frames[at];
        RL_ASSERT(sk_sleeper_init(&f->sleeper) == 0);
        token[at]($) = 0;
        sk_lock_take(&o->lock);
        bool got = look(b, f, 0, at);
        sk_lock_drop(&o->lock);
        int error = got ? 0 : sk_sleeper_sleep(&f->sleeper, deadline, "model", o);
        bool mine = !error;
        if (error) mine = withdraw(b, f, 0); /* it is final: a token that comes now stays in the box */
        if (!error && !got) RL_ASSERT(sk_sleeper_outcome(&f->sleeper) == 1 && token[at]($) == 1);
        if (frees && mine) boxes[b].free_it();
        memset((void *)f, 0xaa, sizeof *f);
        waiting--;
        return error;
    }
    /* Takes a token out of whichever box has one first. Returns which. */
    int take_any(int at)
    {
        frame *f = &frames[at];
        int got = -1;
        RL_ASSERT(sk_sleeper_init(&f->sleeper) == 0);
        for (int b = 0; b < 2; b++) sk_lock_take(&boxes[b]->lock);
        for (int b = 0; b < 2 && got < 0; b++)
            if (boxes[b]->tokens > 0) got = b;
        if (got >= 0) --boxes[got]->tokens;
        for (int b = 0; b < 2 && got < 0; b++) look(b, f, b, at);
        for (int b = 0; b < 2; b++) sk_lock_drop(&boxes[b]->lock);
        if (got < 0) {
            RL_ASSERT(sk_sleeper_sleep(&f->sleeper, SK_NEVER, "model", NULL) == 0);
            got = (int)sk_sleeper_outcome(&f->sleeper) - 1;
            RL_ASSERT(token[at]($) == 1);
            for (int b = 0; b < 2; b++)
                if (b != got) withdraw(b, f, b);
        }
        memset((void *)f, 0xaa, sizeof *f);
        waiting--;
        return got;
    }
};

static sleep_world *here;

static void nobody_waits()
{
    RL_ASSERT(here->waiting == 0);
}

inline void sleep_world::begin(int threads, int waits)
{
    world.begin(threads, nobody_waits);
    here = this;
    waiting = waits;
    frees = true;
    s.begin();
    for (int b = 0; b < 2; b++) {
        box *o = boxes[b].make();
        sk_store_rlx(&o->lock.word, 0u);
        stub_clear(&o->waiters);
        o->tokens = 0;
        o->orphan = false;
        token[b]($) = 0;
    }
}

/* A thread takes a token; with `late` its time may be over at any moment. It frees the box, unless the giver does. */
template <bool late> struct thread_takes : rl::test_suite<thread_takes<late>, 2> {
    sleep_world w;

    void before()
    {
        w.begin(2, 1);
        world.early = late;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int error = w.take(0, 0, late ? sk_clock_ns() + 100 : SK_NEVER);
            RL_ASSERT(error == 0 || (late && error == -ETIMEDOUT));
        } else {
            w.give(0, false);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.boxes[0].lives);
        w.end();
    }
};

/* A task takes a token; with `cancelled` somebody cancels it meanwhile. */
template <bool cancelled> struct task_takes : rl::test_suite<task_takes<cancelled>, cancelled ? 4 : 3> {
    sleep_world w;

    void before()
    {
        w.begin(cancelled ? 4 : 3, 1);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            int error = w.take(0, 0, SK_NEVER);
            RL_ASSERT(error == 0 || (cancelled && error == -ECANCELED));
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            w.give(0, true);
        } else {
            stub_cancel(&w.s, 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.boxes[0].lives);
        w.end();
    }
};

/* A task takes two tokens out of two boxes, one after the other: what ended the first wait does not end the second.
   `interrupted`: somebody ends the first wait without a mark, as a context that the task leaves after it. */
template <bool interrupted> struct stale_waker : rl::test_suite<stale_waker<interrupted>, interrupted ? 4 : 3> {
    sleep_world w;

    void before()
    {
        w.begin(interrupted ? 4 : 3, 2);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            int error = w.take(0, 0, SK_NEVER);
            RL_ASSERT(error == 0 || (interrupted && error == -ECANCELED));
            error = w.take(1, 0, SK_NEVER);
            RL_ASSERT(error == 0 || (interrupted && error == -ECANCELED));
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            w.give(0, true);
            w.give(1, false);
        } else {
            sk_task *t = &w.s.tasks[0];
            uint64_t word = sk_load_sc(&t->state.word);
            if (sk_phase_of(word) == SK_PARKED && sk_state_wake(&t->state, sk_generation_of(word), SK_WHY_CANCEL))
                sk_ready(NULL, t);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.boxes[0].lives && !w.boxes[1].lives);
        w.end();
    }
};

/* A task has a deadline, which another thread serves, beside the giver. `again`: then it takes a token without one,
   which neither the timer nor the giver of the first spoils. */
template <bool again> struct task_timed : rl::test_suite<task_timed<again>, 4> {
    sleep_world w;

    void before()
    {
        w.begin(4, 1 + again);
        w.s.run(0, false);
        world.early = 1;
        world.patience = 3;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            int error = w.take(0, 0, sk_clock_ns() + 5);
            RL_ASSERT(error == 0 || error == -ETIMEDOUT);
            if (again) RL_ASSERT(w.take(1, 0, SK_NEVER) == 0);
            RL_ASSERT(sk_slot_state(sk_load_rlx(&w.s.tasks[0].sleep.word)) != SK_SLOT_ARMED);
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            w.give(0, true);
            if (again) w.give(1, false);
        } else {
            stub_serve(&w.s.workers[0], 2);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.boxes[0].lives && w.boxes[1].lives == !again);
        w.end();
    }
};

/* A wait with a deadline is cancelled before it has parked, and claimed before the park is taken back: it has been
   claimed. Its timer is stopped either way. */
struct task_refused : rl::test_suite<task_refused, 4> {
    sleep_world w;

    void before()
    {
        w.begin(4, 1);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            int error = w.take(0, 0, sk_clock_ns() + world.far / 2);
            RL_ASSERT(error == 0 || error == -ECANCELED);
            RL_ASSERT(sk_slot_state(sk_load_rlx(&w.s.tasks[0].sleep.word)) != SK_SLOT_ARMED);
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            w.give(0, true);
        } else {
            stub_cancel(&w.s, 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.boxes[0].lives);
        w.end();
    }
};

/* One sleeper in two queues: one giver wins, the other's token stays. */
template <bool task> struct two_queues : rl::test_suite<two_queues<task>, task ? 4 : 3> {
    sleep_world w;
    int got;

    void before()
    {
        w.begin(task ? 4 : 3, 1);
        w.frees = false;
        if (task) w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (task) stub_as_task(&w.s, 0);
            got = w.take_any(0);
            if (task) stub_done(0);
        } else if (index == 3) {
            stub_loop(0);
        } else {
            w.give((int)index - 1, false);
        }
        world.leave();
    }
    void after()
    {
        for (int b = 0; b < 2; b++)
            if (w.boxes[b].lives) {
                RL_ASSERT(!sk_waiters_first(&w.boxes[b]->waiters));
                RL_ASSERT(w.boxes[b]->tokens == (b != got));
            }
        w.end();
    }
};

/* Two in one queue, the first of whom may be late: two tokens come. */
struct passed_over : rl::test_suite<passed_over, 3> {
    sleep_world w;
    int error;

    void before()
    {
        w.begin(3, 2);
        w.frees = false;
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            error = w.take(0, 0, sk_clock_ns() + 100);
            RL_ASSERT(error == 0 || error == -ETIMEDOUT);
        } else if (index == 1) {
            RL_ASSERT(w.take(0, 1, SK_NEVER) == 0);
        } else {
            w.give(0, false);
            w.give(0, false);
        }
        world.leave();
    }
    void after()
    {
        if (w.boxes[0].lives) {
            RL_ASSERT(!sk_waiters_first(&w.boxes[0]->waiters));
            RL_ASSERT(w.boxes[0]->tokens == (error ? 1 : 0));
        }
        w.end();
    }
};

typedef thread_takes<false> thread_alone;
typedef thread_takes<true> thread_late;
typedef task_takes<false> task_alone;
typedef task_takes<true> task_cancelled;
typedef task_timed<false> timed_once;
typedef task_timed<true> timed_twice;
typedef stale_waker<false> stale;
typedef stale_waker<true> stale_interrupted;
typedef two_queues<false> queues_thread;
typedef two_queues<true> queues_task;
static const sk_model models[] = {
    SK_EXPLORE(thread_alone, "sleeper-thread", 4),
    SK_EXPLORE(thread_late, "sleeper-thread-late", 4),
    SK_EXPLORE(task_alone, "sleeper-task", 2),
    SK_EXPLORE(task_cancelled, "sleeper-task-cancelled", 1),
    SK_EXPLORE(timed_once, "sleeper-timed", 1),
    SK_EXPLORE(timed_twice, "sleeper-timed-twice", 0),
    SK_EXPLORE(task_refused, "sleeper-refused", 1),
    SK_EXPLORE(stale, "sleeper-stale", 1),
    SK_EXPLORE(stale_interrupted, "sleeper-stale-interrupted", 1),
    SK_EXPLORE(queues_thread, "sleeper-queues", 2),
    SK_EXPLORE(queues_task, "sleeper-queues-task", 1),
    SK_EXPLORE(passed_over, "sleeper-passed-over", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
