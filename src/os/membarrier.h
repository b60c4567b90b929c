/*
 * membarrier.h: the rare, heavy side of the asymmetric fence of base/atomic.h
 * (sk_fence_light, sk_fence_heavy).
 */
#ifndef SK_OS_MEMBARRIER_H
#define SK_OS_MEMBARRIER_H

#include <stdbool.h>

/*
 * Registers the process with membarrier(2), once; true when the kernel offers
 * it.  Call it before the first thread that uses sk_fence_light starts: that
 * thread's start orders the plain write of sk_membarrier_works before its reads.
 */
bool sk_membarrier_init(void);

/* What sk_fence_heavy calls: on return every running thread of the process has executed a full fence. */
void sk_membarrier_heavy(void);

#endif
