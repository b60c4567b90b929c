/* thread.c: start of a helper thread with the right mask, slack, stack and name. */
#include "os/thread.h"
#include "base/base.h"
#include "base/fault.h"
#include "base/heap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NAME_BYTES 16          /* with its final zero: the kernel's limit */
#define LEAST_STACK (64 << 10) /* above the C library's minimum: room for thread-locals of the whole program */
#define SLACK_NS 1             /* 0 would mean "the default" */

/* What the new thread needs; it frees it, so that the caller's sk_thread may move or vanish. */
typedef struct thread_start {
    sk_thread_fn *fn;
    void *arg;
    char name[NAME_BYTES];
} thread_start;

void sk_thread_tighten_slack(void)
{
    if (sk_fault(SK_FAULT_PRCTL)) return;
    (void)prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0); /* on failure sleeps are late by 50 us, nothing worse */
}

static void *thread_main(void *arg)
{
    thread_start start = *(thread_start *)arg;
    sk_heap_free(arg);
    sk_thread_tighten_slack();
    if (!sk_fault(SK_FAULT_PRCTL)) (void)prctl(PR_SET_NAME, start.name, 0, 0, 0);
    start.fn(start.arg);
    return NULL;
}

/* A blocked synchronous signal would kill the process without its handler (the overflow report, a sanitizer's). */
static void helper_mask(sigset_t *mask)
{
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(mask);
    for (size_t i = 0; i < sk_array_len(synchronous); i++) sigdelset(mask, synchronous[i]);
}

/* A new thread inherits the mask of its creator: thus it never runs with the program's mask, not for an instant. */
static int create_masked(pthread_t *handle, const pthread_attr_t *attr, thread_start *start)
{
    sigset_t helper, before;
    helper_mask(&helper);
    pthread_sigmask(SIG_SETMASK, &helper, &before);
    int rc = sk_fault(SK_FAULT_THREAD) ? EAGAIN : pthread_create(handle, attr, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

/* 0: the system's default, which is what `ulimit -s` says; but not less than we need. */
static int set_stack(pthread_attr_t *attr, size_t stack_bytes)
{
    size_t usual = 0;
    if (stack_bytes == 0 && pthread_attr_getstacksize(attr, &usual) == 0 && usual >= LEAST_STACK) return 0;
    long page = sysconf(_SC_PAGESIZE);
    if (stack_bytes > SIZE_MAX / 2) return -ENOMEM;
    return -pthread_attr_setstacksize(attr, sk_round_up(sk_max(stack_bytes, (size_t)LEAST_STACK), (size_t)page));
}

int sk_thread_start(sk_thread *thread, size_t stack_bytes, const char *name, sk_thread_fn *fn, void *arg)
{
    thread_start *start = sk_heap_alloc(sizeof *start);
    if (!start) return -ENOMEM;
    start->fn = fn;
    start->arg = arg;
    snprintf(start->name, sizeof start->name, "%s", name ? name : "skua");

    pthread_attr_t attr;
    int rc = -pthread_attr_init(&attr);
    if (rc == 0) {
        rc = set_stack(&attr, stack_bytes);
        if (rc == 0) rc = create_masked(&thread->handle, &attr, start);
        pthread_attr_destroy(&attr);
    }
    if (rc != 0) sk_heap_free(start);
    return rc;
}

int sk_thread_join(sk_thread *thread)
{
    if (pthread_equal(thread->handle, pthread_self())) return -EDEADLK;
    return -pthread_join(thread->handle, NULL);
}

void sk_thread_detach(sk_thread *thread)
{
    pthread_detach(thread->handle);
}
