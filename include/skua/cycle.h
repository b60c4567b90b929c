/*
 * cycle.h: a report of locks that wait for each other.
 *
 * In builds with debug_checks, whoever has to wait for a skua_mutex, or for the writer
 * of a skua_rwlock, looks whether its holder (who locked it last) waits for one too,
 * and so on.  If that comes round to the caller, none of them will get on.  Those who
 * read are not written down as holders: a cycle through them is not found.  Each such cycle is reported once, on
 * stderr or to a handler; then the caller waits on: a deadline or a cancel, or
 * somebody else's unlock, may still resolve it.
 *
 * A lock that one task locks and another one unlocks, by way of a signal, may be
 * reported without cause; and when more than some thousand locks are held at a time a
 * cycle may be missed.
 */
#ifndef SKUA_CYCLE_H
#define SKUA_CYCLE_H

#include <stddef.h>

#include "skua/api.h"

SKUA_BEGIN

/* One who waits: for `wants`, which the next one in the cycle holds. */
typedef struct skua_cycle_link {
    const void *who;   /* task.ref of its handle; of a thread, an address of its own */
    const void *wants; /* the lock */
} skua_cycle_link;

/* No longer cycles are found. */
#define SKUA_CYCLE_MAX 32

/* Called by whoever has closed the cycle, before it waits; it stands at link[0]. It must not lock what is reported. */
typedef void skua_cycle_handler(const skua_cycle_link *link, size_t n, void *arg);

/*
 * Chooses, for the whole process, who is told of cycles; NULL, as in the beginning: a
 * report on stderr.
 * Returns 0; -ENOSYS: this build does not look for cycles; -ECHILD.
 * Context: any thread, while nobody waits for a lock; never parks.
 */
SKUA_API int skua_on_lock_cycle(skua_cycle_handler *handler, void *arg);

SKUA_END

#endif
