/*
 * select.cpp: Relacy models of select: the real src/sync/select.c and chan.c over
 * stub_chan.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/select.cpp -o model-select
 *
 * What is tried: exactly one case is carried out, and whoever was on the other side
 * of it knows, and nobody else; selects that meet over the same channels neither
 * wait for each other's locks nor for each other; who gives up leaves nothing
 * behind; the channel of the case that was chosen may be freed by the other side.
 */
#include "model/stub_new.h"

#include "model/relacy.h"

#define STUB_SELECT
#include "model/stub_chan.h"

enum { SOON = 100 }; /* a timeout that passes at rest, and with world.early at any moment */

static skua_case receiving_case(skua_chan *c, int at)
{
    skua_case one = {c, SKUA_RECV, chan_world::place(at), 0};
    return one;
}
static skua_case sending_case(skua_chan *c, int at, uint64_t v)
{
    skua_case one = {c, SKUA_SEND, chan_world::place(at), 0};
    stub_write(chan_world::place(at), v);
    return one;
}

struct select_world : chan_world {
    skua_case cases[2][2]; /* of each who selects */

    int selects(int who, uint64_t timeout)
    {
        int chosen = skua_select_for(cases[who], 2, timeout);
        waiting--;
        return chosen;
    }
};

/* The first thread is a task, with the draws it has as a thread. */
static void stub_select_as_task(select_world *w)
{
    sk_rng rng = sk_worker_self()->rng;
    stub_as_task(&w->s, 0);
    sk_worker_self()->rng = rng;
}

/* One select over two channels, and one who sends to each: exactly one is taken. */
template <int capacity, bool task> struct one_of_two : rl::test_suite<one_of_two<capacity, task>, task ? 4 : 3> {
    select_world w;
    int chosen, sent[2];

    void before()
    {
        w.begin(task ? 4 : 3, 3);
        w.with_draws(1);
        if (task) w.s.run(0, false);
        for (int i = 0; i < 2; i++) w.cases[0][i] = receiving_case(w.make(i, capacity), i);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (task) stub_select_as_task(&w);
            chosen = w.selects(0, SKUA_FOREVER);
            if (task) stub_done(0);
        } else if (index == 3) {
            stub_loop(0);
        } else {
            int i = (int)index - 1;
            sent[i] = w.sends(i, 2 + i, index, SOON);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(chosen == 0 || chosen == 1);
        RL_ASSERT(w.cases[0][chosen].result == 0 && stub_read(w.place(chosen)) == (uint64_t)chosen + 1);
        RL_ASSERT(stub_read(w.place(1 - chosen)) == 0);
        for (int i = 0; i < 2; i++) {
            RL_ASSERT(sent[i] == (i == chosen || capacity ? 0 : -ETIMEDOUT));
            RL_ASSERT(sk_load_rlx(&w.chan(i)->count) == (uint32_t)(capacity && i != chosen));
        }
        w.end();
    }
};

/* Two selects, each of which sends to one channel and receives from the other. */
template <bool same> struct crossed : rl::test_suite<crossed<same>, 2> {
    select_world w;
    int chosen[2];

    void before()
    {
        w.begin(2, 2);
        w.with_draws(2);
        w.make(0, 0);
        w.make(1, 0);
        for (int who = 0; who < 2; who++) {
            w.cases[who][0] = sending_case(w.chan(same ? 0 : who), who, 5 + who);
            w.cases[who][1] = receiving_case(w.chan(same ? 0 : 1 - who), 2 + who);
        }
    }
    void thread(unsigned index)
    {
        chosen[index] = w.selects((int)index, SKUA_FOREVER);
        world.leave();
    }
    void after()
    {
        RL_ASSERT(chosen[0] + chosen[1] == 1); /* one sent, the other received */
        int receiver = chosen[1];              /* its case 1 was chosen */
        RL_ASSERT(chosen[receiver] == 1);
        RL_ASSERT(stub_read(w.place(2 + receiver)) == 5u + (1 - receiver));
        RL_ASSERT(stub_read(w.place(2 + 1 - receiver)) == 0);
        w.end();
    }
};

/* A close of one channel, and one who sends to the other. */
struct closing : rl::test_suite<closing, 3> {
    select_world w;
    int chosen, sent;

    void before()
    {
        w.begin(3, 2);
        w.with_draws(1);
        for (int i = 0; i < 2; i++) w.cases[0][i] = receiving_case(w.make(i, 0), i);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            chosen = w.selects(0, SKUA_FOREVER);
        else if (index == 1)
            RL_ASSERT(skua_chan_close(w.chan(0)) == 0);
        else
            sent = w.sends(1, 2, 1, SOON);
        world.leave();
    }
    void after()
    {
        if (chosen == 0)
            RL_ASSERT(w.cases[0][0].result == -EPIPE && sent == -ETIMEDOUT);
        else
            RL_ASSERT(chosen == 1 && w.cases[0][1].result == 0 && sent == 0 && stub_read(w.place(1)) == 1);
        w.end();
    }
};

/* The select may be late at any moment, beside one who sends. */
struct late : rl::test_suite<late, 3> {
    select_world w;
    int chosen, sent[2];

    void before()
    {
        w.begin(3, 3);
        w.with_draws(1);
        world.early = 1;
        for (int i = 0; i < 2; i++) w.cases[0][i] = receiving_case(w.make(i, 0), i);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            chosen = w.selects(0, SOON);
        else
            sent[index - 1] = w.sends((int)index - 1, 1 + (int)index, index, SOON);
        world.leave();
    }
    void after()
    {
        RL_ASSERT(chosen == 0 || chosen == 1 || chosen == -ETIMEDOUT);
        for (int i = 0; i < 2; i++) {
            RL_ASSERT(sent[i] == (i == chosen ? 0 : -ETIMEDOUT));
            RL_ASSERT(stub_read(w.place(i)) == (i == chosen ? i + 1u : 0u));
        }
        w.end();
    }
};

/* A task selects, and is cancelled, beside one who sends. */
struct cancelled : rl::test_suite<cancelled, 4> {
    select_world w;
    int chosen;

    void before()
    {
        w.begin(4, 2);
        w.with_draws(1);
        w.s.run(0, false);
        for (int i = 0; i < 2; i++) w.cases[0][i] = receiving_case(w.make(i, 1), i);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_select_as_task(&w);
            chosen = w.selects(0, SKUA_FOREVER);
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            RL_ASSERT(w.sends(1, 2, 1, SKUA_FOREVER) == 0);
        } else {
            stub_cancel(&w.s, 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(chosen == 1 || chosen == -ECANCELED);
        RL_ASSERT(sk_load_rlx(&w.chan(1)->count) == (chosen == 1 ? 0 : 1));
        w.end();
    }
};

/* Whoever sees that the one element has gone over frees its channel; the other channel stays. */
template <bool receiver> struct frees : rl::test_suite<frees<receiver>, 2> {
    select_world w;

    void before()
    {
        w.begin(2, 2);
        w.with_draws(1);
        for (int i = 0; i < 2; i++) w.cases[0][i] = receiving_case(w.make(i, 0), i);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(w.selects(0, SKUA_FOREVER) == 1);
            if (receiver) RL_ASSERT(skua_chan_release(w.chan(1)) == 0);
        } else {
            RL_ASSERT(w.sends(1, 2, 1, SKUA_FOREVER) == 0);
            if (!receiver) RL_ASSERT(skua_chan_release(w.chan(1)) == 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.chans[1].lives);
        w.end();
    }
};

/* A select with a default beside one who sends and one who closes: it never waits, and what it says is true. */
struct at_once : rl::test_suite<at_once, 3> {
    select_world w;
    int chosen, sent;

    void before()
    {
        w.begin(3, 2);
        w.with_draws(1);
        for (int i = 0; i < 2; i++) w.cases[0][i] = receiving_case(w.make(i, 0), i);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            chosen = skua_select_try(w.cases[0], 2);
            w.waiting--;
        } else if (index == 1) {
            RL_ASSERT(skua_chan_close(w.chan(0)) == 0);
        } else {
            sent = w.sends(1, 2, 1, SOON);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(chosen == -EAGAIN || chosen == 0 || chosen == 1);
        RL_ASSERT(sent == (chosen == 1 ? 0 : -ETIMEDOUT));
        RL_ASSERT(chosen != 0 || w.cases[0][0].result == -EPIPE);
        w.end();
    }
};

typedef one_of_two<0, false> two_threads;
typedef one_of_two<1, false> two_buffered;
typedef one_of_two<0, true> two_task;
typedef crossed<false> crossed_two;
typedef crossed<true> crossed_one;
typedef frees<true> frees_receiver;
typedef frees<false> frees_sender;
static const sk_model models[] = {
    SK_EXPLORE(two_threads, "select-two", 1),
    SK_EXPLORE(two_buffered, "select-two-buffered", 1),
    SK_EXPLORE(two_task, "select-two-task", 0),
    SK_EXPLORE(crossed_two, "select-crossed", 2),
    SK_EXPLORE(crossed_one, "select-crossed-same", 2),
    SK_EXPLORE(closing, "select-close", 1),
    SK_EXPLORE(late, "select-late", 0),
    SK_EXPLORE(cancelled, "select-cancelled", 1),
    SK_EXPLORE(frees_receiver, "select-free", 2),
    SK_EXPLORE(frees_sender, "select-free-sender", 2),
    SK_EXPLORE(at_once, "select-try", 1),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
