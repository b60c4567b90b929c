/* unit/gather.c: wait groups, latches and barriers. What all waits have in common is in lock_waits.c. */
#include "support/waits.h"

#include <string.h>

/* ---- wait group ---- */

SK_TEST(waitgroup, bad_input)
{
    skua_waitgroup w = SKUA_WAITGROUP_INIT;
    SK_EXPECT_EQ(skua_waitgroup_add(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_waitgroup_done(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_waitgroup_wait(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_waitgroup_wait_for(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_waitgroup_done(&w), -ERANGE);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, INT64_MIN), -ERANGE);
    SK_EXPECT_EQ(w.count, 0);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, 3), 0);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, -4), -ERANGE);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, INT64_MAX), -EOVERFLOW);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, INT64_MIN), -ERANGE);
    SK_EXPECT_EQ(w.count, 3);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, INT64_MAX - 3), 0);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, 1), -EOVERFLOW);
    SK_EXPECT_EQ(skua_waitgroup_add(&w, -INT64_MAX), 0);
    SK_EXPECT_EQ(w.count, 0);
}

SK_TEST(waitgroup, counts)
{
    skua_waitgroup w = SKUA_WAITGROUP_INIT;
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(skua_waitgroup_wait(&w), 0);
        SK_EXPECT_EQ(skua_waitgroup_wait_for(&w, 0), 0);
        SK_EXPECT_EQ(skua_waitgroup_add(&w, 2), 0);
        SK_EXPECT_EQ(skua_waitgroup_add(&w, 0), 0);
        SK_EXPECT_EQ(skua_waitgroup_wait_for(&w, 0), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_waitgroup_done(&w), 0);
        SK_EXPECT_EQ(skua_waitgroup_wait_for(&w, SKUA_US(100)), -ETIMEDOUT);
        SK_EXPECT_EQ(skua_waitgroup_done(&w), 0);
    }
    SK_EXPECT_EQ(skua_waitgroup_wait(&w), 0);
}

typedef struct part {
    skua_waitgroup *w;
    uint64_t *sum; /* each adds to a place of its own */
    uint64_t number;
} part;

static int do_part(void *arg)
{
    part *p = arg;
    *p->sum = p->number;
    return skua_waitgroup_done(p->w);
}

enum { PARTS = 64 };

/* Spawns its parts and waits for them on its own stack, again and again; then the stack serves others. */
static int gather(void *arg)
{
    skua_waitgroup w = SKUA_WAITGROUP_INIT;
    uint64_t found[PARTS] = {0};
    part parts[PARTS];
    for (int round = 1; round <= 3; round++) {
        SK_EXPECT_EQ(skua_waitgroup_add(&w, PARTS), 0);
        for (uint64_t i = 0; i < PARTS; i++) {
            parts[i] = (part){&w, &found[i], i * (uint64_t)round};
            SK_EXPECT_EQ(skua_spawn_with(NULL, &(skua_task_options){.runtime = arg}, do_part, &parts[i]), 0);
        }
        SK_EXPECT_EQ(skua_waitgroup_wait(&w), 0);
        for (uint64_t i = 0; i < PARTS; i++) SK_EXPECT_EQ(found[i], i * (uint64_t)round);
    }
    memset(&w, 0xa5, sizeof w);
    return 0;
}

SK_TEST(waitgroup, on_the_stack_of_who_waits)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 20; i++) SK_EXPECT_EQ(i % 2 ? gather(rt) : sk_run_on(rt, gather, rt), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_group(void *arg)
{
    return skua_waitgroup_wait(arg);
}

/* More than one wakes all that wait, those that have given up do not matter, and it can be used again. */
SK_TEST(waitgroup, many_wait)
{
    enum { WAITERS = 40 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_waitgroup w = SKUA_WAITGROUP_INIT;
    sk_call c[WAITERS];
    for (int round = 0; round < 3; round++) {
        SK_EXPECT_EQ(skua_waitgroup_add(&w, 2), 0);
        for (int i = 0; i < WAITERS; i++)
            sk_call_start_waiting(&c[i], i % 8 ? rt : NULL, wait_group, &w, &w, &w.waiters);
        for (int i = 1; i < WAITERS; i += 8) SK_EXPECT_EQ(skua_cancel(c[i].task), 0);
        for (int i = 1; i < WAITERS; i += 8) SK_EXPECT_EQ(sk_call_end(&c[i]), -ECANCELED);
        SK_EXPECT_EQ(skua_waitgroup_add(&w, 3), 0); /* while they wait */
        SK_EXPECT_EQ(skua_waitgroup_add(&w, -4), 0);
        SK_EXPECT_EQ(sk_waiting(&w, &w.waiters), WAITERS - WAITERS / 8);
        SK_EXPECT_EQ(skua_waitgroup_done(&w), 0);
        for (int i = 0; i < WAITERS; i++)
            if (i % 8 != 1) SK_EXPECT_EQ(sk_call_end(&c[i]), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- latch ---- */

SK_TEST(latch, bad_input)
{
    skua_latch l = SKUA_LATCH_INIT(2);
    SK_EXPECT_EQ(skua_latch_init(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_latch_count_down(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_latch_wait(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_latch_wait_for(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_latch_count_down(&l, 3), -ERANGE);
    SK_EXPECT_EQ(skua_latch_count_down(&l, UINT64_MAX), -ERANGE);
    SK_EXPECT_EQ(skua_latch_wait_for(&l, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_latch_count_down(&l, 2), 0);
    SK_EXPECT_EQ(skua_latch_count_down(&l, 1), -ERANGE);
    SK_EXPECT_EQ(skua_latch_wait(&l), 0);
    SK_EXPECT_EQ(skua_latch_init(&l, (uint64_t)INT64_MAX + 1), -EOVERFLOW);
    SK_EXPECT_EQ(skua_latch_init(&l, INT64_MAX), 0);
    SK_EXPECT_EQ(skua_latch_count_down(&l, INT64_MAX), 0);
    SK_EXPECT_EQ(skua_latch_wait(&l), 0);
}

static int wait_latch(void *arg)
{
    return skua_latch_wait(arg);
}

SK_TEST(latch, opens_once_for_all)
{
    enum { WAITERS = 8 };
    skua_runtime *rt = sk_runtime_of(2);
    skua_latch l = SKUA_LATCH_INIT(3);
    sk_call c[WAITERS];
    for (int i = 0; i < WAITERS; i++)
        sk_call_start_waiting(&c[i], i % 2 ? rt : NULL, wait_latch, &l, &l, &l.group.waiters);
    SK_EXPECT_EQ(skua_latch_count_down(&l, 0), 0);
    SK_EXPECT_EQ(skua_latch_count_down(&l, 2), 0);
    SK_EXPECT_EQ(sk_waiting(&l, &l.group.waiters), WAITERS);
    SK_EXPECT_EQ(skua_latch_count_down(&l, 1), 0);
    for (int i = 0; i < WAITERS; i++) SK_EXPECT_EQ(sk_call_end(&c[i]), 0);
    SK_EXPECT_EQ(skua_latch_wait_for(&l, 0), 0);
    SK_EXPECT_EQ(skua_latch_count_down(&l, 0), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- barrier ---- */

SK_TEST(barrier, bad_input)
{
    skua_barrier none = {0}, b;
    SK_EXPECT_EQ(skua_barrier_init(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_barrier_init(&b, 0), -EINVAL);
    SK_EXPECT_EQ(skua_barrier_wait(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_barrier_wait_for(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_barrier_reset(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_barrier_is_broken(NULL), 0);
    SK_EXPECT_EQ(skua_barrier_wait(&none), -EINVAL);
    SK_EXPECT_EQ(skua_barrier_reset(&none), 0);
    SK_EXPECT_EQ(skua_barrier_wait(&none), -EINVAL);
}

SK_TEST(barrier, of_one)
{
    skua_barrier b = SKUA_BARRIER_INIT(1);
    for (int i = 0; i < 3; i++) {
        SK_EXPECT_EQ(skua_barrier_wait(&b), 1);
        SK_EXPECT_EQ(skua_barrier_wait_for(&b, 0), 1);
        SK_EXPECT_EQ(skua_barrier_wait_for(&b, 1), 1);
    }
}

enum { PARTIES = 6, ROUNDS = 200 };

typedef struct march {
    skua_barrier b;
    uint32_t last[PARTIES]; /* the round in which each is: its own, read by all after the barrier */
    sk_atomic(uint32_t) serials, number;
} march;

static int go_along(void *arg)
{
    march *m = arg;
    uint32_t me = sk_add_rlx(&m->number, 1u);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        m->last[me] = round;
        int serial = skua_barrier_wait(&m->b);
        SK_EXPECT(serial == 0 || serial == 1);
        if (serial) sk_add_rlx(&m->serials, 1u);
        for (int i = 0; i < PARTIES; i++) SK_EXPECT_EQ(m->last[i], round);
        SK_EXPECT(skua_barrier_wait_for(&m->b, SKUA_S(3600)) >= 0);
    }
    return 0;
}

SK_TEST(barrier, round_after_round)
{
    skua_runtime *rt = sk_runtime_of(2);
    march m = {.b = SKUA_BARRIER_INIT(PARTIES)};
    sk_call c[PARTIES];
    for (int i = 0; i < PARTIES; i++) sk_call_start(&c[i], i % 3 ? rt : NULL, go_along, &m);
    for (int i = 0; i < PARTIES; i++) SK_EXPECT_EQ(sk_call_end(&c[i]), 0);
    SK_EXPECT_EQ(sk_load_rlx(&m.serials), ROUNDS);
    SK_EXPECT_EQ(skua_barrier_is_broken(&m.b), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int wait_barrier(void *arg)
{
    return skua_barrier_wait(arg);
}

static int wait_barrier_2_ms(void *arg)
{
    return skua_barrier_wait_for(arg, SKUA_MS(2));
}

static void start(sk_call *c, skua_runtime *rt, skua_barrier *b)
{
    sk_call_start_waiting(c, rt, wait_barrier, b, b, &b->waiters);
}

static void is_broken_until_reset(skua_barrier *b)
{
    SK_EXPECT_EQ(skua_barrier_is_broken(b), 1);
    SK_EXPECT_EQ(skua_barrier_wait(b), -EPIPE);
    SK_EXPECT_EQ(skua_barrier_wait_for(b, 0), -EPIPE);
    SK_EXPECT_EQ(skua_barrier_reset(b), 0);
    SK_EXPECT_EQ(skua_barrier_is_broken(b), 0);
    SK_EXPECT_EQ(skua_barrier_wait_for(b, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_barrier_is_broken(b), 0);
}

SK_TEST(barrier, one_who_gives_up_breaks_it)
{
    skua_runtime *rt = sk_runtime_of(2);
    skua_barrier b = SKUA_BARRIER_INIT(4);
    for (int i = 0; i < 10; i++) {
        sk_call c[3];
        start(&c[0], rt, &b);
        start(&c[1], i % 2 ? rt : NULL, &b);
        if (i % 3) {
            start(&c[2], rt, &b);
            SK_EXPECT_EQ(skua_cancel(c[2].task), 0);
            SK_EXPECT_EQ(sk_call_end(&c[2]), -ECANCELED);
        } else {
            SK_EXPECT_EQ(wait_barrier_2_ms(&b), -ETIMEDOUT);
        }
        SK_EXPECT_EQ(sk_call_end(&c[0]), -EPIPE);
        SK_EXPECT_EQ(sk_call_end(&c[1]), -EPIPE);
        is_broken_until_reset(&b);
    }
    /* And whole again. */
    sk_call c[3];
    for (int i = 0; i < 3; i++) start(&c[i], rt, &b);
    SK_EXPECT_EQ(skua_barrier_wait_for(&b, 0), 1);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(sk_call_end(&c[i]), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(barrier, a_reset_sends_away_who_waits)
{
    skua_runtime *rt = sk_runtime_of(1);
    skua_barrier b = SKUA_BARRIER_INIT(3);
    sk_call c[2];
    for (int i = 0; i < 2; i++) start(&c[i], i ? rt : NULL, &b);
    SK_EXPECT_EQ(skua_barrier_reset(&b), 0);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(sk_call_end(&c[i]), -EPIPE);
    SK_EXPECT_EQ(skua_barrier_is_broken(&b), 0);
    for (int i = 0; i < 2; i++) start(&c[i], i ? NULL : rt, &b);
    SK_EXPECT_EQ(skua_barrier_wait(&b), 1);
    for (int i = 0; i < 2; i++) SK_EXPECT_EQ(sk_call_end(&c[i]), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* Whoever comes last, or wakes first, may free it. */
SK_TEST(barrier, its_memory_may_be_freed_by_one_who_has_waited)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 200; i++) {
        skua_barrier *b = malloc(sizeof *b);
        sk_call c[2];
        SK_EXPECT_EQ(skua_barrier_init(b, 3), 0);
        for (int k = 0; k < 2; k++) sk_call_start(&c[k], rt, wait_barrier, b);
        SK_EXPECT(skua_barrier_wait(b) >= 0);
        memset(b, 0xa5, sizeof *b);
        free(b);
        for (int k = 0; k < 2; k++) SK_EXPECT(sk_call_end(&c[k]) >= 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
