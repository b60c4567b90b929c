/* fork.c: notices that this process is the child of a fork. */
#include "os/fork.h"
#include "base/fault.h"
#include "os/once.h"

#include <errno.h>
#include <pthread.h>

sk_atomic(bool) sk_os_forked;

static sk_once once;

/* Runs in the child's only thread, before fork returns there. */
static void mark_child(void)
{
    sk_store_rlx(&sk_os_forked, true);
}

int sk_fork_watch(void)
{
    if (!sk_once_begin(&once)) return 0;
    int error = sk_fault(SK_FAULT_ATFORK) ? -ENOMEM : -pthread_atfork(NULL, NULL, mark_child);
    sk_once_end(&once, error == 0);
    return error;
}
