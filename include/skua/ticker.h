/*
 * ticker.h: timers that can be stopped, set again and repeated, as Go has them.
 *
 * A ticker fires once (period 0) or every so often.  One kind delivers into a
 * channel, the other calls a function as a task.
 *
 *   skua_ticker *t;
 *   uint64_t when;
 *   skua_ticker_create(&t, SKUA_MS(10), SKUA_MS(10));
 *   while (skua_chan_recv(skua_ticker_chan(t), &when) == 0 && work(when)) {
 *   }
 *   skua_ticker_release(t);
 *
 * What holds, as in Go since 1.23:
 *   - the channel has room for one tick: who receives slowly misses ticks, and
 *     never finds more than one that is old
 *   - after skua_ticker_stop or _reset has returned, nothing that was sent before
 *     can be received
 *   - a periodic ticker does not drift: the next tick is due one period after the
 *     previous one was due, not after it came; what has passed by then is skipped
 *   - stopping does not close the channel: who waits there goes on waiting
 *
 * It belongs to the runtime of the task that makes it, outside of a task to the
 * default one, which must be there as long as the ticker is set again.  A runtime
 * that is stopped drops its ticks; it does not wait for them.  Each call is a task
 * there and counted as such; a tick into a channel is none.
 *
 * Errors of every call: -EINVAL: a NULL ticker; -ECHILD in a forked child;
 * -EBADF: it was released; noticed in builds with debug_checks only.
 * Context of every call: any thread, any number at a time; never parks.
 */
#ifndef SKUA_TICKER_H
#define SKUA_TICKER_H

#include <stdint.h>

#include "skua/api.h"
#include "skua/chan.h"
#include "skua/task.h"

SKUA_BEGIN

typedef struct skua_ticker skua_ticker;

/*
 * Makes a ticker whose channel gets the time (skua_now, a uint64_t) of each tick.
 *   first    ns from now to the first tick; 0: at once; SKUA_FOREVER: not before a reset
 *   period   ns from each to the next; 0: there is only the first
 * Returns 0; -EINVAL: out is NULL; -ENOMEM; -ESHUTDOWN: the runtime is stopping.
 */
SKUA_API int skua_ticker_create(skua_ticker **out, uint64_t first, uint64_t period);

/*
 * The same, but each tick calls fn(arg), in a task of its own, which may park.  One
 * call at a time: ticks that fall due during a call are dropped.  When there is no
 * memory for the task of a call, it comes late.  A call that is
 * under way goes on whatever becomes of the ticker, which it may stop, reset and
 * release itself; after a reset the next may begin beside it.
 * Returns as skua_ticker_create; -EINVAL: no fn.
 */
SKUA_API int skua_ticker_call(skua_ticker **out, uint64_t first, uint64_t period, skua_fn *fn, void *arg);

/* Its channel, which is there until the ticker is released, and after that for who has retained it. Only to receive
   from. NULL: it calls a function. */
SKUA_API skua_chan *skua_ticker_chan(const skua_ticker *ticker);

/*
 * No tick comes any more, until it is reset.
 * Returns 0: it was active: a tick was still to come, or had come and nobody had
 * received it (or its runtime has dropped it at its stop); -ESRCH: it was not.
 */
SKUA_API int skua_ticker_stop(skua_ticker *ticker);

/*
 * Stops it if need be, and starts it anew with these times.
 * Returns 0: it was active, as above; 1: it was not; -ESHUTDOWN: the runtime is
 * stopping; it is stopped now.
 */
SKUA_API int skua_ticker_reset(skua_ticker *ticker, uint64_t first, uint64_t period);

/*
 * Stops the ticker and frees it.
 * Returns 0; -EBUSY: somebody still waits in its channel: it is stopped, and to be
 * released again.
 */
SKUA_API int skua_ticker_release(skua_ticker *ticker);

SKUA_END

#endif
