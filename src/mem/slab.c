/* slab.c: chunks, the depot of magazines, and the slow sides of alloc and free. */
#include "mem/slab.h"

#include "mem/sanitized.h"
#include "base/heap.h"
#include "os/vm.h"

#include <errno.h>

#ifdef SK_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#define CHUNK_BYTES ((size_t)1 << SK_SLAB_CHUNK_SHIFT)
#define TABLE_BYTES (SK_SLAB_CHUNKS * sizeof(sk_atomic(sk_slab_chunk *)))

/* An object's id: the number of its chunk, then its cache line in the chunk.  No object has line 0. */
#define LINE_BITS (SK_SLAB_CHUNK_SHIFT - 6)
_Static_assert(SK_SLAB_CHUNKS <= (1ull << (32 - LINE_BITS)), "ids have 32 bits");

/* A magazine has no room of its own in its objects, whose contents must survive: it is noted at the chunk's head,
   in the place of its first object. */
typedef struct magazine {
    sk_tagstack_link next; /* link in the depot */
    uint32_t count;        /* the holder's: objects chained from the first one */
} magazine;

struct sk_slab_chunk {
    sk_atomic(uint32_t) carved; /* any thread: objects handed out; may stand above the capacity by a few magazines */
    uint32_t number;            /* I: place in the slab's table */
    magazine magazines[];       /* one for each object; the pages of those never first are never touched */
};

#ifdef SK_FAULTS
static sk_atomic(sk_slab *) slabs_made[32]; /* any thread: filled in order; the process has 14, tests a few more */

static void remember(sk_slab *slab)
{
    sk_slab *none = NULL;
    for (size_t i = 0; i < sk_array_len(slabs_made); i++, none = NULL)
        if (sk_load_rlx(&slabs_made[i]) == slab || sk_cas_rlx(&slabs_made[i], &none, slab)) return;
}

uint64_t sk_slab_out(void)
{
    uint64_t out = 0;
    for (size_t i = 0; i < sk_array_len(slabs_made); i++) {
        sk_slab *slab = sk_load_rlx(&slabs_made[i]);
        sk_slab_numbers numbers;
        if (!slab || !slab->table) continue;
        sk_slab_stats(slab, &numbers);
        out += numbers.carved - numbers.depot;
    }
    return out;
}
#else
#define remember(slab) ((void)0)
#endif

int sk_slab_init(sk_slab *slab, size_t object_size, size_t link)
{
    if (object_size < 8 || object_size > CHUNK_BYTES / 16) return -EINVAL;
    if (link % sizeof(void *) || link > object_size - sizeof(void *)) return -EINVAL;
    sk_store_rlx(&slab->depot.head, UINT64_C(0));
    sk_store_rlx(&slab->depot_objects, UINT64_C(0));
    sk_store_rlx(&slab->open, 0u);
    size_t size = sk_round_up(object_size, SK_CACHE_LINE);
    size_t room = CHUNK_BYTES - sizeof(sk_slab_chunk) - SK_CACHE_LINE;
    slab->object_size = (uint32_t)size;
    slab->link = (uint32_t)link;
    slab->per_chunk = (uint32_t)(room / (size + sizeof(magazine)));
    size_t head = sizeof(sk_slab_chunk) + slab->per_chunk * sizeof(magazine);
    slab->first = (uint32_t)sk_round_up(head, SK_CACHE_LINE);
    void *table = NULL;
    int err = sk_vm_reserve(&table, TABLE_BYTES, sk_vm_page(), 0);
    slab->table = err ? NULL : (sk_atomic(sk_slab_chunk *) *)table;
    if (!err) remember(slab);
    return err;
}

/* Chunk `number`, or NULL. */
static sk_slab_chunk *chunk_at(sk_slab *slab, uint32_t number)
{
    if (number >= SK_SLAB_CHUNKS) return NULL;
    /* [ME-A6] acquire; pairs with [ME-R4] in chunk_open. Without it the chunk's number could read as zero. */
    return sk_load_acq(&slab->table[number]);
}

void sk_slab_fini(sk_slab *slab)
{
    if (!slab->table) return;
    sk_slab_chunk *chunk;
    for (uint32_t number = 0; (chunk = chunk_at(slab, number)); number++) {
#ifdef SK_ASAN
        __lsan_unregister_root_region(chunk, CHUNK_BYTES);
#endif
        sk_vm_release(chunk, CHUNK_BYTES);
    }
    sk_vm_release(slab->table, TABLE_BYTES);
    slab->table = NULL;
}

static sk_slab_chunk *chunk_of(void *object)
{
    return (sk_slab_chunk *)((uintptr_t)object & ~(uintptr_t)(CHUNK_BYTES - 1));
}

static magazine *magazine_of(const sk_slab *slab, void *object)
{
    sk_slab_chunk *chunk = chunk_of(object);
    size_t offset = (size_t)((char *)object - (char *)chunk) - slab->first;
    return &chunk->magazines[offset / slab->object_size];
}

static uint32_t id_of(void *object)
{
    return chunk_of(object)->number << LINE_BITS | (uint32_t)(((uintptr_t)object & (CHUNK_BYTES - 1)) / SK_CACHE_LINE);
}

static void *object_of(sk_slab *slab, uint32_t id)
{
    /* Relaxed: whoever made the id saw the entry through [ME-A6], and ids travel by release and acquire. */
    char *chunk = (char *)sk_load_rlx(&slab->table[id >> LINE_BITS]);
    return chunk + (size_t)(id & ((1u << LINE_BITS) - 1)) * SK_CACHE_LINE;
}

static sk_tagstack_link *link_of(void *ctx, uint32_t id)
{
    sk_slab *slab = (sk_slab *)ctx;
    return &magazine_of(slab, object_of(slab, id))->next;
}

static void depot_push(sk_slab *slab, void *chain, uint32_t count)
{
    magazine *m = magazine_of(slab, chain);
    m->count = count;
    sk_add_rlx(&slab->depot_objects, (uint64_t)count); /* before the push, so that the counter never goes below zero */
    sk_tagstack_push(&slab->depot, id_of(chain), &m->next);
}

static void *depot_pop(sk_slab *slab, uint32_t *count)
{
    uint32_t id = sk_tagstack_pop(&slab->depot, link_of, slab);
    if (!id) return NULL;
    void *chain = object_of(slab, id);
    *count = magazine_of(slab, chain)->count;
    sk_sub_rlx(&slab->depot_objects, (uint64_t)*count);
    return chain;
}

/* Chunk `number`, made when it is missing; of several makers one wins and the others unmap theirs unseen. */
static sk_slab_chunk *chunk_open(sk_slab *slab, uint32_t number)
{
    sk_slab_chunk *chunk = chunk_at(slab, number), *found = NULL;
    void *memory = NULL;
    if (chunk || number >= SK_SLAB_CHUNKS) return chunk;
    if (sk_vm_reserve(&memory, CHUNK_BYTES, CHUNK_BYTES, 0) < 0) return chunk_at(slab, number);
    chunk = (sk_slab_chunk *)memory; /* zeroed: nothing carved */
    chunk->number = number;
    /* [ME-R4] acquire-release; pairs with [ME-A6], and with itself in the loser, who goes on with the winner's chunk.
       Without it a thread could carve from a chunk whose number it does not see. */
    if (sk_cas_ar(&slab->table[number], &found, chunk)) {
#ifdef SK_ASAN
        __lsan_register_root_region(chunk, CHUNK_BYTES); /* heap that hangs on an object here is not leaked */
#endif
        return chunk;
    }
    sk_vm_release(chunk, CHUNK_BYTES);
    return found;
}

/* Chains `count` objects in the order of their addresses: the processor fetches ahead of whoever fills them. */
static void *chain_up(const sk_slab *slab, char *first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char *object = first + (size_t)i * slab->object_size;
        *(void **)(void *)(object + slab->link) = i + 1 < count ? object + slab->object_size : NULL;
    }
    return first;
}

/* Up to a magazine of objects that were never used. */
static void *carve(sk_slab *slab, uint32_t *count)
{
    for (;;) {
        uint32_t number = sk_load_rlx(&slab->open);
        sk_slab_chunk *chunk = chunk_open(slab, number);
        if (!chunk) return NULL;
        /* Looking before adding keeps `carved` from running away when a full chunk is tried for ever. */
        if (sk_load_rlx(&chunk->carved) < slab->per_chunk) {
            uint32_t from = sk_add_rlx(&chunk->carved, (uint32_t)SK_SLAB_MAGAZINE);
            if (from < slab->per_chunk) {
                *count = sk_min(slab->per_chunk - from, (uint32_t)SK_SLAB_MAGAZINE);
                return chain_up(slab, (char *)chunk + slab->first + (size_t)from * slab->object_size, *count);
            }
        }
        (void)sk_cas_rlx(&slab->open, &number, number + 1);
    }
}

void sk_slab_cache_init(sk_slab_cache *cache, sk_slab *slab)
{
    cache->loaded = cache->full = NULL;
    cache->in_loaded = 0;
    cache->slab = slab;
    cache->link = slab->link;
    sk_store_rlx(&cache->held, 0u);
}

static void set_held(sk_slab_cache *cache)
{
    sk_store_rlx(&cache->held, sk_slab_cache_held(cache));
}

void *sk_slab_alloc_slow(sk_slab_cache *cache)
{
    if (cache->full) {
        cache->loaded = cache->full;
        cache->in_loaded = SK_SLAB_MAGAZINE;
        cache->full = NULL;
    } else {
        cache->loaded = depot_pop(cache->slab, &cache->in_loaded);
        if (!cache->loaded) cache->loaded = carve(cache->slab, &cache->in_loaded);
    }
    set_held(cache);
    return cache->loaded ? sk_slab_alloc(cache) : NULL;
}

/* Makes room in `loaded`.  Two chains, so that allocs and frees in turn at the edge do not go to the depot each time.
 */
void sk_slab_free_slow(sk_slab_cache *cache)
{
    if (cache->full) depot_push(cache->slab, cache->full, SK_SLAB_MAGAZINE);
    cache->full = cache->loaded;
    cache->loaded = NULL;
    cache->in_loaded = 0;
    set_held(cache);
}

void sk_slab_cache_flush(sk_slab_cache *cache)
{
    if (cache->full) depot_push(cache->slab, cache->full, SK_SLAB_MAGAZINE);
    if (cache->loaded) depot_push(cache->slab, cache->loaded, cache->in_loaded);
    cache->full = cache->loaded = NULL;
    cache->in_loaded = 0;
    set_held(cache);
}

static uint32_t carved_of(const sk_slab *slab, sk_slab_chunk *chunk)
{
    uint32_t carved = sk_load_rlx(&chunk->carved); /* may run past the end, by those who found the chunk full */
    return sk_min(carved, slab->per_chunk);
}

void sk_slab_each(sk_slab *slab, void (*fn)(void *object, void *ctx), void *ctx)
{
    sk_slab_chunk *chunk;
    for (uint32_t number = 0; (chunk = chunk_at(slab, number)); number++) {
        uint32_t carved = carved_of(slab, chunk);
        for (uint32_t i = 0; i < carved; i++) fn((char *)chunk + slab->first + (size_t)i * slab->object_size, ctx);
    }
}

void sk_slab_stats(sk_slab *slab, sk_slab_numbers *out)
{
    *out = (sk_slab_numbers){.depot = sk_load_rlx(&slab->depot_objects)};
    sk_slab_chunk *chunk;
    for (; (chunk = chunk_at(slab, (uint32_t)out->chunks)); out->chunks++) out->carved += carved_of(slab, chunk);
    out->chunk_bytes = out->chunks * CHUNK_BYTES;
}

/* Marks an object as seen; false when it is no object of the slab or was seen before. */
static bool mark(sk_slab *slab, uint8_t *seen, uint32_t chunks, void *object)
{
    sk_slab_chunk *chunk = chunk_of(object);
    size_t offset = (size_t)((char *)object - (char *)chunk) - slab->first;
    size_t index = offset / slab->object_size;
    if (chunk->number >= chunks || chunk_at(slab, chunk->number) != chunk) return false;
    if (offset % slab->object_size || index >= carved_of(slab, chunk)) return false;
    uint8_t *place = &seen[(size_t)chunk->number * slab->per_chunk + index];
    return !(*place)++;
}

bool sk_slab_check(sk_slab *slab)
{
    sk_slab_numbers numbers;
    sk_slab_stats(slab, &numbers);
    uint64_t found = 0;
    uint8_t *seen = (uint8_t *)sk_heap_zalloc(numbers.chunks + 1, slab->per_chunk);
    bool ok = seen != NULL;
    uint32_t id = (uint32_t)sk_load_rlx(&slab->depot.head);
    for (; ok && id; id = sk_load_rlx(link_of(slab, id))) {
        uint32_t count = 0;
        for (void *o = object_of(slab, id); ok && o; o = *(void **)(void *)((char *)o + slab->link), count++)
            ok = mark(slab, seen, (uint32_t)numbers.chunks, o);
        ok = ok && count == magazine_of(slab, object_of(slab, id))->count;
        found += count;
    }
    sk_heap_free(seen);
    return ok && found == numbers.depot;
}
