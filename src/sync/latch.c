/* latch.c: the latch behind skua/latch.h: a wait group whose count only goes down; see waitgroup.c. */
#include "skua/latch.h"

#include "sync/waitgroup.h"

static sk_waitgroup *inside(skua_latch *latch)
{
    return (sk_waitgroup *)(void *)latch;
}

int skua_latch_init(skua_latch *latch, uint64_t count)
{
    int error = sk_refused(latch);
    if (error) return error;
    if (count > (uint64_t)INT64_MAX) return -EOVERFLOW;
    skua_latch fresh = SKUA_LATCH_INIT(count);
    *latch = fresh;
    return 0;
}

int skua_latch_count_down(skua_latch *latch, uint64_t n)
{
    int error = sk_refused(latch);
    if (sk_unlikely(error)) return error;
    return n > (uint64_t)INT64_MAX ? -ERANGE : sk_waitgroup_add(inside(latch), -(int64_t)n);
}

int skua_latch_wait_for(skua_latch *latch, uint64_t timeout)
{
    int error = sk_refused(latch);
    return error ? error : sk_waitgroup_wait(inside(latch), timeout, "latch");
}

int skua_latch_wait(skua_latch *latch)
{
    return skua_latch_wait_for(latch, SKUA_FOREVER);
}
