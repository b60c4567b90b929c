/*
 * idle.h: how workers go to sleep and how they are woken; the argument why no
 * wake-up is lost is in PARKING.md.
 */
#ifndef SK_RUNTIME_IDLE_H
#define SK_RUNTIME_IDLE_H

#include "runtime/worker.h"

/* After publishing work: wakes one sleeping worker unless one is looking already. Any thread; lock-free. */
void sk_notify(skua_runtime *rt);

/* Wakes a sleeping worker, token or not: the monitor's remedy when whoever took the token was stopped holding it. */
void sk_force_wake(skua_runtime *rt);

/* Makes this worker leave its sleep, if it sleeps, whatever there is to do. Any thread. */
void sk_ring(skua_runtime *rt, sk_worker *w);

/* Sleeps until notified, rung, or `deadline`. Returns at once when there is something to do; whether
   somebody woke it. Owner, in its loop. */
bool sk_idle(sk_worker *w, uint64_t deadline);

/* Counts this worker among the searchers; false when there are enough. Owner. */
bool sk_search_begin(sk_worker *w);

/* It has found work: stops counting, and wakes the next when there is more. Owner. */
void sk_search_found(sk_worker *w);

/* Whether any queue of the runtime holds a task now. */
bool sk_anything_queued(skua_runtime *rt);

/* Whether a worker sleeps, or is about to; a hint. Any thread. */
bool sk_anyone_idle(skua_runtime *rt);

/* Whether every worker of the table sleeps. For the monitor. */
bool sk_all_idle(skua_runtime *rt);
bool sk_is_idle(skua_runtime *rt, const sk_worker *w);

#endif
