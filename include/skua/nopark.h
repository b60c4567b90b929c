/*
 * nopark.h: sections in which a task must not park.
 *
 * A task that parks may go on on another thread.  What belongs to a thread must not
 * be held across that: a pthread_mutex, which only the thread that locked it may
 * unlock; errno; the address of a thread-local.  Hold such things in a section only:
 *
 *   skua_nopark_begin();
 *   pthread_mutex_lock(&m);
 *   ...                          (a skua_sleep here, however deep, aborts a debug build)
 *   pthread_mutex_unlock(&m);
 *   skua_nopark_end();
 *
 * In builds with debug_checks a task that parks in a section, yields, or begins a
 * blocking call, ends the process with a message that names the place where the
 * outermost section began.  A call that might park but succeeds at once passes.  In
 * other builds both calls do nothing but return 0.
 *
 * Sections nest.  A foreign thread does not park: there they do nothing.  A task that
 * ends in a section has ended it, after its deferred calls and before destructors of
 * its values; so has a job of a pool that its submitter runs.
 */
#ifndef SKUA_NOPARK_H
#define SKUA_NOPARK_H

#include "skua/api.h"

SKUA_BEGIN

/* Begins a section. Returns 0; -ENOMEM: the section is not watched, and is not to be ended; -ECHILD. Never parks. */
#define skua_nopark_begin() skua_nopark_begin_at(__FILE__, __LINE__)

/* The same for a given place; file must be there for as long as the section lasts. */
SKUA_API int skua_nopark_begin_at(const char *file, int line);

/* Ends the innermost section. Returns 0; -EPERM: the task is in none; -ECHILD. Never parks. */
SKUA_API int skua_nopark_end(void);

SKUA_END

#endif
