/*
 * monitor.h: the one background thread of a runtime (monitor.c says what it does).
 */
#ifndef SK_RUNTIME_MONITOR_H
#define SK_RUNTIME_MONITOR_H

#include "os/futex.h"
#include "runtime/worker.h"

/* The body of the monitor's thread. */
void sk_monitor_main(void *runtime);

/* Wakes the monitor whatever it is doing. Any thread; lock-free. */
void sk_monitor_ring(skua_runtime *rt);

/* The same, if it naps for longer than a moment. Any thread. */
void sk_monitor_hurry(skua_runtime *rt);

/* Leaves a chore to the monitor, which does it within about a millisecond. It must be in no list. Any thread. */
void sk_monitor_owe(skua_runtime *rt, sk_chore *chore);

/* Does what was left to the monitor. The monitor, or who ends the runtime after it. */
void sk_monitor_pay(skua_runtime *rt);

/* After leaving an idle state: makes sure that somebody watches. Any thread; one load when the monitor is up. */
static inline void sk_monitor_attend(skua_runtime *rt)
{
    /* [MO-A1] sequentially consistent; pairs with [MO-F1] in go_deep. Without it the monitor could see us asleep and go
       to its deep sleep, and we could see it awake: nobody would watch. */
    if (sk_unlikely(sk_load_sc(&rt->monitor_deep))) sk_monitor_ring(rt);
}

#endif
