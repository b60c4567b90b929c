/*
 * overflow.h: a stack overflow ends the process with one line that names the task.
 *
 * The handler runs on an alternate stack, since the one that overflowed has no
 * room, and uses async-signal-safe calls only.
 */
#ifndef SK_FIBER_OVERFLOW_H
#define SK_FIBER_OVERFLOW_H

#include "base/base.h"
#include "fiber/fiber.h"

/* The alternate signal stack of one thread. */
typedef struct sk_overflow_thread {
    void *memory; /* NULL: the thread had one already */
    size_t bytes;
} sk_overflow_thread;

/* Gives the calling thread an alternate signal stack, unless it has one.  0 or -ENOMEM. */
int sk_overflow_thread_init(sk_overflow_thread *thread);

/* Before the thread ends, on the same thread. */
void sk_overflow_thread_fini(sk_overflow_thread *thread);

/* Handles SIGSEGV and SIGBUS from now on, and passes on what is not ours.  Any thread; only the first call acts.
   0 or a negative errno. */
int sk_overflow_install(void);

/* `fn` writes the name of what runs on the fiber (fiber->owner) into buf; it is called from a signal handler. */
void sk_overflow_describe(void (*fn)(const sk_fiber *fiber, char *buf, size_t n));

/* Reports the overflow and aborts; for stacks whose guard is a canary. */
_Noreturn void sk_overflow_die(const sk_fiber *fiber);

#endif
