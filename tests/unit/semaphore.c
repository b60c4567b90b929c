/* unit/semaphore.c: permits, one and many, whose turn it is, and misuse. What all waits have in common is in
   lock_waits.c. */
#include "support/waits.h"

#include <string.h>

/* ---- alone ---- */

SK_TEST(semaphore, permits)
{
    static skua_semaphore s = SKUA_SEMAPHORE_INIT(2, 5);
    SK_EXPECT_EQ(skua_semaphore_available(&s), 2);
    SK_EXPECT_EQ(skua_semaphore_acquire(&s, 2), 0);
    SK_EXPECT_EQ(skua_semaphore_acquire(&s, 0), 0);
    SK_EXPECT_EQ(skua_semaphore_try_acquire(&s, 0), 0);
    SK_EXPECT_EQ(skua_semaphore_try_acquire(&s, 1), -EAGAIN);
    SK_EXPECT_EQ(skua_semaphore_acquire_for(&s, 1, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_semaphore_acquire_for(&s, 5, SKUA_US(100)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_semaphore_release(&s, 5), 0);
    SK_EXPECT_EQ(skua_semaphore_release(&s, 0), 0);
    SK_EXPECT_EQ(skua_semaphore_acquire_for(&s, 4, 0), 0);
    SK_EXPECT_EQ(skua_semaphore_available(&s), 1);
    SK_EXPECT_EQ(skua_semaphore_try_acquire(&s, 1), 0);
    SK_EXPECT_EQ(skua_semaphore_available(&s), 0);
}

SK_TEST(semaphore, bad_input)
{
    skua_semaphore s = {0}, before;
    SK_EXPECT_EQ(skua_semaphore_acquire(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_acquire_for(NULL, 1, 1), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_try_acquire(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_release(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_available(NULL), 0);
    SK_EXPECT_EQ(skua_semaphore_init(NULL, 1, 1), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_init(&s, 0, 0), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_init(&s, 2, 1), -EINVAL);
    /* All zero: nothing can be done with it. */
    SK_EXPECT_EQ(skua_semaphore_acquire(&s, 1), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_release(&s, 1), -EOVERFLOW);
    SK_EXPECT_EQ(skua_semaphore_init(&s, 3, 4), 0);
    before = s;
    SK_EXPECT_EQ(skua_semaphore_acquire(&s, 5), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_acquire_for(&s, UINT64_MAX, 0), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_try_acquire(&s, 5), -EINVAL);
    SK_EXPECT_EQ(skua_semaphore_release(&s, 2), -EOVERFLOW);
    SK_EXPECT_EQ(skua_semaphore_release(&s, UINT64_MAX), -EOVERFLOW);
    SK_EXPECT_EQ(memcmp(&s, &before, sizeof s), 0);
    SK_EXPECT_EQ(skua_semaphore_init(&s, UINT64_MAX, UINT64_MAX), 0);
    SK_EXPECT_EQ(skua_semaphore_release(&s, 1), -EOVERFLOW);
    SK_EXPECT_EQ(skua_semaphore_acquire(&s, UINT64_MAX), 0);
    SK_EXPECT_EQ(skua_semaphore_release(&s, UINT64_MAX), 0);
}

/* ---- whose turn it is ---- */

typedef struct want {
    skua_semaphore *s;
    uint64_t n, timeout;
    sk_gate *order;
    uint32_t place; /* in that order */
    sk_call call;
} want;

static int acquire(void *arg)
{
    want *w = arg;
    int error = w->timeout ? skua_semaphore_acquire_for(w->s, w->n, w->timeout) : skua_semaphore_acquire(w->s, w->n);
    if (!error) w->place = sk_add_ar(w->order, 1u);
    return error;
}

static void start(skua_runtime *rt, want *w)
{
    sk_call_start_waiting(&w->call, rt, acquire, w, w->s, &w->s->waiters);
}

/* A small one does not pass a large one that waits, and each release serves as many as it is enough for. */
SK_TEST(semaphore, a_large_acquire_is_not_starved)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 10; i++) {
        skua_semaphore s = SKUA_SEMAPHORE_INIT(3, 10);
        sk_gate order = 0;
        want large = {.s = &s, .n = 5, .order = &order}, small = {.s = &s, .n = 1, .order = &order}, rest = small;
        rest.n = 4;
        start(i % 2 ? rt : NULL, &large);
        start(i % 2 ? NULL : rt, &small);
        start(rt, &rest);
        SK_EXPECT_EQ(skua_semaphore_try_acquire(&s, 1), -EAGAIN);
        SK_EXPECT_EQ(skua_semaphore_release(&s, 1), 0);
        SK_EXPECT_EQ(skua_semaphore_available(&s), 4);
        SK_EXPECT_EQ(sk_waiting(&s, &s.waiters), 3);
        SK_EXPECT_EQ(skua_semaphore_release(&s, 2), 0); /* 6: enough for the first two */
        SK_EXPECT_EQ(sk_call_end(&large.call), 0);
        SK_EXPECT_EQ(sk_call_end(&small.call), 0);
        SK_EXPECT_EQ(skua_semaphore_available(&s), 0);
        SK_EXPECT_EQ(sk_waiting(&s, &s.waiters), 1);
        SK_EXPECT_EQ(skua_semaphore_release(&s, 10), 0);
        SK_EXPECT_EQ(sk_call_end(&rest.call), 0);
        SK_EXPECT_EQ(skua_semaphore_available(&s), 6);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(semaphore, first_come_first_served)
{
    enum { WAITERS = 12 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_semaphore s = SKUA_SEMAPHORE_INIT(0, 3);
    sk_gate order = 0;
    want w[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        w[i] = (want){.s = &s, .n = 1 + i % 3, .timeout = i % 2 ? 0 : SKUA_S(3600), .order = &order};
        start(i % 4 < 2 ? rt : NULL, &w[i]);
    }
    for (int i = 0; i < WAITERS; i++) {
        SK_EXPECT_EQ(skua_semaphore_release(&s, w[i].n), 0);
        SK_EXPECT_EQ(sk_call_end(&w[i].call), 0);
        SK_EXPECT_EQ(w[i].place, i);
    }
    SK_EXPECT_EQ(skua_semaphore_available(&s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* The first wants more than there is, and gives up: those behind it get theirs, without any release. */
SK_TEST(semaphore, the_first_gives_up)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 10; i++) {
        skua_semaphore s = SKUA_SEMAPHORE_INIT(3, 10);
        sk_gate order = 0;
        want large = {.s = &s, .n = 5, .order = &order}, w[4];
        start(rt, &large);
        for (int k = 0; k < 4; k++) {
            w[k] = (want){.s = &s, .n = 1, .order = &order};
            start((i + k) % 2 ? rt : NULL, &w[k]);
        }
        SK_EXPECT_EQ(skua_cancel(large.call.task), 0);
        SK_EXPECT_EQ(sk_call_end(&large.call), -ECANCELED);
        for (int k = 0; k < 3; k++) SK_EXPECT_EQ(sk_call_end(&w[k].call), 0);
        SK_EXPECT_EQ(sk_waiting(&s, &s.waiters), 1);
        SK_EXPECT_EQ(skua_semaphore_release(&s, 1), 0);
        SK_EXPECT_EQ(sk_call_end(&w[3].call), 0);
        SK_EXPECT_EQ(skua_semaphore_available(&s), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(semaphore, the_first_is_late)
{
    skua_semaphore s = SKUA_SEMAPHORE_INIT(1, 2);
    sk_gate order = 0;
    for (int i = 0; i < 5; i++) {
        want large = {.s = &s, .n = 2, .timeout = SKUA_MS(2), .order = &order};
        want small = {.s = &s, .n = 1, .order = &order};
        sk_call_start(&large.call, NULL, acquire, &large);
        sk_call_start(&small.call, NULL, acquire, &small); /* before, while, or after the large one waits */
        SK_EXPECT_EQ(sk_call_end(&small.call), 0);
        SK_EXPECT_EQ(sk_call_end(&large.call), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_semaphore_release(&s, 1), 0);
    }
}

/* One that is not the first gives up: nobody is served who would have to wait. */
SK_TEST(semaphore, one_in_the_middle_gives_up)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_semaphore s = SKUA_SEMAPHORE_INIT(1, 4);
    sk_gate order = 0;
    want w[3];
    for (int i = 0; i < 3; i++) {
        w[i] = (want){.s = &s, .n = i == 0 ? 2 : 1, .order = &order};
        start(rt, &w[i]);
    }
    SK_EXPECT_EQ(skua_cancel(w[1].call.task), 0);
    SK_EXPECT_EQ(sk_call_end(&w[1].call), -ECANCELED);
    SK_EXPECT_EQ(skua_semaphore_available(&s), 1);
    SK_EXPECT_EQ(sk_waiting(&s, &s.waiters), 2);
    SK_EXPECT_EQ(skua_semaphore_release(&s, 2), 0);
    SK_EXPECT_EQ(sk_call_end(&w[0].call), 0);
    SK_EXPECT_EQ(sk_call_end(&w[2].call), 0);
    SK_EXPECT_EQ(skua_semaphore_available(&s), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- its memory ---- */

/* Whoever gets the permit may free the semaphore. */
static int release_it(void *arg)
{
    return skua_semaphore_release(arg, 1);
}

SK_TEST(semaphore, its_memory_may_be_freed_by_who_was_served)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 200; i++) {
        skua_semaphore *s = malloc(sizeof *s);
        sk_call c;
        SK_EXPECT_EQ(skua_semaphore_init(s, 0, 1), 0);
        sk_call_start(&c, rt, release_it, s);
        SK_EXPECT_EQ(skua_semaphore_acquire(s, 1), 0);
        memset(s, 0xa5, sizeof *s);
        free(s);
        SK_EXPECT_EQ(sk_call_end(&c), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
