/*
 * lazy_slab.h: a slab of the process that is made when it is first asked for.
 *
 *   static sk_lazy_slab groups = SK_LAZY_SLAB(skua_group, link);
 *
 * The kernel may refuse the memory: then that call fails, and the next one tries
 * again.  For objects that are made too rarely for each thread to have a cache of
 * them, sk_lazy_slab_alloc and sk_lazy_slab_free go to the slab through a cache of
 * the moment: they take from the depot, or give back to it, at once.  Who has a
 * cache of its own takes the slab only.
 *
 * Any thread, also one that stops; not after fork (its callers look at sk_forked
 * first): a thread that is not there any more may have been making the slab.
 */
#ifndef SK_MEM_LAZY_SLAB_H
#define SK_MEM_LAZY_SLAB_H

#include <stddef.h>

#include "mem/slab.h"
#include "os/once.h"

typedef struct sk_lazy_slab {
    size_t object_size, link; /* I: as for sk_slab_init */
    sk_once once;
    sk_slab slab; /* by sk_lazy_slab_get; or directly by who has an object of it */
} sk_lazy_slab;

/* Objects of a type, with a free word in the field `word`. */
#define SK_LAZY_SLAB(type, word)                                                                                       \
    {                                                                                                                  \
        .object_size = sizeof(type), .link = offsetof(type, word)                                                      \
    }

/* Of sk_lazy_slab_get: makes it, for all who wait in sk_once_begin. True: it is there. */
bool sk_lazy_slab_make(sk_lazy_slab *lazy);

/* The slab, or NULL when there is no memory for it. */
static inline sk_slab *sk_lazy_slab_get(sk_lazy_slab *lazy)
{
    if (sk_likely(!sk_once_begin(&lazy->once)) || sk_lazy_slab_make(lazy)) return &lazy->slab;
    return NULL;
}

/* An object, or NULL when there is no memory; its bytes are as sk_slab_alloc says. Lock-free, or an mmap or two. */
void *sk_lazy_slab_alloc(sk_lazy_slab *lazy);

/* Gives an object of this slab back. Lock-free. */
void sk_lazy_slab_free(sk_lazy_slab *lazy, void *object);

#endif
