/*
 * task.h: the task object.
 *
 * 256 bytes in process-wide, type-stable slabs, of which a task that neither
 * parks nor is joined touches the first cache line only.  Who may touch a field
 * is written beside it; "holder" is whoever has the task in hand alone (creator,
 * queue's taker, runner).
 */
#ifndef SK_RUNTIME_TASK_H
#define SK_RUNTIME_TASK_H

#include "base/base.h"
#include "deque/inject.h"
#include "fiber/fiber.h"
#include "mem/slab.h"
#include "runtime/task_join.h"
#include "runtime/task_state.h"
#include "skua/fault.h"
#include "skua/task.h"
#include "timer/timers.h"

typedef struct sk_task sk_task;
typedef struct sk_worker sk_worker;
typedef struct sk_extra sk_extra; /* see extra.h */
typedef struct sk_wait sk_wait;   /* see sched.h */

/* The one state in which each task ends. */
typedef enum sk_end { SK_DONE, SK_FAILED, SK_CANCELLED, SK_LATE_END, SK_DROPPED, SK_ENDS } sk_end;

typedef struct sk_task_owner sk_task_owner;

/* Told of each end, once, by the thread that ended it. Returns a task to start next on this worker, or NULL. The task
   is whole still; its result is what a joiner gets. */
typedef sk_task *sk_owner_told(sk_task_owner *owner, sk_worker *w, sk_task *t, sk_end end, int result);

/* Whom a task belongs to: its runtime, or a pool on that runtime. The first two are atomic because whoever looks at all
   tasks there are (a stopping runtime, a sweep of a pool) may follow the task of an earlier life to an owner that is
   just being made for its next: it reads something old or new, and then fails, for that task has ended. */
struct sk_task_owner {
    sk_atomic(skua_runtime *) runtime; /* I */
    sk_atomic(sk_owner_told *) ended;  /* I; NULL: nobody is told */
    /* NULL, or told of each task that gives up, by the task itself, before its deferred calls and its end; may park.
       False: the choice of the process (skua_on_fault) is asked next. */
    bool (*faulted)(struct sk_task_owner *owner, const skua_fault *fault);
    /* NULL, or the function that such a task was made for, when `fn` is one of the library's. Of one that is parked. */
    skua_fn *(*fn_of)(const struct sk_task *t);
};

static inline skua_runtime *sk_owner_runtime(const sk_task_owner *owner)
{
    return sk_load_rlx((sk_atomic(skua_runtime *) *)&owner->runtime);
}

static inline sk_owner_told *sk_owner_ended(const sk_task_owner *owner)
{
    return sk_load_rlx((sk_atomic(sk_owner_told *) *)&owner->ended);
}

/* Of an owner that is being made; the rest is its maker's. */
static inline void sk_owner_init(sk_task_owner *owner, skua_runtime *rt, sk_owner_told *ended)
{
    sk_store_rlx(&owner->runtime, rt);
    sk_store_rlx(&owner->ended, ended);
}

/* Something that a worker does between tasks, on behalf of a pool: a task object without a function whose argument is
   this. It must not park; it is not counted, and never ends: whoever made it sees that it is queued at most once. */
typedef struct sk_chore {
    void (*run)(struct sk_chore *chore, sk_worker *w); /* w: NULL on the monitor */
    sk_inject_link link;                               /* of the monitor's list, see sk_monitor_owe */
} sk_chore;

/* What `fiber` says of a task that is not parked: nothing special, or look at the second line before the start. */
#define SK_FIBER_NONE ((sk_fiber *)NULL)
#define SK_FIBER_SPECIAL ((sk_fiber *)(uintptr_t)1)

/* Whether the runner looks at the clock: not at all, at the end, or wherever a mark would be seen, as no timer stands.
 */
typedef enum sk_limit { SK_LIMIT_NONE, SK_LIMIT_ARMED, SK_LIMIT_UNARMED } sk_limit;

struct sk_task {
    /* --- first line: all that a task which neither parks nor is joined needs --- */
    SK_LINE_ALIGNED sk_task_state state; /* anyone, see task_state.h */
    sk_join join;                        /* anyone, see task_join.h */
    sk_inject_link link;                 /* holder: link of inboxes and of the slab's free list */
    skua_fn *fn;                         /* I: from birth to end; a context's task: the runner, once */
    void *arg;                           /* I */
    sk_fiber *fiber;                     /* holder: the stack it is parked on, or one of the above */
    sk_atomic(sk_task_owner *) owner;    /* I: atomic because a stopping runtime looks at all tasks, see shutdown.c */
    /* --- second line: parking and joining --- */
    sk_timer_slot sleep; /* runner and the wheel it is armed in: the timeout of a park, or the delay of the start */
    int result;          /* ender writes; joiner reads after ENDED */
    uint8_t stack_class; /* I: SPECIAL only */
    uint8_t refused;     /* runner: the last park did not happen, see park.c */
    bool written;        /* runner, joining: it has been written down in the join word of another */
    uint8_t limit : 2;   /* runner: an sk_limit, of `finish_by`, see expiry.c; SK_LIMIT_NONE in free memory */
    uint8_t guarded : 1; /* runner: `extra` is to be looked at before a park; false in free memory */
    /* --- third and fourth line: deadlines --- */
    SK_LINE_ALIGNED sk_timer_slot deadline; /* runner and its wheel: SPECIAL only */
    sk_atomic(uint64_t) join_generation;    /* runner, joining: the generation to wake it in */
    uint64_t start_by, finish_by;           /* holder: SPECIAL only; on the monotonic clock; 0: none */
    bool timed;                             /* holder: the deadline slot has been used in this life */
    sk_atomic(uint32_t) claim;              /* of the wait that it is in, see sync/sleeper.h */
    uint64_t due;                           /* I: SPECIAL only: what its pool orders by; 0: the earlier of the two */
    /* --- rest of the fourth line: giving up, see giveup.c; all NULL in free memory, and looked at only when `fiber`
       is not NONE, as `timed` --- */
    skua_deferred *deferred; /* runner: the calls to make at the end, the latest first */
    skua_fault *fault;       /* runner; who releases or joins it reads after ENDED: why it gave up */
    /* --- as these: what only some tasks have --- */
    sk_extra *extra;                  /* runner, see extra.h */
    sk_atomic(const sk_wait *) waits; /* runner writes: what it is parked for, on its own stack; NULL else */
};

static inline sk_task_owner *sk_task_owner_of(const sk_task *t)
{
    return sk_load_rlx((sk_atomic(sk_task_owner *) *)&t->owner);
}

static inline skua_runtime *sk_task_runtime(const sk_task *t)
{
    return sk_owner_runtime(sk_task_owner_of(t));
}

/* Whether its deadline slot may be armed. Its holder. */
static inline bool sk_task_is_timed(const sk_task *t)
{
    return t->fiber != SK_FIBER_NONE && t->timed;
}

/* Its limit, if the runner is to look at the clock. Its runner. */
static inline sk_limit sk_task_limit_of(const sk_task *t)
{
    return sk_likely(t->fiber == SK_FIBER_NONE) ? SK_LIMIT_NONE : (sk_limit)t->limit;
}

#ifndef SK_MODEL
_Static_assert(sizeof(sk_task) == 4 * SK_CACHE_LINE, "four lines");
#endif

/* The process-wide slab of tasks. */
extern sk_slab sk_tasks;

static inline sk_task *sk_task_of_link(sk_inject_link *link)
{
    return sk_container_of(link, sk_task, link);
}

#endif
