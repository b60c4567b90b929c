/*
 * heap.h: malloc with fault injection.  For what is made once (runtimes, pools,
 * tables, deque buffers); the steady state takes from src/mem and never comes here.
 */
#ifndef SK_BASE_HEAP_H
#define SK_BASE_HEAP_H

#include "base/base.h"
#include "base/fault.h"

#include <stdlib.h>

/* NULL when memory is out. The content is undefined. */
static inline void *sk_heap_alloc(size_t size)
{
    return sk_fault(SK_FAULT_MALLOC) ? NULL : malloc(size);
}

/* The same, filled with zeroes; NULL also when count * size overflows. */
static inline void *sk_heap_zalloc(size_t count, size_t size)
{
    return sk_fault(SK_FAULT_MALLOC) ? NULL : calloc(count, size);
}

/* `align` is a power of two; the size is rounded up to it, as aligned_alloc demands. */
static inline void *sk_heap_alloc_aligned(size_t align, size_t size)
{
    if (sk_fault(SK_FAULT_MALLOC) || size > SIZE_MAX - align) return NULL;
    return aligned_alloc(align, sk_round_up(size, align));
}

/* Takes back what any of the above gave; NULL is allowed. */
static inline void sk_heap_free(void *memory)
{
    free(memory);
}

#endif
