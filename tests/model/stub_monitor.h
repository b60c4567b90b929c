/*
 * stub_monitor.h: what src/runtime/monitor.c calls and these models leave out:
 * the adjuster, memory, the table. Include it after stub_runtime.h.
 */
#ifndef SK_TEST_MODEL_STUB_MONITOR_H
#define SK_TEST_MODEL_STUB_MONITOR_H

#include "runtime/machine.h"

enum { SK_STACK_CLASSES = 0, SK_STACK_BATCH = 1 };

typedef struct sk_stack_numbers {
    uint64_t depot;
} sk_stack_numbers;

static inline void sk_stack_stats(unsigned, sk_stack_numbers *)
{
}
static inline void sk_stack_trim(unsigned, uint64_t)
{
}
static inline void urcu_memb_register_thread(void)
{
}
static inline void urcu_memb_unregister_thread(void)
{
}
static inline void sk_local_bind(sk_local *)
{
}
static inline bool sk_adjust_run(skua_runtime *, uint64_t)
{
    return false;
}

#endif
