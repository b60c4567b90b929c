/*
 * error.h: every error that the library returns, with one sentence.  The order
 * is that of the documentation; each value is returned as its negative.
 */
#ifndef SK_BASE_ERROR_H
#define SK_BASE_ERROR_H

#include <errno.h>

#define SK_ERRORS(X)                                                                                                   \
    X(EINVAL, "an argument or an option is out of its range, or NULL where that is not allowed")                       \
    X(ENOMEM, "memory, address space or stacks are used up")                                                           \
    X(EAGAIN, "the call would have to wait, or the system has no more threads to give; try again later")               \
    X(EBUSY, "the object is in use and cannot be released or changed now")                                             \
    X(ECANCELED, "the task was cancelled before it ended")                                                             \
    X(ETIMEDOUT, "the deadline passed before the call or the task ended")                                              \
    X(ESHUTDOWN, "the runtime or the pool is shutting down and accepts no more work")                                  \
    X(ESRCH, "no such task: it has ended and its handle was released")                                                 \
    X(EDEADLK, "the wait could never end: a task waits for itself, or shuts down its own runtime")                     \
    X(EALREADY, "it was done before: joined twice, detached twice or cancelled after the end")                         \
    X(EPERM, "the call is not allowed here: for instance it needs a task and was made by a foreign thread")            \
    X(ECHILD, "this process was forked after the runtime started, and fork does not carry its threads over")           \
    X(ENOSPC, "a fixed limit is reached: the queue or the table is full")                                              \
    X(EOVERFLOW, "a count or a length does not fit its type")                                                          \
    X(ENOSYS, "this kernel or this build does not offer it")                                                           \
    X(EINTR, "the wait was interrupted by a signal")                                                                   \
    X(EFAULT, "the task gave up: it called skua_panic_task")                                                           \
    X(EIO, "the kernel reported an error of input or output")

#endif
