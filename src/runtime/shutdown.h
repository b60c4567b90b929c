/*
 * shutdown.h: how a runtime ends; the argument is in shutdown.c.
 */
#ifndef SK_RUNTIME_SHUTDOWN_H
#define SK_RUNTIME_SHUTDOWN_H

#include "runtime/worker.h"

/* A worker that has run dry tells whoever waits for the end. One load unless the runtime is stopping. */
void sk_stop_progress_slow(skua_runtime *rt);
static inline void sk_stop_progress(skua_runtime *rt)
{
    if (sk_unlikely(sk_load_rlx(&rt->stopping))) sk_stop_progress_slow(rt);
}

/* How many accepted tasks have not ended. 0 is exact: there was a moment at which none lived. */
uint64_t sk_live_tasks(skua_runtime *rt);

/* 0; -EINVAL for NULL; -ESHUTDOWN when released; -ECHILD in a forked child. What every public call asks first. */
int sk_runtime_check(skua_runtime *rt);

/* Around what a thread does to the workers of a runtime that others may be releasing. False: it is released, and there
   is nothing to exit from (runtime.c). */
bool sk_runtime_enter(skua_runtime *rt);
void sk_runtime_exit(skua_runtime *rt);

/* Calls fn for every live runtime, or one that was so a moment ago: it asks sk_runtime_enter. Any thread (runtime.c).
 */
void sk_runtime_each(void (*fn)(skua_runtime *rt, void *ctx), void *ctx);

/* Whether others than the caller, who has entered, are between the two. */
bool sk_runtime_is_visited(skua_runtime *rt);

/* Frees the memory of a runtime without threads and workers (runtime.c). */
void sk_runtime_forget(skua_runtime *rt);

/* Ends all threads of a runtime that has no task left. */
void sk_stop_threads(skua_runtime *rt);

#endif
