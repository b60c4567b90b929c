/*
 * latch.h: a count that goes down to 0 once, and those who wait for it.
 *
 * For tasks and foreign threads alike.  Once open it stays open.  (For a count that
 * goes up as well, and may be used again: skua/waitgroup.h.)  The memory may be
 * freed by one whose wait has returned 0, when nobody else will come, and no other
 * wait is under way that may end by a timeout or a cancel.
 *
 *   static skua_latch ready = SKUA_LATCH_INIT(3);
 *   three tasks:  prepare(); skua_latch_count_down(&ready, 1);
 *   the others:   skua_latch_wait(&ready); begin();
 *
 * Errors that every call may return and that are not repeated below: -EINVAL: NULL;
 * -ECHILD: in a fork(2)ed child.
 * Ordering: what was written before counting down is visible after a wait.
 */
#ifndef SKUA_LATCH_H
#define SKUA_LATCH_H

#include "skua/api.h"
#include "skua/waitgroup.h"

SKUA_BEGIN

/* All zeroes: open. Its fields are the library's. */
typedef struct skua_latch {
    skua_waitgroup group;
} skua_latch;

/* clang-format off */
#define SKUA_LATCH_INIT(count) {{0, 0, (count), {NULL, NULL}}}
/* clang-format on */

/* The same for one that is not static. Returns 0; -EOVERFLOW: count exceeds INT64_MAX. Nobody uses it yet. */
SKUA_API int skua_latch_init(skua_latch *latch, uint64_t count);

/* Counts down by n; at 0 it opens, and all who wait go on. Returns 0; -ERANGE: n exceeds the count, which is unchanged.
   Any thread; never parks. */
SKUA_API int skua_latch_count_down(skua_latch *latch, uint64_t n);

/* Waits until it is open. Returns 0; -ECANCELED, -ETIMEDOUT: the calling task was cancelled, or its deadline passed;
   -ENOMEM: no memory to wait with. Any thread; may park. */
SKUA_API int skua_latch_wait(skua_latch *latch);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_latch_wait_for(skua_latch *latch, uint64_t timeout);

SKUA_END

#endif
