/* stress/mem.c: caches and depots under four threads: nothing is lost, nothing is given twice. */
#include "support/test.h"

#include "base/rng.h"
#include "mem/slab.h"
#include "mem/stack.h"
#include "mem/tagstack.h"

#include <pthread.h>
#include <sched.h>

enum { THREADS = 4 };

typedef struct runner {
    void *(*body)(void *);
    unsigned number;
    long rounds;
    pthread_t thread;
} runner;

static void run_all(runner *r, unsigned n, void *(*body)(void *), long rounds)
{
    for (unsigned i = 0; i < n; i++) {
        r[i] = (runner){.body = body, .number = i, .rounds = rounds};
        SK_EXPECT_EQ(pthread_create(&r[i].thread, NULL, body, &r[i]), 0);
    }
    for (unsigned i = 0; i < n; i++) SK_EXPECT_EQ(pthread_join(r[i].thread, NULL), 0);
}

/* ---- the tagged stack by itself: few members, so that ids come round fast ---- */

enum { MEMBERS = 6 };
static struct member {
    SK_LINE_ALIGNED sk_tagstack_link link;
    sk_atomic(uint32_t) holders;
    long plain; /* for TSan: only the holder writes */
} members[MEMBERS + 1];
static sk_tagstack shared;

static sk_tagstack_link *member_link(void *ctx, uint32_t id)
{
    (void)ctx;
    return &members[id].link;
}

static void *pops_and_pushes(void *arg)
{
    runner *me = arg;
    sk_rng rng;
    sk_rng_seed(&rng, me->number);
    for (long i = 0; i < me->rounds; i++) {
        uint32_t held[3], n = 0, want = 1 + sk_rng_below(&rng, 3);
        while (n < want && (held[n] = sk_tagstack_pop(&shared, member_link, NULL))) {
            SK_EXPECT_EQ(sk_add_rlx(&members[held[n]].holders, 1u), 0);
            members[held[n]].plain++;
            n++;
        }
        if (sk_rng_below(&rng, 64) == 0) sched_yield();
        while (n > 0) {
            uint32_t id = held[--n];
            sk_sub_rlx(&members[id].holders, 1u);
            sk_tagstack_push(&shared, id, &members[id].link);
        }
    }
    return NULL;
}

SK_TEST(mem_stress, tagstack)
{
    runner r[THREADS];
    for (uint32_t id = 1; id <= MEMBERS; id++) sk_tagstack_push(&shared, id, &members[id].link);
    run_all(r, THREADS, pops_and_pushes, sk_test_scaled(1000000));
    int left = 0;
    while (sk_tagstack_pop(&shared, member_link, NULL)) left++;
    SK_EXPECT_EQ(left, MEMBERS);
}

/* ---- stacks: every cache gets and puts, one more thread trims ---- */

static sk_atomic(bool) finished;

/* A word right below the head says who holds the stack; a cold one reads as zero there. */
static sk_atomic(uint32_t) * holder_of(sk_stack *stack)
{
    return (sk_atomic(uint32_t) *)(void *)((char *)stack - 64);
}

static void hold(sk_stack *stack, uint32_t who)
{
    SK_EXPECT_EQ(sk_xchg_rlx(holder_of(stack), who), 0);
    ((volatile long *)(void *)stack)[-16]++; /* for TSan: only the holder writes */
    stack->fresh = 0;
}

static void let_go(sk_stack_cache *cache, sk_stack *stack, uint32_t who)
{
    SK_EXPECT_EQ(sk_xchg_rlx(holder_of(stack), 0u), who);
    sk_stack_put(cache, stack);
}

static void *gets_and_puts(void *arg)
{
    enum { MOST = 150 };
    runner *me = arg;
    static __thread sk_stack *held[MOST];
    static __thread sk_stack_cache cache;
    uint32_t n = 0, who = me->number + 1;
    sk_rng rng;
    sk_rng_seed(&rng, me->number);
    for (long i = 0; i < me->rounds; i++) {
        uint32_t want = sk_rng_below(&rng, MOST + 1);
        for (; n < want; n++) {
            held[n] = sk_stack_get(&cache, i & 1);
            SK_EXPECT(held[n] != NULL);
            hold(held[n], who);
        }
        while (n > want) let_go(&cache, held[--n], who);
    }
    while (n > 0) let_go(&cache, held[--n], who);
    sk_stack_cache_flush(&cache);
    return NULL;
}

static void *trims(void *arg)
{
    uint64_t *gone = arg;
    bool last;
    do { /* once more when all stacks are back in the depot: a short run may be over before our first turn */
        last = sk_load_acq(&finished);
        gone[0] += sk_stack_trim(0, 40) + sk_stack_trim(1, 0);
        sched_yield();
    } while (!last);
    return NULL;
}

SK_TEST(mem_stress, stacks)
{
    runner r[THREADS];
    pthread_t trimmer;
    uint64_t gone = 0;
    SK_EXPECT_EQ(pthread_create(&trimmer, NULL, trims, &gone), 0);
    run_all(r, THREADS, gets_and_puts, sk_test_scaled(20000));
    sk_store_rel(&finished, true);
    SK_EXPECT_EQ(pthread_join(trimmer, NULL), 0);
    for (unsigned cls = 0; cls < 2; cls++) {
        sk_stack_numbers n;
        SK_EXPECT(sk_stack_check(cls));
        sk_stack_stats(cls, &n);
        SK_EXPECT_EQ(n.outside, 0);
        SK_EXPECT_EQ(n.depot + n.cold, n.created);
        SK_EXPECT(n.created <= THREADS * 400); /* reused: 150 held, 64 cached a class, some batches on their way */
    }
    SK_EXPECT(gone > 0);
    SK_EXPECT_EQ(sk_stack_release_all(), 0);
}

/* ---- slabs: two threads allocate, two free what those allocated ---- */

typedef struct thing {
    sk_atomic(uint32_t) live;
    uint32_t from;
    void *link;
    uint64_t stamp;
    char rest[168];
} thing;

enum { RING = 512, PAIRS = THREADS / 2 };

/* One producer, one consumer. */
static struct ring {
    SK_LINE_ALIGNED sk_atomic(uint64_t) head;
    SK_LINE_ALIGNED sk_atomic(uint64_t) tail;
    SK_LINE_ALIGNED thing *slot[RING];
} rings[PAIRS];

static sk_slab slab;

static void send(struct ring *ring, thing *t)
{
    uint64_t tail = sk_load_rlx(&ring->tail);
    while (tail - sk_load_acq(&ring->head) == RING) sched_yield();
    ring->slot[tail % RING] = t;
    sk_store_rel(&ring->tail, tail + 1);
}

static thing *receive(struct ring *ring)
{
    uint64_t head = sk_load_rlx(&ring->head);
    while (sk_load_acq(&ring->tail) == head) sched_yield();
    thing *t = ring->slot[head % RING];
    sk_store_rel(&ring->head, head + 1);
    return t;
}

static void produce(runner *me, sk_slab_cache *cache, sk_rng *rng)
{
    for (long i = 0; i < me->rounds; i++) {
        thing *t = sk_slab_alloc(cache);
        SK_EXPECT(t != NULL);
        SK_EXPECT_EQ(sk_xchg_rlx(&t->live, 1u), 0);
        t->from = me->number;
        t->stamp = (uint64_t)i;
        if (sk_rng_below(rng, 8) == 0) { /* some are freed where they came from */
            sk_store_rlx(&t->live, 0u);
            sk_slab_free(cache, t);
            t = sk_slab_alloc(cache);
            SK_EXPECT_EQ(sk_xchg_rlx(&t->live, 1u), 0);
            t->stamp = (uint64_t)i;
        }
        send(&rings[me->number / 2], t);
    }
}

static void consume(runner *me, sk_slab_cache *cache)
{
    for (long i = 0; i < me->rounds; i++) {
        thing *t = receive(&rings[me->number / 2]);
        SK_EXPECT_EQ(t->stamp, i);
        SK_EXPECT_EQ(sk_xchg_rlx(&t->live, 0u), 1);
        sk_slab_free(cache, t);
    }
}

static void *produces_or_consumes(void *arg)
{
    runner *me = arg;
    sk_slab_cache cache;
    sk_rng rng;
    sk_rng_seed(&rng, me->number);
    sk_slab_cache_init(&cache, &slab);
    if (me->number % 2) {
        consume(me, &cache);
    } else {
        produce(me, &cache, &rng);
    }
    sk_slab_cache_flush(&cache);
    return NULL;
}

static void count_live(void *object, void *ctx)
{
    *(long *)ctx += sk_load_rlx(&((thing *)object)->live);
}

SK_TEST(mem_stress, slab)
{
    runner r[THREADS];
    SK_EXPECT_EQ(sk_slab_init(&slab, sizeof(thing), offsetof(thing, link)), 0);
    run_all(r, THREADS, produces_or_consumes, sk_test_scaled(2000000));
    sk_slab_numbers n;
    long live = 0;
    sk_slab_each(&slab, count_live, &live);
    sk_slab_stats(&slab, &n);
    SK_EXPECT_EQ(live, 0);
    SK_EXPECT(sk_slab_check(&slab));
    SK_EXPECT_EQ(n.depot, n.carved);
    SK_EXPECT(n.carved < 20000); /* reused: what is on its way, in caches, and a few magazines */
    sk_slab_fini(&slab);
}

/* All threads open the first chunk and arena at the same moment, many times: each object and slot is handed out once,
   and each can be found again. */
enum { OBJECTS = 200 };
static sk_atomic(uint32_t) at_start;

static void carve_some(sk_slab_cache *objects, sk_stack_cache *stacks, uint32_t who)
{
    bool in_guard;
    for (int i = 0; i < OBJECTS; i++) {
        thing *t = sk_slab_alloc(objects);
        SK_EXPECT_EQ(sk_xchg_rlx(&t->live, 1u), 0);
        if (i % 32) continue;
        sk_stack *stack = sk_stack_get(stacks, 9);
        hold(stack, who);
        SK_EXPECT(sk_stack_find(stack, &in_guard) == stack);
        let_go(stacks, stack, who);
    }
}

static void *carves(void *arg)
{
    runner *me = arg;
    sk_slab_cache objects;
    sk_stack_cache stacks = {0};
    sk_slab_cache_init(&objects, &slab);
    sk_add_ar(&at_start, 1u);
    while (sk_load_acq(&at_start) < THREADS) sched_yield();
    carve_some(&objects, &stacks, me->number + 1);
    sk_slab_cache_flush(&objects);
    sk_stack_cache_flush(&stacks);
    return NULL;
}

static void check_growth(void)
{
    sk_slab_numbers n;
    sk_stack_numbers stacks;
    long live = 0;
    sk_slab_each(&slab, count_live, &live);
    SK_EXPECT_EQ(live, THREADS * OBJECTS);
    sk_slab_stats(&slab, &n);
    SK_EXPECT_EQ(n.carved - n.depot, THREADS * OBJECTS);
    SK_EXPECT(sk_slab_check(&slab));
    sk_stack_stats(9, &stacks);
    SK_EXPECT_EQ(stacks.outside, 0);
    SK_EXPECT(sk_stack_check(9));
}

SK_TEST(mem_stress, growth)
{
    runner r[THREADS];
    for (long round = sk_test_scaled(2000); round > 0; round--) {
        SK_EXPECT_EQ(sk_slab_init(&slab, sizeof(thing), offsetof(thing, link)), 0);
        sk_store_rlx(&at_start, 0u);
        run_all(r, THREADS, carves, 0);
        check_growth();
        sk_slab_fini(&slab);
        SK_EXPECT_EQ(sk_stack_release_all(), 0);
    }
}
