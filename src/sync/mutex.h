/*
 * mutex.h: the mutex behind skua/mutex.h; README.md has its protocol and why no waiter is stranded.
 *
 *   operation                      caller               progress
 *   sk_mutex_try                   anyone               lock-free
 *   sk_mutex_lock, sk_mutex_force  anyone               a task parks, a thread blocks
 *   sk_mutex_unlock                whoever holds it     lock-free
 *   sk_mutex_is_at_rest            alone
 */
#ifndef SK_SYNC_MUTEX_H
#define SK_SYNC_MUTEX_H

#include "base/atomic.h"
#include "base/base.h"
#include "skua/mutex.h"

typedef struct sk_mutex_node sk_mutex_node;

/* A plain field that changes hands: the models watch that something orders those who touch it. */
#ifndef SK_MUTEX_FIELD
#define SK_MUTEX_FIELD(T) T
#endif

/* What a skua_mutex is. may_alias: its owner may have written it as that. */
typedef struct __attribute__((may_alias)) sk_mutex {
    sk_atomic(uint64_t) word; /* anyone, see README.md */
    /* holder: the queue of those who wait */
    SK_MUTEX_FIELD(sk_mutex_node *) first;
    SK_MUTEX_FIELD(sk_mutex_node *) last;
} sk_mutex;

/* True: it was free, and is the caller's. */
bool sk_mutex_try(sk_mutex *m);

/* Waits for it until `deadline` (SK_NEVER: no limit). 0; -ETIMEDOUT; in a task also -ECANCELED; -ENOMEM. */
int sk_mutex_lock(sk_mutex *m, uint64_t deadline);

/* Waits for it, whatever happens to the calling task, and to memory. */
void sk_mutex_force(sk_mutex *m);

/* 0; -EPERM when nobody holds it. */
int sk_mutex_unlock(sk_mutex *m);

/* Nobody holds it or waits. All calls have returned. */
bool sk_mutex_is_at_rest(const sk_mutex *m);

/* Of all mutexes: nodes in use by waiters, or left behind by them. At rest. */
uint64_t sk_mutex_nodes_out(void);

#ifdef SK_FAULTS
/* Who has waited this long is handed the mutex. Set before anybody waits. */
extern uint64_t sk_mutex_fair_ns;
#endif

#endif
