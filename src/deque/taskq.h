/*
 * taskq.h: the task queue of a worker: one pusher, everybody takes from the top.
 *
 * A circular array after Chase and Lev (SPAA 2005), turned into a FIFO: the
 * owner pushes at the bottom, and the owner and the thieves alike remove at the
 * top by compare-and-swap.  A thief takes half of what it sees in one swap, but
 * no more than SK_TASKQ_LOOT.  From a queue longer than that the owner may also
 * take the newest item: there is no race with thieves over it, since the oldest
 * SK_TASKQ_LOOT are left alone.  The proof is in README.md, "The task queue".
 *
 * Who may run beside whom, and what each promises:
 *
 *   operation      by          beside                    promise
 *   push           the owner   try_steal, size           wait-free; growth: O(n) and one allocation
 *   take           the owner   try_steal, size           lock-free: a lost race is another one's success
 *   take_newest    the owner   try_steal, size           wait-free
 *   try_steal      any thread  everything but init/fini  wait-free
 *   try_move       any thread  everything but init/fini  wait-free; the thief owns the queue that it moves to
 *   size           any thread  everything but init/fini  wait-free, a hint
 *   init fini check  anybody     nothing                   -
 *
 * A thief holds an RCU read section around the call, or whatever else keeps a
 * retired buffer alive: growth hands the old buffer to `retire`, and a thief
 * may still be reading it.
 */
#ifndef SK_DEQUE_TASKQ_H
#define SK_DEQUE_TASKQ_H

#include "base/atomic.h"
#include "base/base.h"
#include "deque/slots.h"

#define SK_TASKQ_LOG2_MAX 30u

/* The most that a thief takes at a time, and the least that is left when the newest is taken. */
#ifndef SK_TASKQ_LOOT
#define SK_TASKQ_LOOT 64
#endif

typedef struct sk_taskq_buffer {
    uint64_t mask;                /* I: capacity - 1 */
    sk_item_slot *slots;          /* I: the array; each slot: W, read by thieves */
    void *block;                  /* I: what the slots' memory goes back as */
    struct sk_taskq_buffer *next; /* O: the buffers kept by a queue without a retire function */
    uintptr_t room[2];            /* for the retire function, once the buffer is its own: a link or an rcu_head */
} sk_taskq_buffer;

/* Called by the owner inside push. The buffer is to be given to sk_taskq_buffer_free once no thief can hold it. */
typedef void sk_taskq_retire_fn(void *ctx, sk_taskq_buffer *old);

typedef struct sk_taskq {
    SK_LINE_ALIGNED sk_atomic(uint64_t) top;    /* anyone moves it forward, by CAS only */
    SK_LINE_ALIGNED sk_atomic(uint64_t) bottom; /* W: owner writes, anyone reads */
    sk_atomic(sk_taskq_buffer *) buffer;        /* W: owner writes, anyone reads */
    uint64_t top_seen;                          /* O: a value that top had; spares push the shared line */
    sk_taskq_buffer *kept;                      /* O: outgrown buffers, when there is no retire function */
    sk_taskq_retire_fn *retire;                 /* I: may be NULL: then they are kept until fini */
    void *retire_ctx;                           /* I */
} sk_taskq;

static inline void sk_taskq_buffer_free(sk_taskq_buffer *buffer)
{
    sk_slots_delete(sk_item_slot, buffer->block);
    SK_DEQUE_FREE(buffer);
}

static inline sk_taskq_buffer *sk_taskq_buffer_new(uint64_t capacity)
{
    sk_taskq_buffer *buffer = (sk_taskq_buffer *)SK_DEQUE_CALLOC(1, sizeof *buffer);
    if (!buffer) return NULL;
    buffer->mask = capacity - 1;
    buffer->slots = sk_slots_new(sk_item_slot, capacity, &buffer->block);
    if (buffer->slots) return buffer;
    SK_DEQUE_FREE(buffer);
    return NULL;
}

/* The slot of an index. Indices run through all of uint64_t and wrap; only their signed differences mean anything. */
static inline sk_item_slot *sk_taskq_slot(const sk_taskq_buffer *buffer, uint64_t index)
{
    return &buffer->slots[index & buffer->mask];
}

/* As sk_taskq_init, with the first index: tests start just below 2^64. */
static inline int sk_taskq_init_at(sk_taskq *q, unsigned log2_capacity, sk_taskq_retire_fn *retire, void *ctx,
                                   uint64_t first)
{
    if (log2_capacity > SK_TASKQ_LOG2_MAX) return -EINVAL;
    sk_taskq_buffer *buffer = sk_taskq_buffer_new(1ull << log2_capacity);
    if (!buffer) return -ENOMEM;
    sk_store_rlx(&q->top, first);
    sk_store_rlx(&q->bottom, first);
    sk_store_rlx(&q->buffer, buffer);
    q->top_seen = first;
    q->kept = NULL;
    q->retire = retire;
    q->retire_ctx = ctx;
    return 0;
}

/* 0, -ENOMEM, or -EINVAL above SK_TASKQ_LOG2_MAX. The caller publishes the queue to other threads. */
static inline int sk_taskq_init(sk_taskq *q, unsigned log2_capacity, sk_taskq_retire_fn *retire, void *ctx)
{
    return sk_taskq_init_at(q, log2_capacity, retire, ctx, 0);
}

/* Frees the array; what is still queued is forgotten. Nobody may be using the queue. */
static inline void sk_taskq_fini(sk_taskq *q)
{
    sk_taskq_buffer_free(sk_load_rlx(&q->buffer));
    sk_store_rlx(&q->buffer, (sk_taskq_buffer *)NULL);
    while (q->kept) {
        sk_taskq_buffer *outgrown = q->kept;
        q->kept = outgrown->next;
        sk_taskq_buffer_free(outgrown);
    }
}

/* Twice the room. Thieves in the old buffer find it unchanged; `bottom` is not moved, so a failure changes nothing. */
static sk_unused sk_noinline int sk_taskq_grow(sk_taskq *q, uint64_t top, uint64_t bottom)
{
    sk_taskq_buffer *old = sk_load_rlx(&q->buffer);
    if ((old->mask + 1) >> SK_TASKQ_LOG2_MAX) return -ENOMEM;
    sk_taskq_buffer *wide = sk_taskq_buffer_new((old->mask + 1) * 2);
    if (!wide) return -ENOMEM;
    for (uint64_t i = top; i != bottom; i++) {
        void *item = sk_load_rlx(sk_taskq_slot(old, i));
        sk_store_rlx(sk_taskq_slot(wide, i), item);
    }
    /* [DQ-R2] release; pairs with [DQ-A2] in sk_taskq_try_steal. Without it a thief could look into the new buffer
       before its mask and its copied items are there, and carry off a NULL or a stale pointer. */
    sk_store_rel(&q->buffer, wide);
    if (q->retire) {
        q->retire(q->retire_ctx, old);
    } else {
        old->next = q->kept;
        q->kept = old;
    }
    return 0;
}

/* The queue looked full: read the real top, and grow if it is no better. */
static sk_unused sk_noinline int sk_taskq_make_room(sk_taskq *q, uint64_t bottom)
{
    /* [DQ-A3] acquire; pairs with [DQ-R3] in sk_taskq_try_steal and [DQ-R5]. Without it the owner could write its next
       item into a slot which the thief that emptied it has not read yet. */
    q->top_seen = sk_load_acq(&q->top);
    if (bottom - q->top_seen <= sk_load_rlx(&q->buffer)->mask) return 0;
    return sk_taskq_grow(q, q->top_seen, bottom);
}

/* Owner: appends a non-NULL item. 0, or -ENOMEM when it had to grow and could not: then nothing has changed. */
static inline int sk_taskq_push(sk_taskq *q, void *item)
{
    uint64_t bottom = sk_load_rlx(&q->bottom);
    sk_taskq_buffer *buffer = sk_load_rlx(&q->buffer);
    if (sk_unlikely(bottom - q->top_seen > buffer->mask)) {
        int error = sk_taskq_make_room(q, bottom);
        if (error) return error;
        buffer = sk_load_rlx(&q->buffer);
    }
    sk_store_rlx(sk_taskq_slot(buffer, bottom), item);
    /* [DQ-R1] release; pairs with [DQ-A1] in sk_taskq_try_steal. Without it a thief could read the slot before the
       item, or the item before what it points to, was written; or the buffer that came before this one. */
    sk_store_rel(&q->bottom, bottom + 1);
    return 0;
}

/* Owner: removes the oldest item; NULL when there is none. Goes round again only when a thief has just succeeded. */
static inline void *sk_taskq_take(sk_taskq *q)
{
    uint64_t bottom = sk_load_rlx(&q->bottom);
    sk_taskq_buffer *buffer = sk_load_rlx(&q->buffer);
    uint64_t top = sk_load_rlx(&q->top);
    while (top != bottom) {
        void *item = sk_load_rlx(sk_taskq_slot(buffer, top));
        /* [DQ-A4] acquire; pairs with [DQ-R3] in sk_taskq_try_steal and [DQ-R5]. Without it top_seen would let push
           reuse a slot which the thief that emptied it has not read yet. No release: only the owner itself writes
           slots. */
        if (sk_cas_acq(&q->top, &top, top + 1)) {
            q->top_seen = top + 1;
            return item;
        }
    }
    return NULL;
}

/* Owner: removes the newest item, if at least SK_TASKQ_LOOT older ones stay; NULL: there are not so many. */
static inline void *sk_taskq_take_newest(sk_taskq *q)
{
    uint64_t bottom = sk_load_rlx(&q->bottom) - 1;
    /* [DQ-R6] release; pairs with [DQ-A1] and [DQ-A6]: as [DQ-R1], for the items below. */
    sk_store_rel(&q->bottom, bottom);
    /* [DQ-F1] full fence; pairs with [DQ-F2] and [DQ-F3] in the steals: whoever reads a newer top than we do next finds
       the item gone. Without it a thief could take it, too. */
    sk_fence_sc();
    if (sk_likely((int64_t)(bottom - sk_load_rlx(&q->top)) >= SK_TASKQ_LOOT))
        return sk_load_rlx(sk_taskq_slot(sk_load_rlx(&q->buffer), bottom));
    /* [DQ-R7] release; pairs with [DQ-A1] and [DQ-A6]: as [DQ-R1]. */
    sk_store_rel(&q->bottom, bottom + 1);
    return NULL;
}

/*
 * Any thread: takes the older half, rounded up, at most max (>= 1) and SK_TASKQ_LOOT, into out.
 * The number taken; 0 when the queue looked empty; -EAGAIN when somebody else
 * was faster: there may be more.  `out` may be scribbled over in every case.
 */
static inline int sk_taskq_try_steal(sk_taskq *q, void **out, uint32_t max)
{
    uint64_t top = sk_load_rlx(&q->top);
    sk_fence_sc(); /* [DQ-F2] full fence; pairs with [DQ-F1]: see there. */
    /* [DQ-A1] acquire; pairs with [DQ-R1] in sk_taskq_push. */
    int64_t queued = (int64_t)(sk_load_acq(&q->bottom) - top);
    if (queued <= 0) return 0;
    uint32_t n = (uint32_t)sk_min((uint64_t)(queued + 1) / 2, (uint64_t)sk_min(max, (uint32_t)SK_TASKQ_LOOT));
    /* [DQ-A2] acquire; pairs with [DQ-R2] in sk_taskq_grow. It stands after the load of bottom, so that the buffer is
       at least as new as the newest item counted. */
    const sk_taskq_buffer *buffer = sk_load_acq(&q->buffer);
    for (uint32_t i = 0; i < n; i++) out[i] = sk_load_rlx(sk_taskq_slot(buffer, top + i));
    /* [DQ-R3] release; pairs with [DQ-A3] in sk_taskq_make_room and [DQ-A4] in sk_taskq_take: our reads of the slots
       are over before the owner learns that they are free. Without it the owner could overwrite them under us. */
    return sk_cas_rel(&q->top, &top, top + n) ? (int)n : -EAGAIN;
}

/*
 * The same, straight into the thief's own queue, which is not grown for it.  The
 * items are written behind its bottom, where nobody looks, before the swap that
 * takes them, and shown by one store after it: a thief frozen anywhere but
 * between those two holds nothing.  0 also when `own` has no room.
 */
static inline int sk_taskq_try_move(sk_taskq *victim, sk_taskq *own, uint32_t max)
{
    uint64_t top = sk_load_rlx(&victim->top);
    sk_fence_sc(); /* [DQ-F3] full fence; pairs with [DQ-F1]: see there. */
    /* [DQ-A6] acquire; pairs with [DQ-R1] and [DQ-R4]. */
    int64_t queued = (int64_t)(sk_load_acq(&victim->bottom) - top);
    if (queued <= 0) return 0;
    uint64_t end = sk_load_rlx(&own->bottom);
    const sk_taskq_buffer *room = sk_load_rlx(&own->buffer);
    /* [DQ-A5] acquire; pairs with [DQ-R3] and [DQ-R5]: as [DQ-A3]. */
    own->top_seen = sk_load_acq(&own->top);
    max = (uint32_t)sk_min((uint64_t)sk_min(max, (uint32_t)SK_TASKQ_LOOT), room->mask + 1 - (end - own->top_seen));
    if (max == 0) return 0;
    uint32_t n = (uint32_t)sk_min((uint64_t)(queued + 1) / 2, (uint64_t)max);
    /* [DQ-A7] acquire; pairs with [DQ-R2], after the load of bottom: as [DQ-A2]. */
    const sk_taskq_buffer *buffer = sk_load_acq(&victim->buffer);
    for (uint32_t i = 0; i < n; i++) {
        void *item = sk_load_rlx(sk_taskq_slot(buffer, top + i));
        sk_store_rlx(sk_taskq_slot(room, end + i), item);
    }
    /* [DQ-R5] release; pairs with [DQ-A3], [DQ-A4] and [DQ-A5]: as [DQ-R3]. */
    if (!sk_cas_rel(&victim->top, &top, top + n)) return -EAGAIN;
    /* [DQ-R4] release; pairs with [DQ-A1] and [DQ-A6]: as [DQ-R1]. What the items point to was seen by [DQ-A6]. */
    sk_store_rel(&own->bottom, end + n);
    return (int)n;
}

/* try_steal for those who do not care why: the number taken, 0 when empty or when the race was lost. */
static inline uint32_t sk_taskq_steal(sk_taskq *victim, void **out, uint32_t max)
{
    int taken = sk_taskq_try_steal(victim, out, max);
    return taken > 0 ? (uint32_t)taken : 0;
}

/* About how many are queued. Exact for the owner when no thief is about; for others an estimate of the recent past. */
static inline uint64_t sk_taskq_size(const sk_taskq *q)
{
    uint64_t top = sk_load_rlx(&q->top);
    int64_t queued = (int64_t)(sk_load_rlx(&q->bottom) - top);
    return queued > 0 ? (uint64_t)queued : 0;
}

/* At rest: do the indices, the buffer and the items agree? */
static inline bool sk_taskq_check(const sk_taskq *q)
{
    const sk_taskq_buffer *buffer = sk_load_rlx(&q->buffer);
    uint64_t top = sk_load_rlx(&q->top), bottom = sk_load_rlx(&q->bottom);
    if (!buffer || !sk_is_pow2(buffer->mask + 1)) return false;
    if (bottom - top > buffer->mask + 1) return false;         /* top never passes bottom, live items fit */
    if (bottom - q->top_seen > buffer->mask + 1) return false; /* push never wrote over what it had not seen go */
    if ((int64_t)(top - q->top_seen) < 0) return false;        /* what was seen has been */
    for (uint64_t i = top; i != bottom; i++) {
        if (!sk_load_rlx(sk_taskq_slot(buffer, i))) return false;
    }
    return true;
}

#endif
