/* fork.c: notices that this process is the child of a fork. */
#include "os/fork.h"

#include <pthread.h>

sk_atomic(bool) sk_os_forked;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int watch_error; /* W: once, before any reader */

/* Runs in the child's only thread, before fork returns there. */
static void mark_child(void)
{
    sk_store_rlx(&sk_os_forked, true);
}

static void install(void)
{
    watch_error = -pthread_atfork(NULL, NULL, mark_child);
}

int sk_fork_watch(void)
{
    pthread_once(&once, install);
    return watch_error;
}
