/*
 * skua/error.h: what went wrong, in words.
 *
 * Every call of skua that can fail returns a negative errno value.
 * Nothing is reported through errno, which belongs to a thread: a task may go
 * on on another one.
 */
#ifndef SKUA_ERROR_H
#define SKUA_ERROR_H

#include "skua/api.h"

SKUA_BEGIN

/*
 * skua_strerror: one sentence for an error that a call of skua returned.
 *
 *   error    a return value: negative, or 0 for success
 *
 * Returns a constant string, never NULL.  A value that skua itself does not
 * return (a task's own result, say) gives the C library's words or "unknown error".
 * Context: any thread, tasks, signal handlers; never waits.
 *
 *     int error = skua_pool_submit(pool, nap, NULL);
 *     if (error < 0) fprintf(stderr, "submit: %s\n", skua_strerror(error));
 */
SKUA_API const char *skua_strerror(int error);

SKUA_END
#endif
