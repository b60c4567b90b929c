/*
 * signals.h: signals of the system in a channel, for an orderly end.
 *
 *   int main(void)
 *   {
 *       skua_chan *stop;
 *       int number;
 *       skua_signals_open(&stop, (int[]){SIGINT, SIGTERM}, 2);
 *       ...
 *       skua_chan_recv(stop, &number);       or a case of a select
 *       ...
 *       skua_signals_close(stop);
 *   }
 *
 * A signal that no thread lets through goes to the channels instead of to its
 * handler or its default action.  Threads of this library let none of these
 * through, and skua_signals_open blocks them in the calling thread.  All other
 * threads of the program must have them blocked as well; they inherit that from the
 * thread that starts them: so call it first in main.
 */
#ifndef SKUA_SIGNALS_H
#define SKUA_SIGNALS_H

#include <stddef.h>

#include "skua/api.h"
#include "skua/chan.h"

SKUA_BEGIN

#define SKUA_SIGNALS_ROOM 16

/*
 * Makes a channel that receives the numbers (int) of these signals as they come to
 * the process (not those that are sent to one of its threads).  It has room for
 * SKUA_SIGNALS_ROOM; what comes while it is full is dropped.  Several channels may be
 * open; each gets every signal of its own.
 *   signals, n   SIGINT, SIGTERM, SIGHUP and the like; numbers may repeat
 * Returns 0; -EINVAL: out or signals is NULL, n is 0, or one of them cannot be
 * received like this: SIGKILL, SIGSTOP, those that a thread's own instructions
 * raise (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS), those of the C
 * library, and what is no signal; -ENOMEM; -EMFILE: no file descriptors are left;
 * -EAGAIN: no thread can be started; -ECANCELED, -ETIMEDOUT: the calling task was
 * to wait for another open or close, and is not to; -ECHILD in a forked child.
 * Context: any thread; may park.
 */
SKUA_API int skua_signals_open(skua_chan **out, const int *signals, size_t n);

/*
 * Ends that: nothing comes any more, the channel is closed, and given up, as
 * skua_chan_release does (a task that still receives from it must have retained it).
 * When no other channel wants them, signals that skua_signals_open has blocked in
 * the calling thread are let through again.  The last close ends the thread that
 * the library has for all channels.
 * Returns 0; -EINVAL: no channel of skua_signals_open, or closed before;
 * -ECANCELED, -ETIMEDOUT, -ENOMEM, -ECHILD as above: it is still open.
 * Context: any thread; may park.
 */
SKUA_API int skua_signals_close(skua_chan *chan);

SKUA_END

#endif
