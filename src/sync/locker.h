/*
 * locker.h: calls that are made under a locker.
 */
#ifndef SK_SYNC_LOCKER_H
#define SK_SYNC_LOCKER_H

#include <stdbool.h>
#include <stddef.h>

#include "skua/locker.h"
#include "skua/task.h"

/* NULL is none. */
static inline bool sk_locker_is_whole(const skua_locker *locker)
{
    return !locker || (locker->lock && locker->unlock);
}

/* fn(arg), with the locker, which is let go when fn returns or gives up. Any thread; may park if the locker or fn does;
   does not come back when fn gives up. */
void sk_call_locked(const skua_locker *locker, skua_fn *fn, void *arg);

#endif
