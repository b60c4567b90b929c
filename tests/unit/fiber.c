/* unit/fiber.c: switches, what survives them, and how deep a stack goes. How one ends that goes deeper: overflow.c. */
#include "support/test.h"

#include "base/fault.h"
#include "fiber/fiber.h"
#include "mem/arena.h"
#include "support/fibers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

static void ping(void *arg)
{
    job *j = arg;
    arrive();
    for (;;) {
        j->count++;
        go(j->self, &base);
    }
}

SK_TEST(fiber, ping_pong)
{
    job j = {0};
    sk_fiber_adopt(&base);
    sk_fiber *f = start(ping, &j, CLS);
    for (long i = 1; i <= 100000; i++) {
        go(&base, f);
        SK_EXPECT_EQ(j.count, i);
    }
    sk_fiber_put(&cache, f);
}

SK_TEST(fiber, all_classes_run)
{
    sk_fiber_adopt(&base);
    for (unsigned cls = 0; cls < SK_STACK_CLASSES; cls++) {
        job j = {0};
        sk_fiber *f = start(ping, &j, cls);
        SK_EXPECT_EQ(f->stack.cls, cls);
        go(&base, f);
        SK_EXPECT_EQ(j.count, 1);
        sk_fiber_put(&cache, f);
    }
}

static void pong(void *arg)
{
    job *j = arg;
    arrive();
    for (;;) {
        j->count += 100;
        go(j->self, &base);
    }
}

SK_TEST(fiber, cached_goes_on_where_it_stood)
{
    job j = {0}, other = {0}, third = {0};
    sk_fiber_adopt(&base);
    sk_fiber *f = start(ping, &j, CLS);
    go(&base, f);
    sk_fiber_put(&cache, f);
    SK_EXPECT(start(ping, &other, CLS) == f); /* the argument is for fresh fibers only */
    go(&base, f);
    SK_EXPECT_EQ(j.count, 2);
    SK_EXPECT_EQ(other.count, 0);
    sk_fiber_put(&cache, f);
    SK_EXPECT(start(pong, &other, CLS) == f); /* another entry: from the top */
    go(&base, f);
    SK_EXPECT_EQ(other.count, 100);
    f->stack.fresh = 1;
    sk_fiber_put(&cache, f);
    SK_EXPECT(start(pong, &third, CLS) == f); /* marked fresh: from the top */
    go(&base, f);
    SK_EXPECT_EQ(third.count, 100);
    SK_EXPECT_EQ(other.count, 100);
}

/* Ten numbers and eight fractions that the compiler wants to keep in registers. */
static unsigned long mix(unsigned long seed, sk_fiber *from, sk_fiber *to)
{
    unsigned long a = seed * 3, b = a ^ 5, c = b * 7, d = c + a, e = d ^ b, f = e * 11, g = f + c, h = g ^ d;
    unsigned long i = h * 13, k = i + e;
    double p = (double)(seed % 1000), q = p / 3, r = q + 1, s = r * p, t = s - q, u = t / 7, v = u + r, w = v * 0.5;
    for (int n = 0; n < 3; n++) {
        go(from, to);
        a += b ^ k, b += c, c ^= d, d += e, e ^= f, f += g, g ^= h, h += i, i ^= k, k += a;
        p += q, q -= r * 1e-3, r += s * 1e-6, s -= t, t += u, u -= v, v += w, w -= p * 1e-9;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ k ^ (unsigned long)(long)(p + q + r + s + t + u + v + w);
}

static void mixer(void *arg)
{
    job *j = arg;
    arrive();
    for (;;) j->count = (long)mix((unsigned long)j->count + 1, j->self, &base);
}

static void nothing(void *arg)
{
    job *j = arg;
    arrive();
    for (;;) go(j->self, &base);
}

SK_TEST(fiber, registers_survive)
{
    job quiet = {0}, loud = {0};
    sk_fiber_adopt(&base);
    sk_fiber *still = start(nothing, &quiet, CLS), *busy = start(mixer, &loud, CLS);
    for (unsigned long seed = 0; seed < 1000; seed++) {
        unsigned long want = mix(seed, &base, still), got = mix(seed, &base, busy);
        SK_EXPECT_EQ(got, want);
    }
    SK_EXPECT(loud.count != 0);
}

/* Rounding modes 0 to 3 as the processor numbers them (0: to nearest, 2: up on x86).  Not fesetround, which would
   make the tests need the mathematics library. */
static void set_rounding(unsigned mode)
{
#if defined(__x86_64__)
    uint32_t mxcsr = __builtin_ia32_stmxcsr();
    uint16_t x87;
    __builtin_ia32_ldmxcsr((mxcsr & ~0x6000u) | mode << 13);
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    x87 = (uint16_t)((x87 & ~0x0c00u) | mode << 10);
    __asm__ volatile("fldcw %0" : : "m"(x87));
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"((fpcr & ~0xc00000ul) | (uint64_t)mode << 22));
#else
    (void)mode;
#endif
}

/* The mode, from each unit that has one; SPLIT when they differ. */
enum { SPLIT = 9 };
static unsigned rounding(void)
{
#if defined(__x86_64__)
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    unsigned vector = __builtin_ia32_stmxcsr() >> 13 & 3;
    return (x87 >> 10 & 3u) == vector ? vector : (unsigned)SPLIT;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr >> 22 & 3;
#else
    return SPLIT;
#endif
}

static void rounds(void *arg)
{
    job *j = arg;
    arrive();
    SK_EXPECT_EQ(rounding(), 3); /* a fresh fiber begins with what its maker had */
    set_rounding(2);
    for (;;) {
        go(j->self, &base);
        SK_EXPECT_EQ(rounding(), 2);
        j->count++;
    }
}

SK_TEST(fiber, rounding_mode_is_each_fibers_own)
{
    job j = {0};
    if (rounding() == SPLIT) return; /* a processor that this test does not know */
    sk_fiber_adopt(&base);
    set_rounding(3);
    sk_fiber *f = start(rounds, &j, CLS);
    go(&base, f);
    for (unsigned mode = 0; mode < 4; mode++) {
        set_rounding(mode);
        go(&base, f);
        SK_EXPECT_EQ(rounding(), mode);
    }
    SK_EXPECT_EQ(j.count, 4);
    set_rounding(0);
}

/* The compiler must not take a switch for a function that leaves file-static variables alone; GCC with LTO would, but
   for the call in sk_context_switch that it cannot see through. */
static int seen_by_all;
static sk_fiber *writer_fiber;

static void writes(void *arg)
{
    job *j = arg;
    arrive();
    for (;;) {
        seen_by_all = 2;
        go(j->self, &base);
    }
}

static void __attribute__((noinline)) sleep_a_while(void)
{
    go(&base, writer_fiber);
}

SK_TEST(fiber, statics_are_read_again_after_a_switch)
{
    job j = {0};
    sk_fiber_adopt(&base);
    writer_fiber = start(writes, &j, CLS);
    seen_by_all = 1;
    sleep_a_while();
    SK_EXPECT_EQ(seen_by_all, 2);
}

/* Goes down until `room` bytes are left above the guard; each frame checks its pattern on the way back. */
static long __attribute__((noinline)) dig(const sk_fiber *f, size_t room, long depth)
{
    volatile char pattern[200];
    memset((char *)pattern, (int)depth, sizeof pattern);
    const char *bottom = sk_stack_base(&f->stack) + sk_vm_page();
    long reached = (const char *)__builtin_frame_address(0) > bottom + room ? dig(f, room, depth + 1) : depth;
    SK_EXPECT_EQ(pattern[depth % 200], (char)depth);
    return reached;
}

static void digger(void *arg)
{
    job *j = arg;
    arrive();
    j->count = dig(j->self, 4096, 0);
    go(j->self, &base);
}

SK_TEST(fiber, deep_recursion_reaches_the_bottom)
{
    sk_fiber_adopt(&base);
    for (unsigned cls = 0; cls < 7; cls++) {
        job j = {0};
        sk_fiber *f = start(digger, &j, cls);
        go(&base, f);
        SK_EXPECT(j.count >
                  (long)(sk_stack_bytes(cls) / 4096)); /* sanitizers' frames are large, and AArch64's ucontext */
    }
}

static void *carry_on(void *arg)
{
    job *j = arg;
    sk_fiber_adopt(&base);
    go(&base, j->self);
    return NULL;
}

/* A fiber left on one thread goes on on another one. */
SK_TEST(fiber, migrates)
{
    job j = {0};
    pthread_t thread;
    sk_fiber_adopt(&base);
    sk_fiber *f = start(ping, &j, CLS);
    for (int i = 0; i < 10; i++) {
        sk_fiber_adopt(&base);
        go(&base, f);
        SK_EXPECT_EQ(pthread_create(&thread, NULL, carry_on, &j), 0);
        SK_EXPECT_EQ(pthread_join(thread, NULL), 0);
    }
    SK_EXPECT_EQ(j.count, 20);
}

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *arg)
{
    (void)context;
    return ++*(long *)arg < 100 ? _URC_NO_REASON : _URC_FATAL_PHASE1_ERROR;
}

static void unwinder(void *arg)
{
    job *j = arg;
    arrive();
    for (;;) {
        j->count = 0;
        j->reason = (int)_Unwind_Backtrace(count_frame, &j->count);
        go(j->self, &base);
    }
}

SK_TEST(fiber, unwinding_ends_at_the_entry)
{
    job j = {0};
    sk_fiber_adopt(&base);
    sk_fiber *f = start(unwinder, &j, CLS);
    go(&base, f);
    for (int i = 0; i < 2; i++) { /* at the first entry, and after a switch */
        SK_EXPECT_EQ(j.reason, _URC_END_OF_STACK);
        SK_EXPECT(j.count >= 2 && j.count <= 6);
        go(&base, f);
    }
}

/* Pages of a stack above its guard that have memory. */
static long resident(const sk_stack *stack)
{
    unsigned char map[2048];
    size_t page = sk_vm_page(), bytes = sk_stack_bytes(stack->cls) - page;
    long n = 0;
    SK_EXPECT(bytes / page <= sizeof map);
    SK_EXPECT_EQ(mincore(sk_stack_base(stack) + page, bytes, map), 0);
    for (size_t i = 0; i < bytes / page; i++) n += map[i] & 1;
    return n;
}

/* As much as the worker's loop and a small task take. */
static void __attribute__((noinline)) small_task(job *j)
{
    volatile char frame[1024];
    memset((char *)frame, 1, sizeof frame);
    go(j->self, &base);
    j->count += frame[100];
}

static void parks(void *arg)
{
    arrive();
    for (;;) small_task(arg);
}

SK_TEST(fiber, a_parked_fiber_keeps_one_page)
{
    enum { N = 200 };
    static job jobs[N];
    sk_fiber_adopt(&base);
    for (int i = 0; i < N; i++) go(&base, start(parks, &jobs[i], CLS));
    for (int i = 0; i < N; i++) {
#if !SK_SANITIZED && defined(__OPTIMIZE__) && !defined(SK_CONTEXT_PORTABLE)
        SK_EXPECT_EQ(resident(&jobs[i].self->stack), 1);
#else
        SK_EXPECT(resident(&jobs[i].self->stack) <= 4); /* instrumented and debug frames are larger */
#endif
        SK_EXPECT_EQ(jobs[i].self->stack.id, jobs[0].self->stack.id + (uint32_t)i);
    }
}

static long mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    long lines = 0;
    for (int c; maps && (c = getc(maps)) != EOF;) lines += c == '\n';
    if (maps) fclose(maps);
    return lines;
}

/* More than mprotect guards could be made, where the kernel has better ones. */
SK_TEST(fiber, two_hundred_thousand)
{
#ifdef SK_TSAN
    long n = sk_test_scaled(2000); /* 5 kB each for ThreadSanitizer */
#else
    long n = sk_test_scaled(200000);
#endif
    job *jobs = calloc((size_t)n, sizeof *jobs);
    sk_fiber_adopt(&base);
    long before = mappings(), guarded = 0;
    for (long i = 0; i < n; i++) {
        go(&base, start(ping, &jobs[i], CLS));
        guarded += jobs[i].self->stack.guard == SK_VM_GUARD_KERNEL;
    }
    if (guarded == n) SK_EXPECT(mappings() - before < 200 + n / 10);
    for (long i = 0; i < n; i++) {
        SK_EXPECT(jobs[i].self->stack.guard != SK_VM_GUARD_NONE);
        go(&base, jobs[i].self);
        SK_EXPECT_EQ(jobs[i].count, 2);
    }
    for (long i = 0; i < n; i++) sk_fiber_put(&cache, jobs[i].self);
    sk_stack_cache_flush(&cache);
    SK_EXPECT(sk_stack_check(CLS));
    SK_EXPECT_EQ(sk_stack_trim(CLS, 0), n);
    free(jobs);
}

#ifdef SK_FAULTS
SK_TEST(fiber, no_memory)
{
    job j = {0};
    sk_fault_arm(SK_FAULT_MMAP, 1, true);
    SK_EXPECT(sk_fiber_get(&cache, CLS, ping, &j) == NULL);
    sk_fault_reset();
    SK_EXPECT(sk_fiber_get(&cache, CLS, ping, &j) != NULL);
}
#endif
