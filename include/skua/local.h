/*
 * local.h: values that each task has for itself, as thread-specific data is to threads.
 *
 *   static skua_local_key buffer;
 *   skua_local_create(&buffer, free);                      once, for the process
 *   skua_local_set(buffer, malloc(4096));                  in a task
 *   char *mine = skua_local_get(buffer);                   anywhere below, in the same task
 *
 * A task that ends calls the destructors of the values that it still has, whether it
 * returns, gives up, or has been cancelled.  What it has started does not inherit
 * them.  A pool's task that its submitter runs (SKUA_FULL_RUN) sees the submitter's.
 *
 * For tasks only: a foreign thread has pthread_setspecific, and gets -EPERM here.
 */
#ifndef SKUA_LOCAL_H
#define SKUA_LOCAL_H

#include <stdint.h>

#include "skua/api.h"

SKUA_BEGIN

/* How many keys there may be at a time, in the process. */
#define SKUA_LOCAL_KEYS 128

/* How often a task calls a destructor for a key, at its end, when destructors set values again. */
#define SKUA_LOCAL_ROUNDS 4

/* A key. Copy it freely; all zero: no key. Of a deleted one the calls notice that, also when its place is used again.
 */
typedef struct skua_local_key {
    uint32_t place, life;
} skua_local_key;

/*
 * Makes a key, under which every task finds NULL.
 *   destroy  NULL, or called at the end of each task for its value, if that is not
 *            NULL: in the task, after all its deferred calls, where it may park (as
 *            far as a task may that has been cancelled), defer, give up, and set
 *            values again, for which it is called again.  After 4 rounds what is left
 *            is forgotten
 * Returns 0; -EINVAL: no `out`; -ENOSPC: there are 128; -ECHILD.
 * Context: any thread; never parks.
 */
SKUA_API int skua_local_create(skua_local_key *out, void (*destroy)(void *value));

/*
 * Gives the key up.  The values that tasks have under it are forgotten: no destructor
 * is called any more, but one may be running.
 * Returns 0; -EINVAL: no such key; -ECHILD.  Context: any thread; never parks.
 */
SKUA_API int skua_local_delete(skua_local_key key);

/*
 * Gives the calling task a value under the key; the one before is not destroyed.
 * Returns 0; -EINVAL: no such key; -EPERM outside of a task; -ENOMEM; -ECHILD.
 * Context: task; never parks.
 */
SKUA_API int skua_local_set(skua_local_key key, void *value);

/* What the calling task has under the key; NULL: nothing, no such key, or no task. Any thread; never parks; a few ns.
 */
SKUA_API void *skua_local_get(skua_local_key key);

SKUA_END

#endif
