/*
 * coverage.c: two things for tools/coverage, which alone links it.
 *
 * It keeps the counters of processes that do not end by exit(), which is when
 * gcov writes them.  Tests have children that end by _exit, by abort, or by a
 * signal that the overflow handler lets through; what those ran shall count as
 * well.  The linker sends _exit, _Exit, sigaction, raise and fork here (--wrap).
 *
 * And it makes races likely (SKUA_COVERAGE_JITTER): a thread stops others, one
 * after another, wherever they are, for some microseconds.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);

_Noreturn void __real__exit(int status);
_Noreturn void __real__Exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__Exit(int status);
int __real_sigaction(int signal, const struct sigaction *act, struct sigaction *old);
int __wrap_sigaction(int signal, const struct sigaction *act, struct sigaction *old);

int __real_raise(int signal);
int __wrap_raise(int signal);
pid_t __real_fork(void);
pid_t __wrap_fork(void);

/* ---- jitter ---- */

enum { MOST_THREADS = 64, LONGEST_STOP_US = 100, PAUSE_US = 20 };

static uint64_t random_state =
    88172645463325252u; /* jitter thread and handlers; a race here is as good as any number */

static unsigned random_below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % n;
}

/* Half of the stops give the processor away, the others keep it. */
static void stop_here(int signal)
{
    (void)signal;
    int saved_errno = errno;
    struct timespec pause = {.tv_nsec = 1000 * (long)random_below(LONGEST_STOP_US)};
    if (random_below(2)) nanosleep(&pause, NULL);
    for (volatile unsigned i = random_below(20000); i > 0; i--) {
    }
    errno = saved_errno;
}

static unsigned list_threads(pid_t *threads, pid_t self)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return 0;
    for (struct dirent *e; n < MOST_THREADS && (e = readdir(folder));) {
        pid_t thread = (pid_t)atoi(e->d_name);
        if (thread > 0 && thread != self) threads[n++] = thread;
    }
    closedir(folder);
    return n;
}

/* SIGTRAP: one of the few that the library's threads do not block. */
static void *jitter(void *unused)
{
    (void)unused;
    pid_t threads[MOST_THREADS], self = (pid_t)syscall(SYS_gettid);
    unsigned n = 0;
    for (unsigned i = 0;; i++) {
        if (i % 64 == 0) n = list_threads(threads, self);
        if (n) syscall(SYS_tgkill, getpid(), threads[random_below(n)], SIGTRAP);
        struct timespec pause = {.tv_nsec = 1000 * (1 + (long)random_below(PAUSE_US))};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void start_jitter(void)
{
    pthread_t thread;
    if (!getenv("SKUA_COVERAGE_JITTER")) return;
    struct sigaction act = {.sa_handler = stop_here, .sa_flags = SA_ONSTACK | SA_RESTART};
    __real_sigaction(SIGTRAP, &act, NULL);
    random_state += (uint64_t)getpid() * 2654435761u;
    if (pthread_create(&thread, NULL, jitter, NULL) == 0) pthread_detach(thread);
}

/* ---- counters ---- */

/* Adds the counters to the files, and begins again from zero, so that a second call adds nothing twice. */
static void keep(void)
{
    __gcov_dump();
    __gcov_reset();
}

void __wrap__exit(int status)
{
    keep();
    __real__exit(status);
}

void __wrap__Exit(int status)
{
    keep();
    __real__Exit(status);
}

/* So that a child does not count once more what its parent has done. gcc's own stand-in for fork resets the counters
   after it in the child, and forgets what the handlers of pthread_atfork have run. */
pid_t __wrap_fork(void)
{
    keep();
    pid_t child = __real_fork();
    if (child == 0) start_jitter();
    return child;
}

/* Whoever gives up its handler of a fault is about to die of it. */
int __wrap_sigaction(int signal, const struct sigaction *act, struct sigaction *old)
{
    int error = __real_sigaction(signal, act, old);
    if (act && act->sa_handler == SIG_DFL && (signal == SIGSEGV || signal == SIGBUS)) keep();
    return error;
}

int __wrap_raise(int signal)
{
    keep();
    return __real_raise(signal);
}

/* abort() goes on to end the process after this returns. */
static void on_abort(int signal)
{
    (void)signal;
    keep();
}

__attribute__((constructor)) static void watch(void)
{
    struct sigaction ours = {.sa_handler = on_abort};
    __real_sigaction(SIGABRT, &ours, NULL);
}
