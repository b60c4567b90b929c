/*
 * context_portable.c: the switch by ucontext, for processors without assembly and
 * for comparing.  Each switch saves the signal mask by a system call: 100 times slower.
 */
#include "fiber/context.h"

#include "mem/sanitized.h"

#ifdef SK_CONTEXT_PORTABLE

#include <string.h>
#include <ucontext.h>

/* Where a fresh fiber's stack starts in this form; makecontext wants the lowest address, which only it ignores. */
enum { ROOM_FOR_MAKECONTEXT = 2048 };

SK_UNINSTRUMENTED void sk_context_switch_portable(sk_context *from, sk_context *to)
{
    ucontext_t here; /* on the stack that it describes: the descriptor has no room for a kilobyte */
    if (!to->sp) sk_panic("switch to a fiber that was never suspended");
    from->sp = &here;
    sk_check(swapcontext(&here, to->sp) == 0);
}

/* makecontext passes integers: an address takes two. */
static void begin(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    void (*entry)(void *);
    uintptr_t address = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    memcpy(&entry, &address, sizeof entry);
    entry((void *)(uintptr_t)((uint64_t)arg_high << 32 | arg_low));
    sk_panic("the entry function of a fiber returned");
}

void sk_context_make(sk_context *context, void *top, void (*entry)(void *), void *arg)
{
    ucontext_t *start = (ucontext_t *)(void *)((char *)top - sk_round_up(sizeof *start, 64));
    uint64_t function = (uintptr_t)entry, argument = (uintptr_t)arg;
    sk_check(getcontext(start) == 0);
    start->uc_stack.ss_sp = (char *)start - ROOM_FOR_MAKECONTEXT;
    start->uc_stack.ss_size = ROOM_FOR_MAKECONTEXT;
    start->uc_link = NULL;
    makecontext(start, (void (*)(void))begin, 4, (unsigned)(function >> 32), (unsigned)function,
                (unsigned)(argument >> 32), (unsigned)argument);
    *context = (sk_context){.sp = start};
}

#endif
