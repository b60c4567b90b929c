/* vm.c: mmap, madvise and mprotect stand here once each, behind the fault hook. */
#include "os/vm.h"

#include "base/atomic.h"
#include "base/base.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Linux 6.13; the C library's headers lack the names. */
#define ADVICE_GUARD_INSTALL 102
#define ADVICE_GUARD_REMOVE 103

/* An mprotect guard splits a mapping in two and adds itself. */
#define MAPPINGS_PER_GUARD 2

static sk_atomic(long) mprotect_budget; /* guards that may still be made, plus one; 0: not read yet */
static sk_atomic(bool) guards_proved;   /* a kernel guard has been seen to work */

static int map(void **out, size_t bytes)
{
    if (sk_fault(SK_FAULT_MMAP)) return -ENOMEM;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return -errno;
    *out = base;
    return 0;
}

static int advise(void *base, size_t bytes, int advice)
{
    if (sk_fault(SK_FAULT_MADVISE)) return -EINVAL;
    return madvise(base, bytes, advice) == 0 ? 0 : -errno;
}

static int protect(void *base, size_t bytes, int rights)
{
    if (sk_fault(SK_FAULT_MPROTECT)) return -ENOMEM;
    return mprotect(base, bytes, rights) == 0 ? 0 : -errno;
}

size_t sk_vm_page(void)
{
    long size = sysconf(_SC_PAGESIZE);
    return size > (long)SK_VM_PAGE ? (size_t)size : SK_VM_PAGE;
}

int sk_vm_reserve(void **out, size_t bytes, size_t align, unsigned flags)
{
    void *base = NULL;
    size_t slack = align > sk_vm_page() ? align : 0; /* mmap aligns to pages only: take more, cut the ends off */
    if (bytes + slack < bytes) return -ENOMEM;
    int err = map(&base, bytes + slack);
    if (err) return err;
    char *start = base;
    if (slack) {
        start = (char *)sk_round_up((uintptr_t)base, align);
        size_t before = (size_t)(start - (char *)base);
        if (before) sk_vm_release(base, before);
        sk_vm_release(start + bytes, slack - before); /* never nothing: before < align */
    }
    /* A kernel without huge pages refuses; that is as good. */
    if (flags & SK_VM_SMALL_PAGES) (void)advise(start, bytes, MADV_NOHUGEPAGE);
    *out = start;
    return 0;
}

void sk_vm_release(void *base, size_t bytes)
{
    /* It can fail only when cutting a mapping in two exceeds their number; the addresses are lost then, nothing else.
     */
    if (!sk_fault(SK_FAULT_MUNMAP)) (void)munmap(base, bytes);
}

int sk_vm_decommit(void *base, size_t bytes)
{
    return advise(base, bytes, MADV_DONTNEED);
}

/* vm.max_map_count, or the kernel's default. */
static long max_map_count(void)
{
    char text[32] = "";
    int fd = sk_fault(SK_FAULT_FILE) ? -1 : open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = sk_fault(SK_FAULT_FILE) ? -1 : read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        close(fd);
    }
    long count = strtol(text, NULL, 10);
    return count > 0 ? count : 65530;
}

/* Takes n guards out of the budget (or puts them back); false when it is used up. */
static bool budget_take(long n)
{
    long left = sk_load_rlx(&mprotect_budget);
    if (left == 0) { /* all who come here first read the same number */
        long fresh = max_map_count() / 2 / MAPPINGS_PER_GUARD + 1;
        if (sk_cas_rlx(&mprotect_budget, &left, fresh)) left = fresh;
    }
    do {
        if (left - n < 1) return false;
    } while (!sk_cas_rlx(&mprotect_budget, &left, left - n));
    return true;
}

/* Whether a kernel guard that was accepted really stands.  An emulator (qemu-user 7.2) says yes to advice that it does
   not know.  The kernel is asked to wait while the page's first word is 1: it must refuse to read it.  Where there is
   no guard the word is zero and the call returns at once.  (Not rt_sigprocmask, say: Valgrind reads a set itself.) */
static bool guard_stands(void *page)
{
    if (sk_load_rlx(&guards_proved)) return true;
    struct timespec no_time = {0};
    bool refused = syscall(SYS_futex, page, FUTEX_WAIT_PRIVATE, 1, &no_time, NULL, 0) < 0 && errno == EFAULT;
    if (refused) sk_store_rlx(&guards_proved, true);
    return refused;
}

sk_vm_guard_kind sk_vm_guard(void *page, size_t bytes)
{
    /* A refusal is not remembered: locked memory refuses too, and may be unlocked later.  It costs 0.1 us. */
    if (advise(page, bytes, ADVICE_GUARD_INSTALL) == 0 && guard_stands(page)) return SK_VM_GUARD_KERNEL;
    if (!budget_take(1)) return SK_VM_GUARD_CANARY;
    if (protect(page, bytes, PROT_NONE) == 0) return SK_VM_GUARD_MPROTECT;
    (void)budget_take(-1);
    return SK_VM_GUARD_CANARY;
}

void sk_vm_unguard(void *page, size_t bytes, sk_vm_guard_kind kind)
{
    if (kind == SK_VM_GUARD_KERNEL) {
        (void)madvise(page, bytes, ADVICE_GUARD_REMOVE); /* not asked of sk_fault: giving back cannot be refused */
    } else if (kind == SK_VM_GUARD_MPROTECT) {
        (void)mprotect(page, bytes, PROT_READ | PROT_WRITE);
        (void)budget_take(-1);
    }
}
