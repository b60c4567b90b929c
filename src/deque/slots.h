/*
 * slots.h: where the deques get their arrays: zeroed, and starting on a cache line.
 *
 * The two macros are the fault-injection seam: a test defines them before it
 * includes any deque header.  Zeroed memory matters twice: a thief that lost
 * its race may look at a slot nobody has written yet, and a large array from
 * calloc costs no resident page until a slot in it is used.
 */
#ifndef SK_DEQUE_SLOTS_H
#define SK_DEQUE_SLOTS_H

#include "base/atomic.h"
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>

#ifndef SK_DEQUE_CALLOC
#ifdef SK_FAULTS
#include "base/heap.h"
#define SK_DEQUE_CALLOC(count, size) sk_heap_zalloc((count), (size))
#else
#define SK_DEQUE_CALLOC(count, size) calloc((count), (size))
#endif
#define SK_DEQUE_FREE(block) free(block)
#endif

typedef sk_atomic(void *) sk_item_slot;
typedef sk_atomic(uint64_t) sk_word_slot;

/*
 * sk_slots_new(type, count, &block): the first of count zeroed slots of that type,
 * or NULL; `block` is what sk_slots_delete wants back.  A model build
 * needs constructors to run, so there the array comes from new.
 */
#if defined(__cplusplus) && defined(SK_MODEL)
#define sk_slots_new(slot_type, count, block) sk_slots_construct<slot_type>((count), (block))
#define sk_slots_delete(slot_type, block) delete[] static_cast<slot_type *>(block)
template <typename slot_type> inline slot_type *sk_slots_construct(uint64_t count, void **block)
{
    slot_type *slots = new slot_type[count];
    for (uint64_t i = 0; i < count; i++) sk_store_rlx(&slots[i], 0);
    *block = slots;
    return slots;
}
#else
#define sk_slots_new(slot_type, count, block) ((slot_type *)sk_slots_alloc((count), (block)))
#define sk_slots_delete(slot_type, block) SK_DEQUE_FREE(block)
static inline void *sk_slots_alloc(uint64_t count, void **block)
{
    *block = SK_DEQUE_CALLOC(count + SK_CACHE_LINE / sizeof(uint64_t), sizeof(uint64_t));
    if (!*block) return NULL;
    return (void *)sk_round_up((uintptr_t)*block, SK_CACHE_LINE);
}
#endif

#endif
