/*
 * select.h: waiting for the first of several sends and receives.
 *
 *   skua_case cases[] = {SKUA_CASE_RECV(jobs, &job), SKUA_CASE_RECV(quit, NULL), SKUA_CASE_SEND(out, &answer)};
 *   switch (skua_select(cases, 3)) { case 0: ... }
 *
 * If several can proceed one of them is chosen at random, each with the same
 * probability; exactly one is carried out.  The same channel may stand in several
 * cases.  A NULL channel is never ready, which is how a case is switched off.  All
 * channels must be there until the call returns, those too that are not chosen: hold
 * a use of each (skua_chan_retain) if others could release it.
 */
#ifndef SKUA_SELECT_H
#define SKUA_SELECT_H

#include "skua/api.h"
#include "skua/chan.h"

SKUA_BEGIN

typedef enum skua_direction { SKUA_RECV, SKUA_SEND } skua_direction;

typedef struct skua_case {
    skua_chan *chan; /* NULL: never ready */
    skua_direction direction;
    void *element; /* RECV: where it goes (NULL: nowhere); SEND: what is sent, not changed */
    int result;    /* gets, of the case that is chosen: 0, or -EPIPE: the channel is closed */
} skua_case;

/* clang-format off */
#define SKUA_CASE_RECV(chan, element) {(chan), SKUA_RECV, (element), 0}
#define SKUA_CASE_SEND(chan, element) {(chan), SKUA_SEND, (void *)(element), 0}
/* clang-format on */

/* No more than so many cases need no memory. */
#define SKUA_SELECT_CASES 16

/*
 * Waits until one of n cases can proceed, and carries it out.  A case whose channel
 * is closed can proceed: its result is -EPIPE.
 * Returns the index of the case; -EINVAL: n > 0 and no cases, a direction that is
 * none, a NULL element to send, n over 2^28; -ECANCELED, -ETIMEDOUT: the calling
 * task was cancelled, or a deadline of it passed; -ENOMEM; -ECHILD; -EBADF (see chan.h).
 * With an error nothing was sent or received.  Without a case that can ever be ready
 * it waits until the task is cancelled, as Go's select{} does.
 * Context: any thread; may park.  Ordering as for the call that the case stands for.
 */
SKUA_API int skua_select(skua_case *cases, size_t n);

/* The same, but waits for at most `timeout` ns: then -ETIMEDOUT. 0: not at all; SKUA_FOREVER. */
SKUA_API int skua_select_for(skua_case *cases, size_t n, uint64_t timeout);

/* With a default: -EAGAIN when no case can proceed at once. Never parks. */
SKUA_API int skua_select_try(skua_case *cases, size_t n);

SKUA_END

#endif
