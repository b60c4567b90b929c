/*
 * storage.h: tasks in memory of the caller's; see skua/storage.h, and "Storage of
 * the caller" in QUEUE.md.
 *
 * The queue holds the storage itself, as a pointer with its lowest bit set.
 * Whoever takes it out makes a task of it (sk_stored_start), whose function is
 * sk_stored_body and whose argument is the storage; or ends it without one.
 *
 * The word:   serial:62 | waited | busy
 *
 *   busy     from the claim of a submission until its end is told
 *   waited   somebody waits for that: who tells it has to wake
 *   serial   how many submissions there have been
 *
 * In the same step in which `busy` goes the storage is the caller's again.
 */
#ifndef SK_POOL_STORAGE_H
#define SK_POOL_STORAGE_H

#include "pool/pool.h"
#include "skua/storage.h"

#define SK_STORED_BUSY UINT64_C(1)
#define SK_STORED_WAITED UINT64_C(2)
#define SK_STORED_SERIAL UINT64_C(4)

/* What a skua_task_storage is. may_alias: its owner may have written it as that. */
typedef struct __attribute__((may_alias)) sk_stored {
    sk_atomic(uint64_t) word; /* anyone, see above */
    skua_fn *fn;              /* I from init; NULL: the pool's */
    void *arg;                /* I from init */
    /* Of a submission, written by whoever has it in hand: its submitter, its taker, its runner. */
    skua_fn *run;             /* the function */
    uint64_t swept;           /* sk_pool_swept when it was submitted */
    uint64_t at;              /* ns, in a measured pool: when it was submitted, then when it was started */
    sk_atomic(void *) caller; /* who runs it, if that is its submitter; anyone asks whether it is he */
    sk_atomic(int) result;    /* of the latest submission that has ended */
    uint16_t made;            /* SK_STORED_MADE from init */
    bool started;             /* its function has been called */
} sk_stored;

#define SK_STORED_MADE 0x5354u

/* ---- what stands in the queue (any thread) ---- */

static inline void *sk_stored_item(sk_stored *s)
{
    return (char *)s + 1;
}

static inline bool sk_is_stored(const void *item)
{
    return sk_unlikely((uintptr_t)item & 1);
}

static inline sk_stored *sk_stored_of(void *item)
{
    return (sk_stored *)(void *)((char *)item - 1);
}

/* ---- a submission ---- */

/* For the submitter alone, from idle. 0 or -EINVAL, -EBUSY. */
int sk_stored_claim(sk_stored *s, skua_pool *pool);

/* It was refused, and is idle as before. */
void sk_stored_disclaim(sk_stored *s);

/*
 * Of one that was taken out of the queue with a slot: its task, in the caller's
 * hand.  NULL: it has ended without one (cancelled, or no memory), and the slot is
 * the caller's still.  Any thread; w: the caller's worker or NULL.
 */
sk_task *sk_stored_start(skua_pool *pool, sk_worker *w, sk_stored *s);

/* Ends one that was taken out of the queue with a slot, without a task; the slot stays the caller's. Any thread. */
void sk_stored_end_unstarted(skua_pool *pool, sk_worker *w, sk_stored *s, sk_end end, int result);

/* The body of their tasks. */
int sk_stored_body(void *arg);

/* Such a task has ended: counts and tells it. Its slot stays the caller's. */
void sk_stored_ended(skua_pool *pool, sk_worker *w, sk_task *t, sk_end end, int result);

/* ---- its submitter runs it himself ---- */

typedef struct sk_stored_here {
    skua_pool *pool;
    sk_stored *stored;
    int result;            /* unless it gives up */
    uint64_t began, ended; /* ns, in a measured pool; 0: not yet */
} sk_stored_here;

/* The call; gets a sk_stored_here. */
int sk_stored_call(void *here);

/* After it: its times, into those of the pool, which is measured. */
void sk_stored_count_here(const sk_stored_here *here, const sk_worker *w);

/* The submission has ended, and is counted: tells it. */
void sk_stored_tell(sk_stored *s, int result);

#endif
