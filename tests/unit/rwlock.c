/* unit/rwlock.c: readers, writers, whose turn it is, and misuse. What all waits have in common is in lock_waits.c. */
#include "support/waits.h"

#include <string.h>

static bool at_rest(const skua_rwlock *l)
{
    static const skua_rwlock nobody = SKUA_RWLOCK_INIT;
    return memcmp(l, &nobody, sizeof nobody) == 0;
}

/* ---- alone ---- */

static void as_writer(skua_rwlock *l)
{
    SK_EXPECT_EQ(skua_rwlock_write_unlock(l), -EPERM);
    SK_EXPECT_EQ(skua_rwlock_write_lock(l), 0);
    SK_EXPECT_EQ(skua_rwlock_write_trylock(l), -EBUSY);
    SK_EXPECT_EQ(skua_rwlock_read_trylock(l), -EBUSY);
    SK_EXPECT_EQ(skua_rwlock_write_lock_for(l, 0), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_rwlock_read_lock_for(l, SKUA_US(100)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_rwlock_read_unlock(l), -EPERM);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(l), 0);
}

static void as_readers(skua_rwlock *l)
{
    SK_EXPECT_EQ(skua_rwlock_read_unlock(l), -EPERM);
    SK_EXPECT_EQ(skua_rwlock_read_lock(l), 0);
    SK_EXPECT_EQ(skua_rwlock_read_trylock(l), 0);
    SK_EXPECT_EQ(skua_rwlock_read_lock_for(l, 0), 0);
    SK_EXPECT_EQ(skua_rwlock_write_trylock(l), -EBUSY);
    SK_EXPECT_EQ(skua_rwlock_write_lock_for(l, SKUA_US(100)), -ETIMEDOUT);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(l), -EPERM);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(skua_rwlock_read_unlock(l), 0);
    SK_EXPECT_EQ(skua_rwlock_read_unlock(l), -EPERM);
}

static int alone(void *arg)
{
    skua_rwlock *l = arg;
    for (int i = 0; i < 3; i++) {
        as_writer(l);
        as_readers(l);
        SK_EXPECT(at_rest(l));
    }
    SK_EXPECT_EQ(skua_rwlock_write_trylock(l), 0);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(l), 0);
    SK_EXPECT_EQ(skua_rwlock_write_lock_for(l, 0), 0);
    return skua_rwlock_write_unlock(l);
}

SK_TEST(rwlock, alone)
{
    static skua_rwlock l = SKUA_RWLOCK_INIT;
    skua_runtime *rt = sk_runtime_of(1);
    SK_EXPECT_EQ(alone(&l), 0);
    SK_EXPECT_EQ(sk_run_on(rt, alone, &l), 0);
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(rwlock, bad_input)
{
    skua_rwlock full = {.held = INT32_MAX};
    SK_EXPECT_EQ(skua_rwlock_read_lock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_read_lock_for(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_read_trylock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_read_unlock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_write_lock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_write_lock_for(NULL, 1), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_write_trylock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(NULL), -EINVAL);
    SK_EXPECT_EQ(skua_rwlock_read_lock(&full), -EOVERFLOW);
    SK_EXPECT_EQ(skua_rwlock_read_trylock(&full), -EOVERFLOW);
    SK_EXPECT_EQ(full.held, INT32_MAX);
}

/* ---- whose turn it is ---- */

typedef struct scene {
    skua_rwlock l;
    sk_gate readers_in, readers_may_go, writers_in; /* how many have been in so far */
    uint32_t readers;                               /* to be in together */
    bool inside;                                    /* a writer, guarded by the lock */
    uint32_t order[8];                              /* of the writers: by the lock */
} scene;

static int reads(void *arg)
{
    scene *s = arg;
    int error = skua_rwlock_read_lock(&s->l);
    if (error) return error;
    SK_EXPECT(!s->inside);
    sk_gate_add(&s->readers_in);
    SK_EXPECT(sk_gate_await(&s->readers_in, s->readers)); /* all at the same time */
    SK_EXPECT(sk_gate_await(&s->readers_may_go, 1));
    return skua_rwlock_read_unlock(&s->l);
}

static int writes(void *arg)
{
    scene *s = arg;
    int error = skua_rwlock_write_lock(&s->l);
    if (error) return error;
    SK_EXPECT(!s->inside);
    s->inside = true;
    skua_yield();
    s->inside = false;
    sk_gate_add(&s->writers_in);
    return skua_rwlock_write_unlock(&s->l);
}

static void start(sk_call *c, skua_runtime *rt, skua_fn *fn, scene *s)
{
    sk_call_start_waiting(c, rt, fn, s, &s->l, fn == reads ? &s->l.readers : &s->l.writers);
}

/* A writer waits for a reader; readers that come wait behind it, and go together after it, before the next writer. */
SK_TEST(rwlock, neither_side_starves)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 10; i++) {
        scene s = {.readers = 4};
        sk_call writer[2], reader[4];
        SK_EXPECT_EQ(skua_rwlock_read_lock(&s.l), 0);
        start(&writer[0], i % 2 ? rt : NULL, writes, &s);
        SK_EXPECT_EQ(skua_rwlock_read_trylock(&s.l), -EBUSY);
        for (int r = 0; r < 4; r++) start(&reader[r], (i + r) % 2 ? rt : NULL, reads, &s);
        start(&writer[1], i % 2 ? NULL : rt, writes, &s);
        SK_EXPECT_EQ(skua_rwlock_read_unlock(&s.l), 0);
        SK_EXPECT(sk_gate_await(&s.readers_in, 4));
        SK_EXPECT_EQ(sk_gate_now(&s.writers_in), 1);
        sk_gate_add(&s.readers_may_go);
        for (int r = 0; r < 4; r++) SK_EXPECT_EQ(sk_call_end(&reader[r]), 0);
        for (int w = 0; w < 2; w++) SK_EXPECT_EQ(sk_call_end(&writer[w]), 0);
        SK_EXPECT(at_rest(&s.l));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

typedef struct numbered {
    scene *s;
    uint32_t number;
} numbered;

static int writes_its_number(void *arg)
{
    numbered *n = arg;
    SK_EXPECT_EQ(skua_rwlock_write_lock(&n->s->l), 0);
    n->s->order[sk_gate_now(&n->s->writers_in)] = n->number;
    sk_gate_add(&n->s->writers_in);
    return skua_rwlock_write_unlock(&n->s->l);
}

SK_TEST(rwlock, writers_go_in_order)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 10; i++) {
        scene s = {.readers = 0};
        sk_call writer[8];
        numbered n[8];
        SK_EXPECT_EQ(i % 2 ? skua_rwlock_read_lock(&s.l) : skua_rwlock_write_lock(&s.l), 0);
        for (uint32_t w = 0; w < 8; w++) {
            n[w] = (numbered){&s, w};
            sk_call_start_waiting(&writer[w], w % 2 ? rt : NULL, writes_its_number, &n[w], &s.l, &s.l.writers);
        }
        SK_EXPECT_EQ(i % 2 ? skua_rwlock_read_unlock(&s.l) : skua_rwlock_write_unlock(&s.l), 0);
        for (uint32_t w = 0; w < 8; w++) {
            SK_EXPECT_EQ(sk_call_end(&writer[w]), 0);
            SK_EXPECT_EQ(s.order[w], w);
        }
        SK_EXPECT(at_rest(&s.l));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

static int writes_within_2_ms(void *arg)
{
    scene *s = arg;
    return skua_rwlock_write_lock_for(&s->l, SKUA_MS(2));
}

/* Readers held up only by writers that wait: when the last of these gives up they go. */
SK_TEST(rwlock, a_writer_that_gives_up_lets_readers_in)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 10; i++) {
        scene s = {.readers = 2};
        sk_call writer[2], reader[2];
        SK_EXPECT_EQ(skua_rwlock_read_lock(&s.l), 0);
        start(&writer[0], rt, writes, &s);
        start(&writer[1], rt, writes, &s);
        for (int r = 0; r < 2; r++) start(&reader[r], (i + r) % 2 ? rt : NULL, reads, &s);
        for (int w = 0; w < 2; w++) {
            SK_EXPECT_EQ(sk_gate_now(&s.readers_in), 0);
            SK_EXPECT_EQ(skua_cancel(writer[(w + i) % 2].task), 0);
            SK_EXPECT_EQ(sk_call_end(&writer[(w + i) % 2]), -ECANCELED);
        }
        sk_gate_add(&s.readers_may_go);
        for (int r = 0; r < 2; r++) SK_EXPECT_EQ(sk_call_end(&reader[r]), 0);
        SK_EXPECT_EQ(skua_rwlock_read_unlock(&s.l), 0);
        SK_EXPECT(at_rest(&s.l));
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

SK_TEST(rwlock, a_writer_that_is_late_lets_readers_in)
{
    for (int i = 0; i < 5; i++) {
        scene s = {.readers = 1};
        sk_call writer, reader;
        SK_EXPECT_EQ(skua_rwlock_read_lock(&s.l), 0);
        sk_call_start(&writer, NULL, writes_within_2_ms, &s);
        sk_call_start(&reader, NULL, reads, &s); /* before, while, or after the writer waits */
        SK_EXPECT(sk_gate_await(&s.readers_in, 1));
        SK_EXPECT_EQ(sk_call_end(&writer), -ETIMEDOUT);
        sk_gate_add(&s.readers_may_go);
        SK_EXPECT_EQ(sk_call_end(&reader), 0);
        SK_EXPECT_EQ(skua_rwlock_read_unlock(&s.l), 0);
        SK_EXPECT(at_rest(&s.l));
    }
}

/* While a writer holds it nobody is let in by another that gives up. */
SK_TEST(rwlock, giving_up_lets_nobody_in_beside_a_writer)
{
    skua_runtime *rt = sk_runtime_of(1);
    scene s = {.readers = 1};
    sk_call writer, reader;
    SK_EXPECT_EQ(skua_rwlock_write_lock(&s.l), 0);
    s.inside = true;
    start(&writer, rt, writes, &s);
    start(&reader, rt, reads, &s);
    SK_EXPECT_EQ(skua_cancel(writer.task), 0);
    SK_EXPECT_EQ(sk_call_end(&writer), -ECANCELED);
    skua_sleep(SKUA_MS(1));
    SK_EXPECT_EQ(sk_gate_now(&s.readers_in), 0);
    s.inside = false;
    sk_gate_add(&s.readers_may_go);
    SK_EXPECT_EQ(skua_rwlock_write_unlock(&s.l), 0);
    SK_EXPECT_EQ(sk_call_end(&reader), 0);
    SK_EXPECT(at_rest(&s.l));
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}

/* ---- its memory ---- */

typedef struct shared {
    skua_rwlock *l;
    sk_gate users;
} shared;

/* The last of two frees the lock: unlock touches it no more. */
static int lock_and_free(void *arg)
{
    shared *s = arg;
    skua_rwlock *l = s->l;
    SK_EXPECT_EQ(skua_rwlock_write_lock(l), 0);
    bool last = sk_add_rlx(&s->users, 1u) == 1;
    SK_EXPECT_EQ(skua_rwlock_write_unlock(l), 0);
    if (!last) return 0;
    memset(l, 0xa5, sizeof *l);
    free(l);
    return 0;
}

SK_TEST(rwlock, its_memory_may_be_freed_after_the_last_unlock)
{
    skua_runtime *rt = sk_runtime_of(2);
    for (int i = 0; i < 200; i++) {
        shared s = {.l = calloc(1, sizeof(skua_rwlock))};
        skua_task task = sk_spawn_on(rt, lock_and_free, &s);
        SK_EXPECT_EQ(i % 2 ? lock_and_free(&s) : sk_run_on(rt, lock_and_free, &s), 0);
        SK_EXPECT_EQ(skua_join_for(task, SKUA_MS(SK_PATIENCE_MS), NULL), 0);
    }
    SK_EXPECT_EQ(skua_runtime_release(rt), 0);
}
