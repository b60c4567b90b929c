/*
 * once.h: something that is done exactly once, by whoever comes first.
 *
 * For tasks and foreign threads alike.  The others wait until it is done, and get
 * the same result.  It counts as done however it ends: with a negative result, which
 * everybody gets, or by giving up (skua_panic_task): then the others get -EFAULT, as
 * Go has it.  Its memory may be freed when all calls have returned.
 *
 *   static skua_once loaded = SKUA_ONCE_INIT;
 *   int error = skua_once_do(&loaded, load_tables, NULL);
 *
 * Ordering: what fn did is visible to all whose call returns its result.
 */
#ifndef SKUA_ONCE_H
#define SKUA_ONCE_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/task.h"

SKUA_BEGIN

/* All zeroes: not done. Its fields are the library's. */
typedef struct skua_once {
    uint32_t lock, state;
    int32_t result, unused;
    void *runner;
    void *waiters[2];
} skua_once;

/* clang-format off */
#define SKUA_ONCE_INIT {0, 0, 0, 0, NULL, {NULL, NULL}}
/* clang-format on */

/*
 * Calls fn(arg), unless somebody has done so for this once; waits for one who is at
 * it.  fn may park.
 * Returns what fn returned, now or then; -EFAULT: it gave up; -EDEADLK: the caller is
 * just calling fn, and would wait for itself; -ECANCELED, -ETIMEDOUT: the calling
 * task was cancelled, or its deadline passed, while somebody else was at it (if fn
 * may return these, ask skua_once_is_done); -ENOMEM: no memory to wait with, nothing
 * was called; -EINVAL: NULL; -ECHILD.
 * Context: any thread; may park.
 */
SKUA_API int skua_once_do(skua_once *once, skua_fn *fn, void *arg);

/* The same, but waits for at most `timeout` ns for somebody else: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_once_do_for(skua_once *once, skua_fn *fn, void *arg, uint64_t timeout);

/* Whether it has been done: 1 or 0; 0 for NULL. If so what fn did is visible. Never parks. */
SKUA_API int skua_once_is_done(const skua_once *once);

SKUA_END

#endif
