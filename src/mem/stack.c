/* stack.c: the worker's cache, and the depot that all caches share. */
#include "mem/stack.h"

#include "mem/arena.h"
#include "mem/tagstack.h"
#include "os/vm.h"

#include <errno.h>

/* The depot of one class.  Batches are chained through the heads of their stacks, lists of batches and of cold
   stacks through the arenas' slots. */
typedef struct depot {
    SK_LINE_ALIGNED sk_tagstack hot; /* batches, each named by its first stack */
    sk_atomic(uint64_t) hot_count;   /* stacks in them; added to before a push and taken from after a pop */
    sk_tagstack cold;                /* single slots whose memory is gone or was never there */
    sk_atomic(uint64_t) cold_count;
} depot;

static depot depots[SK_STACK_CLASSES];
static sk_atomic(void (*)(sk_stack *)) on_cold;

unsigned sk_stack_class_of(size_t bytes)
{
    /* Where pages are large, the smallest stacks would be all guard. */
    size_t least = sk_max(bytes, 4 * sk_vm_page());
    unsigned cls = 0;
    while (cls < SK_STACK_CLASSES && sk_stack_bytes(cls) < least) cls++;
    return cls;
}

char *sk_stack_base(const sk_stack *stack)
{
    return sk_arena_base(stack->id);
}

static sk_tagstack_link *link_of(void *ctx, uint32_t id)
{
    (void)ctx;
    return &sk_arena_slot_of(id)->next;
}

/* Gives a chain of `count` hot stacks to the depot. */
static void depot_push(unsigned cls, sk_stack *chain, uint32_t count)
{
    uint32_t id = chain->id;
    sk_arena_slot_of(id)->count = (uint16_t)count;
    sk_add_rlx(&depots[cls].hot_count, (uint64_t)count);
    sk_tagstack_push(&depots[cls].hot, id, &sk_arena_slot_of(id)->next);
}

/* Takes a chain of hot stacks, or NULL. */
static sk_stack *depot_pop(unsigned cls, uint32_t *count)
{
    uint32_t id = sk_tagstack_pop(&depots[cls].hot, link_of, NULL);
    if (!id) return NULL;
    *count = sk_arena_slot_of(id)->count;
    sk_sub_rlx(&depots[cls].hot_count, (uint64_t)*count);
    return sk_arena_head(sk_arena_base(id), sk_arena_index(id), cls);
}

static void cold_push(unsigned cls, uint32_t id)
{
    sk_add_rlx(&depots[cls].cold_count, (uint64_t)1);
    sk_tagstack_push(&depots[cls].cold, id, &sk_arena_slot_of(id)->next);
}

/* A stack without memory: one that went cold, else one never used. */
static uint32_t cold_pop(unsigned cls)
{
    uint32_t id = sk_tagstack_pop(&depots[cls].cold, link_of, NULL);
    if (!id) return sk_arena_carve(cls);
    sk_sub_rlx(&depots[cls].cold_count, (uint64_t)1);
    return id;
}

/* Writes the head anew, which brings in the top page.  The guard of an earlier life still stands. */
static sk_stack *warm(unsigned cls, uint32_t id)
{
    sk_arena_slot *slot = sk_arena_slot_of(id);
    char *base = sk_arena_base(id);
    if (slot->guard == SK_VM_GUARD_NONE) slot->guard = (uint8_t)sk_vm_guard(base, sk_vm_page());
    sk_stack *stack = sk_arena_head(base, sk_arena_index(id), cls);
    *stack = (sk_stack){.id = id, .cls = (uint8_t)cls, .guard = slot->guard, .fresh = 1};
    return stack;
}

uint32_t sk_stack_depot_head(unsigned cls, bool cold)
{
    return (uint32_t)sk_load_rlx(cold ? &depots[cls].cold.head : &depots[cls].hot.head);
}

static void set_held(sk_stack_shelf *shelf)
{
    sk_store_rlx(&shelf->held, shelf->in_loaded + (shelf->full ? (uint32_t)SK_STACK_BATCH : 0u));
}

sk_stack *sk_stack_get_slow(sk_stack_cache *cache, unsigned cls)
{
    sk_stack_shelf *shelf = &cache->shelf[cls];
    if (shelf->full) {
        shelf->loaded = shelf->full;
        shelf->in_loaded = SK_STACK_BATCH;
        shelf->full = NULL;
    } else {
        shelf->loaded = depot_pop(cls, &shelf->in_loaded);
    }
    if (shelf->loaded) {
        set_held(shelf);
        return sk_stack_get(cache, cls);
    }
    if (sk_stack_bytes(cls) < 4 * sk_vm_page()) return NULL; /* see sk_stack_class_of */
    /* One only: warming more would bring in pages that may never be needed. */
    uint32_t id = cold_pop(cls);
    return id ? warm(cls, id) : NULL;
}

/* Makes room in `loaded`.  Two chains, so that gets and puts in turn at the edge do not go to the depot each time. */
void sk_stack_put_slow(sk_stack_cache *cache, unsigned cls)
{
    sk_stack_shelf *shelf = &cache->shelf[cls];
    if (shelf->full) depot_push(cls, shelf->full, SK_STACK_BATCH);
    shelf->full = shelf->loaded;
    shelf->loaded = NULL;
    shelf->in_loaded = 0;
    set_held(shelf);
}

void sk_stack_cache_flush(sk_stack_cache *cache)
{
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_shelf *shelf = &cache->shelf[cls];
        if (shelf->full) depot_push(cls, shelf->full, SK_STACK_BATCH);
        if (shelf->loaded) depot_push(cls, shelf->loaded, shelf->in_loaded);
        *shelf = (sk_stack_shelf){0};
    }
}

void sk_stack_on_cold(void (*fn)(sk_stack *stack))
{
    /* [ME-R3] release; pairs with [ME-A4] in cool. Without it the hook could run before what it uses was written. */
    sk_store_rel(&on_cold, fn);
}

/* Takes the memory of a stack away; false when the kernel keeps it, and the stack stays hot. */
static bool cool(unsigned cls, sk_stack *stack)
{
    /* [ME-A4] acquire; pairs with [ME-R3] in sk_stack_on_cold. */
    void (*hook)(sk_stack *) = sk_load_acq(&on_cold);
    uint32_t id = stack->id;
    char *base = sk_arena_base(id);
    size_t guard = stack->guard == SK_VM_GUARD_CANARY ? 0 : sk_vm_page();
    if (hook) hook(stack);
    stack->fresh = 1; /* what the hook let go of must be made again, whether the memory goes or not */
    if (sk_vm_decommit(base + guard, sk_stack_bytes(cls) - guard) < 0) return false;
    cold_push(cls, id);
    return true;
}

/* Cools the first `*count` stacks of a chain; the rest of it comes back, *count says how many went. */
static sk_stack *cool_some(unsigned cls, sk_stack *chain, uint32_t *count)
{
    uint32_t gone = 0;
    while (gone < *count) {
        sk_stack *next = chain->next;
        if (!cool(cls, chain)) break;
        chain = next;
        gone++;
    }
    *count = gone;
    return chain;
}

uint64_t sk_stack_trim(unsigned cls, uint64_t keep)
{
    uint64_t gone = 0, hot;
    while ((hot = sk_load_rlx(&depots[cls].hot_count)) > keep) {
        uint32_t count;
        sk_stack *chain = depot_pop(cls, &count);
        if (!chain) break;
        uint32_t wanted = (uint32_t)sk_min(hot - keep, (uint64_t)count), cooled = wanted;
        chain = cool_some(cls, chain, &cooled);
        gone += cooled;
        if (cooled < count) depot_push(cls, chain, count - cooled);
        if (cooled < wanted) break;
    }
    return gone;
}

void sk_stack_stats(unsigned cls, sk_stack_numbers *out)
{
    *out = (sk_stack_numbers){0};
    sk_arena *arena;
    out->depot = sk_load_rlx(&depots[cls].hot_count);
    out->cold = sk_load_rlx(&depots[cls].cold_count);
    for (unsigned number = 0; (arena = sk_arena_at(cls, number)); number++) {
        out->created += sk_arena_carved(arena);
        out->reserved_bytes += arena->bytes;
    }
    /* The three were read at different moments: never let a difference go below zero. */
    uint64_t inside = out->depot + out->cold;
    out->outside = out->created > inside ? out->created - inside : 0;
    out->resident_bytes = (out->created > out->cold ? out->created - out->cold : 0) * sk_vm_page();
}

/* Runs the hook for what is hot, so that nothing of an extender is left when the arenas go. */
static void forget_hot(unsigned cls)
{
    /* [ME-A5] acquire; pairs with [ME-R3] in sk_stack_on_cold. */
    void (*hook)(sk_stack *) = sk_load_acq(&on_cold);
    uint32_t count;
    for (sk_stack *chain; (chain = depot_pop(cls, &count));) {
        for (; count > 0; count--, chain = chain->next)
            if (hook) hook(chain);
    }
}

int sk_stack_release_all(void)
{
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_stack_numbers numbers;
        sk_stack_stats(cls, &numbers);
        if (numbers.outside) return -EBUSY;
    }
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        forget_hot(cls);
        sk_arena_release(cls);
        sk_store_rlx(&depots[cls].cold.head, (uint64_t)0);
        sk_store_rlx(&depots[cls].cold_count, (uint64_t)0);
    }
    return 0;
}
