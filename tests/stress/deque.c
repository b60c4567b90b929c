/*
 * deque.c: an owner and four thieves on one queue, four pushers on one inbox.
 *
 * An item is the address of a cell.  The owner writes the cell before it queues
 * it, whoever takes it checks the cell and clears it, with plain accesses: an
 * item seen too early, twice or never shows in the cells or in the total, and
 * ThreadSanitizer sees every missing edge as a race on the cell.
 */
#include "base/atomic.h"
#include "base/base.h"
#include "base/rng.h"
#include "deque/inject.h"
#include "deque/jobring.h"
#include "deque/taskq.h"
#include "support/test.h"

#include <pthread.h>
#include <sched.h>

#define THIEVES 4
#define ROUNDS 20
#define CELL(i) ((uint32_t)(i)*2654435761u | 1u)

typedef struct arena {
    uint32_t *cells;
    long count;
    sk_atomic(long) taken;
    sk_atomic(int) over; /* the owner has finished: thieves go home */
    sk_taskq q;
    sk_taskq thief_q[THIEVES]; /* of those who move: small, so that they often have no room */
    sk_jobring ring;
    SK_LINE_ALIGNED sk_atomic(uint64_t) section[THIEVES]; /* odd while the thief may hold a buffer */
    int retired;
} arena;

typedef struct thief {
    arena *at;
    int number;
    pthread_t thread;
} thief;

static void receive(arena *a, void *item)
{
    uint32_t *cell = item;
    SK_EXPECT_EQ(*cell, CELL(cell - a->cells));
    *cell = 0;
}

static void *queue_item(arena *a, long i)
{
    a->cells[i] = CELL(i);
    return &a->cells[i];
}

/* What RCU does for the runtime: waits until each thief has been outside once, then frees. */
static void wait_and_free(void *ctx, sk_taskq_buffer *old)
{
    arena *a = ctx;
    for (int i = 0; i < THIEVES; i++) {
        /* [DQ-T1] seq_cst; pairs with [DQ-T2] in task_thief. Without it a section begun could be missed. */
        uint64_t before = sk_add_sc(&a->section[i], 0u);
        /* [DQ-T3] acquire; pairs with [DQ-T2]. Without it the buffer could be freed under the thief's last read. */
        while (before % 2 && sk_load_acq(&a->section[i]) == before) sched_yield();
    }
    sk_taskq_buffer_free(old);
    a->retired++;
}

static void *task_thief(void *arg)
{
    thief *self = arg;
    arena *a = self->at;
    sk_rng rng;
    sk_rng_seed(&rng, (uint64_t)self->number);
    void *loot[32];
    long taken = 0;
    while (!sk_load_rlx(&a->over)) {
        /* [DQ-T2] seq_cst; pairs with [DQ-T1] and [DQ-T3] in wait_and_free; the same again after the steal. */
        sk_add_sc(&a->section[self->number], 1u);
        int n = sk_taskq_try_steal(&a->q, loot, 1 + sk_rng_below(&rng, sk_array_len(loot)));
        /* [DQ-T4] seq_cst; the end of [DQ-T2]'s section. */
        sk_add_sc(&a->section[self->number], 1u);
        for (int i = 0; i < n; i++) receive(a, loot[i]);
        if (n > 0) taken += n;
        if (n == 0) sched_yield();
    }
    sk_add_rlx(&a->taken, taken);
    return NULL;
}

/* Moves to a queue of its own, from the arena's and from the other thieves', and eats up what it has got. */
static void *moving_thief(void *arg)
{
    thief *self = arg;
    arena *a = self->at;
    sk_taskq *own = &a->thief_q[self->number];
    sk_rng rng;
    sk_rng_seed(&rng, (uint64_t)self->number);
    long taken = 0;
    bool over = false;
    while (!over) {
        over = sk_load_rlx(&a->over);
        uint32_t at = sk_rng_below(&rng, THIEVES + 2);
        sk_taskq *victim = at < THIEVES && (int)at != self->number ? &a->thief_q[at] : &a->q;
        /* [DQ-T2] seq_cst, as in task_thief; the same again after the steal. */
        sk_add_sc(&a->section[self->number], 1u);
        int n = sk_taskq_try_move(victim, own, 1 + sk_rng_below(&rng, 20));
        /* [DQ-T4] seq_cst; the end of [DQ-T2]'s section. */
        sk_add_sc(&a->section[self->number], 1u);
        void *item;
        for (uint32_t left = over ? UINT32_MAX : sk_rng_below(&rng, 20); left && (item = sk_taskq_take(own)); left--) {
            receive(a, item);
            taken++;
        }
        if (n == 0) sched_yield();
        over = over && n == 0;
    }
    sk_add_rlx(&a->taken, taken);
    return NULL;
}

static void *job_thief(void *arg)
{
    arena *a = ((thief *)arg)->at;
    long taken = 0;
    while (!sk_load_rlx(&a->over)) {
        void *job = NULL;
        int n = sk_jobring_try_steal(&a->ring, &job);
        if (n == 1) {
            receive(a, job);
            taken++;
        }
        if (n == 0) sched_yield();
    }
    sk_add_rlx(&a->taken, taken);
    return NULL;
}

/* Mostly one to three at a time, where owner and thieves meet; now and then a flood. */
static uint32_t burst(sk_rng *rng)
{
    return sk_rng_below(rng, 64) ? 1 + sk_rng_below(rng, 3) : 1 + sk_rng_below(rng, 3000);
}

static long own_tasks(arena *a, uint64_t seed)
{
    sk_rng rng;
    sk_rng_seed(&rng, seed);
    long pushed = 0, taken = 0;
    while (pushed < a->count) {
        for (uint32_t n = burst(&rng); n > 0 && pushed < a->count; n--, pushed++) {
            SK_EXPECT_EQ(sk_taskq_push(&a->q, queue_item(a, pushed)), 0);
        }
        for (uint32_t n = burst(&rng); n > 0 || pushed == a->count; n--) {
            void *task = sk_taskq_take(&a->q);
            if (!task) break;
            receive(a, task);
            taken++;
        }
    }
    return taken;
}

static void receive_drained(void *ctx, void *item)
{
    receive(ctx, item);
}

static long own_jobs(arena *a, uint64_t seed)
{
    sk_rng rng;
    sk_rng_seed(&rng, seed);
    long pushed = 0, taken = 0;
    while (pushed < a->count) {
        for (uint32_t n = burst(&rng); n > 0 && pushed < a->count; n--, pushed++) {
            int error = sk_jobring_push(&a->ring, queue_item(a, pushed));
            if (error == -ENOSPC) break;
            SK_EXPECT_EQ(error, 0);
        }
        if (sk_rng_below(&rng, 256) == 0) taken += (long)sk_jobring_drain(&a->ring, receive_drained, a);
        for (uint32_t n = burst(&rng); n > 0 || pushed == a->count; n--) {
            void *job = sk_jobring_pop(&a->ring);
            if (!job) break;
            receive(a, job);
            taken++;
        }
    }
    return taken;
}

/* One round: thieves start, the owner works until all is pushed and the queue is empty, the books are checked. */
static void one_round(arena *a, void *(*steal)(void *), long (*own)(arena *, uint64_t), uint64_t seed)
{
    sk_store_rlx(&a->taken, 0);
    sk_store_rlx(&a->over, 0);
    thief thieves[THIEVES];
    for (int i = 0; i < THIEVES; i++) {
        thieves[i].at = a;
        thieves[i].number = i;
        SK_EXPECT_EQ(pthread_create(&thieves[i].thread, NULL, steal, &thieves[i]), 0);
    }
    long taken = own(a, seed);
    sk_store_rlx(&a->over, 1);
    for (int i = 0; i < THIEVES; i++) SK_EXPECT_EQ(pthread_join(thieves[i].thread, NULL), 0);
    SK_EXPECT_EQ(taken + sk_load_rlx(&a->taken), a->count);
    for (long i = 0; i < a->count; i++) SK_EXPECT_EQ(a->cells[i], 0);
}

static arena *arena_new(void)
{
    arena *a = aligned_alloc(SK_CACHE_LINE, sizeof *a);
    SK_EXPECT(a != NULL);
    a->count = sk_test_scaled(10000000) / ROUNDS + 1;
    a->cells = calloc((size_t)a->count, sizeof *a->cells);
    SK_EXPECT(a->cells != NULL);
    a->retired = 0;
    for (int i = 0; i < THIEVES; i++) sk_store_rlx(&a->section[i], 0u);
    return a;
}

static void arena_delete(arena *a)
{
    free(a->cells);
    free(a);
}

/* As below, with thieves that have queues and are robbed themselves. */
SK_TEST(deque_stress, taskq_owner_and_moving_thieves)
{
    arena *a = arena_new();
    for (uint64_t round = 0; round < ROUNDS; round++) {
        SK_EXPECT_EQ(sk_taskq_init_at(&a->q, 1, wait_and_free, a, (uint64_t)0 - (uint64_t)a->count / 2), 0);
        for (int i = 0; i < THIEVES; i++) SK_EXPECT_EQ(sk_taskq_init_at(&a->thief_q[i], 4, NULL, NULL, UINT64_MAX), 0);
        one_round(a, moving_thief, own_tasks, round);
        for (int i = 0; i < THIEVES; i++) {
            SK_EXPECT(sk_taskq_check(&a->thief_q[i]) && sk_taskq_size(&a->thief_q[i]) == 0);
            sk_taskq_fini(&a->thief_q[i]);
        }
        SK_EXPECT(sk_taskq_check(&a->q));
        sk_taskq_fini(&a->q);
    }
    arena_delete(a);
}

/* Each round begins with two slots and the indices half a round before their wrap. */
SK_TEST(deque_stress, taskq_owner_and_thieves)
{
    arena *a = arena_new();
    for (uint64_t round = 0; round < ROUNDS; round++) {
        SK_EXPECT_EQ(sk_taskq_init_at(&a->q, 1, wait_and_free, a, (uint64_t)0 - (uint64_t)a->count / 2), 0);
        one_round(a, task_thief, own_tasks, round);
        SK_EXPECT(sk_taskq_check(&a->q));
        SK_EXPECT_EQ(sk_taskq_size(&a->q), 0);
        sk_taskq_fini(&a->q);
    }
    SK_EXPECT(a->retired >= ROUNDS);
    arena_delete(a);
}

SK_TEST(deque_stress, jobring_owner_and_thieves)
{
    arena *a = arena_new();
    for (uint64_t round = 0; round < ROUNDS; round++) {
        SK_EXPECT_EQ(sk_jobring_init_at(&a->ring, 1 + round % 9, (uint64_t)0 - (uint64_t)a->count / 4), 0);
        one_round(a, job_thief, own_jobs, round);
        SK_EXPECT(sk_jobring_check(&a->ring));
        SK_EXPECT_EQ(sk_jobring_size(&a->ring), 0);
        sk_jobring_fini(&a->ring);
    }
    arena_delete(a);
}

/* ---- the inbox ---- */

#define PUSHERS 4

typedef struct letter {
    long number;
    int pusher;
    sk_inject_link link;
} letter;

typedef struct pusher {
    sk_inject *inbox;
    letter *letters;
    long count;
    int number;
    long firsts; /* how often it was told that the inbox had been empty */
    pthread_t thread;
} pusher;

/* Single letters and chains of up to five. */
static void *push_letters(void *arg)
{
    pusher *self = arg;
    sk_rng rng;
    sk_rng_seed(&rng, (uint64_t)self->number);
    for (long i = 0; i < self->count;) {
        long drawn = 1 + (long)sk_rng_below(&rng, 5), n = sk_min(drawn, self->count - i);
        for (long k = i; k < i + n; k++) {
            self->letters[k].number = k;
            self->letters[k].pusher = self->number;
            if (k > i) self->letters[k].link.next = &self->letters[k - 1].link;
        }
        self->firsts += sk_inject_push_chain(self->inbox, &self->letters[i + n - 1].link, &self->letters[i].link);
        i += n;
    }
    return NULL;
}

SK_TEST(deque_stress, inject_pushers_and_taker)
{
    sk_inject inbox;
    sk_inject_init(&inbox);
    pusher pushers[PUSHERS];
    long each = sk_test_scaled(10000000) / PUSHERS / 4 + 1, next[PUSHERS] = {0}, left = each * PUSHERS, batches = 0;
    for (int i = 0; i < PUSHERS; i++) {
        letter *letters = calloc((size_t)each, sizeof *letters);
        SK_EXPECT(letters != NULL);
        pushers[i] = (pusher){&inbox, letters, each, i, 0, 0};
        SK_EXPECT_EQ(pthread_create(&pushers[i].thread, NULL, push_letters, &pushers[i]), 0);
    }
    while (left > 0) {
        sk_inject_link *chain = sk_inject_take(&inbox);
        if (!chain) sched_yield();
        batches += chain != NULL;
        for (; chain; chain = chain->next, left--) {
            const letter *l = sk_container_of(chain, letter, link);
            SK_EXPECT_EQ(l->number, next[l->pusher]++);
        }
    }
    long firsts = 0;
    for (int i = 0; i < PUSHERS; i++) {
        SK_EXPECT_EQ(pthread_join(pushers[i].thread, NULL), 0);
        firsts += pushers[i].firsts;
        free(pushers[i].letters);
    }
    SK_EXPECT(sk_inject_is_empty(&inbox));
    SK_EXPECT_EQ(firsts, batches); /* each batch was announced by exactly one push */
}
