/* signal.c: see signal.h. */
#include "os/signal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fault.h"

/* -EMFILE also for the system's limit, and for kernels that would have to give the file a place to stand. */
static int refused(void)
{
    return errno == ENOMEM ? -ENOMEM : -EMFILE;
}

static sigset_t as_mask(sk_signal_set set)
{
    sigset_t mask;
    sigemptyset(&mask);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (set & sk_signal_bit(number)) sigaddset(&mask, number);
    return mask;
}

/* The system call, whose set is ours, and not glibc's: ThreadSanitizer takes a change of the set for a data race. */
static int signal_file(int file, sk_signal_set set)
{
    return (int)syscall(SYS_signalfd4, file, &set, sizeof set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int sk_signal_open(sk_signal_files *files, sk_signal_set set)
{
    files->bell = -1;
    files->signals = sk_fault(SK_FAULT_FILE) ? (errno = EMFILE, -1) : signal_file(-1, set);
    if (files->signals < 0) return refused();
    files->bell = sk_fault(SK_FAULT_FILE) ? (errno = EMFILE, -1) : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (files->bell >= 0) return 0;
    int error = refused();
    sk_signal_close(files);
    return error;
}

void sk_signal_change(const sk_signal_files *files, sk_signal_set set)
{
    (void)signal_file(files->signals, set);
}

static int read_signal(const sk_signal_files *files)
{
    struct signalfd_siginfo info;
    if (sk_fault(SK_FAULT_FILE)) return 0; /* it stays where it is, and poll says so again */
    return read(files->signals, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

int sk_signal_wait(const sk_signal_files *files)
{
    for (;;) {
        struct pollfd of[] = {{files->bell, POLLIN, 0}, {files->signals, POLLIN, 0}};
        if (poll(of, 2, -1) <= 0) continue; /* no memory for a moment */
        if (of[0].revents) return 0;
        int number = of[1].revents ? read_signal(files) : 0;
        if (number) return number;
    }
}

void sk_signal_ring(const sk_signal_files *files)
{
    uint64_t one = 1;
    ssize_t written = write(files->bell, &one, sizeof one); /* an eventfd has room for 2^64 - 2 of them */
    (void)written;
}

void sk_signal_close(sk_signal_files *files)
{
    if (files->signals >= 0) close(files->signals);
    if (files->bell >= 0) close(files->bell);
    files->signals = files->bell = -1;
}

bool sk_signal_is_fit(int number)
{
    static const int unfit[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sk_array_len(unfit); i++)
        if (number == unfit[i]) return false;
    /* Between the two the C library keeps a few to itself. */
    return number > 0 && (number < __SIGRTMIN || (number >= SIGRTMIN && number <= SIGRTMAX));
}

sk_signal_set sk_signal_block(sk_signal_set set)
{
    sigset_t mask = as_mask(set), before;
    sk_signal_set were_open = 0;
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (sigismember(&before, number) == 0) were_open |= set & sk_signal_bit(number);
    return were_open;
}

void sk_signal_unblock(sk_signal_set set)
{
    sigset_t mask = as_mask(set);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
}
