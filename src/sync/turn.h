/*
 * turn.h: a wait in one queue of one object: what the locks of src/sync share.
 *
 * The protocol, over sleepers (sleeper.h) and the object's short lock:
 *
 *   waits      lock; looks: no; joins the queue; drops; sleeps
 *   serves     lock; changes the object, takes waiters out of the queue and claims
 *              them; drops; wakes them
 *   gives up   lock; does it stand in the queue?  yes: it leaves, and the wait has
 *              failed.  no: it has been served, and the wait has succeeded
 *
 * Why what is handed over is never lost, and no waiter stranded.  Whether a waiter is
 * served or gives up is decided under the one lock, by whether it stands in the
 * queue.  So who stands there can always be served: should the claim come too late
 * to wake it, it is on its way to the lock and finds out.  Who has been served takes
 * what it was given, however late it is or cancelled; and who leaves may see to it, under
 * the same lock, that those whom only it held up get their turn.  That a claim wakes
 * is the business of sleeper.h.
 *
 * Many are served in one hold of the lock and chained by their own links: the frame
 * of one that has been served stands until that is settled, which waking does.
 * So after the last drop nobody touches the object, and whoever has been served may
 * free its memory, even while the others of its chain are still being woken; unless
 * one of them may be late or cancelled, and so look at the queue.
 */
#ifndef SK_SYNC_TURN_H
#define SK_SYNC_TURN_H

#include "os/clock.h"
#include "os/fork.h"
#include "os/lock.h"
#include "skua/time.h"
#include "sync/sleeper.h"

/* In the frame of the caller that waits. */
typedef struct sk_turn {
    sk_sleeper sleeper;
    sk_waiter waiter;
} sk_turn;

/* Those that have been claimed in one hold of the lock, in that order. All zero: nobody. */
typedef struct sk_served {
    sk_waiter *first, *last;
} sk_served;

enum { SK_SERVED = 1 }; /* a claim's outcome, unless its lock says otherwise */

/* For one wait of the caller; place: what its object keeps with it. 0; -ENOMEM. */
int sk_turn_init(sk_turn *turn, void *place);

/* Under the lock: it waits from now on. */
static inline void sk_turn_join(sk_waiters *q, sk_turn *turn)
{
    sk_waiters_add(q, &turn->waiter);
}

/* Sleeps, in no lock. 0: it has been served. An error: perhaps not; takes the lock, and asks sk_turn_leaves. */
int sk_turn_sleep(sk_turn *turn, uint64_t deadline, const char *what, void *object);

/* Under the lock, after such an error. True: it gives up, and stands in the queue no more. False: it has been served,
   which sk_turn_outcome awaits. */
bool sk_turn_leaves(sk_waiters *q, sk_turn *turn);

/* What it has been served with; whoever has done so has left the lock. */
uint32_t sk_turn_outcome(const sk_turn *turn);

/* All of it, for objects where nobody cares who leaves: sleeps, and leaves the queue on an error. 0: served. */
int sk_turn_wait(sk_turn *turn, sk_lock *lock, sk_waiters *q, uint64_t deadline, const char *what, void *object);

/* Under the lock: claims one that stands in the queue. */
void sk_serve(sk_waiters *q, sk_waiter *waiter, uint32_t outcome, sk_served *served);

/* Under the lock: all who stand in the queue. Returns how many. */
size_t sk_serve_all(sk_waiters *q, uint32_t outcome, sk_served *served);

/* After the lock was dropped: wakes them, for anybody to run: they hold something now, or are to run beside us. */
void sk_served_wake(const sk_served *served);

/* The same, but if it is just one task it runs next on this worker, when we park or end: it was only signalled. */
void sk_served_wake_next(const sk_served *served);

static inline uint64_t sk_deadline_of(uint64_t timeout)
{
    return timeout == SKUA_FOREVER ? SK_NEVER : sk_deadline_after(sk_clock_ns(), timeout);
}

/* What every public call asks first: 0; -EINVAL: NULL; -ECHILD. */
static inline int sk_refused(const void *object)
{
    if (sk_unlikely(!object)) return -EINVAL;
    return sk_unlikely(sk_forked()) ? -ECHILD : 0;
}

#endif
