/* stack_check.c: the executable invariant of the stack depot. */
#include "mem/arena.h"
#include "base/heap.h"

typedef struct walk {
    unsigned cls;
    uint8_t *seen; /* one byte for each slot of the class */
    uint64_t found;
} walk;

/* Where slots of arena `number` begin in `seen`. */
static size_t slots_before(unsigned cls, unsigned number)
{
    size_t slots = 0;
    sk_arena *arena;
    for (unsigned i = 0; i < number && (arena = sk_arena_at(cls, i)); i++) slots += arena->capacity;
    return slots;
}

/* False when the id is none of the class, was never handed out, or was seen before. */
static bool mark(walk *w, uint32_t id)
{
    if (sk_arena_class(id) != w->cls) return false;
    unsigned number = (id - 1) >> SK_ARENA_SLOT_BITS & (SK_ARENAS - 1);
    sk_arena *arena = sk_arena_at(w->cls, number);
    if (!arena || sk_arena_index(id) >= sk_arena_carved(arena)) return false;
    w->found++;
    return !w->seen[slots_before(w->cls, number) + sk_arena_index(id)]++;
}

static bool mark_batch(walk *w, uint32_t id)
{
    uint32_t count = 0;
    sk_stack *stack = sk_arena_head(sk_arena_base(id), sk_arena_index(id), w->cls);
    for (; stack; stack = stack->next, count++)
        if (stack->cls != w->cls || !mark(w, stack->id)) return false;
    return count == sk_arena_slot_of(id)->count;
}

bool sk_stack_check(unsigned cls)
{
    sk_stack_numbers numbers;
    sk_stack_stats(cls, &numbers);
    walk w = {.cls = cls, .seen = sk_heap_zalloc(slots_before(cls, SK_ARENAS) + 1, 1)};
    bool ok = w.seen != NULL;
    for (uint32_t id = sk_stack_depot_head(cls, false); ok && id; id = sk_load_rlx(&sk_arena_slot_of(id)->next))
        ok = mark_batch(&w, id);
    ok = ok && w.found == numbers.depot;
    for (uint32_t id = sk_stack_depot_head(cls, true); ok && id; id = sk_load_rlx(&sk_arena_slot_of(id)->next))
        ok = mark(&w, id);
    sk_heap_free(w.seen);
    return ok && w.found == numbers.depot + numbers.cold;
}
