/*
 * shield.h: waits that must not fail, whatever is asked of the task that waits.
 *
 * A task that is cancelled, late, or stands in a context that has ended does not
 * park.  But a condition's waiter must have its mutex back, and a group must not be
 * released before its tasks have ended.  Behind a shield the task parks all the
 * same: marks are set on it, and others see them, but they neither keep it from
 * parking nor wake it; its scope is hidden.  So nobody's thread is held up.
 *
 * Outside of a task there is nothing to shield from.  Its runner.
 */
#ifndef SK_RUNTIME_SHIELD_H
#define SK_RUNTIME_SHIELD_H

#include "runtime/extra.h"
#include "runtime/sched.h"

typedef struct sk_shield {
    sk_task *task; /* NULL: the caller is none, or stands behind one already */
    sk_scope *scope;
} sk_shield;

static inline void sk_shield_raise(sk_shield *shield)
{
    const sk_worker *w = sk_worker_self();
    sk_task *t = w ? w->task : NULL;
    shield->task = NULL;
    shield->scope = NULL;
    if (!t || (sk_load_rlx(&t->state.word) & SK_SHIELDED)) return;
    shield->task = t;
    shield->scope = t->guarded ? t->extra->scope : NULL;
    if (shield->scope) t->extra->scope = NULL;
    sk_state_shield(&t->state, true);
}

static inline void sk_shield_lower(sk_shield *shield)
{
    if (!shield->task) return;
    sk_state_shield(&shield->task->state, false);
    if (shield->scope) shield->task->extra->scope = shield->scope;
}

#endif
