/* local.c: the record of each thread, and what the whole process shares. */
#include "runtime/local.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/fault.h"
#include "fiber/overflow.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "os/membarrier.h"
#include "os/once.h"
#include "runtime/worker.h"

sk_slab sk_tasks;
static sk_slab locals;
static pthread_key_t foreign_key; /* its destructor gives the record of a foreign thread back */
static sk_once once;
static bool key_made;

static _Thread_local sk_local *self;

/* Never inlined, and the address passes through an asm operand: see local.h. */
sk_noinline sk_local *sk_local_self(void)
{
    sk_local **address = &self;
    __asm__ volatile("" : "+r"(address));
    return *address;
}

/* Copies what fits, and returns its end. */
static char *put_text(char *to, size_t size, const char *text)
{
    while (size > 1 && *text) {
        *to++ = *text++;
        size--;
    }
    if (size) *to = 0;
    return to;
}

static char *put_hex(char *to, const char *end, uintptr_t number)
{
    char digits[2 + 2 * sizeof number + 1] = "0x";
    char *place = digits + 2;
    for (int shift = 8 * (int)sizeof number - 4; shift >= 0; shift -= 4)
        if (number >> shift || shift == 0) *place++ = "0123456789abcdef"[number >> shift & 15];
    *place = 0;
    return put_text(to, (size_t)(end - to), digits);
}

/* Names the task on the calling thread's stack; runs in a signal handler. */
static void describe_overflow(const sk_fiber *fiber, char *text, size_t size)
{
    (void)fiber;
    sk_worker *w = sk_worker_self();
    sk_task *t = w ? w->task : NULL;
    if (!t) {
        put_text(text, size, "(none)");
        return;
    }
    const void *fn = (const void *)(uintptr_t)t->fn;
    char *end = put_text(text, size, "with function ");
    end = put_hex(end, text + size, (uintptr_t)fn);
    Dl_info symbol; /* not promised to be safe here, but the process is ending and the address is out already */
    if (dladdr(fn, &symbol) && symbol.dli_sname && symbol.dli_saddr == fn) {
        end = put_text(end, (size_t)(text + size - end), " ");
        put_text(end, (size_t)(text + size - end), symbol.dli_sname);
    }
}

static void foreign_ends(void *local)
{
    sk_thread_ends(&((sk_local *)local)->asleep);
    sk_local_free((sk_local *)local);
}

static int make_key(void)
{
    if (sk_fault(SK_FAULT_KEY) || pthread_key_create(&foreign_key, foreign_ends)) return -EAGAIN;
    key_made = true;
    return 0;
}

/* What an earlier try has made, stays. */
static int init_process(void)
{
    int error = sk_tasks.table ? 0 : sk_slab_init(&sk_tasks, sizeof(sk_task), offsetof(sk_task, link));
    if (!error && !locals.table) error = sk_slab_init(&locals, sizeof(sk_local), offsetof(sk_local, spare_link));
    if (!error) error = sk_fork_watch();
    if (!error && !key_made) error = make_key();
    if (error) return error;
    sk_membarrier_init();
    sk_overflow_describe(describe_overflow);
    sk_overflow_install();
    return 0;
}

int sk_process_init(void)
{
    if (!sk_once_begin(&once)) return 0;
    int error = init_process();
    sk_once_end(&once, error == 0);
    return error;
}

sk_local *sk_local_new(void)
{
    if (sk_process_init()) return NULL;
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &locals);
    sk_local *local = (sk_local *)sk_slab_alloc(&cache);
    if (local) {
        memset((void *)local, 0, offsetof(sk_local, word));
        sk_slab_cache_init(&local->tasks, &sk_tasks);
    }
    sk_slab_cache_flush(&cache);
    return local;
}

typedef struct each {
    void (*fn)(sk_local *local, void *ctx);
    void *ctx;
} each;

static void call_for_one(void *local, void *ctx)
{
    const each *e = (const each *)ctx;
    e->fn((sk_local *)local, e->ctx);
}

void sk_local_each(void (*fn)(sk_local *local, void *ctx), void *ctx)
{
    each e = {fn, ctx};
    if (locals.table) sk_slab_each(&locals, call_for_one, &e);
}

void sk_local_free(sk_local *local)
{
    sk_slab_cache_flush(&local->tasks);
    sk_slab_cache_flush(&local->jobs);
    for (unsigned i = 0; i < SK_CACHED; i++) sk_slab_cache_flush(&local->cached[i]);
    if (sk_local_self() == local) sk_local_bind(NULL);
    sk_slab_cache cache;
    sk_slab_cache_init(&cache, &locals);
    sk_slab_free(&cache, local);
    sk_slab_cache_flush(&cache);
}

sk_noinline void sk_local_bind(sk_local *local)
{
    sk_local **address = &self;
    __asm__ volatile("" : "+r"(address));
    *address = local;
}

sk_local *sk_local_get(void)
{
    sk_local *local = sk_local_self();
    if (sk_likely(local != NULL)) return local;
    local = sk_local_new();
    if (!local) return NULL;
    if (sk_fault(SK_FAULT_KEY) || pthread_setspecific(foreign_key, local)) {
        sk_local_free(local);
        return NULL;
    }
    sk_local_bind(local);
    return local;
}

/* ---- caches of layer 4 ---- */

/* Set up on first use; NULL: no memory for the thread's record. */
static sk_slab_cache *cache_of_thread(sk_lazy_slab *lazy, unsigned kind)
{
    sk_local *local = sk_local_get();
    if (sk_unlikely(!local)) return NULL;
    sk_slab_cache *cache = local->worker ? &local->worker->cached[kind] : &local->cached[kind];
    if (sk_unlikely(!cache->slab)) sk_slab_cache_init(cache, &lazy->slab);
    return cache;
}

void *sk_cached_alloc(sk_lazy_slab *lazy, unsigned kind)
{
    sk_slab_cache *cache = sk_lazy_slab_get(lazy) ? cache_of_thread(lazy, kind) : NULL;
    return cache ? sk_slab_alloc(cache) : NULL;
}

void sk_cached_free(sk_lazy_slab *lazy, unsigned kind, void *object)
{
    sk_slab_cache *cache = cache_of_thread(lazy, kind);
    if (cache)
        sk_slab_free(cache, object);
    else
        sk_lazy_slab_free(lazy, object);
}
