/* overflow.c: recognises a fault in a guard page; see overflow.h. */
#include "fiber/overflow.h"

#include "base/atomic.h"
#include "base/fault.h"
#include "os/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { HANDLER_ROOM = 16 << 10 }; /* for our frames and for those of a handler that we pass on to */

static sk_atomic(void (*)(const sk_fiber *, char *, size_t)) describe;
static sk_atomic(int) installed;                     /* 0 no, 1 being installed or installed */
static struct sigaction previous_segv, previous_bus; /* written once by the installer, before a handler can run */

void sk_overflow_describe(void (*fn)(const sk_fiber *fiber, char *buf, size_t n))
{
    /* [FB-R1] release; pairs with [FB-A1] in report. Without it the handler could call fn before its data are there. */
    sk_store_rel(&describe, fn);
}

/* Appends text to a line and returns its new length; snprintf is not async-signal-safe. */
static size_t append(char *line, size_t used, size_t room, const char *text)
{
    while (*text && used + 1 < room) line[used++] = *text++;
    return used;
}

static size_t append_number(char *line, size_t used, size_t room, size_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return append(line, used, room, digits + at);
}

/* Writes the one line. */
static void report(const sk_fiber *fiber)
{
    char line[512], name[256] = "";
    /* [FB-A1] acquire; pairs with [FB-R1] in sk_overflow_describe. */
    void (*fn)(const sk_fiber *, char *, size_t) = sk_load_acq(&describe);
    if (fn) fn(fiber, name, sizeof name);
    name[sizeof name - 1] = '\0';
    size_t n = append(line, 0, sizeof line, "skua: stack overflow in task ");
    n = append(line, n, sizeof line, name[0] ? name : "(unknown)");
    n = append(line, n, sizeof line, " on a ");
    n = append_number(line, n, sizeof line, sk_stack_bytes(fiber->stack.cls) >> 10);
    n = append(line, n, sizeof line, " KiB stack\n");
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written;
}

void sk_overflow_die(const sk_fiber *fiber)
{
    report(fiber);
    abort();
}

/* Gives the signal to whoever had it before us. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *previous = signal == SIGBUS ? &previous_bus : &previous_segv;
    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(signal, info, context);
    } else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
        previous->sa_handler(signal);
    } else {
        /* The instruction faults again and the process dies of it, where the core file shows the cause.
           A signal that somebody sent does not come again by itself. */
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(signal, &plain, NULL);
        if (info->si_code <= 0) raise(signal);
    }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    bool in_guard = false;
    /* A positive code: the kernel reports a fault, so that si_addr means something. */
    const sk_stack *stack = info->si_code > 0 ? sk_stack_find(info->si_addr, &in_guard) : NULL;
    if (stack && in_guard) {
        report((const sk_fiber *)(const void *)stack); /* the head is the descriptor's first member */
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(signal, &plain, NULL); /* faults again, and ends the process where the overflow is */
    } else {
        pass_on(signal, info, context);
    }
    errno = saved_errno;
}

int sk_overflow_install(void)
{
    int expected = 0;
    if (!sk_cas_rlx(&installed, &expected, 1)) return 0;
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    /* Read first: a fault between installing and remembering would not know whom to pass on to. */
    sigaction(SIGSEGV, NULL, &previous_segv);
    sigaction(SIGBUS, NULL, &previous_bus);
    if (sk_fault(SK_FAULT_SIGNAL)) return -EINVAL;
    if (sigaction(SIGSEGV, &ours, NULL) < 0 || sigaction(SIGBUS, &ours, NULL) < 0) return -errno;
    return 0;
}

int sk_overflow_thread_init(sk_overflow_thread *thread)
{
    stack_t stack;
    *thread = (sk_overflow_thread){0};
    if (sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE)) return 0; /* a sanitizer's, or the user's */
    /* What the processor's vector state needs grows with each generation: ask. */
    size_t bytes = sk_round_up(getauxval(AT_MINSIGSTKSZ) + HANDLER_ROOM, sk_vm_page());
    int err = sk_vm_reserve(&thread->memory, bytes, sk_vm_page(), 0);
    if (err) return err;
    thread->bytes = bytes;
    stack = (stack_t){.ss_sp = thread->memory, .ss_size = bytes};
    bool refused = sk_fault(SK_FAULT_SIGNAL);
    if (!refused && sigaltstack(&stack, NULL) == 0) return 0;
    err = refused ? -ENOMEM : -errno;
    sk_vm_release(thread->memory, bytes);
    *thread = (sk_overflow_thread){0};
    return err;
}

void sk_overflow_thread_fini(sk_overflow_thread *thread)
{
    if (!thread->memory) return;
    stack_t off = {.ss_flags = SS_DISABLE};
    sigaltstack(&off, NULL);
    sk_vm_release(thread->memory, thread->bytes);
    *thread = (sk_overflow_thread){0};
}
