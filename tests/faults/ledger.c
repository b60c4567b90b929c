/* ledger.c: see ledger.h. */
#include "ledger.h"

#include "base/atomic.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADVICE_GUARD_REMOVE 103

static sk_atomic(int64_t) blocks, mapped, threads, files, altstacks;
static sk_atomic(uint64_t) calls[SK_FAULT_SITES];

ledger ledger_now(void)
{
    return (ledger){sk_load_rlx(&blocks), sk_load_rlx(&mapped), sk_load_rlx(&threads), sk_load_rlx(&files),
                    sk_load_rlx(&altstacks)};
}

uint64_t ledger_calls(sk_fault_site site)
{
    return sk_load_rlx(&calls[site]);
}

static void called(sk_fault_site site)
{
    sk_add_rlx(&calls[site], UINT64_C(1));
}

/* ---- the heap ---- */

void *seen_malloc(size_t size);
void *seen_calloc(size_t count, size_t size);
void *seen_aligned_alloc(size_t align, size_t size);
void seen_free(void *memory);

static void *allocated(void *memory)
{
    called(SK_FAULT_MALLOC);
    if (memory) sk_add_rlx(&blocks, INT64_C(1));
    return memory;
}

void *seen_malloc(size_t size)
{
    return allocated(malloc(size));
}

void *seen_calloc(size_t count, size_t size)
{
    return allocated(calloc(count, size));
}

void *seen_aligned_alloc(size_t align, size_t size)
{
    return allocated(aligned_alloc(align, size));
}

void seen_free(void *memory)
{
    if (memory) sk_sub_rlx(&blocks, INT64_C(1));
    free(memory);
}

/* ---- mappings ---- */

void *seen_mmap(void *at, size_t bytes, int rights, int flags, int file, off_t offset);
int seen_munmap(void *base, size_t bytes);
int seen_madvise(void *base, size_t bytes, int advice);
int seen_mprotect(void *base, size_t bytes, int rights);

void *seen_mmap(void *at, size_t bytes, int rights, int flags, int file, off_t offset)
{
    called(SK_FAULT_MMAP);
    void *base = mmap(at, bytes, rights, flags, file, offset);
    if (base != MAP_FAILED) sk_add_rlx(&mapped, (int64_t)bytes);
    return base;
}

int seen_munmap(void *base, size_t bytes)
{
    called(SK_FAULT_MUNMAP);
    int error = munmap(base, bytes);
    if (!error) sk_sub_rlx(&mapped, (int64_t)bytes);
    return error;
}

int seen_madvise(void *base, size_t bytes, int advice)
{
    if (advice != ADVICE_GUARD_REMOVE) called(SK_FAULT_MADVISE);
    return madvise(base, bytes, advice);
}

int seen_mprotect(void *base, size_t bytes, int rights)
{
    if (rights == PROT_NONE) called(SK_FAULT_MPROTECT);
    return mprotect(base, bytes, rights);
}

/* ---- threads, keys, signals ---- */

int seen_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int seen_pthread_join(pthread_t thread, void **result);
int seen_pthread_detach(pthread_t thread);
int seen_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int seen_pthread_setspecific(pthread_key_t key, const void *value);
int seen_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int seen_sigaction(int number, const struct sigaction *action, struct sigaction *before);
int seen_sigaltstack(const stack_t *stack, stack_t *before);

int seen_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    called(SK_FAULT_THREAD);
    int error = pthread_create(thread, attr, fn, arg);
    if (!error) sk_add_rlx(&threads, INT64_C(1));
    return error;
}

int seen_pthread_join(pthread_t thread, void **result)
{
    int error = pthread_join(thread, result);
    if (!error) sk_sub_rlx(&threads, INT64_C(1));
    return error;
}

int seen_pthread_detach(pthread_t thread)
{
    int error = pthread_detach(thread);
    if (!error) sk_sub_rlx(&threads, INT64_C(1));
    return error;
}

int seen_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    called(SK_FAULT_KEY);
    return pthread_key_create(key, destructor);
}

int seen_pthread_setspecific(pthread_key_t key, const void *value)
{
    called(SK_FAULT_KEY);
    return pthread_setspecific(key, value);
}

int seen_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    called(SK_FAULT_ATFORK);
    return pthread_atfork(prepare, parent, child);
}

/* Two signals are taken one right after the other, behind one question. */
int seen_sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    if (action && number == SIGSEGV) called(SK_FAULT_SIGNAL);
    return sigaction(number, action, before);
}

int seen_sigaltstack(const stack_t *stack, stack_t *before)
{
    bool off = stack && (stack->ss_flags & SS_DISABLE);
    if (stack && !off) called(SK_FAULT_SIGNAL);
    int error = sigaltstack(stack, before);
    if (stack && !error) sk_add_rlx(&altstacks, off ? INT64_C(-1) : INT64_C(1));
    return error;
}

/* ---- files and the rest ---- */

int seen_open(const char *path, int flags, ...);
ssize_t seen_read(int file, void *text, size_t size);
int seen_close(int file);
int seen_eventfd(unsigned first, int flags);
int seen_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
long seen_syscall(long number, long a, long b, long c, long d, long e, long f);

int seen_open(const char *path, int flags, ...)
{
    called(SK_FAULT_FILE);
    int file = open(path, flags); /* for reading only: no mode */
    if (file >= 0) sk_add_rlx(&files, INT64_C(1));
    return file;
}

int seen_eventfd(unsigned first, int flags)
{
    called(SK_FAULT_FILE);
    int file = eventfd(first, flags);
    if (file >= 0) sk_add_rlx(&files, INT64_C(1));
    return file;
}

ssize_t seen_read(int file, void *text, size_t size)
{
    called(SK_FAULT_FILE);
    return read(file, text, size);
}

int seen_close(int file)
{
    sk_sub_rlx(&files, INT64_C(1));
    return close(file);
}

int seen_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    called(SK_FAULT_PRCTL);
    return prctl(what, a, b, c, d);
}

long seen_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_futex && b == FUTEX_WAIT_BITSET_PRIVATE) called(SK_FAULT_FUTEX);
    if (number == SYS_membarrier && a != MEMBARRIER_CMD_GLOBAL) called(SK_FAULT_BARRIER);
    if (number == SYS_sched_getaffinity) called(SK_FAULT_AFFINITY);
    long result = syscall(number, a, b, c, d, e, f);
    if (number == SYS_signalfd4 && (int)a < 0) {
        called(SK_FAULT_FILE);
        if (result >= 0) sk_add_rlx(&files, INT64_C(1));
    }
    return result;
}
