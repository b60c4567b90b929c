/* deque_bounded.c: the bounded queue, one thread at a time, with the threads that froze halfway played by hand. */
#include "base/base.h"

#include <stdlib.h>

static bool memory_is_out;

static void *scarce_calloc(size_t count, size_t size)
{
    return memory_is_out ? NULL : calloc(count, size);
}

#define SK_DEQUE_CALLOC(count, size) scarce_calloc((count), (size))
#define SK_DEQUE_FREE(block) free(block)

#include "base/rng.h"
#include "deque/bounded.h"
#include "support/test.h"

static void *item(uint64_t number)
{
    return (void *)(uintptr_t)(number + 1);
}

static uint64_t number(const void *taken)
{
    return (uint64_t)(uintptr_t)taken - 1;
}

/* The bound is exact, whatever the number of slots, at every place in them. */
SK_TEST(bounded, bound_is_exact)
{
    static const uint32_t bounds[] = {1, 2, 3, 7, 63, 64, 65, 100, 128};
    for (size_t b = 0; b < sk_array_len(bounds); b++) {
        sk_bounded q;
        SK_EXPECT_EQ(sk_bounded_init(&q, bounds[b]), 0);
        uint64_t first = 0, next = 0;
        for (int round = 0; round < 300; round++) {
            while (next - first < bounds[b]) SK_EXPECT_EQ(sk_bounded_push(&q, item(next++)), 0);
            SK_EXPECT_EQ(sk_bounded_push(&q, item(next)), -EAGAIN);
            SK_EXPECT_EQ(sk_bounded_size(&q), bounds[b]);
            SK_EXPECT(sk_bounded_check(&q));
            uint64_t leave = round % 3 == 0 ? 0 : bounds[b] / 2;
            while (next - first > leave) SK_EXPECT_EQ(number(sk_bounded_pop(&q)), first++);
            if (!leave) SK_EXPECT(sk_bounded_pop(&q) == NULL);
            SK_EXPECT(sk_bounded_check(&q));
        }
        sk_bounded_fini(&q);
    }
}

SK_TEST(bounded, bad_arguments)
{
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 0), -EINVAL);
    SK_EXPECT_EQ(sk_bounded_init(&q, SK_BOUNDED_MAX + 1), -EINVAL);
    memory_is_out = true;
    SK_EXPECT_EQ(sk_bounded_init(&q, 5), -ENOMEM);
    memory_is_out = false;
    SK_EXPECT_EQ(sk_bounded_init(&q, SK_BOUNDED_MAX), 0);
    sk_bounded_fini(&q);
    SK_EXPECT_EQ(sk_bounded_init(&q, 5), 0);
    SK_EXPECT_EQ(sk_bounded_push(&q, NULL), -EINVAL);
    SK_EXPECT_EQ(sk_bounded_push(&q, (void *)(uintptr_t)(1ull << 48)), -EINVAL);
    void *widest = (void *)(uintptr_t)((1ull << 48) - 1);
    SK_EXPECT_EQ(sk_bounded_push(&q, widest), 0);
    SK_EXPECT(sk_bounded_pop(&q) == widest);
    sk_bounded_fini(&q);
}

/* Random batches against two counters, across the wrap of the 15-bit lap and of the 64-bit index. */
static void random_batches(uint32_t bound, uint64_t lap, long steps)
{
    sk_rng rng;
    sk_rng_seed(&rng, bound);
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init_at(&q, bound, lap), 0);
    uint64_t first = 0, next = 0;
    for (long step = 0; step < steps; step++) {
        for (uint32_t n = sk_rng_below(&rng, 40); n > 0; n--) {
            int error = sk_bounded_push(&q, item(next));
            SK_EXPECT_EQ(error, next - first == bound ? -EAGAIN : 0);
            if (!error) next++;
        }
        void *out[48];
        uint32_t max = sk_rng_below(&rng, 48), taken = sk_bounded_pop_many(&q, out, max);
        SK_EXPECT_EQ(taken, sk_min(max, next - first));
        for (uint32_t i = 0; i < taken; i++) SK_EXPECT_EQ(number(out[i]), first++);
        SK_EXPECT_EQ(sk_bounded_size(&q), next - first);
    }
    SK_EXPECT(sk_bounded_check(&q));
    sk_bounded_fini(&q);
}

SK_TEST(bounded, laps_and_indices_wrap)
{
    for (uint32_t bound = 1; bound <= 64; bound += 9) {
        random_batches(bound, 0, 2000);
        random_batches(bound, SK_BOUNDED_LAPS - 10, 2000);
        random_batches(bound, UINT64_MAX / SK_BOUNDED_MIN_SLOTS - 10, 2000);
    }
}

/* A pusher frozen after it filled its slot: plays its CAS, and leaves the cursor where it is. */
static void push_and_freeze(sk_bounded *q, uint64_t index, uint64_t n)
{
    uint64_t tag = SK_BOUNDED_ITEM | (sk_bounded_lap(q, index) & SK_BOUNDED_LAPS) << 48;
    sk_store_rlx(sk_bounded_slot(q, index), tag | (uint64_t)(uintptr_t)item(n));
}

SK_TEST(bounded, frozen_pushers_block_nobody)
{
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 100), 0);
    for (uint64_t lap = 0; lap < 200; lap++) {
        uint64_t base = lap * 60;
        for (uint64_t i = 0; i < 60; i++) {
            if (i % 7 < 4) {
                push_and_freeze(&q, base + i, i);
            } else {
                SK_EXPECT_EQ(sk_bounded_push(&q, item(i)), 0);
            }
        }
        for (uint64_t i = 0; i < 60; i++) SK_EXPECT_EQ(number(sk_bounded_pop(&q)), i);
        SK_EXPECT(sk_bounded_pop(&q) == NULL);
    }
    sk_bounded_fini(&q);
}

/* A popper frozen after it took items: their room counts, their slots are skipped. */
SK_TEST(bounded, frozen_poppers_block_nobody)
{
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 64), 0);
    uint64_t next = 0, first = 0;
    for (int round = 0; round < 300; round++) {
        while (next - first < 64) SK_EXPECT_EQ(sk_bounded_push(&q, item(next++)), 0);
        SK_EXPECT_EQ(sk_bounded_push(&q, item(next)), -EAGAIN);
        for (int i = 0; i < 13; i++, first++) sk_store_rlx(sk_bounded_slot(&q, first), sk_bounded_lap(&q, first) + 1);
        for (int i = 0; i < 13; i++) SK_EXPECT_EQ(sk_bounded_push(&q, item(next++)), 0);
        SK_EXPECT_EQ(sk_bounded_push(&q, item(next)), -EAGAIN);
        if (round % 2) {
            for (int i = 0; i < 20; i++) SK_EXPECT_EQ(number(sk_bounded_pop(&q)), first++);
        }
    }
    while (first < next) SK_EXPECT_EQ(number(sk_bounded_pop(&q)), first++);
    SK_EXPECT(sk_bounded_pop(&q) == NULL);
    SK_EXPECT(sk_bounded_check(&q));
    sk_bounded_fini(&q);
}

/* A thread that slept before it stored its hint: the old value may come at any time. */
SK_TEST(bounded, late_hints_are_harmless)
{
    sk_rng rng;
    sk_rng_seed(&rng, 5);
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 10), 0);
    uint64_t first = 0, next = 0;
    for (long step = 0; step < 50000; step++) {
        if (sk_rng_below(&rng, 2)) {
            int error = sk_bounded_push(&q, item(next));
            SK_EXPECT_EQ(error, next - first == 10 ? -EAGAIN : 0);
            if (!error) next++;
        } else {
            void *got = sk_bounded_pop(&q);
            SK_EXPECT_EQ(got != NULL, next != first);
            if (got) SK_EXPECT_EQ(number(got), first++);
        }
        if (sk_rng_below(&rng, 5) == 0) sk_store_rlx(&q.tail.hint, next - sk_min(next, 100u));
        if (sk_rng_below(&rng, 5) == 0) sk_store_rlx(&q.head.hint, first - sk_min(first, 100u));
        if (sk_rng_below(&rng, 5) == 0) sk_store_rlx(&q.tail.head_seen, first - sk_min(first, 100u));
    }
    SK_EXPECT(sk_bounded_check(&q));
    sk_bounded_fini(&q);
}

SK_TEST(bounded, check_sees_damage)
{
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 10), 0);
    for (uint64_t i = 0; i < 5; i++) SK_EXPECT_EQ(sk_bounded_push(&q, item(i)), 0);
    SK_EXPECT(sk_bounded_check(&q));
    uint64_t word = sk_load_rlx(sk_bounded_slot(&q, 2));
    sk_store_rlx(sk_bounded_slot(&q, 2), 0u); /* a lost item */
    SK_EXPECT(!sk_bounded_check(&q));
    sk_store_rlx(sk_bounded_slot(&q, 2), word);
    sk_store_rlx(sk_bounded_slot(&q, 20), word); /* one from nowhere */
    SK_EXPECT(!sk_bounded_check(&q));
    sk_bounded_fini(&q);
    SK_EXPECT(!sk_bounded_check(&q)); /* no array */
}

/* More items than the bound allows, however they got there. */
SK_TEST(bounded, check_sees_too_many)
{
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 10), 0);
    for (uint64_t i = 0; i < 10; i++) SK_EXPECT_EQ(sk_bounded_push(&q, item(i)), 0);
    SK_EXPECT(sk_bounded_check(&q));
    push_and_freeze(&q, 10, 10);
    SK_EXPECT(!sk_bounded_check(&q));
    sk_bounded_fini(&q);
}

/* A cursor may stay a little behind, for ever if its thread is frozen, but not a whole lag. */
SK_TEST(bounded, check_sees_a_cursor_that_does_not_keep_up)
{
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 30), 0);
    for (uint64_t i = 0; i < SK_BOUNDED_LAG; i++) {
        SK_EXPECT(sk_bounded_check(&q));
        push_and_freeze(&q, i, i);
    }
    SK_EXPECT(!sk_bounded_check(&q));
    sk_store_rlx(&q.tail.hint, (uint64_t)SK_BOUNDED_LAG); /* the hint alone is not enough: it may be lost again */
    SK_EXPECT(!sk_bounded_check(&q));
    sk_store_rlx(&q.tail.sure, (uint64_t)SK_BOUNDED_LAG);
    SK_EXPECT(sk_bounded_check(&q));
    for (uint64_t i = 0; i < SK_BOUNDED_LAG; i++) {
        SK_EXPECT(sk_bounded_check(&q));
        sk_store_rlx(sk_bounded_slot(&q, i), sk_bounded_lap(&q, i) + 1); /* popped, and its popper frozen */
    }
    SK_EXPECT(!sk_bounded_check(&q));
    sk_store_rlx(&q.head.sure, (uint64_t)SK_BOUNDED_LAG);
    SK_EXPECT(sk_bounded_check(&q));
    sk_bounded_fini(&q);
}

/* All pushers frozen before they moved the cursor, and the items popped: the counts go by the slots. */
SK_TEST(bounded, counts_pass_frozen_pushers)
{
    sk_bounded q;
    SK_EXPECT_EQ(sk_bounded_init(&q, 30), 0);
    for (uint64_t i = 0; i < 5; i++) push_and_freeze(&q, i, i);
    SK_EXPECT_EQ(sk_bounded_pushed(&q), 5);
    SK_EXPECT(!sk_bounded_is_full_now(&q));
    for (uint64_t i = 0; i < 3; i++) SK_EXPECT_EQ(number(sk_bounded_pop(&q)), i);
    SK_EXPECT_EQ(sk_bounded_pushed(&q), 5);
    SK_EXPECT_EQ(sk_bounded_popped(&q), 3);
    SK_EXPECT_EQ(sk_bounded_size(&q), 0); /* a hint: the tail cursor is behind the head */
    SK_EXPECT(!sk_bounded_is_empty(&q));
    sk_bounded_fini(&q);
}
