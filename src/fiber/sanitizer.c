/* sanitizer.c: the calls that sanitizers want around a switch; empty in a release build. */
#include "fiber/sanitizer.h"

#if SK_SANITIZED

#include "fiber/fiber.h"

#include <pthread.h>

#ifdef SK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SK_VALGRIND
#include <valgrind/valgrind.h>
#endif
#ifdef SK_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
/*
 * A switch is an ordering edge (flag 0).  It is a true one: what a thread did on one stack is sequenced before what it
 * does on the next.  The scheduler lives by it: its loops stand on many stacks and share their worker's plain fields;
 * and what a loop acquired when it took a task out of a queue must hold for the task that it then switches to.  Without
 * the edge (flag 1) both are reported as races.  The price: a race between two tasks is missed in runs in which they
 * happened to follow each other on one worker.  Tests of such things therefore use several workers.
 */
enum { TSAN_SYNC = 0 };
#endif

/* The stack loses its memory and with it the descriptor. */
static void on_cold(sk_stack *stack)
{
    sk_fiber *fiber = sk_container_of(stack, sk_fiber, stack);
#ifdef SK_TSAN
    if (fiber->san.tsan) __tsan_destroy_fiber(fiber->san.tsan);
#endif
#ifdef SK_VALGRIND
    if (fiber->san.registered) VALGRIND_STACK_DEREGISTER(fiber->san.valgrind_stack);
#endif
    fiber->san = (sk_fiber_san){0};
}

void sk_fiber_san_setup(struct sk_fiber *fiber, void *arg)
{
    sk_fiber_san *san = &fiber->san;
    char *bottom = sk_stack_base(&fiber->stack) + sk_vm_page();
    if (fiber->stack.fresh) *san = (sk_fiber_san){0};
    san->bottom = bottom;
    san->size = (size_t)((char *)fiber - bottom);
    san->arg = arg;
    san->fake_stack = NULL;
    sk_stack_on_cold(on_cold);
#ifdef SK_ASAN
    __asan_unpoison_memory_region(bottom, san->size); /* frames that were left without returning */
#endif
#ifdef SK_TSAN
    if (!san->tsan) san->tsan = __tsan_create_fiber(0);
#endif
#ifdef SK_VALGRIND
    if (!san->registered) san->valgrind_stack = VALGRIND_STACK_REGISTER(bottom, (char *)fiber);
    san->registered = 1;
#endif
}

SK_UNINSTRUMENTED void sk_fiber_san_begin(void *arg)
{
    sk_fiber *fiber = arg;
#ifdef SK_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    fiber->entry(fiber->san.arg);
}

void sk_fiber_san_adopt(struct sk_fiber *fiber)
{
#ifdef SK_ASAN
    pthread_attr_t attr;
    void *bottom = NULL;
    sk_check(pthread_getattr_np(pthread_self(), &attr) == 0);
    sk_check(pthread_attr_getstack(&attr, &bottom, &fiber->san.size) == 0);
    fiber->san.bottom = bottom;
    pthread_attr_destroy(&attr);
#endif
#ifdef SK_TSAN
    fiber->san.tsan = __tsan_get_current_fiber();
#endif
    (void)fiber;
}

SK_UNINSTRUMENTED void sk_fiber_switch_sanitized(struct sk_fiber *from, struct sk_fiber *to)
{
#ifdef SK_ASAN
    __sanitizer_start_switch_fiber(&from->san.fake_stack, to->san.bottom, to->san.size);
#endif
#ifdef SK_TSAN
    __tsan_switch_to_fiber(to->san.tsan, TSAN_SYNC);
#endif
    sk_context_switch(&from->context, &to->context);
#ifdef SK_ASAN
    __sanitizer_finish_switch_fiber(from->san.fake_stack, NULL, NULL);
#endif
}

/* For the sanitizers the stack that begins anew is another one: what they know of the frames goes with the old. */
SK_UNINSTRUMENTED void sk_fiber_restart_sanitized(struct sk_fiber *fiber)
{
    sk_context left; /* nobody comes back to it */
#ifdef SK_ASAN
    __sanitizer_start_switch_fiber(NULL, fiber->san.bottom, fiber->san.size); /* NULL: the fake stack goes */
#endif
#ifdef SK_ASAN
    __asan_unpoison_memory_region(fiber->san.bottom, fiber->san.size); /* those made since the set-up, too */
#endif
#ifdef SK_TSAN
    void *old = fiber->san.tsan;
    fiber->san.tsan = __tsan_create_fiber(0);
    __tsan_switch_to_fiber(fiber->san.tsan, TSAN_SYNC);
    __tsan_destroy_fiber(old);
#endif
    sk_context_switch(&left, &fiber->context);
}

#else
typedef int sk_fiber_san_empty; /* ISO C wants something in a file */
#endif
