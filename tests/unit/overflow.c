/* unit/overflow.c: how a stack ends, and the handlers around it: each in a child whose stderr is read. */
#include "support/refuse.h"
#include "support/test.h"

#include "base/fault.h"
#include "fiber/fiber.h"
#include "fiber/overflow.h"
#include "mem/arena.h"
#include "support/fibers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void ping(void *arg)
{
    job *j = arg;
    arrive();
    for (;;) {
        j->count++;
        go(j->self, &base);
    }
}

static long __attribute__((noinline)) run_away(long n)
{
    volatile char frame[512];
    frame[0] = (char)n;
    return n < 0 ? 0 : run_away(n + 1) + frame[0];
}

static void runs_away(void *arg)
{
    job *j = arg;
    arrive();
    j->count = run_away(0);
    go(j->self, &base);
}

static void name_of(const sk_fiber *fiber, char *buf, size_t n)
{
    strncpy(buf, fiber->owner ? fiber->owner : "?", n - 1);
}

/* Runs fn in a child; returns its wait status, its stderr in `said`. */
static int in_child(void (*fn)(void), char *said, size_t room)
{
    int ends[2], status = 0;
    SK_EXPECT_EQ(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    SK_EXPECT(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        fn();
        _exit(99);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t n; used < room - 1 && (n = read(ends[0], said + used, room - 1 - used)) > 0;) used += (size_t)n;
    said[used] = '\0';
    close(ends[0]);
    SK_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void overflow(void)
{
    static sk_overflow_thread thread;
    job j = {0};
    sk_fiber_adopt(&base);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install()) _exit(98);
    sk_overflow_describe(name_of);
    sk_fiber *f = start(runs_away, &j, 1);
    f->owner = "hungry_function";
    go(&base, f);
}

SK_TEST(overflow, overflow_names_task_and_class)
{
    char said[4096];
    int status = in_child(overflow, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    SK_EXPECT(strstr(said, "skua: stack overflow in task hungry_function on a 32 KiB stack\n") != NULL);
}

static void earlier_handler(int signal)
{
    (void)signal;
    _exit(42);
}

/* A plain fault that is not ours.  On a page that once was writable: Valgrind calls no error what it saw mapped. */
static void wild_write(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page, 4096, PROT_NONE)) _exit(98);
    *(volatile char *)page = 1;
}

static void not_ours(void)
{
    static sk_overflow_thread thread;
    signal(SIGSEGV, earlier_handler);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install()) _exit(98);
    wild_write();
}

static void nobodys(void)
{
    static sk_overflow_thread thread;
    signal(SIGSEGV, SIG_DFL);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install()) _exit(98);
    wild_write();
}

static void sent(void)
{
    signal(SIGSEGV, SIG_DFL);
    if (sk_overflow_install()) _exit(98);
    raise(SIGSEGV);
}

SK_TEST(overflow, other_faults_are_passed_on)
{
    char said[4096];
    int status = in_child(not_ours, said, sizeof said);
    SK_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    status = in_child(nobodys, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    SK_EXPECT(strstr(said, "overflow") == NULL);
    status = in_child(sent, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

SK_TEST(overflow, alternate_stack_comes_and_goes)
{
    sk_overflow_thread thread;
    stack_t off = {.ss_flags = SS_DISABLE}, now;
    SK_EXPECT_EQ(sigaltstack(&off, NULL), 0);
    SK_EXPECT_EQ(sk_overflow_thread_init(&thread), 0);
    SK_EXPECT_EQ(sigaltstack(NULL, &now), 0);
    SK_EXPECT(!(now.ss_flags & SS_DISABLE) && now.ss_sp == thread.memory);
    sk_overflow_thread_fini(&thread);
    SK_EXPECT_EQ(sigaltstack(NULL, &now), 0);
    SK_EXPECT(now.ss_flags & SS_DISABLE);
}

/* ---- faults that are not ours ---- */

static char *volatile mended; /* W: the handler */

/* As a garbage collector's or a pager's: what it is told about the fault is right, and the program goes on. */
static void mend(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    mended = (char *)info->si_addr;
    if (mprotect((void *)((uintptr_t)mended & ~(uintptr_t)(sk_vm_page() - 1)), sk_vm_page(), PROT_READ | PROT_WRITE))
        _exit(97);
}

static void mended_by_the_program(void)
{
    static sk_overflow_thread thread;
    struct sigaction theirs = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &theirs, NULL);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install() || sk_overflow_install()) _exit(98);
    char *page = mmap(NULL, sk_vm_page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page, sk_vm_page(), PROT_NONE)) _exit(98);
    errno = 12345;
    *(volatile char *)(page + 5) = 1;
    if (errno != 12345 || mended != page + 5) _exit(96);
    _exit(*(volatile char *)(page + 5) == 1 ? 42 : 95);
}

/* A page of a fiber's stack that is not its guard: whoever took it away had a reason. */
static void within_a_stack(void)
{
    static sk_overflow_thread thread;
    struct sigaction theirs = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
    job j = {0};
    sigaction(SIGSEGV, &theirs, NULL);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install()) _exit(98);
    char *page = sk_stack_base(&start(ping, &j, CLS)->stack) + 2 * sk_vm_page();
    if (mprotect(page, sk_vm_page(), PROT_NONE)) _exit(98);
    *(volatile char *)page = 1;
    _exit(mended == page ? 42 : 95);
}

static void bus_handler(int signal)
{
    _exit(signal == SIGBUS ? 42 : 95);
}

/* Beyond the end of a mapped file. */
static void bus(void)
{
    static sk_overflow_thread thread;
    char name[] = "/tmp/skua-fiber-XXXXXX";
    signal(SIGBUS, bus_handler);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install()) _exit(98);
    int file = mkstemp(name);
    if (file < 0 || unlink(name)) _exit(98);
    char *page = mmap(NULL, sk_vm_page(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) _exit(98);
    *(volatile char *)page = 1;
}

static void ignored(void)
{
    static sk_overflow_thread thread;
    signal(SIGSEGV, SIG_IGN);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install()) _exit(98);
    wild_write();
}

SK_TEST(overflow, other_handlers_do_their_work)
{
    char said[4096];
    void (*const ways[])(void) = {mended_by_the_program, within_a_stack, bus};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int status = in_child(ways[i], said, sizeof said);
        SK_EXPECT(WIFEXITED(status));
        SK_EXPECT_EQ(WEXITSTATUS(status), 42);
        SK_EXPECT(strstr(said, "overflow") == NULL);
    }
    int status = in_child(ignored, said, sizeof said); /* the kernel does not let a true fault be ignored either */
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

#if !SK_SANITIZED /* they make such calls themselves, and do not like it */
/* 42: an error was told. 77: no seccomp here. */
static void no_sigaction(long which)
{
    if (!sk_refuse(SYS_rt_sigaction, 0, (uint32_t)which, EPERM)) _exit(77);
    _exit(sk_overflow_install() == -EPERM ? 42 : 95);
}

static void no_segv(void)
{
    no_sigaction(SIGSEGV);
}

static void no_bus(void)
{
    no_sigaction(SIGBUS);
}

static void no_altstack(void)
{
    sk_overflow_thread thread;
    if (!sk_refuse(SYS_sigaltstack, SK_REFUSE_ANY, 0, EPERM)) _exit(77);
    int error = sk_overflow_thread_init(&thread);
    sk_overflow_thread_fini(&thread);
    _exit(error == -EPERM && !thread.memory ? 42 : 95);
}

SK_TEST(overflow, a_kernel_that_refuses_is_told)
{
    char said[4096];
    void (*const ways[])(void) = {no_segv, no_bus, no_altstack};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int status = in_child(ways[i], said, sizeof said);
        SK_EXPECT(WIFEXITED(status));
        if (WEXITSTATUS(status) != 77) SK_EXPECT_EQ(WEXITSTATUS(status), 42);
    }
}
#endif

static void nameless_overflow(void)
{
    static sk_overflow_thread thread;
    job j = {0};
    sk_fiber_adopt(&base);
    if (sk_overflow_thread_init(&thread) || sk_overflow_install()) _exit(98);
    go(&base, start(runs_away, &j, 0));
}

SK_TEST(overflow, overflow_without_a_name)
{
    char said[4096];
    int status = in_child(nameless_overflow, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    SK_EXPECT(strstr(said, "skua: stack overflow in task (unknown) on a 16 KiB stack\n") != NULL);
}

static void returns(void *arg)
{
    (void)arg;
}

static void entry_returns(void)
{
    job j = {0};
    sk_fiber_adopt(&base);
    go(&base, start(returns, &j, CLS));
}

static void to_nowhere(void)
{
    sk_fiber nobody;
    sk_fiber_adopt(&base);
    sk_fiber_adopt(&nobody);
    go(&base, &nobody);
}

SK_TEST(overflow, misuse_panics)
{
    char said[4096];
    int status = in_child(entry_returns, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    SK_EXPECT(strstr(said, "entry function of a fiber returned") != NULL);
    status = in_child(to_nowhere, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    SK_EXPECT(strstr(said, "never suspended") != NULL);
}

#ifdef SK_FAULTS
static void steps_over(void *arg)
{
    job *j = arg;
    arrive();
    memset(sk_stack_base(&j->self->stack) + sk_vm_page() - 64, 1, 64); /* as a frame in the guard page would */
    go(j->self, &base);
}

static void canary(void)
{
    job j = {0}, fine = {0};
    sk_fiber_adopt(&base);
    sk_overflow_describe(name_of);
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    sk_fault_arm(SK_FAULT_MPROTECT, 1, true);
    sk_fiber *f = start(steps_over, &j, CLS), *innocent = start(ping, &fine, CLS);
    if (f->stack.guard != SK_VM_GUARD_CANARY) _exit(97);
    f->owner = "careless_function";
    go(&base, innocent);
    sk_fiber_put(&cache, innocent);
    fprintf(stderr, "innocent passed\n");
    go(&base, f);
}

SK_TEST(overflow, canary_is_checked_at_the_switch)
{
    char said[4096];
    int status = in_child(canary, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    SK_EXPECT(strstr(said, "innocent passed") != NULL);
    SK_EXPECT(strstr(said, "overflow in task careless_function on a 64 KiB stack\n") != NULL);
}

/* No alternate stack: an error, nothing kept, and the end of it is harmless. */
SK_TEST(overflow, alternate_stack_is_refused)
{
    static const sk_fault_site site[] = {SK_FAULT_MMAP, SK_FAULT_SIGNAL};
    sk_overflow_thread thread;
    stack_t off = {.ss_flags = SS_DISABLE}, now;
    SK_EXPECT_EQ(sigaltstack(&off, NULL), 0);
    for (int i = 0; i < 2; i++) {
        sk_fault_arm(site[i], 1, false);
        SK_EXPECT_EQ(sk_overflow_thread_init(&thread), -ENOMEM);
        SK_EXPECT(thread.memory == NULL && thread.bytes == 0);
        sk_overflow_thread_fini(&thread);
    }
    sk_fault_reset();
    SK_EXPECT(sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE));
    SK_EXPECT_EQ(sk_overflow_thread_init(&thread), 0);
    sk_overflow_thread_fini(&thread);
}

#if !SK_SANITIZED /* they have a handler of their own */
/* Without the handler an overflow is a plain segmentation fault, at the guard. */
static void without_handler(void)
{
    job j = {0};
    sk_fiber_adopt(&base);
    go(&base, start(runs_away, &j, 1));
}

SK_TEST(overflow, handler_is_refused)
{
    char said[4096];
    sk_fault_arm(SK_FAULT_SIGNAL, 1, false);
    SK_EXPECT_EQ(sk_overflow_install(), -EINVAL);
    int status = in_child(without_handler, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    SK_EXPECT(said[0] == '\0');
}
#endif

static void mprotect_overflow(void)
{
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    overflow();
}

SK_TEST(overflow, mprotect_guards_do_it_too)
{
    char said[4096];
    int status = in_child(mprotect_overflow, said, sizeof said);
    SK_EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    SK_EXPECT(strstr(said, "skua: stack overflow in task hungry_function on a 32 KiB stack\n") != NULL);
}
#endif
