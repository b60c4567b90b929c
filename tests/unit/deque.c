/* deque.c: the task queue, the job ring and the inbox, one thread at a time, exactly. */
#include "base/base.h"

#include <stdlib.h>

static long allocations_left = -1; /* so many succeed, then none; -1: no limit */

static void *scarce_calloc(size_t count, size_t size)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return calloc(count, size);
}

#define SK_DEQUE_CALLOC(count, size) scarce_calloc((count), (size))
#define SK_DEQUE_FREE(block) free(block)

#include "base/rng.h"
#include "deque/inject.h"
#include "deque/jobring.h"
#include "deque/taskq.h"
#include "support/test.h"

static void *item(uint64_t number)
{
    return (void *)(uintptr_t)(number + 1);
}

static uint64_t number(const void *taken)
{
    return (uint64_t)(uintptr_t)taken - 1;
}

/* ---- the task queue ---- */

static void push_run(sk_taskq *q, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) SK_EXPECT_EQ(sk_taskq_push(q, item(i)), 0);
}

static void take_run(sk_taskq *q, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) SK_EXPECT_EQ(number(sk_taskq_take(q)), i);
}

SK_TEST(taskq, first_in_first_out)
{
    sk_taskq q;
    SK_EXPECT_EQ(sk_taskq_init(&q, 3, NULL, NULL), 0);
    SK_EXPECT(sk_taskq_take(&q) == NULL);
    for (uint64_t round = 0; round < 50; round++) {
        push_run(&q, 0, 8);
        SK_EXPECT_EQ(sk_taskq_size(&q), 8);
        SK_EXPECT(sk_taskq_check(&q));
        take_run(&q, 0, 8);
        SK_EXPECT(sk_taskq_take(&q) == NULL);
        SK_EXPECT_EQ(sk_taskq_size(&q), 0);
    }
    SK_EXPECT(q.kept == NULL); /* eight fit without growing */
    sk_taskq_fini(&q);
}

SK_TEST(taskq, init_limits)
{
    sk_taskq q;
    SK_EXPECT_EQ(sk_taskq_init(&q, SK_TASKQ_LOG2_MAX + 1, NULL, NULL), -EINVAL);
    for (long n = 0; n < 2; n++) {
        allocations_left = n;
        SK_EXPECT_EQ(sk_taskq_init(&q, 4, NULL, NULL), -ENOMEM);
    }
    allocations_left = -1;
    SK_EXPECT_EQ(sk_taskq_init(&q, 0, NULL, NULL), 0);
    push_run(&q, 0, 3); /* from one slot */
    take_run(&q, 0, 3);
    sk_taskq_fini(&q);
}

/* Every starting point around 2^64, every fill: order and check must survive the wrap and a growth across it. */
SK_TEST(taskq, indices_wrap_while_growing)
{
    for (uint64_t before = 0; before < 20; before++) {
        sk_taskq q;
        SK_EXPECT_EQ(sk_taskq_init_at(&q, 1, NULL, NULL, UINT64_MAX - before), 0);
        push_run(&q, 0, 5);
        take_run(&q, 0, 3);
        push_run(&q, 5, 40);
        SK_EXPECT(sk_taskq_check(&q));
        void *out[64];
        SK_EXPECT_EQ(sk_taskq_try_steal(&q, out, 64), 19); /* half of 37 */
        SK_EXPECT(sk_taskq_check(&q));                     /* top may be round the corner, top_seen still before it */
        for (uint64_t i = 0; i < 19; i++) SK_EXPECT_EQ(number(out[i]), 3 + i);
        take_run(&q, 22, 40);
        SK_EXPECT(sk_taskq_take(&q) == NULL);
        SK_EXPECT(sk_taskq_check(&q));
        sk_taskq_fini(&q);
    }
}

SK_TEST(taskq, thieves_take_half_rounded_up)
{
    for (uint32_t n = 0; n <= 9; n++) {
        for (uint32_t max = 1; max <= 6; max++) {
            sk_taskq q;
            SK_EXPECT_EQ(sk_taskq_init(&q, 4, NULL, NULL), 0);
            push_run(&q, 0, n);
            void *out[8];
            uint32_t taken = sk_taskq_steal(&q, out, max);
            SK_EXPECT_EQ(taken, sk_min((n + 1) / 2, max));
            for (uint32_t i = 0; i < taken; i++) SK_EXPECT_EQ(number(out[i]), i);
            take_run(&q, taken, n);
            SK_EXPECT_EQ(sk_taskq_try_steal(&q, out, max), 0);
            sk_taskq_fini(&q);
        }
    }
}

SK_TEST(taskq, a_move_takes_half_as_far_as_there_is_room)
{
    for (uint32_t n = 0; n <= 9; n++) {
        for (uint32_t there = 0; there <= 4; there++) {
            sk_taskq from, to;
            SK_EXPECT_EQ(sk_taskq_init(&from, 4, NULL, NULL), 0);
            SK_EXPECT_EQ(sk_taskq_init_at(&to, 2, NULL, NULL, UINT64_MAX - 1), 0); /* four places, about to wrap */
            push_run(&to, 100, 100 + there);
            uint32_t moved = sk_min(sk_min((n + 1) / 2, 3u), 4 - there);
            push_run(&from, 0, n);
            SK_EXPECT_EQ(sk_taskq_try_move(&from, &to, 3), moved);
            SK_EXPECT(sk_taskq_check(&from) && sk_taskq_check(&to));
            take_run(&to, 100, 100 + there);
            take_run(&to, 0, moved);
            SK_EXPECT(sk_taskq_take(&to) == NULL);
            take_run(&from, moved, n);
            SK_EXPECT_EQ(sk_taskq_try_move(&from, &to, 3), 0);
            sk_taskq_fini(&from);
            sk_taskq_fini(&to);
        }
    }
}

SK_TEST(taskq, growth_that_fails_changes_nothing)
{
    for (long n = 0; n < 2; n++) {
        sk_taskq q;
        SK_EXPECT_EQ(sk_taskq_init(&q, 2, NULL, NULL), 0);
        push_run(&q, 0, 4);
        allocations_left = n;
        SK_EXPECT_EQ(sk_taskq_push(&q, item(4)), -ENOMEM);
        SK_EXPECT_EQ(sk_taskq_push(&q, item(4)), -ENOMEM);
        SK_EXPECT_EQ(sk_taskq_size(&q), 4);
        SK_EXPECT(sk_taskq_check(&q));
        take_run(&q, 0, 1);
        push_run(&q, 4, 5); /* there is room again, without growing */
        allocations_left = -1;
        push_run(&q, 5, 6);
        take_run(&q, 1, 6);
        sk_taskq_fini(&q);
    }
}

typedef struct retired {
    sk_taskq_buffer *last;
    int count;
} retired;

static void note_retired(void *ctx, sk_taskq_buffer *old)
{
    retired *r = ctx;
    if (r->last) sk_taskq_buffer_free(r->last);
    r->last = old;
    r->count++;
}

SK_TEST(taskq, outgrown_buffers_go_to_retire)
{
    retired r = {NULL, 0};
    sk_taskq q;
    SK_EXPECT_EQ(sk_taskq_init(&q, 1, note_retired, &r), 0);
    push_run(&q, 0, 33);
    SK_EXPECT_EQ(r.count, 5); /* 2, 4, 8, 16, 32 are outgrown */
    SK_EXPECT_EQ(r.last->mask, 31);
    for (uint64_t i = 0; i < 32; i++) SK_EXPECT_EQ(number(sk_load_rlx(sk_taskq_slot(r.last, i))), i); /* untouched */
    take_run(&q, 0, 33);
    sk_taskq_buffer_free(r.last);
    sk_taskq_fini(&q);
}

SK_TEST(taskq, check_sees_damage)
{
    sk_taskq q;
    SK_EXPECT_EQ(sk_taskq_init(&q, 2, NULL, NULL), 0);
    push_run(&q, 0, 2);
    SK_EXPECT(sk_taskq_check(&q));
    sk_store_rlx(sk_taskq_slot(sk_load_rlx(&q.buffer), 1), (void *)NULL);
    SK_EXPECT(!sk_taskq_check(&q));
    sk_store_rlx(sk_taskq_slot(sk_load_rlx(&q.buffer), 1), item(1));
    sk_store_rlx(&q.top, 3u); /* past bottom */
    SK_EXPECT(!sk_taskq_check(&q));
    sk_store_rlx(&q.top, 0u);
    sk_store_rlx(&q.bottom, 5u); /* more than there is room for */
    SK_EXPECT(!sk_taskq_check(&q));
    sk_store_rlx(&q.bottom, 2u);
    SK_EXPECT(sk_taskq_check(&q));
    q.top_seen = (uint64_t)-3; /* push would write over items that it has not seen go */
    SK_EXPECT(!sk_taskq_check(&q));
    q.top_seen = 1; /* ahead of top */
    SK_EXPECT(!sk_taskq_check(&q));
    q.top_seen = 0;
    sk_load_rlx(&q.buffer)->mask = 2; /* no power of two less one */
    SK_EXPECT(!sk_taskq_check(&q));
    sk_load_rlx(&q.buffer)->mask = UINT64_MAX; /* a capacity of 2^64, which reads as 0 */
    SK_EXPECT(!sk_taskq_check(&q));
    sk_taskq_fini(&q);
    SK_EXPECT(!sk_taskq_check(&q)); /* no buffer */
}

/* Full at its largest: no array of 2^31 items is asked for. */
SK_TEST(taskq, does_not_grow_for_ever)
{
    sk_taskq q;
    SK_EXPECT_EQ(sk_taskq_init(&q, 2, NULL, NULL), 0);
    push_run(&q, 0, 2);
    sk_taskq_buffer *buffer = sk_load_rlx(&q.buffer);
    buffer->mask = (1ull << SK_TASKQ_LOG2_MAX) - 1;
    SK_EXPECT_EQ(sk_taskq_grow(&q, 0, 2), -ENOMEM);
    SK_EXPECT(sk_load_rlx(&q.buffer) == buffer && q.kept == NULL);
    buffer->mask = 3;
    take_run(&q, 0, 2);
    sk_taskq_fini(&q);
}

/* Random operations against two counters: a FIFO of consecutive numbers is fully known by its ends. */
SK_TEST(taskq, agrees_with_a_plain_queue)
{
    sk_rng rng;
    sk_rng_seed(&rng, 7);
    sk_taskq q;
    SK_EXPECT_EQ(sk_taskq_init_at(&q, 1, NULL, NULL, UINT64_MAX - 5000), 0);
    uint64_t first = 0, next = 0;
    for (long step = 0; step < 100000; step++) {
        uint32_t what = sk_rng_below(&rng, 8);
        if (what < 4) {
            SK_EXPECT_EQ(sk_taskq_push(&q, item(next++)), 0);
        } else if (what < 7) {
            void *got = sk_taskq_take(&q);
            SK_EXPECT_EQ(got != NULL, first != next);
            if (got) SK_EXPECT_EQ(number(got), first++);
        } else {
            void *out[5];
            uint32_t max = 1 + sk_rng_below(&rng, 5), taken = sk_taskq_steal(&q, out, max);
            SK_EXPECT_EQ(taken, sk_min((next - first + 1) / 2, max));
            for (uint32_t i = 0; i < taken; i++) SK_EXPECT_EQ(number(out[i]), first++);
        }
        SK_EXPECT_EQ(sk_taskq_size(&q), next - first);
    }
    SK_EXPECT(sk_taskq_check(&q));
    sk_taskq_fini(&q);
}

/* ---- the job ring ---- */

SK_TEST(jobring, owner_last_in_first_out)
{
    sk_jobring ring;
    SK_EXPECT_EQ(sk_jobring_init(&ring, SK_JOBRING_LOG2_MAX + 1), -EINVAL);
    allocations_left = 0;
    SK_EXPECT_EQ(sk_jobring_init(&ring, 3), -ENOMEM);
    allocations_left = -1;
    SK_EXPECT_EQ(sk_jobring_init(&ring, 3), 0);
    for (uint64_t i = 0; i < 8; i++) SK_EXPECT_EQ(sk_jobring_push(&ring, item(i)), 0);
    SK_EXPECT_EQ(sk_jobring_push(&ring, item(8)), -ENOSPC);
    SK_EXPECT_EQ(sk_jobring_size(&ring), 8);
    SK_EXPECT(sk_jobring_check(&ring));
    for (uint64_t i = 8; i-- > 0;) SK_EXPECT_EQ(number(sk_jobring_pop(&ring)), i);
    SK_EXPECT(sk_jobring_pop(&ring) == NULL);
    sk_jobring_fini(&ring);
}

/* An empty pop must not leave bottom below top, at index 0 least of all. */
SK_TEST(jobring, empty_pop_leaves_it_usable)
{
    for (uint64_t before = 0; before < 3; before++) {
        sk_jobring ring;
        SK_EXPECT_EQ(sk_jobring_init_at(&ring, 2, (uint64_t)0 - before), 0);
        for (int i = 0; i < 5; i++) SK_EXPECT(sk_jobring_pop(&ring) == NULL);
        void *got = NULL;
        SK_EXPECT_EQ(sk_jobring_try_steal(&ring, &got), 0);
        SK_EXPECT_EQ(sk_jobring_size(&ring), 0);
        SK_EXPECT_EQ(sk_jobring_push(&ring, item(1)), 0);
        SK_EXPECT_EQ(sk_jobring_size(&ring), 1);
        SK_EXPECT_EQ(sk_jobring_try_steal(&ring, &got), 1);
        SK_EXPECT_EQ(number(got), 1);
        SK_EXPECT(sk_jobring_pop(&ring) == NULL);
        SK_EXPECT(sk_jobring_check(&ring));
        sk_jobring_fini(&ring);
    }
}

/* Consecutive pushes, pops at one end, steals at the other, near the wrap: a stack of numbers in a plain array. */
SK_TEST(jobring, agrees_with_a_plain_array)
{
    sk_rng rng;
    sk_rng_seed(&rng, 11);
    sk_jobring ring;
    SK_EXPECT_EQ(sk_jobring_init_at(&ring, 4, UINT64_MAX - 3000), 0);
    static uint64_t model[100001];
    uint64_t first = 0, end = 0;
    for (uint64_t step = 0; step < 100000; step++) {
        uint32_t what = sk_rng_below(&rng, 8);
        void *got = NULL;
        if (what < 4) {
            int error = sk_jobring_push(&ring, item(step));
            SK_EXPECT_EQ(error, end - first == 16 ? -ENOSPC : 0);
            if (!error) model[end++] = step;
        } else if (what < 7) {
            got = sk_jobring_pop(&ring);
            SK_EXPECT_EQ(got != NULL, first != end);
            if (got) SK_EXPECT_EQ(number(got), model[--end]);
        } else {
            SK_EXPECT_EQ(sk_jobring_try_steal(&ring, &got), first != end);
            if (got) SK_EXPECT_EQ(number(got), model[first++]);
        }
        SK_EXPECT_EQ(sk_jobring_size(&ring), end - first);
    }
    SK_EXPECT(sk_jobring_check(&ring));
    sk_jobring_fini(&ring);
}

static void expect_next(void *ctx, void *taken)
{
    uint64_t *next = ctx;
    SK_EXPECT_EQ(number(taken), (*next)++);
}

SK_TEST(jobring, drain_oldest_first)
{
    sk_jobring ring;
    SK_EXPECT_EQ(sk_jobring_init_at(&ring, 3, UINT64_MAX - 2), 0);
    for (uint64_t i = 0; i < 7; i++) SK_EXPECT_EQ(sk_jobring_push(&ring, item(i)), 0);
    SK_EXPECT_EQ(number(sk_jobring_steal(&ring)), 0);
    SK_EXPECT_EQ(number(sk_jobring_pop(&ring)), 6);
    uint64_t next = 1;
    SK_EXPECT_EQ(sk_jobring_drain(&ring, expect_next, &next), 5);
    SK_EXPECT_EQ(next, 6);
    SK_EXPECT_EQ(sk_jobring_drain(&ring, expect_next, &next), 0);
    SK_EXPECT(sk_jobring_pop(&ring) == NULL);
    SK_EXPECT(sk_jobring_check(&ring));
    sk_jobring_fini(&ring);
}

SK_TEST(jobring, steals_nothing_from_nothing)
{
    sk_jobring ring;
    SK_EXPECT_EQ(sk_jobring_init(&ring, 3), 0);
    SK_EXPECT(sk_jobring_steal(&ring) == NULL);
    SK_EXPECT_EQ(sk_jobring_push(&ring, item(4)), 0);
    SK_EXPECT_EQ(number(sk_jobring_steal(&ring)), 4);
    SK_EXPECT(sk_jobring_steal(&ring) == NULL);
    sk_jobring_fini(&ring);
}

SK_TEST(jobring, check_sees_damage)
{
    sk_jobring ring;
    SK_EXPECT_EQ(sk_jobring_init(&ring, 2), 0);
    for (uint64_t i = 0; i < 2; i++) SK_EXPECT_EQ(sk_jobring_push(&ring, item(i)), 0);
    SK_EXPECT(sk_jobring_check(&ring));
    sk_store_rlx(sk_jobring_slot(&ring, 1), (void *)NULL); /* a lost item */
    SK_EXPECT(!sk_jobring_check(&ring));
    sk_store_rlx(sk_jobring_slot(&ring, 1), item(1));
    sk_store_rlx(&ring.top, 3u); /* past bottom */
    SK_EXPECT(!sk_jobring_check(&ring));
    sk_store_rlx(&ring.top, 0u);
    sk_store_rlx(&ring.bottom, 5u); /* more than there is room for */
    SK_EXPECT(!sk_jobring_check(&ring));
    sk_store_rlx(&ring.bottom, 2u);
    ring.top_seen = 1; /* ahead of top */
    SK_EXPECT(!sk_jobring_check(&ring));
    ring.top_seen = 0;
    ring.mask = 2; /* no power of two less one */
    SK_EXPECT(!sk_jobring_check(&ring));
    ring.mask = 3;
    SK_EXPECT(sk_jobring_check(&ring));
    sk_jobring_fini(&ring);
    SK_EXPECT(!sk_jobring_check(&ring));
}

/* ---- the inbox ---- */

typedef struct letter {
    int number;
    sk_inject_link link;
} letter;

static void expect_letters(sk_inject_link *chain, int from, int to)
{
    for (int i = from; i < to; i++) {
        SK_EXPECT(chain != NULL);
        SK_EXPECT_EQ(sk_container_of(chain, letter, link)->number, i);
        chain = chain->next;
    }
    SK_EXPECT(chain == NULL);
}

SK_TEST(inject, oldest_first_and_tells_the_first)
{
    sk_inject inbox;
    sk_inject_init(&inbox);
    letter letters[10];
    for (int round = 0; round < 3; round++) {
        SK_EXPECT(sk_inject_is_empty(&inbox));
        SK_EXPECT(sk_inject_take(&inbox) == NULL);
        for (int i = 0; i < 10; i++) {
            letters[i].number = i;
            SK_EXPECT_EQ(sk_inject_push(&inbox, &letters[i].link), i == 0);
            SK_EXPECT(!sk_inject_is_empty(&inbox));
        }
        expect_letters(sk_inject_take(&inbox), 0, 10);
    }
}

SK_TEST(inject, chains)
{
    sk_inject inbox;
    sk_inject_init(&inbox);
    letter letters[6];
    for (int i = 0; i < 6; i++) letters[i].number = i;
    SK_EXPECT(sk_inject_push(&inbox, &letters[0].link));
    for (int i = 4; i > 1; i--) letters[i].link.next = &letters[i - 1].link; /* 4 -> 3 -> 2 -> 1 */
    SK_EXPECT(!sk_inject_push_chain(&inbox, &letters[4].link, &letters[1].link));
    SK_EXPECT(!sk_inject_push(&inbox, &letters[5].link));
    expect_letters(sk_inject_take(&inbox), 0, 6);
    SK_EXPECT(sk_inject_push_chain(&inbox, &letters[0].link, &letters[0].link));
    expect_letters(sk_inject_take(&inbox), 0, 1);
}
