/*
 * context.cpp: Relacy models of contexts: the real src/sync/context.c,
 * context_task.c and src/runtime/extra.c over the real park.c and tasks of
 * stub_tasks.h.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/context.cpp -o model-context
 *
 * What is tried: no task sleeps on below a context that has ended, whatever it was
 * about to do; a task that has left it is not woken for it; nothing below slips
 * through; memory goes once.  Contexts are made by hand: the models have no heap.
 */
#include "model/stub_new.h"

#include "model/relacy.h"

struct sk_slab;
static void stub_slab_freed(sk_slab *slab, void *object);
#define STUB_FREED(slab, object) stub_slab_freed(slab, object)

#define STUB_OWN_EXTRA
#include "model/stub_sync.h"

/* ---- what contexts use besides ---- */

#define SK_RUNTIME_SHUTDOWN_H
#define SK_MEM_STACK_H

int sk_own_task(sk_task **t)
{
    sk_worker *w = sk_worker_self();
    *t = w ? w->task : NULL;
    return *t ? 0 : -EPERM;
}
void sk_defer_last(sk_task *, skua_deferred *, skua_fn *)
{
}
int skua_defer(skua_deferred *, skua_fn *, void *)
{
    return 0;
}
int skua_undefer(skua_deferred *)
{
    return 0;
}
enum { SK_STACK_CLASSES = 1 };
static unsigned sk_stack_class_of(size_t)
{
    return 0;
}
int sk_runtime_check(skua_runtime *)
{
    return 0;
}
skua_runtime *skua_runtime_default(void)
{
    return NULL;
}
skua_runtime *skua_runtime_current(void)
{
    return NULL;
}

#include "runtime/extra.c"

sk_catch *sk_catch_first(void)
{
    return NULL;
}

#include "skua/context.h"

/* No context of a model has these. */
int skua_timer_stop(skua_timer)
{
    RL_ASSERT(!"timer");
    return 0;
}
int skua_chan_create_signal(skua_chan **, size_t)
{
    return -ENOMEM;
}
int skua_chan_close(skua_chan *)
{
    RL_ASSERT(!"channel");
    return 0;
}
int skua_chan_release(skua_chan *)
{
    RL_ASSERT(!"channel");
    return 0;
}

void sk_task_set_deadlines(sk_task *, uint64_t, uint64_t)
{
}

#define limit context_limit
#include "sync/context.c"
#undef limit

#include "sync/context_task.c"

enum { CONTEXTS = 2 };

struct context_world {
    stub_state s;
    skua_context context[CONTEXTS]; /* the second is the first's child, or beside it */
    int freed[CONTEXTS];
    VAR_T(int) memory[CONTEXTS]; /* users read it, who frees it writes it */
    sk_stay stay[4];
    sk_extra extra;
    VAR_T(int) news; /* what the canceller did before */
    sk_lock lock;    /* of a token that comes to a task outside of all contexts */
    sk_waiters waiters;
    sk_watched<bool> token;
    int waiting;

    void begin(int threads, int waits);
    skua_context *make(int i, skua_context *parent, bool linked);
    void end()
    {
        RL_ASSERT(!sk_waiters_first(&waiters));
        RL_ASSERT(::stays.slab.free == 4);
    }

    /* Sleeps for good; returns why not. */
    int park()
    {
        int why = sk_park(sk_worker_self(), NULL, SK_NEVER);
        RL_ASSERT(why == SK_WHY_CANCEL);
        int seen = news($);
        waiting--;
        return seen;
    }
    void give()
    {
        sk_lock_take(&lock);
        uint32_t late = 0;
        sk_waiter *w = sk_waiters_claim(&waiters, &late);
        if (!w) token = true;
        sk_lock_drop(&lock);
        if (w) sk_wake(w);
    }
    /* Sleeps until the token comes: 0, or why not. */
    int try_take()
    {
        sk_sleeper sleeper;
        sk_waiter waiter = {NULL, NULL, &sleeper, NULL, 1, false, false};
        RL_ASSERT(sk_sleeper_init(&sleeper) == 0);
        sk_lock_take(&lock);
        bool there = token;
        if (!there) sk_waiters_add(&waiters, &waiter);
        sk_lock_drop(&lock);
        if (there) return 0;
        int error = sk_sleeper_sleep(&sleeper, SK_NEVER, "model", NULL);
        if (!error) {
            RL_ASSERT(sk_sleeper_outcome(&sleeper) == 1);
            return 0;
        }
        sk_lock_take(&lock);
        sk_waiters_remove(&waiters, &waiter);
        sk_lock_drop(&lock);
        return error;
    }
    /* Outside of all contexts: it is woken by the token, and nothing else. */
    void take()
    {
        RL_ASSERT(try_take() == 0);
        waiting--;
    }
    void cancel(int i)
    {
        int error = skua_context_cancel(&context[i], -EPIPE);
        RL_ASSERT(error == 0 || error == -EALREADY);
    }
};

static context_world *here;

static void stub_slab_freed(sk_slab *slab, void *object)
{
    for (int i = 0; i < CONTEXTS; i++)
        if (object == &here->context[i]) {
            here->freed[i]++;
            here->memory[i]($) = 1;
        }
    (void)slab;
}

static void nobody_waits()
{
    RL_ASSERT(here->waiting == 0);
}

inline skua_context *context_world::make(int i, skua_context *parent, bool linked)
{
    skua_context *c = &context[i];
    sk_store_rlx(&c->scope.ended, 0u);
    sk_store_rlx(&c->lock.word, 0u);
    sk_store_rlx(&c->users, 1u);
    sk_store_rlx(&c->holds, 1u);
    c->cause = 0;
    c->parent = parent;
    c->children = c->next = c->prev = c->following = NULL;
    c->linked = false;
    c->stays = NULL;
    c->done = NULL;
    c->deadline = SKUA_FOREVER;
    c->timer.task.ref = NULL;
    c->key = c->value = NULL;
    c->destroy = NULL;
    c->magic = SK_CONTEXT_LIVE;
    if (parent) sk_context_keep(parent);
    if (linked) link_to_parent(c);
    return c;
}

inline void context_world::begin(int threads, int waits)
{
    world.begin(threads, nobody_waits);
    here = this;
    waiting = waits;
    s.begin();
    sk_store_rlx(&lock.word, 0u);
    stub_clear(&waiters);
    token = false;
    news($) = 0;
    freed[0] = freed[1] = 0;
    memory[0]($) = memory[1]($) = 0;
    contexts.slab.free = ::stays.slab.free = extras.slab.free = 0;
    for (int i = 0; i < 4; i++) ::stays.slab.place[::stays.slab.free++] = &stay[i];
    extras.slab.place[extras.slab.free++] = &extra;
}

/* A task parks in a context that somebody cancels; then, outside, it waits as ever. `below`: in its child. `twice`: the
   child is cancelled as well. */
template <bool below, bool twice> struct parks : rl::test_suite<parks<below, twice>, twice ? 4 : 3> {
    context_world w;

    void before()
    {
        w.begin(twice ? 4 : 3, 2);
        w.make(0, NULL, false);
        if (below) w.make(1, &w.context[0], true);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        skua_context *c = &w.context[below];
        if (index == 0) {
            stub_as_task(&w.s, 0);
            RL_ASSERT(skua_context_enter(c) == 0);
            int seen = w.park();
            RL_ASSERT(twice || seen == 1);
            RL_ASSERT(skua_context_leave(c) == 0);
            w.take();
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            if (!twice) w.news($) = 1;
            w.cancel(0);
            w.give();
        } else {
            w.cancel(1);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* A sleeper in a context sleeps no longer than that. `given`: or it gets the token, which else is there for the next.
 */
template <bool given> struct sleeps : rl::test_suite<sleeps<given>, given ? 4 : 3> {
    context_world w;

    void before()
    {
        w.begin(given ? 4 : 3, 1);
        w.make(0, NULL, false);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            RL_ASSERT(skua_context_enter(&w.context[0]) == 0);
            int error = w.try_take();
            RL_ASSERT(error == -ECANCELED || (given && error == 0));
            if (error) RL_ASSERT(w.news($) == 1);
            RL_ASSERT(skua_context_leave(&w.context[0]) == 0);
            if (given && error)
                w.take();
            else
                w.waiting--;
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            w.news($) = 1;
            w.cancel(0);
        } else {
            w.give();
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* A task goes through a context that is cancelled meanwhile, and only then sleeps: for the token. */
struct leaves : rl::test_suite<leaves, 3> {
    context_world w;

    void before()
    {
        w.begin(3, 1);
        w.make(0, NULL, false);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            RL_ASSERT(skua_context_enter(&w.context[0]) == 0);
            RL_ASSERT(skua_context_leave(&w.context[0]) == 0);
            w.take();
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else {
            w.cancel(0);
            w.give();
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* In a context within another one the outer one does not count: who parks there waits for the token. Then, in the outer
   one again, it is let out. */
template <bool ended_while_inside> struct nested : rl::test_suite<nested<ended_while_inside>, 3> {
    context_world w;

    void before()
    {
        w.begin(3, 2);
        w.make(0, NULL, false);
        w.make(1, NULL, false);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            RL_ASSERT(skua_context_enter(&w.context[0]) == 0);
            RL_ASSERT(skua_context_enter(&w.context[1]) == 0);
            w.take();
            RL_ASSERT(skua_context_leave(&w.context[1]) == 0);
            RL_ASSERT(w.park() == 1);
            RL_ASSERT(skua_context_leave(&w.context[0]) == 0);
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else {
            w.news($) = 1;
            if (!ended_while_inside) w.give();
            w.cancel(0);
            if (ended_while_inside) w.give();
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* Who sees that it has ended sees what its ender did before. */
struct looks : rl::test_suite<looks, 2> {
    context_world w;

    void before()
    {
        w.begin(2, 0);
        w.make(0, NULL, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            if (skua_context_error(&w.context[0])) RL_ASSERT(w.news($) == 1);
        } else {
            w.news($) = 1;
            w.cancel(0);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* A context is made below one that ends: it ends, too. */
struct made_below : rl::test_suite<made_below, 2> {
    context_world w;

    void before()
    {
        w.begin(2, 0);
        w.make(0, NULL, false);
        w.make(1, &w.context[0], false);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            link_to_parent(&w.context[1]);
        else
            w.cancel(0);
        world.leave();
    }
    void after()
    {
        RL_ASSERT(sk_load_rlx(&w.context[1].scope.ended) != 0 && w.context[1].cause == -EPIPE);
        RL_ASSERT(!w.context[0].children && w.freed[0] == 0 && w.freed[1] == 0);
        w.end();
    }
};

/* The last user gives a child up while its parent is cancelled, or while that is given up as well. */
template <bool cancelled> struct given_up : rl::test_suite<given_up<cancelled>, 2> {
    context_world w;

    void before()
    {
        w.begin(2, 0);
        w.make(0, NULL, false);
        w.make(1, &w.context[0], true);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            RL_ASSERT(skua_context_release(&w.context[1]) == 0);
        else if (cancelled)
            w.cancel(0);
        else if (w.memory[0]($) == 0) /* it is there */
            RL_ASSERT(skua_context_release(&w.context[0]) == 0);
        world.leave();
    }
    void after()
    {
        RL_ASSERT(w.freed[1] == 1 && w.freed[0] == (cancelled ? 0 : 1));
        RL_ASSERT(!w.context[0].children);
        w.end();
    }
};

typedef parks<false, false> parks_here;
typedef parks<true, false> parks_below;
typedef parks<true, true> parks_twice;
typedef sleeps<false> sleeps_on;
typedef sleeps<true> sleeps_given;
typedef nested<false> nested_after;
typedef nested<true> nested_inside;
typedef given_up<true> given_up_cancelled;
typedef given_up<false> given_up_both;
static const sk_model models[] = {
    SK_EXPLORE(parks_here, "context-park", 1),
    SK_EXPLORE(parks_below, "context-park-below", 1),
    SK_EXPLORE(parks_twice, "context-park-twice", 1),
    SK_EXPLORE(sleeps_on, "context-sleep", 1),
    SK_EXPLORE(sleeps_given, "context-sleep-given", 0),
    SK_EXPLORE(leaves, "context-leave", 1),
    SK_EXPLORE(nested_after, "context-nested", 1),
    SK_EXPLORE(nested_inside, "context-nested-ended", 1),
    SK_EXPLORE(looks, "context-look", 3),
    SK_EXPLORE(made_below, "context-made-below", 3),
    SK_EXPLORE(given_up_cancelled, "context-given-up", 2),
    SK_EXPLORE(given_up_both, "context-given-up-both", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
