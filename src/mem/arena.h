/*
 * arena.h: the address space that stacks are carved from; private to src/mem.
 *
 * An arena is one reservation: a header with eight bytes for each slot, then the
 * slots.  All that must be known of a stack whose memory is gone stands in the
 * header, so that a cold stack costs no page.
 */
#ifndef SK_MEM_ARENA_H
#define SK_MEM_ARENA_H

#include "mem/stack.h"
#include "mem/tagstack.h"

enum {
    SK_ARENAS = 1024, /* of one class; later ones are larger */
    SK_ARENA_SLOT_BITS = 16,
};

typedef struct sk_arena_slot {
    sk_tagstack_link next; /* link in the depot's lists, of the slot or of the batch that it heads */
    uint16_t count;        /* the holder's: stacks in the batch that this one heads */
    uint8_t guard;         /* the holder's: an sk_vm_guard_kind, NONE until the first use */
} sk_arena_slot;

typedef struct sk_arena {
    char *slots;                /* I: the first slot */
    size_t bytes;               /* I: of the reservation */
    uint32_t capacity;          /* I: slots */
    sk_atomic(uint32_t) carved; /* any thread: slots handed out; may stand above capacity by a few */
    sk_arena_slot slot[];
} sk_arena;

/* A slot never used before: its id, or 0 when there is no address space left.  Lock-free, or one mmap. */
uint32_t sk_arena_carve(unsigned cls);

sk_arena *sk_arena_of(uint32_t id);

/* The arena `number` of a class, or NULL; they are made in order. */
sk_arena *sk_arena_at(unsigned cls, unsigned number);

/* Unmaps all arenas of a class; nobody may use them. */
void sk_arena_release(unsigned cls);

/* Slots handed out. */
uint32_t sk_arena_carved(sk_arena *arena);

/* The first id of the depot's list of batches, or of its list of cold stacks; for the check at rest. */
uint32_t sk_stack_depot_head(unsigned cls, bool cold);

/* Ids: class, arena and slot, plus one, since 0 means none. */
static inline uint32_t sk_arena_id(unsigned cls, unsigned number, uint32_t index)
{
    return (((uint32_t)cls * SK_ARENAS + number) << SK_ARENA_SLOT_BITS) + index + 1;
}

static inline uint32_t sk_arena_index(uint32_t id)
{
    return (id - 1) & ((1u << SK_ARENA_SLOT_BITS) - 1);
}

static inline unsigned sk_arena_class(uint32_t id)
{
    return ((id - 1) >> SK_ARENA_SLOT_BITS) / SK_ARENAS;
}

static inline sk_arena_slot *sk_arena_slot_of(uint32_t id)
{
    return &sk_arena_of(id)->slot[sk_arena_index(id)];
}

static inline char *sk_arena_base(uint32_t id)
{
    return sk_arena_of(id)->slots + (size_t)sk_arena_index(id) * sk_stack_bytes(sk_arena_class(id));
}

/*
 * Where the head of a slot stands: at its top, moved down by the colour.  Without
 * colours all heads, and the first frames of all fibers, would compete for the
 * same few sets of the first-level cache.  The odd step spreads neighbours.
 */
static inline sk_stack *sk_arena_head(char *base, uint32_t index, unsigned cls)
{
    size_t colour = (size_t)(index * 5 % SK_STACK_COLOURS) * SK_STACK_COLOUR_STEP;
    return (sk_stack *)(void *)(base + sk_stack_bytes(cls) - colour - SK_STACK_HEAD);
}

#endif
