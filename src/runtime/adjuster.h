/* adjuster.h: the monitor's side of the adjuster: samples the load, asks the policy, grows or shrinks. */
#ifndef SK_RUNTIME_ADJUSTER_H
#define SK_RUNTIME_ADJUSTER_H

#include "runtime/worker.h"

/* Controller: when a decision is due, takes it and carries it out. True: there is more to decide, do not sleep deep. */
bool sk_adjust_run(skua_runtime *rt, uint64_t now);

/* Controller, at the start: as many workers as can be had, up to `n`. 0 if there is at least one. */
int sk_adjust_start(skua_runtime *rt, uint32_t n);

#endif
