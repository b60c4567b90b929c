/*
 * chan.h: channels, as Go has them.
 *
 * A channel carries elements of one size from those who send to those who receive,
 * each once, in the order in which they were sent.  It has room for `capacity` of
 * them; with capacity 0 a send waits until somebody receives, and the element goes
 * straight into the receiver's memory.  From tasks the calls park, from foreign
 * threads they block the thread.  Who waits is served first come, first served.
 *
 * Closing says that nothing more will be sent: receivers still get what is in the
 * channel, then -EPIPE.  Sending on a closed channel is an error, -EPIPE, not a crash.
 *
 *   skua_chan *c;
 *   skua_chan_create(&c, sizeof(int), 0);
 *   skua_go(producer, c);                     ... skua_chan_send(c, &i); ... skua_chan_close(c);
 *   for (int i; skua_chan_recv(c, &i) == 0;) printf("%d\n", i);
 *   skua_chan_release(c);
 *
 * Errors that every call but len, cap and is_closed may return and that are not
 * repeated below:
 *   -EINVAL      a NULL channel (Go's nil channel waits for ever; only select does
 *                so here), or a NULL element where elements have a size
 *   -ECHILD      in a fork(2)ed child
 *   -EBADF       a channel that has been freed; noticed in builds with debug_checks only
 * and those that wait:
 *   -ECANCELED, -ETIMEDOUT   the calling task was cancelled, or a deadline passed:
 *                nothing was sent or received, and *element is as it was
 *   -ENOMEM      no memory to wait with; the same
 * What can be done without waiting is done, also by a task that was cancelled.
 *
 * Ordering: what was written before a send is visible after the receive that gets
 * its element, and what was written before a close after a receive that returns
 * -EPIPE.  The k-th receive on a channel of capacity c happens before the return of
 * the (k+c)-th send.
 */
#ifndef SKUA_CHAN_H
#define SKUA_CHAN_H

#include <stddef.h>
#include <stdint.h>

#include "skua/api.h"

SKUA_BEGIN

typedef struct skua_chan skua_chan;

/*
 * Makes a channel for `capacity` elements of `element_size` bytes.
 * Returns 0; -EINVAL: element_size 0 (see skua_chan_create_signal), or no out;
 * -EOVERFLOW: the elements together exceed PTRDIFF_MAX bytes, or capacity
 * 2^32 - 2; -ENOMEM.
 * Context: any thread; never parks.
 */
SKUA_API int skua_chan_create(skua_chan **out, size_t element_size, size_t capacity);

/* The same for elements without a size, like Go's struct{}: only their number counts, and `element` is not used. */
SKUA_API int skua_chan_create_signal(skua_chan **out, size_t capacity);

/* One more user of the channel, who will release it. Returns 0. Any thread; never parks. */
SKUA_API int skua_chan_retain(skua_chan *chan);

/*
 * Gives the channel up; the last of its users frees it, with what is in it.  Who has
 * seen what a call does (has received its element, or sees that it is closed) may do so
 * though that call has not returned yet; else nobody may use it any more.
 * Returns 0; -EBUSY: the last user, and somebody still waits in it; it stays as it is.
 * Context: any thread; never parks.
 */
SKUA_API int skua_chan_release(skua_chan *chan);

/* Sends a copy of *element; waits while there is no room and nobody to take it. Returns 0; -EPIPE: closed. May park. */
SKUA_API int skua_chan_send(skua_chan *chan, const void *element);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_chan_send_for(skua_chan *chan, const void *element, uint64_t timeout);

/* Sends if that is possible at once. Returns 0; -EPIPE; -EAGAIN: it is not. Never parks. */
SKUA_API int skua_chan_try_send(skua_chan *chan, const void *element);

/*
 * Receives into *element (NULL: the element is thrown away); waits while there is none.
 * Returns 0; -EPIPE: closed, and nothing is left: *element is all zero.
 * Context: any thread; may park.
 */
SKUA_API int skua_chan_recv(skua_chan *chan, void *element);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_chan_recv_for(skua_chan *chan, void *element, uint64_t timeout);

/* Receives if that is possible at once. Returns 0; -EPIPE; -EAGAIN: there is nothing. Never parks. */
SKUA_API int skua_chan_try_recv(skua_chan *chan, void *element);

/*
 * Closes the channel: wakes everybody who waits in it with -EPIPE, senders and receivers.
 * Returns 0; -EALREADY: it is closed.  Any thread; never parks.
 */
SKUA_API int skua_chan_close(skua_chan *chan);

/*
 * Calls fn(element, arg) for each element received, until the channel is closed and
 * empty, or fn returns something else than 0, which is then returned.
 * Returns 0 once closed; what fn returned; an error of receiving; -EINVAL: no fn;
 * -ENOMEM: no memory for an element.  May park; fn may, and may give up.
 */
SKUA_API int skua_chan_each(skua_chan *chan, int (*fn)(void *element, void *arg), void *arg);

/* How many elements are in it now, and how many there is room for; 0 for NULL. Never park. */
SKUA_API size_t skua_chan_len(const skua_chan *chan);
SKUA_API size_t skua_chan_cap(const skua_chan *chan);

/* Whether it has been closed: 1 or 0. It may still hold elements. Never parks. */
SKUA_API int skua_chan_is_closed(const skua_chan *chan);

/* ---- one-way views: the compiler sees to it that who has one does not use the other direction ---- */

typedef struct skua_sender {
    skua_chan *chan;
} skua_sender;

typedef struct skua_receiver {
    skua_chan *chan;
} skua_receiver;

static inline skua_sender skua_chan_sender(skua_chan *chan)
{
    skua_sender view = {chan};
    return view;
}

static inline skua_receiver skua_chan_receiver(skua_chan *chan)
{
    skua_receiver view = {chan};
    return view;
}

static inline int skua_send(skua_sender to, const void *element)
{
    return skua_chan_send(to.chan, element);
}

/* Closing is the sender's, as in Go. */
static inline int skua_close(skua_sender to)
{
    return skua_chan_close(to.chan);
}

static inline int skua_recv(skua_receiver from, void *element)
{
    return skua_chan_recv(from.chan, element);
}

SKUA_END

#endif
