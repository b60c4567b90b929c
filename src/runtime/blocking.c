/*
 * blocking.c: calls that block the thread.
 *
 * The word `carry` of a worker says whether its thread is at its post:
 *
 *    63                2 1..0
 *   +-------------------+----+
 *   | ticket            |post|   CARRIED, LENT, VACANT
 *   +-------------------+----+
 *
 *   begin     thread   CARRIED -> LENT, next ticket   (store: nobody else moves a carried worker)
 *   end       thread   LENT -> CARRIED in its ticket  (compare-and-swap)
 *   take      monitor  LENT -> CARRIED in its ticket  (compare-and-swap), and another thread carries it
 *
 * Exactly one of end and take wins.  The ticket tells a thread that comes back
 * late from a later blocking call on the same worker.  A thread that has lost
 * its worker puts its task in the inbox and becomes a spare.
 *
 * Between begin and end the thread counts as foreign: local->worker is NULL, so
 * that no call inside can touch the worker, which may be another's by then.
 */
#include <errno.h>

#include "os/clock.h"
#include "os/fork.h"
#include "runtime/extra.h"
#include "runtime/machine.h"
#include "runtime/monitor.h"
#include "runtime/sched.h"

int skua_blocking_begin(void)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_local *local = sk_local_self();
    if (!local) return -EPERM;
    if (local->lent) return -EALREADY;
    sk_worker *w = local->worker;
    if (!w || !w->task) return -EPERM;
    sk_extra_leaves(w->task, "begins a blocking call");
    uint64_t ticket = (sk_load_rlx(&w->carry) >> 2) + 1;
    local->lent = w;
    local->lent_ticket = ticket;
    local->blocked_task = w->task;
    local->fiber = w->fiber;
    local->worker = NULL;
    bool work = sk_taskq_size(&w->queue) > 0 || sk_load_rlx(&w->runnext);
    skua_runtime *rt = w->runtime;
    sk_store_rlx(&w->lent_since, sk_clock_ns());
    /* [BL-R1] release; pairs with [BL-A1] in sk_blocking_take: the thread that carries it next sees the worker as we
       leave it. We touch it no more until we have won it back. */
    sk_store_rel(&w->carry, ticket << 2 | SK_LENT);
    if (work) sk_monitor_hurry(rt);
    return 0;
}

int skua_blocking_end(void)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    sk_local *local = sk_local_self();
    if (!local || !local->lent) return -EPERM;
    sk_worker *w = local->lent;
    sk_task *t = local->blocked_task;
    uint64_t lent = local->lent_ticket << 2 | SK_LENT;
    local->lent = NULL;
    local->blocked_task = NULL;
    /* [BL-A2] acquire; pairs with nobody: it only stops what follows from moving up. */
    if (sk_cas_acq(&w->carry, &lent, local->lent_ticket << 2 | SK_CARRIED)) {
        local->worker = w;
        return 0;
    }
    sk_machine_strand(local, t, local->fiber);
    return 0;
}

int skua_block(skua_fn *fn, void *arg)
{
    if (!fn) return -EINVAL;
    int bracketed = skua_blocking_begin();
    if (bracketed == -ECHILD) return bracketed;
    int result = fn(arg);
    if (bracketed == 0) skua_blocking_end();
    return result;
}

bool sk_blocking_take(sk_worker *w, uint64_t lent)
{
    /* [BL-A1] acquire; pairs with [BL-R1]. */
    return sk_cas_acq(&w->carry, &lent, (lent & ~(uint64_t)SK_CARRY) | SK_CARRIED);
}
