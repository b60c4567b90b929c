/*
 * stream.cpp: Relacy models of streams: the real src/pool/stream.c and group.c
 * over pools of stub_pools.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/stream.cpp -o model-stream
 *
 * What is tried: each callback is called once, in the order of submission, never
 * two at a time, and sees what its task and the callback before it wrote; none is
 * left when the conductor goes, be he dropped before he began, or never sent; a
 * cell is free before it is used again; release comes back after all of them.
 */
#define STUB_TASKS 8
#define STUB_POOLS 1
#define STUB_JOBS 1

#include "model/relacy.h"

#include "model/stub_groups.h"

#define caller stream_caller
#include "pool/stream.c"
#undef caller

static void *sk_heap_zalloc(size_t n, size_t size)
{
    RL_ASSERT(size == sizeof(cell));
    cell *cells = stub_new<cell>(n);
    for (size_t i = 0; i < n; i++) sk_store_rlx(&cells[i].done, UINT64_C(0));
    return cells;
}

enum { ITEMS = 4, CELLS = 4 };

struct stream_model : group_model {
    struct item {
        stream_model *m;
        int number;
    };
    skua_stream *stream, place;
    item items[ITEMS];
    int submitted, called;
    bool calling, ordered; /* a callback is under way; items are submitted in the order of their numbers */
    VAR_T(int) input[CELLS], output[ITEMS], log;

    void begin(int threads, uint32_t limit, uint32_t window)
    {
        begin_groups(threads);
        sk_store_rlx(&place.state, (uint32_t)SK_GROUP_FREE);
        sk_store_rlx(&place.inside, 0u);
        streams.slab.free = 0;
        streams.slab.place[streams.slab.free++] = &place;
        submitted = called = 0;
        calling = false;
        ordered = true;
        log($) = 0;
        for (int i = 0; i < CELLS; i++) input[i]($) = 0;
        for (int i = 0; i < ITEMS; i++) {
            items[i] = {this, i};
            output[i]($) = 0;
        }
        skua_stream_options options = {};
        options.limit = limit;
        options.window = window;
        RL_ASSERT(skua_stream_create(&stream, &options) == 0);
        group = stream->group;
        pool = group->pool;
        yields = false;
        steals = true;
        world.rest = all_called;
    }
    static void all_called()
    {
        stream_model *m = (stream_model *)the_pool;
        nobody_waits();
        RL_ASSERT(m->called == m->submitted);
    }
    static int run(void *arg)
    {
        item *i = (item *)arg;
        i->m->output[i->number]($) = i->number + 1;
        if (i->m->yields) rl::yield(1, $);
        return i->number + 1;
    }
    static int then(void *arg, int result)
    {
        item *i = (item *)arg;
        stream_model *m = i->m;
        RL_ASSERT(!m->calling && m->log($) == m->called);
        m->calling = true;
        if (m->ordered) RL_ASSERT(i->number == m->called && m->input[i->number & m->place.mask]($) == i->number);
        RL_ASSERT(result == -ECANCELED || (result == i->number + 1 && m->output[i->number]($) == result));
        if (m->yields) rl::yield(1, $);
        m->log($) = ++m->called;
        m->calling = false;
        return 0;
    }
    /* The cell of a ticket is ours: so is the input that goes with it. */
    int go(int number, bool wait = true)
    {
        uint64_t ticket;
        if (!ordered) return count(skua_stream_go(stream, run, then, &items[number]));
        int error = enter(stream);
        RL_ASSERT(error == 0);
        error = wait ? wait_for_ticket(stream, &ticket) : take_ticket(stream, &ticket);
        if (!error) {
            RL_ASSERT(ticket == number);
            input[number & place.mask]($) = number;
            error = ::submit(stream, ticket, run, then, &items[number]);
        }
        leave(stream);
        return count(error);
    }
    /* An item whose task is in the hand of the model. */
    void hold(int number)
    {
        uint64_t ticket;
        RL_ASSERT(take_ticket(stream, &ticket) == 0 && ticket == number);
        cell *c = cell_of(stream, ticket);
        c->ticket = ticket;
        c->then = then;
        c->arg = &items[number];
        input[number & place.mask]($) = number;
    }
    void end_held(int number)
    {
        (void)run(&items[number]);
        ::task_ended(stream, cell_of(stream, number), number + 1);
    }
    int count(int error)
    {
        submitted += error == 0;
        return error;
    }
    void end()
    {
        RL_ASSERT(called == submitted && log($) == called && !calling);
        RL_ASSERT(sk_load_rlx(&place.inside) == 0 && sk_load_rlx(&place.driving) == 0);
        if (sk_load_rlx(&place.state) == SK_GROUP_OPEN) sk_heap_free(place.cells);
        group_model::end();
    }
};

/* ---- the baton ---- */

/* Two items end at the same time: nothing but their ends, and conductors. With items behind them that do not end nobody
   is told of room, so no fence but the stream's own is on the way. */
template <int held> struct stream_baton : rl::test_suite<stream_baton<held>, 2> {
    stream_model m;

    void before()
    {
        m.begin(2, 2, held);
        for (int i = 0; i < held; i++) m.hold(i);
        m.submitted = 2;
    }
    void thread(unsigned index)
    {
        m.end_held((int)index);
        m.work();
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.called == 2);
        m.end();
    }
};

/* The same with all that is round it. */
struct stream_ends : rl::test_suite<stream_ends, 2> {
    stream_model m;

    void before()
    {
        m.begin(2, 2, 2);
        for (int i = 0; i < 2; i++) RL_ASSERT(m.go(i) == 0);
    }
    void thread(unsigned)
    {
        m.work();
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.called == 2);
        m.end();
    }
};

/* Three submitted to one who waits for room in a window of two; then he waits for the callbacks, and sees them. */
template <uint32_t window> struct stream_window : rl::test_suite<stream_window<window>, 2> {
    stream_model m;

    void before()
    {
        m.begin(2, 1, window);
        m.waiting = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < (int)window + 1; i++) RL_ASSERT(m.go(i) == 0);
            RL_ASSERT(skua_stream_wait(m.stream, NULL) == 0);
            RL_ASSERT(m.log($) == window + 1);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* Two submit; with two workers. */
struct stream_submitters : rl::test_suite<stream_submitters, 4> {
    stream_model m;

    void before()
    {
        m.begin(4, 2, 2);
        m.ordered = false;
        m.waiting = 2;
    }
    void thread(unsigned index)
    {
        if (index < 2) {
            RL_ASSERT(m.go((int)index) == 0);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* All is cancelled: every callback is made all the same. */
struct stream_cancelled : rl::test_suite<stream_cancelled, 3> {
    stream_model m;

    void before()
    {
        m.begin(3, 2, 2);
        m.waiting = 1;
        for (int i = 0; i < 2; i++) RL_ASSERT(m.go(i) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_stream_cancel(m.stream, 0) == 0);
            RL_ASSERT(skua_stream_wait(m.stream, NULL) == -ECANCELED);
            RL_ASSERT(m.log($) == 2);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* ---- conductors that fail ---- */

/* A runtime that stops asks each task to end, conductors too: who has not begun ends, and another comes. */
struct stream_dropped : rl::test_suite<stream_dropped, 3> {
    stream_model m;

    void before()
    {
        m.begin(3, 2, 2);
        for (int i = 0; i < 2; i++) RL_ASSERT(m.go(i) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            for (int i = 0; i < STUB_TASKS; i++) {
                sk_task *t = &m.s.tasks[i];
                uint64_t serial = sk_load_rlx(&t->state.serial);
                if (sk_load_rlx(&t->owner) == &m.stream->owner) (void)skua_cancel((skua_task){t, serial});
            }
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(m.called == 2);
        m.end();
    }
};

/* None can be sent: who waits conducts; or who waits for room does. */
template <bool window> struct stream_stalled : rl::test_suite<stream_stalled<window>, 3> {
    stream_model m;

    void before()
    {
        m.begin(3, 2, 2);
        m.waiting = 1;
        for (int i = 0; i < 2; i++) RL_ASSERT(m.go(i) == 0);
        sk_store_rlx(&m.s.rt.stopping, (uint32_t)SK_STOP_CANCEL);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (window) RL_ASSERT(m.go(2) == -ESHUTDOWN);
            RL_ASSERT(skua_stream_wait(m.stream, NULL) == 0);
            RL_ASSERT(m.log($) == 2);
            m.waiting--;
        } else {
            m.work();
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

/* ---- the end ---- */

/* Release, while items are under way and, if `late`, one who comes too late, or not. */
template <bool late> struct stream_release : rl::test_suite<stream_release<late>, late ? 3 : 2> {
    stream_model m;

    void before()
    {
        m.begin(late ? 3 : 2, 1, 2);
        m.ordered = false;
        m.waiting = late ? 2 : 1;
        RL_ASSERT(m.go(0) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(skua_stream_release(m.stream) == 0);
            RL_ASSERT(m.log($) == m.called && !m.calling && streams.slab.free == 1);
            m.waiting--;
        } else if (index == 1) {
            m.work();
        } else {
            int error = m.go(1);
            RL_ASSERT(error == 0 || error == -ESHUTDOWN);
            m.waiting--;
        }
        world.leave();
    }
    void after()
    {
        m.end();
    }
};

static const sk_model models[] = {
    SK_EXPLORE(stream_baton<2>, "stream-baton", 1),
    SK_EXPLORE(stream_baton<4>, "stream-baton-behind", 1),
    SK_EXPLORE(stream_ends, "stream-ends", 1),
    SK_EXPLORE(stream_window<1>, "stream-window-one", 1),
    SK_EXPLORE(stream_window<2>, "stream-window", 1),
    SK_EXPLORE(stream_submitters, "stream-submitters", 0),
    SK_EXPLORE(stream_cancelled, "stream-cancelled", 0),
    SK_EXPLORE(stream_dropped, "stream-dropped", 0),
    SK_EXPLORE(stream_stalled<false>, "stream-stalled", 0),
    SK_EXPLORE(stream_stalled<true>, "stream-stalled-window", 0),
    SK_EXPLORE(stream_release<false>, "stream-release", 1),
    SK_EXPLORE(stream_release<true>, "stream-release-late", 1),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
