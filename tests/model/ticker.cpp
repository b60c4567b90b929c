/*
 * ticker.cpp: Relacy models of tickers and of the lock that favours a worker: the real src/sync/ticker.c and favour.h,
 * over the real chan.c, expiry.c, slot.h, timers.c and claim.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/ticker.cpp -o model-ticker
 *
 * What is tried: of a tick that comes and a stop or a reset one is first: nothing is received after it that was sent
 * before; a tick that is armed comes, once, whoever has the locks when it is due; the memory is freed once, by the last
 * who has it, also beside the end of the runtime; two workers, one of them favoured, and a thread are never inside at
 * once.
 */
#include "model/stub_new.h"

#include "model/relacy.h"

#define STUB_WORKERS 3
struct sk_slab;
static void stub_slab_freed(sk_slab *slab, void *object);
#define STUB_FREED(slab, object) stub_slab_freed(slab, object)

static uint64_t *stub_now();
#define STUB_WHEEL_NOW (*stub_now())

#define STUB_OWN_ENTER
#include "model/stub_sync.h"

static uint64_t *stub_now()
{
    return &world.clock;
}

/* No model needs memory of the heap, nor calls functions of the program. */
#define SK_BASE_HEAP_H
static void *sk_heap_alloc(size_t)
{
    RL_ASSERT(!"heap");
    return NULL;
}
static void sk_heap_free(void *)
{
}
int skua_defer(skua_deferred *, skua_fn *, void *)
{
    return -EPERM;
}
int skua_undefer(skua_deferred *)
{
    return -EPERM;
}
int skua_defer_run(skua_deferred *)
{
    return -EPERM;
}
skua_task skua_self(void)
{
    return skua_task();
}
skua_runtime *skua_runtime_current(void)
{
    return &stub->rt;
}
skua_runtime *skua_runtime_default(void)
{
    return &stub->rt;
}

#include "sync/chan.c"
#define create create_ticker
#define check check_ticker
#include "sync/ticker.c"
#undef create
#undef check

enum { DUE = 10 }; /* ns from now */

/* ---- a ticker in the wheel of worker 0 ---- */

struct ticker_world {
    stub_state s;
    stub_object<skua_ticker> memory;
    VAR_T(int) mark; /* stands for what is in its channel: whoever uses that writes this, and so does who frees it */
    uint64_t begun;

    skua_ticker *t()
    {
        return memory.operator->();
    }
    void begin(int threads, bool favoured);
    /* The calling thread carries that worker. */
    void as(int worker)
    {
        sk_local_self()->worker = &s.workers[worker];
        if (!s.workers[worker].runtime) s.workers[worker].runtime = &s.rt;
    }
    /* Time passes, and that worker looks at its wheel. */
    void look(int worker, uint64_t after)
    {
        world.clock = sk_max(world.clock, begun + after);
        (void)sk_timers_run(&s.workers[worker], world.clock);
    }
    int received()
    {
        uint64_t when;
        int error = skua_chan_try_recv(&t()->chan, &when);
        RL_ASSERT(error == 0 || error == -EAGAIN);
        if (error == 0) RL_ASSERT(when >= begun + DUE);
        return error == 0;
    }
    /* In after(): all wheels, until nothing is left in any. */
    void run_out()
    {
        for (int i = 0; i < 6; i++) {
            world.clock += 1000000;
            for (int k = 0; k < STUB_WORKERS; k++) {
                sk_local_self()->worker = &s.workers[k];
                (void)sk_timers_run(&s.workers[k], world.clock);
            }
        }
        for (int k = 0; k < STUB_WORKERS; k++) RL_ASSERT(sk_timers_next(&s.workers[k].timers) == UINT64_MAX);
    }
    void end()
    {
        memory.clear();
    }
};

static ticker_world *here;

static void stub_slab_freed(sk_slab *slab, void *object)
{
    if (slab == &sk_tasks) return;
    RL_ASSERT(object == here->memory.bytes);
    here->mark($) = 2;
    here->memory.free_it();
}

static void nobody_waits()
{
}

inline void ticker_world::begin(int threads, bool favoured)
{
    world.begin(threads, nobody_waits);
    here = this;
    released = false;
    s.begin();
    ::tickers.slab.free = 0;
    begun = world.clock;
    mark($) = 0;
    memory.lives = false;
    memory.make();
    sk_slot_init(&t()->alarm.slot);
    t()->alarm.slot.node.mark($) = 0;
    t()->rt = &s.rt;
    t()->alarm.ring = ring;
    t()->alarm.gone = alarm_gone;
    t()->magic = LIVE;
    sk_store_rlx(&t()->hold.lock.word, 0u);
    sk_store_rlx(&t()->hold.of, (sk_claim *)NULL);
    skua_chan *c = &t()->chan;
    sk_store_rlx(&c->lock.word, 0u);
    sk_store_rlx(&c->count, 0u);
    sk_store_rlx(&c->closed, 0u);
    sk_store_rlx(&c->users, 1u);
    sk_store_rlx(&c->leaving, 0u);
    stub_clear(&c->receivers);
    stub_clear(&c->senders);
    c->capacity = 1;
    c->size = sizeof(uint64_t);
    c->buffer = c->inside;
    c->gone = chan_gone;
    c->magic = SK_CHAN_LIVE;
    as(0);
    RL_ASSERT(skua_ticker_reset(t(), DUE, 0) == 1);
    if (!favoured) sk_store_rlx(&t()->hold.of, (sk_claim *)NULL);
    if (favoured) sk_store_rlx(&t()->hold.of, &s.workers[0].timers.claim);
    sk_local_self()->worker = NULL;
}

/* ---- a stop beside the tick: one is first ---- */

template <int stopper, bool favoured> struct stop_beside_tick : rl::test_suite<stop_beside_tick<stopper, favoured>, 2> {
    ticker_world w;
    int stopped, got;

    void before()
    {
        w.begin(2, favoured);
        got = 0;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.as(0);
            w.look(0, DUE);
            w.look(0, DUE + 100);
        } else {
            if (stopper > 0) w.as(stopper);
            got = w.received();
            stopped = skua_ticker_stop(w.t());
            RL_ASSERT(stopped == (got ? -ESRCH : 0));
            RL_ASSERT(!w.received());
        }
        world.leave();
    }
    void after()
    {
        w.run_out();
        RL_ASSERT(!w.received());
        RL_ASSERT(skua_ticker_release(w.t()) == 0);
        w.run_out();
        RL_ASSERT(!w.memory.lives);
        w.end();
    }
};

/* ---- a reset beside the tick, here or elsewhere: it comes once, and not before its new time ---- */

template <int by, bool favoured> struct reset_beside_tick : rl::test_suite<reset_beside_tick<by, favoured>, 2> {
    ticker_world w;

    void before()
    {
        w.begin(2, favoured);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.as(0);
            w.look(0, DUE);
            w.look(0, DUE);
        } else {
            if (by > 0) w.as(by);
            RL_ASSERT(skua_ticker_reset(w.t(), 1000, 0) == 0);
            RL_ASSERT(!w.received());
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.received());
        w.run_out();
        RL_ASSERT(w.received()); /* not lost, and once */
        RL_ASSERT(skua_ticker_release(w.t()) == 0);
        w.run_out();
        RL_ASSERT(!w.memory.lives);
        w.end();
    }
};

/* ---- it is served by another worker, beside its favoured owner, who stops it and sets it anew ---- */

template <bool thread_too> struct helped : rl::test_suite<helped<thread_too>, 3> {
    ticker_world w;

    void before()
    {
        w.begin(3, true);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.as(0);
            RL_ASSERT(skua_ticker_stop(w.t()) <= 0);
            RL_ASSERT(skua_ticker_reset(w.t(), DUE, 0) >= 0);
        } else if (index == 1) {
            w.as(1);
            world.clock = w.begun + DUE;
            sk_timers_help(&w.s.workers[1], &w.s.workers[0], world.clock);
        } else if (thread_too) {
            RL_ASSERT(skua_ticker_reset(w.t(), DUE, 0) >= 0);
        }
        world.leave();
    }
    void after()
    {
        int got = w.received(); /* the last reset took back what came before, and did not come after */
        w.run_out();
        RL_ASSERT(got + w.received() == 1);
        w.run_out();
        RL_ASSERT(!w.received());
        RL_ASSERT(skua_ticker_release(w.t()) == 0);
        w.run_out();
        RL_ASSERT(!w.memory.lives);
        w.end();
    }
};

/* ---- released beside the tick: freed once ---- */

template <int by, bool favoured> struct release_beside_tick : rl::test_suite<release_beside_tick<by, favoured>, 2> {
    ticker_world w;

    void before()
    {
        w.begin(2, favoured);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.as(0);
            w.look(0, DUE);
            w.look(0, DUE + 100);
        } else {
            if (by > 0) w.as(by);
            RL_ASSERT(skua_ticker_release(w.t()) == 0);
        }
        world.leave();
    }
    void after()
    {
        w.run_out();
        RL_ASSERT(!w.memory.lives);
        w.end();
    }
};

/* ---- released beside one who has its channel too: the last frees it ---- */

struct release_beside_channel : rl::test_suite<release_beside_channel, 2> {
    ticker_world w;

    void before()
    {
        w.begin(2, true);
        RL_ASSERT(skua_chan_retain(&w.t()->chan) == 0);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.as(0);
            RL_ASSERT(skua_ticker_release(w.t()) == 0);
        } else {
            skua_chan *c = &w.t()->chan;
            (void)w.received();
            w.mark($) = 1;
            RL_ASSERT(skua_chan_release(c) == 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.memory.lives);
        w.run_out();
        w.end();
    }
};

/* ---- released beside the end of its runtime, whose workers' wheels are emptied ---- */

template <bool favoured, bool looks>
struct release_beside_end : rl::test_suite<release_beside_end<favoured, looks>, 2> {
    ticker_world w;

    void before()
    {
        w.begin(2, favoured);
        released = true;
        sk_store_rlx(&w.s.rt.stopping, (uint32_t)SK_STOP_THREADS);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            w.as(0);
            if (looks) w.look(0, DUE); /* its last loop */
            sk_timers_end(&w.s.workers[0]);
        } else {
            RL_ASSERT(skua_ticker_reset(w.t(), 1, 0) == -ESHUTDOWN);
            RL_ASSERT(skua_ticker_release(w.t()) == 0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(!w.memory.lives);
        w.end();
    }
};

/* ---- the lock that favours: two workers, each of which would be favoured, and a thread ---- */

template <int ways> struct favour_model : rl::test_suite<favour_model<ways>, 3> {
    sk_claim claims[2];
    sk_favour f;
    VAR_T(int) data;
    int entered;

    void before()
    {
        world.begin(3, nobody_waits);
        sk_claim_init(&claims[0]);
        sk_claim_init(&claims[1]);
        sk_store_rlx(&f.lock.word, 0u);
        sk_store_rlx(&f.of, ways ? &claims[0] : (sk_claim *)NULL);
        f.last = &claims[0];
        f.lost = 0;
        f.in_a_row = 0;
        data($) = 0;
        entered = 0;
    }
    void use()
    {
        int d = data($);
        RL_ASSERT(d == entered);
        data($) = d + 1;
        entered++;
    }
    bool take(sk_claim *mine, bool waits)
    {
        if (!waits && !sk_lock_try(&f.lock)) return false;
        if (waits) sk_lock_take(&f.lock);
        if (!sk_favour_stands(&f, mine) || sk_favour_end(&f, waits)) return true;
        sk_lock_drop(&f.lock);
        return false;
    }
    void thread(unsigned index)
    {
        sk_claim *mine = index < 2 ? &claims[index] : NULL;
        for (int i = 0; i < 2; i++) {
            if (mine && sk_favour_enter(&f, mine)) {
                use();
                sk_claim_leave(mine);
            } else if (take(mine, index != 1 || ways != 2)) {
                use();
                if (mine) sk_favour_used(&f, mine);
                sk_lock_drop(&f.lock);
            }
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(take(NULL, true));
        use();
        sk_lock_drop(&f.lock);
    }
};

typedef stop_beside_tick<1, false> stop_elsewhere_model;
typedef stop_beside_tick<0, false> stop_thread;
typedef stop_beside_tick<1, true> stop_favoured;
typedef reset_beside_tick<1, false> reset_elsewhere;
typedef reset_beside_tick<0, false> reset_thread;
typedef reset_beside_tick<1, true> reset_favoured;
typedef helped<false> helped_two;
typedef helped<true> helped_three;
typedef release_beside_tick<1, false> release_elsewhere;
typedef release_beside_tick<0, true> release_thread;
typedef release_beside_end<false, false> release_end;
typedef release_beside_end<true, true> release_end_favoured;
typedef release_beside_end<false, true> release_end_late;
typedef favour_model<0> favour_won;
typedef favour_model<1> favour_lost;
typedef favour_model<2> favour_tried;
static const sk_model models[] = {
    SK_EXPLORE(stop_elsewhere_model, "ticker-stop", 2),
    SK_EXPLORE(stop_thread, "ticker-stop-thread", 2),
    SK_EXPLORE(stop_favoured, "ticker-stop-favoured", 2),
    SK_EXPLORE(reset_elsewhere, "ticker-reset", 2),
    SK_EXPLORE(reset_thread, "ticker-reset-thread", 2),
    SK_EXPLORE(reset_favoured, "ticker-reset-favoured", 2),
    SK_EXPLORE(helped_two, "ticker-helped", 2),
    SK_EXPLORE(helped_three, "ticker-helped-thread", 1),
    SK_EXPLORE(release_elsewhere, "ticker-release", 2),
    SK_EXPLORE(release_thread, "ticker-release-thread", 2),
    SK_EXPLORE(release_beside_channel, "ticker-release-channel", 3),
    SK_EXPLORE(release_end, "ticker-end", 2),
    SK_EXPLORE(release_end_late, "ticker-end-late", 2),
    SK_EXPLORE(release_end_favoured, "ticker-end-favoured", 2),
    SK_EXPLORE(favour_won, "favour-won", 2),
    SK_EXPLORE(favour_lost, "favour-lost", 2),
    SK_EXPLORE(favour_tried, "favour-tried", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
