/*
 * stack.h: stacks for fibers, of ten sizes, taken and given back in nanoseconds.
 *
 * A stack is a slot of a large reservation (an arena): a guard page at its
 * bottom, and at its very top a head, `sk_stack`, that the fiber module extends
 * into its descriptor.  Head and first frames share the top page, so that a
 * parked fiber keeps one page of memory.  See README.md for the life of a stack.
 *
 * Who may run beside whom:
 *
 *   operation                   caller               progress
 *   sk_stack_get, sk_stack_put  the cache's owner    wait-free on a cache hit; else lock-free, or a system call
 *   sk_stack_cache_flush        the cache's owner    lock-free
 *   sk_stack_cache_held         anyone               wait-free, a moment old
 *   sk_stack_trim, _stats       anyone, any time     lock-free (trim makes system calls)
 *   sk_stack_find               signal handlers too  wait-free
 *   sk_stack_release_all        alone                -
 */
#ifndef SK_MEM_STACK_H
#define SK_MEM_STACK_H

#include "base/atomic.h"
#include "base/base.h"
#include "mem/sanitized.h"
#include "os/vm.h"

enum {
    SK_STACK_CLASSES = 10,      /* 16 KiB << class: 16 KiB to 8 MiB */
    SK_STACK_CLASS_DEFAULT = 2, /* 64 KiB */
    SK_STACK_MIN_SHIFT = 14,
    SK_STACK_BATCH = 32,                     /* stacks that travel together between a cache and the depot */
    SK_STACK_COLOURS = 32,                   /* places of the head within the top page */
    SK_STACK_COLOUR_STEP = 64,               /* bytes between two colours: one cache line */
    SK_STACK_HEAD = SK_SANITIZED ? 128 : 64, /* bytes kept for the descriptor; sanitizers need some words more */
};

/* The head of a stack, the first member of a fiber's descriptor.  The holder of a stack is whoever got it last. */
typedef struct sk_stack {
    struct sk_stack *next; /* the holder's: link in a cache or in a batch of the depot */
    uint32_t id;           /* I: names class, arena and slot */
    uint8_t cls;           /* I: size class; SK_STACK_CLASSES for a thread's own stack */
    uint8_t guard;         /* I: an sk_vm_guard_kind: what stands at the bottom; NONE for a thread's own stack */
    uint8_t fresh;         /* the holder's: 1 when nothing but this head has been written since the page was new */
    uint8_t spare;         /* the holder's */
} sk_stack;

typedef struct sk_stack_shelf {
    sk_stack *loaded;         /* W: where get and put work */
    sk_stack *full;           /* W: NULL or a chain of exactly SK_STACK_BATCH */
    sk_atomic(uint32_t) held; /* W: owner writes, anyone reads: stacks in both chains */
    uint32_t in_loaded;       /* W: stacks in `loaded`, at most SK_STACK_BATCH */
} sk_stack_shelf;

/* One for each worker; only its owner gets and puts.  All zeroes is an empty cache. */
typedef struct sk_stack_cache {
    sk_stack_shelf shelf[SK_STACK_CLASSES];
} sk_stack_cache;

typedef struct sk_stack_numbers {
    uint64_t created;        /* slots ever handed out: depot + cold + in caches + in use */
    uint64_t depot;          /* hot: in the depot with their memory */
    uint64_t cold;           /* in the depot, their memory given back */
    uint64_t outside;        /* in use or in a worker's cache: created - depot - cold */
    uint64_t reserved_bytes; /* address space */
    uint64_t resident_bytes; /* estimate: one page for each stack that is not cold */
} sk_stack_numbers;

/* Lowest address of a stack's slot, where the guard stands. */
char *sk_stack_base(const sk_stack *stack);

/* Bytes of a class, guard page and head included. */
static inline size_t sk_stack_bytes(unsigned cls)
{
    return (size_t)1 << (SK_STACK_MIN_SHIFT + cls);
}

/* The smallest class of at least `bytes`, or SK_STACK_CLASSES when none is large enough. */
unsigned sk_stack_class_of(size_t bytes);

/* Slow paths of get and put, see there. */
sk_stack *sk_stack_get_slow(sk_stack_cache *cache, unsigned cls);
void sk_stack_put_slow(sk_stack_cache *cache, unsigned cls);

/*
 * Takes a stack: the one put last, else one of the depot, else a fresh one.
 * NULL when the kernel gives no memory (-ENOMEM for the caller to return).
 */
static inline sk_stack *sk_stack_get(sk_stack_cache *cache, unsigned cls)
{
    sk_stack_shelf *shelf = &cache->shelf[cls];
    sk_stack *stack = shelf->loaded;
    if (sk_unlikely(!stack)) return sk_stack_get_slow(cache, cls);
    shelf->loaded = stack->next;
    shelf->in_loaded--;
    sk_count_rlx(&shelf->held, (uint32_t)-1);
    return stack;
}

/* Gives a stack back, hot: nothing of it is touched but `next`. */
static inline void sk_stack_put(sk_stack_cache *cache, sk_stack *stack)
{
    unsigned cls = stack->cls;
    sk_stack_shelf *shelf = &cache->shelf[cls];
    if (sk_unlikely(shelf->in_loaded == SK_STACK_BATCH)) sk_stack_put_slow(cache, cls);
    stack->next = shelf->loaded;
    shelf->loaded = stack;
    shelf->in_loaded++;
    sk_count_rlx(&shelf->held, 1u);
}

/* How many stacks of a class the cache holds. */
static inline uint32_t sk_stack_cache_held(sk_stack_cache *cache, unsigned cls)
{
    return sk_load_rlx(&cache->shelf[cls].held);
}

/* Gives all that the cache holds to the depot, still hot.  Before the owner goes away. */
void sk_stack_cache_flush(sk_stack_cache *cache);

/* Gives the memory of hot depot stacks beyond `keep` back to the kernel; returns how many stacks went cold. */
uint64_t sk_stack_trim(unsigned cls, uint64_t keep);

/* Called with a hot stack that is about to lose its memory, so that its extender can let go of what hangs on it. */
void sk_stack_on_cold(void (*fn)(sk_stack *stack));

void sk_stack_stats(unsigned cls, sk_stack_numbers *out);

/* The stack whose slot holds `address`, or NULL; *in_guard tells whether the address is in the guard page. */
sk_stack *sk_stack_find(const void *address, bool *in_guard);

/* Unmaps all arenas when every stack is in the depot: 0, or -EBUSY.  No other call may run at the same time. */
int sk_stack_release_all(void);

/* At rest: the depot's lists agree with its counters and no stack is on them twice. */
bool sk_stack_check(unsigned cls);

#endif
