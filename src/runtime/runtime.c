/* runtime.c: making runtimes; the default one. */
#include <errno.h>
#include <string.h>

#include "mem/lazy_slab.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/topology.h"
#include "runtime/adjuster.h"
#include "runtime/machine.h"
#include "runtime/monitor.h"
#include "runtime/shutdown.h"

#define ADJUST_INTERVAL_NS UINT64_C(10000000)

static sk_atomic(skua_runtime *) default_runtime;

typedef struct sk_runtime_memory {
    void *link; /* the slab's */
    sk_atomic(
        uint32_t) visiting; /* calls under way that touch the workers; outlives the runtime, as its last go late */
    sk_atomic(bool) live;   /* a hint for who goes through all */
    skua_runtime runtime;
} sk_runtime_memory;

/* Type-stable, so that a call on a released one finds that out instead of crashing. */
static sk_lazy_slab runtimes = SK_LAZY_SLAB(sk_runtime_memory, link);

static sk_runtime_memory *memory_of(skua_runtime *rt)
{
    return sk_container_of(rt, sk_runtime_memory, runtime);
}

bool sk_runtime_enter(skua_runtime *rt)
{
    /* [RT-C1] sequentially consistent; pairs with [SD-C2] and [RT-A2]: either whoever releases the runtime counts us
       and waits, or we see that it is released. */
    sk_add_sc(&memory_of(rt)->visiting, 1u);
    /* [RT-A3] sequentially consistent; pairs with [SD-C2]: a relaxed look could come before the count. */
    if (sk_likely(sk_load_sc(&rt->magic) == SK_RUNTIME_LIVE)) return true;
    sk_runtime_exit(rt);
    return false;
}

void sk_runtime_exit(skua_runtime *rt)
{
    /* [RT-R2] release; pairs with [RT-A2]: we touch the workers no more. */
    sk_sub_ar(&memory_of(rt)->visiting, 1u);
}

bool sk_runtime_is_visited(skua_runtime *rt)
{
    /* [RT-A2] sequentially consistent; pairs with [RT-C1], and as an acquire with [RT-R2]. One of them is ourselves. */
    return sk_load_sc(&memory_of(rt)->visiting) > 1;
}

static skua_runtime *allocate(void)
{
    sk_runtime_memory *memory = (sk_runtime_memory *)sk_lazy_slab_alloc(&runtimes);
    if (memory) memset((void *)&memory->runtime, 0, sizeof memory->runtime);
    return memory ? &memory->runtime : NULL;
}

void sk_runtime_forget(skua_runtime *rt)
{
    skua_runtime *was_default = rt;
    sk_cas_rlx(&default_runtime, &was_default, (skua_runtime *)NULL);
    sk_store_rlx(&rt->magic, SK_RUNTIME_RELEASED);
    sk_store_rlx(&memory_of(rt)->live, false);
    sk_lazy_slab_free(&runtimes, memory_of(rt));
}

typedef struct each {
    void (*fn)(skua_runtime *rt, void *ctx);
    void *ctx;
} each;

static void call_for_one(void *memory, void *ctx)
{
    const each *e = (const each *)ctx;
    sk_runtime_memory *m = (sk_runtime_memory *)memory;
    /* [RT-A4] acquire; pairs with [RT-R3]: the runtime as it was made. */
    if (sk_load_acq(&m->live)) e->fn(&m->runtime, e->ctx);
}

void sk_runtime_each(void (*fn)(skua_runtime *rt, void *ctx), void *ctx)
{
    each e = {fn, ctx};
    sk_slab *slab = sk_lazy_slab_get(&runtimes);
    if (slab) sk_slab_each(slab, call_for_one, &e);
}

/* ---- options ---- */

static int take_options(skua_runtime *rt, const skua_runtime_options *o)
{
    static const skua_runtime_options none;
    if (!o) o = &none;
    if ((unsigned)o->adjust > SKUA_ADJUST_LAZY || o->workers_max > SKUA_WORKERS_MAX) return -EINVAL;
    unsigned processors = sk_topology_processors();
    rt->processors = sk_min(processors, (unsigned)SKUA_WORKERS_MAX);
    rt->adjust = o->adjust;
    bool fixed = o->adjust == SKUA_ADJUST_FIXED;
    rt->workers_max = o->workers_max ? o->workers_max : sk_max(rt->processors, o->workers_min);
    if (!o->workers_max && o->adjust == SKUA_ADJUST_BLOCKING)
        rt->workers_max = sk_min(sk_max(rt->processors * 16, 64u), (unsigned)SKUA_WORKERS_MAX);
    rt->workers_min = o->workers_min ? o->workers_min : fixed ? rt->workers_max : 1;
    rt->stack_class = o->stack_size ? sk_stack_class_of(o->stack_size) : SK_STACK_CLASS_DEFAULT;
    if (rt->stack_class >= SK_STACK_CLASSES) return -EINVAL;
    rt->adjust_interval = o->adjust_interval ? o->adjust_interval : ADJUST_INTERVAL_NS;
    static const sk_adjust_kind kind[] = {
        [SKUA_ADJUST_FIXED] = SK_ADJUST_FIXED,       [SKUA_ADJUST_BACKLOG] = SK_ADJUST_BACKLOG,
        [SKUA_ADJUST_BLOCKING] = SK_ADJUST_BLOCKING, [SKUA_ADJUST_EAGER] = SK_ADJUST_EAGER,
        [SKUA_ADJUST_BALANCED] = SK_ADJUST_BALANCED, [SKUA_ADJUST_LAZY] = SK_ADJUST_LAZY};
    rt->policy = sk_adjust_default(kind[o->adjust], rt->workers_max);
    if (o->idle_timeout) rt->policy.idle_ns = rt->policy.calm_ns = o->idle_timeout;
    sk_store_rlx(&rt->wanted, rt->workers_max);
    return sk_adjust_validate(&rt->policy, rt->workers_min, rt->workers_max, SKUA_WORKERS_MAX);
}

/* ---- create ---- */

static int start_monitor(skua_runtime *rt)
{
    rt->monitor = sk_local_new();
    if (!rt->monitor) return -ENOMEM;
    rt->monitor->runtime = rt;
    int error = sk_thread_start(&rt->monitor->thread, 0, "skua-monitor", sk_monitor_main, rt);
    if (!error) return 0;
    sk_local_free(rt->monitor);
    rt->monitor = NULL;
    return error;
}

static int start(skua_runtime *rt)
{
    sk_owner_init(&rt->owner, rt, NULL);
    sk_inject_init(&rt->inbox);
    sk_inject_init(&rt->spares);
    sk_inject_init(&rt->retired);
    sk_inject_init(&rt->owing);
    uint32_t first = rt->adjust == SKUA_ADJUST_BLOCKING
                         ? sk_max(rt->workers_min, sk_min(rt->processors, rt->workers_max))
                     : rt->adjust == SKUA_ADJUST_FIXED ? rt->workers_max
                                                       : rt->workers_min;
    int error = sk_adjust_start(rt, first);
    if (!error) error = start_monitor(rt);
    sk_store_rlx(&rt->grown, UINT64_C(0));
    if (!error) return 0;
    sk_stop_threads(rt);
    sk_workers_free(rt);
    return error;
}

int skua_runtime_create(skua_runtime **out, const skua_runtime_options *options)
{
    if (sk_unlikely(sk_forked())) return -ECHILD;
    if (!out) return -EINVAL;
    *out = NULL;
    int error = sk_process_init();
    if (error) return error;
    skua_runtime *rt = allocate();
    if (!rt) return -ENOMEM;
    error = take_options(rt, options);
    if (!error) error = start(rt);
    if (error) {
        sk_runtime_forget(rt);
        return error;
    }
    sk_store_rlx(&rt->magic, SK_RUNTIME_LIVE);
    /* [RT-R3] release; pairs with [RT-A4]. */
    sk_store_rel(&memory_of(rt)->live, true);
    *out = rt;
    return 0;
}

skua_runtime *skua_runtime_default(void)
{
    if (sk_unlikely(sk_forked())) return NULL;
    /* [RT-A1] acquire; pairs with [RT-R1]: the runtime is whole. */
    skua_runtime *rt = sk_load_acq(&default_runtime);
    if (sk_likely(rt != NULL)) return rt;
    if (skua_runtime_create(&rt, NULL) < 0) return NULL;
    skua_runtime *first = NULL;
    /* [RT-R1] acquire-release; pairs with [RT-A1], and with itself when another thread was faster. */
    if (sk_cas_ar(&default_runtime, &first, rt)) return rt;
    skua_runtime_release(rt);
    return first;
}

skua_runtime *skua_runtime_current(void)
{
    sk_local *local = sk_local_self();
    if (!local) return NULL;
    if (local->blocked_task) return sk_task_runtime(local->blocked_task);
    return local->worker && local->worker->task ? local->worker->runtime : NULL;
}

int skua_runtime_resize(skua_runtime *rt, uint32_t workers)
{
    int error = sk_runtime_check(rt);
    if (error) return error;
    if (workers == 0 || workers > SKUA_WORKERS_MAX) return -EINVAL;
    if (!sk_runtime_enter(rt)) return -ESHUTDOWN;
    error = rt->adjust != SKUA_ADJUST_FIXED ? -EPERM : sk_load_rlx(&rt->stopping) ? -ESHUTDOWN : 0;
    if (!error) {
        sk_store_rlx(&rt->wanted, workers);
        sk_monitor_ring(rt);
    }
    sk_runtime_exit(rt);
    return error;
}
