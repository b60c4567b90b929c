/*
 * stub_sync.h: what the models of src/sync stand on: the real park.c, os/lock.h
 * and sync/sleeper.c, over tasks of stub_tasks.h; and objects that can be freed.
 *
 * Who waits for a short lock sleeps: no schedule is spent on looking again and again.
 *
 * Include it after relacy.h and stub_new.h.
 */
#ifndef SK_TEST_MODEL_STUB_SYNC_H
#define SK_TEST_MODEL_STUB_SYNC_H

#ifndef STUB_WORKERS
#define STUB_WORKERS 8
#endif

#include "model/stub_world.h"

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
#ifdef STUB_OWN_ENTER
static bool released; /* the runtime, for who is no part of it */
#else
static const bool released = false;
#endif
bool sk_runtime_enter(skua_runtime *)
{
    return !released;
}
void sk_runtime_exit(skua_runtime *)
{
}
void sk_wake_joiner(sk_worker *, uint64_t)
{
}

#include "runtime/park.c"

/* What park.c needs of these. */
#include "runtime/end.c"

#include "runtime/expiry.c"

/* ---- os/lock.c ---- */

#include "os/lock.h"

/* Sleeps until it has been dropped, instead of looking again and again: so there are fewer schedules. */
void sk_lock_take_slow(sk_lock *lock)
{
    while (!sk_lock_try(lock))
        if (sk_futex_wait(&lock->word, 1, SK_NEVER) == -ETIMEDOUT) sk_lock_give_way(0);
}

/* The real one; then nobody sleeps any more. Its memory is not touched after that, as may be gone. */
static void stub_lock_drop(sk_lock *lock)
{
    sk_lock_drop(lock);
    for (int i = 0; i < SK_MODEL_THREADS; i++)
        if (world.thread[i].asleep && world.thread[i].word == &lock->word) world.awake(i, 0);
}
#define sk_lock_drop stub_lock_drop

#include "sync/sleeper.c"

/* ---- objects ---- */

/* Memory of one object, which somebody frees: whoever touches an atomic of it after that is reported by Relacy. */
template <typename T> struct stub_object {
    alignas(64) char bytes[sizeof(T)];
    bool lives;

    stub_object() : lives(false)
    {
    }
    T *operator->()
    {
        return (T *)(void *)bytes;
    }
    T *make()
    {
        memset(bytes, 0, sizeof bytes);
        stub_construct<T>(bytes);
        lives = true;
        return (T *)(void *)bytes;
    }
    void free_it()
    {
        RL_ASSERT(lives);
        lives = false;
        (*this)->~T();
        memset(bytes, 0xaa, sizeof bytes);
    }
    /* Last thing in after(). */
    void clear()
    {
        if (lives) free_it();
    }
};

static void stub_clear(sk_waiters *q)
{
    sk_store_rlx(&q->first, (sk_waiter *)NULL);
    q->last = NULL;
}

/* The calling thread is this task now, whose loop is another thread. */
static void stub_as_task(stub_state *s, int task)
{
    sk_local_self()->worker = s->next_worker(&s->tasks[task]);
}

/* Somebody cancels this task, or its deadline passes. */
static void stub_cancel(stub_state *s, int task)
{
    sk_task *t = &s->tasks[task];
    if (sk_state_hit(&t->state, 1, SK_CANCEL, SK_WHY_CANCEL, 0) == SK_HIT_WOKEN) sk_ready(NULL, t);
}

#endif
