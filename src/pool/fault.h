/* fault.h: what a pool knows of tasks of it that gave up; fault.c. */
#ifndef SK_POOL_FAULT_H
#define SK_POOL_FAULT_H

#include "pool/pool.h"

/* The pool's owner record: see sk_task_owner. */
bool sk_pool_faulted(sk_task_owner *owner, const skua_fault *fault);

/* A task of the pool, or a call on behalf of one, gives up: tells whom the pools have chosen; false: they have chosen
   nobody. is_final: it is kept for who waits, too. May park. */
bool sk_pool_tell_fault(skua_pool *pool, const skua_fault *fault, bool is_final);

/* Kept for whoever waits, here and above, unless there is one already. Before the task's slot is given back. */
void sk_pool_keep_fault(skua_pool *pool, const skua_fault *fault);

/* A wait comes back: -EFAULT if it is to report a fault, else 0. */
int sk_pool_give_fault(skua_pool *pool);

#endif
