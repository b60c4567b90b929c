/*
 * wheel.c: the slow half of the wheel: far slots, advance and cascade.
 *
 * A level is chosen by distance, not by the highest bit in which the two ticks
 * differ: the near level is a window that rolls with the current tick, so a
 * timer less than 1024 ticks ahead is never cascaded, wherever the current
 * tick stands.  (By differing bits, 60% of all 10 ms timers would be touched
 * once more, in a cold cache line.)
 */
#include "timer/wheel.h"

#include <string.h>

/* Far level l counts from 0; it has slots of 2^shift ticks. */
static inline unsigned far_shift(unsigned level)
{
    return SK_WHEEL_NEAR_BITS + SK_WHEEL_FAR_BITS * level;
}

static inline uint64_t rotate_right(uint64_t x, unsigned n)
{
    return (x >> (n & 63)) | (x << (-n & 63));
}

void sk_wheel_init(sk_wheel *w, uint64_t now)
{
    memset(w, 0, sizeof *w);
    w->tick = now >> SK_TICK_SHIFT;
    w->due = SK_TICK_NEVER;
}

/* Takes the first level in which the slots of both ticks, numbered without end, lie less than one turn apart. They lie
   at least one apart, because the level below did not fit: so the slot is entered, and cascaded, before its timers
   are due. */
void sk_wheel_place_far(sk_wheel *w, sk_timer *t, uint64_t tick)
{
    if (tick < w->tick) {
        sk_wheel_put(w, t, (unsigned)w->tick & (SK_WHEEL_NEAR_SLOTS - 1), w->tick);
        return;
    }
    unsigned level = 0, shift = far_shift(0);
    while ((tick >> shift) - (w->tick >> shift) >= SK_WHEEL_FAR_SLOTS) shift = far_shift(++level);
    unsigned slot = (unsigned)(tick >> shift) & (SK_WHEEL_FAR_SLOTS - 1);
    sk_wheel_put(w, t, SK_WHEEL_NEAR_SLOTS + level * SK_WHEEL_FAR_SLOTS + slot, tick >> shift << shift);
}

/* The next occupied near tick, from the current one on: the rest of its word, then the words after it, round to the
   part of its own word that has wrapped. */
static uint64_t next_near(const sk_wheel *w)
{
    unsigned at = (unsigned)w->tick & (SK_WHEEL_NEAR_SLOTS - 1), word = at >> 6, slot;
    uint64_t rest = w->words[word] >> (at & 63);
    if (rest) return w->tick + (unsigned)__builtin_ctzll(rest);
    uint64_t words = w->busy & ((UINT64_C(1) << SK_WHEEL_NEAR_WORDS) - 1);
    if (!words) return SK_TICK_NEVER;
    uint64_t after = words & ~(((UINT64_C(1) << word) << 1) - 1);
    word = (unsigned)__builtin_ctzll(after ? after : words);
    slot = word * 64 + (unsigned)__builtin_ctzll(w->words[word]);
    return w->tick + ((slot - at) & (SK_WHEEL_NEAR_SLOTS - 1));
}

/* The first tick of the next occupied far slot; of several that begin together any will do. Looks from the current
   slots on: those are occupied only while advance is between two cascades of the same tick. */
static uint64_t next_far(const sk_wheel *w, unsigned *slot)
{
    uint64_t best = SK_TICK_NEVER;
    for (uint64_t levels = w->busy >> SK_WHEEL_NEAR_WORDS; levels; levels &= levels - 1) {
        unsigned level = (unsigned)__builtin_ctzll(levels), shift = far_shift(level);
        uint64_t turn = w->tick >> shift;
        uint64_t word = rotate_right(w->words[SK_WHEEL_NEAR_WORDS + level], (unsigned)turn);
        uint64_t index = turn + (unsigned)__builtin_ctzll(word), when = index << shift;
        if (when > best) continue;
        best = when;
        *slot = SK_WHEEL_NEAR_SLOTS + level * SK_WHEEL_FAR_SLOTS + (unsigned)(index & (SK_WHEEL_FAR_SLOTS - 1));
    }
    return best;
}

static uint64_t next_tick(const sk_wheel *w)
{
    unsigned slot;
    uint64_t near = next_near(w), far = next_far(w, &slot);
    return sk_min(near, far);
}

uint64_t sk_wheel_next(const sk_wheel *w)
{
    return w->fresh ? 0 : sk_tick_ns(next_tick(w));
}

void sk_wheel_refresh(sk_wheel *w)
{
    w->due = w->fresh ? 0 : next_tick(w);
}

static sk_timer *take_slot(sk_wheel *w, unsigned slot)
{
    sk_timer *t = w->heads[slot];
    w->heads[slot] = NULL;
    sk_wheel_mark_empty(w, slot);
    return t;
}

/* Appends the timers of a slot, oldest first, at *tail and returns the new tail. Slots hold the newest first, so
   building the chain from its end turns them round in the one visit that each node gets. */
static sk_timer **unlink_slot(sk_wheel *w, unsigned slot, sk_timer **tail)
{
    sk_timer *newest = take_slot(w, slot), *chain = NULL;
    for (sk_timer *t = newest, *next; t; t = next) {
        next = t->next;
        __builtin_prefetch(next, 1);
        t->next = chain;
        t->pprev = NULL;
        chain = t;
        w->count--;
    }
    *tail = chain;
    return &newest->next;
}

/* Moves the timers of a far slot to where they belong, seen from the current tick. Oldest first, to keep the order. */
static void cascade(sk_wheel *w, unsigned slot)
{
    sk_timer *chain = NULL;
    for (sk_timer *t = take_slot(w, slot), *next; t; t = next) {
        next = t->next;
        __builtin_prefetch(next, 1);
        t->next = chain;
        chain = t;
    }
    for (sk_timer *t = chain, *next; t; t = next) {
        next = t->next;
        sk_wheel_place(w, t);
    }
}

/* Gives those that were armed for a duration their time. */
static void place_fresh(sk_wheel *w, uint64_t now)
{
    sk_timer *t = w->fresh;
    w->fresh = NULL;
    for (sk_timer *next; t; t = next) {
        next = t->next;
        t->expires = t->expires > UINT64_MAX - now ? UINT64_MAX : now + t->expires;
        sk_wheel_place(w, t);
    }
}

sk_timer *sk_wheel_advance(sk_wheel *w, uint64_t now)
{
    if (sk_unlikely(w->fresh != NULL)) place_fresh(w, now);
    uint64_t last = sk_max(now >> SK_TICK_SHIFT, w->tick);
    sk_timer *chain = NULL, **tail = &chain;
    unsigned far_at = 0;
    if (last < w->due) {
        w->tick = last;
        return NULL;
    }
    uint64_t near = next_near(w), far = next_far(w, &far_at);
    while (sk_min(near, far) <= last) {
        if (far <= near) {
            w->tick = far;
            cascade(w, far_at);
            far = next_far(w, &far_at);
        } else {
            w->tick = near;
            tail = unlink_slot(w, (unsigned)near & (SK_WHEEL_NEAR_SLOTS - 1), tail);
        }
        near = next_near(w);
    }
    *tail = NULL;
    w->tick = last;
    w->due = sk_min(near, far);
    if (near != SK_TICK_NEVER) __builtin_prefetch(w->heads[near & (SK_WHEEL_NEAR_SLOTS - 1)], 1);
    return chain;
}

sk_timer *sk_wheel_drain(sk_wheel *w, uint64_t now)
{
    place_fresh(w, now);
    sk_timer *chain = NULL, **tail = &chain;
    while (w->busy) {
        unsigned word = (unsigned)__builtin_ctzll(w->busy);
        tail = unlink_slot(w, word * 64 + (unsigned)__builtin_ctzll(w->words[word]), tail);
    }
    *tail = NULL;
    w->due = SK_TICK_NEVER;
    return chain;
}

/* Whether a timer stands where its tick says, seen from some current tick not after the wheel's. */
static bool stands_right(const sk_wheel *w, const sk_timer *t, unsigned slot)
{
    uint64_t tick = sk_tick_up(t->expires);
    if (slot < SK_WHEEL_NEAR_SLOTS) {
        if (tick < w->tick) tick = w->tick; /* late when it was armed: only the current slot may hold it */
        return (tick & (SK_WHEEL_NEAR_SLOTS - 1)) == slot && tick - w->tick < SK_WHEEL_NEAR_SLOTS;
    }
    unsigned level = (slot - SK_WHEEL_NEAR_SLOTS) / SK_WHEEL_FAR_SLOTS, shift = far_shift(level);
    uint64_t apart = (tick >> shift) - (w->tick >> shift);
    return ((tick >> shift) & (SK_WHEEL_FAR_SLOTS - 1)) == slot % SK_WHEEL_FAR_SLOTS && apart >= 1 &&
           apart < SK_WHEEL_FAR_SLOTS;
}

bool sk_wheel_check(const sk_wheel *w)
{
    size_t count = 0;
    sk_timer *const *place = &w->fresh;
    for (const sk_timer *t = *place; t; place = &t->next, t = t->next, count++)
        if (t->pprev != place || w->due != 0) return false;
    for (unsigned slot = 0; slot < SK_WHEEL_SLOTS; slot++) {
        bool marked = w->words[slot >> 6] >> (slot & 63) & 1;
        if (marked != (w->heads[slot] != NULL)) return false;
        sk_timer *const *pprev = &w->heads[slot];
        for (const sk_timer *t = *pprev; t; pprev = &t->next, t = t->next, count++) {
            if (t->pprev != pprev || !stands_right(w, t, slot)) return false;
        }
    }
    for (unsigned word = 0; word < SK_WHEEL_WORDS; word++) {
        if ((w->busy >> word & 1) != (w->words[word] != 0)) return false;
    }
    return count == w->count && (count == 0 || sk_tick_ns(w->due) <= sk_wheel_next(w));
}
