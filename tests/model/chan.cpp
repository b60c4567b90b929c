/*
 * chan.cpp: Relacy models of channels: the real src/sync/chan.c over stub_chan.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/chan.cpp -o model-chan
 *
 * What is tried: what was sent is received once, in order, and not before it was
 * sent; a send fails only when nobody has its element; who gives up leaves nothing
 * behind; a close wakes all; whoever knows that he is the last may free the channel
 * at once, whatever the others are about to do.
 */
#include "model/stub_new.h"

#include "model/relacy.h"

#include "model/stub_chan.h"

enum { SOON = 100 }; /* a timeout that passes at rest, and with world.early at any moment */

/* One sends two elements, one receives them. */
template <int capacity> struct in_order : rl::test_suite<in_order<capacity>, 2> {
    chan_world w;

    void before()
    {
        w.begin(2, 4);
        w.make(0, capacity);
    }
    void thread(unsigned index)
    {
        for (int v = 1; v <= 2; v++) {
            if (index == 0)
                RL_ASSERT(w.sends(0, 0, v, SKUA_FOREVER) == 0);
            else
                RL_ASSERT(w.receives(0, 1, SKUA_FOREVER) == v);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* Two send, one receives both. */
template <int capacity> struct two_send : rl::test_suite<two_send<capacity>, 3> {
    chan_world w;

    void before()
    {
        w.begin(3, 4);
        w.make(0, capacity);
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            RL_ASSERT(w.sends(0, (int)index, index + 1, SKUA_FOREVER) == 0);
        } else {
            int a = w.receives(0, 2, SKUA_FOREVER), b = w.receives(0, 2, SKUA_FOREVER);
            RL_ASSERT(a + b == 3 && (a == 1 || a == 2));
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* Two tasks: one sends, one receives. */
struct tasks_meet : rl::test_suite<tasks_meet, 4> {
    chan_world w;

    void before()
    {
        w.begin(4, 2);
        w.make(0, 0);
        w.s.run(0, false);
        w.s.run(1, false);
    }
    void thread(unsigned index)
    {
        int task = (int)index / 2;
        if (index % 2 == 0) {
            stub_as_task(&w.s, task);
            if (task == 0)
                RL_ASSERT(w.sends(0, 0, 1, SKUA_FOREVER) == 0);
            else
                RL_ASSERT(w.receives(0, 1, SKUA_FOREVER) == 1);
            stub_done(task);
        } else {
            stub_loop(task);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* A close beside one who sends and one who receives. */
template <int capacity> struct closing : rl::test_suite<closing<capacity>, 3> {
    chan_world w;
    int sent, got;

    void before()
    {
        w.begin(3, 2);
        w.make(0, capacity);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            sent = w.sends(0, 0, 1, SKUA_FOREVER);
        else if (index == 1)
            got = w.receives(0, 1, SKUA_FOREVER);
        else
            RL_ASSERT(skua_chan_close(w.chan(0)) == 0);
        world.leave();
    }
    void after()
    {
        RL_ASSERT((sent == 0 && got == 1) || (sent == -EPIPE && got == -EPIPE));
        RL_ASSERT(got > 0 || elements.word[1] == 0);
        w.end();
    }
};

/* A full channel is closed beside its second sender and its receiver. */
struct closing_full : rl::test_suite<closing_full, 3> {
    chan_world w;
    int sent, got;

    void before()
    {
        w.begin(3, 4);
        w.make(0, 1);
        RL_ASSERT(w.sends(0, 0, 1, 0) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            sent = w.sends(0, 0, 2, SKUA_FOREVER);
        } else if (index == 1) {
            RL_ASSERT(w.receives(0, 1, SKUA_FOREVER) == 1);
            got = w.receives(0, 1, SKUA_FOREVER);
        } else {
            RL_ASSERT(skua_chan_close(w.chan(0)) == 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT((sent == 0 && got == 2) || (sent == -EPIPE && got == -EPIPE));
        w.end();
    }
};

/* Who receives is late beside a close: the close does not end its next wait, for another channel. */
struct closing_late : rl::test_suite<closing_late, 2> {
    chan_world w;

    void before()
    {
        w.begin(2, 3);
        w.make(0, 0);
        w.make(1, 0);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            int got = w.receives(0, 0, SOON);
            RL_ASSERT(got == -ETIMEDOUT || got == -EPIPE);
            RL_ASSERT(w.receives(1, 0, SKUA_FOREVER) == 7);
        } else {
            RL_ASSERT(skua_chan_close(w.chan(0)) == 0);
            RL_ASSERT(w.sends(1, 1, 7, SKUA_FOREVER) == 0);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* One sends, one receives, and either may be late at any moment. */
template <bool sender, bool receiver> struct late : rl::test_suite<late<sender, receiver>, 2> {
    chan_world w;
    int sent, got;

    void before()
    {
        w.begin(2, 2);
        w.make(0, 0);
        world.early = sender + receiver;
    }
    void thread(unsigned index)
    {
        if (index == 0)
            sent = w.sends(0, 0, 1, SOON);
        else
            got = w.receives(0, 1, SOON);
        world.leave();
    }
    void after()
    {
        RL_ASSERT((sent == 0 && got == 1) || (sent == -ETIMEDOUT && got == -ETIMEDOUT));
        w.end();
    }
};

/* Two wait, the first of whom may be late: two elements come. */
struct passed_over : rl::test_suite<passed_over, 3> {
    chan_world w;
    int got, other;

    void before()
    {
        w.begin(3, 4);
        w.make(0, 1);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            got = w.receives(0, 0, SOON);
        } else if (index == 1) {
            other = w.receives(0, 1, SKUA_FOREVER);
        } else {
            for (uint64_t v = 1; v <= 2; v++) RL_ASSERT(w.sends(0, 2, v, SKUA_FOREVER) == 0);
        }
        world.leave();
    }
    void after()
    {
        uint32_t left = sk_load_rlx(&w.chan(0)->count);
        if (got == -ETIMEDOUT)
            RL_ASSERT(other == 1 && left == 1 && elements.word[STUB_BUFFERS] + elements.word[STUB_BUFFERS + 1] >= 2);
        else
            RL_ASSERT(got + other == 3 && got > 0 && left == 0);
        w.end();
    }
};

/* A task waits for an element, and is cancelled. */
template <bool receives> struct cancelled : rl::test_suite<cancelled<receives>, 4> {
    chan_world w;
    int done;

    void before()
    {
        w.begin(4, receives ? 2 : 3);
        w.make(0, 1);
        if (!receives) RL_ASSERT(w.sends(0, 0, 7, 0) == 0);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            done = receives ? w.receives(0, 0, SKUA_FOREVER) : w.sends(0, 0, 1, SKUA_FOREVER);
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            if (receives)
                RL_ASSERT(w.sends(0, 1, 1, SKUA_FOREVER) == 0);
            else
                RL_ASSERT(w.receives(0, 1, SKUA_FOREVER) == 7);
        } else {
            stub_cancel(&w.s, 0);
        }
        world.leave();
    }
    void after()
    {
        int left = (int)sk_load_rlx(&w.chan(0)->count);
        if (receives)
            RL_ASSERT((done == 1 && left == 0) || (done == -ECANCELED && left == 1));
        else
            RL_ASSERT((done == 0 && left == 1) || (done == -ECANCELED && left == 0));
        w.end();
    }
};

/* Who is done with his part knows that he is the last, and frees the channel. */
template <int capacity, bool receiver> struct frees : rl::test_suite<frees<capacity, receiver>, 2> {
    chan_world w;

    void before()
    {
        w.begin(2, 2);
        w.make(0, capacity);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(w.sends(0, 0, 1, SKUA_FOREVER) == 0);
            if (!receiver) RL_ASSERT(skua_chan_release(w.chan(0)) == 0);
        } else {
            RL_ASSERT(w.receives(0, 1, SKUA_FOREVER) == 1);
            if (receiver) RL_ASSERT(skua_chan_release(w.chan(0)) == 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.chans[0].lives);
        w.end();
    }
};

/* Who sees that it is closed frees it, beside the one who closes; or each has a use of it. */
template <bool counted> struct frees_closed : rl::test_suite<frees_closed<counted>, 2> {
    chan_world w;

    void before()
    {
        w.begin(2, counted ? 2 : 1);
        sk_store_rlx(&w.make(0, 1)->users, counted ? 2u : 1u);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (counted) RL_ASSERT(w.sends(0, 0, 1, SKUA_FOREVER) == 0);
            RL_ASSERT(skua_chan_close(w.chan(0)) == 0);
            if (counted) RL_ASSERT(skua_chan_release(w.chan(0)) == 0);
        } else {
            RL_ASSERT(w.receives(0, 1, SKUA_FOREVER) == (counted ? 1 : -EPIPE));
            RL_ASSERT(skua_chan_release(w.chan(0)) == 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.chans[0].lives);
        w.end();
    }
};

typedef in_order<0> order_none;
typedef in_order<1> order_one;
typedef two_send<0> two_none;
typedef two_send<1> two_one;
typedef closing<0> closing_none;
typedef closing<1> closing_one;
typedef late<true, false> late_sender;
typedef late<false, true> late_receiver;
typedef late<true, true> late_both;
typedef cancelled<true> cancelled_receiver;
typedef cancelled<false> cancelled_sender;
typedef frees<0, true> frees_none;
typedef frees<1, true> frees_one;
typedef frees<0, false> frees_sender;
typedef frees_closed<false> frees_seen;
typedef frees_closed<true> frees_counted;
static const sk_model models[] = {
    SK_EXPLORE(order_none, "chan-order", 2),
    SK_EXPLORE(order_one, "chan-order-buffer", 2),
    SK_EXPLORE(two_none, "chan-two-send", 1),
    SK_EXPLORE(two_one, "chan-two-send-buffer", 1),
    SK_EXPLORE(tasks_meet, "chan-tasks", 1),
    SK_EXPLORE(closing_none, "chan-close", 1),
    SK_EXPLORE(closing_one, "chan-close-buffer", 1),
    SK_EXPLORE(closing_full, "chan-close-full", 1),
    SK_EXPLORE(closing_late, "chan-close-late", 2),
    SK_EXPLORE(late_sender, "chan-late-sender", 2),
    SK_EXPLORE(late_receiver, "chan-late-receiver", 2),
    SK_EXPLORE(late_both, "chan-late-both", 2),
    SK_EXPLORE(passed_over, "chan-passed-over", 1),
    SK_EXPLORE(cancelled_receiver, "chan-cancel-receiver", 1),
    SK_EXPLORE(cancelled_sender, "chan-cancel-sender", 1),
    SK_EXPLORE(frees_none, "chan-free", 2),
    SK_EXPLORE(frees_one, "chan-free-buffer", 2),
    SK_EXPLORE(frees_sender, "chan-free-sender", 2),
    SK_EXPLORE(frees_seen, "chan-free-closed", 2),
    SK_EXPLORE(frees_counted, "chan-free-counted", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
