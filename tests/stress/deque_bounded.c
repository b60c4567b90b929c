/*
 * deque_bounded.c: three pushers and three poppers on one bounded queue.
 *
 * An item is the address of a cell that its pusher has written with plain
 * stores.  Each popper sees the numbers of each pusher rise; all cells are
 * cleared exactly once.
 */
#include "base/atomic.h"
#include "base/base.h"
#include "base/rng.h"
#include "deque/bounded.h"
#include "support/test.h"

#include <pthread.h>
#include <sched.h>

#define SIDE 3
#define CELL(pusher, i) (((uint32_t)(i)*2654435761u + (uint32_t)(pusher)*7919u) | 1u)

typedef struct arena {
    sk_bounded q;
    uint32_t *cells[SIDE]; /* by pusher */
    long each;
    uint32_t batch; /* the most a popper takes at once; 1: with sk_bounded_pop */
    SK_LINE_ALIGNED sk_atomic(long) left;
} arena;

typedef struct worker {
    arena *at;
    int number;
    pthread_t thread;
} worker;

static void *push_all(void *arg)
{
    worker *self = arg;
    arena *a = self->at;
    uint32_t *cells = a->cells[self->number];
    for (long i = 0; i < a->each; i++) {
        cells[i] = CELL(self->number, i);
        int error;
        while ((error = sk_bounded_push(&a->q, &cells[i])) == -EAGAIN) sched_yield();
        SK_EXPECT_EQ(error, 0);
    }
    return NULL;
}

static void receive(const arena *a, uint32_t *cell, long last[SIDE])
{
    int from = 0;
    while (cell < a->cells[from] || cell >= a->cells[from] + a->each) from++;
    long i = cell - a->cells[from];
    SK_EXPECT_EQ(*cell, CELL(from, i));
    SK_EXPECT(i > last[from]);
    last[from] = i;
    *cell = 0;
}

static void *pop_all(void *arg)
{
    worker *self = arg;
    arena *a = self->at;
    sk_rng rng;
    sk_rng_seed(&rng, (uint64_t)self->number);
    long last[SIDE] = {-1, -1, -1};
    while (sk_load_rlx(&a->left) > 0) {
        void *items[64];
        uint32_t n = 0;
        if (a->batch == 1) {
            n = (items[0] = sk_bounded_pop(&a->q)) != NULL;
        } else {
            n = sk_bounded_pop_many(&a->q, items, 1 + sk_rng_below(&rng, a->batch));
        }
        for (uint32_t i = 0; i < n; i++) receive(a, items[i], last);
        if (n) sk_sub_rlx(&a->left, (long)n);
        if (!n) sched_yield();
    }
    return NULL;
}

static void storm(uint32_t bound, uint32_t batch, long items)
{
    arena *a = aligned_alloc(SK_CACHE_LINE, sizeof *a);
    SK_EXPECT(a != NULL);
    a->each = items / SIDE + 1;
    a->batch = batch;
    sk_store_rlx(&a->left, a->each * SIDE);
    SK_EXPECT_EQ(sk_bounded_init_at(&a->q, bound, SK_BOUNDED_LAPS - 100), 0);
    worker pushers[SIDE], poppers[SIDE];
    for (int i = 0; i < SIDE; i++) {
        a->cells[i] = calloc((size_t)a->each, sizeof *a->cells[i]);
        SK_EXPECT(a->cells[i] != NULL);
    }
    for (int i = 0; i < SIDE; i++) {
        pushers[i] = poppers[i] = (worker){a, i, 0};
        SK_EXPECT_EQ(pthread_create(&pushers[i].thread, NULL, push_all, &pushers[i]), 0);
        SK_EXPECT_EQ(pthread_create(&poppers[i].thread, NULL, pop_all, &poppers[i]), 0);
    }
    for (int i = 0; i < SIDE; i++) {
        SK_EXPECT_EQ(pthread_join(pushers[i].thread, NULL), 0);
        SK_EXPECT_EQ(pthread_join(poppers[i].thread, NULL), 0);
    }
    SK_EXPECT_EQ(sk_load_rlx(&a->left), 0);
    SK_EXPECT(sk_bounded_pop(&a->q) == NULL);
    SK_EXPECT(sk_bounded_check(&a->q));
    for (int from = 0; from < SIDE; from++) {
        for (long i = 0; i < a->each; i++) SK_EXPECT_EQ(a->cells[from][i], 0);
        free(a->cells[from]);
    }
    sk_bounded_fini(&a->q);
    free(a);
}

SK_TEST(bounded_stress, tiny_bounds)
{
    static const uint32_t bounds[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sk_array_len(bounds); i++) {
        storm(bounds[i], 1, sk_test_scaled(500000));
        storm(bounds[i], 8, sk_test_scaled(500000));
    }
}

SK_TEST(bounded_stress, bound_equals_slots)
{
    storm(64, 1, sk_test_scaled(2000000));
    storm(64, 64, sk_test_scaled(2000000));
}

SK_TEST(bounded_stress, backlog)
{
    storm(10000, 64, sk_test_scaled(3000000));
    storm(10000, 1, sk_test_scaled(1000000));
}
