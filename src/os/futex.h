/*
 * futex.h: sleep until a 32-bit word changes.
 *
 * Contract for callers: a return, whatever its value, says only "look again".
 * A wait may end without a wake (a signal, a wake meant for an earlier user of
 * the same address, an injected fault) and a wake may be taken by a waiter that
 * was about to leave.  So each caller loops: re-read its own state, then decide.
 * The words are private to the process.  Lock-free in the sense that no lock of
 * this library is held; the kernel takes its bucket lock for a moment.
 */
#ifndef SK_OS_FUTEX_H
#define SK_OS_FUTEX_H

#include "base/atomic.h"

#include <stdint.h>

/*
 * Sleeps while *word == expected, until a wake or the absolute time
 * `deadline_ns` of sk_clock_ns (SK_NEVER: no deadline).  Any thread.
 *
 *   0           woken (or a spurious return: look again)
 *   -EAGAIN     *word was not `expected` at the start
 *   -ETIMEDOUT  the deadline has passed
 *   -EINTR      a signal handler ran
 *
 * Ordering: none of its own; the caller's re-read carries the order.
 */
int sk_futex_wait(sk_atomic(uint32_t) * word, uint32_t expected, uint64_t deadline_ns);

/* Wakes up to n waiters; returns how many. The word need not be mapped any more: nothing then happens. */
int sk_futex_wake(sk_atomic(uint32_t) * word, uint32_t n);

#endif
