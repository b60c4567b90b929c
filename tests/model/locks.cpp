/*
 * locks.cpp: Relacy models of the locks of src/sync that go by turn.h: the real
 * semaphore.c, waitgroup.c, rwlock.c, cond.c over mutex.c, barrier.c, once.c,
 * parking.c.
 *
 *   g++ -DSK_MODEL -Isrc -Iinclude -Itests -O1 -w tests/model/locks.cpp -o model-locks
 *
 * What is tried: who gets a lock is alone in it, or among readers, and sees what
 * those before did; who gives up, at the head of the queue too, leaves nobody
 * behind; whoever has been served may free the object at once.
 */
#include "model/stub_new.h"

#include "model/relacy.h"

#define SK_MUTEX_FIELD(T) sk_watched<T>
#define SK_MUTEX_FAIR_NS UINT64_C(1000000)

#include "model/stub_sync.h"

int skua_blocking_begin(void)
{
    return -EPERM;
}
int skua_blocking_end(void)
{
    return -EPERM;
}

#define happened mutex_happened
#include "sync/mutex.c"
#undef happened

#include "sync/turn.c"

#include <limits.h>

#include "runtime/giveup.h"

/* Each lock has names of its own for the same things. */
namespace semaphores
{
#include "sync/semaphore.c"
}
namespace waitgroups
{
#include "sync/waitgroup.c"
}
namespace rwlocks
{
#include "sync/rwlock.c"
}
namespace conds
{
#include "sync/cond.c"
}
namespace barriers
{
#include "sync/barrier.c"
}

/* No function gives up here. */
int skua_defer(skua_deferred *, skua_fn *, void *)
{
    return -EPERM;
}
int skua_defer_run(skua_deferred *)
{
    return -EPERM;
}
int sk_own_task(sk_task **)
{
    return -EPERM;
}
int sk_call_caught(sk_catch *, sk_task_owner *, skua_fn *, void *)
{
    return -EPERM;
}
sk_catch *sk_catch_first(void)
{
    return NULL;
}
void skua_panic_task_at(const char *, int, const char *, ...)
{
    sk_panic("gives up");
}
namespace onces
{
#include "sync/once.c"
}

#define buckets (*stub_buckets) /* those of a schedule; a pointer instead of a static array */
namespace parkings
{
#include "sync/parking.c"
}
#undef buckets

enum { SOON = 100 }; /* a timeout that passes at rest, and with world.early at any moment */

struct lock_world {
    stub_state s;
    int waiting;
    VAR_T(int) guarded;
    int inside;

    void begin(int threads, int waits);

    /* Alone in a lock. */
    void hold()
    {
        RL_ASSERT(inside++ == 0);
        guarded($) = (int)rl::ctx().threadx_->index_;
        inside--;
    }
    int done(int error)
    {
        waiting--;
        return error;
    }
};

static lock_world *here;

static void nobody_waits()
{
    RL_ASSERT(here->waiting == 0);
}

inline void lock_world::begin(int threads, int waits)
{
    world.begin(threads, nobody_waits);
    here = this;
    waiting = waits;
    inside = 0;
    guarded($) = 0;
    s.begin();
}

/* ---- semaphore ---- */

struct semaphore_world : lock_world {
    stub_object<semaphores::semaphore> o;

    void begin(int threads, int waits, uint64_t permits, uint64_t maximum)
    {
        lock_world::begin(threads, waits);
        o.make();
        sk_store_rlx(&o->lock.word, 0u);
        sk_store_rlx(&o->permits, permits);
        o->maximum = maximum;
        stub_clear(&o->waiters);
    }
    semaphores::skua_semaphore *it()
    {
        return (semaphores::skua_semaphore *)(void *)o.bytes;
    }
    int acquire(uint64_t n, uint64_t timeout)
    {
        /* Not through the public call: that reads the maximum where the public header has it. */
        if (semaphores::attempt(o.operator->(), n)) return done(0);
        return done(semaphores::wait_for(o.operator->(), n, sk_deadline_of(timeout)));
    }
    void release(uint64_t n)
    {
        RL_ASSERT(semaphores::skua_semaphore_release(it(), n) == 0);
    }
    void end(uint64_t permits)
    {
        if (o.lives) RL_ASSERT(sk_load_rlx(&o->permits) == permits && !sk_waiters_first(&o->waiters));
        o.clear();
    }
};

/* A mutex of one permit. */
struct semaphore_alone : rl::test_suite<semaphore_alone, 3> {
    semaphore_world w;

    void before()
    {
        w.begin(3, 3, 1, 1);
    }
    void thread(unsigned)
    {
        RL_ASSERT(w.acquire(1, SKUA_FOREVER) == 0);
        w.hold();
        w.release(1);
        world.leave();
    }
    void after()
    {
        w.end(1);
    }
};

/* Who wants two stands before who wants one, and gives up, or comes later: the one permit is the other's. */
struct semaphore_head : rl::test_suite<semaphore_head, 3> {
    semaphore_world w;

    void before()
    {
        w.begin(3, 2, 0, 2);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0)
            RL_ASSERT(w.acquire(2, SOON) == -ETIMEDOUT);
        else if (index == 1)
            RL_ASSERT(w.acquire(1, SKUA_FOREVER) == 0);
        else
            w.release(1);
        world.leave();
    }
    void after()
    {
        w.end(0);
    }
};

/* A task waits for a permit, and is cancelled: the permit is its own, or stays. */
struct semaphore_cancelled : rl::test_suite<semaphore_cancelled, 4> {
    semaphore_world w;
    int error;

    void before()
    {
        w.begin(4, 1, 0, 2);
        w.s.run(0, false);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_as_task(&w.s, 0);
            error = w.acquire(1, SKUA_FOREVER);
            RL_ASSERT(error == 0 || error == -ECANCELED);
            stub_done(0);
        } else if (index == 1) {
            stub_loop(0);
        } else if (index == 2) {
            w.release(1);
        } else {
            stub_cancel(&w.s, 0);
        }
        world.leave();
    }
    void after()
    {
        w.end(error ? 1 : 0);
    }
};

/* Who gets the permit frees the semaphore. */
struct semaphore_freed : rl::test_suite<semaphore_freed, 2> {
    semaphore_world w;

    void before()
    {
        w.begin(2, 1, 0, 1);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            RL_ASSERT(w.acquire(1, SKUA_FOREVER) == 0);
            w.o.free_it();
        } else {
            w.guarded($) = 1;
            w.release(1);
        }
        world.leave();
    }
    void after()
    {
        w.end(0);
    }
};

/* ---- wait group ---- */

/* Those who are waited for count down; the one who waits sees what they did, and frees the group. `late`: he may give
   up, and then leaves it alone. */
template <bool late> struct group_waits : rl::test_suite<group_waits<late>, 3> {
    lock_world w;
    stub_object<waitgroups::sk_waitgroup> o;
    VAR_T(int) work[2];

    void before()
    {
        w.begin(3, 1);
        o.make();
        sk_store_rlx(&o->lock.word, 0u);
        sk_store_rlx(&o->count, UINT64_C(2));
        stub_clear(&o->waiters);
        work[0]($) = work[1]($) = 0;
        world.early = late;
    }
    void thread(unsigned index)
    {
        waitgroups::skua_waitgroup *group = (waitgroups::skua_waitgroup *)(void *)o.bytes;
        if (index < 2) {
            work[index]($) = 1;
            RL_ASSERT(waitgroups::skua_waitgroup_done(group) == 0);
        } else {
            int error = w.done(waitgroups::skua_waitgroup_wait_for(group, late ? (uint64_t)SOON : SKUA_FOREVER));
            RL_ASSERT(error == 0 || (late && error == -ETIMEDOUT));
            if (!error) {
                RL_ASSERT(work[0]($) + work[1]($) == 2);
                o.free_it();
            }
        }
        world.leave();
    }
    void after()
    {
        if (o.lives) RL_ASSERT(late && sk_load_rlx(&o->count) == 0 && !sk_waiters_first(&o->waiters));
        o.clear();
    }
};

/* ---- rwlock ---- */

struct rwlock_world : lock_world {
    stub_object<rwlocks::rwlock> o;

    void begin(int threads, int waits)
    {
        lock_world::begin(threads, waits);
        o.make();
        sk_store_rlx(&o->lock.word, 0u);
        o->held = 0;
        stub_clear(&o->readers);
        stub_clear(&o->writers);
    }
    rwlocks::skua_rwlock *it()
    {
        return (rwlocks::skua_rwlock *)(void *)o.bytes;
    }
    void write(uint64_t timeout, int expected)
    {
        int error = done(rwlocks::skua_rwlock_write_lock_for(it(), timeout));
        RL_ASSERT(error == 0 || error == expected);
        if (error) return;
        hold();
        RL_ASSERT(rwlocks::skua_rwlock_write_unlock(it()) == 0);
    }
    void read()
    {
        RL_ASSERT(done(rwlocks::skua_rwlock_read_lock(it())) == 0);
        int seen = guarded($);
        (void)seen;
        RL_ASSERT(rwlocks::skua_rwlock_read_unlock(it()) == 0);
    }
    void end()
    {
        RL_ASSERT(o->held == 0 && !sk_waiters_first(&o->readers) && !sk_waiters_first(&o->writers));
        o.clear();
    }
};

/* So many write, the others read. */
template <int writers> struct rwlock_mixed : rl::test_suite<rwlock_mixed<writers>, 3> {
    rwlock_world w;

    void before()
    {
        w.begin(3, 3);
    }
    void thread(unsigned index)
    {
        if (index < writers)
            w.write(SKUA_FOREVER, 0);
        else
            w.read();
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* A writer waits for a reader, and a reader behind it; the first reader stays until the second has read: so the writer
   has to give up, and lets it in. */
struct rwlock_late_writer : rl::test_suite<rwlock_late_writer, 3> {
    rwlock_world w;
    sk_atomic(uint32_t) have_read;

    void before()
    {
        w.begin(3, 2);
        sk_store_rlx(&have_read, 0u);
        RL_ASSERT(rwlocks::skua_rwlock_read_lock(w.it()) == 0);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            stub_wait(&have_read, 0);
            RL_ASSERT(rwlocks::skua_rwlock_read_unlock(w.it()) == 0);
        } else if (index == 1) {
            w.write(SOON, -ETIMEDOUT);
        } else {
            w.read();
            sk_store_rel(&have_read, 1u);
            sk_futex_wake(&have_read, 1);
        }
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* ---- cond ---- */

enum { NODES = 4 };

struct cond_world : lock_world {
    stub_object<conds::cond> o;
    sk_mutex m;
    sk_mutex_node node[NODES];
    sk_watched<int> tokens; /* the mutex */

    void begin(int threads, int waits)
    {
        lock_world::begin(threads, waits);
        o.make();
        sk_store_rlx(&o->lock.word, 0u);
        stub_clear(&o->waiters);
        sk_store_rlx(&m.word, UINT64_C(0));
        m.first = NULL;
        m.last = NULL;
        nodes.slab.free = 0;
        for (int i = 0; i < NODES; i++) {
            sk_store_rlx(&node[i].word, 0u);
            nodes.slab.place[nodes.slab.free++] = &node[i];
        }
        tokens = 0;
    }
    conds::skua_cond *it()
    {
        return (conds::skua_cond *)(void *)o.bytes;
    }
    int take(uint64_t timeout)
    {
        int error = 0;
        RL_ASSERT(sk_mutex_lock(&m, SK_NEVER) == 0);
        while (tokens == 0 && !error) error = conds::skua_cond_wait_for(it(), (skua_mutex *)(void *)&m, timeout);
        if (tokens > 0) {
            --tokens;
            error = 0;
        }
        RL_ASSERT(sk_mutex_unlock(&m) == 0);
        return done(error);
    }
    void give(bool all)
    {
        RL_ASSERT(sk_mutex_lock(&m, SK_NEVER) == 0);
        tokens = tokens + (all ? 2 : 1);
        RL_ASSERT(sk_mutex_unlock(&m) == 0);
        RL_ASSERT((all ? conds::skua_cond_broadcast(it()) : conds::skua_cond_signal(it())) == 0);
    }
    void end()
    {
        RL_ASSERT(sk_mutex_is_at_rest(&m) && nodes.slab.free == NODES);
        RL_ASSERT(!sk_waiters_first(&o->waiters));
        o.clear();
    }
};

/* One waits, one signals. */
struct cond_signal : rl::test_suite<cond_signal, 2> {
    cond_world w;

    void before()
    {
        w.begin(2, 1);
    }
    void thread(unsigned index)
    {
        if (index == 0)
            RL_ASSERT(w.take(SKUA_FOREVER) == 0);
        else
            w.give(false);
        world.leave();
    }
    void after()
    {
        w.end();
    }
};

/* Two wait, one of whom may be late; two signals, or one for all. */
template <bool all> struct cond_late : rl::test_suite<cond_late<all>, 3> {
    cond_world w;
    int error;

    void before()
    {
        w.begin(3, 2);
        world.early = 1;
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            error = w.take(SOON);
            RL_ASSERT(error == 0 || error == -ETIMEDOUT);
        } else if (index == 1) {
            RL_ASSERT(w.take(SKUA_FOREVER) == 0);
        } else {
            w.give(all);
            if (!all) w.give(false);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(w.tokens == (error ? 1 : 0));
        w.end();
    }
};

/* ---- barrier ---- */

/* Two meet, and see what each other did before. `late`: the first may give up, which breaks the barrier. */
template <bool late> struct barrier_meets : rl::test_suite<barrier_meets<late>, 2> {
    lock_world w;
    stub_object<barriers::barrier> o;
    VAR_T(int) work[2];
    int error[2];

    void before()
    {
        w.begin(2, 2);
        o.make();
        sk_store_rlx(&o->lock.word, 0u);
        sk_store_rlx(&o->broken, 0u);
        o->parties = 2;
        o->come = 0;
        stub_clear(&o->waiters);
        work[0]($) = work[1]($) = 0;
        world.early = late;
    }
    void thread(unsigned index)
    {
        work[index]($) = 1;
        uint64_t timeout = late && index == 0 ? (uint64_t)SOON : SKUA_FOREVER;
        error[index] = w.done(barriers::wait_for(o.operator->(), timeout));
        if (error[index] >= 0) RL_ASSERT(work[0]($) + work[1]($) == 2);
        world.leave();
    }
    void after()
    {
        if (error[0] >= 0)
            RL_ASSERT(error[0] + error[1] == 1); /* one of them was the last to come */
        else
            RL_ASSERT(late && error[0] == -ETIMEDOUT && error[1] == -EPIPE);
        RL_ASSERT(!sk_waiters_first(&o->waiters));
        o.clear();
    }
};

/* ---- once ---- */

/* Those who come see what the one has done who was the first. */
struct once_runs : rl::test_suite<once_runs, 3> {
    lock_world w;
    stub_object<onces::once> o;
    VAR_T(int) work;
    int runs;

    void before()
    {
        w.begin(3, 3);
        o.make();
        sk_store_rlx(&o->lock.word, 0u);
        sk_store_rlx(&o->state, 0u);
        o->runner = NULL;
        stub_clear(&o->waiters);
        work($) = runs = 0;
    }
    static int run(void *arg)
    {
        once_runs *self = (once_runs *)arg;
        self->runs++;
        self->work($) = 1;
        return 7;
    }
    void thread(unsigned)
    {
        RL_ASSERT(w.done(onces::skua_once_do((onces::skua_once *)(void *)o.bytes, run, this)) == 7);
        RL_ASSERT(work($) == 1);
        world.leave();
    }
    void after()
    {
        RL_ASSERT(runs == 1 && !sk_waiters_first(&o->waiters));
        o.clear();
    }
};

/* ---- the parking map ---- */

struct map_world : lock_world {
    stub_object<parkings::bucket> bucket;
    sk_atomic(uint32_t) word;

    void begin(int threads, int waits)
    {
        lock_world::begin(threads, waits);
        sk_store_rlx(&word, 0u);
        bucket.make();
        sk_store_rlx(&bucket->lock.word, 0u);
        stub_clear(&bucket->waiters);
        /* All words that a model parks on are in the one bucket there is. */
        parkings::stub_buckets = NULL;
        size_t index = parkings::bucket_of(&word) - (parkings::bucket *)NULL;
        parkings::stub_buckets =
            (parkings::bucket(*)[1 << parkings::BUCKETS_LOG2])(void *)(bucket.operator->() - index);
    }
    void end()
    {
        RL_ASSERT(!sk_waiters_first(&bucket->waiters));
        bucket.clear();
    }
};

/* One or two wait until the word has changed; the first may be late. */
template <int waiters, bool late> struct map_parks : rl::test_suite<map_parks<waiters, late>, waiters + 1> {
    map_world w;
    int woken, served;

    void before()
    {
        w.begin(waiters + 1, waiters);
        world.early = late;
        served = 0;
    }
    void thread(unsigned index)
    {
        if (index == waiters) {
            sk_store_rlx(&w.word, 1u);
            woken = parkings::skua_unpark_on(&w.word, waiters);
        } else {
            int error = parkings::skua_park_on(&w.word, 0, late && index == 0 ? (uint64_t)SOON : SKUA_FOREVER);
            RL_ASSERT(error == 0 || error == -EAGAIN || (late && index == 0 && error == -ETIMEDOUT));
            if (error == 0) served++;
            w.done(0);
        }
        world.leave();
    }
    void after()
    {
        RL_ASSERT(woken == served);
        w.end();
    }
};

typedef group_waits<false> group_freed;
typedef group_waits<true> group_late;
typedef rwlock_mixed<1> rwlock_readers;
typedef rwlock_mixed<2> rwlock_writers;
typedef cond_late<false> cond_late_signal;
typedef cond_late<true> cond_late_broadcast;
typedef barrier_meets<false> barrier_alone;
typedef barrier_meets<true> barrier_late;
typedef map_parks<1, true> map_late;
typedef map_parks<2, true> map_two;
static const sk_model models[] = {
    SK_EXPLORE(semaphore_alone, "semaphore-alone", 2),
    SK_EXPLORE(semaphore_head, "semaphore-head", 1),
    SK_EXPLORE(semaphore_cancelled, "semaphore-cancelled", 1),
    SK_EXPLORE(semaphore_freed, "semaphore-free", 3),
    SK_EXPLORE(group_freed, "waitgroup-free", 2),
    SK_EXPLORE(group_late, "waitgroup-late", 2),
    SK_EXPLORE(rwlock_readers, "rwlock-readers", 2),
    SK_EXPLORE(rwlock_writers, "rwlock-writers", 2),
    SK_EXPLORE(rwlock_late_writer, "rwlock-late-writer", 2),
    SK_EXPLORE(cond_signal, "cond-signal", 2),
    SK_EXPLORE(cond_late_signal, "cond-late", 1),
    SK_EXPLORE(cond_late_broadcast, "cond-late-broadcast", 1),
    SK_EXPLORE(barrier_alone, "barrier-alone", 2),
    SK_EXPLORE(barrier_late, "barrier-late", 2),
    SK_EXPLORE(once_runs, "once-three", 1),
    SK_EXPLORE(map_late, "parking-late", 3),
    SK_EXPLORE(map_two, "parking-two", 2),
};

int main(int argc, char **argv)
{
    sk_model_main(argc, argv, models, sk_array_len(models));
}
