/* lazy_slab.c: see lazy_slab.h. */
#include "mem/lazy_slab.h"

bool sk_lazy_slab_make(sk_lazy_slab *lazy)
{
    bool made = sk_slab_init(&lazy->slab, lazy->object_size, lazy->link) == 0;
    sk_once_end(&lazy->once, made);
    return made;
}

void *sk_lazy_slab_alloc(sk_lazy_slab *lazy)
{
    sk_slab *slab = sk_lazy_slab_get(lazy);
    if (!slab) return NULL;
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, slab);
    void *object = sk_slab_alloc(&cache);
    sk_slab_cache_flush(&cache);
    return object;
}

void sk_lazy_slab_free(sk_lazy_slab *lazy, void *object)
{
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &lazy->slab);
    sk_slab_free(&cache, object);
    sk_slab_cache_flush(&cache);
}
