/*
 * atomic.h: the only place where raw C11 (or C++11) atomics stand.
 *
 * The name of each operation carries its memory order, so that a reader sees
 * the order at the call and a script can list every ordered access.  Four
 * builds share this file:
 *
 *   normal       C11 <stdatomic.h>; each name is exactly one C11 operation
 *   TSan         fences become read-modify-writes that ThreadSanitizer sees
 *   C++ (Relacy) std::atomic, which relacy_std.hpp replaces by its own
 *   simulator    each operation is a call into tests/sim, see base/sim.h
 *
 * Rule of the house: every call whose name ends in anything but `rlx` has a
 * label comment, e.g.  [DQ-R1] release; pairs with [DQ-A2] in sk_taskq_steal.
 * `./dev lint` fails on an ordered access without one.
 *
 * Orders: rlx relaxed, acq acquire, rel release, ar acquire-release,
 * sc sequentially consistent.
 */
#ifndef SK_BASE_ATOMIC_H
#define SK_BASE_ATOMIC_H

#ifdef __cplusplus
#ifndef SK_MODEL
#include <atomic>
#endif
#define sk_atomic(T) std::atomic<T>
#define SK_MO(order) std::memory_order_##order
#define sk_load_(p, o) ((p)->load(o))
#define sk_store_(p, v, o) ((p)->store((v), (o)))
#define sk_xchg_(p, v, o) ((p)->exchange((v), (o)))
#define sk_add_(p, v, o) ((p)->fetch_add((v), (o)))
#define sk_sub_(p, v, o) ((p)->fetch_sub((v), (o)))
#define sk_or_(p, v, o) ((p)->fetch_or((v), (o)))
#define sk_and_(p, v, o) ((p)->fetch_and((v), (o)))
#define sk_cas_(p, e, v, o, f) ((p)->compare_exchange_strong(*(e), (v), (o), (f)))
#define sk_fence_(o) std::atomic_thread_fence(o)
#define sk_compiler_barrier_() std::atomic_signal_fence(std::memory_order_seq_cst)
#elif defined(SK_SIM)
#include "base/sim.h"
#include <stdatomic.h>
#define sk_atomic(T) _Atomic(T)
#define SK_MO(order) memory_order_##order
#define sk_value_of_(p) __typeof__(atomic_load_explicit((p), memory_order_relaxed))
#define sk_load_(p, o)                                                                                                 \
    __extension__({                                                                                                    \
        sk_value_of_(p) out_;                                                                                          \
        sk_sim_load((p), &out_, sizeof out_, (o));                                                                     \
        out_;                                                                                                          \
    })
#define sk_store_(p, v, o)                                                                                             \
    __extension__({                                                                                                    \
        const sk_value_of_(p) in_ = (v);                                                                               \
        sk_sim_store((p), &in_, sizeof in_, (o));                                                                      \
    })
#define sk_rmw_(p, operation, v, o)                                                                                    \
    __extension__({                                                                                                    \
        const sk_value_of_(p) in_ = (v);                                                                               \
        sk_value_of_(p) out_;                                                                                          \
        sk_sim_rmw((p), (operation), &in_, &out_, sizeof in_, (o));                                                    \
        out_;                                                                                                          \
    })
#define sk_xchg_(p, v, o) sk_rmw_((p), SK_SIM_XCHG, (v), (o))
#define sk_add_(p, v, o) sk_rmw_((p), SK_SIM_ADD, (v), (o))
#define sk_sub_(p, v, o) sk_rmw_((p), SK_SIM_SUB, (v), (o))
#define sk_or_(p, v, o) sk_rmw_((p), SK_SIM_OR, (v), (o))
#define sk_and_(p, v, o) sk_rmw_((p), SK_SIM_AND, (v), (o))
#define sk_cas_(p, e, v, o, f)                                                                                         \
    __extension__({                                                                                                    \
        const sk_value_of_(p) in_ = (v);                                                                               \
        sk_sim_cas((p), (e), &in_, sizeof in_, (o));                                                                   \
    })
#define sk_fence_(o) sk_sim_fence(o)
#else
#include <stdatomic.h>
#define sk_atomic(T) _Atomic(T)
#define SK_MO(order) memory_order_##order
#define sk_load_(p, o) atomic_load_explicit((p), (o))
#define sk_store_(p, v, o) atomic_store_explicit((p), (v), (o))
#define sk_xchg_(p, v, o) atomic_exchange_explicit((p), (v), (o))
#define sk_add_(p, v, o) atomic_fetch_add_explicit((p), (v), (o))
#define sk_sub_(p, v, o) atomic_fetch_sub_explicit((p), (v), (o))
#define sk_or_(p, v, o) atomic_fetch_or_explicit((p), (v), (o))
#define sk_and_(p, v, o) atomic_fetch_and_explicit((p), (v), (o))
#define sk_cas_(p, e, v, o, f) atomic_compare_exchange_strong_explicit((p), (e), (v), (o), (f))
#define sk_fence_(o) atomic_thread_fence(o)
#define sk_compiler_barrier_() atomic_signal_fence(memory_order_seq_cst)
#endif

#define sk_load_rlx(p) sk_load_((p), SK_MO(relaxed))
#define sk_load_acq(p) sk_load_((p), SK_MO(acquire))
#define sk_load_sc(p) sk_load_((p), SK_MO(seq_cst))

#define sk_store_rlx(p, v) sk_store_((p), (v), SK_MO(relaxed))
#define sk_store_rel(p, v) sk_store_((p), (v), SK_MO(release))
#define sk_store_sc(p, v) sk_store_((p), (v), SK_MO(seq_cst))

#define sk_xchg_rlx(p, v) sk_xchg_((p), (v), SK_MO(relaxed))
#define sk_xchg_acq(p, v) sk_xchg_((p), (v), SK_MO(acquire))
#define sk_xchg_rel(p, v) sk_xchg_((p), (v), SK_MO(release))
#define sk_xchg_ar(p, v) sk_xchg_((p), (v), SK_MO(acq_rel))
#define sk_xchg_sc(p, v) sk_xchg_((p), (v), SK_MO(seq_cst))

/* Compare-and-swap, strong; on failure *e holds the value found, read relaxed (rlx, rel) or acquire. */
#define sk_cas_rlx(p, e, v) sk_cas_((p), (e), (v), SK_MO(relaxed), SK_MO(relaxed))
#define sk_cas_acq(p, e, v) sk_cas_((p), (e), (v), SK_MO(acquire), SK_MO(acquire))
#define sk_cas_rel(p, e, v) sk_cas_((p), (e), (v), SK_MO(release), SK_MO(relaxed))
#define sk_cas_ar(p, e, v) sk_cas_((p), (e), (v), SK_MO(acq_rel), SK_MO(acquire))
#define sk_cas_sc(p, e, v) sk_cas_((p), (e), (v), SK_MO(seq_cst), SK_MO(seq_cst))

#define sk_add_rlx(p, v) sk_add_((p), (v), SK_MO(relaxed))
#define sk_add_rel(p, v) sk_add_((p), (v), SK_MO(release))
#define sk_add_ar(p, v) sk_add_((p), (v), SK_MO(acq_rel))
#define sk_add_sc(p, v) sk_add_((p), (v), SK_MO(seq_cst))
#define sk_sub_rlx(p, v) sk_sub_((p), (v), SK_MO(relaxed))
#define sk_sub_ar(p, v) sk_sub_((p), (v), SK_MO(acq_rel))
#define sk_sub_sc(p, v) sk_sub_((p), (v), SK_MO(seq_cst))
#define sk_or_ar(p, v) sk_or_((p), (v), SK_MO(acq_rel))
#define sk_or_sc(p, v) sk_or_((p), (v), SK_MO(seq_cst))
#define sk_and_ar(p, v) sk_and_((p), (v), SK_MO(acq_rel))
#define sk_and_sc(p, v) sk_and_((p), (v), SK_MO(seq_cst))

/* A counter that one thread writes and any thread reads: a plain add, not a read-modify-write. */
#define sk_count_rlx(p, n) sk_store_rlx((p), sk_load_rlx(p) + (n))

/*
 * Fences.  sk_fence_sc is the full fence of the publish-then-look protocols.
 * The pair light/heavy is asymmetric (as in folly's AsymmetricThreadFence):
 * the frequent side pays a compiler barrier, the rare side makes every running
 * thread of the process execute a full fence through membarrier(2).  Where the
 * kernel lacks it, and in TSan and model builds, both are full fences.
 */
#if defined(__SANITIZE_THREAD__)
#define SK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SK_TSAN 1
#endif
#endif

#if defined(SK_TSAN) && !defined(__cplusplus)
extern sk_atomic(unsigned) sk_tsan_fence_word; /* TSan sees the order of read-modify-writes, not of fences */
#define sk_fence_sc() ((void)sk_add_sc(&sk_tsan_fence_word, 0u))
#else
#define sk_fence_sc() sk_fence_(SK_MO(seq_cst))
#endif
#define sk_fence_acq() sk_fence_(SK_MO(acquire))
#define sk_fence_rel() sk_fence_(SK_MO(release))

#if defined(SK_MODEL) || defined(SK_TSAN) || defined(__cplusplus)
#define sk_fence_light() sk_fence_sc()
#define sk_fence_heavy() sk_fence_sc()
#elif defined(SK_SIM)
void sk_membarrier_heavy(void); /* of tests/sim: every strand executes a full fence */
#define sk_fence_light() sk_sim_fence_light()
#define sk_fence_heavy() sk_membarrier_heavy()
#else
extern int sk_membarrier_works; /* set once before the first worker starts */
void sk_membarrier_heavy(void); /* src/os/membarrier.c */
#define sk_fence_light() (sk_membarrier_works ? sk_compiler_barrier_() : sk_fence_sc())
#define sk_fence_heavy() sk_membarrier_heavy()
#endif

/* Tells the processor that this is a spin loop. */
static inline void sk_cpu_relax(void)
{
#if defined(SK_MODEL)
#elif defined(SK_SIM)
    sk_sim_relax();
#elif defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

#endif
