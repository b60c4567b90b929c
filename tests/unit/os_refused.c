/*
 * os_refused.c: src/os where the kernel says no.  By fault injection where a hook
 * stands before the call, else by a seccomp filter in a child; a machine without
 * seccomp (or membarrier) leaves those out, and says so on stderr.
 */
#include "support/child.h"
#include "support/refuse.h"
#include "support/test.h"

#include "base/fault.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "os/membarrier.h"
#include "os/once.h"
#include "os/thread.h"
#include "os/topology.h"
#include "os/vm.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FINE = 42, WRONG = 43, LEFT_OUT = 77 };

static char said[4096];

/* Says so: a test that has not been made passes. */
static bool was_left_out(int status)
{
    if (!sk_ended_with(status, LEFT_OUT)) return false;
    fprintf(stderr, "os_refused: LEFT OUT, nothing was tested: this machine has no seccomp or no membarrier\n");
    return true;
}

/* Runs fn in a child, which must end with FINE. */
static void expect_fine(void (*fn)(void *), void *arg)
{
    int status = sk_child(fn, arg, said, sizeof said);
    if (was_left_out(status)) return;
    if (!sk_ended_with(status, FINE)) fprintf(stderr, "status %#x, said: %s\n", (unsigned)status, said);
    SK_EXPECT(sk_ended_with(status, FINE));
}

static void verdict(bool good)
{
    _exit(good ? FINE : WRONG);
}

static void need(bool there)
{
    if (!there) _exit(LEFT_OUT);
}

/* ---- membarrier ---- */

/* The fence must be there all the same, by full fences on both sides. */
static void without_membarrier(void)
{
    bool works = sk_membarrier_init();
    for (int i = 0; i < 3; i++) sk_membarrier_heavy();
    verdict(!works && !sk_membarrier_init());
}

static void no_such_call(void *arg)
{
    (void)arg;
    need(sk_refuse(SYS_membarrier, SK_REFUSE_ANY, 0, ENOSYS));
    without_membarrier();
}

/* An emulator's way: it registers, and cannot do it. */
static void registration_only(void *arg)
{
    (void)arg;
    need(sk_refuse(SYS_membarrier, 0, MEMBARRIER_CMD_PRIVATE_EXPEDITED, EPERM));
    without_membarrier();
}

#ifdef SK_FAULTS
static void not_at_the_nth(void *nth)
{
    sk_fault_arm(SK_FAULT_BARRIER, *(uint64_t *)nth, false);
    without_membarrier();
}
#endif

SK_TEST(os_refused, membarrier_is_missing)
{
#ifdef SK_FAULTS
    for (uint64_t nth = 1; nth <= 2; nth++) expect_fine(not_at_the_nth, &nth); /* registering, and the trial */
#endif
    expect_fine(no_such_call, NULL);
    expect_fine(registration_only, NULL);
}

static void short_of_memory(void *arg)
{
    (void)arg;
    need(sk_membarrier_init());
    need(sk_refuse(SYS_membarrier, 0, MEMBARRIER_CMD_PRIVATE_EXPEDITED, ENOMEM));
    for (int i = 0; i < 3; i++) sk_membarrier_heavy(); /* the slow command needs none */
    verdict(true);
}

#ifdef SK_FAULTS
static void neither_way_at_first(void *arg)
{
    (void)arg;
    need(sk_membarrier_init());
    need(sk_refuse(SYS_membarrier, 0, MEMBARRIER_CMD_GLOBAL, EINVAL)); /* as with nohz_full */
    sk_fault_arm(SK_FAULT_BARRIER, 1, false);
    sk_membarrier_heavy();
    verdict(sk_fault_count(SK_FAULT_BARRIER) == 2);
}
#endif

static void taken_away(void *arg)
{
    (void)arg;
    need(sk_membarrier_init());
    need(sk_refuse(SYS_membarrier, 0, MEMBARRIER_CMD_PRIVATE_EXPEDITED, EPERM));
    sk_membarrier_heavy();
    verdict(false);
}

/* There is no way back to plain fences: a passing failure is waited out, another one ends the process. */
SK_TEST(os_refused, membarrier_fails_after_it_has_worked)
{
    expect_fine(short_of_memory, NULL);
#ifdef SK_FAULTS
    expect_fine(neither_way_at_first, NULL);
#endif
    int status = sk_child(taken_away, NULL, said, sizeof said);
    if (was_left_out(status)) return;
    SK_EXPECT(sk_died_of(status, SIGABRT));
    SK_EXPECT(strstr(said, "skua: panic: membarrier: error 1 after"));
}

/* ---- futex ---- */

#ifndef SK_VALGRIND /* it reports such addresses, as it should */
static void wait_nowhere(void *arg)
{
    sk_futex_wait((sk_atomic(uint32_t) *)arg, 0, SK_NEVER);
    verdict(false);
}

/* Anything but the documented answers is a bug of the caller, who would spin. */
SK_TEST(os_refused, futex_of_no_memory_panics)
{
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SK_EXPECT(page != MAP_FAILED);
    int status = sk_child(wait_nowhere, page, said, sizeof said);
    SK_EXPECT(sk_died_of(status, SIGABRT));
    SK_EXPECT(strstr(said, "skua: panic: futex wait on 0x") && strstr(said, "error 14"));
    munmap(page, 4096);
}
#endif

/* ---- guards ---- */

static void *new_page(void)
{
    void *page = NULL;
    if (sk_vm_reserve(&page, sk_vm_page(), sk_vm_page(), 0) < 0) _exit(WRONG);
    return page;
}

static sk_vm_guard_kind guard_of(void *page)
{
    return sk_vm_guard(page, sk_vm_page());
}

/* Advice that is accepted without effect, as by an emulator: the guard is proved, and then made by other means. */
static void advice_is_ignored(void *arg)
{
    (void)arg;
    need(sk_refuse(SYS_madvise, 2, 102, 0));
    verdict(guard_of(new_page()) == SK_VM_GUARD_MPROTECT);
}

static void no_proof(void *arg)
{
    need(sk_refuse(SYS_futex, 1, FUTEX_WAIT_PRIVATE, *(int *)arg));
    verdict(guard_of(new_page()) == SK_VM_GUARD_MPROTECT);
}

static void nothing_helps(void *arg)
{
    (void)arg;
    void *page = new_page();
    need(sk_refuse(SYS_madvise, 2, 102, EINVAL) && sk_refuse(SYS_mprotect, SK_REFUSE_ANY, 0, ENOMEM));
    sk_vm_guard_kind kind = guard_of(page);
    sk_vm_unguard(page, sk_vm_page(), kind); /* nothing to take off */
    verdict(kind == SK_VM_GUARD_CANARY);
}

SK_TEST(os_refused, guards_fall_back)
{
    expect_fine(advice_is_ignored, NULL);
    for (int error = 0; error <= ENOSYS; error += ENOSYS) expect_fine(no_proof, &error);
    expect_fine(nothing_helps, NULL);
}

#ifdef SK_FAULTS

/* mprotect guards have a budget, by a number that the kernel tells; without it by the kernel's default. */
static void no_map_count(void *arg)
{
    sk_fault_arm(SK_FAULT_MADVISE, 1, true);
    sk_fault_arm(SK_FAULT_FILE, *(uint64_t *)arg, true);
    for (int i = 0; i < 10; i++)
        if (guard_of(new_page()) != SK_VM_GUARD_MPROTECT) verdict(false);
    verdict(sk_fault_count(SK_FAULT_FILE) >= *(uint64_t *)arg);
}

SK_TEST(os_refused, map_count_cannot_be_read)
{
    for (uint64_t n = 1; n <= 2; n++) expect_fine(no_map_count, &n); /* open, read */
}

/* Memory that munmap keeps is lost, and that is all. */
SK_TEST(os_refused, munmap_fails)
{
    void *block;
    SK_EXPECT_EQ(sk_vm_reserve(&block, 1 << 16, 1 << 16, 0), 0);
    memset(block, 7, 1 << 16);
    sk_fault_arm(SK_FAULT_MUNMAP, 1, true);
    sk_vm_release(block, 1 << 16);
    SK_EXPECT_EQ(((char *)block)[1], 7);
    sk_fault_reset();
    sk_vm_release(block, 1 << 16);
}

/* ---- the rest ---- */

/* Injected interruptions: time passes all the same, or a sleeper would never come to its deadline. */
SK_TEST(os_refused, an_interrupted_wait_ends_at_its_deadline)
{
    sk_atomic(uint32_t) word = 0;
    sk_fault_arm(SK_FAULT_FUTEX, 1, true);
    int rc, early = 0;
    for (int tries = 0; early == 0 && tries < 20; tries++) { /* a busy machine may come when it is over */
        uint64_t deadline = sk_clock_ns() + 20 * 1000000;
        while ((rc = sk_futex_wait(&word, 0, deadline)) != -ETIMEDOUT) {
            SK_EXPECT(rc == 0 || rc == -EINTR);
            early++;
        }
        SK_EXPECT(sk_clock_ns() >= deadline);
    }
    SK_EXPECT(early > 0);
    SK_EXPECT_EQ(sk_futex_wait(&word, 0, 1), -ETIMEDOUT);
    sk_fault_reset();
}

SK_TEST(os_refused, fork_watch_tries_again)
{
    sk_fault_arm(SK_FAULT_ATFORK, 1, false);
    SK_EXPECT_EQ(sk_fork_watch(), -ENOMEM);
    SK_EXPECT_EQ(sk_fork_watch(), 0);
    SK_EXPECT_EQ(sk_fork_watch(), 0);
    SK_EXPECT(!sk_forked());
}

/* Files that fail, from each on: a limit may be missed, none is invented. */
SK_TEST(os_refused, quotas_cannot_be_read)
{
    unsigned all = sk_topology_quota();
    bool met = true;
    for (uint64_t n = 1; met; n++) {
        SK_EXPECT(n < 1000);
        sk_fault_arm(SK_FAULT_FILE, n, true);
        unsigned some = sk_topology_quota();
        met = sk_fault_count(SK_FAULT_FILE) >= n;
        sk_fault_reset();
        SK_EXPECT(all == SK_NO_LIMIT ? some == SK_NO_LIMIT : some == SK_NO_LIMIT || some >= all);
    }
}

SK_TEST(os_refused, nothing_is_known_of_the_machine)
{
    unsetenv("SKUA_WORKERS");
    sk_fault_arm(SK_FAULT_FILE, 1, true);
    sk_fault_arm(SK_FAULT_AFFINITY, 1, true);
    SK_EXPECT_EQ(sk_topology_affinity(), SK_NO_LIMIT);
    SK_EXPECT_EQ(sk_topology_processors(), 1);
    setenv("SKUA_WORKERS", "3", 1);
    SK_EXPECT_EQ(sk_topology_processors(), 3);
    sk_fault_reset();
}

static sk_atomic(uint32_t) ran;

static void run_once(void *arg)
{
    (void)arg;
    sk_add_rlx(&ran, 1u);
}

/* A thread without its name and with the usual slack does its work as well. */
SK_TEST(os_refused, threads_go_without_prctl)
{
    sk_thread thread;
    sk_fault_arm(SK_FAULT_PRCTL, 1, true);
    SK_EXPECT_EQ(sk_thread_start(&thread, 0, "nameless", run_once, NULL), 0);
    SK_EXPECT_EQ(sk_thread_join(&thread), 0);
    sk_fault_reset();
    SK_EXPECT_EQ(sk_load_rlx(&ran), 1);
}

#endif

/* ---- what fails once is tried again, by somebody else ---- */

typedef struct twice {
    sk_once once;
    sk_atomic(uint32_t) asked, made;
} twice;

static void ask(void *arg)
{
    twice *t = arg;
    sk_add_rlx(&t->asked, 1u);
    if (!sk_once_begin(&t->once)) return;
    sk_add_rlx(&t->made, 1u);
    sk_once_end(&t->once, true);
}

SK_TEST(os_once, the_waiters_try_again_after_a_failure)
{
    static twice t;
    sk_thread threads[3];
    SK_EXPECT(sk_once_begin(&t.once));
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(sk_thread_start(&threads[i], 0, "asker", ask, &t), 0);
    while (sk_load_rlx(&t.asked) < 3) usleep(1000);
    usleep(50000); /* now they wait; on a slower machine they come in time to find the failure */
    SK_EXPECT_EQ(sk_load_rlx(&t.made), 0);
    sk_once_end(&t.once, false);
    for (int i = 0; i < 3; i++) SK_EXPECT_EQ(sk_thread_join(&threads[i]), 0);
    SK_EXPECT_EQ(sk_load_rlx(&t.made), 1);
    SK_EXPECT(!sk_once_begin(&t.once));
}
