/*
 * traps.c: breakpoints in our own text.
 *
 * A breakpoint is the byte 0xcc in place of an instruction's first one.  A byte
 * is written at once, and a processor that fetches either finds a whole
 * instruction, so text may be patched under running threads.  Whoever meets one
 * gets SIGTRAP, which the library's threads let through.  The handler of the
 * first thread of the wanted kind takes all breakpoints out, notes where it
 * stands, and sleeps on a futex before it goes back to that very instruction:
 * to everybody else it is a thread that the kernel has stopped there.  Others
 * that meet one meanwhile put the byte back and go on.
 *
 * The handler calls nothing of the library.
 */
#include "freeze.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum { BREAK = 0xcc };

typedef struct site {
    volatile uint8_t *at;
    uint8_t original;
    bool switches; /* in the midst of a switch of stacks: what lies above the stack pointer is no frame of this code */
} site;

fz_frozen fz_now;

static site *sites;
static size_t n_sites;
static uintptr_t text_begin;
static uint32_t *site_at; /* by offset into the text: index + 1, or 0 */
static size_t text_bytes;

static fz_role victim;
static _Atomic(uint32_t) trapped; /* futex: 0 nobody, 1 about to stand, 2 stands */
static _Atomic(uint32_t) thaw;    /* futex: bumped to let it go */
static const pthread_t *monitor;

static _Thread_local struct {
    bool known;
    fz_role role;
    void *self, *last_ended;
} me;

void fz_i_am(fz_role role, void *self)
{
    me.known = true;
    me.role = role;
    me.self = self;
}

void fz_monitor_is(const pthread_t *thread)
{
    monitor = thread;
}

/* Never inlined: a task may have moved to another thread since it looked last. */
__attribute__((noinline)) void fz_note_ended(void *record)
{
    me.last_ended = record;
    __asm__ volatile("" ::: "memory");
}

static fz_role my_role(void)
{
    if (me.known) return me.role;
    return monitor && pthread_equal(pthread_self(), *monitor) ? FZ_MONITOR : FZ_WORKER;
}

static long futex(_Atomic(uint32_t) *word, int op, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

/* ---- planting ---- */

void fz_unplant(void)
{
    for (size_t i = 0; i < n_sites; i++)
        if (*sites[i].at != sites[i].original) *sites[i].at = sites[i].original;
}

void fz_plant(const uint8_t *wanted, fz_role role)
{
    victim = role;
    for (size_t i = 0; i < n_sites && !atomic_load(&trapped); i++)
        if (wanted[i]) *sites[i].at = BREAK;
    if (atomic_load(&trapped)) fz_unplant(); /* it went through them while we were still at it */
}

/* ---- standing ---- */

typedef struct walk {
    bool past_handler; /* the frames of the handler itself have been left behind */
    uintptr_t instruction;
} walk;

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *arg)
{
    walk *w = arg;
    uintptr_t ip = _Unwind_GetIP(context);
    if (ip == w->instruction) w->past_handler = true;
    if (!w->past_handler) return _URC_NO_REASON;
    if (!ip || fz_now.depth == FZ_CHAIN) return _URC_END_OF_STACK;
    fz_now.chain[fz_now.depth++] = ip;
    return _URC_NO_REASON;
}

static void stand(size_t index, ucontext_t *context)
{
    struct timespec t;
    fz_unplant();
    clock_gettime(CLOCK_MONOTONIC, &t);
    walk w = {.instruction = (uintptr_t)context->uc_mcontext.gregs[REG_RIP]};
    fz_now = (fz_frozen){.site = index,
                         .thread = pthread_self(),
                         .self = me.known ? me.self : NULL,
                         .last_ended = me.last_ended,
                         .at_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec};
    if (sites[index].switches)
        fz_now.chain[fz_now.depth++] = w.instruction;
    else
        _Unwind_Backtrace(note_frame, &w);
    uint32_t seen = atomic_load(&thaw);
    atomic_store(&trapped, 2);
    futex(&trapped, FUTEX_WAKE, 1, NULL);
    while (atomic_load(&thaw) == seen) futex(&thaw, FUTEX_WAIT, seen, NULL);
    atomic_store(&trapped, 0);
    futex(&trapped, FUTEX_WAKE, 1, NULL);
}

static void on_trap(int signal, siginfo_t *info, void *arg)
{
    (void)signal;
    (void)info;
    int error = errno;
    ucontext_t *context = arg;
    uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP] - 1;
    uint32_t index = at >= text_begin && at < text_begin + text_bytes ? site_at[at - text_begin] : 0;
    if (!index) abort(); /* no breakpoint of ours */
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)at;
    uint32_t nobody = 0;
    if (my_role() == victim && *sites[index - 1].at == BREAK && atomic_compare_exchange_strong(&trapped, &nobody, 1))
        stand(index - 1, context);
    else
        *sites[index - 1].at = sites[index - 1].original;
    errno = error;
}

bool fz_trapped(uint64_t deadline)
{
    for (;;) {
        uint32_t seen = atomic_load(&trapped);
        if (seen == 2) return true;
        uint64_t now = fz_clock();
        if (now >= deadline && seen == 0) return false;
        uint64_t left = deadline > now ? deadline - now : 1000000;
        struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
        futex(&trapped, FUTEX_WAIT, seen, &t);
    }
}

void fz_thaw(void)
{
    atomic_fetch_add(&thaw, 1);
    futex(&thaw, FUTEX_WAKE, 1, NULL);
    while (atomic_load(&trapped)) futex(&trapped, FUTEX_WAIT, 2, NULL);
}

/* ---- other threads ---- */

fz_proc fz_look_at_thread(long tid)
{
    char path[64], text[2048];
    fz_proc p = {'?', 0};
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return p;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *state = strstr(text, "\nState:\t"), *sleeps = strstr(text, "\nvoluntary_ctxt_switches:");
    if (state) p.state = state[8];
    if (sleeps) p.sleeps = strtoull(sleeps + 25, NULL, 10);
    return p;
}

long fz_tid_of(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    long found = 0;
    for (struct dirent *e; tasks && (e = readdir(tasks));) {
        char path[300], text[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n > 0 && !strncmp(text, name, strlen(name)) && atol(e->d_name) > found) found = atol(e->d_name);
    }
    if (tasks) closedir(tasks);
    return found;
}

/* ---- the list ---- */

uintptr_t fz_site_address(size_t index)
{
    return (uintptr_t)sites[index].at;
}

static bool make_writable(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = text_begin & ~(page - 1), end = (text_begin + text_bytes + page) & ~(page - 1);
    return mprotect((void *)begin, end - begin, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

int fz_load_sites(const char *path, size_t *count)
{
    FILE *list = fopen(path, "r");
    uintptr_t address;
    unsigned switches;
    size_t room = 0;
    if (!list) return 1;
    while (fscanf(list, "%zx %u", &address, &switches) == 2) {
        if (n_sites == room) sites = realloc(sites, (room = room ? 2 * room : 1024) * sizeof *sites);
        sites[n_sites++] = (site){(volatile uint8_t *)address, *(const uint8_t *)address, switches != 0};
    }
    bool whole = feof(list) && !ferror(list);
    fclose(list);
    if (!whole || !n_sites) return 1;
    *count = n_sites;
    uintptr_t last = text_begin = (uintptr_t)sites[0].at;
    for (size_t i = 0; i < n_sites; i++) {
        text_begin = (uintptr_t)sites[i].at < text_begin ? (uintptr_t)sites[i].at : text_begin;
        last = (uintptr_t)sites[i].at > last ? (uintptr_t)sites[i].at : last;
    }
    text_bytes = last - text_begin + 1;
    site_at = calloc(text_bytes, sizeof *site_at);
    for (size_t i = 0; i < n_sites; i++) site_at[(uintptr_t)sites[i].at - text_begin] = (uint32_t)i + 1;
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigfillset(&trap.sa_mask);
    if (!make_writable()) return 77;
    return sigaction(SIGTRAP, &trap, NULL) == 0 ? 0 : 1;
}
