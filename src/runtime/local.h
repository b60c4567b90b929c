/*
 * local.h: what skua keeps for each thread that uses it.
 *
 * A thread that carries a worker (one of our own, an "M") and a foreign thread
 * (one of the program's) both have one.  The records are type-stable: a waker
 * that comes late may still bump the word of a thread that is gone.
 *
 * Rule: a task may go on on another thread after any call that may park.  So
 * the address of a thread-local must never be kept across such a call, and the
 * compiler must not be able to keep it: sk_local_self is the only reader, it
 * is never inlined, and its address passes through an asm operand.
 */
#ifndef SK_RUNTIME_LOCAL_H
#define SK_RUNTIME_LOCAL_H

#include "base/atomic.h"
#include "base/base.h"
#include "fiber/fiber.h"
#include "fiber/overflow.h"
#include "mem/lazy_slab.h"
#include "mem/slab.h"
#include "os/thread.h"
#include "runtime/deadlock.h"
#include "runtime/task.h"

/* Objects of layer 4 of which each worker, and each foreign thread, keeps some at hand. */
enum { SK_CACHED_CHANS, SK_CACHED_TICKERS, SK_CACHED };

typedef struct sk_local sk_local;
struct sk_local {
    sk_worker *worker;               /* own: the worker it carries; NULL for a foreign thread and in a blocking call */
    sk_worker *lent;                 /* own: the worker it carried when its blocking call began */
    sk_task *blocked_task;           /* own: the task that is in the blocking call */
    uint64_t lent_ticket;            /* own: names that blocking call, see blocking.c */
    sk_fiber *fiber;                 /* own: the stack the blocking call stands on */
    void *catching;                  /* own, outside of tasks: calls under way that are caught, see giveup.h */
    sk_slab_cache tasks;             /* own: tasks for submissions from outside of a worker */
    sk_slab_cache jobs;              /* own: of src/pool/job.c, which sets it up; all zero before */
    sk_slab_cache cached[SK_CACHED]; /* own: see sk_cached_alloc; all zero before */

    /* The rest serves threads of ours, see machine.c. */
    skua_runtime *runtime;           /* I */
    sk_fiber base;                   /* own: the thread's own stack */
    sk_thread thread;                /* I: to join it */
    sk_overflow_thread overflow;     /* own: its alternate signal stack */
    sk_atomic(sk_worker *) assigned; /* monitor writes, own takes: the worker to carry next */
    sk_fiber *assigned_loop;         /* travels with `assigned` */
    sk_task *stranded;               /* own: the task whose worker was taken in a blocking call */
    sk_atomic(bool) leave;           /* monitor: end when you have nothing to carry */
    sk_inject_link spare_link;       /* link of the runtime's list of spare threads */
    sk_local *next;                  /* monitor: all threads of the runtime */

    /* Last: these go on from life to life, as others may come at any time. */
    sk_atomic(uint32_t) word;  /* anyone bumps it to make the thread look again */
    sk_atomic(uint32_t) claim; /* of the wait that it is in, see sync/sleeper.h */
    sk_asleep asleep;          /* own: see deadlock.h */
};

/* The calling thread's record, or NULL when it has none yet. */
sk_local *sk_local_self(void);

/* The calling thread's record, made when need be; NULL when memory is out. */
sk_local *sk_local_get(void);

/* For threads of ours: a record, and giving it back. */
sk_local *sk_local_new(void);
void sk_local_free(sk_local *local);
void sk_local_bind(sk_local *local);

/* Calls fn for every record there ever was, in use or free. Any thread. */
void sk_local_each(void (*fn)(sk_local *local, void *ctx), void *ctx);

/* An object of that kind from what the calling thread has at hand, and back there. NULL: no memory. Any thread. */
void *sk_cached_alloc(sk_lazy_slab *lazy, unsigned kind);
void sk_cached_free(sk_lazy_slab *lazy, unsigned kind, void *object);

/* The worker that the calling thread carries, or NULL. */
static inline sk_worker *sk_worker_self(void)
{
    sk_local *local = sk_local_self();
    return local ? local->worker : NULL;
}

/* Sets up what the whole process shares (slabs, fork watch, membarrier, overflow report). 0 or a negative errno. */
int sk_process_init(void);

#endif
