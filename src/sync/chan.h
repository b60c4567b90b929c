/*
 * chan.h: the channel behind skua/chan.h, for select.  README.md has its protocol.
 *
 * Everything is guarded by one short lock (os/lock.h).  Invariants, whenever it is free:
 *
 *   - receivers wait only while the channel is empty, no sender waits, and it is open
 *   - senders wait only while it is full, no receiver waits, and it is open
 *     (but for waiters whose sleepers have given up, or been claimed elsewhere, and
 *     have not been taken out yet)
 *   - the elements of `buffer`, from `head` on, are older than those of senders
 *
 * L: under the lock.  P: under the lock, anyone peeks.  I: never changes.
 */
#ifndef SK_SYNC_CHAN_H
#define SK_SYNC_CHAN_H

#include <string.h>

#include "os/clock.h"
#include "os/lock.h"
#include "skua/chan.h"
#include "sync/sleeper.h"

enum { SK_CHAN_INSIDE = 40 }; /* bytes of elements that need no memory of their own */

struct skua_chan {
    SK_LINE_ALIGNED sk_lock lock;
    sk_atomic(uint32_t) count;          /* P: elements in the buffer */
    uint32_t head;                      /* L: place of the oldest */
    uint32_t capacity;                  /* I */
    sk_atomic(uint32_t) closed;         /* P: 1: closed */
    sk_atomic(uint32_t) users;          /* anyone */
    sk_atomic(uint32_t) leaving;        /* P: of the users: those who come once more to leave a queue */
    size_t size;                        /* I: bytes of an element */
    char *buffer;                       /* I */
    sk_waiters receivers;               /* L */
    void (*gone)(skua_chan *c);         /* I: it lies in another object, which it is given back to; NULL: a slab's */
    SK_LINE_ALIGNED sk_waiters senders; /* L */
    uint64_t magic;                     /* I; SK_CHAN_LIVE */
    char inside[SK_CHAN_INSIDE];
};

#define SK_CHAN_LIVE UINT64_C(0x6368616e206c6976)
#define SK_CHAN_FREED UINT64_C(0x6368616e20676f6e)

enum { SK_WOULD_WAIT = 1 };

static inline uint64_t sk_chan_deadline(uint64_t timeout)
{
    return timeout == SKUA_FOREVER ? SK_NEVER : sk_deadline_after(sk_clock_ns(), timeout);
}

/* Makes a channel of the memory in another object, whose elements have room inside. gone: gets it back when nobody has
   it any more. */
void sk_chan_init(skua_chan *c, size_t size, uint32_t capacity, void (*gone)(skua_chan *c));

/* 0; -EINVAL, -ECHILD, -EBADF. */
int sk_chan_check(const skua_chan *c);

/*
 * Under the lock: sends or receives if that can be done at once.  0; -EPIPE;
 * SK_WOULD_WAIT.  *who: gets whom to wake after the lock was dropped, or NULL.
 */
int sk_chan_send_now(skua_chan *c, const void *element, sk_waiter **who);
int sk_chan_recv_now(skua_chan *c, void *element, sk_waiter **who);

/* After a wait that was not claimed there: leaves the queue. The channel is there until then, whoever has released it.
 */
void sk_chan_leave(skua_chan *c, sk_waiters *q, sk_waiter *waiter);

/* Without the lock: whether it is worth taking it, to send or to receive. A hint for who would wait otherwise, but
   "no" is the truth at some moment of the call. */
static inline bool sk_chan_may_send(const skua_chan *c)
{
    skua_chan *p = (skua_chan *)c;
    if (sk_load_rlx(&p->closed)) return true;
    return p->capacity ? sk_load_rlx(&p->count) < p->capacity : sk_waiters_first(&p->receivers) != NULL;
}

static inline bool sk_chan_may_recv(const skua_chan *c)
{
    skua_chan *p = (skua_chan *)c;
    if (p->capacity ? sk_load_rlx(&p->count) > 0 : sk_waiters_first(&p->senders) != NULL) return true;
    return sk_load_rlx(&p->closed);
}

/* Whether the caller, who has it, is the only one who does, and nobody waits there. */
static inline bool sk_chan_is_mine(skua_chan *c)
{
    /* [CH-A1] acquire; pairs with [CH-R1] in skua_chan_release: what the others did with it is done. */
    if (sk_load_acq(&c->users) != 1 || sk_waiters_first(&c->receivers) || sk_waiters_first(&c->senders)) return false;
    /* [CH-A2] acquire; pairs with [LO-R1]: whoever has just left a queue has left the lock. */
    return sk_load_acq(&c->lock.word) == 0;
}

/* Outcomes of a case: 2 * its number + 2, and one more when the channel has been closed. */
static inline uint32_t sk_case_outcome(size_t number)
{
    return 2 * (uint32_t)number + 2;
}

#endif
