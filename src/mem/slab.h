/*
 * slab.h: objects of one size, for all threads, type-stable.
 *
 * Memory that once held an object of a slab never holds anything else and is
 * never unmapped, so that a stale handle can always be looked at.  Each thread
 * allocates from and frees into a cache of its own; caches exchange magazines
 * (chains of SK_SLAB_MAGAZINE objects) through a lock-free depot.  An object
 * may be freed into another cache than it came from.
 *
 * Who may run beside whom:
 *
 *   operation                        caller             progress
 *   sk_slab_alloc, sk_slab_free      the cache's owner  wait-free on a cache hit; else lock-free, or one mmap
 *   sk_slab_cache_flush              the cache's owner  lock-free
 *   sk_slab_each, sk_slab_stats      anyone, any time   wait-free
 *   sk_slab_init, sk_slab_fini, sk_slab_check  alone    -
 */
#ifndef SK_MEM_SLAB_H
#define SK_MEM_SLAB_H

#include "base/atomic.h"
#include "base/base.h"
#include "mem/tagstack.h"

#ifdef SK_MODEL /* few enough that a model comes to the end of each */
enum { SK_SLAB_MAGAZINE = 2, SK_SLAB_CHUNK_SHIFT = 10, SK_SLAB_CHUNKS = 2 };
#else
enum {
    SK_SLAB_MAGAZINE = 64,
    SK_SLAB_CHUNK_SHIFT = 20, /* chunks of 1 MiB, aligned to their size */
    SK_SLAB_CHUNKS = 1 << 18, /* at most 256 GiB of objects */
};
#endif

typedef struct sk_slab_chunk sk_slab_chunk;

typedef struct sk_slab {
    uint32_t object_size;               /* I: rounded up to whole cache lines */
    uint32_t link;                      /* I: offset of the word that free objects are chained by */
    uint32_t per_chunk;                 /* I */
    uint32_t first;                     /* I: offset of the first object in a chunk */
    sk_atomic(sk_slab_chunk *) * table; /* I: SK_SLAB_CHUNKS entries, filled in order, never changed once set */
    SK_LINE_ALIGNED sk_tagstack depot;  /* magazines, named by their first object */
    sk_atomic(uint64_t) depot_objects;  /* objects in the depot, a moment old */
    sk_atomic(uint32_t) open;           /* the chunk that objects are carved from */
} sk_slab;

/* One for each thread, owner only. */
typedef struct sk_slab_cache {
    void *loaded;             /* W: where alloc and free work */
    uint32_t in_loaded;       /* W: objects in `loaded`, at most SK_SLAB_MAGAZINE */
    uint32_t link;            /* I: copy of the slab's */
    void *full;               /* W: NULL or a chain of exactly SK_SLAB_MAGAZINE */
    sk_slab *slab;            /* I */
    sk_atomic(uint32_t) held; /* W: owner writes, anyone reads; brought up to date by the slow paths only */
} sk_slab_cache;

typedef struct sk_slab_numbers {
    uint64_t chunks, chunk_bytes; /* mapped */
    uint64_t carved;              /* objects that have left their chunk: depot + in caches + in use */
    uint64_t depot;               /* objects in the depot */
} sk_slab_numbers;

/* Objects of `object_size` bytes, with a free word at `link` (a multiple of 8).  0, -EINVAL or -ENOMEM. */
int sk_slab_init(sk_slab *slab, size_t object_size, size_t link);

/* Unmaps everything.  Only when no handle can be left: in tests, and never for the process-wide pools. */
void sk_slab_fini(sk_slab *slab);

void sk_slab_cache_init(sk_slab_cache *cache, sk_slab *slab);

/* Gives all that the cache holds to the depot.  Before its thread ends. */
void sk_slab_cache_flush(sk_slab_cache *cache);

void *sk_slab_alloc_slow(sk_slab_cache *cache);
void sk_slab_free_slow(sk_slab_cache *cache);

static inline void **sk_slab_link(const sk_slab_cache *cache, void *object)
{
    return (void **)(void *)((char *)object + cache->link);
}

/*
 * An object, or NULL when the kernel gives no memory.  Its bytes are those it was
 * freed with, or zero when it is new, but for the link word.
 */
static inline void *sk_slab_alloc(sk_slab_cache *cache)
{
    void *object = cache->loaded;
    if (sk_unlikely(!object)) return sk_slab_alloc_slow(cache);
    cache->loaded = *sk_slab_link(cache, object);
    cache->in_loaded--;
    __builtin_prefetch(cache->loaded, 1); /* often last written by another processor */
    return object;
}

/* Frees an object of any thread of the same slab. */
static inline void sk_slab_free(sk_slab_cache *cache, void *object)
{
    if (sk_unlikely(cache->in_loaded == SK_SLAB_MAGAZINE)) sk_slab_free_slow(cache);
    *sk_slab_link(cache, object) = cache->loaded;
    cache->loaded = object;
    cache->in_loaded++;
}

/* How many objects the cache holds; exact for its owner. */
static inline uint32_t sk_slab_cache_held(const sk_slab_cache *cache)
{
    return cache->in_loaded + (cache->full ? (uint32_t)SK_SLAB_MAGAZINE : 0u);
}

/*
 * Calls fn for every object that has ever left its chunk, in use or free: a field
 * of the object must tell which.  Objects carved meanwhile may be missed.
 */
void sk_slab_each(sk_slab *slab, void (*fn)(void *object, void *ctx), void *ctx);

void sk_slab_stats(sk_slab *slab, sk_slab_numbers *out);

#ifdef SK_FAULTS
/* At rest: objects of all slabs of the process that are in no depot: in use, or in some thread's cache. */
uint64_t sk_slab_out(void);
#endif

/* At rest: the depot's chains are whole, agree with the counter, and hold no object twice. */
bool sk_slab_check(sk_slab *slab);

#endif
