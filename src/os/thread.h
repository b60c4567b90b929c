/*
 * thread.h: OS threads that the library starts.
 *
 * Such a thread
 *   - has all signals blocked except the ones that its own instructions raise
 *     (SIGSEGV SIGBUS SIGFPE SIGILL SIGTRAP SIGSYS).  Handlers of the program
 *     therefore run on the program's own threads, with their full stacks, and
 *     never on a fiber's small one; SIGINT and its like reach whoever the
 *     program meant.  The mask is set before the thread runs its first instruction;
 *   - has a timer slack of 1 ns (the default of 50 us would be added to every
 *     futex deadline, hence to every sleep);
 *   - carries a name of at most 15 characters, for `top -H` and gdb.
 */
#ifndef SK_OS_THREAD_H
#define SK_OS_THREAD_H

#include <pthread.h>
#include <stddef.h>

typedef struct sk_thread {
    pthread_t handle; /* I: set by sk_thread_start */
} sk_thread;

typedef void sk_thread_fn(void *arg);

/*
 * Starts fn(arg).  stack_bytes: 0 means the default of the system; else it is
 * raised to what the C library needs.  The name is copied.
 * Returns 0; -EAGAIN when the system has no more threads; -ENOMEM.
 */
int sk_thread_start(sk_thread *thread, size_t stack_bytes, const char *name, sk_thread_fn *fn, void *arg);

/* Waits for the end of the thread and frees it. Exactly one of join and detach, once. Returns 0 or -EDEADLK (self). */
int sk_thread_join(sk_thread *thread);

/* Lets the thread free itself when it ends. */
void sk_thread_detach(sk_thread *thread);

/* Gives the calling thread the timer slack above; for threads of the program that wait in the library. */
void sk_thread_tighten_slack(void);

#endif
