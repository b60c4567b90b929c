/*
 * membarrier.c: membarrier(2), private expedited: the kernel interrupts only
 * the processors that run a thread of this process, in about a microsecond.
 */
#include "os/membarrier.h"
#include "base/atomic.h"
#include "base/base.h"
#include "base/fault.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(SK_TSAN)
sk_atomic(unsigned) sk_tsan_fence_word; /* see sk_fence_sc in base/atomic.h */
#endif

#if !defined(SK_TSAN)
int sk_membarrier_works; /* W: once, before the first worker starts */
#else
static int sk_membarrier_works; /* both sides are full fences there: base/atomic.h does not look at it */
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0u, 0);
}

/* The trial call matters: a kernel or an emulator may accept the registration alone. */
static void register_process(void)
{
    if (sk_fault(SK_FAULT_BARRIER) || membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0) return;
    if (sk_fault(SK_FAULT_BARRIER) || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) return;
    sk_membarrier_works = 1;
}

bool sk_membarrier_init(void)
{
    pthread_once(&once, register_process);
    return sk_membarrier_works != 0;
}

/* The quick way; false while the kernel is short of memory, the only documented passing failure. */
static bool expedited(void)
{
    if (sk_fault(SK_FAULT_BARRIER)) return false;
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) return true;
    if (errno != ENOMEM) sk_panic("membarrier: error %d after a successful registration", errno);
    return false;
}

/*
 * Once the light side has dropped its fence there is no way back to a plain
 * fence here.  When the quick way is short of memory, the slow one (milliseconds,
 * but it needs none, and no registration) does; where the kernel lacks that
 * (nohz_full), both are tried until one does it.
 */
sk_noinline void sk_membarrier_heavy(void)
{
    sk_membarrier_init(); /* orders this thread after the write of the flag, whoever made it */
    if (!sk_membarrier_works) {
        /* [OS-F1] seq_cst fence; pairs with sk_fence_light, which is then a full fence too. Without it the side that
           publishes rarely could read the other's word before its own is visible, and both would miss each other. */
        sk_fence_sc();
        return;
    }
    while (!expedited() && membarrier(MEMBARRIER_CMD_GLOBAL) != 0) sched_yield();
}
