/* fiber.c: the rare sides of fiber.h. */
#include "fiber/fiber.h"

#include "fiber/overflow.h"

void sk_fiber_setup(sk_fiber *fiber, void (*entry)(void *), void *arg)
{
    fiber->entry = entry;
    fiber->owner = NULL;
#if SK_SANITIZED
    sk_fiber_san_setup(fiber, arg);
    entry = sk_fiber_san_begin;
    arg = fiber;
#endif
    /* Frames begin right below the descriptor, in the same page. */
    sk_context_make(&fiber->context, fiber, entry, arg);
    fiber->stack.fresh = 0;
}

/* Room between the caller's frames and the top, where the context to begin with is made: the portable form writes a
   kilobyte there, and a task that gives up at once has not so much on its stack. */
#ifdef SK_CONTEXT_PORTABLE
enum { RESTART_ROOM = 2048 };
#else
enum { RESTART_ROOM = 16 };
#endif

static sk_noinline void restart(sk_fiber *fiber, void (*entry)(void *), void *arg)
{
    if (sk_unlikely(fiber->stack.guard == SK_VM_GUARD_CANARY)) sk_fiber_canary_check(fiber, SK_FIBER_CANARY_GLANCE);
    sk_fiber_setup(fiber, entry, arg);
#if SK_SANITIZED
    sk_fiber_restart_sanitized(fiber);
#else
    sk_context left = {0}; /* nobody comes back to it */
    sk_context_switch(&left, &fiber->context);
#endif
}

void sk_fiber_restart(sk_fiber *fiber, void (*entry)(void *), void *arg)
{
    volatile char room[RESTART_ROOM];
    room[0] = 0;
    restart(fiber, entry, arg);
    sk_panic("a stack that has begun anew went on as before%s", room[0] ? "?" : "");
}

void sk_fiber_adopt(sk_fiber *fiber)
{
    *fiber = (sk_fiber){.stack = {.cls = SK_STACK_CLASSES, .guard = SK_VM_GUARD_NONE}};
#if SK_SANITIZED
    sk_fiber_san_adopt(fiber);
#endif
}

void sk_fiber_canary_check(const sk_fiber *fiber, size_t bytes)
{
    /* A page that nobody may use reads as zero.  Frames hold return addresses and saved pointers: an overflow comes
       from above and leaves something.  Reading maps the kernel's zero page, which is no memory. */
    const char *end = sk_stack_base(&fiber->stack) + sk_vm_page();
    const uint64_t *word = (const uint64_t *)(const void *)(end - bytes);
    uint64_t seen = 0;
    for (size_t i = 0; i < bytes / sizeof *word; i++) seen |= word[i];
    if (sk_unlikely(seen)) sk_overflow_die(fiber);
}
