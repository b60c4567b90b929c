/*
 * bounded.h: a bounded first-in first-out queue of pointers, for any number of pushers and poppers.
 *
 * Strictly lock-free: a thread frozen at any instruction blocks nobody, unlike
 * in the common rings with a sequence number per slot, where a pusher frozen
 * between claiming a slot and filling it stops all poppers.  Here one CAS on the
 * slot does both, and head and tail are cursors that follow (after Tsigas and
 * Zhang, SPAA 2001): whoever finds them behind reads on in the slots.
 * README.md has the proof, "The bounded queue".
 *
 * A slot is one word, seen from the lap (index / slots) of whoever looks:
 *
 *   empty   0 lap:63                     waits for the item of that lap
 *   item    1 lap:15 pointer:48          holds the item of that lap
 *
 *   empty(lap) --push--> item(lap) --pop--> empty(lap + 1) --push--> ...
 *
 * Laps are compared by their low 15 bits, signed; the full lap in an empty
 * word is there to make words unlike for the CAS.
 *
 * Who may run beside whom, and what each promises:
 *
 *   operation       by          beside      promise
 *   push            any thread  everything  lock-free
 *   pop, pop_many   any thread  everything  lock-free
 *   size            any thread  everything  wait-free, a hint
 *   init fini check anybody     nothing     -
 */
#ifndef SK_DEQUE_BOUNDED_H
#define SK_DEQUE_BOUNDED_H

#include "base/atomic.h"
#include "base/base.h"
#include "deque/slots.h"

#define SK_BOUNDED_MAX (1u << 24)

/* The least number of slots, however small the bound: neighbours in time should not be neighbours in a cache line. */
#ifndef SK_BOUNDED_MIN_SLOTS
#define SK_BOUNDED_MIN_SLOTS 64u
#endif

/* How far a cursor's sure word may stay behind before it is moved: once a cache line of slots. */
#ifndef SK_BOUNDED_LAG
#define SK_BOUNDED_LAG 8
#endif

#define SK_BOUNDED_ITEM (1ull << 63)
#define SK_BOUNDED_POINTER ((1ull << 48) - 1)
#define SK_BOUNDED_LAPS 0x7fffull

/* An index below which all is done: filled, for the tail, popped, for the head. It may be behind, never ahead. */
typedef struct sk_bounded_cursor {
    SK_LINE_ALIGNED sk_atomic(uint64_t) sure; /* anyone moves it forward, by CAS only; behind by a bounded lag */
    sk_atomic(uint64_t) hint;                 /* anyone stores; the newest word on it, or an old one */
    sk_atomic(uint64_t) head_seen;            /* tail's only, pushers store: a value of head; spares head's line */
} sk_bounded_cursor;

typedef struct sk_bounded {
    sk_bounded_cursor head;              /* moved by poppers */
    sk_bounded_cursor tail;              /* moved by pushers */
    SK_LINE_ALIGNED sk_word_slot *slots; /* I: the array; each slot changed by CAS only */
    uint64_t mask;                       /* I: slots - 1 */
    unsigned shift;                      /* I: log2(slots) */
    uint32_t bound;                      /* I: the most items at a time */
    void *block;                         /* I: what the slots' memory goes back as */
} sk_bounded;

/* As sk_bounded_init, with the number of the first lap: tests start just below the wrap of the index. */
static inline int sk_bounded_init_at(sk_bounded *q, uint32_t bound, uint64_t lap)
{
    if (bound < 1 || bound > SK_BOUNDED_MAX) return -EINVAL;
    uint64_t slots = 1ull << sk_log2_ceil(sk_max(bound, SK_BOUNDED_MIN_SLOTS));
    q->slots = sk_slots_new(sk_word_slot, slots, &q->block);
    if (!q->slots) return -ENOMEM;
    q->mask = slots - 1;
    q->shift = sk_log2_ceil(slots);
    q->bound = bound;
    for (uint64_t i = 0; lap && i < slots; i++) sk_store_rlx(&q->slots[i], lap); /* lap 0 is there already */
    uint64_t first = lap << q->shift;
    sk_store_rlx(&q->head.sure, first);
    sk_store_rlx(&q->head.hint, first);
    sk_store_rlx(&q->tail.sure, first);
    sk_store_rlx(&q->tail.hint, first);
    sk_store_rlx(&q->tail.head_seen, first);
    return 0;
}

/* 0, -ENOMEM, or -EINVAL unless 1 <= bound <= SK_BOUNDED_MAX. The caller publishes the queue to other threads. */
static inline int sk_bounded_init(sk_bounded *q, uint32_t bound)
{
    return sk_bounded_init_at(q, bound, 0);
}

/* Frees the array; what is still queued is forgotten. Nobody may be using the queue. */
static inline void sk_bounded_fini(sk_bounded *q)
{
    sk_slots_delete(sk_word_slot, q->block);
    q->slots = NULL;
}

static inline sk_word_slot *sk_bounded_slot(const sk_bounded *q, uint64_t index)
{
    return &q->slots[index & q->mask];
}

static inline uint64_t sk_bounded_lap(const sk_bounded *q, uint64_t index)
{
    return index >> q->shift;
}

/* How the slot's word stands to an index: 0 its own lap, negative an earlier one, positive: that index is done. */
static inline int sk_bounded_laps_past(const sk_bounded *q, uint64_t word, uint64_t index)
{
    uint64_t lap = word & SK_BOUNDED_ITEM ? word >> 48 : word;
    uint64_t past = (lap - sk_bounded_lap(q, index)) & SK_BOUNDED_LAPS;
    return (int)past - (past > SK_BOUNDED_LAPS / 2 ? (int)SK_BOUNDED_LAPS + 1 : 0);
}

/* Empty, and waiting for the item of this very index? */
static inline bool sk_bounded_awaits(const sk_bounded *q, uint64_t word, uint64_t index)
{
    return !(word & SK_BOUNDED_ITEM) && !((word ^ sk_bounded_lap(q, index)) & SK_BOUNDED_LAPS);
}

/* Holding the item of this very index? */
static inline bool sk_bounded_holds(const sk_bounded *q, uint64_t word, uint64_t index)
{
    return word >> 48 == (sk_bounded_lap(q, index) & SK_BOUNDED_LAPS) + (SK_BOUNDED_ITEM >> 48);
}

/* How far a cursor is known to have come: every value that either word ever had is true for good. */
static inline uint64_t sk_bounded_look(const sk_bounded_cursor *cursor)
{
    /* [BQ-A2] acquire; pairs with [BQ-R2] in sk_bounded_move. */
    uint64_t sure = sk_load_acq(&cursor->sure);
    /* [BQ-A3] acquire; pairs with [BQ-R3] in sk_bounded_move. */
    uint64_t hint = sk_load_acq(&cursor->hint);
    return (int64_t)(hint - sure) > 0 ? hint : sure;
}

/* All below `to` is done: says so in the hint, and in the sure word if that is SK_BOUNDED_LAG behind. */
static inline void sk_bounded_move(sk_bounded_cursor *cursor, uint64_t to)
{
    /* [BQ-R3] release; pairs with [BQ-A3] in sk_bounded_look. Without it somebody could start from here and still see
       a slot as it was before: a pusher one that looks filled, a popper one that looks empty. */
    sk_store_rel(&cursor->hint, to);
    uint64_t sure = sk_load_rlx(&cursor->sure);
    while ((int64_t)(to - sure) >= SK_BOUNDED_LAG) {
        /* [BQ-R2] release; pairs with [BQ-A2] in sk_bounded_look. As [BQ-R3]. */
        if (sk_cas_rel(&cursor->sure, &sure, to)) return;
    }
}

/* The queue looked full from index `tail`: is it, by where head really is? `seen` is where head has been. */
static sk_unused sk_noinline bool sk_bounded_is_full(sk_bounded *q, uint64_t tail, uint64_t seen)
{
    uint64_t head = sk_bounded_look(&q->head);
    if ((int64_t)(seen - head) > 0) head = seen; /* a popper frozen in a large batch: what was scanned once stays so */
    for (;;) {
        if ((int64_t)(tail - head) < (int64_t)q->bound) {
            /* [BQ-R4] release; pairs with [BQ-A4] in sk_bounded_push: hands on what we saw of head. */
            sk_store_rel(&q->tail.head_seen, head);
            return false;
        }
        /* [BQ-A5] acquire; pairs with [BQ-A1] in sk_bounded_pop_many, a release too. Without it we could see that an
           item has gone, but not what its popper popped before, and report a full queue. */
        uint64_t word = sk_load_acq(sk_bounded_slot(q, head));
        uint64_t now = sk_bounded_look(&q->head);
        if ((int64_t)(now - head) > 0) {
            head = now;
        } else if (sk_bounded_laps_past(q, word, head) > 0) {
            head++; /* popped by somebody who has not moved the cursor, and may be frozen: go on without him */
        } else {
            return true; /* the item of `head` was there, and all from it to tail: so many at that moment */
        }
    }
}

/* Any thread: appends an item. 0; -EAGAIN when full; -EINVAL for NULL and for pointers of more than 48 bits. */
static inline int sk_bounded_push(sk_bounded *q, void *item)
{
    uint64_t pointer = (uint64_t)(uintptr_t)item;
    if (sk_unlikely(pointer - 1 >= SK_BOUNDED_POINTER)) return -EINVAL;
    uint64_t at = sk_bounded_look(&q->tail);
    for (;;) {
        /* [BQ-A4] acquire; pairs with [BQ-R4] in sk_bounded_is_full. Without it we could see the slot as it was a lap
           ago, although head has passed it. */
        uint64_t seen = sk_load_acq(&q->tail.head_seen);
        if (sk_unlikely((int64_t)(at - seen) >= (int64_t)q->bound) && sk_bounded_is_full(q, at, seen)) return -EAGAIN;
        uint64_t lap = sk_bounded_lap(q, at);
        uint64_t filled = SK_BOUNDED_ITEM | (lap & SK_BOUNDED_LAPS) << 48 | pointer;
        uint64_t word = lap; /* a guess, nearly always right: it saves fetching the line twice */
        do {
            /* [BQ-R1] release; pairs with [BQ-A1] and [BQ-A6] in sk_bounded_pop_many. Without it a popper could read
               what the item points to before it was written. Acquire too, when it fails: whoever sees that another
               has pushed must see what that one has popped before, or it could report a full queue. Sequentially
               consistent, as are [BQ-A6] to [BQ-A8]: users publish an item and then look for consumers, and
               consumers announce themselves and then look for items; one of the two must see the other. */
            if (sk_likely(sk_cas_sc(sk_bounded_slot(q, at), &word, filled))) {
                sk_bounded_move(&q->tail, at + 1);
                return 0;
            }
        } while (sk_bounded_awaits(q, word, at));
        uint64_t now = sk_bounded_look(&q->tail);
        /* Filled by somebody who may be frozen before he moves the cursor: go on without him. */
        at = (int64_t)(now - at) > 0 ? now : at + (sk_bounded_laps_past(q, word, at) >= 0);
    }
}

/*
 * Any thread: takes up to max of the oldest items, in order; returns how many,
 * less than max only if the queue was empty at some moment of the call.
 */
static inline uint32_t sk_bounded_pop_many(sk_bounded *q, void **out, uint32_t max)
{
    uint64_t at = sk_bounded_look(&q->head);
    uint32_t taken = 0;
    while (taken < max) {
        /* [BQ-A6] acquire; pairs with [BQ-A1] below. Without it we could see that an item has gone, but not what its
           popper pushed before, and report an empty queue. */
        uint64_t word = sk_load_sc(sk_bounded_slot(q, at));
        if (sk_likely(sk_bounded_holds(q, word, at))) {
            /* [BQ-A1] acquire, pairs with [BQ-R1] in sk_bounded_push; release, pairs with [BQ-A6] and [BQ-A5]. */
            if (!sk_cas_ar(sk_bounded_slot(q, at), &word, sk_bounded_lap(q, at) + 1)) continue;
            out[taken++] = (void *)(uintptr_t)(word & SK_BOUNDED_POINTER);
            at++;
            continue;
        }
        uint64_t now = sk_bounded_look(&q->head);
        if ((int64_t)(now - at) > 0) {
            at = now; /* others have gone on without us */
        } else if (sk_bounded_laps_past(q, word, at) > 0) {
            at++; /* popped by somebody who has not moved the cursor yet */
        } else {
            break; /* it waits for its item, and nobody has gone past it: the queue is empty */
        }
    }
    if (taken) sk_bounded_move(&q->head, at);
    return taken;
}

/* Any thread: what a pop would soon return, `ahead` places behind the oldest; NULL when unknown. A hint, to prefetch.
 */
static inline void *sk_bounded_peek(const sk_bounded *q, uint32_t ahead)
{
    uint64_t at = sk_load_rlx(&q->head.hint) + ahead;
    uint64_t word = sk_load_rlx(sk_bounded_slot(q, at));
    return word & SK_BOUNDED_ITEM ? (void *)(uintptr_t)(word & SK_BOUNDED_POINTER) : NULL;
}

/* Any thread: takes the oldest item; NULL only if the queue was empty at some moment of the call. */
static inline void *sk_bounded_pop(sk_bounded *q)
{
    void *item = NULL;
    (void)sk_bounded_pop_many(q, &item, 1);
    return item;
}

/* Any thread: whether a push would find the queue full. */
static inline bool sk_bounded_is_full_now(sk_bounded *q)
{
    uint64_t at = sk_bounded_look(&q->tail);
    for (;;) {
        /* [BQ-A9] acquire; pairs with [BQ-R4], as [BQ-A4]. */
        uint64_t seen = sk_load_acq(&q->tail.head_seen);
        if ((int64_t)(at - seen) >= (int64_t)q->bound && sk_bounded_is_full(q, at, seen)) return true;
        /* [BQ-A10] acquire; pairs with [BQ-R1], as the push that fails. The cursor may stand still behind filled slots.
           Go on as a push would, or the two could disagree for ever, and a submitter that is told of room spin. */
        uint64_t word = sk_load_acq(sk_bounded_slot(q, at));
        if (sk_bounded_awaits(q, word, at)) return false;
        uint64_t now = sk_bounded_look(&q->tail);
        at = (int64_t)(now - at) > 0 ? now : at + (sk_bounded_laps_past(q, word, at) >= 0);
    }
}

/* Any thread: how many items have been popped in all, since first lap 0: all poppers that are done are counted. */
static inline uint64_t sk_bounded_popped(const sk_bounded *q)
{
    uint64_t at = sk_bounded_look(&q->head);
    for (;;) {
        /* [BQ-A7] sequentially consistent; pairs with [BQ-A1], as [BQ-A6]. */
        uint64_t word = sk_load_sc(sk_bounded_slot(q, at));
        uint64_t now = sk_bounded_look(&q->head);
        if ((int64_t)(now - at) > 0)
            at = now;
        else if (sk_bounded_laps_past(q, word, at) > 0)
            at++; /* popped by somebody who has not moved the cursor yet */
        else
            return at;
    }
}

/* Any thread: how many items have been pushed in all, since first lap 0: all pushers that are done are counted. */
static inline uint64_t sk_bounded_pushed(const sk_bounded *q)
{
    uint64_t at = sk_bounded_look(&q->tail);
    for (;;) {
        /* [BQ-A11] acquire; pairs with [BQ-R1]: who counts an item does not find fewer later. */
        uint64_t word = sk_load_acq(sk_bounded_slot(q, at));
        if (!sk_bounded_holds(q, word, at) && sk_bounded_laps_past(q, word, at) <= 0) return at;
        at++; /* filled by somebody who has not moved the cursor yet */
    }
}

/* Any thread: whether the queue was empty at some moment of the call; false: it was not. Exact, unlike size. */
static inline bool sk_bounded_is_empty(const sk_bounded *q)
{
    for (;;) {
        uint64_t at = sk_bounded_popped(q);
        /* [BQ-A8] sequentially consistent; pairs with [BQ-R1]: who finds it empty no longer sees what its poppers have
         * popped. */
        uint64_t word = sk_load_sc(sk_bounded_slot(q, at));
        /* Else the item there has been popped since, and says nothing about those behind it. */
        if (sk_bounded_laps_past(q, word, at) <= 0) return !sk_bounded_holds(q, word, at);
    }
}

/* About how many are queued. */
static inline uint64_t sk_bounded_size(const sk_bounded *q)
{
    uint64_t head = sk_bounded_look(&q->head);
    int64_t queued = (int64_t)(sk_bounded_look(&q->tail) - head);
    return queued < 0 ? 0 : sk_min((uint64_t)queued, (uint64_t)q->bound);
}

/* At rest: from head on, items to tail and empty slots for a lap: and have the cursors' sure words kept up? */
static inline bool sk_bounded_check(const sk_bounded *q)
{
    if (!q->slots) return false;
    uint64_t head = sk_bounded_look(&q->head);
    while (sk_bounded_laps_past(q, sk_load_rlx(sk_bounded_slot(q, head)), head) > 0) head++;
    uint64_t at = head;
    while (sk_bounded_holds(q, sk_load_rlx(sk_bounded_slot(q, at)), at)) at++;
    if (at - head > q->bound || at - sk_bounded_look(&q->tail) >= SK_BOUNDED_LAG) return false;
    if (at - sk_load_rlx(&q->tail.sure) >= SK_BOUNDED_LAG) return false;
    if (head - sk_load_rlx(&q->head.sure) >= SK_BOUNDED_LAG) return false;
    for (uint64_t i = at; i != head + q->mask + 1; i++) {
        if (!sk_bounded_awaits(q, sk_load_rlx(sk_bounded_slot(q, i)), i)) return false;
    }
    return true;
}

#endif
