/*
 * fork.h: does this process still have its threads?
 *
 * After fork() the child has only the thread that called it: the workers are
 * gone while the memory says that they are there.  Every public call asks
 * sk_forked() and returns -ECHILD in such a child instead of waiting for ever.
 * exec clears all of it.  A raw clone or _Fork() runs no handlers and goes unnoticed.
 */
#ifndef SK_OS_FORK_H
#define SK_OS_FORK_H

#include "base/atomic.h"

#include <stdbool.h>

/* W: set once, in a child, while it has one thread; relaxed reads suffice. */
extern sk_atomic(bool) sk_os_forked;

/* Installs the handler, once a process: call it before the first worker starts. Returns 0 or -ENOMEM. */
int sk_fork_watch(void);

/* True in the child of a fork that came after sk_fork_watch. Any thread; one load. */
static inline bool sk_forked(void)
{
    return sk_load_rlx(&sk_os_forked);
}

#endif
