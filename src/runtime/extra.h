/*
 * extra.h: what only some tasks have: a context, values of their own, sections
 * in which they must not park.
 *
 * It is made when a task first asks for any of these, and goes with the task: its
 * own deferred call stands below all that the task has deferred, and is the last.
 *
 * A scope is what the scheduler knows of a context (src/sync/context.c).  A task
 * that stands in one does not park once it has ended, and is woken when it ends:
 *
 *   parker      PARKED [TS-R2], then looks at the scope [PK-A1]
 *   who ends it ended [CX-R1], then looks at the state word [PK-A2]
 *
 * all sequentially consistent, so that one of the two sees the other; see park.c.
 * Unlike a cancel this leaves no mark on the task: when it leaves the scope, or
 * stands in one that has not ended, it parks as ever.
 */
#ifndef SK_RUNTIME_EXTRA_H
#define SK_RUNTIME_EXTRA_H

#include "base/atomic.h"
#include "runtime/task.h"

/* In type-stable memory: a parked task's commit may look at it when it is gone. */
typedef struct sk_scope {
    sk_atomic(uint32_t) ended; /* 0; else 1 + the sk_why of parks in it: SK_WHY_CANCEL or SK_WHY_EXPIRED */
} sk_scope;

/* A value of the task's own that is to be destroyed. */
typedef struct sk_local_due {
    void (*destroy)(void *value);
    void *value;
} sk_local_due;

/* All of it is the runner's. */
struct sk_extra {
    skua_deferred last; /* first: the call that ends it */
    sk_scope *scope;    /* the one the task stands in; NULL: none */
    void *context;      /* of src/sync/context_task.c: the innermost stay */
    void *locals;       /* of src/sync/local.c */
    /* At the end: leaves those that are still entered. */
    void (*leave_contexts)(sk_extra *extra);
    /* At the end: takes out the next value that is to be destroyed; false: nothing is left, not even the table. */
    bool (*next_local)(sk_extra *extra, sk_local_due *due);
    uint32_t nopark; /* sections that are open */
    int nopark_line; /* of the outermost: where it began */
    const char *nopark_file;
    bool lent; /* the memory is not our own, see sk_extra_lend */
};

/* The running task's, made when need be; or an error: -EPERM outside of a task, -ENOMEM, -ECHILD. */
int sk_extra_get(sk_extra **out);

/* The running task, which has begun just now, has this memory for it: it cannot fail. The memory is the lender's again
   when the task has ended. */
void sk_extra_lend(sk_extra *extra);

/* The running task's; NULL: it has none, or there is no task. */
sk_extra *sk_extra_look(void);

/* Runner, after a change of what is to be looked at before a park: scope or nopark. */
void sk_extra_guard(void);

/* Of a guarded task: whether the scope it stands in has ended: 0, or the sk_why. */
int sk_extra_ended(const sk_extra *extra);

/* The same before a park, which must not happen in a section that forbids it. */
int sk_extra_may_park(const sk_extra *extra);

/* The running task is about to leave its thread without a park (`does` says how): builds with debug_checks panic if it
   is in a section that forbids it. */
#ifdef SK_DEBUG
void sk_extra_leaves(const sk_task *t, const char *does);

/* Such sections of the running task that are open; only so many are open from here on, as before a call. */
uint32_t sk_extra_sections(void);
void sk_extra_end_sections(uint32_t but);
#else
static inline void sk_extra_leaves(const sk_task *t, const char *does)
{
    (void)t, (void)does;
}
static inline uint32_t sk_extra_sections(void)
{
    return 0;
}
static inline void sk_extra_end_sections(uint32_t but)
{
    (void)but;
}
#endif

/* Ends the park that the task is in, if it is in one: a task that cannot end meanwhile. True: the caller has it in
   hand now, and must make it ready. Any thread. */
bool sk_task_interrupt(sk_task *t, sk_why why);

#endif
