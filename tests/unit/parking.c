/* unit/parking.c: waiting at addresses. What all waits have in common is in lock_waits.c. */
#include "support/waits.h"

#include <string.h>

SK_TEST(parking, bad_input)
{
    _Alignas(4) char bytes[8] = {0};
    SK_EXPECT_EQ(skua_park_on(NULL, 0, 1), -EINVAL);
    SK_EXPECT_EQ(skua_unpark_on(NULL, 1), -EINVAL);
    for (int i = 1; i < 4; i++) {
        SK_EXPECT_EQ(skua_park_on(bytes + i, 0, 1), -EINVAL);
        SK_EXPECT_EQ(skua_unpark_on(bytes + i, 1), -EINVAL);
    }
}

SK_TEST(parking, compares)
{
    uint32_t word = 3;
    SK_EXPECT_EQ(skua_park_on(&word, 4, SKUA_FOREVER), -EAGAIN);
    SK_EXPECT_EQ(skua_park_on(&word, 4, 0), -EAGAIN);
    SK_EXPECT_EQ(skua_park_on(&word, 3, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_park_on(&word, 3, SKUA_US(100)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_unpark_on(&word, UINT32_MAX), 0);
}

/* ---- at one address ---- */

typedef struct place {
    uint32_t *word;
    sk_gate *order;
    uint32_t turn;
    sk_call call;
} place;

static int park(void *arg)
{
    place *p = arg;
    int error = skua_park_on(p->word, 0, SKUA_FOREVER);
    p->turn = sk_add_ar(p->order, 1u);
    return error;
}

static void start(skua_runtime *rt, place *p)
{
    sk_call_start(&p->call, rt, park, p);
    SK_EVENTUALLY(sk_is_parked(p->call.task));
}

/* True if they went on in the order in which they had parked. */
static bool unpark_ten(void)
{
    enum { WAITERS = 10 };
    bool in_order = true;
    skua_runtime *rt = sk_runtime_of(1);
    uint32_t word = 0;
    sk_gate order = 0;
    place p[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        p[i] = (place){.word = &word, .order = &order};
        start(rt, &p[i]);
    }
    SK_EXPECT_EQ(skua_unpark_on(&word, 0), 0);
    SK_EXPECT_EQ(skua_unpark_on(&word, 1), 1);
    SK_EXPECT(sk_gate_await(&order, 1));
    SK_EXPECT_EQ(skua_unpark_on(&word, 3), 3);
    SK_EXPECT(sk_gate_await(&order, 4));
    SK_EXPECT_EQ(skua_unpark_on(&word, UINT32_MAX), WAITERS - 4);
    for (int i = 0; i < WAITERS; i++) {
        SK_EXPECT_EQ(sk_call_end(&p[i].call), 0);
        in_order = in_order && p[i].turn == (uint32_t)i;
    }
    SK_EXPECT_EQ(skua_unpark_on(&word, 1), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
    return in_order;
}

/* The only worker runs them one after another, unless the machine stops it and the monitor puts them elsewhere. */
SK_TEST(parking, n_of_them_in_order)
{
    for (int tries = 1; !unpark_ten(); tries++) SK_EXPECT(tries < 20);
}

/* More addresses than there are buckets: each wake-up finds its own, whoever else stands in the queue. */
SK_TEST(parking, many_addresses)
{
    enum { WORDS = 600 };
    static uint32_t word[WORDS];
    static place p[WORDS];
    skua_runtime *rt = sk_runtime_of(1);
    sk_gate order = 0;
    for (int i = 0; i < WORDS; i++) {
        p[i] = (place){.word = &word[i], .order = &order};
        sk_call_start(&p[i].call, rt, park, &p[i]);
    }
    for (int i = 0; i < WORDS; i++) SK_EVENTUALLY(sk_is_parked(p[i].call.task));
    for (int i = 0; i < WORDS; i++) {
        int k = i * 7 % WORDS; /* 7 and 600 have no common divisor */
        SK_EXPECT_EQ(skua_unpark_on(&word[k], 2), 1);
        SK_EXPECT_EQ(sk_call_end(&p[k].call), 0);
        SK_EXPECT_EQ(skua_unpark_on(&word[k], 2), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- a mutex of three states, as futex(2) users build it ---- */

enum { FREE, TAKEN, WANTED };

typedef struct counter {
    sk_atomic(uint32_t) word;
    long count; /* guarded by it */
} counter;

static void lock(counter *c)
{
    uint32_t seen = FREE;
    if (sk_cas_acq(&c->word, &seen, (uint32_t)TAKEN)) return;
    while (sk_xchg_acq(&c->word, (uint32_t)WANTED) != FREE) {
        int error = skua_park_on(&c->word, WANTED, SKUA_FOREVER);
        SK_EXPECT(error == 0 || error == -EAGAIN);
    }
}

static void unlock(counter *c)
{
    if (sk_xchg_rel(&c->word, (uint32_t)FREE) == WANTED) SK_EXPECT(skua_unpark_on(&c->word, 1) >= 0);
}

enum { ROUNDS = 3000, CONTENDERS = 6 };

static int count_up(void *arg)
{
    counter *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        lock(c);
        c->count++;
        if (i % 64 == 0) skua_yield();
        unlock(c);
    }
    return 0;
}

SK_TEST(parking, a_mutex_built_on_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    counter c = {.count = 0};
    sk_call call[CONTENDERS];
    for (int i = 0; i < CONTENDERS; i++) sk_call_start(&call[i], i % 2 ? rt : NULL, count_up, &c);
    for (int i = 0; i < CONTENDERS; i++) SK_EXPECT_EQ(sk_call_end(&call[i]), 0);
    SK_EXPECT_EQ(c.count, ROUNDS * CONTENDERS);
    SK_EXPECT_EQ(skua_unpark_on(&c.word, 1), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
