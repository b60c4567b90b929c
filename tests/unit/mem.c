/* unit/mem.c: stack caches, arenas, trimming and slabs, one thread at a time. */
#include "support/test.h"

#include "mem/arena.h"
#include "mem/lazy_slab.h"
#include "mem/slab.h"
#include "mem/stack.h"
#include "base/fault.h"
#include "os/vm.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CLS SK_STACK_CLASS_DEFAULT

static sk_stack_cache cache, second;

static sk_stack *take(sk_stack_cache *from, unsigned cls)
{
    sk_stack *stack = sk_stack_get(from, cls);
    SK_EXPECT(stack != NULL);
    return stack;
}

static sk_stack_numbers numbers(unsigned cls)
{
    sk_stack_numbers n;
    sk_stack_stats(cls, &n);
    return n;
}

/* Pages with memory in a slot, above its guard. */
static long resident(const char *base, size_t slot)
{
    unsigned char map[2048];
    size_t page = sk_vm_page(), bytes = slot - page;
    long n = 0;
    SK_EXPECT(bytes / page <= sizeof map);
    SK_EXPECT_EQ(mincore((void *)(uintptr_t)(base + page), bytes, map), 0);
    for (size_t i = 0; i < bytes / page; i++) n += map[i] & 1;
    return n;
}

SK_TEST(stack, classes)
{
    SK_EXPECT_EQ(sk_stack_bytes(0), 16 << 10);
    SK_EXPECT_EQ(sk_stack_bytes(SK_STACK_CLASS_DEFAULT), 64 << 10);
    SK_EXPECT_EQ(sk_stack_bytes(SK_STACK_CLASSES - 1), 8 << 20);
    SK_EXPECT_EQ(sk_stack_class_of(1), 0);
    SK_EXPECT_EQ(sk_stack_class_of(64 << 10), 2);
    SK_EXPECT_EQ(sk_stack_class_of((64 << 10) + 1), 3);
    SK_EXPECT_EQ(sk_stack_class_of(8 << 20), 9);
    SK_EXPECT_EQ(sk_stack_class_of((8 << 20) + 1), SK_STACK_CLASSES);
    SK_EXPECT_EQ(sk_stack_class_of(SIZE_MAX), SK_STACK_CLASSES);
}

SK_TEST(stack, last_in_first_out_and_untouched)
{
    sk_stack *a = take(&cache, CLS), *b = take(&cache, CLS);
    SK_EXPECT(a != b);
    SK_EXPECT_EQ(a->fresh, 1);
    a->fresh = 0;
    memset((char *)a - 256, 0x5a, 256);
    memset((char *)a + sizeof *a, 0x7b, SK_STACK_HEAD - sizeof *a);
    sk_stack_put(&cache, b);
    sk_stack_put(&cache, a);
    SK_EXPECT_EQ(sk_stack_cache_held(&cache, CLS), 2);
    SK_EXPECT(take(&cache, CLS) == a);
    SK_EXPECT(take(&cache, CLS) == b);
    SK_EXPECT_EQ(a->fresh, 0);
    for (int i = 1; i <= 256; i++) SK_EXPECT_EQ(((char *)a)[-i], 0x5a);
    for (size_t i = sizeof *a; i < SK_STACK_HEAD; i++) SK_EXPECT_EQ(((char *)a)[i], 0x7b);
}

SK_TEST(stack, heads_are_in_the_top_page_and_coloured)
{
    bool seen[64] = {false};
    int colours = 0;
    for (int i = 0; i < 64; i++) {
        sk_stack *s = take(&cache, CLS);
        char *end = sk_stack_base(s) + sk_stack_bytes(CLS);
        size_t below = (size_t)(end - (char *)s);
        SK_EXPECT_EQ(below % 64, 0);
        SK_EXPECT(below >= SK_STACK_HEAD && below < SK_STACK_COLOURS * SK_STACK_COLOUR_STEP + SK_STACK_HEAD);
        colours += !seen[below / 64];
        seen[below / 64] = true;
    }
    SK_EXPECT_EQ(colours, SK_STACK_COLOURS);
}

SK_TEST(stack, overflow_of_the_cache_goes_to_the_depot_and_comes_back_hot)
{
    enum { N = 5 * SK_STACK_BATCH + 7 };
    sk_stack *s[N];
    for (int i = 0; i < N; i++) {
        s[i] = take(&cache, CLS);
        s[i]->fresh = 0;
    }
    for (int i = 0; i < N; i++) sk_stack_put(&cache, s[i]);
    SK_EXPECT(sk_stack_cache_held(&cache, CLS) <= 2 * SK_STACK_BATCH);
    SK_EXPECT_EQ(sk_stack_cache_held(&cache, CLS) + numbers(CLS).depot, N);
    SK_EXPECT(sk_stack_check(CLS));
    sk_stack_cache_flush(&cache);
    SK_EXPECT_EQ(sk_stack_cache_held(&cache, CLS), 0);
    SK_EXPECT_EQ(numbers(CLS).depot, N);
    SK_EXPECT_EQ(numbers(CLS).outside, 0);
    SK_EXPECT(sk_stack_check(CLS));
    for (int i = 0; i < N; i++) SK_EXPECT_EQ(take(&second, CLS)->fresh, 0);
    SK_EXPECT_EQ(numbers(CLS).depot, 0);
    SK_EXPECT_EQ(numbers(CLS).created, N); /* none was made while there were hot ones */
}

/* Gets and puts in turn at the edge of a full cache must not go to the depot each time. */
SK_TEST(stack, no_thrashing_at_the_edge)
{
    enum { N = 4 * SK_STACK_BATCH };
    sk_stack *s[N];
    for (int i = 0; i < N; i++) s[i] = take(&cache, CLS);
    for (int i = 0; i < 2 * SK_STACK_BATCH; i++) sk_stack_put(&cache, s[i]);
    uint64_t changes = 0, before = numbers(CLS).depot;
    for (int i = 0; i < 1000; i++) {
        sk_stack_put(&cache, s[2 * SK_STACK_BATCH]);
        s[2 * SK_STACK_BATCH] = take(&cache, CLS);
        changes += numbers(CLS).depot != before;
        before = numbers(CLS).depot;
    }
    SK_EXPECT(changes <= 1);
}

SK_TEST(stack, trim_gives_memory_back)
{
    enum { N = 300, KEEP = 50 };
    sk_stack *s[N];
    char *base[N];
    for (int i = 0; i < N; i++) {
        s[i] = take(&cache, CLS);
        base[i] = sk_stack_base(s[i]);
        s[i]->fresh = 0;
        memset((char *)s[i] - 32768, 1, 32768);
        SK_EXPECT(resident(base[i], sk_stack_bytes(CLS)) >= 8);
    }
    for (int i = 0; i < N; i++) sk_stack_put(&cache, s[i]);
    sk_stack_cache_flush(&cache);
    SK_EXPECT_EQ(sk_stack_trim(CLS, KEEP), N - KEEP);
    SK_EXPECT_EQ(sk_stack_trim(CLS, KEEP), 0);
    int without = 0;
    for (int i = 0; i < N; i++) without += resident(base[i], sk_stack_bytes(CLS)) == 0;
    SK_EXPECT_EQ(without, N - KEEP);
    sk_stack_numbers n = numbers(CLS);
    SK_EXPECT_EQ(n.depot, KEEP);
    SK_EXPECT_EQ(n.cold, N - KEEP);
    SK_EXPECT_EQ(n.outside, 0);
    SK_EXPECT_EQ(n.resident_bytes, KEEP * sk_vm_page());
    SK_EXPECT(sk_stack_check(CLS));
    int fresh = 0;
    for (int i = 0; i < N; i++) {
        sk_stack *stack = take(&cache, CLS);
        fresh += stack->fresh;
        SK_EXPECT(stack->guard != SK_VM_GUARD_NONE);
        SK_EXPECT_EQ(((char *)stack)[-1], stack->fresh ? 0 : 1);
    }
    SK_EXPECT_EQ(fresh, N - KEEP);
    SK_EXPECT_EQ(numbers(CLS).created, N);
}

static int hooked;
static void count_cold(sk_stack *stack)
{
    SK_EXPECT(stack->id != 0);
    hooked++;
}

SK_TEST(stack, hook_sees_each_stack_that_goes_cold)
{
    sk_stack *s[40];
    sk_stack_on_cold(count_cold);
    for (int i = 0; i < 40; i++) s[i] = take(&cache, 0);
    for (int i = 0; i < 40; i++) sk_stack_put(&cache, s[i]);
    sk_stack_cache_flush(&cache);
    SK_EXPECT_EQ(sk_stack_trim(0, 10), 30);
    SK_EXPECT_EQ(hooked, 30);
    SK_EXPECT_EQ(sk_stack_release_all(), 0);
    SK_EXPECT_EQ(hooked, 40);
}

SK_TEST(stack, release_all)
{
    for (int round = 0; round < 3; round++) {
        sk_stack *a = take(&cache, CLS), *b = take(&cache, 5);
        SK_EXPECT_EQ(sk_stack_release_all(), -EBUSY);
        sk_stack_put(&cache, a);
        sk_stack_put(&cache, b);
        SK_EXPECT_EQ(sk_stack_release_all(), -EBUSY);
        sk_stack_cache_flush(&cache);
        SK_EXPECT_EQ(sk_stack_trim(5, 0), 1);
        SK_EXPECT(numbers(CLS).reserved_bytes > 0);
        SK_EXPECT_EQ(sk_stack_release_all(), 0);
        SK_EXPECT_EQ(numbers(CLS).created, 0);
        SK_EXPECT_EQ(numbers(CLS).reserved_bytes, 0);
        SK_EXPECT_EQ(numbers(5).cold, 0);
    }
}

SK_TEST(stack, find)
{
    bool in_guard = false;
    int local;
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack *a = take(&cache, cls), *b = take(&cache, cls);
        char *base = sk_stack_base(b);
        SK_EXPECT(sk_stack_find(base, &in_guard) == b && in_guard);
        SK_EXPECT(sk_stack_find(base + sk_vm_page() - 1, &in_guard) == b && in_guard);
        SK_EXPECT(sk_stack_find(base + sk_vm_page(), &in_guard) == b && !in_guard);
        SK_EXPECT(sk_stack_find(base + sk_stack_bytes(cls) - 1, &in_guard) == b && !in_guard);
        SK_EXPECT(sk_stack_find(base - 1, &in_guard) == a && !in_guard);
        SK_EXPECT(sk_stack_find(base + sk_stack_bytes(cls), &in_guard) == NULL); /* not handed out yet */
    }
    SK_EXPECT(sk_stack_find(&local, &in_guard) == NULL);
    SK_EXPECT(sk_stack_find(NULL, &in_guard) == NULL);
}

/* More than the first arena holds, of the class whose arenas hold fewest. */
SK_TEST(stack, arenas_follow_each_other)
{
    enum { N = 256 + 512 + 10 };
    static sk_stack *s[N];
    for (int i = 0; i < N; i++) s[i] = take(&cache, 9);
    for (int i = 0; i < N; i++) {
        bool in_guard;
        SK_EXPECT(sk_stack_find(s[i], &in_guard) == s[i]);
        sk_stack_put(&cache, s[i]);
    }
    SK_EXPECT(sk_arena_at(9, 2) != NULL && sk_arena_at(9, 3) == NULL);
    sk_stack_cache_flush(&cache);
    SK_EXPECT(sk_stack_check(9));
    SK_EXPECT_EQ(numbers(9).depot, N);
    SK_EXPECT_EQ(sk_stack_release_all(), 0);
}

/* A huge page under a stack would make a parked fiber cost 2 MiB: the mapping must have been told. */
SK_TEST(stack, no_huge_pages)
{
    uintptr_t inside = (uintptr_t)take(&cache, CLS), from, to;
    char *stack = sk_stack_base(sk_stack_get(&cache, CLS));
    if (madvise(stack, sk_vm_page(), 9999) == 0) return; /* an emulator that takes no notice of any advice */
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[1024];
    bool here = false, huge_possible = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
    while (maps && huge_possible && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) here = inside >= from && inside < to;
        if (here && strncmp(line, "VmFlags:", 8) == 0) SK_EXPECT(strstr(line, " nh") != NULL);
    }
    if (maps) fclose(maps);
}

/* ---- the stacks' check must notice what it is there for ---- */

/* `n` stacks of a class in the depot, as one batch; its head. */
static uint32_t depot_of(unsigned cls, int n)
{
    sk_stack *s[SK_STACK_BATCH];
    for (int i = 0; i < n; i++) s[i] = take(&cache, cls);
    for (int i = 0; i < n; i++) sk_stack_put(&cache, s[i]);
    sk_stack_cache_flush(&cache);
    SK_EXPECT(sk_stack_check(cls));
    return sk_stack_depot_head(cls, false);
}

static sk_stack *stack_of(uint32_t id)
{
    return sk_arena_head(sk_arena_base(id), sk_arena_index(id), sk_arena_class(id));
}

SK_TEST(stack, check_sees_damage_in_a_batch)
{
    uint32_t head = depot_of(CLS, 3), other = take(&second, 5)->id;
    sk_stack *first = stack_of(head), *middle = first->next, *last = middle->next;
    uint32_t id = middle->id;
    const uint32_t wrong[] = {other, head, sk_arena_id(CLS, 7, 0), sk_arena_id(CLS, 0, 900), sk_arena_id(CLS, 1023, 5)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        middle->id = wrong[i]; /* of another class, twice there, of no arena, never handed out */
        SK_EXPECT(!sk_stack_check(CLS));
    }
    middle->id = id;
    middle->cls = 5;
    SK_EXPECT(!sk_stack_check(CLS));
    middle->cls = CLS;
    middle->next = NULL; /* one is lost */
    SK_EXPECT(!sk_stack_check(CLS));
    sk_arena_slot_of(head)->count = 2; /* and the batch does not even know it */
    SK_EXPECT(!sk_stack_check(CLS));
    sk_arena_slot_of(head)->count = 3;
    middle->next = last;
    SK_EXPECT(sk_stack_check(CLS));
}

SK_TEST(stack, check_sees_damage_among_the_cold)
{
    depot_of(CLS, 6);
    SK_EXPECT_EQ(sk_stack_trim(CLS, 3), 3);
    SK_EXPECT(sk_stack_check(CLS));
    uint32_t head = sk_stack_depot_head(CLS, true), hot = sk_stack_depot_head(CLS, false);
    sk_tagstack_link *link = &sk_arena_slot_of(head)->next;
    uint32_t next = sk_load_rlx(link);
    sk_store_rlx(link, 0u); /* two are lost */
    SK_EXPECT(!sk_stack_check(CLS));
    sk_store_rlx(link, hot); /* hot and cold at once */
    SK_EXPECT(!sk_stack_check(CLS));
    sk_store_rlx(link, take(&second, 4)->id);
    SK_EXPECT(!sk_stack_check(CLS));
    sk_store_rlx(link, next);
    SK_EXPECT(sk_stack_check(CLS));
}

SK_TEST(stack, arenas_are_numbered_to_an_end)
{
    SK_EXPECT(sk_arena_at(CLS, SK_ARENAS - 1) == NULL && sk_arena_at(CLS, SK_ARENAS) == NULL);
}

SK_TEST(vm, what_is_no_page_is_refused)
{
    void *p;
    size_t page = sk_vm_page();
    SK_EXPECT_EQ(sk_vm_reserve(&p, 4 * page, page, 0), 0);
#ifndef SK_VALGRIND
    SK_EXPECT(sk_vm_decommit((char *)p + 1, page) < 0);
#endif
    sk_vm_release(p, 4 * page);
    /* Nothing is mapped there: no guard stands, and none is taken for one. */
    SK_EXPECT_EQ(sk_vm_guard((void *)(UINTPTR_MAX - 16 * page + 1), page), SK_VM_GUARD_CANARY);
}

SK_TEST(vm, reserve_aligned)
{
    for (size_t align = 4096; align <= 16 << 20; align *= 16) {
        void *p;
        SK_EXPECT_EQ(sk_vm_reserve(&p, 1 << 20, align, 0), 0);
        SK_EXPECT_EQ((uintptr_t)p % align, 0);
        memset(p, 1, 1 << 20);
        SK_EXPECT_EQ(sk_vm_decommit(p, 1 << 20), 0);
        SK_EXPECT_EQ(*(char *)p, 0);
        sk_vm_release(p, 1 << 20);
    }
    void *p;
    SK_EXPECT(sk_vm_reserve(&p, (size_t)1 << 62, 4096, 0) < 0); /* the kernel says -ENOMEM, Valgrind -EINVAL */
    SK_EXPECT_EQ(sk_vm_reserve(&p, SIZE_MAX - 4096, (size_t)1 << 21, 0), -ENOMEM);
}

/* ---- slabs ---- */

typedef struct thing {
    uint64_t state;
    void *link;
    char rest[176];
} thing;

static sk_slab slab;
static sk_slab_cache things, others;

static void slab_begin(void)
{
    SK_EXPECT_EQ(sk_slab_init(&slab, sizeof(thing), offsetof(thing, link)), 0);
    sk_slab_cache_init(&things, &slab);
    sk_slab_cache_init(&others, &slab);
}

SK_TEST(slab, bad_sizes)
{
    sk_slab s;
    SK_EXPECT_EQ(sk_slab_init(&s, 4, 0), -EINVAL);
    SK_EXPECT_EQ(sk_slab_init(&s, 64, 3), -EINVAL);
    SK_EXPECT_EQ(sk_slab_init(&s, 64, 64), -EINVAL);
    SK_EXPECT_EQ(sk_slab_init(&s, 64, 60), -EINVAL);
    SK_EXPECT_EQ(sk_slab_init(&s, 2 << 20, 0), -EINVAL);
    SK_EXPECT_EQ(sk_slab_init(&s, 8, 0), 0);
    sk_slab_fini(&s);
}

SK_TEST(slab, address_order_alignment_zero)
{
    slab_begin();
    char *last = NULL;
    int jumps = 0;
    for (int i = 0; i < 20000; i++) {
        thing *t = sk_slab_alloc(&things);
        SK_EXPECT(t != NULL && (uintptr_t)t % 64 == 0);
        SK_EXPECT(t->state == 0 && t->rest[175] == 0);
        t->state = (uint64_t)i + 1;
        if (last && (char *)t != last + sizeof(thing)) jumps++;
        last = (char *)t;
    }
    sk_slab_numbers n;
    sk_slab_stats(&slab, &n);
    SK_EXPECT_EQ(jumps, n.chunks - 1);
    SK_EXPECT_EQ(n.carved, 20000 + sk_slab_cache_held(&things));
    sk_slab_fini(&slab);
}

SK_TEST(slab, contents_survive_but_for_the_link)
{
    slab_begin();
    thing *t = sk_slab_alloc(&things);
    memset(t, 0x3c, sizeof *t);
    sk_slab_free(&things, t);
    for (size_t i = 0; i < sizeof *t; i++)
        if (i < offsetof(thing, link) || i >= offsetof(thing, rest)) SK_EXPECT_EQ(((char *)t)[i], 0x3c);
    sk_slab_cache_flush(&things);
    for (size_t i = 0; i < sizeof *t; i++)
        if (i < offsetof(thing, link) || i >= offsetof(thing, rest)) SK_EXPECT_EQ(((char *)t)[i], 0x3c);
    sk_slab_fini(&slab);
}

static void sum_up(void *object, void *ctx)
{
    uint64_t *sum = ctx;
    sum[0]++;
    sum[1] += ((thing *)object)->state;
}

SK_TEST(slab, each_sees_live_and_free)
{
    enum { N = 6000 };
    static thing *t[N];
    slab_begin();
    for (uint64_t i = 0; i < N; i++) {
        t[i] = sk_slab_alloc(&things);
        t[i]->state = i;
    }
    for (int i = 0; i < N; i += 2) sk_slab_free(&others, t[i]);
    uint64_t sum[2] = {0};
    sk_slab_each(&slab, sum_up, sum);
    SK_EXPECT_EQ(sum[1], (uint64_t)N * (N - 1) / 2);
    sk_slab_numbers n;
    sk_slab_stats(&slab, &n);
    SK_EXPECT_EQ(sum[0], n.carved);
    for (int i = 1; i < N; i += 2) sk_slab_free(&things, t[i]);
    sk_slab_cache_flush(&things);
    sk_slab_cache_flush(&others);
    sk_slab_stats(&slab, &n);
    SK_EXPECT_EQ(n.depot, n.carved);
    SK_EXPECT(sk_slab_check(&slab));
    uint64_t before = n.carved;
    for (int i = 0; i < N; i++) SK_EXPECT(sk_slab_alloc(&others) != NULL);
    sk_slab_stats(&slab, &n);
    SK_EXPECT_EQ(n.carved, before); /* reused, nothing new */
    sk_slab_fini(&slab);
}

/* The check must notice what it is there for. */
SK_TEST(slab, check_notices_a_double_free)
{
    slab_begin();
    thing *a = sk_slab_alloc(&things), *b = sk_slab_alloc(&things);
    sk_slab_free(&others, a);
    sk_slab_free(&others, b);
    sk_slab_cache_flush(&others);
    SK_EXPECT(sk_slab_check(&slab));
    sk_slab_free(&others, a);
    sk_slab_cache_flush(&others);
    SK_EXPECT(!sk_slab_check(&slab));
    sk_slab_fini(&slab);
    sk_slab_fini(&slab); /* nothing is left of it */
}

/* A chain in the depot that leads to what is no free object of the slab. */
SK_TEST(slab, check_notices_a_chain_that_goes_astray)
{
    static sk_slab strange;
    static sk_slab_cache strangers;
    slab_begin();
    SK_EXPECT_EQ(sk_slab_init(&strange, sizeof(thing), offsetof(thing, link)), 0);
    sk_slab_cache_init(&strangers, &strange);
    sk_slab_numbers n;
    char *first = sk_slab_alloc(&strangers), *in_second_chunk;
    do {
        in_second_chunk = sk_slab_alloc(&strangers);
        sk_slab_stats(&strange, &n);
    } while (n.chunks < 2);

    thing *a = sk_slab_alloc(&things), *b = sk_slab_alloc(&things);
    sk_slab_free(&others, a);
    sk_slab_free(&others, b);
    sk_slab_cache_flush(&others); /* b, then a */
    SK_EXPECT(sk_slab_check(&slab) && b->link == a);
    sk_slab_stats(&slab, &n);
    void *wrong[] = {first, in_second_chunk, (char *)a + 64, (char *)a + n.carved * sizeof(thing)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        b->link = wrong[i]; /* of another slab, twice; in the middle of an object; never handed out */
        SK_EXPECT(!sk_slab_check(&slab));
    }
    b->link = NULL; /* one is lost */
    SK_EXPECT(!sk_slab_check(&slab));
    b->link = a;
    SK_EXPECT(sk_slab_check(&slab));
    sk_add_rlx(&slab.depot_objects, (uint64_t)1);
    SK_EXPECT(!sk_slab_check(&slab));
    sk_slab_fini(&slab);
    sk_slab_fini(&strange);
}

/* ---- a slab that is made when it is asked for ---- */

static sk_lazy_slab lazy = SK_LAZY_SLAB(thing, link);

static void lazy_forget(void)
{
    sk_slab_fini(&lazy.slab);
    sk_store_rlx(&lazy.once.state, 0u);
}

SK_TEST(lazy_slab, made_once_and_by_its_type)
{
    SK_EXPECT(lazy.slab.table == NULL);
    sk_slab *made = sk_lazy_slab_get(&lazy);
    SK_EXPECT(made == &lazy.slab && made->table != NULL);
    SK_EXPECT_EQ(made->object_size, sk_round_up(sizeof(thing), SK_CACHE_LINE));
    SK_EXPECT_EQ(made->link, offsetof(thing, link));
    void *table = made->table;
    SK_EXPECT(sk_lazy_slab_get(&lazy) == made && made->table == table);
    lazy_forget();
}

/* What one thread frees any other gets: nothing stays in the cache of the moment. */
SK_TEST(lazy_slab, nothing_stays_behind)
{
    thing *t = sk_lazy_slab_alloc(&lazy);
    SK_EXPECT(t != NULL);
    sk_slab_numbers n;
    sk_slab_stats(&lazy.slab, &n);
    SK_EXPECT_EQ(n.carved - n.depot, 1);
    thing *second = sk_lazy_slab_alloc(&lazy);
    SK_EXPECT(second && second != t);
    sk_lazy_slab_free(&lazy, t);
    sk_lazy_slab_free(&lazy, second);
    sk_slab_stats(&lazy.slab, &n);
    SK_EXPECT_EQ(n.carved, n.depot);
    SK_EXPECT(sk_slab_check(&lazy.slab));
    SK_EXPECT(sk_lazy_slab_alloc(&lazy) == second);
    lazy_forget();
}

#ifdef SK_FAULTS
static long max_map_count(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    long n = 0;
    SK_EXPECT(file != NULL && fscanf(file, "%ld", &n) == 1);
    fclose(file);
    return n;
}

/* Each kind of guard comes off again; that of the mprotect kind goes back into its budget. */
SK_TEST(vm, guards_come_off)
{
    size_t page = sk_vm_page();
    for (int i = 0; i < 3; i++) {
        void *p;
        SK_EXPECT_EQ(sk_vm_reserve(&p, page, page, 0), 0);
        if (i >= 1) sk_fault_arm(SK_FAULT_MADVISE, 1, true);
        if (i >= 2) sk_fault_arm(SK_FAULT_MPROTECT, 1, true);
        sk_vm_guard_kind kind = sk_vm_guard(p, page);
        sk_fault_reset();
        if (i == 1) SK_EXPECT_EQ(kind, SK_VM_GUARD_MPROTECT);
        if (i == 2) SK_EXPECT_EQ(kind, SK_VM_GUARD_CANARY);
        sk_vm_unguard(p, page, kind);
        memset(p, 1, page);
        sk_vm_release(p, page);
    }
}

/* The guard page of such a stack is memory like any other: it goes with the rest, or its canary would be stale. */
SK_TEST(stack, a_canary_goes_cold_with_its_stack)
{
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    sk_fault_arm(SK_FAULT_MPROTECT, 1, true);
    sk_stack *s = take(&cache, CLS);
    sk_fault_reset();
    SK_EXPECT_EQ(s->guard, SK_VM_GUARD_CANARY);
    char *base = sk_stack_base(s);
    base[8] = 1;
    sk_stack_put(&cache, s);
    sk_stack_cache_flush(&cache);
    SK_EXPECT_EQ(sk_stack_trim(CLS, 0), 1);
    SK_EXPECT_EQ(base[8], 0);
    SK_EXPECT(take(&cache, CLS) == s && s->guard == SK_VM_GUARD_CANARY && s->fresh == 1);
}

/* Guards that count against the budget are given back with their arena: a second generation gets as many. */
SK_TEST(stack, mprotect_guards_are_given_back)
{
    long most = max_map_count() / 4 + 10;  /* the budget, and a little more */
    if (sk_test_scaled(2) < 2) most = 100; /* Valgrind has room for few mappings */
    long before = 0;
    for (int round = 0; round < 2; round++) {
        sk_fault_arm(SK_FAULT_MADVISE, 1, true);
        long n = 0;
        static sk_stack *s[100000];
        while (n < most && n < 100000) {
            s[n] = take(&cache, CLS);
            if (s[n++]->guard != SK_VM_GUARD_MPROTECT) break;
        }
        SK_EXPECT(n > max_map_count() / 8 || n == most);
        if (round) SK_EXPECT_EQ(n, before);
        before = n;
        while (n > 0) sk_stack_put(&cache, s[--n]);
        sk_fault_reset();
        sk_stack_cache_flush(&cache);
        SK_EXPECT_EQ(sk_stack_release_all(), 0);
    }
}

SK_TEST(stack, check_needs_memory)
{
    depot_of(CLS, 3);
    sk_fault_arm(SK_FAULT_MALLOC, 1, true);
    SK_EXPECT(!sk_stack_check(CLS));
    sk_fault_reset();
    SK_EXPECT(sk_stack_check(CLS));
}

SK_TEST(stack, no_address_space)
{
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    SK_EXPECT(sk_stack_get(&cache, CLS) == NULL);
    SK_EXPECT_EQ(numbers(CLS).created, 0);
    sk_fault_arm(SK_FAULT_MMAP, 1, false); /* the first try only: a smaller arena does */
    SK_EXPECT(sk_stack_get(&cache, CLS) != NULL);
    SK_EXPECT(numbers(CLS).reserved_bytes < 40 << 20);
    SK_EXPECT(sk_stack_get(&cache, CLS) != NULL);
}

SK_TEST(stack, guards_fall_back)
{
    SK_EXPECT(take(&cache, CLS)->guard != SK_VM_GUARD_CANARY);
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    SK_EXPECT_EQ(take(&cache, CLS)->guard, SK_VM_GUARD_MPROTECT);
    sk_fault_arm(SK_FAULT_MPROTECT, 1, true);
    SK_EXPECT_EQ(take(&cache, CLS)->guard, SK_VM_GUARD_CANARY);
    sk_fault_reset();
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    long n = 0, most = sk_test_scaled(40000); /* Valgrind has room for few mappings */
    while (n < most && take(&cache, CLS)->guard == SK_VM_GUARD_MPROTECT) n++;
    SK_EXPECT(n <= max_map_count() / 4); /* half of the mappings, at two each */
    SK_EXPECT(n == most || n > max_map_count() / 8);
    sk_fault_reset();
    void *p;
    SK_EXPECT_EQ(sk_vm_reserve(&p, 4096, 4096, 0), 0); /* and the process can still map */
    SK_EXPECT(take(&cache, CLS)->guard != SK_VM_GUARD_NONE);
}

SK_TEST(stack, the_kernel_keeps_the_memory)
{
    sk_stack *a = take(&cache, CLS);
    a->fresh = 0;
    sk_stack_put(&cache, a);
    sk_stack_cache_flush(&cache);
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    SK_EXPECT_EQ(sk_stack_trim(CLS, 0), 0);
    sk_fault_reset();
    SK_EXPECT_EQ(numbers(CLS).depot, 1);
    SK_EXPECT(sk_stack_check(CLS));
    SK_EXPECT(take(&cache, CLS) == a);
    SK_EXPECT_EQ(a->fresh, 1); /* the hook may have let go of what it had */
}

SK_TEST(slab, objects_that_are_out_are_counted)
{
    enum { N = 3 };
    void *object[N];
    uint64_t before = sk_slab_out();
    sk_slab_cache out;
    SK_EXPECT_EQ(sk_slab_init(&slab, 64, 0), 0);
    sk_slab_cache_init(&out, &slab);
    for (int i = 0; i < N; i++) SK_EXPECT((object[i] = sk_slab_alloc(&out)) != NULL);
    SK_EXPECT(sk_slab_out() >= before + N); /* more: what lies in the cache counts as well */
    for (int i = 0; i < N; i++) sk_slab_free(&out, object[i]);
    sk_slab_cache_flush(&out);
    SK_EXPECT_EQ(sk_slab_out(), before);
    sk_slab_fini(&slab);
}

SK_TEST(slab, no_memory)
{
    sk_fault_arm(SK_FAULT_MMAP, 1, false);
    SK_EXPECT_EQ(sk_slab_init(&slab, 192, 8), -ENOMEM);
    slab_begin();
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    for (int i = 0; i < 1000; i++) SK_EXPECT(sk_slab_alloc(&things) == NULL);
    sk_fault_reset();
    thing *t = sk_slab_alloc(&things);
    SK_EXPECT(t != NULL);
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    long n = 1;
    while (sk_slab_alloc(&things)) n++;
    sk_slab_numbers numbers_;
    sk_slab_stats(&slab, &numbers_);
    SK_EXPECT_EQ(n, numbers_.carved);
    sk_slab_free(&things, t);
    SK_EXPECT(sk_slab_alloc(&things) == t);
    sk_fault_reset();
    SK_EXPECT(sk_slab_alloc(&things) != NULL);
    sk_slab_fini(&slab);
}

/* A slab that could not be made is made by a later call; nor is one that has no chunk lost. */
SK_TEST(lazy_slab, no_memory)
{
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    for (int i = 0; i < 3; i++) SK_EXPECT(sk_lazy_slab_get(&lazy) == NULL && !sk_lazy_slab_alloc(&lazy));
    sk_fault_arm(SK_FAULT_MMAP, 2, true); /* the table is given, the chunk is not */
    SK_EXPECT(sk_lazy_slab_alloc(&lazy) == NULL);
    sk_fault_reset();
    SK_EXPECT(sk_lazy_slab_get(&lazy) == &lazy.slab);
    thing *t = sk_lazy_slab_alloc(&lazy);
    SK_EXPECT(t != NULL);
    sk_lazy_slab_free(&lazy, t);
    lazy_forget();
}
#endif
