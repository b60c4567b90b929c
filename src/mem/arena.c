/* arena.c: reservations of many stacks at once, and the way from an id or an address to a stack. */
#include "mem/arena.h"

#include "os/vm.h"

#include <string.h>

enum {
    FIRST_BYTES = 64 << 20, /* of the first arena of a class, */
    LEAST_SLOTS = 256,      /* or as many as hold so many stacks */
    MOST_DOUBLINGS = 4,     /* each arena is twice the one before, up to 16 times */
    MOST_SLOTS = 1 << SK_ARENA_SLOT_BITS,
    POOREST_SLOTS = 16, /* what is asked for at last when address space is scarce */
};

typedef struct arena_class {
    /* any thread: the arena that slots are carved from; those before it are used up */
    SK_LINE_ALIGNED sk_atomic(uint32_t) open;
    sk_atomic(sk_arena *) table[SK_ARENAS]; /* any thread: filled in order, an entry never changes once set */
} arena_class;

static arena_class classes[SK_STACK_CLASSES];

static size_t header_bytes(uint32_t capacity)
{
    return sk_round_up(sizeof(sk_arena) + capacity * sizeof(sk_arena_slot), sk_vm_page());
}

static sk_arena *arena_map(unsigned cls, uint32_t capacity)
{
    void *memory = NULL;
    size_t header = header_bytes(capacity);
    size_t bytes = header + (size_t)capacity * sk_stack_bytes(cls);
    if (sk_vm_reserve(&memory, bytes, sk_vm_page(), SK_VM_SMALL_PAGES) < 0) return NULL;
    sk_arena *arena = memory; /* zeroed: nothing carved, no guards */
    arena->slots = (char *)memory + header;
    arena->bytes = bytes;
    arena->capacity = capacity;
    return arena;
}

/* Arenas grow, so that a million stacks need a hundred of them and a small program reserves little. */
static sk_arena *arena_new(unsigned cls, unsigned number)
{
    size_t slots = sk_max((size_t)FIRST_BYTES >> (SK_STACK_MIN_SHIFT + cls), (size_t)LEAST_SLOTS);
    slots <<= sk_min(number, (unsigned)MOST_DOUBLINGS);
    for (slots = sk_min(slots, (size_t)MOST_SLOTS); slots >= POOREST_SLOTS; slots /= 2) {
        sk_arena *arena = arena_map(cls, (uint32_t)slots);
        if (arena) return arena;
    }
    return NULL;
}

sk_arena *sk_arena_at(unsigned cls, unsigned number)
{
    if (number >= SK_ARENAS) return NULL;
    /* [ME-A3] acquire; pairs with [ME-R2]. Without it the arena's capacity could be read before it was written. */
    return sk_load_acq(&classes[cls].table[number]);
}

sk_arena *sk_arena_of(uint32_t id)
{
    uint32_t place = (id - 1) >> SK_ARENA_SLOT_BITS;
    /* Relaxed: whoever made the id saw the entry through [ME-A3], and ids travel by release and acquire. */
    return sk_load_rlx(&classes[place / SK_ARENAS].table[place % SK_ARENAS]);
}

/* The arena `number`, made when it is missing; of several makers one wins and the others unmap theirs unseen. */
static sk_arena *arena_open(unsigned cls, unsigned number)
{
    sk_arena *arena = sk_arena_at(cls, number);
    if (arena || number >= SK_ARENAS) return arena;
    sk_arena *mine = arena_new(cls, number), *found = NULL;
    if (!mine) return sk_arena_at(cls, number); /* another thread may have got the last address space */
    /* [ME-R2] acquire-release; pairs with [ME-A3], and with itself in the loser, who goes on with the winner's arena.
       Without it a thread could carve from an arena whose header it sees half written. */
    if (sk_cas_ar(&classes[cls].table[number], &found, mine)) return mine;
    sk_vm_release(mine, mine->bytes);
    return found;
}

uint32_t sk_arena_carve(unsigned cls)
{
    for (;;) {
        uint32_t number = sk_load_rlx(&classes[cls].open);
        sk_arena *arena = arena_open(cls, number);
        if (!arena) return 0;
        /* Looking before adding keeps `carved` from running away when a full arena is tried for ever. */
        if (sk_load_rlx(&arena->carved) < arena->capacity) {
            uint32_t index = sk_add_rlx(&arena->carved, 1u);
            if (index < arena->capacity) return sk_arena_id(cls, number, index);
        }
        (void)sk_cas_rlx(&classes[cls].open, &number, number + 1);
    }
}

uint32_t sk_arena_carved(sk_arena *arena)
{
    uint32_t carved = sk_load_rlx(&arena->carved); /* may run past the end, by those who found it full */
    return sk_min(carved, arena->capacity);
}

static sk_stack *find_in(sk_arena *arena, unsigned cls, uintptr_t address, bool *in_guard)
{
    uintptr_t first = (uintptr_t)arena->slots;
    size_t bytes = sk_stack_bytes(cls);
    if (address < first || address - first >= sk_arena_carved(arena) * bytes) return NULL;
    uint32_t index = (uint32_t)((address - first) / bytes);
    *in_guard = (address - first) % bytes < sk_vm_page();
    return sk_arena_head(arena->slots + index * bytes, index, cls);
}

sk_stack *sk_stack_find(const void *address, bool *in_guard)
{
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        sk_arena *arena;
        for (unsigned number = 0; (arena = sk_arena_at(cls, number)); number++) {
            sk_stack *stack = find_in(arena, cls, (uintptr_t)address, in_guard);
            if (stack) return stack;
        }
    }
    return NULL;
}

/* Forgets the guards that count against a budget; the mapping itself goes as a whole. */
static void unguard(sk_arena *arena, unsigned cls)
{
    for (uint32_t i = 0; i < sk_arena_carved(arena); i++) {
        if (arena->slot[i].guard == SK_VM_GUARD_MPROTECT)
            sk_vm_unguard(arena->slots + i * sk_stack_bytes(cls), sk_vm_page(), SK_VM_GUARD_MPROTECT);
    }
}

void sk_arena_release(unsigned cls)
{
    sk_arena *arena;
    for (unsigned number = 0; (arena = sk_arena_at(cls, number)); number++) {
        unguard(arena, cls);
        sk_vm_release(arena, arena->bytes);
        sk_store_rlx(&classes[cls].table[number], NULL);
    }
    sk_store_rlx(&classes[cls].open, 0u);
}
