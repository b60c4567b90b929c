/*
 * futex.c: futex(2), private, with absolute deadlines of the monotonic clock.
 *
 * The functions that read errno are noinline: a caller that switches fibers
 * must not inherit a cached address of another thread's errno (DESIGN 3.14).
 */
#include "os/futex.h"
#include "base/base.h"
#include "os/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* FUTEX_WAIT takes a relative time, which a signal would start anew; FUTEX_WAIT_BITSET takes an absolute one. */
sk_noinline int sk_futex_wait(sk_atomic(uint32_t) * word, uint32_t expected, uint64_t deadline_ns)
{
#ifdef SK_FAULTS
    /* In turn as after a signal and as after a wake that was meant for somebody else. Time passes all the same. */
    if (sk_fault(SK_FAULT_FUTEX)) {
        if (sk_clock_ns() >= deadline_ns) return -ETIMEDOUT;
        return sk_fault_count(SK_FAULT_FUTEX) % 2 ? -EINTR : 0;
    }
#endif
    struct timespec until;
    struct timespec *limit = NULL;
    if (deadline_ns != SK_NEVER) {
        until.tv_sec = (time_t)(deadline_ns / SK_NS_PER_S);
        until.tv_nsec = (long)(deadline_ns % SK_NS_PER_S);
        limit = &until;
    }
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, limit, NULL, FUTEX_BITSET_MATCH_ANY);
    if (rc == 0) return 0;
    int error = errno;
    if (error == EAGAIN || error == ETIMEDOUT || error == EINTR) return -error;
    sk_panic("futex wait on %p: error %d", (void *)word, error); /* EFAULT, EINVAL, ENOSYS: a bug or no Linux */
}

sk_noinline int sk_futex_wake(sk_atomic(uint32_t) * word, uint32_t n)
{
    long rc = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n < INT_MAX ? n : INT_MAX, NULL, NULL, 0);
    return rc > 0 ? (int)rc : 0; /* EFAULT: the waiter that owned the memory has already left with it */
}
