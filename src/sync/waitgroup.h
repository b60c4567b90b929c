/* waitgroup.h: the count behind skua/waitgroup.h and skua/latch.h. */
#ifndef SK_SYNC_WAITGROUP_H
#define SK_SYNC_WAITGROUP_H

#include "skua/waitgroup.h"
#include "sync/turn.h"

typedef struct __attribute__((may_alias)) sk_waitgroup {
    sk_lock lock;
    uint32_t unused;
    sk_atomic(uint64_t) count; /* anyone; from 0 and to 0 only under the lock */
    sk_waiters waiters;
} sk_waitgroup;

/* 0; -ERANGE; -EOVERFLOW. */
int sk_waitgroup_add(sk_waitgroup *group, int64_t delta);

/* 0; -ETIMEDOUT, -ECANCELED, -ENOMEM. what: for reports. */
int sk_waitgroup_wait(sk_waitgroup *group, uint64_t timeout, const char *what);

#endif
