/*
 * giveup.h: giving up, as pools know it: records of faults, and calls that are
 * made on behalf of a task which has no stack of its own.
 *
 * A pool may have its submitter run a task (SKUA_FULL_RUN): a plain call on the
 * submitter's stack, be it a task or a foreign thread.  When that call gives up,
 * it alone must end.  sk_call_caught leaves a mark below it: in a task, a deferred
 * call of its own in the list of those of the running task; outside, in the
 * thread's record.  Who gives up makes the deferred calls down to the mark, and
 * jumps back there.
 */
#ifndef SK_RUNTIME_GIVEUP_H
#define SK_RUNTIME_GIVEUP_H

#include <setjmp.h>

#include "runtime/task.h"

/* One such call. The caller's memory, in a frame below it. */
typedef struct sk_catch {
    skua_deferred deferred; /* in a task: the mark */
    struct sk_catch *outer; /* outside: those that are under way on this thread */
    sk_task_owner *owner;   /* who is told of a fault; NULL: nobody */
    skua_fault *fault;      /* why the call gave up, the caller's from then on; NULL: it did not */
    skua_fault *before;     /* of the running task, which gives up itself */
    bool bracketed;         /* the call is made in a blocking call of the running task */
    uint32_t sections;      /* of the running task, in which it must not park */
    jmp_buf back;
} sk_catch;

/* fn(arg), with the calls that it defers; -EFAULT and c->fault when it gives up. Any thread that has a record; may park
   if fn does. */
int sk_call_caught(sk_catch *c, sk_task_owner *owner, skua_fn *fn, void *arg);

/* The innermost such call that is under way on the calling thread, or in its task; then the one around that; NULL. */
sk_catch *sk_catch_first(void);
sk_catch *sk_catch_around(const sk_catch *c);

/* ---- for extra.c ---- */

/* The task that runs on this thread, in a blocking call too: its runner is who calls. 0 or an error. */
int sk_own_task(sk_task **t);

/* Runner: fn(d) is called after all that the task has deferred, and may not be taken back. */
void sk_defer_last(sk_task *t, skua_deferred *d, skua_fn *fn);

/* ---- records of faults ---- */

/* A copy that somebody drops; never NULL: without memory it is a constant. */
skua_fault *sk_keep_fault(const skua_fault *fault);
void sk_drop_fault(skua_fault *fault);

/* Whether a task that the caller holds, or runs, has given up. */
static inline bool sk_has_fault(const sk_task *t)
{
    return t->fiber != SK_FIBER_NONE && sk_unlikely(t->fault != NULL);
}

/* What a joiner gets: the fault, or all zero. The caller owns the task, which has ended. */
void sk_copy_fault(const sk_task *t, skua_fault *out);

#endif
