/*
 * stub_chan.h: channels in a model: the real src/sync/chan.c over stub_sync.h.
 *
 * Elements are words of one array, each with a mark that a copy writes or reads:
 * two accesses that nothing orders are a race.  A channel's buffer lies there too.
 */
#ifndef SK_TEST_MODEL_STUB_CHAN_H
#define SK_TEST_MODEL_STUB_CHAN_H

struct sk_slab;
static void stub_slab_freed(sk_slab *slab, void *object);
#define STUB_FREED(slab, object) stub_slab_freed(slab, object)

#include "model/stub_sync.h"

/* No model needs memory of the heap. */
#define SK_BASE_HEAP_H
static void *sk_heap_alloc(size_t)
{
    RL_ASSERT(!"heap");
    return NULL;
}
static void *sk_heap_zalloc(size_t, size_t)
{
    return sk_heap_alloc(0);
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

/* ---- elements ---- */

enum { STUB_ELEMENTS = 16, STUB_BUFFERS = 8 /* the first place that belongs to a buffer */, STUB_BUFFER = 2 };

static struct stub_elements {
    uint64_t word[STUB_ELEMENTS];
    VAR_T(int) * mark; /* of the schedule that is being explored */
} elements;

static size_t stub_element(const void *p)
{
    size_t i = (size_t)((const uint64_t *)p - elements.word);
    RL_ASSERT(i < STUB_ELEMENTS);
    return i;
}
static void stub_write(void *p, uint64_t v)
{
    size_t i = stub_element(p);
    elements.mark[i]($) = 1;
    elements.word[i] = v;
}
static uint64_t stub_read(const void *p)
{
    size_t i = stub_element(p);
    int mark = elements.mark[i]($);
    (void)mark;
    return elements.word[i];
}
static void stub_copy(void *to, const void *from, size_t size)
{
    RL_ASSERT(size == sizeof(uint64_t));
    stub_write(to, stub_read(from));
}
static void stub_fill(void *p, int value, size_t size)
{
    RL_ASSERT(value == 0 && size == sizeof(uint64_t));
    stub_write(p, 0);
}

#define memcpy stub_copy
#define memset stub_fill
#include "sync/chan.c"
#ifdef STUB_SELECT
#define foreign (*stub_foreign) /* a pointer instead of a static atomic; every thread has draws of its own */
#include "sync/select.c"
#undef foreign
#endif
#undef memcpy
#undef memset

/* ---- channels ---- */

enum { STUB_CHANS = 2 };

struct chan_world {
    stub_state s;
    stub_object<skua_chan> chans[STUB_CHANS];
    VAR_T(int) mark[STUB_ELEMENTS];
    int waiting;

    void begin(int threads, int operations);
    /* The first so many threads select: they have draws of their own. */
    void with_draws(int threads)
    {
        for (int i = 0; i < threads; i++) {
            s.locals[i].worker = &s.workers[s.workers_used++];
            sk_rng_seed(&s.locals[i].worker->rng, rl::rand(2));
        }
    }
    skua_chan *make(int i, uint32_t capacity)
    {
        skua_chan *c = chans[i].make();
        sk_store_rlx(&c->lock.word, 0u);
        sk_store_rlx(&c->count, 0u);
        sk_store_rlx(&c->closed, 0u);
        sk_store_rlx(&c->users, 1u);
        sk_store_rlx(&c->leaving, 0u);
        c->capacity = capacity;
        c->size = sizeof(uint64_t);
        c->buffer = c->inside;
        RL_ASSERT(capacity <= STUB_BUFFER);
        c->buffer = (char *)&elements.word[STUB_BUFFERS + i * STUB_BUFFER];
        stub_clear(&c->receivers);
        stub_clear(&c->senders);
        c->magic = SK_CHAN_LIVE;
        return c;
    }
    skua_chan *chan(int i)
    {
        return chans[i].operator->();
    }
    /* The element that thread `at` sends, or receives into. */
    static void *place(int at)
    {
        return &elements.word[at];
    }

    int sends(int i, int at, uint64_t v, uint64_t timeout)
    {
        stub_write(place(at), v);
        int error = skua_chan_send_for(chan(i), place(at), timeout);
        stub_write(place(at), 99); /* it is ours again */
        waiting--;
        return error;
    }
    /* What came, or an error. */
    int receives(int i, int at, uint64_t timeout)
    {
        int error = skua_chan_recv_for(chan(i), place(at), timeout);
        waiting--;
        return error ? error : (int)stub_read(place(at));
    }
    bool at_rest(int i)
    {
        skua_chan *c = chan(i);
        return !sk_waiters_first(&c->receivers) && !sk_waiters_first(&c->senders);
    }
    void end()
    {
        for (int i = 0; i < STUB_CHANS; i++) {
            if (chans[i].lives) RL_ASSERT(at_rest(i));
            chans[i].clear();
        }
    }
};

static chan_world *here;

static void stub_slab_freed(sk_slab *slab, void *object)
{
    if (slab == &sk_tasks) return;
    for (int i = 0; i < STUB_CHANS; i++)
        if (here->chans[i].bytes == object) {
            for (int k = 0; k < STUB_BUFFER; k++) here->mark[STUB_BUFFERS + i * STUB_BUFFER + k]($) = 2;
            here->chans[i].free_it();
        }
}

static void nobody_waits()
{
    RL_ASSERT(here->waiting == 0);
}

inline void chan_world::begin(int threads, int operations)
{
    world.begin(threads, nobody_waits);
    here = this;
    waiting = operations;
    s.begin();
    chans->lives = false;
    ::chans.slab.free = 0;
    elements.mark = mark;
    for (int i = 0; i < STUB_ELEMENTS; i++) stub_write(&elements.word[i], 0);
}

#endif
