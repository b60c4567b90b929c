/*
 * earliest.h: what makes a bounded queue (deque/bounded.h) give out first what
 * is due first: a heap behind it, which belongs to one thread at a time.
 *
 * Anyone pushes into the ring, as always.  Whoever holds the baton (QUEUE.md,
 * "Order by deadline") moves what has come from the ring into the heap, and takes
 * from there.  Equal ones come out as they came in, by their number in the ring.
 *
 * The bound is over both: a place is reserved before the push, and is free again
 * when the item is taken out of the heap.  What is queued is what has come into
 * the ring less what has been taken out of the heap; moving changes neither.
 *
 *   operation         by          promise
 *   reserve, is_full  any thread  lock-free
 *   doom, is_doomed   any thread  lock-free
 *   all else          the holder  no atomicity, no waiting; O(log n), doomed ones O(n)
 */
#ifndef SK_POOL_EARLIEST_H
#define SK_POOL_EARLIEST_H

#include <errno.h>

#include "base/atomic.h"
#include "base/base.h"
#include "base/heap.h"

/* A plain field that changes hands with the baton: the models watch that something orders those who touch it. */
#ifndef SK_EARLIEST_FIELD
#define SK_EARLIEST_FIELD(T) T
#endif

typedef struct sk_due_entry {
    uint64_t due;   /* ns on the monotonic clock; SK_NEVER: none */
    uint64_t order; /* how many came before it */
    void *item;
} sk_due_entry;

typedef struct sk_earliest {
    SK_LINE_ALIGNED sk_atomic(uint64_t) reserved; /* anyone: places given to pushers, in all */
    SK_LINE_ALIGNED sk_atomic(uint64_t) out;      /* holder writes: items taken out, in all */
    sk_atomic(uint64_t) doom;      /* anyone, only grows: whoever came before this number is to be dropped */
    sk_atomic(uint64_t) gone;      /* holder writes: `doom`, as far as it has been carried out */
    uint64_t moved;                /* holder: out of the ring, in all */
    SK_EARLIEST_FIELD(uint64_t) n; /* holder: entries of the heap */
    uint64_t doomed;               /* holder: behind them, those to be dropped */
    sk_due_entry *heap;            /* holder; its place is I */
    uint32_t bound;                /* I */
} sk_earliest;

/* 0 or -ENOMEM. */
static inline int sk_earliest_init(sk_earliest *e, uint32_t bound)
{
    sk_store_rlx(&e->reserved, UINT64_C(0));
    sk_store_rlx(&e->out, UINT64_C(0));
    sk_store_rlx(&e->doom, UINT64_C(0));
    sk_store_rlx(&e->gone, UINT64_C(0));
    e->moved = e->n = e->doomed = 0;
    e->bound = bound;
    e->heap = (sk_due_entry *)sk_heap_alloc_aligned(SK_CACHE_LINE, bound * sizeof(sk_due_entry));
    return e->heap ? 0 : -ENOMEM;
}

static inline void sk_earliest_fini(sk_earliest *e)
{
    sk_heap_free(e->heap);
    e->heap = NULL;
}

/* ---- anyone ---- */

/* A place for one item, to be pushed next. False: all are taken at some moment of the call. */
static inline bool sk_earliest_reserve(sk_earliest *e)
{
    uint64_t reserved = sk_load_rlx(&e->reserved);
    /* [DL-A1] acquire; pairs with [DL-R1]: who finds a place free finds the ring's slot empty. Read after `reserved`:
       the difference was true at that moment, or the compare-and-swap fails. */
    while (reserved - sk_load_acq(&e->out) < e->bound)
        if (sk_cas_rlx(&e->reserved, &reserved, reserved + 1)) return true;
    return false;
}

static inline bool sk_earliest_is_full(sk_earliest *e)
{
    uint64_t reserved = sk_load_rlx(&e->reserved);
    return reserved - sk_load_acq(&e->out) >= e->bound; /* [DL-A2] acquire; as [DL-A1]. */
}

static inline uint64_t sk_earliest_taken(sk_earliest *e)
{
    /* [DL-A3] acquire; pairs with [DL-R1]: who counts an item as taken sees the slot that it was taken for. */
    return sk_load_acq(&e->out);
}

/* Whoever came before this number is to be dropped. A full fence has to follow, before the look for a holder. */
static inline void sk_earliest_doom(sk_earliest *e, uint64_t number)
{
    uint64_t doom = sk_load_rlx(&e->doom);
    while (doom < number && !sk_cas_rlx(&e->doom, &doom, number)) {
    }
}

static inline bool sk_earliest_is_doomed(sk_earliest *e)
{
    return sk_load_rlx(&e->doom) != sk_load_rlx(&e->gone);
}

/* ---- the holder ---- */

static inline bool sk_is_earlier(const sk_due_entry *a, const sk_due_entry *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

/* Puts an entry where it belongs on the way from the leaf `at` to the root. */
static inline void sk_earliest_rise(sk_earliest *e, uint64_t at, sk_due_entry entry)
{
    for (uint64_t above; at && sk_is_earlier(&entry, &e->heap[above = (at - 1) / 2]); at = above)
        e->heap[at] = e->heap[above];
    e->heap[at] = entry;
}

/* The same from `at` downwards. */
static inline void sk_earliest_sink(sk_earliest *e, uint64_t at, sk_due_entry entry)
{
    for (uint64_t below; (below = 2 * at + 1) < e->n; at = below) {
        below += below + 1 < e->n && sk_is_earlier(&e->heap[below + 1], &e->heap[below]);
        if (!sk_is_earlier(&e->heap[below], &entry)) break;
        e->heap[at] = e->heap[below];
    }
    e->heap[at] = entry;
}

/* The next that came out of the ring. */
static inline void sk_earliest_add(sk_earliest *e, uint64_t due, void *item)
{
    sk_due_entry entry = {due, e->moved++, item};
    sk_assert(e->n + e->doomed < e->bound);
    if (sk_unlikely(e->doomed != 0)) e->heap[e->n + e->doomed] = e->heap[e->n];
    sk_earliest_rise(e, e->n++, entry);
}

static inline void sk_earliest_count_out(sk_earliest *e)
{
    /* [DL-R1] release; pairs with [DL-A1] and [DL-A3]. */
    sk_store_rel(&e->out, sk_load_rlx(&e->out) + 1);
}

/* The earliest; NULL: none. */
static inline void *sk_earliest_take(sk_earliest *e)
{
    if (e->n == 0) return NULL;
    void *item = e->heap[0].item;
    sk_due_entry last = e->heap[--e->n];
    if (e->n) sk_earliest_sink(e, 0, last);
    if (sk_unlikely(e->doomed != 0)) e->heap[e->n] = e->heap[e->n + e->doomed];
    sk_earliest_count_out(e);
    return item;
}

/* After all that had come was moved: those who were to be dropped go behind the heap. Returns how many stand there. */
static inline uint64_t sk_earliest_sort_out(sk_earliest *e, uint64_t doom)
{
    uint64_t n = e->n, kept = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (e->heap[i].order < doom) continue;
        sk_due_entry entry = e->heap[i];
        e->heap[i] = e->heap[kept];
        e->heap[kept++] = entry;
    }
    e->n = kept;
    e->doomed += n - kept;
    for (uint64_t i = kept / 2; i-- > 0;) sk_earliest_sink(e, i, e->heap[i]);
    return e->doomed;
}

/* One of those; NULL: none is left. */
static inline void *sk_earliest_take_doomed(sk_earliest *e)
{
    if (e->doomed == 0) return NULL;
    void *item = e->heap[e->n + --e->doomed].item;
    sk_earliest_count_out(e);
    return item;
}

#endif
