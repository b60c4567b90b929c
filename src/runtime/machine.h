/*
 * machine.h: threads (M) and the workers they carry; growing and shrinking.
 *
 * A controller (the creator of the runtime, then its monitor) makes workers and
 * threads and puts them together.  Only the controller calls the functions that
 * say so.
 */
#ifndef SK_RUNTIME_MACHINE_H
#define SK_RUNTIME_MACHINE_H

#include "runtime/worker.h"

/* The body of a worker-carrying thread. */
void sk_machine_main(void *local);

/* Owner, in its loop: this thread gives up its worker (retired, or the end). Returns when the stack serves again. */
sk_worker *sk_machine_leave(sk_worker *w);

/* Task's runner, whose worker was taken in a blocking call: puts the task in the inbox and gives the thread up.
   Returns on whichever worker resumes the task. */
void sk_machine_strand(sk_local *local, sk_task *t, sk_fiber *fiber);

/* Controller: one worker more, a vacant one or a new one. 0, -ENOMEM, -EAGAIN (no thread), -ENOSPC. */
int sk_grow(skua_runtime *rt);

/* Controller: tells the newest worker to retire; it leaves the table later, see sk_settle_retired. */
bool sk_shrink(skua_runtime *rt);

/* Controller: takes workers that have retired out of the table. */
void sk_settle_retired(skua_runtime *rt);

/* A thread that is ready to carry a worker, and the stack it will begin on. */
typedef struct sk_recruit {
    sk_local *local;
    sk_fiber *loop;
} sk_recruit;

/* Controller: finds or starts a thread; 0, -ENOMEM, -EAGAIN. Then exactly one of assign and dismiss. */
int sk_recruit_get(skua_runtime *rt, sk_recruit *recruit);
void sk_recruit_assign(const sk_recruit *recruit, sk_worker *w);
void sk_recruit_dismiss(skua_runtime *rt, const sk_recruit *recruit);

/* Controller: ends spare threads beyond `keep`. */
void sk_trim_spares(skua_runtime *rt, uint32_t keep);

/* Controller: takes a worker that was lent with this word of `carry`. False: its thread has come back. */
bool sk_blocking_take(sk_worker *w, uint64_t lent);

/* How many workers are there to carry out tasks, those told to retire not counted. */
uint32_t sk_active_workers(skua_runtime *rt);

/* Controller, at the very end: frees tables and workers. */
void sk_workers_free(skua_runtime *rt);

/* Controller: frees deque buffers that no thief can hold any more. */
void sk_reclaim(skua_runtime *rt);

#endif
