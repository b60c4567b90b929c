/*
 * stream.h: tasks that run beside each other, and callbacks that run in order.
 *
 * Each item of a stream is a task and a callback.  The tasks run at once, as many
 * as the limit allows; the callbacks run one at a time, in the order in which the
 * items were submitted, each after its task.
 *
 *   skua_stream *stream;
 *   skua_stream_create(&stream, &(skua_stream_options){.limit = 8});
 *   for (size_t i = 0; i < n; i++) skua_stream_go(stream, compress, append, &blocks[i]);
 *   int error = skua_stream_wait(stream, NULL);
 *   skua_stream_release(stream);
 *
 * Items that have been submitted and whose callbacks have not come back are in
 * flight; a slow one at the front holds up the callbacks of all others, and when
 * the window is full of them, the submitters.  So memory is bounded.
 *
 * Callbacks run as a task of their own, outside of the limit, which may park; it
 * is not cancelled with the stream.  (When the runtime stops, or has no memory for
 * it, they run in skua_stream_wait, skua_stream_release or skua_stream_go.)
 *
 * Rounds and errors are as in group.h: the error of a round is the first that a
 * task or a callback ended with.  Errors that every call may return are as there.
 */
#ifndef SKUA_STREAM_H
#define SKUA_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"
#include "skua/group.h"

SKUA_BEGIN

typedef struct skua_stream skua_stream;

#define SKUA_STREAM_WINDOW_MAX (1u << 20)

typedef struct skua_stream_options {
    skua_runtime *runtime; /* as in skua_group_options */
    skua_pool *pool;
    skua_group *parent;
    uint32_t limit;  /* tasks running at a time; 0: no limit but the window */
    uint32_t window; /* items in flight, 1 to SKUA_STREAM_WINDOW_MAX; 0: twice the limit, 256 at least; 1024 without a
                        limit */
    int fail_fast;   /* not 0: the first error cancels the stream */
} skua_stream_options;

/*
 * The callback of an item: arg as submitted, and what its task ended with: its
 * result; -EFAULT when it gave up; -ECANCELED when it was cancelled, in time for
 * it never to start or not.  An error that it returns counts like one of a task.
 */
typedef int skua_stream_fn(void *arg, int result);

/* Errors as skua_group_create; -EOVERFLOW: window. Any thread; never parks. */
SKUA_API int skua_stream_create(skua_stream **out, const skua_stream_options *options);

/*
 * Submits an item: fn(arg) as a task, then(arg, result) as its callback (NULL:
 * none).  While the window is full the caller waits.
 * Returns 0: accepted, both are called in any case (fn only if it starts);
 * -ECANCELED: the stream, or a group above it, is cancelled (or the calling task
 * is); -EDEADLK: the window is full, and the caller is a task or a callback of the
 * stream, which may be what holds it up.
 * Context: any thread; may park.
 */
SKUA_API int skua_stream_go(skua_stream *stream, skua_fn *fn, skua_stream_fn *then, void *arg);

/* The same, but -EAGAIN instead of waiting. Never parks. */
SKUA_API int skua_stream_try_go(skua_stream *stream, skua_fn *fn, skua_stream_fn *then, void *arg);

/*
 * Waits until the callbacks of all items have come back; see skua_group_wait.
 * -EDEADLK: the caller is a task or a callback of the stream.
 * Context: any thread; may park.
 */
SKUA_API int skua_stream_wait(skua_stream *stream, int *cause);
SKUA_API int skua_stream_wait_for(skua_stream *stream, uint64_t timeout, int *cause);

/* As skua_group_cancel, _cause and _stats (of the tasks). Callbacks of cancelled items are called. */
SKUA_API int skua_stream_cancel(skua_stream *stream, int cause);
SKUA_API int skua_stream_cause(skua_stream *stream);
SKUA_API int skua_stream_stats(skua_stream *stream, skua_pool_counts *out);

/* Waits for all, whatever happens to the caller, and frees the stream; as skua_group_release. */
SKUA_API int skua_stream_release(skua_stream *stream);

SKUA_END

#endif
